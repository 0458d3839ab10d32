"""``mcp init``, ``add``, ``list``, ``remove``, ``trust``, ``ask``: the file of the MCP servers.

It is edited as text: nothing is connected to, and no secret is read. A running server sees a change by itself.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_config_dir
from traitlets import Bool, Float, List, Unicode

from .. import errors, files, processes, visible
from ..nearest import did_you_mean
from ..rpc.jsonrpc import Json
from ..session.upstreams import approve_command
from ..settings import usual_places
from ..upstream import config, store
from ..upstream.allowed import FILE as ALLOWED_FILE
from ..upstream.allowed import Allowed
from ..upstream.fingerprints import FILE as TOOLS_FILE
from ..upstream.fingerprints import Fingerprints
from ..upstream.secrets import SecretText
from ..upstream.trust import FILE as TRUST_FILE
from ..upstream.trust import Trust, place_of
from . import terminal
from .command import Command, Exit, Stop, say

FILE = "pctx.json"
"""What the file is called, where none is named."""


class FileCommand(Command):
    """A command that reads or writes the file."""

    file = Unicode("", config=True, help=f"The file; else {FILE} here, or in Jupyter's configuration directory.")

    aliases: dict[str, Any] = {**Command.aliases, "file": "FileCommand.file"}

    @property
    def path(self) -> Path:
        """The file that is meant, whether it is there or not."""
        if self.file:
            return Path(self.file)
        places = [Path(FILE), Path(jupyter_config_dir()) / FILE]
        return next((place for place in places if place.is_file()), places[0])

    def read(self) -> tuple[bytes, config.Parsed]:
        """The file's text, and what it says; raises `Stop` when there is none, `InvalidParams` when it is no JSON."""
        text = _touch(self.path, lambda: files.read(str(self.path)))
        if text is None:
            raise Stop(Exit.USAGE, f"Cannot read {self.path}: there is no such file; jupyter pctx mcp init makes one")
        return text, config.parse(text, str(self.path), str(self.path))

    def allowed(self) -> Allowed:
        """The tools that are allowed without asking, of the servers of such files. Raises `Stop`."""
        known = Allowed(str(Path(usual_places("").data, ALLOWED_FILE)))
        _ = known.mark
        self.check(known)
        return known

    def changed(self, server: config.ServerConfig) -> list[str]:
        """The tools of a server that had changed since they were approved when any engine last listed them."""
        known = Fingerprints(str(Path(usual_places("").data, TOOLS_FILE)))
        return known.changed(server.name, server.way.shown)

    def check(self, known: Allowed) -> None:
        """Raise `Stop` where the file of what is allowed cannot be read or written."""
        if known.trouble is not None:
            raise Stop(Exit.UNREACHABLE, f"Cannot open {ALLOWED_FILE}: {known.trouble}")

    def chosen(self, names: Iterable[str], what: str) -> tuple[list[config.ServerConfig], tuple[str, ...]]:
        """The servers of these names, or all that the file has, and what is wrong with the file.

        Raises:
            Stop: The file does not name one of them; the message says that `what` cannot be done.
        """
        _, parsed = self.read()
        known = {one.name: one for one in parsed.servers}
        if unknown := sorted(set(names) - known.keys()):
            there = ", ".join(sorted(known)) or "none"
            hint = did_you_mean(unknown[0], known)
            raise Stop(Exit.USAGE, f"Cannot {what} {unknown[0]}: no such server{hint}; {self.path} has {there}")
        return [known[name] for name in names] or list(parsed.servers), parsed.problems

    def trusted(self) -> Trust:
        """The trusted servers of such files."""
        return Trust(str(Path(usual_places("").data, TRUST_FILE)))

    @property
    def is_in_question(self) -> bool:
        """Whether the file may have come with a folder; Jupyter's configuration directory is its owner's."""
        path, settings = self.path.absolute(), self.settings()
        own = Path(jupyter_config_dir()).resolve() == path.parent.resolve()
        named = bool(settings.upstreams) and Path(settings.upstreams).expanduser().absolute() == path
        return not own and not named and not settings.trust_folder

    def trust(self, servers: Iterable[config.ServerConfig]) -> None:
        """Let servers of the file start; raises `Stop`."""
        known = self.trusted()
        _touch(Path(TRUST_FILE), lambda: known.add(str(self.path), servers))

    def edit(self, change: Callable[[bytes | None], bytes]) -> None:
        """Replace the text with what a function makes of it (None: there is no file); raises `Stop`."""
        path = str(self.path)

        def act() -> None:
            with store.locked_edit(path, usual_places("").data):
                files.write(path, change(files.read(path)))

        _touch(self.path, act)


def _touch(path: Path, act: Callable[[], Any]) -> Any:
    try:
        return act()
    except OSError as error:
        raise Stop(Exit.UNREACHABLE, f"Cannot open {path}: {processes.shortage(error, otherwise='')}") from None


class Init(FileCommand):
    """``jupyter pctx mcp init``."""

    description = f"Make an empty {FILE} in this folder, or where --file says."

    def main(self) -> int:
        """Make it."""
        path = Path(self.file or FILE)
        if path.exists():
            raise Stop(Exit.USAGE, f"Cannot make {path}: it is there already")
        _touch(path, lambda: files.write(str(path), b'{\n  "name": "pctx",\n  "servers": []\n}\n'))
        say(f"Made {path}. Next: jupyter pctx mcp add NAME URL, or jupyter pctx mcp add NAME -- COMMAND …")
        return Exit.OK


class Add(FileCommand):
    """``jupyter pctx mcp add``."""

    takes_words = True

    description = """
        Add a server to the file: jupyter pctx mcp add NAME URL, or jupyter pctx mcp add NAME -- COMMAND ARGUMENT …

        Keep secrets out of the file: ${env:NAME}, ${keychain:NAME} and ${command:…} stand for them in --bearer,
        --header and --env, and are read when a connection is made.
        """
    examples = (
        "jupyter pctx mcp add time -- mcp-server-time --local-timezone UTC\n"
        "jupyter pctx mcp add wiki https://wiki.example/mcp --bearer '${env:WIKI_TOKEN}'"
    )

    bearer = Unicode("", config=True, help="The token that is sent to its URL.")
    headers = List(Unicode(), config=True, help="A header that is sent to its URL: NAME=VALUE. Repeatable.")
    environment = List(Unicode(), config=True, help="A variable in its environment: NAME=VALUE. Repeatable.")
    call_timeout = Float(None, allow_none=True, config=True, help="Seconds one of its calls may take.")

    aliases: dict[str, Any] = {
        **FileCommand.aliases,
        "bearer": "Add.bearer",
        "header": "Add.headers",
        "env": "Add.environment",
        "call-timeout": "Add.call_timeout",
    }

    def main(self) -> int:
        """Add it."""
        entry = self._entry()
        server = config.server_of(entry)
        assert server is not None  # it is not switched off
        config.check_sendable(server)

        def add(text: bytes | None) -> bytes:
            known = config.parse(text, str(self.path)).servers if text is not None else ()
            if other := next((one for one in known if one.namespace == server.namespace), None):
                raise Stop(
                    Exit.USAGE,
                    f"Cannot add {server.name}: {self.path} has {other.name}, whose tools are in {other.namespace} "
                    "too; choose another name, or remove that one",
                )
            return config.with_entry(text, entry, str(self.path))

        self.edit(add)
        self.trust([server])
        for written in (self.bearer, *self.headers, *self.environment):
            if written and not SecretText(written).has_reference:
                say(f"Note: {written.partition('=')[0] if '=' in written else 'the token'} is in {self.path} as it is")
                break
        command = str(entry.get("command", ""))
        if command and not set("$~") & set(command) and shutil.which(command) is None:
            hint = "; a URL begins with https:// or http://" if "." in command else ""
            say(f"Note: there is no command {command} here{hint}")
        say(f"Added {server.name} to {self.path}. Try it: jupyter pctx mcp test {shlex.quote(server.name)}")
        return Exit.OK

    def _entry(self) -> dict[str, Json]:
        """The entry of the file that the command line describes."""
        name, *where = self.extra_args or [""]
        if not name or not where:
            ways = "jupyter pctx mcp add NAME URL, or jupyter pctx mcp add NAME -- COMMAND …"
            raise Stop(Exit.USAGE, f"Cannot add: {ways}")
        entry: dict[str, Json] = {"name": name}
        if len(where) == 1 and where[0].startswith(("http://", "https://")):
            entry["url"] = where[0]
            headers = _pairs(self.headers, "--header")
            if self.bearer and headers:
                headers = {"Authorization": f"Bearer {self.bearer}"} | headers
            if headers:
                entry["auth"] = {"type": "headers", "headers": dict(headers)}
            elif self.bearer:
                entry["auth"] = {"type": "bearer", "token": self.bearer}
        else:
            if self.bearer or self.headers:
                raise Stop(Exit.USAGE, "Cannot add: --bearer and --header are sent to a URL; a command has --env")
            entry |= {"command": where[0], "args": list(where[1:])}
        if environment := _pairs(self.environment, "--env"):
            if "url" in entry:
                raise Stop(Exit.USAGE, "Cannot add: --env is for a command; a URL has --header")
            entry["env"] = dict(environment)
        if self.call_timeout is not None:
            entry["call_timeout_s"] = self.call_timeout
        return entry


def _pairs(texts: list[str], option: str) -> dict[str, str]:
    found = {}
    for text in texts:
        name, is_given, value = text.partition("=")
        if not is_given:
            raise Stop(Exit.USAGE, f"Cannot add: {option} looks like NAME=VALUE")
        found[name] = value
    return found


class ListServers(FileCommand):
    """``jupyter pctx mcp list``."""

    description = "List the servers that the file names."

    def main(self) -> int:
        """List them."""
        _, parsed = self.read()
        untrusted: list[config.ServerConfig] = []
        if self.is_in_question:
            known = self.trusted()
            untrusted = [one for one in parsed.servers if not known.holds(str(self.path), one)]
        if self.json:
            listed = [
                {
                    "name": one.name,
                    "namespace": one.namespace,
                    "transport": one.way.transport,
                    "where": one.way.shown,
                    "trusted": one not in untrusted,
                    "changed": self.changed(one),
                }
                for one in parsed.servers
            ]
            answer = {"file": str(self.path), "servers": listed, "problems": parsed.problems}
            terminal.write_json(answer)
        elif parsed.servers:
            rows = [(one.name, one.namespace, one.way.transport, one.way.shown) for one in parsed.servers]
            sys.stdout.write(terminal.table(("NAME", "IN PROGRAMS", "BY", "WHERE"), rows) + "\n")
        else:
            say(f"{self.path} names no server")
        if not self.json:
            for one in parsed.servers:
                if changed := self.changed(one):
                    tools = "1 tool" if len(changed) == 1 else f"{len(changed):,} tools"
                    say(terminal.harmless(f"{one.name}: {tools} changed since approved: {approve_command(one.name)}"))
            if untrusted:
                names = ", ".join(one.name for one in untrusted)
                say(f"Untrusted, so a server that serves this folder does not start them: {names}")
                say("Look at them, then: jupyter pctx mcp trust NAME …")
            for problem in parsed.problems:
                say(terminal.harmless(problem))
        return Exit.USAGE if parsed.problems else Exit.OK


class Remove(FileCommand):
    """``jupyter pctx mcp remove``."""

    takes_words = True

    description = "Take a server out of the file: jupyter pctx mcp remove NAME"

    def main(self) -> int:
        """Take it out."""
        if len(self.extra_args) != 1:
            raise Stop(Exit.USAGE, "Cannot remove: jupyter pctx mcp remove NAME")
        (name,) = self.extra_args
        self.read()  # says so where there is no file

        def remove(text: bytes | None) -> bytes:
            left = None if text is None else config.without_entry(text, name, str(self.path))
            if left is None:
                _, parsed = self.read()
                known = ", ".join(one.name for one in parsed.servers) or "none"
                raise errors.InvalidParams(f"Cannot remove {name}: {self.path} does not name it; it has {known}")
            return left

        self.edit(remove)
        say(f"Removed {name} from {self.path}")
        return Exit.OK


class TrustServers(FileCommand):
    """``jupyter pctx mcp trust``."""

    takes_words = True

    description = f"""
        Let servers start that the {FILE} in this folder names, as it has them now: jupyter pctx mcp trust NAME …, or
        without a name all of them.

        Such a file may have come with the folder. Whatever it says of a server, its command and where secrets go, is
        trusted; when that changes, it has to be trusted again. What you add yourself is trusted.

        With --tools, a person also allows all tools of these servers for good, those that they have or list next:
        agents call them without asking. It ends for a tool when the tool changes.
        """
    examples = "jupyter pctx mcp trust time\njupyter pctx mcp trust time --tools"

    tools = Bool(False, config=True, help="Allow all tools of the servers for good, too.")

    flags: dict[str, Any] = {
        **FileCommand.flags,
        "tools": ({"TrustServers": {"tools": True}}, "Allow all tools of the servers for good, too."),
    }

    def main(self) -> int:
        """Trust them."""
        if self.tools and not self.extra_args:
            raise Stop(Exit.USAGE, "Cannot allow tools: name the servers, jupyter pctx mcp trust --tools NAME …")
        servers, problems = self.chosen(self.extra_args, "trust")
        self.trust(servers)
        if self.tools:
            known = self.allowed()
            for server in servers:
                known.add_next(place_of(str(self.path)), server)
            self.check(known)
        for server in servers:
            say(terminal.harmless(f"Trusted {server.name}: {visible.spelled(server.way.shown)}"))
            if self.tools:
                say("Agents call its tools without asking. To end that: jupyter pctx mcp ask NAME")
        for problem in problems:
            say(terminal.harmless(problem))
        return Exit.OK


class AskAgainCommand(FileCommand):
    """``jupyter pctx mcp ask``."""

    takes_words = True

    description = """
        Ask again before an agent calls tools that are allowed without asking: jupyter pctx mcp ask NAME, or
        jupyter pctx mcp ask NAME TOOL … for some of the server's tools.
        """
    examples = "jupyter pctx mcp ask wiki\njupyter pctx mcp ask wiki delete_page"

    def main(self) -> int:
        """Take the consents back."""
        if not self.extra_args:
            raise Stop(Exit.USAGE, "Cannot ask again: jupyter pctx mcp ask NAME, or jupyter pctx mcp ask NAME TOOL …")
        name, *tools = self.extra_args
        (server,), _ = self.chosen([name], "ask again before tools are called of")
        known, place = self.allowed(), place_of(str(self.path))
        there = known.names(place, server)
        if unknown := sorted(set(tools) - set(there)):
            listed = terminal.harmless(", ".join(there)) or "none"
            raise Stop(Exit.USAGE, f"Cannot ask again: {unknown[0]} is not allowed without asking; allowed: {listed}")
        found = known.forget(place, server.name, tools or None)
        self.check(known)
        say(f"Before tools of {name} are called, you are asked again" if found else f"No tool of {name} was allowed")
        return Exit.OK
