"""Aggregates of groups of a frame in parts: what each part gives, what several of these give together, and the result.

Counts, sums, means, standard deviations, the least and the largest values are computed of each part, so one row for
each group leaves it. For ``nunique``, each part gives its distinct values. A median needs all values: each part gives
the keys and the column.

The results are those of `aggregates.grouped` for the whole frame. Floats are added up in another order, so the last
digits of sums, means and standard deviations may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .aggregates import Wanted, grouped, ready
from .arithmetic import comparable, floats_of, is_of_objects, without_nan
from .frames import Frame


@dataclass(frozen=True, slots=True)
class Partial:
    """What one or several parts give for the aggregates of groups. It can be sent to another process.

    Args:
        keys: The columns by which rows are grouped.
        wanted: The aggregates.
        groups: A table with one row for each group, in the order of the keys. Its columns are the keys, ``rows``, and
            of each aggregated column those that `_called` names:

            - ``count``: the values that are there
            - ``sum``, ``min``, ``max``: as in the result
            - ``total``: the sum as a float; ``squares``: the sum of the squared distances from the mean
            - ``undefined sum``, ``undefined total``, ``undefined squares``: not 0 where that is no number, as ∞ - ∞
        values: A table of the keys and the values for each column and function of `_OF_VALUES`.
    """

    keys: list[str]
    wanted: list[Wanted]
    groups: Any
    values: dict[str, Any]


_OF_VALUES = ("median", "nunique")
"""Functions for which parts give values."""
_VALUE = "\0value"
_ROWS = "\0rows "

_NEEDED = {
    "count": ("count",),
    "sum": ("count", "sum"),
    "mean": ("count", "total"),
    "std": ("count", "total", "squares"),
    "min": ("min",),
    "max": ("max",),
}
"""What each function is computed from."""
_OF_PART = {"total": "sum", "squares": "std"}
"""The function that gives it for a part, where that is called otherwise."""
_OF_SEVERAL = {"min": "min", "max": "max", "undefined": "max"}
"""The function that combines what parts give; else ``sum``."""
_MAY_BE_UNDEFINED = ("sum", "total", "squares")


def partial(frame: Frame, keys: list[str], wanted: list[Wanted]) -> Partial:
    """Return what one part gives.

    Raises:
        InvalidParams: A column does not hold what a function needs.
    """
    values: dict[str, Any] = {}
    for column, function in _uses(wanted):
        usable = ready(frame[column], function)
        if function in _OF_VALUES:
            table = frame.select(*(comparable(frame[key]) for key in keys)).with_columns(usable.alias(_VALUE))
            values[_called(function, column)] = _smallest(table, function)
        elif function in ("mean", "std"):
            frame = frame.with_columns(floats_of(usable).alias(_called("total", column)))
    asked: list[Wanted] = [(_ROWS, None, "count")]
    for what, column in _parts(wanted):
        used = _called("total", column) if what in _OF_PART else column
        asked.append((_called(what, column), used, _OF_PART.get(what, what)))
    groups = grouped(frame, keys, asked)
    groups = groups.with_columns(*(_squares_of_part(column) for what, column in _parts(wanted) if what == "squares"))
    return Partial(keys, wanted, _with_undefined(groups, wanted).to_native(), values)


def _smallest(table: Frame, function: str) -> Any:
    """Return the rows that a function needs of keys and values."""
    return (table.unique() if function == "nunique" else table).to_native()


def combined(partials: Sequence[Partial], concat: Callable[[list[Any]], Frame]) -> Partial:
    """Return what several parts give together.

    Args:
        partials: What they give, in their order.
        concat: Makes a frame of tables, one below the other.

    Raises:
        InvalidParams: A sum of integers does not fit into 64 bits.
    """
    keys, wanted = partials[0].keys, partials[0].wanted
    groups = concat([one.groups for one in partials])
    squares = [_squares_of_several(column, keys) for what, column in _parts(wanted) if what == "squares"]
    groups = _with_undefined(groups.with_columns(*squares), wanted)
    names = [name for name in groups.columns if name not in keys]
    asked: list[Wanted] = [(name, name, _OF_SEVERAL.get(name[1:].partition(" ")[0], "sum")) for name in names]
    groups = _with_undefined(grouped(groups, keys, asked), wanted)
    values = {
        name: _smallest(concat([one.values[name] for one in partials]), name[1:].partition(" ")[0])
        for name in partials[0].values
    }
    return Partial(keys, wanted, groups.to_native(), values)


def finished(given: Partial) -> Frame:
    """Return what `aggregates.grouped` returns, from what all parts give together."""
    import narwhals.stable.v2 as nw

    groups = nw.from_native(given.groups, eager_only=True)
    made = {}
    for name, column, function in given.wanted:
        if column is not None and function in _OF_VALUES:
            values = nw.from_native(given.values[_called(function, column)], eager_only=True)
            found = grouped(values, given.keys, [(name, _VALUE, function)])[name]
        else:
            found = groups[_ROWS] if column is None else groups.select(_result(column, function).alias(name))[name]
            if (mark := _called(f"undefined {_NEEDED[function][-1]}", column or "")) in groups.columns:
                found = groups.select(nw.when(nw.col(mark) == 0).then(found).alias(name))[name]
        made[name] = without_nan(found).alias(name)
    return groups.select(*given.keys).with_columns(*made.values())


def _called(what: str, column: str) -> str:
    return f"\0{what} {column}"


def _uses(wanted: Sequence[Wanted]) -> list[tuple[str, str]]:
    """Return columns and the functions that are computed of them, each pair once."""
    return list(dict.fromkeys((column, function) for _, column, function in wanted if column is not None))


def _parts(wanted: Sequence[Wanted]) -> list[tuple[str, str]]:
    """Return what is computed of each part, and of which columns."""
    return list(dict.fromkeys((what, column) for column, one in _uses(wanted) for what in _NEEDED.get(one, ())))


def _squares_of_part(column: str) -> Any:
    """Make the sum of squared distances from a standard deviation; of one value it is 0."""
    import narwhals.stable.v2 as nw

    name = _called("squares", column)
    degrees = nw.col(_called("count", column)) - 1
    return nw.when(degrees > 0).then(nw.col(name) * nw.col(name) * degrees).otherwise(0.0).alias(name)


def _squares_of_several(column: str, keys: list[str]) -> Any:
    """Add the squared distance of each part's mean from that of all parts, once for each of its values."""
    import narwhals.stable.v2 as nw

    name, count, total = _called("squares", column), nw.col(_called("count", column)), nw.col(_called("total", column))
    distance = total / count - total.sum().over(*keys) / count.sum().over(*keys)
    return nw.when(count > 0).then(nw.col(name) + count * distance * distance).otherwise(0.0).alias(name)


def _with_undefined(groups: Frame, wanted: Sequence[Wanted]) -> Frame:
    """Mark what is no number although there are values: the next sum would leave it out, as if it were missing."""
    import narwhals.stable.v2 as nw

    for what, column in _parts(wanted):
        if what not in _MAY_BE_UNDEFINED:
            continue
        name, mark, count = _called(what, column), _called(f"undefined {what}", column), _called("count", column)
        if is_of_objects(groups[name]):  # a sum without values is an integer among decimals
            groups = groups.with_columns(nw.when(nw.col(count) > 0).then(nw.col(name)).alias(name))
        is_undefined = ((groups[count] > 0) & without_nan(groups[name]).is_null()).cast(nw.Int64)
        before = groups[mark] if mark in groups.columns else 0 * is_undefined
        groups = groups.with_columns((is_undefined + before).alias(mark))
    return groups


def _result(column: str, function: str) -> Any:
    """Make the result of a function from what is computed of its column."""
    import narwhals.stable.v2 as nw

    def part(what: str) -> Any:
        return nw.col(_called(what, column))

    count = part("count")
    match function:
        case "sum":
            return part("sum").fill_null(0)
        case "mean":
            return nw.when(count > 0).then(part("total") / count)
        case "std":
            return nw.when(count > 1).then((part("squares") / (count - 1)) ** 0.5)
    return part(function)
