"""Reads the frames of a client's WebSocket, large ones in pieces, and writes frames.

Tornado reads, unmasks and decodes a whole frame in one turn of the server's event loop, which takes a tenth of a second
for 60 MB. Here a turn takes some pieces of it, and others are served between two turns. Small frames are read with
fewer system calls, and written without a task each. A large message is checked while it arrives: that it is UTF-8, and
how deep it nests. It does not know what messages say.
"""

from __future__ import annotations

import asyncio
import struct
from io import BytesIO
from typing import Any

from tornado.util import _websocket_mask
from tornado.websocket import WebSocketProtocol13

from ..rpc import jsonrpc as rpc
from ..rpc.channel import LARGE_BYTES
from .turns import TurnBudget

PIECE_BYTES = 1 << 18
"""Bytes that are read and unmasked at once, which takes 0.3 ms. A multiple of 4, the length of the mask."""

READ_AHEAD_BYTES = 4_096
"""Bytes that are taken from the stream at once. The rest of a longer piece follows."""

_TEXT, _BINARY, _CONTROL = 0x1, 0x2, 0x8
"""Opcodes, and the bit that those of control frames have."""

_LONGEST_CONTROL = 125


class _Parts:
    """What has come of a message that comes in parts.

    Attributes:
        size: Its bytes.
    """

    def __init__(self) -> None:
        self.size = 0
        self._data = BytesIO()  # which returns all of it without a copy
        self._soundness = rpc.Soundness(rpc.MOST_DEPTH)

    @property
    def is_sound(self) -> bool:
        """Whether all of it is UTF-8 that nests no deeper than `jsonrpc.MOST_DEPTH`, if it is JSON."""
        return self._soundness.is_sound

    def add(self, piece: bytes) -> None:
        self.size += self._data.write(piece)
        self._soundness.add(piece)

    def joined(self) -> bytes:
        return self._data.getvalue()


class PiecewiseProtocol(WebSocketProtocol13):
    """The server's end of a WebSocket without extensions.

    A text of `LARGE_BYTES` or more is passed to the handler as `bytes`, like a binary message: UTF-8 that has not been
    checked.

    Args:
        made: The connection as Tornado makes it, for its handler and its limits.
        turns: Bounds the pieces that all connections take in one turn, together with their messages.

    Attributes:
        is_sound: Whether the message that is passed to the handler is known to be UTF-8 that nests no deeper than
            `jsonrpc.MOST_DEPTH`, if it is JSON.

    Source: https://www.rfc-editor.org/rfc/rfc6455#section-5
    """

    def __init__(self, made: WebSocketProtocol13, turns: TurnBudget) -> None:
        super().__init__(made.handler, False, made.params)
        self._turns = turns
        self._opcode = 0  # of a message whose end has not come; 0: there is none
        self._parts = _Parts()  # what has come of it
        self.is_sound = False
        self._taken = b""  # from the stream, for the frames that follow

    def write_frame(self, message: bytes, *, binary: bool) -> asyncio.Future[None]:
        """Write a message; what is returned is done when it is written. Tornado's own way starts a task for each.

        Raises:
            StreamClosedError: The client is gone.
            StreamBufferFullError: It has left too much unread.
        """
        assert self._compressor is None, "the handler offers no compression"
        return self._write_frame(True, _BINARY if binary else _TEXT, message)

    async def _receive_frame(self) -> None:
        first, second = await self._read_bytes(2)
        is_final, opcode, size = bool(first & self.FIN), first & self.OPCODE_MASK, second & 0x7F
        if first & self.RSV_MASK or not self._is_allowed(opcode, is_final, size):
            self._abort()
            return
        if size > _LONGEST_CONTROL:
            form = "!H" if size == _LONGEST_CONTROL + 1 else "!Q"
            (size,) = struct.unpack(form, await self._read_bytes(struct.calcsize(form)))
        if self._parts.size + size > self.params.max_message_size:
            self.close(1009, "message too big")
            self._abort()
            return
        mask = await self._read_bytes(4) if second & 0x80 else None
        if opcode == 0 or opcode & _CONTROL:  # a new message takes its turn once it has come
            await self._take_turn()
        if opcode & _CONTROL or (opcode and is_final and size <= PIECE_BYTES):
            self.is_sound = False
            await self._handle(opcode, await self._read_piece(size, mask))
            return
        self._opcode = opcode or self._opcode
        await self._read_on(size, mask)
        if is_final:
            opcode, parts = self._opcode, self._parts
            self._opcode, self._parts = 0, _Parts()
            self.is_sound = parts.is_sound
            await self._handle(opcode, parts.joined())

    def _is_allowed(self, opcode: int, is_final: bool, size: int) -> bool:
        """Whether such a frame may come now."""
        if opcode & _CONTROL:
            return is_final and size <= _LONGEST_CONTROL
        return (opcode == 0) == (self._opcode != 0)  # the rest of a message, if and only if one has begun

    async def _read_on(self, size: int, mask: bytes | None) -> None:
        """Add the payload of a frame to the message."""
        for start in range(0, size, PIECE_BYTES):
            if start:
                await self._take_turn()
            self._parts.add(await self._read_piece(min(PIECE_BYTES, size - start), mask))

    async def _take_turn(self) -> None:
        if not self._turns.take():
            await self._turns.wait()

    async def _read_bytes(self, size: int) -> bytes:
        """Read a part of a frame, and take what has arrived of the next ones: the stream would stop between two parts.

        To stop to wait for data and begin again is two system calls for each frame.
        """
        if size and not self._taken:
            self._taken = await self.stream.read_bytes(max(size, READ_AHEAD_BYTES), partial=True)
        if len(self._taken) < size:
            self._taken += await self.stream.read_bytes(size - len(self._taken))
        part, self._taken = self._taken[:size], self._taken[size:]
        self._wire_bytes_in += size
        return part

    async def _read_piece(self, size: int, mask: bytes | None) -> bytes:
        piece = await self._read_bytes(size)
        return piece if mask is None else _websocket_mask(mask, piece)

    async def _handle(self, opcode: int, data: bytes) -> None:
        handled: asyncio.Future[Any] | None
        if opcode == _TEXT and len(data) >= LARGE_BYTES:
            handled = self._run_callback(self.handler.on_message, data)
        else:
            handled = self._handle_message(opcode, data)
        if handled is not None:
            await handled
