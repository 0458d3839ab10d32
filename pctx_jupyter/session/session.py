"""Sessions: a catalog of tools each, executions, limits. No connection, no process, no clock of its own.

A session is handed what it needs as plain functions: who runs a program, who serves a tool, who hears the events. So
two lambdas test it, and any pipe carries it. Identical names and ids in different sessions never meet.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from msgspec import Raw

from .. import errors
from ..errors import Failure
from ..program import check as checks
from ..program import diagnostics, kept
from ..program import inputs as input_types
from ..program.check import Check, Checked, CheckJob, Read, Unchecked, Verdict
from ..program.editor import Editor
from ..program.kept import Survey
from ..program.program import Outline, Program, clean, glance, prepare
from ..program.result import Emit, Kept, Output, Result, TypesChecked
from ..rpc.channel import aside
from ..rpc.jsonrpc import NULL
from ..settings import Settings
from ..tools import names, typegen
from ..tools.catalog import AskedBy, Catalog, Serve, Tool, globals_of
from ..tools.scope import Changes, Layer, Scope, Shared
from .approvals import Approvals, NobodyWaits, Policy, Then, Waits
from .execution import (
    Execution,
    Job,
    ProgramStopped,
    ProgramThrew,
    Run,
    Stoppable,
    StoppedByHand,
    unstoppable,
)
from .tool_calls import ToolCalls
from .trace import MOST_CODE, History, Recorder, State, Trace
from .watch import Watchers

log = logging.getLogger(__name__)

T = TypeVar("T")

Clock = Callable[[], float]
"""Tells seconds."""

FEW = 50
"""Tools that are declared at once: they take 10 ms at most, and a thread has its own price."""

Sharing = Literal["nobody", "agents", "everyone"]
"""Who, besides a session itself, may see its tools; ``everyone``: agents and other notebooks."""


@dataclass(frozen=True, slots=True)
class Journal:
    """Where the executions of all sessions are written down, and who is told of changes.

    Args:
        now: Seconds since 1970.
    """

    history: History
    now: Clock
    watchers: Watchers
    approvals: Approvals


def journal_of(settings: Settings, clock: Clock, now: Clock = lambda: 0.0, waits: Waits | None = None) -> Journal:
    """A new one, with questions that `waits` waits for; None: nobody is asked."""
    watchers = Watchers()
    asking = Approvals(
        settings.max_approval_s,
        waits or NobodyWaits(),
        clock,
        lambda: watchers.tell("approvals"),
        settings.consent_by,
        settings.max_waiting_programs,
    )
    return Journal(History(settings.max_history), now, watchers, asking)


class _Told(Generic[T]):
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
        check: Checks a program's types; None: nobody does.
        editor: Knows what editors ask; None: nobody does.
        kernel_id: The kernel whose session it is; None: no kernel's, or its client has not said so.
        asked_by: Whose programs run in it.
        shared: What others offer to it, besides its own tools.
        changes: Counts what changes that.
        journal: Where its executions are written down.
        stoppable: Lets others stop its programs.
        settle: Waits for tools that a program names and that are about to come; calls its second argument with a line
            for people when that takes a while.
        read: Outlines a program whose types are not checked; None: nobody does, and a glance at it has to do.
    """

    name = _Told[str | None]()
    """The namespace under which others see its tools: its notebook's name."""
    sharing = _Told[Sharing]()
    """Who else may see its tools."""
    serve_others = _Told[Serve | None]()
    """Runs a call of one of its tools by another session's program."""

    def __init__(
        self,
        id: str,
        run: Run,
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
        stoppable: Stoppable = unstoppable,
        settle: Callable[[str, Callable[[str], None]], Awaitable[None]] | None = None,
        read: Read | None = None,
    ) -> None:
        self._settle, self._read = settle, read
        self.id, self.kernel_id, self.editor, self.asked_by = id, kernel_id, editor, asked_by
        self.changes = changes
        self.name, self.sharing, self.serve_others = None, "agents", None
        self.catalog = Catalog(limit=settings.max_tools, changed=changes.count)
        """Its own tools."""
        own = Layer(self.catalog)
        self.scope = Scope(lambda: (own, *shared(self)), changes)
        """What its programs may call."""
        self.shared = Shared(self.catalog)
        self.kept = kept.Kept(settings.max_kept, settings.max_kept_bytes)
        """What its programs left for later ones."""
        self.executions: dict[str, Execution] = {}
        self.is_attached = False
        """Whether a connection keeps it open; then it does not expire."""
        self.used_at = clock()
        self._run, self._settings, self._clock, self._check = run, settings, clock, check
        self._stoppable = stoppable
        self._journal = journal or journal_of(settings, clock)
        self._public_id = hashlib.blake2b(id.encode(), digest_size=8).hexdigest()
        self._declared: tuple[frozenset[str], str] = frozenset(), ""
        self._calls = ToolCalls(
            self.scope,
            asked_by,
            "agent" if asked_by == "agent" else kernel_id or id,
            lambda: self.name,
            Policy(settings.policy),
            self._journal.approvals,
            clock,
        )

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
        """The calls that wait for somebody's consent, of all sessions."""
        return self._journal.approvals

    @property
    def guarded(self) -> Mapping[str, Then]:
        """The tools whose calls by its programs need consent, or are denied, by path; see `ToolCalls.guarded`."""
        return self._calls.guarded()

    @property
    def check(self) -> Check | None:
        """Checks a program's types; None: nobody does."""
        return self._check

    def register(self, tool: Tool, serve: Serve, *, replace: bool = False) -> None:
        """Offer a tool to this session's programs; raises what `Catalog.add` raises."""
        self.used_at = self._clock()
        self.catalog.add(tool, serve, replace=replace)
        self._journal.watchers.tell("tools")
        log.info("session %s = offers %s", self.id[:8], tool.path)

    def unregister(self, path: str) -> None:
        """Withdraw a tool by either of its names; raises what `Catalog.remove` raises."""
        self.catalog.remove(path)
        self._journal.watchers.tell("tools")

    def share(self, sharing: Sharing) -> None:
        """Say who else may see its tools."""
        self.sharing = sharing
        self._journal.watchers.tell("tools")

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
        began: Callable[[Execution], None] = lambda execution: None,
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
            began: Is given the execution before its first event, to follow or to stop it.

        Raises:
            ExecutionFailed: The program failed; `LimitExceeded` when it was stopped at a limit, `TypesWrong` when its
                types were wrong and it did not run.
            ExecutionTimeout: It ran too long.
            ExecutionStopped: Somebody else stopped it.
            InvalidParams, ToolNotFound: The request is wrong; nothing ran.
            Busy, SandboxUnavailable: It could not start.
        """
        inputs = inputs or {}
        if self._settle is not None:
            await self._settle(code, lambda line: emit(Output("stderr", f"{line}\n", "warn")))
        self._validate(code, timeout_s, inputs, execution_id)
        offered = self.scope.matching(tools)
        namespaces = globals_of(offered)
        if hidden := namespaces.keys() & inputs.keys():
            raise errors.InvalidParams(f"Cannot pass in {min(hidden)}: a namespace of tools has that name")
        if hidden := namespaces.keys() & self.kept.names:
            name = min(hidden)
            raise errors.InvalidParams(
                f"Cannot run program: {name} is kept from an earlier program, and a namespace of tools has that name; "
                f"%pctx forget {name}"
            )
        keep = False if self.asked_by == "agent" else keep  # agents are many, and share a session
        execution = self._begin(code, timeout_s, offered, execution_id, emit)
        prelude = self.kept.preludes()
        guarded = execution.guarded = self._calls.guarded()
        patient = self.scope.patient
        if guarded:
            patient |= guarded.keys()  # a person may take longer than a call
        program, survey = Program(code, code), None
        self.executions[execution.id] = execution
        state: State = "stopped"
        value: Raw | None = None
        failed: Failure | None = None
        try:
            began(execution)
            with self._stoppable(execution):
                text = clean(code)
                may_keep = keep if kept.may_keep(text, keep) else False
                checked = await self._check_types(execution, text, offered, inputs, typecheck, may_keep)
                outline = await self._outline(text, checked)
                program = prepare(text, outline)
                survey = kept.survey(text, keep, namespaces.keys(), outline)
                if survey is not None:
                    program = program.keeping(survey.constants)
                job = Job(
                    execution.id,
                    program,
                    namespaces,
                    inputs,
                    execution.limits,
                    prelude,
                    patient,
                    execution.hold,
                    places=self.asked_by == "agent" or "ask" in guarded.values(),
                )

                def serve(path: str, arguments: Raw | None, stack: str = "", /) -> Awaitable[Raw]:
                    return self._calls.serve(execution, program, path, arguments, stack)

                value = await self._run(job, serve, execution.hear)
            state = "ok"
        except ProgramThrew as error:
            state, failed = "failed", diagnostics.failure(error.thrown, program)
            raise errors.ExecutionFailed(failed, **execution.output()) from None
        except ProgramStopped as error:
            failed = Failure(error.name, error.message)
            raise errors.LimitExceeded(failed, **execution.output()) from None
        except StoppedByHand as error:
            failed = Failure("Stopped", f"Cannot finish execution: {error}")
            raise errors.ExecutionStopped(failed, **execution.output()) from None
        except errors.ExecutionTimeout as error:
            failed = Failure("ExecutionTimeout", error.message)
            raise errors.ExecutionTimeout(error.seconds, **execution.output()) from None
        except errors.PctxError as error:
            known = error.failure if isinstance(error, errors.ExecutionFailed) else None
            state, failed = "failed", known or Failure(type(error).__name__, error.message)
            raise
        finally:
            del self.executions[execution.id]
            self.used_at = self._clock()
            execution.end(state, value=value, failure=failed)
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

    def _begin(
        self, code: str, timeout_s: float | None, offered: list[Tool], execution_id: str | None, emit: Emit
    ) -> Execution:
        id = execution_id or secrets.token_urlsafe(16)
        key = f"{self._public_id}.{id}"
        started_at = self._clock()
        trace = Trace(
            id=key,
            code=code[:MOST_CODE],
            code_cut=len(code) > MOST_CODE,
            asked_by=self.asked_by,
            notebook=self.name,
            kernel_id=self.kernel_id,
            state="running",
            started_at=self._journal.now(),
        )
        recorder = Recorder(
            trace, lambda: self._clock() - started_at, lambda: self._journal.watchers.tell("executions")
        )
        self._journal.history.add(key, recorder)
        return Execution(
            id=id,
            key=key,
            code=code,
            asked_by=self.asked_by,
            limits=self._settings.limits_for(timeout_s),
            offered=frozenset(tool.path for tool in offered),
            emit=emit,
            started_at=started_at,
            recorder=recorder,
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

    async def declare(self, tools: list[Tool], *, aliases: bool = True) -> str:
        """Declare tools in TypeScript; see `typegen.declarations`. Many take long at first, and are written aside."""
        text = typegen.written(tools, aliases=aliases)
        if text is None and len(tools) > FEW:
            return await aside(lambda: typegen.declarations(tools, aliases=aliases))
        return typegen.declarations(tools, aliases=aliases) if text is None else text

    async def check_job(
        self,
        code: str,
        offered: list[Tool],
        inputs: Mapping[str, Raw] | Iterable[str],
        keep: bool | None = False,
    ) -> CheckJob:
        """What a program of this session is checked against; an editor's questions are answered by the same.

        Args:
            code: The program, without a magic line.
            offered: The tools it may call.
            inputs: The constants it finds; by their names alone, they are what they were for the last program.
            keep: See `CheckJob.keep`.
        """
        # The notebook's own name says what `Notebook` does: it is declared where it is used.
        if self.name is not None and self.name not in code:
            offered = [tool for tool in offered if tool.namespace_name != self.name]
        if isinstance(inputs, Mapping):
            declared = input_types.declare(inputs)
            self._declared = frozenset(inputs), declared
        else:
            inputs = frozenset(inputs)
            # What a program was given last is most likely what the next one gets.
            is_known = inputs == self._declared[0]
            declared = self._declared[1] if is_known else input_types.declare(dict.fromkeys(sorted(inputs), NULL))
        globals = declared + self.kept.declarations(inputs)
        return CheckJob(
            session=self.id,
            code=code,
            declarations=await self.declare(offered),
            globals=globals,
            tools=[tool.path for tool in offered],
            keep=keep,
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
            return await self._read(self.id, code)
        except errors.Busy as error:
            raise errors.Busy(
                "Cannot run program: where its last statement begins is in doubt, and the TypeScript compiler, which "
                f"knows, cannot be asked ({error.message}); end each statement with ; or try again"
            ) from None

    async def _check_types(
        self,
        execution: Execution,
        code: str,
        offered: list[Tool],
        inputs: Mapping[str, Raw],
        typecheck: bool | None,
        keep: bool | None,
    ) -> Verdict | None:
        """Refuse a program whose types are wrong; returns what is known of it, or None when it need not be checked."""
        if self._check is None or not (self._settings.typecheck if typecheck is None else typecheck):
            return None
        since = self._clock()
        job = await self.check_job(code, offered, inputs, keep)
        verdict = await self._check(job)
        took_s = self._clock() - since
        if isinstance(verdict, Unchecked):
            execution.hear(TypesChecked("unchecked", took_s, verdict.reason))
        elif (failure := checks.failure(verdict, code)) is not None:
            execution.hear(TypesChecked("failed", took_s, failure.message))
            raise errors.TypesWrong(failure)
        else:
            execution.hear(TypesChecked("passed", took_s, None))
        return verdict

    def _validate(
        self, code: str, timeout_s: float | None, inputs: Mapping[str, Raw], execution_id: str | None
    ) -> None:
        if len(code.encode("utf-8", "surrogatepass")) > self._settings.max_program_bytes:
            raise errors.InvalidParams(
                f"Cannot run program: it has more than {self._settings.max_program_bytes:,} bytes "
                "(Pctx.max_program_bytes); pass data in as inputs"
            )
        if timeout_s is not None and not timeout_s > 0:
            raise errors.InvalidParams(f"Cannot run program: timeout_s is {timeout_s:g}, and must be above 0")
        for name in inputs:
            names.check_input_name(name)
        if execution_id is not None and (execution_id in self.executions or not 0 < len(execution_id) <= 100):
            raise errors.InvalidParams("Cannot run program: execution_id must be new, with 1 to 100 characters")
