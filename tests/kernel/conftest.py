"""One real kernel a module, with the magics loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .real_kernel import RealKernel, open_kernel


@pytest.fixture(scope="module")
def bare_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKernel]:
    with open_kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


@pytest.fixture(scope="module")
def kernel(bare_kernel: RealKernel) -> RealKernel:
    """With the extension loaded and a few tools."""
    assert bare_kernel.run("%load_ext pctx_jupyter").error is None
    assert bare_kernel.run(TOOLS).error is None
    return bare_kernel


TOOLS = """
import asyncio, threading, time
from pctx_jupyter import tool

@tool
def add(a: int, b: int) -> int:
    '''Add two numbers.'''
    return a + b

@tool
def say(text: str) -> None:
    print(text)

@tool
def fail(message: str) -> None:
    raise LookupError(message)
"""
