"""Whole values, kept while the kernel runs: a notebook's file has only the beginning of a large one.

A front end opens a comm with the `id` of a table, and receives all its rows as `sortable.whole` writes them. With the
`path` of a part, it receives that part's `text` as it is to be copied. The comm is closed without an answer if the
value is no longer kept.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any
from uuid import uuid4

from msgspec import Raw

from ... import values
from . import sortable, tree

MOST_BYTES = 64_000_000
"""Bytes of JSON of all kept values; beyond them the oldest are dropped."""

MOST_ROWS = 100_000
"""Rows that a front end receives: a page would need too much memory for more."""

_kept: OrderedDict[str, bytes] = OrderedDict()


def keep(raw: Raw) -> str | None:
    """Keep a value; return its id, or None if it is too large to be kept."""
    written = bytes(raw)
    if len(written) > MOST_BYTES:
        return None
    id = uuid4().hex
    _kept[id] = written
    while sum(map(len, _kept.values())) > MOST_BYTES:
        _kept.popitem(last=False)
    return id


def rows(id: object) -> dict[str, Any] | None:
    """Return a kept table as data with all its rows; None: it is not kept."""
    value = _value(id)
    names = tree.columns(value)
    return None if names is None else sortable.whole(value, names, MOST_ROWS)


def text(id: object, path: object) -> str | None:
    """Return a part of a kept value as it is copied: a text itself, anything else as JSON. None: it is not kept."""
    value = _value(id)
    for part in path if isinstance(path, list) else []:
        is_key = isinstance(value, dict) and isinstance(part, str) and part in value
        is_index = isinstance(value, list) and type(part) is int and 0 <= part < len(value)
        if not is_key and not is_index:
            return None
        value = value[part]
    if value is None:
        return None
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def forget() -> None:
    """Drop all values."""
    _kept.clear()


def on_open(comm: Any, message: dict[str, Any]) -> None:
    """Answer a front end that asks for a value, and close its comm."""
    asked = message["content"]["data"]
    found: dict[str, Any] | None = None
    if "path" not in asked:
        found = rows(asked.get("id"))
    elif (part := text(asked.get("id"), asked["path"])) is not None:
        found = {"text": part}
    if found is not None:
        comm.send(found)
    comm.close()


def _value(id: object) -> Any:
    written = _kept.get(id) if isinstance(id, str) else None
    return None if written is None else values.from_json(Raw(written))
