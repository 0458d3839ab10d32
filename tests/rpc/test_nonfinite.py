"""Payloads with NaN and the infinities: text in, text out. Everything is real."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from pctx_jupyter.program.inputs import type_of
from pctx_jupyter.rpc import nonfinite
from pctx_jupyter.session.trace import preview

from ..alike import named

texts = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["#NaN", "##NaN", "#", "#Infinity", '"#NaN"', 'x"#NaN', "\\", '\\"##', ',"##a":', nonfinite.KEY]),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**64), 2**64), st.floats(), texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(texts, inner, max_size=4),
        st.builds(lambda value: {nonfinite.KEY: value}, inner),
    ),
    max_leaves=12,
)


def with_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: with_null(part) for key, part in value.items()}
    if isinstance(value, list):
        return [with_null(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@given(values)
def test_every_value_comes_back_as_it_was(value: Any) -> None:
    payload = nonfinite.encode(value)
    msgspec.json.decode(payload)
    assert named(nonfinite.decode(payload)) == named(value)


@given(values)
def test_who_does_not_know_of_the_mark_gets_null(value: Any) -> None:
    assert msgspec.json.decode(nonfinite.plain(nonfinite.encode(value))) == with_null(value)


@given(values)
def test_people_and_python_parsers_read_the_numbers_by_name(value: Any) -> None:
    assert named(json.loads(nonfinite.readable(nonfinite.encode(value)))) == named(value)


@given(values)
def test_what_others_send_is_never_taken_for_marked(value: Any) -> None:
    payload = msgspec.json.encode(with_null(value))
    assert nonfinite.decode(nonfinite.taken(Raw(payload))) == with_null(value)


@pytest.mark.parametrize(
    "payload",
    [
        '{"$pctx.nonfinite":"#NaN"}',
        ' \n{ "$pctx.nonfinite" : "#NaN" }',
        '{"\\u0024pctx.nonfinite":["#NaN"]}',
        '{"$pctx.nonfinite":1,"a":"#NaN"}',
    ],
)
def test_a_mark_of_somebody_who_does_not_know_of_it_is_data(payload: str) -> None:
    assert nonfinite.decode(nonfinite.taken(Raw(payload.encode()))) == json.loads(payload)


@given(values.filter(lambda value: named(value) == value and with_null(value) == value))
def test_plain_values_stay_plain_json(value: Any) -> None:
    payload = nonfinite.encode(value)
    assert nonfinite.is_marked(payload) == (isinstance(value, dict) and next(iter(value), None) == nonfinite.KEY)


@given(values, st.integers(0, 200))
def test_a_preview_is_the_beginning_of_what_people_read(value: Any, most: int) -> None:
    payload = nonfinite.encode(value)
    whole = nonfinite.readable(payload)
    assert preview(payload, most) == whole[:most].decode(errors="ignore")


def test_an_input_has_the_type_of_its_numbers() -> None:
    payload = nonfinite.encode({"x": math.nan, "list": [1, math.inf, None], "#": "#NaN"})
    assert type_of(payload) == '{ x: number; list: (number | null)[]; "#": string }'


def test_the_first_place_is_named_for_messages() -> None:
    assert nonfinite.first_place(nonfinite.encode({"a": [1, {"b": -math.inf}], "c": math.nan})) == (
        ".a[1].b",
        "-Infinity",
    )
    assert nonfinite.first_place(nonfinite.encode({"a": None})) is None


@pytest.mark.parametrize(
    "payload",
    [
        '{"$pctx.nonfinite":1,"success":false}',
        '{"$pctx.nonfinite":{"#NaN" :1,"##a"\n: 2}}',
        '{"$pctx.nonfinite":1,"$pctx.nonfinite":["#NaN" ]}',
        '{"$pctx.nonfinite":"#NaN" }',
        '{"$pctx.nonfinite":["\\\\","#NaN","\\"#NaN\\"","##\\\\"]}',
        '{"$pctx.nonfinite":"\\u0023NaN"}',
    ],
)
def test_a_payload_that_a_stranger_wrote_stays_json(payload: str) -> None:
    raw = Raw(payload.encode())
    for written in (
        nonfinite.plain(raw),
        nonfinite.typed(raw),
        nonfinite.plain_members(Raw(b'{"a":%s}' % payload.encode())),
    ):
        json.loads(bytes(written), parse_constant=pytest.fail)
    json.loads(nonfinite.readable(raw))
    json.loads(bytes(nonfinite.plain_members(Raw(b"[%s]" % payload.encode()))))
    nonfinite.decode(raw)
    assert preview(raw)
    assert type_of(raw)
