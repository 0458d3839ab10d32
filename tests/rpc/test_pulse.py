"""When an end is pinged, and when it is given up. The loop is real, and the intervals are a few milliseconds."""

from __future__ import annotations

import asyncio

from pctx_jupyter.rpc.pulse import SILENT_PINGS, Pulse

from ..fakes import SOON

EVERY_S = 0.005


class Other:
    """The other end: counts pings, answers the first `answers` of them, and is owed nothing after ping `idle_at`."""

    def __init__(self, *, answers: int = 0, idle_at: int = 0, is_needed: bool = True) -> None:
        self.pings, self.answers, self.idle_at, self.is_needed = 0, answers, idle_at, is_needed
        self.silent: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.pulse = Pulse(EVERY_S, ping=self.ping, is_needed=lambda: self.is_needed, on_silence=self.silent.set_result)
        self.pulse.start()

    def ping(self) -> None:
        self.pings += 1
        if self.pings <= self.answers:
            self.pulse.beat()
        if self.pings == self.idle_at:
            self.is_needed = False


async def silent(other: Other) -> str:
    async with asyncio.timeout(SOON):
        return await other.silent


async def test_an_end_that_answers_no_ping_is_given_up_once() -> None:
    other = Other()
    assert "no sign of life" in await silent(other)
    second = Other()
    await silent(second)
    assert other.pings == second.pings == SILENT_PINGS


async def test_an_end_that_answers_is_pinged_again() -> None:
    other = Other(answers=5)
    await silent(other)
    assert other.pings == 5 + SILENT_PINGS


async def test_an_end_that_is_owed_nothing_is_not_pinged_until_something_is_owed() -> None:
    idle = Other(is_needed=False)
    await silent(Other(answers=5))
    assert idle.pings == 0 and not idle.silent.done()
    idle.is_needed = True
    idle.pulse.wake()
    await silent(idle)


async def test_a_pulse_sleeps_while_nothing_is_owed_and_each_sign_of_life_wakes_it() -> None:
    asked = 0

    def is_needed() -> bool:
        nonlocal asked
        asked += 1
        return False

    pulse = Pulse(EVERY_S, ping=lambda: None, is_needed=is_needed, on_silence=lambda _: None)
    pulse.beat()
    await silent(Other(answers=5))
    assert asked == 0  # it has not begun
    pulse.start()
    await silent(Other(answers=5))
    assert asked == 1  # and it slept for seven intervals
    pulse.beat()
    pulse.wake()
    await silent(Other())
    assert asked == 2
    pulse.beat()
    pulse.stop()
    await silent(Other())
    assert asked == 2


async def test_what_was_missed_before_an_idle_time_does_not_count_after_it() -> None:
    other = Other(idle_at=SILENT_PINGS)
    await silent(Other(answers=3))
    assert other.pings == SILENT_PINGS and not other.silent.done()
    other.is_needed = True
    other.pulse.wake()
    await silent(other)
    assert other.pings == 2 * SILENT_PINGS


async def test_a_pulse_that_is_stopped_gives_nobody_up() -> None:
    stopped = Other()
    stopped.pulse.stop()
    stopped.pulse.stop()
    await silent(Other())
    assert stopped.pings == 0 and not stopped.silent.done()
