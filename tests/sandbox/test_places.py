"""Places among the programs that run: none is lost, none is given twice, whatever is cancelled. Nothing is fake; what
programs and people do is drawn by hypothesis."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.sandbox.places import Places, Seat
from pctx_jupyter.session.execution import Hold
from tests.fakes import SOON

from .programs import Host, job, pool_of, run, until


async def test_those_who_come_back_are_served_before_those_who_have_not_begun() -> None:
    places, order = Places(1), []

    async def take(name: str, *, is_returning: bool) -> None:
        await places.take(is_returning=is_returning)
        order.append(name)

    await places.take()
    tasks = [asyncio.create_task(take("new", is_returning=False)), asyncio.create_task(take("back", is_returning=True))]
    for _ in tasks:
        await asyncio.sleep(0)
        places.release()
    async with asyncio.timeout(SOON):
        await asyncio.gather(*tasks)
    assert order == ["back", "new"] and places.free == 0


async def test_a_place_that_comes_in_the_turn_of_a_cancellation_is_not_lost() -> None:
    places = Places(1)
    await places.take()
    waiting = asyncio.create_task(places.take())
    await asyncio.sleep(0)
    places.release()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert places.free == 1


async def test_a_program_that_ends_while_it_waits_for_its_place_keeps_none() -> None:
    places = Places(1)
    await places.take()
    seat = Seat(places)
    seat.give_up()
    await places.take()
    back = asyncio.create_task(seat.take())
    await asyncio.sleep(0)
    seat.end()
    places.release()
    await back
    assert places.free == 1 and not seat.is_taken


async def acted(seed: int, count: int, programs: int) -> None:
    """Let programs call, wait for people and be cancelled at random; then see that every place is free."""
    chance = random.Random(seed)
    places, running, most = Places(count), 0, 0

    async def call(hold: Hold) -> None:
        hold.begin_call()
        try:
            if chance.random() < 0.6:
                async with hold.waiting():
                    await asyncio.sleep(chance.random() / 1000)
            if hold.is_without_place:
                await hold.take_place()
            assert hold.place is not None and hold.place.is_taken  # type: ignore[attr-defined]  # it is a Seat
            await asyncio.sleep(chance.random() / 1000)
        finally:
            hold.end_call()

    async def program() -> None:
        nonlocal running, most
        await places.take()
        seat, hold = Seat(places), Hold()
        hold.place = seat
        calls: list[asyncio.Task[None]] = []
        try:
            for _ in range(chance.randrange(4)):
                calls.append(asyncio.create_task(call(hold)))
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

    tasks = [asyncio.create_task(program()) for _ in range(programs)]
    for task in tasks:
        if chance.random() < 0.3:
            await asyncio.sleep(chance.random() / 1000)
            task.cancel()
    async with asyncio.timeout(SOON):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [one for one in outcomes if isinstance(one, Exception)] == []
    assert places.free == count


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
            assert (pool.status()["running"], pool.status()["asking"], pool._places.free) == (0, 0, 1)
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
