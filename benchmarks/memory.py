"""What an idle server costs with us, against one without: private memory and CPU, sandboxes included."""

from __future__ import annotations

import asyncio

import psutil

from .homes import Server, running_server
from .measure import Row


def private_mb(server: Server) -> float:
    """Private megabytes of a server and all its processes."""
    root = psutil.Process(server.process.pid)
    return sum(process.memory_full_info().uss for process in [root, *root.children(recursive=True)]) / 2**20


def cpu_s(server: Server) -> float:
    """CPU seconds that a server and its processes have used."""
    root = psutil.Process(server.process.pid)
    return sum(sum(process.cpu_times()[:2]) for process in [root, *root.children(recursive=True)])


async def idle(*, with_pctx: bool) -> tuple[float, float]:
    """Private megabytes, and CPU milliseconds a second, of a server that nobody uses."""
    async with running_server(with_pctx=with_pctx) as server:
        await asyncio.sleep(3)
        before = cpu_s(server)
        await asyncio.sleep(10)
        return private_mb(server), 100 * (cpu_s(server) - before)


async def rows() -> list[Row]:
    mb, cpu = await idle(with_pctx=False)
    our_mb, our_cpu = await idle(with_pctx=True)
    return [
        Row("idle server with warm sandboxes: private memory added", our_mb - mb, 60, mb, "without us", "MB"),
        Row("idle server with warm sandboxes: CPU", our_cpu, cpu + 1, cpu, "without us", "ms/s"),
    ]
