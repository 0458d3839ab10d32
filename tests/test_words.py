"""A few words that docs, messages and docstrings do not use. Reads files; runs nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("pctx_jupyter", "docs", "labextension/src", "labextension/schema", "benchmarks", "binder")
ENDINGS = {".py", ".md", ".ts", ".tsx", ".yaml", ".js"}
OTHERS = {"vendor", "labextension", "__pycache__", "node_modules"}
"""Folders inside those with text that is built, or not ours."""

UNWANTED = {
    "he|him|his|himself|she|hers|herself": "they, them, their",
    "anew": "again",
    "otherwise than": "differently",
}
"""What to write instead, by what is not written."""


def texts() -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in ENDINGS]
    ours = [path for path in found if not OTHERS & set(path.relative_to(ROOT).parts[1:-1])]
    return sorted([*ours, *ROOT.glob("*.md")])


@pytest.mark.parametrize("unwanted", UNWANTED, ids=lambda words: words.partition("|")[0])
def test_words_that_are_not_written(unwanted: str) -> None:
    word = re.compile(rf"\b(?:{unwanted})\b", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in texts()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if word.search(line)
    ]
    assert not found, f"write: {UNWANTED[unwanted]}"
