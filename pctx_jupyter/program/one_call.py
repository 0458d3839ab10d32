"""The program of one tool call, written from JSON arguments. Text only: it looks up no tool and runs nothing."""

from __future__ import annotations

import json
import math

from .. import errors
from ..rpc.jsonrpc import Json

DEEPEST = 100
"""Levels of the arguments: far more than tools take, and few enough to write and check recursively."""
MOST_EXACT = (1 << 53) - 1
"""The largest integer that a number of JavaScript holds exactly (``Number.MAX_SAFE_INTEGER``)."""


def program(path: str, arguments: dict[str, Json]) -> str:
    """Write the program that calls a tool and returns its result.

    Args:
        path: The tool's canonical full name, ``Mail.sendReport``.
        arguments: Become a literal in the program, so that the type checker sees each of them. An integer that
            JavaScript would round reaches the tool as it is.

    Raises:
        InvalidParams: A program cannot hold the arguments as they are.
    """
    return f"await {path}({literal(arguments, path)})"


def literal(value: Json, path: str, levels: int = DEEPEST) -> str:
    """Write a value as an expression of TypeScript.

    Args:
        path: The tool that it is passed to, for messages.
        levels: Levels that it may have.

    Raises:
        InvalidParams: It has more levels, or a number that JSON does not have.
    """
    if levels == 0:
        raise errors.InvalidParams(f"Cannot call {path}: its arguments have more than {DEEPEST} levels; use fewer")
    match value:
        case dict():
            return "{" + ", ".join(f"{_key(key)}: {literal(one, path, levels - 1)}" for key, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(literal(one, path, levels - 1) for one in value) + "]"
        case int() if abs(value) > MOST_EXACT:
            return f"({value}n as unknown as number)"
        case float() if math.isinf(value):  # of a number such as 1e400
            raise errors.InvalidParams(
                f"Cannot call {path}: a number is too large for JavaScript; pass it as a text if the function takes one"
            )
    return json.dumps(value)


def _key(name: str) -> str:
    # `{"__proto__": …}` would set the object's prototype instead of a property.
    return '["__proto__"]' if name == "__proto__" else json.dumps(name)
