"""Which MCP servers there are: ``pctx.json``, and the files of other clients that say the same in other words.

Text in, servers and problems out; and entries added to a text, or taken out of it. It reads no file, resolves no
secret and connects to nothing. One entry that cannot be used does not lose the others.

::

    {"name": "mine", "servers": [{"name": "time", "command": "mcp-server-time"},
                                 {"name": "wiki", "url": "https://…", "auth": {"type": "bearer", "token": "${env:W}"}}]}
    {"mcpServers": {"time": {"command": "mcp-server-time"}, "wiki": {"url": "https://…", "headers": {…}}}}
    {"mcp_servers": [{"type": "http", "name": "wiki", "url": "https://…", "headers": [{"name": …, "value": …}]}]}

The shapes of files are in `clients`; what a text may refer to is in `references`.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from .. import errors, visible
from ..rpc.headers import unsendable
from ..rpc.jsonrpc import Json
from ..tools import names
from . import clients, references
from .addresses import check_written, shown_url
from .references import Reference
from .secrets import HIDDEN, SecretText, is_secret, without_references

MOST_SERVERS = 200
"""Servers one file may name."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

FRAMING = ("connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
"""Headers that say where a message ends, or what the connection becomes: HTTP's own, and set by nobody else."""


class Unusable(errors.InvalidParams):
    """What a server's configuration says, or refers to, cannot be used; without a change every attempt fails."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A server that is started, and spoken to over its stdin and stdout.

    Command, arguments and folder are as they were written: they may refer to variables.
    """

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
        return shown_url(self.url)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """One MCP server to connect to.

    Args:
        name: Its tools' namespace, as it was written.
        call_timeout_s: Seconds one call may take; None: as for any tool.
        connect_timeout_s: Seconds until it must have listed its tools; None: as the settings say.
        workspace: The folder that ``${workspaceFolder}`` is; "": the current one.
        has_text_lists: Whether several texts of one result are a list for programs; else they are joined.
        unread: Why it would not do here what it does in the client whose file names it; None: it would.
    """

    name: str
    way: CommandLine | Address
    call_timeout_s: float | None = None
    connect_timeout_s: float | None = None
    workspace: str = ""
    unread: str | None = None
    has_text_lists: bool = False

    @property
    def namespace(self) -> str:
        """The namespace of its tools in programs."""
        return names.namespace_name(self.name)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file says; `problems` are sentences."""

    servers: tuple[ServerConfig, ...] = ()
    problems: tuple[str, ...] = ()


def parse(text: bytes, shown: str, path: str = "") -> Parsed:
    """Read a configuration in any client's words.

    Args:
        text: The file's content.
        shown: The file's name, for messages.
        path: The file, for ``${workspaceFolder}``; "": there is none.

    Raises:
        InvalidParams: It is no JSON object.
    """
    read, _ = clients.decoded(text, shown)
    workspace = workspace_of(path) if path else ""
    servers: dict[str, ServerConfig] = {}
    problems = []
    for place, entry in clients.entries(read):
        try:
            if len(servers) >= MOST_SERVERS:
                raise errors.InvalidParams(f"there are more than {MOST_SERVERS} servers")
            server = server_of(entry, workspace)
            if server is None:
                continue
            if (other := servers.setdefault(server.namespace, server)) is not server:
                raise errors.InvalidParams(
                    f"its namespace is {server.namespace}, and so is that of {other.name!r}; give it another name"
                )
        except errors.InvalidParams as error:
            problems.append(visible.line(f"{shown}, {place}: {error.message}", 1000))
    return Parsed(tuple(servers.values()), tuple(problems))


def workspace_of(path: str) -> str:
    """The folder that a file belongs to: the one it is in, or the one above a folder such as ``.vscode``."""
    folder = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120
    return os.path.dirname(folder) if os.path.basename(folder).startswith(".") else folder  # noqa: PTH119, PTH120


def server_of(entry: Json, workspace: str = "") -> ServerConfig | None:
    """Read one entry; None when it is switched off.

    Args:
        entry: In our words, or with other clients' fields.
        workspace: The folder that ``${workspaceFolder}`` is; "": the current one.

    Raises:
        InvalidParams: It cannot be used; says why.
    """
    entry = clients.in_our_words(entry)
    if not isinstance(entry, dict):
        raise errors.InvalidParams("a server is an object, such as {name, url} or {name, command}")
    if entry.get("disabled") is True or entry.get("enabled") is False:
        return None
    name = entry.get("name")
    if not isinstance(name, str):
        raise errors.InvalidParams("name is missing")
    names.namespace_name(name)  # refuses what cannot be one
    way = _address(entry) if "url" in entry else _command(entry)
    call_s, connect_s = _seconds(entry, "call_timeout_s"), _seconds(entry, "connect_timeout_s")
    texts = entry.get("texts")
    if texts not in (None, "joined", "list"):
        raise errors.InvalidParams('texts must be "joined" or "list"')
    return ServerConfig(name, way, call_s, connect_s, workspace, clients.unread(entry), texts == "list")


def described(server: ServerConfig) -> list[str]:
    """Return what a server does and gets, in lines, for a person who is asked to trust it. Safe in a terminal.

    Values that are likely to be secret themselves are left out; what refers to a secret is shown as it is written.
    """
    way = server.way
    match way:
        case CommandLine(environment=given, folder=folder):
            kind, lines = "variable", [f"starts: {way.shown}", *([f"in: {folder}"] if folder is not None else [])]
            written = [way.command, *way.arguments, folder or ""]
            lines += [f"with: {one}" for one in dict.fromkeys(one for text in written for one in _references_in(text))]
        case Address(headers=given, oauth=oauth):
            kind, lines = "header", [f"connects to: {way.shown}"]
            lines += [f"with: {one}" for one in way.url.references]
            if oauth is not None and oauth.client_secret is not None:
                lines += [f"signs in with: {one}" for one in oauth.client_secret.references]
    for name, text in given.items():
        lines.append(f"{kind}: {name}={HIDDEN if is_secret(name, text) else text.written}")
    return [visible.spelled(" ".join(line.split())) for line in lines]


def with_entry(text: bytes | None, entry: Mapping[str, Json], shown: str) -> bytes:
    """The file's content with one more server; all the rest of it stays.

    Raises:
        InvalidParams: It has comments, which would be lost.
    """
    new: dict[str, Json] = {"name": "pctx", "servers": []}
    read = new if text is None else _to_write(text, shown)
    listed = read.setdefault("servers", [])
    if isinstance(listed, list):
        listed.append(dict(entry))
    elif isinstance(listed, dict):  # as an editor's mcp.json has it
        listed[str(entry.get("name"))] = {key: value for key, value in entry.items() if key != "name"}
    return _written(read)


def without_entry(text: bytes, name: str, shown: str) -> bytes | None:
    """The file's content without a server; None when it does not name it.

    Raises:
        InvalidParams: It has comments, which would be lost.
    """
    read, is_strict = clients.decoded(text, shown)
    if not clients.removed(read, name):
        return None
    if not is_strict:
        _to_write(text, shown)
    return _written(read)


def _to_write(text: bytes, shown: str) -> dict[str, Json]:
    read, is_strict = clients.decoded(text, shown)
    if not is_strict:
        raise errors.InvalidParams(f"Cannot change {shown}: its comments would be lost; change it in an editor")
    return read


def _written(read: dict[str, Json]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(read), indent=2) + b"\n"


def _command(entry: dict[str, Json]) -> CommandLine:
    command, arguments = entry.get("command"), entry.get("args")
    if not isinstance(command, str) or not command.strip():
        if entry.get("source") == "extension":
            raise errors.InvalidParams("it is an extension of Zed, which only Zed can start; write its command or url")
        raise errors.InvalidParams("it needs a url or a command")
    words = [command]
    if arguments is None:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise errors.InvalidParams(f"command cannot be read: {error}") from None
    elif isinstance(arguments, list) and None not in (given := [_text(one) for one in arguments]):
        words += map(str, given)
    else:
        raise errors.InvalidParams("args must be a list of texts")
    if any("\0" in word for word in words):
        raise errors.InvalidParams("command and args must not hold NUL")
    for word in words:
        for part in references.parts(word):
            if isinstance(part, Reference) and part.is_secret:
                raise errors.InvalidParams(
                    f"command and args must not refer to secrets ({part.written}), for everybody on the machine can "
                    "see them; use env"
                )
    folder = entry.get("cwd")
    if folder is not None and (not isinstance(folder, str) or "\0" in folder):
        raise errors.InvalidParams("cwd must be a text without NUL")
    environment = {name: SecretText(value) for name, value in _texts(entry, "env").items()}
    if any("=" in name or "\0" in name + value.written or not name for name, value in environment.items()):
        raise errors.InvalidParams("env has a name or value that no environment variable can have")
    return CommandLine(words[0], tuple(words[1:]), environment, folder)


def _address(entry: dict[str, Json]) -> Address:
    url = entry.get("url")
    if not isinstance(url, str):
        raise errors.InvalidParams("url must be a text")
    check_written(url)
    kind = entry.get("type", entry.get("transport"))
    transport: Literal["http", "sse"] = "http"
    match kind.lower().replace("-", "").replace("_", "") if isinstance(kind, str) else kind:
        case None:
            path = re.split(r"[?#]", url, maxsplit=1)[0]
            transport = "sse" if path.rstrip("/").endswith("/sse") else "http"
        case "sse":
            transport = "sse"
        case "http" | "https" | "streamablehttp" | "remote":
            pass
        case _:
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
    return Address(SecretText(url), transport, headers, oauth)


def check_sendable(server: ServerConfig) -> None:
    """Refuse what cannot be sent, whatever its references hold, so that a person can correct it.

    In a file, one such value costs no server its place: it is listed, and down.

    Raises:
        Unusable: Names the server and the header or field, and shows nothing of the value.
    """
    check_references(server)
    if isinstance(server.way, Address):
        for name, text in server.way.headers.items():
            check_header(name, without_references(text.written).strip(" \t"), server.name)


def check_references(server: ServerConfig) -> None:
    """Refuse references that stand for nothing here; raises `Unusable`, which says where, which, and what to write."""
    if server.unread is not None:
        raise Unusable(f"{server.name} cannot be used: {server.unread}")
    for place, text in _texts_of(server.way):
        if (why := references.trouble(text)) is not None:
            raise Unusable(f"{place} of {server.name} cannot be used: {visible.line(why, 600)}")


def _texts_of(way: CommandLine | Address) -> Iterator[tuple[str, str]]:
    """Every text that may refer to something, with where it is."""
    match way:
        case CommandLine():
            yield from ((argument(number), word) for number, word in enumerate([way.command, *way.arguments]))
            yield from ((f"the variable {name}", text.written) for name, text in way.environment.items())
            if way.folder is not None:
                yield "cwd", way.folder
        case Address(oauth=oauth):
            yield "the url", way.url.written
            yield from ((f"the header {name}", text.written) for name, text in way.headers.items())
            if oauth is not None:
                secret = oauth.client_secret
                texts = {
                    "client_id": oauth.client_id,
                    "client_secret": None if secret is None else secret.written,
                    "scope": oauth.scope,
                }
                for name, written in texts.items():
                    if written is not None:
                        yield name, written


def check_address(server: ServerConfig, leads_as_written: bool) -> None:
    """Refuse a URL that its references make another address of; raises `Unusable`."""
    assert isinstance(server.way, Address)
    if not leads_as_written:
        shown = visible.line(", ".join(server.way.url.references), 200) or "it"
        raise Unusable(
            f"the url of {server.name} is no address once its secrets are read: one of them holds a character that "
            f"must be percent-encoded in a URL, or is no complete address; correct what {shown} refers to, then "
            "reconnect"
        )


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


def argument(number: int) -> str:
    """What a word of a command line is called in messages, the command being the first."""
    return f"argument {number}" if number else "the command"


def check_argument(number: int, value: str, server: str) -> None:
    """Refuse a command or an argument that no process can have; raises `Unusable`, which never shows the value."""
    if "\0" in value:
        raise Unusable(
            f"{argument(number)} of {server} cannot be passed: its value holds NUL; correct what it refers to, then "
            "reconnect"
        )


def at_home(value: str) -> str:
    """A value with the home folder in place of a ``~`` at its beginning."""
    return os.path.expanduser(value) if value == "~" or value.startswith("~/") else value  # noqa: PTH111


def folder_of(server: ServerConfig, value: str) -> str:
    """Where a server starts: an absolute folder; a relative one is below the workspace."""
    return os.path.join(server.workspace or os.getcwd(), at_home(value))  # noqa: PTH109, PTH118


def _references_in(written: str) -> list[str]:
    return SecretText(written).references


def _headers(entry: dict[str, Json]) -> dict[str, str]:
    """The headers of other clients: an object, or a list of names and values."""
    return _texts(entry, "headers")


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
    found: dict[str, str] = {}
    if isinstance(given, list):
        for one in given:
            match one:
                case {"name": str(name), "value": value} if (text := _text(value)) is not None:
                    found[name] = text
                case _ if key == "headers":
                    raise errors.InvalidParams("headers must be a list of {name, value}")
                case _:
                    raise errors.InvalidParams(f"{key} must be an object of texts, or a list of {{name, value}}")
        return found
    if not isinstance(given, dict):
        raise errors.InvalidParams(f"{key} must be an object of texts")
    for name, value in given.items():
        if value is None:
            continue  # an editor's way to leave it out
        if (text := _text(value)) is None:
            raise errors.InvalidParams(f"{key} must be an object of texts, and {name[:60]} is none")
        found[name] = text
    return found


def _text(value: Json) -> str | None:
    """A text, number or boolean as JavaScript writes it; None for anything else."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 1e21:
            return str(int(value))
        case int() | float():
            return str(value)
    return None


def _seconds(entry: dict[str, Json], key: str) -> float | None:
    given = entry.get(key)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given <= 86_400:
        raise errors.InvalidParams(f"{key} must be a number of seconds above 0")
    return float(given)
