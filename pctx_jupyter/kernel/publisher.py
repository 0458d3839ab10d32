"""Publishes what a program displays, as an output of the cell that waits for it. Knows IPython, and no program."""

from __future__ import annotations

from collections.abc import Callable

from IPython.core.display_functions import publish_display_data

from ..result import Display
from . import sanitizer

_publish: Callable[..., None] = publish_display_data  # IPython is not typed

OURS = "pctx:"
"""Begins the name of every display of a program: so that none replaces what Python has shown."""


def publish(shown: Display) -> None:
    """Show something now, or in the place of what was shown under its name before."""
    bundle, metadata = sanitizer.safe(shown)
    if shown.display_id is None:
        _publish(bundle, metadata)
    else:
        transient = {"display_id": OURS + shown.display_id}
        _publish(bundle, metadata, transient=transient, update=shown.update)
