"""What an MCP tool returns, as the JSON that a program gets.

``structuredContent`` is the value. If it is an object, and there is content beside it that it does not repeat, such as
an image, a resource or a text with more to say, that content is its field ``$content``.

Without ``structuredContent``: nothing is null, one text is that text, or the JSON in it, and several texts are joined
by line breaks unless the server's entry has ``"texts": "list"``. Anything else is MCP's own content objects as they
are: ``{type: "image", data, mimeType}``, ``{type: "resource", resource}`` and so on, one alone, several as a list.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
from mcp_types import CallToolResult, ContentBlock, TextContent
from msgspec import Raw

from ..rpc import nonfinite
from ..rpc.jsonrpc import NULL

CONTENT = "$content"
"""The field for the content beside a structured value."""

MOST_ERROR = 20_000
"""Characters of an error's text that reach the program, once secrets are taken out."""

MOST_PAGE = 100_000
"""Characters of a page of HTML that are read, some 25 ms."""

_PAGES = ("<!doctype html", "<html")
_NO_TEXT = ("style", "script", "svg")

_LONG = re.compile(r"\s*-?\d[\d.]{15,}([eE][+-]?\d+)?\s*")
"""A number alone that JavaScript may not hold."""


def value_of(result: CallToolResult, *, has_text_lists: bool = False) -> Raw:
    """The value of a call that did not fail, as a payload: NaN and the infinities are marked.

    Args:
        has_text_lists: Whether several texts are a list, and not one text.
    """
    structured = result.structured_content
    if structured is not None or "structured_content" in result.model_fields_set:
        if isinstance(structured, dict) and CONTENT not in structured and (beside := _beside(result, structured)):
            structured = {**structured, CONTENT: _written(beside)}
        return nonfinite.encode(structured)
    match result.content:
        case []:
            return NULL
        case [TextContent(text=text)]:
            return _of_text(text)
    texts = [one.text for one in result.content if isinstance(one, TextContent)]
    if len(texts) == len(result.content):
        return nonfinite.encode(texts if has_text_lists else "\n".join(texts))
    contents = _written(result.content)
    return nonfinite.encode(contents[0] if len(contents) == 1 else contents)


def _beside(result: CallToolResult, structured: dict[str, Any]) -> list[ContentBlock]:
    """The content that says more than the structured value, in order."""
    said = [structured]
    for value in structured.values():  # SDKs put a list or a text into one field, and each of its items into a text
        said += [value, *(value if isinstance(value, list) else ())]
    known = {_key(one) for one in [*said, {}, []]}
    return [
        one
        for one in result.content
        if not (isinstance(one, TextContent) and (not one.text.strip() or _keys_of(one.text) & known))
    ]


def _keys_of(text: str) -> set[bytes]:
    """What a text may repeat: itself, and the JSON in it."""
    keys = {_key(text)}
    with suppress(msgspec.DecodeError, ValueError, RecursionError):
        keys.add(_key(msgspec.json.decode(text)))
    return keys


def _key(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _written(contents: Sequence[ContentBlock]) -> list[dict[str, Any]]:
    return [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in contents]


def error_of(result: CallToolResult) -> str:
    """What a call that failed says."""
    texts = [without_markup(one.text) for one in result.content if isinstance(one, TextContent) and one.text]
    return "\n".join(texts) or "the tool failed, and says no more"


def without_markup(text: str) -> str:
    """The text of a page of HTML, such as a proxy's error page; any other text as it is."""
    if not text[:100].lstrip().lower().startswith(_PAGES):
        return text
    if len(text) > MOST_PAGE:
        text = text[:MOST_PAGE].rpartition("<")[0]  # no part of a secret stays at the end
    words: list[str] = []
    skipped = ""
    for part in text.split("<"):
        tag, _, rest = part.partition(">")
        name = (tag.split(maxsplit=1) or [""])[0].lower()
        if skipped:
            skipped = "" if name == f"/{skipped}" else skipped
        elif name in _NO_TEXT:
            skipped = name
        if not skipped and (said := html.unescape(rest).strip()):
            words.append(" ".join(said.split()))
    return "\n".join(words) or text


def _of_text(text: str) -> Raw:
    if not _is_inexact(text):
        try:
            # Decoded, for text that only looks like JSON must not reach a program as such.
            return nonfinite.encode(msgspec.json.decode(text))
        except (msgspec.DecodeError, ValueError, RecursionError):
            pass
    return nonfinite.encode(text)


def _is_inexact(text: str) -> bool:
    """Return whether a text is a number that JavaScript rounds: an identifier, most likely, and better left as text."""
    if _LONG.fullmatch(text) is None:
        return False
    try:
        number = float(text)
        return abs(number) >= 2**53 or Decimal(text) != Decimal(repr(number))
    except (ValueError, ArithmeticError):
        return True
