"""What models read about tools: real tools and scope; nothing runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from pctx_jupyter.agents import listing
from pctx_jupyter.agents.consent import Guarded
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.catalog import Catalog
from pctx_jupyter.tools.scope import Changes, Layer, Scope
from pctx_jupyter.tools.tool import Tool

ISSUE = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
QUERY = {
    "type": "object",
    "properties": {"labels": {"type": "array"}, "query": {"type": "string"}, "the limit": {"type": "integer"}},
    "required": ["query"],
}
SEARCH = Tool("github", "search_issue", "Finds issues. Newest first.\nMore.", QUERY, {"type": "array", "items": ISSUE})
NOW = Tool("clock", "now", "", {"type": "object", "properties": {}}, {"type": "string"})
HOSTILE = "*/ </script>\u202e\x1b[31m evil\x00 `${x}`"


async def serve(call: Call) -> None:
    raise AssertionError


def many(number: int, spaces: int = 1) -> list[Tool]:
    return [Tool(f"space_{at % spaces}", f"tool_{at}", "Does something. Or not.", QUERY) for at in range(number)]


def scope(*tools: Tool) -> Scope:
    catalog = Catalog()
    for tool in tools:
        catalog.add(tool, serve)  # type: ignore[arg-type]  # nobody calls
    return Scope(lambda: [Layer(catalog)], Changes())


def test_few_tools_are_listed_with_their_whole_declarations() -> None:
    assert listing.functions([SEARCH, NOW], "signatures", most=4_000) == (
        "2 functions in 2 namespaces.\n"
        "declare namespace Clock {\n function now(args?: {}): Promise<string>;\n}\n"
        "declare namespace Github {\n /**\n * Finds issues. Newest first.\n * More.\n */\n"
        ' function searchIssue(args: { labels?: any[]; query: string; "the limit"?: number }):'
        " Promise<{ id: string }[]>;\n}"
    )


DAY = {
    "type": "array",
    "items": {"$ref": "#/$defs/Day"},
    "$defs": {
        "Day": {
            "type": "object",
            "properties": {"precipitation": {"type": "number", "description": "Rain of the day. From 0 to 55.9 mm."}},
        }
    },
}


@pytest.mark.parametrize("first_tokens", [60, 80, 2_000])
def test_a_list_never_names_a_type_that_it_does_not_define(first_tokens: int) -> None:
    tool = Tool("market_data", "weather_month", "The weather of a month. " + "Long. " * 20, QUERY, DAY)
    text = listing.functions([tool], "signatures", most=16_000, first_tokens=first_tokens)
    assert ("Day" in text) == ("type Day = {" in text) == (first_tokens > 60)
    assert ("Without descriptions" in text) == (first_tokens == 80)
    assert ("55.9 mm" in text) == (first_tokens == 2_000)


def test_a_list_without_descriptions_still_marks_what_needs_consent() -> None:
    tools = [Tool("a", "b", "x" * 900), Tool("a", "c", "x" * 900)]
    text = listing.functions(tools, "signatures", most=16_000, guarded={"A.b": "ask"}, first_tokens=100)
    assert "Without descriptions" in text and "// A.b @consent" in text and "A.c @consent" not in text


@pytest.mark.parametrize("number", [1, 5_000])
def test_the_first_list_is_bounded_and_a_single_function_is_declared(number: int) -> None:
    text = listing.functions(many(number), "signatures", most=16_000)
    assert len(text) <= 16_000 and ("declare namespace" in text) == (number == 1)


def test_many_tools_are_listed_with_the_names_of_their_arguments() -> None:
    text = listing.functions(many(100), "signatures", most=16_000)
    assert 'tool7({query, labels?, "the limit"?})\n' in text and "Promise" not in text


def test_descriptions_are_whole_where_there_is_room() -> None:
    text = listing.functions([SEARCH, NOW], "descriptions", most=4_000)
    call = 'searchIssue({query, labels?, "the limit"?})'
    assert text.endswith(f"Clock\nnow()\nGithub\n{call} – Finds issues. Newest first. More")


def test_descriptions_are_cut_between_sentences_to_fit_into_a_list() -> None:
    tools = [Tool("a", f"b_{at}", "The first. The second. " + "And more words. " * 30) for at in range(60)]
    line = listing.functions(tools, "descriptions", most=16_000).splitlines()[2]
    assert line.startswith("b0(args?) – The first. The second. And more words") and line.endswith("words")
    assert 60 < len(line) < 200


def test_a_description_without_sentences_is_cut_between_words() -> None:
    assert listing.summary("words " * 100, 20) == "words words words…"
    assert listing.summary("x" * 100, 20) == "x" * 20 + "…"


def test_names_are_one_line_a_namespace() -> None:
    text = listing.functions([SEARCH, NOW, Tool("github", "get_issue")], "names", most=4_000)
    assert text.splitlines()[1:] == ["Clock: now", "Github: searchIssue, getIssue"]


@pytest.mark.parametrize("detail", ["names", "signatures", "descriptions"])
@pytest.mark.parametrize(("number", "spaces"), [(0, 1), (1, 1), (300, 3), (10_000, 100), (10_000, 1), (10_000, 10_000)])
def test_a_list_stays_within_its_budget_and_says_how_to_narrow_it(
    detail: listing.Detail, number: int, spaces: int
) -> None:
    text = listing.functions(many(number, spaces), detail, most=4_000)
    assert len(text) <= 4_000
    assert number < 300 or "search_functions" in text or detail == "names"
    assert number != 10_000 or "search_functions" in text


def test_without_tools_a_model_reads_where_they_come_from() -> None:
    assert "notebooks" in listing.functions([], "names", most=4_000)


@pytest.mark.parametrize("schema", [None, True, {"type": "object"}, {"properties": 5}, {"properties": {"a": 1}}, {}])
def test_any_schema_has_a_brief_form(schema: object) -> None:
    assert listing.brief(Tool("a", "b", input_schema=schema)).startswith("b(")  # type: ignore[arg-type]


async def test_hostile_names_and_descriptions_are_inert() -> None:
    schema = {"type": "object", "properties": {HOSTILE: {"type": "string"}, "x" * 9_000: {}}, "required": [7, HOSTILE]}
    tool = Tool("a", "b", HOSTILE * 1_000, schema)  # type: ignore[arg-type]  # required is nonsense on purpose
    for text in (
        listing.functions([tool], "descriptions", most=4_000),
        listing.functions([tool], "signatures", most=16_000),
        listing.found([tool], "b", 1),
        listing.found([], HOSTILE, 1),
        await listing.details(scope(tool), ["A.b", HOSTILE], most=16_000),
    ):
        assert len(text) <= 16_000
        assert not {"\u202e", "\x1b", "\x00"} & set(text)
        assert "</script>" not in text
    assert len(listing.brief(tool)) < 300


async def test_details_are_declarations_that_can_be_read_alone() -> None:
    text = await listing.details(scope(SEARCH, NOW), ["Github.searchIssue"], most=4_000)
    assert "declare namespace Github {" in text and "Finds issues. Newest first." in text and "Clock" not in text


async def test_details_take_patterns_and_registered_names_and_say_what_is_missing() -> None:
    text = await listing.details(scope(SEARCH, NOW), ["Git*", "clock.now", "Github.searchIssues", "Nope.*"], most=4_000)
    assert "searchIssue(" in text and "now(" in text
    assert "did you mean Github.searchIssue?" in text and "Nope.*" in text


async def test_details_find_a_bare_name_that_is_unambiguous_and_a_namespace() -> None:
    tools = scope(SEARCH, NOW, Tool("jira", "search_issue"))
    for bare in ("now", "Clock"):
        assert "declare namespace Clock {" in await listing.details(tools, [bare], most=4_000)
    assert "declare namespace Github {" in await listing.details(scope(SEARCH), ["search_issue"], most=4_000)
    text = await listing.details(tools, ["searchIssue", "nowhere"], most=4_000)
    assert "Several functions are called searchIssue: Github.searchIssue, Jira.searchIssue" in text
    assert "nowhere: no such tool" in text and "did you mean" not in text


async def test_others_are_served_while_the_closest_names_are_looked_for() -> None:
    missing = [f"Space0.missing{number}" for number in range(50)]
    looking = asyncio.create_task(listing.details(scope(*many(2_000)), missing, most=4_000))
    turns = 0
    while not looking.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 8 and "Space0.missing49: no such tool" in looking.result()


async def test_details_that_do_not_fit_are_named() -> None:
    text = await listing.details(scope(*many(500)), ["Space0.*"], most=4_000)
    assert len(text) < 5_000 and "ask for these separately: Space0.tool" in text


async def test_the_policy_is_asked_only_about_declarations_that_may_fit() -> None:
    asked: list[Tool] = []

    def guard(tools: Sequence[Tool]) -> Guarded:
        asked.extend(tools)
        return {tool.path: "ask" for tool in tools}

    text = await listing.details(scope(*many(2_000)), ["*"], most=4_000, guard=guard)
    assert "@consent" in text and "ask for these separately: Space0.tool" in text
    assert 0 < len(asked) <= 200


async def test_types_that_are_too_long_are_given_in_short() -> None:
    huge = {"type": "object", "properties": {f"field_{at}": {"type": "string"} for at in range(2_000)}}
    text = await listing.details(scope(Tool("a", "b", "", huge)), ["A.b"], most=4_000)
    assert len(text) < 5_000 and "too long" in text and "b(args" in text
