"""Where the executions of all sessions are recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..settings import Settings
from .approvals import Approvals
from .meter import SessionMeter
from .observers import Observers
from .spans import Spans
from .trace import History
from .watch import Watchers

Clock = Callable[[], float]
"""Returns seconds."""


@dataclass(frozen=True, slots=True)
class Journal:
    """Where the executions of all sessions are recorded, and what is notified of changes.

    Args:
        now: Seconds since 1970.
    """

    history: History
    now: Clock
    watchers: Watchers
    approvals: Approvals
    observers: Observers
    spans: Spans
    meter: SessionMeter


def journal_of(settings: Settings, clock: Clock, now: Clock = lambda: 0.0) -> Journal:
    """Make a new one."""
    watchers = Watchers()
    asking = Approvals(
        settings.max_approval_s,
        clock,
        lambda: watchers.notify("approvals"),
        settings.consent_by,
        settings.max_waiting_programs,
        now,
    )
    return Journal(
        History(settings.max_history), now, watchers, asking, Observers(), Spans(settings.spans, clock), SessionMeter()
    )
