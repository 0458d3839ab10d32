"""Bounds what an HTTP server may answer: the bytes of one body, counted as they are read and after decompression.

The SDK reads a JSON body whole, whatever its size; of an event stream it bounds one event itself. It knows nothing of
MCP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2

EVENTS = "text/event-stream"


class TooLarge(httpx2.StreamError):
    """A body is beyond the limit. Of this kind, so that the SDK fails the one request it answers."""


class _BoundedBody(httpx2.AsyncByteStream):
    """A response's body, decompressed; fails beyond so many bytes."""

    def __init__(self, response: httpx2.Response, limit: int, too_large: str) -> None:
        self._stream = response.stream
        # One that decompresses as the original would have, in pieces.
        self._inner = httpx2.Response(
            response.status_code, headers=response.headers, stream=response.stream, request=response.request
        )
        self._limit, self._too_large = limit, too_large

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._inner.aiter_bytes():
            size += len(piece)
            if size > self._limit:
                raise TooLarge(self._too_large)
            yield piece

    async def aclose(self) -> None:
        assert isinstance(self._stream, httpx2.AsyncByteStream)  # of an asynchronous client
        await self._stream.aclose()


def bounding(limit: int, too_large: str) -> Callable[[httpx2.Response], Awaitable[None]]:
    """A hook for a client's responses that bounds their bodies; those of a sign-in, of redirects and errors included.

    Args:
        limit: Bytes of one body.
        too_large: What to say of one that has more.
    """

    async def bound(response: httpx2.Response) -> None:
        if _is_stream_of_events(response):
            return
        response.stream = _BoundedBody(response, limit, too_large)
        for name in ("content-encoding", "content-length"):
            response.headers.pop(name, None)

    return bound


def _is_stream_of_events(response: httpx2.Response) -> bool:
    """Whether it was asked for events and answers with some: others are read whole, whatever they call themselves."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return response.is_success and kind == EVENTS and EVENTS in response.request.headers.get("accept", "")
