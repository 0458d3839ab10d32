"""Makes the exception of a failed execution out of what the wire said of it. No I/O."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from .. import errors
from ..errors import Failure


class _ErrorData(msgspec.Struct):
    """``data`` of an execution's error."""

    name: str = ""
    message: str | None = None
    line: int | None = None
    column: int | None = None
    frame: str | None = None
    stack: str = ""
    token: str | None = None
    missing: str | None = None
    stopped: bool | None = None
    seconds: float | None = None
    stdout: str = ""
    stderr: str = ""


def execution_error(error: errors.PctxError) -> errors.PctxError:
    """Return the error that one received for ``execute`` stands for: an `ExecutionFailed` or an `ExecutionTimeout`.

    It is an `ExecutionStopped` if a person or another client stopped the program.

    An error that is neither stays as it is; one of a server that gives no details keeps its message.
    """
    try:
        data = msgspec.convert(error.data or {}, _ErrorData)
    except msgspec.ValidationError:
        data = _ErrorData()
    printed = {"stdout": data.stdout, "stderr": data.stderr}
    match error.code:
        case errors.ExecutionTimeout.code if data.seconds is not None:
            return errors.ExecutionTimeout(data.seconds, **printed)
        case errors.ExecutionFailed.code:
            message = error.message if data.message is None else data.message
            failure = Failure(data.name, message, data.line, data.column, data.frame, data.stack, data.token)
            failure = replace(failure, missing=data.missing, stopped=data.stopped)
            kind = errors.ExecutionStopped if data.stopped else errors.ExecutionFailed
            return kind(failure, **printed)
    return error
