"""Keeps the collection of Python's garbage short in a server that holds much, such as the tools of many clients.

A full collection visits every object in one turn of the event loop: those of 100,000 tools for a fifth of a second. So
what has survived a long one is left out of those that follow, until some of it may have become garbage.
"""

from __future__ import annotations

import gc
import time
from typing import Any

from ..session.session import Session

LONG_S = 0.02
"""Seconds of processor time from which a collection is long."""

MANY = 1_000
"""Closed sessions that leave enough garbage for all objects to be visited once more. Their tools are no part of it."""


class Survivors:
    """What is left out of collections, from `begin` until `end`. The whole process has one set of them."""

    def __init__(self) -> None:
        self._since: float | None = None  # when the full collection that goes on began
        self._closed = 0  # sessions, since all objects were visited

    def begin(self) -> None:
        """Leave out what there is now, and from now on what survives a long collection."""
        gc.freeze()
        gc.callbacks.append(self._collected)

    def end(self) -> None:
        """Leave out nothing any more."""
        gc.callbacks.remove(self._collected)
        gc.unfreeze()

    def session_closed(self, session: Session) -> None:
        """Have the next full collection visit all objects again if many sessions have been closed."""
        self._closed += 1
        if self._closed >= MANY:
            self._closed = 0
            gc.unfreeze()

    def _collected(self, phase: str, info: dict[str, Any]) -> None:
        if info["generation"] != 2:
            return
        if phase == "start":
            self._since = time.thread_time()
        elif self._since is not None and time.thread_time() - self._since > LONG_S:
            gc.freeze()
