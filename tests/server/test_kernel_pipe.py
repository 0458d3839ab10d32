"""The Unix socket of kernels: who is let in, what passes, who is let go. A real server; its clients are bare."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from pctx_jupyter import errors
from pctx_jupyter.client import pipe
from pctx_jupyter.rpc.channel import ignore, refuse_all
from pctx_jupyter.server import pipes
from pctx_jupyter.server.base import NAMES
from pctx_jupyter.server.kernels import KernelTokens
from pctx_jupyter.server.pipes import KernelPipes
from pctx_jupyter.server.running import RunningEngine
from tests.fakes import SOON

from .wires import eventually

LIMIT = 100_000
KERNEL, TOKEN = "a-kernel", "its-own-token"


@pytest.fixture
def limits() -> dict[str, Any]:
    return {"max_message_bytes": LIMIT}


@pytest.fixture
def path(
    jp_serverapp: Any, jp_asyncio_loop: asyncio.AbstractEventLoop, running: RunningEngine, kernels: KernelTokens
) -> Iterator[str]:
    """Where the server listens; it has a kernel there is no process of."""
    kernels._tokens[KERNEL] = TOKEN
    kernels._starting.add(KERNEL)
    opened = KernelPipes(running, kernels, jp_serverapp.web_app.settings[NAMES])
    jp_asyncio_loop.run_until_complete(opened.open())
    folder = Path(kernels.pipe).parent
    yield kernels.pipe
    jp_asyncio_loop.run_until_complete(opened.close())
    assert not folder.exists() and kernels.pipe == ""


class Bare:
    """One connection: bytes out, lines in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def receive(self) -> Any:
        """The next message; pings are none."""
        async with asyncio.timeout(SOON):
            while not (line := await self.reader.readline()).strip():
                pass
        return json.loads(line)

    async def say(self, **message: Any) -> None:
        self.writer.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        await self.writer.drain()

    async def ask(self, method: str, params: object = None) -> Any:
        await self.say(id=1, method=method, params=params)
        return await self.receive()

    async def is_closed(self) -> bool:
        """Whether it is closed soon, with nothing said but pings."""
        async with asyncio.timeout(SOON):
            return (await self.reader.read()).strip() == b""


@asynccontextmanager
async def bare(path: str, first: bytes | None = None) -> AsyncIterator[Bare]:
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 24)
    try:
        it = Bare(reader, writer)
        writer.write(json.dumps({"token": TOKEN}).encode() + b"\n" if first is None else first)
        if first is None:
            assert (await it.receive())["method"] == "session_created"
        yield it
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


Connect = Callable[..., AbstractAsyncContextManager[Bare]]


async def test_a_kernel_with_its_token_has_a_session_while_it_is_connected(path: str, running: RunningEngine) -> None:
    registry = (await running.get()).registry
    async with bare(path) as it:
        assert (await it.ask("list_functions"))["result"] == {"functions": []}
        assert [session.kernel_id for session in registry] == [KERNEL]
    await eventually(lambda: len(registry) == 0)


def test_only_the_servers_account_gets_to_the_socket(path: str) -> None:
    folder = Path(path).parent.stat()
    assert stat.S_IMODE(folder.st_mode) == 0o700 and folder.st_uid == os.getuid()


@pytest.mark.parametrize(
    "first",
    [
        b'{"token": "another"}\n',
        b'{"token": ""}\n',
        b"{}\n",
        b"GET /local-tools HTTP/1.1\r\n",
        b"\xff\xfe\n",
        b'{"token": "its-own-token"}\n{"jsonrpc":"2.0","id":1,"method":"list_functions"}\n',  # it was not greeted yet
    ],
)
async def test_whoever_does_not_say_a_kernels_token_first_gets_nothing(
    path: str, first: bytes, running: RunningEngine
) -> None:
    registry = (await running.get()).registry
    async with bare(path, first) as it:
        assert await it.is_closed()
    await eventually(lambda: len(registry) == 0)


ELSEWHERE = """
import ctypes, os, socket, sys
if sys.argv[2] == "account":
    os.setuid(65534)
elif sys.argv[2] != "here":
    new = {"accounts": 0x10000000, "files": 0x10020000}[sys.argv[2]]
    assert ctypes.CDLL(None, use_errno=True).unshare(new) == 0, os.strerror(ctypes.get_errno())
it = socket.socket(socket.AF_UNIX)
it.connect(sys.argv[1])
it.recv(1)
"""
"""Connects from a namespace, or an account, of its own."""


def open_to_all(path: Path) -> None:
    """Let another account get as far as to be asked who it is."""
    path.parent.chmod(0o755)
    path.chmod(0o777)


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
@pytest.mark.parametrize(
    ("how", "is_ours"), [("here", True), ("accounts", False), ("files", False), ("account", False)]
)
async def test_a_kernel_in_a_container_or_another_account_is_not_taken_for_one_of_this_account(
    how: str, is_ours: bool
) -> None:
    if how == "account" and os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "socket")
        async with await asyncio.start_unix_server(lambda reader, writer: accepted.set_result(writer), path):
            open_to_all(path)
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-c", ELSEWHERE, str(path), how), stderr=asyncio.subprocess.PIPE
            )
            ended = asyncio.ensure_future(child.wait())
            async with asyncio.timeout(SOON):
                await asyncio.wait([accepted, ended], return_when=asyncio.FIRST_COMPLETED)
            if not accepted.done():
                assert child.stderr is not None
                pytest.skip(f"cannot be tried here: {(await child.stderr.read()).decode()[-100:]}")
            writer = accepted.result()
            assert pipes.is_of_this_account(writer.get_extra_info("socket")) is is_ours
            writer.close()
            await ended


def test_who_is_not_there_is_not_of_this_account() -> None:
    assert not pipes.is_of_this_account(None)


async def test_a_kernel_that_is_gone_may_no_longer_do_anything(path: str, kernels: KernelTokens) -> None:
    async with bare(path) as it:
        kernels._starting.clear()
        assert (await it.ask("list_functions"))["error"]["code"] == errors.Forbidden.code


async def test_a_message_too_large_fails_alone_and_a_line_beyond_any_limit_ends_the_connection(path: str) -> None:
    async with bare(path) as it:
        refused = await it.ask("list_functions", {"p": "x" * LIMIT})
        assert refused["id"] == 1 and "Pctx.max_message_bytes" in refused["error"]["message"]
        assert "result" in await it.ask("list_functions")
        it.writer.write(b"x" * (4 * LIMIT + (1 << 20) + 1))
        assert await it.is_closed()


async def test_what_is_no_text_ends_the_connection(path: str) -> None:
    async with bare(path) as it:
        it.writer.write(b'{"jsonrpc":"2.0","id":1,"method":"forget","params":{"names":["\xff"]}}\n')
        assert await it.is_closed()


async def test_who_does_not_read_is_let_go(path: str, running: RunningEngine, caplog: pytest.LogCaptureFixture) -> None:
    registry = (await running.get()).registry
    async with bare(path) as it:
        schema = {"type": "object", "description": "x" * 80_000}
        assert "result" in await it.ask("register_tool", {"namespace": "a", "name": "b", "input_schema": schema})
        it.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
        for id in range(1000):
            it.writer.write(b'{"jsonrpc":"2.0","id":%d,"method":"list_functions"}\n' % id)
        await eventually(lambda: len(registry) == 0)
    assert caplog.text.count("unread") == 1


EXECUTE = b'{"jsonrpc":"2.0","id":99,"method":"execute","params":{"code":"await a.b()","typecheck":false}}\n'
"""A program that waits for a tool."""


class TestSilence:
    """While an answer is owed, both ends have to show that they are there."""

    @pytest.fixture
    def limits(self) -> dict[str, Any]:
        return {"ping_s": 0.5}

    async def test_who_gives_no_sign_of_life_is_let_go_and_who_does_stays(
        self, path: str, running: RunningEngine
    ) -> None:
        registry = (await running.get()).registry
        async with bare(path) as quiet, bare(path) as silent:
            for it in (quiet, silent):
                assert "result" in await it.ask("register_tool", {"namespace": "a", "name": "b"})
                it.writer.write(EXECUTE)
                assert (await it.receive())["method"] == "execute_tool"

            async def answer_pings() -> None:
                async for line in quiet.reader:
                    if line == b" \n":
                        quiet.writer.write(b"\n")

            answering = asyncio.create_task(answer_pings())
            assert await silent.is_closed()
            await eventually(lambda: len(registry) == 1)
            answering.cancel()
            await asyncio.wait([answering])

    async def test_a_client_that_has_nothing_to_say_stays_whatever_its_own_pace(
        self, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pipe, "PING_S", 0.02)
        channel = await pipe.connect(path, TOKEN, refuse_all, ignore, LIMIT)
        async with bare(path) as silent, bare(path) as idle:
            assert "result" in await silent.ask("register_tool", {"namespace": "a", "name": "b"})
            silent.writer.write(EXECUTE)
            assert (await silent.receive())["method"] == "execute_tool"
            assert await silent.is_closed()
            assert "result" in await idle.ask("list_functions")  # the very next line: it was not pinged meanwhile
        await channel.call("list_functions")
        channel.close()
        await channel.closed()


async def test_a_client_that_is_not_let_in_says_why(path: str) -> None:
    with pytest.raises(errors.CannotConnect, match="does not know this kernel"):
        await pipe.connect(path, "another", refuse_all, ignore, LIMIT)
    with pytest.raises(errors.CannotConnect, match="No such file"):
        await pipe.connect(path + "-not", TOKEN, refuse_all, ignore, LIMIT)
    Path(path).parent.chmod(0o755)
    with pytest.raises(errors.CannotConnect, match="not this account's alone"):
        await pipe.connect(path, TOKEN, refuse_all, ignore, LIMIT)


async def test_giving_up_while_the_server_says_nothing_closes_the_connection(path: str) -> None:
    told, left = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        told.set()
        await reader.read()
        left.set()
        writer.close()

    server = await asyncio.start_unix_server(silent, path + "2")
    connecting = asyncio.create_task(pipe.connect(path + "2", TOKEN, refuse_all, ignore, LIMIT))
    async with asyncio.timeout(SOON):
        await told.wait()
        connecting.cancel()
        await left.wait()
    server.close()


async def test_who_says_nothing_at_all_is_let_go(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "ADMIT_S", 0.05)
    async with bare(path, b"") as it:
        assert await it.is_closed()


async def test_what_a_client_waits_for_fails_when_the_pipe_is_lost(path: str) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"{}\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(greet, path + "2")
    channel = await pipe.connect(path + "2", TOKEN, refuse_all, ignore, LIMIT)
    waiting = asyncio.create_task(channel.call("list_functions"))
    await asyncio.sleep(0)
    server.close()
    channel.pipe._drop("as if the server had been killed")
    async with asyncio.timeout(SOON):
        with pytest.raises(errors.ConnectionLost, match="may or may not have been done"):
            await waiting
        await channel.closed()


async def test_where_no_socket_can_be_made_kernels_have_the_websocket(
    running: RunningEngine, kernels: KernelTokens, jp_serverapp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = KernelPipes(running, kernels, jp_serverapp.web_app.settings[NAMES])
    for folder in tmp_path / "missing", tmp_path / ("x" * 100):
        if "x" in folder.name:
            folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        await opened.open()
        assert kernels.pipe == ""
        await opened.close()
    assert list(folder.iterdir()) == []


async def test_a_kernel_that_leaves_while_it_is_let_in_has_no_session(
    path: str, running: RunningEngine, jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, asked, left = (await running.get()).registry, asyncio.Event(), asyncio.Event()

    async def name(kernel_id: str) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    monkeypatch.setattr(jp_serverapp.web_app.settings[NAMES], "name", name)
    async with bare(path, b'{"token": "its-own-token"}\n'):
        await asked.wait()
    async with asyncio.timeout(SOON):
        await left.wait()
    assert len(registry) == 0


def test_what_killed_servers_left_is_removed_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # paths of sockets have to be short
    kept = []
    for name, is_old, listens in ("dead", True, False), ("new", False, False), ("alive", True, True):
        (tmp_path / f"pctx-{name}").mkdir()
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(f"pctx-{name}/kernels")
        if listens:
            listening.listen()
        kept.append(listening)
        if is_old:
            os.utime(f"pctx-{name}/kernels", (1, 1))
    (tmp_path / "pctx-file").mkdir()
    (tmp_path / "pctx-file" / "kernels").touch()
    os.utime("pctx-file/kernels", (1, 1))
    pipes.sweep()
    for listening in kept:
        listening.close()
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["pctx-alive", "pctx-file", "pctx-new"]


LISTENS = """
import asyncio
from types import SimpleNamespace
from pctx_jupyter.server.kernels import KernelTokens
from pctx_jupyter.server.pipes import KernelPipes

async def main():
    tokens = KernelTokens(SimpleNamespace(start_kernel=None), lambda: "")
    await KernelPipes(None, tokens, None).open()
    print(tokens.pipe, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_folder_of_a_server_that_is_killed_is_removed_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", LISTENS], stdout=subprocess.PIPE) as server:  # noqa: ASYNC220
        assert server.stdout is not None
        path = Path((await asyncio.to_thread(server.stdout.readline)).decode().strip())
        (cleaner,) = psutil.Process(server.pid).children()
        assert path.exists()  # noqa: ASYNC240
        server.kill()
    async with asyncio.timeout(SOON):
        while path.parent.exists() or is_running(cleaner):
            await asyncio.sleep(0.005)  # neither is ours to wait for


def is_running(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
