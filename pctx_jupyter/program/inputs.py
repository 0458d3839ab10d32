"""Declarations of a program's inputs: JSON values → TypeScript declarations of the same shape.

Values up to `EXACT_BYTES` are looked at whole, so that each fits its own type, and no other field is known of it:

- an object is a type with its fields; with more than `MOST_FIELDS`, or none, it is a map: ``{ [name: string]: T }``;
- a list is an array, never a tuple; what its elements have not all is optional, what is null in some ``| null``;
- where nothing is known, in an empty list or of what is only ever null, it is ``any``.

Of a longer list `SAMPLE` elements are looked at, from its beginning to its end. Fields that only others have must not
make a program wrong, so objects within it have any further field too, as ``any``. What is nested too deeply, too large
or too long to write down is ``any``. Values are never part of a declaration, only the names of their fields.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Any

import msgspec
from msgspec import Raw

from ..rpc import marks, nonfinite
from ..tools.inert import property_name

EXACT_BYTES = 250_000
"""Bytes of JSON that are looked at whole; that takes some 7 ms."""
SAMPLED_BYTES = 8_000_000
"""Bytes of JSON beyond which only the kind of a value is looked at; to find the elements in so many takes 25 ms."""
SAMPLE = 200
"""Elements of a longer list that are looked at."""
MOST_FIELDS = 200
"""Fields of a type; an object that has more is a map."""
DEEPEST = 8
"""Levels of objects and arrays that are written down."""
LONGEST = 10_000
"""Characters of one declaration; a longer one is written less deeply."""
MOST_FRAME_FIELDS = 2_000
"""Columns of a frame whose types are declared."""
LONGEST_NAME = 200
"""Characters of a field's name; an object with a longer one is a map."""

_SPACE = b" \t\r\n"
_NESTED = re.compile(rb'["{[]')
_NUMBER = re.compile(rb"[0-9]")


@dataclass(frozen=True, slots=True)
class _Type:
    """A union of what values are.

    Args:
        names: ``string``, ``number``, ``boolean``: those that occur, in this order.
        fields: Of the objects: name → type and whether all have it; None: no object occurs.
        rest: Of fields beside these.
        element: Of the arrays; None: no array occurs.
        is_nullable: Whether null occurs.
    """

    names: tuple[str, ...] = ()
    fields: Mapping[str, tuple[_Type, bool]] | None = None
    rest: _Type | None = None
    element: _Type | None = None
    is_nullable: bool = False


_ANY = _Type()
_TYPES_OF_KINDS = {
    f"{name}{mark}": _Type((name,), is_nullable=bool(mark))
    for name in ("string", "number", "boolean")
    for mark in ("", "?")
}
"""The types of a frame's columns by `handles.frames.kinds`."""


def declare(inputs: Mapping[str, Raw]) -> str:
    """Declare constants after their values, one line each: ``declare const n: number;``.

    Args:
        inputs: JSON by name; the names are identifiers (`names.check_input_name`).
    """
    return "".join(f"declare const {name}: {type_of(value)};\n" for name, value in inputs.items())


def type_of(value: Raw) -> str:
    """The TypeScript type of one JSON value; ``any`` when it is none that can be read."""
    if (handle := marks.body_of(value)) is not None:
        return _type_of_frame(handle.get("kinds"))
    try:
        found = _type_at(memoryview(nonfinite.typed(value)), 0)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "any"
    for depth in range(DEEPEST, 0, -1):
        if len(text := _write(found, depth)) <= LONGEST:
            return text
    return "any"


def _type_of_frame(kinds: Any) -> str:
    """The type of a frame by the kinds of its columns, such as ``{"id": "number", "status": "string?"}``."""
    if not isinstance(kinds, dict) or not 0 < len(kinds) <= MOST_FRAME_FIELDS:
        return "Frame"
    columns = {str(name): (_TYPES_OF_KINDS.get(kind, _ANY), True) for name, kind in kinds.items()}
    return f"Frame<{_write_object(columns, None, DEEPEST)}>"


# ── Looking ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _type_at(data: memoryview, depth: int) -> _Type:
    """The type of one value; a large one is taken apart without building what it holds."""
    size = len(data)
    kind = bytes(data[:100]).lstrip(_SPACE)[:1]
    if kind == b"[" and (flat := _flat(data)) is not None:
        return _Type(element=flat)
    if size <= EXACT_BYTES:
        return _merge([msgspec.json.decode(data)], 0, None)
    match kind:
        case b'"':
            return _Type(("string",))
        case b"[" if size <= SAMPLED_BYTES and depth < DEEPEST:
            return _Type(element=_element_type(data, depth))
        case b"[":
            return _Type(element=_ANY)
        case b"{" if size <= SAMPLED_BYTES and depth < DEEPEST:
            members = msgspec.json.decode(data, type=dict[str, Raw])
            if _is_map(members):
                return _Type(fields={}, rest=_ANY)
            return _Type(fields={name: (_type_at(memoryview(raw), depth + 1), True) for name, raw in members.items()})
    return _ANY


def _element_type(data: memoryview, depth: int) -> _Type:
    """The type of the elements of a long list."""
    elements = msgspec.json.decode(data, type=list[Raw])
    # At random, but every time the same: what recurs is not missed, and a declaration does not change by itself.
    places = sorted(Random(0).sample(range(len(elements)), min(SAMPLE, len(elements))))
    sample = [memoryview(elements[place]) for place in places]
    while len(sample) > 1 and sum(map(len, sample)) > EXACT_BYTES:
        sample = sample[::2]
    if len(sample) == 1 and len(sample[0]) > EXACT_BYTES:
        return _type_at(sample[0], depth + 1) if len(elements) == 1 else _ANY
    return _merge([msgspec.json.decode(element) for element in sample], 0, _ANY)


def _flat(data: memoryview) -> _Type | None:
    """The type of the elements of a list of numbers, truth values and nulls, however long; None: it is another list."""
    if _NESTED.search(data[:1000], bytes(data[:100]).find(b"[") + 1):
        return None
    text = bytes(data)
    start = text.index(b"[") + 1
    if any(text.find(sign, start) >= 0 for sign in (b'"', b"{", b"[")):
        return None
    names = ("number",) * bool(_NUMBER.search(text)) + ("boolean",) * (b"true" in text or b"false" in text)
    return _Type(names, is_nullable=b"null" in text)


def _merge(values: Sequence[Any], depth: int, rest: _Type | None) -> _Type:
    """The type that all values fit: column by column, for that is what is fast.

    Args:
        rest: What objects may have beside the fields they are seen to have; None: nothing.
    """
    kinds = set(map(type, values))
    if depth > DEEPEST:
        return _ANY
    fields: dict[str, tuple[_Type, bool]] | None = None
    if dict in kinds:
        objects = values if len(kinds) == 1 else [value for value in values if type(value) is dict]
        shapes = set(map(tuple, objects))
        known = dict.fromkeys(chain.from_iterable(shapes))
        if _is_map(known):
            fields, rest = {}, _merge([value for one in objects for value in one.values()], depth + 1, rest)
        else:
            common = set(known).intersection(*shapes)
            fields = {}
            for name in sorted(known, key=_order(shapes)):
                in_all = name in common
                column = [one[name] for one in objects] if in_all else [one[name] for one in objects if name in one]
                # What has no such field of its own has the inherited one, which is a function.
                is_known = in_all or name not in _INHERITED
                fields[name] = _merge(column, depth + 1, rest) if is_known else _ANY, in_all
    element = None
    if list in kinds:
        lists = values if len(kinds) == 1 else [value for value in values if type(value) is list]
        element = _merge(list(chain.from_iterable(lists)), depth + 1, rest)
    return _Type(
        tuple(name for name, *types in _PRIMITIVES if not kinds.isdisjoint(types)),
        fields,
        None if fields is None else rest,
        element,
        type(None) in kinds,
    )


_INHERITED = frozenset(
    {"__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__", "__proto__", "constructor"}
    | {"hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString", "valueOf"}
)
"""What every object of JavaScript has."""
_PRIMITIVES = (("string", str), ("number", int, float), ("boolean", bool))


def _order(shapes: Iterable[tuple[str, ...]]) -> Any:
    """Fields as the objects with most of them have them: sets are in no order, and a declaration has to be in one."""
    largest_first: list[tuple[str, ...]] = sorted(shapes, key=lambda shape: (-len(shape), shape))
    return {name: place for place, name in enumerate(dict.fromkeys(chain(*largest_first)))}.__getitem__


def _is_map(names: Collection[str]) -> bool:
    return not 0 < len(names) <= MOST_FIELDS or any(len(name) > LONGEST_NAME for name in names)


# ── Writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _write(one: _Type, depth: int) -> str:
    """Write a type down; what lies below so many levels is ``any``."""
    parts = _parts(one, depth)
    return " | ".join([*parts, "null"] if one.is_nullable else parts) if parts and "any" not in parts else "any"


def _parts(one: _Type, depth: int) -> list[str]:
    """The members of a union, but null; none: nothing is known."""
    parts = list(one.names)
    if one.fields is not None:
        parts.append(_write_object(one.fields, one.rest, depth - 1) if depth > 0 else "any")
    if one.element is not None:
        members = _parts(one.element, depth - 1) if depth > 0 else []
        is_union = "any" not in members and len(members) + (one.element.is_nullable and len(members) > 0) > 1
        element = _write(one.element, depth - 1) if depth > 0 else "any"
        parts.append(f"({element})[]" if is_union else f"{element}[]")
    return parts


def _write_object(fields: Mapping[str, tuple[_Type, bool]], rest: _Type | None, depth: int) -> str:
    members = [
        f"{property_name(name)}{'' if in_all else '?'}: {_write(field, depth)}"
        for name, (field, in_all) in fields.items()
    ]
    if rest is not None:
        members.append(f"[name: string]: {_write(rest, depth) if not fields else 'any'}")
    return f"{{ {'; '.join(members)} }}"
