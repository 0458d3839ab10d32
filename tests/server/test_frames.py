"""How the server reads frames: in pieces, whatever their size. A real server, small pieces, and a real client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from websockets.frames import Frame, Opcode

from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.server import frames
from tests.fakes import SOON

from .wires import Wire

Connect = Callable[..., AbstractAsyncContextManager[Wire]]

UNKNOWN = "é" * 1_000
FRAME = json.dumps(
    {"jsonrpc": "2.0", "id": 1, "method": "get_function_details", "params": {"functions": [UNKNOWN]}},
    ensure_ascii=False,
)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "PIECE_BYTES", 64)
    monkeypatch.setattr(frames, "LARGE_BYTES", 512)


@pytest.mark.parametrize("sizes", [[2_000], [1, 2_000], [100, 3, 300, 0, 2_000], [500, 2_000]])
async def test_a_message_arrives_whole_from_fragments_of_any_size_with_pings_between(
    wire: Connect, sizes: list[int]
) -> None:
    async with wire() as it:

        async def fragments() -> AsyncIterator[str]:
            start = 0
            for size in sizes:
                yield FRAME[start : start + size]
                await it.connection.ping()
                start += size

        await it.connection.send(fragments())
        assert UNKNOWN[:50] in (await it.receive())["error"]["message"]
        assert await it.is_fine()


def masked(opcode: Opcode, data: bytes, *, is_last: bool = True) -> bytes:
    return Frame(opcode, data, is_last).serialize(mask=True, extensions=[])


async def asks_often(other: Wire) -> None:
    for _ in range(5):
        assert await other.is_fine()


@pytest.mark.parametrize(
    "between",
    [
        masked(Opcode.CONT, b" " * 200_000, is_last=False),
        5_000 * masked(Opcode.CONT, b"", is_last=False),
        5_000 * masked(Opcode.PONG, b""),
    ],
    ids=["a long fragment", "empty fragments", "pongs"],
)
async def test_a_piece_waits_for_its_turn_and_others_are_served_meanwhile(wire: Connect, between: bytes) -> None:
    async with wire() as greedy, wire() as other, asyncio.timeout(4 * SOON):
        text = FRAME.encode()
        parts = (masked(Opcode.TEXT, text[:-1], is_last=False), between, masked(Opcode.CONT, text[-1:]))
        greedy.connection.transport.write(b"".join(parts))
        served = asyncio.create_task(asks_often(other))
        answered = asyncio.create_task(greedy.receive())
        first, _ = await asyncio.wait((served, answered), return_when=asyncio.FIRST_COMPLETED)
        assert first == {served}
        await served
        assert "error" in await answered


@pytest.mark.parametrize(
    ("first", "data"),
    [
        (0x80, b"the rest of nothing"),
        (0x09, b"a ping in part"),
        (0xC1, b"of an extension"),
        (0x83, b"of a reserved opcode"),
        (0x81, b"\xff no text"),
    ],
)
async def test_a_frame_against_the_protocol_ends_the_connection(wire: Connect, first: int, data: bytes) -> None:
    async with wire() as it:
        no_mask = bytes(4)
        it.connection.transport.write(bytes([first, 0x80 | len(data)]) + no_mask + data)
        await it.gone()


@pytest.mark.parametrize("most", [rpc.MAX_DEPTH, rpc.MOST_DEPTH])
async def test_a_large_message_may_nest_as_deep_as_any_other(wire: Connect, most: int) -> None:
    async with wire() as it:
        await it.send(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "unknown", "params": "x"}).replace(
                '"x"', "[" * most + "]" * most
            )
        )
        assert ("deeper" in (await it.receive())["error"]["message"]) == (most == rpc.MOST_DEPTH)


async def test_a_large_text_that_is_no_text_is_refused(wire: Connect) -> None:
    async with wire() as it:
        broken = FRAME.encode().replace("é".encode(), b"\xff")
        it.connection.transport.write(Frame(Opcode.TEXT, broken).serialize(mask=True, extensions=[]))
        assert (await it.receive())["error"]["code"] == -32700
        assert await it.is_fine()
