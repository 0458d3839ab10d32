"""A value as data, for front ends that draw trees themselves; a tree of HTML stands beside it for the others.

    {"value": {"id": null, "name": "Ann…"}, "texts": [[["id"], "9007199254740993"]], "cut": [[["name"], 5000]]}

A path is a list of keys and indexes. `texts` has the numbers that JSON or a browser cannot have. `cut` is about arrays,
objects and texts of which only the beginning is in `value`: it has the number of all items or characters. `id` is the
name under which the kernel keeps the whole value.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from . import tree
from .sortable import SAFE, encodable

MIME = "application/vnd.pctx.tree+json"

MOST_JSON = 30_000
"""Bytes of JSON that the value of a notebook's file has."""

MOST_TEXT = 1000
"""Characters of one text in a notebook's file."""

DEEPEST = 50
"""Levels in a notebook's file."""

PartPath = tuple[str | int, ...]
"""Where a part is in a value."""


def data(value: Any) -> dict[str, Any]:
    """Write as much of a value as a notebook's file has room for."""
    pruned = _Pruned()
    found = {"value": pruned.prune(value, ())}
    if pruned.texts:
        found["texts"] = pruned.texts
    if pruned.cut:
        found["cut"] = pruned.cut
    return found


@dataclass(slots=True)
class _Pruned:
    left: int = MOST_JSON
    texts: list[Any] = field(default_factory=list)
    cut: list[Any] = field(default_factory=list)

    def prune(self, value: Any, path: PartPath) -> Any:
        match value:
            case str():
                return self._text(value, path)
            case dict():
                return {encodable(key): part for key, part in self._parts(value, path)}
            case list():
                return [part for _, part in self._parts(value, path)]
            case int() if not -SAFE < value < SAFE:
                return self._written(tree.scalar(value), path)
            case float() if value - value != 0.0:  # NaN or infinite
                return self._written(tree.scalar(value), path)
        self.left -= len(json.dumps(value))
        return value

    def _parts(self, value: dict[str, Any] | list[Any], path: PartPath) -> list[tuple[Any, Any]]:
        shown: list[tuple[Any, Any]] = []
        if len(path) < DEEPEST:
            for key, part in value.items() if isinstance(value, dict) else enumerate(value):
                self.left -= 4 + len(str(key))
                if self.left <= 0:
                    break
                shown.append((key, self.prune(part, (*path, encodable(key) if isinstance(key, str) else key))))
        if len(shown) < len(value):
            self._note(self.cut, path, len(value))
        return shown

    def _text(self, text: str, path: PartPath) -> str:
        text = encodable(text)
        most = max(0, min(MOST_TEXT, self.left))
        if len(text) > most:
            self._note(self.cut, path, len(text))
            text = text[:most]
        self.left -= len(text.encode()) + 2
        return text

    def _written(self, text: str, path: PartPath) -> None:
        self._note(self.texts, path, text)

    def _note(self, notes: list[Any], path: PartPath, note: str | int) -> None:
        written = [list(path), note]
        self.left -= len(json.dumps(written))
        notes.append(written)
