"""Sandbox hosts in another network, which is slow, loses packets, and is gone for a while. The networks are real."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pctx_jupyter.client import socket
from pctx_jupyter.hosts.tokens import mint_token
from tests.fakes import SOON
from tests.hosts.networks import CAPACITY, call_once_each, hosts_at

from ..server.process import START_S, ServerProcess, server_process

MODULE = "tests.flows.test_hosts_elsewhere"
ADDRESS, THERE = "10.99.1.1", "10.99.1.2"
"""The server's, and the hosts', in the network that they share."""
HOSTS = 3
LOSSY = ["qdisc", "add", "dev", "here", "root", "netem", "delay", "10ms", "5ms", "loss", "2%"]
"""Arguments of ``tc``. Where the kernel has no netem, the network is only parted."""
PING_S = 0.2
"""Seconds between two pings, of either end."""


@pytest.mark.timeout(4 * START_S)
def test_200_programs_of_20_sessions_call_at_most_once_when_the_network_is_lossy_and_parted() -> None:
    if shutil.which("ip") is None or subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        pytest.skip("This machine lets nobody make networks of their own (unshare -rn, ip).")
    command = ["unshare", "-rn", sys.executable, "-m", MODULE]
    here = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=3 * START_S)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) <= HOSTS * CAPACITY


def ip(*command: str) -> None:
    subprocess.run(["ip", *command], check=True)


def in_networks() -> None:
    """Run in a network of its own: a server and its clients, and next to it a second network with hosts."""
    ip("link", "set", "lo", "up")
    inside = ["unshare", "-n", sys.executable, "-m", MODULE, "hosts"]
    with subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdout.readline()  # it is in its network
        ip("link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(child.pid))
        ip("addr", "add", f"{ADDRESS}/24", "dev", "here")
        ip("link", "set", "here", "up")
        if shutil.which("tc") is not None:
            subprocess.run(["tc", *LOSSY], capture_output=True)
        options = ("--Pctx.sandboxes=hosts", f"--Pctx.ping_s={PING_S}", f"--Pctx.max_queue_s={8 * SOON}")
        with server_process(*options, "--Pctx.typecheck=False", ip="0.0.0.0") as server:
            token = mint_token(server.folder / "data" / "pctx" / "sandbox-token")
            child.stdin.write(json.dumps({"url": server.url.replace("127.0.0.1", ADDRESS), "token": token}) + "\n")
            child.stdin.flush()
            sys.stdout.write(f"{asyncio.run(parted_once(server))}\n")


async def parted_once(server: ServerProcess) -> int:
    """Run the programs, and part the network meanwhile; returns how many were lost.

    The network is there again once the server has given all hosts up.
    """
    parting: list[asyncio.Task[None]] = []

    async def part() -> None:
        ip("link", "set", "here", "down")
        await hosts(server, 0)
        ip("link", "set", "here", "up")

    def called(calls: int) -> None:
        if calls == 40:
            parting.append(asyncio.create_task(part()))

    await hosts(server, HOSTS)
    lost = await call_once_each(server.url, server.headers, called)
    await parting[0]
    await hosts(server, HOSTS)
    return lost


async def hosts(server: ServerProcess, number: int) -> None:
    """Wait until the server has so many hosts."""
    async with asyncio.timeout(START_S):
        while len((await asyncio.to_thread(server.ask, "GET", "pctx/api/status"))["sandbox"]["hosts"]) != number:
            await asyncio.sleep(0.05)


async def in_other_network() -> None:
    """Wait for the address of a server, and serve as its hosts until this process is told to end."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    given = json.loads(await asyncio.to_thread(sys.stdin.readline))
    ip("addr", "add", f"{THERE}/24", "dev", "there")
    ip("link", "set", "there", "up")
    socket.PING_S = PING_S
    async with hosts_at(given["token"], *[given["url"]] * HOSTS):
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(in_other_network())
    else:
        in_networks()
