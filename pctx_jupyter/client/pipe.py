"""A channel to the server that started this kernel, over a Unix socket: the client's end of `pctx_jupyter.rpc.pipe`."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from pathlib import Path

import msgspec

from .. import errors, processes
from ..rpc import wire
from ..rpc.channel import Channel, OnNotification, Serve
from ..rpc.pipe import PING, Pipe
from ..rpc.room import UNREAD_BYTES, UNSENT_BYTES

PING_S = 5.0
"""Seconds between pings: two in vain stay within the 15 s after which a dead server is noticed."""

ANSWER_S = 2.0
"""Seconds until the server has answered a ping. One that runs answers at once, even if its engine has yet to start."""

OPEN_S = 10.0
"""Seconds until the server has greeted us."""


class PipeChannel(Channel):
    """A channel that owns the pipe it runs over: closing either closes both."""

    def __init__(self, *, serve: Serve, on_notification: OnNotification, name: str, max_bytes: int) -> None:
        self.pipe = Pipe(
            name,
            receive=lambda line: self.feed(line, is_sound=self.pipe.is_sound),
            lost=self._on_pipe_lost,
            max_bytes=max_bytes,
            ping_s=PING_S,
            is_owed=lambda: self.is_owed,
            unread_bytes=max_bytes + UNSENT_BYTES + UNREAD_BYTES,
        )
        super().__init__(
            self.pipe.send,
            serve=serve,
            on_notification=on_notification,
            name=name,
            max_bytes=max_bytes,
            room=self.pipe.room,
            results_wait=True,
        )
        self.on_close(self.pipe.close)

    async def closed(self) -> None:
        """Wait until nothing is being served any more and the pipe is closed."""
        await super().closed()
        await self.pipe.gone

    def _on_pipe_lost(self) -> None:
        self.close(
            errors.ConnectionLost(f"Connection lost: {self.name}; what was under way may or may not have been done")
        )


async def connect(path: str, token: str, serve: Serve, on_notification: OnNotification, max_bytes: int) -> PipeChannel:
    """Open the pipe that a server has told this kernel of.

    Args:
        path: Of its socket.
        token: This kernel's own.
        serve, on_notification, max_bytes: As for `Channel`.

    Raises:
        CannotConnect: There is no such socket here, no server listens, it does not answer, or it does not know this
            kernel.
    """
    channel = PipeChannel(serve=serve, on_notification=on_notification, name="the server's pipe", max_bytes=max_bytes)
    pipe, answered, greeted = channel.pipe, asyncio.Event(), asyncio.Event()

    def greet(line: bytes) -> None:
        pipe.receive = channel.feed
        answered.set()
        greeted.set()
        channel.feed(line)

    def lose(gone: asyncio.Future[None]) -> None:
        answered.set()
        greeted.set()

    pipe.receive, pipe.on_pong = greet, answered.set
    _check(Path(path).parent)
    try:
        async with asyncio.timeout(ANSWER_S):
            await asyncio.get_running_loop().create_unix_connection(lambda: pipe, path)
            pipe.gone.add_done_callback(lose)
            pipe.send(PING)
            pipe.send(msgspec.json.encode(wire.Admit(token)))
            await answered.wait()
        async with asyncio.timeout(OPEN_S):
            await greeted.wait()
    except TimeoutError:
        channel.close()
        within_s = OPEN_S if answered.is_set() else ANSWER_S
        raise errors.CannotConnect(
            f"Cannot connect to the server's pipe: no answer within {within_s:g} s; the server is busy or stopped",
            is_silent=True,
        ) from None
    except OSError as error:
        channel.close()
        # A listener that is stopped, and has as many connections waiting as it may, refuses with EAGAIN.
        is_silent = error.errno == errno.EAGAIN
        why = "the server does not accept it" if is_silent else processes.shortage(error, otherwise="")
        raise errors.CannotConnect(f"Cannot connect to the server's pipe: {why}", is_silent=is_silent) from None
    except BaseException:
        channel.close()
        raise
    if channel.is_closed:
        raise errors.CannotConnect("Cannot connect to the server's pipe: it does not know this kernel")
    return channel


def _check(folder: Path) -> None:
    """Refuse a folder that other users can enter: one of them may have made it after the server ended."""
    try:
        found = folder.lstat()
    except OSError as error:
        raise errors.CannotConnect(f"Cannot connect to the server's pipe: {error.strerror}") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise errors.CannotConnect("Cannot connect to the server's pipe: its folder is not this account's alone")
