"""Which MCP servers there are: ``pctx.json``, and the files of other clients that say the same in other words.

Text in, servers and problems out; and entries added to a text, or taken out of it. It reads no file, resolves no
secret and connects to nothing. One entry that cannot be used does not lose the others.

::

    {"name": "mine", "servers": [{"name": "time", "command": "mcp-server-time"},
                                 {"name": "wiki", "url": "https://…", "auth": {"type": "bearer", "token": "${env:W}"}}]}
    {"mcpServers": {"time": {"command": "mcp-server-time"}, "wiki": {"url": "https://…", "headers": {…}}}}
    {"mcp_servers": [{"type": "http", "name": "wiki", "url": "https://…", "headers": [{"name": …, "value": …}]}]}
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from .. import errors, visible
from ..rpc.jsonrpc import Json
from ..tools import names
from .secrets import HIDDEN, SecretText, is_secret, without_references

MOST_SERVERS = 200
"""Servers one file may name."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SENDABLE = re.compile(r"[\t\x20-\x7e]*")
"""What the value of a header may have: HTTP sends bytes, and every server reads only these as the same characters."""

FRAMING = ("connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
"""Headers that say where a message ends, or what the connection becomes: HTTP's own, and set by nobody else."""


class Unusable(errors.InvalidParams):
    """What a server's configuration says, or refers to, cannot be used; without a change every attempt fails."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A server that is started, and spoken to over its stdin and stdout."""

    command: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, SecretText] = field(default_factory=dict)
    folder: str | None = None

    @property
    def transport(self) -> Literal["stdio"]:
        return "stdio"

    @property
    def shown(self) -> str:
        """The exact command, as a shell would have it."""
        return shlex.join([self.command, *self.arguments])


@dataclass(frozen=True, slots=True)
class OAuth:
    """How to sign in to a server that wants it; without a `client_id` we register ourselves there."""

    client_id: str | None = None
    client_secret: SecretText | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """A server that is reached over HTTP.

    Args:
        transport: ``http`` is Streamable HTTP; ``sse`` the older one.
        oauth: How a person signs in there if the server wants it; None where the configuration brings credentials.
    """

    url: SecretText
    transport: Literal["http", "sse"] = "http"
    headers: Mapping[str, SecretText] = field(default_factory=dict)
    oauth: OAuth | None = OAuth()

    @property
    def shown(self) -> str:
        """The URL without what may be secret in it; its host in ASCII, so that no letter looks like another."""
        parts = urlsplit(self.url.written)
        host = ".".join(map(_ascii, parts.netloc.rpartition("@")[2].split(".")))
        return parts._replace(netloc=host, query="", fragment="").geturl()


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """One MCP server to connect to.

    Args:
        name: Its tools' namespace, as it was written.
        call_timeout_s: Seconds one call may take; None: as for any tool.
        connect_timeout_s: Seconds until it must have listed its tools; None: as the settings say.
    """

    name: str
    way: CommandLine | Address
    call_timeout_s: float | None = None
    connect_timeout_s: float | None = None

    @property
    def namespace(self) -> str:
        """The namespace of its tools in programs."""
        return names.namespace_name(self.name)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file says; `problems` are sentences."""

    servers: tuple[ServerConfig, ...] = ()
    problems: tuple[str, ...] = ()


def parse(text: bytes, shown: str) -> Parsed:
    """Read a configuration in any of the three shapes.

    Args:
        text: The file's content.
        shown: The file's name, for messages.

    Raises:
        InvalidParams: It is no JSON object.
    """
    read = _object(text, shown)
    servers: dict[str, ServerConfig] = {}
    problems = []
    for place, entry in _entries(read):
        try:
            if len(servers) >= MOST_SERVERS:
                raise errors.InvalidParams(f"there are more than {MOST_SERVERS} servers")
            server = server_of(entry)
            if server is None:
                continue
            if (other := servers.setdefault(server.namespace, server)) is not server:
                raise errors.InvalidParams(f"its namespace is {server.namespace}, and so is that of {other.name!r}")
        except errors.InvalidParams as error:
            problems.append(visible.line(f"{shown}, {place}: {error.message}", 1000))
    return Parsed(tuple(servers.values()), tuple(problems))


def server_of(entry: Json) -> ServerConfig | None:
    """Read one entry, in any client's words; None when it is switched off.

    Raises:
        InvalidParams: It cannot be used; says why.
    """
    if not isinstance(entry, dict):
        raise errors.InvalidParams("a server is an object, such as {name, url} or {name, command}")
    if entry.get("disabled") is True or entry.get("enabled") is False:
        return None
    name = entry.get("name")
    if not isinstance(name, str):
        raise errors.InvalidParams("name is missing")
    names.namespace_name(name)  # refuses what cannot be one
    way = _address(entry) if "url" in entry or "serverUrl" in entry else _command(entry)
    return ServerConfig(name, way, _seconds(entry, "call_timeout_s"), _seconds(entry, "connect_timeout_s"))


def described(server: ServerConfig) -> list[str]:
    """Return what a server does and gets, in lines, for a person who is asked to trust it. Safe in a terminal.

    Values that are likely to be secret themselves are left out; what refers to a secret is shown as it is written.
    """
    way = server.way
    match way:
        case CommandLine(environment=given, folder=folder):
            kind, lines = "variable", [f"starts: {way.shown}", *([f"in: {folder}"] if folder is not None else [])]
        case Address(headers=given, oauth=oauth):
            kind, lines = "header", [f"connects to: {way.shown}"]
            lines += [f"with: {one}" for one in way.url.references]
            if oauth is not None and oauth.client_secret is not None:
                lines += [f"signs in with: {one}" for one in oauth.client_secret.references]
    for name, text in given.items():
        lines.append(f"{kind}: {name}={HIDDEN if is_secret(name, text) else text.written}")
    return [visible.spelled(" ".join(line.split())) for line in lines]


def with_entry(text: bytes | None, entry: Mapping[str, Json], shown: str) -> bytes:
    """The file's content with one more server; all the rest of it stays."""
    new: dict[str, Json] = {"name": "pctx", "servers": []}
    read = new if text is None else _object(text, shown)
    if isinstance(listed := read.setdefault("servers", []), list):
        listed.append(dict(entry))
    return _written(read)


def without_entry(text: bytes, name: str, shown: str) -> bytes | None:
    """The file's content without a server; None when it does not name it."""
    read = _object(text, shown)
    for key in ("servers", "mcp_servers"):
        listed = read.get(key)
        if isinstance(listed, list):
            left = [entry for entry in listed if not (isinstance(entry, dict) and entry.get("name") == name)]
            if len(left) < len(listed):
                read[key] = left
                return _written(read)
    named = read.get("mcpServers")
    if isinstance(named, dict) and name in named:
        del named[name]
        return _written(read)
    return None


def _written(read: dict[str, Json]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(read), indent=2) + b"\n"


def _object(text: bytes, shown: str) -> dict[str, Json]:
    try:
        read = msgspec.json.decode(text.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.InvalidParams(f"Cannot read {shown}: it is no JSON ({error})") from None
    if not isinstance(read, dict):
        raise errors.InvalidParams(f"Cannot read {shown}: it must be an object with servers or mcpServers")
    return read


def _entries(read: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """Every entry with its place in the file."""
    for key in ("servers", "mcp_servers"):
        listed = read.get(key)
        if isinstance(listed, list):
            for index, entry in enumerate(listed):
                yield f"{key}[{index}]", entry
        elif isinstance(listed, dict):  # as an editor's mcp.json has it
            yield from _named(key, listed)
    named = read.get("mcpServers")
    if isinstance(named, dict):
        yield from _named("mcpServers", named)


def _named(key: str, named: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    for name, entry in named.items():
        yield f"{key}.{name[:60]}", {**entry, "name": name} if isinstance(entry, dict) else entry


def _command(entry: dict[str, Json]) -> CommandLine:
    command, arguments = entry.get("command"), entry.get("args")
    if not isinstance(command, str) or not command.strip():
        raise errors.InvalidParams("it needs a url or a command")
    words = [command]
    if arguments is None:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise errors.InvalidParams(f"command cannot be read: {error}") from None
    elif isinstance(arguments, list) and all(isinstance(one, str) for one in arguments):
        words += map(str, arguments)
    else:
        raise errors.InvalidParams("args must be a list of texts")
    if any("\0" in word for word in words):
        raise errors.InvalidParams("command and args must not hold NUL")
    if any(SecretText(word).has_reference for word in words):
        raise errors.InvalidParams(
            "command and args must not refer to secrets, for everybody on the machine can see them; use env"
        )
    folder = entry.get("cwd")
    if folder is not None and (not isinstance(folder, str) or "\0" in folder):
        raise errors.InvalidParams("cwd must be a text without NUL")
    environment = {name: SecretText(value) for name, value in _texts(entry, "env").items()}
    if any("=" in name or "\0" in name + value.written or not name for name, value in environment.items()):
        raise errors.InvalidParams("env has a name or value that no environment variable can have")
    return CommandLine(words[0], tuple(words[1:]), environment, folder)


def _address(entry: dict[str, Json]) -> Address:
    url = entry.get("url", entry.get("serverUrl"))
    if not isinstance(url, str):
        raise errors.InvalidParams("url must be a text")
    check_url(url)
    kind = entry.get("type", entry.get("transport"))
    if kind not in (None, "http", "https", "sse", "streamable-http", "streamableHttp", "streamable_http", "remote"):
        raise errors.InvalidParams(f"type is {str(kind)[:40]!r}, and must be http or sse")
    given = _headers(entry) | _auth(entry.get("auth"))
    for name, value in given.items():
        header = f"the header {name[:40]!r} of {str(entry.get('name'))[:40]}"
        if _HEADER_NAME.fullmatch(name) is None:
            raise errors.InvalidParams(f"{header} cannot be sent: its name is no header's")
        if name.lower() in FRAMING:
            raise errors.InvalidParams(f"{header} cannot be sent: the connection sets it itself")
        if any(character in value for character in "\r\n\0"):
            raise errors.InvalidParams(f"{header} cannot be sent: its value holds a line break or control character")
    headers = {name: SecretText(value) for name, value in given.items()}
    has_credentials = any(name.lower() == "authorization" for name in headers)
    oauth = None if has_credentials else _oauth(entry.get("auth"))
    return Address(SecretText(url), "sse" if kind == "sse" else "http", headers, oauth)


def check_url(url: str) -> None:
    """Refuse what is no HTTP address; raises InvalidParams."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or any(character.isspace() or not character.isprintable() for character in url):
        raise errors.InvalidParams("url is invalid: it must be a complete address, http://… or https://…")


def check_resolved(url: str, written: str, server: str) -> str:
    """The URL of a server once its secrets are read; raises `Unusable` if they make another address of it."""
    try:
        check_url(url)
        now, before = urlsplit(url), urlsplit(written)
        is_same = (now.scheme, now.hostname, now.port) == (before.scheme, before.hostname, before.port)
    except (errors.InvalidParams, ValueError):
        is_same = False
    if not is_same:
        raise Unusable(
            f"the url of {server} is no address once its secrets are read: one of them holds a character that must be "
            f"percent-encoded in a URL; correct what {_references(written)} refers to, then reconnect"
        )
    return url


def check_sendable(server: ServerConfig) -> None:
    """Refuse headers that cannot be sent, whatever their references hold, so that a person can correct them.

    In a file, one such header costs no server its place: it is listed, and down.

    Raises:
        Unusable: Names the server and the header, and shows nothing of the value.
    """
    if isinstance(server.way, Address):
        for name, text in server.way.headers.items():
            check_header(name, without_references(text.written).strip(" \t"), server.name)


def check_header(name: str, value: str, server: str) -> None:
    """Refuse a header that cannot be sent; raises `Unusable`, which never shows the value."""
    trouble = unsendable(value)
    if trouble is None and value != value.strip(" \t"):
        trouble = "begins or ends with a space"
    if trouble is not None:
        raise Unusable(
            f"the header {name} of {server} cannot be sent: its value {trouble}; correct it, or what it refers to, "
            "then reconnect"
        )


def check_variable(name: str, value: str, server: str) -> None:
    """Refuse an environment variable that no process can have; raises `Unusable`, which never shows the value."""
    try:
        if "\0" not in value and os.fsencode(value) is not None:
            return
    except UnicodeEncodeError:
        pass
    raise Unusable(
        f"the variable {name} of {server} cannot be set: its value holds NUL or what the system cannot encode; "
        "correct what it refers to, then reconnect"
    )


def unsendable(value: str) -> str | None:
    """Why a header's value cannot be sent, without a character of it."""
    sendable = _SENDABLE.match(value)
    at = 0 if sendable is None else sendable.end()
    if at == len(value):
        return None
    kind = "a line break or control character" if value[at].isascii() else "a character that is not ASCII"
    return f"holds {kind} (character {at + 1})"


def _references(written: str) -> str:
    """What a text refers to, for messages."""
    return visible.line(", ".join(SecretText(written).references), 200) or "it"


def _ascii(label: str) -> str:
    """A part of a host's name in ASCII, as the Internet has it, for people to read."""
    return label if label.isascii() else f"xn--{label.lower().encode('punycode').decode('ascii')}"


def _headers(entry: dict[str, Json]) -> dict[str, str]:
    """The headers of other clients: an object, or a list of names and values."""
    listed = entry.get("headers")
    if not isinstance(listed, list):
        return _texts(entry, "headers")
    found = {}
    for header in listed:
        match header:
            case {"name": str(name), "value": str(value)}:
                found[name] = value
            case _:
                raise errors.InvalidParams("headers must be a list of {name, value}")
    return found


def _auth(auth: Json) -> dict[str, str]:
    match auth:
        case None | {"type": "oauth" | "oauth2"}:
            return {}
        case {"type": "bearer", "token": str(token)}:
            return {"Authorization": f"Bearer {token}"}
        case {"type": "headers", "headers": dict(headers)}:
            return _texts({"headers": headers}, "headers")
    raise errors.InvalidParams('auth must be {"type": "bearer", "token": …} or {"type": "headers", "headers": {…}}')


def _oauth(auth: Json) -> OAuth:
    if not isinstance(auth, dict) or auth.get("type") not in ("oauth", "oauth2"):
        return OAuth()
    given = {key: auth.get(key) for key in ("client_id", "client_secret", "scope")}
    if not all(isinstance(value, str | None) for value in given.values()):
        raise errors.InvalidParams("client_id, client_secret and scope of auth must be texts")
    secret = given["client_secret"]
    return OAuth(
        None if given["client_id"] is None else str(given["client_id"]),
        None if secret is None else SecretText(str(secret)),
        None if given["scope"] is None else str(given["scope"]),
    )


def _texts(entry: dict[str, Json], key: str) -> dict[str, str]:
    given = entry.get(key)
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise errors.InvalidParams(f"{key} must be an object of texts")
    return {name: str(value) for name, value in given.items()}


def _seconds(entry: dict[str, Json], key: str) -> float | None:
    given = entry.get(key)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given <= 86_400:
        raise errors.InvalidParams(f"{key} must be a number of seconds above 0")
    return float(given)
