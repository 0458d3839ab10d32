"""What a type check is asked, what it answers, and how its findings are said: in the user's lines, naming what exists.

Text to text. The process that knows TypeScript is elsewhere (`sandbox.checker`); this decides what people and models
read of it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal, TypeAlias

import msgspec

from ..errors import Failure
from ..nearest import nearest
from .cell import index
from .diagnostics import code_frame
from .from_python import REPLACED, hint_for_name
from .program import Outline

LONGEST = 800
"""Characters of one message."""
LONGEST_TYPE = 100
"""Characters of a type within a message."""
MOST_SPACES = 20
"""Namespaces that a message lists."""
MOST_COMPARED = 2_000
"""Tools, and namespaces, among which one like a wrong name is looked for."""
MOST_NAMES = 8
"""Names a message lists where none of them looks like the one that was meant."""


MOST_WARNINGS = 5
"""Warnings that are shown beside the output of a program."""


# ── Asked and answered ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class CheckJob:
    """One program, and what it is checked against.

    Args:
        session: Whose it is: what was declared stays known under this name until it changes.
        code: The program as its author wrote it (`Program.code`): positions are those of this text.
        declarations: Of its tools, as `typegen` writes them: one text, or several that do not depend on each other.
        globals: Declarations of everything else it finds: its inputs, what it keeps from earlier programs.
        tools: The full names of its tools, ``Sales.loadOrders``, for suggestions; only the first ones are read.
        keep: What of its top level is declared for later programs: True: all; None: what it exports; False: nothing.
        whole: Declarations of all tools of its namespaces: a program that seems wrong is checked against these as well.
            Empty: `declarations` has them all.
        namespaces: Names of further namespaces, for suggestions.
        client: Which of the clients that share the session asks; each has its own turn. "": the session has one.
    """

    session: str
    code: str
    declarations: str | tuple[str, ...] = ""
    globals: str = ""
    tools: Iterable[str] = ()
    keep: bool | None = False
    whole: tuple[str, ...] = ()
    namespaces: Sequence[str] = ()
    client: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The declarations, as several texts."""
        return (self.declarations,) if isinstance(self.declarations, str) else self.declarations


class AbsentArguments(msgspec.Struct, frozen=True):
    """The arguments that a call has to have and does not, and where they can be added.

    Args:
        line, column: As in a `Diagnostic`.
        names: As an object has them, in quotes where that is needed.
        before, after: The text to write around them.
    """

    line: int
    column: int
    names: list[str]
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong with a program.

    Args:
        message: What, and what to do; plain text, of several lines now and then.
        code: TypeScript's number for it.
        severity: An error keeps a program from running.
        line, column, end_line, end_column: 1-based, in `CheckJob.code`, columns in UTF-16 units; the end is excluded.
        instead: The name that was probably meant in place of the one that stands there; None: unknown.
        missing: The name that stands there and is not defined anywhere; None: that is not the error.
        absent: The arguments that a call does not have; None: that is not the error.
    """

    message: str
    code: int
    severity: Literal["error", "warning"]
    line: int
    column: int
    end_line: int
    end_column: int
    instead: str | None = None
    missing: str | None = None
    absent: AbsentArguments | None = None

    @property
    def is_syntax(self) -> bool:
        """Whether the text is no TypeScript, so that nothing is known of its types."""
        return self.code < 2000

    def frame(self, code: str) -> str:
        """Draw the lines around it."""
        length = self.end_column - self.column if self.end_line == self.line else 1 << 20
        return code_frame(code, self.line, self.column, length)


@dataclass(frozen=True, slots=True)
class Checked:
    """A program that was checked.

    Args:
        diagnostics: What is wrong with it.
        has_more: Whether there is more wrong with it than is listed.
        kept: Declarations of its top level, to stand in an ambient namespace; None: they were not asked for.
        kept_plain: Those with ``any`` in the place of observed types; None: they are the same.
        outline: What it has at its top level; None: it has a syntax error.
    """

    diagnostics: tuple[Diagnostic, ...] = ()
    has_more: bool = False
    kept: str | None = None
    kept_plain: str | None = None
    outline: Outline | None = field(default=None, compare=False)

    @property
    def is_wrong(self) -> bool:
        """Whether an error keeps the program from running."""
        return any(one.severity == "error" for one in self.diagnostics)


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A program that was not; it may run all the same. `reason` is a sentence for its trace."""

    reason: str


Verdict: TypeAlias = Checked | Unchecked

Check = Callable[[CheckJob], Awaitable[Verdict]]
"""Checks one program. Never raises for what a program or its declarations are."""


Read = Callable[[str, str, str], Awaitable[Outline | None]]
"""Outlines one program, given the session it is of, the code, and its client as a `CheckJob` has it; None: it has a
syntax error.

Raises `errors.Busy` when it cannot be read; the message says why.
"""


MAY_BE_INCOMPLETE = "This type was observed in earlier calls and may be incomplete."
"""Follows a warning about a type that was observed, not declared."""


def softened(found: Checked, plain: Checked) -> Checked:
    """Turn into warnings what is wrong with a program only because of observed types.

    Args:
        found: What a check has found.
        plain: What a check of the same program has found with ``any`` in the place of every observed type.
    """
    places = {(one.line, one.column) for one in plain.diagnostics}
    warnings = [
        replace(one, severity="warning", message=f"{one.message} {MAY_BE_INCOMPLETE}"[:LONGEST])
        for one in found.diagnostics
        if one.severity == "error" and (one.line, one.column) not in places
    ]
    known = replace(found, diagnostics=plain.diagnostics, has_more=plain.has_more, kept_plain=plain.kept)
    return warned(known, warnings)


def warned(checked: Checked, warnings: Sequence[Diagnostic]) -> Checked:
    """Add warnings to what a check has found, in the order of the text."""
    if not warnings:
        return checked
    listed = sorted([*checked.diagnostics, *warnings], key=lambda one: (one.line, one.column))
    return replace(checked, diagnostics=tuple(listed))


def warning(checked: Checked) -> str | None:
    """Return what a program is warned of, a line each; None: nothing."""
    lines = [f"line {d.line}, column {d.column}: {d.message}" for d in checked.diagnostics if d.severity == "warning"]
    more = [f"… and {len(lines) - MOST_WARNINGS:,} more"] if len(lines) > MOST_WARNINGS else []
    return "\n".join([*lines[:MOST_WARNINGS], *more]) or None


NO_MEMBER = frozenset({2339, 2551})
"""TypeScript's numbers for a property that does not exist, without and with a name that was probably meant."""

_ON_PROMISE = re.compile(r"Property '([^']+)' does not exist on type 'Promise<")
"""TypeScript says no more where the promise is of any value, or is taken apart: const { rows } = …"""

_MEMBER_OF = re.compile(r"(?<![\w$])([\w$]+)\s*\.\s*$")


def missing_member(found: Diagnostic, code: str) -> str | None:
    """Return the path of a namespace's member that does not exist, ``Mail.send``; None: that is not the error."""
    lines = code.split("\n")
    if found.code not in NO_MEMBER or not 1 <= found.line <= len(lines):
        return None
    line = lines[found.line - 1]
    start, end = index(line, found.column - 1), index(line, found.end_column - 1)
    before = _MEMBER_OF.search(line[:start])
    return None if before is None or found.line != found.end_line else f"{before[1]}.{line[start:end]}"


def failure(
    checked: Checked, code: str, advise: Callable[[Diagnostic], str] = lambda found: found.message
) -> Failure | None:
    """Return why a checked program does not run: the first error with its frame, then the others; None: it may run.

    Args:
        advise: Returns the message of a diagnostic, with what to write instead.
    """
    wrong = [d for d in checked.diagnostics if d.severity == "error"]
    if not wrong:
        return None
    first, *others = wrong
    message = advise(first) + "".join(f"\nline {d.line}, column {d.column}: {advise(d)}" for d in others)
    if checked.has_more:
        message += "\n… and more"
    return Failure(
        name="SyntaxError" if first.is_syntax else "TypeError",
        message=message,
        line=first.line,
        column=first.column,
        frame=first.frame(code),
        missing=first.missing,
    )


# ── What the checking process says ──────────────────────────────────────────────────────────────────────────────────


class CheckerFinding(msgspec.Struct):
    """One finding, as the checking process sends it (``runtime/checker/answers.js``).

    Args:
        awaits: It is about a promise that should be awaited.
        promised: Where in the value that promise is: ``.rows[].total``; None: unknown.
        sets: A statement sets a name that was never declared, as Python declares one.
        wanted: The name that does not exist, and `names` those that do in its place, as far as they are known.
        in_elements: Each element of the list has a field of that name.
        module: The module that is imported.
        absent: The arguments that a call does not have.
        warns: It is no error: the program may mean what it says.
    """

    message: str
    code: int
    line: int
    column: int
    end_line: int
    end_column: int
    awaits: bool = False
    warns: bool = False
    promised: str | None = None
    sets: bool = False
    wanted: str = ""
    names: list[str] = []
    in_elements: bool = False
    module: str | None = None
    absent: AbsentArguments | None = None


class Findings(msgspec.Struct):
    """All findings of one program: its errors in the order of its text, then what it is warned of."""

    found: list[CheckerFinding]
    more: bool
    kept: str | None = None
    outline: Outline | None = None


def checked(findings: Findings, tools: Iterable[str] = (), namespaces: Iterable[str] = ()) -> Checked:
    """Turn findings into diagnostics.

    Args:
        findings: What TypeScript found.
        tools: The full names of the program's tools; only the first ones are read, and only for an error.
        namespaces: The names of further namespaces.
    """
    if not findings.found:
        return Checked((), findings.more, findings.kept, outline=findings.outline)
    listed = list(islice(tools, MOST_COMPARED))
    spaces = sorted({*islice(namespaces, MOST_COMPARED), *(path.rpartition(".")[0] for path in listed)})
    return Checked(
        tuple(
            Diagnostic(
                message,
                f.code,
                "warning" if f.warns else "error",
                f.line,
                f.column,
                f.end_line,
                f.end_column,
                _instead(f, message),
                f.wanted if f.code in _UNDEFINED and f.wanted else None,
                f.absent,
            )
            for f in findings.found
            for message in [_message(f, listed, spaces)]
        ),
        findings.more,
        findings.kept,
        outline=findings.outline,
    )


# ── Messages ────────────────────────────────────────────────────────────────────────────────────────────────────────

JSX = 1999
"""The number, of ours, for a program that is a syntax error because it has JSX."""
_UNDEFINED = frozenset({2304, 2552, 18004})
"""Names that are not defined anywhere."""
_ONLY_TOOLS = "a program can only call its tools"
_ELSEWHERE = frozenset({2580, 2581, 2582, 2583, 2584, 2591, 2592, 2593})
"""Names that exist in browsers, Node.js and the like: TypeScript would have us install something."""
_ABSENT = frozenset(
    {"Bun", "WebAssembly", "WebSocket", "Worker", "XMLHttpRequest", "alert", "caches", "fetch", "indexedDB"}
    | {"localStorage", "navigator", "prompt", "sessionStorage", "window"}
)
"""Further names people reach for that a sandbox does not have."""


def _message(found: CheckerFinding, tools: list[str], spaces: list[str]) -> str:
    if found.module is not None:
        text = f"Cannot import {found.module!r}: {_ONLY_TOOLS}"
    elif found.awaits or (found.code in NO_MEMBER and _ON_PROMISE.match(found.message)):
        text = _of_promise(found)
    elif found.code == JSX:
        text = (
            "JSX is not supported: a program is TypeScript; "
            "Deno.jupyter.html`<b>${name}</b>` makes HTML, and Deno.jupyter.svg`…` a drawing"
        )
    elif found.code in _UNDEFINED and (hint := hint_for_name(found.wanted, sets=found.sets)) is not None:
        text = f"Cannot find name '{found.wanted}'. {hint}"
    elif found.code in _ELSEWHERE or (found.code == 2304 and found.wanted in _ABSENT):
        text = f"{found.message.split('. ')[0].rstrip('.')}: {_ONLY_TOOLS}"
    elif found.code in (2339, 2551) and "'typeof Deno'" in found.message:
        text = f"{found.message.split('. ')[0].rstrip('.')}: {_ONLY_TOOLS}; Deno.jupyter shows things"
    elif found.code == 2632:
        text = found.message.replace("it is an import", "it is kept from an earlier program")
    elif found.code == 1108:
        text = f"{found.message} End the program with the value itself, or write async function run() {{ … }}"
    else:
        text = _shortened(found.message)
        if found.wanted and "Did you mean" not in text:
            text += _hint(found, tools, spaces)
    return _plain(text)[:LONGEST]


def _instead(found: CheckerFinding, message: str) -> str | None:
    """The name in place of the one that is not there: ours or TypeScript's guess, which only its message has."""
    if found.code in _UNDEFINED and found.wanted in REPLACED:
        return REPLACED[found.wanted]
    guess = re.search(r"Did you mean (?:to write )?'([\w$.]+)'\?", message) if found.wanted else None
    return guess[1] if guess else None


def _of_promise(found: CheckerFinding) -> str:
    if found.promised:
        path = found.promised.removeprefix(".")
        if path == "[]":
            return "This is a list of Promises, not of the values they will have: await Promise.all(…) it first"
        if path.endswith("[]"):
            return f"Here '{path.removesuffix('[]')}' is a list of Promises: await Promise.all(…) it first"
        return f"Here '{path}' is a Promise, not the value it will have: await it first"
    match found.code:
        case 2339 | 2551:
            name = of_any[1] if (of_any := _ON_PROMISE.match(found.message)) else found.wanted
            return f"Property '{name}' does not exist on a Promise: await it first"
        case 7052 | 7053:
            return "A Promise has no elements: await it first"
        case 2801:
            return "This is a Promise, not the value it will have: await it first"
        case _:
            return f"{_shortened(found.message)} It is a Promise: await it first"


def _shortened(message: str) -> str:
    """Cut the types in a message, which TypeScript writes in quotes and at length."""

    def cut(match: re.Match[str]) -> str:
        return f"'{match[1][:LONGEST_TYPE]}…'"

    return re.sub(rf"'([^'\n]{{{LONGEST_TYPE + 20},}})'", cut, message)


def _hint(found: CheckerFinding, tools: list[str], spaces: list[str]) -> str:
    """Suggest names that may have been meant, or list those that exist."""
    if found.in_elements:
        field = f".{found.wanted}" if found.wanted.isidentifier() else f"[{json.dumps(found.wanted)}]"
        return f" It is a list, and its elements have it: .map((row) => row{field})"
    if found.names:
        if close := _closest(found.wanted, found.names):
            return f" Did you mean '{close}'?"
        shown = sorted(found.names)[:MOST_NAMES]
        return f" There is: {', '.join(shown)}{', …' if len(found.names) > len(shown) else ''}."
    by_name = {path.rpartition(".")[2]: path for path in reversed(tools)}
    by_name |= {name: name for name in spaces if name not in by_name}
    if close := _closest(found.wanted, list(by_name)):
        return f" Did you mean '{by_name[close]}'?"
    listed = ", ".join(spaces[:MOST_SPACES]) + (", …" if len(spaces) > MOST_SPACES else "")
    # A name that begins like a namespace most likely should be one.
    is_like_a_namespace = found.code == 2304 and found.wanted[:1].isupper()
    return f" Namespaces of tools: {listed}." if is_like_a_namespace and spaces else ""


def _closest(wanted: str, names: Sequence[str]) -> str | None:
    """The name most like the one wanted, whatever its case and underscores."""
    folded: dict[str, str] = {}
    for name in names:
        folded.setdefault(_folded(name), name)
    close = nearest(_folded(wanted), folded, likeness=0.7)
    return None if close is None else folded[close]


def _folded(name: str) -> str:
    return name.replace("_", "").lower()


def _plain(text: str) -> str:
    """Show characters that control a terminal, or turn the direction of text, as U+FFFD."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    hidden = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return "".join(c if c == "\n" or unicodedata.category(c) not in hidden else "\ufffd" for c in text)
