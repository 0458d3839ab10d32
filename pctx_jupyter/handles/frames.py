"""Frames: lazy operations of programs on tables of any library that narwhals supports, run in the kernel in one call.

A program builds a chain of steps as plain JSON and asks for one result of it. This module checks the names in the chain
first, and then runs the steps on whole columns. The same chain gives the same rows, in the same order, for pandas,
polars and Arrow:

- A comparison with a missing value or NaN is false; ``ne`` and ``not`` are the exact opposites of ``eq`` and of their
  argument.
- Sorting is stable and puts missing values last. Groups are in the order of their keys.
- A join ignores missing keys and keeps the order of its left frame.

It does not know tools or wires. Who holds a frame, and how rows become JSON, is decided elsewhere. narwhals is imported
with the first frame.
"""

from __future__ import annotations

import datetime as dt
import math
import operator
import sys
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from .. import errors
from ..nearest import did_you_mean

FIRST_ROWS = 3
"""Rows of a frame that are shown."""
MOST_SHOWN = 20
"""Columns of a frame that are shown; of more, the first."""
LONGEST_SHOWN = 40
"""Characters of a text that are shown."""
MOST_STEPS = 200
"""Steps of one chain, and levels of one expression: far more than people write, and no recursion ends in an error."""
MOST_NODES = 2_000
"""Columns, values and operations in the expressions of one chain: each operation makes a column."""
MOST_MADE_BYTES = 2 << 30
"""Bytes that a step may make out of a frame: rows that match one another, or new columns."""
LONGEST_PART = 10_000
"""Characters of a text that is searched for: for longer ones, libraries have limits of their own."""
MOST_COMPARED = 20_000_000
"""Comparisons that one step makes one by one; a million takes 0.1 s."""

LARGEST_EXACT = 2**53
"""Integers beyond it are rounded in JavaScript."""

T = TypeVar("T")

Frame = Any
"""A ``narwhals.DataFrame``. narwhals types a frame by its library, and here it may be any."""
Find = Callable[[str], Frame]
"""Returns the frame of an id; raises what `table.Handles.find` raises."""


class NotAFrame(Exception):
    """A value is not a table that narwhals supports; the message says what it is."""


_adapters: dict[type, Callable[[Any], Any]] = {}
"""Functions that return the data frame of a value, by the value's type."""


def register(kind: type[T], as_frame: Callable[[T], Any]) -> None:
    """Let tools return values of a type by handle, and cells pass them in, as the data frame that a function returns.

    A tool that takes the frame again gets the value itself. The function runs once for each handle. Registering a type
    again replaces its function.

    Args:
        kind: The type; a subclass uses the same function, unless it has one of its own.
        as_frame: Takes a value, and returns a data frame of pandas, polars, Arrow or another library that narwhals
            supports.
    """
    _adapters[kind] = as_frame


def is_registered(value: Any) -> bool:
    """Return whether a function makes data frames of values like this."""
    return is_registered_type(type(value))


def is_registered_type(kind: type) -> bool:
    """Return whether a function makes data frames of values of this type."""
    return any(base in _adapters for base in kind.__mro__)


def with_one_column(value: Any) -> Any:
    """Return a series of pandas or polars as a frame with one column; any other value as it is.

    Without a name of its own, the column is called ``value``.
    """
    for library in ("pandas", "polars"):
        module = sys.modules.get(library)
        if module is not None and isinstance(value, module.Series):
            return value.to_frame("value" if value.name in (None, "") else value.name)
    return value


def adapted(value: Any) -> Any:
    """Return the data frame of a value whose type is registered; any other value as it is.

    Raises:
        NotAFrame: The registered function failed.
    """
    as_frame = next((_adapters[kind] for kind in type(value).__mro__ if kind in _adapters), None)
    if as_frame is None:
        return value
    try:
        return as_frame(value)
    except Exception as error:
        shown = type(value).__name__
        raise NotAFrame(f"the function that is registered for {shown} failed ({error})") from error


def opened(native: Any) -> Frame:
    """Return a table of another library as a narwhals frame; a lazy one is collected.

    Raises:
        NotAFrame: It is not a table.
    """
    try:
        import narwhals.stable.v2 as nw
    except ImportError:
        raise NotAFrame("frames need the package narwhals, which is not installed: pip install narwhals") from None
    try:
        frame: Any = nw.from_native(native)
    except TypeError:
        raise NotAFrame(f"{type(native).__name__} is not a data frame") from None
    except Exception as error:  # names of columns that narwhals refuses
        raise NotAFrame(f"the data frame cannot be used ({error})") from None
    return frame.collect() if isinstance(frame, nw.LazyFrame) else frame


def size_of(frame: Frame) -> int:
    """Return the bytes of memory that a frame takes, roughly."""
    try:
        return int(frame.estimated_size())
    except Exception:  # a foreign column may not know
        return 0


# Types


def kinds(frame: Frame) -> dict[str, str]:
    """Return what each column holds in JSON: ``number``, ``string``, ``boolean`` or ``any``; ``?``: values are missing.

    It reads the type of a column, and whether a value is missing.
    """
    return {name: _kind(frame[name]) for name in frame.columns}


def _kind(column: Any) -> str:
    kind = _plain_kind(column.dtype)
    return f"{kind}?" if kind != "any" and column.null_count() > 0 else kind


def _plain_kind(dtype: Any) -> str:
    import narwhals.stable.v2 as nw

    if dtype == nw.Boolean:
        return "boolean"
    if dtype == nw.Decimal or dtype in (nw.String, nw.Categorical, nw.Enum, nw.Binary) or dtype.is_temporal():
        return "string"
    return "number" if dtype.is_numeric() else "any"


def schema(frame: Frame) -> dict[str, str]:
    """Return the type of each column as narwhals writes it: ``Int64``, ``String``."""
    return {name: str(dtype) for name, dtype in frame.schema.items()}


# Chains: checked, then run


def run(steps: object, frame: Frame, label: str, find: Find, only: Collection[str] | None = None) -> Frame:
    """Check a chain of steps against the columns of a frame, and run it.

    Args:
        steps: The chain, as a program sends it: ``[["filter", EXPR], ["select", ["id"]], …]``.
        frame: The frame it begins with.
        label: What messages call that frame.
        find: Finds the frames that it joins.
        only: The columns of the result that are needed; other columns may be left out. None: all.

    Raises:
        InvalidParams: A column does not exist, or the chain is wrong. Nothing has run.
    """
    if not isinstance(steps, list) or len(steps) > MOST_STEPS:
        raise errors.InvalidParams(f"Cannot use {label}: steps must be a list of at most {MOST_STEPS}")
    checked = _Checked(label, list(frame.columns), find)
    for step in steps:
        checked.add(step)
    if only is not None and checked.can_be_narrow and checked.columns_have(only):
        frame = _narrow(frame, checked.used | set(only))
    for act in checked.acts:
        try:
            frame = act(frame)
        except errors.PctxError:
            raise
        except Exception as error:
            raise errors.InvalidParams(f"Cannot use {label}: {type(error).__name__}: {error}") from error
    return frame


def _narrow(frame: Frame, names: Collection[str]) -> Frame:
    """Return a frame with these of its columns alone: filters and sorts copy every column there is."""
    kept = [name for name in frame.columns if name in names] or frame.columns[:1]
    return frame.select(*kept)


class _Checked:
    """A chain while it is checked: the functions that run it, and the columns after the latest step."""

    def __init__(self, label: str, columns: list[str], find: Find) -> None:
        self.acts: list[Callable[[Frame], Frame]] = []
        self.columns = columns
        self.used: set[str] = set()
        self._nodes = 0
        self.can_be_narrow = True
        self._label, self._find = label, find

    def columns_have(self, names: Collection[str]) -> bool:
        """Return whether the frame has all of these columns after the latest step."""
        return set(names) <= set(self.columns)

    def add(self, step: object) -> None:
        """Check one step.

        Raises:
            InvalidParams: It is wrong.
        """
        match step:
            case ["filter", where]:
                condition = self._expression(where)
                self.acts.append(lambda frame: frame.filter(_condition(condition(frame), frame)))
            case ["select", [*names]]:
                chosen = self.names(names)
                self.acts.append(lambda frame: frame.select(*chosen))
                self.columns = chosen
            case ["with", dict(columns)]:
                made = {name: self._expression(one) for name, one in columns.items()}
                self.acts.append(lambda frame: frame.with_columns(*_made(made, frame)))
                self.columns = list(dict.fromkeys([*self.columns, *made]))
            case ["sort", [*names], bool(descending)]:
                by = self.names(names)
                self.acts.append(lambda frame: _sorted(frame, by, descending))
            case ["group", [*names], dict(wanted)]:
                keys, found = self.names(names), self.aggregates(wanted)
                if both := set(keys) & {name for name, _, _ in found}:
                    raise self._wrong(f'"{min(both)}" is a key and an aggregate; give the aggregate another name')
                self.acts.append(lambda frame: _grouped(frame, keys, found))
                self.columns = [*keys, *(name for name, _, _ in found)]
            case ["join", dict(other), [*names], str(how)] if how in JOINS:
                on = self.names(names)
                self.can_be_narrow = False  # the left columns decide how the right ones are called
                right, label = self._right(other)
                _Checked(label, list(right.columns), self._find).names(on)
                self.acts.append(lambda frame: _joined(frame, right, on, how))
                self.columns = _columns_of_join(self.columns, list(right.columns), on, how)
            case ["slice", int(start), int(stop)] if start >= 0 <= stop and not {type(start), type(stop)} & {bool}:
                self.acts.append(lambda frame: part(frame, start, stop))
            case _:
                raise self._wrong(f"it has no step {msgspec.json.encode(step).decode()[:100]}")

    def _right(self, other: dict[str, Any]) -> tuple[Frame, str]:
        id, steps = other.get("id"), other.get("steps", [])
        if not isinstance(id, str):
            raise self._wrong("join needs another frame")
        return run(steps, self._find(id), "the joined frame", self._find), "the joined frame"

    def names(self, names: Sequence[object]) -> list[str]:
        if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
            raise self._wrong("names of columns must be texts, at least one, and no two alike")
        return [self._name(str(name)) for name in names]

    def _name(self, name: str) -> str:
        if name not in self.columns:
            listed = ", ".join(self.columns[:MOST_SHOWN]) + (", …" if len(self.columns) > MOST_SHOWN else "")
            raise self._wrong(f'no column "{name[:100]}"{did_you_mean(name, self.columns)}; it has {listed}')
        self.used.add(name)
        return name

    def aggregates(self, wanted: dict[str, Any]) -> list[tuple[str, str | None, str]]:
        return aggregates(wanted, self._name, self.columns, self._wrong)

    def _expression(self, node: object, depth: int = 0) -> Callable[[Frame], Any]:
        """Return what computes an expression: a column, or a plain value."""
        if depth > MOST_STEPS:
            raise self._wrong(f"an expression is nested deeper than {MOST_STEPS} levels")
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise self._wrong(f"its expressions have more than {MOST_NODES:,} parts; use in([…]) for many values")
        match node:
            case {"col": str(name)}:
                self._name(name)
                return lambda frame: frame[name]
            case {"lit": value}:
                return lambda frame: value
            case {"op": str(name), "of": [*of]} if name in OPERATIONS and len(of) == OPERATIONS[name][0]:
                parts = [self._expression(one, depth + 1) for one in of]
                act = OPERATIONS[name][1]
                return lambda frame: act(frame, *(part(frame) for part in parts))
        raise self._wrong(f"it has no expression {msgspec.json.encode(node).decode()[:100]}")

    def _wrong(self, why: str) -> errors.InvalidParams:
        return errors.InvalidParams(f"Cannot use {self._label}: {why}")


def aggregates(
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


# Expressions. A column is a Series of narwhals; what is no column is a plain value of JSON.


def _is_series(value: Any) -> bool:
    return hasattr(value, "null_count")


def _is_odd(value: Any) -> bool:
    """Whether a column holds Python objects, or decimals: libraries compare those differently, and we one by one."""
    import narwhals.stable.v2 as nw

    if not _is_series(value):
        return False
    dtype = value.dtype
    return bool(dtype == nw.Object or dtype == nw.Decimal or dtype == nw.Unknown or dtype.is_nested())


def _missing(value: Any) -> Any:
    """Where a value is missing, or NaN: a column of truth values, or one."""
    if not _is_series(value):
        return value is None or value != value
    found = value.is_null()
    return found | value.is_nan().fill_null(False) if value.dtype.is_float() else found


def _bools(frame: Frame, values: Sequence[bool]) -> Any:
    import narwhals.stable.v2 as nw

    return nw.new_series("", list(values), nw.Boolean, backend=frame.implementation)


def _condition(value: Any, frame: Frame) -> Any:
    """Return a column of truth values, without missing ones, of whatever an expression gives."""
    import narwhals.stable.v2 as nw

    if not _is_series(value):
        return _bools(frame, [value is True] * len(frame))
    if value.dtype == nw.Boolean:
        return value.fill_null(False)
    return _bools(frame, [one is True for one in value.to_list()])


def _compared(act: Callable[[Any, Any], Any]) -> Callable[[Frame, Any, Any], Any]:
    """Make a comparison that is false wherever a value is missing."""

    def compare(frame: Frame, left: Any, right: Any) -> Any:
        if act is operator.eq and (left is None or right is None):
            return _condition(_missing(right if left is None else left), frame)
        left, right = _alike(left, right), _alike(right, left)
        if left is None or right is None:
            return _bools(frame, [False] * len(frame))
        if not (_is_series(left) or _is_series(right)):
            return act(left, right)
        if (outside := _outside(left, right)) is not None:
            there = ~_condition(_either(_missing(left), _missing(right)), frame)
            return there if act(*outside) else _bools(frame, [False] * len(frame))
        if _is_odd(left) or _is_odd(right) or any(type(one) is int and one >= 1 << 63 for one in (left, right)):
            return _one_by_one(frame, act, left, right)
        absent = _either(_missing(left), _missing(right))
        return act(left, right).fill_null(False) & ~_condition(absent, frame)

    return compare


def _outside(left: Any, right: Any) -> tuple[int, int] | None:
    """Return what compares like a column of integers and an integer that it cannot hold; None: it can hold it."""
    for value, column in ((left, right), (right, left)):
        if type(value) is int and column.dtype.is_integer():
            least, most = _range_of(column.dtype)
            if not least <= value <= most:
                return (value, 0) if value is left else (0, value)
    return None


def _either(left: Any, right: Any) -> Any:
    return left | right if _is_series(left) else right | left


def _one_by_one(frame: Frame, act: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    size = len(frame)
    gone = [_condition(_missing(one), frame).to_list() for one in (left, right)]
    sides = [one.to_list() if _is_series(one) else [one] * size for one in (left, right)]
    try:
        found = [
            not (no_left or no_right) and bool(act(one, other))
            for one, other, no_left, no_right in zip(*sides, *gone, strict=True)
        ]
    except TypeError as error:
        raise errors.InvalidParams(f"Cannot compare a column: {error}") from None
    return _bools(frame, found)


def _alike(value: Any, to: Any) -> Any:
    """Make a plain value one that compares with a column: JSON has texts for times and decimals.

    Text columns of categories become texts, as categories of two columns cannot be compared.
    """
    import narwhals.stable.v2 as nw

    if _is_series(value):
        return value.cast(nw.String) if value.dtype in (nw.Categorical, nw.Enum) else value
    if value is None or not _is_series(to):
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
    for known, kind in (
        (nw.Datetime, dt.datetime),
        (nw.Date, dt.date),
        (nw.Duration, dt.timedelta),
        (nw.Time, dt.time),
        (nw.Decimal, Decimal),
    ):
        if dtype == known:
            return kind
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        return str
    if dtype == nw.Boolean:
        return bool
    if dtype.is_numeric():
        return float
    if dtype == nw.Object:
        gone = column.is_null().to_list()
        return next((type(one) for one, is_gone in zip(column.to_list(), gone, strict=True) if not is_gone), None)
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
    if found.tzinfo is None:
        from zoneinfo import ZoneInfo

        return found.replace(tzinfo=ZoneInfo(zone))
    return found


def _converted(text: str, kind: type, column: Any) -> Any:
    try:
        if kind is dt.datetime and len(text) == 10:
            text = f"{text}T00:00:00"
        return msgspec.convert(text, kind)
    except msgspec.ValidationError:
        raise errors.InvalidParams(
            f'Cannot compare column "{column.name}": {text[:50]!r} is not a {kind.__name__}'
        ) from None


def _calculated(act: Callable[[Any, Any], Any]) -> Callable[[Frame, Any, Any], Any]:
    def calculate(frame: Frame, left: Any, right: Any) -> Any:
        for one in (left, right):
            kind = _python_type(one) if _is_series(one) else type(one)
            if kind in (str, bool) or one is None:
                shown = f'column "{one.name}"' if _is_series(one) else f"{one!r:.50}"
                raise errors.InvalidParams(f"Cannot calculate with {shown}: it is not a number")
        return act(left, right)

    return calculate


def _texts(act: Callable[[Any, str], Any]) -> Callable[[Frame, Any, Any], Any]:
    def test(frame: Frame, column: Any, part: Any) -> Any:
        column = _alike(column, None)
        if not _is_series(column) or not isinstance(part, str):
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
    if _is_series(column) and not (_is_odd(column) or is_large) and _python_type(column) in (str, float):
        texts = _alike(column, None)
        wanted = _of_one_type([one for one in (_alike(value, texts) for value in values) if one is not None], texts)
        found = _condition(texts.is_in(wanted), frame) if wanted else _bools(frame, [False] * len(frame))
        return found | _is_missing(frame, texts) if None in values else found & ~_is_missing(frame, texts)
    if len(values) * len(frame) > MOST_COMPARED:
        raise errors.InvalidParams(
            f"Cannot search a column of {len(frame):,} rows for {len(values):,} values one by one; join a frame of them"
        )
    same = _compared(operator.eq)
    found = _bools(frame, [False] * len(frame))
    for value in values:
        found = found | _condition(same(frame, column, value), frame)
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
    return _condition(left, frame) & _condition(right, frame)


def _one_of(frame: Frame, left: Any, right: Any) -> Any:
    return _condition(left, frame) | _condition(right, frame)


def _opposite(frame: Frame, value: Any) -> Any:
    return ~_condition(value, frame)


def _differs(frame: Frame, left: Any, right: Any) -> Any:
    return ~_condition(_compared(operator.eq)(frame, left, right), frame)


def _is_missing(frame: Frame, value: Any) -> Any:
    return _condition(_missing(value), frame)


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
    "add": (2, _calculated(operator.add)),
    "sub": (2, _calculated(operator.sub)),
    "mul": (2, _calculated(operator.mul)),
    "div": (2, _calculated(operator.truediv)),
    "contains": (2, _texts(_contains)),
    "startsWith": (2, _texts(_starts)),
    "endsWith": (2, _texts(_ends)),
}
"""What expressions are made of: the number of arguments, and what computes it."""


def _made(columns: Mapping[str, Callable[[Frame], Any]], frame: Frame) -> list[Any]:
    import narwhals.stable.v2 as nw

    _demand_room(8 * len(frame) * len(columns), f"{len(columns):,} columns of {len(frame):,} rows")
    found = {name: make(frame) for name, make in columns.items()}
    return [(one if _is_series(one) else nw.lit(one)).alias(name) for name, one in found.items()]


def _demand_room(size: float, what: str) -> None:
    if size > MOST_MADE_BYTES:
        raise errors.InvalidParams(
            f"Cannot make {what}: they would take some {size / 1e9:,.1f} GB, and {MOST_MADE_BYTES / 1e9:.1f} GB are "
            "the most; filter, select or group before"
        )


# Steps on whole frames


def part(frame: Frame, start: int, stop: int) -> Frame:
    """Return some rows of a frame; numbers beyond its end mean its end."""
    return frame[min(start, len(frame)) : min(stop, len(frame))]


_ROW = "\0row"
"""The name of a column of row numbers, which makes an order certain where a library leaves it open."""
_RIGHT_ROW = "\0right row"

JOINS = ("inner", "left", "semi", "anti")
"""The kinds of joins."""


def _sorted(frame: Frame, by: list[str], descending: bool) -> Frame:
    numbered = frame.with_row_index(_ROW)
    return numbered.sort(*by, _ROW, descending=[descending] * len(by) + [False], nulls_last=True).drop(_ROW)


def _columns_of_join(left: list[str], right: list[str], on: list[str], how: str) -> list[str]:
    if how in ("semi", "anti"):
        return left
    return [*left, *(f"{name}_right" if name in left else name for name in right if name not in on)]


def _joined(frame: Frame, right: Frame, on: list[str], how: str) -> Frame:
    import narwhals.stable.v2 as nw

    # pandas matches missing keys with one another, and others do not.
    right = right.filter(*(~nw.col(name).is_null() for name in on))
    frame, right = _with_texts(frame, on), _with_texts(right, on)
    if type(nw.to_native(frame)) is not type(nw.to_native(right)):
        columns = {name: right[name].to_list() for name in right.columns}
        right = nw.from_dict(columns, backend=frame.implementation)
    if how in ("inner", "left"):
        _demand_room_for_join(frame, right, on)
    left = frame.with_row_index(_ROW)
    if how in ("semi", "anti"):
        return left.join(right.select(*on), on=on, how=how).sort(_ROW).drop(_ROW)
    both = left.join(right.with_row_index(_RIGHT_ROW), on=on, how=how)
    return both.sort(_ROW, _RIGHT_ROW, nulls_last=True).drop(_ROW, _RIGHT_ROW)


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


def _grouped(frame: Frame, keys: list[str], wanted: list[tuple[str, str | None, str]]) -> Frame:
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
        if _plain_kind(frame[column].dtype) == "string":
            raise errors.InvalidParams(f'Cannot compute {function} of column "{column}": it does not hold numbers')
    return _with_texts(frame, {column for _, column, _ in wanted if column is not None} | set(keys))


def _with_texts(frame: Frame, names: Collection[str]) -> Frame:
    """Make categories texts in these columns: those of two columns cannot be compared."""
    import narwhals.stable.v2 as nw

    texts = [one for one in names if frame[one].dtype in (nw.Categorical, nw.Enum)]
    return frame.with_columns(*(nw.col(one).cast(nw.String) for one in texts)) if texts else frame


def columns_of(wanted: Mapping[str, Any]) -> list[str]:
    """Return the columns that aggregates may be of; what is wrong in them is not decided here."""
    found = [one[0] if isinstance(one, list) and one else name for name, one in wanted.items()]
    return [name for name in found if isinstance(name, str)]


def aggregated(frame: Frame, label: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return aggregates of the whole frame, by name.

    Raises:
        InvalidParams: One of them is wrong.
    """
    checked = _Checked(label, list(frame.columns), _no_frame)
    found = checked.aggregates(dict(wanted))
    frame = _ready_for(frame, found)
    return {
        name: len(frame) if column is None else _plain(AGGREGATES[function](frame[column]), frame)
        for name, column, function in found
    }


def _plain(value: Any, frame: Frame) -> Any:
    """Return an aggregate; None where a library that has NaN for missing values gives NaN."""
    if not frame.implementation.is_pandas_like():
        return value
    pandas = sys.modules.get("pandas")
    is_missing = value is None or (pandas is not None and value is pandas.NA)  # which has no truth value
    return None if is_missing or not bool(value == value) else value


def _no_frame(id: str) -> Frame:
    raise errors.InvalidParams(f"Cannot join {id[:100]} here")


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


def sampled(frame: Frame, count: int, seed: int | None) -> Frame:
    """Return some rows at random, none of them twice, in their order."""
    numbered = frame.with_row_index(_ROW)
    return numbered.sample(min(count, len(frame)), seed=seed).sort(_ROW).drop(_ROW)


# What leaves the kernel


def numbers(frame: Frame, name: str) -> tuple[memoryview, bool] | None:
    """Return a column of numbers as the bytes of float64, with NaN for missing; None: it holds no numbers.

    Also returns whether an integer is beyond 2**53, and rounded, as in JSON.
    """
    import narwhals.stable.v2 as nw

    column = frame[name]
    if not column.dtype.is_numeric() or column.dtype == nw.Decimal:
        return None
    rounded = column.dtype.is_integer() and _has_large(column)
    floats = column if rounded else column.cast(nw.Float64)  # Arrow does not cast what it would round
    if not rounded and "numpy" in sys.modules:
        return bytes_of(floats.to_numpy(), "<f8"), rounded
    return _little_endian(
        array("d", [float("nan") if one is None else float(one) for one in floats.to_list()])
    ), rounded


def _has_large(column: Any) -> bool:
    edges = [edge for edge in (column.min(), column.max()) if edge is not None]
    return any(abs(int(edge)) > LARGEST_EXACT for edge in edges if edge == edge)


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


def preview(frame: Frame) -> tuple[dict[str, str], Frame]:
    """Return the types of the first columns of a frame, and its first rows in these columns."""
    shown = list(frame.columns)[:MOST_SHOWN]
    types = schema(frame)
    return {name: types[name] for name in shown}, frame.select(*shown)[:FIRST_ROWS]


def shortened(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of JSON with long texts, and whatever is nested, cut to `LONGEST_SHOWN` characters."""

    def cut(value: Any) -> Any:
        text = value if isinstance(value, str) else None
        if isinstance(value, (dict, list)):
            text = msgspec.json.encode(value).decode()
        if text is None or len(text) <= LONGEST_SHOWN:
            return value
        return f"{text[: LONGEST_SHOWN - 1]}…"

    return [{name: cut(value) for name, value in row.items()} for row in rows]
