"""Expressions on the columns of a frame: comparisons, calculations and searches, which give the same for each library.

A comparison with a missing value or NaN is false; ``ne`` and ``not`` are the exact opposites of ``eq`` and of their
argument. A column is a Series of narwhals; what is no column is a plain value of JSON. It does not know chains.
"""

from __future__ import annotations

import datetime as dt
import math
import operator
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from .. import errors
from . import arithmetic
from .arithmetic import LARGEST_EXACT, is_column
from .frames import Frame

LONGEST_PART = 10_000
"""Characters of a text that is searched for: for longer ones, libraries have limits of their own."""
MOST_COMPARED = 20_000_000
"""Comparisons that one step makes one by one; a million takes 0.1 s."""


def _is_odd(value: Any) -> bool:
    """Whether a column holds what libraries compare differently or not at all: we do so one by one.

    These are Python objects, decimals, bytes, and values with parts.
    """
    import narwhals.stable.v2 as nw

    if not is_column(value):
        return False
    dtype = value.dtype
    return bool(dtype in (nw.Object, nw.Decimal, nw.Unknown, nw.Binary) or dtype.is_nested())


def _missing(value: Any) -> Any:
    """Where a value is missing, or NaN: a column of truth values, or one."""
    if not is_column(value):
        return value is None or value != value
    found = value.is_null()
    return found | value.is_nan().fill_null(False) if value.dtype.is_float() else found


def _bools(frame: Frame, values: Sequence[bool]) -> Any:
    import narwhals.stable.v2 as nw

    return nw.new_series("", list(values), nw.Boolean, backend=frame.implementation)


def condition(value: Any, frame: Frame) -> Any:
    """Return a column of truth values, without missing ones, of whatever an expression gives."""
    import narwhals.stable.v2 as nw

    if not is_column(value):
        return _bools(frame, [value is True] * len(frame))
    if value.dtype == nw.Boolean:
        return value.fill_null(False)
    return _bools(frame, [one is True for one in value.to_list()])


def _compared(act: Callable[[Any, Any], Any]) -> Callable[[Frame, Any, Any], Any]:
    """Make a comparison that is false wherever a value is missing."""

    def compare(frame: Frame, left: Any, right: Any) -> Any:
        if act is operator.eq and (left is None or right is None):
            return condition(_missing(right if left is None else left), frame)
        if act in _ORDERS and (_is_ordered(left) or _is_ordered(right)):
            return _compared_by_order(frame, act, left, right)
        if is_column(left) and is_column(right):
            if any(one.null_count() == len(one) for one in (left, right)):  # its type says nothing
                return _bools(frame, [False] * len(frame))
            _demand_one_kind(left, right)
        left, right = _alike(left, right), _alike(right, left)
        if left is None or right is None:
            return _bools(frame, [False] * len(frame))
        if not (is_column(left) or is_column(right)):
            return act(left, right)
        if (outside := _outside(left, right)) is not None:
            there = ~condition(_either(_missing(left), _missing(right)), frame)
            return there if act(*outside) else _bools(frame, [False] * len(frame))
        if act in _ORDERS and any(map(_is_truth, (left, right))):  # polars orders no truth values
            return _one_by_one(frame, act, left, right)
        if any(map(_is_large, (left, right))) or _is_odd(left) or _is_odd(right) or _would_round(left, right):
            return _one_by_one(frame, act, left, right)
        absent = _either(_missing(left), _missing(right))
        return act(left, right).fill_null(False) & ~condition(absent, frame)

    return compare


def _is_truth(value: Any) -> bool:
    import narwhals.stable.v2 as nw

    return bool(is_column(value) and value.dtype == nw.Boolean)


def _is_large(value: Any) -> bool:
    """Whether a number, or one of a column, is beyond 64 bits with a sign, in which Arrow compares integers."""
    if not is_column(value):
        return type(value) is int and value >= 1 << 63
    return bool(value.dtype.is_unsigned_integer()) and arithmetic.range_of(value)[1] >= 1 << 63


def _demand_one_kind(left: Any, right: Any) -> None:
    """Refuse to compare columns of different kinds: some libraries refuse it, others find them different."""
    kinds = [_python_type(one) for one in (left, right)]
    held = [None if kind is None else _HELD.get(kind) for kind in kinds]
    if None in held or held[0] == held[1]:
        return
    shown = " and ".join(f'"{one.name}", which holds {what}' for one, what in zip((left, right), held, strict=True))
    raise errors.InvalidParams(f"Cannot compare the columns {shown}")


_HELD = {
    bool: "truth values",
    float: "numbers",
    int: "numbers",
    Decimal: "numbers",
    str: "texts",
    bytes: "bytes",
    dt.datetime: "times",
    dt.date: "dates",
    dt.timedelta: "durations",
    dt.time: "times of day",
}
"""What a column holds, by the type of its values in Python."""


_ORDERS = {operator.gt: operator.lt, operator.ge: operator.le, operator.lt: operator.gt, operator.le: operator.ge}
"""Comparisons of order, and the same with the sides changed."""


def _is_ordered(value: Any) -> bool:
    """Whether a column holds categories that have an order of their own."""
    import narwhals.stable.v2 as nw

    return is_column(value) and value.dtype == nw.Enum


def _compared_by_order(frame: Frame, act: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """Compare a column of ordered categories with one of them, by their order."""
    if not _is_ordered(left):
        left, right, act = right, left, _ORDERS[act]
    categories = list(left.dtype.categories)
    if not isinstance(right, str) or right not in categories:
        raise errors.InvalidParams(
            f'Cannot compare column "{left.name}" by its order: give one of {", ".join(map(str, categories[:20]))}'
        )
    place = categories.index(right)
    return _among(frame, left, [one for other, one in enumerate(categories) if act(other, place)])


def _would_round(left: Any, right: Any) -> bool:
    """Whether libraries would compare two columns of numbers as floats that are not exact."""
    import narwhals.stable.v2 as nw

    if not (is_column(left) and is_column(right)):
        return False
    types = left.dtype, right.dtype
    if not all(one.is_numeric() and one != nw.Decimal for one in types) or types[0] == types[1]:
        return False
    is_mixed = any(one.is_float() for one in types) or any(one.is_unsigned_integer() for one in types)
    whole = [one for one in (left, right) if one.dtype.is_integer()]
    return is_mixed and any(max(map(abs, arithmetic.range_of(one))) > LARGEST_EXACT for one in whole)


def _outside(left: Any, right: Any) -> tuple[int, int] | None:
    """Return what compares like a column of integers and an integer that it cannot hold; None: it can hold it."""
    for value, column in ((left, right), (right, left)):
        if type(value) is int and column.dtype.is_integer():
            least, most = _range_of(column.dtype)
            if not least <= value <= most:
                return (value, 0) if value is left else (0, value)
    return None


def _either(left: Any, right: Any) -> Any:
    return left | right if is_column(left) else right | left


def _one_by_one(frame: Frame, act: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    size = len(frame)
    gone = [condition(_missing(one), frame).to_list() for one in (left, right)]
    sides = [one.to_list() if is_column(one) else [one] * size for one in (left, right)]
    try:
        found = [
            not (no_left or no_right) and bool(act(one, other))
            for one, other, no_left, no_right in zip(*sides, *gone, strict=True)
        ]
    except (TypeError, ValueError) as error:  # of arrays within a column
        raise errors.InvalidParams(f"Cannot compare a column: {error}") from None
    return _bools(frame, found)


def _alike(value: Any, to: Any) -> Any:
    """Make a plain value one that compares with a column: JSON has texts for times and decimals.

    Text columns of categories become texts, as categories of two columns cannot be compared. Narrow floats get 64 bits:
    else numbers of JSON would be rounded to theirs.
    """
    import narwhals.stable.v2 as nw

    if is_column(value):
        texts = value.dtype in (nw.Categorical, nw.Enum)
        return value.cast(nw.String) if texts else arithmetic.of_64_bits(value)
    if value is None or not is_column(to):
        return value
    if isinstance(value, (list, dict)):
        raise errors.InvalidParams(f'Cannot compare column "{to.name}" with a list or an object: give one value')
    if to.null_count() == len(to):  # its type says nothing, and every comparison is false
        return None
    kind = _python_type(to)
    if kind is bool or (isinstance(value, bool) and kind is not None):
        if kind is bool and isinstance(value, bool):
            return value
        held = "true and false" if kind is bool else "texts" if kind is str else "no truth values"
        raise errors.InvalidParams(f'Cannot compare column "{to.name}": it holds {held}, not {value!r:.50}')
    if kind is float and isinstance(value, int):
        if to.dtype.is_integer():
            return value
        return float(value) if abs(value) <= _LARGEST_FLOAT else math.inf if value > 0 else -math.inf
    if kind is None or type(value) is kind:
        return value
    if kind is Decimal and isinstance(value, (int, float, str)):
        return _converted(str(value), Decimal, to)
    if isinstance(value, str) and kind is not str:
        return _moment(value, kind, to)
    if kind is str:
        raise errors.InvalidParams(f'Cannot compare column "{to.name}": it holds texts, not {value!r:.50}')
    return value


_LARGEST_FLOAT = 1 << 1_000
"""Integers beyond it may have no float."""


def _range_of(dtype: Any) -> tuple[int, int]:
    """Return the least and the largest integer that a column can hold; libraries refuse to compare it with others."""
    bits = int("".join(filter(str.isdigit, str(dtype))) or 64) if dtype.is_integer() else 64
    return (0, (1 << bits) - 1) if dtype.is_unsigned_integer() else (-(1 << bits - 1), (1 << bits - 1) - 1)


def _python_type(column: Any) -> type | None:
    """Return the type that a column's values have in Python; None: any."""
    import narwhals.stable.v2 as nw

    dtype = column.dtype
    if dtype in (nw.Object, nw.Unknown) or (arithmetic.is_of_objects(column) and column.null_count() == len(column)):
        gone = column.is_null().to_list()
        return next((type(one) for one, is_gone in zip(column.to_list(), gone, strict=True) if not is_gone), None)
    for known, kind in (
        (nw.Datetime, dt.datetime),
        (nw.Date, dt.date),
        (nw.Duration, dt.timedelta),
        (nw.Time, dt.time),
        (nw.Decimal, Decimal),
        (nw.Binary, bytes),
    ):
        if dtype == known:
            return kind
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        return str
    if dtype == nw.Boolean:
        return bool
    if dtype.is_numeric():
        return float
    return None


def _moment(text: str, kind: type, column: Any) -> Any:
    if kind is dt.date:
        text = text[:10]  # a Date of JavaScript has a time, too
    found = _converted(text, kind, column)
    if kind is not dt.datetime:
        return found
    zone = getattr(column.dtype, "time_zone", None)
    if zone is None:
        return found if found.tzinfo is None else found.astimezone(dt.UTC).replace(tzinfo=None)
    from zoneinfo import ZoneInfo

    there = ZoneInfo(zone)  # polars compares with times of the very zone
    return found.replace(tzinfo=there) if found.tzinfo is None else found.astimezone(there)


def _converted(text: str, kind: type, column: Any) -> Any:
    try:
        if kind is dt.datetime and len(text) == 10:
            text = f"{text}T00:00:00"
        return msgspec.convert(text, kind)
    except msgspec.ValidationError:
        raise errors.InvalidParams(
            f'Cannot compare column "{column.name}": {text[:50]!r} is not a {kind.__name__}'
        ) from None


def _calculated(name: str, act: Callable[[Any, Any], Any]) -> Callable[[Frame, Any, Any], Any]:
    def calculate(frame: Frame, left: Any, right: Any) -> Any:
        for one in (left, right):
            kind = _python_type(one) if is_column(one) else type(one)
            if kind in (str, bool) or one is None or isinstance(one, (list, dict)):
                shown = f'column "{one.name}"' if is_column(one) else f"{one!r:.50}"
                raise errors.InvalidParams(f"Cannot calculate with {shown}: it is not a number")
        if not (is_column(left) or is_column(right)):
            return act(left, right)
        try:
            return arithmetic.calculated(name, act, left, right)
        except arithmetic.NoNumbers as error:
            columns = " and ".join(f'column "{one.name}"' for one in (left, right) if is_column(one))
            raise errors.InvalidParams(f"Cannot calculate with {columns}: {error}") from None

    return calculate


def _texts(act: Callable[[Any, str], Any]) -> Callable[[Frame, Any, Any], Any]:
    def test(frame: Frame, column: Any, part: Any) -> Any:
        column = _alike(column, None)
        if not is_column(column) or not isinstance(part, str):
            raise errors.InvalidParams("Cannot search a column: contains, startsWith and endsWith take a text")
        if len(part) > LONGEST_PART:
            raise errors.InvalidParams(f"Cannot search for {len(part):,} characters; {LONGEST_PART:,} are the most")
        if _python_type(column) is not str:
            raise errors.InvalidParams(f'Cannot search column "{column.name}": it does not hold texts')
        if _is_odd(column):
            return _one_by_one(frame, lambda one, other: act_on_text[act](one, other), column, part)
        return act(column, part).fill_null(False)

    return test


def _contains(column: Any, part: str) -> Any:
    return column.str.contains(part, literal=True)


def _starts(column: Any, part: str) -> Any:
    return column.str.starts_with(part)


def _ends(column: Any, part: str) -> Any:
    return column.str.ends_with(part)


act_on_text: dict[Any, Callable[[str, str], bool]] = {
    _contains: operator.contains,
    _starts: str.startswith,
    _ends: str.endswith,
}
"""The same for one text."""


def _among(frame: Frame, column: Any, values: Any) -> Any:
    if not isinstance(values, list):
        raise errors.InvalidParams("Cannot search a column: in takes a list of values")
    is_large = any(type(one) is int and one >= 1 << 63 for one in values)
    if is_column(column) and not (_is_odd(column) or is_large) and _python_type(column) in (str, float):
        texts = _alike(column, None)
        wanted = _of_one_type([one for one in (_alike(value, texts) for value in values) if one is not None], texts)
        found = condition(texts.is_in(wanted), frame) if wanted else _bools(frame, [False] * len(frame))
        return found | _is_missing(frame, texts) if None in values else found & ~_is_missing(frame, texts)
    if len(values) * len(frame) > MOST_COMPARED:
        raise errors.InvalidParams(
            f"Cannot search a column of {len(frame):,} rows for {len(values):,} values one by one; join a frame of them"
        )
    same = _compared(operator.eq)
    found = _bools(frame, [False] * len(frame))
    for value in values:
        found = found | condition(same(frame, column, value), frame)
    return found


def _of_one_type(values: list[Any], column: Any) -> list[Any]:
    """Return values for `is_in` as the column has them: libraries refuse a list of floats for a column of integers."""
    dtype = column.dtype
    if dtype.is_float():
        return [float(one) for one in values if abs(one) <= _LARGEST_FLOAT]
    if not dtype.is_integer():
        return values
    least, most = _range_of(dtype)
    return [int(one) for one in values if one == one // 1 and least <= one <= most]


def _both(frame: Frame, left: Any, right: Any) -> Any:
    return condition(left, frame) & condition(right, frame)


def _one_of(frame: Frame, left: Any, right: Any) -> Any:
    return condition(left, frame) | condition(right, frame)


def _opposite(frame: Frame, value: Any) -> Any:
    return ~condition(value, frame)


def _differs(frame: Frame, left: Any, right: Any) -> Any:
    return ~condition(_compared(operator.eq)(frame, left, right), frame)


def _is_missing(frame: Frame, value: Any) -> Any:
    return condition(_missing(value), frame)


OPERATIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "eq": (2, _compared(operator.eq)),
    "ne": (2, _differs),
    "gt": (2, _compared(operator.gt)),
    "ge": (2, _compared(operator.ge)),
    "lt": (2, _compared(operator.lt)),
    "le": (2, _compared(operator.le)),
    "and": (2, _both),
    "or": (2, _one_of),
    "not": (1, _opposite),
    "isNull": (1, _is_missing),
    "in": (2, _among),
    "add": (2, _calculated("add", operator.add)),
    "sub": (2, _calculated("sub", operator.sub)),
    "mul": (2, _calculated("mul", operator.mul)),
    "div": (2, _calculated("div", operator.truediv)),
    "contains": (2, _texts(_contains)),
    "startsWith": (2, _texts(_starts)),
    "endsWith": (2, _texts(_ends)),
}
"""What expressions are made of: the number of arguments, and what computes it."""
