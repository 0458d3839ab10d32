"""One call of a tool: who makes it, what serves it, and what a person may be asked meanwhile.

How a tool is reached is unknown here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec
from msgspec import Raw

from ..rpc.jsonrpc import Json
from .tool import Tool

AskedBy = Literal["cell", "client", "agent", "notebook"]
"""Whose program it is: a cell of the notebook itself, a program of a client that is no kernel, an agent's, another
notebook's."""


class Asker(Protocol):
    """The execution that calls a tool, as the tool's owner knows it."""

    @property
    def id(self) -> str: ...
    @property
    def key(self) -> str:
        """Names it among the executions of all sessions."""

    @property
    def client(self) -> str:
        """Whose it is, for a fair share of what is bounded: a session, or one of the clients that share it."""

    @property
    def asked_by(self) -> AskedBy: ...
    @property
    def whose(self) -> str:
        """The name of the agent, or of the notebook, that runs it; empty: it has none."""

    @property
    def code(self) -> str: ...
    @property
    def call_s(self) -> float:
        """Seconds one call may take."""

    def when_ended(self, act: Callable[[], None]) -> None:
        """Have a function called once, when the execution is over."""

    def count_for(self, kernel_id: str) -> None:
        """Count a call of a tool that the notebook of this kernel offers."""

    def trace_for_owner(self, calls: Collection[int]) -> Raw:
        """What the owner of these calls, by number, may know of it so far, as JSON (`trace.for_owner`)."""


@dataclass(frozen=True, slots=True)
class Form:
    """What an MCP server asks a person while it serves a call. All of it is the server's text.

    Args:
        server: The server's name.
        message: What it asks.
        schema: JSON Schema of an object with plain fields, to be filled in; None: the person is to open `url`.
        url: A page for the person to open. Nothing opens it by itself.
        others: Paths of other tools whose calls the question may be about as well: the server does not say which.
    """

    server: str
    message: str
    schema: dict[str, Json] | None
    url: str | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FormReply:
    """What a person, or their absence, answered.

    Args:
        action: As the protocol has it; ``cancel`` where nobody decided.
        content: The fields; for ``accept`` and a form only.
        why: Why nobody decided, for the program that calls; "": a person did not want to.
    """

    action: Literal["accept", "decline", "cancel"]
    content: dict[str, Json] | None = None
    why: str = ""


async def ask_nobody(form: Form) -> FormReply:
    """Answer a form where there is no person to ask."""
    return FormReply("cancel", why="nobody can be asked here")


def ignore_note(note: str) -> None:
    """Take a note, and do nothing."""


def ignore_wait() -> None:
    """Take note that a call waits for its turn, and do nothing."""


class Call(msgspec.Struct, frozen=True):
    """One call of a tool by an execution.

    Args:
        execution_id: The execution.
        tool: The tool, as its owner registered it.
        arguments: JSON.
        number: Counts the execution's calls.
        asker: The execution itself, for those who serve more than one session.
        note: Receives in a few words what delays the call, or its progress; it never blocks.
        waits: Called when the call has to wait for its turn: its program lets others run until the call ends.
        ask: Asks a person what the MCP server that serves the call wants to know.
        called: The path by which the program calls the tool, where that is another than the tool's; else empty.
    """

    execution_id: str
    tool: Tool
    arguments: Raw | None
    number: int = 0
    asker: Asker | None = None
    note: Callable[[str], None] = ignore_note
    waits: Callable[[], None] = ignore_wait
    ask: Callable[[Form], Awaitable[FormReply]] = ask_nobody
    called: str = ""

    @property
    def path(self) -> str:
        """The path by which the program calls the tool."""
        return self.called or self.tool.path

    def of(self, tool: Tool) -> Call:
        """Return the call with another tool: the name it has where it is served."""
        return msgspec.structs.replace(self, tool=tool, called=self.path)


ToolHandler = Callable[[Call], Awaitable[Raw]]
"""Runs one call and returns its result; raises `errors.ToolFailed` when the tool does."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool and who serves it.

    `is_patient`: the function that serves it counts the time of a call itself, because a call may have to wait first.
    `size`: bytes of its names, description and schemas; 0: they are not counted.
    """

    tool: Tool
    serve: ToolHandler
    is_patient: bool = False
    size: int = 0
