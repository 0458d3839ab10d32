"""One end of a conversation, without a pipe: what it says to what it hears. Pure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc.peer import SERVERS, Dialect, Peer, Withdrawn


@pytest.fixture
def peer() -> Peer:
    return Peer(max_bytes=1000)


def receive(peer: Peer, **message: Any) -> list[Any]:
    return list(peer.receive(json.dumps({"jsonrpc": "2.0"} | message)))


def said(peer: Peer) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in peer.outgoing()]


def test_each_request_gets_one_answer_under_its_own_id(peer: Peer) -> None:
    for id in ("", "seven", 7, -1, 2**53 + 1):
        assert [m.id for m in receive(peer, id=id, method="x")] == [id]
        peer.answer(id, Raw(b"1"))
        peer.answer(id, Raw(b"2"))
        peer.refuse(id, errors.PctxError("late"))
        assert said(peer) == [{"jsonrpc": "2.0", "id": id, "result": 1}]


def test_an_id_in_use_is_refused_and_the_first_request_keeps_its_answer(peer: Peer) -> None:
    assert len(receive(peer, id=1, method="x")) == 1
    assert receive(peer, id=1, method="x") == []
    (refusal,) = said(peer)
    assert (refusal["id"], refusal["error"]["code"]) == (None, -32600)
    peer.answer(1, Raw(b"1"))
    assert said(peer)[0]["result"] == 1


def test_an_answer_counts_once(peer: Peer) -> None:
    id = peer.call("x")
    assert len(receive(peer, id=id, result=1)) == 1
    assert receive(peer, id=id, result=2) == []


@pytest.mark.parametrize("id", [99, "1", True, 1.0, None])
def test_an_answer_to_what_was_not_asked_is_ignored(peer: Peer, id: object) -> None:
    assert peer.call("x") == 1
    assert receive(peer, id=id, result="forged") == []
    assert len(receive(peer, id=1, result="true")) == 1
    assert receive(peer, id=1, result="again") == []


def test_withdrawn_request_is_never_answered(peer: Peer) -> None:
    receive(peer, id=5, method="x")
    assert receive(peer, method="$/cancel", params={"id": 5}) == [Withdrawn(5)]
    peer.answer(5, Raw(b"1"))
    peer.refuse(5, errors.PctxError("no"))
    assert said(peer) == []


@pytest.mark.parametrize("params", [{"id": 99}, {"id": None}, {}, {"id": [1]}, [5], None])
def test_withdrawing_what_was_not_asked_does_nothing(peer: Peer, params: object) -> None:
    receive(peer, id=5, method="x")
    assert receive(peer, method="$/cancel", params=params) == []
    peer.answer(5, Raw(b"1"))
    assert len(said(peer)) == 1


def test_a_call_we_withdraw_tells_the_other_end_and_ignores_its_answer(peer: Peer) -> None:
    id = peer.call("x")
    peer.withdraw(id)
    peer.withdraw(id)
    assert [m.get("method") for m in said(peer)] == ["x", "$/cancel"]
    assert receive(peer, id=id, result=1) == []


def test_what_cannot_be_read_is_refused_and_the_conversation_goes_on(peer: Peer) -> None:
    for frame in ("nonsense", "[]", '{"jsonrpc":"2.0","id":3,"method":4}'):
        assert list(peer.receive(frame)) == []
    assert [(m["id"], m["error"]["code"]) for m in said(peer)] == [(None, -32700), (None, -32600), (3, -32600)]
    assert len(receive(peer, id=4, method="x")) == 1


def test_a_request_too_large_fails_alone(peer: Peer) -> None:
    assert receive(peer, id=1, method="x", params="a" * 1000) == []
    (refusal,) = said(peer)
    assert (refusal["id"], refusal["error"]["code"]) == (1, -32600)
    assert "1,000" in refusal["error"]["message"]


def test_an_answer_too_large_fails_its_call(peer: Peer) -> None:
    id = peer.call("x")
    (heard,) = receive(peer, id=id, result="a" * 1000)
    assert isinstance(heard, rpc.Refusal)
    assert "limit" in heard.message


def test_a_message_of_ours_too_large_is_not_sent(peer: Peer) -> None:
    with pytest.raises(errors.MessageTooLarge):
        peer.call("x", rpc.raw("a" * 1000))
    with pytest.raises(errors.MessageTooLarge):
        peer.notify("x", rpc.raw("a" * 1000))
    receive(peer, id=1, method="x")
    peer.answer(1, rpc.raw("a" * 1000))
    assert [m["error"]["code"] for m in said(peer)] == [-32600]


def test_a_message_at_the_limit_passes() -> None:
    frame = rpc.encode(rpc.Request(1, "x", rpc.raw("a" * 1000)))
    assert len(list(Peer(max_bytes=len(frame)).receive(frame))) == 1
    assert len(list(Peer(max_bytes=len(frame) - 1).receive(frame))) == 0


def test_a_refusal_too_large_is_cut(peer: Peer) -> None:
    receive(peer, id=1, method="x")
    peer.refuse(1, errors.PctxError("no", data={"stdout": "a" * 5000}))
    (refusal,) = said(peer)
    assert refusal["error"] == {"code": -32603, "message": "no"}


DEEP = "[" * 600 + "]" * 600


def test_an_unreadable_request_is_refused_under_its_own_id() -> None:
    peer = Peer(max_bytes=1 << 16)
    assert peer.receive(f'{{"jsonrpc":"2.0","id":7,"method":"x","params":{DEEP}}}') == ()
    (refusal,) = said(peer)
    assert (refusal["id"], refusal["error"]["code"]) == (7, -32700)
    assert "500 levels" in refusal["error"]["message"]


@pytest.mark.parametrize("result", [DEEP, '"\\ud800"', "nonsense"])
def test_an_unreadable_answer_fails_its_call_and_is_not_refused(result: str) -> None:
    peer = Peer(max_bytes=1 << 16)
    first, second = peer.call("x"), peer.call("x")
    peer.outgoing()
    (failed,) = peer.receive(f'{{"jsonrpc":"2.0","id":{second},"result":{result}}}')
    assert isinstance(failed, rpc.Refusal) and failed.id == second and peer.outgoing() == []
    assert len(receive(peer, id=first, result=1)) == 1


def test_an_unreadable_notification_is_dropped_and_fails_nothing(peer: Peer) -> None:
    assert peer.receive('{"jsonrpc":"2.0","method":"output","params":{"text":"\\ud800"}}') == ()
    assert peer.outgoing() == []


def unread(peer: Peer, code: int = -32700) -> list[Any]:
    return receive(peer, id=None, error={"code": code, "message": "Cannot read message"})


def test_a_refusal_without_an_id_fails_the_only_request_without_an_answer(peer: Peer) -> None:
    answered, waiting = peer.call("x"), peer.call("x")
    receive(peer, id=answered, result=1)
    (failed,) = unread(peer)
    assert isinstance(failed, rpc.Refusal) and failed.id == waiting
    assert receive(peer, id=waiting, result=1) == []


def test_a_refusal_without_an_id_fails_all_requests_to_which_it_may_belong_and_cancels_them(peer: Peer) -> None:
    answered, *waiting = [peer.call("x") for _ in range(4)]
    receive(peer, id=answered, result=1)
    peer.outgoing()
    failed = unread(peer)
    assert [one.id for one in failed] == waiting
    assert all("did not say which" in one.message for one in failed)
    assert [(m["method"], m["params"]["id"]) for m in said(peer)] == [("$/cancel", id) for id in waiting]
    assert [receive(peer, id=id, result=1) for id in waiting] == [[], [], []]
    assert unread(peer) == []


@pytest.mark.parametrize(
    "answer",
    [
        {"jsonrpc": "1.0", "result": 1},
        {"result": 1, "error": {"code": -32603, "message": "both"}},
        {"jsonrpc": "1.0", "error": {"code": -32603, "message": "old"}},
    ],
)
def test_an_answer_that_breaks_the_protocol_fails_its_call_and_no_other(peer: Peer, answer: dict[str, Any]) -> None:
    first, second = peer.call("x"), peer.call("x")
    peer.outgoing()
    (failed,) = receive(peer, id=second, **answer)
    assert isinstance(failed, rpc.Refusal) and failed.id == second and peer.outgoing() == []
    assert len(receive(peer, id=first, result=1)) == 1


@pytest.mark.parametrize("result", [DEEP, '"\\ud800"', "nonsense"])
def test_an_unreadable_answer_to_nothing_is_dropped_and_refuses_no_request_with_the_same_id(result: str) -> None:
    peer = Peer(max_bytes=1 << 16)
    assert peer.receive(f'{{"jsonrpc":"2.0","id":1,"result":{result}}}') == ()
    assert peer.outgoing() == []


def test_an_unreadable_answer_that_hides_its_id_fails_what_it_may_belong_to() -> None:
    peer = Peer(max_bytes=1 << 16)
    id = peer.call("x")
    padding = '"' + "x" * (1 << 16) + '"'
    (failed,) = peer.receive(f'{{"jsonrpc":"2.0","result":{padding},"id":{id},"more":{padding}}}')
    assert isinstance(failed, rpc.Refusal) and failed.id == id


@given(
    open_before=st.integers(0, 5),
    steps=st.lists(st.one_of(st.just("call"), st.just("unread"), st.integers(0, 12)), max_size=30),
)
def test_whatever_is_refused_without_an_id_no_request_waits_for_ever_and_each_ends_once(
    open_before: int, steps: list[int | str]
) -> None:
    peer = Peer(max_bytes=1000)
    ids = [peer.call("x") for _ in range(open_before)]
    ended: list[rpc.Id | None] = []
    for step in [*steps, "unread"]:
        if step == "call":
            ids.append(peer.call("x"))
        elif step == "unread":
            ended += [one.id for one in unread(peer)]
        else:
            ended += [one.id for one in receive(peer, id=step, result=1)]
    assert sorted(map(str, ended)) == sorted(map(str, ids))


def test_a_refusal_without_an_id_for_another_reason_fails_nothing(peer: Peer) -> None:
    id = peer.call("x")
    assert unread(peer, -32603) == []
    assert len(receive(peer, id=id, result=1)) == 1


@pytest.mark.parametrize("payload", [DEEP.encode(), b'"\\uD800"'])
def test_what_the_other_end_could_not_read_is_not_sent(payload: bytes) -> None:
    peer = Peer(max_bytes=1 << 16)
    with pytest.raises(errors.NotJson):
        peer.call("x", Raw(payload))
    with pytest.raises(errors.NotJson):
        peer.notify("x", Raw(payload))
    assert peer.outgoing() == []
    receive(peer, id=1, method="x")
    peer.answer(1, Raw(payload))
    assert [(m["id"], m["error"]["code"]) for m in said(peer)] == [(1, -32602)]


def test_a_refusal_arrives_without_the_details_that_cannot_be_sent(peer: Peer) -> None:
    for id, data in enumerate(["\ud800", json.loads(DEEP)]):
        receive(peer, id=id, method="x")
        peer.refuse(id, errors.PctxError("no \ud800", data=data))
    assert [m["error"] for m in said(peer)] == [{"code": -32603, "message": "no \ufffd"}] * 2


def test_requests_of_a_server_have_texts_as_ids_and_only_those_are_answered() -> None:
    peer = Peer(max_bytes=1000, dialect=SERVERS)
    assert [peer.call("x"), peer.call("x")] == ["pctx:1", "pctx:2"]
    assert [message["id"] for message in said(peer)] == ["pctx:1", "pctx:2"]
    for id in (1, 2, "1", "pctx:3", "PCTX:1"):
        assert receive(peer, id=id, result="forged") == []
    assert len(receive(peer, id="pctx:2", result=1)) == 1
    peer.withdraw("pctx:1")
    assert said(peer) == [{"jsonrpc": "2.0", "method": "$/cancel", "params": {"id": "pctx:1"}}]


def test_an_answer_that_cannot_be_read_fails_the_request_of_a_server_that_it_belongs_to() -> None:
    peer = Peer(max_bytes=1000, dialect=SERVERS)
    id = peer.call("x")
    (failed,) = peer.receive(json.dumps({"jsonrpc": "2.0", "id": id, "result": "x" * 1000}))
    assert isinstance(failed, rpc.Refusal) and failed.id == id and "1,000" in failed.message
    assert said(peer)[1:] == []


def test_an_end_without_cancellation_is_sent_none_and_nothing_larger_than_it_reads() -> None:
    peer = Peer(max_bytes=1000, dialect=Dialect(prefix="p", cancels=False, max_sent_bytes=100))
    peer.withdraw(peer.call("x"))
    assert [message["method"] for message in said(peer)] == ["x"]
    with pytest.raises(errors.MessageTooLarge, match="the limit is 100"):
        peer.call("x", Raw(b'"%s"' % (b"x" * 100)))
    assert len(receive(peer, id=1, method="x", params=["x" * 500])) == 1
