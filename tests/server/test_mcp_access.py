"""Who may come in by MCP, and from where: bare requests to a real server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError

from .authorizer import Whim
from .conftest import Headers


@pytest.fixture
def jp_server_config(jp_server_config: Any, is_open_by_default: bool) -> Any:
    Whim.denied = set()
    server = {"allow_unauthenticated_access": is_open_by_default, "authorizer_class": Whim}
    jp_server_config["ServerApp"] |= server
    return jp_server_config


ASK = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})


async def ask(client: Any, base: str, headers: Headers, query: str = "", path: str = "mcp") -> tuple[int, Any]:
    """Post one request; returns the status and the answer."""
    try:
        answer = await client.fetch(base + path + query, method="POST", body=ASK, headers=headers)
    except HTTPClientError as error:
        return error.code, json.loads(error.response.body)
    return answer.code, json.loads(answer.body)


@pytest.mark.parametrize("path", ["mcp", "pctx/mcp"])
async def test_an_agent_needs_a_token(http_server_client: Any, jp_base_url: str, jp_serverapp: Any, path: str) -> None:
    token = jp_serverapp.identity_provider.token
    for headers in ({"Authorization": f"Bearer {token}"}, {"Authorization": f"token {token}"}):
        assert (await ask(http_server_client, jp_base_url, headers, path=path))[0] == 200
    assert (await ask(http_server_client, jp_base_url, {}, f"?token={token}", path))[0] == 200
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-Pctx-Token": "wrong"}):
        status, answer = await ask(http_server_client, jp_base_url, headers, path=path)
        assert status == 403 and "Authorization: Bearer" in answer["error"]["message"]


async def test_a_foreign_origin_is_refused_whatever_it_brings(
    http_server_client: Any, jp_base_url: str, jp_auth_header: Headers, jp_http_port: int
) -> None:
    for origin in ("https://evil.example", "null", "http://localhost:1"):
        headers = {**jp_auth_header, "Origin": origin}
        status, answer = await ask(http_server_client, jp_base_url, headers)
        assert status == 403 and "ServerApp.allow_origin" in answer["error"]["message"]
    own = {**jp_auth_header, "Origin": f"http://localhost:{jp_http_port}", "Host": f"localhost:{jp_http_port}"}
    assert (await ask(http_server_client, jp_base_url, own))[0] == 200


async def test_a_cookie_needs_the_page_of_its_own_to_say_so(
    http_server_client: Any, jp_base_url: str, jp_fetch: Any, jp_http_port: int
) -> None:
    host = f"localhost:{jp_http_port}"
    signed_in = await jp_fetch("pctx", "health", headers={"Host": host})
    cookie = signed_in.headers["Set-Cookie"].split(";")[0]
    page = await http_server_client.fetch(jp_base_url + "login", headers={"Host": host})
    xsrf = next(one for one in page.headers.get_list("Set-Cookie") if one.startswith("_xsrf")).split(";")[0]
    own = {"Cookie": f"{cookie}; {xsrf}", "Origin": f"http://{host}", "Host": host}
    assert (await ask(http_server_client, jp_base_url, own))[0] == 403
    own["X-XSRFToken"] = xsrf.partition("=")[2]
    assert (await ask(http_server_client, jp_base_url, own | {"Origin": "https://evil.example"}))[0] == 403
    assert (await ask(http_server_client, jp_base_url, own))[0] == 200


async def test_whom_the_authorizer_denies_is_refused(
    http_server_client: Any, jp_base_url: str, jp_auth_header: Headers
) -> None:
    Whim.denied = {("execute", "pctx")}
    assert (await ask(http_server_client, jp_base_url, jp_auth_header))[0] == 403


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_every_method_needs_a_token(http_server_client: Any, jp_base_url: str, method: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Mcp-Session-Id": "guessed"}):
        with pytest.raises(HTTPClientError) as refusal:
            await http_server_client.fetch(f"{jp_base_url}mcp", method=method, headers=headers, follow_redirects=False)
        assert refusal.value.code == 403


async def test_a_foreign_host_is_refused(http_server_client: Any, jp_base_url: str, jp_auth_header: Headers) -> None:
    status, answer = await ask(http_server_client, jp_base_url, jp_auth_header | {"Host": "rebound.example"})
    assert status == 403 and "ServerApp.local_hostnames" in answer["error"]["message"]


@pytest.mark.parametrize(("path", "method"), [("api/status", "GET"), ("code-mode/session/create", "POST")])
async def test_every_route_says_what_a_refused_request_lacks(
    http_server_client: Any, jp_base_url: str, jp_auth_header: Headers, path: str, method: str
) -> None:
    for headers, said in (
        ({}, "Authorization: Bearer"),
        (jp_auth_header | {"Origin": "https://evil.example"}, "ServerApp.allow_origin"),
        (jp_auth_header | {"Host": "rebound.example"}, "ServerApp.allow_remote_access"),
    ):
        body = "" if method == "POST" else None
        with pytest.raises(HTTPClientError) as refusal:
            await http_server_client.fetch(f"{jp_base_url}pctx/{path}", method=method, headers=headers, body=body)
        assert refusal.value.code == 403
        assert said in json.loads(refusal.value.response.body)["message"]
