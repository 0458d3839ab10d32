"""``history``: the past runs of this user, of servers and kernels alike. It needs neither a server nor an engine."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

from traitlets import Bool, Int, Unicode

from . import terminal
from .command import Command, Exit, Stop, say

if TYPE_CHECKING:
    from ..history.file import HistoryFile, PastRun


class HistoryCommand(Command):
    """``jupyter pctx history``."""

    takes_words = True

    description = """
        List past runs, the latest first: jupyter pctx history [TEXT …]

        Each word of the text must occur in the code, the error, or a name of a tool, notebook or agent. A number alone
        prints the program of that run.
        """
    examples = (
        "jupyter pctx history orders --failed\n"
        "jupyter pctx history 12 > report.ts\n"
        "jupyter pctx history --agent claude -n 5 --json"
    )

    failed = Bool(False, config=True, help="Only those that failed or were stopped at a limit.")
    agent = Unicode("", config=True, help="Only those of an agent whose name has these words.")
    most = Int(20, min=1, config=True, help="How many are listed.")
    clear = Bool(False, config=True, help="Delete all of them.")

    aliases = {**Command.aliases, "agent": "HistoryCommand.agent", "n": "HistoryCommand.most"}
    flags = {
        **Command.flags,
        "failed": ({"HistoryCommand": {"failed": True}}, "Only those that failed or were stopped at a limit."),
        "clear": ({"HistoryCommand": {"clear": True}}, "Delete all of them."),
    }

    def main(self) -> int:
        """List them, or print one."""
        from ..history.file import HistoryFile, none_found, usual_path

        file, text = HistoryFile(usual_path()), " ".join(self.extra_args)
        if self.clear:
            if text:
                raise Stop(Exit.USAGE, "Cannot clear the history: --clear deletes all runs, and takes no text")
            say(f"Deleted {file.clear():,} runs")
            return Exit.OK
        if text.isascii() and text.isdecimal() and not (self.failed or self.agent):
            return self._print_one(file, int(text))
        runs = file.search(text, failed=self.failed, agent=self.agent, most=self.most)
        if self.json:
            terminal.write_json({"runs": runs})
        elif runs:
            sys.stdout.write(terminal.harmless("\n".join(map(_line, runs))) + "\n")
        else:
            say(none_found(text, self.failed, self.agent))
        return Exit.OK

    def _print_one(self, file: HistoryFile, number: int) -> int:
        trace = file.get(number)
        if trace is None:
            raise Stop(Exit.USAGE, f"Cannot show run {number}: the history has none of that number")
        if self.json:
            terminal.write_json(trace)
            return Exit.OK
        if not trace.code:
            raise Stop(Exit.USAGE, f"Cannot show run {number}: its code was not kept (Pctx.history_code)")
        if trace.code_cut:
            say(f"Only its beginning was kept: {len(trace.code):,} characters")
        terminal.write(sys.stdout, trace.code.rstrip("\n") + "\n")
        return Exit.OK


def _line(run: PastRun) -> str:
    began = datetime.fromtimestamp(run.started_at).strftime("%Y-%m-%d %H:%M:%S")  # the person's own time
    whose = run.agent or run.notebook or run.asked_by
    called = "".join(f" {tool} × {calls}" for tool, calls in run.tools.items())
    error = f"\n        {run.error}" if run.error else ""
    if run.meter is not None:
        called += f" ({run.meter.here:,} token{'' if run.meter.here == 1 else 's'}; plain calls {run.meter.plain:,})"
    return f"{run.number:>6}  {began}  {run.state:<7} {run.duration_s:8.3f} s  {whose}: {run.title}{called}{error}"
