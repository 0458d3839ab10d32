"""What comes of an execution: events while it runs, then a result or a failure.

The standard output of a result is those very `Output` events, joined; a timeline, a trace and a log read the same
events. No I/O, and nothing about who listens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
from msgspec import Raw

if TYPE_CHECKING:
    from .check import Diagnostic

Stream = Literal["stdout", "stderr"]


Level = Literal["debug", "warn"]


class Output(msgspec.Struct, frozen=True):
    """A program printed something; `text` ends with a newline if it printed one.

    `level` marks debugging output on ``stdout`` and warnings on ``stderr``.
    """

    stream: Stream
    text: str
    level: Level | None = None


class CallStarted(msgspec.Struct, frozen=True):
    """A program called a tool; `at_s` is seconds since the program started, `arguments` the beginning of their JSON.

    `line` is the 1-based line of the program that makes the call, where its sandbox was asked for it and says it.
    """

    call: int
    tool: str
    at_s: float
    argument_bytes: int
    arguments: str = ""
    line: int | None = None


class CallEnded(msgspec.Struct, frozen=True):
    """A tool call ended; `error` is None when it returned, `result` is the beginning of its JSON."""

    call: int
    tool: str
    at_s: float
    result_bytes: int
    error: str | None
    result: str = ""


WIDENED = "widened the observed type: "
"""How a note begins that follows the end of its call."""


class CallNoted(msgspec.Struct, frozen=True):
    """What delays a tool call that is under way, or its progress: ``waits: the notebook is busy``.

    After the end of the call: how its result has widened the observed type of the tool (`WIDENED`).
    """

    call: int
    tool: str
    at_s: float
    note: str


class CallDecided(msgspec.Struct, frozen=True):
    """Somebody, or the policy, decided about a call that was not simply let pass (`consent.Decision`).

    `arguments` is the beginning of those it now has, where a person has changed them.
    """

    call: int
    tool: str
    at_s: float
    decision: str
    arguments: str | None = None


class TypesChecked(msgspec.Struct, frozen=True):
    """A program's types were checked, before it ran; `message` says what is wrong, or why that is unknown.

    Args:
        at_s: Seconds after the start of the execution at which the check ended.
        diagnostics: What is wrong, one by one.
    """

    outcome: Literal["passed", "failed", "unchecked"]
    duration_s: float
    message: str | None
    at_s: float = 0.0
    diagnostics: tuple[Diagnostic, ...] = ()


class Display(msgspec.Struct, frozen=True, omit_defaults=True):
    """A program displayed something. Its content is untrusted: the code that displays it sanitizes it.

    Args:
        data: A JSON object, content by MIME type. Images are base64 text; others are text, or JSON by their type.
        metadata: A JSON object, or None.
        display_id: The program's name for what it shows; None: it has none.
        update: Whether it takes the place of what was shown under that name.
        is_value: Whether it is how the program's value looks.
    """

    data: Raw
    metadata: Raw | None = None
    display_id: str | None = None
    update: bool = False
    is_value: bool = False


@dataclass(frozen=True, slots=True)
class ValuesKept:
    """What a program that ended well leaves: its constants as JSON, and why others cannot be kept, by name."""

    values: Mapping[str, Raw]
    refused: Mapping[str, str]


Event: TypeAlias = Output | Display | CallStarted | CallEnded | CallNoted | CallDecided | TypesChecked | ValuesKept

Emit = Callable[[Event], None]
"""Receives one event of an execution; never waits."""


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """A program that ended well.

    Args:
        value: Its value, as JSON.
        stdout, stderr: What it printed.
        duration_s: Seconds from the request to its answer.
        unchecked: Why its types were not checked though they should have been; None: they were, or the check was off.
        kept: Names that later programs of the session find.
        unkept: Why others are not kept, by name.
    """

    execution_id: str
    value: Raw
    stdout: str
    stderr: str
    duration_s: float
    unchecked: str | None = None
    kept: tuple[str, ...] = ()
    unkept: Mapping[str, str] = field(default_factory=dict)
