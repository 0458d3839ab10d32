"""A host that is lost at each message of a program in turn. Real engine and host, in memory; no sandboxes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import msgspec
import pytest
from msgspec import Raw

from pctx_jupyter.hosts import remote
from pctx_jupyter.hosts.fleet import HostFleet, open_fleet
from pctx_jupyter.hosts.host import HostEnd
from pctx_jupyter.hosts.messages import HELLO, WIRE, Hello
from pctx_jupyter.program.result import Emit, Event, Output, ValuesKept
from pctx_jupyter.rpc.channel import Channel
from pctx_jupyter.session.execution import Job, ProgramStopped, ServeCall
from pctx_jupyter.settings import Settings
from tests.fakes import SOON
from tests.sandbox.programs import job, until

ALL = 1_000


@dataclass
class Story:
    """What a program does, each time that a host runs it, and what the engine has seen of it."""

    acts: tuple[str, ...]
    times: int = 0
    under_way: int = 0
    most: int = 0
    """Programs that a host of this story ran at the same time, at most."""
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    """What the act "wait" waits for."""
    seen: list[tuple[str, int]] = field(default_factory=list)
    """Its calls and events, each with the number of the time."""
    is_over: bool = False

    async def run(self, given: Job, serve: ServeCall, emit: Emit) -> Raw:
        self.times += 1
        now = self.times
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            return await self._act(now, serve, emit)
        finally:
            self.under_way -= 1

    async def _act(self, now: int, serve: ServeCall, emit: Emit) -> Raw:
        for act in self.acts:
            match act:
                case "wait":
                    await self.goes_on.wait()
                case "call":
                    await serve("Test.echo", Raw(b"%d" % now))
                case "print":
                    emit(Output("stdout", f"{now}"))
                case "keep":
                    emit(ValuesKept({"time": Raw(b"%d" % now)}, {}))
        return Raw(b"%d" % now)

    async def serve(self, path: str, arguments: Raw | None, stack: str = "", /) -> Raw:
        assert not self.is_over and arguments is not None
        self.seen.append(("call", int(bytes(arguments))))
        await asyncio.sleep(0)
        return Raw(b"null")

    def emit(self, event: Event) -> None:
        assert not self.is_over
        match event:
            case Output(_, text):
                self.seen.append(("print", int(text)))
            case ValuesKept(values):
                self.seen.append(("keep", int(bytes(values["time"]))))


async def connect(
    fleet: HostFleet, story: Story, passes: int = ALL, is_valid: Callable[[], bool] = lambda: True, capacity: int = 1
) -> Channel:
    """Connect a host that is lost after so many messages that follow its hello, either way; returns its end."""
    loop, end, left = asyncio.get_running_loop(), HostEnd(), ALL
    end.accept(story.run)

    def carry(frame: bytes, other: str) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            loop.call_soon(ends[other].feed, frame)
        else:
            for one in ends.values():
                loop.call_soon(one.close)

    ends = {"engine": fleet.greet(lambda frame: carry(frame, "host"), is_valid).channel}
    ends["host"] = Channel(
        lambda frame: carry(frame, "engine"),
        serve=end.serve,
        on_notification=end.on_notification,
        name="host",
        max_bytes=1 << 20,
    )
    end.join(ends["host"])
    await ends["host"].call(HELLO, Hello("1", WIRE, 2, capacity))
    left = passes
    return ends["engine"]


@pytest.mark.parametrize("acts", [(), ("call",), ("print", "call"), ("call", "call", "print", "keep"), ("keep",)])
async def test_a_program_is_run_again_if_and_only_if_nothing_of_it_was_served_or_passed_on(
    acts: tuple[str, ...],
) -> None:
    passes, outcomes = 0, set[str]()
    while "ended" not in outcomes:
        story = Story(acts)
        async with open_fleet(Settings(sandboxes="hosts", max_queue_s=SOON), is_reachable=True) as fleet:
            await connect(fleet, story, passes)
            await connect(fleet, story)
            try:
                value = msgspec.json.decode(await fleet.run(job("1"), story.serve, story.emit))
            except ProgramStopped as stopped:
                calls = sum(kind == "call" for kind, _ in story.seen)
                assert story.seen and f"had made {calls or 'no'} tool call" in stopped.message
                outcomes.add("failed")
            else:
                assert ([kind for kind, _ in story.seen], value) == (list(acts), story.times)
                outcomes.add("ended" if len(fleet.hosts) == 2 else "run again")
            story.is_over = True
            assert len({time for _, time in story.seen}) <= 1
            assert not any(host.running for host in fleet.hosts)
        passes += 1
    assert outcomes == {"ended", "run again"} | ({"failed"} if acts else set())
    assert passes > len(acts) + 1


async def test_programs_of_a_lost_host_wait_until_another_one_has_a_free_place() -> None:
    lost, other = Story(("wait",)), Story(("wait",))
    async with open_fleet(Settings(sandboxes="hosts", max_queue_s=SOON), is_reachable=True) as fleet:
        jobs = [replace(job("1"), session=str(n), is_interactive=True) for n in range(4)]
        ends = [await connect(fleet, story, capacity=2) for story in (lost, other)]
        runs = [asyncio.ensure_future(fleet.run(one, lost.serve, lost.emit)) for one in jobs]
        await until(lambda: (lost.under_way, other.under_way) == (2, 2))
        ends[0].close()
        await until(lambda: fleet.status()["waiting"] == 2)
        assert (other.under_way, fleet.status()["running"]) == (2, 2)
        for story in (lost, other):
            story.goes_on.set()
        await asyncio.wait_for(asyncio.gather(*runs), SOON)
        assert (other.times, other.most) == (4, 2)


async def test_hosts_whose_token_was_replaced_are_passed_over_before_a_program_is_given_to_one() -> None:
    story = Story(("call",))
    async with open_fleet(Settings(sandboxes="hosts", max_queue_s=SOON), is_reachable=True) as fleet:
        for _ in range(2):
            await connect(fleet, story, is_valid=lambda: False)
        await connect(fleet, story)
        await fleet.run(job("1"), story.serve, story.emit)
        assert (len(fleet.hosts), story.times) == (1, 1)


async def test_an_idle_host_whose_token_was_replaced_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HELLO_S", "TOKEN_S"):
        monkeypatch.setattr(remote, name, 0.01)
    tokens = [True, True, False]
    async with open_fleet(Settings(sandboxes="hosts"), is_reachable=True) as fleet:
        await connect(fleet, Story(()), is_valid=lambda: tokens.pop(0))
        assert len(fleet.hosts) == 1
        await until(lambda: not fleet.status()["hosts"])
