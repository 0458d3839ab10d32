"""One JSON Schema as a TypeScript type. Text in, text out; nothing is fetched and nothing raises.

An object has the properties its schema lists, and others only where the schema speaks of them
(``additionalProperties``, ``patternProperties``): so a misspelled field is an error, although the schema alone
would allow it. What TypeScript cannot say, ranges and patterns for instance, goes into comments; what is
wrong, circular, too deep or too large becomes ``any`` with a comment that says so.

Knows nothing of tools and their names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from . import inert, names, tags
from .schema import Document, Problem, Schema, Target, base_of
from .tool import FUTURE_OR, HANDLE, HANDLE_TYPES, LEARNT
from .type_text import (
    ANY,
    ARRAY,
    BOOLEAN,
    EMPTY,
    NEVER,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    TypeText,
    any_because,
    grouped,
    intersection,
    is_any,
    union,
)

DEEPEST = 32
"""Nested schemas in one type, named types counting afresh."""
MOST_SCHEMAS = 3_000
"""Schemas in one document that are written."""
MOST_PROPERTIES = 500
"""Properties of one object; the rest becomes an index signature."""
MOST_VALUES = 250
"""Values of an enumeration; a longer one is written as its type."""
MOST_MEMBERS = 100
"""Alternatives of a union, parts of an intersection, places of a tuple."""
WIDEST = 88
"""Characters of an object that still stands on one line."""

LIKELY = "Likely"
"""The name of the type for such a schema."""
_LIKELY = (
    "/** What a docstring or a default suggests; any other value is accepted, too. */\n"
    f"type {LIKELY}<T> = T | {{}} | null | undefined;"
)

BYTES = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}, "format": "uint8array"}
"""The schema of an array that is written as ``Uint8Array``: in JSON, it is an array of its numbers."""

_PLAIN = {
    "string": STRING,
    "number": NUMBER,
    "integer": NUMBER,
    "boolean": BOOLEAN,
    "null": NULL,
    "array": ARRAY,
    "object": OBJECT,
}
_SIMPLE = {kind: type for kind, type in _PLAIN.items() if type not in (ARRAY, OBJECT)}
_LABEL = re.compile(r"[a-z][A-Za-z0-9_]{0,40}")
"""Titles of a tuple's places that are names, and no prose."""
_NO_LABELS = frozenset(
    [
        "abstract",
        "any",
        "boolean",
        "const",
        "false",
        "import",
        "infer",
        "keyof",
        "never",
        "new",
        "null",
        "number",
        "object",
        "readonly",
        "string",
        "symbol",
        "this",
        "true",
        "typeof",
        "undefined",
        "unique",
        "unknown",
        "void",
    ]
)
"""Words that begin a type: TypeScript takes them as labels, but other readers of TypeScript do not."""
_CLASSES: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    dict: "object",
    list: "array",
    type(None): "null",
}
_KINDS = ("string", "number", "boolean", "object", "array", "null")
_COMBINING = frozenset(
    {
        "$ref",
        "$dynamicRef",
        "$recursiveRef",
        "allOf",
        "anyOf",
        "oneOf",
        "enum",
        "const",
        "not",
        "then",
        "else",
        "nullable",
    }
)
_COMBINING_MORE = _COMBINING - {"enum"}
_OBJECT_WORDS = frozenset(
    {
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "propertyNames",
        "unevaluatedProperties",
    }
)
_INDEX_WORDS = frozenset({"additionalProperties", "patternProperties", "propertyNames", "unevaluatedProperties"})
_ARRAY_WORDS = frozenset({"items", "prefixItems"})
_INDIRECT = frozenset({"$ref", "allOf", "anyOf", "items", "oneOf"})
"""Keywords behind which may be a schema whose tags belong to the property."""
_UNDESCRIBED = tags.TAGGED | _INDIRECT | {"default", "deprecated"}
_DOC_WORDS = _UNDESCRIBED | {"description"}


@dataclass(frozen=True, slots=True)
class Shape:
    """A schema as TypeScript.

    Args:
        text: The type; lines after the first are indented relative to the line it starts on.
        types: The named types it needs, by name: each a comment, if any, and ``type Name = …;``.
        optional: Whether ``{}`` is a value of it, so that the argument can be left out.
    """

    text: str
    types: dict[str, str] = field(default_factory=dict)
    optional: bool = False


def shape(
    schema: object,
    *,
    root: str = "Root",
    naming: str = "{}",
    scope: str = "",
    docs: bool = True,
    deepest: int = DEEPEST,
) -> Shape:
    """Write a schema as a TypeScript type.

    Args:
        schema: Parsed JSON Schema, 2020-12 or older; None: anything.
        root: The name for the schema itself, should it refer to itself.
        naming: How a named type is called, ``{}`` being the schema's own name for it: ``CreateOrder{}``.
        scope: What stands before a type's name where it is used, such as ``Math_Types.``.
        docs: With JSDoc, on several lines; without, all on one line.
        deepest: Nested schemas that are written; below is ``any``.
    """
    if schema is None:
        return Shape("any", optional=True)
    writer = _Writer(schema, root, naming, scope, docs, deepest)
    return Shape(writer.of(schema).text, writer.finish(), writer.accepts_nothing(schema))


class _Writer:
    """Writes one document; made for one `shape`."""

    def __init__(self, schema: object, root: str, naming: str, scope: str, docs: bool, deepest: int) -> None:
        self.document = Document(schema)
        self.base = self.document.base
        self.root, self.naming, self.scope, self.docs, self.deepest = root, naming, scope, docs, deepest
        self.depth = 0
        self.written = 0
        self.asked = 0
        self.names: dict[int, str] = {}  # by id(): the document holds every schema while we write, and so does `made`
        self.made: list[Schema] = []
        self.taken = {
            "Promise",
            "Record",
            "Frame",
            *HANDLE_TYPES.values(),
            LIKELY,
        }  # a type of that name would hide the one we mean
        self.waiting: dict[int, Target] = {}
        self.circle: frozenset[int] = frozenset()  # named types whose own text, not a property's, we are in
        self.types: dict[str, str] = {}

    def finish(self) -> dict[str, str]:
        """Write the named types that are still owed; return all, by name."""
        while self.waiting:
            key = next(iter(self.waiting))
            self.depth = 0
            self.name_one(key, self.waiting.pop(key))
        return dict(sorted(self.types.items()))

    # A schema

    def of(self, schema: object, kinds: list[object] | None = None) -> TypeText:
        """Write a schema; `kinds` are the types it has from the schema around it."""
        if not isinstance(schema, dict):
            return ANY if schema is True else NEVER if schema is False else any_because("not a schema")
        self.written += 1
        if self.depth >= self.deepest:
            return any_because("nested too deep")
        if self.written > MOST_SCHEMAS:
            return any_because("too large a schema")
        if str(schema.get(HANDLE, "")).startswith(FUTURE_OR):
            return self.or_future(schema, kinds)
        kind = schema.get("type", kinds)
        if isinstance(schema.get(LEARNT), str):
            return self.likely(schema)
        if kind is None and HANDLE in schema and (name := HANDLE_TYPES.get(str(schema[HANDLE]))) is not None:
            return TypeText(name)
        if kind.__class__ is str and _COMBINING.isdisjoint(schema):
            if kind != "object" and kind != "array":
                return _PLAIN.get(kind) or any_because(f"unknown type {kind}")
            if "$id" not in schema:
                return self.nested(schema, [kind])
        base, self.base = self.base, base_of(schema, self.base)
        if kind is not None and not isinstance(kind, list):
            kind = [kind]
        if _COMBINING.isdisjoint(schema):
            written = self.nested(schema, kind)
        elif "enum" in schema and isinstance(schema["enum"], list) and _COMBINING_MORE.isdisjoint(schema):
            self.written += len(schema["enum"]) // 10
            written = _enumeration(schema["enum"], kind)
        else:
            written = self.combined(schema, kind)
        self.base = base
        return written

    def or_future(self, schema: Schema, kinds: list[object] | None) -> TypeText:
        """A value, or a future of it."""
        handle = str(schema[HANDLE]).removeprefix(FUTURE_OR)
        plain = schema | {HANDLE: handle} if handle else {name: one for name, one in schema.items() if name != HANDLE}
        self.made.append(plain)
        written = self.of(plain, kinds)
        return written if is_any(written) else union([written, TypeText(f"Future<{written.text}>")])

    def likely(self, schema: Schema) -> TypeText:
        """A type without a declaration: it is shown, and every value is assignable to it."""
        match schema.get("anyOf"):
            case [likely, {**rest}] if not rest:
                self.depth += 1
                written = self.of(likely)
                self.depth -= 1
                if not is_any(written):
                    self.types[LIKELY] = _LIKELY
                    return TypeText(f"{self.scope}{LIKELY}<{written.text}>")
        return ANY

    def nested(self, schema: Schema, kinds: list[object] | None) -> TypeText:
        """A schema without combining keywords, as a union of its types."""
        self.depth += 1
        if kinds is None:
            kinds = [] if _OBJECT_WORDS.isdisjoint(schema) else ["object"]
            kinds += [] if _ARRAY_WORDS.isdisjoint(schema) else ["array"]
        if len(kinds) == 1:
            written = self.kind(kinds[0], schema)
        elif kinds:
            written = union([self.kind(kind, schema) for kind in kinds[:MOST_MEMBERS]])
        else:
            written = ANY
        self.depth -= 1
        return written

    def kind(self, kind: object, schema: Schema) -> TypeText:
        if kind == "object":
            return self.object_type(schema)
        if kind == "array":
            return self.array_type(schema)
        return (_PLAIN.get(kind) if isinstance(kind, str) else None) or any_because(f"unknown type {kind!r:.40}")

    def combined(self, schema: Schema, kinds: list[object] | None) -> TypeText:
        """A schema with combining keywords: all of them hold at once."""
        self.depth += 1
        excluded = schema.get("not")
        if excluded is True or excluded == {}:
            parts = [NEVER]
        elif (values := _values(schema)) is not None:
            self.written += len(values) // 10
            parts = [_enumeration(_without(values, excluded), kinds)]
            parts += self.conjuncts(schema, None)
        else:
            if isinstance(excluded, dict) and "type" in excluded and len(excluded) == 1:
                kinds = _other_kinds(kinds, excluded["type"])
            parts = self.conjuncts(schema, kinds)
            bare = _OBJECT_WORDS.isdisjoint(schema) and _ARRAY_WORDS.isdisjoint(schema)
            # A bare type says nothing new beside parts that were written as of that type.
            if not (bare and (parts or kinds is None)):
                parts.insert(0, self.nested(schema, kinds))
        written = intersection(parts)
        self.depth -= 1
        return union([written, NULL]) if schema.get("nullable") is True and written is not ANY else written

    def conjuncts(self, schema: Schema, kinds: list[object] | None) -> list[TypeText]:
        """What ``$ref``, ``allOf``, ``anyOf``, ``oneOf``, ``then`` and ``else`` say, where they say something."""
        refs = (schema.get(keyword) for keyword in ("$ref", "$dynamicRef", "$recursiveRef"))
        parts = [self.ref(ref) for ref in refs if isinstance(ref, str)]
        if isinstance(every := schema.get("allOf"), list):
            parts += [self.of(member, kinds) for member in every[:MOST_MEMBERS]]
        for keyword in ("anyOf", "oneOf"):
            if isinstance(some := schema.get(keyword), list) and some:
                parts.append(self.alternatives(schema, some, kinds))
        if "then" in schema and "else" in schema:
            parts.append(union([self.of(schema["then"], kinds), self.of(schema["else"], kinds)]))
        return [part for part in parts if part is not ANY]

    def alternatives(self, schema: Schema, some: list[object], kinds: list[object] | None) -> TypeText:
        if len(some) > MOST_MEMBERS:
            return self.many(some)
        match schema.get("discriminator"):
            case {"propertyName": str(name), **rest}:
                marks = rest.get("mapping")
                return union([self.marked(member, name, marks, kinds) for member in some])
        return union([self.of(member, kinds) for member in some])

    def many(self, some: list[object]) -> TypeText:
        """A long ``oneOf`` of constants is an enumeration."""
        constants = [member["const"] for member in some if isinstance(member, dict) and "const" in member]
        return (
            _enumeration(constants, None) if len(constants) == len(some) else any_because(f"{len(some)} alternatives")
        )

    def marked(self, member: object, name: str, marks: object, kinds: list[object] | None) -> TypeText:
        """An alternative that is known by a property, which is added when the alternative does not pin it."""
        written = self.of(member, kinds)
        match member:
            case {"$ref": str(ref)}:
                target = self.document.resolve(ref, self.base)
            case _:
                return written
        if isinstance(target, Problem) or not isinstance(target.schema, dict):
            return written
        match target.schema.get("properties"):
            case dict() as properties if _values(properties.get(name)) is not None:
                return written
        values = [value for value, to in marks.items() if to == ref] if isinstance(marks, dict) else []
        pinned = " | ".join(inert.literal(value) for value in values or [target.place])
        return intersection([TypeText(f"{{ {inert.property_name(name)}: {pinned} }}"), written])

    # References

    def ref(self, ref: str) -> TypeText:
        """Write a reference as the name of its target."""
        target = self.document.resolve(ref, self.base)
        if isinstance(target, Problem):
            return any_because(f"{target.reason}: {ref}")
        if (simple := _simple(target.schema)) is not None:
            return simple
        if not isinstance(target.schema, dict):
            return self.of(target.schema)
        key = id(target.schema)
        if key in self.circle:
            return any_because("a type that is only itself")
        if key not in self.names:
            if len(self.names) >= MOST_SCHEMAS:
                return any_because("too many types")
            self.names[key] = self.new_name(target)
            self.waiting[key] = target
        if self.circle and key in self.waiting:
            # Not behind a property: it may lead straight back to where we are, which only its text can tell.
            self.name_one(key, self.waiting.pop(key))
        return TypeText(self.scope + self.names[key])

    def name_one(self, key: int, target: Target) -> None:
        """Write the named type of one target."""
        name, base, circle = self.names[key], self.base, self.circle
        self.base, self.circle = target.base, circle | {key}
        schema = cast("Schema", target.schema)
        text = self.of(schema).text
        self.base, self.circle = base, circle
        self.types[name] = f"{self.doc(schema)}type {name} = {text};"

    def new_name(self, target: Target) -> str:
        title = cast("Schema", target.schema).get("title")
        hint = target.place or (title if isinstance(title, str) else "") or self.root
        plain = self.naming.format(names.type_name(hint))
        name, number = plain, 1
        while name in self.taken:
            number += 1
            name = f"{plain}{number}"
        self.taken.add(name)
        return name

    # Objects and arrays

    def behind(self, schema: object) -> TypeText:
        """Write a property or an item: from there, a type may refer to itself."""
        if (simple := _simple(schema)) is not None:
            self.written += 1
            return simple
        circle, self.circle = self.circle, frozenset()
        written = self.of(schema)
        self.circle = circle
        return written

    def object_type(self, schema: Schema) -> TypeText:
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            properties = {}
        listed = schema.get("required")
        required = dict.fromkeys(filter(_is_string, listed)) if isinstance(listed, list) else {}
        lines: list[str] = []
        values: list[TypeText] = []
        some_optional = False
        for name, value in properties.items():
            if len(values) >= MOST_PROPERTIES or not isinstance(name, str):
                break
            written = self.behind(value)
            values.append(written)
            mark = "" if name in required else "?"
            some_optional |= mark == "?"
            doc = self.doc(value) if isinstance(value, dict) else ""
            lines.append(f"{doc}{inert.property_name(name)}{mark}: {written.text};")
        # Beside other keywords a name in `required` adds its presence: unknown leaves their type alone.
        unsaid = "any" if "type" in schema and _COMBINING.isdisjoint(schema) else "unknown"
        for name in [name for name in required if name not in properties][:MOST_PROPERTIES]:
            lines.append(f"{inert.property_name(name)}: {unsaid};")
            values.append(ANY)
        if not _INDEX_WORDS.isdisjoint(schema) or len(properties) > MOST_PROPERTIES:
            index = self.index(schema, values, len(properties), some_optional)
            if index[:1] == "{":
                return TypeText(index)
            lines += filter(None, [index])
        if not lines:
            return EMPTY if schema.get("additionalProperties") is False else OBJECT
        text = "\n".join(lines)
        if not self.docs or (len(text) <= WIDEST and text.count("\n") == len(lines) - 1):
            return TypeText("{ " + text.replace("\n", " ")[:-1] + " }")
        return TypeText("{\n  " + text.replace("\n", "\n  ") + "\n}")

    def index(self, schema: Schema, values: list[TypeText], listed: int, some_optional: bool) -> str:
        """The index signature, for properties that are not listed; "" for none.

        Where nothing but the allowed names is known, it is a whole type: ``{ [key in "a" | "b"]?: number }``.
        """
        others: list[TypeText] = []
        match schema.get("patternProperties"):
            case dict() as patterns:
                others += [self.behind(value) for value in list(patterns.values())[:MOST_MEMBERS]]
        rest = schema.get("additionalProperties", schema.get("unevaluatedProperties"))
        if rest is True or isinstance(rest, dict):
            others.append(self.behind(rest))
        keys = schema.get("propertyNames")
        if listed > MOST_PROPERTIES:
            return f"/* and {listed - MOST_PROPERTIES:,} more */ [key: string]: any;"
        if not values and (allowed := _values(keys)) is not None and all(map(_is_string, allowed)):
            value = union(others).text if others else "any"
            return f"{{ [key in {_enumeration(allowed, None).text}]?: {value} }}"
        if not others:
            return ""
        # TypeScript wants every listed property to be one of the indexed type.
        if values:
            others += values + ([TypeText("undefined")] if some_optional else [])
        written = union(others)
        return f"[key: string]: {written.text if len(written.text) <= 2 * WIDEST or not values else 'any'};"

    def array_type(self, schema: Schema) -> TypeText:
        if schema == BYTES:
            return TypeText("Uint8Array")
        if isinstance(schema.get(HANDLE), str):
            row = self.behind(schema.get("items", True))
            if schema[HANDLE] == "frame":
                return TypeText("Frame" if row == OBJECT else f"Frame<{row.text}>")
            if schema[HANDLE] in ("items", "future"):
                name = HANDLE_TYPES[str(schema[HANDLE])]
                return TypeText(name if is_any(row) else f"{name}<{row.text}>")
            name = "NDArray" if schema[HANDLE] == "array or values" else "Frame"
            return union([TypeText(name), TypeText(grouped(row) + "[]")])
        items = schema.get("items", True)
        places = items if isinstance(items, list) else schema.get("prefixItems")
        if not isinstance(places, list) or not places:
            if items is False or items == []:
                return TypeText("[]")
            return TypeText(grouped(self.behind(items)) + "[]") if items is not True and items != [] else ARRAY
        if len(places) > MOST_MEMBERS:
            return any_because(f"a tuple of {len(places):,}")
        rest = schema.get("additionalItems", True) if items is places else items
        rest = schema.get("unevaluatedItems", True) if rest is True else rest
        least, most = _count(schema, "minItems", 0), _count(schema, "maxItems", len(places) + 1)
        parts = []
        labels = _labels(places[:most])
        for at, place in enumerate(places[:most]):
            written = self.behind(place)
            if labels:
                parts.append(f"{labels[at]}{'' if at < least else '?'}: {written.text}")
            else:
                parts.append(written.text if at < least else grouped(written) + "?")
        if rest is not False and most > len(places):
            label = "...rest: " if labels else "..."
            parts.append(label + grouped(self.behind(rest)) + "[]")
        return TypeText(f"[{', '.join(parts)}]")

    # Comments, and what may be left out

    def doc(self, schema: Schema) -> str:
        """The JSDoc line of a property or a type, with its line end; "" when there is nothing to say."""
        if not self.docs or _DOC_WORDS.isdisjoint(schema):
            return ""
        text = schema.get("description")
        said = [inert.comment(text, 500)] if isinstance(text, str) and text else []
        if said and _UNDESCRIBED.isdisjoint(schema):
            return f"/** {said[0]} */\n"
        if schema.get("deprecated") is True:
            said.append("@deprecated")
        if (default := schema.get("default")) is not None:
            said.append(f"@default {inert.comment(_json(default), 80)}")
        if not tags.TAGGED.isdisjoint(schema):
            said += tags.of(schema)
        if not _INDIRECT.isdisjoint(schema):
            for inner in self.inner(schema):
                said += tags.of(inner)
        return f"/** {' '.join(filter(None, said))} */\n" if said else ""

    def inner(self, schema: Schema) -> Iterator[Schema]:
        """Schemas whose ranges and formats are the property's: the one besides null, an item's, a simple target."""
        if isinstance(ref := schema.get("$ref"), str):
            target = self.document.resolve(ref, self.base)
            if isinstance(target, Target) and _simple(target.schema) is not None:
                yield cast("Schema", target.schema)
        for keyword in ("anyOf", "oneOf", "allOf"):
            if isinstance(members := schema.get(keyword), list) and len(members) <= 2:
                some = [member for member in members if member != {"type": "null"}]
                if len(some) == 1 and isinstance(some[0], dict):
                    yield some[0]
        match schema.get("items"):
            case {"format": str(name)}:
                yield {"format": name}

    def accepts_nothing(self, schema: object) -> bool:
        """Is ``{}`` valid? No, when that takes more than a short look."""
        if not isinstance(schema, dict):
            return schema is True
        kind = schema.get("type", "object")
        self.asked += 1
        if self.asked > 50 or _values(schema) is not None or schema.get("required") or schema.get("minProperties"):
            return False
        if kind != "object" and not (isinstance(kind, list) and "object" in kind):
            return False
        if isinstance(ref := schema.get("$ref"), str):
            target = self.document.resolve(ref, self.document.base)
            if isinstance(target, Problem) or not self.accepts_nothing(target.schema):
                return False
        every, parts = schema.get("allOf"), [schema.get("anyOf"), schema.get("oneOf")]
        if isinstance(every, list) and not all(self.accepts_nothing(m) for m in every[:MOST_MEMBERS]):
            return False
        return all(
            any(self.accepts_nothing(member) for member in some[:MOST_MEMBERS])
            for some in parts
            if isinstance(some, list)
        )


def _labels(places: list[object]) -> list[str]:
    """The names of a tuple's places, as a named tuple has them; none unless every place has one of its own."""
    titles = [place.get("title") if isinstance(place, dict) else None for place in places]
    found = [title for title in titles if isinstance(title, str) and _LABEL.fullmatch(title)]
    return found if len(set(found) - _NO_LABELS) == len(places) else []


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _simple(schema: object) -> TypeText | None:
    """The type of a schema that is nothing but a primitive."""
    if not isinstance(schema, dict):
        return None
    kind = schema.get("type")
    if not isinstance(kind, str) or HANDLE in schema:
        return None
    return _SIMPLE.get(kind) if _COMBINING.isdisjoint(schema) else None


def _values(schema: object) -> list[object] | None:
    """The only values a schema allows, when it lists them."""
    match schema:
        case {"const": value}:
            return [value]
        case {"enum": list(values)}:
            return values
    return None


def _without(values: list[object], excluded: object) -> list[object]:
    gone = _values(excluded) or []
    if not gone or len(gone) > MOST_VALUES or len(values) > MOST_VALUES:
        return values
    return [value for value in values if value not in gone]


def _enumeration(values: list[object], kinds: list[object] | None) -> TypeText:
    """A union of literals, of those values that are of one of the types."""
    if len(values) > MOST_VALUES:
        wide = union(_PLAIN.get(_CLASSES.get(kind, ""), ANY) for kind in dict.fromkeys(map(type, values)))
        return TypeText(f"{wide.text} /* one of {len(values):,} values */", wide.rank)
    if kinds is None or kinds == ["string"]:
        texts = dict.fromkeys([inert.string(value) for value in values if isinstance(value, str) and len(value) < 99])
        if len(texts) == len(values) > 1:
            return TypeText(" | ".join(texts), 2, tuple(map(TypeText, texts)))
    return union(TypeText(inert.literal(value)) for value in values if kinds is None or _is_of(value, kinds))


def _is_of(value: object, kinds: list[object]) -> bool:
    kind = _CLASSES.get(type(value), "")
    if kind == "number" and "integer" in kinds and (not isinstance(value, float) or value.is_integer()):
        return True
    return kind in kinds


def _other_kinds(kinds: list[object] | None, excluded: object) -> list[object]:
    gone = excluded if isinstance(excluded, list) else [excluded]
    return [kind for kind in kinds or _KINDS if kind not in gone and not (kind == "integer" and "number" in gone)]


def _count(schema: Schema, keyword: str, otherwise: int) -> int:
    value = schema.get(keyword)
    return value if isinstance(value, int) and value >= 0 else otherwise


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return "…"
