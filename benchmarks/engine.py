"""The engine alone: a program, its tool calls, large values, many at once; against bare Deno doing the same."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import msgspec
from deno import find_deno_bin
from msgspec import Raw

from pctx_jupyter.client import PctxClient
from pctx_jupyter.embedded import open_client
from pctx_jupyter.engine import Engine, open_engine
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.sandbox import flags
from pctx_jupyter.session.session import Session
from pctx_jupyter.settings import Limits, Settings
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.tool import Tool

from .measure import Row, paired_ms, seconds

BARE = """
const chunk = new Uint8Array(1 << 16), send = (text) => Deno.stdout.writeSync(new TextEncoder().encode(text + "\\n"));
send("ready");
const n = await Deno.stdin.read(chunk);
const code = JSON.parse(new TextDecoder().decode(chunk.subarray(0, n)));
const program = await import(URL.createObjectURL(new Blob([code], { type: "application/typescript" })));
send(JSON.stringify(await program.run()));
"""
"""The least a warm process can do for a program: read it, import it, run it, answer."""

BARE_CALLS = """
const chunk = new Uint8Array(1 << 16), send = (text) => Deno.stdout.writeSync(new TextEncoder().encode(text + "\\n"));
send("ready");
const start = performance.now();
for (let n = 0; n < 100; n++) {
  send(JSON.stringify({ n }));
  JSON.parse(new TextDecoder().decode(chunk.subarray(0, await Deno.stdin.read(chunk))));
}
send((performance.now() - start) / 100);
"""
"""The least a call of Python can do: write a line, wait for one."""

BARE_CALL = "a line from bare Deno to Python and back"

MOST_EMBEDDED, MOST_AT_SERVER = 2.5, 4
"""How often as long as that a call of a tool may take: from an engine in the same process, and from one at a server."""

IN_SEQUENCE = """
const start = performance.now();
for (let n = 0; n < 100; n++) await Bench.double({ n });
(performance.now() - start) / 100
"""

RECORD = '{ id: i, title: "record " + i, text: "word ".repeat(40) }'
RECORDS_PER_MB = 4_250
"""Of texts: Python encodes and decodes them three to four times as fast as as many bytes of small values."""

ROW = '{ id: i, name: "name " + i, amount: i * 1.5, tags: ["a", "b"] }'
ROWS_PER_MB = 15_500
"""Of six small values each."""

BARE_VALUE = "bare Deno, its line decoded in Python"


class Bare:
    """Deno processes without our script, a protocol or limits.

    Attributes:
        sandbox: The command of a sandbox.
        command: The same, with another script.
    """

    def __init__(self, script: Path) -> None:
        self.sandbox = flags.command(os.path.realpath(find_deno_bin()), Limits())
        self.command = [*self.sandbox[:-1], str(script)]

    async def start(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self.command, stdin=pipe, stdout=pipe, env=flags.ENVIRONMENT, limit=1 << 26
        )
        assert process.stdout is not None
        await process.stdout.readline()
        return process

    async def ask(self, process: asyncio.subprocess.Process, code: str) -> bytes:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(code).encode() + b"\n")
        return await process.stdout.readline()


@asynccontextmanager
async def bare_deno(text: str = BARE) -> AsyncIterator[Bare]:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "bare.js"
        script.write_text(text)
        yield Bare(script)


async def bare_call_ms(runs: int = 30) -> float:
    """Milliseconds of a line from bare Deno to Python and back: the median of runs of 100."""
    found = []
    async with bare_deno(BARE_CALLS) as bare:
        for _ in range(runs):
            process = await bare.start()
            assert process.stdin is not None and process.stdout is not None
            for _ in range(100):
                asked = json.loads(await process.stdout.readline())
                process.stdin.write(json.dumps(2 * asked["n"]).encode())
            found.append(float(await process.stdout.readline()))
            await process.communicate()
    return median(found)


async def client_call_ms(client: PctxClient, runs: int = 30) -> float:
    """Milliseconds of a call of a client's function: the median of runs of 100 calls in sequence."""
    await client.register_tool("Bench", "double", lambda given: 2 * given["n"])
    found = []
    for _ in range(runs):
        await asyncio.sleep(0.08)  # another sandbox is warm then
        found.append((await client.execute_code(IN_SEQUENCE, typecheck=False))["value"])
    return median(found)


async def until_warm(engine: Engine) -> None:
    """Wait until the pool has all its warm sandboxes and nothing is starting."""
    while True:
        sandbox = engine.status()["sandbox"]
        assert isinstance(sandbox, dict)
        if sandbox["warm"] == engine.settings.warm_sandboxes and not sandbox["starting"]:
            break
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)


async def bare_rate(bare: Bare, total: int, program: str = "") -> float:
    """Processes started and ended per second, eight callers at a time.

    Args:
        bare: Starts them.
        total: How many.
        program: What each runs before it is ended; empty: it is ended at its first line.
    """

    async def one(place: asyncio.Semaphore) -> None:
        async with place:
            process = await bare.start()
            if program:
                await bare.ask(process, f"export const run = () => {program};")
            process.kill()
            await process.communicate()

    places, start = asyncio.Semaphore(8), time.perf_counter()
    await asyncio.gather(*(one(places) for _ in range(total)))
    return total / (time.perf_counter() - start)


async def rows() -> list[Row]:
    found: list[Row] = []
    async with bare_deno() as bare, open_engine(Settings(typecheck=False)) as engine:
        session = engine.registry.open()

        async def double(call: Call) -> Raw:
            return rpc.raw(1)

        session.register(Tool("Bench", "double"), double)

        async def warm() -> None:
            await until_warm(engine)

        async def run(program: str) -> float:
            await warm()
            return await seconds(session.execute(program))

        async def run_bare(program: str, *, decode: bool = False) -> float:
            process = await bare.start()
            await asyncio.sleep(0.03)
            start = time.perf_counter()
            line = await bare.ask(process, f"export const run = () => {program};")
            if decode:
                json.loads(line)
            took = time.perf_counter() - start
            process.kill()
            await process.communicate()
            return took

        ours, baseline = await paired_ms(lambda: run("1+1"), lambda: run_bare("1 + 1"))
        found.append(Row("engine, warm: 1+1", ours, 1.3 * baseline, baseline, "bare pre-warmed Deno"))

        async def inside(code: str) -> float:
            """Median of a duration that the program itself measures."""
            took = []
            for _ in range(30):
                await warm()
                took.append(msgspec.json.decode((await session.execute(code)).value, type=float))
            return sorted(took)[len(took) // 2]

        sequence = "for (let i = 0; i < 100; i++) await Bench.double({ i });"
        together = "await Promise.all(Array.from({ length: 100 }, (_, i) => Bench.double({ i })));"
        timed = "const start = performance.now(); {} performance.now() - start"
        ours, baseline = await inside(timed.format(sequence)) / 100, await bare_call_ms()
        work = "engine: a tool call, each of 100 in sequence"
        found.append(Row(work, ours, MOST_EMBEDDED * baseline, baseline, BARE_CALL))
        found.append(Row("engine: 100 tool calls at once", await inside(timed.format(together)), 60))

        # 15 and 350 ms where encoding and decoding takes 8 and 180: on another machine, as many times more or less.
        for megabytes, goal in ((1, 15 / 8), (16, 350 / 180)):
            program = f"Array.from({{ length: {megabytes * RECORDS_PER_MB} }}, (_, i) => ({RECORD}))"
            value = msgspec.json.decode((await session.execute(program)).value)

            async def there_and_back(value: object = value) -> float:
                start = time.perf_counter()
                json.loads(json.dumps(value))
                return time.perf_counter() - start

            ours, coding = await paired_ms(lambda program=program: run(program), there_and_back, runs=15)
            work = f"engine: a value of {megabytes} MB, texts"
            found.append(Row(work, ours, goal * coding, coding, "encode + decode in Python"))

            program = f"Array.from({{ length: {megabytes * ROWS_PER_MB} }}, (_, i) => ({ROW}))"
            ours, baseline = await paired_ms(
                lambda program=program: run(program), lambda program=program: run_bare(program, decode=True), runs=15
            )
            work = f"engine: a value of {megabytes} MB, small values"
            found.append(Row(work, ours, baseline, baseline, BARE_VALUE))

        starts = [(start_cpu_ms(bare.sandbox), start_cpu_ms(bare.command)) for _ in range(30)]
        ours, baseline = (median(took) for took in zip(*starts, strict=True))
        work = "engine: start of a sandbox, CPU time"
        found.append(Row(work, ours, 1.25 * baseline, baseline, "starting bare Deno"))

        rates = [
            (await rate(session, 40), await bare_rate(bare, 40), await bare_rate(bare, 40, "1 + 1")) for _ in range(5)
        ]
        ours, started, ran = (median(each) for each in zip(*rates, strict=True))
        work = "engine: executions per second, 8 at a time"
        for baseline, what in ((started, "starting bare Deno"), (ran, "bare Deno that runs the same program")):
            found.append(Row(work, ours, 0.85 * baseline, baseline, what, "/s", more_is_better=True))
    async with open_client(Settings(typecheck=False)) as client:
        ours, baseline = await client_call_ms(client), await bare_call_ms()
    work = "embedded client: a tool call, each of 100 in sequence"
    found.append(Row(work, ours, MOST_EMBEDDED * baseline, baseline, BARE_CALL))
    return found


def start_cpu_ms(command: list[str]) -> float:
    """Milliseconds of processor time from the start of a process to its end, which comes right after its first line."""
    pipe = subprocess.PIPE
    # Not as a context manager: that would reap the process, and take its times.
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=flags.ENVIRONMENT, cwd="/")
    assert process.stdin is not None and process.stdout is not None
    process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdin.close()
    process.stdout.close()
    return 1000 * (usage.ru_utime + usage.ru_stime)


async def rate(session: Session, total: int) -> float:
    """Executions of `1+1` per second, eight callers at a time."""

    async def one(place: asyncio.Semaphore) -> None:
        async with place:
            await session.execute("1+1")

    places, start = asyncio.Semaphore(8), time.perf_counter()
    await asyncio.gather(*(one(places) for _ in range(total)))
    return total / (time.perf_counter() - start)
