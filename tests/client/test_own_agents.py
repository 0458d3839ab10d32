"""An agent that a client runs itself: what it finds, whose programs they are, and what it may not do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pctx_jupyter import errors
from pctx_jupyter.agents import client_agent_tools
from pctx_jupyter.client.raw import RawClient
from pctx_jupyter.frameworks.agent_tools import _extra
from pctx_jupyter.rpc import wire
from pctx_jupyter.session import own_agents
from tests.fakes import SOON

from .conftest import Connect, embedded

DOUBLE = "await Math.double({ n: 21 })"
NUMBER: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]}


async def offer_double(client: RawClient, **options: Any) -> None:
    await client.register_tool("math", "double", lambda args: 2 * args["n"], "Doubles.", NUMBER, **options)


async def test_an_agent_finds_the_clients_tools_and_runs_programs_that_call_them(connect: Connect) -> None:
    async with connect() as client:
        await offer_double(client)
        tools = await client_agent_tools(client)
        assert [one.name for one in tools.functions][-1] == "execute" and "one TypeScript program" in tools.instructions
        assert "double(args: { n: number })" in (await tools.call("list_functions")).text
        answer = await tools.call("execute", {"code": f"console.log('a'); {DOUBLE}"})
        assert (answer.text, answer.is_error, answer.images) == ("console:\na\nresult:\n42", False, [])


async def test_an_agent_finds_what_is_registered_and_withdrawn_meanwhile_and_nothing_private(connect: Connect) -> None:
    async with connect() as client:
        tools = await client_agent_tools(client)
        await offer_double(client)
        await client.register_tool("vault", "open", lambda args: "secret", share=False)
        listed = (await tools.call("list_functions", {"detail": "names"})).text
        assert "double" in listed and "vault" not in listed.lower()
        hidden = await tools.call("execute", {"code": "await Vault.open()"})
        assert hidden.is_error and "secret" not in hidden.text
        await client.unregister_tool("math", "double")
        assert "double" not in (await tools.call("list_functions")).text


async def test_a_call_with_effects_needs_consent_for_an_agent_and_none_for_the_client(connect: Connect) -> None:
    async with connect() as client:
        await offer_double(client, effects=True)
        denied = await (await client_agent_tools(client)).call("execute", {"code": DOUBLE})
        assert denied.is_error and "Math.double not sent" in denied.text
        assert (await client.run(DOUBLE)).value == 42


async def test_traces_and_displays_of_an_agents_program_reach_the_client_that_asks_for_them(connect: Connect) -> None:
    async with connect() as client:
        await offer_double(client)
        seen: list[Any] = []
        asked = wire.CallAgentFunction("execute", {"code": DOUBLE}, "buyer", execution_id="mine", trace=True)
        await client.call_agent(asked, on_notice=seen.append)
        assert {one.execution_id for one in seen} == {"mine"}
        assert b'"asked_by":"agent"' in bytes(seen[-1].trace)


async def test_a_call_that_is_cancelled_stops_its_program(connect: Connect) -> None:
    async with connect() as client:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def wait(arguments: dict[str, Any]) -> None:
            begun.set()
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()

        await client.register_tool("a", "wait", wait)
        call = asyncio.create_task((await client_agent_tools(client)).call("execute", {"code": "await a.wait()"}))
        async with asyncio.timeout(SOON):
            await begun.wait()
            call.cancel()
            await ended.wait()


async def test_a_client_has_a_bounded_number_of_agents_with_names_of_a_bounded_length() -> None:
    async with embedded() as client:
        for number in range(own_agents.MAX_AGENTS):
            await client.list_agent_functions(f"agent {number}")
        with pytest.raises(errors.InvalidParams, match="agents of 20 names already"):
            await client.list_agent_functions("one more")
        with pytest.raises(errors.InvalidParams, match="more than 60 characters"):
            await client.list_agent_functions("x" * 61)
        assert (await client.list_agent_functions("agent 0")).functions


async def test_a_call_that_would_wait_for_its_own_loop_is_refused_and_one_of_another_thread_is_made() -> None:
    async with embedded() as client:
        await offer_double(client)
        tools = await client_agent_tools(client)
        refused = tools.call_and_block("execute", {"code": DOUBLE})
        assert refused.is_error and "asyncio.to_thread" in refused.text
        answer = await asyncio.to_thread(tools.call_and_block, "execute", {"code": DOUBLE})
        assert answer.text == "42"
        in_another_loop = await asyncio.to_thread(asyncio.run, tools.call("execute", {"code": DOUBLE}))
        assert in_another_loop.text == "42"


async def test_two_clients_agents_do_not_find_each_others_tools(connect: Connect) -> None:
    async with connect() as one, connect() as other:
        await offer_double(one)
        assert "double" not in (await (await client_agent_tools(other)).call("list_functions")).text


def test_a_framework_that_is_not_installed_is_named_with_its_extra() -> None:
    said = r'module not_there is not installed; pip install "pctx-jupyter\[smolagents\]"'
    with pytest.raises(ModuleNotFoundError, match=said), _extra("smolagents"):
        import not_there  # type: ignore[import-not-found]  # noqa: F401
