"""A peer that can wait: joins a conversation to a pipe, and keeps the futures and tasks that belong to it.

It holds a future for each answer that this end awaits, a task for each request that it serves, and a function that
receives notifications. It knows neither what the pipe is nor any method. A channel belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from msgspec import Raw

from .. import errors, processes, visible
from ..slices import in_slices, let_others_pass
from . import attached
from . import jsonrpc as rpc
from .peer import OURS, Dialect, Peer, Withdrawn
from .room import Room

log = logging.getLogger(__name__)

T = TypeVar("T")

Send = Callable[[bytes], None]
"""Writes one frame to the pipe; never waits. After the pipe is gone it may drop frames or raise OSError."""

Serve = Callable[[rpc.Request], Awaitable[object]]
"""Serves one request: returns its result (JSON, a Struct, a Raw or a `jsonrpc.Sound`) or raises a PctxError."""

OnNotification = Callable[[rpc.Notification], None]
"""Receives one notification; never waits."""


async def refuse_all(request: rpc.Request) -> object:
    """A `Serve` for an end that offers no methods."""
    raise errors.MethodNotFound(f"Cannot serve {request.method}: no such method")


def ignore(notification: rpc.Notification) -> None:
    """An `OnNotification` for an end that drops notifications."""


MOST_SERVED = 4_096
"""Requests of the other end that may wait for their answers at the same time. All programs that run at once can have
1,024 calls open; more than that is a flood, and each request holds a task and its parameters."""

STOP_S = 3.0
"""Seconds that requests being served may take to end once they are cancelled; then the channel closes anyway."""

GONE = "the pipe is gone"
"""The argument of the ``CancelledError`` that ends a request whose pipe is gone. The other end cancelled all others."""


LARGE_BYTES = 1 << 20
"""Bytes of a text from which it is read in slices: 2 ms and more."""

PIECE_BYTES = 1 << 17
"""Bytes of it that are read at once."""


async def is_known_sound(text: Raw | bytes | str, most: int) -> bool:
    """Return whether a JSON text is known to be UTF-8 that nests no deeper than this; a large one is read in slices.

    It is unknown of a small text, of one that is not bytes, and of one with bytes after it (`attached`).
    """
    size = 0 if isinstance(text, str) else memoryview(text).nbytes
    if isinstance(text, str) or size < LARGE_BYTES or attached.is_joined(bytes(memoryview(text)[:32])):
        return False
    found, view = rpc.Soundness(most), memoryview(text)
    async for start in in_slices(range(0, size, PIECE_BYTES)):
        if not found.add(bytes(view[start : start + PIECE_BYTES])):
            return False
    return found.is_sound


@dataclass(slots=True, eq=False)
class _Served:
    """A request that is being served; `task` is there once it has been begun."""

    request: rpc.Request
    task: asyncio.Task[None] | None = None


class Channel:
    """One end of a conversation over a pipe.

    Args:
        send: Writes a frame to the pipe.
        serve: Answers the other end's requests, each in a task of its own.
        on_notification: Receives the other end's notifications, in the order in which they came.
        name: Begins every log line.
        max_bytes: The largest frame that passes, either way.
        dialect: What is peculiar to the other end.
        room: The room on the pipe, for which requests wait.
        results_wait: Whether results wait for it, too. An end that serves strangers drops those who read none instead.

    The owner of the pipe calls `feed` for every frame that arrives, and `close` when the pipe is gone.
    """

    def __init__(
        self,
        send: Send,
        *,
        serve: Serve = refuse_all,
        on_notification: OnNotification = ignore,
        name: str,
        max_bytes: int,
        dialect: Dialect = OURS,
        room: Room | None = None,
        results_wait: bool = False,
    ) -> None:
        self.name = name
        self._room = room or Room()
        self._results_wait = results_wait
        self._send, self._serve, self._on_notification = send, serve, on_notification
        self._peer = Peer(max_bytes=max_bytes, dialect=dialect)
        self._awaited: dict[rpc.Id, asyncio.Future[Raw]] = {}
        self._serving: dict[rpc.Id, _Served] = {}  # what is owed an answer
        self._tasks: set[asyncio.Task[Any]] = set()  # of those, of cancelled requests not yet ended, of neighbours
        self._state: Literal["open", "stopping", "closed"] = "open"
        self._reason: errors.PctxError = errors.ConnectionLost(f"Connection lost: {name}")
        self._closed = asyncio.Event()
        self._when_closed: list[Callable[[], None]] = []

    @property
    def is_closed(self) -> bool:
        """Whether the pipe is gone; calls fail at once then."""
        return self._state == "closed"

    @property
    def is_owed(self) -> bool:
        """Whether one end waits for an answer of the other, or to be read by it."""
        return bool(self._awaited or self._serving or self._room.is_waited_for)

    async def call(self, method: str, params: object = None) -> Raw:
        """Send a request and wait for its answer.

        Cancelling the call cancels the request at the other end, so ``asyncio.timeout`` around it limits its time.

        Raises:
            PctxError: What the other end refused with, as the class of its code.
            ConnectionLost: The pipe is gone, now or while we waited.
            NotJson, MessageTooLarge: The parameters cannot be sent; nothing was asked.
        """
        payload = None if params is None else rpc.raw(params)
        is_sound = payload is not None and await is_known_sound(payload, rpc.MOST_DEPTH - 1)
        await self._room.wait()
        if self._state == "closed":
            raise errors.fresh(self._reason)
        id = self._peer.call(method, payload, is_sound=is_sound)
        answer: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        self._awaited[id] = answer
        log.debug("%s > %s #%s", self.name, method, id)
        try:
            self._flush()
            return await answer
        except asyncio.CancelledError:
            self._peer.withdraw(id)
            self._flush()
            raise
        finally:
            del self._awaited[id]

    def notify(self, method: str, params: object = None) -> None:
        """Send a notification; it is dropped when the pipe is gone."""
        if self._state != "closed":
            self._peer.notify(method, None if params is None else rpc.raw(params))
            self._flush()

    async def serve(self, request: rpc.Request) -> Raw:
        """Serve a request of the other end, if that is in this loop, in the task in which it waits: without a frame.

        When the pipe is gone, that task is cancelled. Whatever our `serve` does when it is cancelled is waited for: it
        must give up at once.

        Raises:
            PctxError: What the request is refused with.
        """
        task = asyncio.current_task()
        assert task is not None, "this is awaited in a task"
        if self._state != "open":
            raise errors.fresh(self._reason) if self._state == "closed" else _stopping()
        self._tasks.add(task)
        try:
            result = await self._result(request)
            return result.payload if isinstance(result, rpc.Sound) else result
        finally:
            self._tasks.discard(task)

    def feed(self, frame: bytes | str, *, is_sound: bool = False) -> None:
        """Take in one frame that arrived on the pipe.

        Args:
            frame: The frame.
            is_sound: Whether it is known to be UTF-8 that nests no deeper than `jsonrpc.MOST_DEPTH`. To find that out
                takes time.
        """
        if self._state == "closed":
            return
        for message in self._peer.receive(frame, is_sound=is_sound):
            match message:
                case rpc.Request(id) if self._state == "stopping":
                    self._peer.refuse(id, _stopping())
                case rpc.Request(id) if len(self._serving) >= MOST_SERVED:
                    self._peer.refuse(id, _too_many())
                case rpc.Request():
                    self._begin(message)
                case rpc.Notification():
                    self._on_notification(message)
                case rpc.Response(id, result):
                    self._settle(id, result)
                case rpc.Refusal(id) if id is not None:
                    self._settle(id, message.error())
                case Withdrawn(id):
                    log.debug("%s < withdrew #%s", self.name, visible.LogText(id))
                    if (served := self._serving.pop(id, None)) and served.task is not None:
                        served.task.cancel()
        self._flush()

    def close(self, reason: errors.PctxError | None = None) -> None:
        """Take note that the pipe is gone: calls in flight fail at once, requests being served are cancelled.

        Args:
            reason: What calls fail with, each with a copy of its own.
        """
        if self._state == "closed":
            return
        self._state, self._reason = "closed", reason or self._reason
        for answer in self._awaited.values():
            if not answer.done():
                answer.set_exception(errors.fresh(self._reason))
        for task in self._tasks:
            task.cancel(GONE)
        self._closed.set()
        self._room.close()
        acts, self._when_closed = self._when_closed, []
        for act in acts:
            self._run(act)

    def on_close(self, act: Callable[[], None]) -> None:
        """Call a function once: when the pipe is gone, or at once if it is."""
        if self._state == "closed":
            self._run(act)
        else:
            self._when_closed.append(act)

    async def stop(self) -> None:
        """Stop serving, then close. Requests being served, and those that come meanwhile, are refused."""
        if self._state == "open":
            self._state = "stopping"
        for task in self._tasks:
            task.cancel()
        await self._await_tasks()
        self.close()

    async def closed(self) -> None:
        """Wait until the pipe is gone and nothing is being served any more; `STOP_S` for what ignores its end."""
        await self._closed.wait()
        await self._await_tasks()

    async def _await_tasks(self) -> None:
        """Wait until the requests that were cancelled have ended. A tool may ignore that it is cancelled."""
        if self._tasks:
            _, stuck = await asyncio.wait(self._tasks, timeout=STOP_S)
            if stuck:
                log.warning("%s = %d requests do not end; closing without them", self.name, len(stuck))

    def _run(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:  # the others have to be called as well
            log.exception("%s = failed to act on its end", self.name)

    def _settle(self, id: rpc.Id, outcome: Raw | errors.PctxError) -> None:
        answer = self._awaited.get(id)
        # An answer may arrive in the turn in which the caller was cancelled: then nothing waits for it any more.
        if answer is None or answer.done():
            return
        if isinstance(outcome, errors.PctxError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

    def _begin(self, request: rpc.Request) -> None:
        served = self._serving[request.id] = _Served(request)
        # Not eagerly, which Python 3.11 cannot: a request is served in a later turn than it came, on every version.
        task = served.task = asyncio.get_running_loop().create_task(self._answer(served))
        if not task.done():  # it may be, if the program has set a task factory of its own
            self._tasks.add(task)
            task.add_done_callback(lambda task: self._ended(served, task))

    async def _answer(self, served: _Served) -> None:
        request = served.request
        log.debug("%s < %s #%s", self.name, visible.LogText(request.method), visible.LogText(request.id))
        outcome: Raw | errors.PctxError
        is_sound = False
        try:
            if request.params is not None and memoryview(request.params).nbytes >= LARGE_BYTES:
                await let_others_pass()  # after the turn in which it was read, and before it is read for its fields
            result = await self._result(request)
            outcome = result.payload if isinstance(result, rpc.Sound) else result
            is_sound = outcome is not result or await is_known_sound(outcome, rpc.MOST_DEPTH - 1)
            if self._results_wait:
                await self._room.wait()
        except errors.PctxError as error:
            log.debug("%s > error %d #%s", self.name, error.code, visible.LogText(request.id))
            outcome = error
        except asyncio.CancelledError:
            outcome = _cut_off()
        self._conclude(served, outcome, is_sound=is_sound)

    async def _result(self, request: rpc.Request) -> Raw | rpc.Sound:
        try:
            result = await self._serve(request)
            return result if isinstance(result, rpc.Sound) else rpc.raw(result)
        except errors.PctxError:
            raise
        except Exception as error:
            log.exception("%s = failed to serve %s", self.name, visible.LogText(request.method))
            raise errors.PctxError(processes.unforeseen(error)) from None

    def _ended(self, served: _Served, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._is_owed(served):
            self._conclude(served, _stopping())  # cancelled before it began, it has not said so itself

    def _is_owed(self, served: _Served) -> bool:
        """Whether it is still to be answered. The id of a cancelled request may be in use for another one."""
        return self._serving.get(served.request.id) is served

    def _conclude(self, served: _Served, outcome: Raw | errors.PctxError, *, is_sound: bool = False) -> None:
        """Answer a request, if it is still to be answered; `is_sound` as in `Peer.answer`."""
        if not self._is_owed(served):
            return
        id = served.request.id
        del self._serving[id]
        if isinstance(outcome, errors.PctxError):
            self._peer.refuse(id, outcome)
        else:
            self._peer.answer(id, outcome, is_sound=is_sound)
        self._flush()

    def _flush(self) -> None:
        for frame in self._peer.outgoing():
            if self._state != "closed":
                with suppress(OSError):  # the pipe's owner will notice and close us
                    self._send(frame)


def _stopping() -> errors.PctxError:
    """Return what a request is refused with that has not begun."""
    return errors.Cancelled("Cannot serve: the other end is stopping, and nothing was done; connect again and retry")


def _cut_off() -> errors.PctxError:
    """Return what a request is refused with that had begun."""
    return errors.Cancelled("Cancelled: the other end is stopping; what was under way may or may not have been done")


def _too_many() -> errors.PctxError:
    return errors.Busy(
        f"Cannot serve: {MOST_SERVED:,} requests of this connection have no answer yet; wait for some of them"
    )


def crossed(left: Callable[[Send], Channel], right: Callable[[Send], Channel]) -> tuple[Channel, Channel]:
    """Make two channels joined in memory, in the running loop: the same frames pass as on a socket.

    Args:
        left, right: Make one end, given the function with which it sends.

    Closing either end closes both.
    """
    ends: list[Channel] = []
    on_way: deque[tuple[int, bytes]] = deque()

    def deliver() -> None:
        while on_way:
            end, frame = on_way[0]
            try:
                ends[end].feed(frame)
            except Exception:
                log.exception("%s = failed to take in a frame", ends[end].name)
            on_way.popleft()

    def to(end: int) -> Send:
        # Delivered in the turn in which it is sent: a later one, as from a pipe, would take 10 µs of a tool call's 100.
        # What the other end says to it follows when it has been taken in, never inside of that.
        def send(frame: bytes) -> None:
            on_way.append((end, frame))
            if len(on_way) == 1 and ends:
                deliver()

        return send

    ends += left(to(1)), right(to(0))
    ends[0].on_close(ends[1].close)
    ends[1].on_close(ends[0].close)
    # What they sent while they were made is delivered later, when the caller has them.
    asyncio.get_running_loop().call_soon(deliver)
    return ends[0], ends[1]
