"""The tree of declarations in which agents look for functions with bash commands: an index, and a file a function.

It knows what is in the tree, and refuses to know how a command is run. A command reads nothing else, and changes
nothing that a later command could find.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

import msgspec
from msgspec import Raw

from .. import threads
from ..settings import Limits
from ..tools import inert, typegen
from ..tools.scope import Scope
from ..tools.tool import Tool, observed_version

INDEX = "README.md"
"""The file that names all functions."""

INTRODUCTION = "# TypeScript SDK\n\nPrograms call each function as await Namespace.name({...}). Its file has its types."
"""Begins the index; clients of the original know its first line."""

LONGEST = 200
"""Characters of a description in the index: its first line says enough for a search."""

KEPT_TREES = 8
"""Trees that are kept for the next command, each of one session; one of 10,000 functions has 5 MB."""

FEW = 50
"""Functions that are declared at once: they take 10 ms at most, and a thread has its own price."""


class BashResult(msgspec.Struct):
    """What a command of ``execute-bash`` printed, and its exit code."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class BashJob:
    """One command, as a sandbox gets it.

    Args:
        command: The command.
        files: JSON: the texts of the tree by their paths, which begin in the folder that the command starts in.
        limits: What it may use.
        session: Whose command it is, for a fair share of the places.
    """

    command: str
    files: Raw
    limits: Limits
    session: str


BashRunner = Callable[[BashJob], Awaitable[BashResult]]
"""Runs a command. One that is stopped at a limit has a result, too: its exit code is above 123.

Raises `errors.Busy` or `errors.SandboxUnavailable` when it could not start. Cancelling it stops the command.
"""


class Bash:
    """Runs commands for all sessions of an engine.

    Args:
        run: Runs one of them.
    """

    def __init__(self, run: BashRunner) -> None:
        self.run = run
        self._trees: OrderedDict[str, tuple[Hashable, Raw]] = OrderedDict()
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by owner

    async def files(self, scope: Scope, owner: str) -> Raw:
        """Return the tree of what a session's programs can call, as JSON.

        Args:
            scope: The session's.
            owner: The session's id.
        """
        making = self._making.setdefault(owner, asyncio.Lock())
        async with making:  # commands that come at once wait for the first one's tree
            await scope.prepare()
            tools = scope.listed()
            version = scope.version, observed_version(tools)
            known = self._trees.get(owner)
            if known is None or known[0] != version:
                text = await threads.compute(_encoded, tools) if len(tools) > FEW else _encoded(tools)
                known = self._trees[owner] = version, text
            self._trees.move_to_end(owner)
            while len(self._trees) > KEPT_TREES:
                self._trees.popitem(last=False)
            return known[1]

    def forget(self, owner: str) -> None:
        """Free the tree of a session that is closed."""
        self._trees.pop(owner, None)


def tree(tools: Sequence[Tool]) -> dict[str, str]:
    """Write the tree: texts by their paths, the index first.

    Args:
        tools: Each once, under its canonical name.
    """
    files = {INDEX: ""}
    lines, namespace = [INTRODUCTION], ""
    by_path = {tool.path: tool for tool in tools}
    for path, text in typegen.apart(tools).items():
        tool = by_path[path]
        if tool.namespace_name != namespace:
            namespace = tool.namespace_name
            lines.append(f"\n## {namespace}\n")
        file = f"{namespace}/{tool.tool_name}.d.ts"
        files[file] = text
        about = inert.comment(tool.description.strip().partition("\n")[0][: 2 * LONGEST].lower(), LONGEST)
        lines.append(f"{file}  # {about}" if about else file)
    files[INDEX] = "\n".join(lines) + "\n"
    return files


def _encoded(tools: Sequence[Tool]) -> Raw:
    return Raw(msgspec.json.encode(tree(tools)))
