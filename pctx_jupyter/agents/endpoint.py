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

from .. import errors, foreign
from .sessions import IDLE_S, MAX_SESSIONS, Sessions

STOP_S = 3.0
"""Seconds open streams may take to end."""
SESSION_ID = b"mcp-session-id"
"""The header that names a session of the older era."""

METHOD, LISTEN = b"mcp-method", b"subscriptions/listen"
"""The header that names the method of a request of the newer era, and the method that only listens."""

AsgiScope = MutableMapping[str, Any]
AsgiReceive = Callable[[], Awaitable[MutableMapping[str, Any]]]
AsgiSend = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class AsgiEndpoint:
    """One server's HTTP side. Call it with an ASGI scope.

    Args:
        manager: Serves its requests.
        forget: Receives the id of each session of the older era that is over.
        max_sessions: Sessions of that era at the same time; the one that is idle the longest makes room for a new one.
    """

    def __init__(
        self,
        manager: StreamableHTTPSessionManager,
        forget: Callable[[str], None],
        max_sessions: int = MAX_SESSIONS,
    ) -> None:
        self._manager = manager
        self._forget = forget
        self._sessions = Sessions(asyncio.get_running_loop().time, max_sessions)
        self._ready, self._stop = asyncio.Event(), asyncio.Event()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._task = asyncio.create_task(self._own(), name="pctx mcp")

    @property
    def session_count(self) -> int:
        """How many sessions of the older era are open."""
        return len(self._sessions)

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
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
            await self._serve(scope, receive, send)
        finally:
            self._under_way.discard(task)

    async def _serve(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Serve one request, and keep count of the sessions that are open."""
        headers = dict(scope["headers"])
        id = headers.get(SESSION_ID, b"").decode("latin-1")
        listens = scope["method"] == "GET" or headers.get(METHOD) == LISTEN
        if not id:
            for idle in self._sessions.to_end():
                await self._end_session(idle)

        async def watch(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                opened = dict(message.get("headers", ())).get(SESSION_ID, b"").decode("latin-1")
                if opened and not id and message["status"] < 400:
                    self._sessions.open(opened)
                elif message["status"] == 404 and id:
                    self._ended(id)
            # A proxy takes pings for activity: a hub would never end the server of an agent that only listens.
            if not (listens and foreign.is_sse_ping(message.get("body", b""))):
                await send(message)

        self._sessions.begin_request(id, listens=listens)
        try:
            await self._manager.handle_request(scope, receive, watch)
        finally:
            self._sessions.end_request(id, listens=listens)
        if scope["method"] == "DELETE":
            self._ended(id)

    async def _end_session(self, id: str) -> None:
        """End a session as its client would, by a request."""
        self._ended(id)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "DELETE",
            "scheme": "http",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "root_path": "",
            "headers": [(SESSION_ID, id.encode("latin-1"))],
            "client": None,
            "server": None,
            "state": {},
        }

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            """Drop the response: the client has not asked."""

        await self._manager.handle_request(scope, receive, send)

    def _ended(self, id: str) -> None:
        self._sessions.end(id)
        self._forget(id)

    async def close(self) -> None:
        """End the streams that are open, and wait until all of it is over."""
        self._stop.set()
        await asyncio.wait([self._task])
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=STOP_S)
        # The SDK's SSE library leaves a task that waits for the end of uvicorn.
        watching = foreign.idle_sse_watchers(asyncio.all_tasks())
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
