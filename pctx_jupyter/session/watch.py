"""Notifies listeners that something has changed, and of what kind it is.

A change is one word. Listeners fetch the new state when they are ready, so nothing queues up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Literal

log = logging.getLogger(__name__)

Change = Literal["tools", "sessions", "executions", "upstreams", "approvals", "handles", "hosts"]
"""What has changed: the tools that programs may call, the sessions or their names, an execution, an upstream's state,
the calls that wait for consent, the objects that kernels hold, the sandbox hosts."""


class Watchers:
    """The listeners of one engine."""

    def __init__(self) -> None:
        self._listeners: dict[object, Callable[[Change], None]] = {}
        self._drawn: dict[object, frozenset[str]] = {}  # kernels, by who draws their guests

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call a function on every change; it must not block. Returns the function that ends this."""
        key = object()
        self._listeners[key] = listener
        return lambda: self._listeners.pop(key, None) and None

    def notify(self, change: Change) -> None:
        """Call every listener; when one fails, the others are called all the same."""
        for listener in list(self._listeners.values()):
            try:
                listener(change)
            except Exception:
                log.exception("watch = a listener failed on %s", change)

    def draw(self, painter: object, kernels: Collection[str]) -> None:
        """Take note that a front end shows the guest programs of these kernels itself, until it says otherwise.

        Args:
            painter: Identifies the front end.
            kernels: The ids of the kernels; empty: it shows none any more.
        """
        self._drawn.pop(painter, None)
        if kernels:
            self._drawn[painter] = frozenset(kernels)

    def is_drawn(self, kernel_id: str | None) -> bool:
        """Whether some front end shows the guest programs of a kernel itself."""
        return any(kernel_id in kernels for kernels in self._drawn.values())
