"""A server that reads nothing, at the other end of a client's WebSocket or of a kernel's pipe. Real sockets."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from pctx_jupyter import errors
from pctx_jupyter.client import pipe, socket
from pctx_jupyter.rpc import pipe as rpc_pipe
from pctx_jupyter.rpc import room
from pctx_jupyter.rpc.channel import Channel, ignore, refuse_all
from tests.fakes import SOON

LARGE = "x" * 100_000
MESSAGE = 1 << 20


@asynccontextmanager
async def over_websocket(serves: Callable[..., Awaitable[object]]) -> AsyncIterator[Channel]:
    async def act(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.wait_closed()

    async with serve(act, "127.0.0.1", 0, compression=None, close_timeout=0.1) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield await socket.connect(url, {}, serves, ignore, MESSAGE)


@asynccontextmanager
async def over_pipe(serves: Callable[..., Awaitable[object]]) -> AsyncIterator[Channel]:
    over = asyncio.Event()

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
        writer.write(b'{"jsonrpc":"2.0","method":"session_created"}\n')
        await over.wait()
        writer.close()

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "socket")
        server = await asyncio.start_unix_server(act, path)
        yield await pipe.connect(path, "token", serves, ignore, MESSAGE)
        over.set()
        server.close()


Open = Callable[..., AbstractAsyncContextManager[Channel]]


@pytest.fixture(params=[over_websocket, over_pipe])
def connected(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Connects to a server that reads nothing. At the end, the connection can be closed nevertheless."""
    for module in (room, socket, pipe):
        for name in ("UNSENT_BYTES", "UNREAD_BYTES"):
            monkeypatch.setattr(module, name, 1_000_000)
    for module in (socket, rpc_pipe):
        monkeypatch.setattr(module, "CLOSE_S", 0.05)

    @asynccontextmanager
    async def opened(serves: Callable[..., Awaitable[object]] = refuse_all) -> AsyncIterator[Channel]:
        async with asyncio.timeout(SOON), request.param(serves) as made:
            yield made
            made.close()
            await made.closed()

    return opened


async def test_requests_wait_and_notifications_end_the_connection_at_last(connected: Open) -> None:
    async with connected() as channel:
        calls = [asyncio.create_task(channel.call("much", [LARGE])) for _ in range(200)]
        await asyncio.sleep(0)
        assert 1_000_000 <= channel._room.unsent_bytes <= 1_000_000 + 2 * len(LARGE)
        assert len(channel._awaited) < len(calls)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await channel.call("more")
        while not channel.is_closed:
            channel.notify("much", [LARGE])
            await asyncio.sleep(0)
            assert channel._room.unsent_bytes <= 3_200_000
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(end) for end in ends} == {errors.ConnectionLost}


async def test_results_wait_too(connected: Open) -> None:
    async def much(request: object) -> object:
        return [LARGE]

    async with connected(much) as channel:
        for id in range(200):
            channel.feed(b'{"jsonrpc":"2.0","id":%d,"method":"much"}' % id)
        while len(channel._serving) == 200:
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert channel._room.unsent_bytes <= 1_000_000 + 2 * len(LARGE) and len(channel._serving) > 100


async def test_a_request_that_waits_to_be_sent_ends_when_the_server_gives_no_sign_of_life(
    connected: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (socket, pipe):
        monkeypatch.setattr(module, "PING_S", 0.02)
    async with connected() as channel:
        while channel._room.unsent_bytes <= 1_000_000:
            channel.notify("much", [LARGE])
        assert not channel.is_owed
        with pytest.raises(errors.ConnectionLost):
            await channel.call("more")
