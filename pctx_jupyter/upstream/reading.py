"""Reads the lists of resources and prompts of one MCP server, page by page, within limits.

An entry that makes no sense is left out, and the others are kept. What is done with the lists is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from mcp import Client
from mcp_types import (
    ListPromptsRequest,
    ListResourcesRequest,
    ListResourceTemplatesRequest,
    PaginatedRequestParams,
)
from pydantic import TypeAdapter

from . import features, mending

MOST_PAGES = 1000
"""Pages of one list; a server that sends more of them most likely never ends."""
TURN = 200
"""Entries read in one turn of the event loop, which all share."""

ANY_RESULT: Any = TypeAdapter(dict[str, Any])
"""A result as the server sent it."""

ListRequest = type[ListResourcesRequest] | type[ListResourceTemplatesRequest] | type[ListPromptsRequest]


@dataclass(frozen=True, slots=True)
class ListKind:
    """One of the lists.

    Args:
        name: What its entries are called, in words and in a result.
        request: Asks for a page.
        read: Makes a program's value of an entry; None: the entry is left out.
    """

    name: str
    request: ListRequest
    read: Callable[[Mapping[str, Any]], dict[str, Any] | None]


RESOURCES = ListKind("resources", ListResourcesRequest, features.resource)
TEMPLATES = ListKind("resourceTemplates", ListResourceTemplatesRequest, features.template)
PROMPTS = ListKind("prompts", ListPromptsRequest, features.prompt)


class TooMany(Exception):
    """A list has more entries, or more bytes, than are read; the message says which limit."""


async def read_list(client: Client, kind: ListKind, limit: int | None, most_bytes: int) -> list[dict[str, Any]]:
    """Read one list.

    Args:
        client: The connection.
        kind: The list.
        limit: Entries to read at most; None: all of them.
        most_bytes: Bytes that they may have in all.

    Raises:
        TooMany: There are more than may be read, and no limit was given.
        MCPError: The server refuses.
    """
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    seen: set[str] = set()
    size = 0
    most = features.MOST_ENTRIES if limit is None else limit
    for _ in range(MOST_PAGES):
        request = kind.request(params=PaginatedRequestParams(cursor=cursor))
        page: dict[str, Any] = await client.session.send_request(request, ANY_RESULT)
        for number, entry in enumerate(mending.entries(page, kind.name)):
            if number % TURN == TURN - 1:
                await asyncio.sleep(0)
            if not isinstance(entry, dict) or (value := kind.read(entry)) is None:
                continue
            if len(found) >= most:
                if limit is None:
                    raise TooMany(f"there are more than {most:,}")
                return found
            size += len(msgspec.json.encode(value))
            if size > most_bytes:
                raise TooMany(f"they have more than {most_bytes:,} bytes (Pctx.max_message_bytes)")
            found.append(value)
        following = page.get("nextCursor")
        if not isinstance(following, str) or not following or following in seen:
            return found
        seen.add(following)
        cursor = following
    return found
