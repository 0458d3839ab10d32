"""Handles of what is no table: arrays, files, iterators, figures, and any other object.

It knows which kind a value is, what a program learns of it at once, and which operations there are. It does not know
tools or wires. It imports no library of those whose objects it knows: an object can only be theirs if they are loaded.

- An *array* of numpy: its shape and type are known; numbers are read as bytes, in ranges of its first axis.
- A *file*, by its path: read in ranges. Only the very file that was handed over is read, whatever its path names later.
- *Items* of an iterator or a generator, also an asynchronous one: taken once, in their order.
- A *future* of a value that is computed elsewhere and stays there, also what Dask computes lazily.
- A *figure*, which a notebook can show, and any other *object*: they pass to tools alone.
"""

from __future__ import annotations

import inspect
import math
import os
import stat
import sys
import types
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from time import monotonic
from typing import Any

from .. import classes, errors, futures, processes
from .arithmetic import LARGEST_EXACT
from .numbers import bytes_of

MOST_ITEMS = 1_000
"""Items that are taken with one call."""
ITEMS_S = 0.05
"""Seconds after which no further item is taken with a call: a slow iterator shows its items as they come."""
MOST_LINES = 1_000
"""Lines that are read with one call."""
MOST_READ = 32 << 20
"""Bytes that are read with one call, far below what a message may have."""
LONGEST_REPR = 200
"""Characters of an object's representation that are shown."""
FIRST_NUMBERS = 5
"""Numbers of an array that are shown."""


class NoHandle(Exception):
    """A value cannot pass by handle; the message says why."""


# Which kind a value is


def kind_of(value: Any) -> str:
    """Return the kind of a value that is no table: ``array``, ``file``, ``items``, ``future``, …

    Raises:
        NoHandle: It is plain, and crosses as a value, or is code.
    """
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, bytearray, list, dict, tuple, set)):
        raise NoHandle(f"{type(value).__name__} is no object that stays in the notebook")
    if futures.unready(value):  # a Delayed says of itself that it is a routine
        return "future"
    if isinstance(value, (type, types.ModuleType)) or inspect.isroutine(value):
        raise NoHandle(f"{type(value).__name__} is code, and not a value")
    np = sys.modules.get("numpy")
    if np is not None and isinstance(value, np.ndarray):
        return "array"
    if isinstance(value, PurePath):
        return "file"
    if isinstance(value, (Iterator, AsyncIterator)):
        return "items"
    return "figure" if classes.is_one(type(value), classes.FIGURES) else "object"


def held(kind: str, value: Any) -> Any:
    """Return what operations on a value work with.

    Raises:
        NoHandle: The value is not of the kind, or cannot be used.
    """
    if kind == "items":
        return Items(value)
    if kind == "file":
        return File(value)
    if kind == "future":
        if not futures.unready(value):
            raise NoHandle(f"{type(value).__name__} is not a future")
        return futures.RemoteValue(value)
    if kind == "array":
        np = sys.modules.get("numpy")
        if np is None or not isinstance(value, np.ndarray):
            raise NoHandle(f"{type(value).__name__} is not an array of numpy")
    if kind == "figure" and not classes.is_one(type(value), classes.FIGURES):
        raise NoHandle(f"{type(value).__name__} is not a figure of matplotlib or Plotly")
    if value is None or isinstance(value, (bool, int, float, str, bytes, list, dict, tuple)):
        raise NoHandle(f"{type(value).__name__} is no object that stays in the notebook")
    return value


def size_of(kind: str, value: Any) -> int:
    """Return the bytes of memory that a value takes, roughly."""
    if kind == "array":
        return int(value.nbytes)
    try:
        return sys.getsizeof(value)
    except Exception:  # an object may not know
        return 0


def facts(kind: str, value: Any) -> dict[str, Any]:
    """Return what a program knows of a value without a call.

    Args:
        kind: The value's.
        value: What `held` returned.
    """
    if kind == "array":
        return {"type": "numpy.ndarray", "shape": list(value.shape), "dtype": str(value.dtype)}
    if kind == "file":
        return {"type": "File", "name": value.name, "size": value.size}
    if kind in ("items", "future"):
        return {"type": value.type}
    shown = type(value)
    return {"type": f"{shown.__module__}.{shown.__qualname__}".removeprefix("__main__.")}


def preview(kind: str, value: Any) -> dict[str, Any]:
    """Return what is shown of a value besides its facts."""
    if kind == "array" and value.dtype.kind in "biufUM":
        return {"first": value.reshape(-1)[:FIRST_NUMBERS]}
    if kind == "future":
        return {"text": value.state}
    if kind == "object":
        try:
            text = repr(value)
        except Exception as error:
            text = f"(it cannot be shown: {type(error).__name__})"
        return {"text": text if len(text) <= LONGEST_REPR else f"{text[: LONGEST_REPR - 1]}…"}
    return {}


# Arrays


def count(array: Any, start: int, stop: int | None) -> int:
    """Return how many elements are in a range of an array's first axis, by its shape alone."""
    if array.ndim == 0:
        return 1
    length, *inner = array.shape
    return len(range(*slice(start, stop).indices(length))) * int(math.prod(inner))


def part(array: Any, start: int, stop: int | None) -> Any:
    """Return the elements of a range of an array's first axis, in one dimension."""
    if array.ndim == 0:
        return array.reshape(-1)
    return array[start:stop].reshape(-1)


def numbers(flat: Any) -> tuple[memoryview, bool] | None:
    """Return numbers as the bytes of float64, and whether some are rounded; None: they are no numbers."""
    if flat.dtype.kind not in "iuf":
        return None
    is_large = flat.dtype.kind in "iu" and flat.size > 0
    rounded = is_large and max(abs(int(flat.min())), abs(int(flat.max()))) > LARGEST_EXACT
    return bytes_of(flat, "<f8"), rounded


def integers(flat: Any) -> memoryview:
    """Return integers as the bytes of int64.

    Raises:
        InvalidParams: There are no integers in it, or they are too large.
    """
    if flat.dtype.kind not in "iu":
        raise errors.InvalidParams(f"Cannot read an array of {flat.dtype} as bigint: it does not hold integers")
    if flat.dtype.kind == "u" and flat.size and int(flat.max()) >= 1 << 63:
        raise errors.InvalidParams("Cannot read an array as bigint: a value is 2**63 or more")
    return bytes_of(flat, "<i8")


AGGREGATES = ("sum", "mean", "min", "max", "median", "std", "count")
"""What can be computed of an array, by numpy's functions; ``count`` counts its elements."""


def aggregated(array: Any, function: str) -> Any:
    """Return an aggregate of all elements of an array.

    Raises:
        InvalidParams: There is no such aggregate, or the array has none.
    """
    if function not in AGGREGATES:
        raise errors.InvalidParams(f"Cannot compute {function[:50]} of an array; there are {', '.join(AGGREGATES)}")
    if function == "count":
        return int(array.size)
    if array.dtype.kind not in "biuf":
        raise errors.InvalidParams(f"Cannot compute {function} of an array of {array.dtype}: it does not hold numbers")
    if array.size == 0:
        return 0 if function == "sum" else None
    if function == "sum" and array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        return _sum(array)
    return getattr(sys.modules["numpy"], function)(array).item()


def _sum(array: Any) -> int:
    """Return the sum of integers of 64 bits, which numpy would cut to 64 bits: those of their halves fit."""
    return (int((array >> 32).sum()) << 32) + int((array & 0xFFFFFFFF).sum())


# Files


class File:
    """One file. It is opened for each reading, and must then be the one that was handed over.

    Attributes:
        name: Its name, without the folder.
        size: Bytes it had when it was handed over.

    Raises:
        NoHandle: There is no such file, it is not a plain one, or it cannot be read.
    """

    def __init__(self, path: Any) -> None:
        if not isinstance(path, PurePath):
            raise NoHandle(f"{type(path).__name__} is not a path; return a pathlib.Path")
        self._path = Path(path).absolute()
        self.name = path.name
        try:
            descriptor, found = self._opened()
            os.close(descriptor)
        except OSError as error:
            raise NoHandle(f"the file {path.name} cannot be read ({processes.shortage(error, otherwise='')})") from None
        self._identity, self.size = (found.st_dev, found.st_ino), found.st_size

    def _opened(self) -> tuple[int, os.stat_result]:
        # Without O_NONBLOCK, opening a named pipe would wait for its writer.
        descriptor = os.open(self._path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise OSError(0, "it is not a plain file")
        return descriptor, found

    def read(self, start: int, stop: int | None) -> bytes:
        """Return the bytes of a range.

        Raises:
            InvalidParams: The range is too long, or the file is another one now.
        """
        with self._reading() as (file, size):
            wanted = max(0, min(size, size if stop is None else stop) - start)
            if wanted > MOST_READ:
                raise errors.InvalidParams(
                    f"Cannot read {wanted:,} bytes of {self.name} at once; read at most {MOST_READ:,}: bytes(from, to)"
                )
            file.seek(start)
            return bytes(file.read(wanted))

    def lines(self, start: int) -> tuple[list[str], int | None]:
        """Return the lines that begin at a byte, without their ends, and where to go on; None: there are no more.

        Raises:
            InvalidParams: A line is too long, or the file is another one now.
        """
        found: list[str] = []
        with self._reading() as (file, size):
            file.seek(start)
            read = 0
            while len(found) < MOST_LINES and read < MOST_READ // 8:
                line = file.readline(MOST_READ)
                if len(line) == MOST_READ:
                    raise errors.InvalidParams(
                        f"Cannot read lines of {self.name}: one has {MOST_READ:,} bytes or more; read text(from, to)"
                    )
                if not line:
                    return found, None
                read += len(line)
                found.append(line.decode("utf-8", "replace").rstrip("\r\n"))
            return found, start + read if start + read < size else None

    @contextmanager
    def _reading(self) -> Iterator[tuple[Any, int]]:
        """Open the file for one reading; yields it with its size now."""
        try:
            descriptor, found = self._opened()
        except OSError as error:
            raise errors.InvalidParams(f"Cannot read {self.name}: {processes.shortage(error, otherwise='')}") from None
        if (found.st_dev, found.st_ino) != self._identity:
            os.close(descriptor)
            raise errors.InvalidParams(
                f"Cannot read {self.name}: another file has its place since it was handed over; call the tool again"
            )
        with os.fdopen(descriptor, "rb") as file:
            yield file, found.st_size


# Items


class Items:
    """The items of an iterator, each of which is taken once.

    Args:
        given: An iterator, or what one can be made of; it may be asynchronous.

    Attributes:
        type: What people call the iterator.
        is_async: Whether items are awaited.

    Raises:
        NoHandle: It has no items, or is plain.
    """

    def __init__(self, given: Any) -> None:
        self.type = type(given).__name__
        self.is_async = hasattr(given, "__anext__") or hasattr(given, "__aiter__")
        self._is_busy = False
        if not self.is_async and not hasattr(given, "__iter__"):
            raise NoHandle(f"{self.type} is not an iterator")
        self._source: Any = aiter(given) if self.is_async else iter(given)

    def take(self, most: int) -> tuple[list[Any], bool]:
        """Return the next items, and whether there are no more. Raises what the iterator raises."""
        found: list[Any] = []
        end = monotonic() + ITEMS_S
        while len(found) < most and (not found or monotonic() < end):
            try:
                found.append(next(self._source))
            except StopIteration:
                return found, True
        return found, False

    async def take_async(self, most: int) -> tuple[list[Any], bool]:
        """Return what `take` returns, of an asynchronous iterator.

        Raises:
            InvalidParams: Another call takes items now.
        """
        if self._is_busy:
            raise errors.InvalidParams("Cannot take items: another call takes some; await it first")
        self._is_busy = True
        try:
            found: list[Any] = []
            end = monotonic() + ITEMS_S
            while len(found) < most and (not found or monotonic() < end):
                try:
                    found.append(await anext(self._source))
                except StopAsyncIteration:
                    return found, True
            return found, False
        finally:
            self._is_busy = False
