"""One engine for the life of a server: opened when first asked for, closed once, in a task of its own.

A task of its own, because what a task opens, the same task should close, and requests come and go in others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from .. import errors
from ..engine import Engine, open_engine
from ..settings import Places, Settings
from .garbage import Survivors
from .turns import Lanes, TurnBudget

log = logging.getLogger(__name__)


def _attach_nothing(engine: Engine) -> Callable[[], None]:
    return lambda: None


class RunningEngine:
    """The engine of one server.

    Args:
        settings: Its limits and switches.
        places: Where its files are.
        attach: Is called with the engine when it has opened; returns what to call before it closes.

    Attributes:
        messages: What clients' WebSockets may deliver in a turn of the loop.
        requests: What requests by HTTP pass one after another; a lane for each route.
    """

    def __init__(
        self, settings: Settings, places: Places, attach: Callable[[Engine], Callable[[], None]] = _attach_nothing
    ) -> None:
        self.settings, self._places, self._attach = settings, places, attach
        self.messages, self.requests = TurnBudget(), Lanes()
        self._task: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[Engine] | None = None
        self._stop = asyncio.Event()

    @property
    def engine(self) -> Engine | None:
        """The engine, while it is open."""
        return self._opened.result() if self._opened is not None and _has_result(self._opened) else None

    async def get(self) -> Engine:
        """The engine; opened first if need be.

        Raises:
            Cancelled: The server is stopping.
        """
        if self._stop.is_set():
            raise errors.Cancelled("Cannot serve: the server is stopping")
        if self._opened is None or (self._opened.done() and not _has_result(self._opened)):
            self._opened = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._run(self._opened), name="pctx engine")
        try:
            return await asyncio.shield(self._opened)
        except Exception as error:  # the same for all who wait
            raise errors.fresh(error) from None

    async def stop(self) -> None:
        """Close the engine, and every connection with it; it is not opened again."""
        self._stop.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self, opened: asyncio.Future[Engine]) -> None:
        try:
            async with open_engine(self.settings, self._places, is_served=True) as engine:
                detach = self._attach(engine)
                # All that is loaded by now stays until the server ends. Each full collection of Python's garbage would
                # visit it, and keep the loop for a tenth of a second.
                survivors = Survivors()
                survivors.begin()
                engine.on_session_closed = survivors.session_closed
                try:
                    opened.set_result(engine)
                    await self._stop.wait()
                finally:
                    survivors.end()
                    detach()
        except Exception as error:
            log.exception("engine = failed")
            if not opened.done():
                opened.set_exception(error)


def _has_result(future: asyncio.Future[Engine]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
