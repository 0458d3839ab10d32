"""What a cell raises when its program fails: an exception that shows the program's error and none of our frames."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from ... import errors
from ...errors import Failure
from ..functions.tracebacks import has_user_frames, traceback_of_user_frames
from ..spelling import as_python
from . import display


class ProgramFailed(Exception):
    """A program failed, or could not be run. Its cause is the tool's exception behind it, if there is one.

    Args:
        error: What came back in place of a result.
        cause: The exception of a tool that the program did not catch.
    """

    def __init__(self, error: Exception, cause: BaseException | None = None) -> None:
        failed = Failure(type(error).__name__, str(error))
        if isinstance(error, errors.ExecutionFailed):
            failed = error.failure
        super().__init__(f"{failed.name}: {failed.message}" if failed.name else failed.message)
        self.failure = failed
        self.__cause__ = cause
        python = traceback_of_user_frames(cause) if cause is not None and _is_the_users(cause) else None
        self._text = str(display.failure(failed, python)["text/plain"])

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        return self._text.split("\n")


def with_hint(error: Exception, notebook: Mapping[str, object], offered: Collection[object] = ()) -> Exception:
    """Return the error, with a hint if the program lacks a name that the notebook has.

    Args:
        error: What came back in place of a result.
        notebook: The names of the notebook, with their values.
        offered: Functions that are tools already. They get no hint: the message names the tool.
    """
    if not isinstance(error, errors.ExecutionFailed):
        return error
    failed = error.failure
    name = failed.missing
    if name is None or name.startswith("_") or as_python(name) not in notebook:
        return error
    value = notebook[as_python(name)]
    if any(value is function for function in offered):
        return error
    if callable(value):
        hint = f"The notebook has {name}: %pctx register {name} lets programs call it, as a tool of Notebook"
    else:
        hint = f"The notebook has {name}: pass it in with %%pctx -i {name}"
    first, *others = failed.message.split("\n")
    end = "" if first.endswith((".", "?")) else "."
    message = "\n".join([f"{first}{end} {hint}.", *others])
    return errors.ExecutionFailed(replace(failed, message=message), stdout=error.stdout, stderr=error.stderr)


def _is_the_users(error: BaseException) -> bool:
    """Whether a Python traceback says more than the message: not for what we refused before the function ran."""
    return not isinstance(error, errors.PctxError) or has_user_frames(error)
