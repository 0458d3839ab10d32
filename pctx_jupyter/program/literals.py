"""Integers in a program's text that JavaScript rounds. Most are identifiers, which would then name something else."""

from __future__ import annotations

import re

from .cell import units
from .check import Diagnostic
from .program import parse

MAX_CHARACTERS = 20_000
"""Characters of a program that are read; a longer one takes too much of the loop's time for a warning."""
MOST_SHOWN = 30
"""Characters of an integer that a warning shows."""
ROUNDED = 80008
"""TypeScript's number for the same suggestion."""

_LONG = re.compile(r"(?<![\w$.])(?:[1-9][\d_]{15,}|0[xX][\da-fA-F_]{14,})(?![\w$.])")
"""An integer that may be too large, outside of which no identifier or number goes on."""


def rounded(code: str) -> list[Diagnostic]:
    """Return a warning for each integer of a program that JavaScript rounds, in the order of the text.

    Args:
        code: The program.
    """
    if len(code) > MAX_CHARACTERS or _LONG.search(code) is None:
        return []
    root = parse(code)
    found = []
    for literal in _LONG.finditer(code):
        start = len(code[: literal.start()].encode(errors="surrogatepass"))
        node = root.descendant_for_byte_range(start, start + len(literal[0]))
        if node is None or node.type != "number" or (message := _message(literal[0])) is None:
            continue
        line, column = code.count("\n", 0, literal.start()) + 1, units(code[: literal.start()].rpartition("\n")[2]) + 1
        found.append(Diagnostic(message, ROUNDED, "warning", line, column, line, column + len(literal[0])))
    return found


def _message(written: str) -> str | None:
    """What becomes of an integer, and what to write; None: JavaScript has it, or nobody can take it for what it is."""
    try:
        value = int(written, 0)
        held = int(float(value))
    except (ValueError, OverflowError):
        return None
    if held == value:
        return None
    if len(written) > MOST_SHOWN:
        return "JavaScript rounds this integer; pass a text, or a BigInt: 1n as any"
    return f"JavaScript rounds {written} to {held}; pass a text, or {written}n as any"
