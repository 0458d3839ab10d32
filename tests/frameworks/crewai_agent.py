"""Run by Python with CrewAI: calls each tool that ``pctx-client`` exports to it, and prints what they return as JSON.

``python crewai_agent.py URL TOKEN``
"""

from __future__ import annotations

import asyncio
import json
import sys

from pctx_client import Pctx, tool

CALLS: dict[str, dict[str, object]] = {
    "list_functions": {},
    "get_function_details": {"functions": ["Orders.total"]},
    "execute_bash": {"command": "ls; cat Orders/total.d.ts"},
    "execute_typescript": {"code": "await Orders.total({ prices: [1.5, 2.5] })"},
}


def total(prices: list[float]) -> float:
    """Adds up prices."""
    return sum(prices)


async def main(url: str, token: str) -> None:
    """Call the tools on threads of their own, as CrewAI does."""
    headers = {"Authorization": f"token {token}"}
    async with Pctx(tools=[tool(namespace="orders")(total)], url=url, headers=headers) as client:
        tools = {one.name: one for one in (*client.crewai_tools(), *client.crewai_tools("filesystem"))}
        said = {name: await asyncio.to_thread(tools[name].run, **arguments) for name, arguments in CALLS.items()}
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
