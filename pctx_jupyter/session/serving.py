"""The calls that one client serves, and its programs that wait for a place: a tool may wait for such a program.

A tool may run a program of its own, and that program needs a place. The program that has called the tool has one, and
neither would go on if there were no other. So when a program of a client has waited for its first place for a while,
the programs whose calls the client has served for as long let others run. Which of these calls waits for which program
is not known here.
"""

from __future__ import annotations

import asyncio
from itertools import count

from ..tools.calls import Call
from .hold import Hold

LONG_S = 0.5
"""Seconds that a call takes, or a program waits for its first place, before one may be the reason of the other.

Programs with shorter calls keep their places: there would be more of them at once than may run.
"""


class ServedCalls:
    """The calls that one client serves now."""

    __slots__ = ("_calls", "_checking", "_numbers", "_queued")

    def __init__(self) -> None:
        self._calls: dict[int, tuple[Call, float]] = {}  # each with when it began
        self._numbers = count()
        self._queued: dict[Hold, float] = {}  # each with when it was queued
        self._checking: asyncio.TimerHandle | None = None

    def begin(self, call: Call) -> int:
        """Note that the client serves a call from now on; returns the number that `end` takes."""
        number = next(self._numbers)
        self._calls[number] = call, asyncio.get_running_loop().time()
        if self._queued:
            self._check_soon()
        return number

    def end(self, number: int) -> None:
        """Note that a call has ended."""
        del self._calls[number]

    def queue(self, hold: Hold) -> None:
        """Note that a program of the client has to wait for its first place."""
        self._queued[hold] = asyncio.get_running_loop().time()
        if self._calls:
            self._check_soon()

    def leave(self, hold: Hold) -> None:
        """Note that a program of the client is over."""
        self._queued.pop(hold, None)
        if not self._queued and self._checking is not None:
            self._checking.cancel()
            self._checking = None

    def _check_soon(self) -> None:
        if self._checking is None:
            self._checking = asyncio.get_running_loop().call_later(LONG_S, self._check)

    def _check(self) -> None:
        """Have the programs let others run whose calls take long while another program waits for long."""
        self._checking = None
        latest = asyncio.get_running_loop().time() - LONG_S
        self._queued = {hold: since for hold, since in self._queued.items() if hold.place is None}
        if not self._queued:
            return
        if min(self._queued.values()) <= latest:
            for call, since in list(self._calls.values()):
                if since <= latest:
                    call.waits()
        if self._calls:
            self._check_soon()
