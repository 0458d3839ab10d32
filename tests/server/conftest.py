"""A real Jupyter server with the extension, in this process; real WebSockets to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from pctx_jupyter.client import PctxClient
from pctx_jupyter.server.base import KERNELS, RUNNING
from pctx_jupyter.server.kernels import KernelTokens
from pctx_jupyter.server.running import RunningEngine

from .wires import Wire, open_wire

Headers = dict[str, str]


@pytest.fixture
def limits() -> dict[str, Any]:
    """What ``c.Pctx`` is set to; a test module overrides it."""
    return {}


@pytest.fixture
def jp_server_config(limits: dict[str, Any], typecheck: bool) -> dict[str, Any]:
    return {
        "ServerApp": {"jpserver_extensions": {"pctx_jupyter": True}},
        "Pctx": {"warm_sandboxes": 1, "typecheck": typecheck, **limits},
    }


@pytest.fixture(params=[False, True], ids=["closed", "open by default"])
def is_open_by_default(request: pytest.FixtureRequest) -> bool:
    """Jupyter's `allow_unauthenticated_access`: neither value may open a door of ours."""
    return bool(request.param)


@pytest.fixture
def url(jp_serverapp: Any, http_server: Any, jp_http_port: int, jp_base_url: str) -> str:
    """The base URL of the server."""
    return f"ws://localhost:{jp_http_port}{jp_base_url}"


@pytest.fixture
def running(jp_serverapp: Any) -> RunningEngine:
    found: RunningEngine = jp_serverapp.web_app.settings[RUNNING]
    return found


@pytest.fixture
def kernels(jp_serverapp: Any) -> KernelTokens:
    found: KernelTokens = jp_serverapp.web_app.settings[KERNELS]
    return found


@pytest.fixture
def wire(url: str, jp_auth_header: Headers) -> Callable[..., AbstractAsyncContextManager[Wire]]:
    """Opens a bare connection: what is sent and heard is for the test to say."""

    def connect(path: str = "local-tools", **headers: str) -> AbstractAsyncContextManager[Wire]:
        return open_wire(url + path, {**jp_auth_header, **headers})

    return connect


@pytest.fixture
def client(url: str, jp_auth_header: Headers) -> Callable[..., AbstractAsyncContextManager[PctxClient]]:
    """Opens a client."""

    @asynccontextmanager
    async def connect(**options: Any) -> AsyncIterator[PctxClient]:
        async with PctxClient(url + "local-tools", headers=jp_auth_header, **options) as client:
            yield client

    return connect
