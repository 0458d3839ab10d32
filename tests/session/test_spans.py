"""Spans of executions and calls, and how they travel. Real: OpenTelemetry's SDK, sessions, channels, clients.

Fake: the sandbox, but for one engine with a real one, and one in a Python of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import subprocess
import sys
from collections.abc import Awaitable, Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pytest
from msgspec import UNSET, Raw
from opentelemetry import baggage, context, trace
from opentelemetry.trace import StatusCode

from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient
from pctx_jupyter.embedded import open_client
from pctx_jupyter.program.result import Emit
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc import span_context, wire
from pctx_jupyter.rpc.channel import Channel, OnNotification, Serve, crossed
from pctx_jupyter.session.execution import Job, ServeCall
from pctx_jupyter.session.local_tools import LocalTools
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.tool import Tool

from ..fakes import FakeClock, FakeSandbox
from ..recorded import TRACE_ID, TRACEPARENT, RecordedSpans, recording


@pytest.fixture
def spans() -> Iterator[RecordedSpans]:
    with recording() as spans:
        yield spans


async def buys(job: Job, serve: ServeCall, emit: Emit) -> Any:
    """A program that calls ``Shop.price``, and passes over a refused call."""
    return await serve("Shop.price", Raw(b'{"sku":"hidden-sku"}'))


def shop(act: Any = buys, **settings: Any) -> Registry:
    return Registry(FakeSandbox(act), Settings(typecheck=False, **settings), FakeClock())


async def price(call: Call) -> Raw:
    return rpc.raw({"price": "hidden-price"})


async def run(registry: Registry, serve: Any = price) -> Any:
    session = registry.open()
    session.register(Tool("shop", "price"), serve)
    return await session.execute("const hidden_code = 1")


async def test_an_execution_is_a_span_and_its_calls_are_children_by_the_conventions(spans: RecordedSpans) -> None:
    await run(shop())
    whole, call = spans.one("pctx.execute"), spans.one("execute_tool Shop.price")
    assert spans.is_child(call, whole) and whole.parent is None
    assert call.kind is trace.SpanKind.INTERNAL
    known = spans.known(call)
    id = spans.known(whole)["pctx.execution.id"]
    assert known == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "Shop.price",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": f"{id}.1",
        "pctx.argument_bytes": 20,
        "pctx.result_bytes": 24,
    }
    assert spans.known(whole) | {"pctx.execution.id": ""} == {
        "pctx.execution.id": "",
        "pctx.asked_by": "client",
        "pctx.outcome": "ok",
        "pctx.calls": 1,
        "pctx.failed_calls": 0,
        "pctx.tokens.here": 29,
        "pctx.tokens.plain": 28,
    }
    assert (call.status.status_code, whole.status.status_code) == (StatusCode.UNSET, StatusCode.UNSET)


async def test_a_span_has_code_arguments_and_results_only_where_they_are_asked_for(spans: RecordedSpans) -> None:
    await run(shop())
    assert not [span for span in spans.all if "hidden_code" in span.to_json() or "hidden-" in span.to_json()]
    await run(shop(spans="payloads"))
    known = spans.known(spans.named("execute_tool Shop.price")[-1])
    assert known["gen_ai.tool.call.arguments"] == '{"sku":"hidden-sku"}'
    assert known["gen_ai.tool.call.result"] == '{"price":"hidden-price"}'
    assert spans.known(spans.named("pctx.execute")[-1])["pctx.code"] == "const hidden_code = 1"


async def test_no_span_is_recorded_where_they_are_off(spans: RecordedSpans) -> None:
    await run(shop(spans="off"))
    assert not spans.all


async def test_what_a_tool_does_is_part_of_the_span_of_its_call_and_calls_at_once_do_not_mix(
    spans: RecordedSpans,
) -> None:
    meeting = asyncio.Barrier(2)

    async def work(call: Call) -> Raw:
        await meeting.wait()
        with spans.tracer.start_as_current_span(f"work {call.number}"):
            await meeting.wait()
        return rpc.NULL

    async def twice(job: Job, serve: ServeCall, emit: Emit) -> None:
        await asyncio.gather(serve("Shop.price", None), serve("Shop.price", None))

    with spans.tracer.start_as_current_span("caller"):
        await run(shop(twice), work)
    calls = {spans.known(span)["gen_ai.tool.call.id"][-1]: span for span in spans.named("execute_tool Shop.price")}  # type: ignore[index]
    assert spans.is_child(spans.one("work 1"), calls["1"]) and spans.is_child(spans.one("work 2"), calls["2"])
    assert spans.is_child(spans.one("pctx.execute"), spans.one("caller"))


async def test_an_error_is_the_status_of_a_span_by_its_name_alone(spans: RecordedSpans) -> None:
    async def fail(call: Call) -> Raw:
        raise errors.ToolFailed("the hidden price", name="LookupError")

    with pytest.raises(errors.ToolFailed):
        await run(shop(), fail)
    for name, error in (("execute_tool Shop.price", "LookupError"), ("pctx.execute", "ToolFailed")):
        span = spans.one(name)
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, error)
        assert spans.known(span)["error.type"] == error and not span.events
        assert "the hidden price" not in span.to_json()
    assert spans.known(spans.one("pctx.execute"))["pctx.outcome"] == "failed"


async def test_a_refused_call_and_a_cancelled_program_say_so(spans: RecordedSpans) -> None:
    began = asyncio.Event()

    async def waits(job: Job, serve: ServeCall, emit: Emit) -> None:
        with pytest.raises(errors.ToolFailed):
            await serve("Shop.price", None)
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(run(shop(waits, policy=("deny client Shop.*",))))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    known = spans.known(spans.one("execute_tool Shop.price"))
    assert (known["pctx.decision"], known["error.type"]) == ("forbidden", "Denied")
    whole = spans.one("pctx.execute")
    assert spans.known(whole)["pctx.stopped_by"] == "caller" and whole.status.status_code is StatusCode.UNSET


async def test_a_program_that_waits_has_its_wait_as_an_event(spans: RecordedSpans) -> None:
    async def begins(job: Job, serve: ServeCall, emit: Emit) -> None:
        job.hold.begin(None)  # type: ignore[arg-type]

    await run(shop(begins))
    (event,) = spans.one("pctx.execute").events
    assert event.name == "pctx.begun" and dict(event.attributes or {}) == {"pctx.queue.duration_s": 0.0}


# how a span travels


def door(registry: Registry) -> PctxClient:
    """A client at the door of a registry, on a channel in memory."""

    async def connect(serve: Serve, on_notification: OnNotification) -> Channel:
        return crossed(
            lambda send: Channel(send, serve=serve, on_notification=on_notification, name="client", max_bytes=1 << 20),
            lambda send: LocalTools(registry, Settings(), send).channel,
        )[0]

    return PctxClient(connect=connect, reconnect=False)


async def test_a_clients_span_is_the_parent_of_its_program_and_the_call_that_of_its_function(
    spans: RecordedSpans,
) -> None:
    def look(arguments: Any) -> None:
        spans.tracer.start_span("work").end()

    async with door(shop()) as client:
        await client.register_tool("Shop", "price", look)
        with spans.tracer.start_as_current_span("caller"):
            await client.execute_code("1")
        spans.tracer.start_span("later").end()
    assert spans.is_child(spans.one("pctx.execute"), spans.one("caller"))
    assert spans.is_child(spans.one("work"), spans.one("execute_tool Shop.price"))
    assert spans.one("later").parent is None


@pytest.mark.parametrize(
    "meta",
    [
        5,
        [],
        {},
        {"traceparent": 5},
        {"traceparent": ["00"]},
        {"traceparent": "00-0-0-0"},
        {"traceparent": TRACEPARENT + "x" * 9_000},
        {"traceparent": TRACEPARENT, "more": "x" * 70_000},
        {"traceparent": TRACEPARENT.upper().replace("4BF9", "zzzz")},
    ],
    ids=lambda meta: json.dumps(meta)[:40],
)
async def test_what_names_no_span_is_ignored(spans: RecordedSpans, meta: Any) -> None:
    registry = shop()
    async with door(registry) as client:
        await client.register_tool("Shop", "price", lambda arguments: 1)
        channel = client.ws
        assert channel is not None
        await channel.call(wire.EXECUTE, {"code": "1", "_meta": meta})
    assert spans.one("pctx.execute").parent is None


async def test_a_span_of_another_process_is_the_parent_and_its_baggage_alone_arrives(spans: RecordedSpans) -> None:
    seen: list[Any] = []

    def look(arguments: Any) -> None:
        seen.append(baggage.get_baggage("team"))

    def buys_elsewhere(job: Job, serve: ServeCall, emit: Emit) -> Awaitable[Any]:
        # A sandbox is started ahead, while another program begins, and its calls are served in that context.
        other = contextvars.copy_context()
        other.run(context.attach, baggage.set_baggage("team", "others"))
        return asyncio.get_running_loop().create_task(buys(job, serve, emit), context=other)

    async with door(shop(buys_elsewhere)) as client:
        await client.register_tool("Shop", "price", look)
        channel = client.ws
        assert channel is not None
        for sent in ({"baggage": "team=sales"}, {}):
            await channel.call(wire.EXECUTE, {"code": "1", "_meta": {"traceparent": TRACEPARENT, **sent}})
    assert {spans.id(span) for span in spans.named("pctx.execute")} == {TRACE_ID} and seen == ["sales", None]


def test_the_header_of_a_request_names_a_span_in_any_case(spans: RecordedSpans) -> None:
    for name in ("traceparent", "Traceparent", "TRACEPARENT"):
        found = trace.get_current_span(span_context.extracted({name: TRACEPARENT}))
        assert f"{found.get_span_context().trace_id:x}" == TRACE_ID
    assert span_context.extracted({"Accept": "*/*"}) is None


def test_a_server_that_records_its_requests_is_between_a_client_and_its_programs(spans: RecordedSpans) -> None:
    headers = {"Traceparent": TRACEPARENT}
    for of in (span_context.of_request, span_context.of_connection):
        found = trace.get_current_span(of(headers)).get_span_context()
        assert f"{found.trace_id:x}" == TRACE_ID
    with spans.tracer.start_as_current_span("POST /mcp", span_context.extracted(headers)):
        assert span_context.of_request(headers) is None
    with spans.tracer.start_as_current_span("another trace"):
        assert span_context.of_request(headers) is not None and span_context.of_request({}) is None
        # A handshake's span lasts as long as its connection.
        with span_context.entered(span_context.of_connection({})):
            assert not trace.get_current_span().get_span_context().is_valid


def test_without_a_current_span_nothing_is_sent(spans: RecordedSpans) -> None:
    assert span_context.outgoing() is UNSET


# without anything of OpenTelemetry, and with a real sandbox

BARE = """
import asyncio, sys
from pctx_jupyter.embedded import open_client
from pctx_jupyter.settings import Settings

async def main():
    async with open_client(Settings(warm_sandboxes=0, typecheck=False, history=False)) as client:
        await client.register_tool("Shop", "price", lambda arguments: 42)
        print((await client.execute_code("await Shop.price({})"))["value"])

asyncio.run(main())
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


def test_nothing_of_opentelemetry_is_loaded_for_a_program_that_no_process_records() -> None:
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["42", "[]"]


async def test_an_embedded_engine_records_the_check_the_queue_and_the_calls(spans: RecordedSpans) -> None:
    def look(arguments: Any) -> int:
        spans.tracer.start_span("work").end()
        return 42

    async with open_client(Settings(warm_sandboxes=1, max_check_s=30.0)) as client:
        await client.register_tool("Shop", "price", look)
        with spans.tracer.start_as_current_span("caller"):
            assert (await client.execute_code("await Shop.price({})"))["value"] == 42
            with pytest.raises(errors.ExecutionFailed):
                await client.execute_code("const n: number = 'text'")
    first, second = spans.named("pctx.execute")
    assert spans.is_child(first, spans.one("caller")) and spans.is_child(second, spans.one("caller"))
    assert spans.is_child(spans.one("execute_tool Shop.price"), first)
    assert spans.is_child(spans.one("work"), spans.one("execute_tool Shop.price"))
    known = spans.known(first)
    assert known["pctx.check.outcome"] == "passed" and "pctx.check.duration_s" in known
    assert [event.name for event in first.events] == ["pctx.begun"]
    assert spans.known(second)["error.type"] == "TypeError"
    assert (spans.known(second)["pctx.check.outcome"], second.events) == ("failed", ())


async def test_programs_run_without_spans_while_another_thread_loads_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("opentelemetry.trace")
    module.__spec__ = ModuleSpec("opentelemetry.trace", None)
    module.__spec__._initializing = True  # type: ignore[attr-defined]  # as importlib marks it
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", module)
    await run(shop())
    assert span_context.outgoing() is UNSET
    assert span_context.extracted({"traceparent": TRACEPARENT}) is None
    assert span_context.received(Raw(json.dumps({"traceparent": TRACEPARENT}).encode())) is None
