"""``%pctx mcp``: commands that manage the MCP servers whose tools programs may call."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.error import UsageError

from .. import errors
from ..nearest import did_you_mean
from ..rpc.jsonrpc import Json
from ..session import upstreams
from . import options
from .bridge import Bridge

if TYPE_CHECKING:
    from ..client import PctxClient
    from .output.display import Shown

ANSWER_S = 60.0
"""Seconds the engine may take to answer; a sign-in contacts the server first."""

CONNECTED_S = 3600.0
"""Seconds that ``%pctx mcp add`` waits for a server at most. The server's own limit (``connect_timeout_s``) ends the
first attempt before that, whatever it is set to."""

PATIENT_S = 1.0
"""Seconds after which a line says that it waits."""

POLL_S = 0.1
"""Seconds between two checks of its state."""

FEW = 10
"""Tools that are allowed without asking whose names are shown; if there are more, their number is shown."""

USAGE = (
    "%pctx mcp [list | add NAME URL|COMMAND … | remove NAME | reconnect NAME | approve NAME | trust NAME | "
    "ask NAME [TOOL] | sign-in NAME [URL]]"
)

COMMANDS = ("list", "add", "remove", "reconnect", "approve", "trust", "ask", "sign-in")
"""The first word of a line."""

T = TypeVar("T")


class UpstreamCommands:
    """The commands after ``%pctx mcp``.

    Args:
        bridge: The connection to the engine.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def run(self, line: str) -> Shown | None:
        """Run the command in a line; an empty line lists the servers. Raises UsageError if there is no such command."""
        name, _, rest = line.strip().partition(" ")
        if name in ("", "list"):
            if rest.strip():
                raise UsageError(f"Cannot use {rest.strip()[:100]!r}: %pctx mcp list takes nothing more")
            return self._list()
        try:
            print(self._done(name, rest.strip()))  # noqa: T201  # a magic's output
        except errors.Forbidden as error:
            raise UsageError(f"{error.message}{_in_a_terminal(name, rest.strip())}") from None
        return None

    def _done(self, name: str, rest: str) -> str:
        """Run a command; returns the text to show."""
        match name:
            case "add":
                return self._add(rest)
            case "remove" if rest:
                self._do(lambda client: client.remove_upstream(rest))
                return f"Removed {rest}"
            case "reconnect" if rest:
                return _line(self._do(lambda client: client.reconnect_upstream(rest)))
            case "approve" if rest:
                return _line(self._do(lambda client: client.approve_upstream(rest)))
            case "trust" if rest:
                return _line(self._do(lambda client: client.trust_upstream(rest)))
            case "ask" if rest:
                return _line(self._do(lambda client: _ask_again(client, rest)))
            case "sign-in" if rest:
                return self._sign_in(rest)
        if name in COMMANDS:
            raise UsageError(f"The name of a server is missing\nUsage: {USAGE}")
        raise UsageError(f"%pctx mcp has no command {name[:100]!r}{did_you_mean(name, COMMANDS)}\nUsage: {USAGE}")

    def _do(self, work: Callable[[PctxClient], Coroutine[Any, Any, T]], limit_s: float = ANSWER_S) -> T:
        return self._bridge.do(lambda home: work(home.client), limit_s)

    def _list(self) -> Shown:
        from .output import display

        listed: upstreams.Listed = self._do(lambda client: client.list_upstreams())
        facts: dict[str, object] = {one.name: _state(one) for one in listed.upstreams}
        for number, problem in enumerate(listed.problems):
            facts["Problem" + " " * number] = problem
        nothing = {"MCP servers": "none; %pctx mcp add NAME URL|COMMAND … adds one"}
        return display.Shown(display.status(facts or nothing))

    def _add(self, line: str) -> str:
        given = options.upstream_options(line)
        server: dict[str, Json] = {"name": given.name}
        if given.is_url:
            server["url"] = given.words[0]
            if given.is_sse:
                server["type"] = "sse"
            if given.bearer is not None:
                server["auth"] = {"type": "bearer", "token": given.bearer}
            if given.headers:
                server["headers"] = dict(given.headers)
        else:
            server |= {"command": given.words[0], "args": list(given.words[1:])}
            if given.environment:
                server["env"] = dict(given.environment)
        return _line(self._do(lambda client: _added(client, server, _say, persist=not given.for_now), CONNECTED_S))

    def _sign_in(self, line: str) -> str:
        name, _, answer = line.rpartition(" ")
        if name and answer.startswith(("http://", "https://")):
            return _line(self._do(lambda client: client.finish_sign_in(name.strip(), answer)))
        page: upstreams.SignIn = self._do(lambda client: client.sign_in_upstream(line))
        return (
            f"{page.question}, for {line}. The page:\n"
            f"    {page.url}\n"
            "If the page you are sent to at last cannot be opened, copy its address:\n"
            f"    %pctx mcp sign-in {line} ADDRESS"
        )


async def _added(
    client: PctxClient, server: dict[str, Json], say: Callable[[str], None], *, persist: bool
) -> upstreams.Upstream:
    """Add a server, and wait until its first attempt to connect is over, because the next cell may call it."""
    one = await client.add_upstream(server, persist=persist)
    loop = asyncio.get_running_loop()
    since, has_said = loop.time(), False
    while one.state == "connecting" and one.error is None and loop.time() < since + CONNECTED_S:
        if not has_said and loop.time() > since + PATIENT_S:
            has_said = True
            say(f"Waiting for {one.name} to connect, as long as it may take (connect_timeout_s)")
        await asyncio.sleep(POLL_S)
        one = next((known for known in (await client.list_upstreams()).upstreams if known.name == one.name), one)
    return one


def _say(line: str) -> None:
    """Show a line below the cell while the command waits; stdout has its result."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # a magic's output


async def _ask_again(client: PctxClient, rest: str) -> upstreams.Upstream:
    """Take back permissions for the tools of a server. A server's name may have several words, a tool's has one."""
    known = {name for one in (await client.list_upstreams()).upstreams for name in (one.name, one.namespace)}
    name, _, tool = rest.rpartition(" ")
    return await client.ask_again(name, tool) if rest not in known and name in known else await client.ask_again(rest)


def _in_a_terminal(name: str, rest: str) -> str:
    """A line with the command that does the same in a terminal on the server; empty: there is none."""
    if name in ("remove", "trust", "ask"):
        return f"\n    jupyter pctx mcp {name} {shlex.quote(rest)}"
    if name != "add":
        return ""
    given = options.upstream_options(rest)
    words = [given.name, *given.words] if given.is_url else [given.name, "--", *given.words]
    has_more = given.bearer or given.headers or given.environment or given.is_sse
    # The options may hold a secret, and an output is copied more easily than a cell.
    return f"\n    jupyter pctx mcp add {shlex.join(words)}{' (and your options)' if has_more else ''}"


def _line(one: upstreams.Upstream) -> str:
    return f"{one.name} ({one.where}): {_state(one)}"


def _state(one: upstreams.Upstream) -> str:
    """The state of a server, in one line."""
    parts = [upstreams.state_in_words(one, "%pctx")]
    if one.changed:
        names = ", ".join(f"{tool.name} ({', '.join(tool.what)})" for tool in one.changed)
        parts.append(f"changed since they were approved: {names}")
    if one.new:
        parts.append(f"new since then: {', '.join(one.new)}")
    if one.allowed:
        few = len(one.allowed) <= FEW
        parts.append(f"allowed without asking: {', '.join(one.allowed) if few else f'{len(one.allowed):,} tools'}")
    return "; ".join(part for part in [*parts, *one.problems] if part)
