"""What a bad network does to calls: they pass a proxy that delays, splits, cuts and half-opens connections.

``python -m benchmarks.cuts [CALLS] [SEEDS]`` prints one table with a line for each door: a client's WebSocket, the Unix
socket of kernels, MCP over HTTP, and a sandbox host. Programs call one tool that counts; each call has a number.

A connection that is half open passes nothing on in one direction. Pings notice that, and the end that notices it logs
that it has dropped the connection: there is one such line, or two, for each that the table counts.

A call is lost if its program never ends, crossed if it returns what belongs to another, and doubled if the tool ran
twice for it. A program that returned must have had all its effects.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient, pipe
from pctx_jupyter.engine import Engine, open_engine
from pctx_jupyter.hosts.tokens import TOKEN_VARIABLE, mint_token
from pctx_jupyter.rpc.channel import Channel, OnNotification, Serve
from pctx_jupyter.rpc.pipe import Pipe
from pctx_jupyter.rpc.room import UNREAD_BYTES
from pctx_jupyter.settings import Settings
from tests.server.process import ServerProcess

DOORS = ("websocket", "pipe", "mcp", "host")

CALLS_A_PROGRAM = 50
"""Calls that one program makes, at most; a twentieth of all, where that is less."""
AT_ONCE = 4
"""Programs at the same time."""
LIMIT_S = 120.0
"""Seconds after which a program counts as lost. Pings notice a half-open connection after 10."""
HTTP_S = 10.0
"""Seconds an agent waits for an answer over HTTP, which has no pings."""

DELAYED, SPLIT, CUT, HALF_OPEN = 0.05, 0.3, 0.003, 0.0002
"""How often a piece of data is delayed, split, lost with its connection, or the last that passes in its direction."""


@dataclass(slots=True)
class Tally:
    """What came of the calls of one door."""

    calls: int = 0
    done: int = 0
    failed: int = 0
    cuts: int = 0
    half_open: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    crossed: list[str] = field(default_factory=list)

    def note(self, network: BadNetwork) -> None:
        """Count what a network did to connections."""
        self.cuts += network.cuts
        self.half_open += network.half_open

    def row(self, name: str) -> str:
        wrong = (len(self.lost), len(self.doubled), len(self.crossed))
        numbers = (self.calls, self.done, self.failed, self.cuts, self.half_open, *wrong)
        return f"{name:<12}" + "".join(f"{number:>10,}" for number in numbers)


COLUMNS = ("calls", "returned", "failed", "cuts", "half-open", "lost", "doubled", "crossed")
HEAD = f"{'door':<12}" + "".join(f"{name:>10}" for name in COLUMNS)


class BadNetwork:
    """Passes bytes between clients and a server, badly.

    Args:
        reach: Opens a connection to the server.
        chance: Decides what goes wrong.
        rate: How much more often that is.
    """

    def __init__(
        self,
        reach: Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]],
        chance: random.Random,
        rate: float = 1.0,
    ) -> None:
        self._reach, self._chance, self._rate = reach, chance, rate
        self.is_bad = False
        self.cuts = self.half_open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on one connection, until either end closes it or it is cut."""
        try:
            far_reader, far_writer = await self._reach()
        except OSError:
            writer.close()
            return
        writers = (writer, far_writer)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far_writer, writers))
                both.create_task(self._pump(far_reader, writer, writers))
        finally:
            for one in writers:
                one.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, both: tuple[asyncio.StreamWriter, ...]
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                lot = self._chance.random() / self._rate if self.is_bad else 1.0
                if lot < HALF_OPEN:
                    self.half_open += 1
                    while await reader.read(1 << 16):  # read, and pass on nothing any more
                        pass
                    break
                if lot < CUT:
                    self.cuts += 1
                    writer.write(data[: self._chance.randrange(len(data))])
                    for one in both:
                        one.transport.abort()
                    return
                if lot < DELAYED:
                    await asyncio.sleep(self._chance.uniform(0, 0.02))
                if lot < SPLIT:
                    middle = self._chance.randrange(len(data))
                    writer.write(data[:middle])
                    await writer.drain()
                    await asyncio.sleep(0)
                    data = data[middle:]
                writer.write(data)
                await writer.drain()
        with suppress(OSError):
            writer.close()


class Counter:
    """The tool: counts how often it ran, for each number."""

    def __init__(self) -> None:
        self.ran: dict[int, int] = {}

    def __call__(self, arguments: dict[str, Any]) -> int:
        n: int = arguments["n"]
        self.ran[n] = self.ran.get(n, 0) + 1
        return n


async def run(
    execute: Callable[[str], Awaitable[Any]], counter: Counter, calls: int, tally: Tally, *, call: str
) -> None:
    """Make so many calls, some programs at a time, and note what came of them."""
    places, each = asyncio.Semaphore(AT_ONCE), min(CALLS_A_PROGRAM, calls // 20)

    async def program(first: int) -> None:
        numbers = range(first, first + each)
        code = f"const all = []; for (let n = {first}; n < {numbers.stop}; n++) all.push({call}); all"
        tally.calls += each
        async with places:
            try:
                async with asyncio.timeout(LIMIT_S):
                    value = await execute(code)
            except TimeoutError:
                tally.lost.append(f"the program of {first} has not ended")
                return
            except (errors.PctxError, httpx2.HTTPError):
                tally.failed += each
                return
        tally.done += each
        if value != list(numbers):
            tally.crossed.append(f"the program of {first} returned {value}")
        tally.lost += [f"{n} returned and did not run" for n in numbers if n not in counter.ran]

    await asyncio.gather(*(program(first) for first in range(0, calls, each)))
    tally.doubled += [f"{n} ran {times} times" for n, times in counter.ran.items() if times > 1]


@asynccontextmanager
async def bad_tcp(port: int, chance: random.Random, rate: float = 1.0) -> AsyncIterator[tuple[int, BadNetwork]]:
    """A bad network before a port of this machine; yields the port to use in its place."""
    network = BadNetwork(lambda: asyncio.open_connection("127.0.0.1", port), chance, rate)
    server = await asyncio.start_server(network.serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], network
    finally:
        network.is_bad = False
        server.close()


async def through_websocket(server: ServerProcess, calls: int, seed: int, tally: Tally) -> None:
    counter = Counter()
    async with bad_tcp(server.port, random.Random(seed)) as (port, network):
        url = f"ws://127.0.0.1:{port}/some/base/local-tools"
        async with PctxClient(url, headers=server.headers, patience_s=LIMIT_S) as client:
            await client.register_tool("Here", "count", counter)
            network.is_bad = True

            async def execute(code: str) -> Any:
                return (await client.execute_code(code, typecheck=False))["value"]

            await run(execute, counter, calls, tally, call="await Here.count({ n })")
            network.is_bad = False
        tally.note(network)


COUNTING = """
import json, sys

TOOL = {"name": "count", "inputSchema": {"type": "object", "properties": {"n": {"type": "number"}}}}

for line in sys.stdin:
    message = json.loads(line)
    match message.get("method"):
        case "initialize":
            version = message["params"]["protocolVersion"]
            result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "c"}}
            result["serverInfo"]["version"] = "1"
        case "tools/list":
            result = {"tools": [TOOL]}
        case "tools/call":
            n = message["params"]["arguments"]["n"]
            with open(sys.argv[1], "a") as file:
                file.write(f"{n}\\n")
            result = {"content": [{"type": "text", "text": str(n)}]}
        case _:
            result = {}
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""
"""An upstream server whose tool writes down each number it gets."""


async def through_mcp(server: ServerProcess, calls: int, seed: int, tally: Tally) -> None:
    """An agent's programs call the tool of an upstream server; the network is bad between the agent and the server."""
    counter, ran = Counter(), server.folder / "ran"
    ran.unlink(missing_ok=True)
    async with (
        bad_tcp(server.port, random.Random(seed), rate=20) as (port, network),
        httpx2.AsyncClient(headers=server.headers, trust_env=False, timeout=HTTP_S) as http,
    ):
        network.is_bad = True
        number = 0

        async def execute(code: str) -> Any:
            nonlocal number
            number += 1
            id = number
            params = {"name": "execute", "arguments": {"code": code}}
            body = {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}
            answer = (await http.post(f"http://127.0.0.1:{port}/some/base/mcp", json=body)).json()
            if answer["id"] != id:
                return f"the answer to {answer['id']}"
            result = answer["result"]
            said = {"success": False} if result.get("isError") else json.loads(result["content"][0]["text"])
            if not said["success"]:
                raise errors.PctxError(str(said))
            for n in said["output"]:
                counter.ran.setdefault(n, 0)
            return said["output"]

        await run(execute, counter, calls, tally, call="Number(await Counting.count({ n }))")
        network.is_bad = False
        tally.note(network)
    async with asyncio.timeout(LIMIT_S):
        while (await asyncio.to_thread(server.ask, "GET", "pctx/api/status"))["executions"]:
            await asyncio.sleep(0.1)  # what nobody waits for any more
    numbers = [int(line) for line in ran.read_text().split()]
    tally.doubled += [f"{n} ran {numbers.count(n)} times" for n in sorted(set(numbers)) if numbers.count(n) > 1]
    tally.lost += [f"{n} returned and did not run" for n in sorted(counter.ran.keys() - set(numbers))]


@asynccontextmanager
async def pipe_server(engine: Engine, path: str) -> AsyncIterator[None]:
    """The server's end of a kernel's pipe, without what lets a kernel in."""

    def accept() -> Pipe:
        channel: list[Channel] = []
        greeted: list[bool] = []

        def receive(line: bytes) -> None:
            if greeted:
                channel[0].feed(line)
            else:
                greeted.append(True)  # the token
                channel.append(engine.open_door(end.send, room=end.room).channel)

        end = Pipe(
            "pipe",
            receive=receive,
            lost=lambda: channel[0].close() if channel else None,
            max_bytes=engine.settings.max_message_bytes,
            ping_s=engine.settings.ping_s,
            is_owed=lambda: bool(channel) and channel[0].is_owed,
            unread_bytes=engine.settings.max_message_bytes + UNREAD_BYTES,
        )
        return end

    server = await asyncio.get_running_loop().create_unix_server(accept, path)
    try:
        yield
    finally:
        server.close()


async def through_pipe(calls: int, seed: int, tally: Tally) -> None:
    counter = Counter()
    with tempfile.TemporaryDirectory() as folder:
        near, far = str(Path(folder) / "near"), str(Path(folder) / "far")
        async with open_engine(Settings(typecheck=False, ping_s=2)) as engine, pipe_server(engine, far):
            network = BadNetwork(lambda: asyncio.open_unix_connection(far), random.Random(seed))
            server = await asyncio.start_unix_server(network.serve, near)

            async def connect(serve: Serve, on_notification: OnNotification) -> Channel:
                return await pipe.connect(near, "token", serve, on_notification, 64 << 20)

            async with PctxClient(connect=connect, patience_s=LIMIT_S) as client:
                await client.register_tool("Here", "count", counter)
                network.is_bad = True

                async def execute(code: str) -> Any:
                    return (await client.execute_code(code))["value"]

                await run(execute, counter, calls, tally, call="await Here.count({ n })")
                network.is_bad = False
            server.close()
            tally.note(network)


async def through_host(server: ServerProcess, calls: int, seed: int, tally: Tally) -> None:
    """The network is bad between the server and the sandbox host that runs its programs."""
    counter = Counter()
    token = mint_token(server.folder / "host-token")
    url = server.url.replace("http:", "ws:") + "local-tools"
    async with bad_tcp(server.port, random.Random(seed)) as (port, network):
        host = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pctx_jupyter", "sandbox-host", "--url", f"http://127.0.0.1:{port}/some/base/"),
            *("--sandboxes", str(AT_ONCE)),
            env=os.environ | {TOKEN_VARIABLE: token},
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with PctxClient(url, headers=server.headers, patience_s=LIMIT_S) as client:
                await client.register_tool("Here", "count", counter)

                async def execute(code: str) -> Any:
                    return (await client.execute_code(code, typecheck=False))["value"]

                await execute("1")  # the host has connected
                network.is_bad = True
                await run(execute, counter, calls, tally, call="await Here.count({ n })")
                network.is_bad = False
        finally:
            host.kill()
            await host.wait()
        tally.note(network)


@contextmanager
def running(folder: Path, *more: str) -> Iterator[ServerProcess]:
    """A server with the counting upstream server, and more options."""
    (folder / "counting.py").write_text(COUNTING)
    entry = {"name": "counting", "command": sys.executable, "args": [str(folder / "counting.py"), str(folder / "ran")]}
    (folder / "pctx.json").write_text(json.dumps({"servers": [entry]}))
    (folder / "config").mkdir()
    options = "c.Pctx.typecheck = False\nc.Pctx.policy = []\nc.Pctx.trust_folder = True\n"
    (folder / "config" / "jupyter_server_config.py").write_text(options)
    server = ServerProcess(folder, *more)
    try:
        while (server.ask("GET", "pctx/api/status"))["upstreams"].get("counting") != "ready":
            time.sleep(0.1)
        yield server
    finally:
        server.stop()


async def measure(door: str, calls: int, seeds: int) -> Tally:
    """Make so many calls through a door, for each seed."""
    tally = Tally()
    if door == "pipe":
        for seed in range(seeds):
            await through_pipe(calls, seed, tally)
        return tally
    through = {"websocket": through_websocket, "mcp": through_mcp, "host": through_host}[door]
    with tempfile.TemporaryDirectory() as folder:
        on_host = ["--Pctx.sandboxes=hosts", f"--Pctx.host_token_file={folder}/host-token"] if door == "host" else []
        with running(Path(folder), *on_host) as server:
            for seed in range(seeds):
                await through(server, calls, seed, tally)
    return tally


async def main(calls: int = 5_000, seeds: int = 20) -> None:
    """Print the table."""
    print(HEAD)
    for door in DOORS:
        tally = await measure(door, calls, seeds)
        print(tally.row(door), flush=True)
        sys.stderr.writelines(f"{door}: {what}\n" for what in [*tally.lost, *tally.doubled, *tally.crossed])


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
