"""The audit log: one event for each execution and each call that has ended, through Jupyter's own event system.

It is off until ``c.Pctx.audit`` asks for it: JupyterLab listens to all events of its server, and each one costs a
fraction of a millisecond. ``c.EventLogger.handlers`` say where events go. The schemas in `events` say what they hold:
no code, no arguments, no results and no text of an error, unless code and arguments are asked for.
"""

from __future__ import annotations

import getpass
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..session.execution import CallMade
from ..session.trace import Trace

if TYPE_CHECKING:
    from jupyter_events import EventLogger

SCHEMAS = Path(__file__).parent / "events"
EXECUTION = "https://events.pctx-jupyter.org/execution/v1"
CALL = "https://events.pctx-jupyter.org/call/v1"
MOST_HASHED = 1 << 20
"""Bytes of arguments up to which they are hashed and written: SHA-256 of so many takes about a millisecond."""


class AuditLog:
    """Writes events; an observer (`session.observers.Observer`).

    Args:
        events: Jupyter's event system.
        has_payloads: Whether events have code and arguments as well.
    """

    def __init__(self, events: EventLogger, *, has_payloads: bool) -> None:
        self._events, self._has_payloads = events, has_payloads
        self._user = _user()
        for schema, name in ((EXECUTION, "execution"), (CALL, "call")):
            if schema not in events.schemas:
                events.register_event_schema(SCHEMAS / f"{name}.yaml")

    def execution_ended(self, trace: Trace) -> None:
        """Write the event of an execution."""
        data: dict[str, Any] = {
            **self._who(trace),
            "outcome": trace.state,
            "started_at": _time(trace.started_at),
            "duration_s": trace.duration_s or 0.0,
            "calls": trace.calls_in_all,
            "failed_calls": trace.failed_calls,
            "code_sha256": hashlib.sha256(trace.code.encode(errors="surrogatepass")).hexdigest(),
        }
        if trace.error is not None:
            data["error"] = trace.error.name
        if trace.check is not None:
            data["check"] = trace.check.outcome
        if self._has_payloads:
            data["code"] = trace.code
        self._events.emit(schema_id=EXECUTION, data=data)

    def call_ended(self, trace: Trace, call: CallMade) -> None:
        """Write the event of a call."""
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


def _user() -> str:
    """The hub's name of the server's user, or the account that it runs as."""
    if name := os.environ.get("JUPYTERHUB_USER"):
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        return str(os.getuid()) if hasattr(os, "getuid") else ""


def _time(seconds: float) -> str:
    """Seconds since 1970, in UTC by ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()
