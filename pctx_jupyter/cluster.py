"""Calls and futures of a client of Dask: many are submitted, awaited and fetched together, in the client's own loop.

A call by itself costs a graph, a message to the scheduler and a message back. Calls that come together cost one of
each. This module does not know tools. It imports Dask, so only a process that uses Dask imports it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any
from uuid import uuid4

import distributed
from dask.utils import apply, funcname

from . import errors

log = logging.getLogger(__name__)

CANCELLED = "CancelledError"
"""The name of the error of a tool whose future was cancelled."""

MANY = 8
"""Values that are waited for from which on new calls and new values are collected for `PAUSE_S`."""

PAUSE_S = 0.01
"""Seconds in which calls and values are collected: far more than a message takes, and less than a task should."""

BoundCall = tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any]]
"""A function, its positional and its named arguments."""


@dataclass(eq=False, slots=True)
class _Wait:
    """The wait for one value of a cluster.

    Args:
        done: Is set when the value or the error is there: a pair, in the loop of the caller; None: nobody waits.
        call: What is submitted; None: `future` is there from the start.
        future: The future of Dask, once there is one.
        is_over: Whether the caller has stopped waiting.
    """

    done: asyncio.Future[tuple[Any, BaseException | None]] | None
    call: BoundCall | None = None
    future: Any = None
    is_over: bool = False


class Cluster:
    """One client of Dask, as the tools of this process use it.

    Args:
        client: The client. It is synchronous, or asynchronous in any loop.
    """

    def __init__(self, client: Any) -> None:
        self._client_of = weakref.ref(client)
        self._loop: asyncio.AbstractEventLoop = client.loop.asyncio_loop
        self._new: deque[_Wait] = deque()
        self._given_up: deque[_Wait] = deque()
        self._is_waking = False
        self._collecting: asyncio.TimerHandle | None = None
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    # the caller's loop

    async def run(self, call: BoundCall) -> Any:
        """Run one call on the cluster and return its value. Futures among the arguments are values there.

        Raises:
            ToolFailed: Its future was cancelled.
            Exception: The function raised it, or the call cannot be pickled.
        """
        return await self._wait(_Wait(asyncio.get_running_loop().create_future(), call))

    def cancel(self, future: Any) -> None:
        """Cancel a future of this client, from any thread, without waiting."""
        self._put(self._given_up, _Wait(None, future=future))

    async def value(self, future: Any, *, cancels: bool = True) -> Any:
        """Wait for a future of this client, and return its value; cancel it if this wait is cancelled and `cancels`.

        Raises:
            ToolFailed: The future was cancelled.
            Exception: The function raised it.
        """
        return await self._wait(_Wait(asyncio.get_running_loop().create_future(), future=future), cancels)

    async def _wait(self, one: _Wait, cancels: bool = True) -> Any:
        assert one.done is not None, "somebody waits"
        self._put(self._new, one)
        try:
            value, error = await one.done
        except asyncio.CancelledError:
            one.is_over = True
            if cancels:
                self._put(self._given_up, one)
            raise
        if error is not None:
            raise error
        return value

    def _put(self, queue: deque[_Wait], one: _Wait) -> None:
        queue.append(one)
        # Set before the loop is woken, and cleared before the queues are read, so that nothing stays in them.
        if not self._is_waking:
            self._is_waking = True
            try:
                self._loop.call_soon_threadsafe(self._take)
            except RuntimeError:
                self._is_waking = False
                _settle([(one, None, _closed())])

    # the client's loop

    def _take(self) -> None:
        self._is_waking = False
        if self._under_way < MANY:
            self._begin()
        elif self._collecting is None:
            self._collecting = self._loop.call_later(PAUSE_S, self._begin)

    def _begin(self) -> None:
        if self._collecting is not None:
            self._collecting.cancel()
            self._collecting = None
        new, given_up = [one for one in _emptied(self._new) if not one.is_over], _emptied(self._given_up)
        if (client := self._client_of()) is None:
            _settle((one, None, _closed()) for one in new)
            return
        self._submit(client, [one for one in new if one.call is not None])
        if followed := [one for one in new if one.future is not None]:
            self._do(self._follow(client, followed))
        if futures := [one.future for one in given_up if one.future is not None]:
            self._do(client.cancel(futures, asynchronous=True))

    def _submit(self, client: Any, waits: list[_Wait]) -> None:
        if not waits:
            return
        try:
            futures = submitted(client, [one.call for one in waits if one.call is not None])
        except Exception as error:  # nothing was sent
            if len(waits) == 1:
                _settle([(waits[0], None, error)])
                return
            by_function: dict[int, list[_Wait]] = {}  # most likely, one function cannot be pickled
            for one in waits:
                by_function.setdefault(id(one.call and one.call[0]), []).append(one)
            for some in by_function.values() if len(by_function) > 1 else ([one] for one in waits):
                self._submit(client, some)
        else:
            for one, future in zip(waits, futures, strict=True):
                one.future = future

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("cluster = failed to wait for futures", exc_info=error)

    async def _follow(self, client: Any, waits: list[_Wait]) -> None:
        """Fetch the values of futures when they are there; of those that are there at the same time, in one message."""
        by_future: dict[Any, list[_Wait]] = {}
        self._under_way += len(waits)
        for one in waits:
            by_future.setdefault(one.future, []).append(one)
        completed = distributed.as_completed(list(by_future), loop=client.loop)  # type: ignore[no-untyped-call]
        async for first in completed:
            if self._under_way >= MANY:
                await asyncio.sleep(PAUSE_S)
            futures = [first, *completed.next_batch(block=False)]  # type: ignore[no-untyped-call]
            self._under_way -= sum(len(by_future[future]) for future in futures)
            self._do(self._fetch(client, [one for future in futures for one in by_future.pop(future)]))

    async def _fetch(self, client: Any, waits: list[_Wait]) -> None:
        """Settle waits whose futures have ended."""
        good = [one for one in waits if one.future.status == "finished"]
        others = [one for one in waits if one.future.status != "finished"]
        try:
            values = await client.gather([one.future for one in good], asynchronous=True)
        except Exception:  # the values of some have been lost since, or cannot be read here
            others = waits
        else:
            _settle((one, value, None) for one, value in zip(good, values, strict=True))
        for one in others:
            _settle([(one, *await _outcome(client, one.future))])


def submitted(client: Any, calls: Sequence[BoundCall]) -> list[Any]:
    """Submit calls in one graph, and return their futures; each call runs, even if it is equal to another.

    Raises:
        Exception: One of them cannot be pickled. None was sent.
    """
    functions, positional, named = zip(*calls, strict=True)
    keys = [f"{funcname(function)}-{uuid4()}" for function in functions]
    found: list[Any] = client.map(apply, functions, [*map(list, positional)], [*map(dict, named)], key=keys, pure=False)
    return found


async def have_package(client: Any, name: str, version: str) -> bool:
    """Return whether the scheduler and all workers have a package in a version, and there are workers.

    A worker that gets a function of a package that it does not have ends, and Dask gives the function to the next one.
    """

    async def ask() -> bool:
        try:
            of_scheduler = await client.run_on_scheduler(metadata.version, name)
            of_workers = await client.run(metadata.version, name, on_error="return")
        except ModuleNotFoundError:
            return False
        return set(of_workers.values()) == {of_scheduler} == {version}

    work = ask()
    try:
        answer = asyncio.run_coroutine_threadsafe(work, client.loop.asyncio_loop)
    except RuntimeError:
        work.close()
        raise _closed() from None
    return await asyncio.wrap_future(answer)


def kept(client: Any, frame: Any) -> tuple[Any, list[Any]]:
    """Begin to compute a lazy data frame; return it as what has been computed, and the futures of its partitions."""
    parts = client.compute(frame.to_delayed())
    return collection(parts, frame._meta), parts


def collection(parts: list[Any], meta: Any) -> Any:
    """Return a lazy data frame of futures of its partitions; `meta` is one without rows."""
    from dask import dataframe

    return dataframe.from_delayed(parts, meta=meta, verify_meta=False)


async def _outcome(client: Any, future: Any) -> tuple[Any, BaseException | None]:
    """Return the value of a future, or its error."""
    try:
        return await client.gather(future, asynchronous=True), None
    except (concurrent.futures.CancelledError, asyncio.CancelledError) as error:  # Dask's own derives from the first
        if _is_ending():
            raise
        return None, errors.ToolFailed(f"its future was cancelled: {error}", name=CANCELLED)
    except BaseException as error:
        if _is_ending():
            raise
        return None, error  # also a SystemExit of the function, which must not end this loop


def _is_ending() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _settle(outcomes: Iterable[tuple[_Wait, Any, BaseException | None]]) -> None:
    """Give outcomes to those who wait for them, each in their own loop, which is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Wait, Any, BaseException | None]]] = {}
    for outcome in outcomes:
        if outcome[0].done is None:
            continue
        by_loop.setdefault(outcome[0].done.get_loop(), []).append(outcome)
    for loop, some in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_set, some)


def _set(outcomes: Sequence[tuple[_Wait, Any, BaseException | None]]) -> None:
    for one, value, error in outcomes:
        if one.done is not None and not one.done.done():
            one.done.set_result((value, error))


def _emptied(queue: deque[_Wait]) -> list[_Wait]:
    found = []
    while queue:
        found.append(queue.popleft())
    return found


def _closed() -> errors.ToolFailed:
    return errors.ToolFailed("its client of Dask is closed", name=CANCELLED)


_clusters: weakref.WeakKeyDictionary[Any, Cluster] = weakref.WeakKeyDictionary()


def cluster_of(client: Any) -> Cluster:
    """Return the one cluster of a client."""
    if (found := _clusters.get(client)) is None:
        found = _clusters[client] = Cluster(client)
    return found
