"""One client without manners, in a process of its own: ``python -m benchmarks.hostile ACT URL TOKEN``.

Its process is its own, so that the work of making what it sends delays neither a probe nor another client. It prints
the first refusal that it receives, which has to say what is wrong.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import urllib.error
import urllib.request
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.frames import Frame, Opcode

from tests.upstream.conftest import peer

END_S = 2.0
"""Seconds for which it stays connected after its act."""
REFUSED_S = 5.0
"""Seconds for which it waits for the refusal of a large frame."""
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Hostile:
    """A connection that sends frames, and reads what comes to count it.

    Attributes:
        answers: How many frames came.
        refusal: The message of the first refusal among them, or why the connection ended; "": there was none.
    """

    def __init__(self, url: str, token: str, connection: Any) -> None:
        self.url, self.token, self.connection = url, token, connection
        self.answers = 0
        self.refusal = ""
        self._last = 0

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    async def send(self, method: str, params: object) -> None:
        self._last += 1
        await self.raw(json.dumps({"jsonrpc": "2.0", "id": self._last, "method": method, "params": params}))

    async def raw(self, frame: str) -> None:
        await self.connection.send(frame, text=True)

    async def post(self, path: str, body: bytes, **more: str) -> None:
        """Post something, with more headers; a refusal is noted."""
        headers = self.headers | {"Content-Type": "application/json"} | more
        request = urllib.request.Request(f"{self.url}{path}", data=body, headers=headers)
        try:
            await asyncio.to_thread(lambda: DIRECT.open(request, timeout=60).close())
        except urllib.error.HTTPError as error:
            with error:
                self.refusal = self.refusal or f"HTTP {error.code}: {error.read().decode(errors='replace')}"
        except OSError as error:
            self.refusal = self.refusal or str(error)

    async def read(self) -> None:
        try:
            async for frame in self.connection:
                self.answers += 1
                if not self.refusal and '"error"' in frame[-10_000:]:
                    self.refusal = json.loads(frame)["error"]["message"]
        finally:
            if self.connection.close_code not in (None, 1000):
                self.refusal = self.refusal or f"closed: {self.connection.close_code} {self.connection.close_reason}"


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
        await client.post(path, b"[" * 100_000 + b"]" * 100_000)


async def sends_large_frames(client: Hostile) -> None:
    for megabytes in (60, 60, 120, 270):
        async with connected(client.url, client.token) as connection:
            other = Hostile(client.url, client.token, connection)
            reader = asyncio.create_task(other.read())
            with suppress(ConnectionClosed):
                await other.send("execute", {"code": "x" * (megabytes << 20)})
                with suppress(TimeoutError):
                    async with asyncio.timeout(REFUSED_S):
                        while not other.refusal and not reader.done():
                            await asyncio.sleep(0.05)
            reader.cancel()
            client.refusal = client.refusal or other.refusal


async def posts_large_bodies(client: Hostile) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"x": "x" * (100 << 20)}}).encode()
    for path in ("mcp", "mcp", "pctx/api/check"):
        await client.post(path, body)


async def sends_decompression_bombs(client: Hostile) -> None:
    """Bodies and frames that are a thousand times as large when they are inflated."""
    bomb_body = gzip.compress(b'{"a":"' + b" " * (300 << 20) + b'"}')
    for path in ("mcp", "pctx/api/check"):
        await client.post(path, bomb_body, **{"Content-Encoding": "gzip"})
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
            client.refusal = client.refusal or str(error)


async def opens_connections(client: Hostile) -> None:
    places = asyncio.Semaphore(50)

    async def one() -> Any:
        async with places:
            try:
                return await connected(client.url, client.token)
            except (OSError, InvalidStatus, InvalidMessage) as error:
                client.refusal = client.refusal or str(error)

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


ACTS: dict[str, Callable[[Hostile], Awaitable[None]]] = {
    "nothing: the quiet baseline": nothing,
    "queues 10,000 programs": floods_programs,
    "registers 100,000 tools": registers_tools,
    "replaces one tool 20,000 times": replaces_a_tool,
    "10 sessions with 10,000 tools each": fills_sessions,
    "sends schemas of 20 MB, and of 1 MB": sends_large_schemas,
    "sends schemas whose patterns backtrack": sends_regex_schemas,
    "sends JSON that is 100,000 deep": nests,
    "sends frames of 60 to 270 MB": sends_large_frames,
    "posts 100 MB": posts_large_bodies,
    "sends decompression bombs": sends_decompression_bombs,
    "opens 1,000 connections": opens_connections,
    "sends type-checker bombs": bombs_the_checker,
    "never reads while a program prints": never_reads,
    "brings a server with 10,000 tools": brings_an_upstream,
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


async def main(act: str, url: str, token: str) -> None:
    """Do what it does, and print the first refusal."""
    async with connected(url, token) as connection:
        client = Hostile(url, token, connection)
        reader = asyncio.create_task(client.read())
        with suppress(ConnectionClosed):
            await ACTS[act](client)
            await asyncio.sleep(END_S)
        reader.cancel()
        with suppress(asyncio.CancelledError, ConnectionClosed):
            await reader
        print(" ".join(client.refusal.split())[:300], flush=True)
        connection.transport.abort()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
