"""How warnings, errors and debugging output of a program look in a cell: coloured, as in a browser's console.

The stream is already chosen: ``console.warn`` and ``console.error`` print to stderr. Colours are added only where a
person sees them. Captured text, and text printed without an interactive front end, stays as the program printed it.
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
    is_terminal = getattr(stream, "isatty", None)  # what takes the place of a stream need not have all of it
    return is_terminal is not None and bool(is_terminal())


__all__ = ["are_seen", "painted"]
