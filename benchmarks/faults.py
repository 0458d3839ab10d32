"""What faults do to requests: parts of a running server are killed or stopped while eight programs run.

``python -m benchmarks.faults [ROUNDS] [SEED]`` prints one table; ROUNDS are those for each part and signal. A round
sends eight programs through three doors: a client's WebSocket, an agent's, and MCP over HTTP. They call the client's
tool, a notebook's tool and an upstream server's tool. After a random wait, a part gets SIGKILL or SIGSTOP. Where
that part is a sandbox host, two hosts run all programs.

Each request must end once, with its own value or with an error, and new programs must run afterwards. When the server
has ended, none of its processes and sockets may be left.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import psutil

from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient
from pctx_jupyter.hosts.tokens import FILE, TOKEN_VARIABLE, mint_token, read_token
from tests.kernel.real_kernel import attached
from tests.server.process import ServerProcess
from tests.upstream.conftest import peer

PARTS = ("sandbox", "launcher", "checker", "kernel", "server", "upstream", "client", "host")
SIGNALS = (signal.SIGKILL, signal.SIGSTOP)

LIMIT_S = 60.0
"""Seconds after which a request counts as never answered. The longest limit that applies, of a check, is 20."""
RECOVER_S = 30.0
"""Seconds after which a server counts as not recovered."""
NEW = 4
"""New programs that have to run after a fault."""
STOPPED_S = 15.0
"""Seconds for which a server is stopped: a client's pings notice it after 10."""
LEFT_S = 2.0
"""Seconds after the server's end at which its processes and sockets are counted."""
HOSTS = 2
"""Sandbox hosts of a server whose part is a host; they run all of its programs."""
STRIKE_S = (0.05, 0.6)
"""Seconds from the requests to the signal, at least and at most."""

CONFIGURATION = """
c.Pctx.policy = []
c.Pctx.trust_folder = True
c.Pctx.timeout_s = 8.0
c.Pctx.max_call_s = 4.0
"""

ON_HOSTS = """
c.Pctx.sandboxes = "hosts"
c.Pctx.ping_s = 2.0
"""
"""More of it for a server with hosts. Pings, because a host that is stopped ends its programs when they do."""

NOTEBOOK = """
%load_ext pctx_jupyter
from pctx_jupyter import tool

@tool
def double(n: int) -> int:
    return 2 * n
"""

CLIENT = """
import asyncio, sys
from pctx_jupyter.client import PctxClient

async def main(url, token):
    async with PctxClient(url, headers={"Authorization": f"token {token}"}) as client:
        await client.register_tool("T", "hang", lambda _: asyncio.sleep(600))
        runs = [asyncio.create_task(client.execute_code("await T.hang()")) for _ in range(8)]
        print("running", flush=True)
        await asyncio.wait(runs)

asyncio.run(main(*sys.argv[1:]))
"""

REST = "await new Promise((done) => setTimeout(done, 600));"
"""Keeps a program running until the signal has come."""

FROM_CLIENT = (
    "let all = 0; for (let i = 0; i < 20; i++) all += await Here.echo({{ n: {n} }}) - {n}; {rest} all + {n}",
    "for (let i = 0; i < 10; i++) await Good.echo({{ text: '{n}' }}); {rest} await Good.echo({{ text: '' }}); {n}",
    "let sum = 0; for (let i = 0; i < 3e8; i++) sum += i; sum > 0 ? {n} : 0",
    "for (let i = 0; i < 20; i++) await Here.effect({{ n: {n} }}); {rest} await Here.echo({{ n: {n} }})",
)
FROM_AGENT = ("{rest} await Sales.double({{ n: {n} }}) - {n}", "const n: number = {n}; {rest} n")
FROM_MCP = ("{rest} await Sales.double({{ n: {n} }}) - {n}", "{rest} {n}")


@dataclass(slots=True)
class Tally:
    """What came of the rounds with one part and one signal."""

    requests: int = 0
    answered: int = 0
    failed: int = 0
    wrong: list[str] = field(default_factory=list)
    """Requests that had no end, another's value, two answers, or an effect too many."""
    recovered_s: list[float] = field(default_factory=list)
    """Seconds from the end of the requests until a new program had run."""
    lost: int = 0
    """Rounds after which no new program ran."""
    processes: int = 0
    sockets: int = 0

    def row(self, name: str) -> str:
        new = (
            f"{median(self.recovered_s):8.2f} {max(self.recovered_s):7.2f}"
            if self.recovered_s
            else f"{'–':>8} {'–':>7}"
        )
        counts = f"{self.requests:8} {self.answered:8} {self.failed:6} {len(self.wrong):6} {new} {self.lost:5}"
        return f"{name:<18} {counts} {self.processes:9} {self.sockets:7}"


HEAD = (
    f"{'part, signal':<18} {'requests':>8} {'answered':>8} {'errors':>6} {'wrong':>6} {'new run':>8} {'max, s':>7} "
    f"{'never':>5} {'processes':>9} {'sockets':>7}"
)


class Client(PctxClient):
    """A client that counts the answers it gets, by request, and the effects of its tool, by argument."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self.answers: dict[tuple[int, Any], int] = {}
        self.effects: dict[int, int] = {}
        self.on_reconnect = self._count

    async def connect(self) -> None:
        await super().connect()
        self._count()

    def _count(self) -> None:
        channel: Any = self.ws
        feed: Callable[[bytes], None] = channel.feed

        def counting(frame: bytes) -> None:
            message = msgspec.json.decode(frame)
            if "method" not in message:
                key = (id(channel), message.get("id"))
                self.answers[key] = self.answers.get(key, 0) + 1
            feed(frame)

        channel.feed = counting

    def effect(self, arguments: dict[str, Any]) -> None:
        self.effects[arguments["n"]] = self.effects.get(arguments["n"], 0) + 1


class Stage:
    """A server with a notebook, an upstream server, a client and an agent. Made by `stage`."""

    def __init__(self, folder: Path, server: ServerProcess) -> None:
        self.folder, self.server = folder, server
        self.seen: set[psutil.Process] = set()
        """Every process of the server that was ever seen."""
        self.hosts: list[subprocess.Popen[bytes]] = []
        self._number = 0

    async def open(self) -> None:
        """Connect all that takes part."""
        url = self.server.url.replace("http", "ws", 1)
        self.client = Client(f"{url}local-tools", headers=self.server.headers)
        self.agent = PctxClient(f"{url}pctx/agents", headers=self.server.headers)
        await self.client.connect()
        await self.client.register_tool("Here", "echo", lambda arguments: arguments["n"])
        await self.client.register_tool("Here", "effect", self.client.effect)
        await self.agent.connect()
        await self.open_notebook()

    async def _settle(self) -> None:
        """Wait until the agent has every tool."""
        async with asyncio.timeout(LIMIT_S):
            while not {"Good.echo", "Sales.double"} <= {tool["name"] for tool in await self.agent.list_functions()}:
                await asyncio.sleep(0.1)

    async def close(self) -> None:
        for one in (self.client, self.agent):
            with suppress(errors.PctxError):
                await one.disconnect()

    async def open_hosts(self) -> None:
        """Start as many sandbox hosts as are missing, and wait until the server has all of them."""
        file = self.folder / "data" / "pctx" / FILE
        token = read_token(file) or mint_token(file)
        command = [sys.executable, "-m", "pctx_jupyter", "sandbox-host", "--url", self.server.url, "--sandboxes", "4"]
        self.hosts = [host for host in self.hosts if host.poll() is None]
        while len(self.hosts) < HOSTS:
            environment = os.environ | {TOKEN_VARIABLE: token}
            self.hosts.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
        async with asyncio.timeout(LIMIT_S):
            while (
                len((await asyncio.to_thread(self.server.ask, "GET", "pctx/api/status"))["sandbox"]["hosts"]) != HOSTS
            ):
                await asyncio.sleep(0.1)

    def close_hosts(self) -> None:
        for host in self.hosts:
            host.terminate()
            host.wait(LIMIT_S)

    async def open_notebook(self) -> None:
        """Have a notebook, with a kernel that offers its tool."""
        notebook, self.kernel = await asyncio.to_thread(self.server.open_notebook, "sales.ipynb")
        self._notebook = notebook["id"]
        with attached(self.kernel) as kernel:
            cell = await asyncio.to_thread(kernel.run, NOTEBOOK)
            assert cell.error is None, cell.traceback
        await self._settle()

    async def open_notebook_again(self) -> None:
        with suppress(psutil.NoSuchProcess):
            self.kernel.kill()
        await asyncio.to_thread(self.server.ask, "DELETE", f"api/sessions/{self._notebook}")
        await self.open_notebook()

    def processes(self) -> list[psutil.Process]:
        found: list[psutil.Process] = []
        for pid in (self.server.process.pid, *(host.pid for host in self.hosts)):
            with suppress(psutil.NoSuchProcess):
                found += psutil.Process(pid).children(recursive=True)
        self.seen.update(found)
        return found

    def find(self, part: str) -> list[psutil.Process]:
        """The processes that are this part."""
        ends = {"sandbox": "boot.js", "checker": "checker/main.js", "upstream": "peer.py", "launcher": "launcher.py"}
        if part == "server":
            return [psutil.Process(self.server.process.pid)]
        if part == "kernel":
            return [self.kernel]
        if part == "host":
            self.processes()
            return [psutil.Process(host.pid) for host in self.hosts]
        found = []
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                words = process.cmdline()
                is_launcher = any(word.endswith("launcher.py") for word in words)
                if any(word.endswith(ends[part]) for word in words) and is_launcher == (part == "launcher"):
                    found.append(process)
        return found

    def requests(self) -> list[Coroutine[Any, Any, str | None]]:
        """The requests of one round. Each returns what is wrong with its end, None if nothing, "error" for an error."""
        found = []
        for door, programs in ((self.client, FROM_CLIENT), (self.agent, FROM_AGENT)):
            for program in programs:
                self._number += 1
                found.append(self._run(door, program.format(n=self._number, rest=REST), self._number))
        for program in FROM_MCP:
            self._number += 1
            found.append(self._ask(program.format(n=self._number, rest=REST), self._number))
        return found

    async def _run(self, door: PctxClient, program: str, n: int) -> str | None:
        try:
            async with asyncio.timeout(LIMIT_S):
                value = (await door.execute_code(program))["value"]
        except TimeoutError:
            return f"no answer to {program}"
        except errors.PctxError:
            return "error"
        return None if value == n else f"{program} returned {value}"

    async def _ask(self, program: str, n: int) -> str | None:
        params = {"name": "execute", "arguments": {"code": program}}
        body = json.dumps({"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": params}).encode()
        request = urllib.request.Request(f"{self.server.url}mcp", data=body, headers=self.server.headers)

        def ask() -> Any:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=LIMIT_S) as answer:
                return json.load(answer)

        try:
            answer = await asyncio.to_thread(ask)
        except TimeoutError:
            return f"no answer over MCP to {program}"
        except (OSError, ValueError):  # the connection, or the server, is gone
            return "error"
        if answer["id"] != n:
            return f"{program} had the answer to {answer['id']}"
        result = answer.get("result")
        if result is None or result.get("isError"):
            return "error"
        text = result["content"][0]["text"]
        if '"success":false' in text.replace(" ", ""):
            return "error"
        return None if str(n) in text else f"{program} returned {text}"

    async def is_well(self) -> bool:
        """Whether new programs run: more than there are sandboxes waiting, so that some have to be started."""
        runs = (self.client.execute_code("40 + 2", typecheck=False) for _ in range(NEW))
        try:
            async with asyncio.timeout(RECOVER_S):
                return all(one["value"] == 42 for one in await asyncio.gather(*runs))
        except (errors.PctxError, TimeoutError):
            return False


@asynccontextmanager
async def stage(*, has_hosts: bool) -> AsyncIterator[Stage]:
    """Start a server and all that takes part; end them on the way out.

    Args:
        has_hosts: Whether its programs run on sandbox hosts.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for inner in ("config", "tmp"):
            (folder / inner).mkdir()
        (folder / "config" / "jupyter_server_config.py").write_text(CONFIGURATION + ON_HOSTS * has_hosts)
        (folder / "pctx.json").write_text(json.dumps({"servers": [peer()]}))
        temporary, os.environ["TMPDIR"] = os.environ.get("TMPDIR"), str(folder / "tmp")
        try:
            found = Stage(folder, await asyncio.to_thread(ServerProcess, folder))
            try:
                if has_hosts:
                    await found.open_hosts()
                await found.open()
                yield found
                await found.close()
            finally:
                found.close_hosts()
                try:
                    await asyncio.to_thread(found.server.stop)
                except subprocess.TimeoutExpired:
                    sys.stderr.write("the server did not stop in time, and was killed\n")
        finally:
            os.environ.pop("TMPDIR")
            if temporary is not None:
                os.environ["TMPDIR"] = temporary


async def strike(world: Stage, part: str, number: signal.Signals, chance: random.Random) -> list[psutil.Process]:
    """Send a signal to one process of this part, in a moment; returns it."""
    await asyncio.sleep(chance.uniform(*STRIKE_S))
    for _ in range(100):
        if found := world.find(part):
            break
        await asyncio.sleep(0.01)
    struck = chance.sample(found, 1) if found else []
    for process in struck:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    return struck


async def round_(world: Stage, part: str, number: signal.Signals, chance: random.Random, tally: Tally) -> None:
    """Run one round, and note what came of it."""
    requests = [asyncio.create_task(one) for one in world.requests()]
    if part == "client":
        struck = await strike_client(world, number)
    else:
        struck = await strike(world, part, number, chance)
    if part == "server" and number == signal.SIGSTOP:
        # A stopped server can answer nobody: the requests of a client end when its pings do, those over MCP later.
        await asyncio.wait(requests, timeout=STOPPED_S)
        struck[0].resume()
    await asyncio.wait(requests)
    for one in requests:
        outcome = one.result()
        tally.requests += 1
        tally.answered += outcome is None
        tally.failed += outcome == "error"
        if outcome not in (None, "error"):
            tally.wrong.append(outcome)
    tally.wrong += [f"answered {count} times" for count in world.client.answers.values() if count > 1]
    tally.wrong += [f"effect done {count} times" for count in world.client.effects.values() if count > 20]
    world.client.answers.clear()
    world.client.effects.clear()
    if part == "server" and number == signal.SIGKILL:
        await count_left(world, tally)
        world.server.stop()
        world.server = await asyncio.to_thread(ServerProcess, world.folder, like=world.server)
    start = time.perf_counter()
    while not (well := await world.is_well()) and time.perf_counter() - start < RECOVER_S:
        await asyncio.sleep(0.02)
    if well:
        tally.recovered_s.append(time.perf_counter() - start)
    else:
        tally.lost += 1
    for process in struck:
        with suppress(psutil.NoSuchProcess):
            process.kill() if part in ("kernel", "client") else process.resume()
    if part == "kernel":
        await world.open_notebook_again()
    if part == "host":
        await world.open_hosts()
    if part == "server" and number == signal.SIGKILL:
        await world.open_notebook()


async def strike_client(world: Stage, number: signal.Signals) -> list[psutil.Process]:
    """Run eight programs of a client that is a process of its own, and send it a signal."""
    url = f"{world.server.url.replace('http', 'ws', 1)}local-tools"
    command = [sys.executable, "-c", CLIENT, url, world.server.token]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    await asyncio.to_thread(process.stdout.readline)
    process.stdout.close()
    process.send_signal(number)
    if number == signal.SIGKILL:
        process.wait()
        return []
    return [psutil.Process(process.pid)]


async def count_left(world: Stage, tally: Tally) -> None:
    """Count the processes and sockets that a server left."""
    await asyncio.sleep(LEFT_S)
    for process in world.seen:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                tally.processes += 1
                sys.stderr.write(f"left: {process.pid} {' '.join(process.cmdline())[:150]}\n")
                process.kill()
    tally.sockets += len(list((world.folder / "tmp").glob("pctx-*")))
    world.seen.clear()


async def measure(parts: list[tuple[str, signal.Signals]], rounds: int, seed: int) -> dict[str, Tally]:
    """Run all rounds; returns a tally for each part and signal."""
    chance = random.Random(seed)
    tallies: dict[str, Tally] = {}
    async with stage(has_hosts=any(part == "host" for part, _ in parts)) as world:
        for part, number in parts:
            tally = tallies[f"{part}, {number.name}"] = Tally()
            for _ in range(rounds):
                await round_(world, part, number, chance, tally)
            sys.stderr.writelines(f"{part}, {number.name}: {wrong[:300]}\n" for wrong in tally.wrong)
        world.processes()
    end = tallies["the server's end"] = Tally()
    await count_left(world, end)
    return tallies


async def main(rounds: int = 15, seed: int = 1) -> None:
    """Print the table."""
    print(HEAD)
    for part in PARTS:
        for number in SIGNALS:
            for name, tally in (await measure([(part, number)], rounds, seed)).items():
                print(tally.row(name), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
