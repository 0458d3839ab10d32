"""The policy of a sandbox on one screen: Deno's arguments, its environment, what it may read, its limits.

It knows what a sandbox is allowed, and why; it refuses to know how processes start.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .. import errors, processes
from ..settings import MIB, Limits
from . import runner

RUNTIME = runner.RUNTIME
RUNNER = str(runner.JOINED)
BOOT = str(RUNTIME / "boot.js")
"""Evaluates the runner's text. As a module, Deno would parse and analyse it before V8 does.

That took 4 of a start's 35 ms of CPU time. The first comment of any module takes 2 ms, so boot.js has none. It does not
await the runner: when boot.js ends, Deno dispatches an event, which has to happen before a program can have broken
events.
"""
IMPORT_MAP = str(RUNTIME / "import_map.json")

ENVIRONMENT = {
    "DENO_DIR": "/dev/null/x",  # cannot be made: nothing reaches the disk, nothing outlives a run
    "DENO_EMIT_CACHE_MODE": "disable",  # else the first TypeScript import spends 150 ms on failing writes
    "DENO_NO_PACKAGE_JSON": "1",
    "DENO_NO_UPDATE_CHECK": "1",  # else a process that lives some seconds opens network sockets
    "HOME": "/nonexistent",  # unset, Deno would read the account's .npmrc
    "NO_COLOR": "1",
    "TZ": "UTC",  # the same on every host, and none of its business
}
"""All a sandbox inherits."""


YOUNG_MB = 8
"""Megabytes (MiB) of new objects before V8 first looks which of them are still used.

A program lives too short for V8 to find out that it makes much: with 1 MB, building a value of 1 MB of JSON took twice
the time. Memory is taken when it is used; an idle sandbox occupies no more.
"""


def command(deno: str, limits: Limits, *, jitless: bool = False) -> list[str]:
    """The command line of one sandbox. No permission is granted, so no partial grant can be bypassed.

    The script that it names is there when this returns: in a checkout, it is joined again if its modules have changed.

    Raises:
        SandboxUnavailable: It cannot be written.
    """
    try:
        runner.ensure_joined()
    except OSError as error:
        why = processes.shortage(error, otherwise="")
        raise errors.SandboxUnavailable(
            f"Cannot start a sandbox: its script {RUNNER} cannot be written ({why}); make the checkout "
            "writable, or run python hatch_build.py in it once"
        ) from None
    return [
        deno,
        "run",  # not `eval`, which grants everything
        "--no-prompt",
        "--no-remote",  # https: and jsr: imports
        "--no-npm",
        "--cached-only",  # a third lock, for npm packages that were cached once
        "--no-config",
        "--no-lock",
        "--no-code-cache",
        "--node-modules-dir=none",
        f"--import-map={IMPORT_MAP}",  # every node: module throws
        f"--v8-flags=--max-old-space-size={limits.max_heap_mb},--min-semi-space-size={YOUNG_MB}"
        + (",--jitless" if jitless else ""),
        BOOT,
    ]


def readable(deno: str) -> list[str]:
    """The paths that stay readable and executable under Landlock, for the process as a whole.

    Never a path below /proc/self: a rule keeps what the path meant to the process that made it, not to the sandbox.
    """
    return [deno, BOOT, RUNNER, IMPORT_MAP, "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/dev/urandom"]


def restrict(pid: int, limits: Limits) -> None:
    """Set the limits of the operating system on a running sandbox (Linux; elsewhere it does nothing).

    Only once it is ready: before, V8 reserves address space that any sensible limit would refuse.

    Raises:
        ProcessLookupError: It has ended.
    """
    if sys.platform != "linux":
        return
    import resource

    try:
        with Path(f"/proc/{pid}/status").open() as lines:
            data = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData"))
    except (FileNotFoundError, StopIteration):
        raise ProcessLookupError(pid) from None
    memory = data + limits.max_memory_mb * MIB
    for what, soft, hard in (
        (resource.RLIMIT_DATA, memory, memory),
        # The soft limit has a signal of its own, which distinguishes a spent budget from a kill.
        (resource.RLIMIT_CPU, limits.max_cpu_s, limits.max_cpu_s + 1),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, 64, 64),
    ):
        # A process without privileges cannot raise a hard limit, so one that is lower already stays.
        _, most = resource.prlimit(pid, what)
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.prlimit(pid, what, (soft, hard))


def resident(pid: int) -> int:
    """Bytes of memory a process occupies, shared mappings included; 0 when unknown."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, IndexError, ValueError):
        return 0


def is_stopped(pid: int) -> bool:
    """Whether a signal (SIGSTOP) has stopped a process; False when unknown."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (OSError, IndexError):
        return False
