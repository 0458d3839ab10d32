"""What pydantic reads or writes wrongly: times, members of enumerations, keys, instances of dataclasses.

Works on core schemas, so that it reaches into classes of the user. Knows nothing of signatures.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import re
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pydantic
import pydantic_core
from pydantic_core import PydanticCustomError, PydanticKnownError, SchemaValidator, core_schema

from ... import errors, values
from ...values import tables
from . import literals

_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d*)?\s*")

_CALENDAR = re.compile(r"\s*[+-]?P[^TYM]*[YM].*", re.IGNORECASE | re.DOTALL)

REFUSED = {
    "datetime": (_NUMBER, 'a number is not a time; write it like "2024-01-31T12:00:00Z"'),
    "date": (_NUMBER, 'a number is not a time; write it like "2024-01-31"'),
    "time": (_NUMBER, 'a number is not a time of day; write it like "12:00:00"'),
    "timedelta": (_CALENDAR, 'months and years have no fixed length; write days, as in "P30D"'),
}
"""Texts that pydantic takes for times, and what to say: digits for seconds since 1970, a month for 30 days."""

FINER = re.compile(r".*[.,]\d{6}0*[1-9]\d*\D*([+-][\d:.]*)?")
"""A time with more digits than microseconds, which pydantic cuts."""

TOO_FINE = "it has digits beyond microseconds, which Python's times cannot hold; leave them out, or declare a text"

_IS_DURATION = re.compile(r"\s*[+-]?P", re.IGNORECASE)

_ODD_OFFSET = re.compile(r".*\d:\d\d[\d.,]*[+-]\d\d:\d\d:\d\d(\.\d+)?", re.DOTALL)
"""A time whose offset has seconds, as before there were zones: pydantic refuses it, and Python reads it."""


def mended(schema: Any, is_choice: bool = False) -> Any:
    """Return a core schema that reads JSON right; the same object if nothing is to be changed in it.

    Args:
        schema: The schema, or a part of one.
        is_choice: Whether it is a member of a union: then it takes only what is just of its type.
    """
    if isinstance(schema, list | tuple):
        parts = [mended(part, is_choice) for part in schema]
        return schema if all(map(_is, parts, schema)) else type(schema)(parts)
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "tuple" and not schema["items_schema"]:  # of tuple[()]: pydantic takes any list
        return schema | {"max_length": 0}
    if is_choice and schema.get("type") == "bool":  # 1 and "1" are of another member, or of none
        return _for_json(schema, lambda inner: inner | {"strict": True})
    read = _reading(schema, is_choice)
    if read is None:
        found = {key: mended(value, schema.get("type") == "union") for key, value in schema.items()}
        if schema.get("type") == "dict" and _changes(schema.get("keys_schema", {})):
            return _for_json(found, lambda inner: core_schema.no_info_wrap_validator_function(_keys_apart, inner))
        return schema if all(map(_is, found.values(), schema.values())) else found
    # To a union, what a plain function takes is exactly of its type, as a date in JSON is.
    made = _for_json(schema, lambda _: core_schema.no_info_plain_validator_function(read))
    return _exact_time(schema, made) if schema["type"] in REFUSED else made


def _exact_time(schema: Any, made: Any) -> Any:
    """Let a core schema refuse pandas' nanoseconds, which pydantic cuts, and write the seconds of offsets."""
    made["python_schema"] = core_schema.no_info_before_validator_function(_not_finer, made["python_schema"])
    if schema["type"] in ("datetime", "time") and "serialization" not in schema:
        inner: Any = {key: value for key, value in schema.items() if key != "ref"}
        made["serialization"] = core_schema.wrap_serializer_function_ser_schema(
            _with_offset, schema=inner, when_used="json"
        )
    return made


def _not_finer(value: Any) -> Any:
    if getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0):
        raise ValueError(TOO_FINE)
    return value


def _with_offset(value: Any, write: Callable[[Any], Any]) -> Any:
    return value.isoformat() if tables.has_odd_offset(value) else write(value)


def _for_json(schema: dict[str, Any], make: Callable[[Any], Any]) -> Any:
    """Return a core schema that treats values of JSON as another one does, and those of Python as it did.

    Args:
        schema: What it did.
        make: Makes the other one of it.
    """
    ref = {"ref": schema["ref"]} if "ref" in schema else {}
    inner: Any = {key: value for key, value in schema.items() if key != "ref"}
    return core_schema.json_or_python_schema(make(inner), inner) | ref


def _changes(keys: dict[str, Any]) -> bool:
    """Whether the core schema of keys makes anything of a text but the same text."""
    return keys.get("type", "any") not in ("any", "str") or any(
        map(keys.get, ("strip_whitespace", "to_lower", "to_upper"))
    )


def _keys_apart(value: Any, convert: Callable[[Any], Any]) -> Any:
    """Convert an object to a dict; refuse keys of JSON which become one, such as ``"1"`` and ``"01"``."""
    made = convert(value)
    if isinstance(value, dict) and len(made) < len(value):
        first: dict[Any, str] = {}
        for key in value:
            [converted] = convert({key: value[key]})
            if (other := first.setdefault(converted, key)) != key:
                raise ValueError(f'the keys "{other}" and "{key}" are the same here; leave one out')
    return made


def careful(schema: Any) -> Any:
    """Return a core schema that refuses infinite floats, which integers that are too large become.

    The decimals that it makes of numbers have all digits of these, which its context has: what `literals.lost` returns.
    """
    if isinstance(schema, list | tuple):
        return type(schema)(map(careful, schema))
    if not isinstance(schema, dict):
        return schema
    found = {key: careful(value) for key, value in schema.items()}
    if schema.get("type") == "decimal":
        return _for_json(found, lambda inner: core_schema.with_info_before_validator_function(_with_digits, inner))
    return found | {"allow_inf_nan": False} if schema.get("type") == "float" else found


def _with_digits(value: Any, info: Any) -> Any:
    return literals.exact(value, info.context) if type(value) is float else value


def by_fields(schema: Any) -> Any:
    """Return a core schema that checks dataclasses field by field, and gives a dict of what each field holds.

    Pydantic checks an instance by making another: its ``__post_init__`` would run again, and what was assigned to a
    field that is no parameter would be lost.
    """
    if isinstance(schema, list | tuple):
        return type(schema)(map(by_fields, schema))
    if not isinstance(schema, dict):
        return schema
    found = {key: by_fields(value) for key, value in schema.items()}
    arguments: Any = schema.get("schema")
    if schema.get("type") != "dataclass" or arguments["type"] != "dataclass-args" or _is_pydantic(schema["cls"]):
        return found
    fields = {
        field["name"]: core_schema.typed_dict_field(
            field["schema"],
            required=field["schema"]["type"] != "default",
            serialization_alias=field.get("serialization_alias"),
            serialization_exclude=field.get("serialization_exclude"),
            validation_alias=[[field["name"]], [field["validation_alias"]]] if "validation_alias" in field else None,
        )
        for field in found["schema"]["fields"]
        if not field.get("init_only")
    }
    kind: Any = schema["cls"]
    fields |= {name: core_schema.typed_dict_field(inner) for name, inner in left_out(kind).items()}
    held = core_schema.no_info_before_validator_function(_held(kind), core_schema.typed_dict_schema(fields))
    return held | ({"ref": schema["ref"]} if "ref" in schema else {})


def _is_pydantic(kind: type) -> bool:
    return pydantic.dataclasses.is_pydantic_dataclass(kind)  # it has a configuration of its own


def _held(kind: Any) -> Callable[[Any], Any]:
    names = [field.name for field in dataclasses.fields(kind)]

    def held(value: Any) -> Any:
        if isinstance(value, kind):
            try:
                return {name: getattr(value, name) for name in names}
            except AttributeError:  # it is made in part
                return {name: getattr(value, name) for name in names if hasattr(value, name)}
        if not isinstance(value, dict):
            raise ValueError("expected an object")
        return value

    return held


@lru_cache(maxsize=512)
def left_out(kind: Any) -> dict[str, Any]:
    """The core schemas of the fields of a dataclass that pydantic leaves out: without default, and no parameters."""
    missing = dataclasses.MISSING
    names = [
        field.name
        for field in dataclasses.fields(kind)
        if not field.init and field.default is missing and field.default_factory is missing
    ]
    hints = typing.get_type_hints(kind, include_extras=True) if names and not _is_pydantic(kind) else {}
    return {name: _plain_schema(hints[name]) for name in names if name in hints}


def _plain_schema(hint: Any) -> Any:
    try:
        schema: Any = pydantic.TypeAdapter(hint).core_schema
    except Exception:  # a class that pydantic does not know
        return core_schema.any_schema()
    return core_schema.any_schema() if "'ref'" in repr(schema) or "'schema_ref'" in repr(schema) else schema


def _is(one: object, other: object) -> bool:
    return one is other


def _reading(schema: dict[str, Any], is_choice: bool) -> Callable[[Any], Any] | None:
    if schema.get("type") in REFUSED:
        return _time(schema, is_choice)
    if schema.get("type") == "enum":
        kinds = {type(member.value) for member in schema["members"]}
        return None if kinds in ({str}, {int}) else _member(schema, is_choice)
    return None


def _time(schema: dict[str, Any], is_strict: bool) -> Callable[[Any], Any]:
    inner: Any = {key: value for key, value in schema.items() if key != "ref"}
    plain, (refused, why) = SchemaValidator(inner), REFUSED[schema["type"]]

    def read(value: Any) -> Any:
        text = str(value) if isinstance(value, int | float) else value
        if isinstance(text, str):
            if is_strict and schema["type"] == "timedelta" and not _IS_DURATION.match(text):  # else 12:00 were one
                raise ValueError('write a duration like "P1DT2H"')
            if refused.fullmatch(text):
                raise ValueError(why)
            if FINER.fullmatch(text):
                raise ValueError(TOO_FINE)
        try:
            if (made := with_odd_offset(schema["type"], text)) is not None:
                return plain.validate_python(made)
            return plain.validate_json(pydantic_core.to_json(value), strict=is_strict)
        except pydantic.ValidationError as error:
            found = error.errors()[0]
            raise PydanticCustomError(found["type"], "{message}", {"message": found["msg"]}) from None

    return read


def with_odd_offset(kind: str, text: Any) -> dt.datetime | dt.time | None:
    """Return the time of a text whose offset has seconds; None: the text is another one."""
    if kind not in ("datetime", "time") or not isinstance(text, str) or not _ODD_OFFSET.fullmatch(text):
        return None
    try:
        return dt.datetime.fromisoformat(text) if kind == "datetime" else dt.time.fromisoformat(text)
    except ValueError:
        return None


def _member(schema: dict[str, Any], is_strict: bool) -> Callable[[Any], Any]:
    """Read a member by the JSON form of its value, or by its text as a key."""
    plain = pydantic.TypeAdapter(schema["cls"])
    by_value, by_key = {}, {}
    for member in schema["members"]:
        with contextlib.suppress(errors.NotJson):  # then it cannot be returned either
            by_value[bytes(values.to_json(member.value))] = member
            by_key.update(dict.fromkeys(values.from_json(values.to_json({member: None})), member))
    expected = " or ".join(form.decode() for form in by_value)

    def read(value: Any) -> Any:
        found = by_value.get(bytes(values.to_json(value)))
        if found is None and isinstance(value, str) and not is_strict:
            found = by_key.get(value)
        if found is not None:
            return found
        try:
            return plain.validate_python(value, strict=is_strict)
        except pydantic.ValidationError:
            raise PydanticKnownError("enum", {"expected": expected}) from None

    return read
