"""``%pctx approvals``: the calls that wait for a person's consent.

On a server, a notebook cannot answer them, because its code is not its user. On an engine embedded in this kernel, it
can, because the engine belongs to the kernel anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from msgspec import Raw

from .. import errors
from ..nearest import did_you_mean
from ..session import questions
from ..session.consent import ConsentReply, Question
from .bridge import Bridge

if TYPE_CHECKING:
    from ..rpc.wire import AllowedTool
    from ..session.approvals import Approvals
    from ..session.remembered import Permission
    from .home import Home

ANSWER_S = 30.0
"""Seconds the engine may take."""
USAGE = "%pctx approvals [on | off | allow ID [JSON] | deny ID | cancel ID | revoke ID]"
COMMANDS = {"": False, "on": False, "off": False, "allow": True, "deny": True, "cancel": True, "revoke": True}
"""The first word of a line, and whether an ID follows it."""
ELSEWHERE = "JupyterLab, or the terminal: jupyter pctx approvals"
"""The places where calls on a server are answered."""


REVOKED = "Revoked. The next call of this tool waits for your consent"


class ApprovalCommands:
    """The commands after ``%pctx approvals``.

    Args:
        bridge: The connection to the engine.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._leave: Callable[[], None] | None = None

    def run(self, line: str) -> None:
        """Run the command in a line; an empty line lists the calls. Raises UsageError if there is no such command."""
        name, _, id = line.strip().partition(" ")
        if name not in COMMANDS:
            raise UsageError(
                f"%pctx approvals has no command {name[:100]!r}{did_you_mean(name, COMMANDS)}\nUsage: {USAGE}"
            )
        if COMMANDS[name] and not id:
            raise UsageError(f"The ID is missing: %pctx approvals lists the calls with their IDs\nUsage: {USAGE}")
        if id and not COMMANDS[name]:
            raise UsageError(f"Cannot use {id[:100]!r}: %pctx approvals {name} takes nothing more\nUsage: {USAGE}")

        async def do(home: Home) -> str:
            if home.approvals is not None:
                return self._done(home.approvals, name, id.strip())
            if name == "revoke":
                await home.client.revoke_permission(id.strip())
                return REVOKED
            if name:
                raise UsageError(
                    f"Cannot answer here: the code of a notebook cannot consent for you. Answer in {ELSEWHERE}"
                )
            waiting = await home.client.list_approvals()
            lines = [
                f"{questions.asker(one.asked_by)} wants to call {one.tool} · {one.left_s:.0f} s left, then denied"
                for one in waiting
            ]
            lines = (
                [*lines, f"Answer in {ELSEWHERE}"] if lines else ["No call of this notebook's tools waits for consent"]
            )
            return "\n".join([*lines, *_allowed(await home.client.list_permissions())])

        print(self._bridge.do(do, ANSWER_S))  # noqa: T201  # a magic's output

    def _done(self, approvals: Approvals, name: str, id: str) -> str:
        """Run a command on the engine of this kernel; returns the text to show."""
        match name:
            case "on":
                self._leave = self._leave or approvals.attend("terminal")
                return "Calls that need consent now wait for it. %pctx approvals lists them"
            case "off":
                if self._leave is not None:
                    self._leave()
                    self._leave = None
                return "Calls that need consent are now denied at once"
            case "allow" | "deny" | "cancel":
                id, _, arguments = id.partition(" ")
                answer = _reply(name, arguments.strip())
                if not approvals.may_consent("terminal"):
                    raise UsageError("Cannot answer: Pctx.consent_by does not allow consent in a terminal")
                try:
                    is_there = approvals.answer(id, answer)
                except errors.InvalidParams as error:
                    raise UsageError(error.message) from None
                if not is_there:
                    raise UsageError(f"Cannot answer {id[:100]!r}: no such call waits")
                return {"allow": "Allowed", "deny": "Denied", "cancel": "Cancelled"}[name]
            case "revoke":
                if not approvals.revoke(id):
                    raise UsageError(f"Cannot revoke {id[:100]!r}: no tool has that permission")
                return REVOKED
        shown = [f"{questions.text(one)}\n{_commands(one)}" for one in approvals.questions()]
        allowed = [*approvals.permissions(), *approvals.remembered.permissions()]
        return "\n\n".join([*(shown or ["No call waits for consent"]), *filter(None, ["\n".join(_allowed(allowed))])])


def _allowed(permissions: Sequence[Permission | AllowedTool]) -> list[str]:
    """The tools that are allowed without asking, a line for each, with the command that takes it back."""
    lines = [
        f"{questions.permission(one.tool, one.asked_by, one.since)}: %pctx approvals revoke {one.id}"
        for one in permissions
    ]
    return ["Allowed without asking:", *lines] if lines else []


def _reply(name: str, arguments: str) -> ConsentReply:
    match name:
        case "allow":
            if not arguments:
                return ConsentReply("allowed")
            if not arguments.startswith("{"):
                raise UsageError(f"Cannot pass these arguments: they must be a JSON object\nUsage: {USAGE}")
            return ConsentReply("edited", Raw(arguments.encode()))
        case "deny":
            return ConsentReply.denied()
    return ConsentReply.dismissed()


def _commands(question: Question) -> str:
    """The commands that answer a question."""
    begin, id = "%pctx approvals", question.id
    if question.form is None:
        return f"{begin} allow {id}\n{begin} deny {id}"
    draft = "" if question.form.schema is None else f" {questions.seen(question.arguments)}"
    return f"{begin} allow {id}{draft}\n{begin} deny {id}\n{begin} cancel {id}"
