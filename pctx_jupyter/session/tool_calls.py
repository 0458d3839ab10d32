"""The tool calls of one session's programs: what serves one, whether a person has to consent, and which events follow.

A call counts only for a tool offered to its execution, and is looked up each time. How a tool is served, it is handed;
it knows neither sandboxes nor connections.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from functools import partial

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .. import errors
from ..program import diagnostics
from ..program.program import Program
from ..program.result import WIDENED, CallDecided, CallEnded, CallNoted, CallStarted, Output
from ..rpc import attached, marks, nonfinite
from ..tools.calls import AskedBy, Call, Form, FormReply, Offer
from ..tools.declared import DeclaredResult
from ..tools.scope import Offering, Scope
from ..tools.tool import ObservedResult, Tool, is_untyped
from . import consent, forms
from .approvals import Approvals
from .consent import AskedForm, Decision, Question
from .execution import CallMade, Execution
from .observations import MOST_BYTES
from .observers import Observers
from .policy import Policy, Then, forbidden
from .remembered import way_out
from .trace import CUT_OFF, INTERNAL, MOST_CODE, preview

log = logging.getLogger(__name__)

MOST_WIDENED = 3
"""Places of an observed type, widened by a call, that its note names."""

MOST_DECLARED = 500
"""Tools whose declared results are kept ready for comparison; beyond that, all are read again."""


class ToolCalls:
    """Serves the calls of one session's programs.

    Args:
        scope: What they may call.
        asked_by: Whose programs they are.
        of: To whom a person grants a tool for good: every session's programs of one notebook, or all agents.
        notebook: Returns the name under which others see the notebook that runs them.
        policy: Which calls need consent.
        approvals: Asks people.
        clock: Monotonic seconds.
        explain: Says why the tools of a namespace are missing, in words that follow a colon; None: nothing is known.
        observers: Record every call that has ended; None: nobody does.
    """

    def __init__(
        self,
        scope: Scope,
        asked_by: AskedBy,
        of: str,
        notebook: Callable[[], str | None],
        policy: Policy,
        approvals: Approvals,
        clock: Callable[[], float],
        explain: Callable[[str], str | None] = lambda namespace: None,
        observers: Observers | None = None,
    ) -> None:
        self._explain, self._observers = explain, Observers() if observers is None else observers
        self._scope, self._asker, self._of, self._notebook = scope, asked_by, of, notebook
        self._policy, self._approvals, self._clock = policy, approvals, clock
        self._declared: dict[str, tuple[Tool, DeclaredResult | None]] = {}
        self._guarded: tuple[int, frozenset[str], dict[str, Then]] = -1, frozenset(), {}

    def guarded(self, offered: Offering) -> dict[str, Then]:
        """Return what is done with calls that are not simply let pass, by tool; quick when nothing has changed."""
        revision, paths, guarded = self._guarded
        if revision != offered.revision or paths != offered.paths:
            guarded = self.guard(offered.tools)
            self._guarded = offered.revision, offered.paths, guarded
        return guarded

    def guard(self, tools: Iterable[Tool]) -> dict[str, Then]:
        """Return what is done with calls of these tools that are not simply let pass, by any path of theirs."""
        guarded: dict[str, Then] = {}
        asked: dict[AskedBy, dict[str, Tool]] = {}
        for tool in tools:
            by = self._asked_by(tool.path)
            if not self._policy.allows_all(by):
                asked.setdefault(by, {}).update((one.path, one) for one in self._scope.names_of(tool))
        for by, named in asked.items():
            guarded |= self._policy.guarded(by, list(named.values()))
        return guarded

    def _guard_of(self, execution: Execution, tool: Tool) -> Then | None:
        """Return what is done with a call of a tool, now: the name may belong to another tool than at the start."""
        if execution.revision == self._scope.revision:
            return execution.guarded.get(tool.path)
        return self.guard([tool]).get(tool.path)

    async def serve(
        self, execution: Execution, program: Program, path: str, arguments: Raw | None, stack: str = ""
    ) -> Raw:
        """Serve one call.

        Args:
            execution: The one that calls; the events of the call are published to it.
            program: What runs there.
            path: The tool's.
            arguments: JSON.
            stack: Where the program calls, as its sandbox says; "": it does not.

        Raises:
            ToolNotFound: It is not offered to this execution, or is offered no longer.
            ToolFailed: It is denied, or fails.
            ToolTimeout: It takes too long.
        """
        if path not in execution.offered:
            raise errors.ToolNotFound(f"Cannot call {path[:200]}: it is not offered to this execution")
        offer = self._find(path)
        if arguments is not None and not offer.tool.nonfinite and marks.holds_handle(arguments):
            raise errors.ToolFailed(
                f"Cannot call {path}: a frame stays in its notebook, and this tool is elsewhere; pass "
                "await frame.rows()",
                name="TypeError",
            )
        execution.calls += 1
        number, hold = execution.calls, execution.hold
        hold.begin_call()
        since = execution.started_at

        def note(text: str) -> None:
            execution.publish(CallNoted(number, path, self._clock() - since, text))

        size = 0 if arguments is None else memoryview(arguments).nbytes
        line = diagnostics.line_of_call(stack, program) if stack else None
        started_s = self._clock() - since
        execution.publish(CallStarted(number, path, started_s, size, preview(arguments), line))
        span = None if execution.span is None else execution.span.begin_call(number, path)
        result: Raw | None = None
        failed: str | None = CUT_OFF
        failed_as = CUT_OFF
        decision: Decision | None = None

        def decided(by: Decision, edited: Raw | None) -> None:
            nonlocal decision
            decision = by
            at_s = self._clock() - since
            execution.publish(CallDecided(number, path, at_s, by, None if edited is None else preview(edited)))

        try:
            then = self._guard_of(execution, offer.tool)
            if then is not None:
                arguments = await self._consent(execution, offer.tool, then, arguments, line, decided, note)
            if hold.is_without_place:  # other calls of this program wait
                await hold.take_place()

            def ask(form: Form) -> Awaitable[FormReply]:
                return self._ask(form, execution, offer.tool, line, number)

            begin_turn = partial(hold.begin_turn, number)
            call = Call(execution.id, offer.tool, arguments, number, execution, note, begin_turn, ask)
            too_long = self._too_long(execution, offer)
            with nullcontext() if span is None else span.entered():
                work = offer.serve(call)
                result = await (work if too_long is None else _in_time(work, too_long))
            if hold.is_without_place:
                await hold.end_turn(number)
            failed = None
            if not (marks.is_operation(arguments) or marks.is_handle(result)):
                self._inspect_later(execution, offer.tool, number, result)
            return result
        except errors.PctxError as error:
            failed = error.message
            failed_as = error.name if isinstance(error, errors.ToolFailed) else type(error).__name__
            if hold.is_without_place:
                await hold.end_turn(number)
            raise
        except Exception:
            failed, failed_as = INTERNAL, "InternalError"  # its text is in the log
            raise
        finally:
            hold.end_call(number)
            sent = 0 if arguments is None else memoryview(arguments).nbytes
            size = 0 if result is None else memoryview(result).nbytes
            execution.traffic.add(offer.tool, sent + (size if failed is None else len(failed)))
            ended_s = self._clock() - since
            shown = None if result is None else attached.without_bytes(result)
            execution.publish(CallEnded(number, path, ended_s, size, failed, preview(shown)))
            if span is not None:
                span.end(arguments, shown, None if failed is None else failed_as, decision)
            if self._observers or execution.observe is not None:
                made = CallMade(
                    number=number,
                    tool=offer.tool,
                    arguments=arguments,
                    result=shown,
                    error=failed,
                    started_s=started_s,
                    ended_s=ended_s,
                    decision=decision,
                )
                if execution.observe is not None and not execution.is_over:
                    execution.observe(made)
                self._observers.call_ended(execution.recorder.trace, made)

    def _inspect_later(self, execution: Execution, tool: Tool, number: int, result: Raw) -> None:
        """Look at what a call has returned, when the program has its answer."""
        if tool.observed is not None:
            look = partial(self._observe, execution, tool, tool.observed, number, result)
        elif not tool.checked and tool.path not in execution.differing:
            look = partial(self._compare, execution, tool, result)
        else:
            return
        asyncio.get_running_loop().call_soon(look)

    def _compare(self, execution: Execution, tool: Tool, result: Raw) -> None:
        """Warn, once a tool, of a result that is not what the tool declares; programs get it as it is."""
        if memoryview(result).nbytes > MOST_BYTES or tool.path in execution.differing:
            return
        known = self._declared.get(tool.path)
        if known is None or known[0] is not tool:
            if len(self._declared) >= MOST_DECLARED:
                self._declared.clear()
            schema = tool.output_schema
            known = self._declared[tool.path] = tool, None if is_untyped(schema) else DeclaredResult(schema)
        if known[1] is None:
            return
        try:
            found = known[1].difference(msgspec.json.decode(nonfinite.typed(result)))
        except (msgspec.DecodeError, RecursionError):
            return
        if found is not None:
            execution.differing.add(tool.path)
            said = f"{tool.path} does not return what it declares: {found}; the program received it unchanged"
            execution.publish(Output("stderr", f"Warning: {said}\n", "warn"))

    def _observe(self, execution: Execution, tool: Tool, observed: ObservedResult, number: int, result: Raw) -> None:
        """Take in what a call has returned; a note says so where that widens the type that programs know."""
        try:
            widened = observed.take(result)
        except Exception:  # whatever a tool returns, its program goes on
            log.warning("observations = the result of %s cannot be read", tool.path, exc_info=True)
            return
        if widened:
            more = f", and {len(widened) - MOST_WIDENED:,} more" if len(widened) > MOST_WIDENED else ""
            note = f"{WIDENED}{', '.join(widened[:MOST_WIDENED])}{more}"
            execution.publish(CallNoted(number, tool.path, self._clock() - execution.started_at, note))

    def _too_long(self, execution: Execution, offer: Offer) -> errors.ToolTimeout | None:
        """Return the error of a call that takes too long; None: its time is limited elsewhere."""
        times = execution.call_times
        if times is not None and (seconds := times.of(offer.tool)) is not None:
            return times.timeout(offer.tool, seconds)
        if offer.is_patient:
            return None
        if times is not None:
            return times.timeout(offer.tool, execution.call_s)
        return errors.ToolTimeout(offer.tool.path, execution.call_s) if offer.tool.path in execution.guarded else None

    def _find(self, path: str) -> Offer:
        """Look a tool up; raises `ToolNotFound`, which says why the tool's owner does not offer it now."""
        try:
            return self._scope.find(path)
        except errors.ToolNotFound:
            if (why := self._explain(path)) is None:
                raise
            raise errors.ToolNotFound(f"Cannot call {path[:200]}: {why}") from None

    def _gone(self, tool: Tool) -> errors.PctxError | None:
        """Return what a call of a tool fails with that is gone while a person is asked; None: it is there."""
        try:
            if self._find(tool.path).tool is tool:
                return None
        except errors.ToolNotFound as error:
            return error
        return consent.refusal(tool.path, "it has changed while a person was asked; call it again")

    def _asked_by(self, path: str) -> AskedBy:
        """Whose call of a tool its programs make, as its owner sees it: of another notebook's, a notebook's."""
        return "notebook" if self._asker == "cell" and self._scope.is_foreign(path) else self._asker

    async def _consent(
        self,
        execution: Execution,
        tool: Tool,
        then: Then,
        arguments: Raw | None,
        line: int | None,
        decided: Callable[[Decision, Raw | None], None],
        note: Callable[[str], None],
    ) -> Raw | None:
        """Ask for a person's consent to a call; return its arguments, which they may have changed.

        Args:
            execution: The one that calls.
            tool: What it calls.
            then: What is to become of the call.
            arguments: JSON.
            line: Where the program calls; None: that is unknown.
            decided: Receives the decision, with the arguments that a person has changed.
            note: Receives what delays the call.

        Raises:
            ToolFailed: It is denied.
        """
        path = tool.path
        if then == "deny":
            decided("forbidden", None)
            raise consent.refusal(path, forbidden(self._asked_by(path)))
        is_granted = execution.granted.get(path) is tool
        if is_granted or self._approvals.is_granted(path, self._asked_by(path), self._of, tool):
            decided("granted", None)
            return arguments
        if execution.is_unattended:
            decided("unanswered", None)
            why = "it needs a person's consent, and nobody answered this program before"
            raise consent.refusal(path, why + self._way_out(tool))
        question = self._question(execution, tool, arguments, line)
        question.effects = tool.effects
        question.agent, question.input_schema = execution.agent, _shown_schema(tool)

        answer = await self._approvals.ask(
            question,
            self._of,
            tool,
            client=execution.client,
            granted=execution.granted,
            has_client=execution.has_client,
            hold=execution.hold.waiting(),
            asked=lambda question: note(consent.waits_in(question)),
            gone=lambda: self._gone(tool),
        )
        execution.is_unattended = answer.decision == "unanswered" and answer.was_asked
        decided(answer.decision, answer.arguments)
        if not answer.is_allowed:
            raise consent.refusal(path, answer.why + (self._way_out(tool) if answer.decision == "unanswered" else ""))
        if (error := self._gone(tool)) is not None:
            raise error
        return arguments if answer.arguments is None else nonfinite.taken(answer.arguments)

    def _question(self, execution: Execution, tool: Tool, arguments: Raw | None, line: int | None) -> Question:
        path, size = tool.path, 0 if arguments is None else memoryview(arguments).nbytes
        code, first_line = consent.part_around(execution.code, line, MOST_CODE)
        return Question(
            id="",
            tool=path,
            description=_described(tool)[: consent.MOST_DESCRIPTION],
            asked_by=self._asked_by(path),
            notebook=self._notebook(),
            execution=execution.key,
            code=code,
            first_line=first_line,
            code_cut=len(code) < len(execution.code),
            line=line,
            arguments=preview(arguments, consent.MOST_ARGUMENTS),
            argument_bytes=size,
            is_cut=size > consent.MOST_ARGUMENTS,
        )

    async def _ask(self, form: Form, execution: Execution, tool: Tool, line: int | None, number: int) -> FormReply:
        """Ask a person what the MCP server wants to know that serves a call. The answer is in no trace."""

        def say(text: str) -> None:
            execution.publish(CallNoted(number, tool.path, self._clock() - execution.started_at, text))

        if execution.is_unattended:
            return FormReply("cancel", why="nobody answered this program before")
        schema = form.schema
        written = Raw(msgspec.json.encode({} if schema is None else forms.draft(schema)))
        question = self._question(execution, tool, written, line)
        question.form = AskedForm(
            server=form.server,
            message=form.message,
            schema=schema,
            url=form.url,
            secrets=[] if schema is None else forms.secret_fields(schema),
            others=list(form.others),
        )
        question.agent = execution.agent
        if schema is not None:
            question.input_schema = Raw(msgspec.json.encode(schema))
        answer = await self._approvals.ask_form(
            question,
            tool,
            client=execution.client,
            # Where the server does not say which call it asks about, the client's user may be asked for another's.
            has_client=execution.has_client and not form.others,
            hold=execution.hold.waiting(),
            asked=lambda question: say(consent.waits_in(question)),
        )
        execution.is_unattended = answer.decision == "unanswered" and answer.was_asked
        if answer.is_allowed:
            say(f"a person answered {form.server}")
            content = None if schema is None or answer.arguments is None else msgspec.json.decode(answer.arguments)
            return FormReply("accept", content)
        if answer.decision == "unanswered":
            return FormReply("cancel", why=answer.why)
        say(f"a person declined to answer {form.server}")
        return FormReply("decline")

    def _way_out(self, tool: Tool) -> str:
        return way_out(tool, can_last=self._approvals.remembered.has(tool))


def _shown_schema(tool: Tool) -> Raw | UnsetType:
    """A tool's input schema, as a question has it."""
    if tool.input_schema is None:
        return UNSET
    schema = msgspec.json.encode(tool.input_schema)
    return Raw(schema) if len(schema) <= consent.MOST_SCHEMA else UNSET


async def _in_time(work: Awaitable[Raw], too_long: errors.ToolTimeout) -> Raw:
    """Hold a call to its time, where the code that runs the program does not: consent or `CallTimes` come into it.

    Args:
        too_long: Says how long it may take, and is raised when it takes longer.
    """
    timeout = asyncio.timeout(too_long.seconds)
    try:
        async with timeout:
            return await work
    except TimeoutError as error:
        if timeout.expired():
            raise too_long from None
        raise errors.ToolFailed(str(error), name="TimeoutError") from None  # it is the tool's own


def _described(tool: Tool) -> str:
    """A tool's description, with its notebook where another one has the same file name."""
    return f"A function of the notebook {tool.notebook}.\n{tool.description}" if tool.notebook else tool.description
