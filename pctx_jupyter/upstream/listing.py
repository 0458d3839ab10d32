"""The tools of one MCP server: read from its listing, compared with those that were approved, put into the catalog.

It reads what a client returns and knows neither how the connection is made nor how a call is sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
from mcp import Client, MCPError
from msgspec import Raw

from .. import errors, threads
from ..rpc.jsonrpc import Json
from ..tools import keywords, names
from ..tools.calls import Call
from ..tools.tool import Tool
from . import defaults, features, mending, reading
from .config import ServerConfig
from .features import Feature
from .fingerprints import Comparison, Fingerprint
from .secrets import Redactor
from .shared import Surroundings
from .trust import digest

log = logging.getLogger(__name__)

MOST_PAGES = 1000
"""Pages of one listing; a server that sends more of them most likely never ends."""
TOOL_BYTES = 1 << 20
"""Bytes one tool's description and schemas may have."""
MOST_INSTRUCTIONS = 4_000
"""Characters of a server's instructions that are kept, as of a tool's description."""
TURN = 25
"""Tools read, or offered, in one turn of the event loop, which all share."""
HINTS = {
    "title": "title",
    "readOnlyHint": "read_only_hint",
    "destructiveHint": "destructive_hint",
    "idempotentHint": "idempotent_hint",
    "openWorldHint": "open_world_hint",
}
"""The annotations that count, and their names in fingerprints."""


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool as the server describes it now."""

    tool: Tool
    fingerprint: Fingerprint
    arguments: bytes
    """The schema of its arguments as the server has it, as JSON. The collector of garbage visits no text."""

    def filled(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return arguments of a call, with the defaults of those that the server requires."""
        if b'"default"' not in self.arguments:
            return arguments
        return defaults.filled(arguments, msgspec.json.decode(self.arguments))


class Listing:
    """The tools of one server.

    Args:
        server: Whose tools they are.
        place: The file that names the server, as `trust.place_of` returns it; "": none.
        around: What all upstreams share.
        redactor: Takes secrets out of what the server says.
        call: Calls one tool, by the name that the server has for it.
        use: Calls one of the functions for resources and prompts.

    Attributes:
        found: What the server listed last, by the server's own names.
        has_listed: Whether it has listed anything yet.
        offered: The tools that programs can call, by the server's own names.
        functions: The functions for its resources and prompts that programs can call.
        compared: How they differ from those that were approved.
        withheld: Names of tools that programs cannot call until they are approved.
        version: Changes with the tools that can be called.
        mark: Changes with the server's configuration, and with anything it says about its tools.
    """

    def __init__(
        self,
        server: ServerConfig,
        place: str,
        around: Surroundings,
        redactor: Redactor,
        call: Callable[[str, Call], Awaitable[Raw]],
        use: Callable[[Feature, Call], Awaitable[Raw]],
    ) -> None:
        self.place = place
        self.found: dict[str, ListedTool] = {}
        self.has_listed = False
        self.offered: dict[str, Tool] = {}
        self.functions: list[Feature] = []
        self.compared = Comparison()
        self.withheld: tuple[str, ...] = ()
        self.version = 0
        self._server, self._around, self._redactor, self._call = server, around, redactor, call
        self._use = use
        self._features: list[Feature] = []
        self._instructions = ""
        self._listing_problems: list[str] = []
        self._offering_problems: list[str] = []
        self._is_closed = False
        self._offering = object()
        self.mark = self._marked()

    @property
    def problems(self) -> list[str]:
        """Sentences about tools that were left out."""
        return [*self._listing_problems, *self._offering_problems]

    def note_problem(self, problem: str) -> None:
        """Keep a sentence about a part of the listing that was left out, until the next listing."""
        self._listing_problems.append(problem)

    def close(self) -> None:
        """Take all tools out of the catalog, for good."""
        self._is_closed = True
        for tool in [*self.offered.values(), *(one.tool for one in self.functions)]:
            self._around.catalog.remove(tool.path)
        self.offered, self.functions = {}, []

    def has(self, tool: Tool) -> bool:
        """Whether this very tool can be called now."""
        return self.offered.get(tool.registered_name) is tool or self._function(tool) is not None

    def _function(self, tool: Tool) -> Feature | None:
        return next((one for one in self.functions if one.tool is tool), None)

    def differs(self, name: str, tool: Tool) -> bool:
        """Whether a tool is no longer what a program means to call."""
        return not self._is_closed and name in self.found and self.offered.get(name) != tool

    def filled(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Arguments of a tool, with the defaults of those that its server requires."""
        return self.found[name].filled(arguments) if name in self.found else arguments

    def fingerprint_of(self, tool: Tool) -> Fingerprint | None:
        """The fingerprint of a tool that can be called now; None for any other."""
        if (function := self._function(tool)) is not None:
            return function.fingerprint
        name = tool.registered_name
        return self.found[name].fingerprint if self.has(tool) and name in self.found else None

    # reading

    async def read(self, client: Client) -> int:
        """Read what the server lists, and offer what may be called; returns how many of its tools those are."""
        self._listing_problems.clear()
        found = await self._read_tools(client) if client.server_capabilities.tools is not None else {}
        # Thousands of names, each taken apart into words: not in the loop that all share.
        await threads.compute(_number_those_that_meet, found, self.found)
        self._features = features.of(self._server.name, client.server_capabilities, await self._read_prompts(client))
        self._instructions = self._redactor.clean((client.instructions or "")[: 2 * MOST_INSTRUCTIONS])
        self._instructions = self._instructions[:MOST_INSTRUCTIONS]
        self.found, self.has_listed = found, True
        # Thousands of hashes, and a file of some megabytes: not in the loop that all share.
        self._take(await threads.compute(self._compared_now))
        for _ in self._offer():
            await asyncio.sleep(0)
        self._note_compared()
        return len(self.offered)

    async def _read_prompts(self, client: Client) -> list[features.Prompt]:
        """The prompts as far as they matter for types; none where the server does not list them."""
        if client.server_capabilities.prompts is None:
            return []
        most = self._around.settings.max_message_bytes
        try:
            listed = await reading.read_list(client, reading.PROMPTS, features.MOST_TYPED + 1, most)
        except (MCPError, ValueError, reading.TooMany) as error:
            self.note_problem(f"its prompts were left out: it does not list them: {error}")
            return []
        return [features.prompt_of(one) for one in listed]

    async def _read_tools(self, client: Client) -> dict[str, ListedTool]:
        found: dict[str, ListedTool] = {}
        cursor, seen = None, set()
        limit, most = self._around.settings.max_tools, self._around.settings.max_message_bytes
        size = 0
        for _ in range(MOST_PAGES):
            page = await client.list_tools(cursor=cursor, cache_mode="refresh")
            for number, tool in enumerate(mending.listed(page)):
                if len(found) >= limit:
                    self.note_problem(
                        f"it has more than {len(found):,} tools (Pctx.max_tools); the others are left out"
                    )
                    break
                size += self._read_tool(tool, found)
                if size > most:
                    raise errors.CannotConnect(
                        f"its tools have more than {most:,} bytes in all (Pctx.max_message_bytes)"
                    )
                if number % TURN == TURN - 1:
                    await asyncio.sleep(0)
            cursor = page.next_cursor
            if not cursor or cursor in seen or len(found) >= limit:
                break
            seen.add(cursor)
        return found

    def _read_tool(self, tool: dict[str, Any], found: dict[str, ListedTool]) -> int:
        """Add a tool to those found if it can be used; returns the bytes it takes.

        Args:
            tool: As `mending` leaves it.
        """
        name, hints = tool["name"], tool.get("annotations")
        parts = {
            "input schema": tool["inputSchema"],
            "output schema": tool.get("outputSchema"),
            "annotations": None if hints is None else {HINTS[hint]: value for hint, value in hints.items()},
        }
        description = tool.get("description") or tool.get("title") or ""
        written = msgspec.json.encode(parts)
        size = len(description) + len(written)
        if size > TOOL_BYTES:
            self.note_problem(f"the tool {name[:80]!r} was left out: it has more than {TOOL_BYTES:,} bytes")
            return 0
        try:
            names.tool_name(name)
        except errors.InvalidParams as error:
            self.note_problem(error.message)
            return 0
        description = self._redactor.clean(description)
        if (cleaned := self._redactor.clean_json(written)) is not written:
            parts = msgspec.json.decode(cleaned)
        ours = Tool(
            self._server.name,
            name,
            description,
            defaults.optional(keywords.without(parts["input schema"])),
            keywords.without(parts["output schema"]),
            effects=_effects(hints),
            reads_only=_effects(hints) is False and hints is not None and hints.get("readOnlyHint") is True,
        )
        fingerprint = Fingerprint.of(description, parts)
        if (observations := self._around.observations) is not None:
            named = ["server", self._server.name, self._server.way.shown, name]
            ours = observations.watched(ours, named, dict[str, Json](fingerprint.parts))
        found[name] = ListedTool(ours, fingerprint, msgspec.json.encode(tool["inputSchema"]))
        return size

    # comparing and offering

    def approve(self) -> None:
        """Take the tools as they are now."""
        server = self._server
        self._around.fingerprints.approve(server.name, server.way.shown, self._fingerprints(), self._said())
        self._compare()

    def compare_again(self) -> None:
        """Compare with what another process has approved meanwhile."""
        if not self.has_listed or self._is_closed:
            return
        fingerprints, server = self._around.fingerprints, self._server
        if fingerprints.compare(server.name, server.way.shown, self._fingerprints(), self._said()) != self.compared:
            self._compare()

    def allow_next(self) -> None:
        """Allow all tools for good, if a person has answered for all of them and the server has listed some."""
        allowed = self._around.allowed
        if not self.has_listed or not allowed.takes_next(self.place, self._server):
            return
        changed = {tool.name for tool in self.compared.changed}
        allowed.add(
            self.place,
            self._server,
            {name: self.found[name].fingerprint for name in self.offered if name not in changed}
            | {one.tool.registered_name: one.fingerprint for one in self.functions},
        )
        self._around.on_change("upstreams")

    def _fingerprints(self) -> dict[str, Fingerprint]:
        return {name: found.fingerprint for name, found in self.found.items()}

    def _said(self) -> Fingerprint:
        return Fingerprint.of(self._instructions, {})

    def _marked(self) -> str:
        parts = sorted((name, *sorted(found.fingerprint.parts.items())) for name, found in self.found.items())
        if self._instructions:
            parts.append(("", *sorted(self._said().parts.items())))
        return hashlib.sha256(f"{digest(self._server)} {parts}".encode(errors="surrogatepass")).hexdigest()[:32]

    def _compare(self) -> None:
        """Compare the tools with those that were approved, and offer those that may be called."""
        self._take(self._compared_now())
        for _ in self._offer():
            pass
        self._note_compared()

    def _compared_now(self) -> tuple[str, Comparison]:
        """The mark of the tools, and how they differ from those approved; consents to what differs end. Any thread."""
        around, fingerprints = self._around, self._fingerprints()
        mark = self._marked()
        where = self._server.way.shown
        compared = around.fingerprints.compare(self._server.name, where, fingerprints, self._said())
        around.allowed.keep(self.place, self._server, fingerprints)
        return mark, compared

    def _take(self, compared: tuple[str, Comparison]) -> None:
        """Take over what a comparison has found."""
        self.mark, self.compared = compared
        changed = [tool.name for tool in self.compared.changed]
        self.withheld = tuple(changed) if self._around.settings.changed_tools == "withhold" else ()
        for name in changed:
            log.warning("upstream %s = the tool %.80r has changed since it was approved", self._server.name, name)
        if self.compared.instructions is not None:
            log.warning("upstream %s = its instructions have changed since they were approved", self._server.name)

    @property
    def _about(self) -> str:
        """The instructions that models are shown: not those that have changed, until somebody has approved them."""
        is_withheld = self.compared.instructions is not None and self._around.settings.changed_tools == "withhold"
        return "" if is_withheld else self._instructions

    def _note_compared(self) -> None:
        if not self._is_closed:
            self.allow_next()
            self._around.on_change("upstreams")

    def _offer(self) -> Iterator[None]:
        """Put the tools that may be called into the catalog in place of those that were there; what is the same stays.

        It yields now and then, for the loop to do other things. When it goes on after another call of it has begun, it
        leaves the rest to that one.
        """
        self._offering = turn = object()
        if self._is_closed:
            return
        about = self._about
        tools: dict[str, Tool] = {}
        for number, (name, found) in enumerate(list(self.found.items())):
            if about and number % TURN == TURN - 1:
                yield
                if self._is_closed or self._offering is not turn:
                    return
            if name not in self.withheld:
                tools[name] = found.tool.changed(about=about) if about else found.tool
        for changed in self.compared.changed:
            # Nobody has approved what it says now, and that it has no effects may be new.
            if changed.name in tools and tools[changed.name].effects is False:
                tools[changed.name] = tools[changed.name].changed(effects=None)
        catalog = self._around.catalog
        functions = self._functions(about)
        gone = [tool for name, tool in self.offered.items() if not _is_same(tools.get(name), tool)]
        kept = [one for one in self.functions if any(_is_same(other.tool, one.tool) for other in functions)]
        ended = [one for one in self.functions if one not in kept]
        for one in ended:
            catalog.remove(one.tool.path)
        self.functions = kept
        for tool in gone:
            catalog.remove(tool.path)
            del self.offered[tool.registered_name]
        self._offering_problems = []
        new = [name for name in tools if name not in self.offered]
        for number, name in enumerate(new):
            if number % TURN == TURN - 1:
                yield
                if self._is_closed or self._offering is not turn:
                    return
            try:
                # A call may wait for a person whom its server asks something; so `calls` counts its time.
                catalog.add(tools[name], partial(self._call, name), is_patient=True)
            except errors.PctxError as error:
                self._offering_problems.append(error.message)
            else:
                self.offered[name] = tools[name]
        added = [one for one in functions if not any(_is_same(other.tool, one.tool) for other in kept)]
        for one in added:
            try:
                catalog.add(one.tool, partial(self._use, one), is_patient=True)
            except errors.PctxError as error:
                self._offering_problems.append(error.message)
            else:
                self.functions = [*self.functions, one]
        if gone or new or ended or added:
            self.version = catalog.version
            self._around.on_change("tools")

    def _functions(self, about: str) -> list[Feature]:
        """The functions for resources and prompts, under names that none of the server's tools has."""
        taken = {*self.found, *(found.tool.tool_name for found in self.found.values())}
        found = features.named(self._features, taken)
        return [Feature(one.name, one.tool.changed(about=about)) for one in found]


def _is_same(now: Tool | None, was: Tool) -> bool:
    return now == was and now.about == was.about


def _number_those_that_meet(found: dict[str, ListedTool], before: Mapping[str, ListedTool]) -> None:
    """Give tools whose names are one in TypeScript names of their own: ``getUser``, ``getUser2``. Any thread."""
    spelled = names.distinct_tool_names(found, {name: one.tool.tool_name for name, one in before.items()})
    for name, one in found.items():
        if spelled[name] != one.tool.tool_name:
            found[name] = replace(one, tool=one.tool.changed(spelled=spelled[name]))


def _effects(hints: dict[str, Any] | None) -> bool | None:
    """Whether a tool changes something outside, as its server says; None: the server leaves that open.

    A tool may be destructive unless it says otherwise, as the protocol has it. Where hints contradict one another, the
    cautious one counts. `idempotentHint` and `openWorldHint` say nothing of it.
    """
    if hints is None:
        return None
    destructive = hints.get("destructiveHint")
    if destructive is True:
        return True
    return False if hints.get("readOnlyHint") is True or destructive is False else None
