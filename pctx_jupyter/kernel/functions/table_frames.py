"""Frames of the tables of any library, as programs use them: the labels of pandas are columns, and names are texts."""

from __future__ import annotations

from typing import Any

from ...handles import frames
from ...values import tables
from ...values.arrays import Unfit


def frame_of(parts: list[Any]) -> frames.Frame:
    """Return the frame of a table, or of the parts of one; parts without rows do not decide the types of columns.

    Raises:
        NotAFrame: It cannot be a frame; the message says why.
    """
    try:
        flat = [tables.flattened(frames.with_one_column(part)) for part in parts]
    except Unfit as error:
        raise frames.NotAFrame(str(error)) from None
    if len(flat) > 1:
        flat = [part for part in flat if len(part)] or flat[:1]
    return frames.opened(flat[0] if len(flat) == 1 else concatenated(flat, ignore_index=True))


def concatenated(parts: list[Any], **options: Any) -> Any:
    """Return the table that parts of one are together, as Dask makes it; `options` are those of its function."""
    from dask.dataframe import methods

    return methods.concat(parts, **options)  # type: ignore[attr-defined, no-untyped-call]  # it has no types
