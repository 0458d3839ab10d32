"""Objects of the kernel that programs use by handle: handing one over, serving operations on it, taking it back.

It knows which JSON a handle is, and how values become JSON. Which operations there are, `pctx_jupyter.handles.chains`
and `others` know; how long an object is held, its table.
"""

from __future__ import annotations

import base64
import builtins
import collections.abc
import inspect
import io
import keyword
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from pathlib import PurePath
from types import ModuleType, NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Raw
from typing_extensions import is_typeddict

from ... import classes, errors, futures, values
from ...handles import aggregates, chains, frames, numbers, others, queries, sql
from ...handles import steps as steps_on
from ...handles.table import Handle, Handles
from ...rpc import attached, marks, nonfinite
from ...rpc.jsonrpc import NULL, Json
from ...tools.tool import HANDLE
from ...values import arrays, tables
from ..held import shape_of
from ..spelling import as_python
from . import on_cluster
from .annotations import Unsaid
from .on_cluster import ClusterFrame
from .table_frames import frame_of

if TYPE_CHECKING:
    from .tool import PythonTool

_TAKING: ContextVar[Handles | None] = ContextVar("pctx handles", default=None)
"""The table in which handles among the arguments of the current call are found; None: they stay JSON."""

ANY_FRAME: dict[str, Json] = {"type": "array", "items": {"type": "object"}}
"""The schema of rows of which nothing is known."""


# From the kernel to a program


def hand_over(
    native: Any,
    handles: Handles,
    label: str,
    kind: str = "frame",
    write: Callable[[Any], Raw] | None = None,
    returns: Any = None,
) -> Raw:
    """Hold an object for a program, and return its handle.

    Args:
        native: The object.
        handles: What holds it.
        label: The path of the tool that returned it.
        kind: What the tool declares that it returns: ``frame``, or a kind of `others`.
        write: Writes the value of a future as JSON; None: as any value.
        returns: The declared type of the value of a future.

    Raises:
        NotAFrame: It is not a data frame, or has no rows in JSON; the message says why.
        NoHandle: It is not of the kind.
    """
    if kind == "frame" or (kind == "object" and frames.is_registered(native)):
        return _opened(_hold(native, handles, label, label))
    handle = _hold_other(native, handles, label, label, kind)
    if kind == "future":
        handle.value.write, handle.value.is_table = write, is_table_type(returns)
    return _opened(handle)


def _opened(handle: Handle[Any]) -> Raw:
    if handle.kind == "frame":
        return _written({"id": handle.id, "columns": list(handle.value.columns)})
    return _written({"id": handle.id, "kind": handle.kind, **others.facts(handle.kind, handle.value)})


def _hold_other(native: Any, handles: Handles, label: str, path: str, kind: str) -> Handle[Any]:
    value = others.held(kind, native)
    return handles.add(label, value, native, others.size_of(kind, value), kind, path)


def hand_in(native: Any, handles: Handles, label: str, path: str) -> Raw:
    """Hold an object that is passed in to a program, and return its handle; of a frame, with the kinds of its columns.

    Args:
        native: The object.
        handles: What holds it.
        label: What people call it.
        path: The tool that serves operations on it.

    Raises:
        NotAFrame, NoHandle: As `hand_over`.
        Exception: What was raised on the cluster of a data frame of Dask.
    """
    try:
        if (brought := on_cluster.brought(native)) is not None:
            frame, kinds = brought
            handle = handles.add(label, frame, native, path=path, is_variable=True)
            return _written({"id": f"{path}#{handle.id}", "columns": frame.columns, "kinds": kinds})
        handle = _hold(native, handles, label, path, is_variable=True)
    except frames.NotAFrame:
        if frames.is_registered(native) or tables.is_table(native):
            raise
        kind = others.kind_of(native)
        handle = _hold_other(native, handles, label, path, kind)
        body = {"id": f"{path}#{handle.id}", "kind": kind, **others.facts(kind, handle.value)}
        return _written(body)
    kinds = frames.kinds(handle.value)
    return _written({"id": f"{path}#{handle.id}", "columns": list(kinds), "kinds": kinds})


def _hold(native: Any, handles: Handles, label: str, path: str, *, is_variable: bool = False) -> Handle[Any]:
    frame = frame_of([frames.adapted(native)])
    return handles.add(label, frame, native, frames.size_of(frame), path=path, is_variable=is_variable)


def _written(body: dict[str, Any]) -> Raw:
    return Raw(msgspec.json.encode({marks.FRAME: body}))


def kind_of(annotation: Any) -> str:
    """Return what a tool hands over that declares to return a type: ``frame``, or a kind of `others`."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind_of(args[0])
    if origin in (Union, UnionType):
        found = {kind_of(one) for one in args if one is not NoneType}
        return found.pop() if len(found) == 1 else "frame"
    if annotation is object:
        return "object"
    if annotation is Any:  # a class, to Python
        return "frame"
    kind = annotation if origin is None else origin
    if not isinstance(kind, type):
        return "array" if "NDArray" in str(getattr(kind, "__name__", "")) else "frame"
    if issubclass(kind, Unsaid) or kind in (list, dict, tuple, NoneType) or is_typeddict(kind):
        return "frame"
    if kind in _ITERATORS:
        return "items"
    if issubclass(kind, PurePath):
        return "file"
    if classes.is_one(kind, classes.FIGURES):
        return "figure"
    if classes.is_one(kind, classes.ARRAYS):
        return "array"
    return "frame" if is_table_type(kind) else "object"


def is_table_type(annotation: Any) -> bool:
    """Return whether an annotation says that a value is a table."""
    kind = get_origin(annotation) or annotation
    return isinstance(kind, type) and (
        frames.is_registered_type(kind)
        or tables.converter(kind) is not None
        or kind.__name__ in classes.NAMES_OF_TABLES
    )


def of_value(schema: Json, returns: Any) -> Json:
    """Return the schema of what the ``result`` of a future is: a table or an array is a handle, anything else JSON."""
    name = kind_of(returns)
    if name in ("array", "figure"):
        return by_handle(schema, name)
    return by_handle(schema) if is_table_type(returns) else schema


_ITERATORS = {
    getattr(collections.abc, name)
    for name in ("Iterator", "Iterable", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator")
}


def by_handle(schema: Json, kind: str = "frame") -> Json:
    """Return the schema of a tool's result when the tool returns an object by handle."""
    if kind == "future":
        inner = schema if isinstance(schema, dict) else {}
        made: dict[str, Json] = {HANDLE: kind, "type": "array", "items": inner}
        return made | {"$defs": inner["$defs"]} if "$defs" in inner else made
    if kind != "frame":
        made = {HANDLE: kind}
        if kind == "items":
            items = schema.get("items", {}) if isinstance(schema, dict) and schema.get("type") == "array" else {}
            made |= {"type": "array", "items": items}
            if isinstance(schema, dict) and "$defs" in schema:
                made["$defs"] = schema["$defs"]
        members = schema.get("anyOf", []) if isinstance(schema, dict) else []
        is_optional = isinstance(members, list) and {"type": "null"} in members
        return {"anyOf": [made, {"type": "null"}]} if is_optional else made
    if not isinstance(schema, dict):
        return ANY_FRAME | {HANDLE: "frame"}
    if schema.get("type") == "array":
        return schema | {HANDLE: "frame"}
    if isinstance(members := schema.get("anyOf"), list):
        found: list[Json] = [one if one == {"type": "null"} else by_handle(one) for one in members]
        return schema | {"anyOf": found}
    return ANY_FRAME | {HANDLE: "frame"}


# From a program to the kernel


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
                return _opened(handle)
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
    frame = _derived(handle, steps, handles, _needed(what, more))
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
        made = _derived(other, steps if isinstance(steps, list) else [], handles)
        given[str(name)] = steps_on.ready_for_query(made).to_native()
    return _opened(_hold(await queries.ask(query, given), handles, handle.label, handle.path))


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
            return _opened(handles.add(handle.label, there, handle.value.given, path=handle.path))
        value = await handle.value.value()
        if value is None:
            return NULL
        return _opened(_hold(value, handles, handle.label, handle.path))
    except frames.NotAFrame as error:
        if value is None or frames.is_registered(value) or tables.is_table(value):
            raise errors.ToolFailed(f"{handle.label}: {error}", name="TypeError") from None
    with suppress(others.NoHandle):
        if (kind := others.kind_of(value)) in ("array", "figure"):
            return _opened(_hold_other(value, handles, handle.label, handle.path, kind))
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


def _derived(handle: Handle[Any], steps: list[Any], handles: Handles, only: list[str] | None = None) -> Any:
    if isinstance(handle.value, ClusterFrame):
        return frame_of([handle.value.table(steps, handle.label, handles)])
    if not steps:
        return handle.value

    def find(id: str) -> Any:
        return _derived(handles.find(id), [], handles)

    key, narrow = (msgspec.json.encode([steps, one]).decode() for one in (None, only))
    if only is None or key in handle.derived:
        return handles.derive(handle, key, lambda: _sized(chains.run(steps, handle.value, handle.label, find)))
    return handles.derive(handle, narrow, lambda: _sized(chains.run(steps, handle.value, handle.label, find, only)))


def _sized(frame: Any) -> tuple[Any, int]:
    return frame, frames.size_of(frame, is_shallow=True)


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


def figure(shell: Any, value: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return how a figure is displayed, as at the end of a cell of Python; None: it has displayed itself.

    A figure of Plotly has HTML, too: without it, an export of the notebook, and a front end without Plotly's extension,
    would show nothing.
    """
    if hasattr(value, "to_html") and (found := value._repr_mimebundle_()):
        page = {} if "text/html" in found else {"text/html": value.to_html(full_html=False, include_plotlyjs="cdn")}
        return {**found, **page, "text/plain": f"Figure of {type(value).__module__.partition('.')[0]}"}, {}
    data, metadata = shell.display_formatter.format(value)
    if not data:
        return None
    if not any(kind.startswith("image/") for kind in data) and hasattr(value, "savefig"):
        out = io.BytesIO()
        value.savefig(out, format="png", bbox_inches="tight")
        data = {**data, "image/png": base64.b64encode(out.getvalue()).decode()}
    return data, metadata


def server_of_frames() -> PythonTool:
    """Make the tool that serves operations on frames that no tool has returned: those that a cell passes in."""
    from . import tool

    def query() -> None:
        """Serves the operations of frames that a cell passes in; programs use the frames' methods."""

    return replace(tool.python_tool(query, "query", tool.FRAMES, None), share=False)


@contextmanager
def taking(handles: Handles | None) -> Iterator[None]:
    """Find handles among arguments in this table while they are converted."""
    token = _TAKING.set(handles)
    try:
        yield
    finally:
        _TAKING.reset(token)


def taken(value: Any) -> Any:
    """Return the object that decoded JSON stands for: the table or object of a handle, anything else as it is.

    Raises:
        InvalidParams: The frame is gone.
    """
    handles = _TAKING.get()
    if handles is None or (body := marks.body(value)) is None:
        return value
    return native_of(body, handles, as_table=True)


def native_of(body: dict[str, Any], handles: Handles, *, as_table: bool = False) -> Any:
    """Return the object of a handle: the very object that the notebook has, or what the steps make of it.

    What is lazy stays so, unless a table is needed.
    """
    handle = handles.find(str(body.get("id")))
    steps = body.get("steps")
    if isinstance(frame := handle.value, ClusterFrame):
        todo = steps if isinstance(steps, list) else []
        if as_table or not frame.is_collection:
            return frame.table(todo, handle.label, handles)
        is_same = not todo and futures.is_dask_frame(handle.given)
        return handle.given if is_same else frame.collection(todo, handle.label, handles)
    if handle.kind != "frame":
        return handle.given
    if isinstance(steps, list) and steps:
        return _derived(handle, steps, handles).to_native()
    return handle.value.to_native() if as_table and not tables.is_table(handle.given) else handle.given


def named(body: dict[str, Any], handles: Handles) -> Any:
    """Return a few words for the object of a handle; of a handle that the notebook does not hold, its JSON."""
    try:
        handle = handles.find(str(body.get("id")))
    except errors.InvalidParams:
        return {marks.FRAME: body}
    place = place_of(handle)
    if body.get("steps"):
        return f"Frame made of {handle.label}, {place}"
    if shape := " × ".join(f"{length:,}" for length in shape_of(handle)):
        return f"{handle.kind.capitalize()} of {handle.label}, {shape}, {place}"
    return f"{handle.kind.capitalize()} of {handle.label}, {place}"


def place_of(handle: Handle[Any]) -> str:
    """Return a few words for where an object is."""
    return "on its cluster" if isinstance(handle.value, ClusterFrame) else "in the notebook"


def objects_among(arguments: Raw, handles: Handles, run_on: Any = None) -> tuple[Raw, dict[str, Any]]:
    """Return arguments without those that are handles of objects other than frames, and these objects by name.

    Frames are converted to what a parameter declares; other objects reach the function as they are. So do frames of the
    cluster that the function runs on: as futures, which the cluster replaces.
    """
    text = bytes(arguments).strip()
    if not text.startswith(b"{") or nonfinite.is_marked(arguments):
        return arguments, {}
    given = msgspec.json.decode(text, type=dict[str, Raw])
    bodies = {name: body for name, one in given.items() if (body := marks.body_of(one)) is not None}
    found = {name: handles.find(str(body.get("id"))) for name, body in bodies.items()}
    objects = {name: handle.given for name, handle in found.items() if handle.kind != "frame"}
    for name, handle in found.items():
        if isinstance(frame := handle.value, ClusterFrame) and frame.client is run_on:
            steps = bodies[name].get("steps")
            objects[name] = frame.future(steps if isinstance(steps, list) else [], handle.label, handles)
    rest = {name: one for name, one in given.items() if name not in objects}
    return Raw(msgspec.json.encode(rest)), objects


def replaced(value: Any, handles: Handles, instead: Callable[[dict[str, Any], Handles], Any] = native_of) -> Any:
    """Return decoded JSON with the objects in the place of their handles; lists and dicts are changed in place.

    Args:
        value: The JSON.
        handles: What holds the objects.
        instead: Returns what takes the place of a handle; without it, the object.
    """
    if (body := marks.body(value)) is not None:
        return instead(body, handles)
    todo = [value]
    while todo:
        part = todo.pop()
        places: Any = part.items() if type(part) is dict else enumerate(part) if type(part) is list else ()
        for place, item in list(places):
            if (body := marks.body(item)) is not None:
                part[place] = instead(body, handles)
            else:
                todo.append(item)
    return value
