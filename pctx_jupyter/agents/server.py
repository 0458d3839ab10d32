"""The functions for agents as an MCP server, in both eras of the protocol. No HTTP, no pipe.

The SDK validates no call, and sends what a handler raises to the client. So arguments are checked and errors caught
here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import mcp.types as t
from mcp.shared.exceptions import MCPError

from .._version import __version__
from ..rpc import span_context
from ..session.execution import AGENT, CLIENT, OWNER_KEY
from ..session.watch import Change, Watchers
from . import asking
from .answers import AgentAnswer, Asking
from .changes import AnnouncingServer, Context
from .functions import INSTRUCTIONS, Functions
from .states import OWNER

CHANGE_S = 0.5
"""Seconds in which changes of the tools are announced as one: a notebook defines many at once."""


MOST_NAME = 60
"""Characters of the name that a client gives itself."""


class AgentServer:
    """The MCP server of one engine.

    Args:
        functions: What it offers.
        watchers: Notify of changes of the tools.

    Attributes:
        server: The SDK's object, for any transport.
    """

    def __init__(self, functions: Functions, watchers: Watchers) -> None:
        self._functions = functions
        self._timer: asyncio.TimerHandle | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._version = functions.session.scope.version
        self.server = AnnouncingServer(
            "pctx",
            version=__version__,
            title="pctx for Jupyter",
            instructions=INSTRUCTIONS,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            get_tool_input_schema=lambda name: None,  # no argument of ours is mirrored in a header
        )
        self._unwatch: Callable[[], None] = watchers.add(self._on_change)

    async def close(self) -> None:
        """Stop every program and end every stream."""
        self._unwatch()
        if self._timer is not None:
            self._timer.cancel()
        if self._announcing is not None:
            self._announcing.cancel()
            await asyncio.wait([self._announcing])
        await self._functions.close()
        self.server.close()

    async def _list_tools(self, context: Context, params: t.PaginatedRequestParams | None) -> t.ListToolsResult:
        self._functions.count_listing()
        tools = [
            t.Tool(
                name=known.name,
                description=known.description,
                input_schema=known.input_schema,
                annotations=t.ToolAnnotations(read_only_hint=known.reads_only, destructive_hint=known.may_destroy),
            )
            for known in self._functions.definitions()
        ]
        return t.ListToolsResult(tools=tools)

    async def _call_tool(
        self, context: Context, params: t.CallToolRequestParams
    ) -> t.CallToolResult | t.InputRequiredResult:
        if not self._functions.has(params.name):
            raise MCPError(t.INVALID_PARAMS, f"Unknown tool: {params.name[:100]}")
        reports = 0

        async def report(message: str) -> None:
            nonlocal reports
            reports += 1
            await context.session.report_progress(reports, None, message)

        owner = str(getattr(context.request, "scope", {}).get(OWNER_KEY, ""))
        OWNER.set(owner)
        CLIENT.set(_client(context, owner))
        AGENT.set(_name(context))
        asks = asking.asks(context, params)
        with span_context.entered(span_context.with_current_span(context.meta or {})):
            answer = await self._functions.call(params.name, params.arguments or {}, report, asks)
        return asking.required(answer) if isinstance(answer, Asking) else _result(answer)

    def _on_change(self, change: Change) -> None:
        if change in ("tools", "sessions", "upstreams") and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHANGE_S, self._announce_changes)

    def _announce_changes(self) -> None:
        self._timer = None
        version = self._functions.session.scope.version
        if version != self._version:
            self._version = version
            self._announcing = asyncio.create_task(self._announce(self._announcing), name="pctx mcp list changed")

    async def _announce(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        await self.server.notify_tools_changed()


def _client(context: Context, owner: str) -> str:
    """Name the client of a request: by its session in the older era of the protocol, else by its owner and its name."""
    headers = getattr(context.request, "headers", None) or {}
    info = context.session.client_params and context.session.client_params.client_info
    return str(headers.get("mcp-session-id") or f"{owner} {info.name if info else ''}")[:100]


def _name(context: Context) -> str:
    """Return the name that the client of a request gives itself, for people; "": it gives none."""
    info = context.session.client_params and context.session.client_params.client_info
    return str((info.title or info.name) if info else "").strip()[:MOST_NAME]


def _result(answer: AgentAnswer) -> t.CallToolResult:
    content: list[t.ContentBlock] = [t.TextContent(text=answer.text)]
    for image in answer.images:
        kind = t.AudioContent if image.mime_type.startswith("audio/") else t.ImageContent
        content.append(kind(data=image.data, mime_type=image.mime_type))
    return t.CallToolResult(content=content, is_error=answer.is_error)
