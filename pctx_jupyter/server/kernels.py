"""A token of its own for each kernel this server starts, put into that kernel's environment.

It opens what `access` gives to a kernel's token, and nothing else of the server: it is no token of Jupyter's. It is
valid while the kernel manager has the kernel, restarts included, so nothing has to be cleaned up when a kernel goes,
however it goes. Tokens live in memory and are never logged.

A server that uses a gateway gives the gateway both, address and token, in the request that starts a kernel. A server
that is such a gateway passes them on and gives a kernel none of its own: the notebook belongs to another server.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from jupyter_core.utils import ensure_async
from jupyter_server.base.call_context import CallContext

from ..rpc.environment import BEHIND_GATEWAY, GATEWAY_TOKEN, GATEWAY_URL, PIPE, TOKEN, URL
from ..session.owners import Cause

log = logging.getLogger(__name__)


SETTLE_S = 30.0
"""Seconds a kernel that is connected waits until the gateway that started it has answered; usually it has."""

_OURS = (URL, TOKEN, PIPE, GATEWAY_URL, GATEWAY_TOKEN)


class KernelManager(Protocol):
    """What we need of Jupyter's kernel manager, whichever it is."""

    start_kernel: Callable[..., Awaitable[str]]
    restart_kernel: Callable[..., Awaitable[Any]]
    shutdown_kernel: Callable[..., Awaitable[Any]]

    def add_restart_callback(self, kernel_id: str, callback: Callable[[], Any], event: str = "restart") -> None: ...
    def __contains__(self, kernel_id: str) -> bool: ...
    def new_kernel_id(self, **kwargs: Any) -> str: ...


class KernelTokens:
    """The tokens of the kernels of one server.

    Args:
        manager: Starts kernels; from now on with our variables in their environment.
        url: Returns the server's address, which is final only once the server listens; empty: kernels cannot reach
            it, and get no token.
        note: Called with the id of a kernel that is restarted, or has died, and which of them it is.
        is_remote: Whether a gateway starts the kernels and chooses their ids.

    Attributes:
        pipe: The path of the server's Unix socket; empty while there is none.
    """

    def __init__(
        self,
        manager: KernelManager,
        url: Callable[[], str],
        note: Callable[[str, Cause], None] = lambda kernel_id, cause: None,
        *,
        is_remote: bool = False,
    ) -> None:
        self._manager, self._url, self._note, self._is_remote = manager, url, note, is_remote
        self._unsettled: dict[str, asyncio.Event] = {}
        self.pipe = ""
        self._tokens: dict[str, str] = {}
        self._starting: set[str] = set()
        self._start = manager.start_kernel
        manager.start_kernel = self._start_kernel
        self._restart = getattr(manager, "restart_kernel", None)  # a manager need not be able to
        if self._restart is not None:
            manager.restart_kernel = self._restart_kernel
        self._shutdown = getattr(manager, "shutdown_kernel", None)
        if self._shutdown is not None:
            manager.shutdown_kernel = self._shutdown_kernel

    def owner(self, token: str) -> str | None:
        """The id of the kernel with this token; None when there is none, or it is no more."""
        given, found = token.encode(), None
        # Every token is compared, in constant time: the time it takes does not depend on which was close.
        for kernel_id, known in self._tokens.items():
            if hmac.compare_digest(given, known.encode()):
                found = kernel_id
        return found if found is not None and self.is_alive(found) else None

    async def settle(self, token: str) -> None:
        """Wait until the id of the kernel with this token is known, if a gateway is starting it."""
        given = token.encode()
        waits = [done for known, done in self._unsettled.items() if hmac.compare_digest(given, known.encode())]
        if waits:
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_S):
                    await waits[0].wait()

    def is_alive(self, kernel_id: str) -> bool:
        """Whether the server has this kernel, or is starting it."""
        return kernel_id in self._starting or kernel_id in self._manager

    def _forget_dead(self) -> None:
        """Forget the tokens of kernels that are gone."""
        self._tokens = {id: token for id, token in self._tokens.items() if self.is_alive(id)}

    async def _start_kernel(self, **kwargs: Any) -> str:
        kwargs["env"] = {key: kept for key, kept in (kwargs.get("env") or os.environ).items() if key not in _OURS}
        if self._is_remote:
            return await self._start_remote_kernel(kwargs)
        if (passed_on := _from_gateway_client()) is not None:
            kwargs["env"] |= {BEHIND_GATEWAY: "1", **passed_on}
            return await ensure_async(self._start(**kwargs))
        kernel_id = kwargs.pop("kernel_id", None) or self._manager.new_kernel_id(**kwargs)
        kwargs["kernel_id"] = kernel_id
        if kernel_id in self._manager:  # a request for one that runs already
            return await ensure_async(self._start(**kwargs))
        self._forget_dead()
        token = self._tokens[kernel_id] = secrets.token_urlsafe(32)
        ours = {URL: self._url(), TOKEN: token, PIPE: self.pipe}
        kwargs["env"] |= ours
        self._starting.add(kernel_id)
        try:
            started: str = await ensure_async(self._start(**kwargs))
        finally:
            self._starting.discard(kernel_id)
        self._follow(kernel_id)
        return started

    async def _start_remote_kernel(self, kwargs: dict[str, Any]) -> str:
        if kwargs.get("kernel_id") is not None:  # one that the gateway has already
            return await ensure_async(self._start(**kwargs))
        self._forget_dead()
        url, token, settled = self._url(), secrets.token_urlsafe(32), asyncio.Event()
        # Without an address, too: Jupyter sends this server's own environment as well, which may have an older one.
        kwargs["env"] |= {GATEWAY_URL: url, GATEWAY_TOKEN: token if url else ""}
        if not url:
            return await ensure_async(self._start(**kwargs))
        self._unsettled[token] = settled
        try:
            kernel_id: str = await ensure_async(self._start(**kwargs))
            self._tokens[kernel_id] = token
        finally:
            del self._unsettled[token]
            settled.set()
        self._follow(kernel_id)
        return kernel_id

    def _follow(self, kernel_id: str) -> None:
        """Take note when Jupyter restarts a kernel that has died, and when it gives that up."""
        try:
            self._manager.add_restart_callback(kernel_id, lambda: self._note(kernel_id, "restarted"), "restart")
            self._manager.add_restart_callback(kernel_id, lambda: self._note(kernel_id, "died"), "dead")
        except Exception:
            # What is said about a kernel is worth less than the kernel.
            log.debug("kernels = cannot follow %s", kernel_id[:8], exc_info=True)

    async def _restart_kernel(self, kernel_id: str, *args: Any, **kwargs: Any) -> Any:
        self._note(kernel_id, "restarted")  # first: the new process may be connected before this returns
        assert self._restart is not None, "it is wrapped where there is one"
        return await ensure_async(self._restart(kernel_id, *args, **kwargs))

    async def _shutdown_kernel(self, kernel_id: str, *args: Any, **kwargs: Any) -> Any:
        assert self._shutdown is not None, "it is wrapped where there is one"
        try:
            return await ensure_async(self._shutdown(kernel_id, *args, **kwargs))
        finally:
            if not self.is_alive(kernel_id):
                self._note(kernel_id, "shut down")


def _from_gateway_client() -> dict[str, str] | None:
    """What another server that uses this one as its gateway gives to the kernel that it asks for.

    Returns:
        The address of that server and its token, as far as it gives them; None: no such server asks. Requests of
        gateway clients have an environment for the kernel, and those of JupyterLab do not.
    """
    handler = CallContext.get(CallContext.JUPYTER_HANDLER)
    if handler is None or handler.request.method != "POST" or not handler.request.path.endswith("/api/kernels"):
        return None
    body = handler.get_json_body()
    environment = body.get("env") if isinstance(body, dict) else None
    if not isinstance(environment, dict):
        return None
    return {name: str(environment[name]) for name in (GATEWAY_URL, GATEWAY_TOKEN) if environment.get(name)}
