"""What an agent is told of a program: its value, what it printed, what went wrong, and its images apart.

Each thing is said once, in text: a model reads either text or structured content, depending on its client, and pays
for both when both are sent. An image is a value `{"type": "image", "mimeType": …, "data": base64}`, wherever it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from .. import errors
from ..program.result import Display, Result
from ..rpc import nonfinite
from ..session.approvals import Question
from . import excerpt

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
    """An image for the model to look at; `data` is base64."""

    data: str
    mime_type: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a function has to say to a model."""

    text: str
    images: tuple[Image, ...] = ()
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Asking:
    """What a function has to ask the client's user before it can answer.

    Args:
        handle: Of the program; the client returns it when it repeats its request.
        questions: About calls of it.
    """

    handle: str
    questions: tuple[Question, ...]


def ended(result: Result, console: str, shown: Sequence[Display], most: int) -> Answer:
    """A program that ended well.

    Args:
        console: What it printed and the model has not seen.
        shown: What it displayed: a model sees the images of it, and the text of what has no image.
        most: Characters of the answer.
    """
    payload, value, images = result.value, None, _Images()
    if memoryview(payload).nbytes <= excerpt.MOST_DECODED:
        value = nonfinite.decode(payload)
        if b'"image"' in bytes(payload):
            without = images.taken_out(value, DEEPEST_IMAGE)
            if images.there_are:
                value, payload = without, nonfinite.encode(without)
    note = f"Its types were not checked: {result.unchecked}\n" if result.unchecked else ""
    printed = "\n".join([console.rstrip("\n"), *map(images.of_display, shown)]).strip("\n")
    if bytes(memoryview(payload)[:5]) == b"null" and printed:
        return Answer(note + excerpt.of_text(printed, most), tuple(images.kept))
    if not printed:
        return Answer(note + excerpt.of_value(payload, value, most), tuple(images.kept))
    printed = excerpt.of_text(printed, most // CONSOLE_SHARE)
    text = excerpt.of_value(payload, value, most - len(printed))
    return Answer(f"{note}console:\n{printed}\nresult:\n{text}", tuple(images.kept))


def failed(error: errors.PctxError, console: str, most: int) -> Answer:
    """A program that did not end well, or was not begun."""
    text = excerpt.of_text(error.message, most - most // CONSOLE_SHARE)
    printed = console.rstrip("\n")
    if printed:
        text += "\n\nconsole:\n" + excerpt.of_text(printed, most // CONSOLE_SHARE)
    return Answer(text, is_error=True)


def running(handle: str, seconds: float, calls: int, console: str, most: int, waits: str = "") -> Answer:
    """A program that goes on.

    Args:
        waits: What it waits for, if it waits for a person.
    """
    waits = f" It {waits}." if waits else ""
    text = f"Still running after {seconds:.0f} s, {calls:,} calls made.{waits} Collect it: wait_execution({handle!r})."
    printed = console.rstrip("\n")
    return Answer(text + (f"\nconsole:\n{excerpt.of_text(printed, most)}" if printed else ""))


class _Images:
    """Takes images out of a value, as many as may be sent."""

    def __init__(self) -> None:
        self.kept: list[Image] = []
        self.there_are = False
        self._room = IMAGE_BYTES

    def taken_out(self, value: Any, levels: int) -> Any:
        """The same value with a word in the place of each image."""
        match value:
            case {"type": "image", "data": str(data), "mimeType": str(mime_type)} if mime_type.startswith("image/"):
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
            return ""  # what it looks like tells no more than the value does
        text = data.get("text/plain") or data.get("text/markdown")
        return text if isinstance(text, str) else f"[displayed: {', '.join(list(data)[:5])[:200]}]"

    def _take(self, data: str, mime_type: str) -> str:
        if len(data) > self._room or len(self.kept) >= MOST_IMAGES:
            return f"[{mime_type} of {len(data) * 3 // 4:,} bytes: too large, or one too many, to be shown]"
        self._room -= len(data)
        self.kept.append(Image(data, mime_type))
        return f"[image {len(self.kept)}]"
