"""The client's end of a WebSocket: opens it, passes frames to a channel and back, notices when it is gone.

It does not reconnect and knows no method. One task reads, one writes; frames leave in the order they were sent.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from .. import errors
from ..rpc import attached
from ..rpc.channel import Channel, OnNotification, Serve
from ..rpc.pulse import Pulse

log = logging.getLogger(__name__)
_quiet = logging.getLogger(f"{__name__}.websockets")
_quiet.setLevel(logging.INFO)  # below that, websockets logs headers and payloads

PING_S = 5.0
"""Seconds between pings while an answer is owed: a dead server is noticed within 15 s."""

KEEP_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Options of the TCP socket: seconds of silence before the system probes the other end, seconds between two probes,
probes in vain. While nothing is owed, these alone notice that the network is gone. A proxy does not count them."""

OPEN_S = 10.0
"""Seconds the handshake may take."""

CLOSE_S = 2.0
"""Seconds the closing handshake may take; then the connection is cut."""


class Socket(Channel):
    """A channel that owns the WebSocket it runs over: closing either closes both."""

    def __init__(
        self, connection: ClientConnection, *, serve: Serve, on_notification: OnNotification, name: str, max_bytes: int
    ) -> None:
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()  # None: a ping
        super().__init__(self._push, serve=serve, on_notification=on_notification, name=name, max_bytes=max_bytes)
        self._connection = connection
        self._carrier = asyncio.create_task(self._carry(), name=f"carry {name}")
        self.on_close(self._hang_up)
        self._pulse = Pulse(PING_S, ping=self._ping, is_needed=lambda: self.is_owed, on_silence=self._on_silence)
        self._pulse.start()

    async def closed(self) -> None:
        """Wait until nothing is being served any more and the WebSocket is closed."""
        await super().closed()
        await asyncio.wait([self._carrier])

    def _hang_up(self) -> None:
        self._pulse.stop()
        if asyncio.current_task() is not self._carrier:
            self._carrier.cancel()

    def _push(self, frame: bytes) -> None:
        self._pulse.wake()
        self._frames.put_nowait(frame)

    def _ping(self) -> None:
        self._frames.put_nowait(None)

    def _on_silence(self, why: str) -> None:
        log.info("%s = lost: %s", self.name, why)
        self.close(self._loss())

    def _loss(self) -> errors.ConnectionLost:
        return errors.ConnectionLost(f"Connection lost: {self.name}; what was under way may or may not have been done")

    async def _carry(self) -> None:
        writer = asyncio.create_task(self._write())
        try:
            while not self.is_closed:
                frame = await self._connection.recv(decode=False)
                self._pulse.beat()
                self.feed(frame)
        except ConnectionClosed as error:
            log.info("%s = lost: %s", self.name, error)
        finally:
            writer.cancel()
            self.close(self._loss())
            await self._connection.close()

    async def _write(self) -> None:
        with suppress(ConnectionClosed):  # the reader notices, too, and closes
            while True:
                frame = await self._frames.get()
                if frame is not None:
                    await self._connection.send(frame, text=not attached.is_joined(frame))
                else:
                    asyncio.ensure_future(await self._connection.ping()).add_done_callback(self._on_pong)

    def _on_pong(self, answered: asyncio.Future[float]) -> None:
        if not answered.cancelled() and answered.exception() is None:
            self._pulse.beat()


async def connect(
    url: str, headers: Mapping[str, str], serve: Serve, on_notification: OnNotification, max_bytes: int
) -> Socket:
    """Open a WebSocket and join a channel to it.

    Args:
        url: ``ws://`` or ``wss://`` (``http`` and ``https`` mean the same); its query is kept out of messages and logs.
        headers: Sent with the handshake.
        serve, on_notification, max_bytes: As for `Channel`.

    Raises:
        CannotConnect: Says what happened and the way out.
    """
    shown = urlsplit(url)._replace(query="", fragment="").geturl()
    try:
        connection = await websocket(
            url.replace("http", "ws", 1) if url.startswith("http") else url,
            additional_headers=headers,
            # Frames within reach of the limit are read, so that a channel can refuse one and keep the connection.
            max_size=4 * max_bytes + (1 << 20),
            open_timeout=OPEN_S,
            close_timeout=CLOSE_S,
            ping_interval=None,  # it would ping a server to which nothing is owed, too
            compression=None,
            proxy=None,
            logger=_quiet,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        raise errors.CannotConnect(f"Cannot connect to {shown}: {_refusal(status)}", http_status=status) from None
    except ssl.SSLError as error:
        raise errors.CannotConnect(f"Cannot connect to {shown}: {_mistrust(error)}") from None
    except (OSError, TimeoutError) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or "the connection failed"
        raise errors.CannotConnect(f"Cannot connect to {shown}: {why}; is the server running there?") from None
    except WebSocketException:
        # Its own text may quote the whole URL, and with it a token.
        raise errors.CannotConnect(
            f"Cannot connect to {shown}: no WebSocket is served there; it looks like ws://localhost:8888/local-tools"
        ) from None
    _keep_alive(connection)
    return Socket(connection, serve=serve, on_notification=on_notification, name=shown, max_bytes=max_bytes)


def _keep_alive(connection: ClientConnection) -> None:
    found = connection.transport.get_extra_info("socket")
    with suppress(OSError, AttributeError):  # what a system does not have, it does without
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE.items():
            if (option := getattr(socket, name, None)) is not None:
                found.setsockopt(socket.IPPROTO_TCP, option, value)


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
    return f"the server answered with HTTP status {status}"
