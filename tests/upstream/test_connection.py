"""One upstream: a real process on a real pipe, with any manners."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from mcp_types import CallToolResult

from pctx_jupyter import errors
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc import nonfinite
from pctx_jupyter.session.turns import Turns
from pctx_jupyter.upstream.connection import STALE_S
from pctx_jupyter.upstream.values import MOST_ERROR, value_of

from .conftest import OpenWorld, World, peer


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def pids(file: Path) -> list[int]:
    return [int(line.split()[1]) for line in lines(file) if line.startswith("start ")]


def is_alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


async def test_its_tools_come_into_the_catalog_with_all_they_say(open_world: OpenWorld) -> None:
    async with open_world(peer(name="my peer")) as world:
        view = await world.until_state("my peer")
        assert (view.namespace, view.tools, view.transport, view.error) == ("MyPeer", 12, "stdio", None)
        assert (view.server, view.protocol, view.connections) == ("peer 1", "2025-11-25", 1)
        echo = world.catalog.find("MyPeer.echo").tool
        assert echo.description == "Says it again." and echo.effects is False
        assert echo.input_schema == {"type": "object", "properties": {"text": {"type": "string"}}}
        assert world.catalog.find("MyPeer.die").tool.effects is True
        assert world.catalog.find("MyPeer.slow").tool.effects is None
        assert "tools" in world.told and "upstreams" in world.told


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ([], None),
        ([{"type": "text", "text": "plain"}], "plain"),
        ([{"type": "text", "text": '{"a": [1, null]}'}], {"a": [1, None]}),
        ([{"type": "text", "text": "42"}], 42),
        ([{"type": "text", "text": "12345678901234567890"}], "12345678901234567890"),
        ([{"type": "text", "text": "NaN"}], "NaN"),
        ([{"type": "text", "text": '{"a": '}], '{"a": '),
        ([{"type": "text", "text": ""}], ""),
        (
            [{"type": "image", "data": "aGk=", "mimeType": "image/png"}],
            {"type": "image", "data": "aGk=", "mimeType": "image/png"},
        ),
        (
            [{"type": "text", "text": "1"}, {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"}],
            [{"type": "text", "text": "1"}, {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"}],
        ),
        (
            [
                {"type": "resource", "resource": {"uri": "a://b", "text": "c"}},
                {"type": "resource_link", "uri": "a://b", "name": "n"},
            ],
            [
                {"type": "resource", "resource": {"uri": "a://b", "text": "c"}},
                {"type": "resource_link", "uri": "a://b", "name": "n"},
            ],
        ),
    ],
)
async def test_content_becomes_the_value_that_the_docs_promise(open_world: OpenWorld, content: Any, value: Any) -> None:
    async with open_world(peer()) as world:
        await world.until_state("good")
        assert await world.call("Good.content", {"text": json.dumps(content)}) == value


PNG = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
LINK = {"type": "resource_link", "uri": "a://b", "name": "n"}


def said(*texts: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text} for text in texts]


@pytest.mark.parametrize(
    ("structured", "content", "beside"),
    [
        ({"a": 1}, [PNG, *said('{"a": 1}'), LINK], [PNG, LINK]),
        ({"a": 1, "b": [2]}, said('{ "b": [2],\n "a": 1 }'), None),
        ({"a": 1}, said("One a was found."), said("One a was found.")),
        ({"result": ["x", "y", 3]}, said("x", "y", "3"), None),
        ({"result": "x"}, said("x"), None),
        ({"result": True}, said("true", ""), None),
        ({"a": 1}, [], None),
        ({"a": 1, "$content": "its own"}, [PNG], "its own"),
    ],
)
async def test_content_beside_a_structured_value_is_kept(
    open_world: OpenWorld, structured: Any, content: Any, beside: Any
) -> None:
    async with open_world(peer()) as world:
        await world.until_state("good")
        answer = {"structuredContent": structured, "content": content}
        value = await world.call("Good.content", {"text": json.dumps(answer)})
        assert value == structured | ({} if beside is None else {"$content": beside})


async def test_a_structured_value_that_is_no_object_stays_what_it_is(open_world: OpenWorld) -> None:
    result = CallToolResult.model_validate({"content": [PNG], "structuredContent": {}})
    object.__setattr__(result, "structured_content", [1])
    assert bytes(value_of(result)) == b"[1]"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1234567890123456789", "0.1234567890123456789"),
        ("9007199254740993.0", "9007199254740993.0"),
        ("-9007199254740991", -9007199254740991),
        ("0.30000000000000004", 0.30000000000000004),
        ("1.2.3.4.5.6.7.8.9", "1.2.3.4.5.6.7.8.9"),
        ("1e400", "1e400"),
        ("[NaN]", "[NaN]"),
        ('{"$pctx.nonfinite": "#NaN"}', {"$pctx.nonfinite": "#NaN"}),
    ],
)
def test_text_is_a_number_only_if_javascript_has_it(text: str, value: Any) -> None:
    found = nonfinite.decode(value_of(CallToolResult.model_validate({"content": said(text)})))
    assert (found, type(found)) == (value, type(value))


def test_numbers_that_json_lacks_stay_what_they_are_in_a_structured_value() -> None:
    given = {"mean": math.nan, "most": [math.inf], "id": 10**30, "$pctx.nonfinite": "#NaN"}
    found = nonfinite.decode(value_of(CallToolResult.model_validate({"content": [], "structuredContent": given})))
    assert math.isnan(found.pop("mean")) and found == {key: given[key] for key in found}


async def test_several_texts_are_joined_unless_the_entry_asks_for_a_list(open_world: OpenWorld) -> None:
    content = json.dumps(said("one", "two"))
    async with open_world(peer(), peer(name="apart", texts="list")) as world:
        await world.until_state("good")
        await world.until_state("apart")
        assert await world.call("Good.content", {"text": content}) == "one\ntwo"
        assert await world.call("Apart.content", {"text": content}) == ["one", "two"]
        assert await world.call("Apart.content", {"text": json.dumps(said("one"))}) == "one"


async def test_the_data_of_a_protocol_error_reaches_the_program_without_secrets(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PCTX_TEST_SECRET", "s3cr3t-canary")
    (tmp_path / "log.tools").write_text('[{"name": "refuse", "inputSchema": {"type": "object"}}]')
    async with open_world(peer("told", tmp_path / "log", env={"API_KEY": "$PCTX_TEST_SECRET"})) as world:
        await world.until_state("told")
        with pytest.raises(errors.ToolFailed, match="no such city") as refused:
            await world.call("Told.refuse", {"a": 2})
        data = {"field": "city", "got": [1, {"a": 2}], "key": "***"}
        assert refused.value.data == {"name": "McpError", "data": data}


async def test_an_argument_with_a_default_is_optional_and_the_server_gets_the_default(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    text = {"type": "string", "default": "by default"}
    kinds = ["object", "null"]
    schema = {"type": kinds, "properties": {"text": text, "n": {"type": "number"}}, "required": ["text", "n"]}
    (tmp_path / "log.tools").write_text(json.dumps([{"name": "echo", "inputSchema": schema}]))
    async with open_world(peer("told", tmp_path / "log")) as world:
        await world.until_state("told")
        assert await world.call("Told.echo", {"n": 1}) == "by default"
        assert await world.call("Told.echo", {"n": 1, "text": "given"}) == "given"
        known = world.catalog.find("Told.echo").tool.input_schema
        assert isinstance(known, dict) and known["required"] == ["n"]


async def test_structured_content_is_the_value_whatever_its_schema_says(open_world: OpenWorld) -> None:
    async with open_world(peer(), peer("sloppy")) as world:
        await world.until_state("good")
        await world.until_state("sloppy")
        assert await world.call("Good.structured") == {"a": "no number"}
        assert await world.call("Sloppy.structured") == {"a": 1}  # and no content at all


async def test_a_number_that_json_lacks_is_refused_with_its_path(open_world: OpenWorld) -> None:
    async with open_world(peer()) as world:
        await world.until_state("good")
        with pytest.raises(errors.ToolFailed, match=r"arguments\.other\[1\]\.x is NaN, which JSON does not have"):
            await world.call("Good.echo", nonfinite.encode({"text": "a", "other": [1, {"x": float("nan")}]}))


async def test_a_value_that_looks_marked_is_data(open_world: OpenWorld) -> None:
    async with open_world(peer()) as world:
        await world.until_state("good")
        value = {"$pctx.nonfinite": "#NaN"}
        result = await world.call("Good.content", {"text": json.dumps([{"type": "text", "text": json.dumps(value)}])})
        assert nonfinite.decode(rpc.raw(result)) == value


async def test_what_a_tool_says_of_its_failure_reaches_the_program(open_world: OpenWorld) -> None:
    async with open_world(peer()) as world:
        await world.until_state("good")
        with pytest.raises(errors.ToolFailed, match="out of paper"):
            await world.call("Good.fail", {"text": "out of paper"})
        failed = {"isError": True, "content": said("no such city"), "structuredContent": {"field": "city"}}
        with pytest.raises(errors.ToolFailed, match="no such city") as refused:
            await world.call("Good.content", {"text": json.dumps(failed)})
        assert refused.value.data == {"name": "ToolError", "data": {"field": "city"}}
        page = "<!DOCTYPE html><html><head><title>502</title><style>b{}</style></head><body><h1>Bad&nbsp;Gateway</h1>"
        with pytest.raises(errors.ToolFailed, match=r"^502\nBad Gateway$"):
            await world.call("Good.fail", {"text": page + "<script>if (a<b) {}</script></body></html>"})
        with pytest.raises(errors.ToolFailed, match=r"^a <b> c$"):
            await world.call("Good.fail", {"text": "a <b> c"})
        with pytest.raises(errors.ToolFailed, match=r"^Traceback[^…]*…[^…]*…[^…]*the end$") as long:
            await world.call("Good.fail", {"text": "Traceback" + "x" * 1_000_000 + "the end"})
        assert len(long.value.message) < MOST_ERROR + 50
        with pytest.raises(errors.ToolFailed, match="one object of named arguments") as raised:
            await world.call("Good.echo", ["a"])
        assert raised.value.name == "TypeError"


async def test_any_text_and_null_arrive_as_they_are(open_world: OpenWorld) -> None:
    async with open_world(peer()) as world:
        await world.until_state("good")
        assert await world.call("Good.content", {"text": "[]", "other": None}) is None
        assert await world.call("Good.echo", {"text": "ü\u2028\U0001f600"}) == "ü\u2028\U0001f600"


async def test_progress_becomes_notes(open_world: OpenWorld) -> None:
    async with open_world(peer()) as world:
        await world.until_state("good")
        assert await world.call("Good.count", {"n": 3}) == "counted"
        assert world.notes == ["counting (1 of 3)", "counting (2 of 3)", "counting (3 of 3)"]


async def test_calls_run_side_by_side(open_world: OpenWorld, tmp_path: Path) -> None:
    async with open_world(peer(file=tmp_path / "log")) as world:
        await world.until_state("good")
        slow = asyncio.create_task(world.call("Good.slow", {"n": 600}))
        await world.until(lambda: "ran slow" in lines(tmp_path / "log"))
        assert await asyncio.gather(*(world.call("Good.echo", {"text": str(n)}) for n in range(50))) == list(range(50))
        slow.cancel()


async def test_a_withdrawn_call_is_withdrawn_at_the_server_and_others_go_on(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    async with open_world(peer(file=tmp_path / "log")) as world:
        await world.until_state("good")
        slow = asyncio.create_task(world.call("Good.slow", {"n": 600}))
        await world.until(lambda: "ran slow" in lines(tmp_path / "log"))
        slow.cancel()
        await world.until(lambda: "cancelled slow" in lines(tmp_path / "log"))
        assert await world.call("Good.echo", {"text": "still there"}) == "still there"
        assert world.view("good").connections == 1


async def test_its_own_limit_on_calls_counts_in_place_of_the_general_one(open_world: OpenWorld, tmp_path: Path) -> None:
    async with open_world(peer(file=tmp_path / "log", call_timeout_s=0.2)) as world:
        await world.until_state("good")
        assert world.catalog.find("Good.slow").is_patient
        with pytest.raises(errors.ToolFailed, match=r"timed out after 0\.2 s .*may or may not have run") as raised:
            await world.call("Good.slow", {"n": 600})
        assert raised.value.name == "TimeoutError"
        await world.until(lambda: "cancelled slow" in lines(tmp_path / "log"))
        turns = world.upstreams._open["Good"]._calls._turns = Turns(at_once=1)
        async with turns.turn("other"):
            with pytest.raises(errors.ToolFailed, match=r"turn has not come within 0\.2 s, and it was not sent.*fewer"):
                await world.call("Good.slow", {"n": 600})
        assert await world.call("Good.echo", {"text": "next"}) == "next"


async def test_a_server_killed_during_a_call_fails_it_at_once_and_the_next_one_succeeds(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with open_world(peer(file=log)) as world:
        await world.until_state("good")
        slow = asyncio.create_task(world.call("Good.slow", {"n": 600}))
        await world.until(lambda: "ran slow" in lines(log))
        os.kill(pids(log)[0], signal.SIGKILL)
        with pytest.raises(
            errors.ToolFailed, match="connection to good was lost; it may or may not have run"
        ) as raised:
            await slow
        assert raised.value.name == "ConnectionLost"
        assert await world.call("Good.echo", {"text": "again"}) == "again"
        assert lines(log).count("ran slow") == 1 and len(pids(log)) == 2
        assert any("is being connected" in note for note in world.notes)


async def test_a_server_that_ends_itself_says_how(open_world: OpenWorld) -> None:
    async with open_world(peer()) as world:
        await world.until_state("good")
        with pytest.raises(errors.ToolFailed, match="may or may not have run"):
            await world.call("Good.die")
        await world.until(
            lambda: world.view("good").error == "it ended with status 7" or world.view("good").connections > 1
        )
        assert await world.call("Good.echo", {"text": "x"}) == "x"


async def test_a_stopped_server_is_given_up_by_the_call_and_serves_again_when_it_goes_on(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with open_world(peer(file=log, call_timeout_s=0.3)) as world:
        await world.until_state("good")
        os.kill(pids(log)[0], signal.SIGSTOP)
        try:
            with pytest.raises(errors.ToolFailed, match="timed out"):
                await world.call("Good.echo", {"text": "a"})
        finally:
            os.kill(pids(log)[0], signal.SIGCONT)
        for _ in range(100):
            with suppress(errors.ToolFailed):
                assert await world.call("Good.echo", {"text": "b"}) == "b"
                break
        assert len(pids(log)) == 1


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"name": "it", "command": "there-is-no-such-command"}, "was not found; install it"),
        ({"name": "it", "command": "/etc/hostname"}, "cannot start /etc/hostname|does not start"),
        ({"name": "it", "command": "sh", "args": [], "cwd": "/nonexistent"}, "folder /nonexistent does not exist"),
        (peer("crash", name="it"), "it ended with status 3: no licence for you"),
        (peer("quits", name="it"), "it ended with status 5"),
        (peer("mute", name="it", connect_timeout_s=0.3), r"not listed its tools within 0\.3 s"),
        ({"name": "it", "url": "http://127.0.0.1:9/mcp"}, "cannot be reached at http://127.0.0.1:9/mcp"),
    ],
    ids=["missing", "not executable", "folder", "crash", "quits", "mute", "nobody listens"],
)
async def test_a_server_that_cannot_be_had_says_why_and_the_others_go_on(
    open_world: OpenWorld, entry: dict[str, Any], why: str
) -> None:
    async with open_world(entry, peer()) as world:
        await world.until_state("good")
        await world.until(lambda: world.view("it").error is not None)
        error = world.view("it").error or ""
        assert re.search(why, error), error
        assert await world.call("Good.echo", {"text": "x"}) == "x"


async def test_what_is_no_message_is_counted_and_left_out(open_world: OpenWorld) -> None:
    async with open_world(peer("junk"), max_message_bytes=1 << 20) as world:
        view = await world.until_state("junk")
        assert await world.call("Junk.echo", {"text": "x"}) == "x"
        assert any("lines to stdout that are no messages" in problem for problem in view.problems)


async def test_an_answer_beyond_the_limit_fails_its_call_and_nothing_else(open_world: OpenWorld) -> None:
    async with open_world(peer(), max_message_bytes=1 << 20) as world:
        await world.until_state("good")
        with pytest.raises(errors.ToolFailed, match=r"2,0\d\d,\d\d\d bytes is beyond the limit"):
            await world.call("Good.large", {"n": 2_000_000})
        assert len(await world.call("Good.large", {"n": 900_000})) == 900_000
        assert world.view("good").connections == 1


async def test_a_line_without_end_fails_its_call_in_time_and_nothing_else(open_world: OpenWorld) -> None:
    async with open_world(peer("torrent", call_timeout_s=0.5), peer(), max_message_bytes=1 << 20) as world:
        await world.until_state("torrent")
        await world.until_state("good")
        with pytest.raises(errors.ToolFailed, match=r"timed out after 0\.5 s .*the upstream torrent"):
            await world.call("Torrent.large", {"n": 1 << 16})
        assert await world.call("Good.echo", {"text": "x"}) == "x"


async def test_hostile_tools_are_left_out_by_name_and_the_good_ones_work(open_world: OpenWorld) -> None:
    async with open_world(peer("hostile")) as world:
        view = await world.until_state("hostile")
        paths = {tool.registered_name for tool in world.catalog}
        assert {"echo", "fail", "no_schema", "odd", "elsewhere", "__proto__", "then"} <= paths
        assert not paths & {"array", "deep", "a\nb", "x" * 200, "huge"}
        said = "\n".join(view.problems)
        assert said.count("a tool without a name") == 3
        for part in (
            "'array' was left out",
            "control character",
            "nest deeper",
            "it has 200 characters",
            "'huge'",
        ):
            assert part in said, part
        assert await world.call("Hostile.echo", {"text": "x"}) == "x"
        assert await world.call("Hostile.echo2") == await world.call("hostile.Echo") == "called Echo"
        assert await world.call("Hostile.noSchema") == "called no_schema"


@pytest.mark.parametrize("manner", ["forger", "groaning"])
async def test_what_a_server_says_adds_no_line_to_a_log_and_commands_no_terminal(
    open_world: OpenWorld, caplog: pytest.LogCaptureFixture, manner: str
) -> None:
    entries = [
        peer(manner, name="it"),
        {"name": "lost\x1b[2J", "command": "x"},
        {"name": "gone", "command": "no\n[E] such\x1b[2J", "args": []},
    ]
    async with open_world(*entries, waits=False) as world:
        await world.until(lambda: any(one.name == "it" for one in world.upstreams.listed().upstreams))
        await world.until_state("it", "down")
        await world.until_state("gone", "down")
        listed = world.upstreams.listed()
        assert "all is well" in (world.view("it").error or "") and len(listed.problems) == 1
        said = [text for one in listed.upstreams for text in (one.error or "", one.where, *one.problems)]
        said += listed.problems
        said += [record.getMessage() for record in caplog.records if record.name.startswith("pctx_jupyter")]
    assert [text for text in said if not text.isprintable()] == []


async def test_a_tool_in_the_place_of_what_javascript_has_is_left_out_and_said(open_world: OpenWorld) -> None:
    async with open_world(peer("hostile", name="math")) as world:
        view = await world.until_state("math")
        assert "Math.__proto__ is JavaScript's own" in "\n".join(view.problems)
        assert "Math.echo" in {tool.path for tool in world.catalog}
        assert "__proto__" not in {tool.registered_name for tool in world.catalog}


async def test_ten_thousand_tools_come_in_pages(open_world: OpenWorld) -> None:
    async with open_world(peer("many", name="m")) as world:
        view = await world.until_state("m")
        assert view.tools == 10_000 and view.problems == []
        assert await world.call("M.tool9999") == "called tool_9999"


async def test_while_ten_thousand_tools_come_no_turn_of_the_loop_reads_many_of_them(open_world: OpenWorld) -> None:
    largest = before = 0

    def look(world: World) -> None:
        nonlocal largest, before
        largest, before = max(largest, len(world.catalog) - before), len(world.catalog)

    async with open_world(peer("many", name="m"), waits=False) as world:
        while before < 10_000:
            await asyncio.sleep(0)
            look(world)
    assert largest <= 25


async def test_more_tools_than_are_allowed_are_left_out(open_world: OpenWorld) -> None:
    async with open_world(peer("many", name="m"), max_tools=1500) as world:
        view = await world.until_state("m")
        assert view.tools == 1500 and "more than 1,500 tools" in view.problems[0]


async def test_tools_that_are_too_many_bytes_in_all_are_not_kept(open_world: OpenWorld) -> None:
    async with open_world(peer("many", name="m"), peer(), max_message_bytes=1 << 19) as world:
        await world.until_state("m", "down")
        assert world.view("m").error == "its tools have more than 524,288 bytes in all (Pctx.max_message_bytes)"
        await world.until_state("good")
        assert not [tool for tool in world.catalog if tool.namespace_name == "M"]


async def test_a_list_that_never_ends_is_ended(open_world: OpenWorld) -> None:
    async with open_world(peer("endless")) as world:
        view = await world.until_state("endless")
        assert view.tools == 12


async def test_news_of_changed_tools_are_taken_in_and_a_storm_of_them_is_no_storm_of_lists(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with open_world(peer(file=log), changed_tools="flag") as world:
        await world.until_state("good")
        log.with_suffix(".description").write_text("Says it once more.")
        assert await world.call("Good.storm", {"n": 2000}) == "stormed"
        await world.until(lambda: world.catalog.find("Good.echo").tool.description == "Says it once more.")
        assert lines(log).count("list") < 10
        assert await world.call("Good.echo", {"text": "x"}) == "x"


async def test_nothing_of_a_server_is_left_behind(open_world: OpenWorld, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with open_world(peer("deaf", file=log)) as world:
        await world.until_state("deaf")
        grandchild = await world.call("Deaf.spawn")
        assert is_alive(grandchild)
    assert not is_alive(pids(log)[0])
    assert not is_alive(grandchild)


async def test_what_a_killed_server_had_started_goes_with_it(open_world: OpenWorld, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with open_world(peer(file=log)) as world:
        await world.until_state("good")
        grandchild = await world.call("Good.spawn")
        os.kill(pids(log)[0], signal.SIGKILL)
        await world.until(lambda: not is_alive(grandchild))


async def test_secrets_reach_the_server_and_nobody_else(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PCTX_TEST_SECRET", "s3cr3t-canary")
    monkeypatch.setenv("PCTX_TEST_OTHER", "not-for-servers")
    caplog.set_level("DEBUG")
    given = {"API_KEY": "${env:PCTX_TEST_SECRET}"}
    async with open_world(
        peer(env=given),
        peer("crash", env=given),
        peer("talkative", env=given),
        peer("deaf", env={"API_KEY": "${env:NOPE}"}),
    ) as world:
        await world.until_state("good")
        await world.until(lambda: world.view("crash").error is not None and world.view("deaf").error is not None)
        assert await world.call("Good.env", {"text": "API_KEY"}) == "***"
        assert await world.call("Good.env", {"text": "PCTX_TEST_OTHER"}) == "not set"
        with pytest.raises(errors.ToolFailed, match=r"^\*\*\*$"):
            await world.call("Good.fail", {"text": "s3cr3t-canary"})
        with pytest.raises(errors.ToolFailed) as cut:
            await world.call("Good.fail", {"text": "x" * (MOST_ERROR - 4) + "s3cr3t-canary"})
        assert len(cut.value.message) <= MOST_ERROR and "s3cr" not in cut.value.message
        await world.until_state("talkative")
        told = world.catalog.find("Talkative.whoami").tool
        assert told.description == "Signs in with ***." and "canary" not in repr(told)
        assert world.view("crash").error == "it ended with status 3: no licence for ***"
        assert world.view("deaf").error == (
            "Cannot read ${env:NOPE}: this environment variable is not set; set it where Jupyter is started, or give a "
            "default: ${NOPE:-…} (it is in the variable API_KEY of deaf)"
        )
        assert "canary" not in repr(world.upstreams.listed())
    assert "canary" not in caplog.text


# connecting again


async def test_reconnect_during_an_attempt_that_hangs_begins_another_one_at_once(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with open_world(peer("sulks", file=log, connect_timeout_s=600)) as world:
        await world.until(lambda: len(pids(log)) == 1)
        log.with_suffix(".go").touch()
        world.upstreams.reconnect("sulks")
        assert (await world.until_state("sulks")).connections == 1
        assert len(pids(log)) == 2 and not is_alive(pids(log)[0])


async def test_reconnect_pressed_often_while_connecting_leaves_one_process(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with open_world(peer("sulks", file=log, connect_timeout_s=600)) as world:
        await world.until(lambda: len(pids(log)) == 1)
        for _ in range(20):
            world.upstreams.reconnect("sulks")
            await asyncio.sleep(0)
        log.with_suffix(".go").touch()
        world.upstreams.reconnect("sulks")
        await world.until_state("sulks")
        assert await world.call("Sulks.echo", {"text": "x"}) == "x"
        assert sum(map(is_alive, pids(log))) == 1


async def test_a_server_that_always_fails_is_tried_less_and_less_and_at_once_when_somebody_asks(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with open_world(peer("later", file=log)) as world:
        await world.until(lambda: (world.view("later").retry_s or 0) >= 3)
        view = world.view("later")
        assert (view.state, view.error) == ("down", "it ended with status 3")
        log.with_suffix(".go").touch()
        world.upstreams.reconnect("later")
        assert (await world.until_state("later")).retry_s is None


async def test_a_program_that_names_a_server_that_is_down_has_it_tried(open_world: OpenWorld, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with open_world(peer("later", file=log)) as world:
        await world.until(lambda: (world.view("later").retry_s or 0) > STALE_S + 1)  # it has just failed
        planned = world.view("later").retry_s or 0
        await world.until(lambda: 0 < (world.view("later").retry_s or planned) < planned - STALE_S - 0.1)
        log.with_suffix(".go").touch()
        await world.upstreams.settle("await Later.echo({})")
        assert await world.call("Later.echo", {"text": "x"}) == "x"


async def test_a_configuration_that_cannot_be_used_is_not_tried_again_by_itself(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PCTX_TEST_HEADER", "\u20ac")
    entry = {"name": "it", "url": "http://127.0.0.1:9/", "headers": {"X-Key": "${env:PCTX_TEST_HEADER}"}}
    async with open_world(entry) as world:
        await world.until_state("it", "down")
        assert world.view("it").retry_s is None
        world.upstreams.reconnect("it")
        await world.until_state("it", "down")


async def test_why_a_server_did_not_start_is_the_line_that_says_it_and_its_last_lines_are_kept_without_secrets(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PCTX_TEST_SECRET", "s3cr3t-canary")
    async with open_world(peer("node", env={"API_KEY": "${env:PCTX_TEST_SECRET}"})) as world:
        view = await world.until_state("node", "down")
        assert view.error == "it ended with status 1: Error: Cannot find ***"
        assert view.log[:2] == ["loader:1", "throw err;"] and view.log[-3:] == ["Error: Cannot find ***", "at x", "}"]
        missing = world.upstreams.why_missing("Node.echo") or ""
        assert missing.startswith("Node is an MCP server that is down: it ended with status 1: Error: Cannot find ***")
        assert world.upstreams.why_missing("Nothing.echo") is None
