"""A program through the WebSocket of a real server, against the engine alone."""

from __future__ import annotations

import asyncio

from pctx_jupyter.client import PctxClient
from pctx_jupyter.engine import open_engine
from pctx_jupyter.settings import Settings

from .engine import until_warm
from .homes import running_server
from .measure import Row, time_ms


async def rows() -> list[Row]:
    async with open_engine(Settings(typecheck=False)) as engine:
        session = engine.registry.open()

        async def warm() -> None:
            await until_warm(engine)

        alone = await time_ms(lambda: session.execute("1+1"), rest=warm)
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
    return [Row("through the WebSocket, warm: 1+1", through, 2 * alone, alone, "engine alone")]
