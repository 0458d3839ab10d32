"""Finds tools by what a model is looking for: BM25 over names, descriptions and arguments.

An index is made when the first question comes, off the loop, and kept until the tools change.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

from ..tools.catalog import Tool
from ..tools.scope import Scope

if TYPE_CHECKING:
    import bm25s

NAME_WEIGHT = 3
"""How many words of a description one word of a tool's name is worth."""
MOST_WORDS = 400
"""Words of one tool that are read."""
LONGEST_QUERY = 1_000
"""Characters of a query that are read."""

_WORD = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z](?!s(?![a-z]))[a-z])")  # IDs is one word


class Search:
    """Searches the tools of one scope."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._version: Hashable = None
        self._index: Index | None = None
        self._lock = asyncio.Lock()

    async def find(self, query: str, most: int) -> list[Tool]:
        """The tools that fit best, the best first; none that has no word of the query."""
        async with self._lock:  # those who ask meanwhile wait for the same index
            version = self._scope.version
            if self._index is None or version != self._version:
                self._index = await asyncio.to_thread(Index, self._scope.listed())
                self._version = version
            index = self._index
        return index.find(query, most)


class Index:
    """The words of some tools. To make one takes milliseconds a hundred tools, and loads numpy."""

    def __init__(self, tools: list[Tool]) -> None:
        self._tools = tools
        texts = [list(_words_of(tool)) for tool in tools]
        self._ranking: bm25s.BM25 | None = None
        if any(texts):
            import bm25s  # with numpy it takes a third of a second: only who searches pays for it

            self._ranking = bm25s.BM25()
            self._ranking.index(texts, show_progress=False)

    def find(self, query: str, most: int) -> list[Tool]:
        """The tools that fit best, the best first."""
        if self._ranking is None:
            return []
        known = self._ranking.vocab_dict
        asked = [word for word in dict.fromkeys(words(query[:LONGEST_QUERY])) if word in known]
        if not asked:
            return []
        scores = self._ranking.get_scores(asked)
        best = (-scores).argsort(kind="stable")[:most]
        return [self._tools[at] for at in best.tolist() if scores[at] > 0]


def words(text: str) -> Iterator[str]:
    """The words of a text as they are compared: small, without a plural's ending; ``getUserIDs`` has three."""
    for run in _WORD.findall(text):
        for word in _HUMP.split(run):
            small = word.lower()
            if len(small) > 2 and small.endswith("s") and not small.endswith("ss"):
                small = small[:-3] + "y" if small.endswith("ies") and len(small) > 4 else small[:-1]
            yield small


def _words_of(tool: Tool) -> Iterator[str]:
    name = [*words(tool.namespace_name), *words(tool.tool_name)]
    yield from name * NAME_WEIGHT
    schema = tool.input_schema
    properties = schema.get("properties") if isinstance(schema, dict) else None
    text = tool.description[:4_000]
    if isinstance(properties, dict):
        text += " " + " ".join(list(properties)[:100])
    for number, word in enumerate(words(text)):
        if number >= MOST_WORDS:
            return
        yield word
