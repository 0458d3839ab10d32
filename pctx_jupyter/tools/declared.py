"""Whether a result is what its tool declares: the first place that differs, ``result.days[0].mm: expected number``.

The declared schema is where the types of programs come from. So what counts is what a type says: kinds of values,
fields that are required, constants and enumerations. Ranges, patterns, formats, conditions and fields beyond those
declared do not count: MCP servers disregard them, and no program gets a value of a wrong type.

Schema and result are both strangers' data. A comparison has a bounded number of steps, and follows no reference to
another document. Where it cannot decide, it finds no difference. It knows nothing of tools.

`arguments` looks at what a person is about to allow. This runs after every call, so a schema is read once, some
elements of a list are looked at, and jsonschema is not used: to import it takes 80 ms.

Source: https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from .. import visible
from ..rpc.jsonrpc import Json
from .observed import OF_RESULTS, SAMPLE, sample
from .schema import Document, Schema, Target, base_of
from .tool import HANDLE, LEARNT

MOST_STEPS = 10_000
"""Steps that one comparison takes, some milliseconds. One that would take more finds no difference."""

MOST_NAMED = 5
"""Values of an enumeration that a difference names."""

LONGEST_VALUE = 60
"""Characters of a value that a difference shows."""

LONGEST_PLACE = 120
"""Characters of a place that a difference shows."""

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}
_OF_OBJECTS = frozenset({"properties", "required", "additionalProperties"})
_OF_ARRAYS = frozenset({"items", "prefixItems"})
_KIND_ALONE = frozenset({"type", "title", "description", "format", "default"})
"""Keywords of a schema that says nothing but kinds."""


@dataclass(frozen=True, slots=True)
class _Difference:
    """A value that does not fit its schema.

    Args:
        expected: What would fit, each in a few words; empty: the field is missing.
        value: What is there.
        steps: The way to it, outermost first.
    """

    expected: tuple[str, ...]
    value: Json = None
    steps: tuple[int | str, ...] = ()

    def under(self, step: int | str) -> _Difference:
        return replace(self, steps=(step, *self.steps))

    def __str__(self) -> str:
        place = "result" + "".join(map(_step, self.steps))
        said = f"expected {' or '.join(self.expected)}, got {_shown(self.value)}" if self.expected else "missing"
        return f"{visible.line(place, LONGEST_PLACE)}: {said}"


Compare = Callable[[Any], _Difference | None]
"""Returns where a value differs from one schema; None: it fits."""


class DeclaredResult:
    """What the results of one tool are declared to be. A part of the schema is read when a value first needs it.

    Args:
        schema: JSON Schema.
    """

    def __init__(self, schema: Json) -> None:
        self._document = Document(schema)
        self._compare: Compare | None = None
        self._targets: dict[int, Compare] = {}  # by id(): the document holds every schema
        self._steps = 0

    def difference(self, result: Json) -> str | None:
        """Return where a result differs, and how; None: it does not, as far as that can be said.

        Of a list or a map of more than 100 elements, some are looked at.
        """
        self._steps = 0
        try:
            if self._compare is None:
                self._compare = _fits  # for good, if the schema is too large
                self._compare = self._of(self._document.root, "")
            found = self._compare(result)
        except Exception:  # too many steps, too deep, or a stranger's schema whose keywords have the wrong types
            return None
        return None if found is None else str(found)

    def _take(self, steps: int) -> None:
        self._steps += steps
        if self._steps > MOST_STEPS:
            raise _TooManySteps

    def _of(self, schema: object, base: str) -> Compare:
        """Return what compares values with a schema, in which relative references are resolved against `base`."""
        self._take(1)
        if not isinstance(schema, dict) or HANDLE in schema or LEARNT in schema:
            return _fits
        base = base_of(schema, base)
        parts = [*self._of_the_value(schema), *self._of_other_schemas(schema, base)]
        if not _OF_OBJECTS.isdisjoint(schema):
            parts.append(self._object(schema, base))
        if not _OF_ARRAYS.isdisjoint(schema):
            parts.append(self._array(schema, base))
        compare = _all_of(parts)
        if schema.get("nullable") is not True:
            return compare
        return lambda value: None if value is None else compare(value)

    def _of_the_value(self, schema: Schema) -> Iterator[Compare]:
        kinds = schema.get("type")
        if kinds is not None:
            yield _of_kinds(kinds if isinstance(kinds, list) else [kinds])
        for keyword in ("const", "enum"):
            if keyword in schema:
                yield self._one_of([schema["const"]] if keyword == "const" else schema["enum"])

    def _of_other_schemas(self, schema: Schema, base: str) -> Iterator[Compare]:
        if isinstance(ref := schema.get("$ref"), str):
            yield self._target(ref, base)
        every: Any = schema.get("allOf", ())
        yield from [self._of(member, base) for member in every]
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                yield self._alternatives(schema[keyword], base)

    def _one_of(self, some: Any) -> Compare:
        if some == []:
            return _fits  # nothing could fit: a list that the server has not filled in

        def compare(value: Any) -> _Difference | None:
            self._take(1 + len(some) // 10)
            return None if _is_one_of(value, some) else _Difference(_named(some), value)

        return compare

    def _target(self, ref: str, base: str) -> Compare:
        target = self._document.resolve(ref, base)
        if not isinstance(target, Target):
            return _fits

        def compare(value: Any) -> _Difference | None:
            self._take(1)
            known = self._targets.get(id(target.schema))
            if known is None:
                known = self._targets[id(target.schema)] = self._of(target.schema, target.base)
            return known(value)

        return compare

    def _object(self, schema: Schema, base: str) -> Compare:
        properties: Any = schema.get("properties", {})
        required = schema.get("required")
        wanted = required if isinstance(required, list) else []  # before draft 4, it was a truth value
        rest = schema.get("additionalProperties") if "patternProperties" not in schema else None
        compare_rest = self._of(rest, base)
        known: dict[str, Compare] = {}

        def compare(value: Any) -> _Difference | None:
            if type(value) is not dict:
                return None
            self._take(min(len(value), SAMPLE))
            for name in value if len(value) <= SAMPLE else sample(list(value), OF_RESULTS):
                if (one := known.get(name)) is None:
                    one = compare_rest
                    if name in properties:
                        one = known[name] = self._of(properties[name], base)
                if one is not _fits and (found := one(value[name])) is not None:
                    return found.under(name)
            for name in wanted:
                if name not in value:
                    return _Difference(()).under(name)
            return None

        return compare

    def _array(self, schema: Schema, base: str) -> Compare:
        items = schema.get("items")
        places: Any = items if isinstance(items, list) else schema.get("prefixItems", [])
        rest = self._of(schema.get("additionalItems") if items is places else items, base)
        firsts = [self._of(one, base) for one in places]
        least = schema.get("minItems", 0)
        least = least if isinstance(least, int) and places else 0

        def compare(value: Any) -> _Difference | None:
            if type(value) is not list:
                return None
            self._take(1)
            if len(value) < min(least, len(firsts)):
                return _Difference((f"array of at least {least}",), value)
            for at, one in enumerate(firsts[: len(value)]):
                if (found := one(value[at])) is not None:
                    return found.under(at)
            if rest is _fits:
                return None
            indices = sample(range(len(firsts), len(value)), OF_RESULTS)
            self._take(len(indices))
            for at in indices:
                if (found := rest(value[at])) is not None:
                    return found.under(at)
            return None

        return compare

    def _alternatives(self, some: Any, base: str) -> Compare:
        if all(isinstance(one, dict) and one.keys() <= _KIND_ALONE and "type" in one for one in some):
            kinds = [one["type"] for one in some]
            return _of_kinds([word for kind in kinds for word in (kind if isinstance(kind, list) else [kind])])
        each = [(member, self._of(member, base)) for member in some]

        def compare(value: Any) -> _Difference | None:
            self._take(1)
            found: list[_Difference] = []
            chosen: list[_Difference] = []
            for member, one in each:
                if (difference := one(value)) is None:
                    return None
                found.append(difference)
                if difference.steps and self._has_constants_of(member, value, base):
                    chosen.append(difference)
            if len(chosen) == 1:
                return chosen[0]
            if len({one.steps for one in found}) == 1:  # of a field that all forms have, or of the value itself
                expected = dict.fromkeys(word for one in found for word in one.expected)
                return replace(found[0], expected=tuple(expected))
            return _Difference(("one of the forms that are declared",), value) if found else None

        return compare

    def _has_constants_of(self, schema: object, value: Any, base: str) -> bool:
        """Whether an object has the constants that an alternative wants, as far as it wants some."""
        if isinstance(schema, dict) and isinstance(ref := schema.get("$ref"), str):
            target = self._document.resolve(ref, base_of(schema, base))
            schema = target.schema if isinstance(target, Target) else None
        properties = schema.get("properties") if isinstance(schema, dict) else None
        if not isinstance(properties, dict) or type(value) is not dict:
            return False
        constants = {name: one for name, one in properties.items() if isinstance(one, dict) and _constants(one)}
        return all(name in value and _is_one_of(value[name], _constants(one)) for name, one in constants.items())


class _TooManySteps(Exception):
    """A comparison has taken all of its steps."""


def _fits(value: Any) -> None:
    """Compare a value with a schema that says nothing."""


def _all_of(parts: list[Compare]) -> Compare:
    parts = [part for part in parts if part is not _fits]
    if len(parts) <= 1:
        return parts[0] if parts else _fits

    def compare(value: Any) -> _Difference | None:
        for part in parts:
            if (found := part(value)) is not None:
                return found
        return None

    return compare


def _of_kinds(kinds: list[Any]) -> Compare:
    """Compare values with JSON Schema's names of kinds; where one is unknown, every value fits."""
    if not all(isinstance(kind, str) and kind in _KINDS for kind in kinds):
        return _fits
    classes = frozenset(one for kind in kinds for one in _KINDS[kind])
    takes_whole = "integer" in kinds
    words = tuple(dict.fromkeys(kinds))

    def compare(value: Any) -> _Difference | None:
        if type(value) in classes or (takes_whole and type(value) is float and value.is_integer()):
            return None
        return _Difference(words, value)

    return compare


def _constants(schema: Schema) -> list[object]:
    if "const" in schema:
        return [schema["const"]]
    values = schema.get("enum")
    return values if isinstance(values, list) else []


def _is_one_of(value: object, some: list[object]) -> bool:
    return any(_is_same(value, one) for one in some)


def _is_same(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _named(values: list[Any]) -> tuple[str, ...]:
    more = len(values) - MOST_NAMED
    return (*map(_shown, values[:MOST_NAMED]), *([f"one of {more:,} more"] if more > 0 else ()))


def _step(step: int | str) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step.isidentifier() else f"[{_shown(step)}]"


def _shown(value: object) -> str:
    """Return a value as one line of JSON, cut."""
    text = visible.spelled(msgspec.json.encode(value).decode())
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
