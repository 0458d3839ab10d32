"""How levels look; nothing is fake, and nothing printed."""

from __future__ import annotations

import io

import pytest

from pctx_jupyter.kernel.output import levels
from pctx_jupyter.program.result import Level, Output


@pytest.mark.parametrize(("level", "colour", "mark"), [("warn", 136, "▲"), (None, 167, "●")])
def test_a_warning_and_an_error_begin_with_a_coloured_mark_and_their_text_has_no_colour(
    level: Level | None, colour: int, mark: str
) -> None:
    painted = levels.painted(Output("stderr", "one\n\ntwo\n", level))
    assert painted == f"\x1b[38;5;{colour}m{mark}\x1b[0m one\n\n\x1b[38;5;{colour}m \x1b[0m two\n"


def test_no_level_has_a_ground_of_its_own() -> None:
    printed = [Output("stderr", "x\n", "warn"), Output("stderr", "x\n"), Output("stdout", "x\n", "debug")]
    assert not [text for one in printed if ";48;" in (text := levels.painted(one))]


def test_debugging_output_is_grey_line_by_line() -> None:
    assert levels.painted(Output("stdout", "one\n", "debug")) == "\x1b[38;5;244mone\x1b[0m\n"


def test_usual_output_stays_as_it_is_and_colours_of_a_text_go_on_from_line_to_line() -> None:
    assert levels.painted(Output("stdout", "usual\n")) == "usual\n"
    green = "\x1b[32mgreen\nstill green\x1b[0m\n"
    assert levels.painted(Output("stderr", green)) == f"\x1b[38;5;167m●\x1b[0m {green}"
    assert levels.painted(Output("stdout", green, "debug")) == green


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_colours_and_a_file_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert levels.are_seen(Terminal()) and not levels.are_seen(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not levels.are_seen(Terminal())


def test_a_terminal_gets_no_command_but_colours_and_a_front_end_what_was_printed() -> None:
    printed = Output("stdout", "\x1b[1;32mdone\x1b[0m\t\x1b]52;c;cm0=\x07\x1b[2J\r\x9b1A\u202e\n")
    shown = "\x1b[1;32mdone\x1b[0m\t\ufffd]52;c;cm0=\ufffd\ufffd[2J\ufffd\ufffd1A\ufffd\n"
    assert levels.shown(printed, Terminal()) == shown
    assert levels.shown(printed, io.StringIO()) == printed.text
