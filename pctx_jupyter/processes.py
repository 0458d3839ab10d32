"""What the system gives: run a short process within a time limit, and say in words what it refuses and why."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Mapping
from concurrent.futures import thread  # noqa: F401 (loaded while files can be opened: the way out needs threads)
from contextlib import suppress
from dataclasses import dataclass

if sys.platform != "win32":
    import resource  # not in `shortage`: without descriptors nothing can be imported

_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""What the system says when something is short: then `shortage` says what, whose limit it is, and the way out."""
REAP_S = 2.0
"""Seconds to wait for a killed process; it takes 3 ms."""
POLL_S = 0.005
"""Seconds between two checks whether a killed process has ended."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a process ended.

    Args:
        status: Its exit status; negative: the signal that ended it.
        stdout: What it wrote to stdout.
        stderr: What it wrote to stderr; empty if that was not read.
    """

    status: int
    stdout: bytes
    stderr: bytes


async def run(
    *command: str,
    within_s: float,
    stdin: bytes | None = None,
    reads_stderr: bool = False,
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
) -> Finished:
    """Run a short command and return what it wrote. It has ended when this returns or raises.

    A process that the command leaves behind can hold its pipes open. So nothing here waits for a pipe without a
    time limit, and the command's whole process group is killed at the limit.

    Args:
        command: Executable and arguments.
        within_s: Seconds it may take.
        stdin: What it reads; None: nothing.
        reads_stderr: Whether to return what it writes to stderr; otherwise that is dropped.
        environment: Its variables; None: those of this process.
        folder: Its working directory; None: that of this process.

    Raises:
        OSError: It does not start.
        ValueError: The command holds a NUL character.
        TimeoutError: It did not finish in time.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=DEVNULL if stdin is None else PIPE,
            stdout=PIPE,
            stderr=PIPE if reads_stderr else DEVNULL,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
    except RuntimeError as error:  # asyncio waits for it in a thread, and there can be no more threads
        raise OSError(errno.EAGAIN, str(error)) from None
    is_finished = False
    try:
        async with asyncio.timeout(within_s):
            stdout, stderr = await process.communicate(stdin)
        is_finished = True
    finally:
        if not is_finished:
            await _end(process)
    assert process.returncode is not None, "communicate() waits for the end"
    return Finished(process.returncode, stdout, stderr or b"")


async def aside(work: Callable[[], None]) -> None:
    """Do blocking work of an end in another thread, or here if there can be no more threads: it has to be done.

    Args:
        work: May be done twice at once: a thread that comes free later may do it as well.
    """
    try:
        await asyncio.to_thread(work)
    except RuntimeError as error:
        if lack(error) is None:
            raise
        work()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill a process and its group, and wait until the process is gone, but not for its pipes."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    # An inherited pipe would keep the transport open, and asyncio has no public way to close it.
    if (transport := getattr(process, "_transport", None)) is not None:
        transport.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(REAP_S):
            while process.returncode is None:  # noqa: ASYNC110 (process.wait() waits for the pipes as well)
                await asyncio.sleep(POLL_S)


def shortage(error: OSError, otherwise: str = "try again") -> str:
    """Describe why the system refused something: what is short, whose limit it is, and what to do about it.

    Args:
        error: What the system said.
        otherwise: What to do when nothing is short; empty: nothing.
    """
    match error.errno:
        case errno.EMFILE:
            return (
                f"this process has {_limit('RLIMIT_NOFILE')}files open, as many as it may (ulimit -n); raise that "
                "limit, close files, or lower Pctx.max_running"
            )
        case errno.ENFILE:
            return "this machine has too many files open; raise fs.file-max, or close programs"
        case errno.EAGAIN:
            return (
                f"this account, or its container, has as many processes and threads as it may (ulimit -u is "
                f"{_limit('RLIMIT_NPROC').strip() or 'unlimited'}; a container has a limit of its own); raise the "
                "limit, or end processes"
            )
        case errno.ENOMEM:
            return "this machine, or its container, has no memory left; end processes, or lower Pctx.warm_sandboxes"
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full; delete files"
        case errno.EROFS:
            return "the file system is read-only; write elsewhere"
    why = error.strerror or type(error).__name__
    return f"{why}; {otherwise}" if otherwise else why


def lack(error: BaseException) -> str | None:
    """Describe what is short, if that is why something failed; None: it failed for another reason."""
    if isinstance(error, OSError) and error.errno in _SHORT:
        return shortage(error)
    if isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        return shortage(OSError(errno.EAGAIN, str(error)))
    if isinstance(error, MemoryError):
        return shortage(OSError(errno.ENOMEM, str(error)))
    return None


def unforeseen(error: BaseException) -> str:
    """Return what a client reads of an error of ours: what is short, and no more; all else is for the log alone."""
    why = lack(error)
    return "Internal error" if why is None else f"Cannot finish: {why}"


def _limit(name: str) -> str:
    """One of this process's limits and a space; empty where it has none."""
    if sys.platform == "win32":
        return ""
    soft, _ = resource.getrlimit(getattr(resource, name))
    return "" if soft == resource.RLIM_INFINITY else f"{soft:,} "
