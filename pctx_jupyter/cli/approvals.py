"""``approvals``: the calls that wait for a person's consent on a running server, and the person's answers.

Whoever answers here holds the server's token. Strangers' text is spelled out before it is shown, and nothing that was
typed before a question appeared counts as its answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec
from traitlets import Bool, Unicode

from ..session import questions
from ..session.approvals import Question
from ..tools import inert
from .command import Exit, Stop, say
from .servers import ANSWER_S, Server, ServerCommand, open_url

MOST_ARGUMENTS = 10_000
"""Characters of a call's arguments that are shown."""

PROMPT = "[a]llow once, [d]eny, al[w]ays allow this tool, [s]kip? "


class _Questions(msgspec.Struct):
    approvals: list[Question]


class Approvals(ServerCommand):
    """``jupyter pctx approvals``."""

    description = """
        List the calls that wait for a person's consent on a running server, and answer them.

        In a terminal it shows each call with its arguments and the part of its program, and asks. With --watch it goes
        on until it is interrupted, and calls wait for it; without --watch it ends when no call is left. --allow and
        --deny answer one call by its id.
        """
    examples = "jupyter pctx approvals --watch\njupyter pctx approvals --json\njupyter pctx approvals --deny ID"

    allow = Unicode("", config=True, help="Allow the call with this id, once.")
    deny = Unicode("", config=True, help="Deny the call with this id.")
    watch = Bool(False, config=True, help="Wait for calls until interrupted.")

    aliases = {**ServerCommand.aliases, "allow": "Approvals.allow", "deny": "Approvals.deny"}
    flags: dict[str, Any] = {
        **ServerCommand.flags,
        "watch": ({"Approvals": {"watch": True}}, "Wait for calls until interrupted."),
    }

    def main(self) -> int:
        """List, answer or watch."""
        if self.extra_args or (self.allow and self.deny) or ((self.allow or self.deny) and self.watch):
            raise Stop(
                Exit.USAGE, "Cannot answer: jupyter pctx approvals, with at most one of --allow ID, --deny ID, --watch"
            )
        desk = Desk(self.chosen())
        if id := self.allow or self.deny:
            if not desk.answer(id, "allow" if self.allow else "deny"):
                raise Stop(Exit.USAGE, f"Cannot answer {inert.line(id, 100)}: no such call waits")
            say("Allowed" if self.allow else "Denied")
            return Exit.OK
        is_person = sys.stdin.isatty() and not self.json
        if self.watch or is_person:
            return asyncio.run(_attend(desk, is_person=is_person, watch=self.watch, as_json=self.json))
        waiting = desk.questions()
        if self.json:
            sys.stdout.write(msgspec.json.encode({"approvals": waiting}).decode() + "\n")
        for question in [] if self.json else waiting:
            _show(question)
        if not (waiting or self.json):
            say("No call waits for consent")
        return Exit.OK


class Desk:
    """The questions of one server.

    Args:
        server: The server; its token is a user's.
    """

    def __init__(self, server: Server) -> None:
        self.server = server

    def questions(self) -> list[Question]:
        """Those that wait, the oldest first."""
        try:
            return msgspec.json.decode(self._ask(""), type=_Questions).approvals
        except msgspec.MsgspecError:
            raise Stop(Exit.UNREACHABLE, f"Cannot read the answer of {self.server.url}: it is no pctx") from None

    def answer(self, id: str, decision: str, *, always: bool = False) -> bool:
        """Answer a question; whether it was still there."""
        body = json.dumps({"decision": decision, "always": always, "by": "terminal"}).encode()
        return self._ask(f"/{quote(id, safe='')}", body) is not None

    def _ask(self, path: str, body: bytes | None = None) -> Any:
        """The body of an answer; None when what is asked for is not there."""
        request = urllib.request.Request(f"{self.server.url}pctx/api/approvals{path}", body, self.server.headers)
        try:
            with open_url(request, timeout=ANSWER_S) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            if body is not None and error.code == HTTPStatus.NOT_FOUND:
                return None
            raise Stop(Exit.UNREACHABLE, f"Cannot ask {self.server.url}: {_why(error)}") from None
        except OSError as error:
            raise Stop(Exit.UNREACHABLE, f"Cannot reach {self.server.url}: {getattr(error, 'reason', error)}") from None


def _why(error: urllib.error.HTTPError) -> str:
    try:
        return inert.line(str(json.load(error)["message"]), 300)
    except (OSError, ValueError, KeyError, TypeError):
        return f"it answered with HTTP status {error.code}"


def _show(question: Question) -> None:
    sys.stdout.write(f"{questions.text(question, MOST_ARGUMENTS)}\n--allow {question.id} or --deny {question.id}\n\n")
    sys.stdout.flush()


class _Lines:
    """The lines that a person types. A thread reads them, because reading a terminal blocks."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        threading.Thread(target=self._read, daemon=True, name="pctx terminal").start()

    def _read(self) -> None:
        for line in iter(sys.stdin.readline, ""):
            self._loop.call_soon_threadsafe(self._lines.put_nowait, line.strip().lower())
        self._loop.call_soon_threadsafe(self._lines.put_nowait, None)

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


async def _attend(desk: Desk, *, is_person: bool, watch: bool, as_json: bool) -> int:
    """Be there to be asked: show each question, and where a person sits at the terminal, take their answer."""
    from ..client import changes

    lines = _Lines() if is_person else None
    done: set[str] = set()
    async with changes.listen(desk.server.url, desk.server.headers, "terminal") as heard:
        changed = asyncio.Event()
        listening = asyncio.create_task(_hear(heard, changed))
        try:
            if watch:
                say(f"Waiting for calls on {desk.server.url}; Ctrl-C ends it")
            while True:
                changed.clear()
                waiting = await asyncio.to_thread(desk.questions)
                question = next((one for one in waiting if one.id not in done), None)
                if question is not None:
                    done.add(question.id)
                    if lines is None:
                        _print(question, as_json=as_json)
                    elif not await _ask(desk, question, lines, changed):
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


async def _hear(heard: AsyncIterator[str], changed: asyncio.Event) -> None:
    async for change in heard:
        if change == "approvals":
            changed.set()


def _print(question: Question, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(question).decode() + "\n")
        sys.stdout.flush()
    else:
        _show(question)


async def _ask(desk: Desk, question: Question, lines: _Lines, changed: asyncio.Event) -> bool:
    """Ask the person at the terminal about one call; False when they have left."""
    sys.stdout.write(f"\n{questions.text(question, MOST_ARGUMENTS)}\n")
    lines.forget()  # it was typed before anybody could see what it would answer
    always = False
    while True:
        sys.stdout.write("Allow this tool always? Type yes: " if always else PROMPT)
        sys.stdout.flush()
        typed = asyncio.ensure_future(lines.next())
        if not await _typed_before_it_is_over(desk, question, typed, changed):
            sys.stdout.write("\nIt was answered elsewhere, or its time is up\n")
            return True
        match typed.result():
            case None:
                return False
            case "yes" if always:
                return _answered(desk, question, "allow", always=True)
            case _ if always:
                always = False
            case "a" | "allow":
                return _answered(desk, question, "allow")
            case "d" | "deny":
                return _answered(desk, question, "deny")
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
        if question.id not in {one.id for one in await asyncio.to_thread(desk.questions)}:
            typed.cancel()
            changed.set()  # there may be others
            return False


async def _first(future: asyncio.Future[Any], changed: asyncio.Event) -> None:
    """Wait for a future or a change."""
    woken = asyncio.ensure_future(changed.wait())
    try:
        await asyncio.wait([future, woken], return_when=asyncio.FIRST_COMPLETED)
    finally:
        woken.cancel()


def _answered(desk: Desk, question: Question, decision: str, *, always: bool = False) -> bool:
    was_there = desk.answer(question.id, decision, always=always)
    said = {"allow": "Allowed", "deny": "Denied"}[decision]
    sys.stdout.write(f"{said}\n" if was_there else "It was answered elsewhere, or its time is up\n")
    return True
