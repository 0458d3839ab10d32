"""JSON Schemas as TypeScript types. Everything is real, the parser that reads the types too."""

from typing import Any

import pytest
from hypothesis import given

from pctx_jupyter.tools import shapes

from .. import schemas

STRING, NUMBER = {"type": "string"}, {"type": "number"}


def one_line(schema: Any) -> str:
    """The type and the named types it needs, without comments."""
    written = shapes.shape(schema, docs=False)
    return " ".join([written.text, *written.types.values()])


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        (None, "any"),
        (True, "any"),
        (False, "never"),
        ({}, "any"),
        ({"type": "string"}, "string"),
        ({"type": "integer"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "null"}, "null"),
        ({"type": ["null", "string"]}, "string | null"),
        ({"type": ["integer", "number"]}, "number"),
        ({"type": "string", "nullable": True}, "string | null"),
        ({"type": "object"}, "{ [key: string]: any }"),
        ({"type": "object", "properties": {}}, "{ [key: string]: any }"),
        ({"type": "object", "additionalProperties": False}, "Record<string, never>"),
        ({"type": "object", "additionalProperties": NUMBER}, "{ [key: string]: number }"),
        ({"type": "object", "patternProperties": {"^x-": STRING}}, "{ [key: string]: string }"),
        ({"type": "object", "required": ["a"]}, "{ a: any }"),
        ({"properties": {"a": STRING, "b": NUMBER}, "required": ["a"]}, "{ a: string; b?: number }"),
        (
            {"properties": {"a": STRING}, "required": ["a"], "additionalProperties": NUMBER},
            "{ a: string; [key: string]: number | string }",
        ),
        (
            {"properties": {"a": STRING}, "additionalProperties": STRING},
            "{ a?: string; [key: string]: string | undefined }",
        ),
        (
            {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": NUMBER},
            '{ [key in "a" | "b"]?: number }',
        ),
        ({"type": "array"}, "any[]"),
        ({"type": "array", "items": STRING}, "string[]"),
        ({"type": "array", "items": {"type": ["string", "null"]}}, "(string | null)[]"),
        ({"type": "array", "items": False}, "[]"),
        ({"prefixItems": [STRING, NUMBER], "minItems": 2, "items": False}, "[string, number]"),
        ({"prefixItems": [STRING, NUMBER], "minItems": 1, "maxItems": 2}, "[string, number?]"),
        ({"prefixItems": [STRING], "items": {"type": ["number", "null"]}}, "[string?, ...(number | null)[]]"),
        ({"prefixItems": [STRING], "minItems": 1}, "[string, ...any[]]"),
        (
            {"prefixItems": [STRING | {"title": "x"}, NUMBER | {"title": "y"}], "minItems": 1, "items": False},
            "[x: string, y?: number]",
        ),
        ({"prefixItems": [STRING | {"title": "x"}], "minItems": 1}, "[x: string, ...rest: any[]]"),
        ({"prefixItems": [STRING | {"title": "x"}, NUMBER], "minItems": 2, "items": False}, "[string, number]"),
        ({"prefixItems": [STRING | {"title": "a b"}], "minItems": 1, "items": False}, "[string]"),
        ({"prefixItems": [STRING | {"title": "new"}], "minItems": 1, "items": False}, "[string]"),
        ({"prefixItems": [STRING | {"title": "x"}] * 2, "minItems": 2, "items": False}, "[string, string]"),
        ({"anyOf": [{}, {}], "x-learnt": "docstring"}, "any"),
        ({"anyOf": [NUMBER, STRING], "x-learnt": "docstring"}, "any"),
        ({"x-learnt": "docstring"}, "any"),
        ({"items": [STRING, NUMBER], "additionalItems": False, "minItems": 2}, "[string, number]"),
        ({"enum": ["a", "b", 1, None, True]}, '"a" | "b" | 1 | true | null'),
        ({"type": "string", "enum": ["a", 1, None]}, '"a"'),
        ({"type": "integer", "enum": [1, 1.5, 2.0]}, "1 | 2.0"),
        ({"type": "string", "enum": ["a"], "nullable": True}, '"a" | null'),
        ({"const": "a"}, '"a"'),
        ({"const": {"a": [1]}}, "{ a: [1] }"),
        ({"enum": []}, "never"),
        ({"anyOf": [STRING, {"type": "null"}]}, "string | null"),
        ({"anyOf": [STRING, {}]}, "any"),
        ({"anyOf": [STRING, False]}, "string"),
        ({"anyOf": [{"anyOf": [STRING, NUMBER]}, STRING]}, "string | number"),
        ({"type": "string", "oneOf": [{"format": "date"}, {"format": "time"}]}, "string"),
        ({"oneOf": [{"const": "a", "description": "first"}, {"const": "b"}]}, '"a" | "b"'),
        ({"allOf": [STRING]}, "string"),
        ({"allOf": [STRING, True]}, "string"),
        ({"allOf": [STRING, False]}, "never"),
        ({"allOf": [{"properties": {"a": STRING}}, {"properties": {"b": STRING}}]}, "{ a?: string } & { b?: string }"),
        (
            {"properties": {"a": STRING}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            "{ a?: string } & ({ a: unknown } | { b: unknown })",
        ),
        ({"if": {}, "then": STRING, "else": NUMBER}, "string | number"),
        ({"if": {}, "then": STRING}, "any"),
        ({"not": {}}, "never"),
        ({"type": ["string", "null"], "not": {"type": "null"}}, "string"),
        ({"not": {"type": ["object", "array"]}}, "string | number | boolean | null"),
        ({"enum": ["a", "b"], "not": {"const": "a"}}, '"b"'),
        ({"type": "string", "not": {"pattern": "x"}}, "string"),
        (
            {"properties": {"a-b": True, "new": True, "": True, "1": True}},
            '{ "a-b"?: any; new?: any; ""?: any; "1"?: any }',
        ),
        ({"properties": {"__proto__": STRING}, "required": ["__proto__"]}, "{ __proto__: string }"),
    ],
)
def test_schema_becomes_a_type(schema: Any, written: str) -> None:
    assert one_line(schema) == written
    assert schemas.errors_in(f"type A = {written};") == []


def test_references_become_named_types_written_once() -> None:
    order = {"type": "object", "properties": {"id": NUMBER, "next": {"$ref": "#/$defs/Order"}}, "required": ["id"]}
    schema = {"type": "array", "items": {"$ref": "#/$defs/Order"}, "$defs": {"Order": order}}
    assert one_line(schema) == "Order[] type Order = { id: number; next?: Order };"


def test_schema_that_refers_to_itself_is_named_after_its_title() -> None:
    schema = {"title": "Tree node", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}}
    assert one_line(schema) == "{ children?: TreeNode[] } type TreeNode = { children?: TreeNode[] };"


def test_reference_to_a_primitive_needs_no_name() -> None:
    schema = {"properties": {"mail": {"$ref": "#/$defs/Mail"}}, "$defs": {"Mail": STRING | {"format": "email"}}}
    assert one_line(schema) == "{ mail?: string }"
    assert "@format email" in shapes.shape(schema).text


def test_types_whose_names_meet_are_told_apart() -> None:
    schema = {
        "prefixItems": [{"$ref": "#/$defs/a-b"}, {"$ref": "#/$defs/a_b"}, {"$ref": "#/$defs/Promise"}],
        "$defs": {name: {"properties": {name: True}} for name in ("a-b", "a_b", "Promise")},
    }
    assert one_line(schema).startswith("[AB?, AB2?, Promise2?, ...any[]]")


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
            "A type A = any /* a type that is only itself */;",
        ),
        (
            {
                "$ref": "#/$defs/A",
                "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/B"}]}, "B": {"allOf": [{"$ref": "#/$defs/A"}]}},
            },
            "A type A = B; type B = any /* a type that is only itself */;",
        ),
    ],
)
def test_type_that_is_only_itself_is_any(schema: Any, written: str) -> None:
    assert one_line(schema) == written


def test_alternatives_are_told_apart_by_their_discriminator() -> None:
    pet = {"properties": {"kind": STRING}, "required": ["kind"]}
    pinned = {"properties": {"kind": {"const": "fish"}}, "required": ["kind"]}
    schema = {
        "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}, {"$ref": "#/$defs/Fish"}],
        "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat"}},
        "$defs": {"Cat": pet, "Dog": dict(pet), "Fish": pinned},
    }
    assert shapes.shape(schema).text == '{ kind: "cat" } & Cat | { kind: "Dog" } & Dog | Fish'


def test_what_a_type_cannot_say_stands_in_comments() -> None:
    schema = {
        "properties": {
            "limit": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50, "description": "How\nmany."},
            "mail": {
                "anyOf": [{"type": "string", "format": "email", "maxLength": 99}, {"type": "null"}],
                "default": None,
            },
            "ratio": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5, "deprecated": True},
            "days": {
                "type": "array",
                "items": {"type": "string", "format": "date"},
                "minItems": 0,
                "uniqueItems": True,
            },
            "plain": {"type": "string", "title": "Plain"},
        }
    }
    assert shapes.shape(schema).text.splitlines() == [
        "{",
        "  /** How many. @default 50 @range 1..200 */",
        "  limit?: number;",
        "  /** @format email @length ..99 */",
        "  mail?: string | null;",
        "  /** @deprecated @above 0 @multipleOf 0.5 */",
        "  ratio?: number;",
        "  /** @unique @format date */",
        "  days?: string[];",
        "  plain?: string;",
        "}",
    ]


def test_learnt_type_is_shown_as_one_that_accepts_everything() -> None:
    learnt = {"anyOf": [NUMBER, {}], "x-learnt": "docstring"}
    found = shapes.shape(
        {
            "properties": {"a": learnt, "Likely": {"$ref": "#/$defs/Likely"}},
            "$defs": {"Likely": {"properties": {"n": NUMBER}}},
        }
    )
    assert found.text == "{ a?: Likely<number>; Likely?: Likely2 }"
    assert found.types["Likely"].endswith("type Likely<T> = T | {} | null | undefined;")
    assert shapes.shape({"properties": {"a": learnt}}, scope="Math_Types.").text == "{ a?: Math_Types.Likely<number> }"


@pytest.mark.parametrize(
    ("schema", "optional"),
    [
        (None, True),
        ({}, True),
        ({"type": "object", "properties": {"a": STRING}}, True),
        ({"type": ["object", "null"]}, True),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": STRING}}}}, True),
        ({"anyOf": [{"required": ["a"]}, {"properties": {}}]}, True),
        ({"type": "object", "required": ["a"]}, False),
        ({"type": "string"}, False),
        ({"enum": [1]}, False),
        ({"minProperties": 1}, False),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"required": ["a"]}}}, False),
        ({"allOf": [{"$ref": "#"}]}, False),
        ({"allOf": [{}, {"required": ["a"]}]}, False),
        (False, False),
    ],
)
def test_argument_is_optional_when_nothing_is_required(schema: Any, optional: bool) -> None:
    assert shapes.shape(schema).optional is optional


@pytest.mark.parametrize(
    "schema",
    [
        5,
        "string",
        [],
        {"type": 5},
        {"type": "strange"},
        {"type": [["string"], {}]},
        {"properties": []},
        {"properties": {"a": None}},
        {"type": "object", "required": 5},
        {"type": "object", "required": [[], {}, "a"]},
        {"items": 5},
        {"prefixItems": "x"},
        {"anyOf": "x"},
        {"allOf": {}},
        {"enum": "x", "type": "string"},
        {"$ref": 5},
        {"discriminator": 5, "anyOf": [{}]},
        {"type": "array", "items": STRING, "minItems": "x", "pattern": 5, "minimum": "x"},
        {"properties": {1: STRING}},
        {"const": {1: {2}}},
        {"default": {1, 2}, "type": "object", "properties": {"a": {"default": object()}}},
    ],
)
def test_schema_that_is_none_is_still_a_type(schema: Any) -> None:
    assert schemas.errors_in(f"type A = {shapes.shape(schema).text};") == []


@pytest.mark.parametrize(
    ("ref", "why"),
    [
        ("http://169.254.169.254/x", "another document"),
        ("#/$defs/Nobody", "points at nothing"),
        ("*/", "another document"),
    ],
)
def test_reference_to_nothing_or_elsewhere_is_any_and_says_so(ref: str, why: str) -> None:
    written = shapes.shape({"$ref": ref}).text
    assert written.startswith("any /* ")
    assert why in written
    assert schemas.errors_in(f"type A = {written};") == []


def _doubled(keyword: str) -> dict[str, Any]:
    both = {f"L{n}": {keyword: [{"$ref": f"#/$defs/L{n + 1}"}, {"$ref": f"#/$defs/L{n + 1}"}]} for n in range(18)}
    return {"$ref": "#/$defs/L0", "$defs": both | {"L18": {"properties": {"a": STRING}}}}


def _nested(keyword: str, levels: int) -> Any:
    schema: Any = STRING
    for _ in range(levels):
        schema = {keyword: [schema, schema]}
    return schema


BOMBS = {
    "2^18 by references": _doubled("allOf"),
    "2^18 by alternatives": _doubled("oneOf"),
    "2^18 by places": _doubled("prefixItems"),
    "2,000 nested allOf": _nested("allOf", 2_000),
    "2,000 nested anyOf": _nested("anyOf", 2_000),
    "2,000 nested not": {"not": _nested("allOf", 2_000)},
    "2,000 nested tuples": _nested("prefixItems", 2_000),
    "50,000 properties": {"properties": {f"p{n}": STRING for n in range(50_000)}},
    "50,000 required": {"type": "object", "required": [f"p{n}" for n in range(50_000)]},
    "50,000 alternatives": {"anyOf": [{"properties": {f"p{n}": STRING}} for n in range(50_000)]},
    "100,000 values": {"enum": [f"v{n}" for n in range(100_000)]},
    "100,000 constants": {"oneOf": [{"const": n} for n in range(100_000)]},
    "100,000 places": {"prefixItems": [STRING] * 100_000},
    "5,000 definitions in a chain": {
        "$ref": "#/$defs/L0",
        "$defs": {f"L{n}": {"properties": {"next": {"$ref": f"#/$defs/L{n + 1}"}}} for n in range(5_000)},
    },
    "5,000 aliases in a chain": {
        "$ref": "#/$defs/L0",
        "$defs": {f"L{n}": {"$ref": f"#/$defs/L{n + 1}"} for n in range(5_000)},
    },
    "10 MB of text": {"description": "x" * 10_000_000, "properties": {"a": {"description": "*/" * 5_000_000}}},
    "a 1 MB name": {"properties": {"x" * 1_000_000: STRING}, "required": ["y" * 1_000_000]},
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_bomb_is_written_within_bounds(bomb: Any) -> None:
    written = shapes.shape(bomb)
    text = "".join([f"type Bomb = {written.text};", *written.types.values()])
    assert len(text) < 3_000_000
    assert schemas.errors_in(text) == []


def test_definitions_nested_by_name_are_all_written() -> None:
    chain = {f"L{n}": {"properties": {"next": {"$ref": f"#/$defs/L{n + 1}"}}} for n in range(100)}
    written = shapes.shape({"$ref": "#/$defs/L0", "$defs": chain | {"L100": NUMBER}})
    assert len(written.types) == 100
    assert "any" not in "".join(written.types.values())


@pytest.mark.fuzz
@given(schemas.documents())
def test_any_schema_becomes_a_type_always_the_same(schema: Any) -> None:
    written = shapes.shape(schema)
    text = "\n".join([f"type Bomb = {written.text};", *written.types.values()])
    assert schemas.errors_in(text) == []
    assert shapes.shape(schema) == written
    assert "\n" not in shapes.shape(schema, docs=False).text
