"""The functions as tools of smolagents, whose tools are classes and whose agents block their thread."""

from __future__ import annotations

from typing import Any

from smolagents import Tool

from ..client.types import AgentFunction
from .agent_tools import AgentTools


def tools(functions: AgentTools) -> list[Tool]:
    """Make the tools."""
    return [_FunctionTool(functions, one) for one in functions.functions]


class _FunctionTool(Tool):  # type: ignore[misc]  # smolagents is not typed
    skip_forward_signature_validation = True  # its parameters are those of the schema
    output_type = "string"

    def __init__(self, functions: AgentTools, function: AgentFunction) -> None:
        self.name, self.description, self.inputs = function.name, function.description, _inputs(function)
        self._functions = functions
        super().__init__()

    def forward(self, *positional: Any, **named: Any) -> str:
        """Call the function. An agent that writes Python may pass arguments by their position."""
        arguments = dict(zip(self.inputs, positional, strict=False)) | named
        given = {name: value for name, value in arguments.items() if value is not None}
        return self._functions.call_and_block(self.name, given).text


def _inputs(function: AgentFunction) -> dict[str, dict[str, Any]]:
    schema = function.input_schema
    required = schema.get("required", [])
    inputs: dict[str, dict[str, Any]] = {}
    for name, about in schema["properties"].items():
        words = [str(one) for one in about.get("enum", ())]
        text = about.get("description") or (f"One of: {', '.join(words)}." if words else f"{name} of {function.name}.")
        inputs[name] = {"type": about.get("type", "string"), "description": text}
        if name not in required:
            inputs[name]["nullable"] = True
    return inputs
