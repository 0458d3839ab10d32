"""Makes results fit what clients of the session API can read: 16 MiB a frame, and what their JSON parser takes.

A frame that such a client cannot read is no error there: it waits until its own time limit. So what does not fit is
cut in structure. The arguments and results in the trace go first, then the output of the console, then the value.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw

from ...rpc import jsonrpc as rpc
from . import messages

FRAME_BYTES = 16 << 20
"""Bytes of the largest frame that a client of the session API reads."""

RESULT_BYTES = 15 << 20
"""Bytes that a result is cut to: the original's own limit, with room for the envelope."""

DEEPEST = 180
"""Levels of arrays and objects in a value. The clients' parser takes 200 in a frame, whose own levels count too."""

LONGEST_NUMBER = 4_300
"""Digits of the longest number that the clients' parser takes."""

TOO_MUCH_KEPT = "the trace keeps no more arguments and results"
TOO_LARGE = "the result is larger than a frame may be"

_LONG = re.compile(rb"(?<!\d)\d{%d}" % LONGEST_NUMBER)
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def is_readable(value: Raw) -> bool:
    """Whether the clients' JSON parser can read a value."""
    if rpc.is_too_deep(value, DEEPEST):
        return False
    text = bytes(value)
    return _LONG.search(text) is None or _LONG.search(_TEXT.sub(b'""', text)) is None


def cut_value(reason: str) -> Raw:
    """Return what stands in the place of a value that is left out."""
    return Raw(msgspec.json.encode({"__truncated__": True, "reason": reason}))


def fitted(result: messages.TypescriptResult, most: int = RESULT_BYTES) -> messages.TypescriptResult:
    """Return a result whose JSON has no more than `most` bytes; what is cut is named in `stderr`."""
    if _size(result) <= most:
        return result
    notes = ["the arguments and results in its trace"]
    trace = msgspec.structs.replace(result.trace, events=[_outlined(event) for event in result.trace.events])
    result = msgspec.structs.replace(result, trace=trace)
    if _size(result) > most:
        notes.append("its output")
        room = max(most // 4, 1_000)
        result = msgspec.structs.replace(
            result, stdout=_beginning(result.stdout, room // 6), stderr=_beginning(result.stderr, room // 6)
        )
    if _size(result) > most:
        notes.append("its value")
        result = msgspec.structs.replace(result, output=cut_value(TOO_LARGE))
    if _size(result) > most:  # many small events
        notes.append("its code and most events")
        events, code = result.trace.events[:1_000], result.trace.code[:10_000]
        result = msgspec.structs.replace(result, trace=msgspec.structs.replace(result.trace, events=events, code=code))
    note = f"Cut to fit {most:,} bytes: {', '.join(notes)}; return less"
    return msgspec.structs.replace(result, stderr=f"{result.stderr}\n{note}".lstrip("\n"))


def _outlined(
    event: messages.TypeCheckEvent | messages.McpToolCall | messages.CallbackInvocation,
) -> messages.TypeCheckEvent | messages.McpToolCall | messages.CallbackInvocation:
    """Return an event without the payloads that are larger than what stands in their place."""
    if isinstance(event, messages.TypeCheckEvent):
        return event
    marker = cut_value(TOO_LARGE)
    outcome = event.outcome
    if isinstance(outcome, messages.CallFailed):
        outcome = messages.CallFailed(outcome.message[:1_000])
    else:
        outcome = messages.CallSucceeded(_smaller(outcome.output, marker))
    return msgspec.structs.replace(event, args=_smaller(event.args, marker), outcome=outcome)


def _smaller(payload: Raw | None, marker: Raw) -> Raw | None:
    if payload is None or memoryview(payload).nbytes <= memoryview(marker).nbytes:
        return payload
    return marker


def _beginning(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n… cut"


def _size(result: messages.TypescriptResult) -> int:
    return len(msgspec.json.encode(result))
