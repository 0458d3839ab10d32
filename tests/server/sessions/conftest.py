"""A real server with the session API, and its URL as clients of the original are given it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pctx_client import Pctx

from ..conftest import Headers, jp_server_config, limits, running, url

__all__ = ["jp_server_config", "limits", "running", "url"]


@pytest.fixture
def api(jp_http_port: int, jp_base_url: str, jp_serverapp: Any, http_server: Any) -> str:
    """The URL of the session API, without a slash at its end."""
    return f"http://localhost:{jp_http_port}{jp_base_url}pctx"


@pytest.fixture
def pctx(
    api: str, jp_auth_header: Headers, jp_asyncio_loop: asyncio.AbstractEventLoop
) -> Iterator[Callable[..., Pctx]]:
    """Makes the client of the package ``pctx-client``, as it is; closes what it leaves open itself."""
    made: list[Pctx] = []

    def make(*tools: Any, url: str = api, headers: Headers = jp_auth_header, **options: Any) -> Pctx:
        made.append(Pctx(tools=list(tools), url=url, headers=headers, **options))
        return made[-1]

    yield make
    for one in made:
        jp_asyncio_loop.run_until_complete(one._client.aclose())
