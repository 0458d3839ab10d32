"""Frames of a real kernel: what a program asks of a table of a million rows, beside the same through rows as JSON."""

from __future__ import annotations

import asyncio
from statistics import median

from .homes import Kernel, running_kernel
from .kernel import printed
from .measure import Row

ROUNDS = 60
"""Programs without handles in each of two kernels, in turns."""

TOOLS = """
import numpy as np
import pandas as pd
from pctx_jupyter import tool

random = np.random.default_rng(0)
columns = {f"c{n}": random.random(1_000_000) for n in range(8)}
big = pd.DataFrame({"id": np.arange(1_000_000), "status": random.choice(["open", "done"], 1_000_000), **columns})
part = big[:100_000]

@tool(handle=True)
def table() -> pd.DataFrame:
    return big

@tool
def rows() -> pd.DataFrame:
    return part

"""

DOUBLE = """
import time
from pctx_jupyter import tool

@tool
def double(n: int) -> int:
    return 2 * n
"""

TIMED = """%%pctx --no-check -q
{before}
const start = performance.now();
{work}
console.log(performance.now() - start);
"""


def timed(work: str, before: str = "const frame = await Notebook.table();") -> str:
    """A cell that prints how long some work takes."""
    return TIMED.format(before=before, work=work)


SUM = 'await frame.filter((r) => r.c0.gt({limit})).agg({{ c1: "sum" }});'
SUM_OF_ROWS = "(await Notebook.rows()).filter((r) => r.c0 > 0.5).reduce((sum, r) => sum + r.c1, 0);"
SPENT = "print(time.process_time())"
CALLS = "for (let n = 0; n < 100; n++) await {};"


async def spent_ms(kernel: Kernel) -> float:
    """Milliseconds of processor time of a kernel for a program with 100 tool calls and no handle."""
    await asyncio.sleep(0.08)
    start = float(await kernel.run(SPENT))
    await kernel.run("%%pctx --no-check -q\n" + CALLS.format("Notebook.double({ n })"))
    return 1000 * (float(await kernel.run(SPENT)) - start)


async def without_handles() -> Row:
    """What a notebook that has used handles adds to a program without them, to one where there were none."""
    async with running_kernel() as used, running_kernel() as unused:
        for kernel in (used, unused):
            await kernel.run(DOUBLE)
            await kernel.run("%%pctx --no-check\n1+1")
        await used.run(TOOLS)
        await used.run("%%pctx --no-check -q\nawait (await Notebook.table()).count()")
        for kernel in (used, unused):
            await spent_ms(kernel)
        took = [(await spent_ms(used), await spent_ms(unused)) for _ in range(ROUNDS)]
    base = median(without for _, without in took)
    more = median(one - other for one, other in took)
    return Row("frame: what handles add to a program without", 100 * more / base, 1, base, "ms of processor time", "%")


async def rows() -> list[Row]:
    without = await without_handles()
    async with running_kernel() as kernel:
        await kernel.run(DOUBLE)
        await kernel.run(TOOLS)
        await kernel.run("%%pctx --no-check\n1+1")
        by_rows = await printed(kernel, timed(SUM_OF_ROWS, ""), runs=5)
        total = await printed(kernel, timed(SUM.format(limit=0.5)))
        column = await printed(kernel, timed('await frame.column("c1");'))
        calls = await printed(kernel, timed(CALLS.format("Notebook.double({ n })")))
        handles = await printed(kernel, timed(CALLS.format("frame.count()")))
    return [
        Row("frame: filtered sum of 1,000,000 rows", total, 15, by_rows, "100,000 rows as JSON"),
        Row("frame: a column of 1,000,000 numbers", column, 25),
        Row("frame: 100 operations in sequence", handles, 1.3 * calls, calls, "100 tool calls"),
        without,
    ]
