"""The stream of a server's changes, one word each. A person who listens can be asked for consent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import quote

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from .. import errors

FRAME_BYTES = 1 << 16
"""Bytes of a frame: one word and what JSON needs around it."""


@asynccontextmanager
async def listen(base_url: str, headers: Mapping[str, str], place: str) -> AsyncIterator[AsyncIterator[str]]:
    """Open the stream of changes of a server.

    Args:
        base_url: The server's base URL: ``http://localhost:8888/``.
        headers: What lets the client in.
        place: Where the person who listens is asked for consent: ``terminal``.

    Raises:
        CannotConnect: The server does not let the client in, or is not there.
    """
    url = f"{base_url.replace('http', 'ws', 1)}pctx/api/changes?place={quote(place)}"
    try:
        connection = await connect(
            url, additional_headers=headers, max_size=FRAME_BYTES, proxy=None, ping_interval=None
        )
    except InvalidStatus as error:
        status = error.response.status_code
        raise errors.CannotConnect(
            f"Cannot listen to {base_url}: the server refused it ({status})", http_status=status
        ) from None
    except (OSError, WebSocketException, TimeoutError) as error:
        raise errors.CannotConnect(f"Cannot listen to {base_url}: {type(error).__name__}") from None
    async with connection:

        async def changes() -> AsyncIterator[str]:
            try:
                async for frame in connection:
                    yield json.loads(frame)["change"]
            except ConnectionClosed:
                return

        yield changes()
