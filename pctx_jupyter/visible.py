"""Text from outside, made fit for one line of a log, a list or a terminal: every character can be seen, none commands.

This module does not know what the text is for. TypeScript is the business of `tools.inert`, markup that of
`kernel.output.markup`.
"""

from __future__ import annotations

import re

HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters, line ends, marks that turn text, byte order marks, surrogates."""


def line(text: str, longest: int) -> str:
    """One line of a log or a list: what would begin another one is a space, what commands a terminal is spelled."""
    return spelled(" ".join(text[: 2 * longest].split()))[:longest]


def spelled(text: str) -> str:
    r"""The text with each character that would command a terminal, or could not be seen, spelled as ``\u001b``."""
    return text if text.isascii() and text.isprintable() else HIDDEN.sub(lambda one: f"\\u{ord(one[0]):04x}", text)
