"""What a cell shows, as MIME bundles: text for terminals and models, HTML for notebooks.

Each builder takes values and returns a bundle; nothing here displays anything. Text is untrusted until `markup` has
escaped it; no script, link or image is ever made. The size of HTML is limited, so that a notebook file stays small.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw

from ... import values
from ...errors import Failure
from ...tools import typegen
from ...tools.tool import UNTYPED, Tool
from ...visible import shortened as cut
from . import branches, sortable, tree, whole
from .markup import Markup, escape, join, page, tag, visible, without_commands

Bundle = dict[str, Any]
"""Content by MIME type; ``text/plain`` is always there. Types that end in ``json`` have JSON, all others text."""

Metadata = dict[str, dict[str, Any]]
"""What front ends need to know of content, by its MIME type."""

MOST_HTML = 100_000
"""Bytes of HTML that one output may have; beyond them the text alone is shown."""

MOST_TOOLS = 200
"""Tools that a catalog shows."""

MOST_MESSAGE = 10_000
"""Characters of an error's message, frame or traceback that are shown."""

NOTICE_STYLE = "border-left:3px solid #8a8ad0;padding-left:10px"
"""How a notice is set apart from the output of the cell below which it stands."""

TEXT_WIDTH = 100
"""Columns of the text form of tables."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An output: what IPython displays when a cell ends with it. In a list it shows its text."""

    bundle: Bundle = field(repr=False)
    metadata: Metadata = field(default_factory=dict, repr=False)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[Bundle, Metadata]:
        return dict(self.bundle), dict(self.metadata)

    def __repr__(self) -> str:
        return str(self.bundle["text/plain"])


def result(raw: Raw, value: Any = ...) -> Bundle:
    """Show a program's value: its JSON, rows as a table, anything else with parts as a tree.

    Args:
        raw: The value's JSON.
        value: The same decoded, where it has been already.
    """
    if value is ...:
        value = values.from_json(raw)
    written, is_whole = tree.text(value)
    cut = None if is_whole else f"{_counted(value)}{size(len(bytes(raw)))} of JSON, shown in part"
    text = written if cut is None else f"{written}\n({cut})"
    if isinstance(value, (dict, list)) and value:
        names = tree.columns(value)
        if names is not None and isinstance(value, list):
            data = sortable.data(value, names)
            return {**_bundle(text, tree.table(value, names)), sortable.MIME: _kept(data, raw, sortable.is_whole(data))}
        note = [] if cut is None else [tag("div", escape(cut), kind="note")]
        data = branches.data(value)
        return {**_bundle(text, tree.tree(value), *note), branches.MIME: _kept(data, raw, "cut" not in data)}
    if isinstance(value, str) and ("\n" in value or len(value) > TEXT_WIDTH):
        part = value[:MOST_MESSAGE]
        note = [tag("div", escape(f"{len(value):,} characters, shown in part"), kind="note")] if part != value else []
        return _bundle(text, tag("pre", escape(part), kind="code"), *note)
    return {"text/plain": text}


def _kept(data: dict[str, Any], raw: Raw, is_whole: bool) -> dict[str, Any]:
    """Keep a value of which only a part is data; returns the data with the id of the whole value."""
    id = None if is_whole else whole.keep(raw)
    return data if id is None else {**data, "id": id}


class _FrameBody(msgspec.Struct):
    """What the handle of a frame says of it once it was looked at."""

    rows: int
    columns: dict[str, str]
    first: list[dict[str, Any]]
    more_columns: int = 0


def frame(body: dict[str, Any], place: str) -> Bundle | None:
    """Show a frame that stays where it is: its first rows as a table, its size and the types of its columns.

    Args:
        body: What the handle says, as a program's value has it.
        place: Where it is: ``in the notebook``.

    Returns:
        None if the handle does not say this, such as one that a program has copied.
    """
    try:
        told = msgspec.convert(body, _FrameBody)
    except msgspec.ValidationError:
        return None
    more = told.more_columns
    shape = tree.shape(told.rows, len(told.columns) + more)
    listed = ", ".join(f"{name} {kind}" for name, kind in told.columns.items())
    note = visible(f"Frame of {shape}, {place}: {listed}" + (f", and {more:,} more" if more else ""), is_name=True)
    if not told.first:
        return {"text/plain": note}
    shown = with_note(told.first, note, told.rows)
    return shown | {"text/plain": f"{shown['text/plain']}\n({note})"}


def handle(body: dict[str, Any]) -> Bundle:
    """Show another object that stays in the notebook: what it is.

    Args:
        body: What the handle says, as a program's value has it.
    """
    match body:
        case {"kind": "array", "shape": [*shape], "dtype": dtype} if all(isinstance(one, int) for one in shape):
            size = " × ".join(f"{length:,}" for length in shape) or "one element"
            first = body.get("first")
            shown = list(map(str, first)) if isinstance(first, list) else []
            listed = ", ".join([*shown, "…"] if math.prod(shape) > len(shown) else shown)
            text = f"Array {size} of {dtype}, in the notebook" + (f": {listed}" if shown else "")
        case {"kind": "file", "name": name, "size": int(size)}:
            text = f"File {name}, {size:,} bytes, in the notebook"
        case {"text": str(text), "type": kind}:
            text = f"{text}\n({kind}, in the notebook)"
        case _:
            text = f"{body.get('type', 'object')}, in the notebook"
    return words(text)


def words(text: str) -> Bundle:
    """Show a few words."""
    return {"text/plain": visible(clean(text))}


def with_note(rows: list[dict[str, Any]], note: str, total: int | None = None) -> Bundle:
    """Show rows as a table, and under it a line that says why they are shown so.

    Args:
        rows: The rows.
        note: The line.
        total: The number of rows of the table whose first rows these are; None: these are all.
    """
    text, _ = tree.text(rows)
    names = tree.columns(rows)
    if names is None:
        return {"text/plain": text}
    shown = _bundle(text, tree.table(rows, names, total), tag("div", escape(note, is_name=True), kind="note"))
    return {**shown, sortable.MIME: {**sortable.data(rows, names, total), "note": sortable.encodable(visible(note))}}


_FURTHER = re.compile(r"\n(?=line \d{1,9}, column \d{1,9}: )")
"""Before each further problem of a program, as `program.check.failure` lists them."""


def failure(failed: Failure, traceback: str | None = None) -> Bundle:
    """Show a program that failed: the error, the place and the code around it, and the Python traceback behind it."""
    name, stack = clean(failed.name), clean(failed.stack)
    message, *others = _FURTHER.split(clean(failed.message))
    head = f"{name}: {message}" if name else message
    place = f"at line {failed.line}, column {failed.column}" if failed.line is not None else ""
    frame = clean(failed.frame or "")
    python = clean(traceback or "")
    text = "\n\n".join(
        part
        for part in (
            head + (f"\n  {place}" if place else ""),
            frame,
            stack if not frame else "",
            "\n".join(others),
            python,
        )
        if part
    )
    return _bundle(
        text,
        tag("div", tag("span", escape(name), kind="wrong"), escape(f": {message}" if name else message), kind="head"),
        *([tag("div", escape(place), kind="dim")] if place else []),
        *([tag("pre", _marked(frame), kind="code pctx-frame")] if frame else []),
        *([tag("pre", escape(stack), kind="code")] if stack and not frame else []),
        *(tag("div", escape(one), kind="head") for one in others),
        *([tag("div", escape("in Python:"), kind="dim"), tag("pre", escape(python), kind="code")] if python else []),
    )


def stopped(calls: int | None, where: str) -> Bundle:
    """Show that a person has stopped the program of this cell.

    Args:
        calls: How many tools it had called; None: that is not known.
        where: The Python traceback of the tool that was interrupted; empty: none was.
    """
    match calls:
        case None:
            head = "Stopped."
        case 0:
            head = "Stopped. No call was made."
        case 1:
            head = "Stopped. 1 call was made."
        case _:
            head = f"Stopped. {calls:,} calls were made."
    where = clean(where)
    shown = [tag("div", escape(head), kind="dim")]
    if where:
        shown.append(tag("details", tag("summary", escape("In Python")), tag("pre", escape(where), kind="code")))
    return _bundle("\n\n".join(part for part in (head, where) if part), *shown)


def catalog(tools: Iterable[Tool], others: Iterable[Tool] = ()) -> Bundle:
    """Show tools: how each is called, and the first sentence on what it does; those of others below the own."""
    lines: list[str] = []
    parts: list[Markup] = []
    for title, listed in (
        ("", sorted(tools, key=_path)),
        ("Of other notebooks and servers", sorted(others, key=_path)),
    ):
        if not listed:
            if not title:
                lines.append("No tools yet: put @tool above a function, or use %pctx register FUNCTION")
                parts.append(tag("div", escape(lines[-1]), kind="note"))
            continue
        rows = [(_called(tool), _about(tool)) for tool in listed[:MOST_TOOLS]]
        more = f"{MOST_TOOLS} of {len(listed):,} tools" if len(listed) > MOST_TOOLS else ""
        lines += [*(["", title] if title else []), *(_entry(call, doc) for call, doc in rows)]
        head = tag("thead", tag("tr", tag("th", escape(title or "Tool")), tag("th", escape("Description"))))
        body = [
            tag("tr", tag("td", _highlighted(call)), tag("td", escape(doc, is_name=True), kind="prose"))
            for call, doc in rows
        ]
        parts.append(tag("table", head, tag("tbody", *body), kind="table"))
        if more:
            lines.append(f"({more})")
            parts.append(tag("div", escape(more), kind="note"))
    text = "\n".join(lines)
    return _bundle(text, *parts) if len(parts) > 1 or "table" in parts[0] else {"text/plain": text}


def notice(head: str, lines: Sequence[str], code: str | None = None, timeline: Bundle | None = None) -> Bundle:
    """Show an event that no cell caused: a headline, further lines below it, a folded program, and its timeline.

    A line at its side sets it apart from the output of the cell.
    """
    head, lines = clean(head), [clean(line) for line in lines if line]
    shown = _bundle(
        "\n".join([head, *(f"  {line}" for line in lines)]),
        tag("div", escape(head, is_name=True), kind="head"),
        *(tag("div", escape(line, is_name=True), kind="dim") for line in lines),
        *(
            [tag("details", tag("summary", escape("The program")), tag("pre", escape(shortened(code)), kind="code"))]
            if code is not None
            else []
        ),
    )
    if timeline is not None:
        shown["text/plain"] += f"\n{timeline['text/plain']}"
        if "text/html" in shown:
            shown["text/html"] += timeline["text/html"]
    if "text/html" in shown:
        shown["text/html"] = tag("div", Markup(shown["text/html"]), attributes=f'style="{NOTICE_STYLE}"')
    return shown


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Bundle:
    """Show rows of text under their heads."""
    cells = [[visible(clean(cell, 300), is_name=True).replace("\n", " ") for cell in row] for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    text = "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
    head, *body = (
        tag("tr", *(tag("th" if row is cells[0] else "td", escape(cell, is_name=True)) for cell in row))
        for row in cells
    )
    return _bundle(text, tag("table", tag("thead", head), tag("tbody", *body), kind="table"))


def details(tool: Tool) -> Bundle:
    """Show one tool: its name, what it does, and its declaration with the types it needs."""
    declaration = typegen.declaration(tool).rstrip("\n")
    description = clean(tool.description)
    other = "; ".join(
        part
        for part in (
            f"registered as {tool.registered_path}" if tool.registered_path != tool.path else "",
            f"of the notebook {clean(tool.notebook)}" if tool.notebook else "",
        )
        if part
    )
    notes = "\n".join(f"{name} is any: {clean(why)}" for name, why in untyped(tool.input_schema).items())
    text = "\n\n".join(
        part for part in (tool.path + (f" ({other})" if other else ""), description, declaration, notes) if part
    )
    return _bundle(
        visible(text, is_name=True),
        tag("div", escape(tool.path, is_name=True), kind="head"),
        *([tag("div", escape(other, is_name=True), kind="dim")] if other else []),
        *([tag("div", escape(description, is_name=True), kind="text")] if description else []),
        tag("pre", escape(declaration, is_name=True), kind="code"),
        *([tag("div", escape(notes, is_name=True), kind="text")] if notes else []),
    )


def details_of(tools: Iterable[Tool]) -> Bundle:
    """Show several tools, one below the other, each as `details` shows it."""
    bundles = [details(tool) for tool in tools]
    return {kind: "\n\n".join(one.get(kind, "") for one in bundles) for kind in ("text/plain", "text/html")}


def untyped(schema: object) -> dict[str, str]:
    """Why parts of a tool's signature are ``any`` although they are annotated, by parameter; ``return``: its result."""
    notes = schema.get(UNTYPED) if isinstance(schema, dict) else None
    if not isinstance(notes, dict):
        return {}
    return {clean(str(name)): str(why) for name, why in notes.items()}


def stored(name: str) -> Bundle:
    """Show quietly which variable has received a program's value."""
    text = visible(f"→ {name}", is_name=True)
    # Without the style of other outputs: it would be the larger part of what a notebook's file keeps of this line.
    return {"text/plain": text, "text/html": tag("div", tag("span", escape(text), kind="dim"), kind="out")}


def status(facts: Mapping[str, object]) -> Bundle:
    """Show facts by name, such as which engine is used and why."""
    rows = [(str(name), clean(str(fact))) for name, fact in facts.items()]
    width = max((len(name) for name, _ in rows), default=0)
    text = "\n".join(f"{name:<{width}}  {fact}" for name, fact in rows)
    body = [
        tag("tr", tag("th", escape(name), kind="dim"), tag("td", escape(fact), kind="prose")) for name, fact in rows
    ]
    return _bundle(text, tag("table", tag("tbody", *body), kind="table"))


def help(sections: Mapping[str, Sequence[tuple[str, str]]]) -> Bundle:
    """Show help: under each title, usages and what they do."""
    parts: list[Markup] = []
    lines: list[str] = []
    for title, entries in sections.items():
        lines += [*([""] if lines else []), title, *(textwrap.indent(_entry(*entry), "  ") for entry in entries)]
        rows = [
            tag("tr", tag("td", _preserved(usage)), tag("td", escape(meaning), kind="prose"))
            for usage, meaning in entries
        ]
        parts += [tag("div", escape(title), kind="head"), tag("table", tag("tbody", *rows), kind="table")]
    return _bundle("\n".join(lines), *parts)


def explanation(text: str, documentation: str) -> Bundle:
    """Show what something in a program is: its declaration, and what it does. There is always HTML."""
    text, documentation = clean(text), clean(documentation)
    bundle = _bundle(
        visible("\n\n".join(part for part in (text, documentation) if part), is_name=True),
        tag("pre", escape(text, is_name=True), kind="code"),
        *([tag("div", escape(documentation, is_name=True), kind="text")] if documentation else []),
    )
    return {"text/html": tag("pre", escape("too large to show here")), **bundle}


def _bundle(text: str, *content: Markup) -> Bundle:
    text = visible(text)
    shown = page(*content)
    if len(shown.encode()) > MOST_HTML:
        return {"text/plain": text}
    return {"text/plain": text, "text/html": shown}


def clean(text: str, most: int = MOST_MESSAGE) -> str:
    """Return text without commands to a terminal, cut in the middle to `most` characters."""
    return shortened(without_commands(text[: 2 * most]), most)


def shortened(text: str, most: int = MOST_MESSAGE) -> str:
    """Return text cut in the middle to `most` characters; it hides nothing else, as what is left of commands would."""
    return cut(text.replace("\r\n", "\n").rstrip("\n"), most)


def _marked(frame: str) -> Markup:
    lines = (
        tag("span", escape(line), kind="wrong") if line.startswith(">") or line.strip("^ |") == "" else escape(line)
        for line in frame.split("\n")
    )
    return Markup("\n".join(lines))


def _path(tool: Tool) -> str:
    return tool.path


def _about(tool: Tool) -> str:
    """What it does, in one sentence, with its notebook where another notebook has the same file name."""
    first = _first_line(tool.description)
    return " · ".join(part for part in (first, clean(tool.notebook)) if part)


def _called(tool: Tool) -> str:
    return visible(f"{tool.namespace_name}.{typegen.signature(tool)}", is_name=True)


def _highlighted(call: str) -> Markup:
    name, bracket, rest = call.partition("(")
    return join((tag("span", escape(name), kind="key"), tag("span", escape(bracket + rest))))


def _preserved(usage: str) -> Markup:
    return Markup(escape(usage).replace("\n", "<br>"))


def _first_line(description: str) -> str:
    found = visible(clean(description), is_name=True).strip().partition("\n\n")[0]
    return textwrap.shorten(" ".join(found.split()), 200, placeholder=" …")


def _entry(usage: str, meaning: str) -> str:
    return usage + ("\n" + textwrap.indent(textwrap.fill(meaning, TEXT_WIDTH - 6), "    ") if meaning else "")


def _counted(value: Any) -> str:
    match value:
        case list():
            return f"{len(value):,} items, "
        case dict():
            return f"{len(value):,} keys, "
        case _:
            return ""


def size(number: int) -> str:
    """A number of bytes, for people."""
    for unit, scale in (("MB", 1_000_000), ("kB", 1_000)):
        if number >= scale:
            return f"{number / scale:.1f} {unit}"
    return "1 byte" if number == 1 else f"{number} bytes"
