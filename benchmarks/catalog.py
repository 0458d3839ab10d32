"""A catalog of 200 tools of the size real servers offer: 20 namespaces of 10, nested arguments and results."""

from __future__ import annotations

from typing import Any

from pctx_jupyter.tools.tool import Tool

NAMESPACES = (
    *("accounts", "analytics", "calendar", "catalog", "contacts", "crm", "documents", "files", "hr", "inventory"),
    *("invoices", "issues", "mail", "messages", "orders", "payments", "projects", "shipping", "support", "weather"),
)
ACTIONS = ("list", "get", "search", "create", "update", "delete", "archive", "assign", "export", "summarize")

TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "number"}
STATES: dict[str, Any] = {"type": "string", "enum": ["open", "pending", "closed", "archived"]}


def record(namespace: str) -> dict[str, Any]:
    """The JSON Schema of what a namespace keeps."""
    owner = {"type": "object", "properties": {"id": TEXT, "name": TEXT, "email": {"type": ["string", "null"]}}}
    return {
        "type": "object",
        "title": namespace.capitalize() + "Record",
        "description": f"One record of {namespace}.",
        "properties": {
            "id": {"type": "string", "description": "Stable identifier."},
            "title": TEXT,
            "state": STATES,
            "amount": {"type": "number", "minimum": 0, "description": "In the account's currency."},
            "owner": owner | {"required": ["id", "name"]},
            "tags": {"type": "array", "items": TEXT},
            "created_at": {"type": "string", "format": "date-time"},
            "fields": {"type": "object", "additionalProperties": {"anyOf": [TEXT, NUMBER, {"type": "boolean"}]}},
        },
        "required": ["id", "title", "state", "amount", "owner"],
    }


def arguments(namespace: str, action: str) -> dict[str, Any]:
    """The JSON Schema of the arguments of one tool."""
    if action in ("list", "search", "export", "summarize"):
        paging = {"limit": {"type": "integer", "default": 50, "maximum": 500}, "cursor": {"type": ["string", "null"]}}
        asked = {"query": {"type": "string", "description": "Words to look for."}, "state": STATES, "owner_id": TEXT}
        return {"type": "object", "properties": asked | paging}
    if action in ("create", "update"):
        known = record(namespace)["properties"]
        return {"type": "object", "properties": known, "required": ["title"] if action == "create" else ["id"]}
    extra = {"assignee_id": TEXT} if action == "assign" else {}
    return {"type": "object", "properties": {"id": TEXT, "reason": TEXT} | extra, "required": ["id", *extra]}


def tools() -> list[Tool]:
    """The 200 tools."""
    made = []
    for namespace in NAMESPACES:
        one = record(namespace)
        page = {"type": "object", "properties": {"items": {"type": "array", "items": one}, "next": TEXT}}
        page["required"] = ["items"]
        for action in ACTIONS:
            result = page if action in ("list", "search") else one
            about = f"{action.capitalize()} {namespace} of the current workspace, as the signed-in user may see them."
            made.append(Tool(namespace, f"{action}_{namespace}", about, arguments(namespace, action), result))
    return made


PROGRAM = """\
interface Row { id: string; total: number; owner: string; late: boolean }
const rows: Row[] = [];
let cursor: string | undefined;
do {
  const page = await Orders.listOrders({ state: "open", limit: 100, cursor: cursor ?? null });
  for (const order of page.items) {
    const contact = await Contacts.getContacts({ id: order.owner.id });
    rows.push({
      id: order.id,
      total: order.amount,
      owner: contact.title,
      late: new Date(order.created_at ?? 0) < new Date(2025, 0, 1),
    });
  }
  cursor = page.next;
} while (cursor);
const byOwner = new Map<string, Row[]>();
for (const row of rows) {
  const group = byOwner.get(row.owner) ?? [];
  group.push(row);
  byOwner.set(row.owner, group);
}
const summary = [...byOwner].map(([owner, group]) => ({
  owner,
  count: group.length,
  total: group.reduce((sum, row) => sum + row.total, 0),
}));
console.log(`${rows.length} orders of ${summary.length} owners, run NUMBER`);
summary.sort((a, b) => b.total - a.total).slice(0, 10)
"""
"""Thirty lines as a model writes them; NUMBER makes each a new text."""
