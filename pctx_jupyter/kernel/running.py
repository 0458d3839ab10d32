"""One execution that a cell waits for: what the waiting cell and the bridge's thread both have of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from msgspec import UNSET, Raw

from ..handles.table import Handles
from ..program.result import Display, Output
from ..rpc import wire
from .mainthread import WaitingCell

if TYPE_CHECKING:
    from ..client.client import ExecutionNotice

Draw = Callable[[Raw], None]
"""Receives the current trace of a run, a `trace.Trace` as JSON."""

Reserve = Callable[[], None]
"""Reserves the place of a run's timeline in the output; called before anything else of the run is shown."""

BridgeRequest = wire.Execute | wire.CallAgentFunction
"""What a cell waits for: a program of its own, or a function for its agent, which may run one."""
BridgeAnswer = wire.Executed | wire.AgentAnswered
"""What comes of it."""

KEPT_ERRORS = 100
"""Exceptions of tools that one execution keeps, the latest ones. Each keeps its frames in memory."""


@dataclass(slots=True)
class Running:
    """One execution that a cell waits for.

    Attributes:
        raised: The exceptions of its tools, by the token that the program has.
        look: How the program's value is displayed; None: as its JSON.
        draw: Receives traces of the run, on the bridge's thread; None: none are requested.
        reserve: Reserves the place of the timeline, on the bridge's thread.
        handles: The frames that its program uses by handle.
        agent: The name of the agent of this notebook that runs it; empty: a cell does.
    """

    cell: WaitingCell[BridgeAnswer | Exception]
    handles: Handles
    raised: dict[str, BaseException] = field(default_factory=dict)
    look: Display | None = None
    draw: Draw | None = None
    reserve: Reserve | None = None
    task: asyncio.Task[None] | None = None
    agent: str = ""

    @property
    def handing(self) -> Handles:
        """Its handles, for a call of its program."""
        return self.handles.handing_to(self.agent) if self.agent else self.handles

    def show_first(self) -> None:
        """Reserve the place of the timeline, so that whatever follows is below it."""
        if self.reserve is not None:
            self.reserve()

    def keep(self, error: BaseException) -> str:
        """Keep a tool's exception; returns its token."""
        token = f"e{uuid4().hex[:12]}"
        self.raised[token] = error
        if len(self.raised) > KEPT_ERRORS:
            del self.raised[next(iter(self.raised))]
        return token


def show_notice(running: Running, notice: ExecutionNotice) -> None:
    """Pass what a program prints and displays to its cell, and its trace to what draws it."""
    match notice:
        case wire.OutputNotice(_, stream, text, level):
            running.show_first()
            running.cell.post(Output(stream, text, level))
        case wire.DisplayNotice(_, data, metadata, display_id, update, is_value):
            shown = Display(data, None if metadata is UNSET else metadata, display_id, update, is_value)
            if is_value:
                running.look = shown
            else:
                running.show_first()
                running.cell.post(shown)
        case wire.TraceNotice(_, trace) if running.draw is not None:
            running.draw(trace)


def show_agents_notice(running: Running, notice: ExecutionNotice) -> None:
    """Show what an agent's program displays, and how it goes; what it prints is for the agent."""
    match notice:
        case wire.DisplayNotice(_, data, metadata, display_id, update):
            running.cell.post(Display(data, None if metadata is UNSET else metadata, display_id, update))
        case wire.TraceNotice(_, trace) if running.draw is not None:
            running.draw(trace)
