"""A client's connection: opened when asked, opened again when it is lost, closed when asked. An explicit state machine.

It knows neither tools nor programs. Its caller passes a function that opens a channel and one that is called with it.

::

    Idle ──connect──▶ Connecting ──▶ Connected ──lost──▶ Connecting (again) or Idle
                          │              │
                          └──disconnect──┴──▶ Closing ──▶ Idle
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from .. import errors
from ..rpc.backoff import BackOff
from ..rpc.channel import Channel

log = logging.getLogger(__name__)

BACK_OFF_S = (0.1, 2.0)
"""Seconds between attempts to connect again: the first wait, doubled each time, and the longest."""

REFUSED_S = (1.0, 300.0)
"""The same after a server that answers has refused: it was restarted without pctx, or with other tokens. A request has
the client try at once."""

NOT_CONNECTED = "Cannot ask: not connected; connect first, with `async with client:` or `await client.connect()`"
DISCONNECTED = "Cannot ask: this client disconnected; connect first, with `await client.connect()`"
LOST = "Cannot ask: the connection was lost; connect again"
ELSEWHERE = "Cannot ask: this client is connected in another event loop; use it there, or make one for each loop"


@dataclass(frozen=True, slots=True)
class Opened:
    """An open channel with a session.

    Args:
        channel: The channel.
        session_id: The session's id.
    """

    channel: Channel
    session_id: str


@dataclass(frozen=True, slots=True)
class Idle:
    """There is no connection, and none is being made.

    Args:
        why: What requests fail with.
    """

    why: str = NOT_CONNECTED


@dataclass(slots=True, eq=False)
class Connecting:
    """A connection is being made.

    Args:
        is_again: Whether there was one before; then attempts are repeated until one succeeds.
        outcome: Done once an attempt has succeeded, or the server has refused one. Who asks after that has the client
            try again.
        trouble: Why the last attempt failed.
        callers: Calls of `Connection.connect` that wait for the first attempt.
    """

    is_again: bool = False
    outcome: asyncio.Future[Opened] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    trouble: str = "no attempt yet"
    callers: int = 0

    def fail(self, error: BaseException) -> None:
        """Fail all callers that wait for it."""
        if not self.outcome.done():
            self.outcome.set_exception(error)
            self.outcome.exception()  # retrieved, whether a caller waits or not

    def succeed(self, opened: Opened) -> None:
        """Resume all callers that wait for it."""
        if not self.outcome.done():
            self.outcome.set_result(opened)

    async def wait(self) -> Opened:
        """Wait for the outcome; each caller gets an exception of its own."""
        await asyncio.wait([self.outcome])
        if (error := self.outcome.exception()) is not None:
            raise errors.fresh(error)
        return self.outcome.result()


@dataclass(frozen=True, slots=True, eq=False)
class Connected:
    """There is a connection."""

    opened: Opened


@dataclass(frozen=True, slots=True, eq=False)
class Closing:
    """The connection, or the attempt to make one, is being closed.

    Args:
        task: Closes it.
    """

    task: asyncio.Task[None]


ConnectionState: TypeAlias = Idle | Connecting | Connected | Closing


class Connection:
    """One client's connection. It belongs to the event loop in which `connect` is awaited.

    Args:
        open_channel: Opens a channel and its session, once; raises `CannotConnect`.
        reconnect: Whether a lost connection is opened again, until `disconnect`.
        patience_s: Seconds that a request waits for a connection that is being made.
        on_reconnect: Called when a lost connection is open again; never waits.
    """

    def __init__(
        self,
        open_channel: Callable[[], Awaitable[Opened]],
        *,
        reconnect: bool,
        patience_s: float,
        on_reconnect: Callable[[], None],
    ) -> None:
        self._open_channel, self._on_reconnect = open_channel, on_reconnect
        self._reconnect, self._patience_s = reconnect, patience_s
        self._state: ConnectionState = Idle()
        self._keeper: asyncio.Task[None] | None = None
        """Opens the connection and, when it is lost, opens it again."""
        self._is_wanted = asyncio.Event()
        """Whether a request waits for an attempt that is to be made at once."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop of the connection; None: there was none yet."""

    @property
    def opened(self) -> Opened | None:
        """The open channel; None while there is none."""
        return self._state.opened if isinstance(self._state, Connected) else None

    async def connect(self) -> None:
        """Connect, or wait until a connection that is being made stands; does nothing when there is one.

        Raises:
            CannotConnect: Says what happened and the way out.
            ConnectionLost: It is connected in another loop.
        """
        self._check_loop()
        while isinstance(self._state, Closing):
            await asyncio.wait([self._state.task])
        if isinstance(self._state, Connected):
            return
        if isinstance(self._state, Connecting) and self._state.is_again:
            await self.channel()
            return
        if isinstance(self._state, Idle):
            self._loop, self._is_wanted = asyncio.get_running_loop(), asyncio.Event()
            self._state = Connecting()
            self._keeper = asyncio.create_task(self._keep(self._state), name="pctx client")
        assert isinstance(self._state, Connecting), "one attempt is made for all who want to connect"
        attempt = self._state
        attempt.callers += 1
        try:
            await attempt.wait()
        except asyncio.CancelledError:
            if attempt.callers == 1 and not attempt.outcome.done():  # no other caller waits for it
                await self.disconnect()
            raise
        finally:
            attempt.callers -= 1

    async def disconnect(self) -> None:
        """Close the connection, or stop connecting: callers that wait for it fail. Does nothing if there is none.

        Raises:
            ConnectionLost: It is connected in another loop.
        """
        self._check_loop()
        if isinstance(self._state, Idle):
            return
        if not isinstance(self._state, Closing):
            closing = self._close(self._state)
            self._state = Closing(asyncio.create_task(closing, name="pctx client closing"))
        await asyncio.shield(self._state.task)

    async def channel(self) -> Channel:
        """Return the open channel; wait for it while it is being opened.

        Raises:
            ConnectionLost: There is none, and none is being opened; or it is one of another loop.
            CannotConnect: It was not opened in time, or the server has refused it.
        """
        self._check_loop()
        if isinstance(self._state, Connected):
            return self._state.opened.channel
        if isinstance(self._state, Idle):
            raise errors.ConnectionLost(self._state.why)
        if isinstance(self._state, Closing):
            raise errors.ConnectionLost(DISCONNECTED)
        attempt = self._state
        if attempt.outcome.done():  # the server has refused: that may have been long ago
            attempt = self._state = Connecting(is_again=True, trouble=attempt.trouble)
            self._is_wanted.set()
        try:
            async with asyncio.timeout(self._patience_s):
                return (await attempt.wait()).channel
        except TimeoutError:
            raise errors.CannotConnect(self._still_trying(self._state)) from None

    def _check_loop(self) -> None:
        """Refuse to work in another loop than that of the connection: answers would reach the wrong one."""
        if self._loop is None or isinstance(self._state, Idle) or self._loop is asyncio.get_running_loop():
            return
        if not self._loop.is_closed():
            raise errors.ConnectionLost(ELSEWHERE)
        self._state, self._keeper = Idle(LOST), None  # the connection has ended with its loop

    def _still_trying(self, state: ConnectionState) -> str:
        if not isinstance(state, Connecting):
            return DISCONNECTED
        if not state.is_again:
            return f"Cannot ask: the client has been connecting for {self._patience_s:g} s and still tries"
        return (
            f"Cannot ask: the connection was lost and has not come back within {self._patience_s:g} s; "
            f"this client keeps trying ({state.trouble})"
        )

    async def _close(self, before: Connecting | Connected) -> None:
        keeper, self._keeper = self._keeper, None
        if isinstance(before, Connecting):
            before.fail(errors.CannotConnect("Cannot ask: this client disconnected"))
        try:
            if keeper is not None:
                keeper.cancel()
                await asyncio.wait([keeper])
            if isinstance(before, Connected):
                before.opened.channel.close(errors.ConnectionLost("Connection closed: this client disconnected"))
                await before.opened.channel.closed()
        finally:
            self._state = Idle()

    # the keeper's task

    async def _keep(self, first: Connecting) -> None:
        try:
            opened = await self._open_channel()
        except Exception as error:
            self._become(Idle(), replacing=first)
            first.fail(error)
            return
        attempt = first
        while True:
            lost = asyncio.Event()
            self._become(Connected(opened), replacing=attempt)
            attempt.succeed(opened)
            if attempt.is_again:
                self._note_reconnect()
            opened.channel.on_close(self._lose)
            opened.channel.on_close(lost.set)
            await lost.wait()
            if not isinstance(self._state, Connecting):
                return
            opened, attempt = await self._open_again(self._state)

    def _note_reconnect(self) -> None:
        try:
            self._on_reconnect()
        except Exception:  # the caller's: it must not end the task that opens the connection again
            log.exception("= failed to act on a new connection")

    def _lose(self) -> None:
        """Change the state in the very turn in which the connection is lost."""
        if isinstance(self._state, Connected):
            self._state = Connecting(is_again=True) if self._reconnect else Idle(LOST)

    async def _open_again(self, attempt: Connecting) -> tuple[Opened, Connecting]:
        back_off, refused = BackOff(*BACK_OFF_S), BackOff(*REFUSED_S)
        wait_s = back_off.next_s()
        while True:
            attempt = await self._pause(wait_s, attempt)
            wait_s = back_off.next_s()
            try:
                return await self._open_channel(), attempt
            except errors.CannotConnect as error:
                attempt.trouble = error.message
                log.info("= cannot connect again: %s", error.message)
                if error.http_status is not None:
                    # The server answered, and refused. Without an answer, requests wait for the next attempt.
                    attempt.fail(error)
                    wait_s = refused.next_s()
            except errors.PctxError as error:  # such as a connection that was lost again while tools were offered
                attempt.trouble = error.message
                log.info("= cannot connect again: %s", error.message)
            except Exception as error:
                attempt.trouble = str(error) or type(error).__name__
                log.warning("= cannot connect again", exc_info=True)

    async def _pause(self, wait_s: float, attempt: Connecting) -> Connecting:
        """Wait until the next attempt is due, or a request asks for it; returns the state in which it is made."""
        self._is_wanted.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._is_wanted.wait()
        if attempt.outcome.done():  # it was refused, and no request has asked since
            self._become(Connecting(is_again=True, trouble=attempt.trouble), replacing=attempt)
        return self._state if isinstance(self._state, Connecting) else attempt

    def _become(self, state: ConnectionState, *, replacing: ConnectionState) -> None:
        """Change the state, unless something else, such as closing, has changed it meanwhile."""
        if self._state is replacing:
            self._state = state
