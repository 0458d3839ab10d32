"""The open sessions of MCP clients of the older era, which seldom end them. Pure: no I/O, a clock is given.

A session without a request ends after a while, sooner when there are many. At the most sessions, the one that has been
idle the longest makes room for a new one. A session that only listens is no longer kept then: streams cost a client
nothing.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable

IDLE_S = 1800.0
"""Seconds a session is kept without a request, while there are few."""
FEW = 50
"""Sessions that are few; from there on the time shrinks as their number grows."""
SHORTEST_IDLE_S = 60.0
"""Seconds a session is kept without a request at the least, unless there are too many."""
MAX_SESSIONS = 500
"""Sessions at the same time: each costs about 50 kB."""


class Sessions:
    """The sessions that are open, by id.

    Args:
        clock: Monotonic seconds.
        max_sessions: How many there may be.
    """

    def __init__(self, clock: Callable[[], float], max_sessions: int = MAX_SESSIONS) -> None:
        self._clock, self._max = clock, max_sessions
        self._used_at: OrderedDict[str, float] = OrderedDict()  # the longest idle first
        self._serving: Counter[str] = Counter()
        self._listening: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._used_at)

    def __contains__(self, id: str) -> bool:
        return id in self._used_at

    def open(self, id: str) -> None:
        """A session has been opened."""
        self._use(id)

    def end(self, id: str) -> None:
        """A session is over."""
        self._used_at.pop(id, None)

    def begin_request(self, id: str, *, listens: bool = False) -> None:
        """A request of a session begins; while one is served, the session is not idle.

        Args:
            id: The session's.
            listens: Whether it is a stream of notifications, which a client keeps open without asking for anything.
        """
        (self._listening if listens else self._serving)[id] += 1
        if id in self._used_at:
            self._use(id)

    def end_request(self, id: str, *, listens: bool = False) -> None:
        """A request of a session has been served; `listens` as it began."""
        of_its_kind = self._listening if listens else self._serving
        of_its_kind[id] -= 1
        if not of_its_kind[id]:
            del of_its_kind[id]
        if id in self._used_at:
            self._use(id)

    @property
    def idle_s(self) -> float:
        """Seconds a session is kept without a request, as many as there are now."""
        return max(IDLE_S * min(1.0, FEW / max(len(self), 1)), SHORTEST_IDLE_S)

    def to_end(self) -> list[str]:
        """The ids of the sessions that have to end before another one is opened, the longest idle first."""
        before = self._clock() - self.idle_s
        not_serving = [id for id in self._used_at if id not in self._serving]
        idle = [id for id in not_serving if id not in self._listening]
        expired = [id for id in idle if self._used_at[id] <= before]
        excess = max(len(self) - self._max + 1, 0)
        room = (idle + [id for id in not_serving if id in self._listening])[:excess]
        return list(dict.fromkeys(room + expired))

    def _use(self, id: str) -> None:
        self._used_at[id] = self._clock()
        self._used_at.move_to_end(id)
