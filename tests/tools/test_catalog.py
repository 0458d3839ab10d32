"""The catalog: names, both spellings, what is refused. Pure."""

from __future__ import annotations

import gc
import re
from dataclasses import replace

import msgspec
import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.tools import names
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.catalog import Catalog
from pctx_jupyter.tools.lookup import matching
from pctx_jupyter.tools.tool import Tool, described, globals_of


async def never(call: Call) -> Raw:
    raise AssertionError("not to be called")


def catalog(*paths: str, limit: int = 100) -> Catalog:
    made = Catalog(limit=limit)
    for path in paths:
        made.add(Tool(*path.split(".")), never)
    return made


def test_a_tool_is_found_by_either_spelling() -> None:
    tools = catalog("math_tools.add_all")
    assert tools.find("MathTools.addAll") is tools.find("math_tools.add_all")


def test_a_tool_not_there_is_refused_with_the_closest_name() -> None:
    with pytest.raises(errors.ToolNotFound, match=r"did you mean MathTools\.addAll"):
        catalog("math_tools.add_all").find("MathTools.addAl")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("github.serch_issue", "Github.searchIssue"),
        ("GitHub.SearchIssues", "Github.searchIssue"),
        ("searchIssue", "Github.searchIssue"),
        ("Github.deleteIssue", None),
        ("Github.createIssues", None),
        ("Github.decodeUrl", None),
        ("Github.pageV1", None),
        ("Slack.searchIssue", None),
        ("now", None),
    ],
)
def test_a_suggestion_is_right_or_there_is_none(asked: str, meant: str | None) -> None:
    tools = catalog(
        "github.search_issue", "github.close_issue", "github.encode_url", "github.page_v2", "a.now", "b.now"
    )
    with pytest.raises(errors.ToolNotFound) as raised:
        tools.find(asked)
    assert str(raised.value).partition("did you mean ")[2].removesuffix("?)") == (meant or "")


def test_a_second_registration_needs_to_say_replace() -> None:
    tools = catalog("Sales.load")
    with pytest.raises(errors.ToolExists, match="replace"):
        tools.add(Tool("Sales", "load"), never)
    tools.add(Tool("Sales", "load", "newer"), never, replace=True)
    assert [tool.description for tool in tools] == ["newer"]


@pytest.mark.parametrize("replace", [False, True])
def test_two_names_that_meet_in_typescript_are_refused_with_both(replace: bool) -> None:
    tools = catalog("users.get_user")
    with pytest.raises(errors.ToolExists, match=r"users\.getUser.*users\.get_user"):
        tools.add(Tool("users", "getUser"), never, replace=replace)


def test_a_spelling_that_is_another_tools_canonical_name_is_refused() -> None:
    with pytest.raises(errors.ToolExists, match=r"A\.aBC"):
        catalog("A.aBC").add(Tool("A", "a_b_c"), never)
    with pytest.raises(errors.ToolExists, match=r"A\.a_b_c"):
        catalog("A.a_b_c").add(Tool("A", "aBC"), never)


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("Math.floor", "Math.floor"),
        ("math.floor", "Math.floor"),
        ("JSON.parse", "JSON.parse"),
        ("object.from_entries", "Object.fromEntries"),
        ("Promise.all", "Promise.all"),
        ("array.from", "Array.from"),
        ("Date.prototype", "Date.prototype"),
        ("date.to_string", "Date.toString"),
        ("URL.canParse", "URL.canParse"),
        ("set_timeout.call", None),
        ("setTimeout.call", "setTimeout.call"),
        ("math.add", None),
        ("json.load", None),
        ("Sales.floor", None),
    ],
)
def test_what_javascript_has_itself_is_no_tool_and_what_stands_beside_it_is(path: str, taken: str | None) -> None:
    space, name = path.split(".")
    tool = Tool(space, name)
    if taken is None:
        Catalog().add(tool, never)
        return
    with pytest.raises(errors.InvalidParams) as refused:
        Catalog().add(tool, never)
    assert f"{taken} is JavaScript's own" in str(refused.value)
    found = re.search(r"such as (\w+) \(", str(refused.value))
    assert found is not None
    Catalog().add(Tool(found[1], name), never)


def test_a_constant_of_javascript_keeps_its_spelling() -> None:
    assert globals_of(matching(catalog("Math.PI"), None)) == {"Math": {"pi": "Math.pi"}}


def test_a_removed_tool_leaves_neither_name() -> None:
    tools = catalog("math_tools.add_all")
    tools.remove("math_tools.add_all")
    for path in ("MathTools.addAll", "math_tools.add_all"):
        with pytest.raises(errors.ToolNotFound):
            tools.find(path)
    tools.add(Tool("math_tools", "addAll"), never)


def test_a_full_catalog_refuses_one_more_and_still_replaces() -> None:
    tools = catalog("A.a", "A.b", limit=2)
    with pytest.raises(errors.InvalidParams, match="limit"):
        tools.add(Tool("A", "c"), never)
    tools.add(Tool("A", "b"), never, replace=True)


def test_tools_that_are_too_large_together_are_refused_and_smaller_ones_make_room() -> None:
    tools = Catalog(max_bytes=100)
    tools.add(Tool("A", "a"), never, size=60)
    tools.add(Tool("A", "b"), never, size=40)
    with pytest.raises(errors.InvalidParams, match=r"Pctx\.max_tools_bytes"):
        tools.add(Tool("A", "c"), never, size=1)
    tools.add(Tool("A", "a"), never, size=50, replace=True)
    tools.add(Tool("A", "c"), never, size=10)
    tools.remove("A.b")
    tools.add(Tool("A", "d"), never, size=40)
    assert len(tools) == 3


def test_patterns_choose_tools_by_either_spelling() -> None:
    tools = catalog("sales.load", "sales.save_all", "other.load")
    assert [t.path for t in matching(tools, ["Sales.*"])] == ["Sales.load", "Sales.saveAll"]
    assert [t.path for t in matching(tools, ["sales.save_all"])] == ["Sales.saveAll"]
    assert [t.path for t in matching(tools, ["*.load"])] == ["Sales.load", "Other.load"]
    assert matching(tools, []) == []
    with pytest.raises(errors.ToolNotFound, match="matches no tool"):
        matching(tools, ["Sale.*"])


def test_both_spellings_are_objects_of_a_program() -> None:
    tools = catalog("math.add_all")
    assert globals_of(matching(tools, None)) == {
        "Math": {"addAll": "Math.addAll", "add_all": "Math.addAll"},
        "math": {"addAll": "Math.addAll", "add_all": "Math.addAll"},
    }


def test_no_namespace_of_a_program_is_awaitable() -> None:
    (members,) = globals_of(matching(catalog("Sales.then"), None)).values()
    assert members == {"then_": "Sales.then_"}


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb", "globalThis"])
def test_a_namespace_that_cannot_be_used_is_refused(name: str) -> None:
    with pytest.raises(errors.InvalidParams):
        Catalog().add(Tool(name, "tool"), never)


@pytest.mark.parametrize(
    "name", ["__proto__", "constructor", "delete", "it's", "a`${x}`", "*/", "</script>", "🎉", "0th", "get-user"]
)
def test_an_odd_name_of_a_tool_becomes_one_that_can_be_written(name: str) -> None:
    tools = Catalog()
    tools.add(Tool("Odd", name), never)
    (tool,) = tools
    assert names.is_identifier(tool.tool_name)
    assert tools.find(tool.path).tool.registered_name == name


def test_the_collector_of_garbage_visits_no_part_of_a_tool() -> None:
    schema = {"type": "object", "properties": {"id": {"type": ["string", "null"]}}, "required": ["id"]}
    others = [Tool("math", f"add_{number}") for number in range(100)]  # enough for Python to fix what all tools have
    tool = Tool("math", "add", "", schema, schema, about="Numbers").renamed("Other", "add")
    assert tool.path == "Other.add" and tool.registered_path == "Other.add"
    gc.collect()  # a tuple of texts is left out from its first collection on
    visited = [part for part in gc.get_referents(tool, tool.first, *others) if gc.is_tracked(part)]
    assert [part for part in visited if isinstance(part, dict | list | tuple | set)] == []
    assert tool.input_schema == tool.output_schema == schema


def test_a_schema_is_as_it_was_given_and_its_readers_share_no_part_of_it() -> None:
    for schema in [None, True, {}, {"enum": ["\ud800", 2**70]}, {"const": 2**70, "default": 1.0}, "text"]:
        tool = Tool("math", "add", "", schema, schema).changed(description="Adds.")
        assert tool.input_schema == tool.output_schema == schema and tool == replace(tool)
    tool = Tool("math", "add", "", {"type": "object"})
    first = tool.input_schema
    assert isinstance(first, dict)
    first["type"] = "array"
    assert tool.input_schema == {"type": "object"}


def test_a_described_tool_has_its_schemas_as_text_that_is_encoded_as_it_is() -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [1, None]}}}
    found = described(Tool("Sales", "load", "Loads.", schema, None))
    assert isinstance(found["input_schema"], Raw) and found["output_schema"] is None
    written = {"name": "Sales.load", "description": "Loads.", "input_schema": schema, "output_schema": None}
    assert msgspec.json.decode(msgspec.json.encode(found)) == written
