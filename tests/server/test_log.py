"""No log line shows a credential. A real server; every record of every logger, at every level, is looked at."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from pctx_jupyter.rpc.environment import TOKEN_HEADER
from pctx_jupyter.server.kernels import KernelTokens
from pctx_jupyter.server.running import RunningEngine
from pctx_jupyter.server.state import KernelList
from pctx_jupyter.session import access
from tests.fakes import SOON

from .conftest import Headers

KERNEL, TOKEN = "a-kernel", "canary-of-the-kernel"
COOKIE = "2|1:0|10:1|9:username-|8:Y2FuYXJ5|canary-of-the-cookie"
OLD_COOKIE = "Y2FuYXJ5|1700000000|canary-of-the-cookie"
CANARIES = (TOKEN, "canary-of-the-cookie", "canary-in-the-query", "canary%2Din", "canary-in-the-header")


class Records(logging.Handler):
    """Everything that is logged, as it would be written."""

    def __init__(self) -> None:
        super().__init__(level=0)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def records(jp_serverapp: Any, http_server: Any) -> Iterator[Records]:
    """What is logged from now on: at its start Jupyter writes its address with the token, for a person to open."""
    found = Records()
    names = ["", "tornado", "tornado.access", "tornado.application", "tornado.general", "pctx_jupyter", "asyncio"]
    loggers = [*map(logging.getLogger, names), jp_serverapp.log]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(found)
        logger.setLevel(logging.DEBUG)
    yield found
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(found)
        logger.setLevel(level)


class Server:
    """Sends requests byte by byte."""

    def __init__(self, port: int, base: str) -> None:
        self.port, self.base = port, base

    async def ask(self, method: str, path: str, headers: Headers, body: bytes = b"") -> int:
        """Send one request; returns the status."""
        sent = {"Host": f"localhost:{self.port}", "Content-Length": str(len(body)), **headers}
        lines = [f"{method} {self.base}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
        async with asyncio.timeout(SOON):
            reader, writer = await asyncio.open_connection("localhost", self.port)
            try:
                writer.write("\r\n".join(lines).encode("latin-1") + body)
                return int((await reader.readline()).split()[1])
            finally:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()


@pytest.fixture
def server(jp_http_port: int, jp_base_url: str, kernels: KernelTokens) -> Server:
    kernels._tokens[KERNEL] = TOKEN
    kernels._starting.add(KERNEL)
    return Server(jp_http_port, jp_base_url)


QUERIES = (
    "?token={token}",
    "?%74oken={token}",  # the same to a server, and not to who looks for the word
    "?a=b&token={token}&start=x",
    "?token=canary-in-the-query",
    "?%74oken=canary%2Din-the-query",
    "?a=canary-in-the-query",
    "?code=canary-in-the-query&state=canary-in-the-query",
)


async def test_no_line_about_a_request_shows_what_it_carried(
    server: Server, records: Records, running: RunningEngine, jp_serverapp: Any
) -> None:
    await running.get()
    token = jp_serverapp.identity_provider.token
    port = server.port
    with_token = {"Authorization": f"token {token}"}
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    asked: list[Headers] = [
        {},
        with_token,
        {"Authorization": "Bearer canary-in-the-header"},
        {"Authorization": f"Basic {token}"},
        {TOKEN_HEADER: TOKEN},
        {TOKEN_HEADER: TOKEN, "Host": "rebound.example"},
        {TOKEN_HEADER: f"{TOKEN}x"},
        {**with_token, "Host": "rebound.example"},
        {**with_token, "Origin": "https://evil.example"},
        {**with_token, "Origin": "http://["},
        {**with_token, "Referer": f"http://localhost:{port}/lab?token={token}"},
        {**with_token, "Cookie": f"username-localhost-{port}={COOKIE}; _xsrf=2|canary-of-the-cookie|x|1"},
        {**with_token, "Referer": f"http://localhost:{port}/lab?%74oken={token}"},
        {**with_token, "Referer": "http://[?token=canary-in-the-query"},
        {"Referer": "http://user:canary-in-the-header@localhost/"},
        {"Cookie": f"username-localhost-{port}={OLD_COOKIE}", "Referer": f"http://localhost/?token={token}"},
        {"Cookie": f'username-localhost-{port}="{COOKIE}"', "Origin": f"http://localhost:{port}"},
        {**with_token, **upgrade},
        {**with_token, **upgrade, **key},
        {**with_token, **upgrade, **key, "Origin": "null"},
        {**upgrade, **key, TOKEN_HEADER: TOKEN, "Origin": "null"},
    ]
    statuses = set()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for path, method in access.ROUTES:
        shown = path.replace("{kernel_id}", "k").replace("{id}", "i").replace("{name}", "n")
        for query in QUERIES:
            statuses.add(await server.ask(method, shown + query.format(token=token), {}))
        for headers in asked:
            statuses.add(await server.ask(method, shown, headers, b"" if method == "GET" else b"[1"))
        if method != "GET":
            statuses.add(await server.ask(method, shown, form, b"token=canary-in-the-query&%zz=%zz"))
            statuses.add(
                await server.ask(method, shown + "?token=canary-in-the-query", form | {"Content-Encoding": "x"})
            )
            statuses.add(await server.ask(method, f"{shown}?token={token}", with_token, b'{"seen": 1, "to": 2}'))
    for method in ("HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"):
        statuses.add(await server.ask(method, f"pctx/api/upstreams?token={token}", with_token))
    statuses.add(await server.ask("GET", f"pctx/api/kernels/%FF?token={token}", with_token))
    for name in ("Authorization", TOKEN_HEADER, "Cookie"):
        statuses.add(await server.ask("GET", "pctx/health", {name: "canary-in-the-header\x01"}))
    assert {101, 200, 400, 403, 404, 405} <= statuses and 500 not in statuses
    assert "Traceback" not in _assert_clean(records, token)


async def test_a_failure_is_logged_with_its_place_and_without_what_the_request_carried(
    server: Server, records: Records, monkeypatch: pytest.MonkeyPatch, jp_serverapp: Any
) -> None:
    async def fails(handler: KernelList) -> None:
        request = handler.request
        raise ValueError(f"{request.query} {dict(request.headers)} {request.arguments}")

    monkeypatch.setattr(KernelList, "get", fails)
    token = jp_serverapp.identity_provider.token
    cookie = {"Cookie": "other=canary-of-the-cookie"}
    assert await server.ask("GET", f"pctx/api/kernels?%74oken={token}&a=canary-in-the-query", cookie) == 500
    assert await server.ask("GET", "pctx/api/kernels", cookie | {"Authorization": f"token {token}"}) == 500
    logged = _assert_clean(records, token)
    assert "in fails" in logged and "ValueError: %74oken=***" in logged


async def test_a_kernels_token_by_a_foreign_host_is_a_refusal_without_a_traceback(
    server: Server, records: Records
) -> None:
    for path, method in access.ROUTES:
        assert await server.ask(method, path, {TOKEN_HEADER: TOKEN, "Host": "rebound.example"}) == 403
    assert "Traceback" not in _assert_clean(records, TOKEN)


def _assert_clean(records: Records, token: str) -> str:
    """Assert that nothing secret was logged, and that something was; returns it."""
    assert records.lines
    for line in records.lines:
        for secret in (token, *CANARIES):
            assert secret not in line
    return "\n".join(records.lines)
