"""What an agent sends and reads for nine tasks: by plain MCP tools, called one by one, and by this endpoint.

The conversations are recorded (``data/agents.json``). Both sides call the same MCP server over public tables
(`almanac`), among 200 other tools. What is more here than by plain calls is named. With a model in the environment
(`models`), it does the tasks too.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import mcp.types as t
from mcp import Client, StdioServerParameters

from pctx_jupyter.agents.functions import INSTRUCTIONS
from pctx_jupyter.engine import open_engine
from pctx_jupyter.settings import Places, Settings

from . import models
from .measure import Row
from .tokens import counter

TASKS = Path(__file__).parent / "data" / "agents.json"
ROOT = Path(__file__).parent.parent
MOST_DISCOVERY = 1_500
"""Tokens that an agent may read, for all tasks together, before its first program."""


@dataclass(slots=True)
class Tally:
    """What a side has sent and read for one task, or to find out what there is."""

    calls: int = 0
    written: int = 0
    read: int = 0
    tokens: int = 0
    took_s: float = 0.0
    answers: list[str] = field(default_factory=list)
    errors: int = 0


def tasks() -> list[dict[str, Any]]:
    """The recorded conversations."""
    found: list[dict[str, Any]] = json.loads(TASKS.read_text())
    return found


def plain_calls() -> list[list[tuple[str, dict[str, Any]]]]:
    """The calls of each task without programs, in the order of `tasks`."""
    months = [("weather_month", {"year": year, "month": month}) for year in range(2012, 2016) for month in range(1, 13)]
    symbols = ["MSFT", "AMZN", "IBM", "GOOG", "AAPL"]
    cars: list[tuple[str, dict[str, Any]]] = [("list_cars", {})]
    return [
        months,
        list(_days(2012)),
        [("list_symbols", {}), *(("stock_prices", {"symbol": symbol}) for symbol in symbols)],
        cars,
        [("stock_price", {"symbol": s, "month": f"{y}-01"}) for s in symbols[:3] for y in range(2001, 2011)],
        [("weather_month", {"year": 2013, "month": 1})],
        cars,
        [("weather_day", {"date": "2014-07-04"})],
        months[12:24],
    ]


def _days(year: int) -> Iterator[tuple[str, dict[str, Any]]]:
    day = date(year, 1, 1)
    while day.year == year:
        yield "weather_day", {"date": day.isoformat()}
        day += timedelta(days=1)


async def ask(client: Client, name: str, arguments: dict[str, Any], tally: Tally) -> str:
    """Call one tool as an agent does, and count what it writes and reads."""
    count, _ = counter()
    sent = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    began = time.perf_counter()
    answer = await client.call_tool(name, arguments)
    tally.took_s += time.perf_counter() - began
    text = "\n".join(block.text for block in answer.content if isinstance(block, t.TextContent))
    tally.calls += 1
    tally.written += len(sent)
    tally.read += len(text)
    tally.tokens += count(sent) + count(text)
    tally.errors += bool(answer.is_error)
    tally.answers.append(text)
    return text


def _command(*arguments: str) -> tuple[str, list[str]]:
    return sys.executable, ["-m", "benchmarks.almanac", *arguments]


async def plainly() -> tuple[Tally, list[Tally]]:
    """Do the tasks by plain calls; returns what the lists of tools cost, and what each task did."""
    count, _ = counter()
    found = Tally()
    began = time.perf_counter()
    command, arguments = _command("others")
    async with Client(StdioServerParameters(command=command, args=arguments, cwd=str(ROOT))) as others:
        listed = [tool.model_dump_json(by_alias=True, exclude_none=True) for tool in (await others.list_tools()).tools]
    command, arguments = _command()
    async with Client(StdioServerParameters(command=command, args=arguments, cwd=str(ROOT))) as client:
        listed += [tool.model_dump_json(by_alias=True, exclude_none=True) for tool in (await client.list_tools()).tools]
        found.took_s = time.perf_counter() - began
        found.calls, found.read, found.tokens = 2, sum(map(len, listed)), sum(map(count, listed))
        done = []
        for calls in plain_calls():
            done.append(tally := Tally())
            for name, given in calls:
                await ask(client, name, given, tally)
    return found, done


@asynccontextmanager
async def endpoint() -> AsyncIterator[Client]:
    """A client of this project's MCP server, whose programs can call both servers of tools."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pctx.json"
        entries = []
        for name in ("almanac", "others"):
            command, arguments = _command(*([name] if name == "others" else []))
            entries.append({"name": name, "command": command, "args": arguments, "cwd": str(ROOT)})
        file.write_text(json.dumps({"servers": entries}))
        async with open_engine(Settings(max_check_s=20), Places(upstreams=(str(file),))) as engine:
            assert engine.upstreams is not None
            await engine.upstreams.settle("Almanac Others")
            server = (await engine.mcp().server()).server
            async with Client(server) as client:
                yield client


async def here() -> tuple[Tally, list[Tally]]:
    """Do the tasks by programs; returns what finding out cost, and what each task did."""
    count, _ = counter()
    found, done = Tally(), []
    began = time.perf_counter()
    async with endpoint() as client:
        listed = [tool.model_dump_json(by_alias=True, exclude_none=True) for tool in (await client.list_tools()).tools]
        found.read, found.tokens = sum(map(len, listed)), sum(map(count, [INSTRUCTIONS, *listed]))
        found.calls = 1
        await ask(client, "list_functions", {"namespace": "Almanac"}, found)
        found.took_s = time.perf_counter() - began
        for task in tasks():
            done.append(tally := Tally())
            state = ""
            for name, given in task["sent"]:
                if given.get("state") == "$state":
                    given = given | {"state": state}
                answer = await ask(client, name, given, tally)
                state = answer.rpartition('state: "')[2].partition('"')[0]
    return found, done


def losses(done: list[Tally]) -> list[str]:
    """What went wrong here: a wrong answer, an error that was not repaired in one step, a loss without a warning."""
    wrong = []
    for task, tally in zip(tasks(), done, strict=True):
        if task["expect"] not in tally.answers[-1]:
            wrong.append(f"{task['task']} answered {tally.answers[-1][:200]!r}")
        if tally.errors != task.get("errors", 0):
            wrong.append(f"{task['task']} had {tally.errors} errors")
        warned = sum(answer.startswith("Warning: ") for answer in tally.answers)
        if warned != task.get("warnings", 0):
            wrong.append(f"{task['task']} had {warned} warnings")
    return wrong


def _line(what: str, plain: Tally, ours: Tally) -> str:
    columns = ("calls", "written", "read", "tokens", "took_s")
    more = [name.replace("took_s", "seconds") for name in columns if getattr(ours, name) > getattr(plain, name)]
    verdict = f"  more here: {', '.join(more)}" if more else ""
    sides = (
        f"{side.calls:5,} {side.written:7,} {side.read:9,} {side.tokens:8,} {side.took_s:7.2f}"
        for side in (plain, ours)
    )
    return f"{what[:48]:<48} {' | '.join(sides)}{verdict}"


async def rows() -> list[Row]:
    """Discovery and each task as rows, with plain MCP as the baseline."""
    (plain_found, plain), (found, ours) = await plainly(), await here()
    _, by = counter()
    made = [Row(f"discovery for nine tasks ({by})", found.tokens, MOST_DISCOVERY, plain_found.tokens, "plain", "tok")]
    made.append(Row("answers that are wrong, or lost without a warning", len(losses(ours)), 0, unit=""))
    total, base = sum(one.tokens for one in ours), sum(one.tokens for one in plain)
    return [*made, Row(f"nine tasks after discovery ({by})", total, base / 10, base, "plain", "tok")]


async def main() -> None:
    """Print a table: both sides' calls, characters written and read, tokens and seconds, by task."""
    (plain_found, plain), (found, ours) = await plainly(), await here()
    head = "calls written      read   tokens seconds"
    print(f"tokens {counter()[1]:<41} {'plain MCP: ' + head[:28]:<40} | here")
    print(f"{'':<48} {head} | {head}")
    print(_line("discovery", plain_found, found))
    for task, one, other in zip(tasks(), plain, ours, strict=True):
        print(_line(task["task"], one, other))
    for loss in losses(ours):
        print(f"WRONG: {loss}")
    if (model := models.of_environment(os.environ)) is not None:
        await _with_model(model)


async def _with_model(model: models.Model) -> None:
    """Have a model do the tasks, by this endpoint, and print what each cost."""
    print(f"\n{model.name}, here: {'calls':>31} {'errors':>7} {'tokens in':>10} {'out':>7} {'seconds':>8}")
    async with endpoint() as client:
        for task in tasks():
            done = await models.solve(model, client, task["task"])
            print(
                f"{task['task'][:48]:<48} {done.calls:5} {done.errors:7} {done.tokens_in:10,} {done.tokens_out:7,} "
                f"{done.took_s:8.2f}  {' '.join(done.answer.split())[:80]}"
            )


if __name__ == "__main__":
    asyncio.run(main())
