"""The real type checker: what it finds, what it lets pass, and that nothing stops it for long."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings

from pctx_jupyter import errors
from pctx_jupyter.program.check import Checked, CheckJob, Unchecked
from pctx_jupyter.sandbox import checker as module
from pctx_jupyter.sandbox import compiler, flags
from pctx_jupyter.sandbox.checker import Checker, open_checker
from pctx_jupyter.sandbox.spawner import Launcher
from pctx_jupyter.sandbox.worker import Worker
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools import names, typegen
from pctx_jupyter.tools.tool import Tool

from .. import schemas
from ..below import below
from ..fakes import SOON
from .declarations import Declarations

T = TypeVar("T")

ORDER = {
    "type": "object",
    "title": "Order",
    "properties": {"id": {"type": "string"}, "total": {"type": "number"}, "note": {"type": ["string", "null"]}},
    "required": ["id", "total"],
}
FILTER = {
    "type": "object",
    "properties": {"status": {"enum": ["open", "paid"]}, "limit": {"type": "integer"}},
    "required": ["status"],
    "additionalProperties": False,
}
TOOLS = [
    Tool("sales", "load_orders", "Loads orders.", FILTER, {"type": "array", "items": ORDER}),
    Tool("sales", "delete", "Deletes one.", {"type": "object", "properties": {"id": {"type": "string"}}}, None),
    Tool(
        "Math",
        "add",
        "",
        {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]},
        {"type": "number"},
    ),
]
DECLARATIONS = typegen.declarations(TOOLS)
BOMB = """
type Build<T extends any[]> = T["length"] extends 999 ? T : Build<[...T, 1]>;
type Double<T> = T extends [infer A, ...infer R] ? [Double<R>, Double<R>] : 1;
let x: Double<Build<[]>> = 5;
"""


def job(code: str, *, session: str = "a", inputs: str = "", client: str = "") -> CheckJob:
    return CheckJob(session, code, DECLARATIONS, inputs, [tool.path for tool in TOOLS], client=client)


class Held:
    """A checker on a loop of its own, so that all tests of this file share one process."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = Thread(target=self.loop.run_forever)
        self.thread.start()
        self.opened = open_checker(Settings(), check_s=SOON)
        self.checker: Checker = self.wait(self.opened.__aenter__())

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10 * SOON)

    def check(self, code: str, **more: str) -> list[str]:
        """What is wrong with a program, as ``line:column message``."""
        verdict = self.wait(self.checker.check(job(code, **more)))
        assert isinstance(verdict, Checked), verdict
        return [f"{d.line}:{d.column} {d.message}" for d in verdict.diagnostics]

    def close(self) -> None:
        self.wait(self.opened.__aexit__(None, None, None))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def held() -> Iterator[Held]:
    holder = Held()
    yield holder
    holder.close()


@asynccontextmanager
async def hurried() -> AsyncIterator[Checker]:
    """A checker that gives up at once, already started."""
    async with open_checker(Settings(), check_s=0.5) as checker:
        async with asyncio.timeout(4 * SOON):
            while not checker.status()["ready"]:
                await checker.check(job("1"))
        yield checker


# ── What passes ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "code",
    [
        "",
        "1 + 1",
        "Sales.loadOrders({status: 'open'})",
        "const orders = await Sales.loadOrders({status: 'open'});\norders.map((o) => o.note?.length ?? o.total)",
        "await sales.load_orders({status: 'paid', limit: 5})",
        "await Sales.delete({id: '1'})",
        "Math.max(await Math.add({a: 1}), 2)",
        "async function run() { return Sales.loadOrders({status: 'open'}); }",
        "export default async () => 5",
        "const unused = 5; function alsoUnused(a, b) { return a; }",
        "try { await Sales.delete() } catch (e) { console.error(e.message) }",
        "{a: 1}",
        "label: for (;;) { break label }",
        "await CALLABLE_TOOLS.execute('sales.load_orders', {}); list_functions()[0].name.length",
        "await Promise.all([Sales.loadOrders({status: 'open'}), Math.add({a: 1})])",
        "enum Colour { Red } class A { constructor(private b: number) {} }\nconst c = { d: 1 } satisfies object; c",
        "new Map([[1, 2]]).getOrInsertComputed; Object.groupBy([1], String); Promise.try(() => 1)",
        "await new Promise((then) => setTimeout(then, 5)); setInterval((n: number) => n, 5, 1)",
        "setTimeout(() => {}, 5); structuredClone({}); new URL('https://a.b').searchParams.get('c')",
        "new AbortController().signal.aborted; performance.now(); crypto.randomUUID(); atob(btoa('a'))",
        "// @ts-nocheck\nnonsense.everywhere()",
        "let x; x = 5; x + 1; const rows = []; rows.push({a: 1}); rows[0].a",
    ],
)
def test_what_people_write_passes(held: Held, code: str) -> None:
    assert held.check(code) == []


FRAMES = """declare const f: Frame<{ id: number; price: string; amount: number | null; free: any }>;
declare const all: Frame; declare const other: Frame<{ id: number; name: string; price: string }>;
"""


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("const x: string | null = (await f.agg({ price: 'sum' })).price; x", ""),
        ("const x: number = (await f.agg({ x: ['price', 'sum'] })).x ?? 0; x", "is not assignable to type 'number'"),
        ("const x: number = (await f.agg({ amount: 'sum', free: 'sum' })).amount ?? 0; x", ""),
        ("((await f.agg({ free: 'sum' })).free ?? 0) + 1", ""),
        ("const x: string = (await all.agg({ amount: 'sum', n: ['id', 'sum'] })).amount; x", ""),
        ("(await f.groupBy('id').agg({ price: 'sum' }).rows())[0].price?.length", ""),
        ("const x: number = (await f.withColumns({ x: (o) => o.id.mul(2) }).rows())[0].x; x", ""),
        ("const x: number = (await f.withColumns({ x: (o) => o.amount.mul(2) }).rows())[0].x; x", "'number | null'"),
        ("const x: number = (await f.withColumns({ x: (o) => o.id.add(o.amount) }).rows())[0].x; x", "'number | null'"),
        ("const x: string = (await f.withColumns({ x: (o) => o.price.mul(2) }).rows())[0].x; x", ""),
        ("f.filter((o) => o.price.sub(o.price).gt(0).and(o.free.add(o.id).lt(1)))", ""),
        ("f.withColumns({ x: (o) => o.id.add(o.price) })", "is not assignable"),
        ("all.filter((o) => o.a.mul(o.b).add(1).gt(o.c))", ""),
        ("(await f.join(other, 'id').rows())[0].name.length", ""),
        ("(await f.join(other, ['id'], 'inner').rows())[0].price_right.length", ""),
        ("(await f.join(other, 'id', 'left').rows())[0].name.length", "possibly 'null'"),
        ("(await f.join(other, 'id', 'left').rows())[0].price_right?.length", ""),
    ],
)
def test_frame_has_the_types_of_what_its_operations_give(held: Held, code: str, wrong: str) -> None:
    found = held.check(FRAMES + code)
    assert [one.message for one in found] == [] if not wrong else wrong in str(found)


LEARNT = Tool(
    "Stats",
    "test",
    "",
    {
        "type": "object",
        "properties": {
            "alpha": {"anyOf": [{"type": "number"}, {}], "x-learnt": "default"},
            "kind": {"anyOf": [{"enum": ["a", "b"]}, {}], "x-learnt": "docstring"},
        },
        "required": ["kind"],
        "additionalProperties": False,
    },
    None,
)


@pytest.mark.parametrize(
    "code",
    [
        "await Stats.test({ kind: 'a', alpha: 0.5 })",
        "await Stats.test({ kind: 'other', alpha: 'text' })",
        "await Stats.test({ kind: [1, { a: null }], alpha: null })",
        "const given: unknown = JSON.parse('1'); await Stats.test({ kind: given, alpha: given })",
        "const alpha = Math.random() > 2 ? 'x' : undefined; await Stats.test({ kind: 1, alpha })",
    ],
)
def test_learnt_type_refuses_no_value(held: Held, code: str) -> None:
    work = held.checker.check(CheckJob("learnt", code, typegen.declarations([LEARNT]), "", [LEARNT.path]))
    assert held.wait(work) == Checked(())


def test_learnt_parameter_is_a_parameter_all_the_same(held: Held) -> None:
    work = held.checker.check(
        CheckJob("learnt", "await Stats.test({ alfa: 1 })", typegen.declarations([LEARNT]), "", [LEARNT.path])
    )
    [found] = held.wait(work).diagnostics  # type: ignore[union-attr]
    assert "alfa" in found.message


@pytest.mark.parametrize(
    "code",
    [
        "const args = {}; args.a = 1; await Math.add(args)",
        "const out = {ok: [], best: null}; out.ok.push(1); out.best = {id: 'x'}; out.best.id",
        "class Queue { constructor() { this.items = []; } add(x) { this.items.push(x); } }\nnew Queue().items.length",
        "function f({ limit = 10, all } = {}) { return all ?? limit } f()",
        "function Point(x) { this.x = x } new Point(1).x",
        "const cache = {}; for (const key of ['a', 'b']) { cache[key] = (cache[key] || 0) + 1 } cache",
        "var total = 0; const add = function (n) { total += n }; add.calls = 1; add(1)",
    ],
)
def test_plain_javascript_passes(held: Held, code: str) -> None:
    assert held.check(code) == []


# ── What does not ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        (
            "Sales.lodOrders({status: 'open'})",
            "1:7 Property 'lodOrders' does not exist on type 'typeof Sales'. Did you mean",
        ),
        ("Sale.loadOrders()", "1:1 Cannot find name 'Sale'. Did you mean 'Sales'?"),
        ("loadOrders()", "1:1 Cannot find name 'loadOrders'. Did you mean 'Sales.loadOrders'?"),
        (
            "Sales.fetchAll()",
            "1:7 Property 'fetchAll' does not exist on type 'typeof Sales'. There is: delete, loadOrders.",
        ),
        ("Math.ad({a: 1})", "1:6 Property 'ad' does not exist on type 'Math'. Did you mean"),
        (
            "\n\n  Sales.loadOrders({status: 'opn'})",
            '3:21 Type \'"opn"\' is not assignable to type \'"open" | "paid"\'.',
        ),
        (
            "Sales.loadOrders({status: 'open', limt: 1})",
            "1:35 Object literal may only specify known properties, but 'limt'",
        ),
        (
            "Sales.loadOrders({status: 'open', zzz: 1})",
            "1:35 Object literal may only specify known properties, and 'zzz'",
        ),
        ("Sales.loadOrders()", "1:7 Expected 1 arguments, but got 0."),
        ("Sales.loadOrders({})", "1:18 Argument of type '{}' is not assignable"),
        (
            "(await Sales.loadOrders({status: 'open'}))[0].totl",
            "1:47 Property 'totl' does not exist on type '{ id: string;",
        ),
        (
            "const [{ summ }] = await Sales.loadOrders({status: 'open'})",
            "1:10 Property 'summ' does not exist on type '{ id: string;",
        ),
        ("undeclared + 1", "1:1 Cannot find name 'undeclared'."),
        ("function f(a, b) { return a + b } f(1)", "1:35 Expected 2 arguments, but got 1."),
        (
            "const rows = [{ a: 1 }]; rows.a",
            "1:31 Property 'a' does not exist on type '{ a: number; }[]'. It is a list, and its elements have it: .",
        ),
        ("const o = {a: 1}; o.b", "1:21 Property 'b' does not exist on type '{ a: number; }'. There is: a."),
        (
            "const a = {n: null}; a.n = 5; const o = await Sales.loadOrders({status: 'open'}); o.at(0).id",
            "1:83 Object is",
        ),
        ("const n: number = 'x'", "1:7 Type 'string' is not assignable to type 'number'."),
        ("(await Sales.loadOrders({status: 'open'}))[0].note.length", "1:1 Object is possibly"),
        ("return 5", "1:1 A 'return' statement can only be used within a function body. End the program with"),
        ("import x from 'lodash'", "1:15 Cannot import 'lodash': a program can only call its tools"),
        ("await import('node:fs')", "1:14 Cannot import 'node:fs': a program can only call its tools"),
        ("import './other.ts'", "1:8 Cannot import './other.ts': a program can only call its tools"),
        ("export * from 'https://example.com/x.ts'", "1:15 Cannot import 'https://example.com/x.ts': a program"),
        ("type T = import('npm:zod').T; let x: T", "1:17 Cannot import 'npm:zod': a program can only call its tools"),
        ("import fs = require('fs')", "1:21 Cannot import 'fs'"),
        ("fetch('https://example.com')", "1:1 Cannot find name 'fetch': a program can only call its tools"),
        ("require('fs')", "1:1 Cannot find name 'require': a program can only call its tools"),
        ("process.env", "1:1 Cannot find name 'process': a program can only call its tools"),
        ("document.title", "1:1 Cannot find name 'document': a program can only call its tools"),
        (
            "Deno.readTextFile('/etc/passwd')",
            "1:6 Property 'readTextFile' does not exist on type 'typeof Deno': a program can only call its tools",
        ),
    ],
)
def test_a_mistake_is_found_where_it_is(held: Held, code: str, wrong: str) -> None:
    found = held.check(code)
    assert found and found[-1 if code.startswith("import fs") else 0].startswith(wrong), found


@pytest.mark.parametrize(
    ("code", "column"),
    [
        ("const o = Sales.loadOrders({status: 'open'}); o.length", 49),
        ("const o = Sales.loadOrders({status: 'open'}); o[0]", 47),
        ("const o = Sales.loadOrders({status: 'open'}); for (const x of o) {}", 63),
        ("const n = Math.add({a: 1}); n + 1", 29),
        ("const n = Math.add({a: 1}); `${n}`", 32),
        ("const n = Math.add({a: 1}); 'n: ' + n", 37),
        ("const n = Math.add({a: 1}); if (n) {}", 33),
        ("const n = Math.add({a: 1}); console.log(n)", 41),
        ("const n = Math.add({a: 1}); JSON.stringify({n})", 45),
        ("const { sum } = Math.add({a: 1}) as Promise<any>", 9),
        ("const o = Math.add({a: 1}) as Promise<any>; o.rows", 47),
        ("const o = { ...Math.add({a: 1}) }", 16),
        ("Object.keys(Math.add({a: 1}))", 13),
        ("({ sum: Math.add({a: 1}) })", 9),
        ("async function run() { return { sum: Math.add({a: 1}) } }", 38),
        ("const run = async () => [Math.add({a: 1})]", 26),
        ("export default { sum: Math.add({a: 1}) }", 23),
        ("const sums = { first: { n: Math.add({a: 1}) } };\nsums", 1),
        ("await Sales.delete({ id: Math.add({a: 1}) } as any)", 26),
        ("const key: any = {}; await CALLABLE_TOOLS.execute('Math.add', { a: Math.add({a: 1}) })", 68),
    ],
)
def test_a_promise_used_as_a_value_is_to_be_awaited(held: Held, code: str, column: int) -> None:
    (found,) = held.check(code)
    line = code.count("\n") + 1
    assert found.startswith(f"{line}:{column} ") and found.endswith("await it first")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("[1, 2].map((a) => Math.add({a}))", "This is a list of Promises, not of the values they will have"),
        ("await [1, 2].map((a) => Math.add({a}))", "This is a list of Promises, not of the values they will have"),
        ("({ x: [1, 2].map((a) => Math.add({a})) })", "This is a list of Promises, not of the values they will have"),
        ("const o = { rows: [1].map((a) => Math.add({a})) }; o", "Here 'rows' is a list of Promises"),
        ("const o = [1].map((a) => ({ a, sum: Math.add({a}) })); o", "Here '[].sum' is a Promise"),
        ("new Map([['a', Math.add({a: 1})]])", "This is a list of Promises"),
    ],
)
def test_promises_in_a_value_are_named_by_their_path(held: Held, code: str, message: str) -> None:
    (found,) = held.check(code)
    assert message in found and found.endswith(("await Promise.all(…) it first", "await it first"))


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("[1, 2].filter(async (a) => await Math.add({a}) > 2)", "1:15"),
        ("[1, 2].some((a) => Math.add({a}))", "1:13"),
        ("async function big(a: number) { return a > 1 }\n[1, 2].find(big)", "2:13"),
    ],
)
def test_a_promise_is_no_truth_value_of_an_element(held: Held, code: str, place: str) -> None:
    (found,) = held.check(code)
    assert found.startswith(f"{place} ") and "takes every Promise for true. Get the values first: const found" in found


@pytest.mark.parametrize(
    "code",
    [
        "await Promise.all(Object.values({ a: Math.add({a: 1}) }))",
        "const sums = { a: Math.add({a: 1}) }; for (const key of Object.keys(sums)) console.log(key)",
        "const o = { ...(await Math.add({a: 1}) as any) }; 1",
        "class Own { filter(f: (a: number) => Promise<any>) { return f(1) } }; await new Own().filter(async () => 1)",
        "[1, 2].filter((a) => a > 1)",
        "await Promise.all([1, 2].map((a) => Math.add({a})))",
        "Math.add({a: 1})",
        "Promise.all([Math.add({a: 1})])",
        "class Later { #n = Math.add({a: 1}); get n() { return this.#n } async m() { return 1 } }; new Later()",
        "const cache = new Map([['a', Math.add({a: 1})]]); await cache.get('a')",
        "const o = { n: Math.add({a: 1}), toJSON() { return 1 } }; o",
        "({ f: async () => 1 })",
    ],
)
def test_promises_that_do_not_become_json_pass(held: Held, code: str) -> None:
    assert held.check(code) == []


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("x = 5", "1:1 Cannot find name 'x'. Declare it: const x = …, or let x = … if it changes."),
        ("print('a')", "1:1 Cannot find name 'print'. That is Python; in TypeScript it is console.log(…)."),
        ("len([1])", "1:1 Cannot find name 'len'. That is Python; in TypeScript it is x.length"),
        ("const a = None", "1:11 Cannot find name 'None'. That is Python; in TypeScript it is null."),
        ("const a = { ok: True }", "1:17 Cannot find name 'True'. That is Python; in TypeScript it is true."),
        ("const a = <div>hi</div>", "1:11 JSX is not supported"),
        ("const n = 1\n{ a: n, b: nn }", "2:12 Cannot find name 'nn'"),
        ("{ a: Math.add({a: 1}), b: 1 }", "1:6 This is a Promise"),
    ],
)
def test_habits_of_other_languages_get_what_to_write_instead(held: Held, code: str, wrong: str) -> None:
    (found, *_) = held.check(code)
    assert found.startswith(wrong)


@pytest.mark.parametrize(
    ("code", "warned"),
    [
        (
            'const xs = ["a"];\n"a" in xs',
            "2:1 'in' looks at the indexes of a list, and not at its values. Write xs.includes(\"a\")",
        ),
        ("(s: string) => s in s.split('')", "Write s.split('').includes(s)"),
        ("3 in [1, 2, 3]", "Write [1, 2, 3].includes(3)"),
        ("let xs = [1, 2];\nxs[-1]", "2:1 An index does not count from the end, so this is undefined. Write xs.at(-1)"),
        ("'abc'[-2]", "Write 'abc'.at(-2)"),
        ("[10, 9].sort()", "1:1 sort() sorts numbers as texts, so 10 is before 9. Write sort((a, b) => a - b)"),
        ("const f = (n: (1 | 2)[]) => n.toSorted();", "Write toSorted((a, b) => a - b)"),
    ],
)
def test_what_means_something_else_in_python_is_warned_of(held: Held, code: str, warned: str) -> None:
    verdict = held.wait(held.checker.check(job(code)))
    assert isinstance(verdict, Checked) and not verdict.is_wrong
    (found,) = verdict.diagnostics
    assert found.severity == "warning"
    assert warned in f"{found.line}:{found.column} {found.message}"


@pytest.mark.parametrize(
    "code",
    [
        '"a" in { a: 1 }',
        "const holes = [1, , 3]; for (let i = 0; i < 3; i++) i in holes;",
        "const by: Record<number, string> = {}; by[-1]",
        "new Float64Array([10, 9]).sort()",
        "['b', 'a'].sort()",
        "[10, 9].sort((a, b) => a - b)",
        "const some: (number | string)[] = [1, 'a']; some.sort()",
        "const any: any = [1]; any.sort(); any[-1]; 'a' in any",
    ],
)
def test_what_a_program_may_well_mean_is_not_warned_of(held: Held, code: str) -> None:
    assert held.check(code) == []


def test_warnings_come_after_all_errors_and_push_none_out(held: Held) -> None:
    verdict = held.wait(held.checker.check(job("[1].sort();\n" * 20 + "wrong")))
    assert isinstance(verdict, Checked) and verdict.is_wrong
    assert [d.severity for d in verdict.diagnostics] == ["error"] + ["warning"] * 10


def test_a_name_that_is_not_defined_is_told_apart(held: Held) -> None:
    verdict = held.wait(held.checker.check(job("df.length")))
    assert isinstance(verdict, Checked)
    assert [d.missing for d in verdict.diagnostics] == ["df"]


def test_of_many_syntax_errors_the_first_few_are_told(held: Held) -> None:
    verdict = held.wait(held.checker.check(job("let a = (;\n" * 50)))
    assert isinstance(verdict, Checked) and verdict.has_more
    assert 1 <= len(verdict.diagnostics) <= 3 and verdict.diagnostics[0].is_syntax
    assert verdict.diagnostics[0].line == 1


def test_of_many_errors_ten_are_told_in_order(held: Held) -> None:
    verdict = held.wait(held.checker.check(job("\n".join(f"x{number}" for number in range(30)))))
    assert isinstance(verdict, Checked) and verdict.has_more
    assert [d.line for d in verdict.diagnostics] == [*range(1, 11)]


def test_places_count_utf16_units_and_line_feeds(held: Held) -> None:
    verdict = held.wait(held.checker.check(job("'\u2028';\r\n/* 😀 */ wrong;\n")))
    assert isinstance(verdict, Checked)
    (found,) = verdict.diagnostics
    assert (found.line, found.column, found.end_line, found.end_column) == (2, 10, 2, 15)
    assert found.frame("'\u2028';\r\n/* 😀 */ wrong;\n").splitlines()[2] == "    |          ^^^^^"


def test_half_a_character_is_no_reason_to_fail(held: Held) -> None:
    assert held.check("const a = '\ud800'; b") == ["1:16 Cannot find name 'b'."]


# ── Sessions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_inputs_are_known_until_they_change(held: Held) -> None:
    assert held.check("orders[0].id.length", inputs="declare const orders: { id: string }[];") == []
    assert held.check("orders[0].id.length", inputs="declare const orders: { id: number }[];") != []
    assert held.check("orders")[0].startswith("1:1 Cannot find name 'orders'")


def test_sessions_do_not_see_each_other(held: Held) -> None:
    assert held.check("secret", session="b", inputs="declare const secret: string;") == []
    for reference in ("/s1/inputs.d.ts", "/inputs.d.ts", "/s2/inputs.d.ts", "../s1/inputs.d.ts"):
        assert held.check(f'/// <reference path="{reference}" />\nsecret', session="c") != []


def test_a_forgotten_session_begins_anew(held: Held) -> None:
    assert held.check("orders", session="d", inputs="declare const orders: 1;") == []
    held.loop.call_soon_threadsafe(held.checker.forget, "d")
    assert held.check("orders", session="d") != []


def test_more_sessions_than_are_remembered_are_served(held: Held) -> None:
    for _ in range(2):
        for number in range(module.SESSIONS + 2):
            text = f"declare const own{number}: 1;"
            assert held.check(f"own{number}", session=f"many{number}", inputs=text) == []


# ── Editors ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_completion_offers_members_of_tools(held: Held) -> None:
    code = "Sales.lo"
    found = held.wait(held.checker.complete(job(code), len(code)))
    assert (found.start, found.length, found.items[0].name) == (6, 2, "loadOrders")


def test_completion_offers_arguments_values_and_fields(held: Held) -> None:
    for code, name in [
        ("Sales.loadOrders({ st", "status"),
        ("Sales.loadOrders({ status: '", "open"),
        ("(await Sales.loadOrders({status: 'open'}))[0].", "total"),
        ("Sal", "Sales"),
        ("con", "console"),
    ]:
        found = held.wait(held.checker.complete(job(code), len(code)))
        assert name in [item.name for item in found.items], code


def test_completions_have_types_and_descriptions_and_required_fields_are_first(held: Held) -> None:
    def found(code: str) -> list[tuple[str, str]]:
        items = held.wait(held.checker.complete(job(code), len(code))).items
        return [(one.name, one.detail) for one in items]

    detail = (
        '(args: { status: "open" | "paid"; limit?: number; }) → { id: string; total: number; note?: string | null; }[]'
    )
    assert found("Sales.l") == [("loadOrders", detail), ("load_orders", detail)], "of both spellings"
    assert found("Sales.loadOrders({ ") == [("status", '"open" | "paid"'), ("limit", "number, optional")]
    assert found("(await Sales.loadOrders({status: 'open'}))[0].no") == [("note", "string | null, optional")]
    assert dict(found("function f(a = 1, ...b: string[]) {}\nf"))["f"] == "(a?: number, ...b: string[]) → void"
    assert dict(found("Sal"))["Sales"] == "", "what a namespace is says nothing"
    items = held.wait(held.checker.complete(job("Sales.l"), 7)).items
    assert items[0].docs == "Loads orders."


@pytest.mark.parametrize(
    ("code", "fixed"),
    [
        ("await Sales.loadOrders()", "await Sales.loadOrders({ status: 0 })"),
        ("await Sales.loadOrders({})", "await Sales.loadOrders({ status: 0 })"),
        ("await Sales.loadOrders({ limit: 5 })", "await Sales.loadOrders({ limit: 5, status: 0 })"),
        ("const x = 1;\nawait Sales.loadOrders({ limit: 5, })", "await Sales.loadOrders({ limit: 5, status: 0, })"),
        ("async function run() {\n  return Sales.loadOrders({})\n}", "  return Sales.loadOrders({ status: 0 })"),
        ("await Sales.loadOrders({ ...rest })", None),
        ("await Sales.loadOrders({ status: 5 })", None),
        ("await Sales.loadOrders(7)", None),
        ("await Sales.loadOrders({}, 1)", None),
        ("const x: { a: number } = {}", None),
    ],
)
def test_arguments_that_a_call_does_not_have_are_named_with_their_place(
    held: Held, code: str, fixed: str | None
) -> None:
    verdict = held.wait(held.checker.check(job(code, inputs="declare const rest: {};")))
    assert isinstance(verdict, Checked) and verdict.diagnostics
    gaps = [one.absent for one in verdict.diagnostics if one.absent is not None]
    if fixed is None:
        assert gaps == []
        return
    (gap,) = gaps
    line = code.split("\n")[gap.line - 1]
    added = gap.before + ", ".join(f"{name}: 0" for name in gap.names) + gap.after
    assert f"{line[: gap.column - 1]}{added}{line[gap.column - 1 :]}" == fixed


def test_hover_and_signature_explain_a_tool(held: Held) -> None:
    code = "/* 😀 */ Sales.loadOrders("
    hover = held.wait(held.checker.hover(job(code), code.index("load") + 1 + 1))
    assert hover is not None and hover.docs == "Loads orders." and "status" in hover.text
    found = held.wait(held.checker.signature(job(code), len(code) + 1))
    assert found is not None and "loadOrders(args: " in found.signatures[0].text
    assert held.wait(held.checker.hover(job("  "), 1)) is None
    assert held.wait(held.checker.signature(job("  "), 1)) is None


def test_hover_and_signature_explain_what_the_platform_has(held: Held) -> None:
    code = "[1].map((n) => n)"
    assert held.check(code) == []
    found = held.wait(held.checker.hover(job(code), 5))
    assert found is not None and "Calls a defined callback function" in found.docs
    called = held.wait(held.checker.signature(job(code), 8))
    assert called is not None and "callbackfn" in called.signatures[0].parameters[0].text
    assert "A function that accepts up to three arguments" in called.signatures[0].parameters[0].docs
    assert held.check(code) == [] and held.check("[1].mapp(1)") != []


async def test_a_stale_completion_is_dropped() -> None:
    async with open_checker(Settings(), check_s=SOON) as checker:
        first, second = await asyncio.gather(
            checker.complete(job("Sales.l"), 7), checker.complete(job("Sales.lo"), 8), return_exceptions=True
        )
        assert isinstance(first, errors.Cancelled)
        assert not isinstance(second, BaseException) and second.items[0].name == "loadOrders"


# ── What is out to stop it ──────────────────────────────────────────────────────────────────────────────────────────


def test_deep_nesting_is_survived(held: Held) -> None:
    for deep in ("(" * 20_000 + "1" + ")" * 20_000, "[" * 20_000, "a" + ".b" * 20_000, "type A = " + "Array<" * 20_000):
        verdict = held.wait(held.checker.check(job(deep)))
        assert isinstance(verdict, (Checked, Unchecked))
    assert held.check("Sales.loadOrders({status: 'open'})") == []
    assert held.check("nonsense") != []


async def test_a_type_bomb_goes_unchecked_and_the_next_program_is_checked() -> None:
    async with hurried() as checker:
        verdict = await checker.check(job(BOMB))
        assert isinstance(verdict, Unchecked) and "more than 0.5 s" in verdict.reason
        starts = checker.status()["starts"]
        assert isinstance(await checker.check(job(BOMB)), Unchecked)  # remembered
        assert checker.status()["starts"] == starts
        async with asyncio.timeout(4 * SOON):
            while isinstance(verdict, Unchecked):
                verdict = await checker.check(job("Sales.loadOrders({status: 'open'})"))
        assert verdict == Checked()


async def test_one_sessions_bombs_delay_another_no_longer_than_the_limit() -> None:
    async with hurried() as checker:
        async with asyncio.timeout(4 * SOON):
            bombs = [asyncio.create_task(checker.check(job(BOMB + " " * n))) for n in range(20)]
            await asyncio.sleep(0)
            await checker.check(job("1", session="b"))
            assert not bombs[-1].done() or all(isinstance(bomb.result(), Unchecked) for bomb in bombs if bomb.done())
            await asyncio.gather(*bombs)


async def test_a_process_killed_from_outside_is_replaced_and_checks_the_program_that_it_had() -> None:
    async with open_checker(Settings(), check_s=SOON) as checker:
        assert await checker.check(job("1")) == Checked()
        pid = checker._main._worker.pid  # type: ignore[union-attr]
        os.kill(pid, signal.SIGSTOP)
        checking = asyncio.create_task(checker.check(job("1 + 1")))
        async with asyncio.timeout(4 * SOON):
            while checker._served_on_main is None:
                await asyncio.sleep(0)
            os.kill(pid, signal.SIGKILL)
            assert await checking == Checked()
        assert checker.status()["starts"] == 2


async def test_whoever_stops_waiting_disturbs_nobody() -> None:
    async with open_checker(Settings(), check_s=SOON) as checker:
        waiting = [asyncio.create_task(checker.check(job(f"{n}"))) for n in range(5)]
        await asyncio.sleep(0)
        for task in waiting[1:4]:
            task.cancel()
        assert [await waiting[0], await waiting[4]] == [Checked(), Checked()]


async def test_nothing_is_left_when_it_is_closed() -> None:
    async with open_checker(Settings(), check_s=SOON) as checker:
        waiting = asyncio.create_task(checker.check(job("1")))
        assert await checker.check(job("2")) == Checked()
        worker = checker._main._worker
        assert worker is not None
        await waiting
        last = asyncio.create_task(checker.check(job("3" * 100_000)))
        await asyncio.sleep(0)
    assert isinstance(await last, (Checked, Unchecked))
    assert worker.ended.done()
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


async def test_closed_while_it_starts_it_leaves_nothing() -> None:
    async with open_checker(Settings(), check_s=SOON) as checker:
        waiting = asyncio.create_task(checker.check(job("1")))
        await asyncio.sleep(0)
    assert isinstance(await waiting, Unchecked)


async def test_without_deno_a_check_says_what_is_missing() -> None:
    async with open_checker(Settings(deno="/nowhere/deno"), check_s=SOON) as checker:
        verdict = await checker.check(job("1"))
        assert isinstance(verdict, Unchecked) and "/nowhere/deno" in verdict.reason
        assert checker.status()["trouble"] == verdict.reason
        with pytest.raises(errors.Busy, match="/nowhere/deno"):
            await checker.hover(job("1"), 0)


# ── Declarations ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_declared_are_the_globals_a_sandbox_leaves() -> None:
    runtime = Path(module.__file__).parent / "runtime"
    text = (runtime / "globals.d.ts").read_text()
    declared = set(re.findall(r"^declare (?:var|const|class|function|namespace) (\w+)", text, re.MULTILINE))
    runner = (runtime / "runner" / "globals.js").read_text()
    listed = re.search(r"const ALLOWED = new Set\(\s*\(([^)]+)\)\.split", runner)
    assert listed is not None
    allowed = "".join(re.findall(r'"([^"]*)"', listed[1])).split()
    ecmascript = names.CONSTRUCTORS | names.OBJECTS | names.NAMESPACES | names.FUNCTIONS
    ecmascript |= {"Infinity", "NaN", "globalThis", "undefined"}
    assert declared == set(allowed) - ecmascript | {"CALLABLE_TOOLS", "Deno", "list_functions", "openFrame"}


@pytest.fixture(scope="module")
def declared() -> Iterator[Declarations]:
    compiler = Declarations()
    yield compiler
    compiler.close()


def test_wrong_declarations_are_found(declared: Declarations) -> None:
    found = declared.wrong("declare namespace A {\n  function b(): Missing;\n}")
    assert found == ["2 Cannot find name 'Missing'."]
    assert declared.wrong(DECLARATIONS) == []


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(schemas.documents(), schemas.documents())
def test_declarations_of_any_schema_compile(declared: Declarations, given_schema: Any, returned: Any) -> None:
    tools = [Tool("odd", "tool", "", given_schema, returned), Tool("Math", "odd", "", returned, given_schema)]
    text = typegen.declarations(tools)
    assert declared.wrong(text) == [], text


@pytest.mark.parametrize("name", sorted(names.GLOBALS))
def test_a_namespace_may_have_the_name_of_any_global(held: Held, declared: Declarations, name: str) -> None:
    tool = Tool(name, "extra_tool", "", {"type": "object"}, {"type": "string"})
    text = typegen.declarations([tool])
    assert declared.wrong(text) == [], text
    code = f"(await {tool.path}({{}})).length; (await {name}.{tool.tool_name}({{}})).length"
    verdict = held.wait(held.checker.check(CheckJob("globals", code, text)))
    assert verdict == Checked(), verdict


# ── Several sessions ────────────────────────────────────────────────────────────────────────────────────────────────


def bomb(number: int) -> str:
    """A program that the compiler never finishes with, and that no other is the same as."""
    return BOMB + f"// {number}"


async def test_one_clients_bomb_costs_no_other_client_its_check() -> None:
    async with open_checker(Settings(), check_s=4) as checker:
        assert await checker.check(job("1")) == Checked()
        bombs = [asyncio.create_task(checker.check(job(bomb(n), session="s0", client="bomber"))) for n in range(2)]
        await asyncio.sleep(0)
        checks = [checker.check(job("1 + 1", session=f"s{n % 3}", client=f"c{n % 2}")) for n in range(6)]
        assert await asyncio.gather(*checks) == [Checked()] * 6
        assert not all(one.done() for one in bombs), "the bombs were out of the others' way"
        await asyncio.gather(*bombs)


async def test_a_session_that_kept_others_waiting_is_served_apart_and_then_with_them_again() -> None:
    async with open_checker(Settings(), check_s=4) as checker:
        assert await checker.check(job("1")) == Checked()
        bombing = asyncio.create_task(checker.check(job(bomb(1), session="bomber")))
        await asyncio.sleep(0)
        assert await checker.check(job("1", session="b")) == Checked()
        await bombing
        apart = checker._clients["bomber", ""].apart
        assert apart is not None and apart is not checker._main
        assert await checker.check(job("1", session="bomber")) == Checked()
        assert checker._clients["bomber", ""].apart is apart
        checker._clients["bomber", ""].apart_until = 0
        checker._part()
        assert await checker.check(job("2", session="bomber")) == Checked()
        assert checker._clients["bomber", ""].apart is None and checker._apart == []


async def test_three_sessions_bombs_at_once_leave_the_others_their_checks() -> None:
    async with open_checker(Settings(), check_s=6) as checker:
        assert await checker.check(job("1")) == Checked()
        bombs = [asyncio.create_task(checker.check(job(bomb(n), session=f"bomber{n}"))) for n in range(3)]
        await asyncio.sleep(0)
        assert await checker.check(job("1", session="b")) == Checked()
        await asyncio.gather(*bombs)
        assert len(checker._apart) <= module.APART


async def test_a_program_wrong_against_the_tools_it_names_is_checked_against_all() -> None:
    tools = [Tool("sales", f"load_{at}", "", FILTER, ORDER) for at in range(typegen.WHOLE + 1)]
    paths = [tool.path for tool in tools]

    def asked(code: str) -> CheckJob:
        declared = typegen.for_program(tools, set(re.split(r"\W+", code)))
        return CheckJob("a", code, declared.needed, "", paths, whole=declared.whole)

    async with open_checker(Settings(), check_s=SOON) as checker:
        assert await checker.check(asked("(await Sales.load3({status: 'open'})).total")) == Checked()
        verdict = await checker.check(asked("await Sales.laod3({status: 'open'})"))
        assert isinstance(verdict, Checked)
        assert "Did you mean 'load3'?" in verdict.diagnostics[0].message
        assert await checker.check(asked("const all: keyof typeof Sales = 'load77'")) == Checked()


async def test_the_first_check_waits_as_long_as_a_slow_start_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_checker(Settings(), check_s=0.5) as checker:
        start = checker._starter.start
        may_start = asyncio.Event()

        async def slowly() -> Worker:
            await may_start.wait()
            return await start()

        monkeypatch.setattr(checker._starter, "start", slowly)
        first = asyncio.create_task(checker.check(job("1 +")))
        await asyncio.sleep(0.6)  # longer than a check may wait for its turn
        may_start.set()
        assert isinstance(await first, Checked)


async def test_a_launcher_that_does_not_answer_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "SPAWN_S", 0.5)
    async with open_checker(Settings(), check_s=SOON) as checker:
        assert await checker.check(job("1")) == Checked()
        launcher = checker._starter._spawner
        if not isinstance(launcher, Launcher):
            pytest.skip("no launcher on this system")
        os.kill(launcher._helper.pid, signal.SIGSTOP)
        checker._main.end()
        assert await checker.check(job("2")) == Checked()
        assert not launcher.is_alive


async def test_namespaces_are_sent_once_and_forgotten_when_a_program_has_others() -> None:
    sales, more = (Tool(name, "load", "", FILTER, ORDER) for name in ("sales", "more"))
    both, one = typegen.for_program([sales, more]).needed, typegen.for_program([sales]).needed
    sent: list[dict[str, Any]] = []
    async with open_checker(Settings(), check_s=SOON) as checker:
        assert await checker.check(CheckJob("a", "await Sales.load({status: 'open'})", one)) == Checked()
        channel = checker._main.channel
        assert channel is not None
        call = channel.call

        async def listen(method: str, params: Any) -> Any:
            if params["session"] != "warm":
                sent.append(params)
            return await call(method, params)

        channel.call = listen  # type: ignore[method-assign]
        assert await checker.check(CheckJob("a", "await More.load({status: 'open'})", both)) == Checked()
        assert await checker.check(CheckJob("a", "await more.load({status: 'paid'})", both)) == Checked()
        gone = await checker.check(CheckJob("a", "await More.load({status: 'open'})", one))
        assert isinstance(gone, Checked) and gone.diagnostics
    assert [len(params.get("texts", ())) for params in sent] == [1, 0, 0]
    assert [len(params["files"]) if "files" in params else None for params in sent] == [2, None, 1]


async def test_an_idle_process_returns_the_memory_of_its_garbage_and_checks_on() -> None:
    async with open_checker(Settings(), check_s=4 * SOON, tidy_s=0.2) as checker:
        for number in range(8):
            await checker.check(job(f"(await Sales.loadOrders({{status: 'open'}})).map((o) => o.total + {number})"))
        used = checker.status()["memory_bytes"]
        assert isinstance(used, int)
        async with asyncio.timeout(4 * SOON):
            while not 0 < int(str(checker.status()["memory_bytes"])) < used:
                await asyncio.sleep(0.1)
        verdict = await checker.check(job("Sales.loadOrder()"))
        assert isinstance(verdict, Checked) and verdict.diagnostics
        assert checker.status()["starts"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_the_compiler_has_one_heap_for_all_threads_and_nothing_of_the_host(held: Held) -> None:
    assert held.check("1 + 1") == []
    compilers = below(lambda command: command[-1:] != [] and command[-1].endswith("checker/main.js"))
    compilers = [one for one in compilers if Path(one.exe()).name == "deno"]
    assert compilers and all(one.environ() == flags.ENVIRONMENT | compiler.ALLOCATOR for one in compilers)
