"""Values that hold NaN, which equals nothing, made comparable."""

from __future__ import annotations

from typing import Any


def named(value: Any) -> Any:
    """Return a value of JSON with a word in the place of each NaN."""
    if isinstance(value, dict):
        return {key: named(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [named(part) for part in value]
    return "it is NaN" if isinstance(value, float) and value != value else value
