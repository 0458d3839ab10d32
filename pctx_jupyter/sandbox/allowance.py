"""What one program may print and display. The sandbox counts too; what exceeds the limits here is not passed on."""

from __future__ import annotations

from msgspec import UNSET

from ..program.result import Display, Emit, Level, Output, Stream
from ..rpc import sandbox_wire
from ..settings import Limits

MARKER_BYTES = 100
"""Bytes the sandbox's own note about cut output may take beyond the limit."""

DISPLAY_COST = 200
"""Bytes a display counts for beyond its content; the sandbox counts with a little more."""


class OutputAllowance:
    """Passes on what one program prints and displays, up to its limits.

    Args:
        limits: Those of the program.
        emit: Receives the events.

    Attributes:
        passed: How many events were passed on.
    """

    def __init__(self, limits: Limits, emit: Emit) -> None:
        self._limits, self._emit = limits, emit
        self._output_left = limits.max_output_bytes + MARKER_BYTES
        self._display_left = limits.max_display_bytes
        self.passed = 0

    def print(self, stream: Stream, text: str, level: Level | None = None) -> None:
        """Pass on a text, or what is left of it within the limit. An empty text is dropped: it would cost nothing."""
        if self._output_left < 0 or not text:
            return
        encoded = text.encode()
        self._output_left -= len(encoded)
        if self._output_left < 0:
            # The sandbox counts too, and should have cut before us.
            kept = encoded[: self._output_left].decode(errors="ignore")
            text = f"{kept}\n… output cut after {self._limits.max_output_bytes} bytes (max_output_bytes)\n"
        self.passed += 1
        self._emit(Output(stream, text, level))

    def display(self, shown: sandbox_wire.Displayed) -> None:
        """Pass on a display that is within the limit."""
        metadata = None if shown.metadata is UNSET else shown.metadata
        sizes = [memoryview(part).nbytes for part in (shown.data, metadata) if part is not None]
        self._display_left -= DISPLAY_COST + sum(sizes)
        # The sandbox counts as well, and raises an error in the program. What exceeds the limit here is forged.
        if self._display_left >= 0:
            id = shown.display_id and shown.display_id[:DISPLAY_COST]
            self.passed += 1
            self._emit(Display(shown.data, metadata, id, shown.update, shown.is_value))
