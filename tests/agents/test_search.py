"""Finding tools: the real ranking, over a real scope."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import Raw

from pctx_jupyter.agents import search as limits
from pctx_jupyter.agents.search import Search, words
from pctx_jupyter.session.observations import Observations
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.catalog import Catalog
from pctx_jupyter.tools.scope import Changes, Layer, Scope
from pctx_jupyter.tools.tool import Tool
from pctx_jupyter.upstream.shapes import ShapeFile

TOOLS = [
    Tool("github", "search_issues", "Finds issues of a repository."),
    Tool("github", "create_pull_request", "Opens one for a branch."),
    Tool("mail", "send_message", "Sends an e-mail to people.", {"type": "object", "properties": {"subject": {}}}),
    Tool("weather", "getForecastURL", "Where tomorrow's weather is told."),
]


async def serve(call: Call) -> None:
    raise AssertionError


changes = Changes()


def catalog(*tools: Tool) -> Catalog:
    made = Catalog(changed=changes.count)
    for tool in tools:
        made.add(tool, serve)  # type: ignore[arg-type]  # nobody calls
    return made


def search(of: Catalog) -> Search:
    return Search(Scope(lambda: [Layer(of)], changes))


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("issue", "Github.searchIssues"),
        ("find ISSUES", "Github.searchIssues"),
        ("pull requests", "Github.createPullRequest"),
        ("email subject", "Mail.sendMessage"),
        ("forecast url", "Weather.getForecastUrl"),
        ("Weather.getForecastURL", "Weather.getForecastUrl"),
    ],
)
async def test_the_best_comes_first(query: str, best: str) -> None:
    found = await search(catalog(*TOOLS)).find(query, 3)
    assert found[0].path == best


async def test_only_tools_with_a_word_of_the_query_are_found() -> None:
    one = search(catalog(*TOOLS))
    assert len(await one.find("weather", 10)) == 1
    assert await one.find("zebra", 10) == []
    assert await one.find("", 10) == [] and await one.find("\x00*/ 🎉" * 10_000, 10) == []


WEATHER = Tool(
    "market_data",
    "weather_month",
    "The weather of a month.",
    {"type": "object", "properties": {"place": {"type": "string", "description": "A city or a harbour."}}},
    {
        "type": "array",
        "items": {"$ref": "#/$defs/Day"},
        "$defs": {"Day": {"properties": {"precipitation": {"type": "number", "description": "Rain in mm."}}}},
    },
)


@pytest.mark.parametrize("query", ["rain", "precipitation", "harbours", "how much rain is there in a month"])
async def test_fields_of_arguments_and_results_are_known(query: str) -> None:
    found = await search(catalog(*TOOLS, WEATHER)).find(query, 5)
    assert [tool.path for tool in found] == ["MarketData.weatherMonth"]


@pytest.mark.parametrize(
    "query",
    [
        "Mail.sendMessage, github.search_issues",
        "sendMessage searchIssues",
        "`send_message` and Github.searchIssues",
        "SENDMESSAGE searchissues",
    ],
)
async def test_tools_that_are_named_come_first_and_all_of_them_whatever_number_is_asked_for(query: str) -> None:
    found = await search(catalog(*TOOLS, WEATHER)).find(query, 1)
    assert [tool.path for tool in found] == ["Mail.sendMessage", "Github.searchIssues"]


async def test_a_name_among_other_words_comes_first_and_the_others_follow() -> None:
    found = await search(catalog(*TOOLS, WEATHER)).find("weatherMonth or a forecast", 5)
    assert [tool.path for tool in found] == ["MarketData.weatherMonth", "Weather.getForecastUrl"]


async def test_a_word_of_a_sentence_is_no_name() -> None:
    tools = catalog(*TOOLS, Tool("text", "find", "Looks through a text."))
    assert (await search(tools).find("find issues of a repository", 3))[0].path == "Github.searchIssues"


async def test_what_fits_much_worse_than_the_best_is_left_out() -> None:
    others = [Tool("files", f"read_{number}", "Reads one file of a branch.") for number in range(9)]
    found = await search(catalog(*TOOLS, *others)).find("create a pull request for a branch", 5)
    assert [tool.path for tool in found] == ["Github.createPullRequest"]


async def test_words_that_say_nothing_find_nothing_beside_others() -> None:
    assert await search(catalog(*TOOLS)).find("launch a rocket to the moon", 5) == []


async def test_a_rare_word_counts_for_more_than_a_frequent_one() -> None:
    tools = [Tool("files", f"read_{number}", "Reads a file.") for number in range(20)]
    found = await search(catalog(*tools, Tool("files", "archive", "Packs into an archive."))).find("file archive", 3)
    assert found[0].path == "Files.archive"


async def test_tools_that_fit_equally_well_stay_in_their_order() -> None:
    tools = [Tool("files", f"read_{number}", "Reads a file.") for number in range(9)]
    found = await search(catalog(*tools)).find("reads", 4)
    assert [tool.tool_name for tool in found] == ["read0", "read1", "read2", "read3"]


async def test_of_many_tools_fewer_words_are_read_and_the_names_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_IN_ALL", 2 * limits.FEWEST_WORDS)
    monkeypatch.setattr(limits, "MOST_DISTINCT", limits.FEWEST_WORDS + 5)
    description = " ".join(f"{chr(97 + number)}word" for number in range(limits.FEWEST_WORDS + 1))
    one = search(catalog(Tool("files", "read", description), Tool("files", "write"), Tool("files", "erase")))
    assert [len(await one.find(word, 5)) for word in ("aword", description[-5:])] == [1, 0]
    assert [tool.path for tool in await one.find("erase", 5)] == ["Files.erase"]


async def test_a_long_query_about_many_tools_delays_nobody() -> None:
    description = " ".join(f"{chr(97 + number % 26)}{chr(97 + number // 26)}" for number in range(60))
    one = search(catalog(*(Tool("files", f"read_{number}", description) for number in range(2_000))))
    await one.find("read", 5)  # the index is there

    async def turns(query: str) -> int:
        asked, found = asyncio.ensure_future(one.find(query, 5)), 0
        while not asked.done():
            await asyncio.sleep(0)
            found += 1
        assert len(asked.result()) == 5
        return found

    assert await turns(description) > await turns("read"), "it took one turn"


async def test_without_tools_nothing_is_found() -> None:
    assert await search(catalog()).find("anything", 5) == []


async def test_a_tool_that_comes_or_goes_is_noticed() -> None:
    tools = catalog(*TOOLS)
    one = search(tools)
    assert await one.find("zebra", 5) == []
    tools.add(Tool("zoo", "feed_zebra"), serve)  # type: ignore[arg-type]  # nobody calls
    assert [tool.path for tool in await one.find("zebra", 5)] == ["Zoo.feedZebra"]
    tools.remove("Zoo.feedZebra")
    assert await one.find("zebra", 5) == []


class Noted(str):
    """A description that counts how often it is read."""

    reads = 0

    def __getitem__(self, part: object) -> str:
        self.reads += 1
        return super().__getitem__(part)  # type: ignore[index]  # it is whatever the reader asks for


async def test_only_tools_that_changed_are_read_again_and_those_that_are_gone_make_room() -> None:
    tools, description = catalog(*TOOLS), Noted("Feeds a zebra.")
    kept = Tool("zoo", "feed", description)
    tools.add(kept, serve)  # type: ignore[arg-type]  # nobody calls
    one = search(tools)
    assert [await one.find("zebra", 5), description.reads] == [[kept], 1]
    for number in range(20):
        tools.add(Tool("zoo", f"count_{number}", "Counts a zebra."), serve)  # type: ignore[arg-type]  # nobody calls
        assert [tool.tool_name for tool in await one.find("zebra", 5)] == ["feed", f"count{number}"]
        tools.remove(f"Zoo.count{number}")
        assert await one.find("zebra", 5) == [kept] and await one.find(f"count{number}", 5) == []
    assert 1 < description.reads <= 12, "each change read it again, or what is gone stays for ever"


def test_words_are_compared_small_and_singular() -> None:
    assert list(words("getUserIDs from HTTPServer_2, statuses of queries; class")) == (
        ["get", "user", "id", "from", "http", "server", "2", "statuse", "of", "query", "class"]
    )


async def test_fields_that_were_observed_are_found_from_then_on() -> None:
    observations = Observations(ShapeFile(""), lambda: 0.0)
    tool = observations.watched(Tool("market", "load", "Loads all there is."), ["load"])
    one = search(catalog(*TOOLS, tool))
    assert await one.find("precipitation", 3) == []
    assert tool.observed is not None
    tool.observed.take(Raw(b'[{"precipitation": 1.5}]'))
    assert await one.find("precipitation", 3) == [tool]
    await observations.close()
