"""All upstreams of an engine: read from files, added and removed while it runs, their tools in one catalog.

The SDK is imported with the first server there is to connect to, on a thread of its own: it takes most of a second.
Nothing here waits for a server, and nothing a server does keeps the others from being served.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from .. import errors, files, processes, threads
from ..rpc.jsonrpc import Json
from ..session.observations import Observations
from ..session.remembered import Permission
from ..session.upstreams import Listed, SignIn, missing_in_words
from ..session.upstreams import Upstream as View
from ..session.watch import Change
from ..settings import Places, Settings
from ..tools import names
from ..tools.calls import AskedBy
from ..tools.catalog import Catalog
from ..tools.tool import Tool
from . import config, store
from .allowed import FILE as ALLOWED_FILE
from .allowed import Allowed
from .fingerprints import FILE as TOOLS_FILE
from .fingerprints import Fingerprints
from .secrets import RedactingFilter, Redactor
from .trust import FILE as TRUST_FILE
from .trust import Trust, digest, place_of

if TYPE_CHECKING:
    from .server import UpstreamServer
    from .shared import Surroundings

log = logging.getLogger(__name__)

REFRESH_S = 2.0
"""Seconds between two looks whether a file has changed."""

FILES_S = 15.0
"""Seconds a program waits until the files that name servers are read."""

QUIET_S = 1.0
"""Seconds a program waits for a server before a line says so."""

SLACK_S = 10.0
"""Seconds a program waits for a server beyond the server's own limit: a process that has to end takes some."""

NO_FILE = "none"
"""What `Pctx.upstreams` says where no file is to be read."""

LIBRARIES = ("httpx2", "mcp.client.auth.oauth2", "mcp.client.streamable_http", "mcp.client.sse", "client")
"""Loggers of others that may write what is secret here: URLs, bodies, headers."""

OnChange = Callable[[Change], None]


@dataclass(slots=True)
class _File:
    """One configuration file, as it was last read."""

    path: str
    must_exist: bool = False
    mark: tuple[int, int, int] | None = None
    parsed: config.Parsed = field(default_factory=config.Parsed)
    problems: tuple[str, ...] = ()
    is_read: bool = False

    @property
    def shown(self) -> str:
        path, home = Path(self.path), Path.home()
        return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else self.path

    def read(self) -> bool:
        """Read it if it has changed; returns whether it had. What cannot be read leaves what was there."""
        mark = files.mark(self.path)
        if mark == self.mark and self.is_read:
            return False
        self.mark, self.is_read = mark, True
        try:
            text = files.read(self.path)
            self.parsed = config.Parsed() if text is None else config.parse(text, self.shown, self.path)
            self.problems = self.parsed.problems
            if text is None and self.must_exist:
                self.problems = (f"Cannot read {self.shown}: there is no such file (Pctx.upstreams)",)
        except OSError as error:
            self.is_read = False  # the next time there may be descriptors again
            before, self.problems = self.problems, (f"Cannot read {self.shown}: {_why(error)}",)
            if self.problems == before:
                return False
        except errors.InvalidParams as error:
            self.problems = (f"{error.message}; what it said before still holds",)
        for problem in self.problems:
            log.warning("upstreams = %s", problem)
        return True


class OpenUpstreams:
    """The upstreams of one engine: a `pctx_jupyter.session.upstreams.Upstreams`. `open_upstreams` makes it.

    It also keeps consents to their tools: a `pctx_jupyter.session.remembered.Remembered`.

    Args:
        settings: How long things may take, and what changed tools become.
        places: Where the files are.
        catalog: Where the tools go.
        on_change: Called with what has changed.
        observations: What tools without a return type have returned; None: that is not observed.
        refresh_s: Seconds between two looks whether a file has changed.
    """

    def __init__(
        self,
        settings: Settings,
        places: Places,
        catalog: Catalog,
        on_change: OnChange,
        observations: Observations | None = None,
        *,
        refresh_s: float = REFRESH_S,
    ) -> None:
        self._observations, self._refresh_s = observations, refresh_s
        self._settings, self._catalog, self._on_change = settings, catalog, on_change
        self._data = places.data
        named = settings.upstreams not in ("", NO_FILE)
        self._files = [_File(path, must_exist=named) for path in _paths(settings, places)]
        is_asked = not (named or settings.trust_folder)
        self._in_question = {str(Path(path).absolute()) for path in places.in_question} if is_asked else set()
        self._trust = Trust(str(Path(places.data, TRUST_FILE)) if places.data else "")
        self._trusted_mark: object = self._trust.mark
        self._allowed = Allowed(str(Path(places.data, ALLOWED_FILE)) if places.data else "")
        self._allowed_mark: object = self._allowed.mark
        self._approved_mark: object = None
        self._passed_over: list[str] = []  # sentences about servers whose names others have
        self._open: dict[str, UpstreamServer] = {}  # by namespace
        self._closing: set[asyncio.Task[None]] = set()
        self._added: dict[str, config.ServerConfig] = {}  # by hand, for as long as this runs; by namespace
        self._left_out: dict[str, config.ServerConfig] = {}  # removed, but still in a file; by namespace
        self._lock, self._adding = asyncio.Lock(), asyncio.Lock()
        self._has_refreshed = asyncio.Event()
        self._redactors: list[Redactor] = []
        self._log_filter = RedactingFilter(self._redactors)
        self._around: Surroundings | None = None

    # requests of all callers

    def listed(self) -> Listed:
        views = [upstream.view() for upstream in self._open.values()]
        problems = [problem for file in self._files for problem in file.problems] + self._passed_over
        return Listed(sorted(views, key=lambda view: view.name.lower()), problems)

    def clean(self, text: str) -> str:
        for redactor in self._redactors:
            text = redactor.clean(text)
        return text

    def namespaces(self) -> set[str]:
        return set(self._wanted())

    def why_missing(self, name: str) -> str | None:
        namespace, _, tool = name.partition(".")
        for upstream in self._open.values():
            if upstream.server.namespace == namespace:
                view = upstream.view()
                withheld = {names.tool_name(one) for one in view.withheld}
                is_there = view.state == "ready" and (tool not in withheld if tool else not withheld)
                return None if is_there else missing_in_words(view)
        return None

    def offered(self, name: str) -> tuple[View, list[Tool]]:
        upstream = self._find(name)
        listing = upstream.listing
        return upstream.view(), [*listing.offered.values(), *(one.tool for one in listing.functions)]

    async def add(self, entry: Json, *, persist: bool) -> View:
        server = _server_of(entry, "add")
        assert isinstance(entry, dict)
        async with self._adding:
            return await self._add(server, entry, persist=persist)

    async def test(self, entry: Json) -> View:
        upstream = await self._make(_server_of(entry, "test"), None, is_test=True)
        try:
            upstream.start()
            with suppress(TimeoutError):
                async with asyncio.timeout(upstream.connection.limit_s + SLACK_S):
                    await upstream.try_once()
            return upstream.view()
        finally:
            await upstream.stop()
            self._redactors.remove(upstream.redactor)

    async def _add(self, server: config.ServerConfig, entry: dict[str, Json], *, persist: bool) -> View:
        self._left_out.pop(server.namespace, None)
        await self._refresh()
        # What is wanted counts, and not what is open: to open takes its time.
        if (taken := self._wanted().get(server.namespace)) is not None:
            other, _ = taken
            raise errors.UpstreamExists(
                f"Cannot add the server {server.name}: there is {other.name} already, with the namespace "
                f"{server.namespace}; remove it first, or choose another name"
            )
        if persist:
            await asyncio.to_thread(self._write, entry)
            if self._files[-1].path in self._in_question:
                await self._add_trust(self._files[-1], server)
            await self._refresh()
        else:
            self._added[server.namespace] = server
        await self._adjust()  # or wait for who does it already
        return self._find(server.name).view()

    async def remove(self, name: str) -> None:
        upstream = self._find(name)
        if self._added.pop(upstream.server.namespace, None) is None:
            try:
                await asyncio.to_thread(self._unwrite, upstream)
            except errors.PctxError as error:
                # The file keeps it, perhaps on a full disk. A server that is removed must be gone in any case.
                self._left_out[upstream.server.namespace] = upstream.server
                await self._adjust()
                raise type(error)(f"{error.message}; {upstream.name} is disconnected until the next start") from None
            await self._refresh()
        await self._adjust()
        upstream.around.fingerprints.forget(upstream.name, upstream.server.way.shown)
        self._allowed.forget(upstream.place, upstream.name)
        await upstream.around.sign_ins.forget(upstream.name)

    def reconnect(self, name: str) -> View:
        upstream = self._find(name)
        upstream.connection.reconnect()
        return upstream.view()

    def approve(self, name: str, seen: str | None = None) -> View:
        upstream = self._find_as_seen(name, seen)
        upstream.listing.approve()
        return upstream.view()

    async def trust(self, name: str, seen: str | None = None, *, tools: bool = False) -> View:
        upstream = self._find_as_seen(name, seen)
        _, file = self._wanted().get(upstream.server.namespace, (None, None))
        if file is not None and file.path in self._in_question:
            await self._add_trust(file, upstream.server)
        if tools:
            upstream.allow_all()
        upstream.connection.check_trust()
        return upstream.view()

    def ask_again(self, name: str, tool: str | None = None) -> View:
        upstream = self._find(name)
        if not upstream.ask_again(tool) and tool is not None:
            raise errors.InvalidParams(
                f"Cannot ask again: {tool[:100]} of {upstream.name} is not allowed without asking"
            )
        return upstream.view()

    async def sign_in(self, name: str, redirect_url: str | None) -> SignIn:
        upstream = self._find(name)
        return await upstream.sign_in(redirect_url)

    async def finish_sign_in(self, url: str) -> View:
        if self._around is None:
            raise errors.InvalidParams("Cannot sign in: no server wants it")
        upstream = self._find(self._around.sign_ins.finish(url))
        await upstream.settled()
        return upstream.view()

    async def signed_in(self, name: str) -> View:
        upstream = self._find(name)
        await upstream.signed_in()
        return upstream.view()

    # consents to their tools

    def permissions(self) -> list[Permission]:
        return [one for upstream in self._open.values() for one in upstream.permissions()]

    def revoke(self, id: str) -> bool:
        return any(upstream.revoke(id) for upstream in self._open.values())

    def has(self, tool: Tool) -> bool:
        return self._offering(tool) is not None

    def allows(self, tool: Tool, by: AskedBy) -> bool:
        upstream = self._offering(tool)
        return upstream is not None and upstream.allows(tool.first, by)

    def allow(self, tool: Tool, by: AskedBy) -> None:
        if (upstream := self._offering(tool)) is not None:
            upstream.allow(tool.first, by)

    def _offering(self, tool: Tool) -> UpstreamServer | None:
        """The server that offers this very tool."""
        found = self._open.get(tool.first.namespace_name)
        return found if found is not None and found.listing.has(tool.first) else None

    async def settle(self, code: str, on_wait: Callable[[str], None] | None = None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FILES_S):
                await self._has_refreshed.wait()
        named = [upstream for upstream in self._open.values() if upstream.is_named_in(code)]
        if named:
            await asyncio.gather(*(self._settle(upstream, on_wait) for upstream in named))

    async def _settle(self, upstream: UpstreamServer, on_wait: Callable[[str], None] | None) -> None:
        """Wait until one server has been tried; say so if it takes a while."""
        work = asyncio.ensure_future(upstream.try_once())
        try:
            done, _ = await asyncio.wait({work}, timeout=QUIET_S)
            if not done:
                limit_s = upstream.connection.limit_s
                if on_wait is not None:
                    on_wait(f"Waiting for the MCP server {upstream.name}: it is connecting ({limit_s:g} s at most)")
                await asyncio.wait({work}, timeout=limit_s + SLACK_S)
        finally:
            work.cancel()

    # the owner

    async def run(self) -> None:
        """Look at the files now and then."""
        while True:
            try:
                await self._refresh()
            except Exception:
                log.exception("upstreams = failed")
            self._has_refreshed.set()
            await asyncio.sleep(self._refresh_s)

    async def close(self) -> None:
        """Disconnect from all."""
        if self._around is not None:
            self._around.sign_ins.end_all()
        for upstream in self._open.values():
            self._close(upstream)
        self._open = {}
        await asyncio.gather(*self._closing)
        await processes.aside(partial(self._allowed.retry, store.LOCK_S))
        if self._around is not None:
            await processes.aside(partial(self._around.fingerprints.retry, store.LOCK_S))
        for name in LIBRARIES:
            logging.getLogger(name).removeFilter(self._log_filter)

    async def _refresh(self) -> None:
        changed = [file.read() for file in self._files]
        mark, self._trusted_mark = self._trusted_mark, self._trust.mark
        if any(changed) or mark != self._trusted_mark:
            await self._adjust()
            self._on_change("upstreams")
        self._allowed.retry()
        have_approvals_changed = False
        if self._around is not None:
            fingerprints = self._around.fingerprints
            fingerprints.retry()
            mark, self._approved_mark = self._approved_mark, fingerprints.mark
            have_approvals_changed = mark not in (None, self._approved_mark)
        has_signed_in = self._around is not None and await self._around.sign_ins.have_changed()
        for upstream in self._open.values():
            upstream.connection.check_trust()
            if have_approvals_changed:
                upstream.listing.compare_again()
            if has_signed_in:
                upstream.connection.check_sign_in()
        mark, self._allowed_mark = self._allowed_mark, self._allowed.mark
        if mark != self._allowed_mark:
            for upstream in self._open.values():
                upstream.listing.allow_next()
            self._on_change("upstreams")

    async def _adjust(self) -> None:
        """Open and close what the files, and those who added servers, want open."""
        async with self._lock:
            wanted = self._wanted()
            self._passed_over = self._say_passed_over(wanted)
            gone = [
                namespace
                for namespace, upstream in self._open.items()
                if namespace not in wanted or wanted[namespace][0] != upstream.server
            ]
            closing = [self._open.pop(namespace) for namespace in gone]
            stopping = {upstream.server.namespace: self._close(upstream) for upstream in closing}
            for upstream in closing:
                server, file = wanted.get(upstream.server.namespace, (None, None))
                if server is None or digest(server) != digest(upstream.server) or _place(file) != upstream.place:
                    self._allowed.forget(upstream.place, upstream.name)
            opened = wanted.keys() - self._open.keys()
            if closing or opened:
                self._on_change("upstreams")  # their names are taken from now on
            # Those that take the place of one that is closing come last: the others must not wait for it.
            for namespace in sorted(wanted, key=lambda namespace: namespace in stopping):
                server, file = wanted[namespace]
                if namespace in self._open:
                    source = None if file is None else file.shown
                    self._open[namespace].configure(source, _place(file), self._trusting(server, file))
                    continue
                if namespace in stopping:
                    await asyncio.wait({stopping[namespace]})
                upstream = await self._make(server, file)
                self._open[namespace] = upstream
                upstream.start()
            if closing or opened:
                self._on_change("upstreams")
            if stopping:
                await asyncio.wait(stopping.values())

    def _close(self, upstream: UpstreamServer) -> asyncio.Task[None]:
        """Begin to close a server; `close` waits for it, even if the caller here is cancelled."""
        upstream.listing.close()
        task = asyncio.create_task(upstream.stop(), name=f"upstream {upstream.name}, closing")
        self._closing.add(task)

        def forget(task: asyncio.Task[None]) -> None:
            self._closing.discard(task)
            self._redactors.remove(upstream.redactor)

        task.add_done_callback(forget)
        return task

    def _wanted(self) -> dict[str, tuple[config.ServerConfig, _File | None]]:
        """The servers that the files name and that were added, with their files, by namespace.

        An untrusted one takes no name from another.
        """
        wanted: dict[str, tuple[config.ServerConfig, _File | None]] = {}
        named = [
            (server, file)
            for file in self._files
            for server in file.parsed.servers
            if self._left_out.get(server.namespace) != server
        ]
        is_trusted = [self._trusting(server, file)() for server, file in named]
        for counts in (True, False):
            for one, trusted in zip(named, is_trusted, strict=True):
                if trusted is counts:
                    wanted.setdefault(one[0].namespace, one)
            if counts:
                for server in self._added.values():
                    wanted.setdefault(server.namespace, (server, None))
        return wanted

    def _say_passed_over(self, wanted: dict[str, tuple[config.ServerConfig, _File | None]]) -> list[str]:
        return [
            f"{file.shown}: {server.name} is passed over, for nobody has trusted it, and there is another of that name"
            for file in self._files
            if file.path in self._in_question
            for server in file.parsed.servers
            if wanted[server.namespace][0] is not server and not self._trust.holds(file.path, server)
        ]

    def _trusting(self, server: config.ServerConfig, file: _File | None) -> Callable[[], bool]:
        """Return the function that decides whether a server is trusted."""
        if file is None or file.path not in self._in_question:
            return lambda: True
        return lambda: self._trust.holds(file.path, server)

    async def _add_trust(self, file: _File, server: config.ServerConfig) -> None:
        try:
            await asyncio.to_thread(self._trust.add, file.path, [server])
        except OSError as error:
            raise errors.CannotWrite(
                f"Cannot trust {server.name}: {self._data}/{TRUST_FILE} cannot be written ({_why(error)})"
            ) from None

    async def _make(self, server: config.ServerConfig, file: _File | None, *, is_test: bool = False) -> UpstreamServer:
        """Make a server; with `is_test`, one whose tools nobody can call, and of which nothing is kept."""
        module = await threads.compute(import_module, f"{__package__}.server")
        if self._around is None:
            signin = await threads.compute(import_module, f"{__package__}.sign_in")
            data = self._data and Path(self._data)
            in_keychain = self._settings.sign_ins == "keychain"
            kept = signin.SignInStore(str(data / "sign-ins.json") if data else "", in_keychain=in_keychain)
            fingerprints = Fingerprints(str(data / TOOLS_FILE) if data else "")
            shared = import_module(f"{__package__}.shared")
            self._around = shared.Surroundings(
                self._settings,
                self._catalog,
                fingerprints,
                self._allowed,
                signin.SignIns(kept),
                self._on_change,
                self._observations,
            )
            for name in LIBRARIES:
                logging.getLogger(name).addFilter(self._log_filter)
        around = self._around
        if is_test:
            around = replace(
                around,
                catalog=Catalog(),
                fingerprints=Fingerprints(""),
                allowed=Allowed(""),
                on_change=lambda change: None,
            )
        upstream: UpstreamServer = module.UpstreamServer(
            server, None if file is None else file.shown, around, self._trusting(server, file), _place(file)
        )
        self._redactors.append(upstream.redactor)
        return upstream

    def _find(self, name: str) -> UpstreamServer:
        with suppress(errors.InvalidParams):
            if (found := self._open.get(names.namespace_name(name))) is not None:
                return found
        known = ", ".join(sorted(upstream.name for upstream in self._open.values())) or "none"
        raise errors.UpstreamNotFound(f"Cannot find an MCP server named {name[:80]!r}; there are: {known}")

    def _find_as_seen(self, name: str, seen: str | None) -> UpstreamServer:
        """Return the server that a person agrees to; refuse it if it has changed since they looked at it."""
        found = self._find(name)
        if seen not in (None, found.listing.mark):
            raise errors.InvalidParams(
                f"Cannot take {found.name} as it is: it has changed since you looked at it; look at it again"
            )
        return found

    # files

    def _write(self, entry: dict[str, Json]) -> None:
        if not self._files:
            raise errors.InvalidParams("Cannot keep this server: there is no file to write it to (Pctx.upstreams)")
        file = self._files[-1]
        try:
            with store.locked_edit(file.path, self._data):
                files.write(file.path, config.with_entry(files.read(file.path), entry, file.shown))
        except OSError as error:
            raise errors.CannotWrite(f"Cannot write {file.shown}: {_why(error)}") from None

    def _unwrite(self, upstream: UpstreamServer) -> None:
        for file in self._files:
            try:
                with store.locked_edit(file.path, self._data):
                    text = files.read(file.path)
                    left = None if text is None else config.without_entry(text, upstream.name, file.shown)
                    if left is not None:
                        files.write(file.path, left)
            except OSError as error:
                raise errors.CannotWrite(f"Cannot write {file.shown}: {_why(error)}") from None


def _why(error: OSError) -> str:
    return processes.shortage(error, otherwise="")


def _server_of(entry: Json, action: str) -> config.ServerConfig:
    """Read the entry of a server that a person wants to add or test; raises InvalidParams."""
    try:
        server = config.server_of(entry)
        if server is not None:
            config.check_sendable(server)
    except errors.InvalidParams as error:
        raise errors.InvalidParams(f"Cannot {action} this server: {error.message}") from None
    if server is None:
        raise errors.InvalidParams(f"Cannot {action} this server: it is disabled")
    return server


def _place(file: _File | None) -> str:
    """Where a server's consents are kept: by the file that names it."""
    return "" if file is None else place_of(file.path)


def _paths(settings: Settings, places: Places) -> list[str]:
    """The files to read, the most important first; what is added is written to the last."""
    if settings.upstreams == NO_FILE:
        return []
    if settings.upstreams:
        return [str(Path(settings.upstreams).expanduser().absolute())]
    return list(dict.fromkeys(str(Path(path).absolute()) for path in places.upstreams))


@asynccontextmanager
async def open_upstreams(
    settings: Settings,
    places: Places,
    catalog: Catalog,
    on_change: OnChange,
    observations: Observations | None = None,
    *,
    refresh_s: float = REFRESH_S,
) -> AsyncIterator[OpenUpstreams]:
    """Begin to connect to all upstreams; disconnect from them on the way out. Opening waits for none of them.

    Args:
        refresh_s: Seconds between two looks whether a file has changed.
    """
    upstreams = OpenUpstreams(settings, places, catalog, on_change, observations, refresh_s=refresh_s)
    runner = asyncio.create_task(upstreams.run(), name="upstreams")
    try:
        yield upstreams
    finally:
        runner.cancel()
        await asyncio.wait({runner})
        await upstreams.close()
