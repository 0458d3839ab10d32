"""MCP over stdin and stdout, for clients that start their servers themselves: an engine of this process, or a bridge to
a Jupyter server that runs already.

The bridge keeps no connection: each request is one of its own in the newer era, which has no sessions. So a client of
either era, which is served here, does not notice when the Jupyter server restarts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self

import anyio
import httpx2
import mcp.types as t
from mcp.client import Client
from mcp.client.session import ClientRequestContext, ElicitationFnT
from mcp.client.streamable_http import streamable_http_client
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from pydantic import TypeAdapter, ValidationError

from .. import errors
from .._version import __version__
from . import asking
from .changes import AnnouncingServer, Context
from .door import Door
from .functions import INSTRUCTIONS
from .unreadable import refusal, unread

log = logging.getLogger(__name__)

ERA = "2026-07-28"
"""What the bridge speaks with the Jupyter server."""
CONNECT_S, SILENT_S = 10.0, 60.0
"""Seconds a connection may take, and be silent: the server says something every few seconds."""
EVENT_BYTES = 64 << 20
"""Bytes of one message of the server."""
RESULT: TypeAdapter[t.CallToolResult | t.InputRequiredResult] = TypeAdapter(t.CallToolResult | t.InputRequiredResult)
"""What a call is answered with."""
RETRY_S = 5.0
"""Seconds between two attempts to listen for changes."""


async def serve_stdio(door: Door) -> None:
    """Serve the client at the other end of stdin and stdout until it disconnects. The caller closes the engine."""
    server = (await door.server()).server
    await _serve(server)


async def bridge_stdio(url: str, token: str) -> None:
    """Serve the client at the other end of stdin and stdout by a Jupyter server, until it hangs up.

    Args:
        url: The server's MCP endpoint: ``http://localhost:8888/pctx/mcp``.
        token: What lets us in; "": it asks for none.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = httpx2.Timeout(CONNECT_S, read=SILENT_S)
    async with httpx2.AsyncClient(headers=headers, timeout=timeout) as http:
        bridge = _Bridge(url, http)
        listening = asyncio.create_task(bridge.listen(), name="pctx mcp listen")
        try:
            await _serve(bridge.server)
        finally:
            listening.cancel()
            await asyncio.wait([listening])


async def _serve(server: AnnouncingServer) -> None:
    async with stdio_server() as (incoming, outgoing):
        readable = _Readable(incoming.receive, incoming.aclose, outgoing.send)
        await server.run(readable, outgoing, server.create_initialization_options())


class _Readable:
    """The messages of a client that the SDK can read. It drops the others, so they are answered here.

    Args:
        receive: Waits for what the client sends: a message, or an error in the place of one that cannot be read.
        close: Ends that.
        send: Sends a message to the client.
    """

    def __init__(
        self,
        receive: Callable[[], Awaitable[SessionMessage | Exception]],
        close: Callable[[], Awaitable[None]],
        send: Callable[[SessionMessage], Awaitable[None]],
    ) -> None:
        self._receive, self._close, self._send = receive, close, send

    async def receive(self) -> SessionMessage | Exception:
        while isinstance(item := await self._receive(), ValidationError):
            if (refused := _refusal(item)) is not None:
                await self._send(SessionMessage(t.JSONRPCError.model_validate_json(refused)))
        return item

    async def aclose(self) -> None:
        await self._close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.aclose()


def _refusal(error: ValidationError) -> bytes | None:
    """Return the answer to a line that is no message; None: it is empty."""
    found = error.errors(include_url=False)[0]
    line = found["input"]
    if found["type"] != "json_invalid" or not isinstance(line, str):  # it is JSON; only a part of it is left
        return refusal(None, errors.InvalidRequest("Cannot read message: neither a request nor an answer"))
    return unread(line, found["msg"]) if line.strip() else None


class _Bridge:
    """An MCP server that asks another for everything."""

    def __init__(self, url: str, http: httpx2.AsyncClient) -> None:
        self._url, self._http = url, http
        self.server = AnnouncingServer(
            "pctx",
            version=__version__,
            title="pctx for Jupyter",
            instructions=INSTRUCTIONS,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )

    async def listen(self) -> None:
        """Pass on that the tools have changed, for as long as it is not cancelled."""
        while True:
            try:
                async with self._client() as client, client.listen(tools_list_changed=True) as changes:
                    async for _ in changes:
                        await self.server.notify_tools_changed()
            except Exception as error:
                log.debug("mcp = cannot listen: %s", _cause(error))
            await asyncio.sleep(RETRY_S)

    async def _list_tools(self, context: Context, params: t.PaginatedRequestParams | None) -> t.ListToolsResult:
        try:
            async with self._client() as client:
                return await client.list_tools(cursor=params.cursor if params is not None else None)
        except Exception as error:
            raise self._refusal(error) from None

    async def _call_tool(
        self, context: Context, params: t.CallToolRequestParams
    ) -> t.CallToolResult | t.InputRequiredResult:
        """Pass a call on, and what the server has to ask the client's user: by a way that both of them have."""

        async def report(progress: float, total: float | None, message: str | None) -> None:
            await context.session.report_progress(progress, total, message)

        session, request_id = context.session, context.request_id

        async def ask(context: ClientRequestContext, params: t.ElicitRequestParams) -> t.ElicitResult | t.ErrorData:
            if not isinstance(params, t.ElicitRequestFormParams):
                return t.ErrorData(code=t.INVALID_PARAMS, message="Elicitation mode not supported")
            return await session.elicit_form(params.message, params.requested_schema, related_request_id=request_id)

        repeated = t.CallToolRequestParams(
            name=params.name,
            arguments=params.arguments,
            input_responses=params.input_responses,
            request_state=params.request_state,
        )
        asks = ask if asking.can_ask(context.session.client_capabilities) else None
        # A client of the older era is asked while its request is open, and so the server has to ask us.
        era = ERA if asks is None or asking.is_newer(context) else "legacy"

        async def call() -> t.CallToolResult | t.InputRequiredResult:
            async with self._client(era, asks) as client:
                request = t.CallToolRequest(params=repeated)
                return await client.session.send_request(request, RESULT, progress_callback=report)

        # In a task of its own: a client of the older era has to notify the server of a cancelled request, and could
        # not within a scope that is cancelled itself.
        calling = asyncio.create_task(call(), name="pctx mcp call")
        try:
            return await asyncio.shield(calling)
        except asyncio.CancelledError:
            calling.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([calling], timeout=CONNECT_S)
            if calling.done() and not calling.cancelled():
                calling.exception()  # nothing waits for it any more
            raise
        except Exception as error:
            raise self._refusal(error) from None

    @asynccontextmanager
    async def _client(self, era: str = ERA, ask: ElicitationFnT | None = None) -> AsyncIterator[Client]:
        # One for each request: a request that fails takes its client along, but no other.
        transport = streamable_http_client(self._url, http_client=self._http, max_sse_event_size=EVENT_BYTES)
        async with Client(transport, mode=era, cache=None, elicitation_callback=ask) as client:
            yield client

    def _refusal(self, error: BaseException) -> MCPError:
        cause = _cause(error)
        if isinstance(cause, MCPError):
            return cause
        log.debug("mcp = the server cannot be reached", exc_info=error)
        return MCPError(
            t.INTERNAL_ERROR,
            f"Cannot reach the Jupyter server at {self._url}: {type(cause).__name__}; is it running?",
        )


def _cause(error: BaseException) -> BaseException:
    """The first of a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
