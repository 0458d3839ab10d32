"""What other libraries keep private or put in words, and pctx relies on: every such name and wording, in one place.

A library may change these in any release. Each has a test in ``tests/test_foreign.py`` that says which library and
version broke it. ``pyproject.toml`` has an upper bound where a change would do harm rather than raise. This module
imports nothing that is heavy, and the libraries only inside of functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio.subprocess
    from collections.abc import Awaitable, Callable, Iterable

# MCP SDK: its errors carry no code that tells these apart.

CLOSED = "Connection closed"
"""Message of the error with which the SDK fails requests when its connection ends."""

LOST = (CLOSED, "SSE stream", "Server returned an error response")
"""How messages of SDK errors begin when a connection was lost."""

NEVER_RAN = ("Session terminated", "Session not found")
"""Messages of SDK errors after which a request has not run: its session was over."""

NO_ANSWER = ("Unexpected content type", "Redirect to")
"""How messages of SDK errors begin where something else than an MCP server has answered, such as a proxy."""

EVENT_TOO_LARGE = "Server-sent event exceeded the"
"""Part of the message with which the SDK's HTTP client refuses an event beyond its limit."""


# sse-starlette, which the MCP SDK uses for event streams.


def is_sse_ping(body: bytes) -> bool:
    """Whether a part of an event stream is the comment that sse-starlette, or the SDK itself, sends now and then."""
    return body.startswith(b": ping")


def idle_sse_watchers(tasks: Iterable[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    """Return the tasks in which sse-starlette waits for the end of a server, if this thread has no stream open.

    All event streams of a thread share one such task, those of other extensions included. The library starts another
    when the next stream opens.
    """
    from sse_starlette import sse

    if sse._get_shutdown_state().events:
        return []
    code = sse._shutdown_watcher.__code__
    return [task for task in tasks if getattr(task.get_coro(), "cr_code", None) is code]


# Tornado.


def response_header(handler: Any, name: str) -> str:
    """Return a header that a Tornado handler is about to send; empty: it has none."""
    return str(handler._headers.get(name, ""))


def send_as_it_is(handler: Any) -> None:
    """Make a Tornado handler send its body without transforms such as compression."""
    assert hasattr(handler, "_transforms"), "a handler of Tornado has transforms"
    handler._transforms = []


def socket_of(connection: Any) -> Any:
    """Return the socket of a connection of Tornado, a WebSocket's or a request's; None: it is gone."""
    return getattr(getattr(connection, "stream", None), "socket", None)


def limit_unread(connection: Any, max_bytes: int) -> None:
    """Make a connection of Tornado refuse more data when so many bytes wait to be read by its other end.

    Tornado then raises `StreamBufferFullError`. It sets this limit itself when it accepts a connection, the same for
    all. A connection that is gone has no stream.

    Args:
        connection: A WebSocket's, or a request's.
        max_bytes: The limit.
    """
    stream = getattr(connection, "stream", None)
    if stream is not None:
        assert hasattr(stream, "max_write_buffer_size"), "a stream of Tornado has a limit"
        stream.max_write_buffer_size = max_bytes


def limit_body(connection: Any, max_bytes: int) -> None:
    """Make a connection of Tornado refuse the body of its request when it has more bytes.

    Tornado then answers with the status 400, and closes the connection.
    """
    connection.set_max_body_size(max_bytes)


def read_body(handler: Any) -> Awaitable[None]:
    """Have Tornado read the body of a request that its handler streams; what is returned is done when all has come.

    It is called in `prepare`, after which Tornado would read the body anyway. To await what it returns raises
    `StreamClosedError` if the client is gone.
    """
    if not handler._prepared_future.done():
        handler._prepared_future.set_result(None)
    read: Awaitable[None] = handler.request._body_future
    return read


def has_body(handler: Any) -> bool:
    """Return whether the whole body of a request has come that a Tornado handler streams, or its client is gone."""
    return bool(handler.request._body_future.done())


# Jupyter Server.

ACTIVITY_SWITCH = "_track_activity"
"""The attribute of its handlers that says whether their requests count as activity of the server."""


def has_user(handler: Any) -> bool:
    """Return whether a Jupyter Server handler has found out who asks."""
    return getattr(handler, "_jupyter_current_user", None) is not None


# IPython.


def show_instead(error: BaseException, lines: list[str]) -> None:
    """Make IPython show these lines in place of the traceback of an exception."""
    error._render_traceback_ = lambda: lines  # type: ignore[attr-defined]  # a hook that IPython looks for


def asyncio_runner(async_helpers: Any) -> object:
    """Return what a shell has as its `loop_runner` where IPython runs cells in a loop of asyncio.

    Args:
        async_helpers: IPython's module of that name.
    """
    return getattr(async_helpers, "_asyncio_runner", None)


# asyncio. It exports the first four for those who write loops and tasks.


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs on this thread; None: none does."""
    from asyncio import events

    return events._get_running_loop()


def set_running_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Set which loop asyncio takes for the one that runs on this thread."""
    from asyncio import events

    events._set_running_loop(loop)


def enter_task(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """Make a task the current one of its loop."""
    from asyncio import tasks

    tasks._enter_task(loop, task)


def leave_task(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """Undo `enter_task`."""
    from asyncio import tasks

    tasks._leave_task(loop, task)


def close_transport(process: asyncio.subprocess.Process) -> None:
    """Close the pipes to a process that has ended: a child of it that has inherited one would keep them open."""
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()


# threading


def before_executors_end(close: Callable[[], None]) -> None:
    """Call a function when the main thread has ended, before executors of threads refuse work.

    ``concurrent.futures`` ends its executors so. What is registered later is called earlier, so it is loaded first.
    """
    import concurrent.futures.thread  # noqa: F401
    import threading

    threading._register_atexit(close)  # type: ignore[attr-defined]
