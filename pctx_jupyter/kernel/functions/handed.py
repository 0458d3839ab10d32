"""Objects of the kernel that programs use by handle: handing one over, and taking it back.

It knows which JSON a handle is. What a program may ask of an object is in `operations.py`; how long it is held, its
table knows.
"""

from __future__ import annotations

import base64
import collections.abc
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Raw
from typing_extensions import is_typeddict

from ... import classes, errors, futures
from ...handles import chains, frames, others
from ...handles.table import Handle, Handles
from ...rpc import marks, nonfinite
from ...rpc.jsonrpc import Json
from ...tools.tool import HANDLE
from ...values import tables
from ..held import shape_of
from . import on_cluster
from .annotations import Unsaid
from .on_cluster import ClusterFrame
from .table_frames import frame_of

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
        return opened(hold(native, handles, label, label))
    handle = hold_other(native, handles, label, label, kind)
    if kind == "future":
        handle.value.write, handle.value.is_table = write, is_table_type(returns)
    return opened(handle)


def opened(handle: Handle[Any]) -> Raw:
    if handle.kind == "frame":
        return _written({"id": handle.id, "columns": list(handle.value.columns)})
    return _written({"id": handle.id, "kind": handle.kind, **others.facts(handle.kind, handle.value)})


def hold_other(native: Any, handles: Handles, label: str, path: str, kind: str) -> Handle[Any]:
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
        handle = hold(native, handles, label, path, is_variable=True)
    except frames.NotAFrame:
        if frames.is_registered(native) or tables.is_table(native):
            raise
        kind = others.kind_of(native)
        handle = hold_other(native, handles, label, path, kind)
        body = {"id": f"{path}#{handle.id}", "kind": kind, **others.facts(kind, handle.value)}
        return _written(body)
    kinds = frames.kinds(handle.value)
    return _written({"id": f"{path}#{handle.id}", "columns": list(kinds), "kinds": kinds})


def hold(native: Any, handles: Handles, label: str, path: str, *, is_variable: bool = False) -> Handle[Any]:
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


def derived(handle: Handle[Any], steps: list[Any], handles: Handles, only: list[str] | None = None) -> Any:
    if isinstance(handle.value, ClusterFrame):
        return frame_of([handle.value.table(steps, handle.label, handles)])
    if not steps:
        return handle.value

    def find(id: str) -> Any:
        return derived(handles.find(id), [], handles)

    key, narrow = (msgspec.json.encode([steps, one]).decode() for one in (None, only))
    if only is None or key in handle.derived:
        return handles.derive(handle, key, lambda: _sized(chains.run(steps, handle.value, handle.label, find)))
    return handles.derive(handle, narrow, lambda: _sized(chains.run(steps, handle.value, handle.label, find, only)))


def _sized(frame: Any) -> tuple[Any, int]:
    return frame, frames.size_of(frame, is_shallow=True)


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
        return derived(handle, steps, handles).to_native()
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
