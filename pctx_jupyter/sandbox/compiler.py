"""One resident process with the TypeScript compiler: started, asked one request at a time, killed, replaced.

It knows how to keep that process and how long an answer may take; it refuses to know whose requests they are
(`checker` does) and what TypeScript is. The process is as locked in as any sandbox.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import deque
from dataclasses import replace

import msgspec

from .. import errors, processes
from ..rpc import jsonrpc as rpc
from ..rpc.channel import Channel
from ..settings import MIB, Limits, Settings
from . import executable, flags
from .spawner import Direct, Launcher, Process, Spawner
from .worker import Worker, open_worker

log = logging.getLogger(__name__)

HEAP_MB = 512
NURSERY_MB = 8
"""Megabytes (MiB) of new objects between two small collections. With 4, a check with 200 tools takes 6 % longer, and a
ninth more processor time; V8's own 16 cost 20 MB of memory and gain nothing."""
ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": str(128 << 10)}
"""Settings of glibc's allocator in that process: one heap for all threads, and the bytes at its end that may be free.

The first saves 15 MB of memory and the second 4 MB; neither takes processor time."""
RESIDENT_BYTES = 400 * MIB
"""Memory beyond which the process is replaced; it has 150 MB with 200 tools, more with more sessions."""
MESSAGE_BYTES = 64 * MIB
START_S = 30.0
"""Seconds the process may take from its start until it is ready; it takes 0.3 on a quiet machine. A caller that
needs the process waits as long, so that the first program on a slow machine is checked too."""
SPAWN_S = 5.0
"""Seconds the launcher may take to start a process; it takes 5 ms. A launcher that takes longer is replaced."""
STATUS_S = 1.0
"""Seconds we wait for the exit status of a process that closed its pipe."""
NO_MEMORY = (-5, -6)
"""Exit statuses of V8, and of the allocator, that got no memory."""
REST_S = 60.0
"""The longest rest after starts that failed in a row."""

WARM_UP_S = 0.02
"""Seconds between two looks whether a new process is idle, so that it can be warmed up."""

WARM_UP = (
    """
interface Row { id: string; tags?: string[]; amount: number | null }
const rows: Row[] = JSON.parse("[]");
const seen = new Map<string, number>();
for (const { id, amount } of rows) seen.set(id, (seen.get(id) ?? 0) + (amount ?? 0));
""",
    """
interface Row { id: string; tags?: string[] }
const rows: Row[] = JSON.parse("[]");
const [first] = await Promise.all(rows.map(async (row) => ({ ...row, size: row.tags?.length ?? 0 })));
try { console.log(`${first?.size}`); } catch (error) { console.error(error.message); }
""",
    """
interface Row { id: string; amount: number | null }
const rows: Row[] = JSON.parse("[]"), seen = new Map<string, number>();
const names = [...seen].filter(([, n]) => n > 1).map(([id]) => id.toUpperCase()).sort((a, b) => a.localeCompare(b));
({ total: rows.reduce((sum, row) => sum + (row.amount ?? 0), 0), names, keys: Object.entries(rows[0] ?? {}) })
""",
)
"""What programs are like: the first check of its kind takes several times as long as the second. Each is short, so
that a request that arrives meanwhile waits for one of them at most."""

_MODULES = flags.RUNTIME / "checker"
_MAIN = _MODULES / "main.js"
_TEXTS = [flags.RUNTIME / "globals.d.ts", *(flags.RUNTIME / "vendor" / n for n in ("typescript.min.txt", "libs.json"))]


class NotServed(Exception):
    """A request was not served.

    Attributes:
        reason: A sentence that says why.
        is_lasting: Whether the same request will fail again.
        has_ended: Whether the process ended meanwhile; requests of others may have filled its memory before.
    """

    def __init__(self, reason: str, *, is_lasting: bool = False, has_ended: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.is_lasting, self.has_ended = reason, is_lasting, has_ended


class Starter:
    """Starts the processes of all compilers of an engine, from one launcher."""

    def __init__(self, settings: Settings) -> None:
        self._deno = settings.deno
        self._limits = replace(settings.limits, max_heap_mb=HEAP_MB, max_memory_mb=3 * HEAP_MB, max_cpu_s=10**9)
        self._spawner: Spawner | None = None
        self._lock = asyncio.Lock()

    async def start(self) -> Worker:
        """Start a process, and wait until it is ready.

        Raises:
            SandboxUnavailable: It does not start, or not in time.
        """
        if missing := [file.name for file in [_MAIN, *_TEXTS] if not file.is_file()]:
            raise errors.SandboxUnavailable(
                f"Cannot start a sandbox: {missing[0]} is not part of this installation; install the package again "
                "(in a checkout: python hatch_build.py)"
            )
        try:
            process = await self._spawn()
        except errors.SandboxUnavailable:
            process = await self._spawn()  # by a new launcher
        return await open_worker(process, self._limits, ready_s=START_S)

    async def close(self) -> None:
        """End the launcher, and every process."""
        if self._spawner is not None:
            await self._spawner.close()

    async def _spawn(self) -> Process:
        async with self._lock:
            if self._spawner is None or not self._spawner.is_alive:
                self._spawner = None
                deno = await executable.find(self._deno)
                self._spawner = await _open_spawner(deno.path, self._limits)
            spawner = self._spawner
        try:
            async with asyncio.timeout(SPAWN_S):
                return await spawner.start()
        except TimeoutError:
            if self._spawner is spawner:
                self._spawner = None
            await spawner.close()
            why = f"its launcher does not answer after {SPAWN_S:g} s"
            raise errors.SandboxUnavailable(f"Cannot start a sandbox: {why}") from None


class Compiler:
    """One process, and the queue for it.

    Args:
        starter: Starts the process.
        limit_s: Seconds one request may be served.

    Attributes:
        starts: How often the process was started.
        trouble: Why it cannot be started; None: it can, as far as is known.
        begun_at: When the request that is being served began, by the loop's clock; None: there is none.
    """

    def __init__(self, starter: Starter, limit_s: float) -> None:
        self._starter, self._limit_s = starter, limit_s
        self._loop = asyncio.get_running_loop()
        self._worker: Worker | None = None
        self._starting: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None
        self._is_busy = self._is_warming = False
        self._queue: deque[asyncio.Future[bool]] = deque()
        self._failures = 0
        self._rests_until = 0.0
        self._is_closed = False
        self._why_given_up: str | None = None
        self.channel: Channel | None = None
        """Leads to the process; None: there is none that is ready."""
        self.starts = 0
        self.trouble: str | None = None
        self.begun_at: float | None = None

    # its process

    def warm(self) -> None:
        """Start the process in the background, unless it has been started."""
        if self.channel is not None or self._starting is not None or self._is_closed:
            return
        if self._loop.time() >= self._rests_until:
            self._starting = self._loop.create_task(self._start())

    async def ready(self) -> Channel:
        """Wait until there is a process; start one if there is none.

        Raises:
            NotServed: It does not start; the reason says why.
        """
        if self.channel is None:
            self.warm()
            if self._starting is not None:
                await asyncio.wait([self._starting])
        if self.channel is None:
            raise NotServed(self.trouble or "The type checker is being stopped")
        return self.channel

    @property
    def is_idle(self) -> bool:
        """Whether it serves no request, no request waits for it, and it is not being started for one."""
        return (not self._is_busy or self._is_warming) and not self.has_waiting and self._starting is None

    @property
    def memory(self) -> int:
        """Bytes of memory the process occupies; 0: there is none."""
        return flags.resident(self._worker.pid) if self._worker is not None else 0

    def end(self) -> None:
        """End the process, if there is one; its request fails at once."""
        worker, channel = self._worker, self.channel
        self._worker = self.channel = None
        if self._warming is not None:
            self._warming.cancel()
        if worker is not None and channel is not None:
            worker.kill()
            channel.close()

    def give_up(self, why: str) -> None:
        """End the request that is being served, with the process, and start another."""
        self._why_given_up = why
        self.end()
        self.warm()

    async def close(self) -> None:
        """End the process for good."""
        self._is_closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        self.end()

    # its queue

    @property
    def has_waiting(self) -> bool:
        """Whether a request waits for its turn."""
        return any(not one.done() for one in self._queue)

    async def turn(self) -> bool:
        """Wait for a turn, which `release` ends. False: there is none; look for another compiler."""
        if not self._is_busy:
            self._is_busy = True
            return True
        waiting: asyncio.Future[bool] = self._loop.create_future()
        self._queue.append(waiting)
        try:
            return await waiting
        except BaseException:
            if waiting.done() and not waiting.cancelled() and waiting.result():
                self.release()
            raise

    def release(self) -> None:
        """Pass the turn to the caller that has waited longest."""
        while self._queue:
            waiting = self._queue.popleft()
            if not waiting.done():
                waiting.set_result(True)
                return
        self._is_busy = False

    def disperse(self) -> None:
        """End the wait of all callers, so that they choose another compiler."""
        for waiting in self._queue:
            if not waiting.done():
                waiting.set_result(False)
        self._queue.clear()

    # requests

    async def ask(self, channel: Channel, method: str, params: dict[str, rpc.Json]) -> msgspec.Raw:
        """Send one request to the process and return its answer; the caller has the turn.

        Raises:
            NotServed: It takes too long, or the process fails; a process that is stuck is replaced.
        """
        worker = self._worker
        # A little less than we wait: a process that stops by itself need not be replaced.
        params = {**params, "budget_ms": self._limit_s * 900}
        too_long = f"The type checker needed more than {self._limit_s:g} s (Pctx.max_check_s)"
        self.begun_at = self._loop.time()
        try:
            async with asyncio.timeout(self._limit_s):
                return await channel.call(method, params)
        except TimeoutError:
            log.info("type checker = replaced: %s took more than %g s", method, self._limit_s)
            if self.channel is channel:
                self.end()
                self.warm()
            raise NotServed(too_long, is_lasting=True) from None
        except errors.Timeout:
            raise NotServed(too_long, is_lasting=True) from None
        except errors.ConnectionLost:
            if (given_up := self._why_given_up) is not None:
                self._why_given_up = None
                raise NotServed(given_up, is_lasting=True) from None
            too_large = worker is not None and await _status(worker) in NO_MEMORY
            why = "The type checker ran out of memory" if too_large else "The type checker ended"
            raise NotServed(why, is_lasting=too_large, has_ended=True) from None
        except errors.PctxError as error:
            log.info("type checker = failed to %s: %s", method, error.message)
            why = "The type checker failed; the program may be nested too deeply, or too large"
            raise NotServed(why, is_lasting=True) from None
        finally:
            self.begun_at = None

    def tidy(self) -> bool:
        """Make the process, if there is one, return the memory of its garbage. False: it is busy; try again later."""
        if not self.is_idle or (self._warming is not None and not self._warming.done()):
            return False
        if self.channel is not None:
            self.channel.notify("tidy", {})
        return True

    def replace_if_large(self) -> None:
        """Replace a process that has nothing to do and has grown too large."""
        if self._worker is not None and self.is_idle and self.memory > RESIDENT_BYTES:
            log.info("type checker = replaced: it had grown beyond %d MB", RESIDENT_BYTES // MIB)
            self.end()
            self.warm()

    # its start

    async def _start(self) -> None:
        try:
            async with asyncio.timeout(START_S):
                await self._open()
        except TimeoutError:
            self._fail(f"Cannot start the type checker: it is not ready after {START_S:g} s")
        except errors.SandboxUnavailable as error:
            self._fail(error.message.replace("start a sandbox", "start the type checker"))
        except Exception as error:
            log.exception("type checker = failed to start")
            self._fail(f"Cannot start the type checker: {processes.lack(error) or 'internal error; see the log'}")
        finally:
            self._starting = None

    def _fail(self, why: str) -> None:
        """Record a failure: log a new cause once, and rest, longer each time, before trying again."""
        if why != self.trouble:
            log.error("type checker = %s", why)
        self.trouble = why
        self._rests_until = self._loop.time() + min(0.5 * 2**self._failures, REST_S)
        self._failures = min(self._failures + 1, 20)

    async def _open(self) -> None:
        self.starts += 1
        worker = await self._starter.start()
        channel = Channel(worker.send, name="type checker", max_bytes=MESSAGE_BYTES)
        worker.listen(_Listener(worker, channel))
        try:
            # Reads the libraries, so that the first request takes no longer than its limit on a slow machine.
            await channel.call("check", {"session": "warm", "code": ""})
        except errors.PctxError as error:
            worker.kill()
            raise errors.SandboxUnavailable(f"Cannot start a sandbox: {error.message}") from None
        except BaseException:
            worker.kill()
            raise
        self._worker, self.channel = worker, channel
        self.trouble, self._failures = None, 0
        channel.on_close(lambda: self._lose(channel))
        self._warming = self._loop.create_task(self._warm_up(channel))

    async def _warm_up(self, channel: Channel) -> None:
        """Check a few programs while the process has nothing else to do, so that its code is compiled."""
        for code in WARM_UP:
            while True:  # callers that waited for the start come first
                await asyncio.sleep(WARM_UP_S)
                if self.is_idle:
                    break
            if not await self.turn():
                return
            self._is_warming = True
            try:
                if self.channel is not channel:
                    return
                await self.ask(channel, "check", {"session": "warm", "code": code})
            except NotServed:
                return
            finally:
                self._is_warming = False
                self.release()

    def _lose(self, channel: Channel) -> None:
        """Record that a process is gone; unless we ended it, the next request starts another."""
        if self.channel is channel:
            self._worker = self.channel = None


class _Listener:
    """Passes what a process writes to its channel."""

    def __init__(self, worker: Worker, channel: Channel) -> None:
        self._worker, self._channel = worker, channel

    def receive(self, line: bytes, *, is_sound: bool = False) -> None:
        self._channel.feed(line, is_sound=is_sound)

    def overflow(self, start: bytes) -> None:
        self.end()

    def end(self) -> None:
        self._worker.kill()
        self._channel.close()


async def _status(worker: Worker) -> int | None:
    """Return the exit status of a process whose pipe is closed; None: it is not known."""
    await asyncio.wait([worker.ended], timeout=STATUS_S)
    return worker.ended.result() if worker.ended.done() else None


async def _open_spawner(deno: str, limits: Limits) -> Spawner:
    """Open what starts the process: as for any sandbox, but for another script and a larger heap."""
    *arguments, _ = flags.command(deno, limits)
    # No program runs in that process, so its script may have V8's collector.
    more = f",--max-semi-space-size={NURSERY_MB},--expose-gc"
    command = [a + more if a.startswith("--v8-flags=") else a for a in arguments] + [str(_MAIN)]
    if sys.platform == "linux" and hasattr(os, "pidfd_open"):
        readable = flags.readable(deno) + [str(path) for path in [_MODULES, *_TEXTS]]
        return await Launcher.open(command, readable, environment=flags.ENVIRONMENT | ALLOCATOR)
    return Direct(command, limits)
