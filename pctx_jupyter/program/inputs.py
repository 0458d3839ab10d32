"""Declarations of a program's inputs: JSON values → TypeScript declarations of the same shape.

`observed` finds the shapes, as it finds those of what tools return. This module knows how closely inputs are looked at,
and how their types are written. Values up to `EXACT_BYTES` are looked at whole, so that each fits its own type, and no
other field is known of it:

- an object is a type with its fields; with more than `MOST_FIELDS`, or none, it is a map: ``{ [name: string]: T }``;
- a list is an array, never a tuple; what its elements have not all is optional, what is null in some ``| null``;
- where nothing is known, in an empty list or of what is only ever null, it is ``any``.

Of a longer list `SAMPLE` elements are looked at, from its beginning to its end. Fields that only others have must not
make a program wrong, so objects within it have any further field too, as ``any``. What is nested too deeply, too large
or too long to write down is ``any``. Values are never part of a declaration, only the names of their fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
from msgspec import Raw

from ..rpc import marks, nonfinite
from ..tools.inert import property_name
from ..tools.observed import ANYTHING, INHERITED, LookLimits, ResultShape, Scalar, is_map, shape_within
from ..tools.tool import HANDLE_TYPES

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
MOST_NODES = LONGEST // 2
"""Fields and elements of a shape: each takes two characters or more of its declaration."""
MOST_FRAME_FIELDS = 2_000
"""Columns of a frame whose types are declared."""
LONGEST_NAME = 200
"""Characters of a field's name; an object with a longer one is a map."""

SCALARS: tuple[Scalar, ...] = ("string", "number", "boolean")
"""Kinds of scalars in the order in which a type has them; null comes last."""

_SPACE = b" \t\r\n"
_NESTED = re.compile(rb'["{[]')
_NUMBER = re.compile(rb"[0-9]")


_EXACT = LookLimits(
    deepest=DEEPEST + 1, most_fields=MOST_FIELDS, longest_name=LONGEST_NAME, sample=None, has_data_for_names=False
)
"""How a value is looked at whole. All of its names are known, so those that look like data are fields too."""
_SAMPLED = replace(_EXACT, is_open=True)
"""How some elements of a list are looked at, whose others may have further fields."""
_SHAPES_OF_KINDS = {
    f"{name}{mark}": ResultShape(frozenset((name, "null") if mark else (name,)))
    for name in SCALARS
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
        return HANDLE_TYPES.get(str(handle.get("kind"))) or _type_of_frame(handle.get("kinds"))
    try:
        found = _shape_at(memoryview(nonfinite.typed(value)), 0)
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
    columns = {str(name): _SHAPES_OF_KINDS.get(kind, ANYTHING) for name, kind in kinds.items()}
    return f"Frame<{_write_object(_object(columns), DEEPEST)}>"


# ── Looking ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _shape_at(data: memoryview, depth: int) -> ResultShape:
    """The shape of one value; a large one is taken apart without building what it holds."""
    size = len(data)
    kind = bytes(data[:100]).lstrip(_SPACE)[:1]
    if kind == b"[" and (flat := _flat(data)) is not None:
        return ResultShape(elements=flat)
    if size <= EXACT_BYTES:
        return shape_within([msgspec.json.decode(data)], _EXACT, MOST_NODES)
    match kind:
        case b'"':
            return ResultShape(frozenset({"string"}))
        case b"[" if size <= SAMPLED_BYTES and depth < DEEPEST:
            return ResultShape(elements=_element_shape(data, depth))
        case b"[":
            return ResultShape(elements=ANYTHING)
        case b"{" if size <= SAMPLED_BYTES and depth < DEEPEST:
            members = msgspec.json.decode(data, type=dict[str, Raw])
            if is_map(members, _EXACT):
                return ResultShape(values=ANYTHING)
            return _object({name: _shape_at(memoryview(raw), depth + 1) for name, raw in members.items()})
    return ANYTHING


def _object(fields: dict[str, ResultShape]) -> ResultShape:
    """The shape of one object that has these fields."""
    return ResultShape(fields=fields, required=frozenset(fields))


def _element_shape(data: memoryview, depth: int) -> ResultShape:
    """The shape of the elements of a long list."""
    elements = msgspec.json.decode(data, type=list[Raw])
    # At random, but every time the same: what recurs is not missed, and a declaration does not change by itself.
    places = sorted(Random(0).sample(range(len(elements)), min(SAMPLE, len(elements))))
    sample = [memoryview(elements[place]) for place in places]
    while len(sample) > 1 and sum(map(len, sample)) > EXACT_BYTES:
        sample = sample[::2]
    if len(sample) == 1 and len(sample[0]) > EXACT_BYTES:
        return _shape_at(sample[0], depth + 1) if len(elements) == 1 else ANYTHING
    return shape_within([msgspec.json.decode(element) for element in sample], _SAMPLED, MOST_NODES)


def _flat(data: memoryview) -> ResultShape | None:
    """The shape of the elements of a list of numbers, truth values and nulls, however long; None: another list."""
    if _NESTED.search(data[:1000], bytes(data[:100]).find(b"[") + 1):
        return None
    text = bytes(data)
    start = text.index(b"[") + 1
    if any(text.find(sign, start) >= 0 for sign in (b'"', b"{", b"[")):
        return None
    found: set[Scalar] = {"number"} if _NUMBER.search(text) else set()
    found |= {"boolean"} if b"true" in text or b"false" in text else set()
    return ResultShape(frozenset(found | ({"null"} if b"null" in text else set())))


# ── Writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _write(one: ResultShape, depth: int) -> str:
    """Write a type down; what lies below so many levels is ``any``."""
    parts = _parts(one, depth)
    return " | ".join([*parts, "null"] if "null" in one.scalars else parts) if parts and "any" not in parts else "any"


def _parts(one: ResultShape, depth: int) -> list[str]:
    """The members of a union, but null; none: nothing is known."""
    if one.is_any:
        return []
    parts: list[str] = [name for name in SCALARS if name in one.scalars]
    if one.fields is not None or one.values is not None:
        parts.append(_write_object(one, depth - 1) if depth > 0 else "any")
    if one.elements is not None:
        members = _parts(one.elements, depth - 1) if depth > 0 else []
        is_union = "any" not in members and len(members) + ("null" in one.elements.scalars and len(members) > 0) > 1
        element = _write(one.elements, depth - 1) if depth > 0 else "any"
        parts.append(f"({element})[]" if is_union else f"{element}[]")
    return parts


def _write_object(one: ResultShape, depth: int) -> str:
    if not one.fields:
        return f"{{ [name: string]: {'any' if one.values is None else _write(one.values, depth)} }}"
    members = []
    for name, field in one.fields.items():
        in_all = name in one.required and not one.may_be_empty
        # What has no such field of its own has the inherited one, which is a function.
        written = _write(field, depth) if in_all or name not in INHERITED else "any"
        members.append(f"{property_name(name)}{'' if in_all else '?'}: {written}")
    return f"{{ {'; '.join([*members, '[name: string]: any'] if one.is_open else members)} }}"
