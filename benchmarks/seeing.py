"""What it costs to record programs: history, metrics, audit log and spans, all of them on, against all of them off.

Two engines of one process run `1+1` in turns. Processor time of this process counts, with that of the thread that
writes the history; so a busy machine changes little. What a program costs without them is the processor time of this
process and of all that it has started: the sandbox, which is started for a program and ends with it, what starts it,
and the type checker.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from statistics import median
from unittest import mock

import psutil
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.registry import CollectorRegistry

from pctx_jupyter.engine import Engine, open_engine
from pctx_jupyter.server import metrics
from pctx_jupyter.settings import Places, Settings

from .engine import until_warm
from .measure import Row

ROUNDS = 40
"""Rounds of `BATCH` programs on each engine."""
BATCH = 5
"""Programs of a round: the history is written for several at once, as on a busy server."""


async def cpu_ms(engine: Engine) -> tuple[float, float]:
    """Milliseconds of processor time of this process for one `1+1`: until the answer, and until its run is recorded."""
    session = next(iter(engine.registry))
    await until_warm(engine)
    start, until_answer = time.process_time(), 0.0
    for _ in range(BATCH):
        asked = time.process_time()
        await session.execute("1+1")
        until_answer += time.process_time() - asked
        await asyncio.sleep(0)
    if engine.history is not None:
        engine.history.wait()
    return 1000 * until_answer / BATCH, 1000 * (time.process_time() - start) / BATCH


def spent_s() -> float:
    """Seconds of processor time of this process and of all that it has started, whether it has ended or not."""
    total = 0.0
    for process in (own := psutil.Process(), *own.children(recursive=True)):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += (
                times.user + times.system + getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
            )
    return total


async def whole_ms(engine: Engine) -> float:
    """Milliseconds of processor time of one `1+1`, with its sandbox and its check."""
    await until_warm(engine)
    start = spent_s()
    for _ in range(ROUNDS):
        await cpu_ms(engine)
    await until_warm(engine)
    return 1000 * (spent_s() - start) / (ROUNDS * BATCH)


async def rows() -> list[Row]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(mock.patch.object(trace, "_TRACER_PROVIDER", provider))
        few = Settings(warm_sandboxes=BATCH, history=False, spans="off")
        off = await stack.enter_async_context(open_engine(few))
        all_on = Settings(warm_sandboxes=BATCH, audit="on", audit_file=str(folder / "audit.jsonl"))
        on = await stack.enter_async_context(open_engine(all_on, Places(data=str(folder))))
        stack.callback(metrics.expose(on, CollectorRegistry()))
        for engine in (off, on):
            engine.registry.open()
            await cpu_ms(engine)

        async def alone(engine: Engine) -> tuple[float, float]:
            """Measure an engine while the other one starts no sandboxes."""
            for one in (on, off):
                await until_warm(one)
            return await cpu_ms(engine)

        took = [(await alone(on), await alone(off)) for _ in range(ROUNDS)]
        base = await whole_ms(off)
        provider.shutdown()

    def more(of: int) -> float:
        return median(with_all[of] - without[of] for with_all, without in took)

    return [
        Row("recording all of a 1+1", 100 * more(1) / base, 3, base, "ms of processor time without", "%"),
        Row(
            "recording all of a 1+1, until the answer",
            100 * more(0) / base,
            3,
            base,
            "ms of processor time without",
            "%",
        ),
    ]
