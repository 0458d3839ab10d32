"""Threads for two kinds of work: computing, which ends by itself, and waiting for others, which may not.

The loop's own threads are few, and others fill them: name servers that do not answer, other extensions of a server. So
what programs need has threads that nothing else uses, and what waits for others has one thread for each kind of wait.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable
from concurrent import futures
from contextlib import suppress
from functools import partial
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

COMPUTING = 4
"""Threads that compute for one loop."""

SWITCH_S = 0.001
"""Seconds after which a thread that computes lets others have the interpreter; Python's own are 5 ms. A loop waits that
long each time that it wakes, and a request takes six turns of it."""

P = ParamSpec("P")
T = TypeVar("T")

_computing: WeakKeyDictionary[asyncio.AbstractEventLoop, futures.ThreadPoolExecutor] = WeakKeyDictionary()


async def compute(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do work that waits for nobody on a thread, as `asyncio.to_thread` does, but not in line behind work of others.

    Raises:
        RuntimeError: There can be no more threads.
    """
    loop = asyncio.get_running_loop()
    if (pool := _computing.get(loop)) is None:
        pool = _computing[loop] = futures.ThreadPoolExecutor(COMPUTING, "pctx computes")
    context = contextvars.copy_context()
    return await loop.run_in_executor(pool, partial(_give_way, partial(context.run, partial(work, *args, **kwargs))))


class _Switching:
    """How often Python's threads take turns, while some of them compute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._computing = 0
        self._usual = self._set = 0.0

    def begin(self) -> None:
        """Take turns every `SWITCH_S` from now on, unless that is how it is already."""
        with self._lock:
            self._computing += 1
            if self._computing == 1:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(min(self._usual, SWITCH_S))
                self._set = sys.getswitchinterval()

    def end(self) -> None:
        """Take turns as before, unless others are computing, or somebody has set it meanwhile."""
        with self._lock:
            self._computing -= 1
            if not self._computing and sys.getswitchinterval() == self._set:
                sys.setswitchinterval(self._usual)


_switching = _Switching()


def _give_way(work: Callable[[], T]) -> T:
    """Do work on this thread, and let others have the interpreter often."""
    _switching.begin()
    try:
        return work()
    finally:
        _switching.end()


def release() -> None:
    """End the threads that compute for this loop, once they have done what was begun."""
    if (pool := _computing.pop(asyncio.get_running_loop(), None)) is not None:
        pool.shutdown(wait=False)


class OneThread:
    """Does blocking work whose end depends on others: a keychain, a disk, another process.

    One piece is done at a time, on a thread of its own; those that wait for their turn take none. So whatever does not
    answer takes one thread. It keeps no process from ending.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, work: Callable[[], T], within_s: float | None = None) -> T:
        """Do a piece of work. One that is given up, or cancelled, may go on; the next one waits for its end.

        Args:
            work: The work.
            within_s: Seconds that it may take, with the wait for its turn; None: as long as it likes.

        Raises:
            TimeoutError: It took longer.
            RuntimeError: There can be no more threads.
        """
        async with asyncio.timeout(within_s):
            await self._turn.acquire()
            try:
                done = _begin(work)
            except BaseException:
                self._turn.release()
                raise
            done.add_done_callback(self._end)
            return await asyncio.shield(done)

    def _end(self, done: asyncio.Future[T]) -> None:
        self._turn.release()
        if not done.cancelled():
            done.exception()  # the caller may be gone


def _begin(work: Callable[[], T]) -> asyncio.Future[T]:
    """Begin work on a thread of its own."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]  # without an error it is the work's result

    def act() -> None:
        value, error = None, None
        try:
            value = work()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=act, name="pctx waits", daemon=True).start()
    return result
