"""NaN and the infinities in payloads: JSON has no such numbers, and programs and Python functions do.

A payload in which one occurs is *marked*: it is an object with the one key `KEY`, and the value below it. In that value
the texts ``"#NaN"``, ``"#Infinity"`` and ``"#-Infinity"`` stand for the numbers, and every other text that begins with
``#`` begins with one more. Keys are as they are. A payload without such a number is plain JSON, and costs nothing:

    {"mean": 1.5}    {"$pctx.nonfinite":{"mean":"#NaN","title":"##1"}}

A value that would be read as marked though it is not is marked, too, so every value comes back as it was. Code that
passes payloads on does not read them. Code that gives a payload to a party without this mark calls `plain` or
`readable`. Code that receives a payload from such a party calls `taken`. The sandbox has the same rules
(``runtime/runner/numbers.js``).

Knows nothing of schemas, tools or wires.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import Raw

KEY = "$pctx.nonfinite"
"""The only key of a marked payload."""

_MARK = f'{{"{KEY}":'.encode()

_TOKENS = {"#NaN": float("nan"), "#Infinity": float("inf"), "#-Infinity": float("-inf")}

# In JSON a quote inside a text has a backslash before it, so one without begins or ends a text; and what begins a text
# with "#" is never the end of another. A colon after the text makes it a key.
_TOKEN = re.compile(rb'(?<!\\)"#(NaN|-?Infinity)"(?![ \t\r\n]*:)')
_ESCAPED = re.compile(rb'(?<!\\)"##((?:[^"\\]|\\.)*+)"(?![ \t\r\n]*:)', re.DOTALL)

_FIRST_KEY = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*("(?:[^"\\]|\\.){0,200}")')


def is_marked(payload: Raw | bytes) -> bool:
    """Return whether a payload is marked."""
    return inside(payload) is not None


def inside(payload: Raw | bytes) -> bytes | None:
    """Return what is below the mark: JSON, with texts in the place of such numbers; None: the payload is not marked."""
    if not _looks_marked(payload):
        return None
    members = msgspec.json.decode(payload, type=dict[str, Raw])
    return bytes(members[KEY]) if len(members) == 1 else None  # a stranger's may have more than that key


def _looks_marked(payload: Raw | bytes) -> bool:
    return bytes(memoryview(payload)[: len(_MARK)]) == _MARK


def taken(payload: Raw) -> Raw:
    """Return a payload of a party that does not know of the mark: marked where it would be read as marked."""
    start = _FIRST_KEY.match(bytes(memoryview(payload)[:300]))
    if start is None or msgspec.json.decode(start[1]) != KEY:
        return payload
    return marked(msgspec.json.decode(payload))


def plain(payload: Raw) -> Raw:
    """Return a payload with null in the place of each such number."""
    return Raw(_written(text, rb"null")) if (text := inside(payload)) is not None else payload


def plain_members(payload: Raw) -> Raw:
    """Return an object of payloads with each of them as `plain` returns it; anything else as it is."""
    if bytes(memoryview(payload)[:1]) != b"{" or _MARK not in bytes(payload):
        return payload
    members = msgspec.json.decode(payload, type=dict[str, Raw])
    return Raw(msgspec.json.encode({name: plain(member) for name, member in members.items()}))


def typed(payload: Raw) -> Raw:
    """Return a payload with another number in the place of each such number: JSON of the same type."""
    return Raw(_written(text, rb"0")) if (text := inside(payload)) is not None else payload


def readable(payload: Raw | bytes) -> bytes:
    """Return a payload's text with ``NaN`` and ``Infinity``, as people and the parsers of Python libraries read it."""
    return _written(text, rb"\1") if (text := inside(payload)) is not None else bytes(payload)


def beginning(payload: Raw, most: int) -> bytes:
    """Return the first `most` bytes of what `readable` returns, without reading on much further."""
    if not _looks_marked(payload):
        return bytes(memoryview(payload)[:most])
    size = memoryview(payload).nbytes
    read = min(2 * most + 100 + len(_MARK), size - 1)
    return _written(bytes(memoryview(payload)[len(_MARK) : read]), rb"\1")[:most]


def readable_inside(text: bytes) -> bytes:
    """Return what `readable` returns, of JSON made of parts of what `inside` returned."""
    return _written(text, rb"\1")


def _written(text: bytes, number: bytes) -> bytes:
    text = _TOKEN.sub(number, text)
    return _ESCAPED.sub(rb'"#\1"', text) if b'"##' in text else text


def decode(payload: Raw | bytes) -> Any:
    """Read a payload, marked or not; raises what msgspec raises."""
    text = inside(payload)
    return msgspec.json.decode(payload) if text is None else _mapped(msgspec.json.decode(text), _read)


def marked(value: Any) -> Raw:
    """Write lists, dicts, texts, numbers, booleans and None as a marked payload. The value may be changed in place."""
    return Raw(_MARK + msgspec.json.encode(_mapped(value, _escaped)) + b"}")


def _read(text: str) -> str | float:
    return _TOKENS.get(text, text[1:])


def _escaped(text: str) -> str:
    return f"#{text}"


def _mapped(value: Any, text: Callable[[str], str | float]) -> Any:
    """Replace, in place and without recursion, each text that begins with ``#``, and each number that is not finite."""
    root: list[Any] = [value]
    todo: list[list[Any] | dict[str, Any]] = [root]
    payloads: list[tuple[Any, Any]] = []
    while todo:
        part = todo.pop()
        places: Iterator[tuple[Any, Any]] = iter(part.items()) if type(part) is dict else iter(enumerate(part))
        for place, item in places:
            kind = type(item)
            if kind is str:
                if item[:1] == "#":
                    part[place] = text(item)
            elif kind is float:
                if item - item != 0.0:
                    part[place] = f"#{_name(item)}"
            elif kind is dict or kind is list:
                todo.append(item)
            elif isinstance(item, _SEQUENCES):
                part[place] = within = list(item)
                todo.append(within)
            elif kind is Raw:  # JSON within a value that is being written
                part[place] = within = [msgspec.json.decode(item)]
                todo.append(within)
                payloads.append((part, place))
    for part, place in payloads:
        [part[place]] = part[place]
    return root[0]


_SEQUENCES = (tuple, set, frozenset)
"""Besides lists, what becomes an array."""


def _name(number: float) -> str:
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"


_IN_MSGPACK = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
"""A float of MessagePack that is not finite; may also occur inside of other numbers."""


def may_occur(value: object, encoder: msgspec.msgpack.Encoder) -> bool:
    """Return whether such a number may be in a value; False is certain.

    Args:
        value: The value.
        encoder: Writes it as MessagePack, where such a number is one: half the time that its JSON takes.
    """
    try:
        return _IN_MSGPACK.search(encoder.encode(value)) is not None
    except Exception:  # integers beyond 64 bits, for one
        return True


def encode(value: object) -> Raw:
    """Write a value (JSON, a Struct, a dataclass of those, or a Raw), marked where it has to be.

    Raises:
        TypeError, ValueError, OverflowError, RecursionError: It has no JSON form.
    """
    if isinstance(value, Raw):
        return value
    payload = msgspec.json.encode(value)
    if b"null" in payload:  # which msgspec writes for such a number, too
        found = msgspec.to_builtins(value, builtin_types=(Raw,))
        if occurs(found):
            return marked(found)
    return taken(Raw(payload))


def occurs(value: Any) -> bool:
    """Return whether such a number occurs in lists and dicts."""
    todo = [value]
    while todo:
        item = todo.pop()
        kind = type(item)
        if kind is float and item - item != 0.0:
            return True
        if kind is list or isinstance(item, _SEQUENCES):
            todo.extend(item)
        elif kind is dict:
            todo.extend(item.values())
    return False


def first_place(payload: Raw) -> tuple[str, str] | None:
    """Return the path to the first such number, ``.rows[3].mean``, and its name; None: there is none."""
    if not is_marked(payload):
        return None
    todo: list[tuple[tuple[str | int, ...], Any]] = [((), decode(payload))]
    while todo:
        path, item = todo.pop()
        if isinstance(item, float) and item - item != 0.0:
            return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path), _name(item)
        if isinstance(item, dict):
            todo.extend(((*path, key), part) for key, part in reversed(item.items()))
        elif isinstance(item, list):
            todo.extend(((*path, at), part) for at, part in reversed(list(enumerate(item))))
    return None
