"""Whether agents may come in (``c.Pctx.agents``): a real server, its MCP endpoint and its WebSocket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError
from websockets.exceptions import InvalidStatus

from pctx_jupyter import errors

from .conftest import Headers
from .wires import open_wire

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.fixture
def agents() -> str:
    """What ``c.Pctx.agents`` is."""
    return "off"


@pytest.fixture
def limits(agents: str) -> dict[str, Any]:
    return {"agents": agents, "policy": ["deny agent Shop.delete", "allow agent *"], "max_approval_s": 0.2}


@pytest.fixture
def post(jp_fetch: Any) -> Any:
    """Sends a request to the MCP endpoint; status and JSON."""

    async def send(body: Any) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        try:
            answer = await jp_fetch("pctx", "mcp", method="POST", body=json.dumps(body), headers=headers)
        except HTTPClientError as error:
            assert error.response is not None
            answer = error.response
        return answer.code, json.loads(answer.body)

    return send


async def test_where_agents_are_off_none_comes_in_and_notebooks_work(
    post: Any, url: str, jp_auth_header: Headers, client: Any, jp_fetch: Any
) -> None:
    status, answer = await post(LIST)
    assert status == 403
    assert answer["error"]["message"] == "Cannot let agents in: they are switched off here (Pctx.agents)"
    with pytest.raises(InvalidStatus) as refused:
        async with open_wire(url + "pctx/agents", jp_auth_header):
            pass
    assert refused.value.response.status_code == 403
    with pytest.raises(HTTPClientError) as unconfigured:
        await jp_fetch("pctx", "api", "client-config")
    assert unconfigured.value.response is not None
    assert "Pctx.agents" in json.loads(unconfigured.value.response.body)["message"]
    async with client() as it:
        assert (await it.execute_code("1 + 1"))["value"] == 2
        with pytest.raises(errors.Forbidden, match=r"switched off here \(Pctx\.agents\)"):
            await it.list_agent_functions()


@pytest.mark.parametrize("agents", ["ask"])
async def test_where_agents_are_asked_about_no_rule_of_a_user_allows_them_a_call(
    post: Any, client: Any, url: str, jp_auth_header: Headers
) -> None:
    called: list[str] = []
    async with client(name="Shop service") as it:
        for name in ("price", "delete"):
            await it.register_tool("Shop", name, lambda arguments, name=name: called.append(name))
        await it.share("agents")
        for name, said in (("price", "consent"), ("delete", "policy denies")):
            status, answer = await post(call(f"await Shop.{name}({{}})"))
            text = answer["result"]["content"][0]["text"]
            assert status == 200 and said in text, text
        assert called == []
        await it.execute_code("await Shop.price({})")
        assert called == ["price"], "it is no agent"


def call(code: str) -> dict[str, Any]:
    """A request of an agent to run a program."""
    params = {"name": "execute", "arguments": {"code": code}}
    return {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}
