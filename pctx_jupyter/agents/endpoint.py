"""An MCP server over HTTP, as an ASGI application: who mounts it, authenticates and listens is not its business.

Streamable HTTP in both eras, by the SDK's session manager. Its task group is opened and closed by one task of its own,
since requests come and go in others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from .. import errors

IDLE_S = 1800.0
"""Seconds a session of the older era is kept without a request."""
STOP_S = 3.0
"""Seconds open streams may take to end."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Endpoint:
    """One server's HTTP side. Call it with an ASGI scope.

    Args:
        manager: Serves its requests.
        forget: Told the id of each session that its client ends.
    """

    def __init__(self, manager: StreamableHTTPSessionManager, forget: Callable[[str], None]) -> None:
        self._manager = manager
        self._forget = forget
        self._ready, self._stop = asyncio.Event(), asyncio.Event()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._task = asyncio.create_task(self._own(), name="pctx mcp")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            Cancelled: The server stops.
        """
        if self._stop.is_set():
            raise errors.Cancelled("Cannot serve: the server is stopping")
        await self._ready.wait()
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        try:
            await self._manager.handle_request(scope, receive, send)
        finally:
            self._under_way.discard(task)
        if scope["method"] == "DELETE":
            headers = dict(scope["headers"])
            self._forget(headers.get(b"mcp-session-id", b"").decode("latin-1"))

    async def close(self) -> None:
        """End the streams that are open, and wait until all of it is over."""
        self._stop.set()
        await asyncio.wait([self._task])
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=STOP_S)
        # The SDK's SSE library leaves a task that looks for uvicorn's end twice a second; ours has come.
        watching = [task for task in asyncio.all_tasks() if _name(task) == "_shutdown_watcher"]
        for task in watching:
            task.cancel()
        if watching:
            await asyncio.wait(watching)

    async def _own(self) -> None:
        async with self._manager.run():
            self._ready.set()
            await self._stop.wait()


def manager_of(server: Server[Any], max_bytes: int) -> StreamableHTTPSessionManager:
    """What serves a server over HTTP; a request may have so many bytes."""
    return StreamableHTTPSessionManager(server, session_idle_timeout=IDLE_S, max_request_body_size=max_bytes)


def _name(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "")
