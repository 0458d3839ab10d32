"""Who may open a connection, and from where. A real server; refusals are read off the real handshake."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from pctx_jupyter.rpc.environment import TOKEN_HEADER

from .authorizer import Whim
from .conftest import Headers
from .wires import open_wire

ENDPOINTS = ["local-tools", "pctx/local-tools", "pctx/agents"]


@pytest.fixture
def allowed() -> dict[str, Any]:
    """More of ServerApp's configuration; a test overrides it."""
    return {}


@pytest.fixture
def jp_server_config(jp_server_config: Any, is_open_by_default: bool, allowed: dict[str, Any]) -> Any:
    Whim.denied = set()
    server = {"allow_unauthenticated_access": is_open_by_default, "authorizer_class": Whim}
    jp_server_config["ServerApp"] |= server | allowed
    return jp_server_config


async def refused(url: str, headers: Headers) -> int:
    """Try to connect; returns the status of the refusal, or 101."""
    try:
        async with connect(url, additional_headers=headers, proxy=None):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_connection_needs_a_token(url: str, endpoint: str, jp_auth_header: Headers) -> None:
    assert await refused(url + endpoint, {}) == 403
    assert await refused(url + endpoint, {"Authorization": "token wrong"}) == 403
    assert await refused(url + endpoint, {TOKEN_HEADER: "wrong"}) == 403
    assert await refused(url + endpoint, {TOKEN_HEADER: "wröng".encode().decode("latin-1")}) == 403
    assert await refused(url + endpoint, jp_auth_header) == 101


@pytest.mark.parametrize("endpoint", ["health", "api/status"])
async def test_plain_requests_need_a_token(
    http_server_client: Any, jp_base_url: str, endpoint: str, jp_auth_header: Headers
) -> None:
    path = f"{jp_base_url}pctx/{endpoint}"
    for headers in ({}, {"Authorization": "token wrong"}, {TOKEN_HEADER: "wrong"}):
        with pytest.raises(HTTPClientError) as refusal:
            await http_server_client.fetch(path, headers=headers, follow_redirects=False)
        assert refusal.value.code == 403
    with pytest.raises(HTTPClientError) as refusal:
        await http_server_client.fetch(path, headers={**jp_auth_header, "Origin": "https://evil.example"})
    assert refusal.value.code == 403
    answer = await http_server_client.fetch(path, headers=jp_auth_header)
    assert json.loads(answer.body)["version"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost", "http://localhost:1", "http://localhost:{port}.evil.example"],
)
async def test_a_foreign_origin_is_refused_though_the_token_is_right(
    url: str, endpoint: str, origin: str, jp_auth_header: Headers, jp_http_port: int
) -> None:
    origin = origin.format(port=jp_http_port)
    assert await refused(url + endpoint, {**jp_auth_header, "Origin": origin}) == 403


async def test_our_own_origin_is_welcome(url: str, jp_auth_header: Headers, jp_http_port: int) -> None:
    headers = {**jp_auth_header, "Origin": f"http://LOCALHOST:{jp_http_port}"}
    assert await refused(url + "local-tools", headers) == 101


@pytest.mark.parametrize(
    ("allowed", "origin", "status"),
    [
        ({"allow_origin": "https://lab.example"}, "https://lab.example", 101),
        ({"allow_origin": "https://lab.example"}, "https://lab.example.evil", 403),
        ({"allow_origin_pat": r"https://.*\.lab\.example"}, "https://a.lab.example", 101),
        ({"allow_origin_pat": r"https://.*\.lab\.example"}, "https://lab.example", 403),
        ({"allow_origin": "*"}, "https://anywhere.example", 101),
    ],
)
async def test_an_origin_the_administrator_allows_is_welcome_with_a_token(
    url: str, jp_auth_header: Headers, allowed: dict[str, Any], origin: str, status: int
) -> None:
    assert await refused(url + "local-tools", {**jp_auth_header, "Origin": origin}) == status


@pytest.mark.parametrize("allowed", [{}, {"allow_origin": "*"}])
async def test_a_cookie_counts_only_with_our_own_origin(
    url: str, jp_fetch: Any, jp_http_port: int, allowed: dict[str, Any]
) -> None:
    signed_in = await jp_fetch("pctx", "health", headers={"Host": f"localhost:{jp_http_port}"})
    cookie = {"Cookie": signed_in.headers["Set-Cookie"].split(";")[0]}
    assert await refused(url + "local-tools", cookie) == 403
    assert await refused(url + "local-tools", {**cookie, "Origin": "https://evil.example"}) == 403
    assert await refused(url + "local-tools", {**cookie, "Origin": f"http://localhost:{jp_http_port}"}) == 101


async def test_a_foreign_host_is_refused(http_server_client: Any, jp_base_url: str, jp_auth_header: Headers) -> None:
    with pytest.raises(HTTPClientError) as refusal:
        await http_server_client.fetch(
            f"{jp_base_url}pctx/health", headers={**jp_auth_header, "Host": "rebound.example"}
        )
    assert refusal.value.code == 403


async def test_whom_the_authorizer_denies_is_refused(url: str, jp_auth_header: Headers) -> None:
    Whim.denied = {("execute", "pctx")}
    assert await refused(url + "local-tools", jp_auth_header) == 403


async def test_whom_the_authorizer_denies_reads_no_status(jp_fetch: Any) -> None:
    Whim.denied = {("read", "pctx")}
    with pytest.raises(HTTPClientError) as refusal:
        await jp_fetch("pctx", "api", "status")
    assert refusal.value.code == 403


async def test_rights_withdrawn_while_connected_hold_from_the_next_request(url: str, jp_auth_header: Headers) -> None:
    async with open_wire(url + "local-tools", jp_auth_header) as wire:
        assert await wire.is_fine()
        Whim.denied = {("execute", "pctx")}
        answer = await wire.ask("execute", {"code": "1"})
        assert answer["error"]["code"] == -32007 and "no longer" in answer["error"]["message"]
        Whim.denied = set()
        assert await wire.is_fine()
