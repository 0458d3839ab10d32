"""Sandbox hosts: what is lost with one, what is run again, and what a hostile one gets. Real sandboxes, real sockets.

The hostile host is a bare channel: it sends what its test says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.cli.doctor import _hosts
from pctx_jupyter.hosts import remote
from pctx_jupyter.hosts.fleet import HostFleet
from pctx_jupyter.hosts.host import HostEnd
from pctx_jupyter.hosts.messages import FAILED, HELLO, WIRE, Hello, JobFailed, JobStopped
from pctx_jupyter.program.result import Output
from pctx_jupyter.rpc import attached
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc.channel import Channel
from pctx_jupyter.session.execution import Job, ProgramStopped
from pctx_jupyter.settings import Limits
from tests.fakes import SOON
from tests.sandbox.programs import Host, HostLink, fleet_of, host_of, job, link, run, soon, until

# hosts that are lost


async def test_a_program_that_has_done_nothing_runs_again_on_another_host() -> None:
    async with fleet_of(2, capacity=1) as (fleet, links):
        running = asyncio.ensure_future(run(fleet, "await new Promise((done) => setTimeout(done, 500)); 7"))
        await until(lambda: any(one.end.running for one in links))
        next(one for one in links if one.end.running).cut()
        assert await soon(running) == 7
        assert len(fleet.hosts) == 1


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("await Test.echo(1); await Test.hang()", r"had made 2 tool calls by then, and was not run again"),
        ("await Test.hang()", r"had made 1 tool call by then, and was not run again"),
        ("console.log('here'); await new Promise(() => {})", "had made no tool calls by then; run it again"),
    ],
)
async def test_a_program_that_has_called_or_printed_is_never_run_again(code: str, why: str) -> None:
    async with fleet_of(2, capacity=1) as (fleet, links):
        host = Host()
        running = asyncio.ensure_future(run(fleet, code, host=host))
        await until(lambda: host.hung.is_set() or bool(host.events))
        next(one for one in links if one.end.running).cut()
        with pytest.raises(ProgramStopped, match=why) as stopped:
            await soon(running)
        await until(lambda: not any(one.end.running for one in links))  # it ends on its host, too
        assert stopped.value.name == "SandboxEnded"
        assert host.called == {0: [], 1: ["Test.hang"], 2: ["Test.echo", "Test.hang"]}[len(host.called)]
        assert host.cancelled == host.hung.is_set()


async def test_a_program_is_run_again_only_once() -> None:
    async with fleet_of(3, capacity=1) as (fleet, links):
        running = asyncio.ensure_future(run(fleet, "await new Promise(() => {})"))
        for _ in range(2):
            await until(lambda: any(one.end.running for one in links))
            lost = next(one for one in links if one.end.running)
            lost.cut()
            await until(lambda: not lost.end.running)  # noqa: B023 (awaited in the same turn)
        with pytest.raises(ProgramStopped, match="had made no tool calls by then; run it again"):
            await soon(running)


async def _slow(given: Job, serve: Any, emit: Any) -> Raw:
    """What a host does with a program here: it takes a moment, and returns the text."""
    async with given.hold.time_limit(SOON):
        await asyncio.sleep(0.01)
    return Raw(msgspec.json.encode(given.program.text.strip()))


async def test_many_programs_of_many_sessions_all_end_while_hosts_come_and_go() -> None:
    def computes_nothing(one: HostLink) -> HostLink:
        one.end._run = asyncio.get_running_loop().create_future()
        one.end.accept(_slow)
        return one

    async with fleet_of(2, capacity=4, max_queue_s=4 * SOON, max_running_per_session=2) as (fleet, links):
        for one in links:
            computes_nothing(one)
        jobs = [replace(job(f"{n}"), session=str(n % 20)) for n in range(200)]
        running = [asyncio.ensure_future(fleet.run(one, Host().serve, print)) for one in jobs]
        await until(lambda: sum(one.done() for one in running) > 20)
        async with host_of(fleet, 4) as late:
            computes_nothing(late)
            links[0].cut()
            found = await asyncio.wait_for(asyncio.gather(*running), 4 * SOON)
        assert [str(n) in bytes(one).decode() for n, one in enumerate(found)] == [True] * 200


async def test_programs_wait_for_a_host_that_comes_later() -> None:
    async with fleet_of(0) as (fleet, _):
        waiting = [asyncio.ensure_future(run(fleet, f"{n}")) for n in range(3)]
        await until(lambda: fleet.status()["waiting"] == 3)
        async with host_of(fleet, 1):
            assert await asyncio.gather(*waiting) == [0, 1, 2]


async def test_without_a_host_programs_are_refused_or_run_here_as_it_is_set() -> None:
    async with fleet_of(0, max_queue_s=0.05) as (fleet, _):
        with pytest.raises(errors.SandboxUnavailable, match=r"no sandbox host has connected within 0\.05 s"):
            await run(fleet, "1")
        assert "no sandbox host is connected" in str(fleet.status()["trouble"])
    async with fleet_of(0, fallback="here") as (fleet, _):
        assert await run(fleet, "await Test.echo(4)") == 4
        async with host_of(fleet, 1) as host:
            host.end._run = asyncio.get_running_loop().create_future()
            host.end.accept(_never)
            running = asyncio.ensure_future(run(fleet, "5"))
            await until(lambda: host.end.running == 1)
            host.cut()
            assert await soon(running) == 5


async def _never(*given: Any) -> Raw:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_host_that_leaves_takes_no_more_programs_and_ends_those_it_has() -> None:
    async with fleet_of(1, capacity=2) as (fleet, (leaving,)):
        host = Host()
        running = asyncio.ensure_future(
            run(fleet, "await Test.echo(1); await new Promise((r) => setTimeout(r, 300)); 3", host=host)
        )
        await until(lambda: bool(host.called))
        assert leaving.channel is not None
        leaving.channel.notify("leaving")
        await until(lambda: not fleet.hosts)
        status: Any = fleet.status()
        assert [(host["running"], host["leaving"]) for host in status["hosts"]] == [(1, True)]
        assert "take no more programs" in status["trouble"]
        (shown,) = _hosts("Server", status["hosts"])
        assert shown.state == "note" and "(1 of 2 run, takes no more)" in shown.says
        assert await soon(running) == 3
        leaving.cut()
        await until(lambda: not fleet.status()["hosts"])


async def test_a_program_that_waits_for_a_person_gives_its_place_and_its_clock_stands_still() -> None:
    async with fleet_of(1, capacity=1, max_queue_s=SOON) as (fleet, _):
        asked, allowed = asyncio.Event(), asyncio.Event()
        slow = job("await Test.echo(1)", Limits(timeout_s=1.0))

        async def serve(path: str, arguments: Raw | None, stack: str = "", /) -> Raw:
            slow.hold.begin_call()
            async with slow.hold.waiting():
                asked.set()
                await allowed.wait()
            slow.hold.end_call()
            return Raw(b"2")

        waiting = asyncio.ensure_future(fleet.run(slow, serve, print))
        await soon(asked.wait())
        assert await run(fleet, "1 + 1") == 2  # the only place is free meanwhile
        await asyncio.sleep(1.1)  # beyond its limit: the clock of the host has to stand still
        allowed.set()
        assert bytes(await soon(waiting)) == b"2"


# hostile hosts

Said = Callable[[rpc.Request], Any]


@asynccontextmanager
async def hostile(fleet: HostFleet, act: Said) -> AsyncIterator[HostLink]:
    """A host that does with a program what its test says."""

    class Bad(HostEnd):
        async def serve(self, request: rpc.Request) -> object:
            return await act(request)

    made = await link(fleet, Bad(), 1 << 26)
    assert made.channel is not None
    await made.channel.call(HELLO, Hello("1", WIRE, 2, 1, name="bad\nhost\x1b[2J"))
    try:
        yield made
    finally:
        for pipe in made.pipes:
            pipe.close()
        await asyncio.wait([pipe.gone for pipe in made.pipes])


def number(request: rpc.Request) -> int:
    return int(msgspec.json.decode(request.params or b"{}")["run"])


async def against(act: Callable[[Channel, rpc.Request], Any], code: str = "1", **settings: Any) -> tuple[Host, Any]:
    """What a program on a hostile host ends with, and what it has done."""
    host = Host()
    limits = settings.pop("limits", Limits())
    async with fleet_of(0, **({"max_queue_s": 0.5} | settings)) as (fleet, _):
        ends: list[HostLink] = []

        async def serve(request: rpc.Request) -> object:
            channel = ends[0].channel
            assert channel is not None
            return await act(channel, request)

        async with hostile(fleet, serve) as made:
            ends.append(made)
            try:
                outcome: Any = await run(fleet, code, limits, host)
            except (errors.PctxError, ProgramStopped) as error:
                outcome = error
    return host, outcome


async def test_a_host_cannot_call_for_a_run_that_it_was_not_given() -> None:
    refusals: list[Exception] = []

    async def act(channel: Channel, request: rpc.Request) -> object:
        for foreign in (number(request) + 1, 0, -1):
            with pytest.raises(errors.PctxError) as refused:
                await channel.call("call", {"run": foreign, "name": "Test.echo"})
            refusals.append(refused.value)
        return 1

    host, outcome = await against(act)
    assert (host.called, outcome, len(refusals)) == ([], 1, 3)
    assert all(isinstance(one, errors.Cancelled) for one in refusals)


async def test_a_host_cannot_call_or_print_after_the_end_of_a_program_nor_call_what_is_not_offered() -> None:
    async with fleet_of(0) as (fleet, _):
        ends: list[HostLink] = []

        async def act(request: rpc.Request) -> object:
            assert ends[0].channel is not None
            with pytest.raises(errors.ToolNotFound):
                await ends[0].channel.call("call", {"run": number(request), "name": "Os.exit"})
            return number(request)

        host = Host()
        async with hostile(fleet, act) as made:
            ends.append(made)
            ended = await run(fleet, "1", host=host)
            assert made.channel is not None
            made.channel.notify("output", {"run": ended, "stream": "stdout", "text": "late"})
            with pytest.raises(errors.Cancelled, match="its program is over"):
                await made.channel.call("call", {"run": ended, "name": "Test.echo"})
            assert (host.called, host.events, len(fleet.hosts)) == (["Os.exit"], [], 1)


async def test_a_host_cannot_make_more_calls_than_the_limit() -> None:
    async def act(channel: Channel, request: rpc.Request) -> object:
        calls = (channel.call("call", {"run": number(request), "name": "Test.echo"}) for _ in range(50))
        await asyncio.gather(*calls, return_exceptions=True)
        return 1

    host, outcome = await against(act, limits=Limits(max_calls=5))
    assert "more than 5 tool calls" in str(outcome) and len(host.called) <= 5


async def test_a_host_has_no_more_calls_in_flight_than_the_limit() -> None:
    async def act(channel: Channel, request: rpc.Request) -> object:
        calls = (channel.call("call", {"run": number(request), "name": "Test.echo"}) for _ in range(50))
        await asyncio.gather(*calls)
        return 1

    host, outcome = await against(act, limits=Limits(max_calls_in_flight=3))
    assert (outcome, len(host.called)) == (1, 50) and host.most_at_once <= 3


async def test_the_arguments_of_the_calls_that_a_host_has_in_flight_are_bounded_together() -> None:
    async def act(channel: Channel, request: rpc.Request) -> object:
        asked = {"run": number(request), "name": "Test.hang", "arguments": "x" * 900}
        await asyncio.gather(*(channel.call("call", asked) for _ in range(50)), return_exceptions=True)
        return 1

    host, outcome = await against(act, limits=Limits(max_result_bytes=1000))
    assert "the arguments of its open calls" in str(outcome) and len(host.called) <= 4


async def test_results_that_a_host_does_not_read_stop_its_program() -> None:
    async with fleet_of(0) as (fleet, _):
        ends: list[HostLink] = []

        async def act(request: rpc.Request) -> object:
            channel = ends[0].channel
            assert channel is not None
            asked = {"run": number(request), "name": "Test.big"}
            calls = [asyncio.create_task(channel.call("call", asked)) for _ in range(50)]
            await asyncio.sleep(0)
            ends[0].stop_reading()
            await asyncio.wait(calls)
            return None

        async with hostile(fleet, act) as made:
            ends.append(made)
            with pytest.raises(ProgramStopped, match="more than 8 MB of answers to its tool calls wait to be read"):
                await run(fleet, "1", Limits(max_memory_mb=8))


async def test_a_host_cannot_print_or_return_more_than_the_limits() -> None:
    async def act(channel: Channel, request: rpc.Request) -> object:
        for _ in range(50):
            channel.notify("output", {"run": number(request), "stream": "stdout", "text": "x" * 100})
            channel.notify("output", {"run": number(request), "stream": "stdout", "text": ""})
            channel.notify("display", {"run": number(request), "data": {"text/plain": "x" * 100}})
        return "x" * 2000

    limits = Limits(max_output_bytes=1000, max_display_bytes=1000, max_result_bytes=1000)
    host, outcome = await against(act, limits=limits)
    assert "its value has more than 1,000 bytes" in str(outcome)
    assert 1000 <= len(host.printed()) <= 1200 and len(host.events) <= 11 + 4


async def test_a_call_that_a_host_does_not_end_is_ended_by_the_engine() -> None:
    async def act(channel: Channel, request: rpc.Request) -> object:
        with pytest.raises(errors.Timeout):
            await channel.call("call", {"run": number(request), "name": "Test.hang"})
        return 1

    host, outcome = await against(act, limits=Limits(max_call_s=0.05))
    assert (outcome, host.cancelled) == (1, 1)


async def test_a_host_that_does_not_start_or_end_a_program_does_not_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "SLACK_S", 0.1)

    async def silent(channel: Channel, request: rpc.Request) -> object:
        return await asyncio.Event().wait()

    async def begins(channel: Channel, request: rpc.Request) -> object:
        channel.notify("began", {"run": number(request)})
        return await asyncio.Event().wait()

    _, outcome = await against(silent)
    assert isinstance(outcome, errors.Busy)
    _, outcome = await against(begins, limits=Limits(timeout_s=0.1))
    assert isinstance(outcome, errors.ExecutionTimeout)


@pytest.mark.parametrize(
    "answer",
    [
        attached.attach("bytes", b"[]"),
        *(
            {},
            [],
            7,
            {"thrown": 1},
            {"stopped": {"name": "Fine", "message": ""}},
            {"stopped": {"name": "LimitExceeded"}},
        ),
    ],
)
async def test_an_outcome_that_cannot_be_read_disconnects_the_host(answer: Any) -> None:
    async def act(channel: Channel, request: rpc.Request) -> object:
        if isinstance(answer, Raw):
            return answer
        raise errors.Remote(FAILED, "", answer)

    _, outcome = await against(act)
    assert isinstance(outcome, errors.SandboxUnavailable), outcome  # it would have run elsewhere, were there a host


@pytest.mark.parametrize(
    ("method", "params"),
    [("output", {"run": 1}), ("output", {"run": 1, "stream": "stdin", "text": ""}), ("kept", []), ("nothing", None)],
)
async def test_a_notification_that_is_none_disconnects_the_host(method: str, params: Any) -> None:
    async def act(channel: Channel, request: rpc.Request) -> object:
        channel.notify(method, params)
        return await asyncio.Event().wait()

    _, outcome = await against(act)
    assert isinstance(outcome, errors.SandboxUnavailable), outcome


async def test_what_a_host_says_cannot_break_a_line_nor_command_a_terminal() -> None:
    async def act(channel: Channel, request: rpc.Request) -> object:
        raise JobFailed(stopped=JobStopped("LimitExceeded", "too much\n\x1b[2J" + "x" * 100_000)).error()

    _, outcome = await against(act)
    assert isinstance(outcome, ProgramStopped)
    assert len(outcome.message) <= 2_000 and not {"\n", "\x1b"} & {*outcome.message}
    async with fleet_of(0) as (fleet, _), hostile(fleet, _never):
        (host,) = fleet.hosts
        assert not {"\n", "\x1b"} & {*str(host.status()["name"])}


async def test_a_second_answer_and_answers_to_nothing_do_not_count() -> None:
    async with fleet_of(0) as (fleet, _):
        frames: list[HostLink] = []

        async def act(request: rpc.Request) -> object:
            for value in (1, 2):
                answer = {"jsonrpc": "2.0", "id": request.id, "result": value}
                frames[0].pipes[-1].send(msgspec.json.encode(answer))
            frames[0].pipes[-1].send(msgspec.json.encode({"jsonrpc": "2.0", "id": 99, "result": 3}))
            return 4

        async with hostile(fleet, act) as made:
            frames.append(made)
            assert await run(fleet, "1") == 1
            assert await run(fleet, "1") == 1
            assert len(fleet.hosts) == 1


async def test_a_host_that_says_nothing_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "HELLO_S", 0.05)
    async with fleet_of(0) as (fleet, _):
        made = await link(fleet, HostEnd(), 1 << 20)
        await asyncio.wait([pipe.gone for pipe in made.pipes], timeout=SOON)
        assert all(pipe.gone.done() for pipe in made.pipes) and not fleet.hosts


async def test_two_sessions_share_all_hosts_fairly() -> None:
    async with fleet_of(2, capacity=2, max_queue_s=4 * SOON) as (fleet, links):
        greedy = [Host() for _ in range(6)]
        queued = [
            asyncio.ensure_future(fleet.run(replace(job("await Test.hang()"), session="greedy"), one.serve, print))
            for one in greedy
        ]
        await until(lambda: sum(one.hung.is_set() for one in greedy) == 2)
        assert sorted(one.end.running for one in links) == [1, 1]
        events: list[Any] = []
        other = replace(job("console.log(1); 2"), session="other")
        assert bytes(await soon(fleet.run(other, Host().serve, events.append))) == b"2"
        assert events == [Output("stdout", "1\n")]
        for one in queued:
            one.cancel()
        await asyncio.wait(queued)
