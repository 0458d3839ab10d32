"""Runs an ASGI application inside a Tornado handler: streams as they come, and says when the client is gone.

Nothing of what the application is about is known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from tornado import iostream, web

from .. import foreign, tcp
from ..rpc.room import UNREAD_BYTES

AsgiMessage = MutableMapping[str, Any]
Application = Callable[
    [AsgiMessage, Callable[[], Awaitable[AsgiMessage]], Callable[[AsgiMessage], Awaitable[None]]], Awaitable[None]
]

CREDENTIALS = frozenset({"authorization", "cookie", "x-pctx-token"})
"""Headers that identify the client. That is decided before, and an application cannot log what it does not get."""

HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"transfer-encoding"})
"""Headers of one connection, which is Tornado's business."""


class AsgiHandler(web.RequestHandler):
    """A handler whose requests an ASGI application answers."""

    _exchange: _Exchange | None = None

    def compute_etag(self) -> None:
        """No ETag: what is answered is said once."""

    def on_connection_close(self) -> None:
        """Notify the application that the client has disconnected."""
        super().on_connection_close()
        if self._exchange is not None:
            self._exchange.gone.set()

    async def run_asgi(self, application: Application, body: bytes) -> None:
        """Answer this request, which has this body, with an application."""
        exchange = self._exchange = _Exchange(self, body)
        await application(_scope(self.request), exchange.receive, exchange.send)
        if not exchange.is_started and not exchange.gone.is_set():
            raise web.HTTPError(500, "the application gave no answer")


class _Exchange:
    """One request and its response, in ASGI's words."""

    def __init__(self, handler: web.RequestHandler, body: bytes) -> None:
        self._handler, self._body = handler, body
        self.gone = asyncio.Event()
        self._is_answered = asyncio.Event()
        self._is_read = False
        self.is_started = False

    async def receive(self) -> AsgiMessage:
        """The body, at once and whole; after that, the end of the exchange."""
        if not self._is_read:
            self._is_read = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        ends = [asyncio.ensure_future(event.wait()) for event in (self.gone, self._is_answered)]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        return {"type": "http.disconnect"}

    async def send(self, message: AsgiMessage) -> None:
        """Send a part of the response, unless the client has gone."""
        if self.gone.is_set() or self._is_answered.is_set():
            return
        try:
            if message["type"] == "http.response.start":
                await self._start(message)
            elif message["type"] == "http.response.body":
                await self._write(message.get("body", b""), has_more=message.get("more_body", False))
        except (iostream.StreamClosedError, iostream.StreamBufferFullError):
            self.gone.set()

    async def _start(self, message: AsgiMessage) -> None:
        handler = self._handler
        self.is_started = True
        handler.set_status(message["status"])
        handler.clear_header("Content-Type")
        for name, value in message.get("headers", ()):
            if name.lower() not in HOP_BY_HOP:
                handler.set_header(name.decode("latin-1"), value.decode("latin-1"))
        if foreign.response_header(handler, "Content-Type").startswith("text/event-stream"):
            foreign.send_as_it_is(handler)  # compressed, a stream would wait for more to compress
            foreign.limit_unread(handler.request.connection, UNREAD_BYTES)
            tcp.keep_alive(foreign.socket_of(handler.request.connection))
            await handler.flush()  # a client waits for the headers of a stream that is silent, too

    async def _write(self, body: bytes, *, has_more: bool) -> None:
        handler = self._handler
        if body:
            handler.write(body)
        if has_more:
            await handler.flush()
            return
        self._is_answered.set()
        await web.RequestHandler.finish(handler)  # not Jupyter's, which would say another content type


def _scope(request: Any) -> AsgiMessage:
    host, _, port = (request.host or "localhost").rpartition(":")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": request.version.removeprefix("HTTP/"),
        "method": request.method,
        "scheme": request.protocol,
        "path": request.path,
        "raw_path": request.path.encode("latin-1", "replace"),
        "query_string": b"",  # a token may stand in it
        "root_path": "",
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in request.headers.get_all()
            if name.lower() not in CREDENTIALS
        ],
        "client": (request.remote_ip, 0),
        "server": (host, int(port)) if port.isdigit() else (request.host, None),
        "state": {},
    }
