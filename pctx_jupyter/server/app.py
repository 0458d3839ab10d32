"""The Jupyter Server extension: configuration to settings, routes, start and stop of one engine."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, cast

from jupyter_server.extension.application import ExtensionApp

from ..engine import usual_places
from ..session.registry import Registry
from ..traits import Pctx
from .base import KERNELS, NAMES, RUNNING
from .changes import ChangesSocket
from .editing import Complete, Declarations, Diagnostics, Format, Hover, Signature
from .kernels import KernelManager, KernelTokens
from .mcp import DOOR, Mcp
from .naming import NotebookNames, SessionManager
from .pipes import KernelPipes
from .rest import Health, Status
from .running import RunningEngine
from .socket import AgentsSocket, LocalToolsSocket
from .state import (
    ClientConfigList,
    ExecutionList,
    ExecutionStop,
    ExecutionTrace,
    Kernel,
    KernelList,
    KernelSharing,
    QuestionAnswer,
    QuestionList,
)
from .upstreams import (
    OneUpstream,
    SignInCallback,
    UpstreamAllowed,
    UpstreamApprove,
    UpstreamList,
    UpstreamReconnect,
    UpstreamSignIn,
    UpstreamTrust,
)

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from ..agents.door import Door


class PctxApp(ExtensionApp):
    """pctx on a Jupyter server. Its limits and switches are those of `Pctx`: ``c.Pctx.timeout_s = 30``."""

    name = "pctx_jupyter"
    load_other_extensions = True
    classes: list[Any] = [Pctx]  # noqa: RUF012  # traitlets wants it on the class, the base types it per instance

    def initialize_settings(self) -> None:
        """Make what the handlers share; nothing is started yet."""
        server = self.serverapp
        assert server is not None  # Jupyter initializes an extension only when it is linked to one
        ours = logging.getLogger("pctx_jupyter")
        ours.parent = server.log  # as Jupyter does with Tornado's: one log, one level, one place to look
        # Its log takes everything; only what it writes to knows the level.
        ours.setLevel(cast("int | str", server.log_level))
        self._running = RunningEngine(Pctx(parent=self).settings(), usual_places(server.root_dir))
        self.settings[RUNNING] = self._running
        self.settings[DOOR] = self._mcp_door
        # Behind a gateway kernels run elsewhere: they inherit nothing from us and could not reach us.
        is_local = not server.gateway_config.gateway_enabled
        manager = cast("KernelManager", server.kernel_manager)
        tokens = KernelTokens(manager, lambda: server.connection_url) if is_local else None
        self.settings[KERNELS], self.settings[NAMES] = tokens, None
        self._pipes: KernelPipes | None = None
        if tokens is not None:
            sessions = cast("SessionManager", server.session_manager)
            names = self.settings[NAMES] = NotebookNames(sessions, self._registry, tokens.is_alive)
            self._pipes = KernelPipes(self._running, tokens, names)

    def initialize_handlers(self) -> None:
        """Add our routes below the server's base URL."""
        path = self._running.settings.mcp_path.strip("/")
        if path and path != "pctx/mcp":
            self.handlers.append((f"/{re.escape(path)}/?", Mcp))
        self.handlers.extend(
            [
                (r"/local-tools", LocalToolsSocket),
                (r"/pctx/local-tools", LocalToolsSocket),
                (r"/pctx/agents", AgentsSocket),
                (r"/pctx/mcp/?", Mcp),
                (r"/pctx/health", Health),
                (r"/pctx/api/status", Status),
                (r"/pctx/api/complete", Complete),
                (r"/pctx/api/hover", Hover),
                (r"/pctx/api/signature", Signature),
                (r"/pctx/api/diagnostics", Diagnostics),
                (r"/pctx/api/format", Format),
                (r"/pctx/api/declarations", Declarations),
                (r"/pctx/api/kernels", KernelList),
                (r"/pctx/api/kernels/(?P<kernel_id>[^/]+)", Kernel),
                (r"/pctx/api/kernels/(?P<kernel_id>[^/]+)/sharing", KernelSharing),
                (r"/pctx/api/executions", ExecutionList),
                (r"/pctx/api/executions/(?P<id>[^/]+)", ExecutionTrace),
                (r"/pctx/api/executions/(?P<id>[^/]+)/stop", ExecutionStop),
                (r"/pctx/api/client-config", ClientConfigList),
                (r"/pctx/api/upstreams", UpstreamList),
                (r"/pctx/api/upstreams/(?P<name>[^/]+)", OneUpstream),
                (r"/pctx/api/upstreams/(?P<name>[^/]+)/reconnect", UpstreamReconnect),
                (r"/pctx/api/upstreams/(?P<name>[^/]+)/approve", UpstreamApprove),
                (r"/pctx/api/upstreams/(?P<name>[^/]+)/trust", UpstreamTrust),
                (r"/pctx/api/upstreams/(?P<name>[^/]+)/allowed", UpstreamAllowed),
                (r"/pctx/api/upstreams/(?P<name>[^/]+)/sign-in", UpstreamSignIn),
                (r"/pctx/oauth/callback", SignInCallback),
                (r"/pctx/api/approvals", QuestionList),
                (r"/pctx/api/approvals/(?P<id>[^/]+)", QuestionAnswer),
                (r"/pctx/api/changes", ChangesSocket),
            ]
        )

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """Open the engine before somebody asks, so that the first program finds a warm sandbox."""
        if self._pipes is not None:
            await self._pipes.open()
        await self._running.get()

    async def _mcp_door(self) -> Door:
        return (await self._running.get()).mcp()

    def current_activity(self) -> int | None:
        """Programs that run now: a server with some is not idle."""
        engine = self._running.engine
        return len(engine.registry.executions()) or None if engine is not None else None

    def _registry(self) -> Registry | None:
        engine = self._running.engine
        return None if engine is None else engine.registry

    async def stop_extension(self) -> None:
        """Answer what is under way, then close the engine and every connection."""
        if self._pipes is not None:
            await self._pipes.close()
        await self._running.stop()
