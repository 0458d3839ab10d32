"""The sessions of the session API, without a server: how many there may be, what they may hold, and whose they are."""

from __future__ import annotations

import pytest

from pctx_jupyter import errors
from pctx_jupyter.session.code_mode import sessions as module
from pctx_jupyter.session.code_mode.messages import RegisteredTool
from pctx_jupyter.session.code_mode.sessions import CodeModeSessions
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.settings import Settings

from ...fakes import FakeClock, FakeSandbox

SETTINGS = Settings(max_api_sessions=3, max_tools_bytes=5_000)


def sessions(key: bytes = b"key") -> tuple[Registry, CodeModeSessions]:
    """The sessions of a registry, closed with those of the registry as an engine does it."""
    made: list[CodeModeSessions] = []
    registry = Registry(FakeSandbox(), SETTINGS, FakeClock(), on_close=lambda session: made[0].forget(session))
    made.append(CodeModeSessions(registry, SETTINGS, key))
    return registry, made[0]


def a_tool(name: str, length: int = 0) -> RegisteredTool:
    return RegisteredTool(name, "math", "x" * length)


async def test_a_later_run_with_the_same_key_knows_the_ids_of_an_earlier_one() -> None:
    _, earlier = sessions()
    id = earlier.open("kernel").id
    for key, owner, is_known in ((b"key", "kernel", True), (b"key", "other", False), (b"other", "kernel", False)):
        _, later = sessions(key)
        with pytest.raises(errors.SessionNotFound, match="restarted" if is_known else "none of that id"):
            later.get(id, owner)
        if is_known:
            await later.close(id, owner)
        else:
            with pytest.raises(errors.SessionNotFound):
                await later.close(id, owner)


def test_each_owner_has_a_limit_of_its_own() -> None:
    registry, them = sessions()
    users = [them.open() for _ in range(3)]
    for _ in range(10):
        them.open("kernel")
    assert len(them) == len(registry) == 6 and all(them.get(one.id) is one for one in users)


def test_what_the_registry_closes_is_gone_here_too() -> None:
    registry, them = sessions()
    one = them.open()
    registry.close(one.session)
    assert len(them) == 0
    with pytest.raises(errors.SessionNotFound, match="it is over"):
        them.get(one.id)


async def test_the_tools_of_a_session_are_bounded_and_refused_as_a_whole() -> None:
    _, them = sessions()
    one = them.open()
    assert await them.register(one.id, "", [a_tool("a", 3_000)], 3_100) == 1
    with pytest.raises(errors.InvalidParams, match="max_tools_bytes"):
        await them.register(one.id, "", [a_tool("b"), a_tool("c", 3_000)], 3_200)
    assert [tool.registered_name for tool in one.session.catalog] == ["a"]
    assert await them.register(one.id, "", [a_tool("b"), a_tool("c", 1_000)], 1_200) == 2


async def test_idle_sessions_make_room_for_the_tools_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OWNER_BYTES", 5_000)
    _, them = sessions()
    old, used, new = them.open(), them.open(), them.open()
    for one in (old, used):
        await them.register(one.id, "", [a_tool("a", 2_000)], 2_100)
    them.get(used.id)
    await them.register(new.id, "", [a_tool("a", 2_000)], 2_100)
    with pytest.raises(errors.SessionNotFound):
        them.get(old.id)
    assert them.get(used.id) is used and len(new.session.catalog) == 1
