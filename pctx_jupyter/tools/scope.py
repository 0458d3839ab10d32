"""Scopes: the tools one session's programs may call, its own and those that others offer to it.

A scope reads like a `Catalog` and owns no tools. It lays catalogs over one another, the session's own on top, and
refreshes when one of them has changed. Who is offered what is decided elsewhere (`session.Registry`).

All notebooks of a server together may have tens of thousands of tools, and a program names few of their namespaces.
So a change costs as much as there are catalogs, and a namespace is put together when it is first needed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Protocol

from ..errors import InvalidParams, ToolNotFound
from ..slices import in_slices
from .calls import Offer
from .catalog import Space
from .lookup import is_match, no_match, no_such_tool
from .shared_tools import NotebookTools
from .tool import Tool, globals_of
from .words import AnyWord, is_reflective, words_by_piece

WHOLE = 500
"""Tools up to which a program is offered all, and up to which a namespace is declared as a whole. To put together,
send and install so many takes a few milliseconds."""
MOST_COMPARED = 2_000
"""Tools among which a name like a wrong one is looked for."""

LONGEST_PATH = 1_000
"""Characters of a path or of a pattern; no tool's path has as many, in any spelling."""
MOST_PATTERNS = 200
"""Patterns with wildcards of one program: each is compared with every tool."""

_WILD = re.compile(r"[*?\[]")
_ALL_TOOLS = AnyWord("CALLABLE_TOOLS")
"""What gives a program all of its namespaces."""
_ESCAPE = re.compile(r"\\u(?:\{0*([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{4}))")


class ToolSource(Protocol):
    """Where tools of a layer come from: a `Catalog`, or what others see of one (`NotebookTools`, `ServiceTools`)."""

    @property
    def version(self) -> Hashable:
        """Changes with every change of its tools."""

    def __len__(self) -> int: ...
    def namespaces(self) -> Iterator[tuple[str, Collection[str]]]:
        """Yield the canonical name of each namespace with the names it was registered with."""

    async def prepare(self, name: str) -> None:
        """Do what takes long of `space` in slices, if anything does."""

    def space(self, name: str) -> Space | None:
        """Return the tools of one namespace by its canonical name; None: there is no such namespace."""

    def offers(self) -> list[Offer]:
        """Return all tools in their order."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One catalog of a scope.

    Args:
        catalog: Its tools.
        is_listed: Whether lists and declarations show them. A second name of a tool that is shown already is not.
        is_foreign: Whether they are another notebook's.
    """

    catalog: ToolSource
    is_listed: bool = True
    is_foreign: bool = False


class Changes:
    """Counts whatever changes what any session of an engine is offered.

    Attributes:
        number: Of the changes so far.
        on_change: Called after each; never waits.
    """

    __slots__ = ("number", "on_change")

    def __init__(self) -> None:
        self.number = 0
        self.on_change: Callable[[], None] = lambda: None

    def count(self) -> None:
        """Count one change."""
        self.number += 1
        self.on_change()


@dataclass(frozen=True, slots=True, eq=False)
class ScopeNamespace:
    """The tools of one namespace of a scope, as they were at one moment.

    Args:
        name: Its canonical name.
        offers: Its tools by their canonical paths.
        paths: Those paths, by the paths that the tools were registered with.
        listed, listed_paths: The tools that people and models are shown, and their canonical paths.
        foreign: Paths of the tools that are other notebooks'.
        patient: Paths of the tools whose servers limit the time of a call themselves (`Offer.is_patient`).
        made_of: What it was put together from, with the versions.
    """

    name: str
    offers: dict[str, Offer]
    paths: dict[str, str]
    listed: tuple[Tool, ...]
    listed_paths: frozenset[str]
    foreign: frozenset[str]
    patient: frozenset[str]
    made_of: tuple[tuple[Space, int], ...] = field(repr=False)

    @property
    def tools(self) -> list[Tool]:
        """Its tools, in their order."""
        return [offer.tool for offer in self.offers.values()]


class Offering:
    """The tools that one program may call, as they were when it was asked for.

    Attributes:
        namespaces: The namespaces that the program can reach.
        tools: Their tools that it may call.
        words: The names in the program; None: there are few tools, and it does not matter.
        is_all: Whether these are all the tools it may call; otherwise it does not name the others' namespaces.
    """

    def __init__(
        self,
        scope: Scope,
        namespaces: Sequence[ScopeNamespace],
        tools: list[Tool],
        words: AbstractSet[str] | None,
        *,
        is_all: bool,
    ) -> None:
        self.namespaces, self.tools, self.words, self.is_all = tuple(namespaces), tools, words, is_all
        self.paths = frozenset(tool.path for tool in tools)
        """The canonical paths of its tools."""
        self.revision = scope.revision
        """The `Scope.revision` it was made of."""
        self._scope = scope
        self.globals = globals_of(tools)
        """The objects the program finds, as `tool.globals_of` has them."""

    @property
    def taken(self) -> AbstractSet[str]:
        """The names of namespaces, in every spelling, whether the program names them or not."""
        return self.globals.keys() if self.is_all else self._scope.spellings

    @property
    def named(self) -> list[Tool]:
        """Its tools in the namespaces that the program names; where there are few tools, all."""
        words = self.words
        if words is None:
            return self.tools
        return [tool for tool in self.tools if tool.namespace_name in words or tool.registered_namespace in words]

    def unnamed(self) -> list[str]:
        """Return the canonical names of the listed namespaces that the program does not name."""
        if self.words is None:
            return []
        named = {tool.namespace_name for tool in self.named}
        return [name for name in self._scope.namespaces() if name not in named]

    def __iter__(self) -> Iterator[str]:
        """Yield canonical paths of tools, for suggestions: first of those it has, then of others."""
        return chain((tool.path for tool in self.tools), () if self.is_all else (tool.path for tool in self._scope))

    @property
    def patient(self) -> frozenset[str]:
        """Paths of the tools whose servers limit the time of a call themselves."""
        none: frozenset[str] = frozenset()
        return none.union(*(namespace.patient for namespace in self.namespaces)) & self.paths


class Scope:
    """What one session's programs may call.

    Args:
        layers: Returns the catalogs, the most important first: of two tools with one path, the first counts.
        changes: Counts whenever `layers` returns something else, or one of its catalogs has changed. Every call of a
            tool looks here, and there are as many layers as notebooks: so they are not asked for each time.
        explain: Says why a tool, or a namespace, is missing, in words that follow a colon; None: nothing is known.
    """

    def __init__(
        self,
        layers: Callable[[], Iterable[Layer]],
        changes: Changes,
        explain: Callable[[str], str | None] = lambda name: None,
    ) -> None:
        self._layers, self._changes, self._explain = layers, changes, explain
        self._seen = -1
        self._known: tuple[Layer, ...] = ()
        self._own: list[ToolSource] = []
        self._version: tuple[tuple[int, Hashable], ...] = ()
        self._having: dict[str, list[Layer]] = {}  # by canonical name
        self._spelled: dict[str, str] = {}  # canonical names by any spelling
        self._namespaces: dict[str, ScopeNamespace] = {}  # those that were needed
        self._current: dict[str, ScopeNamespace] = {}  # those that have been compared since the last change
        self._listed: list[Tool] | None = None
        self._revision = 0

    @property
    def revision(self) -> int:
        """Grows with every change of its tools; never the same for two different sets of tools."""
        self._refresh()
        return self._revision

    @property
    def version(self) -> Hashable:
        """Changes with every change of its tools; equal versions of one scope hold the same tools."""
        self._refresh()
        return self._version

    @property
    def spellings(self) -> AbstractSet[str]:
        """The names of its namespaces, in every spelling."""
        self._refresh()
        return self._spelled.keys()

    def __len__(self) -> int:
        """Return the number of tools; one that another hides is counted too."""
        self._refresh()
        return sum(len(layer.catalog) for layer in self._known)

    def __iter__(self) -> Iterator[Tool]:
        """Yield every tool that can be called, those with a second name twice."""
        self._refresh()
        seen: set[str] = set()
        for layer in self._known:
            for offer in layer.catalog.offers():
                if offer.tool.path not in seen:
                    seen.add(offer.tool.path)
                    yield offer.tool

    def listed(self) -> list[Tool]:
        """Return the tools that people and models are shown, each once. Where there are many, `prepare` first."""
        self._refresh()
        if self._listed is None:
            found: dict[str, tuple[Tool, bool]] = {}
            for layer in self._known:
                for offer in layer.catalog.offers():
                    found.setdefault(offer.tool.path, (offer.tool, layer.is_listed))
            self._listed = [tool for tool, is_listed in found.values() if is_listed]
        return list(self._listed)

    def namespaces(self) -> list[str]:
        """Return the canonical names of the namespaces that people and models are shown."""
        self._refresh()
        return [name for name, layers in self._having.items() if any(layer.is_listed for layer in layers)]

    def notebook_of(self, name: str) -> str:
        """Return the path of the notebook that a namespace is named after, where another has the same file name.

        Args:
            name: The canonical name of the namespace.

        Returns:
            The path; empty: the name says enough, or it is no notebook's.
        """
        self._refresh()
        views = (layer.catalog for layer in self._having.get(name, ()) if isinstance(layer.catalog, NotebookTools))
        return next((view.notebook for view in views if view.name == name), "")

    def namespace(self, name: str) -> ScopeNamespace | None:
        """Return one namespace by either of its names; None: there is none."""
        self._refresh()
        canonical = name if name in self._having else self._spelled.get(name)
        return None if canonical is None else self._put_together(canonical)

    async def prepare(self, namespaces: Iterable[str] | None = None) -> None:
        """Put namespaces together, all of them by default, and let other tasks run in between."""
        self._refresh()
        size = 0
        for name in list(self._having if namespaces is None else namespaces):
            if name not in self._having or name in self._current:
                continue
            for layer in tuple(self._having[name]):
                await layer.catalog.prepare(name)
            self._refresh()
            if name in self._having:
                size += len(self._put_together(name).offers)
            if size > WHOLE:
                size = 0
                await asyncio.sleep(0)
                self._refresh()

    def find(self, path: str) -> Offer:
        """Look up a tool by either of its paths.

        Raises:
            ToolNotFound: Names the closest tool there is.
        """
        offer = self.get(path)
        if offer is None:
            raise self._not_found(path)
        return offer

    def get(self, path: str) -> Offer | None:
        """Look up a tool by either of its paths; None: there is none. It does not look for a similar name."""
        self._refresh()
        for at in _dots(path):  # a registered name may have dots in it
            namespace = self.namespace(path[:at])
            if namespace is None:
                continue
            offer = namespace.offers.get(path) or namespace.offers.get(namespace.paths.get(path, ""))
            if offer is not None:
                return offer
        return None

    def is_foreign(self, path: str) -> bool:
        """Whether a tool, by its canonical path, is another notebook's."""
        namespace = self.namespace(path.rpartition(".")[0])
        return namespace is not None and path in namespace.foreign

    def is_listed(self, tool: Tool) -> bool:
        """Whether people and models are shown a tool of this scope."""
        namespace = self.namespace(tool.namespace_name)
        return namespace is not None and tool.path in namespace.listed_paths

    def names_of(self, tool: Tool) -> list[Tool]:
        """Return a tool of this scope under each of the names it has here: itself, and itself under others."""
        found = {tool.path: tool}
        for catalog in self._own:
            if isinstance(catalog, NotebookTools):
                if (alias := catalog.alias(tool.first)) is not None:
                    found.setdefault(alias.path, alias)
            elif (space := catalog.space(tool.first.namespace_name)) is not None:
                offer = space.offers.get(tool.first.path)
                if offer is not None and offer.tool is tool.first:
                    found.setdefault(offer.tool.path, offer.tool)
        return list(found.values())

    async def matching(self, patterns: list[str] | None) -> list[Tool]:
        """Return the tools that match one of the patterns, as `lookup.matching` does.

        Those that come while it looks may be missing; those that go are.

        Raises:
            InvalidParams: They are too many.
            ToolNotFound: A pattern matches no tool.
        """
        if patterns is None:
            return list(self)
        chosen: dict[str, None] = {}
        wanted = dict.fromkeys(patterns)
        if (number := sum(map(_is_wild, wanted))) > MOST_PATTERNS:
            raise InvalidParams(
                f"Cannot choose tools: {number:,} patterns, and there may be {MOST_PATTERNS}; write Namespace.*, or "
                "names without *, ? and ["
            )
        async for paths in in_slices(self._matches(wanted)):
            chosen |= dict.fromkeys(paths)
        return [offer.tool for path in chosen if (offer := self.get(path)) is not None]

    async def offering(self, patterns: list[str] | None, *texts: str) -> Offering:
        """Choose the tools that a program may call.

        Where there are many tools, these are the tools of the namespaces that it names, unless it can reach the
        others without their names.

        Args:
            patterns: Of the tools it may call, such as ``Sales.*``; None: all.
            texts: The program, and what else names tools on its account.

        Raises:
            ToolNotFound: A pattern matches no tool.
        """
        is_all = len(self) <= WHOLE
        words: set[str] | None = None
        named: Collection[str] = ()
        if not is_all:
            is_all, words = await _read(texts)
            named = {self._spelled[word] for word in words if word in self._spelled}
        wanted = set(self._having if is_all and patterns is None else named)
        for pattern in patterns or ():
            wanted |= set(self._may_match(pattern))
        await self.prepare(wanted)
        if patterns is None:
            tools = list(self) if is_all else [t for name in named for t in self._tools(name)]
        else:
            tools = await self.matching(patterns)
            named = {tool.namespace_name for tool in tools} if is_all else named
            is_all = is_all or all(tool.namespace_name in named for tool in tools)
            tools = [tool for tool in tools if tool.namespace_name in named]
        reached = dict.fromkeys(tool.namespace_name for tool in tools)
        namespaces = [one for name in reached if (one := self.namespace(name)) is not None]
        return Offering(self, namespaces, tools, words, is_all=is_all)

    def _tools(self, name: str) -> list[Tool]:
        namespace = self.namespace(name)
        return [] if namespace is None else namespace.tools

    def _may_match(self, pattern: str) -> list[str]:
        """Return the canonical names of the namespaces in which a pattern can match a tool."""
        self._refresh()
        start = _WILD.split(pattern, maxsplit=1)[0]
        if "." not in start:
            return list(self._having)
        return [self._spelled[start[:at]] for at in _dots(start) if start[:at] in self._spelled]

    def _matches(self, patterns: Iterable[str]) -> Iterator[list[str]]:
        """Yield the paths of the tools that match one of the patterns, namespace by namespace for each of these.

        Raises:
            ToolNotFound: A pattern matches no tool.
        """
        for pattern in patterns:
            is_found = False
            for paths in self._matching(pattern):
                is_found = is_found or bool(paths)
                yield paths
            if not is_found:
                why = self._explain(pattern.rpartition(".")[0])
                raise no_match(pattern) if why is None else ToolNotFound(f"Cannot offer {pattern[:200]}: {why}")

    def _matching(self, pattern: str) -> Iterator[list[str]]:
        """Yield the paths of the tools that match a pattern, namespace by namespace."""
        if not _is_wild(pattern):
            offer = self.get(pattern)
            yield [] if offer is None else [offer.tool.path]
        elif len(pattern) <= LONGEST_PATH:
            for name in self._may_match(pattern):
                yield [tool.path for tool in self._tools(name) if is_match(tool, pattern)]

    def _put_together(self, name: str) -> ScopeNamespace:
        """Return the namespace of a canonical name that is there."""
        if (current := self._current.get(name)) is not None:
            return current
        layers = self._having[name]
        spaces = [(layer, space) for layer in layers if (space := layer.catalog.space(name)) is not None]
        made_of = tuple((space, space.version) for _, space in spaces)
        known = self._namespaces.get(name)
        if known is not None and known.made_of == made_of:
            self._current[name] = known
            return known
        offers: dict[str, Offer] = {}
        paths: dict[str, str] = {}
        listed: list[Tool] = []
        foreign: list[str] = []
        for layer, space in spaces:
            for path, offer in space.offers.items():
                if offers.setdefault(path, offer) is offer:
                    paths.setdefault(offer.tool.registered_path, path)
                    if layer.is_foreign:
                        foreign.append(path)
                    if layer.is_listed:
                        listed.append(offer.tool)
        patient = frozenset(path for path, offer in offers.items() if offer.is_patient)
        shown = frozenset(tool.path for tool in listed)
        made = ScopeNamespace(name, offers, paths, tuple(listed), shown, frozenset(foreign), patient, made_of)
        self._namespaces[name] = self._current[name] = made
        return made

    def _not_found(self, path: str) -> Exception:
        """Make the error for a path, with why it is missing, or the closest tool among the first ones."""
        if (why := self._explain(path)) is not None:
            return ToolNotFound(f"Cannot call {path[:200]}: {why}")
        namespace = self.namespace(path.rpartition(".")[0])
        close = list(islice(chain(namespace.tools if namespace is not None else [], self), MOST_COMPARED))
        return no_such_tool(path, [t.path for t in close], {t.registered_path: t.path for t in close})

    def _refresh(self) -> None:
        """Take in what has changed; quick when nothing has."""
        if self._changes.number == self._seen:
            return
        self._seen = self._changes.number
        layers = tuple(self._layers())
        version = tuple((id(layer.catalog), layer.catalog.version) for layer in layers)
        if version == self._version and self._known:
            return
        # The layers are kept, so that no other catalog gets the id() of one that is compared.
        self._known, self._version, self._listed = layers, version, None
        self._own = [layer.catalog for layer in layers if not layer.is_foreign]
        self._having, self._spelled, self._current = {}, {}, {}
        for layer in layers:
            for name, spellings in layer.catalog.namespaces():
                self._having.setdefault(name, []).append(layer)
                for spelling in (name, *spellings):
                    self._spelled.setdefault(spelling, name)
        self._spelled |= {name: name for name in self._having}
        if len(self._namespaces) > 2 * len(self._having) + 16:
            self._namespaces = {name: one for name, one in self._namespaces.items() if name in self._having}
        self._revision += 1


async def _read(texts: Iterable[str]) -> tuple[bool, set[str]]:
    """Return whether programs can reach what they do not name, and the names in them, with what else may be one."""
    can_reach_any = False
    words: set[str] = set()
    for text in texts:
        if "\\u" in text:
            text += " " + _ESCAPE.sub(_escaped, text)
        can_reach_any = can_reach_any or _ALL_TOOLS.is_in(text) or is_reflective(text)
        async for some in in_slices(words_by_piece(text)):
            words.update(some)
    return can_reach_any, words


def _escaped(match: re.Match[str]) -> str:
    code = int(match[1] or match[2], 16)
    return chr(code) if code < 0x110000 else " "


def _is_wild(pattern: str) -> bool:
    return _WILD.search(pattern) is not None


def _dots(path: str) -> Iterator[int]:
    """Yield the places of the dots in a path, the last first; none of a path that no tool can have."""
    at = path.rfind(".") if len(path) <= LONGEST_PATH else -1
    while at > 0:
        yield at
        at = path.rfind(".", 0, at)
