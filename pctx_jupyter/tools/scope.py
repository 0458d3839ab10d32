"""Scopes: the tools one session's programs may call, its own and those that others offer to it.

A scope reads like a `Catalog` and holds nothing: it lays catalogs over one another, the session's own on top, and looks
again when one of them has changed. Who is offered what is decided elsewhere (`session.Registry`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass

from . import names
from .catalog import Call, Catalog, Offer, Serve, Tool, matching, no_such_tool


@dataclass(frozen=True, slots=True)
class Layer:
    """One catalog of a scope.

    Args:
        catalog: Its tools.
        is_listed: Whether lists and declarations show them. A second name for what is shown already is not.
        is_foreign: Whether they are another notebook's.
    """

    catalog: Catalog
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
        """There has been one."""
        self.number += 1


class Scope:
    """What one session's programs may call.

    Args:
        layers: Tells the catalogs, the most important first: of two tools with one path, the first counts.
        changes: Has counted whenever `layers` tells something else, or one of its catalogs has changed. Every call of a
            tool looks here, and there are as many layers as notebooks: so they are not asked for each time.
    """

    def __init__(self, layers: Callable[[], Iterable[Layer]], changes: Changes) -> None:
        self._layers, self._changes = layers, changes
        self._seen = -1
        self._known: tuple[Layer, ...] = ()
        self._version: tuple[tuple[int, int], ...] = ()
        self._offers: dict[str, Offer] = {}
        self._paths: dict[str, str] = {}
        self._listed: list[Tool] = []
        self._patient: frozenset[str] = frozenset()
        self._foreign: frozenset[str] = frozenset()
        self._revision = 0

    @property
    def patient(self) -> frozenset[str]:
        """Paths of the tools whose servers count the time of a call themselves (`Offer.is_patient`)."""
        self._look()
        return self._patient

    @property
    def revision(self) -> int:
        """Grows with every change of what is in it; never the same for two different ones."""
        self._look()
        return self._revision

    @property
    def foreign(self) -> frozenset[str]:
        """Paths of the tools that are other notebooks'."""
        self._look()
        return self._foreign

    @property
    def version(self) -> Hashable:
        """Changes with every change of what is in it; equal versions of one scope hold the same tools."""
        self._look()
        return self._version

    def __len__(self) -> int:
        self._look()
        return len(self._offers)

    def __iter__(self) -> Iterator[Tool]:
        """Every tool that can be called, those with a second name twice."""
        self._look()
        return (offer.tool for offer in list(self._offers.values()))

    def listed(self) -> list[Tool]:
        """The tools that people and models are shown: each once."""
        self._look()
        return list(self._listed)

    def find(self, path: str) -> Offer:
        """Look up a tool by either of its names.

        Raises:
            ToolNotFound: Names the closest tool there is.
        """
        self._look()
        offer = self._offers.get(path) or self._offers.get(self._paths.get(path, path))
        if offer is None:
            raise no_such_tool(path, self._offers, self._paths)
        return offer

    def matching(self, patterns: list[str] | None) -> list[Tool]:
        """The tools that match one of the patterns, as `tools.matching` has it."""
        return matching(self, patterns)

    def _look(self) -> None:
        """Take in what has changed; quick when nothing has."""
        if self._changes.number == self._seen:
            return
        self._seen = self._changes.number
        layers = tuple(self._layers())
        version = tuple((id(layer.catalog), layer.catalog.version) for layer in layers)
        if version == self._version and self._known:
            return
        # The layers are kept, so that no other catalog gets the id() of one that is compared.
        self._known, self._version = layers, version
        self._offers, self._paths, self._listed = {}, {}, []
        foreign: list[str] = []
        for layer in layers:
            for offer in layer.catalog.offers():
                if self._offers.setdefault(offer.tool.path, offer) is offer:
                    if layer.is_foreign:
                        foreign.append(offer.tool.path)
                    self._paths.setdefault(offer.tool.registered_path, offer.tool.path)
                    if layer.is_listed:
                        self._listed.append(offer.tool)
        self._patient = frozenset(path for path, offer in self._offers.items() if offer.is_patient)
        self._foreign = frozenset(foreign)
        self._revision += 1


class Shared:
    """A session's tools as others see them: all in one namespace, that of its notebook.

    Args:
        catalog: The session's own.

    A tool of another namespace than ``Notebook`` keeps its own name too, unless one registered before has it: then its
    namespace stands before it (``SalesReport.archiveLoad``).
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._tools: dict[tuple[int, str, str], tuple[Tool, Tool]] = {}
        self._views: dict[bool, tuple[Hashable, Catalog]] = {}

    def under(self, name: str, serve: Serve, *, is_own: bool) -> Catalog:
        """The tools in the namespace `name`; those that are not to be shared only where `is_own`.

        Args:
            name: The canonical name of the namespace.
            serve: Runs a call of one of them; the call names the session's own tool.
            is_own: Whether it is for the session itself.
        """
        key = (name, self._catalog.version)
        known = self._views.get(is_own)
        if known is not None and known[0] == key:
            return known[1]
        view = Catalog(limit=len(self._catalog))
        tools: dict[tuple[int, str, str], tuple[Tool, Tool]] = {}
        for offer in self._catalog.offers():
            if not (is_own or offer.tool.share):
                continue
            tool_name = self._free_name(view, name, offer.tool)
            as_key = (id(offer.tool), name, tool_name)
            # The same objects as before: texts are kept by identity.
            pair = self._tools.get(as_key) or (offer.tool, offer.tool.renamed(name, tool_name))
            tools[as_key] = pair
            view.add(pair[1], _passing_on(offer.serve if is_own else serve, offer.tool), is_patient=not is_own)
        self._tools |= tools
        self._views[is_own] = (key, view)
        if len(self._tools) > 4 * len(self._catalog) + 64:
            self._tools = tools
        return view

    @staticmethod
    def _free_name(view: Catalog, name: str, tool: Tool) -> str:
        candidates = [tool.registered_name, f"{tool.namespace_name}_{tool.registered_name}"]
        candidates += [f"{candidates[1]}_{number}" for number in range(2, 100)]
        for candidate in candidates:
            renamed = tool.renamed(name, candidate)
            if not names.is_taken(name, renamed.tool_name) and not view.has(renamed):
                return candidate
        return f"{candidates[1]}_{len(view)}"


def _passing_on(serve: Serve, tool: Tool) -> Serve:
    """Serve calls of a tool that has another name elsewhere under its own."""

    def pass_on(call: Call) -> object:
        return serve(call.of(tool))

    return pass_on  # type: ignore[return-value]  # what it returns is awaited by whoever calls


__all__ = ["Changes", "Layer", "Scope", "Shared"]
