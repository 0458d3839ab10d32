"""The sessions of one engine, and who of them is offered whose tools.

It opens, names, finds and expires sessions; what happens inside of one is the session's business.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from msgspec import Raw

from .. import errors
from ..program.check import Check, Read
from ..program.editor import Editor
from ..rpc.jsonrpc import Json
from ..settings import Settings
from ..tools.calls import AskedBy, Call
from ..tools.catalog import Catalog
from ..tools.scope import Changes, Layer
from ..tools.shared_tools import ServiceTools
from ..tools.tool import Tool
from .bash import Bash
from .execution import Execution, ProgramRunner
from .journal import Clock, journal_of
from .observations import Observations
from .own_agents import MAX_AGENTS, MAX_NAME, OfferedToAgents, OwnAgentSession
from .owners import Cause, NameOwner, NameOwners
from .remembered import Permission
from .services import Service, Services
from .session import Session, SessionServers, Sharing
from .upstreams import Upstreams

log = logging.getLogger(__name__)

_RUN = "open it and run its cells"
_AWAY: dict[Cause, str] = {
    "": (
        "it is a notebook whose kernel does not answer ({}); if the kernel was restarted, load the tools again "
        "(%load_ext pctx_jupyter)"
    ),
    "restarted": "the kernel of {} was restarted and has not loaded pctx again: run its cells",
    "died": "the kernel of {} died: restart it and run its cells",
    "shut down": f"the kernel of {{}} was shut down: {_RUN}",
    "changed": "{} has another kernel now, which has not loaded pctx: run its cells",
}
"""Why a notebook's tools are missing while none of its kernels is connected."""
_BACK: dict[Cause, str] = {
    "": "is connected and",
    "restarted": "was restarted and",
    "died": "was restarted and",
    "shut down": "was started again and",
    "changed": "is another one now and",
}
"""What has happened to a notebook's kernel that is connected again."""

UPSTREAM_TOOLS = 100_000
"""Tools that all upstream servers together may have; each of them has a limit of its own."""


class Registry:
    """The sessions of one engine: a dict with an expiry rule. It is given clocks and does not look at one.

    It also decides which tools a session can call. A notebook can call its own and those that other notebooks share
    with everyone. Agents can call those of every notebook that are not private. All can call the upstream servers'
    tools.

    Args:
        run, settings, clock, check, editor, read, bash: As each `Session` gets them.
        on_close: Receives each session that is closed, once.
        now: Seconds since 1970.

    Attributes:
        history: The latest executions of all sessions.
        watchers: The listeners that are notified of changes.
        approvals: The calls that wait for a person's consent.
        meter: Adds up what the programs of all sessions cost a model.
        upstreams: The tools of all upstream servers, each server a namespace.
        servers: Those servers; None where there can be none.
        observations: What tools without a return type have returned; None: that is not observed.
        owners: The names of those who offer tools, connected or not.
        services: The clients that offer tools and are no kernels.
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
        bash: Bash | None = None,
    ) -> None:
        self._read, self._bash = read, bash
        self._run, self._settings, self._clock, self._check = run, settings, clock, check
        self._on_close, self._editor = on_close, editor
        self._sessions: dict[str, Session] = {}
        self.owners = NameOwners()
        self.services = Services()
        self._served: dict[str, ServiceTools] = {}  # by service
        self._sharing: dict[str, Sharing] = {}  # by kernel
        self._agents: Session | None = None
        self._own_agents: dict[str, dict[str, Session]] = {}  # by the session of their client, and by name
        self._changes = Changes()
        self.upstreams = Catalog(limit=UPSTREAM_TOOLS, changed=self._changes.count)
        self._journal = journal_of(settings, clock, now)
        self.history, self.watchers = self._journal.history, self._journal.watchers
        self.approvals, self.observers = self._journal.approvals, self._journal.observers
        self.meter = self._journal.meter
        self._changes.on_change = self.approvals.note_change
        self.servers: Upstreams | None = None
        self.observations: Observations | None = None
        self._upstream_layer = Layer(self.upstreams)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, kernel_id: str | None = None, *, of_cells: bool = False) -> Session:
        """Open a session under a new id of 128 random bits.

        Args:
            kernel_id: The kernel of this server whose session it is; None: it is that of another client.
            of_cells: Whether its programs are those of a notebook's cells, also where no server has the kernel.
        """
        session = self._make("cell" if of_cells or kernel_id is not None else "client", kernel_id)
        self._sessions[session.id] = session
        self._changes.count()
        if kernel_id is not None:
            self._name(session, kernel_id, self.owners.places())
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

    @property
    def types_version(self) -> int:
        """Grows with every change of the types that were observed."""
        return 0 if self.observations is None else self.observations.version

    def watched(self, tool: Tool, code_hash: str = "", owner: str = "") -> Tool:
        """Return a client's tool with what it was observed to return, if it does not declare that.

        Args:
            code_hash: A hash of its code: another function of the same name is another tool. "": it is known by its
                description and its arguments.
            owner: Whose tool it is, if others may have one like it.
        """
        if self.observations is None:
            return tool
        names = [tool.registered_namespace, tool.registered_name]
        as_it_is: list[Json] = [code_hash] if code_hash else ["", tool.description, tool.input_schema]
        return self.observations.watched(tool, ["function", owner, *names, *as_it_is])

    def note_change(self) -> None:
        """Take note that tools have changed in a catalog that was not made here."""
        self._changes.count()

    def agents(self) -> Session:
        """The session in which agents' programs run: it has no tools of its own, keeps nothing, and never closes."""
        if self._agents is None:
            self._agents = self._make("agent")
        return self._agents

    def own_agent(self, owner: Session, agent: str) -> Session:
        """Return the session in which the programs of a client's own agent run; it closes with the client's session.

        Args:
            owner: The session of the client, which has the tools.
            agent: The agent's name, for people.

        Raises:
            InvalidParams: There are too many agents, or the name is too long.
        """
        if len(agent) > MAX_NAME:
            raise errors.InvalidParams(f"Cannot serve an agent: its name has more than {MAX_NAME} characters")
        known = self._own_agents.setdefault(owner.id, {})
        session = known.get(agent)
        if session is None:
            if len(known) >= MAX_AGENTS:
                raise errors.InvalidParams(
                    f"Cannot serve an agent: this client has agents of {MAX_AGENTS} names already; use one of them "
                    f"({', '.join(sorted(known))})"
                )
            own = Layer(OfferedToAgents(owner.catalog))
            session = known[agent] = self._make(
                "agent", owner.kernel_id, OwnAgentSession, lambda session: (own, *self._offered_to(owner))
            )
            session.serving = owner.serving
        if session.name != owner.name:
            session.name = owner.name
        session.place = owner.place
        return session

    def get(self, id: str) -> Session | None:
        """The session of that id, if it is open."""
        return self._sessions.get(id)

    def of_kernel(self, kernel_id: str) -> Session | None:
        """The session of a kernel; of several, the one opened last."""
        return next((session for session in reversed(list(self)) if session.kernel_id == kernel_id), None)

    def name_kernel(self, kernel_id: str, wanted: str, path: str = "") -> str:
        """Give a kernel's tools a namespace for others, by its notebook's name: ``sales report`` is ``SalesReport``.

        A notebook, known by its path, keeps its name: over restarts, and when it gets another kernel.

        Args:
            kernel_id: The kernel.
            wanted: What the name is made of.
            path: The path of its notebook; empty: it has none.

        Returns:
            The namespace; with a number behind it where another owner, or an upstream server, has that name.
        """
        before, path_before = self.name_of(kernel_id), self.path_of(kernel_id)
        last = self.owners.get(("notebook", path)) if path else None
        last_kernel = None if last is None else last.kernel_id
        owner = self.owners.name_kernel(kernel_id, wanted, path, self._reserved())
        if owner.name == before and last_kernel in (None, kernel_id):
            if path != path_before:  # it was moved into another folder, and the name does not say so
                self._follow()
            return owner.name
        self.approvals.forget(before, None)  # they were granted under that name
        self._follow()
        return owner.name

    def make_way(self) -> None:
        """Give other names to owners whose names an upstream server has come to have."""
        before = {id: self.name_of(id) for id in self.named_kernels}
        if not self.owners.make_way(self._reserved()):
            return
        for kernel_id, name in before.items():
            if self.name_of(kernel_id) != name:
                self.approvals.forget(name, None)
        self._changes.count()  # names of services are no attributes of sessions
        self._follow()

    def _name(self, session: Session, kernel_id: str, places: Mapping[str, str]) -> None:
        """Take the name of a kernel's owner over into a session, and its path where the name does not say enough."""
        if session.name != (name := self.name_of(kernel_id)):
            session.name = name
        if session.place != (place := places.get(kernel_id, "")):
            session.place = session.shared.notebook = place
            self._changes.count()

    def _follow(self) -> None:
        """Take the names of owners over into their sessions."""
        places = self.owners.places()
        for session in self:
            if session.kernel_id is not None:
                self._name(session, session.kernel_id, places)
        self.watchers.notify("sessions")

    def _reserved(self) -> set[str]:
        return {"Notebook"} if self.servers is None else {"Notebook", *self.servers.namespaces()}

    def forget_kernel(self, kernel_id: str) -> None:
        """Take note that a kernel is no more, and forget with whom it shared; its notebook keeps its name."""
        self._sharing.pop(kernel_id, None)
        self._note_end(kernel_id)
        name = self.name_of(kernel_id)
        if self.owners.forget_kernel(kernel_id):
            self.approvals.forget(name, None)
            self.watchers.notify("sessions")

    def note_kernel(self, kernel_id: str, cause: Cause) -> None:
        """Take note of what happens to a kernel: programs that name its notebook read it."""
        if cause == "shut down":
            self.forget_kernel(kernel_id)
            return
        self.owners.note(kernel_id, cause)
        self._note_end(kernel_id)
        self.watchers.notify("sessions")

    def _note_end(self, kernel_id: str) -> None:
        """Record that a kernel has ended, for its programs that end with it, and for those that just have."""
        for session in self:
            if session.kernel_id == kernel_id:
                session.has_lost_kernel = True
        self.history.kernel_ended(kernel_id, self._journal.now(), is_known=True)
        self.watchers.notify("executions")

    def share(self, session: Session, to: Sharing) -> None:
        """Set who else may see a session's tools; for a kernel, its next connections included."""
        if session.kernel_id is not None:
            self.share_kernel(session.kernel_id, to)
        elif (service := self.services.of(session)) is not None:
            service.asked = to
            session.share(service.sharing)
        else:
            session.share(to)

    def share_service(self, session: Session, to: Sharing, name: str, instance: str = "") -> Service:
        """Offer the tools of a session that is no kernel's to others, as a service.

        Args:
            session: The session.
            to: Who may see its tools; a person may have decided on fewer.
            name: What people read.
            instance: Identifies the client over its connections; empty: it does not say.

        Raises:
            InvalidParams: The name cannot be used, or it is a kernel's session.
        """
        if session.kernel_id is not None:
            raise errors.InvalidParams("Cannot share: a kernel has the name of its notebook; leave name out")
        service = self.services.join(session, name, instance)
        self.share(session, to)
        self.watchers.notify("sessions")
        return service

    def share_kernel(self, kernel_id: str, to: Sharing) -> None:
        """Set who else may see a kernel's tools, or a service's by its id, whether it is connected or not."""
        if (service := self.services.get(kernel_id)) is not None:
            service.limit = to
            if service.session is not None:
                service.session.share(service.sharing)
            self.watchers.notify("sessions")
            return
        self._sharing[kernel_id] = to
        for session in self:
            if session.kernel_id == kernel_id:
                session.share(to)
        self.watchers.notify("sessions")

    def name_of(self, kernel_id: str) -> str | None:
        """The namespace of a kernel's tools for others, if it has one."""
        owner = self.owners.of_kernel(kernel_id)
        return None if owner is None else owner.name

    def is_known(self, path: str) -> bool:
        """Whether the notebook of this path has, or had, a name."""
        return self.owners.get(("notebook", path)) is not None

    def path_of(self, kernel_id: str) -> str:
        """The path of a kernel's notebook, as it was named; empty: it has none."""
        owner = self.owners.of_kernel(kernel_id)
        return "" if owner is None else owner.title

    def sharing_of(self, kernel_id: str) -> Sharing:
        """Who else may see a kernel's tools."""
        return self._sharing.get(kernel_id, "agents")

    @property
    def kernels(self) -> list[str]:
        """The kernels that are connected, or have a name."""
        connected = (session.kernel_id for session in self if session.kernel_id is not None)
        return list(dict.fromkeys([*self.owners.kernels, *connected]))

    @property
    def named_kernels(self) -> list[str]:
        """The kernels that have a name, whether they are connected or not."""
        return self.owners.kernels

    def running(self, key: str) -> Execution | None:
        """The execution of that key, of whichever session, while it runs."""
        return next((execution for execution in self.executions() if execution.key == key), None)

    def executions(self) -> list[Execution]:
        """What runs now, in whichever session."""
        own = [session for agents in self._own_agents.values() for session in agents.values()]
        everyone = [*self, *own, *([self._agents] if self._agents is not None else [])]
        return [execution for session in everyone for execution in session.executions.values()]

    def permissions(self, owner: Session | None = None) -> list[Permission]:
        """Return what is allowed without asking, without what has ended because its tool is gone or has changed.

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
            sessions: list[Session] = [one for agents in self._own_agents.values() for one in agents.values()]
            sessions += [self._agents] if self._agents is not None else []
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
            for agent in self._own_agents.pop(session.id, {}).values():
                self._on_close(agent)
            self._on_close(session)
            if session.kernel_id is not None:
                self.history.kernel_ended(session.kernel_id, self._journal.now(), is_known=False)
                self.watchers.notify("executions")
            self.approvals.forget(session.name, session.kernel_id or session.id)
            self._remember(session)
            self.watchers.notify("sessions")
            log.info("session %s = closed", session.id[:8])

    def expire(self) -> list[Session]:
        """Close the sessions without a connection or a program that were not used for their `idle_s`."""
        now = self._clock()
        idle = [s for s in self if not s.is_attached and not s.executions and s.used_at <= now - s.idle_s]
        for session in idle:
            self.close(session)
        return idle

    def _make(
        self,
        asked_by: AskedBy,
        kernel_id: str | None = None,
        kind: type[Session] = Session,
        shared: Callable[[Session], Iterable[Layer]] | None = None,
    ) -> Session:
        return kind(
            secrets.token_urlsafe(16),
            self._run,
            self._settings,
            self._clock,
            self._check,
            self._editor,
            kernel_id,
            changes=self._changes,
            asked_by=asked_by,
            shared=self._shared_with if shared is None else shared,
            journal=self._journal,
            settle=self._settle,
            read=self._read,
            explain=partial(self.explain, asked_by=asked_by),
            bash=self._bash,
            kept_in_all=lambda: sum(session.kept.size for session in self),
        )

    def _remember(self, session: Session) -> None:
        """Remember what a session offered that is closed now, for the words about what is missing."""
        if session.kernel_id is not None and self.of_kernel(session.kernel_id) is None and len(session.catalog):
            offered = session.shared.under(session.name or "Notebook", _refuse, is_own=False)
            self.owners.note_earlier(session.kernel_id, (tool.tool_name for tool in offered))
        if (service := self.services.leave(session)) is not None:
            self._served.pop(service.id, None)
            for namespace, _ in session.catalog.namespaces():
                owner = self.owners.get(("service", service.id, namespace))
                self.approvals.forget(None if owner is None else owner.name, None)

    def explain(self, name: str, asked_by: AskedBy = "agent") -> str | None:
        """Return why a program cannot use what it calls by this name; None: that is not known, or it can.

        Args:
            name: A namespace, or the path of a tool.
            asked_by: Whose program it is.
        """
        namespace, _, tool = name.partition(".")
        owner = self.owners.named(namespace)
        if owner is not None:
            return (
                self._missing_of_service(owner) if owner.key[0] == "service" else self._missing(owner, tool, asked_by)
            )
        return None if self.servers is None else self.servers.why_missing(name)

    def _missing(self, owner: NameOwner, tool: str, asked_by: AskedBy) -> str | None:
        """Say why a program does not find the tools of a notebook, or one of them."""
        title = owner.title or owner.name
        if owner.successor is not None and (now := self.owners.get(owner.successor)) is not None:
            return f"{title} is {now.title} now; its tools are in {now.name}"
        if owner.kernel_id is None:
            return _AWAY[owner.cause].format(title)
        session = self.of_kernel(owner.kernel_id)
        if session is None:
            return _AWAY[owner.cause].format(title)
        if session.sharing == "nobody":
            return f"{title} shares its tools with nobody; %pctx share in it changes that"
        if session.sharing == "agents" and asked_by != "agent":
            return f"{title} shares its tools with agents only; %pctx share on in it changes that"
        here = session.shared.under(owner.name, session.serve_others or _refuse, is_own=False)
        if not len(here) and (owner.title or owner.cause):
            return f"the kernel of {title} {_BACK[owner.cause]} offers no tools yet: run its cells"
        if tool in owner.earlier and all(tool != one.tool_name for one in here):
            return f"the kernel of {title} {_BACK[owner.cause]} has not defined {tool} again: run its cells"
        return None

    def _missing_of_service(self, owner: NameOwner) -> str | None:
        """Say why a program does not find the tools of a service."""
        service = self.services.get(owner.key[1])
        if service is None or service.session is None:
            return f"the service {owner.title} is not connected; its tools are back when it connects again"
        if service.sharing == "nobody":
            return f"the service {owner.title} shares its tools with nobody"
        return None

    def served_by(self, service: Service, session: Session) -> ServiceTools:
        """A service's tools as others see them."""

        def name(namespace: str) -> str:
            return self.owners.name_service(service.id, namespace, service.title, self._reserved())

        served, serve = self._served.get(service.id), session.serve_others or _refuse
        if served is None or served.serve != serve:
            served = self._served[service.id] = ServiceTools(session.catalog, name, serve)
        return served

    async def _settle(self, code: str, on_wait: Callable[[str], None]) -> None:
        if self.servers is not None:
            await self.servers.settle(code, on_wait)

    def _shared_with(self, asker: Session) -> Iterator[Layer]:
        """What a session is offered besides its own tools."""
        if asker.name is not None and len(asker.catalog):
            own = asker.shared.under(asker.name, _refuse, is_own=True)
            yield Layer(own, is_listed=False)
        yield from self._offered_to(asker)

    def _offered_to(self, asker: Session) -> Iterator[Layer]:
        """What others offer to a session: other notebooks, and the upstream servers."""
        if asker.asked_by != "client":
            wanted = ("agents", "everyone") if asker.asked_by == "agent" else ("everyone",)
            for owner in self._sessions.values():
                if (
                    owner is asker
                    or owner.serve_others is None
                    or owner.sharing not in wanted
                    or not len(owner.catalog)
                ):
                    continue
                if owner.kernel_id is None:
                    if (service := self.services.of(owner)) is not None:
                        yield Layer(self.served_by(service, owner), is_foreign=True)
                elif owner.name is not None and owner.kernel_id != asker.kernel_id:
                    shared = owner.shared.under(owner.name, owner.serve_others, is_own=False)
                    yield Layer(shared, is_foreign=True)
        if asker.servers is not None:
            yield Layer(asker.servers.tools)
        yield self._upstream_layer


async def _refuse(call: Call) -> Raw:
    raise errors.ToolNotFound(f"Cannot call {call.tool.path}: it is not offered to others")
