"""``jupyter pctx approvals``: a real server, an agent that asks, and a person at a real terminal."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import select
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pctx_jupyter import errors
from pctx_jupyter.cli import approvals
from pctx_jupyter.session.consent import Question

from .. import fakes
from ..server.process import ServerProcess
from ..upstream.conftest import peer
from .conftest import Pctx, call, command, folders

LONG = 40
"""Seconds for what includes processes on a busy machine."""
CODE = """let said = "";
try { said = JSON.stringify(await Good.echo({ text: "\\u202e\\u001b[2J" })) } catch (error) { said = `${error}` }
said"""


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on which every call of an agent needs consent."""
    folder = tmp_path_factory.mktemp("home")
    servers = folder / "servers.json"
    servers.write_text(json.dumps({"name": "pctx", "servers": [peer(), peer("asks")]}))
    server = ServerProcess(folder, f"--Pctx.upstreams={servers}", "--Pctx.policy=ask agent *", "--Pctx.typecheck=False")
    try:
        yield server
    finally:
        server.stop()


class Agent(threading.Thread):
    """Runs one program in the plain way; `said` is its answer."""

    def __init__(self, server: ServerProcess, code: str = CODE) -> None:
        super().__init__(daemon=True)
        self._server, self._code, self.said = server, code, ""
        self.start()

    def run(self) -> None:
        params = {"name": "execute", "arguments": {"code": self._code}}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
        request = urllib.request.Request(f"{self._server.url}pctx/mcp", data=body, headers=self._server.headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=LONG) as answer:
            self.said = json.loads(json.load(answer)["result"]["content"][0]["text"])["output"]

    def end(self) -> str:
        self.join(LONG)
        assert not self.is_alive()
        return self.said


class Terminal:
    """The command at a terminal of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command(*words),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=os.environ | folders(folder),
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def until(self, wanted: str) -> str:
        """Read until this is shown, after what was shown before; returns what was read."""
        begin, end = len(self.shown), time.monotonic() + LONG
        while wanted not in self.shown[begin:]:
            assert time.monotonic() < end, self.shown
            if select.select([self._ours], [], [], 0.1)[0]:
                self.shown += os.read(self._ours, 65536).decode(errors="replace")
        return self.shown[begin:]

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait(LONG)
        os.close(self._ours)


@pytest.fixture
def terminal(asking: ServerProcess) -> Iterator[Terminal]:
    terminal = Terminal(asking.folder, "approvals", "--watch")
    try:
        terminal.until("Waiting for calls")
        yield terminal
    finally:
        terminal.close()


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")


def test_a_person_at_a_terminal_allows_and_denies(asking: ServerProcess, terminal: Terminal) -> None:
    agent = Agent(asking)
    shown = terminal.until("[s]kip? ")
    assert "An agent wants to call Good.echo." in shown
    assert "\\u202e" in shown and "\u202e" not in shown and "\x1b[2J" not in shown
    assert "It calls at line 2 of its program:" in shown and "> 2 | try {" in shown
    terminal.type("a\n")
    terminal.until("Allowed")
    assert "u001b" in agent.end()
    agent = Agent(asking)
    terminal.until("[s]kip? ")
    terminal.type("\nyes\nd\n")
    terminal.until("Denied")
    assert "a person denied it, in the terminal" in agent.end()


def test_a_tool_that_is_allowed_to_a_program_is_asked_about_again_in_the_next(
    asking: ServerProcess, terminal: Terminal
) -> None:
    twice = "[await Good.echo({ text: 'a' }), await Good.echo({ text: 'b' })].length"
    agent = Agent(asking, twice)
    terminal.until("[s]kip? ")
    terminal.type("p\n")
    terminal.until("Allowed")
    assert agent.end() == 2
    agent = Agent(asking)
    terminal.until("[s]kip? ")
    terminal.type("d\n")
    terminal.until("Denied")
    assert "denied" in agent.end()


def test_the_reason_of_a_refused_answer_cannot_control_the_terminal() -> None:
    class Desk:
        async def questions(self) -> list[Question]:
            return [question]

        async def answer(self, id: str, decision: str, **more: Any) -> bool:
            raise errors.InvalidParams("Cannot allow it: \x1b[2J is no text")

    class Typed(list[str | None]):
        def forget(self) -> None: ...

        async def next(self) -> str | None:
            return self.pop(0)

    async def ask() -> None:
        assert await approvals._ask(Desk(), question, Typed(["a", "s"]), asyncio.Event(), shown)  # type: ignore[arg-type]

    question = fakes.question(id="q", tool="Good.echo")
    shown = io.StringIO()
    asyncio.run(ask())
    assert "is no text" in shown.getvalue()
    assert "\x1b" not in shown.getvalue()
    assert shown.getvalue().count(approvals.PROMPT) == 2, "the call still waits"


def test_what_was_typed_before_a_question_is_no_answer(asking: ServerProcess, terminal: Terminal) -> None:
    terminal.type("a\na")
    terminal.until("a\r\n")
    agent = Agent(asking)
    terminal.until("[s]kip? ")
    terminal.type("d\n")
    terminal.until("Denied")
    assert "denied" in agent.end()


def waiting(pctx: Any, server: ServerProcess) -> str:
    """The id of the call that waits."""
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        found = json.loads(pctx(server.folder, "approvals", "--json").stdout)["approvals"]
        if found:
            return str(found[0]["id"])
    raise AssertionError("no call waits")


def test_a_script_lists_and_answers_and_the_terminals_question_disappears(
    asking: ServerProcess, terminal: Terminal
) -> None:
    for decision, said in (("allow", "u001b"), ("deny", "in the terminal")):
        agent = Agent(asking)
        terminal.until("[s]kip? ")
        id = waiting(call, asking)
        listed = call(asking.folder, "approvals")
        assert "wants to call Good.echo." in listed.stdout and id in listed.stdout
        assert call(asking.folder, "approvals", f"--{decision}", id).returncode == 0
        terminal.until("It was answered elsewhere")
        assert said in agent.end()
        again = call(asking.folder, "approvals", f"--{decision}", id)
        assert again.returncode == 2 and "no such call waits" in again.stderr


def test_what_is_always_allowed_is_listed_and_revoked(asking: ServerProcess, terminal: Terminal) -> None:
    agent = Agent(asking)
    terminal.until("[s]kip? ")
    terminal.type("w\n")
    terminal.until("Type yes to always allow this tool: ")
    terminal.type("yes\n")
    terminal.until("Allowed")
    agent.end()
    listed = call(asking.folder, "approvals").stdout
    assert "Allowed without asking:\nGood.echo for agents, since " in listed
    (permission,) = json.loads(call(asking.folder, "approvals", "--json").stdout)["permissions"]
    assert permission["id"] in listed
    assert call(asking.folder, "approvals", "--revoke", permission["id"]).returncode == 0
    assert json.loads(call(asking.folder, "approvals", "--json").stdout)["permissions"] == []
    again = call(asking.folder, "approvals", "--revoke", permission["id"])
    assert again.returncode == 2 and "no tool has that permission" in again.stderr
    agent = Agent(asking)
    terminal.until("[s]kip? ")
    terminal.type("d\n")
    terminal.until("Denied")
    assert "denied" in agent.end()


def test_a_program_that_runs_in_a_terminal_asks_there(tmp_path: Path) -> None:
    (tmp_path / "servers.json").write_text(json.dumps({"name": "pctx", "servers": [peer()]}))
    (tmp_path / "program.ts").write_text(CODE)
    options = ("--Pctx.upstreams=servers.json", "--Pctx.policy=ask agent *", "--no-check")
    terminal = Terminal(tmp_path, "run", "program.ts", *options)
    try:
        shown = terminal.until("[s]kip? ")
        assert "wants to call Good.echo." in shown
        terminal.type("a\n")
        terminal.until("Allowed")
        terminal.until("u001b")
        assert terminal.process.wait(LONG) == 0
    finally:
        terminal.close()
    done = call(tmp_path, "run", "program.ts", *options)
    assert "it was not sent" in done.stdout and done.returncode == 0


def test_a_list_without_calls_says_so(asking: ServerProcess) -> None:
    listed = call(asking.folder, "approvals")
    assert (listed.returncode, listed.stdout) == (0, "") and "No call waits" in listed.stderr


def test_a_wrong_command_line_is_refused(pctx: Pctx, tmp_path: Path) -> None:
    for options in (
        ("--allow", "1", "--deny", "2"),
        ("more",),
        ("--watch", "--allow", "1"),
        ("--revoke", "1", "--allow", "1"),
    ):
        done = pctx("approvals", *options)
        assert done.returncode == 2 and "Cannot answer" in done.stderr
    assert pctx("approvals").returncode == 3


FIELDS = {"name": {"type": "string"}, "age": {"type": "integer"}, "password": {"type": "string"}}
FORM = {"mode": "form", "message": "Who are you?", "requestedSchema": {"type": "object", "properties": FIELDS}}
ASKS = f"JSON.stringify(await Asks.ask({json.dumps(FORM)}))"


def test_a_person_at_a_terminal_fills_in_the_form_of_an_mcp_server(asking: ServerProcess, terminal: Terminal) -> None:
    agent = Agent(asking, ASKS)
    terminal.until("[s]kip? ")
    terminal.type("a\n")
    shown = terminal.until("[a]nswer, [d]ecline, [c]ancel, [s]kip? ")
    assert "The MCP server asks asks you something." in shown and "  | Who are you?" in shown
    assert "Warning: password looks like a secret." in shown
    terminal.type("a\n")
    terminal.until("name: ")
    terminal.type("Ada\n")
    terminal.until("age: ")
    terminal.type("many\n")
    terminal.until("age must be a whole number")
    terminal.type("36\n")
    terminal.until("password: ")
    terminal.type("\n")
    terminal.until("Allowed")
    assert json.loads(agent.end()) == {"action": "accept", "content": {"name": "Ada", "age": 36}}


def test_a_script_answers_a_form_and_an_answer_that_does_not_fit_is_refused(
    asking: ServerProcess, terminal: Terminal
) -> None:
    agent = Agent(asking, ASKS)
    terminal.until("[s]kip? ")
    terminal.type("a\n")
    terminal.until("[a]nswer, [d]ecline, [c]ancel, [s]kip? ")
    id = waiting(call, asking)
    refused = call(asking.folder, "approvals", "--allow", id, "--arguments", '{"name": 5}')
    assert refused.returncode == 2 and "name: must be a text" in refused.stderr
    done = call(asking.folder, "approvals", "--allow", id, "--arguments", '{"name": "Ada"}')
    assert done.returncode == 0, done.stderr
    assert json.loads(agent.end()) == {"action": "accept", "content": {"name": "Ada"}}
