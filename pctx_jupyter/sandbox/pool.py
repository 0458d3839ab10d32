"""Warm sandboxes, lent to one execution each.

A pool lends; it does not share. A sandbox that was lent is killed afterwards, whatever happened to its program, and
never used again; another one starts in the background. The scheduler decides which program is next.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from msgspec import Raw

from .. import errors, processes
from ..program.result import Emit
from ..rpc import jsonrpc as rpc
from ..session.execution import Job, ServeCall
from ..session.hold import Hold
from ..settings import Settings
from . import executable
from .scheduler import Scheduler, Seat
from .spawner import Spawner, open_spawner
from .supervisor import Supervisor
from .worker import Worker, open_worker

log = logging.getLogger(__name__)

OpenSpawner = Callable[[executable.Executable, Settings], Awaitable[Spawner]]
"""Opens what starts processes; raises SandboxUnavailable."""

REFILL_S = 0.02
"""Seconds between lending a sandbox and starting the next: at once, the start would compete with the run."""
SPARE_STARTS = 1
"""Starts beyond one for each processor: each waits for other threads and for the host now and then."""
KEPT = 1
"""Places that only programs of notebooks' cells may have: a person waits for those."""
REST_S = 60.0
"""The longest rest after starts that failed in a row, in seconds; each doubles it, from `REFILL_S`."""


class Pool:
    """Lends sandboxes. Made by `open_pool`; all of it belongs to one event loop, on a thread that outlives it."""

    def __init__(self, settings: Settings, start: OpenSpawner) -> None:
        self._settings = settings
        self._new_spawner = start
        self._loop = asyncio.get_running_loop()
        self._scheduler = Scheduler(
            settings.max_running,
            per_session=settings.running_per_session,
            kept=KEPT,
            most_held=settings.max_waiting_programs,
            clock=self._loop.time,
        )
        self._idle: deque[Worker] = deque()
        self._wanted: deque[asyncio.Future[Worker]] = deque()  # executions that found none idle; then none is
        self._lent: set[Worker] = set()
        self._starts: set[asyncio.Task[None]] = set()
        self._most_starts = (os.cpu_count() or 1) + SPARE_STARTS
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
        seat = Seat(self._scheduler, job.session, is_interactive=job.is_interactive)
        async with self._lend(seat, job.hold) as worker:
            supervisor = Supervisor(worker, job, serve, emit, message_bytes=self._settings.max_message_bytes)
            return await supervisor.run()

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[Worker]:
        """Lend one sandbox for the block; it is killed at its end.

        Raises:
            Busy, SandboxUnavailable: There is none to lend.
        """
        async with self._lend(Seat(self._scheduler), Hold()) as worker:
            yield worker

    @asynccontextmanager
    async def _lend(self, seat: Seat, hold: Hold) -> AsyncIterator[Worker]:
        """Wait for a program's place, which its hold gets, and for a sandbox to lend for the block."""
        try:
            worker = await self._begin(seat, hold)
            self._lent.add(worker)
            try:
                yield worker
            finally:
                worker.dismiss()
                if worker.ended.done():
                    self._lent.discard(worker)  # else it leaves when it ends: who closes meanwhile ends it, too
        finally:
            seat.end()

    def status(self) -> dict[str, rpc.Json]:
        """How many sandboxes there are and in what state, what isolates them, and what is wrong (null: nothing).

        Programs that are `asking` wait for a person or for their turn in a notebook, and are not among those `running`.
        """
        return {
            "deno": self._deno.version if self._deno is not None else None,
            "layers": self._spawner.layers if self._spawner is not None else 0,
            "warm": len(self._idle),
            "starting": len(self._starts),
            "running": self._scheduler.running,
            "asking": self._scheduler.held,
            "waiting": self._scheduler.waiting,
            "trouble": self._trouble,
        }

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

    async def _begin(self, seat: Seat, hold: Hold) -> Worker:
        """Wait for a program's place, then for a sandbox.

        Raises:
            Busy: Both together took too long; says what was missing, and where the program stands.
        """
        try:
            async with asyncio.timeout(self._settings.max_queue_s):
                if not seat.is_taken:
                    hold.queue()
                await seat.take()
                hold.begin(seat)
                return await self._take()
        except TimeoutError:
            raise self._busy(seat) from None

    def _busy(self, seat: Seat) -> errors.Busy:
        waited_s = self._settings.max_queue_s
        if seat.is_taken:
            trouble = f" ({self._trouble})" if self._trouble else ""
            return errors.Busy(
                f"Cannot start execution: no sandbox has started within {waited_s:g} s (Pctx.max_queue_s)"
                f"{trouble}; try again later"
            )
        return seat.refusal(waited_s, "(Pctx.max_running_per_session, Pctx.max_running)")

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
            worker.rehearse()
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
            why = f"Cannot start a sandbox: {processes.lack(error) or 'internal error; see the log'}"
            self._fail(why)
            while self._wanted:
                if not (wanted := self._wanted.popleft()).done():
                    wanted.set_exception(errors.SandboxUnavailable(why))
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
        """Handle the end of a sandbox: one that was lent is expected to end, and one that was idle is not."""
        self._lent.discard(worker)
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
