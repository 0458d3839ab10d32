"""Classes of other libraries that pctx knows by name: their libraries may not be loaded when a class is looked at.

A class counts if it, or one of its bases, is in the list: by the first part of its module, and its name. This module
imports nothing.
"""

from __future__ import annotations

Classes = frozenset[tuple[str, str]]
"""Classes: the package, and the name."""

FUTURES: Classes = frozenset(
    {("concurrent", "Future"), ("distributed", "Future"), ("dask", "DaskMethodsMixin"), ("ray", "ObjectRef")}
)
"""Values that are computed elsewhere; of Dask also what it computes lazily: a ``Delayed``, a frame, an array, a bag."""
TABLES: Classes = frozenset(
    {
        ("pandas", "DataFrame"),
        ("pandas", "Series"),
        ("polars", "DataFrame"),
        ("polars", "Series"),
        ("pyarrow", "Table"),
    }
)
"""Data frames, series and tables of the libraries that frames are tested with."""
ARRAYS: Classes = frozenset({("numpy", "ndarray"), ("dask", "Array")})
"""Arrays, and what becomes one when it is computed."""
FIGURES: Classes = frozenset({("matplotlib", "Figure"), ("plotly", "BaseFigure")})
"""Figures."""

NAMES_OF_TABLES = frozenset(
    {"DataFrame", "LazyFrame", "Series", "Table", "RecordBatch", "DuckDBPyRelation", "IntoFrame", "IntoDataFrame"}
)
"""Names that annotations have for tables, in any library that narwhals may support."""


def is_one(kind: type, of: Classes) -> bool:
    """Return whether a class is one of a list, or has a base that is."""
    return any((base.__module__.partition(".")[0], base.__name__) in of for base in kind.__mro__)
