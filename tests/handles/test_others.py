"""Handles of what is no table: which kind a value is, and what of it can be read. Pure but for files."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pctx_jupyter import errors
from pctx_jupyter.handles import others


class Model:
    """Some object."""


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (np.zeros(2), "array"),
        (Path("a"), "file"),
        (iter([1]), "items"),
        ((n for n in [1]), "items"),
        (Model(), "object"),
        (frozenset([1]), "object"),
    ],
)
def test_kind_is_that_of_the_value(value: Any, kind: str) -> None:
    assert others.kind_of(value) == kind


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "a", b"a", [1], {"a": 1}, (1,), {1}, len, Model, os])
def test_plain_values_and_code_do_not_pass_by_handle(value: Any) -> None:
    with pytest.raises(others.NoHandle):
        others.kind_of(value)


# Files


def test_file_is_read_in_ranges_and_by_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\r\ntwo\n\nlast \xff")
    file = others.File(path)
    assert (file.name, file.size) == ("a.txt", 16)
    assert file.read(0, 3) == b"one" and file.read(14, 99) == b" \xff" and file.read(50, None) == b""
    assert file.lines(0) == (["one", "two", "", "last \N{REPLACEMENT CHARACTER}"], None)
    assert file.lines(9) == (["", "last \N{REPLACEMENT CHARACTER}"], None)


def test_lines_come_in_parts_that_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"{n}\n" for n in range(2_500)))
    file, found, start = others.File(path), [], 0
    while start is not None:
        lines, start = file.lines(start)
        assert len(lines) <= others.MOST_LINES
        found += lines
    assert found == [str(n) for n in range(2_500)]


def test_file_that_takes_the_place_of_another_is_not_read(tmp_path: Path) -> None:
    path, secret = tmp_path / "a.txt", tmp_path / "secret"
    path.write_text("mine")
    secret.write_text("secret")
    file = others.File(path)
    path.unlink()
    with pytest.raises(errors.InvalidParams, match=r"Cannot read a\.txt: No such file"):
        file.read(0, None)
    path.symlink_to(secret)
    for read in (lambda: file.read(0, None), lambda: file.lines(0)):
        with pytest.raises(errors.InvalidParams, match=r"Cannot read a\.txt: another file has its place"):
            read()


def test_what_is_no_plain_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "none", Path("/dev/zero"), "text"):
        with pytest.raises(others.NoHandle):
            others.File(path)


def test_more_than_passes_at_once_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(others.MOST_READ * 2)  # a hole: it takes no room
    with pytest.raises(errors.InvalidParams, match=r"read at most 33,554,432: bytes\(from, to\)"):
        others.File(path).read(0, None)
    assert others.File(path).read(5, 9) == bytes(4)
    with pytest.raises(errors.InvalidParams, match="one has 33,554,432 bytes or more"):
        others.File(path).lines(0)


# Arrays


@pytest.mark.parametrize("dtype", ["<i4", ">i2", "u1", "<f4", ">f8", "<i8", "<f2"])
def test_numbers_of_an_array_are_float64_whatever_they_are_in_memory(dtype: str) -> None:
    array = np.arange(12).reshape(3, 4).astype(dtype).T  # not contiguous
    found = others.numbers(others.part(array, 1, 3))
    assert found is not None and not found[1]
    assert struct.unpack("<6d", found[0]) == (1.0, 5.0, 9.0, 2.0, 6.0, 10.0)


def test_integers_of_an_array_say_when_they_are_rounded_and_are_exact_if_asked() -> None:
    array = np.array([2**53 + 1, -(2**62)])
    found = others.numbers(array)
    assert found is not None and found[1]
    assert struct.unpack("<2q", others.integers(array)) == (2**53 + 1, -(2**62))
    for wrong in (np.array([1.5]), np.array([2**63], dtype="u8"), np.array(["a"])):
        with pytest.raises(errors.InvalidParams, match="as bigint"):
            others.integers(wrong)
    assert others.numbers(np.array(["a"])) is None and others.numbers(np.array([True])) is None


def test_parts_of_arrays_without_elements_or_axes_are_what_they_hold() -> None:
    for array, size in ((np.zeros((0, 3)), 0), (np.array(5), 1), (np.zeros((2, 0)), 0)):
        found = others.numbers(others.part(array, 0, None))
        assert found is not None and found[0].nbytes == 8 * size
        assert others.integers(others.part(array.astype(int), 0, None)).nbytes == 8 * size


def test_aggregates_are_those_of_numpy() -> None:
    array = np.array([[1.0, 2.0], [3.0, 6.0]])
    found = {name: others.aggregated(array, name) for name in others.AGGREGATES}
    assert found == {
        "sum": 12.0,
        "mean": 3.0,
        "min": 1.0,
        "max": 6.0,
        "median": 2.5,
        "std": array.std(),
        "count": 4,
    }
    assert others.aggregated(np.zeros(0), "mean") is None and others.aggregated(np.zeros(0), "sum") == 0
    for kind in (np.int64, np.uint64):
        edges = [np.iinfo(kind).min, *[np.iinfo(kind).max] * 3]
        for some in (edges, edges[:1] * 3, [5]):
            assert others.aggregated(np.array(some, kind), "sum") == sum(map(int, some))
    for wrong, name in ((array, "tobytes"), (array, "__class__"), (np.array(["a"]), "max")):
        with pytest.raises(errors.InvalidParams):
            others.aggregated(wrong, name)


# Items


def test_items_are_taken_once_and_end_with_the_iterator() -> None:
    items = others.Items(iter(range(5)))
    assert items.take(3) == ([0, 1, 2], False)
    assert items.take(3) == ([3, 4], True)
    assert items.take(3) == ([], True)


def test_error_of_an_iterator_follows_the_items_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("no second one")

    items = others.Items(failing())
    assert items.take(1) == ([1], False)
    with pytest.raises(ValueError, match="no second one"):
        items.take(1)


async def test_items_of_an_asynchronous_iterator_are_taken_by_one_call_at_a_time() -> None:
    go_on = asyncio.Event()

    async def waiting() -> AsyncIterator[int]:
        yield 1
        await go_on.wait()
        yield 2

    items = others.Items(waiting())
    assert await items.take_async(1) == ([1], False)
    first = asyncio.ensure_future(items.take_async(5))
    await asyncio.sleep(0)
    with pytest.raises(errors.InvalidParams, match="another call takes some"):
        await items.take_async(1)
    go_on.set()
    assert await first == ([2], True)


def test_representation_that_fails_or_is_long_is_shown_all_the_same() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    class Long:
        def __repr__(self) -> str:
            return "x" * 10_000

    assert others.preview("object", Broken()) == {"text": "(it cannot be shown: RuntimeError)"}
    assert len(others.preview("object", Long())["text"]) == others.LONGEST_REPR
