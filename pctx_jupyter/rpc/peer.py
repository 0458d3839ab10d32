"""One end of a conversation: ids, answers owed and awaited, cancellation. No pipe, no waiting.

The owner of a pipe passes what arrives to `Peer.receive` and writes what `Peer.outgoing` returns::

    for message in peer.receive(frame):
        act_on(message)
    for frame in peer.outgoing():
        pipe.write(frame)

The peer trusts nothing: an answer counts once and only for a request of its own; a request id may not be reused while
it is owed an answer; a cancelled request is never answered. Messages that break the protocol are refused.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
from msgspec import Raw

from .. import errors, visible
from . import attached
from . import jsonrpc as rpc

log = logging.getLogger(__name__)

CANCEL = "$/cancel"
"""The notification that cancels a request: ``{"id": …}``."""


UNREAD = (errors.ParseError.code, errors.InvalidRequest.code)
"""Codes with which a message is refused that could not be read."""


class Withdrawn(msgspec.Struct, frozen=True):
    """The other end has cancelled its request; the answer would be dropped."""

    id: rpc.Id


Incoming: TypeAlias = rpc.Request | rpc.Notification | rpc.Response | rpc.Refusal | Withdrawn


class _Cancel(msgspec.Struct):
    id: int | str


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the ends that a peer can talk to. The default is this project's own protocol.

    Args:
        prefix: Begins the ids of requests to the other end, which are texts then; empty: they are integers. A simple
            client looks an id up among its own requests before it looks at `method`, so ids must not meet.
        max_sent_bytes: The largest frame that the other end reads; None: as large as those that this end reads.
        cancels: Whether the other end knows the notification ``$/cancel``.
    """

    prefix: str = ""
    max_sent_bytes: int | None = None
    cancels: bool = True

    def refusal(self, id: rpc.Id | None, error: errors.PctxError) -> rpc.Refusal:
        """Return an error as the other end can read it."""
        return rpc.Refusal(id, error.code, error.message, None if error.data is None else rpc.raw(error.data))


OURS = Dialect()
"""This project's own protocol, with integers as ids: a sandbox, and a client that calls a server."""

SERVERS = Dialect(prefix="pctx:")
"""The same, as a server speaks it to clients: no client begins its ids with this prefix."""


class Peer:
    """One end of a JSON-RPC conversation.

    Args:
        max_bytes: The largest frame that passes, either way. A larger one fails its own request only.
        dialect: What is peculiar to the other end.
    """

    def __init__(self, *, max_bytes: int, dialect: Dialect = OURS) -> None:
        self._max_bytes, self._dialect = max_bytes, dialect
        self._max_sent_bytes = max_bytes if dialect.max_sent_bytes is None else dialect.max_sent_bytes
        self._prefix, self._id_type = dialect.prefix, str if dialect.prefix else int
        self._last_id = 0
        self._awaited: set[rpc.Id] = set()
        self._owed: set[rpc.Id] = set()
        self._outgoing: list[bytes] = []

    def outgoing(self) -> list[bytes]:
        """Take the frames that have to leave, in order."""
        frames, self._outgoing = self._outgoing, []
        return frames

    # what it sends

    def call(self, method: str, params: Raw | None = None, *, is_sound: bool = False) -> rpc.Id:
        """Send a request; returns the id under which the answer will come.

        Args:
            method, params: Those of the request.
            is_sound: Whether it is known to be UTF-8 that nests no deeper than `jsonrpc.MOST_DEPTH`.

        Raises:
            MessageTooLarge, NotJson: The other end could not read it; nothing was sent.
        """
        number = self._last_id + 1
        id: rpc.Id = f"{self._prefix}{number}" if self._prefix else number
        frame = self._checked(rpc.encode(rpc.Request(id, method, params)), is_sound=is_sound)
        self._last_id = number
        self._awaited.add(id)
        self._outgoing.append(frame)
        return id

    def notify(self, method: str, params: Raw | None = None) -> None:
        """Send a notification.

        Raises:
            MessageTooLarge, NotJson: The other end could not read it; nothing was sent.
        """
        self._outgoing.append(self._checked(rpc.encode(rpc.Notification(method, params))))

    def withdraw(self, id: rpc.Id) -> None:
        """Stop awaiting an answer and cancel its request at the other end; does nothing if it has come."""
        if id in self._awaited:
            self._awaited.discard(id)
            if self._dialect.cancels:
                self.notify(CANCEL, rpc.raw({"id": id}))

    def answer(self, id: rpc.Id, result: Raw, *, is_sound: bool = False) -> None:
        """Answer a request that is still owed one; what the other end could not read becomes a refusal.

        Args:
            id, result: Those of the answer.
            is_sound: Whether it is known to be UTF-8 that nests no deeper than `jsonrpc.MOST_DEPTH`.
        """
        if id in self._owed:
            parts = attached.split(result)
            try:
                if parts is None:
                    frame = self._checked(rpc.encode(rpc.Response(id, result)), is_sound=is_sound)
                else:
                    frame = self._checked(rpc.encode(rpc.Response(id, parts[0])), parts[1])
            except errors.ProtocolError as error:
                self.refuse(id, error)
                return
            self._owed.discard(id)
            self._outgoing.append(frame)

    def refuse(self, id: rpc.Id, error: errors.PctxError) -> None:
        """Refuse a request that is still owed an answer."""
        if id in self._owed:
            self._owed.discard(id)
            self._refuse(id, error)

    # what it receives

    def receive(self, frame: bytes | str, *, is_sound: bool = False) -> tuple[Incoming, ...]:
        """Read one frame; returns what the owner has to act on, nothing for what the peer settled itself.

        Args:
            frame: The frame.
            is_sound: Whether it is known to be UTF-8 that nests no deeper than `jsonrpc.MOST_DEPTH`.
        """
        data: bytes | None = None
        size = len(frame)
        if isinstance(frame, bytes) and attached.is_joined(frame):
            if (parts := attached.parted(frame)) is None:
                return self._cannot_take(None, None, errors.ParseError("Cannot read message: bytes of it are missing"))
            frame, data = parts
        if size > self._max_bytes:
            return self._too_large(frame, size)
        try:
            message = rpc.decode(frame, is_sound=is_sound)
        except errors.UnreadableMessage as error:
            return self._cannot_take(error.id, error.kind, error)
        return self._accept(message if data is None else _with_bytes(message, data))

    def _accept(self, message: rpc.Message) -> tuple[Incoming, ...]:
        match message:
            case rpc.Request(id):
                if id in self._owed:
                    self._refuse(None, errors.InvalidRequest(f"Cannot accept request: id {id!r} is in use"))
                else:
                    self._owed.add(id)
                    return (message,)
            case rpc.Response(id) | rpc.Refusal(id) if id in self._awaited and type(id) is self._id_type:
                self._awaited.discard(id)
                return (message,)
            case rpc.Refusal(None, code) if code in UNREAD and self._awaited:
                return self._fail_open(message)
            case rpc.Refusal(None):
                log.warning("= the other end could not read a message: %s", visible.line(message.message, 200))
            case rpc.Response(id) | rpc.Refusal(id):
                log.debug("= ignored an answer to %r: nobody waits for it", id)
            case rpc.Notification(method, params) if method == CANCEL:
                return self._cancel(params)
            case rpc.Notification():
                return (message,)
        return ()

    def _fail_open(self, refusal: rpc.Refusal) -> tuple[rpc.Refusal, ...]:
        """Fail the requests to which a refusal without an id may belong: all that have no answer yet.

        One of them will never be answered, and nothing shows which. The others are cancelled, because nothing waits for
        their answers.
        """
        ids = sorted(self._awaited, key=str)
        self._awaited.clear()
        if len(ids) == 1:
            return (rpc.Refusal(ids[0], refusal.code, refusal.message, refusal.data),)
        text = (
            f"Cannot finish the request: the other end could not read one of {len(ids)} open requests and did not say "
            f"which, so all of them were cancelled, and each may have been served; repeat them one at a time "
            f"({visible.line(refusal.message, 200)})"
        )
        if self._dialect.cancels:
            for id in ids:
                self.notify(CANCEL, rpc.raw({"id": id}))
        return tuple(rpc.Refusal(id, refusal.code, text) for id in ids)

    def _cancel(self, params: Raw | None) -> tuple[Incoming, ...]:
        try:
            id = msgspec.json.decode(params or b"{}", type=_Cancel).id
        except msgspec.DecodeError:
            return ()
        if id not in self._owed:
            return ()
        self._owed.discard(id)
        return (Withdrawn(id),)

    def _too_large(self, frame: bytes | str, size: int) -> tuple[Incoming, ...]:
        found = rpc.identify(frame)
        return self._cannot_take(found.id, found.kind, errors.MessageTooLarge(size, self._max_bytes))

    def _cannot_take(self, id: rpc.Id | None, kind: str | None, error: errors.PctxError) -> tuple[Incoming, ...]:
        """Fail what an unreadable frame belongs to: a request of the other end, or one of this end's own."""
        is_awaited = type(id) is self._id_type and id in self._awaited
        if kind == "answer" and (is_awaited or not isinstance(error, errors.InvalidRequest)):
            # A refusal of it under its id would fail a request of the other end that happens to have the same id.
            return self._accept(rpc.Refusal(id, error.code, error.message))
        if kind == "notification":
            log.warning("= dropped a notification: %s", visible.line(error.message, 200))
        else:
            self._refuse(id if id not in self._owed else None, error)
        return ()

    def _refuse(self, id: rpc.Id | None, error: errors.PctxError) -> None:
        try:
            frame = self._checked(rpc.encode(self._dialect.refusal(id, error)))
        except errors.ProtocolError:  # a refusal has to arrive, even if not all of it can
            short = errors.Remote(error.code, error.message[:2000])
            frame = rpc.encode(self._dialect.refusal(id, short))
        self._outgoing.append(frame)

    def _checked(self, frame: bytes, data: memoryview | None = None, *, is_sound: bool = False) -> bytes:
        """Return a frame that the other end can read, with the bytes that follow its message."""
        size = len(frame) if data is None else len(frame) + data.nbytes
        if size > self._max_sent_bytes:
            raise errors.MessageTooLarge(size, self._max_sent_bytes)
        rpc.check_frame(frame, is_sound=is_sound)
        return frame if data is None else attached.joined(frame, data)


def _with_bytes(message: rpc.Message, data: bytes) -> rpc.Message:
    """Return a response with the bytes that came with it. They are dropped if it does not announce them."""
    if isinstance(message, rpc.Response) and (payload := attached.payload(message.result, data)) is not None:
        return rpc.Response(message.id, payload)
    return message
