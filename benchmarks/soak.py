"""What remains after much work, and what one hostile client costs all others.

``python -m benchmarks.soak [EXECUTIONS] [SESSIONS]`` prints four tables:

- many executions, one in ten with its sandbox killed: descriptors, tasks, processes, temporary files and memory;
- as many cells of a kernel that work with frames by handle: frames, handles and memory that are left;
- many idle sessions of connected clients: memory each, and processor time;
- one client that floods a server, while another runs `1+1` and a probe asks for the server's health.

``python -m benchmarks.soak --act TEXT`` prints of the last table only the rows whose name contains the text;
``--callbacks`` adds which callbacks of the server's loop the long turns ran.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from msgspec import Raw
from websockets.asyncio.client import connect

from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient
from pctx_jupyter.engine import open_engine
from pctx_jupyter.sandbox.pool import Pool
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.tool import Tool
from tests.server.process import ServerProcess, server_process

from .homes import running_kernel
from .hostile import ACTS
from .turns import CALLBACKS

KILLED = 0.1
"""The part of executions whose sandbox is killed."""
AT_ONCE = 8
WARM_UP = 1_000
"""Executions before the first count: by then histories are full, caches warm, and the allocator has its arenas."""
SETTLE_S = 30.0
"""Seconds that processes have to end in."""
SAME = 4
"""Counts in a row that have to be the same: the system reports the end of a process a moment after it."""
IDLE_S = 20.0
"""Seconds over which the processor time of idle sessions is measured."""
HOSTILE_S = 30.0
"""Seconds for which a hostile client is watched, at most."""
END_S = 30.0
"""Seconds for which a hostile client that has done its act may still clean up."""
PROBE_S = 0.02
"""Seconds between two probes of a server's health."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds."""

    descriptors: int
    tasks: int
    processes: int
    files: int
    resident: int


def held(folder: str) -> Held:
    """Count what this process holds, and the temporary files in a folder."""
    gc.collect()
    this = psutil.Process()
    files = sum(len(inside) for _, _, inside in os.walk(folder))
    return Held(
        this.num_fds(), len(asyncio.all_tasks()), len(this.children(recursive=True)), files, this.memory_info().rss
    )


async def executions(total: int, warm_up: int = WARM_UP, seed: int = 1) -> tuple[Held, Held, dict[str, int]]:
    """Run so many programs in an engine of this process, killing some sandboxes.

    Returns what this process held before and after, and how the programs ended.
    """
    chance, ends = random.Random(seed), {"returned": 0, "killed": 0}
    with tempfile.TemporaryDirectory() as folder:
        temporary, tempfile.tempdir = tempfile.tempdir, folder
        try:
            async with open_engine(Settings(typecheck=False, warm_sandboxes=0, max_history=10)) as engine:
                session = engine.registry.open()
                kill = {"next": False}

                async def tool(call: Call) -> Raw:
                    if kill["next"]:
                        kill["next"] = False
                        assert isinstance(engine._sandboxes, Pool)
                        lent = list(engine._sandboxes._lent)
                        with suppress(ProcessLookupError):
                            os.kill(chance.choice(lent).pid, signal.SIGKILL)
                    await asyncio.sleep(0)
                    return Raw(b"1")

                session.register(Tool("Soak", "call"), tool)

                async def one() -> None:
                    kill["next"] = kill["next"] or chance.random() < KILLED
                    try:
                        result = await session.execute("await Soak.call() + await Soak.call()")
                    except (errors.ExecutionError, errors.SandboxUnavailable):
                        ends["killed"] += 1
                    else:
                        assert bytes(result.value) == b"2", "a call returned what belongs to another"
                        ends["returned"] += 1

                async def some(number: int) -> Held:
                    left = iter(range(number))

                    async def worker() -> None:
                        for _ in left:
                            await one()

                    # A task for each of so many would be what grows.
                    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
                    kill["next"] = False
                    deadline, same = time.monotonic() + SETTLE_S, 0
                    while same < SAME and time.monotonic() < deadline:
                        before = held(folder)
                        status: Any = engine.status()["sandbox"]
                        if status["warm"]:  # one that was started for a program that found another
                            await one()
                        await asyncio.sleep(0.05)
                        is_idle = not (status["starting"] or status["running"] or status["warm"])
                        is_same = held(folder).descriptors == before.descriptors and before.processes <= 1
                        same = same + 1 if is_idle and is_same else 0
                    return held(folder)

                before = await some(warm_up)
                ends.update(returned=0, killed=0)
                return before, await some(total), ends
        finally:
            tempfile.tempdir = temporary


# frames by handle

FRAMES = """
import ctypes, gc, json, sys, weakref
from contextlib import suppress
import pandas as pd
import psutil
from IPython import get_ipython
from pctx_jupyter import tool
from pctx_jupyter.handles.table import Handle, Handles

class Watched(pd.DataFrame):
    "A frame of 400 kB that is counted as long as it exists."

alive = weakref.WeakValueDictionary()

@tool(handle=True)
def orders(n: int) -> pd.DataFrame:
    made = Watched({"id": range(n, n + 25_000), "amount": [float(n)] * 25_000})
    alive[n] = made
    return made

@tool
def height(frame: pd.DataFrame) -> int:
    return len(frame)

PROGRAM = '''
const frame = await Notebook.orders({ n });
const few = frame.filter((r) => r.id.lt(n + 10)).sortBy("amount");
[await few.count(), (await frame.head(2)).length, await Notebook.height({ frame })]
'''
EXPORTED = "export const kept = (await Notebook.orders({ n })).filter((r) => r.id.lt(n + 10)); await kept.count()"

def work(first, runs):
    global n
    run = get_ipython().run_cell_magic
    for n in range(first, first + runs):
        run("pctx", "-i n -q -o found --no-check --no-timeline", EXPORTED if n % 5 == 0 else PROGRAM)
        assert found == (10 if n % 5 == 0 else [10, 2, 25_000]), found
        if n % 10 == 0:
            get_ipython().run_line_magic("pctx", "forget kept")
    get_ipython().run_line_magic("pctx", "forget")

# Every program makes a few names that are interned and soon gone. At about the 3,500th, Python makes its table of
# interned strings twice as large, once: 1.9 MB, more than 1 % of this kernel. So it does it before the first count.
for n in range(200_000):
    sys.intern(f"name {n}")

def left():
    for _ in range(3):
        gc.collect()
    kinds = [type(one) for one in gc.get_objects()]
    with suppress(OSError, AttributeError):  # of another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what is free and not given back yet is no leak
    memory = psutil.Process().memory_info().rss
    print(json.dumps([len(alive), kinds.count(Handle), kinds.count(Handles), memory, sys.getallocatedblocks()]))
"""
"""What the kernel of a soak offers and runs. Each fifth program keeps a frame; half of these are forgotten at once."""
A_CELL = 200
"""Programs that one cell of the kernel runs: its front end waits for at most a minute."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a kernel still holds.

    Args:
        frames: Objects that tools returned by handle.
        handles, tables: Handles of them, and tables of these.
        resident: Bytes of memory.
        blocks: Blocks of memory that Python's objects take.
    """

    frames: int
    handles: int
    tables: int
    resident: int
    blocks: int


async def frames(total: int, warm_up: int = WARM_UP) -> tuple[Left, Left]:
    """Run so many cells that work with frames in a kernel; returns what it held before and after."""
    async with running_kernel() as kernel:
        await kernel.run(FRAMES)

        async def some(first: int, runs: int) -> Left:
            for start in range(first, first + runs, A_CELL):
                await kernel.run(f"work({start}, {min(A_CELL, first + runs - start)})")
            return Left(*json.loads((await kernel.run("left()")).splitlines()[-1]))

        return await some(0, warm_up), await some(warm_up, total)


# idle sessions


async def sessions(number: int) -> tuple[float, float]:
    """Connect so many clients that do nothing; returns kilobytes of the server for each, and percents of a core."""
    with server_process("--Pctx.warm_sandboxes=0") as server:
        process = psutil.Process(server.process.pid)
        before = process.memory_info().rss
        url = f"{server.url.replace('http', 'ws', 1)}local-tools"
        places = asyncio.Semaphore(50)

        async def one() -> Any:
            async with places:
                return await connect(
                    url,
                    additional_headers=server.headers,
                    proxy=None,
                    compression=None,
                    open_timeout=60,
                    ping_interval=None,
                )

        clients = await asyncio.gather(*(one() for _ in range(number)))
        await asyncio.sleep(2)
        memory = (process.memory_info().rss - before) / number / 1000
        start = sum(process.cpu_times()[:2])
        await asyncio.sleep(IDLE_S)
        cpu = (sum(process.cpu_times()[:2]) - start) / IDLE_S * 100
        await asyncio.gather(*(client.close() for client in clients))
        return memory, cpu


# hostile clients


@dataclass(frozen=True, slots=True)
class Noticed:
    """What others notice while one client does something.

    Attributes:
        p99_ms, max_ms: How long the answers to a health probe took.
        met_ms: Processor time of all turns of the server's loop that such an answer met, of 99 % of them. Unlike the
            other times, it is the same on a busy machine.
        turn_ms: Processor time of the longest turn of the server's loop.
        callbacks: What the long turns ran, as `benchmarks.turns` describes them.
        others_ms: The longest that another client's `1+1` took.
        failed: How many of those failed.
        refusal: What the hostile client was told.
        unexpected: What differs from the intention of its act: then the other figures are of something else.
        grown_mb: Megabytes by which the server has grown.
    """

    p99_ms: float
    max_ms: float
    met_ms: float
    turn_ms: float
    callbacks: list[dict[str, Any]]
    others_ms: float
    failed: int
    refusal: str
    unexpected: list[str]
    grown_mb: float


@contextmanager
def measured_server() -> Iterator[ServerProcess]:
    """A server that measures the turns of its loop."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), before]))
    try:
        with server_process("--ServerApp.jpserver_extensions=benchmarks.turns=True") as server:
            yield server
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


async def lag(server: ServerProcess, act: str, within_s: float) -> Noticed:
    """Have one client do something in a process of its own; returns what others notice.

    A probe asks for the server's health all the time, from a thread.
    """
    probes: list[tuple[float, float]] = []
    others: list[float] = []
    failed, is_over = 0, asyncio.Event()
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    process = psutil.Process(server.process.pid)

    def get(path: str) -> Any:
        with direct.open(urllib.request.Request(f"{server.url}{path}", headers=server.headers), timeout=60) as answer:
            return json.load(answer)

    def probe() -> tuple[float, float]:
        start = time.perf_counter()
        get("pctx/health")
        return start, time.perf_counter()

    async def probing() -> None:
        while not is_over.is_set():
            probes.append(await asyncio.to_thread(probe))
            await asyncio.sleep(PROBE_S)

    async def executing(client: PctxClient) -> None:
        nonlocal failed
        while not is_over.is_set():
            start = time.perf_counter()
            try:
                await client.execute_code("1+1")
            except errors.PctxError as error:
                failed += 1
                sys.stderr.write(f"others: {error.message}\n")
            others.append(1000 * (time.perf_counter() - start))
            await asyncio.sleep(PROBE_S)

    url = f"{server.url.replace('http', 'ws', 1)}local-tools"
    async with PctxClient(url, headers=server.headers) as client:
        await client.execute_code("1+1")
        before = process.memory_info().rss
        await asyncio.to_thread(get, "bench/turns")
        one = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.hostile", act, server.url, server.token, str(within_s)),
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
        )
        tasks = [asyncio.create_task(probing()), asyncio.create_task(executing(client))]
        written = b""
        try:
            async with asyncio.timeout(within_s + END_S):
                written, _ = await one.communicate()
        except TimeoutError:
            one.kill()
            await one.communicate()
        refusal, unexpected = json.loads(written or '["", ["it did not end"]]')
        grown = process.memory_info().rss - before
        is_over.set()
        await asyncio.wait(tasks)
        for task in tasks:
            task.result()
        turns = await asyncio.to_thread(get, "bench/turns")
    lasted = sorted(1000 * (end - start) for start, end in probes)
    return Noticed(
        p99_ms=_p99(lasted),
        max_ms=lasted[-1],
        met_ms=_p99(sorted(1000 * work for work in _work_met(probes, turns["turns"]))),
        turn_ms=turns["longest_ms"],
        callbacks=turns["callbacks"],
        others_ms=max(others),
        failed=failed,
        refusal=refusal,
        unexpected=unexpected,
        grown_mb=grown / 1e6,
    )


def _p99(values: list[float]) -> float:
    return values[int(0.99 * (len(values) - 1))]


def _work_met(probes: list[tuple[float, float]], turns: list[tuple[float, float, float]]) -> list[float]:
    """Return for each probe the processor time of the turns that it met. Both are in the order of time."""
    begins, ends = [begin for begin, _, _ in turns], [end for _, end, _ in turns]
    met = (turns[bisect_left(ends, start) : bisect_right(begins, end)] for start, end in probes)
    return [sum(taken_s for _, _, taken_s in some) for some in met]


HEAD = (
    f"{'what one client does':<42} {'health p99':>10} {'max, ms':>8} {'met':>5} {'turn':>6} {'others':>7} "
    f"{'failed':>6} {'MB':>6}"
)


async def hostile_clients(acts: Iterable[str] = tuple(ACTS)) -> None:
    """Print what each act of a hostile client costs others."""
    print(HEAD)
    for act in acts:
        with measured_server() as server:
            found = await lag(server, act, HOSTILE_S)
        figures = (
            f"{found.p99_ms:10.0f} {found.max_ms:8.0f} {found.met_ms:5.0f} {found.turn_ms:6.0f} "
            f"{found.others_ms:7.0f} {found.failed:6}"
        )
        print(f"{act:<42} {figures} {found.grown_mb:+6.0f}  {found.refusal[:150]}", flush=True)
        for text in found.unexpected:
            print(f"  not as intended: {text[:200]}")
        for one in found.callbacks:
            times = f"{one['turns']:5} turns, {one['longest_ms']:5.0f} ms at most, {one['ms']:7.0f} ms in all"
            print(f"  {one['what']:<70} {times}")


async def main(total: int = 10_000, idle: int = 5_000) -> None:
    """Print the tables."""
    before, after, ends = await executions(total)
    print(f"{total:,} executions, {ends['killed']:,} with their sandbox killed")
    for name in ("descriptors", "tasks", "processes", "files"):
        print(f"  {name:<12} {getattr(after, name) - getattr(before, name):+d}  (goal: +0)")
    print(
        f"  {'memory':<12} {(after.resident - before.resident) / total / 1000:+.2f} kB a run  (goal: ≤ 1)", flush=True
    )
    was, now = await frames(total)
    print(f"{total:,} cells of a kernel with frames by handle")
    for name in ("frames", "handles", "tables"):
        print(f"  {name:<12} {getattr(now, name) - getattr(was, name):+d}  (goal: +0)")
    percent = 100 * (now.resident - was.resident) / was.resident
    print(f"  {'memory':<12} {percent:+.2f} % of {was.resident / 1e6:.0f} MB  (goal: ≤ 1)")
    more = 100 * (now.blocks - was.blocks) / was.blocks
    print(f"  {'objects':<12} {more:+.2f} % of {was.blocks:,} blocks of memory  (goal: ≤ 1)", flush=True)
    memory, cpu = await sessions(idle)
    print(f"{idle:,} idle sessions: {memory:.1f} kB each (goal: ≤ 40), {cpu:.1f} % of a core (goal: ≤ 2)", flush=True)
    await hostile_clients()


def asked() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("executions", type=int, nargs="?", default=10_000)
    parser.add_argument("sessions", type=int, nargs="?", default=5_000)
    parser.add_argument("--act", action="append", help="print the rows of hostile clients whose name contains this")
    parser.add_argument("--callbacks", action="store_true", help="print what the long turns of the server's loop ran")
    return parser.parse_args()


if __name__ == "__main__":
    options = asked()
    if options.callbacks:
        os.environ[CALLBACKS] = "1"
    if options.act:
        asyncio.run(hostile_clients([act for act in ACTS if any(text in act for text in options.act)]))
    else:
        asyncio.run(main(options.executions, options.sessions))
