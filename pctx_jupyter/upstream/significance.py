"""What counts in a JSON Schema: what a model reads in the declarations, and what a call is checked against.

Two schemas that differ in nothing else are the same tool. JSON in, JSON and sentences out.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from .. import visible
from ..rpc.jsonrpc import Json

IGNORED = frozenset({"$schema", "$comment", "$vocabulary"})
"""Keywords that neither a declaration nor a check reads."""
OF_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords with a schema for each name."""
LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
"""Keywords with a list of schemas."""
OF_SCHEMA = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
"""Keywords with a schema; ``items`` may have a list of them."""
EMPTY: dict[str, tuple[Json, ...]] = {
    "properties": ({},),
    "patternProperties": ({},),
    "$defs": ({},),
    "definitions": ({},),
    "required": ([],),
    "additionalProperties": (True, {}),
    "deprecated": (False,),
    "description": ("",),
}
"""Values that say the same as no keyword."""
MOST = 10
"""Differences that are named; of more, their number."""
LONGEST = 300
"""Characters of one difference."""


def significant(schema: Json) -> Json:
    """Return a schema without what does not count, and in one order where order does not count."""
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Json] = {}
    for key, value in schema.items():
        if key in IGNORED:
            continue
        if key in OF_SCHEMAS and isinstance(value, dict):
            value = {name: significant(one) for name, one in value.items()}
        elif (key in LISTS or key == "items") and isinstance(value, list):
            value = [significant(one) for one in value]
        elif key in OF_SCHEMA:
            value = significant(value)
        elif key == "required" and isinstance(value, list):
            value = sorted(value, key=msgspec.json.encode)
        elif key == "type" and isinstance(value, list):
            value = value[0] if len(value) == 1 else sorted(value, key=msgspec.json.encode)
        if value not in EMPTY.get(key, ()):
            found[key] = value
    return found


def differences(what: str, was: Json, now: Json) -> list[str]:
    """Say how two values differ: one line for each place, with what was there and what is there now.

    Args:
        what: What they are, to begin each line with.
    """
    found = list(_differences(what, was, now))
    more = [f"{len(found) - MOST:,} more"] if len(found) > MOST else []
    return [visible.line(line, LONGEST) for line in [*found[:MOST], *more]]


def _differences(place: str, was: Json, now: Json) -> Iterator[str]:
    if isinstance(was, dict) and isinstance(now, dict):
        for key in [*was, *(key for key in now if key not in was)]:
            inner = f"{place}.{key}"
            if key not in now:
                yield f"{inner} is gone: {_text(was[key])}"
            elif key not in was:
                yield f"{inner} is new: {_text(now[key])}"
            else:
                yield from _differences(inner, was[key], now[key])
    elif was != now or type(was) is not type(now):
        yield f"{place}: {_text(was)} → {_text(now)}"


def _text(value: Json) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= LONGEST // 3 else f"{text[: LONGEST // 3]}…"
