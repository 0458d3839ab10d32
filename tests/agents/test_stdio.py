"""MCP over stdin and stdout: real processes, engines and Jupyter servers; the official client at the other end."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp.types as t
import psutil
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.session import ElicitationFnT
from mcp.shared.exceptions import MCPError

from ..server.process import server_process
from ..upstream.conftest import peer

ROOT = Path(__file__).parent.parent.parent
LONG = 45
"""Seconds for a process to start on a busy machine, and more."""
ERAS = ["legacy", "auto"]

EMBEDDED = """
import asyncio, sys
from pctx_jupyter.engine import open_engine
from pctx_jupyter.agents.stdio import serve_stdio
from pctx_jupyter.settings import Settings

async def main():
    settings = {"upstreams": sys.argv[1], "policy": ("ask agent *",)} if len(sys.argv) > 1 else {}
    async with open_engine(Settings(max_check_s=20, **settings)) as engine:
        await serve_stdio(engine.mcp())

asyncio.run(main())
"""
BRIDGE = """
import asyncio, sys
from pctx_jupyter.agents.stdio import bridge_stdio
asyncio.run(bridge_stdio(*sys.argv[1:]))
"""


@asynccontextmanager
async def started(
    script: str, *arguments: str, mode: str = "auto", user: ElicitationFnT | None = None
) -> AsyncIterator[Client]:
    """A client of a process that runs this script; `user` is who it can ask."""
    command = StdioServerParameters(
        command=sys.executable, args=["-c", script, *arguments], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    async with asyncio.timeout(LONG), Client(command, mode=mode, elicitation_callback=user) as client:
        yield client


def text(result: t.CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, t.TextContent))


@pytest.mark.parametrize("era", ERAS)
async def test_an_engine_of_its_own_serves_a_client_and_leaves_nothing(era: str) -> None:
    before = set(psutil.Process().children(recursive=True))
    async with started(EMBEDDED, mode=era) as client:
        assert len((await client.list_tools()).tools) == 5
        messages: list[str | None] = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            messages.append(message)

        code = "console.log('hi'); await new Promise((go) => setTimeout(go, 300)); 1 + 1"
        result = await client.call_tool("execute", {"code": code}, progress_callback=on_progress)
        assert text(result) == "console:\nhi\nresult:\n2" and "hi" in messages
    _, alive = psutil.wait_procs(set(psutil.Process().children(recursive=True)) - before, timeout=5)
    assert alive == []


@pytest.mark.parametrize("era", ERAS)
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

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            heard.set()

        async with started(BRIDGE, f"{server.url}mcp", server.token) as client:
            code = "console.log('hi'); for (;;) await new Promise((go) => setTimeout(go, 10))"
            asked = asyncio.create_task(client.call_tool("execute", {"code": code}, progress_callback=on_progress))
            await heard.wait()
            assert b'"executions": 1' in await asyncio.to_thread(status, server)
            asked.cancel()
            while b'"executions": 0' not in await asyncio.to_thread(status, server):
                await asyncio.sleep(0.05)


# consent


CODE = """
let said = "";
try { said = JSON.stringify(await Good.echo({ text: "hi" })) } catch (error) { said = `${error}` }
said"""


@pytest.fixture
def servers(tmp_path: Path) -> Path:
    """A file that names an MCP server."""
    file = tmp_path / "servers.json"
    file.write_text(json.dumps({"name": "pctx", "servers": [peer()]}))
    return file


class User:
    """Whom a client asks: they say yes."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, context: Any, params: t.ElicitRequestParams) -> t.ElicitResult:
        self.asked.append(params.message)
        return t.ElicitResult(action="accept", content={"allow": True})


@pytest.mark.parametrize("era", ERAS)
async def test_an_engine_of_its_own_asks_by_the_client_or_denies_at_once(era: str, servers: Path) -> None:
    user = User()
    async with started(EMBEDDED, str(servers), mode=era, user=user) as client:
        assert "hi" in text(await client.call_tool("execute", {"code": CODE}))
    assert len(user.asked) == 1 and "wants to call Good.echo." in user.asked[0]
    async with started(EMBEDDED, str(servers), mode=era) as client:
        said = text(await client.call_tool("execute", {"code": CODE}))
    assert "it was not sent" in said and "jupyter pctx start" in said and "open JupyterLab" not in said


def test_a_line_that_the_sdk_does_not_read_is_answered_with_its_id() -> None:
    asked = '{"jsonrpc": "2.0", "id": %d, "method": "tools/call", "params": {"name": "execute", "arguments": %s}}'
    opening = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": opening}),
        asked % (2, '{"a": %s}' % ("[" * 5_000 + "]" * 5_000)),
        asked % (3, '{"a": %s}' % ("[" * 400 + "]" * 400)),
        asked % (4, '{"a": %s}' % ("1" * 10_000)),
        asked % (5, '{"a": "\\ud800"}'),
        "",
        f"[{asked % (6, '{}')}]",
    ]
    process = subprocess.run(
        [sys.executable, "-c", BRIDGE, "http://127.0.0.1:9/mcp", ""],
        input="".join(f"{line}\n" for line in lines),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        timeout=LONG,
        check=True,
    )
    answers = {answer["id"]: answer for answer in map(json.loads, process.stdout.splitlines())}
    assert answers.keys() == {1, 2, 3, 4, 5, None}
    assert "nested deeper than 500 levels" in answers[2]["error"]["message"]


@pytest.mark.parametrize("era", ERAS)
async def test_the_bridge_passes_on_what_the_server_asks_the_clients_user(era: str, servers: Path) -> None:
    user = User()
    with server_process(f"--Pctx.upstreams={servers}", "--Pctx.policy=ask agent *") as server:
        endpoint = (f"{server.url}pctx/mcp", server.token)
        async with started(BRIDGE, *endpoint, mode=era, user=user) as client:
            for _ in range(2):
                assert "hi" in text(await client.call_tool("execute", {"code": CODE}))
        assert len(user.asked) == 2
        async with started(BRIDGE, *endpoint, mode=era) as client:
            said = text(await client.call_tool("execute", {"code": CODE}))
        assert "it was not sent" in said and "open JupyterLab on this server" in said


async def test_a_client_that_cancels_while_its_user_is_asked_stops_its_program_behind_the_bridge(servers: Path) -> None:
    shown = asyncio.Event()

    async def user(context: Any, params: t.ElicitRequestParams) -> t.ElicitResult:
        shown.set()
        await asyncio.Event().wait()
        raise AssertionError

    with server_process(f"--Pctx.upstreams={servers}", "--Pctx.policy=ask agent *") as server:
        async with started(BRIDGE, f"{server.url}pctx/mcp", server.token, mode="legacy", user=user) as client:
            asked = asyncio.create_task(client.call_tool("execute", {"code": CODE}))
            await shown.wait()
            asked.cancel()
            while b'"executions": 0' not in await asyncio.to_thread(status, server):
                await asyncio.sleep(0.05)


def status(server: object) -> bytes:
    import urllib.request

    request = urllib.request.Request(f"{server.url}pctx/api/status", headers=server.headers)  # type: ignore[attr-defined]
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
        found: bytes = answer.read()
        return found
