"""The memory that objects hold: each buffer once, however many objects are views of it.

It knows how libraries hold their numbers and texts, and imports none of them. What is held by objects of Python in a
column, and by objects of other libraries, is not known: those count with the size that their handle has.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

Buffers = dict[Any, int]
"""Bytes of each buffer, by its address, or by what else names it."""


def buffers_of(value: Any, size: int) -> Buffers:
    """Return the buffers that a frame of narwhals, or another object, keeps alive.

    Args:
        value: The object.
        size: Bytes to count if its library is not known.
    """
    native = value.to_native() if hasattr(value, "to_native") else value
    try:
        found = dict(_found(native))
    except Exception:  # a library may have changed, and this is only a count
        found = {}
    return found or {id(native): size}


def _found(native: Any) -> Iterator[tuple[Any, int]]:
    np, pandas, polars, arrow = (sys.modules.get(one) for one in ("numpy", "pandas", "polars", "pyarrow"))
    if np is not None and isinstance(native, np.ndarray):
        yield _owner(np, native)
    elif pandas is not None and isinstance(native, pandas.DataFrame):
        for place in range(native.shape[1]):
            yield from _of_pandas(np, native.iloc[:, place].array)
    elif arrow is not None and polars is not None and isinstance(native, polars.DataFrame):
        yield from _of_arrow(native.to_arrow(compat_level=polars.CompatLevel.newest()).columns)
    elif arrow is not None and isinstance(native, arrow.Table):
        yield from _of_arrow(native.columns)


def _of_pandas(np: Any, column: Any) -> Iterator[tuple[Any, int]]:
    if hasattr(column, "_pa_array"):
        yield from _of_arrow([column._pa_array])
        return
    parts = [getattr(column, name, None) for name in ("_ndarray", "_data", "_mask", "_codes")]
    yield from (_owner(np, one) for one in parts if isinstance(one, np.ndarray))


def _owner(np: Any, array: Any) -> tuple[Any, int]:
    """Return the array that owns the memory of another one."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.__array_interface__["data"][0], int(array.nbytes)


def _of_arrow(columns: Any) -> Iterator[tuple[Any, int]]:
    for column in columns:
        for chunk in column.chunks:
            yield from ((one.address, one.size) for one in chunk.buffers() if one is not None)
            if hasattr(chunk, "dictionary"):
                yield from ((one.address, one.size) for one in chunk.dictionary.buffers() if one is not None)
