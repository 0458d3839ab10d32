"""Approvals: which questions wait for a person, their answers, and what is granted for longer.

Which calls need consent is the policy's to say (`policy.py`), and what a question says is in `consent.py`. Who is
asked, and how, is not known here.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from .. import errors
from ..rpc.jsonrpc import Json
from ..tools.arguments import ArgumentProblem, problems
from ..tools.calls import AskedBy
from ..tools.tool import Tool
from . import forms
from .consent import PLACES, ConsentPlace, ConsentReply, Question
from .remembered import Nothing, Permission, Remembered

ABSENCE_S = 10.0
"""Seconds for which a front end that has disconnected still counts as there: a page that is reloaded comes back."""


CHANGE_S = 0.1
"""Seconds after a change of tools at which questions about tools that are gone end: one check for many changes."""

MOST_NAMED = 5
"""Arguments that the message of a refusal names."""


@dataclass(slots=True, eq=False)
class _Pending:
    question: Question
    grant: tuple[str, str]
    tool: Tool
    granted: dict[str, Tool]
    """What a person has allowed to the program that calls, by path."""
    ends_at: float
    reply: asyncio.Future[ConsentReply]
    gone: Gone

    def settle(self, reply: ConsentReply) -> None:
        """End the wait; does nothing once it is over."""
        if not self.reply.done():
            self.reply.set_result(reply)

    def fail(self, error: errors.PctxError) -> None:
        """End the wait with an error; does nothing once it is over."""
        if not self.reply.done():
            self.reply.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Grant:
    """What is allowed without asking: a tool, for as long as it is this very tool."""

    id: str
    tool: Tool
    question: Question
    since: float


Gone = Callable[[], errors.PctxError | None]
"""Returns what a call fails with whose program no longer finds this very tool; None: it finds it."""

Holds = Callable[[str, str, Tool], bool]
"""Whether the programs of an asker still find this very tool by a path."""


@dataclass(slots=True)
class _Attendance:
    """Who attends in one place: how many, and when the last one left."""

    count: int = 0
    left_at: float = -math.inf


class Approvals:
    """The questions of one engine.

    Args:
        limit_s: Seconds after which a question is answered by no.
        clock: Monotonic seconds.
        changed: Called when there is a question more, or one less.
        consent_by: The places that may give consent.
        most: Programs that may wait for consent at the same time.
        now: Seconds since 1970.

    Attributes:
        is_served: Whether front ends can connect to the engine; a server says so.
        remembered: The consents for good that outlive this object.
    """

    def __init__(
        self,
        limit_s: float,
        clock: Callable[[], float],
        changed: Callable[[], None],
        consent_by: Iterable[str] = PLACES,
        most: int = 16,
        now: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.is_served = False
        self.remembered: Remembered = Nothing()
        self._limit_s, self._clock, self._changed, self._most = limit_s, clock, changed, most
        self._consent_by = frozenset(consent_by)
        self._now = now
        self._pending: dict[str, _Pending] = {}
        self._granted: dict[tuple[str, str], _Grant] = {}
        self._attending = {place: _Attendance() for place in PLACES}
        # Clients and their programs with calls that wait, or have an answer and no place yet.
        self._held: Counter[tuple[str, str]] = Counter()
        self._check_later: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._pending)

    def attend(self, place: ConsentPlace = "jupyterlab") -> Callable[[], None]:
        """Count a person who can be asked; returns the function to call when they leave."""
        attendance = self._attending[place]
        attendance.count += 1
        if place in self._consent_by:
            for pending in self._pending.values():  # they may answer what waits already
                there = {place, *pending.question.places}
                pending.question.places = [one for one in PLACES if one in there]
            if self._pending:
                self._changed()

        is_there = True

        def leave() -> None:
            nonlocal is_there
            if not is_there:
                return
            is_there = False
            attendance.count -= 1
            if place == "jupyterlab":  # a page may be loaded again; a terminal that ends has ended
                attendance.left_at = self._clock()

        return leave

    def may_consent(self, place: ConsentPlace) -> bool:
        """Whether consent may be given in this place."""
        return place in self._consent_by

    def places(self, *, has_client: bool) -> list[ConsentPlace]:
        """Where a person can be asked now.

        Args:
            has_client: Whether the program's own client can be asked.
        """
        since = self._clock() - ABSENCE_S
        there = {place for place, one in self._attending.items() if one.count > 0 or one.left_at > since}
        if has_client:
            there.add("client")
        return [place for place in PLACES if place in there & self._consent_by]

    def questions(self) -> list[Question]:
        """Those that wait, the oldest first."""
        now = self._clock()
        for pending in self._pending.values():
            pending.question.left_s = round(max(0.0, pending.ends_at - now), 1)
        return [pending.question for pending in self._pending.values()]

    def is_granted(self, path: str, by: AskedBy, of: str, tool: Tool) -> bool:
        """Whether a person has consented to such calls for good; the arguments are those of `ask`."""
        grant = self._granted.get((of, path))
        return (grant is not None and grant.tool is tool) or self.remembered.allows(tool, by)

    async def ask(
        self,
        question: Question,
        of: str,
        tool: Tool,
        *,
        client: str = "",
        granted: dict[str, Tool] | None = None,
        has_client: bool = False,
        hold: AbstractAsyncContextManager[None] | None = None,
        asked: Callable[[Question], None] = lambda question: None,
        gone: Gone = lambda: None,
    ) -> ConsentReply:
        """Wait for a person's answer. When none comes in time, or no person can be asked, a reply says so.

        Args:
            question: Its `id`, `left_s` and `places` are filled in here.
            of: With the tool, what is granted when a person allows it for good: the programs whose calls it covers.
            tool: The very tool: one that takes its place has its name, and not what was granted.
            client: Whose program it is. One client's programs have half of the places for those that wait.
            granted: Where to write what a person allows for the rest of this program, by path.
            has_client: Whether the program's own client can be asked.
            hold: Entered while a person is asked, and not where that is needless.
            asked: Receives the question once it waits.
            gone: Whether the tool is gone; then the question is over.

        Raises:
            PctxError: As `gone` returns it.
        """
        grant = (of, question.tool)
        if self.is_granted(question.tool, question.asked_by, of, tool):
            return ConsentReply("granted")
        question.lasts = "tool" if self.remembered.has(tool) else "session"
        written = {} if granted is None else granted
        return await self._ask(question, grant, tool, written, client, has_client, hold, asked, gone)

    async def ask_form(
        self,
        question: Question,
        tool: Tool,
        *,
        client: str,
        has_client: bool,
        hold: AbstractAsyncContextManager[None],
        asked: Callable[[Question], None],
    ) -> ConsentReply:
        """Wait for a person's answer to the form of a question; as `ask`, but no consent for good answers a form."""
        return await self._ask(question, ("", ""), tool, {}, client, has_client, hold, asked)

    async def _ask(
        self,
        question: Question,
        grant: tuple[str, str],
        tool: Tool,
        granted: dict[str, Tool],
        client: str,
        has_client: bool,
        hold: AbstractAsyncContextManager[None] | None,
        asked: Callable[[Question], None],
        gone: Gone = lambda: None,
    ) -> ConsentReply:
        question.places = self.places(has_client=has_client)
        if not question.places:
            return self.nobody(question)
        program = (client, question.execution)
        if program not in self._held and (many := self._too_many(client)):
            why = (
                f"{_needs(question)}{many} wait for theirs already (Pctx.max_waiting_programs); try again when those "
                "are answered"
            )
            return ConsentReply("unanswered", why=why, was_asked=False)
        self._held[program] += 1
        try:
            async with hold or nullcontext():
                answer = await self._wait(question, grant, tool, granted, asked, gone)
        finally:
            self._held[program] -= 1
            if not self._held[program]:
                del self._held[program]
        if answer is not None:
            return answer
        why = f"nobody answered within {self._limit_s:g} s (Pctx.max_approval_s)"
        if question.form is None:
            why = f"it needs a person's consent, and {why}"
        return ConsentReply("unanswered", why=why)

    def _too_many(self, client: str) -> str:
        """The programs that keep one more of this client's from waiting; empty: it may. One client has half of all."""
        own, share = sum(one == client for one, _ in self._held), (self._most + 1) // 2
        if len(self._held) >= self._most:
            return f"{len(self._held):,} programs"
        return f"{own:,} of its client's programs, half of all that may," if own >= share else ""

    async def _wait(
        self,
        question: Question,
        grant: tuple[str, str],
        tool: Tool,
        granted: dict[str, Tool],
        asked: Callable[[Question], None],
        gone: Gone,
    ) -> ConsentReply | None:
        # Hexadecimal: a person gives it to `--allow`, where a leading "-" would be read as another option.
        question.id, question.left_s = secrets.token_hex(8), self._limit_s
        reply: asyncio.Future[ConsentReply] = asyncio.get_running_loop().create_future()
        pending = _Pending(question, grant, tool, granted, self._clock() + self._limit_s, reply, gone)
        self._pending[question.id] = pending
        asked(question)
        self._changed()
        try:
            async with asyncio.timeout(self._limit_s):
                return await reply
        except TimeoutError:
            return None
        finally:
            del self._pending[question.id]
            self._changed()

    def nobody(self, question: Question) -> ConsentReply:
        """The answer where no person can be asked. It contains what an agent can report to its user."""
        ways = []
        if self.is_served and "jupyterlab" in self._consent_by:
            ways.append("open JupyterLab on this server")
        if self.is_served and "terminal" in self._consent_by:
            ways.append("run jupyter pctx approvals --watch in a terminal")
        if not self.is_served:
            ways.append("start a Jupyter server for pctx (jupyter pctx start), where a person can be asked")
        if "client" in self._consent_by:
            ways.append("use an MCP client that can ask its user (elicitation)")
        if question.form is None:
            ways.append("allow this call by a rule in c.Pctx.policy")
        if not ways:
            return ConsentReply("unanswered", why="nobody may be asked here (Pctx.consent_by)", was_asked=False)
        *first, last = ways
        way_out = f"{', to '.join(first)}, or to {last}" if first else last
        why = f"{_needs(question)}nobody can be asked now"
        why = f"{why}. Tell the user to {way_out}; do not retry before they have"
        return ConsentReply("unanswered", why=why, was_asked=False)

    def of(self, execution: str) -> list[Question]:
        """The questions about calls of one execution, by its key, the oldest first."""
        return [question for question in self.questions() if question.execution == execution]

    def about(self, tools: Iterable[Tool]) -> list[Question]:
        """The questions about calls of these tools, under whatever name they are called; the oldest first."""
        wanted = {id(tool.first) for tool in tools}
        self.questions()  # fills in how long is left
        return [pending.question for pending in self._pending.values() if id(pending.tool.first) in wanted]

    def note_change(self) -> None:
        """Note that tools have changed: questions about those that are gone are over soon."""
        if self._pending and self._check_later is None:
            self._check_later = asyncio.get_running_loop().call_later(CHANGE_S, self._end_gone)

    def _end_gone(self) -> None:
        self._check_later = None
        for pending in self._pending.values():
            if (error := pending.gone()) is not None:
                pending.fail(error)

    def withdraw(self, id: str, place: ConsentPlace) -> None:
        """Record that a question cannot be answered in this place after all; without another place, it is over."""
        pending = self._pending.get(id)
        if pending is None or place not in pending.question.places:
            return
        pending.question.places.remove(place)
        if not pending.question.places:
            pending.settle(self.nobody(pending.question))
        self._changed()

    def answer(self, id: str, answer: ConsentReply, *, for_good: bool = False, for_program: bool = False) -> bool:
        """Answer a question; returns whether it was still there.

        Args:
            for_good: Allow this tool to the same askers from now on, those who wait among them.
            for_program: Allow this tool to the program that calls, until it ends; its calls that wait are among them.

        Raises:
            ArgumentsRefused: The arguments were edited, and do not fit the tool's schema, or the form of the question.
                The question stays.
        """
        pending = self._pending.get(id)
        if pending is None:
            return False
        if answer.is_allowed:
            self._check(pending, answer.arguments)
        if (form := pending.question.form) is not None:
            if answer.is_allowed and form.schema is not None:
                given = _decoded(form.schema, answer.arguments)
                whole = forms.filled_in(form.schema, given if isinstance(given, dict) else {})
                answer = ConsentReply("edited", Raw(msgspec.json.encode(whole)))
            pending.settle(answer)
            return True
        if answer.is_allowed and for_good:
            self._grant(pending)
        if answer.is_allowed and for_program:
            pending.granted[pending.question.tool] = pending.tool
        if answer.is_allowed and (for_good or for_program):
            for other in self._pending.values():
                if other is not pending and other.question.form is None and self._is_granted(other):
                    other.settle(ConsentReply("granted"))
        pending.settle(answer)
        return True

    def problems(self, id: str, arguments: Raw | None) -> list[ArgumentProblem] | None:
        """What is wrong with what a person may pass in place of a program's arguments; None: no such call waits.

        Args:
            arguments: JSON; None: the program's own, or the draft of an answer to a form.
        """
        pending = self._pending.get(id)
        return None if pending is None else _problems(pending, arguments)

    def _check(self, pending: _Pending, arguments: Raw | None) -> None:
        if found := _problems(pending, arguments):
            said = "; ".join(one.text() for one in found[:MOST_NAMED])
            more = "" if len(found) <= MOST_NAMED else f"; and {len(found) - MOST_NAMED} more"
            what = f"Cannot call {pending.question.tool} with these arguments"
            if pending.question.form is not None:
                what = "Cannot send this answer"
            raise errors.ArgumentsRefused(f"{what}: {said}{more}")

    def _is_granted(self, pending: _Pending) -> bool:
        (of, path), tool = pending.grant, pending.tool
        return pending.granted.get(path) is tool or self.is_granted(path, pending.question.asked_by, of, tool)

    def _grant(self, pending: _Pending) -> None:
        if self.remembered.has(pending.tool):
            self.remembered.allow(pending.tool, pending.question.asked_by)
        else:
            self._granted[pending.grant] = _Grant(secrets.token_hex(8), pending.tool, pending.question, self._now())
        self._changed()

    def permissions(self, holds: Holds = lambda of, path, tool: True) -> list[Permission]:
        """Return what is allowed without asking and is not `remembered`, the oldest first.

        Args:
            holds: Says whether a tool that was granted is still there: if not, its permission has ended.
        """
        return [
            Permission(
                id=grant.id,
                tool=path,
                asked_by=[grant.question.asked_by],
                since=grant.since,
                notebook=grant.question.notebook,
            )
            for (of, path), grant in self._granted.items()
            if holds(of, path, grant.tool)
        ]

    def revoke(self, id: str) -> bool:
        """Take a permission back; returns whether there was one. The next call of the tool waits for a person."""
        found = next((key for key, grant in self._granted.items() if grant.id == id), None)
        if found is not None:
            del self._granted[found]
        elif not self.remembered.revoke(id):
            return False
        self._changed()
        return True

    def forget(self, namespace: str | None, of: str | None) -> None:
        """Take back what was granted for the tools of a namespace, and to an asker: they are no more."""
        before = len(self._granted)
        self._granted = {
            (asker, path): grant
            for (asker, path), grant in self._granted.items()
            if asker != of and path.partition(".")[0] != namespace
        }
        if len(self._granted) < before:
            self._changed()


def _problems(pending: _Pending, arguments: Raw | None) -> list[ArgumentProblem]:
    """What is wrong with an answer, by the one check that its kind of question has."""
    if (form := pending.question.form) is not None:
        return [] if form.schema is None else forms.problems(form.schema, _decoded(form.schema, arguments))
    if arguments is None:  # the program's own are the tool's to check
        return []
    passed = None if pending.question.is_cut else Raw(pending.question.arguments.encode() or b"{}")
    return problems(pending.tool.input_schema, arguments, passed)


def _needs(question: Question) -> str:
    """How a reason begins for which nobody is asked."""
    return "" if question.form is not None else "it was not sent. It needs a person's consent, and "


def _decoded(schema: dict[str, Json], arguments: Raw | None) -> Json:
    """The answer to a form: its draft where a person has changed nothing; None: it cannot be read."""
    if arguments is None:
        return forms.draft(schema)
    try:
        read: Json = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return None
    return read
