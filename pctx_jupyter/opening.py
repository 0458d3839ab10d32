"""Opens an engine that is to be used at once: in a kernel, a command, or any Python program.

To import the engine takes as long as a quarter of all that the first checked program waits for. So its modules are
imported on another thread, while the type checker starts. A Jupyter server imports them before anybody waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING

from . import threads
from .own_task import in_own_task
from .sandbox.checker import open_checker
from .settings import Places, Settings

if TYPE_CHECKING:
    from .engine import Engine


@asynccontextmanager
async def open_at_once(settings: Settings, places: Places | None = None) -> AsyncIterator[Engine]:
    """Open an engine as `engine.open_engine` does, while its type checker starts.

    Args:
        settings: Its limits and switches.
        places: Where its files are; None: it has none.

    Raises:
        ModuleNotFoundError: This environment has no engine.
        SandboxUnavailable: An audit log is required, and cannot be written.
    """
    async with in_own_task(_open(settings, places), "pctx engine at once") as engine:
        yield engine


@asynccontextmanager
async def _open(settings: Settings, places: Places | None) -> AsyncIterator[Engine]:
    async with open_checker(settings, check_s=settings.max_check_s) as checker:
        if settings.typecheck:
            checker.warm()
        with suppress(RuntimeError):  # there can be no more threads
            await threads.compute(import_module, f"{__package__}.engine")
        from .engine import open_engine

        async with open_engine(settings, places, checker=checker) as engine:
            yield engine
