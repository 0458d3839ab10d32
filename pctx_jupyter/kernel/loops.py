"""Running a loop inside another one's thread: for cells that can only block.

A magic under ``%%time``, in a terminal or with ``%autoawait off`` cannot be awaited. It runs a private loop on its own
thread instead, while the marker that says "a loop is running here" is put aside. Knows nothing of cells and tools.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from .. import foreign

T = TypeVar("T")

LEFT_S = 0.1
"""Seconds that tasks which are not awaited have to clean up, when the loop they run on is closed."""


def new_loop() -> asyncio.AbstractEventLoop:
    """Make a loop that can start processes, whatever policy the notebook has set.

    Raises:
        OSError: There can be no more files.
    """
    if sys.platform == "win32":
        return asyncio.ProactorEventLoop()
    selector = selectors.DefaultSelector()
    try:
        for end in socket.socketpair():  # a loop that can open no such pair complains when it is collected
            end.close()
    except OSError:
        selector.close()
        raise
    return asyncio.SelectorEventLoop(selector)


class Outside:
    """What this thread was running when a private loop was put on top of it: a loop and its task, or nothing."""

    def __init__(self) -> None:
        self._loop = foreign.running_loop()
        self._task = None if self._loop is None else asyncio.current_task(self._loop)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Put it aside, so that another loop may run."""
        self._leave()
        try:
            yield
        finally:
            self._enter()

    @contextmanager
    def back(self, inner: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Show it to code that a callback of the inner loop runs: it sees the loop that its cell sees, or none."""
        foreign.set_running_loop(None)
        self._enter()
        try:
            yield
        finally:
            self._leave()
            foreign.set_running_loop(inner)

    # The task is left as well as the loop, because Python 3.14 keeps one current task a thread and not a loop.

    def _leave(self) -> None:
        if self._loop is not None:
            if self._task is not None:
                foreign.leave_task(self._loop, self._task)
            foreign.set_running_loop(None)

    def _enter(self) -> None:
        if self._loop is not None:
            foreign.set_running_loop(self._loop)
            if self._task is not None:
                foreign.enter_task(self._loop, self._task)


def run_private(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a loop of its own, on this thread, even while another loop runs here.

    Tasks that it leaves behind are cancelled. Objects bound to the other loop do not work inside it.
    """
    with Outside().aside():
        loop = new_loop()
        try:
            return loop.run_until_complete(work)
        finally:
            try:
                left = asyncio.all_tasks(loop)
                for task in left:
                    task.cancel()
                if left:
                    loop.run_until_complete(asyncio.wait(left, timeout=LEFT_S))
                loop.run_until_complete(loop.shutdown_asyncgens())
            finally:
                loop.close()
