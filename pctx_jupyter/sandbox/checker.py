"""The type checker: answers all sessions' requests with resident TypeScript compilers, so that none harms another.

It knows whose turn it is and what a compiler has been sent; it refuses to know how a compiler's process is kept
(`compiler` does), what TypeScript is, and what its findings mean (`program.check` does).

One compiler serves all, one request at a time, and each client has at most one request waiting for its turn. A client
is a session, or one of those that share a session, as agents do. A request waits `check_s` at most, then is served for
`check_s` at most: then the process is killed and the next started. When a client's request takes longer than `SLICE_S`
while others wait, that client goes on with the process it has, and the others get another one; for a while, its
requests are served apart. Whatever goes wrong, a check has a verdict: `Unchecked`, with the reason.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import msgspec

from .. import errors
from ..program import check as checks
from ..program.check import CheckJob, Findings, Unchecked, Verdict
from ..program.editor import Completions, Hover, Signatures
from ..program.program import Outline
from ..rpc import jsonrpc as rpc
from ..rpc.channel import Channel
from ..settings import Settings
from .compiler import Compiler, NotServed, Starter

log = logging.getLogger(__name__)

CHECK_S = 3.0
"""Seconds one request may be served; the wait before it has the same limit."""
SLICE_S = 1.0
"""Seconds after which a request no longer keeps other clients waiting, or a third of its limit if that is less. A
check takes 10 ms, the first with thousands of tools half a second."""
APART_S = 60.0
"""Seconds for which the requests of a client that kept others waiting are served apart."""
APART = 2
"""Compilers for such clients, at most."""
SESSIONS = 8
"""Sessions whose declarations a compiler keeps in memory: 10 MB each with 200 tools, 50 ms to send them again."""
CLIENTS = 256
"""Clients that are remembered, unless more of them wait or are served."""
TIDY_S = 20.0
"""Seconds without a request after which the process returns the memory of its garbage: 10 MB after one check, 35 MB
after 40 checks with 200 tools. That takes 0.1 s of processor time."""
IDLE_S = 900.0
"""Seconds without a request after which the process is ended, until the next."""
OUTLINED = 1_000_000
"""Characters of programs whose outlines are remembered."""
REFUSED = 256
"""Programs remembered for having taken too long."""
NAMED = 1_024
"""Declarations of namespaces whose hashes are remembered."""

Reply = TypeVar("Reply")


ClientKey = tuple[str, str]
"""A session, and which of its clients; "": all those that are served together."""


@dataclass(slots=True, eq=False)
class _Session:
    """What a compiler has been sent of one session, or of one of its clients that is served apart.

    Attributes:
        key: Its name in the compiler: chosen here, not by a client.
        channel: Leads to the compiler that knows its declarations.
        files, globals: What that compiler knows.
        served: Its requests that are being served, by several compilers perhaps.
    """

    key: str
    channel: Channel | None = None
    files: tuple[str, ...] = ()
    globals: str = ""
    served: int = 0


@dataclass(slots=True, eq=False)
class _Client:
    """Whose requests take turns.

    Attributes:
        turn: Held by its request that waits for a compiler or is served.
        newest: The number of its newest request, by method.
        apart: The compiler that serves it apart from others.
        apart_until: Until when, by the loop's clock.
    """

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    newest: dict[str, int] = field(default_factory=dict)
    apart: Compiler | None = None
    apart_until: float = 0.0


class Checker:
    """Checks programs and serves editors. Made by `open_checker`; all of it belongs to one event loop."""

    def __init__(self, settings: Settings, check_s: float, tidy_s: float) -> None:
        self._check_s, self._slice_s, self._tidy_s = check_s, min(SLICE_S, check_s / 3), tidy_s
        self._loop = asyncio.get_running_loop()
        self._sessions: OrderedDict[ClientKey, _Session] = OrderedDict()
        self._clients: OrderedDict[ClientKey, _Client] = OrderedDict()
        self._keys = 0
        self._starter = Starter(settings)
        self._main = Compiler(self._starter, check_s)
        self._apart: list[Compiler] = []
        self._ended_starts = 0  # of compilers that are no more
        self._refused: OrderedDict[tuple[int, int, int], str] = OrderedDict()
        self._outlines: OrderedDict[str, Outline | None] = OrderedDict()
        self._outlined = 0  # characters of their programs
        self._names: OrderedDict[str, str] = OrderedDict()  # of declarations
        self._serving: set[asyncio.Task[msgspec.Raw]] = set()
        self._served_on_main: _Client | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._parting: asyncio.TimerHandle | None = None
        self._requests = 0
        self._is_closed = False

    # what it does

    async def check(self, job: CheckJob) -> Verdict:
        """Check one program: a `check.Check`."""
        key = (hash(job.code), hash(job.declarations), hash(job.globals))
        if reason := self._refused.get(key):
            return Unchecked(reason)
        try:
            findings = await self._ask_surely(job, "check", Findings)
            if findings.found and job.whole:
                findings = await self._ask_surely(replace(job, declarations=job.whole), "check", Findings)
        except NotServed as error:
            if error.is_lasting:
                self._refused[key] = error.reason
                if len(self._refused) > REFUSED:
                    self._refused.popitem(last=False)
            return Unchecked(error.reason)
        checked = checks.checked(findings, job.tools, job.namespaces)
        if checked.outline is None:
            return checked
        return replace(checked, outline=checked.outline.from_utf16(job.code))

    async def read(self, session: str, code: str, client: str = "") -> Outline | None:
        """Outline a program's top level without a check: a `check.Read`.

        Raises:
            Busy: It could not be read; the message says why.
        """
        if code in self._outlines:
            self._outlines.move_to_end(code)
            return self._outlines[code]
        try:
            found: list[Outline] = await self._ask_surely(CheckJob(session, code, client=client), "read", list[Outline])
        except NotServed as error:
            raise errors.Busy(error.reason) from None
        outline = found[0].from_utf16(code) if found else None
        if code not in self._outlines:  # the same program may have been read for another caller meanwhile
            self._outlined += len(code)
        self._outlines[code] = outline
        while len(self._outlines) > 1 and self._outlined > OUTLINED:
            oldest, _ = self._outlines.popitem(last=False)
            self._outlined -= len(oldest)
        return outline

    async def complete(self, job: CheckJob, offset: int) -> Completions:
        """Complete the name before an offset in `job.code`, in UTF-16 units.

        Raises:
            Cancelled: Its client has sent a newer request since.
            Busy: It cannot be served; the message says why.
        """
        return await self._edit(job, "complete", Completions, offset)

    async def hover(self, job: CheckJob, offset: int) -> Hover | None:
        """Explain what is at an offset; None: nothing is known of it. Raises what `complete` does."""
        found: list[Hover] = await self._edit(job, "hover", list[Hover], offset)
        return found[0] if found else None

    async def signature(self, job: CheckJob, offset: int) -> Signatures | None:
        """Explain the call around an offset; None: there is none. Raises what `complete` does."""
        found: list[Signatures] = await self._edit(job, "signature", list[Signatures], offset)
        return found[0] if found else None

    def warm(self) -> None:
        """Start the compiler in the background, unless it has been started."""
        if not self._is_closed:
            self._main.warm()
            self._rest()

    def forget(self, session: str) -> None:
        """Forget a session that has ended, and its clients."""
        for key in [key for key in self._sessions if key[0] == session]:
            self._forget(key)
        for key in [key for key in self._clients if key[0] == session]:
            del self._clients[key]

    def status(self) -> dict[str, rpc.Json]:
        """Return whether it is ready, what it has done, and what is wrong (null: nothing)."""
        compilers = [self._main, *self._apart]
        return {
            "ready": self._main.channel is not None,
            "requests": self._requests,
            "starts": self._ended_starts + sum(one.starts for one in compilers),
            "memory_bytes": sum(one.memory for one in compilers),
            "trouble": self._main.trouble,
        }

    async def close(self) -> None:
        """End the processes, and wait until they are gone."""
        self._is_closed = True
        for timer in (self._idle, self._parting):
            if timer is not None:
                timer.cancel()
        for compiler in [self._main, *self._apart]:
            await compiler.close()
        if self._serving:
            await asyncio.wait(self._serving)
        await self._starter.close()

    # asking

    async def _edit(self, job: CheckJob, method: str, reply: type[Reply], offset: int) -> Reply:
        try:
            return await self._ask(job, method, reply, offset)
        except NotServed as error:
            raise errors.Busy(f"{error.reason}; try again") from None

    async def _ask_surely(self, job: CheckJob, method: str, reply: type[Reply]) -> Reply:
        """As `_ask`, but once more where the process has ended: not each of its requests can be the reason."""
        try:
            return await self._ask(job, method, reply)
        except NotServed as error:
            if not error.has_ended:
                raise
            return await self._ask(job, method, reply)

    async def _ask(self, job: CheckJob, method: str, reply: type[Reply], offset: int | None = None) -> Reply:
        """Serve one request in a compiler.

        Raises:
            Cancelled: It was about a place in the text, and its client has asked about another since.
            NotServed: It could not be served.
        """
        self._requests += 1
        client = self._client((job.session, job.client))
        number = client.newest[method] = self._requests
        compiler, channel = await self._wait(client)
        if offset is not None and client.newest[method] != number:
            self._release(client, compiler)
            raise errors.Cancelled("Cancelled: the session has sent a newer request since")
        task = self._loop.create_task(self._serve(compiler, channel, client, job, method, offset))
        self._serving.add(task)
        task.add_done_callback(self._forget_task)
        # The caller may leave; until the process has answered, no other caller has a turn.
        raw = await asyncio.shield(task)
        return msgspec.json.decode(raw, type=reply)

    def _client(self, key: ClientKey) -> _Client:
        client = self._clients.setdefault(key, _Client())
        self._clients.move_to_end(key)
        for oldest in list(self._clients)[:-CLIENTS]:
            if not self._clients[oldest].turn.locked():
                del self._clients[oldest]
        return client

    def _session(self, key: ClientKey) -> _Session:
        if (session := self._sessions.get(key)) is None:
            self._keys += 1
            session = self._sessions[key] = _Session(f"s{self._keys}")
        self._sessions.move_to_end(key)
        for oldest in list(self._sessions)[:-SESSIONS]:
            if not self._sessions[oldest].served:
                self._forget(oldest)
        return session

    def _forget(self, key: ClientKey) -> None:
        known = self._sessions.pop(key)
        if known.channel is not None:
            known.channel.notify("forget", {"session": known.key})

    async def _wait(self, client: _Client) -> tuple[Compiler, Channel]:
        """Wait for a compiler, and for this client's turn there; the caller must `_release` both turns.

        The start of a process has a limit of its own, so the first program on a slow machine is checked.
        """
        compiler = self._compiler_for(client)
        await compiler.ready()
        left = self._check_s
        since = self._loop.time()
        try:
            async with asyncio.timeout(left):
                await client.turn.acquire()
        except TimeoutError:
            raise self._too_busy() from None
        left -= self._loop.time() - since
        try:
            while True:
                compiler = self._compiler_for(client)
                await compiler.ready()
                since = self._loop.time()
                self._loop.call_soon(self._make_way)  # once this one waits
                try:
                    async with asyncio.timeout(max(left, 0)):
                        has_turn = await compiler.turn()
                except TimeoutError:
                    raise self._too_busy() from None
                left -= self._loop.time() - since
                if has_turn and compiler.channel is not None:
                    return compiler, compiler.channel
                if has_turn:
                    compiler.release()
        except BaseException:
            client.turn.release()
            raise

    def _too_busy(self) -> NotServed:
        return NotServed(f"The type checker has other programs to check, after {self._check_s:g} s (Pctx.max_check_s)")

    def _release(self, client: _Client, compiler: Compiler) -> None:
        compiler.release()
        client.turn.release()

    async def _serve(
        self, compiler: Compiler, channel: Channel, client: _Client, job: CheckJob, method: str, offset: int | None
    ) -> msgspec.Raw:
        session = self._session((job.session, job.client if compiler is client.apart else ""))
        session.served += 1
        params: dict[str, rpc.Json] = {"session": session.key, "code": rpc.well_formed(job.code)}
        if method != "read":
            params |= self._news(channel, session, job)
        if offset is not None:
            params["offset"] = offset
        if job.keep is not False and method == "check":
            params["keep"] = job.keep
        alarm: asyncio.TimerHandle | None = None
        if compiler is self._main:
            self._served_on_main = client
            alarm = self._loop.call_later(self._slice_s, self._make_way)
        since = self._loop.time()
        try:
            return await compiler.ask(channel, method, params)
        finally:
            session.served -= 1
            if alarm is not None:
                alarm.cancel()
            if self._served_on_main is client:
                self._served_on_main = None
            elif self._loop.time() - since > self._slice_s:
                client.apart_until = self._loop.time() + APART_S
            self._release(client, compiler)
            compiler.replace_if_large()
            self._rest()

    def _news(self, channel: Channel, session: _Session, job: CheckJob) -> dict[str, rpc.Json]:
        """Return the declarations that the compiler does not have."""
        is_new = session.channel is not channel
        if is_new and session.channel is not None:
            session.channel.notify("forget", {"session": session.key})
        news: dict[str, rpc.Json] = {}
        texts = {self._name(text): text for text in job.texts if text}
        files = tuple(texts)
        if is_new or session.files != files:
            known = () if is_new else session.files
            news["files"] = list(files)
            news["texts"] = {name: rpc.well_formed(text) for name, text in texts.items() if name not in known}
        if is_new or session.globals != job.globals:
            news["globals"] = rpc.well_formed(job.globals)
        session.channel, session.files, session.globals = channel, files, job.globals
        return news

    def _name(self, text: str) -> str:
        """Name a text by its content: a compiler that knows a name knows the text."""
        if (name := self._names.get(text)) is None:
            name = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
            self._names[text] = name
            if len(self._names) > NAMED:
                self._names.popitem(last=False)
        return name

    def _forget_task(self, task: asyncio.Task[msgspec.Raw]) -> None:
        self._serving.discard(task)
        if not task.cancelled():
            task.exception()  # the caller may be gone

    # who is served where

    def _compiler_for(self, client: _Client) -> Compiler:
        if client.apart is not None and client.apart_until > self._loop.time() and client.apart in self._apart:
            return client.apart
        client.apart = None
        return self._main

    def _make_way(self) -> None:
        """Give the others another compiler when one client's request takes too long and they wait."""
        compiler, client = self._main, self._served_on_main
        begun_at = compiler.begun_at
        if begun_at is None or client is None or not compiler.has_waiting or self._is_closed:
            return
        if self._loop.time() - begun_at < self._slice_s:
            return
        if len(self._apart) >= APART:
            idle = next((one for one in self._apart if one.is_idle), None)
            if idle is None:
                why = f"The type checker needed more than {self._slice_s:g} s, and other programs waited"
                compiler.give_up(why)
                return
            self._part_with(idle)
        log.info("type checker = a request takes long and others wait: they get another process")
        self._apart.append(compiler)
        client.apart, client.apart_until = compiler, self._loop.time() + APART_S
        self._main, self._served_on_main = Compiler(self._starter, self._check_s), None
        self._main.warm()
        compiler.disperse()
        if self._parting is None:
            self._parting = self._loop.call_later(APART_S, self._part)

    def _part_with(self, compiler: Compiler) -> None:
        self._apart.remove(compiler)
        self._ended_starts += compiler.starts
        compiler.end()
        compiler.disperse()

    def _part(self) -> None:
        """End the compilers that no client has for itself any more."""
        now = self._loop.time()
        serving = {client.apart for client in self._clients.values() if client.apart_until > now}
        for compiler in list(self._apart):
            if compiler.is_idle and compiler not in serving:
                self._part_with(compiler)
        self._parting = self._loop.call_later(APART_S, self._part) if self._apart else None

    def _rest(self) -> None:
        """Plan what becomes of a process that has nothing to do: it is tidied, and ends if that lasts long."""
        if self._idle is not None:
            self._idle.cancel()
        if not self._is_closed:
            self._idle = self._loop.call_later(self._tidy_s, self._tidy)

    def _tidy(self) -> None:
        are_tidy = [compiler.tidy() for compiler in [self._main, *self._apart]]
        if all(are_tidy):
            self._idle = self._loop.call_later(IDLE_S - self._tidy_s, self._sleep)
        else:
            self._idle = self._loop.call_later(self._tidy_s, self._tidy)

    def _sleep(self) -> None:
        if self._main.is_idle:
            self._main.end()


@asynccontextmanager
async def open_checker(
    settings: Settings, *, check_s: float = CHECK_S, tidy_s: float = TIDY_S
) -> AsyncIterator[Checker]:
    """Open the type checker; on the way out its processes are ended.

    Args:
        settings: Where Deno is, and its limits.
        check_s: Seconds one request may be served.
        tidy_s: Seconds without a request after which a process returns the memory of its garbage.

    Nothing starts before `Checker.warm` or the first request. Never fails for want of Deno or the compiler: then each
    check says what is missing, and so does `Checker.status`.
    """
    checker = Checker(settings, check_s, tidy_s)
    try:
        yield checker
    finally:
        await checker.close()
