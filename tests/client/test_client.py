"""What the client promises, wherever its engine is: the same story over a WebSocket and crossed in memory.

Engine, sandboxes and server are real.
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pandas as pd
import pytest
from msgspec import Raw

from pctx_jupyter import client as public
from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc import wire
from tests.fakes import SOON

from .conftest import Connect


def test_the_package_offers_the_names_of_the_original_client() -> None:
    for kind in (public.ConnectionError, public.ExecutionError, public.ToolError):
        assert issubclass(kind, public.PctxError)
    assert issubclass(errors.CannotConnect, public.ConnectionError)
    assert issubclass(errors.ExecutionTimeout, public.ExecutionError)
    assert issubclass(errors.ToolExists, public.ToolError)


async def test_a_client_has_a_session_while_it_is_connected(connect: Connect) -> None:
    async with connect() as client:
        assert client.session_id and client.ws is not None and client.tools == {}
    assert client.session_id is None and client.ws is None


async def test_a_program_calls_what_the_client_offers(connect: Connect) -> None:
    async with connect() as client:

        async def slowly(arguments: dict[str, Any]) -> object:
            await asyncio.sleep(0)
            return arguments

        def double(arguments: dict[str, Any]) -> object:
            return 2 * arguments["n"]

        await client.register_tool("math", "double", double, "Doubles.", {"type": "object"}, {"type": "number"})
        await client.register_tool("math", "echo_it", slowly)
        assert client.tools == {"math.double": double, "math.echo_it": slowly}
        code = """
            console.log("hi");
            [await math.double({ n: 21 }), await Math.echoIt({ ü: ["\U0001f40d"] }), await Math.echoIt()]
        """
        result = await client.execute_code(code)
        assert result["value"] == [42, {"ü": ["\U0001f40d"]}, {}]
        assert (result["stdout"], result["stderr"], result["success"]) == ("hi\n", "", True)
        assert result["duration_s"] > 0 and result["execution_id"]


async def test_a_tool_is_called_by_its_name_in_any_spelling(connect: Connect) -> None:
    async with connect() as client:
        await client.register_tool("string_tools", "upper_case", lambda args: args["text"].upper())
        spellings = ["string_tools.upper_case", "StringTools.upperCase", "string_tools.upperCase"]
        calls = [f"await CALLABLE_TOOLS.execute('{path}', {{ text: 'a' }})" for path in spellings]
        assert (await client.execute_code(f"[{', '.join(calls)}]"))["value"] == ["A", "A", "A"]


@pytest.mark.parametrize("typecheck", [True])
async def test_invoke_calls_a_function_by_its_name_with_the_function_s_own_types(connect: Connect) -> None:
    async with connect() as client:
        with pytest.raises(errors.ExecutionFailed, match=r"Cannot call Shop\.now: it is not offered"):
            await client.run('await invoke({ name: "Shop.now" })')
        takes = {"type": "object", "properties": {"least": {"type": "number"}}, "required": ["least"]}
        await client.register_tool("shop", "load_orders", lambda args: [args["least"]], None, takes, {"type": "array"})
        await client.register_tool("shop", "now", lambda _: "noon", None, None, {"type": "string"})
        code = """
            const orders = await invoke({ name: "Shop.loadOrders", arguments: { least: 2 } });
            const said = await Promise.all((["Shop.now", "shop.now"] as const).map((name) => invoke({ name })));
            [orders.length, ...said.map((one) => one.toUpperCase())]
        """
        assert (await client.run(code)).value == [1, "NOON", "NOON"]
        for wrong, why in [
            ('invoke({ name: "Shop.loadOrders", arguments: { least: "2" } })', "'string' is not assignable"),
            ('invoke({ name: "Shop.loadOrders" })', "Property 'arguments' is missing"),
            ('invoke({ name: "Shop.loadOrder", arguments: {} })', "Did you mean '\"Shop.loadOrders\"'"),
        ]:
            with pytest.raises(errors.ExecutionFailed, match=why):
                await client.run(f"await {wrong}")
        assert (await client.run("const invoke = (n: number) => n + 1; invoke(1)")).value == 2


async def test_tools_are_listed_described_replaced_and_withdrawn(connect: Connect) -> None:
    async with connect() as client:
        await client.register_tool("math", "one", lambda _: 1, "One.")
        assert [tool["name"] for tool in await client.list_functions()] == ["Math.one"]
        assert (await client.get_function_details(["Math.one"]))["Math.one"]["description"] == "One."
        with pytest.raises(errors.ToolExists, match="replace"):
            await client.register_tool("math", "one", lambda _: 2)
        assert (await client.execute_code("await Math.one()"))["value"] == 1
        await client.register_tool("math", "one", lambda _: 3, replace=True)
        assert (await client.execute_code("await Math.one()"))["value"] == 3
        await client.unregister_tool("math", "one")
        assert client.tools == {} and await client.list_functions() == []
        with pytest.raises(public.ToolError, match=r"math\.one"):
            await client.unregister_tool("math", "one")


async def test_what_a_tool_raises_is_an_error_in_the_program(connect: Connect) -> None:
    def fail(_: dict[str, Any]) -> object:
        raise LookupError("not there")

    async with connect() as client:
        await client.register_tool("a", "fail", fail)
        await client.register_tool("a", "odd", lambda _: object())
        code = """
            const heard = [];
            for (const f of [a.fail, a.odd]) {
                try { await f() } catch (e) { heard.push(e instanceof Error, e.name, e.message) }
            }
            heard
        """
        value = (await client.execute_code(code))["value"]
        assert value[:3] == [True, "LookupError", "not there"]
        assert value[3:5] == [True, "TypeError"]
        assert value[5].startswith("Cannot return from a.odd: result: object is not JSON; convert it")
        with pytest.raises(public.ExecutionError, match="LookupError: not there"):
            await client.execute_code("await a.fail()")


async def test_a_program_that_fails_says_where_and_what_it_printed(connect: Connect) -> None:
    async with connect() as client:
        with pytest.raises(errors.ExecutionFailed) as failed:
            await client.execute_code("console.log('so far');\nnull.x", typecheck=False)
        assert failed.value.failure.name == "TypeError" and failed.value.failure.line == 2
        assert failed.value.stdout == "so far\n" and failed.value.failure.frame
        with pytest.raises(errors.ExecutionTimeout) as slow:
            await client.execute_code("console.log('so far'); for (;;);", timeout_s=0.5)
        assert slow.value.seconds == 0.5 and slow.value.stdout == "so far\n"
        with pytest.raises(errors.ToolNotFound):
            await client.execute_code("1", tools=["Nobody.*"])


async def test_inputs_and_allowed_tools_reach_the_program(connect: Connect) -> None:
    async with connect() as client:
        await client.register_tool("a", "b", lambda _: 1)
        await client.register_tool("c", "d", lambda _: 1)
        code = "[n, typeof A, typeof C]"
        result = await client.execute_code(code, inputs={"n": [1, None]}, tools=["A.*"], typecheck=False)
        assert result["value"] == [[1, None], "object", "undefined"]
        with pytest.raises(errors.NotJson, match=r"inputs\.n\[0\]: object is not JSON; convert it to a dict"):
            await client.execute_code("n", inputs={"n": [object()]})
        with pytest.raises(errors.InvalidParams, match="timeout_s is nan, and must be above 0"):
            await client.execute_code("1", timeout_s=float("nan"))


async def test_values_are_converted_as_in_a_notebook(connect: Connect) -> None:
    async with connect() as client:
        await client.register_tool("a", "keys", lambda _: {1: 2, "1": 3})
        await client.register_tool("a", "largest", lambda _: {"of": np.uint64(2**53), "parts": np.arange(2)})
        code = "const { of, parts } = await a.largest({}); [of, parts, day]"
        result = await client.execute_code(code, inputs={"day": pd.Timestamp("2024-01-02")}, typecheck=False)
        assert result["value"] == [2**53, [0, 1], "2024-01-02T00:00:00"]
        with pytest.raises(public.ExecutionError, match=r"from a\.keys: result: two keys read '1' in JSON"):
            await client.execute_code("await a.keys()")


async def test_output_and_events_are_heard_while_it_runs(connect: Connect) -> None:
    heard: list[object] = []
    async with connect() as client:
        await client.register_tool("a", "b", lambda _: heard.append("called"))
        result = await client.execute_code(
            "console.log('one'); await a.b(); console.error('two')",
            on_output=lambda stream, text: heard.append((stream, text)),
            on_event=lambda event: heard.append(event.type),
        )
    assert heard == [("stdout", "one\n"), "call_started", "called", "call_ended", ("stderr", "two\n")]
    assert result["stdout"] == "one\n"


async def test_a_listener_that_fails_costs_nobody_anything(connect: Connect) -> None:
    def fail(stream: str, text: str) -> None:
        raise RuntimeError("listener")

    async with connect() as client:
        assert (await client.execute_code("console.log(1); 2", on_output=fail))["value"] == 2
        assert (await client.execute_code("3"))["value"] == 3


async def test_raw_tools_and_programs_pass_json_through(connect: Connect) -> None:
    async def serve(asked: wire.ExecuteTool) -> Raw:
        if asked.arguments == Raw(b'{"fail":true}'):
            raise errors.ToolFailed("no luck", name="KeyError", token="e7")
        return rpc.raw([1.0, asked.name, asked.execution_id])

    async with connect() as client:
        await client.offer(wire.RegisterTool("a", "b"), serve)
        executed = await client.execute(wire.Execute("await a.b()", execution_id="mine"))
        assert rpc.decode_value(executed.value) == [1, "a.b", "mine"] and executed.execution_id == "mine"
        with pytest.raises(errors.ExecutionFailed) as failed:
            await client.execute(wire.Execute("await a.b({ fail: true })"))
        assert (failed.value.failure.name, failed.value.failure.token) == ("KeyError", "e7")


async def test_twenty_programs_at_once_get_their_own_answers(connect: Connect) -> None:
    async with connect() as client:
        await client.register_tool("a", "b", lambda arguments: arguments["n"])
        results = await asyncio.gather(*(client.execute_code(f"await a.b({{ n: {n} }})") for n in range(20)))
        assert [result["value"] for result in results] == list(range(20))


class Endless:
    """A tool that says when it was called and when it was cancelled."""

    def __init__(self) -> None:
        self.called, self.cancelled = asyncio.Event(), asyncio.Event()

    async def __call__(self, arguments: dict[str, Any]) -> None:
        self.called.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


async def busy(client: PctxClient) -> tuple[asyncio.Task[Any], Endless]:
    """Start a program that waits for a tool."""
    tool = Endless()
    await client.register_tool("a", "endless", tool, replace=True)
    execution = asyncio.create_task(client.execute_code("await a.endless()"))
    async with asyncio.timeout(SOON):
        await tool.called.wait()
    return execution, tool


async def test_cancelling_an_execution_cancels_its_tool_calls(connect: Connect) -> None:
    async with connect() as client:
        execution, tool = await busy(client)
        execution.cancel()
        async with asyncio.timeout(SOON):
            await tool.cancelled.wait()
        with pytest.raises(asyncio.CancelledError):
            await execution
        assert (await client.execute_code("1"))["value"] == 1


async def test_disconnecting_fails_what_is_in_flight_and_says_so_after(connect: Connect) -> None:
    async with connect() as client:
        execution, tool = await busy(client)
        async with asyncio.timeout(SOON):
            await client.disconnect()
        with pytest.raises(public.ConnectionError, match="disconnected"):
            await execution
        assert tool.cancelled.is_set()
        with pytest.raises(public.ConnectionError, match="connect first"):
            await client.execute_code("1")
        await client.disconnect()
        await client.connect()
        with pytest.raises(public.PctxError, match=r"a.b: 'text' is not callable; pass a function"):
            await client.register_tool("a", "b", "text")  # type: ignore[arg-type]
        assert (await client.execute_code("typeof a.endless"))["value"] == "function"


async def test_a_lost_connection_fails_what_is_in_flight_and_comes_back_with_all_tools(connect: Connect) -> None:
    async with connect() as client:
        execution, tool = await busy(client)
        before = client.session_id
        assert client.ws is not None
        client.ws.close()
        with pytest.raises(public.ConnectionError):
            await execution
        async with asyncio.timeout(SOON):
            await tool.cancelled.wait()
            assert (await client.execute_code("typeof a.endless"))["value"] == "function"
        assert client.session_id not in (None, before)
        await client.connect()


async def test_a_client_that_shall_not_reconnect_stays_disconnected_until_told(connect: Connect) -> None:
    async with connect(reconnect=False) as client:
        assert client.ws is not None
        client.ws.close()
        with pytest.raises(public.ConnectionError, match="connect again"):
            async with asyncio.timeout(SOON):
                await client.execute_code("1")
        await client.connect()
        assert (await client.execute_code("1"))["value"] == 1


async def test_a_message_too_large_to_send_fails_alone(server: tuple[str, dict[str, str]]) -> None:
    url, headers = server
    async with PctxClient(url, headers=headers, max_message_bytes=10_000) as client:
        with pytest.raises(errors.MessageTooLarge):
            await client.execute_code("1", inputs={"n": "x" * 10_000})
        with pytest.raises(errors.PctxError, match="Cannot pass on a message"):
            await client.execute_code("'x'.repeat(20_000)")
        await client.register_tool("a", "b", lambda _: "x" * 20_000)
        with pytest.raises(public.ExecutionError, match="Cannot pass on a message"):
            await client.execute_code("await a.b()")
        assert (await client.execute_code("1"))["value"] == 1


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("levels", [501, 980, 20_000])
async def test_a_value_nested_too_deeply_fails_its_request_at_once(connect: Connect, levels: int) -> None:
    async with connect() as client, asyncio.timeout(SOON):
        with pytest.raises(errors.NotJson, match="nested deeper than 500 levels"):
            await client.execute_code("1", inputs={"a": nested(levels)}, typecheck=False)
        await client.register_tool("a", "deep", lambda _: nested(levels))
        code = "let said = ''; try { await a.deep() } catch (e) { said = `${e.name}: ${e.message}` } said"
        said = (await client.execute_code(code, typecheck=False))["value"]
        assert said.startswith("TypeError: Cannot return from a.deep") and "500 levels" in said


async def test_a_value_as_deep_as_allowed_passes_everywhere(connect: Connect) -> None:
    deep = nested(500)
    async with connect() as client, asyncio.timeout(2 * SOON):
        await client.register_tool("a", "same", lambda arguments: arguments["deep"])
        code = "const one = await a.same({ deep: deep[0] }); [one]"
        assert (await client.execute_code(code, inputs={"deep": deep}, typecheck=False))["value"] == deep
        await client.register_tool("a", "deep", lambda _: deep)
        assert (await client.execute_code("await a.deep()", typecheck=False))["value"] == deep


@pytest.mark.parametrize("payload", [b'"\\ud800"', b"[" * 990 + b"]" * 990, b"[NaN]", b"nonsense", b'"\xff"'])
async def test_a_raw_payload_that_nobody_can_read_fails_what_it_belongs_to(connect: Connect, payload: bytes) -> None:
    async def serve(asked: wire.ExecuteTool) -> Raw:
        return Raw(payload)

    async with connect() as client, asyncio.timeout(SOON):
        waiting, tool = await busy(client)
        await client.offer(wire.RegisterTool("a", "raw"), serve)
        with pytest.raises(errors.PctxError, match="Cannot"):
            await client.execute(wire.Execute("1", inputs={"a": Raw(payload)}, typecheck=False))
        with pytest.raises(errors.ExecutionFailed, match="Cannot"):
            await client.execute_code("await a.raw()", typecheck=False)
        waiting.cancel()
        await tool.cancelled.wait()


async def test_a_tool_whose_error_holds_half_a_character_fails_its_call(connect: Connect) -> None:
    def fail(_: dict[str, Any]) -> object:
        raise ValueError("half \ud800")

    async with connect() as client, asyncio.timeout(SOON):
        await client.register_tool("a", "fail", fail)
        with pytest.raises(errors.ExecutionFailed, match="ValueError: half \ufffd"):
            await client.execute_code("await a.fail()", typecheck=False)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_tool_that_exits_fails_its_call_and_ends_nothing_else(connect: Connect, is_async: bool) -> None:
    def leave(_: dict[str, Any]) -> object:
        raise SystemExit(3)

    async def leave_later(arguments: dict[str, Any]) -> object:
        return leave(arguments)

    async with connect() as client, asyncio.timeout(SOON):
        await client.register_tool("a", "leave", leave_later if is_async else leave)
        with pytest.raises(errors.ExecutionFailed, match="SystemExit: 3"):
            await client.execute_code("await a.leave()", typecheck=False)
        assert (await client.execute_code("1"))["value"] == 1


async def test_a_run_gives_a_typed_result_and_typed_events(connect: Connect) -> None:
    heard: list[object] = []
    async with connect() as client:
        await client.register_tool("a", "b", lambda _: None)
        result = await client.run(
            "export const two = 2;\nconsole.log('hi');\nawait a.b();\n[two]",
            on_event=heard.append,
        )
        same = await client.execute_code("two")
    assert (result.value, result.stdout, result.stderr, result.kept) == ([2], "hi\n", "", ("two",))
    assert result.execution_id and result.duration_s > 0 and result.unchecked is None
    began, ended = heard
    assert isinstance(began, public.CallEvent) and isinstance(ended, public.CallEvent)
    assert (began.type, began.tool, began.call, began.result_bytes) == ("call_started", "A.b", 1, None)
    assert (ended.type, ended.result_bytes, ended.error) == ("call_ended", 4, None)
    assert same["value"] == 2 and same["success"] is True and same["kept"] == []
