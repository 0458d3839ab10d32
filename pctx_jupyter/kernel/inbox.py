"""A queue of items for an event loop, filled from any thread. It does not know what the items are.

The bridge's thread and the waiting cell's thread exchange items through inboxes only.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class Inbox(Generic[T]):
    """Passes items to a loop in order, and wakes the loop once for many items.

    Args:
        loop: The loop on which `take` runs.
        take: Handles one item; it must not block.
        context: The context in which it runs; None: the context in which the inbox is made.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, take: Callable[[T], None], context: contextvars.Context | None = None
    ) -> None:
        self._loop, self._take = loop, take
        self._context = context if context is not None else contextvars.copy_context()
        self._things: deque[T] = deque()
        self._is_waking = False

    def put(self, thing: T) -> bool:
        """Add one item, from any thread; returns False if the loop is closed, so that nothing will handle it."""
        self._things.append(thing)
        # Set before the loop is woken, and cleared before the queue is read: an item added in between is read, or wakes
        # the loop again.
        if not self._is_waking:
            self._is_waking = True
            try:
                self._loop.call_soon_threadsafe(self._empty, context=self._context)
            except RuntimeError:
                return False
        return not self._loop.is_closed()

    def _empty(self) -> None:
        self._is_waking = False
        while self._things:
            try:
                self._take(self._things.popleft())
            except Exception:
                log.exception("inbox = cannot handle an item")
