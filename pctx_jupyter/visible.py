"""Text from outside, fit for one line of a log, a list or a terminal: every character is seen, none is a command.

The characters that hide or turn text are listed here and nowhere else in Python. This module does not know what the
text is for: TypeScript is the business of `tools.inert`, markup that of `kernel.output.markup`.
"""

from __future__ import annotations

import re

CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
"""Control characters except tab and line feed, as the inside of a character class."""

TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What turns the direction of the text after it."""

HIDING = (
    CONTROLS
    + "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # what turns the direction of text, or ends a line
    + "\ud800-\udfff\ufeff\ufff9-\ufffb"  # halves of pairs, byte order marks, annotations
    + "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # marks of musical notes; tags, which spell whole texts
)
"""What hides or turns other text, as the inside of a character class."""

WITHOUT_WIDTH = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200d\u2060-\u2065\u206a-\u206f\u2800\u3164\ufe00-\ufe0e\uffa0"
)
"""What takes no room, or looks like a space, as the inside of a character class. In ordinary text it joins letters."""

HIDDEN = re.compile(f"[\t\n{HIDING}]")
"""What must not stand in one line: `HIDING`, tabs and line feeds."""


def line(text: str, longest: int) -> str:
    """Make one line of a log or a list: what would begin another is a space, what commands a terminal is spelled."""
    return spelled(" ".join(text[: 2 * longest].split()))[:longest]


def shortened(text: str, most: int) -> str:
    """Cut a text in the middle to `most` characters: the last line of a traceback says what went wrong."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"


class LogText:
    """What the other end of a pipe chose, for a log: made one short line when it is written, and only then."""

    __slots__ = ("_value",)

    def __init__(self, value: str | int) -> None:
        self._value = value

    def __str__(self) -> str:
        return line(str(self._value), 100)


def spelled(text: str) -> str:
    r"""Return the text with each character that would command a terminal, or hides text, spelled as ``\u001b``."""
    return text if text.isascii() and text.isprintable() else HIDDEN.sub(spell, text)


def spell(found: re.Match[str]) -> str:
    r"""Spell one character as JSON and TypeScript do: ``\u001b``; two of these for one beyond U+FFFF."""
    return escaped(found[0])


def escaped(text: str) -> str:
    r"""Spell every character of a text, as `spell` does one."""
    halves = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{halves[at : at + 2].hex()}" for at in range(0, len(halves), 2))
