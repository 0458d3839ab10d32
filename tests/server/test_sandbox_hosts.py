"""Sandbox hosts of a real server: who may connect, and programs that run in a process that has dialled in."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from pctx_jupyter import errors
from pctx_jupyter.cli.doctor import Finding, _hosts
from pctx_jupyter.cli.servers import Server, hosts
from pctx_jupyter.client import PctxClient
from pctx_jupyter.engine import Engine
from pctx_jupyter.hosts.messages import TOKEN_HEADER, WIRE
from pctx_jupyter.hosts.tokens import TOKEN_VARIABLE, mint_token
from pctx_jupyter.server.running import RunningEngine
from tests.client.proxy import proxied
from tests.fakes import SOON
from tests.hosts.networks import CAPACITY, call_once_each, hosts_at

from .conftest import Headers
from .process import START_S
from .wires import Wire

OpenClient = Callable[..., AbstractAsyncContextManager[PctxClient]]

HELLO = {"version": "1", "wire": WIRE, "layers": 2, "capacity": 2, "deno": "2.9.8", "name": "a host"}


@pytest.fixture
def limits(request: pytest.FixtureRequest) -> dict[str, Any]:
    more: dict[str, Any] = getattr(request, "param", {})
    return {"sandboxes": "hosts", "max_queue_s": 10.0, "typecheck": False, **more}


@pytest.fixture
def token_file(jp_data_dir: Path) -> Path:
    return jp_data_dir / "pctx" / "sandbox-token"


@asynccontextmanager
async def dialled(url: str, headers: Headers) -> AsyncIterator[Wire]:
    """A bare connection of a host that has said nothing."""
    async with connect(url + "pctx/sandboxes", additional_headers=headers, proxy=None, max_size=None) as it:
        yield Wire(it)


@asynccontextmanager
async def host_process(
    url: str, token: str, *options: str, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A sandbox host as a process of its own; it is asked to stop on the way out."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pctx_jupyter", "sandbox-host", "--url", url.replace("ws:", "http:")),
        *options,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", TOKEN_VARIABLE: token, **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def connected(engine: Engine, hosts: int) -> None:
    """Wait until so many hosts are connected; a process takes a second to start."""
    assert engine.hosts is not None
    async with asyncio.timeout(START_S):
        while len(engine.hosts.hosts) != hosts:
            await asyncio.sleep(0.02)


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def write(file: Path, text: str) -> None:
    file.write_text(text)


async def test_a_host_that_dials_in_runs_programs_and_is_listed_and_leaves(
    url: str,
    token_file: Path,
    client: OpenClient,
    running: RunningEngine,
    jp_fetch: Any,
    jp_serverapp: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = await running.get()
    assert f"none can connect: {token_file} has no token" in caplog.text
    token = mint_token(token_file)
    changes: list[str] = []
    engine.registry.watchers.add(changes.append)
    assert mode(token_file) == 0o600
    async with host_process(url, token, "--sandboxes", "2") as process, client() as it:
        await connected(engine, 1)
        assert (await it.run("[1 + 1, 'ü']")).value == [2, "ü"]
        sandbox: Any = engine.status()["sandbox"]
        (host,) = sandbox["hosts"]
        assert (host["capacity"], host["running"], host["layers"]) == (2, 0, sandbox["layers"])
        (shown,) = _hosts("Server", sandbox["hosts"])
        assert shown == Finding("Server", "ok", f"sandbox hosts: {host['name']} (0 of 2 run)")
        metrics = (await jp_fetch("metrics")).body.decode()
        assert "pctx_hosts 1.0" in metrics and "pctx_host_sandboxes 2.0" in metrics
        asked = asyncio.to_thread(hosts, Server(url.replace("ws:", "http:"), jp_serverapp.identity_provider.token))
        assert await asked == [host]
        assert engine.hosts is not None
        engine.hosts.hosts[0].channel.close()  # the network is gone for a moment
        await connected(engine, 0)
        await connected(engine, 1)
        assert (await it.run("2 + 1")).value == 3
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 4 * SOON) == 0
        await connected(engine, 0)
        assert changes.count("hosts") == 5  # it came and went twice, and said once before that it would go


async def test_a_program_ends_with_the_host_that_was_killed_and_another_host_runs_it_if_it_had_done_nothing(
    url: str, token_file: Path, client: OpenClient, running: RunningEngine
) -> None:
    engine, token = await running.get(), mint_token(token_file)
    async with host_process(url, token) as one, client() as it:
        await connected(engine, 1)
        await it.register_tool("Here", "kill", lambda _: one.kill())
        with pytest.raises(errors.ExecutionFailed, match="it had made 1 tool call by then, and was not run again"):
            await it.run("await Here.kill()")
        async with host_process(url, token) as two:
            await connected(engine, 1)
            waits = asyncio.create_task(it.run("await new Promise((done) => setTimeout(done, 500)); 20 + 1"))
            assert engine.hosts is not None
            while not engine.hosts.hosts[0].running:
                await asyncio.sleep(0.01)
            two.kill()
            async with host_process(url, token):
                assert (await waits).value == 21


@pytest.mark.parametrize("limits", [{"fallback": "here", "ping_s": 0.5}], indirect=True)
async def test_a_program_whose_host_falls_silent_runs_elsewhere(
    url: str, token_file: Path, client: OpenClient, running: RunningEngine
) -> None:
    engine, token = await running.get(), mint_token(token_file)
    async with proxied(url) as proxy, host_process(proxy.url, token, "--sandboxes", "1") as host, client() as it:
        await connected(engine, 1)
        proxy.delay_s = 0.05  # slow is not silent
        assert (await it.run("1 + 1")).value == 2
        assert engine.hosts is not None and engine.hosts.hosts
        proxy.hold()
        assert (await it.run("2 + 1")).value == 3
        assert not engine.hosts.hosts
        host.kill()


@pytest.mark.parametrize("limits", [{"ping_s": 0.2, "max_queue_s": 20.0}], indirect=True)
async def test_200_programs_of_20_sessions_call_at_most_once_over_networks_that_are_slow_cut_or_silent(
    url: str, token_file: Path, jp_auth_header: Headers, running: RunningEngine
) -> None:
    engine, token = await running.get(), mint_token(token_file)
    async with proxied(url) as slow, proxied(url) as cut, proxied(url) as silent:
        slow.delay_s = 0.02

        def called(calls: int) -> None:
            if calls in (30, 60):
                cut.cut()
            if calls == 45:
                silent.hold()

        async with hosts_at(token, slow.url, cut.url, silent.url):
            await connected(engine, 3)
            lost = await call_once_each(url, jp_auth_header, called)
            await connected(engine, 2)
            assert cut.accepted == 3
    assert lost <= 3 * CAPACITY


async def test_a_host_with_a_wrong_token_ends_and_says_what_to_do(url: str, token_file: Path) -> None:
    mint_token(token_file)
    async with host_process(url, "a-token-that-is-wrong") as process:
        assert process.stderr is not None
        said = (await asyncio.wait_for(process.stderr.read(), START_S)).decode()
        assert await process.wait() == 3
    assert "the server refused the token of this sandbox host; jupyter pctx sandbox-token" in said
    assert "a-token-that-is-wrong" not in said


async def test_a_host_connects_over_tls_to_a_server_whose_authority_it_trusts_and_to_no_other(
    tmp_path: Path, url: str, token_file: Path, running: RunningEngine, jp_serverapp: Any, jp_base_url: str
) -> None:
    authority, certificate = trustme.CA(), tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server, sockets = HTTPServer(jp_serverapp.web_app, ssl_options=context), bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    port = sockets[0].getsockname()[1]
    safe, token = f"https://localhost:{port}{jp_base_url}", mint_token(token_file)
    try:
        async with host_process(safe, token, SSL_CERT_FILE=str(certificate)):
            await connected(await running.get(), 1)
        async with host_process(safe, token, "--give-up", "0.01") as process:
            assert process.stderr is not None
            said = (await asyncio.wait_for(process.stderr.read(), START_S)).decode()
        assert "its certificate is not trusted (unable to get local issuer certificate)" in said
        assert "SSL_CERT_FILE" in said and token not in said
    finally:
        server.stop()


async def refused(url: str, headers: Headers) -> int:
    """The status with which a connection is refused, and that its body tells nothing."""
    with pytest.raises(InvalidStatus) as error:
        async with dialled(url, headers):
            raise AssertionError("it was let in")
    body = json.loads(error.value.response.body or b"{}")
    assert body in ({}, {"message": "Forbidden"})
    return error.value.response.status_code


async def test_only_the_token_of_hosts_opens_the_route_and_it_opens_nothing_else(
    url: str, token_file: Path, jp_auth_header: Headers, jp_serverapp: Any
) -> None:
    server = jp_serverapp.identity_provider.token
    strangers: list[Headers] = [
        {},
        jp_auth_header,
        {TOKEN_HEADER: server},
        {TOKEN_HEADER: ""},
        {TOKEN_HEADER: "x" * 40},
    ]
    for headers in strangers:
        assert await refused(url, headers) == 403  # no token has been made yet
    token = mint_token(token_file)
    for headers in [
        *strangers,
        {"Authorization": f"token {token}"},
        {TOKEN_HEADER: token, "Origin": "https://a.example"},
    ]:
        assert await refused(url, headers) == 403
    for path in ("local-tools", "pctx/agents", "pctx/api/changes"):
        with pytest.raises(InvalidStatus, match="403"):
            async with connect(url + path, additional_headers={TOKEN_HEADER: token}, proxy=None):
                raise AssertionError("it was let in")
    write(token_file, "short\n")
    assert await refused(url, {TOKEN_HEADER: "short"}) == 403


@pytest.mark.parametrize(
    ("limits", "said", "why"),
    [
        ({"layers": 2}, {"layers": 1}, r"2 layers of isolation are required \(Pctx.layers\), and this host has 1"),
        ({}, {"wire": WIRE + 1}, "install the same version of pctx-jupyter on both"),
        ({}, {"capacity": 0}, "between 1 and 1,024 programs"),
        ({}, {"capacity": 10**9}, "between 1 and 1,024 programs"),
        ({"sandboxes": "here"}, {}, "runs programs on its own machine"),
    ],
    indirect=["limits"],
)
async def test_a_host_that_does_not_fit_is_refused_in_a_sentence(
    url: str, token_file: Path, running: RunningEngine, said: dict[str, Any], why: str
) -> None:
    token = mint_token(token_file)
    async with dialled(url, {TOKEN_HEADER: token}) as host:
        answer = await host.ask("hello", HELLO | said)
        assert answer["error"]["code"] == errors.Forbidden.code
        assert why.replace("\\", "") in answer["error"]["message"]
    engine = await running.get()
    assert not (engine.hosts and engine.hosts.hosts)


@pytest.mark.parametrize("limits", [{"max_queue_s": 1.0}], indirect=True)
async def test_a_host_with_a_replaced_token_gets_no_more_programs(
    url: str, token_file: Path, client: OpenClient, running: RunningEngine
) -> None:
    token = mint_token(token_file)
    async with dialled(url, {TOKEN_HEADER: token}) as host, client() as it:
        assert "limits" in (await host.ask("hello", HELLO))["result"]
        mint_token(token_file)
        asked = asyncio.ensure_future(it.run("1"))
        await host.gone()
        with pytest.raises(errors.SandboxUnavailable, match="no other has connected"):
            await asked
