"""Rows as data, for front ends that can sort them; a table of HTML stands beside it for the others.

    {"columns": ["id", "tags"], "rows": [[1, {"json": "[2]"}], ["9007199254740993", {}]], "total": 2}

A cell is a value without parts, `{"json": …}` for one with parts and for NaN, or `{}` where the row has none. Texts are
cut, and whole numbers that a browser could not tell apart are text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from . import tree

MIME = "application/vnd.pctx.table+json"

MOST_JSON = 50_000
"""Bytes of JSON that one table has; rows beyond are counted."""

SAFE = 2**53
"""From here on JavaScript's numbers leave out some."""


def data(value: list[dict[str, Any]], columns: list[str]) -> dict[str, Any]:
    """Write as many rows as there is room for."""
    rows: list[list[Any]] = []
    left = MOST_JSON
    for row in value:
        cells = [_cell(row[name]) if name in row else {} for name in columns]
        # Characters beyond ASCII take more room in a notebook's file.
        left -= 2 * len(msgspec.json.encode(cells))
        if left < 0 and rows:
            break
        rows.append(cells)
    return {"columns": [name[: tree.CELL_CHARS] for name in columns], "rows": rows, "total": len(value)}


def _cell(value: Any) -> Any:
    match value:
        case str():
            return value if len(value) <= tree.CELL_CHARS else f"{value[: tree.CELL_CHARS]}…"
        case bool():
            return value
        case int() if not -SAFE < value < SAFE:
            return tree.scalar(value)
        case float() if value - value != 0.0:  # NaN or infinite
            return {"json": tree.scalar(value)}
        case dict() | list():
            inside = tree.compact(value, tree.CELL_CHARS)
            return {"json": inside if inside is not None else f"{'[' if isinstance(value, list) else '{'}{len(value)}…"}
    return value
