"""Calls by others' programs, on the bridge's side. Real: client, channel, loop. Fake: who runs them, and the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec import UNSET, Raw

from pctx_jupyter import errors
from pctx_jupyter.client.raw import RawClient
from pctx_jupyter.kernel.functions import tool as tools
from pctx_jupyter.kernel.hosting import host
from pctx_jupyter.kernel.mainthread import GuestCall
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc import wire
from pctx_jupyter.rpc.channel import Channel, OnNotification, Serve, crossed
from tests.fakes import ROOMY, SOON, read


class Host:
    """In the place of `Guests`: does with each call what the test says."""

    def __init__(self, act: Callable[[GuestCall], None], hindrance: str | None = None) -> None:
        self._act, self.hindrance = act, hindrance
        self.is_ready = True
        self.withdrawn: list[GuestCall] = []

    def put(self, call: GuestCall) -> None:
        self._act(call)

    def withdraw(self, call: GuestCall) -> None:
        self.withdrawn.append(call)


class Engine:
    """The other end of a client: hears what is said to it."""

    def __init__(self) -> None:
        self.heard: list[wire.CallNote] = []

    async def connect(self, serve: Serve, on_notification: OnNotification) -> Channel:
        near, far = crossed(
            lambda send: Channel(send, serve=serve, on_notification=on_notification, name="kernel", max_bytes=ROOMY),
            lambda send: Channel(send, on_notification=self._receive, name="engine", max_bytes=ROOMY),
        )
        far.notify(wire.SESSION_CREATED, wire.SessionCreated("s"))
        return near

    def _receive(self, heard: rpc.Notification) -> None:
        assert heard.method == wire.CALL_NOTE
        self.heard.append(wire.read(heard.params, wire.CallNote, heard.method))


@pytest.fixture
def load() -> Any:
    yield tools.define(lambda: 1, name="load")
    tools.forget("Notebook.load")


async def call(
    host_: Host | None,
    tool: tools.PythonTool,
    *,
    engine: Engine | None = None,
    call_s: float = 0.01,
    asked_by: Any = "agent",
    is_waiting: bool = False,
) -> Raw | BaseException:
    asked = wire.ExecuteTool("Notebook.load", UNSET, "e1", asked_by=asked_by, call=3, call_s=call_s)

    def run() -> Raw | Awaitable[Raw]:
        raise AssertionError("nobody runs it")

    async with asyncio.timeout(SOON), RawClient(connect=(engine or Engine()).connect, reconnect=False) as client:
        return await host(host_, client, tool, asked, run, lambda: is_waiting)  # type: ignore[arg-type]  # a fake


async def test_a_call_that_has_begun_and_does_not_end_is_answered_at_its_limit(load: tools.PythonTool) -> None:
    stuck = Host(lambda call: call.began())
    with pytest.raises(errors.ToolTimeout, match=r"timed out after 0\.01 s"):
        await call(stuck, load)
    assert len(stuck.withdrawn) == 1


async def test_the_limit_does_not_count_while_a_call_waits_and_what_keeps_it_is_said_once(
    load: tools.PythonTool,
) -> None:
    loop, engine = asyncio.get_running_loop(), Engine()

    def later(call: GuestCall) -> None:
        def turn() -> None:
            call.began()
            call.settle(rpc.raw(5))

        loop.call_later(0.05, turn)  # five times its limit

    busy = Host(later, "waits: a cell of the notebook is running")
    outcome = await call(busy, load, engine=engine)
    assert isinstance(outcome, Raw) and read(outcome) == 5
    assert [(note.execution_id, note.call, note.note, note.waits) for note in engine.heard] == [
        ("e1", 3, "waits: a cell of the notebook is running", True),
        ("e1", 3, "", False),  # it waits no longer
    ]
    assert busy.withdrawn == []


async def test_a_notebook_that_may_wait_for_itself_is_not_kept_waiting_for_ever(load: tools.PythonTool) -> None:
    busy = Host(lambda call: None)
    with pytest.raises(
        errors.ToolFailed, match=r"while a cell of its own waits for a program.* call it in another cell"
    ):
        await call(busy, load, asked_by="notebook", is_waiting=True)
    assert len(busy.withdrawn) == 1


async def test_a_call_that_is_withdrawn_while_it_waits_never_runs(load: tools.PythonTool) -> None:
    busy = Host(lambda call: None)
    waiting = asyncio.create_task(call(busy, load, is_waiting=True))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting, 0.05)
    assert len(busy.withdrawn) == 1


async def test_a_kernel_without_a_loop_that_runs_between_cells_says_so(load: tools.PythonTool) -> None:
    with pytest.raises(errors.ToolFailed, match="cannot run it between cells"):
        await call(None, load)
