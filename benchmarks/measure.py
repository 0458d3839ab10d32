"""Medians, and the table they go into."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median

RUNS = 30
"""Repetitions of each measurement."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Figures in `unit`; `goal` is the largest good one (`more_is_better`: the smallest)."""

    work: str
    ours: float
    goal: float
    baseline: float | None = None
    baseline_is: str = ""
    unit: str = "ms"
    more_is_better: bool = False

    @property
    def is_met(self) -> bool:
        return self.ours >= self.goal if self.more_is_better else self.ours <= self.goal

    def __str__(self) -> str:
        sign = "≥" if self.more_is_better else "≤"
        base = f"{self.baseline:8.2f} {self.baseline_is}" if self.baseline is not None else "         –"
        verdict = "met" if self.is_met else "MISSED"
        return f"{self.work:<58} {self.ours:9.2f} {self.unit:<5} {sign} {self.goal:8.2f}  {verdict:<7} {base}"


HEAD = f"{'work':<58} {'ours':>9} {'':<5}   {'goal':>8}  {'':<7} baseline"


async def time_ms(
    work: Callable[[], Awaitable[object]], *, runs: int = RUNS, rest: Callable[[], Awaitable[None]] | None = None
) -> float:
    """The median duration of `work` in milliseconds; `rest` is awaited before each run, unmeasured."""
    took = []
    for _ in range(runs):
        if rest is not None:
            await rest()
        start = time.perf_counter()
        await work()
        took.append(time.perf_counter() - start)
    return 1000 * median(took)


async def paired_ms(
    ours: Callable[[], Awaitable[float]], base: Callable[[], Awaitable[float]], *, runs: int = RUNS
) -> tuple[float, float]:
    """The medians of two durations in milliseconds, taken in turns, so that a busy moment meets both."""
    one, other = await in_turns_ms(ours, base, runs=runs)
    return one, other


async def in_turns_ms(*works: Callable[[], Awaitable[float]], runs: int = RUNS) -> list[float]:
    """The medians of several durations in milliseconds, taken in turns."""
    took = [[await work() for work in works] for _ in range(runs)]
    return [1000 * median(column) for column in zip(*took, strict=True)]


async def seconds(work: Awaitable[object]) -> float:
    """How long one awaitable takes."""
    start = time.perf_counter()
    await work
    return time.perf_counter() - start
