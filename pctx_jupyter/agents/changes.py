"""Notifies the clients of an MCP server when its list of tools changes, in both eras of the protocol."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from itertools import islice
from typing import Any

import mcp.types as t
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged

log = logging.getLogger(__name__)

MOST_LISTENERS = 1_000
"""Sessions of the older era that are notified, at most. Clients do not report when a session ends."""
NOTIFY_S = 5.0
"""Seconds that the notification of one of these sessions may take."""
AT_ONCE = 20
"""Sessions that are notified in one turn of the loop: 2 ms."""

Context = ServerRequestContext[Any, Any]


class AnnouncingServer(Server[Any]):
    """An MCP server that notifies its clients of changes. Its arguments are the SDK's."""

    def __init__(self, name: str, **options: Any) -> None:
        self._bus = InMemorySubscriptionBus()
        self._listen = ListenHandler(self._bus)
        self._sessions: OrderedDict[str, ServerSession] = OrderedDict()
        super().__init__(name, on_subscriptions_listen=self._listen, **options)
        self.add_notification_handler("notifications/initialized", t.NotificationParams, self._remember)

    def create_initialization_options(
        self, notification_options: NotificationOptions | None = None, *args: Any, **kwargs: Any
    ) -> InitializationOptions:
        """Declare to clients of the older era that the list may change. Those of the newer era subscribe to changes."""
        options = notification_options or NotificationOptions(tools_changed=True)
        return super().create_initialization_options(options, *args, **kwargs)

    async def notify_tools_changed(self) -> None:
        """Notify every client that the list of tools has changed. One that does not read delays no other."""
        await self._bus.publish(ToolsListChanged())
        sessions = iter(list(self._sessions.items()))
        notifying: set[asyncio.Task[None]] = set()
        while some := list(islice(sessions, AT_ONCE)):
            notifying |= {asyncio.create_task(self._notify(id, session)) for id, session in some}
            await asyncio.sleep(0)
        await asyncio.gather(*notifying)

    async def _notify(self, id: str, session: ServerSession) -> None:
        try:
            async with asyncio.timeout(NOTIFY_S):
                await session.send_tool_list_changed()
        except Exception as error:
            log.debug("mcp = a session is gone: %s", type(error).__name__)
            self.forget(id)

    def forget(self, session_id: str) -> None:
        """Stop notifying a session of the older era: it has ended."""
        self._sessions.pop(session_id, None)

    def close(self) -> None:
        """End the streams on which clients of the newer era listen."""
        self._listen.close()

    async def _remember(self, context: Context, params: t.NotificationParams | None) -> None:
        request = context.request
        self._sessions[request.headers.get("mcp-session-id", "") if request is not None else ""] = context.session
        while len(self._sessions) > MOST_LISTENERS:
            self._sessions.popitem(last=False)
