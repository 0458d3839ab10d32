"""Where a command's programs run: in the agents' session of a running server, or on an engine of the command's own.

Either way what the command gets is a client, and the same lines pass.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import errors
from ..settings import Settings, usual_places
from . import terminal
from .command import Exit, Stop, say
from .servers import Server, refusal

if TYPE_CHECKING:
    from ..client.raw import RawClient


def open_client(
    server: Server | None, settings: Settings, *, when_settled: bool = False, asks: bool = False
) -> AbstractAsyncContextManager[RawClient]:
    """Open a client of a server's engine, or of one opened here for as long as the client is.

    Args:
        server: The server; None: none.
        settings: Limits and switches of the engine opened here.
        when_settled: Whether that one waits until its MCP servers were tried.
        asks: Whether the person at this terminal is asked about its calls that need consent.

    Raises:
        CannotConnect: The server is not there.
        Stop: It does not let the client in.
    """
    if server is not None:
        return _connected(server)

    from .. import embedded
    from . import approvals

    return embedded.open_raw_client(
        replace(settings, warm_sandboxes=min(1, settings.warm_sandboxes)),  # one program needs one sandbox
        places=usual_places(str(Path.cwd())),
        as_agent=True,
        when_settled=when_settled,
        on_wait=lambda line: say(terminal.harmless(line)),
        asked=approvals.asked_here if asks else None,
    )


@asynccontextmanager
async def _connected(server: Server) -> AsyncIterator[RawClient]:
    from ..client.raw import RawClient

    client = RawClient(server.socket, headers=server.headers, reconnect=False)
    try:
        await client.connect()
    except errors.CannotConnect as error:
        if error.http_status is None:
            raise
        raise Stop(Exit.UNREACHABLE, f"Cannot use {server.url}: {refusal(error.http_status)}") from None
    async with client:
        yield client
