"""Serves the methods about upstreams: a request in, an answer out. `access` decides who may ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Raw

from .. import errors
from ..rpc import wire
from ..rpc.jsonrpc import Json
from . import access
from .upstreams import Upstreams

METHODS = frozenset(
    {
        wire.LIST_UPSTREAMS,
        wire.ADD_UPSTREAM,
        wire.REMOVE_UPSTREAM,
        wire.RECONNECT_UPSTREAM,
        wire.APPROVE_UPSTREAM,
        wire.TRUST_UPSTREAM,
        wire.ASK_AGAIN,
        wire.SIGN_IN_UPSTREAM,
        wire.REGISTER_MCP,
    }
)


async def serve_upstreams(
    upstreams: Upstreams | None, method: str, params: Raw | None, guard_code: Callable[[], Awaitable[None]]
) -> object:
    """Serve one of these methods.

    Args:
        upstreams: The servers of the engine; None: it is about to close.
        method, params: What is asked.
        guard_code: Asked before an entry is added that runs code; raises `errors.Forbidden` if the client may not.

    Raises:
        PctxError: What `Upstreams` and `guard_code` raise.
    """
    if upstreams is None:
        raise errors.InvalidParams(f"Cannot serve {method}: this engine has no MCP servers, and is about to close")
    match method:
        case wire.LIST_UPSTREAMS:
            return upstreams.listed()
        case wire.ADD_UPSTREAM:
            added = wire.read(params, wire.AddUpstream, method)
            if access.runs_code(added.server):
                await guard_code()
            return await upstreams.add(added.server, persist=added.persist)
        case wire.REGISTER_MCP:
            asked = wire.read(params, wire.RegisterMcp, method)
            entry: dict[str, Json] = {"name": asked.name, "url": asked.url}
            if asked.auth is not None:
                entry["auth"] = asked.auth
            if access.runs_code(entry):
                await guard_code()
            await upstreams.add(entry, persist=False)
            return wire.Success()
        case wire.SIGN_IN_UPSTREAM:
            signs = wire.read(params, wire.SignInUpstream, method)
            if signs.answer is not None:
                return await upstreams.finish_sign_in(signs.answer)
            return await upstreams.sign_in(signs.name, None)
        case wire.ASK_AGAIN:
            again = wire.read(params, wire.AskAgain, method)
            return upstreams.ask_again(again.name, again.tool)
    named = wire.read(params, wire.NamedUpstream, method)
    name = named.name
    match method:
        case wire.RECONNECT_UPSTREAM:
            return upstreams.reconnect(name)
        case wire.APPROVE_UPSTREAM:
            return upstreams.approve(name, named.seen)
        case wire.TRUST_UPSTREAM:
            return await upstreams.trust(name, named.seen)
    await upstreams.remove(name)
    return wire.Success()
