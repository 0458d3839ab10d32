"""A program through the WebSockets of a real server, against the engine alone; and what idle sessions weigh."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from collections.abc import Awaitable, Callable

from msgspec import Raw
from websockets.asyncio.client import connect

from pctx_jupyter.client import PctxClient
from pctx_jupyter.engine import open_engine
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.session.code_mode.messages import EXECUTE_TYPESCRIPT, SESSION_HEADER
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.tool import Tool

from .engine import BARE_CALL, MOST_AT_SERVER, bare_call_ms, client_call_ms, until_warm
from .homes import Server, running_server
from .measure import Row, time_ms

IDLE = 1_000
"""Idle sessions that are weighed."""

DECLARED = 200
"""Functions whose declarations a bash command searches."""


async def rows() -> list[Row]:
    async with open_engine(Settings(typecheck=False)) as engine:
        session = engine.registry.open()

        async def warm() -> None:
            await until_warm(engine)

        alone = await time_ms(lambda: session.execute("1+1"), rest=warm)
        for n in range(DECLARED):
            session.register(Tool(f"space_{n % 10}", f"load_{n}", f"Loads orders of kind {n}."), _answer_nothing)
        bash = await time_ms(lambda: session.run_bash("grep -l 'kind 42' */*.d.ts"), rest=warm)
    async with (
        running_server() as server,
        PctxClient(f"ws://127.0.0.1:{server.port}/local-tools", headers=server.headers) as client,
    ):

        async def refilled() -> None:
            status = {"warm": 0, "starting": 1}
            while status["warm"] < Settings().warm_sandboxes or status["starting"]:
                status = (await asyncio.to_thread(server.ask, "/pctx/api/status"))["sandbox"]
            await asyncio.sleep(0.02)

        through = await time_ms(lambda: client.execute_code("1+1", typecheck=False), rest=refilled)
        checked = await time_ms(lambda: client.execute_code("1+1"), rest=refilled)
        session_api = await through_session_api(server, refilled)
        call, bare = await client_call_ms(client), await bare_call_ms()
    return [
        Row(f"a bash command over {DECLARED} declarations, warm", bash, 500, alone, "a program 1+1"),
        Row("through the WebSocket, warm: 1+1", through, 2 * alone, alone, "engine alone"),
        Row(
            "through the WebSocket: a tool call, each of 100 in sequence", call, MOST_AT_SERVER * bare, bare, BARE_CALL
        ),
        Row("through the session API, warm, checked: 1+1", session_api, 1.3 * checked, checked, "local-tools"),
        Row(f"{IDLE:,} idle sessions of the session API: each", await idle_session_kb(), 10, unit="kB"),
    ]


async def _answer_nothing(call: Call) -> Raw:
    """Serve a tool that nobody calls."""
    return rpc.NULL


async def through_session_api(server: Server, rest: Callable[[], Awaitable[None]]) -> float:
    """The median milliseconds of `1+1` by ``execute_typescript``, on a connection that is open already."""
    session = (await asyncio.to_thread(server.ask, "/pctx/code-mode/session/create", b""))["session_id"]
    headers = {**server.headers, SESSION_HEADER: session}
    async with connect(f"ws://127.0.0.1:{server.port}/pctx/ws", additional_headers=headers, proxy=None) as socket:
        frame = json.dumps({"jsonrpc": "2.0", "id": "1", "method": EXECUTE_TYPESCRIPT, "params": {"code": "1+1"}})

        async def run() -> None:
            await socket.send(frame)
            assert json.loads(await socket.recv())["result"]["output"] == 2

        return await time_ms(run, rest=rest)


async def idle_session_kb() -> float:
    """Kilobytes of Python objects that one idle session takes, of many without tools."""
    async with open_engine(Settings(typecheck=False, max_api_sessions=2 * IDLE)) as engine:
        sessions = engine.code_mode(b"key")
        for _ in range(10):
            sessions.open()
        gc.collect()
        tracemalloc.start()
        for _ in range(IDLE):
            sessions.open()
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return taken / IDLE / 1000
