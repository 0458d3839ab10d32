"""Objects that a notebook holds for guest programs: consent, sharing, and the ends of objects and kernels.

The sandbox is a function. The notebook's table of objects, the operations on them, and the registry are real.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import polars as pl
import pytest
from msgspec import Raw

from pctx_jupyter import errors, values
from pctx_jupyter.handles.table import KernelHandles
from pctx_jupyter.kernel.functions import handed, operations
from pctx_jupyter.program.result import Emit
from pctx_jupyter.rpc import marks
from pctx_jupyter.session.execution import Job, ServeCall
from pctx_jupyter.session.session import Session
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.tool import Tool

from ..fakes import SOON, FakeSandbox, read
from ..session.test_approvals import Desk

ORDERS = pl.DataFrame({"id": [1, 2, 3]})
TABLE = "Notebook.orders"


class Shop:
    """A notebook, ``Sales``, whose tool ``orders`` hands over an object.

    Attributes:
        calls: How often the notebook was called.
        steps: What a program calls next; the results are its value.
    """

    def __init__(self, given: Any = ORDERS, kind: str = "frame", **settings: Any) -> None:
        self.given, self.kind, self.calls = given, kind, 0
        self.steps: list[dict[str, Any]] = []
        self.desk = Desk(FakeSandbox(self._act), **settings)
        self.registry, self.notebook = self.desk.registry, self.desk.notebook
        self.start()

    def start(self) -> None:
        """Start the kernel: it holds nothing."""
        self.kernel = KernelHandles()
        self.notebook.serve_others = self._answer
        self.notebook.register(Tool("Notebook", "orders"), self._answer, replace=True)

    async def _answer(self, call: Call) -> Raw:
        self.calls += 1
        table = self.kernel.guests
        if call.arguments is None or not marks.is_operation(call.arguments):
            return handed.hand_over(self.given, table, TABLE, self.kind)
        found = operations.serve(call.arguments, table, TABLE)
        return found if isinstance(found, Raw) else await found

    async def _act(self, job: Job, serve: ServeCall, emit: Emit) -> object:
        return [read(await serve("Sales.orders", values.to_json(step) if step else Raw(b"{}"))) for step in self.steps]

    async def run(self, *steps: dict[str, Any], session: Session | None = None) -> Any:
        """Have an agent, or another session, make calls; returns their results."""
        self.steps = list(steps)
        async with asyncio.timeout(SOON):
            return read((await (session or self.registry.agents()).execute("1")).value)

    async def handed(self) -> str:
        """The id of an object that an agent's program has got."""
        ((found),) = await self.run({})
        return str(found["$pctx.frame"]["id"])


def operation(id: str, what: str = "count", **more: Any) -> dict[str, Any]:
    return {marks.CALL: what, "frame": {"id": f"Sales.orders#{id}", "steps": []}, **more}


async def test_each_operation_on_an_object_is_a_call_that_the_policy_decides_about() -> None:
    shop = Shop(policy=("ask agent *",))
    shop.desk.say("allowed")
    id = await shop.handed()
    assert await shop.run(operation(id)) == [3]
    assert [question.tool for question in shop.desk.asked] == ["Sales.orders"] * 2
    assert id in shop.desk.asked[1].arguments
    shop.desk.say("denied")
    calls = shop.calls
    with pytest.raises(errors.ToolFailed, match=r"Cannot call Sales\.orders: a person denied it"):
        await shop.run(operation(id))
    assert shop.calls == calls, "nothing has run"


async def test_id_is_worth_nothing_to_those_with_whom_its_notebook_is_not_shared() -> None:
    shop = Shop()
    shop.registry.share(shop.notebook, "agents")
    id = await shop.handed()
    assert await shop.run(operation(id)) == [3], "another program of an agent may use it"
    calls = shop.calls
    stranger = shop.registry.open("k2")
    stranger.register(Tool("Notebook", "orders"), shop._answer)
    with pytest.raises(errors.ToolNotFound, match=r"Cannot call Sales\.orders"):
        await shop.run(operation(id), session=stranger)
    shop.registry.share(shop.notebook, "nobody")
    with pytest.raises(errors.ToolNotFound, match=r"Cannot call Sales\.orders"):
        await shop.run(operation(id))
    assert shop.calls == calls


async def test_object_of_a_kernel_that_was_restarted_is_refused_with_what_to_do() -> None:
    shop = Shop()
    id = await shop.handed()
    shop.registry.close(shop.notebook)
    with pytest.raises(errors.ToolNotFound, match=r"Cannot call Sales\.orders"):
        await shop.run(operation(id))
    shop.notebook = shop.registry.open("k1")
    shop.start()
    with pytest.raises(errors.InvalidParams, match="its notebook does not hold it, or no longer; call the tool"):
        await shop.run(operation(id))
    assert await shop.run(operation(await shop.handed())) == [3]


async def test_object_that_is_forgotten_while_an_operation_runs_ends_with_that_operation() -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def items() -> AsyncIterator[int]:
        reached.set()
        await go_on.wait()
        yield 7

    shop = Shop(items(), "items")
    watched = weakref.ref(shop.given)
    id = await shop.handed()
    shop.given = None
    taking = asyncio.create_task(shop.run(operation(id, "take", count=1)))
    async with asyncio.timeout(SOON):
        await reached.wait()
    assert shop.kernel.drop(id) and len(shop.kernel.guests) == 0
    go_on.set()
    assert await taking == [{"items": [7], "done": False}]
    with pytest.raises(errors.InvalidParams, match="its notebook does not hold it, or no longer"):
        await shop.run(operation(id, "take", count=1))
    del taking
    gc.collect()
    assert watched() is None


async def test_query_whose_program_is_stopped_ends_and_leaves_nothing() -> None:
    pytest.importorskip("duckdb")
    from pctx_jupyter.handles import queries

    shop = Shop()
    id = await shop.handed()
    endless = "select levenshtein(repeat('a', 10000000), repeat('b', 10000000))"
    asking = asyncio.create_task(shop.run(operation(id, "sql", query=endless, frames={})))
    async with asyncio.timeout(SOON):
        while not queries._running.lock.locked():
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait([asking])
        while queries._running.lock.locked():
            await asyncio.sleep(0.01)
    assert [one.id for one in shop.kernel.guests] == [id]
    assert await shop.run(operation(id)) == [3]
