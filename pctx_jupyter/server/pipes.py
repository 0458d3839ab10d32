"""A Unix socket for the kernels this server starts: the server's end of `pctx_jupyter.rpc.pipe`.

It lies in a folder that only the server's account can enter. A client sends a kernel's token first, and can open that
kernel's own session only. A kernel that cannot reach it, in a container perhaps, takes the WebSocket instead.

A kernel on this socket may change MCP servers, because it runs in the server's account and could start them itself. A
container may share the folder, so on Linux the server also compares the accounts and namespaces of the two processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from asyncio.trsock import TransportSocket
from functools import partial
from pathlib import Path

import msgspec

from .. import errors, processes
from ..rpc import attached, wire
from ..rpc.channel import LARGE_BYTES, Channel
from ..rpc.pipe import Pipe
from ..rpc.room import UNREAD_BYTES
from ..session import access
from .kernels import KernelTokens
from .naming import NotebookNames
from .running import RunningEngine
from .turns import rest_s

log = logging.getLogger(__name__)

PREFIX = "pctx-"
SOCKET = "kernels"

ADMIT_S = 10.0
"""Seconds in which a connection has to say who it is."""

NAMESPACES = ("user", "mnt", "pid")
"""What a container has of its own, as /proc names it: its accounts, its files, its processes."""

_PEER = struct.Struct("3i")
"""Process, user and group at the other end of a Unix socket."""

CLEAN_S = 2.0
"""Seconds the cleaner may take to remove the folder; it takes 3 ms."""

SWEEP_S = 60.0
"""Seconds after which a folder whose socket has no listener counts as left by a killed server."""


class KernelPipes:
    """The pipes of one server's kernels.

    Args:
        running: The server's engine.
        tokens: The tokens of kernels; passes the address of the pipe to kernels.
        names: Give a kernel the name of its notebook.
    """

    def __init__(self, running: RunningEngine, tokens: KernelTokens, names: NotebookNames) -> None:
        self._running, self._tokens, self._names = running, tokens, names
        self._server: asyncio.AbstractServer | None = None
        self._folder: Path | None = None
        self._cleaner: subprocess.Popen[bytes] | None = None

    async def open(self) -> None:
        """Listen; without it, where Unix sockets are unknown or cannot be made, kernels have the WebSocket."""
        if os.name != "posix":
            return
        sweep()
        try:
            folder = self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))  # the path of a socket has to be short
            path = str(folder / SOCKET)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(lambda: _Admission(self).pipe, path)
        except (OSError, NotImplementedError) as error:
            log.warning("pipes = none, kernels take the WebSocket: %s", error)
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            return
        self._tokens.pipe = path
        self._cleaner = _start_cleaner(folder)

    async def close(self) -> None:
        """Listen no more."""
        self._tokens.pipe = ""
        if self._cleaner is not None:
            await processes.aside(partial(_end_cleaner, self._cleaner))
        if self._server is not None:
            self._server.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def admit(self, token: str, pipe: Pipe) -> Channel | None:
        """Open the session of the kernel with this token; None when there is none."""
        caller = access.Caller.PIPE if is_of_this_account(pipe.socket) else access.Caller.KERNEL
        kernel_id = self._tokens.owner(token)
        if kernel_id is None:
            return None
        engine = await self._running.get()
        await self._names.name(kernel_id)

        async def guard() -> None:
            if self._tokens.owner(token) != kernel_id:
                raise errors.Forbidden("Cannot serve: this kernel may no longer execute here")

        door = engine.open_door(pipe.send, guard=guard, caller=caller, kernel_id=kernel_id, room=pipe.room)
        return door.channel

    def pipe(self, admission: _Admission) -> Pipe:
        """Make the server's end of one connection."""
        settings = self._running.settings
        return Pipe(
            "kernel's pipe",
            receive=admission.receive,
            lost=admission.lost,
            max_bytes=settings.max_message_bytes,
            ping_s=settings.ping_s,
            is_owed=lambda: admission.is_owed,
            unread_bytes=settings.max_message_bytes + UNREAD_BYTES,
        )


class _Admission:
    """One connection until it is accepted or refused, by its first line."""

    def __init__(self, pipes: KernelPipes) -> None:
        self._pipes = pipes
        self._channel: Channel | None = None
        self.pipe = pipes.pipe(self)
        self._admitting: asyncio.Task[None] | None = None
        self._deadline = asyncio.get_running_loop().call_later(ADMIT_S, self.pipe.close)

    @property
    def is_owed(self) -> bool:
        """Whether one end waits for an answer of the other."""
        return self._channel is not None and self._channel.is_owed

    def receive(self, line: bytes) -> None:
        if self._admitting is None:
            self._admitting = asyncio.get_running_loop().create_task(self._admit(line))
        else:
            self.pipe.close()  # a kernel waits until it is greeted

    def lost(self) -> None:
        self._deadline.cancel()
        if self._admitting is not None:
            self._admitting.cancel()
        if self._channel is not None:
            self._channel.close()

    async def _admit(self, line: bytes) -> None:
        try:
            token = msgspec.json.decode(line, type=wire.Admit).token
            self._channel = await self._pipes.admit(token, self.pipe)
        except (msgspec.DecodeError, UnicodeDecodeError, errors.PctxError) as error:
            log.debug("%s = refused: %s", self.pipe.name, error)
        except Exception:
            log.exception("%s = failed to let a kernel in", self.pipe.name)
        if self._channel is None:
            self.pipe.close()
            return
        self._deadline.cancel()
        self.pipe.receive = self._feed
        self._channel.on_close(self.pipe.close)

    def _feed(self, line: bytes) -> None:
        assert self._channel is not None, "it is fed once it is there"
        is_sound = self.pipe.is_sound
        try:
            if not is_sound:  # payloads are passed on unread: someone has to make sure that they are text
                attached.message(line).decode()
        except UnicodeDecodeError:
            self.pipe.receive = lambda line: None
            self.pipe.close()
            return
        since = time.thread_time()
        self._channel.feed(line, is_sound=is_sound)
        if len(line) >= LARGE_BYTES:
            self.pipe.rest_s = rest_s(time.thread_time() - since)


def is_of_this_account(connection: TransportSocket | None) -> bool:
    """Whether the process at the other end runs as we do: in the same account, and in no container of its own.

    Elsewhere than on Linux, that it can enter the socket's folder has to do.
    """
    if connection is None:
        return False
    if sys.platform != "linux":
        return True
    try:
        made_of = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        pid, uid, _ = _PEER.unpack(made_of)
        there, here = Path(f"/proc/{pid}/ns"), Path("/proc/self/ns")
        return bool(
            uid == os.geteuid() and all((there / kind).readlink() == (here / kind).readlink() for kind in NAMESPACES)
        )
    except OSError:
        return False  # it is gone, or keeps from us what it is


def _start_cleaner(folder: Path) -> subprocess.Popen[bytes] | None:
    """Start a shell that removes a folder as soon as this process has ended, however it ends.

    The shell waits for the end of its stdin. Only this process holds the other end of it, and never writes.
    """
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", 'read -r line; rm -rf -- "$1"', "pctx-cleaner", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            cwd="/",
            start_new_session=True,  # an interrupt in the server's terminal does not end it
        )
    except OSError as error:
        log.info("pipes = no cleaner: %s", processes.shortage(error))  # the next server removes what this one leaves
        return None


def _end_cleaner(cleaner: subprocess.Popen[bytes]) -> None:
    assert cleaner.stdin is not None
    cleaner.stdin.close()
    try:
        cleaner.wait(CLEAN_S)
    except subprocess.TimeoutExpired:  # the process is stopped
        cleaner.kill()
        cleaner.wait()


def sweep() -> None:
    """Remove what killed servers of this account left, where their cleaners were killed with them."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{SOCKET}"):
        try:
            folder, file = path.parent.lstat(), path.lstat()
            is_ours = folder.st_uid == os.getuid() and stat.S_ISDIR(folder.st_mode) and stat.S_ISSOCK(file.st_mode)
            if is_ours and time.time() - file.st_mtime > SWEEP_S and not _is_listening(path):
                path.unlink()
                path.parent.rmdir()
        except OSError:
            continue  # it goes just now, or is none


def _is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.settimeout(0.1)
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True
