"""The keywords that only this package writes into schemas, and schemas of others without them.

With one of them, a schema is not a declaration any more: its type was learnt or observed, or a value passes by handle.
An MCP server that wrote one could have errors of programs become warnings, or call its own types observed.
"""

from __future__ import annotations

from collections.abc import Collection

from ..rpc.jsonrpc import Json
from .observed import OBSERVED
from .tool import HANDLE, LEARNT, UNTYPED

OURS = frozenset({HANDLE, LEARNT, OBSERVED, UNTYPED})
"""All of these keywords."""


def without(schema: Json, keywords: Collection[str] = OURS) -> Json:
    """Return a schema without these keywords, whichever part of it a reference makes a schema.

    An argument or a field may be called like one of them, such as ``x-handle``. Its schema is an object or a boolean,
    which is never the value of a keyword below the root.
    """
    if isinstance(schema, dict):
        schema = {name: part for name, part in schema.items() if name not in keywords}
    return _without(schema, keywords)


def _without(part: Json, keywords: Collection[str]) -> Json:
    if isinstance(part, list):
        return [_without(one, keywords) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        name: _without(one, keywords)
        for name, one in part.items()
        if name not in keywords or isinstance(one, dict | bool)
    }
