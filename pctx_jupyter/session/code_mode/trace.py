"""Makes the trace that clients of the session API expect from the events and calls of one execution.

The clients refuse a result whose trace is not complete, or has an event of an unknown type. So there are exactly three
types of events here, each with all of its fields.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Raw

from ...program.check import Diagnostic
from ...program.result import Event, TypesChecked
from ...rpc import nonfinite
from ...tools.tool import Tool
from ..execution import CallMade, id_of
from . import messages
from .fit import TOO_MUCH_KEPT, cut_value, is_readable

KEPT_BYTES = 4 << 20
"""Bytes of arguments and results of calls that one trace keeps; the client has seen its own already."""

NANOS = 1_000_000_000


class TraceMaker:
    """Collects what one execution does.

    Args:
        code: The program.
        now: Seconds since 1970.
        is_own: Whether a tool is one of the client's; otherwise it is an MCP server's.
    """

    def __init__(self, code: str, now: Callable[[], float], is_own: Callable[[Tool], bool]) -> None:
        self._code, self._now, self._is_own = code, now, is_own
        self._began = now()
        self._events: list[
            tuple[float, messages.TypeCheckEvent | messages.McpToolCall | messages.CallbackInvocation]
        ] = []
        self._left = KEPT_BYTES
        self.wrong: list[str] = []
        """What is wrong with the program's types, a line each: ``Line 3, Column 45: TS2322: …``."""

    def receive(self, event: Event) -> None:
        """Take in one event of the execution."""
        if not isinstance(event, TypesChecked) or event.outcome == "unchecked":
            return
        self.wrong = [
            f"Line {d.line}, Column {d.column}: TS{d.code}: {d.message}"
            for d in event.diagnostics
            if d.severity == "error"
        ]
        found = messages.TypesFailed([_diagnostic(one) for one in event.diagnostics])
        started_s = max(event.at_s - event.duration_s, 0.0)
        checked = messages.TypeCheckEvent(
            outcome=found if event.outcome == "failed" else messages.TypesPassed(),
            started_at=self._at(started_s),
            ended_at=self._at(event.at_s),
        )
        self._events.append((started_s, checked))

    def observe(self, call: CallMade) -> None:
        """Take in one call that has ended."""
        outcome: messages.CallSucceeded | messages.CallFailed
        if call.error is None:
            outcome = messages.CallSucceeded(self._kept(call.result))
        else:
            outcome = messages.CallFailed(call.error)
            self._left -= len(call.error)
        args, started_at, ended_at = self._kept(call.arguments), self._at(call.started_s), self._at(call.ended_s)
        tool = call.tool.first
        made: messages.McpToolCall | messages.CallbackInvocation
        if self._is_own(tool):
            made = messages.CallbackInvocation(
                id=id_of(tool), args=args, outcome=outcome, started_at=started_at, ended_at=ended_at
            )
        else:
            made = messages.McpToolCall(
                server=tool.registered_namespace,
                tool=tool.registered_name,
                cached_client=True,  # the engine keeps its connections open
                args=args,
                outcome=outcome,
                started_at=started_at,
                ended_at=ended_at,
            )
        self._events.append((call.started_s, made))

    def trace(self) -> messages.TypescriptTrace:
        """Return the trace, its events in the order in which they began."""
        events = [event for _, event in sorted(self._events, key=lambda one: one[0])]
        return messages.TypescriptTrace(self._code, _moment(self._began), _moment(self._now()), events)

    def _at(self, seconds: float) -> messages.SystemTime:
        return _moment(self._began + seconds)

    def _kept(self, payload: Raw | None) -> Raw | None:
        """Return a payload as clients can read it, or what stands in its place."""
        if payload is None:
            return None
        self._left -= memoryview(payload).nbytes
        if self._left < 0:
            return cut_value(TOO_MUCH_KEPT)
        plain = nonfinite.plain(payload)
        return plain if is_readable(plain) else cut_value("it is nested too deeply, or has too long a number")


def _diagnostic(found: Diagnostic) -> messages.TypeDiagnostic:
    return messages.TypeDiagnostic(found.message, found.severity, found.line, found.column, found.code)


def _moment(seconds: float) -> messages.SystemTime:
    nanos = round(seconds * NANOS)
    return messages.SystemTime(nanos // NANOS, nanos % NANOS)
