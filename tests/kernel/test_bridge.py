"""The bridge and the waiting cell, both forms. Real: thread, loops, channels, client, session. Fake: the program, which
is a Python coroutine in place of a sandbox."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import multiprocessing
import signal
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from pctx_jupyter import errors
from pctx_jupyter.client.raw import RawClient
from pctx_jupyter.handles.table import Handles
from pctx_jupyter.kernel.bridge import Bridge
from pctx_jupyter.kernel.functions import tool as tools
from pctx_jupyter.kernel.home import Home
from pctx_jupyter.kernel.mainthread import MAX_DEPTH, close_unbegun
from pctx_jupyter.kernel.running import Running
from pctx_jupyter.program.result import Emit, Output
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc import wire
from pctx_jupyter.rpc.channel import Channel, OnNotification, Serve, crossed
from pctx_jupyter.session.execution import Job, ServeCall
from pctx_jupyter.session.local_tools import LocalTools
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.settings import Settings

from ..fakes import SOON, FakeSandbox, read
from ..recorded import recording

Program = Callable[["Sandbox"], Awaitable[Any]]


class Sandbox:
    """What a fake program can do: call tools, print, and see whether it was stopped."""

    def __init__(self, serve: ServeCall, emit: Emit) -> None:
        self._serve, self._emit = serve, emit

    async def call(self, path: str, **arguments: Any) -> Any:
        return read(await self._serve(path, rpc.raw(arguments)))

    def print(self, text: str, stream: Any = "stdout") -> None:
        self._emit(Output(stream, text))


class Kernel:
    """A bridge to a session whose programs are `programs`, by their code, and the tools of a notebook."""

    def __init__(self, guests: Any = None) -> None:
        self.programs: dict[str, Program] = {}
        self.tools: dict[str, tools.PythonTool] = {}
        self.homes_opened = 0
        self.reach_server: Callable[[], Awaitable[bool]] | None = None
        self.stopped = threading.Event()
        self.bridge = Bridge(self._home, lambda: list(self.tools.values()), guests)

    def tool(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self.tools[function.__name__] = tools.define(function)
        return function

    def program(self, program: Program) -> Program:
        self.programs[program.__name__] = program
        return program

    @asynccontextmanager
    async def _home(self) -> AsyncIterator[Home]:
        self.homes_opened += 1
        settings = Settings()
        registry = self.registry = Registry(FakeSandbox(self._act), settings, time.monotonic)

        async def connect(serve: Serve, on_notification: OnNotification) -> Channel:
            return crossed(
                lambda send: Channel(
                    send,
                    serve=serve,
                    on_notification=on_notification,
                    name="kernel",
                    max_bytes=settings.max_message_bytes,
                ),
                lambda send: LocalTools(registry, settings, send).channel,
            )[0]

        async with RawClient(connect=connect, reconnect=False) as client:
            yield Home(client, "embedded", "a test opened it", reach_server=self.reach_server)

    async def _act(self, job: Job, serve: ServeCall, emit: Emit) -> Any:
        try:
            return await self.programs[job.program.code](Sandbox(serve, emit))
        except asyncio.CancelledError:
            self.stopped.set()
            raise

    def run(self, name: str, form: str = "blocking") -> Any:
        """What a cell does; returns the program's value, raises its error."""
        return self.run_all(name, form)[0]

    def run_all(self, name: str, form: str = "blocking") -> tuple[Any, Running]:
        asked = wire.Execute(name)
        if form == "awaited":
            outcome, running = _on_kernel_loop(lambda: self.bridge.wait_for(asked))
        elif form == "nested":  # %%time around %%pctx, in a kernel

            async def cell() -> Any:
                return self.bridge.block_for(asked)

            outcome, running = _on_kernel_loop(cell)
        else:
            outcome, running = self.bridge.block_for(asked)
        if isinstance(outcome, Exception):
            raise outcome
        return read(outcome.value), running


def _on_kernel_loop(cell: Callable[[], Any]) -> Any:
    """Run a cell as ipykernel does: a task that keeps whatever the cell raises to itself."""

    async def task() -> Any:
        try:
            return await cell(), None
        except BaseException as error:
            return None, error

    loop = asyncio.new_event_loop()  # not asyncio.run: it has an interrupt handler of its own
    try:
        value, error = loop.run_until_complete(task())
    finally:
        for left in asyncio.all_tasks(loop):
            left.cancel()
            loop.run_until_complete(asyncio.wait([left]))
        loop.close()
    if error is not None:
        raise error
    return value


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    yield kernel
    kernel.bridge.close()
    for name in list(kernel.tools):
        tools.forget(f"Notebook.{name}")


forms = pytest.mark.parametrize("form", ["awaited", "nested", "blocking"])


@forms
def test_a_program_calls_a_tool_on_the_cells_thread_and_in_its_context(kernel: Kernel, form: str) -> None:
    place: contextvars.ContextVar[str] = contextvars.ContextVar("place", default="elsewhere")

    @kernel.tool
    def where(n: int) -> list[Any]:
        return [n, place.get(), threading.current_thread() is threading.main_thread()]

    @kernel.program
    async def asks(sandbox: Sandbox) -> Any:
        return await sandbox.call("Notebook.where", n=3)

    place.set("this cell")
    assert kernel.run("asks", form) == [3, "this cell", True]


@forms
def test_async_tools_of_one_program_overlap(kernel: Kernel, form: str) -> None:
    meeting: list[asyncio.Future[str]] = []

    @kernel.tool
    async def meet(name: str) -> str:
        """The second to come lets the first go."""
        if not meeting:
            meeting.append(asyncio.get_running_loop().create_future())
            return await meeting[0]
        meeting[0].set_result(name)
        return "second"

    @kernel.program
    async def both(sandbox: Sandbox) -> Any:
        async with asyncio.timeout(SOON):
            return await asyncio.gather(*(sandbox.call("Notebook.meet", name=name) for name in "ab"))

    assert kernel.run("both", form) == ["b", "second"]


@forms
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_the_span_of_a_call_is_current_while_its_function_runs_and_that_of_the_cell_is_its_origin(
    kernel: Kernel, form: str, is_async: bool
) -> None:
    with recording() as spans:

        def work() -> None:
            spans.tracer.start_span("work").end()

        async def later() -> None:
            await asyncio.sleep(0)
            work()

        (later if is_async else work).__name__ = "look"
        kernel.tool(later if is_async else work)

        @kernel.program
        async def asks(sandbox: Sandbox) -> None:
            await sandbox.call("Notebook.look")

        with spans.tracer.start_as_current_span("cell"):
            kernel.run("asks", form)
        spans.tracer.start_span("after").end()
        assert spans.is_child(spans.one("pctx.execute"), spans.one("cell"))
        assert spans.is_child(spans.one("work"), spans.one("execute_tool Notebook.look"))
        assert spans.one("after").parent is None


def test_an_async_tool_runs_on_the_kernels_loop_when_the_cell_is_awaited(kernel: Kernel) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    @kernel.tool
    async def look() -> None:
        loops.append(asyncio.get_running_loop())

    @kernel.program
    async def asks(sandbox: Sandbox) -> None:
        await sandbox.call("Notebook.look")

    async def cell() -> Any:
        loops.append(asyncio.get_running_loop())
        return await kernel.bridge.wait_for(wire.Execute("asks"))

    _on_kernel_loop(cell)
    assert loops[0] is loops[1]


@pytest.mark.parametrize(("form", "sees"), [("awaited", True), ("nested", True), ("blocking", False)])
def test_a_sync_tool_sees_the_running_loop_that_its_cell_sees(kernel: Kernel, form: str, sees: bool) -> None:
    @kernel.tool
    def look() -> bool:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(asyncio.sleep(0, result=False))
        return True

    @kernel.program
    async def asks(sandbox: Sandbox) -> Any:
        return await sandbox.call("Notebook.look")

    assert kernel.run("asks", form) is sees


def test_the_blocking_form_leaves_the_loop_it_blocked_as_it_was(kernel: Kernel) -> None:
    @kernel.program
    async def nothing(sandbox: Sandbox) -> None: ...

    async def cell() -> Any:
        before = asyncio.get_running_loop(), asyncio.current_task()
        kernel.bridge.block_for(wire.Execute("nothing"))
        await asyncio.sleep(0)
        return before == (asyncio.get_running_loop(), asyncio.current_task())

    assert _on_kernel_loop(cell)


@forms
def test_output_appears_in_order_around_the_prints_of_tools(
    kernel: Kernel, form: str, capfd: pytest.CaptureFixture[str]
) -> None:
    @kernel.tool
    def say(text: str) -> None:
        print(text)

    @kernel.program
    async def talks(sandbox: Sandbox) -> None:
        for n in range(20):
            sandbox.print(f"program {n}\n")
            await sandbox.call("Notebook.say", text=f"tool {n}")

    kernel.run("talks", form)
    assert capfd.readouterr().out.split("\n") == [f"{who} {n}" for n in range(20) for who in ("program", "tool")] + [""]


@forms
def test_output_is_shown_while_the_program_runs(kernel: Kernel, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = threading.Event()

    class Stdout:
        def write(self, text: str) -> None:
            seen.set()

        def flush(self) -> None: ...

    @kernel.program
    async def waits(sandbox: Sandbox) -> bool:
        sandbox.print("now\n")
        return await asyncio.to_thread(seen.wait, SOON)

    monkeypatch.setattr(sys, "stdout", Stdout())
    assert kernel.run("waits", form) is True


@forms
def test_a_tools_exception_reaches_the_program_and_is_kept_for_the_cell(kernel: Kernel, form: str) -> None:
    raised = LookupError("no such order")

    @kernel.tool
    def fails() -> None:
        raise raised

    @kernel.program
    async def asks(sandbox: Sandbox) -> Any:
        try:
            await sandbox.call("Notebook.fails")
        except errors.ToolFailed as error:
            return [error.name, error.message, error.token]

    (name, message, token), running = kernel.run_all("asks", form)
    assert (name, message) == ("LookupError", "no such order")
    assert running.raised[token] is raised


class Mute(Exception):
    def __str__(self) -> str:
        raise SystemExit


@forms
@pytest.mark.parametrize(
    ("error", "name", "message"),
    [
        (SystemExit(3), "SystemExit", "3"),
        (GeneratorExit("x"), "GeneratorExit", "x"),
        (asyncio.CancelledError("x"), "CancelledError", "x"),
        (StopIteration(1), "StopIteration", "1"),
        (BaseException("base"), "BaseException", "base"),
        (Mute(), "Mute", "(its message cannot be shown: SystemExit)"),
        (ValueError("x" * 1_000_000), "ValueError", "x" * 10_000 + "… (1,000,000 characters)"),
        (ValueError("\ud800"), "ValueError", "?"),
        (ExceptionGroup("two", [ValueError(1), KeyError(2)]), "ExceptionGroup", "two (2 sub-exceptions)"),
    ],
)
def test_whatever_a_tool_raises_is_an_error_to_the_program_and_ends_nothing(
    kernel: Kernel, form: str, error: BaseException, name: str, message: str
) -> None:
    @kernel.tool
    def fails() -> None:
        raise error

    @kernel.program
    async def asks(sandbox: Sandbox) -> Any:
        try:
            await sandbox.call("Notebook.fails")
        except errors.ToolFailed as error:
            return [error.name, error.message]

    assert kernel.run("asks", form) == [name, message]
    assert kernel.run("asks", form) == [name, message]
    assert kernel.homes_opened == 1


@forms
def test_an_async_tool_that_exits_ends_neither_loop_nor_kernel(kernel: Kernel, form: str) -> None:
    @kernel.tool
    async def leave() -> None:
        await asyncio.sleep(0)
        sys.exit(2)

    @kernel.program
    async def asks(sandbox: Sandbox) -> Any:
        try:
            await sandbox.call("Notebook.leave")
        except errors.ToolFailed as error:
            return error.name

    assert kernel.run("asks", form) == "SystemExit"


@forms
def test_a_tool_may_run_a_program_of_its_own(kernel: Kernel, form: str) -> None:
    @kernel.tool
    def outer(n: int) -> int:
        return int(kernel.run("inner")) + n

    @kernel.tool
    def leaf() -> int:
        return 40

    @kernel.program
    async def inner(sandbox: Sandbox) -> Any:
        return await sandbox.call("Notebook.leaf")

    @kernel.program
    async def starts(sandbox: Sandbox) -> Any:
        return await asyncio.gather(sandbox.call("Notebook.outer", n=1), sandbox.call("Notebook.outer", n=2))

    assert kernel.run("starts", form) == [41, 42]


@forms
def test_an_async_tool_may_run_a_program_of_its_own(kernel: Kernel, form: str) -> None:
    @kernel.tool
    async def outer() -> Any:
        await asyncio.sleep(0)
        return kernel.run("inner")

    @kernel.tool
    async def leaf() -> int:
        await asyncio.sleep(0)
        return 40

    @kernel.program
    async def inner(sandbox: Sandbox) -> Any:
        return await sandbox.call("Notebook.leaf")

    @kernel.program
    async def starts(sandbox: Sandbox) -> Any:
        return await sandbox.call("Notebook.outer")

    assert kernel.run("starts", form) == 40


@forms
def test_endless_recursion_ends_with_an_error_that_says_so(kernel: Kernel, form: str) -> None:
    @kernel.tool
    def again(n: int) -> int:
        return int(kernel.run(f"level{n}"))

    def program(n: int) -> None:
        async def level(sandbox: Sandbox) -> Any:
            return await sandbox.call("Notebook.again", n=n + 1)

        kernel.programs[f"level{n}"] = level

    for n in range(MAX_DEPTH + 2):
        program(n)
    with pytest.raises(errors.PctxError):
        kernel.run("level0", form)

    @kernel.program
    async def fine(sandbox: Sandbox) -> int:
        return 1

    assert kernel.run("fine", form) == 1


@forms
def test_a_call_that_its_program_gave_up_is_cancelled(kernel: Kernel, form: str) -> None:
    told: list[str] = []

    @kernel.tool
    async def sleeps() -> None:
        try:
            told.append("started")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    @kernel.tool
    def started() -> bool:
        return "started" in told

    @kernel.program
    async def gives_up(sandbox: Sandbox) -> Any:
        call = asyncio.create_task(sandbox.call("Notebook.sleeps"))
        while not await sandbox.call("Notebook.started"):
            pass
        call.cancel()
        return "gave up"

    assert kernel.run("gives_up", form) == "gave up"
    assert told == ["started", "cancelled"]


@forms
def test_tools_changed_between_cells_are_changed_in_the_next_program(kernel: Kernel, form: str) -> None:
    def first() -> int:
        return 1

    def second() -> int:
        return 2

    @kernel.program
    async def asks(sandbox: Sandbox) -> Any:
        return await sandbox.call("Notebook.tool")

    kernel.tools["tool"] = tools.define(first, name="tool")
    assert kernel.run("asks", form) == 1
    kernel.tools["tool"] = tools.define(second, name="tool")
    assert kernel.run("asks", form) == 2
    gone = kernel.tools.pop("tool")
    with pytest.raises(errors.PctxError):
        kernel.run("asks", form)
    kernel.tools["tool"] = gone
    assert kernel.run("asks", form) == 2


def test_calls_on_a_thread_of_their_own_run_their_tools_there(kernel: Kernel) -> None:
    @kernel.tool
    def where() -> str:
        return threading.current_thread().name

    @kernel.program
    async def asks(sandbox: Sandbox) -> Any:
        return await sandbox.call("Notebook.where")

    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(kernel.run("asks")), name="subshell")
    thread.start()
    thread.join(SOON)
    assert found == ["subshell"]


# interrupts


def interrupt() -> None:
    """What the kernel's manager does, in the middle of whatever this process is doing."""
    signal.raise_signal(signal.SIGINT)


def interrupt_from_outside() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@forms
def test_an_interrupt_while_the_program_computes_stops_it(kernel: Kernel, form: str) -> None:
    @kernel.program
    async def computes(sandbox: Sandbox) -> None:
        interrupt_from_outside()
        await asyncio.Event().wait()

    _interrupted(kernel, "computes", form)
    assert kernel.stopped.wait(SOON)


@forms
def test_an_interrupt_inside_a_sync_tool_is_raised_there(kernel: Kernel, form: str) -> None:
    told: list[str] = []

    @kernel.tool
    def blocks() -> None:
        try:
            interrupt_from_outside()
            threading.Event().wait(SOON)
            told.append("not interrupted")
        except KeyboardInterrupt:
            told.append("interrupted")
            raise

    @kernel.program
    async def asks(sandbox: Sandbox) -> None:
        await sandbox.call("Notebook.blocks")

    _interrupted(kernel, "asks", form)
    assert told == ["interrupted"]
    assert kernel.stopped.wait(SOON)


@forms
def test_an_interrupt_that_a_tool_swallows_still_ends_the_cell(kernel: Kernel, form: str) -> None:
    @kernel.tool
    def swallows() -> None:
        with suppress(KeyboardInterrupt):
            interrupt()

    @kernel.program
    async def asks(sandbox: Sandbox) -> None:
        await sandbox.call("Notebook.swallows")
        await asyncio.Event().wait()

    _interrupted(kernel, "asks", form)


@forms
def test_an_interrupt_cancels_async_tools_that_wait(kernel: Kernel, form: str) -> None:
    told: list[str] = []

    @kernel.tool
    async def sleeps() -> None:
        try:
            asyncio.get_running_loop().call_soon(interrupt_from_outside)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    @kernel.program
    async def asks(sandbox: Sandbox) -> None:
        await sandbox.call("Notebook.sleeps")

    _interrupted(kernel, "asks", form)
    assert told == ["cancelled"]


@forms
def test_an_interrupt_inside_an_async_tool_that_computes_is_raised_there(kernel: Kernel, form: str) -> None:
    told: list[str] = []

    @kernel.tool
    async def computes() -> None:
        await asyncio.sleep(0)
        try:
            interrupt()
            told.append("not interrupted")
        except KeyboardInterrupt:
            told.append("interrupted")
            raise

    @kernel.program
    async def asks(sandbox: Sandbox) -> None:
        await sandbox.call("Notebook.computes")

    _interrupted(kernel, "asks", form)
    assert told == ["interrupted"]


@forms
def test_an_async_tool_that_will_not_be_cancelled_does_not_hold_the_prompt(kernel: Kernel, form: str) -> None:
    told: list[str] = []

    @kernel.tool
    async def stubborn() -> None:
        asyncio.get_running_loop().call_soon(interrupt_from_outside)
        while "released" not in told:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)
        told.append("ended")

    @kernel.program
    async def asks(sandbox: Sandbox) -> None:
        await sandbox.call("Notebook.stubborn")

    async def cell() -> None:
        with pytest.raises(KeyboardInterrupt):
            await kernel.bridge.wait_for(wire.Execute("asks"))
        assert told == []
        told.append("released")

    if form == "awaited":
        _on_kernel_loop(cell)
        assert told == ["released", "ended"]
    else:
        _interrupted(kernel, "asks", form)
        assert told == []


@forms
def test_an_interrupt_while_output_is_written_comes_after_the_write(
    kernel: Kernel, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    class Stdout:
        def write(self, text: str) -> None:
            interrupt()
            written.append(text)

        def flush(self) -> None: ...

    @kernel.program
    async def prints(sandbox: Sandbox) -> None:
        sandbox.print("whole\n")
        await asyncio.Event().wait()

    monkeypatch.setattr(sys, "stdout", Stdout())
    _interrupted(kernel, "prints", form)
    assert written == ["whole\n"]


@forms
def test_an_interrupt_before_anything_was_sent_runs_nothing(kernel: Kernel, form: str) -> None:
    ran: list[int] = []
    listed = kernel.bridge._tools

    @kernel.program
    async def runs(sandbox: Sandbox) -> None:
        ran.append(1)

    def interrupted() -> list[tools.PythonTool]:
        interrupt()
        return listed()

    kernel.bridge._tools = interrupted
    with pytest.raises(KeyboardInterrupt):
        kernel.run("runs", form)
    kernel.bridge._tools = listed
    assert kernel.run("runs", form) is None
    assert ran == [1]


@forms
def test_an_interrupt_in_a_nested_program_ends_the_outer_one_too(kernel: Kernel, form: str) -> None:
    @kernel.tool
    def outer() -> Any:
        return kernel.run("inner")

    @kernel.program
    async def inner(sandbox: Sandbox) -> None:
        interrupt_from_outside()
        await asyncio.Event().wait()

    @kernel.program
    async def starts(sandbox: Sandbox) -> None:
        await sandbox.call("Notebook.outer")

    _interrupted(kernel, "starts", form)


@forms
def test_a_tool_that_raises_keyboard_interrupt_itself_ends_its_cell_only(kernel: Kernel, form: str) -> None:
    @kernel.tool
    def fails() -> None:
        raise KeyboardInterrupt

    @kernel.program
    async def asks(sandbox: Sandbox) -> None:
        await sandbox.call("Notebook.fails")

    _interrupted(kernel, "asks", form)


@pytest.mark.parametrize("form", ["awaited", "nested"])
def test_interrupts_at_any_moment_leave_a_bridge_that_works(kernel: Kernel, form: str) -> None:
    """Aimed at the hand-over: many cells, each interrupted from another thread at another moment of its life."""

    @kernel.tool
    def add(n: int) -> int:
        return n + 1

    @kernel.program
    async def adds(sandbox: Sandbox) -> int:
        total = 0
        for _ in range(3):
            total = await sandbox.call("Notebook.add", n=total)
        return total

    asked = wire.Execute("adds")

    async def cells() -> int:
        interrupted = 0
        for moment in range(40):
            timer = threading.Timer(moment * 0.0002, interrupt_from_outside)
            try:
                timer.start()
                if form == "awaited":
                    await kernel.bridge.wait_for(asked)
                else:
                    kernel.bridge.block_for(asked)
                timer.join()
                threading.Event().wait(SOON)  # the signal is on its way
            except KeyboardInterrupt:
                interrupted += 1
                timer.join()
        return interrupted

    handler = signal.getsignal(signal.SIGINT)
    assert _on_kernel_loop(cells) == 40
    assert kernel.run("adds", form) == 3
    assert signal.getsignal(signal.SIGINT) is handler
    assert kernel.homes_opened == 1


def _interrupted(kernel: Kernel, name: str, form: str) -> None:
    """The cell raises one KeyboardInterrupt, and the next one works."""
    with pytest.raises(KeyboardInterrupt):
        kernel.run(name, form)

    async def fine(sandbox: Sandbox) -> str:
        return "fine"

    kernel.programs["fine"] = fine
    assert kernel.run("fine", form) == "fine"


def test_a_program_stopped_before_it_began_is_forgotten(kernel: Kernel) -> None:
    @kernel.program
    async def fine(sandbox: Sandbox) -> str:
        return "fine"

    _, start, stop = kernel.bridge._prepare(wire.Execute("fine", execution_id="early"))
    start()
    stop()
    assert kernel.run("fine") == "fine"
    life = kernel.bridge._thread
    assert life is not None and "early" not in life._running


# the bridge's life


def test_nothing_is_opened_before_it_is_needed(kernel: Kernel) -> None:
    assert not [thread for thread in threading.enumerate() if thread.name == "pctx-bridge"]
    assert kernel.homes_opened == 0


def test_closing_ends_the_thread_and_a_later_program_opens_it_again(kernel: Kernel) -> None:
    @kernel.program
    async def fine(sandbox: Sandbox) -> int:
        return 1

    assert kernel.run("fine") == 1
    kernel.bridge.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "pctx-bridge"]
    kernel.bridge.close()
    assert kernel.run("fine") == 1
    assert kernel.homes_opened == 2


def test_an_engine_of_this_kernel_is_left_for_the_server_once_that_answers_and_no_program_runs(kernel: Kernel) -> None:
    answers = threading.Event()

    async def reach_server() -> bool:
        kernel.reach_server = None  # the next home is the server
        return await asyncio.to_thread(answers.wait, SOON)

    @kernel.program
    async def runs(sandbox: Sandbox) -> int:
        answers.set()
        await asyncio.sleep(0.01)
        return kernel.homes_opened

    @kernel.program
    async def again(sandbox: Sandbox) -> int:
        return kernel.homes_opened

    kernel.reach_server = reach_server
    assert kernel.run("runs") == 1
    deadline = time.monotonic() + SOON
    while kernel.run("again") != 2:
        assert time.monotonic() < deadline


def test_a_home_that_cannot_be_opened_fails_the_cell_and_is_tried_again() -> None:
    attempts: list[int] = []

    @asynccontextmanager
    async def broken() -> AsyncIterator[Home]:
        attempts.append(1)
        raise OSError("no room")
        yield

    bridge = Bridge(broken, list)
    for _ in range(2):
        outcome, _running = bridge.block_for(wire.Execute("1"))
        assert isinstance(outcome, OSError)
    assert len(attempts) == 2


def test_a_forked_child_leaves_the_connection_alone_and_opens_its_own(kernel: Kernel) -> None:
    @kernel.program
    async def fine(sandbox: Sandbox) -> int:
        return 1

    assert kernel.run("fine") == 1
    child = multiprocessing.get_context("fork").Process(target=_child, args=(kernel,))
    child.start()
    child.join(SOON)
    assert child.exitcode == 0
    assert kernel.run("fine") == 1
    assert kernel.homes_opened == 1


def _child(kernel: Kernel) -> None:
    assert kernel.run("fine") == 1
    assert kernel.homes_opened == 2
    kernel.bridge.close()


async def test_a_tool_defined_after_others_were_told_is_not_withdrawn_by_that_older_account(kernel: Kernel) -> None:
    def run() -> Any:
        kernel.bridge.open()
        kernel.bridge.report_tools()  # no tool yet; sent when the home is open

        @kernel.tool
        def seven() -> int:
            return 7

        @kernel.program
        async def asks(sandbox: Sandbox) -> Any:
            return await sandbox.call("Notebook.seven")

        return kernel.run("asks")

    assert await asyncio.to_thread(run) == 7


class LaterLoop:
    """In the place of `Guests`: the main thread comes back to its loop when the test says."""

    def __init__(self) -> None:
        self.acts: list[Callable[[], None]] = []
        self.soon = self.acts.append

    def on_program(self, notice: wire.GuestNotice) -> None:
        raise AssertionError("no guest runs a program")


def test_tools_defined_and_forgotten_outside_of_cells_are_reported_once_for_many() -> None:
    changed, loop = threading.Event(), LaterLoop()
    kernel = Kernel(loop)

    async def watch(home: Home) -> None:
        kernel.registry.watchers.add(lambda change: changed.set() if change == "tools" else None)

    def in_thread(work: Callable[[], Any]) -> set[str]:
        """Return the names that the engine knows after a thread has changed the tools, and the report was made."""
        changed.clear()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        [report] = loop.acts
        loop.acts.clear()
        report()
        assert changed.wait(SOON)
        kernel.bridge.do(_nothing, SOON, with_tools=True)  # the other reports of this change have been made as well
        [session] = kernel.registry
        return {tool.registered_name for tool in session.catalog}

    def define() -> None:
        for name in ("late", "later"):
            kernel.tools[name] = tools.define(lambda: 1, name=name)

    def forget() -> None:
        for name in ("late", "later"):
            del kernel.tools[name]
            tools.forget(f"Notebook.{name}")

    tools.watchers.add(kernel.bridge.report_tools_soon)
    try:
        kernel.bridge.do(watch, SOON)
        assert in_thread(define) == {"late", "later"}
        assert in_thread(forget) == set()
    finally:
        tools.watchers.discard(kernel.bridge.report_tools_soon)
        kernel.bridge.close()


def test_a_tool_tells_others_whether_they_may_see_it_and_what_it_does(kernel: Kernel) -> None:
    kernel.bridge.open()
    kernel.tools["quiet"] = tools.define(lambda: None, name="quiet", share=False, effects=True)
    kernel.bridge.do(_nothing, SOON, with_tools=True)
    [session] = kernel.registry
    [offer] = session.catalog.offers()
    assert (offer.tool.share, offer.tool.effects) == (False, True)


def test_a_tool_has_the_effects_that_its_author_declares_and_none_if_they_say_nothing(kernel: Kernel) -> None:
    kernel.bridge.open()
    declared: dict[str, Any] = {"yes": True, "no": False, "unknown": "unknown", "unsaid": None}
    for name, effects in declared.items():
        kernel.tools[name] = tools.define(lambda: None, name=name, effects=effects)
    kernel.bridge.do(_nothing, SOON, with_tools=True)
    [session] = kernel.registry
    known = {tool.registered_name: tool.effects for tool in session.catalog}
    assert known == {"yes": True, "no": False, "unknown": None, "unsaid": False}
    assert {name: kernel.tools[name].tool.effects for name in known} == known


def test_objects_are_listed_and_forgotten_while_a_cell_computes_and_each_change_is_reported(kernel: Kernel) -> None:
    class Model:
        """What stays in the notebook."""

    changed = threading.Event()

    async def watch(home: Home) -> None:
        kernel.registry.watchers.add(lambda change: changed.set() if change == "handles" else None)

    def held() -> list[tuple[str, str]]:
        """Ask as the server does, from another thread than the cell's."""
        assert changed.wait(SOON)
        changed.clear()

        async def listed(home: Home) -> wire.HeldHandles:
            [session] = kernel.registry
            assert session.handles is not None
            return await session.handles.listed()

        return [(one.label, one.held) for one in kernel.bridge.do(listed, SOON).handles]

    def forget(id: str) -> bool:
        async def forgotten(home: Home) -> bool:
            [session] = kernel.registry
            assert session.handles is not None
            return await session.handles.forget(id)

        return kernel.bridge.do(forgotten, SOON)

    def fit() -> Model:
        return Model()

    kernel.tools["fit"] = tools.define(fit, handle=True)

    @kernel.tool
    def look() -> list[Any]:
        return [held(), forget("of no object")]

    @kernel.program
    async def fits(sandbox: Sandbox) -> Any:
        await sandbox.call("Notebook.fit")
        return await sandbox.call("Notebook.look")

    kernel.bridge.do(watch, SOON)
    assert kernel.run("fits") == [[["Notebook.fit", "run"]], False]
    assert held() == [], "its program has ended"
    asked = kernel.bridge.handles.guests.add("Notebook.fit", Model(), Model(), kind="object")
    assert held() == [("Notebook.fit", "agents")]
    assert forget(asked.id)
    assert held() == [] and not forget(asked.id)


def test_object_for_agents_leaves_at_its_time_though_no_program_runs(kernel: Kernel) -> None:
    class Model:
        """What stays in the notebook."""

    gone = threading.Event()
    handles = kernel.bridge.handles
    kernel.bridge.do(_nothing, SOON)
    handles.guests = Handles(idle_s=0.05, changed=lambda: handles.on_change())
    handles.guests.add("Notebook.fit", model := Model(), model, kind="object")
    weakref.finalize(model, gone.set)
    del model
    assert gone.wait(SOON)


async def _nothing(home: Home) -> None: ...


async def test_call_that_was_cancelled_before_its_first_step_is_closed_with_what_it_would_await() -> None:
    async def inner() -> None:
        raise AssertionError("it has begun")

    async def outer(work: Awaitable[None]) -> None:
        await work

    awaited = inner()
    work = outer(awaited)
    close_unbegun(work)
    assert {inspect.getcoroutinestate(one) for one in (work, awaited)} == {inspect.CORO_CLOSED}
