"""Large values and long texts, cut so that a model still sees their structure. Pure: a value in, a short text out.

A value that does not fit becomes a description of its shape: how many rows, and the types and ranges of their fields.
JSON of its parts follows: head and tail of each list, head and tail of each text. Small parts stay whole, and what is
left of the room is divided evenly among the large ones.
"""

from __future__ import annotations

import re
from itertools import islice, repeat
from typing import Any

import msgspec
from msgspec import Raw

from .. import visible
from ..rpc import nonfinite
from . import headings, shape
from .headings import QUOTE, Heading, quoted

MOST_DECODED = 4 << 20
"""Bytes of JSON decoded to be cut in structure. The loop is everyone's."""
MOST_COMMAS = 50_000
"""Commas of longer JSON that is decoded all the same: it has few values, such as images. Decoding 16 MiB of those takes
20 ms. Of any other, only the beginning is shown."""

ADVICE = "Return less: filter, slice, aggregate or pick fields in the program."
REST = " Nothing is kept: to see more, run it again and return another part, such as rows.slice(20, 60)."
ROOM_FOR_REST = 600
"""Characters of an answer from which it says how to get the rest."""

ENDS = 20
"""Records that are shown of each end of a list: after those, a summary says more than further ones."""
ITEMS = 60
"""Numbers, booleans and nulls that are shown of each end of a list."""
SHAPE_SHARE = 3
"""The shape may take this part of the room (a third)."""
NARROWEST = 16
"""Characters that a part gets at the least; where not all parts of a value would get them, some are left out."""
WORTH_READING = 60
"""Characters that a record or a list within a list should get: rather fewer of them than less of each."""
LONG_TEXT = 1_000
"""Characters from which a text of several lines that a record has is shown apart, as it is."""
MAX_LONG_TEXTS = 8
"""Texts of one record that are shown apart."""
MAX_LEVELS = 40
"""Levels of a value that are shown; JSON deeper than that says nothing to a reader."""
BASE64 = 200
"""Characters at the beginning of a text by which Base64 is recognised."""
ENCODED_ROOM = 80
"""Characters that cut Base64 gets."""

_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/_=\r\n-]")
_KINDS = ("[A-Z]", "[a-z]", "[0-9]")


def decoded(payload: Raw) -> Any:
    """Decode the JSON of a value that is to be shown; None: it is too large in too many values, or cannot be read."""
    if memoryview(payload).nbytes > MOST_DECODED and bytes(payload).count(b",") > MOST_COMMAS:
        return None
    try:
        return nonfinite.decode(payload)
    except msgspec.DecodeError:  # a number that Python does not read: the text is all there is
        return None


def of_value(payload: Raw, value: Any, most: int) -> str:
    """A value as a model reads it: its JSON if it fits, or what of it does; a text of several lines is raw.

    Args:
        payload: Its JSON.
        value: The same, as `decoded` returns it.
        most: Characters.
    """
    size = memoryview(payload).nbytes
    if isinstance(value, str) and ("\n" in value or size > most) and not (size > most and _is_encoded(value)):
        return of_text(value, most)
    if size <= most:
        return headings.in_one_line(nonfinite.readable(payload).decode())
    rest = REST if most >= ROOM_FOR_REST else ""
    note = f"\n{Heading.SHORTENED}this is an excerpt of {_size(size)} of JSON. {ADVICE}{rest}"
    room = max(most - len(note), 100)
    if value is None:
        return headings.in_one_line(nonfinite.beginning(payload, room).decode(errors="ignore")) + note
    if isinstance(value, dict) and (long := _long_texts(value)):
        return _with_texts_apart(value, long, room) + note
    return _excerpt(value, room) + note


def _excerpt(value: Any, room: int) -> str:
    described = shape.of(value, room // SHAPE_SHARE)
    head = f"{described}\n" if described else ""
    room -= len(head)
    left = room
    for _ in range(4):  # the sizes of parts are estimates
        text = _written(_cut(value, left, MAX_LEVELS))
        if len(text) <= room:
            return head + text
        left = int(left * room / len(text) * 0.95)
    return head + text[:room]


def _written(value: Any) -> str:
    return headings.in_one_line(nonfinite.readable(nonfinite.encode(value)).decode())


def _long_texts(record: dict[str, Any]) -> list[str]:
    """The names of a record's long texts of several lines."""
    found = [name for name, text in record.items() if isinstance(text, str) and _is_long(text)]
    return found[:MAX_LONG_TEXTS] if len(record) <= 10 * MAX_LONG_TEXTS else []


def _is_long(text: str) -> bool:
    return len(text) >= LONG_TEXT and "\n" in text and not _is_encoded(text)


def _with_texts_apart(record: dict[str, Any], names: list[str], room: int) -> str:
    """The record with its long texts after it, as they are: each text in its share of the room."""
    apart = {name: f"[text {number} below]" for number, name in enumerate(names, 1)}
    rest = record | apart
    texts = [record[name] for name in names]
    heads = [
        f"\n{Heading.LONG_TEXT.of(number)}{visible.line(name, 60)}, {len(text):,} characters:\n"
        for number, (name, text) in enumerate(zip(names, texts, strict=True), 1)
    ]
    room -= sum(map(len, heads))
    length = _length(rest, room + 1)
    *shares, own = _shares([*map(len, texts), length], room)
    shown = _written(rest) if length <= own // 2 else ""
    if not shown or len(shown) > own:
        shown = _excerpt(rest, own)
    room_left = room - len(shown)
    shares = _shares([len(text) for text in texts], room_left)
    return shown + "".join(head + of_text(text, share) for head, text, share in zip(heads, texts, shares, strict=True))


def of_text(text: str, most: int) -> str:
    """A text if it fits, or its beginning and its end, as they are; but no line of it can pass for one of ours."""
    # What is left out need not be looked at.
    parts = [text[:most], text[most:-most], text[-most:]] if len(text) > 3 * most else ["", "", text]
    text = quoted(parts[0]) + parts[1] + quoted(parts[2])
    if len(text) <= most:
        return text
    room = max(most - len(_gap(text)) - len(QUOTE), 0)
    tail = room // 3
    head = room - tail
    end = len(text) - tail
    gap = _gap(text[head:end])
    return f"{text[:head]}{gap}{quoted(text[end:])}"


def _gap(gone: str) -> str:
    return f"\n{Heading.LEFT_OUT.of(len(gone), gone.count(chr(10)))} …\n"


def _cut(value: Any, room: int, levels: int) -> Any:
    """The value, or as much of it as about so many characters of JSON hold."""
    match value:
        case str():
            return _cut_text(value, room)
        case list() | dict() if levels > 0 and _length(value, room + 1) <= room:
            return value  # a mark in the place of a small one would be longer
        case list() if value:
            return f"[… {len(value):,} items]" if levels <= 0 or room < NARROWEST else _cut_list(value, room, levels)
        case dict() if value:
            return (
                f"{{… {len(value):,} members}}" if levels <= 0 or room < NARROWEST else _cut_dict(value, room, levels)
            )
    return value


def _is_encoded(text: str) -> bool:
    """Whether a text seems to be Base64: bytes, of which no part says anything to a reader."""
    part = text[:BASE64]
    return len(part) == BASE64 and not _NOT_BASE64.search(part) and all(map(re.search, _KINDS, repeat(part)))


def _cut_text(text: str, room: int) -> str:
    if _length(text, room + 1) <= room:
        return text
    room = min(room, ENCODED_ROOM) if _is_encoded(text) else room
    room = max(room - 30, 8)
    escaped = _length(text[:room], 12 * room)
    kept = max(room * room // max(escaped, 1), 4)  # fewer where each takes more
    tail = kept // 4 if kept > 80 else 0
    head = kept - tail
    gone = len(text) - head - tail
    return text[:head] + f"… ({gone:,} more characters)" + (f" …{text[-tail:]}" if tail else "")


def _cut_list(items: list[Any], room: int, levels: int) -> Any:
    if _length(items, room + 1) <= room:
        return items
    room -= 50  # brackets, and the mark of what is left out
    seen = items[:ENDS]
    sizes = [_length(item, room) + 1 for item in seen]
    mean = max(sum(sizes) // len(sizes), 1)
    is_plain = not any(isinstance(item, (dict, list, str)) for item in seen)
    is_text = all(isinstance(item, str) for item in seen)
    fitting = room // (mean if mean <= WORTH_READING else max(WORTH_READING, min(mean, room // 6)))
    number = min(len(items), fitting if is_text else min(fitting, 2 * (ITEMS if is_plain else ENDS)))
    number = max(number, 1)
    parts, head = _ends(items, number)
    if mean <= room // 6 and number <= 2 * ITEMS:  # whole records: one less rather than parts of them
        while number > 1 and sum(_length(part, room) + 1 for part in parts) > room:
            number = max(number * 9 // 10, 1) if number > 10 else number - 1
            parts, head = _ends(items, number)
    tail = number - head
    cut = _divided(parts, room, levels)
    gone = len(items) - number
    if gone:
        cut.insert(head, f"… {gone:,} more of {len(items):,} items" + (" …" if tail else ""))
    return cut


def _ends(items: list[Any], number: int) -> tuple[list[Any], int]:
    """So many items of both ends of a list, and how many of them are of its head."""
    tail = 0 if number == len(items) or number < 3 else number // 2
    return [*items[: number - tail], *(items[len(items) - tail :] if tail else [])], number - tail


def _cut_dict(members: dict[str, Any], room: int, levels: int) -> Any:
    if _length(members, room + 1) <= room:
        return members
    room -= 40
    longest = max(room // 4, NARROWEST)
    names: list[str] = []
    used = 0
    for name, member in members.items():
        least = WORTH_READING if isinstance(member, (dict, list)) else NARROWEST
        used += min(_length(name, longest), longest) + min(_length(member, least), least) + 2
        if used > room and names:
            break
        names.append(name)
    keys = [_cut_text(name, longest) for name in names]
    parts = _divided([members[name] for name in names], room - sum(len(key) + 3 for key in keys), levels)
    cut = dict(zip(keys, parts, strict=True))
    gone = len(members) - len(names)
    return cut | {"…": f"{gone:,} more of {len(members):,} members"} if gone else cut


def _divided(parts: list[Any], room: int, levels: int) -> list[Any]:
    """The parts, each in its share of the room: what the small ones leave is divided among the large ones."""
    room -= 2 * len(parts)
    shares = _shares([_length(part, room + 1) for part in parts], room)
    return [_cut(part, share, levels - 1) for part, share in zip(parts, shares, strict=True)]


def _shares(sizes: list[int], room: int) -> list[int]:
    """The room of each part: no more than its size, and an even share of what the smaller ones leave."""
    left, shares = room, [0] * len(sizes)
    for done, at in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        shares[at] = min(sizes[at], max(left, 0) // (len(sizes) - done))
        left -= shares[at]
    return shares


def _length(value: Any, most: int) -> int:
    """Estimate the characters of a value's JSON; counting stops once there are more than `most`."""
    todo, size = [value], 0
    while todo:
        item = todo.pop()
        match item:
            case str():
                part = item[: most + 1]
                size += len(part) + 3
                if not (part.isascii() and part.isprintable()) or '"' in part or "\\" in part:
                    size += sum(1 if c in '"\\\n\r\t\b\f' else 5 for c in part if c < " " or c in '"\\\x7f')
            case list():
                size += 2
                todo += islice(item, max(most - size, 0) // 2 + 1)
            case dict():
                size += 2
                for name in islice(item, max(most - size, 0) // 4 + 1):
                    size += len(name) + 3
                    todo.append(item[name])
            case True | False | None:
                size += 5
            case _:
                size += len(repr(item)) + 1
        if size > most:
            return size
    return size


def _size(size: int) -> str:
    return f"{size / (1 << 20):.1f} MB" if size >= 1 << 20 else f"{size / (1 << 10):.0f} kB"
