"""Steps on whole frames: new columns, sorts and joins, which give the same rows in the same order for each library.

- Sorting is stable and puts missing values last.
- A join ignores missing keys and keeps the order of its left frame.

It checks no names of columns. What would take too much memory is refused before it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from .. import errors
from .arithmetic import LARGEST_EXACT, NoNumbers, has_parts, is_column, matchable, range_of, sortable, without_nan
from .frames import NULLABLE, Frame, size_of

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
    demand_order(frame, by, "sort")
    keys = [_key(name) for name in by]
    numbered = frame.with_row_index(_ROW)
    numbered = numbered.with_columns(*(sortable(frame[name]).alias(key) for name, key in zip(by, keys, strict=True)))
    ordered = numbered.sort(*keys, _ROW, descending=[descending] * len(by) + [False], nulls_last=True)
    return ordered.drop(_ROW, *keys)


def columns_of_join(left: list[str], right: list[str], on: list[str], how: str) -> list[str]:
    """Return the names of the columns of a join."""
    if how in ("semi", "anti"):
        return left
    return [*left, *(f"{name}_right" if name in left else name for name in right if name not in on)]


def joined(frame: Frame, right: Frame, on: list[str], how: str) -> Frame:
    """Return a join of two frames by columns of the same names; ``how`` is one of `JOINS`.

    The frames are joined by columns of their own, which have one type in both, so those of the left frame stay as they
    are.
    """
    import narwhals.stable.v2 as nw

    for one in (frame, right):
        demand_order(one, on, "join")
    if type(nw.to_native(frame)) is not type(nw.to_native(right)):
        columns = {name: _values(right[name]) for name in right.columns}
        right = nw.from_dict(columns, backend=frame.implementation)
    keys = [_key(name) for name in on]
    left_keys, right_keys = _keys_of_join(frame, right, on)
    if how in ("inner", "left"):
        _demand_room_for_join(frame, right, left_keys, right_keys)
    if frame.implementation.is_pyarrow():
        return _joined_by_rows(frame, right.drop(*on), left_keys, right_keys, how)
    left = frame.with_columns(*(left_keys[key] for key in keys)).with_row_index(_ROW)
    # pandas matches missing keys with one another, and others do not.
    there = [~right_keys[key].is_null() for key in keys]
    if how in ("semi", "anti"):
        return left.join(right_keys.filter(*there), on=keys, how=how).sort(_ROW).drop(_ROW, *keys)
    right = _with_room_for_missing(right) if how == "left" else right
    right = right.with_columns(*(right_keys[key] for key in keys)).drop(*on)
    both = left.join(right.with_row_index(_RIGHT_ROW).filter(*there), on=keys, how=how)
    return both.sort(_ROW, _RIGHT_ROW, nulls_last=True).drop(_ROW, _RIGHT_ROW, *keys)


def _with_room_for_missing(frame: Frame) -> Frame:
    """Return a frame whose integers stay exact beside missing values, for which pandas makes floats of them."""
    import narwhals.stable.v2 as nw

    if not frame.implementation.is_pandas():
        return frame
    native = frame.to_native()
    large = [
        name
        for name, dtype in native.dtypes.items()
        if str(dtype) in ("int64", "uint64") and max(map(abs, range_of(frame[name]))) > LARGEST_EXACT
    ]
    return nw.from_native(native.astype({name: NULLABLE[native.dtypes[name].kind] for name in large}))


def _joined_by_rows(frame: Frame, right: Frame, left_keys: Frame, right_keys: Frame, how: str) -> Frame:
    """Return a join of two tables of Arrow, which joins no tables with values that have parts, by its numbers of rows.

    Args:
        frame: The left table.
        right: The right one, without the columns by which they are joined.
        left_keys: The columns by which they are joined, of the left table.
        right_keys: The same of the right table.
        how: One of `JOINS`.
    """
    import narwhals.stable.v2 as nw

    keys = left_keys.columns
    left, other = left_keys.with_row_index(_ROW), right_keys.with_row_index(_RIGHT_ROW)
    other = other.filter(*(~other[key].is_null() for key in keys))
    if how in ("semi", "anti"):
        rows = left.join(other.select(*keys), on=keys, how=how).sort(_ROW)[_ROW]
        return nw.from_native(frame.to_native().take(rows.to_native()))
    both = left.join(other, on=keys, how=how).sort(_ROW, _RIGHT_ROW, nulls_last=True)
    made = frame.to_native().take(both[_ROW].to_native())
    more = right.to_native().take(both[_RIGHT_ROW].to_native())
    for name in right.columns:
        made = made.append_column(f"{name}_right" if name in frame.columns else name, more.column(name))
    return nw.from_native(made)


def ready_for_query(frame: Frame) -> Frame:
    """Return a frame as queries take it: NaN is missing.

    Raises:
        InvalidParams: It has durations with nanoseconds, which DuckDB cuts.
    """
    import narwhals.stable.v2 as nw

    for name, dtype in frame.schema.items():
        if dtype != nw.Duration or getattr(dtype, "time_unit", None) != "ns":
            continue
        found = frame[name].drop_nulls().dt.total_nanoseconds()
        if bool((found // 1000 * 1000 != found).any()):
            raise errors.InvalidParams(
                f'Cannot run a query: the durations "{name[:100]}" have digits beyond microseconds; select other '
                "columns before"
            )
    return frame.with_columns(*(without_nan(frame[name]) for name, dtype in frame.schema.items() if dtype.is_float()))


def _key(name: str) -> str:
    """Return the name of the column by which rows are sorted or joined in the place of another column."""
    return f"\0key {name}"


def _keys_of_join(frame: Frame, right: Frame, on: list[str]) -> tuple[Frame, Frame]:
    """Return the columns by which two frames are joined, with the same types in both.

    Raises:
        InvalidParams: Two columns have no type in common.
    """
    import narwhals.stable.v2 as nw

    found: tuple[list[Any], list[Any]] = [], []
    for name in on:
        try:
            pair = matchable(frame[name], right[name])
        except NoNumbers as error:
            raise errors.InvalidParams(f'Cannot join by column "{name[:100]}": {error}') from None
        for side, column in zip(found, pair, strict=True):
            side.append(column.alias(_key(name)).to_frame())
    left, other = (nw.concat(side, how="horizontal") for side in found)
    return left, other


def demand_order(frame: Frame, names: Collection[str], what: str) -> None:
    """Refuse to sort, group or join by columns whose values have parts."""
    for name in names:
        if has_parts(frame[name]):
            raise errors.InvalidParams(
                f'Cannot {what} by column "{name[:100]}": its values have parts, and no order; use another column'
            )


def _values(column: Any) -> list[Any]:
    """Return the values of a column, with None for those that are missing in its library."""
    gone = column.is_null().to_list()
    return [None if is_gone else one for one, is_gone in zip(column.to_list(), gone, strict=True)]


def _demand_room_for_join(left: Frame, right: Frame, left_keys: Frame, right_keys: Frame) -> None:
    """Refuse a join whose rows would be too many, before they are made."""
    import narwhals.stable.v2 as nw

    each = sum(size_of(one) / len(one) + 8 for one in (left, right) if len(one))
    if len(left) * len(right) * each <= MOST_MADE_BYTES:  # even if all rows matched
        return
    keys = left_keys.columns
    right_keys = right_keys.filter(*(~right_keys[key].is_null() for key in keys))
    sides = zip((left_keys, right_keys), ("\0left", "\0right"), strict=True)
    counts = [
        one.group_by(*keys).agg(nw.len().alias(name)).with_columns(nw.col(name).cast(nw.Float64)) for one, name in sides
    ]
    both = counts[0].join(counts[1], on=keys, how="inner")
    rows = float((both["\0left"] * both["\0right"]).sum() or 0)
    _demand_room(rows * each, f"a join of {rows:,.0f} rows")
