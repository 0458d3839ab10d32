"""Tables and series of other libraries, as plain rows and lists.

Knows pandas, polars and Arrow, and imports none of them: a value can only be theirs if they are loaded already. Whole
columns are converted at once, since a Python object a cell is what takes time. What the elements become in JSON is not
decided here. Of numpy, `arrays` knows.

===========================  ==========================================================================================
value                        becomes
===========================  ==========================================================================================
data frame (pandas, polars)  a list of rows, each a dict by column name
  its index                  further columns, by name, before the others; one of integers without a name is left out
  without a name             ``index``; a level of several: ``level_0``
  of a column's name         ``index_`` and the name
  columns of several levels  ``("price", "max")`` → ``price_max``
Series                       a list; with an index that a frame's rows would have, rows like those of a frame with this
                             one column, called ``value`` if it has no name; rows, too, when its values are dicts, and
                             when it is called ``count`` or ``proportion``, as results of ``value_counts()`` are
missing                      None; in pandas that is also every NaN, elsewhere NaN is a number
date and time                ``datetime``, ``date`` (by unit), ``timedelta``; as ISO text where those would cut digits
period, interval, dtype      their text: ``2024Q1``, ``(0, 10]``, ``int64``
===========================  ==========================================================================================

Whether an index becomes columns depends on its names and its type, never on what is in it.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Iterable
from typing import Any

from .. import classes
from . import arrays
from .arrays import Convert, Unfit, array_values, duration_text, rows


def converter(kind: type) -> Convert | None:
    """Return how values of one type become plain, or None if the type is of no library known here."""
    for library in dict.fromkeys(base.__module__.partition(".")[0] for base in kind.__mro__):
        module = sys.modules.get(library)
        find = _LIBRARIES.get(library)
        if module is not None and find is not None and (found := find(module, kind)) is not None:
            return found
    if "numpy" in sys.modules and hasattr(kind, "__array__"):  # tensors and the like
        return arrays.through_numpy
    return None


def is_table(value: Any) -> bool:
    """Return whether a value is a data frame or a series of pandas or polars, or a table of Arrow."""
    return classes.is_one(type(value), classes.TABLES)


def is_certain(value: Any) -> bool:
    """Return whether a value is a table, or an array, of which JSON has every number and no key twice: a quick look."""
    np, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if np is None:
        return False
    if isinstance(value, np.ndarray):
        is_float = value.dtype.kind == "f" and value.dtype.itemsize <= 8
        return value.dtype.kind in "biuU" or (is_float and bool(np.isfinite(value).all()))
    if pandas is None or not isinstance(value, (pandas.DataFrame, pandas.Series)):
        return False
    columns = [value] if isinstance(value, pandas.Series) else [column for _, column in value.items()]
    if isinstance(value, pandas.Series) and _is_count(value):
        return False
    if is_labelled(pandas, value.index):
        return False
    return all(_is_certain_column(np, pandas, column) for column in columns)


def _is_certain_column(np: Any, pandas: Any, column: Any) -> bool:
    dtype = column.dtype
    if isinstance(dtype, np.dtype):
        is_float = dtype.kind == "f" and dtype.itemsize <= 8
        return dtype.kind in "biumM" or (is_float and not np.isinf(column.to_numpy()).any())
    if isinstance(dtype, pandas.DatetimeTZDtype):
        return not _may_have_odd_offset(column)
    return isinstance(dtype, pandas.StringDtype)


WHOLE_MINUTES = 1973
"""The year from which on the offsets of all zones are whole minutes."""


def _may_have_odd_offset(column: Any) -> bool:
    """Return whether a time of a pandas series with a zone may have an offset with seconds: a quick look."""
    # The least of no time at all is NaT, whose year is NaN.
    return not is_zone(column.dtype.tz) or bool(column.min().year < WHOLE_MINUTES)


def is_zone(zone: Any) -> bool:
    """Return whether a time zone is UTC, or one of the database of zones."""
    return zone is dt.UTC or type(zone).__module__ == "zoneinfo"


def has_odd_offset(value: Any) -> bool:
    """Return whether a value is a time whose offset from UTC has seconds, as before there were zones."""
    if not isinstance(value, (dt.datetime, dt.time)) or value.tzinfo is None:
        return False
    offset = value.utcoffset()
    return offset is not None and (offset.seconds % 60 != 0 or offset.microseconds != 0)


# pandas


def _pandas(pd: Any, kind: type) -> Convert | None:
    if issubclass(kind, pd.DataFrame):
        return _pandas_rows
    if issubclass(kind, pd.Series):
        return _series
    if issubclass(kind, (pd.Index, pd.api.extensions.ExtensionArray)):
        return lambda value: _labels(pd, value)
    if issubclass(kind, type(pd.NA)):
        return lambda _: None
    if issubclass(kind, (pd.Period, pd.Interval, pd.api.extensions.ExtensionDtype)):
        return str
    return None


def moment(value: Any, *, is_odd: bool = True) -> Any:
    """A pandas timestamp as a ``datetime``, or as ISO text when it has nanoseconds or an offset with seconds.

    Args:
        value: The timestamp.
        is_odd: Whether its offset may have seconds.
    """
    is_text = value.nanosecond or (is_odd and has_odd_offset(value))
    return value.isoformat() if is_text else value.to_pydatetime()


def _pandas_rows(frame: Any) -> list[dict[str, Any]]:
    pd = sys.modules["pandas"]
    columns: dict[str, list[Any]] = {}
    for position, label in enumerate(frame.columns):
        name = _column_name(label)
        if name in columns:
            raise Unfit(f'two columns of the data frame are called "{name}"; rename one')
        columns[name] = _series_values(pd, frame.iloc[:, position])
    return rows(_with_index(pd, frame.index, columns), len(frame))


def _with_index(pd: Any, index: Any, columns: dict[str, list[Any]], *, always: bool = False) -> dict[str, list[Any]]:
    """Put the levels of an index before the columns, unless it is one of integers without a name."""
    if not (always or is_labelled(pd, index)):
        return columns
    found: dict[str, list[Any]] = {}
    is_multiple = isinstance(index, pd.MultiIndex)
    for level in range(index.nlevels):
        label = index.names[level]
        name = _column_name(label) if label is not None else f"level_{level}" if is_multiple else "index"
        if name in columns or name in found:
            name = f"index_{name}"
        if name in columns or name in found:
            raise Unfit(f'its index and a column are both called "{name}"; rename one')
        found[name] = _labels(pd, index.get_level_values(level))
    return found | columns


def is_labelled(pd: Any, index: Any) -> bool:
    """Return whether an index says more than the place of a row, by its names and its type.

    The type of an index without a name is that of its row numbers, or of what a filter has left of them.
    """
    return index.nlevels > 1 or index.name is not None or not pd.api.types.is_integer_dtype(index.dtype)


def flattened(frame: Any) -> Any:
    """Return a pandas frame whose labels are columns and whose names are texts, as its rows have them.

    Any other value is returned as it is.

    Raises:
        Unfit: Two columns have the same name.
    """
    pd = sys.modules.get("pandas")
    if pd is None or not isinstance(frame, pd.DataFrame):
        return frame
    names = [_column_name(label) for label in frame.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Unfit(f'two columns of the data frame are called "{twice}"; rename one')
    levels = list(_with_index(pd, frame.index[:0], {name: [] for name in names}))[: -len(names) or None]
    flat = frame if names == list(frame.columns) else frame.set_axis(names, axis=1)
    if is_labelled(pd, frame.index):
        return flat.rename_axis(columns=None).reset_index(names=levels)
    is_counted = isinstance(frame.index, pd.RangeIndex) and frame.index.start == 0 and frame.index.step == 1
    return flat if is_counted else flat.reset_index(drop=True)


def _column_name(label: Any) -> str:
    if isinstance(label, str):
        return label
    if isinstance(label, tuple):
        return "_".join(filter(None, map(_column_name, label)))
    return str(label.isoformat()) if hasattr(label, "isoformat") else str(label)


def _series(series: Any) -> list[Any]:
    pd = sys.modules["pandas"]
    values = _series_values(pd, series)
    holds_dicts = series.dtype == object and dict in set(map(type, values))
    if not holds_dicts and not _is_count(series) and not is_labelled(pd, series.index):
        return values
    name = VALUE if series.name is None else _column_name(series.name)
    return rows(_with_index(pd, series.index, {name: values}, always=True), len(values))


def _is_count(series: Any) -> bool:
    return isinstance(series.name, str) and series.name in COUNTS


COUNTS = ("count", "proportion")
"""Names that ``value_counts()`` gives to its results: their labels count, be they integers without a name."""

VALUE = "value"
"""The column of a series without a name."""


def series_of(pd: Any, kind: type, value: Any) -> Any:
    """Make a series of what `_series` returns: of values, or of rows with labels and a value.

    A dict by label is taken, too. Raises ValueError for anything else.
    """
    if isinstance(value, dict):
        return kind(found := list(value.values()), index=list(value), dtype=exact_dtype(found))
    if not isinstance(value, list):
        raise ValueError("an array is needed")
    names = list(value[0]) if value and isinstance(value[0], dict) else []
    if len(names) < 2 or any(not isinstance(row, dict) or list(row) != names for row in value):
        return kind(value, dtype=exact_dtype(value))
    *levels, last = names
    labels = [[row[level] for row in value] for level in levels]
    if len(labels) == 1:
        index = pd.Index(labels[0], name=None if levels[0] == "index" else levels[0])
    else:
        index = pd.MultiIndex.from_arrays(labels)
        index.names = [None if name == f"level_{place}" else name for place, name in enumerate(levels)]
    found = [row[last] for row in value]
    return kind(found, index=index, name=None if last == VALUE else last, dtype=exact_dtype(found))


def exact_dtype(values: Iterable[Any]) -> type | None:
    """Return ``object`` if an integer is among floats or missing values that a float would round, else None."""
    kinds = set(map(type, values := list(values)))
    is_mixed = int in kinds and len(kinds) > 1
    return object if is_mixed and any(map(_is_rounded, values)) else None


def _is_rounded(value: Any) -> bool:
    """Return whether a value is an integer that no float is."""
    return type(value) is int and abs(value) > 2**53 and (abs(value) >= 2**1023 or int(float(value)) != value)


def _labels(pd: Any, index: Any) -> list[Any]:
    if isinstance(index, pd.MultiIndex):
        return list(index.tolist())
    return _series_values(pd, pd.Series(index))


def _series_values(pd: Any, series: Any) -> list[Any]:
    np = sys.modules["numpy"]
    dtype, array = series.dtype, series.array
    if isinstance(dtype, np.dtype):
        values = list(array_values(series.to_numpy()))
        return _without_nan(values, series.isna().to_numpy()) if dtype.kind in "fO" else values
    if isinstance(dtype, pd.DatetimeTZDtype):
        is_odd = _may_have_odd_offset(series)
        times = pd.DatetimeIndex(series).tolist()
        return [None if one is pd.NaT else moment(one, is_odd=is_odd) for one in times]
    if isinstance(dtype, pd.CategoricalDtype):
        categories = [*_labels(pd, dtype.categories), None]  # the code of a missing value is -1
        return [categories[code] for code in array.codes.tolist()]
    if isinstance(dtype, (pd.PeriodDtype, pd.IntervalDtype)):
        return [None if missing else str(value) for value, missing in zip(array, array.isna(), strict=True)]
    if isinstance(dtype, pd.SparseDtype):
        return _without_nan(list(array_values(np.asarray(array))), series.isna().to_numpy())
    if isinstance(dtype, pd.ArrowDtype) and _is_cut(sys.modules["pyarrow"], dtype.pyarrow_dtype):
        return _arrow_values(array.__arrow_array__())
    values = list(array.to_numpy(dtype=object, na_value=None).tolist())
    if pd.api.types.is_float_dtype(dtype):  # 0/0 is a NaN that such columns do not call missing
        return [None if value != value else value for value in values]
    return [moment(value) if isinstance(value, pd.Timestamp) else value for value in values]


def _without_nan(values: list[Any], missing: Any) -> list[Any]:
    """Put None where a value is missing."""
    for place in missing.nonzero()[0].tolist():
        values[place] = None
    return values


# polars and Arrow


def _polars(pl: Any, kind: type) -> Convert | None:
    if issubclass(kind, pl.DataFrame):
        return lambda frame: rows({one.name: _polars_values(pl, one) for one in frame.iter_columns()}, frame.height)
    if issubclass(kind, pl.Series):
        return lambda series: _polars_values(pl, series)
    if issubclass(kind, pl.LazyFrame):
        return _refuse("a lazy frame has no rows yet; pass it by handle, or call collect() first")
    return None


def _polars_values(pl: Any, series: Any) -> list[Any]:
    dtype = series.dtype
    if isinstance(dtype, (pl.List, pl.Array)) and _has_finer(pl, dtype):
        return [None if part is None else _polars_values(pl, part) for part in series]
    if isinstance(dtype, pl.Struct) and _has_finer(pl, dtype):
        parts = series.struct.unnest()
        made: list[Any] = rows({one.name: _polars_values(pl, one) for one in parts.iter_columns()}, len(series))
        return [None if missing else row for row, missing in zip(made, series.is_null(), strict=True)]
    values: list[Any] = series.to_list()
    if dtype == pl.Time or getattr(dtype, "time_unit", None) == "ns":  # to_list() cuts what Python's types cannot hold
        finer = (series.to_physical() % 1000 != 0).fill_null(value=False)
        found = series.filter(finer)
        if dtype == pl.Duration:
            texts = [duration_text(number, 9) for number in found.to_physical().to_list()]
        else:
            texts = found.dt.to_string("iso:strict").to_list()
        for place, text in zip(finer.arg_true().to_list(), texts, strict=True):
            values[place] = text
    return values


def _has_finer(pl: Any, dtype: Any) -> bool:
    """Return whether there may be nanoseconds in values of a type of polars."""
    if isinstance(dtype, (pl.List, pl.Array)):
        return _has_finer(pl, dtype.inner)
    if isinstance(dtype, pl.Struct):
        return any(_has_finer(pl, field.dtype) for field in dtype.fields)
    return bool(dtype == pl.Time or getattr(dtype, "time_unit", None) == "ns")


def _arrow(pa: Any, kind: type) -> Convert | None:
    if hasattr(kind, "to_pylist"):  # tables, record batches, arrays
        return _arrow_values
    if hasattr(kind, "as_py"):  # scalars
        return lambda value: (
            _arrow_values(pa.array([value], value.type))[0] if _is_cut(pa, value.type) else value.as_py()
        )
    return None


def _arrow_values(value: Any) -> list[Any]:
    names = getattr(value, "column_names", None)
    if names is not None and len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise Unfit(f'two columns of the table are called "{name}"; rename one')
    pa = sys.modules["pyarrow"]
    if names is None:
        return _arrow_column(pa, value)
    cut = {field.name for field in value.schema if _is_cut(pa, field.type)}
    if not cut:
        return list(value.to_pylist())
    columns = {name: _arrow_column(pa, value.column(place)) for place, name in enumerate(names)}
    return rows(columns, len(value))


def _arrow_column(pa: Any, column: Any) -> list[Any]:
    """Return the values of an array of Arrow, with texts for times of day that have nanoseconds."""
    kind = column.type
    if not _is_cut(pa, kind):
        return list(column.to_pylist())
    return [_with_short_times(pa, kind, one) for one in column.cast(_uncut(pa, kind)).to_pylist()]


def _with_short_times(pa: Any, kind: Any, value: Any) -> Any:
    """Return a value with Arrow's texts for times of day, which all have nine digits, as other libraries write them.

    Args:
        pa: The library.
        kind: The type that the value had before.
        value: The value, of lists, dicts and pairs.
    """
    if value is None or not _is_cut(pa, kind):
        return value
    if not pa.types.is_nested(kind):
        return value.removesuffix("000").removesuffix(".000000") if value.endswith("000") else value
    if pa.types.is_struct(kind):
        return {one.name: _with_short_times(pa, one.type, value[one.name]) for one in kind}
    if pa.types.is_map(kind):
        parts = kind.key_type, kind.item_type
        return [tuple(_with_short_times(pa, *both) for both in zip(parts, pair, strict=True)) for pair in value]
    return [_with_short_times(pa, kind.value_type, one) for one in value]


def _is_cut(pa: Any, kind: Any) -> bool:
    """Return whether Arrow cuts nanoseconds where it makes Python's objects of a type: those of times of day."""
    if pa.types.is_nested(kind):
        return any(_is_cut(pa, kind.field(place).type) for place in range(kind.num_fields))
    return bool(kind == pa.time64("ns"))


def _uncut(pa: Any, kind: Any) -> Any:
    """Return a type of Arrow with texts in place of times of day."""
    if kind == pa.time64("ns"):
        return pa.string()
    if not pa.types.is_nested(kind):
        return kind
    fields = [kind.field(place).with_type(_uncut(pa, kind.field(place).type)) for place in range(kind.num_fields)]
    if pa.types.is_struct(kind):
        return pa.struct(fields)
    if pa.types.is_map(kind):
        return pa.map_(_uncut(pa, kind.key_type), _uncut(pa, kind.item_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(fields[0], kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(fields[0]) if pa.types.is_list(kind) else pa.large_list(fields[0])
    raise Unfit("a union with times of nanoseconds cannot be converted; cast them to text first")


def _refuse(reason: str) -> Convert:
    def refuse(_: Any) -> Any:
        raise Unfit(reason)

    return refuse


def _lazy(fetch: str, name: str) -> Callable[[Any, type], Convert | None]:
    """Return what refuses the lazy tables of a library, with what people call to get the rows."""

    def find(_: Any, kind: type) -> Convert | None:
        if kind.__name__ != name:
            return None
        return _refuse(f"a {name} has no rows yet; pass it by handle, or call {fetch} first")

    return find


_LIBRARIES: dict[str, Callable[[Any, type], Convert | None]] = {
    "numpy": arrays.converter,
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _arrow,
    "duckdb": _lazy("df()", "DuckDBPyRelation"),
    "pyspark": _lazy("toPandas()", "DataFrame"),
}
