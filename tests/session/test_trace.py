"""Traces: from events to what is kept of an execution. No sandbox: the events are told."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref

import msgspec
import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.errors import Failure
from pctx_jupyter.program.result import (
    CallDecided,
    CallEnded,
    CallNoted,
    CallStarted,
    Emit,
    Event,
    Output,
    TypesChecked,
)
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc.channel import GONE
from pctx_jupyter.session import trace as traces
from pctx_jupyter.session.consent import Decision
from pctx_jupyter.session.execution import Execution, Job, ProgramStopped, ServeCall
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.session.trace import History, Recorder, Trace
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.tool import Tool

from ..fakes import FakeClock, FakeSandbox, read


def recorder(clock: FakeClock | None = None) -> Recorder:
    clock = clock or FakeClock()
    since = clock()
    trace = Trace(id="e", code="1", asked_by="cell", state="running", started_at=0.0)
    return Recorder(trace, lambda: clock() - since, lambda: None)


def test_a_call_under_way_has_no_end_and_then_has_one() -> None:
    one = recorder()
    one.record(CallStarted(1, "A.b", 0.1, 9, '{"n":1}'))
    one.record(CallNoted(1, "A.b", 0.2, "waits"))
    [call] = one.trace.calls
    assert (call.ended_s, call.note, call.arguments) == (None, "waits", '{"n":1}')
    one.record(CallEnded(1, "A.b", 0.3, 2, None, "42"))
    assert (call.ended_s, call.note, call.result, call.error) == (0.3, None, "42", None)


def test_the_console_keeps_its_levels() -> None:
    one = recorder()
    one.record(Output("stderr", "careful", "warn"))
    one.record(Output("stderr", "wrong"))
    assert [(line.text, line.level) for line in one.trace.console] == [("careful", "warn"), ("wrong", None)]


def test_a_call_that_failed_keeps_its_error_and_is_counted() -> None:
    one = recorder()
    one.record(CallStarted(1, "A.b", 0.1, 0))
    one.record(CallEnded(1, "A.b", 0.3, 0, "no such city"))
    assert (one.trace.calls[0].error, one.trace.failed_calls) == ("no such city", 1)


def test_of_very_many_calls_the_first_and_the_failed_are_kept() -> None:
    one = recorder()
    for call in range(1, 5001):
        one.record(CallStarted(call, "A.b", 0.1, 0))
        one.record(CallEnded(call, "A.b", 0.2, 0, "bad" if call == 4000 else None))
    calls = one.trace.calls
    assert (one.trace.calls_in_all, len(calls), calls[-1].call) == (5000, traces.MOST_CALLS + 1, 4000)


def test_all_calls_are_counted_by_tool_although_not_all_are_kept() -> None:
    one = recorder()
    one.record(CallStarted(1, "A.first", 0.0, 0))
    one.record(CallEnded(1, "A.first", 0.5, 0, None))
    for call in range(2, 5002, 2):
        one.record(CallStarted(call, "A.b", call / 10, 0))
        one.record(CallStarted(call + 1, "A.b", call / 10, 0))
        one.record(CallEnded(call, "A.b", call / 10 + 0.1, 0, None))
        one.record(CallEnded(call + 1, "A.b", call / 10 + 0.1, 0, None))
    assert one.trace.most_at_once == 2
    first, many = one.trace.tools
    assert (first.tool, first.calls, first.ended, first.total_s, first.most) == ("A.first", 1, 1, 0.5, 1)
    assert (many.tool, many.calls, many.ended, many.most, many.ended_s) == ("A.b", 5000, 5000, 2, 500.1)
    assert many.total_s == pytest.approx(500)


def test_a_call_has_the_times_at_which_its_waits_ended() -> None:
    one = recorder()
    for call in (1, 2, 3):
        one.record(CallStarted(call, "A.b", 0.1, 0))
    one.record(CallNoted(1, "A.b", 0.1, "waits for a person's consent in JupyterLab"))
    one.record(CallDecided(1, "A.b", 2.0, "allowed"))
    one.record(CallNoted(1, "A.b", 2.1, "waits: a cell of the notebook is running"))
    one.record(CallNoted(1, "A.b", 3.0, ""))
    one.record(CallDecided(2, "A.b", 0.1, "granted"))
    assert [(call.decided_s, call.begun_s, call.note) for call in one.trace.calls] == [
        (2.0, 3.0, None),
        (None, None, None),
        (None, None, None),
    ]


def test_a_trace_of_anything_stays_small() -> None:
    one = recorder()
    for call in range(1, 5001):
        one.record(CallStarted(call, "A.b" * 20, 0.1, 0, "x" * 500))
        one.record(Output("stdout", "y" * 1000))
        one.record(CallEnded(call, "A.b" * 20, 0.2, 0, "z" * 100_000 if call % 5 == 0 else None, "x" * 500))
    one.record(TypesChecked("failed", 0.1, "w" * 100_000))
    one.end("failed", value=rpc.raw("v" * 1_000_000), failure=Failure("Error", "m" * 1_000_000))
    assert one.trace.console_cut
    assert len(bytes(one.json())) < 300_000


def test_what_is_open_at_the_end_ends_with_it() -> None:
    clock = FakeClock()
    one = recorder(clock)
    one.record(CallStarted(1, "A.b", 0.0, 0))
    clock.now += 2
    one.end("stopped")
    assert (one.trace.calls[0].ended_s, one.trace.duration_s, one.trace.state) == (2, 2, "stopped")


def test_a_preview_ends_between_characters() -> None:
    assert traces.preview(Raw('"äöü"'.encode()), 4) == '"ä'


def test_history_forgets_the_oldest_but_none_that_runs() -> None:
    history = History(2)
    for id in ("a", "b", "c"):
        history.add(id, recorder())
    assert len(history) == 3
    for trace in history:
        trace.state = "ok"
    history.add("d", recorder())
    assert [history.get(id) is not None for id in ("a", "b", "c", "d")] == [False, False, True, True]
    assert [history.ordinal(id) for id in ("a", "b", "c", "d")] == [0, 0, 3, 4]


def test_a_run_that_was_interrupted_as_its_kernel_ended_is_cut_off_by_the_kernel() -> None:
    history = History(9)
    ended: dict[str, float] = {"long before": 10.0, "just before": 99.0, "elsewhere": 99.0, "unconnected": 99.0}
    for id, at in ended.items():
        one = recorder()
        one.trace.kernel_id, one.trace.started_at = "other" if id == "elsewhere" else "k", at
        one.end("stopped", stopped_by="connection" if id == "unconnected" else "caller")
        history.add(id, one)
    history.kernel_ended("k", 100.0, is_known=False)
    found = {id: trace.stopped_by for id in ended if (trace := history.get(id)) is not None}
    assert found == {
        "long before": "caller",
        "just before": "kernel",
        "elsewhere": "caller",
        "unconnected": "connection",
    }


def test_a_trace_that_has_ended_does_not_change() -> None:
    one = recorder()
    one.record(CallStarted(1, "A.b", 0.1, 0))
    one.end("stopped")
    before = msgspec.json.encode(one.trace)
    late = [
        CallEnded(1, "A.b", 0.5, 2, None, "42"),
        CallEnded(2, "A.b", 0.5, 2, "no"),
        CallStarted(3, "A.b", 0.5, 0),
        CallNoted(1, "A.b", 0.5, "waits"),
        CallDecided(1, "A.b", 0.5, "allowed"),
        Output("stdout", "late"),
        TypesChecked("passed", 0.5, None),
    ]
    for event in late:
        one.record(event)
    one.end("ok", value=Raw(b"1"))
    assert msgspec.json.encode(one.trace) == before


async def test_a_call_that_outlives_its_program_ends_quietly(caplog: pytest.LogCaptureFixture) -> None:
    release = asyncio.Event()
    events: list[Event] = []
    calls: list[asyncio.Task[Raw]] = []

    async def stubborn(call: Call) -> Raw:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                call.note("does not stop")
        return rpc.raw(1)

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        calls.append(asyncio.ensure_future(serve("Math.one", None)))
        await asyncio.sleep(0)
        return 1

    registry = Registry(FakeSandbox(act), Settings(), FakeClock())
    session = registry.open()
    session.register(Tool("math", "one"), stubborn)
    await session.execute("1", emit=events.append)
    seen, [trace] = len(events), list(registry.history)
    calls[0].cancel()
    await asyncio.sleep(0)
    release.set()
    assert read(await calls[0]) == 1
    assert len(events) == seen and trace.calls[0].result == "" and trace.calls[0].note is None
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_function_that_asks_for_the_end_of_a_program_that_is_over_is_called_at_once() -> None:
    ran: list[Execution] = []
    ended: list[str] = []
    await Registry(FakeSandbox(), Settings(), FakeClock()).open().execute("1", began=ran.append)
    ran[0].when_ended(lambda: ended.append("ended"))
    assert ended == ["ended"]


async def test_a_session_writes_down_what_its_programs_did() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        await serve("Math.one", Raw(b"{}"))
        emit(Output("stdout", "hello\n"))
        return [1, 2]

    async def one_(call: Call) -> Raw:
        return rpc.raw(1)

    registry = Registry(FakeSandbox(act), Settings(), FakeClock(), now=lambda: 1234.5)
    session = registry.open()
    session.register(Tool("math", "one"), one_)
    await session.execute("the code", execution_id="mine")
    [trace] = registry.history
    assert registry.history.get(trace.id) is trace
    assert session.id not in trace.id
    assert (trace.code, trace.state, trace.started_at, trace.result) == ("the code", "ok", 1234.5, "[1,2]")
    assert [(c.tool, c.result) for c in trace.calls] == [("Math.one", "1")]
    assert [line.text for line in trace.console] == ["hello\n"]
    assert msgspec.json.decode(msgspec.json.encode(trace), type=Trace) == trace


async def test_what_is_kept_of_a_program_does_not_keep_its_session_with_all_tools() -> None:
    registry = Registry(FakeSandbox(), Settings(), FakeClock())
    session = registry.open()
    await session.execute("1")
    watched = weakref.ref(session)
    registry.close(session)
    del session
    gc.collect()
    assert watched() is None and len(list(registry.history)) == 1


@pytest.mark.parametrize(("length", "is_cut"), [(traces.MOST_CODE, False), (traces.MOST_CODE + 1, True)])
async def test_of_a_long_program_the_beginning_is_kept_and_the_trace_says_so(length: int, is_cut: bool) -> None:
    registry = Registry(FakeSandbox(lambda *_: None), Settings(), FakeClock())
    await registry.open().execute("1;".ljust(length))
    [trace] = registry.history
    assert (len(trace.code), trace.code_cut) == (traces.MOST_CODE, is_cut)


@pytest.mark.parametrize(
    ("raised", "state", "by", "said"),
    [
        (ProgramStopped("LimitExceeded", "too much"), "stopped", "limit", "LimitExceeded: too much"),
        (ProgramStopped("SandboxEnded", "it was killed"), "stopped", "sandbox", "SandboxEnded: it was killed"),
        (errors.ExecutionTimeout(2), "stopped", "limit", "ExecutionTimeout: Cannot finish"),
        (errors.Busy("Cannot start"), "failed", None, "Busy: Cannot start"),
        (KeyError("a fault of ours"), "failed", None, "InternalError: internal error"),
    ],
)
async def test_whatever_ends_a_program_is_written_down_as_it_is(
    raised: Exception, state: str, by: str | None, said: str
) -> None:
    def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        raise raised

    registry = Registry(FakeSandbox(act), Settings(), FakeClock())
    with pytest.raises((errors.PctxError, KeyError)):
        await registry.open().execute("1")
    [trace] = registry.history
    assert trace.error is not None and f"{trace.error.name}: {trace.error.message}".startswith(said)
    assert (trace.state, trace.stopped_by, trace.has_failed) == (state, by, True)


async def test_a_call_that_a_fault_of_ours_ends_is_not_recorded_as_cut_off() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        return await serve("Math.one", None)

    async def broken(call: Call) -> Raw:
        raise KeyError("a fault of ours")

    registry = Registry(FakeSandbox(act), Settings(), FakeClock())
    session = registry.open()
    session.register(Tool("math", "one"), broken)
    with pytest.raises(KeyError):
        await session.execute("1")
    [trace] = registry.history
    assert (trace.calls[0].error, trace.failed_calls) == (traces.INTERNAL, 1)


@pytest.mark.parametrize(
    ("kernel_id", "reason", "by"),
    [(None, "", "caller"), ("k", "", "caller"), ("k", GONE, "connection"), (None, GONE, "connection")],
)
@pytest.mark.parametrize("is_noticed_first", [False, True])
async def test_a_cancelled_program_is_recorded_with_what_ended_it(
    kernel_id: str | None, reason: str, by: traces.StoppedBy, *, is_noticed_first: bool
) -> None:
    began = asyncio.Event()

    async def act(job: Job, serve: ServeCall, emit: Emit) -> Raw:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError("it never ends by itself")

    registry = Registry(act, Settings(), FakeClock())
    session = registry.open(kernel_id=kernel_id)
    run = asyncio.create_task(session.execute("1"))
    await began.wait()
    if is_noticed_first:
        registry.note_kernel("k", "restarted")
    run.cancel(*([reason] if reason else []))
    with pytest.raises(asyncio.CancelledError):
        await run
    [trace] = registry.history
    if not is_noticed_first:
        assert (trace.state, trace.stopped_by) == ("stopped", by)
        registry.note_kernel("k", "died")
    else:
        registry.close(session)
    assert trace.stopped_by == (by if kernel_id is None else "kernel")


def test_the_owner_of_a_tool_reads_why_the_host_stopped_a_program() -> None:
    one = recorder()
    one.record(CallStarted(1, "A.b", 0.1, 0))
    one.end("stopped", failure=Failure("ExecutionTimeout", "stopped after 1 s"), stopped_by="limit")
    error = traces.for_owner(one.trace, {1}).error
    assert error is not None and (error.name, error.message) == ("ExecutionTimeout", "stopped after 1 s")


async def test_watchers_are_told_of_changes_until_they_leave() -> None:
    registry = Registry(FakeSandbox(), Settings(), FakeClock())
    told: list[str] = []
    leave = registry.watchers.add(told.append)
    registry.watchers.add(lambda change: 1 / 0)  # a faulty one keeps nobody from hearing
    session = registry.open()
    await session.execute("1")
    assert set(told) == {"sessions", "executions"}
    leave()
    told.clear()
    registry.close(session)
    assert told == []


def guest(asked_by: traces.AskedBy, *tools: str) -> Trace:
    one = recorder()
    one.trace.asked_by = asked_by
    for call, tool in enumerate(tools, 1):
        one.record(CallStarted(call, tool, 0.1, 9, f'"to {tool}"'))
        one.record(CallEnded(call, tool, 0.2, 9, None, f'"from {tool}"'))
    one.record(Output("stdout", "printed"))
    one.end("failed", value=Raw(b'"returned"'), failure=Failure("thrown", "thrown"))
    return one.trace


@pytest.mark.parametrize("by", ["agent", "cell"])
def test_the_owner_of_a_tool_learns_nothing_of_what_others_tools_were_told_and_answered(by: traces.AskedBy) -> None:
    told = traces.for_owner(guest(by, "Mine.a", "Other.b"), {1})
    assert [(call.tool, call.arguments, call.result) for call in told.calls] == [
        ("Mine.a", '"to Mine.a"', '"from Mine.a"'),
        ("Other.b", "", ""),
    ]
    said = msgspec.json.encode(told)
    assert not any(word in said for word in (b"to Other", b"from Other", b"printed", b"returned", b"thrown"))


def test_an_agents_program_that_calls_one_notebook_alone_is_told_to_it_whole() -> None:
    trace = guest("agent", "Mine.a")
    assert traces.for_owner(trace, {1}) == trace
    assert traces.for_owner(guest("cell", "Mine.a"), {1}).console == []


@pytest.mark.parametrize(
    ("decision", "said"),
    [("denied", "a person denied it"), ("unanswered", "nobody answered"), ("forbidden", "the policy denies it")],
)
def test_the_owner_reads_that_a_call_was_denied_and_nothing_that_the_program_says(
    decision: Decision, said: str
) -> None:
    for message in (f"Cannot call Other.b: {said}", "a secret of another notebook"):
        one = recorder()
        one.trace.asked_by = "cell"
        one.record(CallStarted(1, "Other.b", 0.1, 9, '"secret"'))
        one.record(CallDecided(1, "Other.b", 0.2, decision))
        one.record(CallEnded(1, "Other.b", 0.2, 9, "secret", ""))
        one.end("failed", failure=Failure("Denied", message, 3))
        told = traces.for_owner(one.trace, set())
        assert told.error == traces.ErrorRecord("Denied", f"Cannot call Other.b: {said}", 3)
        assert [call.error for call in told.calls] == [said]
        assert b"secret" not in msgspec.json.encode(told)
        refused = traces.refused_call(one.trace)
        assert refused is not None and refused.decision == decision
    one = recorder()
    one.end("failed", failure=Failure("Denied", "a secret of another notebook"))
    assert traces.for_owner(one.trace, set()).error == traces.ErrorRecord("Error", traces.WITHHELD)
