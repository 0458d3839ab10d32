"""A model that uses the tools of an MCP client until it has an answer: any with OpenAI's or Anthropic's HTTP interface.

The environment names it: ``PCTX_BENCH_MODEL``; ``PCTX_BENCH_URL``, which is the address of the API up to its version
(``https://api.openai.com/v1``, ``https://api.anthropic.com/v1``); and ``PCTX_BENCH_KEY``. An address of anthropic.com,
or ``PCTX_BENCH_API=anthropic``, means Anthropic's interface. Nothing is sent anywhere else.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import mcp.types as t
from mcp import Client

MOST_TURNS = 30
"""Requests to the model for one task."""
MOST_TOKENS = 4_096
"""Tokens that the model may write in one answer."""
WAIT_S = 300.0
"""Seconds that one answer of the model may take."""

_Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """Where a model is, and how to ask it.

    Args:
        name: As its API names it.
        url: Of the API, with its version and without a slash at the end.
        key: Its secret; empty: none is sent.
        is_anthropic: Whether it has Anthropic's interface; otherwise it has OpenAI's.
    """

    name: str
    url: str
    key: str
    is_anthropic: bool


@dataclass(slots=True)
class Attempt:
    """What a model did for one task. Tokens are those that its API counts."""

    answer: str = ""
    calls: int = 0
    errors: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    took_s: float = 0.0


def of_environment(environment: Mapping[str, str]) -> Model | None:
    """Return the model that the environment names; None: it names none.

    Raises:
        SystemExit: Its address is missing.
    """
    name, url = environment.get("PCTX_BENCH_MODEL"), environment.get("PCTX_BENCH_URL")
    if not name:
        return None
    if not url:
        raise SystemExit("Cannot ask the model: PCTX_BENCH_URL is not set; give the address of its API, with /v1")
    api = environment.get("PCTX_BENCH_API") or ("anthropic" if "anthropic.com" in url else "openai")
    return Model(name, url.rstrip("/"), environment.get("PCTX_BENCH_KEY", ""), api == "anthropic")


async def solve(model: Model, client: Client, task: str) -> Attempt:
    """Have a model do a task with a client's tools.

    Raises:
        HTTPStatusError: The API refused a request.
    """
    done, began = Attempt(), time.perf_counter()
    tools = (await client.list_tools()).tools
    messages: list[_Message] = [{"role": "user", "content": task}]
    turn = _anthropic if model.is_anthropic else _openai
    async with httpx2.AsyncClient(timeout=WAIT_S) as http:
        for _ in range(MOST_TURNS):
            wanted = await turn(model, http, tools, messages, done)
            if not wanted:
                break
            results = [(id, *await _call(client, name, arguments, done)) for id, name, arguments in wanted]
            if model.is_anthropic:
                blocks = [
                    {"type": "tool_result", "tool_use_id": id, "content": text, "is_error": is_error}
                    for id, text, is_error in results
                ]
                messages.append({"role": "user", "content": blocks})
            else:
                messages += [{"role": "tool", "tool_call_id": id, "content": text} for id, text, _ in results]
        else:
            done.answer = f"(no answer after {MOST_TURNS} turns)"
    done.took_s = time.perf_counter() - began
    return done


async def _call(client: Client, name: str, arguments: Any, done: Attempt) -> tuple[str, bool]:
    done.calls += 1
    if isinstance(arguments, str):  # as OpenAI's interface has them
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError as error:
            done.errors += 1
            return f"The arguments are no JSON: {error}", True
    try:
        answer = await client.call_tool(name, arguments)
    except Exception as error:  # a tool that is not there, for one: the model is to read it
        done.errors += 1
        return str(error), True
    done.errors += bool(answer.is_error)
    return "\n".join(one.text for one in answer.content if isinstance(one, t.TextContent)), bool(answer.is_error)


_Wanted = list[tuple[str, str, Any]]
"""Tool calls that a model wants: id, name, arguments."""


async def _openai(
    model: Model, http: httpx2.AsyncClient, tools: list[t.Tool], messages: list[_Message], done: Attempt
) -> _Wanted:
    functions = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description or "", "parameters": tool.input_schema},
        }
        for tool in tools
    ]
    headers = {"Authorization": f"Bearer {model.key}"} if model.key else {}
    body = {"model": model.name, "messages": messages, "tools": functions}
    answer = await _post(http, f"{model.url}/chat/completions", headers, body)
    usage, message = answer.get("usage") or {}, answer["choices"][0]["message"]
    done.tokens_in += usage.get("prompt_tokens", 0)
    done.tokens_out += usage.get("completion_tokens", 0)
    messages.append(message)
    done.answer = message.get("content") or ""
    calls = message.get("tool_calls") or []
    return [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls]


async def _anthropic(
    model: Model, http: httpx2.AsyncClient, tools: list[t.Tool], messages: list[_Message], done: Attempt
) -> _Wanted:
    listed = [
        {"name": tool.name, "description": tool.description or "", "input_schema": tool.input_schema} for tool in tools
    ]
    headers = {"anthropic-version": "2023-06-01"} | ({"x-api-key": model.key} if model.key else {})
    body = {"model": model.name, "max_tokens": MOST_TOKENS, "messages": messages, "tools": listed}
    answer = await _post(http, f"{model.url}/messages", headers, body)
    usage, blocks = answer.get("usage") or {}, answer["content"]
    done.tokens_in += usage.get("input_tokens", 0)
    done.tokens_out += usage.get("output_tokens", 0)
    messages.append({"role": "assistant", "content": blocks})
    done.answer = "".join(block["text"] for block in blocks if block["type"] == "text")
    return [(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]


async def _post(http: httpx2.AsyncClient, url: str, headers: dict[str, str], body: _Message) -> Any:
    response = await http.post(url, headers=headers, json=body)
    response.raise_for_status()
    return response.json()
