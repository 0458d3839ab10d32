"""The bridge: a loop on a thread of its own, where the client to the engine lives, and the way from there to a cell.

The kernel's main thread computes for minutes at a time; a connection, and the processes of an embedded engine, need
someone who is always awake. The bridge hands tool calls and output to the waiting cell and takes results back, one
hop each way. It knows neither magics nor values: payloads pass through as `Raw`.
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
from ..program.result import Display, Output
from ..rpc import wire
from .functions.calls import answered, begin, keep_nothing
from .functions.tool import PythonTool
from .home import Home
from .hosting import host
from .inbox import Inbox
from .loops import new_loop
from .mainthread import Ended, PendingCall, WaitingCell, Withdraw, uninterrupted

if TYPE_CHECKING:
    from .guests import Guests  # it knows IPython, and this module does not

if TYPE_CHECKING:
    from ..client.client import Heard

log = logging.getLogger(__name__)

T = TypeVar("T")

Draw = Callable[[Raw], None]
"""Takes the trace of a run as it is now: JSON as `trace.Trace` has it."""

_Name = tuple[str, str]
"""Namespace and name of a tool, as registered."""

KEPT_ERRORS = 100
"""Exceptions of tools that one execution keeps, the latest ones: each holds the frames it went through."""

CLOSE_S = 3.0
"""Seconds that closing waits for the thread: ending sandboxes and saying goodbye to a server take far less."""


@dataclass(slots=True)
class Running:
    """One execution that a cell waits for.

    Attributes:
        raised: The exceptions of its tools, by the token under which the program knows them.
        look: How the program's value looks; None: as its JSON.
        draw: Hears how the run goes, on the bridge's thread; None: nobody wants to know.
    """

    cell: WaitingCell[wire.Executed | Exception]
    raised: dict[str, BaseException] = field(default_factory=dict)
    look: Display | None = None
    draw: Draw | None = None
    task: asyncio.Task[None] | None = None

    def keep(self, error: BaseException) -> str:
        """Keep a tool's exception; returns its token."""
        token = f"e{uuid4().hex[:12]}"
        self.raised[token] = error
        if len(self.raised) > KEPT_ERRORS:
            del self.raised[next(iter(self.raised))]
        return token


class Bridge:
    """One kernel's way to its engine.

    Args:
        open_home: Opens the engine's home, on the bridge's loop.
        tools: Returns the tools this kernel offers now; asked before each program.
        guests: Runs the calls of others' programs; None: there is no loop that would run them between cells.
    """

    def __init__(
        self,
        open_home: Callable[[], AbstractAsyncContextManager[Home]],
        tools: Callable[[], list[PythonTool]],
        guests: Guests | None = None,
    ) -> None:
        self._open_home, self._tools, self._guests = open_home, tools, guests
        self._life: _Life | None = None
        _bridges.add(self)

    # the main thread

    def open(self) -> None:
        """Begin to open the home, without waiting; does nothing when it is open or opening."""
        self._live()

    def close(self) -> None:
        """Close the home and end the thread; does nothing when there is none. It may be opened again."""
        life, self._life = self._life, None
        if life is not None:
            life.close()

    @property
    def home(self) -> concurrent.futures.Future[Home]:
        """The home, once it is open; opening begins at the latest now."""
        return self._live().home

    def do(self, work: Callable[[Home], Coroutine[Any, Any, T]], timeout_s: float, *, with_tools: bool = False) -> T:
        """Have something done on the bridge's loop, once the home is open, and wait for it.

        Args:
            work: Takes the home.
            timeout_s: Seconds it may take.
            with_tools: Whether the engine is told first which tools have changed.

        Raises:
            TimeoutError: It took longer than `timeout_s` seconds; it was cancelled.
            PctxError: What the work raises.
        """
        life = self._live()
        offered = self._offered() if with_tools else None
        future = asyncio.run_coroutine_threadsafe(life.do(work, offered), life.loop)
        try:
            return future.result(timeout_s)
        except BaseException:
            future.cancel()
            raise

    def tell(self) -> None:
        """Have the engine told which tools have changed, once the home is open; without waiting.

        An editor that asks the engine by itself then knows them before the first program that calls them.
        """
        if self._life is not None and self._life.is_of_use:
            self._life.post(partial(self._life.tell, self._offered()))

    async def wait_for(
        self, asked: wire.Execute, draw: Draw | None = None
    ) -> tuple[wire.Executed | Exception, Running]:
        """Run a program while the cell waits, awaited; returns what came of it.

        Args:
            asked: The program.
            draw: Hears its trace now and then, on the bridge's thread, if it calls tools; None: nobody does.

        Raises:
            KeyboardInterrupt: The cell was interrupted; the program and its tools are being stopped.
        """
        running, start, stop = self._prepare(asked, draw)
        await running.cell.wait(start, stop)
        return _outcome(running.cell), running

    def block_for(self, asked: wire.Execute, draw: Draw | None = None) -> tuple[wire.Executed | Exception, Running]:
        """Do the same, blocking this thread."""
        running, start, stop = self._prepare(asked, draw)
        running.cell.block(start, stop)
        return _outcome(running.cell), running

    def _prepare(
        self, asked: wire.Execute, draw: Draw | None = None
    ) -> tuple[Running, Callable[[], None], Callable[[], None]]:
        id = asked.execution_id or uuid4().hex
        asked = msgspec.structs.replace(asked, execution_id=id, calls=False, trace=draw is not None, nonfinite=True)
        running = Running(WaitingCell(), draw=draw)
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
        if self._life is not None and not self._life.is_of_use:
            self.close()
        if self._life is None:
            with uninterrupted():  # a thread that nobody holds would never end
                self._life = _Life(self._open_home, self._guests)
        return self._life

    def forget(self) -> None:
        """Leave the thread and its connection alone: after a fork they are the parent's."""
        if self._life is not None:
            _left_alone.append(self._life)
            self._life = None


def _outcome(cell: WaitingCell[T]) -> T:
    if cell.interrupt is not None:
        raise cell.interrupt
    assert cell.outcome is not None, "a wait ends with an outcome or an interrupt"
    return cell.outcome


class _Life:
    """One life of the bridge: a thread, its loop, and the home open in it."""

    def __init__(self, open_home: Callable[[], AbstractAsyncContextManager[Home]], guests: Guests | None) -> None:
        self.loop = new_loop()
        self.home: concurrent.futures.Future[Home] = concurrent.futures.Future()
        self._open_home, self._guests = open_home, guests
        self._errands = Inbox[Callable[[], None]](self.loop, lambda errand: errand())
        self._main: asyncio.Task[None] | None = None
        self._is_closing = False
        self._running: dict[str, Running] = {}
        self._offered_to: Home | None = None
        self._offered: dict[_Name, PythonTool] = {}
        self._offering = asyncio.Lock()
        self._offering_soon: asyncio.Task[None] | None = None
        self._tools: dict[_Name, PythonTool] = {}  # what is to be offered
        self._is_to_tell = False
        self._telling: asyncio.Task[None] | None = None
        self._leave: asyncio.Future[None]
        self._thread = threading.Thread(target=self._run, name="pctx-bridge", daemon=True)
        self._thread.start()

    @property
    def is_of_use(self) -> bool:
        """Whether the home is open, or opening."""
        home = self.home  # once: another may be in its place at any moment
        return not self._is_closing and not (home.done() and home.exception() is not None)

    # the main thread

    def begin(self, running: Running, asked: wire.Execute, offered: dict[_Name, PythonTool]) -> None:
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
                home.client.on_reconnect = self._tell_again
                if self._guests is not None:
                    home.client.on_guest = self._guests.hear
                opening.set_result(home)
                self._tell_again()
                try:
                    await self._leave
                except asyncio.CancelledError:
                    await self._end_running()  # as long as there is a home to say it to
                    raise
        except Exception as error:
            if opening.done():
                raise
            log.exception("bridge = cannot open a home")
            opening.set_exception(error)
            await self._leave  # for those who are on their way to hear of it

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
        """Do what `_offer` does, for one who may give up waiting: that leaves no tool half offered, and no queue.

        What cannot be offered is left out; the next program says why.
        """
        if self._offering_soon is not None:
            await asyncio.wait([self._offering_soon])
        if self._offered_to is home and self._offered == self._tools:
            return
        if self._offering_soon is None or self._offering_soon.done():
            self._offering_soon = self.loop.create_task(self._offer(home))
            self._offering_soon.add_done_callback(_seen)
        await asyncio.wait([self._offering_soon])

    def tell(self, tools: dict[_Name, PythonTool]) -> None:
        self._tools = tools
        self._tell_again()

    def _tell_again(self) -> None:
        """Tell a new connection, or a new home, what the last one may not have heard: nobody may ask for long."""
        self._is_to_tell = bool(self._tools or self._offered)
        if self._is_to_tell and not self._is_closing and (self._telling is None or self._telling.done()):
            self._telling = self.loop.create_task(self._tell())

    async def _tell(self) -> None:
        """Offer what there is; while there is no connection, that is left to the next one."""
        while self._is_to_tell:
            self._is_to_tell = False
            with suppress(errors.PctxError):
                await self.do(_nothing, self._tools)

    async def _opened(self) -> Home:
        return await asyncio.shield(asyncio.wrap_future(self.home))  # one who gives up waiting does not close it

    async def _opened_instead(self, of: Home) -> Home:
        """Leave a home where nobody can be reached, unless that was done already; returns the one that follows."""
        if self.home.done() and self.home.exception() is None and self.home.result() is of:
            self.home = concurrent.futures.Future()
            self._leave.set_result(None)
        return await self._opened()

    def start(self, running: Running, asked: wire.Execute, tools: dict[_Name, PythonTool]) -> None:
        assert asked.execution_id is not None
        if self._is_closing:
            running.cell.post(Ended(_closed()))
            return
        id = asked.execution_id
        self._running[id], self._tools = running, tools
        running.task = self.loop.create_task(self._execute(running, asked))
        running.task.add_done_callback(lambda task: self._running.pop(id, None))  # one stopped before it began, too

    def stop(self, running: Running) -> None:
        if running.task is not None:
            running.task.cancel()

    async def _execute(self, running: Running, asked: wire.Execute) -> None:
        outcome: wire.Executed | Exception
        try:
            home = await self._opened()
            try:
                outcome = await self._execute_at(home, running, asked)
            except errors.CannotConnect as error:  # so nothing was asked: a server gone, or one that forgot this kernel
                log.info("bridge = looks for another home: %s", error)
                home = await self._opened_instead(home)
                outcome = await self._execute_at(home, running, asked)
        except asyncio.CancelledError:
            outcome = _closed()
        except Exception as error:
            outcome = error
        running.cell.post(Ended(outcome))

    async def _execute_at(self, home: Home, running: Running, asked: wire.Execute) -> wire.Executed:
        await self._offer(home)
        return await home.client.execute(asked, hear=partial(_hear, running))

    # tools

    async def _offer(self, home: Home) -> None:
        """Tell the engine which tools came, changed and went since the last time."""
        async with self._offering:
            tools = self._tools  # as they are by now: who waited here longer must not undo what others have told
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
        )
        await home.client.offer(asked, partial(self._serve, home, tool))
        offered[tool.namespace, tool.name] = tool

    async def _serve(self, home: Home, tool: PythonTool, asked: wire.ExecuteTool) -> Raw:
        """Have the waiting cell run a tool, or the kernel between its cells, for a program of somebody else."""
        arguments = None if asked.arguments is UNSET else asked.arguments
        if asked.asked_by is not None:
            call = partial(begin, keep_nothing, tool, arguments)
            return answered(tool, await host(self._guests, home.client, tool, asked, call, lambda: bool(self._running)))
        running = self._running.get(asked.execution_id)
        if running is None:
            raise errors.ToolFailed(f"Cannot call {tool.path}: no cell waits for this execution", name="NotWaiting")
        answer: asyncio.Future[Raw | BaseException] = self.loop.create_future()
        job = PendingCall(
            partial(begin, running.keep, tool, arguments), lambda outcome: self.post(partial(_settle, answer, outcome))
        )
        running.cell.post(job)
        try:
            return answered(tool, await answer)
        except asyncio.CancelledError:
            running.cell.post(Withdraw(job))
            raise


async def _nothing(home: Home) -> None:
    """Ask nothing."""


def _seen(task: asyncio.Task[None]) -> None:
    """Take an outcome for which nobody may be waiting any more."""
    if not task.cancelled():
        task.exception()


def _closed() -> errors.PctxError:
    return errors.Cancelled("Cannot finish execution: the extension was unloaded; %load_ext pctx_jupyter loads it")


def _hear(running: Running, heard: Heard) -> None:
    match heard:
        case wire.OutputHeard(_, stream, text, level):
            running.cell.post(Output(stream, text, level))
        case wire.DisplayHeard(_, data, metadata, display_id, update, is_value):
            shown = Display(data, None if metadata is UNSET else metadata, display_id, update, is_value)
            if is_value:
                running.look = shown
            else:
                running.cell.post(shown)
        case wire.TraceHeard(_, trace) if running.draw is not None:
            running.draw(trace)


def _settle(answer: asyncio.Future[Raw | BaseException], outcome: Raw | BaseException) -> None:
    if not answer.done():
        answer.set_result(outcome)


# After a fork the child has the parent's sockets and pipes, but not the thread that uses them. It must neither use nor
# close them; so it keeps them, and starts a life of its own when it needs one.

_bridges: WeakSet[Bridge] = WeakSet()
_left_alone: list[_Life] = []


def _after_fork() -> None:
    for bridge in _bridges:
        bridge.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
