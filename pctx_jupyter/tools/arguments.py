"""Checks arguments against a tool's input schema, and names each argument that does not fit.

Both are strangers' data: the schema of an MCP server may be wrong, or made to keep the check busy. So a check has a
bounded number of steps, follows no reference to another document, and never runs a pattern that backtracks. Where the
check cannot decide, it finds no problem: the tool checks its arguments itself.

Source: https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw

from ..rpc import nonfinite
from ..rpc.jsonrpc import Json

MOST_STEPS = 20_000
"""Keywords of a schema that one check looks at, about 0.2 s. A larger check finds no problem."""

MOST_PROBLEMS = 20
"""Problems that one check reports."""

MOST_MESSAGE = 200
"""Characters of one message."""

MOST_UNIQUE = 200
"""Elements of a list that are compared with each other: the time grows with the square of their number."""

_UNCHECKED = ("format", "patternProperties", "unevaluatedItems", "unevaluatedProperties")
"""Keywords that are not checked: they annotate only, or apply patterns that may backtrack."""


class ArgumentProblem(msgspec.Struct, frozen=True):
    """One argument that does not fit: `field` is its place, such as ``to`` or ``orders[0].id``; empty: all of them."""

    field: str
    message: str

    def text(self) -> str:
        """Both, in one line."""
        return f"{self.field}: {self.message}" if self.field else self.message


class _TooLong(Exception):
    """A check has taken all of its steps."""


def problems(schema: Json, arguments: Raw | None, before: Raw | None = None) -> list[ArgumentProblem]:
    """Find the arguments that do not fit a schema.

    Args:
        schema: A tool's input schema; None: it takes anything.
        arguments: JSON; None: no arguments.
        before: The arguments that a program passed. What does not fit there either is no problem: then the schema is
            stricter than the tool.
    """
    if not isinstance(schema, dict):
        return []
    known = set(_found(schema, before)) if before is not None else set()
    return [one for one in _found(schema, arguments) if one not in known]


def _found(schema: dict[str, Json], arguments: Raw | None) -> list[ArgumentProblem]:
    try:
        value = {} if arguments is None else msgspec.json.decode(nonfinite.typed(arguments))
    except msgspec.DecodeError:
        return []
    if value is None:
        value = {}
    made: dict[ArgumentProblem, None] = {}
    try:
        for error in _validator(schema).iter_errors(value):
            made.update(dict.fromkeys(_explained(error)))
            if len(made) >= MOST_PROBLEMS:
                break
    except Exception:  # a stranger's schema: not even its keywords need to have the right types
        return []
    return list(made)[:MOST_PROBLEMS]


def _validator(schema: dict[str, Json]) -> Any:
    """Make a validator for one check, which counts its steps."""
    import jsonschema  # takes 80 ms: most servers never need it
    from referencing.jsonschema import EMPTY_REGISTRY

    draft = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    steps = 0

    def counted(check: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
        def checked(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
            nonlocal steps
            steps += 1
            if steps > MOST_STEPS:
                raise _TooLong
            return iter(check(validator, wanted, value, schema) or ())

        return checked

    checks = {name: counted(check) for name, check in draft.VALIDATORS.items() if name not in _UNCHECKED}
    checks |= {
        "pattern": counted(_pattern),
        "additionalProperties": counted(_unless_patterns(draft.VALIDATORS["additionalProperties"])),
        "uniqueItems": counted(_if_few(draft.VALIDATORS["uniqueItems"])),
    }
    made = jsonschema.validators.create(draft.META_SCHEMA, checks, type_checker=draft.TYPE_CHECKER, id_of=draft.ID_OF)
    return made(schema, registry=EMPTY_REGISTRY)


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[Any]:
    import jsonschema

    if validator.is_type(value, "string") and not _fits(pattern, value):
        yield jsonschema.ValidationError(f"must match {pattern}")


def _fits(pattern: str, text: str) -> bool:
    """Whether a pattern is found in a text, in time that is linear in the text; a pattern that needs more fits."""
    search = _search(pattern)
    return search is None or search(text)


@lru_cache(100)
def _search(pattern: str) -> Callable[[str], bool] | None:
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")).isinstance_python
    except SchemaError:
        return None


def _unless_patterns(check: Callable[..., Any]) -> Callable[..., Any]:
    """Check additional properties, where their names do not depend on patterns."""

    def checked(validator: Any, wanted: Any, value: Any, schema: Mapping[str, Any]) -> Any:
        return () if schema.get("patternProperties") else check(validator, wanted, value, schema)

    return checked


def _if_few(check: Callable[..., Any]) -> Callable[..., Any]:
    """Check that elements differ, where there are few."""

    def checked(validator: Any, wanted: Any, value: Any, schema: Any) -> Any:
        is_few = isinstance(value, list) and len(value) <= MOST_UNIQUE
        return check(validator, wanted, value, schema) if is_few else ()

    return checked


def _explained(error: Any) -> Iterator[ArgumentProblem]:
    """Say what is wrong in plain words: one sentence for each argument."""
    at = _place(error.absolute_path)
    wanted = error.validator_value
    match error.validator:
        case "required" if isinstance(error.instance, dict):
            missing = [name for name in wanted if name not in error.instance]
            yield from (_problem(_under(at, name), "is missing") for name in missing)
            return
        case "additionalProperties" if wanted is False and isinstance(error.instance, dict):
            known = error.schema.get("properties", {})
            extra = [name for name in error.instance if name not in known]
            yield from (_problem(_under(at, name), "is not an argument of this tool") for name in extra)
            return
        case "type":
            said = f"must be {_types(wanted)}, not {_type_of(error.instance)}"
        case "anyOf" | "oneOf" if types := _types_of_all(error):
            said = f"must be {_types(types)}, not {_type_of(error.instance)}"
        case "enum":
            said = f"must be one of {', '.join(map(_json, wanted))}"
        case "const":
            said = f"must be {_json(wanted)}"
        case "minimum":
            said = f"must be at least {_json(wanted)}"
        case "maximum":
            said = f"must be at most {_json(wanted)}"
        case "exclusiveMinimum":
            said = f"must be more than {_json(wanted)}"
        case "exclusiveMaximum":
            said = f"must be less than {_json(wanted)}"
        case "minLength" | "minItems":
            said = f"must have at least {_json(wanted)} {'characters' if 'Length' in error.validator else 'elements'}"
        case "maxLength" | "maxItems":
            said = f"must have at most {_json(wanted)} {'characters' if 'Length' in error.validator else 'elements'}"
        case "pattern":
            said = error.message
        case "anyOf" | "oneOf":
            said = "fits none of the forms that are allowed"
        case other:
            said = f"does not fit the tool's schema ({other})"
    yield _problem(at, said)


def _problem(field: str, message: str) -> ArgumentProblem:
    return ArgumentProblem(field[:MOST_MESSAGE], message[:MOST_MESSAGE])


def _types_of_all(error: Any) -> list[str]:
    """The types that the alternatives of ``anyOf`` want; empty: an alternative fails for another reason."""
    wanted: list[str] = []
    for one in error.context:
        if one.validator != "type" or len(one.path) > 0:
            return []
        wanted += [one.validator_value] if isinstance(one.validator_value, str) else one.validator_value
    return list(dict.fromkeys(wanted))


def _types(wanted: Any) -> str:
    names = [wanted] if isinstance(wanted, str) else [str(one) for one in wanted]
    return " or ".join(names)


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _place(path: Any) -> str:
    place = ""
    for step in path:
        place = f"{place}[{step}]" if isinstance(step, int) else _under(place, str(step))
    return place


def _under(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
