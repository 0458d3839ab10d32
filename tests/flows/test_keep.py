"""What one program keeps for the next, with a real engine: values, types, errors, and what cannot be kept."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pctx_jupyter import errors
from pctx_jupyter.client.client import PctxClient
from pctx_jupyter.engine import open_engine
from pctx_jupyter.rpc.channel import Channel, OnNotification, Serve
from pctx_jupyter.rpc.environment import TOKEN, URL
from pctx_jupyter.settings import Settings

from ..kernel.real_kernel import open_kernel
from ..server.process import server_process

WARM = "--Pctx.warm_sandboxes=1"

CELL = """\
interface Order { id: number; price: number }
type Pair<A, B = A> = [A, B];
const rate = 0.25;
const orders: Order[] = [{ id: 1, price: 4 }];
const { first, rest: [second] } = { first: 1, rest: ["two"] };
let count = 0;
count += 2;
/** With tax. */
function gross(order: Order): number {
  return order.price * (1 + rate);
}
const later = async <T,>(value: T) => ({ value, gross });
class Shop { static open = rate > 0; constructor(public name: string) {} }
enum Colour { Red, Green = "g" }
"""


@asynccontextmanager
async def client() -> AsyncIterator[PctxClient]:
    """A client of an engine of its own."""
    async with open_engine(Settings()) as engine:

        async def connect(serve: Serve, on_notification: OnNotification) -> Channel:
            return engine.connect(serve=serve, on_notification=on_notification)

        async with PctxClient(connect=connect) as one:
            yield one


async def test_a_later_program_finds_what_an_earlier_one_kept_and_is_checked_against_it() -> None:
    async with client() as one:
        kept = await one.execute_code(CELL, keep=True)
        assert kept["unkept"] == {}
        for code, value in [
            ("const mine: Order = { id: 2, price: 8 }; [gross(mine), gross(orders[0])]", [10, 5]),
            ("const pair: Pair<number> = [first, count]; [...pair, second.toUpperCase()]", [1, 2, "TWO"]),
            ("(await later(5)).value.toFixed(1)", "5.0"),
            (
                "class Mine extends Shop {}; [new Mine('a').name, Shop.open, Colour.Green, Colour[0]]",
                ["a", True, "g", "Red"],
            ),
            ("const gross = 1; gross", 1),
            ("interface Order { other: string }; const o: Order = { other: 'a' }; o", {"other": "a"}),
        ]:
            assert (await one.execute_code(code))["value"] == value, code
        for code, wrong in [
            ("gross({ id: 1 })", "Property 'price' is missing"),
            ("orders[0].prize", "Did you mean 'price'"),
            ("(await later('a')).value.toFixed()", "toFixed"),
            ("new Shop(5)", "not assignable"),
            ("count = 3", "Cannot assign to 'count' because it is kept from an earlier program"),
            ("Colour.Blue", "Blue"),
            ("orderz", "Did you mean 'orders'"),
        ]:
            with pytest.raises(errors.ExecutionFailed, match=wrong):
                await one.execute_code(code)


async def test_only_exports_are_found_and_each_program_gets_its_own() -> None:
    async with client() as one:
        code = "const base = 1; function helper() { return base }\n"
        code += "export const list = [1]; export const f = () => helper() + list[0]"
        assert (await one.execute_code(code))["kept"] == ["list", "f"]
        assert (await one.execute_code("list.push(5); [list, f()]"))["value"] == [[1, 5], 2]
        assert (await one.execute_code("list"))["value"] == [1]
        assert (await one.execute_code("list", inputs={"list": "given"}))["value"] == "given"
        for hidden in ("base", "helper()"):
            with pytest.raises(errors.ExecutionFailed, match="Cannot find name"):
                await one.execute_code(hidden)


async def test_what_takes_a_names_place_is_found_by_what_used_it() -> None:
    async with client() as one:
        await one.execute_code("function twice(n: number) { return 2 * one() }\nfunction one() { return 1 }", keep=True)
        await one.execute_code("export function one() { return 10 }")
        assert (await one.execute_code("twice(1)"))["value"] == 20
        assert await one.forget(["one"]) == ["one"]
        with pytest.raises(errors.ExecutionFailed, match="one is not defined"):
            await one.execute_code("twice(1)")
        assert await one.forget() == ["twice"]
        assert await one.forget() == []


async def test_constants_that_are_not_json_are_named_and_left_out() -> None:
    odd = [
        ("new Map()", "a Map"),
        ("new Date()", "a Date"),
        ("undefined", "undefined"),
        ("5n", "a bigint"),
        ("{ f: () => 1 }", "a function"),
        ("Promise.resolve(1)", "await it"),
        ("new (class Mine {})", "a Mine"),
        ("(() => { const a: any = {}; a.a = a; return a })()", "a cycle"),
        ("{ get a(): number { throw new Error('no') } }", "Error: no"),
    ]
    code = "".join(f"export const odd{n} = {value};\n" for n, (value, _) in enumerate(odd))
    async with client() as one:
        kept = await one.execute_code(f"{code}export const even = {{ a: [1, null, 'x', -Infinity] }}")
        assert kept["kept"] == ["even"]
        for n, (_, why) in enumerate(odd):
            assert why in kept["unkept"][f"odd{n}"]
        assert (await one.execute_code("even.a"))["value"] == [1, None, "x", float("-inf")]


async def test_a_program_that_fails_keeps_nothing() -> None:
    async with client() as one:
        with pytest.raises(errors.ExecutionFailed):
            await one.execute_code("export const a = 1; throw new Error('no')")
        with pytest.raises(errors.ExecutionFailed, match="Cannot find name"):
            await one.execute_code("a")


async def test_an_error_in_a_kept_function_says_where_and_where_it_was_called() -> None:
    async with client() as one:
        await one.execute_code("const unseen = 1;\n\nexport function fail() {\n  throw new RangeError('no');\n}")
        with pytest.raises(errors.ExecutionFailed) as failed:
            await one.execute_code("const a = 1;\n  fail();")
        failure = failed.value.failure
        assert (failure.name, failure.line, failure.column) == ("RangeError", 2, 3)
        assert failure.message == "no (thrown in line 4 of the cell that keeps fail)"
        assert failure.stack.split("\n") == ["    at fail (kept/fail.ts:4)", "    at program.ts:2:3"]


async def test_what_cannot_be_used_any_more_says_the_way_out() -> None:
    async with client() as one:
        await one.execute_code("export const base = { size: 1 }")
        await one.execute_code("export class Sized { static size = base.size }")
        await one.forget(["base"])
        with pytest.raises(errors.ExecutionFailed, match=r"base is not defined.*%pctx forget Sized"):
            await one.execute_code("1")
        await one.forget(["Sized"])
        assert (await one.execute_code("1"))["value"] == 1


async def test_unchecked_programs_keep_and_find_without_types() -> None:
    async with client() as one:
        await one.execute_code("type A = number; const a: A = 1", keep=True, typecheck=False)
        assert (await one.execute_code("const b: A = a; b.anything ?? b"))["value"] == 1


async def test_kept_names_and_tools_do_not_meet() -> None:
    async with client() as one:
        await one.execute_code("export const Sales = 1")
        await one.register_tool("sales", "load", lambda arguments: 1)
        with pytest.raises(errors.InvalidParams, match="%pctx forget Sales"):
            await one.execute_code("1")
        await one.forget(["Sales"])
        with pytest.raises(errors.InvalidParams, match=r"Cannot keep Sales.*rename it"):
            await one.execute_code("export const Sales = 1", keep=True)
        unkept = await one.execute_code("export const Sales = 1; export const Math = 2; Sales + Math")
        assert (unkept["value"], list(unkept["unkept"])) == (3, ["Sales", "Math"])


async def test_no_tool_is_called_again_for_what_is_kept() -> None:
    calls: list[object] = []
    async with client() as one:
        await one.register_tool("sales", "load", lambda arguments: calls.append(arguments) or [1, 2])
        await one.execute_code("export const loaded = await Sales.load({ all: true }) as number[]")
        assert (await one.execute_code("loaded.length + loaded[1]"))["value"] == 4
    assert calls == [{"all": True}]


def test_a_kernel_says_once_that_what_was_kept_went_with_the_server(tmp_path: Path) -> None:
    with server_process(WARM) as first:
        known = first.start_kernel().environ()
        with open_kernel(tmp_path, **{name: known[name] for name in (URL, TOKEN)}) as kernel:
            kernel.run("%load_ext pctx_jupyter")
            assert kernel.run("%%pctx\nexport const a = 1, b = new Map()").text("stderr") == (
                "pctx: b is not kept: a Map has no JSON form\n"
            )
            assert kernel.run("%%pctx\na").value == "1"
            first.stop(signal.SIGKILL)
            with server_process(WARM, like=first):
                lost, again, after = (
                    kernel.run(code) for code in ("%%pctx\na", "%%pctx --keep\nconst a = 2", "%%pctx\na")
                )
                assert "Cannot find name 'a'" in lost.traceback
                assert "what earlier cells kept is gone (a): run those cells again" in lost.text("stderr")
                assert again.text("stderr") == after.text("stderr") == ""
                assert after.value == "2"
                assert kernel.run("%pctx forget").text() == "Forgot a\n"
                assert kernel.run("%pctx forget").text() == "Nothing was kept\n"
                assert "nothing is kept" in kernel.run("%pctx forget a").text("stderr")
