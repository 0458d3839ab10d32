"""What a person is asked about a call, and what they may answer; and the words about a call that waits for that.

Which questions wait is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .. import errors
from ..tools.calls import AskedBy
from .trace import DENIED

Decision = Literal["allowed", "edited", "granted", "denied", "unanswered", "forbidden"]
"""The decision on a call that was not allowed by a rule. A person allowed it, with its own or other arguments, or had
allowed the tool for good. Or a person denied it, no person answered, or the policy forbids it."""

ConsentPlace = Literal["jupyterlab", "terminal", "client"]
"""Where a person can be asked: JupyterLab; a terminal, by ``jupyter pctx approvals``; the agent's own client."""

PLACES: tuple[ConsentPlace, ...] = get_args(ConsentPlace)

_IN: dict[ConsentPlace, str] = {
    "jupyterlab": "JupyterLab",
    "terminal": "the terminal (jupyter pctx approvals)",
    "client": "your client",
}
"""What an agent reads for a place."""

WAITS = "waits for a person's consent"
"""What the words about a call that waits for consent begin with."""

WAITS_FOR_ANSWER = "waits for a person's answer"
"""What the words about a call begin with whose MCP server asks something."""

MOST_ARGUMENTS = 100_000
"""Bytes of arguments that are shown whole, and may be edited."""

MOST_DESCRIPTION = 1_000
"""Characters of a tool's description that are shown."""

MOST_SCHEMA = 20_000
"""Bytes of an input schema that is shown with a question: a larger one makes no form that a person would fill in."""


@dataclass(frozen=True, slots=True)
class ConsentReply:
    """What a person, or their absence, decided.

    Args:
        decision: In a word.
        arguments: To be passed in place of the program's; None: those are.
        why: Why it is not allowed, for the program that calls.
        was_asked: Whether a person could have answered.
    """

    decision: Decision
    arguments: Raw | None = None
    why: str = ""
    was_asked: bool = True

    @classmethod
    def denied(cls, where: str = "") -> ConsentReply:
        """Make the answer of a person who denies a call; the program reads `where` they did so."""
        return cls("denied", why=f"a person denied it, in {where}" if where else "a person denied it")

    @classmethod
    def dismissed(cls) -> ConsentReply:
        """Make the answer of a person who leaves the question undecided: the call is not sent."""
        return cls("unanswered", why="a person dismissed the question", was_asked=False)

    @property
    def is_allowed(self) -> bool:
        """Whether the call may go on."""
        return self.decision in ("allowed", "edited", "granted")


class AskedForm(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What an MCP server asks a person while it serves a call. All of it is the server's text.

    `schema` is a JSON Schema of an object with plain fields, to be filled in; without it, the person is asked to open
    `url`, which nothing opens by itself. `secrets` names fields that seem to ask for secrets, which the protocol
    forbids: the server gets what is typed. `others` are tools whose calls the question may be about as well.
    """

    server: str
    message: str
    schema: dict[str, Any] | None = None  # `Json` is recursive, which msgspec does not describe
    url: str | None = None
    secrets: list[str] = []
    others: list[str] = []


class Question(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A call that waits for a person's consent, or for an answer to what its MCP server asks.

    Where `form` is there, the call has begun, and its server asks: `arguments` are a draft of the answer, to allow is
    to send it, and to deny is to decline. `execution` is the id of its trace, `line` the 1-based line of its program
    that calls, as its sandbox says. `code` is the program, or the part around that line where `code_cut`; it begins
    with line `first_line`. `arguments` are their JSON, the beginning of it where `is_cut`: then they cannot be edited.
    `left_s` are the seconds until it is denied. `effects` says whether the tool changes something outside; null: that
    is unknown. `lasts` says how long a consent for good lasts: `session` until the kernel of its notebook, or the
    server, ends; `tool` until the tool changes. `places` says where a person can answer it. `agent` is the name that
    the agent's client gives itself. `input_schema` is the tool's, for a form; it is left out where the tool has none,
    or a large one.
    """

    id: str
    tool: str
    description: str
    asked_by: AskedBy
    notebook: str | None = None
    execution: str
    code: str
    first_line: int = 1
    code_cut: bool = False
    line: int | None = None
    arguments: str
    argument_bytes: int
    is_cut: bool = False
    left_s: float = 0.0
    effects: bool | None = False
    lasts: Literal["session", "tool"] = "session"
    places: list[ConsentPlace] = msgspec.field(default_factory=list)
    agent: str = ""
    input_schema: Raw | UnsetType = UNSET
    form: AskedForm | None = None


def part_around(code: str, line: int | None, most: int) -> tuple[str, int]:
    """The part of a program that is shown with a question, and the 1-based line it begins with.

    Args:
        line: Is in that part; None: the program's first.
        most: Characters there may be. A longer program is cut where lines begin, about as much before the line as after
            it; a line that is longer itself, at its end.
    """
    if len(code) <= most:
        return code, 1
    at = 0
    for _ in range((line or 1) - 1):
        if (end := code.find("\n", at)) < 0:
            break
        at = end + 1
    begin = min(at - most // 2, len(code) - most)
    begin = 0 if begin <= 0 else min(at, code.find("\n", begin - 1) + 1 or at)
    return code[begin : begin + most], code.count("\n", 0, begin) + 1


def waits_in(question: Question) -> str:
    """What a call waits for, and where it can be given."""
    for_what = WAITS if question.form is None else f"{WAITS_FOR_ANSWER} to {question.form.server}"
    return f"{for_what}, in {' or '.join(_IN[place] for place in question.places)}"


def waiting(questions: Sequence[Question]) -> str:
    """What calls wait for, where it can be given, and how long there is; takes one question or more of one program."""
    first = questions[0]
    more = "" if len(questions) == 1 else f" (and {len(questions) - 1:,} more)"
    places = dict.fromkeys(place for question in questions for place in question.places)
    where = " or ".join(_IN[place] for place in places)
    left_s = min(question.left_s for question in questions)
    for_what = f"{WAITS} to call {first.tool}"
    if first.form is not None:
        for_what = f"{WAITS_FOR_ANSWER} to the MCP server {first.form.server}, which serves {first.tool}"
    return f"{for_what}{more}, in {where}; {left_s:.0f} s left"


def refusal(tool: str, why: str) -> errors.ToolFailed:
    """The error of a call that was not consented to."""
    return errors.ToolFailed(f"Cannot call {tool}: {why}", name=DENIED)
