"""What waits to be sent on one connection whose other end reads slowly, or not at all: it is bounded in bytes.

Messages that can wait do so while `UNSENT_BYTES` of others wait: each end's requests, and a client's results. All
others, such as notifications, are added to what waits. The owner of the connection drops it at a further limit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

UNSENT_BYTES = 8 << 20
"""Bytes that wait to be sent from which messages that can wait are held back. These hold their own memory."""

UNREAD_BYTES = 32 << 20
"""Bytes that the other end of a connection may leave unread, beyond one message of the largest size."""


class Room:
    """The room for further messages on one connection.

    Args:
        unsent: Returns the bytes that wait to be sent.
        on_wait: Called when a message begins to wait: the other end owes us that it reads, and has to be watched.
    """

    def __init__(self, unsent: Callable[[], int] = lambda: 0, on_wait: Callable[[], None] = lambda: None) -> None:
        self._unsent, self.on_wait = unsent, on_wait
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_closed = False

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait to be sent."""
        return self._unsent()

    @property
    def is_waited_for(self) -> bool:
        """Whether a message waits."""
        return bool(self._waiting)

    async def wait(self) -> None:
        """Wait until fewer than `UNSENT_BYTES` wait, or the connection is gone. Then send in the same turn."""
        while self._unsent() >= UNSENT_BYTES and not self._is_closed:
            room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(room)
            self.on_wait()
            await room

    def refresh(self) -> None:
        """Note that bytes have been sent: what waits looks again, in its order. Each sends before the next looks."""
        if self._unsent() < UNSENT_BYTES:
            self._wake()

    def close(self) -> None:
        """Note that the connection is gone: nothing waits from now on."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            room = self._waiting.popleft()
            if not room.done():  # it may have been cancelled
                room.set_result(None)
