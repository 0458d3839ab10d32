"""Finds tools by what a model is looking for: exact names first, then BM25.

BM25 is over names, descriptions, and the fields of arguments and results with their descriptions.

The index is made for the first search. When tools change later, or their observed types, only those are read again. All
of it is done in slices: a thread would hold the interpreter's lock for 5 ms each time the loop wants it.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import re
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterator
from itertools import chain, islice

from ..rpc.jsonrpc import Json
from ..slices import in_slices
from ..tools.scope import Scope
from ..tools.tool import Tool, observed_version

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
AT_ONCE = 1_000
"""Tools that are looked at before it is decided whether others are served: 0.3 ms."""

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
        self._index = Index(MOST_WORDS)
        self._lock = asyncio.Lock()

    async def find(self, query: str, most: int) -> list[Tool]:
        """The tools that fit best, the best first; none that has no word of the query.

        Tools that the query names come before all others, in its order; all of them are there, whatever `most` is.
        """
        async with self._lock:  # those who ask meanwhile wait for the same index
            await self._scope.prepare()
            tools = self._scope.listed()
            version = self._scope.version, observed_version(tools)
            if version != self._version:
                if self._index.is_unfit_for(len(tools)):
                    self._index = Index(_words_of_each(len(tools)))
                await self._index.update(tools)
                self._version = version
            index = self._index
        return await index.find(query, most)


def _words_of_each(tools: int) -> int:
    """Return how many words of a description are read where there are so many tools: a step, as few as they change."""
    words = MOST_WORDS
    while words > FEWEST_WORDS and words * tools > MOST_IN_ALL:
        words //= 2
    return max(words, FEWEST_WORDS)


_Key = tuple[int, int]
"""The identity of a tool, and the version of what was observed of it: what it says is the same as long as both are."""


class Index:
    """The words of some tools, each with the tools that have it and how often.

    Tools have numbers, in the order in which they came. What counts words are arrays of numbers: as objects, those of
    10,000 tools take a gigabyte. All work is done in slices. Tools that are gone are left out of what is found, and
    count among the others until the index `is_unfit_for` those that are left.

    Args:
        most: Words of each description that are read.

    Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, in Lucene's form
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._tools: list[Tool | None] = []  # by number; None: it is gone
        self._numbers: dict[_Key, int] = {}  # of those that are there
        self._order: dict[int, int] = {}  # the places of these numbers
        self._named: dict[str, list[int]] = {}
        self._lengths = array("d")
        self._length = 0.0  # of all
        self._having: dict[str, tuple[array[int], array[float]]] = {}

    def is_unfit_for(self, tools: int) -> bool:
        """Whether an index that is made again is better, for so many tools: more of it is gone, or is to be read."""
        has_gone = len(self._tools) - len(self._numbers) > len(self._numbers) / 4
        return has_gone or _words_of_each(tools) < self._most or _words_of_each(2 * tools) > self._most

    async def update(self, tools: list[Tool]) -> None:
        """Take in which tools there are now, and their order."""
        wanted: dict[_Key, Tool] = {}
        async for tool in in_slices(tools):
            wanted[id(tool), tool.observed.version if tool.observed is not None else 0] = tool
        async for key in in_slices(self._numbers.keys() - wanted.keys()):
            self._remove(key)
        order: dict[int, int] = {}
        async for key, tool in in_slices(wanted.items()):
            number = self._numbers.get(key)
            order[self._add(key, tool) if number is None else number] = len(order)
        self._order = order

    def _add(self, key: _Key, tool: Tool) -> int:
        number = self._numbers[key] = len(self._tools)
        self._tools.append(tool)
        for name in _names_of(tool):
            self._named.setdefault(name, []).append(number)
        counts: dict[str, float] = dict(Counter(_words_of(tool, self._most)))
        length = sum(counts.values())
        self._lengths.append(length)
        self._length += length
        for word, times in Counter(_words_about_fields(tool, 2 * self._most)).items():
            counts[word] = counts.get(word, 0) + FIELD_WEIGHT * times
        for word, count in counts.items():
            if (found := self._having.get(word)) is None:
                if len(self._having) >= MOST_DISTINCT:
                    continue
                found = self._having[word] = array("I"), array("d")
            found[0].append(number)
            found[1].append(count)
        return number

    def _remove(self, key: _Key) -> None:
        number = self._numbers.pop(key)
        tool, self._tools[number] = self._tools[number], None
        assert tool is not None, "it has had its number since it was added"
        for name in _names_of(tool):
            self._named[name].remove(number)
            if not self._named[name]:
                del self._named[name]

    async def find(self, query: str, most: int) -> list[Tool]:
        """Return the tools that fit best, the best first; tools that fit equally well stay in their order."""
        query = query[:LONGEST_QUERY]
        exact = self._exact(query)
        # A query that names tools is about these tools. Others that have a word in common are noise.
        room = 0 if exact and not self._has_more(query) else max(most - len(exact), 0)
        best = await self._best(query, room + len(exact)) if room else []
        others = [number for score, _, number in best if -score >= FLOOR * -best[0][0] and number not in exact]
        found = (self._tools[number] for number in (*exact, *others[:room]))
        return [tool for tool in found if tool is not None]

    async def _best(self, query: str, most: int) -> list[tuple[float, int, int]]:
        """Return the numbers of the tools that fit best, each after its negative score and its place."""
        order, number_of_tools = self._order, len(self._tools)  # an update may add others meanwhile
        sums, matches = array("d", bytes(8 * number_of_tools)), bytearray(number_of_tools)
        base, slope = SATURATION * (1 - LENGTH_WEIGHT), SATURATION * LENGTH_WEIGHT * number_of_tools
        slope /= self._length or 1
        lengths = self._lengths
        async for rarity, numbers, counts in in_slices(self._pieces(query)):
            for number, count in zip(numbers, counts, strict=True):
                sums[number] += rarity * count / (count + base + slope * lengths[number])
                matches[number] += 1
        best: list[tuple[float, int, int]] = []
        async for start in in_slices(range(0, number_of_tools, AT_ONCE)):
            some = range(start, min(start + AT_ONCE, number_of_tools))
            # A tool that has all words of the query is more likely meant than one that has a rare one of them often.
            scored = [(-sums[n] * matches[n], order[n], n) for n in some if matches[n] and n in order]
            best = heapq.nsmallest(most, best + scored)
        return best

    def _pieces(self, query: str) -> Iterator[tuple[float, array[int], array[float]]]:
        """Yield the rarity of each word of a query with some of the tools that have it, and how often they do."""
        wanted = dict.fromkeys(words(query))
        telling = [word for word in wanted if word not in COMMON] or list(wanted)
        number_of_tools = len(self._tools)
        for word in telling[:MOST_WANTED]:
            numbers, counts = self._having.get(word, _NOWHERE)
            end = bisect_left(numbers, number_of_tools)
            rarity = _rarity(number_of_tools, end)
            for start in range(0, end, AT_ONCE):
                piece = slice(start, min(start + AT_ONCE, end))
                yield rarity, numbers[piece], counts[piece]

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


_NOWHERE: tuple[array[int], array[float]] = array("I"), array("d")


def _names_of(tool: Tool) -> set[str]:
    """Return the names by which a query may name a tool."""
    return {name.lower() for name in (tool.path, tool.registered_path, tool.tool_name, tool.registered_name)}


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
