"""Tools → TypeScript declarations: what a model reads, a type check knows and an editor completes.

Text to text, the same tools always giving the same text, whatever their order. A namespace is a ``declare
namespace``; one with the name of a JavaScript global adds to that global's interface instead, as ``declare
namespace Math`` would not merge with it. Types that tools of a namespace share are written once; two different
types of one name are told apart by the tool's name. `shapes` writes the types, `inert` makes untrusted texts safe.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain, count
from threading import Lock
from typing import Generic, Protocol, TypeVar

import msgspec

from . import inert, names, observed, shapes, type_text
from .shapes import Shape

MOST_CHARACTERS = 64_000
"""Characters of one tool's arguments or result; a larger one loses its comments, then becomes ``any``."""
SIGNATURE = 500
"""Characters a signature may have before what is nested deep in it becomes ``any``."""
WHOLE = 500
"""Tools up to which a namespace is declared as a whole; of a larger one, those that a program names."""
DESCRIPTION = 4_000
"""Characters of a tool's description that are declared."""
ABOUT = 2_000
"""Characters of the text about a namespace that are declared: it stands in each of its declarations."""

INVOKE = """\
interface FunctionsByName {}
/** A call of a function by its full name; `arguments` may be left out where the function needs none. */
type CallByName<Name extends keyof FunctionsByName> = Parameters<FunctionsByName[Name]> extends [infer Given]
  ? { name: Name; arguments: Given }
  : { name: Name; arguments?: Parameters<FunctionsByName[Name]>[0] };
/** Calls a function by its full name: `await invoke({ name: "Sales.loadOrders", arguments: { status: "open" } })`. */
declare function invoke<Name extends keyof FunctionsByName>(call: CallByName<Name>): ReturnType<FunctionsByName[Name]>;
"""
"""What declares ``invoke``, next to the functions that it can call."""

INVOKE_ANY = "declare function invoke(call: { name: string; arguments?: any }): Promise<any>;\n"
"""What declares ``invoke`` where there are no functions. A call says that its function is not offered."""
KEPT_TOOLS = 20_000
"""Tools whose declarations are kept, by namespace; they take about 1 kB each."""

_EMPTY = {type_text.OBJECT.text, type_text.EMPTY.text}

_Value = TypeVar("_Value")


class ToolLike(Protocol):
    """What is read of a tool. It must not change afterwards: texts are kept.

    It may have an ``observed`` result besides (`tool.ObservedResult`), which may change.
    """

    @property
    def namespace_name(self) -> str: ...
    @property
    def tool_name(self) -> str: ...
    @property
    def registered_namespace(self) -> str: ...
    @property
    def registered_name(self) -> str: ...
    @property
    def description(self) -> str | None: ...
    @property
    def input_schema(self) -> object: ...
    @property
    def output_schema(self) -> object: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """One tool's types, apart.

    Args:
        input, output: The types of its argument and of what its promise gives, which may use `types`.
        types: ``type Order = { … };`` by name.
        optional: Whether it may be called without an argument.
    """

    input: str
    output: str
    types: dict[str, str]
    optional: bool

    def signature(self, name: str) -> str:
        return f"{name}(args{'?' if self.optional else ''}: {self.input}): Promise<{self.output}>"


def declarations(tools: Iterable[ToolLike], *, aliases: bool = True, docs: bool = True) -> str:
    """Write the declarations of all tools, one block a namespace, in name order.

    Args:
        tools: With canonical names that are unique.
        aliases: Also declare the registered spellings, which programs may use: for a type check. What people
            and models read does without.
        docs: Also write descriptions as comments.

    Returns:
        A script for TypeScript 6, ending in a line end; "" for no tools. It declares, and does nothing when run.

    Any thread may ask. The first time, it takes 0.2 ms a tool; `written` says whether it was.
    """
    listed = tuple(tools)
    return _catalogs.get(_key(listed, aliases, docs), lambda: (listed, _declarations(listed, aliases, docs)))[1]


def written(tools: Iterable[ToolLike], *, aliases: bool = True) -> str | None:
    """Return the declarations of tools if they have been written before and are still in memory."""
    known = _catalogs.peek(_key(tuple(tools), aliases))
    return known and known[1]


@dataclass(frozen=True, slots=True)
class ProgramDeclarations:
    """What one program is checked against: a text for each namespace.

    Args:
        needed: Declares the tools that the program names, and more where there are few.
        whole: Declares these namespaces as a whole; empty where `needed` does.
    """

    needed: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()


def for_program(
    tools: Iterable[ToolLike],
    words: AbstractSet[str] | None = None,
    namespaces: Collection[str] = (),
    *,
    has_observed: bool = True,
) -> ProgramDeclarations:
    """Declare tools for the check of one program, each namespace in a text of its own, in name order.

    The text of a namespace depends on its own tools alone, so a change of one leaves the others as they are.

    Args:
        tools: With canonical names that are unique.
        words: The names in the program; None: everything is declared, whatever it names.
        namespaces: Canonical names of further namespaces that the program can reach.
        has_observed: Whether results have the types that were observed; without, they are ``any``.

    Any thread may call it. The first time, it takes 0.2 ms a tool; `is_ready` returns whether that is done.
    """
    by_name = _by_namespace(tools)
    everybody = by_name.keys() | set(namespaces)
    needed, whole = [], []
    for name, own in by_name.items():
        space = _space(name, own, has_observed=has_observed)
        whole.append(space.text(everybody))
        needed.append(whole[-1] if words is None or len(own) <= WHOLE else space.text(everybody, words))
    return ProgramDeclarations(tuple(needed), () if needed == whole else tuple(whole))


def stubs(namespaces: Iterable[str]) -> str:
    """Declare that namespaces are there, for a program that does not name them: an editor completes their names."""
    found = [name for name in namespaces if name not in names.GLOBALS and names.is_bare(name)]
    return "".join(f"declare const {name}: object;\n" for name in found)


def invocable(tools: Iterable[ToolLike]) -> str:
    """Declare ``invoke``, which calls one of these tools by its full name, with the tool's own types.

    Args:
        tools: What a program may call, as `for_program` declares it for this program.
    """
    known = list(tools)
    paths: dict[str, str] = {}
    for path_of in (_canonical_path, _registered_path):  # a canonical name hides another tool's spelling of it
        for tool in known:
            paths.setdefault(path_of(tool), f"(typeof {tool.namespace_name})[{inert.string(tool.tool_name)}]")
    members = [f"{inert.string(path)}: {function};" for path, function in paths.items()]
    return "\n".join([*_block("interface FunctionsByName", members), INVOKE if members else INVOKE_ANY])


def _canonical_path(tool: ToolLike) -> str:
    return f"{tool.namespace_name}.{tool.tool_name}"


def _registered_path(tool: ToolLike) -> str:
    return f"{tool.registered_namespace}.{tool.registered_name}"


def is_ready(tools: Iterable[ToolLike]) -> bool:
    """Whether the declarations of these tools have been written before and are still in memory."""
    spaces = _by_namespace(tools).items()
    return all(_spaces.peek((name, True, True, *map(_identity, own))) is not None for name, own in spaces)


def declaration(tool: ToolLike) -> str:
    """Write one tool with the types it needs, in its namespace, as `declarations` would for this tool alone."""
    return declarations([tool], aliases=False)


def apart(tools: Iterable[ToolLike]) -> dict[str, str]:
    """Declare each tool alone, with the types that it needs: texts by canonical path, in the order of names."""
    found = {}
    for name, own in _by_namespace(tools).items():
        space = _space(name, own)
        for entry in space.entries:
            found[f"{name}.{entry.tool.tool_name}"] = "\n".join([*space.lines([entry]), ""])
    return found


def signature(tool: ToolLike) -> str:
    """Write one tool on one line, without comments: ``loadOrders(args?: { status?: string }): Promise<Order[]>``.

    Types that have a name are not spelled out, and of a long signature not what is nested deep. An observed result is
    marked ``/* observed */``.
    """
    mark = " /* observed */" if observed.comment(_result(tool)) else ""
    for deepest in (shapes.DEEPEST, 6, 4, 3, 2):
        text = _parts(tool, "", docs=False, deepest=deepest).signature(tool.tool_name) + mark
        if len(text) <= SIGNATURE:
            return text
    return Parts("any", "any", {}, _parts(tool, "", docs=False).optional).signature(tool.tool_name)


def required(tool: ToolLike) -> list[str]:
    """Return the arguments that a call of a tool has to have, in their order, as property names of an object."""
    schema = tool.input_schema
    if not isinstance(schema, dict):
        return []
    wanted, properties = schema.get("required"), schema.get("properties")
    if not isinstance(wanted, list) or not isinstance(properties, dict):
        return []
    return [inert.property_name(name) for name in properties if name in wanted]


def explained(tool: ToolLike) -> str:
    """Return what help shows below a tool's signature: the descriptions of it and its parts, and its types."""
    found = [(tool.description or "")[:DESCRIPTION].strip()]
    schema = tool.input_schema
    arguments = schema.get("properties") if isinstance(schema, dict) else None
    described = (
        [f"  {name}: {text}" for name, one in arguments.items() if (text := _described(one))]
        if isinstance(arguments, dict)
        else []
    )
    if described:
        found.append("\n".join(["Arguments:", *described]))
    result = _result(tool)
    if text := " ".join(filter(None, (_described(result), observed.comment(result)))):
        found.append(f"Returns: {text}")
    found += _parts(tool, "", docs=False).types.values()
    return "\n\n".join(part for part in found if part)


def _described(schema: object) -> str:
    """The description of a part of a schema, on one line."""
    text = schema.get("description") if isinstance(schema, dict) else None
    return " ".join(text[:DESCRIPTION].split()) if isinstance(text, str) else ""


def parts(tool: ToolLike) -> Parts:
    """Write one tool's types apart, for those who put them together in their own way."""
    return _parts(tool, "")


def _by_namespace(tools: Iterable[ToolLike]) -> dict[str, list[ToolLike]]:
    """Sort tools by their namespaces and names."""
    found: dict[str, list[ToolLike]] = {}
    for tool in sorted(tools, key=lambda tool: tool.tool_name):
        found.setdefault(tool.namespace_name, []).append(tool)
    return {name: found[name] for name in sorted(found)}


def _declarations(tools: tuple[ToolLike, ...], aliases: bool, docs: bool) -> str:
    spaces = [_space(name, own, docs) for name, own in _by_namespace(tools).items()]
    lines = [line for space in spaces for line in space.lines(space.entries)]
    if aliases:
        everybody = {space.name for space in spaces}
        lines += [line for space in spaces for line in space.members_as_registered(space.entries)]
        lines += [line for space in spaces for line in space.as_registered(space.entries, everybody)]
    return "\n".join([*lines, ""]) if lines else ""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One tool of a namespace: its line, and the names of the types that the line needs."""

    tool: ToolLike
    text: str
    types: frozenset[str]


class _Space:
    """The declarations of one namespace, whole or in part. Does not change once it is made."""

    def __init__(self, name: str, tools: Sequence[ToolLike], docs: bool = True, has_observed: bool = True) -> None:
        self.name, self.docs, self.has_observed = name, docs, has_observed
        self.interface = _interface(name)
        self.types: dict[str, str] = {}
        self.about = next((text for tool in tools if (text := _comment(getattr(tool, "about", ""), ABOUT))), "")
        # A canonical name has no underscore between letters: nobody else's namespace is called so.
        self.scope = f"{name}_Types" if name in names.GLOBALS else ""
        self.entries = [self._entry(tool) for tool in tools]
        self._own = {tool.tool_name for tool in tools}
        self._whole: dict[frozenset[str], str] = {}

    def text(self, namespaces: AbstractSet[str], words: AbstractSet[str] | None = None) -> str:
        """Write the namespace as a script with every spelling of its names.

        Args:
            namespaces: The canonical names of all namespaces: they hide another's spelling of the same name.
            words: Of the tools, those with one of these names are declared; None: all.
        """
        hidden = frozenset(namespaces & {entry.tool.registered_namespace for entry in self.entries})
        if words is None and hidden in self._whole:
            return self._whole[hidden]
        chosen = self.entries
        if words is not None:
            chosen = [e for e in chosen if e.tool.tool_name in words or e.tool.registered_name in words]
            # The namespace is there, whatever is called.
            chosen = chosen or self.entries[:1]
        lines = [*self.lines(chosen), *self.members_as_registered(chosen), *self.as_registered(chosen, hidden)]
        text = "\n".join([*lines, ""])
        if words is None:
            self._whole[hidden] = text
        return text

    def lines(self, entries: Sequence[_Entry]) -> Iterator[str]:
        """Write the namespace itself, with some of its tools and the types they need."""
        functions: list[str] = []
        hidden: list[str] = []
        for tool, text in ((entry.tool, entry.text) for entry in entries):
            doc = _doc(tool, self.has_observed) if self.docs else ""
            if self.interface:
                functions.append(f"{doc}{text};")
            elif tool.tool_name in names.RESERVED:
                hidden.append(f"{doc}function {text};\nexport {{ {_local(tool)} as {tool.tool_name} }};")
            else:
                functions.append(f"{doc}function {text};")
        opening = f"interface {self.interface}" if self.interface else f"declare namespace {self.name}"
        needed = self.types if len(entries) == len(self.entries) else {n for entry in entries for n in entry.types}
        types = [self.types[name] for name in sorted(needed)]
        about = self.about if functions or hidden else ""
        yield from _block(about + opening if functions else opening, functions if self.scope else functions + types)
        yield from _block(opening if functions else about + opening, hidden)
        if self.scope:
            yield from _block(f"declare namespace {self.scope}", types)

    def _entry(self, tool: ToolLike) -> _Entry:
        """Write one tool's line; its types join the others' unless one of the same name differs."""
        for naming in _namings(tool):
            scope = self.scope and self.scope + "."
            found = _parts(tool, scope, naming, self.docs, has_observed=self.has_observed)
            if all(self.types.get(name, text) == text for name, text in found.types.items()):
                self.types |= found.types
                break
        if self.interface:
            # new(…): … would be a constructor's signature.
            text = found.signature('"new"' if tool.tool_name == "new" else tool.tool_name)
        else:
            text = found.signature(_local(tool))
        return _Entry(tool, text, frozenset(found.types))

    def members_as_registered(self, entries: Sequence[_Entry]) -> Iterator[str]:
        """Write the other spellings of tools."""
        others = [e.tool for e in entries if e.tool.registered_name not in self._own | names.UNAWAITABLE]
        if self.interface:
            members = [
                f"{inert.property_name(tool.registered_name)}: {self.interface}[{inert.string(tool.tool_name)}];"
                for tool in others
                if not names.is_taken(self.name, tool.registered_name)
            ]
            yield from _block(f"interface {self.interface}", members)
        elif others:
            reserved = [tool for tool in others if tool.tool_name in names.RESERVED]
            members = [f"const {_local(tool)}: typeof {self.name}.{tool.tool_name};" for tool in reserved]
            exports = [f"{_local(tool)} as {inert.property_name(tool.registered_name)}" for tool in others]
            yield from _block(f"declare namespace {self.name}", [*members, f"export {{ {', '.join(exports)} }};"])

    def as_registered(self, entries: Sequence[_Entry], hidden: AbstractSet[str]) -> Iterator[str]:
        """Write the other spellings of the namespace, each with the tools that were registered under it."""
        found: dict[str, list[ToolLike]] = {}
        for tool in (entry.tool for entry in entries):
            alias = tool.registered_namespace
            if alias != self.name and alias not in hidden and names.is_bare(alias):
                found.setdefault(alias, []).append(tool)
        for alias, tools in sorted(found.items()):
            yield from _alias(alias, self.name, tools, whole=len(tools) == len(entries))


def _space(name: str, tools: Sequence[ToolLike], docs: bool = True, *, has_observed: bool = True) -> _Space:
    # The entry holds the tools, so that no other gets the same id().
    key = (name, docs, has_observed, *map(_identity, tools))
    return _spaces.get(key, lambda: _Space(name, tools, docs, has_observed))


def _identity(tool: ToolLike) -> Hashable:
    """Identify a tool with what is observed of it now."""
    seen = getattr(tool, "observed", None)
    return id(tool) if seen is None else (id(tool), seen.version)


def _result(tool: ToolLike, has_observed: bool = True) -> object:
    """The schema of a tool's result: the observed one, where there is one and it is wanted.

    The kernel has observed schemas as those of the tools of others.
    """
    seen = getattr(tool, "observed", None)
    schema = tool.output_schema if seen is None else seen.schema or tool.output_schema
    return schema if has_observed or not observed.comment(schema) else None


def _alias(alias: str, name: str, tools: list[ToolLike], whole: bool) -> Iterator[str]:
    members = {
        inert.string(spelling)
        for tool in tools
        for spelling in (tool.tool_name, tool.registered_name)
        if spelling not in names.UNAWAITABLE and not names.is_taken(name, spelling)
    }
    picked = f"Pick<typeof {name}, {' | '.join(sorted(members))}>"
    if interface := _interface(alias):
        yield f"interface {interface} extends {picked} {{}}"
    elif alias in names.GLOBALS:
        yield from _block(
            f"declare namespace {alias}",
            [f"const {t.tool_name}: typeof {name}.{t.tool_name};" for t in tools if t.tool_name not in names.RESERVED],
        )
    elif alias != "arguments":
        yield f"declare const {alias}: {f'typeof {name}' if whole and not _interface(name) else picked};"


def _interface(name: str) -> str:
    """The interface to which a global of that name belongs; "" when a namespace merges with it, or there is none."""
    if name in names.CONSTRUCTORS:
        return name + "Constructor"
    if name in names.OBJECTS:
        return name
    return {"crypto": "Crypto", "performance": "Performance"}.get(name, "")


def _local(tool: ToolLike) -> str:
    """What a tool is called where it is declared: no function can have a reserved word for a name."""
    return f"{tool.tool_name}_tool" if tool.tool_name in names.RESERVED else tool.tool_name


def _block(opening: str, members: list[str]) -> Iterator[str]:
    if members:
        yield opening + " {"
        yield "  " + "\n".join(members).replace("\n", "\n  ")
        yield "}"


def _doc(tool: ToolLike, has_observed: bool = True) -> str:
    """A tool's description as a comment of one line or several, and what is known of an observed result."""
    description = (tool.description or "")[:DESCRIPTION].strip()
    seen = observed.comment(_result(tool, has_observed))
    text = f"{description}\n{seen}" if description and seen else description or seen
    return _comment(text, len(text))


def _comment(text: str, longest: int) -> str:
    lines = [inert.comment(line, 2_000) for line in text[:longest].strip().splitlines()]
    if len(lines) < 2:
        return f"/** {lines[0]} */\n" if lines and lines[0] else ""
    return "/**\n" + "".join(f" * {line}".rstrip() + "\n" for line in lines) + " */\n"


def _namings(tool: ToolLike) -> Iterator[str]:
    """Ways to name a tool's types, until one meets no other's."""
    yield "{}"
    prefix = names.type_name(tool.tool_name)
    yield prefix + "{}"
    yield from (f"{prefix}{{}}{number}" for number in count(2))


def _parts(
    tool: ToolLike,
    scope: str,
    naming: str = "{}",
    docs: bool = True,
    deepest: int = shapes.DEEPEST,
    *,
    has_observed: bool = True,
) -> Parts:
    """Write a tool's types; its argument's get ``Input`` behind their names where they differ from its result's."""
    output = _shape(_result(tool, has_observed), tool.tool_name + "Result", naming, scope, docs, deepest)
    arguments = tool.input_schema
    for suffix in chain(["{}", "{}Input"], (f"{{}}Input{number}" for number in count(2))):
        input = _shape(arguments, tool.tool_name + "Args", naming.format(suffix), scope, docs, deepest)
        if all(output.types.get(name, text) == text for name, text in input.types.items()):
            break
    # No arguments at all is what most people mean by a list of none, and the shortest to read.
    nothing = isinstance(arguments, dict) and arguments.get("properties") == {} and input.text in _EMPTY
    return Parts("{}" if nothing else input.text, output.text, output.types | input.types, input.optional)


def _shape(schema: object, root: str, naming: str, scope: str, docs: bool, deepest: int) -> Shape:
    if schema is None:
        return Shape("any", optional=True)

    def write() -> Shape:
        for with_docs in (docs, False):
            written = shapes.shape(schema, root=root, naming=naming, scope=scope, docs=with_docs, deepest=deepest)
            size = len(written.text) + sum(map(len, written.types.values()))
            if size <= MOST_CHARACTERS:
                return written
        return Shape(f"any /* too large a schema: {size:,} characters of TypeScript */", optional=written.optional)

    try:
        text = msgspec.json.encode(schema)
    except (TypeError, ValueError, RecursionError):
        return write()
    return _shapes.get((hashlib.blake2b(text).digest(), root, naming, scope, docs, deepest), write)


def _key(tools: tuple[ToolLike, ...], aliases: bool, docs: bool = True) -> Hashable:
    # Identity will do, as tools do not change; the entry holds them, so that no other gets the same id().
    return aliases, docs, *map(_identity, tools)


class _Memory(Generic[_Value]):
    """The values asked for last. Any thread may ask; a thread waits for a value that another one is making.

    Args:
        most: The weight of the values that are kept; the newest one is, whatever it weighs.
        weigh: Returns the weight of a value.
    """

    def __init__(self, most: int, weigh: Callable[[_Value], int] = lambda value: 1) -> None:
        self._most, self._weigh, self._weight = most, weigh, 0
        self._values: OrderedDict[Hashable, _Value] = OrderedDict()
        self._making: dict[Hashable, Future[_Value]] = {}
        self._lock = Lock()

    def peek(self, key: Hashable) -> _Value | None:
        """Return the value if it is there."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def get(self, key: Hashable, make: Callable[[], _Value]) -> _Value:
        """Return the value, made if it is not there; raises what `make` raises."""
        while True:
            with self._lock:
                if key in self._values:
                    self._values.move_to_end(key)
                    return self._values[key]
                if (theirs := self._making.get(key)) is None:
                    ours = self._making[key] = Future()
                    break
            if theirs.exception() is None:
                return theirs.result()
            # An error belongs to the thread in which it was raised: it may be an interrupt.
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            ours.set_exception(error)
            raise
        with self._lock:
            del self._making[key]
            self._values[key] = value
            self._weight += self._weigh(value)
            while self._weight > self._most and len(self._values) > 1:
                self._weight -= self._weigh(self._values.popitem(last=False)[1])
        ours.set_result(value)
        return value


_shapes: _Memory[Shape] = _Memory(4_096)
_spaces: _Memory[_Space] = _Memory(KEPT_TOOLS, lambda space: len(space.entries))
_catalogs: _Memory[tuple[tuple[ToolLike, ...], str]] = _Memory(8)
