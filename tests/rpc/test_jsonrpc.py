"""Messages to bytes and back. Pure: nothing fake, nothing real."""

from __future__ import annotations

import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.rpc import jsonrpc as rpc


@pytest.mark.parametrize(
    "message",
    [
        rpc.Request(1, "execute", Raw(b'{"code":"1+1"}')),
        rpc.Request("a string id", "list_functions"),
        rpc.Request(-(2**70), "x"),
        rpc.Request("", "x", Raw(b"[1,2]")),
        rpc.Notification("output", Raw(b'{"text":"\\u2028"}')),
        rpc.Answer(7, Raw(b"null")),
        rpc.Answer("7", Raw(b'{"deep":[[[]]]}')),
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
    assert payload_of(rpc.encode(rpc.Answer(1, payload))) == bytes(payload)


def payload_of(frame: bytes) -> bytes:
    read = rpc.decode(frame)
    assert isinstance(read, rpc.Answer)
    return bytes(read.result)


@pytest.mark.parametrize("value", [object(), {"a": {1, 2}.__iter__()}, "\ud800"])
def test_a_value_without_json_form_is_named_so(value: object) -> None:
    with pytest.raises(errors.NotJson):
        rpc.raw(value)


def test_a_payload_whose_numbers_are_out_of_range_is_refused() -> None:
    with pytest.raises(errors.InvalidParams):
        rpc.decode_value(Raw(b"[1e400]"))
