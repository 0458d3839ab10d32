"""The connection to one MCP server: made, watched and made again by one task, used by all others.

The SDK demands that the task which opens a connection closes it. So one task owns the connection: it connects, lists
the tools, waits for wishes, and connects again. All others read the state, make wishes, and send calls. What the tools
are, and what a call is, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import enum
import json
import logging
import shlex
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import anyio
from mcp import Client, MCPError
from mcp_types import (
    METHOD_NOT_FOUND,
    Implementation,
    LoggingMessageNotification,
    PromptListChangedNotification,
    ToolListChangedNotification,
)

from .. import errors
from .._version import __version__
from ..rpc.backoff import BackOff
from ..session.upstreams import UpstreamState
from ..tools.calls import Call
from .config import ServerConfig
from .elicitation import Elicitations
from .shared import Surroundings
from .transport import Callbacks, Transport, is_unusable
from .wishes import Wish, Wishes

log = logging.getLogger(__name__)

BACK_OFF_S = (0.5, 300.0)
"""Seconds between attempts to connect: the first wait, doubled each time, and the longest. A call or
a person that needs the server before that asks for an attempt."""
STALE_S = 2.0
"""Seconds after a failed attempt in which a program that names the server does not start another one."""
STEADY_S = 30.0
"""Seconds a connection must have stood for the next wait to be the first again."""
REFRESH_S = 0.25
"""Seconds between two listings, however often a server says that its tools have changed."""
RECONNECT_S = 10.0
"""Seconds a call, or a program, waits for a connection that is made again."""
STOP_S = 5.0
"""Seconds a connection may take to close; then it is cancelled."""
LISTENS_SINCE = "2026-07-28"
"""The first version of the protocol in which a client has to ask for news."""


class Phase(enum.Enum):
    """The state of a connection. `UpstreamConnection.client` is set in READY, and in no other phase."""

    CONNECTING = "connecting"
    """An attempt to connect is under way, or about to begin."""
    SIGNING_IN = "signing in"
    """An attempt is under way, and waits for a person at a page."""
    READY = "ready"
    """Connected, and the tools are listed."""
    DOWN = "down"
    """The last attempt failed; another one follows by itself."""
    STUCK = "stuck"
    """The last attempt failed because of the configuration; another one follows only on request."""
    NEEDS_SIGN_IN = "needs sign-in"
    """The server requires a sign-in, and none has begun."""
    UNTRUSTED = "untrusted"
    """Nobody has trusted the server yet; nothing is started, asked or read for it."""
    CLOSED = "closed"
    """Closed for good."""


SHOWN: dict[Phase, UpstreamState] = {
    Phase.CONNECTING: "connecting",
    Phase.SIGNING_IN: "needs sign-in",
    Phase.READY: "ready",
    Phase.DOWN: "down",
    Phase.STUCK: "down",
    Phase.NEEDS_SIGN_IN: "needs sign-in",
    Phase.UNTRUSTED: "untrusted",
    Phase.CLOSED: "down",
}
"""What people read in each phase."""


@dataclass(frozen=True, slots=True)
class _End:
    """How an attempt ended.

    Args:
        phase: What follows unless another attempt is requested.
        error: Why, for people.
        stood_s: Seconds the connection stood; 0: it never did.
    """

    phase: Phase
    error: str
    stood_s: float = 0.0


@dataclass(slots=True)
class _Attempt:
    """What is known of one attempt while it runs.

    Args:
        scope: Cancels it at its time limit; None before it began.
        is_cancelled: Whether it was ended for another one, or for good.
        needs_sign_in: Whether the server requires a sign-in that has not begun.
        stood_s: Seconds the connection stood that it led to.
    """

    scope: anyio.CancelScope | None = None
    is_cancelled: bool = False
    needs_sign_in: bool = False
    stood_s: float = 0.0

    def lift_limit(self) -> None:
        """Let it take as long as it likes."""
        if self.scope is not None:
            self.scope.deadline = float("inf")

    def cancel(self) -> None:
        """End it: another one follows, or none."""
        self.is_cancelled = True
        if self.scope is not None:
            self.scope.cancel()

    def note_sign_in_needed(self) -> None:
        self.needs_sign_in = True


class UpstreamConnection:
    """The connection to one server.

    Args:
        server: What to connect to.
        source: The file that names it, for people; None: it was added by hand.
        around: What all upstreams share.
        transport: Opens the streams.
        is_trusted: Whether a person trusts the server.
        read_listing: Reads the tools of a client: at the beginning of each connection, and when they change;
            returns how many can be called.
        note_problem: Takes a sentence about a part of a message that was left out.
        asking: Answers what the server asks its user.

    Attributes:
        phase: The state.
        client: The SDK's client; None outside READY.
        error: Why the last attempt failed; None: it did not.
        connections: How often it has been connected.
        tried: Set once the first attempt has come to something.
        attempts: How many attempts have begun.
    """

    def __init__(
        self,
        server: ServerConfig,
        source: str | None,
        around: Surroundings,
        transport: Transport,
        is_trusted: Callable[[], bool],
        read_listing: Callable[[Client], Awaitable[int]],
        note_problem: Callable[[str], None],
        asking: Elicitations,
    ) -> None:
        self.is_trusted, self.source = is_trusted, source
        self.transport = transport
        self.phase = Phase.CONNECTING
        self.client: Client | None = None
        self.error: str | None = None
        self.connections = 0
        self.tried = asyncio.Event()
        self.attempts = 0
        self._server, self._around = server, around
        self._read_listing, self._note_problem, self._asking = read_listing, note_problem, asking
        self._wishes = Wishes()
        self._ready = asyncio.Event()
        self._settled_attempts, self._settled = 0, asyncio.Event()
        self._back_off = BackOff(*BACK_OFF_S)
        self._failed_at = 0.0
        self._retry_at: float | None = None
        self._attempt: _Attempt | None = None
        self._task: asyncio.Task[None] | None = None

    # for all callers

    @property
    def state(self) -> UpstreamState:
        """The state as people read it."""
        return SHOWN[self.phase]

    @property
    def retry_s(self) -> float | None:
        """Seconds until the next attempt that follows by itself; None: none is planned."""
        return None if self._retry_at is None else max(self._retry_at - time.monotonic(), 0)

    @property
    def limit_s(self) -> float:
        """Seconds an attempt may take until the tools are listed."""
        return self._server.connect_timeout_s or self._around.settings.connect_timeout_s

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._run(), name=f"upstream {self._server.name}")

    async def close(self) -> None:
        """Disconnect for good. An attempt to connect ends at once."""
        is_connecting = self.phase in (Phase.CONNECTING, Phase.SIGNING_IN)
        self._become(Phase.CLOSED)
        self._wishes.put(Wish.CLOSE)
        if is_connecting and self._attempt is not None and not self._attempt.stood_s:
            self._attempt.cancel()
        if self._task is not None:
            done, _ = await asyncio.wait({self._task}, timeout=STOP_S)
            if not done:
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=STOP_S)
        self._settle()

    def reconnect(self) -> None:
        """Connect again, now. An attempt that is under way ends, unless a person is signing in."""
        self._wishes.put(Wish.CONNECT)
        if self._attempt is not None and self.phase is Phase.CONNECTING:
            self._attempt.cancel()

    def check_trust(self) -> None:
        """Connect if the server has been trusted since."""
        if self.phase is Phase.UNTRUSTED and self.is_trusted():
            self.tried.clear()
            self.error = None
            self._become(Phase.CONNECTING)
            self.reconnect()

    def check_sign_in(self) -> None:
        """Connect if the server requires a sign-in that another process may have made, and none is under way here."""
        if self.phase is Phase.NEEDS_SIGN_IN:
            self.reconnect()
        elif self.phase is Phase.CONNECTING:
            self._wishes.put(Wish.HURRY)  # the attempt may have looked before

    async def settled(self, attempt: int | None = None) -> None:
        """Wait until an attempt to connect has led to a connection, or failed.

        Args:
            attempt: Its number; None: the one that is under way.
        """
        number = self.attempts if attempt is None else attempt
        while self._settled_attempts < number:
            await self._settled.wait()

    async def try_once(self) -> None:
        """Wait until it has been tried: for the first time, or again where the last attempt failed a while ago."""
        if self.tried.is_set():
            attempt = self.attempts
            if self.phase in (Phase.DOWN, Phase.STUCK) and time.monotonic() - self._failed_at > STALE_S:
                self._wishes.put(Wish.HURRY)
                attempt += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(RECONNECT_S):
                    await self.settled(attempt)
        await self.tried.wait()

    async def client_for(self, call: Call) -> Client:
        """The connection for a call; waits for it where it is being made. Raises ToolFailed."""
        if self.phase in (Phase.CONNECTING, Phase.DOWN, Phase.STUCK):
            call.note(f"waits: {self._server.name} is being connected")
            self._wishes.put(Wish.HURRY)
            with suppress(TimeoutError):
                async with asyncio.timeout(RECONNECT_S):
                    await self._ready.wait()
        if self.client is None:
            why = f": {self.error}" if self.error else ""
            raise errors.ToolFailed(
                f"Cannot call {call.tool.path}: the upstream {self._server.name} is not connected{why}",
                name="ConnectionLost",
            )
        return self.client

    def lose(self, client: Client) -> None:
        """Take note that a client is of no use any more, before the owning task has noticed."""
        if self.client is client:
            self._become(Phase.CONNECTING)
            self._wishes.put(Wish.LOST, Wish.HURRY)

    def _become(self, phase: Phase, client: Client | None = None) -> None:
        """Change the state: the one place that does."""
        if self.phase is Phase.CLOSED:
            return
        before, self.phase, self.client = self.phase, phase, client
        if client is None:
            self._ready.clear()
        else:
            self._ready.set()
        if SHOWN[before] != SHOWN[phase]:
            self._around.on_change("upstreams")

    def _settle(self) -> None:
        """Wake those who wait for the outcome of the attempt."""
        self.tried.set()
        self._settled_attempts = self.attempts
        self._settled.set()
        self._settled = asyncio.Event()

    # the owning task

    async def _run(self) -> None:
        while True:
            # The attempt that follows fulfils all of them.
            self._wishes.drop(Wish.CONNECT, Wish.HURRY, Wish.LOST, Wish.LIST)
            self.attempts += 1
            end = await self._try()
            if Wish.CLOSE in self._wishes:
                return
            if end.stood_s > STEADY_S or Wish.CONNECT in self._wishes:
                self._back_off.reset()
            if Wish.CONNECT in self._wishes or (end.stood_s and Wish.HURRY in self._wishes):
                continue
            self.error, self._failed_at = end.error, time.monotonic()
            self._become(end.phase)
            self._settle()
            await self._pause(end)
            self._retry_at = None

    async def _pause(self, end: _End) -> None:
        """Wait until the next attempt is due or requested."""
        name = self._server.name
        match end.phase:
            case Phase.UNTRUSTED:
                log.info("upstream %s = untrusted", name)
            case Phase.STUCK:
                log.warning("upstream %s = %s", name, end.error)
            case Phase.DOWN:
                least_s, _ = BACK_OFF_S
                delay_s = self._back_off.next_s()
                self._retry_at = time.monotonic() + delay_s
                log.warning("upstream %s = %s; the next attempt in %.1f s", name, end.error, delay_s)
                self._wishes.drop(Wish.HURRY)
                # Programs that call in a loop must not start the server in a loop.
                wish = await self._wishes.take(Wish.CLOSE, Wish.CONNECT, within_s=least_s)
                if wish is None and delay_s > least_s:
                    urgent = (Wish.CLOSE, Wish.CONNECT, Wish.HURRY)
                    wish = await self._wishes.take(*urgent, within_s=delay_s - least_s)
                if wish is Wish.CONNECT:
                    self._back_off.reset()
                return
        await self._wishes.take(Wish.CLOSE, Wish.CONNECT, Wish.HURRY)

    async def _try(self) -> _End:
        """Connect, and stay connected for as long as that lasts; returns how it ended."""
        if not self.is_trusted():
            return _End(
                Phase.UNTRUSTED,
                self.transport.line(
                    f"{self.source} may have come with this folder, and nobody has trusted this server yet: look at "
                    f"it, then jupyter pctx mcp trust {shlex.quote(self._server.name)}",
                    500,
                ),
            )
        self._become(Phase.CONNECTING)
        attempt = self._attempt = _Attempt()
        phase = Phase.DOWN
        try:
            await self._connect(attempt)
            error = self.transport.why_ended("the server closed the connection")
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            error = self.transport.why_ended("the connection failed")
        except BaseException as raised:
            if isinstance(raised, KeyboardInterrupt | SystemExit):
                raise
            phase = Phase.STUCK if is_unusable(raised) else Phase.DOWN
            error = self.transport.why_failed(raised)
        finally:
            self._attempt = None
            if self.client is not None:
                self._become(Phase.CONNECTING)
        if attempt.needs_sign_in:
            phase, error = Phase.NEEDS_SIGN_IN, "it needs a sign-in"
        return _End(phase, error, attempt.stood_s)

    async def _connect(self, attempt: _Attempt) -> None:
        """Connect, and stay connected until a change is requested or the server ends."""
        limit_s = self.limit_s
        callbacks = Callbacks(
            on_problem=self._note_problem,
            on_end=lambda: self._wishes.put(Wish.LOST),
            on_sign_in_needed=attempt.note_sign_in_needed,
            on_sign_in_page=lambda: self._wait_for_person(attempt),
        )
        # The limit is a scope around the whole connection, lifted once it stands: a scope must end where it began.
        with anyio.CancelScope(deadline=anyio.current_time() + limit_s) as attempt.scope:
            async with Client(
                self.transport.open(callbacks),
                message_handler=self._on_message,
                elicitation_callback=self._asking.on_request,
                cache=None,
                client_info=Implementation(name="pctx-jupyter", version=__version__),
            ) as client:
                tools = await self._read_listing(client)
                attempt.lift_limit()
                log.info("upstream %s = ready, %d tools", self._server.name, tools)
                await self._stay(client, attempt)
                return
        if attempt.is_cancelled:
            raise errors.CannotConnect("the attempt to connect was ended for another one")
        raise TimeoutError(f"it has not listed its tools within {limit_s:g} s")

    def _wait_for_person(self, attempt: _Attempt) -> None:
        attempt.lift_limit()
        self._become(Phase.SIGNING_IN)
        self.tried.set()

    async def _stay(self, client: Client, attempt: _Attempt) -> None:
        """Serve wishes for as long as the connection stands."""
        since = time.monotonic()
        can = client.server_capabilities
        tools = can.tools is not None and can.tools.list_changed is True
        prompts = can.prompts is not None and can.prompts.list_changed is True
        async with anyio.create_task_group() as tasks:
            if client.protocol_version >= LISTENS_SINCE and (tools or prompts):
                tasks.start_soon(partial(self._listen, client, tools=tools, prompts=prompts))
            self.error = None
            self.connections += 1
            self._become(Phase.READY, client)
            self._settle()
            try:
                await self._serve_wishes(client)
            finally:
                attempt.stood_s = time.monotonic() - since
                self._become(Phase.CONNECTING)
            tasks.cancel_scope.cancel()

    async def _serve_wishes(self, client: Client) -> None:
        """Return when the connection is to end."""
        ends = (Wish.CLOSE, Wish.CONNECT, Wish.LOST)
        while True:
            wish = await self._wishes.take(*ends, Wish.LIST)
            if wish is Wish.LIST:
                with anyio.fail_after(self._around.settings.connect_timeout_s):
                    await self._read_listing(client)
                wish = await self._wishes.take(*ends, within_s=REFRESH_S)
            if wish in ends:
                if wish is Wish.CONNECT:
                    self._wishes.put(wish)  # for the next attempt, which follows at once
                return

    async def _on_message(self, message: object) -> None:
        # Resources are listed when a program asks for them, so a change of theirs needs nothing here.
        if isinstance(message, ToolListChangedNotification | PromptListChangedNotification):
            self._wishes.put(Wish.LIST)
        elif isinstance(message, LoggingMessageNotification):
            said = message.params.data
            self.transport.note(said if isinstance(said, str) else json.dumps(said, default=str))

    async def _listen(self, client: Client, *, tools: bool, prompts: bool) -> None:
        """Ask for news as long as the connection stands, and again when the stream ends."""
        delay_s = 1.0
        while True:
            try:
                async with client.listen(tools_list_changed=tools, prompts_list_changed=prompts) as news:
                    delay_s = 1.0
                    async for _ in news:
                        self._wishes.put(Wish.LIST)
            except Exception as error:
                if isinstance(error, MCPError) and error.code == METHOD_NOT_FOUND:
                    return
                log.debug("upstream %s = its news ended: %s", self._server.name, type(error).__name__)
            await anyio.sleep(delay_s)
            delay_s = min(2 * delay_s, 60)
            self._wishes.put(Wish.LIST)  # what was missed meanwhile
