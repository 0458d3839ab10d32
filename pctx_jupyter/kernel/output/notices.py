"""Notices: what a notebook shows of guest programs that call its tools, and a list of the latest ones.

A notice is an output of the cell that ran last. It shows the program and its kind of owner. When the program has
ended, the notice also shows the calls and the outcome, and the run's timeline follows. This module knows IPython's
displays, not how calls arrive.
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
"""The number of latest programs that are kept."""

MOST_NOTICES = 5
"""Notices between two cells; all further programs share one more notice."""


@dataclass(slots=True, eq=False)
class GuestRun:
    """One guest program that called this notebook's tools.

    Args:
        number: Its number in this notebook, from 1 on.
        id: The id of its execution.
        code: Its whole text.
        trace: Its latest trace.
    """

    number: int
    id: str
    code: str
    trace: Trace
    notice: str = field(default_factory=lambda: f"pctx:guest:{uuid4().hex}")

    @property
    def owner(self) -> str:
        """The kind of owner, as text for people."""
        if self.trace.asked_by == "agent":
            return "an agent's program"
        return f"a program of {self.trace.notebook or 'another notebook'}"

    @property
    def called(self) -> str:
        """The tools that it has called, and how often: ``SalesReport.load ×3, SalesReport.save``."""
        counted = Counter(call.tool for call in self.trace.calls)
        shown = [tool if count == 1 else f"{tool} ×{count}" for tool, count in counted.most_common(5)]
        return ", ".join([*shown, *(["…"] if len(counted) > len(shown) else [])])

    @property
    def state(self) -> str:
        """Its state, or its outcome and duration."""
        if self.trace.state == "running" or self.trace.duration_s is None:
            return "running"
        from .timeline import duration

        error = self.trace.error
        said = "" if error is None else f": {error.name}: {error.message}".splitlines()[0][:200]
        ended = "done in" if self.trace.state == "ok" else f"{self.trace.state} after"
        return f"{ended} {duration(self.trace.duration_s)}{said}"

    @property
    def began(self) -> str:
        """The time of day at which it began."""
        return time.strftime("%H:%M:%S", time.localtime(self.trace.started_at))


class Notices:
    """The notices of one notebook.

    Args:
        context: Returns the context of the cell below which notices are shown.
    """

    def __init__(self, context: Callable[[], contextvars.Context]) -> None:
        self._context = context
        self._runs: deque[GuestRun] = deque(maxlen=MOST_RUNS)
        self._count = 0
        self._since_cell = 0
        self._in_one: list[GuestRun] = []  # the programs that share the last notice

    @property
    def runs(self) -> list[GuestRun]:
        """The latest programs, oldest first."""
        return list(self._runs)

    def cell_ended(self) -> None:
        """Show further notices below the cell that just ended, each on its own again."""
        self._since_cell = 0
        self._in_one = []

    def update(self, notice: wire.GuestNotice) -> None:
        """Record that a guest program began to call this notebook's tools, or ended, and show it."""
        trace = msgspec.json.decode(notice.trace, type=Trace)
        if notice.state == "began":
            self._count += 1
            run = GuestRun(self._count, notice.execution_id, notice.code, trace)
            self._runs.append(run)
            self._since_cell += 1
            if self._since_cell > MOST_NOTICES:
                self._in_one.append(run)
                run.notice = self._in_one[0].notice
            self._show(run, is_new=self._since_cell <= MOST_NOTICES + 1)
        elif (found := next((run for run in self._runs if run.id == notice.execution_id), None)) is not None:
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
    from . import display  # imported with the first notice

    is_over = run.trace.state != "running"
    head = (
        f"{run.owner[:1].upper()}{run.owner[1:]} {'called' if is_over else 'calls'} this notebook's tools · {run.state}"
    )
    # When the program has ended, its timeline shows the calls.
    lines = ["" if is_over else run.called, f"%pctx insert {run.number} makes a cell of it"]
    return display.notice(head, lines, run.code)


def _timeline(trace: Trace) -> Bundle:
    from . import timeline

    return timeline.bundle(trace)


def _shared_notice(runs: list[GuestRun]) -> Bundle:
    from . import display  # imported with the first notice

    last = runs[-1]
    head = f"{len(runs)} more guest programs called this notebook's tools · the last: {last.state}"
    return display.notice(head, [last.called, "%pctx runs lists the latest"], last.code)
