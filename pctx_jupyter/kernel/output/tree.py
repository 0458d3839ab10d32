"""JSON for people: indented text, a tree to open and close, a table of rows; each says what it leaves out.

Takes decoded values, of any size and depth, and looks at no more of them than it shows (but for the columns of a
table). Knows no MIME types.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from .markup import Markup, escape, join, tag, visible

DEEPEST = 12
"""Levels that are shown."""

MOST_ITEMS = 100
"""Items of one array or object that are shown."""

MOST_ROWS = 20
"""Rows of a table that are shown."""

MOST_COLUMNS = 200
"""Columns that a table may have; wider rows become a tree."""

TEXT_LINES = 60
"""Lines of text that are shown."""

TEXT_WIDTH = 100
"""Columns that a value may fill before it is spread over lines."""

STRING_CHARS = 1000
"""Characters of one string that are shown."""

CELL_CHARS = 200
"""Characters of one cell of a table that are shown."""

SAFE_FLOAT = 1e15
"""From here on a number is written with an exponent."""

HTML_CHARS = 30_000
"""Characters of markup after which no more items are shown."""


def scalar(value: Any, longest: int = STRING_CHARS) -> str:
    """Write one value that has no parts as JSON, cut if long, with nothing hidden in it."""
    if isinstance(value, str):
        cut = value[:longest]
        more = f"… ({len(value):,} characters)" if len(value) > longest else ""
        return visible(json.dumps(cut, ensure_ascii=False)) + more
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 3000:
        return f"… (an integer of {value.bit_length():,} bits)"
    return json.dumps(value)


def compact(value: Any, room: int, depth: int = 0) -> str | None:
    """Write a value on one line, or return None if it does not fit into so many characters."""
    if not isinstance(value, (dict, list)):
        text = scalar(value, room + 1)
        return text if len(text) <= room else None
    if depth > DEEPEST or 2 * len(value) > room:
        return None
    room -= 2
    parts = []
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        head = f"{scalar(key, room + 1)}: " if isinstance(value, dict) else ""
        body = compact(part, room - len(head), depth + 1)
        if body is None:
            return None
        parts.append(head + body)
        room -= len(parts[-1]) + 2
        if room < -2:
            return None
    inside = ", ".join(parts)
    return f"{{{inside}}}" if isinstance(value, dict) else f"[{inside}]"


def text(value: Any) -> tuple[str, bool]:
    """Write a value as indented JSON; returns with it whether all of it is there."""
    writer = _Text()
    writer.write(value, "", "", 0)
    return "\n".join(writer.lines), writer.is_whole


class _Text:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.is_whole = True

    def write(self, value: Any, head: str, tail: str, depth: int) -> None:
        indent = "  " * depth
        line = compact(value, TEXT_WIDTH - len(indent) - len(head) - len(tail))
        if line is None and not isinstance(value, (dict, list)):
            line = scalar(value)
            self.is_whole = self.is_whole and not (isinstance(value, str) and len(value) > STRING_CHARS)
        if line is None and depth >= DEEPEST:
            line, self.is_whole = "{…}" if isinstance(value, dict) else "[…]", False
        if line is not None:
            self.lines.append(indent + head + line + tail)
            return
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        self.lines.append(f"{indent}{head}{opening}")
        shown = 0
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            if shown >= MOST_ITEMS or len(self.lines) + depth >= TEXT_LINES:
                break
            shown += 1
            name = f"{scalar(key)}: " if isinstance(value, dict) else ""
            self.write(part, name, "," if shown < len(value) else "", depth + 1)
        if shown < len(value):
            self.is_whole = False
            self.lines.append(f"{indent}  … {_more(len(value) - shown)}")
        self.lines.append(indent + closing + tail)


def tree(value: Any) -> Markup:
    """Make a tree whose branches open and close; those near the root are open."""
    return tag("div", _Tree().node(value, None, 0), kind="tree")


class _Tree:
    def __init__(self) -> None:
        self.left = HTML_CHARS

    def node(self, value: Any, key: str | int | None, depth: int) -> Markup:
        name = Markup("") if key is None else join((tag("span", _label(key), kind="key"), Markup(": ")))
        if not isinstance(value, (dict, list)) or not value:
            return self._spend(tag("div", name, leaf(value), kind="leaf"))
        count = tag("span", escape(_size(value)), kind="dim")
        if depth >= DEEPEST:
            return self._spend(tag("div", name, count, Markup(" …"), kind="leaf"))
        inside = compact(value, 60)
        preview = Markup("") if inside is None else tag("span", escape(" " + inside), kind="dim")
        head = self._spend(tag("summary", name, count, preview))
        body = join(self._parts(value, depth))
        is_open = depth == 0 or (depth == 1 and inside is None and len(value) <= 10)
        return tag("details", head, tag("div", body), attributes="open" if is_open else "")

    def _parts(self, value: dict[str, Any] | list[Any], depth: int) -> Iterator[Markup]:
        shown = 0
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            if shown >= MOST_ITEMS or self.left <= 0:
                break
            shown += 1
            yield self.node(part, key, depth + 1)
        if shown < len(value):
            yield tag("div", escape(f"… {_more(len(value) - shown)}"), kind="leaf pctx-dim")

    def _spend(self, made: Markup) -> Markup:
        self.left -= len(made)
        return made


def leaf(value: Any, longest: int = STRING_CHARS) -> Markup:
    """Make markup of one value that has no parts, or of an empty array or object."""
    match value:
        case str():
            kind = "string"
        case None | bool():
            kind = "word"
        case int() | float():
            kind = "number"
        case _:
            return tag("span", escape("{}" if isinstance(value, dict) else "[]"), kind="dim")
    if isinstance(value, str):
        more = f"… ({len(value):,} characters)" if len(value) > longest else ""
        quoted = escape(json.dumps(value[:longest], ensure_ascii=False))
        return join((tag("span", quoted, kind=kind), tag("span", escape(more), kind="dim") if more else Markup("")))
    return tag("span", escape(scalar(value)), kind=kind)


def columns(value: Any) -> list[str] | None:
    """Return the columns of what reads best as a table: an array of objects with few keys and mostly bare values."""
    if not isinstance(value, list) or not value or not all(isinstance(row, dict) for row in value):
        return None
    found: dict[str, None] = {}
    for row in value:
        if not row.keys() <= found.keys():
            found |= dict.fromkeys(row)
            if len(found) > MOST_COLUMNS:
                return None
    cells = [cell for row in value[:MOST_ROWS] for cell in row.values()]
    nested = sum(isinstance(cell, (dict, list)) for cell in cells)
    return list(found) if cells and nested * 3 <= len(cells) else None


def shape(rows: int, columns: int) -> str:
    """Write the size of a table, as ``105 rows × 6 columns``."""
    return f"{rows:,} row{'s' if rows != 1 else ''} × {columns:,} column{'s' if columns != 1 else ''}"


def number(value: float) -> str:
    """Write a number for people: six significant digits, and all digits of its whole part."""
    if isinstance(value, int) or value - value != 0.0:
        return scalar(value)
    if value.is_integer() and abs(value) < SAFE_FLOAT:
        return str(int(value))
    if abs(value) >= SAFE_FLOAT or abs(value) < 1e-5:
        return f"{value:.6g}"
    decimals = max(0, 5 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def table(value: list[dict[str, Any]], names: list[str], total: int | None = None) -> Markup:
    """Make a table of rows, with the row's number first, and a line below that says how large it is.

    Args:
        value: The rows, of which the first ones are shown.
        names: The names of the columns.
        total: The number of rows of the whole table; None: these are all.
    """
    total = len(value) if total is None else total
    right = {name: _is_numeric(value, name) for name in names}
    head = join(tag("th", escape(_cut(name), is_name=True), kind="right" if right[name] else "") for name in names)
    rows, left = [], HTML_CHARS
    for index, row in enumerate(value[:MOST_ROWS]):
        cells = join(_cell(row, name, right[name]) for name in names)
        rows.append(tag("tr", tag("th", escape(str(index)), kind="right pctx-dim"), cells))
        left -= len(rows[-1])
        if left <= 0:
            break
    shown = tag("table", tag("thead", tag("tr", tag("th"), head)), tag("tbody", *rows), kind="table")
    part = f"first {len(rows):,} of " if len(rows) < total else ""
    return join((shown, tag("div", escape(part + shape(total, len(names))), kind="note")))


def _cell(row: dict[str, Any], name: str, is_right: bool) -> Markup:
    if name not in row:
        return tag("td")
    value = row[name]
    if isinstance(value, str):
        shown = escape(_cut(value))
    elif isinstance(value, (dict, list)):
        inside = compact(value, CELL_CHARS)
        shown = tag("span", escape(_size(value) if inside is None else inside), kind="dim")
    elif value is None:
        shown = tag("span", escape("null"), kind="dim")
    elif isinstance(value, float):
        shown = escape(number(value))
        if shown != scalar(value).removesuffix(".0"):
            return tag("td", shown, kind="right" if is_right else "", attributes=f'title="{scalar(value)}"')
    else:
        shown = escape(scalar(value))
    return tag("td", shown, kind="right" if is_right else "")


def _is_numeric(rows: list[dict[str, Any]], name: str) -> bool:
    found = [row.get(name) for row in rows[:MOST_ROWS]]
    known = [value for value in found if value is not None]
    return bool(known) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known)


def _label(key: str | int) -> Markup:
    if isinstance(key, str) and not key.isidentifier():
        return escape(json.dumps(_cut(key), ensure_ascii=False), is_name=True)
    return escape(_cut(str(key)), is_name=True)


def _cut(text: str) -> str:
    return text if len(text) <= CELL_CHARS else text[: CELL_CHARS - 1] + "…"


def _size(value: dict[str, Any] | list[Any]) -> str:
    return f"{{{len(value):,}}}" if isinstance(value, dict) else f"[{len(value):,}]"


def _more(count: int) -> str:
    return f"{count:,} more"
