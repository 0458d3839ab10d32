"""Starts sandbox hosts on the workers of a Dask cluster. Dask starts and counts them; programs do not pass through it.

A plugin starts one host beside each worker, in the worker's nanny: a worker that computes would delay a host in its
process. The host dials in to the engine like any other. Hosts of workers that join later start by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
from collections.abc import Callable
from typing import Any

from distributed import Client, Security
from distributed.diagnostics.plugin import NannyPlugin

from ..rpc.backoff import BackOff
from .tokens import TOKEN_VARIABLE

log = logging.getLogger(__name__)

CONNECT_S = 10.0
"""Seconds the scheduler may take to answer."""

WATCH_S = 2.0
"""Seconds between two checks whether the scheduler is still there."""

GIVE_UP_S = 600
"""Seconds without an engine after which a host ends: an engine that was killed cannot end its hosts."""

STOP_S = 5.0
"""Seconds a host may take to end once its input is closed; then it is killed."""


class SandboxPlugin(NannyPlugin):
    """Starts one sandbox host in each nanny. It is pickled by reference: workers need this package, too.

    Args:
        url: The base URL of the server, as workers reach it.
        token: The token of sandbox hosts.
    """

    restart = False

    def __init__(self, url: str, token: str) -> None:
        self.name = f"pctx-sandboxes-{secrets.token_hex(4)}"
        self._url, self._token = url, token
        self._process: asyncio.subprocess.Process | None = None

    async def setup(self, nanny: Any) -> None:
        """Start the host. It ends with the nanny: its standard input is closed then."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pctx_jupyter", "sandbox-host", "--url", self._url, "--until-eof"),
            *("--sandboxes", str(max(1, int(nanny.nthreads or 1))), "--give-up", str(GIVE_UP_S)),
            stdin=asyncio.subprocess.PIPE,
            env=os.environ | {TOKEN_VARIABLE: self._token},
        )

    async def teardown(self, nanny: Any) -> None:
        """End the host."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def keep_hosts(address: str, url: str, token: str, note: Callable[[str | None], None]) -> None:
    """Keep sandbox hosts on the workers of a cluster until this is cancelled; then end them.

    Args:
        address: The scheduler's, ``tls://host:8786``. With ``tls``, the certificates are those of Dask's configuration.
        url: The base URL of the server, as workers reach it.
        token: The token of sandbox hosts.
        note: Receives what is wrong; None: nothing.
    """
    rests = BackOff(1.0, 30.0)
    security = Security(require_encryption=True) if address.startswith("tls") else None  # type: ignore[no-untyped-call]
    while True:
        try:
            async with Client(  # type: ignore[no-untyped-call]
                address, asynchronous=True, security=security, set_as_default=False, timeout=CONNECT_S
            ) as client:
                plugin = SandboxPlugin(url, token)
                await client.register_plugin(plugin)
                log.info("sandbox hosts = started by the Dask cluster at %s", address)
                note(None)
                rests.reset()
                try:
                    while client.status == "running":  # noqa: ASYNC110 (Dask notifies nobody)
                        await asyncio.sleep(WATCH_S)
                finally:
                    if client.status == "running":
                        await client.unregister_worker_plugin(plugin.name, nanny=True)
            why = "the connection was lost"
        except (OSError, TimeoutError, ValueError) as error:
            why = str(error) or type(error).__name__
        note(f"the Dask scheduler at {address} cannot be reached: {why[:200]}")
        await asyncio.sleep(rests.next_s())
