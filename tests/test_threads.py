"""Threads of a loop: what computes is not in line behind what waits. Real threads, in a real loop."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from pctx_jupyter import threads

from .fakes import SOON

WHO: ContextVar[str] = ContextVar("who", default="")


async def test_work_is_computed_while_all_threads_of_the_loop_wait_for_others() -> None:
    answered = threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    waiting = loop.run_in_executor(None, answered.wait)
    WHO.set("me")
    async with asyncio.timeout(SOON):
        assert await threads.compute(lambda more: WHO.get() + more, more=" too") == "me too"
    assert not waiting.done()
    threads.release()
    async with asyncio.timeout(SOON):
        assert await threads.compute(sum, [1, 2]) == 3
    threads.release()
    answered.set()
    await waiting


async def test_others_have_the_interpreter_often_while_something_is_computed_and_as_before_afterwards() -> None:
    usual, both = sys.getswitchinterval(), threading.Barrier(2)

    def work() -> float:
        both.wait(SOON)
        return sys.getswitchinterval()

    assert usual > threads.SWITCH_S
    found = await asyncio.gather(threads.compute(work), threads.compute(work))
    assert max(found) == pytest.approx(threads.SWITCH_S)
    assert await threads.compute(sys.getswitchinterval) == pytest.approx(threads.SWITCH_S)
    threads.release()
    assert sys.getswitchinterval() == usual


async def test_work_that_is_given_up_keeps_its_turn_until_it_ends() -> None:
    answered, one = threading.Event(), threads.OneThread()
    begun: list[str] = []

    def work(name: str) -> str:
        begun.append(name)
        assert answered.wait(SOON)
        return name

    with pytest.raises(TimeoutError):
        await one.run(lambda: work("given up"), 0.01)
    cancelled, next = (asyncio.create_task(one.run(lambda name=name: work(name))) for name in ("cancelled", "next"))  # type: ignore[misc]
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(TimeoutError):
        await one.run(lambda: work("too late"), 0.01)
    assert begun == ["given up"]
    answered.set()
    async with asyncio.timeout(SOON):
        assert await next == "next"
    assert begun == ["given up", "next"]


async def test_an_error_of_the_work_is_raised_and_the_next_work_is_done() -> None:
    one = threads.OneThread()
    with pytest.raises(ZeroDivisionError):
        await one.run(lambda: 1 // 0)
    assert await one.run(lambda: 1) == 1
