"""The life of an engine. Real: sandboxes, the type checker, an MCP server's process. Nothing is fake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import msgspec
import psutil
import pytest

from pctx_jupyter import errors
from pctx_jupyter.engine import Engine, open_engine
from pctx_jupyter.opening import open_at_once
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.settings import Settings

from .fakes import SOON


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


@pytest.mark.parametrize("asker", ["itself", "an agent"])
async def test_a_tool_that_runs_a_program_gets_the_only_place_for_it(
    asker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pctx_jupyter.session.serving.LONG_S", 0.01)
    async with open_engine(Settings(max_running=1, warm_sandboxes=0, typecheck=False)) as engine:

        async def serve(request: rpc.Request) -> msgspec.Raw:
            depth = msgspec.json.decode(request.params or b"")["arguments"]["n"]
            code = f"1 + await t.nested({{n: {depth - 1}}})" if depth else "0"
            nested = await client.call("execute", {"code": code})
            return rpc.raw(msgspec.json.decode(nested)["value"])

        client = engine.connect(serve=serve)
        await client.call("register_tool", {"namespace": "t", "name": "nested", "effects": False})
        await client.call("share", {"to": "agents", "name": "T"})
        asking = engine.connect(as_agent=True) if asker == "an agent" else client
        async with asyncio.timeout(4 * SOON):
            answer = await asking.call("execute", {"code": "await Promise.all([t.nested({n: 2}), t.nested({n: 1})])"})
        assert msgspec.json.decode(answer)["value"] == [2, 1]
        sandbox: Any = engine.status()["sandbox"]
        assert (sandbox["running"], sandbox["asking"], sandbox["waiting"]) == (0, 0, 0)
