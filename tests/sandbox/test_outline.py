"""Where a program's value is: the real compiler, the glance that is used without it, and Deno, which runs it.

Programs are made of statements of everyday style guides, with and without semicolons. What Deno makes of each is judged
by Deno's own parser and V8: `deno transpile` writes the program as JavaScript, and `deno run` evaluates that.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from pctx_jupyter.program import kept
from pctx_jupyter.program.program import LARGE_BYTES, Outline, glance, prepare
from pctx_jupyter.sandbox.checker import Checker

from .driver import DENO, converse
from .test_checker import Held


@pytest.fixture(scope="module")
def held() -> Iterator[Held]:
    holder = Held()
    yield holder
    holder.close()


def read(held: Held, code: str) -> Outline | None:
    checker: Checker = held.checker
    return held.wait(checker.read("a", code))


FIRST = [
    "const f = (x: number) => { return x }",
    "const f = async (x: number) => {\n  return x\n}",
    "const f = function (x: number) { return x }",
    "function f(x: number) { return x }",
    "class A { x = 1 }",
    "const A = class { x = 1 }",
    "let i = 0\ni++",
    "let i = 0\ni--",
    "const n = 5 as any",
    "const n = [1, 2] as const",
    "const n = { a: 1 } satisfies object",
    "const n = 5 as number | string",
    "const n = 5 as typeof globalThis.NaN",
    "const n: number[] = []",
    "let n: any = [0, 1, 2]\nn = n!",
    "type T = number",
    "type T = { a: number }",
    "type T =\n  | 'a'\n  | 'b'",
    "interface I { a: number }",
    "enum E { A, B }",
    "if (true) { globalThis.seen = 1 }",
    "for (const x of [1, 2]) { globalThis.seen = x }",
    "for (const x of [1, 2]) if (x) continue",
    "do { globalThis.seen = 1 } while (false)",
    "try { globalThis.seen = 1 } catch { }",
    "switch (1) { default: globalThis.seen = 1 }",
    "label: for (;;) { break label }",
    "const { a, b = 2 } = { a: 1 }",
    "const t = `a\n(b\n[c`",
    "// a comment (",
    "/* a\ncomment ( */",
    "const r = /[(]/g",
    "const g = <T,>(x: T) => { return x }",
    "const d = 10 / 2",
    "'use strict'",
    "let u: string | undefined",
    "const c = true\n  ? 1\n  : 2",
    "const s = 'a' +\n  'b'",
    "const m = new Map<string, number>",
    "var v = function () {}",
    "declare const q: number",
    "abstract class B { abstract m(): void }",
    "namespace N { export const x = 1 }",
    "export const e = () => { return 1 }",
    "export function h() { return 1 }",
    "const later = { get x() { return 1 } }",
    ";",
    "",
]
"""What stands before the last expression."""

LAST = [
    ("(1 + 2)", 3),
    ("[1, 2].map((x) => x * 2)", [2, 4]),
    ("`a${1}b`", "a1b"),
    ("/b/.test('abc')", True),
    ("+'3'", 3),
    ("-3", -3),
    ("!0", True),
    ("~1", -2),
    ("({ a: 1 })", {"a": 1}),
    ("{ a: 1 }", {"a": 1}),
    ("{ a: 1, b: [2] }", {"a": 1, "b": [2]}),
    ("[1,\n  2,\n  3]", [1, 2, 3]),
    ("(() => 7)()", 7),
    ("<number>5", 5),
    ("await Promise.resolve(4)", 4),
    ("await (async () => 4)()", 4),
    ("typeof 1", "number"),
    ("new Date(0).getTime()", 0),
    ("Math.max(1, 2)", 2),
    ("'text'", "text"),
    ("5", 5),
    ("[3, 1, 2]\n  .toSorted()\n  .at(0)", 1),
    ("1\n  + 2", 3),
    ("true\n  ? 'y'\n  : 'n'", "y"),
    ("(1, 2)", 2),
    ("[...'ab']", ["a", "b"]),
    ("(5 as any)", 5),
    ("[1, 2]!", [1, 2]),
]
"""The last expression, and its value where it is a statement of its own."""

STYLES = ["{}\n{}", "{};\n{};", "{}\n\n{}\n", "{}\n// then\n{} // done", "{} /* a\nb */ {}", "{}\n;{}"]
"""Without semicolons, with them, with comments between, and with a semicolon before what could go on."""

PROGRAMS = [style.format(first, last) for (first, (last, _)), style in product(product(FIRST, LAST), STYLES)][::3]


ODD = [
    "let async: any = 1\nasync",
    "let of = 1\nof",
    "let type: any = 1\ntype",
    "let declare: any = 5\ndeclare",
    "let get = 1\nget",
    "@(() => {})\nclass D {}",
    "abstract class Q {}",
    "label:\nf()",
    "const a = b\n  .c",
    "const a =\n  5",
    "const a = x as\n  any",
    "let a: Array<\n number>",
    "const a = b ?? c",
    "const a = b ??\nc",
    "const a = b\n?? c",
    "const a = b\n  ? c\n  : d",
    "const a = async () => {}",
    "const a = async function* () {}",
    "x = y",
    "x\n= y",
    "a\n++\nb",
    "a\n--",
    "throw_",
    "delete a.b",
    "void 0",
    "typeof a",
    "new Foo",
    "new Foo\n()",
    "new Foo()",
    "import.meta",
    "a!",
    "a!.b",
    "a as any",
    "a satisfies B",
    "a as unknown as\nB",
    "type A = B",
    "type A<T> = T extends B ? C : D",
    "type A = { b: 1 }",
    "interface I\n{ a: 1 }",
    "class C\n{ a = 1\n b = 2 }",
    "enum E\n{ A }",
    "function f()\n{ return 1 }",
    "if (a) b",
    "if (a)\n b",
    "if (a) b\nelse c",
    "for (;;) break",
    "while (0)\n f()",
    "do f()\nwhile (0)",
    "try {} catch {}\nfinally {}",
    "switch (a) {}",
    "export {}",
    "export { a }",
    "export const z = 1",
    "export default 5",
    "export default function () {}",
    "export type T = 1",
    "using u = f()",
    "await using u = f()",
    "let a",
    "let a: number",
    "var a, b",
    "const [a, b] = c",
    "`t`",
    "'s'",
    "5",
    "5.",
    "/r/g",
    "a /* x\n y */ b",
    "a // c",
    "// c\n(",
    "<T>a",
    "a < b",
    "a > b",
    "f<T>(x)",
    "f<T>",
    "x => x",
    "(x) => x",
    "(x): any => x",
    "() => ({})",
    "() => {}",
    "function* g() {}",
    "{ a: 1 }",
    "{}",
    ";",
    "namespace N {}",
    "declare module 'x' {}",
    "declare global {}",
    "import x = y.z",
    "a?.b",
    "a?.[0]",
    "a?.(b)",
    "a ? b : c",
    "a,\nb",
    "a\n, b",
    "a in b",
    "a\nin b",
    "a\ninstanceof b",
    "a\nas any",
    "a\nsatisfies B",
    "a\nof\nb",
    "#x in a",
    "yield_",
    "await a",
    "await\na",
    "a.b\n.c()",
    "a\u2028(b)",
    "a\u2029[b]",
    "let x = 5\u2029(a)",
    "override",
    "readonly\nx",
    "static\nx",
    "accessor\nx",
    "infer\nx",
    "keyof\nx",
    "unique\nx",
    "asserts\nx",
    "out\nx",
    "module\nx",
    "global\nx",
    "namespace\nx",
    "interface\nx",
    "enum\nE {}",
    "let\nx",
    "const\nx = 1",
    "var\nx",
    "function\nf() {}",
    "class\nC {}",
    "return_\nx",
    "get\nx",
    "set\nx",
    "new\nFoo",
    "typeof\na",
    "void\na",
    "delete\na.b",
    "throw\na",
    "async\nfunction f() {}",
    "async\n(x) => x",
    "async (x)\n=> x",
    "x\n=> x",
]
"""Statements in which words, signs and line ends mean different things by what stands around them."""


def test_glance_is_what_the_compiler_reads_wherever_it_is_certain(held: Held) -> None:
    wrong, certain = [], 0
    pairs = list(product(ODD, ODD))[::11]
    for code in [*PROGRAMS, *(f"{first}\n{second}" for first, second in pairs)]:
        seen = glance(code)
        if not seen.is_certain:
            continue
        certain += 1
        outline = read(held, code)
        assert seen.outline is not None
        if outline is None or without_mentions(outline) != without_mentions(seen.outline):
            wrong.append((code, seen.outline, outline))
    assert not wrong[:3], f"{len(wrong)} of {certain}"
    assert certain > len(PROGRAMS) / 4


def without_mentions(outline: Outline) -> Outline:
    """What both must say alike: names that are mentioned may be more than are needed."""
    return Outline(
        outline.run,
        outline.exported_run,
        outline.is_default,
        outline.calls_run,
        outline.last,
        outline.values,
        outline.types,
        outline.pieces,
        outline.exports,
    )


JUDGE = """
const awake = setInterval(() => {}, 100); // Deno takes some imports for promises that nobody will settle.
const found = [];
const values = (run) => run().then((value) => JSON.stringify(value) ?? "undefined", () => "an error");
for (const [text, script] of JSON.parse(await Deno.readTextFile("programs.json"))) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/typescript" }));
  const ours = await values(async () => (await import(url)).__pctx_value);
  const denos = await values(async () => (0, eval)("'use strict'; void 0;\\n" + script));
  found.push([ours, denos]);
}
clearInterval(awake);
console.log(JSON.stringify(found));
"""
"""Runs programs as sandboxes do, and what Deno makes of them as scripts: their value is that of the last expression."""


def denos_reading(programs: list[str], folder: Path) -> list[str]:
    """The programs as Deno's own parser reads them: JavaScript, each statement with its semicolon."""
    (folder / "in").mkdir()
    names = [f"in/p{number}.ts" for number in range(len(programs))]
    for name, code in zip(names, programs, strict=True):
        (folder / name).write_text(code)
    command = [DENO, "transpile", "--no-config", "--outdir", "out", *names]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    texts = [next((folder / "out").rglob(f"p{number}.js")).read_text() for number in range(len(programs))]
    # A script exports nothing.
    return [re.sub(r"^export (?=\w)|^export \{\s*\};$", "", text, flags=re.MULTILINE) for text in texts]


def test_the_value_of_a_program_is_what_deno_makes_of_its_last_expression(held: Held, tmp_path: Path) -> None:
    programs = [
        style.format(first, last)
        for style, some in zip(STYLES[:2], (1, 5), strict=True)
        for first, (last, _) in list(product(FIRST, LAST))[::some]
        if "await" not in last
        and not last.startswith("{")  # a script has no `await`, and knows blocks only
        # JavaScript ends the statement here, and so do we; Deno's parser says that it is an error.
        and not (last[0] in "+-</" and "=> {" in first)
    ]
    outlines = {code: read(held, code) for code in programs}
    valid = [code for code in programs if outlines[code] is not None]
    assert len(valid) > 1_000
    scripts = dict(zip(valid, denos_reading(valid, tmp_path), strict=True))
    asked = [(prepare(code, outlines[code]).text, scripts.get(code, "throw 1")) for code in programs]
    (tmp_path / "programs.json").write_text(json.dumps(asked))
    (tmp_path / "judge.js").write_text(JUDGE)
    command = [DENO, "run", "--no-config", "--allow-read", "judge.js"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = [(code, ours, denos) for code, (ours, denos) in zip(programs, json.loads(done.stdout), strict=True)]
    wrong = [one for one in found if one[1] != one[2]]
    assert not wrong[:3], f"{len(wrong)} of {len(found)}"
    assert sum(ours == "an error" for _, ours, _ in found) < len(found) / 3


@pytest.mark.parametrize(("last", "value"), LAST)
def test_the_last_expression_after_an_arrow_function_is_the_value(held: Held, last: str, value: object) -> None:
    code = f"const f = (x: number) => {{ return x }}\n{last}"
    assert converse(code, outline=read(held, code)).value == value


def test_what_is_kept_is_what_the_compiler_reads(held: Held) -> None:
    code = "const half = (x: number) => { return x / 2 }\n(1 + 2)\nconst n = [1] as any\n[n]\nexport { half }"
    outline = read(held, code)
    survey = kept.survey(code, None, (), outline)
    assert outline is not None and survey is not None
    assert survey.exposed == {"half": "half"}
    assert [code[piece.start : piece.end] for piece in survey.pieces] == [
        "const half = (x: number) => { return x / 2 }"
    ]


def test_offsets_are_right_behind_characters_of_two_units(held: Held) -> None:
    code = "const s = '😀é漢'\nexport function f() { return '😀' }\n/* 😀 */ [s]"
    outline = read(held, code)
    assert outline is not None and outline.last is not None
    assert code[slice(*outline.last)] == "[s]"
    assert [code[piece.start : piece.end] for piece in outline.pieces] == ["function f() { return '😀' }"]


def test_a_large_program_has_its_value_and_its_exports(held: Held) -> None:
    row = '  { id: 1, name: "a `tick`, a } and a \' and // more" },\n'
    rows = "const rows = [\n" + row * (LARGE_BYTES // len(row) + 1) + "]\n"
    code = rows + "export const count = () => { return rows.length }\n(rows.length) // é"
    outline = read(held, code)
    program = prepare(code, outline)
    assert program.text.endswith("\nexport const __pctx_value = await ((rows.length)); // é")
    survey = kept.survey(code, None, (), outline)
    assert survey is not None and survey.exposed == {"count": "count"}
    inside = f"{rows}const text = `;\nrows;\n`"
    outline = read(held, inside)
    assert outline is not None and outline.last is None


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("{ a: 1 }", {"a": 1}),
        ("const a = 1, b = 2\n{ a, b }", {"a": 1, "b": 2}),
        ("const f = 5\n{ a: f };", {"a": 5}),
        ("const x = { a: 1 }\n{ ...x, 'b c': 2 }", {"a": 1, "b c": 2}),
        ("const f = () => 1\n{ total: f(), rows: [1] }", {"total": 1, "rows": [1]}),
        ("7\n{ const a = 1; a }", 7),
        ("7\n{}", 7),
        ("7\nif (true) { true }", 7),
    ],
)
def test_a_record_at_the_end_is_a_value_and_a_block_is_none(held: Held, code: str, value: object) -> None:
    assert converse(code, outline=read(held, code)).value == value
