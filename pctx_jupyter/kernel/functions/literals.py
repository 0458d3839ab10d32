"""Numbers as JSON writes them: those that Python's floats do not hold. Knows nothing of schemas and signatures."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ... import values

_EXPONENT = re.compile(rb"[eE][+-]?\d")
_LARGE_EXPONENT = re.compile(rb"[eE]\+?\d{3}")

_DIGITS = bytes(b"0"[0] if chr(code) in "0123456789." else b" "[0] for code in range(256))
"""Makes zeros of the digits and points of a text, among which many in a row are found at once."""

_NUMBER = re.compile(rb"-?\d[\d.]*(?:[eE][+-]?\d+)?")

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def _has_digits(text: bytes, count: int) -> bool:
    """Return whether so many digits and points are in a row."""
    return b"0" * count in text.translate(_DIGITS)


def _may_be_too_large(text: bytes) -> bool:
    """Return whether JSON has what each number has that is too large for a float, and some others have."""
    return _has_digits(text, 300) or _LARGE_EXPONENT.search(text) is not None


def _numbers(text: bytes) -> set[bytes]:
    """Return the numbers in JSON, as they are written."""
    return set(_NUMBER.findall(_TEXT.sub(b'""', text)))


def _is_whole(number: bytes) -> bool:
    return number.removeprefix(b"-").isdigit()


def has_too_large_integer(text: bytes) -> bool:
    """Return whether an integer is in JSON that would be an infinite float."""
    if not _may_be_too_large(text):
        return False
    return any(_is_whole(number) and math.isinf(float(number)) for number in _numbers(text))


def too_large(text: bytes) -> str | None:
    """Return the path to a number in JSON that would be an infinite float and is no integer; None: there is none.

    The path is empty where the number is nested too deep to be found.
    """
    if not _may_be_too_large(text):
        return None
    if not any(math.isinf(float(number)) for number in _numbers(text) if not _is_whole(number)):
        return None
    try:
        todo: list[tuple[str, Any]] = [("", json.loads(text, parse_float=_marked, parse_int=lambda _: None))]
    except RecursionError:
        return ""
    while todo:
        path, part = todo.pop()
        if part is _INFINITE:
            return path
        steps: Any = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        todo += reversed([(path + values.path_step(step), inner) for step, inner in steps])
    return None


_INFINITE = object()


def _marked(number: str) -> object:
    return _INFINITE if math.isinf(float(number)) else None


def lost(text: bytes) -> dict[float, set[str]]:
    """Return the floats that stand for numbers of JSON with other digits, and the numbers that each of them stands for.

    Integers are not among them.
    """
    if not _has_digits(text, 17) and not _EXPONENT.search(text):
        return {}
    by_float: dict[float, set[str]] = {}
    for number in _numbers(text):
        if not _is_whole(number):
            by_float.setdefault(float(number), set()).add(number.decode())
    return {
        value: numbers
        for value, numbers in by_float.items()
        if any(number != repr(value) and Decimal(number) != Decimal(repr(value)) for number in numbers)
    }


def exact(value: float, digits: Mapping[float, set[str]]) -> Decimal | float:
    """Return the number that a float stands for, with all its digits; a float that has them as it is.

    Args:
        value: The float.
        digits: What `lost` returns.

    Raises:
        ValueError: It stands for several numbers.
    """
    found = {Decimal(number) for number in digits.get(value, ())}
    if len(found) > 1:
        raise ValueError(f"{value} stands for several numbers here, which differ in later digits; pass texts")
    return found.pop() if found else value
