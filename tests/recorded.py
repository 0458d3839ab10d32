"""The spans that a test records: OpenTelemetry's SDK with its exporter in memory, in place of an administrator's.

Libraries keep the tracer that they get first, so all tests of a process share one provider. It counts only while a test
records.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer


class _NoteBaggage(SpanProcessor):
    """Notes in each span the baggage with which it begins, if there is some."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if carried := baggage.get_all(parent_context):
            span.set_attribute("baggage", str(dict(carried)))


_exporter = InMemorySpanExporter()
_provider = TracerProvider(shutdown_on_exit=False)
_provider.add_span_processor(_NoteBaggage())
_provider.add_span_processor(SimpleSpanProcessor(_exporter))


class RecordedSpans:
    """The spans that have ended since the test began, in that order."""

    def __init__(self) -> None:
        self.tracer: Tracer = _provider.get_tracer("a test")

    @property
    def all(self) -> list[ReadableSpan]:
        return list(_exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    @staticmethod
    def known(span: ReadableSpan) -> dict[str, object]:
        return dict(span.attributes or {})

    @staticmethod
    def is_child(span: ReadableSpan, of: ReadableSpan) -> bool:
        return span.parent is not None and span.parent.span_id == of.context.span_id

    @staticmethod
    def id(span: ReadableSpan) -> str:
        return f"{span.context.trace_id:032x}"


@contextmanager
def recording() -> Iterator[RecordedSpans]:
    """Let the provider with the exporter in memory be that of this process."""
    _exporter.clear()
    with mock.patch.object(trace, "_TRACER_PROVIDER", _provider):
        yield RecordedSpans()
    _exporter.clear()


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
"""A span of another process, as W3C Trace Context writes it."""
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
