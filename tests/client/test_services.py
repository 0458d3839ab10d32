"""Services: programs that offer their functions to agents and notebooks. Server, sandboxes and clients are real."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient
from tests.fakes import SOON

Server = tuple[str, dict[str, str]]


@pytest.fixture
def jp_server_config() -> dict[str, Any]:
    return {
        "ServerApp": {"jpserver_extensions": {"pctx_jupyter": True}},
        "Pctx": {"warm_sandboxes": 1, "max_call_s": 2.0, "policy": ["ask agent Invoices.pay"]},
    }


class Agent:
    """An agent: it connects for each question."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def tools(self) -> list[str]:
        async with self._client() as client:
            return [one["name"] for one in await client.list_functions()]

    async def run(self, code: str) -> Any:
        async with self._client() as client:
            return (await client.run(code)).value

    def _client(self) -> PctxClient:
        url, headers = self._server
        return PctxClient(url.replace("local-tools", "pctx/agents"), headers=headers)


@pytest.fixture
def agent(server: Server) -> Agent:
    return Agent(server)


def service(server: Server, name: str | None) -> PctxClient:
    url, headers = server
    return PctxClient(url, headers=headers, name=name)


async def offers(client: PctxClient, namespace: str = "invoices", answer: object = "sum") -> None:
    await client.register_tool(namespace, "sum_of", lambda arguments: answer)
    await client.register_tool(namespace, "secret", lambda arguments: answer, share=False)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SOON):
        while not await holds():  # the server decides when
            await asyncio.sleep(0.02)


async def test_a_services_namespaces_keep_their_names_for_agents(server: Server, agent: Agent) -> None:
    async with service(server, "Billing") as billing:
        await offers(billing)
        assert await agent.tools() == []
        shared = await billing.share("agents")
        assert (shared.to, shared.name) == ("agents", "Billing")
        assert await agent.tools() == ["Invoices.sumOf"]
        assert await agent.run("await Invoices.sumOf()") == "sum"
        assert await agent.run("await invoices.sum_of()") == "sum"
        await billing.share("nobody")
        assert await agent.tools() == []
        with pytest.raises(errors.ExecutionError, match="the service Billing shares its tools with nobody"):
            await agent.run("await Invoices.sumOf()")


async def test_a_client_without_a_name_offers_nothing_to_others(server: Server, agent: Agent) -> None:
    async with service(server, None) as client:
        await offers(client)
        assert (await client.share("everyone")).name is None
        assert await agent.tools() == []


async def test_a_service_is_gone_while_it_is_disconnected_and_back_under_its_names(
    server: Server, agent: Agent
) -> None:
    billing, other = service(server, "Billing"), service(server, "Other")
    await billing.connect()
    await offers(billing, answer=1)
    await billing.share("agents")
    assert await agent.tools() == ["Invoices.sumOf"]
    await billing.disconnect()
    await until(lambda: _is(agent.tools(), []))
    async with other:
        await offers(other, answer=2)
        await other.share("agents")
        assert await agent.tools() == ["Invoices2.sumOf"]
        with pytest.raises(errors.ExecutionError, match="the service Billing is not connected"):
            await agent.run("await Invoices.sumOf()")
        await billing.connect()  # shares again by itself
        assert sorted(await agent.tools()) == ["Invoices.sumOf", "Invoices2.sumOf"]
        assert await agent.run("[await Invoices.sumOf(), await Invoices2.sumOf()]") == [1, 2]
    await billing.disconnect()


async def test_a_new_connection_takes_over_before_the_old_one_is_found_to_be_lost(server: Server, agent: Agent) -> None:
    old, new = service(server, "Billing"), service(server, "Billing")
    new._instance = old._instance
    async with old, new:
        for number, client in enumerate((old, new)):
            await offers(client, answer=number)
            await client.share("agents")
        assert await agent.tools() == ["Invoices.sumOf"]
        assert await agent.run("await Invoices.sumOf()") == 1


async def test_two_services_of_one_name_are_told_apart(server: Server, agent: Agent) -> None:
    async with service(server, "Billing") as one, service(server, "Billing") as two:
        for number, client in enumerate((one, two)):
            await offers(client, answer=number)
        assert [(await client.share("agents")).name for client in (one, two)] == ["Billing", "Billing (2)"]
        assert await agent.run("[await Invoices.sumOf(), await Invoices2.sumOf()]") == [0, 1]


@pytest.mark.parametrize(
    "name", ["", " ", "a\x1b[31m", "a\nb", "n" * 10_000, "\u202egnillib", "a\u200bb", " Billing", "\ud800"]
)
async def test_a_name_that_people_cannot_read_is_refused(server: Server, agent: Agent, name: str) -> None:
    async with service(server, name) as client:
        await offers(client)
        with pytest.raises(errors.PctxError, match=r"^Cannot "):
            await client.share("agents")
        assert await agent.tools() == []


async def test_a_service_that_never_answers_costs_its_caller_the_time_of_one_call(server: Server, agent: Agent) -> None:
    async with service(server, "Billing") as billing, service(server, "Quick") as quick:

        async def never(arguments: dict[str, Any]) -> None:
            await asyncio.Event().wait()

        await billing.register_tool("invoices", "sum_of", never)
        await billing.share("agents")
        await offers(quick, "quick")
        await quick.share("agents")
        with pytest.raises(errors.ExecutionError, match=r"Invoices.sumOf timed out after 2 s"):
            await agent.run("await Invoices.sumOf()")
        assert await agent.run("await Quick.sumOf()") == "sum"


async def test_a_call_of_a_service_needs_consent_as_one_of_a_notebook_does(server: Server, agent: Agent) -> None:
    async with service(server, "Billing") as billing:
        await billing.register_tool("invoices", "pay", lambda arguments: "paid", effects=True)
        await billing.share("agents")
        with pytest.raises(errors.ExecutionError, match="needs a person's consent"):
            await agent.run("await Invoices.pay()")


async def test_a_person_revokes_what_a_service_shares_until_they_allow_it_again(
    server: Server, agent: Agent, jp_fetch: Callable[..., Any]
) -> None:
    billing = service(server, "Billing")
    await billing.connect()
    await offers(billing)
    await billing.share("agents")
    [listed] = json.loads((await jp_fetch("pctx", "api", "kernels")).body)["kernels"]
    assert (listed["name"], listed["kind"], listed["sharing"]) == ("Billing", "service", "agents")
    whole = json.loads((await jp_fetch("pctx", "api", "kernels", listed["kernel_id"])).body)
    assert [one["shared_as"] for one in whole["tools"]] == ["Invoices.sumOf", None]

    async def set_to(to: str) -> None:
        route = ("pctx", "api", "kernels", listed["kernel_id"], "sharing")
        await jp_fetch(*route, method="PUT", body=json.dumps({"to": to}))

    await set_to("nobody")
    assert await agent.tools() == []
    assert (await billing.share("everyone")).to == "nobody"
    await billing.disconnect()
    await billing.connect()
    assert await agent.tools() == []
    await set_to("agents")
    assert await agent.tools() == ["Invoices.sumOf"]
    assert (await billing.share()).to == "agents"
    await billing.disconnect()


async def _is(found: Awaitable[object], wanted: object) -> bool:
    return await found == wanted
