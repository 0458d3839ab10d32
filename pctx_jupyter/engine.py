"""The engine: sessions and sandboxes, opened once, closed once, the same in every home.

It knows neither Tornado nor IPython. A Jupyter server opens it for its lifetime; with no server, a kernel, nbconvert or
a command opens the very same thing embedded, in a loop of its own. What it opens, it closes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from . import errors, processes, threads
from ._version import __version__
from .history.audit import AuditLog, open_audit_file
from .history.file import FILE as HISTORY_FILE
from .history.file import HistoryFile
from .history.writer import HistoryWriter
from .hosts.fleet import HostFleet, open_fleet
from .own_task import in_own_task
from .rpc import jsonrpc as rpc
from .rpc.channel import Channel, OnNotification, Send, Serve, crossed, ignore, refuse_all
from .rpc.room import Room
from .sandbox.checker import Checker, open_checker
from .sandbox.formatter import Formatter
from .sandbox.pool import open_pool
from .sandbox.shell import Shell
from .session import access
from .session.bash import Bash
from .session.code_mode.sessions import CodeModeSessions
from .session.execution import Sandboxes
from .session.local_tools import Guard, Here, LocalTools, admit
from .session.observations import Observations
from .session.own_agents import AgentFunctionSet
from .session.registry import UPSTREAM_TOOLS, Registry
from .session.remembered import Nothing
from .session.session import Session
from .session.upstreams import Upstreams
from .session.watch import Change
from .settings import Places, Settings
from .slices import in_next_slice
from .tools.catalog import Catalog
from .upstream.all import NO_FILE, open_upstreams
from .upstream.shapes import FILE as SHAPES_FILE
from .upstream.shapes import ShapeFile

if TYPE_CHECKING:
    from .agents.door import Door

log = logging.getLogger(__name__)

EXPIRY_S = 30.0
"""Seconds between two checks for expired sessions; far below any sensible session_idle_s."""


class Engine:
    """What all sessions share. Made by `open_engine`.

    Attributes:
        settings: The limits and switches it runs under.
        registry: Its sessions.
        format: Lays out a program's text: an `editor.Format`.
        hosts: The sandbox hosts that may connect; None: programs run here.
    """

    def __init__(self, settings: Settings, sandboxes: Sandboxes, checker: Checker) -> None:
        self.settings = settings
        self.hosts = sandboxes if isinstance(sandboxes, HostFleet) else None
        self._bash = Bash(Shell(sandboxes.run).run)
        self.observations: Observations | None = None
        """What tools without a return type have returned; None: that is not observed."""
        self.registry = Registry(
            sandboxes.run,
            settings,
            time.monotonic,
            checker.check,
            on_close=self._session_closed,
            editor=checker,
            now=time.time,
            read=checker.read,
            bash=self._bash,
        )
        if self.hosts is not None:
            self.hosts.on_change = lambda: self.registry.watchers.notify("hosts")
        self.format = Formatter(settings).format
        self.upstreams: Upstreams | None = None
        """The MCP servers that programs may call; None before and after `open_engine`."""
        self.history: HistoryWriter | None = None
        """Records what has ended; None: no history is kept."""
        self._sandboxes, self._checker = sandboxes, checker
        self._doors: set[LocalTools] = set()
        self._mcp: Door | None = None
        self._code_mode: CodeModeSessions | None = None
        self._own_servers: dict[str, AbstractAsyncContextManager[Upstreams]] = {}  # by the id of the session
        self._closing: set[asyncio.Task[object]] = set()
        self._is_stopping = False
        self.on_session_closed: Callable[[Session], None] = lambda session: None
        """Called when a session has been closed."""

    def open_door(
        self,
        send: Send,
        *,
        guard: Guard = admit,
        guard_code: Guard = admit,
        caller: access.Caller | None = None,
        kernel_id: str | None = None,
        as_agent: bool = False,
        room: Room | None = None,
        here: Here | None = None,
    ) -> LocalTools:
        """Open a session for one client that `send` reaches, a kernel perhaps; its first frame leaves at once.

        With `as_agent`, it is let into the session of all agents in place of one of its own; with `here`, its
        programs' calls reach it without a frame (`LocalTools`). `caller`, `guard` and `guard_code` say what it may do;
        `room` is that on its connection.

        The type checker starts with the first client, not before: an idle server need not pay for it.

        Raises:
            Cancelled: The engine is being closed, or is.
        """
        if self._is_stopping:
            raise errors.Cancelled("Cannot open a session: the engine is closed; open another engine")
        if self.settings.typecheck:
            self._checker.warm()
        door = LocalTools(
            self.registry,
            self.settings,
            send,
            guard=guard,
            guard_code=guard_code,
            caller=caller,
            kernel_id=kernel_id,
            as_agent=as_agent,
            room=room,
            here=here,
            functions_for=self._functions_for,
        )
        self._doors.add(door)
        door.channel.on_close(lambda: self._doors.discard(door))
        return door

    def connect(
        self,
        *,
        serve: Serve = refuse_all,
        on_notification: OnNotification = ignore,
        as_agent: bool = False,
        gives_up: bool = False,
    ) -> Channel:
        """Connect a client of the same loop, in memory; returns its end. Closing that ends its session.

        With `as_agent`, it has none of its own, as `open_door` says. `gives_up` says that `serve` does so at once when
        it is cancelled, as a kernel's, whose tools run elsewhere: then its programs' calls reach it without a frame.
        """

        def client(send: Send) -> Channel:
            return Channel(
                send,
                serve=serve,
                on_notification=on_notification,
                name="embedded",
                max_bytes=self.settings.max_message_bytes,
            )

        def server(send: Send) -> Channel:
            here = (lambda request: near.serve(request)) if gives_up else None
            return self.open_door(send, caller=access.Caller.EMBEDDED, as_agent=as_agent, here=here).channel

        near, _ = crossed(client, server)
        return near

    def admit_agents(self) -> None:
        """Refuse agents where they are switched off; raises `Forbidden`."""
        if self.settings.agents == "off":
            raise errors.Forbidden("Cannot let agents in: they are switched off here (Pctx.agents)")

    def observe(self, places: Places) -> None:
        """Observe from now on what tools without a return type return; before the first tool is registered."""
        kept = ShapeFile(os.path.join(places.data, SHAPES_FILE) if places.data else "")  # noqa: PTH118
        self.observations = self.registry.observations = Observations(
            kept, time.monotonic, time.time, lambda: self.registry.watchers.notify("tools")
        )

    def keep_history(self, places: Places) -> None:
        """Keep a history of executions from now on, in the folder for what has to be remembered."""
        settings = self.settings
        path = os.path.join(places.data, HISTORY_FILE)  # noqa: PTH118
        self.history = HistoryWriter(
            HistoryFile(path, settings.max_history_runs, settings.max_history_bytes),
            self._clean,
            has_code=settings.history_code,
            has_values=settings.history_values,
        )
        self.registry.observers.add(self.history)

    def _clean(self, text: str) -> str:
        """Take the secrets out of a text that the entries of MCP servers refer to."""
        own = (session.servers.upstreams for session in self.registry if session.servers is not None)
        for upstreams in (self.upstreams, *own):
            text = text if upstreams is None else upstreams.clean(text)
        return text

    def _functions_for(self, session: Session) -> AgentFunctionSet:
        """Make the functions for an agent whose programs run in a session. They are loaded when first needed."""
        self.admit_agents()
        from .agents.own import OwnAgentFunctions

        return OwnAgentFunctions(session, self.settings)

    def mcp(self) -> Door:
        """How agents come in by MCP. Nothing of it is loaded before the first asks.

        Raises:
            Forbidden: Agents are switched off.
        """
        self.admit_agents()
        if self._mcp is None:
            from .agents.door import Door

            if self.settings.typecheck:
                self._checker.warm()
            self._mcp = Door(self.registry, self.settings)
        return self._mcp

    def code_mode(self, key: bytes) -> CodeModeSessions:
        """The sessions of clients of the session API.

        Args:
            key: Signs the ids of sessions; it counts when this is first called.
        """
        if self._code_mode is None:
            if self.settings.typecheck:
                self._checker.warm()
            self._code_mode = CodeModeSessions(self.registry, self.settings, key)
        return self._code_mode

    async def servers_of(self, session: Session) -> Upstreams:
        """Return the MCP servers that a session alone may call; there are none at first.

        Raises:
            SessionNotFound: The session is closed.
        """
        if session.servers is None:
            if self.registry.get(session.id) is not session:
                raise errors.SessionNotFound("Cannot add MCP servers: the session is over; open another one")
            tools = Catalog(limit=UPSTREAM_TOOLS, changed=self.registry.note_change)
            settings = replace(self.settings, upstreams=NO_FILE)
            opening = open_upstreams(settings, Places(), tools, self.registry.watchers.notify, self.observations)
            self._own_servers[session.id] = opening
            self.registry.give_servers(session, await opening.__aenter__(), tools)
        assert session.servers is not None
        return session.servers.upstreams

    def _session_closed(self, session: Session) -> None:
        """Free what is kept for a session that is closed."""
        self._checker.forget(session.id)
        self._bash.forget(session.id)
        if self._code_mode is not None:
            self._code_mode.forget(session)
        if (servers := self._own_servers.pop(session.id, None)) is not None:
            closing: asyncio.Task[object] = asyncio.ensure_future(servers.__aexit__(None, None, None))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        in_next_slice(session.release)
        self.on_session_closed(session)

    def status(self) -> dict[str, rpc.Json]:
        """How it does, for people and health checks: version, sandboxes, layers of isolation, sessions, trouble."""
        return {
            "version": __version__,
            "sessions": len(self.registry),
            "tools": sum(len(session.catalog) for session in self.registry),
            "executions": len(self.registry.executions()),
            "agent_states": self._mcp.state_count if self._mcp is not None else 0,
            "sandbox": self._sandboxes.status(),
            "checker": self._checker.status(),
            "upstreams": self._upstream_status(),
            "history": self.history.status() if self.history is not None else {},
            "meter": {name: getattr(self.registry.meter.total, name) for name in ("runs", "plain", "here")},
        }

    def _upstream_status(self) -> rpc.Json:
        """Each upstream's state, and what is wrong with it or with the files (null: nothing)."""
        if self.upstreams is None:
            return {}
        known = self.upstreams.listed()
        states: dict[str, rpc.Json] = {one.name: one.state for one in known.upstreams}
        trouble = [f"{one.name}: {one.error}" for one in known.upstreams if one.error] + known.problems
        return {**states, "trouble": "; ".join(trouble) or None} if states or trouble else {}

    async def stop(self) -> None:
        """Answer what is being served with "stopping", then close every door; no other one opens."""
        self._is_stopping = True
        # Together: one whose requests do not end takes seconds, and there may be a thousand.
        await asyncio.gather(*(door.channel.stop() for door in self._doors))
        if self._code_mode is not None:
            await self._code_mode.stop()
        if self._mcp is not None:
            await self._mcp.close()
        for session in self.registry:
            if session.servers is not None:
                self.registry.close(session)
        if self._closing:
            await asyncio.wait(self._closing)


@asynccontextmanager
async def open_engine(
    settings: Settings,
    places: Places | None = None,
    *,
    is_served: bool = False,
    checker: Checker | None = None,
) -> AsyncIterator[Engine]:
    """Start what all sessions share; stop it, whatever happens, on the way out.

    Opening never fails for want of Deno: then each execution is refused with the cause, and `Engine.status` says it.
    Nor does it wait for upstream servers. It closes though the caller is cancelled (`in_own_task`).

    Args:
        settings: Its limits and switches.
        places: Where its files are; None: it has none.
        is_served: Whether front ends can connect to it, in which people are asked for consent.
        checker: A type checker, which the caller closes after the engine; None: it opens one.

    Raises:
        SandboxUnavailable: An audit log is required, and cannot be written.
    """
    opening = _opened_engine(settings, places, checker, is_served=is_served)
    try:
        async with in_own_task(opening, "pctx engine") as engine:
            yield engine
    finally:
        threads.release()


@asynccontextmanager
async def _opened_engine(
    settings: Settings, places: Places | None, checker: Checker | None, *, is_served: bool
) -> AsyncIterator[Engine]:
    async with (
        _audit_log(settings, is_served=is_served) as audit_log,
        _open_sandboxes(settings, is_served=is_served) as sandboxes,
        nullcontext(checker) if checker else open_checker(settings, check_s=settings.max_check_s) as checker,
    ):
        engine = Engine(settings, sandboxes, checker)
        engine.registry.approvals.is_served = is_served
        if audit_log is not None:
            engine.registry.observers.add(audit_log)
        registry = engine.registry
        if settings.observe_types:
            engine.observe(places or Places())
        if settings.history and places is not None and places.data:
            engine.keep_history(places)
        sweeper = asyncio.create_task(_expire(engine))

        def on_change(change: Change) -> None:
            if change == "upstreams":
                registry.make_way()
            registry.watchers.notify(change)

        async with open_upstreams(
            settings, places or Places(), registry.upstreams, on_change, engine.observations
        ) as upstreams:
            engine.upstreams = registry.servers = registry.approvals.remembered = upstreams
            try:
                yield engine
            finally:
                sweeper.cancel()
                await engine.stop()
                if engine.observations is not None:
                    await engine.observations.close()
                if engine.history is not None:
                    await processes.aside(engine.history.close)
                engine.upstreams = registry.servers = None
                registry.approvals.remembered = Nothing()


@asynccontextmanager
async def _audit_log(settings: Settings, *, is_served: bool) -> AsyncIterator[AuditLog | None]:
    """Open the audit log in a file; None: there is none. A Jupyter server has its event system for it as well.

    Raises:
        SandboxUnavailable: An audit log is required, and cannot be written.
    """
    if settings.audit == "off" or (is_served and not settings.audit_file):
        yield None
        return
    audit_log, close = open_audit_file(settings)
    try:
        yield audit_log
    finally:
        close()


def _open_sandboxes(settings: Settings, *, is_served: bool) -> AbstractAsyncContextManager[Sandboxes]:
    """Open what programs run in, as the settings say."""
    if settings.sandboxes == "here":
        return open_pool(settings)
    return open_fleet(settings, is_reachable=is_served)


async def _expire(engine: Engine) -> None:
    while True:
        await asyncio.sleep(EXPIRY_S)
        try:
            engine.registry.expire()
            if engine.observations is not None:
                engine.observations.refresh()
        except Exception:  # sessions have to expire after a bad moment, too
            log.exception("engine = failed to sweep")
