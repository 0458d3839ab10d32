"""MCP servers over HTTP and over a client's connection. A real server in this process; real processes as upstreams."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import pytest
from tornado.httpclient import HTTPClientError

from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient
from pctx_jupyter.rpc.environment import TOKEN_HEADER
from pctx_jupyter.server.kernels import KernelTokens
from pctx_jupyter.server.running import RunningEngine
from tests.upstream.conftest import peer
from tests.upstream.http_peer import Authority, browse, free_port, make_server, serving

from .authorizer import Whim
from .wires import Wire

Connect = Callable[..., AbstractAsyncContextManager[Wire]]
OpenClient = Callable[..., AbstractAsyncContextManager[PctxClient]]


@pytest.fixture
def jp_server_config(jp_server_config: Any) -> Any:
    Whim.denied = set()
    return {**jp_server_config, "ServerApp": {**jp_server_config["ServerApp"], "authorizer_class": Whim}}


@pytest.fixture
def ask(jp_fetch: Any) -> Callable[..., Any]:
    """Asks ``pctx/api/upstreams…``; returns status and body."""

    async def ask(
        method: str, *path: str, body: Any = None, start: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        content = None if method in ("GET", "DELETE") else json.dumps(body or {})
        try:
            answer = await jp_fetch(
                "pctx",
                "api",
                "upstreams",
                *path,
                method=method,
                body=content,
                headers=headers,
                params={} if start is None else {"start": start},
            )
        except HTTPClientError as error:
            assert error.response is not None
            return error.code, json.loads(error.response.body)
        return answer.code, json.loads(answer.body)

    return ask


async def ready(running: RunningEngine, name: str) -> None:
    upstreams = (await running.get()).upstreams
    assert upstreams is not None
    await upstreams.settle(name)


def make_unwritable(folder: Path) -> None:
    """Have no file be made in a folder, not even by root."""
    shutil.rmtree(folder)
    folder.symlink_to("/proc")


async def test_a_file_that_cannot_be_written_is_the_fault_of_the_server_and_not_of_the_request(
    ask: Callable[..., Any], running: RunningEngine, jp_config_dir: Path
) -> None:
    await running.get()
    make_unwritable(jp_config_dir)
    code, answer = await ask("POST", body={"server": peer(name="my peer")})
    assert code == 507 and answer["message"].startswith("Cannot write ") and "pctx.json: " in answer["message"]


async def test_a_server_is_added_called_listed_and_removed(
    ask: Callable[..., Any], client: OpenClient, running: RunningEngine, jp_config_dir: Path
) -> None:
    assert await ask("GET") == (200, {"upstreams": [], "problems": []})
    code, added = await ask("POST", body={"server": peer(name="my peer")})
    assert (code, added["namespace"]) == (201, "MyPeer") and added["state"] in ("connecting", "ready")
    file = jp_config_dir / "pctx.json"
    assert json.loads(file.read_text())["servers"] == [peer(name="my peer")]
    assert file.stat().st_mode & 0o777 == 0o600
    async with client() as it:
        assert (await it.execute_code('await MyPeer.echo({ text: "hi" })'))["value"] == "hi"
        assert "MyPeer.echo" in [one["name"] for one in await it.list_functions()]
        with pytest.raises(errors.ExecutionFailed, match="out of paper"):
            await it.execute_code('await MyPeer.fail({ text: "out of paper" })')
        caught = await it.execute_code("await MyPeer.fail({}).catch(String)")
        assert caught["value"] == "ToolError: the tool failed, and says no more"
    _, listed = await ask("GET")
    (view,) = listed["upstreams"]
    assert (view["state"], view["tools"], view["server"]) == ("ready", 12, "peer 1")
    code, shown = await ask("GET", "my peer")
    assert (code, shown["tool_count"], shown["version"]) == (200, 12, view["version"])
    tools = {tool["path"]: tool for tool in shown["tools"]}
    assert tools["MyPeer.echo"] == {
        "path": "MyPeer.echo",
        "shared_as": "MyPeer.echo",
        "signature": "echo(args?: { text?: string }): Promise<string> /* observed */",  # by the call above
        "description": "Says it again.",
        "effects": False,
        "arguments": [],
        "name": "echo",
    }
    assert len(tools) == 12 and tools["MyPeer.die"]["effects"] is True
    assert [tool["path"] for tool in (await ask("GET", "my peer", start="11"))[1]["tools"]] == ["MyPeer.large"]
    assert (await ask("GET", "my peer", start="-1"))[0] == 400
    assert (await ask("POST", "my peer", "reconnect"))[0] == 200
    assert (await ask("POST", "my peer", "approve"))[0] == 200
    assert await ask("DELETE", "my peer") == (200, {"success": True})
    assert json.loads(file.read_text())["servers"] == [] and (await ask("GET"))[1]["upstreams"] == []


async def test_a_server_is_tested_without_being_added(
    jp_fetch: Any, ask: Callable[..., Any], client: OpenClient, jp_config_dir: Path
) -> None:
    async def test(server: Any) -> tuple[int, Any]:
        body = json.dumps({"server": server})
        try:
            answer = await jp_fetch("pctx", "api", "upstream-test", method="POST", body=body)
        except HTTPClientError as error:
            assert error.response is not None
            return error.code, json.loads(error.response.body)
        return answer.code, json.loads(answer.body)

    code, found = await test(peer(name="tried"))
    assert (code, found["state"], found["tools"], found["server"]) == (200, "ready", 12, "peer 1")
    script = "import sys; print('no disk', file=sys.stderr); sys.exit(3)"
    code, found = await test({"name": "broken", "command": sys.executable, "args": ["-c", script]})
    assert (code, found["state"]) == (200, "down") and found["error"] and found["log"] == ["no disk"]
    code, said = await test({"name": "a", "url": "ftp://x"})
    assert code == 400 and said["message"].startswith("Cannot test this server: url is invalid")
    assert await ask("GET") == (200, {"upstreams": [], "problems": []})
    assert not (jp_config_dir / "pctx.json").exists()
    async with client() as it:
        assert [one["name"] for one in await it.list_functions() if "ried" in one["name"]] == []


async def test_what_cannot_be_done_says_why(ask: Callable[..., Any]) -> None:
    assert (await ask("POST", body={"server": {"name": "a", "url": "ftp://x"}}))[1]["message"].startswith(
        "Cannot add this server: url is invalid"
    )
    assert (await ask("POST", body={}))[0] == 400
    assert (await ask("POST", body={"server": peer(name="a"), "persist": False}))[0] == 201
    code, said = await ask("POST", body={"server": {"name": "A", "url": "http://127.0.0.1:9"}})
    assert code == 409 and "there is a already, with the namespace A" in said["message"]
    for method, path in [
        ("GET", ["b"]),
        ("DELETE", ["b"]),
        ("POST", ["b", "reconnect"]),
        ("POST", ["b", "approve"]),
        ("POST", ["b", "trust"]),
        ("POST", ["b", "sign-in"]),
    ]:
        code, said = await ask(method, *path)
        assert code == 404 and said["message"] == "Cannot find an MCP server named 'b'; there are: a"
    code, said = await ask("POST", "a", "sign-in")
    assert code == 400 and "its configuration brings what it needs" in said["message"]


async def test_only_those_who_may_execute_change_anything(
    ask: Callable[..., Any], running: RunningEngine, jp_config_dir: Path
) -> None:
    await running.get()
    Whim.denied = {"execute"}
    for method, path in [
        ("POST", []),
        ("DELETE", ["a"]),
        *(("POST", ["a", act]) for act in ("reconnect", "approve", "trust", "sign-in")),
    ]:
        assert (await ask(method, *path, body={"server": peer()}))[0] == 403
    assert (await ask("GET"))[0] == 200
    assert not (jp_config_dir / "pctx.json").exists()
    Whim.denied = {"read"}
    assert (await ask("GET"))[0] == (await ask("GET", "a"))[0] == 403


async def test_a_kernel_that_shows_its_token_alone_adds_no_server_and_is_told_who_may(
    wire: Connect, kernels: KernelTokens, monkeypatch: pytest.MonkeyPatch, running: RunningEngine, tmp_path: Path
) -> None:
    monkeypatch.setattr(kernels, "owner", lambda token: "k1" if token == "secret" else None)
    shell = {"name": "out", "command": "/bin/sh", "args": ["-c", f"touch {tmp_path}/started"]}
    async with wire(**{TOKEN_HEADER: "secret", "Authorization": ""}) as it:
        refused = (await it.ask("add_upstream", {"server": shell, "persist": False}))["error"]
        assert refused["code"] == -32007 and "Cannot add an MCP server: this kernel did not" in refused["message"]
        assert "jupyter pctx mcp" in refused["message"] and "kernels_may_add_servers" in refused["message"]
        assert (await it.ask("list_upstreams"))["result"] == {"upstreams": [], "problems": []}
    assert not (tmp_path / "started").exists()


class TestWhereKernelsMayAddServers:
    @pytest.fixture
    def limits(self) -> dict[str, Any]:
        return {"kernels_may_add_servers": True}

    async def test_a_kernel_may_add_a_server_for_everybody(
        self, wire: Connect, kernels: KernelTokens, monkeypatch: pytest.MonkeyPatch, running: RunningEngine
    ) -> None:
        monkeypatch.setattr(kernels, "owner", lambda token: "k1" if token == "secret" else None)
        async with wire(**{TOKEN_HEADER: "secret", "Authorization": ""}) as it:
            added = await it.ask("add_upstream", {"server": peer(), "persist": False})
            assert added["result"]["name"] == "good" and added["result"]["source"] is None
            await ready(running, "good")
            listed = (await it.ask("list_upstreams"))["result"]
            assert [(one["name"], one["state"]) for one in listed["upstreams"]] == [("good", "ready")]
            assert (await it.ask("remove_upstream", {"name": "good"}))["result"] == {"success": True}
            assert (await it.ask("remove_upstream", {"name": "good"}))["error"]["code"] == -32010


async def test_a_notebook_gives_its_name_up_to_a_server_that_is_added(
    ask: Callable[..., Any], running: RunningEngine
) -> None:
    registry = (await running.get()).registry
    assert registry.name_kernel("k1", "time") == "Time"
    await ask("POST", body={"server": peer("mute", name="time"), "persist": False})
    assert registry.name_of("k1") == "Time2"


async def test_the_originals_method_adds_a_server_for_as_long_as_the_engine_runs(wire: Connect) -> None:
    async with wire() as it:
        assert (await it.ask("register_mcp", {"name": "a", "url": "http://127.0.0.1:9/mcp"}))["result"] == {
            "success": True
        }
        again = (await it.ask("register_mcp", {"name": "a", "url": "http://127.0.0.1:9/mcp"}))["error"]
        assert again["code"] == -32009 and "there is a already" in again["message"]
        wrong = (await it.ask("register_mcp", {"name": "b", "url": "nowhere"}))["error"]
        assert wrong["code"] == -32602 and "url is invalid" in wrong["message"]
        auth = {"type": "bearer", "token": "s3cr3t-canary"}
        assert "result" in await it.ask("register_mcp", {"name": "c", "url": "http://127.0.0.1:9/mcp", "auth": auth})
        assert "canary" not in json.dumps(await it.ask("list_upstreams"))


async def test_the_file_in_the_root_folder_counts_once_it_is_trusted(
    jp_root_dir: Path, ask: Callable[..., Any], running: RunningEngine
) -> None:
    (jp_root_dir / "pctx.json").write_text(json.dumps({"servers": [peer(name="a")]}))
    await ready(running, "a")
    _, listed = await ask("GET")
    assert [(one["name"], one["state"]) for one in listed["upstreams"]] == [("a", "untrusted")]
    assert "nobody has trusted" in ((await running.get()).status()["upstreams"]["trouble"])
    assert (await ask("POST", "a", "reconnect"))[1]["state"] == "untrusted"
    for act in ("approve", "trust"):
        assert (await ask("POST", "a", act, body={"seen": "another"}))[0] == 400
    code, trusted = await ask("POST", "a", "trust", body={"seen": listed["upstreams"][0]["mark"]})
    assert (code, trusted["state"]) == (200, "connecting")
    await ready(running, "a")
    status = (await running.get()).status()
    assert status["upstreams"] == {"a": "ready", "trouble": None}


async def test_nobody_without_a_sign_in_under_way_comes_back_from_one(jp_fetch: Any) -> None:
    with pytest.raises(HTTPClientError, match="400"):
        await jp_fetch("pctx", "oauth", "callback", params={"code": "c", "state": "s"})
    with pytest.raises(HTTPClientError, match="403"):
        await jp_fetch("pctx", "oauth", "callback", params={"code": "c", "state": "s"}, headers={"Authorization": ""})


async def test_a_person_signs_in_and_comes_back_to_this_server(
    ask: Callable[..., Any], jp_fetch: Any, running: RunningEngine, url: str
) -> None:
    port = free_port()
    there = f"http://127.0.0.1:{port}"
    async with serving(make_server(Authority(), there).streamable_http_app(), port):
        assert (await ask("POST", body={"server": {"name": "it", "url": f"{there}/mcp"}, "persist": False}))[0] == 201
        await ready(running, "It")
        code, begun = await ask("POST", "it", "sign-in")
        assert code == 200
        assert begun["host"] == f"127.0.0.1:{port}" and "gets_code" not in begun
        (back,) = parse_qs(urlsplit(begun["url"]).query)["redirect_uri"]
        assert urlsplit(back).path == urlsplit(url).path + "pctx/oauth/callback"
        query = dict(parse_qsl(urlsplit(await browse(begun["url"])).query))
        page = await jp_fetch("pctx", "oauth", "callback", params=query, headers={"Sec-Fetch-Site": "cross-site"})
        assert page.body.decode() == "Signed in to it: 3 tools. You can close this page.\n"
        assert (await ask("GET"))[1]["upstreams"][0]["state"] == "ready"
        with pytest.raises(HTTPClientError, match="400"):
            await jp_fetch("pctx", "oauth", "callback", params=query)


async def test_a_browser_with_this_servers_cookie_may_come_back_from_elsewhere(jp_fetch: Any, url: str) -> None:
    first = await jp_fetch("pctx", "health")
    cookies = "; ".join(one.partition(";")[0] for one in first.headers.get_list("Set-Cookie"))
    here = url.replace("ws://localhost", "http://127.0.0.1")  # the cookie is that of a host
    async with httpx2.AsyncClient(headers={"Cookie": cookies, "Sec-Fetch-Site": "cross-site"}) as browser:
        came = await browser.get(f"{here}pctx/oauth/callback?state=s&code=c")
        assert came.status_code == 400 and "Cannot sign in" in came.text
        assert (await browser.get(f"{here}pctx/api/upstreams")).status_code == 403
