"""Shapes of results. Every value that was observed has to be one of the declared type, whatever the order."""

from __future__ import annotations

import json
import sys
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pctx_jupyter.tools import observed, shapes
from pctx_jupyter.tools.observed import ANYTHING, NOTHING, OBSERVED, ResultShape, join, join_all, settled, shape_of

NAMES = st.sampled_from(["id", "name", "total", "items", "constructor", "a b", "2024-01-02", "x@y.z"]) | st.text(
    max_size=5
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=20,
)
RECORDS = st.lists(st.dictionaries(NAMES, st.integers() | st.text(max_size=3) | st.none(), max_size=8), max_size=6)


def written(*values: Any) -> str:
    """The TypeScript type that is observed in these values, one result each."""
    shape = settled(join_all(map(shape_of, values)))
    return shapes.shape(observed.schema(shape, len(values)), docs=False).text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1], "number"),
        ([1, 2.5], "number"),
        ([1, "a"], "number | string"),
        ([True, None], "boolean | null"),
        ([None], "any"),
        ([[]], "any[]"),
        ([[1], ["a"]], "(number | string)[]"),
        ([{}], "{ [key: string]: any }"),
        ([{"id": 1, "name": "a"}], "{ id: number; name: string }"),
        ([{"id": 1, "name": "a"}, {"id": 2}], "{ id: number; name?: string }"),
        ([{"id": 1}, {"id": None}], "{ id: number | null }"),
        ([{"error": None}], "{ error: any }"),
        ([[{"id": 1}, {"id": 2, "tags": ["a"]}]], "{ id: number; tags?: string[] }[]"),
        ([{"id": 1}, [1], "a", 2, True], "any"),
        ([{"a": {"b": {"c": 1}}}], "{ a: { b: { c: number } } }"),
        ([{"toString": "a"}, {}], "{ toString?: any }"),
        ([["a", 1]], "(number | string)[]"),
        (["2026-01-01T00:00:00Z"], "string"),
    ],
)
def test_shape_is_written_as_a_type(values: list[Any], text: str) -> None:
    assert written(*values) == text


@pytest.mark.parametrize(
    "names",
    [
        ["2024-01-01", "2024-01-02"],
        ["0", "1", "2"],
        ["3.5%"],
        ["ada@example.org", "bob@example.org"],
        ["a1b2c3d4e5f60718", "name"],
        ["123e4567-e89b-12d3-a456-426614174000"],
        ["/home/ada", "/home/bob"],
        ["U024BE7LH91"],
        [f"field{n}" for n in range(observed.MOST_FIELDS + 1)],
        ["a long sentence that somebody has written, which is no name of a field"],
    ],
)
def test_object_whose_names_are_data_is_a_map_that_keeps_no_name(names: list[str]) -> None:
    shape = shape_of({"rates": dict.fromkeys(names, 1.5)})
    assert written({"rates": dict.fromkeys(names, 1.5)}) == "{ rates: { [key: string]: number } }"
    assert not any(name in json.dumps(msgspec.to_builtins(shape)) for name in names if len(name) > 3)


@pytest.mark.parametrize("names", [["id", "name"], ["sha256", "utf8", "x509"], ["@type", "@id"], ["iso8601"], ["a b"]])
def test_object_whose_names_are_names_of_fields_is_none(names: list[str]) -> None:
    assert "[key: string]" not in written(dict.fromkeys(names, 1))


def test_object_whose_names_never_recur_is_a_map_once_that_is_known() -> None:
    assert written({"ada": 1, "bob": 2}) == "{ ada: number; bob: number }"
    assert written({"ada": 1, "bob": 2}, {"eve": 3, "joe": 4}) == "{ [key: string]: number }"
    people = [{"ada": {"age": 1}, "bob": {"age": 2}}, {"eve": {"age": 3}, "joe": {"age": 4, "town": "x"}}]
    assert written(*people) == "{ [key: string]: { age: number; town?: string } }"


def test_object_without_fields_makes_those_of_others_optional_and_no_map() -> None:
    values = [{}, {"low": 1, "high": 2, "open": 3, "close": 4}]
    assert written(*values) == "{ low?: number; high?: number; open?: number; close?: number }"
    assert written(*values, *values) == written(*reversed(values)) == written(*values)


def test_object_whose_fields_are_of_several_types_stays_one_with_optional_fields() -> None:
    values = [{"title": "a", "size": 1}, {"owner": "b", "is_open": True}]
    assert written(*values) == "{ title?: string; size?: number; owner?: string; is_open?: boolean }"


def test_fields_of_a_long_list_are_those_of_a_sample_that_is_the_same_every_time() -> None:
    rows = [{"id": n, **({"rare": 1} if n % 2 else {})} for n in range(5_000)]
    assert written(rows) == written(list(rows)) == "{ id: number; rare?: number }[]"


def test_what_is_too_deep_or_too_large_may_be_anything() -> None:
    deep: Any = 1
    for _ in range(100):
        deep = {"a": deep}
    assert written(deep).endswith("{ a: any" + " }" * observed.DEEPEST)
    wide = {f"a{chr(97 + n)}": {f"b{chr(97 + m)}": {"c": 1} for m in range(26)} for n in range(26)}
    assert observed._size(shape_of(wide)) <= observed.MOST_NODES
    assert written(wide).startswith("{ aa: any; ab: any;")


@given(VALUES, st.integers(1, 12))
def test_shape_that_would_be_too_large_is_the_deepest_that_is_not(value: Any, most: int) -> None:
    whole = observed.shape_of_all([value])
    cuts = [observed._cut(whole, depth) for depth in range(observed.DEEPEST + 1)]
    fitting = [cut for cut in cuts if observed._size(cut) <= most]
    assert observed.shape_within([value], most_nodes=most) == fitting[-1]


def nested(*widths: int) -> Any:
    """An object of objects, with so many fields in each level."""
    if not widths:
        return 1
    return {f"{chr(97 + n // 26)}{chr(97 + n % 26)}": nested(*widths[1:]) for n in range(widths[0])}


@pytest.mark.parametrize("value", [nested(90, 90, 9), nested(4, 4, 4, 4, 4, 4, 4), [nested(30, 60, 40)] * 3])
def test_look_at_a_wide_and_deep_result_takes_a_bounded_number_of_steps(value: Any) -> None:
    steps = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal steps
        steps += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        settled(shape_of(value))
    finally:
        sys.setprofile(before)
    assert steps < 100 * observed.MOST_NODES


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({f"{n:06x}": n for n in range(100_000)}, "{ [key: string]: number }"),
        (
            [{f"key{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}x{n}": 1} for n in range(50_000)],
            "{ [key: string]: number }[]",
        ),
        ({"n" * 10_000: 1, "b": 2}, "{ [key: string]: number }"),
        ({"__proto__": 1, "constructor": "x"}, "{ __proto__: number; constructor: string }"),
        ({"*/ x": 1, "a\u2028b": 1}, "{ [key: string]: number }"),
        ({"\u202e": 1, "\u0000": "a"}, '{ "\\u202e": number; "\\u0000": string }'),
        ({"x-observed": 5, "$ref": "#/x"}, '{ "x-observed": number; $ref: string }'),
        ([1, "a", None, True, [1], {"a": 1}], "any[]"),
        ({"$pctx.frame": {"id": "A.b#c"}}, '{ "$pctx.frame": { id: string } }'),
    ],
)
def test_result_that_is_made_to_be_odd_has_a_small_type(value: Any, text: str) -> None:
    assert written(value) == text


@given(st.lists(VALUES, max_size=6))
def test_every_observed_value_is_valid(values: list[Any]) -> None:
    shape = settled(join_all(map(shape_of, values)))
    schema = observed.schema(shape, len(values))
    for value in values:
        jsonschema.Draft202012Validator(True if schema is None else schema).validate(value)


@given(st.lists(VALUES | RECORDS, max_size=6))
def test_several_values_looked_at_together_have_the_shape_of_each_joined(values: list[Any]) -> None:
    assert observed.shape_of_all(values) == join_all(observed.shape_of_all([value]) for value in values)


@given(st.lists(VALUES, max_size=6), st.randoms(use_true_random=False))
def test_order_of_results_does_not_matter(values: list[Any], random: Any) -> None:
    found = [shape_of(value) for value in values]
    mixed = list(found)
    random.shuffle(mixed)
    middle = len(mixed) // 2
    assert join_all(found) == join_all(mixed) == join(join_all(mixed[:middle]), join_all(mixed[middle:]))


@given(VALUES, VALUES)
def test_second_look_at_the_same_changes_nothing(value: Any, other: Any) -> None:
    both = join(shape_of(value), shape_of(other))
    assert join(both, shape_of(value)) == both
    assert join(both, both) == join(both, NOTHING) == join(NOTHING, both) == both
    assert join(both, ANYTHING) == ANYTHING


@given(RECORDS, RECORDS)
def test_a_shape_is_never_narrowed(first: Any, second: Any) -> None:
    was = settled(shape_of(first))
    now = settled(join(was, shape_of(second)))
    schema = observed.schema(now, 2)
    for value in (first, second):
        jsonschema.Draft202012Validator(True if schema is None else schema).validate(value)


@given(VALUES)
def test_a_shape_is_kept_and_read_again(value: Any) -> None:
    shape = settled(shape_of(value))
    assert msgspec.json.decode(msgspec.json.encode(shape), type=ResultShape) == shape


@given(st.lists(st.text("xyz", min_size=8, max_size=12), min_size=1, max_size=5))
def test_no_text_of_a_result_is_kept(texts: list[str]) -> None:
    kept = msgspec.json.encode(settled(shape_of({"a": texts, "b": {"c": texts[0]}}))).decode()
    assert not any(text in kept for text in texts)


def test_a_union_of_objects_is_one_object() -> None:
    assert written([{"kind": "a", "x": 1}, {"kind": "b", "y": 2}]) == "{ kind: string; x?: number; y?: number }[]"


@pytest.mark.parametrize(
    ("calls", "text"),
    [
        (1, "1 call"),
        (7, "7 calls"),
        (9, "9 calls"),
        (10, "10+ calls"),
        (13, "10+ calls"),
        (49, "20+ calls"),
        (7_300, "5,000+ calls"),
    ],
)
def test_number_of_calls_is_said_and_seldom_changes(calls: int, text: str) -> None:
    assert observed.comment(observed.schema(shape_of(1), calls)) == f"Observed in {text}; may be incomplete."


@pytest.mark.parametrize("schema", [None, True, {}, {"type": "string"}, {OBSERVED: "7"}, {OBSERVED: True}])
def test_schema_that_was_declared_has_no_such_comment(schema: Any) -> None:
    assert observed.comment(schema) == ""


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ({"a": 1}, {"a": 2}, []),
        ({"a": 1}, {"a": None}, [".a may be null"]),
        ({"a": 1}, {"a": "x"}, [".a may be a string"]),
        ({"a": 1}, {}, ["it may be empty"]),
        ({"a": 1}, {"b": 1}, [".a may be missing", ".b is new"]),
        ({}, {"a": 1}, [".a is new"]),
        ({"a": 1}, {"a": 1, "b": 2}, [".b is new"]),
        ([{"a": 1}], [{"a": [1]}], ["[].a may be a list"]),
        ({"1": {"a": 1}}, {"2": {"a": "x"}}, ["[…].a may be a string"]),
        ({"a": 1}, {"2024-01-01": 1}, ["it may have any fields"]),
        ("x", {"a": 1}, ["it may be an object"]),
    ],
)
def test_what_widens_a_shape_is_said(was: Any, now: Any, said: list[str]) -> None:
    before = shape_of(was)
    assert observed.differences(before, join(before, shape_of(now))) == said


def test_widening_to_anything_is_said_once() -> None:
    assert observed.differences(shape_of({"a": 1}), ANYTHING) == ["it may be anything"]
    assert observed.differences(ANYTHING, ANYTHING) == []
