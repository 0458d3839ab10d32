"""Long work in a loop that others share: it is done in slices, and others are served between two of them.

A thread would not help: Python runs one thread at a time, and one that works delays the thread of the loop. All work of
a loop that goes on takes one slice of a turn together, however much of it there is.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

SLICE_S = 0.002
"""Seconds of processor time that work in slices takes of a turn of the loop. A request passes about six turns before
its answer, and may meet a slice in each of them. A turn itself takes a tenth of a slice."""

TURNS = 10
"""Turns of the loop in which a request over HTTP is answered, from when it comes. It passes about six."""


async def in_slices(items: Iterable[T], slice_s: float = SLICE_S) -> AsyncIterator[T]:
    """Yield items, and wait for a later turn of the loop when the work between has taken a slice.

    Other work that waits for its next slice has it first.

    Args:
        items: What there is to work on. It must not change while the loop runs others, so pass a copy.
        slice_s: Seconds of processor time after which the loop serves others.
    """
    if _queue().has_waiting:
        await _next_slice()
    since = time.thread_time()
    for item in items:
        yield item
        if time.thread_time() - since >= slice_s:
            await _next_slice()
            since = time.thread_time()


def in_next_slice(act: Callable[[], None]) -> None:
    """Call a function in a later turn of the running loop, whose slice it may take; never waits."""
    _queue().append(act)


async def let_others_pass() -> None:
    """Wait for as many turns as a request passes, so that those under way are answered before long work goes on.

    A request then meets one long turn at most, where what is done for another consists of several.
    """
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def _next_slice() -> None:
    turn = asyncio.get_running_loop().create_future()

    def begin() -> None:
        if not turn.done():  # the work may have been cancelled
            turn.set_result(None)

    in_next_slice(begin)
    await turn


class _SliceQueue:
    """Work of one loop that waits for its next slice: one of them passes in a turn, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting)

    def append(self, act: Callable[[], None]) -> None:
        self._waiting.append(act)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._pass_one)

    def _pass_one(self) -> None:
        act = self._waiting.popleft()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._pass_one)
        act()


_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _SliceQueue] = WeakKeyDictionary()


def _queue() -> _SliceQueue:
    """Return the queue of the running loop."""
    return _queues.setdefault(asyncio.get_running_loop(), _SliceQueue())
