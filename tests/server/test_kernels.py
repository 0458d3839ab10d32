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
from pctx_jupyter.rpc.environment import TOKEN, TOKEN_HEADER, URL
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
            assert refusal.value.code == 403 and b"no agent's door" in refusal.value.response.body
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
