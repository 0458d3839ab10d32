"""What a client offers: its callbacks as tools that take and return payloads. It knows no connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, Raw

from .. import errors, futures, values
from ..rpc import jsonrpc as rpc
from ..rpc import nonfinite, wire

Callback = Callable[[dict[str, Any]], Any]
"""A tool: takes its arguments as one dict, and returns a value of the table of `pctx_jupyter.values`, or an
awaitable of one."""

ServeTool = Callable[[wire.ExecuteTool], Awaitable[Raw]]
"""A tool that takes and returns raw JSON; raises `errors.ToolFailed` with the name and token that the program sees."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A tool as it was registered.

    Args:
        asked: The registration.
        serve: Serves its calls.
        callback: What the program that offers it has passed.
    """

    asked: wire.RegisterTool
    serve: ServeTool
    callback: Callable[..., Any]

    @property
    def path(self) -> str:
        """Its full name as registered."""
        return f"{self.asked.namespace}.{self.asked.name}"


def serving(callback: Callback) -> ServeTool:
    """Make a tool of raw JSON out of a callback."""

    async def serve(asked: wire.ExecuteTool) -> Raw:
        arguments = {} if asked.arguments is UNSET else value_of(asked.arguments)
        if not isinstance(arguments, dict):
            raise errors.InvalidParams(f"Cannot call {asked.name}: its arguments must be one object")
        try:
            result = callback(arguments)
            while (pending := futures.pending(result)) is not None:
                result = await pending
        except errors.ToolFailed:
            raise
        except (Exception, SystemExit) as error:  # a tool that exits must not end the loop of its program
            raise errors.ToolFailed(_text(error), name=type(error).__name__) from error
        try:
            return payload_of(result, "result")
        except errors.NotJson as error:
            raise errors.ToolFailed(f"Cannot return from {asked.name}: {error.message}", name="TypeError") from None

    return serve


def _text(error: BaseException) -> str:
    """What an exception says, whatever its own methods do."""
    try:
        return str(error)
    except Exception as broken:
        return f"its text cannot be read ({type(broken).__name__})"


def payload_of(value: object, name: str = "value") -> Raw:
    """Write a value as a payload, with NaN and the infinities.

    Args:
        value: Anything of the table of `pctx_jupyter.values`.
        name: What messages call it.

    Raises:
        NotJson: It has no JSON form, or is nested too deeply; the message names the path.
    """
    return rpc.check_value(values.to_json(value, name))


def value_of(payload: Raw) -> Any:
    """Read a payload, with NaN and the infinities; raises `InvalidParams`."""
    return nonfinite.decode(payload) if nonfinite.is_marked(payload) else rpc.decode_value(payload)
