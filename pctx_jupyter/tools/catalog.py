"""Tools and the catalog a session offers: what may be called, by which names, and who serves it.

A tool has the spelling it was registered with (``math.multiply_all``) and a canonical one (``Math.multiplyAll``).
Programs may use either; lists and descriptions show the canonical one. This module does not know how a tool is
reached, nor what its schemas mean.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, Protocol, Self, overload

import msgspec
from msgspec import Raw

from .. import errors
from ..nearest import nearest
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
LONGEST_PATH = 300
"""Characters of a path that are compared with others."""
_WORDS = re.compile(r"\d+|[A-Z]+(?![^\W\d_A-Z])|[^\W\d_][^\W\d_A-Z]*")
"""The words of a name in either spelling."""

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

AskedBy = Literal["cell", "client", "agent", "notebook"]
"""Whose program it is: a cell of the notebook itself, a program of a client that is no kernel, an agent's, another
notebook's."""


class Asker(Protocol):
    """The execution that calls a tool, as the tool's owner knows it."""

    @property
    def id(self) -> str: ...
    @property
    def key(self) -> str:
        """Names it among the executions of all sessions."""

    @property
    def client(self) -> str:
        """Whose it is, for a fair share of what is bounded: a session, or one of the clients that share it."""

    @property
    def asked_by(self) -> AskedBy: ...
    @property
    def whose(self) -> str:
        """The name of the agent, or of the notebook, that runs it; empty: it has none."""

    @property
    def code(self) -> str: ...
    @property
    def call_s(self) -> float:
        """Seconds one call may take."""

    def when_ended(self, act: Callable[[], None]) -> None:
        """Have a function called once, when the execution is over."""

    def count_for(self, kernel_id: str) -> None:
        """Count a call of a tool that the notebook of this kernel offers."""

    def trace_for_owner(self, calls: Collection[int]) -> Raw:
        """What the owner of these calls, by number, may know of it so far, as JSON (`trace.for_owner`)."""


@dataclass(frozen=True, slots=True)
class Form:
    """What an MCP server asks a person while it serves a call. All of it is the server's text.

    Args:
        server: The server's name.
        message: What it asks.
        schema: JSON Schema of an object with plain fields, to be filled in; None: the person is to open `url`.
        url: A page for the person to open. Nothing opens it by itself.
        others: Paths of other tools whose calls the question may be about as well: the server does not say which.
    """

    server: str
    message: str
    schema: dict[str, Json] | None
    url: str | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FormReply:
    """What a person, or their absence, answered.

    Args:
        action: As the protocol has it; ``cancel`` where nobody decided.
        content: The fields; for ``accept`` and a form only.
        why: Why nobody decided, for the program that calls; "": a person did not want to.
    """

    action: Literal["accept", "decline", "cancel"]
    content: dict[str, Json] | None = None
    why: str = ""


async def ask_nobody(form: Form) -> FormReply:
    """Answer a form where there is no person to ask."""
    return FormReply("cancel", why="nobody can be asked here")


def ignore_note(note: str) -> None:
    """Take a note, and do nothing."""


def ignore_wait() -> None:
    """Take note that a call waits for its turn, and do nothing."""


class Call(msgspec.Struct, frozen=True):
    """One call of a tool by an execution.

    Args:
        execution_id: The execution.
        tool: The tool, as its owner registered it.
        arguments: JSON.
        number: Counts the execution's calls.
        asker: The execution itself, for those who serve more than one session.
        note: Receives in a few words what delays the call, or its progress; it never blocks.
        waits: Called when the call has to wait for its turn: its program lets others run until the call ends.
        ask: Asks a person what the MCP server that serves the call wants to know.
        called: The path by which the program calls the tool, where that is another than the tool's; else empty.
    """

    execution_id: str
    tool: Tool
    arguments: Raw | None
    number: int = 0
    asker: Asker | None = None
    note: Callable[[str], None] = ignore_note
    waits: Callable[[], None] = ignore_wait
    ask: Callable[[Form], Awaitable[FormReply]] = ask_nobody
    called: str = ""

    @property
    def path(self) -> str:
        """The path by which the program calls the tool."""
        return self.called or self.tool.path

    def of(self, tool: Tool) -> Call:
        """Return the call with another tool: the name it has where it is served."""
        return msgspec.structs.replace(self, tool=tool, called=self.path)


ToolHandler = Callable[[Call], Awaitable[Raw]]
"""Runs one call and returns its result; raises `errors.ToolFailed` when the tool does."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool and who serves it.

    `is_patient`: the function that serves it counts the time of a call itself, because a call may have to wait first.
    `size`: bytes of its names, description and schemas; 0: they are not counted.
    """

    tool: Tool
    serve: ToolHandler
    is_patient: bool = False
    size: int = 0


class Space:
    """The tools of one namespace, in the order in which they were registered.

    Attributes:
        name: The canonical name of the namespace.
        offers: Its tools, by their canonical paths.
        paths: Those paths, by the paths that the tools were registered with.
        spellings: The names that the namespace was registered with, each with the number of its tools.
        version: Grows with every change.
    """

    __slots__ = ("name", "offers", "paths", "spellings", "version")

    def __init__(self, name: str) -> None:
        self.name = name
        self.offers: dict[str, Offer] = {}
        self.paths: dict[str, str] = {}
        self.spellings: Counter[str] = Counter()
        self.version = 0

    def add(self, offer: Offer) -> None:
        """Add a tool, or put it in place of the one with the same path."""
        tool = offer.tool
        if tool.path not in self.offers:
            self.spellings[tool.registered_namespace] += 1
        self.offers[tool.path] = offer
        self.paths[tool.registered_path] = tool.path
        self.version += 1

    def remove(self, tool: Tool) -> None:
        """Remove a tool that is in it."""
        del self.offers[tool.path]
        del self.paths[tool.registered_path]
        self.spellings[tool.registered_namespace] -= 1
        if not self.spellings[tool.registered_namespace]:
            del self.spellings[tool.registered_namespace]
        self.version += 1


class Catalog:
    """The tools of one session.

    Args:
        limit: The maximum number of tools.
        max_bytes: The maximum of the tools' sizes together.
        changed: Called after every change.
    """

    def __init__(
        self,
        *,
        limit: int = 10_000,
        max_bytes: float = math.inf,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._limit, self._max_bytes, self._changed = limit, max_bytes, changed
        self._bytes = 0
        self._offers: dict[str, Offer] = {}
        self._paths: dict[str, str] = {}
        self._spaces: dict[str, Space] = {}
        self.version = 0
        """Grows with every change; two equal versions of one catalog hold the same tools."""

    def __len__(self) -> int:
        return len(self._offers)

    def __iter__(self) -> Iterator[Tool]:
        """The tools, in the order in which they were registered."""
        return (offer.tool for offer in self._offers.values())

    def offers(self) -> list[Offer]:
        """Return the tools with the functions that serve them, in the order in which they were registered."""
        return list(self._offers.values())

    def namespaces(self) -> Iterator[tuple[str, Collection[str]]]:
        """Yield the canonical name of each namespace with the names it was registered with."""
        for name, space in self._spaces.items():
            yield name, space.spellings

    async def prepare(self, name: str) -> None:
        """Do nothing: its namespaces are put together as tools come."""

    def space(self, name: str) -> Space | None:
        """Return the tools of one namespace by its canonical name; None: there is no such namespace."""
        return self._spaces.get(name)

    def add(
        self, tool: Tool, serve: ToolHandler, *, replace: bool = False, is_patient: bool = False, size: int = 0
    ) -> None:
        """Offer a tool.

        Args:
            tool: The tool.
            serve: Runs its calls.
            replace: Whether it may take the place of the tool with the same name.
            is_patient, size: As in `Offer`.

        Raises:
            ToolExists: It is there already and `replace` is false, or another spelling of its name is.
            InvalidParams: Its name cannot be used, or the catalog is full.
        """
        demand_free_name(tool)
        there = self._offers.get(tool.path)
        if met := self._meets(tool):
            raise errors.ToolExists(
                f"Cannot register tool {tool.registered_path}: in TypeScript it is {tool.path}, and {met} meets it; "
                "give one of them another name"
            )
        if there is not None and not replace:
            raise errors.ToolExists(
                f"Cannot register tool {tool.registered_path}: it is registered already; choose another name, or "
                "replace it (replace: true)"
            )
        if there is None and len(self._offers) >= self._limit:
            raise errors.InvalidParams(
                f"Cannot register tool {tool.registered_path}: the session has {self._limit} tools, its limit "
                "(Pctx.max_tools); unregister some"
            )
        total = self._bytes + size - (0 if there is None else there.size)
        if total > self._max_bytes:
            raise errors.InvalidParams(
                f"Cannot register tool {tool.registered_path}: the session's tools would have {total:,} bytes of "
                f"descriptions and schemas, and the limit is {self._max_bytes:,} (Pctx.max_tools_bytes); describe less"
            )
        self._bytes = total
        offer = self._offers[tool.path] = Offer(tool, serve, is_patient, size)
        self._paths[tool.registered_path] = tool.path
        self._spaces.setdefault(tool.namespace_name, Space(tool.namespace_name)).add(offer)
        self._change()

    def _meets(self, tool: Tool) -> str | None:
        """The registered name of another tool that one of this tool's names would reach, or that reaches this one."""
        for path in (tool.path, tool.registered_path):
            other = self._offers.get(self._paths.get(path, path))
            if other is not None and other.tool.registered_path != tool.registered_path:
                return other.tool.registered_path
        return None

    def remove(self, path: str) -> Tool:
        """Withdraw a tool by either of its names; calls under way end normally.

        Raises:
            ToolNotFound: There is none of that name.
        """
        offer = self.find(path)
        tool = offer.tool
        self._bytes -= offer.size
        del self._offers[tool.path]
        del self._paths[tool.registered_path]
        space = self._spaces[tool.namespace_name]
        space.remove(tool)
        if not space.offers:
            del self._spaces[tool.namespace_name]
        self._change()
        return tool

    def clear(self) -> None:
        """Withdraw all tools."""
        self._bytes = 0
        self._offers, self._paths, self._spaces = {}, {}, {}
        self._change()

    def find(self, path: str) -> Offer:
        """Look up a tool by either of its names.

        Raises:
            ToolNotFound: Names the closest tool there is.
        """
        offer = self._offers.get(self._paths.get(path, path))
        if offer is None:
            raise no_such_tool(path, self._offers, self._paths)
        return offer

    def _change(self) -> None:
        self.version += 1
        self._changed()


def demand_free_name(tool: Tool) -> None:
    """Refuse a tool that would take the place of a function of JavaScript, such as ``Math.floor``.

    Raises:
        InvalidParams: It would; names one that works.
    """
    if (taken := _taken(tool)) is not None:
        raise errors.InvalidParams(
            f"Cannot register tool {tool.registered_path}: {taken} is JavaScript's own, and programs need it; "
            f"choose another namespace, such as {tool.namespace_name}Tools ({tool.namespace_name}Tools."
            f"{tool.tool_name})"
        )


def _taken(tool: Tool) -> str | None:
    """What JavaScript has itself where this tool would be; None: nothing."""
    paths = [(tool.namespace_name, tool.tool_name)]
    if tool.registered_namespace != tool.namespace_name:  # `JSON` becomes `Json`, and is found as `JSON` too
        paths += [(tool.registered_namespace, tool.tool_name), (tool.registered_namespace, tool.registered_name)]
    return next((f"{space}.{name}" for space, name in paths if names.is_taken(space, name)), None)


def no_such_tool(path: str, offers: Iterable[str], paths: Mapping[str, str]) -> errors.ToolNotFound:
    """Say that a tool is not there, and which one might be meant.

    Args:
        path: What was asked for.
        offers: The canonical names of the tools there are.
        paths: Those by the names they were registered with.
    """
    close = _meant(path, dict.fromkeys(offers) | dict(paths))
    hint = f" (did you mean {close}?)" if close is not None else ""
    return errors.ToolNotFound(f"Cannot call {path[:200]}: no such tool in this session{hint}")


def _meant(path: str, known: Mapping[str, str | None]) -> str | None:
    """Return the canonical path of the tool that a path most likely means; None: no tool, or several.

    A wrong suggestion is worse than none: an agent calls it. So each word has to be like the word in its place, and
    begin with the same letter: ``encode`` is not ``decode``, nor is ``createIssue`` ``closeIssue``.

    Args:
        path: What was asked for.
        known: The paths of tools, each with the canonical path if it is another.
    """
    namespace, _, name = path[:LONGEST_PATH].rpartition(".")
    candidates = {one: to or one for one, to in known.items() if _is_like(name, one.rpartition(".")[2])}
    if namespace:
        candidates = {one: to for one, to in candidates.items() if _is_like(namespace, one.rpartition(".")[0])}
        close = nearest(path, candidates, likeness=0)
        return None if close is None else candidates[close]
    meant = set(candidates.values())
    return meant.pop() if len(meant) == 1 else None


def _is_like(wanted: str, known: str) -> bool:
    """Whether one name is another with a slip of the pen, or in another spelling."""
    ours, theirs = _WORDS.findall(wanted), _WORDS.findall(known)
    if len(ours) != len(theirs):
        ours, theirs = ["".join(ours)], ["".join(theirs)]
        likeness = 0.85
    else:
        likeness = 0.7
    for one, other in zip(map(str.lower, ours), map(str.lower, theirs), strict=True):
        if one == other:
            continue
        if one[:1] != other[:1] or one.isdigit() or nearest(one, [other], likeness=likeness) is None:
            return False
    return True


def matching(tools: Iterable[Tool], patterns: list[str] | None) -> list[Tool]:
    """Return the tools of which either path matches one of the patterns, such as ``Sales.*``; None: all.

    Raises:
        ToolNotFound: A pattern matches no tool, which is most likely a mistake.
    """
    known = list(tools)
    if patterns is None:
        return known
    chosen: dict[str, Tool] = {}
    for pattern in patterns:
        found = {tool.path: tool for tool in known if is_match(tool, pattern)}
        if not found:
            raise no_match(pattern)
        chosen |= found
    return list(chosen.values())


def is_match(tool: Tool, pattern: str) -> bool:
    """Whether either path of a tool matches a pattern."""
    return fnmatchcase(tool.path, pattern) or fnmatchcase(tool.registered_path, pattern)


def no_match(pattern: str) -> errors.ToolNotFound:
    """Make the error for a pattern that matches no tool."""
    return errors.ToolNotFound(
        f"Cannot offer {pattern[:200]}: it matches no tool of this session; leave it out, or write another pattern"
    )


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
