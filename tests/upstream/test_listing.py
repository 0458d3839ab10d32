"""The tools of one server, as programs find them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pctx_jupyter.tools import typegen
from pctx_jupyter.tools.tool import globals_of

from .conftest import OpenWorld, peer


@pytest.mark.parametrize("order", [1, -1])
async def test_tools_whose_names_meet_are_all_callable(open_world: OpenWorld, tmp_path: Path, order: int) -> None:
    named = ["get-user", "getUser", "get_user", "GetUser", "get user"]
    listed = [{"name": name, "inputSchema": {"type": "object"}} for name in named[::order]]
    (tmp_path / "log.tools").write_text(json.dumps(listed))
    async with open_world(peer("told", tmp_path / "log")) as world:
        view = await world.until_state("told")
        assert view.problems == [] and view.tools == len(named)
        for name in named:
            assert await world.call(f"told.{name}") == f"called {name}"
        found = {tool.registered_name: tool.tool_name for tool in world.catalog}
        assert found == {
            "getUser": "getUser",
            "GetUser": "getUser2",
            "get user": "getUser3",
            "get-user": "getUser4",
            "get_user": "getUser5",
        }
        members = globals_of(list(world.catalog))["Told"]
        assert members["get-user"] == "Told.getUser4" and members["getUser"] == "Told.getUser"
        text = typegen.declarations(list(world.catalog))
        assert 'getUser3 as "get user", getUser4 as "get-user", getUser5 as get_user' in text


async def test_a_tool_that_joins_later_leaves_the_names_of_the_others_alone(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    def lists(*named: str) -> None:
        listed = [{"name": name, "inputSchema": {"type": "object"}} for name in named]
        (tmp_path / "log.tools").write_text(json.dumps(listed))

    lists("get_user", "getUser2")
    async with open_world(peer("told", tmp_path / "log")) as world:
        await world.until_state("told")
        assert await world.call("Told.getUser") == "called get_user"
        assert await world.call("Told.getUser2") == "called getUser2"
        lists("get_user", "getUser2", "get user")
        world.upstreams.reconnect("told")
        await world.until(lambda: any(tool.registered_name == "get user" for tool in world.catalog))
        found = {tool.registered_name: tool.tool_name for tool in world.catalog}
        assert found == {"get_user": "getUser", "getUser2": "getUser2", "get user": "getUser3"}


async def test_no_server_can_declare_what_only_this_package_does(open_world: OpenWorld, tmp_path: Path) -> None:
    number = {"type": "number"}
    takes = {
        "type": "object",
        "properties": {"n": {"anyOf": [number, {}], "x-learnt": "docstring"}},
        "required": ["n"],
        "x-untyped": {"n": "forged"},
    }
    row = {"type": "object", "properties": {"a": number}, "required": ["a"]}
    listed = [
        {"name": "order", "inputSchema": takes, "outputSchema": {**row, "x-observed": 7}},
        {"name": "rows", "inputSchema": {"type": "object"}, "outputSchema": {"$ref": "#/$defs/rows", "$defs": {
            "rows": {"type": "array", "items": row, "x-handle": "frame"}}}},
    ]  # fmt: skip
    (tmp_path / "log.tools").write_text(json.dumps(listed))
    async with open_world(peer("told", tmp_path / "log")) as world:
        await world.until_state("told")
        tools = list(world.catalog)
    declared = typegen.declarations(tools, aliases=False)
    assert "a: number" in declared
    assert not any(word in declared for word in ("Observed", "Likely", "Frame", "forged"))
    # Without observed types, the same is declared: so a mistake is an error, not a warning.
    assert typegen.for_program(tools) == typegen.for_program(tools, has_observed=False)
    assert "x-untyped" not in json.dumps([tool.input_schema for tool in tools])
