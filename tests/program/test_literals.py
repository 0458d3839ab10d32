"""Integers that JavaScript rounds: programs in, warnings out."""

from __future__ import annotations

import pytest

from pctx_jupyter.program.literals import MAX_CHARACTERS, rounded

ID, HELD = "9007199254740993", "9007199254740992"


@pytest.mark.parametrize(
    ("code", "line", "column", "written", "held"),
    [
        (ID, 1, 1, ID, HELD),
        (f"await Orders.get({{ id: {ID} }})", 1, 24, ID, HELD),
        (f"const a = '😀';\n'é😀'; f([1, -{ID}])", 2, 15, ID, HELD),
        ("9_007_199_254_740_993", 1, 1, "9_007_199_254_740_993", HELD),
        ("x = 0x20000000000001", 1, 5, "0x20000000000001", HELD),
        ("123456789012345678901", 1, 1, "123456789012345678901", "123456789012345683968"),
    ],
)
def test_an_integer_that_is_rounded_is_warned_of_at_its_place(
    code: str, line: int, column: int, written: str, held: str
) -> None:
    [found] = rounded(code)
    assert (found.severity, found.line, found.column) == ("warning", line, column)
    assert found.end_column == column + len(written)
    assert found.message == f"JavaScript rounds {written} to {held}; pass a text, or {written}n as any"


def test_a_long_integer_is_not_repeated() -> None:
    [found] = rounded("9" * 200)
    assert found.message == "JavaScript rounds this integer; pass a text, or a BigInt: 1n as any"


@pytest.mark.parametrize(
    "code",
    [
        HELD,
        "1e300",
        f"{ID}n",
        f"'{ID}'",
        f"`{ID}`",
        f"// {ID}",
        f"0.{ID}",
        f"{ID}.5",
        f"{ID}e3",
        f"const x{ID} = 1",
        "18446744073709551616",
        "9" * 400,
        "9" * 5_000,
        f"9{'_' * 20}9",
        f"{ID}" + " " * MAX_CHARACTERS,
    ],
)
def test_what_is_exact_or_no_number_is_not_warned_of(code: str) -> None:
    assert rounded(code) == []
