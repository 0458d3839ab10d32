"""Where MCP clients find us, as configured. A real server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError

ASK = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})


async def found(fetch: Any, *path: str) -> bool:
    """Whether an MCP client is answered there."""
    try:
        answer = await fetch(*path, method="POST", body=ASK)
    except HTTPClientError as error:
        assert error.code == 404
        return False
    return "tools" in json.loads(answer.body)["result"]


@pytest.mark.parametrize(
    ("limits", "there", "elsewhere"),
    [
        ({}, "mcp", "agents"),
        ({"mcp_path": "agents"}, "agents", "mcp"),
        ({"mcp_path": "/agents/of.mine/"}, "agents/of.mine", "agents/ofxmine"),
        ({"mcp_path": ""}, None, "mcp"),
        ({"mcp_path": "pctx/mcp"}, None, "mcp"),
    ],
)
async def test_the_path_is_configurable_and_ours_is_always_there(
    jp_fetch: Any, there: str | None, elsewhere: str
) -> None:
    assert await found(jp_fetch, "pctx", "mcp")
    assert there is None or await found(jp_fetch, *there.split("/"))
    assert not await found(jp_fetch, *elsewhere.split("/"))
