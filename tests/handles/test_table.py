"""Tables of handles: ids, bounds and life. The clock is the test's; nothing else is fake."""

from __future__ import annotations

import gc
import weakref

import pytest

from pctx_jupyter import errors
from pctx_jupyter.handles.table import GUEST_HANDLES, GUEST_S, Handles, KernelHandles


class Thing:
    """An object that may be watched."""


def test_handle_is_found_by_its_id_with_and_without_the_path_of_its_tool() -> None:
    table = Handles()
    made = table.add("orders", 1, 2)
    assert table.find(made.id) is table.find(f"Sales.orders#{made.id}") is made
    assert (made.label, made.value, made.given) == ("orders", 1, 2)


def test_ids_are_long_and_never_the_same() -> None:
    table = Handles()
    ids = {table.add("x", 1, 1).id for _ in range(500)}
    assert len(ids) == 500
    assert min(map(len, ids)) >= 16


def test_unknown_id_is_refused_with_what_to_do() -> None:
    with pytest.raises(errors.InvalidParams, match="call the tool that returned it again"):
        Handles().find("Sales.orders#nothing")


def test_object_is_free_when_the_table_of_its_run_is() -> None:
    kernel = KernelHandles()
    table, thing = kernel.of_run(), Thing()
    table.add("thing", thing, thing)
    watched = weakref.ref(thing)
    del thing, table
    gc.collect()
    assert watched() is None


def test_oldest_handle_leaves_when_there_are_too_many_or_too_large_ones() -> None:
    few = Handles(most=2)
    first, second, third = (few.add("x", 1, 1) for _ in range(3))
    assert [one.id for one in few] == [second.id, third.id]
    with pytest.raises(errors.InvalidParams):
        few.find(first.id)
    small = Handles(max_bytes=100)
    small.add("x", 1, 1, size=90)
    large = small.add("x", 1, 1, size=200)
    assert [one.id for one in small] == [large.id], "one alone may be larger"


def test_handle_of_guests_leaves_when_it_is_not_used_for_long_enough() -> None:
    now = 0.0
    kernel = KernelHandles(lambda: now)
    used, unused = (kernel.guests.add("x", 1, 1) for _ in range(2))
    now = GUEST_S * 0.9
    kernel.guests.find(used.id)
    now = GUEST_S * 1.1
    assert [one.id for one in kernel.guests] == [used.id]
    with pytest.raises(errors.InvalidParams):
        kernel.guests.find(unused.id)
    for _ in range(GUEST_HANDLES + 10):
        kernel.guests.add("x", 1, 1)
    assert len(kernel.guests) == GUEST_HANDLES


def test_kept_handles_live_as_long_as_one_of_the_constants_they_were_kept_with() -> None:
    kernel = KernelHandles()
    run = kernel.of_run()
    made = run.add("orders", 1, 1)
    kernel.keep(["orders", "limit"], run)
    later = kernel.of_run()
    assert later.find(made.id) is made
    assert [(one.id, why) for one, why in kernel] == [(made.id, "kept with limit, orders")]
    kernel.forget(["orders"])
    assert later.find(made.id) is made
    kernel.keep(["limit"], kernel.of_run())  # a later program keeps the same name
    with pytest.raises(errors.InvalidParams):
        later.find(made.id)


def test_latest_results_of_a_handle_are_computed_once() -> None:
    made, computed = Handles().add("orders", 1, 1), []

    def compute(key: str) -> int:
        return made.derive(key, lambda: computed.append(key) or len(computed))  # type: ignore[func-returns-value]

    assert [compute(key) for key in ("a", "a", "b", "a", "c", "b")] == [1, 1, 2, 1, 3, 4]
