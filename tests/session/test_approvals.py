"""Consent to tool calls: the policy, and calls that wait. A sandbox that is a function; waiting is the loop's own."""

from __future__ import annotations

import asyncio
import string
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.program.result import Emit
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.session import questions
from pctx_jupyter.session.approvals import ABSENCE_S
from pctx_jupyter.session.consent import ConsentPlace, ConsentReply, Question, part_around, waiting
from pctx_jupyter.session.execution import CLIENT, Job, ServeCall
from pctx_jupyter.session.policy import Policy, PolicyRule
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.settings import Limits, Settings
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.tool import Tool

from .. import fakes
from ..fakes import SOON, FakeClock, FakeSandbox, read

SEND = Tool("mail", "send", effects=True)
READ = Tool("mail", "read", effects=False)
SENDS = Tool("Notebook", "send", effects=True)
UNSAID = Tool("mail", "count")
UNKNOWN = Tool("my_wiki", "delete_page", effects=None)


def guarded(by: Any, *rules: str) -> dict[str, str]:
    return dict(Policy(rules).guarded(by, [SEND, READ, UNSAID, UNKNOWN]))


def test_at_first_agents_ask_for_what_has_effects_or_does_not_say_and_nobody_else_asks() -> None:
    rules = Settings().policy
    assert guarded("agent", *rules) == {"Mail.send": "ask", "MyWiki.deletePage": "ask"}
    assert guarded("cell", *rules) == guarded("notebook", *rules) == guarded("client", *rules) == {}


def test_the_first_rule_that_fits_counts() -> None:
    assert guarded("agent", "allow agent mail.send", "deny * Mail.*") == {"Mail.read": "deny", "Mail.count": "deny"}
    assert guarded("cell", "ask cell *.count", "deny agent *") == {"Mail.count": "ask"}
    assert guarded("cell") == {}


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        (["ask agent * effects"], {"Mail.send"}),
        (["ask agent * none"], {"Mail.read", "Mail.count"}),
        (["ask agent * unknown"], {"MyWiki.deletePage"}),
        (["ask agent *"], {"Mail.send", "Mail.read", "Mail.count", "MyWiki.deletePage"}),
        (["allow agent * none", "ask agent *"], {"Mail.send", "MyWiki.deletePage"}),
        (["allow agent MyWiki.* unknown", "ask agent * unknown"], set()),
    ],
)
def test_the_fourth_word_narrows_a_rule_to_what_is_known_of_effects(rules: list[str], found: set[str]) -> None:
    assert set(guarded("agent", *rules)) == found


@pytest.mark.parametrize(
    "name", ["MyWiki.deletePage", "my_wiki.delete_page", "MyWiki.delete_page", "my_wiki.deletePage"]
)
def test_a_rule_holds_for_a_tool_by_each_name_that_a_program_may_use(name: str) -> None:
    assert guarded("agent", f"deny agent {name}") == {"MyWiki.deletePage": "deny"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ask",
        "ask agent",
        "perhaps agent *",
        "ask nobody *",
        "ask agent * always",
        "ask agent * none unknown",
        "x " * 99,
    ],
)
def test_a_rule_that_cannot_be_read_is_refused_with_how_it_has_to_be(text: str) -> None:
    with pytest.raises(errors.InvalidParams, match="allow, ask or deny"):
        PolicyRule.read(text)


# calls that wait


async def answer(call: Call) -> Raw:
    return call.arguments or rpc.NULL


def calling(*calls: tuple[str, bytes]) -> FakeSandbox:
    """A sandbox whose program makes these calls at once, and says what came of each."""

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        async def one(path: str, arguments: bytes) -> Any:
            try:
                return read(await serve(path, Raw(arguments)))
            except errors.PctxError as error:
                return error.message

        return await asyncio.gather(*(one(*call) for call in calls))

    return FakeSandbox(act)


class Desk:
    """A registry with one notebook, ``Sales``, and somebody who answers."""

    def __init__(self, sandbox: FakeSandbox, **settings: Any) -> None:
        self.clock = FakeClock()
        self.registry = Registry(sandbox, Settings(**settings), self.clock)
        self.asked: list[Question] = []
        self.answers: Callable[[Question], None] = lambda question: None
        self.leave = self.registry.approvals.attend()
        self.registry.watchers.add(lambda change: self._on_change() if change == "approvals" else None)
        self.notebook = self.registry.open("k1")
        self.notebook.serve_others = answer
        self.registry.name_kernel("k1", "sales")
        for tool in (SENDS, Tool("Notebook", "read")):
            self.notebook.register(tool, answer)

    def _on_change(self) -> None:
        for question in self.registry.approvals.questions():
            if question not in self.asked:
                self.asked.append(question)
                asyncio.get_running_loop().call_soon(self.answers, question)

    def say(
        self, decision: Any, arguments: Raw | None = None, *, for_good: bool = False, for_program: bool = False
    ) -> None:
        """Answer every question so."""
        given = ConsentReply(decision, arguments, "a person denied it" if decision == "denied" else "")

        def give(question: Question) -> None:
            self.registry.approvals.answer(question.id, given, for_good=for_good, for_program=for_program)

        self.answers = give

    def run(self, code: str = "await Sales.send({})") -> Awaitable[Any]:
        """Run the program for an agent; its value."""

        async def run() -> Any:
            async with asyncio.timeout(SOON):
                return read((await self.registry.agents().execute(code)).value)

        return run()

    def decisions(self) -> list[str | None]:
        return [call.decision for call in next(iter(self.registry.history)).calls]


async def test_a_call_goes_on_when_somebody_consents() -> None:
    desk = Desk(calling(("Sales.send", b'{"to":1}'), ("Sales.read", b"{}")))
    desk.say("allowed")
    assert await desk.run() == [{"to": 1}, {}]
    (question,) = desk.asked
    assert (question.tool, question.asked_by, question.arguments) == ("Sales.send", "agent", '{"to":1}')
    assert (question.effects, question.lasts) == (True, "session")
    assert question.code == "await Sales.send({})" and question.execution == next(iter(desk.registry.history)).id
    assert (question.code_cut, question.first_line) == (False, 1)
    assert set(question.id) <= set(string.hexdigits), "a command line would read a leading - as an option"
    assert desk.decisions() == ["allowed", None] and len(desk.registry.approvals) == 0


async def test_a_question_shows_the_path_of_a_notebook_whose_file_name_another_one_has() -> None:
    desk = Desk(calling(("Sales.send", b"{}")))
    desk.say("allowed")
    desk.registry.name_kernel("k1", "sales", "a/sales.ipynb")
    await desk.run()
    desk.registry.name_kernel("k2", "sales", "b/sales.ipynb")
    await desk.run()
    assert [question.description.split("\n")[0] for question in desk.asked] == [
        "",
        "A function of the notebook a/sales.ipynb.",
    ]


LINES = "".join(f"line {number}\n" for number in range(1, 1001))


@pytest.mark.parametrize(
    ("line", "first", "last"),
    [(None, 1, 13), (1, 1, 13), (500, 495, 504), (1000, 990, 1000), (10**9, 990, 1000), (-1, 1, 13)],
)
def test_of_a_long_program_the_part_around_the_line_that_calls_is_shown(
    line: int | None, first: int, last: int
) -> None:
    part, begins = part_around(LINES, line, 100)
    whole = part[: part.rindex("\n")].split("\n")
    assert len(part) <= 100 and begins == first and whole[0] == f"line {first}"
    assert f"line {last}" in whole


def test_a_line_that_is_longer_than_what_is_shown_is_cut_at_its_end() -> None:
    assert part_around("y" * 90 + "\n" + "x" * 500 + "\nend", 2, 100) == ("x" * 100, 2)
    assert part_around("x" * 500, 1, 100) == ("x" * 100, 1)
    assert part_around("x" * 100, 1, 100) == ("x" * 100, 1)


async def test_a_question_says_that_its_code_is_not_all_there() -> None:
    desk = Desk(calling(("Sales.send", b"{}")))
    desk.say("allowed")
    await desk.run("// a comment\n" * 2000 + "await Sales.send({})")
    (question,) = desk.asked
    assert question.code_cut and len(question.code) <= 20_000 and question.first_line == 1


async def test_a_denied_call_is_an_error_that_the_program_can_catch() -> None:
    desk = Desk(calling(("Sales.send", b"{}")))
    desk.say("denied")
    assert await desk.run() == ["Cannot call Sales.send: a person denied it"]
    assert desk.decisions() == ["denied"]


async def test_arguments_are_those_that_somebody_has_changed_them_to() -> None:
    desk = Desk(calling(("Sales.send", b'{"to":"all"}')))
    desk.say("edited", Raw(b'{"to":"me"}'))
    assert await desk.run() == [{"to": "me"}]
    (call,) = next(iter(desk.registry.history)).calls
    assert (call.decision, call.arguments) == ("edited", '{"to":"me"}')


async def test_what_is_allowed_for_a_program_is_asked_again_in_the_next_one_and_is_in_no_list() -> None:
    desk = Desk(calling(("Sales.send", b'{"to":1}'), ("Sales.send", b'{"to":2}'), ("Sales.send", b'{"to":3}')))
    desk.say("allowed", for_program=True)
    assert await desk.run() == [{"to": 1}, {"to": 2}, {"to": 3}]
    assert sorted(str(one) for one in desk.decisions()) == ["allowed", "granted", "granted"]
    assert desk.registry.permissions() == []
    waited = len(desk.asked)
    assert await desk.run() == [{"to": 1}, {"to": 2}, {"to": 3}]
    assert len(desk.asked) > waited, "another program asks"


async def test_what_is_allowed_for_a_program_covers_neither_another_tool_nor_another_programs_calls() -> None:
    desk = Desk(calling(("Sales.send", b"{}"), ("Sales.drop", b"{}")))
    desk.notebook.register(Tool("Notebook", "drop", effects=True), answer)

    def give(question: Question) -> None:
        is_first = question.tool == "Sales.send"
        given = ConsentReply("allowed") if is_first else ConsentReply.denied()
        desk.registry.approvals.answer(question.id, given, for_program=is_first)

    desk.answers = give
    assert await desk.run() == [{}, "Cannot call Sales.drop: a person denied it"]


async def test_a_permission_is_listed_until_it_is_revoked_and_then_the_tool_is_asked_for_again() -> None:
    desk = Desk(calling(("Sales.send", b"{}")))
    desk.say("allowed", for_good=True)
    await desk.run()
    (permission,) = desk.registry.permissions()
    assert (permission.tool, permission.asked_by, permission.lasts) == ("Sales.send", ["agent"], "session")
    assert desk.registry.permissions(desk.notebook) == [permission]
    assert desk.registry.permissions(desk.registry.open("k2")) == []
    await desk.run()
    assert len(desk.asked) == 1
    changes: list[str] = []
    desk.registry.watchers.add(changes.append)
    assert desk.registry.approvals.revoke(permission.id) and changes == ["approvals"]
    assert not desk.registry.approvals.revoke(permission.id)
    assert desk.registry.permissions() == []
    await desk.run()
    assert len(desk.asked) == 2


async def test_a_permission_is_not_listed_once_its_tool_is_another_or_gone() -> None:
    desk = Desk(calling(("Sales.send", b"{}")))
    desk.say("allowed", for_good=True)
    await desk.run()
    desk.notebook.register(Tool("Notebook", "send", description="another", effects=True), answer, replace=True)
    assert desk.registry.permissions() == []
    await desk.run()
    assert len(desk.asked) == 2 and len(desk.registry.permissions()) == 1
    desk.registry.close(desk.notebook)
    assert desk.registry.permissions() == []


async def test_what_is_granted_for_good_is_asked_once_until_the_kernel_ends() -> None:
    desk = Desk(calling(("Sales.send", b"1"), ("Sales.send", b"2")))
    desk.say("allowed", for_good=True)
    assert await desk.run() == [1, 2]
    assert sorted(str(decision) for decision in desk.decisions()) == ["allowed", "granted"]
    desk.answers = lambda question: pytest.fail("asked again")
    assert await desk.run() == [1, 2]
    desk.registry.close(desk.notebook)
    desk.notebook = desk.registry.open("k1")
    desk.notebook.serve_others = answer
    desk.notebook.register(Tool("Notebook", "send", effects=True), answer)
    desk.say("denied")
    assert "denied" in (await desk.run())[0]


async def test_without_an_answer_a_call_is_denied_and_the_program_asks_nobody_again() -> None:
    desk = Desk(calling(("Sales.send", b"1")), max_approval_s=0.01)
    assert "nobody answered within 0.01 s" in (await desk.run())[0]

    async def twice(job: Job, serve: ServeCall, emit: Emit) -> object:
        said = []
        for _ in range(2):
            try:
                await serve("Sales.send", None)
            except errors.ToolFailed as error:
                said.append(error.message)
        return said

    desk = Desk(FakeSandbox(twice), max_approval_s=0.01)
    assert "nobody answered this program" in (await desk.run())[1]
    assert desk.decisions() == ["unanswered", "unanswered"]


def no_wait(desk: Desk) -> None:
    """Have a test fail that waits for an answer."""
    desk.answers = lambda question: pytest.fail("asked")


async def test_where_nobody_can_be_asked_a_call_is_denied_at_once_with_a_way_out_for_the_user() -> None:
    desk = Desk(calling(("Sales.send", b"1")))
    no_wait(desk)
    desk.leave()
    desk.clock.now += ABSENCE_S
    (refused,) = await desk.run()
    assert refused.startswith("Cannot call Sales.send: it was not sent. It needs a person's consent")
    assert "Tell the user to" in refused and "do not retry before they have" in refused
    assert "Pctx.policy" in refused and "jupyter pctx start" in refused and "JupyterLab" not in refused
    desk.registry.approvals.is_served = True
    (refused,) = await desk.run()
    assert "open JupyterLab on this server" in refused and "jupyter pctx approvals --watch" in refused
    assert desk.asked == [] and desk.decisions() == ["unanswered"]


async def test_a_front_end_that_has_just_left_may_come_back_and_answer() -> None:
    desk = Desk(calling(("Sales.send", b"1")))
    desk.leave()
    desk.clock.now += ABSENCE_S - 1
    desk.say("allowed")
    assert await desk.run() == [1]


@pytest.mark.parametrize(
    ("consent_by", "attends", "named"),
    [
        (("terminal", "client"), "jupyterlab", "approvals --watch"),
        (("jupyterlab",), "terminal", "open JupyterLab"),
        ((), "jupyterlab", "Pctx.policy"),
    ],
)
async def test_only_places_that_may_give_consent_count_as_there(
    consent_by: tuple[str, ...], attends: ConsentPlace, named: str
) -> None:
    desk = Desk(calling(("Sales.send", b"1")), consent_by=consent_by)
    no_wait(desk)
    desk.leave()
    desk.clock.now += ABSENCE_S
    desk.registry.approvals.is_served = True
    desk.registry.approvals.attend(attends)
    (refused,) = await desk.run()
    assert named in refused
    ways = {"open JupyterLab": "jupyterlab", "approvals --watch": "terminal", "elicitation": "client"}
    assert {place for words, place in ways.items() if words in refused} == set(consent_by)


async def test_a_question_says_where_it_can_be_answered() -> None:
    desk = Desk(calling(("Sales.send", b"1")))
    desk.registry.approvals.attend("terminal")
    desk.say("allowed")
    await desk.run()
    (question,) = desk.asked
    assert question.places == ["jupyterlab", "terminal"]
    (note,) = [call.note for call in next(iter(desk.registry.history)).calls] or [None]
    assert note is None  # it waits no more
    question.left_s = 79.6
    assert waiting([question, question]) == (
        "waits for a person's consent to call Sales.send (and 1 more), in JupyterLab or the terminal "
        "(jupyter pctx approvals); 80 s left"
    )


async def test_whoever_comes_while_a_call_waits_can_answer_it() -> None:
    desk = Desk(calling(("Sales.send", b"1")), consent_by=("jupyterlab", "terminal"))
    run = asyncio.ensure_future(desk.run())
    while not desk.asked:
        await asyncio.sleep(0)
    desk.registry.approvals.attend("client")
    assert desk.asked[0].places == ["jupyterlab"]
    desk.registry.approvals.attend("terminal")
    assert desk.asked[0].places == ["jupyterlab", "terminal"]
    desk.registry.approvals.answer(desk.asked[0].id, ConsentReply("allowed"))
    assert await run == [1]


async def test_a_question_that_no_place_can_answer_any_more_is_over() -> None:
    desk = Desk(calling(("Sales.send", b"1")))
    desk.registry.approvals.attend("terminal")

    def withdraw(question: Question) -> None:
        approvals = desk.registry.approvals
        approvals.withdraw(question.id, "client")
        approvals.withdraw(question.id, "jupyterlab")
        assert approvals.questions()[0].places == ["terminal"]
        approvals.withdraw(question.id, "terminal")
        approvals.withdraw(question.id, "terminal")
        approvals.withdraw("another", "terminal")

    desk.answers = withdraw
    assert "nobody can be asked now" in (await desk.run())[0]


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (lambda desk: desk.notebook.unregister("Notebook.send"), "no such tool"),
        (lambda desk: desk.notebook.register(SENDS.changed(about="another"), answer, replace=True), "has changed"),
        (lambda desk: desk.registry.share(desk.notebook, "nobody"), "shares its tools with nobody"),
    ],
)
async def test_a_question_is_over_when_its_tool_is_gone(happens: Callable[[Desk], Any], why: str) -> None:
    desk = Desk(calling(("Sales.send", b"1")))
    desk.answers = lambda question: happens(desk)
    assert why in (await desk.run())[0]
    assert desk.decisions() == [None] and len(desk.registry.approvals) == 0


async def test_a_question_stays_when_other_tools_change() -> None:
    desk = Desk(calling(("Sales.send", b"1")))

    def change(question: Question) -> None:
        desk.notebook.unregister("Notebook.read")
        approvals = desk.registry.approvals
        approvals._end_gone()
        approvals.answer(question.id, ConsentReply("allowed"))

    desk.answers = change
    assert await desk.run() == [1]


async def test_programs_beyond_those_that_may_wait_are_denied_at_once_and_programs_that_wait_already_are_not() -> None:
    desk = Desk(calling(("Sales.send", b"1"), ("Sales.send", b"2")), max_waiting_programs=1)
    first = asyncio.ensure_future(desk.run())
    while len(desk.registry.approvals) < 2:
        await asyncio.sleep(0)
    refused = (await desk.run())[0]
    assert "it was not sent" in refused and "Pctx.max_waiting_programs" in refused
    for question in desk.registry.approvals.questions():
        desk.registry.approvals.answer(question.id, ConsentReply("allowed"))
    assert await first == [1, 2]
    desk.say("allowed")
    assert await desk.run() == [1, 2]


async def test_programs_of_one_client_have_half_of_the_places_for_those_that_wait() -> None:
    desk = Desk(calling(("Sales.send", b"1")), max_waiting_programs=3)

    async def run(client: str) -> Any:
        CLIENT.set(client)
        return await desk.run()

    def begin(client: str) -> asyncio.Task[Any]:
        return asyncio.create_task(run(client))

    waiting = [begin("greedy"), begin("greedy")]
    while len(desk.registry.approvals) < 2:
        await asyncio.sleep(0)
    refused = (await begin("greedy"))[0]
    assert "2 of its client's programs, half of all that may, wait for theirs already" in refused
    waiting.append(begin("other"))
    while len(desk.registry.approvals) < 3:
        await asyncio.sleep(0)
    assert "3 programs wait for theirs already" in (await begin("another"))[0]
    for question in desk.registry.approvals.questions():
        desk.registry.approvals.answer(question.id, ConsentReply("allowed"))
    assert await asyncio.gather(*waiting) == [[1]] * 3


async def test_what_the_policy_denies_is_denied_at_once() -> None:
    desk = Desk(calling(("Sales.read", b"1")), policy=("deny agent *.read",))
    assert await desk.run() == ["Cannot call Sales.read: this server's policy denies it to agents (Pctx.policy)"]
    assert desk.asked == [] and desk.decisions() == ["forbidden"]


async def test_a_tool_that_changes_while_somebody_is_asked_is_not_called() -> None:
    desk = Desk(calling(("Sales.send", b"1")))

    def replace(question: Question) -> None:
        desk.notebook.register(Tool("Notebook", "send", "another", effects=True), answer, replace=True)
        desk.registry.approvals.answer(question.id, ConsentReply("allowed"))

    desk.answers = replace
    assert "has changed" in (await desk.run())[0]


async def test_a_question_ends_with_the_session_whose_tool_it_is_about() -> None:
    desk = Desk(calling(("Sales.send", b"1"), ("Other.send", b"2")))
    other = desk.registry.open("k2")
    other.serve_others = answer
    desk.registry.name_kernel("k2", "other")
    other.register(Tool("Notebook", "send", effects=True), answer)

    def lose(question: Question) -> None:
        if question.tool == "Sales.send":
            desk.registry.note_kernel("k1", "restarted")
            desk.registry.close(desk.notebook)
        else:
            desk.registry.approvals.answer(question.id, ConsentReply("allowed"))

    desk.answers = lose
    failed, done = await desk.run()
    assert failed == (
        "Cannot call Sales.send: the kernel of Sales was restarted and has not loaded pctx again: run its cells"
    )
    assert done == 2 and desk.decisions() == [None, "allowed"]


async def test_a_call_that_is_withdrawn_waits_no_more() -> None:
    desk = Desk(calling(("Sales.send", b"1")))
    run = asyncio.ensure_future(desk.run())
    while not desk.asked:
        await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert len(desk.registry.approvals) == 0
    assert not desk.registry.approvals.answer(desk.asked[0].id, ConsentReply("allowed"))


async def test_the_wall_clock_stands_still_while_somebody_is_asked() -> None:
    stopped: list[bool] = []

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        async with job.hold.time_limit(SOON):
            desk.registry.watchers.add(lambda change: stopped.append(job.hold.is_clock_stopped))
            await asyncio.gather(serve("Sales.send", Raw(b"1")), serve("Sales.send", Raw(b"2")))
            stopped.append(job.hold.is_clock_stopped)
        return None

    desk = Desk(FakeSandbox(act))
    desk.say("allowed")
    await desk.run()
    assert True in stopped and stopped[-1] is False


async def test_time_that_a_person_takes_does_not_count_towards_a_programs_time_limit() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        async with job.hold.time_limit(0.2):
            return read(await serve("Sales.send", Raw(b"1")))

    desk = Desk(FakeSandbox(act))

    def later(question: Question) -> None:
        asyncio.get_running_loop().call_later(0.5, desk.registry.approvals.answer, question.id, ConsentReply("allowed"))

    desk.answers = later
    assert await desk.run() == 1


async def test_the_users_own_cells_are_asked_for_when_the_policy_says_so_and_then_held_to_a_calls_time() -> None:
    async def never(call: Call) -> Raw:
        await asyncio.Event().wait()
        raise AssertionError

    desk = Desk(calling(("Notebook.slow", b"1")), policy=("ask cell *",), limits=Limits(max_call_s=0.01))
    desk.notebook.register(Tool("Notebook", "slow"), never)
    desk.say("allowed")
    async with asyncio.timeout(SOON):
        (said,) = read((await desk.notebook.execute("x")).value)
    assert "timed out after 0.01 s" in said


async def test_calls_that_need_no_consent_say_nothing_of_their_place() -> None:
    sandbox = calling(("Sales.read", b"1"))
    desk = Desk(sandbox)
    await desk.notebook.execute("1")
    await desk.run()
    assert [job.places for job in sandbox.jobs] == [False, True]


async def test_a_cell_of_another_notebook_is_no_cell_of_the_tools_own() -> None:
    desk = Desk(calling(("Sales.send", b"1")), policy=("deny notebook Sales.*", "deny cell Notebook.*"))
    desk.registry.share_kernel("k1", "everyone")
    other = desk.registry.open("k2")
    desk.registry.name_kernel("k2", "other")
    assert read((await other.execute("x")).value) == [
        "Cannot call Sales.send: this server's policy denies it to other notebooks (Pctx.policy)"
    ]
    assert "denies it to cells" in read((await desk.notebook.execute("x")).value)[0]


@pytest.mark.parametrize("rule", ["deny cell Notebook.*", "deny cell Sales.*", "deny cell *.send"])
async def test_a_rule_for_one_name_of_a_tool_holds_for_its_other_names(rule: str) -> None:
    desk = Desk(calling(("Notebook.send", b"1"), ("Sales.send", b"2")), policy=("allow cell *.read", rule))
    said = read((await desk.notebook.execute("x")).value)
    assert all("denies it to cells" in one for one in said)
    desk = Desk(calling(("Notebook.send", b"1"), ("Sales.send", b"2")), policy=("allow cell Notebook.*", rule))
    assert read((await desk.notebook.execute("x")).value) == [1, 2]


async def test_what_is_granted_is_not_granted_to_another_tool_of_that_name() -> None:
    desk = Desk(calling(("Sales.send", b"1")))
    desk.say("allowed", for_good=True)
    assert await desk.run() == [1]
    desk.say("denied")
    desk.notebook.register(Tool("Notebook", "more"), answer)
    assert await desk.run() == [1]
    desk.notebook.register(Tool("Notebook", "send", effects=True), answer, replace=True)
    assert "denied" in (await desk.run())[0]


async def test_a_tool_that_takes_the_place_of_a_harmless_one_while_a_program_runs_is_asked_for() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        desk.notebook.register(Tool("Notebook", "read", effects=True), answer, replace=True)
        return read(await serve("Sales.read", Raw(b"1")))

    desk = Desk(FakeSandbox(act))
    desk.say("allowed")
    assert await desk.run() == 1
    assert [question.tool for question in desk.asked] == ["Sales.read"] and desk.decisions() == ["allowed"]


async def test_what_is_granted_goes_on_in_a_program_that_nobody_answered() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        said = []
        for path in paths:
            try:
                said.append(read(await serve(path, Raw(b"1"))))
            except errors.PctxError as error:
                said.append(error.message)
        return said

    paths = ["Sales.send"]
    desk = Desk(FakeSandbox(act), policy=("ask agent *",), max_approval_s=0.5)
    desk.say("allowed", for_good=True)
    assert await desk.run() == [1]
    paths = ["Sales.read", "Sales.send", "Sales.read"]
    desk.answers = lambda question: None
    refused, value, also_refused = await desk.run()
    assert "nobody answered within" in refused and value == 1 and "nobody answered this program" in also_refused
    assert desk.decisions() == ["unanswered", "granted", "unanswered"]


async def test_a_tool_that_does_not_say_what_it_changes_is_asked_for_and_the_refusal_names_the_old_rule() -> None:
    desk = Desk(calling(("Sales.pass", b"1")), max_approval_s=0.01)
    desk.notebook.register(Tool("Notebook", "pass", effects=None), answer)
    (refused,) = await desk.run()
    assert "does not say whether it changes something" in refused
    assert 'c.Pctx.policy = ["ask agent * effects"]' in refused and "mcp trust" not in refused
    (question,) = desk.asked
    assert (question.effects, question.lasts) == (None, "session")
    old = Desk(calling(("Sales.pass", b"1")), policy=("ask agent * effects",))
    old.notebook.register(Tool("Notebook", "pass", effects=None), answer)
    assert await old.run() == [1] and old.asked == []


def test_a_question_names_the_agent_and_its_notebook() -> None:
    asked = fakes.question(tool="Notebook.pay", agent="buyer\u202e", notebook="Report")
    lines = questions.text(asked).split("\n")
    assert lines[0] == 'The agent "buyer\\u202e" wants to call Notebook.pay.'
    assert lines[1] == "Notebook: Report"
