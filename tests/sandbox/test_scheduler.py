"""Places among the programs that run: fair, bounded, none lost, none given twice, whatever is cancelled.

Nothing is fake but the clock. What programs and people do is drawn by hypothesis.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.sandbox.scheduler import Scheduler, Seat, Ticket, TicketState
from pctx_jupyter.session.hold import Hold
from tests.fakes import SOON, FakeClock

from .programs import Host, job, pool_of, run, until

WAITING, RUNNING, HELD, OVER = TicketState


def nothing() -> None:
    """What a test does that does not follow when a place is granted."""


def entered(scheduler: Scheduler, sessions: str, *, is_interactive: bool = False) -> list[Ticket]:
    """Programs of these sessions, a letter each, that have asked for a place in this order."""
    return [scheduler.enter(session, nothing, is_interactive=is_interactive) for session in sessions]


def states(tickets: list[Ticket]) -> list[TicketState]:
    return [ticket.state for ticket in tickets]


def served(scheduler: Scheduler, tickets: list[Ticket]) -> str:
    """The sessions in the order in which their programs are served; the one that has run longest ends first."""
    order = ""
    running = [ticket for ticket in tickets if ticket.state is RUNNING]
    order += "".join(ticket.session for ticket in running)
    while running:
        done = running.pop(0)
        scheduler.leave(done)
        new = [ticket for ticket in tickets if ticket.state is RUNNING and ticket not in running]
        order += "".join(ticket.session for ticket in new)
        running += new
    return order


def test_a_session_with_one_program_is_served_before_the_rest_of_one_with_many() -> None:
    scheduler = Scheduler(1)
    assert served(scheduler, entered(scheduler, "aaaaab")) == "abaaaa"


def test_sessions_take_turns() -> None:
    scheduler = Scheduler(1)
    assert served(scheduler, entered(scheduler, "aaabbbcc")) == "abcabcab"


def test_the_session_with_the_fewest_running_programs_is_served_first() -> None:
    scheduler = Scheduler(3)
    first = entered(scheduler, "aab")
    waiting = entered(scheduler, "aab")
    scheduler.leave(first[0])
    assert states(waiting) == [RUNNING, WAITING, WAITING]  # one each, and a was served longer ago
    scheduler.leave(first[1])
    assert states(waiting) == [RUNNING, WAITING, RUNNING]


def test_sessions_that_ask_again_and_again_do_not_keep_another_from_its_turn() -> None:
    scheduler = Scheduler(1)
    (running, other, waiting) = entered(scheduler, "abz")
    for _ in range(2):
        scheduler.leave(running)
        running, (other,) = other, entered(scheduler, running.session)
    assert waiting.state is RUNNING


def test_no_session_has_more_places_than_its_share_though_others_are_free() -> None:
    scheduler = Scheduler(4, per_session=2)
    tickets = entered(scheduler, "aaaab")
    assert states(tickets) == [RUNNING, RUNNING, WAITING, WAITING, RUNNING]
    assert scheduler.free == 1
    scheduler.leave(tickets[0])
    assert states(tickets)[2:4] == [RUNNING, WAITING]


def test_one_place_is_kept_for_interactive_programs() -> None:
    scheduler = Scheduler(2, kept=1)
    (_, waiting) = entered(scheduler, "ab")
    assert waiting.state is WAITING and scheduler.free == 1
    (cell,) = entered(scheduler, "c", is_interactive=True)
    assert cell.state is RUNNING
    scheduler.leave(cell)
    assert waiting.state is WAITING


def test_the_only_place_is_for_everybody() -> None:
    scheduler = Scheduler(1, kept=1)
    assert states(entered(scheduler, "a")) == [RUNNING]


def test_interactive_programs_may_have_every_place() -> None:
    scheduler = Scheduler(2, kept=1)
    assert states(entered(scheduler, "ab", is_interactive=True)) == [RUNNING, RUNNING]


def test_a_program_that_comes_back_goes_before_those_of_its_session_that_have_not_begun() -> None:
    scheduler = Scheduler(1)
    tickets = entered(scheduler, "aaa")
    assert scheduler.hold(tickets[0])
    scheduler.resume(tickets[0])
    assert states(tickets) == [WAITING, RUNNING, WAITING]
    assert scheduler.ahead_of(tickets[0]) == 0 and scheduler.ahead_of(tickets[2]) == 1
    scheduler.leave(tickets[1])
    assert states(tickets) == [RUNNING, OVER, WAITING]


def test_programs_that_come_back_do_not_keep_another_session_from_its_turn() -> None:
    scheduler = Scheduler(1)
    coming_back = entered(scheduler, "aa")
    scheduler.hold(coming_back[0])
    scheduler.hold(coming_back[1])
    (running, other) = entered(scheduler, "ab")
    for ticket in coming_back:
        scheduler.resume(ticket)
    scheduler.leave(running)
    assert other.state is RUNNING


def test_only_so_many_programs_are_held_half_of_them_of_one_session_and_others_that_are_bounded_elsewhere() -> None:
    scheduler = Scheduler(6, most_held=2)
    tickets = entered(scheduler, "aabbcd")
    held = [scheduler.hold(ticket, always=False) for ticket in tickets[:5]]
    assert held == [True, False, True, False, False]  # half of them are a's, half are b's
    assert scheduler.hold(tickets[5], always=True)
    scheduler.resume(tickets[0])
    assert scheduler.hold(tickets[4], always=False) and scheduler.held == 3
    scheduler.leave(tickets[4])
    assert scheduler.hold(tickets[0], always=False)
    for ticket in tickets:
        scheduler.leave(ticket)
    assert scheduler.held == 0 and not scheduler._counted


@pytest.mark.parametrize("before", ["waiting", "running", "held"])
def test_a_program_that_leaves_leaves_nothing_behind(before: str) -> None:
    scheduler = Scheduler(1)
    blocking = entered(scheduler, "x" if before == "waiting" else "")
    (ticket,) = entered(scheduler, "a")
    if before == "held":
        scheduler.hold(ticket)
    assert ticket.state.value == before
    for one in (ticket, ticket, *blocking):
        scheduler.leave(one)
    scheduler.resume(ticket)
    assert (scheduler.running, scheduler.waiting, scheduler.held, scheduler.free) == (0, 0, 0, 1)
    assert not scheduler._queues


def test_an_estimate_of_the_wait_follows_how_long_programs_run_and_how_many_share_the_places() -> None:
    clock = FakeClock()
    scheduler = Scheduler(4, per_session=2, clock=clock)
    for _ in range(100):
        (ticket,) = entered(scheduler, "a")
        clock.now += 10
        scheduler.leave(ticket)
    entered(scheduler, "aaaa")
    alone = scheduler.wait_s("a", 1)
    entered(scheduler, "bbbbccccdddd")
    assert alone == pytest.approx(10) and scheduler.wait_s("a", 1) == pytest.approx(20)
    assert scheduler.wait_s("a", 9) == pytest.approx(100)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "enter", "leave", "hold", "resume"]), st.integers(0, 3), st.integers(0, 1 << 16)
    ),
    max_size=120,
)


@given(STEPS, st.integers(1, 5), st.integers(1, 5), st.integers(0, 2))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_no_place_is_idle_that_somebody_may_have_and_no_bound_is_passed(
    steps: list[tuple[str, int, int]], places: int, per_session: int, kept: int
) -> None:
    scheduler = Scheduler(places, per_session=per_session, kept=kept, most_held=3)
    tickets: list[Ticket] = []
    granted: Counter[int] = Counter()
    for act, session, which in steps:
        some = [ticket for ticket in tickets if ticket.state is not OVER]
        if act == "enter":
            number = len(tickets)
            # Session 0 is a notebook's.
            tickets.append(
                scheduler.enter(
                    str(session), lambda number=number: granted.update([number]), is_interactive=not session
                )
            )
        elif some:
            ticket = some[which % len(some)]
            {"leave": scheduler.leave, "hold": scheduler.hold, "resume": scheduler.resume}[act](ticket)  # type: ignore[operator]
        running = [ticket for ticket in tickets if ticket.state is RUNNING]
        waiting = [ticket for ticket in tickets if ticket.state is WAITING]
        of = Counter(ticket.session for ticket in running)
        others = sum(not ticket.is_interactive for ticket in running)
        assert (scheduler.running, scheduler.waiting) == (len(running), len(waiting))
        assert scheduler.held == sum(ticket.state is HELD for ticket in tickets)
        assert len(running) <= places and others <= max(1, places - kept) and max(of.values(), default=0) <= per_session
        for ticket in waiting:
            may = len(running) < places and of[ticket.session] < per_session
            assert not (may and (ticket.is_interactive or others < max(1, places - kept)))
    assert all(granted[number] >= 1 for number, ticket in enumerate(tickets) if ticket.state is RUNNING)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.integers(1, 4))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_nobody_waits_for_more_turns_than_there_are_sessions_whatever_the_others_queue(
    queued: list[int], places: int
) -> None:
    scheduler = Scheduler(places)
    greedy = "".join(str(session) * count for session, count in enumerate(queued))
    tickets = entered(scheduler, greedy)
    tickets += entered(scheduler, "z")
    order = served(scheduler, tickets)
    assert len(order) == len(tickets) and order.index("z") <= places + len(queued)


async def test_a_place_that_comes_in_the_turn_of_a_cancellation_is_not_lost() -> None:
    scheduler = Scheduler(1)
    (running,) = entered(scheduler, "a")
    seat = Seat(scheduler, "b")
    waiting = asyncio.create_task(seat.take())
    await asyncio.sleep(0)
    scheduler.leave(running)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert scheduler.free == 1
    async with asyncio.timeout(SOON):
        await seat.take()
    assert seat.is_taken


async def test_a_place_stays_while_one_of_several_that_wait_for_it_is_cancelled() -> None:
    scheduler = Scheduler(1)
    seat = Seat(scheduler, "a")
    seat.give_up()
    (running,) = entered(scheduler, "b")
    waiting = [asyncio.create_task(seat.take()) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    scheduler.leave(running)
    await asyncio.wait(waiting)
    assert waiting[0].cancelled() and not waiting[1].cancelled() and seat.is_taken


async def test_a_program_that_ends_while_it_waits_for_its_place_keeps_none() -> None:
    scheduler = Scheduler(1)
    seat = Seat(scheduler, "a")
    seat.give_up()
    (running,) = entered(scheduler, "b")
    back = asyncio.create_task(seat.take())
    await asyncio.sleep(0)
    seat.end()
    scheduler.leave(running)
    await back
    assert scheduler.free == 1 and not seat.is_taken


async def acted(seed: int, count: int, programs: int) -> None:
    """Let programs call, wait for people and be cancelled at random; then see that every place is free."""
    chance = random.Random(seed)
    scheduler = Scheduler(count, most_held=1)

    async def call(hold: Hold, number: int) -> None:
        hold.begin_call()
        try:
            if chance.random() < 0.4:
                async with hold.waiting():
                    await asyncio.sleep(chance.random() / 1000)
            elif chance.random() < 0.6:
                hold.begin_turn(number)
                await asyncio.sleep(chance.random() / 1000)
                await hold.end_turn(number)
            if hold.is_without_place:
                await hold.take_place()
            assert hold.place is not None and hold.place.is_taken  # type: ignore[attr-defined]  # it is a Seat
            await asyncio.sleep(chance.random() / 1000)
        finally:
            hold.end_call(number)

    async def program(session: str) -> None:
        seat, hold = Seat(scheduler, session), Hold()
        calls: list[asyncio.Task[None]] = []
        try:
            await seat.take()
            hold.place = seat
            for number in range(chance.randrange(4)):
                calls.append(asyncio.create_task(call(hold, number)))
                if chance.random() < 0.5:
                    await asyncio.sleep(chance.random() / 1000)
                if chance.random() < 0.2:
                    calls[-1].cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        finally:
            for one in calls:
                one.cancel()
            seat.end()
            failed = [one for one in await asyncio.gather(*calls, return_exceptions=True) if isinstance(one, Exception)]
            assert failed == []

    tasks = [asyncio.create_task(program(str(number % 3))) for number in range(programs)]
    for task in tasks:
        if chance.random() < 0.3:
            await asyncio.sleep(chance.random() / 1000)
            task.cancel()
    async with asyncio.timeout(SOON):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [one for one in outcomes if isinstance(one, Exception)] == []
    assert scheduler.free == count


@given(st.integers(0, 1 << 30), st.integers(1, 3), st.integers(1, 8))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_every_place_comes_back_whatever_is_cancelled(seed: int, count: int, programs: int) -> None:
    asyncio.run(acted(seed, count, programs))


class Asking(Host):
    """Serves tools; a call of ``Test.hang`` waits for a person, as a call that needs consent does."""

    def __init__(self, hold: Hold) -> None:
        super().__init__()
        self.hold, self.may_go_on = hold, asyncio.Event()

    async def serve(self, path: str, arguments: Raw | None, stack: str = "") -> Raw:
        self.hold.begin_call()
        try:
            if path == "Test.hang":
                async with self.hold.waiting():
                    self.hung.set()
                    await self.may_go_on.wait()
                return rpc.raw("consented")
            if self.hold.is_without_place:
                await self.hold.take_place()
            return await super().serve(path, arguments)
        finally:
            self.hold.end_call()


async def test_programs_that_wait_for_a_person_keep_nobody_from_running() -> None:
    async with pool_of(max_running=2, max_queue_s=SOON) as pool:
        asking = []
        for _ in range(2):
            waiting = job("const said = await Test.hang(); said")
            host = Asking(waiting.hold)
            asking.append((host, asyncio.create_task(pool.run(waiting, host.serve, host.events.append))))
            await host.hung.wait()
        assert (pool.status()["running"], pool.status()["asking"]) == (0, 2)
        assert await run(pool, "40 + 2") == 42
        for host, _ in asking:
            host.may_go_on.set()
        async with asyncio.timeout(2 * SOON):
            assert [bytes(await task) for _, task in asking] == [b'"consented"'] * 2
        assert (pool.status()["running"], pool.status()["asking"]) == (0, 0)


async def test_a_program_goes_on_only_when_there_is_a_place_for_it_and_before_programs_that_have_not_begun() -> None:
    order: list[str] = []
    async with pool_of(max_running=1, max_queue_s=2 * SOON) as pool:
        waiting = job("await Test.hang()")
        host = Asking(waiting.hold)
        first = asyncio.create_task(pool.run(waiting, host.serve, host.events.append))
        first.add_done_callback(lambda task: order.append("back"))
        await host.hung.wait()
        busy, busy_host = job("await Test.hang()"), Host()
        second = asyncio.create_task(pool.run(busy, busy_host.serve, print))
        await busy_host.hung.wait()
        third = asyncio.create_task(run(pool, "1"))
        third.add_done_callback(lambda task: order.append("new"))
        await until(lambda: pool.status()["waiting"] == 1)
        host.may_go_on.set()
        await asyncio.sleep(0.05)
        assert not first.done() and pool.status()["running"] == 1
        second.cancel()
        async with asyncio.timeout(2 * SOON):
            assert (bytes(await first), await third) == (b'"consented"', 1)
        assert order == ["back", "new"]


@pytest.mark.parametrize("end", ["cancelled", "killed"])
async def test_a_program_that_ends_while_it_waits_for_a_person_leaves_no_place_behind(end: str) -> None:
    async with pool_of(max_running=1) as pool:
        for _ in range(3):
            waiting = job("await Test.hang()")
            host = Asking(waiting.hold)
            task = asyncio.create_task(pool.run(waiting, host.serve, host.events.append))
            await host.hung.wait()
            if end == "cancelled":
                task.cancel()
            else:
                next(iter(pool._lent)).kill()
            outcome: Any = (await asyncio.gather(task, return_exceptions=True))[0]
            assert isinstance(outcome, BaseException)
            assert (pool.status()["running"], pool.status()["asking"], pool._scheduler.free) == (0, 0, 1)
        assert await run(pool, "1") == 1


async def test_a_call_beside_one_that_waits_is_served_with_a_place_which_is_given_up_again() -> None:
    async with pool_of(max_running=1) as pool:
        waiting = job(
            "const one = Test.hang();"
            "await new Promise((go) => setTimeout(go, 20));"
            "console.log(await Test.echo(1));"
            "await one"
        )
        host = Asking(waiting.hold)
        running = asyncio.create_task(pool.run(waiting, host.serve, host.events.append))
        await host.hung.wait()
        assert pool.status()["asking"] == 1
        async with asyncio.timeout(SOON):
            await until(lambda: host.printed() != "")
        assert host.called == ["Test.echo"] and pool.status()["asking"] == 1
        host.may_go_on.set()
        async with asyncio.timeout(SOON):
            assert bytes(await running) == b'"consented"'
