"""What the tools of each server said of themselves when they were first seen, or last approved.

A server may change a tool's description after somebody came to trust it, and speak to a model through it. So each
tool's description, schemas and annotations are kept as hashes, with a page of the description to compare. What a
server offers when it is first seen is taken as it is; a tool added later is new; a tool that differs has changed
until it is approved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from ..rpc.jsonrpc import Json
from ..session.upstreams import ChangedTool
from ..tools import names
from . import store

PAGE = 2000
"""Characters of a description that are kept, and shown."""


class Fingerprint(msgspec.Struct, frozen=True):
    """One tool as it was; hashes by part."""

    parts: dict[str, str]
    description: str

    @classmethod
    def of(cls, description: str, parts: Mapping[str, Json]) -> Fingerprint:
        hashes = {"description": description, **parts}
        return cls({name: _hash(part) for name, part in hashes.items()}, description[:PAGE])


def _hash(part: Json) -> str:
    return hashlib.sha256(msgspec.json.encode(part, order="sorted")).hexdigest()[:32]


class ApprovedTools(msgspec.Struct):
    """The tools of one server, as they were approved; `where` is the hash of its command or URL."""

    where: str
    tools: dict[str, Fingerprint]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the tools of a server differ from those that were approved, by name."""

    new: frozenset[str] = frozenset()
    changed: tuple[ChangedTool, ...] = ()


class Fingerprints:
    """The fingerprints of all servers. Several processes may change them.

    A server is known by its name, and by its command or URL: another server of the same name is another.

    Args:
        path: The file; empty: they are kept for as long as this object lives.
    """

    def __init__(self, path: str) -> None:
        self._store = store.open_store(
            path, ApprovedTools, what="the list of approved tools", unread="tools count as first seen"
        )

    @property
    def trouble(self) -> str | None:
        """Why the file cannot be read or written; None when it can."""
        return self._store.trouble

    @property
    def mark(self) -> object:
        """Changes when anybody approves tools, or forgets a server."""
        return self._store.mark

    def retry(self) -> None:
        """Write what could not be written before."""
        self._store.retry()

    def compare(self, server: str, where: str, tools: Mapping[str, Fingerprint]) -> Comparison:
        """Compare the tools of a server with those approved; a server not seen before is approved as it is.

        A tool that programs call by the name of one that was approved is that one, however the server spells it now.
        """
        known = self._known(server, where)
        if known is None:
            self.approve(server, where, tools)
            return Comparison()
        changed, new = [], tools.keys() - known.tools.keys()
        spelled = {names.tool_name(name): was for name, was in known.tools.items()} if new else {}
        for name, now in tools.items():
            was = known.tools.get(name)
            if was is None and (was := spelled.get(names.tool_name(name))) is not None and was.parts != now.parts:
                new.discard(name)
            if was is not None and was.parts != now.parts:
                what = [part for part in now.parts if was.parts.get(part) != now.parts[part]]
                what += [part for part in was.parts if part not in now.parts]
                changed.append(ChangedTool(name, what, was.description, now.description))
        return Comparison(frozenset(new), tuple(changed))

    def approve(self, server: str, where: str, tools: Mapping[str, Fingerprint]) -> None:
        """Take the tools of a server as they are now; those it had before and lacks now stay known."""
        place, now = _hash(where), dict(tools)
        older = self._store.get(server)  # an entry as earlier versions wrote it
        before = older.tools if older is not None and older.where == place else {}

        def change(known: ApprovedTools | None) -> ApprovedTools:
            return ApprovedTools(place, {**(before if known is None else known.tools), **now})

        self._store.change(_key(server, place), change)

    def forget(self, server: str, where: str) -> None:
        """Forget a server."""
        place = _hash(where)
        for key in (_key(server, place), server):
            if (known := self._store.get(key)) is not None and known.where == place:
                self._store.change(key, lambda _: None)

    def _known(self, server: str, where: str) -> ApprovedTools | None:
        place = _hash(where)
        for key in (_key(server, place), server):
            if (known := self._store.get(key)) is not None and known.where == place:
                return known
        return None


def _key(server: str, place: str) -> str:
    """The key of a server; earlier versions had its name alone, and so lost one of two servers of one name."""
    return f"{place} {server}"
