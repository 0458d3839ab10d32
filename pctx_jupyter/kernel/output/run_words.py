"""A run in words for people: what it called, how long it took, how it ended, what a person decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ...session.trace import REFUSALS, CallRecord, ToolTally, Trace, refused_call
from .display import clean

MOST_NAMED = 4
"""Tools that the headline names."""
ASKERS = {"agent": "requested by an agent", "notebook": "requested by another notebook"}
"""What people read about a program that is not of this notebook, by `Trace.asked_by`."""
DECISIONS = {
    "allowed": "allowed",
    "edited": "allowed as changed",
    "granted": "allowed before",
    "denied": "denied by you",
    "unanswered": "not answered",
    "forbidden": "denied by the policy",
}
"""What people read for an `consent.Decision`."""


def is_refused(call: CallRecord) -> bool:
    """Whether a person or the policy denied it, or nobody answered: it did not fail by itself."""
    return call.decision in REFUSALS and call.error is not None


def concurrency(calls: Iterable[CallRecord]) -> int:
    """How many calls were under way at the same time."""
    moments = [
        moment
        for call in calls
        for moment in ((call.started_s, 1), *([(call.ended_s, -1)] if call.ended_s is not None else []))
    ]
    most = now = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


def headline(trace: Trace, running: str = "running …") -> str:
    """``625 calls · findPlaces 1 · utcOffset 624 (mean 11 ms, up to 64 at once) · 7.40 s``.

    Args:
        running: How a run that goes on is described.
    """
    count = trace.calls_in_all
    tallies = trace.tools or _tallies(trace.calls)
    shorts = Counter(_short(tally.tool) for tally in tallies)
    named = [_tallied(tally, shorts, is_alone=len(tallies) == 1) for tally in tallies[:MOST_NAMED]]
    others = len(tallies) - len(named)
    refused = sum(map(is_refused, trace.calls))
    failed = trace.failed_calls - refused
    parts = [
        f"{count:,} call{'s' if count != 1 else ''}",
        *named,
        f"{others} more tool{'s' if others > 1 else ''}" if others > 0 else "",
        f"{failed:,} failed" if failed > 0 else "",
        f"{refused:,} denied" if refused else "",
        "" if trace.duration_s is None else duration(trace.duration_s),
        running if trace.state == "running" else ending(trace),
        ASKERS.get(trace.asked_by, ""),
    ]
    return " · ".join(part for part in parts if part)


def _tallies(calls: list[CallRecord]) -> list[ToolTally]:
    """Count calls by tool, of a trace that does not count them."""
    found: dict[str, list[CallRecord]] = {}
    for call in calls:
        found.setdefault(call.tool, []).append(call)
    tallies = []
    for tool, of_tool in found.items():
        took = [call.ended_s - call.started_s for call in of_tool if call.ended_s is not None]
        tallies.append(ToolTally(tool, len(of_tool), len(took), sum(took), most=concurrency(of_tool)))
    return tallies


def _tallied(tally: ToolTally, shorts: Counter[str], *, is_alone: bool) -> str:
    short = _short(tally.tool)
    name = clean(short if shorts[short] == 1 else tally.tool, 60)
    about = [
        f"mean {duration(tally.total_s / tally.ended)}" if tally.calls > 1 and tally.ended else "",
        f"up to {tally.most} at once" if tally.most > 1 else "",
    ]
    counted = name if is_alone else f"{name} {tally.calls:,}"
    told = ", ".join(part for part in about if part)
    return f"{counted} ({told})" if told else counted


def _short(tool: str) -> str:
    return tool.rpartition(".")[2]


def ending(trace: Trace) -> str:
    """How a run ended, in words; empty if it ended well."""
    if trace.state in ("ok", "running"):
        return ""
    if (refused := refused_call(trace)) is not None:
        return decided(refused)
    match trace.stopped_by:
        case "person":
            return "stopped by you"
        case "caller":
            return {"cell": "stopped by you", "agent": "stopped by the agent"}.get(
                trace.asked_by, "stopped by its caller"
            )
        case "limit":
            return "stopped at a limit"
        case "sandbox":
            return "cut off · its sandbox ended"
        case "kernel":
            return "cut off · the kernel was restarted"
        case "connection":
            return "cut off · the connection was lost"
        case None:
            return trace.state


def decided(call: CallRecord) -> str:
    """The decision on a call, in words."""
    if call.decision is None:
        return ""
    if call.decision == "unanswered" and call.decided_s is not None and call.decided_s - call.started_s >= 1:
        return f"not answered in {waited(call.decided_s - call.started_s)}"
    return DECISIONS.get(call.decision, call.decision)


def waited(seconds: float) -> str:
    """A time that somebody waited, in few words: ``2 min``, ``45 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return " ".join([*([f"{minutes} min"] if minutes else []), *([f"{rest} s"] if rest or not minutes else [])])


def duration(seconds: float) -> str:
    """A time for people: ``0.4 ms``, ``120 ms``, ``1.25 s``, ``2 min 5 s``."""
    if seconds < 0.0095:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"
