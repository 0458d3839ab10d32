"""The cell that waits for its program: it runs tools and shows output on its own thread, in its own context.

Knows nothing of magics, connections and JSON. Two forms share every line: *awaited*, on the kernel's loop, and
*blocking*, on a private loop of the same thread (`loops`). While the cell waits, one SIGINT handler decides what an
interrupt means: inside a tool it raises ``KeyboardInterrupt`` there, anywhere else it ends the wait. So it is never
raised in the middle of our own work, and always exactly once.
"""

from __future__ import annotations

import asyncio
import contextvars
import signal
import sys
import threading
import types
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from msgspec import Raw

from .. import errors
from ..program.result import Display, Output, Stream
from .inbox import Inbox
from .loops import Outside, run_private
from .output import levels

S = TypeVar("S")
T = TypeVar("T")

MAX_DEPTH = 8
"""Programs that may wait for one another: each needs a sandbox of its own and a stretch of Python's stack."""

GRACE_S = 0.5
"""Seconds that cancelled tools have for their own cleaning up: an interrupt has to be through within one second."""

TICK_S = 0.2
"""Seconds between two looks for an interrupt: a signal may reach another thread, and on Windows it wakes nobody."""

_depth: ContextVar[int] = ContextVar("pctx_depth", default=0)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put an interrupt off until the block is through, on the main thread; elsewhere there are none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    put_off: list[int] = []
    before = signal.signal(signal.SIGINT, lambda signum, frame: put_off.append(signum))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if put_off:
            signal.raise_signal(signal.SIGINT)


class PendingCall:
    """One tool call. It is made and settled on the bridge's loop, and run in the waiting cell.

    Args:
        call: Runs the tool and returns its result, or what to await for it.
        settle: Takes the outcome, from the cell's thread; called at most once, and never for a job that was withdrawn
            or interrupted.
    """

    def __init__(self, call: Callable[[], Raw | Awaitable[Raw]], settle: Callable[[Raw | BaseException], None]) -> None:
        self.call, self.settle = call, settle
        self.is_withdrawn = False
        self.task: asyncio.Task[None] | None = None


class GuestCall(PendingCall):
    """One call by a program of somebody else.

    Args:
        call, settle: As for `PendingCall`; an interrupt settles it, too, as a `KeyboardInterrupt`.
        began: Called when its turn has come.
    """

    def __init__(
        self,
        call: Callable[[], Raw | Awaitable[Raw]],
        settle: Callable[[Raw | BaseException], None],
        began: Callable[[], None],
    ) -> None:
        super().__init__(call, settle)
        self.began = began
        self.is_interrupted = False


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Nobody waits for this job any more: skip it, or cancel it if it is async; a sync one runs to its end."""

    job: PendingCall


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """The program is over."""

    outcome: T


Work = Output | Display | PendingCall | Withdraw | Ended[T]
"""What may be sent to a waiting cell."""


class WaitingCell(Generic[T]):
    """One wait for one program, with an inbox of its own; used once.

    Attributes:
        outcome: What `Ended` brought; None when the wait was interrupted first.
        interrupt: Set when it was interrupted; it has a traceback if a tool was.

    Raises:
        InvalidParams: Too many programs wait for each other.
    """

    def __init__(self) -> None:
        self.outcome: T | None = None
        self.interrupt: KeyboardInterrupt | None = None
        self._context = contextvars.copy_context()
        depth = self._context.run(_depth.get) + 1
        if depth > MAX_DEPTH:
            raise errors.InvalidParams(
                f"Cannot run program: {MAX_DEPTH} programs already wait for one another, each run by a tool of the "
                "one before; end the recursion"
            )
        self._context.run(_depth.set, depth)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inbox: Inbox[Work[T]] | None = None
        self._done: asyncio.Future[None] | None = None
        self._outside: Outside | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_in_tool = False
        self._is_heeding = False
        self._is_over = False
        self._stream: Stream = "stdout"

    # any thread

    def post(self, work: Work[T]) -> None:
        """Send the cell something to do; nothing happens once the wait is over."""
        if self._inbox is not None and not self._is_over:
            self._inbox.put(work)

    # the cell's thread

    async def wait(self, start: Callable[[], None], stop: Callable[[], None]) -> None:
        """Start a program, serve it until it ends or an interrupt comes, and stop it in the latter case.

        Raises nothing: look at `outcome` and `interrupt`.

        Args:
            start: Starts it; from then on work may be posted.
            stop: Called when the wait ends before the program has.
        """
        with self._heeding_interrupts():
            await self._serve(start, stop)

    def block(self, start: Callable[[], None], stop: Callable[[], None]) -> None:
        """Do the same, blocking this thread."""
        with self._heeding_interrupts():
            self._outside = Outside()
            run_private(self._serve(start, stop))

    async def _serve(self, start: Callable[[], None], stop: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._done = self._loop.create_future()
        self._inbox = Inbox(self._loop, self._take, self._context)
        self._tick()
        try:
            if self.interrupt is None:
                start()
                try:
                    await self._done
                except asyncio.CancelledError:  # how ipykernel interrupts a cell that awaits something else
                    self._interrupted()
                if self.outcome is None:
                    stop()
        finally:
            await self._cancel_tools()
            self._is_over = True
            if self._ticking is not None:
                self._ticking.cancel()

    def _tick(self) -> None:
        if self._loop is not None:
            self._ticking = self._loop.call_later(TICK_S, self._tick)

    async def _cancel_tools(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE_S)

    # work

    def _take(self, work: Work[T]) -> None:
        match work:
            case Output():
                self._print(work)
            case Display():
                self._show(work)
            case PendingCall():
                self._run(work)
            case Withdraw(job):
                job.is_withdrawn = True
                if job.task is not None:
                    job.task.cancel()
            case Ended(outcome):
                self.outcome = outcome
                self._wake()

    def _show(self, shown: Display) -> None:
        from .output import publisher

        publisher.publish(shown)

    def _print(self, printed: Output) -> None:
        self._turn_to(printed.stream)
        stream = getattr(sys, printed.stream)
        stream.write(levels.painted(printed) if levels.are_seen(stream) else printed.text)

    def _turn_to(self, stream: Stream) -> None:
        if stream != self._stream:  # two buffers: keep the order between them
            getattr(sys, self._stream).flush()
            self._stream = stream

    def _run(self, job: PendingCall) -> None:
        # An interrupted program is stopped: its calls get no answer that it could go on with.
        if job.is_withdrawn or self.interrupt is not None:
            return
        self._turn_to("stdout")  # where a tool is likely to print
        try:
            with self._as_outside():
                made = self._interruptible(job.call)
        except KeyboardInterrupt as error:
            self._interrupted(error)
        except BaseException as error:  # SystemExit too: a tool ends itself, never the kernel
            job.settle(error)
        else:
            if isinstance(made, Raw):
                job.settle(made)
            else:
                job.task = asyncio.get_running_loop().create_task(self._run_async(job, made))
                self._tasks.add(job.task)
                job.task.add_done_callback(self._tasks.discard)

    async def _run_async(self, job: PendingCall, work: Awaitable[Raw]) -> None:
        # Nothing leaves this task: a SystemExit or KeyboardInterrupt in it would end the kernel's loop.
        try:
            outcome: Raw | BaseException = await stepwise(work, self._interruptible)
        except asyncio.CancelledError:
            outcome = errors.Cancelled("The tool was cancelled")
        except KeyboardInterrupt as error:
            self._interrupted(error)
            return
        except BaseException as error:
            outcome = error
        if not job.is_withdrawn and self.interrupt is None:
            job.settle(outcome)

    def _as_outside(self) -> Any:
        """Let a tool see the running loop that its cell sees; a private loop is our own affair."""
        if self._outside is None or self._loop is None:
            return nullcontext()
        return self._outside.back(self._loop)

    # interrupts

    @contextmanager
    def _heeding_interrupts(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():  # a subshell: Python gives it no signals
            yield
            return
        self._is_heeding = True
        before = signal.signal(signal.SIGINT, self._on_sigint)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
            self._is_heeding = False

    def _interruptible(self, call: Callable[[], S]) -> S:
        # No call and no jump but the tool's own between these lines: only there does Python look for signals.
        self._is_in_tool = True
        try:
            return call()
        finally:
            self._is_in_tool = False

    def _on_sigint(self, signum: int, frame: types.FrameType | None) -> None:
        # ipykernel may put this handler back after the wait: then there is nothing to interrupt.
        if not self._is_heeding:
            return
        if self._is_in_tool:
            self._interrupted()
            raise KeyboardInterrupt
        self._interrupted()

    def _interrupted(self, error: KeyboardInterrupt | None = None) -> None:
        if error is not None or self.interrupt is None:
            self.interrupt = error or KeyboardInterrupt()
        if self._loop is not None and not self._is_over:
            # From a signal handler: only the thread-safe call wakes a loop that sleeps.
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)


@types.coroutine
def stepwise(work: Awaitable[S], run: Callable[[Callable[[], Any]], Any]) -> Generator[Any, Any, S]:
    """Await something with each of its steps run by `run`, which may have an interrupt raised inside of it."""
    steps = work.__await__()
    resume = partial(steps.send, None)
    while True:
        try:
            awaited = run(resume)
        except StopIteration as stop:
            result: S = stop.value
            return result
        try:
            resume = partial(steps.send, (yield awaited))
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as error:
            resume = partial(steps.throw, error)
