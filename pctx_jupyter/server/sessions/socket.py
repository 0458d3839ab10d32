"""The WebSocket of the session API: a client opens one for each program that it runs."""

from __future__ import annotations

from ... import errors
from ...rpc.channel import Channel
from ...session.code_mode.door import CodeModeDoor
from ...session.code_mode.sessions import CodeModeSession
from ..socket import LocalToolsSocket
from .routes import CodeModeHandler

PING_S = 20.0
"""Seconds between pings, where `Pctx.ping_s` is less. Tools of these clients may keep their loop busy for seconds."""


class CodeModeSocket(CodeModeHandler, LocalToolsSocket):
    """``pctx/ws``: programs of the session that the header names."""

    _session: CodeModeSession

    @property
    def ping_s(self) -> float:
        """Seconds between pings."""
        return max(self._engine.settings.ping_s, PING_S)

    async def admit_client(self) -> bool:
        """Refuse a client of no session."""
        try:
            self._session = await self.session()
        except errors.PctxError as error:
            self.refuse(error)
            return False
        return True

    def open_channel(self) -> Channel:
        """Open one more connection of the session."""
        try:
            door = CodeModeDoor(self._session, self._engine.settings, self._send, self._guard, self.room)
        except errors.Busy as error:
            self.close(1013, error.message[:120])
            raise
        return door.channel
