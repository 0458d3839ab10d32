"""What is left of agents' runs that are over, and when a server stops. The session is real, its sandbox a function."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

from msgspec import Raw

from pctx_jupyter.agents.runs import AgentRun, Runs
from pctx_jupyter.program.result import Display, Emit, Output
from pctx_jupyter.session.execution import Job, ServeCall
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.settings import Settings

from ..fakes import SOON, FakeClock, FakeSandbox


async def test_runs_that_are_stopped_leave_no_timer_behind() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        await asyncio.Event().wait()

    runs = Runs(600)
    run = runs.add(AgentRun(Registry(FakeSandbox(act), Settings(), FakeClock()).agents(), "1", None, 1000))
    runs.keep(run)
    await asyncio.sleep(0)
    async with asyncio.timeout(SOON):
        await runs.close()
    await asyncio.sleep(0)
    assert run.is_over and len(runs) == 0
    assert not runs._timers


async def test_of_a_run_that_is_over_its_answer_alone_is_kept() -> None:
    released = asyncio.Event()

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        emit(Output("stdout", "x" * 500_000))
        await released.wait()
        emit(Display(Raw(b'{"text/plain":"' + b"y" * 500_000 + b'"}')))
        return ["z" * 1_000_000] * 20

    registry = Registry(FakeSandbox(act), Settings(history_values=False, max_history=0), FakeClock())
    tracemalloc.start()
    try:
        runs = [AgentRun(registry.agents(), f"{n}", None, 1000) for n in range(3)]
        await asyncio.sleep(0)
        assert all(run.answer().text.startswith("Still running") for run in runs)
        before, _ = tracemalloc.get_traced_memory()
        released.set()
        async with asyncio.timeout(4 * SOON):
            for run in runs:
                await run.over()
        gc.collect()
        now, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert now < before, "what it printed is gone, too"
    assert all("zzz" in run.answer().text and len(run.answer().text) < 2000 for run in runs)
    assert runs[0].is_of("0") and not runs[0].is_of("1")


async def test_a_run_that_is_stopped_says_so_whether_it_had_begun_or_not() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        emit(Output("stdout", "so far"))
        await asyncio.Event().wait()

    registry = Registry(FakeSandbox(act), Settings(), FakeClock())
    begun, unbegun = (AgentRun(registry.agents(), "1", None, 1000) for _ in range(2))
    unbegun.stop()
    await asyncio.sleep(0)
    while not begun._console:
        await asyncio.sleep(0)
    begun.stop()
    async with asyncio.timeout(SOON):
        for run in (begun, unbegun):
            await run.over()
            assert "The program was stopped" in run.answer().text and run.answer().is_error
    assert "so far" in begun.answer().text
