"""Payloads that bytes follow: a typed array crosses as it is in memory, and not as numbers in JSON.

Such a payload is a small JSON object that says what the bytes are, a line break, and the bytes:

    {"$pctx.bytes":"float64","size":16}
    ████████████████

It is only ever the result of a request. Its frame begins with the number of the bytes, where other frames begin with a
brace: ``16 {"jsonrpc":"2.0","id":1,"result":{"$pctx.bytes":"float64","size":16}}``, a line break, and the bytes. Who
reads lines can tell by the number how much follows. A WebSocket carries it as a binary message.

Nothing sends one unless the request asks for it. Code that shows a result, or keeps it, calls `without_bytes`. Knows
nothing of what the bytes are for.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

KEY = "$pctx.bytes"
"""The first key of the object before the bytes; its value is their kind."""

_START = f'{{"{KEY}":'.encode()
_HEAD_BYTES = 200
"""Bytes that the object may have, and more than it needs."""
_MOST_DIGITS = 12
"""Digits of the number at the start of a frame."""


class _Head(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    kind: str = msgspec.field(name=KEY)
    size: int
    rounded: bool = False


def attach(kind: str, data: bytes | memoryview, *, rounded: bool = False) -> Raw:
    """Make a payload of bytes.

    Args:
        kind: What they are: ``float64``, ``int64`` or ``bytes``, little-endian.
        data: The bytes.
        rounded: Whether numbers among them are not exactly what they were.
    """
    view = memoryview(data)
    head = msgspec.json.encode(_Head(kind, view.nbytes, rounded))
    return Raw(b"".join((head, b"\n", view)))


def split(payload: Raw) -> tuple[Raw, memoryview] | None:
    """Return the object and the bytes of a payload; None: it is plain JSON.

    JSON never looks like this: it ends with the object.
    """
    view = memoryview(payload)
    if bytes(view[: len(_START)]) != _START:
        return None
    head, found, _ = bytes(view[:_HEAD_BYTES]).partition(b"\n")
    if not found or _size_of(head) != view.nbytes - len(head) - 1:
        return None
    return Raw(head), view[len(head) + 1 :]


def without_bytes(payload: Raw) -> Raw:
    """Return a payload without the bytes after it: plain JSON."""
    return payload if (parts := split(payload)) is None else parts[0]


def joined(frame: bytes, data: memoryview) -> bytes:
    """Return the frame of a message with bytes.

    Args:
        frame: The message, in one line of JSON.
        data: The bytes.
    """
    return b"".join((b"%d " % data.nbytes, frame, b"\n", data))


def is_joined(frame: bytes | str) -> bool:
    """Return whether a frame has bytes after its message."""
    return isinstance(frame, bytes) and announced(frame) is not None


def parted(frame: bytes) -> tuple[bytes, bytes] | None:
    """Return the message and the bytes of such a frame; None: it is not one."""
    end = frame.find(b"\n")
    size = announced(frame[:end])
    if end < 0 or size is None or len(frame) - end - 1 != size:
        return None
    return frame[frame.find(b" ") + 1 : end], frame[end + 1 :]


def message(frame: bytes) -> bytes:
    """Return the message of a frame, whether bytes follow it or not."""
    return parts[0] if is_joined(frame) and (parts := parted(frame)) is not None else frame


def announced(line: bytes) -> int | None:
    """Return the number of the bytes that follow a line; None: it is a line alone."""
    if not line[:1].isdigit():
        return None
    digits, found, _ = line[: _MOST_DIGITS + 1].partition(b" ")
    return int(digits) if found and digits.isdigit() else None


def payload(head: Raw, data: bytes) -> Raw | None:
    """Return the payload of a result and the bytes that came with it; None: they do not fit."""
    text = bytes(head)
    if not text.startswith(_START) or b"\n" in text or _size_of(text) != len(data):
        return None
    return Raw(b"".join((text, b"\n", data)))


def _size_of(head: bytes) -> int | None:
    try:
        return msgspec.json.decode(head, type=_Head).size
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
