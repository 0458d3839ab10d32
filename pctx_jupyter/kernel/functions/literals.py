"""Numbers as JSON writes them: those that Python's floats do not hold. Knows nothing of schemas and signatures."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ... import values

_MARKS = bytes(
    ord("0" if one in "0123456789." else one.lower() if one in "eE+-" else " ") for one in map(chr, range(256))
)
"""Makes zeros of the digits and points of a text, and spaces of all but these, signs and exponents.

To look for a few bytes in what is left takes a tenth of the time that a pattern takes.
"""

_NUMBER = re.compile(rb"-?\d[\d.]*(?:[eE][+-]?\d+)?")

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def _may_be_too_large(text: bytes) -> bool:
    """Return whether JSON has what each number has that is too large for a float, and some others have."""
    marks = text.translate(_MARKS)
    return b"0" * 300 in marks or (b"e" in marks and (b"e000" in marks or b"e+000" in marks))


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
    marks = text.translate(_MARKS)
    if not any(one in marks for one in (b"0" * 17, b"e0", b"e+0", b"e-0")):
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
