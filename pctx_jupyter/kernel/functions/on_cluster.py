"""Frames whose rows stay on a cluster of Dask: operations on them run there, and only what they ask for crosses.

Such a frame has one or several parts, each the value of a future: the partitions of a data frame of Dask, or the one
table that a tool has made there. The steps of a program run on workers, by the code that runs them in a notebook, so
they give the same rows. They run on each part as long as they can; what needs all rows gets what is left of the parts.

The scheduler and the workers need this package in the version of the notebook; without it, tables come to the notebook.
Nothing of Dask is imported before a value of it exists.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from ... import errors, futures
from ..._version import __version__
from ...handles import aggregates, chains, frames
from ...handles.parts import Plan, name_of, plan
from ...handles.table import DERIVED, Handle, Handles
from . import on_worker

AT_ONCE = 16
"""Partial aggregates that one task combines."""
TEXTS = "String"
"""The type of a column of texts, as narwhals writes it."""
BY_LENGTHS = ("count", "rows", "preview", "schema")
"""Operations that need only some of the parts, once it is known how many rows each has."""


class ClusterFrame:
    """A frame on a cluster. Its length and its columns are known here.

    Args:
        client: The client of Dask.
        parts: A future for each part, in order.
        lengths: The rows of each part.
        types: The types of the columns, as narwhals writes them, by name.
        is_collection: Whether the notebook has it as a data frame of Dask, and gets what steps make of it as one.
    """

    def __init__(
        self, client: Any, parts: list[Any], lengths: list[int], types: dict[str, str], *, is_collection: bool = False
    ) -> None:
        self.client, self.parts, self.columns, self.is_collection = client, parts, list(types), is_collection
        self._lengths, self._types = lengths, types
        self._latest: OrderedDict[bytes, list[Any]] = OrderedDict()
        self._looked_at: OrderedDict[bytes, ClusterFrame] = OrderedDict()

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
        """Run steps and an operation there, and return what `operations.result` returns.

        Args:
            what, more: The operation and its arguments.
            steps: The chain that it is about.
            only: The columns that it is about; None: all.
            handle: The frame's own.
            handles: What holds the frames that the chain joins, and a new frame of a preview.

        Raises:
            InvalidParams: A column does not exist, or the operation is wrong.
        """
        if what == "agg" and (found := await self._aggregates(steps, more.get("wanted"), handle.label, handles)):
            return found
        if not steps and what in BY_LENGTHS:
            return await self._ask_by_lengths(what, more, handle, handles)
        if what == "rows" and name_of(steps[-1]) == "sort" and _is_head(more):
            steps = [*steps, ["slice", 0, more["to"]]]  # the first rows of all are among the first of each part
        parts = self.parts
        if steps or len(parts) > 1:
            parts = self._derived(steps, only, handle.label, handles)
        if what == "preview" or (what in BY_LENGTHS and len(parts) > 1):
            there = await self._looked(steps, only, parts)
            if what == "preview":
                handle = handles.add(handle.label, there, there.parts[0], path=handle.path)
            return await there.ask(what, [], more, None, handle, handles)
        return await self._answer(parts, what, more, handle, handles)

    async def _answer(
        self, parts: list[Any], what: str, more: dict[str, Any], handle: Handle[Any], handles: Handles
    ) -> Raw:
        request = [parts, handle.label, what, more, handles.max_passing_bytes()]
        return Raw(await _run(self.client, on_worker.answered, *request))

    async def _ask_by_lengths(self, what: str, more: dict[str, Any], handle: Handle[Any], handles: Handles) -> Raw:
        """Answer from some of the parts, whose lengths and types are known."""
        if what in ("count", "schema"):
            return Raw(msgspec.json.encode(len(self) if what == "count" else self._types))
        is_range = what == "rows"
        start, stop = (more.get("from"), more.get("to")) if is_range else (0, frames.FIRST_ROWS)
        parts, skipped = self._within(start, stop)
        if is_range:
            more = {
                name: value - skipped if name in ("from", "to") and value else value for name, value in more.items()
            }
        answer = await self._answer(parts, what, more, handle, handles)
        if what == "preview":
            found = msgspec.json.decode(answer)
            found |= {
                "id": handle.id,
                "rows": len(self),
                "columns": {name: self._types[name] for name in found["columns"]},
            }
            return Raw(msgspec.json.encode(found))
        return answer

    async def _aggregates(self, steps: list[Any], wanted: Any, label: str, handles: Handles) -> Raw | None:
        """Aggregate the whole frame in parts; None: there are not several, or no rows."""
        if len(self.parts) < 2 or not isinstance(wanted, dict) or (todo := plan(steps)).rest or todo.group:
            return None
        todo = Plan(todo.each, ["group", None, wanted], [])
        partial = self._grouped(todo, self._needed(steps, aggregates.columns_of(wanted), label), label, handles)
        found = await _run(self.client, on_worker.aggregates, partial)
        return None if found is None else Raw(found)

    def future(self, steps: list[Any], label: str, handles: Handles) -> Any:
        """Return a future of the table that the steps give: without steps, of the very table that was made there."""
        return self._one(self._derived(steps, None, label, handles))

    def table(self, steps: list[Any], label: str, handles: Handles) -> Any:
        """Bring the table that the steps give to the notebook; blocks.

        Raises:
            InvalidParams: The client is asynchronous, and must not block.
        """
        self._demand_blocking(label)
        return self.future(steps, label, handles).result()

    def collection(self, steps: list[Any], label: str, handles: Handles) -> Any:
        """Return a data frame of Dask that has what the steps give, which stays on the cluster; blocks for its types.

        Raises:
            InvalidParams: The client is asynchronous, and must not block.
        """
        from ...cluster import collection

        self._demand_blocking(label)
        parts = self._derived(steps, None, label, handles)
        meta = self._submit([(on_worker.without_rows, [parts[0]])])[0].result()
        return collection(parts, meta)

    def _demand_blocking(self, label: str) -> None:
        if self.client.asynchronous:
            raise errors.InvalidParams(
                f"Cannot bring {label} to the notebook: its client of Dask is asynchronous; pass it to a tool with "
                "run_on, or read its rows"
            )

    async def _looked(self, steps: list[Any], only: list[str] | None, parts: list[Any]) -> ClusterFrame:
        """Return what steps give as a frame whose lengths are known; the latest are kept."""
        key = msgspec.json.encode([steps, only])
        if (known := self._looked_at.get(key)) is None or known.parts is not parts:
            known = await seen(self.client, parts, is_collection=self.is_collection)
            assert known is not None, "steps give a frame"
            _keep(self._looked_at, key, known)
        return known

    def _derived(self, steps: list[Any], only: list[str] | None, label: str, handles: Handles) -> list[Any]:
        """Return futures of the parts of what steps give; the latest are kept, so that reading in batches is quick."""
        if not steps and only is None:
            return self.parts
        key = msgspec.json.encode([steps, only])
        if (known := self._latest.get(key)) is None:
            known = self._submitted(steps, only, label, handles)
        _keep(self._latest, key, known)
        return known

    def _submitted(self, steps: list[Any], only: list[str] | None, label: str, handles: Handles) -> list[Any]:
        """Submit what steps need; returns futures of the parts of what they give."""
        chains.demand_steps(steps, label)
        if len(self.parts) == 1:
            steps, others = self._joined(steps, handles)
            return self._submit([(on_worker.derived, [self.parts, steps, label, others])])
        narrow = self._needed(steps, only, label)
        todo = plan(steps)
        if todo.group is not None:
            parts = self._submit([(on_worker.groups, [self._grouped(todo, narrow, label, handles)])])
        else:
            each, others = self._on_each(todo, narrow, handles)
            parts = self.parts
            if each:
                parts = self._submit([(on_worker.derived, [[part], each, label, others]) for part in parts])
        if todo.rest:
            rest, others = self._joined(todo.rest, handles)
            parts = self._submit([(on_worker.derived, [parts, rest, label, others])])
        return parts

    def _needed(self, steps: list[Any], only: list[str] | None, label: str) -> list[str] | None:
        """Return the columns that steps need, if they join none; None: all."""
        if any(name_of(step) == "join" for step in steps):
            return None
        return chains.needed(steps, self.columns, label, only)

    def _grouped(self, todo: Plan, narrow: list[str] | None, label: str, handles: Handles) -> Any:
        """Aggregate the groups of each part, and combine what they give, some at a time; returns a future."""
        assert todo.group is not None
        _, names, wanted = todo.group
        each, others = self._on_each(todo, narrow, handles)
        found = self._submit([(on_worker.partial, [part, each, label, others, names, wanted]) for part in self.parts])
        while len(found) > 1:
            some = [found[start : start + AT_ONCE] for start in range(0, len(found), AT_ONCE)]
            found = self._submit([(on_worker.combined, [one]) for one in some])
        return found[0]

    def _on_each(
        self, todo: Plan, narrow: list[str] | None, handles: Handles
    ) -> tuple[list[Any], dict[str, list[Any]]]:
        return self._joined([*([["select", narrow]] if narrow else []), *todo.each], handles)

    def _joined(self, steps: list[Any], handles: Handles) -> tuple[list[Any], dict[str, list[Any]]]:
        """Return steps whose joined frames have names of their own, and a future of each: it is made once."""
        found: list[Any] = []
        others: dict[str, list[Any]] = {}
        for step in steps:
            match step:
                case ["join", {"id": str(id), **more}, *how]:
                    name = str(len(others))
                    others[name] = [self._right(handles.find(id), more.get("steps", []), handles)]
                    step = ["join", {"id": name}, *how]
            found.append(step)
        return found, others

    def _right(self, other: Handle[Any], steps: Any, handles: Handles) -> Any:
        """Return a future of a frame that a chain joins, with the steps of its own."""
        label, frame = chains.JOINED, other.value
        if not isinstance(frame, ClusterFrame):
            native = frame.to_native()
        elif frame.client is self.client:
            return frame.future(steps, label, handles)
        else:
            native = frame.table([], other.label, handles)
        there = self._submit([(on_worker.joined_parts, [[native]])])
        return ClusterFrame(self.client, there, [len(frame)], {}).future(steps, label, handles)

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
        return parts[0] if len(parts) == 1 else self._submit([(on_worker.joined_parts, [parts])])[0]

    def _submit(self, calls: Sequence[tuple[Callable[..., Any], list[Any]]]) -> list[Any]:
        from ...cluster import submitted

        return submitted(self.client, [(function, arguments, {}) for function, arguments in calls])


def _is_head(more: Mapping[str, Any]) -> bool:
    """Return whether rows are asked for that begin with the first one, and end somewhere."""
    start, stop = more.get("from"), more.get("to")
    return start in (None, 0) and type(stop) is int and stop >= 0


def _keep(latest: OrderedDict[bytes, Any], key: bytes, value: Any) -> None:
    """Keep a value with the latest others."""
    latest[key] = value
    latest.move_to_end(key)
    while len(latest) > DERIVED:
        latest.popitem(last=False)


async def opened(remote: futures.RemoteValue) -> ClusterFrame | None:
    """Wait for a table on a cluster, and leave it there; return None for what has to come to the notebook.

    That is what is no table, and what workers without this package have, or with another version of it.

    Raises:
        NotAFrame: It is a table that cannot be a frame.
        Exception: What was raised on the cluster.
    """
    given, client, parts = remote.given, None, [remote.given]
    if futures.is_dask_future(given):
        client = given.client if remote.is_table else None
    elif futures.is_dask_frame(given):
        client = futures.dask_client()
    if client is None:
        return None
    from ...cluster import have_package, kept

    if not await have_package(client, "pctx-jupyter", __version__):
        return None
    if is_lazy := futures.is_dask_frame(given):
        remote.given, parts = kept(client, given)
    return await seen(client, parts, is_collection=is_lazy)


def brought(value: Any) -> tuple[ClusterFrame, dict[str, str]] | None:
    """Compute a data frame of Dask on its cluster, and leave it there; blocks.

    Returns:
        The frame, and what `frames.kinds` returns of it; None: `value` is something else, or has to come to the
        notebook, as with `opened`.

    Raises:
        NotAFrame: It cannot be a frame, or the client is asynchronous.
        Exception: What was raised on the cluster.
    """
    if not futures.is_dask_frame(value) or (client := futures.dask_client()) is None:
        return None
    if client.asynchronous:
        raise frames.NotAFrame("the client of Dask is asynchronous, and the cell would block its loop")
    found: tuple[ClusterFrame, dict[str, str]] | None = client.sync(_brought, value)
    return found


async def _brought(value: Any) -> tuple[ClusterFrame, dict[str, str]] | None:
    frame = await opened(futures.RemoteValue(value))
    if frame is None:
        return None
    found = await asyncio.gather(*(_run(frame.client, on_worker.kinds, part) for part in frame.parts))
    return frame, {name: _kind_of_parts([one[name] for one in found]) for name in frame.columns}


def _kind_of_parts(found: list[str]) -> str:
    """Return what a column holds whose parts hold these."""
    kinds = {one.removesuffix("?") for one in found}
    mark = "?" if any(one.endswith("?") for one in found) else ""
    return f"{kinds.pop()}{mark}" if len(kinds) == 1 else "any"


async def seen(client: Any, parts: list[Any], *, is_collection: bool = False) -> ClusterFrame | None:
    """Look at tables on the cluster; returns their frame, or None if they are no tables."""
    found = await asyncio.gather(*(_run(client, on_worker.measured, part) for part in parts))
    if None in found:
        return None
    types = _types_of_parts([types for types, length in found if length] or [found[0][0]])
    return ClusterFrame(client, parts, [length for _, length in found], types, is_collection=is_collection)


def _types_of_parts(found: list[dict[str, str]]) -> dict[str, str]:
    """Return the types of columns by those of parts: objects of Python have that of texts where there are none."""
    return {name: next((one[name] for one in found if one[name] != TEXTS), first) for name, first in found[0].items()}


async def _run(client: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    from ...cluster import cluster_of

    return await cluster_of(client).run((function, arguments, {}))
