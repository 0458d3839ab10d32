"""Pings on one connection: only while an answer is owed, so that a connection that idles is no activity to a proxy.

JupyterHub's proxy takes every byte for activity, and a server that is active is never culled. While neither end owes
the other anything, nobody waits, and nobody needs to know whether the other end is alive. The timer sleeps then, too:
thousands of connections that idle cost no processor time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

SILENT_PINGS = 2
"""Pings in a row without any sign of life after which the other end is gone."""


class Pulse:
    """Pings the other end of a connection, and notices when it falls silent.

    It sleeps once nothing is owed. Its owner wakes it after everything that can make an answer owed.

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
        self._loop = asyncio.get_running_loop()
        self._is_started = False
        self._timer: asyncio.TimerHandle | None = None  # None: it sleeps

    def start(self) -> None:
        """Begin; the first ping is due after one interval."""
        self._is_started = True
        self.wake()

    def stop(self) -> None:
        """End; does nothing when it has ended or has not begun."""
        self._is_started = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def beat(self) -> None:
        """Note a sign of life: anything that arrived. It may be a request, so this wakes the pulse, too."""
        self._missed = 0
        self.wake()

    def wake(self) -> None:
        """Note that an answer may be owed from now on, because something was sent."""
        if self._timer is None and self._is_started:
            self._timer = self._loop.call_later(self._every_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if not self._is_needed():
            self._missed = 0
        elif self._missed >= SILENT_PINGS:
            self._is_started = False
            self._on_silence(f"no sign of life for {self._missed * self._every_s:g} s")
        else:
            self._missed += 1
            self._ping()
            self.wake()
