"""``mcp test``, ``approve``, ``log``, ``sign-in``: commands that connect to servers of the file of MCP servers.

They start nothing that came with a folder before a person has trusted it.
"""

from __future__ import annotations

import asyncio
import sys
import webbrowser
from collections.abc import AsyncIterator, Container, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from traitlets import Bool

from .. import errors, visible
from ..session.upstreams import SignIn, Upstream, state_in_words, withheld_in_words
from ..settings import Places, usual_places
from ..upstream import config
from . import terminal
from .command import Exit, Stop, say
from .typed import TypedLines
from .upstreams import FileCommand

if TYPE_CHECKING:
    from ..engine import Engine

FEW_LINES = 10
"""Lines of a server's log that a test shows where the server is not ready."""


class ConnectCommand(FileCommand):
    """A command that connects to servers of the file."""

    takes_words = True

    trust_them = Bool(False, config=True, help="Trust the servers that are not trusted yet, as mcp trust does.")

    flags: dict[str, Any] = {
        **FileCommand.flags,
        "trust": ({"ConnectCommand": {"trust_them": True}}, "Trust those that are not trusted yet, as mcp trust does."),
    }

    def demand_trust(self, verb: str, servers: Iterable[config.ServerConfig]) -> None:
        """Ask about servers that came with a folder and are not trusted yet; a no leaves them untrusted.

        Raises:
            Stop: A person would have to be asked, and there is no terminal.
        """
        if not self.is_in_question:
            return
        known = self.trusted()
        strangers = [one for one in servers if not known.holds(str(self.path), one)]
        if strangers and not self.trust_them and not terminal.can_ask():
            names = ", ".join(one.name for one in strangers)
            raise Stop(
                Exit.USAGE,
                f"Cannot {verb} {names}: {self.path} may have come with this folder, and nobody has trusted what it "
                f"names; look at it, then jupyter pctx mcp trust NAME, or pass --trust",
            )
        for server in strangers:
            if not self.trust_them:
                say(f"{self.path} may have come with this folder, and nobody has trusted {server.name} yet. It")
                for line in config.described(server):
                    say(terminal.harmless(f"  {line}"))
                if not terminal.confirm(f"Trust {server.name} from now on, and connect to it?"):
                    continue
            self.trust([server])

    def one_server(self, verb: str) -> config.ServerConfig:
        """The one server that the arguments name; if nobody has trusted it yet, a person has been asked.

        Raises:
            Stop: The arguments are not one name, the file has no such server, or there is nobody to ask.
        """
        if len(self.extra_args) != 1:
            raise Stop(Exit.USAGE, f"Cannot {verb} a server: give one name, as in {self.examples}")
        (server,), _ = self.chosen(self.extra_args, verb)
        self.demand_trust(verb, [server])
        return server

    @asynccontextmanager
    async def engine(self, names: Container[str]) -> AsyncIterator[Engine]:
        """An engine with this file alone. It checks trust itself: the file may have changed since it was read here.

        Args:
            names: The servers that are waited for.
        """
        from ..embedded import settle
        from ..engine import open_engine

        settings = replace(self.settings(), upstreams="", warm_sandboxes=0, audit="off")  # it runs no programs
        path = str(self.path.absolute())
        data = usual_places(str(Path.cwd())).data
        places = Places(upstreams=(path,), in_question=(path,) if self.is_in_question else (), data=data)
        async with open_engine(settings, places) as engine:
            assert engine.upstreams is not None  # while it is open
            await settle(engine.upstreams, lambda line: say(terminal.harmless(line)), names)
            yield engine


class Test(ConnectCommand):
    """``jupyter pctx mcp test``."""

    description = """
        Connect to the servers that the file names and list their tools: jupyter pctx mcp test, or mcp test NAME …

        Of a file that may have come with the folder, only servers are started that are trusted: at a terminal it shows
        each other one and asks; elsewhere it ends with 2, unless --trust says that you trust them. Ends with 3 when
        one of them is not ready.
        """
    examples = "jupyter pctx mcp test time"

    def main(self) -> int:
        """Connect."""
        servers, _ = self.chosen(self.extra_args, "test")
        self.demand_trust("test", servers)
        tested = asyncio.run(self._connect({one.name for one in servers}))
        _, parsed = self.read()
        if self.json:
            terminal.write_json({"servers": tested, "problems": parsed.problems})
        else:
            for one in tested:
                sys.stdout.write(terminal.harmless(_said(one)))
            for problem in parsed.problems:
                say(terminal.harmless(problem))
        return Exit.OK if all(one.server.state == "ready" for one in tested) else Exit.UNREACHABLE

    async def _connect(self, names: set[str]) -> list[Tested]:
        """Take down what the servers offer."""
        async with self.engine(names) as engine:
            assert engine.upstreams is not None  # while it is open
            tools = list(engine.registry.upstreams)
            return [
                Tested(server, [_Tool(t.path, t.description) for t in tools if t.namespace_name == server.namespace])
                for server in map(_tried, engine.upstreams.listed().upstreams)
                if server.name in names
            ]


def _tried(server: Upstream) -> Upstream:
    """Say that a server is down whose first attempt failed, also while the next one is under way."""
    if server.state == "connecting" and server.error:
        return msgspec.structs.replace(server, state="down")
    return server


class Approve(ConnectCommand):
    """``jupyter pctx mcp approve``."""

    description = """
        Take the tools of a server as they are now: jupyter pctx mcp approve NAME. A tool whose description or schemas
        have changed since it was approved is withheld from programs until then.

        Connects to the server, and prints word for word what has changed. Servers that run here offer the tools
        within seconds. Ends with 3 when the server cannot be asked.
        """
    examples = "jupyter pctx mcp approve wiki"

    def main(self) -> int:
        """Approve them."""
        server = self.one_server("approve")
        before, after = asyncio.run(self._approve(server))
        if self.json:
            terminal.write_json({"server": after, "changed": before.changed})
        elif before.state != "ready":
            say(terminal.harmless(f"Cannot approve {before.name}: it is {state_in_words(before)}"))
        else:
            for line in changes_in_words(before):
                sys.stdout.write(terminal.harmless(f"{line}\n"))
            number = len(before.changed) + len(before.new)
            say(
                f"Approved {before.name}: {number:,} tools had changed or were new" if number else "Nothing had changed"
            )
        return Exit.OK if before.state == "ready" else Exit.UNREACHABLE

    async def _approve(self, server: config.ServerConfig) -> tuple[Upstream, Upstream]:
        async with self.engine({server.name}) as engine:
            assert engine.upstreams is not None  # while it is open
            before, _ = engine.upstreams.offered(server.name)
            if before.state != "ready":
                return before, before
            return before, engine.upstreams.approve(server.name, before.mark)


class Log(ConnectCommand):
    """``jupyter pctx mcp log``."""

    description = """
        Connect to a server and print the last lines that it wrote to stderr, or sent as log messages:
        jupyter pctx mcp log NAME. Ends with 3 when it is not ready.
        """
    examples = "jupyter pctx mcp log wiki"

    def main(self) -> int:
        """Print them."""
        server = self.one_server("print the log of")
        view = asyncio.run(self._offered(server))
        if self.json:
            terminal.write_json({"server": view})
        else:
            for line in view.log:
                sys.stdout.write(terminal.harmless(f"{line}\n"))
            say(terminal.harmless(f"{view.name} ({view.where}): {state_in_words(view)}"))
        return Exit.OK if view.state == "ready" else Exit.UNREACHABLE

    async def _offered(self, server: config.ServerConfig) -> Upstream:
        async with self.engine({server.name}) as engine:
            assert engine.upstreams is not None  # while it is open
            view, _ = engine.upstreams.offered(server.name)
            return view


class SignInTo(ConnectCommand):
    """``jupyter pctx mcp sign-in``."""

    description = """
        Sign in to a server of the file that wants it: jupyter pctx mcp sign-in NAME

        Says at which host, before a browser is sent there, and waits until the browser comes back. Where it cannot,
        because it runs on another machine, give the address that it was sent to on standard input. Servers that run
        here, and engines to come, use what is kept of it. Ends with 3 when it has led to no connection.
        """
    examples = "jupyter pctx mcp sign-in wiki"

    def main(self) -> int:
        """Sign in."""
        server = self.one_server("sign in to")
        view = asyncio.run(self._sign_in(server))
        if self.json:
            terminal.write_json({"server": view})
        else:
            sys.stdout.write(terminal.harmless(f"{view.name} ({view.where}): {view.error or view.state}\n"))
        return Exit.OK if view.state == "ready" else Exit.UNREACHABLE

    async def _sign_in(self, server: config.ServerConfig) -> Upstream:
        async with self.engine({server.name}) as engine:
            assert engine.upstreams is not None  # while it is open
            page = await engine.upstreams.sign_in(server.name, None)
            ended = asyncio.create_task(engine.upstreams.signed_in(server.name))
            lines = TypedLines()
            self._show(server, page)
            if not self.json and terminal.can_ask():
                say("Open it in your browser? [y/N]")
                if (await _typed(lines, ended) or "").lower() in ("y", "yes"):
                    webbrowser.open(page.url)
            say("Waiting for the browser to come back. Where it cannot, paste the address that it was sent to.")
            while (line := await _typed(lines, ended)) is not None:
                if not line:
                    continue
                try:
                    await engine.upstreams.finish_sign_in(line)
                except errors.InvalidParams as error:
                    say(terminal.harmless(error.message))
            return await ended

    def _show(self, server: config.ServerConfig, page: SignIn) -> None:
        """Print the address for the browser: the host first, since a page's address can be long and misleading."""
        if self.json:
            terminal.write_json(page)
        say(terminal.harmless(f"{page.question}, for {server.name} ({visible.spelled(server.way.shown)})"))
        say(terminal.harmless(page.url))


async def _typed(lines: TypedLines, ended: asyncio.Task[Upstream]) -> str | None:
    """Wait for the next line that a person types; None: the sign-in has ended before."""
    line = asyncio.create_task(lines.next())
    await asyncio.wait({ended, line}, return_when=asyncio.FIRST_COMPLETED)
    if line.done() and line.result() is None:  # nothing more can come
        await asyncio.wait({ended})
    line.cancel()
    return None if ended.done() else line.result()


class _Tool(msgspec.Struct):
    name: str
    description: str


class Tested(msgspec.Struct):
    """What came of the attempt to connect to a server."""

    server: Upstream
    tools: list[_Tool]


def changes_in_words(server: Upstream) -> list[str]:
    """Describe word for word what has changed in a server's tools since they were approved: lines for a terminal."""
    lines = []
    for tool in server.changed:
        lines.append(f"  {tool.name} has changed: {', '.join(tool.what)}")
        if "description" in tool.what:
            lines += [f"    was: {visible.line(tool.was, 1000)}", f"    now: {visible.line(tool.now, 1000)}"]
        lines += [f"    {difference}" for difference in tool.differences]
    return lines


def _said(tested: Tested) -> str:
    """The server in a line, and its tools below."""
    server = tested.server
    state = state_in_words(server)
    if server.state == "ready":
        withheld = f"; {withheld_in_words(server)}" if server.withheld else ""
        state = f"ready, {len(tested.tools)} tools{withheld}"
    lines = [f"{server.name} ({server.where}): {state}", *server.problems]
    lines += changes_in_words(server)
    if server.state != "ready" and server.log:
        lines += ["  It wrote:", *(f"    {line}" for line in server.log[-FEW_LINES:])]
    for tool in tested.tools:
        summary = tool.description.strip().partition("\n")[0]
        lines.append(f"  {tool.name}" + (f"  {summary[:100]}" if summary else ""))
    return "\n".join(lines) + "\n"
