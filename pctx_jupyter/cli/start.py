"""``start``: a Jupyter server for pctx alone."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from .. import processes
from ..traits import Pctx
from .command import Command, Exit, say


class Start(Command):
    """``jupyter pctx start``."""

    description = """
        Start a Jupyter server for pctx alone: no browser, no other extension, port 8080 unless told otherwise.

        It takes the options of jupyter server, such as --ip and --ServerApp.base_url=/some/base, and those of pctx,
        such as --Pctx.timeout_s=30. With --ws-port it listens at a second port as well, for clients that look for
        the WebSocket at a port of its own.
        """
    examples = "jupyter pctx start --port 8080 --ws-port 8765"

    def initialize(self, argv: list[str] | None = None) -> None:
        """Keep the command line for the server, which reads it; only help is ours."""
        self._argv = sys.argv[1:] if argv is None else argv
        if {"-h", "--help", "--help-all"} & set(self._argv):
            from jupyter_server import serverapp

            self.classes = [Pctx, serverapp.ServerApp]
            self.flags = {name: serverapp.flags[name] for name in ("allow-root", "debug")}
            self.aliases = {name: serverapp.aliases[name] for name in ("port", "ip", "config")}
            self.parse_command_line([option for option in self._argv if option in ("-h", "--help", "--help-all")])

    def start(self) -> NoReturn:
        """Run it until it is stopped."""
        from ..server import alone

        parser = argparse.ArgumentParser("jupyter pctx start", add_help=False, allow_abbrev=False)
        parser.add_argument("--ws-port", type=int)
        own, others = parser.parse_known_args(self._argv)
        try:
            alone.run(others, own.ws_port)
        except OSError as error:
            say(f"Cannot start a server: {processes.lack(error) or error.strerror or error}")
            sys.exit(Exit.UNREACHABLE)
        sys.exit(Exit.OK)

    flags: dict[str, Any] = {}
    aliases: dict[str, Any] = {}
