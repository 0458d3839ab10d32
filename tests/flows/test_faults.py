"""Parts of a running server are killed or stopped while programs run: each request ends once, and new programs run.

The same as ``make faults``, with one round each and those parts whose end costs little time. Nothing is fake.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from benchmarks import faults

PARTS = [
    ("sandbox", signal.SIGKILL),
    ("sandbox", signal.SIGSTOP),
    ("launcher", signal.SIGKILL),
    ("launcher", signal.SIGSTOP),
    ("checker", signal.SIGKILL),
    ("upstream", signal.SIGKILL),
    ("client", signal.SIGKILL),
    ("server", signal.SIGKILL),
]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a busy sandbox outlives its host")
def test_a_part_that_is_killed_or_stopped_costs_its_own_requests_only_and_leaves_nothing() -> None:
    tallies = asyncio.run(faults.measure(PARTS, rounds=1, seed=7))
    for name, tally in tallies.items():
        assert not tally.wrong, (name, tally.wrong)
        assert (tally.lost, tally.processes, tally.sockets) == (0, 0, 0), name
        assert tally.answered + tally.failed == tally.requests
