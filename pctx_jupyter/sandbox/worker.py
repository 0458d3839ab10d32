"""One sandbox: a Deno process, and the lines that pass between it and us.

It knows lines and how long they may be; it refuses to know what they mean once the process has reported that it is
ready. The process is not trusted: it may send anything, at any speed, and stop reading or end at any moment.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from typing import Protocol

import msgspec
from msgspec import Raw

from .. import errors, processes
from ..rpc import jsonrpc as rpc
from ..rpc import sandbox_wire
from ..rpc.channel import LARGE_BYTES, is_known_sound
from ..rpc.lines import Lines, LineWriter
from ..settings import Limits
from ..slices import SLICE_S, in_next_slice
from . import flags
from .spawner import Process

READY_S = 5.0
"""Seconds a process may take to say it is ready; it takes 25 ms."""
ENVELOPE = 1 << 16
"""Bytes a line may have beyond its payload."""
KILL_S = 0.003
"""Seconds between the end of a program and that of its process. To kill it takes 0.3 to 1 ms, in which Python does
nothing else: a fifth of a short program's time. So the answer arrives first, also where its reader is in this loop."""

AT_ONCE_S = 0.0005
"""Seconds of processor time for which lines are received in the turn in which they came. Many programs may print at the
same time, and the slices of later turns are shared by all of them."""

_REHEARSE = rpc.encode(rpc.Notification(sandbox_wire.REHEARSE, None))


class Listener(Protocol):
    """Receives what a worker's process sends. None of these methods waits."""

    def receive(self, line: bytes, *, is_sound: bool = False) -> None:
        """Receive one line, without its end; `is_sound` as in `Peer.receive`."""

    def overflow(self, start: bytes) -> None:
        """A line is longer than any may be; `start` is its beginning. No other method is called after this."""

    def end(self) -> None:
        """The pipe is closed: the process is gone, or about to go."""


class Worker(asyncio.Protocol):
    """One process and its pipe. Made by `open_worker`, given to one `Listener`, then killed.

    Attributes:
        name: Begins its log lines.
        ended: The process's exit status once it is gone; negative: the signal that ended it.
        is_behind: Whether lines that have arrived are received in later turns of the loop.
    """

    def __init__(self, process: Process, payload_bytes: int) -> None:
        self.name = f"sandbox {process.pid}"
        self.pid = process.pid
        self.ended = process.ended
        self.resident = 0
        """Bytes of memory it occupied when it was ready; 0 when unknown."""
        self._process = process
        self._line_bytes = payload_bytes + ENVELOPE
        self._transport: asyncio.Transport | None = None
        self._listener: Listener | None = None
        self._lines: deque[bytes] = deque()  # complete lines that no listener has received yet
        self._reader = Lines(self._line_bytes)
        self._paused = False
        self._is_dismissed = False
        self.is_behind = False
        self._delivering: asyncio.Task[None] | None = None  # the event loop holds its tasks by weak references
        self._writer = LineWriter()

    @property
    def is_alive(self) -> bool:
        """Whether it can still run a program. Asks the system, because news of an end may be on its way."""
        if self._transport is None or self._transport.is_closing() or self.ended.done() or flags.is_stopped(self.pid):
            return False
        try:
            return self._process.pipe.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    @property
    def unread(self) -> int:
        """Bytes we wrote and it has not read, beyond what the pipe itself holds."""
        return 0 if self._transport is None else self._writer.waiting_bytes + self._transport.get_write_buffer_size()

    def error_line(self) -> str:
        """The last line of its stderr, before it was killed; empty if there is none."""
        return self._process.error_line()

    def listen(self, listener: Listener | None) -> None:
        """Pass its lines to this listener from now on; None: keep them for the next listener."""
        self._listener = listener
        self._deliver()

    def send(self, message: bytes) -> None:
        """Write one message; it is dropped when the process is gone. Never waits."""
        if self._transport is None or self._transport.is_closing():
            return
        self._writer.write(message)

    def rehearse(self) -> None:
        """Make the process load what every program needs, while no program is there.

        It saves a program 1.3 ms, and takes 2.3 ms: too much while a program waits for the process.
        """
        self.send(_REHEARSE)

    def pause(self) -> None:
        """Stop reading: once the pipe is full, the program waits. Writing goes on, lest both sides wait for ever."""
        if not self._paused:
            self._paused = True
            self._set_reading()

    def resume(self) -> None:
        """Read again."""
        if self._paused:
            self._paused = False
            self._set_reading()
            self._deliver()

    def dismiss(self) -> None:
        """Receive nothing more, and end the process after `KILL_S`; does nothing the second time."""
        if not self._is_dismissed:
            self._is_dismissed = True
            self.listen(None)
            self.pause()
            asyncio.get_running_loop().call_later(KILL_S, self.kill)

    def kill(self) -> None:
        """End the process at once, and drop the lines that it sent. It is reaped in the background."""
        self._listener = None
        self._lines.clear()
        self._reader.clear()
        self._writer.clear()
        if self._transport is not None:
            self._transport.abort()
        self._process.discard()

    # called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = self._writer.output = transport

    def data_received(self, data: bytes) -> None:
        self._lines.extend(self._reader.cut(data))
        self._deliver()
        if self._reader.is_too_long:
            self._overflow(self._reader.start)

    def pause_writing(self) -> None:
        self._writer.pause()

    def resume_writing(self) -> None:
        self._writer.resume()

    def connection_lost(self, error: Exception | None) -> None:
        if self._listener is not None:
            self._listener.end()

    def _deliver(self) -> None:
        if not self.is_behind:
            self._deliver_some(AT_ONCE_S)

    def _deliver_some(self, slice_s: float = SLICE_S) -> None:
        """Deliver lines for a part of this turn: a program that prints many short ones must not delay others."""
        self.is_behind = False
        since = time.thread_time()
        while self._lines and not self._paused and self._listener is not None:
            if time.thread_time() - since >= slice_s:
                self.is_behind = True
                in_next_slice(self._deliver_some)
                break
            line = self._lines.popleft()
            if len(line) > self._line_bytes:
                self._overflow(line[:200])
            elif len(line) >= LARGE_BYTES:
                self.is_behind = True
                self._delivering = asyncio.get_running_loop().create_task(self._deliver_large(line))
                break
            else:
                self._listener.receive(line)
        self._set_reading()

    async def _deliver_large(self, line: bytes) -> None:
        """Deliver a line whose depth takes long to count, and go on with those after it."""
        is_sound = await is_known_sound(line, rpc.MOST_DEPTH)
        if self._listener is not None:
            self._listener.receive(line, is_sound=is_sound)
        self._deliver_some()

    def _set_reading(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._paused or self.is_behind:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _overflow(self, start: bytes) -> None:
        listener, self._listener = self._listener, None
        self._lines.clear()
        self._reader.clear()
        self.pause()
        if listener is not None:
            listener.overflow(start)


class _Greeting:
    """Waits for the first line of a sandbox, which reports that it is ready.

    Attributes:
        left: Globals that it could not remove.
    """

    def __init__(self) -> None:
        self.left: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

    def receive(self, line: bytes, *, is_sound: bool = False) -> None:
        if self.left.done():
            return
        try:
            match rpc.decode(line):
                case rpc.Notification(sandbox_wire.READY, Raw() as params):
                    self.left.set_result(msgspec.json.decode(params, type=sandbox_wire.Ready).left)
                    return
        except (errors.ProtocolError, msgspec.DecodeError, UnicodeDecodeError):
            pass
        self._fail("it speaks another protocol")

    def overflow(self, start: bytes) -> None:
        self._fail("it speaks another protocol")

    def end(self) -> None:
        self._fail("it ended before it was ready")

    def _fail(self, why: str) -> None:
        if not self.left.done():
            self.left.set_exception(errors.SandboxUnavailable(f"Cannot start a sandbox: {why}"))


async def open_worker(process: Process, limits: Limits, *, ready_s: float = READY_S) -> Worker:
    """Wait until a process that was started is ready, and put it under its limits.

    Raises:
        SandboxUnavailable: It is not ready in time, or not what we know. The process is gone then.
    """
    worker = Worker(process, limits.max_result_bytes)
    greeting = _Greeting()
    worker.listen(greeting)
    try:
        await asyncio.get_running_loop().create_unix_connection(lambda: worker, sock=process.pipe)
        async with asyncio.timeout(ready_s):
            left = await greeting.left
        if left:
            raise errors.SandboxUnavailable(
                f"Cannot start a sandbox: this version of Deno keeps {', '.join(left)[:200]}; use a known one"
            )
        flags.restrict(process.pid, limits)
    except BaseException as error:
        error_line = worker.error_line()
        worker.kill()
        match error:
            case TimeoutError():
                why = f"Cannot start a sandbox: it is not ready after {ready_s:g} s"
            case ProcessLookupError() | ConnectionError():
                why = "Cannot start a sandbox: it ended before it was ready"
            case OSError():
                why = f"Cannot start a sandbox: {processes.shortage(error)}"
            case errors.SandboxUnavailable(message=why):
                pass
            case _:
                raise
        raise errors.SandboxUnavailable(f"{why} ({error_line})" if error_line else why) from None
    worker.resident = flags.resident(process.pid)
    worker.listen(None)
    return worker
