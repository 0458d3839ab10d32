"""Requests that the MCP SDK does not read. It refuses them without saying which request it means, or not at all.

A client waits for the answer to its request, so a refusal has the request's id wherever that can be found.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .. import errors
from ..rpc import jsonrpc as rpc


def unread(request: bytes | str, why: str) -> bytes:
    """Return the JSON-RPC error for a request that the SDK does not read.

    Args:
        request: The request.
        why: What the SDK says of it.
    """
    try:
        rpc.decode(request)
        found = errors.ParseError(f"Cannot read message: {why}")
    except errors.ParseError as error:
        found = error
    return refusal(rpc.identify(request).id, found)


def named(answer: bytes, body: bytes) -> bytes:
    """Return an answer of the SDK; a refusal that names no request names that of this body, if it can be found."""
    try:
        refused: dict[str, Any] = msgspec.json.decode(answer, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return answer
    if refused.get("id", 0) is not None or (id := rpc.identify(body).id) is None:
        return answer
    if refused["error"]["code"] == errors.ParseError.code:
        return unread(body, refused["error"]["message"])
    return msgspec.json.encode(refused | {"id": id})


def refusal(id: rpc.Id | None, error: errors.PctxError) -> bytes:
    """Return the JSON-RPC error for the request with this id; None: it is not known."""
    refused = {"code": error.code, "message": rpc.well_formed(error.message)}
    return msgspec.json.encode({"jsonrpc": "2.0", "id": id, "error": refused})
