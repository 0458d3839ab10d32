"""Tokens of kernels: the real server and its real kernel manager; the kernels are real where they have to run."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
import pytest
from tornado.httpclient import HTTPClientError

from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient
from pctx_jupyter.rpc.environment import GATEWAY_TOKEN, GATEWAY_URL, TOKEN, TOKEN_HEADER, URL
from pctx_jupyter.server.kernels import KernelTokens
from tests.fakes import SOON


class Launched:
    """A kernel manager that starts nothing and remembers with which environment it was asked to.

    Its rules are the real one's: a kernel is known once it started, until it is removed.
    """

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.environments: list[dict[str, str]] = []
        self.while_starting: list[str | None] = []
        self.tokens: KernelTokens | None = None
        self.start_kernel: Callable[..., Awaitable[str]] = self._start

    def __contains__(self, kernel_id: str) -> bool:
        return kernel_id in self.known

    def new_kernel_id(self, **kwargs: Any) -> str:
        return f"kernel-{len(self.environments)}"

    async def _start(self, *, kernel_id: str, fails: bool = False, **kwargs: Any) -> str:
        if kernel_id not in self.known:
            self.environments.append(kwargs.get("env") or {})
            assert self.tokens is not None
            self.while_starting.append(self.tokens.owner(self.environments[-1][TOKEN]))
            if fails:
                raise OSError("no such kernel")
            self.known.add(kernel_id)
        return kernel_id


@pytest.fixture
def launched() -> Launched:
    manager = Launched()
    manager.tokens = KernelTokens(manager, lambda: "http://here:1/base/")
    return manager


async def test_a_kernel_is_told_where_its_server_is_and_a_token_of_its_own(launched: Launched) -> None:
    ids = [await launched.start_kernel(env={"HOME": "/home/ann"}), await launched.start_kernel(env={})]
    first, second = launched.environments
    assert first[URL] == "http://here:1/base/" and first["HOME"] == "/home/ann"
    assert len(first[TOKEN]) >= 40 and first[TOKEN] != second[TOKEN]
    assert launched.tokens is not None
    assert [launched.tokens.owner(first[TOKEN]), launched.tokens.owner(second[TOKEN])] == ids
    assert launched.tokens.owner(first[TOKEN][:-1]) is None and launched.tokens.owner("") is None


async def test_a_kernel_gets_no_address_that_the_environment_of_its_server_has_from_an_older_one(
    launched: Launched,
) -> None:
    await launched.start_kernel(env={GATEWAY_URL: "http://older/", GATEWAY_TOKEN: "older", "HOME": "/home/ann"})
    assert GATEWAY_URL not in launched.environments[0] and GATEWAY_TOKEN not in launched.environments[0]


class Gateway:
    """The manager of a server that uses a gateway, which chooses the ids: a kernel runs before its id is known."""

    def __init__(self) -> None:
        self.known: list[str] = []
        self.environments: list[dict[str, str]] = []
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        self.start_kernel: Callable[..., Awaitable[str]] = self._start

    def __contains__(self, kernel_id: str) -> bool:
        return kernel_id in self.known

    async def _start(self, *, env: dict[str, str], **kwargs: Any) -> str:
        assert "kernel_id" not in kwargs  # a gateway takes one as the id of a kernel that it has
        self.environments.append(env)
        self.asked.set()
        await self.answer.wait()
        self.known.append(kernel_id := f"of the gateway {len(self.known)}")
        return kernel_id


async def test_a_kernel_of_a_gateway_that_connects_before_its_id_is_known_waits_until_it_is() -> None:
    manager: Any = Gateway()
    tokens = KernelTokens(manager, lambda: "http://user:1/base/", is_remote=True)
    starting = asyncio.create_task(manager.start_kernel(env={URL: "http://older/", "HOME": "/home/ann"}))
    await manager.asked.wait()
    (environment,) = manager.environments
    assert environment[GATEWAY_URL] == "http://user:1/base/" and environment["HOME"] == "/home/ann"
    assert URL not in environment and TOKEN not in environment  # those are the gateway's to set
    token = environment[GATEWAY_TOKEN]
    await tokens.settle("a stranger's")  # returns at once
    settling = asyncio.create_task(tokens.settle(token))
    await asyncio.sleep(0)
    assert not settling.done() and tokens.owner(token) is None
    manager.answer.set()
    async with asyncio.timeout(SOON):
        await settling
    assert tokens.owner(token) == await starting == "of the gateway 0"
    manager.known.clear()
    assert tokens.owner(token) is None


async def test_a_server_that_a_gateways_kernels_cannot_reach_gives_them_no_token() -> None:
    manager: Any = Gateway()
    manager.answer.set()
    KernelTokens(manager, lambda: "", is_remote=True)
    await manager.start_kernel(env={GATEWAY_URL: "http://older/", GATEWAY_TOKEN: "older"})
    assert {manager.environments[0][name] for name in (GATEWAY_URL, GATEWAY_TOKEN)} == {""}


async def test_a_server_that_is_a_gateway_passes_on_what_the_users_server_gives_and_never_takes_in_its_kernels(
    jp_fetch: Any, jp_serverapp: Any, kernels: KernelTokens
) -> None:
    of_user = {GATEWAY_URL: "http://user:1/", GATEWAY_TOKEN: "of the user's server"}
    for sent in ({**of_user, "KERNEL_USERNAME": "ann"}, {"KERNEL_USERNAME": "ann"}):
        asked = json.dumps({"name": "python3", "env": sent})
        kernel_id = json.loads((await jp_fetch("api", "kernels", method="POST", body=asked)).body)["id"]
        environment = psutil.Process(jp_serverapp.kernel_manager.get_kernel(kernel_id).provisioner.pid).environ()
        assert {name: environment[name] for name in of_user if name in environment} == {
            name: value for name, value in of_user.items() if name in sent
        }
        assert URL not in environment and TOKEN not in environment and environment["KERNEL_GATEWAY"] == "1"
        await jp_fetch("api", "kernels", kernel_id, method="DELETE")


async def test_a_kernel_may_connect_while_it_is_still_starting(launched: Launched) -> None:
    kernel_id = await launched.start_kernel()
    assert launched.while_starting == [kernel_id]


async def test_an_id_chosen_by_the_caller_is_kept(launched: Launched) -> None:
    assert await launched.start_kernel(kernel_id="mine") == "mine"
    assert launched.tokens is not None and launched.tokens.owner(launched.environments[0][TOKEN]) == "mine"


async def test_asking_again_for_a_kernel_that_runs_changes_nothing(launched: Launched) -> None:
    await launched.start_kernel(kernel_id="mine")
    assert await launched.start_kernel(kernel_id="mine") == "mine"
    assert len(launched.environments) == 1
    assert launched.tokens is not None and launched.tokens.owner(launched.environments[0][TOKEN]) == "mine"


async def test_the_token_of_a_kernel_that_is_gone_or_never_started_opens_nothing(launched: Launched) -> None:
    await launched.start_kernel(kernel_id="gone")
    launched.known.clear()
    with pytest.raises(OSError, match="no such kernel"):
        await launched.start_kernel(kernel_id="stillborn", fails=True)
    assert launched.tokens is not None
    assert [launched.tokens.owner(environment[TOKEN]) for environment in launched.environments] == [None, None]


async def test_a_real_kernel_has_its_token_through_restarts_until_it_is_shut_down(
    jp_fetch: Any,
    jp_serverapp: Any,
    url: str,
    kernels: KernelTokens,
    jp_logging_stream: io.StringIO,
    caplog: pytest.LogCaptureFixture,
) -> None:
    started = await jp_fetch("api", "kernels", method="POST", body="{}")
    kernel_id = json.loads(started.body)["id"]
    environment = psutil.Process(jp_serverapp.kernel_manager.get_kernel(kernel_id).provisioner.pid).environ()
    token = environment[TOKEN]
    assert environment[URL] == jp_serverapp.connection_url
    assert kernels.owner(token) == kernel_id

    # It opens our connection and status, and nothing else of the server.
    async with PctxClient(url + "local-tools", headers={TOKEN_HEADER: token}, reconnect=False) as client:
        assert (await client.execute_code("6 * 7"))["value"] == 42
        with pytest.raises(errors.CannotConnect) as no_agent:
            await PctxClient(url + "pctx/agents", headers={TOKEN_HEADER: token}).connect()
        assert no_agent.value.http_status == 403
        only = {"headers": {TOKEN_HEADER: token, "Authorization": "none"}}
        for path in (("mcp",), ("pctx", "mcp")):
            with pytest.raises(HTTPClientError) as refusal:
                body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
                await jp_fetch(*path, method="POST", body=body, **only)
            assert refusal.value.code == 403 and b"token cannot be used here" in refusal.value.response.body
        for path in (("pctx", "health"), ("pctx", "api", "status")):
            assert (await jp_fetch(*path, **only)).code == 200
        for path in (("api", "kernels"), ("api", "contents"), ("api", "sessions"), ("api", "status")):
            with pytest.raises(HTTPClientError) as refusal:
                await jp_fetch(*path, **only)
            assert refusal.value.code == 403

        await jp_fetch("api", "kernels", kernel_id, "restart", method="POST", body="{}")
        assert kernels.owner(token) == kernel_id

        await jp_fetch("api", "kernels", kernel_id, method="DELETE")
        assert kernels.owner(token) is None
        with pytest.raises(errors.Forbidden):
            await client.execute_code("1")
    with pytest.raises(errors.CannotConnect) as refused:
        async with asyncio.timeout(SOON):
            await PctxClient(url + "local-tools", headers={TOKEN_HEADER: token}).connect()
    assert refused.value.http_status == 403
    assert token not in jp_logging_stream.getvalue() and token not in caplog.text
