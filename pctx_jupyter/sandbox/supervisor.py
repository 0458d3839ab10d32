"""Runs one program in one sandbox and holds it to its limits. It trusts nothing that the sandbox sends.

What a sandbox sends counts for this execution alone. A call can only reach a tool offered to this execution, which
`serve` looks up. The first answer ends the conversation. It uses a `Peer` and not a `Channel`, because each line has to
be checked before the next is read. A line after the answer is dropped, and a call beyond the limit is not read.
"""

from __future__ import annotations

import asyncio
import logging
import math

from msgspec import UNSET, Raw

from .. import errors, processes, visible
from ..program.result import Emit, ValuesKept
from ..rpc import jsonrpc as rpc
from ..rpc import sandbox_wire, wire
from ..rpc.channel import is_known_sound
from ..rpc.peer import UNREAD, Peer, Withdrawn
from ..session.execution import SANDBOX_ENDED, Job, ProgramStopped, ProgramThrew, ServeCall
from ..settings import MIB
from . import flags
from .allowance import OutputAllowance
from .worker import ENVELOPE, Worker

log = logging.getLogger(__name__)

WATCH_S = 0.25
"""Seconds between two checks of a running sandbox's memory and state."""
STATUS_S = 1.0
"""Seconds we wait for the exit status of a sandbox that closed its pipe."""
GRACE_S = 1.0
"""Seconds cancelled tool calls have to end in before the program's end is reported; they take one turn of the loop."""
PATIENCE_S = 0.001
"""Seconds in which a short tool call is answered: so long the sandbox may stand still, with its program's timers."""


class Supervisor:
    """One execution in one sandbox: a `Listener` of its worker.

    Args:
        worker: A warm one, which is killed at the end.
        job: The program, and what it may use.
        serve: Serves its tool calls.
        emit: Receives what it prints.
        message_bytes: The largest message that may be sent to it.
    """

    def __init__(self, worker: Worker, job: Job, serve: ServeCall, emit: Emit, *, message_bytes: int) -> None:
        self._worker, self._job, self._serve, self._emit = worker, job, serve, emit
        self._limits = job.limits
        text_bytes = 6 * (len(job.program.text) + sum(prelude.size for prelude in job.prelude))
        self._peer = Peer(max_bytes=max(message_bytes, job.limits.max_result_bytes) + text_bytes + ENVELOPE)
        self._loop = asyncio.get_running_loop()
        self._outcome: asyncio.Future[Raw] = self._loop.create_future()
        self._calls: dict[rpc.Id, asyncio.Task[None]] = {}
        self._argument_bytes = 0  # of those calls
        self._due: dict[rpc.Id, float] = {}  # when a call's time is up, soonest first; it leaves when that has come
        self._alarm: asyncio.TimerHandle | None = None
        self._latest = 0.0  # when it made its latest call
        self._patience: asyncio.TimerHandle | None = None
        self._called = 0
        self._said = OutputAllowance(job.limits, emit)
        self._timers: list[asyncio.TimerHandle] = []
        self._watcher: asyncio.TimerHandle | None = None
        self._is_stopped = False  # when it was last checked
        self._most_used = 0  # bytes of memory, beyond those of a sandbox without a program, as far as was checked

    async def run(self) -> Raw:
        """Run the program and return its value.

        When this returns or raises, the sandbox is being killed, its tool calls have ended, and no event follows.

        Raises:
            ProgramThrew, ProgramStopped: The program failed.
            ExecutionTimeout: It ran too long.
            SandboxUnavailable: It could not end.
        """
        log.debug("%s = execution %s", self._worker.name, self._job.execution_id)
        try:
            async with self._job.hold.time_limit(self._limits.timeout_s):
                await self._begin()
                return await self._outcome
        except TimeoutError:
            raise errors.ExecutionTimeout(self._limits.timeout_s) from None
        finally:
            self._worker.dismiss()
            for timer in self._timers:
                timer.cancel()
            for waking in (self._watcher, self._alarm, self._patience):
                if waking is not None:
                    waking.cancel()
            if not self._outcome.cancel() and not self._outcome.cancelled():
                self._outcome.exception()  # it may have come when the caller had gone
            await self._end_calls()

    async def _begin(self) -> None:
        program = rpc.raw_with(
            sandbox_wire.RunProgram(
                code=self._job.program.text,
                entry=self._job.program.entry,
                namespaces={name: dict(tools) for name, tools in self._job.namespaces.items()},
                output_bytes=self._limits.max_output_bytes,
                display_bytes=self._limits.max_display_bytes,
                timeout_s=self._limits.timeout_s,
                prelude=[
                    sandbox_wire.RunPrelude(p.name, list(p.names), p.code, dict(p.values)) for p in self._job.prelude
                ],
                places=self._job.places,
                functions=list(self._job.functions),
            ),
            "inputs",
            self._job.inputs,
        )
        is_sound = await is_known_sound(program, rpc.MOST_DEPTH - 1)
        self._peer.call(sandbox_wire.RUN, program, is_sound=is_sound)
        self._worker.ended.add_done_callback(self._ended)
        self._worker.listen(self)
        self._flush()
        if self._worker.resident:
            self._watcher = self._loop.call_later(WATCH_S, self._watch)

    # what the worker sends

    def receive(self, line: bytes, *, is_sound: bool = False) -> None:
        try:
            for message in self._peer.receive(line, is_sound=is_sound):
                self._act(message)
        except errors.InvalidParams:
            self._breach()
            return
        if self._peer.outgoing():  # the peer refuses by itself what breaks the protocol
            self._breach()

    def overflow(self, start: bytes) -> None:
        self._too_large("the arguments of a tool call have" if b'"method"' in start else "its value has")

    def end(self) -> None:
        # Its exit status says why; that is on its way.
        self._timers.append(self._loop.call_later(STATUS_S, self._end, None))

    def _act(self, message: rpc.Request | rpc.Notification | rpc.Response | rpc.Refusal | Withdrawn) -> None:
        match message:
            case rpc.Request(id, sandbox_wire.CALL, params):
                self._call(id, wire.read(params, sandbox_wire.CallTool, sandbox_wire.CALL))
            case rpc.Notification(wire.OUTPUT, params):
                printed = wire.read(params, sandbox_wire.Printed, wire.OUTPUT)
                self._said.print(printed.stream, printed.text, printed.level)
            case rpc.Notification(wire.DISPLAY, params):
                self._said.display(wire.read(params, sandbox_wire.Displayed, wire.DISPLAY))
            case rpc.Notification(sandbox_wire.UNHANDLED, params):
                thrown = wire.read(params, sandbox_wire.Thrown, sandbox_wire.UNHANDLED)
                self._said.print("stderr", f"Uncaught {thrown.stack or f'{thrown.name}: {thrown.message}'}\n")
            case rpc.Notification(sandbox_wire.KEPT, params):
                kept = wire.read(params, sandbox_wire.KeptNotice, sandbox_wire.KEPT)
                self._emit(ValuesKept(kept.values, kept.refused))
            case rpc.Response(_, result):
                self._return(result)
            case rpc.Refusal(_, code, _, None) if code in UNREAD:  # the peer's own words for an answer it cannot read
                self._breach()
            case rpc.Refusal(_, _, text, data):
                thrown = wire.read(data, sandbox_wire.Thrown, sandbox_wire.RUN)
                self._settle(ProgramThrew(thrown if data is not None else sandbox_wire.Thrown(message=text)))
            case _:
                self._breach()

    # its calls

    def _call(self, id: rpc.Id, call: sandbox_wire.CallTool) -> None:
        if call.arguments is not UNSET and memoryview(call.arguments).nbytes > self._limits.max_result_bytes:
            self._too_large("the arguments of a tool call have")
            return
        self._called += 1
        if self._called > self._limits.max_calls:
            self._limit(
                f"it made more than {self._limits.max_calls:,} tool calls (Pctx.max_calls); ask for more at once"
            )
            return
        log.debug("%s < call %s #%s", self._worker.name, visible.LogText(call.name), visible.LogText(id))
        is_patient = call.name in self._job.patient
        size = 0 if call.arguments is UNSET else memoryview(call.arguments).nbytes
        self._latest = self._loop.time()
        self._due[id] = math.inf if is_patient else self._latest + self._limits.max_call_s
        self._argument_bytes += size
        task = self._loop.create_task(self._answer(id, call, size))
        if task.done():
            return
        self._calls[id] = task
        if self._alarm is None and not is_patient:
            self._alarm = self._loop.call_at(self._due[id], self._ring)
        if self._patience is None:
            self._patience = self._loop.call_at(self._latest + PATIENCE_S, self._lose_patience)
        if self._has_enough_calls:
            self._worker.pause()

    @property
    def _has_enough_calls(self) -> bool:
        """Whether further calls wait, in number or for the memory that their arguments take."""
        limits = self._limits
        return len(self._calls) >= limits.max_calls_in_flight or self._argument_bytes > limits.max_result_bytes

    async def _answer(self, id: rpc.Id, call: sandbox_wire.CallTool, argument_bytes: int) -> None:
        try:
            arguments = None if call.arguments is UNSET else call.arguments
            serving = self._serve(call.name, arguments, call.stack) if call.stack else self._serve(call.name, arguments)
            self._peer.answer(id, await serving)
        except errors.PctxError as error:
            self._peer.refuse(id, error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if id not in self._due:
                self._peer.refuse(id, errors.ToolTimeout(call.name[:200], self._limits.max_call_s))
            elif task is not None and task.cancelling():
                raise
            else:  # what the tool awaited was cancelled, and not the call
                self._peer.refuse(id, errors.Cancelled(f"{call.name[:200]} was cancelled"))
        except Exception as error:
            log.exception("%s = failed to serve %s", self._worker.name, visible.LogText(call.name))
            self._peer.refuse(id, errors.PctxError(processes.unforeseen(error)))
        finally:
            self._calls.pop(id, None)
            self._argument_bytes -= argument_bytes
            self._due.pop(id, None)
            self._flush()
            if not self._outcome.done() and not self._has_enough_calls:
                self._worker.resume()

    def _ring(self) -> None:
        """Cancel the calls whose time is up. One alarm for all: a timer each takes a tenth of a short call's time."""
        self._alarm = None
        soonest = math.inf
        for id, due in list(self._due.items()):
            if due > self._loop.time():
                soonest = min(soonest, due)
            else:
                del self._due[id]
                self._calls[id].cancel()
        if soonest < math.inf:
            self._alarm = self._loop.call_at(soonest, self._ring)

    def _lose_patience(self) -> None:
        """Resume a program whose sandbox stands still until its latest call is answered, if that takes longer."""
        self._patience = None
        if not self._calls:
            return
        if self._loop.time() < self._latest + PATIENCE_S:
            self._patience = self._loop.call_at(self._latest + PATIENCE_S, self._lose_patience)
            return
        self._peer.notify(sandbox_wire.LATER)
        self._flush()

    async def _end_calls(self) -> None:
        """Cancel the tool calls under way, and let them say so."""
        tasks = list(self._calls.values())
        for task in tasks:
            task.cancel()
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=GRACE_S)
            if stuck:
                log.warning("%s = left %d tool calls that do not stop", self._worker.name, len(stuck))

    def _flush(self) -> None:
        for frame in self._peer.outgoing():
            self._worker.send(frame)
        # A program that never stops calling never reads. Not reading it in turn could block both sides for ever.
        if self._worker.unread > self._limits.max_memory_mb * MIB:
            self._limit(
                f"more than {self._limits.max_memory_mb} MB of answers to its tool calls wait to be read "
                "(Pctx.max_memory_mb); await fewer calls at once"
            )

    # its end

    def _return(self, value: Raw) -> None:
        if memoryview(value).nbytes > self._limits.max_result_bytes:
            self._too_large("its value has")
        elif not self._outcome.done():
            self._worker.listen(None)
            self._outcome.set_result(value)

    def _settle(self, error: Exception) -> None:
        self._worker.listen(None)
        if not self._outcome.done():
            self._outcome.set_exception(error)

    def _limit(self, what: str) -> None:
        self._settle(ProgramStopped("LimitExceeded", f"Cannot finish execution: {what}"))

    def _too_large(self, what: str) -> None:
        self._limit(
            f"{what} more than {self._limits.max_result_bytes:,} bytes of JSON (Pctx.max_result_bytes); use less"
        )

    def _breach(self) -> None:
        log.warning("%s = broke the protocol in execution %s", self._worker.name, self._job.execution_id)
        self._settle(ProgramStopped(SANDBOX_ENDED, "Cannot finish execution: its sandbox broke the protocol"))

    def _ended(self, ended: asyncio.Future[int]) -> None:
        # What it said before comes first, unless we are not reading anyway.
        self._timers.append(self._loop.call_later(0, self._end, ended.result()))

    def _end(self, status: int | None, was_behind: bool = False) -> None:
        if self._worker.is_behind or was_behind:
            # Once the worker is not behind, it reads again, and what it reads then comes first, too.
            self._timers.append(self._loop.call_later(0, self._end, status, self._worker.is_behind))
            return
        limits = self._limits
        match status:
            case -6 if "stack overflow" in self._worker.error_line():  # of the reader of TypeScript, not of the program
                self._limit("it is nested too deeply to be read; use fewer brackets inside one another")
            case -5 | -6:  # V8's and the allocator's way to say that they got no memory
                self._out_of_memory()
            case -11 if self._most_used > limits.max_memory_mb * MIB // 2:  # the way of libraries that expect to get it
                self._out_of_memory()
            case -24:
                self._limit(f"it used more than {limits.max_cpu_s} s of CPU time (Pctx.max_cpu_s)")
            case _:
                how = "" if status is None else f" (exit status {status})"
                message = f"Cannot finish execution: its sandbox ended{how}; run it again"
                self._settle(ProgramStopped(SANDBOX_ENDED, message))

    def _out_of_memory(self) -> None:
        self._limit(
            f"it used more than {self._limits.max_heap_mb} MB of JavaScript heap, or {self._limits.max_memory_mb} MB "
            "in all (Pctx.max_heap_mb, Pctx.max_memory_mb); work on less at once"
        )

    def _watch(self) -> None:
        # Twice in a row: a group of processes is not stopped and continued in one instant.
        was_stopped, self._is_stopped = self._is_stopped, flags.is_stopped(self._worker.pid)
        used = flags.resident(self._worker.pid) - self._worker.resident
        self._most_used = max(self._most_used, used)
        if was_stopped and self._is_stopped:
            message = "Cannot finish execution: its sandbox was stopped from outside (SIGSTOP); run it again"
            self._settle(ProgramStopped(SANDBOX_ENDED, message))
        elif used > self._limits.max_memory_mb * MIB:
            most = f"{self._limits.max_memory_mb} MB of memory (Pctx.max_memory_mb)"
            self._limit(f"it used more than {most}; work on less at once")
        elif not self._outcome.done():
            self._watcher = self._loop.call_later(WATCH_S, self._watch)


__all__ = ["Supervisor"]
