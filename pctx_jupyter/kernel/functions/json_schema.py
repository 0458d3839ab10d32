"""The JSON Schema of a type, as short as a declaration that models read should be."""

from __future__ import annotations

import enum
from inspect import Parameter
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from ... import errors, values
from ...rpc import nonfinite
from . import foreign, mending, written

DEFAULT_BYTES = 1000
"""Bytes of JSON a default may have to be shown in a schema: declarations are read by models."""


class CompactSchema(GenerateJsonSchema):
    """Leaves out titles that only repeat a name: declarations are read by models, and should be short."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  # as its base declares it

    def enum_schema(self, schema: Any) -> Any:
        if issubclass(schema["cls"], enum.Flag):  # any sum of its members is one of its values
            return {"type": "integer"}
        return super().enum_schema(schema)

    def field_is_present(self, field: Any) -> bool:
        is_given = self.mode == "serialization" or field.get("init", True)  # a dataclass ignores what is no parameter
        return is_given and super().field_is_present(field)

    def dataclass_schema(self, schema: Any) -> Any:
        made = super().dataclass_schema(schema)
        if self.mode == "serialization":
            for name, inner in mending.left_out(schema["cls"]).items():
                made.setdefault("properties", {})[name] = self.generate_inner(inner)
                made.setdefault("required", []).append(name)
        return made

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def named_tuple_schema(self, schema: Any) -> Any:  # pydantic from 2.14 on
        return self._named(super().named_tuple_schema(schema), schema["fields"])

    def p_arguments_schema(self, arguments: Any, var_args_schema: Any) -> Any:  # pydantic before
        return self._named(super().p_arguments_schema(arguments, var_args_schema), arguments)

    def _named(self, made: Any, fields: Any) -> Any:
        """Give the places of a named tuple their names; what Python returns has all of them."""
        places = made.get("prefixItems", [])
        for place, one in zip(places, fields, strict=False):
            if isinstance(one, dict) and "name" in one:
                place["title"] = one["name"]
        if self.mode == "serialization" and places:
            made["minItems"] = len(places)
        return made

    def generate(self, schema: Any, mode: Any = "validation") -> Any:
        made = foreign.finish(super().generate(schema, mode))
        for name, definition in made.get("$defs", {}).items():
            if definition.get("title") == name:
                del definition["title"]
        return made


def show_default(schema: dict[str, Any], default: object) -> None:
    """Add the default of a parameter to its schema, if it has a short JSON form."""
    if default is Parameter.empty or default is written.UNKNOWN or "default" in schema:
        return
    try:
        raw = values.to_json(default)
    except errors.NotJson:  # a sentinel, say: the function's own affair
        return
    if len(bytes(raw)) <= DEFAULT_BYTES and not nonfinite.is_marked(raw):  # a schema is JSON
        schema["default"] = values.from_json(raw)
