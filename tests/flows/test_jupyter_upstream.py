"""Another Jupyter server of ours as an upstream: what agents find there, programs call here."""

from __future__ import annotations

import asyncio

import pytest

from pctx_jupyter import errors
from pctx_jupyter.embedded import open_client

from ..server.process import server_process

READY_S = 30
"""Seconds until the other server has listed its tools, on a busy machine."""


async def test_a_program_runs_a_program_on_another_jupyter_server() -> None:
    with server_process() as other:
        auth = {"type": "bearer", "token": other.token}
        async with open_client() as client:
            await client.add_upstream({"name": "far away", "url": f"{other.url}pctx/mcp", "auth": auth}, persist=False)
            async with asyncio.timeout(READY_S):
                while (await client.list_upstreams()).upstreams[0].state != "ready":
                    await asyncio.sleep(0.05)
            done = await client.execute_code('await FarAway.execute({ code: "[1, 2].map((n) => 21 * n)" })')
            assert done["value"] == [21, 42]
            with pytest.raises(errors.ExecutionFailed, match="Cannot find name 'nothing'"):
                await client.execute_code('await FarAway.execute({ code: "nothing" })')
            listed = (await client.list_upstreams()).upstreams[0]
            assert (listed.namespace, listed.tools) == ("FarAway", 5)
            assert other.token not in repr(listed)


async def test_a_wrong_token_for_another_jupyter_server_is_a_state_that_says_so() -> None:
    with server_process() as other:
        auth = {"type": "bearer", "token": "wrong"}
        async with open_client() as client:
            await client.add_upstream({"name": "far", "url": f"{other.url}pctx/mcp", "auth": auth}, persist=False)
            async with asyncio.timeout(READY_S):
                while (listed := (await client.list_upstreams()).upstreams[0]).state == "connecting":
                    await asyncio.sleep(0.05)
            assert listed.state == "down" and listed.error is not None
            assert "403" in listed.error or "Authentication required" in listed.error
