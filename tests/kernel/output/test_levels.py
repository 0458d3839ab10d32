"""How levels look; nothing is fake, and nothing printed."""

from __future__ import annotations

import io

import pytest

from pctx_jupyter.kernel.output import levels
from pctx_jupyter.program.result import Output


def test_each_line_has_its_colours_and_what_was_printed_is_between() -> None:
    painted = levels.painted(Output("stderr", "one\n\ntwo\n", "warn"))
    first, empty, second, end = painted.split("\n")
    assert (empty, end) == ("", "") and first.replace("one", "two") == second
    assert first.startswith("\x1b[") and first.endswith("one\x1b[0m")


def test_usual_output_and_a_text_with_colours_of_its_own_stay_as_they_are() -> None:
    assert levels.painted(Output("stdout", "usual\n")) == "usual\n"
    assert levels.painted(Output("stderr", "\x1b[32mgreen\x1b[0m\n")) == "\x1b[32mgreen\x1b[0m\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_colours_and_a_file_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert levels.are_seen(Terminal()) and not levels.are_seen(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not levels.are_seen(Terminal())
