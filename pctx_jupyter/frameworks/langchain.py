"""The functions as tools of LangChain, and so of LangGraph."""

from __future__ import annotations

from typing import Any

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from ..client.types import AgentAnswered, AgentFunction
from .agent_tools import AgentTools


def tools(functions: AgentTools) -> list[BaseTool]:
    """Make the tools. Each has a sync and an async form."""
    return [_tool(functions, one) for one in functions.functions]


def _tool(functions: AgentTools, function: AgentFunction) -> BaseTool:
    def call_and_block(**arguments: Any) -> str | list[dict[str, Any]]:
        return _content(functions.call_and_block(function.name, arguments))

    async def call(**arguments: Any) -> str | list[dict[str, Any]]:
        return _content(await functions.call(function.name, arguments))

    return StructuredTool(
        name=function.name,
        description=function.description,
        args_schema=function.input_schema,
        func=call_and_block,
        coroutine=call,
        handle_tool_error=True,  # the model reads the text, and its message has the status "error"
    )


def _content(answer: AgentAnswered) -> str | list[dict[str, Any]]:
    if answer.is_error:
        raise ToolException(answer.text)
    if not answer.images:
        return answer.text
    images = [
        {"type": one.mime_type.partition("/")[0], "base64": one.data, "mime_type": one.mime_type}
        for one in answer.images
    ]
    return [{"type": "text", "text": answer.text}, *images]
