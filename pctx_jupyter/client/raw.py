"""The client as a kernel and the commands use it: payloads stay raw JSON, in the structs of the wire. Not public."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Raw

from ..rpc import jsonrpc as rpc
from ..rpc import wire
from .client import ExecutionNotice, PctxClient
from .offers import Registration, ServeTool


class RawClient(PctxClient):
    """A `PctxClient` that also takes and returns raw JSON."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.on_guest: Callable[[wire.GuestNotice], None] = lambda notice: None
        """Called when a guest program begins to call this client's tools, and when it has ended; never waits."""
        self.list_handles: Callable[[], wire.HeldHandles] = lambda: wire.HeldHandles([])
        """Lists the objects that this client holds for programs; never waits."""
        self.forget_handle: Callable[[str], bool] = lambda handle_id: False
        """Removes one that outlives its run, by its id; returns whether it was there. It never waits."""
        self.meter: wire.ProgramMeter | None = None
        """What the last program that ended well cost a model, with all of its session; None: there was none."""

    async def offer(self, asked: wire.RegisterTool, serve: ServeTool) -> None:
        """Offer a tool that takes and returns raw JSON.

        Raises:
            ToolExists: There is one of that name, and `asked.replace` is false.
            InvalidParams: The name cannot be used.
        """
        await self._register(Registration(asked, serve, serve))

    def note(self, asked: wire.ExecuteTool, note: str, *, waits: bool = False) -> None:
        """Report what delays a call of a guest program, or its progress, while the call is being served.

        Args:
            asked: The call.
            note: A few words.
            waits: Whether the call waits for its turn. Then its program lets other programs run until the call ends.
        """
        if self.ws is not None:
            self.ws.notify(wire.CALL_NOTE, wire.CallNote(asked.execution_id, asked.call, note, waits))

    def report_handles(self) -> None:
        """Report that the objects that this client holds have changed; without a connection, do nothing."""
        if self.ws is not None:
            self.ws.notify(wire.HANDLES_CHANGED)

    async def execute(
        self, asked: wire.Execute, *, on_notice: Callable[[ExecutionNotice], None] | None = None
    ) -> wire.Executed:
        """Run one program; its value stays raw JSON.

        Args:
            asked: What to run.
            on_notice: Receives its output and displays, and its calls unless `asked.calls` is false: in order, and
                before this returns. It never waits.

        Raises:
            ExecutionError: It failed (`errors.ExecutionFailed`) or ran too long (`errors.ExecutionTimeout`).
            ConnectionLost: The connection was lost while it ran.
            PctxError: It was not run; the message says why.
        """
        done = await self._execute(asked, on_notice)
        self.meter = done.meter
        return done

    async def call_agent(
        self, asked: wire.CallAgentFunction, *, on_notice: Callable[[ExecutionNotice], None] | None = None
    ) -> wire.AgentAnswered:
        """Call a function for an agent of this program.

        Args:
            asked: The call.
            on_notice: Receives what the program shows and, if `asked.trace`, its traces: before this returns. It never
                waits.
        """
        return await self._call_agent(asked, on_notice)

    async def _serve(self, request: rpc.Request) -> Raw:
        match request.method:
            case wire.LIST_HANDLES:
                return rpc.raw(self.list_handles())
            case wire.FORGET_HANDLE:
                asked = wire.read(request.params, wire.ForgetHandle, request.method)
                return rpc.raw(wire.HandleForgotten(self.forget_handle(asked.id)))
        return await super()._serve(request)

    def _receive(self, notification: rpc.Notification) -> None:
        if notification.method == wire.GUEST:
            self.on_guest(wire.read(notification.params, wire.GuestNotice, notification.method))
        else:
            super()._receive(notification)
