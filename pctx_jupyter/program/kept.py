"""What later programs find of earlier ones: types, functions and constants of kept cells.

A kept function, class or enum is kept as its text, a constant as the JSON value it had when its cell ended: nothing is
computed and no tool is called again. `survey` finds what can be kept of a program. `KeptNames` is what a session keeps.
Texts keep the lines of their cell, so that errors in them say where. Nothing here runs anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from msgspec import Raw

from .. import errors
from ..tools import names
from .program import Outline, Piece, glance

_EXPORT = re.compile(r"^[^\S\n]*export\b(?!\s+default\b)", re.MULTILINE)

MOST_IN_ALL = 64
"""All sessions together keep at most so many times the bytes that one may keep."""

SMALL_BYTES = 1 << 16
"""Bytes that a session may keep whatever the others keep: no more than the session itself takes."""

VALUES = "__pctx_kept"
"""What a prelude finds its constants under, while it is imported."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What of a program can be kept.

    Args:
        code: The program.
        exposed: What later programs find: name there → name at the program's top level.
        types: The types that later programs find: name there → name at the program's top level.
        pieces: All functions, classes and enums of its top level: the exposed ones may need the others.
        constants: Names whose values are to be captured when it ends: exposed ones, and those the pieces mention.
        refused: Why other exports are not kept, by name.
    """

    code: str
    exposed: Mapping[str, str]
    types: Mapping[str, str]
    pieces: tuple[Piece, ...]
    constants: tuple[str, ...]
    refused: Mapping[str, str]


def survey(
    code: str, keep: bool | None, namespaces: Collection[str] = (), outline: Outline | None = None
) -> Survey | None:
    """Find what is to be kept of a program: what it exports, else, if asked to, its whole top level.

    Args:
        code: `Program.code`.
        keep: Whether its author asked for it; None: only by exporting.
        namespaces: Names of tools' namespaces.
        outline: What the program has at its top level; None: it is so simple that a glance will do.

    Returns:
        None: nothing is, or it has a syntax error.

    Raises:
        InvalidParams: It is asked for, but a name cannot be kept.
    """
    if not may_keep(code, keep):
        return None
    found = glance(code).outline if outline is None else outline
    if found is None:
        return None
    known = dict.fromkeys([*found.values, *found.types])
    wanted = found.exports or ({name: name for name in known} if keep else {})
    wanted = {to: name for to, name in wanted.items() if name in known and to not in ("run", "default")}
    if not wanted:
        return None
    refused = {name: why for name in wanted if (why := _taken(name, namespaces)) is not None}
    if keep and refused:
        name, why = next(iter(refused.items()))
        raise errors.InvalidParams(f"Cannot keep {name}: {why}")
    wanted = {to: name for to, name in wanted.items() if to not in refused}
    texts = {name for piece in found.pieces for name in piece.names}
    exposed = {to: name for to, name in wanted.items() if name in found.values}
    mentioned = found.mentioned | set(exposed.values())
    return Survey(
        code,
        exposed,
        {to: name for to, name in wanted.items() if name in found.types},
        found.pieces,
        tuple(name for name in dict.fromkeys(found.values) if name not in texts and name in mentioned),
        refused,
    )


def may_keep(code: str, keep: bool | None) -> bool:
    """Whether anything of a program can be kept: its author asked for it, or it seems to export something."""
    return keep is True or (keep is None and _EXPORT.search(code) is not None)


def _taken(name: str, namespaces: Collection[str]) -> str | None:
    """Why later programs cannot find something under this name."""
    if name in namespaces:
        return "a namespace of tools has that name; rename it"
    if name in names.UNUSABLE or name in names.GLOBALS or name in names.RESERVED or name.startswith("__pctx"):
        return "it already has a meaning in every program; rename it"
    return None


# ── What a session keeps ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Prelude:
    """A module that defines what was kept of one cell.

    Args:
        name: What its errors call it, after a name it keeps: ``kept/vat.ts``.
        names: What it exports.
        code: Its text: lines are those of the cell, and columns but for the first line.
        values: The constants it finds under `VALUES`.
    """

    name: str
    names: tuple[str, ...]
    code: str
    values: Mapping[str, Raw]

    @property
    def size(self) -> int:
        """Bytes of its constants and, unless there are wide characters, of its text."""
        return len(self.code) + sum(memoryview(value).nbytes for value in self.values.values())


@dataclass(slots=True)
class _Cell:
    number: int
    survey: Survey
    values: dict[str, Raw]
    declarations: str | None
    plain: str | None
    exposed: dict[str, str]
    types: dict[str, str]
    gone: set[str] = field(default_factory=set)

    @property
    def size(self) -> int:
        sizes = (memoryview(value).nbytes for value in self.values.values())
        return len(self.survey.code) + len(self.declarations or "") + len(self.plain or "") + sum(sizes)

    def drop(self, name: str) -> None:
        """Forget a name: what is left of the cell finds the one that takes its place, if there is one."""
        if (local := self.exposed.pop(name, None)) is not None and local not in self.exposed.values():
            self.gone.add(local)
        self.types.pop(name, None)


class KeptNames:
    """What one session keeps.

    Args:
        most: Names it keeps.
        most_bytes: Bytes of text and JSON that it keeps.
        in_all: Returns the bytes that all sessions keep together, this one included; None: there is no bound on them.
        limits: The settings of the first two.
        way_out: What to do when there is too much, or a name is in the way.
    """

    def __init__(
        self,
        most: int,
        most_bytes: int,
        *,
        in_all: Callable[[], int] | None = None,
        limits: tuple[str, str] = ("Pctx.max_kept", "Pctx.max_kept_bytes"),
        way_out: str = "%pctx forget clears some",
    ) -> None:
        self._most, self._most_bytes, self._in_all = most, most_bytes, in_all
        self._limits, self.way_out = limits, way_out
        self._cells: list[_Cell] = []
        self._numbers = 0

    def __iter__(self) -> Iterator[str]:
        """All names, oldest first."""
        return iter(dict.fromkeys(name for cell in self._cells for name in (*cell.exposed, *cell.types)))

    @property
    def size(self) -> int:
        """Bytes of text and JSON that it keeps."""
        return sum(cell.size for cell in self._cells)

    @property
    def names(self) -> set[str]:
        """The names that are kept of values: a program finds them as globals."""
        return {name for cell in self._cells for name in cell.exposed}

    def add(
        self, survey: Survey, values: Mapping[str, Raw], declarations: str | None, plain: str | None = None
    ) -> list[str]:
        """Keep what a program that ended well has left; what had one of its names before is replaced.

        Args:
            survey: What of it is to be kept; constants without a value are not.
            values: Its constants.
            declarations: Of its top level; None: nothing is known of their types.
            plain: Those with ``any`` in the place of observed types; None: they are the same.

        Returns:
            The names that are kept now.

        Raises:
            InvalidParams: That is too much; nothing has changed.
        """
        texts = {name for piece in survey.pieces for name in piece.names}
        exposed = {to: name for to, name in survey.exposed.items() if name in texts or name in values}
        kept = dict.fromkeys([*exposed, *survey.types])
        cell = _Cell(0, survey, dict(values), declarations, plain, exposed, dict(survey.types))
        others = set(self) - set(kept)
        if len(others) + len(kept) > self._most:
            raise errors.InvalidParams(
                f"Cannot keep {_listed(kept)}: more than {self._most} names would be kept ({self._limits[0]}); "
                f"{self.way_out}"
            )
        size = cell.size + sum(one.size for one in self._cells if not set(one.exposed) <= set(kept))
        if size > self._most_bytes:
            raise errors.InvalidParams(
                f"Cannot keep {_listed(kept)}: more than {self._most_bytes:,} bytes would be kept "
                f"({self._limits[1]}); {self.way_out}"
            )
        most_in_all = MOST_IN_ALL * self._most_bytes
        is_more = size > max(SMALL_BYTES, self.size)
        if self._in_all is not None and is_more and self._in_all() - self.size + size > most_in_all:
            raise errors.InvalidParams(
                f"Cannot keep {_listed(kept)}: all notebooks and clients would keep more than {most_in_all:,} bytes "
                f"together ({MOST_IN_ALL} times {self._limits[1]}); {self.way_out}, in each of them"
            )
        self._drop(kept)
        if kept:
            self._numbers += 1
            cell.number = self._numbers
            self._cells.append(cell)
        return list(kept)

    def forget(self, names: Collection[str]) -> list[str]:
        """Forget these names, or all when there are none; returns what was forgotten.

        Raises:
            InvalidParams: One of them is not kept; nothing has changed.
        """
        known = list(self)
        for name in names:
            if name not in known:
                there = f"there is: {_listed(known)}" if known else "nothing is kept"
                raise errors.InvalidParams(f"Cannot forget {name[:100]}: nothing of that name is kept; {there}")
        gone = [name for name in known if not names or name in names]
        self._drop(gone)
        return gone

    def _drop(self, names: Collection[str]) -> None:
        for cell in self._cells:
            for name in names:
                cell.drop(name)
        self._cells = [cell for cell in self._cells if cell.exposed or cell.types]

    def preludes(self) -> tuple[Prelude, ...]:
        """What a sandbox imports before a program, in order."""
        return tuple(_prelude(cell) for cell in self._cells if cell.exposed)

    def declarations(self, hidden: Collection[str] = (), *, has_observed: bool = True) -> str:
        """Declare what is kept, as globals, but for the names of what hides it.

        Args:
            has_observed: Whether what comes of observed types has them; without, it is ``any``.
        """
        parts = []
        for cell in self._cells:
            shown = {to: name for to, name in (cell.types | cell.exposed).items() if to not in hidden}
            declarations = cell.declarations if has_observed or cell.plain is None else cell.plain
            if declarations is None:
                parts += [f"declare const {name}: any;\n" for name in shown if name in cell.exposed]
                parts += [f"type {name} = any;\n" for name in shown if name in cell.types]
                continue
            space = f"__pctx_cell_{cell.number}"
            parts.append(f"declare namespace {space} {{\n{declarations}\n}}\n")
            parts += [f"import {to} = {space}.{name};\n" for to, name in shown.items()]
        return "".join(parts)


def _prelude(cell: _Cell) -> Prelude:
    """Blank out all of a cell but what is kept, so that lines and columns stay."""
    written = cell.survey.code
    parts, at = [], 0
    texts: set[str] = set()
    for piece in cell.survey.pieces:
        if cell.gone.issuperset(piece.names):
            continue
        texts.update(piece.names)
        parts += [_blank(written[at : piece.start]), written[piece.start : piece.end]]
        at = piece.end
    values = {name: value for name, value in cell.values.items() if name not in cell.gone and name not in texts}
    exports = ", ".join(name if name == to else f"{name} as {to}" for to, name in cell.exposed.items())
    constants = f"const {{ {', '.join(values)} }} = {VALUES}; " if values else ""
    code = f"{constants}{''.join(parts)}\nexport {{ {exports} }};"
    return Prelude(f"kept/{next(iter(cell.exposed))}.ts", tuple(cell.exposed), code, values)


def _blank(text: str) -> str:
    return "".join(c if c == "\n" else "  " if c > "\uffff" else " " for c in text)


def _listed(names: Collection[str]) -> str:
    shown = list(names)[:5]
    return ", ".join(shown) + (", …" if len(names) > len(shown) else "")
