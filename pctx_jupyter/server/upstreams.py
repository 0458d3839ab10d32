"""The MCP servers that programs may call, over plain HTTP; ``openapi.yaml`` says the rest.

A server that is a command runs outside of any sandbox. So adding or trusting one takes, besides the right to execute
here, the right to execute kernels, which run any code.
"""

from __future__ import annotations

from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

import msgspec
from jupyter_server.utils import url_path_join
from tornado import web

from .. import errors
from ..rpc import wire
from ..session import access
from ..session.upstreams import Upstreams
from ..tools.tool import Tool
from .base import PctxHandler
from .state import MOST_TOOLS, ToolState, start_of, state_of

CALLBACK = "pctx/oauth/callback"
"""Where a browser comes back to after a sign-in."""


class SignInBody(msgspec.Struct, omit_defaults=True):
    """Body of ``sign-in``; with `answer`, the URL that the browser was sent to, it ends what began without."""

    answer: str | None = None


class Seen(msgspec.Struct):
    """Body of ``approve`` and ``trust``: the `mark` of the server as a person has looked at it.

    With `tools`, ``trust`` also allows all tools of the server for good.
    """

    seen: str | None = None
    tools: bool = False


class TestedEntry(msgspec.Struct):
    """Body of ``upstream-test``: an entry as in ``pctx.json``."""

    server: dict[str, Any]


class UpstreamTool(ToolState):
    """One tool of a server; `name` is what the server calls it, and so do `new`, `changed` and `withheld`."""

    name: str


class UpstreamTools(msgspec.Struct):
    """The tools of one server that programs may call: 500 at most, the first of them number `start`."""

    name: str
    version: int
    tool_count: int
    start: int
    tools: list[UpstreamTool]


class _Upstreams(PctxHandler):
    """What all of these need."""

    async def upstreams(self) -> Upstreams:
        """Those of this server's engine."""
        found = (await self.open_engine()).upstreams
        if found is None:
            raise web.HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, "Cannot serve: the server is stopping")
        return found

    def read_seen(self) -> Seen | None:
        """What somebody has looked at; None when the body is something else, which has been answered then."""
        return self.read_body(Seen) if self.content else Seen()

    async def answer(self, work: Awaitable[object], status: int = HTTPStatus.OK) -> None:
        """Finish with what comes of the work, or with its error."""
        try:
            found = await work
        except errors.PctxError as error:
            self.refuse(error)
            return
        self.set_status(status)
        self.send(found)


class UpstreamList(_Upstreams):
    """``pctx/api/upstreams``."""

    @web.authenticated
    async def get(self) -> None:
        """List them."""
        self.send((await self.upstreams()).listed())

    @web.authenticated
    async def post(self) -> None:
        """Add one."""
        if (asked := self.read_body(wire.AddUpstream)) is not None:
            if access.runs_code(asked.server):
                await self.demand_code()
            work = (await self.upstreams()).add(asked.server, persist=asked.persist)
            await self.answer(work, HTTPStatus.CREATED)


class UpstreamTest(_Upstreams):
    """``POST pctx/api/upstream-test``: connect to a server once, without adding it."""

    @web.authenticated
    async def post(self) -> None:
        if (asked := self.read_body(TestedEntry)) is not None:
            if access.runs_code(asked.server):
                await self.demand_code()
            await self.answer((await self.upstreams()).test(asked.server))


class OneUpstream(_Upstreams):
    """``pctx/api/upstreams/{name}``."""

    @web.authenticated
    async def get(self, name: str) -> None:
        """Show some of its tools."""
        await self.answer(self._tools(name, start_of(self)))

    async def _tools(self, name: str, start: int) -> UpstreamTools:
        view, tools = (await self.upstreams()).offered(name)
        shown = [_shown(tool) for tool in tools[start : start + MOST_TOOLS]]
        return UpstreamTools(view.name, view.version, len(tools), start, shown)

    @web.authenticated
    async def delete(self, name: str) -> None:
        """Forget it."""
        await self.answer(self._remove(name))

    async def _remove(self, name: str) -> wire.Success:
        await (await self.upstreams()).remove(name)
        return wire.Success()


def _shown(tool: Tool) -> UpstreamTool:
    state = state_of(tool, tool.path)  # all programs know it by the one name
    return UpstreamTool(
        state.path,
        state.shared_as,
        state.signature,
        state.description,
        state.effects,
        state.arguments,
        tool.registered_name,
    )


class UpstreamReconnect(_Upstreams):
    """``POST pctx/api/upstreams/{name}/reconnect``."""

    @web.authenticated
    async def post(self, name: str) -> None:
        await self.answer(self._reconnect(name))

    async def _reconnect(self, name: str) -> object:
        return (await self.upstreams()).reconnect(name)


class UpstreamApprove(_Upstreams):
    """``POST pctx/api/upstreams/{name}/approve``."""

    @web.authenticated
    async def post(self, name: str) -> None:
        if (asked := self.read_seen()) is not None:
            await self.answer(self._approve(name, asked.seen))

    async def _approve(self, name: str, seen: str | None) -> object:
        return (await self.upstreams()).approve(name, seen)


class UpstreamTrust(_Upstreams):
    """``POST pctx/api/upstreams/{name}/trust``."""

    @web.authenticated
    async def post(self, name: str) -> None:
        if (asked := self.read_seen()) is not None:
            await self.answer(self._trust(name, asked))

    async def _trust(self, name: str, asked: Seen) -> object:
        return await (await self.upstreams()).trust(name, asked.seen, tools=asked.tools)


class UpstreamAllowed(_Upstreams):
    """``DELETE pctx/api/upstreams/{name}/allowed?tool=…``: ask again before its tools are called, or one of them."""

    @web.authenticated
    async def delete(self, name: str) -> None:
        await self.answer(self._ask_again(name, self.get_query_argument("tool", None)))

    async def _ask_again(self, name: str, tool: str | None) -> object:
        return (await self.upstreams()).ask_again(name, tool)


class UpstreamSignIn(_Upstreams):
    """``POST pctx/api/upstreams/{name}/sign-in``."""

    @web.authenticated
    async def post(self, name: str) -> None:
        given = self.read_body(SignInBody) if self.content else SignInBody()
        if given is None:
            return
        upstreams = await self.upstreams()
        if given.answer is not None:
            await self.answer(upstreams.finish_sign_in(given.answer))
            return
        back = url_path_join(self.base_url, CALLBACK)
        await self.answer(upstreams.sign_in(name, f"{self.request.protocol}://{self.request.host}{back}"))


class SignInCallback(_Upstreams):
    """``GET pctx/oauth/callback``: where another site sends the browser of somebody who has signed in there.

    Any page may lead here: what it brings counts only with the state of a sign-in that was begun here.
    """

    @web.authenticated
    async def get(self) -> None:
        """Take what it brings, and say so to a person."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        try:
            address = f"{self.request.protocol}://{self.request.host}{self.request.path}?{self.request.query}"
            view = await (await self.upstreams()).finish_sign_in(address)
        except errors.PctxError as error:
            self.set_status(error.status)
            self.finish(f"{error.message}\n")
            return
        outcome = view.error or f"{view.tools} tools"
        self.finish(f"Signed in to {view.name}: {outcome}. You can close this page.\n")
