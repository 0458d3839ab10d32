"""The cell that waits for its program: it runs tools and shows output on its own thread, in its own context.

This module does not know magics, connections and JSON. There are two forms with the same code: *awaited*, on the
kernel's loop, and *blocking*, on a private loop of the same thread (`loops`). While the cell waits, one SIGINT handler
handles
interrupts: inside a tool it raises ``KeyboardInterrupt`` there, anywhere else it ends the wait. So the exception is
raised exactly once, and never inside our own code.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
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
"""Nested programs, at most: each needs a sandbox of its own and a part of Python's stack."""

GRACE_S = 0.5
"""Seconds that cancelled tools have to clean up: an interrupt has to be complete within one second."""

TICK_S = 0.2
"""Seconds between two checks for an interrupt: a signal may reach another thread, which does not wake the loop."""

_turn = threading.RLock()
"""Held by a thread, other than the main thread, that runs a tool: of an agent's parallel calls, one runs its tools."""

_depth: ContextVar[int] = ContextVar("pctx_depth", default=0)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay an interrupt until the block has ended. Other threads than the main thread receive none."""
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
    """One tool call. It is created and settled on the bridge's loop, and runs in the waiting cell.

    Args:
        call: Runs the tool and returns its result, or an awaitable of it.
        settle: Receives the outcome, on the cell's thread; called at most once, and never for a call that was
            cancelled or interrupted.
    """

    def __init__(self, call: Callable[[], Raw | Awaitable[Raw]], settle: Callable[[Raw | BaseException], None]) -> None:
        self.call, self.settle = call, settle
        self.is_withdrawn = False
        self.task: asyncio.Task[None] | None = None


class GuestCall(PendingCall):
    """One call by a guest program.

    Args:
        call, settle: As for `PendingCall`; an interrupt also settles it, with a `KeyboardInterrupt`.
        began: Called when the call begins to run.
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
    """The call was cancelled: skip it, or cancel its task; a synchronous tool that runs continues to its end."""

    call: PendingCall


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """The program has ended."""

    outcome: T


Work = Output | Display | PendingCall | Withdraw | Ended[T]
"""What may be sent to a waiting cell."""


class WaitingCell(Generic[T]):
    """The wait of one cell for one program, with an inbox of its own; used once.

    Args:
        is_part: Whether the wait is a part of what the cell does, perhaps beside others, as that of an agent is. Then
            it leaves interrupts to the cell, except while one of its tools runs, and it may be on any thread.

    Attributes:
        outcome: The outcome of the program; None if the wait was interrupted before.
        interrupt: Set if the wait was interrupted; it has a traceback if a tool was interrupted.

    Raises:
        InvalidParams: Too many programs wait for each other.
    """

    def __init__(self, *, is_part: bool = False) -> None:
        self._is_part = is_part
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
        self._is_handling_interrupts = False
        self._is_over = False
        self._stream: Stream = "stdout"

    # any thread

    def post(self, work: Work[T]) -> None:
        """Send work to the cell; it is dropped when the wait has ended."""
        if self._inbox is not None and not self._is_over:
            self._inbox.put(work)

    # the cell's thread

    async def wait(self, start: Callable[[], None], stop: Callable[[], None]) -> None:
        """Start a program and serve it until it ends. On an interrupt, stop it.

        It raises nothing: read `outcome` and `interrupt`.

        Args:
            start: Starts the program; from then on work may be posted.
            stop: Called if the wait ends before the program.
        """
        with self._handling_interrupts():
            await self._serve(start, stop)

    def block(self, start: Callable[[], None], stop: Callable[[], None]) -> None:
        """Start a program and serve it until it ends, like `wait`, but block this thread."""
        is_elsewhere = threading.current_thread() is not threading.main_thread()
        if is_elsewhere:
            _elsewhere.add(self)
        try:
            with self._handling_interrupts():
                self._outside = Outside()
                run_private(self._serve(start, stop))
        finally:
            _elsewhere.discard(self)

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
                except asyncio.CancelledError:  # this is how ipykernel interrupts a cell that awaits something else
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
            case Withdraw(call):
                call.is_withdrawn = True
                if call.task is not None:
                    call.task.cancel()
            case Ended(outcome):
                self.outcome = outcome
                self._wake()

    def _show(self, shown: Display) -> None:
        from .output import publisher

        publisher.publish(shown)

    def _print(self, printed: Output) -> None:
        self._turn_to(printed.stream)
        stream = getattr(sys, printed.stream)
        stream.write(levels.shown(printed, stream))

    def _turn_to(self, stream: Stream) -> None:
        if stream != self._stream:  # the streams have separate buffers: keep the order
            getattr(sys, self._stream).flush()
            self._stream = stream

    def _run(self, call: PendingCall) -> None:
        # An interrupted program is stopped: an answer to its calls would let it continue.
        if call.is_withdrawn or self.interrupt is not None:
            return
        self._turn_to("stdout")  # a tool is likely to print there
        try:
            with self._as_outside():
                made = self._interruptible(call.call)
        except KeyboardInterrupt as error:
            self._interrupted(error)
        except BaseException as error:  # SystemExit too: a tool must not end the kernel
            call.settle(error)
        else:
            if isinstance(made, Raw):
                call.settle(made)
            else:
                call.task = asyncio.get_running_loop().create_task(self._run_async(call, made))
                self._tasks.add(call.task)
                call.task.add_done_callback(self._tasks.discard)
                call.task.add_done_callback(lambda _: close_unbegun(made))

    async def _run_async(self, call: PendingCall, work: Awaitable[Raw]) -> None:
        # No exception may leave this task: a SystemExit or KeyboardInterrupt would end the kernel's loop.
        try:
            outcome: Raw | BaseException = await stepwise(work, self._interruptible)
        except asyncio.CancelledError:
            outcome = errors.Cancelled("The tool was cancelled")
        except KeyboardInterrupt as error:
            self._interrupted(error)
            return
        except BaseException as error:
            outcome = error
        if not call.is_withdrawn and self.interrupt is None:
            call.settle(outcome)

    def _as_outside(self) -> Any:
        """Show a tool the running loop of its cell, and hide our private loop from it."""
        if self._outside is None or self._loop is None:
            return nullcontext()
        return self._outside.back(self._loop)

    # interrupts

    @contextmanager
    def _handling_interrupts(self) -> Iterator[None]:
        # The thread of a subshell receives no signals.
        if self._is_part or threading.current_thread() is not threading.main_thread():
            yield
            return
        self._is_handling_interrupts = True
        before = signal.signal(signal.SIGINT, self._on_sigint)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
            self._is_handling_interrupts = False

    def _interruptible(self, call: Callable[[], S]) -> S:
        if self._is_part:
            return self._interruptible_part(call)
        # Python checks for signals at calls and jumps. Between these lines there is none but the tool's own.
        self._is_in_tool = True
        try:
            return call()
        finally:
            self._is_in_tool = False

    def _interruptible_part(self, call: Callable[[], S]) -> S:
        if threading.current_thread() is not threading.main_thread():
            with _turn:
                return call()
        was_interrupted = self.interrupt is not None
        before = signal.signal(signal.SIGINT, self._on_sigint)
        try:
            self._is_handling_interrupts = self._is_in_tool = True
            try:
                return call()
            finally:
                self._is_handling_interrupts = self._is_in_tool = False
        finally:
            signal.signal(signal.SIGINT, before)
            if (
                self.interrupt is not None and not was_interrupted
            ):  # it is meant for the whole cell, and not for the tool only
                signal.raise_signal(signal.SIGINT)

    def _on_sigint(self, signum: int, frame: types.FrameType | None) -> None:
        # ipykernel may restore this handler after the wait: then there is nothing to interrupt.
        if not self._is_handling_interrupts:
            return
        if self._is_in_tool:
            self._interrupted()
            raise KeyboardInterrupt
        self._interrupted()

    def _interrupted(self, error: KeyboardInterrupt | None = None) -> None:
        if error is not None or self.interrupt is None:
            self.interrupt = error or KeyboardInterrupt()
        if self._loop is not None and not self._is_over:
            # In a signal handler, only the thread-safe call wakes a loop that sleeps.
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)


_elsewhere: set[WaitingCell[Any]] = set()
"""The waits that block a thread other than the main thread."""


def pass_interrupts_on() -> None:
    """Let an interrupt of the cell that runs end the waits on other threads, too: the cell may wait for those threads.

    It holds until the kernel sets a handler of its own again, as it does for each cell. Does nothing where another
    handler than Python's is set, or on another thread than the main thread.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt_all)


def _interrupt_all(signum: int, frame: types.FrameType | None) -> None:
    for cell in list(_elsewhere):
        cell._interrupted()
    signal.default_int_handler(signum, frame)


def close_unbegun(work: object) -> None:
    """Close a coroutine that was cancelled before its first step, and those among its arguments.

    Python warns of a coroutine that nobody awaited.
    """
    if inspect.iscoroutine(work) and inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
        arguments = list(inspect.getcoroutinelocals(work).values())
        work.close()
        for one in arguments:
            close_unbegun(one)


@types.coroutine
def stepwise(work: Awaitable[S], run: Callable[[Callable[[], Any]], Any]) -> Generator[Any, Any, S]:
    """Await something. Each of its steps is called through `run`, in which an interrupt may be raised."""
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
            resume = partial(_throw, steps, [error])


def _throw(steps: Generator[Any, Any, S], once: list[BaseException]) -> Any:
    """Throw an error into steps. Its own traceback refers to this call, so the call must not refer to the error."""
    return steps.throw(once.pop())
