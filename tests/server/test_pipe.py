"""The pipe itself: sizes, silence, clients that do not read. A real server; clients without manners are raw TCP."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from pctx_jupyter.rpc.channel import LARGE_BYTES
from pctx_jupyter.server.running import RunningEngine
from pctx_jupyter.server.socket import largest_frame
from pctx_jupyter.settings import Settings
from tests.fakes import SOON

from .conftest import Headers
from .wires import Wire, eventually

Connect = Callable[..., AbstractAsyncContextManager[Wire]]

LIMIT = 100_000


@pytest.fixture
def limits() -> dict[str, Any]:
    return {"max_message_bytes": LIMIT, "ping_s": 0.1}


def sized(size: int, letter: str = "x", **message: Any) -> str:
    """A request of exactly so many bytes."""
    frame = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "list_functions", "params": {"p": ""}, **message})
    padding = size - len(frame)
    return frame.replace('"p": ""', f'"p": "{letter * (padding // len(letter.encode()))}"')


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT])
async def test_a_message_up_to_the_limit_passes(wire: Connect, size: int) -> None:
    async with wire() as it:
        frame = sized(size)
        assert len(frame) == size
        await it.send(frame)
        assert "result" in await it.receive()


@pytest.mark.parametrize("frame", [sized(LIMIT + 1), sized(4 * LIMIT), sized(LIMIT + 100, "\U0001f40d")])
async def test_a_larger_one_fails_that_request_only(wire: Connect, frame: str) -> None:
    assert len(frame.encode()) > LIMIT
    async with wire() as it:
        await it.send(frame)
        answer = await it.receive()
        assert answer["id"] == 1 and "Pctx.max_message_bytes" in answer["error"]["message"]
        assert await it.is_fine()


async def test_a_message_far_beyond_the_limit_closes_with_1009(wire: Connect) -> None:
    async with wire() as it:
        await it.send(sized(4 * LIMIT + (1 << 20) + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await it.receive()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


def test_a_message_that_is_read_only_to_be_refused_is_hardly_larger_than_one_that_is_served() -> None:
    largest = Settings().max_message_bytes
    assert largest < largest_frame(largest) <= largest * 1.15


async def test_messages_are_served_in_their_order_whatever_their_size(wire: Connect) -> None:
    async with wire() as it:
        await it.send(sized(LARGE_BYTES + 1, id=1))
        await it.send(sized(1_000, id=2))
        assert [(await it.receive())["id"] for _ in range(2)] == [1, 2]


async def test_an_answer_beyond_the_limit_is_an_error_by_name(wire: Connect) -> None:
    async with wire() as it:
        answer = await it.ask("execute", {"code": f"'x'.repeat({LIMIT})"})
        assert answer["id"] == 1 and "Pctx.max_message_bytes" in answer["error"]["message"]
        assert await it.is_fine()


async def test_a_tool_result_beyond_the_limit_is_an_error_the_program_can_catch(wire: Connect) -> None:
    async with wire() as it:
        await it.offer("a.b")
        code = "export default async () => { try { await a.b() } catch (e) { return e.message } }"
        await it.say(id=1, method="execute", params={"code": code})
        call = await it.receive()
        await it.say(id=call["id"], result="x" * LIMIT)
        assert "Pctx.max_message_bytes" in (await it.receive())["result"]["value"]
        assert await it.is_fine()


@pytest.mark.parametrize(
    ("kind", "data", "value"),
    [
        ("float64", struct.pack("<3d", 1.5, float("nan"), 0.0), ["Float64Array", "1.5,NaN,0"]),
        ("int64", struct.pack("<q", 2**53 + 1), ["BigInt64Array", "9007199254740993"]),
        ("bytes", b"\n{}\xff", ["Uint8Array", "10,123,125,255"]),
        ("float64", b"", ["Float64Array", ""]),
        ("float64", b"1234567", ["Uint8Array", "49,50,51,52,53,54,55"]),
    ],
)
async def test_bytes_after_a_result_reach_the_program_as_a_typed_array(
    wire: Connect, kind: str, data: bytes, value: list[str]
) -> None:
    async with wire() as it:
        await it.offer("a.b")
        code = "const found: any = await a.b(); const next = await a.b(); [found.constructor.name, `${found}`, next]"
        await it.say(id=1, method="execute", params={"code": code})
        call = await it.receive()
        head = json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": {"$pctx.bytes": kind, "size": len(data)}})
        await it.connection.send(b"%d %s\n%s" % (len(data), head.encode(), data))
        call = await it.receive()
        await it.say(id=call["id"], result="next")
        assert (await it.receive())["result"]["value"] == [*value, "next"]


async def test_tool_arguments_beyond_the_limit_are_an_error_the_program_can_catch(wire: Connect) -> None:
    async with wire() as it:
        await it.offer("a.b")
        call = f"await a.b('x'.repeat({LIMIT}))"
        code = f"export default async () => {{ try {{ {call} }} catch (e) {{ return e.message }} }}"
        answer = await it.ask("execute", {"code": code})
        assert "Pctx.max_message_bytes" in answer["result"]["value"]


class Raw:
    """A WebSocket client by hand: it answers no ping, and reads only when told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, **message: Any) -> None:
        """Send a message."""
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.writer.write(struct.pack("!BBQ4x", 0x81, 0x80 | 127, len(data)) + data)  # masked with zeros
        await self.writer.drain()

    async def read_to_the_end(self) -> int:
        """Read what there is until the server hangs up; returns how many bytes came."""
        size = 0
        try:
            async with asyncio.timeout(SOON):
                while data := await self.reader.read(1 << 20):
                    size += len(data)
        except ConnectionResetError:
            pass
        self.writer.close()
        return size


@pytest.fixture
def raw(url: str, jp_http_port: int, jp_base_url: str, jp_auth_header: Headers) -> Callable[[], Any]:
    async def connect() -> Raw:
        reader, writer = await asyncio.open_connection("localhost", jp_http_port, limit=1000)
        key = base64.b64encode(bytes(16)).decode()
        head = [
            f"GET {jp_base_url}local-tools HTTP/1.1",
            f"Host: localhost:{jp_http_port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            *(f"{name}: {value}" for name, value in jp_auth_header.items()),
        ]
        writer.write("\r\n".join([*head, "", ""]).encode())
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        return Raw(reader, writer)

    return connect


async def test_a_client_that_answers_no_ping_is_let_go(raw: Callable[[], Any], running: RunningEngine) -> None:
    engine = await running.get()
    half_open: Raw = await raw()
    await half_open.say(id=1, method="register_tool", params={"namespace": "a", "name": "b"})
    await half_open.say(id=2, method="execute", params={"code": "await a.b()"})
    await half_open.read_to_the_end()
    await eventually(lambda: engine.status()["sessions"] == 0 and engine.status()["executions"] == 0)
    assert engine.status()["tools"] == 0


async def test_a_quiet_client_that_answers_pings_stays(wire: Connect, raw: Callable[[], Any]) -> None:
    async with wire() as quiet:
        await quiet.offer("a.b")
        await quiet.say(id=1, method="execute", params={"code": "await a.b()"})
        call = await quiet.receive()
        silent: Raw = await raw()
        await silent.say(id=1, method="register_tool", params={"namespace": "a", "name": "b"})
        await silent.say(id=2, method="execute", params={"code": "await a.b()"})
        await silent.read_to_the_end()  # by then both clients have been pinged as often
        await quiet.say(id=call["id"], result=1)
        assert (await quiet.receive())["result"]["value"] == 1


async def test_a_client_that_is_owed_nothing_and_owes_nothing_is_not_pinged(
    raw: Callable[[], Any], running: RunningEngine
) -> None:
    engine = await running.get()
    idle, silent = await raw(), await raw()
    await silent.say(id=1, method="register_tool", params={"namespace": "a", "name": "b"})
    await silent.say(id=2, method="execute", params={"code": "await a.b()"})
    await silent.read_to_the_end()
    await eventually(lambda: engine.status()["sessions"] == 1)
    greeting = json.dumps({"jsonrpc": "2.0", "method": "session_created"})[:-1].encode()
    header = await idle.reader.readexactly(2)
    assert header[0] == 0x81 and greeting[1:10] in await idle.reader.readexactly(header[1])
    idle.writer.write_eof()
    assert await idle.read_to_the_end() == 0


async def test_a_client_that_does_not_read_is_let_go_at_a_byte_cap(
    raw: Callable[[], Any], running: RunningEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine = await running.get()
    deaf: Raw = await raw()
    schema = {"type": "object", "description": "x" * 80_000}
    await deaf.say(id=0, method="register_tool", params={"namespace": "a", "name": "b", "input_schema": schema})
    asked = 0
    try:
        # It speaks, so it is not silent; only it never takes an answer.
        while asked < 2000:
            asked += 1
            await deaf.say(id=asked, method="list_functions")
    except ConnectionError:
        pass
    received = await deaf.read_to_the_end()
    assert received < asked * 80_000
    assert "unread" in caplog.text and caplog.text.count("unread") == 1
    assert "Traceback" not in caplog.text and "never retrieved" not in caplog.text
    await eventually(lambda: engine.status()["sessions"] == 0)
