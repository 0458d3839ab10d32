"""The package ``pctx-client``, unmodified, on a real server with real sandboxes: what its users do with it."""

# No postponed annotations: the client evaluates those of tools, and does not find what they name.

import asyncio
import math
import sys
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import httpx
import pytest
from pctx_client import AsyncTool, Pctx, Tool, tool
from pctx_client.exceptions import ConnectionError as CannotConnect
from pydantic import BaseModel

from tests.fakes import SOON

Make = Callable[..., Pctx]


class Unit(Enum):
    KELVIN = "kelvin"
    CELSIUS = "celsius"


class Place(BaseModel):
    name: str
    position: tuple[float, float] | None = None
    parts: "list[Place]" = []


class Weather(BaseModel):
    place: Place
    degrees: float
    unit: Unit = Unit.CELSIUS


@tool(namespace="test_math")
def add_numbers(a: float, b: float) -> float:
    """Adds two numbers.

    Args:
        a: The first.
        b: The second.
    """
    return a + b


@tool(namespace="weather")
async def look(place: Place, unit: Unit = Unit.KELVIN) -> Weather:
    """Looks at the weather."""
    await asyncio.sleep(0)
    return Weather(place=place, degrees=20.5, unit=unit)


@tool
def now() -> str:
    """The time."""
    return "noon"


class Multiply(Tool):
    """A tool that is a class."""

    def _invoke(self, **arguments: Any) -> Any:
        return arguments["a"] * arguments["b"]


class Slow(AsyncTool):
    """A tool that never ends."""

    async def _ainvoke(self, **arguments: Any) -> Any:
        await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def no_complaints(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """The client prints what it cannot parse: there is nothing of the kind."""
    yield
    assert "Failed to" not in (printed := capsys.readouterr().out), printed[:2_000]


async def test_functions_are_listed_described_found_and_called(pctx: Make) -> None:
    async with pctx(add_numbers, look, now) as client:
        listed = await client.list_functions()
        names = [f"{one.namespace}.{one.name}" for one in listed.functions]
        assert names == ["TestMath.addNumbers", "Weather.look", "Tools.now"]
        assert "declare namespace TestMath" in listed.code and "addNumbers(args:" in listed.code
        found = await client.search_functions("add numbers", k=1)
        assert [one.name for one in found] == ["addNumbers"]
        details = await client.get_function_details(["TestMath.addNumbers", "Weather.look", "Tools.now", "No.body"])
        add, weather, time = details.functions
        assert (add.input_type, add.output_type) == (
            "{ a: number; b: number }",
            "number",
        ) or "a: number" in add.input_type
        assert "Place" in weather.types and "degrees: number" in weather.output_type
        assert time.input_type == "" and time.output_type == "string" and "Looks at the weather" in details.code
        nothing = await client.get_function_details(["No.body"])
        assert (nothing.functions, nothing.code) == ([], "// No namespaces/functions match the request")
        out = await client.execute_typescript(
            """
            async function run() {
              console.log("Test log");
              console.error("on the side");
              const sum = await TestMath.addNumbers({ a: 1, b: 2 });
              const seen = await Weather.look({ place: { name: "Rome", parts: [{ name: "EUR" }] } });
              return { sum, at: seen.place.parts?.[0].name, unit: seen.unit, time: await Tools.now() };
            }
            """
        )
    assert out.success and out.output == {"sum": 3, "at": "EUR", "unit": "kelvin", "time": "noon"}
    assert (out.stdout, out.stderr) == ("Test log", "on the side")


async def test_class_tools_and_registered_spellings_work(pctx: Make) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
        "required": ["a", "b"],
    }
    multiply = Multiply(name="multiply_all", namespace="namespaced_with_underscore", input_schema=schema)
    async with pctx(multiply) as client:
        code = """[await NamespacedWithUnderscore.multiplyAll({ a: 2, b: 3 }),
                   await namespaced_with_underscore.multiply_all({ a: 2, b: 4 })]"""
        assert (await client.execute_typescript(code)).output == [6, 8]


@pytest.mark.parametrize("typecheck", [True])
async def test_the_trace_has_the_check_and_every_call(pctx: Make) -> None:
    async with pctx(add_numbers) as client:
        out = await client.execute_typescript("await TestMath.addNumbers({ a: 1, b: 2 })")
    check, call = out.trace.events
    assert check.type == "type_check" and check.outcome.is_success()
    assert call.type == "callback_invocation" and call.id == "test_math__add_numbers"
    assert call.args == {"a": 1, "b": 2} and call.outcome.output == 3
    trace = out.trace
    assert trace.started_at <= check.started_at <= check.ended_at <= call.started_at <= call.ended_at <= trace.ended_at


@pytest.mark.parametrize("typecheck", [True])
async def test_wrong_types_are_a_result_with_line_column_and_code(pctx: Make) -> None:
    async with pctx(add_numbers) as client:
        out = await client.execute_typescript('\nawait TestMath.addNumbers({ a: "one", b: 2 })')
    assert not out.success and out.output is None
    assert out.stderr.startswith("Line 2, Column 29: TS2322: ")
    (check,) = out.trace.events
    (wrong,) = check.outcome.diagnostics
    assert (wrong.line, wrong.column, wrong.code, wrong.severity) == (2, 29, 2322, "error")


@pytest.mark.parametrize("typecheck", [True])
async def test_a_program_that_fails_is_a_result(pctx: Make) -> None:
    cases = [
        ("console.log('before'); throw new Error('on purpose')", "on purpose"),
        ("const = 1", "TS1"),
        ("await TestMath.subtract({})", "addNumbers"),
        ("const deep: any = []; deep.push(deep); deep", ""),
        ("nonsense", "nonsense"),
    ]
    async with pctx(add_numbers) as client:
        for code, said in cases:
            out = await client.execute_typescript(code)
            assert not out.success and said in out.stderr and "Traceback" not in out.stderr, code
            assert (out.stdout == "before") == ("before" in code), code
        assert (await client.execute_typescript("1 + 1")).output == 2


async def test_what_a_tool_raises_can_be_caught(pctx: Make) -> None:
    @tool(namespace="bad")
    def fails(text: str) -> int:
        raise ValueError(f"no {text}")

    @tool(namespace="bad")
    def lies() -> int:
        return "text"  # type: ignore[return-value]

    async with pctx(fails, lies) as client:
        code = """const said = [];
                  for (const call of [() => Bad.fails({ text: "luck" }), () => Bad.lies()]) {
                    try { await call() } catch (e) { said.push(e.message) }
                  }
                  said"""
        out = await client.execute_typescript(code)
        assert out.success and "no luck" in out.output[0] and "int" in out.output[1]
        calls = [event.outcome for event in out.trace.events if event.type == "callback_invocation"]
        assert [one.is_success() for one in calls] == [False, False] and "no luck" in calls[0].message
        out = await client.execute_typescript('await Bad.fails({ text: "luck" })')
        assert not out.success and "no luck" in out.stderr


async def test_values_of_python_arrive_as_json(pctx: Make) -> None:
    values = {"nan": math.nan, "decimal": Decimal("1.5"), "date": date(2026, 1, 2), "set": {1}, "bytes": b"text"}

    @tool
    def give() -> Any:
        return values

    async with pctx(give) as client:
        out = await client.execute_typescript("await Tools.give()")
    assert out.output == {"nan": None, "decimal": "1.5", "date": "2026-01-02", "set": [1], "bytes": "text"}


async def test_calls_of_one_program_run_side_by_side(pctx: Make) -> None:
    together = asyncio.Barrier(20)

    @tool(namespace="all")
    async def meet(n: int) -> int:
        await together.wait()
        return n

    async with pctx(meet) as client:
        out = await client.execute_typescript(
            "await Promise.all(Array.from({ length: 20 }, (_, n) => All.meet({ n })))"
        )
    assert out.output == list(range(20))


async def test_a_tool_that_takes_too_long_is_named_with_its_limit(pctx: Make) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    slow = Slow(name="wait", namespace="test_math", input_schema=schema)
    async with pctx(slow) as client:
        code = "try { await TestMath.wait({}) } catch (e) { e.message }"
        caught = "let said; try { await TestMath.wait({}) } catch (e) { said = e.message } said"
        for options in ({"tool_timeout_secs": 1}, {"tool_timeout_overrides": {"test_math__wait": 0, "no_tool": 5}}):
            out = await client.execute_typescript(caught, **options)
            assert out.success and "`test_math__wait` timed out after 1s" in out.output, code
        out = await client.execute_typescript("await TestMath.wait({})", tool_timeout_secs=1)
        assert not out.success and "Tool `test_math__wait` timed out after 1s" in out.stderr


async def test_a_client_that_gives_up_stops_its_program(pctx: Make, running: Any) -> None:
    async with pctx(execute_timeout=1.0) as client:
        with pytest.raises(TimeoutError, match="timed out after"):
            await client.execute_typescript("await new Promise(() => setTimeout(() => {}, 60_000))")
        async with asyncio.timeout(SOON):
            while running.engine.registry.executions():
                await asyncio.sleep(0.01)
        assert (await client.execute_typescript("2")).output == 2


async def test_two_sessions_never_see_each_others_tools(pctx: Make) -> None:
    @tool(name="who", namespace="me")
    def first() -> str:
        return "first"

    @tool(name="who", namespace="me")
    def second() -> str:
        return "second"

    async with pctx(first) as one, pctx(second) as other, pctx() as nobody:
        for _ in range(3):  # a client runs one program at a time
            outs = await asyncio.gather(*(client.execute_typescript("await Me.who()") for client in (one, other)))
            assert [out.output for out in outs] == ["first", "second"]
        assert not (await nobody.execute_typescript("await Me.who()")).success
        assert (await nobody.list_functions()).functions == []


async def test_a_client_connects_again_and_has_its_tools_again(pctx: Make, running: Any) -> None:
    client = pctx(add_numbers)
    for _ in range(3):
        await client.connect()
        assert (await client.execute_typescript("await TestMath.addNumbers({ a: 1, b: 2 })")).output == 3
    await client.disconnect()
    assert len(running.engine.registry) == 0


async def test_a_client_whose_session_has_expired_connects_again(pctx: Make, running: Any) -> None:
    client = pctx(add_numbers)
    await client.connect()
    for session in running.engine.registry:
        running.engine.registry.close(session)
    with pytest.raises(httpx.HTTPStatusError, match="connect again"):
        await client.list_functions()
    with pytest.raises(CannotConnect, match="HTTP 404"):
        await client.execute_typescript("1")
    await client.connect()
    assert (await client.execute_typescript("1")).output == 1
    await client.disconnect()


async def test_a_url_with_a_slash_works(pctx: Make, api: str) -> None:
    async with pctx(add_numbers, url=f"{api}/") as client:
        assert (await client.execute_typescript("await TestMath.addNumbers({ a: 1, b: 2 })")).output == 3


async def test_the_user_sees_why_a_registration_is_refused(pctx: Make, running: Any) -> None:
    client = pctx(add_numbers, now, add_numbers)
    with pytest.raises(httpx.HTTPStatusError, match=r"409 Cannot register tool test_math\.add_numbers"):
        await client.connect()
    assert (await client.list_functions()).functions == []


async def test_who_has_no_token_is_refused(pctx: Make) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        await pctx(headers={}).connect()


async def test_bash_finds_the_declarations_of_the_client_s_tools(pctx: Make) -> None:
    async with pctx(add_numbers, look) as client:
        out = await client.execute_bash("ls; grep -i 'adds two' README.md; cat TestMath/addNumbers.d.ts")
        assert (out.exit_code, out.stderr) == (0, "")
        assert out.stdout.startswith("README.md\nTestMath\nWeather\nTestMath/addNumbers.d.ts  # adds two numbers")
        assert "function addNumbers(args: {" in out.stdout
        code = "await TestMath.addNumbers({ a: 1, b: 2 })"
        assert (await client.execute_typescript(code, disclosure="filesystem")).output == 3
        out = await client.execute_bash("echo x > README.md")
        assert out.exit_code != 0 and "read-only" in out.stderr


async def test_a_command_may_take_longer_than_the_client_waits_for_a_byte(pctx: Make) -> None:
    async with pctx(add_numbers) as client:
        out = await client.execute_bash("sleep 6; echo slept")
    assert (out.exit_code, out.stdout) == (0, "slept\n")


async def test_a_command_that_is_not_run_is_answered_in_a_shape_that_the_client_reads(pctx: Make) -> None:
    async with pctx(add_numbers) as client:
        out = await client.execute_bash("echo " + "x" * (2 << 20))
    assert out.exit_code == 126 and "Pctx.max_program_bytes" in out.stderr


async def test_large_results_and_arguments_pass_or_are_cut(pctx: Make) -> None:
    @tool(namespace="big")
    async def echo(text: str) -> str:
        return text

    async with pctx(echo) as client:
        out = await client.execute_typescript("(await Big.echo({ text: 'x'.repeat(9e6) })).length")
        assert out.output == 9_000_000
        out = await client.execute_typescript("'x'.repeat(20e6)")
        assert out.output == {"__truncated__": True, "reason": out.output["reason"]} and "its value" in out.stderr
        out = await client.execute_typescript("await Big.echo({ text: 'x'.repeat(17e6) })")
        assert not out.success and "16,777,216" in out.stderr
        code = "const text = 'x'.repeat(3e6); for (let i = 0; i < 8; i++) await Big.echo({ text }); text.length"
        out = await client.execute_typescript(code)
        assert out.output == 3_000_000 and len(out.trace.events) == 8


async def test_what_the_clients_parser_cannot_read_is_left_out(pctx: Make) -> None:
    async with pctx(now) as client:
        out = await client.execute_typescript("let deep: any = []; for (let i = 0; i < 300; i++) deep = [deep]; deep")
        assert out.success and out.output["__truncated__"] and "nested too deeply" in out.stderr
        out = await client.execute_typescript("BigInt('1'.repeat(5000))")
        assert not out.success and "an integer of more than 4299 digits" in out.stderr
        out = await client.execute_typescript("'1'.repeat(5000)")
        assert out.output == "1" * 5000
        out = await client.execute_typescript("[NaN, Infinity, undefined, null]")
        assert out.output == [None, None, None, None]


async def test_a_server_that_stops_answers_the_programs_that_run(pctx: Make, running: Any) -> None:
    began = asyncio.Event()

    @tool(namespace="a")
    async def wait() -> None:
        began.set()
        await asyncio.Event().wait()

    client = pctx(wait)
    await client.connect()
    program = asyncio.create_task(client.execute_typescript("console.log('so far'); await A.wait()"))
    async with asyncio.timeout(SOON):
        await began.wait()
        await running.stop()
        out = await program
    assert not out.success and out.stdout == "so far" and "stops" in out.stderr


async def test_mcp_servers_of_the_client_are_called_and_traced(pctx: Make) -> None:
    peer = Path(__file__).parents[2] / "upstream" / "peer.py"
    servers = [
        {"name": "my_peer", "command": sys.executable, "args": [str(peer)]},
        {"name": "nobody", "url": "http://127.0.0.1:9/mcp", "auth": {"type": "bearer", "token": "secret"}},
    ]
    async with pctx(add_numbers, servers=servers) as client:
        functions = (await client.list_functions()).functions
        name = next(one.name for one in functions if one.namespace == "MyPeer")
        out = await client.execute_typescript(
            f"try {{ await (MyPeer as any).{name}({{}}) }} catch {{}} await TestMath.addNumbers({{ a: 1, b: 2 }})"
        )
    assert out.success and out.output == 3, out.stderr
    of_server, own = out.trace.events
    assert (of_server.type, own.type) == ("mcp_tool_call", "callback_invocation")
    assert (of_server.server, of_server.args) == ("my_peer", {})
