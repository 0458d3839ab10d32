"""The functions as an MCP server within the process, as the Claude Agent SDK has them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from claude_agent_sdk import McpSdkServerConfig, SdkMcpTool, create_sdk_mcp_server

from ..client.types import AgentAnswered
from .agent_tools import AgentTools

NAME = "pctx"
"""The server's name: a model calls ``mcp__pctx__execute``."""


def server(functions: AgentTools) -> McpSdkServerConfig:
    """Make the server."""
    return create_sdk_mcp_server(
        NAME,
        tools=[
            SdkMcpTool(one.name, one.description, one.input_schema, _calling(functions, one.name))
            for one in functions.functions
        ],
    )


def _calling(functions: AgentTools, name: str) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
    async def call(arguments: dict[str, Any]) -> dict[str, Any]:
        return _content(await functions.call(name, arguments))

    return call


def _content(answer: AgentAnswered) -> dict[str, Any]:
    images = [
        {"type": one.mime_type.partition("/")[0], "data": one.data, "mimeType": one.mime_type} for one in answer.images
    ]
    return {"content": [{"type": "text", "text": answer.text}, *images], "is_error": answer.is_error}
