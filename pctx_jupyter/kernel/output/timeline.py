"""The timeline of a run: its trace as a MIME bundle, for every front end that shows notebooks.

JupyterLab draws the JSON; elsewhere bars of HTML without any script do, and in a terminal bars of text. All three stay
in the notebook's file, so all are bounded. Nothing here displays anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ...session.trace import MIME, CallRecord, ConsoleLine, Trace
from .display import Bundle, clean, size
from .markup import Markup, escape, page, tag, visible

MOST_JSON = 80_000
"""Bytes of JSON that one timeline has; the HTML has at most as many again."""

MOST_ROWS = 100
"""Calls that are drawn in HTML, the first ones and those that failed; JupyterLab draws all that are kept."""

MOST_LINES = 20
"""Calls that the text lists."""

OPEN_ROWS = 8
"""Calls up to which the timeline is unfolded in HTML."""

TEXT_BAR = 20
"""Columns of a bar of text."""


DECISIONS = {
    "allowed": "allowed",
    "edited": "allowed as changed",
    "granted": "always allowed",
    "denied": "denied",
    "unanswered": "not answered",
    "forbidden": "denied by the policy",
}
"""What people read for an `approvals.Decision`."""


def bundle(trace: Trace) -> Bundle:
    """Show how a run went, or how far it has come."""
    return {
        MIME: msgspec.to_builtins(fitted(trace)),
        "text/html": _html(trace),
        "text/plain": visible(_text(trace)),
    }


def reserved() -> Bundle:
    """Hold the place of a timeline that may follow; every front end shows nothing."""
    return {MIME: {"state": "reserved"}, "text/html": "", "text/plain": ""}


def fitted(trace: Trace) -> Trace:
    """The trace as a notebook's file keeps it: without the code, which the cell has, and cut to `MOST_JSON` bytes."""
    lines = [ConsoleLine(line.at_s, line.stream, line.text[:200], line.level) for line in trace.console[:100]]
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
    """Where on the timeline a moment is. `end_s` is the last one that is known of."""

    end_s: float

    def share(self, at_s: float) -> float:
        return min(1.0, max(0.0, at_s / self.end_s)) if self.end_s > 0 else 0.0


def _scale(trace: Trace) -> _Scale:
    known = [trace.duration_s or 0.0, *(call.ended_s or call.started_s for call in trace.calls)]
    return _Scale(max(known))


def concurrency(calls: list[CallRecord]) -> int:
    """How many calls were under way at the same time."""
    moments = [(call.started_s, 1) for call in calls]
    moments += [(call.ended_s, -1) for call in calls if call.ended_s is not None]
    most = now = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


def _headline(trace: Trace) -> str:
    """``12 tool calls, 2 failed, up to 4 at once · 1.2 s``."""
    count = trace.calls_in_all
    calls = f"{count:,} tool call{'s' if count != 1 else ''}"
    if trace.failed_calls:
        calls += f", {trace.failed_calls:,} failed"
    if (most := concurrency(trace.calls)) > 1:
        calls += f", up to {most} at once"
    ends = {"running": "running …", "stopped": "stopped", "failed": "failed"}
    state = ends.get(trace.state, "")
    took = "" if trace.duration_s is None else duration(trace.duration_s)
    return " · ".join(part for part in (calls, took, state) if part)


def duration(seconds: float) -> str:
    """A time for people: ``0.4 ms``, ``120 ms``, ``1.25 s``, ``2 min 5 s``."""
    if seconds < 0.0095:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def _took(call: CallRecord) -> str:
    return duration(call.ended_s - call.started_s) if call.ended_s is not None else "…"


def _said(call: CallRecord) -> str:
    """Who decided what about a call, and what keeps it, or kept it to the end."""
    decision = call.decision and DECISIONS.get(call.decision, call.decision)
    return clean(" · ".join(part for part in (decision, call.note) if part), 100)


def _rows(trace: Trace, most: int) -> tuple[list[CallRecord], str]:
    """The calls to be shown, in the order in which they began, and a note on those that are not."""
    shown = trace.calls
    if len(shown) > most:
        failed = [call for call in shown[most:] if call.error is not None][: most // 2]
        shown = shown[: most - len(failed)] + failed
    left = trace.calls_in_all - len(shown)
    return shown, f"{left:,} more calls" if left > 0 else ""


# ── Text ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(trace: Trace) -> str:
    scale = _scale(trace)
    shown, note = _rows(trace, MOST_LINES)
    width = max((len(call.tool) for call in shown), default=0)
    width = min(width, 40)
    lines = [_headline(trace)]
    for call in shown:
        said = f"  {' '.join(text.split())}" if (text := _said(call)) else ""
        error = f"  {' '.join(clean(call.error, 60).split())}" if call.error else ""
        tool = visible(call.tool[:width], is_name=True)
        lines.append(f"  {tool:<{width}} {_text_bar(call, scale)} {_took(call):>7}{said}{error}")
    return "\n".join([*lines, *([f"  … {note}"] if note else [])])


def _text_bar(call: CallRecord, scale: _Scale) -> str:
    begin = min(TEXT_BAR - 1, int(scale.share(call.started_s) * TEXT_BAR))
    ended_s = scale.end_s if call.ended_s is None else call.ended_s
    end = max(begin + 1, round(scale.share(ended_s) * TEXT_BAR))
    return "·" * begin + "█" * (end - begin) + "·" * (TEXT_BAR - end)


# ── HTML ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _html(trace: Trace) -> str:
    scale = _scale(trace)
    for most_rows, most_chars in ((MOST_ROWS, 300), (MOST_ROWS, 60), (40, 0)):
        shown, note = _rows(trace, most_rows)
        rows = [_row(call, scale, most_chars) for call in shown]
        body = [*_check(trace, scale), *_console(trace, scale), *rows]
        body += [tag("div", escape(note), kind="note")] if note else []
        folded = tag(
            "details",
            tag("summary", tag("span", escape(_headline(trace)), kind="wrong" if trace.state == "failed" else "dim")),
            *body,
            kind="timeline",
            attributes="open" if len(shown) <= OPEN_ROWS else "",
        )
        html = page(folded, style=STYLE)
        if len(html.encode()) <= MOST_JSON:
            return html
    return page(tag("div", escape(_headline(trace))), style=STYLE)


def _row(call: CallRecord, scale: _Scale, most: int) -> Markup:
    kind = "failed" if call.error is not None else "under-way" if call.ended_s is None else ""
    ended_s = scale.end_s if call.ended_s is None else call.ended_s
    line = _line(call.tool, _bar(scale, call.started_s, ended_s, kind), _took(call))
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
        payloads.append(tag("div", tag("span", escape(clean(call.error, most or 60)), kind="wrong"), kind="told"))
    said = [tag("span", escape(text), kind="said pctx-dim")] if (text := _said(call)) else []
    if not payloads:
        return tag("div", line, *said, kind="call")
    return tag("details", tag("summary", line, *said), *payloads, kind="call")


def _check(trace: Trace, scale: _Scale) -> list[Markup]:
    if trace.check is None:
        return []
    line = _line("type check", _bar(scale, 0.0, trace.check.duration_s, "check"), duration(trace.check.duration_s))
    return [tag("div", line, kind="call pctx-dim")]


def _console(trace: Trace, scale: _Scale) -> list[Markup]:
    if not trace.console:
        return []
    marks = [
        _mark(
            f"left:{100 * scale.share(line.at_s):.2f}%;width:2px",
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


def _bar(scale: _Scale, began_s: float, ended_s: float, kind: str) -> Markup:
    left, right = scale.share(began_s), scale.share(ended_s)
    return tag("span", _mark(f"left:{100 * left:.2f}%;width:{100 * (right - left):.2f}%", kind), kind="track")


def _mark(place: str, kind: str) -> Markup:
    return tag("span", kind=f"bar pctx-{kind}" if kind else "bar", attributes=f'style="{place}"')


STYLE = """
.pctx-timeline{margin:2px 0;max-width:60em}
.pctx-timeline .pctx-call>summary{list-style:none;cursor:pointer}
.pctx-timeline .pctx-call>summary::-webkit-details-marker{display:none}
.pctx-timeline .pctx-line{display:flex;align-items:center;gap:8px;padding:1px 0 1px 1.1em}
.pctx-timeline .pctx-tool{flex:0 0 30%;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;
font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace)}
.pctx-timeline .pctx-track{position:relative;flex:1;height:10px;background:rgba(128,128,128,.12);border-radius:2px}
.pctx-timeline .pctx-bar{position:absolute;top:0;bottom:0;min-width:2px;border-radius:2px;
background:var(--jp-brand-color1,#3182c4)}
.pctx-timeline .pctx-bar.pctx-check{background:rgba(128,128,128,.6)}
.pctx-timeline .pctx-bar.pctx-failed{background:var(--jp-error-color1,#e04848)}
.pctx-timeline .pctx-bar.pctx-under-way{opacity:.55}
.pctx-timeline .pctx-took{flex:0 0 6.5em;text-align:right;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.pctx-timeline .pctx-said{display:block;margin:0 0 2px 1.1em;overflow-wrap:anywhere}
.pctx-timeline .pctx-told{margin:0 0 2px 2.2em;white-space:pre-wrap;overflow-wrap:anywhere;
font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace)}
""".replace("\n", "")
"""How timelines look, beside `markup.STYLE`."""
