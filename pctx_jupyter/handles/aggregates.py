"""Aggregates of columns: of whole frames, and of groups, which are in the order of their keys.

It knows which aggregates there are, and what they give for each library. Names of columns have been checked before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import errors
from .arithmetic import (
    NoNumbers,
    comparable,
    demand_sum,
    has_parts,
    is_missing,
    numbers_of,
    of_64_bits,
    without_nan,
)
from .frames import Frame
from .steps import demand_order

AGGREGATES: dict[str, Callable[[Any], Any]] = {
    "sum": lambda one: one.sum(),
    "mean": lambda one: one.mean(),
    "min": lambda one: one.min(),
    "max": lambda one: one.max(),
    "median": lambda one: one.median(),
    "std": lambda one: one.std(),
    "count": lambda one: one.count(),
    "nunique": lambda one: one.drop_nulls().n_unique(),
}
"""What can be computed of a column, or of the rows of a group. ``count`` counts the values that are there."""

Wanted = tuple[str, str | None, str]
"""An aggregate: the name of its result, its column (None: rows are counted), and the function."""


@dataclass(frozen=True, slots=True)
class Single:
    """An aggregate that Python's types would cut.

    Args:
        column: A column of its library that has this one value.
    """

    column: Any


def read(
    wanted: Mapping[str, Any],
    check: Callable[[str], str],
    columns: Sequence[str],
    wrong: Callable[[str], errors.InvalidParams],
) -> list[Wanted]:
    """Read aggregates of a program; `wrong` makes the error."""
    found: list[Wanted] = []
    for name, one in wanted.items():
        match one:
            case "count" if name not in columns:
                found.append((name, None, "count"))
            case str(function) if function in AGGREGATES:
                found.append((name, check(name), function))
            case [str(column), str(function)] if function in AGGREGATES:
                found.append((name, check(column), function))
            case _:
                raise wrong(f'no aggregate {one!r:.50} for "{name[:100]}"; there are {", ".join(AGGREGATES)}')
    if not found:
        raise wrong("no aggregate is given")
    return found


def columns_of(wanted: Mapping[str, Any]) -> list[str]:
    """Return the columns that aggregates may be of; what is wrong in them is not decided here."""
    found = [one[0] if isinstance(one, list) and one else name for name, one in wanted.items()]
    return [name for name in found if isinstance(name, str)]


def grouped(frame: Frame, keys: list[str], wanted: list[Wanted]) -> Frame:
    """Return one row for each group of rows with the same keys, in the order of the keys.

    Raises:
        InvalidParams: A column does not hold what a function needs.
    """
    import narwhals.stable.v2 as nw

    demand_order(frame, keys, "group")
    used, columns = _prepared(frame, wanted)
    made: list[Any] = []
    distinct: dict[str, str] = {}
    for name, column, function in wanted:
        if column is None:
            made.append(nw.len().alias(name))
        elif function == "nunique":  # libraries count a missing value as one more
            missing = columns[used[column, function]].is_null().cast(nw.Int64).alias(f"\0missing {name}")
            columns[missing.name] = missing
            distinct[name] = f"\0any {name}"
            made += [
                nw.col(used[column, function]).n_unique().alias(name),
                nw.col(missing.name).max().alias(distinct[name]),
            ]
        elif not _is_median_of_arrow(frame, function):
            made.append(AGGREGATES[function](nw.col(used[column, function])).alias(name))
    frame = frame.select(*(comparable(frame[name]) for name in keys)).with_columns(*columns.values())
    found = frame.group_by(*keys).agg(*(made or [nw.len().alias("\0rows")])).sort(*keys, nulls_last=True)
    for name, column, function in wanted:
        if column is not None and _is_median_of_arrow(frame, function):
            medians = _medians(frame, keys, used[column, function])
            found = found.with_columns(nw.new_series(name, medians, nw.Float64, backend=frame.implementation))
    found = found.with_columns(*((nw.col(name) - nw.col(mark)).alias(name) for name, mark in distinct.items()))
    found = found.select(*keys, *(name for name, _, _ in wanted))
    return found.with_columns(*(without_nan(found[name]) for name in found.columns if found[name].dtype.is_float()))


def _prepared(frame: Frame, wanted: list[Wanted]) -> tuple[dict[tuple[str, str], str], dict[str, Any]]:
    """Return the columns that functions are computed of, by new names, and which of them each function uses."""
    used: dict[tuple[str, str], str] = {}
    columns: dict[str, Any] = {}
    for _, column, function in wanted:
        if column is not None:
            name = used[column, function] = f"\0{_USE.get(function, 'as it is')} {column}"
            if name not in columns:
                columns[name] = ready(frame[column], function).alias(name)
    return used, columns


_USE = {"sum": "exact", "mean": "numbers", "median": "numbers", "std": "numbers"}
"""What functions of numbers need: a column is prepared once for each of these."""


def ready(column: Any, function: str) -> Any:
    """Return a column as a function needs it.

    Raises:
        InvalidParams: It does not hold what the function needs.
    """
    try:
        if function not in _USE:
            if function != "count" and has_parts(column):
                raise NoNumbers("its values have parts, and no order")
            return comparable(column)
        found = without_nan(numbers_of(column, exact=function == "sum"))
        if function == "sum":
            demand_sum(found)
    except NoNumbers as error:
        raise _wrong(function, column.name, str(error)) from None
    return found


def _wrong(function: str, column: str, why: str) -> errors.InvalidParams:
    return errors.InvalidParams(f'Cannot compute {function} of column "{column[:100]}": {why}')


def _is_median_of_arrow(frame: Frame, function: str) -> bool:
    return function == "median" and bool(frame.implementation.is_pyarrow())


def _medians(frame: Frame, keys: list[str], column: str) -> list[float | None]:
    """Return the median of each group, in the order of the keys. Arrow's own medians of groups are approximate."""
    import narwhals.stable.v2 as nw

    ordered = frame.select(*keys, column).sort(*keys, column, nulls_last=True).with_row_index("\0row")
    places = ordered.group_by(*keys).agg(nw.col("\0row").min(), nw.col(column).count().alias("\0count"))
    places = places.sort(*keys, nulls_last=True)
    starts, counts = places["\0row"].to_list(), places["\0count"].to_list()
    low, high = (
        ordered[column][[start + max(count - more, 0) // 2 for start, count in zip(starts, counts, strict=True)]]
        for more in (1, 0)
    )
    found = zip(low.to_list(), high.to_list(), counts, strict=True)
    return [None if count == 0 else (one + other) / 2 for one, other, count in found]


def computed(frame: Frame, wanted: list[Wanted]) -> dict[str, Any]:
    """Return aggregates of the whole frame, by name; the least and the latest of nanoseconds as `Single`.

    Raises:
        InvalidParams: A column does not hold what a function needs.
    """
    used, columns = _prepared(frame, wanted)
    return {
        name: len(frame) if column is None else _computed(columns[used[column, function]], column, function)
        for name, column, function in wanted
    }


def _computed(column: Any, name: str, function: str) -> Any:
    """Return an aggregate of a prepared column; None where it has none, or is no number."""
    import narwhals.stable.v2 as nw

    try:
        is_arrow_duration = column.dtype == nw.Duration and column.implementation.is_pyarrow()  # they have no least one
        if function in ("min", "max") and (is_arrow_duration or _is_cut(column)):
            there = column.drop_nulls().sort(descending=function == "max").head(1)
            return None if not len(there) else Single(there.to_native()) if _is_cut(column) else there[0]
        found = AGGREGATES[function](column)
        return None if is_missing(found) else found
    except Exception as error:
        raise _wrong(function, name, f"{type(error).__name__}: {error}") from error


def _is_cut(column: Any) -> bool:
    """Return whether a column holds nanoseconds, which Python's times do not have."""
    import narwhals.stable.v2 as nw

    return column.dtype == nw.Time or getattr(column.dtype, "time_unit", None) == "ns"


def described(frame: Frame) -> list[dict[str, Any]]:
    """Return one row for each column: its type, how many values there are and are missing, and their range.

    The range of nanoseconds is `Single`.
    """
    import narwhals.stable.v2 as nw

    rows: list[dict[str, Any]] = []
    for name in frame.columns:
        column = of_64_bits(without_nan(frame[name]))
        missing = int(column.null_count())
        row: dict[str, Any] = {
            "column": name,
            "type": str(frame[name].dtype),
            "count": len(column) - missing,
            "missing": missing,
        }
        functions: tuple[str, ...] = ()
        if column.dtype.is_numeric() and column.dtype != nw.Decimal:
            functions = ("min", "max", "mean", "median", "std")
        elif (column.dtype == nw.String or column.dtype.is_temporal()) and missing < len(column):
            functions = ("min", "max")
        rows.append(row | {one: _computed(column, name, one) for one in functions})
    return rows
