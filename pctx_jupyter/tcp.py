"""TCP's own keep-alive: the system notices that the other end, or the network between, is gone."""

from __future__ import annotations

import socket
from contextlib import suppress

KEEP_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Options of the TCP socket: seconds of silence before the system probes the other end, seconds between two probes,
probes in vain. While nothing is owed, these alone notice that the network is gone. A proxy does not count them."""


def keep_alive(found: socket.socket | None) -> None:
    """Have the system probe the other end of a connection; does nothing for one without a socket, or not of TCP."""
    if found is None:
        return
    with suppress(OSError, AttributeError):  # what a system does not have, it does without
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE.items():
            if (option := getattr(socket, name, None)) is not None:
                found.setsockopt(socket.IPPROTO_TCP, option, value)
