"""Formats tracebacks for the author of a notebook: only the frames of the author's own code.

Our code calls a tool on a loop, through pydantic, so few frames are of the author's code. This module knows files and
frames, not tools or displays.
"""

from __future__ import annotations

import os
import sys
import traceback
from functools import cache
from pathlib import Path

from ... import visible

LONGEST = 20_000
"""Characters of a traceback that are kept: an exception may carry a message of any size."""

_PACKAGES = {"site-packages", "dist-packages"}
"""Folders of packages, wherever they are: those of a user, of a distribution, of another environment."""


@cache
def _folders_of_others() -> tuple[str, ...]:
    """The folders of Python, of packages and of this package, as they appear in frames and with links resolved."""
    import sysconfig  # slow to load, and only a failure needs it

    found = {str(Path(__file__).parents[2]): None}
    for name in ("stdlib", "platstdlib", "purelib", "platlib"):
        if (path := sysconfig.get_path(name)) is not None:
            found |= {path: None, str(Path(path).resolve()): None}
    return tuple(os.path.join(folder, "") for folder in found)  # noqa: PTH118  # a Path drops the last separator


def traceback_of_user_frames(error: BaseException) -> str:
    """Format an exception, its causes and its groups, with the frames of cells and of the user's own modules only.

    A cell is called ``Cell In[3]``, as IPython does. Never raises, whatever the exception's own methods do.
    """
    try:
        found = traceback.TracebackException.from_exception(error)
        files = _keep_user_frames(found, set())
        text = "".join(found.format())
    except Exception as broken:
        return f"{type(error).__name__}: <its traceback could not be formatted: {type(broken).__name__}>"
    for name, cell in files.items():
        text = text.replace(f'File "{name}"', cell)
    return visible.shortened(text, LONGEST).rstrip("\n")


def _keep_user_frames(found: traceback.TracebackException, seen: set[int]) -> dict[str, str]:
    """Drop all frames that are not the user's; return the names to show for the files of cells."""
    files: dict[str, str] = {}
    todo: list[traceback.TracebackException | None] = [found]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        kept = [frame for frame in one.stack if is_user_file(frame.filename)]
        one.stack = traceback.StackSummary.from_list(kept)
        for frame in kept:
            if (cell := _cell(frame.filename)) is not None:
                files[frame.filename] = cell
        todo += [one.__cause__, one.__context__, *(one.exceptions or ())]
    return files


def has_user_frames(error: BaseException) -> bool:
    """Whether an exception passed through the user's code."""
    return any(is_user_file(frame.f_code.co_filename) for frame, _ in traceback.walk_tb(error.__traceback__))


def is_user_file(name: str) -> bool:
    """Whether a frame's file is a cell, a script or a module of the user, and not ours, Python's or a package's."""
    if name.startswith("<"):
        return name.startswith(("<ipython-input", "<stdin", "<string", "<doctest"))
    return not (name.startswith(_folders_of_others()) or _PACKAGES.intersection(Path(name).parts))


def _cell(name: str) -> str | None:
    """IPython's name for a cell's file; None if there is no IPython, or the file is not a cell's."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    known = shell.compile.format_code_name(name) if shell is not None else None
    return f"{known[0]} {known[1]}" if known is not None else None
