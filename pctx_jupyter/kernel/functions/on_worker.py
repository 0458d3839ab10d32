"""What runs on the workers of a cluster for a frame that stays there: steps, operations and looks at its parts.

Functions take and return tables of any library, as Dask passes them on; handles and futures are not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw

from ...handles import chains, frames, partials
from ...handles.partials import Partial
from ...handles.table import Handle, Handles
from ...values import tables
from .table_frames import concatenated, frame_of


def measured(part: Any) -> tuple[dict[str, str], int] | None:
    """Return the types of the columns of a table, and its rows; None: it is no table."""
    if not tables.is_table(part):
        return None
    frame = frame_of([part])
    return frames.schema(frame), len(frame)


def kinds(part: Any) -> dict[str, str]:
    """Return what `frames.kinds` returns of a table."""
    return frames.kinds(frame_of([part]))


def without_rows(part: Any) -> Any:
    """Return a table without its rows: what Dask calls the meta of a data frame."""
    return part.iloc[:0]


def derived(parts: list[Any], steps: list[Any], label: str, others: Mapping[str, list[Any]]) -> Any:
    """Return the table that steps give; raises what `chains.run` raises."""
    return chains.run(steps, frame_of(parts), label, lambda other: frame_of(others[other])).to_native()


def partial(
    part: Any,
    steps: list[Any],
    label: str,
    others: Mapping[str, list[Any]],
    names: Sequence[object] | None,
    wanted: Mapping[str, Any],
) -> Partial:
    """Return what one part gives for aggregates of what steps make of it; raises what `chains` raises.

    Args:
        part, steps, label, others: As in `derived`.
        names, wanted: As in `chains.partial`.
    """
    return chains.partial(frame_of([derived([part], steps, label, others)]), label, names, wanted)


def combined(some: list[Partial]) -> Partial:
    """Return what several parts give together."""
    return partials.combined(some, frame_of)


def groups(given: Partial) -> Any:
    """Return the table of the groups."""
    return partials.finished(given).to_native()


def aggregates(given: Partial) -> bytes | None:
    """Return the aggregates of the whole frame as JSON; None: it has no rows."""
    from . import operations

    found = partials.finished(given)
    return bytes(operations.of_one_row(found.drop(chains.ALL))) if len(found) else None


def answered(parts: list[Any], label: str, what: str, more: dict[str, Any], max_passing_bytes: int) -> bytes:
    """Return the result of an operation; raises what `operations.result` raises."""
    from . import operations

    handle = Handle("", label, label, frame_of(parts), None)
    found = operations.result(what, handle, [], more, Handles(max_passing_bytes=lambda: max_passing_bytes))
    assert isinstance(found, Raw), "queries run in the notebook"
    return bytes(found)


def joined_parts(parts: list[Any]) -> Any:
    """Return the table that parts are together, as Dask computes it."""
    return concatenated(parts)
