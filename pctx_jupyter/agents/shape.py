"""The shape of a large value in words: how many rows, and the types and ranges of their fields. Pure: text out.

``1,461 rows: date string 2012-01-01–2015-12-31, precipitation 0–55.9, weather drizzle|fog|rain|snow|sun``
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

FEWEST = 10
"""Items from which a list is described."""
MAX_LISTS = 12
"""Lists of one value that are described."""
MAX_FIELDS = 60
"""Fields of records that are described."""
MAX_CELLS = 300_000
"""Fields of rows that are read for one list: a tenth of a second."""
MAX_WORDS = 6
"""Different texts of a field that are listed; a field with more of them is a text."""
MAX_WORD = 24
"""Characters of a text that is listed."""
MAX_NAME = 60
"""Characters of a field's name."""
MAX_LEVELS = 6
"""Levels of a value in which lists are looked for."""

_DATE = re.compile(r"\d{4}-\d{2}(-\d{2}([T ][\d:.,]+(Z|[+-]\d{2}:?\d{2})?)?)?")


class _Field:
    """What is seen of one field, or of the items of one list."""

    __slots__ = ("_dates", "_high", "_is_whole", "_kinds", "_low", "_words", "nulls", "seen")

    def __init__(self) -> None:
        self.seen = self.nulls = 0
        self._kinds: dict[str, None] = {}
        self._low = self._high = 0.0
        self._is_whole = True
        self._words: dict[str, None] | None = {}
        self._dates: tuple[str, str] | None = None

    def add(self, value: Any) -> None:
        self.seen += 1
        match value:
            case None:
                self.nulls += 1
            case bool():
                self._kinds["boolean"] = None
            case int() | float():
                if value - value == 0:  # not NaN, nor an infinity
                    if "number" not in self._kinds:
                        self._low = self._high = value
                    elif value < self._low:
                        self._low = value
                    elif value > self._high:
                        self._high = value
                    self._kinds["number"] = None
                else:
                    self._kinds.setdefault(str(value).replace("inf", "Infinity").replace("nan", "NaN"), None)
            case str():
                self._add_text(value)
            case list():
                self._kinds["list"] = None
            case _:
                self._kinds["object"] = None

    def _add_text(self, text: str) -> None:
        is_first = "string" not in self._kinds
        self._kinds["string"] = None
        if self._words is not None:
            if len(text) > MAX_WORD or not text.isprintable():
                self._words = None
            elif text not in self._words:
                self._words[text] = None
                if len(self._words) > MAX_WORDS:
                    self._words = None
        if is_first:
            self._dates = (text, text) if _DATE.fullmatch(text) else None
        elif self._dates is not None:
            low, high = self._dates
            if text < low or text > high:
                self._dates = (min(text, low), max(text, high)) if _DATE.fullmatch(text) else None

    def text(self, rows: int | None = None) -> str:
        """Its types and ranges; of `rows`, how many lack it."""
        parts = [self._of_kind(kind) for kind in self._kinds]
        if self.nulls:
            parts.append(f"null ({self.nulls:,} times)" if self.nulls > 1 else "null (once)")
        if rows is not None and self.seen < rows:
            parts.append(f"absent ({rows - self.seen:,} times)")
        return " or ".join(parts)

    def _of_kind(self, kind: str) -> str:
        if kind == "number":
            return _number(self._low) if self._low == self._high else f"{_number(self._low)}–{_number(self._high)}"
        if kind == "string":
            if self._dates is not None:
                return f"string {self._dates[0]}–{self._dates[1]}"
            # A text that never repeats is no category.
            if self._words and 2 * len(self._words) <= self.seen - self.nulls:
                return "|".join(sorted(self._words))
        return kind


def of(value: Any, most: int) -> str:
    """Describe the longest lists of a value, one line each, in `most` characters; "" where there is none."""
    lists = sorted(_lists(value, "", MAX_LEVELS), key=lambda found: -len(found[1]))[:MAX_LISTS]
    lines: list[str] = []
    for path, items in lists:
        line = f"{path}: {_described(items)}" if path else _described(items)
        if len(line) > most:
            line = line[: max(most - 1, 0)] + "…" if most > 40 else ""
        if not line:
            break
        lines.append(line)
        most -= len(line) + 1
    return "\n".join(lines)


def _lists(value: Any, path: str, levels: int) -> Iterator[tuple[str, list[Any]]]:
    """The long lists of a value that are not within another list, with the way to each; records by key are one."""
    match value:
        case list() if len(value) >= FEWEST:
            yield path, value
        case dict() if len(value) > 2 * FEWEST and _are_records(list(value.values())):
            yield f"{path}[key]", list(value.values())
        case dict() if levels:
            for name in list(value)[:MAX_FIELDS]:
                shown = name if name.isidentifier() else f"[{name[:MAX_NAME]!r}]"
                way = shown if not path or shown.startswith("[") else f".{shown}"
                yield from _lists(value[name], path + way, levels - 1)


def _are_records(values: list[Any]) -> bool:
    """Whether they are objects with the same first field, as rows are that a program has grouped by a key."""
    firsts = {next(iter(value), None) if isinstance(value, dict) else None for value in values[:FEWEST]}
    return len(firsts) == 1 and firsts != {None}


def _described(items: list[Any]) -> str:
    count = len(items)
    if all(isinstance(item, dict) for item in items[:FEWEST]):
        rows = [item for item in items[: _rows_read(items)] if isinstance(item, dict)]
        fields = _fields(((_name(name), cell) for name, cell in row.items()) for row in rows)
        shown = ", ".join(f"{name} {field.text(len(rows))}" for name, field in fields.items())
        return f"{count:,} rows: {shown}{_of(count, len(rows))}"
    if all(isinstance(item, list) for item in items[:FEWEST]):
        lists = [item for item in items[: _rows_read(items)] if isinstance(item, list)]
        fields = _fields(((f"[{at}]", cell) for at, cell in enumerate(row[:MAX_FIELDS])) for row in lists)
        shown = ", ".join(f"{name} {field.text(len(lists))}" for name, field in fields.items())
        return f"{count:,} lists: {shown}{_of(count, len(lists))}"
    field = _Field()
    read = items[:MAX_CELLS]
    for item in read:
        field.add(item)
    return f"{count:,} items: {field.text()}{_of(count, len(read))}"


def _fields(rows: Iterable[Iterable[tuple[str, Any]]]) -> dict[str, _Field]:
    fields: dict[str, _Field] = {}
    for row in rows:
        for name, cell in row:
            if (field := fields.get(name)) is None:
                if len(fields) >= MAX_FIELDS:
                    continue
                field = fields[name] = _Field()
            field.add(cell)
    return fields


def _rows_read(items: list[Any]) -> int:
    widest = max((len(item) for item in items[:FEWEST] if isinstance(item, (dict, list))), default=1)
    return max(MAX_CELLS // max(widest, 1), FEWEST)


def _of(count: int, read: int) -> str:
    return "" if read >= count else f" (of {read:,} that were read)"


def _name(name: str) -> str:
    name = name[:MAX_NAME]
    return name if name.isprintable() else repr(name)


def _number(number: float) -> str:
    return f"{number:.6g}" if isinstance(number, float) else f"{number}" if abs(number) < 10**15 else f"{number:.6g}"
