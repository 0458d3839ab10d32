"""What every command shares: how options are read, configuration found, errors said, and how it ends.

It knows neither engine nor server; a command's `main` does its work and returns an exit code.
"""

from __future__ import annotations

import logging
import os
import sys
from copy import deepcopy
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn, cast

from jupyter_core.application import JupyterApp
from traitlets import Bool
from traitlets.config import Application
from traitlets.config.loader import ArgumentError, KVArgParseConfigLoader

from .. import errors
from .._version import __version__
from ..settings import Settings
from ..traits import Pctx, read_settings
from . import terminal

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
        "debug": ({"Application": {"log_level": 10}}, "Say on standard error what happens inside."),
        "json": ({"Command": {"json": True}}, "Answer in JSON, for machines."),
    }
    aliases = {"config": "JupyterApp.config_file"}
    subcommand_description = "jupyter pctx COMMAND --help says more."
    option_description = "--help-all shows every setting of pctx, too."
    log_format = "%(message)s"

    json = Bool(False, config=True, help="Answer in JSON, for machines.")

    def main(self) -> int:
        """Do the work; returns the exit code."""
        raise NotImplementedError

    def show_commands(self) -> int:
        """List the subcommands, when none is given. Raises `Stop` for an unknown one."""
        if self.extra_args:
            known = ", ".join(self.subcommands)
            raise Stop(Exit.USAGE, f"There is no command {self.extra_args[0]!r} here; there are {known}")
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
        sys.exit(Exit.USAGE if exit_status == 1 else exit_status)

    def start(self) -> NoReturn:
        """Run the command; ends with `SystemExit`."""
        if self.subapp is not None:
            self.subapp.start()
        sys.exit(self._end())

    def _end(self) -> int:
        try:
            code = self.main()
            sys.stdout.flush()
            return code
        except Stop as stop:
            say(stop.message)
            return stop.code
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

    def _log_ours(self) -> None:
        """Show the log with ``--debug``. Otherwise a command prints only its own messages."""
        ours = logging.getLogger("pctx_jupyter")
        if self.log_level == logging.DEBUG:
            ours.parent = cast("logging.Logger", self.log)
            ours.setLevel(logging.DEBUG)
        else:
            ours.addHandler(logging.NullHandler())

    def _create_loader(self, argv: Any, aliases: Any, flags: Any, classes: Any) -> KVArgParseConfigLoader:
        return _Loader(argv, aliases, flags, classes=classes, log=self.log)


class _Loader(KVArgParseConfigLoader):
    def _handle_unrecognized_alias(self, arg: str) -> None:
        raise ArgumentError(f"there is no option --{arg}; --help shows those there are")


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
