"""Forms: what an MCP server asks a person, as fields to fill in. All of a form is the server's text.

A schema is an object with plain fields, as the protocol has it. This module reads it, makes a draft of an answer, and
checks an answer before the server gets it. It does not know who is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec import Raw

from .. import errors
from ..rpc.jsonrpc import Json
from ..tools import arguments
from ..tools.arguments import ArgumentProblem

FieldKind = Literal["text", "number", "integer", "yes or no", "choice", "choices"]

NUMBERS = {"number": "a number", "integer": "a whole number"}
"""What a field of such a kind has to be, in words."""
MOST_FIELDS = 50
"""Fields of a form that are shown; a person cannot be asked for more at once."""
MOST_CHOICES = 100
"""Choices of a field that are shown."""

_SECRET = re.compile(
    r"pass(?:word|phrase|code)|secret|token|credential|api.?key|private.?key|\bpin\b|\bcvv\b|card.?number|\bssn\b|"
    r"\botp\b|one.time.code",
    re.IGNORECASE,
)
"""Words in a field that ask for what the protocol forbids in a form."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form.

    Args:
        name: Its name in the answer.
        kind: What can be put in.
        title, description: The server's words for it.
        choices: The values to choose from, with the words for each.
        default: What is there before anybody fills it in; None: nothing.
        schema: Its schema, for limits.
    """

    name: str
    kind: FieldKind
    title: str
    description: str
    is_required: bool
    choices: tuple[tuple[str, str], ...]
    default: Json
    schema: dict[str, Json]

    @property
    def asks_secret(self) -> bool:
        """Whether it seems to ask for a password or the like."""
        return self.schema.get("format") == "password" or any(
            _SECRET.search(text.replace("_", " ")) or _SECRET.search(text)
            for text in (self.name, self.title, self.description)
        )


def fields(schema: dict[str, Json]) -> list[Field]:
    """The fields of a form, in their order."""
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return []
    wanted = required if isinstance(required, list) else []
    return [
        _field(name, one, is_required=name in wanted)
        for name, one in list(properties.items())[:MOST_FIELDS]
        if isinstance(one, dict)
    ]


def secret_fields(schema: dict[str, Json]) -> list[str]:
    """The names of fields that seem to ask for secrets."""
    return [field.name for field in fields(schema) if field.asks_secret]


def draft(schema: dict[str, Json]) -> dict[str, Json]:
    """An answer to begin with: the defaults, and something empty for each required field."""
    found: dict[str, Json] = {}
    for field in fields(schema):
        if field.default is not None:
            found[field.name] = field.default
        elif field.is_required:
            empty: dict[FieldKind, Json] = {"yes or no": False, "choices": []}
            found[field.name] = empty.get(field.kind, "" if field.kind in ("text", "choice") else None)
    return found


def problems(schema: dict[str, Json], answer: Json) -> list[ArgumentProblem]:
    """Find what is wrong with an answer, field by field; none: `filled_in` can be sent.

    This is the one check of an answer: while a person types, and when they send it.
    """
    if not isinstance(answer, dict):
        return [ArgumentProblem("", "must be an object with the fields of the form")]
    known = {field.name: field for field in fields(schema)}
    found = [
        ArgumentProblem(name[:80], f"is not in the form, which has {', '.join(known) or 'no field'}")
        for name in answer
        if name not in known
    ]
    for field in known.values():
        if _is_empty(field, answer):
            if field.is_required:
                found.append(ArgumentProblem(field.name, f"is required ({field.kind})"))
        elif (wrong := _wrong(field, answer[field.name])) is not None:
            found.append(ArgumentProblem(field.name, wrong))
    named = {one.field for one in found}
    # Keywords that only a validator knows, such as a pattern.
    rest = arguments.problems(schema, Raw(msgspec.json.encode(_filled_in(known.values(), answer))))
    return found + [one for one in rest if re.split(r"[.\[]", one.field)[0] not in named]


def filled_in(schema: dict[str, Json], answer: dict[str, Json]) -> dict[str, Json]:
    """Leave out the fields of a correct answer that are null or empty and not required."""
    return _filled_in(fields(schema), answer)


def typed(field: Field, text: str) -> Json:
    """Read what a person has typed for a field; None: nothing, or the default where there is one.

    Raises:
        InvalidParams: It cannot be read; says what it has to be.
    """
    if not text:
        return field.default
    match field.kind:
        case "number" | "integer":
            try:
                value: Json = int(text) if field.kind == "integer" or re.fullmatch(r"-?\d+", text) else float(text)
            except ValueError:
                raise errors.InvalidParams(f"{field.name} must be {NUMBERS[field.kind]}") from None
        case "yes or no":
            words = {"y": True, "yes": True, "true": True, "n": False, "no": False, "false": False}
            if text.lower() not in words:
                raise errors.InvalidParams(f"{field.name} must be yes or no")
            value = words[text.lower()]
        case "choices":
            value = [_chosen(field, one.strip()) for one in text.split(",")]
        case "choice":
            value = _chosen(field, text)
        case _:
            value = text
    if (wrong := _wrong(field, value)) is not None:
        raise errors.InvalidParams(f"{field.name} {wrong}")
    return value


def _filled_in(known: Iterable[Field], answer: dict[str, Json]) -> dict[str, Json]:
    return {field.name: answer[field.name] for field in known if not _is_empty(field, answer)}


def _is_empty(field: Field, answer: dict[str, Json]) -> bool:
    value = answer.get(field.name)
    return value is None or (value == "" and (not field.is_required or field.kind != "text"))


def _chosen(field: Field, text: str) -> str:
    """The value that is meant by itself, or by the words for it."""
    return next((value for value, words in field.choices if text in (value, words)), text)


def _field(name: str, schema: dict[str, Json], *, is_required: bool) -> Field:
    kind: FieldKind
    choices: tuple[tuple[str, str], ...] = ()
    items = schema.get("items")
    if schema.get("type") == "array" or isinstance(items, dict):
        kind, choices = "choices", tuple(_choices(items if isinstance(items, dict) else {}))
    elif choices := tuple(_choices(schema)):
        kind = "choice"
    else:
        kinds: dict[Json, FieldKind] = {"number": "number", "integer": "integer", "boolean": "yes or no"}
        declared = schema.get("type")
        kind = kinds.get(declared, "text") if isinstance(declared, str) else "text"
    title, description = schema.get("title"), schema.get("description")
    return Field(
        name,
        kind,
        title if isinstance(title, str) else "",
        description if isinstance(description, str) else "",
        is_required,
        choices[:MOST_CHOICES],
        schema.get("default"),
        schema,
    )


def _choices(schema: dict[str, Json]) -> Iterator[tuple[str, str]]:
    values, words = schema.get("enum"), schema.get("enumNames")
    if isinstance(values, list):
        named = words if isinstance(words, list) and len(words) == len(values) else values
        yield from ((value, str(word)) for value, word in zip(values, named, strict=True) if isinstance(value, str))
    for key in ("oneOf", "anyOf"):
        options = schema.get(key)
        for option in options if isinstance(options, list) else ():
            match option:
                case {"const": str(value), **rest}:
                    title = rest.get("title")
                    yield value, title if isinstance(title, str) else value


def _wrong(field: Field, value: Json) -> str | None:
    """What is wrong with a value; None: nothing."""
    values = [value for value, _ in field.choices]
    match field.kind:
        case "text":
            if not isinstance(value, str):
                return "must be a text"
            return _out_of_range(field.schema, len(value), "minLength", "maxLength", " characters")
        case "choice":
            return None if value in values else f"must be one of {', '.join(values)}"
        case "choices":
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                return "must be a list of texts"
            if values and not all(one in values for one in value):
                return f"must be a list of {', '.join(values)}"
            return _out_of_range(field.schema, len(value), "minItems", "maxItems", " choices")
        case "yes or no":
            return None if isinstance(value, bool) else "must be true or false"
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not isinstance(value, int | float) or (field.kind == "integer" and not is_whole):
        return f"must be {NUMBERS[field.kind]}"
    return _out_of_range(field.schema, value, "minimum", "maximum", "")


def _out_of_range(schema: dict[str, Json], value: float, least: str, most: str, unit: str) -> str | None:
    low, high = schema.get(least), schema.get(most)
    if isinstance(low, int | float) and value < low:
        return f"must have at least {low}{unit}" if unit else f"must be at least {low}"
    if isinstance(high, int | float) and value > high:
        return f"must have at most {high}{unit}" if unit else f"must be at most {high}"
    return None
