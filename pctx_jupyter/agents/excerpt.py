"""Large values and long texts, cut so that a model still sees their structure: the head of each part, counts, the rest
by its size. Pure: a value in, a text of at most so many characters out.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, NamedTuple

from msgspec import Raw

from ..rpc import nonfinite

MOST_DECODED = 4 << 20
"""Bytes of JSON decoded to be cut in structure; of more only the beginning is shown. The loop is everyone's."""

ADVICE = "Return less: filter, slice, aggregate or pick fields in the program."


class _Bounds(NamedTuple):
    """What is kept of a value: items of a list, members of an object, characters of a string, levels."""

    items: int
    members: int
    characters: int
    levels: int


_STEPS = [
    *(_Bounds(items, 60, 600, 10) for items in (400, 200, 100, 50)),
    *(_Bounds(items, 40, 240, 8) for items in (50, 25, 12)),
    *(_Bounds(items, 25, 100, 6) for items in (12, 6)),
    _Bounds(4, 15, 60, 4),
    _Bounds(3, 8, 40, 3),
    _Bounds(2, 4, 20, 2),
]
"""Tried in turn until one fits."""


def of_value(payload: Raw, value: Any, most: int) -> str:
    """A value's JSON if it fits, or what of it does.

    Args:
        payload: Its JSON.
        value: The same, decoded; None where the payload has more than `MOST_DECODED` bytes.
        most: Characters.
    """
    size = memoryview(payload).nbytes
    if size <= most:
        return nonfinite.readable(payload).decode()
    note = f"\n… shortened: this is an excerpt of {_size(size)} of JSON. {ADVICE}"
    room = max(most - len(note), 100)
    if size > MOST_DECODED:
        return nonfinite.beginning(payload, room).decode(errors="ignore") + note
    for bounds in _STEPS:
        try:
            text = nonfinite.readable(nonfinite.encode(_Cutter(bounds, room).cut(value, bounds.levels))).decode()
        except _TooMuch:
            continue
        if len(text) <= room:
            return text + note
    return text[:room] + note


def of_text(text: str, most: int) -> str:
    """A text if it fits, or its beginning and its end."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 3
    gone = text[head : len(text) - tail]
    return f"{text[:head]}\n… {len(gone):,} characters, {gone.count(chr(10)):,} lines left out …\n{text[-tail:]}"


class _TooMuch(Exception):
    """What is kept cannot fit, so there is no need to go on."""


class _Cutter:
    """Cuts one value; gives up once there is more of it than fits into so many characters."""

    def __init__(self, bounds: _Bounds, most: int) -> None:
        self._bounds, self._left = bounds, most

    def cut(self, value: Any, levels: int) -> Any:
        """The value, or as much of it as the bounds allow."""
        bounds = self._bounds
        self._left -= 2  # a value and a comma
        if self._left < 0:
            raise _TooMuch
        match value:
            case str() if len(value) > bounds.characters:
                return f"{value[: bounds.characters]}… ({len(value) - bounds.characters:,} more characters)"
            case list() if value and levels == 0:
                return f"[… {len(value):,} items]"
            case dict() if value and levels == 0:
                return f"{{… {len(value):,} members}}"
            case list():
                kept = [self.cut(item, levels - 1) for item in value[: bounds.items]]
                more = len(value) - len(kept)
                return [*kept, f"… {more:,} more of {len(value):,} items"] if more else kept
            case dict():
                names = list(islice(value, bounds.members))
                cut = {self.cut(name, levels): self.cut(value[name], levels - 1) for name in names}
                more = len(value) - len(names)
                return cut | {"…": f"{more:,} more of {len(value):,} members"} if more else cut
        return value


def _size(size: int) -> str:
    return f"{size / (1 << 20):.1f} MB" if size >= 1 << 20 else f"{size / (1 << 10):.0f} kB"
