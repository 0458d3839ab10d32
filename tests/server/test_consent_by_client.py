"""An agent's own client asks its user for consent, in both eras: the official client, a real server, real sandboxes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import mcp.types as t
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from pctx_jupyter.rpc.environment import TOKEN_HEADER
from pctx_jupyter.server.kernels import KernelTokens
from pctx_jupyter.server.running import RunningEngine
from pctx_jupyter.session.approvals import Approvals
from pctx_jupyter.session.consent import ConsentReply
from pctx_jupyter.session.registry import Registry

from .conftest import Headers
from .wires import Wire, open_wire

LONG = 20
"""Seconds for what includes a sandbox on a busy machine."""
CODE = """// Clears up.
let said = "";
try { said = await Sales.removeAll({ names: ["a"] }) as string } catch (error) { said = `${error}` }
said"""

NAMED = t.Implementation(name="shop-agent", title="Shop Agent", version="1")

ClientsUser = Callable[[t.ElicitRequestFormParams], Any]


@pytest.fixture
def limits() -> dict[str, Any]:
    return {"typecheck": False, "disclosure": "sidecar"}


@pytest.fixture(params=["legacy", "auto"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def kernel_token(kernels: KernelTokens, monkeypatch: pytest.MonkeyPatch) -> Headers:
    """The headers of a kernel ``k1`` that the server has."""
    monkeypatch.setattr(kernels, "_tokens", {"k1": "secret 1"})
    monkeypatch.setattr(kernels, "_starting", {"k1"})
    return {TOKEN_HEADER: "secret 1"}


class Desk:
    """A notebook ``Sales`` with a tool that has effects, on a server; open while an agent is."""

    registry: Registry

    def __init__(self, url: str, kernel_token: Headers, running: RunningEngine) -> None:
        self._url, self._headers, self._running, self.removed = url, kernel_token, running, 0

    @property
    def approvals(self) -> Approvals:
        return self.registry.approvals

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        self.registry = (await self._running.get()).registry
        async with open_wire(self._url + "pctx/local-tools", self._headers) as wire:
            await wire.offer("notebook.remove_all", effects=True)
            self.registry.name_kernel("k1", "sales")
            serving = asyncio.create_task(self._serve(wire))
            yield
            serving.cancel()

    async def _serve(self, wire: Wire) -> None:
        """Do what is asked, and count it."""
        while True:
            message = await wire.receive()
            if message.get("method") == "execute_tool":
                self.removed += 1
                await wire.say(id=message["id"], result="removed")


@pytest.fixture
def desk(url: str, kernel_token: Headers, running: RunningEngine) -> Desk:
    return Desk(url, kernel_token, running)


Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def agent(url: str, jp_auth_header: Headers, era: str, desk: Desk) -> Connect:
    """Opens an MCP client with a user, or without one."""

    @asynccontextmanager
    async def connect(user: ClientsUser | None = None) -> AsyncIterator[Client]:
        async def ask(context: Any, params: t.ElicitRequestParams) -> t.ElicitResult | t.ErrorData:
            assert user is not None and isinstance(params, t.ElicitRequestFormParams)
            answer = user(params)
            result: t.ElicitResult | t.ErrorData = (await answer) if asyncio.iscoroutine(answer) else answer
            return result

        endpoint = url.replace("ws", "http", 1) + "pctx/mcp"
        async with (
            asyncio.timeout(LONG),
            desk.open(),
            httpx2.AsyncClient(headers=jp_auth_header) as http,
            Client(
                streamable_http_client(endpoint, http_client=http),
                mode=era,
                client_info=NAMED,
                elicitation_callback=None if user is None else ask,
            ) as client,
        ):
            yield client

    return connect


def text(result: Any) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, t.TextContent))


ALLOW = t.ElicitResult(action="accept", content={"allow": True})


async def test_a_client_that_can_ask_its_user_gives_consent(agent: Connect, desk: Desk) -> None:
    asked: list[t.ElicitRequestFormParams] = []

    def user(form: t.ElicitRequestFormParams) -> t.ElicitResult:
        asked.append(form)
        return ALLOW

    async with agent(user) as client:
        assert text(await client.call_tool("execute", {"code": CODE})) == '"removed"'
    (form,) = asked
    assert "wants to call Sales.removeAll." in form.message and '{"names":["a"]}' in form.message
    assert "> 3 | try { said = await Sales.removeAll" in form.message
    assert form.requested_schema["properties"]["allow"]["default"] is False
    assert desk.removed == 1
    assert form.message.startswith(f'The agent "{NAMED.title}" wants to call '), "a person reads the client's own name"
    assert next(iter(desk.registry.history)).agent == NAMED.title


@pytest.mark.parametrize(
    "result",
    [
        t.ElicitResult(action="decline"),
        t.ElicitResult(action="accept", content={"allow": False}),
        t.ElicitResult(action="accept", content={}),
        t.ElicitResult(action="accept"),
        t.ElicitResult(action="accept", content={"allow": "true"}),
    ],
)
async def test_whatever_is_no_yes_denies_the_call(agent: Connect, desk: Desk, result: t.ElicitResult) -> None:
    async with agent(lambda form: result) as client:
        said = text(await client.call_tool("execute", {"code": CODE}))
    assert "a person denied it, in their MCP client" in said and desk.removed == 0


async def test_a_user_who_dismisses_the_question_leaves_it_to_others_and_without_others_it_is_denied(
    agent: Connect, desk: Desk
) -> None:
    async with agent(lambda form: t.ElicitResult(action="cancel")) as client:
        said = text(await client.call_tool("execute", {"code": CODE}))
        assert "it was not sent" in said and desk.removed == 0
        desk.approvals.attend()
        asked = asyncio.create_task(client.call_tool("execute", {"code": CODE}))
        while not (waiting := desk.approvals.questions()) or waiting[0].places != ["jupyterlab"]:
            await asyncio.sleep(0.01)
        desk.approvals.answer(waiting[0].id, ConsentReply("allowed"))
        assert text(await asked) == '"removed"'


async def test_a_client_that_cannot_ask_is_denied_at_once_and_reads_what_to_tell_its_user(
    agent: Connect, desk: Desk
) -> None:
    async with agent() as client:
        said = text(await client.call_tool("execute", {"code": CODE}))
    assert "it was not sent" in said and "Tell the user to open JupyterLab on this server" in said
    assert desk.removed == 0


async def test_what_waits_is_said_while_it_waits(agent: Connect, desk: Desk) -> None:
    heard: list[str] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    async with agent() as client:
        desk.approvals.attend()
        asked = asyncio.create_task(client.call_tool("execute", {"code": CODE}, progress_callback=on_progress))
        while not any("waits for a person's consent to call Sales.removeAll, in JupyterLab; 1" in one for one in heard):
            await asyncio.sleep(0.01)
        desk.approvals.answer(desk.approvals.questions()[0].id, ConsentReply("allowed"))
        assert text(await asked) == '"removed"'


async def test_the_first_answer_counts_and_in_the_older_era_the_clients_question_goes_away(
    agent: Connect, desk: Desk, era: str
) -> None:
    gone, shown = asyncio.Event(), asyncio.Event()

    async def user(form: t.ElicitRequestFormParams) -> t.ElicitResult:
        shown.set()
        try:
            await (asyncio.Event().wait() if era == "legacy" else asyncio.sleep(0.2))
        finally:
            gone.set()
        return t.ElicitResult(action="decline")

    async with agent(user) as client:
        desk.approvals.attend()
        asked = asyncio.create_task(client.call_tool("execute", {"code": CODE}))
        await shown.wait()
        (question,) = desk.approvals.questions()
        assert question.places == ["jupyterlab", "client"]
        assert desk.approvals.answer(question.id, ConsentReply("allowed"))
        assert text(await asked) == '"removed"'
        await gone.wait()


async def test_several_calls_at_a_time_and_many_one_after_another_are_all_asked_about(
    agent: Connect, desk: Desk
) -> None:
    async with agent(lambda form: ALLOW) as client:
        code = "(await Promise.all([1, 2, 3].map(() => Sales.removeAll()))).length"
        assert text(await client.call_tool("execute", {"code": code})) == "3"
        code = "let n = 0; while (n < 12) { await Sales.removeAll(); n++ } n"
        said = text(await client.call_tool("execute", {"code": code}))
        while "wait_execution" in said:
            assert "waits for a person's consent to call Sales.removeAll, in your client" in said
            handle = said.rpartition('wait_execution({"handle": "')[2].rpartition('"})')[0]
            said = text(await client.call_tool("wait_execution", {"handle": handle}))
        assert said == "12" and desk.removed == 15


class TestForbidden:
    """Where only JupyterLab may give consent, no client is asked."""

    @pytest.fixture
    def limits(self) -> dict[str, Any]:
        return {"typecheck": False, "consent_by": ["jupyterlab"]}

    async def test_a_client_that_may_not_give_consent_is_not_asked(self, agent: Connect, desk: Desk) -> None:
        asked: list[object] = []
        async with agent(lambda form: asked.append(form) or ALLOW) as client:  # type: ignore[func-returns-value]
            said = text(await client.call_tool("execute", {"code": CODE}))
        assert "it was not sent" in said and "elicitation" not in said
        assert asked == [] and desk.removed == 0


class TestWaiting:
    """What a client reads whose request is answered before somebody has decided."""

    @pytest.fixture
    def limits(self) -> dict[str, Any]:
        return {"typecheck": False, "mcp_wait_s": 0.5}

    async def test_an_answer_before_the_decision_says_what_is_waited_for(self, agent: Connect, desk: Desk) -> None:
        async with agent() as client:
            desk.approvals.attend()
            said = text(await client.call_tool("execute", {"code": CODE}))
            assert "It waits for a person's consent to call Sales.removeAll, in JupyterLab; 1" in said
            handle = said.rpartition('wait_execution({"handle": "')[2].rpartition('"})')[0]
            again = text(await client.call_tool("wait_execution", {"handle": handle}))
            assert "It waits for a person's consent to call Sales.removeAll" in again
            desk.approvals.answer(desk.approvals.questions()[0].id, ConsentReply("allowed"))
            assert text(await client.call_tool("wait_execution", {"handle": handle})) == '"removed"'

    async def test_a_question_is_asked_again_by_the_request_that_waits_for_the_program(
        self, agent: Connect, desk: Desk, era: str
    ) -> None:
        rounds: list[object] = []

        async def user(form: t.ElicitRequestFormParams) -> t.ElicitResult:
            rounds.append(form)
            if len(rounds) == 1 and era == "legacy":
                await asyncio.Event().wait()
            return ALLOW

        async with agent(user) as client:
            said = text(await client.call_tool("execute", {"code": CODE}))
            if era == "legacy":
                assert "in your client" in said
                handle = said.rpartition('wait_execution({"handle": "')[2].rpartition('"})')[0]
                said = text(await client.call_tool("wait_execution", {"handle": handle}))
            assert said == '"removed"'


@pytest.mark.parametrize("era", ["2026-07-28"])
async def test_a_repeated_request_must_be_for_the_same_program_and_a_guessed_state_is_refused(
    agent: Connect, desk: Desk, era: str
) -> None:
    async with agent(lambda form: ALLOW) as client:
        first = await client.session.call_tool("execute", {"code": CODE}, allow_input_required=True)
        assert isinstance(first, t.InputRequiredResult) and first.input_requests
        state = first.request_state
        other = await client.session.call_tool("execute", {"code": "1"}, request_state=state, allow_input_required=True)
        assert "another program" in text(other)
        guessed = await client.session.call_tool("execute", {"code": CODE}, request_state="guessed")
        assert guessed.is_error and "no such execution" in text(guessed)
        wrong: t.InputResponses = {"another": ALLOW}
        again = await client.session.call_tool(
            "execute", {"code": CODE}, request_state=state, input_responses=wrong, allow_input_required=True
        )
        assert isinstance(again, t.InputRequiredResult) and desk.removed == 0
        right: t.InputResponses = dict.fromkeys(first.input_requests, ALLOW)
        done = await client.session.call_tool(
            "execute", {"code": CODE}, request_state=state, input_responses=right, allow_input_required=True
        )
        assert text(done) == '"removed"'


# what an MCP server asks, for a call of the agent's program

PEER = str(Path(__file__).parents[1] / "upstream" / "peer.py")
WHO = {
    "mode": "form",
    "message": "Who are you?",
    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
}
PAGE = {"mode": "url", "message": "Pay", "url": "https://pay.example/x", "elicitationId": "1"}


async def asks(running: RunningEngine, client: Client, what: dict[str, Any]) -> str:
    """Have an MCP server ask something; what the agent reads."""
    upstreams = (await running.get()).upstreams
    assert upstreams is not None
    entry: Any = {"name": "asks", "command": sys.executable, "args": ["-I", PEER, "asks"]}
    await upstreams.add(entry, persist=False)
    return text(await client.call_tool("execute", {"code": f"await Asks.ask({json.dumps(what)})"}))


async def test_a_clients_user_fills_in_the_form_of_an_mcp_server(agent: Connect, running: RunningEngine) -> None:
    asked: list[t.ElicitRequestFormParams] = []

    def user(form: t.ElicitRequestFormParams) -> t.ElicitResult:
        asked.append(form)
        is_form = "name" in form.requested_schema["properties"]
        return t.ElicitResult(action="accept", content={"name": "Ada"}) if is_form else ALLOW

    async with agent(user) as client:
        assert json.loads(await asks(running, client, WHO)) == {"action": "accept", "content": {"name": "Ada"}}
    consent, form = asked
    assert "wants to call Asks.ask" in consent.message
    assert "The MCP server asks asks you something." in form.message and "  | Who are you?" in form.message


@pytest.mark.parametrize(
    ("opened", "action"), [({"opened": True}, "accept"), ({"opened": False}, "decline"), ({}, "decline")]
)
async def test_a_clients_user_reads_the_page_that_an_mcp_server_wants_opened(
    agent: Connect, running: RunningEngine, opened: Any, action: str
) -> None:
    asked: list[str] = []

    def user(form: t.ElicitRequestFormParams) -> t.ElicitResult:
        asked.append(form.message)
        return t.ElicitResult(action="accept", content=opened) if len(asked) == 2 else ALLOW

    async with agent(user) as client:
        assert json.loads(await asks(running, client, PAGE)) == {"action": action}
    assert "It asks you to open this page: https://pay.example/x" in asked[1]


async def test_an_answer_of_a_client_that_does_not_fit_the_form_is_no_answer(
    agent: Connect, running: RunningEngine
) -> None:
    answers = [ALLOW, t.ElicitResult(action="accept", content={"name": 5})]
    async with agent(lambda form: answers.pop(0)) as client:
        said = await asks(running, client, WHO)
    assert "nobody can be asked now" in said


async def test_a_client_that_cannot_ask_reads_why_the_server_got_no_answer(
    agent: Connect, desk: Desk, running: RunningEngine
) -> None:
    async with agent() as client:
        leave = desk.approvals.attend("terminal")
        calling = asyncio.create_task(asks(running, client, WHO))
        while not (waiting := desk.approvals.questions()):
            await asyncio.sleep(0.01)
        leave()
        desk.approvals.answer(waiting[0].id, ConsentReply("allowed"))
        said = await calling
    assert "asks asked its user something: nobody can be asked now. Tell the user to" in said


@pytest.mark.parametrize("allows", [True, False])
async def test_a_single_call_needs_the_same_consent_as_one_of_a_program(
    agent: Connect, desk: Desk, allows: bool
) -> None:
    async with agent(lambda form: ALLOW if allows else t.ElicitResult(action="decline")) as client:
        call = {"name": "Sales.removeAll", "arguments": {"names": ["a"]}}
        result = await client.call_tool("invoke", call)
        assert (text(result) == '"removed"') is allows and result.is_error is not allows
        inside = await client.call_tool("execute", {"code": f"await invoke({json.dumps(call)})"})
        assert (text(inside) == '"removed"') is allows and inside.is_error is not allows
        assert desk.removed == 2 * int(allows)
