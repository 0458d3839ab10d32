"""Calls of a tool that runs on a cluster of Dask, in a real kernel with workers of its own, against bare Dask."""

from __future__ import annotations

import json
from statistics import median

from .homes import running_kernel
from .measure import Row

SETUP = """
import distributed, time
from pctx_jupyter import tool
client = distributed.Client(distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None))

def add(n: int) -> int:
    return n + 1

tool(run_on=client)(add)

def bare() -> float:
    start = time.perf_counter()
    client.gather([client.submit(add, n, pure=False) for n in range(1_000)])
    return 1000 * (time.perf_counter() - start)
"""

AT_ONCE = """%%pctx --no-check
const start = performance.now();
await Promise.all(Array.from({ length: 1_000 }, (_, n) => Notebook.add({ n })));
console.log(performance.now() - start);
"""

RUNS = 7


async def rows() -> list[Row]:
    async with running_kernel() as kernel:
        await kernel.run(SETUP)
        await kernel.run(AT_ONCE)
        took = [
            (float(json.loads(await kernel.run(AT_ONCE))), float(await kernel.run("print(bare())")))
            for _ in range(RUNS)
        ]
    ours, bare = median(one for one, _ in took), median(other for _, other in took)
    return [Row("on a cluster of Dask: 1,000 tool calls at once", ours, 1.3 * bare, bare, "submit and gather of Dask")]
