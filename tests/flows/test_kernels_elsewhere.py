"""Kernels that do not run where their server does: in another network, and behind a gateway. All parts are real."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from pctx_jupyter.kernel.home import open_home
from pctx_jupyter.rpc import wire
from pctx_jupyter.rpc.environment import PIPE, TOKEN, URL
from pctx_jupyter.settings import Settings

from ..server.process import START_S, ServerProcess, server_process
from .test_jupyterhub import TOOL, kernel_client, run

WARM = "--Pctx.warm_sandboxes=1"
MODULE = "tests.flows.test_kernels_elsewhere"
ADDRESS = "10.99.0.1"
"""The server's, in the network that it shares with the kernel."""


@contextmanager
def notebook(server: ServerProcess, gateway: ServerProcess, path: str) -> Iterator[BlockingKernelClient]:
    """A notebook of a server whose kernels a gateway starts."""
    asked = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
    kernel_id = server.ask("POST", "api/sessions", asked)["kernel"]["id"]
    with kernel_client(gateway.folder, kernel_id) as client:
        yield client


@pytest.mark.timeout(6 * START_S)
def test_notebooks_behind_one_gateway_belong_to_the_servers_of_their_users_and_not_to_the_gateway() -> None:
    with server_process(WARM) as gateway:
        behind = [WARM, f"--gateway-url={gateway.url.rstrip('/')}", f"--GatewayClient.auth_token={gateway.token}"]
        with (
            server_process(*behind) as ana,
            server_process(*behind) as bo,
            notebook(ana, gateway, "sales.ipynb") as kernel,
            notebook(bo, gateway, "mail.ipynb") as other,
        ):
            for one in (kernel, other):
                run(one, TOOL)
                assert "42" in run(one, "%%pctx\nawait Notebook.double({ n: 21 })")
            status = run(kernel, "%pctx status")
            assert ana.url.rstrip("/") in status and "gateway" in status and "as Sales" in status
            kernels = [one.ask("GET", "pctx/api/kernels")["kernels"] for one in (ana, bo, gateway)]
            assert [[kernel["name"] for kernel in there] for there in kernels] == [["Sales"], ["Mail"], []]
            assert gateway.ask("GET", "pctx/api/status")["sessions"] == 0


def test_a_kernel_in_another_network_finds_its_server_at_the_address_that_kernel_url_names() -> None:
    if shutil.which("ip") is None or subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        pytest.skip("This machine lets nobody make networks of their own (unshare -rn, ip).")
    here = Path(__file__).parents[2]
    command = ["unshare", "-rn", sys.executable, "-m", MODULE]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=3 * START_S)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["named"]["kind"] == "Jupyter server" and said["named"]["url"].startswith(f"http://{ADDRESS}:")
    assert said["named"]["value"] == "42"
    assert said["usual"]["kind"] == "embedded" and "c.Pctx.kernel_url" in said["usual"]["why"]


def in_networks() -> None:
    """Run in a network of its own: a server, and next to it a second network with a part of a kernel."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    inside = [sys.executable, "-m", MODULE, "kernel"]
    child = subprocess.Popen(["unshare", "-n", *inside], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None and child.stdout is not None
    child.stdout.readline()  # it is in its network
    subprocess.run(
        ["ip", "link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(child.pid)], check=True
    )
    subprocess.run(["ip", "addr", "add", f"{ADDRESS}/24", "dev", "here"], check=True)
    subprocess.run(["ip", "link", "set", "here", "up"], check=True)
    with server_process(WARM, f"--Pctx.kernel_url=http://{ADDRESS}:{{port}}{{base_url}}", ip="0.0.0.0") as server:
        environment = {name: value for name, value in server.start_kernel().environ().items() if name in (URL, TOKEN)}
        usual = {**environment, URL: server.url}
        child.stdin.write(json.dumps({"named": environment, "usual": usual}) + "\n")
        child.stdin.flush()
        sys.stdout.write(child.stdout.readline())
        child.wait(START_S)


async def as_kernel(environment: dict[str, str]) -> dict[str, Any]:
    """What a kernel with this environment finds."""
    async with open_home(environment | {PIPE: ""}, Settings(warm_sandboxes=0)) as home:
        done = await home.client.execute(wire.Execute("40 + 2"))
        return {"kind": home.kind, "url": home.url, "why": home.why, "value": bytes(done.value).decode()}


def in_other_network() -> None:
    """Wait for the environments of kernels, and show what a kernel with each of them finds."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    environments = json.loads(sys.stdin.readline())
    for command in (
        ["addr", "add", "10.99.0.2/24", "dev", "there"],
        ["link", "set", "there", "up"],
        ["link", "set", "lo", "up"],
    ):
        subprocess.run(["ip", *command], check=True)
    found = {name: asyncio.run(as_kernel(environment)) for name, environment in environments.items()}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    os.environ.pop(URL, None)
    (in_other_network if sys.argv[1:] else in_networks)()
