"""A kernel of a Jupyter server, over the server's WebSocket: runs cells, and notices when the kernel is restarted."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class CellFailed(Exception):
    """A cell of a notebook has failed; the message says which one, and has its traceback."""


class KernelLost(Exception):
    """A kernel is no more, or was restarted; the message says which."""


class KernelChannel:
    """The messages of one kernel, over the server's WebSocket.

    Args:
        stream: The WebSocket.
        session: Identifies us to the kernel.
    """

    def __init__(self, stream: Any, session: str) -> None:
        self._stream, self._session = stream, session

    async def run(self, source: str, what: str) -> None:
        """Run a cell, and wait for its end.

        Raises:
            CellFailed: Has its traceback.
            KernelLost: The kernel died.
        """
        id = uuid4().hex
        header = {"msg_id": id, "msg_type": "execute_request", "session": self._session}
        header |= {"username": "", "version": "5.3"}
        content = {"code": source, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
        asked = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}
        await self._stream.send(json.dumps(asked))
        async for message in self._messages():
            is_ours = message.get("parent_header", {}).get("msg_id") == id
            if is_ours and message["header"]["msg_type"] == "execute_reply":
                said = message["content"]
                if said.get("status") != "ok":
                    trace = _ESCAPES.sub("", "\n".join(said.get("traceback") or []))
                    raise CellFailed(f"{what} failed: {said.get('ename')}: {said.get('evalue')}\n{trace}".rstrip())
                return
        raise KernelLost("the connection to its kernel was lost")

    async def restarted(self) -> str:
        """Wait until the kernel is restarted or has died; returns which."""
        try:
            async for _ in self._messages():
                pass
        except KernelLost as lost:
            return str(lost)
        return "the connection to its kernel was lost"

    async def _messages(self) -> AsyncIterator[dict[str, Any]]:
        async for frame in self._stream:
            if isinstance(frame, bytes):
                continue  # with buffers, which nothing here has
            message = json.loads(frame)
            if message["header"]["msg_type"] == "status":
                match message["content"].get("execution_state"):
                    case "restarting" | "autorestarting":
                        raise KernelLost("its kernel was restarted")
                    case "dead":
                        raise KernelLost("its kernel died")
            yield message


@asynccontextmanager
async def open_channel(url: str, headers: Mapping[str, str]) -> AsyncIterator[KernelChannel]:
    """Connect to a kernel.

    Args:
        url: Of its channels: ``ws://localhost:8888/api/kernels/…/channels``.
        headers: Let the client in.

    Raises:
        KernelLost: The connection is lost, or is refused.
    """
    id = uuid4().hex
    try:
        async with connect(f"{url}?session_id={id}", additional_headers=headers, max_size=None, proxy=None) as stream:
            yield KernelChannel(stream, id)
    except WebSocketException as error:
        raise KernelLost("the connection to its kernel was lost") from error
