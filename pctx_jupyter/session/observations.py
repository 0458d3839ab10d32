"""What tools without a return type have returned: one shape a tool, widened by every call that disagrees, and kept.

A shape belongs to a tool as it is: when the tool's server describes it otherwise, or a function's code changes, the
shape is forgotten. Programs of cells, agents and notebooks all add to it and use it. A look at a result takes little of
the time, and happens after the program has its answer.

Where shapes are kept is decided elsewhere (`KeptShapes`). No value of a result is ever kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol
from weakref import WeakValueDictionary

import msgspec
from msgspec import Raw

from ..rpc import nonfinite
from ..rpc.jsonrpc import Json
from ..tools import observed
from ..tools.observed import NOTHING, ResultShape
from ..tools.tool import Tool, is_untyped

log = logging.getLogger(__name__)

MOST_BYTES = 1 << 20
"""Bytes of a result that is looked at: to read so many takes some milliseconds. A larger one is not looked at."""
ALWAYS = 20
"""Results of a tool that are looked at whatever time that takes. Of later ones, as many as `SHARE` allows."""
SHARE = 100
"""A look is followed by so many times its duration without another one at the same tool: it takes 1 % of the time."""
SAVE_S = 2.0
"""Seconds between a change and the moment at which it is kept, with the changes that follow meanwhile."""


class KeptShape(msgspec.Struct, omit_defaults=True):
    """The shape of one tool's results, as it is kept.

    Args:
        of: Identifies the tool as it was; another one has another shape.
        shape: The shape.
        calls: The number of results.
        at: When it was last added to, in seconds since 1970.
    """

    of: str
    shape: ResultShape
    calls: int
    at: float = 0.0

    def joined(self, other: KeptShape | None) -> KeptShape:
        """Return what is known with another shape besides; one of the tool as it was before does not count."""
        if other is None or other.of != self.of:
            return self
        shape = observed.settled(observed.join(other.shape, self.shape))
        return KeptShape(self.of, shape, other.calls + self.calls, max(self.at, other.at))


class KeptShapes(Protocol):
    """The shapes that are kept, by the keys of tools. Any thread may call it."""

    @property
    def mark(self) -> object:
        """Changes when anybody has added something."""

    def get(self, key: str) -> KeptShape | None:
        """Return the shape of a tool."""

    def all(self) -> Mapping[str, KeptShape]:
        """Return every shape that is kept, by the key of its tool."""

    def add(self, news: Mapping[str, KeptShape]) -> None:
        """Add shapes to those of the same tools."""

    def forget(self, keys: Iterable[str]) -> None:
        """Forget the shapes of tools."""


class ObservedTool:
    """What one tool has returned: a `tool.ObservedResult`. Made by `Observations.of`."""

    __slots__ = (
        "__weakref__",
        "_due_at",
        "_observations",
        "calls",
        "key",
        "of",
        "schema",
        "shape",
        "unsaved",
        "version",
    )

    def __init__(self, observations: Observations, key: str, of: str) -> None:
        self._observations, self._due_at = observations, 0.0
        self.key, self.of = key, of
        self.shape, self.calls = NOTHING, 0
        self.unsaved: KeptShape | None = None
        self.schema: Json = None
        self.version = 0

    def take(self, result: Raw) -> list[str]:
        """Take in the result of one more call; returns how it widens what was known, a few words for each place.

        Raises:
            msgspec.DecodeError, RecursionError: The result cannot be read.
        """
        began_at = self._observations.clock()
        if memoryview(result).nbytes > MOST_BYTES or (self.calls >= ALWAYS and began_at < self._due_at):
            return []
        seen = observed.shape_of(msgspec.json.decode(nonfinite.typed(result)))
        was, calls, version = self.shape, self.calls, self.version
        self.unsaved = KeptShape(self.of, seen, 1).joined(self.unsaved)
        self._set(observed.settled(observed.join(was, seen)), calls + 1)
        now_at = self._observations.clock()
        self._due_at = now_at + SHARE * (now_at - began_at)
        self._observations.note(self, is_new=self.version != version)
        return observed.differences(was, self.shape) if calls else []

    def adopt(self, kept: KeptShape | None) -> None:
        """Take in what is kept, by whatever process."""
        if kept is not None and kept.of == self.of:
            here = kept if self.unsaved is None else self.unsaved.joined(kept)
            self._set(here.shape, here.calls)

    def clear(self) -> None:
        """Forget everything."""
        self.unsaved = None
        self._set(NOTHING, 0)

    def _set(self, shape: ResultShape, calls: int) -> None:
        self.shape, self.calls = shape, calls
        if (schema := observed.schema(shape, calls)) != self.schema:
            self.schema = schema
            self.version += 1
            self._observations.version += 1


class Observations:
    """What the tools of one engine have returned. All of it belongs to one event loop.

    Args:
        kept: Where shapes are kept.
        clock: Monotonic seconds.
        now: Seconds since 1970.
        changed: Called when the type of a tool has changed.

    Attributes:
        version: Grows with every change of the type of a tool.
    """

    def __init__(
        self,
        kept: KeptShapes,
        clock: Callable[[], float],
        now: Callable[[], float] = lambda: 0.0,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.clock, self.changed, self.version = clock, changed, 0
        self._kept, self._now = kept, now
        self._tools: WeakValueDictionary[str, ObservedTool] = WeakValueDictionary()
        self._unsaved: set[ObservedTool] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._saving: asyncio.Task[None] | None = None
        self._mark: object = None

    def watched(self, tool: Tool, named: Sequence[Json], as_it_is: Json = None) -> Tool:
        """Return a tool with what it was observed to return; a tool that declares that is returned as it is.

        Args:
            named: Names the tool.
            as_it_is: Describes it; what was observed is forgotten when this changes.
        """
        if not is_untyped(tool.output_schema):
            return tool
        return tool.changed(observed=self.of(_digest(list(named)), _digest(as_it_is)))

    def of(self, key: str, of: str) -> ObservedTool:
        """Return what a tool has returned, with what is kept of it.

        Args:
            key: Names the tool.
            of: Identifies the tool as it is; when it changes, what was kept is forgotten.
        """
        known = self._tools.get(key)
        if known is None or known.of != of:
            known = ObservedTool(self, key, of)
            known.adopt(self._kept.get(key))
            self._tools[key] = known
        return known

    def note(self, tool: ObservedTool, *, is_new: bool) -> None:
        """Take note of a look at a result: a new shape is kept soon, the number of calls with it or at the end."""
        self._unsaved.add(tool)
        if is_new:
            self.changed()
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(SAVE_S, self._begin_saving)

    def refresh(self) -> None:
        """Take in what other processes have kept meanwhile."""
        if (mark := self._kept.mark) == self._mark:
            return
        self._mark, before = mark, self.version
        # A server may have 100,000 tools, and few of them have a shape that is kept.
        for key, kept in self._kept.all().items():
            if (tool := self._tools.get(key)) is not None:
                tool.adopt(kept)
        if self.version != before:
            self.changed()

    async def forget(self, tools: Iterable[Tool]) -> None:
        """Forget what these tools have returned."""
        if self._saving is not None:
            await asyncio.wait([self._saving])
        seen = [tool.observed for tool in tools if isinstance(tool.observed, ObservedTool)]
        for one in seen:
            one.clear()
            self._unsaved.discard(one)
        await asyncio.to_thread(self._kept.forget, [one.key for one in seen])
        self.changed()

    async def close(self) -> None:
        """Keep what is not kept yet."""
        if self._timer is not None:
            self._timer.cancel()
        if self._saving is not None:
            await asyncio.wait([self._saving])
        await self._save()

    def _begin_saving(self) -> None:
        self._timer = None
        self._saving = asyncio.create_task(self._save(), name="pctx keeps shapes")

    async def _save(self) -> None:
        at = self._now()
        news = {
            tool.key: msgspec.structs.replace(tool.unsaved, at=at)
            for tool in self._unsaved
            if tool.unsaved is not None and self._tools.get(tool.key) in (tool, None)
        }
        for tool in self._unsaved:
            tool.unsaved = None
        self._unsaved.clear()
        if not news:
            return
        try:
            await asyncio.to_thread(self._kept.add, news)  # it waits for a file's lock
        except Exception:
            log.exception("observations = cannot be kept")
        self.refresh()


def _digest(part: Json) -> str:
    return hashlib.blake2b(msgspec.json.encode(part, order="sorted"), digest_size=16).hexdigest()
