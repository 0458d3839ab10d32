"""How a command line is read, and how help describes its options; without a process."""

from __future__ import annotations

import pytest

from pctx_jupyter.cli.app import PctxCommand
from pctx_jupyter.cli.command import Command
from pctx_jupyter.cli.history import HistoryCommand
from pctx_jupyter.cli.options import OptionError
from pctx_jupyter.cli.programs import RunCommand, TypesCommand


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        (RunCommand, "- --timeout soon", "Cannot use --timeout soon: it takes a number"),
        (RunCommand, "- --timeout", "Cannot use --timeout: its value is missing; --help lists the options"),
        (RunCommand, "- --json=1", "Cannot use --json with a value: it takes none"),
        (RunCommand, "- --tiemout 1", "no such option (did you mean --timeout?); --help lists the options"),
        (RunCommand, "- -x", "Cannot use -x: there is no such option; --help lists the options"),
        (RunCommand, "- --Pctx.timeout=1", "no such setting (did you mean --Pctx.timeout_s?); --help-all lists them"),
        (HistoryCommand, "-n 0", "Cannot use -n 0: it takes a whole number, at least 1"),
        (PctxCommand, "--json", "Cannot use --json: there is no such option; options follow the command"),
    ],
)
def test_a_wrong_option_is_named_as_it_was_written(command: type[Command], words: str, said: str) -> None:
    with pytest.raises(OptionError) as wrong:
        command().parse_command_line(words.split())
    assert said in str(wrong.value)


def test_options_are_read_in_each_of_their_forms() -> None:
    command = RunCommand()
    command.parse_command_line(["--timeout=2", "a.ts", "--input", "a=1", "--input=b=2", "--json", "--Pctx.sandboxes=3"])
    assert (command.timeout, command.inputs, command.json, command.extra_args) == (2, ["a=1", "b=2"], True, ["a.ts"])
    assert command.settings().max_running == 3, "by the old name"


def test_help_describes_each_option_once_and_shows_what_it_takes() -> None:
    shown = "\n".join(HistoryCommand().emit_options_help())
    assert "-n N\n    How many are listed. Default: 20.\n" in shown and "\n--agent TEXT\n" in shown
    assert "\n--json\n" in "\n".join(TypesCommand().emit_options_help())
