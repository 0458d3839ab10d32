"""``client-config``: what to paste where, so that an MCP client reaches a running server.

The token stands in what is printed and nowhere else. A server that only knows a password cannot be reached by such
clients at all, and is said to be so.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from traitlets import Unicode

from .command import Exit, Stop, say
from .servers import Server, ServerCommand


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server's MCP endpoint is, and what lets in."""

    name: str
    url: str
    headers: dict[str, str]


def endpoint(server: Server, name: str) -> Endpoint:
    """The endpoint of a server; raises `Stop` when no MCP client can get in."""
    if server.has_password and not server.token:
        raise Stop(
            Exit.UNREACHABLE,
            f"Cannot configure a client: {server.url} lets in by a password only, and MCP clients cannot log in; "
            "start it with a token as well (--IdentityProvider.token=…)",
        )
    headers = {"Authorization": f"Bearer {server.token}"} if server.token else {}
    return Endpoint(name, f"{server.url}pctx/mcp", headers)


def _claude_code(there: Endpoint) -> str:
    words = ["claude", "mcp", "add", "--transport", "http", there.name, there.url]
    for name, value in there.headers.items():
        words += ["--header", f"{name}: {value}"]
    return shlex.join(words)


def _claude(there: Endpoint) -> str:
    """Claude Desktop starts a program: ours, which finds the server and its token by itself at each start."""
    port = urlsplit(there.url).port
    arguments = ["-m", "pctx_jupyter", "mcp", "serve", "--stdio", *(["--port", str(port)] if port else ["--server"])]
    return _json({"mcpServers": {there.name: {"command": sys.executable, "args": arguments}}})


def _cursor(there: Endpoint) -> str:
    return _json({"mcpServers": {there.name: {"url": there.url, "headers": there.headers}}})


def _vscode(there: Endpoint) -> str:
    return _json({"servers": {there.name: {"type": "http", "url": there.url, "headers": there.headers}}})


def _jupyter_ai(there: Endpoint) -> str:
    headers = [{"name": name, "value": value} for name, value in there.headers.items()]
    return _json({"mcp_servers": [{"type": "http", "name": there.name, "url": there.url, "headers": headers}]})


def _json(value: object) -> str:
    return json.dumps(value, indent=2)


@dataclass(frozen=True, slots=True)
class Client:
    """An MCP client: what it is called, where its configuration goes, and how that is written."""

    title: str
    place: str
    write: Callable[[Endpoint], str]


CLIENTS = {
    "claude-code": Client("Claude Code", "run this in your project's folder", _claude_code),
    "claude": Client(
        "Claude Desktop",
        "add this to claude_desktop_config.json (Settings, Developer, Edit Config) and start it anew",
        _claude,
    ),
    "cursor": Client("Cursor", "add this to .cursor/mcp.json in your project, or to ~/.cursor/mcp.json", _cursor),
    "vscode": Client("VS Code", "add this to .vscode/mcp.json in your project", _vscode),
    "jupyter-ai": Client("Jupyter AI", "add this to .jupyter/mcp_settings.json in your project", _jupyter_ai),
}


class ClientConfig(ServerCommand):
    """``jupyter pctx client-config``."""

    description = f"""
        Print what an MCP client needs to reach a running server: jupyter pctx client-config CLIENT

        CLIENT is one of {", ".join(CLIENTS)}. What is printed holds the server's token: keep it out of what you share.
        """
    examples = "jupyter pctx client-config cursor --port 8888 > .cursor/mcp.json"

    server_name = Unicode("pctx", config=True, help="The name that the client knows the server by.")

    aliases = {**ServerCommand.aliases, "name": "ClientConfig.server_name"}

    def main(self) -> int:
        """Print it."""
        known = ", ".join(CLIENTS)
        if len(self.extra_args) != 1:
            raise Stop(Exit.USAGE, f"Cannot configure a client: which one? jupyter pctx client-config CLIENT: {known}")
        client = CLIENTS.get(self.extra_args[0])
        if client is None:
            raise Stop(Exit.USAGE, f"Cannot configure {self.extra_args[0]}: the known clients are {known}")
        there = endpoint(self.chosen(), self.server_name)
        if self.json:
            sys.stdout.write(json.dumps({"name": there.name, "url": there.url, "headers": there.headers}) + "\n")
            return Exit.OK
        say(f"{client.title}: {client.place}")
        sys.stdout.write(client.write(there) + "\n")
        return Exit.OK
