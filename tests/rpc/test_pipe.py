"""Two ends of one socket in one loop: what is sent arrives, whoever reads when."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from pctx_jupyter.rpc.channel import LARGE_BYTES, PIECE_BYTES
from pctx_jupyter.rpc.pipe import BURST, Pipe

from ..fakes import SOON


async def joined(receive: Callable[[bytes], None]) -> tuple[Pipe, Pipe]:
    """Two pipes; `receive` is called with each line that the left one sends."""
    ends = []
    for end, take in zip(socket.socketpair(), (lambda line: None, receive), strict=True):
        pipe = Pipe(
            "test",
            receive=take,
            lost=lambda: None,
            max_bytes=1 << 20,
            ping_s=60,
            is_owed=bool,
            unread_bytes=1 << 30,
        )
        await asyncio.get_running_loop().create_unix_connection(lambda pipe=pipe: pipe, sock=end)
        ends.append(pipe)
    return ends[0], ends[1]


async def test_all_that_is_sent_at_once_arrives_in_order_though_it_is_closed_at_once() -> None:
    heard: list[bytes] = []
    left, right = await joined(heard.append)
    frames = [b"%d" % n + b"x" * (n % 300) for n in range(50_000)] + [b"y" * (1 << 20)] * 40
    for frame in frames:
        left.send(frame)
    left.close()
    left.send(b"too late")
    async with asyncio.timeout(4 * SOON):
        await right.gone
    assert heard == frames


async def test_a_line_break_between_two_tokens_is_no_end_of_a_frame() -> None:
    heard: list[bytes] = []
    left, right = await joined(heard.append)
    left.send(b'{"a":\n1}')
    left.close()
    async with asyncio.timeout(SOON):
        await right.gone
    assert heard == [b'{"a": 1}']


async def test_of_what_arrives_at_once_a_turn_of_the_loop_takes_a_burst_so_that_others_have_their_turns() -> None:
    by_turn: list[int] = [0]
    done = asyncio.Event()

    def receive(line: bytes) -> None:
        by_turn[-1] += 1
        if line == b"last":
            done.set()

    def turn() -> None:
        by_turn.append(0)
        if not done.is_set():
            asyncio.get_running_loop().call_soon(turn)

    left, right = await joined(receive)
    left.close()
    await right.gone
    turn()
    right.data_received(b"frame\n" * 1_000 + b"last\n")
    async with asyncio.timeout(SOON):
        await done.wait()
    assert max(by_turn) <= BURST and sum(by_turn) == 1_001


async def test_what_arrived_before_the_end_of_a_pipe_is_taken_before_its_owner_is_told() -> None:
    heard: list[bytes] = []
    left, right = await joined(heard.append)
    right.data_received(b"frame\n" * 1_000)
    left.close()
    right.close()
    async with asyncio.timeout(SOON):
        await right.gone
    assert len(heard) == 1_000


async def test_a_line_that_cannot_be_taken_in_loses_the_pipe_and_does_not_leave_it_silent() -> None:
    heard: list[bytes] = []

    def receive(line: bytes) -> None:
        heard.append(line)
        if len(heard) == at:
            raise RuntimeError("it cannot be taken in")

    for at in (1, BURST + 1):  # in the turn in which it arrives, and in a later one
        heard.clear()
        left, right = await joined(receive)
        right.data_received(b"line\n" * (3 * BURST))
        async with asyncio.timeout(SOON):
            await asyncio.gather(left.gone, right.gone)
        assert len(heard) == at


async def test_others_are_served_while_a_large_line_is_checked_and_before_the_next_one_is_received() -> None:
    heard: list[tuple[bytes, bool]] = []
    turns = 0
    done = asyncio.Event()

    def receive(line: bytes) -> None:
        heard.append((line[:9], right.is_sound))
        if line == b"last":
            done.set()

    left, right = await joined(receive)
    large = b"[" + b"1," * LARGE_BYTES + b"1]"
    for line in (b"1", large, b"2", b"[" * LARGE_BYTES, b"last"):
        left.send(line)
    while not done.is_set():
        await asyncio.sleep(0)
        turns += 1
    assert heard == [(b"1", False), (large[:9], True), (b"2", False), (b"[" * 9, False), (b"last", False)]
    assert turns > 2 * LARGE_BYTES / PIECE_BYTES / 10
    right.rest_s = 3600
    done.clear()
    for line in (large, b"last"):
        left.send(line)
    while right.rest_s:  # the large line has come, and takes it
        await asyncio.sleep(0)
    assert heard[5:] == [(large[:9], True)] and not done.is_set()
    right.close()
    async with asyncio.timeout(SOON):
        await right.gone
