"""Frames: tables of any library that narwhals supports, as programs see them.

It knows which values are frames, what their columns hold, and what is shown of them. It does not know what programs do
with frames: that is in `chains`. narwhals is imported with the first frame.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from .. import futures

FIRST_ROWS = 3
"""Rows of a frame that are shown."""
MOST_SHOWN = 20
"""Columns of a frame that are shown; of more, the first."""
LONGEST_SHOWN = 40
"""Characters of a text that are shown."""

T = TypeVar("T")

Frame = Any
"""A ``narwhals.DataFrame``. narwhals types a frame by its library, and here it may be any."""


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
    """Return the data frame of a value whose type is registered, or what Dask computes; any other value as it is.

    Raises:
        NotAFrame: The registered function failed.
    """
    if futures.is_dask_frame(value):
        return value.compute()
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
    return _with_plain_values(frame.collect() if isinstance(frame, nw.LazyFrame) else frame)


def _with_plain_values(frame: Frame) -> Frame:
    """Return a frame with numbers, truth values and times in the place of categories of these.

    Libraries sort and group by such categories as by texts. Categories with an order of their own stay as they are.
    """
    import narwhals.stable.v2 as nw

    named = [name for name, dtype in frame.schema.items() if dtype in (nw.Categorical, nw.Enum)]
    found = {name: plain for name in named if (plain := _without_categories(frame[name].to_native())) is not None}
    if not found:
        return frame
    return frame.with_columns(*(nw.from_native(one, series_only=True).alias(name) for name, one in found.items()))


NULLABLE = {"i": "Int64", "u": "UInt64", "f": "Float64", "b": "boolean"}
"""Types of pandas in which values can be missing, by numpy's kinds of types."""


def _without_categories(column: Any) -> Any:
    """Return a column of pandas or Arrow with the values of its categories; None: these are texts, or have an order."""
    dtype = getattr(column, "dtype", None)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(dtype, pandas.CategoricalDtype):
        categories = dtype.categories
        has_order = dtype.ordered and not categories.is_monotonic_increasing
        if getattr(categories.dtype, "kind", "O") not in "iufbmM" or has_order:
            return None
        held = pandas.array(categories, dtype=NULLABLE.get(categories.dtype.kind))
        made = held.take(column.cat.codes.to_numpy(), allow_fill=True)  # the code of a missing value is -1
        return pandas.Series(made, index=column.index, name=column.name)
    kind = getattr(column, "type", None) or getattr(dtype, "pyarrow_dtype", None)
    inner = getattr(kind, "value_type", None)
    if inner is None or "string" in str(inner):
        return None
    return column.cast(inner) if dtype is None else column.astype(type(dtype)(inner))


def size_of(frame: Frame, *, is_shallow: bool = False) -> int:
    """Return the bytes of memory that a frame takes, roughly.

    Args:
        frame: The frame.
        is_shallow: Leave out the objects of Python in its columns: those of a frame that was made of another are its.
    """
    try:
        if is_shallow and frame.implementation.is_pandas():
            return int(frame.to_native().memory_usage(deep=False).sum())
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
    kind = plain_kind(column.dtype)
    return f"{kind}?" if kind != "any" and column.null_count() > 0 else kind


def plain_kind(dtype: Any) -> str:
    import narwhals.stable.v2 as nw

    if dtype == nw.Boolean:
        return "boolean"
    if dtype == nw.Decimal or dtype in (nw.String, nw.Categorical, nw.Enum, nw.Binary) or dtype.is_temporal():
        return "string"
    return "number" if dtype.is_numeric() else "any"


def schema(frame: Frame) -> dict[str, str]:
    """Return the type of each column as narwhals writes it: ``Int64``, ``String``."""
    return {name: str(dtype) for name, dtype in frame.schema.items()}


# What is shown


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
