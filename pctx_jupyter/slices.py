"""Long work in a loop that others share: it is done in slices, and others are served between two of them.

A thread would not help: Python runs one thread at a time, and one that works delays the thread of the loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

SLICE_S = 0.004
"""Seconds of processor time that one piece of work takes of a turn of the loop."""


async def in_slices(items: Iterable[T], slice_s: float = SLICE_S) -> AsyncIterator[T]:
    """Yield items, and wait for the next turn of the loop when the work between has taken a slice.

    Args:
        items: What there is to work on. It must not change while the loop runs others, so pass a copy.
        slice_s: Seconds of processor time after which the loop serves others.
    """
    since = time.thread_time()
    for item in items:
        yield item
        if time.thread_time() - since >= slice_s:
            await asyncio.sleep(0)
            since = time.thread_time()
