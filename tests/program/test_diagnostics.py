"""Failures in the user's lines: pure. The messages are those of Deno 2.9; that they are is shown in tests/sandbox."""

import pytest

from pctx_jupyter.program.diagnostics import FRAME_WIDTH, code_frame, failure
from pctx_jupyter.program.program import Program, prepare
from pctx_jupyter.rpc.sandbox_wire import Thrown


def test_place_comes_from_the_first_frame_of_the_program() -> None:
    thrown = Thrown(
        name="TypeError",
        message="x is not a function",
        stack="TypeError: x is not a function\n    at Array.map (<anonymous>)\n    at f (program.ts:1:37)\n"
        "    at file:///opt/runner.js:1:1\n    at program.ts:9:9",
        token="e3",
    )
    found = failure(thrown, prepare("x()"))
    assert (found.name, found.message, found.line, found.column) == ("TypeError", "x is not a function", 1, 2)
    assert found.stack == "    at f (program.ts:1:2)\n    at program.ts:1:4"
    assert found.frame == "> 1 | x()\n    |  ^"
    assert found.token == "e3"


def test_syntax_error_loses_denos_picture_and_counts_as_the_editor_does() -> None:
    code = "\t'😀'; let c = ;"
    thrown = Thrown(
        name="TypeError",
        message="SyntaxError: Expression expected\n  |\n1 | \t'😀'; let c = ;\n  |         ~\n    at program.ts:1:16",
        phase="import",
    )
    found = failure(thrown, prepare(code))
    assert (found.name, found.message, found.line, found.column) == ("SyntaxError", "Expression expected", 1, 16)
    assert found.frame == "> 1 |     '😀'; let c = ;\n    |                   ^"


def test_error_of_v8_names_its_place_at_the_end() -> None:
    thrown = Thrown(name="SyntaxError", message="Identifier 'a' has already been declared at program.ts:1:14")
    found = failure(thrown, prepare("/* 😀 */ let a"))
    assert (found.message, found.line, found.column) == ("Identifier 'a' has already been declared", 1, 14)


@pytest.mark.parametrize(
    "thrown", [Thrown(name="Thrown", message="5"), Thrown(message="at program.ts:1:1 of the story")]
)
def test_what_has_no_place_gets_none(thrown: Thrown) -> None:
    found = failure(thrown, prepare("throw 5"))
    assert (found.line, found.column, found.frame) == (None, None, None)
    assert found.message.startswith(thrown.message)


@pytest.mark.parametrize("place", ["0:0", "999999999:1", "1:999999999", "99999999999999:1"])
def test_forged_places_stay_inside_the_code(place: str) -> None:
    found = failure(Thrown(message="m", stack=f"Error: m\n    at program.ts:{place}"), prepare("ab"))
    assert found.line in (1, None) and (found.column is None or 1 <= found.column <= 3)


@pytest.mark.parametrize("name", ["Bun", "fetch", "process", "require"])
def test_absent_global_is_explained(name: str) -> None:
    thrown = Thrown(name="ReferenceError", message=f"{name} is not defined")
    assert failure(thrown, prepare("")).message == f"{name} is not defined: a program can only call its tools"
    assert failure(Thrown(name="ReferenceError", message="a is not defined"), prepare("")).message == "a is not defined"


@pytest.mark.parametrize("tab", [1, 2])
@pytest.mark.parametrize("line", ["", "abc", "\t\ta\t", "\t😀\tb\t\t😀😀c"])
def test_a_column_in_characters_becomes_one_in_units_with_a_tab_as_wide_as_deno_counts_it(line: str, tab: int) -> None:
    name, text = ("SyntaxError", "SyntaxError: x") if tab == 2 else ("TypeError", "x")
    for column in range(1, 20):
        seen = expected = 1
        for char in line if column > 1 else "":
            seen, expected = seen + (tab if char == "\t" else 1), expected + (2 if char == "😀" else 1)
            if seen >= column:
                break
        found = failure(Thrown(name=name, message=f"{text} at program.ts:1:{column}"), Program(line, line))
        assert (found.line, found.column) == (1, expected)


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ('A remote specifier was requested: "https://x.y/z.ts", but --no-remote is specified.', '"https://x.y/z.ts"'),
        ("npm specifiers were requested; but --no-npm is specified", "npm packages"),
        ('Import "lodash" not a dependency and not in import map from "program.ts"', '"lodash"'),
        ('Requires read access to "/etc/passwd", run again with the --allow-read flag', '"/etc/passwd"'),
        ("node:fs is not available: a program can only call its tools", '"node:fs"'),
    ],
)
def test_import_is_explained(message: str, what: str) -> None:
    found = failure(Thrown(name="TypeError", message=f"{message}\n    at program.ts:1:8"), prepare("import 'x'"))
    assert found.message == f"Cannot import {what}: a program can only call its tools"
    assert (found.line, found.column) == (1, 8)


def test_refused_node_module_is_found_by_its_name() -> None:
    thrown = Thrown(name="TypeError", message="node:fs is not available: a program can only call its tools")
    found = failure(thrown, prepare("1;\n'😀'; import fs from 'node:fs'"))
    assert (found.line, found.column) == (2, 22)


def test_top_level_return_is_explained() -> None:
    thrown = Thrown(name="SyntaxError", message="Illegal return statement at program.ts:1:1", phase="import")
    assert "end the program with the value itself" in failure(thrown, prepare("return 1")).message


def test_frame_shows_two_lines_around_and_marks_the_place() -> None:
    code = "\n".join(f"line {number}" for number in range(1, 13))
    assert code_frame(code, 10, 6, 2) == (
        "   8 | line 8\n   9 | line 9\n> 10 | line 10\n     |      ^^\n  11 | line 11\n  12 | line 12"
    )
    assert code_frame("a\r\nb\r\n", 2, 1) == "  1 | a\n> 2 | b\n    | ^"


@pytest.mark.parametrize(
    ("line", "column", "length", "shown", "mark"),
    [
        ("\tab", 2, 1, "    ab", "    ^"),
        ("a\tb", 2, 1, "a    b", " ^^^^"),
        ("'日本' x", 6, 1, "'日本' x", "       ^"),
        ("'日本'", 2, 2, "'日本'", " ^^^^"),
        ("'😀' x", 6, 1, "'😀' x", "     ^"),
        ("'😀'", 3, 1, "'😀'", " ^^"),
        ("e\u0301x", 3, 1, "e\u0301x", " ^"),
        ("a\x1b[2Jb", 6, 1, "a\ufffd[2Jb", "     ^"),
        ("a\u202eb\u2028", 3, 1, "a\ufffdb\ufffd", "  ^"),
        ("ab", 3, 1, "ab", "  ^"),
        ("ab", 99, 99, "ab", "  ^"),
        ("ab", 1, 99, "ab", "^^"),
    ],
)
def test_frame_counts_columns_as_a_terminal_does(line: str, column: int, length: int, shown: str, mark: str) -> None:
    assert code_frame(line, 1, column, length) == f"> 1 | {shown}\n    | {mark}"


def test_long_line_is_cut_around_its_place() -> None:
    frame = code_frame("start\n" + "a" * 5000 + "X" + "b" * 5000, 2, 5001, 9000)
    start, shown, mark = frame.split("\n")
    assert len(shown) == len("> 2 | ") + FRAME_WIDTH
    assert shown[6] == shown[-1] == "…"
    assert shown[mark.index("^")] == "X" and len(mark) == len(shown)
    assert start == "  1 |"


def test_a_frame_of_a_line_of_any_length_is_drawn_at_once() -> None:
    line = f"'{chr(0x301) * 1_000_000}'; x"
    assert code_frame(line, 1, len(line)).endswith("'; x\n    |    ^")
    code = "Deno." * 200_000 + "x.f()"
    thrown = Thrown(name="TypeError", message="x", stack=f"    at program.ts:1:{len(code) - 2}")
    assert failure(thrown, prepare(code)).column == len(code) - 2


def test_a_frame_does_not_show_the_nothing_after_the_last_line_feed() -> None:
    assert code_frame("a\nb\n", 2, 1) == "  1 | a\n> 2 | b\n    | ^"
    assert code_frame("a\n", 2, 1).splitlines()[-2:] == ["> 2 |", "    | ^"]


@pytest.mark.parametrize(
    ("code", "thrown", "message"),
    [
        ("x = 5", ("ReferenceError", "x is not defined"), "x is not defined. Declare it: const x = …"),
        ("if (x == 5) 1", ("ReferenceError", "x is not defined"), "x is not defined"),
        (
            "len(a)",
            ("ReferenceError", "len is not defined"),
            "len is not defined. That is Python; in TypeScript it is x.length",
        ),
        (
            "for i in xs:",
            ("SyntaxError", "Expected '(', got 'i'"),
            "Expected '(', got 'i'. That is Python; in TypeScript it is for (const x of xs) { … }.",
        ),
        ("throw 5", ("Thrown", "5"), "5 (not an Error, so its line is unknown: throw new Error(…))"),
    ],
)
def test_habits_of_other_languages_get_a_hint(code: str, thrown: tuple[str, str], message: str) -> None:
    name, said = thrown
    at = Thrown(name, said, f"{name}: {said}\n    at program.ts:1:1" if name != "Thrown" else "")
    found = failure(at, prepare(code))
    assert found.message.startswith(message)
    assert found.missing == (said.split(" ")[0] if name == "ReferenceError" else None)
