"""The server's end of a client's WebSocket: passes frames to a channel and back. It knows no method.

A client that is silent while an answer is owed, or stops reading, is dropped: its session, tools and programs end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from http import HTTPStatus

from jupyter_server.auth.decorator import ws_authenticated
from tornado import web
from tornado.escape import utf8
from tornado.iostream import StreamBufferFullError, StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler, WebSocketProtocol, WebSocketProtocol13

from .. import errors, foreign, tcp
from ..engine import Engine
from ..rpc import attached, span_context
from ..rpc.channel import LARGE_BYTES, Channel
from ..rpc.pulse import Pulse
from ..rpc.room import UNREAD_BYTES, Room
from .base import CODE, NAMES, RUNNING, PctxHandler
from .frames import PiecewiseProtocol
from .naming import NotebookNames
from .running import RunningEngine
from .turns import TurnBudget, rest_s

log = logging.getLogger(__name__)

BEYOND_BYTES = 8 << 20
"""Bytes beyond the largest size that a message may have to be refused by its id: all of it is read in the loop."""

FRAME_COST = 1_000
"""Bytes that a frame costs besides its text while it waits to be written: Tornado keeps a future for it."""


def largest_frame(limit: int) -> int:
    """The bytes of a frame that is read, where a message may have so many as `limit`."""
    return limit + min(3 * limit, BEYOND_BYTES) + (1 << 20)


class LocalToolsSocket(PctxHandler, WebSocketHandler):
    """``/local-tools``: one client, one session."""

    _engine: Engine
    _channel: Channel | None = None
    _pulse: Pulse | None = None
    _span_context: span_context.SpanContext = None  # of the handshake
    _unsent = 0  # bytes of frames that wait to be written, with what each costs
    as_agent = False
    """Whether its client gets the agents' session in place of one of its own."""

    # Tornado would ping clients that idle, too.
    ping_interval = 0
    ping_timeout = 0

    @property
    def max_message_size(self) -> int:
        """Frames within reach of the limit are read, so that one request is refused and the connection kept."""
        return largest_frame(self.settings[RUNNING].settings.max_message_bytes)

    def get_compression_options(self) -> None:
        """Frames pass as they are: what reads them in pieces inflates nothing."""

    def get_websocket_protocol(self) -> WebSocketProtocol | None:
        """Make what reads and writes frames, of which it reads large ones in pieces."""
        made = super().get_websocket_protocol()
        running: RunningEngine = self.settings[RUNNING]
        return PiecewiseProtocol(made, running.messages) if isinstance(made, WebSocketProtocol13) else made

    @ws_authenticated
    async def get(self, *args: str, **kwargs: str) -> None:
        """Shake hands with a client that may execute."""
        self._engine = await self.open_engine()
        if await self.admit_client():
            await super().get(*args, **kwargs)

    async def admit_client(self) -> bool:
        """Do what comes before a client is admitted; returns False if it was refused and answered."""
        names: NotebookNames | None = self.settings[NAMES]
        if self.kernel_id is not None and names is not None:
            await names.name(self.kernel_id)
        return True

    @property
    def ping_s(self) -> float:
        """Seconds between pings."""
        return self._engine.settings.ping_s

    def open(self, *args: str, **kwargs: str) -> None:
        """Open the session; its first frame leaves at once."""
        self.set_nodelay(True)
        settings = self._engine.settings
        tcp.keep_alive(foreign.socket_of(self.ws_connection))
        foreign.limit_unread(self.ws_connection, settings.max_message_bytes + UNREAD_BYTES)
        self._span_context = span_context.of_connection(self.request.headers)
        self.room = Room(lambda: self._unsent, self._wake)
        self._channel = self.open_channel()
        self._channel.on_close(self._hang_up)
        self._pulse = Pulse(self.ping_s, ping=self._ping, is_needed=self._is_owed, on_silence=self._drop)
        self._pulse.start()

    def open_channel(self) -> Channel:
        """Open the server's end of the conversation with this client."""
        door = self._engine.open_door(
            self._send,
            guard=self._guard,
            guard_code=self._guard_code,
            kernel_id=self.kernel_id,
            as_agent=self.as_agent,
            room=self.room,
        )
        return door.channel

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Hand a frame to the channel; Tornado reads the next one when that is done."""
        self._beat()
        running: RunningEngine = self.settings[RUNNING]
        is_sound = isinstance(self.ws_connection, PiecewiseProtocol) and self.ws_connection.is_sound
        is_sound = is_sound and not attached.is_joined(message)
        if len(message) >= LARGE_BYTES or not running.messages.take():
            return self._feed_later(message, is_sound, running.messages)
        self._feed(message, is_sound)
        return None

    async def _feed_later(self, message: str | bytes, is_sound: bool, messages: TurnBudget) -> None:
        await messages.wait()
        since = time.thread_time()
        self._feed(message, is_sound)
        if rest := rest_s(time.thread_time() - since):
            await asyncio.sleep(rest)

    def _feed(self, message: str | bytes, is_sound: bool) -> None:
        if self._channel is None:
            return
        with span_context.entered(self._span_context):  # of requests that name no span themselves
            # The limit counts bytes, and a character beyond ASCII takes more than one.
            is_counted = isinstance(message, bytes) or message.isascii()
            self._channel.feed(message if is_counted else utf8(message), is_sound=is_sound)

    def on_pong(self, data: bytes) -> None:
        """Take note of a sign of life."""
        self._beat()

    def on_ping(self, data: bytes) -> None:
        """Take note of a sign of life."""
        self._beat()

    def on_close(self) -> None:
        """End the session: its tools go, calls of them fail, its programs stop."""
        if self._pulse is not None:
            self._pulse.stop()
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
        self._wake()
        connection = self.ws_connection
        if connection is None or connection.is_closing():
            return
        assert isinstance(connection, PiecewiseProtocol), "there is no other protocol with frames"
        try:
            sent = connection.write_frame(frame, binary=attached.is_joined(frame))
        except StreamClosedError:
            return
        except StreamBufferFullError:
            self._drop(f"it left {UNREAD_BYTES:,} bytes and more unread")
            return
        if sent.done():
            return
        cost = len(frame) + FRAME_COST
        self._unsent += cost
        sent.add_done_callback(lambda sent: self._written(sent, cost))
        if self._unsent > self._engine.settings.max_message_bytes + UNREAD_BYTES:
            self._drop(f"it left {UNREAD_BYTES:,} bytes and more unread")

    def _written(self, sent: asyncio.Future[None], cost: int) -> None:
        """Count a frame that was written, or that was not because the client is gone: `on_close` acts on that."""
        self._unsent -= cost
        self.room.refresh()

    def _wake(self) -> None:
        if self._pulse is not None:
            self._pulse.wake()

    def _beat(self) -> None:
        if self._pulse is not None:
            self._pulse.beat()

    def _is_owed(self) -> bool:
        return self._channel is not None and self._channel.is_owed

    def _ping(self) -> None:
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

    async def admit_client(self) -> bool:
        """Refuse agents where they are switched off."""
        try:
            self._engine.admit_agents()
        except errors.Forbidden as error:
            raise web.HTTPError(HTTPStatus.FORBIDDEN, error.message) from None
        return await super().admit_client()
