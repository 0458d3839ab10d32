"""The functions as tools of Pydantic AI."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic_ai import BinaryContent, Tool, ToolReturn

from ..client.types import AgentAnswered
from .agent_tools import AgentTools


def tools(functions: AgentTools) -> list[Tool[Any]]:
    """Make the tools."""
    return [
        Tool.from_schema(_calling(functions, one.name), one.name, one.description, one.input_schema)
        for one in functions.functions
    ]


def _calling(functions: AgentTools, name: str) -> Callable[..., Awaitable[str | ToolReturn]]:
    async def call(**arguments: Any) -> str | ToolReturn:
        return _returned(await functions.call(name, arguments))

    return call


def _returned(answer: AgentAnswered) -> str | ToolReturn:
    if not answer.images:
        return answer.text
    images = [BinaryContent(base64.b64decode(one.data), media_type=one.mime_type) for one in answer.images]
    return ToolReturn(answer.text, content=images)
