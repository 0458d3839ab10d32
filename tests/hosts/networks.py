"""Many programs of many sessions on hosts that a bad network parts from their server: each calls a tool at most once.

The server, its clients, the connections and the host's end are real. A program is simulated: it calls and computes
nothing, so that two hundred of them cost little.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient
from pctx_jupyter.client.socket import connect
from pctx_jupyter.hosts.host import HostEnd
from pctx_jupyter.hosts.messages import HELLO, TOKEN_HEADER, WIRE, Hello
from pctx_jupyter.session.execution import Job, ServeCall
from tests.fakes import SOON

SESSIONS, PROGRAMS = 20, 200
CAPACITY = 8
"""Programs that one simulated host runs at the same time."""

LOST = re.compile("its sandbox host was lost .* it had made (no tool calls|1 tool call) by then")


async def _work(job: Job, serve: ServeCall, emit: object) -> Raw:
    """What a host does with a program: before and after its only call it takes a moment."""
    async with job.hold.time_limit(4 * SOON):
        await asyncio.sleep(0.01)
        value = await serve(job.namespaces["Count"]["once"], job.inputs["given"])
        await asyncio.sleep(0.01)
    return value


async def serve_as_host(url: str, token: str) -> None:
    """Connect as a host, and connect again when the connection is lost, until this is cancelled.

    Args:
        url: The base URL of the server, as this host reaches it.
        token: The token of sandbox hosts.
    """
    while True:
        end = HostEnd()
        end.accept(_work)
        try:
            channel = await connect(
                f"{url}pctx/sandboxes", {TOKEN_HEADER: token}, end.serve, end.on_notification, 1 << 26, is_binary=True
            )
        except errors.ConnectionLost:
            await asyncio.sleep(0.05)
            continue
        end.join(channel)
        try:
            async with asyncio.timeout(SOON):
                await channel.call(HELLO, Hello("1", WIRE, 2, CAPACITY, name="a simulated host"))
            await channel.closed()
        except (errors.PctxError, TimeoutError):
            pass  # the network is bad
        finally:
            await channel.stop()


@asynccontextmanager
async def hosts_at(token: str, *urls: str) -> AsyncIterator[None]:
    """Hosts that stay until the block ends, one at each URL."""
    hosts = [asyncio.create_task(serve_as_host(url, token)) for url in urls]
    try:
        yield
    finally:
        for host in hosts:
            host.cancel()
        await asyncio.wait(hosts)


async def call_once_each(url: str, headers: Mapping[str, str], called: Callable[[int], None]) -> int:
    """Run the programs of all sessions at once, and check that each has called at most once.

    Args:
        url: The base URL of the server.
        headers: Let a client in.
        called: Receives how many calls there were, after each.

    Returns:
        How many programs were lost with their hosts.
    """
    made: Counter[int] = Counter()

    def once(given: dict[str, int]) -> int:
        made[given["n"]] += 1
        called(made.total())
        return given["n"]

    async def run(client: PctxClient, number: int) -> Any:
        try:
            return (await client.run("await Count.once(given)", inputs={"given": {"n": number}})).value
        except errors.ExecutionFailed as failed:
            return failed.message

    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(PctxClient(f"{url}local-tools", headers=dict(headers)))
            for _ in range(SESSIONS)
        ]
        for client in clients:
            await client.register_tool("Count", "once", once)
        outcomes = await asyncio.gather(*(run(clients[n % SESSIONS], n) for n in range(PROGRAMS)))
    lost = 0
    for number, outcome in enumerate(outcomes):
        if outcome == number:
            assert made[number] == 1
            continue
        said = LOST.search(str(outcome))
        assert said is not None, outcome
        assert made[number] == (said[1] == "1 tool call")
        lost += 1
    return lost
