"""Long work that lets a loop serve others. Pure, in a real loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

from pctx_jupyter.slices import TURNS, in_slices, let_others_pass


async def test_others_are_served_between_two_slices_and_every_item_comes_once() -> None:
    order: list[str] = []

    async def work(name: str, slices: AsyncIterator[int]) -> None:
        order.extend([f"{name}{n}" async for n in slices])

    async with asyncio.TaskGroup() as both:
        both.create_task(work("a", in_slices(range(3), slice_s=0)))
        both.create_task(work("b", in_slices(range(3), slice_s=0)))
    assert sorted(order) == ["a0", "a1", "a2", "b0", "b1", "b2"]
    turns: list[str] = []

    async def others() -> None:
        for n in range(3):
            turns.append(f"other{n}")
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    turns.extend([f"work{n}" async for n in in_slices(noting(turns), slice_s=0)])
    await other
    work = [turns.index(f"begin{n}") for n in range(3)]
    assert all("other" in "".join(turns[before + 1 : after]) for before, after in pairwise(work))


def noting(turns: list[str], what: str = "begin") -> Iterator[int]:
    for n in range(3):
        turns.append(f"{what}{n}")
        yield n


async def test_all_work_together_takes_one_slice_of_a_turn_and_each_has_its_share() -> None:
    order: list[str] = []

    async def turns() -> None:
        while True:
            order.append("turn")
            await asyncio.sleep(0)

    async def work(name: str) -> None:
        async for _ in in_slices(noting(order, name), slice_s=0):
            pass

    turn = asyncio.create_task(turns())
    tasks = [asyncio.create_task(work(name)) for name in "abcd"]
    await asyncio.sleep(0)
    tasks.pop(2).cancel()  # it waits for its turn
    await asyncio.gather(*tasks)
    turn.cancel()
    slices = [len(some.split()) for some in " ".join(order).split("turn")]
    assert max(slices) == 1
    assert [name for name in order if name != "turn"] == ["a0", "a1", "b0", "d0", "a2", "b1", "d1", "b2", "d2"]


async def test_short_work_takes_no_turn_of_its_own() -> None:
    other = asyncio.create_task(asyncio.sleep(0))
    assert [other.done() async for _ in in_slices(range(3), slice_s=60)] == [False, False, False]
    await other


async def test_a_request_that_is_under_way_ends_before_long_work_goes_on() -> None:
    order: list[str] = []

    async def request() -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)
        order.append("request")

    other = asyncio.create_task(request())
    await asyncio.sleep(0)
    await let_others_pass()
    order.append("work")
    await other
    assert order == ["request", "work"]
