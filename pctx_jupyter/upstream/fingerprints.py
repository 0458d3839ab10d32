"""Descriptions and schemas of the tools of each server, as hashes: when first seen, or last approved.

A server may change a tool's description after a person has trusted it, and address a model through it. So each
tool's description, schemas and annotations are kept as hashes, with a page of the description to compare. What a
server offers when it is first seen is taken as it is; a tool added later is new; a tool that differs has changed
until it is approved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from ..rpc.jsonrpc import Json
from ..session.upstreams import ChangedTool
from ..tools import names
from . import store
from .significance import differences, significant

FILE = "tools.json"
"""What is approved, in the folder for what has to be remembered."""

PAGE = 2000
"""Characters of a description, or of another part, that are kept and shown."""

NOTHING = hashlib.sha256(b"null").hexdigest()[:32]
"""The hash of a part that a tool does not have."""


class Fingerprint(msgspec.Struct, frozen=True, omit_defaults=True):
    """One tool as it was.

    Args:
        parts: Hashes of what counts, by part.
        description: Its first page.
        texts: The other parts as JSON, where they are not longer than a page.
    """

    parts: dict[str, str]
    description: str
    texts: dict[str, str] = {}

    @classmethod
    def of(cls, description: str, parts: Mapping[str, Json]) -> Fingerprint:
        counts = {name: significant(part) if name.endswith("schema") else part for name, part in parts.items()}
        written = {name: msgspec.json.encode(part, order="sorted") for name, part in counts.items()}
        texts = {name: text.decode() for name, text in written.items() if text != b"null" and len(text) <= PAGE}
        return cls(
            {"description": _hash(description), **{n: _digest(t) for n, t in written.items()}},
            description[:PAGE],
            texts,
        )


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:32]


def _hash(part: Json) -> str:
    return _digest(msgspec.json.encode(part, order="sorted"))


class ApprovedTools(msgspec.Struct, omit_defaults=True):
    """The tools of one server as they were approved; `changed` names those that differed at the last comparison.

    `instructions` is what the server said about all of them; None: it was not kept yet.
    """

    tools: dict[str, Fingerprint]
    changed: list[str] = []
    instructions: Fingerprint | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the tools of a server differ from those that were approved, by name; and its instructions, if they do."""

    new: frozenset[str] = frozenset()
    changed: tuple[ChangedTool, ...] = ()
    instructions: ChangedTool | None = None


class Fingerprints(store.InStore[ApprovedTools]):
    """The fingerprints of all servers. Several processes may change them.

    A server is known by its name, and by its command or URL: another server of the same name is another.

    Args:
        path: The file; empty: they are kept for as long as this object lives.
    """

    def __init__(self, path: str) -> None:
        what = "the list of approved tools"
        unread, lock_s = "tools count as first seen", store.IN_LOOP_S
        super().__init__(store.open_store(path, ApprovedTools, what=what, unread=unread, lock_s=lock_s))

    def compare(
        self, server: str, where: str, tools: Mapping[str, Fingerprint], instructions: Fingerprint | None = None
    ) -> Comparison:
        """Compare the tools of a server with those approved; a server not seen before is approved as it is.

        So are instructions where none are known, from a time in which they were not kept. A tool that programs call by
        the name of one that was approved is that one, however the server spells it now.
        """
        known = self._known(server, where)
        if known is None:
            self.approve(server, where, tools, instructions)
            return Comparison()
        if known.instructions is None and instructions is not None:
            self._keep_instructions(server, where, instructions)
        changed, new = [], tools.keys() - known.tools.keys()
        spelled = {names.tool_name(name): was for name, was in known.tools.items()} if new else {}
        for name, now in tools.items():
            was = known.tools.get(name)
            if was is None and (was := spelled.get(names.tool_name(name))) is not None and was.parts != now.parts:
                new.discard(name)
            if was is not None and was.parts != now.parts:
                what = [part for part in now.parts if was.parts.get(part) != now.parts[part]]
                what += [part for part in was.parts if part not in now.parts]
                changed.append(ChangedTool(name, what, was.description, now.description, _differences(what, was, now)))
        if sorted(tool.name for tool in changed) != known.changed:
            self._note_changed(server, where, [tool.name for tool in changed])
        return Comparison(frozenset(new), tuple(changed), _changed_instructions(known.instructions, instructions))

    def _keep_instructions(self, server: str, where: str, instructions: Fingerprint) -> None:
        def change(known: ApprovedTools | None) -> ApprovedTools | None:
            if known is not None and known.instructions is None:
                known.instructions = instructions
            return known

        self._store.change(_key(server, _hash(where)), change)

    def changed(self, server: str, where: str) -> list[str]:
        """The tools that had changed when any process compared them last, by name."""
        known = self._known(server, where)
        return [] if known is None else known.changed

    def _note_changed(self, server: str, where: str, changed: list[str]) -> None:
        def change(known: ApprovedTools | None) -> ApprovedTools | None:
            if known is not None:
                known.changed = sorted(changed)
            return known

        self._store.change(_key(server, _hash(where)), change)

    def approve(
        self, server: str, where: str, tools: Mapping[str, Fingerprint], instructions: Fingerprint | None = None
    ) -> None:
        """Take the tools and instructions of a server as they are now; tools it had before and lacks now stay known."""
        place, now = _hash(where), dict(tools)

        def change(known: ApprovedTools | None) -> ApprovedTools:
            before = ApprovedTools({}) if known is None else known
            return ApprovedTools({**before.tools, **now}, instructions=instructions or before.instructions)

        self._store.change(_key(server, place), change)

    def forget(self, server: str, where: str) -> None:
        """Forget a server."""
        if self._known(server, where) is not None:
            self._store.change(_key(server, _hash(where)), lambda _: None)

    def _known(self, server: str, where: str) -> ApprovedTools | None:
        return self._store.get(_key(server, _hash(where)))


INSTRUCTIONS = "(instructions)"
"""What instructions are called where changed tools are listed."""


def _changed_instructions(was: Fingerprint | None, now: Fingerprint | None) -> ChangedTool | None:
    if was is None or now is None or was.parts == now.parts:
        return None
    return ChangedTool(INSTRUCTIONS, ["instructions"], was.description, now.description)


def _differences(what: Iterable[str], was: Fingerprint, now: Fingerprint) -> list[str]:
    """Say word for word what differs; the descriptions are shown whole elsewhere."""
    found: list[str] = []
    for part in what:
        if part == "description":
            continue
        if any(text.parts.get(part, NOTHING) != NOTHING and part not in text.texts for text in (was, now)):
            found.append(f"{part}: too long to be compared word by word")
        else:
            old, new = (msgspec.json.decode(text.texts.get(part, "null")) for text in (was, now))
            found += differences(part, old, new)
    return found


def _key(server: str, place: str) -> str:
    return f"{place} {server}"
