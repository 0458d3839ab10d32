"""What editors ask, over plain HTTP: completion, help, diagnostics and declarations for a kernel's session.

A body names the cell, and whose it is: ``{"source", "offset", "inputs"?, "kernel_id"?, "session_id"?}``.
``openapi.yaml`` says the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from tornado import web

from .. import errors
from ..rpc import wire
from ..session import assist
from ..session.session import Session
from .base import RUNNING, PctxHandler

ESCAPED = 6
"""Bytes that JSON may take for one byte of text."""

OVERHEAD_BYTES = 1 << 16
"""Bytes of a body beyond its source."""


EXPECTED = (errors.SessionNotFound, errors.Busy, errors.SandboxUnavailable)
"""What keeps an editor from help for a while: the kernel has not loaded pctx, or the type checker is not ready."""


class AskedOfCell(wire.Written, omit_defaults=True):
    """Body of ``diagnostics``."""

    kernel_id: str | None = None
    session_id: str | None = None


class AskedOfText(msgspec.Struct):
    """Body of ``format``."""

    source: str


class AskedOfPlace(wire.Position, omit_defaults=True):
    """Body of ``complete``, ``hover`` and ``signature``."""

    kernel_id: str | None = None
    session_id: str | None = None


class NoHelp(msgspec.Struct):
    """The answer to a quiet request that cannot be answered now, and may be sent again later."""

    refused: int
    message: str


Asked = TypeVar("Asked", AskedOfCell, AskedOfPlace)
CellBody = TypeVar("CellBody", AskedOfCell, AskedOfPlace, AskedOfText)


class _EditorHandler(PctxHandler):
    """A question about one session."""

    async def find(self, kernel_id: str | None, session_id: str | None) -> Session:
        """The session that is meant. One who comes with a kernel's own token has that kernel's sessions only.

        Raises:
            InvalidParams: None, or two, are named.
            SessionNotFound: There is no such session.
        """
        if kernel_id and session_id:
            raise errors.InvalidParams("Cannot tell whose cell it is: give kernel_id or session_id, not both")
        if not session_id and not (kernel_id := kernel_id or self.kernel_id):
            raise errors.InvalidParams("Cannot tell whose cell it is: kernel_id, or session_id, is missing")
        registry = (await self.open_engine()).registry
        session = registry.of_kernel(kernel_id) if kernel_id else registry.get(session_id or "")
        if session is None or self.kernel_id not in (None, session.kernel_id):
            if session_id:
                raise errors.SessionNotFound("Cannot help with this cell: its session is over, or was never open")
            raise errors.SessionNotFound(
                "Cannot help with this cell: its kernel is not connected to pctx on this server; run "
                "%load_ext pctx_jupyter in it"
            )
        return session

    async def answer(self, work: Awaitable[object]) -> None:
        """Finish with what comes of the work, as JSON, or with its error.

        An editor sends requests as its user types, and a kernel that has not loaded pctx is no error to it. Its page
        and this server log each status from 400 on. So a request with ``?quiet=1`` gets such a refusal as an answer.
        """
        try:
            found = await work
        except errors.PctxError as error:
            if not self.get_query_argument("quiet", "") or not isinstance(error, EXPECTED):
                self.refuse(error)
                return
            found = NoHelp(int(error.status), error.message)
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(found))

    async def ask(self, kind: type[Asked], help: Callable[[Session, Asked], Awaitable[object]]) -> None:
        """Finish with what the body asks for."""
        await self.answer(self._ask(kind, help))

    async def _ask(self, kind: type[Asked], help: Callable[[Session, Asked], Awaitable[object]]) -> object:
        asked = self.read_text(kind)
        return await help(await self.find(asked.kernel_id, asked.session_id), asked)

    @property
    def most_body_bytes(self) -> int:
        """The bytes of a body that is read, so that a cell that is too large is refused as one."""
        return max(super().most_body_bytes, self._most_cell_bytes)

    @property
    def _most_cell_bytes(self) -> int:
        limit: int = ESCAPED * self.settings[RUNNING].settings.max_program_bytes + OVERHEAD_BYTES
        return limit

    def read_text(self, kind: type[CellBody]) -> CellBody:
        """The body, unless it is too large or something else: then `errors.InvalidParams`."""
        if (size := len(self.content)) > self._most_cell_bytes:
            raise errors.InvalidParams(
                f"Cannot look at this cell: {size:,} bytes are too many (Pctx.max_program_bytes)"
            )
        return wire.read(msgspec.Raw(self.content), kind, self.request.path.rsplit("/", 1)[-1])


class CompleteHandler(_EditorHandler):
    """``POST pctx/api/complete``."""

    @web.authenticated
    async def post(self) -> None:
        await self.ask(AskedOfPlace, assist.complete)


class HoverHandler(_EditorHandler):
    """``POST pctx/api/hover``."""

    @web.authenticated
    async def post(self) -> None:
        await self.ask(AskedOfPlace, assist.hover)


class SignatureHandler(_EditorHandler):
    """``POST pctx/api/signature``."""

    @web.authenticated
    async def post(self) -> None:
        await self.ask(AskedOfPlace, assist.signature)


class DiagnosticsHandler(_EditorHandler):
    """``POST pctx/api/diagnostics``."""

    @web.authenticated
    async def post(self) -> None:
        await self.ask(AskedOfCell, assist.diagnostics)


class FormatHandler(_EditorHandler):
    """``POST pctx/api/format``: about a text alone, so whose it is does not matter."""

    @web.authenticated
    async def post(self) -> None:
        await self.answer(self._format())

    async def _format(self) -> object:
        engine = await self.open_engine()
        asked = self.read_text(AskedOfText)
        return await assist.format(engine.format, asked.source, engine.settings.max_program_bytes)


class DeclarationsHandler(_EditorHandler):
    """``GET pctx/api/declarations?kernel_id=…``."""

    @web.authenticated
    async def get(self) -> None:
        await self.answer(self._declare())

    async def _declare(self) -> object:
        kernel_id, session_id = self.get_query_argument("kernel_id", ""), self.get_query_argument("session_id", "")
        return await assist.declarations(await self.find(kernel_id, session_id))
