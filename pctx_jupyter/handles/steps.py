"""Steps on whole frames: new columns, sorts and joins, which give the same rows in the same order for each library.

- Sorting is stable and puts missing values last.
- A join ignores missing keys and keeps the order of its left frame.

It checks no names of columns. What would take too much memory is refused before it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from .. import errors
from .arithmetic import comparable, is_column, without_nan
from .frames import Frame, size_of

MOST_MADE_BYTES = 2 << 30
"""Bytes that a step may make out of a frame: rows that match one another, or new columns."""

_ROW = "\0row"
"""The name of a column of row numbers, which makes an order certain where a library leaves it open."""
_RIGHT_ROW = "\0right row"

JOINS = ("inner", "left", "semi", "anti")
"""The kinds of joins."""


def part(frame: Frame, start: int, stop: int) -> Frame:
    """Return some rows of a frame; numbers beyond its end mean its end."""
    return frame[min(start, len(frame)) : min(stop, len(frame))]


def sampled(frame: Frame, count: int, seed: int | None) -> Frame:
    """Return some rows at random, none of them twice, in their order."""
    numbered = frame.with_row_index(_ROW)
    return numbered.sample(min(count, len(frame)), seed=seed).sort(_ROW).drop(_ROW)


def with_columns(frame: Frame, columns: Mapping[str, Callable[[Frame], Any]]) -> Frame:
    """Return a frame with further columns, or other ones, by name."""
    import narwhals.stable.v2 as nw

    _demand_room(8 * len(frame) * len(columns), f"{len(columns):,} columns of {len(frame):,} rows")
    found = {name: make(frame) for name, make in columns.items()}
    return frame.with_columns(*((one if is_column(one) else nw.lit(one)).alias(name) for name, one in found.items()))


def _demand_room(size: float, what: str) -> None:
    if size > MOST_MADE_BYTES:
        raise errors.InvalidParams(
            f"Cannot make {what}: they would take some {size / 1e9:,.1f} GB, and {MOST_MADE_BYTES / 1e9:.1f} GB are "
            "the most; filter, select or group before"
        )


def sorted_by(frame: Frame, by: list[str], descending: bool) -> Frame:
    """Return the rows in the order of some columns."""
    numbered = frame.with_row_index(_ROW)
    keys = [f"\0key {name}" for name in by]
    numbered = numbered.with_columns(*(comparable(frame[name]).alias(key) for name, key in zip(by, keys, strict=True)))
    ordered = numbered.sort(*keys, _ROW, descending=[descending] * len(by) + [False], nulls_last=True)
    return ordered.drop(_ROW, *keys)


def columns_of_join(left: list[str], right: list[str], on: list[str], how: str) -> list[str]:
    """Return the names of the columns of a join."""
    if how in ("semi", "anti"):
        return left
    return [*left, *(f"{name}_right" if name in left else name for name in right if name not in on)]


def joined(frame: Frame, right: Frame, on: list[str], how: str) -> Frame:
    """Return a join of two frames by columns of the same names; ``how`` is one of `JOINS`."""
    import narwhals.stable.v2 as nw

    # pandas matches missing keys with one another, and others do not; others match NaN.
    right = right.filter(*(~without_nan(right[name]).is_null() for name in on))
    frame, right = with_texts(frame, on), with_texts(right, on)
    if type(nw.to_native(frame)) is not type(nw.to_native(right)):
        columns = {name: _values(right[name]) for name in right.columns}
        right = nw.from_dict(columns, backend=frame.implementation)
    if how in ("inner", "left"):
        _demand_room_for_join(frame, right, on)
    left = frame.with_row_index(_ROW)
    if how in ("semi", "anti"):
        return left.join(right.select(*on), on=on, how=how).sort(_ROW).drop(_ROW)
    both = left.join(right.with_row_index(_RIGHT_ROW), on=on, how=how)
    return both.sort(_ROW, _RIGHT_ROW, nulls_last=True).drop(_ROW, _RIGHT_ROW)


def _values(column: Any) -> list[Any]:
    """Return the values of a column, with None for those that are missing in its library."""
    gone = column.is_null().to_list()
    return [None if is_gone else one for one, is_gone in zip(column.to_list(), gone, strict=True)]


def _demand_room_for_join(left: Frame, right: Frame, on: list[str]) -> None:
    """Refuse a join whose rows would be too many, before they are made."""
    import narwhals.stable.v2 as nw

    each = sum(size_of(one) / len(one) + 8 for one in (left, right) if len(one))
    if len(left) * len(right) * each <= MOST_MADE_BYTES:  # even if all rows matched
        return
    sides = zip((left, right), ("\0left", "\0right"), strict=True)
    counts = [
        one.group_by(*on).agg(nw.len().alias(name)).with_columns(nw.col(name).cast(nw.Float64)) for one, name in sides
    ]
    both = counts[0].join(counts[1], on=on, how="inner")
    rows = float((both["\0left"] * both["\0right"]).sum() or 0)
    _demand_room(rows * each, f"a join of {rows:,.0f} rows")


def with_texts(frame: Frame, names: Collection[str]) -> Frame:
    """Make categories texts in these columns: those of two columns cannot be compared."""
    import narwhals.stable.v2 as nw

    texts = [one for one in names if frame[one].dtype in (nw.Categorical, nw.Enum)]
    return frame.with_columns(*(nw.col(one).cast(nw.String) for one in texts)) if texts else frame
