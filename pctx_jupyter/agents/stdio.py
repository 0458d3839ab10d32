"""MCP over stdin and stdout, for clients that start their servers themselves: an engine of this process, or a bridge to
a Jupyter server that runs already.

The bridge keeps no connection: each request is one of its own in the newer era, which has no sessions. So a client of
either era, which is served here, does not notice when the Jupyter server starts anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import mcp.types as t
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from .._version import __version__
from .changes import AnnouncingServer, Context
from .door import Door
from .functions import INSTRUCTIONS

log = logging.getLogger(__name__)

ERA = "2026-07-28"
"""What the bridge speaks with the Jupyter server."""
CONNECT_S, SILENT_S = 10.0, 60.0
"""Seconds a connection may take, and be silent: the server says something every few seconds."""
EVENT_BYTES = 64 << 20
"""Bytes of one message of the server."""
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
        await server.run(incoming, outgoing, server.create_initialization_options())


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
                        await self.server.tell_changed()
            except Exception as error:
                log.debug("mcp = cannot listen: %s", _cause(error))
            await asyncio.sleep(RETRY_S)

    async def _list_tools(self, context: Context, params: t.PaginatedRequestParams | None) -> t.ListToolsResult:
        try:
            async with self._client() as client:
                return await client.list_tools(cursor=params.cursor if params is not None else None)
        except Exception as error:
            raise self._refusal(error) from None

    async def _call_tool(self, context: Context, params: t.CallToolRequestParams) -> t.CallToolResult:
        async def report(progress: float, total: float | None, message: str | None) -> None:
            await context.session.report_progress(progress, total, message)

        asked = t.CallToolRequest(params=t.CallToolRequestParams(name=params.name, arguments=params.arguments))
        try:
            async with self._client() as client:
                return await client.session.send_request(asked, t.CallToolResult, progress_callback=report)
        except Exception as error:
            raise self._refusal(error) from None

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        # One for each request: a request that fails takes its client along, but no other.
        transport = streamable_http_client(self._url, http_client=self._http, max_sse_event_size=EVENT_BYTES)
        async with Client(transport, mode=ERA, cache=None) as client:
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
