"""One run of one program: what a sandbox is given, what it may do, and what its owner knows while it runs.

Who checks the program, and which tools it may call, a session decides; how it is run, a sandbox.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from msgspec import Raw

from ..errors import Failure
from ..program.kept import Prelude
from ..program.program import Program
from ..program.result import Emit, Event, Kept, Output
from ..rpc.wire import Thrown
from ..settings import Limits
from ..tools.catalog import AskedBy
from .approvals import Then
from .trace import Recorder, State, for_owner


class Place(Protocol):
    """A program's place among those that run at the same time."""

    def give_up(self) -> None:
        """Let another program have it; does nothing without one."""

    async def take(self) -> None:
        """Wait for one again, before programs that have not begun; returns at once with one."""


class Hold:
    """What a program does without while a person is asked about its calls: its wall clock, and its place.

    The clock stands still while any call waits for a person. The place is given up while every open call does, and
    taken again before one of them, or a new one, goes on.

    Attributes:
        changed: Called with whether the clock is held, whenever that changes. The code that runs the program sets it.
        place: The program's place; None: it needs none.
    """

    __slots__ = ("_calls", "_holders", "_waiting", "changed", "is_without_place", "place")

    def __init__(self) -> None:
        self._calls = self._waiting = self._holders = 0
        self.is_without_place = False
        self.changed: Callable[[bool], None] = lambda is_held: None
        self.place: Place | None = None

    def begin_call(self) -> None:
        """The program has one more open call."""
        self._calls += 1

    def end_call(self) -> None:
        """The program has one open call less."""
        self._calls -= 1
        self._settle()

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Have an open call wait for a person in the block; it leaves the block with a place for the program."""
        self._holders += 1
        if self._holders == 1:
            self.changed(True)
        try:
            self._waiting += 1
            try:
                self._settle()
                yield
            finally:
                self._waiting -= 1
            await self.take_place()
        finally:
            self._holders -= 1
            if self._holders == 0:
                self.changed(False)

    async def take_place(self) -> None:
        """Wait until the program has a place."""
        if self.place is not None:
            await self.place.take()
        self.is_without_place = False

    def _settle(self) -> None:
        if self._waiting and self._waiting == self._calls and not self.is_without_place:
            self.is_without_place = True
            if self.place is not None:
                self.place.give_up()


@dataclass(frozen=True, slots=True)
class Job:
    """All that one sandbox needs to know of one execution.

    Args:
        execution_id: Begins its log lines.
        program: The text to run.
        namespaces: The objects a program finds: global → property → tool path.
        inputs: Constants given to the program, as JSON.
        limits: What it may use.
        prelude: What earlier programs left for it.
        patient: Paths of the tools whose calls are not held to `Limits.call_s` here: whoever serves them does that.
        hold: Stops `Limits.timeout_s`, and gives up the program's place, for a while.
        places: Whether each call is to be served with the place of the program that makes it.
    """

    execution_id: str
    program: Program
    namespaces: Mapping[str, Mapping[str, str]]
    inputs: Mapping[str, Raw]
    limits: Limits
    prelude: tuple[Prelude, ...] = ()
    patient: frozenset[str] = frozenset()
    hold: Hold = field(default_factory=Hold)
    places: bool = False


class ServeCall(Protocol):
    """Serves a sandbox's call of a tool; cancelled when the call's time is up or the program is gone."""

    def __call__(self, path: str, arguments: Raw | None, stack: str = "", /) -> Awaitable[Raw]:
        """Serve it.

        Args:
            path: The tool's.
            arguments: JSON.
            stack: Where the program calls it from, as its sandbox says; "" unless `Job.places` asks for it.
        """


Run = Callable[[Job, ServeCall, Emit], Awaitable[Raw]]
"""Runs one program and returns its value.

Raises `ProgramThrew` or `ProgramStopped` when it failed, `errors.ExecutionTimeout`, `errors.Busy` or
`errors.SandboxUnavailable` when it could not end or start. Cancelling it stops the program.
"""


class ProgramThrew(Exception):
    """The program threw, or is no TypeScript; `thrown` is what its sandbox says of it."""

    def __init__(self, thrown: Thrown) -> None:
        super().__init__(thrown.name)
        self.thrown = thrown


class ProgramStopped(Exception):
    """The program was stopped at a limit, or its sandbox ended; the message says which."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name, self.message = name, message


class StoppedByHand(Exception):
    """The program was stopped by somebody who could; says by whom."""


Stop = Callable[[str], None]
"""Ends something that runs, soon; given why, for those who wait for it."""

Stoppable = Callable[["Execution"], AbstractContextManager[None]]
"""Gives an execution its `stop` while the block runs, which then ends with `StoppedByHand`."""


def unstoppable(execution: Execution) -> AbstractContextManager[None]:
    """A `Stoppable` that gives no way to stop it."""
    return nullcontext()


@dataclass(slots=True)
class Execution:
    """One run of one program, while it runs.

    Args:
        key: Names it among the executions of all sessions; tells nothing of its session.
        stop: Ends it, while that can be done.
        guarded: Paths of the tools whose calls were not simply let pass when it began: its sandbox sets them no time.
        is_unattended: Whether nobody has answered a question of it: then nobody is asked again.
        has_client: Whether the client that asked for it can ask its user about its calls.
    """

    id: str
    key: str
    code: str
    asked_by: AskedBy
    limits: Limits
    offered: frozenset[str]
    emit: Emit
    started_at: float
    recorder: Recorder
    guarded: Mapping[str, Then] = field(default_factory=dict)
    hold: Hold = field(default_factory=Hold)
    is_unattended: bool = False
    has_client: bool = False
    stop: Stop | None = None
    calls: int = 0
    left: Kept | None = None
    printed: dict[str, list[str]] = field(default_factory=lambda: {"stdout": [], "stderr": []})
    _when_ended: list[Callable[[], None]] = field(default_factory=list)

    @property
    def call_s(self) -> float:
        """Seconds one call may take."""
        return self.limits.max_call_s

    def hear(self, event: Event) -> None:
        """Keep what was printed, and what is left for later programs; pass every other event on."""
        if isinstance(event, Kept):
            self.left = event
            return
        if isinstance(event, Output):
            self.printed[event.stream].append(event.text)
        self.recorder.hear(event)
        self.emit(event)

    def output(self) -> dict[str, str]:
        """What was printed so far, by stream."""
        return {stream: "".join(texts) for stream, texts in self.printed.items()}

    def trace(self) -> Raw:
        """What is known of it so far, as JSON."""
        return self.recorder.json()

    def trace_for_owner(self, calls: Collection[int]) -> Raw:
        """What the owner of these calls, by number, may know of it so far, as JSON."""
        return Raw(msgspec.json.encode(for_owner(self.recorder.now(), calls)))

    def when_ended(self, act: Callable[[], None]) -> None:
        """Have a function called once, when it is over."""
        self._when_ended.append(act)

    def end(self, state: State, *, value: Raw | None = None, failure: Failure | None = None) -> None:
        """It is over: say so to those who wait for that."""
        self.recorder.end(state, value=value, failure=failure)
        acts, self._when_ended = self._when_ended, []
        for act in acts:
            act()
