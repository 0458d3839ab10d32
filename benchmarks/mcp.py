"""A program through the MCP endpoint of a real server, against a trivial call of the same endpoint; one client, one
connection, in turns.
"""

from __future__ import annotations

import asyncio

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from pctx_jupyter.settings import Settings

from .homes import running_server
from .measure import RUNS, Row, paired_ms, seconds


async def rows() -> list[Row]:
    found = []
    async with running_server() as server:

        async def refilled() -> None:
            status = {"warm": 0, "starting": 1}
            while status["warm"] < Settings().warm_sandboxes or status["starting"]:
                status = (await asyncio.to_thread(server.ask, "/pctx/api/status"))["sandbox"]
            await asyncio.sleep(0.02)

        for era in ("auto", "legacy"):
            async with (
                httpx2.AsyncClient(headers=server.headers) as http,
                Client(
                    streamable_http_client(f"http://127.0.0.1:{server.port}/pctx/mcp", http_client=http), mode=era
                ) as client,
            ):
                await client.call_tool("execute", {"code": "1+1"})

                async def execute(client: Client = client) -> float:
                    await refilled()
                    return await seconds(client.call_tool("execute", {"code": "1+1"}))

                async def trivial(client: Client = client) -> float:
                    return await seconds(client.call_tool("list_functions", {"detail": "names"}))

                ours, base = await paired_ms(execute, trivial, runs=RUNS)
                found.append(Row(f"by MCP {client.protocol_version}: 1+1", ours, 2.5 * base, base, "list_functions"))
    return found
