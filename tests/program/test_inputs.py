"""Types from values: what is written for which, bounded and inert. That values fit is shown in tests/sandbox."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from pctx_jupyter.program import inputs
from pctx_jupyter.program.inputs import declare, type_of
from pctx_jupyter.tools import observed


def typed(value: Any) -> str:
    return type_of(Raw(json.dumps(value).encode()))


@pytest.mark.parametrize(
    ("value", "type"),
    [
        (1, "number"),
        (1.5, "number"),
        (2**70, "number"),
        ("a", "string"),
        (True, "boolean"),
        (None, "any"),
        ([], "any[]"),
        ({}, "{ [name: string]: any }"),
        ([None], "any[]"),
        ([1, 2], "number[]"),
        ([1, None], "(number | null)[]"),
        ([True, "a", 1], "(string | number | boolean)[]"),
        ([[1], []], "number[][]"),
        ([[1], 2], "(number | number[])[]"),
        ({"a": 1, "b": None}, "{ a: number; b: any }"),
        ({"a": {"b": [{"c": "d"}]}}, "{ a: { b: { c: string }[] } }"),
        ([{"id": 1}, {"id": 2, "note": None}, {"id": 3, "note": "x"}], "{ id: number; note?: string | null }[]"),
        ([{"id": 1}, None], "({ id: number } | null)[]"),
        ([{"id": 1}, "none"], "(string | { id: number })[]"),
        ([{"b": 1, "a": 2}, {"a": 3}], "{ b?: number; a: number }[]"),
        ([{"constructor": 1}, {}], "{ constructor?: any }[]"),
        ([{"a": {}}, {"a": {"b": 1}}], "{ a: { b?: number } }[]"),
    ],
)
def test_a_value_has_the_type_one_would_write(value: Any, type: str) -> None:
    assert typed(value) == type


def test_each_input_is_a_constant() -> None:
    given = {"orders": Raw(b' [ {"id" : 1} ]'), "limit": Raw(b"3")}
    assert declare(given) == "declare const orders: { id: number }[];\ndeclare const limit: number;\n"
    assert declare({}) == ""


@pytest.mark.parametrize(
    "name", ["a-b", "", "1", "__proto__", "*/", "</script>", "\u2028", "a\nb", '"', "\\", "}; evil(); type x = {"]
)
def test_odd_names_of_fields_are_quoted_on_one_line(name: str) -> None:
    text = typed({name: 1})
    assert text.count("\n") == text.count("\u2028") == text.count("</") == 0
    assert text.endswith(": number }")
    if name != "__proto__":
        assert text[2] == '"'


def test_an_object_with_very_many_fields_is_a_map() -> None:
    assert typed({f"id{n}": {"n": n} for n in range(201)}) == "{ [name: string]: { n: number } }"
    assert typed({"x" * 201: 1}) == "{ [name: string]: number }"


def test_what_lies_too_deep_is_any() -> None:
    nested: Any = 1
    for _ in range(20):
        nested = {"a": [nested]}
    assert typed(nested).count("a:") == inputs.DEEPEST // 2
    assert typed(nested).count("any") == 1


def test_a_type_too_long_is_written_less_deeply() -> None:
    wide = {f"field{a}": {f"inner{b}": b for b in range(150)} for a in range(150)}
    text = typed(wide)
    assert len(text) < inputs.LONGEST
    assert "field149: any" in text and "inner" not in text


@pytest.mark.parametrize("text", [b"1e999", b"[" * 100_000 + b"]" * 100_000, b'"\xff"', b""])
def test_what_cannot_be_read_is_any(text: bytes) -> None:
    assert type_of(Raw(text)) == "any"


# ── Large values ────────────────────────────────────────────────────────────────────────────────────────────────────


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": n, "amount": n / 2 if n % 7 else None, "tags": ["a"]} for n in range(count)]


def test_a_longer_list_is_sampled_and_may_have_further_fields() -> None:
    assert typed(rows(100)) == "{ id: number; amount: number | null; tags: string[] }[]"
    assert typed(rows(20_000)) == "{ id: number; amount: number | null; tags: string[]; [name: string]: any }[]"
    assert typed(rows(20_000)) == typed(rows(20_000))


def test_a_long_list_within_an_object_is_sampled_and_the_object_is_exact() -> None:
    sampled = "{ id: number; amount: number | null; tags: string[]; [name: string]: any }[]"
    assert typed({"rows": rows(20_000), "page": 1}) == f"{{ rows: {sampled}; page: number }}"


def test_a_long_list_of_numbers_is_looked_at_whole() -> None:
    numbers: list[Any] = list(range(200_000))
    assert typed(numbers) == "number[]"
    assert typed([*numbers, None]) == "(number | null)[]"
    assert typed([*numbers, True]) == "(number | boolean)[]"
    assert typed([None] * 100_000) == "any[]"


@pytest.mark.parametrize(
    ("value", "type"),
    [
        ("x" * 9_000_000, "string"),
        (["x" * 9_000_000], "any[]"),
        ({"a": "x" * 9_000_000}, "any"),
        (["x" * 600_000, "y" * 600_000], "any[]"),
        ([["x" * 400_000]], "string[][]"),
        ({f"k{n}": "x" * 2000 for n in range(300)}, "{ [name: string]: any }"),
    ],
)
def test_what_is_too_large_is_typed_by_its_kind(value: Any, type: str) -> None:
    assert typed(value) == type


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_value_has_a_short_type_on_one_line(value: Any) -> None:
    try:
        text = typed(value)
    except UnicodeEncodeError:
        return
    assert len(text) <= inputs.LONGEST
    assert text.isprintable() or not any(end in text for end in "\n\r\u2028\u2029")


@given(JSON)
def test_an_input_has_the_kinds_that_a_result_of_the_same_value_has(value: Any) -> None:
    """Both come from one inference: where neither has a map, the types differ in their spelling alone."""
    exact, result = (observed.shape_of_all([value], limits) for limits in (inputs._EXACT, observed.OF_RESULTS))

    def kinds(one: observed.ResultShape) -> Any:
        fields = one.fields if one.values is None else None
        return (
            one.scalars,
            fields and {name: kinds(field) for name, field in fields.items()},
            one.elements and kinds(one.elements),
        )

    if "values" not in repr(result).replace("values=None", ""):
        assert kinds(exact) == kinds(result)
    assert "values=ResultShape" not in repr(exact), "all names of an input are known"
