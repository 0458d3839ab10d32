"""What passes while nothing is owed: nothing, so that a hub sees an idle server. A real server, behind a proxy."""

from __future__ import annotations

import asyncio
import socket as sockets
from contextlib import nullcontext
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import _streamable_http_modern
from sse_starlette import sse

from pctx_jupyter import errors, foreign
from pctx_jupyter.client import PctxClient, changes, socket
from pctx_jupyter.server.base import RUNNING
from pctx_jupyter.server.running import RunningEngine
from tests.fakes import SOON

from .proxy import proxied
from .test_client import busy

Server = tuple[str, dict[str, str]]


@pytest.fixture
def jp_server_config() -> dict[str, Any]:
    pctx = {"warm_sandboxes": 1, "ping_s": 0.05}
    return {"ServerApp": {"jpserver_extensions": {"pctx_jupyter": True}}, "Pctx": pctx}


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "PING_S", 0.05)


async def test_clients_and_panels_that_idle_pass_nothing_and_one_that_waits_is_pinged(server: Server) -> None:
    url, headers = server
    async with (
        proxied(url) as idle,
        proxied(url) as busily,
        PctxClient(idle.url, headers=headers) as client,
        PctxClient(busily.url, headers=headers) as other,
        changes.listen(f"http{idle.url.removeprefix('ws').removesuffix('local-tools')}", headers, "jupyterlab"),
        asyncio.timeout(2 * SOON),
    ):
        await client.register_tool("a", "b", lambda _: 1)
        assert (await client.run("await a.b()")).value == 1
        execution, _ = await busy(other)
        await asyncio.sleep(0.5)  # what the panel is told about those programs has left by then
        passed, passed_busily = idle.passed_bytes, busily.passed_bytes
        for _ in range(10):  # ten pings, of either end
            before = busily.passed_bytes
            while busily.passed_bytes == before:
                await asyncio.sleep(0.01)
        assert idle.passed_bytes == passed and busily.passed_bytes > passed_busily
        assert (await client.run("await a.b()")).value == 1
        execution.cancel()


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_an_agent_that_only_listens_is_sent_no_pings(
    server: Server, monkeypatch: pytest.MonkeyPatch, era: Any
) -> None:
    monkeypatch.setattr(_streamable_http_modern, "_SSE_PING_INTERVAL", 0.05)
    monkeypatch.setattr(sse.EventSourceResponse, "DEFAULT_PING_INTERVAL", 0.05)
    dropped = 0

    def is_ping(body: bytes) -> bool:
        nonlocal dropped
        dropped += body.startswith(b": ping")
        return body.startswith(b": ping")

    monkeypatch.setattr(foreign, "is_sse_ping", is_ping)
    url, headers = server
    async with proxied(url) as idle, httpx2.AsyncClient(headers=headers) as http, asyncio.timeout(2 * SOON):
        endpoint = f"http{idle.url.removeprefix('ws').removesuffix('local-tools')}mcp"
        async with Client(streamable_http_client(endpoint, http_client=http), mode=era) as agent:
            listens = nullcontext() if era == "legacy" else agent.listen(tools_list_changed=True)
            async with listens:
                while dropped < 3:
                    await asyncio.sleep(0.01)
                passed = idle.passed_bytes
                while dropped < 10:
                    await asyncio.sleep(0.01)
                assert idle.passed_bytes == passed


async def test_a_server_that_falls_silent_is_noticed_once_something_is_owed(server: Server) -> None:
    url, headers = server
    async with proxied(url) as proxy, PctxClient(proxy.url, headers=headers, reconnect=False) as client:
        proxy.hold()
        async with asyncio.timeout(SOON):
            with pytest.raises(errors.ConnectionLost, match="may or may not"):
                await client.run("1")
        assert client.ws is None


async def test_the_system_watches_over_both_ends_of_a_connection_that_idles(server: Server, jp_serverapp: Any) -> None:
    async with PctxClient(server[0], headers=server[1]) as client:
        assert isinstance(client.ws, socket.Socket)
        own = client.ws._connection.transport.get_extra_info("socket")
        assert own.getsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE)
        running: RunningEngine = jp_serverapp.web_app.settings[RUNNING]
        (door,) = (await running.get())._doors
        other = foreign.socket_of(door.channel._send.__self__.ws_connection)  # type: ignore[attr-defined]
        assert other.getsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE), "the server's end"
