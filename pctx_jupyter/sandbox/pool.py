"""Warm sandboxes, lent to one execution each.

A pool lends; it does not share. Whatever happens to whoever borrowed a sandbox, it is killed afterwards and never used
again; another one starts in the background.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from msgspec import Raw

from .. import errors
from ..program.result import Emit
from ..rpc import jsonrpc as rpc
from ..session.execution import Job, ServeCall
from ..settings import Settings
from . import executable
from .places import Places, Seat
from .spawner import Spawner, open_spawner
from .supervisor import Supervisor
from .worker import Worker, open_worker

log = logging.getLogger(__name__)

OpenSpawner = Callable[[executable.Executable, Settings], Awaitable[Spawner]]
"""Opens what starts processes; raises SandboxUnavailable."""

REFILL_S = 0.02
"""Seconds between lending a sandbox and starting the next: at once, the start would compete with the run."""
REST_S = 60.0
"""The longest rest after starts that failed in a row, in seconds; each doubles it, from `REFILL_S`."""


class Pool:
    """Lends sandboxes. Made by `open_pool`; all of it belongs to one event loop, on a thread that outlives it."""

    def __init__(self, settings: Settings, start: OpenSpawner) -> None:
        self._settings = settings
        self._new_spawner = start
        self._loop = asyncio.get_running_loop()
        self._places = Places(settings.max_running)
        self._idle: deque[Worker] = deque()
        self._wanted: deque[asyncio.Future[Worker]] = deque()  # executions that found none idle; then none is
        self._lent: dict[Worker, Seat] = {}
        self._queued = 0
        self._starts: set[asyncio.Task[None]] = set()
        self._most_starts = os.cpu_count() or 1
        self._deno: executable.Executable | None = None
        self._spawner: Spawner | None = None
        self._spawner_lock = asyncio.Lock()
        self._failures = 0
        self._rests_until = 0.0
        self._trouble: str | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._is_closed = False

    async def run(self, job: Job, serve: ServeCall, emit: Emit) -> Raw:
        """Run one program in a sandbox of its own and return its value: a `session.Run`.

        Raises:
            ProgramThrew, ProgramStopped: It failed.
            ExecutionTimeout: It ran too long.
            Busy: No sandbox came free in time.
            SandboxUnavailable: None can be started; the message names the cause and the cure.
            MessageTooLarge: Its inputs are too large.
        """
        async with self._borrow() as (worker, seat):
            job.hold.place = seat
            supervisor = Supervisor(worker, job, serve, emit, message_bytes=self._settings.max_message_bytes)
            return await supervisor.run()

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[Worker]:
        """Lend one sandbox for the block; it is killed at its end.

        Raises:
            Busy, SandboxUnavailable: There is none to lend.
        """
        async with self._borrow() as (worker, _):
            yield worker

    @asynccontextmanager
    async def _borrow(self) -> AsyncIterator[tuple[Worker, Seat]]:
        """Lend one sandbox, and the place of its program."""
        worker = await self._queue()
        seat = self._lent[worker] = Seat(self._places)
        try:
            yield worker, seat
        finally:
            worker.dismiss()
            del self._lent[worker]
            seat.end()

    def status(self) -> dict[str, rpc.Json]:
        """How many sandboxes there are and in what state, what isolates them, and what is wrong (null: nothing).

        Those that are `asking` wait for a person's consent, and are not among those that are `running`.
        """
        return {
            "deno": self._deno.version if self._deno is not None else None,
            "layers": self._spawner.layers if self._spawner is not None else 0,
            "warm": len(self._idle),
            "starting": len(self._starts),
            "running": self._running,
            "asking": len(self._lent) - self._running,
            "waiting": self._queued,
            "trouble": self._trouble,
        }

    @property
    def _running(self) -> int:
        """How many programs have a place."""
        return sum(seat.is_taken for seat in self._lent.values())

    async def close(self) -> None:
        """End every sandbox, those that run included, and wait until none is left."""
        self._is_closed = True
        for timer in self._timers:
            timer.cancel()
        for wanted in self._wanted:
            if not wanted.done():
                wanted.set_exception(errors.Cancelled("Cancelled: the sandboxes are being stopped"))
        for task in self._starts:
            task.cancel()
        if self._starts:
            await asyncio.wait(self._starts)
        for worker in [*self._idle, *self._lent]:
            worker.kill()
        self._idle.clear()
        if self._spawner is not None:
            await self._spawner.close()

    # lending

    async def _queue(self) -> Worker:
        """Wait for a place among those that run, then for a sandbox; first come, first served."""
        self._queued += 1
        try:
            async with asyncio.timeout(self._settings.max_queue_s):
                await self._places.take()
                try:
                    return await self._take()
                except BaseException:
                    self._places.release()
                    raise
        except TimeoutError:
            raise errors.Busy(
                f"Cannot start execution: no sandbox came free within {self._settings.max_queue_s:g} s, "
                f"{self._running} are running (Pctx.max_running, Pctx.max_queue_s); try again later"
            ) from None
        finally:
            self._queued -= 1

    async def _take(self) -> Worker:
        if self._is_closed:
            raise errors.Cancelled("Cancelled: the sandboxes are being stopped")
        while self._idle:
            worker = self._idle.pop()  # the youngest: of its memory most is still in the processor's caches
            if worker.is_alive:
                self._failures = 0
                self._later(REFILL_S)
                return worker
            worker.kill()
        wanted: asyncio.Future[Worker] = self._loop.create_future()
        self._wanted.append(wanted)
        self._stock()
        try:
            return await wanted
        except BaseException:
            if wanted.done() and not wanted.cancelled() and wanted.exception() is None:
                self._arrived(wanted.result())  # it came in the turn in which we were cancelled
            raise
        finally:
            with suppress(ValueError):
                self._wanted.remove(wanted)

    def _arrived(self, worker: Worker) -> None:
        while self._wanted:
            wanted = self._wanted.popleft()
            if not wanted.done():
                self._failures = 0
                wanted.set_result(worker)
                return
        if self._is_closed:
            worker.kill()
        else:
            self._idle.append(worker)

    # stocking

    def _stock(self) -> None:
        """Start what is missing: one for each execution that waits, and those to be kept warm."""
        if self._is_closed:
            return
        warm = 0 if self._loop.time() < self._rests_until else self._settings.warm_sandboxes
        while len(self._starts) < self._most_starts and len(self._idle) + len(self._starts) < len(self._wanted) + warm:
            task = self._loop.create_task(self._start())
            self._starts.add(task)
            task.add_done_callback(self._started)

    async def _start(self) -> None:
        try:
            await self._open_spawner()
            try:
                worker = await self._open_worker()
            except errors.SandboxUnavailable as error:
                log.debug("sandboxes = %s; once more", error)  # someone may have killed it, or its launcher
                worker = await self._open_worker()
        except errors.SandboxUnavailable as error:
            self._fail(error.message)
            while self._wanted:
                wanted = self._wanted.popleft()
                if not wanted.done():
                    wanted.set_exception(error)
                    break
        else:
            self._trouble = None
            worker.ended.add_done_callback(lambda ended: self._ended(worker))
            self._arrived(worker)

    async def _open_worker(self) -> Worker:
        spawner = await self._open_spawner()
        return await open_worker(await spawner.start(), self._settings.limits)

    def _started(self, task: asyncio.Task[None]) -> None:
        self._starts.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("sandboxes = failed to start one", exc_info=error)
            self._fail("Cannot start a sandbox: internal error; see the log")
            while self._wanted:
                if not (wanted := self._wanted.popleft()).done():
                    wanted.set_exception(errors.SandboxUnavailable("Cannot start a sandbox: internal error"))
        self._stock()

    async def _open_spawner(self) -> Spawner:
        async with self._spawner_lock:
            if self._spawner is None or not self._spawner.is_alive:
                self._spawner = None
                self._deno = self._deno or await executable.find(self._settings.deno)
                self._spawner = await self._new_spawner(self._deno, self._settings)
                log.info("sandboxes = Deno %s, %d layers of isolation", self._deno.version, self._spawner.layers)
                if self._spawner.layers == 1:
                    log.warning(
                        "sandboxes = isolated by Deno's permissions alone: this system has no Landlock "
                        "(set Pctx.layers to 2 to refuse to run programs then)"
                    )
            return self._spawner

    def _fail(self, why: str) -> None:
        """Take note of a failure: say a new cause once, and rest, longer each time, before trying again unasked."""
        if why != self._trouble:
            log.error("sandboxes = %s", why)
        self._trouble = why
        rest = min(REFILL_S * 2**self._failures, REST_S)
        self._failures = min(self._failures + 1, 20)
        self._rests_until = self._loop.time() + rest
        self._later(rest)

    def _ended(self, worker: Worker) -> None:
        """A sandbox has ended; see to it if that was nobody's wish."""
        if worker in self._idle:
            self._idle.remove(worker)
            worker.kill()
            self._fail(f"A waiting sandbox was ended from outside (exit status {worker.ended.result()})")

    def _later(self, seconds: float) -> None:
        def stock() -> None:
            self._timers.discard(timer)
            self._stock()

        # A little late, so that a rest is over by then, whatever the clock's grain.
        timer = self._loop.call_later(seconds + 0.001, stock)
        self._timers.add(timer)


@asynccontextmanager
async def open_pool(settings: Settings, start: OpenSpawner = open_spawner) -> AsyncIterator[Pool]:
    """Open the pool and start its warm sandboxes in the background; on the way out end every process.

    Args:
        settings: Limits and sizes.
        start: Opens what starts processes; the default is the best this system has.

    Never fails for want of Deno: then `Pool.run` says what is missing, and so does `Pool.status`.
    """
    pool = Pool(settings, start)
    pool._stock()
    try:
        yield pool
    finally:
        await pool.close()
