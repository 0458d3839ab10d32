"""Publishes what a program displays, and how its run goes, as outputs of the cell that waits for it.

Knows IPython, and no program. The modules that make outputs are imported with the first output, so that programs start
faster.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec
from IPython.core.display_functions import publish_display_data
from msgspec import Raw

from ...program.result import Display
from ...session.trace import StoppedBy, Trace

if TYPE_CHECKING:
    from .display import Bundle

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


def show_stop(where: str) -> None:
    """Show that a person has stopped the program of this cell.

    Args:
        where: The Python traceback of the tool that was interrupted; empty: none was.
    """
    from . import display

    _publish(display.stopped(None, where), {})


def show_stored(name: str) -> None:
    """Show which variable has received a program's value."""
    from . import display

    _publish(display.stored(name), {})


class Timeline:
    """The timeline of one run, in the cell in whose context it was made; each drawing takes the last one's place.

    It is drawn from the bridge's thread: a tool that computes keeps the cell's own from drawing it.
    """

    def __init__(self) -> None:
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()  # a context is entered by one thread at a time
        self._id = f"{OURS}timeline:{uuid4().hex}"
        self._is_placed = False
        self._drawn: Trace | None = None
        self._is_closed = False
        self._stopped_in: str | None = None

    def reserve(self) -> None:
        """Reserve the timeline's place in the output, unless it has one; nothing is drawn there until `draw`."""
        with self._lock:
            if not self._is_placed and not self._is_closed:
                from . import timeline

                self._publish(timeline.reserved())

    def draw(self, raw: Raw) -> None:
        """Draw the run from its current trace, a `trace.Trace` as JSON.

        After `close`, only the trace of a run that has ended is drawn.
        """
        trace = msgspec.json.decode(raw, type=Trace)
        with self._lock:
            if not self._is_closed or trace.state != "running":
                self._draw(trace)

    def show_stop(self, where: str) -> None:
        """Show that a person has stopped the program, and how many calls it made; the last trace corrects the number.

        Args:
            where: The Python traceback of the tool that was interrupted; empty: none was.
        """
        with self._lock:
            self._stopped_in = where
            self._show_stop(is_first=True)

    def _show_stop(self, *, is_first: bool) -> None:
        from . import display

        calls = 0 if self._drawn is None else self._drawn.calls_in_all
        shown = display.stopped(calls, self._stopped_in or "")
        self._context.run(_publish, shown, {}, transient={"display_id": f"{self._id}:stop"}, update=not is_first)

    def close(self, by: StoppedBy = "connection") -> None:
        """Stop drawing traces of a run under way.

        A run that has not ended by now is shown as stopped, until its last trace arrives.

        Args:
            by: What stopped a run that has not ended. Its last trace always arrives before its outcome, unless the
                cell was interrupted or the connection was lost.
        """
        with self._lock:
            self._is_closed = True
            if self._drawn is not None and self._drawn.state == "running":
                self._draw(msgspec.structs.replace(self._drawn, state="stopped", stopped_by=by))

    def _draw(self, trace: Trace) -> None:
        from . import timeline

        before, self._drawn = self._drawn, trace
        self._publish(timeline.bundle(trace))
        if self._stopped_in is not None and (before is None or before.calls_in_all != trace.calls_in_all):
            self._show_stop(is_first=False)

    def _publish(self, bundle: Bundle) -> None:
        is_first, self._is_placed = not self._is_placed, True
        self._context.run(_publish, bundle, {}, transient={"display_id": self._id}, update=not is_first)
