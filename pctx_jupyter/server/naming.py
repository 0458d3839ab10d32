"""Gives each kernel's tools the name of its notebook, and keeps up when that is renamed.

It knows which path belongs to which kernel, from Jupyter's session manager. The registry decides how a path becomes a
name, and whether the name is free.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import PurePosixPath
from typing import Any, Protocol

from jupyter_core.utils import ensure_async

from ..session.registry import Registry

log = logging.getLogger(__name__)

NO_NOTEBOOK = "Kernel"
"""What a kernel is called that belongs to nothing that has a name."""

CONSOLE = "Console"
"""What a console's kernel is called: its path is made up, and says nothing."""

_DRIVE = re.compile(r"^[A-Za-z][\w-]+:")
"""What stands before a path of another drive than the usual one: ``RTC:reports/sales.ipynb``."""


class SessionManager(Protocol):
    """What we need of Jupyter's session manager, whichever it is."""

    save_session: Callable[..., Awaitable[Any]]
    update_session: Callable[..., Awaitable[Any]]

    def list_sessions(self) -> Awaitable[list[dict[str, Any]]]: ...


class NotebookNames:
    """The names of the kernels of one server.

    Args:
        sessions: Knows paths; changes of paths are followed from now on.
        registry: Keeps the names; returns None while there are no names to keep.
        is_alive: Whether a kernel of this id runs.
    """

    def __init__(
        self, sessions: SessionManager, registry: Callable[[], Registry | None], is_alive: Callable[[str], bool]
    ) -> None:
        self._sessions, self._registry, self._is_alive = sessions, registry, is_alive
        sessions.save_session = self._then_rename(sessions.save_session)
        sessions.update_session = self._then_rename(sessions.update_session)

    async def name(self, kernel_id: str) -> None:
        """Name a kernel, whether it has a name already or not."""
        await self._name([kernel_id])

    def _then_rename(self, change: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def change_and_rename(*args: Any, **kwargs: Any) -> Any:
            done = await ensure_async(change(*args, **kwargs))
            if (registry := self._registry()) is not None:
                await self._name(registry.named_kernels)
            return done

        return change_and_rename

    async def _name(self, kernel_ids: list[str]) -> None:
        try:
            known = _names(await ensure_async(self._sessions.list_sessions()))
        except Exception:
            # A name is worth less than the connection, or the notebook, that waits for it.
            log.exception("names = cannot ask for the notebooks' paths")
            known = {}
        registry = self._registry()
        if registry is None:
            return
        for gone in registry.named_kernels:
            if not self._is_alive(gone):
                registry.forget_kernel(gone)
        # A notebook that has a name and another kernel now keeps it, whether that kernel is connected yet or not.
        moved = (id for id, there in known.items() if any(registry.is_known(path) for _, path in there))
        for kernel_id in dict.fromkeys([*kernel_ids, *moved]):
            if self._is_alive(kernel_id):
                there = known.get(kernel_id, [])
                registry.name_kernel(kernel_id, *_chosen(there, registry.path_of(kernel_id)))


def _names(sessions: list[dict[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """What each kernel may be called, with the path of that notebook; of a notebook and its console, the notebook."""
    found: dict[str, list[tuple[str, str]]] = {}
    for session in sorted(sessions, key=lambda session: session.get("type") == "notebook", reverse=True):
        kernel = session.get("kernel") or {}
        if (kernel_id := kernel.get("id")) is not None:
            found.setdefault(kernel_id, []).append(_name(session))
    return found


def _chosen(there: list[tuple[str, str]], before: str) -> tuple[str, str]:
    """Of several notebooks of one kernel, the one whose name it has already, or the first."""
    if not there:
        return NO_NOTEBOOK, ""
    return next((one for one in there if before and one[1] == before), there[0])


def _name(session: dict[str, Any]) -> tuple[str, str]:
    if session.get("type") == "console":
        return CONSOLE, ""
    path = str(session.get("path") or "").encode(errors="replace").decode()
    name = PurePosixPath(_DRIVE.sub("", path)).stem
    return (name, path) if name else (NO_NOTEBOOK, "")
