"""The client: one session on a server or an embedded engine, its tools, its executions.

It keeps what has to survive a lost connection (which tools it offers) and nothing else. When a connection is lost,
calls in flight fail at once, for nobody knows whether they were done; nothing is asked twice. Calls made while there is
no connection wait for the next one.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from uuid import uuid4

import msgspec
from msgspec import UNSET, Raw

from .. import errors
from ..rpc import jsonrpc as rpc
from ..rpc import nonfinite, wire
from ..rpc.channel import Channel, Hear, Serve
from ..session.upstreams import Listed, SignIn, Upstream
from ..settings import Settings
from . import socket
from .failures import execution_error

if TYPE_CHECKING:
    from ..session.session import Sharing

log = logging.getLogger(__name__)

Callback = Callable[[dict[str, Any]], Any]
"""A tool: takes its arguments as one dict; what it returns, or the awaitable it returns gives, must be JSON."""

ServeTool = Callable[[wire.ExecuteTool], Awaitable[Raw]]
"""A tool that takes and gives raw JSON; raises `errors.ToolFailed` with the name and token the program shall see."""

Answer = TypeVar("Answer")

Heard = wire.OutputHeard | wire.DisplayHeard | wire.EventHeard | wire.TraceHeard
"""What an execution says while it runs."""

Connector = Callable[[Serve, Hear], Awaitable[Channel]]
"""Opens a connection to an engine, given who serves its requests and who hears its notifications."""

GREETING_S = 10.0
"""Seconds a server may take to open a session after the connection stands."""

BACK_OFF_S = (0.1, 4.0)
"""Seconds between attempts to connect again: the first wait, doubled each time, and the longest."""


@dataclass(frozen=True, slots=True)
class _Offer:
    asked: wire.RegisterTool
    serve: ServeTool
    callback: Callable[..., Any]


class PctxClient:
    """A connection to pctx: offers this program's functions as tools, and runs TypeScript that calls them.

    Args:
        url: Where a server's ``local-tools`` WebSocket is, base URL included.
        headers: Sent with the handshake: ``{"Authorization": "token …"}``.
        connect: Opens the connection in place of a WebSocket to `url`; so an embedded engine is reached.
        max_message_bytes: The largest message that passes, either way; a larger one fails its own request only.
        reconnect: Whether a lost connection is opened again, with all tools; until `disconnect`.
        patience_s: Seconds a call made meanwhile waits for it.

    All of it belongs to the event loop in which `connect` is awaited. Callbacks run in that loop, so one that computes
    for long should be async and hand its work to a thread.
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
    ) -> None:
        self.url = url
        self.session_id: str | None = None
        """The id of the session; None while there is no connection. Another after each reconnect."""
        self.ws: Channel | None = None
        """The channel to the engine; None while there is no connection."""
        self.on_guest: Callable[[wire.GuestHeard], None] = lambda heard: None
        """Hears when somebody else's program begins to call this client's tools, and when it has ended; never waits."""
        self.on_reconnect: Callable[[], None] = lambda: None
        """Called when a lost connection is open again, with all tools; never waits."""
        self._reconnect, self._patience_s = reconnect, patience_s
        self._offers: dict[str, _Offer] = {}
        self._listeners: dict[str, Callable[[Heard], None]] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._next: asyncio.Future[Channel]
        self._trouble = "no attempt yet"

        async def over_websocket(serve: Serve, hear: Hear) -> Channel:
            return await socket.connect(url, headers or {}, serve, hear, max_message_bytes)

        self._connector = connect or over_websocket

    @property
    def tools(self) -> dict[str, Callable[..., Any]]:
        """What this client offers: callback by full name as registered, ``namespace.name``."""
        return {path: offer.callback for path, offer in self._offers.items()}

    # connection

    async def connect(self) -> None:
        """Connect and open a session; when that was done before, wait until the connection stands.

        Raises:
            CannotConnect: Says what happened and the way out.
        """
        if self._keeper is None or self._keeper.done():
            channel = await self._open()
            self._keeper = asyncio.create_task(self._keep(channel))
        else:
            await self._connected()

    async def disconnect(self) -> None:
        """Close the session: its tools go, its programs stop, calls in flight fail; does nothing when disconnected."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        keeper.cancel()
        await asyncio.wait([keeper])
        if self.ws is None:
            _settle(self._next, errors.CannotConnect("Cannot ask: this client disconnected"))
        else:
            channel = self.ws
            channel.close(errors.ConnectionLost("Connection closed: this client disconnected"))
            await channel.closed()

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
            callback: See `Callback`. What it raises reaches the program as an ``Error`` with that type and message.
            description: What it does, for people and models.
            input_schema: JSON Schema of its arguments.
            output_schema: JSON Schema of its result.
            replace: Whether it may take the place of a tool of that name.
            share: Whether others may see it, as far as this session's tools are shared at all (`share`).
            effects: Whether it changes something outside, or "unknown": then an agent's call may need somebody's
                consent. None: no.

        Raises:
            ToolExists: There is one of that name, and `replace` is false.
            InvalidParams: The name cannot be used.
        """
        asked = wire.RegisterTool(
            namespace, name, description, input_schema, output_schema, replace, share, effects, nonfinite=True
        )
        await self._register(_Offer(asked, _calling(callback), callback))

    async def offer(self, asked: wire.RegisterTool, serve: ServeTool) -> None:
        """Offer a tool that takes and gives raw JSON; otherwise as `register_tool`."""
        await self._register(_Offer(asked, serve, serve))

    async def unregister_tool(self, namespace: str, name: str) -> None:
        """Withdraw a tool; raises `ToolNotFound` when there is none of that name."""
        await self._call(wire.UNREGISTER_TOOL, wire.UnregisterTool(namespace, name))
        self._offers.pop(f"{namespace}.{name}", None)

    async def share(self, to: Sharing | None = None) -> wire.Shared:
        """Say who else may see this session's tools; returns how it is then, and the name under which others see them.

        Only a kernel's session is seen by others.

        Args:
            to: ``everyone`` are agents and other notebooks; None: nothing changes.
        """
        return await self._ask(wire.SHARE, None if to is None else wire.Share(to), wire.Shared)

    async def list_approvals(self) -> list[wire.WaitingCall]:
        """The calls of this session's own tools that wait for a person's consent. They are not answered here."""
        return (await self._ask(wire.LIST_APPROVALS, None, wire.WaitingCalls)).approvals

    def note(self, asked: wire.ExecuteTool, note: str, *, waits: bool = False) -> None:
        """Say what keeps a call of a guest program, or how far it has come; while the call is being served.

        Args:
            asked: The call.
            note: A few words.
            waits: Whether the call waits for its turn. Then its program lets other programs run until the call ends.
        """
        if self.ws is not None:
            self.ws.notify(wire.CALL_NOTE, wire.CallNote(asked.execution_id, asked.call, note, waits))

    async def list_functions(self) -> list[dict[str, Any]]:
        """List the tools that a program of this session can call: name, description, schemas."""
        found: list[dict[str, Any]] = msgspec.json.decode(await self._call(wire.LIST_FUNCTIONS))["functions"]
        return found

    async def get_function_details(self, functions: list[str]) -> dict[str, dict[str, Any]]:
        """Describe tools by full name, in either spelling; raises `ToolNotFound` naming the first unknown."""
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

    # upstreams

    async def list_upstreams(self) -> Listed:
        """The MCP servers whose tools programs may call, and how they do."""
        return await self._ask(wire.LIST_UPSTREAMS, None, Listed)

    async def add_upstream(self, server: dict[str, rpc.Json], *, persist: bool = True) -> Upstream:
        """Add an MCP server, and begin to connect to it.

        Args:
            server: As in ``pctx.json``: ``{name, url, auth?}`` or ``{name, command, args?, env?}``.
            persist: Whether it is written to that file, or kept for as long as the engine runs.

        Raises:
            InvalidParams: It cannot be used; says why.
            UpstreamExists: There is one of that name.
        """
        return await self._ask(wire.ADD_UPSTREAM, wire.AddUpstream(server, persist), Upstream)

    async def register_mcp(self, name: str, url: str, auth: dict[str, rpc.Json] | None = None) -> None:
        """Add an MCP server for as long as the engine runs; raises what `add_upstream` raises."""
        await self._call(wire.REGISTER_MCP, wire.RegisterMcp(name, url, auth))

    async def remove_upstream(self, name: str) -> None:
        """Forget an MCP server; raises `UpstreamNotFound`."""
        await self._call(wire.REMOVE_UPSTREAM, wire.NamedUpstream(name))

    async def reconnect_upstream(self, name: str) -> Upstream:
        """Connect to an MCP server again; raises `UpstreamNotFound`."""
        return await self._ask(wire.RECONNECT_UPSTREAM, wire.NamedUpstream(name), Upstream)

    async def approve_upstream(self, name: str) -> Upstream:
        """Take the tools of an MCP server as they are now; raises `UpstreamNotFound`."""
        return await self._ask(wire.APPROVE_UPSTREAM, wire.NamedUpstream(name), Upstream)

    async def trust_upstream(self, name: str) -> Upstream:
        """Trust an MCP server as the folder's file has it now, and begin to connect to it.

        Raises:
            UpstreamNotFound: There is none of that name.
        """
        return await self._ask(wire.TRUST_UPSTREAM, wire.NamedUpstream(name), Upstream)

    async def ask_again(self, name: str, tool: str | None = None) -> Upstream:
        """Take back what a person has allowed an MCP server for good.

        Args:
            tool: One of its tools; None: all.

        Raises:
            UpstreamNotFound: There is none of that name.
            InvalidParams: That tool is not allowed for good.
        """
        return await self._ask(wire.ASK_AGAIN, wire.AskAgain(name, tool), Upstream)

    async def sign_in_upstream(self, name: str) -> SignIn:
        """Begin to sign in to an MCP server; returns the page where a person does it.

        Show them the page's host (`SignIn.question`) before a browser opens it: the server chose the page.

        The browser is sent to a port on the engine's machine afterwards. Where it cannot reach that, the URL it was
        sent to goes to `finish_sign_in`.
        """
        return await self._ask(wire.SIGN_IN_UPSTREAM, wire.SignInUpstream(name), SignIn)

    async def finish_sign_in(self, name: str, answer: str) -> Upstream:
        """Finish a sign-in with the URL that the browser was sent to."""
        return await self._ask(wire.SIGN_IN_UPSTREAM, wire.SignInUpstream(name, answer), Upstream)

    # for editors

    async def complete(self, source: str, offset: int, inputs: Iterable[str] = ()) -> wire.Completed:
        """Complete what is before an offset in a program, or in a cell that begins with its ``%%pctx`` line.

        Args:
            source: The program, or the cell.
            offset: In UTF-16 units, as `source` is.
            inputs: Names of constants it finds, besides those in its ``%%pctx`` line.

        Raises:
            InvalidParams: The source is too large, or the offset is not in it.
            Busy, SandboxUnavailable: The engine's type checker cannot answer now, or not at all.
        """
        return await self._ask(wire.COMPLETE, wire.Place(source, list(inputs), offset=offset), wire.Completed)

    async def hover(self, source: str, offset: int, inputs: Iterable[str] = ()) -> wire.Explained:
        """Explain what is at an offset; otherwise as `complete`."""
        return await self._ask(wire.HOVER, wire.Place(source, list(inputs), offset=offset), wire.Explained)

    async def signature(self, source: str, offset: int, inputs: Iterable[str] = ()) -> wire.ExplainedCall:
        """Explain the call around an offset; otherwise as `complete`."""
        return await self._ask(wire.SIGNATURE, wire.Place(source, list(inputs), offset=offset), wire.ExplainedCall)

    async def diagnostics(self, source: str, inputs: Iterable[str] = ()) -> wire.Diagnosed:
        """Say what is wrong with a program's types, without running it; otherwise as `complete`."""
        return await self._ask(wire.DIAGNOSTICS, wire.Written(source, list(inputs)), wire.Diagnosed)

    async def declarations(self) -> str:
        """The TypeScript declarations of this session's tools, as a model would read them."""
        return (await self._ask(wire.DECLARATIONS, None, wire.Declared)).declarations

    # executions

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
        on_display: Callable[[wire.DisplayHeard], None] | None = None,
        on_event: Callable[[wire.EventHeard], None] | None = None,
    ) -> dict[str, Any]:
        """Run one program; cancelling this stops it.

        Args:
            code: TypeScript.
            timeout_s: Seconds it may run; None: the server's default.
            tools: Patterns of the tools it may call (``Sales.*``); None: all.
            typecheck: Whether its types are checked first; None: as the server is set.
            inputs: Constants it finds, by name; JSON.
            keep: Whether later programs find what it has at its top level; None: they find what it exports.
            on_output: Hears what it prints as it prints it: ``"stdout"`` or ``"stderr"``, and the text.
            on_display: Hears what it shows: content by MIME type, as the program made it; nothing in it is safe to be
                put into a page.
            on_event: Hears the start and end of each of its tool calls.

        Returns:
            ``{value, stdout, stderr, success, execution_id, duration_s}``

        Raises:
            ExecutionError: It failed (`errors.ExecutionFailed`) or ran too long (`errors.ExecutionTimeout`).
            ConnectionLost: The connection went while it ran.
            PctxError: It was not run; the message says why.
        """

        def hear(heard: Heard) -> None:
            match heard:
                case wire.OutputHeard() if on_output is not None:
                    on_output(heard.stream, heard.text)
                case wire.DisplayHeard() if on_display is not None:
                    on_display(heard)
                case wire.EventHeard() if on_event is not None:
                    on_event(heard)

        asked = wire.Execute(
            code,
            timeout_s=timeout_s,
            typecheck=typecheck,
            tools=tools,
            inputs={name: payload_of(value) for name, value in (inputs or {}).items()},
            keep=keep,
            calls=on_event is not None,
            nonfinite=True,
        )
        listens = on_output is not None or on_display is not None or on_event is not None
        executed = await self.execute(asked, hear=hear if listens else None)
        return msgspec.structs.asdict(executed) | {"value": _value(executed.value)}

    async def execute(self, asked: wire.Execute, *, hear: Callable[[Heard], None] | None = None) -> wire.Executed:
        """Run one program; its value stays raw JSON. Raises as `execute_code`.

        Args:
            asked: What to run.
            hear: Hears its output and displays, and its calls unless `asked.calls` is false, in order and before this
                returns; never waits.
        """
        id = asked.execution_id or uuid4().hex
        if hear is not None:
            asked = msgspec.structs.replace(asked, execution_id=id, events=True)
            self._listeners[id] = hear
        try:
            return msgspec.json.decode(await self._call(wire.EXECUTE, asked), type=wire.Executed)
        except (errors.Remote, errors.Timeout) as error:
            raise execution_error(error) from None
        finally:
            self._listeners.pop(id, None)

    # the connection's life

    async def _open(self) -> Channel:
        """Connect, wait for the session, offer every tool to it, and take it for ours."""
        greeted: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def hear(notification: rpc.Notification) -> None:
            if notification.method != wire.SESSION_CREATED:
                self._heard(notification)
            elif not greeted.done():
                greeted.set_result(_session_id(notification))

        def gone() -> None:
            greeted.cancel()

        channel = await self._connector(self._serve, hear)
        channel.on_close(gone)
        try:
            async with asyncio.timeout(GREETING_S):
                await asyncio.wait([greeted])
            if greeted.cancelled():
                raise errors.CannotConnect("Cannot open a session: the server closed the connection at once")
            if not greeted.result():
                raise errors.CannotConnect("Cannot open a session: what answers there is not pctx")
            await asyncio.gather(*(self._offer_again(channel, offer) for offer in list(self._offers.values())))
        except TimeoutError:
            channel.close()
            raise errors.CannotConnect("Cannot open a session: the server said nothing; is this its address?") from None
        except BaseException:
            channel.close()
            raise
        if channel.is_closed:
            raise errors.CannotConnect("Cannot open a session: the connection was lost at once")
        self.ws, self.session_id = channel, greeted.result()
        channel.on_close(self._lost)
        log.info("session %s = open", self.session_id[:8])
        return channel

    async def _offer_again(self, channel: Channel, offer: _Offer) -> None:
        try:
            await channel.call(wire.REGISTER_TOOL, msgspec.structs.replace(offer.asked, replace=True))
        except errors.ConnectionLost:
            raise
        except errors.PctxError as error:
            log.warning("= cannot offer %s.%s again: %s", offer.asked.namespace, offer.asked.name, error.message)

    def _lost(self) -> None:
        """Take note, in the very turn in which the connection is lost."""
        self.ws = self.session_id = None
        self._next = asyncio.get_running_loop().create_future()

    async def _keep(self, channel: Channel) -> None:
        """Open the connection again each time it is lost, for as long as this task lives."""
        while True:
            lost = asyncio.Event()
            channel.on_close(lost.set)
            if not channel.is_closed:
                await lost.wait()
            if not self._reconnect:
                _settle(self._next, errors.ConnectionLost("Cannot ask: the connection was lost; connect again"))
                return
            channel = await self._open_again()

    async def _open_again(self) -> Channel:
        delay, longest = BACK_OFF_S
        while True:
            # Jitter: many clients that lost one server shall not come back in one wave.
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(2 * delay, longest)
            if self._next.done():
                self._next = asyncio.get_running_loop().create_future()
            try:
                channel = await self._open()
            except errors.CannotConnect as error:
                self._trouble = error.message
                log.info("= cannot connect again: %s", error.message)
                if error.http_status is not None:
                    # Somebody said no: whoever waits may hear it now. Nobody there: let them wait for somebody.
                    _settle(self._next, error)
            except Exception as error:
                self._trouble = str(error) or type(error).__name__
                log.warning("= cannot connect again", exc_info=True)
            else:
                _settle(self._next, channel)
                self.on_reconnect()
                return channel

    async def _connected(self) -> Channel:
        """The channel; waits for it while the connection is being opened again."""
        if self.ws is not None:
            return self.ws
        if self._keeper is None:
            raise errors.ConnectionLost("Cannot ask: not connected; connect first")
        try:
            async with asyncio.timeout(self._patience_s):
                return await asyncio.shield(self._next)
        except TimeoutError:
            raise errors.CannotConnect(
                f"Cannot ask: the connection was lost and has not come back within {self._patience_s:g} s; "
                f"this client keeps trying ({self._trouble})"
            ) from None

    # what passes over it

    async def _call(self, method: str, params: object = None) -> Raw:
        return await (await self._connected()).call(method, params)

    async def _ask(self, method: str, params: object, answer: type[Answer]) -> Answer:
        return msgspec.json.decode(await self._call(method, params), type=answer)

    async def _register(self, offer: _Offer) -> None:
        path = f"{offer.asked.namespace}.{offer.asked.name}"
        channel = await self._connected()
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
        return await offer.serve(asked)

    def _heard(self, notification: rpc.Notification) -> None:
        try:
            heard: Heard
            match notification.method:
                case wire.GUEST:
                    self.on_guest(wire.read(notification.params, wire.GuestHeard, notification.method))
                    return
                case wire.OUTPUT:
                    heard = wire.read(notification.params, wire.OutputHeard, notification.method)
                case wire.DISPLAY:
                    heard = wire.read(notification.params, wire.DisplayHeard, notification.method)
                case wire.TRACE:
                    heard = wire.read(notification.params, wire.TraceHeard, notification.method)
                case wire.EVENT:
                    heard = wire.read(notification.params, wire.EventHeard, notification.method)
                case _:
                    return
            if (listener := self._listeners.get(heard.execution_id)) is not None:
                listener(heard)
        except Exception:
            # A listener that fails must not cost the connection on which everyone else's answers come.
            log.exception("= failed to hear %s", notification.method[:100])


def _session_id(greeting: rpc.Notification) -> str:
    """The session that a greeting names; empty when it names none."""
    try:
        return wire.read(greeting.params, wire.SessionCreated, greeting.method).session_id
    except errors.InvalidParams:
        return ""


def _settle(future: asyncio.Future[Channel], outcome: Channel | errors.PctxError) -> None:
    if future.done():
        return
    if isinstance(outcome, Channel):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)
        future.exception()  # seen, whether anybody waits or not


def payload_of(value: object) -> Raw:
    """Write a value as a payload, with NaN and the infinities.

    Raises:
        NotJson: It has no JSON form, or is nested too deeply.
    """
    payload = rpc.check_value(rpc.raw(value))
    return nonfinite.encode(value) if b"null" in bytes(payload) else nonfinite.taken(payload)


def _value(payload: Raw) -> Any:
    """Read a payload, with NaN and the infinities; raises `InvalidParams`."""
    return nonfinite.decode(payload) if nonfinite.is_marked(payload) else rpc.decode_value(payload)


def _calling(callback: Callback) -> ServeTool:
    """Make a `ServeTool` of a callback."""

    async def serve(asked: wire.ExecuteTool) -> Raw:
        arguments = {} if asked.arguments is UNSET else _value(asked.arguments)
        if not isinstance(arguments, dict):
            raise errors.InvalidParams(f"Cannot call {asked.name}: its arguments must be one object")
        try:
            result = callback(arguments)
            if inspect.isawaitable(result):
                result = await result
        except errors.ToolFailed:
            raise
        except Exception as error:
            raise errors.ToolFailed(str(error), name=type(error).__name__) from error
        try:
            return payload_of(result)
        except errors.NotJson as error:
            raise errors.ToolFailed(f"Cannot return from {asked.name}: {error.message}", name="TypeError") from None

    return serve
