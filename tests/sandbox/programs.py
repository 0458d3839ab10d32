"""Programs and tools for tests that run the real thing: a pool, Deno, and no fakes between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.program.program import prepare
from pctx_jupyter.program.result import Event
from pctx_jupyter.sandbox.pool import OpenSpawner, Pool, open_pool
from pctx_jupyter.sandbox.spawner import open_spawner
from pctx_jupyter.session.execution import Job
from pctx_jupyter.settings import Limits, Settings
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


async def run(pool: Pool, code: str, limits: Limits | None = None, host: Host | None = None, **inputs: Any) -> Any:
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
    found: list[tuple[float, int, psutil.Process]] = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any(part in word for word in child.cmdline()):
                found.append((child.create_time(), child.pid, child))
    return [child for _, _, child in sorted(found)]


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
