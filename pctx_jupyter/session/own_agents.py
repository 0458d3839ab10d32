"""Agents that a client runs itself: an agent in a notebook, or in a Python program that offers tools.

The programs of such an agent call the tools of that client's session, under the names that its cells use, and the tools
that the session is offered besides. They run as agents' programs do: a person is asked about calls that have effects.
Tools that are registered with ``share: false`` stay hidden, as from every agent.

This module does not know which functions an agent is offered; it is handed them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Hashable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, Unpack

from ..program.result import Emit, Event, ProgramResult
from ..rpc import wire
from ..tools.calls import Offer
from ..tools.catalog import Catalog, Space
from .execution import Execution
from .request import ProgramOptions
from .session import Session

MAX_AGENTS = 20
"""Agents that one client runs under different names; each has a session of its own, of some kilobytes."""
MAX_NAME = 60
"""Characters of an agent's name."""


class AgentFunctionSet(Protocol):
    """The functions that one agent may call."""

    def listed(self) -> wire.AgentFunctions:
        """Return the functions, with their descriptions for models."""

    def call(self, name: str, arguments: dict[str, Any]) -> Awaitable[wire.AgentAnswered]:
        """Call one; what goes wrong is an answer for a model. Raises InvalidParams where there is no such function."""


FunctionsFor = Callable[[Session], AgentFunctionSet]
"""Makes the functions that an agent may call whose programs run in a session."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What the client of an agent's request wants to know of the program that the request starts.

    Args:
        execution_id: The client's name for its execution; None: one is made.
        emit: Receives its events.
        began: Receives the execution before its first event.
    """

    execution_id: str | None
    emit: Emit
    began: Callable[[Execution], None]


FOLLOWED: ContextVar[Followed | None] = ContextVar("pctx followed", default=None)
"""How the program of a request is followed. It is set in the task that serves the request."""


class OwnAgentSession(Session):
    """The session in which the programs of a client's own agent run. Made by `Registry.own_agent`."""

    async def execute(
        self,
        code: str,
        *,
        emit: Emit = lambda event: None,
        began: Callable[[Execution], None] = lambda execution: None,
        **options: Unpack[ProgramOptions],
    ) -> ProgramResult:
        """Run one program, as `Session.execute` does, and let the client of the request follow it."""
        followed = FOLLOWED.get()
        if followed is None:
            return await super().execute(code, emit=emit, began=began, **options)

        def emit_to_both(event: Event) -> None:
            emit(event)
            followed.emit(event)

        def begin_for_both(execution: Execution) -> None:
            began(execution)
            followed.began(execution)

        options["execution_id"] = followed.execution_id
        return await super().execute(code, emit=emit_to_both, began=begin_for_both, **options)


class OfferedToAgents:
    """The tools of a catalog that agents may see, under the names that they have there.

    Args:
        catalog: A session's own tools.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._is_of: Hashable = None
        self._offers: list[Offer] = []
        self._spaces: dict[str, Space] = {}

    @property
    def version(self) -> Hashable:
        """Changes with every change of its tools."""
        return self._catalog.version

    def __len__(self) -> int:
        self._refresh()
        return len(self._offers)

    def namespaces(self) -> Iterator[tuple[str, Collection[str]]]:
        """Yield the canonical name of each namespace with the names it was registered with."""
        self._refresh()
        return ((name, space.spellings) for name, space in self._spaces.items())

    async def prepare(self, name: str) -> None:
        """Do nothing: no tool gets another name."""

    def space(self, name: str) -> Space | None:
        """Return the tools of one namespace by its canonical name; None: there is no such namespace."""
        self._refresh()
        return self._spaces.get(name)

    def offers(self) -> list[Offer]:
        """Return all tools in their order."""
        self._refresh()
        return self._offers

    def _refresh(self) -> None:
        if self._is_of == self._catalog.version:
            return
        self._is_of = self._catalog.version
        self._offers = [offer for offer in self._catalog.offers() if offer.tool.share]
        self._spaces = {}
        for offer in self._offers:
            name = offer.tool.namespace_name
            self._spaces.setdefault(name, Space(name)).add(offer)
