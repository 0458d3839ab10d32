"""Programs on a sandbox host, a process that has dialled in to a real server, against the pool of this machine.

Both run in one interleaved measurement, and with them the round trip of a bare WebSocket between two processes, which
each tool call on a host takes besides. The last two rows are simulations: hosts in this process whose programs wait for
a fixed time and compute nothing, because one machine has no more processors than its own. With few hosts, they show how
much of the hosts' places a busy engine uses; with 1,000, how many programs per second its queue and its protocol give
to hosts.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from jupyter_server.serverapp import ServerApp
from msgspec import Raw
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from traitlets.config import Config
from websockets.asyncio.server import ServerConnection, serve

from pctx_jupyter.engine import Engine, open_engine
from pctx_jupyter.hosts.fleet import open_fleet
from pctx_jupyter.hosts.host import HostEnd
from pctx_jupyter.hosts.messages import HELLO, WIRE, Hello
from pctx_jupyter.hosts.tokens import TOKEN_VARIABLE, mint_token
from pctx_jupyter.program.program import prepare
from pctx_jupyter.program.result import Emit, Event
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc.channel import Channel, Send, crossed
from pctx_jupyter.server.base import RUNNING
from pctx_jupyter.session.execution import Job, ServeCall
from pctx_jupyter.session.hold import Hold
from pctx_jupyter.session.session import Session
from pctx_jupyter.settings import Limits, Settings
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.tool import Tool

from .engine import until_warm
from .measure import Row, in_turns_ms, seconds

REST_S = 0.15
"""Seconds in which a host starts the sandbox that takes the place of the one that was used."""

CALLS = "for (let n = 0; n < 100; n++) await Bench.echo({ n }); 0"
MEGABYTE = "Array.from({ length: 4250 }, (_, i) => ({ id: i, title: 'record ' + i, text: 'word '.repeat(40) }))"


FEW, MANY = 8, 1_000
"""Simulated hosts."""
PLACES = 4
"""Sandboxes of each of the few hosts, as of a machine with four processors; the many have one each."""
WORK_S = 0.5
"""Seconds that a simulated program takes."""

ECHO = """
import asyncio, sys
from websockets.asyncio.client import connect
async def echo():
    options = {"compression": None, "ping_interval": None, "max_size": None, "proxy": None}
    async with connect("ws://127.0.0.1:" + sys.argv[1], **options) as connection:
        async for message in connection:
            await connection.send(message)
asyncio.run(echo())
"""
"""A process that sends back what comes on a bare WebSocket."""


@asynccontextmanager
async def echo() -> AsyncIterator[Callable[[int, int], Awaitable[float]]]:
    """A bare WebSocket to another process; gives a function that takes a number of round trips, and of bytes."""
    came: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def accept(connection: ServerConnection) -> None:
        came.set_result(connection)
        await over.wait()

    async with serve(accept, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", ECHO, str(port))
        connection = await came

        async def trips(number: int, size: int) -> None:
            for _ in range(number):
                await connection.send(b"x" * size)
                await connection.recv()

        yield lambda number, size: seconds(trips(number, size))
        over.set()
    await process.wait()


async def simulated(hosts: int, places: int, rounds: int) -> float:
    """How many seconds an engine takes to fill all places of its hosts so many times with programs.

    Every fourth program is a cell's: the engine keeps one place for those.
    """

    async def work(job: Job, serve: ServeCall, emit: Emit) -> Raw:
        async with job.hold.time_limit(60):
            await asyncio.sleep(WORK_S)
        return rpc.NULL

    async with open_fleet(Settings(sandboxes="hosts", max_queue_s=600.0), is_reachable=True) as fleet:
        for _ in range(hosts):
            end = HostEnd()
            end.accept(work)

            def far(send: Send, end: HostEnd = end) -> Channel:
                made = Channel(
                    send, serve=end.serve, on_notification=end.on_notification, name="host", max_bytes=1 << 26
                )
                end.join(made)
                return made

            _, channel = crossed(lambda send: fleet.greet(send).channel, far)
            await channel.call(HELLO, Hello("1", WIRE, 2, places))
        job = Job("a", prepare("1"), {}, {}, Limits())
        jobs = [
            replace(job, hold=Hold(), session=str(n % 100), is_interactive=n % 4 == 0)
            for n in range(hosts * places * rounds)
        ]
        return await seconds(asyncio.gather(*(fleet.run(one, _refuse, _ignore) for one in jobs)))


async def _refuse(path: str, arguments: Raw | None, stack: str = "", /) -> Raw:
    raise AssertionError("no program calls")


def _ignore(event: Event) -> None:
    """Drop an event."""


@asynccontextmanager
async def served() -> AsyncIterator[Engine]:
    """The engine of a real server in this process, with one sandbox host in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        token_file = Path(folder, "token")
        token = mint_token(token_file)
        pctx = {"sandboxes": "hosts", "host_token_file": str(token_file), "typecheck": False}
        server = {"jpserver_extensions": {"pctx_jupyter": True}, "root_dir": folder, "open_browser": False}
        config = Config({"ServerApp": server | {"allow_root": True, "log_level": 40}, "Pctx": pctx})
        app: Any = ServerApp.instance(config=config)
        app.initialize(argv=[], new_httpserver=False)
        app.start_app()
        sockets = bind_sockets(0, "127.0.0.1")
        http = HTTPServer(app.web_app)
        http.add_sockets(sockets)
        engine: Engine = await app.web_app.settings[RUNNING].get()
        url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}{app.base_url}"
        host = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pctx_jupyter", "sandbox-host", "--url", url, "--sandboxes", "2"),
            env=os.environ | {TOKEN_VARIABLE: token},
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            assert engine.hosts is not None
            while not engine.hosts.hosts:
                await asyncio.sleep(0.05)
            yield engine
        finally:
            host.terminate()
            await host.wait()
            http.stop()
            await app.web_app.settings[RUNNING].stop()


def session_of(engine: Engine) -> Session:
    """A session with one tool, which returns its arguments."""
    session = engine.registry.open()
    session.register(Tool("bench", "echo", "Returns its arguments."), _echo)
    return session


async def _echo(call: Call) -> Raw:
    return call.arguments or rpc.NULL


async def rows() -> list[Row]:
    async with open_engine(Settings(typecheck=False)) as engine, served() as far, echo() as network:
        here, there = session_of(engine), session_of(far)

        async def timed(session: Session, code: str) -> float:
            await until_warm(engine)
            await asyncio.sleep(REST_S)
            return await seconds(session.execute(code))

        found: dict[str, list[float]] = {}
        for name, code, trips in (("1", "1+1", (1, 100)), ("c", CALLS, (100, 100)), ("m", MEGABYTE, (1, 1 << 20))):
            work = (partial(timed, there, code), partial(timed, here, code), partial(network, *trips))
            found[name] = await in_turns_ms(*work)
    base = "the pool of this machine"
    (one, one_here, _), (calls, calls_here, trips_100), (value, value_here, trip_1mb) = (found[name] for name in "1cm")
    return [
        Row("on a sandbox host, warm: 1+1", one, 1.5 * one_here, one_here, base),
        Row(
            "on a sandbox host: 100 tool calls in sequence",
            calls,
            2 * calls_here + trips_100,
            calls_here,
            f"{base}; 100 round trips on a bare WebSocket: {trips_100:.1f}",
        ),
        Row(
            "on a sandbox host: a value of 1 MB, texts",
            value,
            1.2 * value_here,
            value_here,
            f"{base}; 1 MB on a bare WebSocket, one way: {trip_1mb / 2:.1f}",
        ),
        Row(
            f"simulated: places of {FEW} hosts in use, {FEW * PLACES} in all",
            100 * 10 * WORK_S / await simulated(FEW, PLACES, rounds=10),
            90,
            unit="%",
            more_is_better=True,
        ),
        Row(
            f"simulated: programs given to {MANY:,} hosts",
            2 * MANY / await simulated(MANY, 1, rounds=2),
            250,
            unit="/s",
            more_is_better=True,
        ),
    ]
