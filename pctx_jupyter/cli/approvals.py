"""``approvals``: the calls that wait for a person's consent on a running server, and the person's answers.

The person who answers holds the server's token. Characters of other people's text that hide something are spelled out.
What was typed before a question appeared does not count as its answer.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Literal, Protocol, TextIO
from urllib.parse import quote

import msgspec
from msgspec import Raw
from traitlets import Bool, Unicode

from .. import errors
from ..rpc.jsonrpc import Json
from ..session import forms, questions
from ..session.approvals import Approvals as Waiting
from ..session.consent import AskedForm, ConsentReply, Question
from ..session.remembered import Permission
from ..session.watch import Watchers
from . import terminal
from .command import Exit, Stop, say
from .servers import ANSWER_S, Server, ServerCommand, health, open_url
from .typed import TypedLines

OVER = "It was answered elsewhere, or its time ran out\n"
SAID = {"allow": "Allowed", "deny": "Denied", "cancel": "Cancelled"}
"""What a person reads after each decision."""
FORM_PROMPT = "[a]nswer, [d]ecline, [c]ancel, [s]kip? "
PROMPT = "[a]llow once, [d]eny, allow for this [p]rogram, al[w]ays allow this tool, [s]kip? "
AllowedFor = Literal["once", "program", "always"]
"""How long an answer that allows a call lasts: for this call, for the program that calls, or for good."""


class _Questions(msgspec.Struct):
    approvals: list[Question]


class _Permissions(msgspec.Struct):
    permissions: list[Permission]


class ApprovalsCommand(ServerCommand):
    """``jupyter pctx approvals``."""

    takes_words = True

    description = """
        List the calls that wait for a person's consent on a running server, and what MCP servers ask; answer them.

        In a terminal it shows each call with its arguments and the part of its program, and asks. With --watch it goes
        on until it is interrupted, and calls wait for it; without --watch it ends when no call is left. --allow, --deny
        and --cancel answer one by its id; --arguments has the answer to what an MCP server asks. The
        tools that are allowed without asking are listed, too; --revoke ends one of those permissions.
        """
    examples = "jupyter pctx approvals --watch\njupyter pctx approvals --json\njupyter pctx approvals --deny ID"

    allow = Unicode("", config=True, help="Allow the call with this id, once.")
    deny = Unicode("", config=True, help="Deny the call with this id.")
    revoke = Unicode("", config=True, help="Revoke the permission with this id.")
    cancel = Unicode("", config=True, help="Leave the question with this id undecided.")
    arguments = Unicode("", config=True, help="JSON, with --allow: the answer to a form, or other arguments.")
    watch = Bool(False, config=True, help="Wait for calls until interrupted.")

    aliases = {
        **ServerCommand.aliases,
        **{name: f"ApprovalsCommand.{name}" for name in ("allow", "deny", "cancel", "arguments", "revoke")},
    }
    flags: dict[str, Any] = {
        **ServerCommand.flags,
        "watch": ({"ApprovalsCommand": {"watch": True}}, "Wait for calls until interrupted."),
    }

    def main(self) -> int:
        """List, answer or watch."""
        answers = [(name, id) for name in SAID if (id := getattr(self, name))]
        if self.extra_args or len(answers) + self.watch + bool(self.revoke) > 1:
            raise Stop(
                Exit.USAGE,
                "Cannot answer: jupyter pctx approvals, with at most one of --allow ID, --deny ID, --cancel ID, "
                "--revoke ID, --watch",
            )
        arguments = self._arguments()
        desk = ServerDesk(self.chosen())
        for decision, id in answers:
            try:
                is_there = asyncio.run(desk.answer(id, decision, arguments=arguments))
            except errors.InvalidParams as error:
                raise Stop(Exit.USAGE, questions.seen(error.message)) from None
            if not is_there:
                raise Stop(Exit.USAGE, f"Cannot answer {id[:100]}: no such call waits")
            say(SAID[decision])
            return Exit.OK
        if self.revoke:
            if not asyncio.run(desk.revoke(self.revoke)):
                raise Stop(Exit.USAGE, f"Cannot revoke {self.revoke[:100]}: no tool has that permission")
            say("Revoked. The next call of this tool waits for your consent")
            return Exit.OK
        is_person = sys.stdin.isatty() and not self.json
        if self.watch or is_person:
            return asyncio.run(_attend(desk, is_person=is_person, watch=self.watch, as_json=self.json))
        waiting, allowed = asyncio.run(desk.questions()), asyncio.run(desk.permissions())
        if self.json:
            terminal.write_json({"approvals": waiting, "permissions": allowed})
        for question in [] if self.json else waiting:
            _show(question)
        if not (waiting or self.json):
            say("No call waits for consent")
        if allowed and not self.json:
            _show_permissions(allowed)
        return Exit.OK

    def _arguments(self) -> Json:
        """What --arguments has; None: nothing."""
        if not self.arguments:
            return None
        try:
            read = json.loads(self.arguments)
        except ValueError:
            read = None
        if not isinstance(read, dict) or not self.allow:
            raise Stop(Exit.USAGE, "Cannot pass --arguments: it must be a JSON object, with --allow ID")
        return read


class Desk(Protocol):
    """Where questions wait."""

    async def questions(self) -> list[Question]:
        """Those that wait, the oldest first."""

    async def answer(self, id: str, decision: str, *, lasts: AllowedFor = "once", arguments: Json = None) -> bool:
        """Answer a question; whether it was still there.

        Args:
            lasts: With `allow`, what it also allows without asking.
            arguments: In place of the program's, or the answer to a form; None: none.
        """


class OwnDesk:
    """The questions of an engine of this process.

    Args:
        approvals: The engine's.
    """

    def __init__(self, approvals: Waiting) -> None:
        self._approvals = approvals

    async def questions(self) -> list[Question]:
        return self._approvals.questions()

    async def answer(self, id: str, decision: str, *, lasts: AllowedFor = "once", arguments: Json = None) -> bool:
        match decision:
            case "allow" if arguments is not None:
                answer = ConsentReply("edited", Raw(msgspec.json.encode(arguments)))
            case "allow":
                answer = ConsentReply("allowed")
            case "deny":
                answer = ConsentReply.denied()
            case _:
                answer = ConsentReply.dismissed()
        return self._approvals.answer(id, answer, for_good=lasts == "always", for_program=lasts == "program")


class ServerDesk:
    """The questions of one server.

    Args:
        server: The server; its token is a user's.
    """

    def __init__(self, server: Server) -> None:
        self.server = server

    async def questions(self) -> list[Question]:
        try:
            return msgspec.json.decode(await asyncio.to_thread(self._ask, ""), type=_Questions).approvals
        except msgspec.MsgspecError:
            raise Stop(
                Exit.UNREACHABLE, f"Cannot read the answer of {self.server.url}: the server does not have pctx"
            ) from None

    async def permissions(self) -> list[Permission]:
        """Return the tools that are allowed without asking."""
        try:
            answer = await asyncio.to_thread(self._ask, "", of="permissions")
            return msgspec.json.decode(answer, type=_Permissions).permissions
        except msgspec.MsgspecError:
            raise Stop(
                Exit.UNREACHABLE, f"Cannot read the answer of {self.server.url}: the server does not have pctx"
            ) from None

    async def revoke(self, id: str) -> bool:
        """Take a permission back; returns whether there was one."""
        path = f"/{quote(id, safe='')}"
        return await asyncio.to_thread(self._ask, path, of="permissions", method="DELETE") is not None

    async def answer(self, id: str, decision: str, *, lasts: AllowedFor = "once", arguments: Json = None) -> bool:
        said: dict[str, Json] = {
            "decision": decision,
            "always": lasts == "always",
            "for_program": lasts == "program",
            "by": "terminal",
        }
        if arguments is not None:
            said["arguments"] = arguments
        body = json.dumps(said).encode()
        return await asyncio.to_thread(self._ask, f"/{quote(id, safe='')}", body) is not None

    def _ask(self, path: str, body: bytes | None = None, *, of: str = "approvals", method: str | None = None) -> Any:
        """The body of an answer; None when what is to be changed is not there."""
        url = f"{self.server.url}pctx/api/{of}{path}"
        request = urllib.request.Request(url, body, self.server.headers, method=method)
        try:
            with open_url(request, timeout=ANSWER_S) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            if (body is not None or method is not None) and error.code == HTTPStatus.NOT_FOUND:
                return None
            if body is not None and error.code in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
                raise errors.InvalidParams(_why(error)) from None
            is_refused = error.code == HTTPStatus.FORBIDDEN
            why = (health(self.server).trouble if is_refused else "") or _why(error)  # the token, or a right of it
            raise Stop(Exit.UNREACHABLE, f"Cannot ask {self.server.url}: {why}") from None
        except OSError as error:
            raise Stop(Exit.UNREACHABLE, f"Cannot reach {self.server.url}: {getattr(error, 'reason', error)}") from None


def _why(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["message"])[:300]
    except (OSError, ValueError, KeyError, TypeError):
        return f"it answered with HTTP status {error.code}"


def _show(question: Question) -> None:
    ways = f"--allow {question.id} or --deny {question.id}"
    if question.form is not None:
        draft = f" --arguments {shlex.quote(questions.seen(question.arguments))}" if question.form.schema else ""
        ways = f"--allow {question.id}{draft}, --deny {question.id} or --cancel {question.id}"
    sys.stdout.write(f"{questions.text(question)}\n{ways}\n\n")
    sys.stdout.flush()


def _show_permissions(permissions: list[Permission]) -> None:
    lines = [f"{questions.permission(one.tool, one.asked_by, one.since)}: --revoke {one.id}\n" for one in permissions]
    sys.stdout.write("".join(["Allowed without asking:\n", *lines]))
    sys.stdout.flush()


@asynccontextmanager
async def asked_here(approvals: Waiting, changes: Watchers) -> AsyncIterator[None]:
    """While in the block, ask the person at this terminal about the calls of an engine of this process."""
    changed = asyncio.Event()
    leave, unwatch = approvals.attend("terminal"), changes.add(lambda change: changed.set())
    asking = asyncio.create_task(_ask_here(OwnDesk(approvals), changed), name="pctx terminal")
    try:
        yield
    finally:
        leave()
        unwatch()
        asking.cancel()
        await asyncio.wait([asking])


async def _ask_here(desk: OwnDesk, changed: asyncio.Event) -> None:
    lines: TypedLines | None = None
    done: set[str] = set()
    while True:
        changed.clear()
        question = next((one for one in await desk.questions() if one.id not in done), None)
        if question is None:
            await changed.wait()
            continue
        done.add(question.id)
        lines = lines or TypedLines()
        if not await _ask(desk, question, lines, changed, sys.stderr):
            await desk.answer(question.id, "deny" if question.form is None else "cancel")


async def _attend(desk: ServerDesk, *, is_person: bool, watch: bool, as_json: bool) -> int:
    """Be there to be asked: show each question, and where a person sits at the terminal, take their answer."""
    from ..client import changes

    lines = TypedLines() if is_person else None
    done: set[str] = set()
    async with changes.listen(desk.server.url, desk.server.headers, "terminal") as listener:
        changed = asyncio.Event()
        listening = asyncio.create_task(_watch(listener, changed))
        try:
            if watch:
                say(f"Waiting for calls on {desk.server.url}. Press Ctrl-C to stop")
            while True:
                changed.clear()
                waiting = await desk.questions()
                question = next((one for one in waiting if one.id not in done), None)
                if question is not None:
                    done.add(question.id)
                    if lines is None:
                        _print(question, as_json=as_json)
                    elif not await _ask(desk, question, lines, changed, sys.stdout):
                        return Exit.OK
                elif watch and not listening.done():
                    await _first(listening, changed)
                elif watch:
                    raise Stop(Exit.UNREACHABLE, f"Cannot wait any longer: {desk.server.url} has closed the connection")
                else:
                    say(
                        "No more calls wait for consent" if done else "No call waits for consent; --watch waits for one"
                    )
                    return Exit.OK
        finally:
            listening.cancel()


async def _watch(changes: AsyncIterator[str], changed: asyncio.Event) -> None:
    async for change in changes:
        if change == "approvals":
            changed.set()


def _print(question: Question, *, as_json: bool) -> None:
    if as_json:
        terminal.write_json(question)
    else:
        _show(question)


async def _ask(desk: Desk, question: Question, lines: TypedLines, changed: asyncio.Event, out: TextIO) -> bool:
    """Ask the person at the terminal about one call; False when they have left."""

    def show(text: str) -> None:
        out.write(text)
        out.flush()

    async def answered(decision: str, *, lasts: AllowedFor = "once", arguments: Json = None) -> bool:
        try:
            was_there = await desk.answer(question.id, decision, lasts=lasts, arguments=arguments)
        except errors.InvalidParams as error:
            show(f"{questions.seen(error.message)}\n")
            return False
        show(f"{SAID[decision]}\n" if was_there else OVER)
        return True

    async def typed_line() -> str | None:
        """What the person types; raises `_Over` when the question is over before."""
        typed = asyncio.ensure_future(lines.next())
        try:
            if not await _typed_before_it_is_over(desk, question, typed, changed):
                raise _Over
            return typed.result()
        finally:
            typed.cancel()

    show(f"\n{questions.text(question)}\n")
    lines.forget()  # it was typed before anybody could see what it would answer
    try:
        if question.form is not None:
            return await _fill_in(question.form, typed_line, show, answered)
        return await _decide(typed_line, show, answered)
    except _Over:
        show(f"\n{OVER}")
        return True


class _Over(Exception):
    """A question is over before it is answered here."""


TypedLine = Callable[[], Awaitable[str | None]]
"""Waits for a line that a person types; None: there are no more."""
Show = Callable[[str], None]


class Answer(Protocol):
    """Answers a question; False: the answer is refused, and the question still waits."""

    def __call__(self, decision: str, *, lasts: AllowedFor = "once", arguments: Json = None) -> Awaitable[bool]: ...


async def _fill_in(form: AskedForm, typed_line: TypedLine, show: Show, answered: Answer) -> bool:
    """Have a person fill in the form of an MCP server; False when they have left."""
    while True:
        show(FORM_PROMPT)
        match await typed_line():
            case None:
                return False
            case "d" | "D" | "decline":
                if await answered("deny"):
                    return True
            case "c" | "C" | "cancel":
                if await answered("cancel"):
                    return True
            case "s" | "S" | "skip":
                return True
            case "a" | "A" | "answer":
                pass
            case _:
                continue
        filled: dict[str, Json] = {}
        for field in forms.fields(form.schema or {}):
            while True:
                show(f"{questions.seen(field.name)}: ")
                text = await typed_line()
                if text is None:
                    return False
                try:
                    value = forms.typed(field, text)
                except errors.InvalidParams as error:
                    show(f"{questions.seen(error.message)}\n")
                    continue
                break
            if value is not None:
                filled[field.name] = value
        if await answered("allow", arguments=None if form.schema is None else filled):
            return True


async def _decide(typed_line: TypedLine, show: Show, answered: Answer) -> bool:
    """Have a person consent to a call, or deny it; False when they have left."""
    always = False
    while True:
        show("Type yes to always allow this tool: " if always else PROMPT)
        text = await typed_line()
        match text if text is None else text.lower():
            case None:
                return False
            case "yes" if always:
                if await answered("allow", lasts="always"):
                    return True
                always = False
            case _ if always:
                always = False
            case "a" | "allow":
                if await answered("allow"):
                    return True
            case "d" | "deny":
                if await answered("deny"):
                    return True
            case "p" | "program":
                if await answered("allow", lasts="program"):
                    return True
            case "w" | "always":
                always = True
            case "s" | "skip":
                return True


async def _typed_before_it_is_over(
    desk: Desk, question: Question, typed: asyncio.Future[str | None], changed: asyncio.Event
) -> bool:
    while True:
        await _first(typed, changed)
        if typed.done():
            return True
        changed.clear()
        if question.id not in {one.id for one in await desk.questions()}:
            changed.set()  # there may be others
            return False


async def _first(future: asyncio.Future[Any], changed: asyncio.Event) -> None:
    """Wait for a future or a change."""
    woken = asyncio.ensure_future(changed.wait())
    try:
        await asyncio.wait([future, woken], return_when=asyncio.FIRST_COMPLETED)
    finally:
        woken.cancel()
