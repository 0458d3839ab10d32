"""A service that offers its functions to agents. Nothing of it is a notebook; it only connects to a Jupyter server.

``PCTX_URL=http://localhost:8888 PCTX_TOKEN=… python examples/service.py``, where ``jupyter pctx start`` runs. Ctrl+C
ends it, and its functions are gone then.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

from pctx_jupyter.client import PctxClient

SOCKET = f"{os.environ['PCTX_URL'].rstrip('/').replace('http', 'ws', 1)}/local-tools"
HEADERS = {"Authorization": f"token {os.environ['PCTX_TOKEN']}"}

INVOICES = [
    {"id": 1, "customer": "Ann", "total": 40.0, "paid": True},
    {"id": 2, "customer": "Bo", "total": 2.5, "paid": False},
    {"id": 3, "customer": "Ann", "total": 7.25, "paid": False},
]
INVOICE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "customer": {"type": "string"},
        "total": {"type": "number", "description": "Euros."},
        "paid": {"type": "boolean"},
    },
    "required": ["id", "customer", "total", "paid"],
}
BY_CUSTOMER: dict[str, Any] = {
    "type": "object",
    "properties": {"customer": {"type": "string"}},
    "required": ["customer"],
}
BY_ID: dict[str, Any] = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}


def of_customer(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """The invoices of one customer."""
    return [one for one in INVOICES if one["customer"] == arguments["customer"]]


async def mark_paid(arguments: dict[str, Any]) -> bool:
    """Mark an invoice as paid; returns whether there is such an invoice."""
    found = [one for one in INVOICES if one["id"] == arguments["id"]]
    for one in found:
        one["paid"] = True
    return bool(found)


async def main() -> None:
    """Offer the functions until somebody ends the program."""
    async with PctxClient(SOCKET, headers=HEADERS, name="Billing") as client:
        await client.register_tool(
            "Invoices",
            "of_customer",
            of_customer,
            of_customer.__doc__,
            BY_CUSTOMER,
            {"type": "array", "items": INVOICE},
        )
        # A person is asked before an agent's call of it: it changes something.
        await client.register_tool(
            "Invoices", "mark_paid", mark_paid, mark_paid.__doc__, BY_ID, {"type": "boolean"}, effects=True
        )
        shared = await client.share("agents")
        print(f"Offered to {shared.to}, as {shared.name}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
