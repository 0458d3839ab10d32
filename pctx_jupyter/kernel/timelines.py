"""The timeline of a run in the output of a cell: there while the run lasts, and closed with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .running import Draw, Reserve

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..session.trace import StoppedBy
    from .output.publisher import Timeline


@dataclass(frozen=True, slots=True)
class Drawing:
    """How the timeline of one run is drawn; without a `shown`, there is none."""

    shown: Timeline | None = None

    @property
    def draw(self) -> Draw | None:
        """Draws the timeline from a trace."""
        return None if self.shown is None else self.shown.draw

    @property
    def reserve(self) -> Reserve | None:
        """Reserves its place."""
        return None if self.shown is None else self.shown.reserve


@contextmanager
def timeline(shell: InteractiveShell, *, is_wanted: bool = True) -> Iterator[Drawing]:
    """Show the timeline of one run. A terminal has none: it would be text between the output.

    Args:
        shell: Whose cell runs.
        is_wanted: Whether it is to be shown at all.
    """
    if not is_wanted or not hasattr(shell, "kernel"):
        yield Drawing()
        return
    from .output.publisher import Timeline

    shown = Timeline()
    by: StoppedBy = "connection"
    try:
        yield Drawing(shown)
    except KeyboardInterrupt:
        by = "caller"
        raise
    finally:
        with suppress(Exception):  # an error here must not replace the outcome of the run
            shown.close(by)
