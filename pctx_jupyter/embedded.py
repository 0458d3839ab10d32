"""A client with an engine of its own, in one process and loop: for programs that have no server, and want none.

::

    from pctx_jupyter.embedded import open_client

    async with open_client() as client:
        await client.register_tool("Math", "double", lambda args: 2 * args["n"])
        result = await client.execute_code("await Math.double({ n: 21 })")
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Container
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

from .client import PctxClient
from .client.raw import RawClient
from .opening import open_at_once
from .rpc.channel import Channel, OnNotification, Serve
from .settings import Places, Settings
from .traits import demand_valid, restrict

if TYPE_CHECKING:
    from .session.approvals import Approvals
    from .session.upstreams import Upstreams
    from .session.watch import Watchers


@asynccontextmanager
async def open_client(settings: Settings | None = None, *, places: Places | None = None) -> AsyncIterator[PctxClient]:
    """Open an engine and a client of it; both are closed on the way out.

    Args:
        settings: Limits and switches of the engine; None: the defaults. What an administrator demands counts as well.
        places: Where its files are, such as those that name MCP servers (`settings.usual_places`); None: it has none.

    Raises:
        InvalidParams: A setting has a wrong value.
    """
    settings = settings or Settings()
    demand_valid(settings)
    async with open_raw_client(restrict(settings), places=places) as client:
        yield client


@asynccontextmanager
async def open_raw_client(
    settings: Settings | None = None,
    *,
    places: Places | None = None,
    as_agent: bool = False,
    when_settled: bool = False,
    on_wait: Callable[[str], None] | None = None,
    asked: Callable[[Approvals, Watchers], AbstractAsyncContextManager[None]] | None = None,
) -> AsyncIterator[RawClient]:
    """Open an engine and a client of it that takes raw JSON; both are closed on the way out. Not public.

    Args:
        settings: Limits and switches of the engine; None: the defaults.
        places: Where its files are; None: it has none.
        as_agent: Whether its programs run as agents' do; then it offers no tools of its own.
        when_settled: Whether to wait until each MCP server was tried; a program waits for those it names in any case.
        on_wait: Called with a line for people for each server that takes a while.
        asked: Opened for as long as the client is. It asks a person about calls that need consent. None: none.
    """
    async with open_at_once(settings or Settings(), places) as engine:
        if when_settled and engine.upstreams is not None:
            await settle(engine.upstreams, on_wait)

        async def connect(serve: Serve, on_notification: OnNotification) -> Channel:
            return engine.connect(serve=serve, on_notification=on_notification, as_agent=as_agent)

        registry = engine.registry
        asking = asked(registry.approvals, registry.watchers) if asked is not None else nullcontext()
        async with asking, RawClient(connect=connect, reconnect=False) as client:
            yield client


async def settle(
    upstreams: Upstreams, on_wait: Callable[[str], None] | None = None, names: Container[str] | None = None
) -> None:
    """Wait until MCP servers were tried, each for as long as it may take to connect.

    Args:
        on_wait: Called with a line for people for each server that takes a while.
        names: The servers; None: all.
    """
    await upstreams.settle("")  # until the files are read
    waited_for = [one for one in upstreams.listed().upstreams if names is None or one.name in names]
    await upstreams.settle(" ".join(one.namespace for one in waited_for), on_wait)
