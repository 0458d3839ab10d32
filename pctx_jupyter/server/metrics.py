"""Metrics for Prometheus, on the server's own ``/metrics``.

What is counted as it happens costs about a microsecond each; the present state is read when somebody asks for it. No
label has a name of a tool, a notebook or an agent: there may be any number of them, and they may be confidential.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import REGISTRY, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from ..engine import Engine
from ..session.execution import CallMade
from ..session.trace import Trace

RUN_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)
"""Seconds that separate the classes of executions; the longest limit that can be set by default is 600."""
CALL_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
CHECK_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3)


class Metrics(Collector):
    """The metrics of one engine; an observer (`session.observers.Observer`)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # They belong to this collector alone, so that two servers in one process do not meet.
        self._executions = Counter(
            "pctx_executions", "Executions that have ended.", ("asked_by", "outcome", "stopped_by"), registry=None
        )
        self._run_s = Histogram(
            "pctx_execution_seconds", "Seconds an execution took.", ("asked_by",), registry=None, buckets=RUN_S
        )
        self._checks = Histogram(
            "pctx_check_seconds", "Seconds a type check took.", ("outcome",), registry=None, buckets=CHECK_S
        )
        self._calls = Counter("pctx_calls", "Calls of tools that have ended.", ("asked_by", "outcome"), registry=None)
        self._call_s = Histogram(
            "pctx_call_seconds", "Seconds a call took, with waiting for consent.", registry=None, buckets=CALL_S
        )
        self._decisions = Counter(
            "pctx_decisions", "Decisions on calls that no rule simply allowed.", ("decision",), registry=None
        )

    def execution_ended(self, trace: Trace) -> None:
        """Count an execution."""
        self._executions.labels(trace.asked_by, trace.state, trace.stopped_by or "").inc()
        self._run_s.labels(trace.asked_by).observe(trace.duration_s or 0.0)
        if trace.check is not None:
            self._checks.labels(trace.check.outcome).observe(trace.check.duration_s)

    def call_ended(self, trace: Trace, call: CallMade) -> None:
        """Count a call."""
        self._calls.labels(trace.asked_by, call.outcome).inc()
        self._call_s.observe(call.ended_s - call.started_s)
        if call.decision is not None:
            self._decisions.labels(call.decision).inc()

    def describe(self) -> list[Metric]:
        """Name nothing beforehand: the registry would refuse a second engine of this process."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield what was counted, and the present state of the engine."""
        for counted in (self._executions, self._run_s, self._checks, self._calls, self._call_s, self._decisions):
            yield from counted.collect()
        engine = self._engine
        status: dict[str, Any] = engine.status()
        sandbox = status["sandbox"]
        for name, help, value in (
            ("pctx_sessions", "Sessions that are open.", status["sessions"]),
            ("pctx_tools", "Tools that sessions have registered.", status["tools"]),
            ("pctx_questions", "Calls that wait for a person's consent.", len(engine.registry.approvals)),
            ("pctx_checker_memory_bytes", "Memory of the type checkers.", status["checker"]["memory_bytes"]),
        ):
            yield GaugeMetricFamily(name, help, value=value)
        programs = GaugeMetricFamily("pctx_programs", "Programs under way, by state.", labels=("state",))
        for state in ("running", "asking", "waiting"):
            programs.add_metric((state,), sandbox[state])
        yield programs
        sandboxes = GaugeMetricFamily("pctx_sandboxes", "Sandboxes without a program, by state.", labels=("state",))
        for state in ("warm", "starting"):
            sandboxes.add_metric((state,), sandbox[state])
        yield sandboxes
        if (hosts := sandbox.get("hosts")) is not None:
            yield GaugeMetricFamily("pctx_hosts", "Sandbox hosts that are connected.", value=len(hosts))
            capacity = sum(host["capacity"] for host in hosts if not host["leaving"])
            yield GaugeMetricFamily("pctx_host_sandboxes", "Programs that all hosts may run at once.", value=capacity)
        upstreams = GaugeMetricFamily("pctx_upstreams", "MCP servers, by state.", labels=("state",))
        known = engine.upstreams.listed().upstreams if engine.upstreams is not None else []
        for state, number in Tally(one.state for one in known).items():
            upstreams.add_metric((state,), number)
        yield upstreams


def expose(engine: Engine, registry: CollectorRegistry = REGISTRY) -> Callable[[], None]:
    """Count what an engine does, and show it on ``/metrics``; returns the function that ends both."""
    metrics = Metrics(engine)
    registry.register(metrics)
    stop_counting = engine.registry.observers.add(metrics)

    def stop() -> None:
        stop_counting()
        registry.unregister(metrics)

    return stop
