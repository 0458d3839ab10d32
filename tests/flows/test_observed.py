"""Types of tools that declare none, with real engine, checker and MCP server: learnt, used, widened, forgotten."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import learnt
from pctx_jupyter import errors
from pctx_jupyter.client.client import PctxClient
from pctx_jupyter.engine import Engine, open_engine
from pctx_jupyter.rpc import wire
from pctx_jupyter.rpc.channel import Channel, OnNotification, Serve
from pctx_jupyter.settings import Places, Settings

from ..upstream.conftest import peer

LONG = 60
"""Seconds for what starts an engine, a type checker and a server on a busy machine."""


@asynccontextmanager
async def opened(folder: Path, **settings: Any) -> AsyncIterator[tuple[Engine, PctxClient]]:
    """An engine on the files of a folder, whose server `good` returns the JSON that it is given as text."""
    config = folder / "pctx.json"
    config.write_text(json.dumps({"name": "test", "servers": [peer("good", folder / "calls")]}))
    places = Places(upstreams=(str(config),), data=str(folder / "data"))
    async with open_engine(Settings(max_check_s=LONG, **settings), places) as engine:

        async def connect(serve: Serve, on_notification: OnNotification) -> Channel:
            return engine.connect(serve=serve, on_notification=on_notification)

        async with PctxClient(connect=connect) as client:
            await client.execute_code("typeof Good")  # waits until the server is there
            yield engine, client


def call(result: object) -> str:
    """The text of a call that returns this."""
    return f"await Good.echo({{ text: {json.dumps(json.dumps(result))} }})"


ISSUES = [{"id": 1, "title": "a", "user": {"login": "x"}}, {"id": 2, "title": "b", "user": {"login": "y"}, "body": "z"}]


async def declared(client: PctxClient, tool: str = "Good.echo") -> Any:
    return (await client.get_function_details([tool]))[tool]["output_schema"]


async def test_second_program_knows_what_the_first_one_got(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, client):
        assert await declared(client) is None
        first = await client.execute_code(f"({call(ISSUES)}).lenght")
        assert first["value"] is None and first["stderr"] == ""
        assert (await declared(client))["x-observed"] == 1
        second = await client.execute_code(f"({call(ISSUES)}).map(one => one.user.login.toUpperCase())")
        assert (second["value"], second["stderr"]) == (["X", "Y"], "")
        wrong = await client.execute_code(f"const found = {call(ISSUES)};\nfound.map(one => one.titel)")
        assert wrong["value"] == [None, None]
        assert "Warning: line 2, column 22: Property 'titel' does not exist" in wrong["stderr"]
        assert "Did you mean 'title'?" in wrong["stderr"] and "may be incomplete" in wrong["stderr"]
        declared_otherwise = await client.execute_code("[await Good.structured(), await Good.structured()]")
        assert declared_otherwise["value"] == [{"a": "no number"}] * 2
        assert declared_otherwise["stderr"] == (
            'Warning: Good.structured does not return what it declares: result.a: expected number, got "no number"; '
            "the program received it unchanged\n"
        )
        with pytest.raises(errors.ExecutionFailed, match="toFixd") as refused:
            await client.execute_code(f"const found = {call(ISSUES)};\nfound[0].titel; (5).toFixd()")
        assert "Property 'titel'" not in refused.value.message


async def test_editors_underline_such_a_place_as_a_warning_and_complete_the_fields(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, client):
        await client.execute_code(call(ISSUES))
        source = f"const [found] = {call(ISSUES)};\nfound.titel;\n(5).toFixd()"
        diagnosed = await client._ask(wire.DIAGNOSTICS, wire.Written(source), wire.Diagnosed)
        assert [(one.severity, "titel" in one.message) for one in diagnosed.diagnostics] == [
            ("warning", True),
            ("error", False),
        ]
        at = wire.Position(source, offset=source.index("titel"))
        completed = await client._ask(wire.COMPLETE, at, wire.Completed)
        assert {"id", "title", "user", "body"} <= {item.label for item in completed.items}
        hovered = await client._ask(wire.HOVER, wire.Position(source, offset=source.index("echo") + 1), wire.Explained)
        assert "Observed in 1 call; may be incomplete." in (hovered.text or "")


async def test_what_a_program_keeps_of_an_observed_type_warns_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, client):
        await client.execute_code(call(ISSUES))
        kept = await client.execute_code(f"export const issues = {call(ISSUES)}")
        assert kept["kept"] == ["issues"]
        assert (await client.execute_code("issues[1].body?.length"))["stderr"] == ""
        later = await client.execute_code("issues[0].titel")
        assert later["value"] is None and "Warning: line 1, column 11: Property 'titel'" in later["stderr"]
        with pytest.raises(errors.ExecutionFailed, match="toFixd"):
            await client.execute_code("issues[0].titel; (5).toFixd()")


async def test_types_are_shared_with_agents_and_outlast_the_engine(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, client):
        await client.execute_code(call(ISSUES))
        agent = engine.connect(as_agent=True)
        found = await agent.call(wire.GET_FUNCTION_DETAILS, wire.GetFunctionDetails(["Good.echo"]))
        assert b'"x-observed":1' in bytes(found)
        asked = wire.CallAgentFunction("get_function_details", {"functions": ["Good.echo"]}, agent="one")
        described = await client._ask(wire.CALL_AGENT_FUNCTION, asked, wire.AgentAnswered)
        assert "Observed in 1 call; may be incomplete." in described.text
        assert "Promise<{ id: number; title: string; user: { login: string }; body?: string }[]>" in described.text
        wider = f"const found = {call([*ISSUES, {'id': None}])};\nfound.map((one) => one.titel).length"
        asked = wire.CallAgentFunction("execute", {"code": wider}, agent="one")
        answered = await client._ask(wire.CALL_AGENT_FUNCTION, asked, wire.AgentAnswered)
        assert "Warning: line 2, column 24: Property 'titel' does not exist" in answered.text
        assert answered.text.endswith("may be incomplete.\nresult:\n3") and not answered.is_error
        latest = next(iter(engine.registry.history))
        assert "widened the observed type: " in str(latest.calls[0].note)
    async with opened(tmp_path) as (engine, client):
        assert (await declared(client))["x-observed"] == 2
        kept = (tmp_path / "data" / "observed.json").read_text()
        assert "login" in kept and '"x"' not in kept


async def test_a_type_is_forgotten_when_the_server_describes_the_tool_otherwise(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, client):
        await client.execute_code(call(ISSUES))
        assert await declared(client) is not None
    (tmp_path / "calls.description").write_text("Says something else.")
    async with opened(tmp_path, changed_tools="flag") as (_, client):
        assert await declared(client) is None


async def test_nothing_is_observed_where_that_is_switched_off(tmp_path: Path) -> None:
    async with opened(tmp_path, observe_types=False) as (_, client):
        await client.execute_code(call(ISSUES))
        assert await declared(client) is None
    assert not (tmp_path / "data" / "observed.json").exists()


async def test_an_unannotated_function_of_a_client_is_observed(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, client):

        async def load(arguments: Any) -> Any:
            return {"rows": [{"n": 1.5}]}

        await client.register_tool("sales", "load", load)
        await client.execute_code("await Sales.load({})")
        assert (await client.execute_code("(await Sales.load({})).rows[0].n.toFixed(2)"))["value"] == "1.50"
        result = await client.execute_code("(await Sales.load({})).rows.m")
        assert "Property 'm' does not exist" in result["stderr"]


async def test_many_programs_at_once_widen_one_type(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, client):
        results = [{"a": 1}, {"a": None, "b": "x"}, {"b": "y"}, {"a": 2, "c": [True]}]
        await asyncio.gather(*(client.execute_code(call(result)) for result in results))
        schema = await declared(client)
        assert schema["x-observed"] == 4
        assert {name: one["type"] for name, one in schema["properties"].items()} == {
            "a": ["number", "null"],
            "b": "string",
            "c": "array",
        }
        assert "required" not in schema


async def test_second_program_of_an_agent_is_right_first_time() -> None:
    """The recorded conversations of `benchmarks.learnt`, with two servers of others."""
    done = await learnt.compared()
    for task, (first, again), (guessed, known) in zip(learnt.TASKS, done.unknown, done.observed, strict=True):
        for tally in (first, again, guessed):  # none of these knows the type before its first program
            assert "Promise<any>" in tally.answers[0]
            assert tally.answers[1] not in task.expect
        assert (first.answers[-1], again.answers[-1], guessed.answers[-1]) == (*task.expect, task.expect[0])
        assert "may be incomplete" in known.answers[0] and "Promise<any>" not in known.answers[0]
        assert known.answers[1:] == [task.expect[1]], "the first program is right, and no answer warns"
        assert known.calls == again.calls - 2 and known.tokens < again.tokens
