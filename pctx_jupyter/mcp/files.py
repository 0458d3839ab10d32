"""The files this folder keeps: read whole, written whole, never half, never readable by others."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def read(path: str) -> bytes | None:
    """The content of a file; None when there is none. Raises OSError."""
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


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
    """What differs when a file has been written anew; None when there is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
