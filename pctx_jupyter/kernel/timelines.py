"""The timeline of a run in the output of a cell: there while the run lasts, and closed with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

from .bridge import Draw, Reserve

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

Drawing: TypeAlias = tuple[Draw | None, Reserve | None]
"""What draws a timeline, and what reserves its place; both None: there is none."""


@contextmanager
def timeline(shell: InteractiveShell, *, is_wanted: bool = True) -> Iterator[Drawing]:
    """Show the timeline of one run. A terminal has none: it would be text between the output.

    Args:
        shell: Whose cell runs.
        is_wanted: Whether it is to be shown at all.
    """
    if not is_wanted or not hasattr(shell, "kernel"):
        yield None, None
        return
    from .output.publisher import Timeline

    shown = Timeline()
    try:
        yield shown.draw, shown.reserve
    finally:
        with suppress(Exception):  # an error here must not replace the outcome of the run
            shown.close()
