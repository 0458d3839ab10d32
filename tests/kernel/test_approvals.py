"""``%pctx approvals``, with a real bridge: on an engine of the kernel's own, with real sandboxes; and on a server.

That server is a registry and a door in memory, whose sandbox is a function."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError
from msgspec import Raw

from pctx_jupyter.client.raw import RawClient
from pctx_jupyter.kernel.approvals import ApprovalCommands
from pctx_jupyter.kernel.bridge import Bridge
from pctx_jupyter.kernel.home import Home, open_home
from pctx_jupyter.rpc.channel import Channel, OnNotification, Serve, crossed
from pctx_jupyter.session.consent import ConsentReply, Question
from pctx_jupyter.session.local_tools import LocalTools
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.settings import Settings

from ..fakes import FakeSandbox

SERVER: dict[str, Any] = {
    "command": sys.executable,
    "args": ["-I", str(Path(__file__).parents[1] / "upstream" / "peer.py"), "asks"],
}
LONG = 30
"""Seconds for what includes a sandbox on a busy machine."""
CODE = 'let said = ""; try { said = String(await Sales.send({ to: "\\u202e" })) } catch (e) { said = `${e}` } said'
ASKING = Settings(policy=("ask cell *",), typecheck=False)


async def send(arguments: Any) -> str:
    return "sent"


async def execute(home: Home) -> Any:
    if "send" not in str(await home.client.list_functions()):
        await home.client.register_tool("Sales", "send", send)
    return (await home.client.execute_code(CODE))["value"]


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    bridge = Bridge(lambda: open_home({}, ASKING), list)
    yield bridge
    bridge.close()


def waiting(bridge: Bridge) -> Question:
    async def first(home: Home) -> Question | None:
        assert home.approvals is not None
        return next(iter(home.approvals.questions()), None)

    end = time.monotonic() + LONG
    while time.monotonic() < end:
        if (question := bridge.do(first, LONG)) is not None:
            return question
    raise AssertionError("no call waits")


def test_the_form_of_an_mcp_server_is_filled_in_in_the_notebook(
    bridge: Bridge, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {
        "mode": "form",
        "message": "Who are you?",
        "requestedSchema": {"type": "object", "properties": {"name": {"type": "string", "default": "Bob"}}},
    }

    async def ask(home: Home) -> Any:
        await home.client.add_upstream({"name": "asks", **SERVER}, persist=False)
        return (await home.client.execute_code(f"await Asks.ask({json.dumps(asked)})"))["value"]

    commands = ApprovalCommands(bridge)
    commands.run("on")
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(bridge.do, ask, LONG)
        commands.run(f"allow {waiting(bridge).id}")  # the call itself
        question = waiting(bridge)
        while question.form is None:
            question = waiting(bridge)
        commands.run("")
        shown = capsys.readouterr().out
        assert "The MCP server asks asks you something." in shown and f'allow {question.id} {{"name":"Bob"}}' in shown
        with pytest.raises(UsageError, match="name: must be a text"):
            commands.run(f'allow {question.id} {{"name": 5}}')
        with pytest.raises(UsageError, match="they must be a JSON object"):
            commands.run(f"allow {question.id} Ada")
        commands.run(f'allow {question.id} {{"name": "Ada L."}}')
        assert asking.result(LONG) == {"action": "accept", "content": {"name": "Ada L."}}


def test_an_engine_of_the_kernels_own_is_answered_in_the_notebook(
    bridge: Bridge, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = ApprovalCommands(bridge)
    assert "it was not sent" in bridge.do(execute, LONG)
    commands.run("on")
    with ThreadPoolExecutor() as threads:
        for decision, said in (("allow", "sent"), ("deny", "a person denied it")):
            running = threads.submit(bridge.do, execute, LONG)
            question = waiting(bridge)
            commands.run("")
            shown = capsys.readouterr().out
            assert "wants to call Sales.send" in shown and "\u202e" not in shown
            assert f"%pctx approvals {decision} {question.id}" in shown
            commands.run(f"{decision} {question.id}")
            assert said in running.result(LONG)
    commands.run("")
    assert "No call waits" in capsys.readouterr().out
    with pytest.raises(UsageError, match="no such call waits"):
        commands.run("allow guessed")
    commands.run("off")
    assert "it was not sent" in bridge.do(execute, LONG)


@pytest.mark.parametrize("line", ["allow", "deny", "more", "on now", "off 1", "revoke"])
def test_a_wrong_line_is_refused_with_the_usage(bridge: Bridge, line: str) -> None:
    with pytest.raises(UsageError, match="Usage: %pctx approvals"):
        ApprovalCommands(bridge).run(line)


class Server:
    """A registry on which an agent's program calls a tool of this kernel's notebook."""

    def __init__(self) -> None:
        self.bridge = Bridge(self._home, list)

    @asynccontextmanager
    async def _home(self) -> AsyncIterator[Home]:
        settings = Settings(policy=("ask agent *",))
        registry = Registry(FakeSandbox(self._act), settings, time.monotonic)

        async def connect(serve: Serve, on_notification: OnNotification) -> Channel:
            return crossed(
                lambda send: Channel(
                    send,
                    serve=serve,
                    on_notification=on_notification,
                    name="kernel",
                    max_bytes=settings.max_message_bytes,
                ),
                lambda send: LocalTools(registry, settings, send, kernel_id="k1").channel,
            )[0]

        async with RawClient(connect=connect, reconnect=False) as client:
            await client.register_tool("Notebook", "send", send)
            registry.name_kernel("k1", "sales")
            registry.approvals.attend()
            self.registry = registry
            asking = asyncio.create_task(registry.agents().execute("await Sales.send()"))
            while not len(registry.approvals):
                await asyncio.sleep(0)
            try:
                yield Home(client, "Jupyter server", "a test opened it", "http://localhost")
            finally:
                asking.cancel()
                await asyncio.wait([asking])

    async def _act(self, job: Any, serve: Callable[..., Awaitable[Raw]], emit: Any) -> object:
        return await serve("Sales.send", None)


def test_on_a_server_a_notebook_lists_the_calls_of_its_tools_and_answers_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = Server()
    try:
        commands = ApprovalCommands(server.bridge)
        commands.run("")
        shown = capsys.readouterr().out
        assert "An agent wants to call Sales.send · 1" in shown and "jupyter pctx approvals" in shown
        for line in ("on", "allow 1", "deny 1"):
            with pytest.raises(UsageError, match="cannot consent for you"):
                commands.run(line)

        async def allow(home: Home) -> None:
            (question,) = server.registry.approvals.questions()
            server.registry.approvals.answer(question.id, ConsentReply("allowed"), for_good=True)

        server.bridge.do(allow, LONG)
        capsys.readouterr()
        commands.run("")
        shown = capsys.readouterr().out
        assert "Allowed without asking:\nSales.send for agents: %pctx approvals revoke " in shown
        id = shown.split()[-1]
        commands.run(f"revoke {id}")
        assert "Revoked" in capsys.readouterr().out
        commands.run("")
        assert "Allowed without asking" not in capsys.readouterr().out
        with pytest.raises(Exception, match="no tool of this session has that permission"):
            commands.run(f"revoke {id}")
    finally:
        server.bridge.close()
