"""How pctx does, over plain HTTP: for people, health checks and the kernels of this server."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from tornado import web

from .._version import __version__
from ..session.meter import MeterTotal
from .base import PctxHandler


class ErrorBody(msgspec.Struct):
    """Every error."""

    message: str


class HealthReport(msgspec.Struct):
    """That pctx is there, and which version."""

    status: Literal["ok"]
    version: str


class EngineStatus(msgspec.Struct):
    """The state of the engine, for people: the fields of `sandbox`, `checker`, `upstreams` and `history` may change.

    `executions` counts those that run now; `agent_states`, the states that agents keep between their programs. `meter`
    has what all programs that have ended cost a model.
    """

    version: str
    sessions: int
    tools: int
    executions: int
    sandbox: dict[str, Any]
    checker: dict[str, Any]
    upstreams: dict[str, Any]
    meter: MeterTotal
    agent_states: int = 0
    history: dict[str, Any] = {}


class HealthHandler(PctxHandler):
    """``GET pctx/health``: ``{status, version}``."""

    @web.authenticated
    async def get(self) -> None:
        self.finish(msgspec.to_builtins(HealthReport("ok", __version__)))


class StatusHandler(PctxHandler):
    """``GET pctx/api/status``: sandboxes, sessions, trouble."""

    @web.authenticated
    async def get(self) -> None:
        engine = await self.open_engine()
        self.finish(msgspec.to_builtins(msgspec.convert(engine.status(), EngineStatus)))
