"""The shape of JSON values, such as those that tools have returned: which fields there are, and of which kinds.

A shape holds names of fields and kinds of values, and no value. Shapes of several results are joined: a field that
some results lack is optional, and a value of several kinds is a union. An object whose names look like data, such as
dates or ids, is a map, and its names are not kept. Enumerations, dates and tuples are not guessed.

Everything is bounded. Values in, schemas out; it knows nothing of tools and of where shapes are kept.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain
from random import Random
from typing import Any, Literal, TypeVar

import msgspec

from ..rpc.jsonrpc import Json

OBSERVED = "x-observed"
"""The keyword of a result's schema that was observed, not declared; its value is the number of calls."""

DEEPEST = 8
"""Levels of objects and lists that are looked at; what is below may be anything."""
MOST_FIELDS = 120
"""Fields of one object; an object that has more is a map."""
MOST_NODES = 400
"""Fields and elements of a whole shape; of a larger one, the deepest levels may be anything."""
MOST_KINDS = 3
"""Alternatives of a union, null aside; a value of more kinds may be anything."""
LONGEST_NAME = 64
"""Characters of a field's name; an object with a longer one is a map."""
SAMPLE = 100
"""Elements of a longer list that are looked at."""
FEW_OPTIONAL = 4
"""Optional fields of one type that make an object without required fields a map."""
MANY_OPTIONAL = 10
"""Optional fields of one type that make an object a map if it has far fewer required fields."""
EXACT_CALLS = 9
"""Calls up to which a declaration says how many there were; of more, it says a round number."""

_DATA = re.compile(
    r"[+-]?[\d.,]*\d[\d.,%]*"  # a number
    r"|\d{4}-\d\d.*"  # a date
    r"|(?=[^g-zG-Z]*\d)[0-9a-fA-F-]{16,}"  # a hash, or a UUID
    r"|.+@.+"  # an address of a person
    r"|.*[/\\\n].*"  # a path, a URL, a text
    r"|(?:\D*\d){5,}.*",  # another identifier
    re.DOTALL,
)
"""A name that is data, most likely."""
INHERITED = frozenset(
    {"__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__", "__proto__", "constructor"}
    | {"hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString", "valueOf"}
)
"""What every object of JavaScript has: where such a field is missing, a program finds a function."""

_Element = TypeVar("_Element")

Scalar = Literal["boolean", "null", "number", "string"]


class ResultShape(msgspec.Struct, frozen=True, omit_defaults=True):
    """What values there were.

    Args:
        scalars: The kinds of scalars that occur.
        fields: The fields of the objects, by name; None: no object occurs, or they are maps.
        required: The fields that all objects have but those without any field.
        may_be_empty: Whether an object without any field occurs.
        values: What the values of maps are; None: no map occurs.
        elements: What the elements of lists are; None: no list occurs.
        is_any: Whether anything may occur, because the limits do not allow to say more.
        is_open: Whether objects may have other fields besides, because not all objects were looked at.
    """

    scalars: frozenset[Scalar] = frozenset()
    fields: dict[str, ResultShape] | None = None
    required: frozenset[str] = frozenset()
    may_be_empty: bool = False
    values: ResultShape | None = None
    elements: ResultShape | None = None
    is_any: bool = False
    is_open: bool = False


NOTHING = ResultShape()
"""The shape of no value at all."""
ANYTHING = ResultShape(is_any=True)
_SCALARS: dict[type, Scalar] = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    type(None): "null",
}


# ── Looking and joining ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class LookLimits:
    """How closely values are looked at.

    Args:
        deepest: Levels of objects and lists that are looked at; what is below may be anything.
        most_fields: Fields of one object; an object that has more is a map.
        longest_name: Characters of a field's name; an object with a longer one is a map.
        sample: Elements of a longer list, or of a larger map, that are looked at; None: all.
        has_data_for_names: Whether an object whose names look like data is a map.
        is_open: Whether objects may have other fields besides, because not all objects are looked at.
    """

    deepest: int = DEEPEST
    most_fields: int = MOST_FIELDS
    longest_name: int = LONGEST_NAME
    sample: int | None = SAMPLE
    has_data_for_names: bool = True
    is_open: bool = False


OF_RESULTS = LookLimits()
"""How results of calls are looked at: of the next call, another one comes."""


def shape_of(value: Json) -> ResultShape:
    """Return the shape of one result, within the limits."""
    return shape_within([value])


def shape_within(values: Sequence[Json], limits: LookLimits = OF_RESULTS, most_nodes: int = MOST_NODES) -> ResultShape:
    """Return the shape of several values; if it were too large, the deepest levels may be anything.

    The time that it takes is bounded, too: a level of too many fields is left when they are too many.

    Args:
        most_nodes: Fields and elements that the shape may have.
    """
    try:
        return _Look(limits, most_nodes).shape(values, 0)
    except _TooMany:
        pass
    found = ANYTHING
    for deepest in range(1, limits.deepest):
        try:
            found = _Look(replace(limits, deepest=deepest), most_nodes).shape(values, 0)
        except _TooMany:
            break
    return found


def shape_of_all(values: Sequence[Json], limits: LookLimits = OF_RESULTS) -> ResultShape:
    """Return the shape of several values, of whatever size."""
    return _Look(limits, None).shape(values, 0)


class _TooMany(Exception):
    """A shape has more fields and elements than it may have."""


class _Look:
    """One look at values, column by column, because that is fast.

    Args:
        most_nodes: Fields and elements that the shape may have; None: any number.
    """

    def __init__(self, limits: LookLimits, most_nodes: int | None) -> None:
        self._limits, self._most_nodes, self._nodes = limits, most_nodes, 0

    def shape(self, values: Sequence[Json], depth: int) -> ResultShape:
        """Return the shape of values that have so many levels of objects and lists around them.

        Raises:
            _TooMany: As it says.
        """
        limits = self._limits
        self._nodes += 1
        if self._most_nodes is not None and self._nodes > self._most_nodes:
            raise _TooMany
        kinds = set(map(type, values))
        nested = kinds - _SCALARS.keys()
        if nested and (depth >= limits.deepest or not nested <= {dict, list}):
            return ANYTHING
        scalars = frozenset(_SCALARS[kind] for kind in kinds if kind in _SCALARS)
        lists: Sequence[Any] = [one for one in values if type(one) is list]
        elements = None
        if lists:
            elements = self.shape([one for some in lists for one in sample(some, limits)], depth + 1)
        if dict not in kinds:
            return ResultShape(scalars, elements=elements)
        objects: Sequence[Any] = values if len(kinds) == 1 else [one for one in values if type(one) is dict]
        several = dict.fromkeys(map(tuple, objects))  # the names of each, once
        names = dict.fromkeys(chain.from_iterable(several))
        if is_map(names, limits):
            inner = [value for one in objects for value in sample(list(one.values()), limits)]
            members = self.shape(inner, depth + 1)
            return ResultShape(scalars, values=members, elements=elements, is_open=limits.is_open)
        required = frozenset(names).intersection(*(one for one in several if one))
        fields = {}
        for name in names:
            is_in_all = name in required and () not in several
            column = [one[name] for one in objects] if is_in_all else [one[name] for one in objects if name in one]
            fields[name] = self.shape(column, depth + 1)
        return ResultShape(scalars, fields, required, () in several, None, elements, is_open=limits.is_open)


def sample(elements: Sequence[_Element], limits: LookLimits) -> Sequence[_Element]:
    """Some elements of a long list: at random, but the same ones every time."""
    if limits.sample is None or len(elements) <= limits.sample:
        return elements
    return [elements[place] for place in sorted(Random(0).sample(range(len(elements)), limits.sample))]


def is_map(names: Collection[str], limits: LookLimits) -> bool:
    """Return whether an object with these names is a map, as far as the names show that."""
    if len(names) > limits.most_fields or any(len(name) > limits.longest_name for name in names):
        return True
    return limits.has_data_for_names and any(_DATA.fullmatch(name) for name in names)


def join_all(shapes: Iterable[ResultShape]) -> ResultShape:
    """Return the shape of all values of these shapes."""
    return reduce(join, shapes, NOTHING)


def join(one: ResultShape, other: ResultShape) -> ResultShape:
    """Return the shape of the values of both. The order of several joins does not matter."""
    if one == other or other == NOTHING:
        return one
    if one == NOTHING:
        return other
    if one.is_any or other.is_any:
        return ANYTHING
    fields, required, values = one.fields, one.required, one.values
    may_be_empty = one.may_be_empty or other.may_be_empty
    if other.fields is not None or other.values is not None:
        if fields is None and values is None:
            fields, required, values = other.fields, other.required, other.values
        elif values is None and other.values is None and fields is not None and other.fields is not None:
            theirs = other.fields
            required = one.required & other.required if fields and theirs else one.required | other.required
            fields = {name: join(shape, theirs.get(name, NOTHING)) for name, shape in fields.items()}
            fields |= {name: shape for name, shape in theirs.items() if name not in fields}
        else:
            values = join(_values_of(one), _values_of(other))
        if values is None and fields is not None and len(fields) > MOST_FIELDS:
            values = join_all(fields.values())
        if values is not None:
            fields, required, may_be_empty = None, frozenset(), False
    elements = one.elements if other.elements is None else other.elements
    if one.elements is not None and other.elements is not None:
        elements = join(one.elements, other.elements)
    is_open = one.is_open or other.is_open
    return ResultShape(one.scalars | other.scalars, fields, required, may_be_empty, values, elements, is_open=is_open)


def _values_of(shape: ResultShape) -> ResultShape:
    """What the values of objects are, whatever their names."""
    return join_all([*(() if shape.values is None else (shape.values,)), *(shape.fields or {}).values()])


def settled(shape: ResultShape) -> ResultShape:
    """Return a shape without the names of objects that turn out to be maps, and within the limits.

    In a map, hardly a name recurs, and all values are of one type.
    """
    return bounded(_settled(shape))


def _settled(shape: ResultShape) -> ResultShape:
    fields = None if shape.fields is None else {name: _settled(one) for name, one in shape.fields.items()}
    values = None if shape.values is None else _settled(shape.values)
    elements = None if shape.elements is None else _settled(shape.elements)
    required, may_be_empty = shape.required, shape.may_be_empty
    if fields is not None:
        optional = len(fields) - len(required)
        is_varying = optional >= (FEW_OPTIONAL if not required else max(MANY_OPTIONAL, 3 * len(required)))
        if is_varying and _is_one_type(together := join_all(fields.values())):
            fields, required, may_be_empty, values = None, frozenset(), False, _settled(together)
    return ResultShape(shape.scalars, fields, required, may_be_empty, values, elements, shape.is_any, shape.is_open)


def _is_one_type(shape: ResultShape) -> bool:
    """Whether values are of one type, so far as that can be said: objects have at least one name in common."""
    if shape.is_any or len(_kinds(shape)) != 1:
        return False
    return shape.fields is None or bool(shape.required)


def _kinds(shape: ResultShape) -> list[str]:
    """The kinds of values, null aside, in one order."""
    found: list[str] = sorted(shape.scalars - {"null"})
    found += ["object"] * (shape.fields is not None or shape.values is not None)
    return found + ["array"] * (shape.elements is not None)


def bounded(shape: ResultShape) -> ResultShape:
    """Return a shape with so few levels that its size is within `MOST_NODES`."""
    if _size(shape) <= MOST_NODES:
        return shape
    return next(cut for depth in range(DEEPEST, -1, -1) if _size(cut := _cut(shape, depth)) <= MOST_NODES)


def _size(shape: ResultShape) -> int:
    inner = [*(shape.fields or {}).values(), *(one for one in (shape.values, shape.elements) if one is not None)]
    return 1 + sum(map(_size, inner))


def _cut(shape: ResultShape, depth: int) -> ResultShape:
    if shape.fields is None and shape.values is None and shape.elements is None:
        return shape
    if depth == 0:
        return ANYTHING
    return ResultShape(
        shape.scalars,
        None if shape.fields is None else {name: _cut(one, depth - 1) for name, one in shape.fields.items()},
        shape.required,
        shape.may_be_empty,
        None if shape.values is None else _cut(shape.values, depth - 1),
        None if shape.elements is None else _cut(shape.elements, depth - 1),
        shape.is_any,
        shape.is_open,
    )


# ── Writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def schema(shape: ResultShape, calls: int) -> dict[str, Json] | None:
    """Write a shape as JSON Schema with the keyword `OBSERVED`; None: nothing can be said.

    Args:
        calls: The number of results that it is the shape of.
    """
    written = _schema(shape)
    return {**written, OBSERVED: shown_calls(calls)} if "type" in written else None


def _schema(shape: ResultShape) -> dict[str, Json]:
    kinds = _kinds(shape)
    if shape.is_any or len(kinds) > MOST_KINDS:
        return {}
    if not kinds:  # a value that was always null may be of any type at another time
        return {"description": "So far, it was always null."} if shape.scalars else {}
    written: dict[str, Json] = {}
    required = [] if shape.may_be_empty else [name for name in shape.fields or () if name in shape.required]
    if shape.values is not None:
        written["additionalProperties"] = _schema(shape.values)
    elif shape.fields:
        written["properties"] = {
            name: {} if name in INHERITED and name not in required else _schema(one)
            for name, one in shape.fields.items()
        }
        if required:
            written["required"] = list[Json](required)
    if shape.elements is not None and (elements := _schema(shape.elements)):
        written["items"] = elements
    names = list[Json]([*kinds, *(["null"] if "null" in shape.scalars else [])])
    return {"type": names[0] if len(names) == 1 else names, **written}


def shown_calls(calls: int) -> int:
    """Return a number of calls as declarations have it: a large one is rounded down, so that they seldom change."""
    if calls <= EXACT_CALLS:
        return calls
    power = 1
    while calls >= 10 * power:
        power *= 10
    return max(step * power for step in (1, 2, 5) if step * power <= calls)


def comment(schema: object) -> str:
    """Return the sentence about an observed schema; "" for any other."""
    calls = schema.get(OBSERVED) if isinstance(schema, dict) else None
    if not isinstance(calls, int) or isinstance(calls, bool) or calls < 1:
        return ""
    number = "1 call" if calls == 1 else f"{calls:,}{'+' if calls > EXACT_CALLS else ''} calls"
    return f"Observed in {number}; may be incomplete."


def differences(was: ResultShape, now: ResultShape) -> list[str]:
    """Say how a shape was widened, a few words for each place: ``.total may be null``."""
    return list(_differences("", was, now))


def _differences(place: str, was: ResultShape, now: ResultShape) -> Iterator[str]:
    name = place or "it"
    if was == now:
        return
    if now.is_any:
        if not was.is_any:
            yield f"{name} may be anything"
        return
    new = [kind for kind in _kinds(now) if kind not in _kinds(was)]
    for kind in new:
        yield f"{name} may be {_ARTICLES[kind]}"
    if "null" in now.scalars and "null" not in was.scalars:
        yield f"{name} may be null"
    if was.fields is not None and now.fields is not None:
        if now.may_be_empty and not was.may_be_empty:
            yield f"{name} may be empty"
        for field, shape in now.fields.items():
            inner = f"{place}.{field}"
            if field not in was.fields:
                yield f"{inner} is new"
                continue
            if field in was.required and field not in now.required and not was.may_be_empty:
                yield f"{inner} may be missing"
            yield from _differences(inner, was.fields[field], shape)
    elif was.fields is not None and now.values is not None:
        yield f"{name} may have any fields"
    elif was.values is not None and now.values is not None:
        yield from _differences(f"{place}[…]", was.values, now.values)
    if was.elements is not None and now.elements is not None:
        yield from _differences(f"{place}[]", was.elements, now.elements)


_ARTICLES = {
    "array": "a list",
    "boolean": "a boolean",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}
