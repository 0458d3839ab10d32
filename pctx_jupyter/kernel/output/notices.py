"""Notices: what a notebook shows of guest programs that call its tools, and a list of the latest ones.

A notice is an output of the cell that ran last when the program began. It shows the program, its calls and its outcome,
and it is updated in place. The programs of one owner share a notice until another cell has run. Where a front end
shows guest programs itself, there are no notices. This module knows IPython's displays, not how calls arrive.
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
from ...session.trace import NOTICE, Trace

if TYPE_CHECKING:
    from .display import Bundle

_publish: Callable[..., None] = publish_display_data  # IPython is not typed

MOST_RUNS = 20
"""The number of latest programs that are kept."""

MOST_LINES = 5
"""Programs of one owner that their notice lists, the latest ones."""


@dataclass(slots=True, eq=False)
class GuestRun:
    """One guest program that called this notebook's tools.

    Args:
        number: Its number in this notebook, from 1 on.
        id: The id of its execution.
        code: Its whole text.
        trace: Its latest trace.
        notice: The notice that shows it; None: a front end shows it.
    """

    number: int
    id: str
    code: str
    trace: Trace
    notice: Notice | None = None

    @property
    def whose(self) -> str:
        """The name of the owner: an agent's client, or another notebook; empty: it has none."""
        return (self.trace.agent if self.trace.asked_by == "agent" else self.trace.notebook) or ""

    @property
    def owner(self) -> str:
        """The owner as text for people, at the beginning of a sentence."""
        return self.whose or ("An agent" if self.trace.asked_by == "agent" else "Another notebook")

    @property
    def called(self) -> str:
        """The tools that it has called, and how often: ``SalesReport.load ×3, SalesReport.save``."""
        counted = Counter(call.tool for call in self.trace.calls)
        shown = [tool if count == 1 else f"{tool} ×{count}" for tool, count in counted.most_common(5)]
        return ", ".join([*shown, *(["…"] if len(counted) > len(shown) else [])])

    @property
    def state(self) -> str:
        """Its state, or its outcome and duration."""
        if not self.is_over or self.trace.duration_s is None:
            return "running"
        from .run_words import duration

        error = self.trace.error
        said = "" if error is None else f": {error.name}: {error.message}".splitlines()[0][:200]
        ended = "done in" if self.trace.state == "ok" else f"{self.trace.state} after"
        return f"{ended} {duration(self.trace.duration_s)}{said}"

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.trace.state != "running"

    @property
    def began(self) -> str:
        """The time of day at which it began."""
        return time.strftime("%H:%M:%S", time.localtime(self.trace.started_at))


@dataclass(slots=True, eq=False)
class Notice:
    """One output: the programs of one owner.

    Args:
        context: The context of the cell whose output it is.
        runs: The programs, oldest first; the latest ones, if there are many.
        count: The number of all programs.
    """

    context: contextvars.Context
    runs: deque[GuestRun] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    count: int = 0
    id: str = field(default_factory=lambda: f"pctx:guest:{uuid4().hex}")
    is_shown: bool = False

    def add(self, run: GuestRun) -> None:
        """Show a further program."""
        self.runs.append(run)
        self.count += 1
        run.notice = self

    def show(self) -> None:
        """Make the output, or update it in place."""
        arguments: dict[str, Any] = {"transient": {"display_id": self.id}, "update": self.is_shown}
        self.is_shown = True
        self.context.copy().run(_publish, self._bundle(), {NOTICE: True}, **arguments)

    def _bundle(self) -> Bundle:
        from . import display, timeline  # imported with the first notice

        last = self.runs[-1]
        if self.count == 1:
            did = "ran" if last.is_over else "is running"
            head = f"{last.owner} {did} a program here · {last.state}"
            # When the program has ended, its timeline shows the calls.
            lines = ["" if last.is_over else last.called, f"%pctx insert {last.number} makes a cell of it"]
        else:
            head = f"{last.owner} ran {self.count} programs here · last {last.began}"
            lines = [
                " · ".join(part for part in (run.began, run.called, run.state, f"%pctx insert {run.number}") if part)
                for run in reversed(self.runs)
            ]
        return display.notice(head, lines, last.code, timeline.bundle(last.trace) if last.is_over else None)


class Notices:
    """The notices of one notebook.

    Args:
        context: Returns the context of the cell below which new notices are shown.
    """

    def __init__(self, context: Callable[[], contextvars.Context]) -> None:
        self._context = context
        self._runs: deque[GuestRun] = deque(maxlen=MOST_RUNS)
        self._count = 0
        self._notices: dict[tuple[str, str], Notice] = {}  # below the cell that ran last, by owner

    @property
    def runs(self) -> list[GuestRun]:
        """The latest programs, oldest first."""
        return list(self._runs)

    def cell_ended(self) -> None:
        """Show further programs below the cell that just ended, in new notices."""
        self._notices = {}

    def update(self, notice: wire.GuestNotice) -> None:
        """Record that a guest program began to call this notebook's tools, or ended, and show it.

        A program that ended is shown in the notice that it has from its beginning, under whatever cell that is.
        """
        trace = msgspec.json.decode(notice.trace, type=Trace)
        if notice.state == "began":
            self._count += 1
            run = GuestRun(self._count, notice.execution_id, notice.code, trace)
            self._runs.append(run)
        else:
            found = next((run for run in self._runs if run.id == notice.execution_id), None)
            if found is None:
                return
            run = found
            run.trace = trace
        if run.notice is None and not notice.drawn:
            key = (trace.asked_by, run.whose)
            shown = self._notices.get(key)
            if shown is None:
                shown = self._notices[key] = Notice(self._context())
            shown.add(run)
        if run.notice is not None:
            run.notice.show()
