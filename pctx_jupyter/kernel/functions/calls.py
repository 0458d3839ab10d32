"""One call of a tool for a program: it runs the tool, and makes the result or the error that the program gets.

Except for `answered`, everything here runs on the tools' thread, because it may call the user's code: even an
exception's ``__str__``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec import Raw

from ... import errors
from .tool import PythonTool, call

if TYPE_CHECKING:
    from ...handles.table import Handles

MESSAGE_CHARS = 10_000
"""Characters of an exception's message that reach the program."""

Keep = Callable[[BaseException], "str | None"]
"""Keeps a tool's exception; returns the token that identifies it."""


def keep_nothing(error: BaseException) -> None:
    """Keep no exception: a guest program calls, and no cell of this notebook will show it."""


def begin(keep: Keep, tool: PythonTool, arguments: Raw | None, handles: Handles | None = None) -> Raw | Awaitable[Raw]:
    """Call a tool; returns its result, or an awaitable of it.

    Args:
        keep: Keeps its exception.
        tool: The tool.
        arguments, handles: As `tool.call` takes them.

    Raises:
        ToolFailed: The error for the program; its cause is the tool's exception.
        KeyboardInterrupt: It was interrupted.
    """
    try:
        made = call(tool, arguments, handles)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _failed(keep, error) from error
    return made if isinstance(made, Raw) else _awaited(keep, made)


def answered(tool: PythonTool, outcome: Raw | BaseException) -> Raw:
    """Return the result of a call, or raise the error that its program gets instead."""
    match outcome:
        case Raw():
            return outcome
        case errors.PctxError():
            raise outcome
        case KeyboardInterrupt():
            raise errors.ToolFailed(f"{tool.path} was interrupted in its notebook", name="KeyboardInterrupt")
    raise errors.ToolFailed(f"{tool.path} failed", name=type(outcome).__name__)


async def _awaited(keep: Keep, work: Awaitable[Raw]) -> Raw:
    try:
        return await work
    except (KeyboardInterrupt, asyncio.CancelledError, GeneratorExit):  # all three are said to it, not by it
        raise
    except BaseException as error:
        raise _failed(keep, error) from error


def _failed(keep: Keep, error: BaseException) -> errors.ToolFailed:
    """The error that the program gets for a tool's exception."""
    name = error.name if isinstance(error, errors.ToolFailed) else type(error).__name__
    try:
        message = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as trouble:
        message = f"(its message cannot be shown: {type(trouble).__name__})"
    if len(message) > MESSAGE_CHARS:
        message = f"{message[:MESSAGE_CHARS]}… ({len(message):,} characters)"
    # JSON in UTF-8 cannot carry half a surrogate pair.
    message = message.encode("utf-8", "replace").decode()
    return errors.ToolFailed(message, name=name, token=keep(error))
