"""A token of its own for each kernel this server starts, put into that kernel's environment.

It opens what `access` gives to a kernel's token, and nothing else of the server: it is no token of Jupyter's. It is
valid while the kernel manager has the kernel, restarts included, so nothing has to be cleaned up when a kernel goes,
however it goes. Tokens live in memory and are never logged.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from jupyter_core.utils import ensure_async

from ..rpc.environment import PIPE, TOKEN, URL
from ..session.owners import Cause

log = logging.getLogger(__name__)


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
        url: Returns the server's address, which is final only once the server listens.
        note: Called with the id of a kernel that is restarted, or has died, and which of them it is.

    Attributes:
        pipe: The path of the server's Unix socket; empty while there is none.
    """

    def __init__(
        self,
        manager: KernelManager,
        url: Callable[[], str],
        note: Callable[[str, Cause], None] = lambda kernel_id, cause: None,
    ) -> None:
        self._manager, self._url, self._note = manager, url, note
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

    def is_alive(self, kernel_id: str) -> bool:
        """Whether the server has this kernel, or is starting it."""
        return kernel_id in self._starting or kernel_id in self._manager

    async def _start_kernel(self, **kwargs: Any) -> str:
        kernel_id = kwargs.pop("kernel_id", None) or self._manager.new_kernel_id(**kwargs)
        kwargs["kernel_id"] = kernel_id
        if kernel_id in self._manager:  # a request for one that runs already
            return await ensure_async(self._start(**kwargs))
        self._tokens = {id: token for id, token in self._tokens.items() if self.is_alive(id)}
        token = self._tokens[kernel_id] = secrets.token_urlsafe(32)
        ours = {URL: self._url(), TOKEN: token, PIPE: self.pipe}
        kwargs["env"] = {**(kwargs.get("env") or os.environ), **ours}
        self._starting.add(kernel_id)
        try:
            started: str = await ensure_async(self._start(**kwargs))
        finally:
            self._starting.discard(kernel_id)
        self._follow(kernel_id)
        return started

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
