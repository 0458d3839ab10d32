"""Arguments that a person edits, checked against a tool's schema. Pure; the hostile schemas are real ones."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from pctx_jupyter.tools.arguments import problems

REFUND: Any = {
    "type": "object",
    "properties": {
        "order": {"type": "integer", "minimum": 1},
        "reason": {"enum": ["broken", "late"]},
        "note": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]},
        "code": {"type": "string", "pattern": "^[a-z]+$"},
        "items": {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "string"}}}},
        "to": {"$ref": "#/$defs/Person"},
    },
    "required": ["order"],
    "additionalProperties": False,
    "$defs": {"Person": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
}


def found(arguments: Any, schema: Any = REFUND, before: Any = None) -> list[str]:
    def raw(value: Any) -> Raw | None:
        return None if value is None else Raw(msgspec.json.encode(value))

    return [one.text() for one in problems(schema, raw(arguments), raw(before))]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"order": 7, "reason": "late", "note": None, "code": "a", "items": [{"id": "1"}], "to": {"name": "B"}}, []),
        ({"order": "7"}, ["order: must be integer, not string"]),
        ({"order": 1.5}, ["order: must be integer, not number"]),
        ({"order": True}, ["order: must be integer, not boolean"]),
        ({"order": 0}, ["order: must be at least 1"]),
        ({}, ["order: is missing"]),
        (None, ["order: is missing"]),
        ({"order": 7, "reason": "why"}, ['reason: must be one of "broken", "late"']),
        ({"order": 7, "other": 1}, ["other: is not an argument of this tool"]),
        ({"order": 7, "code": "A1"}, ["code: must match ^[a-z]+$"]),
        ({"order": 7, "items": [{"id": "1"}, {"id": 2}]}, ["items[1].id: must be string, not number"]),
        ({"order": 7, "to": {}}, ["to.name: is missing"]),
        ({"order": 7, "note": 5}, ["note: must be string or null, not number"]),
        ({"order": 7, "note": "long"}, ["note: fits none of the forms that are allowed"]),
    ],
)
def test_each_argument_that_does_not_fit_is_named(arguments: Any, said: list[str]) -> None:
    assert found(arguments) == said


def test_what_the_program_itself_passed_is_no_problem_where_the_schema_is_stricter_than_the_tool() -> None:
    before = {"order": "7"}
    assert found({"order": "8", "reason": "late"}, before=before) == []
    assert found({"order": "8", "reason": "why"}, before=before) == ['reason: must be one of "broken", "late"']


@pytest.mark.parametrize("schema", [None, True, {}, {"type": 5}, {"properties": 3}, {"$ref": "#/nowhere"}])
def test_without_a_schema_that_can_be_read_anything_fits(schema: Any) -> None:
    assert found({"a": 1}, schema) == []


def test_a_reference_to_another_document_is_not_followed() -> None:
    assert found({"a": 1}, {"properties": {"a": {"$ref": "http://127.0.0.1:9/schema.json"}}}) == []


def test_a_pattern_that_would_backtrack_for_ever_is_answered_at_once() -> None:
    schema = {
        "properties": {"a": {"pattern": "^(a+)+$"}, "b": {"pattern": "(?=x)x"}},
        "patternProperties": {"(a+)+$": {}},
    }
    assert found({"a": "a" * 5000 + "!", "b": "y", "a" * 5000 + "!": 1}, schema) == ["a: must match ^(a+)+$"]


def test_a_schema_that_doubles_its_work_at_each_step_is_given_up() -> None:
    steps: Any = {f"s{n}": {"allOf": [{"$ref": f"#/$defs/s{n + 1}"}] * 2} for n in range(60)}
    schema = {"$defs": steps | {"s60": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/s0"}}}
    assert found({"a": 1}, schema) == []
    assert found({"a": 1}, {"properties": {"a": {"$ref": "#/properties/a"}}}) == []


def test_many_elements_that_have_to_differ_are_not_compared() -> None:
    schema = {"properties": {"a": {"uniqueItems": True}}}
    assert found({"a": [1, 1]}, schema) == ["a: does not fit the tool's schema (uniqueItems)"]
    assert found({"a": [{"n": 1}] * 5000}, schema) == []


def test_numbers_that_json_does_not_have_are_numbers() -> None:
    schema: Any = {"properties": {"x": {"type": "number"}}}
    assert problems(schema, Raw(b'{"$pctx.nonfinite":{"x":"#NaN"}}')) == []
