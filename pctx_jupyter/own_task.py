"""Async contexts that a task of their own opens and closes, so that they close though their user's task is cancelled.

The libraries of agents cancel a task again at each of its waits. A context closed by such a task would close nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

CLOSE_S = 15.0
"""Seconds that closing may take once the user's task is cancelled; ending MCP servers takes up to a few."""


@asynccontextmanager
async def in_own_task(context: AbstractAsyncContextManager[T], name: str) -> AsyncIterator[T]:
    """Open a context in a task of its own, and close it there; it does not see how the block ends.

    A cancellation while it closes is raised afterwards, or after `CLOSE_S` seconds at most.

    Args:
        context: What is opened.
        name: Of the task, for logs.
    """
    opened: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    may_close = asyncio.Event()

    async def live() -> None:
        async with context as value:
            opened.set_result(value)
            await may_close.wait()

    life = asyncio.create_task(live(), name=name)
    try:
        first: set[asyncio.Future[Any]] = {opened, life}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if opened.done():
            yield opened.result()
    finally:
        may_close.set()
        if not opened.done():  # cancelled while it opens
            life.cancel()
        await _to_the_end(life)


async def _to_the_end(life: asyncio.Task[None]) -> None:
    """Wait until a task has ended, through cancellations of this one, which are raised afterwards; raises its error."""
    cancelled: asyncio.CancelledError | None = None
    clock = asyncio.get_running_loop().time
    until: float | None = None  # for ever, if this task is not cancelled
    while not life.done() and (until is None or clock() < until):
        try:
            await asyncio.wait([life], timeout=None if until is None else until - clock())
        except asyncio.CancelledError as error:
            cancelled, until = error, until or clock() + CLOSE_S
    if not life.done():
        log.warning("%s = does not close within %g s", life.get_name(), CLOSE_S)
        life.cancel()
    if cancelled is not None:
        raise cancelled
    life.result()
