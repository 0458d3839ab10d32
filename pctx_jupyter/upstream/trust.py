"""Which servers a person trusts that a file in their working folder names.

Such a file may have come with the folder, from anywhere. To start what it names is to run its author's program, and
to send secrets where they say. So a server counts only once a person has trusted it: exactly as that file has it and in
that file, since a relative path means something else in another. The content of the program is not checked.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

import msgspec

from ..rpc.jsonrpc import Json
from . import store
from .config import CommandLine, ServerConfig

FILE = "trusted.json"
"""What is trusted, in the folder for what has to be remembered: hashes, by the file that names the servers."""

MOST = 1000
"""Hashes kept of one file; of more, the latest."""


class Trust(store.InStore[list[str]]):
    """What is trusted on this machine. Several processes may add to it.

    Args:
        path: The file; empty: it is kept for as long as this object lives.
    """

    def __init__(self, path: str) -> None:
        what = "the list of trusted servers"
        super().__init__(store.open_store(path, list[str], what=what, unread="no server of a folder is trusted"))

    def holds(self, file: str, server: ServerConfig) -> bool:
        """Whether a server is trusted as a file has it now."""
        return digest(server) in (self._store.get(place_of(file)) or ())

    def add(self, file: str, servers: Iterable[ServerConfig]) -> None:
        """Trust servers as a file has them now; raises OSError when that cannot be kept: then they are not trusted."""
        hashes = [digest(server) for server in servers]

        def change(known: list[str] | None) -> list[str]:
            others = [one for one in known or () if one not in hashes]
            return [*others, *hashes][-MOST:]

        self._store.change_or_raise(place_of(file), change)


def place_of(file: str) -> str:
    """A file by the folder it is in, however one gets there; a link is where it is, not where it leads."""
    folder, name = os.path.split(os.path.abspath(file))  # noqa: PTH100  # a Path would follow the link
    return os.path.join(os.path.realpath(folder), name)  # noqa: PTH118


def digest(server: ServerConfig) -> str:
    """A hash of all that is said of a server, but how long it may take."""
    way: list[Json]
    match server.way:
        case CommandLine(command, arguments, environment, folder):
            variables: dict[str, Json] = {name: text.written for name, text in environment.items()}
            way = [command, list(arguments), variables, folder]
        case address:
            headers: dict[str, Json] = {name: text.written for name, text in address.headers.items()}
            way = [address.transport, address.url.written, headers]
            if (oauth := address.oauth) is not None:
                secret = oauth.client_secret
                way += [oauth.client_id, None if secret is None else secret.written, oauth.scope]
    return hashlib.sha256(msgspec.json.encode([server.name, way], order="sorted")).hexdigest()
