"""Sessions: a catalog of tools each, executions, limits, expiry. No connection, no process, no clock of its own.

A session is handed what it needs as plain functions: who runs a program, who serves a tool, who hears the events. So
two lambdas test it, and any pipe carries it. Identical names and ids in different sessions never meet.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Raw

from . import check as checks
from . import diagnostics, errors, kept, names, typegen
from . import inputs as input_types
from .check import Check, Checked, CheckJob, Unchecked, Verdict
from .editor import Editor
from .jsonrpc import NULL
from .kept import Prelude, Survey
from .program import Program, prepare
from .result import CallEnded, CallStarted, Emit, Event, Failure, Kept, Output, Result
from .settings import Limits, Settings
from .tools import Call, Catalog, Serve, Tool, globals_of
from .wire import Thrown

log = logging.getLogger(__name__)

Clock = Callable[[], float]
"""Monotonic seconds."""


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
    """

    execution_id: str
    program: Program
    namespaces: Mapping[str, Mapping[str, str]]
    inputs: Mapping[str, Raw]
    limits: Limits
    prelude: tuple[Prelude, ...] = ()


ServeCall = Callable[[str, Raw | None], Awaitable[Raw]]
"""Serves a sandbox's call of the tool with this path; cancelled when the call's time is up or the program is gone."""

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


@dataclass(slots=True)
class Execution:
    """One run of one program, while it runs."""

    id: str
    code: str
    limits: Limits
    offered: frozenset[str]
    emit: Emit
    started_at: float
    calls: int = 0
    left: Kept | None = None
    printed: dict[str, list[str]] = field(default_factory=lambda: {"stdout": [], "stderr": []})

    def hear(self, event: Event) -> None:
        """Keep what was printed, and what is left for later programs; pass every other event on."""
        if isinstance(event, Kept):
            self.left = event
            return
        if isinstance(event, Output):
            self.printed[event.stream].append(event.text)
        self.emit(event)

    def output(self) -> dict[str, str]:
        """What was printed so far, by stream."""
        return {stream: "".join(texts) for stream, texts in self.printed.items()}


class Session:
    """One client's tools and executions.

    Args:
        id: Unguessable, for it names state.
        run: Runs a program.
        settings: Limits and sizes.
        clock: Monotonic seconds.
        check: Checks a program's types; None: nobody does.
        editor: Knows what editors ask; None: nobody does.
        kernel_id: The kernel whose session it is; None: no kernel's, or its client has not said so.
    """

    def __init__(
        self,
        id: str,
        run: Run,
        settings: Settings,
        clock: Clock,
        check: Check | None = None,
        editor: Editor | None = None,
        kernel_id: str | None = None,
    ) -> None:
        self.id, self.kernel_id, self.editor = id, kernel_id, editor
        self.catalog = Catalog(limit=settings.tools)
        self.kept = kept.Kept(settings.kept, settings.kept_bytes)
        """What its programs left for later ones."""
        self.executions: dict[str, Execution] = {}
        self.is_attached = False
        """Whether a connection keeps it open; then it does not expire."""
        self.used_at = clock()
        self._run, self._settings, self._clock, self._check = run, settings, clock, check
        self._declared: tuple[frozenset[str], str] = frozenset(), ""

    @property
    def settings(self) -> Settings:
        """Limits and sizes."""
        return self._settings

    @property
    def check(self) -> Check | None:
        """Checks a program's types; None: nobody does."""
        return self._check

    def register(self, tool: Tool, serve: Serve, *, replace: bool = False) -> None:
        """Offer a tool to this session's programs; raises what `Catalog.add` raises."""
        self.used_at = self._clock()
        self.catalog.add(tool, serve, replace=replace)
        log.info("session %s = offers %s", self.id[:8], tool.path)

    async def execute(
        self,
        code: str,
        *,
        timeout_s: float | None = None,
        typecheck: bool | None = None,
        tools: list[str] | None = None,
        inputs: Mapping[str, Raw] | None = None,
        execution_id: str | None = None,
        keep: bool | None = None,
        emit: Emit = lambda event: None,
    ) -> Result:
        """Run one program and return its result.

        Args:
            code: TypeScript or JavaScript, as the user wrote it.
            timeout_s: Wall clock it may take; None: the default.
            typecheck: Whether its types are checked first; None: as the settings say.
            tools: Patterns of the tools it may call (``Sales.*``); None: all of the session.
            inputs: Constants it finds, JSON by name.
            execution_id: The caller's name for this execution; None: one is made.
            keep: Whether later programs find what it has at its top level; None: they find what it exports.
            emit: Hears its events as they happen, all of them before this returns.

        Raises:
            ExecutionFailed: The program failed; `LimitExceeded` when it was stopped at a limit, `TypesWrong` when its
                types were wrong and it did not run.
            ExecutionTimeout: It ran too long.
            InvalidParams, ToolNotFound: The request is wrong; nothing ran.
            Busy, SandboxUnavailable: It could not start.
        """
        inputs = inputs or {}
        self._validate(code, timeout_s, inputs, execution_id)
        offered = self.catalog.matching(tools)
        namespaces = globals_of(offered)
        if hidden := namespaces.keys() & inputs.keys():
            raise errors.InvalidParams(f"Cannot pass in {min(hidden)}: a namespace of tools has that name")
        if hidden := namespaces.keys() & self.kept.names:
            name = min(hidden)
            raise errors.InvalidParams(
                f"Cannot run program: {name} is kept from an earlier program, and a namespace of tools has that name; "
                f"%pctx forget {name}"
            )
        program = prepare(code)
        survey = kept.survey(program.code, keep, namespaces.keys())
        if survey is not None:
            program = program.keeping(survey.constants)
        execution = Execution(
            id=execution_id or secrets.token_urlsafe(16),
            code=code,
            limits=self._settings.limits_for(timeout_s),
            offered=frozenset(tool.path for tool in offered),
            emit=emit,
            started_at=self._clock(),
        )
        job = Job(execution.id, program, namespaces, inputs, execution.limits, self.kept.preludes())
        self.executions[execution.id] = execution
        try:
            checked = await self._check_types(code, offered, inputs, typecheck, survey)
            value = await self._run(job, lambda path, arguments: self._call(execution, path, arguments), execution.hear)
        except ProgramThrew as error:
            failure = diagnostics.failure(error.thrown, job.program)
            raise errors.ExecutionFailed(failure, **execution.output()) from None
        except ProgramStopped as error:
            failure = Failure(error.name, error.message)
            raise errors.LimitExceeded(failure, **execution.output()) from None
        except errors.ExecutionTimeout as error:
            raise errors.ExecutionTimeout(error.seconds, **execution.output()) from None
        finally:
            del self.executions[execution.id]
            self.used_at = self._clock()
        names_kept, unkept = ([], {}) if survey is None else self._keep(survey, execution.left, checked)
        return Result(
            execution.id,
            value,
            **execution.output(),
            duration_s=self._clock() - execution.started_at,
            unchecked=checked.reason if isinstance(checked, Unchecked) else None,
            kept=tuple(names_kept),
            unkept=unkept,
        )

    def _keep(self, survey: Survey, left: Kept | None, checked: Verdict | None) -> tuple[list[str], dict[str, str]]:
        """Keep what a program has left; returns the names, and why others are not kept."""
        left = left or Kept({}, {})
        values = {name: left.values[name] for name in survey.constants if name in left.values}
        declarations = checked.kept if isinstance(checked, Checked) else None
        try:
            names_kept = self.kept.add(survey, values, declarations)
        except errors.InvalidParams as error:
            return [], dict.fromkeys([*survey.exposed, *survey.types], error.message)
        unkept = {name: left.refused[name] for name in survey.constants if name in left.refused}
        return names_kept, {**survey.refused, **unkept}

    def check_job(
        self,
        code: str,
        offered: list[Tool],
        inputs: Mapping[str, Raw] | Iterable[str],
        keep: Sequence[str] | None = None,
    ) -> CheckJob:
        """What a program of this session is checked against; an editor's questions are answered by the same.

        Args:
            code: The program, without a magic line.
            offered: The tools it may call.
            inputs: The constants it finds; by their names alone, they are what they were for the last program.
            keep: See `CheckJob.keep`.
        """
        if isinstance(inputs, Mapping):
            declared = input_types.declare(inputs)
            self._declared = frozenset(inputs), declared
        else:
            inputs = frozenset(inputs)
            # What a program was given last is most likely what the next one gets.
            is_known = inputs == self._declared[0]
            declared = self._declared[1] if is_known else input_types.declare(dict.fromkeys(sorted(inputs), NULL))
        return CheckJob(
            session=self.id,
            code=code,
            declarations=typegen.declarations(offered),
            globals=declared + self.kept.declarations(inputs),
            tools=[tool.path for tool in offered],
            keep=keep,
        )

    async def _check_types(
        self,
        code: str,
        offered: list[Tool],
        inputs: Mapping[str, Raw],
        typecheck: bool | None,
        survey: Survey | None,
    ) -> Verdict | None:
        """Refuse a program whose types are wrong; returns what is known of it, or None when it need not be checked."""
        if self._check is None or not (self._settings.typecheck if typecheck is None else typecheck):
            return None
        verdict = await self._check(self.check_job(code, offered, inputs, survey.unexported if survey else None))
        if isinstance(verdict, Checked) and (failure := checks.failure(verdict, code)) is not None:
            raise errors.TypesWrong(failure)
        return verdict

    def _validate(
        self, code: str, timeout_s: float | None, inputs: Mapping[str, Raw], execution_id: str | None
    ) -> None:
        if len(code.encode("utf-8", "surrogatepass")) > self._settings.program_bytes:
            raise errors.InvalidParams(
                f"Cannot run program: it has more than {self._settings.program_bytes:,} bytes (Pctx.program_bytes); "
                "pass data in as inputs"
            )
        if timeout_s is not None and not timeout_s > 0:
            raise errors.InvalidParams(f"Cannot run program: timeout_s is {timeout_s:g}, and must be above 0")
        for name in inputs:
            names.check_input_name(name)
        if execution_id is not None and (execution_id in self.executions or not 0 < len(execution_id) <= 100):
            raise errors.InvalidParams("Cannot run program: execution_id must be new, with 1 to 100 characters")

    async def _call(self, execution: Execution, path: str, arguments: Raw | None) -> Raw:
        """Serve one tool call of one execution: only a tool offered to it, looked up anew each time."""
        if path not in execution.offered:
            raise errors.ToolNotFound(f"Cannot call {path[:200]}: it is not offered to this execution")
        offer = self.catalog.find(path)
        execution.calls += 1
        number = execution.calls
        size = 0 if arguments is None else memoryview(arguments).nbytes
        execution.hear(CallStarted(number, path, self._clock() - execution.started_at, size))
        result: Raw | None = None
        failed: str | None = "cancelled"
        try:
            result = await offer.serve(Call(execution.id, offer.tool, arguments))
            failed = None
            return result
        except errors.PctxError as error:
            failed = error.message
            raise
        finally:
            size = 0 if result is None else memoryview(result).nbytes
            execution.hear(CallEnded(number, path, self._clock() - execution.started_at, size, failed))


class Registry:
    """The sessions of one engine: a dict with an expiry rule. It is given a clock and does not look at one.

    Args:
        run, settings, clock, check, editor: As each `Session` gets them.
        on_close: Hears of each session that is closed, once.
    """

    def __init__(
        self,
        run: Run,
        settings: Settings,
        clock: Clock,
        check: Check | None = None,
        on_close: Callable[[Session], None] = lambda session: None,
        editor: Editor | None = None,
    ) -> None:
        self._run, self._settings, self._clock, self._check = run, settings, clock, check
        self._on_close, self._editor = on_close, editor
        self._sessions: dict[str, Session] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, kernel_id: str | None = None) -> Session:
        """Open a session under a new id of 128 random bits."""
        session = Session(
            secrets.token_urlsafe(16), self._run, self._settings, self._clock, self._check, self._editor, kernel_id
        )
        self._sessions[session.id] = session
        return session

    def get(self, id: str) -> Session | None:
        """The session of that id, if it is open."""
        return self._sessions.get(id)

    def of_kernel(self, kernel_id: str) -> Session | None:
        """The session of a kernel; of several, the one opened last."""
        return next((session for session in reversed(list(self)) if session.kernel_id == kernel_id), None)

    def close(self, session: Session) -> None:
        """Forget a session and its tools; does nothing the second time."""
        if self._sessions.pop(session.id, None) is not None:
            self._on_close(session)
            log.info("session %s = closed", session.id[:8])

    def expire(self) -> list[Session]:
        """Close the sessions that nobody is connected to, nothing runs in, and nobody used for `session_idle_s`."""
        since = self._clock() - self._settings.session_idle_s
        idle = [s for s in self if not s.is_attached and not s.executions and s.used_at <= since]
        for session in idle:
            self.close(session)
        return idle


__all__ = ["Clock", "Execution", "Job", "ProgramStopped", "ProgramThrew", "Registry", "Run", "ServeCall", "Session"]
