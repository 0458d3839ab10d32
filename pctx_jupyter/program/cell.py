"""A cell while it is written: its magic line, the program below it, and positions in either.

It reads what is half-typed, so it refuses nothing; whether options are right is for those to say who run the cell.
Positions are offsets in UTF-16 units, as editors and JavaScript count; `index` turns one into Python's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MOST_INPUTS = 100
"""Names after ``-i`` that are looked at."""

_HEAD = re.compile(r"\s*%%pctx(?P<line>(?:[ \t\r][^\n]*)?)(?:\n|\Z)")
_WORD = re.compile(r"\S+")


def units(text: str) -> int:
    """Count UTF-16 units, as JavaScript does."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def index(text: str, offset: int) -> int:
    """Turn an offset into an index of Python's; within a surrogate pair, the index of its character."""
    if text.isascii():
        return min(offset, len(text))
    left = offset
    for at, character in enumerate(text):
        left -= 2 if character > "\uffff" else 1
        if left < 0:
            return at
    return len(text)


@dataclass(frozen=True, slots=True)
class Option:
    """An option of the magic line.

    Args:
        names: Its spellings.
        takes: What follows it; empty: nothing.
        help: What it does.
        shown: The spelling that a summary of all options has; empty: the first.
    """

    names: tuple[str, ...]
    takes: str
    help: str
    shown: str = ""

    @property
    def usage(self) -> str:
        """All spellings, and what follows."""
        return f"{', '.join(self.names)} {self.takes}".rstrip()

    @property
    def summary(self) -> str:
        """One spelling, and what follows."""
        return f"{self.shown or self.names[0]} {self.takes}".rstrip()


OPTIONS = (
    Option(("-o", "--output"), "NAME", "Store the value in the notebook."),
    Option(("-i", "--input"), "NAME,…", "Pass values of the notebook in, as constants of the same names."),
    Option(("-f", "--frame"), "NAME,…", "Pass data frames and other objects in by handle: they stay in the notebook."),
    Option(("-t", "--timeout"), "S", "Stop the program after S seconds.", "--timeout"),
    Option(("--tools",), "Sales.*,…", "Let the program call these tools only."),
    Option(("--no-check",), "", "Run the program without a type check."),
    Option(("--keep",), "", "Keep its types, functions and constants for later programs."),
    Option(("--no-timeline",), "", "Show no timeline."),
    Option(("-q", "--quiet"), "", "Show neither the value nor a timeline.", "--quiet"),
)
"""What a magic line may hold. The magic's parser, usage and help, and the completion of its line, are made of these."""

_INPUTS, _FRAMES, _TOOLS, _NO_CHECK = "--input", "--frame", "--tools", "--no-check"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell, apart.

    Args:
        source: All of it.
        line: What follows ``%%pctx`` in its line; None: there is no such line, and all of it is a program.
        line_at: Where that begins in `source`.
        code: The program.
        code_at: Where that begins in `source`.
    """

    source: str
    line: str | None
    line_at: int
    code: str
    code_at: int

    def is_in_line(self, offset: int) -> bool:
        """Whether an offset in the source is in the magic line, or before it."""
        is_open = not self.code and not self.source.endswith("\n")
        return self.line is not None and (offset < self.code_at or is_open)

    @property
    def inputs(self) -> list[str]:
        """The names after ``-i`` and ``-f``, so far as they are names."""
        values = [*self._values(_INPUTS), *self._values(_FRAMES)]
        found = (name.strip() for value in values for name in value.split(","))
        return [name for name in dict.fromkeys(found) if name.isidentifier()][:MOST_INPUTS]

    @property
    def tools(self) -> list[str] | None:
        """The patterns after ``--tools``; None: all."""
        values = self._values(_TOOLS)
        return [p for value in values for p in value.split(",") if p] if values else None

    @property
    def is_checked(self) -> bool:
        """Whether its types are to be checked."""
        return not any(option.names == (_NO_CHECK,) for option, _ in self._options())

    def _values(self, name: str) -> list[str]:
        return [value for option, value in self._options() if name in option.names and value]

    def _options(self) -> Iterator[tuple[Option, str]]:
        words = iter(_WORD.findall(self.line or ""))
        for word in words:
            name, _, value = word.partition("=")
            if (option := _option(name)) is not None:
                yield option, (value or next(words, "") if option.takes else "").strip("'\"")


def read(source: str) -> Cell:
    """Separate a cell's magic line from its program."""
    head = _HEAD.match(source)
    if head is None:
        return Cell(source, None, 0, source, 0)
    return Cell(source, head["line"], units(source[: head.start("line")]), source[head.end() :], units(head[0]))


def complete(cell: Cell, offset: int, names: Iterable[str], tools: Iterable[str]) -> tuple[int, list[tuple[str, str]]]:
    """Complete an option, or what follows one.

    Args:
        cell: With a magic line.
        offset: In it.
        names: Of the notebook, for ``-i`` and ``-f``.
        tools: Full names, for ``--tools``.

    Returns:
        Where what they replace begins, and texts that fit with their meaning.
    """
    before = (cell.line or "")[: index(cell.line or "", max(0, offset - cell.line_at))]
    *earlier, word = before.replace("\t", " ").split(" ")
    previous = next((one for one in reversed(earlier) if one), "")
    option, value = _option(previous), word
    if "=" in word and (named := _option(word.partition("=")[0])) is not None:
        option, value = named, word.partition("=")[2]
    if option is None or not option.takes:
        fitting = [(name, one.help) for one in OPTIONS for name in one.names if name.startswith(word)]
        return offset - units(word), (fitting if earlier else [])
    typed = value.rpartition(",")[2].lstrip("'\"")
    if _INPUTS in option.names or _FRAMES in option.names:
        known = [(name, "") for name in names]
    elif _TOOLS in option.names:
        paths = sorted(tools)
        known = [(f"{space}.*", f"All tools of {space}") for space in sorted({p.partition(".")[0] for p in paths})]
        known += [(path, "") for path in paths]
    else:
        known = []
    return offset - units(typed), [(text, help) for text, help in known if text.startswith(typed)]


def explain(cell: Cell, offset: int) -> tuple[int, int, Option] | None:
    """The option at an offset in the magic line, and where its name begins and ends; None: there is none."""
    line = cell.line or ""
    before = line[: index(line, max(0, offset - cell.line_at))]
    begun = "" if before[-1:].isspace() else "".join(before.rsplit(None, 1)[-1:])
    word = _WORD.match(line, len(before) - len(begun))
    if word is None or (option := _option(name := word[0].partition("=")[0])) is None:
        return None
    start = cell.line_at + units(line[: word.start()])
    return (start, start + units(name), option) if start <= offset <= start + units(name) else None


def _option(name: str) -> Option | None:
    return next((option for option in OPTIONS if name in option.names), None)
