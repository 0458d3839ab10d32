"""Values and types agree: what a schema allows, the type checker takes; what it does not allow, it refuses.

Schemas and values are drawn, declarations and type checker are real, and a third party says what is valid. Many cases
are checked as one program: ``const v: Input = …`` a line, behind ``@ts-expect-error`` where an error has to be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry

from pctx_jupyter.program.check import Checked, CheckJob
from pctx_jupyter.tools import typegen
from pctx_jupyter.tools.tool import Tool

from .declarations import Declarations
from .test_checker import Held

CASES = 60
"""Schemas of one run, each with up to six values."""
BATCH = 20
"""Schemas of one program: it is to be checked well within its time limit."""
STRANGER = "zzz"
"""A property that no schema lists."""

Json = Any


@pytest.fixture(scope="module")
def declared() -> Iterator[Declarations]:
    compiler = Declarations()
    yield compiler
    compiler.close()


@pytest.fixture(scope="module")
def held() -> Iterator[Held]:
    holder = Held()
    yield holder
    holder.close()


# ── Schemas ─────────────────────────────────────────────────────────────────────────────────────────────────────────

NAMES = (["a", "b", "c"], ["kind", "1"], ["a-b", "new"])
"""Properties' names, by the part of an ``allOf`` that may list them."""
names = st.sampled_from([name for some in NAMES for name in some])
kinds = st.sampled_from(["string", "number", "integer", "boolean", "null"])
constants = st.sampled_from(
    [None, True, False, 0, 1, -2, 1.5, 1e21, "", "a", "it's\n*/", [1, "a"], [], {"a": 1}, {"a": {"b-c": [[], None]}}]
)
anything = st.sampled_from([None, True, 0, 7, 2.5, "a", "c", [], [1], ["a", None], {}, {STRANGER: 1}])
refs = st.sampled_from([{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}])
leaves = st.one_of(
    st.builds(lambda kind: {"type": kind}, kinds),
    st.builds(lambda some: {"type": some}, st.lists(kinds, min_size=1, max_size=3, unique=True)),
    st.builds(lambda kind: {"type": kind, "nullable": True}, kinds),
    st.builds(lambda value: {"const": value}, constants),
    st.builds(lambda some: {"enum": some}, st.lists(constants, min_size=1, max_size=4, unique_by=json.dumps)),
    st.builds(
        lambda some, kind: {"enum": [*some, 1, "a"], "type": [kind, "string"]}, st.lists(constants, max_size=2), kinds
    ),
    st.sampled_from([{}, True, {"type": "object"}, {"type": "array"}]),
)


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any], part: int | None = None) -> dict[str, Any]:
    """An object; as a part of an ``allOf`` it says nothing of what the others list."""
    listed = names if part is None else st.sampled_from(NAMES[part])
    properties = draw(st.dictionaries(listed, inner, max_size=3))
    required = [name for name in properties if draw(st.booleans())]
    schema: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
    match 0 if part is not None else draw(st.integers(0, 7)):
        case 1:
            schema["type"] = draw(st.sampled_from([["object", "null"], ["object", "string"]]))
        case 2 if properties:
            del schema["type"]
        case 3:
            schema["required"] = [*required, draw(names)]
        case 4 if properties:
            schema["anyOf"] = [{"required": [name]} for name in properties]
        case 5:
            schema["nullable"] = True
    if (rest := draw(st.sampled_from([None, None, None, False, True, "inner"]))) is not None:
        rest = True if rest == "inner" and part is not None else rest
        # Beside listed properties it is judged as anything, so nothing in it may have to be closed.
        schema["additionalProperties"] = draw(leaves if properties else inner) if rest == "inner" else rest
    return schema


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": draw(st.sampled_from(["array", "array", ["array", "string"]]))}
    if draw(st.booleans()):
        return schema | {"items": draw(inner)}
    places = draw(st.lists(inner, min_size=1, max_size=3))
    schema |= {"prefixItems": places, "minItems": draw(st.integers(0, len(places)))}
    rest = draw(st.sampled_from([None, False, "inner"]))
    return schema | ({"items": draw(inner) if rest else False} if rest is not None else {})


def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    maps = st.builds(
        lambda some, value: {"type": "object", "propertyNames": {"enum": some}, "additionalProperties": value},
        st.lists(names, min_size=1, max_size=3, unique=True),
        inner,
    )
    some = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        objects(inner),
        objects(inner),
        arrays(inner),
        maps,
        st.builds(lambda value: {"type": "object", "additionalProperties": value}, inner),
        st.builds(lambda members: {"anyOf": members}, some),
        st.builds(lambda members: {"oneOf": members}, some),
        st.builds(lambda *parts: {"allOf": list(parts)}, *(objects(inner, part) for part in range(len(NAMES)))),
        st.builds(lambda one: {"allOf": [one | {"required": ["kind"]}, {"$ref": "#/$defs/A"}]}, objects(inner, 1)),
        st.builds(lambda value, ref: {"anyOf": [ref, value]}, inner, refs),
    )


small = leaves | refs
schemas = small | around(small) | around(small | around(small))
# What refers to itself does so behind a property.
definitions = st.fixed_dictionaries(
    {"A": objects(small | around(small), 0), "B": objects(small | around(small)) | arrays(small)}
)


# ── Values ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def value_of(draw: st.DrawFn, schema: Any, defs: dict[str, Any], depth: int) -> Json:
    """Draw a value a schema probably allows; the judge looks at it again."""
    if not isinstance(schema, dict) or not schema:
        return draw(anything)
    if depth < -3:
        return None  # it requires itself
    if schema.get("nullable") and draw(st.integers(0, 3)) == 0:
        return None
    if ref := schema.get("$ref"):
        return value_of(draw, defs[ref[-1]], defs, depth)
    if "const" in schema or "enum" in schema:
        return draw(st.sampled_from(schema.get("enum", [schema.get("const")])))
    parts = [value_of(draw, member, defs, depth) for member in schema.get("allOf", [])]
    parts += [
        value_of(draw, draw(st.sampled_from(schema[keyword])), defs, depth)
        for keyword in ("anyOf", "oneOf")
        if keyword in schema
    ]
    if parts and not schema.keys() & {"type", "properties", "items"}:
        return (
            {k: v for part in parts for k, v in part.items()} if all(isinstance(p, dict) for p in parts) else parts[0]
        )
    kind = schema.get("type", "object")
    kind = draw(st.sampled_from(kind)) if isinstance(kind, list) else kind
    match kind:
        case "object":
            return {k: v for part in parts for k, v in part.items()} | object_of(draw, schema, defs, depth)
        case "array":
            places = schema.get("prefixItems", [])
            rest = schema.get("items", True)
            count = draw(st.integers(schema.get("minItems", 0), len(places) + (0 if rest is False else 2)))
            if depth <= 0:
                count = schema.get("minItems", 0)
            return [value_of(draw, s, defs, depth - 1) for s in [*places, rest, rest][:count]]
        case "string":
            return draw(st.sampled_from(["", "a", "it's\n*/ `${1}`"]))
        case "integer":
            return draw(st.sampled_from([0, 1, -2, 7]))
        case "number":
            return draw(st.sampled_from([0, 1, -2.5, 1e20]))
        case "boolean":
            return draw(st.booleans())
    return None


def object_of(draw: st.DrawFn, schema: dict[str, Any], defs: dict[str, Any], depth: int) -> dict[str, Json]:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    value = {
        name: value_of(draw, properties.get(name), defs, depth - 1)
        for name in [*properties, *required]
        if name in required or (depth > 0 and draw(st.booleans()))
    }
    rest = schema.get("additionalProperties", False)
    if depth > 0 and rest is not False and draw(st.booleans()):
        other = draw(st.sampled_from(schema.get("propertyNames", {}).get("enum", ["other"])))
        value.setdefault(other, value_of(draw, rest, defs, depth - 1))
    return value


def changed(draw: st.DrawFn, value: Json) -> Json:
    """Change one thing in a value: another one, one more, one less."""
    inside = isinstance(value, (dict, list)) and value
    match draw(st.integers(0, 5)) if isinstance(value, (dict, list)) else 0:
        case 1:
            return {**value, STRANGER: draw(anything)} if isinstance(value, dict) else [*value, draw(anything)]
        case 2 if inside:
            if isinstance(value, list):
                return value[:-1]
            gone = draw(st.sampled_from(sorted(value)))
            return {name: inner for name, inner in value.items() if name != gone}
        case 3 | 4 | 5 if inside:
            if isinstance(value, list):
                at = draw(st.integers(0, len(value) - 1))
                return [*value[:at], changed(draw, value[at]), *value[at + 1 :]]
            name = draw(st.sampled_from(sorted(value)))
            return value | {name: changed(draw, value[name])}
    return draw(anything)


@dataclass(frozen=True)
class Case:
    """A schema, its definitions, and values nobody has judged."""

    schema: Any
    defs: dict[str, Any]
    values: list[Json]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    schema = draw(schemas)
    defs = draw(definitions)
    values = [value_of(draw, schema, defs, 3) for _ in range(3)]
    values += [changed(draw, value) for value in values]
    return Case(schema, defs, [json.loads(text) for text in dict.fromkeys(map(json.dumps, values))])


# ── What is valid ───────────────────────────────────────────────────────────────────────────────────────────────────


def meant(schema: Any) -> Any:
    """A schema without `nullable`, which JSON Schema does not know."""
    if isinstance(schema, list):
        return [meant(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    rest = {word: meant(inner) for word, inner in schema.items() if word != "nullable"}
    return {"anyOf": [rest, {"type": "null"}]} if schema.get("nullable") is True else rest


def known(schema: Any) -> Any:
    """What TypeScript knows of a schema without `nullable`: the differences that the test lists, as a schema."""
    if schema is True or schema == {}:
        return {"additionalProperties": True}  # as before, but now all its properties are known
    if not isinstance(schema, dict):
        return schema
    said: dict[str, Any] = {}
    for word, inner in schema.items():
        match word:
            case "type":
                some = inner if isinstance(inner, list) else [inner]
                said[word] = ["number" if kind == "integer" else kind for kind in some]
            case "oneOf" | "anyOf":
                said["anyOf"] = [known(member) for member in inner]
            case "allOf":
                said[word] = [_as_part(known(member)) for member in inner]
            case "properties":
                said[word] = {name: closed(value) for name, value in inner.items()}
            case "prefixItems":
                said[word] = [closed(place) for place in inner]
            case "items" | "additionalProperties":
                said[word] = closed(inner)
            case _:
                said[word] = inner
    if "enum" in schema or "const" in schema:
        return said | {"additionalProperties": True}
    if schema.keys() & {"properties", "required"}:
        said.setdefault("type", ["object"])
        said["properties"] = dict.fromkeys(schema.get("required", []), True) | said.get("properties", {})
    if "object" in said.get("type", []):
        rest, lists = schema.get("additionalProperties"), bool(said.get("properties"))
        if lists:
            said.pop("additionalProperties", None)
        if rest if lists else rest is None and "anyOf" not in schema:
            said["additionalProperties"] = True
        if "additionalProperties" in said and not schema.get("required"):
            said["type"].append("array")
    return said


def _as_part(schema: dict[str, Any]) -> dict[str, Any]:
    return schema if "type" not in schema or schema.get("required") else schema | {"type": [*schema["type"], "array"]}


def closed(schema: Any) -> Any:
    """A place in a value, where all properties have to be known."""
    return schema if schema is False else {"allOf": [known(schema)], "unevaluatedProperties": False}


def judge(schema: Any, defs: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({"allOf": [schema], "$defs": defs}, registry=Registry())


# ── Together ────────────────────────────────────────────────────────────────────────────────────────────────────────


def drawn() -> list[Case]:
    """Many cases: to check each by itself would take a minute, and a failure names its own anyway."""
    found: list[Case] = []

    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


@dataclass
class Batch:
    """Cases as one program.

    Args:
        taken, refused: How many values of either kind there are.
    """

    tools: list[Tool] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    about: list[str] = field(default_factory=list)  # by line
    taken: int = 0
    refused: int = 0

    def add(self, case: Case) -> None:
        tool, defs = f"case{len(self.tools)}", meant(case.defs)
        argument = {"type": "object", "properties": {"value": case.schema}, "required": ["value"]}
        result = {"type": "array", "items": case.schema}
        self.tools.append(Tool("cases", tool, "", argument | {"$defs": case.defs}, result | {"$defs": case.defs}))
        allowed = judge(meant(case.schema), defs)
        typed = judge(closed(meant(case.schema)), {name: known(schema) for name, schema in defs.items()})
        has_alternatives = any(word in json.dumps([case.schema, case.defs]) for word in ('"anyOf"', '"oneOf"'))
        for value in case.values:
            is_known = typed.is_valid(value)
            if is_known and not allowed.is_valid(value):
                continue  # what TypeScript cannot know
            if not is_known and has_alternatives and STRANGER in json.dumps(value):
                continue  # one alternative's index signature lets it pass in all
            self.taken += is_known
            self.refused += not is_known
            literal = json.dumps(value)
            verdict = "valid" if is_known else "invalid"
            said = f"{verdict} {literal}\n  of {json.dumps(case.schema)}\n  with {json.dumps(case.defs)}"
            for type, text in [
                (f"Parameters<typeof Cases.{tool}>[0]", f'{{ "value": {literal} }}'),
                (f"Awaited<ReturnType<typeof Cases.{tool}>>", f"[{literal}]"),
            ]:
                self.lines += ["" if is_known else "// @ts-expect-error", f"const v{len(self.lines)}: {type} = {text};"]
                self.about += [said, said]

    def wrong(self, held: Held, declared: Declarations) -> list[str]:
        """What the type checker sees differently."""
        text = typegen.declarations(self.tools)
        assert declared.wrong(text) == [], text
        verdict = held.wait(held.checker.check(CheckJob("values", "\n".join(self.lines), text)))
        assert isinstance(verdict, Checked), verdict
        return [f"{d.message}\n  {self.about[d.line - 1]}" for d in verdict.diagnostics]


def test_the_type_checker_takes_what_is_valid_and_refuses_what_is_not(held: Held, declared: Declarations) -> None:
    """Known differences, which `known` and the strategies leave out; no other is.

    TypeScript refuses valid values in two ways: an object has no properties but those that are listed, unless its
    schema lists none or speaks of others; and ``properties`` or ``required`` make it an object, ``type`` or not.

    It takes invalid ones in these:

    - an integer may be any number;
    - one alternative of ``oneOf`` may hold as well as several;
    - ``additionalProperties: false`` in a part of ``allOf`` closes the whole, not the part;
    - beside listed properties, those of ``additionalProperties`` may be of the listed ones' types, or any;
    - an array may stand for an object that has any properties and requires none, alone or as a part of ``allOf``;
    - parts of ``allOf`` that want a text and an object of one property are not seen to contradict each other: no two
      of those that are drawn list the same property;
    - an unlisted property passes in every alternative when one of them allows any: none is drawn beside alternatives;
    - of a constant, ``{}`` is any value, as are long texts, huge numbers and what is nested deep: none is drawn.
    """
    found = drawn()
    wrong: list[str] = []
    taken = refused = 0
    for start in range(0, len(found), BATCH):
        batch = Batch()
        for case in found[start : start + BATCH]:
            batch.add(case)
        wrong += batch.wrong(held, declared)
        taken, refused = taken + batch.taken, refused + batch.refused
    assert not wrong, "\n\n".join(wrong)
    assert taken > CASES / 2 and refused > CASES / 2
