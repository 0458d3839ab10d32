"""Where the shapes of what tools return are kept, for all processes of one user: in a file that only they can read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ..session.observations import KeptShape
from . import store

FILE = "observed.json"
"""The shapes, in the folder for what has to be remembered."""

MOST_TOOLS = 1_000
"""Tools whose shapes are kept; those that were added to last."""
MOST_KEPT_BYTES = 2 << 20
"""Bytes of JSON of all shapes; a usual one has 500."""

_ALL = "tools"


class ShapeFile(store.InStore[dict[str, KeptShape]]):
    """A `KeptShapes` in a file. What cannot be read counts as nothing, and what cannot be written holds until the end.

    Args:
        path: The file; empty: they are kept for as long as this object lives.
    """

    def __init__(self, path: str) -> None:
        kind, what = dict[str, KeptShape], "the list of observed types"
        super().__init__(store.open_store(path, kind, what=what, unread="types are observed again"))

    def get(self, key: str) -> KeptShape | None:
        return self.all().get(key)

    def all(self) -> Mapping[str, KeptShape]:
        return self._store.get(_ALL) or {}

    def add(self, news: Mapping[str, KeptShape]) -> None:
        def change(known: dict[str, KeptShape] | None) -> dict[str, KeptShape]:
            found = dict(known or {})
            found |= {key: new.joined(found.get(key)) for key, new in news.items()}
            return _latest(found)

        self._store.change(_ALL, change)

    def forget(self, keys: Iterable[str]) -> None:
        gone = set(keys)
        self._store.change(_ALL, lambda known: {key: one for key, one in (known or {}).items() if key not in gone})


def _latest(shapes: Mapping[str, KeptShape]) -> dict[str, KeptShape]:
    """As many as may be kept, the latest ones first."""
    found: dict[str, KeptShape] = {}
    left = MOST_KEPT_BYTES
    for key, one in sorted(shapes.items(), key=lambda item: -item[1].at)[:MOST_TOOLS]:
        left -= len(key) + len(msgspec.json.encode(one))
        if left < 0:
            break
        found[key] = one
    return found
