"""Lays programs out with Deno's formatter. It reads a text and writes one: nothing is run, and no file is touched.

Each text has a process of its own (a hundredth of a second), because the formatter is stopped by nothing but its end:
a text nested deeply enough overflows its stack.
"""

from __future__ import annotations

import asyncio
import logging
import re

from .. import errors, processes
from ..program.editor import Unformattable
from ..settings import Settings
from . import executable, flags
from .executable import Executable

log = logging.getLogger(__name__)

FORMAT_S = 5.0
"""Seconds one text may take, and may wait for its turn before; it takes 0.02."""

AT_ONCE = 2
"""Processes at the same time; who comes then waits."""

_PLACE = re.compile(r"_stdin\.ts:(\d+):(\d+)\s*$")
_PICTURE = re.compile(r"\n +\|\n.*", re.DOTALL)


class Formatter:
    """Lays programs out.

    Args:
        settings: Which Deno to use.
        format_s: Seconds one text may take.
    """

    def __init__(self, settings: Settings, format_s: float = FORMAT_S) -> None:
        self._settings, self._format_s = settings, format_s
        self._deno: Executable | None = None
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def format(self, code: str) -> str | Unformattable:
        """Lay out one program: an `editor.Format`.

        Raises:
            SandboxUnavailable: There is no Deno to do it.
            Busy: It took too long, or its turn did not come.
        """
        try:
            async with asyncio.timeout(self._format_s):
                await self._turn.acquire()
        except TimeoutError:
            raise errors.Busy(
                f"Cannot format: {AT_ONCE} texts are being formatted, and others waited before this one, for "
                f"{self._format_s:g} s; try again"
            ) from None
        try:
            return await self._format(code)
        finally:
            self._turn.release()

    async def _format(self, code: str) -> str | Unformattable:
        try:
            self._deno = self._deno or await executable.find(self._settings.deno)
            return await self._run(self._deno.path, code)
        except errors.SandboxUnavailable as error:
            raise errors.SandboxUnavailable(error.message.replace("start a sandbox", "format")) from None
        except OSError as error:
            raise errors.SandboxUnavailable(
                f"Cannot format: Deno does not start: {processes.shortage(error)}"
            ) from None

    async def _run(self, deno: str, code: str) -> str | Unformattable:
        try:
            done = await processes.run(
                *(deno, "fmt", "--quiet", "--no-config", "--no-editorconfig", "--ext=ts", "-"),
                within_s=self._format_s,
                stdin=code.encode(),
                reads_stderr=True,
                environment=flags.ENVIRONMENT,
                folder="/",
            )
        except TimeoutError:
            raise errors.Busy(f"Cannot format: it took more than {self._format_s:g} s") from None
        if done.status == 0:
            return done.stdout.decode()
        return Unformattable(f"Cannot format: {_reason(done.stderr.decode(errors='replace'))}")


def _reason(said: str) -> str:
    """Find the reason in what Deno printed: ``error: SyntaxError: Expression expected``, a picture, and where it is."""
    if not said.startswith("error: "):
        return "this program is beyond the formatter"
    message = _PICTURE.sub("", said.removeprefix("error: ")).split("\n")[0].removeprefix("SyntaxError: ")
    if (place := _PLACE.search(said)) is None:
        return message
    return f"{message} (line {place[1]}, column {place[2]})"
