"""An agent for tests: a client whose programs run as agents' do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from pctx_jupyter.client import PctxClient


class Agent:
    """An agent at a server: runs programs, also while the test does something else.

    Args:
        url: The server's base URL.
        headers: What lets it in.
    """

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._url, self._headers = url.replace("http", "ws", 1), headers
        self._threads = ThreadPoolExecutor()

    def run(self, code: str, timeout_s: float | None = None) -> Any:
        """The value of a program; raises its error."""
        return asyncio.run(self._with(lambda agent: agent.execute_code(code, timeout_s=timeout_s)))["value"]

    def begin(self, code: str, timeout_s: float | None = None) -> Future[Any]:
        """Do the same, without waiting."""
        return self._threads.submit(self.run, code, timeout_s)

    def tools(self) -> list[str]:
        """The tools it sees."""
        return [tool["name"] for tool in asyncio.run(self._with(lambda agent: agent.list_functions()))]

    async def _with(self, act: Callable[[PctxClient], Any]) -> Any:
        async with PctxClient(self._url + "pctx/agents", headers=self._headers) as agent:
            return await act(agent)
