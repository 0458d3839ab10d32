"""Guests: calls of this notebook's tools by guest programs, run on the kernel's main thread between its cells.

A call begins when no cell runs: at once in an idle kernel, otherwise after the current cell and before the next. An
asynchronous tool that has begun continues like any task of the kernel's loop, and no cell waits for it. A tool's output
appears in the output of the cell that ran last.

This module knows ipykernel's loop, handlers and signals. It does not know connections, programs and JSON.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import signal
import sys
import threading
import types
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from IPython.core.interactiveshell import InteractiveShell
from msgspec import Raw

from .. import errors
from ..rpc import wire
from .functions.tracebacks import has_user_frames, traceback_of_user_frames
from .inbox import Inbox
from .mainthread import TICK_S, GuestCall, pass_interrupts_on, stepwise
from .output.notices import Notices

log = logging.getLogger(__name__)

S = TypeVar("S")

EXECUTE = "execute_request"
"""The message with which a front end runs a cell."""

TURN_S = 2.0
"""Seconds after which waiting calls let the next cell run first."""

MOST_TRACEBACKS = 5
"""Tracebacks of failed calls that are shown between two cells, at most."""


class Guests:
    """The guest calls of one kernel.

    Args:
        shell: The kernel's shell.

    Attributes:
        notices: What the notebook shows of guest programs.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.notices = Notices(lambda: self._context)
        self._shell = shell
        self._kernel: Any = shell.kernel  # type: ignore[attr-defined]  # a terminal's shell has none
        self._execute: Callable[..., Any] | None = None
        self._context = contextvars.Context()  # of the cell that ran last: output in this context appears there
        self._inbox: Inbox[Callable[[], None]] | None = None
        self._waiting: deque[GuestCall] = deque()
        self._going_on: set[GuestCall] = set()  # asynchronous calls that have begun
        self._cells = 0
        self._is_next_scheduled = False
        self._is_in_tool = False
        self._is_interrupted = False
        self._tracebacks = 0

    def load(self, *, in_cell: bool) -> None:
        """Wrap the kernel's handler of cells, to know when one begins and ends.

        Args:
            in_cell: Whether a cell is running already.
        """
        handlers = self._kernel.shell_handlers
        self._execute, handlers[EXECUTE] = handlers[EXECUTE], self._run_cell
        if in_cell:
            self._cells += 1
            self._shell.events.register("post_execute", self._end_of_first_cell)

    def unload(self) -> None:
        """Unwrap the handler of cells. Waiting calls never begin, and running ones are cancelled."""
        handlers = self._kernel.shell_handlers
        if self._execute is not None and handlers[EXECUTE] == self._run_cell:
            handlers[EXECUTE] = self._execute
        with suppress(ValueError):  # it is not registered
            self._shell.events.unregister("post_execute", self._end_of_first_cell)
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            call.settle(errors.Cancelled("The call never began: the extension was unloaded"))
        for call in list(self._going_on):
            assert call.task is not None
            call.task.cancel()

    # any thread

    @property
    def hindrance(self) -> str | None:
        """Why a call cannot begin now, as a short text; None: it can."""
        if self._cells:
            return "waits: a cell of the notebook is running"
        return "waits: another call is running in the notebook" if self._is_in_tool else None

    @property
    def is_ready(self) -> bool:
        """Whether the kernel's loop runs, or will run soon."""
        return getattr(self._kernel, "io_loop", None) is not None

    def put(self, call: GuestCall) -> None:
        """Queue a call; it runs when no cell does."""
        self._do(partial(self._queue, call))

    def withdraw(self, call: GuestCall) -> None:
        """Cancel a call. If it has not begun, it never does; a synchronous tool that runs continues to its end."""
        call.is_withdrawn = True  # seen even while the loop is busy
        self._do(partial(_cancel, call))

    def soon(self, act: Callable[[], None]) -> None:
        """Run a function on the kernel's main thread, when it comes back to its loop; at once if it has no loop."""
        if self.is_ready:
            self._do(act)
        else:
            act()

    def on_program(self, notice: wire.GuestNotice) -> None:
        """Show that a guest program begins to call this notebook's tools, or has ended."""
        if self.is_ready:
            self._do(partial(self.notices.update, notice))

    def _do(self, act: Callable[[], None]) -> None:
        """Schedule a function on the kernel's loop; functions run in the order in which they were scheduled."""
        if self._inbox is None:
            self._inbox = Inbox(self._loop, lambda act: act(), contextvars.Context())
        self._inbox.put(act)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = self._kernel.io_loop.asyncio_loop
        return loop

    # cells, on the main thread

    async def _run_cell(self, stream: object, ident: object, parent: dict[str, Any]) -> None:
        """Handle an ``execute_request``: run waiting calls first, then the cell. No call begins while the cell runs."""
        assert self._execute is not None
        if threading.current_thread() is not threading.main_thread():  # a subshell's
            await _awaited(self._execute(stream, ident, parent))
            return
        self._begin_waiting()
        self._cells += 1
        pass_interrupts_on()
        try:
            await _awaited(self._execute(stream, ident, parent))
        finally:
            content = parent.get("content", {})
            self._end_cell(is_seen=bool(content.get("store_history", True)) and not content.get("silent", False))

    def _end_of_first_cell(self) -> None:
        self._shell.events.unregister("post_execute", self._end_of_first_cell)
        self._end_cell(is_seen=True)

    def _end_cell(self, *, is_seen: bool) -> None:
        self._cells -= 1
        if is_seen:
            self._context = contextvars.copy_context()
            self._tracebacks = 0
            self.notices.cell_ended()
        if self.is_ready:
            # In the next iteration of the loop: until then ipykernel's own signal handler is still installed.
            self._loop.call_soon(self._after_cell)

    def _after_cell(self) -> None:
        self._update_signal_handler()
        self._schedule_next()

    # calls, on the main thread

    def _queue(self, call: GuestCall) -> None:
        self._waiting.append(call)
        self._schedule_next()

    def _schedule_next(self) -> None:
        """Schedule the next call if it may begin: one per iteration of the loop, so a cell can begin in between."""
        if self._waiting and not self._cells and not self._is_next_scheduled:
            self._is_next_scheduled = True
            self._loop.call_soon(self._next, context=contextvars.Context())

    def _next(self) -> None:
        self._is_next_scheduled = False
        if self._waiting and not self._cells:
            self._begin(self._waiting.popleft())
        self._schedule_next()

    def _begin_waiting(self) -> None:
        """Begin the calls that wait now, before a cell: for `TURN_S` seconds at most."""
        self._is_interrupted = False
        until = self._loop.time() + TURN_S
        for _ in range(len(self._waiting)):
            if self._is_interrupted or self._loop.time() > until:
                break
            self._begin(self._waiting.popleft())

    def _begin(self, call: GuestCall) -> None:
        if call.is_withdrawn:
            return
        call.began()
        context = self._context.copy()
        try:
            made = context.run(self._interruptible, call.call)
        except BaseException as error:  # SystemExit too: a tool must not end the kernel
            self._settle(call, error, context)
        else:
            if isinstance(made, Raw):
                self._settle(call, made, context)
            else:
                call.task = self._loop.create_task(self._go_on(call, made, context), context=context)
                self._going_on.add(call)
                self._update_signal_handler()
                self._tick()

    async def _go_on(self, call: GuestCall, work: Awaitable[Raw], context: contextvars.Context) -> None:
        # No exception may leave this task: a SystemExit or KeyboardInterrupt would end the kernel's loop.
        outcome: Raw | BaseException
        try:
            outcome = await stepwise(work, self._interruptible)
        except asyncio.CancelledError:
            outcome = KeyboardInterrupt() if call.is_interrupted else errors.Cancelled("The tool was cancelled")
        except BaseException as error:
            outcome = error
        self._going_on.discard(call)
        self._update_signal_handler()
        self._settle(call, outcome, None)

    def _settle(self, call: GuestCall, outcome: Raw | BaseException, context: contextvars.Context | None) -> None:
        """End a call: show its figures and traceback in its context (None: this one), and report the outcome."""
        show = partial(self._show_rest, outcome)
        show() if context is None else context.run(show)
        if not call.is_withdrawn:
            call.settle(outcome)

    def _show_rest(self, outcome: Raw | BaseException) -> None:
        try:
            if not self._cells:
                _show_figures()
            if isinstance(outcome, BaseException):
                self._show_traceback(outcome)
        except Exception:
            log.exception("guests = cannot show the output of a tool")

    def _show_traceback(self, error: BaseException) -> None:
        cause = error.__cause__ if isinstance(error, errors.ToolFailed) and error.__cause__ is not None else error
        if self._tracebacks < MOST_TRACEBACKS and has_user_frames(cause):
            self._tracebacks += 1
            sys.stderr.write(traceback_of_user_frames(cause) + "\n")

    # interrupts: an idle kernel ignores them, unless a call is going on

    def _interruptible(self, call: Callable[[], S]) -> S:
        self._is_interrupted = False
        before = signal.signal(signal.SIGINT, self._on_sigint)
        try:
            # Python checks for signals at calls and jumps. Between these lines there is none but the tool's own.
            self._is_in_tool = True
            try:
                return call()
            finally:
                self._is_in_tool = False
        finally:
            signal.signal(signal.SIGINT, before)
            if self._is_interrupted and self._cells:  # it was meant for the cell
                self._is_interrupted = False
                signal.raise_signal(signal.SIGINT)

    def _on_sigint(self, signum: int, frame: types.FrameType | None) -> None:
        if self._is_in_tool:
            self._is_interrupted = True
            raise KeyboardInterrupt
        if self._going_on and not self._cells:
            # In a signal handler, only the thread-safe call wakes a loop that sleeps.
            self._loop.call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        for call in list(self._going_on):
            call.is_interrupted = True
            _cancel(call)

    def _update_signal_handler(self) -> None:
        """Handle SIGINT while calls run and the kernel ignores it; restore "ignore" afterwards.

        While a cell runs, interrupts are for the cell.
        """
        current = signal.getsignal(signal.SIGINT)
        if self._going_on and current is signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._on_sigint)
        elif not self._going_on and current == self._on_sigint:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _tick(self) -> None:
        """Wake the loop regularly while calls run: a signal that reaches another thread does not wake it."""
        if self._going_on:
            self._loop.call_later(TICK_S, self._tick)


async def _awaited(made: object) -> None:
    if inspect.isawaitable(made):
        await made


def _cancel(call: GuestCall) -> None:
    if call.task is not None:
        call.task.cancel()


def _show_figures() -> None:
    """Show open figures, as the end of a cell does."""
    backend = sys.modules.get("matplotlib_inline.backend_inline")
    if backend is not None and "matplotlib.pyplot" in sys.modules:
        backend.flush_figures()
