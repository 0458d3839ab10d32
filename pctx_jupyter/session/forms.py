"""Forms: what an MCP server asks a person, as fields to fill in. All of a form is the server's text.

A schema is an object with plain fields, as the protocol has it. This module reads it, makes a draft of an answer, and
checks an answer before the server gets it. It does not know who is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .. import errors
from ..rpc.jsonrpc import Json

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


def checked(schema: dict[str, Json], answer: Json) -> dict[str, Json]:
    """Check an answer; fields that are null or empty and not required are left out.

    Raises:
        InvalidParams: Names the field that is wrong, and what it has to be.
    """
    if not isinstance(answer, dict):
        raise errors.InvalidParams("Cannot send this answer: it must be an object with the fields of the form")
    known = {field.name: field for field in fields(schema)}
    for name in answer:
        if name not in known:
            raise errors.InvalidParams(
                f"Cannot send this answer: the form has no field {name[:80]!r}; it has {', '.join(known) or 'none'}"
            )
    found: dict[str, Json] = {}
    for field in known.values():
        value = answer.get(field.name)
        if value is None or (value == "" and (not field.is_required or field.kind != "text")):
            if field.is_required:
                raise errors.InvalidParams(f"Cannot send this answer: {field.name} is required ({field.kind})")
            continue
        if (wrong := _wrong(field, value)) is not None:
            raise errors.InvalidParams(f"Cannot send this answer: {field.name} {wrong}")
        found[field.name] = value
    return found


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
