"""How warnings, errors and debugging output of a program look in a cell: coloured, as in a browser's console.

Which stream they go to is settled by then: what ``console.warn`` and ``console.error`` print, to stderr. Colours are
for eyes alone: text that is captured, or printed where nobody sits, is what the program printed.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from ...program.result import Output

STYLES = {
    "debug": "38;5;244",
    "warn": "38;5;58;48;5;230",
    "error": "38;5;88;48;5;224",
}
"""Codes of a terminal by level: grey; dark on pale yellow, and on pale red. With its ground a colour is legible on any
other, such as the one that JupyterLab gives stderr."""


def painted(printed: Output) -> str:
    """What a program printed, in the colours of its level; a text with colours of its own keeps those."""
    level = printed.level or ("error" if printed.stream == "stderr" else None)
    if level is None or "\x1b" in printed.text:
        return printed.text
    # Line by line: a ground would go on to the right of a terminal otherwise.
    lines = printed.text.split("\n")
    return "\n".join(f"\x1b[{STYLES[level]}m{line}\x1b[0m" if line else "" for line in lines)


def are_seen(stream: Any) -> bool:
    """Whether what is written to a stream is seen with its colours: in a terminal, or a front end with somebody there.

    Nobody sits before nbconvert, papermill and the like: they ask for no input. ``%colors nocolor`` and the variable
    NO_COLOR are heeded.
    """
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    if os.environ.get("NO_COLOR") or str(getattr(shell, "colors", "")).lower() == "nocolor":
        return False
    ours = sys.modules.get("ipykernel.iostream")
    if ours is not None and isinstance(stream, ours.OutStream) and hasattr(shell, "kernel"):
        request = shell.kernel.get_parent()
        return bool(request.get("content", {}).get("allow_stdin"))
    is_terminal = getattr(stream, "isatty", None)  # what takes the place of a stream need not have all of it
    return is_terminal is not None and bool(is_terminal())


__all__ = ["are_seen", "painted"]
