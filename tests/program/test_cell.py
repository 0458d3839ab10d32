"""Cells while they are written: the magic line, the program, and positions in UTF-16 units. Pure."""

from __future__ import annotations

import pytest

from pctx_jupyter.program import cell as cells


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


TEXTS = ["", "a", "é", "\U0001f600", "a\U0001f600b\r\n客\U0001d54f", "\ufeffx", "e\u0301"]


@pytest.mark.parametrize("text", TEXTS)
def test_units_and_index_are_those_of_utf_16(text: str) -> None:
    assert cells.units(text) == utf16(text)
    for at in range(len(text) + 1):
        assert cells.index(text, utf16(text[:at])) == at
    assert cells.index(text, 1000) == len(text)


def test_an_offset_within_a_pair_is_its_character() -> None:
    assert [cells.index("a\U0001f600b", offset) for offset in range(5)] == [0, 1, 1, 2, 3]


@pytest.mark.parametrize(
    ("source", "line", "code"),
    [
        ("", None, ""),
        ("1 + 1", None, "1 + 1"),
        ("%%pctx", "", ""),
        ("%%pctx\n1", "", "1"),
        ("%%pctx\r\n1\r\n2", "\r", "1\r\n2"),
        ("\n \n%%pctx -o x\n1", " -o x", "1"),
        ("%%pctxx\n1", None, "%%pctxx\n1"),
        ("1\n%%pctx\n2", None, "1\n%%pctx\n2"),
        ("%%pctx -o '\U0001f600'\n\U0001f600", " -o '\U0001f600'", "\U0001f600"),
    ],
)
def test_a_cell_is_taken_apart(source: str, line: str | None, code: str) -> None:
    cell = cells.read(source)
    assert (cell.line, cell.code) == (line, code)
    assert cell.code_at == utf16(source.removesuffix(code)) if code else cell.code_at in (0, utf16(source))
    if line is not None:
        assert source[cells.index(source, cell.line_at) :].startswith(line)


@pytest.mark.parametrize(
    ("line", "inputs", "tools", "is_checked"),
    [
        ("", [], None, True),
        ("-i a,b -i b --input=客", ["a", "b", "客"], None, True),
        ("-i", [], None, True),
        ("-i a;b,3,c-d,e", ["e"], None, True),
        ("--tools Sales.*,x --no-check", [], ["Sales.*", "x"], False),
        ("--tools -q", [], ["-q"], True),
        ("--no-check=1 -o 'open", [], None, False),
    ],
)
def test_options_are_read_as_far_as_they_are_there(
    line: str, inputs: list[str], tools: list[str] | None, is_checked: bool
) -> None:
    cell = cells.read(f"%%pctx {line}\n1")
    assert (cell.inputs, cell.tools, cell.is_checked) == (inputs, tools, is_checked)


@pytest.mark.parametrize(
    ("before", "start", "texts"),
    [
        ("%%pctx", 6, []),
        ("%%pc", 4, []),
        ("%%pctx --t", 7, ["--timeout", "--tools"]),
        ("%%pctx\t--no", 7, ["--no-check", "--no-timeline"]),
        ("%%pctx -i ", 10, ["orders", "客"]),
        ("%%pctx -i orders,客", 17, ["客"]),
        ("%%pctx --input=o", 15, ["orders"]),
        ("%%pctx --tools Sa", 15, ["Sales.*", "Sales.load"]),
        ("%%pctx --timeout 3", 17, []),
        ("%%pctx -q --q", 10, ["--quiet"]),
        ("%%pctx -o \U0001f600 --q", 13, ["--quiet"]),
    ],
)
def test_the_magic_line_is_completed(before: str, start: int, texts: list[str]) -> None:
    for rest in ("", " --no-check", "\n1"):
        cell = cells.read(before + rest)
        if cell.line is None:  # no magic line yet
            continue
        at = utf16(before)
        assert cell.is_in_line(at)
        found = cells.complete(cell, at, ["orders", "客"], ["Sales.load"])
        assert (found[0], [text for text, _ in found[1]]) == (start, texts)


def test_the_line_ends_where_the_program_begins() -> None:
    cell = cells.read("%%pctx -q\n1")
    assert [cell.is_in_line(offset) for offset in (0, 9, 10, 11)] == [True, True, False, False]
    assert not cells.read("1").is_in_line(0)
    assert not cells.read("%%pctx\n").is_in_line(7)
    assert cells.read("%%pctx").is_in_line(6)


def test_options_are_explained_where_they_are() -> None:
    cell = cells.read("\n%%pctx --timeout=3 -q x\n1")
    found = cells.explain(cell, 12)
    assert found is not None and found[:2] == (8, 17) and found[2].usage == "-t, --timeout S"
    assert cells.explain(cell, 23) is None
    line = "é " * 300_000  # to count what is before each word takes an hour
    assert cells.explain(cells.read(f"%%pctx {line}"), len(line)) is None
