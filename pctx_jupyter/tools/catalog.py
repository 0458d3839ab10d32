"""The catalog a session offers: which tools there are, by which names, and who serves them.

This module does not know how a tool is reached, nor what its schemas mean.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator

from .. import errors
from . import names
from .calls import Offer, ToolHandler
from .lookup import no_such_tool
from .tool import Tool


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
