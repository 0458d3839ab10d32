"""Notices: what a notebook shows of programs of others that call its tools, and which programs those were.

A notice is an output of the cell that ran last. It tells whose program it is, with its code, and in the end what it
called and what came of it; the run's timeline follows. Knows IPython's displays; who calls and how is not known here.
"""

from __future__ import annotations

import contextvars
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
from IPython.core.display_functions import publish_display_data

from ...rpc import wire
from ...session.trace import Trace

if TYPE_CHECKING:
    from .display import Bundle

_publish: Callable[..., None] = publish_display_data  # IPython is not typed

MOST_RUNS = 20
"""Programs that are remembered, the latest ones."""

MOST_NOTICES = 5
"""Notices between two cells; further programs share one more."""


@dataclass(slots=True, eq=False)
class GuestRun:
    """One program of somebody else that called this notebook's tools.

    Args:
        number: Counts them, from 1 on.
        id: What the engine calls it.
        code: All of it.
        trace: What is known of it.
    """

    number: int
    id: str
    code: str
    trace: Trace
    notice: str = field(default_factory=lambda: f"pctx:guest:{uuid4().hex}")

    @property
    def owner(self) -> str:
        """Whose program it is, for people."""
        if self.trace.asked_by == "agent":
            return "an agent's program"
        return f"a program of {self.trace.notebook or 'another notebook'}"

    @property
    def called(self) -> str:
        """What it has called, and how often: ``SalesReport.load ×3, SalesReport.save``."""
        counted = Counter(call.tool for call in self.trace.calls)
        shown = [tool if count == 1 else f"{tool} ×{count}" for tool, count in counted.most_common(5)]
        return ", ".join([*shown, *(["…"] if len(counted) > len(shown) else [])])

    @property
    def state(self) -> str:
        """How far it has come, or what came of it."""
        if self.trace.state == "running" or self.trace.duration_s is None:
            return "running"
        from .timeline import duration

        error = self.trace.error
        said = "" if error is None else f": {error.name}: {error.message}".splitlines()[0][:200]
        ended = "done in" if self.trace.state == "ok" else f"{self.trace.state} after"
        return f"{ended} {duration(self.trace.duration_s)}{said}"

    @property
    def began(self) -> str:
        """The time of day."""
        return time.strftime("%H:%M:%S", time.localtime(self.trace.started_at))


class Notices:
    """The notices of one notebook.

    Args:
        context: The context of the cell below which they are shown.
    """

    def __init__(self, context: Callable[[], contextvars.Context]) -> None:
        self._context = context
        self._runs: deque[GuestRun] = deque(maxlen=MOST_RUNS)
        self._count = 0
        self._since_cell = 0
        self._in_one: list[GuestRun] = []  # those that share the last notice

    @property
    def runs(self) -> list[GuestRun]:
        """The latest programs, the oldest first."""
        return list(self._runs)

    def cell_ended(self) -> None:
        """Another cell ran: what comes now is shown below it, one by one again."""
        self._since_cell = 0
        self._in_one = []

    def hear(self, heard: wire.GuestHeard) -> None:
        """Take note that somebody's program began to call, or ended, and show it."""
        trace = msgspec.json.decode(heard.trace, type=Trace)
        if heard.state == "began":
            self._count += 1
            run = GuestRun(self._count, heard.execution_id, heard.code, trace)
            self._runs.append(run)
            self._since_cell += 1
            if self._since_cell > MOST_NOTICES:
                self._in_one.append(run)
                run.notice = self._in_one[0].notice
            self._show(run, is_new=self._since_cell <= MOST_NOTICES + 1)
        elif (found := next((run for run in self._runs if run.id == heard.execution_id), None)) is not None:
            found.trace = trace
            self._show(found, is_new=False)
            if not self._is_shared(found):
                self._publish(_timeline(trace), f"{found.notice}:timeline", is_new=True)

    def _show(self, run: GuestRun, *, is_new: bool) -> None:
        bundle = _shared_notice(self._in_one) if self._is_shared(run) else _notice(run)
        self._publish(bundle, run.notice, is_new=is_new)

    def _is_shared(self, run: GuestRun) -> bool:
        return run in self._in_one

    def _publish(self, bundle: Bundle, name: str, *, is_new: bool) -> None:
        arguments: dict[str, Any] = {"transient": {"display_id": name}, "update": not is_new}
        self._context().copy().run(_publish, bundle, {}, **arguments)


def _notice(run: GuestRun) -> Bundle:
    from . import display  # there may never be a notice

    is_over = run.trace.state != "running"
    head = (
        f"{run.owner[:1].upper()}{run.owner[1:]} {'called' if is_over else 'calls'} this notebook's tools · {run.state}"
    )
    # What it called stands in the timeline, once it is over.
    told = ["" if is_over else run.called, f"%pctx insert {run.number} makes a cell of it"]
    return display.notice(head, told, run.code)


def _timeline(trace: Trace) -> Bundle:
    from . import timeline

    return timeline.bundle(trace)


def _shared_notice(runs: list[GuestRun]) -> Bundle:
    from . import display  # there may never be a notice

    last = runs[-1]
    head = f"{len(runs)} more programs of others called this notebook's tools · the last: {last.state}"
    return display.notice(head, [last.called, "%pctx runs lists the latest"], last.code)
