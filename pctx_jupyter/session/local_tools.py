"""Serves one client's methods on a session of its own, over any channel.

The WebSocket handler gives it frames, `Engine.connect` two channels crossed in memory; the same lines pass. It knows
the methods, and neither how frames travel nor how programs run.

A connection is a session: when its channel closes, its tools go, callers waiting for them get an error at once, and its
running programs are stopped.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .. import errors
from ..program.result import CallEnded, CallStarted, Display, Event, Output
from ..rpc import jsonrpc as rpc
from ..rpc import nonfinite, span_context, wire
from ..rpc.channel import Channel, Send
from ..rpc.peer import SERVERS
from ..rpc.room import Room
from ..settings import Settings
from ..slices import in_slices
from ..tools import keywords
from ..tools.calls import Asker, Call
from ..tools.observed import OBSERVED
from ..tools.tool import Tool, described, detailed
from . import access, assist
from .client_handles import ClientHandles
from .execution import AGENT, CLIENT, Execution
from .own_agents import FOLLOWED, MAX_NAME, AgentFunctionSet, Followed, FunctionsFor
from .registry import Registry
from .request import MOST_CONSTANTS
from .serve_upstreams import METHODS as UPSTREAM_METHODS
from .serve_upstreams import serve_upstreams
from .turns import Turns

log = logging.getLogger(__name__)


MAX_UNSENT_BYTES = 4 << 20
"""Bytes that may wait to be sent to a client before it gets no more events: a slow reader is never that far behind."""

TRACE_S = 0.2
"""Seconds between two traces of a program that runs: as often as an eye can follow."""

TOOL_BYTES = 1 << 20
"""Bytes one tool's registration may have: its schemas are read whole, in a turn of the loop that all share."""

REQUEST_BYTES = 8 << 20
"""Bytes that the parameters of other requests than `WITH_VALUES` may have: they are read in one turn of the loop, and
so many may be a million names."""

WITH_VALUES = (wire.EXECUTE, wire.CALL_AGENT_FUNCTION, wire.REGISTER_TOOL)
"""Requests that have a limit of their own, or of a program's values."""

ANSWER_S = 1.0
"""Seconds beyond a call's time limit in which a kernel has to report that the limit is reached."""

LONGEST_INSTANCE = 64
"""Characters by which a client may say which one it is: twice those of a UUID."""

Guard = Callable[[], Awaitable[None]]
"""Asked before a request; raises `errors.Forbidden` when its client may not, or no longer, be served."""

Here = Callable[[rpc.Request], Awaitable[Raw]]
"""Has a client serve a request in the task that awaits it: `Channel.serve` of its end."""


async def admit() -> None:
    """A `Guard` for a client whose rights cannot change."""


class LocalTools:
    """One client's door to the engine.

    Args:
        registry: Where its session is opened and closed.
        settings: The size of its frames.
        send: Writes a frame to the client.
        guard: Asked before each request.
        guard_code: Asked before a request that runs code outside of a sandbox (`access.Code`).
        caller: Who the client is, as `access` knows callers. None: an agent with `as_agent`, a kernel that proved its
            token with `kernel_id`, else a user.
        kernel_id: The kernel that the client is; None: it is none, or that is unknown.
        as_agent: Whether its programs run in the session of all agents; then it has none of its own, and no tools.
        room: The room on the connection to the client; None: there always is.
        here: The client's end of the channel, if that is in this loop: then its programs' calls reach its tools without
            a frame, which would take a fifth of the time that a short call takes.
        functions_for: Makes the functions for the client's own agents; None: it can have none.

    The first frame it sends is ``session_created``. The owner of the pipe feeds `channel`, and closes it.
    """

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        send: Send,
        *,
        guard: Guard = admit,
        guard_code: Guard = admit,
        caller: access.Caller | None = None,
        kernel_id: str | None = None,
        as_agent: bool = False,
        room: Room | None = None,
        here: Here | None = None,
        functions_for: FunctionsFor | None = None,
    ) -> None:
        self._functions_for = functions_for
        self._agents: dict[str, AgentFunctionSet] = {}  # by name
        self._registry, self._settings, self._room = registry, settings, room or Room()
        self._client = secrets.token_urlsafe(8) if as_agent else ""
        self._guard, self._guard_code, self._here = guard, guard_code, here
        self._caller = access.Caller.AGENT if as_agent else caller or _caller(kernel_id)
        self._is_kernel = kernel_id is not None or here is not None
        self.session = registry.agents() if as_agent else registry.open(kernel_id, of_cells=self._is_kernel)
        self._whose = "client" if kernel_id is None else "kernel"
        self._guests: dict[str, _Guest] = {}  # executions of others that have called
        self._turns = Turns()  # of their calls
        self._serve_own = self._call_client
        """One object for all tools; each reading of a method makes another one."""
        self.channel = Channel(
            send,
            serve=self._serve,
            on_notification=self._receive,
            name=f"session {self.session.id[:8]}",
            max_bytes=settings.max_message_bytes,
            dialect=SERVERS,
            room=self._room,
        )
        if not as_agent:
            self.session.is_attached = True
            self.session.serve_others = self._serve_guest
            self.channel.on_close(lambda: registry.close(self.session))
        self.channel.notify(wire.SESSION_CREATED, wire.SessionCreated(self.session.id))

    async def _serve(self, request: rpc.Request) -> object:
        await self._guard()
        params, method = request.params, request.method
        size = 0 if params is None else memoryview(params).nbytes
        row = access.demand(method, self._caller, kernels_may_add_servers=self._settings.kernels_may_add_servers)
        if row.code is access.Code.ALWAYS:
            await self._guard_code()
        if size > REQUEST_BYTES and method not in WITH_VALUES:
            raise errors.InvalidParams(
                f"Cannot serve {method}: its parameters have more than {REQUEST_BYTES:,} bytes; ask for less at once"
            )
        match method:
            case wire.REGISTER_TOOL:
                if size > TOOL_BYTES:
                    raise errors.InvalidParams(
                        "Cannot register tool: its names, description and schemas have more than "
                        f"{TOOL_BYTES:,} bytes; describe less"
                    )
                return self._register(wire.read(params, wire.RegisterTool, method), size)
            case wire.UNREGISTER_TOOL:
                gone = wire.read(params, wire.UnregisterTool, method)
                self.session.unregister(f"{gone.namespace}.{gone.name}")
                return wire.Success()
            case wire.EXECUTE:
                return await self._execute(wire.read_program(params, MOST_CONSTANTS))
            case wire.FORGET:
                return wire.Forgotten(self.session.kept.forget(wire.read(params, wire.Forget, method).names))
            case wire.FORGET_TYPES:
                named = wire.read(params, wire.ForgetTypes, method).functions
                known = [self.session.scope.find(path).tool async for path in in_slices(dict.fromkeys(named))]
                if self._registry.observations is not None:
                    await self._registry.observations.forget(known)
                return wire.Success()
            case wire.LIST_FUNCTIONS:
                await self.session.scope.prepare()
                return {"functions": [described(tool) async for tool in in_slices(self.session.scope.listed())]}
            case wire.GET_FUNCTION_DETAILS:
                wanted = wire.read(params, wire.GetFunctionDetails, method)
                return {path: self._details(path) async for path in in_slices(dict.fromkeys(wanted.functions))}
            case wire.COMPLETE:
                return await assist.complete(self.session, wire.read(params, wire.Position, method))
            case wire.HOVER:
                return await assist.hover(self.session, wire.read(params, wire.Position, method))
            case wire.SIGNATURE:
                return await assist.signature(self.session, wire.read(params, wire.Position, method))
            case wire.DIAGNOSTICS:
                return await assist.diagnostics(self.session, wire.read(params, wire.Written, method))
            case wire.DECLARATIONS:
                return await assist.declarations(self.session)
            case wire.SHARE:
                return self._share(None if params is None else wire.read(params, wire.Share, method))
            case wire.LIST_APPROVALS:
                waiting = self._registry.approvals.about(self.session.catalog)
                # No ids: the places where a person may answer show them.
                return wire.WaitingCalls(
                    [wire.WaitingCall(one.tool, one.asked_by, list(one.places), one.left_s) for one in waiting],
                    [
                        wire.AllowedTool(one.id, one.tool, one.asked_by, one.since)
                        for one in self._registry.permissions(self.session)
                    ],
                )
            case wire.REVOKE_PERMISSION:
                id = wire.read(params, wire.Revoke, method).id
                if id not in {one.id for one in self._registry.permissions(self.session)}:
                    raise errors.InvalidParams(f"Cannot revoke {id[:100]}: no tool of this session has that permission")
                self._registry.approvals.revoke(id)
                return wire.Success()
            case wire.LIST_AGENT_FUNCTIONS:
                return self._agent(wire.read(params, wire.ListAgentFunctions, method).agent).listed()
            case wire.CALL_AGENT_FUNCTION:
                return await self._call_agent_function(wire.read(params, wire.CallAgentFunction, method))
        if method in UPSTREAM_METHODS:
            return await serve_upstreams(self._registry.servers, method, params, self._guard_code)
        raise errors.MethodNotFound(f"Cannot serve {method[:100]}: no such method")

    def _register(self, asked: wire.RegisterTool, size: int) -> wire.Success:
        for name, schema in (("input_schema", asked.input_schema), ("output_schema", asked.output_schema)):
            if not isinstance(schema, dict | bool | None):
                raise errors.InvalidParams(
                    f"Cannot register tool {asked.name[:100]}: {name} must be a JSON Schema object"
                )
        tool = Tool(
            asked.namespace,
            asked.name,
            asked.description or "",
            asked.input_schema,
            keywords.without(asked.output_schema, {OBSERVED}),
            share=asked.share,
            effects=None if asked.effects == "unknown" else asked.effects is True,
            nonfinite=asked.nonfinite,
            checked=self._is_kernel,
        )
        tool = self._registry.watched(tool, asked.code_hash)
        self.session.register(tool, self._serve_own, replace=asked.replace, size=size)
        return wire.Success()

    def _share(self, asked: wire.Share | None) -> wire.Shared:
        session, registry = self.session, self._registry
        if asked is not None and asked.name is not None:
            if len(asked.instance) > LONGEST_INSTANCE:
                raise errors.InvalidParams(f"Cannot share: instance has more than {LONGEST_INSTANCE} characters")
            registry.share_service(session, asked.to, asked.name, asked.instance)
        elif asked is not None:
            registry.share(session, asked.to)
        service = registry.services.of(session)
        return wire.Shared(session.sharing, session.name if service is None else service.title)

    async def _call_client(self, call: Call) -> Raw:
        """Call a tool of the client, for a program of its own."""
        meta = span_context.outgoing()
        asked = wire.ExecuteTool(call.tool.registered_path, _arguments(call), call.execution_id, meta=meta)
        return await self._ask_client(call, asked, self._here)

    async def _ask_client(self, call: Call, asked: wire.ExecuteTool, here: Here | None = None) -> Raw:
        if self.channel.is_closed:
            raise errors.ToolFailed(f"Cannot call {call.path}: its {self._whose} is gone", name="ConnectionLost")
        number = self.session.serving.begin(call)
        try:
            if here is not None:
                result = await here(rpc.Request(0, wire.EXECUTE_TOOL, rpc.raw(asked)))
            else:
                result = await self.channel.call(wire.EXECUTE_TOOL, asked)
            return result if call.tool.nonfinite else nonfinite.taken(result)
        except errors.ConnectionLost:
            raise errors.ToolFailed(
                f"Cannot finish {call.path}: its {self._whose} went away; it may or may not have run",
                name="ConnectionLost",
            ) from None
        except errors.MessageTooLarge as error:
            raise errors.ToolFailed(f"Cannot call {call.path}: {error.message}") from None
        except errors.PctxError as error:
            known = _tool_error(error.data)
            raise errors.ToolFailed(error.message, name=known.name, token=known.token) from None
        finally:
            self.session.serving.end(number)

    # guest programs, which call this client's tools

    async def _serve_guest(self, call: Call) -> Raw:
        """Call a tool of the client for a guest program, and notify the client of that program."""
        asker = call.asker
        assert asker is not None, "a session names itself in its calls"
        guest = self._guests.get(asker.key)
        is_first = guest is None
        if guest is None:
            guest = self._guests[asker.key] = _Guest()
        guest.numbers.add(call.number)
        if self.session.kernel_id is not None:
            asker.count_for(self.session.kernel_id)
        if is_first:
            self._notify_of_guest(asker, "began", guest)
            asker.when_ended(lambda: self._forget_guest(asker))
        asked = wire.ExecuteTool(
            call.tool.registered_path,
            _arguments(call),
            asker.key,
            asked_by="notebook" if asker.asked_by == "cell" else asker.asked_by,
            whose=asker.whose,
            call=call.number,
            call_s=asker.call_s,
            meta=span_context.outgoing(),
        )
        # The kernel limits the time of a call, because the call may have to wait for its turn. A kernel that is stopped
        # does neither that nor report that the call waits.
        timeout = asyncio.timeout(asker.call_s + ANSWER_S if asker.call_s else None)
        try:
            async with self._turns.turn(asker.client, call.waits), timeout:
                guest.under_way[call.number] = _GuestCall(call, timeout)
                return await self._ask_client(call, asked)
        except TimeoutError:
            if not timeout.expired():
                raise
            raise errors.ToolFailed(
                f"Cannot finish {call.path}: its kernel did not answer within {asker.call_s:g} s and may be "
                "stopped; the call may or may not have run",
                name="TimeoutError",
            ) from None
        finally:
            guest.under_way.pop(call.number, None)

    def _forget_guest(self, asker: Asker) -> None:
        if (guest := self._guests.pop(asker.key, None)) is not None:
            self._notify_of_guest(asker, "ended", guest)

    def _notify_of_guest(self, asker: Asker, state: Literal["began", "ended"], guest: _Guest) -> None:
        trace = asker.trace_for_owner(guest.numbers)
        is_drawn = self._registry.watchers.is_drawn(self.session.kernel_id)
        notice = wire.GuestNotice(asker.key, state, asker.asked_by, asker.code, trace, is_drawn)
        self.channel.notify(wire.GUEST, notice)

    def _receive(self, notice: rpc.Notification) -> None:
        row = access.METHODS.get(notice.method)
        if row is None or self._caller not in row.callers:
            return
        match notice.method:
            case wire.CALL_NOTE:
                self._receive_note(notice)
            case wire.HANDLES_CHANGED:
                self.session.handles = self.session.handles or ClientHandles(self.channel)
                self._registry.watchers.notify("handles")

    def _receive_note(self, notice: rpc.Notification) -> None:
        try:
            noted = wire.read(notice.params, wire.CallNote, notice.method)
        except errors.InvalidParams:
            log.debug("%s < a note that cannot be read", self.channel.name)
            return
        guest = self._guests.get(noted.execution_id)
        if guest is not None and (found := guest.under_way.get(noted.call)) is not None:
            found.call.note(noted.note)
            if noted.waits:
                found.call.waits()
                if not found.timeout.expired():
                    found.timeout.reschedule(None)

    async def _execute(self, asked: wire.Execute) -> wire.Executed:
        if self._client:
            CLIENT.set(self._client)
            AGENT.set(asked.agent.strip()[:MAX_NAME])
        feed = _Feed(self.channel, self._room, asked, traces=self.session.settings.timeline)
        try:
            with span_context.entered(span_context.received(asked.meta)):
                result = await self.session.execute(
                    asked.code,
                    timeout_s=asked.timeout_s,
                    typecheck=asked.typecheck,
                    tools=asked.tools,
                    inputs=asked.inputs if asked.nonfinite else _taken(asked.inputs),
                    execution_id=asked.execution_id,
                    keep=asked.keep,
                    emit=feed.send,
                    began=feed.begin,
                )
        finally:
            feed.end()
        return wire.Executed(
            result.value if asked.nonfinite else nonfinite.plain(result.value),
            result.stdout,
            result.stderr,
            success=True,
            execution_id=result.execution_id,
            duration_s=round(result.duration_s, 6),
            unchecked=result.unchecked,
            kept=list(result.kept),
            unkept=dict(result.unkept),
            meter=self._metered(feed.execution),
        )

    def _metered(self, execution: Execution | None) -> wire.ProgramMeter | None:
        own = None if execution is None else execution.recorder.trace.meter
        if own is None:
            return None
        total = self.session.meter.total
        return wire.ProgramMeter(own.plain, own.here, total.runs, total.plain, total.here)

    # the client's own agents

    def _agent(self, name: str) -> AgentFunctionSet:
        """Return the functions of one of the client's own agents."""
        session = self._registry.own_agent(self.session, name)
        if (known := self._agents.get(name)) is None:
            if self._functions_for is None:
                raise errors.MethodNotFound("Cannot serve an agent: this engine has no functions for agents")
            known = self._agents[name] = self._functions_for(session)
        return known

    async def _call_agent_function(self, asked: wire.CallAgentFunction) -> wire.AgentAnswered:
        follow = wire.Execute(
            "",
            execution_id=asked.execution_id,
            events=asked.events,
            calls=asked.calls,
            trace=asked.trace,
            nonfinite=True,
        )
        feed = _Feed(self.channel, self._room, follow, traces=self.session.settings.timeline)
        AGENT.set(asked.agent)
        FOLLOWED.set(Followed(asked.execution_id, feed.send, feed.begin))
        try:
            with span_context.entered(span_context.received(asked.meta)):
                return await self._agent(asked.agent).call(asked.name, asked.arguments)
        finally:
            feed.end()

    def _details(self, path: str) -> dict[str, rpc.Json | Raw]:
        return detailed(self.session.scope.find(path).tool)


def _arguments(call: Call) -> Raw | UnsetType:
    """The arguments of a call, in the form that the client of its tool reads."""
    if call.arguments is None:
        return UNSET
    return call.arguments if call.tool.nonfinite else nonfinite.plain(call.arguments)


def _taken(inputs: Mapping[str, Raw]) -> dict[str, Raw]:
    return {name: nonfinite.taken(value) for name, value in inputs.items()}


@dataclass(frozen=True, slots=True)
class _GuestCall:
    """A call of a guest program, and the time in which the kernel has to answer or report that the call waits."""

    call: Call
    timeout: asyncio.Timeout


@dataclass(slots=True)
class _Guest:
    """A guest program that has called this client's tools: the numbers of those calls, and the calls under way."""

    numbers: set[int] = field(default_factory=set)
    under_way: dict[int, _GuestCall] = field(default_factory=dict)


class _Feed:
    """Sends one execution's events and traces to the client that asked for them.

    A client that does not read gets no more of them once `MAX_UNSENT_BYTES` wait to be sent. It gets a note in their
    place when it reads again, and the result has all of the output anyway.

    Args:
        channel: Reaches the client.
        room: That on the connection to it.
        asked: The request, which says what the client wants.
        traces: Whether traces are sent to clients that want them.
    """

    def __init__(self, channel: Channel, room: Room, asked: wire.Execute, *, traces: bool) -> None:
        self._channel, self._room = channel, room
        self._id = asked.execution_id or ""
        has_id = asked.execution_id is not None
        self._wants_events, self._wants_traces = asked.events and has_id, asked.trace and has_id and traces
        self._wants_calls, self._takes_nonfinite = asked.calls, asked.nonfinite
        self.execution: Execution | None = None
        self._has_calls = False
        self._timer: asyncio.TimerHandle | None = None
        self._dropped = 0

    def begin(self, execution: Execution) -> None:
        """Follow an execution from now on."""
        self.execution = execution

    def send(self, event: Event) -> None:
        """Send an event, and soon a trace if it is a call."""
        if self._wants_events and self._has_room():
            self._notify(event)
        self._has_calls = self._has_calls or isinstance(event, CallStarted)
        if self._wants_traces and self._has_calls and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TRACE_S, self._send_trace)

    def end(self) -> None:
        """Send the last trace, and the note about what was dropped."""
        if self._timer is not None:
            self._timer.cancel()
        if self._dropped:
            self._note_dropped()
        if self._wants_traces and self._has_calls:
            self._send_trace(is_last=True)

    def _has_room(self) -> bool:
        if self._room.unsent_bytes > MAX_UNSENT_BYTES:
            self._dropped += 1
            return False
        if self._dropped:
            self._note_dropped()
        return True

    def _note_dropped(self) -> None:
        text = f"… {self._dropped:,} pieces of output were not sent, because this client did not read; see the result\n"
        self._dropped = 0
        self._channel.notify(wire.OUTPUT, wire.OutputNotice(self._id, "stderr", text, "warn"))

    def _notify(self, event: Event) -> None:
        match event:
            case Output(stream, text, level):
                self._channel.notify(wire.OUTPUT, wire.OutputNotice(self._id, stream, text, level))
            case Display(data, metadata, display_id, update, is_value):
                data = data if self._takes_nonfinite else nonfinite.plain_members(data)
                shown = wire.DisplayNotice(self._id, data, metadata or UNSET, display_id, update, is_value)
                self._channel.notify(wire.DISPLAY, shown)
            case CallStarted(call, tool, at_s, size) if self._wants_calls:
                started = wire.EventNotice(self._id, "call_started", call, tool, at_s, argument_bytes=size)
                self._channel.notify(wire.EVENT, started)
            case CallEnded(call, tool, at_s, size, error) if self._wants_calls:
                ended = wire.EventNotice(
                    self._id, "call_ended", call, tool, at_s, result_bytes=size, error=error or UNSET
                )
                self._channel.notify(wire.EVENT, ended)

    def _send_trace(self, *, is_last: bool = False) -> None:
        self._timer = None
        if self.execution is not None and (is_last or self._room.unsent_bytes <= MAX_UNSENT_BYTES):
            self._channel.notify(wire.TRACE, wire.TraceNotice(self._id, self.execution.trace()))


def _caller(kernel_id: str | None) -> access.Caller:
    return access.Caller.USER if kernel_id is None else access.Caller.KERNEL


def _tool_error(data: rpc.Json) -> wire.ToolErrorData:
    try:
        return msgspec.convert(data or {}, wire.ToolErrorData)
    except msgspec.ValidationError:
        return wire.ToolErrorData()
