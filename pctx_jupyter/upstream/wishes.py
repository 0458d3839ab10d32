"""What others ask of a connection, kept until the task that owns the connection takes it up."""

from __future__ import annotations

import asyncio
import enum


class Wish(enum.Enum):
    """One thing that is asked of the owner of a connection."""

    CLOSE = "close"
    """Disconnect for good. It is never taken back."""
    CONNECT = "connect"
    """Make a new connection now, whether there is one or not: a person asks for it."""
    HURRY = "hurry"
    """Connect now if there is no connection: a call waits for it."""
    LOST = "lost"
    """The connection is of no use any more."""
    LIST = "list"
    """The tools may have changed: list them again."""


class Wishes:
    """Open wishes. Each stands once, however often it is made."""

    def __init__(self) -> None:
        self._open: set[Wish] = set()
        self._new = asyncio.Event()

    def __contains__(self, wish: Wish) -> bool:
        return wish in self._open

    def put(self, *wishes: Wish) -> None:
        """Make wishes; it never blocks."""
        self._open.update(wishes)
        self._new.set()

    def drop(self, *wishes: Wish) -> None:
        """Forget wishes, since what follows fulfils them or makes them pointless."""
        self._open.difference_update(wishes)

    async def take(self, *wanted: Wish, within_s: float | None = None) -> Wish | None:
        """Wait for one of some wishes, and take it up; others stay open.

        Args:
            wanted: The wishes, the most urgent first.
            within_s: Seconds to wait at most; None: without a limit.

        Returns:
            The wish; None: there was none in that time.
        """
        try:
            async with asyncio.timeout(within_s):
                while True:
                    for wish in wanted:
                        if wish in self._open:
                            if wish is not Wish.CLOSE:
                                self._open.remove(wish)
                            return wish
                    self._new.clear()
                    await self._new.wait()
        except TimeoutError:
            return None
