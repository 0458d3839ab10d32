"""Spans of OpenTelemetry: one for each execution, and a child for each of its calls, by the conventions for GenAI.

Where spans go, the tracer provider of this process decides, which an administrator sets. Without one nothing is
recorded. Nothing of OpenTelemetry is loaded here before other code of the process has loaded its API. A span has no
code, no arguments, no results and no text of an error, unless payloads are switched on.

Source: https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/execute-tool.md
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from msgspec import Raw

from .._version import __version__
from ..rpc.span_context import SpanContext, entered, loaded_api
from .trace import Trace

NAME = "pctx.execute"
"""The name of an execution's span."""
LONGEST_PAYLOAD = 16_384
"""Characters of code, of arguments and of a result that a span has."""
LONGEST_NAME = 100
"""Characters of the name of an error: a client may send any text as one."""


class Spans:
    """Begins the spans of one engine.

    Args:
        detail: The setting `Pctx.spans`: off, on, or payloads.
        clock: Monotonic seconds.
    """

    def __init__(self, detail: str, clock: Callable[[], float]) -> None:
        self._is_on, self._has_payloads, self._clock = detail != "off", detail == "payloads", clock
        self._provider: Any = None
        self._tracer: Any = None

    def begin(self, trace: Trace) -> ExecutionSpan | None:
        """Begin the span of an execution, as a child of the current one; None: nothing would record or carry it."""
        api = loaded_api() if self._is_on else None
        if api is None:
            return None
        provider = api.get_tracer_provider()
        if provider is not self._provider:
            self._provider, self._tracer = provider, api.get_tracer("pctx_jupyter", __version__)
        known = {"pctx.execution.id": trace.id, "pctx.asked_by": trace.asked_by}
        if trace.notebook:
            known["pctx.notebook"] = trace.notebook
        if trace.kernel_id:
            known["pctx.kernel.id"] = trace.kernel_id
        if trace.agent:
            known["gen_ai.agent.name"] = trace.agent
        if self._has_payloads:
            known["pctx.code"] = trace.code[:LONGEST_PAYLOAD]
        span = self._tracer.start_span(NAME, attributes=known)
        if not span.get_span_context().is_valid:
            return None
        return ExecutionSpan(api, self._tracer, span, trace.id, self._clock, has_payloads=self._has_payloads)


class ExecutionSpan:
    """The span of one execution. Made by `Spans.begin`."""

    def __init__(
        self, api: Any, tracer: Any, span: Any, id: str, clock: Callable[[], float], *, has_payloads: bool
    ) -> None:
        self._api, self._tracer, self._span, self._id = api, tracer, span, id
        self._clock, self._has_payloads = clock, has_payloads
        self._context: SpanContext = api.set_span_in_context(span)

    def queued(self) -> Callable[[], None]:
        """Take note that the program waits for its place; call the returned function when it has one."""
        since = self._clock()

        def begun() -> None:
            self._span.add_event("pctx.begun", {"pctx.queue.duration_s": round(self._clock() - since, 6)})

        return begun

    def begin_call(self, number: int, tool: str) -> CallSpan:
        """Begin the span of a call.

        Args:
            number: Counts the execution's calls.
            tool: The tool's path.
        """
        known = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": f"{self._id}.{number}",
        }
        span = self._tracer.start_span(f"execute_tool {tool}", self._context, attributes=known)
        # Not the context of this task: it may be one that the sandbox was started in, for another program.
        return CallSpan(self._api, span, self._api.set_span_in_context(span, self._context), self._has_payloads)

    def end(self, trace: Trace) -> None:
        """End it.

        Args:
            trace: The execution's, whole.
        """
        span = self._span
        if span.is_recording():
            known: dict[str, Any] = {
                "pctx.outcome": trace.state,
                "pctx.calls": trace.calls_in_all,
                "pctx.failed_calls": trace.failed_calls,
            }
            if trace.stopped_by is not None:
                known["pctx.stopped_by"] = trace.stopped_by
            if trace.check is not None:
                known["pctx.check.outcome"] = trace.check.outcome
                known["pctx.check.duration_s"] = trace.check.duration_s
            if trace.meter is not None:
                known |= {"pctx.tokens.here": trace.meter.here, "pctx.tokens.plain": trace.meter.plain}
            span.set_attributes(known)
            if trace.has_failed:
                _fail(self._api, span, trace.error.name if trace.error is not None else trace.state)
        span.end()


class CallSpan:
    """The span of one call. Made by `ExecutionSpan.begin_call`."""

    def __init__(self, api: Any, span: Any, context: SpanContext, has_payloads: bool) -> None:
        self._api, self._span, self._context, self._has_payloads = api, span, context, has_payloads

    def entered(self) -> AbstractContextManager[None]:
        """Make it the current span in a block: what serves the call becomes part of it.

        Baggage in the block is that of the execution's request.
        """
        return entered(self._context)

    def end(self, arguments: Raw | None, result: Raw | None, failed: str | None, decision: str | None) -> None:
        """End it.

        Args:
            arguments, result: JSON; None: there is none.
            failed: The name of the error; None: the call has not failed.
            decision: What was decided about it; None: it was let pass by a rule.
        """
        span = self._span
        if span.is_recording():
            known: dict[str, Any] = {"pctx.argument_bytes": _size(arguments), "pctx.result_bytes": _size(result)}
            if decision is not None:
                known["pctx.decision"] = decision
            if self._has_payloads:
                known["gen_ai.tool.call.arguments"] = _text(arguments)
                if result is not None:
                    known["gen_ai.tool.call.result"] = _text(result)
            span.set_attributes(known)
            if failed is not None:
                _fail(self._api, span, failed)
        span.end()


def _fail(api: Any, span: Any, name: str) -> None:
    span.set_attribute("error.type", name[:LONGEST_NAME])
    span.set_status(api.StatusCode.ERROR, name[:LONGEST_NAME])


def _size(payload: Raw | None) -> int:
    return 0 if payload is None else memoryview(payload).nbytes


def _text(payload: Raw | None) -> str:
    return "{}" if payload is None else bytes(memoryview(payload)[:LONGEST_PAYLOAD]).decode(errors="replace")
