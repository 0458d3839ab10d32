"""Which servers a person trusts that a file in their working folder names.

Such a file may have come with the folder, from anywhere. To start what it names is to run its author's program, and
to send secrets where they say. So a server counts only once a person has trusted it: exactly as that file has it and in
that file, since a relative path means something else in another. What the program then is, nobody looks at.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable

import msgspec

from ..rpc.jsonrpc import Json
from . import files
from .config import Command, Server

log = logging.getLogger(__name__)

FILE = "trusted.json"
"""What is trusted, in the folder for what has to be remembered: hashes, by the file that names the servers."""

MOST = 1000
"""Hashes kept of one file; of more, the latest."""


class Trust:
    """What is trusted on this machine. Several processes may add to it.

    Args:
        path: The file; empty: it is kept for as long as this object lives.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: dict[str, list[str]] = {}
        self._mark: tuple[int, int, int] | None = None

    @property
    def mark(self) -> object:
        """Changes when somebody has come to trust something."""
        self._look()
        return self._mark, sum(map(len, self._known.values()))

    def holds(self, file: str, server: Server) -> bool:
        """Whether a server is trusted as a file has it now."""
        self._look()
        return digest(server) in self._known.get(place_of(file), ())

    def add(self, file: str, servers: Iterable[Server]) -> None:
        """Trust servers as a file has them now; raises OSError when that cannot be kept."""
        self._look()
        place, hashes = place_of(file), [digest(server) for server in servers]
        others = [known for known in self._known.get(place, ()) if known not in hashes]
        self._known[place] = [*others, *hashes][-MOST:]
        if self._path:
            files.write(self._path, msgspec.json.encode(self._known))

    def _look(self) -> None:
        """Take in what others have added; what cannot be read trusts nobody."""
        mark = files.mark(self._path) if self._path else None
        if mark == self._mark:
            return
        self._mark = mark
        try:
            text = files.read(self._path)
            self._known = {} if text is None else msgspec.json.decode(text, type=dict[str, list[str]])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._known = {}
            log.warning("trust = cannot be read (%s): no server of a folder is trusted", type(error).__name__)


def place_of(file: str) -> str:
    """A file by the folder it is in, however one gets there; a link is where it is, not where it leads."""
    folder, name = os.path.split(os.path.abspath(file))  # noqa: PTH100  # a Path would follow the link
    return os.path.join(os.path.realpath(folder), name)  # noqa: PTH118


def digest(server: Server) -> str:
    """A hash of all that is said of a server, but how long it may take."""
    way: list[Json]
    match server.way:
        case Command(command, arguments, environment, folder):
            variables: dict[str, Json] = {name: text.written for name, text in environment.items()}
            way = [command, list(arguments), variables, folder]
        case address:
            headers: dict[str, Json] = {name: text.written for name, text in address.headers.items()}
            way = [address.transport, address.url.written, headers]
            if (oauth := address.oauth) is not None:
                secret = oauth.client_secret
                way += [oauth.client_id, None if secret is None else secret.written, oauth.scope]
    return hashlib.sha256(msgspec.json.encode([server.name, way], order="sorted")).hexdigest()
