"""Every frame that the WebSocket of the session API can send, read by the client's own parser.

A frame that it cannot read is no error there: the client prints it, and waits until its time is up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import Raw
from pctx_client._websocket_client import WebSocketMessage

from pctx_jupyter import errors
from pctx_jupyter.program.check import Diagnostic
from pctx_jupyter.program.result import TypesChecked
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc.peer import Peer
from pctx_jupyter.session.code_mode import messages
from pctx_jupyter.session.code_mode.door import CODES, ORIGINAL
from pctx_jupyter.session.code_mode.fit import DEEPEST, LONGEST_NUMBER, fitted, is_readable
from pctx_jupyter.session.code_mode.trace import KEPT_BYTES, TraceMaker
from pctx_jupyter.session.execution import CallMade
from pctx_jupyter.tools.tool import Tool

PARSER: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(WebSocketMessage)

TEXTS = some.text(some.characters(exclude_categories=("Cs",)), max_size=200)
JSONS = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)
IDS = some.none() | TEXTS | some.integers(-(2**53), 2**53)


def tree(kind: type[errors.PctxError] = errors.PctxError) -> Iterator[type[errors.PctxError]]:
    """Every class of errors."""
    yield kind
    for one in kind.__subclasses__():
        if one.__module__ == errors.__name__:
            yield from tree(one)


def of(kind: type[errors.PctxError], message: str, data: Any) -> errors.PctxError:
    """An error of a class, however its constructor is called."""
    error = kind.__new__(kind, message)
    error.message, error.data = message, data
    if kind is errors.Remote:
        error.code = -1
    return error


KINDS = list(dict.fromkeys(tree()))


@given(some.sampled_from(KINDS), IDS, TEXTS, JSONS)
def test_every_error_is_one_that_the_client_reads(
    kind: type[errors.PctxError], id: int | str | None, message: str, data: Any
) -> None:
    frame = rpc.encode(ORIGINAL.refusal(id, of(kind, message, data)))
    read = PARSER.validate_json(frame)
    assert read.error.message == message and read.error.code in CODES
    assert read.id == ("" if id is None else id)


@pytest.mark.parametrize(
    "data", [{"deep": json.loads("[" * 300 + "]" * 300)}, {"n": 10**LONGEST_NUMBER}, ["a list"], "text", 1]
)
def test_data_that_the_client_cannot_read_is_left_out(data: Any) -> None:
    frame = rpc.encode(ORIGINAL.refusal(1, errors.PctxError("said", data=data)))
    assert PARSER.validate_json(frame).error.data is None


@given(TEXTS.map(str.encode) | some.binary(max_size=100))
def test_whatever_arrives_is_answered_in_a_shape_that_the_client_reads(frame: bytes) -> None:
    peer = Peer(max_bytes=1_000, dialect=ORIGINAL)
    peer.call("execute_tool")
    peer.outgoing()
    peer.receive(frame)
    for answer in peer.outgoing():
        PARSER.validate_json(answer)


@given(some.lists(some.tuples(JSONS, JSONS, TEXTS, some.booleans()), max_size=5), JSONS, TEXTS, TEXTS)
def test_every_result_is_one_that_the_client_reads(
    calls: list[tuple[Any, Any, str, bool]], output: Any, stdout: str, message: str
) -> None:
    seconds = iter(range(1_000))
    maker = TraceMaker(stdout, lambda: next(seconds) + 0.1, lambda tool: tool.registered_namespace == "own")
    wrong = Diagnostic(message, 2322, "error", 1, 2, 1, 3)
    maker.receive(TypesChecked("failed", 0.1, message, 0.2, (wrong,)))
    maker.receive(TypesChecked("passed", 0.1, None, 0.2))
    maker.receive(TypesChecked("unchecked", 0.1, message, 0.2))
    for number, (arguments, result, error, is_own) in enumerate(calls):
        call = CallMade(
            number=number,
            tool=Tool("own" if is_own else "other", "a_tool"),
            arguments=rpc.raw(arguments) if number % 2 else None,
            result=None if number % 3 else rpc.raw(result),
            error=error if number % 3 else None,
            started_s=number,
            ended_s=number + 0.5,
        )
        maker.observe(call)
    result = messages.TypescriptResult(not calls, stdout, message, rpc.raw(output), maker.trace())
    read = PARSER.validate_json(rpc.encode(rpc.Response("1", rpc.raw(fitted(result)))))
    assert read.result.output == output and read.result.stdout == stdout
    assert [event.type for event in read.result.trace.events].count("type_check") == 2
    assert len(read.result.trace.events) == len(calls) + 2


@given(TEXTS, TEXTS, some.none() | some.dictionaries(TEXTS, JSONS, max_size=3))
def test_every_call_of_a_tool_is_one_that_the_client_reads(namespace: str, name: str, args: Any) -> None:
    peer = Peer(max_bytes=100_000, dialect=ORIGINAL)
    raw = None if args is None else rpc.raw(args)
    peer.call("execute_tool", rpc.raw(messages.ExecuteToolArgs(namespace, name, raw)))
    (frame,) = peer.outgoing()
    read = PARSER.validate_json(frame)
    assert (read.params.namespace, read.params.name, read.params.args) == (namespace, name, args)


@pytest.mark.parametrize("escaped", ["x", "\x00", '"', "\U0001f600"])
@pytest.mark.parametrize("where", ["stdout", "stderr", "output", "calls"])
def test_a_result_is_cut_in_structure_to_what_a_frame_may_have(where: str, escaped: str) -> None:
    large, most = escaped * 200_000, 100_000
    maker = TraceMaker("the code", lambda: 1.0, lambda tool: True)
    for number in range(10 if where == "calls" else 0):
        text, error = rpc.raw(large), large if number % 2 else None
        tool = Tool("own", "a_tool")
        maker.observe(
            CallMade(number=number, tool=tool, arguments=text, result=text, error=error, started_s=0, ended_s=0)
        )
    result = messages.TypescriptResult(
        success=True,
        stdout=large if where == "stdout" else "out",
        stderr=large if where == "stderr" else "",
        output=rpc.raw(large if where == "output" else 1),
        trace=maker.trace(),
    )
    cut = rpc.raw(fitted(result, most))
    assert memoryview(cut).nbytes <= most + 1_000
    read = PARSER.validate_json(rpc.encode(rpc.Response("1", cut))).result
    assert read.success and "Cut to fit" in read.stderr and read.trace.code == "the code"
    assert (read.output == 1) == (where != "output") and (read.stdout == "out") == (where != "stdout")
    assert len(read.trace.events) == (10 if where == "calls" else 0)


def test_a_trace_keeps_no_more_payloads_than_it_may() -> None:
    maker = TraceMaker("1", lambda: 1.0, lambda tool: True)
    megabyte = rpc.raw("x" * (1 << 20))
    for number in range(20):
        tool = Tool("own", "a_tool")
        call = CallMade(
            number=number, tool=tool, arguments=megabyte, result=megabyte, error=None, started_s=0, ended_s=0
        )
        maker.observe(call)
    trace = maker.trace()
    assert len(trace.events) == 20 and len(msgspec.json.encode(trace)) < KEPT_BYTES + 20_000


@pytest.mark.parametrize(
    ("value", "is_fine"),
    [
        (b"[" * DEEPEST + b"]" * DEEPEST, True),
        (b"[" * 300 + b"]" * 300, False),
        (b"1" * 4_299, True),
        (b"1" * 4_301, False),
        (b"-0." + b"1" * 5_000, False),
        (b'"' + b"1" * 5_000 + b'"', True),
        (b'{"' + b"1" * 5_000 + b'": "[\\"' + b"[" * 300 + b'"}', True),
    ],
)
def test_what_the_clients_parser_cannot_read_is_known(value: bytes, is_fine: bool) -> None:
    assert is_readable(Raw(value)) == is_fine
    if is_fine:
        trace = TraceMaker("1", lambda: 1.0, lambda tool: True)
        call = CallMade(
            number=1, tool=Tool("own", "x"), arguments=None, result=Raw(value), error=None, started_s=0, ended_s=0
        )
        trace.observe(call)
        result = messages.TypescriptResult(True, "", "", Raw(value), trace.trace())
        PARSER.validate_json(rpc.encode(rpc.Response("1", rpc.raw(result))))
