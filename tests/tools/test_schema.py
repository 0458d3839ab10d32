"""References inside a schema document. Everything is real; there is no network here to fetch with."""

import pytest

from pctx_jupyter.tools.schema import Document, Problem, Target

ORDER = {"type": "object", "title": "Order"}
DOCUMENT = {
    "$id": "https://shop.example/root.json",
    "$defs": {
        "Order": ORDER,
        "a/b": {"const": "slash"},
        "c~d": {"const": "tilde"},
        "e f": {"const": "space"},
        "named": {"$anchor": "here", "const": "anchor"},
        "moving": {"$dynamicAnchor": "there", "const": "dynamic"},
        "other": {"$id": "other.json", "$defs": {"Order": {"const": "inner"}}, "$anchor": "here2"},
        "data": {"const": {"$anchor": "no"}, "enum": [{"$id": "https://shop.example/no.json"}]},
    },
    "anyOf": [{"const": 0}, {"const": 1}],
}


@pytest.mark.parametrize(
    ("ref", "found", "place"),
    [
        ("#", DOCUMENT, ""),
        ("#/$defs/Order", ORDER, "Order"),
        ("root.json#/$defs/Order", ORDER, "Order"),
        ("https://shop.example/root.json#/$defs/Order", ORDER, "Order"),
        ("#/$defs/a~1b", {"const": "slash"}, "a/b"),
        ("#/$defs/c~0d", {"const": "tilde"}, "c~d"),
        ("#/$defs/e%20f", {"const": "space"}, "e f"),
        ("#/anyOf/1", {"const": 1}, ""),
        ("#here", DOCUMENT["$defs"]["named"], "here"),  # type: ignore[index]
        ("#there", DOCUMENT["$defs"]["moving"], "there"),  # type: ignore[index]
        ("other.json", DOCUMENT["$defs"]["other"], ""),  # type: ignore[index]
        ("other.json#/$defs/Order", {"const": "inner"}, "Order"),
    ],
)
def test_reference_finds_its_target(ref: str, found: object, place: str) -> None:
    target = Document(DOCUMENT).resolve(ref, "https://shop.example/root.json")
    assert isinstance(target, Target)
    assert target.schema == found
    assert target.place == place


def test_reference_in_an_embedded_document_is_relative_to_it() -> None:
    document = Document(DOCUMENT)
    other = document.resolve("#/$defs/other", document.base)
    assert isinstance(other, Target)
    inner = document.resolve("#/$defs/Order", other.base)
    assert isinstance(inner, Target)
    assert inner.schema == {"const": "inner"}


@pytest.mark.parametrize(
    ("ref", "why"),
    [
        ("#/$defs/Nobody", "points at nothing"),
        ("#/anyOf/2", "points at nothing"),
        ("#/anyOf/-1", "points at nothing"),
        ("#/anyOf/\u00b2", "points at nothing"),
        ("#/$id/0", "points at nothing"),
        ("#nobody", "no such anchor"),
        ("#no", "no such anchor"),
        ("no.json", "another document"),
        ("http://169.254.169.254/latest", "another document"),
        ("file:///etc/passwd", "another document"),
        ("gopher://x", "another document"),
        ("data:application/json,{}", "another document"),
        ("http://[", "no URI"),
    ],
)
def test_reference_to_nothing_or_elsewhere_is_a_problem(ref: str, why: str) -> None:
    problem = Document(DOCUMENT).resolve(ref, "https://shop.example/root.json")
    assert isinstance(problem, Problem)
    assert why in problem.reason


@pytest.mark.parametrize("root", [None, True, [], "x", 5])
def test_document_may_be_anything(root: object) -> None:
    assert Document(root).resolve("#", "") == Target(root, "", "")
    assert isinstance(Document(root).resolve("#/a", ""), Problem)
