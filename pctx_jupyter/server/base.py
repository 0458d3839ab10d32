"""What our handlers share: who may come in, from where, and for what. All of it is decided before any handler acts.

A request is let in for a user of the server whom its authorizer allows, or for a kernel with its own token, as the row
of its route in `access` says. A foreign ``Origin`` is refused whatever else the request brings. No log line shows what
a request carried as a credential.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import traceback
from contextlib import suppress
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

import msgspec
from jupyter_core.utils import ensure_async
from jupyter_server.auth import User
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import origin_matches_pat
from tornado import web
from tornado.iostream import StreamClosedError

from .. import errors, foreign, processes
from ..engine import Engine
from ..hosts.messages import TOKEN_HEADER as HOST_TOKEN_HEADER
from ..hosts.tokens import is_token, token_file
from ..rpc import wire
from ..rpc.environment import TOKEN_HEADER, without_secrets
from ..session import access
from .kernels import KernelTokens
from .running import RunningEngine

RUNNING = "pctx_running_engine"
"""The web application's setting with the `RunningEngine`."""

KERNELS = "pctx_kernel_tokens"
"""The web application's setting with the `KernelTokens`; None: a server without kernels."""

NAMES = "pctx_notebook_names"
"""The web application's setting with the `NotebookNames`; None: a server without kernels."""

RESOURCE = "pctx"
"""What an authorizer is asked about; the actions are ``read``, ``write`` and ``execute``."""

CODE = "kernels"
"""The resource that a user must be allowed to execute to run code outside of a sandbox: a kernel runs any code."""

NO_TOKEN = "Authentication required: send the header 'Authorization: Bearer <token of the Jupyter server>'"
FOREIGN_PAGE = (
    "Refused: this Origin is not the server's own; ServerApp.allow_origin can allow one, for requests with a token"
)
FOREIGN_HOST = (
    "Refused: this Host is not local; ServerApp.local_hostnames can have its name, and "
    "ServerApp.allow_remote_access=True allows every name"
)
_ORIGIN = re.compile(r"https?://[^/?#@\s]+")
"""The origin of a page, as a browser sends it: a scheme and a host. ``null``, or nothing at all, is none."""

SHORTEST = 4
"""Characters a credential must have to be taken out of a log line: a shorter one would be found by accident."""

HIDDEN = "***"
"""What a log line has in place of a credential."""

BODY_BYTES = 8 << 20
"""Bytes of a request's body where a route has no other limit: reading so much JSON takes some milliseconds."""

BODY_S = 30.0
"""Seconds in which the body of a request has to come, besides one for each `SLOWEST_BYTES` of it."""

SLOWEST_BYTES = 100_000
"""Bytes of a body that come in a second on the slowest connection that is served."""

RETRY_S = 2
"""Seconds after which a client may repeat a request that was refused with a 429 or a 503."""

log = logging.getLogger(__name__)

RequestBody = TypeVar("RequestBody", bound=msgspec.Struct)


@web.stream_request_body
class PctxHandler(JupyterHandler):
    """A request to pctx. Nothing of its body is kept before the request is admitted, nor if the body is too large."""

    auth_resource = RESOURCE
    refusal = "a kernel's own token cannot be used here; sign in as a user of the server"
    """The error message for a kernel that may not use this."""
    kernel_id: str | None = None
    """The kernel that asks, if one does by its own token."""

    def initialize(self, path: str) -> None:
        """Note the route, and drop the query from the two addresses that Tornado and Jupyter log: it may hold a token.

        The arguments have been read by now.

        Args:
            path: The path of this route in `access.ROUTES`.
        """
        self._route = access.ROUTES.get((path, self.request.method or ""))
        self.request.uri = self.request.path
        if "Referer" in self.request.headers:
            self.request.headers["Referer"] = without_secrets(self.request.headers["Referer"])
        self.current_user = None  # none, until `prepare` has identified the caller
        self._chunks: list[bytes] = []
        self._keeps_body = False
        self._body_deadline: asyncio.TimerHandle | None = None

    @property
    def most_body_bytes(self) -> int:
        """The bytes that the body may have."""
        return BODY_BYTES

    @property
    def content(self) -> bytes:
        """The body; complete when the method of the handler is called."""
        if len(self._chunks) > 1:
            self._chunks = [b"".join(self._chunks)]
        return self._chunks[0] if self._chunks else b""

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the body, unless the request is refused anyway."""
        if self._keeps_body:
            self._chunks.append(chunk)

    async def prepare(self) -> None:  # type: ignore[override]  # the base returns what it awaits
        """Refuse callers without authentication, trusted origin or permission, with a 403; too large a body with a 413.

        A body that has not come in time is refused with a 408 later.

        Of each route, one request a turn of the loop passes: it may take some milliseconds before it first waits.
        """
        self._limit_time_of_body()
        running: RunningEngine = self.settings[RUNNING]
        await running.requests.enter(self.request.path if self._route is None else self._route.path)
        if "Content-Length" not in self.request.headers:
            foreign.limit_body(self.request.connection, self.most_body_bytes)
        try:
            await self._admit()
            self._demand_short_body()
        except Exception:
            # A client may read the answer only when it has sent the body. One that asks first need not send it.
            if "Expect" not in self.request.headers:
                with suppress(StreamClosedError):
                    await foreign.read_body(self)
            raise
        self._keeps_body = True

    def on_finish(self) -> None:
        """Forget how long the body may take."""
        super().on_finish()
        if self._body_deadline is not None:
            self._body_deadline.cancel()

    def _limit_time_of_body(self) -> None:
        """Refuse the request later if its body has not come by then: a connection that waits for it is not free."""
        headers = self.request.headers
        if headers.get("Content-Length", "0") == "0" and "Transfer-Encoding" not in headers:
            return
        size = min(self._announced_bytes() or self.most_body_bytes, self.most_body_bytes)
        within_s = BODY_S + size / SLOWEST_BYTES
        self._body_deadline = asyncio.get_running_loop().call_later(within_s, self._refuse_slow_body, within_s)

    def _refuse_slow_body(self, within_s: float) -> None:
        if not foreign.has_body(self) and not self._finished:
            error = web.HTTPError(
                HTTPStatus.REQUEST_TIMEOUT,
                f"Cannot read the request: its body has not come within {within_s:.3g} s; send it without pauses",
            )
            self.log_exception(type(error), error, None)
            self.send_error(HTTPStatus.REQUEST_TIMEOUT, exc_info=(type(error), error, None))

    def _announced_bytes(self) -> int | None:
        size = self.request.headers.get("Content-Length", "")
        return int(size) if size.isdecimal() else None

    def _demand_short_body(self) -> None:
        size = self._announced_bytes()
        if size is not None and size > self.most_body_bytes:
            raise web.HTTPError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"Cannot read the request: it has {size:,} bytes and may have {self.most_body_bytes:,}",
            )

    async def _admit(self) -> None:
        """Find out who asks, and refuse with a 403 who may not."""
        if self._route is not None and self._route.host:
            self._admit_host()
            return
        if (token := self.request.headers.get(TOKEN_HEADER)) and (kernels := self.settings[KERNELS]) is not None:
            await kernels.settle(token)
        self.kernel_id = self._kernel()
        if not self.check_host():
            raise web.HTTPError(HTTPStatus.FORBIDDEN, FOREIGN_HOST)
        if self.kernel_id is None:
            await self._authenticate()
        else:
            self.current_user = self._jupyter_current_user = User(f"kernel-{self.kernel_id}")
        if not self._is_origin_trusted():
            raise web.HTTPError(HTTPStatus.FORBIDDEN, FOREIGN_PAGE if self._origins() else NO_TOKEN)
        route = self._route
        if route is None:
            raise web.HTTPError(HTTPStatus.METHOD_NOT_ALLOWED)
        if self.kernel_id is not None and not route.kernel:
            raise web.HTTPError(HTTPStatus.FORBIDDEN, self.refusal)
        if not await self.may(route.action):
            raise web.HTTPError(HTTPStatus.FORBIDDEN, f"may not {route.action} {RESOURCE}")
        if route.code is access.Code.ALWAYS:
            await self.demand_code()

    async def _authenticate(self) -> None:
        """Find out which user asks."""
        try:
            await super().prepare()
        except web.HTTPError as error:
            if error.status_code == HTTPStatus.FORBIDDEN and self.current_user is None:
                raise web.HTTPError(HTTPStatus.FORBIDDEN, NO_TOKEN) from None
            raise
        if self.current_user is None:
            raise web.HTTPError(HTTPStatus.FORBIDDEN, NO_TOKEN)

    def _admit_host(self) -> None:
        """Let in a sandbox host by its token. Whatever else the request brings does not count; no page may send it."""
        headers = self.request.headers
        running: RunningEngine = self.settings[RUNNING]
        token = headers.get(HOST_TOKEN_HEADER, "")
        if not token or self._origins() or not self.check_host() or not is_token(token, token_file(running.settings)):
            raise web.HTTPError(HTTPStatus.FORBIDDEN)
        self.current_user = self._jupyter_current_user = User("sandbox-host")

    def check_xsrf_cookie(self) -> None:
        """Refuse a page from elsewhere with a 403, whatever the method; Jupyter's 404 hides what it is about."""
        try:
            super().check_xsrf_cookie()
        except web.HTTPError as error:
            raise web.HTTPError(HTTPStatus.FORBIDDEN, error.log_message) from None

    def get_login_url(self) -> str:
        """Nobody here can log in: refuse in place of a redirect."""
        raise web.HTTPError(HTTPStatus.FORBIDDEN)

    def check_origin(self, origin_to_satisfy_tornado: str = "") -> bool:
        """Whether the page that asks may; the same rule on every version of Tornado and for every handler."""
        return self._is_origin_trusted()

    async def may(self, action: str, resource: str = RESOURCE) -> bool:
        """Whether the caller may do this, now.

        A kernel may as long as the server has it: the user who started it could run any code in it anyway.
        """
        if self.kernel_id is not None:
            return self._kernel() == self.kernel_id
        return bool(await ensure_async(self.authorizer.is_authorized(self, self.current_user, action, resource)))

    async def demand_code(self) -> None:
        """Refuse the request unless its sender may run code outside of a sandbox."""
        if not await self.may("execute", CODE):
            raise web.HTTPError(
                HTTPStatus.FORBIDDEN,
                f"this starts a command or reads a secret, and needs the right to execute {CODE}",
            )

    def read_body(self, kind: type[RequestBody]) -> RequestBody | None:
        """The body; None when it is not of this kind, which has been answered then."""
        try:
            return wire.read(msgspec.Raw(self.content), kind, self.request.path.rsplit("/", 1)[-1])
        except errors.InvalidParams as error:
            self.refuse(error)
            return None

    def set_status(self, status_code: int, reason: str | None = None) -> None:
        """Set the status of the answer; with a 429 or a 503, it says when the request may be repeated."""
        super().set_status(status_code, reason)
        if status_code in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            self.set_header("Retry-After", str(RETRY_S))

    def send(self, answer: object) -> None:
        """Finish with JSON."""
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(answer))

    def refuse(self, error: errors.PctxError) -> None:
        """Answer with an error's status and message."""
        self.set_status(error.status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"message": error.message}))

    async def open_engine(self) -> Engine:
        """The engine of this server."""
        running: RunningEngine = self.settings[RUNNING]
        try:
            return await running.get()
        except errors.PctxError as error:
            raise web.HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, error.message) from None

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with ``{"message": …}``; what is ours to know stays in the log."""
        error = (kwargs.get("exc_info") or (None, None))[1]
        known = error.log_message if isinstance(error, web.HTTPError) else error and processes.lack(error)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"message": known or HTTPStatus(status_code).phrase}))

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Log an error in place of Tornado, whose line has the address as it came and a dump of the request."""
        asked = f"{self.request.method} {self.request.path} ({self.request.remote_ip})"
        if not isinstance(value, web.HTTPError):
            where = "".join(traceback.format_exception(typ, value, tb))  # its messages may quote what was sent
            log.error("%s = failed\n%s", asked, self._without_credentials(where))
        elif message := value.get_message():
            log.warning("%s = %d: %s", asked, value.status_code, self._without_credentials(message))

    def get_signed_cookie(
        self, name: str, value: str | None = None, max_age_days: float = 31, min_version: int | None = None
    ) -> bytes | None:
        """Read a signed cookie of today's format; Tornado logs the value of an older one that it refuses."""
        return super().get_signed_cookie(name, value, max_age_days, min_version or 2)

    get_secure_cookie = get_signed_cookie

    def _without_credentials(self, text: str) -> str:
        """A text without anything that this request carried in its credentials, its arguments or its cookies."""
        headers = [
            self.request.headers.get(name, "") for name in ("Authorization", "Cookie", TOKEN_HEADER, HOST_TOKEN_HEADER)
        ]
        given = [*headers, headers[0].partition(" ")[2].strip(), *(one.value for one in self.cookies.values())]
        for values in self.request.arguments.values():
            for sent in values:
                given += [sent.decode("utf-8", "replace"), quote(sent), quote_plus(sent)]
        for value in sorted(set(given), key=len, reverse=True):
            if len(value) >= SHORTEST:
                text = text.replace(value, HIDDEN)
        return text

    def _kernel(self) -> str | None:
        token = self.request.headers.get(TOKEN_HEADER)
        kernels: KernelTokens | None = self.settings[KERNELS]
        return kernels.owner(token) if token and kernels is not None else None

    def _is_upgrade(self) -> bool:
        return "Upgrade" in self.request.headers

    def _is_origin_trusted(self) -> bool:
        """Programs send no Origin, browsers always do with a WebSocket.

        A cookie comes along with any page's request, so it counts only where the Origin is our own.
        """
        if self._route is not None and self._route.is_for_any_origin:
            return True
        origins = self._origins()
        by_cookie = self.kernel_id is None and self.identity_provider.auth_enabled and not self.token_authenticated
        if origins:
            return all(self._is_own(origin) or (not by_cookie and self._is_allowed(origin)) for origin in origins)
        # Browsers leave it out of a page's own GET, and then say so in a header that no page can set.
        is_own_page = self.request.headers.get("Sec-Fetch-Site") == "same-origin"
        return not by_cookie or (is_own_page and not self._is_upgrade())

    def _origins(self) -> list[str]:
        """Where a page says that it comes from; empty: no page does, or one that leaves it out."""
        headers = self.request.headers
        return [headers[name] for name in ("Origin", "Sec-WebSocket-Origin") if name in headers]

    def _is_own(self, origin: str) -> bool:
        """Whether it is the origin of this server's own pages."""
        origin, host = origin.lower(), self.request.headers.get("Host", "").lower()
        return _ORIGIN.fullmatch(origin) is not None and origin.partition("://")[2] == host

    def _is_allowed(self, origin: str) -> bool:
        """Whether the administrator allows it; an empty header names no origin, and cannot be allowed."""
        origin = origin.lower().strip()
        if not origin:
            return False
        if self.allow_origin:
            return bool(self.allow_origin in ("*", origin))
        return bool(self.allow_origin_pat and origin_matches_pat(self.allow_origin_pat, origin))
