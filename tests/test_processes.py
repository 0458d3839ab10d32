"""Short child processes, real ones: they end in time, whatever they leave behind; and refusals say what is short."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from pctx_jupyter import processes
from tests.below import below
from tests.fakes import SOON


async def test_what_a_command_writes_and_its_status_are_returned() -> None:
    done = await processes.run(
        "/bin/sh", "-c", "cat; echo no >&2; exit 3", within_s=SOON, stdin=b"hi", reads_stderr=True
    )
    assert done == processes.Finished(3, b"hi", b"no\n")
    assert await processes.run("/bin/sh", "-c", "echo no >&2; kill -9 $$", within_s=SOON) == processes.Finished(
        -9, b"", b""
    )


async def test_a_command_that_takes_too_long_is_killed_with_what_it_started() -> None:
    with pytest.raises(TimeoutError):
        await processes.run("/bin/sh", "-c", "sleep 61 & sleep 62", within_s=0.1)
    async with asyncio.timeout(SOON):
        while below(lambda command: "sleep" in command):
            await asyncio.sleep(0.005)


async def test_a_process_that_a_command_leaves_behind_holds_nobody_up() -> None:
    """It is in a session of its own, so that killing the command's group does not reach it, and has its stdout."""
    async with asyncio.timeout(SOON):
        with pytest.raises(TimeoutError):
            await processes.run("/bin/sh", "-c", "setsid sleep 63 & exit 0", within_s=0.1)
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["sleep", "63"]:
            process.kill()


async def test_a_cancelled_run_leaves_no_process() -> None:
    running = asyncio.ensure_future(processes.run("/bin/sh", "-c", "exec sleep 64", within_s=SOON))
    async with asyncio.timeout(SOON):
        while not below(lambda command: command[:1] == ["sleep"]):
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.wait([running])
    assert not below(lambda command: command[:1] == ["sleep"])


async def test_a_command_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        await processes.run("/nonexistent/command", within_s=SOON)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.EMFILE, r"this process has [\d,]+ files open.*ulimit -n.*raise"),
        (errno.ENFILE, r"this machine has too many files open"),
        (errno.EAGAIN, r"this account, or its container, .* processes and threads .*ulimit -u .*; raise"),
        (errno.ENOMEM, r"no memory left"),
        (errno.ENOSPC, r"the disk is full; delete files"),
        (errno.EROFS, r"read-only"),
        (errno.EIO, r"Input/output error; try again"),
    ],
)
def test_a_refusal_of_the_system_says_what_is_short(code: int, says: str) -> None:
    assert re.search(says, processes.shortage(OSError(code, os.strerror(code))))


def test_what_is_no_shortage_is_not_described() -> None:
    assert processes.lack(FileNotFoundError(errno.ENOENT, "gone")) is None
    assert processes.lack(RuntimeError("no loop")) is None
    assert "ulimit -u" in (processes.lack(RuntimeError("can't start new thread")) or "")
    assert "no memory" in (processes.lack(MemoryError()) or "")


async def test_what_has_to_be_done_at_an_end_is_done_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done: list[str] = []
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())  # one without threads
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", refuse)
        await processes.aside(lambda: done.append(threading.current_thread().name))
    assert done[0] == threading.current_thread().name


WITHOUT_DESCRIPTORS = """
import asyncio, errno, os, resource
import pctx_jupyter.engine
from pctx_jupyter import processes

async def main():
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
    print(await asyncio.to_thread(processes.shortage, OSError(errno.EMFILE, "")))

asyncio.run(main())
"""


def test_what_a_refusal_and_the_way_out_need_is_loaded_before_descriptors_can_be_short() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_DESCRIPTORS], capture_output=True, text=True, check=False)
    assert "ulimit -n" in done.stdout, done.stderr
