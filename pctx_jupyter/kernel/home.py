"""Where this kernel's programs run: on the Jupyter server that started it if that has our extension, otherwise here.

In both cases it is one client in front of one engine, with the same messages. This module does not know threads
and cells. Heavy modules are imported only when a home is opened, on the bridge's thread.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from .. import errors
from ..rpc.backoff import BackOff
from ..rpc.environment import (
    BEHIND_GATEWAY,
    GATEWAY_TOKEN,
    GATEWAY_URL,
    PIPE,
    TOKEN,
    TOKEN_HEADER,
    URL,
    without_secrets,
)
from ..rpc.jsonrpc import Json
from ..settings import Settings, usual_places

if TYPE_CHECKING:
    from ..client.raw import RawClient
    from ..rpc.channel import Channel, OnNotification, Serve
    from ..session.approvals import Approvals

log = logging.getLogger(__name__)

OPEN_S = 5.0
"""Seconds in which a server answers the handshake of a WebSocket, and in which a lost connection is open again. This is
short since a cell waits meanwhile, and programs return to a server that answers later."""

RETURN_S = (2.0, 60.0)
"""Seconds between attempts to return to a server that was not reached: the first wait, and the longest."""


@dataclass(frozen=True, slots=True)
class Home:
    """An open home.

    Args:
        client: The session of this kernel.
        kind: Where its engine is, for people: ``Jupyter server`` or ``embedded``.
        why: The reason for this choice, in one sentence.
        url: The server's address; None when embedded.
        is_second_choice: Whether a server was expected but not reached: then `why` is shown without being asked for.
        status: Returns the state of an embedded engine.
        approvals: The calls that wait for consent on an embedded engine; None: on a server, they are answered
            elsewhere.
    """

    client: RawClient
    kind: str
    why: str
    url: str | None = None
    is_second_choice: bool = False
    status: Callable[[], dict[str, Json]] | None = None
    approvals: Approvals | None = None
    reach_server: Callable[[], Awaitable[bool]] | None = None
    """Waits until the server that was not reached lets this kernel in; returns False once it refuses. None: no server
    was expected, or it has refused."""


@asynccontextmanager
async def open_home(environment: Mapping[str, str], settings: Settings) -> AsyncIterator[Home]:
    """Connect to the server that the environment names, or open an engine here; close it on the way out.

    If the server cannot be reached, does not answer at once, or refuses this kernel, the engine is embedded, and
    `Home.why` says why. A server that did not answer may be reached later (`Home.reach_server`).

    Args:
        environment: Of this process.
        settings: Of an embedded engine; a server has its own.
    """
    reach_server = None
    async with AsyncExitStack() as stack:
        place = _ServerPlace.of(environment)
        if place.url:
            try:
                home = await stack.enter_async_context(_at_server(place))
            except errors.PctxError as error:
                log.info("home = not at the server: %s", error)
                why = _refused(error) or _unreachable(error)
                reach_server = None if _is_refusal(error) else partial(_reach, place)
            else:
                yield home
                return
        elif place.is_behind_gateway:
            why = (
                f"a gateway started this kernel, and no Jupyter server with pctx-jupyter gave it an address "
                f"({GATEWAY_URL} is not set); c.Pctx.kernel_url of the notebook's server sets the address"
            )
        else:
            why = f"no Jupyter server with pctx-jupyter started this kernel ({URL} is not set)"
        home = await stack.enter_async_context(_embedded(settings, why, is_second_choice=bool(place.url)))
        yield replace(home, reach_server=reach_server)


@dataclass(frozen=True, slots=True)
class _ServerPlace:
    """What the environment says of this kernel's server.

    Args:
        url: Its address; empty: there is none.
        token: What opens it for this kernel.
        pipe: The path of its Unix socket.
        is_behind_gateway: Whether a gateway started this kernel.
        why: Why this server is the right one.
    """

    url: str
    token: str
    pipe: str
    is_behind_gateway: bool
    why: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> _ServerPlace:
        """Read the environment: what came through a gateway counts before what the gateway itself says."""
        if url := environment.get(GATEWAY_URL, ""):
            why = "it is the server of this notebook, and has a gateway start its kernels"
            return cls(url, environment.get(GATEWAY_TOKEN, ""), "", True, why)
        why = "it started this kernel and has pctx-jupyter enabled"
        url, token, pipe = (environment.get(name, "") for name in (URL, TOKEN, PIPE))
        return cls(url, token, pipe, BEHIND_GATEWAY in environment, why)


def _is_refusal(error: errors.PctxError) -> bool:
    """Whether the server was reached and has refused this kernel: it does so again."""
    return isinstance(error, errors.CannotConnect) and error.http_status is not None


async def _reach(place: _ServerPlace) -> bool:
    """Try to connect to a server, less and less often, until it lets this kernel in or refuses it."""
    back_off = BackOff(*RETURN_S)
    while True:
        await asyncio.sleep(back_off.next_s())
        try:
            async with _at_server(place):
                return True
        except errors.PctxError as error:
            log.info("home = cannot return to the server: %s", error)
            if _is_refusal(error):
                return False


def _unreachable(error: errors.PctxError) -> str:
    """The reason to show if no server, or another one, answered at the address."""
    if not isinstance(error, errors.CannotConnect):
        return error.message
    if error.is_silent:
        return f"{error.message} (programs run at the server again once it answers)"
    if error.http_status not in (None, HTTPStatus.NOT_FOUND):
        return error.message
    end = "" if error.message.endswith("?") else "."
    way_out = "For a kernel in a container or on another host, c.Pctx.kernel_url of that server sets its address"
    return f"{error.message}{end} {way_out}"


def _refused(error: errors.PctxError) -> str | None:
    """The reason to show if the server refused this kernel's token; None: the error is another one."""
    if isinstance(error, errors.CannotConnect) and error.http_status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return (
            f"the Jupyter server refused this kernel's own token ({error.http_status}): it was restarted, or is "
            "another one; restart the kernel to connect to it"
        )
    return None


@asynccontextmanager
async def _at_server(place: _ServerPlace) -> AsyncIterator[Home]:
    from ..client import pipe, socket
    from ..client.raw import RawClient

    token, path = place.token, place.pipe
    base = re.split("[?#]", place.url)[0].rstrip("/")
    address, most = f"{base}/pctx/local-tools", Settings().max_message_bytes

    async def connect(serve: Serve, on_notification: OnNotification) -> Channel:
        if path:
            try:
                return await pipe.connect(path, token, serve, on_notification, most)
            except errors.CannotConnect as error:  # for example in a container, which has other files than the server
                if error.is_silent:
                    raise
                log.info("home = takes the WebSocket: %s", error)
        headers = {TOKEN_HEADER: token}
        return await socket.connect(address, headers, serve, on_notification, most, open_s=OPEN_S)

    async with RawClient(address, connect=connect, patience_s=OPEN_S) as client:
        yield Home(client, "Jupyter server", place.why, without_secrets(base))


@asynccontextmanager
async def _embedded(settings: Settings, why: str, *, is_second_choice: bool) -> AsyncIterator[Home]:
    async with AsyncExitStack() as stack:
        try:
            from ..opening import open_at_once

            engine = await stack.enter_async_context(open_at_once(settings, usual_places(str(Path.cwd()))))
        except ModuleNotFoundError as error:
            raise errors.SandboxUnavailable(
                f"Cannot run programs here: {why}, and this environment has the kernel's part of pctx-jupyter only (no "
                f"{error.name}); pip install pctx-jupyter adds the rest"
            ) from None

        from ..client.raw import RawClient  # after what the engine's type checker needs for its start

        async def connect(serve: Serve, on_notification: OnNotification) -> Channel:
            return engine.connect(serve=serve, on_notification=on_notification, gives_up=True)

        async with RawClient(connect=connect, reconnect=False) as client:
            yield Home(
                client,
                "embedded",
                why,
                is_second_choice=is_second_choice,
                status=engine.status,
                approvals=engine.registry.approvals,
            )
