"""What remains after much work, and what one hostile client costs all others.

``python -m benchmarks.soak [EXECUTIONS] [SESSIONS]`` prints three tables:

- many executions, one in ten with its sandbox killed: descriptors, tasks, processes, temporary files and memory;
- many idle sessions of connected clients: memory each, and processor time;
- one client that floods a server, while another runs `1+1` and a probe asks for the server's health.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil
from msgspec import Raw
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient
from pctx_jupyter.engine import open_engine
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools.catalog import Call, Tool
from tests.server.process import ServerProcess, server_process
from tests.upstream.conftest import peer

KILLED = 0.1
"""The part of executions whose sandbox is killed."""
AT_ONCE = 8
WARM_UP = 300
"""Executions before the first count: by then histories are full and caches warm."""
SETTLE_S = 30.0
"""Seconds that processes have to end in."""
SAME = 4
"""Counts in a row that have to be the same: the system reports the end of a process a moment after it."""
IDLE_S = 20.0
"""Seconds over which the processor time of idle sessions is measured."""
HOSTILE_S = 15.0
"""Seconds for which a hostile client is watched, at most."""
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
                        lent = list(engine._pool._lent)
                        with suppress(ProcessLookupError):
                            os.kill(chance.choice(lent).pid, signal.SIGKILL)
                    await asyncio.sleep(0)
                    return Raw(b"1")

                session.register(Tool("Soak", "call"), tool)
                places = asyncio.Semaphore(AT_ONCE)

                async def one() -> None:
                    async with places:
                        kill["next"] = kill["next"] or chance.random() < KILLED
                        try:
                            result = await session.execute("await Soak.call() + await Soak.call()")
                        except (errors.ExecutionError, errors.SandboxUnavailable):
                            ends["killed"] += 1
                        else:
                            assert bytes(result.value) == b"2", "a call returned what belongs to another"
                            ends["returned"] += 1

                async def some(number: int) -> Held:
                    await asyncio.gather(*(one() for _ in range(number)))
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
                    url, additional_headers=server.headers, proxy=None, compression=None, open_timeout=60
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


class Hostile:
    """A client without manners: sends frames, and reads what comes only to count it."""

    def __init__(self, server: ServerProcess, connection: Any) -> None:
        self.server, self.connection = server, connection
        self.answers = 0
        self._last = 0

    async def send(self, method: str, params: object) -> None:
        self._last += 1
        await self.raw(json.dumps({"jsonrpc": "2.0", "id": self._last, "method": method, "params": params}))

    async def raw(self, frame: str) -> None:
        await self.connection.send(frame, text=True)

    async def read(self) -> None:
        async for _ in self.connection:
            self.answers += 1


async def quiet(client: Hostile) -> None:
    await asyncio.sleep(3)


async def floods_programs(client: Hostile) -> None:
    for _ in range(10_000):
        await client.send("execute_code", {"code": "1 + 1"})


async def registers_tools(client: Hostile) -> None:
    for n in range(100_000):
        await client.send("register_tool", {"namespace": f"n{n % 100}", "name": f"t{n}"})


async def sends_a_schema(client: Hostile) -> None:
    properties = {f"p{n}": {"type": "string", "description": "x" * 180} for n in range(100_000)}
    schema = {"type": "object", "properties": properties}
    await client.send("register_tool", {"namespace": "big", "name": "schema", "input_schema": schema})


async def nests(client: Hostile) -> None:
    for _ in range(20):
        await client.raw('{"jsonrpc":"2.0","id":1,"method":"x","params":' + "[" * 100_000 + "]" * 100_000 + "}")


async def sends_large_frames(client: Hostile) -> None:
    for megabytes in (60, 60, 120):
        with suppress(ConnectionClosed):
            await client.send("execute_code", {"code": "x" * (megabytes << 20)})


async def bombs_the_checker(client: Hostile) -> None:
    bomb = "type A<N extends number, T extends unknown[] = []> = T['length'] extends N ? T : A<N, [...T, N]>;\n"
    for n in range(20):
        union = " | ".join(f"'{n}x{i}'" for i in range(60))
        code = f"{bomb} type B = {union}; type C = `${{B}}${{B}}${{B}}`; const x: C = 1 as any; const y: A<900> = x; y"
        await client.send("execute_code", {"code": code})


async def never_reads(client: Hostile) -> None:
    client.connection.transport.pause_reading()
    code = "const line = 'x'.repeat(100_000); for (let i = 0; i < 500; i++) console.log(line)"
    await client.send("execute_code", {"code": code, "limits": {"output_bytes": 60_000_000}})
    await client.send("execute_code", {"code": code})


async def brings_an_upstream(client: Hostile) -> None:
    body = json.dumps({"server": peer("many"), "persist": False}).encode()
    request = urllib.request.Request(f"{client.server.url}pctx/api/upstreams", data=body, headers=client.server.headers)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    await asyncio.to_thread(direct.open, request)
    await asyncio.sleep(5)


HOSTILE: dict[str, Callable[[Hostile], Awaitable[None]]] = {
    "nothing: the quiet baseline": quiet,
    "queues 10,000 programs": floods_programs,
    "registers 100,000 tools": registers_tools,
    "sends a schema of 20 MB": sends_a_schema,
    "sends JSON that is 100,000 deep": nests,
    "sends frames of 60 and 120 MB": sends_large_frames,
    "sends type-checker bombs": bombs_the_checker,
    "never reads while a program prints": never_reads,
    "brings a server with 10,000 tools": brings_an_upstream,
}


@asynccontextmanager
async def hostile(server: ServerProcess) -> AsyncIterator[Hostile]:
    url = f"{server.url.replace('http', 'ws', 1)}local-tools"
    async with connect(
        url, additional_headers=server.headers, proxy=None, compression=None, max_size=None, write_limit=1 << 20
    ) as it:
        client = Hostile(server, it)
        reader = asyncio.create_task(client.read())
        try:
            yield client
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await reader
            it.transport.abort()


async def lag(server: ServerProcess, act: Callable[[Hostile], Awaitable[None]], within_s: float) -> dict[str, float]:
    """Have one client do something; returns what others notice, in milliseconds.

    A probe asks for the server's health all the time, from a thread: `p99` and `max` are how long it takes. `others` is
    the longest that another client's `1+1` took, and `failed` how many of those failed.
    """
    probes: list[float] = []
    others: list[float] = []
    failed, is_over = 0, asyncio.Event()
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(f"{server.url}pctx/health", headers=server.headers)

    def probe() -> float:
        start = time.perf_counter()
        with direct.open(request, timeout=60) as answer:
            answer.read()
        return 1000 * (time.perf_counter() - start)

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
        tasks = [asyncio.create_task(probing()), asyncio.create_task(executing(client))]
        async with hostile(server) as one:
            with suppress(TimeoutError, ConnectionClosed):
                async with asyncio.timeout(within_s):
                    await act(one)
                    await asyncio.sleep(min(2.0, within_s / 2))
        is_over.set()
        await asyncio.wait(tasks)
        for task in tasks:
            task.result()
    probes.sort()
    return {
        "p99": probes[int(0.99 * (len(probes) - 1))],
        "max": probes[-1],
        "others": max(others),
        "failed": failed,
    }


async def main(total: int = 10_000, idle: int = 5_000) -> None:
    """Print the tables."""
    before, after, ends = await executions(total)
    print(f"{total:,} executions, {ends['killed']:,} with their sandbox killed")
    for name in ("descriptors", "tasks", "processes", "files"):
        print(f"  {name:<12} {getattr(after, name) - getattr(before, name):+d}  (goal: +0)")
    print(
        f"  {'memory':<12} {(after.resident - before.resident) / total / 1000:+.2f} kB a run  (goal: ≤ 1)", flush=True
    )
    memory, cpu = await sessions(idle)
    print(f"{idle:,} idle sessions: {memory:.1f} kB each (goal: ≤ 40), {cpu:.1f} % of a core (goal: ≤ 2)", flush=True)
    print(f"{'what one client does':<40} {'health p99':>10} {'max, ms':>9} {'others 1+1':>11} {'failed':>7}")
    for name, act in HOSTILE.items():
        with server_process() as server:
            found = await lag(server, act, HOSTILE_S)
        figures = f"{found['p99']:10.0f} {found['max']:9.0f} {found['others']:11.0f} {found['failed']:7.0f}"
        print(f"{name:<40} {figures}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
