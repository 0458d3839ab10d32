"""The Jupyter Server extension: configuration to settings, routes, start and stop of one engine."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from jupyter_server.extension.application import ExtensionApp

from .. import memory
from ..engine import Engine
from ..errors import InvalidParams
from ..history.audit import AuditLog
from ..rpc.environment import expand_url
from ..session import access
from ..session.owners import Cause
from ..session.registry import Registry
from ..settings import usual_places
from ..traits import Pctx, read_settings
from . import metrics
from .base import KERNELS, NAMES, RUNNING, PctxHandler
from .changes import ChangesSocket
from .editing import (
    CompleteHandler,
    DeclarationsHandler,
    DiagnosticsHandler,
    FormatHandler,
    HoverHandler,
    SignatureHandler,
)
from .hosts import HostSocket, start_hosts
from .kernels import KernelManager, KernelTokens
from .mcp import DOOR, McpHandler
from .naming import NotebookNames, SessionManager
from .pipes import KernelPipes
from .rest import HealthHandler, StatusHandler
from .running import RunningEngine
from .saving import change_what_is_saved
from .sessions.routes import (
    ExecuteBash,
    FunctionLists,
    FunctionsDetails,
    ServersRegister,
    SessionClose,
    SessionCreate,
    ToolsRegister,
)
from .sessions.socket import CodeModeSocket
from .socket import AgentsSocket, LocalToolsSocket
from .state import (
    ArgumentsCheck,
    ClientConfigList,
    ExecutionList,
    ExecutionStop,
    ExecutionTrace,
    HandleList,
    Kernel,
    KernelList,
    KernelSharing,
    OneHandle,
    OnePermission,
    PastRunList,
    PermissionList,
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
    UpstreamTest,
    UpstreamTrust,
)

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp
    from traitlets.config import Config

    from ..agents.door import Door


log = logging.getLogger(__name__)


def colour_exports(config: Config) -> None:
    """Have nbconvert colour ``%%pctx`` cells as TypeScript when this server exports a notebook.

    A language that the configuration sets for them is kept.

    Args:
        config: The server's configuration, which its exports use.
    """
    languages = config.HighlightMagicsPreprocessor.get("languages", {})
    if isinstance(languages, dict):  # not a value that traitlets computes later
        config.HighlightMagicsPreprocessor.languages = {"%%pctx": "typescript", **languages}


HANDLERS: dict[str, type[PctxHandler]] = {
    "local-tools": LocalToolsSocket,
    "pctx/local-tools": LocalToolsSocket,
    "pctx/agents": AgentsSocket,
    "pctx/sandboxes": HostSocket,
    "mcp": McpHandler,
    "pctx/mcp": McpHandler,
    "pctx/health": HealthHandler,
    "pctx/api/status": StatusHandler,
    "pctx/api/complete": CompleteHandler,
    "pctx/api/hover": HoverHandler,
    "pctx/api/signature": SignatureHandler,
    "pctx/api/diagnostics": DiagnosticsHandler,
    "pctx/api/format": FormatHandler,
    "pctx/api/declarations": DeclarationsHandler,
    "pctx/api/kernels": KernelList,
    "pctx/api/kernels/{kernel_id}": Kernel,
    "pctx/api/kernels/{kernel_id}/sharing": KernelSharing,
    "pctx/api/kernels/{kernel_id}/handles": HandleList,
    "pctx/api/kernels/{kernel_id}/handles/{id}": OneHandle,
    "pctx/api/executions": ExecutionList,
    "pctx/api/executions/{id}": ExecutionTrace,
    "pctx/api/executions/{id}/stop": ExecutionStop,
    "pctx/api/history": PastRunList,
    "pctx/api/client-config": ClientConfigList,
    "pctx/api/upstreams": UpstreamList,
    "pctx/api/upstream-test": UpstreamTest,
    "pctx/api/upstreams/{name}": OneUpstream,
    "pctx/api/upstreams/{name}/reconnect": UpstreamReconnect,
    "pctx/api/upstreams/{name}/approve": UpstreamApprove,
    "pctx/api/upstreams/{name}/trust": UpstreamTrust,
    "pctx/api/upstreams/{name}/allowed": UpstreamAllowed,
    "pctx/api/upstreams/{name}/sign-in": UpstreamSignIn,
    "pctx/oauth/callback": SignInCallback,
    "pctx/code-mode/session/create": SessionCreate,
    "pctx/code-mode/session/close": SessionClose,
    "pctx/code-mode/functions/list": FunctionLists,
    "pctx/code-mode/functions/details": FunctionsDetails,
    "pctx/code-mode/execute-bash": ExecuteBash,
    "pctx/register/tools": ToolsRegister,
    "pctx/register/servers": ServersRegister,
    "pctx/ws": CodeModeSocket,
    "pctx/api/approvals": QuestionList,
    "pctx/api/approvals/{id}": QuestionAnswer,
    "pctx/api/approvals/{id}/check": ArgumentsCheck,
    "pctx/api/permissions": PermissionList,
    "pctx/api/permissions/{id}": OnePermission,
    "pctx/api/changes": ChangesSocket,
}
"""Who serves each path of `access.ROUTES`."""


def rules(mcp_path: str) -> list[tuple[str, type[PctxHandler], dict[str, str]]]:
    """Make Tornado's rules of the table in `access`: what has no row there is not served.

    Args:
        mcp_path: Where MCP clients find us besides ``pctx/mcp``, without slashes around it; empty: nowhere else.
    """
    made = []
    for path in access.PATHS:
        handler = HANDLERS[path]
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
        if path == "mcp":
            if mcp_path in ("", "pctx/mcp"):
                continue
            pattern = re.escape(mcp_path)
        if handler is McpHandler:
            pattern += "/?"  # as clients write it
        if handler is CodeModeSocket:
            pattern = pattern.replace("/ws", "//?ws")  # clients put a slash behind the address that they are given
        made.append((f"/{pattern}", handler, {"path": path}))
    return made


def _is_loopback(url: str) -> bool:
    """Whether an address leads to the machine of the client that opens it."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_quotations(record: logging.LogRecord) -> bool:
    """Take out of Tornado's lines about malformed requests what they quote: the header may be one with a token."""
    if str(record.msg).startswith("Malformed HTTP message") and isinstance(record.args, tuple):
        record.args = tuple(re.sub(r"(['\"]).*\1", "…", str(one), flags=re.DOTALL) for one in record.args)
    return True


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
        logging.getLogger("tornado.general").addFilter(without_quotations)
        colour_exports(server.config)
        try:
            settings = read_settings(self)
        except InvalidParams as error:
            # Jupyter would log the traceback of an error, and go on without this extension as well.
            log.critical("server = runs without pctx: %s", error)
            return
        self._running = RunningEngine(settings, usual_places(server.root_dir), self._observe)
        self.settings[RUNNING] = self._running
        self.settings[DOOR] = self._mcp_door
        change_what_is_saved(server.contents_manager, with_notices=self._running.settings.save_notices)
        is_remote = server.gateway_config.gateway_enabled
        manager = cast("KernelManager", server.kernel_manager)
        tokens = KernelTokens(manager, self._kernel_url, self._note_kernel, is_remote=is_remote)
        sessions = cast("SessionManager", server.session_manager)
        names = NotebookNames(sessions, self._registry, tokens.is_alive)
        self.settings[KERNELS], self.settings[NAMES] = tokens, names
        # Kernels of a gateway run on another machine, which has other Unix sockets.
        self._pipes = None if is_remote else KernelPipes(self._running, tokens, names)

    @property
    def _is_off(self) -> bool:
        """Whether its configuration could not be used: nothing was made then."""
        return RUNNING not in self.settings

    def initialize_handlers(self) -> None:
        """Add our routes below the server's base URL: those that have a row in the table of who may what."""
        if self._is_off:
            return
        self.handlers.extend(rules(self._running.settings.mcp_path.strip("/")))

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """Open the engine before the first request, so that the first program finds a warm sandbox."""
        if self._is_off:
            return
        if (shortage := memory.shortage(self._running.settings, memory.cgroup_limit())) is not None:
            log.warning("sandboxes = do not fit: %s; %s", *shortage)
        if self._pipes is not None:
            await self._pipes.open()
        await self._running.get()

    def _kernel_url(self) -> str:
        """Return the address at which kernels find this server; empty: they cannot reach it."""
        server = self.serverapp
        assert server is not None
        template = self._running.settings.kernel_url
        if template:
            return expand_url(template, server.port, server.base_url)
        url: str = server.connection_url
        gateway = server.gateway_config.url or url
        if _is_loopback(url) and not _is_loopback(gateway):
            # On the gateway's host it would name another program, and a token must not go there.
            log.warning(
                "kernels = those of the gateway cannot reach this server at %s: programs run in the kernels; "
                "c.Pctx.kernel_url sets an address that they can reach",
                url,
            )
            return ""
        return url

    def _observe(self, engine: Engine) -> Callable[[], None]:
        """Let the server's metrics and its audit log record what the engine does."""
        server = self.serverapp
        assert server is not None
        stops = [metrics.expose(engine)]
        start_hosts(engine, engine.settings.host_url or server.connection_url)
        if engine.settings.audit != "off" and (events := server.event_logger) is not None:
            audit_log = AuditLog(events, has_payloads=engine.settings.audit == "payloads")
            stops += [engine.registry.observers.add(audit_log), audit_log.flush]
            if not (events.handlers or engine.settings.audit_file):
                log.warning("audit = events are not written: set c.EventLogger.handlers or c.Pctx.audit_file")

        def stop() -> None:
            for one in stops:
                one()

        return stop

    async def _mcp_door(self) -> Door:
        return (await self._running.get()).mcp()

    def current_activity(self) -> int | None:
        """Programs that run now: a server with some is not idle."""
        if self._is_off:
            return None
        engine = self._running.engine
        return len(engine.registry.executions()) or None if engine is not None else None

    def _registry(self) -> Registry | None:
        engine = self._running.engine
        return None if engine is None else engine.registry

    def _note_kernel(self, kernel_id: str, cause: Cause) -> None:
        if (registry := self._registry()) is not None:
            registry.note_kernel(kernel_id, cause)

    async def stop_extension(self) -> None:
        """Answer what is under way, then close the engine and every connection."""
        if self._is_off:
            return
        if self._pipes is not None:
            await self._pipes.close()
        await self._running.stop()
