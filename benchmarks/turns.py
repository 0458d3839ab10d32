"""A Jupyter server extension that measures the processor time of the longest turn of the server's event loop.

Wall-clock time counts what other processes of the machine take as well; the time of the loop's own thread does not.
``GET bench/turns`` returns the longest turn since the last request, in milliseconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "benchmarks.turns"}]


class Turns:
    """The longest turn so far."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    def measure(self, turn: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a turn of the loop that notes how long it takes."""

        def measured(loop: Any) -> None:
            start = time.thread_time()
            turn(loop)
            self.longest_s = max(self.longest_s, time.thread_time() - start)

        return measured

    def take(self) -> float:
        """Return the longest turn in milliseconds, and begin again."""
        longest_s, self.longest_s = self.longest_s, 0.0
        return 1000 * longest_s


class TurnsHandler(JupyterHandler):
    """Answers with the longest turn."""

    def initialize(self, turns: Turns) -> None:
        self.turns = turns

    @web.authenticated
    def get(self) -> None:
        self.finish({"longest_ms": self.turns.take()})


def _load_jupyter_server_extension(server: Any) -> None:
    turns = Turns()
    loops: Any = asyncio.base_events.BaseEventLoop
    loops._run_once = turns.measure(loops._run_once)
    path = url_path_join(server.web_app.settings["base_url"], "bench/turns")
    server.web_app.add_handlers(".*$", [(path, TurnsHandler, {"turns": turns})])
