"""How text is written: words that are avoided, and the length of sentences. Reads files; runs nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from pctx_jupyter.kernel.output import run_words
from pctx_jupyter.session.trace import CallRecord, StoppedBy, Trace

from . import prose

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


VISIBLE = re.compile(r"""trans\s*\.(?:__|_n)\(\s*(?P<quote>['"`])(?P<text>.*?)(?<!\\)(?P=quote)""", re.DOTALL)
"""The text of a translated message, in TypeScript."""

DIALECT = {
    r"somebody|nobody else's|anybody": "a person, you, an agent",
    r"\bpieces?\b": "lines",
    r"has to be": "must be",
    r"is no [a-z]|are no [a-z]": "is not a",
    r"for good\b": "without asking",
    r"programs? of others": "guest programs",
    r"\bone a line\b": "one per line",
    r"\b(?:hears?|tells?|told|says to|complains?|wants (?!to call))\b": "a plain verb",
    r"Cannot do (?:that|it)|Not done": "the action that failed",
    r"[.!?]\s+\S.*[.!?]\s+\S": "at most two sentences",
}
"""What to write instead, by what a message on the screen does not have: one fact, in plain words."""


def messages() -> list[tuple[str, str]]:
    """The messages that JupyterLab shows, each with its place: translated texts, and the texts of settings."""
    source = ROOT / "labextension" / "src"
    found = [
        (f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, one.start()) + 1}", one["text"])
        for path in sorted(source.rglob("*.ts*"))
        for text in [path.read_text("utf-8")]
        for one in VISIBLE.finditer(text)
    ]
    for path in sorted((ROOT / "labextension" / "schema").glob("*.json")):
        for name, setting in json.loads(path.read_text("utf-8"))["properties"].items():
            found += [(f"{path.name}: {name}", setting[part]) for part in ("title", "description")]
    return found


def test_messages_on_the_screen_are_plain() -> None:
    found = messages()
    assert len(found) > 200
    poor = [
        f"{place}: {text!r}: write {better}"
        for place, text in found
        for pattern, better in DIALECT.items()
        if re.search(pattern, text)
    ]
    assert not poor


def test_an_exported_timeline_has_the_words_of_the_live_one() -> None:
    live = {text for place, text in messages() if "/results/" in place}
    error = CallRecord(1, "A.b", 0.0, 1.0, decision="denied", error="no")
    ends: list[dict[str, Any]] = [
        {"stopped_by": by, "asked_by": asker} for by in get_args(StoppedBy) for asker in ("cell", "agent", "client")
    ]
    ends += [{}, {"state": "failed"}]
    ends += [{"state": "failed", "calls": [replace(error, decision=one)]} for one in run_words.DECISIONS]
    traces = [
        Trace(**{"id": "e", "code": "", "asked_by": "cell", "started_at": 0.0, "state": "stopped", **end})
        for end in ends
    ]
    exported = {*map(run_words.ending, traces), *run_words.DECISIONS.values(), *run_words.ASKERS.values()}
    assert len(exported) > 12 and exported <= live


LONGEST = 35
"""Words of a sentence. One that is longer is split, or its reason stands in `LONG`."""

LONG: dict[str, str] = {}
"""Sentences that stay longer: how each begins, and why."""


def test_no_sentence_is_long_without_a_reason() -> None:
    found = prose.long_ones(ROOT, LONGEST)
    unexplained = [
        f"{one.place}: {one.words} words: {one.text}" for one in found if not one.text.startswith(tuple(LONG))
    ]
    assert not unexplained, "split these sentences"
    assert all(any(one.text.startswith(beginning) for one in found) for beginning in LONG), (
        "these are not long any more"
    )


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("One two. Three four five!\n\n- Six\n- seven eight", [2, 3, 1, 2]),
        ("```\none two three\n```\n\nfour [five six](seven) `eight nine`", [4]),
        ("| one | two three |\n\n# four", []),
        ("one: Two three. `four` five, e.g. Six", [1, 2, 4]),
    ],
)
def test_sentences_are_counted_as_a_reader_counts_them(text: str, counts: list[int]) -> None:
    assert [sentence.words for sentence in prose.of_page("page", text)] == counts


def test_each_parameter_of_a_docstring_is_a_sentence_of_its_own() -> None:
    source = '"""Do it.\n\n    Args:\n        one: The first\n            of two.\n        two: The last.\n    """\n'
    assert [sentence.text for sentence in prose.of_docstrings("module", source)] == [
        "Do it.",
        "one",
        "The first of two.",
        "two",
        "The last.",
    ]
