"""What observed types spare an agent: scripted conversations with two MCP servers that declare no results.

The servers are of others, from npm and PyPI. A task comes twice, with other numbers and in another conversation.
Without observed types, the script guesses a wrong field, looks at a whole result, and writes its program again, every
time. With them, the declaration of the second conversation has the type that the calls of the first one returned.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mcp import Client

from pctx_jupyter.engine import open_engine
from pctx_jupyter.settings import Places, Settings
from tests.node import node, script
from tests.upstream import servers

from .agents import Tally, ask
from .measure import Row
from .tokens import counter


@dataclass(frozen=True, slots=True)
class Task:
    """What an agent is asked twice.

    Args:
        server: Where the tool comes from.
        tool: What it calls.
        guess: A program for one who does not know the result's type; ``$given`` stands for what it works on.
        look: A program that returns a whole result.
        right: A program for one who knows the type.
        given: What each conversation works on.
        expect: What each has to answer.
    """

    server: str
    tool: str
    guess: str
    look: str
    right: str
    given: tuple[str, str]
    expect: tuple[str, str]


_SUM = (
    'const found = await Promise.all($given.map((ip) => Calc.ip({ action: "info", ip })));\n'
    "found.reduce((sum, one) => sum + one.FIELD, 0)"
)
_TWICE = "const found = await Arithmetic.product({ numbers: $given });\nFIELD * 2"
TASKS = (
    Task(
        server="npm: @coo-quack/calc-mcp",
        tool="Calc.ip",
        guess=_SUM.replace("FIELD", "size"),
        look='await Calc.ip({ action: "info", ip: $given[0] })',
        right=_SUM.replace("FIELD", "totalAddresses"),
        given=('["10.0.0.0/20", "192.168.4.0/22"]', '["172.16.0.0/14", "10.1.0.0/26"]'),
        expect=("5120", "262208"),
    ),
    Task(
        server="PyPI: mcp-server-math",
        tool="Arithmetic.product",
        guess=_TWICE.replace("FIELD", "found"),
        look="await Arithmetic.product({ numbers: $given })",
        right=_TWICE.replace("FIELD", "Number(found.result)"),
        given=("[6, 7]", "[3, 9, 81]"),
        expect=("84", "4374"),
    ),
)


@asynccontextmanager
async def endpoint(*, is_observed: bool) -> AsyncIterator[Client]:
    """A client of an engine with both servers, which may observe what tools return."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pctx.json"
        calc = {"name": "calc", "command": node(), "args": [script("@coo-quack/calc-mcp", "dist/index.js")]}
        arithmetic = servers.entry("arithmetic", "mcp_server_math", "older")
        file.write_text(json.dumps({"servers": [calc, arithmetic]}))
        settings = Settings(max_check_s=60, observe_types=is_observed, policy=("allow agent *",))
        async with open_engine(settings, Places(upstreams=(str(file),), data=f"{folder}/data")) as engine:
            assert engine.upstreams is not None
            await engine.upstreams.settle("Calc Arithmetic")
            async with Client((await engine.mcp().server()).server) as client:
                yield client


async def conversation(client: Client, task: Task, turn: int, steps: tuple[str, ...]) -> Tally:
    """Do a task as it was recorded.

    Args:
        turn: Whether it is the first time (0) or the second (1).
        steps: What the agent does: it asks for ``details``, or runs one of the task's programs, by name.
    """
    tally = Tally()
    for step in steps:
        if step == "details":
            await ask(client, "get_function_details", {"functions": [task.tool]}, tally)
        else:
            code = str(getattr(task, step)).replace("$given", task.given[turn])
            await ask(client, "execute", {"code": code}, tally)
    return tally


UNKNOWN = ("details", "guess", "look", "right")
"""What an agent does that has to guess the type."""
KNOWN = ("details", "right")
"""What an agent does whose declarations have the type."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Two conversations about each task, where types are not observed, and where they are; in the order of `TASKS`."""

    unknown: list[tuple[Tally, Tally]]
    observed: list[tuple[Tally, Tally]]


async def compared() -> Compared:
    """Hold all conversations."""
    found: dict[bool, list[tuple[Tally, Tally]]] = {}
    for is_observed in (False, True):
        async with endpoint(is_observed=is_observed) as client:
            found[is_observed] = [
                (
                    await conversation(client, task, 0, UNKNOWN),
                    await conversation(client, task, 1, KNOWN if is_observed else UNKNOWN),
                )
                for task in TASKS
            ]
    return Compared(found[False], found[True])


async def rows() -> list[Row]:
    """The tokens of each second conversation, with those of one without observed types as the baseline."""
    done, (_, by) = await compared(), counter()
    return [
        Row(
            f"observed types: an agent's second task, {task.server} ({by})",
            now.tokens,
            before.tokens,
            before.tokens,
            "types not observed",
            "tok",
        )
        for task, (_, before), (_, now) in zip(TASKS, done.unknown, done.observed, strict=True)
    ]
