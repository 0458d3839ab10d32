"""The calls that one client serves, and its programs that wait for a place: a tool may wait for such a program.

A tool may run a program of its own, and that program needs a place. The program that has called the tool has one, and
neither would go on if there were no other. So while a program of a client waits for its first place, the programs whose
calls the client serves let others run. Which of these calls waits for which program is not known here.
"""

from __future__ import annotations

from itertools import count

from ..tools.catalog import Call
from .hold import Hold


class ServedCalls:
    """The calls that one client serves now."""

    __slots__ = ("_calls", "_numbers", "_queued")

    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}
        self._numbers = count()
        self._queued: set[Hold] = set()

    def begin(self, call: Call) -> int:
        """Note that the client serves a call from now on; returns the number that `end` takes."""
        number = next(self._numbers)
        self._calls[number] = call
        if self._queued and any(hold.place is None for hold in self._queued):
            call.waits()
        return number

    def end(self, number: int) -> None:
        """Note that a call has ended."""
        del self._calls[number]

    def queue(self, hold: Hold) -> None:
        """Note that a program of the client has to wait for its first place."""
        self._queued.add(hold)
        for call in list(self._calls.values()):
            call.waits()

    def leave(self, hold: Hold) -> None:
        """Note that a program of the client is over."""
        self._queued.discard(hold)
