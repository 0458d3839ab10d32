"""What a program gives up while its calls wait for others: its place among the running programs, and its wall clock.

Knows neither who waits for what, nor how places are given out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol


class ProgramSlot(Protocol):
    """A program's place among those that run at the same time."""

    def give_up(self, *, always: bool) -> bool:
        """Let another program have it, and return whether that was done.

        Args:
            always: Whether to do so even if many programs have given theirs up.
        """

    async def take(self) -> None:
        """Wait for the place again; returns at once when the program has one, or is over."""


class Hold:
    """The waits of one program's calls.

    A call waits for a person who has to consent, for its turn in a busy notebook, or for a program without a place that
    its tool may have run. The program gives its place up while every open call waits, and takes it again before one of
    them, or a new one, goes on. Its wall clock stands still while a call waits for a person, and while the program
    waits for its place.

    Attributes:
        place: The program's place; None: it needs none.
        is_without_place: Whether the program has given its place up.
        on_queue: Called when the program has to wait for its first place; None: nothing is called.
        on_place: Called when the program gets its first place; None: nothing is called.
        on_clock: Called when the wall clock stops or starts, with whether it stands still; None: nothing is called.
    """

    __slots__ = (
        "_for_person",
        "_left_s",
        "_open",
        "_stopped",
        "_timeout",
        "_turns",
        "is_without_place",
        "on_clock",
        "on_place",
        "on_queue",
        "place",
    )

    def __init__(self) -> None:
        self.place: ProgramSlot | None = None
        self.is_without_place = False
        self.on_queue: Callable[[], None] | None = None
        self.on_place: Callable[[], None] | None = None
        self.on_clock: Callable[[bool], None] | None = None
        self._open = 0
        self._for_person = 0
        self._turns: set[int] = set()  # calls that wait for their turn, by number
        self._timeout: asyncio.Timeout | None = None
        self._stopped, self._left_s = 0, 0.0

    def queue(self) -> None:
        """The program has to wait for its first place."""
        if self.on_queue is not None:
            self.on_queue()

    def begin(self, place: ProgramSlot) -> None:
        """The program has its first place."""
        self.place = place
        if self.on_place is not None:
            self.on_place()

    # the wall clock

    @asynccontextmanager
    async def time_limit(self, seconds: float) -> AsyncIterator[None]:
        """Raise `TimeoutError` when the block takes longer; time in which the clock stands still does not count."""
        try:
            async with asyncio.timeout(seconds) as self._timeout:
                yield
        finally:
            self._timeout = None

    @property
    def is_clock_stopped(self) -> bool:
        """Whether the wall clock stands still."""
        return self._stopped > 0

    def stop_clock(self) -> None:
        """Let the wall clock stand still until `start_clock` was called as often as this."""
        self._stopped += 1
        if self._stopped == 1 and self.on_clock is not None:
            self.on_clock(True)
        if self._stopped > 1 or self._timeout is None or self._timeout.expired():
            return
        if (due := self._timeout.when()) is not None:
            self._left_s = due - asyncio.get_running_loop().time()
            self._timeout.reschedule(None)

    def start_clock(self) -> None:
        """Undo one `stop_clock`."""
        self._stopped -= 1
        if not self._stopped and self.on_clock is not None:
            self.on_clock(False)
        if not self._stopped and self._timeout is not None and self._timeout.when() is None:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._left_s)

    # the calls

    def begin_call(self) -> None:
        """The program has one more open call."""
        self._open += 1

    def end_call(self, number: int = 0) -> None:
        """The program has one open call less.

        Args:
            number: The call's, as `begin_turn` was given it.
        """
        self._open -= 1
        self._turns.discard(number)
        self._settle()

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Have an open call wait for a person in the block; it leaves the block with a place for the program."""
        self.stop_clock()
        try:
            self._for_person += 1
            try:
                self._settle()
                yield
            finally:
                self._for_person -= 1
            await self.take_place()
        finally:
            self.start_clock()

    def begin_turn(self, number: int) -> None:
        """An open call waits for its turn in a busy notebook, or may wait for a program, from now until it ends.

        Args:
            number: The call's.
        """
        self._turns.add(number)
        self._settle()

    async def end_turn(self, number: int) -> None:
        """Before the outcome of a call reaches the program: wait until the program has its place."""
        self._turns.discard(number)
        await self.take_place()

    async def take_place(self) -> None:
        """Wait until the program has a place."""
        if self.place is not None and self.is_without_place:
            self.stop_clock()
            try:
                await self.place.take()
            finally:
                self.start_clock()
        self.is_without_place = False

    def _settle(self) -> None:
        waiting = self._for_person + len(self._turns)
        if not waiting or waiting < self._open or self.is_without_place:
            return
        # The number of programs that wait for a person is bounded where a person is asked.
        self.is_without_place = self.place is None or self.place.give_up(always=self._for_person > 0)


__all__ = ["Hold", "ProgramSlot"]
