"""Tools whose value is computed elsewhere: executors, Dask and what annotations say of them. The cluster is real."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import re
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import dask
import dask.array as da
import dask.dataframe as dd
import distributed
import msgspec
import numpy as np
import pandas as pd
import pytest
from dask.delayed import Delayed
from msgspec import Raw

from pctx_jupyter import cluster as clusters
from pctx_jupyter import errors, futures
from pctx_jupyter.client.offers import serving
from pctx_jupyter.handles.table import Handles
from pctx_jupyter.kernel.functions import handed, operations
from pctx_jupyter.kernel.functions import tool as tools
from pctx_jupyter.kernel.functions.on_cluster import ClusterFrame
from pctx_jupyter.kernel.functions.tool import PythonTool, tool
from pctx_jupyter.rpc import wire
from pctx_jupyter.tools.shapes import shape

LONG_S = 30


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.Client]:
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=4, processes=False, dashboard_address=":0") as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def no_tools_before() -> Iterator[None]:
    yield
    for one in tools.defined():
        tools.forget(one.path)


def made(function: Callable[..., Any], **given: Any) -> PythonTool:
    return tools.define(function, **{"name": "one", **given})


async def result_of(one: PythonTool, arguments: bytes = b"{}") -> bytes:
    made = tools.call(one, Raw(arguments))
    assert isinstance(made, Awaitable)
    return bytes(await made)


def double(n: int) -> int:
    return 2 * n


def fail() -> int:
    raise LookupError("nothing there")


# A cluster in this process finds a module's functions by name, so what they share is of the module.
BARRIER = threading.Barrier(4, timeout=LONG_S)
RELEASE = threading.Event()
RAN: list[int] = []


def meet() -> bool:
    return BARRIER.wait() >= 0


def hold() -> bool:
    return RELEASE.wait(LONG_S)


def note() -> None:
    RAN.append(1)


def pure_of(pure: int, key: str, workers: list[int]) -> str:
    return f"{pure} {key} {workers}"


async def test_a_tool_may_return_the_future_of_an_executor() -> None:
    with ThreadPoolExecutor(1) as executor:
        assert await result_of(made(lambda: executor.submit(double, 4))) == b"8"
        with pytest.raises(LookupError, match="nothing there"):
            await result_of(made(lambda: executor.submit(fail)))


async def test_a_tool_may_return_a_future_of_dask_with_the_usual_synchronous_client(
    cluster: distributed.Client,
) -> None:
    assert await result_of(made(lambda: cluster.submit(double, 4))) == b"8"
    with pytest.raises(LookupError, match="nothing there"):
        await result_of(made(lambda: cluster.submit(fail)))


async def test_a_tool_may_return_a_future_of_an_asynchronous_client(cluster: distributed.Client) -> None:
    async with distributed.Client(cluster.scheduler.address, asynchronous=True, set_as_default=False) as client:
        assert await result_of(made(lambda: client.submit(double, 5))) == b"10"


async def test_an_async_tool_may_return_a_future(cluster: distributed.Client) -> None:
    async def later() -> Any:
        await asyncio.sleep(0)
        return cluster.submit(double, 6)

    assert await result_of(made(later)) == b"12"


async def test_to_await_the_future_of_a_synchronous_client_is_refused_with_the_way_out(
    cluster: distributed.Client,
) -> None:
    async def later() -> Any:
        return await cluster.submit(double, 6)

    with pytest.raises(TypeError, match="return it without await"):
        await result_of(made(later))


async def test_another_missing_attribute_stays_as_it_is() -> None:
    async def later() -> Any:
        return await 5  # type: ignore[misc]

    async def wrong() -> Any:
        return (5).__await__  # type: ignore[attr-defined]

    with pytest.raises(TypeError, match="can't be used in 'await'"):
        await result_of(made(later))
    with pytest.raises(AttributeError, match="no attribute '__await__'"):
        await result_of(made(wrong))


@pytest.mark.parametrize("has_client", [True, False])
async def test_what_dask_computes_lazily_is_computed(cluster: distributed.Client, has_client: bool) -> None:
    one = made(lambda: dask.delayed(double)(7))
    if has_client:
        with cluster.as_current():
            assert await result_of(one) == b"14"
    else:
        assert await result_of(one) == b"14"


async def test_calls_of_a_tool_that_runs_on_a_cluster_overlap(cluster: distributed.Client) -> None:
    # Each waits for the others: one after the other, none would end.
    one = made(meet, run_on=cluster)
    assert await asyncio.gather(*(result_of(one) for _ in range(4))) == [b"true"] * 4


@pytest.mark.parametrize("where", ["dask", "threads"])
async def test_where_a_tool_runs_changes_neither_its_types_nor_its_arguments(
    cluster: distributed.Client, where: str
) -> None:
    with ThreadPoolExecutor(1) as threads:
        one = made(pure_of, run_on=cluster if where == "dask" else threads)
        assert one.output_schema == {"type": "string"}
        assert list(one.input_schema["properties"]) == ["pure", "key", "workers"]  # type: ignore[call-overload, index]
        assert await result_of(one, b'{"pure":1,"key":"k","workers":[2]}') == b'"1 k [2]"'
        with pytest.raises(errors.InvalidParams, match="expected integer"):
            tools.call(one, Raw(b'{"pure":"x","key":"k","workers":[2]}'))


async def test_equal_calls_on_a_cluster_each_run(cluster: distributed.Client) -> None:
    RAN.clear()
    one = made(note, run_on=cluster)
    await result_of(one)
    await result_of(one)
    assert len(RAN) == 2


def opposite(n: int) -> int:
    return -n


def with_lock(n: int) -> object:
    return LOCK


def leave() -> None:
    raise SystemExit(3)


def cancel() -> None:
    raise asyncio.CancelledError


LOCK = threading.Lock()


async def test_calls_that_come_together_are_sent_together_and_each_gets_its_own_value_or_error(
    cluster: distributed.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    submitted = clusters.submitted

    def counted(client: Any, calls: Any) -> Any:
        sent.append(len(calls))
        return submitted(client, calls)

    monkeypatch.setattr(clusters, "submitted", counted)
    lock = threading.Lock()
    tasks = [made(one, run_on=cluster) for one in (double, opposite, lambda n: lock, fail)]
    await result_of(tasks[0], b'{"n":1}')
    sent.clear()
    awaited = [
        tools.call(one, Raw(b'{"n":%d}' % n if one.function is not fail else b"{}")) for n in range(50) for one in tasks
    ]
    found = await asyncio.gather(*(cast("Awaitable[Raw]", one) for one in awaited), return_exceptions=True)
    assert [bytes(cast("Raw", found[at])) for at in (0, 1, 196, 197)] == [b"0", b"0", b"98", b"-49"]
    assert all(isinstance(one, errors.ToolFailed) and "cannot pickle" in str(one) for one in found[2::4])
    assert {str(one) for one in found[3::4]} == {"nothing there"}
    assert max(sent) > 50


async def test_what_cannot_be_pickled_is_refused_with_the_way_out(cluster: distributed.Client) -> None:
    lock = threading.Lock()
    one = made(lambda: lock, run_on=cluster)
    with pytest.raises(errors.ToolFailed, match=r"cannot pickle '_thread.lock' object; with run_on, the function with"):
        await result_of(one)
    with ProcessPoolExecutor(1) as processes:
        for function in (lambda: lock, with_lock):
            with pytest.raises(errors.ToolFailed, match="return plain data") as error:
                await result_of(made(function, run_on=processes), b'{"n":1}' if function is with_lock else b"{}")
            assert error.value.__cause__ is not None


def generator_of_dask() -> None:
    raise TypeError("Could not serialize object of type generator\nTraceback (most recent call last):\n  File …")


async def test_message_about_pickling_is_one_line() -> None:
    with (
        ThreadPoolExecutor(1) as threads,
        pytest.raises(errors.ToolFailed, match="type generator; with run_on") as error,
    ):
        await result_of(made(generator_of_dask, run_on=threads))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("where", ["dask", "threads"])
async def test_no_error_of_a_function_ends_what_waits_for_it(cluster: distributed.Client, where: str) -> None:
    with ThreadPoolExecutor(1) as threads:
        executor: Any = cluster if where == "dask" else threads
        if where == "threads":  # a worker of Dask ends with it
            with pytest.raises(SystemExit):
                await result_of(made(leave, run_on=executor))
        with pytest.raises(errors.ToolFailed, match="its future was cancelled"):
            await result_of(made(cancel, run_on=executor))
        assert await result_of(made(double, run_on=executor), b'{"n":4}') == b"8"


async def test_error_of_a_worker_has_the_workers_traceback(cluster: distributed.Client) -> None:
    with pytest.raises(LookupError) as error:
        await result_of(made(fail, run_on=cluster))
    assert error.traceback[-1].name == "fail"


async def test_a_client_that_is_closed_is_an_error_of_its_tool(cluster: distributed.Client) -> None:
    client = distributed.Client(cluster.scheduler.address, set_as_default=False)
    one, program, held = made(double, run_on=client), Program(), by_name(table, run_on=client, handle=True)
    assert await result_of(one, b'{"n":1}') == b"2"
    handle = await program.call(held, rows=1)
    await asyncio.to_thread(client.close)
    with pytest.raises(Exception, match=r"closed|closing|lost"):
        await asyncio.wait_for(program.ask(held, handle), LONG_S)
    with pytest.raises(Exception, match=r"closed|closing"):
        await asyncio.wait_for(result_of(one, b'{"n":1}'), LONG_S)


async def test_who_stops_waiting_cancels_the_work(cluster: distributed.Client) -> None:
    RELEASE.clear()
    with ThreadPoolExecutor(1) as executor:
        busy = executor.submit(hold)
        queued = executor.submit(double, 1)
        waiting = asyncio.ensure_future(result_of(made(lambda: queued)))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert queued.cancelled()
        RELEASE.set()
        assert busy.result(LONG_S)

    RELEASE.clear()
    held = cluster.submit(hold, pure=False)
    waiting = asyncio.ensure_future(result_of(made(lambda: held)))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    until = time.monotonic() + LONG_S
    while held.status != "cancelled":
        assert time.monotonic() < until
        await asyncio.sleep(0.01)
    RELEASE.set()


async def test_a_future_that_somebody_else_cancels_is_an_error_of_its_tool(cluster: distributed.Client) -> None:
    never: concurrent.futures.Future[int] = concurrent.futures.Future()
    waiting = asyncio.ensure_future(result_of(made(lambda: never)))
    await asyncio.sleep(0.01)
    assert never.cancel()
    with pytest.raises(errors.ToolFailed, match="its future was cancelled"):
        await waiting

    RELEASE.clear()
    held = cluster.submit(hold, pure=False)
    waiting = asyncio.ensure_future(result_of(made(lambda: held)))
    await asyncio.sleep(0.05)
    await asyncio.to_thread(held.cancel)
    with pytest.raises(errors.ToolFailed, match="its future was cancelled"):
        await waiting
    RELEASE.set()


class Ray(ModuleType):
    """What pctx uses of Ray, with its errors as Ray raises them: those of a task are of a class per class."""

    class ObjectRef:
        def __init__(self) -> None:
            self.given: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def future(self) -> concurrent.futures.Future[Any]:
            return self.given

    def __init__(self, *, has_exceptions: bool = True) -> None:
        super().__init__("ray")
        self.cancelled: list[Any] = []
        if has_exceptions:
            self.exceptions = SimpleNamespace(RayTaskError=RayTaskError, TaskCancelledError=TaskCancelledError)

    def cancel(self, ref: ObjectRef) -> None:
        self.cancelled.append(ref)


class RayTaskError(Exception):
    def __init__(self, text: str, cause: Exception | None = None) -> None:
        super().__init__(text)
        self.cause = cause


class RayTaskErrorOfLookupError(RayTaskError, LookupError): ...


class TaskCancelledError(Exception): ...


CANCELLED = "CancelledError: its future was cancelled: by its owner"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (RayTaskErrorOfLookupError("\x1b[36mray::f()", LookupError("nothing there")), "LookupError: nothing there"),
        (RayTaskError("ray::f()"), "RayTaskError: ray::f()"),
        (RayTaskError("ray::f()", TaskCancelledError("by its owner")), CANCELLED),
        (TaskCancelledError("by its owner"), CANCELLED),
        (TaskCancelledError(), "CancelledError: its future was cancelled"),
        (OSError("a worker was lost"), "OSError: a worker was lost"),
    ],
)
@pytest.mark.parametrize("has_exceptions", [True, False])
async def test_error_of_a_task_of_ray_is_the_one_that_the_task_raised(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, expected: str, has_exceptions: bool
) -> None:
    monkeypatch.setitem(sys.modules, "ray", Ray(has_exceptions=has_exceptions))
    ref = Ray.ObjectRef()
    ref.given.set_exception(raised)
    with pytest.raises(Exception) as caught:
        await result_of(made(lambda: ref))
    error = caught.value
    if has_exceptions:
        assert f"{getattr(error, 'name', None) or type(error).__name__}: {error}" == expected
    else:
        assert error is raised


async def test_value_of_a_task_of_ray_is_waited_for_and_who_stops_waiting_cancels_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray, ref, never = Ray(), Ray.ObjectRef(), Ray.ObjectRef()
    monkeypatch.setitem(sys.modules, "ray", ray)
    ref.given.set_result(8)
    assert await result_of(made(lambda: ref)) == b"8"
    waiting = asyncio.ensure_future(result_of(made(lambda: never)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ray.cancelled == [never]


async def promised() -> concurrent.futures.Future[int]:
    raise NotImplementedError


def awaited() -> Awaitable[list[int]]:
    raise NotImplementedError


def of_dask() -> distributed.Future:
    raise NotImplementedError


def lost() -> concurrent.futures.Future:  # type: ignore[type-arg]
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "schema"),
    [
        (promised, {"type": "integer"}),
        (awaited, {"type": "array", "items": {"type": "integer"}}),
        (of_dask, None),
        (lost, None),
    ],
)
def test_what_a_future_stands_for_is_the_declared_type(function: Any, schema: object) -> None:
    assert made(function).output_schema == schema


async def test_a_value_of_another_type_than_the_future_promised_is_refused() -> None:
    def wrong() -> concurrent.futures.Future[int]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        future.set_result("x")
        return future

    with pytest.raises(errors.ToolFailed, match="change the tool's return annotation"):
        await result_of(made(wrong))


@pytest.mark.parametrize("executor", [5, ThreadPoolExecutor, "cluster"])
def test_what_cannot_run_functions_is_refused(executor: Any) -> None:
    with pytest.raises(errors.InvalidParams, match="has to have submit"):
        tool(run_on=executor)(double)


def test_an_async_function_runs_in_the_kernel_alone() -> None:
    async def later() -> None: ...

    with ThreadPoolExecutor(1) as executor, pytest.raises(errors.InvalidParams, match="leave out run_on"):
        tool(run_on=executor)(later)


async def test_a_list_or_dict_of_futures_stands_for_their_values(cluster: distributed.Client) -> None:
    with ThreadPoolExecutor(1) as threads:
        given = {
            "map": cluster.map(double, range(3)),
            "nested": [{"executor": threads.submit(double, 3), "pair": (dask.delayed(double)(4), 1)}],
            "plain": [5, None],
            "empty": [],
        }
        expected = {"map": [0, 2, 4], "nested": [{"executor": 6, "pair": [8, 1]}], "plain": [5, None], "empty": []}
        for client in (nullcontext(), cluster.as_current()):
            with client:
                assert msgspec.json.decode(await result_of(made(lambda: given))) == expected


def promised_list() -> dict[str, list[concurrent.futures.Future[int]]]:
    raise NotImplementedError


def test_type_of_futures_in_a_list_is_that_of_their_values() -> None:
    inner = {"type": "array", "items": {"type": "integer"}}
    assert made(promised_list).output_schema == {"type": "object", "additionalProperties": inner}


async def test_future_that_fails_among_others_cancels_these(cluster: distributed.Client) -> None:
    RELEASE.clear()
    held, never = cluster.submit(hold, pure=False), concurrent.futures.Future[int]()
    with pytest.raises(LookupError, match="nothing there"):
        await result_of(made(lambda: [never, held, cluster.submit(fail, pure=False)]))
    async with asyncio.timeout(LONG_S):
        while not (never.cancelled() and held.cancelled()):
            await asyncio.sleep(0.01)
    RELEASE.set()


@pytest.mark.parametrize("kind", ["executor", "delayed", "dask"])
def test_a_future_after_other_values_is_refused_with_the_way_out(cluster: distributed.Client, kind: str) -> None:
    future: Any = {
        "executor": concurrent.futures.Future,
        "delayed": lambda: dask.delayed(double)(1),
        "dask": lambda: cluster.submit(double, 1),
    }[kind]()
    with pytest.raises(errors.NotJson, match=r"result.rows\[1\].* is not JSON; return it by itself"):
        tools.call(made(lambda: {"rows": [1, future]}), None)


async def test_a_callback_of_a_client_may_return_a_future() -> None:
    with ThreadPoolExecutor(1) as executor:
        serve = serving(lambda arguments: executor.submit(double, arguments["n"]))
        assert bytes(await serve(wire.ExecuteTool("Ns.double", Raw(b'{"n":4}')))) == b"8"


def test_plain_values_are_not_waited_for() -> None:
    assert [futures.pending(one) for one in (None, 1, "x", [1], {"a": 1}, object(), int)] == [None] * 7


# Results that stay where they are


def table(rows: int) -> pd.DataFrame:
    RAN.append(rows)
    return pd.DataFrame({"n": range(rows)})


def total(table: pd.DataFrame, factor: int = 1) -> int:
    return int(table["n"].sum()) * factor


def inner_total(tables: list[Any]) -> int:
    return sum(total(one) for one in tables)


class Program:
    """What a program does with handles, by the JSON that it sends."""

    def __init__(self) -> None:
        self.handles = Handles()

    async def call(self, one: PythonTool, **arguments: Any) -> Any:
        made = tools.call(one, Raw(msgspec.json.encode(arguments)), self.handles)
        return msgspec.json.decode(made if isinstance(made, Raw) else await made)

    async def ask(
        self, one: PythonTool, handle: Any, what: str = "result", steps: Sequence[Any] = (), **more: Any
    ) -> Any:
        frame = {"id": handle["$pctx.frame"]["id"], "steps": steps}
        return await self.call(one, **{"$pctx.call": what, "frame": frame, **more})

    def object_of(self, handle: Any) -> Any:
        return self.handles.find(handle["$pctx.frame"]["id"]).given


def by_name(function: Callable[..., Any], **given: Any) -> PythonTool:
    return tools.define(function, name=function.__name__, **given)


async def test_result_stays_on_the_cluster_until_it_is_asked_for(cluster: distributed.Client) -> None:
    RELEASE.clear()
    program, held = Program(), by_name(hold, run_on=cluster, handle=True)
    handle = await program.call(held)  # at once: nothing waits for the value
    assert (await program.ask(held, handle, "preview"))["$pctx.frame"] | {"id": ""} == {
        "id": "",
        "kind": "future",
        "type": "Future",
        "text": "pending",
    }
    asked = asyncio.ensure_future(program.ask(held, handle))
    RELEASE.set()
    assert await asked is True


async def test_tool_on_the_same_cluster_takes_the_future_in_the_place_of_a_value(cluster: distributed.Client) -> None:
    RAN.clear()
    program = Program()
    load, add, several = (
        by_name(table, run_on=cluster, handle=True),
        by_name(total, run_on=cluster),
        by_name(inner_total, run_on=cluster),
    )
    loaded, factor = (
        await program.call(load, rows=5),
        await program.call(by_name(double, run_on=cluster, handle=True), n=2),
    )
    assert await program.call(add, table=loaded, factor=factor) == 40
    assert await program.call(add, table=[{"n": 3}], factor=factor) == 12
    assert await program.call(several, tables=[loaded, loaded]) == 20
    assert RAN == [5]  # it was computed once
    lazy = await program.call(by_name(delayed_table, handle=True))
    assert await program.call(add, table=lazy) == 6
    frame = await program.ask(load, loaded)
    assert frame["$pctx.frame"]["columns"] == ["n"]
    assert await program.call(add, table=frame) == await program.call(add, table=loaded) == 10


def delayed_table() -> Delayed:
    return dask.delayed(table)(4)


def lazy_table() -> dd.DataFrame:
    return dd.from_delayed([dask.delayed(table)(4)], meta={"n": "int64"}, verify_meta=False)


def lazy_array() -> da.Array:
    return da.ones(3)


def array() -> np.ndarray:  # type: ignore[type-arg]
    return np.ones(3)


async def test_other_tools_get_the_very_future(cluster: distributed.Client) -> None:
    seen: list[Any] = []

    def take(future: Any) -> None:
        seen.append(future)

    program = Program()
    handle = await program.call(by_name(table, run_on=cluster, handle=True), rows=1)
    await program.call(by_name(take), future=handle)
    assert isinstance(seen[0], distributed.Future) and seen[0] is program.object_of(handle)


@pytest.mark.parametrize("has_client", [True, False])
async def test_what_is_lazy_is_computed_when_it_is_asked_for(cluster: distributed.Client, has_client: bool) -> None:
    for function, kind in ((delayed_table, "Delayed"), (lazy_table, "DataFrame")):
        RAN.clear()
        program, lazy = Program(), by_name(function, handle=True)
        handle = await program.call(lazy)
        assert handle["$pctx.frame"]["type"] == kind and 4 not in RAN
        with cluster.as_current() if has_client else nullcontext():
            assert (await program.ask(lazy, handle))["$pctx.frame"]["columns"] == ["n"]
        assert RAN.count(4) == 1


ORDERS = pd.DataFrame(
    {
        "id": range(9),
        "status": ["open", "done", None, "open", "lost", "open", "done", "done", "open"],
        "amount": [1.5, None, 3.0, 20.0, 5.5, -1.0, 7.0, 8.0, 0.0],
        "large": [2**53 + n for n in range(9)],
    }
).set_index("id")


def there() -> dd.DataFrame:
    return dd.from_pandas(ORDERS, npartitions=3)


def in_one_part() -> pd.DataFrame:
    return ORDERS


def here() -> pd.DataFrame:
    return ORDERS


def col(name: str, op: str, value: object) -> dict[str, Any]:
    return {"op": op, "of": [{"col": name}, {"lit": value}]}


OPEN, FEW = ["filter", col("status", "eq", "open")], ["select", ["id", "amount"]]
ASKED: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("count", [], {}),
    ("count", [OPEN], {}),
    ("rows", [], {}),
    ("rows", [], {"from": 2, "to": 5}),
    ("rows", [], {"from": 7, "to": 50}),
    ("rows", [], {"from": 50}),
    ("rows", [OPEN, FEW], {"from": 1, "to": 3}),
    ("rows", [["with", {"double": col("amount", "mul", 2)}], ["filter", col("double", "gt", 6)]], {}),
    ("rows", [["sort", ["amount"], True], ["slice", 0, 4]], {}),
    ("rows", [["slice", 2, 7], OPEN], {}),
    ("rows", [OPEN, ["filter", col("amount", "gt", 999)]], {}),
    ("rows", [OPEN, ["group", ["status"], {"n": "count", "amount": "sum", "middle": ["amount", "median"]}]], {}),
    ("rows", [["group", ["status"], {"ids": ["id", "nunique"]}], ["filter", col("ids", "gt", 1)]], {}),
    ("rows", [OPEN, ["group", ["status"], {"n": "count", "ids": ["id", "nunique"], "most": ["amount", "max"]}]], {}),
    ("rows", [["sort", ["status"], False], ["slice", 1, 4], FEW], {}),
    ("rows", [["sort", ["amount"], False]], {"from": 0, "to": 2}),
    ("rows", [["sort", ["amount"], False]], {"to": -1}),
    ("rows", [OPEN, ["slice", 1, 3]], {}),
    ("agg", [["filter", col("amount", "gt", 999)]], {"wanted": {"amount": "sum", "rows": "count"}}),
    ("agg", [["slice", 0, 4]], {"wanted": {"id": "max"}}),
    ("agg", [], {"wanted": {"amuont": "max"}}),
    ("rows", [["group", ["status"], {"status": "count"}]], {}),
    ("preview", [["group", ["status"], {"amount": "mean"}]], {}),
    ("sample", [OPEN], {"count": 2, "seed": 7}),
    ("describe", [FEW], {}),
    ("schema", [], {}),
    ("schema", [FEW], {}),
    ("agg", [], {"wanted": {"amount": "std", "large": "sum", "rows": "count"}}),
    ("agg", [OPEN], {"wanted": {"amount": "mean"}}),
    ("column", [OPEN], {"name": "status"}),
    ("column", [], {"name": "id", "as": "bigint"}),
    ("preview", [], {}),
    ("preview", [OPEN, ["sort", ["amount"], False]], {}),
    ("rows", [["filter", col("amuont", "gt", 1)]], {}),
    ("agg", [], {"wanted": {"status": "mean"}}),
    ("sample", [], {"count": -1}),
    ("nothing", [], {}),
]
"""What programs ask of frames; the last ones are errors."""


@pytest.mark.parametrize("where", [there, in_one_part])
async def test_operations_on_a_frame_of_a_cluster_run_there_and_give_what_they_give_in_a_notebook(
    cluster: distributed.Client, where: Callable[[], Any]
) -> None:
    async def outcome(program: Program, one: PythonTool, frame: Any, what: str, steps: Any, more: Any) -> Any:
        body = {"id": frame["$pctx.frame"]["id"], "steps": steps}
        request = Raw(msgspec.json.encode({"$pctx.call": what, "frame": body, **more}))
        try:
            call = tools.call(one, request, program.handles)
            found = re.sub(rb'"id":"[^"]*"', b"", bytes(call if isinstance(call, Raw) else await call))
            return re.sub(rb"(\.\d{12})\d+", rb"\1", found)  # parts are added up in another order
        except errors.PctxError as error:
            return error.message.replace(one.path, "Notebook.here")

    local, remote, theirs = by_name(here, handle=True), Program(), Program()
    runs = {"run_on": cluster} if where is in_one_part else {}
    distant = by_name(where, handle=True, **runs)
    with cluster.as_current():
        frame = await remote.ask(distant, await remote.call(distant))
    expected = await theirs.call(local)
    for what, steps, more in ASKED:
        found = await outcome(remote, distant, frame, what, steps, more)
        assert found == await outcome(theirs, local, expected, what, steps, more), (what, steps, more)
    assert all(isinstance(one.value, ClusterFrame) for one in remote.handles if one.kind == "frame")


def ids(orders: pd.DataFrame) -> str:
    is_here = threading.current_thread() is threading.main_thread()
    return f"{'here' if is_here else 'there'}: {sorted(orders.reset_index()['id'])}"


async def test_a_frame_of_a_cluster_is_joined_and_passed_on_there_and_comes_to_the_notebook_for_what_runs_in_it(
    cluster: distributed.Client,
) -> None:
    program, lazy, local = Program(), by_name(there, handle=True), by_name(here, handle=True)
    with cluster.as_current():
        frame = await program.ask(lazy, await program.call(lazy))
    other = await program.call(local)
    few = ["filter", col("id", "in", [1, 3, 30])]
    for left, right, one in ((frame, other, lazy), (other, frame, local), (frame, frame, lazy)):
        joined = {"id": right["$pctx.frame"]["id"], "steps": [few, ["select", ["id"]]]}
        steps = [["join", joined, ["id"], "inner"], ["select", ["id", "status"]]]
        found = await program.ask(one, left, "rows", steps)
        assert found == [{"id": 1, "status": "done"}, {"id": 3, "status": "open"}]
    narrow = {"$pctx.frame": {"id": frame["$pctx.frame"]["id"], "steps": [few]}}
    on_cluster, in_notebook = by_name(ids, run_on=cluster), tools.define(ids, name="ids_here")
    assert await program.call(on_cluster, orders=narrow) == "there: [1, 3]"
    assert await program.call(in_notebook, orders=narrow) == "here: [1, 3]"
    assert await program.call(in_notebook, orders=frame) == f"here: {list(range(9))}"
    words = handed.named({"id": frame["$pctx.frame"]["id"]}, program.handles)
    assert words == "Frame of Notebook.there, 9 × 4, on its cluster"
    queried = await program.ask(lazy, frame, "sql", query="select max(id) as id from frame", frames={})
    assert await program.ask(lazy, queried, "rows") == [{"id": 8}]


async def test_a_frame_of_dask_that_a_cell_passes_in_stays_one_unless_a_table_is_needed(
    cluster: distributed.Client,
) -> None:
    program, lazy = Program(), there()
    program.handles.names = {}
    server = operations.server_of_frames()
    with cluster.as_current():
        body = msgspec.json.decode(handed.hand_in(lazy, program.handles, "orders", server.path))["$pctx.frame"]
        assert body["kinds"] == {"id": "number", "status": "string?", "amount": "number?", "large": "number"}
        frame = {"$pctx.frame": {"id": body["id"].partition("#")[2]}}
        assert await program.ask(server, frame, "count", [OPEN]) == 4
        [shown] = program.handles
        assert isinstance(shown.value, ClusterFrame) and shown.is_variable

        assert handed.replaced(frame, program.handles) is lazy
        few = {"$pctx.frame": frame["$pctx.frame"] | {"steps": [OPEN, FEW]}}
        await program.ask(server, frame, "save", [OPEN, FEW], name="few")
        for made in (program.handles.names["few"], handed.replaced(few, program.handles)):
            assert isinstance(made, dd.DataFrame) and list(made.columns) == ["id", "amount"]
            assert made.compute()["id"].tolist() == [0, 3, 5, 8]
        assert await program.call(tools.define(ids, name="ids_here"), orders=few) == "here: [0, 3, 5, 8]"
        groups = [["group", ["status"], {"n": "count"}]]
        seen = await program.ask(server, frame, "preview", groups)
        counted = handed.replaced({"$pctx.frame": {"id": seen["id"]}}, program.handles)
        assert counted.compute()["n"].tolist() == [3, 1, 4, 1]
    assert "kinds" in msgspec.json.decode(handed.hand_in(lazy, program.handles, "orders", server.path))["$pctx.frame"]
    assert isinstance([*program.handles][-1].given, dd.DataFrame)  # without a client, its rows come to the notebook


async def test_a_table_comes_to_the_notebook_from_workers_without_this_package(cluster: distributed.Client) -> None:
    assert await clusters.have_package(cluster, "dask", dask.__version__)
    assert not await clusters.have_package(cluster, "dask", "1.0")
    assert not await clusters.have_package(cluster, "no-such-package", "1.0")


async def test_what_is_lazy_comes_with_a_handle_only_where_the_annotation_says_what_it_is() -> None:
    def unsaid():  # type: ignore[no-untyped-def]
        return lazy_table()

    def computed() -> pd.DataFrame:
        return cast("pd.DataFrame", lazy_table())

    with pytest.raises(errors.ToolFailed, match=r"has to say that a DataFrame of Dask is returned.*compute\(\)"):
        await Program().call(by_name(unsaid, handle=True))
    assert (await Program().call(by_name(computed, handle=True)))["$pctx.frame"]["columns"] == ["n"]


async def test_result_that_stays_with_an_executor_keeps_its_declared_type() -> None:
    def wrong(n: int) -> str:
        return cast("Any", n)

    with ThreadPoolExecutor(1) as threads:
        program, one = Program(), by_name(wrong, run_on=threads, handle=True)
        handle = await program.call(one, n=1)
        with pytest.raises(errors.ToolFailed, match="change the tool's return annotation"):
            await program.ask(one, handle)
        failing = by_name(fail, run_on=threads, handle=True)
        with pytest.raises(LookupError, match="nothing there"):
            await program.ask(failing, await program.call(failing))


@pytest.mark.parametrize("where", ["dask", "threads"])
async def test_result_that_takes_too_long_can_be_asked_for_again_and_is_cancelled_with_its_handle(
    cluster: distributed.Client, where: str
) -> None:
    with ThreadPoolExecutor(1) as threads:
        for ends in (True, False):
            RELEASE.clear()
            busy = threads.submit(hold)
            program = Program()
            one = by_name(hold, run_on=cluster if where == "dask" else threads, handle=True)
            handle = await program.call(one)
            waiting = asyncio.ensure_future(program.ask(one, handle))
            await asyncio.sleep(0.05)
            waiting.cancel()
            await asyncio.wait([waiting])
            del waiting  # its error holds what it ran
            future = program.object_of(handle)
            assert not future.cancelled()
            if ends:
                RELEASE.set()
                assert await program.ask(one, handle) is True
            else:
                program.handles.clear()
                gc.collect()
                async with asyncio.timeout(LONG_S):
                    while not future.cancelled():
                        await asyncio.sleep(0.01)
            RELEASE.set()
            await asyncio.to_thread(busy.result)


async def test_what_cannot_be_sent_is_no_future(cluster: distributed.Client) -> None:
    lock = threading.Lock()
    with pytest.raises(errors.ToolFailed, match=r"cannot pickle .*; with run_on, the function"):
        await Program().call(tools.define(lambda: lock, name="one", run_on=cluster, handle=True))


def no_future() -> concurrent.futures.Future[int]:
    return cast("Any", 5)


async def test_value_that_is_no_future_is_refused() -> None:
    with pytest.raises(errors.ToolFailed, match="int is not a future"):
        await Program().call(by_name(no_future, handle=True))


def typed_future() -> distributed.Future[list[int]]:
    raise NotImplementedError


def test_types_say_what_stays_elsewhere_and_what_may_be_a_future(cluster: distributed.Client) -> None:
    def types(function: Any, **given: Any) -> tuple[str, str]:
        one = by_name(function, **given)
        return shape(one.input_schema).text, shape(one.output_schema).text

    assert types(table, run_on=cluster, handle=True) == ("{ rows: number | Future<number> }", "Future<Frame>")
    assert (
        "table: Frame | { [key: string]: any }[] | Future<Frame | { [key: string]: any }[]>;"
        in types(total, run_on=cluster)[0]
    )
    assert types(typed_future, handle=True)[1] == "Future<number[]>"
    assert types(delayed_table, handle=True)[1] == "Future"
    assert types(lazy_table, handle=True)[1] == "Future<Frame>"
    assert types(lazy_array, handle=True)[1] == types(array, run_on=cluster, handle=True)[1] == "Future<NDArray>"
    with ThreadPoolExecutor(1) as threads:
        assert types(double, run_on=threads, handle=True) == ("{ n: number }", "Future<number>")
