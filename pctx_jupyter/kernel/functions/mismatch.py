"""What is wrong with the arguments or the result of a call, in words: ``arguments.status: expected string, got 5``."""

from __future__ import annotations

import re

from pydantic_core import ErrorDetails

from ... import values
from ...rpc import nonfinite

SHOWN_ERRORS = 3
"""Wrong parts of the arguments that one message names."""

EXTRA = "**"
"""The field that holds what ``**options`` takes; no parameter can be called so."""


def explained(found: list[ErrorDetails], data: object, name: str) -> str:
    """Describe which parts of the data are wrong: ``arguments.status: expected string, got 5``."""
    wrong: dict[str, list[str]] = {}
    got: dict[str, object] = {}
    for one in found:
        path, part = name, data
        steps = list(one["loc"])
        for position, step in enumerate(steps):
            inside = (isinstance(part, dict) and step in part) or (
                isinstance(part, list) and isinstance(step, int) and step < len(part)
            )
            if step == EXTRA and inside:
                part = part[step]  # type: ignore[index]
            elif inside:
                path, part = path + values.path_step(step), part[step]  # type: ignore[index]
            elif one["type"] == "missing" and position == len(steps) - 1:
                path += values.path_step(step)
            elif step == "[key]" and position == len(steps) - 1:
                path, part = f"{path}: its key", steps[position - 1]
            # Anything else is pydantic's label of a union's member, no part of the data.
        said = _said(one)
        if said not in wrong.setdefault(path, []):
            wrong[path].append(said)
        got[path] = part
    lines = []
    for path, reasons in list(wrong.items())[:SHOWN_ERRORS]:
        expected = [reason.removeprefix("expected ") for reason in reasons if reason.startswith("expected ")]
        others = [reason for reason in reasons if not reason.startswith("expected ")]
        text = "; ".join(([f"expected {' or '.join(expected)}"] if expected else []) + others)
        lines.append(f"{path}: {text}" + ("" if reasons == ["missing"] else f", got {shown(got[path])}"))
    more = f" (and {len(wrong) - SHOWN_ERRORS} more)" if len(wrong) > SHOWN_ERRORS else ""
    return "; ".join(lines) + more


_IN_JSON = {"True": "true", "False": "false", "None": "null"}

_NAMES = re.compile(r"'[^']*'|\w+")
"""The choices of an error, texts in quotes among them."""


def _said(one: ErrorDetails) -> str:
    message = one["msg"]
    if one["type"] == "missing":
        return "missing"
    if one["type"] == "extra_forbidden":
        return "no such field"
    if one["type"] in ("enum", "literal_error"):  # of several, commas are between them
        return f"expected {_NAMES.sub(lambda name: _IN_JSON.get(name[0], name[0]), one['ctx']['expected'])}"
    if one["type"] == "union_tag_invalid":
        return f"expected {one['ctx']['discriminator']} to be one of {one['ctx']['expected_tags']}"
    if one["type"] == "union_tag_not_found":
        return f"expected a field {one['ctx']['discriminator']}"
    if one["type"] == "int_parsing_size":
        is_float = isinstance(one["input"], float)
        return "expected integer" if is_float else f"an integer has at most {values.MAX_DIGITS} digits"
    if one["type"] == "date_from_datetime_inexact":
        return "expected date without a time of day"
    if not message.startswith("Input should be "):
        return message.removeprefix("Value error, ")
    wanted = message.removeprefix("Input should be ").removeprefix("a valid ").removeprefix("in a valid ")
    if wanted.startswith(("greater ", "less ", "a multiple ")):
        return f"should be {wanted}"
    return f"expected {wanted.partition(',')[0]}"


def shown(value: object) -> str:
    """Return a value as JSON, cut to 60 characters."""
    text = nonfinite.readable(values.to_json(value)).decode()
    return text if len(text) <= 60 else text[:59] + "…"
