"""A stream of bytes, cut into lines. No pipe, no meaning."""

from __future__ import annotations


class Lines:
    """Puts lines together from whatever pieces arrive.

    Args:
        most: Bytes one line may have.
    """

    __slots__ = ("_bytes", "_most", "_parts")

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[bytes] = []  # of a line whose end has not come
        self._bytes = 0

    @property
    def is_too_long(self) -> bool:
        """Whether the line whose end has not come is longer than any may be."""
        return self._bytes > self._most

    @property
    def start(self) -> bytes:
        """How that line begins."""
        return b"".join(self._parts)[:200]

    def cut(self, data: bytes) -> list[bytes]:
        """Take what arrived; returns the lines that are whole now, without their ends."""
        *whole, rest = data.split(b"\n")
        if whole:
            self._parts.append(whole[0])
            whole[0] = b"".join(self._parts)
            self.clear()
        if rest:
            self._parts.append(rest)
            self._bytes += len(rest)
        return whole

    def clear(self) -> None:
        """Forget the line whose end has not come."""
        self._parts, self._bytes = [], 0
