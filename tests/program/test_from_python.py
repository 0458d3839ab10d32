"""What is said of Python that is written where TypeScript should be. Nothing is fake."""

from __future__ import annotations

import pytest

from pctx_jupyter.program.check import Diagnostic
from pctx_jupyter.program.from_python import hint_for_syntax
from pctx_jupyter.program.hints import about_python


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("for i in range(3):", "for (const x of xs) { … }"),
        ("while True:  # for ever", "while (…) { … }"),
        ("elif (a):", "if (…) { … } else { … }"),
        ("    async def f(x: int) -> int:", "function name(x: number) { … }"),
        ("class A(B):", "class Name { … }"),
        ("except ValueError as error:", "try { … } catch (error) { … } finally { … }"),
        ("with open('x') as f:", "try { … } finally { … }"),
        ("raise ValueError('x')", "throw new Error(…)"),
        ("assert a == b", "if (!(…)) throw new Error(…)"),
        ("del prices['x']", "delete object.key"),
        ("sorted(xs, key=lambda x: x.n)", "(x) => …"),
        ("x = [i * 2 for i in range(3)]", "xs.map((x) => …)"),
        ("x if x is not None else 2", "x !== null"),
        ("x is None", "x === null"),
        ("'a' not in x", "!xs.includes(x)"),
        ("if (not x) { f() }", "!x"),
        ("1 if a else 2", "condition ? x : y"),
        ("a and b", "x && y"),
        ("a or b", "x || y"),
        ("""f'{x} and "y"'""", "`text ${x}`"),
        ('"""Say what it does.', "`text`"),
        ("# a comment", "// for a comment"),
    ],
)
def test_a_line_of_python_is_said_in_typescript(line: str, instead: str) -> None:
    hint = hint_for_syntax(line)
    assert hint is not None and hint.startswith(f"That is Python; in TypeScript it is {instead}")


@pytest.mark.parametrize("line", ["import pandas as pd", "from math import sqrt, pi", "import os, sys"])
def test_an_import_of_python_is_none_that_a_program_could_do(line: str) -> None:
    assert "it can only call its tools" in str(hint_for_syntax(line))


@pytest.mark.parametrize(
    "line",
    [
        "const x = ;",
        "for (const x of xs {",
        "for (const key in prices {",
        "const f = () => { for (const key in prices { } };",
        "if (a { b() } else c(",
        "await Mail.send({ text: 'this and that, if not or else' }",
        "const x = 5 // this and that",
        "class A { #secret = ; }",
        "import { a } from 'b",
        "case 'x': y(",
        "const o = { if: 1, not: 2 ",
    ],
)
def test_what_is_wrong_in_typescript_is_not_taken_for_python(line: str) -> None:
    assert hint_for_syntax(line) is None


@pytest.mark.parametrize("line", ["for " + "in :x " * 200_000, "'\\" * 200_000, "[for " + "in [for " * 200_000])
def test_a_line_of_any_length_is_done_with_at_once(line: str) -> None:
    assert hint_for_syntax(line) is None  # to search it would take hours


def test_the_first_error_of_a_line_says_it_and_types_say_nothing_of_it() -> None:
    code = "const n: number = 'a and b'\nfor i in xs:\n"
    found = [
        Diagnostic("Type 'string' is not assignable to type 'number'.", 2322, "error", 1, 7, 1, 8),
        Diagnostic("'(' expected.", 1005, "error", 2, 5, 2, 6),
        Diagnostic("')' expected.", 1005, "error", 2, 12, 2, 13),
        Diagnostic("'}' expected.", 1005, "error", 3, 1, 3, 1),
        Diagnostic("'}' expected.", 1005, "error", 9, 1, 9, 1),  # beyond what was written
    ]
    first, second, *others = about_python(found, code)
    assert second.message == "'(' expected. That is Python; in TypeScript it is for (const x of xs) { … }."
    assert [first, *others] == [found[0], *found[2:]]


def test_fences_of_markdown_are_said_to_be_that() -> None:
    [last] = about_python([Diagnostic("Unterminated template literal.", 1160, "error", 2, 4, 2, 4)], "1 + 1\n```")
    assert last.message == "Unterminated template literal. Leave out the lines with ```: they are Markdown."
