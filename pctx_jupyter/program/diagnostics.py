"""What a sandbox says of an exception → a failure in the user's lines, with the code around the place and a hint.

Text to text: no I/O, no process. What a sandbox sends is untrusted text; it is searched, and may have any form.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from typing import NamedTuple

from .. import visible
from ..errors import Failure
from ..rpc.sandbox_wire import Thrown
from .cell import index, units
from .from_python import hint_for_name, hint_for_syntax
from .program import Program

FRAME_WIDTH = 100
"""Columns of code a frame shows; a longer line is cut around its place."""

CONTEXT_LINES = 2
"""Lines a frame shows before and after the place."""

NEAR = 1_000
"""Characters of a line that are looked at before its place, and after it: a program may be one line of a megabyte."""

_PLACE = re.compile(r"program\.ts:(\d{1,9}):(\d{1,9})")
_KEPT_PLACE = re.compile(r"kept/([\w$]+)\.ts:(\d{1,9}):\d{1,9}")
"""In a kept cell: the text that a sandbox gets of it has its lines, but not always its columns."""
_SNIPPET = re.compile(r"\n +\|\n.*", re.DOTALL)
"""Deno's own picture of the code, which is that of the text the sandbox got."""


class CodePosition(NamedTuple):
    """Where in the user's code: 1-based, columns in UTF-16 units."""

    line: int
    column: int


def failure(thrown: Thrown, program: Program) -> Failure:
    """Describe a failure in terms of the code that the user wrote.

    Args:
        thrown: The sandbox's account of the exception.
        program: What it ran.

    Returns:
        Name and message (with a hint for common mistakes), place, frame and the user's part of the stack. Without a
        place, as for a thrown number, line, column and frame are None.
    """
    name, message, place = thrown.name, thrown.message, None
    if (found := _at_end(message)) is not None:
        at, line, column = found
        message = _SNIPPET.sub("", message[:at])
        if message.startswith("SyntaxError: "):
            name, message = "SyntaxError", message.removeprefix("SyntaxError: ")
            column = _unit(program.text, line, column, tab=2)
        elif name != "SyntaxError":
            column = _unit(program.text, line, column, tab=1)
        place = CodePosition(*program.position(line, column))
    frames = [line for line in thrown.stack.split("\n") if line.startswith("    at ")]
    if frames and (kept := _KEPT_PLACE.search(frames[0])):
        message += f" (thrown in line {kept[2]} of the cell that keeps {kept[1]})"
    stack = "\n".join(
        _KEPT_PLACE.sub(
            r"kept/\1.ts:\2",
            _PLACE.sub(lambda match: "program.ts:{}:{}".format(*program.position(int(match[1]), int(match[2]))), line),
        )
        for line in frames
        if _PLACE.search(line) or _KEPT_PLACE.search(line)
    )
    if place is None and (match := _PLACE.search(stack)):
        place = CodePosition(int(match[1]), int(match[2]))
    if place is not None and name == "TypeError" and _reaches_into_deno(_before(program.code, place), message):
        message = f"Deno has nothing here but Deno.jupyter: {_ONLY_TOOLS}"
    line_of_code = program.code.split("\n")[place.line - 1] if place is not None else ""
    missing = missing_name(name, message)
    message, specifier = _explain(name, message, line_of_code)
    if place is None and specifier is not None:
        place = _quoted(program.code, specifier)
    return Failure(
        name=name,
        message=message,
        line=place and place.line,
        column=place and place.column,
        frame=code_frame(program.code, *place) if place else None,
        stack=stack,
        token=thrown.token,
        missing=missing,
    )


def line_of_call(stack: str, program: Program) -> int | None:
    """The line of what the user wrote that makes a call; 1-based, None when unknown.

    Args:
        stack: The stack that the sandbox sent. It is not trusted: a program can change it.
    """
    match = _PLACE.search(stack)
    return program.position(int(match[1]), int(match[2]))[0] if match else None


def _at_end(message: str) -> tuple[int, int, int] | None:
    """Find the place at the end of a message: where that part begins, line and column as Deno counts there."""
    match = re.search(r"(?:\n    at | at )program\.ts:(\d{1,9}):(\d{1,9})$", message)
    return (match.start(), int(match[1]), int(match[2])) if match else None


def _unit(text: str, line: int, column: int, tab: int) -> int:
    """Turn a column counted in characters, a tab counting for `tab` of them, into one in UTF-16 units."""
    lines = text.split("\n")
    if not 1 <= line <= len(lines):
        return column
    code = lines[line - 1]

    def width(at: int) -> int:
        return at + (tab - 1) * code.count("\t", 0, at)

    at = bisect_left(range(len(code)), column - 1, key=width)
    return units(code[:at]) + max(1, column - width(at))


def _before(code: str, place: CodePosition) -> str:
    line = code.split("\n")[place.line - 1]
    return line[: index(line, place.column - 1)]


def _reaches_into_deno(before: str, message: str) -> bool:
    """Whether a program has used a part of Deno that a sandbox does not leave: all but what notebooks show with."""
    return re.search(r"\bDeno(\.\w+)*\.$", before[-NEAR:]) is not None or message.startswith("Deno.")


def _quoted(code: str, specifier: str) -> CodePosition | None:
    for quote in "'\"":
        if (at := code.find(quote + specifier + quote)) >= 0:
            begin = code.rfind("\n", 0, at) + 1
            return CodePosition(code.count("\n", 0, at) + 1, units(code[begin:at]) + 1)
    return None


# ── Hints ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_ONLY_TOOLS = "a program can only call its tools"

_ABSENT = re.compile(
    r"Buffer|Bun|SharedArrayBuffer|WebAssembly|WebSocket|Worker|XMLHttpRequest|__dirname|__filename|alert|caches|"
    r"document|exports|fetch|indexedDB|localStorage|module|navigator|prompt|process|require|sessionStorage|window"
)
"""What people reach for, and a sandbox does not have."""

_IMPORTS = (
    re.compile(r"^A remote specifier was requested: \"([^\"]*)\""),
    re.compile(r"^(npm) specifiers were requested"),
    re.compile(r"^JSR package manifest for '([^']*)'"),
    re.compile(r"^Import \"([^\"]*)\" not a dependency"),
    re.compile(r"^Requires read access to \"([^\"]*)\""),
    re.compile(r"^Unsupported scheme \"[^\"]*\" for module \"([^\"]*)\""),
    re.compile(r"^(node:[\w/]+) is not available"),
)


def missing_name(name: str, message: str) -> str | None:
    """The name that an error says is not defined; None: it says something else."""
    found = re.fullmatch(r"([\w$]+) is not defined", message) if name == "ReferenceError" else None
    return found[1] if found else None


def _sets(line: str, name: str) -> bool:
    """Whether a line of code begins by setting a name."""
    return re.match(rf"\s*{re.escape(name)}\s*=(?![=>])", line) is not None


def _explain(name: str, message: str, line: str) -> tuple[str, str | None]:
    """Add what a message leaves out; returns with it the module that could not be imported, if that was the fault."""
    match name:
        case "ReferenceError" if (found := re.fullmatch(r"(\w+) is not defined", message)) and _ABSENT.fullmatch(
            found[1]
        ):
            return f"{message}: {_ONLY_TOOLS}", None
        case "ReferenceError" if (missing := missing_name(name, message)) is not None and (
            hint := hint_for_name(missing, sets=_sets(line, missing))
        ) is not None:
            return f"{message}. {hint}", None
        case "TypeError":
            for pattern in _IMPORTS:
                if found := pattern.search(message):
                    what = "npm packages" if found[1] == "npm" else f'"{found[1]}"'
                    return f"Cannot import {what}: {_ONLY_TOOLS}", found[1]
        case "SyntaxError" if message == "Illegal return statement":
            return (
                f"{message}: only a function can return; end the program with the value itself, "
                "or write async function run() { … }"
            ), None
        case "SyntaxError" if message.startswith("Unexpected reserved word"):
            return f"{message}: await needs an async function", None
        case "SyntaxError" if re.search(r"</[A-Za-z>]|/>", line):
            return f"{message} (JSX is not supported: Deno.jupyter.html`<b>${{name}}</b>` makes HTML)", None
        case "SyntaxError" if (hint := hint_for_syntax(line)) is not None:
            return f"{message}. {hint}", None
        case "Thrown":
            return f"{message} (not an Error, so its line is unknown: throw new Error(…))", None
    return message, None


# ── Code frames ─────────────────────────────────────────────────────────────────────────────────────────────────────


def code_frame(code: str, line: int, column: int, length: int = 1) -> str:
    """Draw the lines around a place, with a mark under it.

    Args:
        code: What the user wrote.
        line: 1-based; lines end with a line feed.
        column: 1-based, in UTF-16 units.
        length: UTF-16 units to mark, within the line.

    Returns:
        Lines of plain text without a final line break. Tabs are four columns, wide characters two; control characters
        and those that change the direction of text are shown as U+FFFD.
    """
    lines = code.split("\n")
    if len(lines) > line and not lines[-1]:
        lines.pop()  # what follows the last line feed is no line worth showing
    first, last = max(1, line - CONTEXT_LINES), min(len(lines), line + CONTEXT_LINES)
    place = lines[line - 1].removesuffix("\r") if 1 <= line <= len(lines) else ""
    start = index(place, column - 1)
    begin, end = max(0, start - NEAR), start + NEAR
    before = _cells(place[begin:start])
    marked = _cells(place[start : min(max(index(place, column - 1 + length), start + 1), end)])
    offset = max(0, len(before) - FRAME_WIDTH * 2 // 3)
    digits = len(str(last))
    drawn = []
    for number in range(first, last + 1):
        text = _cut(_cells(lines[number - 1].removesuffix("\r")[begin:end]), offset)
        drawn.append(f"{'>' if number == line else ' '} {number:>{digits}} | {text}".rstrip())
        if number == line:
            mark = "^" * max(1, min(len(marked), offset + FRAME_WIDTH - len(before)))
            drawn.append(f"  {' ' * digits} | {' ' * (len(before) - offset)}{mark}")
    return "\n".join(drawn)


def _cells(text: str) -> list[str]:
    """Spread a text over columns: what each shows, empty for the second half of a wide character."""
    cells: list[str] = []
    for char in text:
        category = unicodedata.category(char)
        if char == "\t":
            cells += "    "
        elif category == "Mn" or char in "\u200d\ufe0e\ufe0f":
            if cells:
                cells[-1] += char
        elif category in ("Cc", "Zl", "Zp") or char in visible.TURNING:
            cells.append("\ufffd")
        elif unicodedata.east_asian_width(char) in "WF":
            cells += [char, ""]
        else:
            cells.append(char)
    return cells


def _cut(cells: list[str], offset: int) -> str:
    end = offset + FRAME_WIDTH
    shown = cells[offset:end]
    if offset and shown:
        shown[0] = "…"
    if len(cells) > end:
        shown[-1] = "…"
    return "".join(shown)
