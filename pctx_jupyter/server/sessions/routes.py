"""The session API over plain HTTP: sessions, their tools, MCP servers and functions; ``openapi.yaml`` says the rest.

Clients show nothing of an error but its HTTP status and reason phrase, so the phrase has the message.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any, Literal, TypeVar

import msgspec
from tornado import web
from tornado.iostream import StreamClosedError

from ... import errors
from ...rpc import wire
from ...session import access
from ...session.bash import BashResult
from ...session.code_mode import messages, servers
from ...session.code_mode.sessions import CodeModeSession, CodeModeSessions
from ..base import RUNNING, PctxHandler

TRICKLE_S = 2.0
"""Seconds between two spaces that are sent before an answer that takes long: clients give up after 5 without a byte."""

CANNOT_RUN = 126
"""Exit code of a command that was not run."""

MOST_REASON = 120
"""Characters of a reason phrase: some proxies refuse long ones."""

Body = TypeVar("Body", bound=msgspec.Struct)
Handler = TypeVar("Handler", bound="CodeModeHandler")


class CodeModeHandler(PctxHandler):
    """A request of the session API."""

    @property
    def session_id(self) -> str:
        """The id in the header; "" if there is none."""
        return self.request.headers.get(messages.SESSION_HEADER, "")

    @property
    def owner(self) -> str:
        """Whose sessions the caller may use: a kernel its own; "": a user all."""
        return self.kernel_id or ""

    async def sessions(self) -> CodeModeSessions:
        """The sessions of this server. Jupyter keeps the secret, so a later run of the server knows their ids."""
        return (await self.open_engine()).code_mode(self.settings["cookie_secret"])

    async def session(self) -> CodeModeSession:
        """The session that the header names; raises `SessionNotFound`."""
        return (await self.sessions()).get(self.session_id, self.owner)

    @property
    def most_body_bytes(self) -> int:
        """The bytes that a request may have: as many as a message."""
        limit: int = self.settings[RUNNING].settings.max_message_bytes
        return limit

    def body(self, kind: type[Body]) -> Body:
        """Read the body.

        Raises:
            InvalidParams: It is not of this kind.
        """
        return wire.read(msgspec.Raw(self.content), kind, self.request.path.rpartition("/pctx/")[2])

    async def trickle(self, work: Coroutine[Any, Any, msgspec.Struct]) -> None:
        """Answer with what `work` returns, and with spaces before it while that takes long.

        It is cancelled when the client has gone.
        """
        self.set_header("Content-Type", "application/json")
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=TRICKLE_S))[0]:
                self.write(b" ")
                await self.flush()
        except StreamClosedError:
            return
        finally:
            task.cancel()
        self.finish(msgspec.json.encode(task.result()))

    def refuse(self, error: errors.PctxError) -> None:
        """Answer with an error, its message in the reason phrase too."""
        self._answer_error(error.status, error.message, _code(error))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with an error that was raised; what is ours to know stays in the log."""
        error = (kwargs.get("exc_info") or (None, None))[1]
        known = error.log_message if isinstance(error, web.HTTPError) else None
        self._answer_error(status_code, known or HTTPStatus(status_code).phrase, "internal")

    def _answer_error(
        self, status: int, message: str, code: Literal["invalid_session", "internal", "execution"]
    ) -> None:
        self.set_status(status, reason_phrase(message))
        self.send(messages.ApiError(code, message, None))


def reason_phrase(message: str) -> str:
    """Return a message as one short line of ASCII, which is all that may be in an HTTP status line."""
    line = re.sub(r"[^\x20-\x7e]+", " ", message.replace("…", "...").replace("’", "'"))
    line = re.sub(r"[<>]", " ", line)  # Tornado refuses them
    line = " ".join(line.split())
    return line if len(line) <= MOST_REASON else f"{line[: MOST_REASON - 3].rsplit(' ', 1)[0]}..."


def _code(error: errors.PctxError) -> Literal["invalid_session", "internal", "execution"]:
    if isinstance(error, errors.SessionNotFound):
        return "invalid_session"
    return "execution" if isinstance(error, errors.ExecutionError) else "internal"


def answered(
    post: Callable[[Handler], Awaitable[msgspec.Struct | None]],
) -> Callable[[Handler], Awaitable[None]]:
    """Send what a handler's method returns, or the error that it raises; None: it has answered."""

    @functools.wraps(post)
    async def answer(handler: Handler) -> None:
        try:
            found = await post(handler)
        except errors.PctxError as error:
            handler.refuse(error)
            return
        if found is not None:
            handler.send(found)

    return answer


class SessionCreate(CodeModeHandler):
    """``POST pctx/code-mode/session/create``; a client that connects again sends the id of its last session."""

    @web.authenticated
    @answered
    async def post(self) -> messages.SessionOpened:
        return messages.SessionOpened((await self.sessions()).open(self.owner).id)


class SessionClose(CodeModeHandler):
    """``POST pctx/code-mode/session/close``; a session that is over is closed."""

    @web.authenticated
    @answered
    async def post(self) -> messages.SessionClosed:
        await (await self.sessions()).close(self.session_id, self.owner)
        return messages.SessionClosed()


class FunctionLists(CodeModeHandler):
    """``POST pctx/code-mode/functions/list``."""

    @web.authenticated
    @answered
    async def post(self) -> messages.FunctionList:
        return await (await self.session()).functions()


class FunctionsDetails(CodeModeHandler):
    """``POST pctx/code-mode/functions/details``."""

    @web.authenticated
    @answered
    async def post(self) -> messages.FunctionDetails | None:
        session = await self.session()
        wanted = self.body(messages.FunctionsWanted).functions
        if wrong := next((one for one in wanted if "." not in one), None):
            self._answer_error(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"Cannot describe {wrong[:100]}: it has no namespace; name functions as Namespace.function",
                "internal",
            )
            return None
        return await session.details(wanted)


class ToolsRegister(CodeModeHandler):
    """``POST pctx/register/tools``."""

    @web.authenticated
    @answered
    async def post(self) -> messages.ToolsRegistered:
        await self.session()
        tools, size = self.body(messages.RegisterTools).tools, len(self.content)
        return messages.ToolsRegistered(
            await (await self.sessions()).register(self.session_id, self.owner, tools, size)
        )


class ServersRegister(CodeModeHandler):
    """``POST pctx/register/servers``: begins its answer with spaces while the servers are being connected to."""

    @web.authenticated
    @answered
    async def post(self) -> None:
        session = await self.session()
        entries = self.body(messages.RegisterServers).servers
        for entry in entries:
            if access.runs_code(entry):
                await self.demand_code()
        upstreams = await (await self.open_engine()).servers_of(session.session)
        servers.demand_room(upstreams, entries)
        try:
            await self.trickle(servers.connect(upstreams, entries))
        finally:
            session.session.touch()


class ExecuteBash(CodeModeHandler):
    """``POST pctx/code-mode/execute-bash``: begins its answer with spaces while the command runs."""

    @web.authenticated
    @answered
    async def post(self) -> None:
        session = await self.session()
        command = self.body(messages.BashCommand).command
        await self.trickle(_run(session, command))


async def _run(session: CodeModeSession, command: str) -> BashResult:
    """Run a command. That it cannot be run is a result, too: by then the answer may have begun."""
    try:
        return await session.session.run_bash(command)
    except errors.PctxError as error:
        return BashResult(CANNOT_RUN, "", f"bash: {error.message}\n")
