"""Timelines: from a trace to what is shown of it. Pure; for a browser an HTML parser stands."""

from __future__ import annotations

import json

import pytest

from pctx_jupyter.kernel.output import run_words, timeline
from pctx_jupyter.kernel.output.display import Bundle
from pctx_jupyter.session.trace import (
    MIME,
    MOST_CALLS,
    CallRecord,
    CheckRecord,
    ConsoleLine,
    ErrorRecord,
    ToolTally,
    Trace,
)

from .test_display import ALLOWED_ATTRIBUTES, ALLOWED_TAGS, HOSTILE, Seen


def trace(*calls: CallRecord, **more: object) -> Trace:
    known: dict[str, object] = {"state": "ok", "duration_s": 2.0, "calls_in_all": len(calls)}
    known["failed_calls"] = sum(call.error is not None for call in calls)
    return Trace(id="e", code="secret code", asked_by="cell", started_at=0.0, calls=list(calls), **known | more)  # type: ignore[arg-type]


def call(number: int, started_s: float, ended_s: float | None, tool: str = "Sales.load", **more: object) -> CallRecord:
    return CallRecord(number, tool, started_s, ended_s, **more)  # type: ignore[arg-type]


def seen(bundle: Bundle) -> Seen:
    found = Seen(bundle["text/html"])
    assert found.tags <= ALLOWED_TAGS
    assert found.attributes <= ALLOWED_ATTRIBUTES | {"style"}
    assert found.styles == [timeline.STYLE]
    assert found.open == []
    return found


def test_calls_are_bars_in_the_order_in_which_they_began() -> None:
    first = call(1, 0.0, 1.0, arguments='{"n":1}', argument_bytes=7, result='"x', result_bytes=2_000)
    bundle = timeline.bundle(trace(first, call(2, 0.5, 2.0, "Sales.save", error="no <b>"), duration_s=2.0))
    assert bundle["text/plain"] == (
        "2 calls · load 1 · save 1 · 1 failed · 2.00 s\n"
        "  Sales.load  1 ██████████··········  1.00 s\n"
        "  Sales.save    ·····███████████████  1.50 s  no <b>"
    )
    text = seen(bundle).text
    for part in ('arguments (7 bytes) {"n":1}', 'result (2.0 kB) "x…', "no <b>", "started 500 ms, took 1.50 s"):
        assert part in text
    assert "left:0.00%;width:50.00%" in bundle["text/html"]
    assert "left:25.00%;width:75.00%" in bundle["text/html"]


def test_a_call_under_way_reaches_to_now_and_says_what_keeps_it() -> None:
    bundle = timeline.bundle(trace(call(1, 1.0, None, note="waits: the notebook is busy"), state="running"))
    assert bundle["text/plain"] == (
        "1 call · load · 2.00 s · running …\n  Sales.load ··········██████████       …  waits: the notebook is busy"
    )
    assert "pctx-queued" in bundle["text/html"]
    assert "waits: the notebook is busy" in seen(bundle).text
    assert "running …" not in seen(bundle).text, "a page cannot find out whether it is"
    assert "running when saved" in seen(bundle).text
    assert "pctx-under-way" in timeline.bundle(trace(call(1, 1.0, None), state="running"))["text/html"]


def test_what_somebody_decided_stands_beside_the_call() -> None:
    asked = [
        call(1, 0.0, 1.0, "A.a", decision="edited", arguments="{}"),
        call(2, 1.0, 2.0, "A.b", decision="denied", error="no"),
        call(3, 0.0, 121.0, "A.c", decision="unanswered", decided_s=120.4, error="no"),
        call(5, 2.0, 3.0, "A.b", decision="granted"),
    ]
    bundle = timeline.bundle(trace(*asked, call(4, 0.0, 2.0, "A.d", note="waited to the end")))
    assert [line.partition("s  ")[2] for line in bundle["text/plain"].splitlines()[1:]] == [
        "allowed as changed",
        "denied by you  no",
        "not answered in 2 min  no",
        "allowed before",
        "waited to the end",
    ]
    assert bundle["text/plain"].splitlines()[0] == "5 calls · a 1 · b 2 (mean 1.00 s) · c 1 · d 1 · 2 denied · 2.00 s"
    assert "pctx-wrong" not in bundle["text/html"].partition("</style>")[2], "a decision is no error"
    text = seen(bundle).text
    assert "allowed as changed" in text and "denied" in text and "waited to the end" in text


@pytest.mark.parametrize(
    ("state", "more", "told"),
    [
        ("stopped", {}, "1 call · load · 2.00 s · stopped"),
        ("stopped", {"stopped_by": "person"}, "· stopped by you"),
        ("stopped", {"stopped_by": "caller"}, "· stopped by you"),
        ("stopped", {"stopped_by": "limit"}, "· stopped at a limit"),
        ("stopped", {"stopped_by": "sandbox"}, "· cut off · its sandbox ended"),
        ("stopped", {"stopped_by": "kernel"}, "· cut off · the kernel was restarted"),
        ("failed", {}, "· failed"),
    ],
)
def test_how_a_run_ended_is_said(state: str, more: dict[str, object], told: str) -> None:
    error = ErrorRecord("Error", "x") if state == "failed" else None
    bundle = timeline.bundle(trace(call(1, 0, 1), state=state, error=error, **more))
    assert ("pctx-wrong" in bundle["text/html"].partition("</style>")[2]) == (state == "failed")
    assert told in bundle["text/plain"].splitlines()[0]
    assert told in seen(bundle).text


def test_a_call_that_a_stop_cut_off_is_no_failure() -> None:
    cut = call(1, 0, 1, error="cancelled")
    bundle = timeline.bundle(trace(cut, state="stopped", stopped_by="caller"))
    assert bundle["text/plain"].splitlines()[0] == "1 call · load · 2.00 s · stopped by you"
    assert "cut off" in bundle["text/plain"].splitlines()[1]
    assert "pctx-failed" not in bundle["text/html"].partition("</style>")[2]
    assert "1 failed" in timeline.bundle(trace(cut, state="failed"))["text/plain"]


def test_the_scale_begins_where_the_type_check_ends_and_the_console_has_a_line_of_its_own() -> None:
    shown = trace(
        call(1, 0.5, 1),
        check=CheckRecord("passed", 0.5),
        console=[ConsoleLine(1.0, "stdout", "a"), ConsoleLine(1.5, "stderr", "b")],
    )
    found = seen(timeline.bundle(shown))
    assert "✓ 500 ms" in found.text
    assert "2 lines" in found.text
    html = timeline.bundle(shown)["text/html"]
    assert "left:0.00%;width:33.33%" in html
    assert "left:33.33%;width:2px" in html


def test_consecutive_calls_of_one_tool_are_one_row_and_unfold() -> None:
    found = call(1, 0.0, 0.5, "Geo.findPlaces")
    offsets = [
        call(n, 0.5 + n / 1000, 0.511 + n / 1000, "Geo.utcOffset", arguments=f'{{"id":{n}}}') for n in range(2, 402)
    ]
    tools = [
        ToolTally("Geo.findPlaces", 1, 1, 0.5, 0.5, 1),
        ToolTally("Geo.utcOffset", 624, 624, 6.864, 1.9, 64),
    ]
    bundle = timeline.bundle(trace(found, *offsets, calls_in_all=625, tools=tools))
    lines = bundle["text/plain"].splitlines()
    assert lines[0] == "625 calls · findPlaces 1 · utcOffset 624 (mean 11 ms, up to 64 at once) · 2.00 s"
    assert [line.split("█")[0].strip() for line in lines[1:]] == ["Geo.findPlaces", "Geo.utcOffset × 624 ·····"]
    html = bundle["text/html"]
    assert "<details open" not in html and '<details class="pctx-timeline" open>' in html
    assert "Geo.utcOffset × 624" in seen(bundle).text
    assert "Geo.utcOffset  57" in seen(bundle).text, "each call has the argument that tells it from others"
    assert "525 more calls" in seen(bundle).text
    assert len(html) < 80_000


def test_parts_of_a_call_that_waited_are_drawn_apart() -> None:
    waited = call(1, 0.0, 2.0, decision="allowed", decided_s=0.5, begun_s=1.0)
    html = timeline.bundle(trace(waited))["text/html"]
    for mark in (
        'pctx-person" style="left:0.00%;width:25.00%"',
        'pctx-queued" style="left:25.00%;width:25.00%"',
        'pctx-bar" style="left:50.00%;width:50.00%"',
    ):
        assert mark in html
    assert "pctx-person" in timeline.bundle(trace(call(1, 0.0, None, note="waits for a person's consent")))["text/html"]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a":', '{"a":12', '{"a": {}', "[" * 100_000])
def test_arguments_that_are_cut_or_no_object_are_no_trouble(text: str) -> None:
    assert "1 call" in timeline.bundle(trace(call(1, 0, 1, arguments=text[:500])))["text/plain"]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_hostile_text_is_text_in_a_timeline(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()  # JSON brings nothing else
    one = call(1, 0, 1, text, arguments=text, result=text, error=text, note=text, argument_bytes=3, result_bytes=3)
    error = ErrorRecord(text, text, frame=text)
    bundle = timeline.bundle(trace(one, console=[ConsoleLine(0, "stdout", text)], error=error, state="failed"))
    html = seen(bundle)
    assert not set("\x1b\x9b\x07\x08\x00\r\u202e\u2066\u2028\ufeff") & set(html.text)
    assert not set("\x1b\x9b\x07\x08\x00\r\u202e\u2066\u2028") & set(bundle["text/plain"])


def test_a_notebook_keeps_no_code_and_a_bounded_timeline() -> None:
    calls = [
        call(n, n / 1000, n / 1000 + 1, "\U0001f600" * 100, arguments="\x00é" * 250, result="x" * 500, error="<" * 500)
        for n in range(2 * MOST_CALLS)
    ]
    lines = [ConsoleLine(n / 100, "stdout", "é" * 1000) for n in range(200)]
    bundle = timeline.bundle(trace(*calls, console=lines, calls_in_all=5000))
    written = json.dumps(bundle[MIME])
    assert "secret code" not in written
    assert len(written) <= 100_000
    assert len(json.dumps(bundle["text/html"])) <= 100_000
    assert len(bundle["text/plain"]) <= 10_000
    assert "5,000 calls" in bundle["text/plain"]
    assert "more calls" in seen(bundle).text


def test_a_usual_timeline_is_kept_whole() -> None:
    calls = [call(n, n, n + 1, arguments='{"n":1}', result="[1]") for n in range(300)]
    assert timeline.bundle(trace(*calls))[MIME]["calls"][299]["arguments"] == '{"n":1}'
    assert timeline.bundle(trace(call(1, 0, 0), duration_s=0.0))["text/plain"].startswith("1 call · load · 0.0 ms")


def test_failed_calls_are_shown_though_others_are_left_out() -> None:
    calls = [call(n, n, n + 1, f"Sales.t{n % 2}", error="wrong" if n == 350 else None) for n in range(400)]
    bundle = timeline.bundle(trace(*calls))
    assert "wrong" in bundle["text/plain"]
    assert "wrong" in seen(bundle).text
    assert bundle["text/plain"].endswith("… 380 more calls")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0004, "0.4 ms"),
        (0.0099, "10 ms"),
        (0.12, "120 ms"),
        (0.9999, "1.00 s"),
        (59.9, "59.90 s"),
        (125, "2 min 5 s"),
    ],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert run_words.duration(seconds) == text
