"""How long to wait between attempts that fail."""

from __future__ import annotations

import random


class BackOff:
    """Waits that double from the first to the longest, with jitter.

    Jitter: many clients that lost the same server shall not all come back at the same moment.

    Args:
        first_s: Seconds before the first new attempt, at most.
        longest_s: Seconds that no wait exceeds.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._next_s = first_s

    def next_s(self) -> float:
        """Return the seconds to wait before the next attempt."""
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return wait_s * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin again with the first wait, after a success."""
        self._next_s = self._first_s
