"""JSON Schemas for property tests: plain ones, odd ones, ones that are none; and a parser for what becomes of them."""

from collections.abc import Callable
from typing import Any

import tree_sitter
import tree_sitter_typescript
from hypothesis import strategies as st

HOSTILE = [
    "*/",
    "/*",
    "//",
    "*/ globalThis.canary = 1; /*",
    '"; globalThis.canary = 1; "',
    "`${globalThis.canary = 1}`",
    "</script><script>alert(1)</script>",
    "\\u002a/",
    "\\",
    "'",
    '"',
    "a\nb",
    "a\r\nb",
    "a\u2028b\u2029c",
    "\x00\x07\x1b[31m",
    "\u202egnirts\u202c",
    "\ud800",
    "\ufeff",
    "@ts-ignore",
    "@ts-expect-error",
    "// @ts-nocheck",
    "/// <reference path='x' />",
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "then",
    "toJSON",
    "new",
    "get",
    "set",
    "readonly",
    "async",
    "delete",
    "await",
    "type",
    "of",
    "in",
    "is",
    "keyof",
    "default",
    "Promise",
    "Array",
    "any",
    "",
    " ",
    "1",
    "1e400",
    "-",
    "\U0001f389",
    "日本語",
    "e\u0301",
]
"""Texts that end, begin or turn something somewhere."""

texts = st.sampled_from(HOSTILE) | st.text(max_size=12)
property_names = st.sampled_from(["a", "b", "kind", "id"]) | texts
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(property_names, inner, max_size=3),
    max_leaves=6,
)
refs = st.sampled_from(
    [
        "#",
        "#/$defs/A",
        "#/$defs/B",
        "#/$defs/a~1b",
        "#/$defs/c~0d",
        "#/$defs/%41",
        "#/properties/a",
        "#/allOf/0",
        "#named",
        "#/nowhere",
        "http://169.254.169.254/schema",
        "file:///etc/passwd",
        "https://example.com/root#/$defs/A",
        "http://[",
        "",
    ]
)
types = st.sampled_from(["string", "number", "integer", "boolean", "null", "array", "object", "strange"])
DOCS: dict[str, st.SearchStrategy[Any]] = {
    "description": texts,
    "title": texts,
    "default": values,
    "format": texts,
    "pattern": texts,
    "deprecated": st.booleans(),
    "minimum": st.integers() | st.floats(),
    "exclusiveMaximum": st.integers() | st.floats(),
    "minItems": st.integers(-1, 3),
    "maxItems": st.integers(-1, 3),
    "maxLength": st.integers(),
    "uniqueItems": st.booleans(),
    "nullable": st.booleans(),
    "$id": st.sampled_from(["https://example.com/root", "inner", "http://["]),
    "$anchor": st.just("named"),
}


def _some(keywords: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keywords)


def _merged(parts: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {keyword: value for part in parts for keyword, value in part.items()}


def _around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, max_size=3)
    members = st.dictionaries(property_names, inner, max_size=3)
    structure = _some(
        {
            "type": types | st.lists(types, max_size=3),
            "properties": members,
            "required": st.lists(property_names, max_size=3),
            "additionalProperties": inner,
            "patternProperties": members,
            "propertyNames": inner,
            "unevaluatedProperties": inner,
            "items": inner | lists,
            "prefixItems": lists,
            "additionalItems": inner,
        }
    )
    combination = _some(
        {
            "allOf": lists,
            "anyOf": lists,
            "oneOf": lists,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
            "$ref": refs,
            "enum": st.lists(values, max_size=4),
            "const": values,
            "discriminator": st.fixed_dictionaries(
                {"propertyName": property_names}, optional={"mapping": st.dictionaries(texts, refs, max_size=2)}
            ),
        }
    )
    return st.tuples(structure, _some(DOCS)).map(_merged) | st.tuples(combination, structure, _some(DOCS)).map(_merged)


leaves = st.booleans() | st.builds(lambda kind: {"type": kind}, types) | st.builds(lambda ref: {"$ref": ref}, refs)
odd = st.none() | st.integers() | texts | values | st.builds(lambda value: {"type": value, "properties": value}, values)
shallow = _around(leaves)
schemas = odd | leaves | shallow | _around(leaves | shallow) | _around(leaves | _around(shallow))


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """A schema with definitions that refer to each other, themselves and nothing."""
    root = draw(schemas)
    if isinstance(root, dict):
        root = dict(root)
        root["$defs"] = {name: draw(schemas) for name in ("A", "B", "a/b", "c~d")}
    return root


PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_typescript.language_typescript()))


def syntax_errors(text: str) -> list[str]:
    """What is no TypeScript in a text: one line each."""
    waiting, found = [PARSER.parse(text.encode()).root_node], []
    while waiting:
        node = waiting.pop()
        if node.type == "ERROR" or node.is_missing:
            found.append(f"{node.start_point[0] + 1}: {node.text.decode()[:200] if node.text else node.type}")
        elif node.has_error:
            waiting.extend(node.children)
    return found


def statements(text: str) -> set[str]:
    """The kinds of statements at the top of a text."""
    return {node.type for node in PARSER.parse(text.encode()).root_node.children} - {"comment"}


def comments(text: str) -> list[str]:
    """The comments anywhere in a text."""
    waiting, found = [PARSER.parse(text.encode()).root_node], []
    while waiting:
        node = waiting.pop()
        if node.type == "comment":
            found.append((node.text or b"").decode())
        waiting.extend(node.children)
    return found


Check = Callable[[str], list[str]]
errors_in: Check = syntax_errors
"""What is wrong with a text of declarations; a compiler may stand here instead of a parser."""
