"""The harness in the real Deno, one process a test; the host is the few lines of driver.py, nothing else is fake."""

# ruff: noqa: E501
# A program stands on one line where that shows it best.
from __future__ import annotations

import json
import math
import re
import subprocess
from pathlib import Path

import pytest

from pctx_jupyter.program.program import prepare
from pctx_jupyter.rpc import nonfinite

from ..alike import named
from .driver import DENO, RUNTIME, SOON, converse, request, sandbox, write

# ── Values ──────────────────────────────────────────────────────────────────────────────────────────────────────────

VALUES: list[tuple[str, object]] = [
    ("undefined", None),
    ("null", None),
    ("true", True),
    ("'text'", "text"),
    ("1.5", 1.5),
    ("NaN", math.nan),
    ("[Infinity, -Infinity, '#NaN']", [math.inf, -math.inf, "#NaN"]),
    ("-0", 0),
    ("5n", 5),
    ("-9007199254740991n", -9007199254740991),
    ("9007199254740993n", 9007199254740993),
    ("2n ** 70n", 1180591620717411303424),
    ("2 ** 60", 2**60),
    ("[-(2 ** 62), 1e20 + 123456, NaN]", [-(2**62), int(1e20 + 123456), math.nan]),
    ("new Float64Array([2 ** 60])", [2**60]),
    ("[1e21, 1.5e300]", [1e21, 1.5e300]),
    ("Object(7n)", 7),
    ("new Date(0)", "1970-01-01T00:00:00.000Z"),
    ("new Date(NaN)", None),
    ("({a: undefined, c: { toJSON() {} }, d: 1})", {"d": 1}),
    ("[undefined, class { static toJSON() { return 2 } }, Object.assign(() => 1, { toJSON: () => 3 })]", [None, 2, 3]),
    ("new (class { x = 1; f = () => 2; s = Symbol() })", {"x": 1}),
    ("[,1]", [None, 1]),
    ("new Map([['a', 1], [2, new Map([['b', 2n]])]])", {"a": 1, "2": {"b": 2}}),
    ("new Map([['__proto__', 1], ['constructor', 2]])", {"__proto__": 1, "constructor": 2}),
    ("new Map([[{k: 1}, 'v'], ['a', 1]])", [[{"k": 1}, "v"], ["a", 1]]),
    ("new Map([[1, 'number'], ['1', 'text']])", [[1, "number"], ["1", "text"]]),
    ("new Map()", {}),
    ("new Set([1, 'b', new Set()])", [1, "b", []]),
    ("new Uint8Array([1, 255])", [1, 255]),
    ("new Float64Array([1.5, NaN, -0])", [1.5, math.nan, 0]),
    ("new BigInt64Array([1n, 2n ** 62n])", [1, 4611686018427387904]),
    ("new Uint8Array([7, 8]).buffer", [7, 8]),
    ("new DataView(new Uint8Array([7, 8, 9]).buffer, 1, 1)", [8]),
    ("structuredClone(new ArrayBuffer(2))", [0, 0]),
    ("(() => { const b = new ArrayBuffer(2); b.transfer(); return b })()", []),
    ("/a\\/b/gi", "/a\\/b/gi"),
    ("new URL('https://a.b/c?d')", "https://a.b/c?d"),
    ("new String('s')", "s"),
    ("Object.create(null, {a: {value: 1, enumerable: true}})", {"a": 1}),
    ("new (class A { x = 1; #y = 2; get z() { return 3 } })", {"x": 1}),
    ("({ toJSON() { return [new Map([['a', 1n]])] } })", [{"a": 1}]),
    ("new (class extends Map { toJSON() { return 'own' } })", "own"),
    ("new Proxy({ a: 1 }, {})", {"a": 1}),
    ("new Proxy([1, 2], {})", [1, 2]),
    (("new Proxy({}, { get: (t, k) => k === 'toJSON' ? undefined : 7, ownKeys: () => ['x'],"
     " getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }) })"), {"x": 7}),
    ("'\\ud800'", "\ufffd"),
    ("'a\\udc00b\\ud83d\\ude00'", "a\ufffdb😀"),
    ("'\\\\ud800'", "\\ud800"),
    ("'\\\\\\ud800\\\\\\\\ud800'", "\\\ufffd\\\\ud800"),
    ("({ '\\udfff': ['\\uD9AB'] })", {"\ufffd": ["\ufffd"]}),
    ("JSON.rawJSON('\"\\\\uD800\"')", "\ufffd"),
    ("'\\u2028\\u0000\\n\"'", "\u2028\0\n\""),
    ("({ __proto__: null, then: 1, constructor: 2, ['__proto__']: 3 })", {"then": 1, "constructor": 2, "__proto__": 3}),
    ("'['.repeat(5000)", "[" * 5000),
]  # fmt: skip


def test_values_become_json_as_documented() -> None:
    expressions = ",\n".join(f"() => ({expression})" for expression, _ in VALUES)
    said = converse(f"for (const make of [{expressions}]) await Notebook.echo([make()])")
    seen = [
        nonfinite.decode(json.dumps(params["arguments"], separators=(",", ":")).encode())
        for params in said.params("call")
    ]
    assert named(seen) == named([[value] for _, value in VALUES])


@pytest.mark.parametrize(
    ("expression", "value"),
    [("undefined", None), ("new Set([5n])", [5]), ("Promise.resolve(new Date(0))", "1970-01-01T00:00:00.000Z")],
)
def test_result_is_written_by_the_same_rules_as_arguments(expression: str, value: object) -> None:
    assert converse(expression).value == value


def test_error_as_a_value_has_no_path_of_the_host() -> None:
    name, message, stack = converse("const e = new TypeError('m');\n[e]").value[0].values()
    assert (name, message, stack) == ("TypeError", "m", "TypeError: m\n    at program.ts:1:11")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("const c = { items: [0, 0, 0, { parent: null }] }; c.items[3].parent = c; c", "value.items[3].parent is a cycle"),
        ("const c = []; c.push(c); c", "value[0] is a cycle"),
        ("const m = new Map(); m.set('a b', [m]); m", 'value["a b"][0] is a cycle'),
        ("[{ get a() { throw new RangeError('no') } }]", "value[0].a could not be read: RangeError: no"),
        ("({ é: { toJSON() { throw 5 } } })", "value.é.toJSON() failed: Thrown: 5"),
        ("({ a: { get toJSON() { throw null } } })", "value.a.toJSON could not be read: Thrown: null"),
        ("const r = Proxy.revocable({}, {}); r.revoke(); [r.proxy]", "value[0].toJSON could not be read: TypeError: "),
        ("new Proxy({}, { ownKeys() { throw new Error('keys') } })", "value could not be read: Error: keys"),
        ("[{ a: new Map([['\\ud800', 1], ['\\udc00', 2]]) }]", "value[0].a has two keys that JSON cannot tell apart: rename"),
        ("({ '\\ud800': NaN, '\\ufffd': 2 })", "value has two keys that JSON cannot tell apart: rename one"),
        ("() => 1", "value is a function, which has no JSON form: give what it returns"),
        ("async function f() {}; [[1], [f]]", "value[1][0] is a function, which has no JSON form"),
        ("Notebook.echo", "value is a function"),
        ("Notebook", "value.echo is a function"),
        ("class A {}; ({ all: new Map([[{}, A]]) })", "value.all[0][1] is a class, which has no JSON form: give an instance"),
        ("Symbol('a')", "value is a symbol, which has no JSON form: give its description"),
        ("({ toJSON: () => Math.max })", "value is a function"),
        ("let d = 1; for (let i = 0; i < 501; i++) d = [d]; d", "value is nested deeper than 500 levels"),
        ("let d = {}; for (let i = 0; i < 1e5; i++) d = { d, 'a]]': ']]]' }; d", "value is nested deeper than 500 levels"),
        ("let d = 1n; for (let i = 0; i < 1e5; i++) d = [d]; d", "value is nested deeper than 500 levels"),
        ("[0, { a: -(10n ** 4299n) }]", "value[1].a is an integer of more than 4299 digits: make it a text with String(…)"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_named_by_its_path(code: str, message: str) -> None:
    thrown = converse(code).thrown
    assert (thrown["name"], thrown["phase"]) == ("TypeError", "result")
    assert thrown["message"].startswith(message)


def test_500_levels_and_many_brackets_in_texts_pass() -> None:
    said = converse("let d = '[['.repeat(2000); for (let i = 0; i < 500; i++) d = [d]; d")
    assert json.dumps(said.value).startswith("[" * 500 + '"[[')


def test_levels_are_counted_wherever_they_are_in_a_long_text() -> None:
    # Texts of all lengths between them: each bracket falls on any of the bytes that are looked at together.
    wrap = "d = i % 2 ? [t.slice(0, i % 19), d, {}] : { [t.slice(0, i % 23)]: t.slice(0, i % 400), d, e: i ? [] : 0 }"
    code = "const t = 'é漢x'.repeat(200); let d = 1; for (let i = 0; i < LEVELS; i++) " + wrap + "; d"
    whole = converse(code.replace("LEVELS", "500")).value
    assert len(json.dumps(whole, ensure_ascii=False).encode()) > 1 << 16
    assert converse(code.replace("LEVELS", "501")).thrown["message"] == "value is nested deeper than 500 levels"


def test_arguments_that_cannot_be_written_reject_the_call_alone() -> None:
    said = converse("const a = { b: {} }; a.b.a = a;\nawait Notebook.echo(a).catch((e) => e.message + e.stack)")
    assert said.value.startswith("Cannot call Notebook.echo: arguments.b.a is a cycle")
    assert "\n    at program.ts:2:" in said.value
    assert said.params("call") == []


@pytest.mark.parametrize("name", ["on_end", "key"])
def test_a_function_among_arguments_rejects_the_call(name: str) -> None:
    said = converse(f"await Notebook.echo({{ a: 1, more: {{ {name}: () => 1 }} }}).catch((e) => e.message)")
    assert said.value == (
        f"Cannot call Notebook.echo: arguments.more.{name} is a function, which has no JSON form: give what it returns"
    )
    assert said.params("call") == []


def test_a_function_that_is_left_out_of_the_value_is_named() -> None:
    said = converse(
        "class Tea { x = 1; f = () => 2 }\n({ tea: new Tea(), rows: [{ n: 1, mean: () => 1 }], more: Math.max })"
    )
    assert said.value == {"tea": {"x": 1}, "rows": [{"n": 1}]}
    [shown] = said.params("output")
    assert (shown["stream"], shown["text"]) == (
        "stderr",
        "Warning: value.rows[0].mean is a function, which has no JSON form: give what it returns. It is left out\n",
    )


def test_programs_own_json_keeps_the_rules_of_javascript() -> None:
    code = """
    const texts = [new Map([[1, 2]]), new Set([1]), new Uint8Array([1]), /a/, new Error("m"), { a: () => 1 }].map((v) => JSON.stringify(v));
    try { JSON.stringify(1n) } catch (e) { texts.push(e.message) }
    texts"""
    assert converse(code).value == ["{}", "{}", '{"0":1}', "{}", "{}", "{}", "Do not know how to serialize a BigInt"]


def test_large_values_pass_both_ways() -> None:
    rows = [{"id": number, "name": "é😀" * 20} for number in range(20_000)]
    said = converse("const rows = await Notebook.echo(); [rows.length, rows]", serve=lambda *_: {"result": rows})
    assert said.value == [len(rows), rows]


# ── Tools and inputs ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("places", [False, True])
def test_failed_call_is_an_error_where_the_program_called(places: bool) -> None:
    code = """async function f() {
      return await Notebook.fail("x");
    }
    let seen; try { await f() } catch (e) { seen = [e instanceof Error, e.name, e.message, Object.keys(e), e.stack] }
    seen"""
    stack = "ValueError: no x\n    at f (program.ts:2:29)\n    at program.ts:4:27"
    assert converse(code, places=places).value == [True, "ValueError", "no x", [], stack]


@pytest.mark.parametrize(
    "code",
    [
        "await Notebook.fail(1)",
        "await Promise.resolve(1).then(Notebook.fail)",
        "export async function run() { await Notebook.fail(1) }",
        "try { await Notebook.fail(1) } catch (e) { throw new Error('outer', { cause: new Error('mid', { cause: e }) }) }",
        "const error = await Notebook.fail(1).catch((e) => e); ({ get a() { throw error } })",
    ],
)
def test_token_of_a_failed_call_leaves_with_the_error_it_caused(code: str) -> None:
    assert converse(code).thrown["token"] == "e3"


def test_token_cannot_be_read_or_forged_by_a_program() -> None:
    said = converse("const e = await Notebook.fail(1).catch((e) => e); throw Object.assign(new Error(JSON.stringify(e)), "
                    "{ token: 'e3', data: { token: 'e3' } })")  # fmt: skip
    assert "token" not in said.thrown
    assert "e3" not in said.thrown["message"]


def test_hundred_calls_at_once_are_answered_in_any_order() -> None:
    held: list[dict[str, object]] = []
    program = prepare("(await Promise.all(Array.from({ length: 100 }, (_, i) => Notebook.echo(i)))).join()")
    with sandbox() as process:
        assert process.stdout is not None
        write(process, request(program))
        for line in process.stdout:
            message = json.loads(line)
            if message.get("method") == "call":
                held.append({"jsonrpc": "2.0", "id": message["id"], "result": message["params"]["arguments"]})
            if len(held) == 100:
                for late in reversed(held):
                    write(process, late)
                held.clear()
            if message.get("id") == 1 and "result" in message:
                assert message["result"] == ",".join(map(str, range(100)))
                return
    raise AssertionError("no answer")


HOSTILE_NAMES = [
    "__proto__",
    "constructor",
    "then",
    "toString",
    "prototype",
    'a"b',
    "a'b\\",
    "a\nb",
    "*/",
    "${x}",
    "😀",
    "",
    "1",
    "async",
]


def test_hostile_names_are_plain_properties() -> None:
    tools = {name: f"T.{name}" for name in HOSTILE_NAMES}
    spaces = {"Tools": tools, "__proto__": {"a": "P.a"}, "constructor": {"a": "C.a"}, "async": tools, "a-b": {"c": "d"}}
    code = f"""
    const names = {json.dumps(HOSTILE_NAMES)}, seen = [];
    for (const name of names) seen.push(await Tools[name](name));
    seen.push(await globalThis["async"]["then"](1), await globalThis["a-b"].c(2));
    seen.push(await globalThis["__proto__"].a(3), await globalThis.constructor.a(4));
    [seen, Object.keys(Tools).sort(), Object.getPrototypeOf(Tools), Object.isFrozen(Tools), typeof Object.prototype.a]"""
    said = converse(code, namespaces=spaces)
    assert said.value == [[*HOSTILE_NAMES, 1, 2, 3, 4], sorted(HOSTILE_NAMES), None, True, "undefined"]
    assert [params["name"] for params in said.params("call")][:14] == list(tools.values())


def test_namespace_with_a_builtins_name_extends_it() -> None:
    spaces = {name: {"add": f"{name}.add"} for name in ("Math", "String", "Date", "Array", "Promise", "Map", "JSON")}
    code = """[Math.max(1, 2), String(3), new Date(0).getTime(), Array.of(4), await Promise.resolve(5), new Map().size,
      JSON.stringify(6), await Math.add(7), await Promise.add(8), await JSON.add(9)]"""
    assert converse(code, namespaces=spaces).value == [2, "3", 0, [4], 5, 0, "6", 7, 8, 9]


def test_tool_that_would_replace_a_fixed_property_is_refused() -> None:
    thrown = converse("1", namespaces={"Math": {"PI": "Math.PI"}}).thrown
    assert thrown["message"] == (
        "Cannot define tool Math.PI: JavaScript has a property of that name; choose another name"
    )


def test_tools_can_be_called_by_name_and_listed() -> None:
    spaces = {"Math": {"add": "Math.add"}, "math": {"add": "Math.add"}, "Z": {"a": "Z.a"}}
    code = "[await CALLABLE_TOOLS.execute('Q.any', 1), CALLABLE_TOOLS.list(), list_functions()]"
    said = converse(code, namespaces=spaces)
    listed = [{"name": "add", "namespace": "Math"}, {"name": "a", "namespace": "Z"}]
    assert said.value == [1, ["Math.add", "Z.a"], [one | {"description": ""} for one in listed]]
    assert said.params("call") == [{"name": "Q.any", "arguments": 1}]


def test_invoke_calls_a_tool_as_a_direct_call_does() -> None:
    code = """
    const failed = [];
    for (const wrong of [undefined, "Math.add", { name: 1 }]) {
        try { await invoke(wrong); } catch (error) { failed.push(`${error}`); }
    }
    [await Notebook.echo({ n: 1 }), await invoke({ name: "Notebook.echo", arguments: { n: 1 } }), failed]
    """
    said = converse(code)
    one, object = {"name": "Notebook.echo", "arguments": {"n": 1}}, "it takes one object, such as"
    assert said.params("call") == [one, one] and said.value[:2] == [{"n": 1}, {"n": 1}]
    assert [object in text for text in said.value[2]] == [True, True, False]
    assert said.value[2][2] == "TypeError: Cannot call a tool: its name must be a text"


def test_functions_are_listed_as_the_host_describes_them_and_are_names_as_texts() -> None:
    known = [
        {"name": "execute", "namespace": "", "description": "Runs.", "input_schema": None, "output_schema": None},
        {"name": "add", "namespace": "Math", "description": "Adds.", "input_schema": {}, "output_schema": None},
    ]
    code = "const f = list_functions(); f[0].name = 'changed'; [list_functions(), `${list_functions()}`]"
    assert converse(code, functions=known).value == [known, "execute,Math.add"]


def test_operations_of_a_frame_go_to_the_tool_that_returned_it_whatever_its_id_says() -> None:
    code = """
    const frame = await Notebook.echo({ "$pctx.frame": { id: "Notebook.fail#x", columns: ["a", "b"] } });
    const sum = await frame.filter((r) => r.a.gt(1).and(r.b.eq(new Date(0)))).select("b").count();
    [frame.columns, sum]
    """
    said = converse(code)
    conditions = [
        {"op": "gt", "of": [{"col": "a"}, {"lit": 1}]},
        {"op": "eq", "of": [{"col": "b"}, {"lit": "1970-01-01T00:00:00.000Z"}]},
    ]
    steps = [["filter", {"op": "and", "of": conditions}], ["select", ["b"]]]
    asked = {"$pctx.call": "count", "frame": {"id": "Notebook.echo#x", "steps": steps}}
    assert said.value == [["a", "b"], asked]
    assert [call["name"] for call in said.params("call")] == ["Notebook.echo", "Notebook.echo"]


def test_frame_in_arguments_and_within_a_value_is_its_id_with_its_steps() -> None:
    code = """
    const frame = await Notebook.echo({ "$pctx.frame": { id: "x", columns: ["a"] } });
    const { data } = await Notebook.echo({ data: frame.select("a") });
    console.log(frame);
    [data, frame]
    """
    said = converse(code)
    lazy = {"$pctx.frame": {"id": "Notebook.echo#x", "steps": [["select", ["a"]]], "columns": ["a"]}}
    assert said.value == [lazy, {"$pctx.frame": {"id": "Notebook.echo#x", "steps": [], "columns": ["a"]}}]
    assert said.params("output")[0]["text"] == "Frame Notebook.echo (a)\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("frame.filter((r) => r.b.gt(1))", 'The frame has no column "b"; it has a'),
        ("frame.filter('a > 1')", "filter takes a function of the columns: row => row.a"),
        ("frame.join(frame.count(), 'a')", "join needs another frame"),
        ("frame.filter((r) => r.a.eq(frame))", "A frame cannot stand in an expression"),
        ("frame.count.call({})", "This is no frame"),
        ("openFrame('x')", "Cannot open a frame: its id is a text with a #"),
    ],
)
def test_wrong_use_of_a_frame_is_refused_before_anything_is_called(code: str, message: str) -> None:
    said = converse('const frame = await Notebook.echo({ "$pctx.frame": { id: "x", columns: ["a"] } });\n' + code)
    assert message in said.thrown["message"]


def test_tools_and_inputs_cannot_be_replaced_but_shadowed() -> None:
    code = """
    const faults = [];
    for (const f of [() => { orders = 1 }, () => { Notebook = 1 }, () => { Notebook.echo = 1 }, () => { delete globalThis.orders }]) {
      try { f() } catch (e) { faults.push(e.name) }
    }
    { const orders = 2; }
    [faults, orders]"""
    orders = [{"__proto__": {"a": 1}, "b": None}]
    assert converse(code, inputs={"orders": orders}).value == [["TypeError"] * 4, orders]


def test_arguments_are_absent_when_undefined() -> None:
    said = converse("await Notebook.echo(); await Notebook.echo(undefined); await Notebook.echo(null)")
    name = "Notebook.echo"
    assert said.params("call") == [{"name": name}, {"name": name}, {"name": name, "arguments": None}]


# ── Which value ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("1 + 1", 2),
        ("const a: number = 1;\na satisfies number // last", 1),
        ("", None),
        ("{ a: 1 }", None),
        ("({ a: 1 })", {"a": 1}),
        ("enum E { a, b }\nE.b", 1),
        ("async function run() { return 'run' }\n'last'", "run"),
        ("export const run = () => 'run'", "run"),
        ("const run = 5;\n'last'", "last"),
        ("const go = () => 'run';\nexport { go as run }", "run"),
        ("export default 'default'; 'last'", "default"),
        ("export default async () => 'default'", "default"),
        ("let n = 0; async function run() { return ++n }\nawait run()", 1),
        ("let n = 0; export async function run() { return ++n }\nconst r = await run()", None),
        ("let n = 0; export async function run() { return ++n }\nconst r = await run()\nexport default [r, n]", [1, 1]),
        ("Promise.resolve({ then(f) { f('thenable') } })", "thenable"),
        ("using file = { [Symbol.dispose]() {} };\n'last'", "last"),
    ],
)
def test_value_of_a_program(code: str, value: object) -> None:
    assert converse(code).value == value


# ── Output ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_console_reaches_both_streams_in_order_with_the_calls() -> None:
    code = """
    console.log("a", { b: [1] }, new Map([[1, 2]]), "\\ud800"); console.error("%s!", "e"); await Notebook.echo(1);
    console.info("i"); console.debug("d"); console.warn("w"); console.group("g"); console.log("in"); console.groupEnd();
    console.table([{ a: 1 }]); console.clear(); console.assert(false, "assertion"); console.log()"""
    said = converse(code)
    assert [message["method"] for message in said.said[1:4]] == ["output", "output", "call"]
    table = "┌───────┬───┐\n│ (idx) │ a │\n├───────┼───┤\n│     0 │ 1 │\n└───────┴───┘\n"
    assert said.output("stdout") == "a { b: [ 1 ] } Map(1) { 1 => 2 } \ufffd\ni\nd\ng\n  in\n" + table + "\n"
    assert said.output("stderr") == "e!\nw\nAssertion failed: assertion\n"
    assert {params["text"]: params["level"] for params in said.params("output") if "level" in params} == {
        "d\n": "debug",
        "w\n": "warn",
    }


def test_printed_errors_show_the_program_alone() -> None:
    said = converse("function f() { return new Error('m') }\nconsole.log(f()); console.trace('t')")
    text = said.output("stdout") + said.output("stderr")
    assert "Error: m\n    at f (program.ts:1:23)\n    at program.ts:2:13\n" in text
    assert "Trace: t\n    at program.ts:2:" in text
    assert "blob:" not in text and "runner.js" not in text and "file:" not in text


def test_output_beyond_its_budget_is_cut_once() -> None:
    code = "console.log('é'.repeat(20)); console.log('😀'.repeat(20)); console.error('more'); 'value'"
    said = converse(code, output_bytes=80)
    assert said.output("stdout") == "é" * 20 + "\n" + "😀" * 9 + "\n… output cut after 80 bytes (max_output_bytes)\n"
    assert (said.output("stderr"), said.value) == ("", "value")


def test_huge_output_is_cut_before_it_is_sent() -> None:
    said = converse("for (let i = 0; i < 3; i++) console.log('x'.repeat(20_000_000)); 1", output_bytes=1_000_000)
    assert said.output("stdout") == "x" * 1_000_000 + "\n… output cut after 1000000 bytes (max_output_bytes)\n"


def test_what_would_end_the_process_is_told_and_the_run_goes_on() -> None:
    code = """
    Promise.reject(new TypeError("dropped")); setTimeout(() => { throw null }, 0);
    queueMicrotask(() => { throw new Proxy({}, { get() { throw 1 } }) });
    await new Promise((resolve) => setTimeout(resolve, 20));
    'done'"""
    said = converse(code)
    assert said.value == "done"
    told = said.params("unhandled")
    assert sorted(params["name"] for params in told) == ["Thrown", "Thrown", "TypeError"]
    assert next(params for params in told if params["name"] == "TypeError")["message"] == "dropped"


def test_rejected_last_expression_is_the_programs_error_and_nothing_else() -> None:
    said = converse("Promise.reject(new Error('q'))")
    assert (said.thrown["message"], said.params("unhandled")) == ("q", [])


# ── Errors and their places ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "name", "message", "place"),
    [
        ("const a = 1;\n  throw new Error('m')", "Error", "m", (2, 9)),
        ("'😀'; null.x", "TypeError", "Cannot read properties of null (reading 'x')", (1, 12)),
        ("interface A {\n  a: 1 }\nlet x: any;\nx.y", "TypeError", "Cannot read", (4, 3)),
        ("f(1);\nfunction f(n: number): never {\n  throw new RangeError('r') }", "RangeError", "r", (3, 9)),
        ("export function run() {\n  nope() }", "ReferenceError", "nope is not defined", (2, 3)),
        ("1;\nawait (async () => { await 0; throw new Error('late') })()", "Error", "late", (2, 37)),
        ("\r\n\r\n  throw new Error('crlf')", "Error", "crlf", (3, 9)),
        ("\ufeffthrow new Error('bom')", "Error", "bom", (1, 7)),
        ("let c = ;", "SyntaxError", "Expression expected", (1, 9)),
        ("type T = {\n\t\ta: 1 };\n\t'é😀' + ;", "SyntaxError", "Expression expected", (3, 10)),
        ("f(\n", "SyntaxError", "Expression expected", (1, 3)),
        ("`abc", "SyntaxError", "Unterminated template", (1, 1)),
        ("type A = { a: 1 }\nlet a; /* 😀 */ let a: number", "SyntaxError", "Identifier 'a' has already been", (2, 21)),
        ("1;\nreturn 5", "SyntaxError", "Illegal return statement: only a function can return", (2, 1)),
        ("function f() { await 1 }", "SyntaxError", "Unexpected reserved word: await needs", (1, 16)),
        ("eval('1 +')", "SyntaxError", "Unexpected end of input", (1, 1)),
        ("'😀'; Deno.exit()", "TypeError", "Deno has nothing here but Deno.jupyter: a program can only call", (1, 12)),
        ("'😀'; Deno.env.get('A')", "TypeError", "Deno has nothing here but Deno.jupyter: a program", (1, 16)),
        ("fetch('http://localhost')", "ReferenceError", "fetch is not defined: a program can only call", (1, 1)),
        ("'😀'; import x from 'https://x.y/z.ts'", "TypeError", 'Cannot import "https://x.y/z.ts"', (1, 21)),
        ("import 'node:fs'", "TypeError", 'Cannot import "node:fs": a program can only call', (1, 8)),
        ("await import('npm:lodash')", "TypeError", "Cannot import npm packages: a program", (1, 1)),
        ("import _ from 'lodash'", "TypeError", 'Cannot import "lodash": a program', (1, 15)),
        ("import a from './a.ts'", "TypeError", 'Cannot import "./a.ts": a program', (1, 15)),
        ("import 'jsr:@std/assert'", "TypeError", "Cannot import", (1, 8)),
    ],
)
def test_errors_have_the_place_in_what_the_user_wrote(
    code: str, name: str, message: str, place: tuple[int, int]
) -> None:
    failure = converse(code).failure
    assert failure.name == name
    assert failure.message.startswith(message)
    assert (failure.line, failure.column) == place
    assert failure.frame is not None and f"> {place[0]} | " in failure.frame
    assert "blob:" not in failure.message + failure.stack and "/" not in failure.stack


@pytest.mark.parametrize(
    ("code", "name", "message"),
    [
        ("throw null", "Thrown", "null"),
        ("function f() { f() } f()", "RangeError", "Maximum call stack size exceeded"),
        ("throw undefined", "Thrown", "undefined"),
        ("throw 'text'", "Thrown", '"text"'),
        ("throw { a: 1 }", "Thrown", "{ a: 1 }"),
        ("throw { name: 'N', message: 'm' }", "N", "m"),
        ("throw { toString() { throw 1 }, [Symbol.toPrimitive]: null }", "Thrown", "{"),
        (
            "throw new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 2 }, ownKeys() { throw 3 } })",
            "Thrown",
            "",
        ),
        ("throw Object.defineProperty(new Error('m'), 'stack', { get() { throw 1 } })", "Error", "m"),
        ("throw Object.defineProperty(new Error('m'), 'message', { get() { throw 1 } })", "Thrown", ""),
        ("throw Object.assign(new Error('m'), { name: 5, stack: {} })", "Error", "m"),
        ("const e = new Error('m'); e.cause = e; throw e", "Error", "m"),
        ("throw Object.defineProperty(new Error('m'), 'cause', { get() { throw 1 } })", "Error", "m"),
        ("throw new Error('\\ud800')", "Error", "\ufffd"),
        (
            "throw new Error('x'.repeat(1e6) + 'the end')",
            "Error",
            f"{'x' * 3980}\n… 992047 characters left out …\n{'x' * 3973}the end",
        ),
        ("Error.prepareStackTrace = () => { throw 1 }; throw new Error('m')", "Error", "m"),
        ("Error.prepareStackTrace = (_, sites) => sites; throw new Error('m')", "Error", "m"),
        ("throw Symbol('s')", "Thrown", "Symbol(s)"),
    ],
)
def test_whatever_is_thrown_becomes_one_error(code: str, name: str, message: str) -> None:
    thrown = converse(code).thrown
    assert thrown["name"] == name
    assert thrown["message"].startswith(message)
    assert "runner.js" not in json.dumps(thrown)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "throw new Error('outer', { cause: new TypeError('mid', { cause: 'inner' }) })",
            'outer\nCaused by: TypeError: mid\nCaused by: Thrown: "inner"',
        ),
        (
            "async function run() { await Promise.any([Promise.reject(new Error('a')), Promise.reject(5)]) }",
            "All promises were rejected\n- Error: a\n- Thrown: 5",
        ),
        ("const e = new Error('m'); e.cause = e; throw e", "m"),
    ],
)
def test_causes_of_an_error_are_told_with_it(code: str, message: str) -> None:
    assert converse(code).thrown["message"] == message


# ── What is not awaited ─────────────────────────────────────────────────────────────────────────────────────────────


def hanging(name: str, arguments: object) -> dict[str, object]:
    return {} if name.endswith(".fail") else {"result": arguments}


def test_calls_that_nobody_awaits_are_waited_for_and_said() -> None:
    code = "const out = []; [1, 2, 3].forEach(async (x) => { out.push(await Notebook.echo(x) + await Notebook.echo(x)) }); out"
    said = converse(code)
    assert said.value == [2, 4, 6]
    assert said.output("stderr").startswith("Warning: 3 tool calls not awaited: Notebook.echo (3 times). ")
    assert "await Promise.all(xs.map(" in said.output("stderr")
    assert said.params("output")[0]["level"] == "warn"


@pytest.mark.parametrize(
    "code",
    [
        "(async () => { await 0; await 0; await 0; await Notebook.echo(1); console.log('done') })(); 1",
        "setTimeout(async () => { await Notebook.echo(1); console.log('done') }, 5); 1",
        "Notebook.echo(1).then(() => setTimeout(() => console.log('done'), 5)); 1",
        "export function run() { Notebook.echo(1).then(() => console.log('done')); return 1 }",
    ],
)
def test_what_a_program_has_begun_comes_to_its_end(code: str) -> None:
    said = converse(code)
    assert (said.value, said.output("stdout")) == (1, "done\n")


def test_what_is_awaited_is_not_warned_of() -> None:
    code = """
    for (const x of [1, 2]) await Notebook.echo(x);
    const id = setInterval(() => {}, 1); clearInterval(id);
    await new Promise((resolve) => setTimeout(resolve, 2));
    await Promise.all([1, 2].map((x) => Notebook.echo(x)))"""
    said = converse(code)
    assert (said.value, said.output("stderr")) == ([1, 2], "")


def test_timers_that_never_end_are_cut_off_and_counted() -> None:
    code = "setInterval(() => Notebook.echo(1), 1); setInterval(() => {}, 1); setTimeout(() => {}, 1e8); 7"
    said = converse(code)
    assert said.value == 7
    assert "cut off at the end of the program: 2 setInterval" in said.output("stderr").replace(
        "setIntervals", "setInterval"
    )
    assert "1 setTimeout" in said.output("stderr")


def test_calls_without_an_answer_are_cut_off_and_named() -> None:
    said = converse("Notebook.echo(1); Notebook.fail(2); 7", serve=hanging, linger_ms=20)
    assert said.value == 7
    assert "2 tool calls not awaited: Notebook.echo, Notebook.fail." in said.output("stderr")
    assert "cut off at the end of the program: 1 tool call (Notebook.fail)." in said.output("stderr")


def test_near_its_time_limit_a_program_that_has_its_value_ends_with_it() -> None:
    said = converse("Notebook.fail(2); 7", serve=hanging, timeout_s=0.1)
    assert said.value == 7
    assert "cut off at the end of the program: 1 tool call (Notebook.fail)." in said.output("stderr")


@pytest.mark.parametrize("how", ["race", "any"])
@pytest.mark.parametrize("then", ["", ".then((x) => x)", ".catch(() => 0).finally(() => 1)"])
def test_who_races_calls_does_not_wait_for_the_others(how: str, then: str) -> None:
    said = converse(f"await Promise.{how}([Notebook.fail(1){then}, Notebook.echo(2){then}])", serve=hanging)
    assert (said.value, said.output("stderr")) == (2, "")


def test_promise_of_a_call_is_like_any_other() -> None:
    code = """
    const call = Notebook.echo(2), later = call.then((x) => x + 1);
    const all = await Promise.all([call, later, (async () => call)()]);
    const thrown = await Notebook.fail("no").then(() => 0, (error) => error.message);
    [all, thrown, Object.keys(call), call instanceof Promise, later.then.name, later.then.length]"""
    assert converse(code).value == [[2, 3, 2], "no no", [], True, "then", 2]


def test_a_value_that_cannot_be_written_is_said_before_anything_is_waited_for() -> None:
    said = converse("[1, 2].map((x) => Notebook.fail(x))", serve=hanging)
    assert said.thrown["message"] == "value[0] is a promise: await the list with await Promise.all(…)"


def test_timers_take_arguments_and_can_be_cleared() -> None:
    code = """
    const seen = [];
    setTimeout((...given) => seen.push(given), 1, "a", 2);
    clearTimeout(setTimeout(() => seen.push("never"), 1));
    await new Promise((resolve) => setTimeout(resolve, 10));
    [seen, setTimeout.name, clearInterval.name, Promise.race.name]"""
    assert converse(code).value == [[["a", 2]], "setTimeout", "clearInterval", "race"]


# ── Hostile programs ────────────────────────────────────────────────────────────────────────────────────────────────

# Every function of every built-in replaced.
POLLUTE = """
const wreck = () => { throw new Error("wrecked") }, { defineProperty, hasOwn } = Object, { ownKeys } = Reflect;
const kinds = [Object, Array, String, Map, Set, WeakMap, Promise, RegExp, Uint8Array, Object.getPrototypeOf(Uint8Array), ArrayBuffer,
  DataView, TextEncoder, TextDecoder, EventTarget, Event, Blob, URL, Error, TypeError, Function, BigInt, Number, JSON, Reflect, console];
// `toJSON` counts for own values; without `call` and the species of promises Deno itself stops.
const spared = { __proto__: null, prototype: 1, constructor: 1, toJSON: 1, call: 1, [Symbol.species]: 1 };
for (let i = 0; i < kinds.length * 2; i++) {
  const kind = kinds[i >> 1], target = i & 1 ? kind : kind.prototype;
  const names = target === undefined ? [] : ownKeys(target);
  for (let k = 0; k < names.length; k++) {
    if (names[k] in spared) continue;
    try { defineProperty(target, names[k], { __proto__: null, value: wreck, writable: true, configurable: true }) } catch {}
  }
}
"""


@pytest.mark.parametrize(
    "code",
    [
        POLLUTE + "const log = console.log; const a = await Notebook.echo({ a: [1] }); export default a;",
        "Object.prototype.toJSON = function () { return this instanceof Promise ? 0 : this }; export default { a: [1] }",
        ("for (const k of ['jsonrpc', 'method', 'error', 'result', 'id', 'get', 'set', 'value']) Object.prototype[k] = 'forged';"
        "const a = await Notebook.echo({ a: [1] }); for (const k in {}) delete Object.prototype[k]; export default a"),
        ("Array.prototype[Symbol.iterator] = () => { throw 1 }; Promise.prototype.then = () => { throw 1 };"
        "const a = await Notebook.echo({ a: [1] }); console.log('x'); export default a"),
        ("class Q { constructor(f) { f(() => {}, () => {}) } then() { throw 1 } }; Promise.prototype.constructor = Q;"
        "const p = Notebook.echo({ a: [1] }); delete Promise.prototype.constructor; export default p"),
        "JSON.stringify = () => '1}\\n{\"id\":1,\"result\":\"forged\"'; JSON.parse = () => ({ id: 1 }); export default { a: [1] }",
        ("globalThis.Promise = globalThis.Map = globalThis.Uint8Array = globalThis.Error = globalThis.TextEncoder = null;"
        "const a = await Notebook.echo({ a: [1] }); export default a"),
        "for (const k of Object.getOwnPropertyNames(globalThis)) { try { delete globalThis[k] } catch {} }; export default { a: [1] }",
    ],
)  # fmt: skip
def test_polluted_builtins_change_nothing_of_the_conversation(code: str) -> None:
    said = converse(code)
    assert said.value == {"a": [1]}
    assert all(set(message) <= {"jsonrpc", "id", "method", "params", "result"} for message in said.said)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("const c = { a: {} }; c.a['x y'] = c; export default c", 'value.a["x y"] is a cycle'),
        (
            "export default [{ b: new Blob([]) }]",
            "value[0].b is a Blob, which has no JSON form: give await blob.text()",
        ),
        ("export default { é: [new Event('x')] }", "value.é[0] is an Event, which has no JSON form: give what"),
        ("export default [Temporal.Now]", "value[0] is an object of the kind Temporal.Now, which has no JSON form"),
    ],
)
def test_polluted_builtins_do_not_change_why_a_value_is_refused(value: str, message: str) -> None:
    pollute = """
    const wreck = () => { throw new Error("wrecked") };
    for (const name of ["exec", "test", "flags", "lastIndex", "source", Symbol.match]) {
      Object.defineProperty(RegExp.prototype, name, { get: wreck, configurable: true });
    }
    RegExp.prototype.constructor = globalThis.RegExp = class { constructor() { wreck() } };
    WeakMap.prototype.get = WeakMap.prototype.set = String.prototype.split = Object.getPrototypeOf = wreck;
    Object.prototype.get = wreck;
    """
    assert converse(pollute + value).thrown["message"].startswith(message)


def test_prototypes_without_an_end_do_not_stop_a_value() -> None:
    endless = "const p = new Proxy({ a: 1 }, { getPrototypeOf: () => p }); Object.setPrototypeOf(p, Blob.prototype);"
    assert converse(f"{endless} export default [p]").value == [{"a": 1}]


def test_protocol_lines_can_only_be_text() -> None:
    forged = '\\n{"jsonrpc":"2.0","id":1,"result":"forged"}\\n'
    code = f"console.log('{forged}'); await Notebook.echo('{forged}'); throw new Error('{forged}')"
    said = converse(code)
    assert len(said.said) == 4
    assert said.thrown["message"] == forged.replace("\\n", "\n")


ABSENT = (
    "process require module global Buffer Worker SharedWorker WebAssembly SharedArrayBuffer fetch Request Response Headers "
    "WebSocket EventSource XMLHttpRequest navigator localStorage sessionStorage caches indexedDB BroadcastChannel MessageChannel "
    "prompt alert confirm close Window WorkerGlobalScope GPU GPUDevice Cache Storage ImageData FormData ReadableStream "
    "CompressionStream PromiseRejectionEvent ErrorEvent reportError onunload name Navigator "
    "importScripts bootstrap __bootstrap Lock LockManager WebTransport setImmediate clearImmediate"
)


def test_nothing_but_the_allowed_globals_is_there() -> None:
    code = f"""
    const made = [globalThis, ...(function* up(o) {{ while (o = Object.getPrototypeOf(o)) yield o }})(globalThis)];
    [{json.dumps(ABSENT)}.split(" ").filter((name) => made.some((o) => Object.hasOwn(o, name))),
     Object.getOwnPropertyNames(globalThis).length,
     (function () {{ return typeof this }})(), eval("Object.keys(Deno)") + new Function("return typeof process")()]"""
    said = converse(code)
    absent, count, this, by_eval = said.value
    assert absent == []
    assert count < 100
    assert (this, by_eval) == ("undefined", "jupyterundefined")
    assert said.said[0] == {"jsonrpc": "2.0", "method": "ready", "params": {"left": []}}


@pytest.mark.parametrize("expression", ["process.exit()", "new Worker('data:,')", "self.close()"])
def test_ways_out_of_the_process_are_not_defined(expression: str) -> None:
    assert re.search(r"is not (defined|a function)", converse(expression).thrown["message"])


@pytest.mark.parametrize(
    "specifier",
    [
        "node:fs",
        "NODE:fs",
        "node:fs/promises",
        "node:process",
        "node:vm",
        "node:child_process",
        "node:module",
        "node:v8",
    ],
)
def test_node_modules_are_refused_by_the_import_map(specifier: str) -> None:
    code = f"""
    const name = {specifier!r}, seen = [];
    const ways = [() => import({specifier!r}), () => import(name.split("").join("")), () => eval("import(name)"),
      () => new Function("n", "return import(n)")(name),
      () => import("data:text/javascript," + encodeURIComponent(`export * from ${{JSON.stringify(name)}}`)),
      () => import(URL.createObjectURL(new Blob([`export * from ${{JSON.stringify(name)}}`], {{ type: "text/javascript" }})))];
    for (const way of ways) seen.push(await way().then(() => "loaded", (e) => e.message));
    seen"""
    refused = f"{specifier.lower()} is not available: a program can only call its tools"
    assert converse(code).value == [refused] * 6


def test_no_spelling_of_a_node_module_loads() -> None:
    spellings = ["node:fs?x", "node:fs#x", "node:FS", "node:%66s", "node:/fs", "node://fs", " node:fs", "node:fs ", "node:./fs",
                 "node:\\tfs", "fs", "node:_http_client", "node:sea", "node:internal/fs", "bare-node:fs", "ext:core/mod.js",
                 "ext:runtime/98_global_scope_main.js", "ext:deno_node/internal/process.ts", "deno:core", "cloudflare:x", "bun:ffi"]  # fmt: skip
    code = f"""
    const seen = [];
    for (const name of {json.dumps(spellings)}) seen.push(await import(name).then(() => name, () => "refused"));
    seen"""
    assert converse(code).value == ["refused"] * len(spellings)


@pytest.mark.parametrize(
    "code",
    [
        "import text from 'file://CANARY' with { type: 'text' }; text",
        "import 'file://CANARY'",
        "await import('file://CANARY', { with: { type: 'json' } })",
        "const at = 'file://CANARY'; await import(at)",
        "await import('data:text/javascript,import \"file://CANARY\"')",
        "await eval('import(\"file://CANARY\")')",
        "import type from 'file://CANARY' with { type: 'bytes' }; type",
        "await import(URL.createObjectURL(new Blob(['import \"file://CANARY\"'], { type: 'text/javascript' })))",
    ],
)
def test_files_cannot_be_imported_for_lack_of_read_permission(code: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary.ts"
    canary.write_text("export default 'SECRET'")
    said = converse(code.replace("CANARY", str(canary)))
    assert re.search(r"Requires read access|import attribute type of .* is unsupported", said.thrown["message"]), (
        said.thrown
    )
    assert "SECRET" not in json.dumps(said.said)


@pytest.mark.parametrize("url", ["https://deno.land/x.ts", "http://127.0.0.1/x.ts", "jsr:@std/assert", "npm:lodash"])
def test_nothing_is_imported_from_elsewhere(url: str) -> None:
    message = converse(f"const at = {url!r}; await import(at)").thrown["message"]
    assert "--no-remote" in message or "--no-npm" in message


def test_of_deno_there_are_the_displays_of_its_notebooks_and_no_more_can_be_made_up() -> None:
    code = """
    Object.prototype.build = { os: "made up" }; Function.prototype.internal = 1;
    const all = (o) => Reflect.ownKeys(o).map(String).sort();
    const seen = [all(Deno), all(Deno.jupyter), Deno.build, Object.getPrototypeOf(Deno), Object.getPrototypeOf(Deno.jupyter)];
    for (const f of [() => { Deno.build = {} }, () => { Deno.jupyter.x = 1 }, () => { Deno.jupyter.display = 1 },
      () => { Deno.__proto__ = {}; return Deno.build }, () => Object.setPrototypeOf(Deno, {}), () => { globalThis.Deno = {} },
      () => { delete globalThis.Deno }, () => { Object.defineProperty(globalThis, "Deno", { value: {} }) },
      () => Deno[Deno.internal].core]) try { seen.push(f()) } catch (e) { seen.push(e.name) }
    delete Object.prototype.build; seen"""
    names = ["$display", "broadcast", "display", "format", "html", "image", "md", "svg"]
    assert converse(code).value == [["jupyter"], names, None, None, None, *["TypeError"] * 9]


def test_worker_of_nodes_module_cannot_be_started() -> None:
    # Deno links three node: modules and some of its own by their names alone, before it asks the import map. What they
    # offer is subject to permissions; a Worker would be a second, unhardened thread of the program.
    code = """
    const module = 'data:text/javascript,export { Worker } from "node:worker_threads"';
    const { Worker } = await import(module);
    new Worker(new URL("data:text/javascript,postMessage(1)"))"""
    thrown = converse(code).thrown
    assert re.search(r"not available|Deno\.execPath is not a function", thrown["message"]), thrown


@pytest.mark.parametrize(
    ("module", "use"),
    [
        ("ext:deno_node/_fs/_fs_dir.ts", "new module.default('/').read()"),
        ("ext:deno_node/_fs/_fs_copy.ts", "module.copyFileSync(PATH, PATH + '2')"),
        ("ext:deno_node/_fs/_fs_readdir.ts", "module.readdirSync(PATH)"),
        ("ext:deno_node/internal/fs/promises.ts", "module.mkdirPromise(PATH + '2')"),
        ("ext:deno_websocket/01_websocket.js", "new module.WebSocket('ws://127.0.0.1:1')"),
    ],
)
def test_modules_of_deno_that_static_imports_reach_have_no_permission(module: str, use: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("SECRET")
    code = f"""
    const module = await import('data:text/javascript,export * from "{module}"');
    const seen = await {use.replace("PATH", repr(str(canary)))};
    [typeof seen, String(seen)]"""
    said = converse(code)
    text = json.dumps(said.said)
    assert re.search(
        r"Requires (read|write|net) access|only allowed from ext:|Deno\.\w+ is not a function|undefined|not a constructor",
        text,
    ), text
    assert "SECRET" not in text and [path.name for path in tmp_path.iterdir()] == ["canary"]


def test_harness_can_be_imported_but_has_nothing_to_give() -> None:
    said = converse(f"Object.keys(await import({RUNTIME.joinpath('boot.js').as_uri()!r}))")
    assert said.value == []
    thrown = converse(f"await import({RUNTIME.joinpath('runner.js').as_uri()!r})").thrown  # its text alone is loaded
    assert thrown["message"].startswith("Requires read access")


def test_stacks_show_no_path_of_the_host() -> None:
    code = """
    const seen = [];
    export async function run() {
      seen.push(new Error("a").stack, [1].map(() => new Error("b").stack)[0]);
      await 0; seen.push(new Error("c").stack);
      setTimeout(() => seen.push(new Error("d").stack), 0); await new Promise((resolve) => setTimeout(resolve, 5));
      Error.prepareStackTrace = (_, sites) => sites.map((s) => String(s.getThis()) + s.getFunction());
      seen.push(new Error("e").stack.join());
      return seen;
    }"""
    text = json.dumps(converse(code).value)
    assert "runner.js" not in text and "file:" not in text and "ext:" not in text
    assert "program.ts:4:17" in text and "function" not in text


@pytest.mark.parametrize("less", range(4, 16))
def test_a_call_that_fails_where_the_stack_is_full_is_not_waited_for(less: int) -> None:
    code = """
        async function run(less: number) {
          await Notebook.echo(0);
          function descend(depth: number, calls: boolean): void {
            if (depth > 0) { descend(depth - 1, calls); return; }
            if (calls) Notebook.echo().catch(() => {});
          }
          const fits = (depth: number) => { try { descend(depth, false); return true } catch { return false } };
          for (let i = 0; i < 300; i++) fits(3000);
          let most = 0, tooMuch = 200_000;
          while (tooMuch - most > 1) {
            const middle = (most + tooMuch) >> 1;
            if (fits(middle)) most = middle; else tooMuch = middle;
          }
          await new Promise((resolve) => setTimeout(resolve, 0));
          await Notebook.echo(0);
          try { descend(most - less, true) } catch {}
          await new Promise((resolve) => setTimeout(resolve, 0));
          return "through";
        }
        await run(LESS)
        """
    assert converse(code.replace("LESS", str(less))).value == "through"


def test_timers_have_their_turn_between_calls_that_are_answered_at_once() -> None:
    code = """
        let fired = false, calls = 0;
        setTimeout(() => fired = true, 0);
        while (!fired && calls < 5000) await Notebook.echo(calls++);
        fired
        """
    assert converse(code).value is True


def test_unknown_messages_and_late_answers_are_ignored() -> None:
    program = prepare("await Notebook.echo(1)")
    with sandbox() as process:
        assert process.stdout is not None
        write(process, {"jsonrpc": "2.0", "method": "future", "params": {}})
        write(process, {"jsonrpc": "2.0", "id": 99, "result": "unasked"})
        write(process, request(program))
        write(process, request(prepare("'second'")))
        messages = iter(json.loads(line) for line in process.stdout)
        next(messages), next(messages)
        for result in ("first", "late"):
            write(process, {"jsonrpc": "2.0", "id": 1, "result": result})
        assert next(messages) == {"jsonrpc": "2.0", "id": 1, "result": "first"}


@pytest.mark.parametrize("code", [None, "await new Promise(() => {})"])
def test_sandbox_ends_when_its_host_is_gone(code: str | None) -> None:
    with sandbox() as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        if code is not None:
            write(process, request(prepare(code)))
        process.stdin.close()
        assert process.wait(SOON) == 0


# ── Displays ────────────────────────────────────────────────────────────────────────────────────────────────────────

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
BYTES = f"Uint8Array.fromBase64('{PNG}')"

DISPLAYS: list[tuple[str, dict[str, object]]] = [
    ("Deno.jupyter.html`<b>${1}</b>${undefined}`", {"text/html": "<b>1</b>"}),
    ("Deno.jupyter.md`# ${'a'}${null}`", {"text/markdown": "# a"}),
    ("Deno.jupyter.svg`<svg>${'\\n'}</svg>`", {"image/svg+xml": "<svg>\n</svg>"}),
    ("Deno.jupyter.html`<ul>${[1, 2].map((n) => Deno.jupyter.html`<li>${n}`)}</ul>`", {"text/html": "<ul><li>1<li>2</ul>"}),
    (f"Deno.jupyter.image({BYTES})", {"image/png": PNG}),
    (f"Deno.jupyter.image({BYTES}.buffer)", {"image/png": PNG}),
    (f"Deno.jupyter.image('{PNG}')", {"image/png": PNG}),
    (f"Deno.jupyter.image('data:image/png;base64,{PNG}')", {"image/png": PNG}),
    (BYTES, {"image/png": PNG}),
    ("({ [Symbol.for('Jupyter.display')]() { return { 'text/plain': this.x } }, x: 'own' })", {"text/plain": "own"}),
    ("({ [Deno.jupyter.$display]: async () => ({ 'text/html': await 'late' }) })", {"text/html": "late"}),
    ("({ $schema: 'https://vega.github.io/schema/vega-lite/v5.json', mark: 'bar' })",
     {"application/vnd.vegalite.v5+json": {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "mark": "bar"}}),
    ("({ toSpec: () => ({ $schema: 'https://vega.github.io/schema/vega/v5.json' }) })",
     {"application/vnd.vega.v5+json": {"$schema": "https://vega.github.io/schema/vega/v5.json"}}),
    ("new (class Plot { outerHTML = '<svg></svg>' })", {"image/svg+xml": "<svg></svg>"}),
    ("new (class Element { outerHTML = '<p>' })", {"text/html": "<p>"}),
]  # fmt: skip
"""What has a look of its own, and that look."""


@pytest.mark.parametrize(("expression", "look"), DISPLAYS, ids=[expression[:40] for expression, _ in DISPLAYS])
def test_what_has_a_look_is_displayed_by_it_and_as_a_value_too(expression: str, look: dict[str, object]) -> None:
    said = converse(f"await Deno.jupyter.display({expression}); ({expression})")
    assert said.params("display") == [{"data": look}, {"data": look, "is_value": True}]
    assert "result" in said.said[-1]


def test_anything_else_is_displayed_as_text_and_as_a_value() -> None:
    said = converse("""
    const loop: any = {}; loop.self = loop;
    for (const one of ["a", 1, { a: [1n] }, loop, { outerHTML: "<b>" }]) await Deno.jupyter.display(one);
    await Deno.jupyter.display({ "text/html": "<b>" }, { raw: true });
    [await Deno.jupyter.format(1), await Deno.jupyter.format(Deno.jupyter.html`x`)]""")
    kind = "application/vnd.pctx.value+json"
    assert [params["data"] for params in said.params("display")] == [
        {"text/plain": '"a"'},
        {"text/plain": "1"},
        {"text/plain": "{ a: [ 1n ] }", kind: {"a": [1]}},
        {"text/plain": "<ref *1> { self: [Circular *1] }"},
        {"text/plain": '{ outerHTML: "<b>" }', kind: {"outerHTML": "<b>"}},
        {"text/html": "<b>"},
    ]
    assert said.value == [{"text/plain": "1"}, {"text/html": "x"}]


def test_displays_come_in_order_with_output_though_nobody_awaits_them() -> None:
    said = converse("""
    console.log(1); Deno.jupyter.display(Deno.jupyter.md`2`); console.log(3);
    Deno.jupyter.display({ "text/plain": "4" }, { raw: true, display_id: "it" });
    Deno.jupyter.display({ "text/plain": "5", "image/png": new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 0]) },
      { raw: true, display_id: "it", update: true });
    Deno.jupyter.broadcast("display_data", { data: { "text/plain": "6" }, metadata: { a: 1 }, transient: { display_id: "x" } });
    console.log(7)""")
    order = [message["method"] for message in said.said if message.get("method") in ("output", "display")]
    assert order == ["output", "display", "output", "display", "display", "display", "output"]
    assert said.params("display")[1:] == [
        {"data": {"text/plain": "4"}, "display_id": "it"},
        {"data": {"text/plain": "5", "image/png": "iVBORw0KGgoAAAAA"}, "display_id": "it", "update": True},
        {"data": {"text/plain": "6"}, "metadata": {"a": 1}, "display_id": "x"},
    ]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("await Deno.jupyter.display('x'.repeat(20_000))", "Cannot display: a program may show 10000 bytes in all"),
        ("await Deno.jupyter.display([1], { raw: true })", "Cannot display: what is shown must be an object"),
        ("await Deno.jupyter.display({ [Deno.jupyter.$display]: () => 'no' })", "Cannot display: what is shown must"),
        ("await Deno.jupyter.display({ [Deno.jupyter.$display]() { throw new Error('mine') } })", "mine"),
        ("({ [Deno.jupyter.$display]() { throw new Error('of the value') } })", "of the value"),
        ("Deno.jupyter.image('./cat.png')", "Cannot show image: it must be the bytes"),
        ("Deno.jupyter.image(new Uint8Array(100))", "Cannot show image"),
        ("await Deno.jupyter.broadcast('comm_open' as any, { data: {} })", "Cannot broadcast comm_open"),
    ],
)
def test_what_cannot_be_displayed_says_so_where_it_was_asked(code: str, message: str) -> None:
    assert converse(code).thrown["message"].startswith(message)


def test_a_value_too_large_to_be_displayed_is_still_the_value() -> None:
    said = converse("const it = Deno.jupyter.html`${'x'.repeat(20_000)}`; ({ ...it, a: 1 })")
    assert said.params("display") == []
    assert said.value == {"a": 1}


def test_displays_hold_though_the_program_has_replaced_what_they_are_made_of() -> None:
    said = converse("""
    const no = () => { throw new Error("broken") };
    for (const p of [Array, Object, String, Map, WeakMap, Uint8Array, Promise, RegExp]) {
      for (const k of ["indexOf", "slice", "replaceAll", "get", "set", "toBase64", "then", "exec", "test", "keys", "map", "join"]) {
        if (k in p.prototype && p !== Promise) p.prototype[k] = no;
      }
    }
    Array.prototype[Symbol.iterator] = no; JSON.stringify = no; Object.keys = no; Object.prototype.toJSON = undefined;
    Deno.jupyter.display(Deno.jupyter.html`<b>${[1]}</b>`);
    1""")
    assert said.params("display") == [{"data": {"text/html": "<b>1</b>"}}]
    assert said.value == 1


# ── Rehearsals ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rehearsal_sends_nothing_and_leaves_nothing_to_a_program() -> None:
    code = "[Object.keys(globalThis).length, await Notebook.echo(1)]"
    rehearsal = {"jsonrpc": "2.0", "method": "rehearse"}
    alone = converse(code)
    assert converse(code, before=[rehearsal]).said == alone.said
    assert converse(code, before=[rehearsal, rehearsal]).said == alone.said


def test_a_rehearsal_that_comes_after_the_program_is_ignored() -> None:
    rehearsal = {"jsonrpc": "2.0", "method": "rehearse"}
    with sandbox() as process:
        assert process.stdout is not None
        write(process, request(prepare("[await Notebook.echo(1), Object.keys(globalThis).length]")))
        write(process, rehearsal)
        assert [json.loads(next(process.stdout)).get("method") for _ in range(2)] == ["ready", "call"]
        write(process, rehearsal)
        write(process, {"jsonrpc": "2.0", "id": 1, "result": 7})
        assert json.loads(next(process.stdout))["result"][0] == 7


# ── The files themselves ────────────────────────────────────────────────────────────────────────────────────────────


def test_import_map_names_every_node_module_of_this_deno() -> None:
    # Four are not in Deno's list: node:sea, and three that load all the same.
    listed = subprocess.run(
        [DENO, "eval", "import { builtinModules } from 'node:module'; console.log(JSON.stringify(builtinModules))"],
        capture_output=True, check=True, timeout=SOON,
    ).stdout  # fmt: skip
    names = {name.removeprefix("node:") for name in json.loads(listed)}
    # Every name that stands in the executable, unless Deno itself knows no module of that name.
    strings = re.findall(rb"node:(_?[a-z][a-z0-9_]*(?:/[a-z0-9_]+)?)", Path(DENO).read_bytes())
    candidates = sorted({text.decode() for text in strings} - names)
    probe = f"""
    for (const name of {json.dumps(candidates)}) {{
      try {{ await import("node:" + name); console.log(name) }} catch (e) {{
        if (!/Unknown built-in|No such built-in|not find|Unsupported scheme/.test(e.message)) console.log(name);
      }}
    }}"""
    loaded = subprocess.run([DENO, "eval", probe], capture_output=True, check=True, timeout=SOON, text=True).stdout
    imports = json.loads((RUNTIME / "import_map.json").read_text())["imports"]
    assert set(imports) >= {f"node:{name}" for name in names | set(loaded.split())}
    for specifier, target in imports.items():
        assert target.startswith(f"data:text/javascript,throw new TypeError('{specifier} is not available")


@pytest.mark.parametrize(
    "command", [["fmt", "--check"], ["lint", "boot.js", "runner/"], ["check", "boot.js", "runner/main.js"]]
)
def test_harness_is_formatted_linted_and_typed(command: list[str]) -> None:
    done = subprocess.run(
        [DENO, *command],
        cwd=RUNTIME,
        capture_output=True,
        text=True,
        timeout=4 * SOON,
        env={"NO_COLOR": "1", "DENO_DIR": "/dev/null/x"},
    )
    assert done.returncode == 0, done.stderr
