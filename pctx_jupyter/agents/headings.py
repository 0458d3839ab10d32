"""The lines that answers to agents write between data: how each begins, to write it, and to find data that imitates it.

An answer joins what a program printed and returned, which is data of strangers, with lines of ours about the program.
`Heading` is the one list of these lines. Pure: text in, text out.
"""

from __future__ import annotations

import re
from enum import StrEnum

from .. import visible

QUOTE = "> "
"""What stands before a line of data that would pass for one of ours."""


class Heading(StrEnum):
    """How a line begins; ``{n}`` stands for a number."""

    CONSOLE = "console:"
    RESULT = "result:"
    NOT_RUN = "Program not run"
    FAILED = "Program failed"
    STOPPED = "Program stopped"
    RUNNING = "Still running after {n} s"
    UNDER_WAY = "Under way: "
    LAST_CALL = "Its last call was made in line {n}"
    UNCHECKED = "Its types were not checked: "
    NOT_SENT = "Not sent: "
    DO_NOT_RETRY = "Tell the user; do not retry"
    CALLS_FAILED = "Warning: {n} of {n} call"
    NO_RESULT = "Warning: no result: "
    EARLIER_RESULT = "Warning: the result is that of line {n}: "
    NOT_KEPT = "Not kept: "
    STATE = 'Its state: "'
    COST = "Cost of this program: "
    LONG_TEXT = "[text {n}] "
    LEFT_OUT = "… {n} characters, {n} lines left out"
    SHORTENED = "… shortened: "

    def of(self, *numbers: int) -> str:
        """Return it with these numbers."""
        text = str(self)
        for number in numbers:
            text = text.replace("{n}", f"{number:,}", 1)
        return text


_WHOLE = (Heading.CONSOLE, Heading.RESULT)
"""Headings that are the whole line."""

_BREAKS = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
"""What may begin another line for a reader, as the inside of a character class."""

_UNSEEN = rf"(?:(?![{_BREAKS}])[\s{visible.HIDING}{visible.WITHOUT_WIDTH}])*"
"""What a reader of a line does not see."""


def _pattern(heading: Heading) -> str:
    pattern = re.escape(heading.rstrip()).replace(re.escape("{n}"), r"\d[\d,]*")
    return rf"{pattern}{_UNSEEN}(?=[{_BREAKS}]|\Z)" if heading in _WHOLE else pattern


_OURS = re.compile(rf"(?:^|(?<=[{_BREAKS}])){_UNSEEN}(?:{'|'.join(map(_pattern, Heading))})")


def quoted(text: str) -> str:
    """Return the text with `QUOTE` before each line that would pass for one of ours."""
    return _OURS.sub(rf"{QUOTE}\g<0>", text)


def in_one_line(json: str) -> str:
    r"""Return JSON with the characters spelled that may begin another line, though JSON may hold them: ``\u2028``."""
    return json if json.isascii() else re.sub("[\x85\u2028\u2029]", visible.spell, json)
