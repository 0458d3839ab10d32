"""Python values as JSON, and back.

Tool results, tool defaults and the inputs of a program leave the kernel through `to_json`; a program's value comes
back through `from_json`. Knows nothing of schemas, tools or wires.

=======================================  ==============================================================================
Python                                   JSON
=======================================  ==============================================================================
None, bool, str, list, tuple, dict       as they are; also sets, views, ranges, deques, other mappings and sequences
NamedTuple                               array, as a tuple
int                                      number, exact at any size; TypeScript rounds it beyond 2**53, so pass ids of
                                         that size as text
float                                    number; NaN and the infinities too (`pctx_jupyter.rpc.nonfinite`)
dataclass, attrs, ``msgspec.Struct``     object, by field name
pydantic model                           what its own ``model_dump_json(by_alias=True)`` says
Enum                                     its value
datetime, date, time, timedelta          ISO 8601 text (``P1DT2H`` for a duration); an offset has seconds if it has some
UUID, Path, IP address                   text
Decimal                                  text, since a number would lose digits
bytes                                    base64 text
arrays, data frames                      lists and rows: see `pctx_jupyter.values.arrays` and ``tables``
keys of a mapping                        text, numbers, booleans, enums, dates and UUIDs, as text
=======================================  ==============================================================================

Half a surrogate pair in text becomes ``U+FFFD``: JSON in UTF-8 cannot carry it.
"""

from __future__ import annotations

import datetime as dt
import gc
import inspect
import ipaddress
import re
import sys
import types
from collections import UserString, abc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, is_dataclass
from dataclasses import fields as dataclass_fields
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from itertools import chain
from math import isfinite
from pathlib import PurePath
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw

from .. import errors, futures
from ..rpc import nonfinite
from ..rpc.jsonrpc import MAX_DEPTH, well_formed
from . import tables
from .arrays import Convert, Unfit, duration_text

MAX_DIGITS = 4300
"""Digits of an integer that are accepted: Python refuses to write more."""

PATH_STEPS = 12
"""Steps of a path that a message shows; of a longer one, the first and the last few."""

REPLACED = "\ufffd".encode()
"""What stands for half a surrogate pair in JSON: keys that differ in such halves only meet."""


def to_json(value: object, name: str = "value") -> Raw:
    """Write a value as JSON.

    Args:
        value: Anything of the table above. A `Raw` is taken to be JSON already.
        name: What messages call the value: ``orders`` in ``orders[3].callback``.

    Raises:
        NotJson: The value, or a part of it, has no JSON form: the message names the path to it, the type found there
            and the way out.
    """
    if isinstance(value, Raw):
        return nonfinite.taken(value)
    with _collector_paused():
        try:
            if tables.is_certain(value):
                return Raw(_encoder.encode(value))
            return _written(_rows_of(value))
        except Exception:  # also what a user's own class raises; the walk finds the place
            pass
        plain = _Walk(name).plain(value)
        try:
            return nonfinite.marked(plain) if nonfinite.occurs(plain) else nonfinite.taken(Raw(_encoder.encode(plain)))
        except Exception as error:
            raise errors.NotJson(f"{name}: cannot be written as JSON ({error})") from error


def _rows_of(value: Any) -> Any:
    """Return the rows of a table: its conversion takes longest, and the value may be written more than once."""
    kind: Any = type(value)
    convert = None if kind.__module__ == "builtins" else tables.converter(kind)
    return value if convert is None else convert(value)


def _written(value: Any) -> Raw:
    """Write a value with msgspec's own speed; raises if that would lose a key."""
    payload = _encoder.encode(value)
    # msgspec writes null for NaN and the infinities, too. To look for one letter is quicker.
    may_be_nonfinite = b"u" in payload and b"null" in payload and nonfinite.may_occur(value, _msgpack)
    objects = payload.count(b"{") if b"{" in payload else 0
    is_zoned = _may_be_zoned(payload)
    if (objects or may_be_nonfinite or is_zoned) and _scan(value, objects, may_be_nonfinite, is_zoned):
        return nonfinite.marked(msgspec.to_builtins(value, enc_hook=_simplify, str_keys=True, builtin_types=(Raw,)))
    return nonfinite.taken(Raw(payload))


_EAST, _WEST = re.compile(rb'\+\d\d:\d\d"'), re.compile(rb'-\d\d:\d\d"')


def _may_be_zoned(payload: bytes) -> bool:
    """Return whether a time with an offset may be in JSON: msgspec and pydantic leave out an offset's seconds."""
    return b'Z"' in payload or _EAST.search(payload) is not None or _WEST.search(payload) is not None


def _scan(value: Any, objects: int, is_asked: bool, is_zoned: bool) -> bool:
    """Look through a value that msgspec has written, level by level: what is done for many parts at once is quick.

    Args:
        value: The value.
        objects: How many objects there may be in its JSON.
        is_asked: Whether NaN or an infinity may be in it.
        is_zoned: Whether times with an offset may be in it.

    Returns:
        Whether NaN or an infinity is in it.

    Raises:
        Unfit: Two keys of a mapping may read the same in JSON, or a field or the seconds of an offset are not written.
    """
    level: list[Any] = [value]
    found = False
    while level and (objects > 0 or is_asked or is_zoned):
        kinds = set(map(type, level))
        if is_zoned and not kinds.isdisjoint(_TIMES) and _has_odd_offset(level):
            raise Unfit("msgspec leaves out the seconds of an offset")
        if is_asked and float in kinds:
            numbers = level if len(kinds) == 1 else [part for part in level if type(part) is float]
            if not all(map(isfinite, numbers)):
                found, is_asked = True, False
        plain = level if kinds <= _CONTAINERS else [part for part in level if type(part) in _CONTAINERS]
        if dict in kinds:
            objects -= len(plain) if len(kinds) == 1 else list(map(type, plain)).count(dict)
        odd = kinds - _CONTAINERS - _WITHOUT_PARTS
        if any(map(_has_hidden_fields, odd)):
            raise Unfit("msgspec leaves out a field")
        others = [part for part in level if type(part) in odd] if odd else []
        below = gc.get_referents(*plain)
        # CPython does not name the keys of a dict in which all are texts: then there are as many as it has values.
        if len(below) != sum(map(len, plain)):
            below = list(chain.from_iterable(map(_parts, plain)))
        for part in others:
            objects -= isinstance(part, dict) or _fields(part) is not None
            below += _parts(part)
        level = below
    return found


def _has_odd_offset(values: list[Any]) -> bool:
    """Return whether one of some values is a time whose offset has seconds."""
    times = [value for value in values if type(value) in _TIMES]
    if all(map(tables.is_zone, {value.tzinfo for value in times} - {None, dt.UTC})):
        times = [value for value in times if type(value) is dt.time or value.year < tables.WHOLE_MINUTES]
    return any(map(tables.has_odd_offset, times))


def _parts(value: Any) -> Iterable[Any]:
    """What is below a value in JSON."""
    if isinstance(value, dict):
        kinds = set(map(type, value))
        if kinds - {str} and (len(kinds) > 1 or not kinds <= _DISTINCT_AS_TEXT):
            raise Unfit("two keys may read the same in JSON")
        return value.values()
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    names = _fields(value)
    return [_simplify(value)] if names is None else [getattr(value, name, None) for name in names]


def _fields(value: Any) -> Iterable[str] | None:
    """The names of the fields of which an object is made; None: it is none of such."""
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    if is_dataclass(value):
        return [field.name for field in dataclass_fields(value)]
    if hasattr(value, "__attrs_attrs__"):
        return [attribute.name for attribute in type(value).__attrs_attrs__]
    return None


@lru_cache(maxsize=512)
def _has_hidden_fields(kind: Any) -> bool:
    """Whether msgspec leaves out fields: those of attrs that begin with ``_``, and defaults that the class holds."""
    if is_dataclass(kind):
        return any(not field.init and field.default is not MISSING for field in dataclass_fields(kind))
    return any(attribute.name.startswith("_") for attribute in getattr(kind, "__attrs_attrs__", ()))


_CONTAINERS: frozenset[type] = frozenset((dict, list, tuple, set, frozenset))

_WITHOUT_PARTS: frozenset[type] = frozenset(
    [
        type(None),
        bool,
        int,
        float,
        str,
        bytes,
        bytearray,
        memoryview,
        Raw,
        dt.datetime,
        dt.date,
        dt.time,
        dt.timedelta,
        UUID,
        Decimal,
    ]
)

_TIMES: frozenset[type] = frozenset((dt.datetime, dt.time))

_DISTINCT_AS_TEXT: frozenset[type] = frozenset((str, int, bool, dt.date, UUID))
"""Types of which two different values, as keys, are two different texts."""


def from_json(raw: Raw | bytes) -> Any:
    """Read JSON: dicts, lists, text, numbers (NaN and the infinities too), booleans and None.

    Raises:
        ParseError: It is not JSON, or holds a number that Python does not read.
    """
    with _collector_paused():
        try:
            return nonfinite.decode(raw)
        except msgspec.ValidationError as error:
            raise errors.ParseError(f"Cannot read the value: {error}; make such numbers texts") from None
        except msgspec.DecodeError as error:
            raise errors.ParseError(f"Cannot read the value: {error}") from error


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the cyclic collector from looking at every dict that is being made: half the time of large values."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# One step: a value that msgspec does not know → a simpler one


def _simplify(value: Any) -> Any:
    kind: Any = type(value)  # the cache wants it hashable, which mypy does not know of types
    convert = _converter(kind)
    if convert is None:
        raise Unfit(_why_not(value))
    return convert(value)


_encoder = msgspec.json.Encoder(enc_hook=_simplify)
_msgpack = msgspec.msgpack.Encoder(enc_hook=_simplify)


@lru_cache(maxsize=512)  # bounded: a class that a notebook defines again is another class
def _converter(kind: type) -> Convert | None:
    """Decide by type alone how a value becomes simpler; None: there is no way."""
    if issubclass(kind, Enum):
        return lambda value: value.value
    if kind is bool:  # only met as a key
        return lambda value: "true" if value else "false"
    if _is_not_a_time(kind):
        return lambda _: None
    for base, known in _SUBCLASSES:
        if issubclass(kind, base):
            return known
    if (serializer := getattr(kind, "__pydantic_serializer__", None)) is not None:
        return lambda value: _model(serializer, value)
    if issubclass(kind, (PurePath, UserString, ipaddress._IPAddressBase)):
        return str
    if (convert := tables.converter(kind)) is not None:
        return convert
    if issubclass(kind, abc.Mapping):
        return lambda value: dict(value.items())
    if issubclass(kind, (abc.Sequence, abc.Set, abc.ValuesView)):
        return list
    return None


def _is_not_a_time(kind: type) -> bool:
    """Whether a type is that of pandas' NaT, which calls itself a datetime."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and kind is type(pandas.NaT)


_SUBCLASSES: list[tuple[type, Convert]] = [
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, bytes.__bytes__),
    (dt.datetime, lambda value: _moment(value)),
    (dt.date, lambda value: dt.date(value.year, value.month, value.day)),
    (dt.timedelta, lambda value: _duration(value)),
    (dt.time, lambda value: value.isoformat() if tables.has_odd_offset(value) else _time(value)),
    (Decimal, lambda value: Decimal(value)),
    (UUID, lambda value: UUID(int=value.int)),
]


def _moment(value: Any) -> dt.datetime | str:
    if getattr(value, "nanosecond", 0) or tables.has_odd_offset(value):  # pandas has more digits
        return str(value.isoformat())
    return dt.datetime.combine(dt.date(value.year, value.month, value.day), value.timetz())


def _time(value: Any) -> dt.time:
    return dt.time.fromisoformat(value.isoformat())


def _duration(value: Any) -> dt.timedelta | str:
    if nanoseconds := getattr(value, "nanoseconds", 0):
        whole = dt.timedelta(value.days, value.seconds, value.microseconds) // dt.timedelta(microseconds=1)
        return duration_text(1000 * whole + nanoseconds, 9)
    return dt.timedelta(value.days, value.seconds, value.microseconds)


def _model(serializer: Any, model: Any) -> Any:
    """Write a model with pydantic; field by field where it cannot, or would lose something."""
    try:
        payload = serializer.to_json(model, by_alias=True)
    except Exception:  # a field of a type that pydantic was told to let pass: ours to convert, or to name
        return serializer.to_python(model, by_alias=True)
    kind: Any = type(model)
    may_lose, may_be_zoned = REPLACED in payload or may_lose_keys(kind), _may_be_zoned(payload)
    if may_lose or may_be_zoned:
        fields = serializer.to_python(model, by_alias=True)
        if (may_lose and loses_keys(fields)) or (may_be_zoned and _holds_odd_offset(fields)):
            return fields
    is_text = getattr(kind, "model_config", {}).get("ser_json_inf_nan") == "strings"
    if not is_text and any(word in payload for word in (b"null", b"NaN", b"Infinity")):
        return serializer.to_python(model, mode="json", by_alias=True)
    return Raw(payload)


def _holds_odd_offset(value: Any) -> bool:
    """Return whether a time whose offset has seconds is in a value of lists, dicts and the like."""
    try:
        _scan(value, 0, is_asked=False, is_zoned=True)
    except Exception:  # two keys, or what has no JSON form: for the walk to say
        return True
    return False


def loses_keys(value: Any) -> bool:
    """Return whether two keys of one mapping in a value read the same in JSON, or it has no JSON form at all."""
    try:
        _Walk("value").plain(value)
    except errors.NotJson:
        return True
    return False


@lru_cache(maxsize=512)
def may_lose_keys(kind: Any) -> bool:
    """Return whether a pydantic model, or adapter, has mappings whose keys need not be text."""
    return any(map(_has_odd_keys, _schemas(kind)))


@lru_cache(maxsize=512)
def may_hold_models(adapter: Any) -> bool:
    """Return whether values of a pydantic adapter may hold models: their own configuration says how to write them."""
    return any(schema.get("type") == "model" or _is_open(schema) for schema in _schemas(adapter))


def _has_odd_keys(schema: dict[str, Any]) -> bool:
    keys = schema.get("keys_schema", {}).get("type")
    return _is_open(schema) or (schema.get("type") == "dict" and keys not in ("str", "int", "uuid", "date"))


def _is_open(schema: dict[str, Any]) -> bool:
    """Return whether a part of a pydantic schema lets anything pass."""
    lets_more = "allow" in (schema.get("extra_behavior"), schema.get("extra_fields_behavior"))
    return lets_more or schema.get("type") in ("any", "callable", "is-instance")


def _schemas(kind: Any) -> Iterator[dict[str, Any]]:
    """Every part of the schema of a pydantic model, or adapter, that is a schema."""
    # Some types of pydantic, such as SecretStr, have a serializer and no schema.
    return schema_parts(getattr(kind, "__pydantic_core_schema__", None) or getattr(kind, "core_schema", None))


def schema_parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every part of a core schema of pydantic that is a dict."""
    todo = [schema]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            yield part
            todo += part.values()
        elif isinstance(part, list | tuple):
            todo += part


def _why_not(value: object) -> str:
    kind = type(value)
    if futures.unready(value):
        shown = f"{kind.__module__}.{kind.__qualname__}"
        return f"{shown} is not JSON; return it by itself or in a list of futures, or put its result here"
    if inspect.isroutine(value):
        return "function is not JSON; pass what it returns"
    if inspect.isclass(value):
        return f"class {value.__name__} is not JSON; pass an instance"
    if inspect.isawaitable(value):
        return f"{kind.__name__} is not JSON; await it first"
    if isinstance(value, abc.AsyncIterator):
        return f"{kind.__name__} is not JSON; collect it into a list first"
    if isinstance(value, abc.Iterator):
        return f"{kind.__name__} is not JSON; make a list(…) of it first"
    if isinstance(value, complex):
        return "a complex number is not JSON; pass its real and imag parts"
    if isinstance(value, types.ModuleType):
        return "module is not JSON; pass a value from it"
    module = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
    return f"{module}{kind.__qualname__} is not JSON; convert it to a dict, a list, text or a number first"


# The careful way: slower, but it knows where it is

_Place = tuple["_Place | None", "int | str", Any]
"""A step from a place to a part of it: index or key, and what it is a part of, as it was before its conversion."""

_AS_THEY_ARE = frozenset(
    (type(None), bool, float, bytes, bytearray, Raw, dt.datetime, dt.date, dt.time, dt.timedelta, UUID, Decimal)
)


class _Walk:
    """Goes through a value part by part, without recursion, and knows the path to each part."""

    def __init__(self, name: str) -> None:
        self._name = name

    def plain(self, value: object) -> Any:
        """Return the value with nothing in it but what msgspec writes; a tree where it shared parts."""
        result: list[Any] = [None]
        todo: list[tuple[Any, Any, Any, _Place | None, int]] = [(value, result, 0, None, 0)]
        while todo:
            given, into, key, place, depth = todo.pop()
            part = self._simple(given, place)
            children = self._children(part, place)
            if children is None:
                into[key] = part
                continue
            if depth >= MAX_DEPTH:
                raise self._refusal(place, f"is nested deeper than {MAX_DEPTH} levels; pass a flatter value")
            if _within(place, given):
                raise self._refusal(place, "contains itself; break the cycle, JSON has no references")
            steps: Iterator[tuple[int | str, Any]]
            if isinstance(children, dict):
                into[key] = made = dict.fromkeys(children)
                steps = iter(children.items())
            else:
                into[key] = made = [None] * len(children)  # type: ignore[assignment]  # a dict or a list, by step
                steps = iter(enumerate(children))
            todo.extend((child, made, step, (place, step, given), depth + 1) for step, child in steps)
        return result[0]

    def _simple(self, value: Any, place: _Place | None) -> Any:
        """Convert until msgspec, or `_children`, knows the value."""
        for _ in range(20):
            kind = type(value)
            if kind in _TIMES and tables.has_odd_offset(value):
                return value.isoformat()
            if kind in _AS_THEY_ARE or issubclass(kind, (list, tuple, dict, set, frozenset, msgspec.Struct)):
                return value
            if kind is str:
                return well_formed(value)
            if kind is int:
                if value.bit_length() > MAX_DIGITS * 3.32:
                    raise self._refusal(place, "is an integer of too many digits; pass it as text")
                return value
            if kind is memoryview:
                return value.tobytes()
            if (is_dataclass(value) and not isinstance(value, type)) or hasattr(kind, "__attrs_attrs__"):
                return value
            try:
                value = _simplify(value)
            except Unfit as reason:
                raise self._refusal(place, str(reason)) from None
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
                raise self._refusal(place, f"{kind.__name__} cannot be converted ({said})") from error
        raise self._refusal(place, f"{type(value).__name__} is not JSON; convert it first")

    def _children(self, value: Any, place: _Place | None) -> dict[str, Any] | list[Any] | None:
        """Return the parts of a value, or None if it has none."""
        kind = type(value)
        if kind in _AS_THEY_ARE or kind is str or kind is int:
            return None
        if isinstance(value, dict):
            return self._by_text(value, place)
        if isinstance(value, (list, tuple, set, frozenset)):
            return list(value)
        if isinstance(value, msgspec.Struct):
            return {field.encode_name: getattr(value, field.name) for field in msgspec.structs.fields(value)}
        if is_dataclass(value):
            names = [field.name for field in dataclass_fields(value)]
        else:
            names = [attribute.name for attribute in kind.__attrs_attrs__]
        return {name: getattr(value, name) for name in names if hasattr(value, name)}

    def _by_text(self, mapping: dict[Any, Any], place: _Place | None) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in mapping.items():
            text = self._key(key, place)
            if text in found:
                raise self._refusal(place, f"two keys read {text!r} in JSON; rename one")
            found[text] = value
        return found

    def _key(self, key: object, place: _Place | None) -> str:
        if type(key) is str:
            return well_formed(key)
        if tables.has_odd_offset(key):
            return str(key.isoformat())  # type: ignore[attr-defined]  # it is a time
        try:
            [text] = msgspec.json.decode(_encoder.encode({key: None}))
        except Exception:
            kind = type(key).__name__
            reason = f"has the key {_short(key)}, of type {kind}; JSON keys are text: write str(key)"
            raise self._refusal(place, reason) from None
        return str(text)

    def _refusal(self, place: _Place | None, reason: str) -> errors.NotJson:
        steps = []
        while place is not None:
            place, step, _ = place
            steps.append(step)
        steps.reverse()
        shown = [path_step(step) for step in steps]
        if len(shown) > PATH_STEPS:
            shown[PATH_STEPS // 2 : -PATH_STEPS // 2] = ["…"]
        return errors.NotJson(f"{self._name}{''.join(shown)}: {reason}")


def _within(place: _Place | None, part: object) -> bool:
    while place is not None:
        place, _, holder = place
        if holder is part:
            return True
    return False


def path_step(step: int | str) -> str:
    """Spell one step into a value: ``[3]``, ``.status`` or ``['odd key']``."""
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step.isidentifier() else f"[{_short(step)}]"


def _short(value: object, limit: int = 60) -> str:
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"
