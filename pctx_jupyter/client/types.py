"""What a client returns and passes to callbacks: the public types beside `PctxClient`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw

from ..rpc import wire
from ..rpc.wire import (
    AgentAnswered,
    AgentFunction,
    AgentFunctions,
    AgentImage,
    AllowedTool,
    Completed,
    Diagnosed,
    Explained,
    ExplainedCall,
    Shared,
    WaitingCall,
)
from ..session.upstreams import Listed, SignIn, Upstream
from .offers import value_of

__all__ = [
    "AgentAnswered",
    "AgentFunction",
    "AgentFunctions",
    "AgentImage",
    "AllowedTool",
    "CallEvent",
    "Completed",
    "Diagnosed",
    "DisplayEvent",
    "Explained",
    "ExplainedCall",
    "Listed",
    "Result",
    "Shared",
    "SignIn",
    "Upstream",
    "WaitingCall",
]


@dataclass(frozen=True, slots=True)
class Result:
    """A program that ended well.

    Args:
        value: Its value.
        stdout: What it printed with ``console.log`` and ``console.info``.
        stderr: What it printed with ``console.warn`` and ``console.error``.
        execution_id: The id of this run.
        duration_s: Seconds from the request to its answer, at the engine.
        unchecked: Why its types were not checked though they should have been; None: they were, or need not be.
        kept: Names that later programs of the session find.
        unkept: Why other names are not kept, by name.
    """

    value: Any
    stdout: str
    stderr: str
    execution_id: str
    duration_s: float
    unchecked: str | None = None
    kept: tuple[str, ...] = ()
    unkept: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DisplayEvent:
    """Content that a program shows. Nothing in it is safe to be put into a page.

    Args:
        data: The content, by MIME type, as the program made it.
        metadata: What belongs to it, by MIME type.
        display_id: Names it for later updates; None: it has no name.
        update: Whether it replaces what was shown under that name.
        is_value: Whether it shows the program's value.
    """

    data: Mapping[str, Any]
    metadata: Mapping[str, Any]
    display_id: str | None
    update: bool
    is_value: bool


@dataclass(frozen=True, slots=True)
class CallEvent:
    """The start or the end of one tool call of a program.

    Args:
        type: Which of both.
        call: The call's number in its program, from 1.
        tool: The tool's full name.
        at_s: Seconds since the program began.
        argument_bytes: Size of its arguments, at its start.
        result_bytes: Size of its result, at its end.
        error: Why it failed, at its end; None: it did not.
    """

    type: Literal["call_started", "call_ended"]
    call: int
    tool: str
    at_s: float
    argument_bytes: int | None = None
    result_bytes: int | None = None
    error: str | None = None


def result_of(executed: wire.Executed) -> Result:
    """Make the public result of what the wire says."""
    return Result(
        value_of(executed.value),
        executed.stdout,
        executed.stderr,
        executed.execution_id,
        executed.duration_s,
        executed.unchecked,
        tuple(executed.kept),
        dict(executed.unkept),
    )


def display_of(shown: wire.DisplayNotice) -> DisplayEvent:
    """Make the public event of what the wire says."""
    metadata = {} if shown.metadata is UNSET else _members(shown.metadata)
    return DisplayEvent(_members(shown.data), metadata, shown.display_id, shown.update, shown.is_value)


def call_of(notice: wire.EventNotice) -> CallEvent:
    """Make the public event of what the wire says."""
    return CallEvent(
        notice.type,
        notice.call,
        notice.tool,
        notice.at_s,
        None if notice.argument_bytes is UNSET else notice.argument_bytes,
        None if notice.result_bytes is UNSET else notice.result_bytes,
        None if notice.error is UNSET else notice.error,
    )


def _members(payload: Raw) -> dict[str, Any]:
    return {kind: value_of(member) for kind, member in msgspec.json.decode(payload, type=dict[str, Raw]).items()}
