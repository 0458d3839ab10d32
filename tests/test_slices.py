"""Long work that lets a loop serve others. Pure, in a real loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from pctx_jupyter.slices import in_slices


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
    assert turns[:6] == ["begin0", "other0", "begin1", "other1", "begin2", "other2"]


def noting(turns: list[str]) -> Iterator[int]:
    for n in range(3):
        turns.append(f"begin{n}")
        yield n


async def test_short_work_takes_no_turn_of_its_own() -> None:
    other = asyncio.create_task(asyncio.sleep(0))
    assert [other.done() async for _ in in_slices(range(3), slice_s=60)] == [False, False, False]
    await other
