"""Pings on one connection: only while an answer is owed, so that a connection that idles is no activity to a proxy.

JupyterHub's proxy takes every byte for activity, and a server that is active is never culled. While neither end owes
the other anything, nobody waits, and nobody needs to know whether the other end is alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

SILENT_PINGS = 2
"""Pings in a row without any sign of life after which the other end is gone."""


class Pulse:
    """Pings the other end of a connection, and notices when it falls silent.

    Args:
        every_s: Seconds between two pings.
        ping: Sends one; never waits.
        is_needed: Whether an answer is owed, by either end.
        on_silence: Called with the reason once the other end has missed `SILENT_PINGS` pings.
    """

    def __init__(
        self,
        every_s: float,
        *,
        ping: Callable[[], None],
        is_needed: Callable[[], bool],
        on_silence: Callable[[str], None],
    ) -> None:
        self._every_s = every_s
        self._ping, self._is_needed, self._on_silence = ping, is_needed, on_silence
        self._missed = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin; the first ping is due after one interval."""
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._tick)

    def stop(self) -> None:
        """End; does nothing when it has ended or has not begun."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def beat(self) -> None:
        """Note a sign of life: anything that arrived."""
        self._missed = 0

    def _tick(self) -> None:
        if not self._is_needed():
            self._missed = 0
        elif self._missed >= SILENT_PINGS:
            self._timer = None
            self._on_silence(f"no sign of life for {self._missed * self._every_s:g} s")
            return
        else:
            self._missed += 1
            self._ping()
        if self._timer is not None:  # a ping may have ended it
            self.start()
