"""Messages to bytes and back. Pure: nothing fake, nothing real."""

from __future__ import annotations

import json
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc import wire


@pytest.mark.parametrize(
    "message",
    [
        rpc.Request(1, "execute", Raw(b'{"code":"1+1"}')),
        rpc.Request("a string id", "list_functions"),
        rpc.Request(-(2**70), "x"),
        rpc.Request("", "x", Raw(b"[1,2]")),
        rpc.Notification("output", Raw(b'{"text":"\\u2028"}')),
        rpc.Response(7, Raw(b"null")),
        rpc.Response("7", Raw(b'{"deep":[[[]]]}')),
        rpc.Request(8, "large", Raw(b'"%s"' % (b"x" * rpc.JOINED_BYTES))),
        rpc.Response(8, Raw(b'"%s"' % (b"x" * rpc.JOINED_BYTES))),
        rpc.Refusal(7, -32000, "no", Raw(b'{"a":1}')),
        rpc.Refusal(None, -32700, "not JSON"),
    ],
)
def test_message_survives_the_wire(message: rpc.Message) -> None:
    read = rpc.decode(rpc.encode(message))
    assert type(read) is type(message)
    for field in message.__slots__:
        wanted, got = getattr(message, field), getattr(read, field)
        if isinstance(wanted, Raw):
            assert bytes(got) == bytes(wanted)
        else:
            assert (got, type(got)) == (wanted, type(wanted))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"nonsense",
        b'{"jsonrpc":"2.0","id":1,"method":"x"',
        b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":NaN}}',
        b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":Infinity}}',
        b'{"jsonrpc":"2.0","id":1,"method":"x","params":"\\ud800"}',
        b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"x"}',
        b'{"jsonrpc":"2.0","id":1,"method":"x"} {}',
        b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
        b'{"jsonrpc":"2.0","id":1,"params":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    ],
)
def test_what_is_not_json_is_a_parse_error(frame: bytes) -> None:
    with pytest.raises(errors.ParseError):
        rpc.decode(frame)


@pytest.mark.parametrize(
    ("text", "why"), [(b"", "it is empty; send JSON"), (b'{"code": ', "it ends too early, as JSON")]
)
def test_a_message_that_ends_too_early_says_so(text: bytes, why: str) -> None:
    with pytest.raises(errors.ParseError, match=f"^Cannot read message: {why}$"):
        rpc.decode(text)
    with pytest.raises(errors.InvalidParams, match=f"^Cannot serve execute: {why}$"):
        wire.read(Raw(text), wire.Execute, "execute")


@pytest.mark.parametrize(
    ("frame", "id"),
    [
        (b"[]", None),
        (b'[{"jsonrpc":"2.0","id":1,"method":"x"}]', None),
        (b"3", None),
        (b'"text"', None),
        (b"null", None),
        (b"{}", None),
        (b'{"jsonrpc":"2.0","id":4}', 4),
        (b'{"jsonrpc":"1.0","id":5,"method":"x"}', 5),
        (b'{"id":5,"method":"x"}', 5),
        (b'{"jsonrpc":"2.0","id":6,"method":7}', 6),
        (b'{"jsonrpc":"2.0","id":null,"method":"x"}', None),
        (b'{"jsonrpc":"2.0","id":true,"method":"x"}', None),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"x"}', None),
        (b'{"jsonrpc":"2.0","id":1.0,"result":1}', None),
        (b'{"jsonrpc":"2.0","id":[],"method":"x"}', None),
        (b'{"jsonrpc":"2.0","id":8,"result":1,"error":{"code":1,"message":"both"}}', 8),
        (b'{"jsonrpc":"2.0","id":9,"error":{"code":"text","message":1}}', 9),
        (b'{"jsonrpc":"2.0","id":10,"method":"x","result":1}', 10),
    ],
)
def test_json_that_is_no_message_is_refused_under_its_own_id(frame: bytes, id: int | None) -> None:
    with pytest.raises(errors.InvalidRequest) as refused:
        rpc.decode(frame)
    assert refused.value.id == id


def test_a_payload_is_spliced_as_it_came() -> None:
    payload = Raw(b'{"b": 1,  "a": [1.0, 1e2]}')
    assert payload_of(rpc.encode(rpc.Response(1, payload))) == bytes(payload)


def payload_of(frame: bytes) -> bytes:
    read = rpc.decode(frame)
    assert isinstance(read, rpc.Response)
    return bytes(read.result)


@pytest.mark.parametrize("value", [object(), {"a": {1, 2}.__iter__()}, "\ud800"])
def test_a_value_without_json_form_is_named_so(value: object) -> None:
    with pytest.raises(errors.NotJson):
        rpc.raw(value)


def test_a_payload_whose_numbers_are_out_of_range_is_refused() -> None:
    with pytest.raises(errors.InvalidParams):
        rpc.decode_value(Raw(b"[1e400]"))


REQUEST = b'{"jsonrpc":"2.0","id":7,"method":"x","params":'
BROKEN = {
    "a lone surrogate": b'"\\ud800"',
    "half a pair before a letter": b'"\\ud83dx"',
    "NaN": b"[NaN]",
    "a value that does not end": b'{"a":[',
    "no value": b"",
    "no UTF-8": b'"\xff"',
    "nesting": b"[" * 600 + b"]" * 600,
    "nesting that no parser reads": b"[" * 200_000 + b"]" * 200_000,
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_an_unreadable_request_is_found_by_its_id_wherever_that_stands(broken: bytes) -> None:
    for frame in (
        b'{"jsonrpc":"2.0","id":7,"method":"x","params":%s}' % broken,
        b' { "jsonrpc" : "2.0", "params" : %s , "method" : "x", "id" : 7 } ' % broken,
        b'{"method":"x","id":7,"jsonrpc":"2.0","params":%s}' % broken,
    ):
        with pytest.raises(errors.ParseError) as refused:
            rpc.decode(frame)
        if b'"id"' in frame[: frame.index(broken)] or len(frame) > rpc.HEAD_BYTES or broken.endswith((b"]", b'"')):
            assert refused.value.id == 7


@pytest.mark.parametrize(
    ("frame", "id", "kind"),
    [
        (b'{"jsonrpc":"2.0","id":7,"result":', 7, "answer"),
        (b'{"jsonrpc":"2.0","id":"a\\"b","error":{"id":3}', 'a"b', "answer"),
        (b'{"params":{"id":3,"method":"y"},"result":["id",{"id":4}]', None, "answer"),
        (b'{"params":{"id":3},"method":"x"}', None, "notification"),
        (b'{"a":"\\"id\\":3","b":["id",3],"id":5,"method":"x"}', 5, "request"),
        (b'{"id":true,"method":"x"}', None, "request"),
        (b'{"id":1.0,"method":"x"}', None, "request"),
        (b'{"id":{"id":3},"method":"x"}', None, "request"),
        (b'{"id":7}', 7, None),
        (b'[{"id":7,"method":"x"}]', None, None),
        (b'"id":7', None, None),
        (b"", None, None),
        (b'{"params":"' + b"x" * rpc.HEAD_BYTES + b'","id":7}', 7, None),
        (b'{"params":{"a":"' + b"x" * rpc.HEAD_BYTES + b'","id":7}}', None, None),
        (b'{"method":"x","params":"' + b"x" * rpc.HEAD_BYTES + b'","id":"seven" }\n', "seven", "request"),
    ],
)
def test_the_outside_of_a_frame_shows_its_id_and_its_kind(frame: bytes, id: object, kind: str | None) -> None:
    found = rpc.identify(frame)
    assert (found.id, found.kind) == (id, kind)
    assert rpc.identify(frame.decode()) == found


VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='[]{}"\\\\a\u00e9,:'),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[}"\\\\a', max_size=3), inner, max_size=3)
    ),
    max_leaves=30,
)


@given(VALUES, st.integers(0, 40), st.integers(1, 60), st.integers(1, 9))
def test_nesting_is_counted_as_a_parser_counts_it(value: object, more: int, most: int, piece: int) -> None:
    for level in range(more):
        value = [value] if level % 3 else {"a]": value}
    text = json.dumps(value)
    assert rpc.is_too_deep(text, most) == rpc.is_too_deep(text.encode(), most) == (levels(value) > most)
    nesting, sent = rpc.Nesting(most), text.encode()
    pieces = (sent[start : start + piece] for start in range(0, len(sent), piece))
    assert any(map(nesting.goes_beyond, pieces)) == (levels(value) > most)


@pytest.mark.parametrize("depth", [1, 100, 255, 256, 257, 499])
def test_nesting_is_counted_across_many_brackets(depth: int) -> None:
    far = "x" * (rpc.COUNTED_AT_ONCE - 2)  # what follows is counted in two parts
    text = f'["{far}",' + f"{'[' * depth}{']' * depth}," * 20 + "0]"
    assert rpc.is_too_deep(text, depth) and not rpc.is_too_deep(text, depth + 1)


def levels(value: object) -> int:
    if isinstance(value, dict | list):
        return 1 + max(map(levels, value.values() if isinstance(value, dict) else value), default=0)
    return 0


def test_a_value_as_deep_as_allowed_passes_and_one_level_more_does_not() -> None:
    for most in (rpc.MAX_DEPTH, rpc.MAX_DEPTH + 1):
        value = Raw(b"[" * most + b"]" * most)
        assert rpc.is_too_deep(value) == (most > rpc.MAX_DEPTH)
        read = rpc.decode(rpc.encode(rpc.Request(1, "x", rpc.raw({"inputs": {"a": value}}))))
        assert isinstance(read, rpc.Request)


@pytest.mark.parametrize("levels", [600, 100_000])
def test_a_python_value_nested_too_deeply_is_refused_in_those_words(levels: int) -> None:
    value: list[object] = []
    for _ in range(levels):
        value = [value]
    with pytest.raises(errors.NotJson, match="nested deeper than 500 levels"):
        rpc.check_value(rpc.raw(value))


def test_a_refusal_is_written_whatever_its_text_holds() -> None:
    read = rpc.decode(rpc.encode(rpc.Refusal(1, -32000, "half \ud800 a pair")))
    assert read == rpc.Refusal(1, -32000, "half \ufffd a pair")


def test_data_of_an_error_that_python_cannot_hold_is_dropped_and_the_error_is_not() -> None:
    error = rpc.Refusal(1, -32001, "no such tool", Raw(b"1e999")).error()
    assert (type(error), error.message, error.data) == (errors.ToolNotFound, "no such tool", None)


def test_payloads_are_added_to_a_value_as_they_are() -> None:
    class Program(msgspec.Struct):
        code: str

    payloads = {"a": Raw(b'{"b":[1]}'), "$é": Raw(b"null")}
    assert json.loads(bytes(rpc.raw_with(Program("1"), "inputs", payloads))) == (
        {"code": "1", "inputs": {"a": {"b": [1]}, "$é": None}}
    )
    assert bytes(rpc.raw_with(Program("1"), "inputs", {})) == b'{"code":"1","inputs":{}}'
    with pytest.raises(errors.NotJson, match="half a character"):
        rpc.raw_with(Program("\ud800"), "inputs", {})


@given(st.binary(max_size=9) | st.text(max_size=5).map(str.encode), st.lists(st.integers(0, 12), max_size=3))
def test_a_text_in_pieces_is_sound_if_it_is_utf_8_and_not_too_deep(text: bytes, cuts: list[int]) -> None:
    found, places = rpc.Soundness(2), [0, *sorted(cuts), len(text)]
    for start, end in pairwise(places):
        found.add(text[start:end])
    try:
        text.decode()
    except UnicodeDecodeError:
        assert not found.is_sound
    else:
        assert found.is_sound == (not rpc.Nesting(2).goes_beyond(text))
