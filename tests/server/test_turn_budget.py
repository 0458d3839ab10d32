"""How much all clients together may have done in one turn of the loop. Pure, in a real loop with a clock of its own."""

from __future__ import annotations

import asyncio

from pctx_jupyter.rpc.pipe import BURST
from pctx_jupyter.server.turns import TURN_S, Lanes, TurnBudget


class Spent:
    """A clock that shows how much the test says was spent."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


async def test_a_turn_takes_a_burst_of_messages_however_many_connections_there_are_and_the_next_turn_as_many() -> None:
    budget = TurnBudget(Spent())
    for _ in range(3):
        assert [budget.take() for _ in range(BURST + 2)] == [True] * BURST + [False] * 2
        await asyncio.sleep(0)


async def test_after_a_long_turn_fewer_messages_pass_and_after_short_ones_as_many_again() -> None:
    spent = Spent()
    budget = TurnBudget(spent)

    async def pass_all() -> int:
        passed = sum(budget.take() for _ in range(BURST))
        await asyncio.sleep(0)
        return passed

    assert await pass_all() == BURST
    spent.s += 4 * TURN_S
    await asyncio.sleep(0)
    assert await pass_all() == BURST // 4
    spent.s += 1000 * TURN_S
    await asyncio.sleep(0)
    assert await pass_all() == 1
    assert [await pass_all() for _ in range(BURST)][-3:] == [BURST - 2, BURST - 1, BURST]


async def test_messages_that_wait_pass_in_the_order_in_which_they_came_and_before_new_ones() -> None:
    budget, passed = TurnBudget(Spent()), []

    async def message(number: int) -> None:
        if not budget.take():
            await budget.wait()
        passed.append(number)

    tasks = [asyncio.create_task(message(number)) for number in range(3 * BURST)]
    await asyncio.sleep(0)
    assert len(passed) == BURST
    gone = tasks[BURST]
    gone.cancel()
    assert not budget.take()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert passed == [number for number in range(3 * BURST) if number != BURST]


async def test_one_request_of_a_kind_passes_in_a_turn_and_those_of_other_kinds_do_not_wait_for_it() -> None:
    lanes, passed = Lanes(), []

    async def request(lane: str, number: int) -> None:
        await lanes.enter(lane)
        passed.append((lane, number))

    many = [asyncio.create_task(request("many", number)) for number in range(100)]
    few = [asyncio.create_task(request("few", number)) for number in range(2)]
    many[5].cancel()
    turns = 0
    while not all(task.done() for task in few):
        await asyncio.sleep(0)
        turns += 1
    assert turns < 10 and len(passed) < 10 + 2
    await asyncio.gather(*many, return_exceptions=True)
    assert [number for lane, number in passed if lane == "many"] == [*range(5), *range(6, 100)]


async def test_a_lane_is_free_again_in_the_turn_after_its_last_request() -> None:
    lanes = Lanes()
    for _ in range(3):
        entering = lanes.enter("one")
        try:
            entering.send(None)
        except StopIteration:
            pass
        else:
            raise AssertionError("it waited")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
