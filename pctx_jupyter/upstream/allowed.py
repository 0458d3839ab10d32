"""The tools of MCP servers that are allowed without asking, on this machine.

A consent is for one tool of one server of one file. It ends when the tool's fingerprint changes, when the server is
reached otherwise, and when the server is removed. It is also for one kind of caller, unless a person answered for a
whole server. What a program may call is not decided here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from . import store
from .config import ServerConfig
from .fingerprints import Fingerprint
from .trust import digest

FILE = "allowed.json"
"""The consents, in the folder for what has to be remembered: hashes and names, by the file that names the servers."""

ANYBODY = "*"
"""Stands for every kind of caller."""


class Consent(msgspec.Struct):
    """One tool: `tool` is the hash of its fingerprint, `by` whose programs may call it.

    `since` is when a person allowed it first, in seconds since 1970; 0: unknown.
    """

    tool: str
    by: list[str]
    since: float = 0.0


class Consents(msgspec.Struct, omit_defaults=True):
    """One server: `server` is its digest; `next` says that a person has answered for the tools it lists next."""

    server: str
    tools: dict[str, Consent] = {}
    next: bool = False


class Allowed(store.InStore[dict[str, Consents]]):
    """The consents of this machine. Several processes may add to them, and take them back.

    A server is named by the file that names it, and by its name there. What is allowed to a server that no file names
    (`place` is "") lasts as long as this object.

    Args:
        path: The file; empty: everything lasts as long as this object.
    """

    def __init__(self, path: str) -> None:
        kind = dict[str, Consents]
        what, unread = "the list of tools that are allowed without asking", "you are asked again"
        super().__init__(store.open_store(path, kind, what=what, unread=unread, lock_s=store.IN_LOOP_S))
        self._here = store.open_store("", kind, what=what, unread=unread)

    def holds(self, place: str, server: ServerConfig, name: str, fingerprint: Fingerprint, by: str) -> bool:
        """Whether a call of a tool is allowed.

        Args:
            place: The file that names the server.
            name: The tool, as the server spells it.
            fingerprint: What the tool is now.
            by: The kind of caller.
        """
        consent = self._of(place, server).get(name)
        return consent is not None and consent.tool == _hash(fingerprint) and not {by, ANYBODY}.isdisjoint(consent.by)

    def consents(self, place: str, server: ServerConfig) -> Mapping[str, Consent]:
        """Return the consents to the tools of a server, by the tools' names."""
        return self._of(place, server)

    def names(self, place: str, server: ServerConfig) -> list[str]:
        """The tools of a server that are allowed without asking."""
        return sorted(self._of(place, server))

    def add(self, place: str, server: ServerConfig, tools: Mapping[str, Fingerprint], by: str = ANYBODY) -> None:
        """Allow tools of a server as they are now."""

        def change(known: Consents) -> None:
            known.next = known.next and by != ANYBODY
            for name, fingerprint in tools.items():
                was, now = known.tools.get(name), _hash(fingerprint)
                kept = was if was is not None and was.tool == now else Consent(now, [], time.time())
                known.tools[name] = Consent(now, sorted({*kept.by, by}), kept.since)

        self._change(place, server, change)

    def add_next(self, place: str, server: ServerConfig) -> None:
        """Allow all tools of a server, before it has listed them."""

        def change(known: Consents) -> None:
            known.next = True

        self._change(place, server, change)

    def takes_next(self, place: str, server: ServerConfig) -> bool:
        """Whether what the server lists next is to be allowed."""
        known = self._consents(place, server.name)
        return known is not None and known.next and known.server == digest(server)

    def keep(self, place: str, server: ServerConfig, tools: Mapping[str, Fingerprint]) -> None:
        """Forget the consents that no longer hold: for a server with another configuration, and for tools that differ.

        A tool that the server does not list at the moment may come back as it was.
        """
        known = self._consents(place, server.name)
        if known is None:
            return
        if known.server != digest(server):
            self.forget(place, server.name)
            return
        changed = [name for name, now in tools.items() if name in known.tools and known.tools[name].tool != _hash(now)]
        if changed:
            self.forget(place, server.name, changed)

    def forget(self, place: str, name: str, tools: Iterable[str] | None = None) -> bool:
        """Take consents back; returns whether there was one.

        Args:
            name: The server.
            tools: The tools, as the server spells them; None: all of them, and those that it lists next.
        """
        known = self._consents(place, name)
        if known is None:
            return False
        gone = None if tools is None else set(tools)
        if gone is not None and not known.tools.keys() & gone:
            return False

        def change(servers: dict[str, Consents] | None) -> dict[str, Consents] | None:
            if servers is None or (now := servers.get(name)) is None:
                return servers
            now.tools = {} if gone is None else {tool: one for tool, one in now.tools.items() if tool not in gone}
            if not now.tools and (gone is None or not now.next):
                del servers[name]
            return servers or None

        self._store_of(place).change(place, change)
        return True

    def _store_of(self, place: str) -> store.Store[dict[str, Consents]]:
        return self._store if place else self._here

    def _consents(self, place: str, name: str) -> Consents | None:
        return (self._store_of(place).get(place) or {}).get(name)

    def _of(self, place: str, server: ServerConfig) -> dict[str, Consent]:
        known = self._consents(place, server.name)
        return known.tools if known is not None and known.server == digest(server) else {}

    def _change(self, place: str, server: ServerConfig, change: Callable[[Consents], None]) -> None:
        """Change the consents of one server; those of a server with another configuration are forgotten."""

        def changed(servers: dict[str, Consents] | None) -> dict[str, Consents]:
            servers = servers or {}
            known = servers.get(server.name)
            if known is None or known.server != digest(server):
                known = servers[server.name] = Consents(digest(server))
            change(known)
            return servers

        self._store_of(place).change(place, changed)


def _hash(fingerprint: Fingerprint) -> str:
    return hashlib.sha256(msgspec.json.encode(fingerprint.parts, order="sorted")).hexdigest()
