"""Rows as data, for front ends that draw tables themselves; a table of HTML stands beside it for the others.

    {"columns": ["id", "tags"], "rows": [[1, {"json": "[2]"}], ["9007199254740993", {}]], "total": 2}

A cell is a value without parts, `{"json": …}` for one with parts and for NaN, or `{}` where the row has none. Whole
numbers that a browser could not tell apart are text. A table for a notebook's file is limited: `cut` says that a text
is cut, and `id` is the name under which the kernel keeps the whole table. `note` is a line to be shown below the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from . import tree

MIME = "application/vnd.pctx.table+json"

MOST_JSON = 50_000
"""Bytes of JSON that the table of a notebook's file has; rows beyond are counted."""

MOST_TEXT = 500
"""Characters of one cell in a notebook's file."""

SAFE = 2**53
"""From here on JavaScript's numbers leave out some."""


def data(value: list[dict[str, Any]], columns: list[str], total: int | None = None) -> dict[str, Any]:
    """Write as many rows as a notebook's file has room for; of a cut table a round number of rows.

    Args:
        value: The rows.
        columns: The names of their columns.
        total: The number of rows of the table whose first rows these are; None: these are all.
    """
    cells = _Cells(MOST_TEXT)
    rows: list[list[Any]] = []
    left = MOST_JSON
    for row in value:
        written = cells.row(row, columns)
        # Characters beyond ASCII take more room in a notebook's file.
        left -= 2 * len(msgspec.json.encode(written))
        if left < 0 and rows:
            del rows[_round(len(rows)) :]
            break
        rows.append(written)
    table = {"columns": _names(columns), "rows": rows, "total": len(value) if total is None else total}
    return {**table, "cut": True} if cells.are_cut else table


def whole(value: list[dict[str, Any]], columns: list[str], most: int) -> dict[str, Any]:
    """Write the first `most` rows with their whole texts."""
    cells = _Cells(None)
    return {
        "columns": _names(columns),
        "rows": [cells.row(row, columns) for row in value[:most]],
        "total": len(value),
    }


def is_whole(table: dict[str, Any]) -> bool:
    """Whether nothing of the rows was left out when they became data."""
    return len(table["rows"]) == table["total"] and "cut" not in table


def _names(columns: list[str]) -> list[str]:
    return [encodable(name[: tree.CELL_CHARS]) for name in columns]


def _round(number: int) -> int:
    """Round down to one digit and zeros: 805 to 800."""
    power: int = 10 ** (len(str(number)) - 1)
    return number // power * power


def encodable(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON in UTF-8 cannot have."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@dataclass(slots=True)
class _Cells:
    most: int | None
    are_cut: bool = False

    def row(self, row: dict[str, Any], columns: list[str]) -> list[Any]:
        return [self._cell(row[name]) if name in row else {} for name in columns]

    def _cell(self, value: Any) -> Any:
        match value:
            case bool():
                return value
            case str():
                return self._cut(value)
            case int() if not -SAFE < value < SAFE:
                return tree.scalar(value)
            case float() if value - value != 0.0:  # NaN or infinite
                return {"json": tree.scalar(value)}
            case dict() | list():
                inside = tree.compact(value, self.most or tree.STRING_CHARS)
                if inside is None:
                    self.are_cut = True
                    inside = f"{'[' if isinstance(value, list) else '{'}{len(value)}…"
                return {"json": inside}
        return value

    def _cut(self, text: str) -> str:
        text = encodable(text)
        if self.most is None or len(text) <= self.most:
            return text
        self.are_cut = True
        return f"{text[: self.most]}…"
