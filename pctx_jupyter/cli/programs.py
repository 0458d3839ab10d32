"""``run``, ``check``, ``types``: a program in a file, on a running server or on an engine of the command's own."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw
from traitlets import Bool, Float, List, Unicode

from .. import errors, processes
from ..program.cell import index, units
from ..program.diagnostics import code_frame
from ..rpc import jsonrpc as rpc
from ..rpc import nonfinite, wire
from ..tools.names import check_input_name
from . import homes, terminal
from .command import Exit, Stop, say
from .servers import ServerCommand

if TYPE_CHECKING:
    from ..client.raw import RawClient

STDIN = "-"
"""Stands for the standard input in place of a file."""

ASKER = "jupyter pctx run"
"""The name under which the history, the panel and questions for consent show the programs of ``run``."""

ClientContext = AbstractAsyncContextManager["RawClient"]


class HomeCommand(ServerCommand):
    """A command that needs an engine: a running server's, or one of its own."""

    server = Bool(False, config=True, help="Use a running server, as an agent would: with the tools of its notebooks.")

    flags = {
        **ServerCommand.flags,
        "server": (
            {"HomeCommand": {"server": True}},
            "Use a running server, as an agent would: with the tools of its notebooks. So do --port and --url.",
        ),
    }

    def home(self, *, when_settled: bool = False, asks: bool = False) -> ClientContext:
        """Where programs are run or checked; raises `Stop` when the server that is meant is not there.

        Args:
            when_settled: Whether it waits for MCP servers; a program that runs does so itself, for those it names.
            asks: Whether an engine of the command's own asks the person at this terminal for consent.
        """
        chosen = self.chosen() if self.is_at_server else None
        return homes.open_client(chosen, self.settings(), when_settled=when_settled, asks=asks)

    @property
    def is_at_server(self) -> bool:
        """Whether the options name a server; else the command has an engine of its own."""
        return bool(self.server or self.port or self.url)


class RunCommand(HomeCommand):
    """``jupyter pctx run``."""

    takes_words = True

    description = """
        Run a program: jupyter pctx run FILE.ts

        Its console lines go to standard output and standard error as they come; its value comes last, as JSON (null is
        not printed). The file - is the standard input. Ends with 1 when the program failed, 2 when the command line is
        wrong, 3 when it could not be run.
        """
    examples = (
        "jupyter pctx run report.ts --input limit=10 --input rows=@rows.json\n"
        "jupyter pctx run report.ts --server --timeout 30 --json"
    )

    timeout = Float(None, allow_none=True, config=True, help="Seconds it may run.")
    check = Bool(True, config=True, help="Whether its types are checked first.")
    inputs = List(Unicode(), config=True, help="A constant that it finds: NAME=JSON, or NAME=@FILE. Repeatable.")
    tools = List(Unicode(), config=True, help="Let it call these tools only, such as Sales.*. Repeatable.")

    aliases = {
        **HomeCommand.aliases,
        "timeout": "RunCommand.timeout",
        "input": "RunCommand.inputs",
        "tools": "RunCommand.tools",
    }
    flags = {
        **HomeCommand.flags,
        "no-check": ({"RunCommand": {"check": False}}, "Run it without a type check."),
    }

    def main(self) -> int:
        """Run it."""
        if len(self.extra_args) != 1:
            raise Stop(Exit.USAGE, "Cannot run: one program is needed; jupyter pctx run FILE.ts (- is standard input)")
        asked = wire.Execute(
            _read(self.extra_args[0]),
            timeout_s=self.timeout,
            typecheck=None if self.check else False,
            tools=self.tools or None,
            inputs=dict(_constant(text) for text in self.inputs),
            calls=False,
            nonfinite=True,
            agent=ASKER,
        )
        is_person = sys.stdin.isatty() and sys.stderr.isatty() and self.extra_args[0] != STDIN and not self.json
        home = self.home(asks=is_person)
        return asyncio.run(_report(home, asked) if self.json else _stream(home, asked, is_at_server=self.is_at_server))


async def _stream(home: ClientContext, asked: wire.Execute, *, is_at_server: bool) -> int:
    """Print what a program prints as it prints it, then its value."""
    running = asyncio.current_task()
    assert running is not None
    closed: list[BrokenPipeError] = []
    shown: list[wire.DisplayNotice] = []

    def on_event(event: object) -> None:
        if closed:
            return
        try:
            match event:
                case wire.OutputNotice(stream="stderr"):
                    terminal.write(sys.stderr, event.text)
                case wire.OutputNotice():
                    terminal.write(sys.stdout, event.text)
                case wire.DisplayNotice():
                    shown.append(event)
                    terminal.write(sys.stdout, _in_words(msgspec.json.decode(event.data)) + "\n")
        except BrokenPipeError as error:
            closed.append(error)  # the output is closed: there is no reason to run on
            running.cancel()

    async with home as client:
        try:
            executed = await client.execute(asked, on_notice=on_event)
        except asyncio.CancelledError:
            if closed:
                raise closed[0] from None
            raise  # interrupted
        except errors.ExecutionFailed as error:
            say(terminal.harmless(error.failure.text()))
            if hint := _missing(error.failure, is_at_server=is_at_server):
                say(hint)
            return Exit.FAILED
    if executed.unchecked is not None:
        say(f"Its types were not checked: {executed.unchecked}")
    is_shown = any(display.is_value for display in shown)
    if not is_shown and bytes(executed.value) != b"null":
        terminal.write(sys.stdout, _shown(executed.value) + "\n")
    return Exit.OK


def _missing(failure: errors.Failure, *, is_at_server: bool) -> str:
    """Say how a program gets a name that it lacks, if nobody knows more of it; empty: it lacks none."""
    name = failure.missing or ""
    if not name or f"Cannot find name '{name}'." not in failure.message:
        return ""
    if not name[:1].isupper():
        return f"A constant is passed in with --input {name}=JSON" if failure.message.endswith(f"'{name}'.") else ""
    if is_at_server:
        return ""
    return "With --server, the program runs at a Jupyter server and can call the tools of its notebooks."


async def _report(home: ClientContext, asked: wire.Execute) -> int:
    """Print one JSON object: what came of a program and all that it printed."""
    displays: list[Raw] = []

    def on_event(event: object) -> None:
        if isinstance(event, wire.DisplayNotice):
            displays.append(nonfinite.plain_members(event.data))

    async with home as client:
        try:
            executed = await client.execute(asked, on_notice=on_event)
        except errors.ExecutionError as error:
            failure: dict[str, Any] = {"name": type(error).__name__, "message": error.message}
            if isinstance(error, errors.ExecutionFailed):
                told = error.failure
                failure = {key: getattr(told, key) for key in ("name", "message", "line", "column", "frame", "stack")}
            terminal.write_json({"success": False, "stdout": error.stdout, "stderr": error.stderr, "error": failure})
            return Exit.FAILED
    executed.value = nonfinite.plain(executed.value)
    fields = msgspec.to_builtins(executed, builtin_types=(Raw,))
    terminal.write_json(fields | ({"displays": displays} if displays else {}))
    return Exit.OK


def _in_words(data: dict[str, Any]) -> str:
    """What a program shows, as far as a terminal can: its text, or of which kinds it is."""
    for kind in ("text/plain", "text/markdown"):
        if isinstance(text := data.get(kind), str):
            return text.rstrip("\n")
    return f"[{', '.join(data)}]"


class CheckCommand(HomeCommand):
    """``jupyter pctx check``."""

    takes_words = True

    description = """
        Check the types of programs without running them: jupyter pctx check FILE.ts …

        Ends with 1 when one of them is wrong. The file - is the standard input.
        """
    examples = "jupyter pctx check *.ts --input limit"

    inputs = List(Unicode(), config=True, help="The name of a constant that they find. Repeatable.")
    aliases = {**HomeCommand.aliases, "input": "CheckCommand.inputs"}

    def main(self) -> int:
        """Check them."""
        if not self.extra_args:
            raise Stop(Exit.USAGE, "Cannot check: a program is needed; jupyter pctx check FILE.ts …")
        sources = {file: _read(file) for file in self.extra_args}
        names = [text.partition("=")[0] for text in self.inputs]
        for name in names:
            check_input_name(name)
        found = asyncio.run(_check(self.home(when_settled=True), sources, names))
        if self.json:
            terminal.write_json({"ok": not _errors(found), "diagnostics": found})
        else:
            for diagnostic in found:
                sys.stdout.write(terminal.harmless(diagnostic.text(sources[diagnostic.file])) + "\n")
            files = f"{len(sources)} programs" if len(sources) > 1 else next(iter(sources))
            say(f"{files}: {_errors(found) or 'no'} error{'' if _errors(found) == 1 else 's'}")
        return Exit.FAILED if _errors(found) else Exit.OK


@dataclass(frozen=True, slots=True)
class LocatedProblem:
    """One thing that is wrong with a program; line and column are 1-based, in UTF-16 units, as is length."""

    file: str
    severity: str
    line: int
    column: int
    length: int
    message: str

    def text(self, source: str) -> str:
        """What a person or an editor reads: place, message, frame."""
        frame = code_frame(source, self.line, self.column, self.length)
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}\n\n{frame}\n"


async def _check(home: ClientContext, sources: dict[str, str], inputs: list[str]) -> list[LocatedProblem]:
    async with home as client:
        return [
            _placed(file, source, one)
            for file, source in sources.items()
            for one in (await client.diagnostics(source, inputs)).diagnostics
        ]


def _placed(file: str, source: str, found: wire.Underlined) -> LocatedProblem:
    before = source[: index(source, found.start)]
    line = before.count("\n") + 1
    column = units(before[before.rfind("\n") + 1 :]) + 1
    return LocatedProblem(file, found.severity, line, column, max(1, found.end - found.start), found.message)


def _errors(found: list[LocatedProblem]) -> int:
    return sum(one.severity == "error" for one in found)


class TypesCommand(HomeCommand):
    """``jupyter pctx types``."""

    description = """
        Print the TypeScript declarations of every tool that a program can call; as JSON, their schemas.
        """
    examples = "jupyter pctx types --server > tools.d.ts"

    def main(self) -> int:
        """Print them."""
        asyncio.run(self._print(self.home(when_settled=True)))
        return Exit.OK

    async def _print(self, home: ClientContext) -> None:
        async with home as client:
            if self.json:
                terminal.write_json({"functions": await client.list_functions()})
            elif text := await client.declarations():
                terminal.write(sys.stdout, text.rstrip("\n") + "\n")
            elif self.is_at_server:
                say("No notebook on this server offers a tool: open one, and run a cell with %load_ext pctx_jupyter")
            else:
                say("There is no tool. jupyter pctx types --server shows those of a running server")


def _read(file: str) -> str:
    """The program in a file; raises `Stop`."""
    try:
        text = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
        return text.decode("utf-8-sig")
    except OSError as error:
        raise Stop(Exit.USAGE, f"Cannot read {file}: {processes.shortage(error, otherwise='')}") from None
    except UnicodeDecodeError:
        raise Stop(Exit.USAGE, f"Cannot read {file}: it is not UTF-8; save it as UTF-8") from None


def _constant(text: str) -> tuple[str, Raw]:
    """The name and JSON of ``NAME=JSON`` or ``NAME=@FILE``; raises `Stop` or `InvalidParams`."""
    name, is_given, value = text.partition("=")
    if not is_given:
        raise Stop(Exit.USAGE, f"Cannot pass in {text!r}: it looks like NAME=JSON, or NAME=@FILE")
    check_input_name(name)
    value = _read(value[1:]) if value.startswith("@") else value
    try:
        return name, rpc.check_value(nonfinite.encode(json.loads(value, parse_float=_float, parse_int=_int)))
    except json.JSONDecodeError:
        why = f"{value[:60]!r} is not JSON; a text needs quotes of its own: '\"text\"'"
    except (RecursionError, errors.NotJson):
        why = rpc.TOO_DEEP
    except UnicodeEncodeError:
        why = "a text in it holds half a character (a lone surrogate)"
    except OverflowError as error:
        why = f"no number of JavaScript is as large as {error}; pass it as a text, in quotes"
    raise Stop(Exit.USAGE, f"Cannot pass in {name}: {why}")


def _float(text: str) -> float:
    """A number with a point or an exponent; raises OverflowError."""
    if math.isinf(number := float(text)):
        raise OverflowError(text[:60])
    return number


def _int(text: str) -> int:
    """A whole number, with all its digits; raises OverflowError."""
    _float(text)
    return int(text)


def _shown(value: Raw) -> str:
    """JSON for programs that read it, indented for people, with NaN and the infinities by name."""
    if not sys.stdout.isatty():
        return bytes(nonfinite.plain(value)).decode()
    if (marked := nonfinite.inside(value)) is not None:
        return nonfinite.readable_inside(msgspec.json.format(marked, indent=2)).decode()
    return msgspec.json.format(bytes(value), indent=2).decode()
