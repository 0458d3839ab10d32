"""Every exception of pctx, with its JSON-RPC code and its HTTP status.

::

    PctxError                      -32603  500
    ├── ProtocolError              -32600  400   a frame or request that breaks the protocol
    │   ├── UnreadableMessage      -32600  400   any frame that is no message
    │   │   ├── ParseError         -32700  400   not JSON, or nested too deeply
    │   │   └── InvalidRequest     -32600  400   JSON, but not a request
    │   ├── MessageTooLarge        -32600  413   beyond the configured size
    │   ├── MethodNotFound         -32601  404
    │   └── InvalidParams          -32602  400
    │       ├── NotJson            -32602  400   a Python value that has no JSON form
    │       └── ArgumentsRefused   -32602  422   arguments that a person edited do not fit the tool's schema
    ├── ToolError                  -32002  422   any of a tool
    │   ├── ToolExists             -32000  409
    │   ├── ToolNotFound           -32001  404
    │   └── ToolFailed             -32002  422   a tool raised; the program may catch it
    ├── ExecutionError             -32002  422   any of an execution that did not end well
    │   ├── ExecutionFailed        -32002  422   the program failed; carries its Failure
    │   │   ├── TypesWrong         -32002  422   refused by the type check, before it ran
    │   │   ├── LimitExceeded      -32002  422   stopped at one of its limits, which it names
    │   │   └── ExecutionStopped   -32002  422   stopped by somebody else than who asked for it
    │   └── ExecutionTimeout       -32003  504   (a Timeout, too)
    ├── Timeout                    -32003  504
    │   └── ToolTimeout            -32003  504   (a ToolError, too)
    ├── Busy                       -32004  503   no sandbox came free in time
    ├── SandboxUnavailable         -32005  503   Deno is missing, too old, or does not start
    ├── SessionNotFound            -32008  404   it is over, or was never open
    ├── UpstreamExists             -32009  409   there is an MCP server of that name
    ├── UpstreamNotFound           -32010  404   there is none
    ├── CannotWrite                -32011  507   a file of ours cannot be written, as on a full disk
    ├── Forbidden                  -32007  403   the one who asked may not, or may no longer
    ├── Cancelled                  -32800  499   the one who asked withdrew, or the server stops
    ├── ConnectionLost             -32006  502   the other end went away
    │   └── CannotConnect          -32006  502   nobody was reached, nothing was asked
    └── Remote                     as received  502   an error of the other end with a code of its own

Catch classes; never parse messages. A message names the action, then the present state, then the way out. This
module knows codes and statuses; it refuses to know who raises, logs or shows an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar, TypeAlias, TypeVar

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""Any JSON value, decoded."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a program failed: its error as data.

    Args:
        name: The error's class in TypeScript, such as ``TypeError``.
        message: Its message.
        line: 1-based, in what the user wrote; None when unknown.
        column: 1-based, in UTF-16 units; None when unknown.
        frame: The lines around that place, with a mark under it.
        stack: Frames of the user's program only.
        token: Set when a tool's exception caused it: the tool's owner finds the exception by it.
        missing: The name that is not defined, where that is the error. A kernel that has such a name can say more.
        stopped: Whether a person or another client stopped the program.
    """

    name: str
    message: str
    line: int | None = None
    column: int | None = None
    frame: str | None = None
    stack: str = ""
    token: str | None = None
    missing: str | None = None
    stopped: bool | None = None

    def text(self) -> str:
        """What a person or a model reads: name, message, place and frame."""
        head = f"{self.name}: {self.message}" if self.name else self.message
        place = f"\n  at line {self.line}, column {self.column}" if self.line is not None else ""
        return head + place + (f"\n\n{self.frame}" if self.frame else "")

    def data(self, stdout: str = "", stderr: str = "") -> Json:
        """The details that go with the error on the wire."""
        known: dict[str, Json] = {
            "name": self.name,
            "message": self.message,
            "line": self.line,
            "column": self.column,
            "frame": self.frame,
            "stack": self.stack,
            "token": self.token,
            "missing": self.missing,
            "stopped": self.stopped or None,
        }
        printed: dict[str, Json] = {"stdout": stdout, "stderr": stderr}
        return {key: value for key, value in known.items() if value is not None} | printed


class PctxError(Exception):
    """Anything pctx refuses or fails to do.

    Args:
        message: One sentence for the one who asked, without paths or secrets.
        data: Optional details for the wire, JSON.
    """

    code: int = -32603
    status: int = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self, message: str, *, data: Json = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


E = TypeVar("E", bound=BaseException)


def fresh(error: E) -> E:
    """Return a copy of an exception, without traceback, cause and context.

    An exception that is raised to several callers needs one copy for each: raising adds to its traceback every time.
    """
    copy = type(error).__new__(type(error), *error.args)
    copy.__dict__.update(error.__dict__)
    return copy


class ProtocolError(PctxError):
    """A frame or a request that breaks the protocol."""

    code = -32600
    status = HTTPStatus.BAD_REQUEST


class UnreadableMessage(ProtocolError):
    """A frame that is no message.

    Args:
        message: Says why.
        id: The id in the frame; None: it has no legal one, or none was found.
        kind: ``request``, ``notification`` or ``answer``, as far as the frame shows it; None: it does not.
    """

    def __init__(
        self, message: str, *, id: int | str | None = None, kind: str | None = None, data: Json = None
    ) -> None:
        super().__init__(message, data=data)
        self.id, self.kind = id, kind


class ParseError(UnreadableMessage):
    """The frame is not JSON, or is nested too deeply."""

    code = -32700


class InvalidRequest(UnreadableMessage):
    """The frame is JSON but no JSON-RPC 2.0 message."""


class MessageTooLarge(ProtocolError):
    """A message beyond the configured size; the connection stays open."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"Cannot pass on a message of {size:,} bytes: the limit is {limit:,} (Pctx.max_message_bytes); "
            "return less, or in parts"
        )
        self.size, self.limit = size, limit


class MethodNotFound(ProtocolError):
    """The other end knows no such method."""

    code = -32601
    status = HTTPStatus.NOT_FOUND


class InvalidParams(ProtocolError):
    """The parameters are not the method's."""

    code = -32602


class NotJson(InvalidParams):
    """A Python value that has no JSON form; the message names the path inside the value."""


class ArgumentsRefused(InvalidParams):
    """Arguments that a person edited do not fit the tool's schema; the message names each field."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class ToolError(PctxError):
    """Something is wrong with a tool: its registration, or a call of it."""

    code = -32002
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class ToolExists(ToolError):
    """A tool of that name is registered already."""

    code = -32000
    status = HTTPStatus.CONFLICT


class ToolNotFound(ToolError):
    """No such tool is offered here."""

    code = -32001
    status = HTTPStatus.NOT_FOUND


class ExecutionError(PctxError):
    """An execution did not end well; ``stdout`` and ``stderr`` are what it had printed until then."""

    code = -32002
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    stdout: str = ""
    stderr: str = ""


class ExecutionFailed(ExecutionError):
    """The program failed: a syntax error, or an exception it did not catch. ``failure`` says where."""

    def __init__(self, failure: Failure, *, stdout: str = "", stderr: str = "") -> None:
        super().__init__(failure.text(), data=failure.data(stdout, stderr))
        self.failure = failure
        self.stdout, self.stderr = stdout, stderr


class TypesWrong(ExecutionFailed):
    """The type check refused the program before it ran."""


class LimitExceeded(ExecutionFailed):
    """The program was stopped at one of its limits, which the message names."""


class ExecutionStopped(ExecutionFailed):
    """The program was stopped by another person or client than the one that had it run."""


class ToolFailed(ToolError):
    """A tool raised. The program sees an ``Error`` of that name and message, and may catch it.

    Args:
        message: What the tool's exception said.
        name: The exception's type, such as ``ValueError``.
        token: A key by which the tool's owner finds the exception again.
        details: What the program reads as ``error.data``; None: nothing.
    """

    def __init__(
        self, message: str, *, name: str = "ToolError", token: str | None = None, details: Json = None
    ) -> None:
        data: dict[str, Json] = {"name": name}
        if token is not None:
            data["token"] = token
        if details is not None:
            data["data"] = details
        super().__init__(message, data=data)
        self.name, self.token = name, token


class Timeout(PctxError):
    """Something took longer than it was allowed to."""

    code = -32003
    status = HTTPStatus.GATEWAY_TIMEOUT


class ExecutionTimeout(Timeout, ExecutionError):
    """The program ran longer than it was allowed to."""

    def __init__(self, seconds: float, *, stdout: str = "", stderr: str = "") -> None:
        super().__init__(
            f"Cannot finish execution: stopped after {seconds:g} s (its time limit, timeout_s)",
            data={"name": "TimeoutError", "seconds": seconds, "stdout": stdout, "stderr": stderr},
        )
        self.seconds = seconds
        self.stdout, self.stderr = stdout, stderr


class ToolTimeout(Timeout, ToolError):
    """One tool call took longer than it was allowed to."""

    def __init__(self, path: str, seconds: float, message: str | None = None) -> None:
        said = f"Tool {path} timed out after {seconds:g} s; raise Pctx.max_call_s if it needs longer"
        super().__init__(message or said, data={"name": "TimeoutError"})
        self.path, self.seconds = path, seconds


class Busy(PctxError):
    """Too many programs wait, or the turn of this one did not come in time. ``data`` may have ``retry_after_s``."""

    code = -32004
    status = HTTPStatus.SERVICE_UNAVAILABLE


class SandboxUnavailable(PctxError):
    """Deno is missing, too old, or does not start; the message says which and the cure."""

    code = -32005
    status = HTTPStatus.SERVICE_UNAVAILABLE


class SessionNotFound(PctxError):
    """There is no such session, or none of that kernel; the message says how to open one."""

    code = -32008
    status = HTTPStatus.NOT_FOUND


class UpstreamExists(PctxError):
    """There is an MCP server of that name already."""

    code = -32009
    status = HTTPStatus.CONFLICT


class UpstreamNotFound(PctxError):
    """There is no MCP server of that name; the message says which there are."""

    code = -32010
    status = HTTPStatus.NOT_FOUND


class CannotWrite(PctxError):
    """A file cannot be written; the message says which and why. The request was right, and may be repeated later."""

    code = -32011
    status = HTTPStatus.INSUFFICIENT_STORAGE


class Forbidden(PctxError):
    """The one who asked may not, or may no longer."""

    code = -32007
    status = HTTPStatus.FORBIDDEN


class ConnectionLost(PctxError):
    """The other end went away; whether it did what was asked is unknown."""

    code = -32006
    status = HTTPStatus.BAD_GATEWAY


class CannotConnect(ConnectionLost):
    """Nobody was reached, so nothing was asked; the message says why and the way out.

    Args:
        http_status: What the server refused with, if one was reached: 403 for a wrong token.
        is_silent: Whether a server is there that does not answer, such as a stopped process: another way to it is of
            no use.
    """

    def __init__(self, message: str, *, http_status: int | None = None, is_silent: bool = False) -> None:
        super().__init__(message)
        self.http_status, self.is_silent = http_status, is_silent


class Cancelled(PctxError):
    """Withdrawn by the one who asked, or stopped with the server."""

    code = -32800
    status = 499


class Remote(PctxError):
    """An error of the other end whose code has no class here; keeps that code."""

    status = HTTPStatus.BAD_GATEWAY

    def __init__(self, code: int, message: str, data: Json = None) -> None:
        super().__init__(message, data=data)
        self.code = code


class Received:
    """Makes the exception that a refusal on the wire stands for."""

    simple: ClassVar[dict[int, type[PctxError]]] = {
        kind.code: kind for kind in (ParseError, MethodNotFound, InvalidParams, ToolExists, ToolNotFound, Timeout)
    } | {
        kind.code: kind
        for kind in (
            UpstreamExists,
            UpstreamNotFound,
            CannotWrite,
            Busy,
            SandboxUnavailable,
            SessionNotFound,
            Forbidden,
            ConnectionLost,
            Cancelled,
        )
    }

    @classmethod
    def error(cls, code: int, message: str, data: Json = None) -> PctxError:
        """Return the exception for one received error object.

        Errors of a program (-32002) become `Remote` too: only who asked for an execution knows whether it was a
        program or a tool that failed.
        """
        if code == InvalidRequest.code:
            return ProtocolError(message, data=data)
        kind = cls.simple.get(code)
        return kind(message, data=data) if kind is not None else Remote(code, message, data)
