"""What other libraries keep private or put in words, and pctx relies on: each is there, or the library is named."""

from __future__ import annotations

import asyncio
import inspect
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from pctx_jupyter import foreign

from .fakes import SOON

PACKAGE = Path(foreign.__file__).parent


def broke(library: str, what: str) -> str:
    """What a failing test says."""
    return f"{library} {version(library)} {what}; pctx_jupyter/foreign.py relies on it"


# MCP SDK


@pytest.mark.parametrize(
    "wording", [foreign.CLOSED, *foreign.LOST, *foreign.NEVER_RAN, *foreign.NO_ANSWER, foreign.EVENT_TOO_LARGE], ids=str
)
def test_the_mcp_sdk_has_the_wordings_of_its_errors(wording: str) -> None:
    import mcp

    sources = [path.read_text("utf-8") for path in Path(inspect.getfile(mcp)).parent.rglob("*.py")]
    if wording == foreign.EVENT_TOO_LARGE:  # of the HTTP client that comes with it
        import httpx2

        sources += [path.read_text("utf-8") for path in Path(inspect.getfile(httpx2)).parent.rglob("*.py")]
    assert any(wording in source for source in sources), broke("mcp", f"no longer says {wording!r}")


# sse-starlette


async def test_only_the_idle_watcher_of_event_streams_is_found() -> None:
    from sse_starlette import sse

    async def _shutdown_watcher() -> None:
        await asyncio.Event().wait()

    namesake = asyncio.create_task(_shutdown_watcher())
    sse._ensure_watcher_started_on_this_loop()
    await asyncio.sleep(0)
    state = sse._get_shutdown_state()
    another_extensions: Any = object()
    state.events.add(another_extensions)
    assert foreign.idle_sse_watchers(asyncio.all_tasks()) == []
    state.events.discard(another_extensions)
    found = foreign.idle_sse_watchers(asyncio.all_tasks())
    assert len(found) == 1 and namesake not in found, broke("sse-starlette", "has another shutdown watcher")
    for task in (*found, namesake):
        task.cancel()
    async with asyncio.timeout(SOON):
        await asyncio.wait([*found, namesake])
    assert not state.watcher_started, broke("sse-starlette", "does not start its watcher again")


def test_pings_of_event_streams_are_recognised() -> None:
    from mcp.server import _streamable_http_modern
    from sse_starlette import sse

    for library, source in (("mcp", _streamable_http_modern), ("sse-starlette", sse.EventSourceResponse)):
        assert "ping" in inspect.getsource(source), broke(library, "sends no pings any more")
    assert 'b": ping' in inspect.getsource(_streamable_http_modern), broke("mcp", "has other pings")
    ping = sse.ServerSentEvent(comment="ping - now").encode()
    assert foreign.is_sse_ping(ping), broke("sse-starlette", "has other pings")


# Tornado and Jupyter Server


def test_tornado_reads_the_frames_of_a_websocket_as_our_own_protocol_does() -> None:
    from tornado.util import _websocket_mask
    from tornado.websocket import WebSocketProtocol13

    why = broke("tornado", "reads frames in another way than pctx_jupyter/server/frames.py")
    assert inspect.iscoroutinefunction(WebSocketProtocol13._receive_frame), why
    for name in ("_read_bytes", "_handle_message", "_run_callback", "_abort"):
        assert hasattr(WebSocketProtocol13, name), why
    assert _websocket_mask(b"\x01\x02\x03\x04", b"\0" * 5) == b"\x01\x02\x03\x04\x01", why


async def test_tornado_handlers_and_streams_have_what_is_set_on_them() -> None:
    from tornado import iostream, web
    from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

    class Connection:
        stream = None

        def set_close_callback(self, callback: object) -> None:
            """Tornado sets it."""

    request = HTTPServerRequest(
        connection=Connection(),  # type: ignore[arg-type]
        start_line=RequestStartLine("GET", "/", "HTTP/1.1"),
        headers=HTTPHeaders({"Host": "localhost"}),
    )
    handler = web.RequestHandler(web.Application([]), request)
    handler.set_header("Content-Type", "text/event-stream")
    why = broke("tornado", "has other private names")
    assert foreign.response_header(handler, "Content-Type") == "text/event-stream", why
    assert foreign.response_header(handler, "X-None") == ""
    handler._transforms = None
    foreign.send_as_it_is(handler)
    assert "self._transforms" in inspect.getsource(web.RequestHandler.flush), why
    assert "self.max_write_buffer_size" in inspect.getsource(iostream.BaseIOStream.write), why
    foreign.limit_unread(Connection(), 1)


async def test_a_websocket_of_tornado_reads_ahead_and_writes_frames_without_tasks() -> None:
    from tornado import websocket
    from tornado.iostream import IOStream, StreamClosedError

    from pctx_jupyter.server.frames import READ_AHEAD_BYTES, PiecewiseProtocol
    from pctx_jupyter.server.turns import TurnBudget

    why = broke("tornado", "reads or writes frames in another way than pctx_jupyter/server/frames.py")
    assert "self._read_bytes(" in inspect.getsource(websocket.WebSocketProtocol13._receive_frame), why

    class Handler:
        def __init__(self) -> None:
            self.came: asyncio.Queue[str | bytes | None] = asyncio.Queue()
            self.on_message = self.came.put_nowait

        def on_ws_connection_close(self, code: object, reason: object) -> None:
            self.came.put_nowait(None)

    def end(handler: Handler, *, is_client: bool) -> Any:
        return websocket.WebSocketProtocol13(handler, is_client, websocket._WebSocketParams(max_message_size=1 << 20))  # type: ignore[arg-type]

    ours, others = Handler(), Handler()
    here: Any = PiecewiseProtocol(end(ours, is_client=False), TurnBudget())
    there = end(others, is_client=True)
    here.stream, there.stream = map(IOStream, socket.socketpair())
    came, sent = ours.came, [b"", b"a", b"b" * 200, b"c" * READ_AHEAD_BYTES, b"d" * 300_000, b""]
    reading = asyncio.create_task(here._receive_frame_loop())
    answers = asyncio.create_task(there._receive_frame_loop())
    async with asyncio.timeout(SOON):
        for one in sent:
            there._write_frame(True, 0x2, one)
        assert [await came.get() for _ in sent] == sent, why
        before = len(asyncio.all_tasks())
        written = [here.write_frame(one, binary=True) for one in sent] + [here.write_frame(b"text", binary=False)]
        assert len(asyncio.all_tasks()) == before, why
        assert [await others.came.get() for _ in written] == [*sent, "text"], why
        await asyncio.gather(*written)
        for byte in b"\x81\x82\x00\x00\x00\x00hi":  # a frame that comes byte by byte
            await there.stream.write(bytes([byte]))
            await asyncio.sleep(0)
        assert await came.get() == "hi", why
        there.stream.close()
        assert await came.get() is None, why
        await asyncio.gather(reading, answers)
    with pytest.raises(StreamClosedError):
        here.write_frame(b"late", binary=False)


def test_tornado_streams_bodies_by_the_futures_and_the_limit_that_are_used() -> None:
    from tornado import web
    from tornado.http1connection import HTTP1Connection

    why = broke("tornado", "streams bodies in another way")
    source = inspect.getsource(web)
    for name in ("self.handler._prepared_future", "self.request._body_future"):
        assert f"{name} = Future()" in source, why
    assert inspect.signature(HTTP1Connection.set_max_body_size).parameters, why


def test_jupyter_server_handlers_have_the_private_names() -> None:
    from jupyter_server.base.handlers import APIHandler, JupyterHandler

    why = broke("jupyter-server", "has other private names")
    assert getattr(APIHandler, foreign.ACTIVITY_SWITCH), why
    assert "_jupyter_current_user" in inspect.getsource(JupyterHandler), why

    class Nobody:
        pass

    somebody: Any = Nobody()
    assert not foreign.has_user(somebody)
    somebody._jupyter_current_user = "ana"
    assert foreign.has_user(somebody)


# IPython


RAISING = """
from pctx_jupyter import foreign
error = ValueError('hidden')
foreign.show_instead(error, ['shown instead'])
raise error
"""


def test_ipython_shows_what_an_exception_has_in_place_of_its_traceback() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "--no-banner", "-c", RAISING],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert "shown instead" in shown and "hidden" not in shown, broke("ipython", "shows the traceback all the same")


def test_ipython_runs_cells_with_the_runner_of_asyncio() -> None:
    from IPython.core import async_helpers
    from IPython.core.interactiveshell import InteractiveShell

    runner = foreign.asyncio_runner(async_helpers)
    assert runner is not None and InteractiveShell().loop_runner is runner, broke("ipython", "has another runner")


# asyncio


async def test_asyncio_takes_the_loop_and_the_task_that_are_set() -> None:
    python = f"Python {sys.version.split()[0]} has other private names; pctx_jupyter/foreign.py relies on them"
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None and foreign.running_loop() is loop, python
    foreign.leave_task(loop, task)
    foreign.set_running_loop(None)
    try:
        assert foreign.running_loop() is None, python
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
    finally:
        foreign.set_running_loop(loop)
        foreign.enter_task(loop, task)
    assert asyncio.current_task() is task, python


async def test_the_transport_of_a_process_can_be_closed() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "", stdin=asyncio.subprocess.PIPE)
    await process.wait()
    assert hasattr(process, "_transport"), "asyncio's processes have another private name for their transport"
    foreign.close_transport(process)
    assert process._transport.is_closing()


# threading


def test_functions_are_called_at_the_end_of_the_main_thread_before_executors_refuse_work() -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from pctx_jupyter.kernel import exits\n"
        "def fail(): raise OSError('one that fails')\n"
        "exits.add(lambda: ThreadPoolExecutor().submit(print, 'closed').result())\n"
        "exits.add(fail)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "closed\n" and "OSError: one that fails" in ended.stderr


@pytest.mark.parametrize(
    "private",
    [
        "_shutdown_watcher",
        "_transforms",
        "max_write_buffer_size",
        "_set_running_loop",
        "_render_traceback_",
        "_asyncio_runner",
        "_register_atexit",
    ],
)
def test_no_other_module_uses_a_private_name(private: str) -> None:
    users = [path.name for path in PACKAGE.rglob("*.py") if private in path.read_text("utf-8")]
    assert {*users} - ({"failure.py", "stopped.py"} if private == "_render_traceback_" else set()) == {"foreign.py"}
