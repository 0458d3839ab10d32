"""Frames of the kernel that programs use by handle: handing one over, serving operations on it, taking it back.

It knows which JSON a handle is, and how rows become JSON. Which operations there are, `pctx_jupyter.handles.frames`
knows; how long a frame is held, its table.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from ... import errors
from ...handles import frames
from ...handles.table import Handle, Handles
from ...rpc import attached, marks
from ...rpc.jsonrpc import Json
from ...tools.catalog import HANDLE
from . import tables, values

if TYPE_CHECKING:
    from .tool import PythonTool

_TAKING: ContextVar[Handles | None] = ContextVar("pctx handles", default=None)
"""The table in which handles among the arguments of the current call are found; None: they stay JSON."""

ANY_FRAME: dict[str, Json] = {"type": "array", "items": {"type": "object"}}
"""The schema of rows of which nothing is known."""


# From the kernel to a program


def hand_over(native: Any, handles: Handles, label: str) -> Raw:
    """Hold a data frame for a program, and return its handle.

    Raises:
        NotAFrame: It is not a data frame, or has no rows in JSON; the message says why.
    """
    handle = _hold(native, handles, label)
    return _written({"id": handle.id, "columns": list(handle.value.columns)})


def hand_in(native: Any, handles: Handles, label: str, path: str) -> Raw:
    """Hold a data frame that is passed in to a program, and return its handle, with the kinds of its columns.

    Args:
        path: The tool that serves operations on it.

    Raises:
        NotAFrame: As `hand_over`.
    """
    handle = _hold(native, handles, label)
    kinds = frames.kinds(handle.value)
    return _written({"id": f"{path}#{handle.id}", "columns": list(kinds), "kinds": kinds})


def _hold(native: Any, handles: Handles, label: str) -> Handle[Any]:
    try:
        flat = tables.flattened(frames.adapted(native))
    except tables.Unfit as error:
        raise frames.NotAFrame(str(error)) from None
    frame = frames.opened(flat)
    return handles.add(label, frame, native, frames.size_of(frame))


def _written(body: dict[str, Any]) -> Raw:
    return Raw(msgspec.json.encode({marks.FRAME: body}))


def by_handle(schema: Json) -> Json:
    """Return the schema of a tool's result when the tool returns its rows by handle."""
    if not isinstance(schema, dict):
        return ANY_FRAME | {HANDLE: "frame"}
    if schema.get("type") == "array":
        return schema | {HANDLE: "frame"}
    if isinstance(members := schema.get("anyOf"), list):
        found: list[Json] = [one if one == {"type": "null"} else by_handle(one) for one in members]
        return schema | {"anyOf": found}
    return ANY_FRAME | {HANDLE: "frame"}


# From a program to the kernel


def serve(arguments: Raw, handles: Handles) -> Raw:
    """Run an operation on a frame, and return its result.

    Raises:
        InvalidParams: The frame is gone, a column does not exist, or the operation is wrong.
        NotJson: The result has no JSON form.
    """
    match values.from_json(arguments):
        case {marks.CALL: str(what), "frame": {"id": str(id), "steps": list(steps)}, **more}:
            handle = handles.find(id)
            return _result(what, handle, steps, {str(name): value for name, value in more.items()}, handles)
    raise errors.InvalidParams("Cannot use a frame: the call is not one that a frame makes")


def _result(what: str, handle: Handle[Any], steps: list[Any], more: dict[str, Any], handles: Handles) -> Raw:
    frame = _derived(handle, steps, handles, _needed(what, more))
    match what, more:
        case "count", _:
            return values.to_json(len(frame))
        case "rows", _:
            start, stop = _place(more.get("from"), 0), _place(more.get("to"), len(frame))
            return values.to_json(frame[start:stop].to_native(), "rows")
        case "sample", {"count": int(count)} if count >= 0 and isinstance(more.get("seed"), int | None):
            return values.to_json(frames.sampled(frame, count, more.get("seed")).to_native(), "rows")
        case "describe", _:
            return values.to_json(frames.described(frame))
        case "schema", _:
            return values.to_json(frames.schema(frame))
        case "agg", {"wanted": dict(wanted)}:
            return values.to_json(frames.aggregated(frame, handle.label, wanted))
        case "column", {"name": str(name)} if more.get("as") in (None, "bigint"):
            chosen = frames.run([["select", [name]]], frame, handle.label, _no_frame)
            if more.get("as") == "bigint":
                return attached.attach("int64", frames.integers(chosen, name))
            return _column(chosen, name, by_bytes=more.get("bytes") is True)
        case "preview", _:
            return _preview(frame, handle, handles, is_new=bool(steps))
        case "open", _:
            return _written({"id": handle.id, "columns": list(handle.value.columns)})
    raise errors.InvalidParams(f"Cannot use {handle.label}: a frame has no operation {what[:50]} with these arguments")


def _needed(what: str, more: dict[str, Any]) -> list[str] | None:
    """Return the columns that an operation is about; None: all."""
    match what, more:
        case "count", _:
            return []
        case "column", {"name": str(name)}:
            return [name]
        case "agg", {"wanted": dict(wanted)} if "count" not in wanted.values():
            return frames.columns_of(wanted)
    return None


def _derived(handle: Handle[Any], steps: list[Any], handles: Handles, only: list[str] | None = None) -> Any:
    if not steps:
        return handle.value

    def find(id: str) -> Any:
        return handles.find(id).value

    key, narrow = (msgspec.json.encode([steps, one]).decode() for one in (None, only))
    if only is None or key in handle.derived:
        return handle.derive(key, lambda: frames.run(steps, handle.value, handle.label, find))
    return handle.derive(narrow, lambda: frames.run(steps, handle.value, handle.label, find, only))


def _no_frame(id: str) -> Any:
    raise errors.InvalidParams(f"Cannot join {id[:100]} here")


def _place(value: Any, otherwise: int) -> int:
    if value is None:
        return otherwise
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise errors.InvalidParams(f"Cannot read rows: from and to are numbers of rows, 0 or more, not {value!r:.50}")
    return value


def _column(frame: Any, name: str, *, by_bytes: bool) -> Raw:
    if (numbers := frames.numbers(frame, name)) is not None:
        data, is_rounded = numbers
        if by_bytes:
            return attached.attach("float64", data, rounded=is_rounded)
        return Raw(b'{"float64":"' + base64.b64encode(data) + b'"}')  # for the sandboxes of an older server
    rows = tables.converter(type(native := frame.to_native()))
    assert rows is not None, "narwhals has told it from other values"
    return values.to_json([row[name] for row in rows(native)], name)


def _preview(frame: Any, handle: Handle[Any], handles: Handles, *, is_new: bool) -> Raw:
    shown = handles.add(handle.label, frame, frame.to_native(), frames.size_of(frame)) if is_new else handle
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

    return replace(tool.python_tool(query, "query", "Frame", None), share=False)


@contextmanager
def taking(handles: Handles | None) -> Iterator[None]:
    """Find handles among arguments in this table while they are converted."""
    token = _TAKING.set(handles)
    try:
        yield
    finally:
        _TAKING.reset(token)


def taken(value: Any) -> Any:
    """Return the object that decoded JSON stands for: the frame of a handle, anything else as it is.

    Raises:
        InvalidParams: The frame is gone.
    """
    handles = _TAKING.get()
    if handles is None or (body := marks.body(value)) is None:
        return value
    return native_of(body, handles)


def native_of(body: dict[str, Any], handles: Handles) -> Any:
    """Return the object of a handle: the very object that the notebook has, or what the steps make of it."""
    handle = handles.find(str(body.get("id")))
    steps = body.get("steps")
    return _derived(handle, steps, handles).to_native() if isinstance(steps, list) and steps else handle.given


def replaced(value: Any, handles: Handles) -> Any:
    """Return decoded JSON with the objects in the place of their handles; lists and dicts are changed in place."""
    if (body := marks.body(value)) is not None:
        return native_of(body, handles)
    todo = [value]
    while todo:
        part = todo.pop()
        places: Any = part.items() if type(part) is dict else enumerate(part) if type(part) is list else ()
        for place, item in list(places):
            if (body := marks.body(item)) is not None:
                part[place] = native_of(body, handles)
            else:
                todo.append(item)
    return value
