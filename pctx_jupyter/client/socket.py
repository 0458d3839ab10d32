"""The client's end of a WebSocket: opens it, passes frames to a channel and back, notices when it is gone.

It does not reconnect and knows no method. A frame passes in the turn of the loop in which it arrives or is sent. A
queue with a task at its end would take a turn more, which is much of a short tool call's time.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.protocol import Event, State

from .. import errors, processes, tcp
from ..rpc import attached
from ..rpc import headers as request_headers
from ..rpc.channel import Channel, OnNotification, Serve
from ..rpc.environment import without_secrets
from ..rpc.pulse import Pulse
from ..rpc.room import UNREAD_BYTES, UNSENT_BYTES, Room

log = logging.getLogger(__name__)
_quiet = logging.getLogger(f"{__name__}.websockets")
_quiet.setLevel(logging.INFO)  # below that, websockets logs headers and payloads

PING_S = 5.0
"""Seconds between pings while an answer is owed: a dead server is noticed within 15 s."""

FRAGMENT_BYTES = 1 << 17
"""Bytes of a message that leave in one frame: the server reads the first part of it while the next is written."""

OPEN_S = 10.0
"""Seconds the handshake may take."""

CLOSE_S = 2.0
"""Seconds the closing handshake may take; then the connection is cut."""


class _Connection(ClientConnection):
    """A WebSocket without a queue and tasks: what arrives is passed on at once, and what is sent is written at once.

    Frames for which the system has no room wait here, and leave in the order they were sent.
    """

    def __init__(self, protocol: ClientProtocol, **options: Any) -> None:
        super().__init__(protocol, **options)
        self._parts: list[bytes | bytearray | memoryview] = []  # of a message whose end has not come
        self._early: list[bytes] = []  # messages that came before `join`
        self._waiting: deque[tuple[Opcode, bytes | memoryview, bool]] = deque()  # as for `_write`
        self._unsent = 0  # bytes of the frames that wait
        self.room = Room(lambda: self._unsent)
        self._receive: Callable[[bytes], None] = self._early.append
        self._beat: Callable[[], None] = lambda: None
        self._lost: Callable[[], None] = lambda: None
        self.is_binary = False
        """Whether messages without bytes are sent as binary frames, too."""

    def join(self, receive: Callable[[bytes], None], beat: Callable[[], None], lost: Callable[[], None]) -> None:
        """Pass on what has arrived and what arrives, from the next turn of the loop on.

        Args:
            receive: Takes a message.
            beat: Called for each sign of life, before `receive`.
            lost: Called when the connection is gone; perhaps twice.
        """
        self._beat, self._lost = beat, lost
        self.loop.call_soon(self._begin, receive)  # not at once: the caller of `connect` has no channel yet

    def push(self, message: bytes) -> None:
        """Send a message, a long one in fragments; it is dropped when the connection is closing."""
        opcode = Opcode.BINARY if self.is_binary or attached.is_joined(message) else Opcode.TEXT
        if len(message) <= FRAGMENT_BYTES:
            self._push(opcode, message, True)
            return
        parts = memoryview(message)
        for start in range(0, len(parts), FRAGMENT_BYTES):
            end = start + FRAGMENT_BYTES
            self._push(Opcode.CONT if start else opcode, parts[start:end], end >= len(parts))

    def push_ping(self) -> None:
        """Send a ping; it is dropped when the connection is closing."""
        if self.state is State.OPEN:
            self.protocol.send_ping(b"")
            self.send_data()

    def _begin(self, receive: Callable[[bytes], None]) -> None:
        self._receive = receive
        for message in self._early:
            receive(message)
        self._early.clear()
        if self.state is State.CLOSED:
            self._lost()

    def _push(self, opcode: Opcode, data: bytes | memoryview, is_last: bool) -> None:
        if self._waiting or self.paused:
            self._waiting.append((opcode, data, is_last))
            self._unsent += len(data)
        else:
            self._write(opcode, data, is_last)

    def _write(self, opcode: Opcode, data: bytes | memoryview, is_last: bool) -> None:
        if self.state is not State.OPEN:
            return
        match opcode:
            case Opcode.TEXT:
                self.protocol.send_text(data, is_last)
            case Opcode.BINARY:
                self.protocol.send_binary(data, is_last)
            case _:
                self.protocol.send_continuation(data, is_last)
        self.send_data()

    # what websockets and asyncio call

    def process_event(self, event: Event) -> None:
        self._beat()
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
            return
        self._parts.append(event.data)
        if event.fin:
            parts, self._parts = self._parts, []
            self._receive(bytes(parts[0]) if len(parts) == 1 else b"".join(parts))

    def resume_writing(self) -> None:
        super().resume_writing()
        while self._waiting and not self.paused:
            opcode, data, is_last = self._waiting.popleft()
            self._unsent -= len(data)
            self._write(opcode, data, is_last)
        self.room.refresh()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._waiting.clear()
        self._unsent = 0
        self.room.close()
        self._lost()


class Socket(Channel):
    """A channel that owns the WebSocket it runs over: closing either closes both."""

    def __init__(
        self, connection: _Connection, *, serve: Serve, on_notification: OnNotification, name: str, max_bytes: int
    ) -> None:
        super().__init__(
            self._push,
            serve=serve,
            on_notification=on_notification,
            name=name,
            max_bytes=max_bytes,
            room=connection.room,
            results_wait=True,
        )
        self._connection = connection
        self._most_unsent = max_bytes + UNSENT_BYTES + UNREAD_BYTES
        self._ending: asyncio.Task[None] | None = None
        self._pulse = Pulse(PING_S, ping=connection.push_ping, is_needed=lambda: self.is_owed, on_silence=self._silent)
        connection.room.on_wait = self._pulse.wake
        self.on_close(self._hang_up)
        self._pulse.start()
        connection.join(self.feed, self._pulse.beat, self._on_lost)

    async def closed(self) -> None:
        """Wait until nothing is being served any more and the WebSocket is closed."""
        await super().closed()
        if self._ending is not None:
            await asyncio.wait([self._ending])

    def _push(self, frame: bytes) -> None:
        self._pulse.wake()
        self._connection.push(frame)
        if self._connection.room.unsent_bytes > self._most_unsent:
            self._silent(f"the server left {UNREAD_BYTES:,} bytes and more unread")

    def _silent(self, why: str) -> None:
        log.info("%s = lost: %s", self.name, why)
        self.close(self._loss())

    def _on_lost(self) -> None:
        if not self.is_closed:
            log.info("%s = lost: %s", self.name, self._connection.protocol.close_exc)
            self.close(self._loss())

    def _loss(self) -> errors.ConnectionLost:
        return errors.ConnectionLost(f"Connection lost: {self.name}; what was under way may or may not have been done")

    def _hang_up(self) -> None:
        self._pulse.stop()
        self._ending = asyncio.get_running_loop().create_task(self._end(), name=f"close {self.name}")

    async def _end(self) -> None:
        """Close the WebSocket; cut it if the other end reads nothing any more."""
        try:
            async with asyncio.timeout(2 * CLOSE_S):
                await self._connection.close()
        except TimeoutError:
            self._connection.transport.abort()
            await self._connection.wait_closed()


async def connect(
    url: str,
    headers: Mapping[str, str],
    serve: Serve,
    on_notification: OnNotification,
    max_bytes: int,
    *,
    is_binary: bool = False,
    open_s: float = OPEN_S,
) -> Socket:
    """Open a WebSocket and join a channel to it.

    Args:
        url: ``ws://`` or ``wss://`` (``http`` and ``https`` mean the same); its user, password and query are kept out
            of messages and logs.
        headers: Sent with the handshake.
        serve, on_notification, max_bytes: As for `Channel`.
        is_binary: Whether all messages are sent as binary frames, which our own servers read like texts, and quicker.
        open_s: Seconds the handshake may take.

    Raises:
        CannotConnect: Says what happened and the way out.
    """
    if not (shown := without_secrets(url)):
        raise errors.CannotConnect(
            "Cannot connect: the URL cannot be read; it looks like ws://localhost:8888/local-tools"
        )
    request_headers.check(headers, shown)
    try:
        connection = await websocket(
            url.replace("http", "ws", 1) if url.startswith("http") else url,
            additional_headers=headers,
            # Frames within reach of the limit are read, so that a channel can refuse one and keep the connection.
            max_size=4 * max_bytes + (1 << 20),
            open_timeout=open_s,
            close_timeout=CLOSE_S,
            ping_interval=None,  # it would ping a server to which nothing is owed, too
            compression=None,
            proxy=None,
            logger=_quiet,
            create_connection=_Connection,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        raise errors.CannotConnect(f"Cannot connect to {shown}: {_refusal(status)}", http_status=status) from None
    except ssl.SSLError as error:
        raise errors.CannotConnect(f"Cannot connect to {shown}: {_mistrust(error)}") from None
    except TimeoutError as error:
        within_s = f"within {open_s:g} s" if error.errno is None else "in time"  # the system has a limit of its own
        raise errors.CannotConnect(
            f"Cannot connect to {shown}: no answer {within_s}; is the server running there?", is_silent=True
        ) from None
    except OSError as error:
        raise errors.CannotConnect(f"Cannot connect to {shown}: {_no_way(error)}") from None
    except WebSocketException:
        # Its own text may quote the whole URL, and with it a token.
        raise errors.CannotConnect(
            f"Cannot connect to {shown}: no WebSocket is served there; it looks like ws://localhost:8888/local-tools"
        ) from None
    assert isinstance(connection, _Connection), "it was asked for"
    connection.is_binary = is_binary
    tcp.keep_alive(connection.transport.get_extra_info("socket"))
    return Socket(connection, serve=serve, on_notification=on_notification, name=shown, max_bytes=max_bytes)


def _no_way(error: OSError) -> str:
    """Describe why a socket could not be opened or connected: what is short here, or what the other end did."""
    return processes.lack(error) or f"{error.strerror or 'the connection failed'}; is the server running there?"


def _mistrust(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}); if an authority of your own has signed it, let "
            "the variable SSL_CERT_FILE name that authority's certificate"
        )
    return f"TLS failed ({error.reason or error.strerror}); if the server does not use it, the URL begins with http:"


def _refusal(status: int) -> str:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return (
            f'the server refused it ({status}); pass its token as headers={{"Authorization": "token …"}} '
            "(jupyter server list shows it)"
        )
    if status == HTTPStatus.NOT_FOUND:
        return (
            "the server has no such address (404); is pctx-jupyter enabled there (jupyter server extension list), "
            "and the server's base_url part of the URL?"
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"the server answered with HTTP status {status}; try again, or read the server's log"
    return f"no WebSocket is served there (HTTP status {status}); it looks like ws://localhost:8888/local-tools"
