"""How much all clients together may have done in one turn of the server's event loop.

A client that sends without end makes turns long, and nobody else is served before a turn ends. So messages and requests
wait for a later turn when enough has been done in this one. It knows neither what they are nor who sent them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from ..rpc.pipe import BURST

TURN_S = 0.003
"""Seconds of processor time that messages may take in a turn: a request passes about six turns before its answer."""

LONG_S = 0.02
"""Seconds of processor time from which the reading of a message is long."""

REST = 40
"""After a message whose reading is long, a client's next one waits so many times as long: of the others' requests, one
in a hundred meets such a reading at most."""

MOST_REST_S = 5.0
"""Seconds that it waits at most: its pings wait as well, and without an answer it takes the server for dead."""


def rest_s(took_s: float) -> float:
    """Return how many seconds a client's next message waits after one whose reading took so much processor time."""
    return min(REST * took_s, MOST_REST_S) if took_s > LONG_S else 0.0


class TurnBudget:
    """Bounds the messages that all connections together deliver in one turn.

    A turn takes up to `BURST` messages. If a turn took longer than `TURN_S`, the next one takes fewer, at least one.
    A connection has one message at most that waits, and they pass in the order in which they came: each has its share.

    Args:
        clock: Returns the processor time of this thread.
    """

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._most, self._taken = BURST, 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._since: float | None = None  # when this turn began; None: no turn is measured
        self._next = _NextTurn(self._begin)

    def take(self) -> bool:
        """Count a message and return True if this turn may take it; otherwise it has to `wait`."""
        if self._waiting or self._taken >= self._most:
            return False
        self._taken += 1
        self._next.schedule()
        return True

    async def wait(self) -> None:
        """Wait for a later turn that may take one more message; it is counted there."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._next.schedule()
        await turn

    def _begin(self) -> None:
        """Begin a turn: set its limit by what the turn before took, and release messages that wait."""
        now = self._clock()
        if self._since is not None:
            spent = now - self._since
            if spent > TURN_S:
                self._most = max(1, int(self._most * TURN_S / spent))
            elif self._most < BURST:
                self._most += 1
        had_messages, self._taken = self._taken > 0, 0
        while self._waiting and self._taken < self._most:
            turn = self._waiting.popleft()
            if not turn.done():  # its connection may be gone
                turn.set_result(None)
                self._taken += 1
        # What a message asks for is begun in the turn after it came, so that one is measured, too.
        self._since = now if had_messages or self._taken else None
        if self._since is not None:
            self._next.schedule()


class Lanes:
    """Lets one piece of work of each kind pass in a turn.

    However many requests of one kind there are, they make a turn longer by one of them, and delay no other kind.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._passed: set[str] = set()
        self._next = _NextTurn(self._begin)

    async def enter(self, lane: str) -> None:
        """Pass at once if nothing of this kind has passed in this turn; otherwise wait, first come first served."""
        if lane not in self._passed and lane not in self._waiting:
            self._passed.add(lane)
            self._next.schedule()
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(lane, deque()).append(turn)
        self._next.schedule()
        await turn

    def _begin(self) -> None:
        self._passed.clear()
        for lane, waiting in list(self._waiting.items()):
            turn = waiting.popleft()
            if not waiting:
                del self._waiting[lane]
            if not turn.done():  # its request may be gone
                turn.set_result(None)
            self._passed.add(lane)
        if self._passed:
            self._next.schedule()


class _NextTurn:
    """Calls a function at the beginning of the next turn of the loop: once, however often it is scheduled for it."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin, self._is_scheduled = begin, False

    def schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._is_scheduled = False
        self._begin()
