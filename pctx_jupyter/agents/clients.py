"""MCP clients: what to paste where, so that one reaches a running server. Text to text.

Who prints it (the command, JupyterLab's panel) knows the server; which of its secrets may stand in there is decided
there, too.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server's MCP endpoint is, and what lets in.

    Args:
        name: What the client calls the server.
        server_url: The server's base URL, which ends with ``/``.
        token: What lets in; "": nothing is needed.
        is_local: Whether the client runs on the server's machine and reaches it at its own port. Then our command
            finds both, the token included, by that port alone; it cannot where a proxy stands between them.
    """

    name: str
    server_url: str
    token: str = field(repr=False)
    is_local: bool

    @property
    def url(self) -> str:
        """The endpoint's."""
        return f"{self.server_url}pctx/mcp"

    @property
    def headers(self) -> dict[str, str]:
        """What a client sends with each request."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def _claude_code(there: ServerAddress) -> str:
    words = ["claude", "mcp", "add", "--transport", "http", there.name, there.url]
    for name, value in there.headers.items():
        words += ["--header", f"{name}: {value}"]
    return shlex.join(words)


def _claude(there: ServerAddress) -> str:
    """Claude Desktop starts a program: ours, on its own machine, which passes everything on to the server.

    It finds a server on that machine, and its token, by itself at each start.
    """
    serve = ["mcp", "serve", "--stdio"]
    program: dict[str, object]
    if there.is_local:
        port = ["--port", str(urlsplit(there.server_url).port)]
        program = {"command": sys.executable, "args": ["-m", "pctx_jupyter", *serve, *port]}
    else:
        program = {"command": "jupyter", "args": ["pctx", *serve, "--url", there.server_url]}
        if there.token:
            program["env"] = {"JUPYTER_TOKEN": there.token}
    return _json({"mcpServers": {there.name: program}})


def _cursor(there: ServerAddress) -> str:
    return _json({"mcpServers": {there.name: {"url": there.url, "headers": there.headers}}})


def _vscode(there: ServerAddress) -> str:
    return _json({"servers": {there.name: {"type": "http", "url": there.url, "headers": there.headers}}})


def _jupyter_ai(there: ServerAddress) -> str:
    headers = [{"name": name, "value": value} for name, value in there.headers.items()]
    return _json({"mcp_servers": [{"type": "http", "name": there.name, "url": there.url, "headers": headers}]})


def _json(value: object) -> str:
    return json.dumps(value, indent=2)


@dataclass(frozen=True, slots=True)
class Client:
    """An MCP client: what it is called, where its configuration goes, and how that is written."""

    title: str
    place: str
    write: Callable[[ServerAddress], str]


CLIENTS = {
    "claude-code": Client("Claude Code", "run this in your project's folder", _claude_code),
    "claude": Client(
        "Claude Desktop",
        "add this to claude_desktop_config.json (Settings, Developer, Edit Config) and restart it",
        _claude,
    ),
    "cursor": Client("Cursor", "add this to .cursor/mcp.json in your project, or to ~/.cursor/mcp.json", _cursor),
    "vscode": Client("VS Code", "add this to .vscode/mcp.json in your project", _vscode),
    "jupyter-ai": Client("Jupyter AI", "add this to .jupyter/mcp_settings.json in your project", _jupyter_ai),
}
