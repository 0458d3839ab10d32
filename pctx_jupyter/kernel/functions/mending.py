"""What pydantic reads or writes wrongly: numbers as times, members of enumerations, keys, instances of dataclasses.

Works on core schemas, so that it reaches into classes of the user. Knows nothing of signatures.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pydantic
import pydantic_core
from pydantic_core import PydanticCustomError, PydanticKnownError, SchemaValidator, core_schema

from ... import errors, values

_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d*)?\s*")

_CALENDAR = re.compile(r"\s*[+-]?P[^T]*[YM].*", re.IGNORECASE)

_REFUSED = {
    "datetime": (_NUMBER, 'a number is not a time; write it like "2024-01-31T12:00:00Z"'),
    "date": (_NUMBER, 'a number is not a time; write it like "2024-01-31"'),
    "timedelta": (_CALENDAR, 'months and years have no fixed length; write days, as in "P30D"'),
}
"""Texts that pydantic takes for times, and what to say: digits for seconds since 1970, a month for 30 days."""


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
    read = _reading(schema, is_choice)
    if read is None:
        found = {key: mended(value, schema.get("type") == "union") for key, value in schema.items()}
        if schema.get("type") == "dict" and _changes(schema.get("keys_schema", {})):
            return _for_json(found, lambda inner: core_schema.no_info_wrap_validator_function(_keys_apart, inner))
        return schema if all(map(_is, found.values(), schema.values())) else found
    # To a union, what a plain function takes is exactly of its type, as a date in JSON is.
    return _for_json(schema, lambda _: core_schema.no_info_plain_validator_function(read))


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
    if schema.get("type") in _REFUSED:
        return _time(schema, is_choice)
    if schema.get("type") == "enum":
        kinds = {type(member.value) for member in schema["members"]}
        return None if kinds in ({str}, {int}) else _member(schema, is_choice)
    return None


def _time(schema: dict[str, Any], is_strict: bool) -> Callable[[Any], Any]:
    inner: Any = {key: value for key, value in schema.items() if key != "ref"}
    plain, (refused, why) = SchemaValidator(inner), _REFUSED[schema["type"]]

    def read(value: Any) -> Any:
        text = str(value) if isinstance(value, int | float) else value
        if isinstance(text, str) and refused.fullmatch(text):
            raise ValueError(why)
        try:
            return plain.validate_json(pydantic_core.to_json(value), strict=is_strict)
        except pydantic.ValidationError as error:
            found = error.errors()[0]
            raise PydanticCustomError(found["type"], "{message}", {"message": found["msg"]}) from None

    return read


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
