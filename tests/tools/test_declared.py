"""What is said of results that are not what their tools declare. Pure: schemas and values."""

from __future__ import annotations

from typing import Any

import pytest

from pctx_jupyter.tools.declared import LONGEST_PLACE, DeclaredResult

NUMBER, TEXT = {"type": "number"}, {"type": "string"}
DAYS = {
    "type": "object",
    "properties": {"days": {"type": "array", "items": {"$ref": "#/$defs/Day"}}, "unit": {"enum": ["mm", "in"]}},
    "required": ["days"],
    "$defs": {"Day": {"type": "object", "properties": {"mm": NUMBER, "next": {"$ref": "#/$defs/Day"}}}},
}
SHAPE = {
    "oneOf": [
        {"properties": {"kind": {"const": "circle"}, "r": NUMBER}, "required": ["kind", "r"]},
        {"properties": {"kind": {"const": "square"}, "side": NUMBER}, "required": ["kind", "side"]},
    ]
}


@pytest.mark.parametrize(
    ("schema", "result", "said"),
    [
        (DAYS, {"days": [{"mm": 1}, {"mm": "2.5"}]}, 'result.days[1].mm: expected number, got "2.5"'),
        (DAYS, {"days": [{"next": {"next": {"mm": None}}}]}, "result.days[0].next.next.mm: expected number, got null"),
        (DAYS, {"days": [], "unit": "cm"}, 'result.unit: expected "mm" or "in", got "cm"'),
        (DAYS, {"unit": "mm"}, "result.days: missing"),
        (DAYS, "no rain", 'result: expected object, got "no rain"'),
        (DAYS, None, "result: expected object, got null"),
        ({"type": ["string", "null"]}, 5, "result: expected string or null, got 5"),
        ({"type": "integer"}, 2.5, "result: expected integer, got 2.5"),
        (NUMBER, True, "result: expected number, got true"),
        ({"enum": list(range(9))}, 9, "result: expected 0 or 1 or 2 or 3 or 4 or one of 4 more, got 9"),
        ({"const": 1}, True, "result: expected 1, got true"),
        ({"anyOf": [NUMBER, {"type": "null"}]}, "x", 'result: expected number or null, got "x"'),
        ({"allOf": [{"type": "object"}, {"required": ["id"]}]}, {}, "result.id: missing"),
        (SHAPE, {"kind": "square", "side": "2"}, 'result.side: expected number, got "2"'),
        (SHAPE, {"kind": "line"}, 'result.kind: expected "circle" or "square", got "line"'),
        (SHAPE, {"r": "1"}, 'result: expected one of the forms that are declared, got {"r":"1"}'),
        (
            {"additionalProperties": NUMBER},
            {"a b": 1, "c'\n\u2028\x1b": "x"},
            'result["c\'\\n\\u2028\\u001b"]: expected number, got "x"',
        ),
        ({"prefixItems": [TEXT, NUMBER], "minItems": 2}, ["a"], 'result: expected array of at least 2, got ["a"]'),
        ({"items": [TEXT], "additionalItems": NUMBER}, ["a", 1, "b"], 'result[2]: expected number, got "b"'),
        (NUMBER, "x" * 99, f'result: expected number, got "{"x" * 58}…'),
    ],
)
def test_difference_says_where_and_what(schema: Any, result: Any, said: str) -> None:
    assert DeclaredResult(schema).difference(result) == said


@pytest.mark.parametrize(
    ("schema", "result"),
    [
        (DAYS, {"days": [{"mm": 1, "more": "x"}], "$content": []}),
        ({"type": "integer"}, 2.0),
        ({"type": "string", "nullable": True}, None),
        ({"type": "string", "format": "uri", "pattern": "^a$", "maxLength": 1}, "no uri"),
        ({"type": "number", "minimum": 5, "multipleOf": 2}, 1),
        ({"properties": {"id": {"type": "string", "required": True}}}, {"id": "x"}),
        ({"patternProperties": {"^n_": NUMBER}, "additionalProperties": TEXT}, {"n_a": 1}),
        ({"items": [TEXT]}, ["a", 1]),
        ({"$ref": "https://example.com/x.json"}, 1),
        ({"$ref": "#"}, 1),
        ({"$ref": 5, "type": "money", "enum": {"a": 1}}, {}),
        ({"properties": 5}, {}),
        ({"enum": []}, "x"),
        ({"allOf": None, "anyOf": []}, 1),
        (True, 1),
        (False, 1),
    ],
)
def test_nothing_is_said_of_what_fits_or_cannot_be_decided(schema: Any, result: Any) -> None:
    assert DeclaredResult(schema).difference(result) is None


def test_large_results_are_looked_at_in_part() -> None:
    rows = {"items": {"items": {"properties": {"n": NUMBER}}}}
    right = [[{"n": 1}] * 1_000] * 1_000
    assert DeclaredResult(rows).difference(right) is None
    assert DeclaredResult(rows).difference([[{"n": "1"}] * 1_000] * 1_000) is not None


def test_schema_that_keeps_the_check_busy_finds_nothing() -> None:
    bomb: Any = {"type": "string"}
    for _ in range(30):
        bomb = {"anyOf": [bomb, bomb]}
    assert DeclaredResult(bomb).difference(5) is None


def test_long_names_are_cut() -> None:
    schema: Any = {"additionalProperties": NUMBER}
    said = DeclaredResult(schema).difference({"x" * 900: "y"})
    assert said is not None and len(said) < LONGEST_PLACE + 100
