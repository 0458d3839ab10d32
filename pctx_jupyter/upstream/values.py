"""What an MCP tool returns, as the JSON that a program gets.

``structuredContent`` is the value. Without it: nothing is null, one text is that text, or the JSON in it; anything
else is MCP's own content objects as they are: ``{type: "image", data, mimeType}``, ``{type: "resource", resource}``
and so on, one alone, several as a list.
"""

from __future__ import annotations

import re

import msgspec
from mcp_types import CallToolResult, TextContent
from msgspec import Raw

from ..rpc.jsonrpc import NULL

MOST_ERROR = 20_000
"""Characters of an error's text that reach the program, once secrets are taken out."""

_INEXACT = re.compile(r"\s*-?\d{16,}\s*")
"""A number alone that JavaScript cannot hold: an identifier, most likely, and better left as text."""


def value_of(result: CallToolResult) -> Raw:
    """The value of a call that did not fail."""
    if result.structured_content is not None or "structured_content" in result.model_fields_set:
        return Raw(msgspec.json.encode(result.structured_content))
    match result.content:
        case []:
            return NULL
        case [TextContent(text=text)]:
            return _of_text(text)
    contents = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in result.content]
    return Raw(msgspec.json.encode(contents[0] if len(contents) == 1 else contents))


def error_of(result: CallToolResult) -> str:
    """What a call that failed says."""
    texts = [one.text for one in result.content if isinstance(one, TextContent) and one.text]
    return "\n".join(texts) or "the tool failed, and says no more"


def _of_text(text: str) -> Raw:
    if _INEXACT.fullmatch(text) is None:
        try:
            # Decoded, for text that only looks like JSON must not reach a program as such.
            return Raw(msgspec.json.encode(msgspec.json.decode(text)))
        except (msgspec.DecodeError, ValueError, RecursionError):
            pass
    return Raw(msgspec.json.encode(text))
