"""One upstream: connected by a task of its own, its tools put into the catalog, its calls passed on.

What opens a connection closes it, in the same task: the SDK insists. That task connects, lists, waits for news and
connects again; all others only call. A call is asked once: it is repeated only where the server says that it never
ran.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import shlex
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import anyio
import httpx2
import msgspec
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import (
    HEADER_MISMATCH,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    InputRequiredResult,
    ToolAnnotations,
    ToolListChangedNotification,
)
from mcp_types import Tool as McpTool
from msgspec import Raw
from pydantic import Discriminator, Tag, TypeAdapter, ValidationError

from .. import errors, visible
from .._version import __version__
from ..rpc import nonfinite
from ..session.upstreams import SignIn, State
from ..session.upstreams import Upstream as View
from ..session.watch import Change
from ..settings import Settings
from ..tools import names
from ..tools.catalog import AskedBy, Call, Catalog, Tool
from . import config, reach, values
from .allowed import Allowed
from .bounds import TooLarge, bounding
from .child import Child, open_child
from .config import Address, Command, Server
from .fingerprints import Comparison, Fingerprint, Fingerprints
from .mending import MendedStream
from .outbound import Outbound
from .secrets import Redactor, is_secret
from .sign_in import SignIns
from .trust import digest

log = logging.getLogger(__name__)

BACK_OFF_S = (0.5, 30.0)
"""Seconds between attempts to connect: the first wait, doubled each time, and the longest."""
STEADY_S = 30.0
"""Seconds a connection must have stood for the next wait to be the first again."""
REFRESH_S = 0.25
"""Seconds between two listings, however often a server says that its tools have changed."""
RECONNECT_S = 10.0
"""Seconds a call waits for a connection that is being made."""
STOP_S = 5.0
"""Seconds a connection may take to close; then it is cancelled."""
MOST_PAGES = 1000
TOOL_BYTES = 1 << 20
"""Bytes one tool's description and schemas may have."""
TURN = 100
"""Tools looked at in one turn of the loop that all share."""
LISTENS_SINCE = "2026-07-28"
"""The first version of the protocol in which a client has to ask for news."""

LOST = ("Connection closed", "SSE stream", "Server returned an error response")
"""What the SDK says of a call whose answer did not come; servers use the same numbers for errors of their own."""

EVENT_TOO_LARGE = "Server-sent event exceeded the"
"""What the SDK says of an event beyond the limit that we gave it."""

NEVER_RAN = ("Session terminated", "Session not found")
"""What is said of a call that reached a server which has forgotten the session."""


def _kind(value: Any) -> str:
    of_dict = value.get("resultType") if isinstance(value, dict) else getattr(value, "result_type", None)
    return "asks" if of_dict == "input_required" else "ends"


RESULT: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(
    Annotated[
        Annotated[CallToolResult, Tag("ends")] | Annotated[InputRequiredResult, Tag("asks")], Discriminator(_kind)
    ]
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all upstreams of an engine share.

    Args:
        catalog: Where their tools go.
        tell: Hears what has changed: ``tools`` or ``upstreams``.
    """

    settings: Settings
    catalog: Catalog
    fingerprints: Fingerprints
    allowed: Allowed
    sign_ins: SignIns
    tell: Callable[[Change], None]


@dataclass(frozen=True, slots=True)
class _Found:
    """A tool as the server describes it now."""

    tool: Tool
    fingerprint: Fingerprint


class Upstream:
    """One upstream.

    Args:
        server: What to connect to, and how.
        source: The file that says so; None: it was added by hand.
        around: What it shares with others.
        is_trusted: Whether somebody trusts it; until then nothing is started, asked or read for it.
        place: The file that says so, as `trust.place_of` has it; "": none.
    """

    def __init__(
        self,
        server: Server,
        source: str | None,
        around: Surroundings,
        is_trusted: Callable[[], bool] = lambda: True,
        place: str = "",
    ) -> None:
        self.is_trusted, self.place = is_trusted, place
        self.server, self.source = server, source
        self.redactor = Redactor()
        self.tried = asyncio.Event()
        """Set once it has been tried for the first time, whatever came of it."""
        self.around = around
        most = around.settings.max_message_bytes
        self._too_large = f"{self.name} answers with more than {most:,} bytes (Pctx.max_message_bytes)"
        self._state: State = "connecting"
        self._error: str | None = None
        self._found: dict[str, _Found] = {}
        self._has_listed = False
        self.mark = self._marked()
        """Changes with what is said of it, and with what it says of its tools."""
        self._version = 0
        self._offered: dict[str, Tool] = {}
        self._compared = Comparison()
        self._withheld: tuple[str, ...] = ()
        self._listing_problems: list[str] = []
        self._offering_problems: list[str] = []
        self._connections = 0
        self._client: Client | None = None
        self._child: Child | None = None
        self._status: int | None = None  # of the last HTTP answer
        self._ready, self._wake, self._outcome = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._attempt = self._last_outcome = 0
        self._is_stopping = self._is_lost = self._is_stale = self._is_hurried = self._wants_sign_in = False
        self._task: asyncio.Task[None] | None = None

    # for everybody

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def waits_for_somebody(self) -> bool:
        """Whether a person has to do something first: sign in, or trust it."""
        return self._state in ("needs sign-in", "untrusted")

    def view(self) -> View:
        """What is known of it; holds no secret."""
        client = self._client
        info = client.server_info if client is not None else None
        problems = [*self._listing_problems, *self._offering_problems]
        if self._child is not None and self._child.junk:
            problems.append(f"it wrote {self._child.junk:,} lines to stdout that are no messages of the protocol")
        if self.around.fingerprints.trouble is not None:
            problems.append(self.around.fingerprints.trouble)
        if self.around.allowed.trouble is not None:
            problems.append(self.around.allowed.trouble)
        return View(
            name=self.name,
            namespace=self.server.namespace,
            transport=self.server.way.transport,
            where=visible.spelled(self.server.way.shown),
            state=self._state,
            source=self.source,
            error=self._error,
            tools=len(self._offered),
            new=sorted(self._compared.new),
            changed=list(self._compared.changed),
            withheld=sorted(self._withheld),
            allowed=self.around.allowed.names(self.place, self.server),
            problems=[self._line(problem, 1000) for problem in problems[:50]],
            server=self._line(f"{info.name} {info.version}", 200) if info is not None else None,
            protocol=self._line(client.protocol_version, 40) if client is not None else None,
            connections=self._connections,
            version=self._version,
            mark=self.mark,
        )

    def offered(self) -> list[Tool]:
        """Its tools as programs may call them."""
        return list(self._offered.values())

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._own(), name=f"upstream {self.name}")

    async def stop(self) -> None:
        """Disconnect, and withdraw its tools."""
        self._is_stopping = True
        self._wake.set()
        for path in [tool.path for tool in self._offered.values()]:
            self.around.catalog.remove(path)
        self._offered = {}
        if self._task is not None:
            done, _ = await asyncio.wait({self._task}, timeout=STOP_S)
            if not done:
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=STOP_S)
        self._come_out()

    def reconnect(self) -> None:
        """Connect again, now."""
        self._is_lost = self._is_hurried = True
        self._wake.set()

    def look_whether_trusted(self) -> None:
        """Connect if somebody has come to trust it."""
        if self._state == "untrusted" and self.is_trusted():
            self.tried.clear()
            self._error = None
            self._become("connecting")
            self.reconnect()

    # consents to its tools

    def has(self, tool: Tool) -> bool:
        """Whether this very tool is one that it offers now."""
        return self._offered.get(tool.registered_name) is tool

    def allows(self, tool: Tool, by: AskedBy) -> bool:
        """Whether a person has allowed calls of one of its tools for good."""
        name = tool.registered_name
        if not self.has(tool) or name not in self._found:
            return False
        return self.around.allowed.holds(self.place, self.server, name, self._found[name].fingerprint, by)

    def allow(self, tool: Tool, by: AskedBy) -> None:
        """Allow calls of one of its tools for good."""
        name = tool.registered_name
        if self.has(tool) and name in self._found:
            self.around.allowed.add(self.place, self.server, {name: self._found[name].fingerprint}, by)
            self.around.tell("upstreams")

    def allow_all(self) -> None:
        """Allow all of its tools for good: those that it has, or that it lists once it is connected."""
        self.around.allowed.add_next(self.place, self.server)
        self.take_answers()

    def take_answers(self) -> None:
        """Allow the tools that it has, if a person has answered for all of them; then nothing of that is left to do."""
        allowed = self.around.allowed
        if not self._has_listed or not allowed.takes_next(self.place, self.server):
            return
        changed = {tool.name for tool in self._compared.changed}
        allowed.add(
            self.place,
            self.server,
            {name: self._found[name].fingerprint for name in self._offered if name not in changed},
        )
        self.around.tell("upstreams")

    def ask_again(self, tool: str | None = None) -> bool:
        """Take back what was allowed for good; returns whether there was anything.

        Args:
            tool: One tool, as the server or programs spell it; None: all.
        """
        named = None
        if tool is not None:
            known = self.around.allowed.names(self.place, self.server)
            named = [name for name in known if tool in (name, names.tool_name(name))]
        found = self.around.allowed.forget(self.place, self.name, named)
        self.around.tell("upstreams")
        return found

    def approve(self) -> None:
        """Take its tools as they are now."""
        self.around.fingerprints.approve(self.name, self.server.way.shown, self._fingerprints())
        self._compare()

    async def sign_in(self, redirect_url: str | None) -> SignIn:
        """Begin to sign in; returns where a person does it.

        Raises:
            InvalidParams: Nobody has to.
            CannotConnect: The server cannot be asked where.
        """
        way, sign_ins = self.server.way, self.around.sign_ins
        if not isinstance(way, Address) or way.oauth is None:
            raise errors.InvalidParams(f"Cannot sign in to {self.name}: its configuration brings what it needs")
        attempt = await sign_ins.begin(self.name, redirect_url)
        self.reconnect()
        tried = asyncio.create_task(self._outcome_of(self._attempt + 1))
        first: set[asyncio.Future[Any]] = {attempt.page, tried}
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tried.cancel()
        if attempt.page.done() and not attempt.page.cancelled():
            return attempt.page.result()
        sign_ins.end(self.name)
        if self._state == "ready":
            raise errors.InvalidParams(f"Cannot sign in to {self.name}: it lets us in already")
        raise errors.CannotConnect(f"Cannot sign in to {self.name}: {self._error}")

    def look_whether_signed_in(self) -> None:
        """Connect if another process may have signed in to it, and nobody is about to do so here."""
        if self._state == "needs sign-in" and self._last_outcome == self._attempt:
            self.reconnect()

    async def signed_in(self) -> None:
        """Wait until the sign-in that is under way has led to a connection, or failed."""
        await self._outcome_of(self._attempt)

    async def settled(self) -> None:
        """Wait until the attempt to connect that is under way has come to something."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.around.settings.connect_timeout_s):
                await self._outcome_of(self._attempt)

    async def _outcome_of(self, attempt: int) -> None:
        """Wait until an attempt to connect, by its number, has led to a connection or failed."""
        while self._last_outcome < attempt:
            await self._outcome.wait()

    def _come_out(self) -> None:
        """Tell those who wait that the attempt to connect has led to a connection, or failed."""
        self.tried.set()
        self._last_outcome = self._attempt
        self._outcome.set()
        self._outcome = asyncio.Event()

    async def call(self, name: str, call: Call) -> Raw:
        """Call one of its tools.

        Args:
            name: The tool, as the server spells it.

        Raises:
            ToolFailed: It failed, or could not be called; says whether it may have run.
        """
        arguments = _arguments(call)
        limit_s = self.server.call_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                result = await self._ask(name, arguments, call)
        except TimeoutError:
            raise errors.ToolFailed(
                f"Tool {call.tool.path} timed out after {limit_s:g} s (call_timeout_s of the upstream {self.name}); it "
                "may or may not have run",
                name="TimeoutError",
            ) from None
        if isinstance(result, InputRequiredResult):
            raise errors.ToolFailed(f"Cannot finish {call.tool.path}: it asks its user something, and there is nobody")
        if result.is_error:
            raise errors.ToolFailed(self.redactor.clean(values.error_of(result))[: values.MOST_ERROR])
        return nonfinite.taken(Raw(self.redactor.clean_json(bytes(values.value_of(result)))))

    # calls

    async def _ask(self, name: str, arguments: dict[str, Any], call: Call) -> CallToolResult | InputRequiredResult:
        path = call.tool.path

        async def tell(progress: float, total: float | None, message: str | None) -> None:
            amount = f"{progress:g} of {total:g}" if total else f"{progress:g}"
            call.note(self._line(f"{message} ({amount})" if message else amount, 200))

        request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=arguments))
        for is_last in (False, True):
            client = await self._connected(call)
            if not self._is_stopping and name in self._found and self._offered.get(name) != call.tool.first:
                raise errors.ToolFailed(
                    f"Cannot call {path}: the tool has changed since the program called it; read what it does now, "
                    "then call it again"
                )
            try:
                return await client.session.send_request(request, RESULT, progress_callback=tell)
            except MCPError as error:
                if error.code == INVALID_REQUEST and error.message in NEVER_RAN and not is_last:
                    self._lose(client)
                    continue
                if error.code == HEADER_MISMATCH and not is_last:  # refused unseen: the tool is not what we think
                    await self._list(client)  # and looked at: what was consented to is the tool as it was
                    continue
                if self._too_large in error.message or EVENT_TOO_LARGE in error.message:
                    raise errors.ToolFailed(
                        f"Cannot read the result of {path}: {self._too_large}; the tool may have run"
                    ) from None
                if error.message.startswith(LOST):
                    if error.message == "Connection closed":
                        self._lose(client)
                    raise errors.ToolFailed(
                        f"Cannot finish {path}: the connection to {self.name} was lost; it may or may not have run",
                        name="ConnectionLost",
                    ) from None
                raise errors.ToolFailed(self.redactor.clean(error.message)[:20_000], name="McpError") from None
            except ValueError:  # of the SDK's types, or of a value too deep for them
                raise errors.ToolFailed(
                    f"Cannot read the result of {path}: {self.name} answered what the protocol does not allow; the "
                    "tool has run"
                ) from None
        raise AssertionError("the last attempt returns or raises")

    async def _connected(self, call: Call) -> Client:
        """The connection; waits for it where it is being made."""
        if self._client is None and not self._is_stopping and not self.waits_for_somebody:
            call.note(f"waits: {self.name} is being connected")
            self._is_hurried = True
            self._wake.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(RECONNECT_S):
                    await self._ready.wait()
        if self._client is None:
            why = f": {self._error}" if self._error else ""
            raise errors.ToolFailed(
                f"Cannot call {call.tool.path}: the upstream {self.name} is not connected{why}", name="ConnectionLost"
            )
        return self._client

    def _lose(self, client: Client) -> None:
        """Take note that a connection is of no use any more, before its owner has run."""
        if self._client is client:
            self._client = None
            self._ready.clear()
            self._is_lost = self._is_hurried = True
            self._wake.set()

    # the owner

    async def _own(self) -> None:
        delay_s = BACK_OFF_S[0]
        while not self._is_stopping:
            self._is_lost = self._is_stale = self._is_hurried = self._wants_sign_in = False
            self._wake.clear()
            self._status = None
            self._attempt += 1
            if not self.is_trusted():
                self._error = self._line(
                    f"{self.source} may have come with this folder, and nobody has trusted this server yet: look at "
                    f"it, then jupyter pctx mcp trust {shlex.quote(self.name)}",
                    500,
                )
                self._become("untrusted")
                self._come_out()
                log.info("upstream %s = untrusted", self.name)
                await self._until_hurried(None)
                continue
            self._become("connecting")
            stood_s, can_retry = 0.0, True
            try:
                stood_s = await self._connect()
                self._error = None if self._is_hurried else self._ended("the server closed the connection")
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                self._error = self._ended("the connection failed")
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
                first = _first(error)
                can_retry = not isinstance(first, config.Unusable)
                self._error = self._ended(self._explained(first))
            finally:
                self._client = None
                self._ready.clear()
            if self._is_stopping:
                return
            if self._wants_sign_in:
                self._error = "it wants somebody to sign in"
                self._become("needs sign-in")
                self._come_out()
                await self._until_hurried(None)
                continue
            if stood_s > STEADY_S:
                delay_s = BACK_OFF_S[0]
            if self._is_hurried and stood_s:
                continue
            self._become("down")
            self._come_out()
            self._is_hurried = False
            if not can_retry:
                log.warning("upstream %s = %s", self.name, self._error)
                await self._until_hurried(None)
                continue
            log.warning("upstream %s = %s; the next attempt in %.1f s", self.name, self._error, delay_s)
            await self._pause(BACK_OFF_S[0])  # whoever calls in a loop does not start it in a loop
            await self._until_hurried(delay_s * random.uniform(0.8, 1.2) - BACK_OFF_S[0])
            delay_s = min(2 * delay_s, BACK_OFF_S[1])

    async def _until_hurried(self, delay_s: float | None) -> None:
        """Wait, unless somebody needs the connection now."""
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                while not (self._is_hurried or self._is_stopping):
                    await self._wake.wait()
                    self._wake.clear()

    async def _connect(self) -> float:
        """Connect and stay connected; returns the seconds the connection stood."""
        limit_s = self.server.connect_timeout_s or self.around.settings.connect_timeout_s
        # The limit is a scope around the whole connection, lifted once it stands: a scope must end where it began.
        with anyio.CancelScope(deadline=anyio.current_time() + limit_s) as scope:
            async with Client(
                self._transport(scope),
                message_handler=self._hear,
                cache=None,
                client_info=Implementation(name="pctx-jupyter", version=__version__),
            ) as client:
                await self._list(client)
                scope.deadline = float("inf")
                return await self._stay(client)
        raise TimeoutError(f"it has not listed its tools within {limit_s:g} s")

    async def _stay(self, client: Client) -> float:
        since = time.monotonic()
        can = client.server_capabilities.tools
        async with anyio.create_task_group() as tasks:
            if client.protocol_version >= LISTENS_SINCE and can is not None and can.list_changed:
                tasks.start_soon(self._listen, client)
            self._client, self._error = client, None
            self._connections += 1
            self._ready.set()
            self._become("ready")
            self._come_out()
            log.info("upstream %s = ready, %d tools", self.name, len(self._offered))
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._is_stopping or self._is_lost:
                    break
                if self._is_stale:
                    self._is_stale = False
                    with anyio.fail_after(self.around.settings.connect_timeout_s):
                        await self._list(client)
                    await self._pause(REFRESH_S)
            self._client = None
            self._ready.clear()
            tasks.cancel_scope.cancel()
        return time.monotonic() - since

    async def _pause(self, seconds: float) -> None:
        """Wait, whatever happens meanwhile, unless this is to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._is_stopping and (self._client is None or not self._is_lost):
                    await self._wake.wait()
                    self._wake.clear()
        self._wake.set()

    @asynccontextmanager
    async def _transport(self, scope: anyio.CancelScope) -> AsyncIterator[Any]:
        settings, way = self.around.settings, self.server.way
        async with AsyncExitStack() as stack:
            if isinstance(way, Command):
                environment = await self._resolve(way.environment)
                for name, value in environment.items():
                    config.check_variable(name, value, self.name)
                words = [way.command, *way.arguments]
                limit = settings.max_message_bytes
                opened = open_child(words, environment, way.folder, limit)
                self._child, (read, write) = await stack.enter_async_context(opened)
            else:
                read, write = await self._open_http(way, stack, scope)
            yield MendedStream(read, self._listing_problems.append, self._on_end), write

    async def _open_http(self, way: Address, stack: AsyncExitStack, scope: anyio.CancelScope) -> tuple[Any, Any]:
        resolved = await self._resolve({**way.headers, "": way.url})
        url = config.check_resolved(resolved.pop(""), way.url.written, self.name)
        for header, value in resolved.items():
            config.check_header(header, value, self.name)
        try:
            boundary = reach.Boundary(httpx2.URL(url))
        except httpx2.InvalidURL as error:
            raise config.Unusable(f"the url of {self.name} is no address: {error}; correct it") from None
        outbound = Outbound(boundary)

        def ask() -> None:
            self._wants_sign_in = True

        def wait() -> None:
            scope.deadline = float("inf")
            self._become("needs sign-in")
            self.tried.set()

        auth = None
        if way.oauth is not None:
            sign_ins, learn = self.around.sign_ins, self.redactor.learn_more
            auth = await sign_ins.auth(self.name, url, way.oauth, boundary, outbound.judge, ask, wait, learn)
        most = self.around.settings.max_message_bytes
        hooks = {"response": [self._note_status, bounding(most, self._too_large)]}
        timeout = httpx2.Timeout(30, read=None)

        def http(*asked: Any, **more: Any) -> httpx2.AsyncClient:  # the SDK asks for less than we have
            return httpx2.AsyncClient(
                headers=resolved, auth=auth, timeout=timeout, event_hooks=hooks, transport=outbound
            )

        if way.transport == "sse":
            opened: Any = sse_client(url, httpx_client_factory=http)
        else:
            client = await stack.enter_async_context(http())
            opened = streamable_http_client(url, http_client=client, max_sse_event_size=most)
        read, write = await stack.enter_async_context(opened)
        return read, write

    async def _note_status(self, response: httpx2.Response) -> None:
        self._status = response.status_code

    async def _resolve(self, texts: Any) -> dict[str, str]:
        """Read the secrets in some texts, and know them from now on."""
        resolved: dict[str, str] = {}
        secret: list[str] = []
        for name, text in texts.items():
            resolved[name], values = await text.resolve()
            secret += values
            if is_secret(name, text):
                secret += [resolved[name], resolved[name].removeprefix("Bearer ")]
        self.redactor.learn(secret)
        return resolved

    async def _hear(self, message: object) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._on_news()

    def _on_news(self) -> None:
        self._is_stale = True
        self._wake.set()

    def _on_end(self) -> None:
        self._is_lost = True
        self._wake.set()

    async def _listen(self, client: Client) -> None:
        """Ask for news, as long as the connection stands, and again when the stream ends."""
        delay_s = 1.0
        while True:
            try:
                async with client.listen(tools_list_changed=True) as news:
                    delay_s = 1.0
                    async for _ in news:
                        self._on_news()
            except Exception as error:
                if isinstance(error, MCPError) and error.code == METHOD_NOT_FOUND:
                    return
                log.debug("upstream %s = its news ended: %s", self.name, type(error).__name__)
            await anyio.sleep(delay_s)
            delay_s = min(2 * delay_s, 60)
            self._on_news()  # what was missed meanwhile

    def _ended(self, otherwise: str) -> str:
        """Why the connection ended, without secrets."""
        why = self._child.ended() if self._child is not None else None
        return self._line(why or otherwise, 500)

    def _line(self, text: str, longest: int) -> str:
        """What may hold a stranger's words, for people: without secrets, and one line that does nothing."""
        return visible.line(self.redactor.clean(text), longest)

    def _explained(self, error: BaseException) -> str:
        match error:
            case errors.PctxError():
                return error.message
            case TooLarge():
                return str(error)
            case TimeoutError() if str(error):
                return str(error)
            case TimeoutError() | httpx2.TimeoutException():
                return "it does not answer in time"
            case _ if self._status in (401, 403):
                return f"it refuses us (HTTP {self._status}); look at auth in its configuration"
            case _ if self._status is not None and self._status >= 400:
                return f"it answers with HTTP {self._status}"
            case httpx2.ConnectError():
                return f"it cannot be reached at {self._where(error)}"
            case UnicodeError() | httpx2.LocalProtocolError():
                return "what it wants to be sent, such as the name of its session, is no header that HTTP can carry"
            case MCPError():
                return error.message or "it refuses the connection"
            case ValidationError():
                return "it answers what the protocol does not allow"
        return f"{type(error).__name__}: {error}"

    def _where(self, error: httpx2.ConnectError) -> str:
        """What could not be reached: the server, or a host that its sign-in needs."""
        way = self.server.way
        with suppress(RuntimeError, httpx2.InvalidURL):  # of an error that names no request
            if isinstance(way, Address) and error.request.url.host != httpx2.URL(way.url.written).host:
                return reach.shown(error.request.url)
        return way.shown

    def _become(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self.around.tell("upstreams")

    # its tools

    async def _list(self, client: Client) -> None:
        """Read the list of tools, and offer what may be offered."""
        self._listing_problems.clear()
        found: dict[str, _Found] = {}
        cursor, seen = None, set()
        size, most = 0, self.around.settings.max_message_bytes
        for _ in range(MOST_PAGES):
            page = await client.list_tools(cursor=cursor, cache_mode="refresh")
            for number, tool in enumerate(page.tools):
                if len(found) >= self.around.settings.max_tools:
                    self._listing_problems.append(
                        f"it has more than {len(found):,} tools (Pctx.max_tools); the others are left out"
                    )
                    break
                size += self._read(tool, found)
                if size > most:
                    raise errors.CannotConnect(
                        f"its tools have more than {most:,} bytes in all (Pctx.max_message_bytes)"
                    )
                if number % TURN == TURN - 1:
                    await asyncio.sleep(0)
            cursor = page.next_cursor
            if not cursor or cursor in seen or len(found) >= self.around.settings.max_tools:
                break
            seen.add(cursor)
        self._found, self._has_listed = found, True
        self._compare()

    def _read(self, tool: McpTool, found: dict[str, _Found]) -> int:
        """Take in a tool if it can be used; returns the bytes it takes."""
        hints = tool.annotations
        parts = {
            "input schema": tool.input_schema,
            "output schema": tool.output_schema,
            "annotations": None if hints is None else hints.model_dump(mode="json", exclude_none=True),
        }
        description = tool.description or tool.title or ""
        written = msgspec.json.encode(parts)
        size = len(description) + len(written)
        if size > TOOL_BYTES:
            self._listing_problems.append(
                f"the tool {tool.name[:80]!r} was left out: it has more than {TOOL_BYTES:,} bytes"
            )
            return 0
        try:
            names.tool_name(tool.name)
        except errors.InvalidParams as error:
            self._listing_problems.append(error.message)
            return 0
        description = self.redactor.clean(description)
        if (cleaned := self.redactor.clean_json(written)) is not written:
            parts = msgspec.json.decode(cleaned)
        ours = Tool(
            self.name, tool.name, description, parts["input schema"], parts["output schema"], effects=_effects(hints)
        )
        found[tool.name] = _Found(ours, Fingerprint.of(description, parts))
        return size

    def _fingerprints(self) -> dict[str, Fingerprint]:
        return {name: found.fingerprint for name, found in self._found.items()}

    def _marked(self) -> str:
        parts = sorted((name, *sorted(found.fingerprint.parts.items())) for name, found in self._found.items())
        return hashlib.sha256(f"{digest(self.server)} {parts}".encode(errors="surrogatepass")).hexdigest()[:32]

    def _compare(self) -> None:
        around = self.around
        self.mark = self._marked()
        self._compared = around.fingerprints.compare(self.name, self.server.way.shown, self._fingerprints())
        changed = [tool.name for tool in self._compared.changed]
        self._withheld = tuple(changed) if around.settings.changed_tools == "withhold" else ()
        for name in changed:
            log.warning("upstream %s = the tool %.80r has changed since it was approved", self.name, name)
        around.allowed.keep(self.place, self.server, self._fingerprints())
        offered = {name: found.tool for name, found in self._found.items() if name not in self._withheld}
        for name in changed:
            # Nobody has approved what it says now, and that it has no effects may be new.
            if name in offered and offered[name].effects is False:
                offered[name] = replace(offered[name], effects=None)
        self._offer(offered)
        self.take_answers()
        around.tell("upstreams")

    def _offer(self, tools: dict[str, Tool]) -> None:
        """Put these tools into the catalog, in the place of those that were there; what is the same stays."""
        if self._is_stopping:
            return
        catalog, is_patient = self.around.catalog, self.server.call_timeout_s is not None
        gone = [tool for name, tool in self._offered.items() if tools.get(name) != tool]
        for tool in gone:
            catalog.remove(tool.path)
            del self._offered[tool.registered_name]
        added = 0
        self._offering_problems = []
        for name, tool in tools.items():
            if name in self._offered:
                continue
            try:
                catalog.add(tool, partial(self.call, name), is_patient=is_patient)
            except errors.PctxError as error:
                self._offering_problems.append(error.message)
            else:
                self._offered[name] = tool
                added += 1
        if gone or added:
            self._version = catalog.version
            self.around.tell("tools")


def _effects(hints: ToolAnnotations | None) -> bool | None:
    """Whether a tool changes something outside, as its server says; None: the server leaves that open.

    A tool may be destructive unless it says otherwise, as the protocol has it. Where hints contradict one another, the
    cautious one counts. `idempotentHint` and `openWorldHint` say nothing of it.
    """
    if hints is None:
        return None
    if hints.destructive_hint is True:
        return True
    return False if hints.read_only_hint is True or hints.destructive_hint is False else None


def _arguments(call: Call) -> dict[str, Any]:
    if call.arguments is not None and (found := nonfinite.first_place(call.arguments)) is not None:
        path, number = found
        raise errors.ToolFailed(
            f"Cannot call {call.tool.path}: arguments{path} is {number}, which JSON does not have, and MCP servers "
            "take JSON; pass null, or a text",
            name="TypeError",
        )
    try:
        read = None if call.arguments is None else msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, RecursionError):
        read = ()
    if read is None:
        return {}
    if not isinstance(read, dict):
        raise errors.ToolFailed(
            f"Cannot call {call.tool.path}: it takes one object of named arguments", name="TypeError"
        )
    return read


def _first(error: BaseException) -> BaseException:
    """The first error in a group, however deep."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error
