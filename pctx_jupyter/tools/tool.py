"""A tool: its names, its schemas, and how it is described to programs.

A tool has the spelling it was registered with (``math.multiply_all``) and a canonical one (``Math.multiplyAll``).
Programs may use either; lists and descriptions show the canonical one. What its schemas mean is unknown here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self, overload

import msgspec
from msgspec import Raw

from ..rpc.jsonrpc import Json
from . import names

LEARNT = "x-learnt"
"""The keyword of a schema whose type was learnt and may be wrong; its value says from what, such as a docstring."""

HANDLE = "x-handle"
"""The keyword of a schema of what passes by handle.

Of a result, its value is a key of `HANDLE_TYPES` or ``frame``. Of an argument it is ``frame or rows`` or
``array or values``. If a future of the argument's value may be passed, too, the value begins with `FUTURE_OR`."""

FUTURE_OR = "future or "
"""Begins the keyword's value of an argument that may be a future of its value. What follows may be empty."""

HANDLE_TYPES = {
    "array": "NDArray",
    "file": "FileHandle",
    "items": "Items",
    "figure": "Figure",
    "future": "Future",
    "object": "Handle",
}
"""The types in TypeScript of what passes by handle and is no frame, by kind."""

UNTYPED = "x-untyped"
"""The keyword of an arguments' schema that says, by name, why parts of a signature are ``any``."""


class ObservedResult(Protocol):
    """What the results of one tool without a return type were observed to be. It changes as calls are made."""

    @property
    def schema(self) -> Json:
        """JSON Schema with the keyword `observed.OBSERVED`; None: nothing is known."""

    @property
    def version(self) -> int:
        """Grows with every change of `schema`."""

    def take(self, result: Raw) -> list[str]:
        """Take in the result of one more call; returns how it widens what was known, a few words for each place."""


def is_untyped(schema: object) -> bool:
    """Whether a schema of a result allows anything."""
    return schema is None or schema is True or schema == {}


class _Schema:
    """A field of `Tool` that holds a schema as JSON text, and decodes it whenever somebody reads it.

    A server may hold the schemas of 100,000 tools. A full collection of Python's garbage visits each of their objects
    in one turn of the event loop, and it visits no text. A value that is not JSON is held as it is.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.place = f"_{name}"

    def __get__(self, tool: object | None, owner: type) -> Json:
        if tool is None:
            return None  # the default of the field
        held: Json | bytes = getattr(tool, self.place)
        return msgspec.json.decode(held) if isinstance(held, bytes) else held

    def __set__(self, tool: object, schema: Json | bytes) -> None:
        if isinstance(schema, dict | list):
            with suppress(TypeError, ValueError, RecursionError):
                schema = msgspec.json.encode(schema)
        object.__setattr__(tool, self.place, schema)


class _Once:
    """A property that is computed when it is first read. Unlike `functools.cached_property` it needs no ``__dict__``.

    A ``__dict__`` would be one more object of each tool for the collector of garbage.
    """

    def __init__(self, compute: Callable[[Tool], str]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, tool: None, owner: type) -> Self: ...
    @overload
    def __get__(self, tool: Tool, owner: type) -> str: ...
    def __get__(self, tool: Tool | None, owner: type) -> Self | str:
        if tool is None:
            return self
        found = self._compute(tool)
        object.__setattr__(tool, self._name, found)  # from now on it is found before this descriptor
        return found


@dataclass(frozen=True)
class Tool:
    """A function that programs may call.

    Args:
        registered_namespace, registered_name: The spelling it was registered with.
        description: What it does, for people and models.
        input_schema, output_schema: JSON Schema 2020-12 of its arguments object and of its result; None: anything. They
            are held as text, so each reading takes the time to decode it and returns objects of the reader's own.
        share: Whether others than the session it is registered in may ever see it.
        effects: Whether it changes something outside, so that an agent's call may need a person's consent: yes, no, or
            None, which is unknown. Unknown is what an MCP server leaves open; a tool that its own author registers has
            effects only if they say so.
        reads_only: Whether its MCP server says that it changes nothing, and does not only leave out that it destroys.
        nonfinite: Whether the client that serves it reads and writes NaN and the infinities, as `nonfinite` has them.
        other: The tool that this is another name of; None: of none.
        spelled: Its canonical name where `names.tool_name` is another tool's; "": that one.
        about: The namespace's comment: what it is for, in the words of the MCP server that has it, or its notebook.
        notebook: The path of its notebook where another notebook has the same file name; elsewhere empty. It comes from
            the server alone: no client or MCP server can set it.
        observed: What its results were observed to be; None: its result is declared, or nothing is observed.
        checked: Whether its results are compared with `output_schema` where they are made, as a notebook's are.
    """

    registered_namespace: str
    registered_name: str
    description: str = ""
    input_schema: Json = _Schema()  # type: ignore[assignment]
    output_schema: Json = _Schema()  # type: ignore[assignment]
    share: bool = True
    effects: bool | None = False
    nonfinite: bool = False
    reads_only: bool = field(default=False, compare=False)
    other: Tool | None = field(default=None, compare=False, repr=False)
    spelled: str = ""
    about: str = field(default="", compare=False, repr=False)
    notebook: str = field(default="", compare=False, repr=False)
    observed: ObservedResult | None = field(default=None, compare=False, repr=False)
    checked: bool = field(default=False, compare=False, repr=False)

    @_Once
    def namespace_name(self) -> str:
        """The canonical namespace: PascalCase."""
        return names.namespace_name(self.registered_namespace)

    @_Once
    def tool_name(self) -> str:
        """The canonical name within the namespace: camelCase."""
        return self.spelled or names.tool_name(self.registered_name)

    @_Once
    def path(self) -> str:
        """The canonical full name, ``Notebook.loadOrders``: what identifies a tool within a session."""
        return f"{self.namespace_name}.{self.tool_name}"

    @_Once
    def registered_path(self) -> str:
        """The full name as registered, ``notebook.load_orders``."""
        return f"{self.registered_namespace}.{self.registered_name}"

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every full name that a program may call it by: either spelling of its namespace, with either of its name."""
        namespaces = dict.fromkeys((self.namespace_name, self.registered_namespace))
        own = dict.fromkeys((self.tool_name, self.registered_name))
        return tuple(f"{namespace}.{name}" for namespace in namespaces for name in own)

    def renamed(self, namespace: str, name: str) -> Tool:
        """Return the same tool under another name."""
        spelled = self.spelled if name == self.registered_name else ""
        other = self.changed(registered_namespace=namespace, registered_name=name, other=self.first, spelled=spelled)
        if name == self.registered_name:
            # To spell a name takes longer than all the rest.
            object.__setattr__(other, "tool_name", self.tool_name)
        return other

    def changed(self, **fields: Any) -> Tool:
        """Return the same tool with other values of some fields; unlike `dataclasses.replace` it decodes no schema."""
        texts = {"input_schema": self._input_schema, "output_schema": self._output_schema}  # type: ignore[attr-defined]
        return replace(self, **(texts | fields))

    @property
    def result_schema(self) -> Json:
        """JSON Schema of its result: the declared one, or else the observed one, which has `observed.OBSERVED`."""
        seen = None if self.observed is None else self.observed.schema
        return self.output_schema if seen is None else seen

    @property
    def first(self) -> Tool:
        """The tool as it was registered: itself, or the tool that it is another name of."""
        return self if self.other is None else self.other


_FIRST = Tool("first", "first")

_ = _FIRST.path, _FIRST.registered_path
"""Python gives a class room for the attributes that its first instances have. An attribute that only a later instance
gets needs a ``__dict__``. So the first tool gets all that is computed once."""


def globals_of(tools: Iterable[Tool]) -> dict[str, dict[str, str]]:
    """Return the objects a program finds: ``{"Math": {"addAll": "Math.addAll"}, "math": {"add_all": "Math.addAll"}}``.

    Both spellings of a namespace hold both spellings of each of its tools.
    """
    found: dict[str, dict[str, str]] = {}
    for tool in tools:
        for namespace in (tool.namespace_name, tool.registered_namespace):
            members = found.setdefault(namespace, {})
            members[tool.tool_name] = tool.path
            own = tool.registered_name
            if own not in names.UNAWAITABLE and not names.is_taken(namespace, own):
                members.setdefault(own, tool.path)
    return found


def observed_version(tools: Iterable[Tool]) -> int:
    """Return a number that grows with every change of the types that were observed of these tools."""
    return sum(tool.observed.version for tool in tools if tool.observed is not None)


def described(tool: Tool) -> dict[str, Json | Raw]:
    """A tool as lists show it to programs, under its full name; `notebook` and `reads_only` where they say more.

    Schemas are JSON text, to be encoded as they are: a list of 10,000 tools decodes none.
    """
    found: dict[str, Json | Raw] = {
        "name": tool.path,
        "description": tool.description,
        "input_schema": _text(tool, "input_schema"),
        "output_schema": _text(tool, "output_schema") if tool.observed is None else tool.result_schema,
    }
    found |= {"notebook": tool.notebook} if tool.notebook else {}
    return found | {"reads_only": True} if tool.reads_only else found


def _text(tool: Tool, field: str) -> Json | Raw:
    """The text of a schema of a tool, or what is held in its place."""
    held: Json | bytes = getattr(tool, f"_{field}")
    return Raw(held) if isinstance(held, bytes) else held


def detailed(tool: Tool) -> dict[str, Json | Raw]:
    """Describe a tool as JSON, with its name and its namespace apart."""
    return described(tool) | {"name": tool.tool_name, "namespace": tool.namespace_name}
