"""``sandbox-host`` and ``sandbox-token``: sandboxes of this machine for an engine on another one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from traitlets import Bool, Float, Int, Unicode

from ..hosts.tokens import SHORTEST, TOKEN_VARIABLE, mint_token, read_token, token_file
from ..rpc.environment import LOOPBACK
from . import terminal
from .command import Command, Exit, Stop, say
from .typed import TypedLines


class SandboxHostCommand(Command):
    """``jupyter pctx sandbox-host``."""

    description = """
        Run programs for a Jupyter server on another machine, in sandboxes of this one.

        It connects to the server, so no port needs to be open here. Its token is read from the file that --token-file
        names, else from the environment variable PCTX_HOST_TOKEN, else from the file of sandbox-token on this machine.
        It connects again when the connection is lost. When it is stopped, programs that run may end first.
        """
    examples = "jupyter pctx sandbox-host --url https://jupyter.example.org/user/ana --sandboxes 8"
    aliases = {
        "url": "SandboxHostCommand.url",
        "sandboxes": "SandboxHostCommand.sandboxes",
        "token-file": "SandboxHostCommand.token_file",
        "give-up": "SandboxHostCommand.give_up_s",
        **Command.aliases,
    }

    flags: dict[str, Any] = {
        "until-eof": (
            {"SandboxHostCommand": {"until_eof": True}},
            "Stop when the standard input is closed: it ends with the process that has started it.",
        ),
        "debug": Command.flags["debug"],
    }

    url = Unicode("", config=True, help="The base URL of the server.")
    sandboxes = Int(0, config=True, help="Programs that run here at the same time; 0: one for each processor.")
    token_file = Unicode("", config=True, help="The path of a file with the token of sandbox hosts.")

    give_up_s = Float(0.0, config=True, help="Seconds without a connection after which it ends; 0: it never does.")
    until_eof = Bool(False, config=True, help="Stop when the standard input is closed.")

    def main(self) -> int:
        """Serve until it is stopped."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Stop(Exit.USAGE, "Cannot connect: name the server, as in --url https://jupyter.example.org/base")
        if self.sandboxes < 0:
            raise Stop(Exit.USAGE, "Cannot start: --sandboxes must be a number above 0")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            say("Warning: without https, others on the network can read programs, their inputs and the token")
        token = self._token()
        asyncio.run(self._serve(token, self.sandboxes or os.cpu_count() or 1))
        return Exit.OK

    def _token(self) -> str:
        file = Path(self.token_file).expanduser() if self.token_file else token_file(self.settings())
        token = os.environ.pop(TOKEN_VARIABLE, "") if not self.token_file else ""
        if len(token) < SHORTEST:
            token = read_token(file) or ""
        if not token:
            raise Stop(
                Exit.USAGE,
                f"Cannot connect: {file} has no token; jupyter pctx sandbox-token on the server prints it. Name a file "
                f"with --token-file, or set {TOKEN_VARIABLE}",
            )
        return token

    async def _serve(self, token: str, capacity: int) -> None:
        from ..hosts.dialing import SandboxHost, isolation

        deno = self.settings().deno
        host = SandboxHost(
            self.url, token, capacity, await isolation(deno), deno=deno, say=say, give_up_s=self.give_up_s
        )
        loop = asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, host.stop)
        watching = asyncio.create_task(_stop_at_end(host.stop)) if self.until_eof else None
        await host.serve()
        if watching is not None:
            watching.cancel()


async def _stop_at_end(stop: Callable[[], None]) -> None:
    """Stop once nothing more can come from the standard input."""
    await TypedLines().end()
    say("Stopping: the standard input is closed (--until-eof)")
    stop()


class SandboxTokenCommand(Command):
    """``jupyter pctx sandbox-token``."""

    description = """
        Print the token with which sandbox hosts connect to the servers of this account; make it first if need be.

        It opens nothing else. With --new, another one takes its place, and hosts with the old one are refused.
        """
    examples = "jupyter pctx sandbox-token"
    flags: dict[str, Any] = {
        "new": ({"SandboxTokenCommand": {"replaces": True}}, "Make a new token in place of the old one."),
        "debug": Command.flags["debug"],
    }

    replaces = Bool(False, config=True, help="Make a new token in place of the old one.")

    def main(self) -> int:
        """Print it."""
        file = token_file(self.settings())
        token = None if self.replaces else read_token(file)
        terminal.write(sys.stdout, f"{token or mint_token(file)}\n")
        return Exit.OK
