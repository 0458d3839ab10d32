"""The command itself: which subcommands there are. Each is imported when it is asked for, and not before."""

from __future__ import annotations

import sys
from typing import Any

from .command import Command, run

_HERE = "pctx_jupyter.cli"


class PctxCommand(Command):
    """``jupyter pctx``."""

    description = "Code Mode for Jupyter: TypeScript that calls tools, in a sandbox that can do nothing else."
    flags: dict[str, Any] = {}
    aliases: dict[str, Any] = {}
    subcommands = {
        "run": (f"{_HERE}.programs.RunCommand", "Run a program; print its console lines and its value."),
        "check": (f"{_HERE}.programs.CheckCommand", "Check the types of programs without running them."),
        "types": (f"{_HERE}.programs.TypesCommand", "Print the TypeScript declarations of every tool."),
        "start": (f"{_HERE}.start.Start", "Start a Jupyter server for pctx alone, without a browser."),
        "serve": (f"{_HERE}.serve.ServeNotebooks", "Run notebooks without a browser, and offer their tools to agents."),
        "client-config": (
            f"{_HERE}.clients.ClientConfigCommand",
            "Print what an MCP client needs to reach a running server.",
        ),
        "approvals": (
            f"{_HERE}.approvals.ApprovalsCommand",
            "List and answer the calls that wait for a person's consent.",
        ),
        "history": (f"{_HERE}.history.HistoryCommand", "List past runs, and print their programs."),
        "mcp": (f"{_HERE}.mcp.McpCommand", "Serve MCP clients over stdin and stdout; name MCP servers for programs."),
        "sandbox-host": (
            f"{_HERE}.hosts.SandboxHostCommand",
            "Run programs for a server on another machine, in sandboxes of this one.",
        ),
        "sandbox-token": (f"{_HERE}.hosts.SandboxTokenCommand", "Print the token with which sandbox hosts connect."),
        "doctor": (f"{_HERE}.doctor.Doctor", "Check everything that is needed, and say how to fix what is wrong."),
    }
    examples = (
        "jupyter pctx run report.ts --input limit=10\n"
        "jupyter pctx start --port 8080\n"
        "jupyter pctx client-config claude-code"
    )

    def main(self) -> int:
        """List the subcommands."""
        return self.show_commands()


def main(argv: list[str] | None = None) -> None:
    """Run the command; ends with `SystemExit`."""

    def work() -> None:
        command = PctxCommand()
        command.initialize(argv)
        command.start()

    sys.exit(run(work))
