"""``client-config``: what to paste where, so that an MCP client reaches a running server.

The token stands in what is printed and nowhere else. A server that only knows a password cannot be reached by such
clients at all, and is said to be so.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from contextlib import suppress

from traitlets import Unicode

from ..agents.clients import CLIENTS, ServerAddress
from ..nearest import did_you_mean
from .command import Exit, Stop, say
from .servers import TOKEN, Server, ServerCommand


def endpoint(server: Server, name: str) -> ServerAddress:
    """The endpoint of a server; raises `Stop` when no MCP client can get in."""
    if server.has_password and not server.token:
        raise Stop(
            Exit.UNREACHABLE,
            f"Cannot configure a client: {server.url} lets in by a password only, and MCP clients cannot log in; "
            "start it with a token as well (--IdentityProvider.token=…)",
        )
    return ServerAddress(name, server.url, server.token, is_local=server.is_here)


def write_for_owner(text: str, token: str) -> None:
    """Write to standard output; if that is a file and the text holds the token, only its owner may read it."""
    if token and token in text:
        with suppress(OSError, ValueError, AttributeError):  # no file at all, or not ours
            file = sys.stdout.fileno()
            mode = os.fstat(file).st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                os.fchmod(file, stat.S_IMODE(mode) & 0o700)
                say("The file can be read by you alone now: it holds the server's token")
    sys.stdout.write(text)


class ClientConfigCommand(ServerCommand):
    """``jupyter pctx client-config``."""

    takes_words = True

    description = f"""
        Print what an MCP client needs to reach a running server: jupyter pctx client-config CLIENT

        CLIENT is one of {", ".join(CLIENTS)}. What is printed holds the server's token: keep it out of what you share.
        """
    examples = "jupyter pctx client-config cursor --port 8888 > .cursor/mcp.json"

    server_name = Unicode("pctx", config=True, help="The name that the client knows the server by.")

    aliases = {**ServerCommand.aliases, "name": "ClientConfigCommand.server_name"}

    def main(self) -> int:
        """Print it."""
        known = ", ".join(CLIENTS)
        if len(self.extra_args) != 1:
            raise Stop(Exit.USAGE, f"Cannot configure a client: which one? jupyter pctx client-config CLIENT: {known}")
        client = CLIENTS.get(self.extra_args[0])
        if client is None:
            hint = did_you_mean(self.extra_args[0], CLIENTS)
            raise Stop(Exit.USAGE, f"Cannot configure {self.extra_args[0]}: no such client{hint}; known are {known}")
        server = self.chosen()
        there = endpoint(server, self.server_name)
        if self.url and not server.token:
            say(f"No token is known for {server.url}; if it needs one, pass --token, or set {TOKEN}")
        if self.json:
            write_for_owner(
                json.dumps({"name": there.name, "url": there.url, "headers": there.headers}) + "\n", server.token
            )
            return Exit.OK
        say(f"{client.title}: {client.place}")
        write_for_owner(client.write(there) + "\n", server.token)
        return Exit.OK
