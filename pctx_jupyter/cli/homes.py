"""Where a command's programs run: in the agents' session of a running server, or on an engine of the command's own.

Either way what the command gets is a client, and the same lines pass.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ..settings import Settings
from .servers import Server

if TYPE_CHECKING:
    from ..channel import Channel, Hear, Serve
    from ..client import PctxClient


@asynccontextmanager
async def open_client(server: Server | None, settings: Settings) -> AsyncIterator[PctxClient]:
    """Open a client of a server's engine, or of one opened here for as long as the client is.

    Raises:
        CannotConnect: The server does not let it in, or is not there.
    """
    from ..client import PctxClient

    if server is not None:
        async with PctxClient(server.socket, headers=server.headers, reconnect=False) as client:
            yield client
        return

    from ..engine import open_engine

    # One program needs one sandbox.
    async with open_engine(replace(settings, warm_sandboxes=min(1, settings.warm_sandboxes))) as engine:

        async def connect(serve: Serve, hear: Hear) -> Channel:
            return engine.connect(serve=serve, hear=hear, as_agent=True)

        async with PctxClient(connect=connect, reconnect=False) as client:
            yield client
