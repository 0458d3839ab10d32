"""Programs and the texts made of them: pure, nothing fake. What the texts do in Deno: tests/sandbox/test_runtime.py."""

import pytest

from pctx_jupyter.program.cell import units
from pctx_jupyter.program.program import LARGE_BYTES, Program, glance, prepare, with_parentheses

VALUE = "export const __pctx_value = "


def test_last_expression_becomes_the_value() -> None:
    program = prepare("const a = 1;\na + 1")
    assert program.text == f"const a = 1;\n{VALUE}await (a + 1);"
    assert program.entry == {"run": None, "value": "__pctx_value"}


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("f() // done", f"{VALUE}await (f()); // done"),
        ("f(); // done", f"{VALUE}await (f());; // done"),
        ("f() /* a */ ;", f"{VALUE}await (f()); /* a */ ;"),
        ("let a = 1\nf()", f"let a = 1\n{VALUE}await (f());"),
        ("await f()", f"{VALUE}await (await f());"),
        ("a, b", f"{VALUE}await (a, b);"),
        ("a = b", f"{VALUE}await (a = b);"),
        ("({ a: 1 })", f"{VALUE}await (({{ a: 1 }}));"),
        ("'use strict'", f"{VALUE}await ('use strict');"),
        ("`a${b}`", f"{VALUE}await (`a${{b}}`);"),
        ("() => 1", f"{VALUE}await (() => 1);"),
        ("x as Foo", f"{VALUE}await (x as Foo);"),
        ("a\n++b", f"a\n{VALUE}await (++b);"),
        ("f()\nfunction g() {}\ntype T = 1", f"{VALUE}await (f());\nfunction g() {{}}\ntype T = 1"),
        ("1\r\n2\r\n", f"1\r\n{VALUE}await (2);\r\n"),
        ("\ufeff1", f"{VALUE}await (1);"),
        ("1\r2", f"1\n{VALUE}await (2);"),
        ("'\ud800'", f"{VALUE}await ('\ufffd');"),
        ("'\ud83d\ude00'", f"{VALUE}await ('😀');"),
        ("'a\u2028b'", f"{VALUE}await ('a\u2028b');"),
        ("if (a) { b }\nc", f"if (a) {{ b }}\n{VALUE}await (c);"),
    ],
)
def test_expression_is_wrapped_exactly(code: str, text: str) -> None:
    assert prepare(code).text == text


@pytest.mark.parametrize(
    "code",
    [
        "",
        " \n",
        "// only",
        "/* only */",
        ";;",
        "{ a: 1 }",
        "{ a }",
        "namespace A {}",
        "using a = f();",
        "await using a = f();",
        "label: f()",
        "if (a) b",
        "const a = 1",
        "class A {}",
        "import 'x'",
        "export default f()",
    ],
)
def test_program_without_a_last_expression_stays_as_it_is(code: str) -> None:
    assert prepare(code) == Program(code, code)


@pytest.mark.parametrize("code", ["const a = ;", "f(", "`a", "}", "f() }", "class {", "<div/>"])
def test_syntax_error_is_left_for_deno_to_report(code: str) -> None:
    assert prepare(code).text == code


@pytest.mark.parametrize(
    "code",
    [
        "function run() {}",
        "async function run() {}",
        "function* run() {}",
        "export async function run() {}",
        "const run = () => 1",
        "let run",
        "export const run = make()",
        "var a = 1, run = 2",
        "function run(a: string): void\nfunction run(a?: any) {}",
        "const later = () => run()\nfunction run() {}",
        "class A { m() { run() } }\nfunction run() {}",
    ],
)
def test_top_level_run_is_exported_under_a_name_of_its_own(code: str) -> None:
    program = prepare(code)
    assert program.text == f"{code}\nexport {{ run as __pctx_run }};"
    assert program.entry == {"run": "__pctx_run", "value": None}


@pytest.mark.parametrize(
    "code", ["function runs() {}", "{ function run() {} }", "declare function run(): void", "const a = { run() {} }"]
)
def test_other_runs_are_none(code: str) -> None:
    assert prepare(code).run is None


def test_exported_alias_run_needs_no_other_name() -> None:
    code = "const go = () => 1\nexport { go as run }"
    assert prepare(code) == Program(code, code, run="run")


@pytest.mark.parametrize(
    "call",
    [
        "run()",
        "await run()",
        "void run()",
        "run().catch(report)",
        "(await run())!",
        "main(run())",
        "f().then(() => run())",
    ],
)
def test_run_that_the_program_calls_itself_is_not_called_again(call: str) -> None:
    program = prepare(f"async function run() {{}}\n{call}")
    assert program.text == f"async function run() {{}}\n{VALUE}await ({call});"
    assert program.entry == {"run": None, "value": "__pctx_value"}


def test_exported_run_called_in_a_declaration_leaves_the_value_undefined() -> None:
    code = "export async function run() {}\nconst a = await run()"
    assert prepare(code).text == f"{code}\n{VALUE}undefined;"


def test_value_beside_a_run_is_not_awaited() -> None:
    program = prepare("const run = 5\nforever()")
    assert program.text == f"const run = 5\n{VALUE}(forever());\nexport {{ run as __pctx_run }};"


def test_default_export_and_run_stay_what_they_are() -> None:
    assert prepare("export { a as default }; const a = 1; a").entry == {"run": None, "value": None}
    assert prepare("export default 1\nfunction run() {}").entry == {"run": "__pctx_run", "value": None}


def test_names_never_collide_with_the_programs_own() -> None:
    program = prepare("const __pctx_value = 1, __pctx_run = 2, __pctx_run_ = 3\nfunction run() {}\n__pctx_value")
    assert program.entry == {"run": "__pctx_run__", "value": "__pctx_value_"}


@pytest.mark.parametrize(
    "code",
    ["a.b(c)", "'😀'; a.b('😀')", "\ta\n  .b(\n'é😀') ; /* 😀 */ type X = 1", "f(); g() // c", "a\r\n.b\r\n"],
)
def test_every_position_leads_back_to_the_character_it_shows(code: str) -> None:
    program = prepare(code)
    pieces = list(_positions(program.text))
    at = 0
    for place, char in _positions(code):
        while pieces[at][1] != char or program.position(*pieces[at][0]) != place:
            at += 1  # an IndexError here: some character of the code has no position in the text
        at += 1


def _positions(text: str) -> list[tuple[tuple[int, int], str]]:
    places = []
    line, column = 1, 1
    for char in text:
        if char not in "\r\n":
            places.append(((line, column), char))
        line, column = (line + 1, 1) if char == "\n" else (line, column + units(char))
    return places


def test_position_outside_the_code_becomes_its_nearest_place() -> None:
    program = prepare("ab\nfunction run() {}")
    assert program.text.startswith(f"{VALUE}(ab);\n")
    assert program.position(1, 1) == (1, 1)
    assert program.position(1, 10_000) == (1, 3)
    assert program.position(3, 8) == program.position(999, 999) == (2, 18)
    assert program.position(0, 0) == (2, 18)


def test_a_large_program_is_left_to_the_compiler() -> None:
    seen = glance("const rows = [\n" + "  1,\n" * (LARGE_BYTES // 5 + 1) + "];\nrows;\n")
    assert (seen.outline, seen.is_certain) == (None, False)


@pytest.mark.parametrize(
    "code",
    [
        "1 + 1",
        "const a = 1\na",
        "const a = 1;\n[a]",
        "const f = (x) => { return x };\n(1 + 2)",
        "rows\n  .filter((r) => r.ok)\n  .map((r) => r.id)",
        "const a = b &&\n  c\na",
        "function f() {\n  return [\n  1]\n}\nf()",
        "if (a) {\n  b\n}\nd",
        "const t = `\n(\n[`\nt",
        "type A =\n  | 1\n  | 2\nconst a: A = 1\na",
    ],
)
def test_a_glance_is_certain_where_lines_can_be_read_in_one_way(code: str) -> None:
    assert glance(code).is_certain


@pytest.mark.parametrize(
    "code",
    [
        "const f = (x) => { return x }\n(1 + 2)",
        "const a = 1 as any\n[a]",
        "let i = 0\ni++\n(i)",
        "const a = b as const\n`t`",
        "f()\n/re/.test(a)",
        "const a = 1\n+a",
        "const a = 1\n<number>a",
        "let\nx = 1",
        "type\nA = 1",
        "a\nas\nb",
        "f()\n{ a: 1 }",
        "{ a: 1 }",
        "const a = ;",
    ],
)
def test_a_glance_is_not_certain_where_the_rules_of_semicolons_matter(code: str) -> None:
    assert not glance(code).is_certain


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("{ a: 1 }", "({ a: 1 })"),
        ("f()\n{ a, b: [1] };\n", "f()\n({ a, b: [1] });\n"),
        ("{ ...a, 'b c': { d } }", "({ ...a, 'b c': { d } })"),
        ("{ f() }", "{ f() }"),
        ("if (a)\n{ b }", "if (a)\n{ b }"),
        ("function f()\n{ return 1 }", "function f()\n{ return 1 }"),
        ("{ const a = 1; a }", "{ const a = 1; a }"),
        ("1 + 1", "1 + 1"),
    ],
)
def test_a_record_at_the_end_gets_parentheses_for_other_readers(code: str, text: str) -> None:
    assert with_parentheses(code) == text
