"""Columns of numbers as bytes, which leave the kernel as they are in memory. It does not know what they are part of."""

from __future__ import annotations

import sys
from array import array
from typing import Any

from .. import errors
from .arithmetic import LARGEST_EXACT, is_missing, range_of
from .frames import Frame


def has_numbers(frame: Frame, name: str) -> bool:
    """Return whether a column crosses as floats."""
    import narwhals.stable.v2 as nw

    return bool(frame[name].dtype.is_numeric() and frame[name].dtype != nw.Decimal)


def numbers(frame: Frame, name: str) -> tuple[memoryview, bool] | None:
    """Return a column of numbers as the bytes of float64, with NaN for missing; None: it holds no numbers.

    Also returns whether an integer is beyond 2**53, and rounded, as in JSON.
    """
    import narwhals.stable.v2 as nw

    column = frame[name]
    if not has_numbers(frame, name):
        return None
    rounded = column.dtype.is_integer() and _has_large(column)
    floats = column if rounded else column.cast(nw.Float64)  # Arrow does not cast what it would round
    if not rounded and "numpy" in sys.modules:
        return bytes_of(floats.to_numpy(), "<f8"), rounded
    return _little_endian(
        array("d", [float("nan") if is_missing(one) else float(one) for one in floats.to_list()])
    ), rounded


def _has_large(column: Any) -> bool:
    return max(abs(edge) for edge in range_of(column)) > LARGEST_EXACT


def integers(frame: Frame, name: str) -> memoryview:
    """Return a column of integers as the bytes of int64.

    Raises:
        InvalidParams: It holds something else, or values are missing.
    """
    import narwhals.stable.v2 as nw

    column = frame[name]
    if not column.dtype.is_integer():
        raise errors.InvalidParams(
            f'Cannot read column "{name}" as bigint: its type is {column.dtype}, and not one of integers'
        )
    if missing := int(column.null_count()):
        raise errors.InvalidParams(
            f'Cannot read column "{name}" as bigint: {missing:,} of its values are missing; filter them out before'
        )
    is_longer = column.dtype in (nw.UInt64, nw.Int128, nw.UInt128)
    if is_longer and len(column) and not -(1 << 63) <= int(column.min()) <= int(column.max()) < 1 << 63:
        raise errors.InvalidParams(f'Cannot read column "{name}" as bigint: a value is 2**63 or more; read its rows')
    if is_longer:
        return _little_endian(array("q", column.to_list()))
    if "numpy" in sys.modules:
        return bytes_of(column.to_numpy(), "<i8")
    return _little_endian(array("q", column.to_list()))


def bytes_of(flat: Any, dtype: str) -> memoryview:
    """Return the bytes of an array of numpy that has one dimension, as numbers of a type such as ``<f8``."""
    found: memoryview = sys.modules["numpy"].ascontiguousarray(flat, dtype=dtype).data.cast("B")
    return found


def _little_endian(found: array[Any]) -> memoryview:
    if sys.byteorder == "big":
        found.byteswap()
    return memoryview(found).cast("B")
