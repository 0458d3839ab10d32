"""Guests: calls of this notebook's tools by programs of others, run on the kernel's main thread between its cells.

A call begins when no cell runs: at once in an idle kernel, else after the current cell and before the next. An
asynchronous tool that has begun goes on as any task of the kernel's loop does, and no cell waits for it. What a tool
prints and shows lands in the output of the cell that ran last.

Knows ipykernel's loop, handlers and signals; nothing of connections, programs and JSON.
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
from .mainthread import TICK_S, GuestCall, stepwise
from .output.notices import Notices

log = logging.getLogger(__name__)

S = TypeVar("S")

EXECUTE = "execute_request"
"""The message with which a front end runs a cell."""

TURN_S = 2.0
"""Seconds after which calls that wait let the next cell go first."""

MOST_TRACEBACKS = 5
"""Tracebacks of failed calls that are shown between two cells."""


class Guests:
    """The guests of one kernel.

    Args:
        shell: The kernel's.

    Attributes:
        notices: What the notebook shows of them.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.notices = Notices(lambda: self._context)
        self._shell = shell
        self._kernel: Any = shell.kernel  # type: ignore[attr-defined]  # a terminal's shell has none
        self._execute: Callable[..., Any] | None = None
        self._context = contextvars.Context()  # of the cell that ran last: what runs in it shows its output there
        self._inbox: Inbox[Callable[[], None]] | None = None
        self._waiting: deque[GuestCall] = deque()
        self._going_on: set[GuestCall] = set()  # asynchronous calls that have begun
        self._cells = 0
        self._is_looking = False
        self._is_in_tool = False
        self._is_interrupted = False
        self._tracebacks = 0

    def load(self, *, in_cell: bool) -> None:
        """Hear of cells from now on.

        Args:
            in_cell: Whether a cell is running already.
        """
        handlers = self._kernel.shell_handlers
        self._execute, handlers[EXECUTE] = handlers[EXECUTE], self._run_cell
        if in_cell:
            self._cells += 1
            self._shell.events.register("post_execute", self._end_of_first_cell)

    def unload(self) -> None:
        """Hear of cells no more; calls that wait never begin."""
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
        """What keeps a call from beginning now, in a few words."""
        if self._cells:
            return "waits: a cell of the notebook is running"
        return "waits: another call is running in the notebook" if self._is_in_tool else None

    @property
    def is_ready(self) -> bool:
        """Whether the kernel's loop runs, or soon will."""
        return getattr(self._kernel, "io_loop", None) is not None

    def put(self, call: GuestCall) -> None:
        """Have a call run when its turn comes."""
        self._do(partial(self._queue, call))

    def withdraw(self, call: GuestCall) -> None:
        """Nobody waits for this call any more: it never begins, or is cancelled; a sync one runs to its end."""
        call.is_withdrawn = True  # seen even while the loop is busy
        self._do(partial(_cancel, call))

    def hear(self, heard: wire.GuestHeard) -> None:
        """Have it shown that somebody's program begins to call, or has ended."""
        if self.is_ready:
            self._do(partial(self.notices.hear, heard))

    def _do(self, act: Callable[[], None]) -> None:
        """Have a function called on the kernel's loop, soon, in the order in which they were given."""
        if self._inbox is None:
            self._inbox = Inbox(self._loop, lambda act: act(), contextvars.Context())
        self._inbox.put(act)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = self._kernel.io_loop.asyncio_loop
        return loop

    # cells, on the main thread

    async def _run_cell(self, stream: object, ident: object, parent: dict[str, Any]) -> None:
        """Handle an ``execute_request``: those who wait go first, then the cell, and nobody begins meanwhile."""
        assert self._execute is not None
        if threading.current_thread() is not threading.main_thread():  # a subshell's
            await _awaited(self._execute(stream, ident, parent))
            return
        self._take_turns()
        self._cells += 1
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
            # In a turn of its own: until then ipykernel still has its own handler of interrupts in place.
            self._loop.call_soon(self._after_cell)

    def _after_cell(self) -> None:
        self._heed_interrupts()
        self._look()

    # calls, on the main thread

    def _queue(self, call: GuestCall) -> None:
        self._waiting.append(call)
        self._look()

    def _look(self) -> None:
        """Begin the next call if it may: one in a turn of the loop, so that a cell may come in between."""
        if self._waiting and not self._cells and not self._is_looking:
            self._is_looking = True
            self._loop.call_soon(self._next, context=contextvars.Context())

    def _next(self) -> None:
        self._is_looking = False
        if self._waiting and not self._cells:
            self._begin(self._waiting.popleft())
        self._look()

    def _take_turns(self) -> None:
        """Begin those that wait, before a cell: not those that come meanwhile, nor for too long."""
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
        except BaseException as error:  # SystemExit too: a tool ends itself, never the kernel
            self._settle(call, error, context)
        else:
            if isinstance(made, Raw):
                self._settle(call, made, context)
            else:
                call.task = self._loop.create_task(self._go_on(call, made, context), context=context)
                self._going_on.add(call)
                self._heed_interrupts()
                self._tick()

    async def _go_on(self, call: GuestCall, work: Awaitable[Raw], context: contextvars.Context) -> None:
        # Nothing leaves this task: a SystemExit or KeyboardInterrupt in it would end the kernel's loop.
        outcome: Raw | BaseException
        try:
            outcome = await stepwise(work, self._interruptible)
        except asyncio.CancelledError:
            outcome = KeyboardInterrupt() if call.is_interrupted else errors.Cancelled("The tool was cancelled")
        except BaseException as error:
            outcome = error
        self._going_on.discard(call)
        self._heed_interrupts()
        self._settle(call, outcome, None)

    def _settle(self, call: GuestCall, outcome: Raw | BaseException, context: contextvars.Context | None) -> None:
        """End a call: show what is left to be shown in its context (None: this one), and say what came of it."""
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
            log.exception("guests = cannot show what a tool has left")

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
            # No call and no jump but the tool's own between these lines: only there does Python look for signals.
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
            # From a signal handler: only the thread-safe call wakes a loop that sleeps.
            self._loop.call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        for call in list(self._going_on):
            call.is_interrupted = True
            _cancel(call)

    def _heed_interrupts(self) -> None:
        """Take the place of "ignore", and give it back. While a cell runs, interrupts are the cell's."""
        current = signal.getsignal(signal.SIGINT)
        if self._going_on and current is signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._on_sigint)
        elif not self._going_on and current == self._on_sigint:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _tick(self) -> None:
        """Wake the loop now and then while calls go on: a signal may reach another thread, and then wakes nobody."""
        if self._going_on:
            self._loop.call_later(TICK_S, self._tick)


async def _awaited(made: object) -> None:
    if inspect.isawaitable(made):
        await made


def _cancel(call: GuestCall) -> None:
    if call.task is not None:
        call.task.cancel()


def _show_figures() -> None:
    """Show what was plotted, as a cell does when it ends."""
    backend = sys.modules.get("matplotlib_inline.backend_inline")
    if backend is not None and "matplotlib.pyplot" in sys.modules:
        backend.flush_figures()
