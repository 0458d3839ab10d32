"""Which tools of MCP servers are allowed without asking: the file, and real servers. There is no engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from pctx_jupyter import errors
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.upstream import config
from pctx_jupyter.upstream.allowed import Allowed
from pctx_jupyter.upstream.config import ServerConfig
from pctx_jupyter.upstream.fingerprints import Fingerprint
from pctx_jupyter.upstream.mending import mend

from .conftest import OpenWorld, World, peer


def tool(description: str = "Deletes.") -> Fingerprint:
    return Fingerprint.of(description, {"input schema": {}})


def server(**more: Any) -> ServerConfig:
    found = config.server_of({"name": "wiki", "url": "https://wiki.example/mcp?of=me", **more})
    assert found is not None
    return found


PLACE = "/folder/pctx.json"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "data" / "allowed.json")


def test_a_consent_outlives_the_process_and_is_for_one_kind_of_caller(path: str) -> None:
    Allowed(path).add(PLACE, server(), {"delete": tool()}, "agent")
    assert Path(path).stat().st_mode & 0o777 == 0o600
    known = Allowed(path)
    assert known.holds(PLACE, server(), "delete", tool(), "agent")
    assert not known.holds(PLACE, server(), "delete", tool(), "cell")
    assert not known.holds(PLACE, server(), "drop", tool(), "agent")
    known.add(PLACE, server(), {"delete": tool()}, "cell")
    assert known.holds(PLACE, server(), "delete", tool(), "cell") and known.names(PLACE, server()) == ["delete"]


@pytest.mark.parametrize(
    "other",
    [
        {"url": "https://wiki.example/mcp?of=everybody"},
        {"url": "https://elsewhere.example/mcp?of=me"},
        {"headers": {"X-Tenant": "production"}},
        {"auth": {"type": "bearer", "token": "${env:OTHER}"}},
        {"url": None, "command": "wiki"},
    ],
)
def test_a_server_that_is_reached_otherwise_has_no_consent_and_forgets_those_it_had(
    path: str, other: dict[str, Any]
) -> None:
    known = Allowed(path)
    known.add(PLACE, server(), {"delete": tool()}, "agent")
    entry = {"name": "wiki", "url": "https://wiki.example/mcp?of=me"} | other
    changed = config.server_of({key: value for key, value in entry.items() if value is not None})
    assert changed is not None
    assert not known.holds(PLACE, changed, "delete", tool(), "agent")
    known.keep(PLACE, changed, {"delete": tool()})
    assert not Allowed(path).holds(PLACE, server(), "delete", tool(), "agent")


def test_how_long_a_server_may_take_makes_no_difference(path: str) -> None:
    Allowed(path).add(PLACE, server(), {"delete": tool()}, "agent")
    assert Allowed(path).holds(PLACE, server(call_timeout_s=3), "delete", tool(), "agent")


def test_the_same_server_in_another_file_is_another(path: str) -> None:
    Allowed(path).add(PLACE, server(), {"delete": tool()}, "agent")
    assert not Allowed(path).holds("/other/pctx.json", server(), "delete", tool(), "agent")


def test_a_tool_that_changes_and_changes_back_is_asked_for(path: str) -> None:
    known = Allowed(path)
    known.add(PLACE, server(), {"delete": tool(), "drop": tool()}, "agent")
    assert not known.holds(PLACE, server(), "delete", tool("Deletes all."), "agent")
    known.keep(PLACE, server(), {"delete": tool("Deletes all.")})
    assert not Allowed(path).holds(PLACE, server(), "delete", tool(), "agent")
    assert Allowed(path).holds(PLACE, server(), "drop", tool(), "agent")


def test_what_one_process_takes_back_holds_in_no_other(path: str) -> None:
    one, other = Allowed(path), Allowed(path)
    one.add(PLACE, server(), {"delete": tool(), "drop": tool()})
    assert other.holds(PLACE, server(), "delete", tool(), "agent")
    assert one.forget(PLACE, "wiki", ["delete"]) and not one.forget(PLACE, "wiki", ["delete"])
    assert not other.holds(PLACE, server(), "delete", tool(), "agent")
    assert other.holds(PLACE, server(), "drop", tool(), "agent")
    assert other.forget(PLACE, "wiki") and one.names(PLACE, server()) == []


def test_what_is_allowed_to_a_server_that_no_file_names_is_not_written(path: str) -> None:
    known = Allowed(path)
    known.add("", server(), {"delete": tool()}, "agent")
    known.add(PLACE, server(), {"delete": tool()}, "agent")
    Allowed(path).forget(PLACE, "wiki")
    assert known.holds("", server(), "delete", tool(), "agent")
    assert not known.holds(PLACE, server(), "delete", tool(), "agent")
    assert not Allowed(path).holds("", server(), "delete", tool(), "agent")


@pytest.mark.parametrize("text", ["{", "[]", '{"/folder/pctx.json": {"wiki": {"server": 7}}}', "\ud800"])
def test_a_file_that_cannot_be_read_allows_nothing_and_says_so(path: str, text: str) -> None:
    Path(path).parent.mkdir()
    Path(path).write_bytes(text.encode(errors="surrogatepass"))
    known = Allowed(path)
    assert not known.holds(PLACE, server(), "delete", tool(), "agent")
    assert known.trouble is not None and "asked again" in known.trouble


def test_where_nothing_can_be_written_a_consent_lasts_until_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    known = Allowed(str(tmp_path / "file" / "allowed.json"))
    known.add(PLACE, server(), {"delete": tool()}, "agent")
    assert known.holds(PLACE, server(), "delete", tool(), "agent")
    assert known.trouble is not None and "cannot be written" in known.trouble


# what a server says of its tools


@pytest.mark.parametrize(
    ("annotations", "effects"),
    [
        (None, None),
        ({}, None),
        ([], None),
        ("readOnlyHint", None),
        ({"title": "Deletes"}, None),
        ({"readOnlyHint": True}, False),
        ({"readOnlyHint": True, "destructiveHint": False}, False),
        ({"destructiveHint": False}, False),
        ({"readOnlyHint": False, "destructiveHint": False}, False),
        ({"readOnlyHint": False}, None),
        ({"readOnlyHint": None, "destructiveHint": None}, None),
        ({"destructiveHint": True}, True),
        ({"readOnlyHint": True, "destructiveHint": True}, True),
        ({"idempotentHint": True, "openWorldHint": False}, None),
        ({"readOnlyHint": "true"}, None),
        ({"readOnlyHint": 1}, None),
        ({"readOnlyHint": [True]}, None),
        ({"destructiveHint": "false"}, None),
        ({"destructiveHint": 0}, None),
        ({"readOnlyHint": True, "destructiveHint": "true"}, None),
        ({"readOnlyHint": True, "destructiveHint": {}}, None),
        ({"readOnlyHint": "false", "destructiveHint": False}, None),
        ({"readOnlyHint": "yes", "destructiveHint": True}, True),
        ({"readonlyhint": True, "read_only_hint": True}, None),
    ],
)
async def test_what_a_server_says_of_a_tools_effects_counts_as_the_protocol_has_it(
    open_world: OpenWorld, tmp_path: Path, annotations: Any, effects: bool | None
) -> None:
    async with told(open_world, tmp_path, {"name": "delete_everything", "annotations": annotations}) as world:
        await world.until_state("told")
        assert world.catalog.find("Told.deleteEverything").tool.effects is effects


def test_mending_keeps_the_hints_that_have_nothing_to_do_with_a_wrong_one() -> None:
    hints = {"readOnlyHint": True, "destructiveHint": 1, "openWorldHint": False, "title": "T"}
    result = {"tools": [{"name": "a", "annotations": hints}]}
    assert mend(result) == []
    assert cast("Any", result["tools"])[0]["annotations"] == {"openWorldHint": False, "title": "T"}


# consents, with real servers


def write_tools(tmp_path: Path, *tools: dict[str, Any]) -> None:
    described = [{"description": "Does it.", "inputSchema": {"type": "object"}, **one} for one in tools]
    (tmp_path / "log.tools").write_text(json.dumps(described))


def told(open_world: OpenWorld, tmp_path: Path, *tools: dict[str, Any], **more: Any) -> Any:
    """A world with a server that has these tools."""
    write_tools(tmp_path, *tools)
    return open_world(peer("told", tmp_path / "log"), **more)


def allowed(world: World, path: str, by: Any = "agent") -> bool:
    return world.upstreams.allows(world.catalog.find(path).tool, by)


def allow(world: World, path: str) -> None:
    found = world.catalog.find(path).tool
    assert world.upstreams.has(found)
    world.upstreams.allow(found, "agent")


DROP, LOOK = {"name": "drop"}, {"name": "look", "annotations": {"readOnlyHint": True}}


def is_at(world: World, where: str) -> bool:
    return any(one.where.endswith(where) and one.state == "ready" for one in world.upstreams.listed().upstreams)


async def relisted(world: World, tmp_path: Path, *tools: dict[str, Any]) -> None:
    """Have the server connect anew, with other tools."""
    write_tools(tmp_path, *tools)
    before = world.view("told").connections
    world.upstreams.reconnect("told")
    await world.until(lambda: world.view("told").connections > before)


async def test_always_for_a_tool_survives_a_restart_until_a_person_is_to_be_asked_again(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    async with told(open_world, tmp_path, DROP, LOOK) as world:
        await world.until_state("told")
        assert not allowed(world, "Told.drop")
        allow(world, "Told.drop")
        assert allowed(world, "Told.drop") and not allowed(world, "Told.drop", "cell")
        assert not allowed(world, "Told.look") and world.view("told").allowed == ["drop"]
    async with told(open_world, tmp_path, DROP, LOOK) as world:
        await world.until_state("told")
        assert allowed(world, "Told.drop")
        with pytest.raises(errors.InvalidParams, match="look of told is not allowed without asking"):
            world.upstreams.ask_again("told", "look")
        assert world.upstreams.ask_again("told", "drop").allowed == []
        assert not allowed(world, "Told.drop")


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "drop", "description": "Drops everything."},
        {"name": "drop", "inputSchema": {"type": "object", "properties": {"all": {"type": "boolean"}}}},
        {"name": "drop", "annotations": {"readOnlyHint": True}},
        {"name": "drop", "annotations": {"title": "Harmless"}},
        {"name": "drop", "outputSchema": {"type": "object"}},
    ],
)
@pytest.mark.parametrize("changed_tools", ["withhold", "flag"])
async def test_always_for_a_tool_is_forgotten_when_the_tool_changes_and_stays_so(
    open_world: OpenWorld, tmp_path: Path, changed: dict[str, Any], changed_tools: str
) -> None:
    async with told(open_world, tmp_path, DROP, changed_tools=changed_tools) as world:
        await world.until_state("told")
        allow(world, "Told.drop")
        await relisted(world, tmp_path, changed)
        assert world.view("told").allowed == []
        if changed_tools == "flag":
            assert not allowed(world, "Told.drop")
            assert world.catalog.find("Told.drop").tool.effects is None  # whatever it says since
        world.upstreams.approve("told")
        assert not allowed(world, "Told.drop")
        await relisted(world, tmp_path, DROP)
        world.upstreams.approve("told")
        assert not allowed(world, "Told.drop")


async def test_a_changed_tool_that_says_that_it_is_harmless_is_believed_once_it_is_approved(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    async with told(open_world, tmp_path, DROP, changed_tools="flag") as world:
        await world.until_state("told")
        await relisted(world, tmp_path, {"name": "drop", "annotations": {"readOnlyHint": True}})
        assert world.catalog.find("Told.drop").tool.effects is None
        world.upstreams.approve("told")
        assert world.catalog.find("Told.drop").tool.effects is False


async def test_a_tool_spelled_otherwise_has_no_consent(open_world: OpenWorld, tmp_path: Path) -> None:
    async with told(open_world, tmp_path, {"name": "drop_all"}) as world:
        await world.until_state("told")
        allow(world, "Told.dropAll")
        await relisted(world, tmp_path, {"name": "dropAll"})
        assert not allowed(world, "Told.dropAll")


async def test_what_is_allowed_ends_with_the_server_or_with_how_it_is_reached(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    async with told(open_world, tmp_path, DROP) as world:
        await world.until_state("told")
        allow(world, "Told.drop")
        here = peer("told", tmp_path / "log")
        elsewhere = {**here, "args": [*here["args"], "--of=production"]}
        for entry in (elsewhere, here):
            world.write(entry)
            await world.until(lambda where=entry["args"][-1]: is_at(world, where))  # type: ignore[misc]
            assert not allowed(world, "Told.drop")
        allow(world, "Told.drop")
        await world.upstreams.remove("told")
        await world.upstreams.add(peer("told", tmp_path / "log"), persist=True)
        await world.until_state("told")
        assert not allowed(world, "Told.drop")


async def test_a_person_may_answer_for_all_tools_of_a_server_before_it_is_connected_and_no_later_one_is_included(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    async with told(open_world, tmp_path, DROP, LOOK, came_with_folder=True) as world:
        await world.until_state("told", "untrusted")
        await world.upstreams.trust("told", tools=True)
        await world.until_state("told")
        assert allowed(world, "Told.drop") and allowed(world, "Told.look", "client")
        await relisted(world, tmp_path, DROP, LOOK, {"name": "delete_everything"})
        assert allowed(world, "Told.drop") and not allowed(world, "Told.deleteEverything")
        assert world.upstreams.ask_again("told").allowed == []
        assert not allowed(world, "Told.drop")


async def test_trust_alone_answers_for_no_tool(open_world: OpenWorld, tmp_path: Path) -> None:
    async with told(open_world, tmp_path, DROP, came_with_folder=True) as world:
        await world.until_state("told", "untrusted")
        await world.upstreams.trust("told")
        await world.until_state("told")
        assert not allowed(world, "Told.drop") and world.view("told").allowed == []


async def test_what_another_process_answers_for_a_server_holds_here(open_world: OpenWorld, tmp_path: Path) -> None:
    async with told(open_world, tmp_path, DROP) as world:
        await world.until_state("told")
        elsewhere = Allowed(str(tmp_path / "data" / "allowed.json"))
        (known,) = config.parse(world.file.read_bytes(), "").servers
        elsewhere.add_next(str(world.file.resolve()), known)
        await world.until(lambda: allowed(world, "Told.drop"))
        elsewhere.forget(str(world.file.resolve()), "told")
        assert not allowed(world, "Told.drop")


async def test_a_call_of_a_tool_that_has_changed_since_is_not_passed_on(open_world: OpenWorld, tmp_path: Path) -> None:
    async with told(open_world, tmp_path, DROP, changed_tools="flag") as world:
        await world.until_state("told")
        before = world.catalog.find("Told.drop")
        await relisted(world, tmp_path, {"name": "drop", "description": "Drops everything."})
        with pytest.raises(errors.ToolFailed, match="has changed since the program called it"):
            await before.serve(Call("x", before.tool, None))
        assert "ran drop" not in (tmp_path / "log").read_text()
        assert await world.call("Told.drop") == "called drop"


async def test_a_call_that_the_server_refuses_since_the_tool_has_changed_is_not_made_of_the_changed_tool(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    async with told(open_world, tmp_path, DROP) as world:
        await world.until_state("told")
        (tmp_path / "log.refuse").touch()
        assert await world.call("Told.drop") == "called drop"  # it is as it was
        (tmp_path / "log").write_text("")
        write_tools(tmp_path, {"name": "drop", "description": "Drops everything."})
        (tmp_path / "log.refuse").touch()
        with pytest.raises(errors.ToolFailed, match="has changed since the program called it"):
            await world.call("Told.drop")
        assert "ran drop" not in (tmp_path / "log").read_text()
