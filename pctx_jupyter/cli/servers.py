"""The Jupyter servers that run here, from the files they leave in Jupyter's runtime directory; and how to name one.

It reads those files itself: to import Jupyter Server for them would take half a second.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from jupyter_core.paths import jupyter_runtime_dir
from traitlets import Int, Unicode

from ..rpc.headers import unsendable
from .command import Command, Exit, Stop

TOKEN = "JUPYTER_TOKEN"
"""The environment variable that Jupyter Server itself takes its token from."""

ENDINGS = ("/pctx/mcp", "/mcp", "/pctx/local-tools", "/local-tools", "/lab", "/tree")
"""How addresses end that people copy: an MCP client's, a client's, a browser's. What is before is the base URL."""

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
"""Names of this machine."""

ANSWER_S = 5.0
"""Seconds a server may take to say how it does."""


@dataclass(frozen=True, slots=True)
class Server:
    """A Jupyter server.

    Args:
        url: Its base URL, ``http://localhost:8888/some/base/``.
        token: What lets in; empty: nothing is needed, or only a password helps.
        has_password: Whether people log in with a password.
        root: The folder it serves; empty: unknown.
        is_here: Whether it runs on this machine, for this user.
    """

    url: str
    token: str = field(default="", repr=False)
    has_password: bool = False
    root: str = ""
    is_here: bool = False

    @property
    def port(self) -> int:
        """The port of its address."""
        return _port(urlsplit(self.url))

    @property
    def headers(self) -> dict[str, str]:
        """What lets a client in."""
        return {"Authorization": f"token {self.token}"} if self.token else {}

    @property
    def socket(self) -> str:
        """Where programs of agents run: the URL of the WebSocket."""
        return f"{self.url.replace('http', 'ws', 1)}pctx/agents"


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """How a server does: the version of pctx there, or what is wrong and the way out."""

    version: str = ""
    trouble: str = ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuse redirects: our servers send none, and a token must not follow one."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


open_url = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect).open
"""Asks a server directly: no proxy, and no other address, gets the token."""


def health(server: Server) -> ServerHealth:
    """Request the health of a server's pctx."""
    request = urllib.request.Request(f"{server.url}pctx/health", headers=server.headers)
    try:
        with open_url(request, timeout=ANSWER_S) as answer:
            return ServerHealth(version=str(json.load(answer)["version"]))
    except urllib.error.HTTPError as error:
        return ServerHealth(trouble=refusal(error.code))
    except OSError as error:
        reason = getattr(error, "reason", error)
        return ServerHealth(trouble=f"it cannot be reached ({reason})")
    except (ValueError, KeyError, TypeError):
        return ServerHealth(trouble="what answers there is no pctx")


def hosts(server: Server) -> list[dict[str, Any]] | None:
    """Request the sandbox hosts of a server; None: its programs run on its own machine, or it does not say."""
    request = urllib.request.Request(f"{server.url}pctx/api/status", headers=server.headers)
    try:
        with open_url(request, timeout=ANSWER_S) as answer:
            found: list[dict[str, Any]] | None = json.load(answer)["sandbox"].get("hosts")
            return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def refusal(status: int) -> str:
    """Say what an HTTP status of a server's pctx means, and the way out."""
    match status:
        case 401 | 403:
            return f"it refused the token ({status}); pass --token, or set {TOKEN} (jupyter server list shows it)"
        case 404:
            return "it has no pctx (404); jupyter server extension enable pctx_jupyter, and restart it"
    return f"it answered with HTTP status {status}"


def running(folder: str | None = None) -> list[Server]:
    """The servers that run for this user, by port; those on a Unix socket are left out.

    Args:
        folder: Jupyter's runtime directory; None: the one of this environment.
    """
    found = [_read(file) for file in Path(folder or jupyter_runtime_dir()).glob("jpserver-*.json")]
    return sorted((server for server in found if server is not None), key=lambda server: server.port)


def _read(file: Path) -> Server | None:
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        if not said["url"].startswith("http") or said.get("sock") or not _is_alive(int(said["pid"])):
            return None
        return Server(
            _base(said["url"]),
            said.get("token") or "",
            bool(said.get("password")),
            said.get("root_dir", ""),
            is_here=True,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # it is being written, or was left by something else


def _is_alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # there, os.kill would end it; the request for its health shows whether it lives
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _base(url: str) -> str:
    return url if url.endswith("/") else f"{url}/"


def choose(servers: Iterable[Server], *, port: int = 0, url: str = "", token: str = "") -> Server:
    """The server that is meant: the one at a URL or port, or the only one that has pctx.

    Args:
        servers: Those that run here.
        port: 0: any.
        url: A base URL, of a server anywhere; empty: any.
        token: Its token; empty: what the URL's query, its file or the environment says, in this order.

    Raises:
        Stop: There is none, or more than one.
    """
    servers = list(servers)
    if url:
        return _at(url, token, servers)
    if port:
        servers = [server for server in servers if server.port == port]
    if token:
        servers = [replace(server, token=token) for server in servers]
    troubles = {server.url: health(server).trouble for server in servers}  # each takes long if one does not answer
    found = [server for server in servers if not troubles[server.url]]
    if len(found) == 1:
        return found[0]
    if found:
        listed = "".join(f"\n  --port {server.port}  {server.url}  {server.root}" for server in found)
        raise Stop(Exit.USAGE, f"Cannot choose a server: several run here; name one with --port or --url{listed}")
    where = f" at port {port}" if port else ""
    if servers:
        why = "".join(f"\n  {url}: {trouble}" for url, trouble in troubles.items())
        raise Stop(Exit.UNREACHABLE, f"Cannot reach a server with pctx{where}:{why}")
    raise Stop(
        Exit.UNREACHABLE,
        f"Cannot reach a server{where}: none runs here; start one with jupyter pctx start, or jupyter lab",
    )


def _at(url: str, token: str, servers: list[Server]) -> Server:
    wrong = Stop(Exit.USAGE, f"Cannot use {url[:200]}: a server's URL looks like http://localhost:8888/")
    try:
        parts = urlsplit(url)
        _port(parts)
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise wrong
    token = token or (parse_qs(parts.query).get("token") or [""])[0]
    for server in servers:
        if _is_part_of(parts, server):
            return replace(server, token=token or server.token)
    path = next((parts.path.removesuffix(end) for end in ENDINGS if parts.path.endswith(end)), parts.path)
    base = _base(parts._replace(path=path, query="", fragment="").geturl())
    return Server(base, token or os.environ.get(TOKEN, "").strip())


def _is_part_of(parts: SplitResult, server: Server) -> bool:
    """Whether an address is a server's base URL or below it; all names of this machine count as one."""
    known = urlsplit(server.url)
    hosts = {parts.hostname, known.hostname}
    is_here = len(hosts) == 1 or hosts <= LOOPBACK
    is_door = (parts.scheme, _port(parts)) == (known.scheme, server.port)
    return is_here and is_door and _base(parts.path).startswith(known.path)


def _port(parts: SplitResult) -> int:
    """The port of an address; raises ValueError if that is no number."""
    return parts.port or (443 if parts.scheme == "https" else 80)


class ServerCommand(Command):
    """A command that may speak to a running server."""

    port = Int(0, config=True, help="The port of a server that runs here; 0: the only one there is.")
    url = Unicode("", config=True, help="The base URL of a server, here or elsewhere.")
    token = Unicode("", config=True, help=f"Its token, where that is not known; {TOKEN} in the environment is safer.")

    aliases = {
        **Command.aliases,
        "port": "ServerCommand.port",
        "url": "ServerCommand.url",
        "token": "ServerCommand.token",
    }

    def chosen(self) -> Server:
        """The server that the options name; raises `Stop`."""
        token = _sendable(self.token.strip())
        server = choose(running(), port=self.port, url=self.url, token=token)
        _sendable(server.token)
        return server


def _sendable(token: str) -> str:
    """Refuse a token that no header can hold, without a character of it."""
    if (why := unsendable(token)) is not None:
        raise Stop(Exit.USAGE, f"Cannot use the token: it {why}; jupyter server list shows the right one")
    return token
