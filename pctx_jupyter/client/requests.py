"""Requests to an engine, by the rooms they are about. What they share: one connection, asked once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec
from msgspec import Raw

from ..rpc import jsonrpc as rpc
from ..rpc import wire
from .connection import Connection
from .types import Completed, Diagnosed, Explained, ExplainedCall, Listed, SignIn, Upstream

R = TypeVar("R")


class Requests:
    """What can be asked over a connection."""

    _connection: Connection

    async def _call(self, method: str, params: object = None) -> Raw:
        return await (await self._connection.channel()).call(method, params)

    async def _ask(self, method: str, params: object, result: type[R]) -> R:
        return msgspec.json.decode(await self._call(method, params), type=result)


class UpstreamRequests(Requests):
    """The MCP servers whose tools programs may call."""

    async def list_upstreams(self) -> Listed:
        """List the MCP servers whose tools programs may call, with their states."""
        return await self._ask(wire.LIST_UPSTREAMS, None, Listed)

    async def add_upstream(self, server: dict[str, rpc.Json], *, persist: bool = True) -> Upstream:
        """Add an MCP server, and begin to connect to it.

        Args:
            server: As in ``pctx.json``: ``{name, url, auth?}`` or ``{name, command, args?, env?}``.
            persist: Whether it is written to that file, or kept for as long as the engine runs.

        Raises:
            InvalidParams: It cannot be used; says why.
            UpstreamExists: There is one of that name.
        """
        return await self._ask(wire.ADD_UPSTREAM, wire.AddUpstream(server, persist), Upstream)

    async def register_mcp(self, name: str, url: str, auth: dict[str, rpc.Json] | None = None) -> None:
        """Add an MCP server for as long as the engine runs.

        Raises:
            InvalidParams: It cannot be used; says why.
            UpstreamExists: There is one of that name.
        """
        await self._call(wire.REGISTER_MCP, wire.RegisterMcp(name, url, auth))

    async def remove_upstream(self, name: str) -> None:
        """Forget an MCP server.

        Raises:
            UpstreamNotFound: There is none of that name.
        """
        await self._call(wire.REMOVE_UPSTREAM, wire.NamedUpstream(name))

    async def reconnect_upstream(self, name: str) -> Upstream:
        """Connect to an MCP server again.

        Raises:
            UpstreamNotFound: There is none of that name.
        """
        return await self._ask(wire.RECONNECT_UPSTREAM, wire.NamedUpstream(name), Upstream)

    async def approve_upstream(self, name: str) -> Upstream:
        """Approve the tools of an MCP server as they are now.

        Raises:
            UpstreamNotFound: There is none of that name.
        """
        return await self._ask(wire.APPROVE_UPSTREAM, wire.NamedUpstream(name), Upstream)

    async def trust_upstream(self, name: str) -> Upstream:
        """Trust an MCP server as the folder's file has it now, and begin to connect to it.

        Raises:
            UpstreamNotFound: There is none of that name.
        """
        return await self._ask(wire.TRUST_UPSTREAM, wire.NamedUpstream(name), Upstream)

    async def ask_again(self, name: str, tool: str | None = None) -> Upstream:
        """Take back what a person has allowed an MCP server for good.

        Args:
            tool: One of its tools; None: all.

        Raises:
            UpstreamNotFound: There is none of that name.
            InvalidParams: That tool is not allowed without asking.
        """
        return await self._ask(wire.ASK_AGAIN, wire.AskAgain(name, tool), Upstream)

    async def sign_in_upstream(self, name: str) -> SignIn:
        """Begin to sign in to an MCP server; returns the page where a person does it.

        Show them the page's host (`SignIn.question`) before a browser opens it: the server chose the page.

        The browser is sent to a port on the engine's machine afterwards. Where it cannot reach that, the URL it was
        sent to goes to `finish_sign_in`.
        """
        return await self._ask(wire.SIGN_IN_UPSTREAM, wire.SignInUpstream(name), SignIn)

    async def finish_sign_in(self, name: str, answer: str) -> Upstream:
        """Finish a sign-in with the URL that the browser was sent to."""
        return await self._ask(wire.SIGN_IN_UPSTREAM, wire.SignInUpstream(name, answer), Upstream)


class EditorRequests(Requests):
    """What editors ask about a program that does not run."""

    async def complete(self, source: str, offset: int, inputs: Iterable[str] = ()) -> Completed:
        """Complete what is before an offset in a program, or in a cell that begins with its ``%%pctx`` line.

        Args:
            source: The program, or the cell.
            offset: In UTF-16 units, as `source` is.
            inputs: Names of constants it finds, besides those in its ``%%pctx`` line.

        Raises:
            InvalidParams: The source is too large, or the offset is not in it.
            Busy, SandboxUnavailable: The engine's type checker cannot answer now, or not at all.
        """
        return await self._ask(wire.COMPLETE, wire.Position(source, list(inputs), offset=offset), Completed)

    async def hover(self, source: str, offset: int, inputs: Iterable[str] = ()) -> Explained:
        """Explain what is at an offset in a program, or in a cell.

        Args:
            source: The program, or the cell.
            offset: In UTF-16 units, as `source` is.
            inputs: Names of constants it finds, besides those in its ``%%pctx`` line.

        Raises:
            InvalidParams: The source is too large, or the offset is not in it.
            Busy, SandboxUnavailable: The engine's type checker cannot answer now, or not at all.
        """
        return await self._ask(wire.HOVER, wire.Position(source, list(inputs), offset=offset), Explained)

    async def signature(self, source: str, offset: int, inputs: Iterable[str] = ()) -> ExplainedCall:
        """Explain the call around an offset in a program, or in a cell.

        Args:
            source: The program, or the cell.
            offset: In UTF-16 units, as `source` is.
            inputs: Names of constants it finds, besides those in its ``%%pctx`` line.

        Raises:
            InvalidParams: The source is too large, or the offset is not in it.
            Busy, SandboxUnavailable: The engine's type checker cannot answer now, or not at all.
        """
        return await self._ask(wire.SIGNATURE, wire.Position(source, list(inputs), offset=offset), ExplainedCall)

    async def diagnostics(self, source: str, inputs: Iterable[str] = ()) -> Diagnosed:
        """Check a program's types without running it.

        Args:
            source: The program, or the cell.
            inputs: Names of constants it finds, besides those in its ``%%pctx`` line.

        Raises:
            InvalidParams: The source is too large.
            Busy, SandboxUnavailable: The engine's type checker cannot answer now, or not at all.
        """
        return await self._ask(wire.DIAGNOSTICS, wire.Written(source, list(inputs)), Diagnosed)

    async def declarations(self) -> str:
        """Return the TypeScript declarations of this session's tools, as a model would read them."""
        return (await self._ask(wire.DECLARATIONS, None, wire.Declared)).declarations
