"""Finds tools by what a model is looking for: BM25 over names, descriptions and arguments.

The index is built off the loop for the first search, and kept until the tools change.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator

from ..tools.catalog import Tool
from ..tools.scope import Scope

SATURATION = 1.5
"""BM25's k1: how much a word counts that a tool has several times. The usual value."""
LENGTH_WEIGHT = 0.75
"""BM25's b: how much less a word counts in a long description, from 0 to 1. The usual value."""
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
            await self._scope.prepare()
            version = self._scope.version
            if self._index is None or version != self._version:
                self._index = await asyncio.to_thread(Index, self._scope.listed())
                self._version = version
            index = self._index
        return index.find(query, most)


class Index:
    """The words of some tools, each with the tools that have it and its weight there.

    The weights are those of BM25 in Lucene's form, computed when the index is built: a search only adds up a few lists.

    Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009
    """

    def __init__(self, tools: list[Tool]) -> None:
        self._tools = tools
        counted = [Counter(_words_of(tool)) for tool in tools]
        lengths = [found.total() for found in counted]
        mean = (sum(lengths) / len(lengths) if lengths else 0) or 1
        having: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, (found, length) in enumerate(zip(counted, lengths, strict=True)):
            damping = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * length / mean)
            for word, count in found.items():
                having[word].append((number, count / (count + damping)))
        self._having = {
            word: [(number, weight * _rarity(len(tools), len(found))) for number, weight in found]
            for word, found in having.items()
        }

    def find(self, query: str, most: int) -> list[Tool]:
        """Return the tools that fit best, the best first; tools that fit equally well stay in their order."""
        scores: dict[int, float] = defaultdict(float)
        for word in dict.fromkeys(words(query[:LONGEST_QUERY])):
            for number, weight in self._having.get(word, ()):
                scores[number] += weight
        best = heapq.nsmallest(most, scores.items(), key=lambda score: (-score[1], score[0]))
        return [self._tools[number] for number, _ in best]


def _rarity(tools: int, having: int) -> float:
    """Return the weight of a word that so many of the tools have."""
    return math.log(1 + (tools - having + 0.5) / (having + 0.5))


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
