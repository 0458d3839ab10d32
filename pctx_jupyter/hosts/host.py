"""The host's end: runs the programs that an engine gives it, in the pool of its machine.

It knows neither how it reached the engine nor what the tools are that programs call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from msgspec import UNSET, Raw

from .. import errors
from ..program.result import Display, Emit, Event, Output, ValuesKept
from ..rpc import jsonrpc as rpc
from ..rpc import wire
from ..rpc.channel import Channel
from ..session.execution import ProgramRunner, ProgramStopped, ProgramThrew
from ..session.hold import Hold
from . import messages

log = logging.getLogger(__name__)


BEGAN_S = 0.02
"""Seconds that a program runs before its engine is told that it has begun. A call, output or the end says so as well: a
short program needs no message that would only delay its start."""


class _HostHold(Hold):
    """The hold of a program on a host: its engine says when the clock stands still."""

    __slots__ = ("_on_begin", "is_held")

    def __init__(self, on_begin: Callable[[], None]) -> None:
        super().__init__()
        self._on_begin, self.is_held = on_begin, False

    @asynccontextmanager
    async def time_limit(self, seconds: float) -> AsyncIterator[None]:
        """As `Hold.time_limit`; says that the program has begun if it runs longer than `BEGAN_S`."""
        begun = asyncio.get_running_loop().call_later(BEGAN_S, self._on_begin)
        try:
            async with super().time_limit(seconds):
                yield
        finally:
            begun.cancel()

    def set_held(self, held: bool) -> None:
        """Stop or start the clock; does nothing if it is so already."""
        if held != self.is_held:
            self.is_held = held
            if held:
                self.stop_clock()
            else:
                self.start_clock()


class HostEnd:
    """The host's end of the conversation with one engine; its `serve` and `on_notification` are for a `Channel`.

    Programs that arrive before `accept` was called wait for it.

    Args:
        on_dismiss: Called when the engine does not need this host any more.
    """

    def __init__(self, on_dismiss: Callable[[], None] = lambda: None) -> None:
        self._on_dismiss = on_dismiss
        self._run: asyncio.Future[ProgramRunner] = asyncio.get_running_loop().create_future()
        self._channel: Channel | None = None
        self._holds: dict[int, _HostHold] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """How many programs this connection has under way."""
        return len(self._holds)

    def join(self, channel: Channel) -> None:
        """Use this channel to the engine."""
        self._channel = channel

    def accept(self, run: ProgramRunner) -> None:
        """Run programs from now on."""
        self._run.set_result(run)

    async def idle(self) -> None:
        """Wait until no program is under way."""
        await self._idle.wait()

    async def serve(self, request: rpc.Request) -> object:
        """Run a program for the engine."""
        if request.method != messages.RUN_JOB:
            raise errors.MethodNotFound(f"Cannot serve {request.method}: no such method")
        run = self._run.result() if self._run.done() else await asyncio.shield(self._run)
        channel = self._channel
        assert channel is not None, "requests come by the channel that it has joined"
        asked = wire.read(request.params, messages.RunJob, messages.RUN_JOB)
        if asked.run in self._holds:
            raise errors.InvalidParams(f"Cannot run: run {asked.run} is under way")
        self._idle.clear()
        try:
            return await self._run_job(run, channel, asked)
        finally:
            self._holds.pop(asked.run, None)
            if not self._holds:
                self._idle.set()

    def on_notification(self, notification: rpc.Notification) -> None:
        """Stop or start the clock of a program, or end because the engine does not need this host any more."""
        if notification.method == messages.DISMISS:
            self._on_dismiss()
        if notification.method != messages.HOLD:
            return
        try:
            said = wire.read(notification.params, messages.RunHeld, messages.HOLD)
        except errors.InvalidParams as error:
            log.warning("host = dropped a notification: %s", error.message)
            return
        if (hold := self._holds.get(said.run)) is not None:
            hold.set_held(said.held)

    async def _run_job(self, run: ProgramRunner, channel: Channel, asked: messages.RunJob) -> rpc.Sound:
        number = asked.run
        hold = self._holds[number] = _HostHold(lambda: channel.notify(messages.BEGAN, messages.RunBegan(number)))

        async def serve(path: str, arguments: Raw | None, stack: str = "", /) -> Raw:
            given = UNSET if arguments is None else arguments
            return await channel.call(messages.CALL, messages.CallOfRun(number, path, given, stack))

        try:
            return rpc.Sound(await run(asked.job(hold), serve, _sender(channel, number)))
        except ProgramThrew as threw:
            failed = messages.JobFailed(thrown=threw.thrown)
        except ProgramStopped as stopped:
            is_limit = stopped.name == "LimitExceeded"
            ended = messages.JobStopped("LimitExceeded" if is_limit else "SandboxEnded", stopped.message)
            failed = messages.JobFailed(stopped=ended)
        except errors.ExecutionTimeout:
            failed = messages.JobFailed(timed_out=True)
        raise failed.error()


def _sender(channel: Channel, run: int) -> Emit:
    """Return the function that passes a program's events to the engine."""

    def emit(event: Event) -> None:
        match event:
            case Output(stream, text, level):
                channel.notify(messages.OUTPUT, messages.OutputOfRun(stream, text, level, run=run))
            case Display(data, metadata, display_id, update, is_value):
                given = UNSET if metadata is None else metadata
                shown = messages.DisplayOfRun(data, given, display_id, update, is_value, run=run)
                channel.notify(messages.DISPLAY, shown)
            case ValuesKept(values, refused):
                channel.notify(messages.KEPT, messages.KeptOfRun(dict(values), dict(refused), run=run))

    return emit
