"""``@tool``: a Python function becomes a tool that programs may call.

A decorated function does not change. A `PythonTool` is kept for it: the names, the schemas from its signature, and the
function. Tools are kept for the process, so cells may define them before ``%load_ext``. They
are offered before each program. This module does not know where they are registered, and who calls them.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from msgspec import Raw

from ... import errors, foreign, futures
from ...rpc import marks
from ...rpc.jsonrpc import NULL, Json
from ...tools.catalog import demand_free_name
from ...tools.tool import FUTURE_OR, HANDLE, Tool
from .tracebacks import traceback_of_user_frames

if TYPE_CHECKING:
    from ...handles.table import Handles
    from .signature import FunctionSignature

__all__ = [
    "NAMESPACE",
    "PythonTool",
    "call",
    "define",
    "defined",
    "forget",
    "tool",
    "traceback_of_user_frames",
]

NAMESPACE = "Notebook"
"""The namespace of tools that name none."""

AWAITED_IN_VAIN = (
    "the future of a synchronous Client of Dask cannot be awaited; return it without await, or make the client with "
    "Client(asynchronous=True)"
)

PICKLED = (
    "with run_on, the function with what it uses of the notebook, its arguments and its result are pickled; make "
    "connections, locks and open files inside the function, and return plain data"
)

UNSAID = (
    "with handle=True, the annotation has to say that a {0} of Dask is returned: one with the class leaves it where it "
    "is computed; or return what its compute() returns"
)

_PASSES = "Tools of the same notebook take it, and get the very object; await save(name) stores it in the notebook."
HINTS = {
    "array": "Returns an NDArray that stays in the notebook: shape, dtype, await values(from, to), agg(name).",
    "file": "Returns a FileHandle: await text(from, to), bytes(from, to), or for await (const line of file).",
    "items": "Returns Items: await take(n), or for await (const item of items); each is taken once.",
    "future": "Returns a Future, which stays where it is computed: await result() brings its value.",
    "figure": "Returns a Figure that stays in the notebook; end with it to show it.",
    "object": "Returns an object that stays in the notebook.",
}
"""End the descriptions of tools that return something else by handle, by its kind."""
FRAME_HINT = (
    "Returns a Frame: a table that stays in the notebook. filter((row) => row.a.gt(1)), select, withColumns, sortBy, "
    'groupBy("b").agg({ a: "sum", n: "count" }) and join return frames; await its count(), head(n), rows(from, to), '
    "agg({…}), column(name), describe(). End with a frame to keep it: await openFrame(id) opens it in a later program."
)
"""Ends the description of a tool that returns frames: what a model has to know to use them, in some 100 tokens."""

F = TypeVar("F", bound=Callable[..., Any])

Effects = bool | Literal["unknown"]
"""The effects of a tool, as its author declares them."""


@dataclass(frozen=True, eq=False)
class PythonTool:
    """A Python function as a tool.

    Args:
        namespace, name: The spelling it was registered with.
        description: What it does, for people and models.
        input_schema: JSON Schema of its arguments object.
        output_schema: JSON Schema of its result; None if it may be anything.
        function: What is called.
        is_async: Whether calling it gives a coroutine; without this it may still return something to await.
        share: Whether others than its notebook may see it, as far as the notebook shares its tools.
        effects: Whether it changes something outside; None: no.
        own_description: The description that was given in place of the docstring's; None: none was.
        code: The function's code when its signature was read.
        run_on: What runs its calls; None: the thread that calls it.
        handle: Whether programs get a handle of what it returns, and not its JSON.
        kind: What the handle is of: ``frame``, or a kind of `handles.others`.
    """

    namespace: str
    name: str
    description: str
    input_schema: Json
    output_schema: Json
    function: Callable[..., Any] = field(repr=False)
    is_async: bool
    signature: FunctionSignature = field(repr=False)
    share: bool = True
    effects: Effects | None = None
    own_description: str | None = field(default=None, repr=False)
    code: object = field(default=None, repr=False)
    run_on: futures.Executor | None = field(default=None, repr=False)
    handle: bool = False
    kind: str = "frame"

    @functools.cached_property
    def tool(self) -> Tool:
        """The tool as the catalog has it; always the same object."""
        return Tool(
            self.namespace,
            self.name,
            f"{self.description}\n\n{self._hint}".strip() if self.handle else self.description,
            self.input_schema,
            self.output_schema,
            share=self.share,
            effects=None if self.effects == "unknown" else self.effects is True,
            nonfinite=True,
        )

    @property
    def _hint(self) -> str:
        return FRAME_HINT if self.kind == "frame" else f"{HINTS[self.kind]} {_PASSES}"

    @functools.cached_property
    def code_hash(self) -> str:
        """A hash of what its code does, where it declares no result; "": it does, or there is no code of Python.

        Comments, and the place of the code, make no difference.
        """
        if self.output_schema is not None or not isinstance(self.code, types.CodeType):
            return ""
        return hashlib.blake2b(repr(_substance(self.code)).encode(errors="replace"), digest_size=16).hexdigest()

    @property
    def path(self) -> str:
        """Its name in TypeScript: ``Notebook.loadOrders``."""
        return self.tool.path


FRAMES = "Frame"
"""The namespace of the tool that serves frames. People call the frames' methods, so no list shows it."""

_here: dict[str, PythonTool] = {}
"""All tools of this process by path. Any thread may define and forget tools."""

watchers: set[Callable[[], None]] = set()
"""Called after a tool was defined or forgotten, on the thread that did it. They must not block."""


@overload
def tool(function: F, /) -> F: ...


@overload
def tool(
    *,
    name: str | None = None,
    namespace: str | None = None,
    description: str | None = None,
    share: bool = True,
    effects: Effects | None = None,
    run_on: futures.Executor | None = None,
    handle: bool = False,
) -> Callable[[F], F]: ...


def tool(
    function: F | None = None,
    /,
    *,
    name: str | None = None,
    namespace: str | None = None,
    description: str | None = None,
    share: bool = True,
    effects: Effects | None = None,
    run_on: futures.Executor | None = None,
    handle: bool = False,
) -> F | Callable[[F], F]:
    """Offer a function to TypeScript programs; the function itself does not change.

    Use it as ``@tool``, as ``@tool(name="load", namespace="Sales")``, or as ``tool(sales.load)`` for what is defined
    elsewhere: functions, coroutine functions, bound methods, partials, callable objects. Its annotations become the
    types programs see, its docstring their documentation; defining it again replaces it.

    Args:
        name: Its name; by default the function's.
        namespace: Where it goes; by default ``Notebook``.
        description: What it does; by default the docstring's text.
        share: Whether agents and other notebooks may see it, as far as this notebook shares its tools
            (``%pctx share``).
        effects: Whether it changes something outside of the notebook, such as a database. If so, a person is asked
            before an agent's program calls it, unless the server's policy has another rule. "unknown" is for a
            function that passes calls on; a person is asked as well. None: no.
        run_on: Where calls run: a client of Dask, or an executor of ``concurrent.futures``. Each call submits the
            function, and the kernel is free meanwhile. None: in the kernel. A tool may also return a future.
        handle: Whether what it returns stays in the kernel. Programs get a ``Frame`` of a data frame or a series
            (pandas, polars, Arrow), whose operations run there, in place of all rows. The annotation says what else it
            is: an array of numpy, a ``Path``, an iterator, a figure, or any other class. A future, and with ``run_on``
            every result, is a ``Future`` whose value stays where it is until ``result()`` asks for it.

    Raises:
        InvalidParams: The function cannot be a tool; the message says why. A parameter that cannot be declared is none
            of the reasons: it is ``any``.
        ToolExists: Another tool has the same name in TypeScript.
    """
    given = {
        "name": name,
        "namespace": namespace,
        "description": description,
        "share": share,
        "effects": effects,
        "run_on": run_on,
        "handle": handle,
    }
    if function is None:
        return functools.partial(_decorated, given)
    return _decorated(given, function)


def _decorated(given: dict[str, Any], function: F) -> F:
    define(function, **given)
    return function


def define(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    namespace: str | None = None,
    description: str | None = None,
    share: bool = True,
    effects: Effects | None = None,
    run_on: futures.Executor | None = None,
    handle: bool = False,
) -> PythonTool:
    """Make a tool of a function, and keep it for programs; `tool` describes the arguments."""
    try:
        if effects not in (None, "unknown") and not isinstance(effects, bool):
            raise errors.InvalidParams(
                f'Cannot make a tool: effects is {effects!r:.50}, and has to be True, False, "unknown" or None'
            )
        made = python_tool(function, name, namespace, description, may_yield=handle)
        if run_on is not None and (reason := futures.why_not(run_on, made.is_async)) is not None:
            raise errors.InvalidParams(f"Cannot register {made.name}: {reason}")
        made = _by_handle(replace(made, share=share, effects=effects, run_on=run_on), handle)
        declared = made.tool
        demand_free_name(declared)
        there = _here.get(declared.path)
        if there is not None and there.tool.registered_path != declared.registered_path:
            raise errors.ToolExists(
                f"Cannot register {declared.registered_path}: in TypeScript it is {declared.path}, and so is "
                f"{there.tool.registered_path}; give one of them another name"
            )
    except errors.PctxError as error:
        raise _said_shortly(error) from None
    _here[declared.path] = made
    _notify()
    return made


def defined() -> list[PythonTool]:
    """The tools of this process, in the order in which they were first defined.

    A function is read again that was changed in place since then, as ``%autoreload`` does, or whose annotations name a
    class that has been defined since.
    """
    for path, known in list(_here.items()):
        if (code := _code_of(known.function)) is not known.code or known.signature.is_outdated():
            _here[path] = _read_again(known, code)
    return list(_here.values())


def _read_again(known: PythonTool, code: object) -> PythonTool:
    """Make the tool from the function's present signature; return the old tool if that is not possible."""
    try:
        function = _reloaded(known.function)
        fresh = python_tool(function, known.name, known.namespace, known.own_description, may_yield=known.handle)
        fresh = replace(fresh, share=known.share, effects=known.effects, code=code, run_on=known.run_on)
        return _by_handle(fresh, known.handle)
    except errors.PctxError:
        return replace(known, code=code)


def _substance(value: object) -> object:
    """What of a code object, or of a constant in it, says what the code does; the same in every process."""
    if isinstance(value, types.CodeType):
        constants = tuple(map(_substance, value.co_consts))
        return value.co_name, value.co_code, constants, value.co_names, value.co_varnames, value.co_freevars
    if isinstance(value, tuple):
        return tuple(map(_substance, value))
    if isinstance(value, frozenset):
        return sorted(map(repr, value))
    return value


def _by_handle(made: PythonTool, handle: bool) -> PythonTool:
    """Declare that a tool returns objects by handle, and takes futures, if it does."""
    if futures.is_dask_client(made.run_on):
        made = replace(made, input_schema=_or_futures(made.input_schema))
    if not handle:
        return made
    from . import handed

    if made.run_on is not None or made.signature.is_future:
        inner = handed.of_value(made.output_schema, made.signature.returns)
        return replace(made, handle=True, kind="future", output_schema=handed.by_handle(inner, "future"))
    kind = "items" if _yields_later(made.function) else handed.kind_of(made.signature.returns)
    return replace(made, handle=True, kind=kind, output_schema=handed.by_handle(made.output_schema, kind))


def _or_futures(schema: Json) -> Json:
    """Return the schema of arguments each of which may be a future of its value: Dask passes the value on."""
    if not isinstance(schema, dict) or not isinstance(properties := schema.get("properties"), dict):
        return schema
    made: dict[str, Json] = {}
    for name, one in properties.items():
        handle = one.get(HANDLE, "") if isinstance(one, dict) else ""
        made[name] = one | {HANDLE: f"{FUTURE_OR}{handle}"} if isinstance(one, dict) and one else one
    return schema | {"properties": made}


def _code_of(function: Any) -> object:
    """The code of a function, which a change in place always replaces; None for functions made in C."""
    if type(function) is types.FunctionType and "__wrapped__" not in function.__dict__:
        return function.__code__  # asked before each program, of each tool
    from . import wrapped

    return getattr(wrapped.plain_function(function), "__code__", None)


def _reloaded(function: Any) -> Any:
    """The function that a reloaded module has under the same name, if the old one got its code.

    IPython before version 9 leaves annotations and defaults of keywords behind when it changes a function in place.
    """
    if not inspect.isfunction(function):
        return function
    found: Any = sys.modules.get(function.__module__)
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    return found if inspect.isfunction(found) and found.__code__ is function.__code__ else function


def _said_shortly(error: errors.PctxError) -> errors.PctxError:
    """Make IPython show a refusal as one sentence, without a traceback."""
    foreign.show_instead(error, [f"{type(error).__name__}: {error}"])
    return error


def forget(path: str) -> PythonTool | None:
    """Forget a tool, by either of its names; return it if there was one. It is no longer offered."""
    for key, known in list(_here.items()):
        if path in (key, known.tool.registered_path):
            _here.pop(key, None)
            _notify()
            return known
    return None


def _notify() -> None:
    for watcher in list(watchers):
        watcher()


def call(tool: PythonTool, arguments: Raw | None, handles: Handles | None = None) -> Raw | Awaitable[Raw]:
    """Call a tool's function on this thread.

    Args:
        tool: The tool.
        arguments: JSON of an object of named arguments; anything else is the value of the first parameter; None or
            null is no argument. An operation on a frame is served in place of the function.
        handles: Holds the frames of the program that calls; None: it gets rows.

    Returns:
        JSON of the result, or what to await for it if the function is async, returns a future or runs elsewhere.

    Raises:
        InvalidParams: An argument is unknown, missing or wrong; names the path to it.
        ToolFailed: The result is not of the declared type; names the path in it.
        NotJson: The result has no JSON form; names the path in it.
        Exception: Whatever the function raises.
    """
    name = tool.tool.tool_name
    if arguments is not None and handles is not None and marks.is_operation(arguments):
        from . import operations

        return operations.serve(arguments, handles, tool.path)
    positional, named = _bound(tool, arguments, handles)
    if tool.run_on is None:
        result = tool.function(*positional, **named)
    elif tool.kind == "future" and handles is not None:
        try:
            result = futures.started(tool.run_on, tool.function, positional, named)
        except Exception as error:
            raise _said_of_pickling(tool, error) from error
    else:
        result = futures.submit(tool.run_on, tool.function, positional, named)
    if (pending := _pending(tool, result, handles)) is not None:
        return _awaited(tool, pending, name, handles)
    return _returned(tool, result, name, handles)


def _bound(tool: PythonTool, arguments: Raw | None, handles: Handles | None) -> tuple[list[Any], dict[str, Any]]:
    """Convert the arguments of a call; a handle among them becomes its frame."""
    name = tool.tool.tool_name
    if arguments is None or handles is None or not marks.holds_handle(arguments):
        return tool.signature.bind(arguments, name)
    from . import handed

    arguments, objects = handed.objects_among(arguments, handles, tool.run_on)
    with handed.taking(handles):
        positional, named = tool.signature.bind(arguments, name, objects)
    return handed.replaced(positional, handles), handed.replaced(named, handles)


def _returned(tool: PythonTool, result: Any, name: str, handles: Handles | None) -> Raw:
    """Write the result of a call as JSON, or as the handle of a frame."""
    if not tool.handle or handles is None:
        return tool.signature.returned(result, name)
    if result is None:
        return NULL
    from ...handles.frames import NotAFrame
    from ...handles.others import NoHandle
    from . import handed

    try:
        write = functools.partial(tool.signature.returned, name=name)
        return handed.hand_over(result, handles, tool.path, tool.kind, write, tool.signature.returns)
    except NotAFrame as error:
        message = (
            f"{name}: {error}; return a data frame, or define the tool without handle=True; of anything else, the "
            "annotation has to say what it is"
        )
        raise errors.ToolFailed(message, name="TypeError") from None
    except NoHandle as error:
        message = f"{name}: {error}; change its annotation, or define the tool without handle=True"
        raise errors.ToolFailed(message, name="TypeError") from None


async def _awaited(tool: PythonTool, pending: Awaitable[Any] | None, name: str, handles: Handles | None) -> Raw:
    result: object = None
    while pending is not None:
        try:
            result = await pending
        except Exception as error:
            if isinstance(error, AttributeError) and futures.was_awaited_in_vain(error):
                raise TypeError(f"{name}: {AWAITED_IN_VAIN}") from error
            if tool.run_on is not None and futures.is_about_pickling(error):
                raise _said_of_pickling(tool, error) from error
            raise
        pending = _pending(tool, result, handles)  # an async function may return a future
    return _returned(tool, result, name, handles)


def _pending(tool: PythonTool, result: Any, handles: Handles | None) -> Awaitable[Any] | None:
    """Return what to await for a tool's result; None: the result is handed over as it is."""
    if tool.handle and handles is not None and futures.unready(result):
        if tool.kind == "future":
            return None
        if tool.signature.returns is Any and futures.is_dask_collection(result):
            raise errors.ToolFailed(f"{tool.tool.tool_name}: {UNSAID.format(type(result).__name__)}", name="TypeError")
    return futures.pending(result)


def _said_of_pickling(tool: PythonTool, error: Exception) -> errors.ToolFailed:
    error = futures.root_of(error)
    reason = str(error).partition("\n")[0]  # Dask adds a traceback
    return errors.ToolFailed(f"{tool.tool.tool_name}: {reason}; {PICKLED}", name=type(error).__name__)


def python_tool(
    given: Callable[..., Any],
    name: str | None,
    namespace: str | None,
    description: str | None,
    *,
    may_yield: bool = False,
) -> PythonTool:
    """Make a tool of a function without defining it for the process; raises what `define` raises."""
    function = given.__func__ if isinstance(given, staticmethod) else given
    shown = _name_of(function) if name is None else name
    if (reason := _why_not(function, shown, may_yield=may_yield)) is not None:
        raise errors.InvalidParams(f"Cannot register {repr(given)[:80] if shown is None else shown}: {reason}")
    assert shown is not None
    from . import signature, wrapped  # takes a moment: only a process that has tools pays for it

    try:
        found = signature.signature_of(function)
    except signature.Unrepresentable as error:
        raise errors.InvalidParams(f"Cannot register {shown}: {error}") from error.__cause__
    made = PythonTool(
        namespace=NAMESPACE if namespace is None else namespace,
        name=shown,
        description=found.description if description is None else inspect.cleandoc(description),
        input_schema=found.input_schema,
        output_schema=found.output_schema,
        function=function,
        is_async=inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(wrapped.plain_function(function)),
        signature=found,
        own_description=description,
        code=_code_of(function),
    )
    _ = made.path  # refuses a name that TypeScript cannot have
    return made


def _name_of(function: Any) -> str | None:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None)
    if name is None and callable(function):
        name = type(function).__name__
    return None if name == "<lambda>" else name


def _yields_later(function: Any) -> bool:
    return inspect.isasyncgenfunction(function)


def _why_not(function: Any, name: str | None, *, may_yield: bool = False) -> str | None:
    if isinstance(function, classmethod):
        return "inside its class there is no class to call it on; after the class, write tool(Class.method)"
    if isinstance(function, str):
        return f"a name has to be given by keyword: @tool(name={function!r}), or @tool(namespace={function!r})"
    if isinstance(function, property):
        return "it is a property; write a function that returns its value"
    if not callable(function):
        return "it is not callable; pass a function"
    if inspect.isclass(function):
        return "it is a class; wrap what it should do in a function that returns an instance"
    if name is None:
        return "a lambda has no name; pass name="
    if _yields_later(function) and not may_yield:
        return "it yields asynchronously; collect what it yields and return a list, or define it with handle=True"
    if inspect.isfunction(function):
        first = next(iter(inspect.signature(function).parameters), None)
        holder = function.__qualname__.rpartition(".")[0]
        if first in ("self", "cls") and holder and not holder.endswith("<locals>"):
            return (
                f"parameter {first} is for an instance; register the bound method, tool(instance.{function.__name__})"
            )
    return None
