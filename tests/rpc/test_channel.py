"""A peer that waits: two channels crossed in memory. Real loop, no pipe."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable

import pytest

from pctx_jupyter import errors
from pctx_jupyter.rpc import channel
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc.channel import Channel

from ..fakes import ROOMY, SOON, pair, read


async def echo(request: rpc.Request) -> object:
    return {"method": request.method, "params": read(request.params)}


class Gate:
    """A `Serve` that says when it was asked, and answers when it is let."""

    def __init__(self) -> None:
        self.asked, self.open, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, request: rpc.Request) -> object:
        self.asked.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "open"


async def soon(awaitable: Awaitable[object]) -> object:
    async with asyncio.timeout(SOON):
        return await awaitable


async def test_calls_in_both_directions_are_answered_while_others_are_open() -> None:
    gate = Gate()
    left, right = pair(left=echo, right=gate)
    slow = asyncio.ensure_future(left.call("slow"))
    await soon(gate.asked.wait())
    assert read(await right.call("back", [1])) == {"method": "back", "params": [1]}
    gate.open.set()
    assert read(await slow) == "open"


async def test_a_hundred_calls_at_once_get_their_own_answers() -> None:
    left, _ = pair(right=echo)
    answers = await asyncio.gather(*(left.call(f"m{n}", n) for n in range(100)))
    assert [read(a) for a in answers] == [{"method": f"m{n}", "params": n} for n in range(100)]


async def test_of_a_flood_of_requests_those_beyond_a_limit_are_refused_and_the_others_are_served() -> None:
    gate = Gate()
    left, _ = pair(right=gate)
    calls = [asyncio.ensure_future(left.call("x")) for _ in range(channel.MOST_SERVED + 3)]
    await soon(gate.asked.wait())
    for late in calls[-3:]:
        with pytest.raises(errors.Busy, match="wait for some of them"):
            await soon(late)
    gate.open.set()
    assert {read(one) for one in await asyncio.gather(*calls[:-3])} == {"open"}
    assert read(await left.call("x")) == "open"


@pytest.mark.parametrize("large", [1, 1 << 30])
async def test_large_parameters_and_results_may_nest_as_deep_as_small_ones(
    monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr(channel, "LARGE_BYTES", large)
    monkeypatch.setattr(channel, "PIECE_BYTES", 100)

    levels = rpc.MOST_DEPTH - 1
    deepest = rpc.Raw(b"[" * levels + b"]" * levels)
    too_deep = rpc.Raw(b"[" + bytes(deepest) + b"]")

    async def answer(request: rpc.Request) -> object:
        return deepest if request.method == "deepest" else too_deep

    near, _ = pair(right=answer)
    assert bytes(await near.call("deepest", deepest)) == bytes(deepest)
    with pytest.raises(errors.NotJson, match="nested deeper"):
        await near.call("deepest", too_deep)
    with pytest.raises(errors.InvalidParams, match="nested deeper"):
        await near.call("too_deep")


async def test_a_result_that_is_known_to_be_sound_is_sent_as_it_is_and_served_as_any_other() -> None:
    async def one(request: rpc.Request) -> object:
        return rpc.Sound(rpc.Raw(b"[1]"))

    near, far = pair(right=one)
    assert read(await near.call("x")) == read(await far.serve(rpc.Request(1, "x"))) == [1]


async def test_cancelling_a_call_withdraws_it_at_the_other_end() -> None:
    gate = Gate()
    left, right = pair(right=gate)
    call = asyncio.ensure_future(left.call("slow"))
    await soon(gate.asked.wait())
    call.cancel()
    await soon(gate.cancelled.wait())
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not left.is_closed and not right.is_closed


async def test_an_answer_that_arrives_in_the_turn_of_a_cancellation_settles_nothing() -> None:
    sent: list[bytes] = []
    left, _ = pair()
    left._send = sent.append
    call = asyncio.ensure_future(left.call("x"))
    await asyncio.sleep(0)
    call.cancel()
    left.feed(rpc.encode(rpc.Response(1, rpc.NULL)))
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_losing_the_pipe_fails_waiting_calls_at_once_and_stops_what_is_served() -> None:
    gate = Gate()
    left, right = pair(right=gate)
    call = asyncio.ensure_future(left.call("slow"))
    await soon(gate.asked.wait())
    left.close()
    with pytest.raises(errors.ConnectionLost):
        await call
    await soon(gate.cancelled.wait())
    assert right.is_closed
    with pytest.raises(errors.ConnectionLost):
        await left.call("again")


async def test_an_end_that_stops_tells_those_who_wait() -> None:
    gate = Gate()
    left, right = pair(right=gate)
    call = asyncio.ensure_future(left.call("slow"))
    await soon(gate.asked.wait())
    await right.stop()
    with pytest.raises((errors.Cancelled, errors.ConnectionLost)):
        await call


def raising(error: BaseException) -> Callable[[rpc.Request], Awaitable[object]]:
    async def serve(request: rpc.Request) -> object:
        raise error

    return serve


async def test_an_error_arrives_as_the_class_of_its_code() -> None:
    left, _ = pair(right=raising(errors.ToolNotFound("Cannot call x: no such tool")))
    with pytest.raises(errors.ToolNotFound, match="no such tool"):
        await left.call("x")


async def test_an_error_of_ours_crosses_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    left, _ = pair(right=raising(RuntimeError("/home/secret")))
    with pytest.raises(errors.PctxError) as refused:
        await left.call("x")
    assert refused.value.message == "Internal error"
    assert "/home/secret" in caplog.text


async def test_notifications_are_heard_in_order_and_before_the_answer_that_follows() -> None:
    heard: list[object] = []

    async def serve(request: rpc.Request) -> object:
        return list(heard)

    left, _ = pair(right=serve, on_notification=lambda n: heard.append(read(n.params)))
    for n in range(5):
        left.notify("n", n)
    assert read(await left.call("x")) == [0, 1, 2, 3, 4]


async def test_nothing_is_left_when_a_channel_has_closed() -> None:
    gate = Gate()
    left, right = pair(right=gate)
    calls = [asyncio.ensure_future(left.call("slow")) for _ in range(50)]
    await soon(gate.asked.wait())
    left.close()
    await soon(asyncio.gather(left.closed(), right.closed()))
    assert all(isinstance(e, errors.ConnectionLost) for e in await asyncio.gather(*calls, return_exceptions=True))
    assert not left._awaited and not left._tasks and not right._tasks and not right._serving


# Frames that arrive in one turn of the loop, as they do in one segment of TCP.


def asked(id: int, method: str) -> bytes:
    return rpc.encode(rpc.Request(id, method))


def withdrawn(id: int) -> bytes:
    return rpc.encode(rpc.Notification("$/cancel", rpc.raw({"id": id})))


async def test_a_request_withdrawn_in_the_turn_it_came_leaves_nothing() -> None:
    sent: list[bytes] = []
    right = Channel(sent.append, serve=Gate(), name="right", max_bytes=ROOMY)
    right.feed(asked(7, "x"))
    right.feed(withdrawn(7))
    await soon(right.stop())
    await soon(right.closed())
    assert sent == [] and not right._serving and not right._tasks


async def test_an_id_may_be_used_again_once_withdrawn_and_gets_the_answer_of_its_own_request() -> None:
    sent: list[bytes] = []
    gate = Gate()

    async def serve(request: rpc.Request) -> object:
        return await gate(request) if request.method == "slow" else request.method

    right = Channel(sent.append, serve=serve, name="right", max_bytes=ROOMY)
    right.feed(asked(7, "slow"))
    await soon(gate.asked.wait())
    right.feed(withdrawn(7))
    right.feed(asked(7, "quick"))
    await soon(gate.cancelled.wait())
    await asyncio.sleep(0)
    await soon(right.stop())
    assert [rpc.decode(frame) for frame in sent] == [rpc.Response(7, rpc.raw("quick"))]


async def test_an_end_that_stops_tells_those_whose_requests_just_came() -> None:
    sent: list[bytes] = []
    right = Channel(sent.append, serve=raising(AssertionError("served")), name="right", max_bytes=ROOMY)
    right.feed(asked(7, "x"))
    await soon(right.stop())
    assert [type(rpc.decode(frame)) for frame in sent] == [rpc.Refusal]


async def test_what_the_other_end_calls_a_request_adds_no_line_to_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "pctx_jupyter")
    left, _ = pair(left=echo)
    for id in ("1\n[E] forged", 2):
        left.feed(rpc.encode(rpc.Request(id, "x\n[E] forged\x1b[2J" * 100, None)))
    left.feed(rpc.encode(rpc.Notification("$/cancelRequest", rpc.raw({"id": "1\n[E] forged"}))))
    async with asyncio.timeout(SOON):
        while len(caplog.records) < 2:
            await asyncio.sleep(0)
    said = [record.getMessage() for record in caplog.records]
    assert all(text.isprintable() and len(text) < 400 for text in said)


async def test_a_neighbour_is_served_in_its_own_task_without_a_frame() -> None:
    async def whose(request: rpc.Request) -> object:
        return [request.method, asyncio.current_task() is here]

    here = asyncio.current_task()
    left, right = pair(left=whose)
    assert read(await left.serve(rpc.Request(0, "x"))) == ["x", True]
    assert read(await right.call("x")) == ["x", False]


async def test_a_neighbour_hears_errors_as_by_a_frame(caplog: pytest.LogCaptureFixture) -> None:
    for raised, heard in (
        (errors.ToolNotFound("none"), "none"),
        (RuntimeError("/home/secret"), "Internal error"),
        (OSError(errno.ENOSPC, "", "/home/secret"), "Cannot finish: the disk is full; delete files"),
    ):
        left, _ = pair(left=raising(raised))
        with pytest.raises(errors.PctxError) as refused:
            await left.serve(rpc.Request(0, "x"))
        assert refused.value.message == heard
    assert "/home/secret" in caplog.text


@pytest.mark.parametrize("end", [lambda left: left.stop(), lambda left: (left.close(), left.closed())[1]])
async def test_what_a_neighbour_waits_for_ends_with_the_channel(end: Callable[[Channel], Awaitable[None]]) -> None:
    gate = Gate()
    left, _ = pair(left=gate)
    neighbour = asyncio.ensure_future(left.serve(rpc.Request(0, "x")))
    await soon(gate.asked.wait())
    await soon(end(left))
    assert gate.cancelled.is_set()
    assert neighbour.cancelled()
    with pytest.raises(errors.ConnectionLost):
        await left.serve(rpc.Request(0, "x"))


async def test_an_end_that_stops_serves_nothing_that_comes_meanwhile() -> None:
    sent: list[bytes] = []
    served: list[str] = []
    leaving, may_leave = asyncio.Event(), asyncio.Event()

    async def serve(request: rpc.Request) -> object:
        served.append(request.method)
        try:
            await asyncio.Event().wait()
        finally:
            leaving.set()
            await may_leave.wait()

    right = Channel(sent.append, serve=serve, name="right", max_bytes=ROOMY)
    right.feed(asked(1, "first"))
    await asyncio.sleep(0)
    stopping = asyncio.ensure_future(right.stop())
    await soon(leaving.wait())
    for id in range(2, 20):
        right.feed(asked(id, "late"))
    assert [rpc.decode(frame).id for frame in sent if b"error" in frame] == list(range(2, 20))  # type: ignore[union-attr]
    assert all(b"nothing was done" in frame for frame in sent)
    may_leave.set()
    await soon(stopping)
    assert b"may or may not have been done" in sent[-1]
    assert served == ["first"] and right.is_closed


@pytest.mark.parametrize("end", [lambda right: right.stop(), lambda right: (right.close(), right.closed())[1]])
async def test_an_end_stops_though_a_request_does_not_end(
    monkeypatch: pytest.MonkeyPatch, end: Callable[[Channel], Awaitable[None]]
) -> None:
    monkeypatch.setattr(channel, "STOP_S", 0.05)
    may_end = asyncio.Event()

    async def stubborn(request: rpc.Request) -> object:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue
        return None

    right = Channel(lambda frame: None, serve=stubborn, name="right", max_bytes=ROOMY)
    right.feed(asked(1, "x"))
    await asyncio.sleep(0)
    await soon(end(right))
    assert right.is_closed
    may_end.set()
    await soon(right.closed())


async def test_a_lost_connection_is_a_new_exception_for_every_call() -> None:
    left, _ = pair(right=Gate())
    calls = [asyncio.ensure_future(left.call("slow")) for _ in range(3)]
    await asyncio.sleep(0)
    left.close(errors.ConnectionLost("gone"))
    calls += [asyncio.ensure_future(left.call("late")) for _ in range(3)]
    lost = await asyncio.gather(*calls, return_exceptions=True)
    assert len({id(error) for error in lost}) == 6
    for _ in range(100):
        with pytest.raises(errors.ConnectionLost, match="gone") as refused:
            await left.call("later")
    assert len(refused.traceback) < 10


async def test_what_is_to_be_done_at_the_end_is_done_at_once_after_it_and_does_not_stop_the_rest() -> None:
    def broken() -> None:
        raise RuntimeError("broken")

    left, _ = pair()
    done: list[str] = []
    left.on_close(lambda: done.append("first"))
    left.on_close(broken)
    left.on_close(lambda: done.append("second"))
    left.close()
    left.on_close(lambda: done.append("late"))
    left.close()
    assert done == ["first", "second", "late"]


async def test_a_request_is_served_in_a_later_turn_than_it_came_on_every_python() -> None:
    served: list[str] = []

    async def serve(request: rpc.Request) -> object:
        served.append(request.method)
        return None

    right = Channel(lambda frame: None, serve=serve, name="right", max_bytes=ROOMY)
    right.feed(asked(1, "x"))
    assert served == []
    await asyncio.sleep(0)
    assert served == ["x"]
