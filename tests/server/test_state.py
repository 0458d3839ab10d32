"""What the panel asks over HTTP. A real server in this process and real sandboxes; kernels are their tokens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tornado.httpclient import HTTPClientError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from pctx_jupyter import errors
from pctx_jupyter.agents.clients import CLIENTS
from pctx_jupyter.rpc.environment import TOKEN_HEADER
from pctx_jupyter.server.kernels import KernelTokens
from pctx_jupyter.server.running import RunningEngine
from tests.fakes import SOON

from .authorizer import Whim
from .conftest import Headers
from .wires import Wire, open_wire

Connect = Callable[..., AbstractAsyncContextManager[Wire]]


@pytest.fixture
def jp_server_config(jp_server_config: Any) -> Any:
    Whim.denied = set()
    jp_server_config["ServerApp"]["authorizer_class"] = Whim
    return jp_server_config


@pytest.fixture
def kernel_token(kernels: KernelTokens, monkeypatch: pytest.MonkeyPatch) -> Headers:
    """The headers of a kernel ``k1`` that the server has."""
    monkeypatch.setattr(kernels, "_tokens", {"k1": "secret 1"})
    monkeypatch.setattr(kernels, "_starting", {"k1"})
    return {TOKEN_HEADER: "secret 1"}


@pytest.fixture
def kernel(url: str, kernel_token: Headers) -> Callable[[], AbstractAsyncContextManager[Wire]]:
    """Connects kernel ``k1``."""
    return lambda: open_wire(url + "pctx/local-tools", kernel_token)


Ask = Callable[..., Any]


@pytest.fixture
def ask(http_server_client: Any, jp_base_url: str, jp_auth_header: Headers) -> Ask:
    """Asks over HTTP: status and JSON."""

    async def fetch(path: str, method: str = "GET", body: Any = None, headers: Headers | None = None) -> Any:
        try:
            answer = await http_server_client.fetch(
                f"{jp_base_url}pctx/api/{path}",
                method=method,
                body=json.dumps(body) if method not in ("GET", "DELETE") else None,
                headers=jp_auth_header if headers is None else headers,
                follow_redirects=False,
            )
        except HTTPClientError as error:
            assert error.response is not None
            answer = error.response
        return answer.code, json.loads(answer.body)

    return fetch


@pytest.fixture
def watch(url: str, jp_auth_header: Headers) -> Callable[..., AbstractAsyncContextManager[ClientConnection]]:
    """Opens the socket that tells of changes."""

    @asynccontextmanager
    async def opened(headers: Headers | None = None) -> AsyncIterator[ClientConnection]:
        headers = jp_auth_header if headers is None else headers
        async with connect(url + "pctx/api/changes", additional_headers=headers, proxy=None) as it:
            yield it

    return opened


async def heard(connection: ClientConnection, wanted: str) -> None:
    """Wait until it has told of one kind of change."""
    async with asyncio.timeout(SOON):
        while json.loads(await connection.recv())["change"] != wanted:
            pass


# kernels


async def test_a_kernel_is_shown_with_its_tools_under_both_names(kernel: Any, ask: Ask, running: RunningEngine) -> None:
    async with kernel() as it:
        await it.offer("notebook.load_orders", description="Loads.\n\nAnd more.", effects=True)
        await it.offer("notebook.secret", share=False)
        (await running.get()).registry.name_kernel("k1", "sales report")
        status, found = await ask("kernels")
        assert status == 200
        assert found["kernels"] == [
            {
                "kernel_id": "k1",
                "name": "SalesReport",
                "path": None,
                "connected": True,
                "sharing": "agents",
                "tool_count": 2,
                "version": found["kernels"][0]["version"],
            }
        ]
        first, second = (await ask("kernels/k1"))[1]["tools"]
        assert first == {
            "path": "Notebook.loadOrders",
            "shared_as": "SalesReport.loadOrders",
            "signature": "loadOrders(args?: any): Promise<any>",
            "description": "Loads.",
            "effects": True,
            "arguments": [],
        }
        assert (second["path"], second["shared_as"], second["effects"]) == ("Notebook.secret", None, False)


async def test_many_tools_come_in_parts(kernel: Any, ask: Ask) -> None:
    async with kernel() as it:
        for number in range(502):
            await it.offer(f"many.tool{number}")
        whole = [tool["path"] for start in (0, 500) for tool in (await ask(f"kernels/k1?start={start}"))[1]["tools"]]
        assert whole == [f"Many.tool{number}" for number in range(502)]
        assert (await ask("kernels/k1?start=9000"))[1]["tools"] == []
        for wrong in ("-1", "x", "1e3", "\u0663", "9" * 400):
            assert (await ask(f"kernels/k1?start={quote(wrong)}"))[0] == 400


async def test_a_notebooks_path_is_told(ask: Ask, jp_fetch: Any, jp_serverapp: Any, running: RunningEngine) -> None:
    body = {"path": "reports/sales.ipynb", "type": "notebook", "name": "", "kernel": {"name": "python3"}}
    started = json.loads((await jp_fetch("api", "sessions", method="POST", body=json.dumps(body))).body)
    registry = (await running.get()).registry
    registry.open(started["kernel"]["id"])
    assert [one["path"] for one in (await ask("kernels"))[1]["kernels"]] == ["reports/sales.ipynb"]
    await jp_serverapp.kernel_manager.shutdown_kernel(started["kernel"]["id"], now=True)


async def test_sharing_outlives_the_connection(kernel: Any, ask: Ask, running: RunningEngine) -> None:
    agents = (await running.get()).registry.agents()
    async with kernel() as it:
        await it.offer("notebook.load")
        (await running.get()).registry.name_kernel("k1", "sales")
        assert len(agents.scope) == 1
        status, found = await ask("kernels/k1/sharing", "PUT", {"to": "nobody"})
        assert (status, found["sharing"]) == (200, "nobody") and len(agents.scope) == 0
        await it.connection.close()
    async with kernel() as it:
        await it.offer("notebook.load")
        assert len(agents.scope) == 0
        assert (await it.ask("share", {"to": "everyone"}))["result"]["to"] == "everyone"
        assert (await ask("kernels"))[1]["kernels"][0]["sharing"] == "everyone"
    assert (await ask("kernels"))[1]["kernels"][0] | {"connected": False} == (await ask("kernels"))[1]["kernels"][0]


async def test_a_wrong_request_about_a_kernel_says_what_is_wrong(kernel: Any, ask: Ask) -> None:
    assert (await ask("kernels/nobody"))[0] == (await ask("kernels/no%2F%2Fbody"))[0] == 404
    assert (await ask("kernels/nobody/sharing", "PUT", {"to": "nobody"}))[0] == 404
    async with kernel():
        for body in ({"to": "all"}, {}, [], None):
            status, answer = await ask("kernels/k1/sharing", "PUT", body)
            assert status == 400 and "Cannot serve sharing" in answer["message"]


# handles


async def test_the_objects_of_a_kernel_are_listed_and_forgotten_and_a_change_is_reported(
    kernel: Any, ask: Ask, watch: Any, kernel_token: Headers
) -> None:
    async with watch() as it, kernel() as one:
        assert await ask("kernels/k1/handles") == (200, {"handles": []}), "it has not said that it holds any"
        await one.say(method="handles_changed")
        await heard(it, "handles")
        orders = {"id": "h1", "label": "orders", "kind": "frame", "held": "agents", "shape": [6, 3], "left_s": 60.5}
        for path, method, asked, result, status, answer in (
            ("", "GET", ("list_handles", None), {"handles": [orders]}, 200, {"handles": [orders]}),
            ("/a%2Fb", "DELETE", ("forget_handle", {"id": "a/b"}), {"forgotten": True}, 200, {"success": True}),
            ("/h1", "DELETE", ("forget_handle", {"id": "h1"}), {"forgotten": False}, 404, None),
            ("", "GET", ("list_handles", None), {"handles": [{}]}, 502, None),
        ):
            waiting = asyncio.create_task(ask(f"kernels/k1/handles{path}", method))
            request = await one.receive()
            assert (request["method"], request.get("params")) == asked
            await one.say(id=request["id"], result=result)
            got, said = await waiting
            assert got == status and (answer is None or said == answer), said
        assert (await ask("kernels/k1/handles", headers=kernel_token))[0] == 403, "a kernel's token opens nothing here"
    assert await ask("kernels/k1/handles/h1", "DELETE") == (
        404,
        {"message": "Cannot forget this object: the kernel holds it no longer, or its program runs"},
    )
    assert (await ask("kernels/nobody/handles"))[0] == 404


# executions


async def test_an_execution_is_listed_in_few_words_and_told_whole(wire: Connect, ask: Ask) -> None:
    async with wire() as it:
        code = "\n  console.log(1);\n6 * 7"
        assert "result" in await it.ask("execute", {"code": code, "execution_id": "a/b?%"})
        assert "error" in await it.ask("execute", {"code": "throw new TypeError('no\\nway')"})
    failed, worked = (await ask("executions"))[1]["executions"]
    assert (failed["state"], failed["error"]) == ("failed", "TypeError: no")
    assert (worked["state"], worked["title"], worked["asked_by"]) == ("ok", "console.log(1);", "client")
    status, trace = await ask(f"executions/{quote(worked['id'], safe='')}")
    assert status == 200 and trace["result"] == "42" and trace["console"][0]["text"] == "1\n"
    assert (await ask("executions/none"))[0] == 404


async def test_past_executions_are_searched_and_opened_when_memory_has_forgotten_them(
    wire: Connect, ask: Ask, running: RunningEngine
) -> None:
    async with wire() as it:
        for code in ("const hidden = 'in the past'; 1", "throw new Error('no luck')"):
            await it.ask("execute", {"code": code})
    engine = await running.get()
    assert engine.history is not None
    await asyncio.to_thread(engine.history.close)  # it has written
    (_, all_of_them), (_, found), (_, failed) = [
        await ask(f"history{query}") for query in ("", "?text=PAST%20hidden", "?failed=1")
    ]
    assert [one["number"] for one in all_of_them["runs"]] == [2, 1] and all_of_them["is_kept"]
    assert [one["title"] for one in found["runs"]] == ["const hidden = 'in the past'; 1"]
    assert [one["error"] for one in failed["runs"]] == ["Error: no luck"]
    assert [one["number"] for one in (await ask("history?before=2"))[1]["runs"]] == [1]
    assert len((await ask("history?most=1"))[1]["runs"]) == 1
    for query in ("before=x", "most=-1", "most=1e9", f"before={'9' * 30}"):
        status, wrong = await ask(f"history?{query}")
        assert status == 400 and "must be a whole number" in wrong["message"]
    engine.registry.history._recorders.clear()
    status, trace = await ask(f"executions/{found['runs'][0]['id']}")
    assert status == 200 and trace["code"] == "const hidden = 'in the past'; 1" and "result" not in trace
    assert (await ask("executions/nothing"))[0] == 404


def damage(file: Path) -> None:
    """Write what is no database."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"no database" * 100)


async def test_a_history_that_cannot_be_read_is_an_answer_with_the_reason(ask: Ask, running: RunningEngine) -> None:
    history = (await running.get()).history
    assert history is not None
    await asyncio.to_thread(damage, Path(history.file.path))
    for path in ("history", "executions/nothing"):
        status, said = await ask(path)
        assert status == 507 and "delete the file" in said["message"]


async def test_a_running_execution_can_be_stopped_by_hand(wire: Connect, ask: Ask) -> None:
    async with wire() as it:
        await it.offer("a.b")
        await it.say(id=7, method="execute", params={"code": "await a.b(); for (;;);", "execution_id": "x"})
        assert (await it.receive())["method"] == "execute_tool"
        (running,) = (await ask("executions"))[1]["executions"]
        assert (running["state"], running["duration_s"]) == ("running", None)
        first, second = [(await ask(f"executions/{running['id']}"))[1]["duration_s"] for _ in range(2)]
        assert 0 < first < second, "a call that waits reaches to the present"
        assert await ask(f"executions/{running['id']}/stop", "POST") == (200, {"stopped": True})
        messages = [await it.receive(), await it.receive()]
        answer = next(message for message in messages if message.get("id") == 7)
        assert answer["error"]["data"]["name"] == "Stopped" and "a person stopped it" in answer["error"]["message"]
        assert answer["error"]["data"]["stopped"] is True
        listed = (await ask("executions"))[1]["executions"][0]
        assert (listed["state"], listed["stopped_by"]) == ("stopped", "person")
        assert (await ask(f"executions/{running['id']}/stop", "POST"))[0] == 404
        assert (await it.ask("execute", {"code": "1 + 1"}))["result"]["value"] == 2


async def test_a_program_whose_client_is_gone_is_listed_as_such(wire: Connect, ask: Ask) -> None:
    async with wire() as it:
        await it.offer("a.b")
        await it.say(id=7, method="execute", params={"code": "await a.b()", "execution_id": "x"})
        assert (await it.receive())["method"] == "execute_tool"
    async with asyncio.timeout(SOON):
        while (listed := (await ask("executions"))[1]["executions"][0])["state"] == "running":
            await asyncio.sleep(0.05)
    assert (listed["state"], listed["stopped_by"]) == ("stopped", "connection")


async def test_an_agents_program_can_be_stopped_by_hand(ask: Ask, running: RunningEngine) -> None:
    agents = (await running.get()).registry.agents()
    began = asyncio.Event()
    run = asyncio.create_task(agents.execute("for (;;);", began=lambda execution: began.set()))
    await began.wait()
    (listed,) = (await ask("executions"))[1]["executions"]
    assert listed["asked_by"] == "agent"
    assert (await ask(f"executions/{listed['id']}/stop", "POST"))[0] == 200
    with pytest.raises(errors.ExecutionStopped, match="a person stopped it"):
        await run


async def test_a_stop_and_a_withdrawal_at_once_are_a_withdrawal(running: RunningEngine) -> None:
    session = (await running.get()).registry.open()
    began = asyncio.Event()
    run = asyncio.create_task(session.execute("for (;;);", began=lambda execution: began.set()))
    await began.wait()
    (execution,) = session.executions.values()
    assert execution.stop is not None
    execution.stop("so")
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run


# clients


async def test_a_clients_configuration_is_that_of_the_command(
    ask: Ask, jp_http_port: int, jp_base_url: str, jp_auth_header: Headers
) -> None:
    status, found = await ask("client-config")
    assert status == 200 and [one["client"] for one in found["clients"]] == list(CLIENTS)
    (cursor,) = (await ask("client-config?client=cursor"))[1]["clients"]
    said = json.loads(cursor["text"])["mcpServers"]["pctx"]
    # As the one who asks has reached it: behind a proxy nobody else knows that.
    assert said["url"] == f"http://127.0.0.1:{jp_http_port}{jp_base_url}pctx/mcp"
    assert said["headers"]["Authorization"].removeprefix("Bearer ") in jp_auth_header["Authorization"]
    (claude,) = (await ask("client-config?client=claude"))[1]["clients"]
    assert json.loads(claude["text"])["mcpServers"]["pctx"]["args"][-2:] == ["--port", str(jp_http_port)]
    status, answer = await ask("client-config?client=emacs")
    assert status == 404 and "cursor" in answer["message"]


# changes


async def test_who_watches_is_told_what_has_changed(kernel: Any, watch: Any, running: RunningEngine) -> None:
    async with watch() as it:
        async with kernel() as one:
            await heard(it, "sessions")
            await one.offer("a.b")
            await heard(it, "tools")
            await one.ask("execute", {"code": "1"})
            await heard(it, "executions")
        await heard(it, "sessions")


async def test_many_changes_are_few_frames_and_the_last_one_is_told(watch: Any, running: RunningEngine) -> None:
    watchers = (await running.get()).registry.watchers
    async with watch() as it:
        await (await it.ping())  # it is open at the other end, too
        for _ in range(10_000):
            watchers.notify("executions")
        watchers.notify("tools")
        async with asyncio.timeout(SOON):
            frames = [json.loads(await it.recv())["change"] for _ in range(3)]
        assert sorted(frames) == ["executions", "executions", "tools"]


async def test_who_leaves_is_forgotten(watch: Any, running: RunningEngine) -> None:
    watchers = (await running.get()).registry.watchers
    before = len(watchers)
    async with watch() as it:
        await (await it.ping())
        assert len(watchers) == before + 1
        watchers.notify("tools")
        watchers.notify("tools")
    async with asyncio.timeout(SOON):
        while len(watchers) > before:
            await asyncio.sleep(0)
    watchers.notify("tools")


# who may


READS = ["kernels", "kernels/k1", "executions", "executions/x"]


async def test_a_kernels_own_token_opens_nothing_here(kernel: Any, kernel_token: Headers, ask: Ask, watch: Any) -> None:
    async with kernel():
        for path in READS:
            assert (await ask(path, headers=kernel_token))[0] == 403
        assert (await ask("kernels/k1/sharing", "PUT", {"to": "everyone"}, kernel_token))[0] == 403
        assert (await ask("executions/x/stop", "POST", None, kernel_token))[0] == 403
        assert (await ask("client-config", headers=kernel_token))[0] == 403
        with pytest.raises(InvalidStatus):
            async with watch(kernel_token):
                raise AssertionError("was let in")


async def test_each_needs_its_own_right(kernel: Any, ask: Ask, watch: Any) -> None:
    async with kernel():
        Whim.denied = {"write", "execute"}
        assert (await ask("client-config"))[0] == 403
        assert [(await ask(path))[0] for path in READS] == [200, 200, 200, 404]
        assert (await ask("kernels/k1/sharing", "PUT", {"to": "everyone"}))[0] == 403
        assert (await ask("executions/x/stop", "POST"))[0] == 403
        Whim.denied = {"read"}
        assert {(await ask(path))[0] for path in READS} == {403}
        assert (await ask("kernels/k1/sharing", "PUT", {"to": "everyone"}))[0] == 200
        with pytest.raises(InvalidStatus):
            async with watch():
                raise AssertionError("was let in")


async def test_strangers_are_refused(ask: Ask, jp_auth_header: Headers) -> None:
    for headers in ({}, {"Authorization": "token wrong"}, {**jp_auth_header, "Origin": "https://evil.example"}):
        assert {(await ask(path, headers=headers))[0] for path in READS} == {403}
