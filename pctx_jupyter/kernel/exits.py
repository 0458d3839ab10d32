"""Calls functions while a process ends, before Python's executors refuse work.

``atexit`` comes too late for a bridge: to close its home, it writes files on threads of an executor. Does not know
what is closed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from .. import foreign

log = logging.getLogger(__name__)

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
        close = _closings.pop()
        try:
            close()
        except Exception:  # the others are called, and Python ends its executors
            log.exception("exit = cannot close")


foreign.before_executors_end(_close)
if hasattr(os, "register_at_fork"):
    # A forked process ends its threads so, too, and none of them is its own.
    os.register_at_fork(after_in_child=_closings.clear)
