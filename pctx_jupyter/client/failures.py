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
    seconds: float | None = None
    stdout: str = ""
    stderr: str = ""


def execution_error(error: errors.PctxError) -> errors.PctxError:
    """Return the `ExecutionFailed` or `ExecutionTimeout` that an error received for ``execute`` stands for.

    An error that is neither stays as it is; one of a server that gives no details keeps its message.
    """
    try:
        told = msgspec.convert(error.data or {}, _ErrorData)
    except msgspec.ValidationError:
        told = _ErrorData()
    printed = {"stdout": told.stdout, "stderr": told.stderr}
    match error.code:
        case errors.ExecutionTimeout.code if told.seconds is not None:
            return errors.ExecutionTimeout(told.seconds, **printed)
        case errors.ExecutionFailed.code:
            message = error.message if told.message is None else told.message
            failure = Failure(told.name, message, told.line, told.column, told.frame, told.stack, told.token)
            failure = replace(failure, missing=told.missing)
            return errors.ExecutionFailed(failure, **printed)
    return error
