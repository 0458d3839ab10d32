"""The life of an engine. Real: sandboxes, the type checker, an MCP server's process. Nothing is fake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio
import psutil
import pytest

from pctx_jupyter import errors
from pctx_jupyter.engine import Engine, open_engine
from pctx_jupyter.opening import open_at_once
from pctx_jupyter.settings import Settings


@pytest.mark.parametrize("opening", [open_engine, open_at_once])
async def test_an_engine_closes_though_each_wait_of_its_task_is_cancelled_and_then_opens_no_session(
    opening: Callable[[Settings], AbstractAsyncContextManager[Engine]],
) -> None:
    processes, tasks = set(psutil.Process().children(recursive=True)), asyncio.all_tasks()
    with anyio.CancelScope() as scope:  # it cancels again and again
        async with opening(Settings(warm_sandboxes=1)) as engine:
            assert engine.upstreams is not None
            await engine.upstreams.add({"name": "child", "command": "sleep", "args": ["1000"]}, persist=False)
            scope.cancel()
            await asyncio.sleep(0)
    assert scope.cancelled_caught
    left = set(psutil.Process().children(recursive=True)) - processes
    assert not psutil.wait_procs(left, timeout=5)[1]
    assert asyncio.all_tasks() == tasks
    with pytest.raises(errors.Cancelled, match="the engine is closed"):
        engine.connect()
