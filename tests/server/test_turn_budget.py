"""How many messages all connections together may deliver in one turn of the loop. Pure, in a real loop."""

from __future__ import annotations

import asyncio

from pctx_jupyter.rpc.pipe import BURST
from pctx_jupyter.server.running import TurnBudget


async def test_a_turn_takes_a_burst_of_messages_however_many_connections_there_are_and_the_next_turn_as_many() -> None:
    budget = TurnBudget()
    for _ in range(3):
        assert [budget.take() for _ in range(BURST + 2)] == [True] * (BURST - 1) + [False] * 3
        await asyncio.sleep(0)
