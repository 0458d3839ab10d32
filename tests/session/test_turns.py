"""Turns of calls. Real futures in a real loop; nobody serves the calls."""

from __future__ import annotations

import asyncio

from pctx_jupyter.session.turns import Turns
from tests.fakes import SOON


class Calls:
    """Calls of some clients, each open until it is told to end."""

    def __init__(self, turns: Turns) -> None:
        self.turns, self.open, self.waited = turns, list[str](), list[str]()
        self.tasks: list[asyncio.Task[None]] = []
        self._ends: list[asyncio.Event] = []

    async def begin(self, clients: str) -> None:
        """Begin a call for each letter."""
        for client in clients:
            end = asyncio.Event()
            self._ends.append(end)
            self.tasks.append(asyncio.create_task(self._call(client, end)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def end(self, *numbers: int) -> None:
        for number in numbers:
            self._ends[number].set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def _call(self, client: str, end: asyncio.Event) -> None:
        async with self.turns.turn(client, lambda: self.waited.append(client)):
            self.open.append(client)
            await end.wait()


async def test_one_client_leaves_turns_to_others_and_the_one_with_the_fewest_calls_is_next() -> None:
    calls = Calls(Turns(at_once=4, of_one=3))
    await calls.begin("aaaaaaabb")
    assert calls.open == list("aaab") and calls.turns.open_of("a") == 3
    assert calls.waited == list("aaaab")
    await calls.begin("c")
    await calls.end(0)
    assert calls.open == list("aaabc")
    await calls.end(1)
    assert calls.open == list("aaabca")  # of two with as many, a has waited longer
    await calls.end(2)
    assert calls.open == list("aaabcab")
    await calls.end(3, 4, 5, 6, 7, 8, 9)
    async with asyncio.timeout(SOON):
        await asyncio.gather(*calls.tasks)
    assert calls.open == list("aaabcabaaa") and not calls.turns._open and not calls.turns._waiting


async def test_a_call_that_is_cancelled_keeps_no_turn_whether_it_waits_or_has_just_got_one() -> None:
    calls = Calls(Turns(at_once=1, of_one=1))
    await calls.begin("abc")
    calls.tasks[1].cancel()
    calls._ends[0].set()
    await asyncio.sleep(0)  # the first call ends, in the turn in which the second one is cancelled
    calls.tasks[2].cancel()
    await asyncio.wait(calls.tasks)
    assert calls.open == ["a"] and not calls.turns._open and not calls.turns._waiting
