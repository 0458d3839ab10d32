"""Numbers that are calculated with: columns of types that hold every result, and no result that is silently wrong.

Libraries wrap integers that become too large, round decimals to the digits of their column, and add up lists and texts.
Here, narrow types are widened, decimals become floats where digits would be lost, and what may not fit is refused.

It knows no frames, only single columns and numbers.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

LARGEST_EXACT = 2**53
"""Integers beyond it are rounded as floats, and so in JavaScript."""
LARGEST = 1 << 63
"""Integers from here on, and below its opposite, do not fit into 64 bits with a sign."""
_SAFE = float(LARGEST) * (1 - 1e-9)
"""Sums of floats below it are sums of integers that fit, whatever was rounded."""


class NoNumbers(Exception):
    """A column holds no numbers, or some that cannot be calculated with; the message says why."""


def is_column(value: Any) -> bool:
    """Return whether a value is a column, and not a plain value of JSON."""
    return hasattr(value, "null_count")


def without_nan(column: Any) -> Any:
    """Return a column with missing values in the place of NaN, which numpy's columns in pandas have for these."""
    if not column.dtype.is_float():
        return column
    if column.implementation.is_pandas_like() and not hasattr(column.to_native().dtype, "na_value"):
        return column
    return column.fill_nan(None)


def comparable(column: Any) -> Any:
    """Return a column whose values libraries order alike.

    Categories without an order become texts, NaN is missing, and 0 has no sign: to Arrow, -0 is another key than 0.
    """
    import narwhals.stable.v2 as nw

    if column.dtype == nw.Categorical:
        return column.cast(nw.String)
    return without_nan(column) + 0.0 if column.dtype.is_float() else column


def sortable(column: Any) -> Any:
    """Return a column with the order of another one, as `comparable`: pandas cuts the nanoseconds of times of day."""
    import narwhals.stable.v2 as nw

    is_cut = column.dtype == nw.Time and column.implementation.is_pandas()
    return column.cast(nw.Int64) if is_cut else comparable(column)


def of_64_bits(column: Any) -> Any:
    """Return a column with floats of 64 bits in the place of narrower ones, as which libraries read other numbers."""
    import narwhals.stable.v2 as nw

    return column.cast(nw.Float64) if column.dtype.is_float() and column.dtype != nw.Float64 else column


def has_parts(column: Any) -> bool:
    """Return whether values of a column are lists or objects: libraries differ on which are equal, and which less."""
    if column.dtype.is_nested():
        return True
    return is_of_objects(column) and any(one.__hash__ is None for one in set(map(type, column.to_list())))


def is_of_objects(column: Any) -> bool:
    """Return whether a column holds objects of Python. narwhals takes them for texts where there are none."""
    import narwhals.stable.v2 as nw

    return column.dtype in (nw.Object, nw.Unknown) or str(getattr(column.to_native(), "dtype", "")) == "object"


def matchable(left: Any, right: Any) -> tuple[Any, Any]:
    """Return two columns as columns of one type, which have the same values where these two have.

    Raises:
        NoNumbers: No type has all values of both.
    """
    import narwhals.stable.v2 as nw

    left, right = (one.cast(nw.String) if one.dtype in (nw.Enum, nw.String) else sortable(one) for one in (left, right))
    if any(one.null_count() == len(one) for one in (left, right)):  # of whatever type: nothing matches
        left, right = (
            nw.new_series(one.name, [number] * len(one), nw.Int64, backend=one.implementation)
            for number, one in enumerate((left, right))
        )
        return left, right
    types = left.dtype, right.dtype
    if types[0] == types[1] or not all(one.is_numeric() and one != nw.Decimal for one in types):
        return left, right
    whole = [one for one in (left, right) if one.dtype.is_integer()]
    largest = max((max(map(abs, range_of(one))) for one in whole), default=0)
    if len(whole) == 2 and largest < LARGEST:
        return left.cast(nw.Int64), right.cast(nw.Int64)
    if len(whole) == 2 or largest > LARGEST_EXACT:
        raise NoNumbers(f"its types are {types[0]} and {types[1]}, and it holds integers that only one of them has")
    return left.cast(nw.Float64), right.cast(nw.Float64)


def numbers_of(column: Any, *, exact: bool) -> Any:
    """Return a column as integers or floats of 64 bits, or as decimals.

    Args:
        column: Numbers, decimals, or truth values, which count as 1 and 0; also as objects of Python.
        exact: Whether decimals stay decimals; else they become floats, and so do integers of 2**63 or more.

    Raises:
        NoNumbers: It holds something else, or integers that are too large.
    """
    import narwhals.stable.v2 as nw

    dtype = column.dtype
    if dtype == nw.Decimal:
        return column if exact else column.cast(nw.Float64)
    if dtype.is_float():
        return of_64_bits(column)
    if dtype == nw.Boolean or dtype in (nw.Int8, nw.Int16, nw.Int32, nw.UInt8, nw.UInt16, nw.UInt32):
        return column.cast(nw.Int64)
    if dtype == nw.Int64:
        return column
    if dtype.is_integer():
        least, most = range_of(column)
        if least < -LARGEST or most >= LARGEST:
            if not exact:
                return floats_of(column)
            raise NoNumbers("it holds integers of 2**63 or more; use sql, and cast it to double")
        return column.cast(nw.Int64)
    if is_of_objects(column):
        return _of_objects(column, exact=exact)
    raise NoNumbers("it does not hold numbers")


def _of_objects(column: Any, *, exact: bool) -> Any:
    import narwhals.stable.v2 as nw

    values = [None if is_missing(one) else one for one in column.to_list()]
    found = {type(one) for one in values if one is not None}
    if found == {Decimal} and exact:
        return column
    if not found <= {int, float, bool} and found != {Decimal}:
        raise NoNumbers("it does not hold numbers")
    is_whole = bool(found) and found <= {int, bool} and None not in values
    kind, dtype = (int, nw.Int64) if is_whole else (float, nw.Float64)
    made = [None if one is None else kind(one) for one in values]
    return nw.new_series(column.name, made, dtype, backend=column.implementation)


def range_of(value: Any) -> tuple[int, int]:
    """Return the least and the largest integer of a column, or a number twice; (0, 0) of a column without values."""
    if not is_column(value):
        return value, value
    least, most = value.min(), value.max()
    return (0, 0) if is_missing(least) or is_missing(most) else (int(least), int(most))


def is_missing(value: Any) -> bool:
    """Return whether one value is missing, or NaN: None, or what pandas has instead."""
    pandas = sys.modules.get("pandas")
    if value is None or (pandas is not None and value is pandas.NA):  # which has no truth value
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # a value with parts
        return False


def demand_sum(column: Any) -> None:
    """Refuse a sum of integers that may not fit into 64 bits.

    Raises:
        NoNumbers: It may not.
    """
    if not column.dtype.is_integer():
        return
    largest = max(abs(one) for one in range_of(column))
    if largest * len(column) >= LARGEST and float(floats_of(column).abs().sum()) >= _SAFE:
        raise NoNumbers("the sum may be 2**63 or more, which integers cannot hold; use sql, whose sums are floats")


def floats_of(column: Any) -> Any:
    """Return integers as floats, rounded."""
    import narwhals.stable.v2 as nw

    if not _is_of_arrow(column):
        return column.cast(nw.Float64)
    values = [None if is_missing(one) else float(one) for one in column.to_list()]  # Arrow casts nothing it would round
    return nw.new_series(column.name, values, nw.Float64, backend=column.implementation)


def calculated(name: str, act: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """Calculate with columns and numbers.

    Args:
        name: ``add``, ``sub``, ``mul`` or ``div``.
        act: What computes it.
        left: A column of numbers, decimals or times, or a number.
        right: The same; one of the two is a column.

    Raises:
        NoNumbers: A column holds something else, or a result may not fit.
    """
    import narwhals.stable.v2 as nw

    if any(is_column(one) and one.dtype.is_temporal() for one in (left, right)):
        return act(left, right)
    exact = _stays_exact(name, left, right)
    is_decimal = exact and any(is_column(one) and one.dtype == nw.Decimal for one in (left, right))
    left, right = (
        numbers_of(one, exact=exact) if is_column(one) else _number(one, exact=exact, is_decimal=is_decimal)
        for one in (left, right)
    )
    if not exact:
        left, right = (floats_of(one) if _has_large(one) else one for one in (left, right))
    elif name != "div" and _is_integer(left) and _is_integer(right):
        _demand_room(act, left, right)
    return act(left, right)


def _has_large(value: Any) -> bool:
    """Whether a column of Arrow holds integers that it does not convert to floats by itself."""
    if not (is_column(value) and value.dtype.is_integer() and _is_of_arrow(value)):
        return False
    return max(map(abs, range_of(value))) > LARGEST_EXACT


def _is_of_arrow(column: Any) -> bool:
    return bool(column.implementation.is_pyarrow()) or "pyarrow" in str(getattr(column.to_native(), "dtype", ""))


def _number(value: Any, *, exact: bool, is_decimal: bool) -> Any:
    """Return a number as Arrow calculates with it: it refuses integers beside floats, and gives those 19 digits."""
    if isinstance(value, int) and not exact:
        return float(value) if abs(value) < 1 << 1_000 else math.copysign(math.inf, value)
    return Decimal(value) if isinstance(value, int) and is_decimal else value


def _is_integer(value: Any) -> bool:
    return bool(value.dtype.is_integer()) if is_column(value) else isinstance(value, int)


def _stays_exact(name: str, left: Any, right: Any) -> bool:
    """Whether numbers need not become floats: sums and products with integers have no more digits than a decimal."""
    if _is_integer(left) and _is_integer(right):
        return name != "div"
    if name in ("add", "sub"):
        return not any(isinstance(one, float) or (is_column(one) and one.dtype.is_float()) for one in (left, right))
    return name == "mul" and any(isinstance(one, int) for one in (left, right))


def _demand_room(act: Callable[[Any, Any], Any], left: Any, right: Any) -> None:
    """Refuse results that may not fit into 64 bits: by the ranges of the columns, and then by floats of each result."""
    edges = [act(one, other) for one in range_of(left) for other in range_of(right)]
    if min(edges) >= -LARGEST and max(edges) < LARGEST:
        return
    floats = [floats_of(one) if is_column(one) else float(one) for one in (left, right)]
    largest = act(*floats).abs().max()
    if not is_missing(largest) and float(largest) >= _SAFE:
        raise NoNumbers("a result would be 2**63 or more, which integers cannot hold; use sql, and cast it to double")
