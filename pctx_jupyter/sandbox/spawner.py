"""Starts sandbox processes: through the launcher on Linux, directly elsewhere. Ends them without fail.

It knows what a process is and how it dies; it refuses to know what is said on its pipe.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from .. import errors, processes
from ..settings import Limits, Settings
from . import flags
from .executable import Executable

log = logging.getLogger(__name__)

LAUNCHER = str(Path(__file__).with_name("launcher.py").resolve())
READY_S = 5.0
"""Seconds the launcher may take to say it is ready; it takes 20 ms."""
START_S = 5.0
"""Seconds the launcher may take to fork one sandbox; it takes 2 ms."""
LOOK_S = 0.25
"""Seconds between two looks whether a launcher that has not answered yet is stopped. Two in a row count."""
END_S = 2.0
"""Seconds to wait for killed processes; they take 3 ms."""


NO_THREADS = "unable to create worker threads"
"""What Deno writes when the system refuses it a thread."""
ERROR = "error: "
"""How the line begins in which Deno says what went wrong; lines with places of the code follow."""
REPORT = ("Platform:", "Version:", "Args:", "View stack trace", "note:", "===")
"""How lines of Deno's crash report begin that do not say what happened; one is its whole command line."""
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_FOLDER = re.compile(r"file://\S*/")


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

    def error_line(self) -> str:
        """Why it ended, as its stderr says: one line; empty if it wrote nothing."""
        try:
            os.set_blocking(self.stderr, False)
            written = os.read(self.stderr, 1 << 16).decode(errors="replace")
        except (BlockingIOError, OSError):
            return ""
        return reason(written)

    def discard(self) -> None:
        """Kill it and close what we hold of it."""
        self.kill()
        self.pipe.close()
        if self.stderr >= 0:
            os.close(self.stderr)
            self.stderr = -1


def reason(stderr: str) -> str:
    """Find the line of a process's stderr that says why it ended; empty if there is none."""
    if NO_THREADS in stderr:
        return processes.shortage(OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)))
    lines = [_COLOUR.sub("", line).strip()[:300] for line in stderr.split("\n")]
    lines = [line for line in lines if line and not line.startswith(REPORT)]
    for line, following in pairwise(lines):
        if " panicked at " in line:
            return following
    said = next((line for line in lines if line.startswith(ERROR)), lines[-1] if lines else "")
    return _FOLDER.sub("", said)


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


def _refused(error: OSError) -> errors.SandboxUnavailable:
    return errors.SandboxUnavailable(f"Cannot start a sandbox: {processes.shortage(error)}")


def _lost(why: str) -> errors.SandboxUnavailable:
    return errors.SandboxUnavailable(f"Cannot start a sandbox: its launcher has ended; {why}")


class _Pipes:
    """The pipes of one sandbox: a socket pair for its stdin and stdout, and a pipe for its stderr.

    Raises:
        SandboxUnavailable: This process has too many files open.
    """

    def __init__(self) -> None:
        try:
            self.ours, self.its = socket.socketpair()
            try:
                self.stderr, self.its_stderr = os.pipe()
            except OSError:
                self.ours.close()
                self.its.close()
                raise
        except OSError as error:
            raise _refused(error) from None
        self.ours.setblocking(False)

    def close_its(self) -> None:
        """Close the sandbox's ends in this process, once it has them or will never have them."""
        self.its.close()
        os.close(self.its_stderr)

    def close_ours(self) -> None:
        """Close our ends: nothing was started."""
        self.ours.close()
        os.close(self.stderr)


class Launcher:
    """The host's side of `launcher.py`: one helper process that forks every sandbox (Linux).

    The helper answers each request within milliseconds. One that is stopped, or does not answer within `START_S`, is
    killed, and with it its sandboxes; the next start opens another.
    """

    def __init__(self, helper: subprocess.Popen[bytes], channel: socket.socket, start_s: float) -> None:
        self.layers = 0
        self._helper, self._channel, self._start_s = helper, channel, start_s
        self._loop = asyncio.get_running_loop()
        self._last_id = 0
        self._ready: asyncio.Future[int] = self._loop.create_future()
        self._starting: dict[int, asyncio.Future[tuple[int, asyncio.Future[int]]]] = {}  # → pid, ended
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._pidfds: dict[int, int] = {}
        self._loop.add_reader(channel, self._receive)

    @classmethod
    async def open(
        cls,
        command: list[str],
        readable: list[str],
        start_s: float = START_S,
        environment: Mapping[str, str] = flags.ENVIRONMENT,
    ) -> Launcher:
        """Start the helper.

        The kernel kills it when the thread that calls this ends: call it on the loop's own, long-lived thread.

        Args:
            command: The command line of each sandbox.
            readable: The files and folders that a sandbox can read, and execute.
            start_s: Seconds it may take to fork one sandbox.
            environment: All that a sandbox has in its environment.

        Raises:
            SandboxUnavailable: It does not start.
        """
        variables = [f"{name}={value}" for name, value in environment.items()]
        python = os.path.realpath(sys.executable)  # noqa: ASYNC240
        try:
            ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise _refused(error) from None
        ours.setblocking(False)
        arguments = [str(its.fileno()), str(os.getpid()), *readable]
        with its:
            try:
                helper = subprocess.Popen(  # noqa: ASYNC220 (1 ms; no waiting, no watcher)
                    [python, "-I", "-S", LAUNCHER, *arguments, "--", *variables, "--", *command],
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
                    f"Cannot start a sandbox: {python} does not start: {processes.shortage(error)}"
                ) from None
        launcher = cls(helper, ours, start_s)
        try:
            async with asyncio.timeout(READY_S):
                launcher.layers = await launcher._ready
        except TimeoutError:
            launcher._lose()
            raise errors.SandboxUnavailable(
                f"Cannot start a sandbox: the launcher is not ready after {READY_S:g} s; try again"
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
        pipes = _Pipes()
        self._last_id = id = self._last_id + 1
        started = self._starting[id] = self._loop.create_future()
        try:
            try:
                self._send(b"start %d" % id, [pipes.its.fileno(), pipes.its_stderr])
            finally:
                pipes.close_its()
            async with asyncio.timeout(self._start_s):
                is_stopped = await self._settle(started)
            if is_stopped:
                self._lose("it was stopped from outside (SIGSTOP), so it was killed; try again")
            pid, ended = await started
        except TimeoutError:
            pipes.close_ours()
            why = f"it did not answer within {self._start_s:g} s, so it was killed; try again"
            self._lose(why)
            raise _lost(why) from None
        except OSError as error:
            pipes.close_ours()
            raise _refused(error) from None
        except BaseException:
            # Unasked for now: without its pipe it would end by itself, but not for certain.
            started.cancel()
            pipes.close_ours()
            raise
        finally:
            self._starting.pop(id, None)
        return Process(pid, pipes.ours, pipes.stderr, ended, lambda: self._kill(id))

    async def _settle(self, started: asyncio.Future[tuple[int, asyncio.Future[int]]]) -> bool:
        """Wait until a start is answered, which returns False, or the helper is found to be stopped.

        How busy the machine is does not matter: a process that waits for its turn is not stopped.
        """
        was_stopped = False
        while not (await asyncio.wait([started], timeout=LOOK_S))[0]:
            is_stopped = flags.is_stopped(self._helper.pid)
            if is_stopped and was_stopped:
                return True
            was_stopped = is_stopped
        return False

    async def close(self) -> None:
        for id in list(self._pidfds):
            self._kill(id)
        # They are the helper's children: it has to live until it has reaped them.
        if self._ended and self.is_alive:
            await asyncio.wait(self._ended.values(), timeout=END_S)
        self._lose()

    def _receive(self) -> None:
        """Read one message of the helper. A helper whose messages make no sense is killed."""
        try:
            message, fds, _, _ = socket.recv_fds(self._channel, 64, 1)
        except BlockingIOError:
            return
        except OSError:
            message, fds = b"", []
        try:
            self._act(message, fds)
        except Exception as error:
            log.exception("launcher = failed to read %r", message)
            self._lose(f"it sent {message[:64]!r} ({type(error).__name__}); try again")

    def _act(self, message: bytes, fds: list[int]) -> None:
        match message.split():
            case [b"ready", layers]:
                if not self._ready.done():
                    self._ready.set_result(int(layers))
            case [b"failed", code] if (lack := processes.lack(OSError(int(code), os.strerror(int(code))))) is not None:
                if not self._ready.done():
                    self._ready.set_exception(errors.SandboxUnavailable(f"Cannot start a sandbox: {lack}"))
            case [b"failed", _]:
                pass  # what it then writes to stderr says more
            case [b"started", id, pid]:
                self._started(int(id), int(pid), fds)
            case [b"refused", id, code]:
                self._refuse(int(id), OSError(int(code), os.strerror(int(code))))
            case [b"ended", id, status]:
                self._end(int(id), int(status))
            case _:
                self._lose()

    def _started(self, id: int, pid: int, fds: list[int]) -> None:
        if not fds:
            # The system drops a descriptor for which this process has no room, and delivers the rest. This process
            # cannot signal the sandbox without it: the number may belong to another process any time.
            self._refuse(id, OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
            self._send(b"kill %d" % id)
            return
        self._pidfds[id] = fds[0]
        ended = self._ended[id] = self._loop.create_future()
        started = self._starting.get(id)
        if started is None or started.done():
            self._kill(id)
        else:
            started.set_result((pid, ended))

    def _refuse(self, id: int, error: OSError) -> None:
        started = self._starting.get(id)
        if started is not None and not started.done():
            started.set_exception(error)

    def _send(self, message: bytes, fds: Sequence[int] = ()) -> None:
        """Send a message, at once or never: a helper that has stopped reading is lost."""
        try:
            socket.send_fds(self._channel, [message], fds)
        except (BlockingIOError, ConnectionError) as error:
            self._lose(f"it cannot be reached ({error.strerror}); try again")

    def _kill(self, id: int) -> None:
        if (pidfd := self._pidfds.get(id)) is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)

    def _end(self, id: int, status: int) -> None:
        if (pidfd := self._pidfds.pop(id, None)) is not None:
            os.close(pidfd)
        if (ended := self._ended.pop(id, None)) is not None and not ended.done():
            ended.set_result(status)

    def _lose(self, why: str = "") -> None:
        """Kill the helper, if it lives, and fail what waits for it; its sandboxes end with it.

        Args:
            why: What happened; empty: what the helper wrote to stderr.
        """
        if not self.is_alive:
            return
        self._loop.remove_reader(self._channel)
        self._channel.close()
        self._helper.kill()
        try:
            _, said = self._helper.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:  # it is in an uninterruptible system call; it is reaped later
            said = b""
        why = why or said.decode(errors="replace").strip()[-300:] or "try again"
        waiting: list[asyncio.Future[Any]] = [self._ready, *self._starting.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(_lost(why))
                future.exception()  # the caller may have gone
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
        pipes = _Pipes()
        try:
            child = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=pipes.its.fileno(),
                stdout=pipes.its.fileno(),
                stderr=pipes.its_stderr,
                env=flags.ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except BaseException as error:
            pipes.close_ours()
            if isinstance(error, OSError):
                raise _refused(error) from None
            if isinstance(error, RuntimeError):  # asyncio waits for it in a thread, and there can be no more threads
                raise _refused(OSError(errno.EAGAIN, str(error))) from None
            raise
        finally:
            pipes.close_its()
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._living[ended] = child
        waiter = asyncio.create_task(self._wait(ended, child))
        self._waiters.add(waiter)
        waiter.add_done_callback(self._waiters.discard)
        # Not child.kill(): that would take the exit status of a process that has just ended.
        return Process(child.pid, pipes.ours, pipes.stderr, ended, lambda: os.kill(child.pid, signal.SIGKILL))

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
