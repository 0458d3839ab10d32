"""The lines that a person types, or that another program writes to our standard input."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from contextlib import suppress


class TypedLines:
    """The lines of the standard input as they come. A thread reads them, because reading a terminal blocks."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        threading.Thread(target=self._read, daemon=True, name="pctx terminal").start()

    def _read(self) -> None:
        with suppress(RuntimeError):  # the loop is closed
            with suppress(OSError):  # the terminal is closed
                self._read_to_end()
            self._put(None)

    def _read_to_end(self) -> None:
        begun, file = b"", sys.stdin.fileno()
        # Not by sys.stdin: Python could not end while a thread holds its lock.
        while piece := os.read(file, 4096):
            *lines, begun = (begun + piece).split(b"\n")
            for line in lines:
                self._put(line.decode(errors="replace").strip())
        if begun:
            self._put(begun.decode(errors="replace").strip())

    def _put(self, line: str | None) -> None:
        self._loop.call_soon_threadsafe(self._lines.put_nowait, line)

    def forget(self) -> None:
        """Drop what was typed so far, an unfinished line included."""
        while not self._lines.empty():
            if self._lines.get_nowait() is None:
                self._lines.put_nowait(None)
                return
        if sys.platform != "win32":
            import termios

            with suppress(termios.error):  # it is no terminal, or is closed
                termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)

    async def next(self) -> str | None:
        """Wait for the next line; None at the end of the input."""
        line = await self._lines.get()
        if line is None:
            self._lines.put_nowait(None)
        return line

    async def end(self) -> None:
        """Wait for the end of the input."""
        while await self.next() is not None:
            pass
