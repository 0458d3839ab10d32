"""Forms of MCP servers: reading and checking them, and questions that wait for an answer. The server is a function."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.session import forms, questions
from pctx_jupyter.session.consent import ConsentReply, Question, waiting
from pctx_jupyter.tools.calls import Call, Form, FormReply
from pctx_jupyter.tools.tool import Tool

from .. import fakes
from .test_approvals import Desk, calling

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Your name", "minLength": 2},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "score": {"type": "number", "default": 9.5},
        "sure": {"type": "boolean"},
        "colour": {"type": "string", "oneOf": [{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}]},
        "size": {"type": "string", "enum": ["s", "m"], "enumNames": ["Small", "Medium"]},
        "days": {"type": "array", "items": {"type": "string", "enum": ["mon", "tue"]}, "maxItems": 1},
        "code": {"type": "string", "pattern": "^[a-z]+$"},
    },
    "required": ["name", "sure", "days", "age"],
}
WHOLE = {"name": "Ada", "age": 36, "sure": True, "days": ["mon"]}


def test_a_draft_has_the_defaults_and_an_empty_place_for_what_is_required() -> None:
    assert forms.draft(SCHEMA) == {"name": "", "age": None, "score": 9.5, "sure": False, "days": []}


def test_an_answer_that_fits_is_taken_without_what_is_left_empty() -> None:
    answer: dict[str, Any] = {**WHOLE, "score": None, "colour": "", "size": "m"}
    assert forms.problems(SCHEMA, answer) == []
    assert forms.filled_in(SCHEMA, answer) == {**WHOLE, "size": "m"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "A"}, "name: must have at least 2 characters"),
        ({"name": 5}, "name: must be a text"),
        ({"name": None}, "name: is required (text)"),
        ({"age": 1.5}, "age: must be a whole number"),
        ({"age": True}, "age: must be a whole number"),
        ({"age": 151}, "age: must be at most 150"),
        ({"score": "9"}, "score: must be a number"),
        ({"sure": "yes"}, "sure: must be true or false"),
        ({"colour": "Red"}, "colour: must be one of r, g"),
        ({"size": "Small"}, "size: must be one of s, m"),
        ({"days": "mon"}, "days: must be a list of texts"),
        ({"days": ["wed"]}, "days: must be a list of mon, tue"),
        ({"days": ["mon", "tue"]}, "days: must have at most 1 choices"),
        ({"other": 1}, "other: is not in the form, which has name, age, score, sure, colour, size, days, code"),
        ({"code": "b1"}, "code: must match ^[a-z]+$"),
    ],
)
def test_an_answer_that_does_not_fit_names_the_field_and_what_it_has_to_be(change: dict[str, Any], why: str) -> None:
    assert [one.text() for one in forms.problems(SCHEMA, {**WHOLE, **change})] == [why]


def test_each_field_that_does_not_fit_is_named_at_once() -> None:
    found = forms.problems(SCHEMA, {"name": "A", "age": 1.5, "sure": True})
    assert [one.field for one in found] == ["name", "age", "days"]


@pytest.mark.parametrize("schema", [{}, {"properties": 5}, {"properties": {"a": 5}, "required": 7}, {"properties": []}])
def test_a_form_that_makes_no_sense_has_no_fields(schema: dict[str, Any]) -> None:
    assert forms.fields(schema) == []
    assert forms.problems(schema, {}) == []


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        (("name", "  Ada".strip()), "Ada"),
        (("age", "36"), 36),
        (("score", ""), 9.5),
        (("score", "1e3"), 1000.0),
        (("sure", "Y"), True),
        (("colour", "Green"), "g"),
        (("days", "mon"), ["mon"]),
        (("size", ""), None),
    ],
)
def test_what_a_person_types_becomes_the_value_of_its_field(typed: tuple[str, str], value: object) -> None:
    name, text = typed
    field = next(one for one in forms.fields(SCHEMA) if one.name == name)
    assert forms.typed(field, text) == value


@pytest.mark.parametrize(("name", "text"), [("age", "x"), ("sure", "perhaps"), ("colour", "blue"), ("name", "A")])
def test_what_cannot_be_read_is_refused(name: str, text: str) -> None:
    field = next(one for one in forms.fields(SCHEMA) if one.name == name)
    with pytest.raises(errors.InvalidParams, match=f"{name} must"):
        forms.typed(field, text)


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("password", {}),
        ("user_password", {}),
        ("a", {"format": "password"}),
        ("b", {"title": "Your API key"}),
        ("c", {"description": "the PIN of your card"}),
        ("github_token", {}),
        ("otp", {}),
    ],
)
def test_a_field_that_asks_for_a_secret_is_named_and_others_are_not(name: str, schema: dict[str, Any]) -> None:
    form = {"properties": {name: {"type": "string", **schema}, "opinion": {"type": "string", "title": "Shipping"}}}
    assert forms.secret_fields(form) == [name]


# questions


ASK: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string", "default": "Bob"}}}


def desk(*forms: Form, **settings: Any) -> tuple[Desk, list[FormReply]]:
    """A desk whose tool ``Sales.read`` asks these forms; and the replies that its server got."""
    replies: list[FormReply] = []

    async def serve(call: Call) -> Raw:
        got = await asyncio.gather(*(call.ask(form) for form in forms))
        replies.extend(got)
        return rpc.raw([[one.action, one.content] for one in got])

    made = Desk(calling(("Sales.read", b"{}")), **{"policy": [], **settings})
    made.notebook.catalog.remove("Notebook.read")
    made.notebook.serve_others = serve
    made.notebook.register(Tool("Notebook", "read"), serve)
    return made, replies


async def test_a_form_is_asked_where_consent_is_asked_and_its_answer_is_in_no_trace() -> None:
    made, _ = desk(Form("wiki", "Who are you?", ASK))
    made.answers = lambda question: (
        made.registry.approvals.answer(question.id, ConsentReply("edited", Raw(b'{"name":"Ada of nowhere"}'))) and None
    )
    assert await made.run("await Sales.read({})") == [[["accept", {"name": "Ada of nowhere"}]]]
    (question,) = made.asked
    assert question.form is not None
    assert (question.form.server, question.form.message, question.form.schema) == ("wiki", "Who are you?", ASK)
    assert question.arguments == '{"name":"Bob"}'
    trace = next(iter(made.registry.history))
    assert [call.decision for call in trace.calls] == [None]
    assert "Who are you" not in str(trace), "nor is the question"


async def test_a_form_that_is_allowed_as_it_is_sends_its_draft_and_a_denied_one_declines() -> None:
    made, _ = desk(Form("wiki", "?", ASK))
    made.say("allowed")
    assert await made.run("await Sales.read({})") == [[["accept", {"name": "Bob"}]]]
    made.say("denied")
    assert await made.run("await Sales.read({})") == [[["decline", None]]]


async def test_an_answer_that_does_not_fit_is_refused_and_the_question_still_waits() -> None:
    made, _ = desk(Form("wiki", "?", ASK))

    def give(question: Question) -> None:
        with pytest.raises(errors.InvalidParams, match="name: must be a text"):
            made.registry.approvals.answer(question.id, ConsentReply("edited", Raw(b'{"name":5}')))
        made.registry.approvals.answer(question.id, ConsentReply.dismissed())

    made.answers = give
    assert await made.run("await Sales.read({})") == [[["cancel", None]]]


async def test_a_draft_that_does_not_fit_is_refused_with_each_field_and_the_check_finds_the_same() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"name": {"type": "string", "minLength": 1}, "size": {"enum": ["s", "m"]}, "note": {}},
        "required": ["name", "size"],
    }
    made, _ = desk(Form("wiki", "?", schema))
    asked = made.registry.approvals

    def give(question: Question) -> None:
        found = asked.problems(question.id, None)
        assert found is not None and [one.field for one in found] == ["name", "size"]
        with pytest.raises(errors.ArgumentsRefused, match=r"name: must have .*; size: is required"):
            asked.answer(question.id, ConsentReply("allowed"))
        answer = Raw(b'{"name":"Ada","size":"m","note":null}')
        assert asked.problems(question.id, answer) == [], "an optional field may be left empty"
        asked.answer(question.id, ConsentReply("edited", answer))

    made.answers = give
    assert await made.run("await Sales.read({})") == [[["accept", {"name": "Ada", "size": "m"}]]]


async def test_always_answers_one_form_and_no_later_one_and_consents_to_no_call() -> None:
    made, _ = desk(Form("wiki", "?", ASK), policy=["ask agent *"])
    made.say("allowed", for_good=True)
    assert await made.run("await Sales.read({})") == [[["accept", {"name": "Bob"}]]]
    assert [question.form is not None for question in made.asked] == [False, True]
    await made.run("await Sales.read({})")
    assert [question.form is not None for question in made.asked] == [False, True, True]


async def test_where_nobody_can_be_asked_the_reply_says_what_the_user_can_do() -> None:
    made, replies = desk(Form("wiki", "?", ASK))
    made.leave()
    made.clock.now += 100
    assert await made.run("await Sales.read({})") == [[["cancel", None]]]
    assert "nobody can be asked now. Tell the user to start a Jupyter server for pctx" in replies[0].why
    assert "policy" not in replies[0].why


async def test_two_forms_of_one_call_wait_side_by_side() -> None:
    made, _ = desk(Form("wiki", "one", ASK), Form("wiki", "two", ASK))

    def give(question: Question) -> None:
        if len(made.asked) == 2:
            for one in made.asked:
                made.registry.approvals.answer(one.id, ConsentReply("allowed"))

    made.answers = give
    assert await made.run("await Sales.read({})") == [[["accept", {"name": "Bob"}]] * 2]


async def test_without_an_answer_in_time_it_is_cancelled_and_the_program_is_asked_nothing_more() -> None:
    made, replies = desk(Form("wiki", "?", ASK), max_approval_s=0.05)
    await made.run("await Sales.read({})")
    assert replies[0].why == "nobody answered within 0.05 s (Pctx.max_approval_s)"


# in words


def question(**form: Any) -> Question:
    asked = questions.AskedForm(server="wiki", message="Who\x1b[2J are you?\nallow everything", **form)
    return fakes.question(tool="Wiki.edit", code="", left_s=30, places=["jupyterlab"], form=asked)


async def test_a_form_in_words_shows_its_fields_and_spells_out_what_hides() -> None:
    text = questions.text(question(schema=SCHEMA))
    assert text.startswith("The MCP server wiki asks you something. An agent called Wiki.edit.\n")
    assert "\x1b" not in text
    assert "  | allow everything" in text, "no line of the server looks like one of ours"
    assert "- name (text; required): Your name" in text
    assert "- colour (choice: r (Red), g (Green); optional)" in text
    assert "- score (number; optional, default 9.5)" in text


async def test_a_form_in_words_warns_of_secrets_and_a_page_is_a_text() -> None:
    warned = questions.text(question(schema={"properties": {"password": {"type": "string"}}}, secrets=["password"]))
    assert "Warning: password looks like a secret." in warned
    assert "wiki receives what you type." in warned
    page = questions.text(question(url="https://pay.example/\u202ex"))
    assert "It asks you to open this page: https://pay.example/\\u202ex" in page
    assert "pctx does not open the page." in page


async def test_an_agent_is_told_for_what_its_call_waits() -> None:
    assert waiting([question(schema=SCHEMA)]) == (
        "waits for a person's answer to the MCP server wiki, which serves Wiki.edit, in JupyterLab; 30 s left"
    )
