"""What collections of garbage leave out, and what is left to them. The real collector, and a real engine."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Raw

from pctx_jupyter.engine import open_engine
from pctx_jupyter.server import garbage
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.tool import Tool


async def serve(call: Call) -> Raw:
    raise AssertionError("nothing is called")


@pytest.fixture
def survivors(monkeypatch: pytest.MonkeyPatch) -> Iterator[garbage.Survivors]:
    made = garbage.Survivors()
    made.begin()
    try:
        yield made
    finally:
        made.end()
        assert gc.get_freeze_count() == 0


def test_what_survives_a_long_collection_is_left_out_of_the_next_until_many_sessions_have_ended(
    survivors: garbage.Survivors, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: Any = None
    monkeypatch.setattr(garbage, "MANY", 2)
    kept = [[number] for number in range(1_000)]
    before = gc.get_freeze_count()
    gc.collect(0)
    assert gc.get_freeze_count() <= before, "only full collections are long"
    monkeypatch.setattr(garbage, "LONG_S", 0.0)
    gc.collect()
    after = gc.get_freeze_count()
    assert after >= before + len(kept)
    survivors.session_closed(closed)
    assert gc.get_freeze_count() == after
    survivors.session_closed(closed)
    assert gc.get_freeze_count() == 0


async def test_the_tools_of_a_session_that_closes_are_freed_without_a_collection() -> None:
    async with open_engine(Settings(typecheck=False, warm_sandboxes=0)) as engine:
        session = engine.registry.open()
        session.name = "Sales"
        session.register(Tool("Sales", "load"), serve)
        view = session.shared.under("Sales", serve, is_own=False)
        known = [weakref.ref(tool) for tool in (*session.catalog, *view)]
        del view
        gc.disable()
        try:
            engine.registry.close(session)
            await asyncio.sleep(0)
            assert [tool() for tool in known] == [None, None]
        finally:
            gc.enable()
