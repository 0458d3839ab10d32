"""Schemas of others have none of our keywords, wherever a reference may lead."""

from __future__ import annotations

from typing import Any

import pytest

from pctx_jupyter.tools import keywords, observed, shapes
from pctx_jupyter.tools.tool import UNTYPED

ANYTHING: dict[str, Any] = {"anyOf": [{"type": "number"}, {}], "x-learnt": "docstring"}
FRAME: dict[str, Any] = {"type": "array", "items": {"type": "object"}, "x-handle": "frame"}
PLACES: list[Any] = [
    "{}",
    {"type": "object", "properties": {"a": "{}"}, "required": ["a"]},
    {"type": "array", "items": "{}"},
    {"anyOf": ["{}", {"type": "null"}]},
    {"$ref": "#/$defs/A", "$defs": {"A": "{}"}},
    {"$ref": "#/default", "default": "{}"},
    {"$ref": "#/nowhere/known/0", "nowhere": {"known": ["{}"]}},
    {"$ref": "#/enum/0", "enum": ["{}"]},
    {"$ref": "#/properties", "properties": "{}"},
    {"type": "object", "properties": {"properties": "{}"}},
    {"type": "object", "additionalProperties": "{}"},
]


def put(place: Any, forged: Any) -> Any:
    """A place with a schema where it has ``{}`` as a text."""
    if place == "{}":
        return forged
    if isinstance(place, dict):
        return {name: put(one, forged) for name, one in place.items()}
    return [put(one, forged) for one in place] if isinstance(place, list) else place


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("forged", [ANYTHING, FRAME], ids=["learnt", "handle"])
def test_no_part_of_another_schema_is_learnt_or_a_handle(place: Any, forged: dict[str, Any]) -> None:
    written = shapes.shape(keywords.without(put(place, forged)), docs=False)
    assert "Likely" not in repr(written) and "Frame" not in repr(written)


def test_no_other_schema_is_observed_or_says_why_it_is_untyped() -> None:
    assert observed.comment(keywords.without({"type": "object", "x-observed": 7})) == ""
    assert keywords.without({"type": "object", UNTYPED: {"a": "because"}}) == {"type": "object"}
    assert keywords.without({"x-observed": 7}) == {}


@pytest.mark.parametrize("schema", [True, None, "no schema", 7, [], {}])
def test_what_has_no_keyword_stays_as_it_is(schema: Any) -> None:
    assert keywords.without(schema) == schema


@pytest.mark.parametrize("name", sorted(keywords.OURS))
@pytest.mark.parametrize("field", [{"type": "string"}, {}, True])
def test_a_field_may_be_called_like_a_keyword(name: str, field: Any) -> None:
    schema = {"type": "object", "properties": {name: field}, "required": [name]}
    assert keywords.without(schema) == schema
    type = "any" if field in ({}, True) else "string"
    assert shapes.shape({"$ref": "#/$defs/A", "$defs": {"A": schema}}, docs=False).types["A"] == (
        f'type A = {{ "{name}": {type} }};'
    )


def test_only_the_named_keywords_are_left_out() -> None:
    schema = {"type": "object", "x-observed": 3, "x-untyped": {"a": "b"}}
    assert keywords.without(schema, {"x-observed"}) == {"type": "object", "x-untyped": {"a": "b"}}
