"""Frames whose rows stay on a cluster of Dask: operations on them run there, and only what they ask for crosses.

Such a frame has one or several parts, each the value of a future: the partitions of a data frame of Dask, or the one
table that a tool has made there. The steps of a program run on workers, by the code that runs them in a notebook, so
they give the same rows. Filters and selections run on each part; what is left of the parts is joined for later steps.

The scheduler and the workers need this package in the version of the notebook; without it, tables come to the notebook.
Nothing of Dask is imported before a value of it exists.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

import msgspec
from msgspec import Raw

from ... import errors, futures
from ..._version import __version__
from ...handles import chains, frames
from ...handles.table import DERIVED, Handle, Handles
from ...values import tables
from .table_frames import concatenated, frame_of

ON_EACH_PART = ("filter", "select")
"""Steps that give the same rows for each part by itself."""


class ClusterFrame:
    """A frame on a cluster. Its length and its columns are known here.

    Args:
        client: The client of Dask.
        parts: A future for each part, in order.
        lengths: The rows of each part.
        columns: The names of the columns.
    """

    def __init__(self, client: Any, parts: list[Any], lengths: list[int], columns: list[str]) -> None:
        self.client, self.parts, self.columns = client, parts, columns
        self._lengths = lengths
        self._latest: OrderedDict[bytes, list[Any]] = OrderedDict()

    def __len__(self) -> int:
        return sum(self._lengths)

    async def ask(
        self,
        what: str,
        steps: list[Any],
        more: dict[str, Any],
        only: list[str] | None,
        handle: Handle[Any],
        handles: Handles,
    ) -> Raw:
        """Run steps and an operation there, and return what `handed.result` returns.

        Args:
            what, more: The operation and its arguments.
            steps: The chain that it is about.
            only: The columns that it is about; None: all.
            handle: The frame's own.
            handles: What holds the frames that the chain joins, and a new frame of a preview.

        Raises:
            InvalidParams: A column does not exist, or the operation is wrong.
        """
        if what == "count" and not steps:
            return Raw(msgspec.json.encode(len(self)))
        parts, skipped = self.parts, 0
        if steps or (only is not None and len(parts) > 1):
            parts = self._derived(steps, only, handle.label, handles)
        elif what == "rows":
            parts, skipped = self._within(more.get("from"), more.get("to"))
        elif what in ("preview", "schema"):
            parts, _ = self._within(0, frames.FIRST_ROWS)
        if what == "preview" and steps:
            made = await _seen(self.client, [self._one(parts)])
            assert made is not None, "steps give a frame"
            shown = handles.add(handle.label, made, made.parts[0], path=handle.path)
            return await made.ask(what, [], more, None, shown, handles)
        more = {name: value - skipped if name in ("from", "to") and value else value for name, value in more.items()}
        request = [parts, handle.label, what, more, handles.max_passing_bytes()]
        answer = Raw(await _run(self.client, answered, *request))
        if what == "preview":
            return Raw(msgspec.json.encode(msgspec.json.decode(answer) | {"id": handle.id, "rows": len(self)}))
        return answer

    def future(self, steps: list[Any], label: str, handles: Handles) -> Any:
        """Return a future of the table that the steps give: without steps, of the very table that was made there."""
        return self._one(self._derived(steps, None, label, handles) if steps else self.parts)

    def table(self, steps: list[Any], label: str, handles: Handles) -> Any:
        """Bring the table that the steps give to the notebook; blocks.

        Raises:
            InvalidParams: The client is asynchronous, and must not block.
        """
        if self.client.asynchronous:
            raise errors.InvalidParams(
                f"Cannot bring {label} to the notebook: its client of Dask is asynchronous; pass it to a tool with "
                "run_on, or read its rows"
            )
        return self.future(steps, label, handles).result()

    def _derived(self, steps: list[Any], only: list[str] | None, label: str, handles: Handles) -> list[Any]:
        """Return futures of the parts of what steps give; the latest are kept, so that reading in batches is quick."""
        key = msgspec.json.encode([steps, only])
        if (known := self._latest.get(key)) is None:
            known = self._latest[key] = self._submitted(steps, only, label, handles)
            while len(self._latest) > DERIVED:
                self._latest.popitem(last=False)
        self._latest.move_to_end(key)
        return known

    def _submitted(self, steps: list[Any], only: list[str] | None, label: str, handles: Handles) -> list[Any]:
        joined = set(_joined(steps))
        needed = None if joined else chains.needed(steps, self.columns, label, only)
        parts = self.parts
        if len(parts) > 1:
            first = list(takewhile(lambda step: step[0] in ON_EACH_PART, steps))
            narrow = first if needed is None else [["select", needed], *first]
            if narrow:
                parts = self._submit([(derived, [[part], narrow, label, {}]) for part in parts])
                steps = steps[len(first) :]
        if steps:
            others = {id: self._parts_of(handles.find(id), handles) for id in joined}
            parts = self._submit([(derived, [parts, steps, label, others])])
        return parts

    def _parts_of(self, other: Handle[Any], handles: Handles) -> list[Any]:
        """Return the parts of a frame that a chain joins, as a worker gets them."""
        if not isinstance(other.value, ClusterFrame):
            return [other.value.to_native()]
        return other.value.parts if other.value.client is self.client else [other.value.table([], other.label, handles)]

    def _within(self, start: Any, stop: Any) -> tuple[list[Any], int]:
        """Return the parts that have a range of rows, and the rows before them."""
        first = start if type(start) is int else 0
        last = stop if type(stop) is int else len(self)
        chosen: list[Any] = []
        before = skipped = 0
        for part, length in zip(self.parts, self._lengths, strict=True):
            if before < last and first < before + length:
                if not chosen:
                    skipped = before
                chosen.append(part)
            before += length
        return chosen or self.parts[:1], skipped if chosen else 0

    def _one(self, parts: list[Any]) -> Any:
        return parts[0] if len(parts) == 1 else self._submit([(joined_parts, [parts])])[0]

    def _submit(self, calls: Sequence[tuple[Callable[..., Any], list[Any]]]) -> list[Any]:
        from ...cluster import submitted

        return submitted(self.client, [(function, arguments, {}) for function, arguments in calls])


async def opened(remote: futures.RemoteValue) -> ClusterFrame | None:
    """Wait for a table on a cluster, and leave it there; return None for what has to come to the notebook.

    That is what is no table, and what workers without this package have, or with another version of it.

    Raises:
        NotAFrame: It is a table that cannot be a frame.
        Exception: What was raised on the cluster.
    """
    given, client = remote.given, None
    if futures.is_dask_future(given):
        client = given.client if remote.is_table else None
    elif futures.is_dask_collection(given) and tables.is_table(getattr(given, "_meta", None)):
        client = futures.dask_client()
    if client is None:
        return None
    from ...cluster import have_package, kept

    if not await have_package(client, "pctx-jupyter", __version__):
        return None
    parts = [given]
    if not futures.is_dask_future(given):
        remote.given, parts = kept(client, given)
    return await _seen(client, parts)


async def _seen(client: Any, parts: list[Any]) -> ClusterFrame | None:
    """Look at tables on the cluster."""
    found = await asyncio.gather(*(_run(client, measured, part) for part in parts))
    if None in found:
        return None
    return ClusterFrame(client, parts, [length for _, length in found], found[0][0])


async def _run(client: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    from ...cluster import cluster_of

    return await cluster_of(client).run((function, arguments, {}))


def _joined(steps: Any) -> Iterator[str]:
    """Yield the ids of the frames that a chain joins, those within joined frames among them."""
    for step in steps if isinstance(steps, list) else ():
        match step:
            case ["join", {"id": str(id), **more}, *_]:
                yield id
                yield from _joined(more.get("steps"))


# On a worker


def measured(part: Any) -> tuple[list[str], int] | None:
    """Return the columns and the rows of a table; None: it is no table."""
    if not tables.is_table(part):
        return None
    frame = frame_of([part])
    return list(frame.columns), len(frame)


def derived(parts: list[Any], steps: list[Any], label: str, others: Mapping[str, list[Any]]) -> Any:
    """Return the table that steps give; raises what `chains.run` raises."""
    return chains.run(steps, frame_of(parts), label, lambda other: frame_of(others[other])).to_native()


def answered(parts: list[Any], label: str, what: str, more: dict[str, Any], max_passing_bytes: int) -> bytes:
    """Return the result of an operation; raises what `handed.result` raises."""
    from . import handed

    handle = Handle("", label, label, frame_of(parts), None)
    found = handed.result(what, handle, [], more, Handles(max_passing_bytes=lambda: max_passing_bytes))
    assert isinstance(found, Raw), "queries run in the notebook"
    return bytes(found)


def joined_parts(parts: list[Any]) -> Any:
    """Return the table that parts are together, as Dask computes it."""
    return concatenated(parts)
