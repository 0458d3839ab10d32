"""The server's end of a sandbox host's WebSocket. Only the token of sandbox hosts opens it."""

from __future__ import annotations

import logging

from .. import errors
from ..engine import Engine
from ..hosts.messages import TOKEN_HEADER, frame_bytes
from ..hosts.remote import RemoteHost
from ..hosts.tokens import is_token, mint_token, read_token, token_file
from ..rpc.channel import Channel
from .base import RUNNING
from .socket import LocalToolsSocket, largest_frame

log = logging.getLogger(__name__)


def start_hosts(engine: Engine, url: str) -> None:
    """Have a Dask cluster start sandbox hosts, if that is configured; a warning says why no host can connect.

    Args:
        engine: The server's.
        url: The base URL of the server, as workers reach it.
    """
    fleet, settings = engine.hosts, engine.settings
    if fleet is None:
        return
    file = token_file(settings)
    if settings.sandboxes == "hosts":
        if read_token(file) is None:
            log.warning(
                "sandbox hosts = none can connect: %s has no token; jupyter pctx sandbox-token writes one", file
            )
        return
    if not settings.dask_scheduler:
        fleet.note("c.Pctx.dask_scheduler is empty; it must name the scheduler of a Dask cluster")
        return
    try:
        from ..hosts.dask import keep_hosts

        token = read_token(file) or mint_token(file)
    except ImportError:
        fleet.note("Dask is not installed; pip install 'pctx-jupyter[dask]'")
    except errors.CannotWrite as error:
        fleet.note(error.message)
    else:
        fleet.keep(keep_hosts(settings.dask_scheduler, url, token, fleet.note))


class HostSocket(LocalToolsSocket):
    """``/pctx/sandboxes``: one sandbox host. It gets programs and opens no session."""

    @property
    def max_message_size(self) -> int:
        """Bytes of a frame that is read; a host that sends a longer one is disconnected before it has arrived."""
        return largest_frame(frame_bytes(self.settings[RUNNING].settings))

    async def admit_client(self) -> bool:
        """Let every host in whose token was accepted; the first message says whether it can be used."""
        return True

    def open_channel(self) -> Channel:
        """Open the server's end of the conversation with this host."""
        fleet = self._engine.hosts
        if fleet is None:
            return RemoteHost(self._send, self._engine.settings, _refuse).channel
        token, file = self.request.headers[TOKEN_HEADER], token_file(self._engine.settings)
        return fleet.greet(self._send, lambda: is_token(token, file), self.room).channel


def _refuse(host: RemoteHost) -> None:
    raise errors.Forbidden(
        "Cannot connect: this server runs programs on its own machine; set c.Pctx.sandboxes = 'hosts' there"
    )
