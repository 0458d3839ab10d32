"""One sandbox: its first word, its lines, and what happens when it stops listening or living."""

from __future__ import annotations

import asyncio
import os
import socket
import time

import pytest

from pctx_jupyter import errors
from pctx_jupyter.sandbox.spawner import Process
from pctx_jupyter.sandbox.worker import ENVELOPE, Worker, open_worker
from pctx_jupyter.settings import Limits
from pctx_jupyter.slices import SLICE_S

from .programs import soon

READY = b'{"jsonrpc":"2.0","method":"ready","params":{"left":[]}}\n'


class Ear:
    """A listener that keeps everything."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.sound: list[bytes] = []
        self.overflowed: bytes | None = None
        self.ended = asyncio.Event()
        self.received = asyncio.Event()

    def receive(self, line: bytes, *, is_sound: bool = False) -> None:
        self.lines.append(line)
        self.sound += [line] if is_sound else []
        self.received.set()

    def overflow(self, start: bytes) -> None:
        self.overflowed = start
        self.received.set()

    def end(self) -> None:
        self.ended.set()

    async def lines_until(self, count: int) -> list[bytes]:
        while len(self.lines) < count:
            self.received.clear()
            await soon(self.received.wait())
        return self.lines


class Stranger:
    """The other end of a worker's pipe, in the hands of a test; the process behind it is this one."""

    def __init__(self) -> None:
        ours, self.pipe = socket.socketpair()
        ours.setblocking(False)
        self.pipe.setblocking(False)
        read, self.stderr = os.pipe()
        self.killed = 0
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.process = Process(os.getpid(), ours, read, self.ended, self._kill)

    def _kill(self) -> None:
        self.killed += 1
        self.ended.set_result(-9)

    async def worker(self, limits: Limits | None = None) -> Worker:
        worker = Worker(self.process, (limits or Limits()).max_result_bytes)
        await asyncio.get_running_loop().create_unix_connection(lambda: worker, sock=self.process.pipe)
        return worker

    async def say(self, data: bytes) -> None:
        await soon(asyncio.get_running_loop().sock_sendall(self.pipe, data))

    async def receive(self, size: int) -> bytes:
        heard = b""
        while len(heard) < size:
            heard += await soon(asyncio.get_running_loop().sock_recv(self.pipe, 1 << 16))
        return heard

    def close(self) -> None:
        self.pipe.close()
        os.close(self.stderr)


async def test_lines_arrive_whole_however_they_were_cut() -> None:
    stranger, ear = Stranger(), Ear()
    worker = await stranger.worker()
    worker.listen(ear)
    for part in (b"on", b"e\ntw", b"o", b"\n\nthree\nfo", b"ur\n", b"half"):
        await stranger.say(part)
        await asyncio.sleep(0)
    assert await ear.lines_until(5) == [b"one", b"two", b"", b"three", b"four"]
    worker.kill()
    stranger.close()
    assert ear.lines == [b"one", b"two", b"", b"three", b"four"]  # half a line is none


async def test_a_line_beyond_the_limit_ends_the_conversation_before_it_is_held_whole() -> None:
    stranger, ear = Stranger(), Ear()
    worker = await stranger.worker(Limits(max_result_bytes=1000))
    worker.listen(ear)
    await stranger.say(b"fine\n" + b"x" * (ENVELOPE + 1001))
    await soon(ear.received.wait())
    while ear.overflowed is None:
        ear.received.clear()
        await soon(ear.received.wait())
    assert (ear.lines, ear.overflowed) == ([b"fine"], b"x" * 200)
    worker.kill()
    stranger.close()


async def test_a_paused_worker_reads_no_more_than_the_pipe_holds_and_loses_nothing() -> None:
    stranger, ear = Stranger(), Ear()
    worker = await stranger.worker()
    worker.listen(ear)
    await stranger.say(b"a\n")
    await ear.lines_until(1)
    worker.pause()
    sent = 0
    with pytest.raises(BlockingIOError):
        while sent < 1 << 23:
            sent += stranger.pipe.send(b"b\n" * (1 << 14))
            await asyncio.sleep(0)
    assert len(ear.lines) == 1
    worker.resume()
    lines = await ear.lines_until(1 + sent // 2)
    assert lines == [b"a"] + [b"b"] * (sent // 2)
    worker.kill()
    stranger.close()


async def test_what_is_sent_arrives_in_order_and_each_message_is_one_line() -> None:
    stranger = Stranger()
    worker = await stranger.worker()
    worker.send(b'{"a":\n1}')
    worker.send(b"x" * (1 << 20))
    worker.send(b"last")
    assert worker.unread > 0
    expected = b'{"a": 1}\n' + b"x" * (1 << 20) + b"\nlast\n"
    assert await stranger.receive(len(expected)) == expected
    assert worker.unread == 0
    worker.kill()
    stranger.close()


async def test_the_end_of_the_pipe_is_told_and_writing_afterwards_does_no_harm() -> None:
    stranger, ear = Stranger(), Ear()
    worker = await stranger.worker()
    worker.listen(ear)
    stranger.close()
    await soon(ear.ended.wait())
    worker.send(b"hello?")
    assert not worker.is_alive
    worker.kill()
    worker.kill()
    assert stranger.killed == 1


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b'{"jsonrpc":"2.0","method":"ready","params":{"left":["Deno"]}}\n', "keeps Deno"),
        (b'{"jsonrpc":"2.0","method":"ready"}\n', "another protocol"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ready","params":{"left":[]}}\n', "another protocol"),
        (b"Check file:///runner.js\n", "another protocol"),
        (b"\xff\n", "another protocol"),
        (None, "ended before it was ready"),
    ],
)
async def test_a_process_that_does_not_say_it_is_ready_is_refused_and_killed(said: bytes | None, why: str) -> None:
    stranger = Stranger()
    opening = asyncio.ensure_future(open_worker(stranger.process, Limits()))
    await asyncio.sleep(0)
    os.write(stranger.stderr, b"something\nerror: libfoo.so: not found\n")
    if said is not None:
        await stranger.say(said)
        with pytest.raises(errors.SandboxUnavailable, match=rf"{why}.*\(error: libfoo.so: not found\)"):
            await soon(opening)
        stranger.close()
    else:
        stranger.close()
        with pytest.raises(errors.SandboxUnavailable, match=why):
            await soon(opening)
    assert stranger.killed == 1


async def test_giving_up_while_it_starts_kills_it() -> None:
    stranger = Stranger()
    opening = asyncio.ensure_future(open_worker(stranger.process, Limits()))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert stranger.killed == 1
    stranger.close()


async def test_large_lines_are_counted_in_slices_and_come_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pctx_jupyter.sandbox.worker.LARGE_BYTES", 100)
    monkeypatch.setattr("pctx_jupyter.rpc.channel.LARGE_BYTES", 100)
    deep = b"[" * 600 + b"]" * 600
    stranger, ear = Stranger(), Ear()
    worker = await stranger.worker()
    try:
        worker.listen(ear)
        sent = [b"1", b"[%s]" % (b"1," * 100 + b"1"), b"2", deep, b"3"]
        await stranger.say(b"".join(line + b"\n" for line in sent))
        assert await ear.lines_until(len(sent)) == sent
        assert [line for line in sent if line in ear.sound] == [sent[1]]
        assert not worker.is_behind
    finally:
        worker.kill()
        stranger.close()


async def test_lines_that_take_long_are_received_over_many_turns_and_all_before_the_end() -> None:
    class Slow(Ear):
        def receive(self, line: bytes, *, is_sound: bool = False) -> None:
            super().receive(line)
            since = time.thread_time()
            while time.thread_time() - since < SLICE_S / 2:
                pass

    stranger, slow = Stranger(), Slow()
    worker = await stranger.worker()
    try:
        worker.listen(slow)
        await stranger.say(b"".join(b"%d\n" % n for n in range(20)))
        turns = 0
        while len(slow.lines) < 20:
            before = len(slow.lines)
            await asyncio.sleep(0)
            turns += len(slow.lines) > before
        assert turns >= 5 and slow.lines == [b"%d" % n for n in range(20)]
        await stranger.say(b"last\n" * 20)
        stranger.pipe.close()
        await soon(slow.ended.wait())
        assert slow.lines[20:] == [b"last"] * 20 and not worker.is_behind
    finally:
        worker.kill()
        os.close(stranger.stderr)
