"""``approvals``: the calls that wait for a person's consent on a running server, and the person's answers.

The person who answers holds the server's token. Characters of other people's text that hide something are spelled out.
What was typed before a question appeared does not count as its answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, Protocol, TextIO
from urllib.parse import quote

import msgspec
from traitlets import Bool, Unicode

from ..session import questions
from ..session.approvals import Approvals as Waiting
from ..session.approvals import ConsentReply, Question
from ..session.remembered import Permission
from ..session.watch import Watchers
from .command import Exit, Stop, say
from .servers import ANSWER_S, Server, ServerCommand, open_url

OVER = "It was answered elsewhere, or its time is up\n"
PROMPT = "[a]llow once, [d]eny, al[w]ays allow this tool, [s]kip? "


class _Questions(msgspec.Struct):
    approvals: list[Question]


class _Permissions(msgspec.Struct):
    permissions: list[Permission]


class ApprovalsCommand(ServerCommand):
    """``jupyter pctx approvals``."""

    description = """
        List the calls that wait for a person's consent on a running server, and answer them.

        In a terminal it shows each call with its arguments and the part of its program, and asks. With --watch it goes
        on until it is interrupted, and calls wait for it; without --watch it ends when no call is left. --allow and
        --deny answer one call by its id. The tools that are allowed without asking are listed, too; --revoke takes one
        of those permissions back.
        """
    examples = "jupyter pctx approvals --watch\njupyter pctx approvals --json\njupyter pctx approvals --deny ID"

    allow = Unicode("", config=True, help="Allow the call with this id, once.")
    deny = Unicode("", config=True, help="Deny the call with this id.")
    revoke = Unicode("", config=True, help="Take the permission with this id back.")
    watch = Bool(False, config=True, help="Wait for calls until interrupted.")

    aliases = {
        **ServerCommand.aliases,
        **{name: f"ApprovalsCommand.{name}" for name in ("allow", "deny", "revoke")},
    }
    flags: dict[str, Any] = {
        **ServerCommand.flags,
        "watch": ({"ApprovalsCommand": {"watch": True}}, "Wait for calls until interrupted."),
    }

    def main(self) -> int:
        """List, answer or watch."""
        if self.extra_args or sum(map(bool, (self.allow, self.deny, self.revoke, self.watch))) > 1:
            raise Stop(
                Exit.USAGE,
                "Cannot answer: jupyter pctx approvals, with at most one of --allow ID, --deny ID, --revoke ID, "
                "--watch",
            )
        desk = ServerDesk(self.chosen())
        if id := self.allow or self.deny:
            if not asyncio.run(desk.answer(id, "allow" if self.allow else "deny")):
                raise Stop(Exit.USAGE, f"Cannot answer {id[:100]}: no such call waits")
            say("Allowed" if self.allow else "Denied")
            return Exit.OK
        if self.revoke:
            if not asyncio.run(desk.revoke(self.revoke)):
                raise Stop(Exit.USAGE, f"Cannot revoke {self.revoke[:100]}: no tool has that permission")
            say("Revoked: the next call of this tool waits for a person")
            return Exit.OK
        is_person = sys.stdin.isatty() and not self.json
        if self.watch or is_person:
            return asyncio.run(_attend(desk, is_person=is_person, watch=self.watch, as_json=self.json))
        waiting, allowed = asyncio.run(desk.questions()), asyncio.run(desk.permissions())
        if self.json:
            sys.stdout.write(msgspec.json.encode({"approvals": waiting, "permissions": allowed}).decode() + "\n")
        for question in [] if self.json else waiting:
            _show(question)
        if not (waiting or self.json):
            say("No call waits for consent")
        if allowed and not self.json:
            _show_permissions(allowed)
        return Exit.OK


class Desk(Protocol):
    """Where questions wait."""

    async def questions(self) -> list[Question]:
        """Those that wait, the oldest first."""

    async def answer(self, id: str, decision: str, *, always: bool = False) -> bool:
        """Answer a question; whether it was still there."""


class OwnDesk:
    """The questions of an engine of this process.

    Args:
        approvals: The engine's.
    """

    def __init__(self, approvals: Waiting) -> None:
        self._approvals = approvals

    async def questions(self) -> list[Question]:
        return self._approvals.questions()

    async def answer(self, id: str, decision: str, *, always: bool = False) -> bool:
        answer = ConsentReply("allowed") if decision == "allow" else ConsentReply.denied()
        return self._approvals.answer(id, answer, for_good=always)


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
            raise Stop(Exit.UNREACHABLE, f"Cannot read the answer of {self.server.url}: it is no pctx") from None

    async def permissions(self) -> list[Permission]:
        """Return the tools that are allowed without asking."""
        try:
            answer = await asyncio.to_thread(self._ask, "", of="permissions")
            return msgspec.json.decode(answer, type=_Permissions).permissions
        except msgspec.MsgspecError:
            raise Stop(Exit.UNREACHABLE, f"Cannot read the answer of {self.server.url}: it is no pctx") from None

    async def revoke(self, id: str) -> bool:
        """Take a permission back; returns whether there was one."""
        path = f"/{quote(id, safe='')}"
        return await asyncio.to_thread(self._ask, path, of="permissions", method="DELETE") is not None

    async def answer(self, id: str, decision: str, *, always: bool = False) -> bool:
        body = json.dumps({"decision": decision, "always": always, "by": "terminal"}).encode()
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
            raise Stop(Exit.UNREACHABLE, f"Cannot ask {self.server.url}: {_why(error)}") from None
        except OSError as error:
            raise Stop(Exit.UNREACHABLE, f"Cannot reach {self.server.url}: {getattr(error, 'reason', error)}") from None


def _why(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["message"])[:300]
    except (OSError, ValueError, KeyError, TypeError):
        return f"it answered with HTTP status {error.code}"


def _show(question: Question) -> None:
    sys.stdout.write(f"{questions.text(question)}\n--allow {question.id} or --deny {question.id}\n\n")
    sys.stdout.flush()


def _show_permissions(permissions: list[Permission]) -> None:
    lines = [f"{questions.permission(one.tool, one.asked_by, one.since)}: --revoke {one.id}\n" for one in permissions]
    sys.stdout.write("".join(["Allowed without asking:\n", *lines]))
    sys.stdout.flush()


class _Lines:
    """The lines that a person types. A thread reads them, because reading a terminal blocks."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        threading.Thread(target=self._read, daemon=True, name="pctx terminal").start()

    def _read(self) -> None:
        begun, file = b"", sys.stdin.fileno()
        with suppress(OSError, RuntimeError):  # the terminal, or the loop, is closed
            # Not by sys.stdin: Python could not end while a thread holds its lock.
            while piece := os.read(file, 4096):
                *lines, begun = (begun + piece).split(b"\n")
                for line in lines:
                    self._put(line.decode(errors="replace").strip().lower())
            self._put(None)

    def _put(self, line: str | None) -> None:
        self._loop.call_soon_threadsafe(self._lines.put_nowait, line)

    def forget(self) -> None:
        """Drop what was typed so far, an unfinished line included."""
        while not self._lines.empty():
            if self._lines.get_nowait() is None:
                self._lines.put_nowait(None)
                return
        if sys.platform != "win32":
            import termios

            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)

    async def next(self) -> str | None:
        """The next line; None at the end of the input."""
        line = await self._lines.get()
        if line is None:
            self._lines.put_nowait(None)
        return line


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
    lines: _Lines | None = None
    done: set[str] = set()
    while True:
        changed.clear()
        question = next((one for one in await desk.questions() if one.id not in done), None)
        if question is None:
            await changed.wait()
            continue
        done.add(question.id)
        lines = lines or _Lines()
        if not await _ask(desk, question, lines, changed, sys.stderr):
            await desk.answer(question.id, "deny")


async def _attend(desk: ServerDesk, *, is_person: bool, watch: bool, as_json: bool) -> int:
    """Be there to be asked: show each question, and where a person sits at the terminal, take their answer."""
    from ..client import changes

    lines = _Lines() if is_person else None
    done: set[str] = set()
    async with changes.listen(desk.server.url, desk.server.headers, "terminal") as listener:
        changed = asyncio.Event()
        listening = asyncio.create_task(_watch(listener, changed))
        try:
            if watch:
                say(f"Waiting for calls on {desk.server.url}; Ctrl-C ends it")
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
                    say("No call is left" if done else "No call waits for consent; --watch waits for one")
                    return Exit.OK
        finally:
            listening.cancel()


async def _watch(changes: AsyncIterator[str], changed: asyncio.Event) -> None:
    async for change in changes:
        if change == "approvals":
            changed.set()


def _print(question: Question, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(question).decode() + "\n")
        sys.stdout.flush()
    else:
        _show(question)


async def _ask(desk: Desk, question: Question, lines: _Lines, changed: asyncio.Event, out: TextIO) -> bool:
    """Ask the person at the terminal about one call; False when they have left."""

    def show(text: str) -> None:
        out.write(text)
        out.flush()

    async def answered(decision: str, *, always: bool = False) -> bool:
        was_there = await desk.answer(question.id, decision, always=always)
        show(("Allowed\n" if decision == "allow" else "Denied\n") if was_there else OVER)
        return True

    show(f"\n{questions.text(question)}\n")
    lines.forget()  # it was typed before anybody could see what it would answer
    always = False
    while True:
        show("Allow this tool always? Type yes: " if always else PROMPT)
        typed = asyncio.ensure_future(lines.next())
        try:
            if not await _typed_before_it_is_over(desk, question, typed, changed):
                show(f"\n{OVER}")
                return True
        finally:
            typed.cancel()
        match typed.result():
            case None:
                return False
            case "yes" if always:
                return await answered("allow", always=True)
            case _ if always:
                always = False
            case "a" | "allow":
                return await answered("allow")
            case "d" | "deny":
                return await answered("deny")
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
