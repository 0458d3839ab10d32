"""The entry for agents: one set of functions, behind the SDK's MCP server or the original's plain requests.

The SDK is loaded with the first client that needs it: it costs most of a second and 30 MB.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

from .. import errors, threads
from ..session.registry import Registry
from ..settings import Settings
from .functions import Functions
from .plain import Plain

if TYPE_CHECKING:
    from .endpoint import AsgiEndpoint
    from .server import AgentServer

REQUEST_BYTES = 1 << 16
"""Bytes a request may have besides a program, whose text JSON may make six times as long."""


def request_bytes(settings: Settings) -> int:
    """Return the bytes that a request of an agent may have."""
    return 6 * settings.max_program_bytes + REQUEST_BYTES


class Door:
    """What all agents of one engine share.

    Args:
        registry: Has the session in which their programs run.
        settings: Sizes and waits.

    Attributes:
        plain: Answers clients that know no MCP.
    """

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self._registry = registry
        self._most_bytes = request_bytes(settings)
        self._functions = Functions(registry.agents(), settings)
        self.plain = Plain(self._functions)
        self._server: AgentServer | None = None
        self._endpoint: AsgiEndpoint | None = None
        self._lock = asyncio.Lock()
        self._is_closed = False

    @property
    def state_count(self) -> int:
        """How many states agents have between their programs."""
        return len(self._functions.states)

    async def server(self) -> AgentServer:
        """The MCP server, for any transport."""
        async with self._lock:
            return await self._load()

    async def endpoint(self) -> AsgiEndpoint:
        """The MCP server over HTTP.

        Raises:
            Cancelled: The engine stops.
        """
        async with self._lock:
            if self._endpoint is None:
                server = await self._load()
                from .endpoint import AsgiEndpoint, manager_of

                self._endpoint = AsgiEndpoint(manager_of(server.server, self._most_bytes), server.server.forget)
            return self._endpoint

    async def close(self) -> None:
        """Stop every program, and end every stream."""
        self._is_closed = True
        async with self._lock:
            await self.plain.close()
            if self._server is not None:
                await self._server.close()
            else:
                await self._functions.close()
            if self._endpoint is not None:
                await self._endpoint.close()

    async def _load(self) -> AgentServer:
        if self._is_closed:
            raise errors.Cancelled("Cannot serve: the engine is stopping")
        if self._server is None:
            # On a thread, so that other requests are served meanwhile.
            for module in ("server", "endpoint"):
                await threads.compute(import_module, f"{__package__}.{module}")
            from .server import AgentServer

            self._server = AgentServer(self._functions, self._registry.watchers)
        return self._server
