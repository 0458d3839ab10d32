"""Runs bash commands of agents in sandboxes: a `BashRunner`. The shell is just-bash, over files in memory.

A command gets an ordinary sandbox, as a program does: no permissions, the same layers and limits, and it is killed
afterwards. The sandbox runs a program of ours, which evaluates the text that the build made of ``runtime/shell.js``.
"""

from __future__ import annotations

import logging

import msgspec
from msgspec import Raw

from .. import errors, processes, threads, visible
from ..program.program import Program
from ..program.result import Event
from ..rpc import jsonrpc as rpc
from ..session.bash import BashJob, BashResult
from ..session.execution import Job, ProgramRunner, ProgramStopped, ProgramThrew
from . import flags

log = logging.getLogger(__name__)

BUNDLE = flags.RUNTIME / "vendor" / "shell.min.txt"
"""just-bash and ``shell.js`` as one script, whose value has the function ``run``."""

PROGRAM = Program(
    "", "export const run = () => (0, eval)(pctxShellText).run(pctxCommand, pctxFiles, pctxMost);\n", run="run"
)
"""Evaluates the shell, and runs the command. To import the shell as a module takes Deno four times as long."""

TIMED_OUT, STOPPED, UNREADABLE = 124, 137, 2
"""Exit codes of a command that ran too long, that used too much, and that the shell could not read."""


class Shell:
    """Runs commands.

    Args:
        run: Runs a program in a sandbox.
    """

    def __init__(self, run: ProgramRunner) -> None:
        self._run = run
        self._text: Raw | None = None

    async def run(self, job: BashJob) -> BashResult:
        """Run one command: a `bash.BashRunner`."""
        if self._text is None:
            self._text = await threads.compute(_read)
        inputs = {
            "pctxShellText": self._text,
            "pctxCommand": rpc.raw(job.command),
            "pctxFiles": job.files,
            "pctxMost": rpc.raw(job.limits.max_output_bytes),
        }
        asked = Job("bash", PROGRAM, {}, inputs, job.limits, session=job.session)
        try:
            return msgspec.json.decode(await self._run(asked, _serve_none, _drop), type=BashResult)
        except errors.ExecutionTimeout as error:
            why = f"bash: stopped after {error.seconds:g} s; ask for less\n"
            return BashResult(TIMED_OUT, "", why)
        except ProgramStopped as error:
            why = error.message.removeprefix("Cannot finish execution: ")
            return BashResult(STOPPED, "", f"bash: stopped: {why}\n")
        except ProgramThrew as error:
            log.info("%s = the shell failed: %s", "bash", visible.LogText(error.thrown.name))
            return BashResult(UNREADABLE, "", f"bash: {error.thrown.message[:1_000]}\n")
        except msgspec.DecodeError:
            raise errors.PctxError("Internal error") from None


async def _serve_none(path: str, arguments: Raw | None, stack: str = "", /) -> Raw:
    """Refuse a call: a command can call no tool."""
    raise errors.ToolNotFound(f"Cannot call {path[:100]}: a command calls no functions")


def _drop(event: Event) -> None:
    """Drop an event: what a command prints is in its result."""


def _read() -> Raw:
    """Read the shell.

    Raises:
        SandboxUnavailable: It is not there.
    """
    try:
        return rpc.raw(BUNDLE.read_text("ascii"))
    except OSError as error:
        why = processes.shortage(error, otherwise="")
        raise errors.SandboxUnavailable(
            f"Cannot run command: the shell {BUNDLE} cannot be read ({why}); install the package again, or "
            "run python hatch_build.py in a checkout"
        ) from None
