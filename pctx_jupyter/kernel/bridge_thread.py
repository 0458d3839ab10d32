"""One period in which a bridge is open: a thread, its event loop, and the engine's home that is open in it.

What runs on this thread talks to the engine. It offers the kernel's tools, starts and stops executions, and passes
their tool calls and output to the cells that wait for them.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import UNSET, Raw

from .. import errors, processes
from ..handles.table import KernelHandles
from ..rpc import span_context, wire
from .functions.calls import answered, begin, keep_nothing
from .functions.tool import PythonTool
from .held import listed
from .home import Home
from .hosting import host
from .inbox import Inbox
from .loops import new_loop
from .mainthread import Ended, PendingCall, Withdraw
from .running import BridgeAnswer, BridgeRequest, Running, show_agents_notice, show_notice

if TYPE_CHECKING:
    from .guests import Guests  # it knows IPython, and this module does not

log = logging.getLogger(__name__)

T = TypeVar("T")

ToolName = tuple[str, str]
"""Namespace and name of a tool, as registered."""

HANDLES_S = 0.2
"""Seconds in which changes of handles become one report: a list that is read need not change more often."""

CLOSE_S = 3.0
"""Seconds that closing waits for the thread. Ending sandboxes and closing a connection takes far less."""


class BridgeThread:
    """One period between opening and closing: a thread, its loop, and the home that is open in it.

    Args:
        open_home: Opens the engine's home, on the thread's loop.
        guests: Runs the calls of guest programs; None: there is no loop that could run them between cells.
        handles: What programs of this kernel use by handle.

    Raises:
        OSError, RuntimeError: There can be no more files, or no more threads.
    """

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
        self._offered: dict[ToolName, PythonTool] = {}
        self._offering = asyncio.Lock()
        self._offering_soon: asyncio.Task[None] | None = None
        self._tools: dict[ToolName, PythonTool] = {}  # what is to be offered
        self._must_report = False
        self._reporting: asyncio.Task[None] | None = None
        self._leave: asyncio.Future[None]
        self._can_return = False  # to the server, from an engine of this kernel
        self._has_kept = False  # whether a program has kept something in the session of this home
        self._thread = threading.Thread(target=self._run, name="pctx-bridge", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self.loop.close()
            raise

    @property
    def is_of_use(self) -> bool:
        """Whether the home is open, or opening."""
        home = self.home  # read once: another thread may replace it at any moment
        return not self._is_closing and not (home.done() and home.exception() is not None)

    # the main thread

    def begin(self, running: Running, asked: BridgeRequest, offered: dict[ToolName, PythonTool]) -> None:
        """Start an execution from another thread; its cell gets an error at once if this thread is about to end.

        Args:
            running: The execution.
            asked: What is to be executed; it has an id.
            offered: The tools that its program may call.
        """
        if not self._errands.put(partial(self.start, running, asked, offered)):
            running.cell.post(Ended(_closed()))

    def post(self, errand: Callable[[], None]) -> None:
        """Call a function on this thread, from another one; it is dropped if this thread has ended."""
        self._errands.put(errand)

    def close(self) -> None:
        """Close the home, and wait for the end of the thread for `CLOSE_S` seconds at most."""
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
                self._can_return = self._has_kept = False
                returning = self.loop.create_task(self._await_server(home))
                try:
                    await self._leave
                except asyncio.CancelledError:
                    await self._end_running()  # while the home can still be reached
                    raise
                finally:
                    returning.cancel()
                    await asyncio.wait([returning])
        except Exception as error:
            if opening.done():
                raise
            shown = as_shown(error)
            if not isinstance(shown, errors.PctxError):  # its text is what the cell shows
                log.exception("bridge = cannot open a home")
            opening.set_exception(shown)
            await self._leave  # callers that are about to read `home` get the exception

    async def _end_running(self) -> None:
        self._is_closing = True
        tasks = [running.task for running in self._running.values() if running.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def do(
        self, work: Callable[[Home], Coroutine[Any, Any, T]], tools: dict[ToolName, PythonTool] | None = None
    ) -> T:
        """Run a coroutine once the home is open, and return its result.

        Args:
            work: Receives the home, and returns the coroutine.
            tools: The tools to offer to the engine first; None: none are offered.

        Raises:
            ConnectionLost: Tools cannot be offered, because the connection is being opened again.
        """
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

    def report_tools(self, tools: dict[ToolName, PythonTool]) -> None:
        """Offer these tools to the engine, without waiting."""
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
            self._leave_home()
        return await self._opened()

    def _leave_home(self) -> None:
        self.home = concurrent.futures.Future()
        self._leave.set_result(None)

    async def _await_server(self, home: Home) -> None:
        """Return to the server once it answers, from an engine of this kernel."""
        if home.reach_server is not None:
            self._can_return = await home.reach_server()
            self._return_if_idle()

    def _return_if_idle(self) -> None:
        """Return to the server if no program runs. What a program has kept is in this engine: then stay here."""
        if self._can_return and not (self._running or self._has_kept or self._is_closing or self._leave.done()):
            self._can_return = False
            log.info("bridge = returning to the server")
            self._leave_home()

    def start(self, running: Running, asked: BridgeRequest, tools: dict[ToolName, PythonTool]) -> None:
        """Start an execution, on this thread."""
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
        self._return_if_idle()

    def stop(self, running: Running) -> None:
        """Stop an execution, on this thread."""
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
            outcome = as_shown(error)
        if isinstance(outcome, wire.Executed) and outcome.kept:
            self._has_kept = True
        running.cell.post(Ended(outcome))

    async def _execute_at(self, home: Home, running: Running, asked: BridgeRequest) -> BridgeAnswer:
        await self._offer(home)
        if isinstance(asked, wire.CallAgentFunction):
            return await home.client.call_agent(asked, on_notice=partial(show_agents_notice, running))
        return await home.client.execute(asked, on_notice=partial(show_notice, running))

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

    async def _offer_one(self, home: Home, tool: PythonTool, offered: dict[ToolName, PythonTool]) -> None:
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


def as_shown(error: Exception) -> Exception:
    """Return an error as the cell shows it: one that says what is short, if that is why it was raised."""
    why = processes.lack(error)
    return error if why is None else errors.SandboxUnavailable(f"Cannot run program: {why}")


def _closed() -> errors.PctxError:
    return errors.Cancelled("Cannot finish execution: the extension was unloaded; %load_ext pctx_jupyter loads it")


def _settle(answer: asyncio.Future[Raw | BaseException], outcome: Raw | BaseException) -> None:
    if not answer.done():
        answer.set_result(outcome)
