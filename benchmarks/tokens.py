"""What a model reads of 200 tools, in tokens: by plain MCP, and by ours.

Counted as o200k counts, by tiktoken where its vocabulary is there or can be downloaded. Elsewhere estimated: a text is
split as o200k splits it, short pieces count one token, long ones two. For the tools as JSON, whose true counts are
known, the estimate is 1 % too high without the results' schemas and 2 % too low with them.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pctx_jupyter.agents.functions import INSTRUCTIONS, Functions
from pctx_jupyter.program.result import Emit
from pctx_jupyter.rpc.jsonrpc import raw
from pctx_jupyter.session.execution import Job, ServeCall
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.tool import Tool

from .measure import Row

DATA = Path(__file__).parent / "data" / "tools200.json.gz"
"""200 tools of 20 servers, as MCP lists them."""
TRUE_COUNTS = (46_495, 83_013)
"""Tokens of their JSON without and with the results' schemas, as o200k counts them."""
SHORT = 8
"""Characters of a piece that is one token."""

_PIECE = re.compile(
    r"[^\r\nA-Za-z0-9]?[A-Z]*[a-z]+|[^\r\nA-Za-z0-9]?[A-Z]+|\d{1,3}| ?[^\sA-Za-z0-9]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

QUERY = "search issues"
CHOSEN = ["Github.searchIssue", "Slack.createMessage"]


def counter() -> tuple[Callable[[str], int], str]:
    """Counts tokens; and by what means."""
    try:
        import tiktoken

        encoding = tiktoken.get_encoding("o200k_base")
    except Exception:  # not installed, or nothing to download from: whatever it is, there is another way
        return estimate, "estimated"
    return lambda text: len(encoding.encode(text)), "o200k"


def estimate(text: str) -> int:
    """About how many tokens o200k makes of a text."""
    return sum(1 if len(piece.strip()) <= SHORT else 2 for piece in _PIECE.findall(text))


def tools() -> list[dict[str, Any]]:
    """The tools, as MCP describes them."""
    found: list[dict[str, Any]] = json.loads(gzip.decompress(DATA.read_bytes()))
    return found


def as_mcp_lists(of: list[dict[str, Any]], *more: str) -> str:
    """The tools as a client of plain MCP hands them to its model."""
    fields = ("description", "inputSchema", *more)
    listed = [{"name": f"{t['namespace']}__{t['name']}"} | {field: t[field] for field in fields} for t in of]
    return json.dumps(listed, separators=(",", ":"))


def functions(of: list[dict[str, Any]]) -> Functions:
    """What agents are offered when these tools are those of upstream servers."""

    async def serve(call: Call) -> Any:
        raise AssertionError

    async def run(job: Job, serve: ServeCall, emit: Emit) -> Any:
        return raw([{"id": "I-17", "title": "Broken link", "status": "open", "created_at": "2026-01-07"}])

    settings = Settings()
    registry = Registry(run, settings, lambda: 0.0)
    for tool in of:
        known = Tool(tool["namespace"], tool["name"], tool["description"], tool["inputSchema"], tool["outputSchema"])
        registry.upstreams.add(known, serve)
    return Functions(registry.agents(), settings)


async def rows() -> list[Row]:
    count, by = counter()
    all_tools = tools()
    ours = functions(all_tools)

    async def report(message: str) -> None:
        """Nobody listens."""

    async def read(name: str, **arguments: Any) -> int:
        return count((await ours.call(name, arguments, report)).text)

    definitions = [
        {"name": known.name, "description": known.description, "inputSchema": known.input_schema}
        for known in ours.definitions()
    ]
    own = count(INSTRUCTIONS) + count(json.dumps(definitions, separators=(",", ":"), ensure_ascii=False))
    found = await read("search_functions", query=QUERY)
    details = await read("get_function_details", functions=CHOSEN)
    executed = await read("execute", code="await Github.searchIssue({workspace: 'w', query: 'q'})")
    without, whole = TRUE_COUNTS
    if by != "estimated":
        without, whole = count(as_mcp_lists(all_tools)), count(as_mcp_lists(all_tools, "outputSchema"))

    def row(work: str, tokens: int, goal: int, baseline: int) -> Row:
        return Row(f"{work} ({by})", tokens, goal, baseline, "plain MCP", unit="tok")

    await ours.close()
    return [
        row("our own descriptions", own, 450, without),
        row(
            "names of 200 functions, ours included", own + await read("list_functions", detail="names"), 1_500, without
        ),
        row("signatures of 200 functions, ours included", own + await read("list_functions"), 4_000, without),
        row("search, details of two, execute, ours included", own + found + details + executed, 1_100, whole),
    ]
