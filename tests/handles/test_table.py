"""Tables of handles: ids, bounds and life. The clock is the test's; nothing else is fake."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pctx_jupyter import errors
from pctx_jupyter.handles import frames
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
    small = Handles(max_bytes=lambda: 100)
    small.add("x", 1, 1, size=90)
    large = small.add("x", 1, 1, size=200)
    assert [one.id for one in small] == [large.id], "one alone may be larger"


def test_results_of_operations_and_then_the_oldest_objects_of_a_run_make_room_and_say_so() -> None:
    kernel = KernelHandles()
    kernel.max_run_bytes = 1_000
    run = kernel.of_run()
    variable = run.add("it", np.zeros(500), None, 4_000, "array", is_variable=True)
    first = run.add("Sales.orders", object(), None, 600)
    last = run.add("Sales.more", object(), None, 300)
    for one in (first, last):
        run.derive(one, "a filter", lambda: (object(), 80))
    assert [len(one.derived) for one in (first, last)] == [0, 1]
    run.derive(last, "a larger one", lambda: (object(), 1_500))
    assert [one.id for one in run] == [variable.id, last.id] and list(last.derived) == ["a larger one"]
    way = r"Sales\.orders: it made room .* 1,000 bytes together; .* or raise c\.Pctx\.max_run_handles_bytes"
    with pytest.raises(errors.InvalidParams, match=way):
        run.find(f"Sales.orders#{first.id}")


VIEWED: dict[str, Callable[[Any], list[Any]]] = {
    "numpy": lambda numbers: [numbers, numbers[10:], numbers.reshape(10, -1)],
    "pandas": lambda numbers: [(frame := pd.DataFrame({"a": numbers})), frame[10:], frame.rename(columns={"a": "b"})],
    "polars": lambda numbers: [(frame := pl.DataFrame({"a": numbers})), frame[10:], frame.rename({"a": "b"})],
    "Arrow": lambda numbers: [(frame := pa.table({"a": numbers})), frame[10:], frame.rename_columns(["b"])],
}


@pytest.mark.parametrize("library", VIEWED)
def test_memory_that_several_objects_share_counts_once(library: str) -> None:
    views = VIEWED[library](np.arange(1_000.0))
    table = Handles(max_bytes=lambda: 9_000)
    for one in views:
        table.add("it", one if library == "numpy" else frames.opened(one), one, 8_000)
    assert len(table) == 3
    table.add("it", np.zeros(1_000), None, 8_000, "array")
    assert len(table) == 1, "what shares no memory makes the others leave"


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
    with pytest.raises(errors.InvalidParams, match="does not hold it"):
        later.find("another")
    assert [(one.handle.id, one.why) for one in kernel.held()] == [(made.id, "kept with limit, orders")]
    kernel.forget(["orders"])
    assert later.find(made.id) is made
    kernel.keep(["limit"], kernel.of_run())  # a later program keeps the same name
    with pytest.raises(errors.InvalidParams):
        later.find(made.id)


def test_the_oldest_kept_handles_make_room_and_say_so() -> None:
    kernel = KernelHandles()
    kernel.max_run_bytes = 1_000
    made = []
    for name in ("first", "second", "third"):
        run = kernel.of_run()
        made.append(run.add(f"Sales.{name}", object(), None, 600))
        kernel.keep([name], run)
    assert [held.handle for held in kernel.held()] == made[2:]
    with pytest.raises(errors.InvalidParams, match=r"Sales\.first: it made room .*max_run_handles_bytes"):
        kernel.of_run().find(made[0].id)


def test_every_handle_says_what_holds_it_and_how_long() -> None:
    now = 0.0
    kernel = KernelHandles(lambda: now)
    run, kept = kernel.of_run(), kernel.of_run()
    kept.add("orders", 1, 1)
    kernel.keep(["orders", "all"], kept)
    run.add("weights", 1, 1)
    kernel.guests.handing_to("Claude").add("Sales.orders", 1, 1)
    now = 600.0
    held = list(kernel.held([run, kernel.guests, kernel.guests]))  # two agents' programs run
    assert [(one.handle.label, one.by, one.names, one.left_s) for one in held] == [
        ("weights", "run", (), None),
        ("orders", "session", ("all", "orders"), None),
        ("Sales.orders", "agents", (), GUEST_S - 600.0),
    ]
    assert held[-1].why == "for agents and other notebooks, handed to Claude"
    assert kernel.guests.next_leaves_s() == GUEST_S - 600.0
    assert run.next_leaves_s() is None and kernel.of_run().next_leaves_s() is None


def test_each_change_of_what_a_kernel_holds_is_reported() -> None:
    now, changes = 0.0, 0

    def count() -> None:
        nonlocal changes
        changes += 1

    kernel = KernelHandles(lambda: now)
    kernel.on_change = count

    def reports(act: Callable[[], object]) -> bool:
        before = changes
        act()
        return changes > before

    run = kernel.of_run()
    made = run.add("orders", 1, 1)
    assert changes == 1
    assert not reports(lambda: run.find(made.id)) and not reports(kernel.of_run), "nothing else is held"
    assert reports(lambda: kernel.keep(["orders"], run))
    assert reports(lambda: kernel.drop(made.id)) and not reports(lambda: kernel.drop(made.id))
    assert reports(lambda: kernel.forget(["orders"])) and not reports(kernel.forget)
    used = kernel.guests.add("orders", 1, 1)
    assert reports(lambda: kernel.guests.find(used.id)), "it stays longer now"
    now = GUEST_S * 2
    assert reports(lambda: len(kernel.guests)) and not reports(lambda: len(kernel.guests))


def test_object_that_another_thread_removes_is_freed_on_the_main_thread() -> None:
    freed: list[str] = []
    errands: list[Callable[[], None]] = []
    kernel = KernelHandles()
    kernel.on_main = errands.append

    def opened() -> Iterator[int]:
        try:
            yield 1
        finally:
            freed.append(threading.current_thread().name)

    next(source := opened())
    made = kernel.guests.add("items", source, source, kind="items")
    id = made.id
    del source, made
    forgetting = threading.Thread(target=kernel.drop, args=[id])
    forgetting.start()
    forgetting.join()
    assert list(kernel.held()) == [] and freed == []
    errands.pop()()
    assert freed == [threading.main_thread().name]


def test_table_may_be_listed_by_one_thread_while_another_changes_it() -> None:
    now = 0.0
    kernel = KernelHandles(lambda: now)
    failures: list[BaseException] = []
    is_done = threading.Event()

    def look() -> None:
        try:
            while not is_done.is_set():
                list(kernel.held())
        except BaseException as error:
            failures.append(error)

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(3_000):
        now += GUEST_S / 10
        kernel.guests.add("x", 1, 1)
    is_done.set()
    looking.join()
    assert failures == [] and len(kernel.guests) == 10


def test_latest_results_of_a_handle_are_computed_once() -> None:
    table, computed = Handles(), []
    made = table.add("orders", 1, 1)

    def compute(key: str) -> int:
        return table.derive(made, key, lambda: (computed.append(key) or len(computed), 1))  # type: ignore[func-returns-value]

    assert [compute(key) for key in ("a", "a", "b", "a", "c", "b")] == [1, 1, 2, 1, 3, 4]
