"""One session's tools under the names that others see them by: a notebook's in one namespace, a service's in its own.

They are the session's own tools renamed, so a change of its catalog changes them. Who may see them is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator

from . import names
from .catalog import Call, Catalog, Offer, Space, Tool, ToolHandler


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


def _passing_on(serve: ToolHandler, tool: Tool) -> ToolHandler:
    """Return what serves calls of a tool that has another name elsewhere: it passes them on under its own."""

    def pass_on(call: Call) -> object:
        return serve(call.of(tool))

    return pass_on  # type: ignore[return-value]  # its caller awaits what it returns
