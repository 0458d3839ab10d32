"""The type checker: one resident process that knows TypeScript, asked by all sessions, replaced when it takes too long.

It knows how to keep that process, whose turn it is and how long an answer may take; it refuses to know what
TypeScript is, and what its findings mean (`check` does). The process is as locked in as any sandbox.

One request is served at a time, and each session has at most one waiting for its turn, so that nobody's many requests
delay anybody's one. A request waits `check_s` at most, then is served for `check_s` at most: then the process is killed
and the next started. Whatever goes wrong, a check has an answer: `Unchecked`, with the reason.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import msgspec

from .. import errors
from ..program import check as checks
from ..program.check import Checked, CheckJob, Findings, Unchecked, Verdict
from ..program.editor import Completions, Hover, Signatures
from ..program.program import Outline
from ..rpc import jsonrpc as rpc
from ..rpc.channel import Channel
from ..settings import MIB, Limits, Settings
from . import executable, flags
from .spawner import Direct, Launcher, Spawner
from .worker import Worker, open_worker

log = logging.getLogger(__name__)

CHECK_S = 3.0
"""Seconds one request may be served; the wait before it has the same limit."""
HEAP_MB = 512
NURSERY_MB = 8
"""Megabytes of new objects between two small collections; V8's own 16 cost 50 MB of memory and gain nothing."""
RESIDENT_BYTES = 400 * MIB
"""Memory beyond which the process is replaced; it has 190 MB with 200 tools, more with more sessions."""
MESSAGE_BYTES = 64 * MIB
SESSIONS = 8
"""Sessions whose declarations it keeps in mind: 10 MB each with 200 tools, 50 ms to send them again."""
START_S = 30.0
"""Seconds the process may take from its start to its first answer; it takes 0.7 on a quiet machine."""
STATUS_S = 1.0
"""Seconds we wait for the exit status of a process that closed its pipe."""
NO_MEMORY = (-5, -6)
"""Exit statuses of V8, and of the allocator, that got no memory."""
IDLE_S = 900.0
"""Seconds without a request after which the process is ended, until the next."""
REST_S = 60.0
"""The longest rest after starts that failed in a row."""
OUTLINED = 1_000_000
"""Characters of programs whose outlines are remembered."""
REFUSED = 256
"""Programs remembered for having taken too long."""

WARM_UP = """
interface Row { id: string; tags?: string[]; amount: number | null }
const rows: Row[] = JSON.parse("[]");
const seen = new Map<string, number>();
for (const { id, amount } of rows) seen.set(id, (seen.get(id) ?? 0) + (amount ?? 0));
const [first] = await Promise.all(rows.map(async (row) => ({ ...row, size: row.tags?.length ?? 0 })));
const names = [...seen].filter(([, n]) => n > 1).map(([id]) => id.toUpperCase()).sort((a, b) => a.localeCompare(b));
try { console.log(`${names.join(", ")}: ${first?.size}`); } catch (error) { console.error(error.message); }
({ total: rows.reduce((sum, row) => sum + (row.amount ?? 0), 0), names, keys: Object.entries(rows[0] ?? {}) })
"""
"""What a program is like: the first check of its kind takes several times as long as the second."""

_SERVICE = flags.RUNTIME / "ts_service.js"
_FILES = [flags.RUNTIME / "globals.d.ts", *(flags.RUNTIME / "vendor" / n for n in ("typescript.min.json", "libs.json"))]

Answer = TypeVar("Answer")


class _NotServed(Exception):
    """A request was not served; `reason` is a sentence that says why, and `is_lasting` whether it will be so again."""

    def __init__(self, reason: str, *, is_lasting: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.is_lasting = reason, is_lasting


@dataclass(slots=True, eq=False)
class _Session:
    """What is remembered of one session. `key` is its name in the process: ours, not a stranger's."""

    key: str
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    told_by: Channel | None = None
    declarations: str = ""
    globals: str = ""
    newest: dict[str, int] = field(default_factory=dict)


class Checker:
    """Checks programs and serves editors. Made by `open_checker`; all of it belongs to one event loop."""

    def __init__(self, settings: Settings, check_s: float) -> None:
        self._settings, self._check_s = settings, check_s
        self._limits = replace(settings.limits, max_heap_mb=HEAP_MB, max_memory_mb=3 * HEAP_MB, max_cpu_s=10**9)
        self._loop = asyncio.get_running_loop()
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._keys = 0
        self._turn = asyncio.Lock()
        self._refused: OrderedDict[tuple[int, int, int], str] = OrderedDict()
        self._outlines: OrderedDict[str, Outline | None] = OrderedDict()
        self._outlined = 0  # characters of their programs
        self._spawner: Spawner | None = None
        self._worker: Worker | None = None
        self._channel: Channel | None = None
        self._starting: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[msgspec.Raw]] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._requests = self._starts = self._failures = 0
        self._rests_until = 0.0
        self._trouble: str | None = None
        self._is_closed = False

    # what it does

    async def check(self, job: CheckJob) -> Verdict:
        """Check one program: a `check.Check`."""
        key = (hash(job.code), hash(job.declarations), hash(job.globals))
        if reason := self._refused.get(key):
            return Unchecked(reason)
        try:
            findings = await self._ask(job, "check", Findings)
        except _NotServed as error:
            if error.is_lasting:
                self._refused[key] = error.reason
                if len(self._refused) > REFUSED:
                    self._refused.popitem(last=False)
            return Unchecked(error.reason)
        checked = checks.checked(findings, job.tools)
        if checked.outline is None:
            return checked
        return replace(checked, outline=checked.outline.from_utf16(job.code))

    async def read(self, session: str, code: str) -> Outline | None:
        """Say what a program has at its top level, without a check: a `check.Read`.

        Raises:
            Busy: It could not be read; the message says why.
        """
        if code in self._outlines:
            self._outlines.move_to_end(code)
            return self._outlines[code]
        try:
            found: list[Outline] = await self._ask(CheckJob(session, code), "read", list[Outline])
        except _NotServed as error:
            raise errors.Busy(error.reason) from None
        outline = found[0].from_utf16(code) if found else None
        if code not in self._outlines:  # the same program may have been read for another caller meanwhile
            self._outlined += len(code)
        self._outlines[code] = outline
        while len(self._outlines) > 1 and self._outlined > OUTLINED:
            oldest, _ = self._outlines.popitem(last=False)
            self._outlined -= len(oldest)
        return outline

    async def verify(self, declarations: str) -> Checked:
        """Say what is wrong with declarations themselves.

        Raises:
            Busy: They could not be looked at; the message says why.
        """
        return checks.checked(await self._edit(CheckJob("", "", declarations), "verify", Findings, None))

    async def complete(self, job: CheckJob, offset: int) -> Completions:
        """Complete the name before an offset in `job.code`, in UTF-16 units.

        Raises:
            Cancelled: The session has sent a newer request since.
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
        """Start the process in the background, unless it has been."""
        if self._channel is not None or self._starting is not None or self._is_closed:
            return
        if self._loop.time() >= self._rests_until:
            self._starting = self._loop.create_task(self._start())

    def forget(self, session: str) -> None:
        """Let go of what is known of a session that has ended."""
        if (known := self._sessions.pop(session, None)) is not None and known.told_by is not None:
            known.told_by.notify("forget", {"session": known.key})

    def status(self) -> dict[str, rpc.Json]:
        """Whether it is ready, what it has done, and what is wrong (null: nothing)."""
        return {
            "ready": self._channel is not None,
            "requests": self._requests,
            "starts": self._starts,
            "memory_bytes": flags.resident(self._worker.pid) if self._worker is not None else 0,
            "trouble": self._trouble,
        }

    async def close(self) -> None:
        """End the process, and wait until it is gone."""
        self._is_closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        if self._idle is not None:
            self._idle.cancel()
        self._end()
        if self._serving:
            await asyncio.wait(self._serving)
        if self._spawner is not None:
            await self._spawner.close()

    # asking

    async def _edit(self, job: CheckJob, method: str, answer: type[Answer], offset: int | None) -> Answer:
        try:
            return await self._ask(job, method, answer, offset)
        except _NotServed as error:
            raise errors.Busy(f"{error.reason}; try again") from None

    async def _ask(self, job: CheckJob, method: str, answer: type[Answer], offset: int | None = None) -> Answer:
        """Have one request served.

        Raises:
            Cancelled: It was about a place in the text, and the session has asked about another since.
            _NotServed: It could not be served.
        """
        self._requests += 1
        session = self._know(job.session)
        number = session.newest[method] = self._requests
        channel = await self._wait(session)
        if offset is not None and session.newest[method] != number:
            self._release(session)
            raise errors.Cancelled("Cancelled: the session has sent a newer request since")
        task = self._loop.create_task(self._serve(channel, session, job, method, offset))
        self._serving.add(task)
        task.add_done_callback(self._served)
        # Whoever asked may leave; until the process has answered, it is nobody else's turn.
        raw = await asyncio.shield(task)
        return msgspec.json.decode(raw, type=answer)

    def _know(self, name: str) -> _Session:
        if (session := self._sessions.get(name)) is None:
            self._keys += 1
            session = self._sessions[name] = _Session(f"s{self._keys}")
        self._sessions.move_to_end(name)
        for oldest in list(self._sessions)[:-SESSIONS]:
            if not self._sessions[oldest].turn.locked():
                self.forget(oldest)
        return session

    async def _wait(self, session: _Session) -> Channel:
        """Wait for the process, and for this session's turn; the caller must `_release` both turns.

        The start of the process has a limit of its own, `START_S`, so the first program on a slow machine is checked.
        """
        await self._ready()
        try:
            async with asyncio.timeout(self._check_s):
                await session.turn.acquire()
                try:
                    await self._turn.acquire()
                    try:
                        return await self._ready()
                    except BaseException:
                        self._turn.release()
                        raise
                except BaseException:
                    session.turn.release()
                    raise
        except TimeoutError:
            what = "is still starting" if self._channel is None else "has other programs to check"
            raise _NotServed(f"The type checker {what}, after {self._check_s:g} s (Pctx.max_check_s)") from None

    def _release(self, session: _Session) -> None:
        self._turn.release()
        session.turn.release()

    async def _serve(
        self, channel: Channel, session: _Session, job: CheckJob, method: str, offset: int | None
    ) -> msgspec.Raw:
        # A little less than we wait: a process that stops by itself need not be replaced.
        budget_ms = self._check_s * 900
        params: dict[str, rpc.Json] = {"session": session.key, "budget_ms": budget_ms}
        if method == "verify":
            params["declarations"] = rpc.well_formed(job.declarations)
        elif method == "read":
            params["code"] = rpc.well_formed(job.code)
        else:
            params |= {"code": rpc.well_formed(job.code), **self._news(channel, session, job)}
        if offset is not None:
            params["offset"] = offset
        if job.keep is not False and method == "check":
            params["keep"] = job.keep
        worker = self._worker
        too_long = f"The type checker needed more than {self._check_s:g} s (Pctx.max_check_s)"
        try:
            async with asyncio.timeout(self._check_s):
                return await channel.call(method, params)
        except TimeoutError:
            log.info("type checker = replaced: %s took more than %g s", method, self._check_s)
            self._end()
            self.warm()
            raise _NotServed(too_long, is_lasting=True) from None
        except errors.Timeout:
            raise _NotServed(too_long, is_lasting=True) from None
        except errors.ConnectionLost:
            too_large = worker is not None and await _status(worker) in NO_MEMORY
            why = "The type checker ran out of memory" if too_large else "The type checker ended"
            raise _NotServed(why, is_lasting=too_large) from None
        except errors.PctxError as error:
            log.info("type checker = failed to %s: %s", method, error.message)
            why = "The type checker failed; the program may be nested too deeply, or too large"
            raise _NotServed(why, is_lasting=True) from None
        finally:
            self._release(session)
            self._tidy()

    def _news(self, channel: Channel, session: _Session, job: CheckJob) -> dict[str, rpc.Json]:
        """The declarations that the process does not have."""
        is_new = session.told_by is not channel
        news: dict[str, rpc.Json] = {}
        if is_new or session.declarations != job.declarations:
            news["declarations"] = rpc.well_formed(job.declarations)
        if is_new or session.globals != job.globals:
            news["globals"] = rpc.well_formed(job.globals)
        session.told_by, session.declarations, session.globals = channel, job.declarations, job.globals
        return news

    def _served(self, task: asyncio.Task[msgspec.Raw]) -> None:
        self._serving.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may be gone

    # its process

    async def _ready(self) -> Channel:
        """Wait until there is a process; asks for one if there is none."""
        if self._channel is None:
            self.warm()
            if self._starting is not None:
                await asyncio.wait([self._starting])
        if self._channel is None:
            raise _NotServed(self._trouble or "The type checker is being stopped")
        return self._channel

    async def _start(self) -> None:
        try:
            await self._open()
        except errors.SandboxUnavailable as error:
            self._fail(error.message.replace("start a sandbox", "start the type checker"))
        except Exception:
            log.exception("type checker = failed to start")
            self._fail("Cannot start the type checker: internal error; see the log")
        finally:
            self._starting = None

    def _fail(self, why: str) -> None:
        """Take note of a failure: say a new cause once, and rest, longer each time, before trying again."""
        if why != self._trouble:
            log.error("type checker = %s", why)
        self._trouble = why
        self._rests_until = self._loop.time() + min(0.5 * 2**self._failures, REST_S)
        self._failures = min(self._failures + 1, 20)

    async def _open(self) -> None:
        if missing := [file.name for file in [_SERVICE, *_FILES] if not file.is_file()]:
            raise errors.SandboxUnavailable(
                f"Cannot start a sandbox: {missing[0]} is not part of this installation; install the package again "
                "(in a checkout: python hatch_build.py)"
            )
        self._starts += 1
        if self._spawner is None or not self._spawner.is_alive:
            self._spawner = None
            deno = await executable.find(self._settings.deno)
            self._spawner = await _open_spawner(deno.path, self._limits)
        process = await self._spawner.start()
        worker = await open_worker(process, self._limits)
        channel = Channel(worker.send, name="type checker", max_bytes=MESSAGE_BYTES)
        worker.listen(_Ears(worker, channel))
        try:
            async with asyncio.timeout(START_S):
                await channel.call("check", {"session": "warm", "code": WARM_UP})
        except (TimeoutError, errors.PctxError) as error:
            worker.kill()
            why = getattr(error, "message", f"it is not ready after {START_S:g} s")
            raise errors.SandboxUnavailable(f"Cannot start a sandbox: {why}") from None
        except BaseException:
            worker.kill()
            raise
        self._worker, self._channel = worker, channel
        self._trouble, self._failures = None, 0
        channel.on_close(lambda: self._lost(channel))
        self._rest()

    def _lost(self, channel: Channel) -> None:
        """Take note that a process is gone; unless we ended it, the next request starts another."""
        if self._channel is channel:
            self._worker = self._channel = None

    def _end(self) -> None:
        """End the process, if there is one; its requests fail at once."""
        worker, channel = self._worker, self._channel
        self._worker = self._channel = None
        if worker is not None and channel is not None:
            worker.kill()
            channel.close()

    def _tidy(self) -> None:
        """After a request: replace a process that has grown too large; end it when it has nothing to do for long."""
        if self._worker is not None and not self._turn.locked() and flags.resident(self._worker.pid) > RESIDENT_BYTES:
            log.info("type checker = replaced: it had grown beyond %d MB", RESIDENT_BYTES // MIB)
            self._end()
            self.warm()
        self._rest()

    def _rest(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._is_closed:
            return
        self._idle = self._loop.call_later(IDLE_S, self._sleep)

    def _sleep(self) -> None:
        if not self._turn.locked():
            self._end()


class _Ears:
    """Passes what the process sends to its channel."""

    def __init__(self, worker: Worker, channel: Channel) -> None:
        self._worker, self._channel = worker, channel

    def receive(self, line: bytes) -> None:
        self._channel.feed(line)

    def overflow(self, start: bytes) -> None:
        self._worker.kill()
        self._channel.close()

    def end(self) -> None:
        self._worker.kill()
        self._channel.close()


async def _status(worker: Worker) -> int | None:
    """How a process ended whose pipe is closed."""
    await asyncio.wait([worker.ended], timeout=STATUS_S)
    return worker.ended.result() if worker.ended.done() else None


async def _open_spawner(deno: str, limits: Limits) -> Spawner:
    """Open what starts the process: as for any sandbox, but for another script and a larger heap."""
    *arguments, _ = flags.command(deno, limits)
    nursery = f",--max-semi-space-size={NURSERY_MB}"
    command = [a + nursery if a.startswith("--v8-flags=") else a for a in arguments] + [str(_SERVICE)]
    if sys.platform == "linux" and hasattr(os, "pidfd_open"):
        return await Launcher.open(command, flags.readable(deno) + [str(file) for file in [_SERVICE, *_FILES]])
    return Direct(command, limits)


@asynccontextmanager
async def open_checker(settings: Settings, *, check_s: float = CHECK_S) -> AsyncIterator[Checker]:
    """Open the type checker; on the way out its process is ended.

    Nothing starts before `Checker.warm` or the first request. Never fails for want of Deno or the compiler: then each
    check says what is missing, and so does `Checker.status`.
    """
    checker = Checker(settings, check_s)
    try:
        yield checker
    finally:
        await checker.close()
