"""What MCP servers ask their users: real processes of both eras, no engine; the person is a function."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from pctx_jupyter import errors
from pctx_jupyter.tools.calls import Form, FormReply
from tests.upstream.conftest import OpenWorld, peer

FORM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
ASK = {"mode": "form", "message": "Who?", "requestedSchema": FORM}


class Person:
    """Somebody who answers when they are let to.

    Attributes:
        asked: The forms so far.
        gone: How many questions were taken back.
    """

    def __init__(self, *replies: FormReply) -> None:
        self.asked: list[Form] = []
        self.gone = 0
        self.may_answer = asyncio.Event()
        self._replies = list(replies)

    async def __call__(self, form: Form) -> FormReply:
        self.asked.append(form)
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.gone += 1
            raise
        return self._replies.pop(0)


def at_once(*replies: FormReply) -> Person:
    person = Person(*replies)
    person.may_answer.set()
    return person


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (FormReply("accept", {"name": "Ada"}), {"action": "accept", "content": {"name": "Ada"}}),
        (FormReply("decline"), {"action": "decline"}),
    ],
)
async def test_a_server_gets_what_a_person_answers(open_world: OpenWorld, reply: FormReply, said: Any) -> None:
    async with open_world(peer("asks")) as world:
        await world.until_state("asks")
        person = at_once(reply)
        assert await world.call("Asks.ask", ASK, person) == said
        assert person.asked == [Form("asks", "Who?", FORM)]


async def test_where_nobody_can_be_asked_the_server_gets_cancel_and_the_program_the_reason(
    open_world: OpenWorld,
) -> None:
    async with open_world(peer("asks")) as world:
        await world.until_state("asks")
        with pytest.raises(errors.ToolFailed) as failed:
            await world.call("Asks.ask", ASK)
        assert failed.value.message == (
            '{"action": "cancel"} (asks asked its user something: nobody can be asked here)'
        )
        assert "asks asked its user something: nobody can be asked here" in world.notes


async def test_the_time_in_which_a_person_is_asked_does_not_count(open_world: OpenWorld, tmp_path: Path) -> None:
    async with open_world(peer("asks", tmp_path / "log", call_timeout_s=0.6)) as world:
        await world.until_state("asks")
        person = Person(FormReply("decline"))
        calling = asyncio.create_task(world.call("Asks.ask", ASK, person))
        await world.until(lambda: person.asked != [])
        with pytest.raises(errors.ToolFailed, match=r"timed out after 0\.6 s"):  # so at least so much time passes
            await world.call("Asks.slow", {"n": 30})
        assert not calling.done()
        person.may_answer.set()
        assert await calling == {"action": "decline"}


async def test_a_question_ends_with_the_call_that_it_is_about(open_world: OpenWorld, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with open_world(peer("asks", log)) as world:
        await world.until_state("asks")
        person = Person()
        calling = asyncio.create_task(world.call("Asks.ask", ASK, person))
        await world.until(lambda: person.asked != [])
        calling.cancel()
        await world.until(lambda: person.gone == 1 and "answered" in log.read_text())
        assert '"action": "cancel"' in log.read_text()


async def test_a_server_that_asks_while_it_serves_no_call_gets_cancel_and_nobody_is_asked(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with open_world(peer("asks", log)) as world:
        await world.until_state("asks")
        person = at_once()
        assert await world.call("Asks.askLater", {}, person) == "later"
        await world.until(lambda: 'answered {"action": "cancel"}' in log.read_text())
        assert person.asked == []


async def test_two_questions_at_once_name_the_calls_that_they_may_be_about(open_world: OpenWorld) -> None:
    async with open_world(peer("asks")) as world:
        await world.until_state("asks")
        person = Person(FormReply("accept", {"name": "Ada"}), FormReply("decline"))
        calls = [asyncio.create_task(world.call("Asks.ask", ASK, person)) for _ in range(2)]
        await world.until(lambda: len(person.asked) == 2)
        assert ("Asks.ask",) in [form.others for form in person.asked]
        person.may_answer.set()
        answers = [await call for call in calls]
        assert sorted(one["action"] for one in answers) == ["accept", "decline"]


async def test_a_server_that_asks_without_end_is_cut(open_world: OpenWorld) -> None:
    async with open_world(peer("asks")) as world:
        await world.until_state("asks")
        person = Person(*[FormReply("decline")] * 4)
        calls = [asyncio.create_task(world.call("Asks.ask", ASK, person)) for _ in range(5)]
        await world.until(lambda: sum(call.done() for call in calls) == 1)
        assert len(person.asked) == 4
        person.may_answer.set()
        await asyncio.gather(*calls, return_exceptions=True)
        why = "4 questions of it about calls of one client are open already"
        assert f"asks asked its user something: {why}" in world.notes


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"mode": "url", "message": "Pay", "url": "file:///etc/passwd", "elicitationId": "1"}, "no web page"),
        ({"mode": "url", "message": "Pay", "url": "javascript:alert(1)", "elicitationId": "1"}, "no web page"),
        (
            {
                "mode": "form",
                "message": "Fill in",
                "requestedSchema": {
                    "type": "object",
                    "properties": {f"field{n}": {"type": "string", "description": "x" * 900} for n in range(100)},
                },
            },
            "more than 64,000 bytes",
        ),
    ],
)
async def test_a_question_that_nobody_should_see_is_cancelled(open_world: OpenWorld, asked: Any, why: str) -> None:
    async with open_world(peer("asks")) as world:
        await world.until_state("asks")
        person = at_once()
        with pytest.raises(errors.ToolFailed, match=why):
            await world.call("Asks.ask", asked, person)
        assert person.asked == []


async def test_a_page_is_passed_on_as_a_text_and_the_message_has_no_secrets(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "s3cr3t-of-nobody")
    async with open_world(peer("asks", env={"API_KEY": "${env:SOME_KEY}"})) as world:
        await world.until_state("asks")
        person = at_once(FormReply("accept"))
        asked = {"mode": "url", "message": "s3cr3t-of-nobody?", "url": "https://pay.example/x", "elicitationId": "1"}
        assert await world.call("Asks.ask", asked, person) == {"action": "accept"}
        assert person.asked == [Form("asks", "***?", None, "https://pay.example/x")]


async def test_a_server_that_asks_for_a_models_answer_is_refused_in_words(open_world: OpenWorld) -> None:
    async with open_world(peer("asks")) as world:
        await world.until_state("asks")
        said = await world.call("Asks.sampled", {})
        assert said["error"]["message"] == "Sampling not supported"


NEWER = """
import asyncio, sys, mcp.types as t
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server

FORM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}

async def tools(context, params):
    names = ("greet", "sample", "insist")
    return t.ListToolsResult(tools=[t.Tool(name=name, input_schema={"type": "object"}) for name in names])

async def call(context, params):
    given = (params.input_responses or {}).get("who")
    if params.name == "sample":
        message = t.SamplingMessage(role="user", content=t.TextContent(text="?"))
        asked = t.CreateMessageRequest(params=t.CreateMessageRequestParams(messages=[message], max_tokens=5))
        return t.InputRequiredResult(input_requests={"x": asked})
    if given is None or params.name == "insist":
        asked = t.ElicitRequest(params=t.ElicitRequestFormParams(message="Who?", requested_schema=FORM))
        return t.InputRequiredResult(input_requests={"who": asked}, request_state="state")
    answer = given.model_dump() if hasattr(given, "model_dump") else given
    said = f"{answer['action']} {(answer.get('content') or {}).get('name')} {params.request_state}"
    return t.CallToolResult(content=[t.TextContent(text=said)])

async def main():
    server = Server("newer", version="1", on_list_tools=tools, on_call_tool=call)
    async with stdio_server() as (r, w):
        await server.run(r, w, server.create_initialization_options())

asyncio.run(main())
"""


@pytest.fixture
def newer(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "newer.py").write_text(NEWER)
    return {"name": "newer", "command": sys.executable, "args": ["-I", str(tmp_path / "newer.py")]}


async def test_a_server_of_the_newer_era_gets_the_answer_with_its_state(
    open_world: OpenWorld, newer: dict[str, Any]
) -> None:
    async with open_world(newer) as world:
        assert (await world.until_state("newer")).protocol == "2026-07-28"
        person = at_once(FormReply("accept", {"name": "Ada"}), FormReply("decline"))
        assert await world.call("Newer.greet", {}, person) == "accept Ada state"
        assert await world.call("Newer.greet", {}, person) == "decline None state"
        assert [(form.message, form.schema) for form in person.asked] == [("Who?", FORM)] * 2


async def test_a_server_of_the_newer_era_that_asks_for_more_than_a_person_can_answer_is_refused_in_words(
    open_world: OpenWorld, newer: dict[str, Any]
) -> None:
    async with open_world(newer) as world:
        await world.until_state("newer")
        with pytest.raises(
            errors.ToolFailed, match=r"newer asks for a model's answer \(sampling\), which pctx does not"
        ):
            await world.call("Newer.sample", {})
        with pytest.raises(errors.ToolFailed, match="asked its user something 10 times, and did not go on"):
            await world.call("Newer.insist", {}, at_once(*[FormReply("decline")] * 10))
