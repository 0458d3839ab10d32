"""Text from outside as TypeScript: a literal, a property name or a comment that cannot do anything there.

What could end a line, a comment, a string or a ``<script>``, turn the direction of text, or is half a surrogate
pair, is escaped, or left out of a comment. This module does not know what the text is for.
"""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache

from ..visible import HIDDEN, spell
from .names import is_identifier

_PLAIN = re.compile(r"[\w \-./:,;+()]*", re.ASCII)
_CALM = re.compile(r"[^\x00-\x1f\x7f-\U0010ffff/@]*")
_COMMENT_END = re.compile(r"\*/|</|@(?=ts-)")
_LONGEST = 500
"""Characters of a string that stays a literal; a longer one is `string`."""
_DEEPEST = 8
"""Levels of a constant array or object."""


def string(text: str) -> str:
    """A string literal of exactly this text."""
    if _PLAIN.fullmatch(text):
        return f'"{text}"'
    written = HIDDEN.sub(spell, json.dumps(text, ensure_ascii=False))
    return written.replace("</", "<\\/")


@lru_cache(4_096)
def property_name(text: str) -> str:
    """A property's name, quoted when it is no identifier."""
    return text if is_identifier(text) else string(text)


def literal(value: object, *, depth: int = 0) -> str:
    """The type of one JSON value and no other; wider where TypeScript has no such type."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return string(value) if len(value) <= _LONGEST else "string"
        case int():
            return str(value) if value.bit_length() <= 64 else "number"
        case float():
            return repr(value) if math.isfinite(value) else "number"
        case list() | dict() if depth >= _DEEPEST or len(value) > _LONGEST:
            return "any"
        case list():
            return f"[{', '.join(literal(item, depth=depth + 1) for item in value)}]"
        case dict():
            members = (f"{property_name(str(k))}: {literal(v, depth=depth + 1)}" for k, v in value.items())
            return f"{{ {'; '.join(members)} }}" if value else "{}"
    return "any"


def comment(text: str, longest: int) -> str:
    """One line that may stand in a ``/* */`` comment, cut at so many characters."""
    if len(text) > longest:
        text = text[:longest].rstrip() + "…"
    if _CALM.fullmatch(text):
        return text.strip()
    return _COMMENT_END.sub(_broken, HIDDEN.sub("", " ".join(text.split())))


def _broken(found: re.Match[str]) -> str:
    # A fullwidth sign: a comment that says @ts-ignore or @ts-expect-error is a command to the compiler.
    return {"*/": "*\\/", "</": "<\\/"}.get(found[0], "\uff20")
