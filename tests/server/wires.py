"""A bare connection for tests that break rules: frames out, frames in, nothing in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.fakes import SOON


class Wire:
    """One WebSocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.session_id = ""

    async def send(self, frame: str | bytes) -> None:
        """Send any text frame."""
        await self.connection.send(frame, text=True)

    async def say(self, **message: Any) -> None:
        """Send a message."""
        await self.send(json.dumps({"jsonrpc": "2.0", **message}))

    async def receive(self) -> Any:
        """The next message."""
        async with asyncio.timeout(SOON):
            return json.loads(await self.connection.recv())

    async def ask(self, method: str, params: object = None, *, id: object = 1) -> Any:
        """Send a request; returns the next message, which is its answer when nothing else is going on."""
        await self.say(id=id, method=method, params=params)
        return await self.receive()

    async def offer(self, path: str, **more: Any) -> None:
        """Register a tool."""
        namespace, _, name = path.partition(".")
        answer = await self.ask("register_tool", {"namespace": namespace, "name": name, **more}, id=f"offer {path}")
        assert answer["result"] == {"success": True}, answer

    async def is_fine(self) -> bool:
        """Whether the connection still answers."""
        return bool((await self.ask("list_functions", id="still there?"))["id"] == "still there?")

    async def gone(self) -> None:
        """Wait until the server has closed it."""
        async with asyncio.timeout(SOON):
            await self.connection.wait_closed()


@asynccontextmanager
async def open_wire(url: str, headers: Mapping[str, str], **options: Any) -> AsyncIterator[Wire]:
    """Connect and receive the greeting."""
    async with connect(url, additional_headers=headers, proxy=None, compression=None, max_size=None, **options) as it:
        wire = Wire(it)
        greeting = await wire.receive()
        assert greeting["method"] == "session_created" and greeting.keys() == {"jsonrpc", "method", "params"}
        wire.session_id = greeting["params"]["session_id"]
        yield wire


async def eventually(holds: Callable[[], bool]) -> None:
    """Let the loop turn until something holds."""
    async with asyncio.timeout(SOON):
        while not holds():  # what is waited for is the other end's, and tells nobody
            await asyncio.sleep(0)
