"""An agent, by MCP, and a live notebook: what the how-to says, and a call that has to wait. Nothing is fake."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import mcp.types as t
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from ..kernel.real_kernel import RealKernel, attached
from ..server.process import ServerProcess, server_process

LONG = 50
"""Seconds for what includes a kernel and a type checker on a busy machine."""
PAGE = (Path(__file__).parent.parent.parent / "docs" / "howto" / "agents.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The page's blocks of one language."""
    return [text for found, text in BLOCKS if found == language]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with server_process("--Pctx.warm_sandboxes=1") as server:
        yield server


@pytest.fixture(scope="module")
def notebook(server: ServerProcess) -> Iterator[RealKernel]:
    _, process = server.open_notebook("sales report.ipynb")
    with attached(process) as kernel:
        assert kernel.run(blocks("python")[0]).error is None
        yield kernel


@asynccontextmanager
async def agent(server: ServerProcess) -> AsyncIterator[Client]:
    async with (
        asyncio.timeout(LONG),
        httpx2.AsyncClient(headers=server.headers) as http,
        Client(streamable_http_client(f"{server.url}pctx/mcp", http_client=http)) as client,
    ):
        while "SalesReport" not in await said(client, "list_functions"):
            await asyncio.sleep(0.1)
        yield client


async def said(client: Client, name: str, **arguments: Any) -> str:
    """What a function answers."""
    result = await client.call_tool(name, arguments)
    return "\n".join(block.text for block in result.content if isinstance(block, t.TextContent))


async def test_an_agent_does_what_the_how_to_says(server: ServerProcess, notebook: RealKernel) -> None:
    listed, answered, *_ = blocks("text")
    async with agent(server) as client:
        assert await said(client, "list_functions") == listed
        assert await said(client, "execute", code=blocks("typescript")[0]) == answered


BUSY = """
import os, time
open({begun!r}, "w").close()
while not os.path.exists({go_on!r}): time.sleep(0.02)
"""


def test_an_agent_hears_what_its_call_waits_for(server: ServerProcess, notebook: RealKernel, tmp_path: Path) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go on"
    has_heard = threading.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        if message is not None and "SalesReport.loadOrders: waits: a cell" in message:
            has_heard.set()

    async def execute() -> t.CallToolResult:
        async with agent(server) as client:
            return await client.call_tool(
                "execute", {"code": "await SalesReport.loadOrders()"}, progress_callback=on_progress
            )

    cell = notebook.start(BUSY.format(begun=str(begun), go_on=str(go_on)))
    while not begun.exists():
        time.sleep(0.02)
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(asyncio.run, execute())
        try:
            assert has_heard.wait(LONG)
        finally:
            go_on.touch()
        assert notebook.end(cell).error is None
        assert not asked.result(LONG).is_error


async def test_the_plain_request_of_the_how_to_is_answered(server: ServerProcess) -> None:
    body = next(found for text in blocks("bash") if (found := re.search(r"-d '(.*?)'", text, re.DOTALL)))

    def post() -> Any:
        request = urllib.request.Request(f"{server.url}pctx/mcp", data=body[1].encode(), headers=server.headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=LONG) as answer:
            return json.load(answer)

    answer = await asyncio.to_thread(post)
    assert json.loads(answer["result"]["content"][0]["text"])["output"] == 2
