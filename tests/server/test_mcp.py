"""MCP clients on a real server: the official Python client in both eras, and bare requests that break rules."""

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
from opentelemetry import baggage, trace
from tornado.httpclient import HTTPClientError

from pctx_jupyter.rpc import span_context
from pctx_jupyter.server.running import RunningEngine

from ..recorded import TRACE_ID, TRACEPARENT, recording
from .conftest import Headers
from .wires import Wire

LONG = 20
"""Seconds for what includes the first type check on a busy machine."""
ERAS = ["legacy", "auto"]
"""``auto`` finds the newer one."""

Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def limits() -> dict[str, Any]:
    return {"max_check_s": 20}


@pytest.fixture
def endpoint(url: str) -> str:
    return url.replace("ws", "http", 1)


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def agent(endpoint: str, jp_auth_header: Headers) -> Connect:
    """Opens an MCP client; what the server tells it of its own accord is in `heard`."""

    @asynccontextmanager
    async def connect(era: str = "auto", path: str = "mcp", heard: list[Any] | None = None) -> AsyncIterator[Client]:
        async def on_message(message: Any) -> None:
            if heard is not None:
                heard.append(message)

        async with (
            httpx2.AsyncClient(headers=jp_auth_header) as http,
            Client(
                streamable_http_client(endpoint + path, http_client=http), mode=era, message_handler=on_message
            ) as client,
        ):
            yield client

    return connect


def text(result: Any) -> str:
    """All that a model reads of a result."""
    return "\n".join(block.text for block in result.content if isinstance(block, t.TextContent))


async def name_of(wire: Wire, running: RunningEngine) -> str:
    """Let a client's session be a notebook's; returns its namespace."""
    engine = await running.get()
    session = engine.registry.get(wire.session_id)
    assert session is not None
    session.kernel_id = f"kernel of {wire.session_id}"
    return engine.registry.name_kernel(session.kernel_id, "sales")


@pytest.mark.parametrize("path", ["mcp", "mcp/", "pctx/mcp"])
async def test_an_agent_lists_reads_and_executes(agent: Connect, era: str, path: str) -> None:
    async with agent(era, path) as client:
        tools = (await client.list_tools()).tools
        names = [tool.name for tool in tools]
        hints = {tool.name: tool.annotations for tool in tools}
        destroys = {name: hint.destructive_hint for name, hint in hints.items() if hint and not hint.read_only_hint}
        assert destroys == {"execute": True, "wait_execution": False}
        assert names == ["list_functions", "search_functions", "get_function_details", "execute", "wait_execution"]
        assert client.server_capabilities.tools and client.server_capabilities.tools.list_changed
        result = await client.call_tool("execute", {"code": "console.log('hello'); [1 + 1]"})
        assert text(result) == "console:\nhello\nresult:\n[2]" and result.structured_content is None


async def test_an_agent_reads_nan_by_name_and_a_plain_client_gets_null(agent: Connect, era: str, jp_fetch: Any) -> None:
    code = "({ mean: NaN, texts: ['#NaN'], limits: [-Infinity, 1] })"
    async with agent(era) as client:
        result = await client.call_tool("execute", {"code": code})
        assert text(result) == '{"mean":NaN,"texts":["#NaN"],"limits":[-Infinity,1]}'
    assert (await plain(jp_fetch, "execute", code=code))["output"] == {
        "mean": None,
        "texts": ["#NaN"],
        "limits": [None, 1],
    }


async def test_an_agent_calls_a_notebooks_function(
    agent: Connect, era: str, wire: Callable[..., AbstractAsyncContextManager[Wire]], running: RunningEngine
) -> None:
    async with wire() as notebook, agent(era) as client:
        await notebook.offer("Notebook.load_orders", output_schema={"type": "array", "items": {"type": "number"}})
        assert await name_of(notebook, running) == "Sales"
        asked = asyncio.create_task(
            client.call_tool("execute", {"code": "(await Sales.loadOrders()).map((n) => n + 1)"})
        )
        async with asyncio.timeout(LONG):
            while (message := await notebook.receive())["method"] != "execute_tool":
                pass
            assert message["params"]["name"] == "Notebook.load_orders" and message["params"]["asked_by"] == "agent"
            assert message["params"]["whose"] == "mcp", "as the SDK names its clients"
            await notebook.say(id=message["id"], result=[1, 2])
            assert text(await asked) == "[2,3]"


@pytest.mark.parametrize("typecheck", [True])
async def test_wrong_types_are_shown_in_the_agents_own_lines(agent: Connect, era: str) -> None:
    async with agent(era) as client:
        result = await client.call_tool("execute", {"code": "const n: number = 1;\nn.toUppercase()"})
        assert result.is_error and "Program not run" in text(result)
        assert "line 2" in text(result) and "> 2 | n.toUppercase()" in text(result)


async def test_a_program_may_wait_as_most_people_write_it(agent: Connect) -> None:
    async with agent() as client:
        code = "await new Promise((resolve) => setTimeout(resolve, 1)); 'done'"
        assert text(await client.call_tool("execute", {"code": code})) == '"done"'


async def test_progress_is_heard_while_a_program_runs(agent: Connect, era: str) -> None:
    heard = asyncio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        if message == "working":
            heard.set()

    async with agent(era) as client, asyncio.timeout(LONG):
        code = "console.log('working'); await new Promise<void>(() => {})"
        asked = asyncio.create_task(client.call_tool("execute", {"code": code}, progress_callback=on_progress))
        await heard.wait()
        asked.cancel()


async def test_an_agent_that_cancels_stops_its_program(agent: Connect, era: str, running: RunningEngine) -> None:
    async with agent(era) as client, asyncio.timeout(LONG):
        session = (await running.get()).registry.agents()
        asked = asyncio.create_task(client.call_tool("execute", {"code": "for (;;) await 1"}))
        while not session.executions:
            await asyncio.sleep(0.01)
        asked.cancel()
        while session.executions:
            await asyncio.sleep(0.01)


async def test_an_agent_is_told_when_tools_change(
    agent: Connect, era: str, wire: Callable[..., AbstractAsyncContextManager[Wire]], running: RunningEngine
) -> None:
    heard: list[Any] = []
    told = asyncio.Event()

    async def listen(client: Client) -> None:
        async with client.listen(tools_list_changed=True) as changes:
            listening.set()
            async for _ in changes:
                told.set()
                return

    listening = asyncio.Event()
    async with wire() as notebook, agent(era, heard=heard) as client, asyncio.timeout(LONG):
        assert "there are none now" in str((await client.list_tools()).tools[0].description)
        if era == "legacy":
            listening.set()
            task = None
        else:
            task = asyncio.create_task(listen(client))
        await listening.wait()
        await name_of(notebook, running)
        while not told.is_set() and not any(isinstance(one, t.ToolListChangedNotification) for one in heard):
            # The older era's stream may open after the change: then there is another one to tell of.
            await notebook.offer(f"Notebook.tool_{len(heard)}_{asyncio.get_running_loop().time()}")
            await asyncio.sleep(0.2)
        assert "namespaces: Sales." in str((await client.list_tools(cache_mode="refresh")).tools[0].description)
        if task is not None:
            await task


async def test_an_agent_sees_that_its_program_was_stopped_by_somebody(agent: Connect, running: RunningEngine) -> None:
    async with agent() as client, asyncio.timeout(LONG):
        session = (await running.get()).registry.agents()
        asked = asyncio.create_task(client.call_tool("execute", {"code": "for (;;) await 1"}))
        while not (known := list(session.executions.values())) or known[0].stop is None:
            await asyncio.sleep(0.01)
        known[0].stop("somebody stopped it")
        result = await asked
        assert result.is_error and "somebody stopped it" in text(result)


async def test_an_unknown_tool_is_refused_as_the_protocol_says(agent: Connect, era: str) -> None:
    from mcp.shared.exceptions import MCPError

    async with agent(era) as client:
        with pytest.raises(MCPError, match="Unknown tool: nope"):
            await client.call_tool("nope", {})


# clients that know no MCP


async def plain(fetch: Any, name: str, **arguments: Any) -> Any:
    """Ask as the original's client does; returns what it reads."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    answer = await fetch("mcp", method="POST", body=json.dumps(body), request_timeout=LONG)
    assert answer.headers["Content-Type"].startswith("application/json")
    return json.loads(json.loads(answer.body)["result"]["content"][0]["text"])


async def test_the_span_that_an_agent_names_is_the_origin_of_its_program(
    agent: Connect, era: str, jp_fetch: Any
) -> None:
    with recording() as spans:
        async with agent(era) as client:
            with spans.tracer.start_as_current_span("agent") as span:
                carried = trace.set_span_in_context(span, baggage.set_baggage("team", "sales"))
                with span_context.entered(carried):
                    await client.call_tool("execute", {"code": "1"})
        origin = spans.id(spans.one("agent"))
        assert [spans.id(span) for span in spans.named("pctx.execute")] == [origin]
        parents = {span.context.span_id: span.name for span in spans.all}
        (program,) = spans.named("pctx.execute")
        assert program.parent is not None and parents[program.parent.span_id] == "tools/call execute"
        assert spans.known(program)["baggage"] == "{'team': 'sales'}"
    with recording() as spans:
        params = {"name": "execute", "arguments": {"code": "1"}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        for headers, meta in (({"Traceparent": TRACEPARENT}, {}), ({}, {"_meta": {"traceparent": TRACEPARENT}})):
            sent = json.dumps(body | {"params": params | meta})
            await jp_fetch("mcp", method="POST", body=sent, headers=headers, request_timeout=LONG)
        assert [spans.id(span) for span in spans.named("pctx.execute")] == [TRACE_ID, TRACE_ID]


async def test_a_plain_client_gets_the_originals_shapes(
    jp_fetch: Any, wire: Callable[..., AbstractAsyncContextManager[Wire]], running: RunningEngine
) -> None:
    async with wire() as notebook:
        await notebook.offer("Notebook.load_orders", description="Loads.", input_schema={"type": "object"})
        await name_of(notebook, running)
        functions = (await plain(jp_fetch, "list_functions"))["functions"]
        assert [one["name"] for one in functions] == [
            "list_functions",
            "get_function_details",
            "execute",
            "Sales.loadOrders",
        ]
        assert all({"name", "description", "input_schema", "output_schema"} == set(one) for one in functions)
        details = await plain(jp_fetch, "get_function_details", functions=["Sales.loadOrders", "execute"])
        assert details["Sales.loadOrders"] == {
            "name": "loadOrders",
            "namespace": "Sales",
            "description": "Loads.",
            "input_schema": {"type": "object"},
            "output_schema": None,
        }
        assert details["execute"]["input_schema"]["required"] == ["code"]


async def test_a_plain_client_executes(jp_fetch: Any) -> None:
    ok = await plain(jp_fetch, "execute", code="console.log('hi'); console.error('ho'); ({ a: 1 })")
    assert ok == {"success": True, "output": {"a": 1}, "stdout": "hi\n", "stderr": "ho\n"}
    failed = await plain(jp_fetch, "execute", code="throw new Error('no')")
    assert failed["success"] is False and failed["output"] is None and "Error: no" in failed["stderr"]


async def test_a_plain_clients_mistakes_are_named(jp_fetch: Any) -> None:
    assert "no such tool" in (await plain(jp_fetch, "get_function_details", functions=["Nope.x"]))["error"]
    assert "missing required field `code`" in (await plain(jp_fetch, "execute", kode="1"))["error"]


@pytest.mark.parametrize("version", [None, "2025-11-25", "2026-07-28"])
async def test_what_is_no_message_is_refused_in_words_of_the_protocol(jp_fetch: Any, version: str | None) -> None:
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    headers |= {} if version is None else {"MCP-Protocol-Version": version}
    batch = b'[{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}]'
    for body, code, said in (
        (b"", -32700, ""),
        (b"{", -32700, ""),
        (b"\xff\xfe", -32700, ""),
        (batch, -32600, "batches are not supported; send one message at a time"),
        (b'{"jsonrpc": "1"}', -32600, '"jsonrpc" must be "2.0"'),
        (b'{"jsonrpc": "2.0", "id": null, "method": "tools/list"}', -32600, "its id must be a string or an integer"),
    ):
        with pytest.raises(HTTPClientError) as refusal:
            await jp_fetch("mcp", method="POST", body=body, headers=headers)
        assert refusal.value.code == 400, body
        error = json.loads(refusal.value.response.body)["error"]
        assert (error["code"], said in error["message"]) == (code, True), error
        assert "pydantic" not in error["message"], error


UNREAD: list[tuple[str, str, int | None, str]] = [
    ("7", '{"a": %s}' % ("[" * 5_000 + "]" * 5_000), 7, "nested deeper than 500 levels"),
    ("7", '{"a": %s}' % ("1" * 10_000), 7, "Parse error"),
    ("1.5", "{}", None, "its id must be a string or an integer"),
    ("null", "{}", None, "its id must be a string or an integer"),
    ("7", '{"a": %s}' % ("[" * 400 + "]" * 400), 7, "recursion limit"),  # the last one: of the older era alone
]


@pytest.mark.parametrize(("version", "unread"), [("2025-06-18", UNREAD), ("2026-07-28", UNREAD[:-1])])
async def test_a_request_that_the_sdk_does_not_read_is_refused_by_its_id(
    jp_fetch: Any, version: str, unread: list[tuple[str, str, int | None, str]]
) -> None:
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    for id, arguments, named, why in unread:
        params = f'{{"name": "execute", "arguments": {arguments}}}'
        body = f'{{"jsonrpc": "2.0", "id": {id}, "method": "tools/call", "params": {params}}}'
        with pytest.raises(HTTPClientError) as refusal:
            await jp_fetch("mcp", method="POST", body=body, headers={**headers, "MCP-Protocol-Version": version})
        answer = json.loads(refusal.value.response.body)
        assert (answer["id"], refusal.value.code) == (named, 400) and why in answer["error"]["message"]


async def test_nothing_of_the_sdk_is_loaded_for_a_plain_client(jp_fetch: Any, running: RunningEngine) -> None:
    await plain(jp_fetch, "list_functions")
    door = (await running.get()).mcp()
    assert door._server is None and door._endpoint is None


async def test_a_server_that_stops_ends_open_streams(agent: Connect, running: RunningEngine, era: str) -> None:
    async with agent(era) as client:
        await client.list_tools()
        asked = asyncio.create_task(client.call_tool("execute", {"code": "await new Promise<void>(() => {})"}))
        session = (await running.get()).registry.agents()
        async with asyncio.timeout(LONG):
            while not session.executions:
                await asyncio.sleep(0.01)
            await running.stop()
        assert not session.executions
        asked.cancel()
    names = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
    assert "_shutdown_watcher" not in names


async def test_requests_at_once_load_the_server_once(agent: Connect) -> None:
    async with agent() as one, agent() as other, asyncio.timeout(LONG):
        answers = await asyncio.gather(*(client.list_tools() for client in (one, other) * 5))
    assert all(len(answer.tools) == 5 for answer in answers)


# strangers' words, and what is too large

EVIL = "*/ </script><img src=x onerror=alert(1)> \u202e\x1b[31m `${globalThis.evil = 1}` "


async def test_hostile_names_and_descriptions_reach_a_model_as_inert_text(
    agent: Connect, wire: Callable[..., AbstractAsyncContextManager[Wire]], running: RunningEngine
) -> None:
    async with wire() as notebook, agent() as client:
        schema = {"type": "object", "properties": {EVIL: {"type": "string", "description": EVIL, "enum": [EVIL]}}}
        await notebook.offer("Notebook.innocent", description=EVIL * 200, input_schema=schema, output_schema=schema)
        await notebook.offer("Notebook.</script>", description="x" * 50_000)
        await name_of(notebook, running)
        for name, arguments in (
            ("list_functions", {"detail": "descriptions"}),
            ("search_functions", {"query": f"innocent {EVIL}"}),
            ("get_function_details", {"functions": ["Sales.*", EVIL]}),
        ):
            said = text(await client.call_tool(name, arguments))
            assert "innocent" in said and len(said) < 20_000
            assert not {"\u202e", "\x1b"} & set(said) and "</script>" not in said
        result = await client.call_tool("execute", {"code": "typeof (globalThis as any).evil"})
        assert text(result) == '"undefined"'


async def test_a_request_that_is_too_large_is_refused_and_the_next_one_served(agent: Connect, jp_fetch: Any) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"x": "y" * (8 << 20)}})
    versions: list[dict[str, str]] = [{}, {"MCP-Protocol-Version": "2026-07-28"}]
    for version in versions:
        headers = {"Accept": "application/json, text/event-stream", **version}
        with pytest.raises(HTTPClientError) as refusal:
            await jp_fetch("mcp", method="POST", body=body, headers=headers)
        assert refusal.value.code == 413, version
    async with agent() as client:
        result = await client.call_tool("execute", {"code": "x" * 2_000_000})
        assert result.is_error and "Pctx.max_program_bytes" in text(result)
        assert text(await client.call_tool("execute", {"code": "1"})) == "1"


async def test_wrong_arguments_are_for_the_model_to_read(agent: Connect, era: str) -> None:
    cases: list[dict[str, Any]] = [{"code": None}, {"code": ["1"]}, {"code": "1", "timeout_s": "soon"}, {"x": {}}]
    async with agent(era) as client:
        for arguments in cases:
            result = await client.call_tool("execute", arguments)
            assert result.is_error and "it takes {code, timeout_s?, state?}" in text(result), arguments
            assert "Traceback" not in text(result), arguments


async def test_a_large_value_reaches_a_client_of_either_era_in_excerpts(agent: Connect, era: str) -> None:
    async with agent(era) as client:
        code = "Array.from({ length: 50_000 }, (_, at) => ({ at, name: `row ${at}` }))"
        said = text(await client.call_tool("execute", {"code": code}))
        assert len(said) <= 16_000 and "of 50,000 items" in said and "Return less" in said


async def test_an_image_reaches_a_client_as_an_image(agent: Connect, era: str) -> None:
    async with agent(era) as client:
        code = "({ type: 'image', mimeType: 'image/png', data: btoa('pixels') })"
        (said, image) = (await client.call_tool("execute", {"code": code})).content
        assert isinstance(image, t.ImageContent) and image.mime_type == "image/png" and image.data == "cGl4ZWxz"
        assert isinstance(said, t.TextContent) and said.text == '"[image 1]"'


@pytest.mark.parametrize("limits", [{"max_check_s": 20, "mcp_wait_s": 0.2}])
async def test_a_long_program_is_collected_in_either_era(agent: Connect, era: str) -> None:
    async with agent(era) as client, asyncio.timeout(LONG):
        code = "console.log('begun'); await new Promise((go) => setTimeout(go, 1000)); 'done'"
        said = text(await client.call_tool("execute", {"code": code}))
        assert said.startswith("Still running")
        handle = said.split('"')[3]
        while said.startswith("Still running"):
            said = text(await client.call_tool("wait_execution", {"handle": handle}))
        assert said.endswith('"done"')


# clients that hang up

FOR_EVER = "for (;;) await new Promise((go) => setTimeout(go, 10))"


async def hang_up(endpoint: str, headers: Headers, params: dict[str, Any], running: RunningEngine) -> None:
    """Ask for a program that does not end, and close the connection once it runs."""
    session = (await running.get()).registry.agents()
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with httpx2.AsyncClient(headers=headers) as http:
        asked = asyncio.create_task(http.post(endpoint + "mcp", json=body))
        while not session.executions:
            assert not asked.done(), asked.result().text
            await asyncio.sleep(0.01)
        (execution,) = session.executions.values()
        assert execution.client.removeprefix(f"{session.id}/").strip(), "it has a share of its own"
        asked.cancel()
        await asyncio.wait([asked])


@pytest.mark.parametrize("is_plain", [True, False])
async def test_hanging_up_stops_the_program_of_a_client_of_the_newer_era_and_of_a_plain_one(
    endpoint: str, jp_auth_header: Headers, running: RunningEngine, is_plain: bool
) -> None:
    params: dict[str, Any] = {"name": "execute", "arguments": {"code": FOR_EVER}}
    headers = dict(jp_auth_header)
    if not is_plain:
        headers |= {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28"}
        headers |= {"Mcp-Method": "tools/call", "Mcp-Name": "execute"}
        meta = "io.modelcontextprotocol/"
        params["_meta"] = {f"{meta}protocolVersion": "2026-07-28", f"{meta}clientCapabilities": {}}
    async with asyncio.timeout(LONG):
        await hang_up(endpoint, headers, params, running)
        session = (await running.get()).registry.agents()
        while session.executions:
            await asyncio.sleep(0.01)


async def test_hanging_up_is_no_cancellation_in_the_older_era(
    endpoint: str, jp_auth_header: Headers, running: RunningEngine
) -> None:
    headers = {**jp_auth_header, "Accept": "application/json, text/event-stream"}
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    async with asyncio.timeout(LONG), httpx2.AsyncClient(headers=headers) as http:
        greeted = await http.post(
            endpoint + "mcp", json={"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}
        )
        headers["Mcp-Session-Id"] = greeted.headers["Mcp-Session-Id"]
        headers["MCP-Protocol-Version"] = "2025-11-25"
        told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await http.post(endpoint + "mcp", json=told, headers=headers)).status_code == 202
        params = {"name": "execute", "arguments": {"code": FOR_EVER}}
        await hang_up(endpoint, headers, params, running)
        session = (await running.get()).registry.agents()
        # Another request goes through meanwhile: whatever the disconnect does has been done by then.
        assert (await http.post(endpoint + "mcp", json=told, headers=headers)).status_code == 202
        assert len(session.executions) == 1
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        await http.post(endpoint + "mcp", json=cancelled, headers=headers)
        while session.executions:
            await asyncio.sleep(0.01)


async def test_what_a_program_displays_reaches_an_agent(agent: Connect) -> None:
    async with agent() as client:
        code = "await Deno.jupyter.display({ 'image/png': btoa('pixels'), 'text/plain': 'plot' }, { raw: true }); null"
        said, image = (await client.call_tool("execute", {"code": code})).content
        assert isinstance(said, t.TextContent) and said.text == "[image 1]"
        assert isinstance(image, t.ImageContent) and image.data == "cGl4ZWxz"


@pytest.mark.parametrize("typecheck", [True])
async def test_an_agents_state_has_its_exports_with_their_types_and_is_counted(
    agent: Connect, era: str, jp_fetch: Any
) -> None:
    async with agent(era) as client:
        code = (
            "export type Net = number;\nexport const rate = 0.25;\nexport const vat = (net: Net) => net * rate;\nvat(4)"
        )
        first = text(await client.call_tool("execute", {"code": code, "state": "new"}))
        assert first.startswith("1\nIts state: ") and "rate" in first and "vat" in first and "Net" in first
        id = first.rpartition('state: "')[2].partition('"')[0]
    async with agent(era) as client:
        again = text(await client.call_tool("execute", {"code": "const net: Net = 8; vat(net)", "state": id}))
        assert again.startswith("2\nIts state: ")
        wrong = await client.call_tool("execute", {"code": 'vat("x")', "state": id})
        assert wrong.is_error and "Program not run" in text(wrong)
        assert "Cannot find name 'vat'" in text(await client.call_tool("execute", {"code": "vat(1)"}))
    status = json.loads((await jp_fetch("pctx", "api", "status")).body)
    assert status["agent_states"] == 1


async def test_a_state_counts_only_with_the_token_it_was_made_with(
    agent: Connect, era: str, running: RunningEngine
) -> None:
    async with agent(era) as client:
        first = text(await client.call_tool("execute", {"code": "1", "state": "new"}))
        id = first.rpartition('state: "')[2].partition('"')[0]
        states = (await running.get()).mcp()._functions.states
        assert len(states.open(id, owner := states._known[id].owner).owner) == 32 and owner
        states._known[id].owner = "another"
        assert "no such state" in text(await client.call_tool("execute", {"code": "1", "state": id}))


async def test_a_plain_client_is_told_that_it_has_no_state(jp_fetch: Any) -> None:
    answer = await plain(jp_fetch, "execute", code="1", state="new")
    assert "only clients of MCP" in json.dumps(answer)
