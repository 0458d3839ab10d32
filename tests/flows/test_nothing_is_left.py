"""What many runs and clients leave behind on a server: nothing. Real: a server process, its sandboxes, its clients."""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import suppress
from typing import Any

import psutil

from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient
from pctx_jupyter.sandbox.checker import APART_S

from ..below import below
from ..server.process import ServerProcess, server_process

RUNS = 120
CLIENTS = 60
SOON = 60
"""Seconds after which a wait counts as a hang: a hundred processes come and go meanwhile."""

PROGRAMS = [
    "await t.echo({ n: 1 })",
    "console.log('x'.repeat(10_000)); throw new Error('no')",
    "await Promise.all([t.fail(), t.echo()])",
    "for (;;);",
    "await t.hang()",
    "const bad: number = 'text'; bad",
]


async def test_runs_that_end_in_every_way_and_clients_that_vanish_leave_nothing() -> None:
    with server_process("--Pctx.warm_sandboxes=0", "--Pctx.timeout_s=0.4", "--Pctx.max_running=4") as server:
        async with a_client(server) as client:
            await run(client, "await t.echo()")
            await has_history(server)
            before = await held(server, client)  # whatever is opened once is open now
            killer = asyncio.create_task(kill_now_and_then(server))
            for _ in range(RUNS // 12):
                runs = [asyncio.create_task(run(client, code)) for code in 2 * PROGRAMS]
                await asyncio.sleep(0)
                runs[0].cancel()
                await asyncio.wait(runs)
                assert not [error for one in runs if not one.cancelled() and (error := one.exception())]
            killer.cancel()
            await asyncio.wait([killer])
            await asyncio.gather(*(vanish(server) for _ in range(CLIENTS)))
            until = time.monotonic() + SOON + APART_S  # on a busy machine, a slow check gets a process of its own
            while not is_back(before, now := await held(server, client)) and time.monotonic() < until:
                await asyncio.sleep(0.05)  # the server's own affairs tell nobody of their end
            assert is_back(before, now), f"descriptors, children and threads were {before}, and are {now}"
        assert "Traceback" not in server.log, server.log


def a_client(server: ServerProcess) -> PctxClient:
    return Client(f"{server.url}local-tools", headers=server.headers)


class Client(PctxClient):
    """One that offers three tools."""

    async def connect(self) -> None:
        await super().connect()

        async def hang(arguments: Any) -> None:
            await asyncio.Event().wait()

        def fail(arguments: Any) -> None:
            raise ValueError("no")

        await self.register_tool("t", "echo", lambda arguments: arguments, replace=True)
        await self.register_tool("t", "hang", hang, replace=True)
        await self.register_tool("t", "fail", fail, replace=True)


async def run(client: PctxClient, code: str) -> None:
    """Run a program that may fail, in a way that is told."""
    async with asyncio.timeout(SOON):
        with suppress(errors.ExecutionError, errors.SandboxUnavailable):  # the latter: killed while it started
            await client.execute_code(code)


async def has_history(server: ServerProcess) -> None:
    """Wait until a program is in the history, whose file a thread opens with the first one."""
    async with asyncio.timeout(SOON):
        while not (await asyncio.to_thread(server.ask, "GET", "pctx/api/history"))["runs"]:
            await asyncio.sleep(0.05)


async def vanish(server: ServerProcess) -> None:
    """Connect, begin to run a program, and be gone without a word."""
    client = a_client(server)
    await client.connect()
    running = asyncio.create_task(client.execute_code("await t.hang()"))
    await asyncio.sleep(0)
    running.cancel()
    assert client.ws is not None
    client.ws.close()
    await client.disconnect()


async def kill_now_and_then(server: ServerProcess) -> None:
    """Kill a sandbox of the server, again and again."""
    chance = random.Random(7)
    while True:
        await asyncio.sleep(0.1)
        if found := sandboxes(server):
            with suppress(psutil.NoSuchProcess):
                chance.choice(found).kill()


def sandboxes(server: ServerProcess) -> list[psutil.Process]:
    """The Deno processes that run programs."""

    def is_sandbox(command: list[str]) -> bool:
        return bool(command) and command[0].endswith("deno") and command[-1].endswith("boot.js")

    return below(is_sandbox, server.process.pid)


def is_back(before: tuple[int, int, int], now: tuple[int, int, int]) -> bool:
    """Whether nothing is held that was not; asyncio keeps the threads in which it wrote a file, up to a number."""
    most = min(32, (os.cpu_count() or 1) + 4)
    return now[:2] == before[:2] and before[2] <= now[2] <= before[2] + most


async def held(server: ServerProcess, client: PctxClient) -> tuple[int, int, int]:
    """Descriptors, children and threads of the server, once no sandbox is left."""
    async with asyncio.timeout(SOON):
        while True:
            await run(client, "await t.echo()")  # in a sandbox that was started for nobody, if there is one
            if not sandboxes(server):
                break
            await asyncio.sleep(0.05)
    process = psutil.Process(server.process.pid)
    return process.num_fds(), len(process.children(recursive=True)), process.num_threads()
