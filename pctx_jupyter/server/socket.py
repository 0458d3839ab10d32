"""The client's WebSocket: frames to a channel and back. It knows no method.

A peer that falls silent, or stops reading, is dropped: its session, tools and programs go with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from jupyter_server.auth.decorator import ws_authenticated
from tornado.escape import utf8
from tornado.ioloop import PeriodicCallback
from tornado.iostream import StreamBufferFullError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from .. import errors
from ..engine import Engine
from ..rpc.channel import Channel
from .base import CODE, NAMES, RUNNING, PctxHandler
from .naming import NotebookNames

log = logging.getLogger(__name__)

UNREAD_BYTES = 32 << 20
"""Bytes a client may leave unread, beyond one message of the largest size."""

BEYOND_BYTES = 8 << 20
"""Bytes beyond the largest size that a message may have to be refused by its id: all of it is read in the loop."""

LARGE_BYTES = 1 << 20
"""Characters from which a message is read in a turn of the loop of its own: Tornado has just decoded it in this one."""

SILENT_PINGS = 2
"""Pings in a row without any sign of life after which a client is gone."""


def largest_frame(limit: int) -> int:
    """The bytes of a frame that is read, where a message may have so many as `limit`."""
    return limit + min(3 * limit, BEYOND_BYTES) + (1 << 20)


class LocalToolsSocket(PctxHandler, WebSocketHandler):
    """``/local-tools``: one client, one session."""

    _engine: Engine
    _channel: Channel | None = None
    _pinging: PeriodicCallback | None = None
    _silence = 0
    as_agent = False
    """Whether its client gets the agents' session in place of one of its own."""

    # One ping loop only, and it is ours: Tornado's would take up to five seconds more to let go of a dead client.
    ping_interval = 0
    ping_timeout = 0

    @property
    def max_message_size(self) -> int:
        """Frames within reach of the limit are read, so that one request is refused and the connection kept."""
        return largest_frame(self.settings[RUNNING].settings.max_message_bytes)

    @ws_authenticated
    async def get(self, *args: str, **kwargs: str) -> None:
        """Shake hands with whoever may execute."""
        self._engine = await self.open_engine()
        names: NotebookNames | None = self.settings[NAMES]
        if self.kernel_id is not None and names is not None:
            await names.name(self.kernel_id)
        await super().get(*args, **kwargs)

    def open(self, *args: str, **kwargs: str) -> None:
        """Open the session; its first frame leaves at once."""
        self.set_nodelay(True)
        settings = self._engine.settings
        if self.ws_connection is not None and self.ws_connection.stream is not None:
            self.ws_connection.stream.max_write_buffer_size = settings.max_message_bytes + UNREAD_BYTES
        self._pinging = PeriodicCallback(self._ping, 1000 * settings.ping_s)
        self._pinging.start()
        door = self._engine.open_door(
            self._send,
            guard=self._guard,
            guard_code=self._guard_code,
            kernel_id=self.kernel_id,
            as_agent=self.as_agent,
        )
        self._channel = door.channel
        self._channel.on_close(self._hang_up)

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Hand a frame to the channel; Tornado reads the next one when that is done."""
        self._silence = 0
        if len(message) < LARGE_BYTES:
            self._feed(message)
            return None
        return self._feed_later(message)

    async def _feed_later(self, message: str | bytes) -> None:
        await asyncio.sleep(0)
        self._feed(message)

    def _feed(self, message: str | bytes) -> None:
        if self._channel is not None:
            # The limit counts bytes, and a character beyond ASCII takes more than one.
            is_counted = isinstance(message, bytes) or message.isascii()
            self._channel.feed(message if is_counted else utf8(message))

    def on_pong(self, data: bytes) -> None:
        """Take note of a sign of life."""
        self._silence = 0

    def on_ping(self, data: bytes) -> None:
        """Take note of a sign of life."""
        self._silence = 0

    def on_close(self) -> None:
        """End the session: tools go, callers hear of it, programs stop."""
        if self._pinging is not None:
            self._pinging.stop()
        if self._channel is not None:
            self._channel.close()

    async def _guard(self) -> None:
        if not await self.may("execute"):
            raise errors.Forbidden("Cannot serve: this connection's user or kernel may no longer execute here")

    async def _guard_code(self) -> None:
        if not await self.may("execute", CODE):
            raise errors.Forbidden(
                f"Cannot serve: this starts a command or reads a secret, and needs the right to execute {CODE}"
            )

    def _send(self, frame: bytes) -> None:
        try:
            sent = asyncio.ensure_future(self.write_message(frame))
        except WebSocketClosedError:
            return
        except StreamBufferFullError:
            self._drop(f"it left {UNREAD_BYTES:,} bytes and more unread")
            return
        sent.add_done_callback(_forget)

    def _ping(self) -> None:
        if self._silence >= SILENT_PINGS:
            self._drop(f"no sign of life for {SILENT_PINGS} pings")
            return
        self._silence += 1
        try:
            self.ping()
        except WebSocketClosedError:
            return
        except StreamBufferFullError:
            self._drop(f"it left {UNREAD_BYTES:,} bytes and more unread")

    def _drop(self, why: str) -> None:
        """Cut the connection to a client that would not take part in a closing handshake."""
        if self._channel is None or self._channel.is_closed:
            return
        log.warning("%s = dropped: %s", self._channel.name, why)
        connection = self.ws_connection
        self._channel.close()
        if connection is not None and connection.stream is not None:
            connection.stream.close()

    def _hang_up(self) -> None:
        self.close(1001, "this session is over")


class AgentsSocket(LocalToolsSocket):
    """``/pctx/agents``: programs run as agents' do, with the tools that notebooks offer them."""

    as_agent = True
    refusal = "a kernel is no agent and has local-tools: it would get past what other notebooks keep from it"


def _forget(sent: asyncio.Future[None]) -> None:
    """Take an outcome that somebody else acts upon: that the client is gone, `on_close` says."""
    if not sent.cancelled():
        sent.exception()
