"""The sessions of one engine, and who of them is offered whose tools.

It opens, names, finds and expires sessions; what happens inside of one is the session's business.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from itertools import count

from msgspec import Raw

from .. import errors
from ..program.check import Check, Read
from ..program.editor import Editor
from ..settings import Settings
from ..tools import names
from ..tools.catalog import AskedBy, Call, Catalog, Tool
from ..tools.scope import Changes, Layer
from .execution import Execution, ProgramRunner
from .remembered import Permission
from .session import Clock, Session, SessionServers, Sharing, journal_of
from .upstreams import Upstreams

log = logging.getLogger(__name__)

UPSTREAM_TOOLS = 100_000
"""Tools that all upstream servers together may have; each of them has a limit of its own."""


class Registry:
    """The sessions of one engine: a dict with an expiry rule. It is given clocks and does not look at one.

    It also decides which tools a session can call. A notebook can call its own and those that other notebooks share
    with everyone. Agents can call those of every notebook that are not private. All can call the upstream servers'
    tools.

    Args:
        run, settings, clock, check, editor, read: As each `Session` gets them.
        on_close: Receives each session that is closed, once.
        now: Seconds since 1970.

    Attributes:
        history: The latest executions of all sessions.
        watchers: The listeners that are notified of changes.
        approvals: The calls that wait for a person's consent.
        upstreams: The tools of all upstream servers, each server a namespace.
        servers: Those servers; None where there can be none.
    """

    def __init__(
        self,
        run: ProgramRunner,
        settings: Settings,
        clock: Clock,
        check: Check | None = None,
        on_close: Callable[[Session], None] = lambda session: None,
        editor: Editor | None = None,
        now: Clock = lambda: 0.0,
        read: Read | None = None,
    ) -> None:
        self._read = read
        self._run, self._settings, self._clock, self._check = run, settings, clock, check
        self._on_close, self._editor = on_close, editor
        self._sessions: dict[str, Session] = {}
        self._names: dict[str, str] = {}  # by kernel; outlives its session, as connections come and go
        self._wanted: dict[str, str] = {}  # what those names were made of
        self._sharing: dict[str, Sharing] = {}  # by kernel
        self._agents: Session | None = None
        self._changes = Changes()
        self.upstreams = Catalog(limit=UPSTREAM_TOOLS, changed=self._changes.count)
        self._journal = journal_of(settings, clock, now)
        self.history, self.watchers = self._journal.history, self._journal.watchers
        self.approvals = self._journal.approvals
        self.servers: Upstreams | None = None
        self._upstream_layer = Layer(self.upstreams)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, kernel_id: str | None = None) -> Session:
        """Open a session under a new id of 128 random bits."""
        session = self._make("client" if kernel_id is None else "cell", kernel_id)
        self._sessions[session.id] = session
        self._changes.count()
        if kernel_id is not None:
            session.name = self._names.get(kernel_id)
            session.sharing = self.sharing_of(kernel_id)
        self.watchers.notify("sessions")
        return session

    def give_servers(self, session: Session, upstreams: Upstreams, tools: Catalog) -> None:
        """Let a session's programs, and no others, call the tools of further MCP servers.

        Args:
            tools: What those servers offer.
        """
        session.servers = SessionServers(upstreams, tools)
        self._changes.count()

    def note_change(self) -> None:
        """Take note that tools have changed in a catalog that was not made here."""
        self._changes.count()

    def agents(self) -> Session:
        """The session in which agents' programs run: it has no tools of its own, keeps nothing, and never closes."""
        if self._agents is None:
            self._agents = self._make("agent")
        return self._agents

    def get(self, id: str) -> Session | None:
        """The session of that id, if it is open."""
        return self._sessions.get(id)

    def of_kernel(self, kernel_id: str) -> Session | None:
        """The session of a kernel; of several, the one opened last."""
        return next((session for session in reversed(list(self)) if session.kernel_id == kernel_id), None)

    def name_kernel(self, kernel_id: str, wanted: str) -> str:
        """Give a kernel's tools a namespace for others, by its notebook's name: ``sales report`` is ``SalesReport``.

        Returns:
            The namespace; with a number behind it where another kernel, or an upstream server, has that name.
        """
        try:
            base = names.namespace_name(wanted)
        except errors.InvalidParams:
            base = "Untitled"
        taken = {name for id, name in self._names.items() if id != kernel_id}
        taken |= {"Notebook"} if self.servers is None else {"Notebook", *self.servers.namespaces()}
        known = self._names.get(kernel_id)
        if known is None or known in taken or self._wanted[kernel_id] != base:
            known = next(name for name in _numbered(base) if name not in taken)
        if known == self._names.get(kernel_id):
            return known
        self.approvals.forget(self._names.get(kernel_id), None)  # they were granted under that name
        self._names[kernel_id], self._wanted[kernel_id] = known, base
        for session in self:
            if session.kernel_id == kernel_id:
                session.name = known
        self.watchers.notify("sessions")
        return known

    def make_way(self) -> None:
        """Give other names to kernels whose names an upstream server has come to have."""
        for kernel_id, wanted in list(self._wanted.items()):
            self.name_kernel(kernel_id, wanted)

    def forget_kernel(self, kernel_id: str) -> None:
        """Free the name of a kernel that is no more, and forget with whom it shared."""
        self._sharing.pop(kernel_id, None)
        self._wanted.pop(kernel_id, None)
        if self._names.pop(kernel_id, None) is not None:
            self.watchers.notify("sessions")

    def share(self, session: Session, to: Sharing) -> None:
        """Set who else may see a session's tools; for a kernel, its next connections included."""
        if session.kernel_id is None:
            session.share(to)
        else:
            self.share_kernel(session.kernel_id, to)

    def share_kernel(self, kernel_id: str, to: Sharing) -> None:
        """Set who else may see a kernel's tools, whether it is connected or not."""
        self._sharing[kernel_id] = to
        for session in self:
            if session.kernel_id == kernel_id:
                session.share(to)
        self.watchers.notify("sessions")

    def name_of(self, kernel_id: str) -> str | None:
        """The namespace of a kernel's tools for others, if it has one."""
        return self._names.get(kernel_id)

    def sharing_of(self, kernel_id: str) -> Sharing:
        """Who else may see a kernel's tools."""
        return self._sharing.get(kernel_id, "agents")

    @property
    def kernels(self) -> list[str]:
        """The kernels that are connected, or have a name."""
        connected = (session.kernel_id for session in self if session.kernel_id is not None)
        return list(dict.fromkeys([*self._names, *connected]))

    @property
    def named_kernels(self) -> list[str]:
        """The kernels that have a name, whether they are connected or not."""
        return list(self._names)

    def running(self, key: str) -> Execution | None:
        """The execution of that key, of whichever session, while it runs."""
        return next((execution for execution in self.executions() if execution.key == key), None)

    def executions(self) -> list[Execution]:
        """What runs now, in whichever session."""
        everyone = [*self, *([self._agents] if self._agents is not None else [])]
        return [execution for session in everyone for execution in session.executions.values()]

    def permissions(self, owner: Session | None = None) -> list[Permission]:
        """Return what people have allowed for good, without what has ended because its tool is gone or has changed.

        Args:
            owner: Whose own tools they are about; None: all tools.
        """
        if owner is None:
            return [*self.approvals.permissions(self._still_finds), *self.approvals.remembered.permissions()]
        own = {id(tool) for tool in owner.catalog}
        return self.approvals.permissions(lambda of, path, tool: id(tool.first) in own)

    def _still_finds(self, asker: str, path: str, tool: Tool) -> bool:
        """Whether the programs of an asker find this very tool by a path."""
        if asker == "agent":
            sessions = [self._agents] if self._agents is not None else []
        else:
            sessions = [session for session in self if asker in (session.kernel_id, session.id)]
        for session in sessions:
            try:
                if session.scope.find(path).tool is tool:
                    return True
            except errors.ToolNotFound:
                continue
        return False

    def close(self, session: Session) -> None:
        """Forget a session and its tools; does nothing the second time."""
        if self._sessions.pop(session.id, None) is not None:
            self._changes.count()
            self._on_close(session)
            self.approvals.forget(session.name, session.kernel_id or session.id)
            self.watchers.notify("sessions")
            log.info("session %s = closed", session.id[:8])

    def expire(self) -> list[Session]:
        """Close the sessions without a connection or a program that were not used for their `idle_s`."""
        now = self._clock()
        idle = [s for s in self if not s.is_attached and not s.executions and s.used_at <= now - s.idle_s]
        for session in idle:
            self.close(session)
        return idle

    def _make(self, asked_by: AskedBy, kernel_id: str | None = None) -> Session:
        return Session(
            secrets.token_urlsafe(16),
            self._run,
            self._settings,
            self._clock,
            self._check,
            self._editor,
            kernel_id,
            changes=self._changes,
            asked_by=asked_by,
            shared=self._shared_with,
            journal=self._journal,
            settle=self._settle,
            read=self._read,
            explain=self.explain,
        )

    def explain(self, name: str) -> str | None:
        """Return why a program cannot use what it calls by this name; None: that is not known, or it can.

        Args:
            name: A namespace, or the path of a tool.
        """
        namespace = name.partition(".")[0]
        kernel_id = next((id for id, one in self._names.items() if one == namespace), None)
        if kernel_id is not None:
            if self.of_kernel(kernel_id) is not None:
                return None
            return (
                "it is a notebook whose kernel does not answer; if the kernel was restarted, load the tools again "
                "(%load_ext pctx_jupyter)"
            )
        return None if self.servers is None else self.servers.why_missing(name)

    async def _settle(self, code: str, on_wait: Callable[[str], None]) -> None:
        if self.servers is not None:
            await self.servers.settle(code, on_wait)

    def _shared_with(self, asker: Session) -> Iterator[Layer]:
        """What a session is offered besides its own tools."""
        if asker.name is not None and len(asker.catalog):
            own = asker.shared.under(asker.name, _refuse, is_own=True)
            yield Layer(own, is_listed=False)
        if asker.asked_by != "client":
            wanted = ("agents", "everyone") if asker.asked_by == "agent" else ("everyone",)
            for owner in self._sessions.values():
                if owner is asker or owner.name is None or owner.serve_others is None or not len(owner.catalog):
                    continue
                if owner.sharing in wanted and owner.kernel_id != asker.kernel_id:
                    shared = owner.shared.under(owner.name, owner.serve_others, is_own=False)
                    yield Layer(shared, is_foreign=True)
        if asker.servers is not None:
            yield Layer(asker.servers.tools)
        yield self._upstream_layer


def _numbered(base: str) -> Iterator[str]:
    yield base
    yield from (f"{base}{number}" for number in count(2))


async def _refuse(call: Call) -> Raw:
    raise errors.ToolNotFound(f"Cannot call {call.tool.path}: it is not offered to others")
