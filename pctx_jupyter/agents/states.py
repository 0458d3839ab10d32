"""What agents keep between programs: each state has the exports of its earlier programs. Pure: a clock is given.

The newer era of MCP has no sessions, so an agent names its state by an id. An id cannot be guessed, and counts only for
the owner it was made for: the same token, or the same user.
"""

from __future__ import annotations

import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from .. import errors
from ..program.kept import KeptNames
from ..session.execution import CLIENT
from ..settings import Settings
from .headings import Heading

NEW = "new"
"""What a request says in place of an id, to have a state made."""

OWNER: ContextVar[str] = ContextVar("pctx owner", default="")
"""For whom a request is made, as the server knows it; empty: the one client of a pipe."""


@dataclass(slots=True, eq=False)
class AgentState:
    """What the programs of one agent have left.

    Args:
        id: Unguessable, for it names state.
        owner: For whom it was made.
        client: Which of the owner's clients asked for it.
        kept: Their exports.
        used_at: When it was last asked for, by the clock.
        programs: How many run with it now.
    """

    id: str
    owner: str
    client: str
    kept: KeptNames
    used_at: float
    programs: int = 0

    @property
    def described(self) -> str:
        """One line for the agent: its id, and the names it has."""
        names = list(self.kept)
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        return f'{Heading.STATE}{self.id}"' + (f" has {shown}" if names else "")


class States:
    """The states of all agents: bounded in number, bytes and time.

    Args:
        settings: How many there may be, how large, and for how long.
        clock: Monotonic seconds.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings, self._clock = settings, clock
        self._known: OrderedDict[str, AgentState] = OrderedDict()  # the longest unused first

    def __len__(self) -> int:
        self._expire()
        return len(self._known)

    def open(self, wanted: str, owner: str) -> AgentState:
        """Return a state, which is used from now on; `NEW` makes one.

        Raises:
            InvalidParams: There is none of that id for this owner, or there can be none.
            Busy: Programs run in all of them.
        """
        if not self._settings.max_agent_states:
            raise errors.InvalidParams(
                "Cannot run program: this server keeps nothing between the programs of agents "
                "(Pctx.max_agent_states); leave out state, and do all in one program"
            )
        self._expire()
        if wanted == NEW:
            return self._make(owner)
        state = self._known.get(wanted)
        if state is None or state.owner != owner:
            raise errors.InvalidParams(
                f"Cannot run program: no such state; one is kept for {self._settings.agent_state_idle_s:g} s after "
                f'its last use, unless newer ones need its room. Begin again with state "{NEW}"'
            )
        state.used_at = self._clock()
        self._known.move_to_end(state.id)
        return state

    def close(self, id: str) -> None:
        """Forget a state."""
        self._known.pop(id, None)

    def clear(self) -> None:
        """Forget all. A program that runs keeps what it has found."""
        self._known.clear()

    def _make(self, owner: str) -> AgentState:
        if len(self._known) >= self._settings.max_agent_states:
            self._make_room()
        kept = KeptNames(
            self._settings.max_kept,
            self._settings.max_agent_state_bytes,
            limits=("Pctx.max_kept", "Pctx.max_agent_state_bytes"),
            way_out=f'export less, or begin again with state "{NEW}"',
        )
        state = AgentState(secrets.token_urlsafe(12), owner, CLIENT.get(), kept, self._clock())
        self._known[state.id] = state
        return state

    def _make_room(self) -> None:
        """Forget the state unused the longest of the client that has the most, among those without a program.

        So a client that makes one state after another takes its own from itself.
        """
        idle = [state for state in self._known.values() if not state.programs]
        if not idle:
            raise errors.Busy("Cannot run program: programs run in all states (Pctx.max_agent_states); try again")
        of_client = Counter((state.owner, state.client) for state in self._known.values())
        self.close(max(idle, key=lambda state: of_client[state.owner, state.client]).id)

    def _expire(self) -> None:
        before = self._clock() - self._settings.agent_state_idle_s
        for state in [state for state in self._known.values() if state.used_at <= before and not state.programs]:
            self.close(state.id)
