"""All sandbox hosts of one engine: which program runs next, on which of them, and what happens when one is lost.

Hosts come and go. The queue is fair over sessions and gives out as many places as all hosts have together. A program
that is lost with its host is run once more, on another host, if nothing of it can have had an effect. That is so if the
engine has served no call and passed on no event of it. Otherwise it fails, and the error says how many calls it made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from msgspec import Raw

from .. import errors
from ..program.result import Emit
from ..rpc import jsonrpc as rpc
from ..rpc.channel import Send
from ..rpc.room import Room
from ..sandbox.pool import KEPT, open_pool
from ..sandbox.scheduler import Scheduler, Seat
from ..session.execution import SANDBOX_ENDED, Job, ProgramStopped, Sandboxes, ServeCall
from ..settings import Settings
from . import messages
from .remote import HostLost, RemoteHost

log = logging.getLogger(__name__)

STOP_S = 10.0
"""Seconds that what starts hosts may take to end them when the engine closes."""

START = "start one with jupyter pctx sandbox-host, or set c.Pctx.fallback = 'here'"
"""What to do when there is no host."""


class HostFleet:
    """The sandbox hosts of one engine: `Sandboxes`.

    Args:
        settings: The engine's.
        here: Runs programs while no host is connected; None: they wait for one, and are refused in the end.
        is_reachable: Whether hosts can connect at all: an engine inside a kernel has no address.

    Attributes:
        on_change: Called when a host was taken in, when one takes no more programs, and when that one is gone.
    """

    def __init__(self, settings: Settings, here: Sandboxes | None, *, is_reachable: bool) -> None:
        self._settings, self._here, self._is_reachable = settings, here, is_reachable
        self._hosts: list[RemoteHost] = []
        self._leaving: list[RemoteHost] = []  # they are connected, and take no more programs
        self.on_change: Callable[[], None] = lambda: None
        self._scheduler = Scheduler(
            0, kept=KEPT, most_held=settings.max_waiting_programs, clock=asyncio.get_running_loop().time
        )
        self._starters: list[asyncio.Task[None]] = []
        self._trouble: str | None = None
        """What is wrong with what starts hosts."""
        self._resize()

    def greet(self, send: Send, is_valid: Callable[[], bool] = lambda: True, room: Room | None = None) -> RemoteHost:
        """Make the engine's end of a connection that a host has opened; the host is taken in once it says hello.

        Args:
            send: Writes a frame to the host.
            is_valid: Whether its token is still valid.
            room: The room on the connection; None: there always is.
        """
        return RemoteHost(send, self._settings, self._add, is_valid, room)

    def keep(self, starter: Coroutine[Any, Any, None]) -> None:
        """Run what starts hosts until the fleet closes; it is cancelled then."""
        self._starters.append(asyncio.create_task(starter))

    async def close(self) -> None:
        """End what starts hosts, then disconnect all of them."""
        for task in self._starters:
            task.cancel()
        if self._starters:
            await asyncio.wait(self._starters, timeout=STOP_S)
        for host in (*self._hosts, *self._leaving):
            if self._settings.sandboxes == "dask":  # others may serve the next engine at this address
                host.channel.notify(messages.DISMISS)
            host.channel.close(errors.Cancelled("Cancelled: the server is stopping"))

    def note(self, trouble: str | None) -> None:
        """Take note of what is wrong with what starts hosts; None: nothing. What is new is a warning in the log."""
        if trouble is not None and trouble != self._trouble:
            log.warning("sandbox hosts = %s", trouble)
        self._trouble = trouble

    @property
    def hosts(self) -> list[RemoteHost]:
        """The hosts that take programs."""
        return list(self._hosts)

    def status(self) -> dict[str, rpc.Json]:
        """Return the state of all hosts, with the same names as a pool's, and each of them.

        While no host is connected, `deno` and `layers` are those of this machine, if programs run here then.
        """
        here = self._here.status() if self._here is not None else {}
        known = [host.hello for host in self._hosts if host.hello is not None]
        trouble = self._trouble
        if not known and trouble is None and self._here is None:
            has_leaving = "the sandbox hosts that are connected take no more programs"
            trouble = f"{has_leaving if self._leaving else 'no sandbox host is connected'}; {START}"
        listed: list[rpc.Json] = [host.status() for host in (*self._hosts, *self._leaving)]
        return {
            "deno": known[0].deno if known else here.get("deno"),
            "layers": min((hello.layers for hello in known), default=here.get("layers", 0)),
            "warm": here.get("warm", 0),
            "starting": here.get("starting", 0),
            "running": self._scheduler.running + _number(here, "running"),
            "asking": self._scheduler.held + _number(here, "asking"),
            "waiting": self._scheduler.waiting + _number(here, "waiting"),
            "trouble": trouble,
            "hosts": listed,
            "fallback": self._settings.fallback,
        }

    async def run(self, job: Job, serve: ServeCall, emit: Emit) -> Raw:
        """Run one program on a host and return its value: a `ProgramRunner`.

        Raises:
            ProgramThrew, ProgramStopped: It failed, or its host was lost.
            ExecutionTimeout: It ran too long.
            Busy: Its turn did not come in time.
            SandboxUnavailable: No host is connected.
            MessageTooLarge: Its inputs are too large.
        """
        if not self._hosts and self._here is None and not self._is_reachable:
            raise errors.SandboxUnavailable(
                "Cannot start execution: programs run on sandbox hosts (Pctx.sandboxes), which cannot connect to an "
                "engine without a server; start a Jupyter server, or set c.Pctx.fallback = 'here'"
            )
        seat = Seat(self._scheduler, job.session, is_interactive=job.is_interactive)
        try:
            if not seat.is_taken:
                job.hold.queue()
            host = await self._take(seat)
            job.hold.begin(seat)
            for is_last in (False, True):
                if host is None:
                    break
                try:
                    return await host.run(job, serve, emit)
                except HostLost as lost:
                    log.info("sandbox hosts = lost execution %s: %s", job.execution_id, lost.why)
                    if is_last or lost.calls or lost.events:
                        raise _failure(lost) from None
                seat.give_up()  # its place has gone with its host, and the others may have no free one
                host = await self._take(seat, is_lost=True)
        finally:
            seat.end()
        assert self._here is not None, "without a host, it would have been refused"
        job.hold.place = None
        return await self._here.run(job, serve, emit)

    def _add(self, host: RemoteHost) -> None:
        self._hosts.append(host)
        host.when_leaving(lambda: self._remove(host))
        log.info("sandbox hosts = %s connected with %d sandboxes", host.name, host.capacity)
        self._resize()
        self.on_change()

    def _remove(self, host: RemoteHost) -> None:
        self._hosts.remove(host)
        if not host.channel.is_closed:
            self._leaving.append(host)
            host.channel.on_close(lambda: self._forget(host))
        log.info("sandbox hosts = %s takes no more programs", host.name)
        self._resize()
        self.on_change()

    def _forget(self, host: RemoteHost) -> None:
        self._leaving.remove(host)
        self.on_change()

    def _resize(self) -> None:
        """Give out as many places as there are now."""
        places = sum(host.capacity for host in self._hosts)
        if not self._hosts and self._here is not None:
            places = self._settings.max_running
        own = self._settings.max_running_per_session or max(2, (places + 1) // 2)
        self._scheduler.resize(places, own if places else None)

    async def _take(self, seat: Seat, *, is_lost: bool = False) -> RemoteHost | None:
        """Wait for a place, and return the host where it is; None: it is on this machine.

        A program that has its place may find that its host has gone in that moment. Then it waits for another one.

        Args:
            seat: The program's.
            is_lost: Whether it had a host and lost it.

        Raises:
            Busy, SandboxUnavailable: No place came in time.
        """
        try:
            async with asyncio.timeout(self._settings.max_queue_s):
                while True:
                    await seat.take()
                    if (host := self._choose()) is not None or self._here is not None:
                        return host
                    is_lost = True
                    seat.give_up()
        except TimeoutError:
            raise self._refusal(seat, is_lost=is_lost) from None

    def _choose(self) -> RemoteHost | None:
        """Return the host with the largest share of free places; None: there is no host."""
        while self._hosts:
            host = min(self._hosts, key=lambda host: host.busy / host.capacity)
            if host.may_run():
                return host
        return None

    def _refusal(self, seat: Seat, *, is_lost: bool) -> errors.PctxError:
        waited_s = self._settings.max_queue_s
        if self._hosts or self._here is not None:
            return seat.refusal(waited_s, f"on {len(self._hosts)} sandbox hosts", ", or start more hosts")
        if is_lost:
            return errors.SandboxUnavailable(
                f"Cannot start execution: its sandbox host was lost, and no other has connected; {START}"
            )
        why = f" ({self._trouble})" if self._trouble else ""
        return errors.SandboxUnavailable(
            f"Cannot start execution: no sandbox host has connected within {waited_s:g} s{why}; {START}"
        )


def _number(status: dict[str, rpc.Json], name: str) -> int:
    value = status.get(name, 0)
    return value if isinstance(value, int) else 0


def _failure(lost: HostLost) -> Exception:
    """Return what a program fails with that was lost with its host."""
    if lost.refusal is not None and not lost.calls and not lost.events:
        return lost.refusal
    head = f"Cannot finish execution: its sandbox host was lost ({lost.why}); it had made"
    if not lost.calls:
        return ProgramStopped(SANDBOX_ENDED, f"{head} no tool calls by then; run it again")
    made = "1 tool call" if lost.calls == 1 else f"{lost.calls:,} tool calls"
    return ProgramStopped(
        SANDBOX_ENDED, f"{head} {made} by then, and was not run again; check what they did before you run it again"
    )


@asynccontextmanager
async def open_fleet(settings: Settings, *, is_reachable: bool) -> AsyncIterator[HostFleet]:
    """Open the queue over sandbox hosts, and the pool of this machine if programs may fall back to it.

    Args:
        settings: The engine's.
        is_reachable: Whether hosts can connect.
    """
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(open_pool(settings)) if settings.fallback == "here" else None
        fleet = HostFleet(settings, here, is_reachable=is_reachable)
        try:
            yield fleet
        finally:
            await fleet.close()
