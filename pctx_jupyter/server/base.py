"""What our handlers share: who may come in, and from where. Everything here happens before any handler acts.

A request is let in for a user of the server whom its authorizer allows, or for a kernel with its own token. A foreign
``Origin`` is refused whatever else it brings.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from jupyter_core.utils import ensure_async
from jupyter_server.auth import User
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import origin_matches_pat
from tornado import web

from .. import errors
from ..engine import Engine
from ..rpc import wire
from .kernels import TOKEN_HEADER, KernelTokens
from .running import RunningEngine

RUNNING = "pctx_running_engine"
"""The web application's setting with the `RunningEngine`."""

KERNELS = "pctx_kernel_tokens"
"""The web application's setting with the `KernelTokens`, or None when kernels do not run here."""

NAMES = "pctx_notebook_names"
"""The web application's setting with the `NotebookNames`, or None when kernels do not run here."""

RESOURCE = "pctx"
"""What an authorizer is asked about; the actions are ``read``, ``write`` and ``execute``."""

Body = TypeVar("Body", bound=msgspec.Struct)


class PctxHandler(JupyterHandler):
    """A request to pctx."""

    auth_resource = RESOURCE
    kernel_id: str | None = None
    """The kernel that asks, if one does by its own token."""

    async def prepare(self) -> None:  # type: ignore[override]  # the base returns what it awaits
        """Let in whom we know, from where we trust; everybody else gets a 403 here."""
        self.kernel_id = self._kernel()
        if self.kernel_id is None:
            await super().prepare()
        elif self.check_host():
            self.current_user = self._jupyter_current_user = User(f"kernel-{self.kernel_id}")
        if self.current_user is None or not self._is_origin_trusted():
            raise web.HTTPError(HTTPStatus.FORBIDDEN)

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

    async def may(self, action: str) -> bool:
        """Whether the one who asks may do this, now.

        A kernel may while the server has it: whoever started it could run any code in it anyway.
        """
        if self.kernel_id is not None:
            return self._kernel() == self.kernel_id
        return bool(await ensure_async(self.authorizer.is_authorized(self, self.current_user, action, RESOURCE)))

    async def demand(self, action: str) -> None:
        """Refuse the request unless the one who asks may do this."""
        if not await self.may(action):
            raise web.HTTPError(HTTPStatus.FORBIDDEN, f"may not {action} {RESOURCE}")

    async def demand_user(self, action: str) -> None:
        """Refuse the request unless it is a user of the server who may do this: a kernel may not, whoever's it is."""
        if self.kernel_id is not None:
            raise web.HTTPError(HTTPStatus.FORBIDDEN, "a kernel's own token opens its own connection only")
        await self.demand(action)

    def read_body(self, kind: type[Body]) -> Body | None:
        """The body; None when it is not of this kind, which has been answered then."""
        try:
            return wire.read(msgspec.Raw(self.request.body), kind, self.request.path.rsplit("/", 1)[-1])
        except errors.InvalidParams as error:
            self.refuse(error)
            return None

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
        known = error.log_message if isinstance(error, web.HTTPError) else None
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"message": known or HTTPStatus(status_code).phrase}))

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
        origin = self.request.headers.get("Origin") or self.request.headers.get("Sec-WebSocket-Origin")
        by_cookie = self.kernel_id is None and self.identity_provider.auth_enabled and not self.token_authenticated
        if origin is None:
            # Browsers leave it out of a page's own GET, and then say so in a header that no page can set.
            is_own_page = self.request.headers.get("Sec-Fetch-Site") == "same-origin"
            return not by_cookie or (is_own_page and not self._is_upgrade())
        origin = origin.lower()
        if urlsplit(origin).netloc == self.request.headers.get("Host", "").lower():
            return True
        if by_cookie:
            return False
        if self.allow_origin:
            return bool(self.allow_origin in ("*", origin))
        return bool(self.allow_origin_pat and origin_matches_pat(self.allow_origin_pat, origin))
