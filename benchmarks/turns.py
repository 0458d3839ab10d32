"""A Jupyter server extension that measures the processor time of the longest turn of the server's event loop.

Wall-clock time counts what other processes of the machine take as well; the time of the loop's own thread does not.
``GET bench/turns`` returns the longest turn since the last request, in milliseconds, and the turns themselves. With the
environment variable ``PCTX_BENCH_CALLBACKS`` it also returns which callbacks the long turns ran, and what the
collection of garbage took.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "benchmarks.turns"}]


CALLBACKS = "PCTX_BENCH_CALLBACKS"
"""The environment variable that has callbacks measured, too. Each then costs the loop a microsecond more."""

LONG_S = 0.02
"""Seconds of processor time from which the callbacks of a turn are noted."""


MOST_TURNS = 200_000
"""Turns that are kept, the latest."""


class Turns:
    """The turns so far, the longest of them, and what the long ones ran."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._turns: deque[tuple[float, float, float]] = deque(maxlen=MOST_TURNS)
        self._in_this_turn: dict[str, float] = defaultdict(float)
        self._notes: dict[str, list[float]] = defaultdict(list)

    def measure(self, turn: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a turn of the loop that notes how long it takes."""

        def measured(loop: Any) -> None:
            self._in_this_turn.clear()
            begin, start = time.perf_counter(), time.thread_time()
            turn(loop)
            taken_s = time.thread_time() - start
            self._turns.append((begin, time.perf_counter(), taken_s))
            self.longest_s = max(self.longest_s, taken_s)
            if taken_s > LONG_S:
                for name, some_s in self._in_this_turn.items():
                    self._notes[name].append(some_s)

        return measured

    def measure_callbacks(self) -> None:
        """Note what each callback takes, and each collection of garbage."""
        run: Any = asyncio.Handle._run  # type: ignore[attr-defined]  # what the loop calls
        collecting_since = 0.0

        def measured(handle: Any) -> None:
            name = _name(handle._callback)
            start = time.thread_time()
            run(handle)
            self._in_this_turn[name] += time.thread_time() - start

        def collected(phase: str, info: dict[str, int]) -> None:
            nonlocal collecting_since
            if phase == "start":
                collecting_since = time.thread_time()
            else:
                self._in_this_turn[f"garbage {info['generation']}"] += time.thread_time() - collecting_since

        asyncio.Handle._run = measured  # type: ignore[attr-defined]
        gc.callbacks.append(collected)

    def take(self) -> dict[str, Any]:
        """Return the longest turn and the notes in milliseconds, and begin again.

        Each turn is its begin and its end in seconds of the system's clock, which all processes share, and its
        processor time.
        """
        turns = list(self._turns)
        self._turns.clear()
        longest_s, self.longest_s = self.longest_s, 0.0
        notes, self._notes = self._notes, defaultdict(list)
        found = [
            {"what": name, "turns": len(some), "longest_ms": 1000 * max(some), "ms": 1000 * sum(some)}
            for name, some in notes.items()
        ]
        longest_ms = 1000 * longest_s
        return {"longest_ms": longest_ms, "turns": turns, "callbacks": sorted(found, key=lambda one: -one["ms"])[:12]}


def _name(callback: Any) -> str:
    """Return the name of a callback; a task's is that of its coroutine."""
    task = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        return str(getattr(task.get_coro(), "__qualname__", task.get_coro()))
    while (wrapped := getattr(callback, "func", None)) is not None:
        callback = wrapped
    return str(getattr(callback, "__qualname__", callback))


class TurnsHandler(JupyterHandler):
    """Answers with the longest turn."""

    def initialize(self, turns: Turns) -> None:
        self.turns = turns

    @web.authenticated
    def get(self) -> None:
        self.finish(self.turns.take())


def _load_jupyter_server_extension(server: Any) -> None:
    turns = Turns()
    loops: Any = asyncio.base_events.BaseEventLoop
    loops._run_once = turns.measure(loops._run_once)
    if os.environ.get(CALLBACKS):
        turns.measure_callbacks()
    path = url_path_join(server.web_app.settings["base_url"], "bench/turns")
    server.web_app.add_handlers(".*$", [(path, TurnsHandler, {"turns": turns})])
