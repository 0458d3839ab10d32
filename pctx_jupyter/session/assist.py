"""Answers what an editor asks about a cell of a session: completion, help, diagnostics, declarations.

It knows which tools and constants the cell's program has, and turns positions in the cell into positions in the
program and back. It refuses to know TypeScript (an `Editor` does), and who asks, over what.

An answer that comes too late, because the session has sent a newer request, is empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .. import errors
from ..program import cell as cells
from ..program.cell import Cell, units
from ..program.check import CheckJob, Unchecked
from ..program.editor import Editor, Format, Unformattable
from ..program.program import with_parentheses
from ..rpc import wire
from ..tools import names, typegen
from ..tools.scope import Offering
from ..tools.tool import Tool
from .request import has_more_bytes
from .session import Session
from .type_checks import declare

MOST_ITEMS = 200
"""Completions of a magic line that one answer holds."""
MOST_DOCUMENTED = 50
"""Completions that are described: a list shows few of them at a time."""

_NOTHING = wire.Explained(None, "", 0, 0)
_NO_CALL = wire.ExplainedCall([], 0, 0)

_NAMESPACE = re.compile(r"(?<![\w$.])([\w$]+)\s*\??\.\s*\Z")
"""The name before the dot before what is completed."""
_FUNCTION = re.compile(r"(?:\(alias\) |\(method\) )?(?:function )?([\w$]+(?:\.[\w$]+)+)\(")
"""A function's name, as TypeScript explains it."""
_OBJECT = re.compile(r"(?<!\.\.)\.\s*\Z")
"""The dot itself."""


@dataclass(frozen=True, slots=True)
class _CellQuestion:
    """A cell, and what its program is checked against."""

    cell: Cell
    job: CheckJob
    offered: Offering
    inputs: list[str]


async def complete(session: Session, asked: wire.Position) -> wire.Completed:
    """Complete what is before an offset: a name of the program, or an option of the magic line.

    Raises:
        InvalidParams: The source is too large, or the offset is not in it.
        Busy, SandboxUnavailable: The type checker cannot answer; says why.
    """
    question, offset = await _question(session, asked), _offset(asked)
    cell = question.cell
    if cell.is_in_line(offset):
        await session.scope.prepare()
        start, fitting = cells.complete(cell, offset, asked.inputs, (tool.path for tool in session.scope.listed()))
        items = [wire.CompletionItem(text, text, "option", help) for text, help in fitting[:MOST_ITEMS]]
        return wire.Completed(start, offset, items)
    try:
        found = await _editor(session).complete(question.job, offset - cell.code_at)
    except errors.Cancelled:
        return wire.Completed(offset, offset, [])
    known = _documented(question, found.start)
    after_dot = _OBJECT.search(_before(question, found.start)) is not None
    items = []
    for item in found.items:
        if after_dot and not names.is_identifier(item.name):  # it would need brackets in place of the dot
            continue
        tool = known.get(item.name) if len(items) < MOST_DOCUMENTED else None
        items.append(
            wire.CompletionItem(
                item.name,
                item.name,
                item.kind,
                item.docs if tool is None else _documentation(tool),
                item.detail,
                None if tool is None else typegen.required(tool),
            )
        )
    start = cell.code_at + found.start
    return wire.Completed(start, start + found.length, items)


async def hover(session: Session, asked: wire.Position) -> wire.Explained:
    """Explain what is at an offset.

    Raises:
        InvalidParams: The source is too large, or the offset is not in it.
        Busy, SandboxUnavailable: The type checker cannot answer; says why.
    """
    question, offset = await _question(session, asked), _offset(asked)
    cell = question.cell
    if cell.is_in_line(offset):
        if (there := cells.explain(cell, offset)) is None:
            return _NOTHING
        start, end, option = there
        return wire.Explained(f"{option.usage}\n\n{option.help}", option.help, start, end)
    try:
        found = await _editor(session).hover(question.job, offset - cell.code_at)
    except errors.Cancelled:
        found = None
    if found is None or found.text == "any":  # that is said of a name that does not exist
        return _NOTHING
    start = cell.code_at + found.start
    tool = _explained_tool(question, found.text)
    docs = found.docs if tool is None else typegen.explained(tool)
    text = f"{found.text}\n\n{docs}" if docs else found.text
    return wire.Explained(text, docs, start, start + found.length)


async def signature(session: Session, asked: wire.Position) -> wire.ExplainedCall:
    """Explain the call around an offset.

    Raises:
        InvalidParams: The source is too large, or the offset is not in it.
        Busy, SandboxUnavailable: The type checker cannot answer; says why.
    """
    question, offset = await _question(session, asked), _offset(asked)
    if question.cell.is_in_line(offset):
        return _NO_CALL
    try:
        found = await _editor(session).signature(question.job, offset - question.cell.code_at)
    except errors.Cancelled:
        found = None
    if found is None:
        return _NO_CALL
    signatures = [
        wire.ExplainedSignature(s.text, s.docs, [wire.ExplainedParameter(p.text, p.docs) for p in s.parameters])
        for s in found.signatures
    ]
    return wire.ExplainedCall(signatures, found.signature, found.parameter)


async def diagnostics(session: Session, asked: wire.Written) -> wire.Diagnosed:
    """Return what is wrong with a program's types; nothing where they are not checked before it runs.

    Raises:
        InvalidParams: The source is too large.
        Busy: It could not be checked; says why.
    """
    question = await _question(session, asked)
    cell = question.cell
    if not session.types.is_possible or not session.settings.typecheck or not cell.is_checked or not cell.code.strip():
        return wire.Diagnosed([])
    verdict = await session.types.judge(question.job, question.offered, question.inputs, is_editor=True)
    if isinstance(verdict, Unchecked):
        raise errors.Busy(f"{verdict.reason}; try again")
    begins = [0]
    for line in cell.code.split("\n"):
        begins.append(begins[-1] + units(line) + 1)
    end = begins[-1] - 1

    def at(line: int, column: int) -> int:
        return min(begins[min(line, len(begins) - 1) - 1] + column - 1, end)

    found = []
    for d in session.explained(verdict.diagnostics, cell.code):
        start, stop = at(d.line, d.column), at(d.end_line, d.end_column)
        there = cell.code[cells.index(cell.code, start) : cells.index(cell.code, stop)]
        instead = d.instead and _in_place_of(there, d.instead)
        absent = None
        if (gap := d.absent) is not None:
            place = cell.code_at + at(gap.line, gap.column)
            absent = wire.ArgumentsToAdd(place, gap.names, gap.before, gap.after)
        start, stop = cell.code_at + start, cell.code_at + stop
        found.append(wire.Underlined(start, stop, d.severity, d.message, "pctx", instead or None, absent))
    return wire.Diagnosed(found)


async def format(format: Format, source: str, most_bytes: int) -> wire.Formatted:
    """Lay out the program of a cell; its magic line stays as it is.

    Raises:
        InvalidParams: The source is too large.
        Busy, SandboxUnavailable: It cannot be done now; says why.
    """
    _measure(source, most_bytes)
    cell = cells.read(source)
    if not cell.code.strip():
        return wire.Formatted(source, "")
    done = await format(with_parentheses(cell.code))
    if isinstance(done, Unformattable):
        return wire.Formatted(None, done.reason)
    return wire.Formatted(source.removesuffix(cell.code) + done.rstrip("\n"), "")


async def declarations(session: Session) -> wire.Declared:
    """Declare the session's tools, as models and people read them."""
    await session.scope.prepare()
    return wire.Declared(await declare(session.scope.listed(), aliases=False))


async def _question(session: Session, asked: wire.Written) -> _CellQuestion:
    _measure(asked.source, session.settings.max_program_bytes)
    cell = cells.read(asked.source)
    try:
        offered = await session.offering(cell.code, cell.tools)
    except errors.ToolNotFound:  # half-typed
        offered = await session.offering(cell.code)
    taken = offered.taken
    inputs = [name for name in dict.fromkeys([*cell.inputs, *asked.inputs]) if name not in taken and _is_usable(name)]
    inputs = inputs[: cells.MOST_INPUTS]
    job = await session.types.job(cell.code, offered, inputs, is_editor=True)
    return _CellQuestion(cell, job, offered, inputs)


def _measure(source: str, most_bytes: int) -> None:
    if has_more_bytes(source, most_bytes):
        raise errors.InvalidParams(
            f"Cannot look at this cell: it has more than {most_bytes:,} bytes (Pctx.max_program_bytes)"
        )


def _in_place_of(there: str, instead: str) -> str | None:
    """What to write for a name, which may stand in quotes; None: no name stands there."""
    quote = there[:1] if there[:1] in ("'", '"') and there[-1:] == there[:1] else ""
    return f"{quote}{instead}{quote}" if names.is_identifier(there[len(quote) : len(there) - len(quote)]) else None


def _offset(asked: wire.Position) -> int:
    end = units(asked.source)
    if not 0 <= asked.offset <= end:
        raise errors.InvalidParams(f"Cannot look at offset {asked.offset}: the source ends at {end} (in UTF-16 units)")
    return asked.offset


def _editor(session: Session) -> Editor:
    if session.editor is None:
        raise errors.SandboxUnavailable("Cannot help with this cell: this engine has no type checker")
    return session.editor


def _is_usable(name: str) -> bool:
    try:
        names.check_input_name(name)
    except errors.InvalidParams:
        return False
    return True


def _documented(question: _CellQuestion, start: int) -> dict[str, Tool]:
    """The tools among what may follow the name before an offset in the program."""
    if (found := _NAMESPACE.search(_before(question, start))) is None:
        return {}
    by_path = {tool.path: tool for tool in question.offered.tools}
    return {name: by_path[path] for name, path in question.offered.globals.get(found[1], {}).items()}


def _explained_tool(question: _CellQuestion, text: str) -> Tool | None:
    """The tool that a text of TypeScript's explains; None: another thing."""
    found = _FUNCTION.match(text)
    return None if found is None else next((tool for tool in question.offered.tools if tool.path == found[1]), None)


def _before(question: _CellQuestion, offset: int) -> str:
    code = question.job.code
    at = cells.index(code, offset)
    return code[max(0, at - 200) : at]


def _documentation(tool: Tool) -> str:
    return "\n\n".join(part for part in (typegen.signature(tool), typegen.explained(tool)) if part)
