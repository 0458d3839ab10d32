"""Sessions of the older era: what counts them, with a clock set by hand; then with the SDK's real manager."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from types import SimpleNamespace
from typing import Any

import msgspec

from pctx_jupyter.agents.changes import AnnouncingServer
from pctx_jupyter.agents.endpoint import AsgiEndpoint, manager_of
from pctx_jupyter.agents.sessions import FEW, IDLE_S, SHORTEST_IDLE_S, Sessions

from ..fakes import SOON, FakeClock


def opened(number: int, clock: FakeClock, most: int = 10) -> Sessions:
    """So many sessions, each opened a second after the one before."""
    sessions = Sessions(clock, most)
    for at in range(number):
        sessions.open(str(at))
        clock.now += 1
    return sessions


def test_the_longest_idle_makes_room_for_a_new_one() -> None:
    sessions = opened(10, FakeClock())
    assert sessions.to_end() == ["0"]


def test_nothing_ends_while_there_is_room() -> None:
    assert opened(9, FakeClock()).to_end() == []


def test_a_session_that_was_used_since_is_kept() -> None:
    sessions = opened(10, FakeClock())
    sessions.begin_request("0")
    sessions.end_request("0")
    assert sessions.to_end() == ["1"]


def test_a_session_with_a_request_under_way_is_never_idle() -> None:
    clock = FakeClock()
    sessions = opened(10, clock)
    for at in range(10):
        sessions.begin_request(str(at))
    clock.now += 2 * IDLE_S
    assert sessions.to_end() == []


def test_a_session_that_only_listens_does_not_expire_and_makes_room_when_none_is_idle() -> None:
    clock = FakeClock()
    sessions = opened(10, clock)
    for at in range(10):
        sessions.begin_request(str(at), listens=at != 3)
    clock.now += 2 * IDLE_S
    assert sessions.to_end() == ["0"]
    sessions.end_request("5", listens=True)
    assert sessions.to_end() == ["5"]
    sessions.end("5")
    assert sessions.to_end() == []


def test_idle_sessions_end_sooner_when_there_are_many() -> None:
    clock = FakeClock()
    many, few = opened(10 * FEW, clock, 10_000), opened(FEW, clock, 10_000)
    assert few.idle_s == IDLE_S and many.idle_s == IDLE_S / 10
    assert opened(100 * FEW, FakeClock(), 10_000).idle_s == SHORTEST_IDLE_S
    clock.now += IDLE_S / 10
    assert few.to_end() == [] and len(many.to_end()) == 10 * FEW


def test_a_session_that_is_over_is_not_counted() -> None:
    sessions = opened(10, FakeClock())
    sessions.end("3")
    assert len(sessions) == 9 and sessions.to_end() == [] and "3" not in sessions


async def test_a_client_that_does_not_read_delays_no_notification_of_another() -> None:
    told, never = asyncio.Event(), asyncio.Event()

    async def tell() -> None:
        told.set()

    server = AnnouncingServer("test")
    for id, send in (("stuck", never.wait), ("reads", tell)):
        request, session = SimpleNamespace(headers={"mcp-session-id": id}), SimpleNamespace(send_tool_list_changed=send)
        await server._remember(SimpleNamespace(request=request, session=session), None)  # type: ignore[arg-type]
    notifying = asyncio.create_task(server.notify_tools_changed())
    async with asyncio.timeout(SOON / 2):  # less than the stuck one is waited for
        await told.wait()
    never.set()
    await notifying


INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


class Browser:
    """Sends requests to an ASGI application."""

    def __init__(self, endpoint: AsgiEndpoint) -> None:
        self._endpoint = endpoint

    async def post(self, method: str, params: object, session: str = "") -> tuple[int, str]:
        """The status of the response, and the session that it names."""
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        headers = [
            (b"content-type", b"application/json"),
            (b"accept", b"application/json, text/event-stream"),
            *([(b"mcp-session-id", session.encode())] if session else []),
        ]
        started: dict[str, Any] = {}

        async def receive() -> MutableMapping[str, Any]:
            if "body" in started:
                await asyncio.Event().wait()
            started["body"] = body
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            started.update(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/mcp",
            "raw_path": b"/mcp",
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "http_version": "1.1",
            "headers": headers,
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 1),
        }
        async with asyncio.timeout(SOON):
            await self._endpoint(scope, receive, send)
        return started["status"], dict(started["headers"]).get(b"mcp-session-id", b"").decode()


async def test_abandoned_sessions_make_room_and_their_clients_open_new_ones() -> None:
    async def list_tools(context: Any, params: Any) -> Any:
        raise AssertionError

    ended: list[str] = []
    server = AnnouncingServer("test", on_list_tools=list_tools)
    endpoint = AsgiEndpoint(manager_of(server, 1 << 16), ended.append, max_sessions=2)
    browser = Browser(endpoint)
    try:
        first, second, third = [(await browser.post("initialize", INITIALIZE))[1] for _ in range(3)]
        assert ended == [first] and endpoint.session_count == 2
        assert (await browser.post("ping", {}, first))[0] == 404
        assert (await browser.post("ping", {}, second))[0] == 200
        await browser.post("initialize", INITIALIZE)
        assert third in ended and (await browser.post("ping", {}, second))[0] == 200
    finally:
        server.close()
        await endpoint.close()
