"""How pctx does, over plain HTTP: for people, health checks and the kernels of this server."""

from __future__ import annotations

from tornado import web

from .._version import __version__
from .base import PctxHandler


class Health(PctxHandler):
    """``GET pctx/health``: ``{status, version}``."""

    @web.authenticated
    async def get(self) -> None:
        self.finish({"status": "ok", "version": __version__})


class Status(PctxHandler):
    """``GET pctx/api/status``: sandboxes, sessions, trouble."""

    @web.authenticated
    async def get(self) -> None:
        engine = await self.open_engine()
        self.finish(engine.status())
