"""A JSON Schema document: finds what a ``$ref`` points at, inside the document and nowhere else.

Knows JSON pointers, ``$anchor``, ``$dynamicAnchor`` and ``$id``. It refuses to know what a schema means, and
it fetches nothing: a reference to another document is answered with a `Problem`.

Source: https://json-schema.org/draft/2020-12/json-schema-core#section-8
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote, urldefrag, urljoin

Schema: TypeAlias = "dict[str, object]"
"""A schema that is an object; the others are ``true`` and ``false``."""

WALKED = 50_000
"""Values looked at in search of anchors; what lies beyond is not found."""

_DATA = frozenset({"const", "default", "enum", "example", "examples"})
"""Keywords whose values are data, in which ``$id`` and ``$anchor`` are plain properties."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a reference points at.

    Args:
        schema: The schema there; may be anything, as the document is not checked.
        base: The URI against which the references inside it are resolved.
        place: The last step of the way there that says something, such as ``Order``; "" at the root.
    """

    schema: object
    base: str
    place: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a reference leads nowhere, in a few words."""

    reason: str


class Document:
    """One schema with all that is in it.

    Args:
        root: The parsed document. Nothing is looked at before the first reference that needs it.
    """

    def __init__(self, root: object) -> None:
        self.root = root
        self.base = base_of(root, "")
        self._resources: dict[str, object] = {self.base: root}
        self._anchors: dict[tuple[str, str], object] | None = None

    def resolve(self, ref: str, base: str) -> Target | Problem:
        """Follow a reference found where relative ones are resolved against `base`."""
        fragment = ref.removeprefix("#")
        if not ref.startswith("#"):
            try:
                base, fragment = urldefrag(urljoin(base, ref))
            except ValueError:
                return Problem("the $ref is no URI")
        if base not in self._resources:
            self._index()
        if base not in self._resources:
            return Problem("a $ref to another document is not followed")
        if fragment.startswith("/"):
            return self._walk(fragment, base)
        if fragment == "":
            return Target(self._resources[base], base, "")
        found = self._index().get((base, unquote(fragment)))
        return Target(found, base, fragment) if found is not None else Problem("the $ref has no such anchor")

    def _walk(self, pointer: str, base: str) -> Target | Problem:
        value, place = self._resources[base], ""
        for step in unquote(pointer).split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            match value:
                case dict() if step in value:
                    value = value[step]
                case list() if step.isascii() and step.isdigit() and len(step) < 9 and int(step) < len(value):
                    value = value[int(step)]
                case _:
                    return Problem("the $ref points at nothing")
            base = base_of(value, base)
            if not (
                step.isdigit() or step in {"items", "properties", "additionalProperties", "anyOf", "allOf", "oneOf"}
            ):
                place = step
        return Target(value, base, place)

    def _index(self) -> dict[tuple[str, str], object]:
        """Find every ``$id`` and anchor; once."""
        if self._anchors is None:
            self._anchors = {}
            for schema, base in _schemas(self.root):
                self._resources.setdefault(base, schema)
                for keyword in ("$anchor", "$dynamicAnchor"):
                    if isinstance(name := schema.get(keyword), str):
                        self._anchors.setdefault((base, name), schema)
        return self._anchors


def base_of(schema: object, base: str) -> str:
    """The base URI inside a schema, given the one around it."""
    match schema:
        case {"$id": str(own)}:
            try:
                return urldefrag(urljoin(base, own))[0]
            except ValueError:
                return base
    return base


def _schemas(root: object) -> Iterator[tuple[Schema, str]]:
    """Every object in a document that may be a schema, with the base URI inside it, outermost first."""
    waiting: list[tuple[object, str]] = [(root, "")]
    for _ in range(WALKED):
        if not waiting:
            return
        value, base = waiting.pop()
        match value:
            case dict():
                base = base_of(value, base)
                yield value, base
                waiting.extend((inner, base) for key, inner in value.items() if key not in _DATA)
            case list():
                waiting.extend((inner, base) for inner in value)
