"""Upstreams over HTTP, signing in to them included. Real servers, of the SDK; the browser is a client."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp.server.mcpserver import Context

from pctx_jupyter import errors

from ..recorded import recording
from .conftest import OpenWorld, peer
from .http_peer import Authority, Bearer, Flood, Stranger, browse, free_port, make_server, serving


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_server_is_called_over_either_transport(open_world: OpenWorld, kind: str) -> None:
    port = free_port()
    server = make_server()
    app = server.streamable_http_app() if kind == "http" else server.sse_app()
    path = "mcp" if kind == "http" else "sse"
    async with (
        serving(app, port),
        open_world({"name": "it", "type": kind, "url": f"http://127.0.0.1:{port}/{path}"}) as world,
    ):
        view = await world.until_state("it")
        assert (view.transport, view.tools, view.where) == (kind, 3, f"http://127.0.0.1:{port}/{path}")
        assert await world.call("It.echo", {"text": "hi"}) == {"result": "hi"}
        large = "x" * ((3 << 20) if kind == "http" else 500_000)  # the SDK reads no more over the older one
        assert await world.call("It.echo", {"text": large}) == {"result": large}
        assert await world.call("It.count", {"n": 2}) == {"result": "counted"}
        assert world.notes == ["counting (1 of 2)", "counting (2 of 2)"]


async def test_the_span_of_a_call_travels_in_the_request_and_in_its_header(open_world: OpenWorld) -> None:
    port, server = free_port(), make_server()
    app, headers = server.streamable_http_app(), list[str]()

    @server.tool()
    def look(context: Context) -> dict[str, str]:  # type: ignore[type-arg]
        meta = context.request_context.meta or {}
        return {"traceparent": str(meta.get("traceparent"))}

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        found = dict(scope.get("headers", ())).get(b"traceparent")
        if found is not None:
            headers.append(found.decode())
        await app(scope, receive, send)

    with recording() as spans:
        async with serving(noting, port), open_world({"name": "it", "url": f"http://127.0.0.1:{port}/mcp"}) as world:
            await world.until_state("it")
            headers.clear()
            with spans.tracer.start_as_current_span("call") as call:
                found = await world.call("It.look", {})
            trace_id = f"{call.get_span_context().trace_id:032x}"
            assert found["traceparent"].split("-")[1] == trace_id
            assert trace_id in {header.split("-")[1] for header in headers}


async def test_headers_are_sent_and_their_lack_is_told(open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("PCTX_TEST_KEY", "s3cr3t-canary")
    url = f"http://127.0.0.1:{port}/mcp"
    entries = [
        {"name": "bearer", "url": url, "auth": {"type": "bearer", "token": "${env:PCTX_TEST_KEY}"}},
        {"name": "wrong", "url": url, "auth": {"type": "bearer", "token": "other"}},
    ]
    app = Bearer(make_server().streamable_http_app(), "authorization", "Bearer s3cr3t-canary")
    async with serving(app, port), open_world(*entries) as world:
        await world.until_state("bearer")
        assert await world.call("Bearer.echo", {"text": "s3cr3t-canary"}) == {"result": "***"}
        await world.until(lambda: world.view("wrong").error is not None)
        assert world.view("wrong").error == "it refuses us (HTTP 403); look at auth in its configuration"


@pytest.mark.parametrize(
    ("entry", "value", "said"),
    [
        (
            {"headers": {"X-Key": "${env:PCTX_TEST_KEY}"}},
            "canary-é",
            "the header X-Key of it .* not ASCII (character 8)",
        ),
        (
            {"auth": {"type": "bearer", "token": "${env:PCTX_TEST_KEY}"}},
            "canary\n",
            "Authorization of it .* line break",
        ),
        ({"headers": {"X-Key": "${env:PCTX_TEST_KEY}"}}, "canary\r\nX-Other: 1", "X-Key of it .* line break"),
        ({"headers": {"X-Key": "canary-é"}}, "", "the header X-Key of it .* not ASCII (character 8)"),
        ({"headers": {"X-Key": "${env:PCTX_TEST_KEY}"}}, " canary", "X-Key of it .* begins or ends with a space"),
        ({"headers": {"X-Key": "${env:PCTX_TEST_KEY}"}}, "canary\udce9", "X-Key of it .* not ASCII (character 7)"),
        ({"headers": {"X-Key": "${command:printf 'canary\\0'}"}}, "", "X-Key of it .* control character"),
        ({"path": "mcp?key=${env:PCTX_TEST_KEY}"}, "canary 1", "url of it .* percent-encoded .* ${env:PCTX_TEST_KEY}"),
        ({"path": "mcp?key=${env:PCTX_TEST_KEY}"}, "canary\n", "url of it .* percent-encoded"),
        ({"user": "u:${env:PCTX_TEST_KEY}@"}, "canary@login.example/", "url of it .* percent-encoded"),
        ({"command": "server", "env": {"KEY": "${command:printf 'canary\\0'}"}}, "", "the variable KEY of it .* NUL"),
    ],
)
async def test_a_secret_that_cannot_be_sent_is_told_once_and_without_it(
    open_world: OpenWorld,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    entry: dict[str, Any],
    value: str,
    said: str,
) -> None:
    port = free_port()
    monkeypatch.setenv("PCTX_TEST_KEY", value)
    entry = dict(entry)
    if "command" not in entry:
        entry["url"] = f"http://{entry.pop('user', '')}127.0.0.1:{port}/{entry.pop('path', 'mcp')}"
    server = Stranger("")
    async with serving(server, port), open_world({"name": "it", **entry}) as world:
        error = (await world.until_state("it", "down")).error or ""
        words = [re.escape(word) for word in said.split(" .* ")]
        assert re.search(".*".join(words), error), error
        assert "canary" not in error + caplog.text and "next attempt" not in caplog.text
        monkeypatch.setenv("PCTX_TEST_KEY", "good")
        if "command" not in entry and value:
            world.upstreams.reconnect("it")
            await world.until(lambda: "POST /mcp" in server.asked)
        else:
            assert server.asked == []


async def test_a_session_name_that_no_header_can_hold_is_told_in_words(open_world: OpenWorld) -> None:
    port = free_port()

    async def naming(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return
        asked = json.loads((await receive()).get("body") or b"{}")
        about = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "n", "version": "1"}}
        body = json.dumps({"jsonrpc": "2.0", "id": asked.get("id"), "result": about}).encode()
        headers = [(b"content-type", b"application/json"), (b"mcp-session-id", b"s\xe9")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async with serving(naming, port), open_world({"name": "it", "url": f"http://127.0.0.1:{port}/mcp"}) as world:
        error = (await world.until_state("it", "down")).error or ""
        assert "UnicodeEncodeError" not in error and "codec" not in error


async def test_a_host_that_has_no_name_in_ascii_is_down_by_name(open_world: OpenWorld) -> None:
    async with open_world({"name": "it", "url": f"http://{'é' * 70}.example/mcp"}) as world:
        assert "the url of it is no address" in ((await world.until_state("it", "down")).error or "")


async def test_a_server_that_goes_during_a_call_and_comes_back_serves_the_next_one(open_world: OpenWorld) -> None:
    port = free_port()
    async with open_world({"name": "it", "url": f"http://127.0.0.1:{port}/mcp"}) as world:
        async with serving(make_server().streamable_http_app(), port):
            await world.until_state("it")
            slow = asyncio.create_task(world.call("It.slow"))
            await asyncio.sleep(0.2)
        with pytest.raises(errors.ToolFailed, match="may or may not have run") as raised:
            await slow
        assert raised.value.name == "ConnectionLost"
        async with serving(make_server().streamable_http_app(), port):
            assert await world.call("It.echo", {"text": "again"}) == {"result": "again"}


async def test_a_session_that_the_server_forgot_is_opened_again_and_the_call_made(open_world: OpenWorld) -> None:
    port = free_port()
    async with open_world({"name": "it", "url": f"http://127.0.0.1:{port}/mcp"}) as world:
        async with serving(make_server().streamable_http_app(), port):
            await world.until_state("it")
        async with serving(make_server().streamable_http_app(), port):
            for n in range(3):
                assert await world.call("It.echo", {"text": str(n)}) == {"result": str(n)}


async def test_a_secret_does_not_follow_a_redirect_to_another_server(open_world: OpenWorld) -> None:
    seen: list[str] = []
    port, other = free_port(), free_port()

    async def redirect(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return
        seen.append(f"{scope['server'][1]} {dict(scope['headers']).get(b'authorization', b'').decode()}")
        if scope["path"] == "/page":
            page = [(b"content-type", b"text/html; charset=utf-8")]
            await send({"type": "http.response.start", "status": 200, "headers": page})
            await send({"type": "http.response.body", "body": b"<html>Welcome</html>"})
            return
        location = f"http://127.0.0.1:{other}/mcp?state=secret".encode()
        await send({"type": "http.response.start", "status": 307, "headers": [(b"location", location)]})
        await send({"type": "http.response.body", "body": b""})

    entry = {"name": "it", "url": f"http://127.0.0.1:{port}/mcp", "auth": {"type": "bearer", "token": "canary"}}
    page = {"name": "page", "url": f"http://127.0.0.1:{port}/page"}
    async with serving(redirect, port), serving(redirect, other), open_world(entry, page) as world:
        await world.until(lambda: world.view("it").error is not None and world.view("page").error is not None)
        assert seen and all(one.startswith(f"{port} ") for one in seen)
        assert world.view("it").error == (
            f"it redirects to http://127.0.0.1:{other}/mcp, which is not followed; if you know that host, write this "
            "address as its url"
        )
        assert world.view("page").error == ("what answers there is no MCP server: it sends text/html; correct the url")


TOO_LARGE = r"it answers with more than 1,048,576 bytes \(Pctx\.max_message_bytes\)"


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_an_answer_without_end_fails_its_call_by_name_and_nothing_else(
    open_world: OpenWorld, content_type: str, encoding: str
) -> None:
    port = free_port()
    entry = {"name": "it", "url": f"http://127.0.0.1:{port}/mcp"}
    async with (
        serving(Flood("tools/call", content_type, encoding), port),
        open_world(entry, peer(), max_message_bytes=1 << 20) as world,
    ):
        await world.until_state("it")
        with pytest.raises(errors.ToolFailed, match=rf"^Cannot read the result of It\.pour: {TOO_LARGE}"):
            await world.call("It.pour")
        assert (world.view("it").state, world.view("it").connections) == ("ready", 1)
        await world.until_state("good")
        assert await world.call("Good.echo", {"text": "x"}) == "x"


async def test_a_call_that_something_else_answers_fails_by_name(open_world: OpenWorld) -> None:
    port = free_port()
    entry = {"name": "it", "url": f"http://127.0.0.1:{port}/mcp"}
    async with serving(Flood("tools/call", "text/html"), port), open_world(entry) as world:
        await world.until_state("it")
        why = r"It\.pour: what answered for it is no MCP server \(Unexpected content type: text/html\); the tool may or"
        with pytest.raises(errors.ToolFailed, match=why):
            await world.call("It.pour")


@pytest.mark.parametrize("method", ["initialize", "tools/list", "oauth"])
async def test_a_server_that_floods_whoever_connects_is_down_by_name(open_world: OpenWorld, method: str) -> None:
    port = free_port()
    entry = {"name": "it", "url": f"http://127.0.0.1:{port}/mcp"}
    async with serving(Flood(method), port), open_world(entry, peer(), max_message_bytes=1 << 20) as world:
        if method == "oauth":
            await world.until_state("it", "needs sign-in")
            with pytest.raises(errors.CannotConnect, match=TOO_LARGE):
                await world.upstreams.sign_in("it", "http://127.0.0.1:1/callback")
        else:
            await world.until_state("it", "down")
            assert re.search(TOO_LARGE, world.view("it").error or "")
        await world.until_state("good")
        assert await world.call("Good.echo", {"text": "x"}) == "x"


# signing in


async def test_a_person_signs_in_with_the_answer_brought_by_hand(
    open_world: OpenWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "pctx_jupyter")
    port, authority = free_port(), Authority()
    url = f"http://127.0.0.1:{port}"
    async with serving(make_server(authority, url).streamable_http_app(), port):
        async with open_world({"name": "it", "url": f"{url}/mcp"}) as world:
            view = await world.until_state("it", "needs sign-in")
            assert view.error == "it needs a sign-in" and not authority.clients
            here = "https://hub.example.com/user/me/pctx/oauth/callback"
            page = (await world.upstreams.sign_in("it", here)).url
            asked = parse_qs(urlsplit(page).query)
            assert asked["redirect_uri"] == [here] and asked["code_challenge_method"] == ["S256"]
            assert asked["resource"] == [f"{url}/mcp"]
            back = await browse(page)
            assert back.startswith(here)
            signed_in = await world.upstreams.finish_sign_in(back)
            assert (signed_in.state, signed_in.tools) == ("ready", 3)
            assert await world.call("It.echo", {"text": "hi"}) == {"result": "hi"}
            with pytest.raises(errors.InvalidParams, match="belongs to no sign-in"):
                await world.upstreams.finish_sign_in(back)
            with pytest.raises(errors.InvalidParams, match="it lets us in already"):
                await world.upstreams.sign_in("it", here)
            assert "canary" not in repr(world.upstreams.listed())
        kept = tmp_path / "data" / "sign-ins.json"
        assert kept.stat().st_mode & 0o777 == 0o600
        async with open_world({"name": "it", "url": f"{url}/mcp"}) as world:
            await world.until_state("it")  # as before, with nobody at a browser
            assert len(authority.clients) == 1
            await world.upstreams.remove("it")
        assert "it" not in json.loads(kept.read_text())
    assert "canary" not in caplog.text


async def test_a_person_signs_in_with_a_browser_on_this_machine(open_world: OpenWorld) -> None:
    port, authority = free_port(), Authority()
    url = f"http://127.0.0.1:{port}"
    async with (
        serving(make_server(authority, url).streamable_http_app(), port),
        open_world({"name": "it", "url": f"{url}/mcp"}) as world,
    ):
        await world.until_state("it", "needs sign-in")
        back = await browse((await world.upstreams.sign_in("it", None)).url)
        async with httpx2.AsyncClient() as browser:
            page = await browser.get(back)
            assert page.status_code == 200 and "close this page" in page.text
        await world.until_state("it")


async def test_tokens_that_expire_are_renewed_after_a_restart_too(open_world: OpenWorld) -> None:
    port, authority = free_port(), Authority(expires_in=-1)
    url = f"http://127.0.0.1:{port}"
    async with serving(make_server(authority, url).streamable_http_app(), port):
        async with open_world({"name": "it", "url": f"{url}/mcp"}) as world:
            await world.until_state("it", "needs sign-in")
            page = (await world.upstreams.sign_in("it", "http://127.0.0.1:1/callback")).url
            authority.expires_in = 3600  # what was expired when it came is renewed at once
            await world.upstreams.finish_sign_in(await browse(page))
            await world.until_state("it")
        for token in authority.access.values():
            token.expires_at = 1
        kept = Path(world.file).parent / "data" / "sign-ins.json"
        known = json.loads(kept.read_text())
        known["it"]["expires_at"] = 1.0
        kept.write_text(json.dumps(known))
        async with open_world({"name": "it", "url": f"{url}/mcp"}) as world:
            await world.until_state("it")
            assert authority.refreshed == 1


async def test_a_refusal_is_told_and_a_sign_in_can_begin_again(open_world: OpenWorld) -> None:
    port, authority = free_port(), Authority(is_strict=True)
    url = f"http://127.0.0.1:{port}"
    async with (
        serving(make_server(authority, url).streamable_http_app(), port),
        open_world({"name": "it", "url": f"{url}/mcp"}) as world,
    ):
        await world.until_state("it", "needs sign-in")
        back = await browse((await world.upstreams.sign_in("it", "http://127.0.0.1:1/callback")).url)
        with pytest.raises(errors.InvalidParams, match="it says 'access_denied'"):
            await world.upstreams.finish_sign_in(back)
        authority.is_strict = False
        first = (await world.upstreams.sign_in("it", "http://127.0.0.1:1/callback")).url
        second = (await world.upstreams.sign_in("it", "http://127.0.0.1:1/callback")).url
        with pytest.raises(errors.InvalidParams, match="belongs to no sign-in"):
            await world.upstreams.finish_sign_in(await browse(first))
        assert (await world.upstreams.finish_sign_in(await browse(second))).state == "ready"
        authority.forget_all()
        with pytest.raises(errors.ToolFailed):
            await world.call("It.echo", {"text": "x"})
        await world.until_state("it", "needs sign-in")
