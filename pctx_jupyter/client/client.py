"""The client: one session on a server or an embedded engine, its tools, its programs.

It keeps what has to survive a lost connection (which tools it offers) and nothing else. When a connection is lost,
calls in flight fail at once, because it is unknown whether they were done; nothing is sent twice. Calls that are made
while the connection is being opened wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, TypeVar
from uuid import uuid4

import msgspec
from msgspec import UNSET

from .. import errors
from ..rpc import jsonrpc as rpc
from ..rpc import span_context, wire
from ..rpc.channel import Channel, OnNotification, Serve
from ..settings import Settings
from ..values import path_step
from .connection import Connection, Opened
from .failures import execution_error
from .offers import Callback, Registration, payload_of, serving
from .requests import EditorRequests, UpstreamRequests
from .types import (
    AgentAnswered,
    AgentFunctions,
    AllowedTool,
    CallEvent,
    DisplayEvent,
    Result,
    Shared,
    WaitingCall,
    call_of,
    display_of,
    result_of,
)

if TYPE_CHECKING:
    from msgspec import Raw

    from ..session.session import Sharing

log = logging.getLogger(__name__)

R = TypeVar("R")

ExecutionNotice: TypeAlias = wire.OutputNotice | wire.DisplayNotice | wire.EventNotice | wire.TraceNotice
"""What an engine sends about a program while it runs."""

NOTICES: dict[str, type[ExecutionNotice]] = {
    wire.OUTPUT: wire.OutputNotice,
    wire.DISPLAY: wire.DisplayNotice,
    wire.EVENT: wire.EventNotice,
    wire.TRACE: wire.TraceNotice,
}

LAST_TRACE_S = 10.0
"""Seconds in which the last trace of a cancelled program is expected. Stopping a sandbox takes far less."""

Connector = Callable[[Serve, OnNotification], Awaitable[Channel]]
"""Opens a channel to an engine, given what serves its requests and what receives its notifications."""

GREETING_S = 10.0
"""Seconds a server may take to open a session after the connection stands."""


class PctxClient(EditorRequests, UpstreamRequests):
    """A connection to pctx: offers this program's functions as tools, and runs TypeScript that calls them.

    Args:
        url: Where a server's ``local-tools`` WebSocket is, base URL included.
        headers: Sent with the handshake: ``{"Authorization": "token …"}``.
        connect: Opens the connection in place of a WebSocket to `url`, for example to an embedded engine.
        max_message_bytes: The largest message that passes, either way; a larger one fails its own request only.
        reconnect: Whether a lost connection is opened again, with all tools, until `disconnect`.
        patience_s: Seconds that a call waits for a connection that is being opened.
        name: What people read where this program's tools are offered to agents and notebooks (`share`): 1 to 80
            characters. None: it offers them to nobody else.

    A client belongs to the event loop in which `connect` is awaited. Callbacks run in that loop, so a callback that
    computes for long should be async and hand its work to a thread.
    """

    def __init__(
        self,
        url: str = "ws://localhost:8888/local-tools",
        *,
        headers: Mapping[str, str] | None = None,
        connect: Connector | None = None,
        max_message_bytes: int = Settings().max_message_bytes,
        reconnect: bool = True,
        patience_s: float = 10.0,
        name: str | None = None,
    ) -> None:
        self.url, self.name = url, name
        self._instance = uuid4().hex  # by which a server knows it again on its next connection
        self._sharing: Sharing | None = None
        self.on_reconnect: Callable[[], None] = lambda: None
        """Called when a lost connection is open again, with all tools; never waits."""
        self._offers: dict[str, Registration] = {}
        self._listeners: dict[str, Callable[[ExecutionNotice], None]] = {}
        self._connection = Connection(
            self._open, reconnect=reconnect, patience_s=patience_s, on_reconnect=lambda: self.on_reconnect()
        )

        self._connector = connect or _over_websocket(url, headers or {}, max_message_bytes)

    @property
    def session_id(self) -> str | None:
        """The id of the session; None while there is no connection. It is another one after each reconnect."""
        opened = self._connection.opened
        return None if opened is None else opened.session_id

    @property
    def ws(self) -> Channel | None:
        """The channel to the engine; None while there is no connection."""
        opened = self._connection.opened
        return None if opened is None else opened.channel

    @property
    def tools(self) -> dict[str, Callable[..., Any]]:
        """What this client offers: callback by full name as registered, ``namespace.name``."""
        return {path: offer.callback for path, offer in self._offers.items()}

    # connection

    async def connect(self) -> None:
        """Connect and open a session; when another task is doing that, wait for it.

        Cancelling this gives the attempt up, unless another task waits for it.

        Raises:
            CannotConnect: Says what happened and the way out.
        """
        await self._connection.connect()

    async def disconnect(self) -> None:
        """Close the session: its tools go, its programs stop, calls in flight fail, an attempt to connect ends."""
        await self._connection.disconnect()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    # tools

    async def register_tool(
        self,
        namespace: str,
        name: str,
        callback: Callback,
        description: str | None = None,
        input_schema: rpc.Json = None,
        output_schema: rpc.Json = None,
        *,
        replace: bool = False,
        share: bool = True,
        effects: bool | Literal["unknown"] | None = None,
    ) -> None:
        """Offer a function to this session's programs.

        Args:
            namespace: The first part of the name: programs write it as it is, or as ``Namespace``.
            name: The second part: programs write it as it is, or as ``toolName``.
            callback: Takes the arguments as one dict, and returns what a notebook's tool may return
                (`pctx_jupyter.values`), or an awaitable of it.
                What it raises reaches the program as an ``Error`` with that type and message.
            description: What it does, for people and models.
            input_schema: JSON Schema of its arguments.
            output_schema: JSON Schema of its result.
            replace: Whether it may take the place of a tool of that name.
            share: Whether agents and other notebooks may see it, as far as this session's tools are shared (`share`).
            effects: Whether it changes something outside, or "unknown": then an agent's call may need a person's
                consent. None: no.

        Raises:
            ToolExists: There is one of that name, and `replace` is false.
            InvalidParams: The name cannot be used, or the callback is not callable.
        """
        if not callable(callback):
            raise errors.InvalidParams(
                f"Cannot register tool {namespace}.{name}: {callback!r:.50} is not callable; pass a function that "
                "takes the arguments as one dict"
            )
        asked = wire.RegisterTool(
            namespace, name, description, input_schema, output_schema, replace, share, effects, nonfinite=True
        )
        await self._register(Registration(asked, serving(callback), callback))

    async def unregister_tool(self, namespace: str, name: str) -> None:
        """Withdraw a tool.

        Raises:
            ToolNotFound: There is none of that name.
        """
        await self._call(wire.UNREGISTER_TOOL, wire.UnregisterTool(namespace, name))
        self._offers.pop(f"{namespace}.{name}", None)

    async def share(self, to: Sharing | None = None) -> Shared:
        """Set who else may see this session's tools.

        A program that is no kernel needs a `name` for that. Then its namespaces keep their names for agents and
        notebooks; one whose name is taken gets a number behind it. The tools are gone while the client is not
        connected, and are back when it has connected again.

        Args:
            to: ``everyone`` are agents and other notebooks; None: nothing changes.

        Returns:
            Who may see them now, and the name under which they do. A person may have decided on fewer.

        Raises:
            InvalidParams: The name cannot be used.
        """
        shared = await self._ask(wire.SHARE, None if to is None else self._asked_to_share(to), Shared)
        self._sharing = to or self._sharing
        return shared

    def _asked_to_share(self, to: Sharing) -> wire.Share:
        return wire.Share(to) if self.name is None else wire.Share(to, self.name, self._instance)

    async def list_approvals(self) -> list[WaitingCall]:
        """List the calls of this session's own tools that wait for a person's consent. They cannot be answered here."""
        return (await self._ask(wire.LIST_APPROVALS, None, wire.WaitingCalls)).approvals

    async def list_permissions(self) -> list[AllowedTool]:
        """List this session's own tools that are allowed without asking: their calls do not wait."""
        return (await self._ask(wire.LIST_APPROVALS, None, wire.WaitingCalls)).permissions

    async def revoke_permission(self, id: str) -> None:
        """Take a permission for one of this session's own tools back: its next call waits for a person.

        Raises:
            InvalidParams: No tool of this session has a permission of this id.
        """
        await self._ask(wire.REVOKE_PERMISSION, wire.Revoke(id), wire.Success)

    async def list_functions(self) -> list[dict[str, Any]]:
        """List the tools that a program of this session can call: name, description, schemas."""
        found: list[dict[str, Any]] = msgspec.json.decode(await self._call(wire.LIST_FUNCTIONS))["functions"]
        return found

    async def get_function_details(self, functions: list[str]) -> dict[str, dict[str, Any]]:
        """Describe tools by full name, in either spelling.

        Raises:
            ToolNotFound: Names the first that is unknown.
        """
        found: dict[str, dict[str, Any]] = msgspec.json.decode(
            await self._call(wire.GET_FUNCTION_DETAILS, wire.GetFunctionDetails(functions))
        )
        return found

    async def forget(self, names: Iterable[str] = ()) -> list[str]:
        """Forget names that earlier programs of this session left for later ones, or all of them; returns which.

        Raises:
            InvalidParams: Nothing is kept of such a name.
        """
        return (await self._ask(wire.FORGET, wire.Forget(list(names)), wire.Forgotten)).forgotten

    async def forget_types(self, functions: Iterable[str]) -> None:
        """Forget the types that were observed of tools, by full name, in either spelling.

        Raises:
            ToolNotFound: Names the first that is unknown; nothing is forgotten.
        """
        await self._ask(wire.FORGET_TYPES, wire.ForgetTypes(list(functions)), wire.Success)

    # programs

    async def run(
        self,
        code: str,
        *,
        timeout_s: float | None = None,
        tools: list[str] | None = None,
        typecheck: bool | None = None,
        inputs: Mapping[str, object] | None = None,
        keep: bool | None = None,
        on_output: Callable[[str, str], None] | None = None,
        on_display: Callable[[DisplayEvent], None] | None = None,
        on_event: Callable[[CallEvent], None] | None = None,
    ) -> Result:
        """Run one program; cancelling this stops it.

        Args:
            code: TypeScript.
            timeout_s: Seconds it may run; None: the server's default.
            tools: Patterns of the tools it may call (``Sales.*``); None: all.
            typecheck: Whether its types are checked first; None: as the server is set.
            inputs: Constants it finds, by name; anything that a notebook may pass in (`pctx_jupyter.values`).
            keep: Whether later programs find what it has at its top level; None: they find what it exports.
            on_output: Called with what it prints as it prints it: ``"stdout"`` or ``"stderr"``, and the text.
            on_display: Called with what it shows.
            on_event: Called at the start and the end of each of its tool calls.

        Returns:
            Its value, and what it printed.

        Raises:
            ExecutionError: It failed (`errors.ExecutionFailed`) or ran too long (`errors.ExecutionTimeout`).
            NotJson: An input has no JSON form.
            ConnectionLost: The connection was lost while it ran; it may or may not have done its work.
            PctxError: It was not run; the message says why.
        """

        def receive(notice: ExecutionNotice) -> None:
            match notice:
                case wire.OutputNotice() if on_output is not None:
                    on_output(notice.stream, notice.text)
                case wire.DisplayNotice() if on_display is not None:
                    on_display(display_of(notice))
                case wire.EventNotice() if on_event is not None:
                    on_event(call_of(notice))

        asked = wire.Execute(
            code,
            timeout_s=timeout_s,
            typecheck=typecheck,
            tools=tools,
            inputs={name: payload_of(value, f"inputs{path_step(name)}") for name, value in (inputs or {}).items()},
            keep=keep,
            calls=on_event is not None,
            nonfinite=True,
        )
        listens = on_output is not None or on_display is not None or on_event is not None
        return result_of(await self._execute(asked, receive if listens else None))

    async def execute_code(
        self,
        code: str,
        *,
        timeout_s: float | None = None,
        tools: list[str] | None = None,
        typecheck: bool | None = None,
        inputs: Mapping[str, object] | None = None,
        keep: bool | None = None,
        on_output: Callable[[str, str], None] | None = None,
        on_display: Callable[[DisplayEvent], None] | None = None,
        on_event: Callable[[CallEvent], None] | None = None,
    ) -> dict[str, Any]:
        """Run one program and return a dict, as the original client does; `run` returns a typed `Result`.

        Args:
            code: TypeScript.
            timeout_s: Seconds it may run; None: the server's default.
            tools: Patterns of the tools it may call (``Sales.*``); None: all.
            typecheck: Whether its types are checked first; None: as the server is set.
            inputs: Constants it finds, by name; anything that a notebook may pass in (`pctx_jupyter.values`).
            keep: Whether later programs find what it has at its top level; None: they find what it exports.
            on_output: Called with what it prints as it prints it: ``"stdout"`` or ``"stderr"``, and the text.
            on_display: Called with what it shows.
            on_event: Called at the start and the end of each of its tool calls.

        Returns:
            ``{value, stdout, stderr, success, execution_id, duration_s, unchecked, kept, unkept}``

        Raises:
            ExecutionError: It failed (`errors.ExecutionFailed`) or ran too long (`errors.ExecutionTimeout`).
            NotJson: An input has no JSON form.
            ConnectionLost: The connection was lost while it ran; it may or may not have done its work.
            PctxError: It was not run; the message says why.
        """
        result = await self.run(
            code,
            timeout_s=timeout_s,
            tools=tools,
            typecheck=typecheck,
            inputs=inputs,
            keep=keep,
            on_output=on_output,
            on_display=on_display,
            on_event=on_event,
        )
        return {name: getattr(result, name) for name in Result.__slots__} | {"kept": list(result.kept), "success": True}

    # its own agents

    async def list_agent_functions(self, agent: str = "") -> AgentFunctions:
        """List the functions that an agent of this program may call, with their descriptions for models.

        Args:
            agent: The agent's name, for people.
        """
        return await self._ask(wire.LIST_AGENT_FUNCTIONS, wire.ListAgentFunctions(agent), AgentFunctions)

    async def call_agent_function(
        self, name: str, arguments: Mapping[str, Any] | None = None, *, agent: str = ""
    ) -> AgentAnswered:
        """Call one of these functions for an agent; cancelling this stops its program.

        The agent's programs call this session's tools. They run as agents' programs do: a person may be asked for
        consent.

        Args:
            name: The name of the function.
            arguments: Its arguments, as a model wrote them.
            agent: The agent's name, for people.

        Returns:
            The answer for the model. What goes wrong in a program is an answer, too.

        Raises:
            ConnectionLost: The connection was lost meanwhile.
        """
        return await self._call_agent(wire.CallAgentFunction(name, dict(arguments or {}), agent))

    async def _call_agent(
        self, asked: wire.CallAgentFunction, receive: Callable[[ExecutionNotice], None] | None = None
    ) -> AgentAnswered:
        id = asked.execution_id or uuid4().hex
        asked = msgspec.structs.replace(asked, execution_id=id, events=receive is not None, meta=_meta(asked))
        with self._listening(id, receive, has_trace=asked.trace):
            return await self._ask(wire.CALL_AGENT_FUNCTION, asked, AgentAnswered)

    async def _execute(
        self, asked: wire.Execute, receive: Callable[[ExecutionNotice], None] | None = None
    ) -> wire.Executed:
        if asked.timeout_s != asked.timeout_s:  # JSON has null in its place: no limit of the caller's
            raise errors.InvalidParams("Cannot run program: timeout_s is nan, and must be above 0")
        id = asked.execution_id or uuid4().hex
        if receive is not None:
            asked = msgspec.structs.replace(asked, execution_id=id, events=True)
        if (meta := _meta(asked)) is not asked.meta:
            asked = msgspec.structs.replace(asked, meta=meta)
        with self._listening(id, receive, has_trace=asked.trace):
            try:
                return await self._ask(wire.EXECUTE, asked, wire.Executed)
            except (errors.Remote, errors.Timeout) as error:
                raise execution_error(error) from None

    @contextmanager
    def _listening(
        self, id: str, receive: Callable[[ExecutionNotice], None] | None, *, has_trace: bool
    ) -> Iterator[None]:
        """Pass the notices of one execution to `receive`; its last trace too, if the wait for it is cancelled."""
        if receive is None:
            yield
            return
        self._listeners[id] = receive
        try:
            yield
        except asyncio.CancelledError:
            if has_trace:
                self._await_last_trace(id, receive)
            raise
        finally:
            if self._listeners.get(id) is receive:
                del self._listeners[id]

    def _await_last_trace(self, id: str, receive: Callable[[ExecutionNotice], None]) -> None:
        """Pass on the traces of a cancelled program for a while: the last one is sent when it has been stopped."""

        def receive_trace(notice: ExecutionNotice) -> None:
            if isinstance(notice, wire.TraceNotice):
                receive(notice)

        self._listeners[id] = receive_trace
        asyncio.get_running_loop().call_later(LAST_TRACE_S, self._listeners.pop, id, None)

    # the connection

    async def _open(self) -> Opened:
        """Open a channel, wait for its session, and offer every tool there."""
        greeted: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def receive(notification: rpc.Notification) -> None:
            if notification.method != wire.SESSION_CREATED:
                self._on_notification(notification)
            elif not greeted.done():
                greeted.set_result(_session_id(notification))

        def gone() -> None:
            greeted.cancel()

        channel = await self._connector(self._serve, receive)
        channel.on_close(gone)
        try:
            async with asyncio.timeout(GREETING_S):
                await asyncio.wait([greeted])
            if greeted.cancelled():
                raise errors.CannotConnect("Cannot open a session: the server closed the connection at once")
            if not greeted.result():
                raise errors.CannotConnect("Cannot open a session: what answers there is not pctx")
            await asyncio.gather(*(_offer_again(channel, offer) for offer in list(self._offers.values())))
            if self.name is not None and self._sharing is not None:
                await _share_again(channel, self._asked_to_share(self._sharing))
            if channel.is_closed:
                raise errors.CannotConnect("Cannot open a session: the connection was lost at once")
        except TimeoutError:
            await _close(channel)
            raise errors.CannotConnect("Cannot open a session: the server said nothing; is this its address?") from None
        except BaseException:
            await _close(channel)
            raise
        log.info("session %s = open", greeted.result()[:8])
        return Opened(channel, greeted.result())

    # what passes over it

    async def _register(self, offer: Registration) -> None:
        path = offer.path
        channel = await self._connection.channel()
        before = self._offers.get(path)
        if before is None or offer.asked.replace:
            self._offers[path] = offer  # before the server knows it: its first call may follow the answer at once
        try:
            await channel.call(wire.REGISTER_TOOL, offer.asked)
        except BaseException:
            if self._offers.get(path) is offer:
                self._offers.pop(path) if before is None else self._offers.update({path: before})
            raise
        self._offers[path] = offer

    async def _serve(self, request: rpc.Request) -> Raw:
        if request.method != wire.EXECUTE_TOOL:
            raise errors.MethodNotFound(f"Cannot serve {request.method[:100]}: no such method")
        asked = wire.read(request.params, wire.ExecuteTool, request.method)
        if (offer := self._offers.get(asked.name)) is None:
            raise errors.ToolNotFound(f"Cannot call {asked.name[:200]}: this client offers no such tool")
        with span_context.entered(span_context.received(asked.meta)):
            return await offer.serve(asked)

    def _on_notification(self, notification: rpc.Notification) -> None:
        try:
            self._receive(notification)
        except Exception:
            # A callback that fails must not cost the connection, on which the answers of all others come.
            log.exception("= failed to receive %s", notification.method[:100])

    def _receive(self, notification: rpc.Notification) -> None:
        if (kind := NOTICES.get(notification.method)) is None:
            return
        notice = wire.read(notification.params, kind, notification.method)
        if (listener := self._listeners.get(notice.execution_id)) is not None:
            listener(notice)


def _over_websocket(url: str, headers: Mapping[str, str], max_message_bytes: int) -> Connector:
    """Return what connects to a server. A client of an embedded engine does without, and starts faster."""
    from . import socket  # loads WebSockets, with a fifth of the modules that an embedded engine would import

    async def connect(serve: Serve, on_notification: OnNotification) -> Channel:
        return await socket.connect(url, headers, serve, on_notification, max_message_bytes)

    return connect


def _meta(asked: wire.Execute | wire.CallAgentFunction) -> span_context.Meta:
    """Return the ``_meta`` of a request: its own, or else the current span."""
    return span_context.outgoing() if asked.meta is UNSET else asked.meta


async def _offer_again(channel: Channel, offer: Registration) -> None:
    try:
        await channel.call(wire.REGISTER_TOOL, msgspec.structs.replace(offer.asked, replace=True))
    except errors.ConnectionLost:
        raise
    except errors.PctxError as error:
        log.warning("= cannot offer %s again: %s", offer.path, error.message)


async def _share_again(channel: Channel, asked: wire.Share) -> None:
    try:
        await channel.call(wire.SHARE, asked)
    except errors.ConnectionLost:
        raise
    except errors.PctxError as error:
        log.warning("= cannot share tools again: %s", error.message)


async def _close(channel: Channel) -> None:
    channel.close()
    await channel.closed()


def _session_id(greeting: rpc.Notification) -> str:
    """Return the session that a greeting names; empty when it names none."""
    try:
        return wire.read(greeting.params, wire.SessionCreated, greeting.method).session_id
    except errors.InvalidParams:
        return ""
