"""One client without manners, in a process of its own: ``python -m benchmarks.hostile ACT URL TOKEN SECONDS``.

Its process is its own, so that the work of making what it sends delays neither a probe nor another client. It prints
a list of JSON: the first refusal that it received, which has to say what is wrong, and what differs from what the act
intends. An act that is refused for another reason measures nothing.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.frames import Frame, Opcode

from tests.upstream.conftest import peer

END_S = 2.0
"""Seconds for which it stays connected after its act."""
REFUSED_S = 5.0
"""Seconds for which it waits for the refusal of a large frame."""
MOST_REFUSALS = 100
"""Refusals that are kept."""
MCP_ACCEPT = "application/json, text/event-stream"
"""What a client of MCP accepts; another one is refused for that reason."""
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Hostile:
    """A connection that sends frames, and reads what comes to count it.

    Attributes:
        answers: How many frames came.
        refusals: The messages of refusals, and why the connection ended.
        session: The id of its session of the session API; "": it has none.
    """

    def __init__(self, url: str, token: str, connection: Any) -> None:
        self.url, self.token, self.connection = url, token, connection
        self.answers = 0
        self.refusals: dict[str, str] = {}
        self.session = ""
        self._last = 0

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    def note(self, refusal: str) -> None:
        """Take note of a refusal; of those that differ in their digits alone, the first."""
        line = " ".join(refusal.split())[:300]
        if len(self.refusals) < MOST_REFUSALS:
            self.refusals.setdefault(re.sub(r"\d+", "", line), line)

    async def send(self, method: str, params: object, **options: Any) -> None:
        """Send a request; `options` are of `json.dumps`."""
        self._last += 1
        asked = {"jsonrpc": "2.0", "id": self._last, "method": method, "params": params}
        await self.raw(json.dumps(asked, **options))

    async def raw(self, frame: str) -> None:
        await self.connection.send(frame, text=True)

    async def post(self, path: str, body: bytes, **more: str) -> None:
        """Post something, with more headers; a refusal is noted."""
        await self.posted(path, body, **more)

    async def post_in_session(self, path: str, body: object) -> None:
        """Post to the session API."""
        more = {"x-code-mode-session": self.session}
        folder = "pctx/" if path.startswith("register") else "pctx/code-mode/"
        await self.posted(f"{folder}{path}", json.dumps(body).encode(), **more)

    async def posted(self, path: str, body: bytes, **more: str) -> bytes:
        """Post something, and return the answer; empty: it was refused, which is noted."""
        headers = self.headers | {"Content-Type": "application/json"} | more
        request = urllib.request.Request(f"{self.url}{path}", data=body, headers=headers)

        def answer() -> bytes:
            with DIRECT.open(request, timeout=60) as answer:
                return bytes(answer.read())

        try:
            return await asyncio.to_thread(answer)
        except urllib.error.HTTPError as error:
            with error:
                self.note(f"HTTP {error.code}: {error.read().decode(errors='replace')}")
        except OSError as error:
            self.note(str(error))
        return b""

    async def mcp_session(self, hello: bytes) -> str:
        """Begin a session of MCP; returns its id."""
        headers = self.headers | {"Content-Type": "application/json", "Accept": MCP_ACCEPT}
        headers["MCP-Protocol-Version"] = "2025-11-25"
        request = urllib.request.Request(f"{self.url}mcp", data=hello, headers=headers)

        def opened() -> str:
            with DIRECT.open(request, timeout=60) as answer:
                return str(answer.headers["Mcp-Session-Id"])

        return await asyncio.to_thread(opened)

    def get(self, path: str) -> bytes:
        """Get something, in a thread."""
        with DIRECT.open(urllib.request.Request(f"{self.url}{path}", headers=self.headers), timeout=60) as answer:
            return bytes(answer.read())

    async def read(self) -> None:
        try:
            async for frame in self.connection:
                self.answers += 1
                if '"error"' in frame[-10_000:] and "error" in (read := json.loads(frame)):
                    self.note(read["error"]["message"])
        finally:
            if self.connection.close_code not in (None, 1000):
                self.note(f"closed: {self.connection.close_code} {self.connection.close_reason}")


async def nothing(client: Hostile) -> None:
    await asyncio.sleep(5)


async def floods_programs(client: Hostile) -> None:
    for _ in range(10_000):
        await client.send("execute", {"code": "1 + 1"})


async def registers_tools(client: Hostile) -> None:
    for n in range(100_000):
        await client.send("register_tool", {"namespace": f"n{n % 100}", "name": f"t{n}"})


async def replaces_a_tool(client: Hostile) -> None:
    schema = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(100)}}
    for _ in range(20_000):
        tool = {"namespace": "n", "name": "t", "input_schema": schema, "replace": True}
        await client.send("register_tool", tool)


async def fills_sessions(client: Hostile) -> None:
    schema = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}

    async def one(number: int) -> None:
        async with connected(client.url, client.token) as connection:
            other = Hostile(client.url, client.token, connection)
            reader = asyncio.create_task(other.read())
            for n in range(10_000):
                tool = {"namespace": f"many{number}", "name": f"t{n}", "input_schema": schema}
                await other.send("register_tool", tool)
            while other.answers < 10_000 and not reader.done():
                await asyncio.sleep(0.05)
            reader.cancel()

    await asyncio.gather(*(one(number) for number in range(10)))


async def sends_large_schemas(client: Hostile) -> None:
    properties = {f"p{n}": {"type": "string", "description": "x" * 180} for n in range(100_000)}
    schema = {"type": "object", "properties": properties}
    await client.send("register_tool", {"namespace": "big", "name": "schema", "input_schema": schema})
    properties = {f"p{n}": {"type": "string", "description": "x" * 180} for n in range(4_000)}
    schema = {"type": "object", "properties": properties}
    for n in range(50):
        await client.send("register_tool", {"namespace": "large", "name": f"schema{n}", "input_schema": schema})
    await client.send("execute", {"code": "await Large.schema1({})"})


async def sends_regex_schemas(client: Hostile) -> None:
    """Patterns that backtrack: a checker that evaluates them needs hours."""
    for n, pattern in enumerate(["^(a+)+$", "^(a|a)*$", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$", "(?=" * 500]):
        texts = {"type": "string", "pattern": pattern}
        schema = {
            "type": "object",
            "properties": {"a": texts},
            "patternProperties": {pattern: texts},
            "propertyNames": texts,
        }
        tool = {"namespace": "regex", "name": f"t{n}", "input_schema": schema, "output_schema": texts}
        await client.send("register_tool", tool)
        await client.send("execute", {"code": f"await Regex.t{n}({{ a: '{'a' * 5_000}!' }})"})


async def nests(client: Hostile) -> None:
    for _ in range(20):
        await client.raw('{"jsonrpc":"2.0","id":1,"method":"x","params":' + "[" * 100_000 + "]" * 100_000 + "}")
    for path in ("mcp", "pctx/api/format"):
        await client.post(path, b"[" * 100_000 + b"]" * 100_000, Accept=MCP_ACCEPT)


async def sends_large_frames(client: Hostile) -> None:
    for megabytes in (60, 60, 120, 270):
        async with connected(client.url, client.token) as connection:
            other = Hostile(client.url, client.token, connection)
            reader = asyncio.create_task(other.read())
            with suppress(ConnectionClosed):
                await other.send("execute", {"code": "x" * (megabytes << 20)})
                with suppress(TimeoutError):
                    async with asyncio.timeout(REFUSED_S):
                        while not other.refusals and not reader.done():
                            await asyncio.sleep(0.05)
            reader.cancel()
            for refusal in other.refusals.values():
                client.note(refusal)


async def posts_large_bodies(client: Hostile) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"x": "x" * (100 << 20)}}).encode()
    for path in ("mcp", "mcp", "pctx/api/format"):
        await client.post(path, body)


async def sends_decompression_bombs(client: Hostile) -> None:
    """Bodies and frames that are a thousand times as large when they are inflated."""
    bomb_body = gzip.compress(b'{"a":"' + b" " * (300 << 20) + b'"}')
    for path in ("mcp", "pctx/api/format"):
        await client.post(path, bomb_body, **{"Content-Encoding": "gzip", "Accept": MCP_ACCEPT})
    url = f"{client.url.replace('http', 'ws', 1)}local-tools"
    for megabytes in (60, 300):
        try:
            async with connect(url, additional_headers=client.headers, proxy=None, compression="deflate") as bomb:
                packer = zlib.compressobj(9, zlib.DEFLATED, -15)
                packed = packer.compress(b" " * (megabytes << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
                frame = Frame(Opcode.TEXT, packed[:-4], rsv1=bool(bomb.protocol.extensions))
                bomb.transport.write(frame.serialize(mask=True, extensions=[]))
                with suppress(TimeoutError):
                    async with asyncio.timeout(3):
                        async for _ in bomb:
                            pass
        except ConnectionClosed as error:
            client.note(str(error))


async def opens_connections(client: Hostile) -> None:
    places = asyncio.Semaphore(50)

    async def one() -> Any:
        async with places:
            try:
                return await connected(client.url, client.token)
            except (OSError, InvalidStatus, InvalidMessage) as error:
                client.note(str(error))

    for opened in await asyncio.gather(*(one() for _ in range(1_000))):
        if opened is not None:
            opened.transport.abort()


async def bombs_the_checker(client: Hostile) -> None:
    bomb = "type A<N extends number, T extends unknown[] = []> = T['length'] extends N ? T : A<N, [...T, N]>;\n"
    for n in range(20):
        union = " | ".join(f"'{n}x{i}'" for i in range(60))
        code = f"{bomb} type B = {union}; type C = `${{B}}${{B}}${{B}}`; const x: C = 1 as any; const y: A<900> = x; y"
        await client.send("execute", {"code": code})
    await asyncio.sleep(5)


async def never_reads(client: Hostile) -> None:
    client.connection.transport.pause_reading()
    code = "const line = 'x'.repeat(100_000); for (let i = 0; i < 500; i++) console.log(line)"
    for n in range(2):
        await client.send("execute", {"code": code, "execution_id": f"e{n}", "events": True})
    await client.send("execute", {"code": "'x'.repeat(50_000_000)"})
    await asyncio.sleep(3)


async def brings_an_upstream(client: Hostile) -> None:
    await client.post("pctx/api/upstreams", json.dumps({"server": peer("many"), "persist": False}).encode())
    await asyncio.sleep(5)


FIELD = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}


async def offer_many(client: Hostile, number: int = 10_000, **more: object) -> None:
    """Register many tools, and wait until all of them are."""
    before = client.answers
    for n in range(number):
        tool = {"namespace": f"many{n % 10}", "name": f"t{n}", "input_schema": FIELD}
        await client.send("register_tool", tool | more)
    async with asyncio.timeout(REFUSED_S * 4):
        while client.answers < before + number:
            await asyncio.sleep(0.05)


async def lists_functions(client: Hostile) -> None:
    await offer_many(client)
    for _ in range(50):
        await client.send("list_functions", {})


async def asks_for_details(client: Hostile) -> None:
    await offer_many(client)
    for _ in range(5):
        await client.send("get_function_details", {"functions": [f"many{n % 10}.t{n}" for n in range(10_000)] * 10})
        await client.send("get_function_details", {"functions": [f"many1.x{n}" for n in range(10_000)]})


async def asks_for_unknown_details(client: Hostile) -> None:
    """By the session API, which leaves out what it does not know."""
    await code_mode(client, 10_000)
    await client.post_in_session("functions/details", {"functions": [f"many.x{n}" for n in range(10_000)]})


async def registers_all_at_once(client: Hostile) -> None:
    for _ in range(3):
        await code_mode(client, 10_000)
        await client.post_in_session("functions/list", {})


async def code_mode(client: Hostile, number: int) -> None:
    """Open a session of the session API, and register so many tools with one request."""
    opened = json.loads(await client.posted("pctx/code-mode/session/create", b"{}"))
    client.session = opened["session_id"]
    tools = [{"namespace": "many", "name": f"t{n}", "input_schema": FIELD} for n in range(number)]
    await client.post_in_session("register/tools", {"tools": tools})


async def sends_pings(client: Hostile) -> None:
    ping = Frame(Opcode.PING, b"x").serialize(mask=True)
    for _ in range(200):
        client.connection.transport.write(ping * 1_000)
        await asyncio.sleep(0)


async def sends_small_frames(client: Hostile) -> None:
    for _ in range(50_000):
        await client.raw("[")
    for _ in range(50_000):
        await client.raw('{"jsonrpc":"2.0","method":"no_such_notification"}')


async def cancels(client: Hostile) -> None:
    for n in range(5_000):
        await client.raw(json.dumps({"jsonrpc": "2.0", "id": f"c{n}", "method": "execute", "params": {"code": "1"}}))
        await client.raw(json.dumps({"jsonrpc": "2.0", "method": "$/cancel", "params": {"id": f"c{n}"}}))


async def sends_large_inputs(client: Hostile) -> None:
    for _ in range(3):
        await client.send("execute", {"code": "a.length", "inputs": {"a": [{"b": n} for n in range(2_000_000)]}})
        await client.send("execute", {"code": "1", "inputs": {f"a{n}": n for n in range(200_000)}})


async def checks_large_programs(client: Hostile) -> None:
    code = "".join(f"const a{n} = {n};\n" for n in range(40_000))
    for n in range(50):
        await client.send("diagnostics", {"source": code})
        await client.send("complete", {"source": code, "offset": n % 5})


async def prints_lines(client: Hostile) -> None:
    for n in range(3):
        code = "for (let i = 0; i < 200_000; i++) console.log(i)"
        await client.send("execute", {"code": code, "execution_id": f"p{n}", "events": True})
    await asyncio.sleep(3)


async def floods_mcp(client: Hostile) -> None:
    """Handshakes that begin sessions, and searches with long queries."""
    await offer_many(client, 5_000)
    await client.send("share", {"to": "everyone", "name": "hostile"})
    headers = {"Accept": MCP_ACCEPT}
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "h", "version": "1"}}
    search = {"name": "search_functions", "arguments": {"query": "t many id string " * 50, "k": 20}}
    listed = {"name": "list_functions", "arguments": {"detail": "descriptions"}}
    asked = [("initialize", hello), ("tools/call", search), ("tools/call", listed), ("tools/list", {})]

    async def one(number: int) -> None:
        for n in range(20):
            method, params = asked[(number + n) % len(asked)]
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
            await client.post("mcp", body, **headers)

    await asyncio.gather(*(one(number) for number in range(20)))


async def searches_all_words(client: Hostile) -> None:
    """Searches for all words of tools with long descriptions, which change between two searches."""
    description = " ".join(chr(97 + n // 20) + chr(97 + n % 20) for n in range(300))
    await offer_many(client, description=description)
    await client.send("share", {"to": "everyone", "name": "hostile"})
    search = {"name": "search_functions", "arguments": {"query": description, "k": 20}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": search}).encode()
    for _ in range(5):
        await asyncio.gather(*(client.post("mcp", body, Accept=MCP_ACCEPT) for _ in range(4)))
        await client.send("register_tool", {"namespace": "many0", "name": "t0", "replace": True})


async def chooses_by_patterns(client: Hostile) -> None:
    """Programs that choose their tools by as many patterns as there may be, each of which many tools match."""
    await offer_many(client)
    for _ in range(3):
        await client.send("execute", {"code": "1", "tools": [f"*t{n}*" for n in range(200)]})


async def reaches_all_tools(client: Hostile) -> None:
    """Programs that can reach 10,000 tools, which change between two of them."""
    await offer_many(client)
    for n in range(10):
        await client.send("execute", {"code": f"list_functions().length + Object.keys(globalThis).length + {n}"})
        await client.send("register_tool", {"namespace": "many0", "name": "t0", "replace": True})
        await asyncio.sleep(1)


async def sends_other_letters(client: Hostile) -> None:
    """Large values that are not ASCII, both ways."""
    for _ in range(4):
        await client.send("execute", {"code": "a + a", "inputs": {"a": "é" * 10_000_000}}, ensure_ascii=False)
        await asyncio.sleep(0.5)


async def open_streams(client: Hostile, number: int, more: str = "") -> list[asyncio.StreamWriter]:
    """Open sessions of MCP, each with a stream that nobody reads; `more` are further headers of its request."""
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "h", "version": "1"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}).encode()
    port = int(client.url.split(":")[2].split("/")[0])
    path = client.url.split(str(port))[1]
    writers = []
    for _ in range(number):
        id = await client.mcp_session(body)
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(
            f"GET {path}mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: token {client.token}\r\n"
            f"Accept: text/event-stream\r\nMcp-Session-Id: {id}\r\n{more}\r\n".encode()
        )
        writers.append(writer)
    return writers


async def listens_in_many_sessions(client: Hostile) -> None:
    """Sessions of MCP that each keep a stream of notifications open: more than there may be."""
    writers = await open_streams(client, 1_000, more=f"Last-Event-ID: {'9' * 1_000}\r\n")
    for writer in writers:
        writer.close()


async def searches_history(client: Hostile) -> None:
    for _ in range(20):
        await client.send("execute", {"code": "1"})
    text = urllib.parse.quote("%_" * 1_000 + "'\"*")

    async def one() -> None:
        for _ in range(20):
            with suppress(urllib.error.HTTPError):
                await asyncio.to_thread(client.get, f"pctx/api/history?text={text}&most=1000")

    await asyncio.gather(*(one() for _ in range(20)))


async def watches(client: Hostile) -> None:
    """Connections to the panel's changes that read nothing, while there are many changes."""
    url = f"{client.url.replace('http', 'ws', 1)}pctx/api/changes"
    many = [
        await connect(url, additional_headers=client.headers, proxy=None, compression=None, max_queue=1)
        for _ in range(200)
    ]
    for one in many:
        one.transport.pause_reading()
    for n in range(3_000):
        await client.send("register_tool", {"namespace": "w", "name": f"t{n}"})
        await client.send("unregister_tool", {"namespace": "w", "name": f"t{n}"})
    await asyncio.sleep(3)
    for one in many:
        one.transport.abort()


async def opens_and_closes(client: Hostile) -> None:
    async def one() -> None:
        for _ in range(50):
            async with connected(client.url, client.token) as connection:
                await connection.recv()

    await asyncio.gather(*(one() for _ in range(20)))


async def sends_slowly(client: Hostile) -> None:
    """Requests whose headers and bodies never end."""
    port = int(client.url.split(":")[2].split("/")[0])
    path = client.url.split(str(port))[1]
    head = f"POST {path}mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: token {client.token}\r\n"
    writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(500)]
    for writer in writers[::2]:
        writer.write(f"{head}Content-Length: 1000000\r\n\r\n".encode())
    for _ in range(20):
        for writer in writers[::2]:
            writer.write(b"x")
        for writer in writers[1::2]:
            writer.write(head.encode() if _ == 0 else b"X-A: b\r\n")
        await asyncio.sleep(0.1)
    for writer in writers:
        writer.close()


async def sends_largest_frames(client: Hostile) -> None:
    """Messages just below the limit, one after another."""
    frame = json.dumps({"jsonrpc": "2.0", "method": "no_such_notification", "params": [0] * (20 << 20)})
    for _ in range(8):
        await client.raw(frame)
    await client.send("list_functions", {})


async def sends_notifications(client: Hostile) -> None:
    note = json.dumps({"execution_id": "x", "call": 1, "note": "x" * 1_000})
    for _ in range(10_000):
        await client.raw('{"jsonrpc":"2.0","method":"handles_changed"}')
        await client.raw(f'{{"jsonrpc":"2.0","method":"call_note","params":{note}}}')


async def asks_for_consent(client: Hostile) -> None:
    """Programs of agents that call a tool with effects without end, while a front end could ask a person."""
    tool = {"namespace": "shop", "name": "buy", "input_schema": FIELD, "share": True, "effects": True}
    await client.send("register_tool", tool)
    await client.send("share", {"to": "everyone", "name": "hostile"})
    url = f"{client.url.replace('http', 'ws', 1)}pctx/api/changes"
    async with connect(url, additional_headers=client.headers, proxy=None, compression=None):
        code = "await Promise.all(Array.from({ length: 500 }, () => Shop.buy({ id: 'x'.repeat(100_000) })))"
        body = json.dumps({"name": "execute", "arguments": {"code": code}})
        call = f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{body}}}'.encode()
        asking = [asyncio.create_task(client.post("mcp", call, Accept=MCP_ACCEPT)) for _ in range(4)]  # a thread each
        await asyncio.sleep(8)
        if not json.loads(await asyncio.to_thread(client.get, "pctx/api/approvals"))["approvals"]:
            client.note("no call waits for consent")
        for one in asking:
            one.cancel()


async def floods_from_upstream(client: Hostile) -> None:
    """An MCP server that sends notifications and writes lines to stderr without end."""
    await client.post("pctx/api/upstreams", json.dumps({"server": peer("chatters"), "persist": False}).encode())
    await asyncio.sleep(8)


async def asks_from_upstream(client: Hostile) -> None:
    """An MCP server that sends requests without end: for a model's answers, a person's, folders, and pings."""
    await client.post("pctx/api/upstreams", json.dumps({"server": peer("pesters"), "persist": False}).encode())
    await asyncio.sleep(8)


IN_KERNEL = """
import json, os, socket
from pctx_jupyter.rpc.environment import PIPE, TOKEN
pipe = socket.socket(socket.AF_UNIX)
pipe.connect(os.environ[PIPE])
def say(message):
    pipe.sendall(json.dumps(message).encode() + b"\\n")
say({"token": os.environ[TOKEN]})
while b"session" not in pipe.recv(65536):
    pass
for _ in range(4):
    say({"jsonrpc": "2.0", "method": "no_such_notification", "params": [0] * (20 << 20)})
for n in range(50_000):
    say({"jsonrpc": "2.0", "method": "no_such_notification"})
pipe.close()
print("flooded")
"""
"""What a kernel runs that floods the pipe to its server."""


async def floods_a_pipe(client: Hostile) -> None:
    """A kernel that sends messages just below the limit over its own pipe, and then small ones."""
    kernel = json.loads(await client.posted("api/kernels", b"{}"))["id"]
    header = {"msg_id": "1", "msg_type": "execute_request", "session": "1", "username": "", "version": "5.3"}
    content = {"code": IN_KERNEL, "silent": False, "store_history": False, "allow_stdin": False}
    asked = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}
    url = f"{client.url.replace('http', 'ws', 1)}api/kernels/{kernel}/channels"
    async with connect(url, additional_headers=client.headers, proxy=None, compression=None) as channels:
        await channels.send(json.dumps(asked))
        async for frame in channels:
            message = json.loads(frame)
            if message["msg_type"] == "error":
                client.note(f"{message['content']['ename']}: {message['content']['evalue']}")
            if message["msg_type"] in ("error", "execute_reply"):
                break


async def reads_no_stream(client: Hostile) -> None:
    """Streams of MCP sessions that nobody reads, while what they list changes."""
    writers = await open_streams(client, 100)
    await client.send("share", {"to": "everyone", "name": "hostile"})
    for n in range(3_000):
        await client.send("register_tool", {"namespace": "w", "name": f"t{n}"})
        await client.send("unregister_tool", {"namespace": "w", "name": f"t{n}"})
    await asyncio.sleep(3)
    for writer in writers:
        writer.close()


@dataclass(frozen=True, slots=True)
class Act:
    """What a hostile client does.

    Args:
        do: Does it.
        refusal: A pattern in each refusal that it gets, of which there is one at least; empty: nothing is refused.
        is_certain: Whether it is refused on a slow machine too, where it may be over before.
    """

    do: Callable[[Hostile], Awaitable[None]]
    refusal: str = ""
    is_certain: bool = True

    def unexpected(self, refusals: Iterable[str]) -> list[str]:
        """Return what differs from what the act intends."""
        found = list(refusals)
        if self.refusal and self.is_certain and not found:
            return [f"nothing was refused with {self.refusal!r}"]
        return [one for one in found if not self.refusal or re.search(self.refusal, one) is None]


ACTS: dict[str, Act] = {
    "nothing: the quiet baseline": Act(nothing),
    "queues 10,000 programs": Act(floods_programs, r"programs have not ended"),
    "registers 100,000 tools": Act(registers_tools, r"its limit"),
    "replaces one tool 20,000 times": Act(replaces_a_tool),
    "10 sessions with 10,000 tools each": Act(fills_sessions),
    "sends schemas of 20 MB, and of 1 MB": Act(sends_large_schemas, r"more than 1,048,576 bytes|Pctx.max_"),
    "sends schemas whose patterns backtrack": Act(sends_regex_schemas),
    "sends JSON that is 100,000 deep": Act(nests, r"deeper than 500 levels|HTTP 400"),
    "sends frames of 60 to 270 MB": Act(sends_large_frames, r"max_program_bytes|[Mm]essage|1009"),
    "posts 100 MB": Act(posts_large_bodies, r"HTTP 413"),
    "sends decompression bombs": Act(sends_decompression_bombs, r"HTTP 400|1009|no close frame"),
    "opens 1,000 connections": Act(opens_connections),
    "sends type-checker bombs": Act(bombs_the_checker, r"too complex|excessively deep|type checker", is_certain=False),
    "never reads while a program prints": Act(never_reads),
    "brings a server with 10,000 tools": Act(brings_an_upstream),
    "lists 10,000 functions 50 times": Act(lists_functions),
    "asks for details of 100,000 functions": Act(asks_for_details, r"no such tool"),
    "asks for details of 10,000 unknown ones": Act(asks_for_unknown_details),
    "registers 10,000 tools by one request": Act(registers_all_at_once),
    "sends 200,000 pings": Act(sends_pings),
    "sends 100,000 useless frames": Act(sends_small_frames, r"Cannot read message: Expected `object`"),
    "cancels 5,000 programs": Act(cancels),
    "sends inputs of 2,000,000 values": Act(sends_large_inputs, r"more than 1,000 inputs"),
    "has programs of 40,000 lines checked": Act(checks_large_programs),
    "prints 600,000 lines": Act(prints_lines),
    "floods MCP with handshakes and searches": Act(floods_mcp),
    "searches 10,000 tools for all their words": Act(searches_all_words),
    "runs programs that can reach 10,000 tools": Act(reaches_all_tools),
    "sends 20 MB of letters beyond ASCII": Act(sends_other_letters),
    "chooses among 10,000 tools by 200 patterns": Act(chooses_by_patterns),
    "listens in 1,000 sessions of MCP": Act(listens_in_many_sessions),
    "searches the history for wildcards": Act(searches_history),
    "watches and never reads": Act(watches),
    "opens and closes 1,000 connections": Act(opens_and_closes),
    "sends 500 requests that never end": Act(sends_slowly),
    "sends frames just below the limit": Act(sends_largest_frames),
    "sends 20,000 notifications": Act(sends_notifications),
    "asks for consent without end": Act(asks_for_consent),
    "brings a server that floods": Act(floods_from_upstream),
    "brings a server that asks": Act(asks_from_upstream),
    "floods a kernel's pipe": Act(floods_a_pipe),
    "never reads streams of MCP": Act(reads_no_stream),
}


def connected(url: str, token: str) -> connect:
    """Connect to a server's ``/local-tools``."""
    return connect(
        f"{url.replace('http', 'ws', 1)}local-tools",
        additional_headers={"Authorization": f"token {token}"},
        proxy=None,
        compression=None,
        max_size=None,
        write_limit=1 << 20,
        open_timeout=60,
    )


async def main(name: str, url: str, token: str, within_s: str) -> None:
    """Do an act for so many seconds at most, and print the first refusal and what differs from the intention."""
    act = ACTS[name]
    async with connected(url, token) as connection:
        client = Hostile(url, token, connection)
        reader = asyncio.create_task(client.read())
        with suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(float(within_s)):
                await act.do(client)
                await asyncio.sleep(END_S)
        reader.cancel()
        with suppress(asyncio.CancelledError, ConnectionClosed):
            await reader
        refusals = client.refusals.values()
        print(json.dumps([next(iter(refusals), ""), act.unexpected(refusals)]), flush=True)
        connection.transport.abort()
        os._exit(0)  # a thread may wait for an answer that never comes


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
