"""What the tool calls of one program did, in the words that an agent needs to go on. Pure: events in, text out.

A call is done, failed, not sent (nobody consented to it) or under way when its program ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..program.result import CallDecided, CallEnded, CallStarted, Event
from ..session.trace import CUT_OFF
from .headings import Heading

MAX_NAMED = 6
"""Tools that one sentence names; the others are counted."""
MAX_REASON = 160
"""Characters of one tool's error in a warning."""

REFUSED = frozenset({"denied", "unanswered", "forbidden"})
"""Decisions after which a call was not sent."""


@dataclass(slots=True)
class _Open:
    """A call under way, and the line of the program that made it; None: unknown."""

    tool: str
    line: int | None
    is_refused: bool = False


@dataclass(slots=True)
class CallSummary:
    """The calls of one program so far."""

    made: int = 0
    last_line: int | None = None
    _open: dict[int, _Open] = field(default_factory=dict)
    _done: Counter[str] = field(default_factory=Counter)
    _failed: Counter[str] = field(default_factory=Counter)
    _refused: Counter[str] = field(default_factory=Counter)
    _reasons: dict[str, str] = field(default_factory=dict)
    _cut_off: list[_Open] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Take in an event; those that are not about calls change nothing."""
        match event:
            case CallStarted(call, tool, line=line):
                self.made += 1
                self.last_line = line
                self._open[call] = _Open(tool, line)
            case CallDecided(call, _, _, decision) if decision in REFUSED and call in self._open:
                self._open[call].is_refused = True
            case CallEnded(call, error=error) if call in self._open:
                self._end(self._open.pop(call), error)

    def _end(self, call: _Open, error: str | None) -> None:
        if error is None:
            self._done[call.tool] += 1
        elif call.is_refused:
            self._refused[call.tool] += 1
        elif error == CUT_OFF:
            self._cut_off.append(call)
        else:
            self._failed[call.tool] += 1
            self._reasons.setdefault(call.tool, _reason(error))

    @property
    def counted(self) -> str:
        """How many there were: ``after 3 calls (Mail.sendReport done)``, or ``0 calls made``."""
        if not self.made:
            return ", 0 calls made"
        return f" after {_calls(self.made)} ({self._outcomes()})"

    @property
    def under_way(self) -> str:
        """A sentence on where the program was when it was stopped; empty if its calls do not show that."""
        if self._cut_off:
            shown = ", ".join(dict.fromkeys(_at(call) for call in self._cut_off[:MAX_NAMED]))
            more = len(self._cut_off) - MAX_NAMED
            rest = f" and {more:,} more" if more > 0 else ""
            return f"{Heading.UNDER_WAY}{shown}{rest}; whether it took effect is unknown."
        if self.last_line is not None:
            return f"{Heading.LAST_CALL.of(self.last_line)}, and had ended."
        return ""

    def warnings(self) -> Iterable[str]:
        """One line for each thing about the calls of a program that ended well, of which its value may say nothing."""
        if self._refused:
            yield f"{Heading.NOT_SENT}{_listed(self._refused)}. {Heading.DO_NOT_RETRY}."
        if self._failed:
            first = next(iter(self._failed))
            yield (
                f"{Heading.CALLS_FAILED.of(self._failed.total(), self.made)}{_s(self.made)} failed: "
                f"{_listed(self._failed)} "
                f"({first}: {self._reasons[first]})"
            )

    @property
    def refused(self) -> str:
        """What to do about calls without consent; nothing where there are none."""
        return f"{Heading.DO_NOT_RETRY}." if self._refused else ""

    def _outcomes(self) -> str:
        cut_off = Counter(call.tool for call in self._cut_off)
        cut_off.update(call.tool for call in self._open.values())
        parts = [
            f"{_listed(counts)} {word}"
            for counts, word in (
                (self._done, "done"),
                (self._failed, "failed"),
                (self._refused, "not sent"),
                (cut_off, "under way"),
            )
            if counts
        ]
        return ", ".join(parts)


def _reason(error: str) -> str:
    """The beginning of an error in one line; of a traceback, its last line, which says what went wrong."""
    lines = error.strip().splitlines()
    if len(lines) > 1 and "Traceback (most recent call last)" in lines[0]:
        error = lines[-1]
    return " ".join(error.split())[:MAX_REASON]


def _calls(number: int) -> str:
    return f"{number:,} call{_s(number)}"


def _s(number: int) -> str:
    return "" if number == 1 else "s"


def _listed(counts: Counter[str]) -> str:
    named = [f"{tool} {count:,} times" if count > 1 else tool for tool, count in list(counts.items())[:MAX_NAMED]]
    more = len(counts) - MAX_NAMED
    return ", ".join(named) + (f" and {more:,} other tools" if more > 0 else "")


def _at(call: _Open) -> str:
    return call.tool if call.line is None else f"{call.tool}, called in line {call.line:,}"
