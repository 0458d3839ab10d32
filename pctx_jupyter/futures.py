"""What a tool returned before its value is there: futures of executors, of Dask and of Ray, and how to wait for them.

It knows the futures of other libraries; it imports none of these libraries, for a value of theirs exists only where
the user has imported them.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import pickle
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Protocol, cast, get_args, get_origin

from . import classes, errors


class RemoteValue:
    """A value that is computed elsewhere, and stays there until it is asked for.

    Args:
        given: A future of one of the libraries, or a collection of Dask. Without a client, Dask computes that again
            each time it is asked for.

    Attributes:
        given: What is passed to tools.
        type: What people call it.
        write: Writes the value as JSON, if it has no handle; None: as its kind says.
        is_table: Whether it is declared to be a table.
    """

    def __init__(self, given: Any) -> None:
        self.given = given
        self.type = type(given).__name__
        self.write: Callable[[Any], Any] | None = None
        self.is_table = False
        self._is_abandoned = False

    def __del__(self) -> None:
        # No program can wait for it any more, and one has stopped to wait before it was there.
        if self._is_abandoned:
            cancel(self.given)

    @property
    def state(self) -> str:
        """``pending``, or how it ended, as its library says; ``lazy`` of what is computed when it is asked for."""
        if isinstance(self.given, concurrent.futures.Future):
            return "finished" if self.given.done() else "pending"
        return str(self.given.status) if is_dask_future(self.given) else "lazy"

    async def value(self) -> Any:
        """Wait for the value, and return it. Raises what was raised elsewhere.

        If this wait is cancelled, the value can be asked for again; the work is cancelled when the handle is dropped.
        """
        if is_dask_collection(self.given) and (client := dask_client()) is not None:
            self.given = client.compute(self.given)
        wait = _wait_for(self.given)
        assert wait is not None, "nothing else is held"
        self._is_abandoned = True
        found = await wait(self.given, cancels=False)
        self._is_abandoned = False
        return found


class Executor(Protocol):
    """What runs functions elsewhere: an executor of ``concurrent.futures``, or a client of Dask."""

    def submit(self, function: Callable[..., Any], /) -> Any:
        """Start a function and return its future."""
        ...


def submit(
    executor: Executor, function: Callable[..., Any], positional: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """Run one call of a function on an executor: return its future, or what to await for its value.

    A client of Dask gets all calls that come together at once, when the first of them is awaited. None of the arguments
    is taken for an option of ``submit``.
    """
    if is_dask_client(executor):
        from .cluster import cluster_of

        return cluster_of(executor).run((function, *_on_cluster(executor, positional, named)))
    return executor.submit(functools.partial(function, *positional, **named))


def started(
    executor: Executor, function: Callable[..., Any], positional: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """Start one call of a function on an executor at once, and return its future."""
    if is_dask_client(executor):
        from .cluster import submitted

        return submitted(executor, [(function, *_on_cluster(executor, positional, named))])[0]
    return executor.submit(functools.partial(function, *positional, **named))


def _on_cluster(client: Any, positional: Sequence[Any], named: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments with futures in the place of what Dask computes lazily: Dask passes only their values on."""

    def future_of(value: Any) -> Any:
        return client.compute(value) if is_dask_collection(value) else value

    return [future_of(one) for one in positional], {name: future_of(one) for name, one in named.items()}


def why_not(executor: object, is_async: bool) -> str | None:
    """Say why a tool cannot run on an executor; None: it can."""
    if inspect.isclass(executor) or not callable(getattr(executor, "submit", None)):
        return (
            f"run_on is {executor!r:.50}, and has to have submit(function): a client of Dask, or an executor of "
            "concurrent.futures"
        )
    if is_async:
        return "an async function runs in the kernel; leave out run_on, or leave out async"
    return None


def pending(value: object) -> Awaitable[Any] | None:
    """Return what to await for the value that a tool's result stands for; None: the result is the value.

    A list, a tuple or a dict of futures, also a nested one, stands for the same with their values. Cancelling that wait
    cancels the work, as far as its library can.
    """
    if (wait := _wait_for(value)) is not None:
        return wait(value)
    if _holds_futures(value):
        return _of_container(value)
    return value if inspect.isawaitable(value) else None


def cancel(value: object) -> None:
    """Cancel the work of a future of one of the libraries, as far as its library can; does not wait."""
    with suppress(Exception):
        if isinstance(value, concurrent.futures.Future):
            value.cancel()
        elif is_dask_future(value):
            from .cluster import cluster_of

            cluster_of(value.client).cancel(value)  # type: ignore[attr-defined]
        elif _is_ray_ref(value):
            sys.modules["ray"].cancel(value)


def unready(value: object) -> bool:
    """Whether a value is a future of one of the libraries, or a collection of Dask."""
    return _wait_for(value) is not None


def _wait_for(value: object) -> Callable[..., Awaitable[Any]] | None:
    """Return what waits for the result of a library's future or collection; None: the value is neither."""
    if isinstance(value, concurrent.futures.Future):
        return _of_executor
    if is_dask_future(value):
        return _of_dask_future
    if is_dask_collection(value):
        return _of_dask_collection
    return _of_ray_ref if _is_ray_ref(value) else None


FEW = 100
"""Entries of a dict of which each is looked at for a future; of more, and of a list, only the first one is."""
DEEPEST = 20
"""Levels of lists and dicts in which futures are looked for."""


def _holds_futures(value: object, depth: int = 0) -> bool:
    """Whether a list, a tuple or a dict holds futures. A list of something else costs one look."""
    members: Iterable[Any]
    if type(value) is dict:
        members = value.values() if len(value) <= FEW else islice(value.values(), 1)
    elif type(value) in (list, tuple):
        members = cast("Sequence[Any]", value)[:1]
    else:
        return False
    return depth < DEEPEST and any(unready(one) or _holds_futures(one, depth + 1) for one in members)


async def _of_container(value: Any) -> Any:
    """Wait for all futures in lists, tuples and dicts, and return the same with their values.

    When one of them fails, or the wait is cancelled, the others are cancelled.
    """
    found: dict[int, Any] = {}
    _replaced(value, lambda one: found.setdefault(id(one), one))
    client, lazy = dask_client(), [key for key, one in found.items() if is_dask_collection(one)]
    if client is not None and lazy:  # together, so that what they share is computed once
        found |= zip(lazy, client.compute([found[key] for key in lazy]), strict=True)
    waits = [asyncio.ensure_future(_value(one)) for one in found.values()]
    try:
        values = dict(zip(found, await asyncio.gather(*waits), strict=True))
    finally:
        for one in waits:
            one.cancel()
    return _replaced(value, lambda one: values[id(one)])


async def _value(one: Any) -> Any:
    wait = _wait_for(one)
    assert wait is not None, "only futures are looked for"
    return await wait(one)


def _replaced(value: Any, instead: Callable[[Any], Any]) -> Any:
    """Return lists, tuples and dicts with something else in the place of each future."""
    if unready(value):
        return instead(value)
    if type(value) is dict:
        return {name: _replaced(one, instead) for name, one in value.items()}
    return type(value)(_replaced(one, instead) for one in value) if type(value) in (list, tuple) else value


def is_future_type(annotation: Any) -> bool:
    """Whether a return annotation is a future of a library, such as ``Future[int]``, or what Dask computes lazily."""
    kind = get_origin(annotation) or annotation
    return inspect.isclass(kind) and classes.is_one(kind, classes.FUTURES)


def awaited_type(annotation: Any) -> Any:
    """Return the type of what a return annotation stands for: ``int`` for ``Future[int]`` and ``Awaitable[int]``.

    Of ``list[Future[int]]`` it is ``list[int]``, and so of tuples and dicts.
    """
    origin = get_origin(annotation)
    if origin in (list, tuple, dict):
        found = tuple(one if one is ... else awaited_type(one) for one in get_args(annotation))
        return annotation if found == get_args(annotation) else origin[found]
    if origin is None and is_future_type(annotation):
        return Any
    if inspect.isclass(origin) and issubclass(origin, (Awaitable, concurrent.futures.Future)):
        return get_args(annotation)[-1]
    if inspect.isclass(annotation) and issubclass(annotation, (Awaitable, concurrent.futures.Future)):
        return Any
    return annotation


def root_of(error: Exception) -> Exception:
    """Return the first cause of an error: Dask says that it could not serialize, and its cause says what."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def is_about_pickling(error: Exception) -> bool:
    """Whether an error says that something cannot be pickled. Libraries raise several classes for that."""
    if isinstance(error, pickle.PickleError):
        return True
    return isinstance(error, (TypeError, AttributeError)) and _PICKLING.search(str(error)) is not None


_PICKLING = re.compile(r"(?i)pickle|serializ|can't get (local object|attribute)")


def was_awaited_in_vain(error: AttributeError) -> bool:
    """Whether an error says that a future of a synchronous client of Dask was awaited.

    Such a future waits for its value, blocks the loop meanwhile, and then awaits the value.
    """
    if error.name != "__await__" or (traceback := error.__traceback__) is None:
        return False
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_globals.get("__name__") == "distributed.client"


def is_dask_future(value: object) -> bool:
    """Whether a value is a future of ``distributed``."""
    distributed = sys.modules.get("distributed.client")
    return distributed is not None and isinstance(value, distributed.Future)


def is_dask_collection(value: object) -> bool:
    """Whether a value is computed by Dask when it is asked for: a ``Delayed``, or a frame, array or bag of Dask."""
    dask = sys.modules.get("dask.base")
    return dask is not None and not inspect.isclass(value) and bool(dask.is_dask_collection(value))


def is_dask_frame(value: object) -> bool:
    """Return whether a value is a data frame or a series of Dask."""
    return is_dask_collection(value) and classes.is_one(type(getattr(value, "_meta", None)), classes.TABLES)


def is_dask_client(executor: object) -> bool:
    """Whether what runs functions is a client of Dask."""
    distributed = sys.modules.get("distributed.client")
    return distributed is not None and isinstance(executor, distributed.Client)


def _is_ray_ref(value: object) -> bool:
    ray = sys.modules.get("ray")
    return isinstance(value, getattr(ray, "ObjectRef", ()))


async def _of_executor(future: concurrent.futures.Future[Any], *, cancels: bool = True) -> Any:
    # With asyncio.wrap_future, a future that another thread cancels would end the tool as if its program had ended it.
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not done.done():
            done.set_result(None)

    def wake(_: object) -> None:
        with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            loop.call_soon_threadsafe(settle)

    future.add_done_callback(wake)
    try:
        await done
    except BaseException:
        if cancels:
            future.cancel()
        raise
    try:
        return future.result(0)
    except (concurrent.futures.CancelledError, asyncio.CancelledError):  # the second one, its function raised
        raise errors.ToolFailed("its future was cancelled", name="CancelledError") from None


async def _of_dask_future(future: Any, *, cancels: bool = True) -> Any:
    from .cluster import cluster_of

    return await cluster_of(future.client).value(future, cancels=cancels)


async def _of_dask_collection(collection: Any, *, cancels: bool = True) -> Any:
    client = dask_client()
    if client is None:
        return await asyncio.to_thread(collection.compute)
    return await _of_dask_future(client.compute(collection), cancels=cancels)


def dask_client() -> Any:
    """The client of Dask that this process uses; None: there is none, and Dask computes in threads."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.get_client()
    except ValueError:
        return None


async def _of_ray_ref(ref: Any, *, cancels: bool = True) -> Any:
    future: concurrent.futures.Future[Any] = ref.future()
    try:
        return await _of_executor(future)
    except asyncio.CancelledError:
        if cancels:
            cancel(ref)
        raise
    except Exception as error:
        if (raised := _raised_by_task(error)) is error:
            raise
        raise raised from error


def _raised_by_task(error: Exception) -> Exception:
    """Return what a task of Ray raised.

    Ray's error has a class of its own for each class, and the worker's coloured traceback as its text.
    """
    kinds = getattr(sys.modules["ray"], "exceptions", None)
    if isinstance(error, getattr(kinds, "RayTaskError", ())):
        cause = getattr(error, "cause", None)
        error = cause if isinstance(cause, Exception) else error
    if isinstance(error, getattr(kinds, "TaskCancelledError", ())):
        return errors.ToolFailed(f"its future was cancelled: {error}".rstrip(": "), name="CancelledError")
    return error
