"""The states of a client's connection. The channels are real, crossed in memory; the other end greets when it may."""

from __future__ import annotations

import asyncio

import pytest

from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient
from pctx_jupyter.client import connection as module
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc import wire
from pctx_jupyter.rpc.channel import Channel, OnNotification, Serve, crossed
from tests.fakes import ROOMY, SOON


class Engine:
    """Opens sessions that serve nothing, once it may; `open` are those that are open at this end."""

    def __init__(self, *, may_open: bool = True) -> None:
        self.asked, self.may_open = asyncio.Event(), asyncio.Event()
        self.attempts = 0
        self.refusal: errors.CannotConnect | None = None
        self.open: list[Channel] = []
        if may_open:
            self.may_open.set()

    async def connect(self, serve: Serve, on_notification: OnNotification) -> Channel:
        self.attempts += 1
        self.asked.set()
        await self.may_open.wait()
        if self.refusal is not None:
            raise self.refusal

        async def forget(request: rpc.Request) -> object:
            return {"forgotten": [], "success": True}

        near, far = crossed(
            lambda send: Channel(send, serve=serve, on_notification=on_notification, name="near", max_bytes=ROOMY),
            lambda send: Channel(send, serve=forget, name="far", max_bytes=ROOMY),
        )
        far.notify(wire.SESSION_CREATED, wire.SessionCreated(f"session {self.attempts}"))
        self.open.append(far)
        far.on_close(lambda: self.open.remove(far))
        return near


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACK_OFF_S", (0.001, 0.01))


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_connecting_twice_at_once_opens_one_session() -> None:
    engine = Engine(may_open=False)
    client = PctxClient(connect=engine.connect)
    async with asyncio.timeout(SOON):
        both = [asyncio.create_task(client.connect()) for _ in range(2)]
        waiting = asyncio.create_task(client.forget())
        await engine.asked.wait()
        engine.may_open.set()
        await asyncio.gather(*both)
        assert await waiting == []
        assert engine.attempts == 1 and len(engine.open) == 1
        await client.connect()
        await client.disconnect()
        assert engine.attempts == 1 and engine.open == []


async def test_disconnecting_while_connecting_leaves_no_session_and_fails_who_waits() -> None:
    engine = Engine(may_open=False)
    client = PctxClient(connect=engine.connect)
    async with asyncio.timeout(SOON):
        tasks = [asyncio.create_task(one) for one in (client.connect(), client.connect())]
        await engine.asked.wait()
        tasks.append(asyncio.create_task(client._call("x")))
        await turns()
        await client.disconnect()
        engine.may_open.set()
        failed = await asyncio.gather(*tasks, return_exceptions=True)
        await turns()
    assert [type(error) for error in failed] == [errors.CannotConnect] * 3
    assert len({id(error) for error in failed}) == 3 and "disconnected" in str(failed[0])
    assert client.ws is None and client.session_id is None and engine.open == []


async def test_a_session_that_opens_while_the_client_disconnects_is_closed() -> None:
    engine = Engine(may_open=False)
    client = PctxClient(connect=engine.connect)
    async with asyncio.timeout(SOON):
        connecting = asyncio.create_task(client.connect())
        await engine.asked.wait()
        engine.may_open.set()
        await asyncio.gather(client.disconnect(), connecting, return_exceptions=True)
        await turns()
    assert engine.open == [] and client.ws is None


async def test_giving_up_connecting_leaves_nothing_unless_another_waits_for_it() -> None:
    engine = Engine(may_open=False)
    client = PctxClient(connect=engine.connect)
    async with asyncio.timeout(SOON):
        first, second = [asyncio.create_task(client.connect()) for _ in range(2)]
        await engine.asked.wait()
        first.cancel()
        await asyncio.wait([first])
        engine.may_open.set()
        await second
        assert len(engine.open) == 1
        await client.disconnect()

        engine.may_open.clear()
        alone = asyncio.create_task(client.connect())
        while engine.attempts < 2:
            await asyncio.sleep(0)
        alone.cancel()
        await asyncio.wait([alone])
        engine.may_open.set()
        await turns()
        assert alone.cancelled() and engine.open == []
        with pytest.raises(errors.ConnectionLost, match="connect first"):
            await client.forget()


async def test_a_failed_attempt_is_an_exception_of_its_own_for_each_and_the_next_one_may_succeed() -> None:
    engine = Engine()
    engine.refusal = errors.CannotConnect("no", http_status=403)
    client = PctxClient(connect=engine.connect)
    async with asyncio.timeout(SOON):
        failed = await asyncio.gather(client.connect(), client.connect(), return_exceptions=True)
        assert failed[0] is not failed[1]
        assert [getattr(error, "http_status", None) for error in failed] == [403, 403]
        engine.refusal = None
        await client.connect()
        assert client.session_id == "session 2"
        await client.disconnect()


async def test_disconnecting_twice_and_connecting_meanwhile_end_connected_once() -> None:
    engine = Engine()
    client = PctxClient(connect=engine.connect)
    async with asyncio.timeout(SOON):
        await client.disconnect()
        await client.connect()
        await asyncio.gather(client.disconnect(), client.disconnect(), client.connect())
        assert len(engine.open) == 1 and client.session_id == "session 2"
        await client.disconnect()


async def test_a_client_comes_back_each_time_and_says_so_once() -> None:
    engine = Engine()
    client = PctxClient(connect=engine.connect)
    again: list[str | None] = []

    def note() -> None:
        again.append(client.session_id)
        raise RuntimeError("what the caller does fails")

    client.on_reconnect = note
    async with asyncio.timeout(SOON):
        await client.connect()
        for _ in range(3):
            engine.open[0].close()
            assert client.ws is None
            assert await client.forget() == []
        assert again == ["session 2", "session 3", "session 4"]
        engine.refusal = errors.CannotConnect("no", http_status=403)
        engine.open[0].close()
        refused = await asyncio.gather(client.forget(), client.forget(), return_exceptions=True)
        assert refused[0] is not refused[1] and isinstance(refused[0], errors.CannotConnect)
        await client.disconnect()
        engine.refusal = None
        await turns()
        assert engine.open == []


async def test_a_server_that_refuses_is_tried_again_when_a_request_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFUSED_S", (2 * SOON, 2 * SOON))
    engine = Engine()
    client = PctxClient(connect=engine.connect)
    async with asyncio.timeout(SOON):
        await client.connect()
        engine.refusal = errors.CannotConnect("no", http_status=404)
        engine.open[0].close()
        for attempts in (2, 3, 4):
            with pytest.raises(errors.CannotConnect, match="no"):
                await client.forget()
            assert engine.attempts == attempts
        engine.refusal = None
        assert await client.forget() == []
        await client.disconnect()


async def test_in_another_loop_a_connected_client_is_refused_and_one_whose_loop_has_ended_connects_anew() -> None:
    engine = Engine()
    client = PctxClient(connect=engine.connect)

    async def connect() -> None:
        await client.connect()
        await client.forget()

    await asyncio.to_thread(asyncio.run, connect())  # and that loop is closed
    with pytest.raises(errors.ConnectionLost, match="connect again"):
        await client.forget()
    async with asyncio.timeout(SOON):
        await client.connect()
        for work in client.forget, client.connect, client.disconnect:
            with pytest.raises(errors.ConnectionLost, match="another event loop"):
                await asyncio.to_thread(asyncio.run, work())
        assert await client.forget() == []
        await client.disconnect()
