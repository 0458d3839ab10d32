"""A meter: how many tokens a model reads and writes for a program, and how many the same calls take one by one.

Both are estimates, of one token for four bytes of UTF-8. Each text counts once, when it is written or read first: a
model that calls tools one by one also reads the whole conversation again at each call, which is not counted. So the
figure for plain calls is a low one.

Plain calls: the definition of each tool that the program called, as MCP lists it; for each call, the tool's name, the
arguments, and the result or error. Here: the program, the declaration of each of these tools in TypeScript, and the
answer, which is the value or error and what was printed. A program without calls is a loss, and is shown as one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from ..tools import typegen
from ..tools.tool import Tool

TOKEN = 4
"""Bytes of UTF-8 that count as one token."""
ENVELOPE = 48
"""Bytes of a tool's definition besides its name, its description and its schema."""


class Meter(msgspec.Struct, frozen=True):
    """Tokens of one program, estimated: of the same calls one by one, and of the program."""

    plain: int
    here: int


class MeterTotal(msgspec.Struct, frozen=True):
    """The programs of a session, or of an engine, and their tokens. What is read once for several counts once."""

    runs: int
    plain: int
    here: int


@dataclass(slots=True)
class RunTraffic:
    """What the calls of one program carry.

    Attributes:
        called: The tools, by path.
        bytes: Bytes of names, arguments, results and errors.
    """

    called: dict[str, Tool] = field(default_factory=dict)
    bytes: int = 0

    def add(self, tool: Tool, carried: int) -> None:
        """Count a call.

        Args:
            carried: Bytes of its arguments, and of its result or error.
        """
        self.called[tool.path] = tool
        self.bytes += len(tool.path) + carried


class SessionMeter:
    """Adds up the programs of one session.

    Args:
        all: Adds up those of the engine; None: this one does.
        is_read: Whether `read` counts what the authors of programs read of tools, as for agents. Otherwise the
            declarations of the tools that are called stand for it.
    """

    def __init__(self, all: SessionMeter | None = None, *, is_read: bool = False) -> None:
        self._all, self._is_read = all, is_read
        self._runs = self._plain = self._here = 0
        self._sizes: dict[str, tuple[Tool, int, int]] = {}

    @property
    def total(self) -> MeterTotal:
        """All programs so far."""
        return MeterTotal(self._runs, _tokens(self._plain), _tokens(self._here))

    def add(self, traffic: RunTraffic, written: int, answered: int) -> Meter:
        """Count a program that has ended; returns its own figures.

        Args:
            traffic: Its calls.
            written: Bytes of the program.
            answered: Bytes of its value or error, and of what it printed.
        """
        defined = declared = new_defined = new_declared = 0
        for path, tool in traffic.called.items():
            known = self._sizes.get(path)
            if known is None or known[0] is not tool:
                known = self._sizes[path] = tool, _definition(tool), _declaration(tool)
                new_defined += known[1]
                new_declared += 0 if self._is_read else known[2]
            defined += known[1]
            declared += known[2]
        plain, here = traffic.bytes, written + answered
        self._count(1, plain + new_defined, here + new_declared)
        return Meter(_tokens(plain + defined), _tokens(here + declared))

    def read(self, asked: int, answered: int) -> None:
        """Count what an agent asks about functions, and what it is answered, in bytes."""
        self._count(0, 0, asked + answered)

    def _count(self, runs: int, plain: int, here: int) -> None:
        self._runs += runs
        self._plain += plain
        self._here += here
        if self._all is not None:
            self._all._count(runs, plain, here)


def in_words(plain: int, here: int) -> str:
    """Say what a program or several cost, for people and models; a loss is said as plainly as a gain."""
    other = plain - here
    compared = f"{other:,} fewer than" if other > 0 else f"{-other:,} more than" if other < 0 else "as many as"
    return f"{here:,} token{'' if here == 1 else 's'}, {compared} by plain tool calls (estimated)"


def _tokens(size: int) -> int:
    return -(-size // TOKEN)


def _definition(tool: Tool) -> int:
    schema = tool.input_schema
    described = len(tool.description.encode(errors="replace"))
    return (
        ENVELOPE + len(tool.registered_path) + described + (0 if schema is None else len(msgspec.json.encode(schema)))
    )


def _declaration(tool: Tool) -> int:
    return len(typegen.declarations([tool], aliases=False).encode(errors="replace"))
