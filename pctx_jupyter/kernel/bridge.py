"""The bridge between a cell and the engine, as the kernel's threads use it.

The kernel's main thread may compute for minutes, but a connection, and the processes of an embedded engine, must always
be served. So the client runs on a thread of its own (`bridge_thread`), and a cell waits for its answer while it runs
the tool calls and shows the output that arrive meanwhile. Magics and values are unknown here: payloads pass through as
`Raw`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4
from weakref import WeakSet

import msgspec

from .. import errors
from ..handles.table import Handles, KernelHandles
from ..rpc import span_context, wire
from .bridge_thread import BridgeThread, ToolName
from .functions.tool import PythonTool
from .home import Home
from .mainthread import WaitingCell, uninterrupted
from .running import BridgeAnswer, BridgeRequest, Draw, Reserve, Running

if TYPE_CHECKING:
    from .guests import Guests  # it knows IPython, and this module does not

T = TypeVar("T")


class Bridge:
    """The connection of one kernel to its engine.

    Args:
        open_home: Opens the engine's home, on the bridge's loop.
        tools: Returns the tools that this kernel offers now; called before each program.
        guests: Runs the calls of guest programs; None: there is no loop that could run them between cells.

    Attributes:
        handles: What programs of this kernel use by handle.
    """

    def __init__(
        self,
        open_home: Callable[[], AbstractAsyncContextManager[Home]],
        tools: Callable[[], list[PythonTool]],
        guests: Guests | None = None,
    ) -> None:
        self._open_home, self._tools, self._guests = open_home, tools, guests
        self.handles = KernelHandles()
        self.handles.on_change = self._report_handles
        self.handles.on_main = None if guests is None else guests.soon
        self._is_report_due = False  # set by any thread, so that one report is on its way
        self._thread: BridgeThread | None = None
        self._lock = threading.RLock()  # an agent may call from any thread
        _bridges.add(self)

    # the main thread

    def open(self) -> None:
        """Begin to open the home, without waiting; does nothing if it is open or opening."""
        self._opened_thread()

    def close(self) -> None:
        """Close the home and end the thread; does nothing if there is none. The home may be opened again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    @property
    def home(self) -> concurrent.futures.Future[Home]:
        """The home, when it is open; begins to open it if necessary."""
        return self._opened_thread().home

    def do(self, work: Callable[[Home], Coroutine[Any, Any, T]], timeout_s: float, *, with_tools: bool = False) -> T:
        """Run a coroutine on the bridge's loop when the home is open, and wait for its result.

        Args:
            work: Receives the home, and returns the coroutine.
            timeout_s: Seconds it may take.
            with_tools: Whether changed tools are reported to the engine first.

        Raises:
            TimeoutError: It took longer than `timeout_s` seconds, and was cancelled.
            PctxError: The coroutine raised it.
        """
        thread = self._opened_thread()
        offered = self._offered() if with_tools else None
        future = asyncio.run_coroutine_threadsafe(thread.do(work, offered), thread.loop)
        try:
            return future.result(timeout_s)
        except BaseException:
            future.cancel()
            raise

    def report_tools(self) -> None:
        """Report changed tools to the engine when the home is open, without waiting.

        So an editor that asks the engine finds them before the first program that calls them.
        """
        thread = self._thread  # read once: another thread may close it at any moment
        if thread is not None and thread.is_of_use:
            thread.post(partial(thread.report_tools, self._offered()))

    def report_tools_soon(self) -> None:
        """Report changed tools when the main thread comes back to its loop, once for many changes; from any thread.

        The main thread lists the tools, because a changed function is read again for that. A terminal has no such loop:
        there the tools are listed at once.
        """
        if self._guests is None:
            self.report_tools()
        elif not self._is_report_due:
            self._is_report_due = True
            self._guests.soon(self._report_due)

    def _report_due(self) -> None:
        self._is_report_due = False  # first: a change from now on is a new one
        self.report_tools()

    def _report_handles(self) -> None:
        thread = self._thread
        if thread is not None and not thread.is_reporting_handles and thread.is_of_use:
            thread.is_reporting_handles = True
            thread.post(thread.report_handles)

    async def wait_for(
        self,
        asked: wire.Execute,
        draw: Draw | None = None,
        reserve: Reserve | None = None,
        handles: Handles | None = None,
    ) -> tuple[wire.Executed | Exception, Running]:
        """Run a program while the cell awaits it; returns its outcome.

        Args:
            asked: The program.
            draw: Receives its trace several times a second, on the bridge's thread, if it calls tools; None: no traces.
            reserve: Called on the bridge's thread before anything of the program is shown.
            handles: Holds the frames that it is given; None: it is given none.

        Raises:
            KeyboardInterrupt: The cell was interrupted; the program and its tools are being stopped.
        """
        running, start, stop = self._prepare(asked, draw, reserve, handles)
        await running.cell.wait(start, stop)
        return _executed(_outcome(running.cell)), running

    def block_for(
        self,
        asked: wire.Execute,
        draw: Draw | None = None,
        reserve: Reserve | None = None,
        handles: Handles | None = None,
    ) -> tuple[wire.Executed | Exception, Running]:
        """Run a program while this thread blocks, and return its outcome.

        Args:
            asked: The program.
            draw: Receives its trace several times a second, on the bridge's thread, if it calls tools; None: no traces.
            reserve: Called on the bridge's thread before anything of the program is shown.
            handles: Holds the frames that it is given; None: it is given none.

        Raises:
            KeyboardInterrupt: The cell was interrupted; the program and its tools are being stopped.
        """
        running, start, stop = self._prepare(asked, draw, reserve, handles)
        running.cell.block(start, stop)
        return _executed(_outcome(running.cell)), running

    async def wait_for_agent(
        self, asked: wire.CallAgentFunction, draw: Draw | None = None, reserve: Reserve | None = None
    ) -> wire.AgentAnswered:
        """Call a function for an agent of this notebook, from a coroutine of any loop; returns the answer.

        The tools that a program calls run on that loop, and so does what shows its output.

        Args:
            asked: The call.
            draw: Receives traces of the program it runs, on the bridge's thread; None: no traces.
            reserve: Called on the bridge's thread before anything of the program is shown.

        Raises:
            CancelledError: The caller was cancelled, or a tool interrupted; the program is being stopped.
            PctxError: The call could not be made.
        """
        running, start, stop = self._prepare(asked, draw, reserve, self.handles.guests, is_part=True)
        await running.cell.wait(start, stop)
        if running.cell.interrupt is not None:
            raise asyncio.CancelledError from running.cell.interrupt
        return _answered(_outcome(running.cell))

    def block_for_agent(
        self, asked: wire.CallAgentFunction, draw: Draw | None = None, reserve: Reserve | None = None
    ) -> wire.AgentAnswered:
        """Call a function for an agent of this notebook while this thread, which may be any, blocks.

        The tools that a program calls run on this thread.

        Args:
            asked: The call.
            draw: Receives traces of the program it runs, on the bridge's thread; None: no traces.
            reserve: Called on the bridge's thread before anything of the program is shown.

        Raises:
            KeyboardInterrupt: The cell was interrupted; the program is being stopped.
            PctxError: The call could not be made.
        """
        is_part = threading.current_thread() is not threading.main_thread()
        running, start, stop = self._prepare(asked, draw, reserve, self.handles.guests, is_part=is_part)
        running.cell.block(start, stop)
        return _answered(_outcome(running.cell))

    def _prepare(
        self,
        asked: BridgeRequest,
        draw: Draw | None = None,
        reserve: Reserve | None = None,
        handles: Handles | None = None,
        *,
        is_part: bool = False,
    ) -> tuple[Running, Callable[[], None], Callable[[], None]]:
        id = asked.execution_id or uuid4().hex
        meta = span_context.outgoing()  # of this thread: the request is sent from the bridge's
        asked = msgspec.structs.replace(asked, execution_id=id, calls=False, trace=draw is not None, meta=meta)
        if isinstance(asked, wire.Execute):
            asked = msgspec.structs.replace(asked, nonfinite=True)
        held = self.handles.of_run() if handles is None else handles
        agent = asked.agent if isinstance(asked, wire.CallAgentFunction) else ""
        running = Running(WaitingCell(is_part=is_part), held, draw=draw, reserve=reserve, agent=agent)
        thread = self._opened_thread()
        offered = self._offered()
        return (
            running,
            lambda: thread.begin(running, asked, offered),
            lambda: thread.post(partial(thread.stop, running)),
        )

    def _offered(self) -> dict[ToolName, PythonTool]:
        return {(tool.namespace, tool.name): tool for tool in self._tools()}

    def _opened_thread(self) -> BridgeThread:
        with self._lock:
            if self._thread is not None and not self._thread.is_of_use:
                self.close()
            if self._thread is None:
                with uninterrupted():  # a thread without a reference would never end
                    self._thread = BridgeThread(self._open_home, self._guests, self.handles)
            return self._thread

    def forget(self) -> None:
        """Drop the thread and its connection without closing them: after a fork they belong to the parent."""
        if self._thread is not None:
            _left_alone.append(self._thread)
            self._thread = None
        self._is_report_due = False
        self._lock = threading.RLock()  # a thread of the parent may have had the other one


def _outcome(cell: WaitingCell[T]) -> T:
    if cell.interrupt is not None:
        raise cell.interrupt
    assert cell.outcome is not None, "a wait ends with an outcome or an interrupt"
    return cell.outcome


def _executed(outcome: BridgeAnswer | Exception) -> wire.Executed | Exception:
    assert not isinstance(outcome, wire.AgentAnswered), "a program was asked for"
    return outcome


def _answered(outcome: BridgeAnswer | Exception) -> wire.AgentAnswered:
    if isinstance(outcome, Exception):
        raise errors.fresh(outcome) from None
    assert isinstance(outcome, wire.AgentAnswered), "a function was asked for"
    return outcome


# After a fork the child has the parent's sockets and pipes, but not the thread that uses them. It must neither use nor
# close them. So it keeps references to them, and starts a thread of its own when it needs one.

_bridges: WeakSet[Bridge] = WeakSet()
_left_alone: list[BridgeThread] = []


def _after_fork() -> None:
    for bridge in _bridges:
        bridge.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
