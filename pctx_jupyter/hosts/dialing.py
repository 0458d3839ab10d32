"""A sandbox host as a process: connects to an engine, runs what it is given, and connects again when that ends."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from .. import errors
from .._version import __version__
from ..client.socket import connect
from ..rpc.backoff import BackOff
from ..rpc.channel import Channel
from ..sandbox import executable
from ..sandbox.pool import open_pool
from ..sandbox.spawner import open_spawner
from ..settings import MIB, Settings
from . import messages
from .host import HostEnd

log = logging.getLogger(__name__)

FIRST_S, LONGEST_S = 0.5, 30.0
"""Seconds between two attempts to connect: the first, and the longest."""

LARGEST_FRAME = 512 * MIB
"""Bytes of a frame that a host reads. It trusts its engine, whose own limits are far below."""

HELLO_S = 10.0
"""Seconds the engine may take to answer the hello."""

DRAIN_S = 25.0
"""Seconds that programs may take to end once the host is asked to stop. Kubernetes kills after 30."""

ROUTE = "pctx/sandboxes"


@dataclass(frozen=True, slots=True)
class Isolation:
    """What isolates the sandboxes of this machine: the version of Deno, and the layers."""

    deno: str
    layers: int


async def isolation(deno: str = "") -> Isolation:
    """Find out what isolates sandboxes here.

    Args:
        deno: The path of Deno; empty: the one that came with the package.

    Raises:
        SandboxUnavailable: No sandbox can be started here.
    """
    settings = Settings(deno=deno)
    found = await executable.find(deno)
    spawner = await open_spawner(found, settings)
    try:
        return Isolation(found.version, spawner.layers)
    finally:
        await spawner.close()


def host_name() -> str:
    """Return what people call this host: its machine and its process."""
    return f"{socket.gethostname()}-{os.getpid()}"


class SandboxHost:
    """Serves one engine until it is stopped.

    Args:
        url: The base URL of the server.
        token: The token of sandbox hosts.
        capacity: Programs that run at the same time.
        has: What isolates them.
        deno: The path of Deno; empty: the one that came with the package.
        say: Receives each change of its state, for people.
        give_up_s: Seconds without a connection after which it ends; 0: it never does.
    """

    def __init__(
        self,
        url: str,
        token: str,
        capacity: int,
        has: Isolation,
        *,
        deno: str = "",
        say: Callable[[str], None],
        give_up_s: float = 0.0,
    ) -> None:
        self._give_up_s = give_up_s or math.inf
        self._url, self._token, self._capacity, self._has = url.rstrip("/"), token, capacity, has
        self._deno, self._say = deno, say
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Take no more programs, let those that run end, and disconnect."""
        self._stopping.set()

    async def serve(self) -> None:
        """Connect, and connect again whenever the connection is lost.

        Raises:
            Forbidden: The engine refuses this host; the message says why.
        """
        rests, clock = BackOff(FIRST_S, LONGEST_S), asyncio.get_running_loop().time
        self._connected_at = clock()
        while not self._stopping.is_set():
            try:
                await self._connect(rests)
            except errors.ConnectionLost as lost:
                if isinstance(lost, errors.CannotConnect) and lost.http_status == HTTPStatus.FORBIDDEN:
                    raise errors.Forbidden(
                        f"Cannot connect to {self._url}: the server refused the token of this sandbox host; "
                        "jupyter pctx sandbox-token prints the right one there"
                    ) from None
                if clock() - self._connected_at > self._give_up_s:
                    raise
                rest_s = rests.next_s()
                self._say(f"{lost.message}; next attempt in {rest_s:.1f} s")
                try:
                    async with asyncio.timeout(rest_s):
                        await self._stopping.wait()
                except TimeoutError:
                    continue

    async def _connect(self, rests: BackOff) -> None:
        """Serve the engine over one connection.

        Raises:
            ConnectionLost: It was lost, or never came about.
            Forbidden: The engine refuses this host.
        """
        end = HostEnd(self.stop)
        channel = await connect(
            f"{self._url}/{ROUTE}",
            {messages.TOKEN_HEADER: self._token},
            end.serve,
            end.on_notification,
            LARGEST_FRAME,
            is_binary=True,
        )
        try:
            end.join(channel)
            settings = await self._greet(channel)
            rests.reset()
            async with open_pool(settings) as pool:
                end.accept(pool.run)
                self._say(
                    f"Connected to {self._url}: {self._capacity} sandboxes, {self._has.layers} layers of isolation"
                )
                gone, stopping = asyncio.ensure_future(channel.closed()), asyncio.ensure_future(self._stopping.wait())
                try:
                    await asyncio.wait((gone, stopping), return_when=asyncio.FIRST_COMPLETED)
                    if gone.done():
                        raise errors.ConnectionLost(f"Connection lost: {self._url}")
                    channel.notify(messages.LEAVING)
                    await self._drain(end, gone)
                finally:
                    self._connected_at = asyncio.get_running_loop().time()
                    gone.cancel()
                    stopping.cancel()
        finally:
            await channel.stop()
            await channel.closed()

    async def _greet(self, channel: Channel) -> Settings:
        """Say what this host is; returns the settings of its pool."""
        hello = messages.Hello(
            __version__, messages.WIRE, self._has.layers, self._capacity, deno=self._has.deno, name=host_name()
        )
        try:
            async with asyncio.timeout(HELLO_S):
                answered = await channel.call(messages.HELLO, hello)
        except TimeoutError:
            raise errors.ConnectionLost(f"Connection lost: {self._url} does not answer") from None
        welcome = msgspec.json.decode(answered, type=messages.Welcome)
        return welcome.settings(self._capacity, self._deno)

    async def _drain(self, end: HostEnd, gone: asyncio.Future[None]) -> None:
        """Wait until the programs that run have ended."""
        if end.running:
            self._say(f"Stopping: waits for {end.running} programs")
        ended = asyncio.ensure_future(end.idle())
        try:
            await asyncio.wait((ended, gone), timeout=DRAIN_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
