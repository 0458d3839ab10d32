"""What becomes of all that a sandbox has: each object of the platform as a value, each of its names as that of a tool.

The sandbox is real, and says itself which globals there are: one that a new Deno brings fails here until it is known.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pctx_jupyter.tools import names

from .driver import converse

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "values.md"

LIST, ERROR = object(), object()

MADE: dict[str, tuple[str, Any]] = {
    "AbortController": ("new AbortController()", ERROR),
    "AbortSignal": ("AbortSignal.abort()", ERROR),
    "AggregateError": ("new AggregateError([new Error('a')], 'm')", {"name", "message", "stack", "errors"}),
    "Array": ("[1]", [1]),
    "ArrayBuffer": ("new ArrayBuffer(2)", [0, 0]),
    "AsyncDisposableStack": ("new AsyncDisposableStack()", ERROR),
    "BigInt": ("1n", 1),
    "BigInt64Array": ("new BigInt64Array(1)", [0]),
    "BigUint64Array": ("new BigUint64Array(1)", [0]),
    "Blob": ("new Blob(['a'])", ERROR),
    "Boolean": ("new Boolean(true)", True),
    "Crypto": ("crypto", ERROR),
    "CryptoKey": ("await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, true, ['sign'])", ERROR),
    "CustomEvent": ("new CustomEvent('a')", ERROR),
    "DOMException": ("new DOMException('m')", {"name", "message", "stack"}),
    "DataView": ("new DataView(new ArrayBuffer(1))", [0]),
    "Date": ("new Date(0)", "1970-01-01T00:00:00.000Z"),
    "DisposableStack": ("new DisposableStack()", ERROR),
    "Error": ("new Error('m', { cause: 1 })", {"name", "message", "stack", "cause"}),
    "EvalError": ("new EvalError('m')", {"name", "message", "stack"}),
    "Event": ("new Event('a')", ERROR),
    "EventTarget": ("new EventTarget()", ERROR),
    "FinalizationRegistry": ("new FinalizationRegistry(() => {})", ERROR),
    "Float16Array": ("new Float16Array(1)", [0]),
    "Float32Array": ("new Float32Array(1)", [0]),
    "Float64Array": ("new Float64Array(1)", [0]),
    "Function": ("[() => 1]", ERROR),
    "Int16Array": ("new Int16Array(1)", [0]),
    "Int32Array": ("new Int32Array(1)", [0]),
    "Int8Array": ("new Int8Array(1)", [0]),
    "Iterator": ("Iterator.from([1, 2]).map((x) => 2 * x)", [2, 4]),
    "Map": ("new Map([['a', 1]])", {"a": 1}),
    "Number": ("new Number(1)", 1),
    "Object": ("({ a: 1 })", {"a": 1}),
    "Performance": ("performance", {"timeOrigin"}),
    "Promise": ("[Promise.resolve(1)]", ERROR),
    "Proxy": ("new Proxy({ a: 1 }, {})", {"a": 1}),
    "RangeError": ("new RangeError('m')", {"name", "message", "stack"}),
    "ReferenceError": ("new ReferenceError('m')", {"name", "message", "stack"}),
    "RegExp": ("/a/g", "/a/g"),
    "Set": ("new Set([1])", [1]),
    "String": ("new String('a')", "a"),
    "SubtleCrypto": ("crypto.subtle", ERROR),
    "SuppressedError": ("new SuppressedError(1, 2, 'm')", {"name", "message", "stack"}),
    "Symbol": ("Object(Symbol('a'))", ERROR),
    "SyntaxError": ("new SyntaxError('m')", {"name", "message", "stack"}),
    "TextDecoder": ("new TextDecoder()", ERROR),
    "TextEncoder": ("new TextEncoder()", ERROR),
    "TypeError": ("new TypeError('m')", {"name", "message", "stack"}),
    "URIError": ("new URIError('m')", {"name", "message", "stack"}),
    "URL": ("new URL('https://a.b/')", "https://a.b/"),
    "URLPattern": ("new URLPattern({ pathname: '/a' })", ERROR),
    "URLSearchParams": ("new URLSearchParams('a=1&b=2&a=3')", [["a", "1"], ["b", "2"], ["a", "3"]]),
    "Uint16Array": ("new Uint16Array(1)", [0]),
    "Uint32Array": ("new Uint32Array(1)", [0]),
    "Uint8Array": ("new Uint8Array(1)", [0]),
    "Uint8ClampedArray": ("new Uint8ClampedArray(1)", [0]),
    "WeakMap": ("new WeakMap()", ERROR),
    "WeakRef": ("new WeakRef({})", ERROR),
    "WeakSet": ("new WeakSet()", ERROR),
    "Atomics": ("Atomics", ERROR),
    "Intl": ("Intl", ERROR),
    "JSON": ("JSON", ERROR),
    "Math": ("Math", ERROR),
    "Reflect": ("Reflect", ERROR),
    "Temporal": ("Temporal", ERROR),
    "console": ("console", ERROR),
    "crypto": ("crypto", ERROR),
    "performance": ("performance", {"timeOrigin"}),
    "Intl.Collator": ("new Intl.Collator()", ERROR),
    "Intl.DateTimeFormat": ("new Intl.DateTimeFormat()", ERROR),
    "Intl.DisplayNames": ("new Intl.DisplayNames('en', { type: 'region' })", ERROR),
    "Intl.DurationFormat": ("new Intl.DurationFormat()", ERROR),
    "Intl.ListFormat": ("new Intl.ListFormat()", ERROR),
    "Intl.Locale": ("new Intl.Locale('en')", ERROR),
    "Intl.NumberFormat": ("new Intl.NumberFormat()", ERROR),
    "Intl.PluralRules": ("new Intl.PluralRules()", ERROR),
    "Intl.RelativeTimeFormat": ("new Intl.RelativeTimeFormat()", ERROR),
    "Intl.Segmenter": ("new Intl.Segmenter()", ERROR),
    "Temporal.Duration": ("Temporal.Duration.from({ hours: 1 })", "PT1H"),
    "Temporal.Instant": ("Temporal.Instant.fromEpochMilliseconds(0)", "1970-01-01T00:00:00Z"),
    "Temporal.Now": ("Temporal.Now", ERROR),
    "Temporal.PlainDate": ("Temporal.PlainDate.from('2026-01-02')", "2026-01-02"),
    "Temporal.PlainDateTime": ("Temporal.PlainDateTime.from('2026-01-02T03:04')", "2026-01-02T03:04:00"),
    "Temporal.PlainMonthDay": ("Temporal.PlainMonthDay.from('01-02')", "01-02"),
    "Temporal.PlainTime": ("Temporal.PlainTime.from('03:04')", "03:04:00"),
    "Temporal.PlainYearMonth": ("Temporal.PlainYearMonth.from('2026-01')", "2026-01"),
    "Temporal.ZonedDateTime": (
        "Temporal.ZonedDateTime.from('2026-01-02T00:00[UTC]')",
        "2026-01-02T00:00:00+00:00[UTC]",
    ),
}
"""An object of each kind, and what becomes of it; of those with changing parts, the names of all."""

HIDDEN: list[tuple[str, Any]] = [
    ("new Map([['a', 1]]).keys()", ["a"]),
    ("new Map([['a', 1]]).values()", [1]),
    ("new Map([['a', 1]]).entries()", [["a", 1]]),
    ("new Set([1]).values()", [1]),
    ("[5].entries()", [[0, 5]]),
    ("'ab'[Symbol.iterator]()", ["a", "b"]),
    ("'aXbX'.matchAll(/X/g)", [["X"], ["X"]]),
    ("(function* () { yield 1; yield new Set([2]) })()", [1, [2]]),
    ("[1, 2, 3].values().filter((x) => x > 1).take(1)", [2]),
    ("new URLSearchParams('a=1').entries()", [["a", "1"]]),
    ("new URLSearchParams('a=1').keys()", ["a"]),
    ("[...new Intl.Segmenter('en').segment('ab')].length", 2),
    ("new Intl.Segmenter('en').segment('a')", [{"segment": "a", "index": 0, "input": "a"}]),
    ("new (class extends Iterator { #n = 0; next() { return { done: this.#n > 1, value: this.#n++ } } })", [0, 1]),
    ("(async function* () { yield 1 })()", "arguments[0] is an async iterator"),
    ("({ async *[Symbol.asyncIterator]() {} })", "arguments[0] is an async iterable"),
    ("({ *[Symbol.iterator]() { yield 1 } })", "arguments[0] is an iterable"),
    ("({ next() {}, [Symbol.iterator]() { return this } })", "arguments[0] is an iterable"),
    ("(function* () { throw new Error('no') })()", "arguments[0] could not be read to its end: Error: no"),
    ("(function* () { for (;;) yield 1 })()", "arguments[0] is an iterator of more than 1000000 elements"),
    ("new Proxy(new Map([['a', 1]]), {})", "arguments[0] is no real Map"),
    ("[new Proxy(Promise.resolve(1), {})]", "arguments[0][0] is a promise"),
    ("Object.create(Set.prototype)", "arguments[0] is no real Set"),
    ("({ toJSON: async () => 1 })", "arguments[0] is a promise"),
    ("({ toJSON: () => new WeakMap() })", "arguments[0] is an object of the kind WeakMap"),
    ("new (class extends EventTarget { a = 1 })", {"a": 1}),
    ("({ a: new (class extends Promise { b = 1 })((r) => r(1)) })", "arguments[0].a is a promise"),
    ("({ a: {}, f() {}, b: [{}] })", "arguments[0].f is a function"),
    ("({ a: {}, b: [{}] })", {"a": {}, "b": [{}]}),
    ("new (class A {})", {}),
    ("new Error('m', { cause: new Map([['a', new Error('n')]]) }).cause", None),
]
"""What has no name: iterators, and objects that seem to be what they are not."""


@cache
def made() -> dict[str, Any]:
    """What became of each object: its JSON, or the message of the error."""
    listed = [*(code for code, _ in MADE.values()), *(code for code, _ in HIDDEN)]
    makers = ",\n".join(f"async () => ({code})" for code in listed)
    code = f"""
    for (const make of [{makers}]) {{
      const value = await make().catch((error) => "not made: " + error.message);
      await Notebook.echo([value]).catch((error) => Notebook.echo(["" + error.message]));
    }}"""
    return dict(zip(listed, (params["arguments"][0] for params in converse(code).params("call")), strict=True))


@cache
def members() -> dict[str, list[str]]:
    """The names that each global has, itself or inherited."""
    code = """
    const found = {};
    const add = (space, owner) => {
      for (const name of Object.getOwnPropertyNames(owner)) {
        const value = owner[name], all = new Set();
        if (value === globalThis || value === null || !/^(function|object)$/.test(typeof value)) continue;
        for (let at = value; at !== null; at = Object.getPrototypeOf(at)) {
          for (const one of Object.getOwnPropertyNames(at)) all.add(one);
        }
        found[space + name] = [[...all], typeof value === "function" && /^[A-Z]/.test(name)];
      }
    };
    add("", globalThis), add("Intl.", Intl), add("Temporal.", Temporal);
    found"""
    return dict(converse(code).value)


OURS = {"CALLABLE_TOOLS", "Deno", "Notebook", "list_functions", "openFrame"}


def test_every_object_of_the_platform_has_a_row_here_and_in_the_reference() -> None:
    functions = {
        name for name, (_, is_class) in members().items() if not is_class and "." in name and name != "Temporal.Now"
    }
    there = {name for name in members() if name not in OURS | functions}
    there -= {name for name, (all_, is_class) in members().items() if not is_class and "call" in all_}
    assert there == set(MADE)
    table = DOCS.read_text().partition("## From Python")[0]
    known = {name.rpartition(".")[2] for name in re.findall(r"`([\w.]+)", table)}
    assert {name.removeprefix("Temporal.").removeprefix("Intl.") for name in there} - known == set()


@pytest.mark.parametrize("name", MADE)
def test_an_object_of_the_platform_is_never_an_empty_record(name: str) -> None:
    code, wanted = MADE[name]
    became = made()[code]
    if wanted is ERROR:
        assert re.fullmatch(r"Cannot call Notebook\.echo: arguments\[0\](\[0\])? is an? .+: .+", became), became
    elif isinstance(wanted, set):
        assert wanted <= set(became)
    else:
        assert became == wanted


@pytest.mark.parametrize(("code", "wanted"), HIDDEN)
def test_what_has_no_name_is_a_list_or_an_error(code: str, wanted: object) -> None:
    became = made()[code]
    if isinstance(wanted, str):
        assert became.startswith(f"Cannot call Notebook.echo: {wanted}"), became
        assert ": " in became.partition("arguments")[2]
    elif wanted is not None:
        assert became == wanted
    else:
        assert set(became["a"]) == {"name", "message", "stack"}


def test_the_names_that_no_tool_may_take_are_those_of_a_real_sandbox() -> None:
    free = [
        f"{space}.{name}"
        for space, (found, _) in members().items()
        for name in found
        if space in names.GLOBALS and names.is_identifier(name) and not names.is_taken(space, name)
    ]
    assert free == []
    for space in names.GLOBALS - {"SharedArrayBuffer"}:
        there = set(members()[space][0]) | {"toJSON", "prototype"}
        assert {name for name in names._MEMBERS.get(space, ()) if name not in there} == set(), space


def test_a_host_that_takes_a_member_all_the_same_is_refused() -> None:
    thrown = converse("1", namespaces={"Math": {"floor": "Math.floor"}}).thrown
    assert thrown["message"].startswith("Cannot define tool Math.floor: JavaScript has a property of that name")
    assert json.dumps(
        converse("[Math.floor(1.5), typeof Math.add]", namespaces={"Math": {"add": "Math.add"}}).value
    ) == ('[1, "function"]')
