"""Results of queries as tables of the library of the frame that was asked, with the same values for each library.

It knows which types DuckDB and the libraries lose something of, or do not have. It does not know how a query runs.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from .. import errors

_WIDE = ("HUGEINT", "UHUGEINT")
"""Integers of 128 bits, which DuckDB has for sums of integers."""
_CHANGED = re.compile(r"\b(DECIMAL|DATE)\b")
"""What is in the names of types that DuckDB changes for pandas: decimals become floats, and dates times."""


def table_of(found: Any, like: Any) -> Any:
    """Return a relation of DuckDB as a table of the library of another table.

    Sums of integers have 128 bits in DuckDB. They become floats, as in pandas: elsewhere they would be decimals, which
    are texts in JSON.

    Raises:
        InvalidParams: A duration has months.
    """
    library = type(like).__module__.partition(".")[0]
    kinds = {name: str(kind) for name, kind in zip(found.columns, found.types, strict=True)}
    lasting = [name for name, kind in kinds.items() if kind == "INTERVAL"]
    _demand_exact_durations(found, lasting)
    parts = [_selected(name, kind, is_pandas=library == "pandas") for name, kind in kinds.items()]
    plain = found.project(", ".join(parts))
    if library == "pandas":
        return _in_pandas(plain, lasting)
    table = _with_durations(plain.to_arrow_table(), lasting)
    return sys.modules["polars"].from_arrow(table) if library == "polars" else table


def quoted(name: str) -> str:
    """Return a name as it is written in a query."""
    return '"' + name.replace('"', '""') + '"'


def _selected(name: str, kind: str, *, is_pandas: bool) -> str:
    """Return what selects a column as a type that other libraries have."""
    column = quoted(name)
    if kind in _WIDE:
        return f"{column}::DOUBLE AS {column}"
    if kind == "INTERVAL":
        return f"epoch_us({column}) AS {column}"
    if kind == "TIME_NS" and is_pandas:
        return f"{column}::VARCHAR AS {column}"
    return column


def _demand_exact_durations(found: Any, names: list[str]) -> None:
    for name in names:
        column = quoted(name)
        if found.filter(f"datepart('year', {column}) <> 0 OR datepart('month', {column}) <> 0").limit(1).fetchall():
            raise errors.InvalidParams(
                f'Cannot run a query: the durations "{name[:100]}" have months, whose length is not fixed; select '
                "days, or cast them to text"
            )


def _in_pandas(found: Any, lasting: list[str]) -> Any:
    """Return a relation as a data frame of pandas; durations are counts of microseconds."""
    pd = sys.modules["pandas"]
    made = found.df()
    for name, kind in zip(found.columns, map(str, found.types), strict=True):
        if name in lasting:
            made[name] = pd.Series(pd.array(made[name], dtype="Int64"), name=name).astype("timedelta64[us]")
        elif _CHANGED.search(kind) and "TIMESTAMP_NS" not in kind:  # Python's times have no nanoseconds
            values = [value for (value,) in found.project(quoted(name)).fetchall()]
            made[name] = pd.Series(values, dtype=object, name=name)
    return made


def _with_durations(table: Any, lasting: list[str]) -> Any:
    """Return a table of Arrow with durations in the place of counts of microseconds."""
    pa = sys.modules["pyarrow"]
    for name in lasting:
        place = table.column_names.index(name)
        table = table.set_column(place, name, table.column(place).cast(pa.duration("us")))
    return table
