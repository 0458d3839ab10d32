"""Decides which program runs next: fair to all sessions, bounded for each of them.

A pure object: it has no clock of its own, starts nothing and waits for nothing. `Seat` is the part that waits.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Callable
from enum import Enum

from .. import errors

RECENT = 0.2
"""The weight of the latest program in the mean time that a program keeps its place."""

USUAL_S = 1.0
"""Seconds that a program is assumed to keep its place until the first one has given it back."""


class TicketState(Enum):
    """What has become of a program's request for a place."""

    WAITING = "waiting"
    RUNNING = "running"
    HELD = "held"
    """It gave its place up and has not asked for it again."""
    OVER = "over"


class Ticket:
    """One program's request for a place. Made by `Scheduler.enter`.

    Attributes:
        session: The fairness key: whose program it is.
        is_interactive: Whether a person waits for it in a notebook.
        granted: Called each time it gets a place, once for every time it asks.
        is_counted: Whether it is held, and counts among those of which only so many may be.
    """

    __slots__ = ("granted", "has_run", "is_counted", "is_interactive", "session", "since", "state")

    def __init__(self, session: str, granted: Callable[[], None], *, is_interactive: bool) -> None:
        self.session, self.granted, self.is_interactive = session, granted, is_interactive
        self.state = TicketState.WAITING
        self.has_run = self.is_counted = False
        self.since = 0.0
        """When it got its place."""


class _Queue:
    """The requests of one session."""

    __slots__ = ("new", "returning", "running", "turn")

    def __init__(self, turn: float) -> None:
        self.running = 0
        self.turn = turn
        """The number of the grant that served it last, or that came last before it was made."""
        self.returning: deque[Ticket] = deque()
        self.new: deque[Ticket] = deque()

    @property
    def first(self) -> Ticket | None:
        """The next to get a place: programs that have begun go before those that have not."""
        return self.returning[0] if self.returning else self.new[0] if self.new else None

    @property
    def is_empty(self) -> bool:
        return not (self.running or self.returning or self.new)

    def __len__(self) -> int:
        return len(self.returning) + len(self.new)

    def add(self, ticket: Ticket) -> None:
        (self.returning if ticket.has_run else self.new).append(ticket)

    def remove(self, ticket: Ticket) -> None:
        (self.returning if ticket.has_run else self.new).remove(ticket)


class Scheduler:
    """Gives out places among the programs that run at the same time.

    The session with the fewest running programs is served first; of several, the one that was served longest ago. A
    session's own programs are served in order, those that come back before those that have not begun. So no session
    waits for ever, whatever the others do.

    Args:
        places: How many programs may run at the same time.
        per_session: How many of them may belong to one session.
        kept: How many places are kept for interactive programs. At least one place is left for the others.
        most_held: How many programs may give their places up while they wait for another program. One session's may
            have half of these.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self,
        places: int,
        *,
        per_session: int | None = None,
        kept: int = 0,
        most_held: int = 16,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._kept, self._most_held, self._clock = kept, most_held, clock
        self._bound(places, per_session)
        self._queues: dict[str, _Queue] = {}  # by session
        self._grants = 0
        self._others = 0  # programs running that are not interactive
        self._counted: Counter[str] = Counter()  # programs held of which only so many may be, by session
        self._mean_s = USUAL_S
        self.running = 0
        """Programs that have a place."""
        self.waiting = 0
        """Programs that wait for one, those that have given one up and want it back among them."""
        self.held = 0
        """Programs that have given their place up and do not want it back yet."""

    def _bound(self, places: int, per_session: int | None) -> None:
        self._places, self._per_session = places, min(places, per_session or places)
        self._open = min(places, max(1, places - self._kept))  # places of programs which are not interactive

    def resize(self, places: int, per_session: int | None = None) -> None:
        """Change how many places there are. Programs that have one keep it, even if there are fewer places now."""
        self._bound(places, per_session)
        self._grant()

    @property
    def free(self) -> int:
        """Places that no program has."""
        return self._places - self.running

    def enter(self, session: str, granted: Callable[[], None], *, is_interactive: bool = False) -> Ticket:
        """Ask for a place for a program. `granted` may be called before this returns."""
        ticket = Ticket(session, granted, is_interactive=is_interactive)
        self._wait(ticket)
        return ticket

    def hold(self, ticket: Ticket, *, always: bool = True) -> bool:
        """Take a program's place back, or its request for one, until it asks again.

        Args:
            ticket: The program's.
            always: Whether to do so even if many programs are held; the caller then bounds their number, and they do
                not count among `most_held`.

        Returns:
            Whether it is held now.
        """
        if ticket.state in (TicketState.HELD, TicketState.OVER):
            return ticket.state is TicketState.HELD
        if not always and not self._may_hold(ticket.session):
            return False
        self._withdraw(ticket, TicketState.HELD)
        self.held += 1
        if not always:
            ticket.is_counted = True
            self._counted[ticket.session] += 1
        self._grant()
        return True

    def _may_hold(self, session: str) -> bool:
        """Whether one more program of a session may be held that counts."""
        own, share = self._counted[session], (self._most_held + 1) // 2
        return own < share and self._counted.total() < self._most_held

    def resume(self, ticket: Ticket) -> None:
        """Ask again for the place of a program that is held; does nothing otherwise."""
        if ticket.state is TicketState.HELD:
            self._end_hold(ticket)
            self._wait(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Forget a program, whatever its state. Doing so twice does no harm."""
        if ticket.state is TicketState.OVER:
            return
        if ticket.state is TicketState.HELD:
            self._end_hold(ticket)
        self._withdraw(ticket, TicketState.OVER)
        self._grant()

    def _end_hold(self, ticket: Ticket) -> None:
        self.held -= 1
        if ticket.is_counted:
            ticket.is_counted = False
            self._counted[ticket.session] -= 1
            if not self._counted[ticket.session]:
                del self._counted[ticket.session]

    # where a program stands

    def running_of(self, session: str) -> int:
        """Programs of one session that have a place."""
        return self._queues[session].running if session in self._queues else 0

    def ahead_of(self, ticket: Ticket) -> int:
        """Programs of the same session that get a place before this one."""
        queue = self._queues[ticket.session]
        return [*queue.returning, *queue.new].index(ticket)

    def wait_s(self, session: str, ahead: int) -> float:
        """Estimate how long a session's program waits.

        Args:
            session: The session.
            ahead: The session's programs that get a place before it.

        Returns:
            Seconds, from how long programs have kept their places lately and the session's share of the places.
        """
        wanting = sum(1 for queue in self._queues.values() if len(queue) or queue.running)
        share = min(self._per_session, max(1, self._places // max(1, wanting)))
        return self._mean_s * math.ceil((ahead + 1) / share)

    # requests and places

    def _wait(self, ticket: Ticket) -> None:
        ticket.state = TicketState.WAITING
        self.waiting += 1
        if (queue := self._queues.get(ticket.session)) is None:
            # Before the session that was served last, and after all that have waited for longer.
            queue = self._queues[ticket.session] = _Queue(self._grants - 0.5)
        queue.add(ticket)
        self._grant()

    def _withdraw(self, ticket: Ticket, state: TicketState) -> None:
        queue = self._queues.get(ticket.session)
        if queue is not None and ticket.state is TicketState.WAITING:
            queue.remove(ticket)
            self.waiting -= 1
        elif queue is not None and ticket.state is TicketState.RUNNING:
            queue.running -= 1
            self.running -= 1
            self._others -= not ticket.is_interactive
            self._mean_s += RECENT * (self._clock() - ticket.since - self._mean_s)
        if queue is not None and queue.is_empty:
            del self._queues[ticket.session]
        ticket.state = state

    def _grant(self) -> None:
        """Give out what is free. Callbacks come last of all, so that they find a consistent state."""
        granted: list[Ticket] = []
        while self.running < self._places and (ticket := self._next()) is not None:
            queue = self._queues[ticket.session]
            queue.remove(ticket)
            queue.running += 1
            self.waiting -= 1
            self.running += 1
            self._others += not ticket.is_interactive
            self._grants += 1
            queue.turn = self._grants
            ticket.state, ticket.has_run, ticket.since = TicketState.RUNNING, True, self._clock()
            granted.append(ticket)
        for ticket in granted:
            ticket.granted()

    def _next(self) -> Ticket | None:
        best: _Queue | None = None
        for queue in self._queues.values():
            ticket = queue.first
            if ticket is None or queue.running >= self._per_session:
                continue
            if not ticket.is_interactive and self._others >= self._open:
                continue
            if best is None or (queue.running, queue.turn) < (best.running, best.turn):
                best = queue
        return best.first if best is not None else None


class Seat:
    """The place of one program, which it may give up and take again; an `execution.Place`.

    Args:
        scheduler: Gives out the places.
        session: Whose program it is.
        is_interactive: Whether a person waits for it in a notebook.
    """

    def __init__(self, scheduler: Scheduler, session: str = "", *, is_interactive: bool = False) -> None:
        self._scheduler = scheduler
        self._granted = asyncio.Event()
        self._takers = 0
        self._is_used = False  # whether a caller of `take` has returned since the place was granted
        self.ahead = 0
        """How many programs of the same session were before it when it last stopped waiting in vain."""
        self.ticket = scheduler.enter(session, self._granted.set, is_interactive=is_interactive)

    @property
    def is_taken(self) -> bool:
        """Whether the program has its place."""
        return self.ticket.state is TicketState.RUNNING

    def refusal(self, waited_s: float, of_all: str, more: str = "") -> errors.Busy:
        """Return the error of a program whose turn did not come.

        Args:
            waited_s: Seconds that it has waited.
            of_all: What stands after the number of all programs that run.
            more: What can be done besides trying again.
        """
        scheduler, session = self._scheduler, self.ticket.session
        retry_s = math.ceil(scheduler.wait_s(session, self.ahead))
        return errors.Busy(
            f"Cannot start execution: its turn has not come within {waited_s:g} s (Pctx.max_queue_s). It is number "
            f"{self.ahead + 1:,} of the waiting programs of this session, of which {scheduler.running_of(session)} are "
            f"running, and {scheduler.running} in all {of_all}; try again in about {retry_s:,} s{more}",
            data={"retry_after_s": retry_s},
        )

    def give_up(self, *, always: bool = True) -> bool:
        """Give the place to other programs, and return whether that was done.

        Args:
            always: Whether to do so even if many programs have given up their places.
        """
        if not self._scheduler.hold(self.ticket, always=always):
            return False
        self._is_used = False
        self._granted.clear()
        return True

    async def take(self) -> None:
        """Wait for the place; several callers may wait, and get it together. Returns at once when the program is over.

        The request is cancelled when all callers that wait are cancelled.
        """
        self._scheduler.resume(self.ticket)
        self._takers += 1
        try:
            await self._granted.wait()
            self._is_used = True
        finally:
            self._takers -= 1
            if not self._takers and not self._is_used:
                if self.ticket.state is TicketState.WAITING:
                    self.ahead = self._scheduler.ahead_of(self.ticket)
                self.give_up()

    def end(self) -> None:
        """The program is over: give the place back, and take none again."""
        self._scheduler.leave(self.ticket)
        self._granted.set()


__all__ = ["Scheduler", "Seat", "Ticket", "TicketState"]
