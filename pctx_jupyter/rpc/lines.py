"""Lines out of a stream of bytes, and into one. No pipe of its own, no meaning."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from . import attached

WHOLE = 1 << 16
"""Bytes up to which a line is copied to leave in one piece."""

PIECE_BYTES = 1 << 18
"""Bytes of a longer line that the output is given at once. It copies what it cannot write: 30 MB take 20 ms."""


class ByteSink(Protocol):
    """Where lines go, such as a transport. It takes any amount at once, but copies what it cannot write."""

    def write(self, data: bytes | memoryview, /) -> None:
        """Take bytes."""


class Lines:
    """Puts lines together from whatever pieces arrive.

    Args:
        most: Bytes one line may have.
        takes_bytes: Whether bytes may follow a line (`attached`); they belong to it.
    """

    __slots__ = ("_bytes", "_following", "_is_in_bytes", "_most", "_parts", "_takes_bytes")

    def __init__(self, most: int, *, takes_bytes: bool = False) -> None:
        self._most, self._takes_bytes = most, takes_bytes
        self._following = 0  # bytes that the line whose end has come is followed by, and that have not come
        self._is_in_bytes = False
        self._parts: list[bytes] = []  # of a line whose end has not come
        self._bytes = 0

    @property
    def is_too_long(self) -> bool:
        """Whether the line whose end has not come is longer than any may be."""
        return self._bytes + self._following > self._most

    @property
    def start(self) -> bytes:
        """How that line begins."""
        return b"".join(self._parts)[:200]

    def cut(self, data: bytes) -> list[bytes]:
        """Take what arrived; returns the lines that are whole now, without their ends."""
        if self._takes_bytes:
            return self._cut_with_bytes(data)
        *whole, rest = data.split(b"\n")
        if whole:
            self._parts.append(whole[0])
            whole[0] = b"".join(self._parts)
            self.clear()
        if rest:
            self._parts.append(rest)
            self._bytes += len(rest)
        return whole

    def _cut_with_bytes(self, data: bytes) -> list[bytes]:
        found: list[bytes] = []
        at = 0
        while at < len(data) and not self.is_too_long:
            end = at + self._following if self._is_in_bytes else data.find(b"\n", at)
            part = data[at:] if end < 0 else data[at:end]
            at += len(part)
            self._parts.append(part)
            self._bytes += len(part)
            if self._is_in_bytes:
                self._following -= len(part)
            elif end < 0:
                break
            else:
                at += 1
                line = b"".join(self._parts)
                if (size := attached.announced(line)) is None:
                    found.append(line)
                    self.clear()
                    continue
                self._parts, self._bytes = [line, b"\n"], len(line) + 1
                self._following, self._is_in_bytes = size, True
            if not self._following:
                found.append(b"".join(self._parts))
                self.clear()
        return found

    def clear(self) -> None:
        """Forget the line whose end has not come."""
        self._parts, self._bytes = [], 0
        self._following, self._is_in_bytes = 0, False


class LineWriter:
    """Writes lines, and keeps those for which the output has no room until it has some again.

    Not all to the output at once: what a transport cannot write, it copies, or adds up, again and again.

    Attributes:
        output: Where they go; None: they wait.
        waiting_bytes: Bytes of those that wait.
    """

    __slots__ = ("_is_full", "_waiting", "output", "waiting_bytes")

    def __init__(self) -> None:
        self.output: ByteSink | None = None
        self.waiting_bytes = 0
        self._waiting: deque[bytes | memoryview] = deque()
        self._is_full = False

    def write(self, line: bytes) -> None:
        """Write one line, without its end. A line break may stand in it between two tokens, where JSON allows it."""
        has_bytes = attached.is_joined(line)
        if not has_bytes and b"\n" in line:
            line = line.replace(b"\n", b" ")  # here it would end the line
        end = b"" if has_bytes else b"\n"
        if len(line) < WHOLE:
            self._waiting.append(line + end)
        else:
            view = memoryview(line)
            self._waiting.extend(view[start : start + PIECE_BYTES] for start in range(0, len(line), PIECE_BYTES))
            self._waiting.append(end)
        self.waiting_bytes += len(line) + len(end)
        self._write()

    def pause(self) -> None:
        """The output has no room."""
        self._is_full = True

    def resume(self) -> None:
        """It has room again."""
        self._is_full = False
        self._write()

    def flush(self) -> None:
        """Write all that is left to the output, as nothing more will come."""
        rest = b"".join(self._waiting)
        self.clear()
        if rest and self.output is not None:
            self.output.write(rest)

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self.waiting_bytes = 0

    def _write(self) -> None:
        while self._waiting and not self._is_full and self.output is not None:
            part = self._waiting.popleft()
            self.waiting_bytes -= len(part)
            self.output.write(part)
