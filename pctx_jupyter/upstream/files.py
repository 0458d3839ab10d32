"""The files this folder keeps: read whole, written whole, never half, never readable by others."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

LARGEST = 16 << 20
"""Bytes a file may have that others wrote: all of it is read in one turn of the loop that all share."""


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
    file, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # made with mode 0600
    try:
        with os.fdopen(file, "wb") as temporary:
            temporary.write(content)
            temporary.flush()
            os.fsync(temporary.fileno())
        Path(name).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def mark(path: str) -> tuple[int, int, int] | None:
    """A mark that changes when a file is written; None when there is no file."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
