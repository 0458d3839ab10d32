"""What the hints of `program.hints` know of a session's tools: the names of their arguments, and of their types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from ..program import hints
from ..program.check import Diagnostic
from ..tools import inert, typegen
from ..tools.tool import Tool

MAX_TOOLS = 300
"""Tools whose types are looked through for one name: writing a declaration takes a part of a millisecond."""

MAX_PATHS = 20_000
"""Tools among which those of one name are looked for."""

_TYPE = re.compile(r"^[^\S\n]*(?:export )?(?:type|interface) (\w+)", re.MULTILINE)


def advice(code: str, tools: Sequence[Tool], paths: Iterable[str] = ()) -> Callable[[Diagnostic], str]:
    """Return what adds to a diagnostic's message what to write instead.

    Args:
        code: The program.
        tools: The tools it may call.
        paths: The canonical paths of all tools that programs of its session may call.
    """

    def parameters(path: str) -> Sequence[str] | None:
        tool = next((tool for tool in tools if path in (tool.path, tool.registered_path)), None)
        schema = tool.input_schema if tool is not None else None
        properties = schema.get("properties") if isinstance(schema, dict) else None
        if not isinstance(schema, dict) or not isinstance(properties, dict):
            return None
        wanted = schema.get("required")
        required = wanted if isinstance(wanted, list) else []
        return [inert.property_name(name[:60]) for name in sorted(properties, key=lambda name: name not in required)]

    def types() -> Mapping[str, str]:
        # Those of the namespaces that the program names come first: one of them is most likely meant.
        near = sorted(tools, key=lambda tool: tool.namespace_name not in code)[:MAX_TOOLS]
        found: dict[str, str] = {}
        for tool in near:
            for name in _TYPE.findall(typegen.declaration(tool)):
                found.setdefault(name, f"{tool.namespace_name}.{name}")
        return found

    def functions(name: str) -> Sequence[str]:
        spelled = {tool.path for tool in tools if name == tool.registered_name}
        return sorted(spelled.union(path for path in islice(paths, MAX_PATHS) if path.rpartition(".")[2] == name))

    return lambda diagnostic: hints.advised(diagnostic, code, parameters, types, functions)
