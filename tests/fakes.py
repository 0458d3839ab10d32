"""What tests put in the place of a pipe, a sandbox and a clock. They go through the seams everyone has."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from pctx_jupyter.program.result import Emit
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc.channel import Channel, OnNotification, Serve, crossed, ignore, refuse_all
from pctx_jupyter.session.consent import Question

if TYPE_CHECKING:
    from pctx_jupyter.session.execution import Job, ServeCall

SOON = 20
"""Seconds after which a wait that should have ended long ago counts as a hang."""

ROOMY = 1 << 20
"""Bytes of a frame that no test reaches by accident."""


class FakeClock:
    """Monotonic seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeSandbox:
    """A `Run` that does what `act` does with the job, its calls and its events."""

    def __init__(self, act: Callable[[Job, ServeCall, Emit], Any] | None = None) -> None:
        self.jobs: list[Job] = []
        self._act = act

    async def __call__(self, job: Job, serve: ServeCall, emit: Emit) -> Raw:
        self.jobs.append(job)
        if self._act is None:
            return rpc.NULL
        value = self._act(job, serve, emit)
        if inspect.isawaitable(value):
            value = await value
        return rpc.raw(value)


def pair(
    *,
    left: Serve = refuse_all,
    right: Serve = refuse_all,
    on_notification: OnNotification = ignore,
    max_bytes: int = ROOMY,
) -> tuple[Channel, Channel]:
    """Two channels joined in memory; `on_notification` listens on the right."""
    return crossed(
        lambda send: Channel(send, serve=left, name="left", max_bytes=max_bytes),
        lambda send: Channel(send, serve=right, on_notification=on_notification, name="right", max_bytes=max_bytes),
    )


def read(payload: Raw | None) -> Any:
    """A payload, decoded."""
    return None if payload is None else msgspec.json.decode(payload)


def question(**more: Any) -> Question:
    """An agent's call that waits for consent; `more` are fields of the `Question` that differ."""
    plain: dict[str, Any] = {
        "id": "1",
        "tool": "Mail.send",
        "description": "",
        "asked_by": "agent",
        "execution": "e",
        "code": "await Mail.send({})",
        "arguments": "{}",
        "argument_bytes": 2,
    }
    return Question(**plain | more)
