"""Tools of other MCP servers: calls from programs against the SDK's bare client, and what a server costs to connect."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from mcp import Client, StdioServerParameters

from pctx_jupyter.engine import open_engine
from pctx_jupyter.settings import Places, Settings

from .measure import RUNS, Row

PEER = str(Path(__file__).parent.parent / "tests" / "upstream" / "peer.py")

IN_SEQUENCE = """
const start = performance.now();
for (let n = 0; n < 100; n++) await Peer.echo({ text: "x" });
(performance.now() - start) / 100
"""

AT_ONCE = """
const start = performance.now();
await Promise.all(Array.from({ length: 100 }, () => Peer.echo({ text: "x" })));
performance.now() - start
"""


async def bare() -> tuple[float, float]:
    """Milliseconds of one call of 100 in sequence, and of 100 at once, by the SDK's client alone."""
    async with Client(StdioServerParameters(command=sys.executable, args=["-I", PEER])) as client:
        await client.list_tools()
        in_sequence, at_once = [], []
        for _ in range(RUNS):
            start = time.perf_counter()
            for _ in range(100):
                await client.call_tool("echo", {"text": "x"})
            in_sequence.append(10 * (time.perf_counter() - start))
            start = time.perf_counter()
            await asyncio.gather(*(client.call_tool("echo", {"text": "x"}) for _ in range(100)))
            at_once.append(1000 * (time.perf_counter() - start))
    return median(in_sequence), median(at_once)


async def rows() -> list[Row]:
    each, together = await bare()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pctx.json"
        entry = {"name": "peer", "command": sys.executable, "args": ["-I", PEER]}
        file.write_text(json.dumps({"servers": [entry]}))
        async with open_engine(Settings(typecheck=False), Places(upstreams=(str(file),))) as engine:
            start = time.perf_counter()
            assert engine.upstreams is not None
            await engine.upstreams.settle("Peer")
            connected = 1000 * (time.perf_counter() - start)
            session = engine.registry.open()

            async def printed(code: str) -> float:
                found = [float(bytes((await session.execute(code)).value)) for _ in range(RUNS)]
                return median(found)

            return [
                Row(
                    "an upstream call over stdio, each of 100 in turn",
                    await printed(IN_SEQUENCE),
                    each + 3,
                    each,
                    "SDK",
                ),
                Row("100 upstream calls over stdio at once", await printed(AT_ONCE), 3 * together, together, "SDK"),
                Row("from the engine's start to an upstream's tools, once", connected, 5000),
            ]
