"""Mends what servers get wrong: one malformed tool, or one missing field, shall not lose all the others.

The SDK reads a list of tools, or a result, as a whole or not at all. So messages are looked at before it does: JSON in,
JSON out, and a sentence for each thing that was left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCResponse, ListToolsResult

DEEPEST = 100
"""Levels of a schema; the SDK gives up soon after."""
HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
OF_EFFECTS = ("readOnlyHint", "destructiveHint")
"""The hints that say together whether a tool changes something."""
_DESTRUCTIVE = ("destructiveHint", True)
ENTRIES = ("resources", "resourceTemplates", "prompts", "contents")
"""Lists of other results. The SDK would refuse all of a list for one entry, so each entry is looked at alone."""
UNREAD = "pctx/entries"
"""Where such a list lies in a result's ``_meta``, as the server sent it."""
LISTED = "pctx/tools"
"""Where a mended list of tools lies in a result's ``_meta``: the SDK passes that on without validating each tool."""
HEADER = "x-mcp-header"
"""Marks a parameter that the SDK sends as a header; so it has to know the tool."""
TURN = 50
"""Tools mended in one turn of the event loop."""


def mend(result: dict[str, Any]) -> list[str]:
    """Mend a result in place; returns what was left out."""
    tools = result.get("tools")
    if isinstance(tools, list):
        problems: list[str] = []
        result["tools"] = [mended for tool in tools if (mended := _tool(tool, problems)) is not None]
        return problems
    if "structuredContent" in result and not isinstance(result.get("content"), list):
        result["content"] = []
    return []


async def mend_in_turns(result: dict[str, Any]) -> list[str]:
    """Mend a result in place, a long list of tools in several turns of the event loop; returns what was left out.

    The tools are put where `listed` finds them. The SDK would validate all of them in one turn, and that takes long for
    thousands.
    """
    tools = result.get("tools")
    if not isinstance(tools, list):
        _set_entries_aside(result)
        return mend(result)
    mended: list[dict[str, Any]] = []
    problems: list[str] = []
    has_headers = False
    for number, tool in enumerate(tools):
        if (one := _tool(tool, problems)) is not None:
            mended.append(one)
            has_headers = has_headers or _mentions(one["inputSchema"], HEADER)
        if number % TURN == TURN - 1:
            await asyncio.sleep(0)
    meta = result.get("_meta")
    others = {key: value for key, value in meta.items() if key != LISTED} if isinstance(meta, dict) else {}
    result["tools"] = mended if has_headers else []
    result["_meta"] = others if has_headers else {**others, LISTED: mended}
    return problems


def _set_entries_aside(result: dict[str, Any]) -> None:
    """Put the lists of a result where `entries` finds them, and empty ones in their places."""
    found = {name: result[name] for name in ENTRIES if isinstance(result.get(name), list)}
    if found and "content" not in result:
        meta = result.get("_meta")
        result |= {**{name: [] for name in found}, "_meta": {**(meta if isinstance(meta, dict) else {}), UNREAD: found}}


def entries(result: dict[str, Any], name: str) -> list[Any]:
    """One of the lists of a result, as the server sent it."""
    found = (result.get("_meta") or {}).get(UNREAD, {}).get(name, result.get(name))
    return found if isinstance(found, list) else []


def listed(page: ListToolsResult) -> list[dict[str, Any]]:
    """The tools of a page that `mend_in_turns` has mended."""
    found: list[dict[str, Any]] | None = (page.meta or {}).get(LISTED)
    if found is not None:
        return found
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in page.tools]


def _mentions(schema: object, word: str) -> bool:
    """Whether an object in a value has a key."""
    left = [schema]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if word in one:
                return True
            left += one.values()
        elif isinstance(one, list):
            left += one
    return False


def _tool(tool: Any, problems: list[str]) -> dict[str, Any] | None:
    """A tool with what is known of tools, each part of the right type; None when nothing can be made of it."""
    match tool:
        case {"name": str(name)} if name:
            pass
        case _:
            problems.append("a tool without a name was left out")
            return None
    schema = tool.get("inputSchema")
    if not isinstance(schema, dict | None) or not _describes_objects(schema or {}):
        problems.append(f"the tool {name[:80]!r} was left out: its inputSchema describes no object")
        return None
    if _is_deep(schema) or _is_deep(tool.get("outputSchema")):
        problems.append(f"the tool {name[:80]!r} was left out: its schemas nest deeper than {DEEPEST} levels")
        return None
    mended: dict[str, Any] = {"name": name, "inputSchema": {**(schema or {}), "type": "object"}}
    for key in ("title", "description"):
        if isinstance(tool.get(key), str):
            mended[key] = tool[key]
    if isinstance(tool.get("outputSchema"), dict):
        mended["outputSchema"] = tool["outputSchema"]
    if isinstance(hints := tool.get("annotations"), dict):
        known = {key: hints[key] for key in HINTS if isinstance(hints.get(key), bool)}
        if any(not isinstance(hints.get(key), bool | None) for key in OF_EFFECTS):
            # One of them cannot be read, and might have said that the tool does: the other alone shall not free it.
            known = {key: hint for key, hint in known.items() if key not in OF_EFFECTS or (key, hint) == _DESTRUCTIVE}
        if isinstance(hints.get("title"), str):
            known["title"] = hints["title"]
        mended["annotations"] = known
    return mended


def _describes_objects(schema: dict[str, Any]) -> bool:
    """Whether a schema is one of objects, or of objects and other kinds: arguments are an object then, too."""
    kinds = schema.get("type", "object")
    return kinds == "object" or (isinstance(kinds, list) and "object" in kinds)


def _is_deep(value: object) -> bool:
    """Whether a value nests deeper than the SDK can pass it on."""
    level = [value]
    for _ in range(DEEPEST):
        inner: list[object] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        level = [one for one in inner if isinstance(one, dict | list)]
        if not level:
            return False
    return True


class MendedStream:
    """The messages of a connection, mended; reports when there are no more.

    The SDK reports the end of a server in no other way.

    Args:
        inner: The messages as they come.
        on_problem: Called with a sentence for each thing that was left out.
        on_end: Called once there are no more.
    """

    def __init__(self, inner: Any, on_problem: Callable[[str], None], on_end: Callable[[], None]) -> None:
        self._inner, self._on_problem, self._on_end = inner, on_problem, on_end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __aiter__(self) -> AsyncIterator[SessionMessage | Exception]:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            item: SessionMessage | Exception = await self._inner.__anext__()
        except (StopAsyncIteration, anyio.ClosedResourceError):
            self._on_end()
            raise
        if isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCResponse):
            for problem in await mend_in_turns(item.message.result):
                self._on_problem(problem)
        return item

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._inner.aclose()
