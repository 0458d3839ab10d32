"""Which span of OpenTelemetry a request is part of: it travels in ``_meta`` of the request's parameters, as in MCP.

The header of HTTP is another carrier. This module loads nothing of OpenTelemetry. Where no other code of the process
has loaded its API, no span can be current, and every function here returns at once.

Source: https://modelcontextprotocol.io/community/seps/414-request-meta
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

T = TypeVar("T")

LONGEST = 8_192
"""Characters of one text of a carrier, as many as baggage may have; a longer text is ignored."""

MOST_BYTES = 1 << 16
"""Bytes of ``_meta`` that is read: more than that is no carrier."""

Meta = Raw | UnsetType
"""The ``_meta`` of a request: any JSON, read only where spans may be recorded."""

SpanContext = Any
"""A `Context` of OpenTelemetry; None: there is none."""


def loaded_api() -> Any:
    """Return OpenTelemetry's `trace` module; None: no code has loaded it, or another thread has not finished that."""
    api = sys.modules.get("opentelemetry.trace")
    # Python's own mark of a module whose code still runs: the names in it are not complete.
    return None if api is None or getattr(api.__spec__, "_initializing", False) else api


def outgoing() -> Meta:
    """Return the ``_meta`` for a request that is sent now; UNSET: no span is current."""
    carrier: dict[str, str] = {}
    inject(carrier)
    return Raw(msgspec.json.encode(carrier)) if carrier else UNSET


def inject(carrier: dict[str, str]) -> None:
    """Write the current span into a carrier, by the propagators of this process; nothing if no span is current."""
    trace = loaded_api()
    if trace is None or not trace.get_current_span().get_span_context().is_valid:
        return
    from opentelemetry import propagate

    propagate.inject(carrier)


def received(meta: Meta) -> SpanContext:
    """Return the context that the ``_meta`` of a request carries; None: none, or none that can be read."""
    if meta is UNSET or loaded_api() is None or memoryview(meta).nbytes > MOST_BYTES:
        return None
    try:
        carrier = msgspec.json.decode(meta)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return extracted(carrier) if isinstance(carrier, dict) else None


def extracted(carrier: Mapping[str, Any]) -> SpanContext:
    """Return the context that a carrier has, such as the headers of a request; None: none, or none that can be read.

    Args:
        carrier: Texts by name; the names of headers in any case.
    """
    if loaded_api() is None:
        return None
    from opentelemetry import propagate, trace

    known = propagate.get_global_textmap().fields
    texts = {name.lower(): text for name, text in carrier.items() if isinstance(text, str) and len(text) <= LONGEST}
    if not (found := {name: texts[name.lower()] for name in known if name.lower() in texts}):
        return None
    context = propagate.extract(found)
    return context if trace.get_current_span(context).get_span_context().is_valid else None


def with_current_span(carrier: Mapping[str, Any]) -> SpanContext:
    """Return the context that a carrier has, with the current span, which is a part of the one that it names.

    The MCP SDK records a span of each request that it serves, and drops the request's baggage.

    Returns:
        None: The carrier has no context, or no span is current.
    """
    if (context := extracted(carrier)) is None or (trace := loaded_api()) is None:
        return None
    current = trace.get_current_span()
    return trace.set_span_in_context(current, context) if current.get_span_context().is_valid else None


def of_request(headers: Mapping[str, str]) -> SpanContext:
    """Return the context that the headers of an HTTP request carry; None: none, or the current span is a part of it.

    That is so where the server itself records its requests, as under ``opentelemetry-instrument``.
    """
    if (context := extracted(headers)) is None or (trace := loaded_api()) is None:
        return None
    current, remote = (trace.get_current_span(one).get_span_context() for one in (None, context))
    return None if current.trace_id == remote.trace_id else context


def of_connection(headers: Mapping[str, str]) -> SpanContext:
    """Return the context of what arrives over a connection: that of its handshake's headers, else one without a span.

    A span that the server itself records of the handshake ends with the connection, and is nobody's parent.
    """
    if (context := extracted(headers)) is not None or loaded_api() is None:
        return context
    from opentelemetry.context import Context

    return Context()


def entered(context: SpanContext) -> AbstractContextManager[None]:
    """Make a context current in a block; None changes nothing."""
    return nullcontext() if context is None else _entered(context)


@contextmanager
def _entered(context: SpanContext) -> Iterator[None]:
    from opentelemetry.context import attach, detach

    token = attach(context)
    try:
        yield
    finally:
        detach(token)


def within(context: SpanContext, call: Callable[[], T | Awaitable[T]]) -> Callable[[], T | Awaitable[T]]:
    """Return a function that calls another one, and awaits what it returns, while a context is current."""
    if context is None:
        return call

    def run() -> T | Awaitable[T]:
        with entered(context):
            made = call()
        return _awaited(context, made) if isinstance(made, Awaitable) else made

    return run


async def _awaited(context: SpanContext, work: Awaitable[T]) -> T:
    with entered(context):
        return await work
