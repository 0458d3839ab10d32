"""The files of MCP clients: each names its servers in words of its own. Text in, entries in our words out.

Claude Code, Claude Desktop, Cursor, Gemini and Qwen have ``mcpServers``, VS Code ``servers`` (in its settings, below
``mcp``), Zed ``context_servers``, Jupyter AI a list ``mcp_servers``. What an entry says is judged in `config`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from .. import errors
from ..rpc.jsonrpc import Json

_LISTS = ("servers", "mcp_servers")
"""Where a list of servers may be."""
_OBJECTS = ("servers", "mcp_servers", "mcpServers", "context_servers")
"""Where an object of servers by name may be."""

_TEXT = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
"""A text of JSON; one without an end takes all that follows, so that none of it is looked at again."""
_TOKEN = re.compile(rf"{_TEXT}|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_LAST_COMMA = re.compile(rf"({_TEXT})|,(?=\s*[}}\]])", re.DOTALL)

_ONLY_THERE = {
    "envFile": "envFile is not read here; write its variables in env, as ${env:NAME} where they are secret",
    "headersHelper": "headersHelper is not run here; write the header in headers, with ${command:…} as its value",
    "authProviderType": "authProviderType is Gemini's own; write a header in headers, with ${command:…} as its value",
}
"""Fields that change what a server gets, and that are not read here: without them it fails for no visible reason."""


def decoded(text: bytes, shown: str) -> tuple[dict[str, Json], bool]:
    """Read a file, which may have comments and commas before a bracket, as editors write their settings.

    Returns:
        What it says, and whether it is strict JSON, and can be written again without a loss.

    Raises:
        InvalidParams: It is no JSON object.
    """
    text = text.removeprefix(b"\xef\xbb\xbf")
    is_strict = True
    try:
        try:
            read = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            plain = _without_comments(text.decode()).encode()
            if plain == text:
                raise error from None
            read, is_strict = msgspec.json.decode(plain), False
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.InvalidParams(f"Cannot read {shown}: it is no JSON ({error})") from None
    if not isinstance(read, dict):
        raise errors.InvalidParams(f"Cannot read {shown}: it must be an object with servers or mcpServers")
    return read, is_strict


def _without_comments(text: str) -> str:
    """JSON without comments and last commas; each character keeps its place, for messages."""
    text = _TOKEN.sub(lambda found: found[0] if found[0][0] == '"' else re.sub(r"[^\n]", " ", found[0]), text)
    return _LAST_COMMA.sub(lambda found: found[1] or " ", text)


def _tables(read: dict[str, Json]) -> Iterator[tuple[str, dict[str, Json], str]]:
    """Where servers may be: an object, a key of it, and what the place is called."""
    for key in dict.fromkeys((*_LISTS, *_OBJECTS)):
        yield key, read, key
    nested = read.get("mcp")
    if isinstance(nested, dict):  # as VS Code's settings have it
        for key in ("servers", "mcpServers"):
            yield f"mcp.{key}", nested, key


def entries(read: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """Every entry, with its place in the file."""
    wanted = read.get("mcp")
    allowed, excluded = None, None
    if isinstance(wanted, dict):  # as Gemini has it
        allowed, excluded = wanted.get("allowed"), wanted.get("excluded")
    for place, holder, key in _tables(read):
        table = holder.get(key)
        if isinstance(table, list) and key in _LISTS:
            for index, entry in enumerate(table):
                yield f"{place}[{index}]", entry
        elif isinstance(table, dict) and key in _OBJECTS:
            for name, entry in table.items():
                is_off = (isinstance(allowed, list) and name not in allowed) or (
                    isinstance(excluded, list) and name in excluded
                )
                if not is_off:
                    yield f"{place}.{name[:60]}", {**entry, "name": name} if isinstance(entry, dict) else entry


def removed(read: dict[str, Json], name: str) -> bool:
    """Take an entry out, wherever it is; returns whether it was there."""
    for _, holder, key in _tables(read):
        table = holder.get(key)
        if isinstance(table, list) and key in _LISTS:
            left = [entry for entry in table if not (isinstance(entry, dict) and entry.get("name") == name)]
            if len(left) < len(table):
                holder[key] = left
                return True
        elif isinstance(table, dict) and key in _OBJECTS and name in table:
            del table[name]
            return True
    return False


def unread(entry: dict[str, Json]) -> str | None:
    """Why an entry would not do here what it does in its client; None when it would."""
    for key, why in _ONLY_THERE.items():
        if entry.get(key) not in (None, "", "dynamic_discovery"):
            return why
    return None


def in_our_words(entry: Json) -> Json:
    """An entry with the fields that mean the same under the names we have for them."""
    if not isinstance(entry, dict):
        return entry
    entry = dict(entry)
    if "url" not in entry:
        for key in ("httpUrl", "serverUrl"):
            if key in entry:
                entry["url"] = entry.pop(key)
                break
    command, auth = entry.get("command"), entry.get("auth")
    if isinstance(command, dict) and "path" in command:  # as older settings of Zed have it
        entry |= {key: command[key] for key in ("args", "env") if key in command}
        entry["command"] = command["path"]
    oauth = entry.get("oauth")
    if isinstance(auth, dict) and "CLIENT_ID" in auth:  # as Cursor has it
        oauth = {"clientId": auth["CLIENT_ID"], "clientSecret": auth.get("CLIENT_SECRET"), "scopes": auth.get("scopes")}
        del entry["auth"]
    if isinstance(oauth, dict) and oauth.get("enabled") is not False and "auth" not in entry:
        scopes = oauth.get("scopes")
        entry["auth"] = {
            "type": "oauth",
            "client_id": oauth.get("clientId"),
            "client_secret": oauth.get("clientSecret"),
            "scope": " ".join(map(str, scopes)) if isinstance(scopes, list) else scopes,
        }
    return entry
