"""The marks that say, in JSON, that a value stands for an object of the kernel.

A *handle* is an object with the one key `FRAME`: ``{"$pctx.frame":{"id":"…","columns":["id","status"]}}``. It is always
the whole value of a tool's result, of an input or of a program. In arguments it may be anywhere, with the steps that
the program has added.

An *operation* is an object that begins with the key `CALL`. A program sends it, as arguments, to the tool that returned
the handle. Knows nothing of what the objects are.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

FRAME = "$pctx.frame"
"""The only key of a handle."""
CALL = "$pctx.call"
"""The first key of an operation."""

_HANDLE = f'{{"{FRAME}":'.encode()
_OPERATION = f'"{CALL}":'.encode()
_START = 64
"""Bytes at the start of a payload that hold the first key, also of a payload that `nonfinite` has marked."""


def is_handle(payload: Raw) -> bool:
    """Return whether a payload is a handle, as this package writes one."""
    return bytes(memoryview(payload)[: len(_HANDLE)]) == _HANDLE


def holds_handle(payload: Raw) -> bool:
    """Return whether a handle may be somewhere in a payload."""
    return _HANDLE in bytes(payload)


def is_operation(payload: Raw | None) -> bool:
    """Return whether arguments are an operation on a handle."""
    return payload is not None and _OPERATION in bytes(memoryview(payload)[:_START])


def body(value: Any) -> dict[str, Any] | None:
    """Return what a handle says, from decoded JSON; None: the value is not a handle."""
    if type(value) is dict and len(value) == 1 and type(inside := value.get(FRAME)) is dict:
        return inside
    return None


def body_of(payload: Raw) -> dict[str, Any] | None:
    """Return what a handle says; None: the payload is not a handle."""
    if not is_handle(payload):
        return None
    try:
        return body(msgspec.json.decode(payload))
    except msgspec.DecodeError:
        return None
