"""A call that waits for consent, in words: what strangers wrote is seen, and looks like nothing of ours."""

from __future__ import annotations

import unicodedata
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pctx_jupyter.session.questions import seen, text

from . import fakes

HOSTILE = [
    "\u202e",  # turns text
    "\u2066",
    "\u200b",  # shows nothing
    "\u200d",
    "\u00ad",
    "\u2060",
    "\ufeff",
    "\u3164",
    "\u2800",
    "\ufe0f",
    "\U000e0041",
    "\x1b[2J",  # commands a terminal
    "\x9b1m",
    "\x07",
    "\r",
    "\u2028",  # begins a line
    "\x85",
    "\ud800",  # is half a character
]


question = partial(fakes.question, code="one\ntwo\nawait Mail.send({})\nfour", line=3, left_s=119.7)


def test_a_question_says_who_asks_for_what_where_and_for_how_long() -> None:
    assert text(question(description="Sends mail.\n\nNow."), 100).split("\n") == [
        "An agent wants to call Mail.send.",
        "The tool's description: Sends mail. Now.",
        "Arguments: {}",
        "It calls at line 3 of its program:",
        "    1 | one",
        "    2 | two",
        "  > 3 | await Mail.send({})",
        "    4 | four",
        "120 s left, then denied.",
    ]


def test_what_is_cut_is_said_to_be_cut() -> None:
    said = text(question(arguments="x" * 500, argument_bytes=500), 100)
    assert f"Arguments, cut, of 500 bytes: {'x' * 100}…" in said and "Deny the call" in said
    assert "Arguments, cut, of 9 bytes" in text(question(is_cut=True, argument_bytes=9), 100)


@pytest.mark.parametrize("line", [None, 0, -5, 10**9])
def test_a_line_that_is_not_there_is_none(line: int | None) -> None:
    assert "1 | one" in text(question(line=line), 100)


@pytest.mark.parametrize("mark", HOSTILE)
@pytest.mark.parametrize("field", ["tool", "description", "notebook", "arguments", "code"])
def test_what_cannot_be_seen_is_spelled_wherever_it_stands(field: str, mark: str) -> None:
    said = text(question(asked_by="notebook", line=1, **{field: f"a{mark}b"}), 1000)
    assert not any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in said if one != "\n")
    assert mark[0] not in said or mark[0].isspace()


@given(st.text(), st.text(), st.text())
@settings(max_examples=200, derandomize=True, deadline=None)
def test_no_line_of_a_stranger_looks_like_one_of_ours(tool: str, arguments: str, code: str) -> None:
    lines = text(question(tool=tool, arguments=arguments, code=code, line=1), 10_000).split("\n")
    assert lines[0].startswith("An agent wants to call ") and lines[0].endswith(".")
    assert lines[1].startswith("Arguments: ") and lines[2].startswith("It calls at line 1")
    assert all(" | " in line for line in lines[3:-1]) and lines[-1].endswith(" s left, then denied.")


def test_text_that_can_be_seen_stays_as_it_is() -> None:
    assert seen("naïve 日本語 🎉 plain") == "naïve 日本語 🎉 plain"
