"""Sandbox hosts that a Dask cluster starts: a real scheduler, a real worker with its nanny, a real server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from pctx_jupyter.client import PctxClient
from pctx_jupyter.server.hosts import start_hosts
from pctx_jupyter.server.running import RunningEngine

from ..below import below
from .process import START_S
from .test_sandbox_hosts import connected

OpenClient = Callable[..., AbstractAsyncContextManager[PctxClient]]


@pytest.fixture
def limits() -> dict[str, Any]:
    return {"sandboxes": "dask", "max_queue_s": 60.0, "typecheck": False}


@asynccontextmanager
async def dask(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of Dask, which is killed on the way out with all below it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dask", *arguments),
        stderr=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        env=os.environ | {"DASK_DISTRIBUTED__DASHBOARD__LINK": "", "DASK_DISTRIBUTED__WORKER__DAEMON": "False"},
    )
    try:
        yield process
    finally:
        for one in below(bool, process.pid) if process.returncode is None else []:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        if process.returncode is None:
            process.kill()
        await process.wait()


def hosts_below(process: asyncio.subprocess.Process) -> list[psutil.Process]:
    """The sandbox hosts that a nanny has started."""
    return below(lambda command: "sandbox-host" in command, process.pid)


async def address(file: Path) -> str:
    """The address of the scheduler that writes this file."""
    async with asyncio.timeout(START_S):
        while True:
            try:
                found: str = json.loads(await asyncio.to_thread(file.read_text))["address"]
                return found
            except (OSError, ValueError):
                await asyncio.sleep(0.05)


async def test_workers_start_hosts_which_end_with_their_nanny_and_a_scheduler_that_was_killed_can_be_replaced(
    url: str, client: OpenClient, running: RunningEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = await running.get()
    assert engine.hosts is not None
    assert "c.Pctx.dask_scheduler is empty" in str(engine.hosts.status()["trouble"])
    assert "c.Pctx.dask_scheduler is empty" in caplog.text
    file = tmp_path / "scheduler.json"
    where = ("--scheduler-file", str(file), "--no-dashboard")
    at = ("scheduler", "--host", "127.0.0.1", *where, "--port")
    worker = ("worker", "--nthreads", "2", "--nworkers", "1", *where)
    async with dask(*at, "0") as scheduler, client() as it:
        object.__setattr__(engine.settings, "dask_scheduler", await address(file))
        start_hosts(engine, url.replace("ws:", "http:"))
        async with dask(*worker) as nanny:  # it joins later
            await connected(engine, 1)
            (host,) = engine.hosts.hosts
            assert host.capacity == 2
            assert (await it.run("20 + 1")).value == 21
            (process,) = hosts_below(nanny)
            nanny.kill()
            await nanny.wait()
            await connected(engine, 0)
            await asyncio.to_thread(process.wait, START_S)
        scheduler.kill()
        await scheduler.wait()
        async with asyncio.timeout(START_S):
            while "cannot be reached" not in str(engine.hosts.status()["trouble"]):
                await asyncio.sleep(0.05)
        port = engine.settings.dask_scheduler.rpartition(":")[2]
        async with dask(*at, port), dask(*worker) as nanny:  # another one at its address, and a worker of that
            waiting = asyncio.create_task(it.run("20 + 2"))
            await connected(engine, 1)
            assert (await waiting).value == 22 and engine.hosts.status()["trouble"] is None
            (process,) = hosts_below(nanny)
            await running.stop()
            await asyncio.to_thread(process.wait, START_S)
