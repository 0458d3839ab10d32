"""What collections of garbage leave out. The real collector, with sessions that have nothing but tools."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pctx_jupyter.server import garbage


@pytest.fixture
def survivors(monkeypatch: pytest.MonkeyPatch) -> Iterator[garbage.Survivors]:
    made = garbage.Survivors()
    made.begin()
    try:
        yield made
    finally:
        made.end()
        assert gc.get_freeze_count() == 0


def test_what_survives_a_long_collection_is_left_out_of_the_next_until_sessions_with_many_tools_end(
    survivors: garbage.Survivors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(tools: int) -> Any:
        return SimpleNamespace(catalog=range(tools))

    kept = [[number] for number in range(1_000)]
    before = gc.get_freeze_count()
    gc.collect(0)
    assert gc.get_freeze_count() <= before, "only full collections are long"
    monkeypatch.setattr(garbage, "LONG_S", 0.0)
    gc.collect()
    after = gc.get_freeze_count()
    assert after >= before + len(kept)
    survivors.session_closed(closed(garbage.MANY - 1))
    assert gc.get_freeze_count() == after
    survivors.session_closed(closed(0))
    assert gc.get_freeze_count() == 0
