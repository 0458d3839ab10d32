"""One MCP server that programs may call: its connection, its tools and its calls, and what people decide about it."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from .. import errors, visible
from ..session.remembered import Permission
from ..session.upstreams import SignIn
from ..session.upstreams import Upstream as View
from ..tools import names
from ..tools.calls import AskedBy
from ..tools.tool import Tool
from .calls import ToolCaller
from .config import Address, ServerConfig
from .connection import Phase, UpstreamConnection
from .elicitation import Elicitations
from .listing import Listing
from .secrets import Redactor
from .shared import Surroundings
from .transport import Transport

MOST_PROBLEMS = 50
"""Problems of one server that are shown."""


class UpstreamServer:
    """One upstream server.

    Args:
        server: What to connect to, and how.
        source: The file that names it, for people; None: it was added by hand.
        around: What all upstreams share.
        is_trusted: Whether a person trusts it; until then nothing is started, asked or read for it.
        place: The file that names it, as `trust.place_of` returns it; "": none.

    Attributes:
        connection: How it is reached.
        listing: Its tools.
    """

    def __init__(
        self,
        server: ServerConfig,
        source: str | None,
        around: Surroundings,
        is_trusted: Callable[[], bool],
        place: str,
    ) -> None:
        self.server, self.around = server, around
        self.redactor = Redactor()
        self.listing = Listing(
            server,
            place,
            around,
            self.redactor,
            lambda name, call: self._calls.call(name, call),
            lambda feature, call: self._calls.use(feature, call),
        )
        asking = Elicitations(server.name, self.redactor)
        self.connection = UpstreamConnection(
            server,
            source,
            around,
            Transport(server, around, self.redactor),
            is_trusted,
            self.listing.read,
            self.listing.note_problem,
            asking,
        )
        most = around.settings.max_message_bytes
        self._calls = ToolCaller(server, self.connection, self.listing, self.redactor, asking, most)
        words = {re.escape(name) for name in (server.namespace, server.name)}
        self._named = re.compile(rf"(?<![\w$])(?:{'|'.join(sorted(words))})(?![\w$])")

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def place(self) -> str:
        return self.listing.place

    def view(self) -> View:
        """What is known of it; holds no secret."""
        connection, listing, allowed = self.connection, self.listing, self.around.allowed
        client, transport = connection.client, connection.transport
        info = client.server_info if client is not None else None
        problems = listing.problems
        if transport.child is not None and transport.child.junk:
            problems.append(f"it wrote {transport.child.junk:,} lines to stdout that are no messages of the protocol")
        if self.around.fingerprints.trouble is not None:
            problems.append(self.around.fingerprints.trouble)
        if allowed.trouble is not None:
            problems.append(allowed.trouble)
        return View(
            name=self.name,
            namespace=self.server.namespace,
            transport=self.server.way.transport,
            where=visible.spelled(self.server.way.shown),
            state=connection.state,
            source=connection.source,
            error=connection.error,
            tools=len(listing.offered),
            functions=sorted(one.tool.tool_name for one in listing.functions),
            new=sorted(listing.compared.new),
            changed=[*listing.compared.changed, *([said] if (said := listing.compared.instructions) else [])],
            withheld=sorted(listing.withheld),
            allowed=allowed.names(self.place, self.server),
            problems=[transport.line(problem, 1000) for problem in problems[:MOST_PROBLEMS]],
            server=transport.line(f"{info.name} {info.version}", 200) if info is not None else None,
            protocol=transport.line(client.protocol_version, 40) if client is not None else None,
            log=transport.log(),
            retry_s=None if connection.retry_s is None else math.ceil(connection.retry_s),
            connections=connection.connections,
            version=listing.version + (0 if self.around.observations is None else self.around.observations.version),
            mark=listing.mark,
        )

    def start(self) -> None:
        """Begin to connect."""
        self.connection.start()

    async def stop(self) -> None:
        """Disconnect for good, and take its tools out of the catalog."""
        self.listing.close()
        await self.connection.close()

    async def try_once(self) -> None:
        """Wait until it has been tried; try it again if it is down and its tools are unknown."""
        if self.listing.has_listed:
            await self.connection.tried.wait()
        else:
            await self.connection.try_once()

    def is_named_in(self, code: str) -> bool:
        """Whether a program names it."""
        return self._named.search(code) is not None

    def configure(self, source: str | None, place: str, is_trusted: Callable[[], bool]) -> None:
        """Take note that another file names it now."""
        self.connection.source, self.connection.is_trusted = source, is_trusted
        self.listing.place = place

    # consents to its tools

    def allows(self, tool: Tool, by: AskedBy) -> bool:
        """Whether a person has allowed calls of one of its tools for good."""
        fingerprint = self.listing.fingerprint_of(tool)
        if fingerprint is None:
            return False
        return self.around.allowed.holds(self.place, self.server, tool.registered_name, fingerprint, by)

    def allow(self, tool: Tool, by: AskedBy) -> None:
        """Allow calls of one of its tools for good."""
        if (fingerprint := self.listing.fingerprint_of(tool)) is not None:
            self.around.allowed.add(self.place, self.server, {tool.registered_name: fingerprint}, by)
            self.around.on_change("upstreams")

    def allow_all(self) -> None:
        """Allow all of its tools for good: those that it has, or that it lists once it is connected."""
        self.around.allowed.add_next(self.place, self.server)
        self.listing.allow_next()

    def permissions(self) -> list[Permission]:
        """Return what is allowed without asking."""
        known = self.around.allowed.consents(self.place, self.server)
        return [
            Permission(
                id=self._permission_id(name),
                tool=f"{self.server.namespace}.{self._spelled(name)}",
                asked_by=list(consent.by),
                since=consent.since,
                lasts="tool",
                server=self.name,
            )
            for name, consent in known.items()
        ]

    def revoke(self, id: str) -> bool:
        """Take one of those back; returns whether there was one."""
        known = self.around.allowed.names(self.place, self.server)
        named = [name for name in known if self._permission_id(name) == id]
        has_forgotten = bool(named) and self.around.allowed.forget(self.place, self.name, named)
        if has_forgotten:
            self.around.on_change("upstreams")
        return has_forgotten

    def _permission_id(self, name: str) -> str:
        """Name the consent to a tool; two files may name the same server."""
        return hashlib.sha256(msgspec.json.encode([self.place, self.name, name])).hexdigest()[:16]

    def _spelled(self, name: str) -> str:
        """How programs call a tool, by the name that the server gives it."""
        found = self.listing.found
        return found[name].tool.tool_name if name in found else names.tool_name(name)

    def ask_again(self, tool: str | None = None) -> bool:
        """Take back what was allowed without asking; returns whether there was anything.

        Args:
            tool: One tool, as the server or programs spell it; None: all.
        """
        named = None
        if tool is not None:
            known = self.around.allowed.names(self.place, self.server)
            named = [name for name in known if tool in (name, self._spelled(name))]
        has_forgotten = self.around.allowed.forget(self.place, self.name, named)
        self.around.on_change("upstreams")
        return has_forgotten

    # signing in

    async def sign_in(self, redirect_url: str | None) -> SignIn:
        """Begin to sign in; returns where a person does it.

        Raises:
            InvalidParams: Nobody has to.
            CannotConnect: The server cannot be asked where.
        """
        way, sign_ins, connection = self.server.way, self.around.sign_ins, self.connection
        if not isinstance(way, Address) or way.oauth is None:
            raise errors.InvalidParams(f"Cannot sign in to {self.name}: its configuration brings what it needs")
        sign_in = await sign_ins.begin(self.name, redirect_url)
        connection.reconnect()
        tried = asyncio.create_task(connection.settled(connection.attempts + 1))
        first: set[asyncio.Future[Any]] = {sign_in.page, tried}
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tried.cancel()
        if sign_in.page.done() and not sign_in.page.cancelled():
            return sign_in.page.result()
        sign_ins.end(self.name)
        if connection.phase is Phase.READY:
            raise errors.InvalidParams(f"Cannot sign in to {self.name}: it lets us in already")
        raise errors.CannotConnect(f"Cannot sign in to {self.name}: {connection.error}")

    async def signed_in(self) -> None:
        """Wait until the sign-in that is under way has led to a connection, or failed."""
        await self.connection.settled()

    async def settled(self) -> None:
        """Wait until the attempt to connect that is under way has come to something; not longer than its limit."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.connection.limit_s):
                await self.connection.settled()
