"""Publishes what a program displays, and how its run goes, as outputs of the cell that waits for it.

Knows IPython, and no program. The modules that make outputs are imported with the first output, so that programs start
faster.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from uuid import uuid4

import msgspec
from IPython.core.display_functions import publish_display_data
from msgspec import Raw

from ...program.result import Display
from ...session.trace import Trace

_publish: Callable[..., None] = publish_display_data  # IPython is not typed

OURS = "pctx:"
"""Begins the name of every display of a program: so that none replaces what Python has shown."""


def publish(shown: Display) -> None:
    """Show something now, or replace what was shown under its name before."""
    from . import sanitizer

    bundle, metadata = sanitizer.safe(shown)
    if shown.display_id is None:
        _publish(bundle, metadata)
    else:
        transient = {"display_id": OURS + shown.display_id}
        _publish(bundle, metadata, transient=transient, update=shown.update)


class Timeline:
    """The timeline of one run, in the cell in whose context it was made; each drawing takes the last one's place.

    It is drawn from the bridge's thread: a tool that computes keeps the cell's own from drawing it.
    """

    def __init__(self) -> None:
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()  # a context is entered by one thread at a time
        self._id = f"{OURS}timeline:{uuid4().hex}"
        self._drawn: Trace | None = None
        self._is_closed = False

    def draw(self, raw: Raw) -> None:
        """Draw the run from its current trace, a `trace.Trace` as JSON; does nothing once it is closed."""
        trace = msgspec.json.decode(raw, type=Trace)
        with self._lock:
            if not self._is_closed:
                self._draw(trace)

    def close(self) -> None:
        """Stop drawing; a run that has not ended by now is shown as stopped."""
        with self._lock:
            self._is_closed = True
            if self._drawn is not None and self._drawn.state == "running":
                self._draw(msgspec.structs.replace(self._drawn, state="stopped"))

    def _draw(self, trace: Trace) -> None:
        from . import timeline

        is_first, self._drawn = self._drawn is None, trace
        transient = {"display_id": self._id}
        self._context.run(_publish, timeline.bundle(trace), {}, transient=transient, update=not is_first)
