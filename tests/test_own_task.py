"""Contexts that a task of their own opens and closes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pctx_jupyter.own_task import in_own_task


async def test_what_opens_is_given_up_when_its_user_is_cancelled() -> None:
    opening, seen = asyncio.Event(), list[str]()

    @asynccontextmanager
    async def never_open() -> AsyncIterator[None]:
        opening.set()
        try:
            await asyncio.Event().wait()
            yield
        finally:
            seen.append("given up")

    async def use() -> None:
        async with in_own_task(never_open(), "test"):
            seen.append("used")

    using = asyncio.create_task(use())
    await opening.wait()
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert seen == ["given up"]


async def test_an_error_of_opening_is_raised_to_the_user() -> None:
    @asynccontextmanager
    async def refuse() -> AsyncIterator[None]:
        raise OSError("no place")
        yield

    with pytest.raises(OSError, match="no place"):
        async with in_own_task(refuse(), "test"):
            pass
