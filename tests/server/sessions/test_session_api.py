"""The session API, request by request and frame by frame: who is refused what, and that nobody else notices."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from pctx_jupyter.rpc.environment import TOKEN_HEADER
from pctx_jupyter.server.kernels import KernelTokens
from pctx_jupyter.server.sessions import socket as api_socket
from pctx_jupyter.server.sessions.routes import MOST_REASON, reason_phrase
from pctx_jupyter.session.code_mode.messages import SESSION_HEADER
from tests.fakes import SOON
from tests.recorded import TRACE_ID, TRACEPARENT, recording

from ...upstream.conftest import peer
from ..conftest import Headers, kernels
from ..wires import Wire, eventually

__all__ = ["kernels"]

PEER = Path(__file__).parents[2] / "upstream" / "peer.py"

Post = Callable[..., Any]
Open = Callable[..., AbstractAsyncContextManager[Wire]]


@pytest.fixture
def limits() -> dict[str, Any]:
    return {"max_api_sessions": 5, "max_check_s": 20.0, "ping_s": 0.2}


@pytest.fixture
def post(api: str, jp_auth_header: Headers) -> Post:
    """Sends a request; returns its answer."""

    async def send(path: str, body: Any = None, session: str | None = None, headers: Headers = jp_auth_header) -> Any:
        sent: dict[str, Any] = dict(headers)
        if session is not None:
            sent[SESSION_HEADER] = session.encode("latin-1")
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            return await client.post(f"{api}/{path}", content=content, headers=sent)

    return send


@pytest.fixture
def open_socket(api: str, jp_auth_header: Headers) -> Open:
    """Opens the WebSocket of a session."""

    @asynccontextmanager
    async def opened(session: str, headers: Headers = jp_auth_header) -> AsyncIterator[Wire]:
        url = api.replace("http", "ws", 1) + "/ws"
        sent = {**headers, SESSION_HEADER: session}
        async with connect(url, additional_headers=sent, proxy=None, max_size=16 << 20) as connection:
            yield Wire(connection)

    return opened


async def create(post: Post, **more: Any) -> str:
    answer = await post("code-mode/session/create", **more)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["session_id"])


async def run(wire: Wire, code: str, **more: Any) -> Any:
    return (await wire.ask("execute_typescript", {"code": code, "tool_timeout_secs": None, **more}))["result"]


TOOL = {"name": "add_all", "namespace": "math", "input_schema": None, "output_schema": {}}

OF_A_SESSION = [
    "code-mode/functions/list",
    "code-mode/functions/details",
    "code-mode/execute-bash",
    "register/tools",
    "register/servers",
]


async def test_an_unknown_session_is_a_404_that_says_so(post: Post) -> None:
    for path, session in product(OF_A_SESSION, (None, "", "unknown", "a.b", "é.é")):
        answer = await post(path, {}, session=session)
        assert answer.status_code == 404 and "connect again" in answer.reason_phrase, (path, session)
        error = answer.json()
        assert (error["code"], error["details"]) == ("invalid_session", None) and "connect again" in error["message"]


async def test_closing_succeeds_twice_and_never_for_what_was_no_session(post: Post, open_socket: Open) -> None:
    session = await create(post)
    for _ in range(2):
        answer = await post("code-mode/session/close", session=session)
        assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert (await post("code-mode/session/close", session="unknown")).status_code == 404
    assert (await post("code-mode/session/close", session=session[:-1] + "x")).status_code == 404
    assert (await post("code-mode/functions/list", session=session)).status_code == 404
    with pytest.raises(InvalidStatus, match="404"):
        async with open_socket(session):
            pass


async def test_the_span_that_a_client_names_in_its_handshake_or_its_request_is_the_origin_of_its_program(
    post: Post, open_socket: Open, jp_auth_header: Headers
) -> None:
    session = await create(post)
    with recording() as spans:
        async with open_socket(session, {**jp_auth_header, "traceparent": TRACEPARENT}) as wire:
            await run(wire, "1")
            await run(wire, "2", _meta={"traceparent": TRACEPARENT.replace("4bf9", "5bf9")})
        async with open_socket(session) as wire:
            await run(wire, "3")
        first, second, third = spans.named("pctx.execute")
        assert (spans.id(first), spans.id(second)) == (TRACE_ID, TRACE_ID.replace("4bf9", "5bf9"))
        assert third.parent is None


async def test_a_session_of_another_kind_is_no_session_of_this_api(post: Post, running: Any) -> None:
    other = (await running.get()).registry.open()
    assert (await post("code-mode/functions/list", session=other.id)).status_code == 404
    assert (await post("code-mode/session/close", session=other.id)).status_code == 404
    assert running.engine.registry.get(other.id) is other


async def test_a_kernel_uses_its_own_sessions_only(post: Post, kernels: KernelTokens) -> None:
    for name in ("one", "other"):
        kernels._tokens[name] = f"token-of-{name}"
        kernels._starting.add(name)
    one, other = ({TOKEN_HEADER: f"token-of-{name}"} for name in ("one", "other"))
    theirs, users = await create(post, headers=one), await create(post)
    assert (await post("code-mode/functions/list", session=theirs, headers=one)).status_code == 200
    assert (await post("code-mode/functions/list", session=theirs)).status_code == 200
    for session, headers in ((theirs, other), (users, one), (users, other)):
        assert (await post("code-mode/functions/list", session=session, headers=headers)).status_code == 404
        assert (await post("code-mode/session/close", session=session, headers=headers)).status_code == 404
        assert (await post("register/tools", {"tools": [TOOL]}, session, headers)).status_code == 404
    entry = {"name": "leak", "url": "http://127.0.0.1:9/?key=${env:HOME}"}
    assert (await post("register/servers", {"servers": [entry]}, theirs, one)).status_code == 403


async def test_registration_is_all_or_nothing_and_names_the_tool(post: Post) -> None:
    session = await create(post)
    good = {"name": "fine", "namespace": "math"}
    for bad, status, said in [
        ([good, TOOL, TOOL], 409, "math.add_all"),
        ([good, {**good, "name": "Fine"}], 409, "Fine"),
        ([good, {"name": "", "namespace": "math"}], 400, ""),
        ([good, {"name": "x", "namespace": "Math", "input_schema": []}], 400, "x"),
        ([good, {"namespace": "math"}], 400, "name"),
        ([good, {"name": "floor", "namespace": "Math"}], 400, "Math.floor"),
        ([good, {"name": "x", "description": "y" * (1 << 20)}], 400, "1,048,576"),
        ([good, 7], 400, ""),
    ]:
        answer = await post("register/tools", {"tools": bad}, session)
        assert answer.status_code == status and said in answer.json()["message"], bad
        assert said in answer.reason_phrase and len(answer.reason_phrase) <= MOST_REASON
        assert (await post("code-mode/functions/list", session=session)).json()["functions"] == []
    for body in (b"", b"{", b"[]", b"null", b'{"tools": 1}', b"\xff"):
        assert (await post("register/tools", body, session)).status_code == 400
    assert (await post("register/tools", {"tools": [good, TOOL]}, session)).json() == {"registered": 2}
    assert (await post("register/tools", {"tools": [TOOL]}, session)).status_code == 409
    listed = (await post("code-mode/functions/list", session=session)).json()["functions"]
    assert [one["name"] for one in listed] == ["fine", "addAll"]


async def test_a_function_without_its_namespace_is_a_422(post: Post) -> None:
    session = await create(post)
    answer = await post("code-mode/functions/details", {"functions": ["addAll"]}, session)
    assert answer.status_code == 422 and "Namespace.function" in answer.reason_phrase


async def test_beyond_the_limit_the_session_that_was_idle_longest_is_closed(post: Post, open_socket: Open) -> None:
    sessions = [await create(post) for _ in range(5)]
    async with open_socket(sessions[0]) as used:
        assert (await post("code-mode/functions/list", session=sessions[1])).status_code == 200
        sessions.append(await create(post))
        found = [(await post("code-mode/functions/list", session=one)).status_code for one in sessions]
        assert found == [200, 200, 404, 200, 200, 200]
        assert (await run(used, "1 + 1"))["output"] == 2


async def test_sessions_in_use_are_never_closed_for_others(post: Post, open_socket: Open) -> None:
    sessions = [await create(post) for _ in range(5)]
    sockets = [open_socket(one) for one in sessions]
    for socket in sockets:
        await socket.__aenter__()
    answer = await post("code-mode/session/create")
    assert answer.status_code == 503 and "max_api_sessions" in answer.reason_phrase
    assert int(answer.headers["Retry-After"]) > 0
    for socket in sockets:
        await socket.__aexit__(None, None, None)


async def test_a_session_expires_after_its_own_time(post: Post, running: Any) -> None:
    session = await create(post)
    registry = running.engine.registry
    (one,) = registry
    assert one.idle_s == 86_400
    one.used_at -= 80_000
    assert registry.expire() == []
    one.used_at -= 10_000
    assert registry.expire() == [one]
    assert (await post("code-mode/functions/list", session=session)).status_code == 404
    assert (await post("code-mode/session/close", session=session)).status_code == 200


async def test_two_sockets_of_one_session_get_their_own_calls_and_results(post: Post, open_socket: Open) -> None:
    session = await create(post)
    await post("register/tools", {"tools": [TOOL]}, session)
    async with open_socket(session) as one, open_socket(session) as other:
        for wire, n in ((one, 1), (other, 2)):
            await wire.say(id="same", method="execute_typescript", params={"code": f"await Math.addAll({{ n: {n} }})"})
        for wire, n in ((other, 2), (one, 1)):
            call = await wire.receive()
            assert call["params"] == {"namespace": "math", "name": "add_all", "args": {"n": n}}
            await wire.say(id=call["id"], result={"output": n * 10})
            answer = await wire.receive()
            assert (answer["id"], answer["result"]["output"]) == ("same", n * 10)


async def test_closing_a_session_answers_its_programs(post: Post, open_socket: Open) -> None:
    session = await create(post)
    await post("register/tools", {"tools": [TOOL]}, session)
    async with open_socket(session) as wire:
        await wire.say(id=1, method="execute_typescript", params={"code": "console.log(1); await Math.addAll()"})
        call = await wire.receive()
        assert call["params"]["args"] is None and call["id"] == "pctx:1"
        assert (await post("code-mode/session/close", session=session)).status_code == 200
        answer = await wire.receive()
        assert not answer["result"]["success"] and "closed" in answer["result"]["stderr"]
        await wire.gone()


async def test_what_is_no_result_of_a_tool_fails_its_call_only(post: Post, open_socket: Open) -> None:
    answers: list[dict[str, Any]] = [
        {"result": 7},
        {"result": {}},
        {"result": None},
        {"error": {"code": -32603, "message": "no luck"}},
        {"error": {"code": 1, "message": "no luck", "data": "text"}},
        {"result": {"output": "x" * (65 << 20)}},
    ]
    session = await create(post)
    await post("register/tools", {"tools": [TOOL]}, session)
    async with open_socket(session) as wire:
        for answer in answers:
            code = "let said = ''; try { await Math.addAll() } catch (e) { said = e.message } said"
            await wire.say(id=1, method="execute_typescript", params={"code": code})
            call = await wire.receive()
            await wire.say(id="pctx:99", result={"output": "forged"})
            await wire.say(id=1, result={"output": "forged"})
            await wire.say(id=call["id"], **answer)
            await wire.say(id=call["id"], result={"output": "twice"})
            result = (await wire.receive())["result"]
            assert result["success"] and result["output"], str(answer)[:50]
            assert (await run(wire, "2"))["output"] == 2


async def test_answers_that_come_late_are_dropped(post: Post, open_socket: Open) -> None:
    session = await create(post)
    await post("register/tools", {"tools": [TOOL]}, session)
    async with open_socket(session) as wire:
        params = {"code": "await Math.addAll()", "tool_timeout_secs": 1}
        await wire.say(id=1, method="execute_typescript", params=params)
        call = await wire.receive()
        answer = await wire.receive()  # nothing in between: the client knows no notifications
        assert answer["id"] == 1 and "`math__add_all` timed out after 1s" in answer["result"]["stderr"]
        await wire.say(id=call["id"], result={"output": 1})
        assert (await run(wire, "2"))["output"] == 2


async def test_arguments_that_are_no_object_never_reach_the_client(post: Post, open_socket: Open) -> None:
    session = await create(post)
    await post("register/tools", {"tools": [TOOL]}, session)
    async with open_socket(session) as wire:
        for given in ("1", "'text'", "[1]", "true"):
            result = await run(wire, f"await Math.addAll({given} as any)")
            assert not result["success"] and "one object" in result["stderr"]


async def test_a_program_of_a_sidecar_invokes_functions_by_the_names_that_are_listed(
    post: Post, open_socket: Open
) -> None:
    session = await create(post)
    await post("register/tools", {"tools": [TOOL]}, session)
    async with open_socket(session) as wire:
        (listed,) = (await post("code-mode/functions/list", session=session)).json()["functions"]
        call = {"name": f"{listed['namespace']}.{listed['name']}", "arguments": {"xs": [1, 2]}}
        code = f"async function run() {{ return await invoke({json.dumps(call)}) }}"
        await wire.say(id="it", method="execute_typescript", params={"code": code, "disclosure": "sidecar"})
        asked = await wire.receive()
        assert asked["params"]["args"] == {"xs": [1, 2]}
        await wire.say(id=asked["id"], result={"output": 3})
        assert (await wire.receive())["result"]["output"] == 3


async def test_a_bad_request_is_refused_with_a_code_that_clients_know(post: Post, open_socket: Open) -> None:
    cases: list[tuple[str, Any, int]] = [
        ("execute", {"code": "1"}, -32601),
        ("execute_typescript", {}, -32602),
        ("execute_typescript", None, -32602),
        ("execute_typescript", {"code": 1}, -32602),
        ("execute_typescript", {"code": "1", "disclosure": "everything"}, -32602),
        ("execute_typescript", {"code": "1", "tool_timeout_secs": "soon"}, -32602),
        ("execute_typescript", {"code": "x" * (2 << 20)}, -32602),
    ]
    async with open_socket(await create(post)) as wire:
        for method, params, code in cases:
            answer = await wire.ask(method, params, id="it")
            assert (answer["id"], answer["error"]["code"]) == ("it", code), (method, str(params)[:50])
        assert (await wire.ask("execute_code", {"code": "1"}))["result"]["output"] == 1


async def test_a_client_that_leaves_stops_its_program(post: Post, open_socket: Open, running: Any) -> None:
    session = await create(post)
    async with open_socket(session) as wire:
        await wire.say(id=1, method="execute_typescript", params={"code": "await new Promise(() => {})"})
        await eventually(lambda: bool(running.engine.registry.executions()))
    await eventually(lambda: not running.engine.registry.executions())
    async with open_socket(session) as wire:
        assert (await run(wire, "1"))["output"] == 1


async def test_mcp_servers_belong_to_the_session_that_registered_them(post: Post, open_socket: Open) -> None:
    one, other = await create(post), await create(post)
    good = {"name": "peer", "command": sys.executable, "args": [str(PEER), "everything"]}
    entries = [good, {"name": "nobody", "url": "http://127.0.0.1:9/mcp"}, {"name": "wrong"}, 7]
    answer = (await post("register/servers", {"servers": entries}, one)).json()
    assert answer["registered"] == 1 and answer["failed"] == ["nobody", "wrong", ""]
    assert all(answer["errors"][name] for name in answer["failed"])
    again = (await post("register/servers", {"servers": [good]}, one)).json()
    assert again["failed"] == ["peer"] and "already" in again["errors"]["peer"]
    mine = (await post("code-mode/functions/list", session=one)).json()["functions"]
    assert {function["namespace"] for function in mine} == {"Peer"}
    assert (await post("code-mode/functions/list", session=other)).json()["functions"] == []
    assert (await post("register/servers", {"servers": [good]}, other)).json()["registered"] == 1
    async with open_socket(one) as wire:
        result = await run(wire, "await Nobody.tool({})")
        assert not result["success"] and "Nobody" in result["stderr"]


@pytest.mark.parametrize("typecheck", [True])
async def test_warnings_and_notes_about_an_observed_type_reach_the_session_and_the_list_of_executions(
    post: Post, open_socket: Open, api: str, jp_auth_header: Headers, tmp_path: Path
) -> None:
    session = await create(post)
    servers = {"servers": [peer("good", tmp_path / "calls")]}
    assert (await post("register/servers", servers, session)).json()["registered"] == 1
    async with open_socket(session) as wire:
        assert (await run(wire, "await Good.echo({ text: '[{\"title\": 1}]' })"))["stderr"] == ""
        code = "const found = await Good.echo({ text: '[{\"title\": null}]' }); return found[0].titel;"
        result = await run(wire, f"async function run() {{ {code} }}")
    assert result["success"] and "Warning: line 1, " in result["stderr"], result
    assert "Property 'titel' does not exist" in result["stderr"] and "may be incomplete" in result["stderr"]
    async with httpx.AsyncClient(headers=jp_auth_header, trust_env=False) as client:
        latest = (await client.get(f"{api}/api/executions")).json()["executions"][0]
        trace = (await client.get(f"{api}/api/executions/{latest['id']}")).json()
    assert trace["calls"][0]["note"] == "widened the observed type: [].title may be null"
    assert "Property 'titel'" in trace["console"][0]["text"]


async def test_servers_that_take_long_are_waited_for_with_spaces(
    post: Post, api: str, jp_auth_header: Headers, tmp_path: Path
) -> None:
    session = await create(post)
    script = tmp_path / "slow.py"
    script.write_text("import time; time.sleep(2.5)")
    entry = {"name": "slow", "command": sys.executable, "args": [str(script)]}
    headers = {**jp_auth_header, SESSION_HEADER: session}
    async with (
        httpx.AsyncClient(timeout=SOON, trust_env=False) as client,
        client.stream("POST", f"{api}/register/servers", json={"servers": [entry]}, headers=headers) as answer,
    ):
        pieces = [piece async for piece in answer.aiter_raw()]
    assert answer.status_code == 200
    assert b" " in pieces and json.loads(b"".join(pieces))["failed"] == ["slow"]


async def test_a_servers_process_ends_with_its_session(post: Post, running: Any) -> None:
    session = await create(post)
    entry = {"name": "peer", "command": sys.executable, "args": [str(PEER), "everything"]}
    assert (await post("register/servers", {"servers": [entry]}, session)).json()["registered"] == 1
    engine = running.engine
    assert len(engine._own_servers) == 1
    assert (await post("code-mode/session/close", session=session)).status_code == 200
    assert not engine._own_servers
    async with asyncio.timeout(20):
        while engine._closing:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("message", "phrase"),
    [
        ("plain", "plain"),
        ("two\r\nlines: 1", "two lines: 1"),
        ("é and …", "and ..."),
        ("a <b> c", "a b c"),
        ("word " * 100, "word " * 22 + "word..."),
        ("", ""),
    ],
)
def test_a_reason_phrase_is_one_short_line_of_ascii(message: str, phrase: str) -> None:
    assert reason_phrase(message) == phrase


async def test_a_client_that_never_reads_is_dropped_and_others_notice_nothing(
    post: Post, open_socket: Open, running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_socket, "PING_S", 0.2)
    greedy, other = await create(post), await create(post)
    await post("register/tools", {"tools": [TOOL]}, greedy)
    async with open_socket(greedy) as deaf, open_socket(other) as wire:
        deaf.connection.transport.pause_reading()
        code = "const text = 'x'.repeat(8e6); await Promise.all(Array.from({length: 40}, () => Math.addAll({ text })))"
        await deaf.say(id=1, method="execute_typescript", params={"code": code, "tool_timeout_secs": 600})
        assert (await run(wire, "1 + 1"))["output"] == 2
        async with asyncio.timeout(30):
            while running.engine.registry.executions():
                await asyncio.sleep(0.01)
        assert (await run(wire, "1 + 2"))["output"] == 3
        deaf.connection.transport.abort()
