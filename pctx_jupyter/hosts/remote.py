"""The engine's end of one sandbox host: gives it programs and believes nothing that it sends.

The engine counts calls, sizes and time itself. A call counts only for a program that this host was given and that still
runs, and only for a tool that is offered to this program. A host that breaks the protocol is disconnected.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from .. import errors, processes, visible
from ..program.result import Emit, ValuesKept
from ..rpc import attached, wire
from ..rpc import jsonrpc as rpc
from ..rpc.channel import Channel, Send
from ..rpc.room import Room
from ..sandbox.allowance import OutputAllowance
from ..sandbox.worker import ENVELOPE
from ..session.execution import Job, ProgramStopped, ProgramThrew, ServeCall
from ..settings import MIB, Settings
from . import messages

log = logging.getLogger(__name__)

HELLO_S = 10.0
"""Seconds in which a host has to say what it is; then it is disconnected."""

TOKEN_S = 10.0
"""Seconds between two looks at whether the token of a host is still valid; each program looks as well."""

SLACK_S = 3.0
"""Seconds beyond a program's own time limit after which the engine stops waiting for its host, which counts first."""

GRACE_S = 1.0
"""Seconds cancelled tool calls have to end in before the program's end is reported."""

MOST_CAPACITY = 1_024
"""Programs that one host may run at the same time, whatever it says."""

MOST_OPEN = 4
"""The arguments of a program's open calls may have so many times `Limits.max_result_bytes`. Its host, which makes calls
wait from once as many, is two calls beyond it at most."""

TEXT = 2_000
"""Characters of a message of a host that are passed on."""


class HostLost(Exception):
    """A host went away, or could not run a program, before the program ended.

    Args:
        why: For people.
        calls: How many tool calls of the program the engine had begun to serve.
        events: How many events of it were passed on.
        refusal: What the host refused the program with, if it did.
    """

    def __init__(self, why: str, calls: int, events: int, refusal: errors.PctxError | None = None) -> None:
        super().__init__(why)
        self.why, self.calls, self.events, self.refusal = why, calls, events, refusal


class _Run:
    """One program on a host: what the engine has counted."""

    def __init__(self, job: Job, serve: ServeCall, emit: Emit, loop: asyncio.AbstractEventLoop) -> None:
        self.job, self.serve, self.emit = job, serve, emit
        self.said = OutputAllowance(job.limits, emit)
        self.in_flight = asyncio.Semaphore(job.limits.max_calls_in_flight)
        self.calls = 0
        self.open_bytes = 0  # arguments of calls that have no answer
        self.held_bytes = 0  # results that wait until the host reads
        self.kept = False
        self.tasks: set[asyncio.Task[object]] = set()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.broken: asyncio.Future[None] = loop.create_future()
        """Ended with an exception when the engine stops the program."""

    @property
    def events(self) -> int:
        return self.said.passed + self.kept

    def begin(self) -> None:
        if not self.begun.done():
            self.begun.set_result(None)

    def stop(self, what: str) -> ProgramStopped:
        """Stop the program at a limit; returns the error."""
        error = ProgramStopped("LimitExceeded", f"Cannot finish execution: {what}")
        if not self.broken.done():
            self.broken.set_exception(error)
        return error


class RemoteHost:
    """One sandbox host, as the engine sees it.

    Args:
        send: Writes a frame to the host.
        settings: The engine's.
        admit: Called with this host once it has said what it is; raises `Forbidden` if it is not wanted.
        is_valid: Whether its token is still valid; `may_run` asks it.
        room: The room on the connection to the host; None: there always is.

    Attributes:
        channel: The conversation; the owner of the pipe feeds and closes it.
        hello: What the host says that it is; None before that.
    """

    def __init__(
        self,
        send: Send,
        settings: Settings,
        admit: Callable[[RemoteHost], None],
        is_valid: Callable[[], bool] = lambda: True,
        room: Room | None = None,
    ) -> None:
        self._settings, self._admit, self._is_valid, self._room = settings, admit, is_valid, room or Room()
        self._when_leaving: list[Callable[[], None]] = []
        self._is_leaving = False
        self._loop = asyncio.get_running_loop()
        self._runs: dict[int, _Run] = {}
        self._ids = itertools.count(1)
        self.hello: messages.Hello | None = None
        self.channel = Channel(
            send,
            serve=self._serve,
            on_notification=self._on_notification,
            name="sandbox host",
            max_bytes=messages.frame_bytes(settings),
            room=self._room,
        )
        self._timer = self._loop.call_later(HELLO_S, self._expect_hello)
        self.channel.on_close(lambda: self._timer.cancel())
        self.channel.on_close(self._leave)

    @property
    def name(self) -> str:
        """What people call it, on one line."""
        return "a host" if self.hello is None else visible.line(self.hello.name, 60) or "a host"

    @property
    def capacity(self) -> int:
        """Programs that it runs at the same time."""
        return 0 if self.hello is None else self.hello.capacity

    @property
    def running(self) -> int:
        """Programs that it was given and that have not ended, those that wait for a person among them."""
        return len(self._runs)

    @property
    def busy(self) -> int:
        """Programs that have a place here: a program that waits for a person gives its place to another one."""
        return sum(not run.job.hold.is_without_place for run in self._runs.values())

    def may_run(self) -> bool:
        """Whether it may run another program; it is disconnected if its token is not valid any more."""
        if not self._is_valid():
            self._break("its token is not valid any more")
        return not self.channel.is_closed

    def status(self) -> dict[str, rpc.Json]:
        """Return what it is and what it does; one that is leaving takes no more programs, and ends those it has."""
        assert self.hello is not None, "only hosts that were admitted are listed"
        return {
            "name": self.name,
            "version": visible.line(self.hello.version, 40),
            "deno": visible.line(self.hello.deno, 40),
            "layers": self.hello.layers,
            "capacity": self.capacity,
            "running": self.running,
            "leaving": self._is_leaving,
        }

    async def run(self, job: Job, serve: ServeCall, emit: Emit) -> Raw:
        """Run one program on this host and return its value: a `ProgramRunner`.

        Raises:
            ProgramThrew, ProgramStopped: It failed.
            ExecutionTimeout: It ran too long.
            HostLost: The host did not finish it.
            MessageTooLarge: Its inputs are too large.
        """
        run, number = _Run(job, serve, emit, self._loop), next(self._ids)
        sent = self._sized(job, rpc.raw(messages.RunJob.of(number, job)))
        self._runs[number] = run
        job.hold.on_clock = lambda held: self.channel.notify(messages.HOLD, messages.RunHeld(number, held))
        answer = asyncio.ensure_future(self.channel.call(messages.RUN_JOB, sent))
        try:
            return self._checked(run, await self._wait(run, answer))
        except (errors.MessageTooLarge, errors.NotJson, errors.ExecutionTimeout):
            raise  # the engine's own: the program cannot be sent, or its time is up
        except errors.ConnectionLost as lost:
            raise HostLost(f"{self.name} is no longer connected", run.calls, run.events) from lost
        except errors.Cancelled as stopping:
            raise HostLost(f"{self.name} is stopping", run.calls, run.events) from stopping
        except (errors.Busy, errors.SandboxUnavailable) as refused:
            why = type(refused)(visible.line(refused.message, TEXT))
            raise HostLost(f"{self.name}: {why.message}", run.calls, run.events, why) from None
        except errors.PctxError as error:
            if (failure := self._failure(run, error)) is not None:
                raise failure from None
            said = visible.line(error.message, 200)
            log.warning("%s = failed to run a program: %s", self.name, said)
            raise HostLost(f"{self.name} failed to run it", run.calls, run.events) from None
        finally:
            job.hold.on_clock = None
            del self._runs[number]
            await self._end(run, answer)

    def _sized(self, job: Job, sent: Raw) -> Raw:
        """Return a program that is no larger than a sandbox takes. Raises `MessageTooLarge`."""
        most = max(self._settings.max_message_bytes, job.limits.max_result_bytes) + ENVELOPE
        most += 6 * (len(job.program.text) + sum(prelude.size for prelude in job.prelude))
        if (size := memoryview(sent).nbytes) > most:
            raise errors.MessageTooLarge(size, most)
        return sent

    async def _wait(self, run: _Run, answer: asyncio.Future[Raw]) -> Raw:
        """Wait for the host's answer, for as long as the engine's own clock allows."""
        queue_s, limit_s = self._settings.max_queue_s, run.job.limits.timeout_s
        done, _ = await asyncio.wait(
            (answer, run.begun, run.broken), timeout=queue_s, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            raise errors.Busy(f"Cannot start execution: no sandbox has started within {queue_s:g} s (Pctx.max_queue_s)")
        if not (answer.done() or run.broken.done()):  # to wait once more takes a turn of the loop
            try:
                async with run.job.hold.time_limit(limit_s + SLACK_S):
                    await asyncio.wait((answer, run.broken), return_when=asyncio.FIRST_COMPLETED)
            except TimeoutError:
                raise errors.ExecutionTimeout(limit_s) from None
        if run.broken.done():
            run.broken.result()
        return answer.result()

    def _checked(self, run: _Run, value: Raw) -> Raw:
        """Return a value that a host has sent, if it is as large as one may be, and JSON without bytes after it."""
        size, most = memoryview(value).nbytes, run.job.limits.max_result_bytes
        if size > most:
            raise run.stop(f"its value has more than {most:,} bytes of JSON (Pctx.max_result_bytes); use less")
        if attached.split(value) is not None:
            self._break("it sent a value that is none")
            raise errors.InvalidParams("Cannot read the value of a program: bytes follow it")
        return value

    def _failure(self, run: _Run, error: errors.PctxError) -> Exception | None:
        """Return what an error of a host says of the program; None: it is about the host."""
        if error.code != messages.FAILED:
            return None
        try:
            failed = msgspec.convert(error.data, messages.JobFailed)
        except msgspec.ValidationError:
            failed = messages.JobFailed()
        if failed.thrown is not None:
            return ProgramThrew(failed.thrown)
        if failed.stopped is not None:
            return ProgramStopped(failed.stopped.name, visible.line(failed.stopped.message, TEXT))
        if failed.timed_out:
            return errors.ExecutionTimeout(run.job.limits.timeout_s)
        self._break("it sent a failure that cannot be read")
        return None

    async def _end(self, run: _Run, answer: asyncio.Future[Raw]) -> None:
        """Withdraw the program if it still runs, and let its calls end."""
        if not run.broken.cancel():
            run.broken.exception()
        all_of_it: list[asyncio.Future[Any]] = [answer, *run.tasks]
        under_way = [one for one in all_of_it if not one.done()]
        for one in under_way:
            one.cancel()
        if under_way:
            _, stuck = await asyncio.wait(under_way, timeout=GRACE_S)
            if stuck:
                log.warning("%s = left %d tool calls that do not stop", self.name, len(stuck))
        if answer.done() and not answer.cancelled():
            answer.exception()  # it may have come when nobody waited any more

    # what the host sends

    async def _serve(self, request: rpc.Request) -> object:
        match request.method:
            case messages.HELLO:
                return self._greet(wire.read(request.params, messages.Hello, messages.HELLO))
            case messages.CALL if self.hello is not None:
                return await self._call(wire.read(request.params, messages.CallOfRun, messages.CALL))
        self._break(f"it asked for {visible.line(request.method, 40)}")
        raise errors.MethodNotFound("Cannot serve: no such method")

    def _greet(self, hello: messages.Hello) -> messages.Welcome:
        """Take a host in.

        Raises:
            Forbidden: It may not run programs here; the message says why.
        """
        if self.hello is not None:
            self._break("it said twice what it is")
            raise errors.Forbidden("Cannot connect: this host has said what it is")
        if hello.wire != messages.WIRE:
            raise errors.Forbidden(
                f"Cannot connect: this host speaks version {hello.wire} of the protocol, and the engine "
                f"{messages.WIRE}; install the same version of pctx-jupyter on both"
            )
        if hello.layers < self._settings.layers:
            raise errors.Forbidden(
                f"Cannot connect: {self._settings.layers} layers of isolation are required (Pctx.layers), and this "
                f"host has {hello.layers}; enable Landlock there (Linux 5.13 or newer)"
            )
        if not 1 <= hello.capacity <= MOST_CAPACITY:
            raise errors.Forbidden(
                f"Cannot connect: a host runs between 1 and {MOST_CAPACITY:,} programs at the same time, and not "
                f"{hello.capacity:,}; start it with --sandboxes"
            )
        self.hello = hello
        try:
            self._admit(self)
        except errors.Forbidden:
            self.hello = None
            raise
        return messages.Welcome.of(self._settings)

    async def _call(self, call: messages.CallOfRun) -> Raw:
        """Serve a tool call of a program that runs on this host."""
        run, name = self._runs.get(call.run), visible.line(call.name, 200)
        if run is None or run.broken.done():
            raise errors.Cancelled(f"Cannot call {name}: its program is over")
        task = asyncio.current_task()
        assert task is not None, "requests are served in tasks"
        run.begin()
        limits = run.job.limits
        size = 0 if call.arguments is UNSET else memoryview(call.arguments).nbytes
        if size > limits.max_result_bytes:
            run.stop(
                f"the arguments of a tool call have more than {limits.max_result_bytes:,} bytes of JSON "
                "(Pctx.max_result_bytes); use less"
            )
        elif run.calls >= limits.max_calls:
            run.stop(f"it made more than {limits.max_calls:,} tool calls (Pctx.max_calls); ask for more at once")
        elif run.open_bytes + size > (most := MOST_OPEN * limits.max_result_bytes):
            run.stop(f"the arguments of its open calls have more than {most:,} bytes of JSON; await fewer at once")
        if run.broken.done():
            raise errors.Cancelled(f"Cannot call {name}: its program is stopped")
        run.calls += 1
        run.open_bytes += size
        run.tasks.add(task)
        seconds = None if call.name in run.job.patient else limits.max_call_s
        arguments = None if call.arguments is UNSET else Raw(bytes(call.arguments))
        limit = asyncio.timeout(seconds)
        try:
            async with run.in_flight:
                async with limit:
                    stack = (call.stack,) if call.stack else ()
                    result = await run.serve(call.name, arguments, *stack)
                await self._wait_to_send(run, result)
                return result
        except TimeoutError:
            if not limit.expired():
                raise
            raise errors.ToolTimeout(name, limits.max_call_s) from None
        except asyncio.CancelledError:
            if task.cancelling():
                raise
            raise errors.Cancelled(f"{name} was cancelled") from None  # what the tool awaited was cancelled
        except errors.PctxError:
            raise
        except Exception as error:
            log.exception("%s = failed to serve %s", self.name, name)
            raise errors.PctxError(processes.unforeseen(error)) from None
        finally:
            run.open_bytes -= size
            run.tasks.discard(task)

    async def _wait_to_send(self, run: _Run, result: Raw) -> None:
        """Wait until the host has read enough; stop a program for which too much waits, as on this machine."""
        size, most = memoryview(result).nbytes, run.job.limits.max_memory_mb
        run.held_bytes += size
        try:
            if run.held_bytes > most * MIB:
                run.stop(
                    f"more than {most} MB of answers to its tool calls wait to be read (Pctx.max_memory_mb); await "
                    "fewer calls at once"
                )
            await self._room.wait()
        finally:
            run.held_bytes -= size

    def _on_notification(self, notification: rpc.Notification) -> None:
        try:
            self._act(notification.method, notification.params)
        except errors.InvalidParams as error:
            self._break(visible.line(error.message, 200))

    def _act(self, method: str, params: Raw | None) -> None:
        match method:
            case messages.BEGAN:
                if (run := self._runs.get(wire.read(params, messages.RunBegan, method).run)) is not None:
                    run.begin()
            case messages.OUTPUT:
                printed = wire.read(params, messages.OutputOfRun, method)
                if (run := self._live(printed.run)) is not None:
                    run.said.print(printed.stream, printed.text, printed.level)
            case messages.DISPLAY:
                shown = wire.read(params, messages.DisplayOfRun, method)
                if (run := self._live(shown.run)) is not None:
                    run.said.display(shown)
            case messages.KEPT:
                kept = wire.read(params, messages.KeptOfRun, method)
                if (run := self._live(kept.run)) is not None and not run.kept:
                    run.kept = True
                    run.emit(ValuesKept(kept.values, kept.refused))
            case messages.LEAVING:
                self._leave()
            case _:
                raise errors.InvalidParams(f"it sent {method[:40]}")

    def when_leaving(self, act: Callable[[], None]) -> None:
        """Call a function once, when the host takes no more programs, or is gone."""
        self._when_leaving.append(act)

    def _leave(self) -> None:
        self._is_leaving = True
        acts, self._when_leaving = self._when_leaving, []
        for act in acts:
            act()

    def _live(self, number: int) -> _Run | None:
        """Return a program that runs on this host; what comes after its end does not count."""
        run = self._runs.get(number)
        if run is None or run.broken.done():
            return None
        run.begin()
        return run

    def _expect_hello(self) -> None:
        if self.hello is None:
            self._break(f"it did not say what it is within {HELLO_S:g} s")
        else:
            self._check_token()

    def _check_token(self) -> None:
        if self.may_run():
            self._timer = self._loop.call_later(TOKEN_S, self._check_token)

    def _break(self, why: str) -> None:
        """Disconnect a host that breaks the protocol."""
        log.warning("%s = disconnected: %s", self.name, why)
        self.channel.close(errors.ConnectionLost(f"Connection lost: {self.name} broke the protocol"))
