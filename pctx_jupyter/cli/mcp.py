"""``mcp``: the group's name, and ``mcp serve``: MCP over stdin and stdout, for clients that start their servers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from traitlets import Bool

from ..settings import usual_places
from .command import Command, Exit, Stop, say
from .servers import Server, ServerCommand, running

_HERE = "pctx_jupyter.cli"


class McpCommand(Command):
    """``jupyter pctx mcp``."""

    description = "Serve MCP clients over stdin and stdout; say which MCP servers programs may call."
    flags: dict[str, Any] = {}
    aliases: dict[str, Any] = {}
    subcommands = {
        "init": (f"{_HERE}.upstreams.Init", "Make an empty pctx.json, which names MCP servers for programs."),
        "add": (f"{_HERE}.upstreams.Add", "Add a server to it."),
        "list": (f"{_HERE}.upstreams.ListServers", "List its servers."),
        "remove": (f"{_HERE}.upstreams.Remove", "Take a server out of it."),
        "trust": (f"{_HERE}.upstreams.TrustServers", "Let servers start that the file in this folder names."),
        "ask": (
            f"{_HERE}.upstreams.AskAgainCommand",
            "Ask again before tools are called that were allowed without asking.",
        ),
        "approve": (f"{_HERE}.connecting.Approve", "Take a server's tools as they are now, after they have changed."),
        "test": (f"{_HERE}.connecting.Test", "Connect to its servers and list their tools."),
        "log": (f"{_HERE}.connecting.Log", "Print the last lines that a server wrote to stderr."),
        "sign-in": (f"{_HERE}.connecting.SignInTo", "Sign in to one of its servers."),
        "serve": (f"{_HERE}.mcp.ServeCommand", "Serve an MCP client over stdin and stdout."),
    }

    def main(self) -> int:
        """List the subcommands."""
        return self.show_commands()


class ServeCommand(ServerCommand):
    """``jupyter pctx mcp serve``."""

    description = """
        Serve an MCP client over stdin and stdout, until it hangs up.

        It passes on to the server that runs here, as --port or --url name it, or to an engine of its own where none
        runs or --embedded says so.
        """
    examples = "jupyter pctx mcp serve --stdio --port 8888"

    embedded = Bool(False, config=True, help="Use an engine of its own, whether a server runs or not.")
    stdio = Bool(True, config=True, help="Over stdin and stdout: the one way there is.")

    flags: dict[str, Any] = {
        **ServerCommand.flags,
        "embedded": ({"ServeCommand": {"embedded": True}}, "Use an engine of its own, whether a server runs or not."),
        "server": ({"ServeCommand": {"server": True}}, "Use the server that runs here, and no engine of its own."),
        "stdio": ({"ServeCommand": {"stdio": True}}, "Over stdin and stdout: the one way there is."),
    }
    server = Bool(False, config=True, help="Use the server that runs here, and no engine of its own.")

    def main(self) -> int:
        """ServeCommand."""
        if self.embedded and (self.server or self.port or self.url):
            raise Stop(Exit.USAGE, "Cannot serve: --embedded uses no server; leave it out, or --port and --url")
        there = self._server()
        if there is None:
            say("pctx: serving with an engine of its own")
            asyncio.run(self._serve())
        else:
            from ..agents.stdio import bridge_stdio

            say(f"pctx: passing on to {there.url}")
            asyncio.run(bridge_stdio(f"{there.url}pctx/mcp", there.token))
        return Exit.OK

    def _server(self) -> Server | None:
        if self.embedded or not (self.server or self.port or self.url or running()):
            return None
        return self.chosen()

    async def _serve(self) -> None:
        from ..agents.stdio import serve_stdio
        from ..engine import open_engine

        async with open_engine(self.settings(), usual_places(str(Path.cwd()))) as engine:
            await serve_stdio(engine.mcp())
