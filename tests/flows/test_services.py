"""Services, of their page and of the examples: programs of their own, whose functions an agent calls."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pctx_jupyter.client import ExecutionError, McpClient

from ..server.process import ServerProcess, server_process
from .agent import Agent

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "howto" / "services.md").read_text("utf-8")
SOON = 50
"""Seconds after which what should come counts as missing, on a busy machine."""


def example(language: str) -> str:
    """The first example of a language on the page."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """Where the services offer their functions, one after the other."""
    with server_process("--Pctx.warm_sandboxes=1") as server:
        yield server


class Service:
    """A service that runs, and has offered its functions."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def interrupt(self) -> tuple[int, str]:
        """End it as Ctrl+C does; returns its exit code and what it wrote to stderr."""
        self._process.send_signal(signal.SIGINT)
        _, written = self._process.communicate(timeout=SOON)
        return self._process.returncode, written


@contextmanager
def service(*command: str, **environment: str) -> Iterator[Service]:
    """Start a service with Python; end it on the way out, if it runs still."""
    with subprocess.Popen(
        [sys.executable, "-u", *command],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "Offered to agents, as Billing\n"
            yield Service(process)
        finally:
            process.kill()


def test_an_agent_calls_the_function_of_the_pages_service_as_the_page_says(server: ServerProcess) -> None:
    agent = Agent(server.url, server.headers)
    socket = f"{server.url.replace('http', 'ws', 1)}local-tools"
    with service("-c", example("python"), PCTX_URL=socket, JUPYTER_TOKEN=server.token) as billing:
        assert agent.tools() == ["Invoices.ofCustomer"]
        assert agent.run(f"{example('typescript')}\ninvoices.length") == 1
        billing.interrupt()
    assert agent.tools() == []


async def test_an_agent_calls_the_functions_of_the_examples_service_while_it_runs(server: ServerProcess) -> None:
    address = {"PCTX_URL": server.url, "PCTX_TOKEN": server.token}
    with service(str(ROOT / "examples" / "service.py"), **address) as billing:
        async with asyncio.timeout(SOON), McpClient(f"{server.url}mcp", token=server.token) as agent:
            result = await agent.execute('(await Invoices.ofCustomer({ customer: "Ann" })).map((one) => one.total)')
            assert (result["output"], result["success"]) == ([40, 7.25], True)
            details = await agent.get_function_details(["Invoices.markPaid"])
            assert details["Invoices.markPaid"]["output_schema"] == {"type": "boolean"}
            assert billing.interrupt() == (0, "")
            while "Invoices.ofCustomer" in str(await agent.list_functions()):
                await asyncio.sleep(0.05)
            with pytest.raises(ExecutionError, match="the service Billing is not connected"):
                await agent.execute('await Invoices.ofCustomer({ customer: "Ann" })')
