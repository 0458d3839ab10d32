"""50,000 tools in 50 notebooks: how long the loop stands still, an agent's programs, and a new tool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any

from msgspec import Raw

from pctx_jupyter.engine import Engine, open_engine
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.tool import Tool

from .engine import until_warm
from .measure import Row, time_ms

NOTEBOOKS = 50
TOOLS = 1_000
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "amount": {"type": "number"}},
    "required": ["id"],
}


class Lag:
    """The longest time for which the loop stood still."""

    def __init__(self) -> None:
        self.most_ms = 0.0

    async def watch(self) -> None:
        while True:
            since = time.perf_counter()
            await asyncio.sleep(0.001)
            self.most_ms = max(self.most_ms, 1000 * (time.perf_counter() - since) - 1)


@contextmanager
def lag() -> Any:
    """Measure the loop's lag within a block."""
    found = Lag()
    task = asyncio.get_running_loop().create_task(found.watch())
    try:
        yield found
    finally:
        task.cancel()


async def serve(call: Call) -> Raw:
    return rpc.NULL


@asynccontextmanager
async def notebooks(number: int, tools: int) -> AsyncIterator[Engine]:
    """Open an engine whose agents see so many notebooks with so many tools each."""
    async with open_engine(Settings()) as engine:
        for at in range(number):
            session = engine.registry.open(f"kernel{at}")
            session.serve_others = serve
            engine.registry.name_kernel(f"kernel{at}", f"sales {at}")
            for n in range(tools):
                session.register(Tool("Notebook", f"load_{n}_of_{at}", "Loads.", SCHEMA, SCHEMA), serve)
                if not n % 100:
                    await asyncio.sleep(0)
        await engine.registry.agents().execute("1")
        yield engine


async def rows() -> list[Row]:
    numbers = count()

    async def agent_ms(engine: Engine) -> float:
        async def warm() -> None:
            await until_warm(engine)

        return await time_ms(lambda: engine.registry.agents().execute(f"1 + {next(numbers)}"), rest=warm)

    async with notebooks(1, 10) as engine:
        few = await agent_ms(engine)
    async with notebooks(NOTEBOOKS, TOOLS) as engine:
        agents = engine.registry.agents()
        with lag() as found:
            many = await agent_ms(engine)
            owner = next(iter(engine.registry))
            await agents.execute("await Sales0.load1Of0({ id: '1' })")
            took = []
            for n in range(5):
                await until_warm(engine)
                owner.register(Tool("Notebook", f"new_{n}", "Is new.", SCHEMA, SCHEMA), serve)
                since = time.perf_counter()
                await agents.execute(f"await Sales0.new{n}({{ id: '1' }})")
                took.append(1000 * (time.perf_counter() - since))
    return [
        Row("agent's 1+1, 50,000 tools in 50 notebooks", many, 1.5 * few, few, "with 10 tools"),
        Row("new tool among them, called by an agent", sorted(took)[2], 100),
        Row("longest time the loop stood still meanwhile", found.most_ms, 50),
    ]
