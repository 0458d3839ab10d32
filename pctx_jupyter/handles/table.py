"""Tables of handles: which object an id means, for how long, and how many there may be.

Knows neither frames nor programs. An id is unguessable, so that a program reaches only the objects that were given to
it. A table holds its objects until it is dropped itself, or until one of its bounds is met: the oldest object leaves.

Any thread may list a table and remove objects from it. Only the main thread frees them, because what an object does
when it is freed may need that thread: a generator closes its file or its database there.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, MutableMapping
from copy import copy
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Generic, Literal, TypeVar

from .. import errors
from .footprint import Buffers, buffers_of

T = TypeVar("T")

ID_BYTES = 12
"""Random bytes of an id: 96 bits, which nobody guesses over a wire."""
RUN_HANDLES = 1_000
"""Handles that one run may hold; a program that makes more in a loop needs the latest ones."""
RUN_BYTES = "max_run_handles_bytes"
"""The setting of the bytes that the objects of one run may take."""
GUEST_HANDLES = 50
"""Handles of guest programs that a kernel holds. They outlive their programs, so they are few."""
GUEST_BYTES = 2 << 30
"""Bytes of the objects that a kernel holds for guest programs; beyond it, the oldest leave."""
GUEST_S = 1_800.0
"""Seconds after its last use for which a kernel holds an object for guest programs."""
PASSING_BYTES = 64 << 20
"""Bytes that a message to a program may have where nothing else is known."""
DERIVED = 2
"""Results of lazy operations that each handle keeps, so that reading in batches computes them once."""


@dataclass(eq=False, slots=True)
class Handle(Generic[T]):
    """One object that stays in the kernel.

    Args:
        id: Names it in its table.
        label: What people call it: the tool that returned it, or the variable.
        path: The tool that serves operations on it. No other does, so traces, policies and approvals are of this one.
        value: What programs work with.
        given: The very object, as the notebook has it.
        size: Bytes of memory it takes, roughly.
        used_at: When it was last used, in seconds of the table's clock.
        since: When it was handed over, in the same.
        derived: What lazy operations on it gave, by their text, and the bytes that each takes, roughly.
        kind: ``frame``, or a kind of `others`.
        whose: The agent or the notebook to whose program it was handed over; empty: a cell of its own notebook.
        is_variable: Whether the notebook holds it anyway, so that its handle takes no memory.
    """

    id: str
    label: str
    path: str
    value: T
    given: Any
    size: int = 0
    used_at: float = 0.0
    since: float = 0.0
    derived: OrderedDict[str, tuple[T, int]] = field(default_factory=OrderedDict)
    kind: str = "frame"
    whose: str = ""
    is_variable: bool = False
    _buffers: Buffers | None = None

    def most_bytes(self) -> int:
        """Return the bytes that it takes at most, with what operations on it gave."""
        return (0 if self.is_variable else self.size) + sum(size for _, size in self.derived.values())

    def buffers(self) -> Buffers:
        """Return the memory that it holds, with what operations on it gave; views share buffers."""
        if self._buffers is None:
            self._buffers = buffers_of(self.value, self.size)
        found: Buffers = {} if self.is_variable else dict(self._buffers)
        for value, size in self.derived.values():
            found |= buffers_of(value, size)
        if self.is_variable:
            found = {one: size for one, size in found.items() if one not in self._buffers}
        return found


def take_more(handles: Collection[Handle[Any]], most: int) -> bool:
    """Return whether objects take more bytes of memory together, each buffer counted once."""
    if sum(one.most_bytes() for one in handles) <= most:
        return False
    buffers: Buffers = {}
    for one in handles:
        buffers |= one.buffers()
    return sum(buffers.values()) > most


Free = Callable[[list[Handle[Any]]], None]
"""Receives handles that have left a table, and drops the last references to them. It empties the list."""


class Handles:
    """The handles of one run, or of all guest programs of a kernel.

    Args:
        most: How many there may be.
        max_bytes: Returns the bytes of their objects, and of what operations on them gave; None: no bound.
        setting: What people set these bytes with; empty: they cannot.
        max_passing_bytes: Returns the bytes that a message to a program may have.
        idle_s: Seconds after its last use at which one leaves; None: it stays.
        outer: Tables that are searched after this one.
        names: Where programs store objects under names; None: they may not.
        clock: Monotonic seconds.
        changed: Called from any thread when a handle is added or leaves, and where one leaves after a time, when it is
            used. It never waits.
        free: Drops the handles that have left.

    Attributes:
        names, max_passing_bytes: As given.
    """

    def __init__(
        self,
        *,
        most: int = RUN_HANDLES,
        max_bytes: Callable[[], int | None] = lambda: None,
        setting: str = "",
        max_passing_bytes: Callable[[], int] = lambda: PASSING_BYTES,
        idle_s: float | None = None,
        outer: Callable[[], Iterator[Handles]] = lambda: iter(()),
        names: MutableMapping[str, Any] | None = None,
        clock: Callable[[], float] = monotonic,
        changed: Callable[[], None] = lambda: None,
        free: Free = list.clear,
    ) -> None:
        self.names, self.max_passing_bytes = names, max_passing_bytes
        self._changed, self._free = changed, free
        self._lock = threading.RLock()  # a finalizer may use the table again
        self._most, self._max_bytes, self._idle_s, self._outer, self._clock = most, max_bytes, idle_s, outer, clock
        self._setting, self._whose = setting, ""
        self._held: OrderedDict[str, Handle[Any]] = OrderedDict()  # the latest used last
        self._too_large: OrderedDict[str, str] = OrderedDict()  # what had to make room: labels by id, the latest last

    def handing_to(self, whose: str) -> Handles:
        """Return the same table for calls of an agent or another notebook, by its name."""
        found = copy(self)  # what it refers to is shared
        found._whose = whose
        return found

    def __len__(self) -> int:
        self._leave_idle()
        return len(self._held)

    def __iter__(self) -> Iterator[Handle[Any]]:
        """Yield its handles, the latest used last."""
        self._leave_idle()
        with self._lock:
            held = list(self._held.values())
        return iter(held)

    def add(
        self,
        label: str,
        value: Any,
        given: Any,
        size: int = 0,
        kind: str = "frame",
        path: str | None = None,
        *,
        is_variable: bool = False,
    ) -> Handle[Any]:
        """Hold an object; returns its handle. Without a path, the label is the path of a tool."""
        id, now, path = secrets.token_urlsafe(ID_BYTES), self._clock(), label if path is None else path
        made = Handle(
            id, label, path, value, given, size, now, now, kind=kind, whose=self._whose, is_variable=is_variable
        )
        with self._lock:
            self._held[made.id] = made
            gone = self._idle()
            while len(self._held) > self._most:
                gone.append(self._held.popitem(last=False)[1])
            gone += self._beyond_bytes(made)
        self._free(gone)
        self._changed()
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
            self._refuse_too_large(own)
            raise errors.InvalidParams(
                f"Cannot use frame {id[:100]}: its notebook does not hold it, or no longer; call the tool that "
                "returned it again, or pass await frame.rows() to a tool of another notebook"
            )
        return found

    def derive(self, handle: Handle[T], key: str, make: Callable[[], tuple[T, int]]) -> T:
        """Return what operations on an object give, from memory if they were the latest.

        Args:
            handle: The object's, of this table or of one that is searched after it.
            key: The operations.
            make: Runs them; returns what they give, and the bytes that it takes.
        """
        found = handle.derived.get(key) or make()
        holder = next((table for table in (self, *self._outer()) if handle.id in table._held), self)
        with holder._lock:  # another thread may have its results make room
            handle.derived[key] = found
            handle.derived.move_to_end(key)
            while len(handle.derived) > DERIVED:
                handle.derived.popitem(last=False)
            gone = holder._beyond_bytes(handle)
        if gone:
            holder._free(gone)
            holder._changed()
        return found[0]

    def _beyond_bytes(self, last: Handle[Any]) -> list[Handle[Any]]:
        """Drop what takes too much memory: results of operations first, then the oldest objects; returns these.

        Args:
            last: The handle that is used now, which stays, with its latest result.
        """
        gone: list[Handle[Any]] = []
        while self._is_too_large():
            with_results = next((one for one in self._held.values() if one is not last and one.derived), None)
            others = (one for one in self._held.values() if one is not last and not one.is_variable)
            oldest = next(others, None)
            if with_results is not None:
                with_results.derived.clear()
            elif len(last.derived) > 1:
                last.derived.popitem(last=False)
            elif oldest is not None:
                gone.append(self._held.pop(oldest.id))
                self._too_large[oldest.id] = oldest.label
                while len(self._too_large) > RUN_HANDLES:
                    self._too_large.popitem(last=False)
            else:
                break
        return gone

    def _refuse_too_large(self, id: str) -> None:
        """Raise an error that says why an object has left, if it had to make room."""
        for table in (self, *self._outer()):
            if (label := table._too_large.get(id)) is not None:
                most = f"{table._max_bytes() or 0:,}"
                way = f", or raise {table._setting}" if table._setting else ""
                raise errors.InvalidParams(
                    f"Cannot use {label}: it made room for later objects, which may take {most} bytes together; filter "
                    f"or select before, use fewer at once{way}"
                )

    def make_room(self) -> None:
        """Drop the objects that only it holds; a program that uses one reads that it made room for later ones."""
        with self._lock:
            gone = [one for one in self._held.values() if not one.is_variable]
            for one in gone:
                del self._held[one.id]
            self._too_large.update((one.id, one.label) for one in gone)
        self._free(gone)
        self._changed()

    def forget(self, id: str) -> bool:
        """Drop one object; returns whether it was there."""
        with self._lock:
            found = self._held.pop(id.rpartition("#")[2], None)
        if found is None:
            return False
        gone = [found]
        del found  # the list alone refers to it now
        self._free(gone)
        self._changed()
        return True

    def clear(self) -> None:
        """Drop all objects."""
        with self._lock:
            gone = list(self._held.values())
            self._held.clear()
        if gone:
            self._free(gone)
            self._changed()

    def left_s(self, handle: Handle[Any]) -> float | None:
        """Return the seconds after which a handle leaves unless it is used again; None: it stays."""
        return None if self._idle_s is None else max(0.0, handle.used_at + self._idle_s - self._clock())

    def next_leaves_s(self) -> float | None:
        """Return the seconds after which the next handle leaves; None: none does."""
        oldest = next(iter(self), None)
        return None if oldest is None else self.left_s(oldest)

    def _find(self, id: str) -> Handle[Any] | None:
        """Look for a handle here, then in each table that is searched after this one, but not in theirs."""
        tables = (self, *self._outer())
        return next((found for table in tables if (found := table._find_here(id)) is not None), None)

    def _find_here(self, id: str) -> Handle[Any] | None:
        self._leave_idle()
        with self._lock:
            if (found := self._held.get(id)) is not None:
                found.used_at = self._clock()
                self._held.move_to_end(id)
        if found is not None and self._idle_s is not None:
            self._changed()
        return found

    def _is_too_large(self) -> bool:
        """Whether the objects take too much memory together, each buffer counted once."""
        most = self._max_bytes()
        return most is not None and take_more(self._held.values(), most)

    def _leave_idle(self) -> None:
        if self._idle_s is None:
            return
        with self._lock:
            gone = self._idle()
        if gone:
            self._free(gone)
            self._changed()

    def _idle(self) -> list[Handle[Any]]:
        """Remove the handles that have not been used for long enough; returns them."""
        gone: list[Handle[Any]] = []
        while self._idle_s is not None and self._held:
            oldest = next(iter(self._held.values()))
            if self._clock() - oldest.used_at < self._idle_s:
                break
            gone.append(self._held.popitem(last=False)[1])
        return gone


@dataclass(frozen=True, slots=True)
class Held:
    """A handle, and how long it is held.

    Args:
        handle: The handle.
        by: What holds it: a program that runs, the session, or the table of agents and other notebooks.
        names: The constants for which the session holds it.
        left_s: Seconds after which it leaves unless it is used again; None: time does not end it.
    """

    handle: Handle[Any]
    by: Literal["run", "session", "agents"]
    names: tuple[str, ...] = ()
    left_s: float | None = None

    @property
    def why(self) -> str:
        """The reason, for people."""
        match self.by:
            case "run":
                return "by a program that runs"
            case "session":
                return f"kept with {', '.join(self.names)}"
            case "agents":
                whose = f", handed to {self.handle.whose}" if self.handle.whose else ""
                return f"for agents and other notebooks{whose}"


class KernelHandles:
    """All handles of one kernel: of runs, of what cells keep, and of guest programs.

    Args:
        clock: Monotonic seconds.

    Attributes:
        guests: The handles of guest programs and of the notebook's own agents, which later programs may open.
        names: Where programs of the notebook's own cells store objects under names; None: nowhere.
        on_change: Called from any thread when the handles of the kernel may have changed; never waits.
        max_passing_bytes: Bytes that a message to a program may have.
        max_run_bytes: Bytes of the objects of one program of the notebook's cells; None: no bound.
        on_main: Runs a function on the main thread, soon; None: objects are freed on the thread that removes them.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.on_main: Callable[[Callable[[], None]], None] | None = None
        self.max_passing_bytes = PASSING_BYTES
        self.guests = for_guests(clock, self._changed, self._free, lambda: self.max_passing_bytes)
        self.names: MutableMapping[str, Any] | None = None
        self.max_run_bytes: int | None = None
        self._clock = clock
        self._kept: list[tuple[set[str], Handles]] = []

    def now(self) -> float:
        """Return the seconds of its clock."""
        return self._clock()

    def of_run(self) -> Handles:
        """Make the table of one run. It holds its objects as long as it is referenced itself."""
        return Handles(
            max_bytes=lambda: self.max_run_bytes,
            setting=f"c.Pctx.{RUN_BYTES}",
            max_passing_bytes=lambda: self.max_passing_bytes,
            outer=self._others,
            names=self.names,
            clock=self._clock,
            changed=self._changed,
            free=self._free,
        )

    def keep(self, names: Iterable[str], handles: Handles) -> None:
        """Hold the handles of a run as long as one of the constants that it keeps for later programs exists."""
        self.forget(names := set(names))
        if names and len(handles):
            self._kept.append((names, handles))
            self._make_room()
            self._changed()

    def _make_room(self) -> None:
        """Drop the oldest kept objects while all of them take more memory than those of one run may; not the latest."""
        most, kept = self.max_run_bytes, [handles for _, handles in self._kept]
        for oldest in kept[:-1]:
            if most is None or not take_more([one for handles in kept for one in handles], most):
                return
            oldest.make_room()

    def forget(self, names: Iterable[str] | None = None) -> None:
        """Drop the handles of kept constants that are gone, by the constants' names; None: of all."""
        gone = None if names is None else set(names)
        left = [] if gone is None else [(one - gone, handles) for one, handles in self._kept]
        had_any, self._kept = bool(self._kept), [(one, handles) for one, handles in left if one]
        if had_any:
            self._changed()

    def held(self, running: Iterable[Handles] = ()) -> Iterator[Held]:
        """Yield the handles, each with what holds it and how long.

        Args:
            running: The tables of the programs that run now.
        """
        for table in dict.fromkeys(running):
            if table is not self.guests:
                yield from (Held(one, "run") for one in table)
        for names, handles in list(self._kept):
            yield from (Held(one, "session", tuple(sorted(names))) for one in handles)
        yield from (Held(one, "agents", left_s=self.guests.left_s(one)) for one in self.guests)

    def drop(self, id: str) -> bool:
        """Drop one object that outlives its run; returns whether it was there."""
        return any(table.forget(id) for table in self._others())

    def _changed(self) -> None:
        self.on_change()

    def _free(self, gone: list[Handle[Any]]) -> None:
        """Drop handles on the main thread, which objects may need when they are freed."""
        if gone and self.on_main is not None and threading.current_thread() is not threading.main_thread():
            self.on_main(gone.clear)
        else:
            gone.clear()

    def _others(self) -> Iterator[Handles]:
        yield from (handles for _, handles in list(self._kept))
        yield self.guests


def for_guests(
    clock: Callable[[], float] = monotonic,
    changed: Callable[[], None] = lambda: None,
    free: Free = list.clear,
    max_passing_bytes: Callable[[], int] = lambda: PASSING_BYTES,
) -> Handles:
    """Make the table of a kernel's guest programs: bounded in number, bytes and time."""
    return Handles(
        most=GUEST_HANDLES,
        max_bytes=lambda: GUEST_BYTES,
        idle_s=GUEST_S,
        clock=clock,
        changed=changed,
        free=free,
        max_passing_bytes=max_passing_bytes,
    )
