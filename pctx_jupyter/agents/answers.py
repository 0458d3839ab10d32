"""Answers to agents about a program: its value, what it printed, what went wrong, and its images and sounds apart.

Each fact appears once, in text: a model reads either text or structured content, depending on its client, and pays
for both when both are sent. An image is a value `{"type": "image", "mimeType": …, "data": base64}`, wherever it stands.
A sound has the type `audio`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from .. import errors
from ..program.ending import Ending, ending
from ..program.result import Display, ProgramResult
from ..rpc import nonfinite
from ..session.consent import Question
from . import excerpt
from .calls import CallSummary
from .headings import Heading

IMAGE_BYTES = 700_000
"""Characters of base64 that the images of one answer may have: clients take messages below 1 MiB."""
MOST_IMAGES = 8
"""Images of one answer."""
CONSOLE_SHARE = 3
"""What is printed may take this part of the budget (a third) when there is a value, too."""
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""What models can look at, the best first."""
DEEPEST_IMAGE = 6
"""Levels of a value that are searched for images."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image for the model to look at, or a sound for it to listen to; `data` is base64."""

    data: str
    mime_type: str


@dataclass(frozen=True, slots=True)
class AgentAnswer:
    """What a function returns to a model."""

    text: str
    images: tuple[Image, ...] = ()
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Asking:
    """Questions for the client's user, which a function needs answered first.

    Args:
        handle: Of the program; the client returns it when it repeats its request.
        questions: About calls of it.
    """

    handle: str
    questions: tuple[Question, ...]


def ended(
    result: ProgramResult,
    console: str,
    shown: Sequence[Display],
    most: int,
    code: str = "",
    calls: CallSummary | None = None,
) -> AgentAnswer:
    """A program that ended well.

    Args:
        console: What it printed and the model has not seen.
        shown: What it displayed: a model sees the images of it, and the text of what has no image.
        most: Characters of the answer.
        code: The program, to warn of an end that gives no value.
        calls: Its tool calls, to warn of those that failed or were not sent.
    """
    payload, images = result.value, _Images()
    value = excerpt.decoded(payload)
    if value is not None and (b'"image"' in bytes(payload) or b'"audio"' in bytes(payload)):
        without = images.taken_out(value, DEEPEST_IMAGE)
        if images.there_are:
            value, payload = without, nonfinite.encode(without)
    printed = "\n".join([console.rstrip("\n"), *map(images.of_display, shown)]).strip("\n")
    has_value = bytes(memoryview(payload)[:5]) != b"null"
    warnings = list(calls.warnings()) if calls is not None else []
    if result.unchecked:
        warnings.append(f"{Heading.UNCHECKED}{result.unchecked}")
    if (has_value or not printed) and (lost := ending(code)) is not None:
        warnings.append(_warning(lost))
    note = "".join(f"{warning}\n" for warning in warnings)
    room = max(most - len(note), most // 2)
    if not has_value and printed:
        text = excerpt.of_text(printed, room)
    elif not printed:
        text = excerpt.of_value(payload, value, room)
    else:
        printed = excerpt.of_text(printed, room // CONSOLE_SHARE)
        text = (
            f"{Heading.CONSOLE}\n{printed}\n{Heading.RESULT}\n{excerpt.of_value(payload, value, room - len(printed))}"
        )
    return AgentAnswer(note + text, tuple(images.kept))


def _warning(lost: Ending) -> str:
    """One line: the value is missing, or is an earlier one, and how to return it."""
    if lost.value_line is None:
        return f"{Heading.NO_RESULT}the program ends with {lost.kind}, not with an expression; {lost.way_out}"
    return f"{Heading.EARLIER_RESULT.of(lost.value_line)}the program ends with {lost.kind}; {lost.way_out}"


def failed(error: errors.PctxError, console: str, most: int, calls: CallSummary | None = None) -> AgentAnswer:
    """A program that did not end well, or was not begun.

    Its first line says whether it ran and what its calls did: what has taken effect must not be done again.

    Args:
        calls: Its tool calls; None: nothing is known of them.
    """
    lines = [] if calls is None else [_how_far(error, calls)]
    lines.append(excerpt.of_text(error.message, most - most // CONSOLE_SHARE))
    if calls is not None:
        lines += [calls.under_way if isinstance(error, errors.ExecutionError) and _was_stopped(error) else ""]
        lines.append(calls.refused)
    text = "\n".join(line for line in lines if line)
    printed = console.rstrip("\n")
    if printed:
        text += f"\n\n{Heading.CONSOLE}\n" + excerpt.of_text(printed, most // CONSOLE_SHARE)
    return AgentAnswer(text, is_error=True)


def _how_far(error: errors.PctxError, calls: CallSummary) -> str:
    """Whether a program ran, and what its calls did."""
    if isinstance(error, errors.TypesWrong) or not (isinstance(error, errors.ExecutionError) or calls.made):
        # An error of ours says nothing about how far a program came.
        is_ours = type(error) is errors.PctxError
        return "" if is_ours else f"{Heading.NOT_RUN}, 0 calls made."
    return f"{Heading.STOPPED if _was_stopped(error) else Heading.FAILED}{calls.counted}."


def _was_stopped(error: errors.PctxError) -> bool:
    kinds = (errors.ExecutionTimeout, errors.ExecutionStopped, errors.LimitExceeded, StoppedByClient)
    return isinstance(error, kinds)


class StoppedByClient(errors.ExecutionError):
    """The client has stopped its program."""


def running(handle: str, seconds: float, calls: int, console: str, most: int, waits: str = "") -> AgentAnswer:
    """A program that goes on.

    Args:
        waits: What it waits for, if it waits for a person.
    """
    waits = f" It {waits}." if waits else ""
    collect = f'wait_execution({{"handle": "{handle}"}})'
    text = f"{Heading.RUNNING.of(round(seconds))}, {calls:,} calls made.{waits} Collect it: {collect}."
    printed = console.rstrip("\n")
    return AgentAnswer(text + (f"\n{Heading.CONSOLE}\n{excerpt.of_text(printed, most)}" if printed else ""))


class _Images:
    """Takes images out of a value, as many as may be sent."""

    def __init__(self) -> None:
        self.kept: list[Image] = []
        self.there_are = False
        self._room = IMAGE_BYTES

    def taken_out(self, value: Any, levels: int) -> Any:
        """Return the value with a word in the place of each image."""
        match value:
            case {"type": "image" | "audio" as kind, "data": str(data), "mimeType": str(mime_type)} if (
                mime_type.startswith(f"{kind}/")
            ):
                self.there_are = True
                return self._take(data, mime_type[:100])
            case list() if levels:
                return [self.taken_out(item, levels - 1) for item in value]
            case dict() if levels:
                return {name: self.taken_out(item, levels - 1) for name, item in value.items()}
        return value

    def of_display(self, display: Display) -> str:
        """What a model reads of something displayed; its image is kept, if it has one."""
        data: dict[str, Any] = msgspec.json.decode(display.data)
        for mime_type in PICTURES:
            if isinstance(data.get(mime_type), str):
                return self._take("".join(data[mime_type].split()), mime_type)
        if display.is_value:
            return ""  # its look adds nothing to the value
        text = data.get("text/plain") or data.get("text/markdown")
        return text if isinstance(text, str) else f"[displayed: {', '.join(list(data)[:5])[:200]}]"

    def _take(self, data: str, mime_type: str) -> str:
        if len(data) > self._room or len(self.kept) >= MOST_IMAGES:
            return f"[{mime_type} of {len(data) * 3 // 4:,} bytes: too large, or one too many, to be shown]"
        self._room -= len(data)
        self.kept.append(Image(data, mime_type))
        return f"[{mime_type.partition('/')[0]} {len(self.kept)}]"
