"""Sessions: a catalog of tools each, executions, limits. No connection, no process, no clock of its own.

A session is handed what it needs as plain functions: one runs a program, one serves a tool, one receives the events. So
two lambdas test it, and any pipe carries it. Identical names and ids in different sessions never meet.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, Literal, TypeVar, Unpack

from msgspec import Raw

from .. import errors, visible
from ..errors import Failure
from ..program import check as checks
from ..program import diagnostics, hints, kept
from ..program.check import Check, Checked, Diagnostic, Read, Unchecked, Verdict
from ..program.editor import Editor
from ..program.kept import KeptNames, Survey
from ..program.program import Outline, clean, glance, prepare
from ..program.result import Emit, Output, ProgramResult, TypesChecked, ValuesKept
from ..rpc.channel import GONE
from ..settings import Settings
from ..tools.calls import AskedBy, ToolHandler
from ..tools.catalog import Catalog
from ..tools.scope import Changes, Layer, Offering, Scope
from ..tools.shared_tools import SharedTools
from ..tools.tool import Tool
from .advice import advice
from .approvals import Approvals
from .bash import Bash, BashJob, BashResult
from .built_in import can_list, program_functions
from .client_handles import ClientHandles
from .execution import (
    AGENT,
    CLIENT,
    SANDBOX_ENDED,
    Execution,
    Job,
    ProgramRunner,
    ProgramStopped,
    ProgramThrew,
    StoppedByHand,
)
from .journal import Clock, Journal, journal_of
from .meter import Meter, SessionMeter
from .policy import Policy, Then
from .request import ProgramOptions, ProgramRequest, check_program, has_more_bytes, servers_of
from .serving import ServedCalls
from .tool_calls import ToolCalls
from .trace import INTERNAL, MOST_CODE, Recorder, StoppedBy, Trace, TraceState
from .type_checks import TypeChecks
from .upstreams import Upstreams

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_WHY = 300
"""Characters that say why an export is not kept."""

Sharing = Literal["nobody", "agents", "everyone"]
"""Who, besides a session itself, may see its tools; ``everyone``: agents and other notebooks."""


@dataclass(frozen=True, slots=True)
class SessionServers:
    """The MCP servers that one session alone may call, and their tools."""

    upstreams: Upstreams
    tools: Catalog


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a program that ended well: its value, what it may leave for later ones, what the check found."""

    value: Raw
    survey: Survey | None
    checked: Verdict | None


class _Counted(Generic[T]):
    """An attribute of a session on which depends what others are offered: each change of it is counted."""

    def __set_name__(self, owner: type[Session], name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, session: Session, owner: type[Session]) -> T:
        value: T = getattr(session, self._name)
        return value

    def __set__(self, session: Session, value: T) -> None:
        setattr(session, self._name, value)
        session.changes.count()


class Session:
    """One client's tools and executions.

    Args:
        id: Unguessable, for it names state.
        run: Runs a program.
        settings: Limits and sizes.
        clock: Monotonic seconds.
        check: Checks a program's types; None: they are not checked.
        editor: Answers what editors ask; None: such requests are refused.
        kernel_id: The kernel whose session it is; None: no kernel's, or its client has not said so.
        asked_by: Whose programs run in it.
        shared: What others offer to it, besides its own tools.
        changes: Counts what changes that.
        journal: Where its executions are written down.
        settle: Waits for tools that a program names and that are about to come; calls its second argument with a line
            for people when that takes a while.
        read: Outlines a program whose types are not checked; None: a glance at it has to do.
        explain: Says why a namespace is missing, in words that follow a colon; None: nothing is known of it.
        bash: Runs commands over the declarations of its tools; None: such requests are refused.
    """

    name = _Counted[str | None]()
    """The namespace under which others see its tools: its notebook's name."""
    sharing = _Counted[Sharing]()
    """Who else may see its tools."""
    serve_others = _Counted[ToolHandler | None]()
    """Runs a call of one of its tools by another session's program."""

    def __init__(
        self,
        id: str,
        run: ProgramRunner,
        settings: Settings,
        clock: Clock,
        check: Check | None = None,
        editor: Editor | None = None,
        kernel_id: str | None = None,
        *,
        changes: Changes,
        asked_by: AskedBy = "client",
        shared: Callable[[Session], Iterable[Layer]] = lambda session: (),
        journal: Journal | None = None,
        settle: Callable[[str, Callable[[str], None]], Awaitable[None]] | None = None,
        read: Read | None = None,
        explain: Callable[[str], str | None] = lambda namespace: None,
        bash: Bash | None = None,
        kept_in_all: Callable[[], int] | None = None,
    ) -> None:
        self._settle, self._read, self._explain_shared = settle, read, explain
        self.id, self.kernel_id, self.editor, self.asked_by = id, kernel_id, editor, asked_by
        self.changes = changes
        self.name, self.sharing, self.serve_others = None, "agents", None
        self.catalog = Catalog(limit=settings.max_tools, max_bytes=settings.max_tools_bytes, changed=changes.count)
        """Its own tools."""
        own = Layer(self.catalog)
        self.scope = Scope(lambda: (own, *shared(self)), changes, explain)
        """What its programs may call."""
        self.shared = SharedTools(self.catalog)
        self.place = ""
        """The path of its notebook where another notebook has the same file name; elsewhere empty."""
        self.kept = kept.KeptNames(settings.max_kept, settings.max_kept_bytes, in_all=kept_in_all)
        """What its programs left for later ones."""
        self.executions: dict[str, Execution] = {}
        self.serving = ServedCalls()
        """The calls that its client serves."""
        self.handles: ClientHandles | None = None
        """The objects that its client holds for programs; None: the client has not said that it holds any."""
        self.servers: SessionServers | None = None
        """MCP servers of its own; None: it has none. `Registry.give_servers` sets it."""
        self.has_lost_kernel = False
        """Whether its kernel is known to have ended; if only the connection is lost, the kernel may go on."""
        self.is_attached = False
        """Whether a connection keeps it open; then it does not expire."""
        self.idle_s = settings.session_idle_s
        """Seconds after its last use at which it expires."""
        self.used_at = clock()
        self.types = TypeChecks(id, check, self.kept, lambda: self.name)
        """Checks the types of its programs."""
        self._run, self._settings, self._clock, self._bash = run, settings, clock, bash
        self._in_hand: Counter[str] = Counter()  # programs that run or wait, by client
        self._journal = journal or journal_of(settings, clock)
        self.meter = SessionMeter(self._journal.meter, is_read=asked_by == "agent")
        """Adds up what its programs cost a model."""
        self._public_id = hashlib.blake2b(id.encode(), digest_size=8).hexdigest()
        self._calls = ToolCalls(
            self.scope,
            asked_by,
            "agent" if asked_by == "agent" else kernel_id or id,
            lambda: self.title,
            Policy(settings.policy, asks_agents=settings.agents == "ask"),
            self._journal.approvals,
            clock,
            self._explain,
            self._journal.observers,
        )

    @property
    def title(self) -> str | None:
        """What people read of its notebook: the name, with the path where the name does not say enough."""
        return f"{self.name} ({self.place})" if self.place else self.name

    @property
    def version(self) -> str:
        """Changes with its tools, and with the name others see them by; no two sessions have the same."""
        return f"{self._public_id}.{self.name or ''}.{self.catalog.version}"

    @property
    def settings(self) -> Settings:
        """Limits and sizes."""
        return self._settings

    @property
    def approvals(self) -> Approvals:
        """The calls of all sessions that wait for a person's consent."""
        return self._journal.approvals

    def guarded(self, tools: Iterable[Tool]) -> Mapping[str, Then]:
        """Return the action for calls of these tools by its programs, by path, where they are not allowed at once."""
        return self._calls.guard(tools)

    def register(self, tool: Tool, serve: ToolHandler, *, replace: bool = False, size: int = 0) -> None:
        """Offer a tool to this session's programs; raises what `Catalog.add` raises."""
        self.used_at = self._clock()
        self.catalog.add(tool, serve, replace=replace, size=size)
        self.tools_changed()
        log.info("session %s = offers %s", self.id[:8], tool.path)

    def unregister(self, path: str) -> None:
        """Withdraw a tool by either of its names; raises what `Catalog.remove` raises."""
        self.catalog.remove(path)
        self.tools_changed()

    def release(self) -> None:
        """Drop the tools of a session that is closed.

        Without this, a collection of garbage would free them, those of all closed sessions in one turn of the loop.
        """
        self.catalog.clear()
        self.shared.clear()

    def tools_changed(self) -> None:
        """Notify listeners that the catalog has changed."""
        self._journal.watchers.notify("tools")

    def now(self) -> float:
        """Return the seconds since 1970."""
        return self._journal.now()

    def touch(self) -> None:
        """Count the session as used now."""
        self.used_at = self._clock()

    def share(self, sharing: Sharing) -> None:
        """Set who else may see its tools."""
        self.sharing = sharing
        self._journal.watchers.notify("tools")

    async def execute(
        self,
        code: str,
        *,
        emit: Emit = lambda event: None,
        began: Callable[[Execution], None] = lambda execution: None,
        **options: Unpack[ProgramOptions],
    ) -> ProgramResult:
        """Run one program and return its result.

        Args:
            code: TypeScript or JavaScript, as the user wrote it.
            emit: Receives its events as they happen, all of them before this returns.
            began: Receives the execution before its first event, to follow or to stop it.
            options: See `ProgramOptions`.

        Raises:
            ExecutionFailed: The program failed; `LimitExceeded` when it was stopped at a limit, `TypesWrong` when its
                types were wrong and it did not run.
            ExecutionTimeout: It ran too long.
            ExecutionStopped: Somebody else stopped it.
            InvalidParams, ToolNotFound: The request is wrong; nothing ran.
            Busy: Too many of this client's programs wait already, or it waited too long for its turn.
            SandboxUnavailable: It could not start.
        """
        client = f"{self.id}/{CLIENT.get()}"
        self._admit(client)
        with self._counted(client):
            if self._settle is not None:
                await self._settle(code, lambda line: emit(Output("stderr", f"{line}\n", "warn")))
            if self.servers is not None:
                await self.servers.upstreams.settle(code)
            asked = await self._read_request(code, options)
            execution = self._begin(asked, emit, client)
            with self._recorded(execution):
                began(execution)
                with execution.stoppable():
                    outcome = await self._run_program(asked, execution)
                execution.value = outcome.value
        names_kept, unkept = self._keep(outcome, execution.left, asked.kept)
        return ProgramResult(
            execution.id,
            outcome.value,
            **execution.output(),
            duration_s=self._clock() - execution.started_at,
            unchecked=outcome.checked.reason if isinstance(outcome.checked, Unchecked) else None,
            kept=tuple(names_kept),
            unkept=unkept,
        )

    async def run_bash(self, command: str, timeout_s: float | None = None) -> BashResult:
        """Run a bash command over the declarations of the tools that its programs can call.

        It counts as one of its client's programs. It reads no other file and calls no tool, and nothing is kept of it.

        Args:
            timeout_s: Seconds it may take; None: as a program.

        Raises:
            InvalidParams: The command is too long.
            Busy: Too many of this client's programs wait already, or it waited too long for its turn.
            SandboxUnavailable: It could not start.
        """
        if self._bash is None:
            raise errors.SandboxUnavailable("Cannot run command: there is no shell here; list the functions instead")
        if has_more_bytes(command, self._settings.max_program_bytes):
            raise errors.InvalidParams(
                f"Cannot run command: it has more than {self._settings.max_program_bytes:,} bytes "
                "(Pctx.max_program_bytes); use a shorter one"
            )
        client = f"{self.id}/{CLIENT.get()}"
        self._admit(client)
        with self._counted(client):
            self.touch()
            files = await self._bash.files(self.scope, self.id)
            limits = self._settings.limits_for(timeout_s)
            return await self._bash.run(BashJob(command, files, limits, client))

    def _admit(self, client: str) -> None:
        """Refuse a program at once when too many of its client's programs wait already.

        This comes before all other work on the program: a flood costs the other sessions as little as possible.
        """
        mine, run, wait = (
            self._in_hand[client],
            self._settings.running_per_session,
            self._settings.max_queued_per_session,
        )
        if mine < run + wait:
            return
        running = sum(1 for one in self.executions.values() if one.client == client and one.has_begun)
        raise errors.Busy(
            f"Cannot start execution: {mine:,} of this session's programs have not ended, and {running:,} of them are "
            f"running; {run:,} may run and {wait:,} may wait (Pctx.max_running_per_session, "
            "Pctx.max_queued_per_session); try again when some of them have ended"
        )

    @contextmanager
    def _counted(self, client: str) -> Iterator[None]:
        self._in_hand[client] += 1
        try:
            yield
        finally:
            self._in_hand[client] -= 1
            if not self._in_hand[client]:
                del self._in_hand[client]

    async def _read_request(self, code: str, options: ProgramOptions) -> ProgramRequest:
        """Check a request, and look up what its program may call.

        Raises:
            InvalidParams, ToolNotFound: The request is wrong.
        """
        inputs = options.get("inputs") or {}
        check_program(code, options, self._settings)
        self._check_id(options.get("execution_id"))
        given = options.get("kept")
        left = self.kept if given is None else given
        offered = await self.offering(f"{code} {servers_of(inputs)}", options.get("tools"), left)
        self._check_id(options.get("execution_id"))  # the same one may have begun meanwhile
        if hidden := inputs.keys() & offered.taken:
            raise errors.InvalidParams(f"Cannot pass in {min(hidden)}: a namespace of tools has that name")
        if hidden := left.names & offered.taken:
            name = min(hidden)
            raise errors.InvalidParams(
                f"Cannot run program: {name} is kept from an earlier program, and a namespace of tools has that name; "
                + (f"%pctx forget {name}" if given is None else left.way_out)
            )
        return ProgramRequest(
            code=code,
            inputs=inputs,
            offered=offered,
            kept=left,
            prelude=left.preludes(),
            # Agents are many, and share a session.
            keep=False if self.asked_by == "agent" and given is None else options.get("keep"),
            typecheck=options.get("typecheck"),
            timeout_s=options.get("timeout_s"),
            id=options.get("execution_id") or secrets.token_urlsafe(16),
            call_times=options.get("call_times"),
            observe=options.get("observe"),
        )

    def _begin(self, asked: ProgramRequest, emit: Emit, client: str) -> Execution:
        key = f"{self._public_id}.{asked.id}"
        started_at = self._clock()
        trace = Trace(
            id=key,
            code=asked.code[:MOST_CODE],
            code_cut=len(asked.code) > MOST_CODE,
            asked_by=self.asked_by,
            notebook=self.title,
            kernel_id=self.kernel_id,
            state="running",
            started_at=self._journal.now(),
            agent=AGENT.get() if self.asked_by == "agent" else "",
        )
        # The trace outlives the session: it must not hold it, with all of its tools.
        clock, watchers = self._clock, self._journal.watchers
        recorder = Recorder(trace, lambda: clock() - started_at, lambda: watchers.notify("executions"))
        self._journal.history.add(key, recorder)
        return Execution(
            id=asked.id,
            key=key,
            code=asked.code,
            asked_by=self.asked_by,
            limits=self._settings.limits_for(asked.timeout_s),
            offered=asked.offered.paths,
            emit=emit,
            started_at=started_at,
            recorder=recorder,
            guarded=self._calls.guarded(asked.offered),
            revision=asked.offered.revision,
            client=client,
            agent=trace.agent,
            call_times=asked.call_times,
            observe=asked.observe,
            span=self._journal.spans.begin(trace),
        )

    @contextmanager
    def _recorded(self, execution: Execution) -> Iterator[None]:
        """Keep an execution among those that run during the block, then record its end.

        What ends a program becomes the error of its request, with what the program printed.
        """
        self.executions[execution.id] = execution
        state: TraceState = "stopped"
        by: StoppedBy | None = None
        failed: Failure | None = None
        try:
            yield
            state = "ok"
        except asyncio.CancelledError as error:
            by = "caller"
            if GONE in error.args:
                by = "kernel" if self.has_lost_kernel else "connection"
            raise
        except ProgramStopped as error:
            by = "sandbox" if error.name == SANDBOX_ENDED else "limit"
            failed = Failure(error.name, error.message)
            raise errors.LimitExceeded(failed, **execution.output()) from None
        except StoppedByHand as error:
            by, failed = "person", Failure("Stopped", f"Cannot finish execution: {error}", stopped=True)
            raise errors.ExecutionStopped(failed, **execution.output()) from None
        except errors.ExecutionTimeout as error:
            by, failed = "limit", Failure("ExecutionTimeout", error.message)
            raise errors.ExecutionTimeout(error.seconds, **execution.output()) from None
        except errors.PctxError as error:
            known = error.failure if isinstance(error, errors.ExecutionFailed) else None
            state, failed = "failed", known or Failure(type(error).__name__, error.message)
            raise
        except Exception:
            state, failed = "failed", Failure("InternalError", INTERNAL)  # its text is in the log
            raise
        finally:
            del self.executions[execution.id]
            self.used_at = self._clock()
            execution.recorder.trace.meter = self._metered(execution, failed)
            execution.end(state, value=execution.value, failure=failed, stopped_by=by)
            self._journal.observers.execution_ended(execution.recorder.trace)
            if execution.span is not None:
                execution.span.end(execution.recorder.trace)

    def _metered(self, execution: Execution, failed: Failure | None) -> Meter:
        value = execution.value
        answered = 0 if value is None else memoryview(value).nbytes
        answered += 0 if failed is None else len(failed.message)
        answered += sum(len(text) for texts in execution.printed.values() for text in texts)
        if self.asked_by == "agent":
            answered = min(answered, self._settings.max_mcp_characters)  # what is longer is cut
        return self.meter.add(execution.traffic, len(execution.code.encode(errors="replace")), answered)

    async def _run_program(self, asked: ProgramRequest, execution: Execution) -> _Outcome:
        """Check a program, run it, and return what came of it."""
        code = clean(asked.code)
        may_keep = asked.keep if kept.may_keep(code, asked.keep) else False
        checked = await self._check_types(execution, asked, code, may_keep)
        outline = await self._outline(code, checked)
        program = prepare(code, outline)
        survey = kept.survey(code, asked.keep, asked.offered.taken, outline)
        if survey is not None:
            program = program.keeping(survey.constants)
        job = Job(
            execution.id,
            program,
            asked.offered.globals,
            asked.inputs,
            execution.limits,
            asked.prelude,
            # A person may take longer than a call; and what a request says of single tools, the sandbox does not know.
            asked.offered.patient | execution.guarded.keys() if asked.call_times is None else asked.offered.paths,
            execution.hold,
            places=self.asked_by == "agent" or "ask" in execution.guarded.values(),
            session=execution.client,
            is_interactive=self.asked_by == "cell",
            functions=program_functions(asked.offered.tools, self.scope.is_listed)
            if any(map(can_list, (code, *(prelude.code for prelude in asked.prelude))))
            else (),
        )

        def serve(path: str, arguments: Raw | None, stack: str = "", /) -> Awaitable[Raw]:
            return self._calls.serve(execution, program, path, arguments, stack)

        if execution.span is not None:
            execution.hold.on_place = execution.span.queued()
        execution.hold.on_queue = partial(self.serving.queue, execution.hold)
        try:
            value = await self._run(job, serve, execution.publish)
        except ProgramThrew as error:
            failure = self._explained(diagnostics.failure(error.thrown, program))
            raise errors.ExecutionFailed(failure, **execution.output()) from None
        finally:
            self.serving.leave(execution.hold)
        return _Outcome(value, survey, checked)

    def _explain(self, name: str) -> str | None:
        """Say why a namespace, or a tool, is missing, in words that follow a colon; None: nothing is known of it."""
        why = None if self.servers is None else self.servers.upstreams.why_missing(name)
        return self._explain_shared(name) if why is None else why

    def _explained(self, failure: Failure) -> Failure:
        """Return why the namespace of an undefined name is missing, where that is known."""
        why = None if failure.missing is None else self._explain(failure.missing)
        return failure if why is None else replace(failure, message=f"{failure.missing} is not defined: {why}")

    def explained(self, found: Sequence[Diagnostic], code: str) -> tuple[Diagnostic, ...]:
        """Say in diagnostics what is known beyond TypeScript: why a namespace or a tool is missing, and what Python is.

        Args:
            code: The program that was checked.
        """

        def explain(one: Diagnostic) -> Diagnostic:
            path = one.missing or checks.missing_member(one, code)
            if path is None or (why := self._explain(path)) is None:
                return one
            return replace(one, message=f"Cannot find name '{path}': {why}", instead=None)

        return tuple(map(explain, hints.about_python(found, code)))

    def _keep(
        self, outcome: _Outcome, left: ValuesKept | None, kept_names: KeptNames
    ) -> tuple[list[str], dict[str, str]]:
        """Keep what a program has left; returns the names, and why others are not kept."""
        survey, checked = outcome.survey, outcome.checked
        if survey is None:
            return [], {}
        left = left or ValuesKept({}, {})
        values = {name: left.values[name] for name in survey.constants if name in left.values}
        declarations = checked.kept if isinstance(checked, Checked) else None
        try:
            plain = checked.kept_plain if isinstance(checked, Checked) else None
            names_kept = kept_names.add(survey, values, declarations, plain)
        except errors.InvalidParams as error:
            return [], dict.fromkeys([*survey.exposed, *survey.types], error.message)
        # The program may have written a part of it: what it throws while its values are read.
        whys = {name: visible.line(left.refused[name], MOST_WHY) for name in survey.constants if name in left.refused}
        return names_kept, {**survey.refused, **whys}

    async def offering(
        self, code: str, patterns: list[str] | None = None, kept_names: KeptNames | None = None
    ) -> Offering:
        """Choose the tools that a program of this session may call, by its code and patterns of tool names.

        Args:
            code: The program.
            patterns: Of the tools it may call; None: all.
            kept_names: What earlier programs left for it; None: what the session has of them.
        """
        left = self.kept if kept_names is None else kept_names
        return await self.scope.offering(
            patterns, code, left.declarations(), *(prelude.code for prelude in left.preludes())
        )

    async def _outline(self, code: str, verdict: Verdict | None) -> Outline | None:
        """Say what a program has at its top level; None: it has a syntax error.

        Raises:
            Busy: The compiler cannot be asked, and without it the program's value is in doubt.
        """
        if isinstance(verdict, Checked) and verdict.outline is not None:
            return verdict.outline
        seen = glance(code)
        if seen.is_certain or self._read is None:
            return seen.outline
        try:
            return await self._read(self.id, code, CLIENT.get())
        except errors.Busy as error:
            raise errors.Busy(
                "Cannot run program: where its last statement begins is in doubt, and the TypeScript compiler, which "
                f"knows, cannot be asked ({error.message}); end each statement with ; or try again"
            ) from None

    async def _check_types(
        self, execution: Execution, asked: ProgramRequest, code: str, keep: bool | None
    ) -> Verdict | None:
        """Refuse a program whose types are wrong; returns what is known of it, or None when it need not be checked."""
        is_left_to_settings = asked.typecheck is None or not (asked.typecheck or self._settings.may_skip_check)
        if not self.types.is_possible or not (self._settings.typecheck if is_left_to_settings else asked.typecheck):
            return None
        since = self._clock()
        job = await self.types.job(code, asked.offered, asked.inputs, keep, kept_names=asked.kept)
        verdict = await self.types.judge(job, asked.offered, asked.inputs, kept_names=asked.kept)
        took_s, at_s = self._clock() - since, self._clock() - execution.started_at
        if isinstance(verdict, Unchecked):
            execution.publish(TypesChecked("unchecked", took_s, verdict.reason, at_s))
            return verdict
        verdict = replace(verdict, diagnostics=self.explained(verdict.diagnostics, code))
        if (failure := checks.failure(verdict, code, advice(code, asked.offered.tools, asked.offered))) is not None:
            execution.publish(TypesChecked("failed", took_s, failure.message, at_s, verdict.diagnostics))
            raise errors.TypesWrong(failure)
        warned = checks.warning(verdict)
        execution.publish(TypesChecked("passed", took_s, warned, at_s, verdict.diagnostics))
        if warned is not None:
            execution.publish(Output("stderr", f"Warning: {warned}\n", "warn"))
        return verdict

    def _check_id(self, execution_id: str | None) -> None:
        if execution_id is not None and (execution_id in self.executions or not 0 < len(execution_id) <= 100):
            raise errors.InvalidParams("Cannot run program: execution_id must be new, with 1 to 100 characters")
