"""The processes that another one has started, by their command lines."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

import psutil


def below(
    matches: Callable[[list[str]], bool], pid: int | None = None, *, recursive: bool = True
) -> list[psutil.Process]:
    """The processes below this one, or below another, whose command line matches, the youngest last.

    Without `recursive` those that it has started itself.

    A process may end while its command line is being read, or have ended and not been waited for: it does not count.
    """
    found: list[tuple[float, int, psutil.Process]] = []
    for child in psutil.Process(pid or os.getpid()).children(recursive=recursive):
        with suppress(psutil.NoSuchProcess):
            if matches(child.cmdline()):
                found.append((child.create_time(), child.pid, child))
    return [child for _, _, child in sorted(found)]
