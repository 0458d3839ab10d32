"""Arrays and numbers of numpy, as plain lists and values of Python.

An array becomes nested lists, or rows where its dtype is structured. Long doubles are rounded to ``float``.
Imports no numpy: a value can only be its own if it is loaded already. Times and durations keep all their digits, as
ISO text where Python's types would cut them. What the elements become in JSON is not decided here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

Convert = Callable[[Any], Any]
"""Takes one step towards plain values; raises `Unfit` when there is none."""


class Unfit(Exception):
    """A value has no plain form; the message says why and the way out, but not where the value is."""


def rows(columns: dict[str, list[Any]], height: int) -> list[dict[str, Any]]:
    """Turn columns into rows."""
    if not columns:
        return [{} for _ in range(height)]
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def converter(np: Any, kind: type) -> Convert | None:
    """Return how values of a type of numpy become plain, or None if it is none.

    Args:
        np: The library.
        kind: The type.
    """
    if issubclass(kind, np.ndarray):
        return array_values
    if issubclass(kind, np.dtype):
        return str
    if not issubclass(kind, np.generic):
        return None
    if issubclass(kind, np.bool_):
        return bool
    if issubclass(kind, np.timedelta64):  # numpy counts it among the integers
        return _numpy_scalar
    if issubclass(kind, np.integer):
        return int
    if issubclass(kind, np.longdouble):
        return _numpy_scalar
    if issubclass(kind, np.floating):
        return float
    return _numpy_scalar


def _numpy_scalar(value: Any) -> Any:
    return array_values(sys.modules["numpy"].asarray(value))


def through_numpy(value: Any) -> Any:
    """Turn a tensor, or anything else that numpy makes an array of, into nested lists."""
    np = sys.modules["numpy"]
    try:
        array = np.asarray(value)
    except Exception as error:
        raise Unfit(f"{type(value).__name__} cannot become an array ({error}); convert it first") from error
    if array.dtype.kind == "O" and array.ndim == 0:
        raise Unfit(f"{type(value).__name__} is not JSON; convert it to a list or a dict first")
    return array_values(array)


def array_values(array: Any) -> Any:
    """Turn a numpy array of any shape into nested lists (a bare value, if it has no dimension)."""
    np = sys.modules["numpy"]
    dtype = array.dtype
    if dtype.names is not None:
        return _structured(array)
    match dtype.kind:
        case "M":
            return _dates(np, array)
        case "m":
            return _durations(np, array)
        case "c":
            raise Unfit("a complex number is not JSON; pass its real and imag parts")
        case "f" if dtype.itemsize > 8:  # tolist() would leave numpy's own long doubles
            return _long_doubles(np, array)
        case _:
            return array.tolist()


def _long_doubles(np: Any, array: Any) -> Any:
    with np.errstate(over="ignore"):  # it is refused here
        rounded = array.astype(np.float64)
    if (np.isinf(rounded) & ~np.isinf(array)).any():
        raise Unfit("a long double is too large for a number; pass it as text")
    return rounded.tolist()


def _structured(array: Any) -> Any:
    fields = {name: array_values(array[name]) for name in array.dtype.names}
    if array.ndim == 0:
        return fields
    if array.ndim == 1:
        return rows(fields, len(array))
    return [_structured(part) for part in array]


def _dates(np: Any, array: Any) -> Any:
    if np.datetime_data(array.dtype)[0] in ("D", "W", "M", "Y"):
        plain, first, last = array.astype("M8[D]"), "0001-01-01", "9999-12-31"
    else:
        plain, first, last = array.astype("M8[us]"), "0001-01-01T00:00", "9999-12-31T23:59:59.999999"
    values = plain.astype(object)
    # Outside Python's years numpy gives bare integers; what is finer than a microsecond would be cut.
    other = _is_finer(np, array) | _is_beyond(np, array, plain)
    strange = (plain < np.datetime64(first)) | (plain > np.datetime64(last)) | other
    if strange.any():
        text = np.where(other, np.datetime_as_string(array), np.datetime_as_string(plain))
        if array.ndim == 0:
            return str(text)
        values[strange] = text[strange]
    return values.tolist() if array.ndim else values


def _durations(np: Any, array: Any) -> Any:
    unit = np.datetime_data(array.dtype)[0]
    if unit in ("M", "Y"):
        raise Unfit("a duration in months or years has no fixed length; convert it to days first")
    if unit == "generic" and not np.isnat(array).all():
        raise Unfit("a duration without a unit has no length; give it one, as by astype('m8[s]')")
    plain = array.astype("m8[us]")
    values = plain.astype(object)
    other = _is_finer(np, array) | _is_beyond(np, array, plain)
    if other.any():
        if array.ndim == 0:
            return _duration_text(np, array)
        values[other] = [_duration_text(np, one) for one in array[other]]
    return values.tolist() if array.ndim else values


def _is_beyond(np: Any, array: Any, made: Any) -> Any:
    """Where numpy has made another time, or duration, as there are none so large in the finer unit."""
    if np.datetime_data(array.dtype)[0] in ("generic", *FINER):
        return np.zeros(array.shape, dtype=bool)
    return (made.astype(array.dtype) != array) & ~np.isnat(array)


_MICROSECONDS = {"us": 1, "ms": 1000, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "D": 86400 * 10**6}
_MICROSECONDS["W"] = 7 * _MICROSECONDS["D"]
"""numpy's units of durations, in microseconds."""

FINER = {"ns": 3, "ps": 6, "fs": 9, "as": 12}
"""numpy's units below a microsecond, and the decimal digits that each has beyond one."""


def _is_finer(np: Any, array: Any) -> Any:
    """Where times, or durations, have digits beyond microseconds."""
    unit, count = np.datetime_data(array.dtype)
    if unit not in FINER:
        return np.zeros(array.shape, dtype=bool)
    return ((array.astype("i8") * count) % 10 ** FINER[unit] != 0) & ~np.isnat(array)


def _duration_text(np: Any, duration: Any) -> str:
    """A duration as ISO 8601 text, with all its digits."""
    unit, count = np.datetime_data(duration.dtype)
    number = int(duration.astype("i8")) * count
    return duration_text(number, 6 + FINER[unit]) if unit in FINER else duration_text(number * _MICROSECONDS[unit], 6)


def duration_text(number: int, digits: int) -> str:
    """Write a duration as ISO 8601 text, as ``timedelta`` is written: days and seconds.

    Args:
        number: How many of the unit.
        digits: Decimal digits of the unit below a second: 9 for nanoseconds.
    """
    seconds, rest = divmod(abs(number), 10**digits)
    days, seconds = divmod(seconds, 86_400)
    fraction = f"{rest:0{digits}d}".rstrip("0")
    time = f"T{seconds}{f'.{fraction}' if fraction else ''}S" if seconds or fraction or not days else ""
    return f"{'-' if number < 0 else ''}P{f'{days}D' if days else ''}{time}"
