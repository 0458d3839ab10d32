"""Arrays and tables of other libraries, as plain lists and rows.

Knows numpy, pandas, polars and Arrow, and imports none of them: a value can only be theirs if they are loaded
already. Whole columns are converted at once, since a Python object a cell is what takes time. What the elements become
in JSON is not decided here.

===========================  ==========================================================================================
value                        becomes
===========================  ==========================================================================================
data frame (pandas, polars)  a list of rows, each a dict by column name
  its index                  further columns, by name, unless it is the unnamed count of rows; ``index`` if unnamed
  columns of several levels  ``("price", "max")`` → ``price_max``
Series                       a list; a dict when every label of its index is a different text
array                        nested lists; rows when its dtype is structured
missing, NaN, NaT, NA        None
date and time                ``datetime``, ``date`` (by unit), ``timedelta``, to the microsecond
period, interval             their text: ``2024Q1``, ``(0, 10]``
===========================  ==========================================================================================
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

Convert = Callable[[Any], Any]
"""Takes one step towards plain values; raises `Unfit` when there is none."""


class Unfit(Exception):
    """A value has no plain form; the message says why and the way out, but not where the value is."""


def converter(kind: type) -> Convert | None:
    """Return how values of one type become plain, or None if the type is of no library known here."""
    for library in dict.fromkeys(base.__module__.partition(".")[0] for base in kind.__mro__):
        module = sys.modules.get(library)
        find = _LIBRARIES.get(library)
        if module is not None and find is not None and (found := find(module, kind)) is not None:
            return found
    if "numpy" in sys.modules and hasattr(kind, "__array__"):  # tensors and the like
        return _through_numpy
    return None


def rows(columns: dict[str, list[Any]], height: int) -> list[dict[str, Any]]:
    """Turn columns into rows."""
    if not columns:
        return [{} for _ in range(height)]
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


# numpy


def _numpy(np: Any, kind: type) -> Convert | None:
    if issubclass(kind, np.ndarray):
        return array_values
    if not issubclass(kind, np.generic):
        return None
    if issubclass(kind, np.bool_):
        return bool
    if issubclass(kind, np.timedelta64):  # numpy counts it among the integers
        return _numpy_scalar
    if issubclass(kind, np.integer):
        return int
    if issubclass(kind, np.floating):
        return float
    return _numpy_scalar


def _numpy_scalar(value: Any) -> Any:
    return array_values(sys.modules["numpy"].asarray(value))


def _through_numpy(value: Any) -> Any:
    np = sys.modules["numpy"]
    try:
        array = np.asarray(value)
    except Exception as error:
        raise Unfit(f"{type(value).__name__} cannot become an array ({error}); convert it first") from error
    if array.dtype.kind == "O" and array.ndim == 0:
        raise Unfit(f"{type(value).__name__} is not JSON; convert it to a list or a dict first")
    return array_values(array)


def array_values(array: Any) -> Any:
    """Turn a numpy array of any shape into nested lists (a bare value, if it has no dimension)."""
    np = sys.modules["numpy"]
    dtype = array.dtype
    if dtype.names is not None:
        return _structured(array)
    match dtype.kind:
        case "M":
            return _dates(np, array)
        case "m":
            return _durations(np, array)
        case "c":
            raise Unfit("a complex number is not JSON; pass its real and imag parts")
        case "f" if dtype.itemsize > 8:  # tolist() would leave numpy's own long doubles
            return array.astype(np.float64).tolist()
        case _:
            return array.tolist()


def _structured(array: Any) -> Any:
    fields = {name: array_values(array[name]) for name in array.dtype.names}
    if array.ndim == 0:
        return fields
    if array.ndim == 1:
        return rows(fields, len(array))
    return [_structured(part) for part in array]


def _dates(np: Any, array: Any) -> Any:
    if np.datetime_data(array.dtype)[0] in ("D", "W", "M", "Y"):
        array, first, last = array.astype("M8[D]"), "0001-01-01", "9999-12-31"
    else:
        array, first, last = array.astype("M8[us]"), "0001-01-01T00:00", "9999-12-31T23:59:59.999999"
    values = array.astype(object)
    # Outside Python's years numpy gives bare integers.
    strange = (array < np.datetime64(first)) | (array > np.datetime64(last))
    if strange.any():
        if array.ndim == 0:
            return str(array)
        values[strange] = np.datetime_as_string(array[strange])
    return values.tolist() if array.ndim else values


def _durations(np: Any, array: Any) -> Any:
    if np.datetime_data(array.dtype)[0] in ("M", "Y"):
        raise Unfit("a duration in months or years has no fixed length; convert it to days first")
    values = array.astype("m8[us]").astype(object)
    return values.tolist() if array.ndim else values


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
    if issubclass(kind, (pd.Period, pd.Interval)):
        return str
    return None


def _pandas_rows(frame: Any) -> list[dict[str, Any]]:
    pd = sys.modules["pandas"]
    columns: dict[str, list[Any]] = {}

    def add(name: str, values: list[Any]) -> None:
        if name in columns:
            raise Unfit(f'two columns of the data frame are called "{name}"; rename one')
        columns[name] = values

    index = frame.index
    if isinstance(index, pd.MultiIndex):
        for level, label in enumerate(index.names):
            name = f"level_{level}" if label is None else _column_name(label)
            add(name, _labels(pd, index.get_level_values(level)))
    elif not (isinstance(index, pd.RangeIndex) and index.name is None):
        add("index" if index.name is None else _column_name(index.name), _labels(pd, index))
    for position, label in enumerate(frame.columns):
        add(_column_name(label), _series_values(pd, frame.iloc[:, position]))
    return rows(columns, len(frame))


def _column_name(label: Any) -> str:
    if isinstance(label, str):
        return label
    if isinstance(label, tuple):
        return "_".join(filter(None, map(_column_name, label)))
    return str(label.isoformat()) if hasattr(label, "isoformat") else str(label)


def _series(series: Any) -> list[Any] | dict[str, Any]:
    pd = sys.modules["pandas"]
    values = _series_values(pd, series)
    index = series.index
    counted = isinstance(index, pd.MultiIndex) or pd.api.types.is_numeric_dtype(index)
    if len(index) and not counted:
        labels = _labels(pd, index)
        if all(isinstance(label, str) for label in labels) and len(set(labels)) == len(labels):
            return dict(zip(labels, values, strict=True))
    return values


def _labels(pd: Any, index: Any) -> list[Any]:
    if isinstance(index, pd.MultiIndex):
        return list(index.tolist())
    return _series_values(pd, pd.Series(index))


def _series_values(pd: Any, series: Any) -> list[Any]:
    np = sys.modules["numpy"]
    dtype, array = series.dtype, series.array
    if isinstance(dtype, np.dtype):
        return list(array_values(series.to_numpy()))
    if isinstance(dtype, pd.DatetimeTZDtype):
        return [None if moment is pd.NaT else moment for moment in pd.DatetimeIndex(series).to_pydatetime().tolist()]
    if isinstance(dtype, pd.CategoricalDtype):
        categories = [*_labels(pd, dtype.categories), None]  # the code of a missing value is -1
        return [categories[code] for code in array.codes.tolist()]
    if isinstance(dtype, (pd.PeriodDtype, pd.IntervalDtype)):
        return [None if missing else str(value) for value, missing in zip(array, array.isna(), strict=True)]
    if isinstance(dtype, pd.SparseDtype):
        return list(array_values(np.asarray(array)))
    return list(array.to_numpy(dtype=object, na_value=None).tolist())


# polars and Arrow


def _polars(pl: Any, kind: type) -> Convert | None:
    if issubclass(kind, pl.DataFrame):
        return lambda frame: rows({column.name: column.to_list() for column in frame.iter_columns()}, frame.height)
    if issubclass(kind, pl.Series):
        return lambda series: series.to_list()
    if issubclass(kind, pl.LazyFrame):
        return _refuse("a lazy frame has no rows yet; collect() it first")
    return None


def _arrow(pa: Any, kind: type) -> Convert | None:
    if hasattr(kind, "to_pylist"):  # tables, record batches, arrays
        return lambda value: value.to_pylist()
    if hasattr(kind, "as_py"):  # scalars
        return lambda value: value.as_py()
    return None


def _refuse(reason: str) -> Convert:
    def refuse(_: Any) -> Any:
        raise Unfit(reason)

    return refuse


_LIBRARIES: dict[str, Callable[[Any, type], Convert | None]] = {
    "numpy": _numpy,
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _arrow,
}
