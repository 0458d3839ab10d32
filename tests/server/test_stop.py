"""How a server ends: everyone who waits is answered, nothing is left. A real server process and real sandboxes."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import psutil
import pytest

from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient
from pctx_jupyter.server.running import RunningEngine
from tests.fakes import SOON

from .process import server_process
from .wires import Wire


async def test_stopping_answers_what_is_under_way_and_closes_every_connection(
    wire: Callable[..., AbstractAsyncContextManager[Wire]], running: RunningEngine
) -> None:
    async with wire() as one, wire() as other:
        await one.offer("a.b")
        await one.say(id=1, method="execute", params={"code": "await a.b()"})
        await one.receive()
        await other.say(id="x", method="execute", params={"code": "for (;;);"})
        assert await other.is_fine()
        async with asyncio.timeout(SOON):
            await running.stop()
        heard = [await one.receive(), await one.receive()]
        assert {"id": 1, "jsonrpc": "2.0"}.items() <= next(m for m in heard if "error" in m).items()
        assert next(m for m in heard if "error" in m)["error"]["code"] == -32800
        answer = await other.receive()
        assert answer["id"] == "x" and answer["error"]["code"] == -32800
        await one.gone()
        await other.gone()
        assert one.connection.close_code == 1001


async def test_what_is_loaded_is_left_out_of_garbage_collections_while_the_engine_is_open(
    running: RunningEngine,
) -> None:
    await running.get()
    assert gc.get_freeze_count() > 10_000
    await running.stop()
    assert gc.get_freeze_count() == 0


async def test_a_stopped_engine_is_not_opened_again(jp_fetch: Any, running: RunningEngine) -> None:
    await running.get()
    await running.stop()
    with pytest.raises(errors.Cancelled):
        await running.get()


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
async def test_a_server_process_ends_with_all_it_started(by: signal.Signals) -> None:
    with server_process("--Pctx.warm_sandboxes=1") as server:
        started = asyncio.Event()

        async def wait_for_ever(arguments: dict[str, Any]) -> None:
            started.set()
            await asyncio.Event().wait()

        async with PctxClient(server.url + "local-tools", headers=server.headers, reconnect=False) as client:
            await client.register_tool("a", "b", wait_for_ever)
            busy = asyncio.create_task(client.execute_code("for (;;);"))
            waiting = asyncio.create_task(client.execute_code("await a.b()"))
            async with asyncio.timeout(2 * SOON):
                await started.wait()
            children = psutil.Process(server.process.pid).children(recursive=True)
            assert len(children) >= 2
            code = await asyncio.to_thread(server.stop, by)
            for execution in (busy, waiting):
                with pytest.raises(errors.Cancelled if by is signal.SIGTERM else errors.ConnectionLost):
                    await execution
        assert code == (0 if by is signal.SIGTERM else -signal.SIGKILL)
        _, alive = psutil.wait_procs(children, timeout=SOON)
        assert not alive
        assert "Traceback" not in server.log and "never retrieved" not in server.log, server.log
        assert server.token not in server.log.replace(f"token={server.token}", "")
