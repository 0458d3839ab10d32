"""Finds tools by what a model is looking for: exact names first, then BM25.

BM25 is over names, descriptions, and the fields of arguments and results with their descriptions.

The index is built off the loop for the first search, and kept until the tools or their observed
types change.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from itertools import chain, islice

from ..rpc.jsonrpc import Json
from ..slices import in_slices
from ..tools.catalog import Tool, observed_version
from ..tools.scope import Scope

SATURATION = 1.5
"""BM25's k1: how much a word counts that a tool has several times. The usual value."""
LENGTH_WEIGHT = 0.75
"""BM25's b: how much less a word counts in a long description, from 0 to 1. The usual value."""
NAME_WEIGHT = 3
"""How many words of a description one word of a tool's name is worth."""
FIELD_WEIGHT = 0.5
"""How many words of a description one word about a field is worth."""
FLOOR = 0.4
"""A tool with less than this part of the best tool's score is noise."""
MOST_WORDS = 400
"""Words of one tool's description that are read, and twice as many about its fields."""
FEWEST_WORDS = 20
"""Words of a description that are read however many tools there are."""
MOST_IN_ALL = 500_000
"""Words of all descriptions that are read: where there are many tools, fewer of each. To count them takes a second."""
MOST_DISTINCT = 100_000
"""Different words of all tools that are found again: each takes 0.3 kB."""
MOST_WANTED = 64
"""Different words of a query that are looked for."""
MOST_EXACT = 50
"""Tools that one query may name."""
DEEPEST = 8
"""Levels of a schema that are read."""
LONGEST_QUERY = 1_000
"""Characters of a query that are read."""

_WORD = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z](?!s(?![a-z]))[a-z])")  # IDs is one word


_NAMED = re.compile(r"[^\s,;:()\[\]{}\"'`]+")
"""What may be a tool's name in a query."""
_LIKE_NAME = re.compile(r"[a-z0-9][A-Z]|[_.\d]")
"""What a word of a query has that is a name, and not a word of a sentence."""

_COMMON = (
    "a about all an and any are as at be by can do does for from get give have how i in into is it me my of on or our "
    "please some that the their them there these this to us want what when where which who will with you your"
)
COMMON = frozenset(_COMMON.split())
"""Words that say nothing about a tool; they are left out of a query that has others."""


class Search:
    """Searches the tools of one scope."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._version: Hashable = None
        self._index: Index | None = None
        self._lock = asyncio.Lock()

    async def find(self, query: str, most: int) -> list[Tool]:
        """The tools that fit best, the best first; none that has no word of the query.

        Tools that the query names come before all others, in its order; all of them are there, whatever `most` is.
        """
        async with self._lock:  # those who ask meanwhile wait for the same index
            await self._scope.prepare()
            tools = self._scope.listed()
            version = self._scope.version, observed_version(tools)
            if self._index is None or version != self._version:
                self._index = await asyncio.to_thread(Index, tools)
                self._version = version
            index = self._index
        return await index.find(query, most)


class Index:
    """The words of some tools, each with the tools that have it and its weight there.

    Tools and weights are arrays of numbers: as objects, those of 10,000 tools take a gigabyte. The weights are those of
    BM25 in Lucene's form, computed when the index is built: a search only adds up a few of them.

    Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009
    """

    def __init__(self, tools: list[Tool]) -> None:
        self._tools = tools
        self._named: dict[str, list[int]] = defaultdict(list)
        for number, tool in enumerate(tools):
            for name in {tool.path, tool.registered_path, tool.tool_name, tool.registered_name}:
                self._named[name.lower()].append(number)
        most = max(FEWEST_WORDS, min(MOST_WORDS, MOST_IN_ALL // max(len(tools), 1)))
        lengths = array("d")
        self._having: dict[str, tuple[array[int], array[float]]] = {}
        for number, tool in enumerate(tools):
            counts: dict[str, float] = dict(Counter(_words_of(tool, most)))
            lengths.append(sum(counts.values()))
            for word, times in Counter(_words_about_fields(tool, 2 * most)).items():
                counts[word] = counts.get(word, 0) + FIELD_WEIGHT * times
            for word, count in counts.items():
                if (found := self._having.get(word)) is None:
                    if len(self._having) >= MOST_DISTINCT:
                        continue
                    found = self._having[word] = array("I"), array("d")
                found[0].append(number)
                found[1].append(count)
        mean = (sum(lengths) / len(lengths) if lengths else 0) or 1
        damping = [SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * length / mean) for length in lengths]
        for numbers, weights in self._having.values():
            rarity = _rarity(len(tools), len(numbers))
            for at, number in enumerate(numbers):
                weights[at] = weights[at] / (weights[at] + damping[number]) * rarity

    async def find(self, query: str, most: int) -> list[Tool]:
        """Return the tools that fit best, the best first; tools that fit equally well stay in their order."""
        query = query[:LONGEST_QUERY]
        exact = self._exact(query)
        sums: dict[int, float] = defaultdict(float)
        matches: Counter[int] = Counter()
        wanted = dict.fromkeys(words(query))
        telling = [word for word in wanted if word not in COMMON] or list(wanted)
        async for word in in_slices(telling[:MOST_WANTED]):
            for number, weight in zip(*self._having.get(word, ((), ())), strict=True):
                sums[number] += weight
                matches[number] += 1
        # A tool that has all words of the query is more likely meant than one that has a rare one of them often.
        scores = {number: score * matches[number] for number, score in sums.items()}
        least = FLOOR * max(scores.values(), default=0)
        others = [(number, score) for number, score in scores.items() if score >= least and number not in exact]
        # A query that names tools is about these tools. Others that have a word in common are noise.
        room = 0 if exact and not self._has_more(query) else max(most - len(exact), 0)
        best = heapq.nsmallest(room, others, key=lambda score: (-score[1], score[0]))
        return [self._tools[number] for number in (*exact, *(number for number, _ in best))]

    def _exact(self, query: str) -> dict[int, None]:
        """The tools that a query names, in its order."""
        found: dict[int, None] = {}
        for name in dict.fromkeys(self._names(query)):
            found |= dict.fromkeys(self._named.get(name, ())[:MOST_EXACT])
        return dict.fromkeys(list(found)[:MOST_EXACT])

    def _names(self, query: str) -> list[str]:
        """What may be names of tools in a query; words of a sentence only where there is nothing else."""
        texts = [text.strip(".") for text in _NAMED.findall(query)]
        if all(text.lower() in self._named for text in texts):
            return [text.lower() for text in texts]
        return [text.lower() for text in texts if _LIKE_NAME.search(text)]

    def _has_more(self, query: str) -> bool:
        """Whether a query has something besides names of tools."""
        texts = [text.strip(".").lower() for text in _NAMED.findall(query)]
        return any(text not in self._named and text not in COMMON for text in texts)


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


def _words_of(tool: Tool, most: int) -> Iterator[str]:
    name = [*words(tool.namespace_name), *words(tool.tool_name)]
    yield from name * NAME_WEIGHT
    yield from islice(words(tool.description[:4_000]), most)


def _words_about_fields(tool: Tool, most: int) -> Iterator[str]:
    """The words of the fields of a tool's arguments and result: of their names, descriptions and fixed values."""
    texts = chain(_about_fields(tool.input_schema, DEEPEST), _about_fields(tool.result_schema, DEEPEST))
    yield from islice(chain.from_iterable(map(words, islice(texts, most))), most)


def _about_fields(schema: Json, levels: int) -> Iterator[str]:
    if isinstance(schema, list):
        for one in schema:
            yield from _about_fields(one, levels)
    if not isinstance(schema, dict) or not levels:
        return
    for key, value in schema.items():
        match key, value:
            case (("description" | "title"), str(text)):
                yield text[:1_000]
            case "enum", list(values):
                yield from (value for value in values[:20] if isinstance(value, str))
            case (("properties" | "$defs" | "definitions" | "patternProperties"), dict(members)):
                for name, member in members.items():
                    if key == "properties":
                        yield name[:100]
                    yield from _about_fields(member, levels - 1)
            case (("items" | "prefixItems" | "anyOf" | "oneOf" | "allOf" | "additionalProperties"), _):
                yield from _about_fields(value, levels - 1)
