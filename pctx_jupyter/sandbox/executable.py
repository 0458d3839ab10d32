"""Finds Deno and makes sure it is one whose sandbox holds."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from .. import errors, processes
from . import flags

OLDEST = (2, 8, 1)
"""Older ones have known ways around their permissions."""

TOO_NEW = (3,)
"""Nobody has tried these; a new major version may change what the flags mean."""

CURE = 'install a fitting one with: pip install "deno>=2.8.1,<3"'
ANSWER_S = 10.0
"""Seconds Deno may take to print its version; it takes 0.02."""

BROKEN = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.EISDIR, errno.ELOOP, errno.ENOTDIR)
"""Errors that another installation of Deno cures; all others are about this machine."""


@dataclass(frozen=True, slots=True)
class Executable:
    """A Deno that may run programs."""

    path: str
    version: str


_FileId = tuple[str, int, int, int, int, int]
"""A path, and what tells whether it still is the same file: device, inode, size, times of change."""

_found: dict[_FileId, Executable] = {}
_asking: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}
"""A lock for each loop in which Deno is looked for at this moment."""


async def find(configured: str) -> Executable:
    """Find Deno and ask for its version, once as long as its file stays the same.

    Args:
        configured: The path the administrator chose (`Settings.deno`); empty: the one of the deno package.

    Raises:
        SandboxUnavailable: It is missing, does not start, or has a version we do not trust.
    """
    path = _configured(configured) if configured else _packaged()
    # The sandboxes and the type checker of an engine start at the same time: the second waits for the first.
    loop = asyncio.get_running_loop()
    asking = _asking.setdefault(loop, asyncio.Lock())
    try:
        async with asking:
            file = _identify(path)
            if (known := _found.get(file)) is None:
                known = _found[file] = await _examine(path)
            return known
    finally:
        if not asking.locked():
            _asking.pop(loop, None)  # a lock that was waited for holds its loop, which may be closed soon


async def _examine(path: str) -> Executable:
    said = await _ask_version(path)
    match = re.match(r"deno (\d+)\.(\d+)\.(\d+)\S*", said)
    if match is None:
        raise errors.SandboxUnavailable(f"Cannot start a sandbox: the executable chosen as Deno is none; {CURE}")
    name, version = match[0], tuple(int(part) for part in match.groups())
    if version < OLDEST or version >= TOO_NEW:
        why = "has known ways out of its sandbox" if version < OLDEST else "is newer than this package knows"
        raise errors.SandboxUnavailable(f"Cannot start a sandbox: {name} {why}; {CURE}")
    return Executable(path, name.removeprefix("deno "))


def _identify(path: str) -> _FileId:
    try:
        found = Path(path).stat()
    except OSError as error:
        raise errors.SandboxUnavailable(f"Cannot start a sandbox: Deno is gone ({error.strerror}); {CURE}") from None
    return path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _configured(path: str) -> str:
    if not os.access(path, os.X_OK) or not Path(path).is_file():
        raise errors.SandboxUnavailable(
            f"Cannot start a sandbox: {path} (Pctx.deno) is no executable file; correct it, or leave it empty"
        )
    return os.path.realpath(path)


def _packaged() -> str:
    try:
        from deno import find_deno_bin

        return os.path.realpath(str(find_deno_bin()))
    except (ImportError, FileNotFoundError):
        raise errors.SandboxUnavailable(f"Cannot start a sandbox: Deno is not installed; {CURE}") from None


async def _ask_version(path: str) -> str:
    try:
        done = await processes.run(path, "--version", within_s=ANSWER_S, environment=flags.ENVIRONMENT, folder="/")
    except TimeoutError:
        raise errors.SandboxUnavailable(
            f"Cannot start a sandbox: Deno did not print its version within {ANSWER_S:g} s; {CURE}"
        ) from None
    except OSError as error:
        way_out = f"{error.strerror}; {CURE}" if error.errno in BROKEN else processes.shortage(error)
        raise errors.SandboxUnavailable(f"Cannot start a sandbox: Deno does not start: {way_out}") from None
    return done.stdout.decode(errors="replace")
