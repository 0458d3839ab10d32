"""Notifies listeners that something has changed, and of what kind it is.

A change is one word. Listeners fetch the new state when they are ready, so nothing queues up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

log = logging.getLogger(__name__)

Change = Literal["tools", "sessions", "executions", "upstreams", "approvals"]
"""What has changed: the tools somebody may call, the sessions or their names, an execution, an upstream's state, what
waits for somebody's consent."""


class Watchers:
    """Those who watch one engine."""

    def __init__(self) -> None:
        self._hear: dict[object, Callable[[Change], None]] = {}

    def __len__(self) -> int:
        return len(self._hear)

    def add(self, hear: Callable[[Change], None]) -> Callable[[], None]:
        """Have a function told of every change, which must not wait; returns the way to end that."""
        key = object()
        self._hear[key] = hear
        return lambda: self._hear.pop(key, None) and None

    def tell(self, change: Change) -> None:
        """Tell all of them; one who fails keeps nobody else from hearing it."""
        for hear in list(self._hear.values()):
            try:
                hear(change)
            except Exception:
                log.exception("watch = failed to tell of %s", change)
