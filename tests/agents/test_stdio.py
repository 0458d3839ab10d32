"""MCP over stdin and stdout: real processes, engines and Jupyter servers; the official client at the other end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import mcp.types as t
import psutil
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from ..server.process import server_process

ROOT = Path(__file__).parent.parent.parent
LONG = 45
"""Seconds for a process to start on a busy machine, and more."""
ERAS = ["legacy", "auto"]

EMBEDDED = """
import asyncio
from pctx_jupyter.engine import open_engine
from pctx_jupyter.agents.stdio import serve_stdio
from pctx_jupyter.settings import Settings

async def main():
    async with open_engine(Settings(check_s=20)) as engine:
        await serve_stdio(engine.mcp())

asyncio.run(main())
"""
BRIDGE = """
import asyncio, sys
from pctx_jupyter.agents.stdio import bridge_stdio
asyncio.run(bridge_stdio(*sys.argv[1:]))
"""


@asynccontextmanager
async def started(script: str, *arguments: str, mode: str = "auto") -> AsyncIterator[Client]:
    """A client of a process that runs this script."""
    command = StdioServerParameters(
        command=sys.executable, args=["-c", script, *arguments], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    async with asyncio.timeout(LONG), Client(command, mode=mode) as client:
        yield client


def text(result: t.CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, t.TextContent))


@pytest.mark.parametrize("era", ERAS)
async def test_an_engine_of_its_own_serves_a_client_and_leaves_nothing(era: str) -> None:
    before = set(psutil.Process().children(recursive=True))
    async with started(EMBEDDED, mode=era) as client:
        assert len((await client.list_tools()).tools) == 5
        messages: list[str | None] = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            messages.append(message)

        code = "console.log('hi'); await new Promise((go) => setTimeout(go, 300)); 1 + 1"
        result = await client.call_tool("execute", {"code": code}, progress_callback=hear)
        assert text(result) == "console:\nhi\nresult:\n2" and "hi" in messages
    _, alive = psutil.wait_procs(set(psutil.Process().children(recursive=True)) - before, timeout=5)
    assert alive == []


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.timeout(120)
async def test_the_bridge_serves_a_client_by_a_running_server_also_when_that_starts_anew(era: str) -> None:
    with server_process() as server:
        async with started(BRIDGE, f"{server.url}pctx/mcp", server.token, mode=era) as client:
            assert len((await client.list_tools()).tools) == 5
            assert text(await client.call_tool("execute", {"code": "1 + 1"})) == "2"
            server.stop()
            with pytest.raises(MCPError, match="is it running"):
                await client.call_tool("execute", {"code": "1 + 1"})
            with server_process(like=server):
                assert text(await client.call_tool("execute", {"code": "2 + 2"})) == "4"


async def test_the_bridge_says_when_its_token_is_wrong() -> None:
    with server_process() as server:
        async with started(BRIDGE, f"{server.url}mcp", "wrong", mode="legacy") as client:
            with pytest.raises(MCPError, match="Authentication required"):
                await client.list_tools()


async def test_the_bridge_passes_on_progress_and_cancellation() -> None:
    with server_process() as server:
        heard = asyncio.Event()

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            heard.set()

        async with started(BRIDGE, f"{server.url}mcp", server.token) as client:
            code = "console.log('hi'); for (;;) await new Promise((go) => setTimeout(go, 10))"
            asked = asyncio.create_task(client.call_tool("execute", {"code": code}, progress_callback=hear))
            await heard.wait()
            assert b'"executions": 1' in await asyncio.to_thread(status, server)
            asked.cancel()
            while b'"executions": 0' not in await asyncio.to_thread(status, server):
                await asyncio.sleep(0.05)


def status(server: object) -> bytes:
    import urllib.request

    request = urllib.request.Request(f"{server.url}pctx/api/status", headers=server.headers)  # type: ignore[attr-defined]
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
        found: bytes = answer.read()
        return found
