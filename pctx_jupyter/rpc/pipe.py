"""Lines between two processes of one machine: how a kernel and the server that started it speak.

A WebSocket does the same for everybody; this costs half of its time, which for short tool calls is much of theirs. One
line is one frame. One that is a single space asks for a sign of life, and an empty one is that: an end that falls
silent, or stops reading, is dropped. It knows neither methods nor who may connect.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio.trsock import TransportSocket
from collections.abc import Callable

from .lines import Lines, LineWriter

log = logging.getLogger(__name__)

PING, PONG = b" ", b""
"""Lines that are no frames."""

SILENT_PINGS = 2
"""Pings in a row without any sign of life after which the other end is gone."""


class Pipe(asyncio.Protocol):
    """One end.

    Args:
        name: Begins its log lines.
        hear: Takes a frame that arrived.
        lost: Called once, when the pipe is gone.
        max_bytes: The largest frame that passes. Four times that is read, so that a request can be refused by its id.
        ping_s: Seconds between two pings.
        unread_bytes: What the other end may leave unread; then it is dropped. None: it may leave all.

    Attributes:
        gone: Done when the pipe is.
    """

    def __init__(
        self,
        name: str,
        *,
        hear: Callable[[bytes], None],
        lost: Callable[[], None],
        max_bytes: int,
        ping_s: float,
        unread_bytes: int | None = None,
    ) -> None:
        self.name = name
        self.hear, self._lost = hear, lost
        self._ping_s, self._unread_bytes = ping_s, unread_bytes
        self._writer = LineWriter()
        self._lines = Lines(4 * max_bytes + (1 << 20))
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._pinging: asyncio.TimerHandle | None = None
        self._silence = 0
        self.gone: asyncio.Future[None] = self._loop.create_future()

    @property
    def socket(self) -> TransportSocket | None:
        """The socket below; None while there is none."""
        found: TransportSocket | None = None
        if self._transport is not None:
            found = self._transport.get_extra_info("socket")
        return found

    def send(self, frame: bytes) -> None:
        """Write one frame; said to nobody when the pipe is gone. Never waits."""
        if self._transport is None or self._transport.is_closing():
            return
        self._writer.write(frame)
        if self._unread_bytes is not None and self._writer.waiting_bytes > self._unread_bytes:
            self._drop(f"it left {self._unread_bytes:,} bytes and more unread")

    def close(self) -> None:
        """Let what was sent leave, and close."""
        if self._transport is not None and not self._transport.is_closing():
            self._writer.flush()
            self._transport.close()

    # what asyncio says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = self._writer.output = transport
        self._pinging = self._loop.call_later(self._ping_s, self._ping)

    def data_received(self, data: bytes) -> None:
        self._silence = 0
        for line in self._lines.cut(data):
            if line == PING:
                self.send(PONG)
            elif line != PONG:
                self.hear(line)
        if self._lines.is_too_long:
            self._drop("a line beyond any limit")

    def pause_writing(self) -> None:
        self._writer.pause()

    def resume_writing(self) -> None:
        self._writer.resume()

    def connection_lost(self, error: Exception | None) -> None:
        if self._pinging is not None:
            self._pinging.cancel()
        if not self.gone.done():
            self.gone.set_result(None)
        self._lost()

    def _ping(self) -> None:
        if self._silence >= SILENT_PINGS:
            self._drop(f"no sign of life for {self._silence * self._ping_s:g} s")
            return
        self._silence += 1
        self._pinging = self._loop.call_later(self._ping_s, self._ping)
        self.send(PING)

    def _drop(self, why: str) -> None:
        log.warning("%s = dropped: %s", self.name, why)
        if self._transport is not None:
            self._transport.abort()
