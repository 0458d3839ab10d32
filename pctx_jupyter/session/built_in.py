"""What ``list_functions()`` returns inside of a program: its tools as objects, and the functions that are built in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..rpc.jsonrpc import Json
from ..rpc.sandbox_wire import ProgramFunction
from ..tools.tool import Tool
from ..tools.words import is_reflective

MOST_WITH_SCHEMAS = 500
"""Tools up to which their schemas are listed too; of more, the names and descriptions are."""


def _takes(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


_NAMES: Json = {"type": "array", "items": {"type": "string"}}

BUILT_IN = (
    ProgramFunction("list_functions", "", "List the functions that programs can call.", None, _NAMES),
    ProgramFunction(
        "get_function_details", "", "Describe functions by their full names.", _takes(functions=_NAMES), None
    ),
    ProgramFunction("execute", "", "Run a program.", _takes(code={"type": "string"}), None),
)
"""The functions that every server has. `list_functions` can be called inside of programs; clients call the others."""


def can_list(code: str) -> bool:
    """Whether a program can reach ``list_functions``: only such a program is sent the descriptions."""
    return "\\u" in code or is_reflective(code)


def program_functions(tools: Sequence[Tool], is_listed: Callable[[Tool], bool]) -> list[ProgramFunction]:
    """List the built-in functions, then tools, under their canonical names.

    Args:
        is_listed: Whether a tool is shown; the second name of one is not.
    """
    has_schemas = len(tools) <= MOST_WITH_SCHEMAS
    return [
        *BUILT_IN,
        *(
            ProgramFunction(
                tool.tool_name,
                tool.namespace_name,
                tool.description,
                tool.input_schema if has_schemas else None,
                tool.result_schema if has_schemas else None,
            )
            for tool in tools
            if is_listed(tool)
        ),
    ]
