"""Notifies watchers of changes over a WebSocket: one word a frame. They fetch the new state themselves.

At most `FRAMES_PER_S` frames of each kind are sent a second, however much changes, so nothing queues up for a slow
reader.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated

import msgspec
from jupyter_server.auth.decorator import ws_authenticated
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from .. import foreign, tcp
from ..engine import Engine
from ..rpc.pulse import Pulse
from ..session.consent import ConsentPlace
from ..session.watch import Change
from .base import PctxHandler

log = logging.getLogger(__name__)

FRAMES_PER_S = 4
"""Frames about one kind of change a second: as often as a list that is read may change."""

MOST_DRAWN = 500
"""Kernels whose guest programs one front end may show: more than a browser has notebooks open."""


class Changed(msgspec.Struct):
    """One frame."""

    change: Change


class Drawn(msgspec.Struct):
    """The only frame that a front end sends: the ids of the kernels whose guest programs it shows itself.

    Each frame replaces the one before. When the connection ends, the front end shows none any more.
    """

    drawn: Annotated[list[Annotated[str, msgspec.Meta(max_length=100)]], msgspec.Meta(max_length=MOST_DRAWN)]


class ChangesSocket(PctxHandler, WebSocketHandler):
    """``pctx/api/changes``: the server sends changes; a front end sends which kernels' guest programs it shows."""

    _engine: Engine
    _leave: Callable[[], None] | None = None
    _absent: Callable[[], None] | None = None
    _place: ConsentPlace = "jupyterlab"
    _may_answer = False
    _pulse: Pulse | None = None

    # Tornado would ping an idle panel, too. A proxy takes that for activity, and a hub never culls the server.
    ping_interval = 0
    ping_timeout = 0
    max_message_size = 1 << 16

    @ws_authenticated
    async def get(self, *args: str, **kwargs: str) -> None:
        """Shake hands with a user who may read; one who may execute as well can be asked for consent."""
        match self.get_query_argument("place", "jupyterlab"):
            case "jupyterlab" | "terminal" as place:
                self._place = place
            case _:
                raise web.HTTPError(HTTPStatus.BAD_REQUEST, "Cannot listen: place must be jupyterlab or terminal")
        self._may_answer = await self.may("execute")
        self._engine = await self.open_engine()
        await super().get(*args, **kwargs)

    def open(self, *args: str, **kwargs: str) -> None:
        """Begin to send changes."""
        tcp.keep_alive(foreign.socket_of(self.ws_connection))
        self._timers: dict[Change, asyncio.TimerHandle] = {}  # kinds sent lately
        self._waiting: set[Change] = set()  # those of them that have changed again since
        registry = self._engine.registry
        self._leave = registry.watchers.add(self._on_change)
        if self._may_answer:
            self._absent = registry.approvals.attend(self._place)
        self._pulse = Pulse(
            self._engine.settings.ping_s,
            ping=self._ping,
            is_needed=lambda: self._may_answer and len(registry.approvals) > 0,  # a person is asked: are they there?
            on_silence=self._drop,
        )
        self._pulse.start()

    def on_message(self, message: str | bytes) -> None:
        """Take note of the kernels whose guest programs the front end shows; ignore any other frame."""
        if not self._may_answer:  # a user who may only read must not keep a notebook from showing something
            return
        try:
            drawn = msgspec.json.decode(message, type=Drawn).drawn
        except msgspec.DecodeError:
            log.debug("changes < a frame that cannot be read")
            return
        self._engine.registry.watchers.draw(self, drawn)

    def on_pong(self, data: bytes) -> None:
        """Take note of a sign of life."""
        if self._pulse is not None:
            self._pulse.beat()

    def on_close(self) -> None:
        """Stop sending changes."""
        if self._pulse is not None:
            self._pulse.stop()
        if self._leave is not None:
            self._leave()
            self._engine.registry.watchers.draw(self, ())
            if self._absent is not None:
                self._absent()
            for timer in self._timers.values():
                timer.cancel()

    def _ping(self) -> None:
        with suppress(WebSocketClosedError):
            self.ping()

    def _drop(self, why: str) -> None:
        log.info("changes = dropped: %s", why)
        if self.ws_connection is not None and self.ws_connection.stream is not None:
            self.ws_connection.stream.close()

    def _on_change(self, change: Change) -> None:
        if self._pulse is not None:
            self._pulse.wake()  # a person may be asked from now on
        if change in self._timers:
            self._waiting.add(change)
        else:
            self._send(change)

    def _send(self, change: Change) -> None:
        """Send it now, and the next one of its kind only after a while."""
        self._waiting.discard(change)
        self._timers[change] = asyncio.get_running_loop().call_later(1 / FRAMES_PER_S, self._rest, change)
        try:
            self.write_message(msgspec.json.encode(Changed(change)))
        except WebSocketClosedError:
            return

    def _rest(self, change: Change) -> None:
        del self._timers[change]
        if change in self._waiting:
            self._send(change)
