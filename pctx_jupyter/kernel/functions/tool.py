"""``@tool``: a Python function becomes a tool that programs may call.

A decorated function stays what it was. What is registered beside it is a `PythonTool`: the names, the schemas read from
its signature, and the function. Tools are handed to whoever is attached, and kept for whoever attaches later, so cells
may define them before ``%load_ext``. Where they are registered, and who calls them, is not known here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, overload

from msgspec import Raw

from ... import errors
from ...rpc.jsonrpc import Json
from ...tools.catalog import Tool
from .tracebacks import traceback_of_user_frames

if TYPE_CHECKING:
    from .signature import Signature

__all__ = [
    "NAMESPACE",
    "PythonTool",
    "Registry",
    "attach",
    "call",
    "define",
    "defined",
    "detach",
    "forget",
    "tool",
    "traceback_of_user_frames",
]

NAMESPACE = "Notebook"
"""Where a tool goes that names no namespace."""

F = TypeVar("F", bound=Callable[..., Any])

Effects = bool | Literal["unknown"]
"""What the author of a tool says of its effects."""


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
    """

    namespace: str
    name: str
    description: str
    input_schema: Json
    output_schema: Json
    function: Callable[..., Any] = field(repr=False)
    is_async: bool
    signature: Signature = field(repr=False)
    share: bool = True
    effects: Effects | None = None

    @functools.cached_property
    def tool(self) -> Tool:
        """What the catalog knows of it; always the same object."""
        return Tool(
            self.namespace,
            self.name,
            self.description,
            self.input_schema,
            self.output_schema,
            share=self.share,
            effects=None if self.effects == "unknown" else self.effects is True,
            nonfinite=True,
        )

    @property
    def path(self) -> str:
        """Its name in TypeScript: ``Notebook.loadOrders``."""
        return self.tool.path


class Registry(Protocol):
    """Hears of every tool that is defined while it is attached."""

    def register(self, tool: PythonTool, /) -> None:
        """Offer the tool, in place of an earlier one of the same name."""


class _Definitions:
    """All tools of this process by path, and the registry that is attached."""

    def __init__(self) -> None:
        self.tools: dict[str, PythonTool] = {}
        self.registry: Registry | None = None


_here = _Definitions()


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
) -> F | Callable[[F], F]:
    """Offer a function to TypeScript programs; it stays the function it was.

    Use it as ``@tool``, as ``@tool(name="load", namespace="Sales")``, or as ``tool(sales.load)`` for what is defined
    elsewhere: functions, coroutine functions, bound methods, partials, callable objects. Its annotations become the
    types programs see, its docstring their documentation; defining it again replaces it.

    Args:
        name: Its name; by default the function's.
        namespace: Where it goes; by default ``Notebook``.
        description: What it does; by default the docstring's text.
        share: Whether agents and other notebooks may see it, as far as this notebook shares its tools
            (``%pctx share``).
        effects: Whether it changes something outside of the notebook, such as a database: then somebody is asked
            before an agent's program calls it, unless the server's policy says otherwise. "unknown" is for a function
            that passes calls on, and cannot say; somebody is asked as well. None: no.

    Raises:
        InvalidParams: The function cannot be a tool: names the parameter that stands in the way.
        ToolExists: Another tool has the same name in TypeScript.
    """
    given = {"name": name, "namespace": namespace, "description": description, "share": share, "effects": effects}
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
) -> PythonTool:
    """Make a tool of a function, remember it, and hand it to the attached registry. See `tool`."""
    if effects not in (None, "unknown") and not isinstance(effects, bool):
        raise errors.InvalidParams(
            f'Cannot make a tool: effects is {effects!r:.50}, and has to be True, False, "unknown" or None'
        )
    made = replace(_python_tool(function, name, namespace, description), share=share, effects=effects)
    declared = made.tool
    there = _here.tools.get(declared.path)
    if there is not None and there.tool.registered_path != declared.registered_path:
        raise errors.ToolExists(
            f"Cannot register {declared.registered_path}: in TypeScript it is {declared.path}, and so is "
            f"{there.tool.registered_path}; give one of them another name"
        )
    if _here.registry is not None:
        _here.registry.register(made)
    _here.tools[declared.path] = made
    return made


def defined() -> list[PythonTool]:
    """The tools of this process, in the order in which they were first defined."""
    return list(_here.tools.values())


def forget(path: str) -> PythonTool | None:
    """Take a tool out of those that a registry is told of, by either of its names; return it if there was one.

    The attached registry is not told: who unregisters a tool there calls this as well.
    """
    for key, known in _here.tools.items():
        if path in (key, known.tool.registered_path):
            return _here.tools.pop(key)
    return None


def attach(registry: Registry) -> None:
    """Tell a registry of every tool there is, and from now on of every new one."""
    for known in defined():
        registry.register(known)
    _here.registry = registry


def detach() -> None:
    """Tell nobody of new tools; remember them for whoever attaches next."""
    _here.registry = None


def call(tool: PythonTool, arguments: Raw | None) -> Raw | Awaitable[Raw]:
    """Call a tool's function, here and now.

    Args:
        tool: The tool.
        arguments: JSON of an object of named arguments; anything else is the value of the first parameter; None or
            null is no argument.

    Returns:
        JSON of the result, or what to await for it if the function is async.

    Raises:
        InvalidParams: An argument is unknown, missing or wrong; names the path to it.
        ToolFailed: The result is not of the declared type; names the path in it.
        NotJson: The result has no JSON form; names the path in it.
        Exception: Whatever the function raises.
    """
    name = tool.tool.tool_name
    positional, named = tool.signature.bind(arguments, name)
    result = tool.function(*positional, **named)
    if inspect.isawaitable(result):
        return _awaited(tool, result, name)
    return tool.signature.returned(result, name)


async def _awaited(tool: PythonTool, result: Awaitable[Any], name: str) -> Raw:
    return tool.signature.returned(await result, name)


def _python_tool(
    given: Callable[..., Any], name: str | None, namespace: str | None, description: str | None
) -> PythonTool:
    function = given.__func__ if isinstance(given, staticmethod) else given
    shown = _name_of(function) if name is None else name
    if (reason := _why_not(function, shown)) is not None:
        raise errors.InvalidParams(f"Cannot register {repr(given)[:80] if shown is None else shown}: {reason}")
    assert shown is not None
    from . import signature  # takes a moment: only a process that has tools pays for it

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
        is_async=inspect.iscoroutinefunction(function)
        or inspect.iscoroutinefunction(signature.plain_function(function)),
        signature=found,
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


def _why_not(function: Any, name: str | None) -> str | None:
    if isinstance(function, classmethod):
        return "inside its class there is no class to call it on; after the class, write tool(Class.method)"
    if not callable(function):
        return "it is not callable; pass a function"
    if inspect.isclass(function):
        return "it is a class; wrap what it should do in a function that returns an instance"
    if name is None:
        return "a lambda has no name; pass name="
    if inspect.isasyncgenfunction(function):
        return "it yields asynchronously; collect what it yields and return a list"
    if inspect.isfunction(function):
        first = next(iter(inspect.signature(function).parameters), None)
        holder = function.__qualname__.rpartition(".")[0]
        if first in ("self", "cls") and holder and not holder.endswith("<locals>"):
            return (
                f"parameter {first} is for an instance; register the bound method, tool(instance.{function.__name__})"
            )
    return None
