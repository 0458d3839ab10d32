"""What a program asks of an object that it has by handle: its rows, a column, a sample, a file's text, and so on.

It knows how values become JSON. Which operations there are, `pctx_jupyter.handles.chains` and `others` know.
"""

from __future__ import annotations

import base64
import builtins
import inspect
import keyword
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from ... import errors, values
from ...handles import aggregates, chains, frames, numbers, others, queries, sql
from ...handles import steps as steps_on
from ...handles.table import Handle, Handles
from ...rpc import attached, marks
from ...rpc.jsonrpc import NULL
from ...values import arrays, tables
from ..spelling import as_python
from . import on_cluster
from .on_cluster import ClusterFrame

if TYPE_CHECKING:
    from .tool import PythonTool
from .handed import derived, hold, hold_other, native_of, opened


def serve(arguments: Raw, handles: Handles, path: str) -> Raw | Awaitable[Raw]:
    """Run an operation on an object, and return its result.

    Args:
        arguments: The operation.
        handles: What holds the object.
        path: The tool that was called.

    Raises:
        InvalidParams: The object is gone or of another tool, a column does not exist, or the operation is wrong.
        NotJson: The result has no JSON form.
    """
    match values.from_json(arguments):
        case {marks.CALL: str(what), "frame": {"id": str(id), "steps": list(steps)}, **more}:
            handle = handles.find(id)
            if handle.path != path:
                raise errors.InvalidParams(
                    f"Cannot use {handle.label} by a call of {path}: operations on it are calls of {handle.path}; use "
                    "the methods of the object itself"
                )
            named = {str(name): value for name, value in more.items()}
            if what == "open":
                return opened(handle)
            if what == "save":
                return _save(named.get("name"), native_of({"id": id, "steps": steps}, handles), handles)
            if handle.kind != "frame":
                return _of_other(what, handle, named, handles)
            if isinstance(frame := handle.value, ClusterFrame) and what != "sql":
                return frame.ask(what, steps, named, _needed(what, named), handle, handles)
            return result(what, handle, steps, named, handles)
    raise errors.InvalidParams("Cannot use a frame: the call is not one that a frame makes")


def result(
    what: str, handle: Handle[Any], steps: list[Any], more: dict[str, Any], handles: Handles
) -> Raw | Awaitable[Raw]:
    """Run an operation on what steps make of a frame of this process, and return its result.

    Raises:
        InvalidParams, NotJson: As `serve`.
    """
    frame = derived(handle, steps, handles, _needed(what, more))
    match what, more:
        case "count", _:
            return values.to_json(len(frame))
        case "rows", _:
            start, stop = _place(more.get("from"), 0), _place(more.get("to"), len(frame))
            return _rows(steps_on.part(frame, start, stop), handle.label)
        case "sample", {"count": int(count)}:
            seed = more.get("seed")
            if _place(count, 0) >= 0 and seed is not None and not 0 <= _place(seed, 0) < 1 << 32:
                raise errors.InvalidParams(f"Cannot sample {handle.label}: a seed is below 2**32, not {seed!r:.50}")
            return _rows(steps_on.sampled(frame, count, seed), handle.label)
        case "describe", _:
            return values.to_json([_whole(row) for row in aggregates.described(frame)])
        case "schema", _:
            return values.to_json(frames.schema(frame))
        case "agg", {"wanted": dict(wanted)}:
            return values.to_json(_whole(chains.aggregated(frame, handle.label, wanted)))
        case "column", {"name": str(name)} if more.get("as") in (None, "bigint"):
            chosen = chains.run([["select", [name]]], frame, handle.label, _no_frame)
            if more.get("as") == "bigint" or numbers.has_numbers(chosen, name):
                _demand_message(len(chosen), handle, handles, "filter or group them, or read rows(from, to)")
            if more.get("as") == "bigint":
                return attached.attach("int64", numbers.integers(chosen, name))
            _demand_passing(chosen, 2 * len(chosen), handle.label, "values")
            return _column(chosen, name, by_bytes=more.get("bytes") is True)
        case "sql", {"query": query, "frames": dict(more_frames)}:
            return _queried(query, frame, more_frames, handle, handles)
        case "preview", _:
            return _preview(frame, handle, handles, is_new=bool(steps))
    raise errors.InvalidParams(f"Cannot use {handle.label}: a frame has no operation {what[:50]} with these arguments")


def _whole(found: dict[str, Any]) -> dict[str, Any]:
    """Return aggregates with the values of those that are columns of one row."""
    return {name: _cells(one.column)[0] if isinstance(one, aggregates.Single) else one for name, one in found.items()}


def of_one_row(frame: Any) -> Raw:
    """Write a frame of one row as JSON of an object."""
    return values.to_json(_cells(frame.to_native())[0])


def _cells(native: Any) -> list[Any]:
    """Return the values of a column, or the rows of a frame, of a library that narwhals supports."""
    convert = tables.converter(type(native))
    assert convert is not None, "narwhals has told it from other values"
    found: list[Any] = convert(native)
    return found


async def _queried(
    query: Any, frame: Any, others_by_name: dict[Any, Any], handle: Handle[Any], handles: Handles
) -> Raw:
    """Run a query on frames, and return the handle of its result."""
    given: dict[str, Any] = {sql.TABLE: steps_on.ready_for_query(frame).to_native()}
    for name, body in others_by_name.items():
        other = handles.find(str(body.get("id")) if isinstance(body, dict) else "")
        if other.kind != "frame" or name in given:
            raise errors.InvalidParams(f"Cannot run a query: {str(name)[:50]} has to be a frame, and not called frame")
        steps = body.get("steps")
        made = derived(other, steps if isinstance(steps, list) else [], handles)
        given[str(name)] = steps_on.ready_for_query(made).to_native()
    return opened(hold(await queries.ask(query, given), handles, handle.label, handle.path))


MOST_ROWS_BYTES = 256 << 20
"""Bytes of rows that are not written as JSON: far more than a message may have, and too much for a kernel's memory."""


def _rows(frame: Any, label: str) -> Raw:
    """Write rows as JSON, unless there are so many that they would not pass anyway."""
    least = len(frame) * (2 + sum(len(name) + 5 for name in frame.columns))
    _demand_passing(frame, least, label, "rows")
    return values.to_json(frame.to_native(), "rows")


def _demand_passing(frame: Any, least: int, label: str, what: str) -> None:
    """Refuse to write a frame whose JSON has so many bytes at least, or that is so large, that it would not pass."""
    many = len(frame) * len(frame.columns) > 1_000_000  # else their size is not worth computing
    if least > MOST_ROWS_BYTES or (many and frames.size_of(frame) > 4 * MOST_ROWS_BYTES):
        raise errors.InvalidParams(
            f"Cannot read {len(frame):,} {what} of {label} at once: they are too large; read some with rows(from, to), "
            "filter or group them, or use for await (const row of frame)"
        )


def _demand_message(count: int, handle: Handle[Any], handles: Handles, instead: str) -> None:
    """Refuse numbers that no message can carry, before they are copied."""
    most = handles.max_passing_bytes()
    if (size := NUMBER_BYTES * count) > most:
        raise errors.InvalidParams(
            f"Cannot read {count:,} numbers of {handle.label} at once: they have {size:,} bytes, and a message may "
            f"have {most:,}; {instead}"
        )


NUMBER_BYTES = 8
"""Bytes of a number that crosses."""


def _of_other(what: str, handle: Handle[Any], more: dict[str, Any], handles: Handles) -> Raw | Awaitable[Raw]:
    """Run an operation on an object that is no frame."""
    kind, value = handle.kind, handle.value
    start = _place(more.get("from"), 0) if "from" in more else 0
    stop = _place(more.get("to"), 0) if more.get("to") is not None else None
    match kind, what:
        case _, "preview":
            found = {"id": handle.id, "kind": kind, **others.facts(kind, value), **others.preview(kind, value)}
            return values.to_json({marks.FRAME: found})
        case "array", "values" if more.get("as") in (None, "bigint"):
            _demand_message(others.count(value, start, stop), handle, handles, "read some with values(from, to)")
            flat = others.part(value, start, stop)
            if more.get("as") == "bigint":
                return attached.attach("int64", others.integers(flat))
            if (floats := others.numbers(flat)) is None:
                return values.to_json(flat, "values")
            return attached.attach("float64", floats[0], rounded=floats[1])
        case "array", "agg":
            return values.to_json(others.aggregated(value, str(more.get("function"))))
        case "file", "bytes":
            return attached.attach("bytes", value.read(start, stop))
        case "file", "text":
            return values.to_json(value.read(start, stop).decode("utf-8", "replace"))
        case "file", "lines":
            lines, then = value.lines(start)
            return values.to_json({"lines": lines, "next": then})
        case "items", "take":
            count = min(_place(more.get("count"), others.MOST_ITEMS), others.MOST_ITEMS)
            if value.is_async:
                return _taken_later(value, count)
            return _items(*value.take(count))
        case "future", "result":
            return _result_of(handle, handles)
    raise errors.InvalidParams(f"Cannot use {handle.label}: it has no operation {what[:50]} with these arguments")


async def _result_of(handle: Handle[Any], handles: Handles) -> Raw:
    """Wait for the value of a future: a table, an array or a figure becomes a handle, anything else is JSON.

    A table that can be used on its cluster stays there; any other value comes to the notebook.
    """
    value = None
    try:
        if (there := await on_cluster.opened(handle.value)) is not None:
            return opened(handles.add(handle.label, there, handle.value.given, path=handle.path))
        value = await handle.value.value()
        if value is None:
            return NULL
        return opened(hold(value, handles, handle.label, handle.path))
    except frames.NotAFrame as error:
        if value is None or frames.is_registered(value) or tables.is_table(value):
            raise errors.ToolFailed(f"{handle.label}: {error}", name="TypeError") from None
    with suppress(others.NoHandle):
        if (kind := others.kind_of(value)) in ("array", "figure"):
            return opened(hold_other(value, handles, handle.label, handle.path, kind))
    write = handle.value.write
    return values.to_json(value, "result") if write is None else write(value)


async def _taken_later(value: others.Items, count: int) -> Raw:
    return _items(*await value.take_async(count))


def _items(items: list[Any], is_done: bool) -> Raw:
    return values.to_json({"items": items, "done": is_done})


def _save(name: Any, value: Any, handles: Handles) -> Raw:
    """Store an object in the notebook under a name."""
    if handles.names is None:
        raise errors.InvalidParams(
            "Cannot save: only the programs of the notebook's own cells store variables in it; end with the object, "
            "and its id opens it in a later program"
        )
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise errors.InvalidParams(
            f"Cannot save as {name!r:.50}: a variable has letters, digits and _, and here begins with a letter"
        )
    name = as_python(name)
    there = handles.names.get(name)
    if hasattr(builtins, name) or isinstance(there, (type, ModuleType)) or inspect.isroutine(there):
        raise errors.InvalidParams(
            f"Cannot save as {name}: it is the name of a function, a class or a module; choose another name"
        )
    handles.names[name] = value
    return NULL


def _needed(what: str, more: dict[str, Any]) -> list[str] | None:
    """Return the columns that an operation is about; None: all."""
    match what, more:
        case "count", _:
            return []
        case "column", {"name": str(name)}:
            return [name]
        case "agg", {"wanted": dict(wanted)} if "count" not in wanted.values():
            return aggregates.columns_of(wanted)
    return None


def _no_frame(id: str) -> Any:
    raise errors.InvalidParams(f"Cannot join {id[:100]} here")


def _place(value: Any, otherwise: int) -> int:
    if value is None:
        return otherwise
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise errors.InvalidParams(f"Cannot read rows: from and to are numbers of rows, 0 or more, not {value!r:.50}")
    return value


def _column(frame: Any, name: str, *, by_bytes: bool) -> Raw:
    if (found := numbers.numbers(frame, name)) is not None:
        data, is_rounded = found
        if by_bytes:
            return attached.attach("float64", data, rounded=is_rounded)
        return Raw(b'{"float64":"' + base64.b64encode(data) + b'"}')  # for the sandboxes of an older server
    try:
        return values.to_json([row[name] for row in _cells(frame.to_native())], name)
    except arrays.Unfit as error:
        raise errors.NotJson(f"{name}: {error}") from None


def _preview(frame: Any, handle: Handle[Any], handles: Handles, *, is_new: bool) -> Raw:
    shown = handle
    if is_new:
        shown = handles.add(handle.label, frame, frame.to_native(), frames.size_of(frame), path=handle.path)
    types, first = frames.preview(frame)
    rows = values.from_json(values.to_json(first.to_native(), "rows"))
    more = len(frame.columns) - len(types)
    found = {"id": shown.id, "rows": len(frame), "columns": types, "first": frames.shortened(rows)}
    return values.to_json(found | ({"more_columns": more} if more else {}))


def server_of_frames() -> PythonTool:
    """Make the tool that serves operations on frames that no tool has returned: those that a cell passes in."""
    from . import tool

    def query() -> None:
        """Serves the operations of frames that a cell passes in; programs use the frames' methods."""

    return replace(tool.python_tool(query, "query", tool.FRAMES, None), share=False)
