"""What a schema says of ranges, lengths and formats, as JSDoc tags: TypeScript has no types for it."""

from __future__ import annotations

from collections.abc import Iterator

from . import inert
from .schema import Schema

_TEXTS = {
    "format": "format",
    "pattern": "pattern",
    "contentEncoding": "encoding",
    "contentMediaType": "media",
}
_NUMBERS = {"exclusiveMinimum": "above", "exclusiveMaximum": "below", "multipleOf": "multipleOf"}
_RANGES = {
    word: (tag, "min" + of, "max" + of)
    for tag, of in {"range": "imum", "length": "Length", "items": "Items", "properties": "Properties"}.items()
    for word in ("min" + of, "max" + of)
}
TAGGED = frozenset({"uniqueItems", *_TEXTS, *_NUMBERS, *_RANGES})
"""Keywords that become JSDoc tags."""


def of(schema: Schema) -> Iterator[str]:
    """Ranges, lengths and formats as JSDoc tags."""
    for keyword in [keyword for keyword in schema if keyword in TAGGED]:
        value = schema[keyword]
        if keyword in _RANGES:
            tag, least, most = _RANGES[keyword]
            low, high = _number(schema.get(least)), _number(schema.get(most))
            low = "" if low == "0" and tag != "range" else low
            if (low or high) and (keyword == least or least not in schema):
                yield f"@{tag} {low}..{high}"
        elif keyword in _NUMBERS:
            if number := _number(value):
                yield f"@{_NUMBERS[keyword]} {number}"
        elif keyword in _TEXTS:
            if isinstance(value, str):
                yield f"@{_TEXTS[keyword]} {inert.comment(value, 120)}"
        elif value is True:
            yield "@unique"


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return inert.literal(value)
