"""Agents that call functions one by one: the official MCP client in both eras, a real server, real sandboxes."""

from __future__ import annotations

import asyncio
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
SCHEMA = {
    "type": "object",
    "properties": {"status": {"enum": ["open", "paid"]}, "__proto__": {"type": "object"}},
    "required": ["status"],
}

OpenWire = Callable[..., AbstractAsyncContextManager[Wire]]


@pytest.fixture
def limits() -> dict[str, Any]:
    return {"max_check_s": 20, "disclosure": "sidecar"}


@pytest.fixture(params=["legacy", "auto"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Desk:
    """An agent, and a notebook ``Sales`` whose function it can call."""

    def __init__(self, client: Client, notebook: Wire) -> None:
        self.client, self.notebook = client, notebook

    async def invoke(self, name: str, **arguments: Any) -> t.CallToolResult:
        """Call a function that must not reach the notebook, or that ends without it."""
        return await self.client.call_tool("invoke", {"name": name, "arguments": arguments})

    async def asked(self) -> Any:
        """Return the call that the notebook receives next."""
        while (message := await self.notebook.receive()).get("method") != "execute_tool":
            pass
        return message


@pytest.fixture
def open_desk(
    wire: OpenWire, running: RunningEngine, url: str, jp_auth_header: Headers, era: str
) -> Callable[[], AbstractAsyncContextManager[Desk]]:
    @asynccontextmanager
    async def open() -> AsyncIterator[Desk]:
        endpoint = url.replace("ws", "http", 1) + "mcp"
        async with (
            asyncio.timeout(LONG),
            wire() as notebook,
            httpx2.AsyncClient(headers=jp_auth_header) as http,
            Client(streamable_http_client(endpoint, http_client=http), mode=era) as client,
        ):
            await notebook.offer("Notebook.load_orders", input_schema=SCHEMA)
            registry = (await running.get()).registry
            session = registry.get(notebook.session_id)
            assert session is not None
            session.kernel_id = "a kernel"
            registry.name_kernel(session.kernel_id, "sales")
            yield Desk(client, notebook)

    return open


OpenDesk = Callable[[], AbstractAsyncContextManager[Desk]]


def text(result: Any) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, t.TextContent))


async def test_invoke_is_listed_besides_the_functions_for_programs(open_desk: OpenDesk) -> None:
    async with open_desk() as desk:
        tools = {tool.name: tool for tool in (await desk.client.list_tools()).tools}
        assert list(tools) == [
            "list_functions",
            "search_functions",
            "get_function_details",
            "execute",
            "invoke",
            "wait_execution",
        ]
        hints = tools["invoke"].annotations
        assert hints is not None and hints.destructive_hint and not hints.read_only_hint


async def test_invoke_calls_one_function_with_its_arguments_as_they_are(open_desk: OpenDesk) -> None:
    async with open_desk() as desk:
        arguments = {"status": "open", "__proto__": {"x": "`${1}`"}, "ids": [2**53 + 1]}
        answer = asyncio.create_task(desk.invoke("Sales.load_orders", **arguments))
        asked = await desk.asked()
        assert asked["params"]["arguments"] == arguments and asked["params"]["asked_by"] == "agent"
        await desk.notebook.say(id=asked["id"], result=[{"id": 1}])
        assert text(await answer) == '[{"id":1}]'


@pytest.mark.parametrize("typecheck", [True])
async def test_wrong_arguments_are_refused_before_the_call(open_desk: OpenDesk) -> None:
    async with open_desk() as desk:
        wrong = await desk.invoke("Sales.loadOrders", status="lost")
        assert wrong.is_error and text(wrong).startswith("Program not run, 0 calls made.") and '"lost"' in text(wrong)
        rounded = await desk.invoke("Sales.loadOrders", status=2**53 + 1)
        assert rounded.is_error and text(rounded).startswith("Program not run, 0 calls made.")
        unknown = await desk.invoke("Sales.loadOrder", status="open")
        assert unknown.is_error and "did you mean Sales.loadOrders?" in text(unknown)
        missing = await desk.client.call_tool("invoke", {"name": "Sales.loadOrders"})
        assert missing.is_error and "status" in text(missing)
        not_an_object = await desk.client.call_tool("invoke", {"name": "Sales.loadOrders", "arguments": [1]})
        assert not_an_object.is_error and "it takes {name, arguments?}" in text(not_an_object)


async def test_the_error_of_a_function_is_the_answer(open_desk: OpenDesk) -> None:
    async with open_desk() as desk:
        answer = asyncio.create_task(desk.invoke("Sales.loadOrders", status="paid"))
        asked = await desk.asked()
        await desk.notebook.say(id=asked["id"], error={"code": -32000, "message": "no such table"})
        result = await answer
        assert result.is_error and "Sales.loadOrders failed" in text(result) and "no such table" in text(result)
