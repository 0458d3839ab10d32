"""Adds MCP servers to a session of the session API, and waits until each of them can be called, or cannot."""

from __future__ import annotations

import asyncio

from ... import errors
from ...rpc.jsonrpc import Json
from ..upstreams import Upstreams, state_in_words
from . import messages

MOST_SERVERS = 50
"""MCP servers that one session may have."""


def demand_room(upstreams: Upstreams, entries: list[Json]) -> None:
    """Refuse servers beyond those that one session may have.

    Raises:
        InvalidParams: They are too many.
    """
    there = len(upstreams.listed().upstreams)
    if there + len(entries) > MOST_SERVERS:
        raise errors.InvalidParams(
            f"Cannot register servers: this session has {there}, and may have {MOST_SERVERS}; register fewer"
        )


async def connect(upstreams: Upstreams, entries: list[Json]) -> messages.ServersRegistered:
    """Add servers, all at the same time, and wait until each has been tried.

    One that cannot be reached is named in `failed`, and does not keep the others from being used. It is tried again in
    the background, and when a program names it.
    """
    outcomes = await asyncio.gather(*(_connect_one(upstreams, entry) for entry in entries))
    failed = {name: why for name, why in outcomes if why is not None}
    return messages.ServersRegistered(sum(why is None for _, why in outcomes), list(failed), failed)


async def _connect_one(upstreams: Upstreams, entry: Json) -> tuple[str, str | None]:
    """Add one server; returns its name, and why it cannot be called: None if it can."""
    name = str(entry.get("name") or "")[:100] if isinstance(entry, dict) else ""
    try:
        added = await upstreams.add(entry, persist=False)
        await upstreams.settle(added.namespace)
        server = next((one for one in upstreams.listed().upstreams if one.name == added.name), added)
    except errors.PctxError as error:
        return name, error.message
    return name, None if server.state == "ready" else state_in_words(server)
