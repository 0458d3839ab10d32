"""One session's tools under the names that others see them by: a notebook's in one namespace, a service's in its own.

They are the session's own tools renamed, so a change of its catalog changes them. Who may see them is not known here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Hashable, Iterator
from functools import partial

from ..slices import in_slices
from . import names
from .calls import Call, Offer, ToolHandler
from .catalog import Catalog, Space
from .tool import Tool

AT_ONCE = 250
"""Tools that are renamed before it is decided whether others are served: 3 ms."""

Rename = Callable[[Tool, Space, Tool | None], Tool]
"""Returns a tool under the name that it has beside those that are in the namespace already.

The last argument is what it returned for the tool of this path before; None: there was none."""


class _RenamedTools:
    """Tools under other names in one namespace, put together when they are needed.

    Args:
        name: The canonical name of the namespace.
        wanted: Returns the tools that are to be in it.
        rename: Names one of them.
        serve: Returns what serves calls of one of them.
        is_patient: As in `Offer`.

    Attributes:
        space: Those that are put together.
        aliases: The same by the paths of their owner's tools.
    """

    def __init__(
        self,
        name: str,
        wanted: Callable[[], list[Offer]],
        rename: Rename,
        serve: Callable[[Offer], ToolHandler],
        *,
        is_patient: bool = False,
    ) -> None:
        self.name, self.wanted = name, wanted
        self._rename, self._serve, self._is_patient = rename, serve, is_patient
        self.space = Space(name)
        self.aliases: dict[str, Tool] = {}
        self._former: dict[str, Tool] = {}  # aliases from before it was begun again
        self._sources: list[Offer] = []  # what is put together
        self._is_of = -1

    def refresh(self, version: int, most: int = sys.maxsize) -> bool:
        """Rename so many tools at most; returns whether all are put together as they are in this version of them."""
        if self._is_of == version:
            return True
        wanted, known = self.wanted(), self._sources
        if len(wanted) < len(known) or any(one is not other for one, other in zip(wanted, known, strict=False)):
            self._former |= self.aliases
            known = self._sources = []
            before, self.space, self.aliases = self.space, Space(self.name), {}
            self.space.version = before.version + 1
        for offer in wanted[len(known) : len(known) + most]:
            path = offer.tool.path
            alias = self.aliases[path] = self._rename(offer.tool, self.space, self._former.get(path))
            self.space.add(Offer(alias, _passing_on(self._serve(offer), offer.tool), self._is_patient))
            known.append(offer)
        if len(known) < len(wanted):
            return False
        self._is_of, self._former = version, {}
        return True

    async def prepare(self, version: Callable[[], int], size: int) -> None:
        """Put together so many tools in slices.

        If they change all the time, it does not wait for an end of that.
        """
        if size > AT_ONCE:
            async for _ in in_slices(range(size // AT_ONCE + 1)):
                if self.refresh(version(), AT_ONCE):
                    break


class NotebookTools:
    """One session's tools in one namespace, under which others see them. Put together when it is first needed.

    Args:
        catalog: The session's own.
        is_own: Whether it is for the session itself; otherwise it has only the tools that are to be shared.
        notebook: The path of its notebook where another notebook has the same file name; elsewhere empty.
    """

    def __init__(self, catalog: Catalog, name: str, serve: ToolHandler, *, is_own: bool, notebook: str = "") -> None:
        self.name, self.serve, self.notebook = name, serve, notebook
        self._catalog, self._is_own = catalog, is_own
        self._tools = _RenamedTools(
            name,
            lambda: [offer for offer in catalog.offers() if is_own or offer.tool.share],
            partial(_renamed, notebook),  # nothing of `self`: such a circle keeps all tools until garbage is collected
            lambda offer: offer.serve if is_own else serve,
            is_patient=not is_own,
        )
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

    async def prepare(self, name: str) -> None:
        """Do what takes long of `space` in slices."""
        if name == self.name:
            await self._tools.prepare(lambda: self._catalog.version, len(self._catalog))

    def space(self, name: str) -> Space | None:
        """Return the tools, if they are asked for by the right name and there are any."""
        if name != self.name:
            return None
        space = self._refreshed().space
        return space if space.offers else None

    def offers(self) -> list[Offer]:
        """Return the tools in their order."""
        return list(self._refreshed().space.offers.values())

    def alias(self, tool: Tool) -> Tool | None:
        """Return one of the session's own tools under the name it has here; None: it has none."""
        alias = self._refreshed().aliases.get(tool.path)
        return alias if alias is not None and alias.first is tool else None

    def _refreshed(self) -> _RenamedTools:
        self._tools.refresh(self._catalog.version)
        return self._tools


class SharedTools:
    """A session's tools as others see them: all in one namespace, that of its notebook.

    Args:
        catalog: The session's own.

    A tool of another namespace than ``Notebook`` keeps its own name too, unless one registered before has it: then its
    namespace stands before it (``SalesReport.archiveLoad``).
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._views: dict[bool, NotebookTools] = {}
        self.notebook = ""
        """The path of the notebook where another notebook has the same file name; elsewhere empty."""

    def under(self, name: str, serve: ToolHandler, *, is_own: bool) -> NotebookTools:
        """Return the tools in the namespace `name`; those that are not to be shared only where `is_own`.

        Args:
            name: The canonical name of the namespace.
            serve: Runs a call of one of them; the call names the session's own tool.
            is_own: Whether it is for the session itself.
        """
        view = self._views.get(is_own)
        if view is None or (view.name, view.serve, view.notebook) != (name, serve, self.notebook):
            view = self._views[is_own] = NotebookTools(
                self._catalog, name, serve, is_own=is_own, notebook=self.notebook
            )
        return view

    def clear(self) -> None:
        """Forget what was put together."""
        self._views.clear()


class ServiceTools:
    """A service's tools as others see them: in namespaces of the service's own, those that are to be shared.

    Args:
        catalog: The service's own.
        name: Returns the name that one of its namespaces has for others.
        serve: Runs a call of one of them; the call names the service's own tool.
    """

    def __init__(self, catalog: Catalog, name: Callable[[str], str], serve: ToolHandler) -> None:
        self.serve = serve
        self._catalog, self._name = catalog, name
        self._views: dict[str, tuple[Space, _RenamedTools]] = {}  # by own name, with the tools that each is made of

    @property
    def version(self) -> Hashable:
        """Changes with every change of its tools, or of the names that its namespaces have."""
        return self._catalog.version, tuple(self._name(own) for own, _ in self._catalog.namespaces())

    def __len__(self) -> int:
        return sum(len(view.wanted()) for _, view in self._all())

    def namespaces(self) -> Iterator[tuple[str, Collection[str]]]:
        """Yield the name of each namespace that has tools, with the names it was registered with."""
        for source, view in self._all():
            if view.name == source.name:
                yield view.name, tuple(dict.fromkeys(offer.tool.registered_namespace for offer in view.wanted()))
            else:
                yield view.name, (view.name,)

    async def prepare(self, name: str) -> None:
        """Do what takes long of `space` in slices."""
        for source, view in self._all():
            if view.name == name:
                await view.prepare(lambda source=source: source.version, len(source.offers))  # type: ignore[misc]

    def space(self, name: str) -> Space | None:
        """Return the tools of one namespace, by the name that it has for others."""
        return next((_put_together(source, view) for source, view in self._all() if view.name == name), None)

    def offers(self) -> list[Offer]:
        """Return all tools, by namespace."""
        return [offer for source, view in self._all() for offer in _put_together(source, view).offers.values()]

    def _all(self) -> list[tuple[Space, _RenamedTools]]:
        known, self._views = self._views, {}
        for own, _ in self._catalog.namespaces():
            source = self._catalog.space(own)
            if source is None or not any(offer.tool.share for offer in source.offers.values()):
                continue
            name, before = self._name(own), known.get(own)
            if before is None or before[0] is not source or before[1].name != name:
                before = (source, self._view(source, name))
            self._views[own] = before
        return list(self._views.values())

    def _view(self, source: Space, name: str) -> _RenamedTools:
        def renamed(tool: Tool, space: Space, before: Tool | None) -> Tool:
            if before is not None and before.first is tool.first:
                return before
            return tool.renamed(tool.registered_namespace if name == source.name else name, tool.registered_name)

        def wanted() -> list[Offer]:
            return [offer for offer in source.offers.values() if offer.tool.share]

        serve = self.serve  # nothing of `self`, as above
        return _RenamedTools(name, wanted, renamed, lambda offer: serve)  # unlike a kernel, it counts no time


def _renamed(notebook: str, tool: Tool, space: Space, before: Tool | None) -> Tool:
    """Return one of a notebook's tools under the name that it has in the notebook's namespace."""
    name = _free_name(tool, space)
    # The same objects as before: texts are kept by identity.
    if before is not None and before.first is tool.first and before.registered_name == name:
        return before
    alias = tool.renamed(space.name, name)
    if notebook:
        alias = alias.changed(about=f"Functions of the notebook {notebook}", notebook=notebook)
    return alias


def _free_name(tool: Tool, space: Space) -> str:
    if _is_free(tool.registered_name, tool.tool_name, space):
        return tool.registered_name
    long = f"{tool.namespace_name}_{tool.registered_name}"
    for candidate in (long, *(f"{long}_{number}" for number in range(2, 100))):
        if _is_free(candidate, names.tool_name(candidate), space):
            return candidate
    return f"{long}_{len(space.offers)}"


def _is_free(registered: str, canonical: str, space: Space) -> bool:
    """Whether a tool can have a name in a namespace: no other tool has it, nor JavaScript."""
    for path in (f"{space.name}.{canonical}", f"{space.name}.{registered}"):
        if path in space.offers or path in space.paths:
            return False
    return not names.is_taken(space.name, canonical)


def _put_together(source: Space, view: _RenamedTools) -> Space:
    view.refresh(source.version)
    return view.space


def _passing_on(serve: ToolHandler, tool: Tool) -> ToolHandler:
    """Return what serves calls of a tool that has another name elsewhere: it passes them on under its own."""

    def pass_on(call: Call) -> object:
        return serve(call.of(tool))

    return pass_on  # type: ignore[return-value]  # its caller awaits what it returns
