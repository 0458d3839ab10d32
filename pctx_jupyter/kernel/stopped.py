"""Programs that a person stopped: the cell ends with an error, so that no further cell runs, and shows one quiet line.

A person who presses *Stop* knows that the program was stopped. A red error with a traceback would say nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import errors
from .functions.tracebacks import has_user_frames, traceback_of_user_frames
from .output.failure import ProgramFailed

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .output.publisher import Timeline


class Interrupted(KeyboardInterrupt):
    """A cell was interrupted while its program ran.

    Args:
        interrupt: As it was raised; it has a traceback if a tool was interrupted.
        timeline: The timeline of the run; None: there is none.
    """

    def __init__(self, interrupt: KeyboardInterrupt, timeline: Timeline | None) -> None:
        super().__init__("the program was stopped")
        self.timeline = timeline
        self.where = traceback_of_user_frames(interrupt) if has_user_frames(interrupt) else ""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback, where nothing else shows the stop."""
        return ["KeyboardInterrupt: the program was stopped", *(["", *self.where.split("\n")] if self.where else [])]


# Front ends and clients that run notebooks know an interrupt by this name.
Interrupted.__name__ = Interrupted.__qualname__ = KeyboardInterrupt.__name__
Interrupted.__module__ = KeyboardInterrupt.__module__


class StoppedByPerson(ProgramFailed):
    """Somebody stopped the program of a cell from elsewhere, such as JupyterLab's panel."""

    def __init__(self, error: errors.ExecutionStopped, timeline: Timeline | None) -> None:
        super().__init__(error)
        self.timeline, self.where = timeline, ""


StopError: TypeAlias = Interrupted | StoppedByPerson


def show_stops(shell: InteractiveShell) -> Callable[[], None]:
    """Show a quiet line in place of the errors of stopped programs; returns a function that ends this.

    A shell in which other exceptions have a handler of their own keeps that handler, and shows the errors.
    """
    owner: Any = shell  # IPython is not typed
    ours = (Interrupted, StoppedByPerson)
    if owner.custom_exceptions:
        return lambda: None
    owner.set_custom_exc(ours, _show)

    def forget() -> None:
        if owner.custom_exceptions == ours:
            owner.set_custom_exc((), None)

    return forget


def _show(
    shell: object, kind: type[BaseException], stop: StopError, traceback: object, tb_offset: object = None
) -> None:
    from .output import publisher

    if stop.timeline is not None:
        stop.timeline.show_stop(stop.where)
    else:
        publisher.show_stop(stop.where)
