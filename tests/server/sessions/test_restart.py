"""A server that is restarted under a client of ``pctx-client``: real processes, one after the other."""

from pathlib import Path

import httpx
import pytest
from pctx_client import Pctx, tool

from ..process import ServerProcess


@tool(namespace="orders")
def total(prices: list[float]) -> float:
    """Adds up prices."""
    return sum(prices)


async def test_a_client_connects_again_after_the_server_was_restarted(tmp_path: Path) -> None:
    code = "await Orders.total({ prices: [1.5, 2.5] })"
    server = ServerProcess(tmp_path)
    try:
        client = Pctx([total], url=f"{server.url}pctx", headers=server.headers)
        await client.connect()
        assert (await client.execute_typescript(code)).output == 4
    finally:
        server.stop()
    server = ServerProcess(tmp_path, like=server)
    try:
        with pytest.raises(httpx.HTTPStatusError, match="restarted; connect again"):
            await client.list_functions()
        await client.connect()  # the client closes its last session first
        assert (await client.execute_typescript(code)).output == 4
        await client.disconnect()
        await client._client.aclose()
    finally:
        server.stop()
