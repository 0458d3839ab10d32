"""The timeline of a run: its trace as a MIME bundle, for every front end that shows notebooks.

JupyterLab draws the JSON; elsewhere bars of HTML without any script do, and in a terminal bars of text. All three stay
in the notebook's file, so all are bounded. Nothing here displays anything.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from operator import attrgetter

import msgspec

from ...session.consent import WAITS, WAITS_FOR_ANSWER
from ...session.trace import CUT_OFF, MIME, CallRecord, ConsoleLine, Trace, refused_call
from .display import Bundle, clean, shortened, size
from .markup import Markup, escape, page, tag, visible
from .run_words import decided, duration, headline, is_refused

MOST_JSON = 80_000
"""Bytes of JSON that one timeline has; the HTML has at most as many again."""

MOST_ROWS = 100
"""Calls that are drawn in HTML, the first ones and those that failed; JupyterLab draws all that are kept."""

MOST_LINE = 1000
"""Characters of one console message that a notebook's file keeps."""

MOST_LINES = 20
"""Rows that the text lists."""

MOST_READ = 1_000
"""Arguments of calls that stay read: a timeline is drawn several times, and has fewer calls than this."""

MOST_ARGUMENT = 40
"""Characters of an argument behind a name."""

TEXT_BAR = 20
"""Columns of a bar of text."""

COLUMNS = 80
"""Columns of a strip of HTML; calls in one column are one mark."""

FOR_TURN = "waits:"
"""How the note of a call begins that waits for its turn (`Guests.hindrance`)."""


def bundle(trace: Trace) -> Bundle:
    """Show how a run went, or how far it has come."""
    shown = without_cut_calls(trace)
    return {
        MIME: msgspec.to_builtins(fitted(trace)),
        "text/html": _html(shown),
        "text/plain": visible(_text(shown)),
    }


def reserved() -> Bundle:
    """Hold the place of a timeline that may follow; every front end shows nothing."""
    return {MIME: {"state": "reserved"}, "text/html": "", "text/plain": ""}


def fitted(trace: Trace) -> Trace:
    """The trace as a notebook's file keeps it: without the code, which the cell has, and cut to `MOST_JSON` bytes."""
    lines = [
        ConsoleLine(line.at_s, line.stream, shortened(line.text, MOST_LINE), line.level) for line in trace.console[:100]
    ]
    trace = msgspec.structs.replace(
        trace, code="", code_cut=False, console=lines, console_cut=trace.console_cut or len(lines) < len(trace.console)
    )
    for most_calls, most_chars in ((400, 500), (400, 100), (200, 40), (100, 0), (0, 0)):
        if _json_size(trace) <= MOST_JSON:
            break
        calls = [_cut(call, most_chars) for call in trace.calls[:most_calls]]
        trace = msgspec.structs.replace(trace, calls=calls, console=trace.console[:most_chars])
    return trace


def _json_size(trace: Trace) -> int:
    # As a notebook's file writes it: characters beyond ASCII take up to six bytes there.
    written = msgspec.json.encode(trace)
    return len(written) if written.isascii() else len(written) * 2


def _cut(call: CallRecord, most: int) -> CallRecord:
    return msgspec.structs.replace(
        call,
        tool=call.tool[:200],
        arguments=call.arguments[:most],
        result=call.result[:most],
        error=call.error and call.error[: most + 40],
        note=call.note and call.note[:40],
    )


# ── What there is to see ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where on the timeline a moment is. It begins with the end of the type check; `end_s` is the last known moment."""

    zero_s: float
    end_s: float

    def share(self, at_s: float) -> float:
        span_s = self.end_s - self.zero_s
        return min(1.0, max(0.0, (at_s - self.zero_s) / span_s)) if span_s > 0 else 0.0

    def step_s(self) -> float:
        """Return the step between the round times of the scale, about four of them; 0: there is no scale."""
        rough = (self.end_s - self.zero_s) / 4
        if rough < 1e-6:
            return 0.0
        power = 10.0 ** math.floor(math.log10(rough))
        return next((factor * power for factor in (1, 2, 5) if factor * power >= rough), 10 * power)


def _scale(trace: Trace) -> _Scale:
    known = [trace.duration_s or 0.0, *(call.ended_s or call.started_s for call in trace.calls)]
    check_s = 0.0 if trace.check is None else trace.check.duration_s
    return _Scale(min([check_s, *known[:1], *(call.started_s for call in trace.calls)]), max(known))


@dataclass(slots=True)
class _Group:
    """Consecutive calls of one tool; `left` more of them the trace only counts, and those ended by `left_until_s`."""

    tool: str
    calls: list[CallRecord]
    left: int = 0
    left_until_s: float = 0.0
    arguments: dict[int, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.calls) + self.left

    @property
    def title(self) -> str:
        """Its tool with the number of calls; for a single call, with its argument."""
        if self.count > 1:
            return f"{self.tool} × {self.count:,}"
        return _titled(self.calls[0], self.arguments)

    @property
    def took(self) -> str:
        if self.count == 1:
            return _took(self.calls[0])
        ended = [call.ended_s - call.started_s for call in self.calls if call.ended_s is not None]
        return f"mean {duration(sum(ended) / len(ended))}" if ended else "…"

    @property
    def said(self) -> str:
        """What there is to say of its calls."""
        if self.count == 1:
            return _said(self.calls[0])
        refused = sum(map(is_refused, self.calls))
        failed = sum(call.error is not None for call in self.calls) - refused
        return " · ".join(f"{count:,} {word}" for count, word in ((failed, "failed"), (refused, "denied")) if count)


def _groups(trace: Trace) -> list[_Group]:
    arguments = _distinguishing(trace.calls)
    groups = [
        _Group(tool, list(calls), arguments=arguments) for tool, calls in groupby(trace.calls, attrgetter("tool"))
    ]
    kept = Counter(call.tool for call in trace.calls)
    last = {group.tool: group for group in groups}
    for tally in trace.tools:
        if tally.tool in last and tally.calls > kept[tally.tool]:
            last[tally.tool].left, last[tally.tool].left_until_s = tally.calls - kept[tally.tool], tally.ended_s
    return groups


def _distinguishing(calls: list[CallRecord]) -> dict[int, str]:
    """The first argument of each call that differs from the tool's other calls, or that a single call has."""
    by_tool: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for call in calls:
        by_tool.setdefault(call.tool, []).append((call.call, _arguments(call.arguments)))
    found: dict[int, str] = {}
    for given in by_tool.values():
        names = dict.fromkeys(name for _, one in given for name in one)
        differing = (name for name in names if len({one.get(name) for _, one in given}) > 1)
        name = next(differing, next(iter(names), None) if len(given) == 1 else None)
        found |= {call: one[name][:MOST_ARGUMENT] for call, one in given if name is not None and name in one}
    return found


_ARGUMENT = re.compile(r'[{,]\s*("(?:[^"\\]|\\.)*")\s*:\s*("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*(?=[,}])|true|false|null)')
"""One argument that is a simple value, in the beginning of JSON."""


@functools.lru_cache(maxsize=MOST_READ)
def _arguments(text: str) -> dict[str, str]:
    """The arguments of a call as text, by name. Of JSON that is cut, those that are simple values before the cut."""
    try:
        given = json.loads(text)
    except ValueError:
        return _arguments_before_cut(text)
    except RecursionError:
        return {}
    if not isinstance(given, dict):
        return {}
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for name, value in given.items()
    }


def _arguments_before_cut(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while (match := _ARGUMENT.match(text, at)) is not None:
        try:
            name, value = json.loads(match[1]), json.loads(match[2])
        except ValueError:
            break
        found[name] = value if isinstance(value, str) else match[2]
        at = match.end()
    return found


def _titled(call: CallRecord, arguments: dict[int, str]) -> str:
    argument = " ".join(clean(arguments.get(call.call, "")).split())
    return f"{call.tool}  {argument}" if argument else call.tool


@dataclass(frozen=True, slots=True)
class _Phase:
    """A part of a call's time: `kind` is ``person`` while it waits for one, ``queued`` while it waits for its turn."""

    kind: str
    from_s: float
    to_s: float


def _phases(call: CallRecord, end_s: float) -> Iterator[_Phase]:
    from_s, note = call.started_s, call.note or ""
    until_s = end_s if call.ended_s is None else call.ended_s
    has_waited = False
    for kind, at_s in (("person", call.decided_s), ("queued", call.begun_s)):
        if at_s is not None:
            has_waited, to_s = True, min(max(at_s, from_s), until_s)
            yield _Phase(kind, from_s, to_s)
            from_s = to_s
    if note.startswith((WAITS, WAITS_FOR_ANSWER)):
        yield _Phase("person", from_s, until_s)
    elif note.startswith(FOR_TURN):
        yield _Phase("queued", from_s, until_s)
    elif not (is_refused(call) and has_waited):
        yield _Phase("work", from_s, until_s)


def without_cut_calls(trace: Trace) -> Trace:
    """The trace with the calls that a stop cut off as calls without an end, which are no failures."""
    if trace.state != "stopped":
        return trace
    cut = [call for call in trace.calls if call.error == CUT_OFF]
    calls = [
        msgspec.structs.replace(call, error=None, note=call.note or "cut off") if call.error == CUT_OFF else call
        for call in trace.calls
    ]
    return msgspec.structs.replace(trace, calls=calls, failed_calls=max(0, trace.failed_calls - len(cut)))


def _took(call: CallRecord) -> str:
    return duration(call.ended_s - call.started_s) if call.ended_s is not None else "…"


def _said(call: CallRecord) -> str:
    """Who decided what about a call, and what keeps it, or kept it to the end."""
    return clean(" · ".join(part for part in (decided(call), call.note) if part), 100)


def _shown(trace: Trace, most: int) -> set[int]:
    """The calls to be shown one by one, by number: the first ones, and others that failed."""
    first, others = trace.calls[:most], trace.calls[most:]
    failed = [call for call in others if call.error is not None][: most // 2]
    return {call.call for call in [*first[: most - len(failed)], *failed]}


def _more(count: int) -> str:
    return f"{count:,} more call{'s' if count != 1 else ''}" if count > 0 else ""


# ── Text ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(trace: Trace) -> str:
    scale, groups = _scale(trace), _groups(trace)
    shown = groups[:MOST_LINES]
    if len(groups) > MOST_LINES:
        failed = [one for one in groups[MOST_LINES:] if any(call.error is not None for call in one.calls)]
        failed = failed[: MOST_LINES // 2]
        shown = groups[: MOST_LINES - len(failed)] + failed
    width = min(max((len(group.title) for group in shown), default=0), 40)
    lines = [headline(trace)]
    for group in shown:
        errors = [call.error for call in group.calls if call.error is not None]
        said = [" ".join(text.split()) for text in (group.said, clean(errors[0], 60) if errors else "") if text]
        title = visible(group.title[:width], is_name=True)
        line = f"  {title:<{width}} {_text_bar(group, scale)} {group.took:>7}"
        lines.append("  ".join([line, *said]))
    note = _more(trace.calls_in_all - sum(group.count for group in shown))
    return "\n".join([*lines, *([f"  … {note}"] if note else [])])


def _text_bar(group: _Group, scale: _Scale) -> str:
    bar = ["·"] * TEXT_BAR
    for call in group.calls:
        begin = min(TEXT_BAR - 1, int(scale.share(call.started_s) * TEXT_BAR))
        ended_s = scale.end_s if call.ended_s is None else call.ended_s
        end = max(begin + 1, round(scale.share(ended_s) * TEXT_BAR))
        bar[begin:end] = "█" * (end - begin)
    return "".join(bar)


# ── HTML ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _html(trace: Trace) -> str:
    scale, groups = _scale(trace), _groups(trace)
    # A page cannot find out whether the run goes on.
    head = escape(headline(trace, running="running when saved"))
    kind = "wrong" if trace.state == "failed" and refused_call(trace) is None else "dim"
    for most_rows, most_chars in ((MOST_ROWS, 300), (MOST_ROWS, 60), (40, 0)):
        shown = _shown(trace, most_rows)
        rows = [row for group in groups for row in _group(group, scale, shown, most_chars)]
        note = _more(trace.calls_in_all - _listed(groups, shown))
        body = [_top(trace, scale), *_console(trace, scale), *rows]
        body += [tag("div", escape(note), kind="note")] if note else []
        folded = tag(
            "details",
            tag("summary", tag("span", head, kind=kind), Markup(" "), _overview(trace, scale)),
            *body,
            kind="timeline",
            attributes="open",
        )
        html = page(folded, style=STYLE)
        if len(html.encode()) <= MOST_JSON:
            return html
    return page(tag("div", head), style=STYLE)


def _listed(groups: list[_Group], shown: set[int]) -> int:
    """How many calls have a row, or are counted in that of their group."""
    return sum(group.count for group in groups if any(call.call in shown for call in group.calls))


def _overview(trace: Trace, scale: _Scale) -> Markup:
    # Its size is not in STYLE, which has no room for what each timeline has once.
    size_of_it = 'style="display:inline-block;width:160px;height:12px"'
    return tag("span", *_strip(trace.calls, scale), kind="track pctx-overview", attributes=size_of_it)


def _group(group: _Group, scale: _Scale, shown: set[int], most: int) -> Iterator[Markup]:
    """The row of a group, with the rows of its calls inside; or that of a single call. Nothing if none is shown."""
    calls = [call for call in group.calls if call.call in shown]
    if not calls:
        return
    if group.count == 1:
        yield _row(calls[0], scale, group.arguments, most)
        return
    marks = _strip(group.calls, scale)
    if group.left:
        end_s = max(call.ended_s or call.started_s for call in group.calls)
        marks.append(_span(scale, end_s, max(end_s, group.left_until_s), "queued"))
    line = _line(group.title, tag("span", *marks, kind="track"), group.took)
    said = [tag("span", escape(group.said), kind="said pctx-dim")] if group.said else []
    rows = [_row(call, scale, group.arguments, most) for call in calls]
    note = _more(group.count - len(calls))
    rows += [tag("div", escape(note), kind="note")] if note else []
    yield tag("details", tag("summary", line, *said), tag("div", *rows, kind="calls"), kind="call")


def _strip(calls: list[CallRecord], scale: _Scale) -> list[Markup]:
    """The columns in which calls work or wait, as marks; columns in which one failed are red."""
    begun = {kind: [0] * (COLUMNS + 1) for kind in ("failed", "work", "person", "queued")}  # the first is shown first
    for call in calls:
        phases = list(_phases(call, scale.end_s))
        if call.error is not None and not is_refused(call) and call.ended_s is not None:
            phases.append(_Phase("failed", call.ended_s, call.ended_s))
        for phase in phases:
            begin = min(COLUMNS - 1, int(scale.share(phase.from_s) * COLUMNS))
            end = max(begin + 1, round(scale.share(phase.to_s) * COLUMNS))
            begun[phase.kind][begin] += 1
            begun[phase.kind][end] -= 1
    open_at = {kind: list(accumulate(changes)) for kind, changes in begun.items()}
    columns = [next((kind for kind, counts in open_at.items() if counts[at]), "") for at in range(COLUMNS)]
    marks: list[Markup] = []
    at = 0
    for kind, same in groupby(columns):
        width = len(list(same))
        if kind:
            marks.append(_mark(f"left:{100 * at / COLUMNS:g}%;width:{100 * width / COLUMNS:g}%", kind))
        at += width
    return marks


def _row(call: CallRecord, scale: _Scale, arguments: dict[int, str], most: int) -> Markup:
    line = _line(_titled(call, arguments), _track(call, scale), _took(call))
    parts = [("arguments", call.arguments, call.argument_bytes), ("result", call.result, call.result_bytes)]
    payloads = [
        tag(
            "div",
            tag("span", escape(f"{name} ({size(bytes_)}) "), kind="dim"),
            tag("span", escape(text[:most] + ("…" if len(text) > most or bytes_ > len(text.encode()) else ""))),
            kind="told",
        )
        for name, text, bytes_ in parts
        if text and most
    ]
    if call.error is not None:
        kind = "dim" if is_refused(call) else "wrong"
        payloads.append(tag("div", tag("span", escape(clean(call.error, most or 60)), kind=kind), kind="told"))
    said = [tag("span", escape(text), kind="said pctx-dim")] if (text := _said(call)) else []
    if not payloads:
        return tag("div", line, *said, kind="call")
    started = f"started {duration(max(0.0, call.started_s - scale.zero_s))}"
    took = "" if call.ended_s is None else f", took {_took(call)}"
    payloads.insert(0, tag("div", escape(started + took), kind="told pctx-dim"))
    return tag("details", tag("summary", line, *said), *payloads, kind="call")


def _track(call: CallRecord, scale: _Scale) -> Markup:
    marks = []
    for phase in _phases(call, scale.end_s):
        kind = phase.kind
        if kind == "work" and call.error is not None:
            kind = "refused" if is_refused(call) else "failed"
        elif kind == "work" and call.ended_s is None:
            kind = "under-way"
        marks.append(_span(scale, phase.from_s, phase.to_s, "" if kind == "work" else kind))
    return tag("span", *marks, kind="track")


def _top(trace: Trace, scale: _Scale) -> Markup:
    """The type check, and the scale that begins where it ends."""
    check, step_s = trace.check, scale.step_s()
    mark = "" if check is None else {"passed": "✓", "failed": "✕", "unchecked": "–"}[check.outcome]
    stub = "" if check is None else f"{mark} {duration(check.duration_s)}"
    span_s = scale.end_s - scale.zero_s
    ticks = [
        tag("span", escape(duration(at * step_s)), kind="tick", attributes=f'style="left:{at * step_s / span_s:.2%}"')
        for at in range(1, 10)
        if step_s and at * step_s <= span_s * 0.9
    ]
    return tag(
        "div",
        tag(
            "span",
            tag("span", escape(stub), kind="tool pctx-stub"),
            Markup(" "),
            tag("span", *ticks, kind="track pctx-scale"),
            Markup(" "),
            tag("span", kind="took"),
            kind="line",
        ),
        kind="call pctx-dim",
    )


def _console(trace: Trace, scale: _Scale) -> list[Markup]:
    if not trace.console:
        return []
    marks = [
        _mark(
            f"left:{min(99.5, 100 * scale.share(line.at_s)):.2f}%;width:2px",
            "failed" if line.stream == "stderr" and line.level is None else "check",
        )
        for line in trace.console[:MOST_ROWS]
    ]
    count = len(trace.console)
    text = f"{count}{'+' if trace.console_cut else ''} line{'s' if count != 1 else ''}"
    return [tag("div", _line("console", tag("span", *marks, kind="track"), text), kind="call pctx-dim")]


def _line(name: str, track: Markup, text: str) -> Markup:
    return tag(
        "span",
        tag("span", escape(name[:100], is_name=True), kind="tool"),
        Markup(" "),
        track,
        Markup(" "),
        tag("span", escape(text), kind="took"),
        kind="line",
    )


def _span(scale: _Scale, from_s: float, to_s: float, kind: str) -> Markup:
    left, right = scale.share(from_s), scale.share(to_s)
    return _mark(f"left:{min(99.5, 100 * left):.2f}%;width:{100 * (right - left):.2f}%", kind)


def _mark(place: str, kind: str) -> Markup:
    return tag("span", kind=f"bar pctx-{kind}" if kind else "bar", attributes=f'style="{place}"')


STYLE = (
    ".pctx-line{display:inline-flex;width:90%}"
    ".pctx-tool{width:30%}"
    ".pctx-track{flex:1;position:relative}"
    ".pctx-bar,.pctx-tick{position:absolute}"
    ".pctx-bar{height:9px;min-width:2px;background:#38c}"
    ".pctx-failed{background:red}"
    ".pctx-refused,.pctx-person{background:#c70}"
    ".pctx-took{width:7em}"
)
"""How timelines look where our extension does not draw them; see `markup.STYLE`."""
