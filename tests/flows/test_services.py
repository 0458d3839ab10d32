"""The page about services, followed word for word: a program of its own offers a function, an agent calls it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from ..server.process import server_process
from .agent import Agent

PAGE = (Path(__file__).parent.parent.parent / "docs" / "howto" / "services.md").read_text()


def example(language: str) -> str:
    """The first example of a language on the page."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_an_agent_calls_the_function_of_the_pages_service_as_the_page_says() -> None:
    with server_process("--Pctx.warm_sandboxes=1") as server:
        agent = Agent(server.url, server.headers)
        socket = f"{server.url.replace('http', 'ws', 1)}local-tools"
        with subprocess.Popen(
            [sys.executable, "-u", "-c", example("python")],
            env=os.environ | {"PCTX_URL": socket, "JUPYTER_TOKEN": server.token},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as service:
            try:
                assert service.stdout is not None
                assert service.stdout.readline() == "Offered to agents, as Billing\n"
                assert agent.tools() == ["Invoices.ofCustomer"]
                assert agent.run(f"{example('typescript')}\ninvoices.length") == 1
                service.send_signal(signal.SIGINT)
                service.wait(20)
            finally:
                service.kill()
        assert agent.tools() == []
