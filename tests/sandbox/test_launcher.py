"""How sandboxes are born and die: what they inherit, what the system denies them, and that none outlives its host."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

import psutil
import pytest

from pctx_jupyter import errors
from pctx_jupyter.sandbox import executable, flags
from pctx_jupyter.sandbox.spawner import Direct, Launcher, Process, Spawner, open_spawner, reason
from pctx_jupyter.settings import Limits, Settings

from .programs import launcher, resources, sandboxes, soon, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the launcher is for Linux")

CONTROL = str(Path(__file__).with_name("control.js"))


async def said(process: Process) -> bytes:
    """The first line a process says."""
    line = b""
    while not line.endswith(b"\n"):
        part = await soon(asyncio.get_running_loop().sock_recv(process.pipe, 1 << 16))
        assert part, process.error_line()
        line += part
    return line


async def open_launcher(*command: str, readable: tuple[str, ...] = ()) -> Launcher:
    deno = await executable.find("")
    command = command or tuple(flags.command(deno.path, Limits()))
    return await Launcher.open(list(command), [*flags.readable(deno.path), *readable])


def links(pid: int, *numbers: str) -> set[str]:
    """What the descriptors of a process lead to; those with these numbers, or all."""
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        if not numbers or fd.name in numbers:
            with suppress(FileNotFoundError):
                found.add(str(fd.readlink()))
    return found


def status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


async def test_a_sandbox_inherits_its_arguments_its_environment_and_three_descriptors() -> None:
    with socket.socket() as listening, TemporaryFile() as file:  # what a server has open, and could leak
        os.set_inheritable(listening.fileno(), True)
        os.set_inheritable(file.fileno(), True)
        spawner = await open_launcher()
        process = await spawner.start()
        assert json.loads(await said(process))["method"] == "ready"
        deno = await executable.find("")
        sandbox = psutil.Process(process.pid)
        assert sandbox.cmdline() == flags.command(deno.path, Limits())
        assert sandbox.environ() == flags.ENVIRONMENT
        assert sandbox.cwd() == "/"
        assert os.getsid(process.pid) == process.pid
        mine = links(process.pid, "0", "1", "2")
        assert {link.partition(":")[0] for link in mine} == {"socket", "pipe"}
        # Deno's own event loop has no name; whatever has one came from us.
        theirs = {link for link in links(process.pid) if not link.startswith("anon_inode:")} - mine
        assert not theirs & links(os.getpid())
        assert "NoNewPrivs:\t1" in status(process.pid)
        ignored = next(line for line in status(process.pid).splitlines() if line.startswith("SigIgn:"))
        assert not int(ignored.split()[1], 16) >> (signal.SIGXFSZ - 1) & 1  # as Python ignores it
        process.discard()
        assert await soon(process.ended) == -signal.SIGKILL
        await spawner.close()


async def control(spawner: Spawner, file: Path) -> dict[str, str]:
    """What a program with every permission of Deno succeeds in."""
    process = await spawner.start()
    outcome: dict[str, str] = json.loads(await said(process))
    process.discard()
    await soon(process.ended)
    await spawner.close()
    return outcome


async def test_the_system_denies_what_deno_would_allow(tmp_path: Path) -> None:
    canary = tmp_path / "canary.txt"
    canary.write_text("secret")
    deno = await executable.find("")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        command = [deno.path, "run", "--allow-all", "--no-config", CONTROL, str(canary), port, str(os.getpid())]
        # Without the second layer everything works: so it is that layer which denies.
        free = await control(Direct(command, Limits()), canary)
        assert set(free.values()) == {"done"}, free
        (tmp_path / "canary.txt.new").unlink()
        held = await control(await open_launcher(*command, readable=(CONTROL,)), canary)
    # Its own memory map it may read: without it Deno ends itself over some errors of a program.
    assert held.pop("own") == "done"
    assert "done" not in held.values(), held
    assert not (tmp_path / "canary.txt.new").exists()


async def test_a_sandbox_can_signal_no_other() -> None:
    deno = await executable.find("")
    command = [deno.path, "eval", "console.log(0); for await (const part of Deno.stdin.readable) {"]
    command[-1] += " try { Deno.kill(+new TextDecoder().decode(part), 'SIGKILL'); console.log('killed') }"
    command[-1] += " catch (error) { console.log(error.name) } }"
    spawner = await open_launcher(*command)
    one, other = await spawner.start(), await spawner.start()
    for process in (one, other):
        assert await said(process) == b"0\n"
    for victim in (other.pid, launcher().pid, os.getpid()):
        one.pipe.send(b"%d" % victim)
        assert await said(one) == b"PermissionDenied\n"
    one.discard()
    other.discard()
    await spawner.close()


async def test_the_launcher_leaves_nothing_behind() -> None:
    await executable.find("")
    before = resources()
    spawner = await open_launcher()
    processes = [await spawner.start() for _ in range(2)]
    given_up = asyncio.ensure_future(spawner.start())
    await asyncio.sleep(0)
    given_up.cancel()
    processes[0].discard()
    await spawner.close()
    assert processes[1].ended.done()
    processes[1].discard()
    await asyncio.wait([given_up])
    del given_up
    assert resources() == before


async def test_when_the_launcher_is_killed_its_sandboxes_end_and_it_says_so() -> None:
    spawner = await open_launcher()
    process = await spawner.start()
    pid = process.pid
    launcher().suspend()
    starting = asyncio.ensure_future(spawner.start())
    await asyncio.sleep(0)
    launcher().kill()
    assert await soon(process.ended) == -signal.SIGKILL
    with pytest.raises(errors.SandboxUnavailable, match="launcher has ended"):
        await soon(starting)
    with pytest.raises(errors.SandboxUnavailable, match="launcher has ended"):
        await spawner.start()
    assert not spawner.is_alive
    await until(lambda: is_gone(pid))
    process.discard()
    await spawner.close()


async def test_a_start_fails_and_the_next_works_when_the_host_has_no_descriptor_for_the_sandbox() -> None:
    await executable.find("")
    before = resources()
    spawner = await open_launcher()
    starting = asyncio.ensure_future(spawner.start())
    await asyncio.sleep(0)  # the request has left
    with descriptors(os.getpid(), 0):
        with pytest.raises(errors.SandboxUnavailable, match=r"this process has \d+ files open.*ulimit -n"):
            await soon(starting)
        with pytest.raises(errors.SandboxUnavailable, match=r"this process has \d+ files open"):
            await spawner.start()
    assert spawner.is_alive
    process = await soon(spawner.start())
    assert json.loads(await said(process))["method"] == "ready"
    process.discard()
    await until(lambda: not sandboxes())  # the one that was refused, too
    await spawner.close()
    del starting
    assert resources() == before


@pytest.mark.parametrize("free", [0, 1, 2])
async def test_a_launcher_without_free_descriptors_refuses_a_start_and_lives_on(free: int) -> None:
    spawner = await open_launcher()
    kept = await spawner.start()
    assert json.loads(await said(kept))["method"] == "ready"
    await until(lambda: launcher().status() == psutil.STATUS_SLEEPING)  # it has closed what it was sent
    with descriptors(launcher().pid, free), pytest.raises(errors.SandboxUnavailable, match="files open"):
        await soon(spawner.start())
    assert not kept.ended.done()
    kept.discard()
    process = await soon(spawner.start())
    process.discard()
    await spawner.close()


async def test_a_launcher_that_is_stopped_fails_a_start_in_time_and_is_killed() -> None:
    deno = await executable.find("")
    spawner = await Launcher.open(flags.command(deno.path, Limits()), flags.readable(deno.path), start_s=0.1)
    process = await spawner.start()
    victim = launcher()
    victim.suspend()
    starts = [asyncio.ensure_future(spawner.start()) for _ in range(3)]
    for starting in starts:
        with pytest.raises(errors.SandboxUnavailable, match=r"did not answer within 0\.1 s, so it was killed"):
            await soon(starting)
    assert await soon(process.ended) == -signal.SIGKILL
    assert not spawner.is_alive
    assert is_gone(victim.pid)
    process.discard()
    await spawner.close()


@pytest.mark.parametrize("message", [b"started x y", b"started 1", b"refused 1", b"ended one two", b"hello"])
async def test_a_launcher_that_sends_nonsense_is_killed_and_fails_the_starts(message: bytes) -> None:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with its, subprocess.Popen(["/bin/sleep", "60"], stderr=subprocess.PIPE) as helper:  # noqa: ASYNC220
        spawner = Launcher(helper, ours, start_s=60)
        starting = asyncio.ensure_future(spawner.start())
        await asyncio.sleep(0)
        its.send(b"ended 7 0")  # of a sandbox that was refused for want of descriptors: nobody waits for it
        its.send(message)
        with pytest.raises(errors.SandboxUnavailable, match="launcher has ended"):
            await soon(starting)
        assert not spawner.is_alive and helper.returncode is not None


async def test_a_launcher_that_is_stopped_is_closed_in_time() -> None:
    spawner = await open_launcher()
    process = await spawner.start()
    launcher().suspend()
    await soon(spawner.close())
    assert await soon(process.ended) == -signal.SIGKILL
    process.discard()


@pytest.mark.parametrize(
    ("stderr", "why"),
    [
        ("", ""),
        ("one\nthe last\n\n", "the last"),
        (
            "====\nDeno could not start: unable to create worker threads.\nArgs: [secret]\n",
            "this account, or its container, has as many processes and threads as it may",
        ),
        (
            "Platform: linux\nArgs: [secret]\n\nthread 'main' panicked at src/a.rs:1:2:\nno memory\nnote: run with …\n",
            "no memory",
        ),
        (
            '\x1b[31merror\x1b[0m: Module not found "file:///home/secret/runner.js".\n    at file:///home/secret/boot.js:1:20\n',
            'error: Module not found "runner.js".',
        ),
        ("fatal error\nPlatform: linux x86_64\nVersion: 2\nArgs: [secret]\n", "fatal error"),
    ],
)
def test_the_reason_of_an_end_is_the_line_that_says_it_and_no_command_line(stderr: str, why: str) -> None:
    assert reason(stderr).startswith(why) and "secret" not in reason(stderr)


async def test_a_command_that_does_not_start_ends_at_once_and_says_why() -> None:
    spawner = await open_launcher("/nonexistent/deno")
    process = await spawner.start()
    assert await soon(process.ended) == 127
    assert "No such file" in process.error_line()
    process.discard()
    await spawner.close()


async def test_two_layers_can_be_required() -> None:
    deno = await executable.find("")
    spawner = await open_spawner(deno, Settings(layers=2))
    assert spawner.layers == 2
    await spawner.close()
    with pytest.raises(errors.SandboxUnavailable, match=r"3 layers .* has 2"):
        await open_spawner(deno, Settings(layers=3))


@contextmanager
def descriptors(pid: int, free: int) -> Iterator[None]:
    """Leave a process so many descriptors for the block."""
    listed = list(Path(f"/proc/{pid}/fd").iterdir())
    used = {int(fd.name) for fd in listed if fd.is_symlink()}  # the one that listed them is closed by now
    limit = [number for number in range(len(used) + free + 1) if number not in used][free]
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has reaped yet, has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_deno_is_looked_for_once_by_all_that_start_and_no_lock_is_kept() -> None:
    executable._found.clear()
    found = await asyncio.gather(*(executable.find("") for _ in range(3)))
    assert len({id(one) for one in found}) == 1
    assert not executable._asking


HOST = """
import asyncio, sys
from msgspec import Raw
from pctx_jupyter.program.program import prepare
from pctx_jupyter.sandbox.pool import open_pool
from pctx_jupyter.session.execution import Job
from pctx_jupyter.settings import Limits, Settings

async def main():
    async with open_pool(Settings(warm_sandboxes=1)) as pool:
        async def serve(path, arguments):
            print("busy", flush=True)
            return Raw(b"1")
        def busy():
            job = Job("x", prepare("await A.b(); for (;;) {}"), {"A": {"b": "A.b"}}, {}, Limits())
            return pool.run(job, serve, print)
        await asyncio.gather(busy(), busy())

asyncio.run(main())
"""


async def test_nothing_outlives_a_host_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", HOST], stdout=subprocess.PIPE) as host:  # noqa: ASYNC220
        assert host.stdout is not None
        for _ in range(2):
            assert await soon(asyncio.to_thread(host.stdout.readline)) == b"busy\n"
        everyone = psutil.Process(host.pid).children(recursive=True)
        assert len(everyone) >= 3  # the launcher and two busy sandboxes
        host.kill()
    await until(lambda: all(is_gone(process.pid) for process in everyone))
