"""The functions that a server's namespace has for its resources and prompts, beside the server's own tools.

Each is a tool to everything else: policies, consent, traces, limits and listings treat it like any other. This module
describes the functions, and makes values of a server's messages. It does not send anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mcp_types import ServerCapabilities

from .. import errors
from ..rpc.jsonrpc import Json
from ..tools.tool import Tool
from .fingerprints import Fingerprint

FeatureName = Literal["listResources", "readResource", "listPrompts", "getPrompt"]
"""The names of the functions. A function gets a number where the server has a tool of that name."""

MOST_ENTRIES = 20_000
"""Resources, templates or prompts of one list. A program that wants to list more of them says how many."""
MOST_TYPED = 100
"""Prompts up to which each name is a type with its own arguments; a longer union helps nobody."""
LONGEST_NAME = 200
"""Characters of a prompt's name, or of an argument's, that becomes part of a type."""

_TEXT: dict[str, Json] = {"type": "string"}


def _object(properties: dict[str, Json], *required: str, title: str = "") -> dict[str, Json]:
    named: dict[str, Json] = {"title": title} if title else {}
    return {
        **named,
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _list(items: Json) -> dict[str, Json]:
    return {"type": "array", "items": items}


def _type(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}


_KNOWN: dict[str, Json] = {
    "title": _TEXT,
    "description": _TEXT,
    "mimeType": _TEXT,
}
_RESOURCE = _object({"uri": _TEXT, "name": _TEXT, **_KNOWN, "size": {"type": "number"}}, "uri", "name")
_TEMPLATE = _object({"uriTemplate": _TEXT, "name": _TEXT, **_KNOWN}, "uriTemplate", "name")
_BINARY: dict[str, Json] = {"type": "string", "description": "base64"}
_CONTENTS: Json = {
    "anyOf": [
        _object({"type": {"const": "text"}, "uri": _TEXT, "mimeType": _TEXT, "text": _TEXT}, "type", "uri", "text"),
        _object(
            {"type": {"enum": ["image", "audio", "blob"]}, "uri": _TEXT, "mimeType": _TEXT, "data": _BINARY},
            "type",
            "uri",
            "data",
        ),
    ]
}
_ARGUMENT = _object({"name": _TEXT, "description": _TEXT, "required": {"type": "boolean"}}, "name")
_PROMPT = _object(
    {"name": _TEXT, "title": _TEXT, "description": _TEXT, "arguments": _list(_type("PromptArgument"))}, "name"
)
_CONTENT: Json = {
    "anyOf": [
        _object({"type": {"const": "text"}, "text": _TEXT}, "type", "text"),
        _object({"type": {"enum": ["image", "audio"]}, "mimeType": _TEXT, "data": _BINARY}, "type", "mimeType", "data"),
        _object({"type": {"const": "resource_link"}, "uri": _TEXT, "name": _TEXT, **_KNOWN}, "type", "uri"),
        _object({"type": {"const": "resource"}, "resource": _type("ResourceContents")}, "type", "resource"),
    ]
}
_MESSAGE = _object({"role": {"enum": ["user", "assistant"]}, "content": _type("PromptContent")}, "role", "content")

_LIMIT: dict[str, Json] = {
    "type": "integer",
    "minimum": 1,
    "description": f"Entries of each list at most; default: all of them, and an error beyond {MOST_ENTRIES:,}",
}


@dataclass(frozen=True, slots=True)
class Feature:
    """One function.

    Args:
        name: What it is called where the server has no tool of that name.
        tool: As programs see it.
    """

    name: FeatureName
    tool: Tool

    @property
    def fingerprint(self) -> Fingerprint:
        """What a consent to it is kept for: the function, whatever the server has to read at the moment."""
        return Fingerprint.of("", {"function": self.name})


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as its server lists it: its arguments by name, and whether each is required."""

    name: str
    arguments: Mapping[str, bool]


def of(server: str, can: ServerCapabilities, prompts: Iterable[Prompt]) -> list[Feature]:
    """Return the functions that a server's capabilities allow.

    Args:
        server: The server's name.
        can: Its capabilities.
        prompts: The prompts that it has listed; without any, there is nothing to get.
    """
    known = list(prompts)
    found: list[tuple[FeatureName, str, Json, Json]] = []
    if can.resources is not None:
        found += [
            (
                "listResources",
                "List the resources of this server, and the templates of their URIs.",
                {"type": "object", "properties": {"limit": _LIMIT}, "additionalProperties": False},
                {
                    **_object(
                        {
                            "resources": _list(_type("Resource")),
                            "templates": _list(_type("ResourceTemplate")),
                        },
                        "resources",
                        "templates",
                    ),
                    "$defs": {"Resource": _RESOURCE, "ResourceTemplate": _TEMPLATE},
                },
            ),
            (
                "readResource",
                "Read a resource of this server by its URI, or by a resource_link that one of its tools returned.",
                {"anyOf": [_TEXT, _object({"uri": _TEXT}, "uri")]},
                {
                    **_object({"contents": _list(_type("ResourceContents"))}, "contents"),
                    "$defs": {"ResourceContents": _CONTENTS},
                },
            ),
        ]
    if can.prompts is not None and known:
        found += [
            (
                "listPrompts",
                "List the prompts of this server.",
                {"type": "object", "properties": {"limit": _LIMIT}, "additionalProperties": False},
                {
                    **_object({"prompts": _list(_type("Prompt"))}, "prompts"),
                    "$defs": {"Prompt": _PROMPT, "PromptArgument": _ARGUMENT},
                },
            ),
            (
                "getPrompt",
                "Get a prompt of this server: its messages, with the arguments filled in.",
                _prompt_arguments(known),
                {
                    **_object({"description": _TEXT, "messages": _list(_type("PromptMessage"))}, "messages"),
                    "$defs": {"PromptMessage": _MESSAGE, "PromptContent": _CONTENT, "ResourceContents": _CONTENTS},
                },
            ),
        ]
    return [
        Feature(name, Tool(server, name, text, takes, returns, effects=False)) for name, text, takes, returns in found
    ]


def named(features: Iterable[Feature], taken: Iterable[str]) -> list[Feature]:
    """Return the functions under names that no tool of the server has: a number behind where one meets.

    Args:
        taken: The names of the server's tools, as it spells them and as programs do.
    """
    names = set(taken)
    found = []
    for feature in features:
        free, number = str(feature.name), 1
        while free in names:
            number += 1
            free = f"{feature.name}{number}"
        tool = feature.tool
        found.append(
            feature if free == tool.registered_name else Feature(feature.name, tool.changed(registered_name=free))
        )
    return found


def _prompt_arguments(prompts: list[Prompt]) -> Json:
    """The schema of `getPrompt`'s argument: one alternative a prompt. Descriptions are left to `listPrompts`."""
    typed = [one for one in prompts if all(len(name) <= LONGEST_NAME for name in (one.name, *one.arguments))]
    if len(typed) < len(prompts) or len(prompts) > MOST_TYPED:
        given: Json = {"type": "object", "additionalProperties": _TEXT}
        return _object({"name": _TEXT, "arguments": given}, "name")
    alternatives: list[Json] = []
    for prompt in typed:
        required = [name for name, is_required in prompt.arguments.items() if is_required]
        given = _object(dict.fromkeys(prompt.arguments, _TEXT), *required)
        properties: dict[str, Json] = {"name": {"const": prompt.name}}
        if prompt.arguments:
            properties["arguments"] = given
        alternatives.append(_object(properties, "name", *(["arguments"] if required else [])))
    return alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}


# a server's messages


def prompt_of(entry: Mapping[str, Any]) -> Prompt:
    """Read what one entry of a list of prompts says of its arguments."""
    listed = entry.get("arguments")
    arguments = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return Prompt(
        entry["name"],
        {one["name"]: one.get("required") is True for one in arguments if isinstance(one.get("name"), str)},
    )


def resource(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a program gets for one resource of a list; None: it has no URI."""
    found = _texts(entry, "uri", "name", "title", "description", "mimeType")
    if "uri" not in found:
        return None
    size = entry.get("size")
    if isinstance(size, int | float) and not isinstance(size, bool):
        found["size"] = size
    return {**found, "name": found.get("name", found["uri"])}


def template(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a program gets for one template of a list; None: it has no template."""
    found = _texts(entry, "uriTemplate", "name", "title", "description", "mimeType")
    return {**found, "name": found.get("name", found["uriTemplate"])} if "uriTemplate" in found else None


def prompt(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a program gets for one prompt of a list; None: it has no name."""
    found = _texts(entry, "name", "title", "description")
    if "name" not in found:
        return None
    listed = entry.get("arguments")
    if isinstance(listed, list):
        arguments = [_argument(one) for one in listed if isinstance(one, dict) and isinstance(one.get("name"), str)]
        found |= {"arguments": arguments} if arguments else {}
    return found


def _argument(entry: Mapping[str, Any]) -> dict[str, Any]:
    found = _texts(entry, "name", "description")
    return {**found, "required": entry["required"]} if isinstance(entry.get("required"), bool) else found


def contents(entries: Iterable[object], asked: str) -> list[dict[str, Any]]:
    """What a program gets of a resource that was read: texts, and images, sounds and other bytes as base64.

    Args:
        entries: As the server sends them.
        asked: The URI that was read, for an entry that names none.
    """
    found = []
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        known = {"uri": asked, **_texts(entry, "uri", "mimeType")}
        if isinstance(text := entry.get("text"), str):
            found.append({"type": "text", **known, "text": text})
        elif isinstance(blob := entry.get("blob"), str):
            kind = known.get("mimeType", "").partition("/")[0]
            found.append({"type": kind if kind in ("image", "audio") else "blob", **known, "data": blob})
    return found


def message(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a program gets of one message of a prompt: as the protocol has it, resources as `contents` makes them."""
    content = {key: value for key, value in entry["content"].items() if key not in ("annotations", "_meta", "icons")}
    if content.get("type") == "resource" and isinstance(content.get("resource"), dict):
        inner = contents([content["resource"]], "")
        content = {"type": "resource", "resource": inner[0] if inner else {"type": "text", "uri": "", "text": ""}}
    return {"role": entry["role"], "content": content}


def _texts(entry: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: entry[name] for name in names if isinstance(entry.get(name), str) and (entry[name] or name == "uri")}


# what programs pass


def uri_of(arguments: Json) -> str:
    """The URI that a program wants to read. Raises ToolFailed."""
    uri = arguments.get("uri") if isinstance(arguments, dict) else arguments
    if not isinstance(uri, str) or not uri:
        raise errors.ToolFailed(
            "Cannot read a resource: pass its URI, or an object with the URI as its uri, such as a resource_link",
            name="TypeError",
        )
    return uri


def limit_of(arguments: Json) -> int | None:
    """How many entries a program wants to list; None: all of them. Raises ToolFailed."""
    limit = arguments.get("limit") if isinstance(arguments, dict) else arguments
    if limit is None:
        return None
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise errors.ToolFailed("Cannot list: limit must be a whole number of at least 1", name="TypeError")
    return limit


def prompt_wanted(arguments: Json) -> tuple[str, dict[str, str]]:
    """The name and arguments of the prompt that a program wants. Raises ToolFailed."""
    match arguments:
        case {"name": str(name), **rest}:
            given = rest.get("arguments") or {}
            if isinstance(given, dict):
                texts = {key: value for key, value in given.items() if isinstance(value, str)}
                if len(texts) == len(given):
                    return name, texts
    raise errors.ToolFailed(
        "Cannot get a prompt: pass {name, arguments}, where each argument is a text", name="TypeError"
    )


Entry = Callable[[Mapping[str, Any]], dict[str, Any] | None]
"""Makes a program's value of one entry of a list; None: the entry is of no use."""
