"""Serves a call by a guest program, on the bridge's side: its turn, what delays it, its time limit.

The kernel's own loop is blocked while it computes, so the bridge's loop answers the caller. `guests` decides where and
when the tool runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from msgspec import Raw

from .. import errors
from ..rpc import wire
from .functions.tool import PythonTool
from .mainthread import GuestCall

if TYPE_CHECKING:
    from ..client.raw import RawClient
    from .guests import Guests

_T = TypeVar("_T")

POLL_S = 0.5
"""Seconds between two checks of what delays a waiting call."""


async def host(
    guests: Guests | None,
    client: RawClient,
    tool: PythonTool,
    asked: wire.ExecuteTool,
    call: Callable[[], Raw | Awaitable[Raw]],
    is_waiting: Callable[[], bool],
) -> Raw | BaseException:
    """Run a call between the kernel's cells; returns its outcome.

    Args:
        guests: Runs it; None: this kernel cannot run calls between cells.
        client: Sends the notes to the caller.
        call: Runs the tool, on the kernel's main thread.
        is_waiting: Whether a cell of this kernel waits for a program of its own.

    Raises:
        ToolFailed: It cannot begin.
        ToolTimeout: It has taken longer than it may, counted from when it began; a tool that is not asynchronous runs
            on, and what comes of it is dropped.
    """
    if guests is None or not guests.is_ready:
        raise errors.ToolFailed(f"Cannot call {tool.path}: its kernel cannot run it between cells", name="NotReady")
    loop = asyncio.get_running_loop()
    began: asyncio.Future[None] = loop.create_future()
    answer: asyncio.Future[Raw | BaseException] = loop.create_future()

    def settle(outcome: Raw | BaseException) -> None:
        _from_elsewhere(loop, answer, outcome)

    guest = GuestCall(call, settle, lambda: _from_elsewhere(loop, began, None))
    guests.put(guest)
    try:
        await _turn(guests, client, tool, asked, began, is_waiting)
        async with asyncio.timeout(asked.call_s or None):
            return await answer
    except TimeoutError:
        raise errors.ToolTimeout(tool.path, asked.call_s) from None
    finally:
        if not answer.done() or answer.cancelled():
            guests.withdraw(guest)


async def _turn(
    guests: Guests,
    client: RawClient,
    tool: PythonTool,
    asked: wire.ExecuteTool,
    began: asyncio.Future[None],
    is_waiting: Callable[[], bool],
) -> None:
    """Wait until a call has begun, and send notes that say what delays it."""
    loop = asyncio.get_running_loop()
    said, since = None, loop.time()
    while not began.done():
        hindrance = guests.hindrance
        if hindrance is not None and hindrance != said:
            client.note(asked, hindrance, waits=True)
            said = hindrance
        await asyncio.wait([began], timeout=POLL_S)
        # Through another notebook, a program may wait for itself, which cannot be detected. Half the time limit, so
        # that the call that this one is part of, which has a limit of its own, is still open and can report the
        # reason.
        if asked.asked_by == "notebook" and is_waiting() and loop.time() - since > asked.call_s / 2 > 0:
            raise errors.ToolFailed(
                f"Cannot call {tool.path}: its notebook runs no tools for others while a cell of its own waits for a "
                f"program, and that has taken {asked.call_s / 2:g} s; if that program waits for this call, call it in "
                "another cell",
                name="TimeoutError",
            )
    if said is not None:
        client.note(asked, "")  # nothing delays it any more


def _from_elsewhere(loop: asyncio.AbstractEventLoop, future: asyncio.Future[_T], outcome: _T) -> None:
    def settle() -> None:
        if not future.done():
            future.set_result(outcome)

    with suppress(RuntimeError):  # the loop is closed: there is no caller any more
        loop.call_soon_threadsafe(settle)
