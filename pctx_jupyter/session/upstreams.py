"""Upstreams: the MCP servers that programs may call, their state, and what clients can ask of them.

The room `upstream` connects to them. This module has the types that it, the wire and the REST API share, and says a
server's state in words.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from ..rpc.jsonrpc import Json
from ..tools.tool import Tool

MINUTE_S = 60
"""Seconds from which on a duration is said in minutes."""

UpstreamState = Literal["connecting", "ready", "down", "needs sign-in", "untrusted"]
"""``connecting``: for the first time, or again; ``down``: the last attempt failed;
``untrusted``: a file that came with the folder names it, and it is not trusted yet."""


class ChangedTool(msgspec.Struct):
    """A tool that is not what it was when it was approved: its description then and now, each cut to a page.

    `what` names what differs: ``description``, ``input schema``, ``output schema``, ``annotations``. `differences` says
    it word for word, a line for each place, for all of them but the description.
    """

    name: str
    what: list[str]
    was: str
    now: str
    differences: list[str] = []


class Upstream(msgspec.Struct, kw_only=True):
    """What is known of one MCP server; nothing in it is secret.

    `where` is its command, or its URL without the query; `source` the file that configures it, null when it was added
    for as long as the engine runs. `new` are tools it did not have when it was approved, `changed` those that differ
    from then: they are withheld where `Pctx.changed_tools` is ``withhold``. `allowed` are tools that are allowed
    without asking. `functions` are those for its resources and prompts. `problems` says what else is not as it should
    be, `error` why it is not ready, `retry_s` in how many seconds the next attempt to connect follows by itself (null:
    none is planned). `log` holds the last lines that it wrote to stderr or sent as log messages. `version` changes with
    the tools that can be called; `mark` with anything that is approved or trusted: who says yes passes on the one they
    have looked at.
    """

    name: str
    namespace: str
    transport: Literal["stdio", "http", "sse"]
    where: str
    state: UpstreamState
    source: str | None = None
    error: str | None = None
    tools: int = 0
    functions: list[str] = []
    new: list[str] = []
    changed: list[ChangedTool] = []
    withheld: list[str] = []
    allowed: list[str] = []
    problems: list[str] = []
    server: str | None = None
    protocol: str | None = None
    retry_s: int | None = None
    log: list[str] = []
    connections: int = 0
    version: int = 0
    mark: str = ""


TERMINAL = "jupyter pctx"
"""How commands begin that a person gives in a terminal; in a notebook, they begin with ``%pctx``."""


def approve_command(name: str, program: str = TERMINAL) -> str:
    """The command that approves a server's tools as they are now."""
    return f"{program} mcp approve {shlex.quote(name)}"


def state_in_words(server: Upstream, program: str = TERMINAL) -> str:
    """Say what state a server is in, for people and models: what is the case, why, and the way out.

    Args:
        program: How the commands begin that are the way out.
    """
    name = shlex.quote(server.name)
    match server.state:
        case "ready":
            tools = "1 tool" if server.tools == 1 else f"{server.tools:,} tools"
            said = f"ready; {tools} as {server.namespace}" if server.tools else "ready"
            if server.functions:
                words = {"Resource": "resources", "Prompt": "prompts"}
                kinds = [kind for word, kind in words.items() if any(word in name for name in server.functions)]
                had = " and ".join(kinds)
                said += f", and its {had}" if server.tools else f"; {had} as {server.namespace}"
        case "connecting":
            said = f"connecting; before that: {server.error}" if server.error else "connecting"
        case "needs sign-in":
            said = f"needs sign-in: {program} mcp sign-in {name}"
        case "untrusted":
            said = f"untrusted: {server.source or 'a file'} names it; {program} mcp trust {name}"
        case "down":
            said = f"down: {server.error}" if server.error else "down"
            if server.retry_s is not None:
                said += f" (the next attempt is in {_duration(server.retry_s)})"
    if server.withheld:
        said += f"; {withheld_in_words(server, program)}"
    return said


def withheld_in_words(server: Upstream, program: str = TERMINAL) -> str:
    """Say how many of a server's tools are withheld because they have changed, and the way out."""
    number = len(server.withheld)
    tools = "1 tool" if number == 1 else f"{number:,} tools"
    return f"{tools} withheld, changed since approved: {approve_command(server.name, program)}"


def missing_in_words(server: Upstream, program: str = TERMINAL) -> str:
    """Say why a program does not find a server's tools."""
    if server.state == "untrusted":
        said = f"{server.name} is in {server.source} and not trusted"
        return f"{said}: {program} mcp trust {shlex.quote(server.name)}"
    if server.state == "ready":
        return f"{server.namespace} is the MCP server {server.name}: {state_in_words(server, program)}"
    return f"{server.namespace} is an MCP server that is {state_in_words(server, program)}"


def _duration(seconds: int) -> str:
    return f"{seconds} s" if seconds < MINUTE_S else f"{round(seconds / MINUTE_S)} min"


class Listed(msgspec.Struct):
    """All upstreams, by name; `problems` are those of the files that configure them."""

    upstreams: list[Upstream]
    problems: list[str]


class SignIn(msgspec.Struct, omit_defaults=True):
    """Where a person signs in to an upstream.

    Args:
        url: The page to open. Show `host` first: the upstream chose the page.
        host: The page's host, and its port where the URL names one; in ASCII, so that no letter looks like another.
        gets_code: The host that is given what the page answers, where it is another one; empty: the same.
    """

    url: str
    host: str
    gets_code: str = ""

    @property
    def question(self) -> str:
        """What a person reads before a browser opens the page."""
        answer = f"; its answer is given to {self.gets_code}" if self.gets_code else ""
        return f"Sign in at {self.host}{answer}"


class Upstreams(Protocol):
    """The upstreams of one engine. What cannot be done raises a `PctxError` that says why."""

    def listed(self) -> Listed:
        """What is known of each."""

    def clean(self, text: str) -> str:
        """The text without the secrets of their entries."""

    def namespaces(self) -> set[str]:
        """The namespaces of all that are wanted, whether they have listed a tool yet or not."""

    def offered(self, name: str) -> tuple[Upstream, list[Tool]]:
        """A server, and its tools as programs may call them; raises UpstreamNotFound."""

    async def add(self, entry: Json, *, persist: bool) -> Upstream:
        """Add a server, and begin to connect to it.

        Args:
            entry: As in ``pctx.json``: ``{name, url, auth?}`` or ``{name, command, args?, env?}``.
            persist: Whether it is written to the file, or kept for as long as the engine runs.

        Raises:
            InvalidParams: The entry cannot be used.
            UpstreamExists: There is one of that name.
        """

    async def test(self, entry: Json) -> Upstream:
        """Connect to a server that is not added, disconnect, and return what was found; its tools cannot be called.

        Args:
            entry: As for `add`.

        Raises:
            InvalidParams: The entry cannot be used.
        """

    async def remove(self, name: str) -> None:
        """Disconnect from a server and forget it; raises UpstreamNotFound."""

    def reconnect(self, name: str) -> Upstream:
        """Connect again, now; raises UpstreamNotFound."""

    def approve(self, name: str, seen: str | None = None) -> Upstream:
        """Take the tools of a server as they are now.

        Args:
            seen: The `mark` of what a person has reviewed; None: whatever they are.

        Raises:
            UpstreamNotFound: There is none of that name.
            InvalidParams: It has changed since.
        """

    async def trust(self, name: str, seen: str | None = None, *, tools: bool = False) -> Upstream:
        """Trust a server as its file has it now, and begin to connect to it; `seen` as for `approve`.

        Args:
            tools: Allow its tools for good as well: those it has, or that it lists once it is connected.

        Raises:
            UpstreamNotFound: There is none of that name.
            InvalidParams: It has changed since, or it cannot be written down.
        """

    def ask_again(self, name: str, tool: str | None = None) -> Upstream:
        """Take back permissions to call tools without asking.

        Args:
            tool: One tool of the server; None: all of them.

        Raises:
            UpstreamNotFound: There is none of that name.
            InvalidParams: That tool is not allowed without asking.
        """

    async def sign_in(self, name: str, redirect_url: str | None) -> SignIn:
        """Begin to sign in to a server.

        Args:
            redirect_url: Where the browser is sent afterwards, with what `finish_sign_in` needs; None: to a port that
                is opened here for the purpose.

        Raises:
            UpstreamNotFound: There is none of that name.
            InvalidParams: It does not require a sign-in.
        """

    async def finish_sign_in(self, url: str) -> Upstream:
        """Finish it with the URL that the browser was sent to.

        Raises:
            InvalidParams: It belongs to no sign-in that is under way, or says that the server refused.
        """

    async def signed_in(self, name: str) -> Upstream:
        """Wait until the sign-in to a server that is under way has led to a connection, or failed."""

    def why_missing(self, name: str) -> str | None:
        """Say why a program cannot use what it calls by this name; None where it is no server, or all of it is there.

        Args:
            name: A server's namespace, ``Qdrant``, or the path of one of its tools, ``Qdrant.findPoints``.
        """

    async def settle(self, code: str, on_wait: Callable[[str], None] | None = None) -> None:
        """Wait until those that a program names have been tried, each for as long as it may take to connect.

        Args:
            on_wait: Called with a line for people when that takes more than a second.
        """


__all__ = ["ChangedTool", "Listed", "SignIn", "Upstream", "UpstreamState", "Upstreams"]
