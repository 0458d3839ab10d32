"""The type check: a new program against 200 tools, an editor's questions, declarations, and the memory it takes."""

from __future__ import annotations

import asyncio
import time
from itertools import count

from pctx_jupyter.engine import open_engine
from pctx_jupyter.program.check import Checked, CheckJob
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.sandbox.checker import open_checker
from pctx_jupyter.settings import MIB, Settings
from pctx_jupyter.tools import typegen

from .catalog import PROGRAM, tools
from .engine import until_warm
from .measure import Row, time_ms


async def rows() -> list[Row]:
    catalog, numbers = tools(), count()
    start = time.perf_counter()
    declarations = typegen.declarations(catalog)
    uncached = 1000 * (time.perf_counter() - start)

    async def declared() -> None:
        typegen.declarations(catalog)

    found = [
        Row("declarations of 200 tools, uncached (once)", uncached, 60),
        Row("declarations of 200 tools, cached", await time_ms(declared), 0.1),
    ]

    def job() -> CheckJob:
        return CheckJob("bench", PROGRAM.replace("NUMBER", str(next(numbers))), declarations)

    async with open_checker(Settings()) as checker:
        start = time.perf_counter()
        checker.warm()
        verdict = await checker.check(job())
        first = 1000 * (time.perf_counter() - start)
        assert isinstance(verdict, Checked) and not verdict.diagnostics, verdict
        found.append(Row("first check after start, 200 tools", first, 700))
        await time_ms(lambda: checker.check(job()), runs=10)
        found.append(Row("check of a new 30-line program, 200 tools", await time_ms(lambda: checker.check(job())), 8))
        offset = PROGRAM.index("Orders.listOrders") + len("Orders.list")
        found.append(Row("completion, 200 tools", await time_ms(lambda: checker.complete(job(), offset)), 10))
        found.append(Row("hover, 200 tools", await time_ms(lambda: checker.hover(job(), offset)), 10))
        memory = checker.status()["memory_bytes"]
        assert isinstance(memory, int)
        found.append(Row("memory of the checker, 200 tools", memory / MIB, 180, unit="MB"))
    async with open_engine(Settings()) as engine:
        session = engine.registry.open()
        for tool in catalog[:5]:
            session.register(tool, lambda call: asyncio.sleep(0, rpc.NULL))
        await session.execute("1 + 1")

        async def warm() -> None:
            await until_warm(engine)

        found.append(
            Row("engine, warm: 1+1, checked and run", await time_ms(lambda: session.execute("1 + 1"), rest=warm), 8)
        )
    return found
