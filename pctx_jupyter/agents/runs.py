"""Programs that agents run: followed while a request waits for them, and found again by a handle later.

A program outlives the request that began it only once its handle was returned. Handles cannot be guessed, expire, and
are bounded in number. Every program is stopped when the server stops.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType

from .. import errors, processes, threads, visible
from ..program.result import CallDecided, CallEnded, CallNoted, CallStarted, Display, Event, Output, ProgramResult
from ..session import consent
from ..session.consent import ConsentReply as Consent
from ..session.consent import Question
from ..session.execution import Execution
from ..session.meter import in_words
from ..session.session import Session
from . import answers
from .answers import AgentAnswer
from .calls import CallSummary
from .headings import Heading
from .states import AgentState

log = logging.getLogger(__name__)

BEAT_S = 4.0
"""Seconds between two reports at the most: clients give up on a server that is silent."""
PAUSE_S = 0.2
"""Seconds between two reports, so that a thousand lines are not a thousand messages."""
MOST = 100
"""Runs whose handles are known; the oldest that is over makes room."""
REPORT = 1_000
"""Characters of one report."""
MOST_PENDING = 200
"""Pieces of news kept for the next report."""

MOST_UNKEPT = 5
"""Exports of which an answer says why they are not kept."""

MOST_ROUNDS = 8
"""Times that one request is answered with questions for the client's user: clients repeat it 10 times at most."""

FEW_BYTES = 100_000
"""Bytes of a value that are cut in the event loop; a larger one is cut on a thread."""

Report = Callable[[str], Awaitable[None]]
"""Sends the client a report of progress."""

AskClient = Callable[[Question], Awaitable[Consent | None]]
"""Has a client ask its user while its request is open. Returns None where it cannot ask, or they did not decide."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """A client that asks its user after its request is answered with questions, and then repeats the request.

    Args:
        handle: Of the program that it returns to; None: this is its first request.
        decided: Returns what its user decided on a question, by the question's id; None: they did not, or it cannot
            ask.
    """

    handle: str | None = None
    decided: Mapping[str, Callable[[Question], Consent | None]] = field(default_factory=dict)


Asks = AskClient | Repeats | None
"""How a client can ask its user; None: it cannot."""


class AgentRun:
    """One program, from its start to its answer. Of one that is over, the answer alone is kept: its value may be large.

    Args:
        session: Where it runs.
        code: The program.
        timeout_s: Seconds it may take; None: the default.
        most: Characters of an answer.
        has_client: Whether the client can ask its user about its calls.
        state: Where it finds and leaves exports; None: nowhere.

    Attributes:
        rounds: Times that the client was given questions since it last called a function of its own accord.
    """

    def __init__(
        self,
        session: Session,
        code: str,
        timeout_s: float | None,
        most: int,
        *,
        has_client: bool = False,
        state: AgentState | None = None,
    ) -> None:
        self._state, self._has_meter = state, session.settings.agent_meter
        self.handle = secrets.token_urlsafe(16)
        self._digest, self.rounds = _digest(code), 0
        self._approvals, self._has_client = session.approvals, has_client
        self._execution: Execution | None = None
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._decided: set[str] = set()  # questions that the client has answered
        self._most = most
        self._console: list[str] = []
        self._seen = 0  # pieces of the console that are in an answer already
        self._news: list[str] = []
        self._changed = asyncio.Event()
        self._calls = CallSummary()
        self._shown: list[Display] = []
        self._began_at = asyncio.get_running_loop().time()
        running = self._run(session, code, timeout_s)
        self._task: asyncio.Task[AgentAnswer] = asyncio.create_task(running, name=f"pctx run {self.handle[:6]}")
        self._task.add_done_callback(lambda task: self._wake())

    @property
    def is_over(self) -> bool:
        return self._task.done()

    def is_of(self, code: str) -> bool:
        """Whether this is its program."""
        return self._digest == _digest(code)

    def stop(self) -> None:
        """Cancel it; it ends soon."""
        self._task.cancel()

    async def over(self) -> None:
        """Wait until it has ended."""
        await asyncio.wait([self._task])

    def when_over(self, act: Callable[[], None]) -> None:
        """Call a function once it has ended."""
        self._task.add_done_callback(lambda task: act())

    async def follow(self, report: Report, wait_s: float, asks: Asks = None) -> tuple[Question, ...]:
        """Wait until it is over, `wait_s` at most, and report meanwhile how it goes.

        Args:
            asks: How the client that waits can ask its user; what they decide counts.

        Returns:
            Questions for a client that repeats its request; then it is not over, and waited for no longer.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        self._follow_with(asks)
        try:
            while not self.is_over and (left := until - loop.time()) > 0:
                questions = self._for_client() if asks is not None else ()
                if questions and isinstance(asks, Repeats):
                    self.rounds += 1
                    return questions if self.rounds <= MOST_ROUNDS else ()
                if callable(asks):
                    self._have_asked(questions, asks)
                await self._something_new(min(BEAT_S, left))
                if self.is_over:
                    break
                await self._report(report)
                await asyncio.wait([self._task], timeout=min(PAUSE_S, max(until - loop.time(), 0)))
        finally:
            await self._ask_no_more()
        return ()

    @property
    def waits(self) -> str:
        """What it waits for, if it waits for a person."""
        questions = self._questions()
        return consent.waiting(questions) if questions else ""

    def answer(self) -> AgentAnswer:
        """Return the answer as of now, with its state. What was printed is in one answer only."""
        if self._task.cancelled():  # before it began
            return self._with_notes(self._stopped())
        if self.is_over:
            return self._task.result()
        console, self._seen = self._unseen, len(self._console)
        seconds = asyncio.get_running_loop().time() - self._began_at
        return self._with_notes(
            answers.running(self.handle, seconds, self._calls.made, console, self._most, self.waits)
        )

    @property
    def _unseen(self) -> str:
        """What it has printed that is in no answer yet."""
        return "".join(self._console[self._seen :])

    async def _run(self, session: Session, code: str, timeout_s: float | None) -> AgentAnswer:
        """Run the program and return its last answer. If this is cancelled, the program is stopped."""
        unkept: Mapping[str, str] = {}
        try:
            outcome = await self._execute(session, code, timeout_s)
            if isinstance(outcome, ProgramResult):
                unkept = outcome.unkept
            answer = await self._last_answer(outcome, code)
        except asyncio.CancelledError:
            answer = self._stopped()
        answer = self._with_notes(answer, unkept)
        self._execution = None
        for reported in (self._console, self._shown, self._news):
            reported.clear()
        return answer

    def _stopped(self) -> AgentAnswer:
        return answers.failed(answers.StoppedByClient("The program was stopped"), self._unseen, self._most, self._calls)

    async def _last_answer(self, outcome: ProgramResult | errors.PctxError, code: str) -> AgentAnswer:
        if isinstance(outcome, errors.PctxError):
            return answers.failed(outcome, self._unseen, self._most, self._calls)
        make = partial(answers.ended, outcome, self._unseen, self._shown, self._most, code, self._calls)
        return make() if memoryview(outcome.value).nbytes <= FEW_BYTES else await threads.compute(make)

    def _with_notes(self, answer: AgentAnswer, unkept: Mapping[str, str] = MappingProxyType({})) -> AgentAnswer:
        """Add what it cost, which of its exports are not kept and why (of many, the first), and its state."""
        lines = [answer.text]
        if self._has_meter and self._execution is not None and (meter := self._execution.recorder.trace.meter):
            lines.append(f"{Heading.COST}{in_words(meter.plain, meter.here)}")
        if self._state is not None:
            lines += [f"{Heading.NOT_KEPT}{name}: {why}" for name, why in list(unkept.items())[:MOST_UNKEPT]]
            lines.append(self._state.described)
        return replace(answer, text="\n".join(lines))

    async def _execute(self, session: Session, code: str, timeout_s: float | None) -> ProgramResult | errors.PctxError:
        state = self._state
        if state is not None:
            state.programs += 1
        try:
            return await session.execute(
                code,
                timeout_s=timeout_s,
                emit=self._take_in,
                began=self._begin,
                kept=None if state is None else state.kept,
            )
        except errors.PctxError as error:
            return error
        except Exception as error:
            log.exception("mcp = failed to run a program")
            return errors.PctxError(processes.unforeseen(error))
        finally:
            if state is not None:
                state.programs -= 1

    # what the client's user is asked

    def _begin(self, execution: Execution) -> None:
        self._execution = execution
        execution.has_client = self._has_client

    def _follow_with(self, asks: Asks) -> None:
        """A client waits from now on: take what its user has decided, and know whether they can be asked."""
        self._has_client = asks is not None
        if self._execution is not None:
            self._execution.has_client = self._has_client
        if isinstance(asks, Repeats):
            for question in self._for_client():
                if question.id in asks.decided:
                    self._take(question.id, asks.decided[question.id](question))

    def _questions(self) -> list[Question]:
        """The questions about its calls that have no answer yet."""
        if self._execution is None:
            return []
        return [one for one in self._approvals.of(self._execution.key) if one.id not in self._decided]

    def _for_client(self) -> tuple[Question, ...]:
        return tuple(question for question in self._questions() if "client" in question.places)

    def _have_asked(self, questions: Sequence[Question], ask: AskClient) -> None:
        """Make the client ask its user these questions, and cancel those that it asks besides."""
        wanted = {question.id: question for question in questions}
        for id in [id for id in self._asking if id not in wanted]:
            self._asking.pop(id).cancel()
        for id, question in wanted.items():
            if id not in self._asking:
                self._asking[id] = asyncio.create_task(self._ask(question, ask), name="pctx mcp consent")

    async def _ask_no_more(self) -> None:
        """Cancel the questions to the client before its request is answered: afterwards, no message can reach it."""
        asking, self._asking = list(self._asking.values()), {}
        for task in asking:
            task.cancel()
        if asking:
            await asyncio.wait(asking, timeout=BEAT_S)

    async def _ask(self, question: Question, ask: AskClient) -> None:
        try:
            consent = await ask(question)
        except Exception:
            log.exception("mcp = failed to ask a client's user")
            consent = None
        self._take(question.id, consent)

    def _take(self, id: str, consent: Consent | None) -> None:
        if consent is None:
            self._approvals.withdraw(id, "client")
        else:
            try:
                self._approvals.answer(id, consent)
            except errors.InvalidParams as error:
                log.info(
                    "mcp = the answer of a client's user does not fit the form: %s", visible.LogText(error.message)
                )
                self._approvals.withdraw(id, "client")
            else:
                self._decided.add(id)

    # reports

    def _take_in(self, event: Event) -> None:
        self._calls.add(event)
        match event:
            case Output(_, text):
                self._console.append(text)
                self._note(text.rstrip("\n"))
            case Display():
                self._show(event)
            case CallStarted(_, tool, arguments=arguments):
                self._note(f"{tool}({arguments[:100]})")
            case CallNoted(_, _, _, note) if note.startswith((consent.WAITS, consent.WAITS_FOR_ANSWER)):
                self._wake()  # a report says so as long as it holds
            case CallNoted(_, tool, _, note) if note:
                self._note(f"{tool}: {note}")
            case CallDecided():
                self._wake()
            case CallEnded(_, tool, _, _, str(error)):
                self._note(f"{tool} failed: {error[:200]}")

    def _show(self, display: Display) -> None:
        if display.update:
            self._shown = [one for one in self._shown if one.display_id != display.display_id]
        self._shown.append(display)

    def _note(self, text: str) -> None:
        if len(self._news) < MOST_PENDING:
            self._news.append(text[:REPORT])
        self._wake()

    def _wake(self) -> None:
        self._changed.set()

    async def _something_new(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _report(self, report: Report) -> None:
        self._changed.clear()
        news, self._news = self._news, []
        seconds = asyncio.get_running_loop().time() - self._began_at
        if waits := self.waits:
            news.append(waits)
        text = "\n".join(news)[-REPORT:] or f"running for {seconds:.0f} s, {self._calls.made:,} calls made"
        try:
            async with asyncio.timeout(BEAT_S):  # one who does not read must not keep us
                await report(text)
        except TimeoutError:
            log.debug("mcp = a client does not read its reports")


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode(errors="surrogatepass")).digest()


class Runs:
    """The runs of all agents.

    Args:
        kept_s: Seconds a run that is over can be collected.
    """

    def __init__(self, kept_s: float) -> None:
        self._kept_s = kept_s
        self._known: OrderedDict[str, AgentRun] = OrderedDict()
        self._going: set[AgentRun] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        """How many can be collected."""
        return len(self._known)

    def add(self, run: AgentRun) -> AgentRun:
        """Take note of a run that has begun, and return it; `close` stops it."""
        self._going.add(run)
        run.when_over(lambda: self._going.discard(run))
        return run

    def keep(self, run: AgentRun) -> None:
        """Let a run be collected later, by its handle.

        Raises:
            Busy: All that are known still run.
        """
        if run.handle in self._known:
            return
        if len(self._known) >= MOST:
            oldest = next((known for known in self._known.values() if known.is_over), None)
            if oldest is None:
                raise errors.Busy(
                    f"Cannot go on in the background: {MOST} programs run already; ask for less at a time"
                )
            self._forget(oldest.handle)
        self._known[run.handle] = run
        run.when_over(lambda: self._expire_later(run.handle))

    def get(self, handle: str) -> AgentRun:
        """The run of this handle.

        Raises:
            InvalidParams: There is none, or it has expired.
        """
        run = self._known.get(handle)
        if run is None:
            raise errors.InvalidParams(
                f"Cannot wait: no such execution; one that is over is kept for {self._kept_s:g} s. Execute it again"
            )
        return run

    async def close(self) -> None:
        """Stop whatever runs, and forget all."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._known.clear()  # first: the end of a run that can be collected sets a timer
        going = list(self._going)
        for run in going:
            run.stop()
        for run in going:
            await run.over()

    def _expire_later(self, handle: str) -> None:
        if handle in self._known:
            loop = asyncio.get_running_loop()
            self._timers[handle] = loop.call_later(self._kept_s, self._forget, handle)

    def _forget(self, handle: str) -> None:
        self._known.pop(handle, None)
        timer = self._timers.pop(handle, None)
        if timer is not None:
            timer.cancel()
