"""Writes the specification of the REST API, and the types of JupyterLab's client: structs → openapi.yaml → wire.ts.

The structs are the one place where a field is defined. ``api.yaml`` has what they cannot say: the paths, and notes on
fields for people. Both results are in the repository; ``make api`` writes them, and a test fails where one is stale.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from ..rpc import wire
from ..session import bash, trace, upstreams
from ..session.code_mode import messages
from . import changes, editing, rest, state
from . import upstreams as routes

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "api.yaml"
"""Paths, and notes on fields."""
SPECIFICATION = HERE / "openapi.yaml"
TYPES = HERE.parents[1] / "labextension" / "src" / "wire.ts"

BODIES: list[type[msgspec.Struct]] = [
    editing.AskedOfCell,
    editing.AskedOfPlace,
    editing.AskedOfText,
    messages.BashCommand,
    messages.FunctionsWanted,
    messages.RegisterServers,
    messages.RegisterTools,
    routes.Seen,
    routes.SignInBody,
    routes.TestedEntry,
    state.Decided,
    state.EditedArguments,
    wire.AddUpstream,
    wire.Share,
]
"""What requests carry."""
ANSWERS: list[type[msgspec.Struct]] = [
    changes.Changed,
    messages.ApiError,
    bash.BashResult,
    messages.FunctionDetails,
    messages.FunctionList,
    messages.ServersRegistered,
    messages.SessionClosed,
    messages.SessionOpened,
    messages.ToolsRegistered,
    rest.EngineStatus,
    rest.ErrorBody,
    rest.HealthReport,
    routes.UpstreamTools,
    state.Answered,
    state.CheckedArguments,
    state.ClientConfigs,
    state.Executions,
    state.Kernels,
    state.PastRuns,
    state.Permissions,
    state.Questions,
    state.RefusedArguments,
    state.Stopped,
    trace.Trace,
    upstreams.Listed,
    upstreams.SignIn,
    wire.Completed,
    wire.Declared,
    wire.Diagnosed,
    wire.Explained,
    wire.ExplainedCall,
    wire.Formatted,
    wire.HeldHandles,
    wire.Success,
]
"""What they are answered with."""

LINE = 100
"""Characters of a line of a comment in TypeScript."""

HEAD = """\
// Written by `make api`, from openapi.yaml: change the structs, or api.yaml.

/** The types of the server's REST API, as they are on the wire. */
"""
"""Begins ``wire.ts``."""

FieldSchema = dict[str, Any]


def schemas() -> dict[str, FieldSchema]:
    """The schema of each struct by name, sorted, with its docstring as its description."""
    _, found = msgspec.json.schema_components([*BODIES, *ANSWERS], ref_template="#/components/schemas/{name}")
    return {name: _for_people(found[name]) for name in sorted(found)}


def specification(source: str) -> dict[str, Any]:
    """The specification: what the source says, with the schemas of the structs.

    Raises:
        ValueError: The source has a note on a field or a struct that does not exist.
    """
    document: dict[str, Any] = yaml.safe_load(source)
    notes = document["components"].get("schemas", {})
    found = schemas()
    for name, fields in notes.items():
        for field, note in fields.items():
            if field not in found.get(name, {}).get("properties", {}):
                raise ValueError(
                    f"Cannot write the specification: {SOURCE.name} has a note on {name}.{field}, no field"
                )
            found[name]["properties"][field]["description"] = note
    document["components"]["schemas"] = found
    return document


def openapi(source: str) -> str:
    """The text of ``openapi.yaml``."""
    text = yaml.safe_dump(
        specification(source), sort_keys=False, allow_unicode=True, width=120, default_flow_style=None
    )
    return f"# Written by `make api`, from {SOURCE.name} and the structs: change those.\n{text}"


def typescript(document: Mapping[str, Any]) -> str:
    """The text of ``wire.ts``: one interface for each schema of a specification."""
    parts = [HEAD]
    lean = {kind.__name__ for kind in _structs() if kind.__struct_config__.omit_defaults}
    for name, schema in document["components"]["schemas"].items():
        fields = "".join(_field(key, value, schema, name in lean) for key, value in schema["properties"].items())
        parts.append(f"{_comment(schema.get('description', ''), '')}export interface {name} {{\n{fields}}}\n")
    return "\n".join(parts)


def _field(name: str, schema: FieldSchema, owner: FieldSchema, is_lean: bool) -> str:
    is_required = name in owner.get("required", [])
    shown = _type(schema)
    if is_lean and schema.get("default", ...) is None:
        shown = shown.removesuffix(" | null")  # such a field is left out in place of null
    return f"{_comment(schema.get('description', ''), '  ')}  {name}{'' if is_required else '?'}: {shown};\n"


def _type(schema: FieldSchema) -> str:
    match schema:
        case {"$ref": reference}:
            return str(reference).rpartition("/")[2]
        case {"anyOf": kinds}:
            shown = list(dict.fromkeys(map(_type, kinds)))
            return " | ".join(sorted(shown, key=lambda kind: kind == "null"))
        case {"enum": values}:
            return " | ".join("null" if one is None else f"'{one}'" for one in values)
        case {"const": value}:
            return f"'{value}'"
        case {"type": "array", "items": items}:
            of = _type(items)
            return f"({of})[]" if " " in of else f"{of}[]"
        case {"type": "array"}:
            return "unknown[]"
        case {"type": "object"}:
            return "Record<string, unknown>"
        case {"type": kind}:
            return {"integer": "number"}.get(str(kind), str(kind))
    return "unknown"


def _comment(text: str, indent: str) -> str:
    if not text:
        return ""
    lines, line = [], ""
    for word in text.replace("*/", "* /").split():
        if line and len(line) + len(word) >= LINE:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    lines.append(line)
    if len(lines) == 1:
        return f"{indent}/** {line} */\n"
    return f"{indent}/**\n" + "".join(f"{indent} * {one}\n" for one in lines) + f"{indent} */\n"


def _structs() -> Iterator[type[msgspec.Struct]]:
    """All structs that are in a body or an answer."""
    seen: set[Any] = set()
    waiting: list[Any] = [*BODIES, *ANSWERS]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            if kind not in seen:
                seen.add(kind)
                yield kind
                waiting += [field.type for field in msgspec.structs.fields(kind)]
        else:
            waiting += getattr(kind, "__args__", ())


def _for_people(schema: Any) -> Any:
    """A schema without titles, its descriptions in Markdown and without what a docstring says about attributes."""
    if isinstance(schema, list):
        return [_for_people(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        key: _for_people(value) for key, value in schema.items() if key != "title" or isinstance(value, dict)
    }  # "title" may be a field
    if isinstance(text := made.get("description"), str):
        text = re.split(r"\n\s*(?:Args|Attributes):\n", text)[0]
        made["description"] = " ".join(text.replace("``", "`").split())
    return made


def main() -> None:
    """Write both files."""
    source = SOURCE.read_text("utf-8")
    SPECIFICATION.write_text(openapi(source), "utf-8")
    if TYPES.parent.is_dir():
        TYPES.write_text(typescript(specification(source)), "utf-8")
    sys.stdout.write(json.dumps({"schemas": len(schemas())}) + "\n")


if __name__ == "__main__":
    main()
