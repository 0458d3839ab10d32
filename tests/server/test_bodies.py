"""What is read of the body of a request: nothing is kept of one that is refused. A real server, a bare connection."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from pctx_jupyter.server import base
from pctx_jupyter.server.base import BODY_BYTES, PctxHandler
from tests.fakes import SOON

LARGE = 2 * BODY_BYTES


@pytest.fixture
def limits() -> dict[str, Any]:
    return {"warm_sandboxes": 0, "typecheck": False}


class Bare:
    """A connection to a server on which a test writes requests as it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, base: str) -> None:
        self._reader, self._writer, self._base = reader, writer, base

    def begin(self, path: str, headers: dict[str, str], method: str = "POST") -> None:
        lines = [f"{method} {self._base}{path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())

    async def send(self, body: bytes) -> None:
        async with asyncio.timeout(8 * SOON):
            self._writer.write(body)
            await self._writer.drain()

    async def answer(self) -> tuple[int, str]:
        """Read the next answer; returns its status and its body."""
        async with asyncio.timeout(8 * SOON):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            sizes = [line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length")]
            body = await self._reader.readexactly(int(sizes[0]))
            return int(head.split()[1]), body.decode()

    async def is_closed(self) -> bool:
        """Whether nothing follows any more; waits for the end of the connection."""
        async with asyncio.timeout(8 * SOON):
            return await self._reader.read() == b""


@asynccontextmanager
async def bare(url: str) -> AsyncIterator[Bare]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Bare(reader, writer, parts.path)
    finally:
        writer.close()


def kept(before: int = 0) -> int:
    """The bytes of bodies that handlers of this process keep; those that other tests have left are subtracted."""
    gc.collect()
    return sum(len(one.content) for one in gc.get_objects() if isinstance(one, PctxHandler)) - before


@pytest.mark.parametrize("is_known", [True, False], ids=["too large", "of a stranger"])
async def test_of_the_body_of_a_refused_request_nothing_is_kept_and_the_next_request_is_served(
    url: str, jp_auth_header: dict[str, str], is_known: bool
) -> None:
    known, before = jp_auth_header, kept()
    async with bare(url) as connection:
        size = LARGE if is_known else BODY_BYTES
        connection.begin("mcp", {"Content-Length": str(size), **(known if is_known else {})})
        await connection.send(b"x" * (size - 1))
        assert kept(before) <= 0
        await connection.send(b"x")
        status, body = await connection.answer()
        message = json.loads(body)["error"]["message"]
        if is_known:
            assert status == 413 and f"{LARGE:,} bytes" in message
        else:
            assert status == 403 and "Authentication required" in message
        connection.begin("pctx/health", known, method="GET")
        status, body = await connection.answer()
        assert status == 200 and json.loads(body)["status"] == "ok"


async def test_a_body_without_a_length_is_read_no_further_than_its_limit(
    url: str, jp_auth_header: dict[str, str]
) -> None:
    before = kept()
    async with bare(url) as connection:
        connection.begin("pctx/api/upstreams", {"Transfer-Encoding": "chunked", **jp_auth_header})
        chunk = b"%x\r\n%s\r\n" % (1 << 20, b"x" * (1 << 20))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError, IndexError)):  # 400 without a length, or cut
            for _ in range(2 * BODY_BYTES >> 20):
                await connection.send(chunk)
            await connection.answer()
        assert kept(before) <= BODY_BYTES


async def test_a_client_that_asks_before_it_sends_a_body_is_refused_before_it_sends_it(
    url: str, jp_auth_header: dict[str, str]
) -> None:
    async with bare(url) as connection:
        connection.begin("mcp", {"Content-Length": str(LARGE), "Expect": "100-continue", **jp_auth_header})
        assert (await connection.answer())[0] == 413


async def test_a_body_that_does_not_come_in_time_is_refused_and_its_connection_ends(
    url: str, jp_auth_header: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "BODY_S", 0.05)
    for path in ("mcp", "pctx/api/format", "pctx/code-mode/session/create"):
        for headers in ({}, jp_auth_header):
            async with bare(url) as connection:
                connection.begin(path, {"Content-Length": "100", **headers})
                await connection.send(b"x")
                status, body = await connection.answer()
                assert status == 408 and "has not come within 0.051 s" in body
                assert await connection.is_closed()
