"""The bridge between a cell and the engine: an event loop on a thread of its own, on which the client runs.

The kernel's main thread may compute for minutes, but a connection, and the processes of an embedded engine, must always
be served. The bridge passes tool calls and output to the waiting cell, and results back. It does not know magics and
values: payloads pass through as `Raw`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4
from weakref import WeakSet

import msgspec
from msgspec import UNSET, Raw

from .. import errors
from ..handles.table import Handles, KernelHandles
from ..program.result import Display, Output
from ..rpc import span_context, wire
from .functions.calls import answered, begin, keep_nothing
from .functions.tool import PythonTool
from .held import listed
from .home import Home
from .hosting import host
from .inbox import Inbox
from .loops import new_loop
from .mainthread import Ended, PendingCall, WaitingCell, Withdraw, uninterrupted

if TYPE_CHECKING:
    from .guests import Guests  # it knows IPython, and this module does not

if TYPE_CHECKING:
    from ..client.client import ExecutionNotice

log = logging.getLogger(__name__)

T = TypeVar("T")

Draw = Callable[[Raw], None]
"""Receives the current trace of a run, a `trace.Trace` as JSON."""

Reserve = Callable[[], None]
"""Reserves the place of a run's timeline in the output; called before anything else of the run is shown."""

BridgeRequest = wire.Execute | wire.CallAgentFunction
"""What a cell waits for: a program of its own, or a function for its agent, which may run one."""
BridgeAnswer = wire.Executed | wire.AgentAnswered
"""What comes of it."""

_Name = tuple[str, str]
"""Namespace and name of a tool, as registered."""

KEPT_ERRORS = 100
"""Exceptions of tools that one execution keeps, the latest ones. Each keeps its frames in memory."""

HANDLES_S = 0.2
"""Seconds in which changes of handles become one report: a list that is read need not change more often."""

CLOSE_S = 3.0
"""Seconds that closing waits for the thread. Ending sandboxes and closing a connection takes far less."""


@dataclass(slots=True)
class Running:
    """One execution that a cell waits for.

    Attributes:
        raised: The exceptions of its tools, by the token that the program has.
        look: How the program's value is displayed; None: as its JSON.
        draw: Receives traces of the run, on the bridge's thread; None: none are requested.
        reserve: Reserves the place of the timeline, on the bridge's thread.
        handles: The frames that its program uses by handle.
        agent: The name of the agent of this notebook that runs it; empty: a cell does.
    """

    cell: WaitingCell[BridgeAnswer | Exception]
    handles: Handles
    raised: dict[str, BaseException] = field(default_factory=dict)
    look: Display | None = None
    draw: Draw | None = None
    reserve: Reserve | None = None
    task: asyncio.Task[None] | None = None
    agent: str = ""

    @property
    def handing(self) -> Handles:
        """Its handles, for a call of its program."""
        return self.handles.handing_to(self.agent) if self.agent else self.handles

    def show_first(self) -> None:
        """Reserve the place of the timeline, so that whatever follows is below it."""
        if self.reserve is not None:
            self.reserve()

    def keep(self, error: BaseException) -> str:
        """Keep a tool's exception; returns its token."""
        token = f"e{uuid4().hex[:12]}"
        self.raised[token] = error
        if len(self.raised) > KEPT_ERRORS:
            del self.raised[next(iter(self.raised))]
        return token


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
        self._life: _Life | None = None
        self._lock = threading.RLock()  # an agent may call from any thread
        _bridges.add(self)

    # the main thread

    def open(self) -> None:
        """Begin to open the home, without waiting; does nothing if it is open or opening."""
        self._live()

    def close(self) -> None:
        """Close the home and end the thread; does nothing if there is none. The home may be opened again."""
        life, self._life = self._life, None
        if life is not None:
            life.close()

    @property
    def home(self) -> concurrent.futures.Future[Home]:
        """The home, when it is open; begins to open it if necessary."""
        return self._live().home

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
        life = self._live()
        offered = self._offered() if with_tools else None
        future = asyncio.run_coroutine_threadsafe(life.do(work, offered), life.loop)
        try:
            return future.result(timeout_s)
        except BaseException:
            future.cancel()
            raise

    def report_tools(self) -> None:
        """Report changed tools to the engine when the home is open, without waiting.

        So an editor that asks the engine finds them before the first program that calls them.
        """
        life = self._life  # read once: another thread may close it at any moment
        if life is not None and life.is_of_use:
            life.post(partial(life.report_tools, self._offered()))

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
        life = self._life
        if life is not None and not life.is_reporting_handles and life.is_of_use:
            life.is_reporting_handles = True
            life.post(life.report_handles)

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
        life = self._live()
        offered = self._offered()
        return (
            running,
            lambda: life.begin(running, asked, offered),
            lambda: life.post(partial(life.stop, running)),
        )

    def _offered(self) -> dict[_Name, PythonTool]:
        return {(tool.namespace, tool.name): tool for tool in self._tools()}

    def _live(self) -> _Life:
        with self._lock:
            if self._life is not None and not self._life.is_of_use:
                self.close()
            if self._life is None:
                with uninterrupted():  # a thread without a reference would never end
                    self._life = _Life(self._open_home, self._guests, self.handles)
            return self._life

    def forget(self) -> None:
        """Drop the thread and its connection without closing them: after a fork they belong to the parent."""
        if self._life is not None:
            _left_alone.append(self._life)
            self._life = None
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


class _Life:
    """One period between opening and closing: a thread, its loop, and the home that is open in it."""

    def __init__(
        self, open_home: Callable[[], AbstractAsyncContextManager[Home]], guests: Guests | None, handles: KernelHandles
    ) -> None:
        self.loop = new_loop()
        self.home: concurrent.futures.Future[Home] = concurrent.futures.Future()
        self._open_home, self._guests, self._handles = open_home, guests, handles
        self.is_reporting_handles = False  # set by any thread, so that one report is on its way
        self._leaving: asyncio.TimerHandle | None = None
        self._errands = Inbox[Callable[[], None]](self.loop, lambda errand: errand())
        self._main: asyncio.Task[None] | None = None
        self._is_closing = False
        self._running: dict[str, Running] = {}
        self._offered_to: Home | None = None
        self._offered: dict[_Name, PythonTool] = {}
        self._offering = asyncio.Lock()
        self._offering_soon: asyncio.Task[None] | None = None
        self._tools: dict[_Name, PythonTool] = {}  # what is to be offered
        self._must_report = False
        self._reporting: asyncio.Task[None] | None = None
        self._leave: asyncio.Future[None]
        self._thread = threading.Thread(target=self._run, name="pctx-bridge", daemon=True)
        self._thread.start()

    @property
    def is_of_use(self) -> bool:
        """Whether the home is open, or opening."""
        home = self.home  # read once: another thread may replace it at any moment
        return not self._is_closing and not (home.done() and home.exception() is not None)

    # the main thread

    def begin(self, running: Running, asked: BridgeRequest, offered: dict[_Name, PythonTool]) -> None:
        if not self._errands.put(partial(self.start, running, asked, offered)):
            running.cell.post(Ended(_closed()))

    def post(self, errand: Callable[[], None]) -> None:
        self._errands.put(errand)

    def close(self) -> None:
        self.post(self._end)
        self._thread.join(CLOSE_S)

    # the bridge's thread

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self._main = self.loop.create_task(self._live())
        try:
            self.loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        except Exception:
            log.exception("bridge = cannot close its home")
        finally:
            self.home.cancel()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def _end(self) -> None:
        if self._main is not None:
            self._main.cancel()

    async def _live(self) -> None:
        try:
            while True:
                self._leave = self.loop.create_future()
                await self._stay()
        finally:
            await self._end_running()

    async def _stay(self) -> None:
        """Open a home and stay there until it is to be left for another, or this task is cancelled."""
        opening = self.home
        try:
            async with self._open_home() as home:
                home.client.on_reconnect = self._reconnected
                home.client.list_handles = self._list_handles
                home.client.forget_handle = self._handles.drop
                if self._guests is not None:
                    home.client.on_guest = self._guests.on_program
                opening.set_result(home)
                self._reconnected()
                try:
                    await self._leave
                except asyncio.CancelledError:
                    await self._end_running()  # while the home can still be reached
                    raise
        except Exception as error:
            if opening.done():
                raise
            log.exception("bridge = cannot open a home")
            opening.set_exception(error)
            await self._leave  # callers that are about to read `home` get the exception

    async def _end_running(self) -> None:
        self._is_closing = True
        tasks = [running.task for running in self._running.values() if running.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def do(
        self, work: Callable[[Home], Coroutine[Any, Any, T]], tools: dict[_Name, PythonTool] | None = None
    ) -> T:
        if tools is not None:
            self._tools = tools
        home = await self._opened()
        if tools is not None:
            if home.client.session_id is None:
                raise errors.ConnectionLost("Cannot ask: the connection is being opened again")
            await self._offer_soon(home)
        return await work(home)

    async def _offer_soon(self, home: Home) -> None:
        """Offer changed tools like `_offer`, for a caller that may be cancelled: the offer itself is not cancelled.

        A tool that cannot be offered is skipped; the next program gets the error.
        """
        if self._offering_soon is not None:
            await asyncio.wait([self._offering_soon])
        if self._offered_to is home and self._offered == self._tools:
            return
        if self._offering_soon is None or self._offering_soon.done():
            self._offering_soon = self.loop.create_task(self._offer(home))
            self._offering_soon.add_done_callback(_retrieved)
        await asyncio.wait([self._offering_soon])

    def report_tools(self, tools: dict[_Name, PythonTool]) -> None:
        self._tools = tools
        self._report_again()

    def _report_again(self) -> None:
        """Report all tools to a new connection or a new home, even if no program needs them yet."""
        self._must_report = bool(self._tools or self._offered)
        if self._must_report and not self._is_closing and (self._reporting is None or self._reporting.done()):
            self._reporting = self.loop.create_task(self._report())

    def _reconnected(self) -> None:
        """Report all that a new session has to know."""
        self._report_again()
        if any(self._handles.held()):
            self._send_handles()

    # the objects that programs use by handle

    def report_handles(self) -> None:
        """Report soon that they have changed, and once more when the next one leaves by itself."""
        self.loop.call_later(HANDLES_S, self._send_handles)

    def _send_handles(self) -> None:
        self.is_reporting_handles = False  # first: a change from now on is a new one
        if self._leaving is not None:
            self._leaving.cancel()
        left_s = self._handles.guests.next_leaves_s()
        self._leaving = None if left_s is None else self.loop.call_later(left_s + HANDLES_S, self._send_handles)
        if self.home.done() and not self.home.cancelled() and self.home.exception() is None:
            self.home.result().client.report_handles()

    def _list_handles(self) -> wire.HeldHandles:
        return listed(self._handles, [running.handles for running in self._running.values()])

    async def _report(self) -> None:
        """Offer all tools; without a connection, the next connection does it."""
        while self._must_report:
            self._must_report = False
            with suppress(errors.PctxError):
                await self.do(_nothing, self._tools)

    async def _opened(self) -> Home:
        try:
            return await asyncio.shield(asyncio.wrap_future(self.home))  # a caller that is cancelled does not close it
        except Exception as error:  # the same for all who wait
            raise errors.fresh(error) from None

    async def _opened_instead(self, of: Home) -> Home:
        """Leave a home that cannot be reached, unless it has been left already; returns the next one."""
        if self.home.done() and self.home.exception() is None and self.home.result() is of:
            self.home = concurrent.futures.Future()
            self._leave.set_result(None)
        return await self._opened()

    def start(self, running: Running, asked: BridgeRequest, tools: dict[_Name, PythonTool]) -> None:
        assert asked.execution_id is not None
        if self._is_closing:
            running.cell.post(Ended(_closed()))
            return
        id = asked.execution_id
        self._running[id], self._tools = running, tools
        running.task = self.loop.create_task(self._execute(running, asked))
        running.task.add_done_callback(lambda task: self._ended(id))  # also if stopped before it began

    def _ended(self, id: str) -> None:
        running = self._running.pop(id, None)
        if running is not None and running.handles is not self._handles.guests and len(running.handles):
            self.report_handles()

    def stop(self, running: Running) -> None:
        if running.task is not None:
            running.task.cancel()

    async def _execute(self, running: Running, asked: BridgeRequest) -> None:
        outcome: BridgeAnswer | Exception
        try:
            home = await self._opened()
            try:
                outcome = await self._execute_at(home, running, asked)
            except errors.CannotConnect as error:  # nothing was sent: the server is gone, or does not know this kernel
                log.info("bridge = opening another home: %s", error)
                home = await self._opened_instead(home)
                outcome = await self._execute_at(home, running, asked)
        except asyncio.CancelledError:
            outcome = _closed()
        except Exception as error:
            outcome = error
        running.cell.post(Ended(outcome))

    async def _execute_at(self, home: Home, running: Running, asked: BridgeRequest) -> BridgeAnswer:
        await self._offer(home)
        if isinstance(asked, wire.CallAgentFunction):
            return await home.client.call_agent(asked, on_notice=partial(_on_event_of_agent, running))
        return await home.client.execute(asked, on_notice=partial(_on_event, running))

    # tools

    async def _offer(self, home: Home) -> None:
        """Report to the engine which tools were added, changed and removed since the last time."""
        async with self._offering:
            tools = self._tools  # the current ones: a caller that waited for the lock must not restore an older state
            if self._offered_to is not home:
                self._offered_to, self._offered = home, {}
            offered = self._offered
            for namespace, name in offered.keys() - tools.keys():
                del offered[namespace, name]
                try:
                    await home.client.unregister_tool(namespace, name)
                except errors.ToolNotFound:
                    log.debug("bridge = %s.%s had gone already", namespace, name)
            changed = [tool for name, tool in tools.items() if offered.get(name) is not tool]
            await asyncio.gather(*(self._offer_one(home, tool, offered) for tool in changed))

    async def _offer_one(self, home: Home, tool: PythonTool, offered: dict[_Name, PythonTool]) -> None:
        asked = wire.RegisterTool(
            tool.namespace,
            tool.name,
            tool.description,
            tool.input_schema,
            tool.output_schema,
            replace=True,
            share=tool.share,
            effects=tool.effects,
            nonfinite=True,
            code_hash=tool.code_hash,
        )
        await home.client.offer(asked, partial(self._serve, home, tool))
        offered[tool.namespace, tool.name] = tool

    async def _serve(self, home: Home, tool: PythonTool, asked: wire.ExecuteTool) -> Raw:
        """Run a tool in the waiting cell; for a guest program, run it between the kernel's cells."""
        arguments = None if asked.arguments is UNSET else asked.arguments
        context = span_context.received(asked.meta)
        if asked.asked_by is not None:
            handles = self._handles.guests.handing_to(asked.whose)
            call = span_context.within(context, partial(begin, keep_nothing, tool, arguments, handles))
            return answered(tool, await host(self._guests, home.client, tool, asked, call, lambda: bool(self._running)))
        running = self._running.get(asked.execution_id)
        if running is None:
            raise errors.ToolFailed(f"Cannot call {tool.path}: no cell waits for this execution", name="NotWaiting")
        answer: asyncio.Future[Raw | BaseException] = self.loop.create_future()
        job = PendingCall(
            span_context.within(context, partial(begin, running.keep, tool, arguments, running.handing)),
            lambda outcome: self.post(partial(_settle, answer, outcome)),
        )
        running.show_first()
        running.cell.post(job)
        try:
            return answered(tool, await answer)
        except asyncio.CancelledError:
            running.cell.post(Withdraw(job))
            raise


async def _nothing(home: Home) -> None:
    """Send no request."""


def _retrieved(task: asyncio.Task[None]) -> None:
    """Retrieve a task's exception, so asyncio does not log it as unretrieved."""
    if not task.cancelled():
        task.exception()


def _closed() -> errors.PctxError:
    return errors.Cancelled("Cannot finish execution: the extension was unloaded; %load_ext pctx_jupyter loads it")


def _on_event(running: Running, notice: ExecutionNotice) -> None:
    match notice:
        case wire.OutputNotice(_, stream, text, level):
            running.show_first()
            running.cell.post(Output(stream, text, level))
        case wire.DisplayNotice(_, data, metadata, display_id, update, is_value):
            shown = Display(data, None if metadata is UNSET else metadata, display_id, update, is_value)
            if is_value:
                running.look = shown
            else:
                running.show_first()
                running.cell.post(shown)
        case wire.TraceNotice(_, trace) if running.draw is not None:
            running.draw(trace)


def _on_event_of_agent(running: Running, notice: ExecutionNotice) -> None:
    """Show what an agent's program displays, and how it goes; what it prints is for the agent."""
    match notice:
        case wire.DisplayNotice(_, data, metadata, display_id, update):
            running.cell.post(Display(data, None if metadata is UNSET else metadata, display_id, update))
        case wire.TraceNotice(_, trace) if running.draw is not None:
            running.draw(trace)


def _settle(answer: asyncio.Future[Raw | BaseException], outcome: Raw | BaseException) -> None:
    if not answer.done():
        answer.set_result(outcome)


# After a fork the child has the parent's sockets and pipes, but not the thread that uses them. It must neither use nor
# close them. So it keeps references to them, and starts a thread of its own when it needs one.

_bridges: WeakSet[Bridge] = WeakSet()
_left_alone: list[_Life] = []


def _after_fork() -> None:
    for bridge in _bridges:
        bridge.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
