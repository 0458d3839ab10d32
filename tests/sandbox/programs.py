"""Programs and tools for tests that run the real thing: a pool, Deno, and no fakes between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import psutil
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.hosts.fleet import HostFleet, open_fleet
from pctx_jupyter.hosts.host import HostEnd
from pctx_jupyter.hosts.messages import HELLO, WIRE, Hello, Welcome, frame_bytes
from pctx_jupyter.hosts.remote import RemoteHost
from pctx_jupyter.program.program import prepare
from pctx_jupyter.program.result import Event
from pctx_jupyter.rpc.channel import Channel
from pctx_jupyter.rpc.pipe import Pipe
from pctx_jupyter.rpc.room import UNREAD_BYTES
from pctx_jupyter.sandbox.pool import OpenSpawner, Pool, open_pool
from pctx_jupyter.sandbox.spawner import open_spawner
from pctx_jupyter.session.execution import Job, Sandboxes
from pctx_jupyter.settings import Limits, Settings
from tests.below import below
from tests.fakes import SOON

TOOLS = ("echo", "fail", "refuse", "hang", "big")


@dataclass(slots=True)
class Host:
    """Serves the tools of a program, and keeps what it called and printed.

    `echo` returns its arguments, `fail` raises, `big` returns a megabyte, `hang` returns when it is cancelled.
    """

    events: list[Event] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    cancelled: int = 0
    most_at_once: int = 0
    hung: asyncio.Event = field(default_factory=asyncio.Event)
    _now: int = 0

    async def serve(self, path: str, arguments: Raw | None) -> Raw:
        self.called.append(path)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            match path:
                case "Test.echo":
                    await asyncio.sleep(0)
                    return Raw(b"null") if arguments is None else arguments
                case "Test.fail":
                    raise errors.ToolFailed("no luck", name="ValueError", token="e3")
                case "Test.refuse":
                    raise errors.ToolFailed("no such city", name="McpError", details={"field": ["city"], "name": "x"})
                case "Test.big":
                    return Raw(b'"' + b"x" * (1 << 20) + b'"')
                case "Test.hang":
                    self.hung.set()
                    await asyncio.Event().wait()
            raise errors.ToolNotFound(f"Cannot call {path}: no such tool")
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self._now -= 1

    def printed(self, stream: str = "stdout") -> str:
        return "".join(getattr(event, "text", "") for event in self.events if getattr(event, "stream", "") == stream)


def job(code: str, limits: Limits | None = None, **inputs: Any) -> Job:
    """An execution of this code, with the tools of `Host` in the namespace ``Test``."""
    return Job(
        execution_id="an-execution",
        program=prepare(code),
        namespaces={"Test": {name: f"Test.{name}" for name in TOOLS}},
        inputs={name: Raw(msgspec.json.encode(value)) for name, value in inputs.items()},
        limits=limits or Limits(),
    )


async def run(pool: Sandboxes, code: str, limits: Limits | None = None, host: Host | None = None, **inputs: Any) -> Any:
    """Run a program and return its value, decoded."""
    host = host or Host()
    async with asyncio.timeout(4 * SOON):
        return msgspec.json.decode(await pool.run(job(code, limits, **inputs), host.serve, host.events.append))


@asynccontextmanager
async def pool_of(start: OpenSpawner = open_spawner, **settings: Any) -> AsyncIterator[Pool]:
    """A pool with these settings that, once closed, has left nothing behind."""
    await asyncio.sleep(0)
    before = resources()
    async with open_pool(Settings(**{"warm_sandboxes": 1} | settings), start) as pool:
        yield pool
    await until(lambda: resources() == before)


class HostLink:
    """One connection between a fleet and a host, over a TCP socket of this machine."""

    def __init__(self, end: HostEnd) -> None:
        self.end = end
        self.near: RemoteHost | None = None
        """The engine's end."""
        self.pipes: list[Pipe] = []
        self.channel: Channel | None = None
        """The host's end."""

    def stop_reading(self) -> None:
        """Have the host read nothing any more."""
        for pipe in self.pipes:
            if pipe.name == "host" and pipe._transport is not None:
                pipe._transport.pause_reading()

    def cut(self) -> None:
        """Cut the connection, as a machine that loses its power does."""
        for pipe in self.pipes:
            if pipe._transport is not None:
                pipe._transport.abort()


async def link(fleet: HostFleet, end: HostEnd, max_bytes: int) -> HostLink:
    """Connect a host to a fleet over a real socket; the host has not said hello."""
    loop, made = asyncio.get_running_loop(), HostLink(end)

    def pipe(name: str, max_bytes: int) -> Pipe:
        def lost() -> None:
            if one.channel is not None:
                one.channel.close()

        one = _End(name, max_bytes, lost)
        made.pipes.append(one.pipe)
        return one.pipe

    class _End:
        def __init__(self, name: str, max_bytes: int, lost: Callable[[], None]) -> None:
            self.channel: Channel | None = None
            self.pipe = Pipe(
                name,
                receive=self._receive,
                lost=lost,
                max_bytes=max_bytes,
                ping_s=5.0,
                unread_bytes=max_bytes + UNREAD_BYTES,
                is_owed=lambda: self.channel is not None and self.channel.is_owed,
            )
            if name == "engine":
                made.near = fleet.greet(self.pipe.send, room=self.pipe.room)
                self.channel = made.near.channel
                self.channel.on_close(self.pipe.close)
            else:
                self.channel = made.channel = Channel(
                    self.pipe.send, serve=end.serve, on_notification=end.on_notification, name=name, max_bytes=max_bytes
                )
                end.join(self.channel)

        def _receive(self, line: bytes) -> None:
            assert self.channel is not None
            self.channel.feed(line)

    server = await loop.create_server(lambda: pipe("engine", max_bytes), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await loop.create_connection(lambda: pipe("host", max_bytes), "127.0.0.1", port)
    await until(lambda: made.near is not None)
    server.close()
    return made


@asynccontextmanager
async def host_of(fleet: HostFleet, capacity: int, start: OpenSpawner = open_spawner) -> AsyncIterator[HostLink]:
    """A host with a pool of its own that has said hello to a fleet."""
    end = HostEnd()
    made = await link(fleet, end, frame_bytes(fleet._settings))
    assert made.channel is not None
    said = await made.channel.call(HELLO, Hello("1.0", WIRE, 2, capacity, deno="2.9.8", name="a host"))
    settings = msgspec.json.decode(said, type=Welcome).settings(capacity)
    try:
        async with open_pool(replace(settings, warm_sandboxes=fleet._settings.warm_sandboxes), start) as pool:
            end.accept(pool.run)
            yield made
    finally:
        for pipe in made.pipes:
            pipe.close()
        await asyncio.wait([pipe.gone for pipe in made.pipes])


@asynccontextmanager
async def fleet_of(
    hosts: int = 1, capacity: int = 4, **settings: Any
) -> AsyncIterator[tuple[HostFleet, list[HostLink]]]:
    """A fleet with some hosts on this machine that, once closed, has left nothing behind."""
    await asyncio.sleep(0)
    before = resources()
    async with AsyncExitStack() as stack:
        given = Settings(**{"warm_sandboxes": 1, "sandboxes": "hosts"} | settings)
        fleet = await stack.enter_async_context(open_fleet(given, is_reachable=True))
        links = [await stack.enter_async_context(host_of(fleet, capacity)) for _ in range(hosts)]
        yield fleet, links
    await until(lambda: resources() == before)


@asynccontextmanager
async def remote_of(**settings: Any) -> AsyncIterator[Sandboxes]:
    """What `pool_of` opens, on a sandbox host: as many places, the same settings."""
    capacity = settings.pop("max_running", Settings().max_running)
    async with fleet_of(1, capacity, **settings) as (fleet, _):
        yield fleet


def resources() -> tuple[set[int], set[str], int]:
    """What this process holds: its children, its open files, and its loop's tasks."""
    children = {child.pid for child in psutil.Process().children(recursive=True)}
    files = set()
    for fd in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that listed them
            files.add(f"{fd.name} {fd.readlink()}")
    return children, files, len(asyncio.all_tasks())


def processes(part: str) -> list[psutil.Process]:
    """The processes below this one whose command line has this part in it, the youngest last."""
    return below(lambda command: any(part in word for word in command))


def sandboxes() -> list[psutil.Process]:
    """The Deno processes below this one, the youngest last."""
    helpers = launchers()  # their command line has ours in it, and so has a sandbox until it becomes Deno
    return [process for process in processes("boot.js") if process not in helpers]


def launchers() -> list[psutil.Process]:
    """The helper processes that start sandboxes, and what they just forked."""
    return processes("launcher.py")


def launcher() -> psutil.Process:
    """The one there is."""
    return launchers()[0]


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go round until something about processes, which cannot be awaited, is so."""
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.005)


async def soon(thing: Awaitable[Any]) -> Any:
    """Await something that must not hang."""
    async with asyncio.timeout(SOON):
        return await thing
