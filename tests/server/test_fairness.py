"""What one client that asks for too much does to the others. A real server, real sandboxes, bare connections."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from pctx_jupyter.rpc import nonfinite
from pctx_jupyter.rpc.channel import LARGE_BYTES
from pctx_jupyter.server import turns
from pctx_jupyter.server.running import RunningEngine
from tests.fakes import SOON

from .wires import Wire, eventually

Connect = Callable[..., AbstractAsyncContextManager[Wire]]

FLOOD = 500
"""Programs that the greedy client asks for."""


@pytest.fixture
def limits() -> dict[str, Any]:
    return {"max_running": 4, "max_queued_per_session": 20, "typecheck": False}


async def test_a_flood_of_programs_is_refused_at_once_and_delays_nobody_else(
    wire: Connect, running: RunningEngine
) -> None:
    engine = await running.get()
    async with wire() as greedy, wire() as other:
        for id in range(FLOOD):
            await greedy.say(
                id=id, method="execute", params={"code": "await new Promise(() => setTimeout(() => 0, 1e6))"}
            )
        refused = [await greedy.receive() for _ in range(FLOOD - 22)]
        assert {one["error"]["code"] for one in refused} == {-32004}
        assert len(Counter(one["id"] for one in refused)) == FLOOD - 22
        assert all("22 of this session's programs have not ended" in one["error"]["message"] for one in refused)
        await eventually(lambda: engine.registry.executions()[1].has_begun)
        assert engine.status()["executions"] == 22
        async with asyncio.timeout(4 * SOON):
            assert (await other.ask("execute", {"code": "1 + 1"}))["result"]["value"] == 2
        sandbox: Any = engine.status()["sandbox"]
        assert (sandbox["running"], sandbox["waiting"]) == (2, 20)
        await greedy.say(method="$/cancel", params={"id": 0})
        await eventually(lambda: len(engine.registry.executions()) == 21)


async def test_a_client_whose_message_took_long_to_read_waits_before_its_next_one_is_read(
    wire: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LONG_S", 0.0)
    monkeypatch.setattr(turns, "REST", 1e9)
    monkeypatch.setattr(turns, "MOST_REST_S", 1e9)
    long = " " * LARGE_BYTES + '{"jsonrpc": "2.0", "method": "unknown"}'
    async with wire() as greedy, wire() as other:
        await greedy.send(long)
        await greedy.say(id=1, method="list_functions")
        async with asyncio.timeout(4 * SOON):
            assert (await other.ask("execute", {"code": "1 + 1"}))["result"]["value"] == 2
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await greedy.connection.recv()
        greedy.connection.transport.abort()  # its handshake of closing would not be read either
        monkeypatch.setattr(turns, "MOST_REST_S", 0.0)
        await other.send(long)
        async with asyncio.timeout(4 * SOON):
            assert "result" in await other.ask("list_functions")


async def test_too_many_inputs_are_refused_before_each_of_them_is_looked_at(
    wire: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(payload: object) -> None:
        raise AssertionError("an input was looked at")

    monkeypatch.setattr(nonfinite, "taken", taken)
    async with wire() as one:
        answer = await one.ask("execute", {"code": "1", "inputs": {f"a{n}": n for n in range(1_001)}})
        assert "more than 1,000 inputs" in answer["error"]["message"]


@pytest.mark.parametrize("limits", [{"typecheck": False}])
async def test_a_client_that_never_reads_gets_the_whole_result_when_it_reads_again(
    wire: Connect, running: RunningEngine
) -> None:
    code = "for (let i = 0; i < 100; i++) console.log('x'.repeat(10000)); 'done'"
    programs = 40
    async with wire(max_queue=1) as slow, wire() as other:
        for id in range(programs):
            params = {"code": code, "events": True, "execution_id": str(id)}
            await slow.say(id=id, method="execute", params=params)
        engine = await running.get()
        async with asyncio.timeout(8 * SOON):
            while [trace.state for trace in engine.registry.history] != ["ok"] * programs:
                await asyncio.sleep(0.01)
        assert (await other.ask("execute", {"code": "1 + 1"}))["result"]["value"] == 2
        answers: dict[int, Any] = {}
        printed = 0
        missed = False
        while len(answers) < programs:
            message = json.loads(await slow.connection.recv())
            if "id" in message:
                assert "result" in message, message
                answers[message["id"]] = message["result"]
            else:
                printed += len(message["params"]["text"])
                missed |= "pieces of output were not sent" in message["params"]["text"]
        assert {len(one["stdout"]) for one in answers.values()} == {1_000_100}
        assert missed and printed < programs * 1_000_100 / 2
