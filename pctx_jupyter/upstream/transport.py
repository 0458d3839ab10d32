"""Opens the two streams of one connection to an MCP server, and explains in words why a connection failed.

It resolves the secrets of the server's configuration. It does not decide when a connection is made, and knows nothing
of tools.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx2
from mcp import MCPError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import ValidationError

from .. import errors, visible
from ..rpc import span_context
from . import config, permitted, reach
from .addresses import read_url
from .bounds import TooLarge, bounding
from .child import Child, open_child
from .config import Address, CommandLine, ServerConfig
from .mending import MendedStream
from .outbound import Outbound
from .references import Reference
from .secrets import Redactor, SecretText, SecretUnavailable, has_secret_name, is_secret
from .shared import Surroundings

LOG_LINES = 20
"""Lines kept of what a server writes to stderr and sends as log messages."""
LOG_LINE = 500
"""Characters kept of one of them."""
ANSWERS = ("application/json", "text/event-stream")
"""The content types that an MCP server answers with."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What a transport reports while it is open.

    Args:
        on_problem: A sentence about a part of a message that was left out.
        on_end: The server sends nothing more.
        on_sign_in_needed: The server requires a sign-in, and none has begun.
        on_sign_in_page: A person is signing in; the connection waits for them.
    """

    on_problem: Callable[[str], None]
    on_end: Callable[[], None]
    on_sign_in_needed: Callable[[], None]
    on_sign_in_page: Callable[[], None]


class Transport:
    """How one server is reached; open at most once at a time.

    Args:
        redactor: Learns every secret that is resolved here.

    Attributes:
        child: The last process that was started; None where the server is a URL, or before the first attempt.
    """

    def __init__(self, server: ServerConfig, around: Surroundings, redactor: Redactor) -> None:
        self.child: Child | None = None
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._server, self._around, self._redactor = server, around, redactor
        self._response: httpx2.Response | None = None  # the last one
        most = around.settings.max_message_bytes
        self.too_large = f"{server.name} answers with more than {most:,} bytes (Pctx.max_message_bytes)"

    @asynccontextmanager
    async def open(self, callbacks: Callbacks) -> AsyncIterator[Any]:
        """Open the streams; close them, and end the process, on the way out."""
        self._response = None
        async with AsyncExitStack() as stack:
            match self._server.way:
                case CommandLine() as way:
                    read, write = await self._open_process(way, stack)
                case way:
                    read, write = await self._open_http(way, stack, callbacks)
            yield MendedStream(read, callbacks.on_problem, callbacks.on_end), write

    async def _open_process(self, way: CommandLine, stack: AsyncExitStack) -> tuple[Any, Any]:
        config.check_references(self._server)
        written = [way.command, *way.arguments]
        texts = {f"the variable {name}": text for name, text in way.environment.items()}
        texts |= {config.argument(number): SecretText(word) for number, word in enumerate(written)}
        if way.folder is not None:
            texts["cwd"] = SecretText(way.folder)
        resolved = await self._resolve(texts)
        environment = {name: resolved[f"the variable {name}"] for name in way.environment}
        environment |= {name: config.at_home(value) for name, value in environment.items() if not has_secret_name(name)}
        for name, value in environment.items():
            config.check_variable(name, value, self._server.name)
        words = [config.at_home(resolved[config.argument(number)]) for number in range(len(written))]
        for number, word in enumerate(words):
            config.check_argument(number, word, self._server.name)
        permitted.check_command(words, self._around.settings.upstream_commands, self._server.name)
        folder = None if way.folder is None else config.folder_of(self._server, resolved["cwd"])
        limit = self._around.settings.max_message_bytes
        self.child, streams = await stack.enter_async_context(open_child(words, environment, folder, limit, self.note))
        return streams

    async def _open_http(self, way: Address, stack: AsyncExitStack, callbacks: Callbacks) -> tuple[Any, Any]:
        name = self._server.name
        config.check_references(self._server)
        texts = await self._resolve({f"the header {header}": text for header, text in way.headers.items()})
        resolved = {header: texts[f"the header {header}"] for header in way.headers}
        with self._naming("the url"):
            url, hidden, leads_as_written = await read_url(way.url, self._server.workspace)
        self._redactor.learn_more(hidden)
        config.check_address(self._server, leads_as_written)
        for header, value in resolved.items():
            config.check_header(header, value, name)
        try:
            boundary = reach.Boundary(httpx2.URL(url))
        except httpx2.InvalidURL as error:
            raise config.Unusable(f"the url of {name} is no address: {error}; correct it") from None
        permitted.check_host(url, self._around.settings.upstream_hosts, name)
        outbound = Outbound(boundary)
        auth = None
        if way.oauth is not None:
            auth = await self._around.sign_ins.auth(
                name,
                url,
                way.oauth,
                boundary,
                outbound.judge,
                callbacks.on_sign_in_needed,
                callbacks.on_sign_in_page,
                self._redactor.learn_more,
            )
        most = self._around.settings.max_message_bytes
        hooks: dict[str, list[Callable[..., Any]]] = {
            "request": [_name_span],
            "response": [self._note_response, bounding(most, self.too_large)],
        }
        timeout = httpx2.Timeout(30, read=None)

        def http(*asked: Any, **more: Any) -> httpx2.AsyncClient:  # the SDK passes less than is needed here
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

    async def _note_response(self, response: httpx2.Response) -> None:
        self._response = response

    async def _resolve(self, texts: Mapping[str, SecretText]) -> dict[str, str]:
        """Read the secrets in some texts, by where they stand; from now on the redactor hides them."""
        resolved: dict[str, str] = {}
        secret: list[str] = []
        for name, text in texts.items():
            with self._naming(name):
                resolved[name], values = await text.resolve(self._server.workspace)
            secret += values
            if has_secret_name(name):  # a default for a secret is one, though all can read it in the file
                secret += [part.default for part in text.parts if isinstance(part, Reference) and part.default]
            if is_secret(name, text):
                secret += [resolved[name], resolved[name].removeprefix("Bearer ")]
        self._redactor.learn(secret)
        return resolved

    @contextmanager
    def _naming(self, place: str) -> Iterator[None]:
        """Have an error say where the reference stands that cannot be read."""
        try:
            yield
        except SecretUnavailable as error:
            raise SecretUnavailable(f"{error.message} (it is in {place} of {self._server.name})") from None

    def note(self, text: str) -> None:
        """Keep a log message of the server; old ones give way."""
        # Cut far behind what is shown: half a secret would not be found.
        self._log.extend(line[: 8 * LOG_LINE] for line in text.splitlines()[-LOG_LINES:])

    def log(self) -> list[str]:
        """The last lines that the server wrote to stderr, or sent as log messages, for people."""
        return [line for text in self._log if (line := self.line(text, LOG_LINE))]

    def line(self, text: str, longest: int) -> str:
        """A text that may hold a server's words, for people: one harmless line without secrets."""
        return visible.line(self._redactor.clean(text), longest)

    def why_ended(self, otherwise: str) -> str:
        """Why the connection ended: how the process ended, or else the given reason."""
        why = self.child.ended() if self.child is not None else None
        return self.line(why or otherwise, 500)

    def why_failed(self, error: BaseException) -> str:
        """Why an attempt to connect failed, for people."""
        return self.why_ended(self._explain(_first(error)))

    def _explain(self, error: BaseException) -> str:
        match error:
            case errors.PctxError():
                return error.message
            case TooLarge():
                return str(error)
            case TimeoutError() if str(error):
                return str(error)
            case TimeoutError() | httpx2.TimeoutException():
                return "it does not answer in time"
            case _ if self._response is not None and (why := _refusal(self._response)) is not None:
                return why
            case httpx2.ConnectError():
                return f"it cannot be reached at {self._unreachable(error)}"
            case UnicodeError() | httpx2.LocalProtocolError():
                return "what it wants to be sent, such as the name of its session, is no header that HTTP can carry"
            case MCPError():
                return error.message or "it refuses the connection"
            case ValidationError():
                return "it answers what the protocol does not allow"
        return f"{type(error).__name__}: {error}"

    def _unreachable(self, error: httpx2.ConnectError) -> str:
        """What could not be reached: the server, or a host that its sign-in needs."""
        way = self._server.way
        with suppress(RuntimeError, httpx2.InvalidURL):  # of an error that names no request
            asked = error.request.url
            if isinstance(way, Address) and (way.url.has_reference or asked.host != httpx2.URL(way.url.written).host):
                return reach.shown(asked)
        return way.shown


def _refusal(response: httpx2.Response) -> str | None:
    """What the last response of a server says about why no connection came of it; None: nothing."""
    status, kind = response.status_code, response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return f"it refuses us (HTTP {status}); look at auth in its configuration"
    if status >= HTTPStatus.BAD_REQUEST:
        return f"it answers with HTTP {status}"
    if response.next_request is not None:  # one to the same place is followed
        url = response.next_request.url
        where = visible.line(f"{reach.shown(url)}{url.path}", 200)
        return f"it redirects to {where}, which is not followed; if you know that host, write this address as its url"
    if status == HTTPStatus.OK and kind not in ("", *ANSWERS):
        return f"what answers there is no MCP server: it sends {visible.line(kind, 50)}; correct the url"
    return None


async def _name_span(request: httpx2.Request) -> None:
    """Write the current span into the headers of a request: the SDK sends it in the task of the call, or in a copy."""
    carrier: dict[str, str] = {}
    span_context.inject(carrier)
    for name, text in carrier.items():
        request.headers.setdefault(name, text)


def is_unusable(error: BaseException) -> bool:
    """Whether an attempt failed because of the configuration: then another one would fail as well."""
    return isinstance(_first(error), config.Unusable)


def _first(error: BaseException) -> BaseException:
    """The first error in a group, however deep."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error
