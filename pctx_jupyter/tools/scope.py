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

from ..errors import ToolNotFound
from . import names
from .catalog import Call, Catalog, Offer, Space, Tool, ToolHandler, globals_of, is_match, no_match, no_such_tool

WHOLE = 500
"""Tools up to which a program is offered all, and up to which a namespace is declared as a whole. To put together,
send and install so many takes a few milliseconds."""
MOST_COMPARED = 2_000
"""Tools among which a name like a wrong one is looked for."""

_ANY_NAME = re.compile(r"\b(?:globalThis|list_functions|CALLABLE_TOOLS|eval|Function)\b|\.\s*constructor\b")
"""What gives a program all of its namespaces, or lets it make a name of parts."""
_ESCAPE = re.compile(r"\\u(?:\{0*([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{4}))")
_BETWEEN_WORDS = re.compile(r"[\x00-#%-/:-@\[-^`{-\x7f\s]+")
"""What cannot be in a JavaScript identifier: ASCII other than letters, digits, ``_`` and ``$``; white space."""


class ToolSource(Protocol):
    """Where the tools of a layer come from: a `Catalog`, or a `View` of one."""

    @property
    def version(self) -> Hashable:
        """Changes with every change of its tools."""

    def __len__(self) -> int: ...
    def namespaces(self) -> Iterator[tuple[str, Collection[str]]]:
        """Yield the canonical name of each namespace with the names it was registered with."""

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
    """

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0

    def count(self) -> None:
        """Count one change."""
        self.number += 1


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
        """The objects the program finds, as `catalog.globals_of` has them."""

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
        views = (layer.catalog for layer in self._having.get(name, ()) if isinstance(layer.catalog, View))
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
            if name in self._having and name not in self._current:
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
            if isinstance(catalog, View):
                if (alias := catalog.alias(tool.first)) is not None:
                    found.setdefault(alias.path, alias)
            elif (space := catalog.space(tool.first.namespace_name)) is not None:
                offer = space.offers.get(tool.first.path)
                if offer is not None and offer.tool is tool.first:
                    found.setdefault(offer.tool.path, offer.tool)
        return list(found.values())

    def matching(self, patterns: list[str] | None) -> list[Tool]:
        """Return the tools that match one of the patterns, as `catalog.matching` does."""
        if patterns is None:
            return list(self)
        chosen: dict[str, Tool] = {}
        for pattern in patterns:
            found = {tool.path: tool for name in self._may_match(pattern) for tool in self._matching(name, pattern)}
            if not found:
                why = self._explain(pattern.rpartition(".")[0])
                raise no_match(pattern) if why is None else ToolNotFound(f"Cannot offer {pattern[:200]}: {why}")
            chosen |= found
        return list(chosen.values())

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
            is_all, words = _read(texts)
            named = {self._spelled[word] for word in words if word in self._spelled}
        wanted = set(self._having if is_all and patterns is None else named)
        for pattern in patterns or ():
            wanted |= set(self._may_match(pattern))
        await self.prepare(wanted)
        if patterns is None:
            tools = list(self) if is_all else [t for name in named for t in self._tools(name)]
        else:
            tools = self.matching(patterns)
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
        start = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
        if "." not in start:
            return list(self._having)
        return [self._spelled[start[:at]] for at in _dots(start) if start[:at] in self._spelled]

    def _matching(self, name: str, pattern: str) -> list[Tool]:
        return [tool for tool in self._tools(name) if is_match(tool, pattern)]

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


class View:
    """One session's tools in one namespace, under which others see them. Put together when it is first needed.

    Args:
        catalog: The session's own.
        is_own: Whether it is for the session itself; otherwise it has only the tools that are to be shared.
        notebook: The path of its notebook where another notebook has the same file name; elsewhere empty.
    """

    def __init__(self, catalog: Catalog, name: str, serve: ToolHandler, *, is_own: bool, notebook: str = "") -> None:
        self.name, self.serve, self.notebook = name, serve, notebook
        self._catalog, self._is_own = catalog, is_own
        self._space = Space(name)
        self._sources: list[Offer] = []
        self._aliases: dict[str, Tool] = {}  # by the path of the session's own tool
        self._is_of = -1
        self._count = (-1, 0)

    @property
    def version(self) -> Hashable:
        """Changes with every change of its tools."""
        return self._catalog.version

    def __len__(self) -> int:
        if self._count[0] != self._catalog.version:
            shared = len(self._catalog) if self._is_own else sum(offer.tool.share for offer in self._catalog.offers())
            self._count = self._catalog.version, shared
        return self._count[1]

    def __iter__(self) -> Iterator[Tool]:
        """Yield the tools in their order."""
        return (offer.tool for offer in self.offers())

    def namespaces(self) -> Iterator[tuple[str, Collection[str]]]:
        """Yield the one namespace, if it has tools."""
        if len(self):
            yield self.name, (self.name,)

    def space(self, name: str) -> Space | None:
        """Return the tools, if they are asked for by the right name and there are any."""
        if name != self.name:
            return None
        self._refresh()
        return self._space if self._space.offers else None

    def offers(self) -> list[Offer]:
        """Return the tools in their order."""
        self._refresh()
        return list(self._space.offers.values())

    def alias(self, tool: Tool) -> Tool | None:
        """Return one of the session's own tools under the name it has here; None: it has none."""
        self._refresh()
        alias = self._aliases.get(tool.path)
        return alias if alias is not None and alias.first is tool else None

    def _refresh(self) -> None:
        if self._is_of == self._catalog.version:
            return
        self._is_of = self._catalog.version
        wanted = [offer for offer in self._catalog.offers() if self._is_own or offer.tool.share]
        known, aliases = self._sources, self._aliases
        if len(wanted) < len(known) or any(one is not other for one, other in zip(wanted, known, strict=False)):
            version, known = self._space.version, []
            self._space, self._aliases = Space(self.name), {}
            self._space.version = version + 1
        self._sources = wanted
        for offer in wanted[len(known) :]:
            tool = offer.tool
            name = self._free_name(tool)
            alias = aliases.get(tool.path)
            # The same objects as before: texts are kept by identity.
            if alias is None or alias.first is not tool.first or alias.registered_name != name:
                alias = tool.renamed(self.name, name)
                if self.notebook:
                    about = f"Functions of the notebook {self.notebook}"
                    alias = alias.changed(about=about, notebook=self.notebook)
            self._aliases[tool.path] = alias
            serve = _passing_on(offer.serve if self._is_own else self.serve, tool)
            self._space.add(Offer(alias, serve, not self._is_own))

    def _free_name(self, tool: Tool) -> str:
        if self._is_free(tool.registered_name, tool.tool_name):
            return tool.registered_name
        long = f"{tool.namespace_name}_{tool.registered_name}"
        for candidate in (long, *(f"{long}_{number}" for number in range(2, 100))):
            if self._is_free(candidate, names.tool_name(candidate)):
                return candidate
        return f"{long}_{len(self._space.offers)}"

    def _is_free(self, registered: str, canonical: str) -> bool:
        """Whether a tool can have a name here: no other tool has it, nor JavaScript."""
        space = self._space
        for path in (f"{self.name}.{canonical}", f"{self.name}.{registered}"):
            if path in space.offers or path in space.paths:
                return False
        return not names.is_taken(self.name, canonical)


class SharedTools:
    """A session's tools as others see them: all in one namespace, that of its notebook.

    Args:
        catalog: The session's own.

    A tool of another namespace than ``Notebook`` keeps its own name too, unless one registered before has it: then its
    namespace stands before it (``SalesReport.archiveLoad``).
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._views: dict[bool, View] = {}
        self.notebook = ""
        """The path of the notebook where another notebook has the same file name; elsewhere empty."""

    def under(self, name: str, serve: ToolHandler, *, is_own: bool) -> View:
        """Return the tools in the namespace `name`; those that are not to be shared only where `is_own`.

        Args:
            name: The canonical name of the namespace.
            serve: Runs a call of one of them; the call names the session's own tool.
            is_own: Whether it is for the session itself.
        """
        view = self._views.get(is_own)
        if view is None or (view.name, view.serve, view.notebook) != (name, serve, self.notebook):
            view = self._views[is_own] = View(self._catalog, name, serve, is_own=is_own, notebook=self.notebook)
        return view


class ServedTools:
    """A service's tools as others see them: in namespaces of the service's own, those that are to be shared.

    Args:
        catalog: The service's own.
        name: Returns the name that one of its namespaces has for others.
        serve: Runs a call of one of them; the call names the service's own tool.
    """

    def __init__(self, catalog: Catalog, name: Callable[[str], str], serve: ToolHandler) -> None:
        self.serve = serve
        self._catalog, self._name = catalog, name
        self._spaces: dict[str, tuple[Space, str, int, Space]] = {}  # by own name, with what each was made of

    @property
    def version(self) -> Hashable:
        """Changes with every change of its tools, or of the names that its namespaces have."""
        return self._catalog.version, tuple(self._name(own) for own, _ in self._catalog.namespaces())

    def __len__(self) -> int:
        return sum(len(space.offers) for space in self._all())

    def namespaces(self) -> Iterator[tuple[str, Collection[str]]]:
        """Yield the name of each namespace that has tools, with the names it was registered with."""
        for space in self._all():
            yield space.name, tuple(space.spellings)

    def space(self, name: str) -> Space | None:
        """Return the tools of one namespace, by the name that it has for others."""
        return next((space for space in self._all() if space.name == name), None)

    def offers(self) -> list[Offer]:
        """Return all tools, by namespace."""
        return [offer for space in self._all() for offer in space.offers.values()]

    def _all(self) -> list[Space]:
        known, self._spaces = self._spaces, {}
        for own, _ in self._catalog.namespaces():
            source = self._catalog.space(own)
            if source is None or not any(offer.tool.share for offer in source.offers.values()):
                continue
            name, before = self._name(own), known.get(own)
            if before is None or before[0] is not source or before[1:3] != (name, source.version):
                made = self._made(source, name, before[3].version + 1 if before is not None else 0)
                before = (source, name, source.version, made)
            self._spaces[own] = before
        return [made for *_, made in self._spaces.values()]

    def _made(self, source: Space, name: str, version: int) -> Space:
        space = Space(name)
        for offer in source.offers.values():
            tool = offer.tool
            if not tool.share:
                continue
            alias = tool.renamed(tool.registered_namespace if name == source.name else name, tool.registered_name)
            space.add(Offer(alias, _passing_on(self.serve, tool)))  # unlike a kernel, it counts no time itself
        space.version += version
        return space


def _read(texts: Iterable[str]) -> tuple[bool, set[str]]:
    """Return whether programs can reach what they do not name, and the names in them, with what else may be one."""
    can_reach_any = False
    words: set[str] = set()
    for text in texts:
        if "\\u" in text:
            text += " " + _ESCAPE.sub(_escaped, text)
        can_reach_any = can_reach_any or _ANY_NAME.search(text) is not None
        words.update(_BETWEEN_WORDS.split(text))
    return can_reach_any, words


def _escaped(match: re.Match[str]) -> str:
    code = int(match[1] or match[2], 16)
    return chr(code) if code < 0x110000 else " "


def _dots(path: str) -> Iterator[int]:
    """Yield the places of the dots in a path, the last first."""
    at = path.rfind(".")
    while at > 0:
        yield at
        at = path.rfind(".", 0, at)


def _passing_on(serve: ToolHandler, tool: Tool) -> ToolHandler:
    """Return what serves calls of a tool that has another name elsewhere: it passes them on under its own."""

    def pass_on(call: Call) -> object:
        return serve(call.of(tool))

    return pass_on  # type: ignore[return-value]  # its caller awaits what it returns


__all__ = ["Changes", "Layer", "Offering", "Scope", "ScopeNamespace", "ServedTools", "SharedTools", "View"]
