"""What the network does to a client. A real server; between them a proxy that does it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import Raw
from websockets.asyncio.server import serve

from pctx_jupyter import errors
from pctx_jupyter.client import McpClient, PctxClient
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc import wire
from pctx_jupyter.rpc.channel import Channel, OnNotification, Serve, crossed
from tests.fakes import ROOMY, SOON

from .proxy import proxied
from .test_client import busy

Server = tuple[str, dict[str, str]]


async def test_a_connection_cut_mid_call_is_told_at_once_and_a_waiting_call_just_works(server: Server) -> None:
    url, headers = server
    runs: list[None] = []
    async with proxied(url) as proxy, PctxClient(proxy.url, headers=headers) as client:
        await client.register_tool("a", "once", lambda _: runs.append(None))
        execution, tool = await busy(client)
        await proxy.leave()
        async with asyncio.timeout(SOON):
            with pytest.raises(errors.ConnectionLost, match="may or may not"):
                await execution
            await tool.cancelled.wait()
            assert client.ws is None and client.session_id is None
            waiting = asyncio.create_task(client.execute_code("await a.once()"))
            await asyncio.sleep(0)
            assert not waiting.done()
            await proxy.listen()
            await waiting
        assert len(runs) == 1


async def test_several_cuts_in_a_row_are_survived(server: Server) -> None:
    url, headers = server
    async with proxied(url) as proxy, PctxClient(proxy.url, headers=headers) as client:
        await client.register_tool("a", "b", lambda _: "b")
        for _ in range(3):
            proxy.cut()
            async with asyncio.timeout(SOON):
                await _lost(client)
                assert (await client.execute_code("await a.b()"))["value"] == "b"
        assert proxy.accepted == 4


async def test_a_connection_that_is_open_again_is_told_of_once_with_all_tools_offered(server: Server) -> None:
    url, headers = server
    async with proxied(url) as proxy, PctxClient(proxy.url, headers=headers) as client:
        await client.register_tool("a", "b", lambda _: "b")
        for _ in range(2):
            again = asyncio.Event()
            client.on_reconnect = again.set
            proxy.cut()
            async with asyncio.timeout(SOON):
                await again.wait()
            assert [tool["name"] for tool in await client.list_functions()] == ["A.b"]


async def _lost(client: PctxClient) -> None:
    if client.ws is not None:
        await client.ws.closed()


async def test_a_server_that_stays_away_is_an_error_that_says_what_was_tried(server: Server) -> None:
    url, headers = server
    async with proxied(url) as proxy, PctxClient(proxy.url, headers=headers, patience_s=0.5) as client:
        await proxy.leave()
        async with asyncio.timeout(SOON):
            await _lost(client)
            with pytest.raises(errors.CannotConnect, match=r"not come back within 0\.5 s.*is the server running"):
                await client.execute_code("1")


async def test_a_server_that_no_longer_wants_us_is_heard_at_once(server: Server) -> None:
    url, headers = server
    async with proxied(url) as proxy, PctxClient(proxy.url, headers=headers, patience_s=10 * SOON) as client:
        proxy.refuse("403 Forbidden")
        proxy.cut()
        async with asyncio.timeout(SOON):
            await _lost(client)
            with pytest.raises(errors.CannotConnect, match="token") as refused:
                await client.execute_code("1")
        assert refused.value.http_status == 403
        proxy.refuse(None)
        async with asyncio.timeout(2 * SOON):
            while client.ws is None:
                try:
                    await client.connect()
                except errors.CannotConnect:
                    await asyncio.sleep(0)
        assert (await client.execute_code("1"))["value"] == 1


async def test_disconnecting_ends_the_attempts_to_come_back(server: Server) -> None:
    url, headers = server
    async with proxied(url) as proxy, PctxClient(proxy.url, headers=headers) as client:
        await proxy.leave()
        await _lost(client)
        waiting = asyncio.create_task(client.execute_code("1"))
        await asyncio.sleep(0)
        await client.disconnect()
        async with asyncio.timeout(SOON):
            with pytest.raises(errors.ConnectionLost, match="disconnected"):
                await waiting
        await proxy.listen()
        assert proxy.accepted == 1


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        ("403 Forbidden", "jupyter server list"),
        ("401 Unauthorized", "Authorization"),
        ("404 Not Found", "jupyter server extension list"),
        ("503 Service Unavailable", "HTTP status 503"),
        ("200 OK", "no WebSocket is served there .HTTP status 200.; it looks like ws://"),
    ],
)
async def test_a_refused_connection_says_the_way_out(server: Server, status: str, hint: str) -> None:
    async with proxied(server[0]) as proxy:
        proxy.refuse(status)
        with pytest.raises(errors.CannotConnect, match=hint) as refused:
            await PctxClient(f"{proxy.url}?token=s3cret").connect()
        assert refused.value.http_status == int(status[:3]) and "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("ws://localhost:1/local-tools?token=s3cret", "is the server running there"),
        ("ws://no-such-host.invalid/local-tools?token=s3cret", "is the server running there"),
        ("ftp://localhost/?token=s3cret", "it looks like ws://"),
        ("nonsense?token=s3cret", "it looks like ws://"),
        ("", "it looks like ws://"),
    ],
)
async def test_an_address_where_nobody_is_says_so(url: str, hint: str) -> None:
    with pytest.raises(errors.CannotConnect, match=hint) as refused:
        async with asyncio.timeout(2 * SOON):
            await PctxClient(url).connect()
    assert "s3cret" not in str(refused.value) and refused.value.__cause__ is None


async def test_an_address_that_does_not_use_tls_says_so() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "localhost", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        with pytest.raises(errors.CannotConnect, match=r"TLS failed \(\w+\); if the server does not use it.* http:"):
            await PctxClient(f"https://localhost:{port}/?token=s3cret").connect()


async def test_a_wrong_token_is_refused_with_the_way_out(server: Server) -> None:
    with pytest.raises(errors.CannotConnect, match="token"):
        await PctxClient(server[0], headers={"Authorization": "token wrong"}).connect()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("token s3cret\n", r"the value of the header Authorization holds a line break .*character 13.*token\.strip"),
        ("token s3crét", r"the value of the header Authorization holds a character that is not ASCII \(character 11\)"),
    ],
)
async def test_a_header_that_cannot_be_sent_is_named_and_not_shown(
    value: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    for client in (
        PctxClient(headers={"Authorization": value}),
        McpClient("http://x", headers={"Authorization": value}),
    ):
        with pytest.raises(errors.CannotConnect, match=why) as refused:
            await client.connect()
        assert "s3cr" not in str(refused.value) + caplog.text


async def test_a_server_that_says_something_else_is_no_server_of_ours(server: Server) -> None:
    async def say_nonsense(connection: Any) -> None:
        await connection.send('{"jsonrpc": "2.0", "method": "session_created", "params": {}}')
        await connection.wait_closed()

    async with serve(say_nonsense, "localhost", 0) as other:
        port = other.sockets[0].getsockname()[1]
        with pytest.raises(errors.CannotConnect, match="not pctx"):
            await PctxClient(f"ws://localhost:{port}/").connect()


async def test_a_connection_lost_while_tools_are_offered_again_is_one_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ends: list[Channel] = []

    async def connect(serve: Serve, on_notification: OnNotification) -> Channel:
        async def answer(request: rpc.Request) -> Raw:
            if len(ends) == 2:  # the first attempt to come back
                ends[-1].close()
            return Raw(b'{"success": true}')

        near, far = crossed(
            lambda send: Channel(send, serve=serve, on_notification=on_notification, name="near", max_bytes=ROOMY),
            lambda send: Channel(send, serve=answer, name="far", max_bytes=ROOMY),
        )
        ends.append(far)
        asyncio.get_running_loop().call_soon(far.notify, wire.SESSION_CREATED, {"session_id": str(len(ends))})
        return near

    caplog.set_level("INFO", "pctx_jupyter.client.connection")
    async with PctxClient(connect=connect) as client:
        await client.register_tool("a", "b", lambda _: "b")
        back = asyncio.Event()
        client.on_reconnect = back.set
        ends[0].close()
        async with asyncio.timeout(2 * SOON):
            await back.wait()
    assert len(ends) == 3 and "cannot connect again" in caplog.text
    assert [record for record in caplog.records if record.exc_info] == []
