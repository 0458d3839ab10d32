"""A call that waits for consent, in words: for the terminal, and for the agent's own client.

The tool, its arguments and the program are strangers' text. What would command a terminal, turn the direction of text
or could not be seen is spelled out, and each line of a program has its number, so that none looks like one of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

import msgspec

from .. import visible
from . import forms
from .consent import AskedForm, Question

MOST_ARGUMENTS = 10_000
"""Characters of a call's arguments that are shown in a terminal or a notebook."""
LINE = 200
"""Characters of one line of a program, or of a tool's description, that are shown."""
AROUND = 3
"""Lines of a program that are shown before and after the one that calls."""

MOST_OTHERS = 5
"""Further tools that are named where a server does not say for which call it asks."""

_UNSEEN = re.compile(f"[{visible.HIDING}{visible.WITHOUT_WIDTH}\ufe0f]")
"""What hides, turns, takes no room or shows nothing, though some of it counts as printable."""

_ASKERS = {"agent": "An agent", "cell": "A cell", "client": "A client", "notebook": "Another notebook"}


def seen(text: str) -> str:
    r"""One line in which every character can be seen: what commands, hides or turns text is spelled as ``\u202e``."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub(visible.spell, "".join(one if one.isprintable() else visible.escaped(one) for one in text))


def asker(asked_by: str) -> str:
    """Return who calls a tool, at the beginning of a sentence."""
    return _ASKERS.get(asked_by, "A program")


def _first(description: str) -> str:
    return " ".join(description[: 2 * LINE].split())[:LINE]


def text(question: Question, most_arguments: int = MOST_ARGUMENTS) -> str:
    """Everything a person needs to decide about a call, in plain text of several lines.

    Args:
        question: The call.
        most_arguments: Characters of its arguments that are shown.
    """
    if question.form is not None:
        return _form(question, question.form)
    who = f'The agent "{seen(question.agent)}"' if question.agent else asker(question.asked_by)
    lines = [f"{who} wants to call {seen(question.tool)}."]
    if question.notebook is not None and question.asked_by in ("agent", "cell", "notebook"):
        lines.append(f"Notebook: {seen(question.notebook[:LINE])}")
    if question.description.strip():
        lines.append(f"The tool's description: {seen(_first(question.description))}")
    if question.effects is None:
        lines.append("It does not say whether it changes something.")
    elif question.effects:
        lines.append("It changes something outside.")
    lines += [_arguments(question, most_arguments), *_code(question)]
    lines.append(f"{question.left_s:.0f} s left, then denied.")
    return "\n".join(lines)


_CALLERS = {"agent": "agents", "cell": "cells", "client": "clients", "notebook": "other notebooks", "*": "everybody"}


def permission(tool: str, asked_by: Iterable[str], since: float) -> str:
    """Say in one line which tool is allowed without asking, to whom, and since when (s since 1970; 0: unknown)."""
    who = " and ".join(_CALLERS.get(one, seen(one)) for one in asked_by)
    when = f", since {datetime.fromtimestamp(since).astimezone():%Y-%m-%d %H:%M}" if since else ""
    return f"{seen(tool)} for {who}{when}"


def _form(question: Question, form: AskedForm) -> str:
    """Everything a person needs to answer what an MCP server asks."""
    calls = f"{asker(question.asked_by)} called {seen(question.tool)}"
    lines = [f"The MCP server {seen(form.server)} asks you something. {calls}."]
    if form.others:
        named = ", ".join(map(seen, form.others[:MOST_OTHERS]))
        lines.append(f"The server does not say for which call it asks. These run as well: {named}")
    if question.notebook is not None and question.asked_by in ("cell", "notebook"):
        lines.append(f"Notebook: {seen(question.notebook[:LINE])}")
    lines += [f"  | {seen(line)}" for line in form.message[:MOST_ARGUMENTS].strip().splitlines()]
    if form.url is not None:
        lines.append(f"It asks you to open this page: {seen(form.url)}")
        lines.append("Check the host first. pctx does not open the page.")
    lines += [f"- {field_text(field)}" for field in (forms.fields(form.schema) if form.schema is not None else [])]
    if form.secrets:
        lines.append(secret_warning(form))
    lines.append(f"{question.left_s:.0f} s left, then cancelled.")
    return "\n".join(lines)


def secret_warning(form: AskedForm) -> str:
    """What a person has to know before they fill in a field that asks for a secret."""
    names = ", ".join(seen(name[:LINE]) for name in form.secrets)
    return (
        f"Warning: {names} looks like a secret. The protocol forbids servers to ask for secrets in a form. "
        f"{seen(form.server)} receives what you type."
    )


def field_text(field: forms.Field) -> str:
    """One field of a form on one line."""
    kind = field.kind
    if field.choices:
        kind_text = f"{kind}: " + ", ".join(
            seen(value if value == words else f"{value} ({words})") for value, words in field.choices
        )
    else:
        kind_text = kind
    said = " – ".join(seen(part[:LINE]) for part in (field.title, field.description) if part)
    must = "required" if field.is_required else "optional"
    default = "" if field.default is None else f", default {seen(msgspec.json.encode(field.default).decode()[:LINE])}"
    return f"{seen(field.name[:LINE])} ({kind_text[:MOST_ARGUMENTS]}; {must}{default})" + (f": {said}" if said else "")


def _arguments(question: Question, most: int) -> str:
    shown = seen(question.arguments or "none")
    if not question.is_cut and len(shown) <= most:
        return f"Arguments: {shown}"
    return (
        f"Arguments, cut, of {question.argument_bytes:,} bytes: {shown[:most]}…\n"
        "JupyterLab shows more of them. Deny the call if you cannot tell what it does."
    )


def _code(question: Question) -> list[str]:
    """The program around the line that calls, each line with its number and the one that calls with a mark."""
    written = question.code.split("\n")
    at = (question.line or question.first_line) - question.first_line
    if not 0 <= at < len(written):
        at = 0
    first = max(0, at - AROUND)
    part = written[first : at + AROUND + 1]
    head = f"It calls at line {question.line:,} of its program:" if question.line else "Its program begins with:"
    width = len(f"{question.first_line + first + len(part):,}")
    lines = [head]
    for number, line in enumerate(part, first):
        mark = ">" if question.line and number == at else " "
        shown = seen(line[:LINE].rstrip("\r")) + ("…" if len(line) > LINE else "")
        lines.append(f"  {mark} {question.first_line + number:>{width},} | {shown}")
    return lines
