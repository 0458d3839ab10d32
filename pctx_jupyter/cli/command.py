"""What every command shares: how options are read, configuration found, errors said, and how it ends.

It knows neither engine nor server; a command's `main` does its work and returns an exit code.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Generator
from copy import deepcopy
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn, cast

from jupyter_core.application import JupyterApp
from traitlets import Bool
from traitlets.config import Application

from .. import errors, processes
from .._version import __version__
from ..nearest import did_you_mean
from ..settings import Settings
from ..traits import RENAMED, Pctx, read_settings
from . import options, terminal

CONFIG_FILES = ("jupyter_config", "jupyter_server_config", "jupyter_pctx_jupyter_config")
"""Those that a server reads: the limits an administrator sets there hold for a command's own engine, too."""


class Exit(IntEnum):
    """How a command ends."""

    OK = 0
    FAILED = 1
    """The program failed, or did not pass the check."""
    USAGE = 2
    """The command line, or what it names, is wrong."""
    UNREACHABLE = 3
    """The environment is not as it should be: no server, no Deno, no such upstream."""
    INTERRUPTED = 130


class Stop(Exception):
    """Ends a command: its exit code, and what is said on standard error."""

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Command(JupyterApp):
    """One command."""

    name = "jupyter-pctx"
    version = __version__
    classes: list[Any] = [Pctx]
    flags = {
        "debug": ({"Application": {"log_level": 10}}, "Log what happens on standard error."),
        "json": ({"Command": {"json": True}}, "Print JSON, for machines."),
    }
    aliases = {"config": "JupyterApp.config_file"}
    subcommand_description = "jupyter pctx COMMAND --help says more."
    log_format = "%(message)s"
    takes_words = False
    """Whether words that are no options may follow, such as the name of a file."""

    json = Bool(False, config=True, help="Print JSON, for machines.")

    def main(self) -> int:
        """Do the work; returns the exit code."""
        raise NotImplementedError

    def show_commands(self) -> int:
        """List the subcommands, when none is given. Raises `Stop` for an unknown one."""
        if self.extra_args:
            name, known = self.extra_args[0], ", ".join(self.subcommands)
            hint = did_you_mean(name, self.subcommands)
            raise Stop(Exit.USAGE, f"There is no command {name[:100]!r} here{hint}; there are {known}")
        self.print_help()
        return Exit.USAGE

    def settings(self) -> Settings:
        """What is configured: in the files that a server reads, and as ``--Pctx.…`` on the command line.

        Raises:
            Stop: A value is wrong.
        """
        try:
            return read_settings(self)
        except errors.InvalidParams as error:
            raise Stop(Exit.USAGE, error.message) from None

    def initialize(self, argv: list[str] | None = None) -> None:
        """Read the command line, then the configuration, which the command line overrules."""
        self.parse_command_line(sys.argv[1:] if argv is None else argv)
        if self.subapp is None:
            given = deepcopy(self.config)
            self.load_config_file()
            self.update_config(given)
            self._log_ours()

    def initialize_subcommand(self, subc: str, argv: Any = None) -> None:
        """Import and read a subcommand; several may follow one another in one process."""
        if isinstance(named := self.subcommands[subc][0], str):
            from traitlets.utils.importstring import import_item

            named = import_item(named)
        self.subapp = named(parent=self)
        self.subapp.initialize(argv)

    def load_config_file(self, suppress_errors: bool = True) -> None:  # type: ignore[override]  # as JupyterApp has it
        """Read the configuration that a server would read, and the file that ``--config`` names."""
        for name in CONFIG_FILES:
            Application.load_config_file(self, name, path=self.config_file_paths)
        if self.config_file:
            file = Path(self.config_file)
            if not file.is_file():
                say(f"Cannot read {file}: there is no such file")
                self.exit(Exit.USAGE)
            Application.load_config_file(self, file.name, path=str(file.parent))

    def exit(self, exit_status: int | str | None = 0) -> NoReturn:
        """End; traitlets says 1 of a wrong command line, which with us a failed program says."""
        sys.stdout.flush()
        sys.exit(Exit.USAGE if exit_status == 1 else exit_status)

    def start(self) -> NoReturn:
        """Run the command; ends with `SystemExit`."""
        if self.subapp is not None:
            self.subapp.start()
        if self.extra_args and not (self.takes_words or self.subcommands):
            raise Stop(Exit.USAGE, f"Cannot use {self.extra_args[0][:100]!r}: this command takes options only")
        code = self.main()
        sys.stdout.flush()
        sys.exit(code)

    def emit_options_help(self) -> Generator[str, None, None]:
        """Yield the lines of help on the options."""
        if self.flags or self.aliases:
            yield from ("Options", "=======")
            names = {
                f"{cls.__name__}.{name}": trait
                for cls in self._classes_inc_parents()
                for name, trait in cls.class_traits(config=True).items()
            }
            yield from options.described(self.flags, self.aliases, names)
            yield ""

    def emit_help_epilogue(self, classes: bool) -> Generator[str, None, None]:
        """Yield the last lines of the help."""
        if not classes:
            yield "--help-all shows every setting of pctx as well; each is an option: --Pctx.timeout_s=30"

    def _log_ours(self) -> None:
        """Show the log with ``--debug``. Otherwise a command prints only its own messages."""
        ours = logging.getLogger("pctx_jupyter")
        if self.log_level == logging.DEBUG:
            ours.parent = cast("logging.Logger", self.log)
            ours.setLevel(logging.DEBUG)
        else:
            ours.addHandler(logging.NullHandler())
            logging.getLogger("mcp").addHandler(logging.NullHandler())  # what it warns of is in the state of a server
            # asyncio warns of a process that ended while its pipe was being closed, which is no problem.
            logging.getLogger("asyncio").setLevel(logging.ERROR)

    def _create_loader(self, argv: Any, aliases: Any, flags: Any, classes: Any) -> options.Loader:
        old = {f"Pctx.{name}" for name in RENAMED}
        has_commands = bool(self.subcommands)
        return options.Loader(
            argv, aliases, flags, has_commands=has_commands, others=old, classes=classes, log=self.log
        )


def run(work: Callable[[], None]) -> int:
    """Do the work of a command, and return its exit code; report what stops it on standard error."""
    terminal.prepare_streams()
    try:
        _check_folder()
        work()
        return Exit.OK
    except Stop as stop:
        say(stop.message)
        return stop.code
    except options.OptionError as error:
        say(str(error))
        return Exit.USAGE
    except errors.PctxError as error:
        say(error.message)
        return code_of(error)
    except KeyboardInterrupt:
        say("Interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has closed it. Without this, Python reports an error when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except (OSError, RuntimeError, MemoryError) as error:
        if (why := processes.lack(error)) is None:
            raise
        say(f"Cannot finish: {why}")
        return Exit.UNREACHABLE


def _check_folder() -> None:
    """Raise `Stop` if the current folder has been removed: configuration and servers are looked for from there."""
    try:
        Path.cwd()
    except OSError as error:
        why = processes.shortage(error, otherwise="")
        raise Stop(Exit.USAGE, f"Cannot use the current folder: {why}; change to another one") from None


def say(message: str) -> None:
    """Write a message to stderr, after what stdout has so far. Stdout is for the command's result alone."""
    sys.stdout.flush()
    terminal.write(sys.stderr, f"{message}\n")


def code_of(error: errors.PctxError) -> Exit:
    """How a command ends that this stopped."""
    match error:
        case errors.ExecutionError():
            return Exit.FAILED
        case errors.InvalidParams() | errors.ToolNotFound() | errors.ToolExists():
            return Exit.USAGE
    return Exit.UNREACHABLE
