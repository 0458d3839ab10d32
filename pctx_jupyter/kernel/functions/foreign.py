"""Annotations that pydantic has no schema for: what such a parameter accepts, and what it receives.

An annotation is rewritten before pydantic sees it: ``DataFrame`` becomes "anything, checked and converted by us", also
inside ``dict[str, DataFrame]`` or ``DataFrame | None``. Inside a class of the user it stays what it is, and pydantic
refuses it by name. Imports no library: an annotation can only be theirs if they are loaded already.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime as dt
import enum
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, cast, get_args, get_origin

import msgspec
import typing_extensions
from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import core_schema

from ... import values
from ...tools.shapes import BYTES
from ...tools.tool import HANDLE
from ...values import tables
from . import handed, literals, mending

_TYPED_DICTS_NEED_REWRITING = sys.version_info < (3, 12)
"""Until then typing's TypedDict does not say which bases gave it which keys, so pydantic refuses it."""

_ROWS = {"type": "array", "items": {"type": "object"}}
_LIST = {"type": "array", "items": {}}
_LIST_OR_OBJECT = {"anyOf": [_LIST, {"type": "object"}]}


def _as_json() -> core_schema.PlainSerializerFunctionSerSchema:
    """The serialization of types that pydantic cannot write: as the JSON that `values` makes of them."""
    return core_schema.plain_serializer_function_ser_schema(lambda value: values.from_json(values.to_json(value)))


def with_frames(properties: dict[str, Any]) -> None:
    """Declare that parameters which take the rows of a frame take a handle of a frame, too; changed in place."""
    for name, schema in properties.items():
        members = schema.get("anyOf", [])
        if any(_is_path(one) for one in [schema, *members]):
            plain = members or [{key: value for key, value in schema.items() if key in ("type", "format")}]
            outer = {key: value for key, value in schema.items() if key not in ("type", "format", "anyOf")}
            properties[name] = {"anyOf": [{HANDLE: "file"}, *plain]} | outer
        elif any(_is_rows(one) for one in members):
            found = [one | _OR_FRAME if _is_rows(one) else one for one in members]
            properties[name] = schema | {"anyOf": found}
        elif _is_rows(schema):
            properties[name] = schema | _OR_FRAME


def _is_rows(schema: dict[str, Any]) -> bool:
    return all(schema.get(key) == value for key, value in _ROWS.items())


def _is_path(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "string" and schema.get("format") == "path"


_OR_FRAME = {HANDLE: "frame or rows"}
_ARRAY = _LIST | {HANDLE: "array or values"}

make_typed_dict: Any = typing_extensions.TypedDict
"""Makes a TypedDict whose fields are known at run time only."""


@dataclass(frozen=True, eq=False)  # hashable by identity, as typing wants of what stands in a union
class Foreign:
    """How pydantic treats one foreign type.

    Args:
        kind: The type.
        make: Makes a value of the type from decoded JSON; raises ValueError if it cannot.
        accepts, returns: JSON Schemas of arguments and of results.
    """

    kind: type
    make: Callable[[Any], Any]
    accepts: dict[str, Any]
    returns: dict[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.converted, serialization=_as_json())

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return dict(self.returns if handler.mode == "serialization" else self.accepts)

    def converted(self, value: Any) -> Any:
        """Return the value as one of the type."""
        value = handed.taken(value)
        if isinstance(value, self.kind):
            return value
        try:
            return self.make(value)
        except Exception as error:
            raise ValueError(f"cannot become a {self.kind.__name__} ({error})") from error


_Alias: Any = getattr(typing, "TypeAliasType", None)
"""The class of aliases made by ``type`` statements, from Python 3.12 on; numpy has such aliases."""


def rewrite(annotation: Any) -> Any:
    """Return the annotation with every foreign type in it replaced by one that pydantic knows how to treat."""
    return _Rewriting().rewrite(annotation)


@dataclass(frozen=True, eq=False)
class _Ordered:
    """How pydantic treats a union with frames or arrays, which could be made of much that other members are.

    Of JSON, rows are a frame first, anything else is one of the plain members if it can be, and else an array.
    """

    members: tuple[Any, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        by_rank: dict[int, list[core_schema.CoreSchema]] = {0: [], 1: [], 2: []}
        for member in self.members:
            by_rank[_rank(member)].append(handler.generate_schema(member))
        plain: list[Any] = by_rank[1]
        ordered: list[Any] = [*by_rank[0], core_schema.union_schema(plain) if len(plain) > 1 else plain[0], *by_rank[2]]
        return core_schema.json_or_python_schema(
            json_schema=core_schema.union_schema(ordered, mode="left_to_right"),
            python_schema=core_schema.union_schema([*by_rank[0], *plain, *by_rank[2]]),
        )


def _union(members: tuple[Any, ...]) -> Any:
    if str in members:  # every text would be bytes, if it is base64 by chance
        members = tuple(_ONLY_ARRAYS.get(member, member) for member in members)
    some = tuple(member for member in members if member is not type(None))
    if any(_rank(member) == 1 for member in some) and any(_rank(member) != 1 for member in some):
        ordered: Any = Annotated[Any, _Ordered(some)]
        return ordered if len(some) == len(members) else typing.Optional[ordered]  # noqa: UP045
    return typing.Union[tuple(sorted(members, key=_rank))]  # noqa: UP007  # as many as there are


def _rank(member: Any) -> int:
    """0: rows, 1: what pydantic knows, 2: a list that becomes an array or a series."""
    found = next((one for one in get_args(member)[1:] if isinstance(one, Foreign)), None)
    if found is None or get_origin(member) is not Annotated:
        return 1
    return 0 if found.accepts is _ROWS else 2 if found.accepts in (_LIST, _ARRAY, _LIST_OR_OBJECT) else 1


class _Rewriting:
    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}

    def rewrite(self, annotation: Any) -> Any:
        if isinstance(annotation, type) and annotation in _BASE64:
            return _BASE64[annotation]
        if annotation is Decimal:
            return _DECIMAL
        if isinstance(annotation, type):
            if (foreign := _foreign(annotation, ())) is not None:
                return foreign
            if (record := _record(annotation)) is not None:
                return Annotated[Any, record]
        if _TYPED_DICTS_NEED_REWRITING and type(annotation) is typing._TypedDictMeta:  # type: ignore[attr-defined]
            return self._typed_dict(annotation)
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is None or origin is Literal:
            return annotation
        if _Alias is not None and isinstance(origin, _Alias):  # ``type NDArray[T] = …``, with its T given
            return self.rewrite(origin.__value__[args])
        if isinstance(origin, type) and (foreign := _foreign(origin, args)) is not None:
            return foreign
        if origin is Annotated:
            inner = self.rewrite(args[0])
            return annotation if inner is args[0] else Annotated[(inner, *args[1:])]
        rewritten = tuple(self.rewrite(arg) if not isinstance(arg, list) else arg for arg in args)
        if all(new is old for new, old in zip(rewritten, args, strict=True)):
            return annotation
        if origin in (typing.Union, types.UnionType):
            return _union(rewritten)
        if hasattr(annotation, "copy_with"):
            return annotation.copy_with(rewritten)
        return origin[rewritten]

    def _typed_dict(self, old: Any) -> Any:
        if old in self._made:
            return self._made[old]
        new = make_typed_dict(old.__name__, {})
        self._made[old] = new  # before its fields: they may name it
        # Where annotations are text, only the resolved ones say Required and NotRequired.
        hints = typing_extensions.get_type_hints(old, include_extras=True)
        required = {key for key, hint in hints.items() if is_required(hint, key in old.__required_keys__)}
        new.__annotations__ = {key: self.rewrite(bare(hint)) for key, hint in hints.items()}
        new.__required_keys__, new.__optional_keys__ = frozenset(required), frozenset(hints) - required
        new.__module__, new.__qualname__, new.__doc__ = old.__module__, old.__qualname__, old.__doc__
        if (config := getattr(old, "__pydantic_config__", None)) is not None:
            new.__pydantic_config__ = config
        return new


def bare(hint: Any) -> Any:
    """Return the type inside of ``Required`` and ``NotRequired``."""
    return get_args(hint)[0] if get_origin(hint) in (typing.Required, typing.NotRequired) else hint


def is_required(hint: Any, otherwise: bool) -> bool:
    """Whether the field of a TypedDict is required; `otherwise`: the default of its class."""
    origin = get_origin(hint)
    return origin is typing.Required or (otherwise and origin is not typing.NotRequired)


def has_members(schema: Any) -> bool:
    """Whether members of an enumeration are literals somewhere in a core schema, as in ``Literal[Color.RED]``."""
    if isinstance(schema, dict):
        if schema.get("type") == "literal":
            return any(isinstance(one, enum.Enum) for one in schema["expected"])
        return any(map(has_members, schema.values()))
    return isinstance(schema, list | tuple) and any(map(has_members, schema))


def with_members(schema: Any) -> Any:
    """Return a core schema that takes a member's value for the member: JSON has no members."""
    if isinstance(schema, dict):
        if schema.get("type") == "literal" and has_members(schema):
            ref = {"ref": schema["ref"]} if "ref" in schema else {}
            inner = {key: value for key, value in schema.items() if key != "ref"}
            return core_schema.no_info_before_validator_function(_literal_of(schema["expected"]), inner) | ref
        return {key: with_members(value) for key, value in schema.items()}
    if isinstance(schema, list | tuple):
        return type(schema)(map(with_members, schema))
    return schema


def _literal_of(expected: list[Any]) -> Callable[[Any], Any]:
    def literal_of(value: Any) -> Any:
        for one in expected:
            plain = _plain_value(one)
            if value is one or (plain == value and type(plain) is type(value)):
                return one
        raise ValueError(f"expected {' or '.join(repr(_plain_value(one)) for one in expected)}")

    return literal_of


def _plain_value(value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value


@dataclass(frozen=True, eq=False)
class _Record:
    """How pydantic treats a class of attrs or msgspec: msgspec knows their fields, and makes their instances."""

    kind: type
    schema: dict[str, Any]
    definitions: dict[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        if '"decimal"' in json.dumps([self.schema, self.definitions], default=str):  # they need the digits of numbers
            return core_schema.with_info_plain_validator_function(self.converted, serialization=_as_json())
        return core_schema.no_info_plain_validator_function(self.converted, serialization=_as_json())

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return self.schema | {_DEFINITIONS: self.definitions}

    def converted(self, value: Any, info: core_schema.ValidationInfo | None = None) -> Any:
        """Return the value as an instance of the class."""
        if isinstance(value, self.kind):
            return value
        try:
            made: Any = self._made(value, {} if info is None else info.context or {})
        except msgspec.ValidationError as error:
            raise ValueError(f"cannot become a {self.kind.__name__} ({error})") from error
        finer = set(filter(mending.FINER.fullmatch, _texts(value)))
        if finer and not finer <= set(_texts(msgspec.to_builtins(made))):  # it was no text that they were read as
            raise ValueError(f"cannot become a {self.kind.__name__} ({mending.TOO_FINE})")
        return made

    def _made(self, value: Any, digits: Mapping[float, set[str]]) -> Any:
        """Make an instance.

        Args:
            value: Decoded JSON.
            digits: What `literals.lost` has found in it.
        """
        if digits:
            exact = _mapped(value, float, lambda one: _as_written(one, digits))
            return msgspec.json.decode(msgspec.json.encode(exact), type=self.kind)
        try:
            return msgspec.convert(value, self.kind)
        except msgspec.ValidationError:
            timed = _mapped(value, str, _with_odd_offset)
            if timed == value:
                raise
            return msgspec.convert(timed, self.kind)


def _as_written(number: float, digits: Mapping[float, set[str]]) -> float | msgspec.Raw:
    found = literals.exact(number, digits)
    return msgspec.Raw(str(found)) if isinstance(found, Decimal) else found


def _with_odd_offset(text: str) -> Any:
    """Return the time of a text whose offset has seconds, which msgspec does not read; any other text as it is."""
    return mending.with_odd_offset("datetime", text) or mending.with_odd_offset("time", text) or text


def _mapped(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """Return decoded JSON with other values in the place of those of a type."""
    if type(value) is kind:
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(one, kind, change) for key, one in value.items()}
    return [_mapped(one, kind, change) for one in value] if isinstance(value, list) else value


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


@dataclass(frozen=True, eq=False)
class Fields:
    """How pydantic treats a dataclass with fields for which it has no schema: by the types of its other fields.

    Args:
        kind: The dataclass.
        fields: A TypedDict of its fields; `Any` for those that cannot be declared.
    """

    kind: type
    fields: Any

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        made = core_schema.no_info_after_validator_function(self.made, handler.generate_schema(self.fields))
        either = core_schema.union_schema([core_schema.is_instance_schema(self.kind), made])
        return core_schema.json_or_python_schema(json_schema=made, python_schema=either, serialization=_as_json())

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return dict(handler(cast("Any", schema)["json_schema"]["schema"]))

    def made(self, fields: dict[str, Any]) -> Any:
        """Return an instance of the class with these fields."""
        taken = {field.name for field in dataclasses.fields(cast("Any", self.kind)) if field.init}
        return self.kind(**{name: value for name, value in fields.items() if name in taken})


_REFERENCE = "x-ref"
"""The keyword for a reference to such a definition; never in a finished schema."""
_DEFINITIONS = "x-definitions"
"""The keyword under which a part of a schema carries definitions that belong to the whole; never in a finished one."""


SPECIAL = (Foreign, _Ordered, _Record, Fields)
"""The classes that describe a type beside `Any` in ``Annotated[Any, …]``."""


def _record(kind: type) -> _Record | None:
    if not (issubclass(kind, msgspec.Struct) or hasattr(kind, "__attrs_attrs__")) or kind is msgspec.Struct:
        return None
    try:
        [schema], definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    except NameError:
        raise  # the name of a class that is not defined yet
    except Exception:  # a field that msgspec has no schema for: pydantic says why there is none
        return None
    for name, definition in definitions.items():
        if definition.get("title") == name:
            del definition["title"]
    # Pydantic looks up every reference while it writes a schema, and knows only its own definitions.
    return _Record(kind, _renamed(schema, "$ref", _REFERENCE), _renamed(definitions, "$ref", _REFERENCE))


def _renamed(schema: Any, old: str, new: str) -> Any:
    if isinstance(schema, dict):
        return {new if key == old else key: _renamed(value, old, new) for key, value in schema.items()}
    return [_renamed(part, old, new) for part in schema] if isinstance(schema, list) else schema


def finish(schema: dict[str, Any]) -> dict[str, Any]:
    """Move the definitions that parts of a schema carry to where references look for them; return the schema."""
    found: dict[str, Any] = {}
    _lift(schema, found)
    if not found:
        return schema
    finished: dict[str, Any] = _renamed(schema | {"$defs": found | schema.get("$defs", {})}, _REFERENCE, "$ref")
    return finished


def _lift(schema: Any, found: dict[str, Any]) -> None:
    if isinstance(schema, dict):
        found |= schema.pop(_DEFINITIONS, {})
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        _lift(part, found)


def _foreign(kind: type, args: tuple[Any, ...]) -> Any:
    library = kind.__module__.partition(".")[0]
    module, find = sys.modules.get(library), _LIBRARIES.get(library)
    if module is None or find is None:
        return None
    found = find(module, kind, args)
    return None if found is None else Annotated[Any, found]


def _numpy(np: Any, kind: type, args: tuple[Any, ...]) -> Foreign | None:
    if issubclass(kind, np.ndarray):
        scalar = next((get_args(arg)[0] for arg in args if get_origin(arg) is np.dtype), None)
        dtype = scalar if isinstance(scalar, type) else None
        return Foreign(kind, lambda value: _array(np, _list(value), dtype), _ARRAY, _LIST)
    if issubclass(kind, np.timedelta64):  # numpy counts it among the integers, and reads no text into it
        return None
    for base, schema in (
        (np.bool_, {"type": "boolean"}),
        (np.datetime64, {"type": "string", "format": "date-time"}),
        (np.integer, {"type": "integer"}),
        (np.floating, {"type": "number"}),
        (np.str_, {"type": "string"}),
    ):
        if issubclass(kind, base):
            return _scalar(kind, kind, schema)
    return None


def _array(np: Any, value: list[Any], dtype: Any) -> Any:
    """Make an array of JSON's values, or raise ValueError: numpy cuts fractions and rounds integers in silence."""
    if dtype is None:
        return _array_of_any(np, value)
    kind = np.dtype(dtype).kind
    if kind in _ELEMENTS:
        wanted, allowed = _ELEMENTS[kind]
        given = np.asarray(value, dtype=object)
        if wrong := [one for one in given.flat if not allowed(one)]:
            raise ValueError(f"{_shown(wrong[0])} is not {wanted}")
        if kind == "S":
            return np.array([_decoded(one) for one in given.flat], dtype=dtype).reshape(given.shape)
        if kind == "m":
            return np.array([one and _duration(one) for one in given.flat], dtype="m8[us]").reshape(given.shape)
    with np.errstate(over="ignore"):  # it is refused below
        made = np.asarray(value, dtype=dtype)
    if kind in "iuf":
        _demand_held(np, np.asarray(value), made)
    return made


def _array_of_any(np: Any, value: list[Any]) -> Any:
    """Make an array of the type that suits its elements; of objects where another would change one."""
    made = np.asarray(value)
    if made.dtype.kind == "f" and (abs(made) >= 2**53).any():
        exact = np.asarray(value, dtype=object)
        if all(type(one) is int for one in exact.flat):
            return exact.astype(np.uint64) if exact.min() >= 0 and exact.max() < 2**64 else exact
        return exact if tables.exact_dtype(exact.flat) is not None else made
    if made.dtype.kind == "U" and not all(type(one) is str for one in np.asarray(value, dtype=object).flat):
        return np.asarray(value, dtype=object)
    return made


def _shown(value: Any) -> str:
    text = bytes(values.to_json(value)).decode()
    return text if len(text) <= 40 else text[:39] + "…"


def _duration(text: str) -> dt.timedelta:
    """Return the duration of an ISO text, as days and times; raises ValueError if its length is not known exactly."""
    if mending.FINER.fullmatch(text):
        raise ValueError(mending.TOO_FINE)
    try:
        return _DURATIONS.validate_python(_counted(text))
    except ValidationError:
        raise ValueError(f'{_shown(text)} is not a duration; write it like "P1DT2H"') from None


def _counted(text: str) -> str:
    """Return the text of a duration; raises ValueError if pandas would read another one."""
    if re.fullmatch(r"[+-]?[\d.]+", text):
        raise ValueError('a number is not a duration; write it like "P1DT2H"')
    calendar, why = mending.REFUSED["timedelta"]
    if calendar.fullmatch(text):
        raise ValueError(why)
    if re.match(r"[+-]?P.*[.,]\d+[WDHM]", text, re.IGNORECASE):
        raise ValueError('only seconds may have a fraction, as in "P1DT43200.5S"')
    return text


_DURATIONS = TypeAdapter(dt.timedelta)


_ELEMENTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "b": ("true or false", lambda one: type(one) is bool or (type(one) is int and one in (0, 1))),
    "U": ("a text", lambda one: type(one) is str),
    "S": ("base64 text", lambda one: type(one) is str),
    "M": ("a time", lambda one: one is None or (type(one) is str and re.fullmatch(r"\d+", one) is None)),
    "m": ("a duration", lambda one: one is None or type(one) is str),
}
"""By numpy's kinds of types: what elements are, and whether a value is one. Others become what they are not."""


def _demand_held(np: Any, given: Any, made: Any) -> None:
    """Raise ValueError where an array does not hold the numbers that were given: fractions, or what is too large."""
    if made.dtype.kind == "f" and given.dtype.kind in "iuO" and (wrong := np.isinf(made)).any():
        raise ValueError(f"{given[wrong].flat[0]:.20g} is too large for {made.dtype.name}")
    if given.dtype.kind != "f":
        return
    if made.dtype.kind in "iu" and (wrong := given % 1 != 0).any():
        raise ValueError(f"{given[wrong].flat[0]} is not a whole number")
    if made.dtype.kind == "f" and (wrong := np.isinf(made) & ~np.isinf(given)).any():
        raise ValueError(f"{given[wrong].flat[0]} is too large for {made.dtype.name}")


def _pandas(pd: Any, kind: type, _: tuple[Any, ...]) -> Foreign | None:
    moment = {"type": "string", "format": "date-time"}
    lasting = {"type": "string", "format": "duration"}
    text = {"type": "string"}
    if issubclass(kind, pd.DataFrame):
        return Foreign(kind, lambda value: _frame(pd, kind, _rows(value)), _ROWS, _ROWS)
    if issubclass(kind, pd.Series):
        return Foreign(kind, lambda value: tables.series_of(pd, kind, value), _LIST_OR_OBJECT, _LIST)
    if issubclass(kind, pd.Index):
        return Foreign(kind, lambda value: pd.Index(_list(value), dtype=tables.exact_dtype(value)), _LIST, _LIST)
    if issubclass(kind, pd.Timestamp):
        return _scalar(kind, lambda value: kind(_python_time(value)), moment)
    if issubclass(kind, pd.Timedelta):
        return _scalar(kind, lambda value: kind(_counted(value)), lasting)
    if issubclass(kind, pd.Period):
        return _scalar(kind, lambda value: kind(_without_zone(value)), text)
    return None


def _without_zone(text: str) -> str:
    """Return the text of a period; raises ValueError for a time with an offset, which pandas leaves out."""
    if re.search(r"T[^T]*(Z|[+-]\d\d(:?\d\d)?)\s*$", text, re.IGNORECASE):
        raise ValueError("a period has no time zone")
    return text


def _python_time(text: str) -> Any:
    """Return a time whose offset has seconds, which pandas cannot read; any other text as it is."""
    return mending.with_odd_offset("datetime", text) or text


def _frame(pd: Any, kind: Any, found: list[Any]) -> Any:
    """Make a frame of rows; with objects where integers beyond 2**53 would become floats, beside missing ones."""
    made = kind(found)
    for name in made.columns:
        if made[name].dtype.kind == "f" and (abs(made[name]) >= 2**53).any():
            cells = [row.get(name) for row in found]
            if (exact := tables.exact_dtype(cells)) is not None:
                made[name] = pd.Series(cells, dtype=exact)
    return made


def _polars(pl: Any, kind: type, _: tuple[Any, ...]) -> Foreign | None:
    if issubclass(kind, pl.DataFrame):
        return Foreign(kind, lambda value: _polars_frame(kind, _rows(value)), _ROWS, _ROWS)
    if issubclass(kind, pl.Series):
        return Foreign(kind, lambda value: kind(_of_one_kind(_list(value))), _LIST, _LIST)
    return None


def _polars_frame(kind: Any, found: list[Any]) -> Any:
    made = kind(found, infer_schema_length=None)
    for column in made.iter_columns():
        if column.dtype.is_float() and (column.abs() >= 2**53).any():
            _of_one_kind([row.get(column.name) for row in found])
    return made


_LIBRARIES: dict[str, Callable[[Any, type, tuple[Any, ...]], Foreign | None]] = {
    "numpy": _numpy,
    "pandas": _pandas,
    "polars": _polars,
}

_PLAIN: dict[str, TypeAdapter[Any]] = {
    "boolean": TypeAdapter(bool),
    "integer": TypeAdapter(int),
    "number": TypeAdapter(float),
    "string": TypeAdapter(str),
}


def _scalar(kind: type, make: Callable[[Any], Any], schema: dict[str, Any]) -> Foreign:
    plain = _PLAIN[schema["type"]]

    def checked(value: Any) -> Any:
        try:
            made = make(plain.validate_python(value))
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"]) from None
        if made != made and schema["type"] != "number":  # NaT, for one: JSON has no such text
            raise ValueError("it is not a time")
        return made

    return Foreign(kind, checked, schema, schema)


def _rows(value: Any) -> list[Any]:
    if (convert := tables.converter(type(value))) is not None:  # a frame of another library, passed by handle
        value = convert(value)
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ValueError("rows are needed: an array of objects")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("an array is needed")
    return value


def _of_one_kind(values: list[Any]) -> list[Any]:
    """Make all numbers floats if some are: 1.0 becomes 1 on its way through JavaScript."""
    if {int, float} <= set(map(type, values)):
        if tables.exact_dtype(values) is not None:
            raise ValueError("an integer beyond 2**53 would be rounded beside fractions; pass texts")
        return [float(value) if type(value) is int else value for value in values]
    return values


@dataclass(frozen=True, eq=False)
class _Base64:
    """Bytes as base64 text: the alphabet that JavaScript's ``atob`` reads.

    Both alphabets are accepted, and a list of numbers, which a ``Uint8Array`` is in JSON.
    """

    kind: Callable[[bytes], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        kind: Any = self.kind
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_plain_validator_function(lambda text: kind(self.decoded(text))),
            python_schema=core_schema.bytes_schema() if kind is bytes else core_schema.is_instance_schema(kind),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: base64.b64encode(bytes(value)).decode(), when_used="json-unless-none"
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        if handler.mode == "serialization":
            return {"type": "string", "contentEncoding": "base64"}
        return {"anyOf": [{"type": "string"}, BYTES], "contentEncoding": "base64"}

    def decoded(self, text: object) -> bytes:
        """Return the bytes; raises ValueError."""
        if isinstance(text, list) and all(type(one) is int and 0 <= one < 256 for one in text):
            return bytes(text)
        if not isinstance(text, str):
            raise ValueError("bytes are base64 text or a Uint8Array")
        try:
            padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
            return base64.b64decode(padded.translate(_STANDARD), validate=True)
        except binascii.Error as error:
            raise ValueError(
                f"bytes are base64 text or a Uint8Array ({error}); new TextEncoder().encode(text) makes one of any text"
            ) from error


@dataclass(frozen=True, eq=False)
class _OnlyArrays(_Base64):
    """Bytes beside texts: a ``Uint8Array`` or a list of numbers, and no text."""

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return super().__get_pydantic_json_schema__(schema, handler) if handler.mode == "serialization" else dict(BYTES)

    def decoded(self, text: object) -> bytes:
        """Return the bytes; raises ValueError."""
        if isinstance(text, str):
            raise ValueError("bytes are a Uint8Array here")
        return super().decoded(text)


_STANDARD = str.maketrans("-_", "+/")
_BASE64: dict[type, Any] = {kind: Annotated[kind, _Base64(kind)] for kind in (bytes, bytearray, memoryview)}
_ONLY_ARRAYS = {_BASE64[kind]: Annotated[kind, _OnlyArrays(kind)] for kind in _BASE64}
_decoded = _Base64(bytes).decoded

_DECIMAL = Annotated[Decimal, Field(allow_inf_nan=True)]
"""A decimal number is text, so NaN and the infinities are texts like the others."""
