"""The tools of MCP servers that somebody has allowed for good, on this machine.

A consent is for one tool of one server of one file. It ends when the tool's fingerprint changes, when the server is
reached otherwise, and when the server is removed. It is also for one kind of caller, unless a person answered for a
whole server. What a program may call is not decided here.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping

import msgspec

from . import files
from .config import Server
from .fingerprints import Fingerprint
from .trust import digest

log = logging.getLogger(__name__)

FILE = "allowed.json"
"""The consents, in the folder for what has to be remembered: hashes and names, by the file that names the servers."""

ANYBODY = "*"
"""Stands for every kind of caller."""


class Consent(msgspec.Struct):
    """One tool: `tool` is the hash of its fingerprint, `by` whose programs may call it."""

    tool: str
    by: list[str]


class Consents(msgspec.Struct, omit_defaults=True):
    """One server: `server` is its digest; `next` says that a person has answered for the tools it lists next."""

    server: str
    tools: dict[str, Consent] = {}
    next: bool = False


class Allowed:
    """The consents of this machine. Several processes may add to them, and take them back.

    A server is named by the file that names it, and by its name there. What is allowed to a server that no file names
    (`place` is "") lasts as long as this object.

    Args:
        path: The file; empty: everything lasts as long as this object.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: dict[str, dict[str, Consents]] = {}
        self._mark: tuple[int, int, int] | None = None
        self.trouble: str | None = None
        """Why the file cannot be read or written; None when it can."""

    @property
    def mark(self) -> object:
        """Changes when another process has changed something."""
        self._look()
        return self._mark

    def holds(self, place: str, server: Server, name: str, fingerprint: Fingerprint, by: str) -> bool:
        """Whether a call of a tool is allowed.

        Args:
            place: The file that names the server.
            name: The tool, as the server spells it.
            fingerprint: What the tool is now.
            by: The kind of caller.
        """
        consent = self._of(place, server).get(name)
        return consent is not None and consent.tool == _hash(fingerprint) and not {by, ANYBODY}.isdisjoint(consent.by)

    def names(self, place: str, server: Server) -> list[str]:
        """The tools of a server that are allowed to somebody."""
        return sorted(self._of(place, server))

    def add(self, place: str, server: Server, tools: Mapping[str, Fingerprint], by: str = ANYBODY) -> None:
        """Allow tools of a server as they are now."""
        self._look()
        known = self._entry(place, server)
        known.next = known.next and by != ANYBODY
        for name, fingerprint in tools.items():
            was = known.tools.get(name)
            now = _hash(fingerprint)
            before = was.by if was is not None and was.tool == now else []
            known.tools[name] = Consent(now, sorted({*before, by}))
        self._save()

    def add_next(self, place: str, server: Server) -> None:
        """Allow the tools of a server, whatever it lists next: somebody trusts it before it is asked."""
        self._look()
        self._entry(place, server).next = True
        self._save()

    def takes_next(self, place: str, server: Server) -> bool:
        """Whether what the server lists next is to be allowed."""
        self._look()
        known = self._known.get(place, {}).get(server.name)
        return known is not None and known.next and known.server == digest(server)

    def keep(self, place: str, server: Server, tools: Mapping[str, Fingerprint]) -> None:
        """Forget the consents that no longer hold: for a server reached otherwise before, and for tools that differ.

        A tool that the server does not list at the moment may come back as it was.
        """
        self._look()
        known = self._known.get(place, {}).get(server.name)
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
        self._look()
        of_file = self._known.get(place, {})
        if (known := of_file.get(name)) is None:
            return False
        if tools is None:
            found = True
            del of_file[name]
        else:
            gone = known.tools.keys() & set(tools)
            found = bool(gone)
            known.tools = {tool: consent for tool, consent in known.tools.items() if tool not in gone}
            if not known.tools and not known.next:
                del of_file[name]
        if not of_file:
            self._known.pop(place, None)
        self._save()
        return found

    def _of(self, place: str, server: Server) -> dict[str, Consent]:
        self._look()
        known = self._known.get(place, {}).get(server.name)
        return known.tools if known is not None and known.server == digest(server) else {}

    def _entry(self, place: str, server: Server) -> Consents:
        of_file = self._known.setdefault(place, {})
        known = of_file.get(server.name)
        if known is None or known.server != digest(server):
            known = of_file[server.name] = Consents(digest(server))
        return known

    def _look(self) -> None:
        """Take in what others have changed; what cannot be read allows nothing."""
        mark = files.mark(self._path) if self._path else None
        if mark == self._mark:
            return
        self._mark = mark
        here = self._known.get("")
        try:
            text = files.read(self._path, most=None)
            self._known = {} if text is None else msgspec.json.decode(text, type=dict[str, dict[str, Consents]])
            self.trouble = None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._known = {}
            self.trouble = f"what was allowed for good cannot be read ({type(error).__name__}); you are asked again"
            log.warning("allowed = %s", self.trouble)
        self._known.pop("", None)
        if here is not None:
            self._known[""] = here

    def _save(self) -> None:
        if not self._path:
            return
        kept = {place: servers for place, servers in self._known.items() if place}
        if not kept and files.mark(self._path) is None:
            return
        try:
            files.write(self._path, msgspec.json.encode(kept))
        except OSError as error:
            self.trouble = (
                f"what is allowed for good cannot be written ({error.strerror}); it holds until the server ends"
            )
            log.warning("allowed = %s", self.trouble)
        else:
            self._mark, self.trouble = files.mark(self._path), None


def _hash(fingerprint: Fingerprint) -> str:
    return hashlib.sha256(msgspec.json.encode(fingerprint.parts, order="sorted")).hexdigest()
