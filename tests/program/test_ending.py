"""Whether the end of a program gives its value: texts in, one sentence out."""

from __future__ import annotations

import pytest

from pctx_jupyter.program.ending import MAX_CHARACTERS, ending


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("const a = 1;", "a declaration of a"),
        ("let a = 1, b = 2 // done", "a declaration of a, b"),
        ("const {a, b: [c]} = await f()", "a declaration of {a, b: [c]}"),
        ("const { rows } = x;", "a declaration of { rows }"),
        ("f();\n\nconst a = 1;", "a declaration of a"),
        ("function main() { return 1 }", "a declaration of main"),
        ("export const a = 1;", "a declaration of a"),
        ("class A {}", "a declaration of A"),
        ("type A = string;", "a declaration of A"),
        ("for (const x of xs) f(x)", "a for statement"),
        ("for (let i = 0; i < 1; i++) {}", "a for statement"),
        ("while (x) f()", "a while statement"),
        ("if (a) { b } else { c }", "an if statement"),
        ("try { await f() } catch {}", "a try statement"),
        ("switch (a) { case 1: f() }", "a switch statement"),
        ("{ const a = 1; f(a) }", "a block"),
    ],
)
def test_an_end_that_gives_no_value_is_named(code: str, kind: str) -> None:
    found = ending(code)
    assert found is not None and found.kind == kind


def test_the_line_of_an_earlier_value_is_named() -> None:
    found = ending("const a = 1;\nf();\nconst b = 2;")
    assert found is not None and found.value_line == 2
    assert found.kind == "a declaration of b"


@pytest.mark.parametrize(
    ("code", "way_out"),
    [
        ("const a = 1;", "end it with a"),
        ("const a = 1, b = 2;", "end it with the value itself"),
        ("async function main() { return 1 }", "end it with a call, such as await main()"),
        ("export function main() { return 1 }", "end it with a call, such as await main()"),
        ("for (const x of xs) f(x)", "end it with the value itself"),
    ],
)
def test_the_way_out_returns_what_was_wanted(code: str, way_out: str) -> None:
    found = ending(code)
    assert found is not None and found.way_out == way_out


@pytest.mark.parametrize(
    "code",
    [
        "1",
        "const a = 1; a",
        "const a = 1;\n{ a: a }",
        "const a = 1;\n{ a, b: 2 };",
        "function run() { return 1 }",
        "export async function run() { return 1 }",
        "const a = 1; export default a;",
        "await f()\n// done",
        "",
        "const = ;",
        "/* nothing */",
        "f();" + " " * MAX_CHARACTERS + "const a = 1;",
    ],
)
def test_an_end_that_gives_the_value_or_is_unknown_is_not_named(code: str) -> None:
    assert ending(code) is None
