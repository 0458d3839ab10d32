"""How warnings, errors and debugging output of a program look in a cell: marked, as in a browser's console.

The stream is already chosen: ``console.warn`` and ``console.error`` print to stderr. Marks and colours are added only
where a person sees them. Captured text, and text printed without an interactive front end, stays as the program printed
it.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from ...program.result import Output
from ...visible import HIDING

GREY = "38;5;244"
"""The code of a terminal for debugging output."""

MARKS = {"warn": ("38;5;136", "▲"), "error": ("38;5;167", "●")}
"""Colour and mark by level, as in the extension's `values.css`. Both colours can be seen on light and on dark grounds.

The text keeps the front end's own colour, which is legible in every theme, and gets no ground.
"""


_COMMANDS = re.compile(f"(\x1b\\[[0-9;:]*m)|[{HIDING}]")
"""What a terminal takes for a command; the first group is a colour."""


def shown(printed: Output, stream: Any) -> str:
    """Return what a program printed as a stream shows it.

    A terminal gets it without commands to it, apart from colours: they could write to the clipboard, or over lines.
    """
    text = painted(printed) if are_seen(stream) else printed.text
    return _COMMANDS.sub(lambda found: found[1] or "\ufffd", text) if _is_terminal(stream) else text


def painted(printed: Output) -> str:
    """Mark what a program printed by its level: a warning or an error begins with a coloured sign."""
    level = printed.level or ("error" if printed.stream == "stderr" else None)
    if level is None:
        return printed.text
    lines = printed.text.split("\n")
    has_colours = "\x1b" in printed.text  # they may go on to the next line
    if level == "debug":
        return (
            printed.text if has_colours else "\n".join(f"\x1b[{GREY}m{line}\x1b[0m" if line else "" for line in lines)
        )
    colour, mark = MARKS[level]
    first, *others = lines
    if not has_colours:
        # A coloured space: the extension draws a line along the whole message.
        others = [f"\x1b[{colour}m \x1b[0m {line}" if line else "" for line in others]
    return "\n".join([f"\x1b[{colour}m{mark}\x1b[0m {first}", *others])


def are_seen(stream: Any) -> bool:
    """Whether a stream shows colours: it is a terminal, or an interactive front end.

    nbconvert, papermill and similar programs are not interactive: they accept no input. ``%colors nocolor`` and the
    environment variable NO_COLOR switch colours off.
    """
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    if os.environ.get("NO_COLOR") or str(getattr(shell, "colors", "")).lower() == "nocolor":
        return False
    ours = sys.modules.get("ipykernel.iostream")
    if ours is not None and isinstance(stream, ours.OutStream) and hasattr(shell, "kernel"):
        request = shell.kernel.get_parent()
        return bool(request.get("content", {}).get("allow_stdin"))
    return _is_terminal(stream)


def _is_terminal(stream: Any) -> bool:
    is_terminal = getattr(stream, "isatty", None)  # what takes the place of a stream need not have all of it
    return is_terminal is not None and bool(is_terminal())


__all__ = ["are_seen", "painted", "shown"]
