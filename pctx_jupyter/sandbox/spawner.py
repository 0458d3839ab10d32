"""Starts sandbox processes: through the launcher on Linux, directly elsewhere. Ends them without fail.

It knows what a process is and how it dies; it refuses to know what is said on its pipe.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .. import errors
from ..settings import Limits, Settings
from . import flags
from .executable import Executable

log = logging.getLogger(__name__)

LAUNCHER = str(Path(__file__).with_name("launcher.py").resolve())
READY_S = 5.0
"""Seconds the launcher may take to say it is ready; it takes 20 ms."""
END_S = 2.0
"""Seconds we wait for killed processes; they take 3 ms."""


@dataclass(slots=True, eq=False)
class Process:
    """One process that has been started.

    Attributes:
        pid: Its number, while it lives.
        pipe: Our end of its stdin and stdout.
        stderr: The end of its stderr to read from; read when it ended unasked only.
        ended: Its exit status once it is gone; negative: the signal that ended it.
    """

    pid: int
    pipe: socket.socket
    stderr: int
    ended: asyncio.Future[int]
    _kill: Callable[[], None]
    _killed: bool = field(default=False, init=False)

    def kill(self) -> None:
        """End it at once, whatever it does; it is reaped in the background. Does nothing the second time."""
        if not self._killed and not self.ended.done():
            self._killed = True
            with contextlib.suppress(ProcessLookupError):
                self._kill()

    def complaint(self) -> str:
        """The last line it wrote to stderr; empty if none."""
        try:
            os.set_blocking(self.stderr, False)
            lines = os.read(self.stderr, 1 << 16).decode(errors="replace").split("\n")
        except (BlockingIOError, OSError):
            return ""
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")

    def discard(self) -> None:
        """Kill it and close what we hold of it."""
        self.kill()
        self.pipe.close()
        if self.stderr >= 0:
            os.close(self.stderr)
            self.stderr = -1


class Spawner(Protocol):
    """What starts processes."""

    layers: int
    """Layers of isolation its processes have: 1, Deno's permissions; 2, the operating system's too."""

    @property
    def is_alive(self) -> bool:
        """Whether it can start any more."""

    async def start(self) -> Process:
        """Start one process. Raises SandboxUnavailable."""

    async def close(self) -> None:
        """End every process, and wait until none is left."""


async def open_spawner(deno: Executable, settings: Settings) -> Spawner:
    """Open the best spawner this system has.

    Raises:
        SandboxUnavailable: None works here, or none gives the layers of isolation that are required.
    """
    command = flags.command(deno.path, settings.limits, jitless=settings.jitless)
    spawner: Spawner
    if sys.platform == "linux" and hasattr(os, "pidfd_open"):
        spawner = await Launcher.open(command, flags.readable(deno.path))
    elif os.name == "posix":
        spawner = Direct(command, settings.limits)
    else:
        raise errors.SandboxUnavailable(
            f"Cannot start a sandbox: {sys.platform} is not supported; use Linux (or WSL) or macOS"
        )
    if spawner.layers < settings.layers:
        await spawner.close()
        raise errors.SandboxUnavailable(
            f"Cannot start a sandbox: {settings.layers} layers of isolation are required (Pctx.layers) and this system "
            f"has {spawner.layers}, Deno's permissions; enable Landlock (Linux 5.13 or newer), or require 1"
        )
    return spawner


def _pipes() -> tuple[socket.socket, socket.socket, int, int]:
    """Our and its end of stdin and stdout, then of stderr."""
    ours, its = socket.socketpair()
    read, write = os.pipe()
    ours.setblocking(False)
    return ours, its, read, write


class Launcher:
    """The host's side of `launcher.py`: one helper process that forks every sandbox (Linux)."""

    def __init__(self, helper: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self.layers = 0
        self._helper, self._channel = helper, channel
        self._loop = asyncio.get_running_loop()
        self._last_id = 0
        self._ready: asyncio.Future[int] = self._loop.create_future()
        self._starting: dict[int, asyncio.Future[tuple[int, asyncio.Future[int]]]] = {}  # → pid, ended
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._pidfds: dict[int, int] = {}
        self._loop.add_reader(channel, self._hear)

    @classmethod
    async def open(cls, command: list[str], readable: list[str]) -> Launcher:
        """Start the helper.

        The kernel kills it when the thread that calls this ends: call it on the loop's own, long-lived thread.

        Raises:
            SandboxUnavailable: It does not start.
        """
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        environment = [f"{name}={value}" for name, value in flags.ENVIRONMENT.items()]
        arguments = [str(its.fileno()), str(os.getpid()), *readable]
        python = os.path.realpath(sys.executable)  # noqa: ASYNC240
        with its:
            try:
                helper = subprocess.Popen(  # noqa: ASYNC220 (1 ms; no waiting, no watcher)
                    [python, "-I", "-S", LAUNCHER, *arguments, "--", *environment, "--", *command],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    # Some builds of Python find their own library by this, and by nothing else.
                    env={k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"},
                    cwd="/",
                    pass_fds=[its.fileno()],
                    start_new_session=True,  # an interrupt in the server's terminal is not meant for it
                )
            except OSError as error:
                ours.close()
                raise errors.SandboxUnavailable(
                    f"Cannot start a sandbox: {python} does not start ({error.strerror})"
                ) from None
        launcher = cls(helper, ours)
        try:
            async with asyncio.timeout(READY_S):
                launcher.layers = await launcher._ready
        except TimeoutError:
            launcher._lose()
            raise errors.SandboxUnavailable(
                f"Cannot start a sandbox: the launcher is not ready after {READY_S:g} s"
            ) from None
        except BaseException:
            launcher._lose()
            raise
        return launcher

    @property
    def is_alive(self) -> bool:
        return self._channel.fileno() >= 0

    async def start(self) -> Process:
        if not self.is_alive:
            raise errors.SandboxUnavailable("Cannot start a sandbox: its launcher has ended; try again")
        self._last_id = id = self._last_id + 1
        ours, its, read, write = _pipes()
        started = self._starting[id] = self._loop.create_future()
        try:
            try:
                socket.send_fds(self._channel, [b"start %d" % id], [its.fileno(), write])
            finally:
                its.close()
                os.close(write)
            pid, ended = await started
        except OSError as error:
            ours.close()
            os.close(read)
            raise errors.SandboxUnavailable(f"Cannot start a sandbox: {error.strerror}; try again") from None
        except BaseException:
            # Unasked for now: without its pipe it would end by itself, but not for certain.
            started.cancel()
            ours.close()
            os.close(read)
            raise
        finally:
            self._starting.pop(id, None)
        return Process(pid, ours, read, ended, lambda: self._kill(id))

    async def close(self) -> None:
        for id in list(self._pidfds):
            self._kill(id)
        # They are the helper's children: it has to live until it has reaped them.
        if self._ended and self.is_alive:
            await asyncio.wait(self._ended.values(), timeout=END_S)
        self._lose()

    def _hear(self) -> None:
        try:
            message, fds, _, _ = socket.recv_fds(self._channel, 64, 1)
        except BlockingIOError:
            return
        except OSError:
            message, fds = b"", []
        match message.split():
            case [b"ready", layers]:
                self._ready.set_result(int(layers))
            case [b"started", id, pid]:
                self._started(int(id), int(pid), fds[0])
            case [b"refused", id, code]:
                if started := self._starting.get(int(id)):
                    started.set_exception(OSError(int(code), os.strerror(int(code))))
            case [b"ended", id, status]:
                self._end(int(id), int(status))
            case _:
                self._lose()

    def _started(self, id: int, pid: int, pidfd: int) -> None:
        self._pidfds[id] = pidfd
        ended = self._ended[id] = self._loop.create_future()
        started = self._starting.get(id)
        if started is None or started.done():
            self._kill(id)
        else:
            started.set_result((pid, ended))

    def _kill(self, id: int) -> None:
        if (pidfd := self._pidfds.get(id)) is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)

    def _end(self, id: int, status: int) -> None:
        os.close(self._pidfds.pop(id))
        self._ended.pop(id).set_result(status)

    def _lose(self) -> None:
        """Take note that the helper has ended, and see to it; its sandboxes end with it."""
        if not self.is_alive:
            return
        self._loop.remove_reader(self._channel)
        self._channel.close()
        self._helper.kill()
        _, said = self._helper.communicate()
        why = said.decode(errors="replace").strip()[-300:] or "try again"
        lost = errors.SandboxUnavailable(f"Cannot start a sandbox: its launcher has ended; {why}")
        waiting: list[asyncio.Future[Any]] = [self._ready, *self._starting.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(lost)
                future.exception()  # nobody may be waiting any more
        for id in list(self._pidfds):
            self._kill(id)
            self._end(id, -signal.SIGKILL)


class Direct:
    """Starts processes itself: for systems without Landlock, pidfds and the parent-death signal.

    A busy sandbox outlives a host that is killed there, until its CPU time is spent.
    """

    layers = 1
    is_alive = True

    def __init__(self, command: list[str], limits: Limits) -> None:
        # Other systems cannot limit a process from outside: a shell does it on the way in.
        script = f'ulimit -t {limits.max_cpu_s} -f 0 -c 0 -n 64; exec "$0" "$@"'
        self._command = ["/bin/sh", "-c", script, *command]
        self._living: dict[asyncio.Future[int], asyncio.subprocess.Process] = {}
        self._waiters: set[asyncio.Task[None]] = set()

    async def start(self) -> Process:
        ours, its, read, write = _pipes()
        try:
            child = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=its.fileno(),
                stdout=its.fileno(),
                stderr=write,
                env=flags.ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except BaseException as error:
            ours.close()
            os.close(read)
            if isinstance(error, OSError):
                raise errors.SandboxUnavailable(f"Cannot start a sandbox: {error.strerror}") from None
            raise
        finally:
            its.close()
            os.close(write)
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._living[ended] = child
        waiter = asyncio.create_task(self._wait(ended, child))
        self._waiters.add(waiter)
        waiter.add_done_callback(self._waiters.discard)
        # Not child.kill(): that would take the exit status of a process that has just ended.
        return Process(child.pid, ours, read, ended, lambda: os.kill(child.pid, signal.SIGKILL))

    async def _wait(self, ended: asyncio.Future[int], child: asyncio.subprocess.Process) -> None:
        status = await child.wait()
        del self._living[ended]
        ended.set_result(status)

    async def close(self) -> None:
        for child in self._living.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
        if self._waiters:
            await asyncio.wait(self._waiters, timeout=END_S)
