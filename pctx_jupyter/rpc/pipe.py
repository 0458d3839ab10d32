"""Lines between two processes of one machine: how a kernel and the server that started it speak.

A WebSocket does the same for everybody; this costs half of its time, which for short tool calls is much of theirs. One
line is one frame, and bytes may follow it (`attached`). A line that is a single space is a ping, and an empty one is
the answer to it. An end that is silent while an answer is owed, or stops reading, is dropped. The pipe knows neither
methods nor who may connect.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio.trsock import TransportSocket
from collections import deque
from collections.abc import Callable

from .channel import LARGE_BYTES, is_known_sound
from .jsonrpc import MOST_DEPTH
from .lines import Lines, LineWriter
from .pulse import Pulse
from .room import Room

log = logging.getLogger(__name__)

PING, PONG = b" ", b""
"""Lines that are not frames."""

CLOSE_S = 2.0
"""Seconds in which the other end of a pipe that is closed reads nothing of what was sent; then the pipe is cut."""

BURST = 16
"""Messages of one connection that are taken in one turn of the loop. Serving one takes about 0.2 ms of it, and what was
received at once may hold thousands: without a limit, one client would delay all others."""


class Pipe(asyncio.Protocol):
    """One end.

    Args:
        name: Begins its log lines.
        receive: Takes a frame that arrived.
        lost: Called once, when the pipe is gone.
        max_bytes: The largest frame that passes. Four times that is read, so that a request can be refused by its id.
        ping_s: Seconds between two pings.
        is_owed: Whether an answer is owed, by either end: only then are pings sent.
        unread_bytes: What the other end may leave unread; then it is dropped.

    Attributes:
        is_sound: Whether the line that is being received is known to be UTF-8 that nests no deeper than
            `jsonrpc.MOST_DEPTH`.
        rest_s: Seconds to wait before the next line is received. `receive` may set it after a large line.
        gone: Done when the pipe is.
        room: The room for further frames.
        on_pong: Called for each answer to a ping; never waits.
    """

    def __init__(
        self,
        name: str,
        *,
        receive: Callable[[bytes], None],
        lost: Callable[[], None],
        max_bytes: int,
        ping_s: float,
        is_owed: Callable[[], bool],
        unread_bytes: int,
    ) -> None:
        self.name = name
        self.is_sound = False
        self.rest_s = 0.0
        self._is_behind = False  # lines that have come are taken in later turns
        self._reading: asyncio.Task[None] | None = None  # of a large line
        self.receive, self._lost = receive, lost
        self.on_pong: Callable[[], None] = lambda: None
        self._unread_bytes = unread_bytes
        self._pulse = Pulse(ping_s, ping=lambda: self.send(PING), is_needed=is_owed, on_silence=self._drop)
        self._writer = LineWriter()
        self.room = Room(lambda: self._writer.waiting_bytes, self._pulse.wake)
        self._lines = Lines(4 * max_bytes + (1 << 20), takes_bytes=True)
        self._received: deque[bytes] = deque()  # lines that no turn of the loop has taken yet
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._cut: asyncio.TimerHandle | None = None  # of a pipe that is closing
        self.gone: asyncio.Future[None] = self._loop.create_future()

    @property
    def socket(self) -> TransportSocket | None:
        """The socket below; None while there is none."""
        found: TransportSocket | None = None
        if self._transport is not None:
            found = self._transport.get_extra_info("socket")
        return found

    def send(self, frame: bytes) -> None:
        """Write one frame, without waiting; a frame for a pipe that is gone is dropped."""
        if self._transport is None or self._transport.is_closing():
            return
        self._pulse.wake()
        self._writer.write(frame)
        if self._writer.waiting_bytes > self._unread_bytes:
            self._drop(f"it left {self._unread_bytes:,} bytes and more unread")

    def close(self) -> None:
        """Write out what was sent, then close. Once the other end reads nothing for `CLOSE_S`, the rest is dropped."""
        if self._transport is not None and not self._transport.is_closing():
            self._writer.flush()
            self._transport.close()
            self._cut_if_stuck(self._transport, -1)

    def _cut_if_stuck(self, transport: asyncio.Transport, unread: int) -> None:
        """Cut the pipe if as many bytes wait as did before; else look again after `CLOSE_S`."""
        left = transport.get_write_buffer_size()
        if left == unread:
            transport.abort()
        else:
            self._cut = self._loop.call_later(CLOSE_S, self._cut_if_stuck, transport, left)

    # what asyncio says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = self._writer.output = transport
        self._pulse.start()

    def data_received(self, data: bytes) -> None:
        self._pulse.beat()
        self._received.extend(self._lines.cut(data))
        if self._lines.is_too_long:
            self._drop("a line beyond any limit")
        if not self._is_behind:
            self._take_some()

    def _take_some(self) -> None:
        """Take the lines of one turn, and leave the rest to later ones."""
        self._is_behind = False
        for _ in range(BURST):
            if not self._received:
                break
            if len(self._received[0]) >= LARGE_BYTES:
                self._is_behind = True
                self._reading = self._loop.create_task(self._take_large(self._received[0]))
                break
            self._take(self._received.popleft())
        if self._received and not self._is_behind:
            self._is_behind = True
            self._loop.call_soon(self._take_some)
        self._set_reading()

    async def _take_large(self, line: bytes) -> None:
        """Take a line that takes long to check, which is done in slices, and go on with those after it."""
        is_sound = await is_known_sound(line, MOST_DEPTH)
        if self._received and self._received[0] is line:
            self._received.popleft()
            self.is_sound = is_sound
            self._take(line)
            self.is_sound = False
            rest_s, self.rest_s = self.rest_s, 0.0
            await asyncio.sleep(rest_s)
        self._take_some()

    def _take(self, line: bytes) -> None:
        if line == PING:
            self.send(PONG)
        elif line == PONG:
            self.on_pong()
        else:
            self._pass_on(line)

    def _pass_on(self, line: bytes) -> None:
        """Pass a line on; one that fails loses the pipe, since nobody can say what has become of it."""
        try:
            self.receive(line)
        except Exception:
            log.exception("%s = failed to take in a line", self.name)
            self._received.clear()
            self._drop("a line that could not be taken in")

    def _set_reading(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._is_behind:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self._writer.pause()

    def resume_writing(self) -> None:
        self._writer.resume()
        self.room.refresh()

    def connection_lost(self, error: Exception | None) -> None:
        self._pulse.stop()
        if self._cut is not None:
            self._cut.cancel()
        if self._reading is not None:
            self._reading.cancel()
        while self._received:
            self._take(self._received.popleft())
        if not self.gone.done():
            self.gone.set_result(None)
        self._lost()

    def _drop(self, why: str) -> None:
        log.warning("%s = dropped: %s", self.name, why)
        if self._transport is not None:
            self._transport.abort()
