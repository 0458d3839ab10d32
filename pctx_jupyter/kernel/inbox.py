"""Things on their way to a loop, from any thread. Knows nothing of what they are.

The only way in which our two threads, the bridge's and the waiting cell's, hand anything to each other.
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
    """Hands things to a loop in the order in which they were put in, and wakes it once for many.

    Args:
        loop: Where they are taken out.
        take: Takes one thing, on that loop; never waits, and catches what it may raise.
        context: The context in which it runs; None: that of whoever makes the inbox.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, take: Callable[[T], None], context: contextvars.Context | None = None
    ) -> None:
        self._loop, self._take = loop, take
        self._context = context if context is not None else contextvars.copy_context()
        self._things: deque[T] = deque()
        self._is_waking = False

    def put(self, thing: T) -> bool:
        """Hand over one thing, from any thread; returns whether anybody can take it: False when the loop is closed."""
        self._things.append(thing)
        # Set before the loop is woken and cleared before it looks: a thing put in between is seen, or wakes again.
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
                log.exception("inbox = failed to take a thing")
