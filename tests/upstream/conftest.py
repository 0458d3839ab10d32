"""Upstreams without an engine: real processes and connections, a catalog of our own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.session.upstreams import Upstream
from pctx_jupyter.session.watch import Change
from pctx_jupyter.settings import Places, Settings
from pctx_jupyter.tools.calls import Call, Form, FormReply, ask_nobody
from pctx_jupyter.tools.catalog import Catalog
from pctx_jupyter.upstream.all import OpenUpstreams, open_upstreams
from tests.fakes import read

PEER = str(Path(__file__).with_name("peer.py"))

PATIENCE_S = 30
"""Seconds after which something that starts processes counts as hanging, on a busy machine."""


REFRESH_S = 0.05
"""Seconds between two looks at the files; outside of tests it takes longer."""


def peer(manner: str = "good", file: Path | None = None, **more: Any) -> dict[str, Any]:
    """The entry of a server that is `peer.py`."""
    arguments = ["-I", PEER, manner, *([str(file)] if file is not None else [])]
    return {"name": manner, "command": sys.executable, "args": arguments, **more}


@dataclass
class World:
    """Upstreams, and what they do to a catalog.

    Attributes:
        told: How often what has changed.
        notes: What the last call noted.
    """

    upstreams: OpenUpstreams
    catalog: Catalog
    file: Path
    told: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def view(self, name: str) -> Upstream:
        return next(one for one in self.upstreams.listed().upstreams if one.name == name)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await asyncio.sleep(0.01)

    async def until_state(self, name: str, state: str = "ready") -> Upstream:
        def holds() -> bool:
            return any(one.name == name and one.state == state for one in self.upstreams.listed().upstreams)

        await self.until(holds)
        return self.view(name)

    async def call(
        self, path: str, arguments: Any = None, ask: Callable[[Form], Awaitable[FormReply]] = ask_nobody
    ) -> Any:
        """Call a tool, as a program does; `ask` is the person whom its server may ask something."""
        offer = self.catalog.find(path)
        given = None if arguments is None else rpc.raw(arguments)
        async with asyncio.timeout(PATIENCE_S):
            return read(await offer.serve(Call("x", offer.tool, given, note=self.notes.append, ask=ask)))

    async def raw(self, path: str, arguments: Raw | None) -> Raw:
        offer = self.catalog.find(path)
        return await offer.serve(Call("x", offer.tool, arguments))

    def write(self, *entries: dict[str, Any]) -> None:
        self.file.write_text(json.dumps({"name": "test", "servers": entries}))


OpenWorld = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def open_world(tmp_path: Path) -> OpenWorld:
    """Opens upstreams on a configuration; with ``settings``, others than the defaults.

    With `came_with_folder`, the file is one that may have come with a folder; the user's own is ``own.json`` then.
    """

    @asynccontextmanager
    async def open_(
        *entries: dict[str, Any], waits: bool = True, came_with_folder: bool = False, **settings: Any
    ) -> AsyncIterator[World]:
        file = tmp_path / "pctx.json"
        if entries:
            file.write_text(json.dumps({"name": "test", "servers": entries}))
        catalog, told = Catalog(limit=100_000), list[Change]()
        data = str(tmp_path / "data")
        places = Places(upstreams=(str(file),), data=data)
        if came_with_folder:
            places = Places(upstreams=(str(file), str(tmp_path / "own.json")), in_question=(str(file),), data=data)
        opening = open_upstreams(Settings(**settings), places, catalog, told.append, refresh_s=REFRESH_S)
        async with opening as upstreams:
            world = World(upstreams, catalog, file, told)
            await world.until(lambda: not waits or len(upstreams.listed().upstreams) >= len(entries))
            yield world

    return open_
