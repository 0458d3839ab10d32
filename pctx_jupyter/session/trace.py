"""The trace of one execution: what it ran, what it called and what came of it, small enough to keep and to show.

Built from the events that every listener receives. A trace is data: how it is drawn, where it is stored and who may
see it is decided elsewhere. Its JSON has the mime type `MIME`; times are seconds after `Trace.started_at`.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator
from typing import Literal

import msgspec
from msgspec import Raw

from ..errors import Failure
from ..program.result import (
    WIDENED,
    CallDecided,
    CallEnded,
    CallNoted,
    CallStarted,
    Event,
    Level,
    Output,
    Stream,
    TypesChecked,
)
from ..rpc import nonfinite
from ..tools.calls import AskedBy
from .meter import Meter

MIME = "application/vnd.pctx.trace+json"
"""What a notebook knows a trace by."""

NOTICE = "pctx_notice"
"""The key in the metadata of an output that shows guest programs: the server saves such outputs only where a setting
says so."""

MOST_CODE = 20_000
"""Characters of the program that are kept."""
MOST_CALLS = 400
"""Tool calls that are kept one by one: the first ones, and those that failed; the others are counted."""
MOST_PREVIEWS = 30_000
"""Characters of arguments, results and errors that all calls of a trace keep together."""
MOST_LINES = 200
"""Pieces of console output that are kept."""
MOST_CONSOLE = 20_000
"""Characters of console output that are kept."""

ENDED_WITHIN_S = {"caller": 3.0, "connection": 10.0}
"""Seconds from what ended a run first to the news that its kernel has ended. ``caller``: Jupyter interrupts a kernel
before it shuts it down. ``connection``: Jupyter looks every few seconds whether a kernel has died."""

WITHHELD = "(not for this notebook)"
"""Replaces a message that only its own notebook may see."""

CUT_OFF = "cancelled"
"""The error of a call that the end of its program cut off; whether the call took effect is unknown."""

INTERNAL = "internal error"
"""The error of a program or a call that a fault of pctx ended."""

DENIED = "Denied"
"""The name of the error that a program gets for a call that was not consented to."""

REFUSALS = {
    "denied": "a person denied it",
    "unanswered": "nobody answered",
    "forbidden": "the policy denies it",
}
"""What people read for a decision against a call (`consent.Decision`). These texts are never withheld."""

MOST_TALLIES = 50
"""Tools whose calls are counted one by one, so that a trace stays small."""

TraceState = Literal["running", "ok", "failed", "stopped"]
"""``stopped``: something ended it early (`StoppedBy`)."""

StoppedBy = Literal["person", "caller", "limit", "sandbox", "kernel", "connection"]
"""What ended a stopped program. ``person``: somebody pressed *Stop* in JupyterLab. ``caller``: its cell was
interrupted, or its agent cancelled it. ``sandbox``: its sandbox was killed, or was lost with its host. ``kernel``: its
kernel ended. ``connection``: its client's connection was lost."""


class CallRecord(msgspec.Struct, omit_defaults=True):
    """One tool call. `ended_s` is absent while it runs; previews are the beginning of the JSON.

    `note` is what delays it while it runs, and afterwards how its result has widened the observed type of the tool.
    `decision` is there when the call was not simply let pass: who decided what about it (`consent.Decision`).
    `decided_s` is the time of a person's decision, and `begun_s` the time at which a tool began that waited for its
    turn. Before them the call waited: for a person, then for its turn.
    """

    call: int
    tool: str
    started_s: float
    ended_s: float | None = None
    arguments: str = ""
    argument_bytes: int = 0
    result: str = ""
    result_bytes: int = 0
    error: str | None = None
    note: str | None = None
    decision: str | None = None
    decided_s: float | None = None
    begun_s: float | None = None


class ToolTally(msgspec.Struct, omit_defaults=True):
    """The calls of one tool, those that `Trace.calls` leaves out among them.

    `ended` of them have ended: they took `total_s` together, and the last one ended at `ended_s`. At most `most` were
    under way at once.
    """

    tool: str
    calls: int = 0
    ended: int = 0
    total_s: float = 0.0
    ended_s: float = 0.0
    most: int = 0


class ConsoleLine(msgspec.Struct, omit_defaults=True):
    """One piece of console output; `level` as in `result.Output`."""

    at_s: float
    stream: Stream
    text: str
    level: Level | None = None


class CheckRecord(msgspec.Struct, omit_defaults=True):
    """The type check before the run; `message` says what is wrong, or why that is unknown."""

    outcome: Literal["passed", "failed", "unchecked"]
    duration_s: float
    message: str | None = None


class ErrorRecord(msgspec.Struct, omit_defaults=True):
    """Why a program failed; line and column are 1-based, in its code."""

    name: str
    message: str
    line: int | None = None
    column: int | None = None
    frame: str | None = None


class Trace(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What is known of one execution.

    `notebook` is the name under which others see the notebook that ran it, `kernel_id` that notebook's kernel.
    `agent` is the name that an agent's client gives itself. `started_at` is in seconds since 1970. `calls_in_all` and
    `failed_calls` count what `calls` may leave out, and so do `tools`, in the order of their first calls. At most
    `most_at_once` calls were under way at once. Of code that is `code_cut`, only the beginning is there. `meter` says
    what it cost a model, when it has ended.
    """

    id: str
    code: str
    asked_by: AskedBy
    notebook: str | None = None
    kernel_id: str | None = None
    state: TraceState
    started_at: float
    duration_s: float | None = None
    check: CheckRecord | None = None
    console: list[ConsoleLine] = []
    console_cut: bool = False
    calls: list[CallRecord] = []
    calls_in_all: int = 0
    failed_calls: int = 0
    result: str = ""
    result_bytes: int = 0
    error: ErrorRecord | None = None
    code_cut: bool = False
    agent: str = ""
    stopped_by: StoppedBy | None = None
    tools: list[ToolTally] = []
    most_at_once: int = 0
    meter: Meter | None = None

    @property
    def has_failed(self) -> bool:
        """Whether it has failed, by its own fault or by that of its sandbox; what people stop has not."""
        return self.state == "failed" or self.stopped_by in ("limit", "sandbox")


class Recorder:
    """Builds the trace of one execution.

    Args:
        trace: As it is when the execution begins.
        elapsed: Returns the seconds since then.
        changed: Called after every change; it never waits.

    Attributes:
        called: The number of calls of tools that notebooks offer, by kernel. It is not part of the trace: notebooks
            save traces, and the owner of a tool must not learn whose other tools a program calls.
        ordinal: As `History.ordinal` returns it.
    """

    def __init__(self, trace: Trace, elapsed: Callable[[], float], changed: Callable[[], None]) -> None:
        self.trace = trace
        self._elapsed, self._changed = elapsed, changed
        self.called: dict[str, int] = {}
        self.ordinal = 0
        self._open: dict[int, CallRecord] = {}
        self._tallies: dict[str, ToolTally] = {}
        self._open_of: Counter[str] = Counter()
        self._previews_left, self._console_left = MOST_PREVIEWS, MOST_CONSOLE

    def record(self, event: Event) -> None:
        """Add an event to the trace. A trace that has ended no longer changes: such an event is dropped."""
        trace = self.trace
        if trace.state != "running":
            return
        match event:
            case Output(stream, text, level):
                self._print(stream, text, level)
            case CallStarted(call, tool, at_s, size, arguments):
                record = CallRecord(call, tool, round(at_s, 6), argument_bytes=size, arguments=self._preview(arguments))
                self._open[call] = record
                self._count(record)
                if len(trace.calls) < MOST_CALLS:
                    trace.calls.append(record)
            case CallEnded(call, _, at_s, size, error, result) if (ended := self._open.pop(call, None)) is not None:
                ended.ended_s, ended.result_bytes, ended.note = round(at_s, 6), size, None
                self._count_end(ended)
                ended.result = self._preview(result)
                if error is not None:
                    ended.error = self._preview(error[:500]) or error[:40]
                    trace.failed_calls += 1
                    if call > MOST_CALLS and len(trace.calls) < 2 * MOST_CALLS:
                        trace.calls.append(ended)
            case CallNoted(call, _, at_s, note):
                if (noted := self._open.get(call)) is not None:
                    if not note and noted.begun_s is None:
                        noted.begun_s = round(at_s, 6)
                    noted.note = note[:200] or None
                elif note.startswith(WIDENED) and (widening := self._ended(call)) is not None:
                    widening.note = note[:200]
            case CallDecided(call, _, at_s, decision, arguments):
                if (decided := self._open.get(call)) is not None:
                    if decided.note is not None:  # it waited for the person
                        decided.decided_s = round(at_s, 6)
                    decided.decision, decided.note = decision, None
                    if arguments is not None:
                        decided.arguments = self._preview(arguments)
            case TypesChecked(outcome, duration_s, message):
                trace.check = CheckRecord(outcome, round(duration_s, 6), message and message[:2000])
        self._changed()

    def count_for(self, kernel_id: str) -> None:
        """Count a call of a tool that the notebook of this kernel offers."""
        self.called[kernel_id] = self.called.get(kernel_id, 0) + 1
        if self.called[kernel_id] == 1:
            self._changed()

    def end(
        self,
        state: TraceState,
        *,
        value: Raw | None = None,
        failure: Failure | None = None,
        stopped_by: StoppedBy | None = None,
    ) -> None:
        """Record how it ended; does nothing the second time."""
        trace = self.trace
        if trace.state != "running":
            return
        trace.state, trace.duration_s, trace.stopped_by = state, round(self._elapsed(), 6), stopped_by
        for record in self._open.values():
            record.ended_s = trace.duration_s
            self._count_end(record)
        self._open.clear()
        if value is not None:
            trace.result_bytes, trace.result = memoryview(value).nbytes, preview(value, 2_000)
        if failure is not None:
            frame = failure.frame and failure.frame[:4000]
            trace.error = ErrorRecord(failure.name, failure.message[:4000], failure.line, failure.column, frame)
        self._changed()

    def json(self) -> Raw:
        """The trace as it is now, as JSON."""
        return Raw(msgspec.json.encode(self.now()))

    def now(self) -> Trace:
        """The trace as it is now; while it runs, its duration is that so far."""
        if self.trace.state != "running":
            return self.trace
        return msgspec.structs.replace(self.trace, duration_s=round(self._elapsed(), 6))

    def _count(self, begun: CallRecord) -> None:
        trace, tool = self.trace, begun.tool
        trace.calls_in_all += 1
        trace.most_at_once = max(trace.most_at_once, len(self._open))
        if tool not in self._tallies and len(self._tallies) < MOST_TALLIES:
            self._tallies[tool] = ToolTally(tool)
            trace.tools.append(self._tallies[tool])
        if (tally := self._tallies.get(tool)) is not None:
            self._open_of[tool] += 1
            tally.calls += 1
            tally.most = max(tally.most, self._open_of[tool])

    def _count_end(self, ended: CallRecord) -> None:
        if (tally := self._tallies.get(ended.tool)) is not None and ended.ended_s is not None:
            self._open_of[ended.tool] -= 1
            tally.ended += 1
            tally.total_s = round(tally.total_s + ended.ended_s - ended.started_s, 6)
            tally.ended_s = ended.ended_s

    def _ended(self, call: int) -> CallRecord | None:
        """The record of a call that has ended, most likely a moment ago."""
        return next((record for record in reversed(self.trace.calls) if record.call == call), None)

    def _preview(self, text: str) -> str:
        kept = text[: self._previews_left]
        self._previews_left -= len(kept)
        return kept

    def _print(self, stream: Stream, text: str, level: Level | None) -> None:
        trace = self.trace
        if self._console_left <= 0 or len(trace.console) >= MOST_LINES:
            trace.console_cut = True
            return
        kept = text[: self._console_left]
        self._console_left -= len(kept)
        trace.console_cut |= len(kept) < len(text)
        trace.console.append(ConsoleLine(round(self._elapsed(), 6), stream, kept, level))


def for_owner(trace: Trace, calls: Collection[int]) -> Trace:
    """Return what the owner of some of the called tools may know of a guest program's execution.

    The owner's calls are passed through unchanged. The other calls are reduced to the fact that they happened: the
    owner may not be allowed to call their tools. What the program printed and returned may hold results of those tools,
    or values of its own notebook. It is included only where an agent's program called no tools of anyone else.

    Args:
        calls: The numbers of the owner's calls.
    """
    records = [record if record.call in calls else _outline(record) for record in trace.calls]
    if trace.asked_by == "agent" and trace.calls_in_all == len(calls):
        return msgspec.structs.replace(trace, calls=records)
    error = trace.error and msgspec.structs.replace(trace.error, name="Error", message=WITHHELD)
    if trace.stopped_by is not None:
        error = trace.error  # the host stopped the program, and its text says why
    if error is not None and (refused := refused_call(trace)) is not None:
        # Made of what the host has decided, not of the program's error, whose text may hold anything.
        error = ErrorRecord(DENIED, f"Cannot call {refused.tool}: {REFUSALS[str(refused.decision)]}", error.line)
    return msgspec.structs.replace(
        trace, calls=records, console=[], console_cut=False, result="", error=error, meter=None
    )


def _outline(record: CallRecord) -> CallRecord:
    error = None if record.error is None else REFUSALS.get(record.decision or "", WITHHELD)
    return msgspec.structs.replace(record, arguments="", result="", error=error, note=None)


def refused_call(trace: Trace) -> CallRecord | None:
    """The call whose denial ended a program; None: it did not end so."""
    if trace.state != "failed" or trace.error is None or trace.error.name != DENIED:
        return None
    return next((one for one in reversed(trace.calls) if one.decision in REFUSALS and one.error is not None), None)


def preview(payload: Raw | None, most: int = 500) -> str:
    """The beginning of a payload's JSON, `most` bytes of it at most; NaN and the infinities are there by name."""
    if payload is None:
        return ""
    return nonfinite.beginning(payload, most).decode(errors="ignore")


class History:
    """The latest executions of an engine, those that run among them.

    Args:
        most: How many are kept; those that run are never left out.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._recorders: OrderedDict[str, Recorder] = OrderedDict()
        self._added = 0

    def __iter__(self) -> Iterator[Trace]:
        """The latest first."""
        return (recorder.trace for recorder in reversed(list(self._recorders.values())))

    def __len__(self) -> int:
        return len(self._recorders)

    def add(self, key: str, recorder: Recorder) -> None:
        """Keep an execution, and forget the oldest that is over."""
        self._recorders[key] = recorder
        self._added += 1
        recorder.ordinal = self._added
        for old in list(self._recorders):
            if len(self._recorders) <= self._most:
                break
            if self._recorders[old].trace.state != "running":
                del self._recorders[old]

    def kernel_ended(self, kernel_id: str, at: float, *, is_known: bool) -> None:
        """Record that a kernel has ended, for its executions that were stopped just before.

        Before Jupyter shuts a kernel down, it interrupts the kernel. So a restart looks like an interrupt at first. A
        kernel that dies looks like a lost connection, until Jupyter has noticed.

        Args:
            kernel_id: The kernel.
            at: The time, in seconds since 1970.
            is_known: Whether Jupyter says so; otherwise its connection has ended, and nothing more is known.
        """
        for recorder in self._recorders.values():
            trace = recorder.trace
            if trace.kernel_id == kernel_id and (trace.stopped_by == "caller" or is_known):
                ended_at = trace.started_at + (trace.duration_s or 0.0)
                if at - ended_at <= ENDED_WITHIN_S.get(trace.stopped_by or "", -1.0):
                    trace.stopped_by = "kernel"

    def get(self, key: str) -> Trace | None:
        """The execution of this key, if it is still known."""
        found = self._recorders.get(key)
        return found.trace if found is not None else None

    def ordinal(self, key: str) -> int:
        """Which one it is of all executions so far, from 1 on, those forgotten among them; 0: it is not known."""
        found = self._recorders.get(key)
        return found.ordinal if found is not None else 0

    def called(self, key: str) -> dict[str, int]:
        """The number of calls of tools that notebooks offer, by kernel, of the execution of this key."""
        found = self._recorders.get(key)
        return dict(found.called) if found is not None else {}
