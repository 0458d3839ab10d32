"""Frames at the client's end of a WebSocket: their order and their fragments. Real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
from websockets.asyncio.server import ServerConnection, serve

from pctx_jupyter.client import socket
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc.channel import refuse_all
from tests.fakes import SOON

LARGE = "x" * 300_000


@asynccontextmanager
async def opened(
    act: Callable[[ServerConnection], Awaitable[object]],
) -> AsyncIterator[tuple[socket.Socket, asyncio.Queue[str]]]:
    """A connection to a server that does what its test says, and the methods of the notifications that arrive."""
    arrived: asyncio.Queue[str] = asyncio.Queue()
    async with serve(act, "127.0.0.1", 0, compression=None, close_timeout=0.1) as server, asyncio.timeout(SOON):
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        made = await socket.connect(url, {}, refuse_all, lambda one: arrived.put_nowait(one.method), 1 << 20)
        yield made, arrived
        await made.stop()
        await made.closed()


async def test_messages_arrive_that_come_with_the_handshake_or_in_fragments_with_a_ping_between() -> None:
    async def act(connection: ServerConnection) -> None:
        await connection.send('{"jsonrpc": "2.0", "method": "first"}')
        text = rpc.encode(rpc.Notification("second ü", msgspec.Raw(b"[1]")))

        async def parts() -> AsyncIterator[bytes]:
            yield text[:30]
            await (await connection.ping())
            yield text[30:50]
            yield text[50:]

        await connection.send(parts(), text=True)
        await connection.wait_closed()

    async with opened(act) as (_, arrived):
        assert arrived.empty()  # nothing arrives before the caller has the connection
        assert [await arrived.get() for _ in range(2)] == ["first", "second ü"]


async def test_frames_leave_in_their_order_once_the_other_end_reads_again() -> None:
    reads, found = asyncio.Event(), list[str]()

    async def act(connection: ServerConnection) -> None:
        await reads.wait()
        async for frame in connection:
            found.append(msgspec.json.decode(frame)["method"])

    async with opened(act) as (made, _):
        for number in range(100):
            made.notify(f"{number}", [LARGE])
        assert made._connection._waiting
        reads.set()
        while len(found) < 100:
            await asyncio.sleep(0.001)
    assert found == [f"{number}" for number in range(100)]
