"""Aggregates of columns: of whole frames, and of groups, which are in the order of their keys.

It knows which aggregates there are, and what they give for each library. Names of columns have been checked before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import errors
from .frames import Frame, plain_kind
from .steps import with_texts

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

_OF_NUMBERS = ("sum", "mean", "median", "std")


def read(
    wanted: Mapping[str, Any],
    check: Callable[[str], str],
    columns: Sequence[str],
    wrong: Callable[[str], errors.InvalidParams],
) -> list[tuple[str, str | None, str]]:
    """Read aggregates: the name of each result, its column (None: rows are counted), and the function."""
    found: list[tuple[str, str | None, str]] = []
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


def grouped(frame: Frame, keys: list[str], wanted: list[tuple[str, str | None, str]]) -> Frame:
    """Return one row for each group of rows with the same keys, in the order of the keys."""
    import narwhals.stable.v2 as nw

    frame = _ready_for(frame, wanted, keys)
    made: list[Any] = []
    marks: dict[str, str] = {}
    distinct: dict[str, str] = {}
    for name, column, function in wanted:
        if column is None:
            made.append(nw.len().alias(name))
        elif function == "nunique":  # libraries count a missing value as one more
            mark = marks.setdefault(column, f"\0missing {len(marks)}")
            distinct[name] = f"\0any {name}"
            made += [nw.col(column).n_unique().alias(name), nw.col(mark).max().alias(distinct[name])]
        else:
            made.append(AGGREGATES[function](nw.col(column)).alias(name))
    frame = frame.with_columns(*(nw.col(one).is_null().cast(nw.Int64).alias(mark) for one, mark in marks.items()))
    found = frame.group_by(*keys).agg(*made).sort(*keys, nulls_last=True)
    found = found.with_columns(*((nw.col(name) - nw.col(mark)).alias(name) for name, mark in distinct.items()))
    return found.select(*keys, *(name for name, _, _ in wanted))


def _ready_for(frame: Frame, wanted: list[tuple[str, str | None, str]], keys: Sequence[str] = ()) -> Frame:
    """Make categories texts where they are grouped or compared, and refuse sums of texts."""
    import narwhals.stable.v2 as nw

    for _, column, function in wanted:
        if column is None or function not in _OF_NUMBERS or frame[column].dtype == nw.Decimal:
            continue
        if plain_kind(frame[column].dtype) == "string":
            raise errors.InvalidParams(f'Cannot compute {function} of column "{column}": it does not hold numbers')
    return with_texts(frame, {column for _, column, _ in wanted if column is not None} | set(keys))


def computed(frame: Frame, wanted: list[tuple[str, str | None, str]]) -> dict[str, Any]:
    """Return aggregates of the whole frame, by name."""
    frame = _ready_for(frame, wanted)
    return {
        name: len(frame) if column is None else _plain(AGGREGATES[function](frame[column]), frame)
        for name, column, function in wanted
    }


def _plain(value: Any, frame: Frame) -> Any:
    """Return an aggregate; None where a library that has NaN for missing values gives NaN."""
    if not frame.implementation.is_pandas_like():
        return value
    pandas = sys.modules.get("pandas")
    is_missing = value is None or (pandas is not None and value is pandas.NA)  # which has no truth value
    return None if is_missing or not bool(value == value) else value


def described(frame: Frame) -> list[dict[str, Any]]:
    """Return one row for each column: its type, how many values there are and are missing, and their range."""
    import narwhals.stable.v2 as nw

    rows: list[dict[str, Any]] = []
    for name in frame.columns:
        column = frame[name]
        missing = column.null_count()
        row: dict[str, Any] = {
            "column": name,
            "type": str(column.dtype),
            "count": len(column) - int(missing),
            "missing": int(missing),
        }
        if column.dtype.is_numeric() and column.dtype != nw.Decimal:
            row |= {one: _plain(AGGREGATES[one](column), frame) for one in ("min", "max", "mean", "median", "std")}
        elif column.dtype == nw.String or column.dtype.is_temporal():
            there = column.drop_nulls()
            row |= {"min": there.min(), "max": there.max()} if len(there) else {}
        rows.append(row)
    return rows
