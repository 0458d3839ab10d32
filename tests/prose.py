"""Sentences of pages, docstrings and documentation comments. Code, tables and drawings are left out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^\s*(```|~~~)")
ITEM = re.compile(r"^(\s*)([-*+]|\d+\.)\s+")
SECTION = re.compile(r"^\s*(Args|Returns|Raises|Yields|Attributes|Source|Example|Examples):")
ENTRY = re.compile(r"^\s*[*`\w, ]{1,60}: ")
"""An entry of a docstring's section: ``name: what it is``."""

LAID_OUT = re.compile(r"\S {3,}\S|^\s*={3,}|[├└│]")
"""A line of a table or a drawing: the block that it is in has no sentences."""

CODE = re.compile(r"(`+).+?\1", re.DOTALL)
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
END = re.compile(r"(?<!e\.g)(?<!i\.e)[.!?:][\"')*”]*\s+(?=[\"'(*“`%A-Z0-9])")
"""The end of a sentence. A colon ends one too, if what follows could stand alone: it begins with a capital letter."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence.

    Args:
        place: The file, and the line in which its paragraph begins.
        text: The sentence, on one line; a piece of code counts as one word.
    """

    place: str
    text: str

    @property
    def words(self) -> int:
        """How many words it has."""
        return len([word for word in self.text.split() if re.search(r"\w", word)])


def of_page(name: str, text: str, first: int = 1) -> Iterator[Sentence]:
    """Yield the sentences of a Markdown text whose first line has the number `first`."""
    text = "\n\n".join(_without_layout(block) for block in text.split("\n\n"))
    is_code = False
    paragraph: list[str] = []
    begun = first
    for number, line in enumerate([*text.splitlines(), ""], first):
        if FENCE.match(line):
            is_code = not is_code
        stripped = line.strip()
        is_text = bool(stripped) and not is_code and not FENCE.match(line) and stripped[0] not in "#|"
        if not is_text or ITEM.match(line) or SECTION.match(line):
            yield from _sentences(f"{name}:{begun}", paragraph)
            paragraph = []
        if is_text and not SECTION.match(line):
            if not paragraph:
                begun = number
            paragraph.append(ITEM.sub("", line).strip())


def of_docstrings(name: str, source: str) -> Iterator[Sentence]:
    """Yield the sentences of a module's docstrings, and of the strings under its constants."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text)), lineno=line):
                yield from of_page(name, _entries(text), line)


def of_comments(name: str, source: str) -> Iterator[Sentence]:
    """Yield the sentences of a TypeScript module's documentation comments."""
    for comment in re.finditer(r"/\*\*(.*?)\*/", source, re.DOTALL):
        text = re.sub(r"^\s*\* ?", "", comment[1], flags=re.MULTILINE)
        yield from of_page(name, text, source.count("\n", 0, comment.start()) + 1)


def _without_layout(block: str) -> str:
    """Return a block of lines, or as many empty lines if it is a table or a drawing."""
    return "\n" * block.count("\n") if any(map(LAID_OUT.search, block.splitlines())) else block


def _entries(text: str) -> str:
    """Put each entry of a section into a paragraph of its own, without changing the number of lines."""
    lines = text.splitlines()
    in_section = False
    for number, line in enumerate(lines):
        in_section = bool(SECTION.match(line)) or (in_section and bool(line.strip()))
        if in_section and ENTRY.match(line) and not SECTION.match(line):
            lines[number] = f"- {line.strip()}"
    return "\n".join(lines)


def _sentences(place: str, lines: list[str]) -> Iterator[Sentence]:
    text = " ".join(lines)
    text = LINK.sub(r"\1", CODE.sub("`code`", text))
    for sentence in END.split(text):
        if sentence.strip():
            yield Sentence(place, sentence.strip())


def long_ones(root: Path, longest: int) -> list[Sentence]:
    """Return every sentence of the repository's pages, docstrings and comments with more than `longest` words."""
    pages = sorted([*(root / "docs").rglob("*.md"), *root.glob("*.md")])
    found: list[Sentence] = []
    for page in pages:
        text = page.read_text("utf-8")
        if page.name == "CHANGELOG.md":
            text = re.split(r"^## (?!Unreleased)", text, maxsplit=1, flags=re.MULTILINE)[0]
        found += of_page(str(page.relative_to(root)), text)
    for module in sorted((root / "pctx_jupyter").rglob("*.py")):
        found += of_docstrings(str(module.relative_to(root)), module.read_text("utf-8"))
    for module in sorted((root / "labextension" / "src").rglob("*.ts*")):
        found += of_comments(str(module.relative_to(root)), module.read_text("utf-8"))
    return [sentence for sentence in found if sentence.words > longest]
