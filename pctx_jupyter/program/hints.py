"""What to write in place of mistakes that programs which call tools often have. Text to text.

A type checker says what is wrong. These sentences say what is right, where that is known from the program's tools.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from .cell import index
from .check import Diagnostic
from .from_python import hint_for_syntax

MAX_ARGUMENTS = 4
"""Arguments of a tool that a hint writes out."""

Parameters = Callable[[str], "Sequence[str] | None"]
"""The names of a tool's arguments, given what the program calls; None: no tool is called that. Required ones first."""

Types = Callable[[], Mapping[str, str]]
"""The full names of the types that tools declare, by their last part: ``Day`` → ``MarketData.Day``."""

PathsByName = Callable[[str], "Sequence[str]"]
"""The paths of the tools that have a name, which is without its namespace."""

MAX_PATHS = 3
"""Functions of one name that a hint names; of more, it names none."""

_NOT_DEFINED = frozenset({2304, 2552})
_WRONG_TYPE = frozenset({2322, 2345, 2820})
_WRONG_COUNT = frozenset({2554, 2555, 2556})
_LITERALS = re.compile(r"""Type 'string(?:\[\])?' is not assignable to type '[^'\n]*?("[^"\n']*")""")
_CALL = re.compile(r"(?<![\w$])([A-Za-z_$][\w$]*\s*\.\s*[A-Za-z_$][\w$]*)\s*\(([^()]*)$")
_COMPARED = frozenset({2365, 2367})
_NO_CONDITION = "Type 'boolean' is not assignable to type 'FrameColumn<boolean>'"
BY_METHODS = 'A column is compared by a method, as in row.amount.gt(10) or row.status.eq("open").'
_FENCE = re.compile(r"\s*```")
"""The beginning of a line that fences code in Markdown, as models write it."""
NO_FENCES = "Leave out the lines with ```: they are Markdown."
_CALLED = re.compile(r"(?<![\w$])([A-Za-z_$][\w$]*\s*\.\s*[A-Za-z_$][\w$]*)$")
_GUESS = re.compile(r" Did you mean '[^']*'\?$")
_NOT_AN_OBJECT = re.compile(
    r"(?:Argument of type|Type) '(?:string|number|boolean|\"[^']*\"|-?[\d.]+|true|false|[\w.]+\[\])'"
)


def advised(
    found: Diagnostic, code: str, parameters: Parameters, types: Types, functions: PathsByName = lambda name: ()
) -> str:
    """The message of a diagnostic, with what to write instead where that is known.

    Args:
        found: The diagnostic.
        code: The program.
        parameters: Knows the arguments of its tools.
        types: Knows the types of its tools.
        functions: Knows its tools by their names.
    """
    message = found.message
    if not found.is_syntax and "```" in code and _is_fence(code.split("\n"), found.line):
        return f"{message} {NO_FENCES}"
    if found.code in _NOT_DEFINED and found.missing and 0 < len(paths := functions(found.missing)) <= MAX_PATHS:
        meant = " or ".join(f"'{path}'" for path in paths)
        return f"{_GUESS.sub('', message)} Did you mean {meant}?"
    if found.code in _NOT_DEFINED and found.missing and (full := types().get(found.missing)) is not None:
        return f"{_GUESS.sub('', message)} Did you mean '{full}'?"
    if (found.code in _COMPARED or message.startswith(_NO_CONDITION)) and "FrameColumn<" in message:
        return f"{message} {BY_METHODS}"
    if (call := _positional(found, code, parameters)) is not None:
        return f"{message} A tool takes one object: {call}"
    if found.code in _WRONG_TYPE and (literal := _LITERALS.search(message)) is not None:
        return (
            f"{message}\nA text that is stored first is any string; "
            f"write as const where it is made, as in {literal[1]} as const"
        )
    return message


def _is_fence(lines: Sequence[str], number: int) -> bool:
    return 1 <= number <= len(lines) and _FENCE.match(lines[number - 1]) is not None


def about_python(found: Sequence[Diagnostic], code: str) -> list[Diagnostic]:
    """Return diagnostics of which the first one of a line of Python, or Markdown, says what to write in its place.

    Args:
        found: The diagnostics, in the order of the text.
        code: The program.
    """
    lines, told = code.split("\n"), set[int]()
    made = []
    for one in found:
        if one.is_syntax and one.line not in told and 1 <= one.line <= len(lines):
            told.add(one.line)
            hint = NO_FENCES if _is_fence(lines, one.line) else hint_for_syntax(lines[one.line - 1])
            if hint is not None:
                one = replace(one, message=f"{one.message} {hint}")
        made.append(one)
    return made


def _positional(found: Diagnostic, code: str, parameters: Parameters) -> str | None:
    """How a tool is called, if the diagnostic is about arguments that are no object."""
    is_no_object = found.code in (2345, 2559) and _NOT_AN_OBJECT.match(found.message)
    if found.code not in _WRONG_COUNT and not is_no_object:
        return None
    lines = code.split("\n")
    if not 1 <= found.line <= len(lines):
        return None
    line = lines[found.line - 1]
    call = _CALL.search(line[: index(line, found.column - 1)])
    if call is None and found.line == found.end_line:  # where an argument is missing, the name is what is wrong
        call = _CALLED.search(line[: index(line, found.end_column - 1)])
    if call is None:
        return None
    path = re.sub(r"\s", "", call[1])
    names = parameters(path)
    if names is None:
        return None
    shown = [f"{name}: …" for name in names[:MAX_ARGUMENTS]] + ["…"] * (len(names) > MAX_ARGUMENTS)
    return f"{path}({{ {', '.join(shown)} }})" if shown else f"{path}()"
