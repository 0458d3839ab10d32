"""The functions as tools of the OpenAI Agents SDK."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from agents import FunctionTool, ToolOutputImage, ToolOutputText
from agents.tool_context import ToolContext

from ..client.types import AgentAnswered
from .agent_tools import AgentTools

OpenAIOutput = str | list[ToolOutputText | ToolOutputImage]
"""What the SDK passes on to a model."""


def tools(functions: AgentTools) -> list[FunctionTool]:
    """Make the tools."""
    return [
        FunctionTool(
            name=one.name,
            description=one.description,
            params_json_schema=one.input_schema,
            on_invoke_tool=_calling(functions, one.name),
            strict_json_schema=False,  # arguments are optional
        )
        for one in functions.functions
    ]


def _calling(functions: AgentTools, name: str) -> Callable[[ToolContext[Any], str], Awaitable[OpenAIOutput]]:
    async def call(context: ToolContext[Any], arguments: str) -> OpenAIOutput:
        return _output(await functions.call(name, arguments))

    return call


def _output(answer: AgentAnswered) -> OpenAIOutput:
    pictures = [one for one in answer.images if one.mime_type.startswith("image/")]
    if not pictures:
        return answer.text
    images = [ToolOutputImage(image_url=f"data:{one.mime_type};base64,{one.data}") for one in pictures]
    return [ToolOutputText(text=answer.text), *images]
