"""What the tools of each server said of themselves when they were first seen, or last approved.

A server may change a tool's description after somebody came to trust it, and speak to a model through it. So each
tool's description, schemas and annotations are kept as hashes, with a page of the description to compare. What a
server offers when it is first seen is taken as it is; a tool added later is new; a tool that differs has changed
until it is approved.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from ..rpc.jsonrpc import Json
from ..session.upstreams import ChangedTool
from ..tools import names
from . import files

log = logging.getLogger(__name__)

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


class Known(msgspec.Struct):
    """The tools of one server; `where` is what it was reached by, for another server of the same name is another."""

    where: str
    tools: dict[str, Fingerprint]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the tools of a server differ from those that were approved, by name."""

    new: frozenset[str] = frozenset()
    changed: tuple[ChangedTool, ...] = ()


class Fingerprints:
    """The fingerprints of all servers, in one file.

    Args:
        path: The file; empty: they are kept for as long as this object lives.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: dict[str, Known] = {}
        self.trouble: str | None = None
        """Why the file cannot be read or written; None when it can."""
        try:
            text = files.read(path, most=None) if path else None
            self._known = {} if text is None else msgspec.json.decode(text, type=dict[str, Known])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self.trouble = (
                f"what was approved before cannot be read ({type(error).__name__}); tools count as first seen"
            )
            log.warning("fingerprints = %s", self.trouble)

    def compare(self, server: str, where: str, tools: Mapping[str, Fingerprint]) -> Comparison:
        """Compare the tools of a server with those approved; a server not seen before is approved as it is.

        A tool that programs call by the name of one that was approved is that one, however the server spells it now.
        """
        known = self._known.get(server)
        if known is None or known.where != _hash(where):
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
        """Take the tools of a server as they are now; what it had before and lacks now stays known."""
        known = self._known.get(server)
        before = known.tools if known is not None and known.where == _hash(where) else {}
        self._known[server] = Known(_hash(where), {**before, **tools})
        self._save()

    def forget(self, server: str) -> None:
        """Know a server no more."""
        if self._known.pop(server, None) is not None:
            self._save()

    def _save(self) -> None:
        if not self._path:
            return
        try:
            files.write(self._path, msgspec.json.encode(self._known))
        except OSError as error:
            self.trouble = f"what is approved cannot be written ({error.strerror})"
            log.warning("fingerprints = %s", self.trouble)
