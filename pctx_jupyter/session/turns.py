"""Turns of calls at one MCP server or in one notebook: only so many at once, and a fair share for each client.

A connection takes a call at once, and who serves calls has an order of their own. So what one client's programs ask for
at the same time is held back here, before another client's call has to stand in line behind all of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

AT_ONCE = 96
"""Calls that one of them is sent at the same time. Over HTTP each has a connection, of which there are 100."""
OF_ONE = 64
"""Those of one client: as many as one program may have open."""


class Turns:
    """The turns at one of them. The client with the fewest calls is next; of several, the one that waits the longest.

    Args:
        at_once: Calls at the same time.
        of_one: Those of one client.
    """

    def __init__(self, at_once: int = AT_ONCE, of_one: int = OF_ONE) -> None:
        self._at_once, self._of_one = at_once, of_one
        self._open: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, client: str, waits: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
        """Wait for a turn, and have it for the block; `waits` is called when it does not come at once."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        self._give_out()
        try:
            if not turn.done():
                waits()
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._open[client] -= 1
                if not self._open[client]:
                    del self._open[client]
            else:
                self._leave(client, turn)
            self._give_out()

    def open_of(self, client: str) -> int:
        """The calls of one client that have a turn."""
        return self._open[client]

    def _leave(self, client: str, turn: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(client)
        if waiting is not None and turn in waiting:
            waiting.remove(turn)
            if not waiting:
                del self._waiting[client]

    def _give_out(self) -> None:
        while self._open.total() < self._at_once:
            may = [client for client in self._waiting if self._open[client] < self._of_one]
            if not may:
                return
            client = min(may, key=self._open.__getitem__)
            turn = self._waiting[client][0]
            self._leave(client, turn)
            if client in self._waiting:
                self._waiting.move_to_end(client)
            if not turn.done():
                self._open[client] += 1
                turn.set_result(None)
