"""Arguments with a default: a program may leave them out, also where the server's schema lists them as required.

Libraries that write schemas from types list such arguments as required, for the function itself always has them. For
callers they are optional. A server that checks its schema word for word gets the default.
"""

from __future__ import annotations

from typing import Any

from ..rpc.jsonrpc import Json

DEEPEST = 40
"""Levels of a schema that are looked at."""

_DATA = ("const", "default", "enum", "example", "examples")
"""Keywords that hold values, and no schemas."""


def optional(schema: Json, levels: int = DEEPEST) -> Json:
    """The same schema, in which no property with a default is required."""
    if not levels:
        return schema
    if isinstance(schema, list):
        return [optional(one, levels - 1) for one in schema]
    if not isinstance(schema, dict):
        return schema
    relaxed = {key: value if key in _DATA else optional(value, levels - 1) for key, value in schema.items()}
    required, properties = schema.get("required"), schema.get("properties")
    if isinstance(required, list) and isinstance(properties, dict):
        left = [name for name in required if not _has_default(properties, name)]
        if len(left) < len(required):
            del relaxed["required"]
            relaxed |= {"required": left} if left else {}
    return relaxed


def filled(arguments: dict[str, Any], schema: Json, levels: int = DEEPEST) -> dict[str, Any]:
    """The same arguments, with the defaults of those that a schema requires and that are not there."""
    if not isinstance(schema, dict) or not levels:
        return arguments
    required, properties = schema.get("required"), schema.get("properties")
    if not isinstance(properties, dict):
        return arguments
    whole = dict(arguments)
    for key, value in arguments.items():
        if isinstance(value, dict):
            whole[key] = filled(value, properties.get(key), levels - 1)
    for name in required if isinstance(required, list) else ():
        asked = properties.get(name) if isinstance(name, str) else None
        if isinstance(name, str) and name not in whole and isinstance(asked, dict) and "default" in asked:
            whole[name] = asked["default"]
    return whole


def _has_default(properties: dict[str, Json], name: Json) -> bool:
    value = properties.get(name) if isinstance(name, str) else None
    return isinstance(value, dict) and "default" in value
