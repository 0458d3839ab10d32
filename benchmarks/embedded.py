"""An engine in a program of its own: how long until the first checked result, and what its processes occupy then."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import psutil

from pctx_jupyter.sandbox.checker import TIDY_S

from .measure import Row

PROGRAM = """
import asyncio
from pctx_jupyter.embedded import open_client
from pctx_jupyter.settings import Settings

async def main():
    async with open_client(Settings(typecheck=True)) as client:
        await client.execute_code("1 + 1")
        print("checked", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""

SETTLE_S = 5.0
"""Seconds after which an idle checker has returned its memory, beyond those that it waits."""


@contextmanager
def engine() -> Iterator[psutil.Process]:
    """A program with an engine of its own, once it has its first result."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"checked\n"
            yield psutil.Process(process.pid)
        finally:
            process.kill()


def first_ms() -> float:
    """Milliseconds from the start of Python to the first checked result; that of several starts between."""
    took = []
    for _ in range(7):
        start = time.perf_counter()
        with engine():
            took.append(time.perf_counter() - start)
    return 1000 * median(took)


def occupied_mb() -> float:
    """Megabytes of an idle engine and its processes, each with its share of what several have in common (PSS)."""
    with engine() as root:
        time.sleep(TIDY_S + SETTLE_S)
        return sum(one.memory_full_info().pss for one in [root, *root.children(recursive=True)]) / 2**20


async def rows() -> list[Row]:
    return [
        Row("from the start of Python to the first checked result", first_ms(), 700),
        Row("memory of an idle engine after one check", occupied_mb(), 150, unit="MB"),
    ]
