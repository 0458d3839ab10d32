"""Tables of handles: which object an id means, for how long, and how many there may be.

Knows neither frames nor programs. An id is unguessable, so that a program reaches only the objects that were given to
it. A table holds its objects until it is dropped itself, or until one of its bounds is met: the oldest object leaves.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Generic, TypeVar

from .. import errors

T = TypeVar("T")

ID_BYTES = 12
"""Random bytes of an id: 96 bits, which nobody guesses over a wire."""
RUN_HANDLES = 1_000
"""Handles that one run may hold; a program that makes more in a loop needs the latest ones."""
GUEST_HANDLES = 50
"""Handles of guest programs that a kernel holds. They outlive their programs, so they are few."""
GUEST_BYTES = 2 << 30
"""Bytes of the objects that a kernel holds for guest programs; beyond it, the oldest leave."""
GUEST_S = 1_800.0
"""Seconds after its last use for which a kernel holds an object for guest programs."""
DERIVED = 2
"""Results of lazy operations that each handle keeps, so that reading in batches computes them once."""


@dataclass(eq=False, slots=True)
class Handle(Generic[T]):
    """One object that stays in the kernel.

    Args:
        id: Names it in its table.
        label: What people call it: the tool that returned it, or the variable.
        value: What programs work with.
        given: The very object, as the notebook has it.
        size: Bytes of memory it takes, roughly.
        used_at: When it was last used, in seconds of the table's clock.
        since: When it was handed over, in the same.
        derived: What lazy operations on it gave, by their text.
        kind: ``frame``, or a kind of `others`.
    """

    id: str
    label: str
    value: T
    given: Any
    size: int = 0
    used_at: float = 0.0
    since: float = 0.0
    derived: OrderedDict[str, T] = field(default_factory=OrderedDict)
    kind: str = "frame"

    def derive(self, key: str, make: Callable[[], T]) -> T:
        """Return what operations on it give, from memory if they were the latest."""
        if key not in self.derived:
            self.derived[key] = make()
            while len(self.derived) > DERIVED:
                self.derived.popitem(last=False)
        self.derived.move_to_end(key)
        return self.derived[key]


class Handles:
    """The handles of one run, or of all guest programs of a kernel.

    Args:
        most: How many there may be.
        max_bytes: Bytes of their objects; None: no bound.
        idle_s: Seconds after its last use at which one leaves; None: it stays.
        outer: Tables that are searched after this one.
        names: Where programs store objects under names; None: they may not.
        clock: Monotonic seconds.

    Attributes:
        names: As given.
    """

    def __init__(
        self,
        *,
        most: int = RUN_HANDLES,
        max_bytes: int | None = None,
        idle_s: float | None = None,
        outer: Callable[[], Iterator[Handles]] = lambda: iter(()),
        names: MutableMapping[str, Any] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.names = names
        self._most, self._max_bytes, self._idle_s, self._outer, self._clock = most, max_bytes, idle_s, outer, clock
        self._held: OrderedDict[str, Handle[Any]] = OrderedDict()  # the latest used last

    def __len__(self) -> int:
        self._expire()
        return len(self._held)

    def __iter__(self) -> Iterator[Handle[Any]]:
        """Yield its handles, the latest used last."""
        self._expire()
        return iter(list(self._held.values()))

    def add(self, label: str, value: Any, given: Any, size: int = 0, kind: str = "frame") -> Handle[Any]:
        """Hold an object; returns its handle."""
        made = Handle(secrets.token_urlsafe(ID_BYTES), label, value, given, size, now := self._clock(), now, kind=kind)
        self._held[made.id] = made
        self._expire()
        while len(self._held) > self._most or self._is_too_large():
            self._held.popitem(last=False)
        return made

    def find(self, id: str) -> Handle[Any]:
        """Return a handle, and count it as used now.

        Args:
            id: Its id; what stands before a ``#`` is the path of the tool that serves it, and does not count.

        Raises:
            InvalidParams: There is none, or it is gone.
        """
        own = id.rpartition("#")[2]
        found = self._find(own)
        if found is None:
            raise errors.InvalidParams(
                f"Cannot use frame {id[:100]}: its notebook does not hold it, or no longer; call the tool that "
                "returned it again, or pass await frame.rows() to a tool of another notebook"
            )
        return found

    def forget(self, id: str) -> bool:
        """Drop one object; returns whether it was there."""
        return self._held.pop(id.rpartition("#")[2], None) is not None

    def clear(self) -> None:
        """Drop all objects."""
        self._held.clear()

    def _find(self, id: str) -> Handle[Any] | None:
        self._expire()
        if (found := self._held.get(id)) is not None:
            found.used_at = self._clock()
            self._held.move_to_end(id)
            return found
        return next((found for table in self._outer() if (found := table._find(id)) is not None), None)

    def _is_too_large(self) -> bool:
        """Whether the objects take too much memory together; one alone may."""
        if self._max_bytes is None or len(self._held) < 2:
            return False
        return sum(one.size for one in self._held.values()) > self._max_bytes

    def _expire(self) -> None:
        if self._idle_s is None:
            return
        while self._held:
            oldest = next(iter(self._held.values()))
            if self._clock() - oldest.used_at < self._idle_s:
                return
            self._held.popitem(last=False)


class KernelHandles:
    """All handles of one kernel: of runs, of what cells keep, and of guest programs.

    Args:
        clock: Monotonic seconds.

    Attributes:
        guests: The handles of guest programs and of the notebook's own agents, which later programs may open.
        names: Where programs of the notebook's own cells store objects under names; None: nowhere.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.guests = for_guests(clock)
        self.names: MutableMapping[str, Any] | None = None
        self._clock = clock
        self._kept: list[tuple[set[str], Handles]] = []

    def now(self) -> float:
        """Return the seconds of its clock."""
        return self._clock()

    def of_run(self) -> Handles:
        """Make the table of one run. It holds its objects as long as it is referenced itself."""
        return Handles(outer=self._others, names=self.names, clock=self._clock)

    def keep(self, names: Iterable[str], handles: Handles) -> None:
        """Hold the handles of a run as long as one of the constants that it keeps for later programs exists."""
        self.forget(names := set(names))
        if names and len(handles):
            self._kept.append((names, handles))

    def forget(self, names: Iterable[str] | None = None) -> None:
        """Drop the handles of kept constants that are gone, by the constants' names; None: of all."""
        gone = None if names is None else set(names)
        left = [] if gone is None else [(one - gone, handles) for one, handles in self._kept]
        self._kept = [(one, handles) for one, handles in left if one]

    def __iter__(self) -> Iterator[tuple[Handle[Any], str]]:
        """Yield the handles that outlive their runs, each with the reason."""
        for names, handles in self._kept:
            yield from ((one, f"kept with {', '.join(sorted(names))}") for one in handles)
        yield from ((one, "for agents and other notebooks") for one in self.guests)

    def drop(self, id: str) -> bool:
        """Drop one object that outlives its run; returns whether it was there."""
        return any(table.forget(id) for table in self._others())

    def _others(self) -> Iterator[Handles]:
        yield from (handles for _, handles in self._kept)
        yield self.guests


def for_guests(clock: Callable[[], float] = monotonic) -> Handles:
    """Make the table of a kernel's guest programs: bounded in number, bytes and time."""
    return Handles(most=GUEST_HANDLES, max_bytes=GUEST_BYTES, idle_s=GUEST_S, clock=clock)
