"""MCP over HTTP: who may come in, and from where; what is asked goes to the engine's MCP server.

Refusals are JSON-RPC errors, which MCP clients show, and 403: a 401 would send them looking for OAuth.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any

from tornado import web

from .. import errors, foreign
from ..agents.door import request_bytes
from ..agents.unreadable import named, refusal
from ..rpc import jsonrpc as rpc
from ..rpc import span_context
from ..session.execution import OWNER_KEY
from .asgi import Application, AsgiHandler, AsgiMessage
from .base import RUNNING, PctxHandler

DOOR = "pctx_mcp_door"
"""The web application's setting with a coroutine function that gives the engine's `Door`."""

KERNEL = "A kernel's own token cannot be used here. Use the token of a user of the server"


def _owned(application: Application, owner: str) -> Application:
    """The application, for requests of this owner."""

    async def serve(
        scope: AsgiMessage,
        receive: Callable[[], Awaitable[AsgiMessage]],
        send: Callable[[AsgiMessage], Awaitable[None]],
    ) -> None:
        await application({**scope, OWNER_KEY: owner}, receive, send)

    return serve


def _named(application: Application, body: bytes) -> Application:
    """The application, whose refusals of a request with this body name the request."""

    async def serve(
        scope: AsgiMessage,
        receive: Callable[[], Awaitable[AsgiMessage]],
        send: Callable[[AsgiMessage], Awaitable[None]],
    ) -> None:
        start: AsgiMessage | None = None

        async def send_named(message: AsgiMessage) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.BAD_REQUEST:
                start = message
                return
            if start is not None:  # the SDK writes such a body at once
                answer = named(message.get("body", b""), body)
                others = [(name, value) for name, value in start["headers"] if name != b"content-length"]
                await send({**start, "headers": others})
                message, start = {**message, "body": answer}, None
            await send(message)

        await application(scope, receive, send_named)

    return serve


class McpHandler(AsgiHandler, PctxHandler):
    """``mcp`` and ``pctx/mcp``."""

    refusal = KERNEL
    _track_activity = False  # an open stream is no sign of life; a program that runs is (`current_activity`)
    _plain: asyncio.Task[bytes] | None = None

    @property
    def most_body_bytes(self) -> int:
        """The bytes that a request may have."""
        return request_bytes(self.settings[RUNNING].settings)

    def check_xsrf_cookie(self) -> None:
        """A cookie comes along with any page's request; a token does not."""
        if not foreign.has_user(self):
            return  # too early, or nobody we know: that is refused anyway, and for this reason
        if not self.token_authenticated and self.identity_provider.auth_enabled:
            super().check_xsrf_cookie()

    @web.authenticated
    async def post(self) -> None:
        await self._serve()

    @web.authenticated
    async def get(self) -> None:
        await self._serve()

    @web.authenticated
    async def delete(self) -> None:
        await self._serve()

    async def _serve(self) -> None:
        try:
            door = await self.settings[DOOR]()
            try:
                message = self._posted()
            except errors.InvalidRequest as error:
                self._refuse(refusal(error.id, error))
                return
            request = door.plain.accepts(message) if self._may_be_plain() else None
            with span_context.entered(span_context.of_request(self.request.headers)):
                if request is not None:
                    await self._answer_plainly(door.plain.answer(request, self._owner()))
                else:
                    application = _named(await door.endpoint(), self.content)
                    await self.run_asgi(_owned(application, self._owner()), self.content)
        except errors.Forbidden as error:
            raise web.HTTPError(HTTPStatus.FORBIDDEN, error.message) from None
        except errors.PctxError as error:
            raise web.HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, error.message) from None

    def _posted(self) -> rpc.Message | None:
        """Read the message that was posted; None: nothing was, or the SDK may read it though we do not, such as NaN.

        Raises:
            InvalidRequest: It is JSON and no message. The SDK would take a request whose id is a fraction, null or a
                truth value for a notification, which gets no answer.
        """
        if self.request.method != "POST":
            return None
        try:
            return rpc.decode(self.content)
        except errors.ParseError:
            return None

    def _refuse(self, refused: bytes) -> None:
        self.set_status(HTTPStatus.BAD_REQUEST)
        self.set_header("Content-Type", "application/json")
        self.finish(refused)

    def _owner(self) -> str:
        """For whom this request is made: the token it has, or the user of a page."""
        token = self.identity_provider.get_token(self) if self.token_authenticated else None
        user = self.current_user
        text = f"token {token}" if token else f"user {user.username if user is not None else ''}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def _may_be_plain(self) -> bool:
        headers = self.request.headers
        is_mcp = "Mcp-Session-Id" in headers or "MCP-Protocol-Version" in headers
        return self.request.method == "POST" and not is_mcp

    async def _answer_plainly(self, answer: Coroutine[Any, Any, bytes]) -> None:
        self._plain = asyncio.create_task(answer)
        await asyncio.wait([self._plain])
        if self._plain.cancelled():
            return  # the client is gone
        self.set_header("Content-Type", "application/json")
        self.finish(self._plain.result())

    def on_connection_close(self) -> None:
        """Stop what a plain client asked for: it cannot collect the answer any more."""
        super().on_connection_close()
        if self._plain is not None:
            self._plain.cancel()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with a JSON-RPC error."""
        error = (kwargs.get("exc_info") or (None, None))[1]
        message = error.log_message if isinstance(error, web.HTTPError) else None
        message = message or HTTPStatus(status_code).phrase
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": message}}))
