"""What programs of the original pctx do, against a Jupyter server. Only the import, the address and the token are new.

``PCTX_URL=http://localhost:8888 PCTX_TOKEN=… python examples/original.py``, where ``jupyter pctx start`` runs.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from pctx_jupyter.client import McpClient, PctxClient, PctxUnifiedClient

URL, TOKEN = os.environ["PCTX_URL"].rstrip("/"), os.environ["PCTX_TOKEN"]
MCP, SOCKET = f"{URL}/mcp", f"{URL.replace('http', 'ws', 1)}/local-tools"


def multiply(arguments: dict[str, Any]) -> float:
    """Multiply two numbers."""
    return float(arguments["a"] * arguments["b"])


async def local_tools() -> None:
    """Register a function of this program, and run a program that calls it."""
    async with PctxClient(SOCKET, headers={"Authorization": f"token {TOKEN}"}) as client:
        await client.register_tool("math", "multiply", multiply, "Multiplies two numbers")
        result = await client.execute_code("async function run() { return await math.multiply({ a: 6, b: 7 }); }")
        print(result["value"], result["success"])


async def by_mcp() -> None:
    """List the functions of the server, and run a program there."""
    async with McpClient(MCP, token=TOKEN) as client:
        print([function["name"] for function in await client.list_functions()])
        print((await client.execute("async function run() { return [1, 2, 3].map((n) => n * n); }"))["output"])


async def unified() -> None:
    """Use both with one client; a namespace is an attribute."""
    async with PctxUnifiedClient(MCP, SOCKET, token=TOKEN) as client:
        await client.register_local_tool("Math", "add", lambda arguments: arguments["a"] + arguments["b"])
        print(await client.Math.add(a=5, b=3))


async def main() -> None:
    """Run the three, one after another."""
    await local_tools()
    await by_mcp()
    await unified()


if __name__ == "__main__":
    asyncio.run(main())
