"""The audit log: one event for each execution and each call that has ended, through Jupyter's own event system.

It is off until ``c.Pctx.audit`` asks for it: JupyterLab listens to all events of its server, and each one costs a
fraction of a millisecond. On a server, ``c.EventLogger.handlers`` say where events go. ``c.Pctx.audit_file`` names a
file for the events of every engine, those in kernels and commands included. The schemas in `events` say what events
hold: no code, no arguments, no results and no text of an error, unless code and arguments are asked for.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import logging.handlers
import os
import re
import select
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import errors
from ..session.execution import CallMade
from ..session.trace import Trace
from ..settings import Settings

if TYPE_CHECKING:
    from jupyter_events import EventLogger

log = logging.getLogger(__name__)

SCHEMAS = Path(__file__).parent / "events"
EXECUTION = "https://events.pctx-jupyter.org/execution/v1"
CALL = "https://events.pctx-jupyter.org/call/v1"
MOST_HASHED = 1 << 20
"""Bytes of arguments up to which they are hashed and written: SHA-256 of so many takes about a millisecond."""


READER_S = 0.2
"""Seconds to wait for the reader of a named pipe; none until it reads again."""

USER = "{user}"
"""What stands for the name of the user in the path of a file."""


class AuditLog:
    """Writes events; an observer (`session.observers.Observer`).

    Args:
        events: Jupyter's event system.
        has_payloads: Whether events have code and arguments as well.
    """

    def __init__(self, events: EventLogger, *, has_payloads: bool) -> None:
        self._events, self._has_payloads = events, has_payloads
        self._waiting: list[Callable[[], None]] = []
        self._user = _user()
        for schema, name in ((EXECUTION, "execution"), (CALL, "call")):
            if schema not in events.schemas:
                events.register_event_schema(SCHEMAS / f"{name}.yaml")

    def execution_ended(self, trace: Trace) -> None:
        """Write the event of an execution, soon."""
        self._soon(partial(self._write_execution, trace))

    def call_ended(self, trace: Trace, call: CallMade) -> None:
        """Write the event of a call, soon."""
        self._soon(partial(self._write_call, trace, call))

    def flush(self) -> None:
        """Write what waits, in its order."""
        waiting, self._waiting = self._waiting, []
        for write in waiting:
            try:
                write()
            except Exception:
                log.exception("audit = failed to write an event")

    def _soon(self, write: Callable[[], None]) -> None:
        # An event takes longer to write than all else that is recorded. So the program, or its client, has its answer
        # first.
        self._waiting.append(write)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
        else:
            if len(self._waiting) == 1:
                loop.call_soon(self.flush)

    def _write_execution(self, trace: Trace) -> None:
        data: dict[str, Any] = {
            **self._who(trace),
            "outcome": trace.state,
            "started_at": _time(trace.started_at),
            "duration_s": trace.duration_s or 0.0,
            "calls": trace.calls_in_all,
            "failed_calls": trace.failed_calls,
            "code_sha256": hashlib.sha256(trace.code.encode(errors="surrogatepass")).hexdigest(),
        }
        if trace.stopped_by is not None:
            data["stopped_by"] = trace.stopped_by
        if trace.error is not None:
            data["error"] = trace.error.name
        if trace.check is not None:
            data["check"] = trace.check.outcome
        if self._has_payloads:
            data["code"] = trace.code
        self._events.emit(schema_id=EXECUTION, data=data)

    def _write_call(self, trace: Trace, call: CallMade) -> None:
        arguments = b"" if call.arguments is None else memoryview(call.arguments)
        data: dict[str, Any] = {
            **self._who(trace),
            "number": call.number,
            "tool": call.tool.path,
            "outcome": call.outcome,
            "started_at": _time(trace.started_at + call.started_s),
            "duration_s": round(call.ended_s - call.started_s, 6),
            "argument_bytes": len(arguments),
            "result_bytes": 0 if call.result is None else len(memoryview(call.result)),
        }
        if call.decision is not None:
            data["decision"] = call.decision
        if len(arguments) <= MOST_HASHED:
            data["arguments_sha256"] = hashlib.sha256(arguments).hexdigest()
            if self._has_payloads:
                data["arguments"] = bytes(arguments).decode(errors="replace")
        self._events.emit(schema_id=CALL, data=data)

    def _who(self, trace: Trace) -> dict[str, Any]:
        known: dict[str, Any] = {
            "execution": trace.id,
            "user": self._user,
            "asked_by": trace.asked_by,
            "notebook": trace.notebook,
            "kernel_id": trace.kernel_id,
        }
        return known | {"agent": trace.agent} if trace.agent else known


class _PipeWriter:
    """Writes to a named pipe, and gives up where its reader takes nothing: all clients wait meanwhile.

    Args:
        file: The pipe's descriptor; it does not block.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._patience_s = READER_S
        self._is_torn = False
        """Whether the last text was written in part."""

    def write(self, text: str) -> None:
        """Write a text; raises OSError."""
        left = memoryview((("\n" if self._is_torn else "") + text).encode())
        until = time.monotonic() + self._patience_s
        size = len(left)
        try:
            while left:
                left = left[self._written(left, until) :]
        finally:
            self._is_torn = 0 < len(left) < size or (self._is_torn and len(left) == size)
            self._patience_s = 0.0 if left else READER_S

    def _written(self, text: memoryview, until: float) -> int:
        waiting = select.poll()
        waiting.register(self._file, select.POLLOUT)
        if not waiting.poll(max(0.0, until - time.monotonic()) * 1_000):
            raise TimeoutError(errno.ETIMEDOUT, "its reader takes nothing")
        return os.write(self._file, text)

    def flush(self) -> None:
        """Do nothing: nothing is kept back."""

    def fileno(self) -> int:
        return self._file

    def close(self) -> None:
        os.close(self._file)


class _AppendingHandler(logging.handlers.WatchedFileHandler):
    """Appends events to a file that its owner alone can read; of failures in a row, logs the first.

    A file that was moved away or deleted, as ``logrotate`` does, is made again.
    """

    _failures = 0
    """Events in a row that could not be written."""

    def _open(self) -> Any:
        path = Path(self.baseFilename)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # To open a pipe that nobody reads would block.
        flags = os.O_APPEND | os.O_CREAT | os.O_WRONLY | getattr(os, "O_NONBLOCK", 0)
        file = os.open(path, flags, 0o600)
        if stat.S_ISFIFO(os.fstat(file).st_mode):
            return _PipeWriter(file)
        if os.name == "posix":
            os.set_blocking(file, True)
        return os.fdopen(file, "a", encoding="utf-8")

    def emit(self, record: logging.LogRecord) -> None:
        """Append an event."""
        before = self._failures
        try:
            super().emit(record)
        except OSError:  # the file cannot be made again
            self.handleError(record)
        if self._failures == before:
            self._failures = 0

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Log the first failure in a row; logging would print a traceback for each event."""
        self._failures += 1
        if self._failures == 1:
            log.error("audit = cannot write to %s (%s)", self.baseFilename, sys.exc_info()[1])


def path_of(settings: Settings) -> str:
    """Return the absolute path of the file that the settings name. The name of a user leads to no other folder."""
    user = re.sub(r"^\.+|[/\\:\0]", "_", _user())
    return os.path.abspath(os.path.expanduser(settings.audit_file.replace(USER, user)))  # noqa: PTH100, PTH111


def open_audit_file(settings: Settings) -> tuple[AuditLog, Callable[[], None]]:
    """Open the audit log that the settings name; returns it, and the function that closes it.

    Raises:
        SandboxUnavailable: The file cannot be written, or none is named.
    """
    if not settings.audit_file:
        raise errors.SandboxUnavailable(
            "Cannot run programs here: an audit log is required (Pctx.audit), and without a file only a Jupyter server "
            "has one; set Pctx.audit_file (where an administrator requires the log, in the restrictions), or use a "
            "kernel of a Jupyter server with pctx-jupyter"
        )
    from jupyter_events import EventLogger
    from jupyter_events.schema_registry import SchemaRegistry

    class OwnSchemas(SchemaRegistry):
        def validate_event(self, id_: str, data: dict[str, Any]) -> None:
            """Take no time for what is made here: on a server, every event is compared with its schema."""

    path = path_of(settings)
    try:
        handler = _AppendingHandler(path)
    except OSError as error:
        raise errors.SandboxUnavailable(
            f"Cannot run programs here: the audit log cannot be written to {path} ({error.strerror}); make that file "
            "writable for this account, or set Pctx.audit_file"
        ) from None
    events = EventLogger(handlers=[handler], schemas=OwnSchemas())
    audit_log = AuditLog(events, has_payloads=settings.audit == "payloads")

    def close() -> None:
        audit_log.flush()
        events.remove_handler(handler)
        with suppress(OSError):  # the end of the last event cannot be written: that has been logged
            handler.close()

    return audit_log, close


def _user() -> str:
    """The hub's name of the server's user, or the account that it runs as."""
    if name := os.environ.get("JUPYTERHUB_USER"):
        return name
    return _account()


def _account() -> str:
    """The name of the account of this process, whatever its environment says; its number if it has no name."""
    try:
        import pwd
    except ImportError:  # Windows
        return os.getlogin()
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # as in a container
        return str(number)


def _time(seconds: float) -> str:
    """Seconds since 1970, in UTC by ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()
