"""The homes a client can have: a server (another process if ``PCTX_TEST_URL`` names one, else in this), or none."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pctx_jupyter.client.raw import RawClient
from pctx_jupyter.engine import open_engine
from pctx_jupyter.settings import Settings

if TYPE_CHECKING:
    from pctx_jupyter.rpc.channel import Channel, OnNotification, Serve

URL, TOKEN = "PCTX_TEST_URL", "PCTX_TEST_TOKEN"

Connect = Callable[..., AbstractAsyncContextManager[RawClient]]


@pytest.fixture
def jp_server_config(typecheck: bool) -> dict[str, Any]:
    settings = {"warm_sandboxes": 1, "typecheck": typecheck}
    return {"ServerApp": {"jpserver_extensions": {"pctx_jupyter": True}}, "Pctx": settings}


@pytest.fixture
def server(request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    """A server's ``local-tools`` URL, and the headers that let a client in."""
    if url := os.environ.get(URL):
        return url, {"Authorization": f"token {os.environ[TOKEN]}"}
    request.getfixturevalue("http_server")
    port, base = request.getfixturevalue("jp_http_port"), request.getfixturevalue("jp_base_url")
    return f"ws://localhost:{port}{base}local-tools", request.getfixturevalue("jp_auth_header")


@pytest.fixture(params=["websocket", "memory"])
def connect(request: pytest.FixtureRequest, typecheck: bool) -> Connect:
    """Opens a client, at home in each of the places there are."""
    if request.param == "memory":
        return functools.partial(embedded, typecheck)
    url, headers = request.getfixturevalue("server")

    @asynccontextmanager
    async def remote(**options: Any) -> AsyncIterator[RawClient]:
        async with RawClient(url, headers=headers, **options) as client:
            yield client

    return remote


@asynccontextmanager
async def embedded(typecheck: bool = False, **options: Any) -> AsyncIterator[RawClient]:
    """A client of an engine in this loop, which checks programs or does not."""
    async with open_engine(Settings(warm_sandboxes=1, typecheck=typecheck)) as engine:

        async def cross(serve: Serve, on_notification: OnNotification) -> Channel:
            return engine.connect(serve=serve, on_notification=on_notification)

        async with RawClient(connect=cross, **options) as client:
            yield client
