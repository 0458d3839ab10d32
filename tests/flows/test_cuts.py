"""Calls over a network that delays, splits, cuts and half-opens: the short form of ``make faults``. Nothing is fake."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks import cuts


@pytest.mark.parametrize("door", cuts.DOORS)
def test_over_a_bad_network_no_call_is_lost_doubled_or_crossed(door: str) -> None:
    tally = asyncio.run(cuts.measure(door, calls=200, seeds=1))
    assert (tally.lost, tally.doubled, tally.crossed) == ([], [], [])
    assert tally.calls == tally.done + tally.failed == 200
