"""Calls functions while a process ends, before Python's executors refuse work.

``atexit`` comes too late for a bridge: to close its home, it writes files on threads of an executor. Does not know
what is closed.
"""

from __future__ import annotations

# It registers its own end when it is loaded, and what is registered later is called earlier.
import concurrent.futures.thread  # noqa: F401
import os
import threading
from collections.abc import Callable

_closings: list[Callable[[], None]] = []


def add(close: Callable[[], None]) -> None:
    """Call a function, without arguments, when the main thread has ended."""
    _closings.append(close)


def remove(close: Callable[[], None]) -> None:
    """Do not call a function of `add` any more."""
    if close in _closings:
        _closings.remove(close)


def _close() -> None:
    while _closings:
        _closings.pop()()


threading._register_atexit(_close)  # type: ignore[attr-defined]  # what concurrent.futures uses; there is no other way
if hasattr(os, "register_at_fork"):
    # A forked process ends its threads so, too, and none of them is its own.
    os.register_at_fork(after_in_child=_closings.clear)
