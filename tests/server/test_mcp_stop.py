"""A Jupyter server that stops while agents are connected: a process of its own, real clients with open streams."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import urllib.request
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from .process import ServerProcess, server_process

LONG = 50
FOR_EVER = {"code": "console.log('runs'); for (;;) await new Promise((go) => setTimeout(go, 10))"}


async def occupy(server: ServerProcess, era: str, is_busy: asyncio.Event) -> None:
    """Run a program that does not end, and listen, until the server is gone."""

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        is_busy.set()

    with contextlib.suppress(Exception):  # however a client takes it that its server goes
        async with contextlib.AsyncExitStack() as stack:
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=server.headers, timeout=LONG))
            transport = streamable_http_client(f"{server.url}mcp", http_client=http)
            client = await stack.enter_async_context(Client(transport, mode=era))
            if era != "legacy":
                await stack.enter_async_context(client.listen(tools_list_changed=True))
            await client.call_tool("execute", FOR_EVER, progress_callback=on_progress)


def ask_plainly(server: ServerProcess) -> Any:
    """Do the same as a client that knows no MCP; returns its answer."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "execute", "arguments": FOR_EVER}}
    request = urllib.request.Request(f"{server.url}mcp", data=json.dumps(body).encode(), headers=server.headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=LONG) as answer:
        return json.load(answer)


async def executions(server: ServerProcess) -> int:
    """How many programs run."""
    status: dict[str, Any] = await asyncio.to_thread(server.ask, "GET", "pctx/api/status")
    return int(status["executions"])


async def test_a_server_stops_in_time_and_in_silence_whatever_its_agents_do() -> None:
    with server_process() as server:
        async with asyncio.timeout(LONG):
            events = [asyncio.Event(), asyncio.Event()]
            clients = [
                asyncio.create_task(occupy(server, era, event))
                for era, event in zip(("legacy", "auto"), events, strict=True)
            ]
            plain = asyncio.create_task(asyncio.to_thread(ask_plainly, server))
            for event in events:
                await event.wait()
            while await executions(server) < 3:
                await asyncio.sleep(0.05)
        assert await asyncio.to_thread(server.stop, signal.SIGTERM) == 0
        answer = (await asyncio.gather(plain, return_exceptions=True))[0]
        assert isinstance(answer, Exception) or "stopping" in answer["error"]["message"]
        for client in clients:
            client.cancel()
        await asyncio.wait(clients)
    for trouble in ("Traceback", "Task was destroyed", "never awaited", "Exception"):
        assert trouble not in server.log, server.log
