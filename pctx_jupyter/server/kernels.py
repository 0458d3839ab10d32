"""A token of its own for each kernel this server starts, put into that kernel's environment.

It opens what `access` gives to a kernel's token, and nothing else of the server: it is no token of Jupyter's. It is
valid while the kernel manager has the kernel, restarts included, so nothing has to be cleaned up when a kernel goes,
however it goes. Tokens live in memory and are never logged.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from jupyter_core.utils import ensure_async

from ..rpc.environment import PIPE, TOKEN, URL


class KernelManager(Protocol):
    """What we need of Jupyter's kernel manager, whichever it is."""

    start_kernel: Callable[..., Awaitable[str]]

    def __contains__(self, kernel_id: str) -> bool: ...
    def new_kernel_id(self, **kwargs: Any) -> str: ...


class KernelTokens:
    """The tokens of the kernels of one server.

    Args:
        manager: Starts kernels; from now on with our variables in their environment.
        url: Returns the server's address, which is final only once the server listens.

    Attributes:
        pipe: The path of the server's Unix socket; empty while there is none.
    """

    def __init__(self, manager: KernelManager, url: Callable[[], str]) -> None:
        self._manager, self._url = manager, url
        self.pipe = ""
        self._tokens: dict[str, str] = {}
        self._starting: set[str] = set()
        self._start = manager.start_kernel
        manager.start_kernel = self._start_kernel

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
            return await ensure_async(self._start(**kwargs))
        finally:
            self._starting.discard(kernel_id)
