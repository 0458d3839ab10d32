"""Runs of agents once the server stops. The session is real, its sandbox a function."""

from __future__ import annotations

import asyncio

from pctx_jupyter.agents.runs import AgentRun, Runs
from pctx_jupyter.program.result import Emit
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
