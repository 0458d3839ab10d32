"""Cells in a real kernel: a program against plain Python, and tool calls that run on its main thread."""

from __future__ import annotations

import asyncio
import json
from statistics import median

from .engine import BARE_CALL, MOST_AT_SERVER, MOST_EMBEDDED, bare_call_ms
from .homes import Kernel, running_kernel, running_server
from .measure import Row, time_ms

TOOLS = """
from pctx_jupyter import tool

@tool
def double(n: int) -> int:
    return 2 * n
"""

IN_SEQUENCE = """%%pctx --no-check
const start = performance.now();
for (let n = 0; n < 100; n++) await Notebook.double({ n });
console.log((performance.now() - start) / 100);
"""

AT_ONCE = """%%pctx --no-check
const start = performance.now();
await Promise.all(Array.from({ length: 100 }, (_, n) => Notebook.double({ n })));
console.log(performance.now() - start);
"""


async def printed(kernel: Kernel, cell: str, runs: int = 30) -> float:
    """The median of the number that a cell prints."""
    found = []
    for _ in range(runs):
        await asyncio.sleep(0.08)
        found.append(float(json.loads(await kernel.run(cell))))
    return median(found)


async def in_home(kernel: Kernel, home: str, most: float) -> list[Row]:
    async def pause() -> None:
        await asyncio.sleep(0.1)

    await kernel.run(TOOLS)
    await kernel.run("%%pctx --no-check\n1+1")
    plain = await time_ms(lambda: kernel.run("1+1"), rest=pause)
    cell = await time_ms(lambda: kernel.run("%%pctx --no-check\n1+1"), rest=pause)
    call, bare = await printed(kernel, IN_SEQUENCE), await bare_call_ms()
    return [
        Row(f"{home}: a %%pctx cell 1+1, unchecked", cell, plain + 4, plain, "a plain cell 1+1"),
        Row(f"{home}: a tool call, each of 100 in sequence", call, most * bare, bare, BARE_CALL),
        Row(f"{home}: 100 tool calls at once", await printed(kernel, AT_ONCE), 60),
    ]


async def rows() -> list[Row]:
    async with running_kernel() as kernel:
        found = await in_home(kernel, "embedded", MOST_EMBEDDED)
    async with running_server() as server, running_kernel(server) as kernel:
        found += await in_home(kernel, "server", MOST_AT_SERVER)
    return [
        *found,
        Row("%load_ext in a running kernel", await load_ms(LOAD), 300),
        Row("%load_ext and at once a first checked cell", await load_ms(LOAD, "%%pctx\n1+1", TAKEN), 600),
    ]


LOAD = "import time; start = time.perf_counter()\n%load_ext pctx_jupyter\nprint(1000 * (time.perf_counter() - start))"
TAKEN = "print(1000 * (time.perf_counter() - start))"


async def load_ms(*cells: str) -> float:
    """The median of the number that the last cell prints; they are the first ones of a kernel."""
    found = []
    for _ in range(5):
        async with running_kernel(load=False) as kernel:
            for cell in cells:
                said = await kernel.run(cell)
            found.append(float(said))
    return median(found)
