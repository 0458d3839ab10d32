"""Payloads that bytes follow: through a frame, through lines, and where nobody expects them. Pure."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.rpc import attached
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc.lines import Lines, LineWriter
from pctx_jupyter.rpc.peer import Peer

BYTES = st.binary(max_size=40) | st.just(b"\n1 {}\n") | st.just(b"")


class Written:
    """Keeps what a `LineWriter` writes."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes, /) -> None:
        self.data += data


def answered(result: Raw, max_bytes: int = 10_000) -> bytes:
    """The frame with which a peer answers a request."""
    peer = Peer(max_bytes=max_bytes)
    peer.receive('{"jsonrpc":"2.0","id":1,"method":"x"}')
    peer.answer(1, result)
    [frame] = peer.outgoing()
    return frame


@given(BYTES)
def test_bytes_arrive_as_they_were_through_two_peers(data: bytes) -> None:
    asking = Peer(max_bytes=10_000)
    id = asking.call("x")
    [response] = asking.receive(answered(attached.attach("bytes", data)))
    assert isinstance(response, rpc.Response) and response.id == id
    parts = attached.split(response.result)
    assert parts is not None and bytes(parts[1]) == data
    assert json.loads(bytes(attached.without_bytes(response.result))) == {"$pctx.bytes": "bytes", "size": len(data)}


@given(st.lists(st.tuples(st.booleans(), BYTES), max_size=6), st.data())
def test_lines_with_and_without_bytes_arrive_whole_however_they_were_cut(
    sent: list[tuple[bool, bytes]], data: st.DataObject
) -> None:
    frames = [
        attached.joined(b'{"id":1}', memoryview(one)) if has_bytes else b'{"id":2}' + one.replace(b"\n", b"")
        for has_bytes, one in sent
    ]
    out, writer = Written(), LineWriter()
    writer.output = out
    for frame in frames:
        writer.write(frame)
    stream, reader, received = out.data, Lines(1_000, takes_bytes=True), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        received += reader.cut(stream[:size])
        stream = stream[size:]
    assert received == frames


def test_more_bytes_than_a_line_may_have_are_refused_when_they_are_announced() -> None:
    reader = Lines(100, takes_bytes=True)
    assert reader.cut(b'1000000 {"id":1}\nxx') == [] and reader.is_too_long


def test_a_reader_that_takes_no_bytes_reads_lines_alone() -> None:
    assert Lines(100).cut(b'3 {"id":1}\nabc\n') == [b'3 {"id":1}', b"abc"]


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_no_json_is_read_as_a_payload_with_bytes(value: object) -> None:
    for one in (value, {"$pctx.bytes": value}, {"$pctx.bytes": "float64", "size": value}):
        payload = Raw(msgspec.json.encode(one))
        assert attached.split(payload) is None and attached.without_bytes(payload) is payload


def test_answer_beyond_the_limit_is_refused_by_its_whole_size() -> None:
    frame = json.loads(answered(attached.attach("bytes", bytes(2_000)), max_bytes=1_000))
    assert frame["error"]["code"] == errors.MessageTooLarge.code
    asking = Peer(max_bytes=1_000)
    asking.call("x")
    [refused] = asking.receive(answered(attached.attach("bytes", bytes(2_000))))
    assert isinstance(refused, rpc.Refusal) and refused.code == errors.MessageTooLarge.code


@pytest.mark.parametrize(
    "frame",
    [
        b'5 {"jsonrpc":"2.0","id":1,"result":{"$pctx.bytes":"bytes","size":5}}\nabc',
        b'5 {"jsonrpc":"2.0","id":1,"result":{"$pctx.bytes":"bytes","size":5}}',
        b"5 \n",
        b"5 {}\nabcde",
        b"5 nonsense\nabcde",
    ],
)
def test_frame_whose_bytes_are_not_those_it_announces_is_refused(frame: bytes) -> None:
    peer = Peer(max_bytes=1_000)
    peer.call("x")
    found = peer.receive(frame)
    assert not any(isinstance(one, rpc.Response) for one in found)


def test_bytes_that_the_message_does_not_announce_are_dropped() -> None:
    peer = Peer(max_bytes=1_000)
    peer.call("x")
    [response] = peer.receive(b'3 {"jsonrpc":"2.0","id":1,"result":{"a":1}}\nabc')
    assert isinstance(response, rpc.Response) and bytes(response.result) == b'{"a":1}'
