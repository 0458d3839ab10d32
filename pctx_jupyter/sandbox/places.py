"""Places among the programs that run at the same time: who has one, who waits for one, and in which order.

It knows neither sandboxes nor programs, and starts nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress


class Places:
    """So many places, given in the order in which they were asked for; those who come back are served first.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._returning: deque[asyncio.Future[None]] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def free(self) -> int:
        """How many nobody has."""
        return self._free

    async def take(self, *, is_returning: bool = False) -> None:
        """Wait for a place.

        Args:
            is_returning: Whether the program had a place before. Then it goes before those that have not begun.
        """
        queue = self._returning if is_returning else self._waiting
        if self._free and not queue and not self._returning:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.release()  # it came in the turn of the loop in which we were cancelled
            else:
                with suppress(ValueError):  # a `release` in this turn of the loop has passed over it
                    queue.remove(turn)
            raise

    def release(self) -> None:
        """Give a place back."""
        for queue in (self._returning, self._waiting):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._free += 1


class Seat:
    """The place of one program, which it may give up and take again; an `execution.Place`.

    Args:
        places: Where it comes from. The program has one of them when this is made.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._is_taken, self._is_over = True, False
        self._turn = asyncio.Lock()

    @property
    def is_taken(self) -> bool:
        """Whether the program has its place."""
        return self._is_taken

    def give_up(self) -> None:
        """Let another program have it; does nothing without one."""
        if self._is_taken:
            self._is_taken = False
            self._places.release()

    async def take(self) -> None:
        """Wait for one again, before programs that have not begun; several may wait, and get one together."""
        async with self._turn:
            if not self._is_taken and not self._is_over:
                await self._places.take(is_returning=True)
                self._is_taken = True
                if self._is_over:
                    self.give_up()

    def end(self) -> None:
        """The program is over: give the place back, and take none again."""
        self._is_over = True
        self.give_up()
