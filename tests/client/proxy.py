"""A TCP proxy between client and server, for faults: connections cut, silent or slow, nobody there, a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on to a server until told otherwise.

    Args:
        url: Of the server.
    """

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._host, self._port = target.hostname, target.port
        self._path = target.path
        self._server: asyncio.Server | None = None
        self._own_port = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._refusal: bytes | None = None
        self._is_holding = False
        self.delay_s = 0.0
        """Seconds by which it delays what it passes on, in either direction."""
        self.accepted = 0
        """How many connections were made to it."""
        self.passed_bytes = 0
        """Bytes that it has passed on, in either direction: what a hub's proxy takes for activity."""

    @property
    def url(self) -> str:
        """The server's URL, by way of this proxy."""
        return f"ws://localhost:{self._own_port}{self._path}"

    async def listen(self) -> None:
        """Let clients come; the second time on the same port."""
        self._server = await asyncio.start_server(self._pass_on, "localhost", self._own_port)
        self._own_port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Cut every connection without a word."""
        for writer in self._open:
            writer.transport.abort()

    async def leave(self) -> None:
        """Cut every connection, and be gone."""
        if self._server is not None:
            self._server.close()
            self.cut()
            await self._server.wait_closed()

    def hold(self) -> None:
        """Pass nothing on any more, and keep the connections."""
        self._is_holding = True

    def refuse(self, status: str | None) -> None:
        """Answer new connections with an HTTP status, such as ``403 Forbidden``; None: no more."""
        self._refusal = None if status is None else f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._open.add(writer)
        try:
            if self._refusal is not None:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self._refusal)
                await writer.drain()
                return
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            self._open.add(far_writer)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pump(reader, far_writer))
                    both.create_task(self._pump(far_reader, writer))
            finally:
                self._open.discard(far_writer)
                far_writer.close()
        finally:
            self._open.discard(writer)
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                self.passed_bytes += len(data)
                if self._is_holding:
                    continue
                await asyncio.sleep(self.delay_s)
                writer.write(data)
                await writer.drain()
        with suppress(OSError):
            writer.close()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Proxy]:
    """A proxy in front of a server."""
    proxy = Proxy(url)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.leave()
