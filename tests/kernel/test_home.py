"""Where programs run. Real: Deno, servers that refuse or are silent, a server with the extension. Nothing is fake."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from pctx_jupyter.kernel.home import Home, open_home
from pctx_jupyter.rpc import wire
from pctx_jupyter.rpc.environment import BEHIND_GATEWAY, GATEWAY_TOKEN, GATEWAY_URL, PIPE, TOKEN, URL
from pctx_jupyter.settings import Settings

ONE = Settings(warm_sandboxes=1)


@pytest.fixture
def jp_server_config() -> dict[str, Any]:
    return {"ServerApp": {"jpserver_extensions": {"pctx_jupyter": True}}, "Pctx": {"warm_sandboxes": 1}}


async def _adds(home: Home) -> bool:
    return bytes((await home.client.execute(wire.Execute("40 + 2"))).value) == b"42"


async def test_without_a_server_the_engine_is_embedded_and_ends_with_its_home() -> None:
    before = set(psutil.Process().children(recursive=True))
    async with open_home({}, ONE) as home:
        assert (home.kind, home.url, home.is_second_choice) == ("embedded", None, False)
        assert "PCTX_JUPYTER_URL is not set" in home.why and "gateway" not in home.why
        assert home.status is not None and home.status()["sessions"] == 1
        assert await _adds(home)
    assert not psutil.wait_procs(set(psutil.Process().children(recursive=True)) - before, timeout=5)[1]


async def test_a_kernel_of_a_gateway_that_has_no_address_names_the_gateway_as_the_reason() -> None:
    async with open_home({BEHIND_GATEWAY: "1", GATEWAY_URL: ""}, Settings(warm_sandboxes=0)) as home:
        assert (home.kind, home.is_second_choice) == ("embedded", False)
        assert "a gateway started this kernel" in home.why and "KERNEL_PCTX_JUPYTER_URL" in home.why


async def test_a_server_that_is_gone_is_no_reason_to_fail(free_tcp_port: int) -> None:
    async with open_home({URL: f"http://127.0.0.1:{free_tcp_port}/base/", TOKEN: "secret"}, ONE) as home:
        assert (home.kind, home.is_second_choice) == ("embedded", True)
        assert "is the server running there?" in home.why and "secret" not in home.why
        assert "c.Pctx.kernel_url" in home.why
        assert await _adds(home)


async def test_a_server_that_accepts_and_does_not_answer_is_no_reason_to_fail() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stopped:
        async with open_home({URL: f"http://127.0.0.1:{stopped.getsockname()[1]}/", TOKEN: "x"}, ONE) as home:
            assert "no answer within 5 s" in home.why and "c.Pctx.kernel_url" not in home.why
            assert await _adds(home)


async def test_a_server_that_refuses_the_kernel_is_no_reason_to_fail(jp_serverapp: Any, http_server: Any) -> None:
    environment = {URL: jp_serverapp.connection_url, TOKEN: "not one of its kernels'"}
    async with open_home(environment, ONE) as home:
        assert (home.kind, home.is_second_choice) == ("embedded", True)
        assert "403" in home.why and "c.Pctx.kernel_url" not in home.why
        assert await _adds(home)


@pytest.mark.parametrize("url", ["http+unix://%2Ftmp%2Fsocket/", "http://ana:secret@host:port/", "http://[::1/", "x"])
async def test_a_server_that_has_no_usable_address_is_no_reason_to_fail(url: str) -> None:
    async with open_home({URL: url, TOKEN: "x"}, Settings(warm_sandboxes=0)) as home:
        assert (home.kind, home.is_second_choice) == ("embedded", True)
        assert "secret" not in home.why and "local-tools. For a kernel in a container" in home.why


async def test_a_server_elsewhere_than_its_address_says_is_no_reason_to_fail(
    jp_serverapp: Any, http_server: Any, jp_http_port: int
) -> None:
    environment = {URL: f"http://ana:secret@127.0.0.1:{jp_http_port}/elsewhere/", TOKEN: "x"}
    async with open_home(environment, Settings(warm_sandboxes=0)) as home:
        assert f"Cannot connect to http://127.0.0.1:{jp_http_port}/elsewhere/pctx/local-tools" in home.why
        assert "(404)" in home.why and "c.Pctx.kernel_url" in home.why


@pytest.mark.parametrize("pipe", ["", "/of/another/container"])
async def test_a_kernel_of_a_server_is_at_home_there(
    jp_serverapp: Any, http_server: Any, jp_fetch: Any, pipe: str, tmp_path: Path
) -> None:
    kernel_id = json.loads((await jp_fetch("api", "kernels", method="POST", body="{}")).body)["id"]
    environment = psutil.Process(jp_serverapp.kernel_manager.get_kernel(kernel_id).provisioner.pid).environ()
    async with open_home(environment | {PIPE: pipe}, ONE) as home:
        assert (home.kind, home.url) == ("Jupyter server", jp_serverapp.connection_url.rstrip("/"))
        assert home.status is None and not home.is_second_choice
        assert environment[TOKEN] not in repr(home)
        assert await _adds(home)
    if not pipe:  # the same server through a gateway, which has a server of its own
        of_gateway = {URL: "http://gateway:1/", TOKEN: "the gateway's", BEHIND_GATEWAY: "1"}
        told = {GATEWAY_URL: environment[URL], GATEWAY_TOKEN: environment[TOKEN]}
        async with open_home(of_gateway | told, ONE) as home:
            assert (home.kind, home.url) == ("Jupyter server", jp_serverapp.connection_url.rstrip("/"))
            assert "gateway" in home.why and await _adds(home)
        async with _stopped_server(tmp_path / "pipe", environment) as home:
            assert (home.kind, home.is_second_choice) == ("embedded", True)
            assert "no answer within 2 s" in home.why
            assert home.why.endswith("(programs run at the server again once it answers)")
            assert home.reach_server is not None and await home.reach_server()
    await jp_fetch("api", "kernels", kernel_id, method="DELETE")


@asynccontextmanager
async def _stopped_server(path: Path, environment: dict[str, str]) -> AsyncIterator[Home]:
    """Open the home of a kernel while the server accepts connections to its pipe and answers nothing there."""
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(path))
        stopped.listen()
        async with open_home(environment | {PIPE: str(path)}, ONE) as home:
            stopped.close()  # so the kernel takes the WebSocket, which the server does answer
            yield home
