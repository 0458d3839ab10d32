"""Small files that are kept: read whole, written whole, never half, never readable by others.

A process that is killed while it writes leaves an unfinished file. The next one that writes the same file removes it.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

LARGEST = 16 << 20
"""Bytes a file may have that others wrote: all of it is read in one turn of the loop that all share."""

UNFINISHED = ".unfinished"
"""How the name of a file ends that takes the place of another one when it is written."""


def read(path: str, most: int | None = LARGEST) -> bytes | None:
    """The content of a file; None when there is none.

    Args:
        most: Bytes it may have; None: it is one that only we write, and what is in it has limits of its own.

    Raises:
        OSError: It cannot be read, is too large, or is no file: a link that came with somebody's folder may lead to a
            device or a pipe, which would never end.
    """
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(file, "rb") as opened:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        content = opened.read(-1 if most is None else most + 1)
    if most is not None and len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes")
    return content


def write(path: str, content: bytes) -> None:
    """Put a new content in the place of the old, at once, readable by its owner only. Raises OSError."""
    target = Path(os.path.realpath(path))  # a link stays one
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _remove_unfinished(target)
    file, name = _begin(target)
    with os.fdopen(file, "wb") as temporary:
        try:
            temporary.write(content)
            temporary.flush()
            os.fsync(file)
            if sys.platform == "win32":
                temporary.close()  # an open file cannot be renamed there
            Path(name).replace(target)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(name).unlink()
            raise


def _begin(target: Path) -> tuple[int, str]:
    """Make the file that takes the place of another one; it is locked until it is closed. Raises OSError."""
    while True:
        file, name = tempfile.mkstemp(UNFINISHED, f".{target.name}.", target.parent)  # made with mode 0600
        if _lock(file) and os.fstat(file).st_nlink > 0:
            return file, name
        os.close(file)  # another process took it for an unfinished one before it was locked


def _lock(file: int) -> bool:
    """Lock an open file, unless another process has; it is left as it is where there are no locks."""
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # this file system has no locks
            pass
    return True


def _remove_unfinished(target: Path) -> None:
    """Remove what killed processes have left of the same file: what no process has locked."""
    if sys.platform == "win32":
        return
    head = f".{target.name}."
    try:
        with os.scandir(target.parent) as entries:
            left = [entry.path for entry in entries if entry.name.startswith(head) and entry.name.endswith(UNFINISHED)]
    except OSError:  # it cannot be listed; what is written there needs no list
        return
    for path in left:
        with suppress(OSError):
            file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                Path(path).unlink()
            finally:
                os.close(file)


def mark(path: str) -> tuple[int, int, int] | None:
    """A mark that changes when a file is written; None when there is no file."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
