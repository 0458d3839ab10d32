"""Asks a client which objects it holds for programs, and lets a person remove one.

The client is the only place that knows. The server keeps no copy, so that no list is ever out of date. It does not know
what the objects are.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec

from .. import errors
from ..rpc import wire
from ..rpc.channel import Channel

ANSWER_S = 5.0
"""Seconds in which a client has to answer. A kernel does so on a thread of its own, also while a cell runs."""

A = TypeVar("A", bound=msgspec.Struct)


class ClientHandles:
    """The objects that one client holds.

    Args:
        channel: Reaches the client.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def listed(self) -> wire.HeldHandles:
        """List them.

        Raises:
            Timeout: The client does not answer.
            ConnectionLost: It is gone.
        """
        return await self._ask("list objects", wire.LIST_HANDLES, None, wire.HeldHandles)

    async def forget(self, id: str) -> bool:
        """Remove one that outlives its run; returns whether it was there.

        Raises:
            Timeout: The client does not answer; the object may be gone or not.
            ConnectionLost: It is gone.
        """
        asked = wire.ForgetHandle(id)
        return (await self._ask("forget object", wire.FORGET_HANDLE, asked, wire.HandleForgotten)).forgotten

    async def _ask(self, action: str, method: str, params: msgspec.Struct | None, kind: type[A]) -> A:
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._channel.call(method, params)
        except TimeoutError:
            raise errors.Timeout(
                f"Cannot {action}: the kernel does not answer within {ANSWER_S:g} s and may be stopped; interrupt or "
                "restart it"
            ) from None
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.DecodeError:
            raise errors.Remote(-32603, f"Cannot {action}: the kernel's answer to {method} cannot be read") from None
