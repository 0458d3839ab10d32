"""An MCP server that is a process of ours: started, spoken to line by line, always ended.

Lines on its stdout that are not messages are counted and skipped. A line beyond the limit fails the request that it
answers and nothing else. The end of its stderr is kept, to explain why the process ended. The SDK's own transport does
none of this.
"""

from __future__ import annotations

import asyncio
import codecs
import errno
import logging
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import msgspec
from mcp.shared.message import SessionMessage
from mcp_types import INTERNAL_ERROR, ErrorData, JSONRPCError, JSONRPCMessage, jsonrpc_message_adapter

from .. import errors, foreign, processes
from ..slices import in_slices

log = logging.getLogger(__name__)

GUARD = str(Path(__file__).with_name("guard.py").resolve())

INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER", "LD_LIBRARY_PATH")
"""Environment variables a server gets of ours; the others, tokens among them, are not for it."""

CHUNK = 1 << 16
LONG = 1 << 16
"""Bytes of a line that the faster reader reads: it keeps the loop that all share a fifth of the time."""
SIGNALLED = 128
"""What is added to the number of the signal that ended a process, for its status."""
TAIL = 4000
"""Characters kept of its stderr."""
HUNG_UP_S = 0.5
"""Seconds in which a server that has closed its stdout is expected to end by itself."""
PATIENCE_S = (1.0, 1.5, 1.0)
"""Seconds a server gets to end: once its stdin is closed, once it is sent SIGTERM, once it is killed."""

_ID = re.compile(rb'"id"\s*:\s*(\d{1,15})')

Streams = tuple[
    "anyio.abc.ObjectReceiveStream[SessionMessage | Exception]", "anyio.abc.ObjectSendStream[SessionMessage]"
]


_ERROR = re.compile(r"(?:Uncaught )?[\w.$]*(?:Error|Exception|Exit)\b[^:]*: *\S.*")
"""A line with which most runtimes name an error: ``ValueError: …``, ``Error [ERR_X]: …``."""
_TROUBLE = re.compile(
    r"\b(?:cannot|could not|denied|err!|error|fail(?:ed|ure)?|fatal|invalid|missing|no such|not found|panic(?:ked)?|"
    r"refused|unable|unknown|usage)\b",
    re.IGNORECASE,
)
_NOISE = re.compile(
    r"complete log of this run|^npm (?:error|ERR!) code |^Node\.js v|^\s+at |^\s*\^+\s*$", re.IGNORECASE
)
"""Lines around an error that do not say what it is."""


def error_line(text: str) -> str:
    """The line of a process's stderr that says what went wrong; "" where there is none.

    The last line that names an error counts, then the last one that speaks of trouble, then the last with a word in it.
    """
    lines = [line.strip() for line in text.splitlines() if not _NOISE.search(line)]
    for is_telling in (_ERROR.match, _TROUBLE.search, re.compile(r"\w\w").search):
        if found := next((line for line in reversed(lines) if is_telling(line)), None):
            return found
    return ""


class Child:
    """One such process.

    Attributes:
        junk: Lines it wrote to stdout that were no messages.
        stderr: The end of what it wrote to stderr.
    """

    def __init__(self, process: asyncio.subprocess.Process, limit: int, on_line: Callable[[str], None]) -> None:
        self.junk = 0
        self.stderr = ""
        self._process, self._limit, self._on_line = process, limit, on_line
        self._is_being_ended = self._has_hung_up = False

    def ended(self) -> str | None:
        """How it ended by itself, in a few words; None when it did not."""
        status = self._process.returncode
        if status is None or self._is_being_ended:
            return None
        if status > SIGNALLED:  # as the guard has it, and shells
            status = SIGNALLED - status
        words = f"it ended with status {status}" if status >= 0 else f"it was ended by signal {-status}"
        _, _, whole = self.stderr.partition("\n")  # of the first line, the beginning may be gone
        last = error_line(whole if len(self.stderr) == TAIL else self.stderr)
        return f"{words}: {last}" if last else words  # cut once it is clean: half a secret would not be found

    async def read_stderr(self) -> None:
        """Keep the end of what it writes to stderr, and pass each line on."""
        assert self._process.stderr is not None
        decoder, line = codecs.getincrementaldecoder("utf-8")("replace"), ""
        while chunk := await self._process.stderr.read(CHUNK):
            text = decoder.decode(chunk)
            self.stderr = (self.stderr + text)[-TAIL:]
            *lines, line = (line + text).split("\n")
            async for one in in_slices(lines):
                self._on_line(one)
            line = line[:TAIL]  # the rest of a line without end is not shown
        if line:
            self._on_line(line)

    async def read(self, into: anyio.abc.ObjectSendStream[SessionMessage | Exception]) -> None:
        """Pass on every message it writes, until it ends."""
        assert self._process.stdout is not None
        line, size = bytearray(), 0
        async with into:
            while chunk := await self._process.stdout.read(CHUNK):
                *ends, rest = chunk.split(b"\n")
                async for end in in_slices(ends):  # to refuse thousands of short lines takes a part of a second
                    if size + len(end) > self._limit:
                        message = self._too_large(bytes(line[:256]) + bytes(end[-256:]), size + len(end))
                    else:
                        message = self._message(bytes(line) + end if line else end)
                    line, size = bytearray(), 0
                    if message is not None:
                        try:
                            await into.send(message)
                        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                            return
                size += len(rest)
                if size <= self._limit:
                    line += rest
            self._has_hung_up = True

    def _message(self, line: bytes) -> SessionMessage | None:
        if line[:1] == b"{":
            # The second reader also reads what is nested deeper than the SDK reads.
            for read in (_decode, _validate) if len(line) > LONG else (_validate, _decode):
                with suppress(ValueError, RecursionError):
                    return SessionMessage(read(line))
            return self._unreadable(line[:256] + line[-256:], "its answer cannot be read")
        self.junk += bool(line.strip())
        return None

    def _too_large(self, ends: bytes, size: int) -> SessionMessage | None:
        limit = f"the limit of {self._limit:,} (Pctx.max_message_bytes)"
        return self._unreadable(ends, f"its answer of {size:,} bytes is beyond {limit}")

    def _unreadable(self, ends: bytes, why: str) -> SessionMessage | None:
        """Make a refusal of what seems to be an answer, so that no caller waits for it."""
        self.junk += 1
        if (found := _ID.search(ends)) is None:
            return None
        error = ErrorData(code=INTERNAL_ERROR, message=why)
        return SessionMessage(JSONRPCError(jsonrpc="2.0", id=int(found[1]), error=error))

    async def write(self, messages: anyio.abc.ObjectReceiveStream[SessionMessage]) -> None:
        """Write every message that comes, until its stdin is closed."""
        assert self._process.stdin is not None
        async with messages:
            async for one in messages:
                text = one.message.model_dump_json(by_alias=True, exclude_unset=True)
                self._process.stdin.write(text.encode() + b"\n")
                with suppress(ConnectionError):
                    await self._process.stdin.drain()

    async def end(self) -> None:
        """End it: first by closing its stdin, as the protocol has it, then by signals. It is gone afterwards."""
        process = self._process
        assert process.stdin is not None
        if self._has_hung_up:
            await self._gone(HUNG_UP_S)
        self._is_being_ended = process.returncode is None
        process.stdin.close()
        for patience_s, number in zip(PATIENCE_S, (signal.SIGTERM, signal.SIGKILL, None), strict=True):
            await self._gone(patience_s)
            if process.returncode is not None:
                break
            if number is not None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
        foreign.close_transport(process)

    async def _gone(self, patience_s: float) -> None:
        """Wait until it is; not by its wait(), which also waits for other processes that hold its pipes."""
        with anyio.move_on_after(patience_s):
            while self._process.returncode is None:  # noqa: ASYNC110
                await anyio.sleep(0.01)


def _validate(line: bytes) -> JSONRPCMessage:
    return jsonrpc_message_adapter.validate_json(line, by_name=False)


def _decode(line: bytes) -> JSONRPCMessage:
    return jsonrpc_message_adapter.validate_python(msgspec.json.decode(line), by_name=False)


def _find(command: str, path: str | None) -> str | None:
    """Look a command up on the path, then where the commands of our own Python packages are.

    A Jupyter server is often started by its full path, from an environment that is not activated.
    """
    return shutil.which(command, path=path) or shutil.which(command, path=os.path.dirname(sys.executable))  # noqa: PTH120


@asynccontextmanager
async def open_child(
    command: list[str],
    environment: Mapping[str, str],
    folder: str | None,
    limit: int,
    on_line: Callable[[str], None],
) -> AsyncIterator[tuple[Child, Streams]]:
    """Start a server, and end it on the way out.

    Args:
        command: Executable and arguments.
        environment: Its variables, besides those that all inherit.
        folder: Where it starts; None: where we are.
        limit: Bytes one line of it may have.
        on_line: Takes each line that it writes to stderr.

    Raises:
        CannotConnect: It cannot be started.
    """
    full = {name: os.environ[name] for name in INHERITED if name in os.environ} | dict(environment)
    if folder is not None and not os.path.isdir(folder):  # noqa: ASYNC240, PTH112
        raise errors.CannotConnect(f"its folder {folder} does not exist")
    found = _find(command[0], full.get("PATH")) if os.sep not in command[0] else command[0]
    if found is None:
        raise errors.CannotConnect(f"the command {command[0]} was not found; install it, or give its full path")
    words = [found, *command[1:]]
    if sys.platform == "linux":
        # The system sends the signal when the *thread* ends that started the guard: this is the loop's own.
        python = os.path.realpath(sys.executable)  # noqa: ASYNC240
        words = [python, "-I", "-S", GUARD, str(os.getpid()), "--", *words]
    try:
        with anyio.CancelScope(shield=True):  # asyncio leaves pipes open when a start is cancelled
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=full,
                cwd=folder,
                start_new_session=True,
                limit=CHUNK,
            )
    except OSError as error:
        why = processes.shortage(error, otherwise="")
        raise errors.CannotConnect(f"{command[0]} does not start: {why}") from None
    except RuntimeError as error:  # asyncio waits for it in a thread, and there can be no more threads
        why = processes.shortage(OSError(errno.EAGAIN, str(error)))
        raise errors.CannotConnect(f"{command[0]} does not start: {why}") from None
    # No await before the try: a cancellation here would leak the process.
    child = Child(process, limit, on_line)
    try:
        incoming, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        write, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child.read_stderr)
            tasks.start_soon(child.read, incoming)
            tasks.start_soon(child.write, outgoing)
            try:
                async with read, write:
                    yield child, (read, write)
            finally:
                with anyio.CancelScope(shield=True):
                    await child.end()
                tasks.cancel_scope.cancel()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
