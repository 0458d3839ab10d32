"""Those who record what has happened, whole: metrics, an audit log. Without any, nothing is collected for them.

Watchers (`watch`) are told that something has changed; observers receive each execution and each call that has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .execution import CallMade
from .trace import Trace

log = logging.getLogger(__name__)


class Observer(Protocol):
    """One that records. Its methods never wait."""

    def execution_ended(self, trace: Trace) -> None:
        """Record an execution that is over."""

    def call_ended(self, trace: Trace, call: CallMade) -> None:
        """Record a call of a tool that has ended.

        Args:
            trace: What is known of its execution so far.
            call: The call, with the whole of its arguments and its result.
        """


@dataclass(slots=True)
class Observers:
    """The observers of one engine. When one fails, the others and the program go on."""

    _known: tuple[Observer, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._known)

    def add(self, observer: Observer) -> Callable[[], None]:
        """Let an observer record from now on; returns the function that ends this."""
        self._known += (observer,)

        def remove() -> None:
            self._known = tuple(one for one in self._known if one is not observer)

        return remove

    def execution_ended(self, trace: Trace) -> None:
        """Let every observer record an execution that is over."""
        for observer in self._known:
            try:
                observer.execution_ended(trace)
            except Exception:
                log.exception("observer = failed to record execution %s", trace.id)

    def call_ended(self, trace: Trace, call: CallMade) -> None:
        """Let every observer record a call that has ended."""
        for observer in self._known:
            try:
                observer.call_ended(trace, call)
            except Exception:
                log.exception("observer = failed to record call %d of execution %s", call.number, trace.id)
