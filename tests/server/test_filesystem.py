"""Agents that find functions with bash: the official MCP client in both eras, a real server, real sandboxes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
import mcp.types as t
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from pctx_jupyter.server.running import RunningEngine

from .conftest import Headers
from .wires import Wire

LONG = 20
"""Seconds for what includes the first type check on a busy machine."""
SCHEMA = {"type": "object", "properties": {"status": {"enum": ["open", "paid"]}}, "required": ["status"]}

OpenWire = Callable[..., AbstractAsyncContextManager[Wire]]
OpenAgent = Callable[[], AbstractAsyncContextManager[Client]]


@pytest.fixture
def limits() -> dict[str, Any]:
    return {"max_check_s": 20, "disclosure": "filesystem"}


@pytest.fixture(params=["legacy", "auto"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_agent(wire: OpenWire, running: RunningEngine, url: str, jp_auth_header: Headers, era: str) -> OpenAgent:
    """Opens an agent, and a notebook ``Sales`` that offers a function."""

    @asynccontextmanager
    async def open() -> AsyncIterator[Client]:
        async with (
            asyncio.timeout(LONG),
            wire() as notebook,
            httpx2.AsyncClient(headers=jp_auth_header) as http,
            Client(streamable_http_client(url.replace("ws", "http", 1) + "mcp", http_client=http), mode=era) as client,
        ):
            await notebook.offer("Notebook.load_orders", input_schema=SCHEMA)
            registry = (await running.get()).registry
            session = registry.get(notebook.session_id)
            assert session is not None
            session.kernel_id = "a kernel"
            registry.name_kernel(session.kernel_id, "sales")
            yield client

    return open


def text(result: Any) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, t.TextContent))


@pytest.mark.parametrize("typecheck", [True])
async def test_an_agent_reads_a_declaration_and_writes_a_program_by_it(open_agent: OpenAgent) -> None:
    async with open_agent() as client:
        listed = {one.name: one for one in (await client.list_tools()).tools}
        assert list(listed) == ["execute_bash", "execute", "wait_execution"]
        annotations = listed["execute_bash"].annotations
        assert annotations is not None and annotations.read_only_hint
        answer = await client.call_tool(
            "execute_bash", {"command": "grep -i orders README.md && cat */loadOrders.d.ts"}
        )
        done = json.loads(text(answer))
        assert (done["exit_code"], done["stderr"], answer.is_error) == (0, "", False)
        assert done["stdout"].startswith("Sales/loadOrders.d.ts") and 'status: "open" | "paid"' in done["stdout"]
        wrong = await client.call_tool("execute", {"code": 'await Sales.loadOrders({ status: "gone" })'})
        assert wrong.is_error and "not assignable" in text(wrong)


async def test_a_failing_command_is_an_answer_and_not_an_error_of_the_call(open_agent: OpenAgent) -> None:
    async with open_agent() as client:
        answer = await client.call_tool("execute_bash", {"command": "curl http://localhost:8888; echo x > README.md"})
        done = json.loads(text(answer))
        assert not answer.is_error and done["exit_code"] != 0
        assert "curl: command not found" in done["stderr"] or "read-only" in done["stderr"]
