"""One run of one program: what a sandbox is given, what it may do, and what its owner knows while it runs.

Who checks the program, and which tools it may call, a session decides; how it is run, a sandbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec
from msgspec import Raw

from ..errors import Failure, ToolTimeout
from ..program.kept import Prelude
from ..program.program import Program
from ..program.result import Emit, Event, Output, ValuesKept
from ..rpc.jsonrpc import Json
from ..rpc.sandbox_wire import ProgramFunction, Thrown
from ..settings import Limits
from ..tools import names
from ..tools.calls import AskedBy
from ..tools.tool import Tool
from .hold import Hold
from .meter import RunTraffic
from .policy import Then
from .spans import ExecutionSpan
from .trace import REFUSALS, Recorder, StoppedBy, TraceState, for_owner

CLIENT: ContextVar[str] = ContextVar("pctx client", default="")
"""Which of the clients that share a session makes a request: each has its own share of the places and of the queue.

It is set where a client's request arrives, in the task that serves it.
"""

AGENT: ContextVar[str] = ContextVar("pctx agent", default="")
"""The name that the client of an agent's request gives itself, such as ``Claude Code``; set like `CLIENT`."""

OWNER_KEY = "pctx.owner"
"""The key of an ASGI scope whose value says for whom a request is made: a token, or a user, as a hash."""


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
        patient: Paths of the tools whose calls are not held to `Limits.max_call_s` here: the code that serves them
            limits their time.
        hold: Stops the program's clock, and gives up its place, while its calls wait.
        places: Whether each call is to be served with the line of the program that makes it.
        session: Whose program it is, for a fair share of the places.
        is_interactive: Whether a person waits for it in a notebook.
        functions: What ``list_functions()`` returns; empty for a program that does not name it.
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
    session: str = ""
    is_interactive: bool = False
    functions: Sequence[ProgramFunction] = ()


class ServeCall(Protocol):
    """Serves a sandbox's call of a tool; cancelled when the call's time is up or the program is gone."""

    def __call__(self, path: str, arguments: Raw | None, stack: str = "", /) -> Awaitable[Raw]:
        """Serve it.

        Args:
            path: The tool's.
            arguments: JSON.
            stack: Where the program calls it from, as its sandbox says; "" unless `Job.places` asks for it.
        """


ProgramRunner = Callable[[Job, ServeCall, Emit], Awaitable[Raw]]
"""Runs one program and returns its value.

Raises `ProgramThrew` or `ProgramStopped` when it failed, `errors.ExecutionTimeout`, `errors.Busy` or
`errors.SandboxUnavailable` when it could not end or start. Cancelling it stops the program.
"""


class Sandboxes(Protocol):
    """Where programs run: in the pool of this machine, or on other machines."""

    async def run(self, job: Job, serve: ServeCall, emit: Emit) -> Raw:
        """Run one program: a `ProgramRunner`. When it ends, its calls have ended, and no event follows."""

    def status(self) -> dict[str, Json]:
        """Return how many sandboxes there are and in what state, and what is wrong, for people and metrics."""


class ProgramThrew(Exception):
    """The program threw, or is no TypeScript; `thrown` is what its sandbox says of it."""

    def __init__(self, thrown: Thrown) -> None:
        super().__init__(thrown.name)
        self.thrown = thrown


SANDBOX_ENDED = "SandboxEnded"
"""The name of a `ProgramStopped` whose sandbox ended, or was lost with its host; any other was stopped at a limit."""


class ProgramStopped(Exception):
    """The program was stopped at a limit, or its sandbox ended; the name and the message say which."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name, self.message = name, message


class StoppedByHand(Exception):
    """A person or another client stopped the program; the message says who."""


@dataclass(frozen=True, slots=True)
class CallTimes:
    """The time that one call of a tool may take, where the request to run a program says so.

    Args:
        default_s: Seconds, for the tools that are not in `by_tool`; None: as without a `CallTimes`.
        by_tool: Seconds by the id of a tool, ``namespace__name`` as it was registered. A tool of the default namespace
            also has its name alone as its id. Ids of no tool are ignored.
    """

    default_s: float | None = None
    by_tool: Mapping[str, float] = field(default_factory=dict)

    def of(self, tool: Tool) -> float | None:
        """Return the seconds that a call of a tool may take; None: the request does not say so."""
        found = self.by_tool.get(id_of(tool))
        if found is None and tool.first.namespace_name == names.DEFAULT_NAMESPACE:
            found = self.by_tool.get(tool.first.registered_name)
        return self.default_s if found is None else found

    @staticmethod
    def timeout(tool: Tool, seconds: float) -> ToolTimeout:
        """Return the error of a call that took longer than that."""
        message = f"Tool `{id_of(tool)}` timed out after {seconds:g}s; raise its time limit if it needs longer"
        return ToolTimeout(tool.path, seconds, message)


def id_of(tool: Tool) -> str:
    """Return the id that a tool has in `CallTimes`: ``namespace__name``, as it was registered."""
    return f"{tool.first.registered_namespace}__{tool.first.registered_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMade:
    """One call of a tool that has ended, whole: events and traces have only the beginning of its payloads.

    Args:
        number: Counts the execution's calls.
        arguments: JSON, as the tool received them; None: none.
        result: JSON; None: it has failed.
        error: Why it failed; None: it has not.
        started_s, ended_s: Seconds after the start of the execution.
        decision: What was decided about it; None: it was let pass by a rule.
    """

    number: int
    tool: Tool
    arguments: Raw | None
    result: Raw | None
    error: str | None
    started_s: float
    ended_s: float
    decision: str | None = None

    @property
    def outcome(self) -> Literal["ok", "failed", "refused"]:
        """How it ended; ``refused``: by the decision about it."""
        if self.error is None:
            return "ok"
        return "refused" if self.decision in REFUSALS else "failed"


Observe = Callable[[CallMade], None]
"""Receives each call of one execution when it has ended. Never blocks."""


StopExecution = Callable[[str], None]
"""Ends something that runs, soon; given why, for those who wait for it."""


@dataclass(slots=True)
class Execution:
    """One run of one program, while it runs.

    Args:
        key: Names it among the executions of all sessions; reveals nothing of its session.
        client: The fairness key: the session, or one of the clients that share it.
        stop: Ends it, while that can be done (`stoppable`).
        guarded: Paths of the tools whose calls were not simply let pass when it began: its sandbox sets them no time.
        revision: The `Scope.revision` of which that was true.
        granted: The tools that a person has allowed to it until it ends, by path.
        is_unattended: Whether a question about one of its calls went unanswered; then no more are asked.
        has_client: Whether the client that asked for it can ask its user about its calls.
        agent: The name that an agent's client gives itself.
        call_times: The time that calls of tools may take; None: as `limits` says.
        observe: Receives its calls when they have ended.
        differing: Paths of the tools of which a result differed from their declared type: its user knows of those.
        traffic: What its calls carry, for the meter.
        span: Its span; None: none is recorded.
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
    revision: int = -1
    hold: Hold = field(default_factory=Hold)
    granted: dict[str, Tool] = field(default_factory=dict)
    is_unattended: bool = False
    has_client: bool = False
    client: str = ""
    agent: str = ""
    call_times: CallTimes | None = None
    observe: Observe | None = None
    differing: set[str] = field(default_factory=set)
    span: ExecutionSpan | None = None
    stop: StopExecution | None = None
    calls: int = 0
    traffic: RunTraffic = field(default_factory=RunTraffic)
    left: ValuesKept | None = None
    value: Raw | None = None
    is_over: bool = False
    printed: dict[str, list[str]] = field(default_factory=lambda: {"stdout": [], "stderr": []})
    _when_ended: list[Callable[[], None]] = field(default_factory=list)

    @property
    def has_begun(self) -> bool:
        """Whether its program has had a place among those that run."""
        return self.hold.place is not None

    @property
    def call_s(self) -> float:
        """Seconds one call may take."""
        return self.limits.max_call_s

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Let others stop what the current task does in this block, and that only.

        Raises:
            StoppedByHand: Somebody called `stop`.
        """
        task = asyncio.current_task()
        assert task is not None, "programs run in tasks"
        reasons: list[str] = []

        def stop(why: str) -> None:
            if not reasons:
                reasons.append(why)
                task.cancel()

        self.stop = stop
        try:
            yield
        except asyncio.CancelledError:
            # Somebody may have cancelled the task as well: then that counts.
            if not reasons or task.uncancel() > 0:
                raise
            raise StoppedByHand(reasons[0]) from None
        finally:
            self.stop = None

    def publish(self, event: Event) -> None:
        """Keep what was printed, and what is left for later programs; pass every other event on.

        An event after the end, such as the end of a call that did not stop in time, is dropped.
        """
        if self.is_over:
            return
        if isinstance(event, ValuesKept):
            self.left = event
            return
        if isinstance(event, Output):
            self.printed[event.stream].append(event.text)
        self.recorder.record(event)
        self.emit(event)

    def output(self) -> dict[str, str]:
        """What was printed so far, by stream."""
        return {stream: "".join(texts) for stream, texts in self.printed.items()}

    def trace(self) -> Raw:
        """What is known of it so far, as JSON."""
        return self.recorder.json()

    def count_for(self, kernel_id: str) -> None:
        """Count a call of a tool that the notebook of this kernel offers."""
        self.recorder.count_for(kernel_id)

    @property
    def whose(self) -> str:
        """The name of the agent, or of the notebook, that runs it; empty: it has none."""
        return self.agent or self.recorder.now().notebook or ""

    def trace_for_owner(self, calls: Collection[int]) -> Raw:
        """What the owner of these calls, by number, may know of it so far, as JSON."""
        return Raw(msgspec.json.encode(for_owner(self.recorder.now(), calls)))

    def when_ended(self, act: Callable[[], None]) -> None:
        """Call a function once, when it is over; at once if it is over already."""
        if self.is_over:
            act()
        else:
            self._when_ended.append(act)

    def end(
        self,
        state: TraceState,
        *,
        value: Raw | None = None,
        failure: Failure | None = None,
        stopped_by: StoppedBy | None = None,
    ) -> None:
        """Record the outcome, drop all later events, and call the functions that `when_ended` was given."""
        self.is_over = True
        self.recorder.end(state, value=value, failure=failure, stopped_by=stopped_by)
        acts, self._when_ended = self._when_ended, []
        for act in acts:
            act()
