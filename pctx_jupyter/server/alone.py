"""A Jupyter server for pctx alone: no browser, no other extension, and a second port if one is asked for."""

from __future__ import annotations

import sys

from jupyter_server.serverapp import ServerApp
from tornado.httpserver import HTTPServer

from .._version import __version__
from .base import RUNNING

PORT = 8080
"""The port it listens at by default; the same as that of pctx's own server."""


def run(argv: list[str], ws_port: int | None = None) -> None:
    """Start a server and run it until it is stopped.

    Args:
        argv: Options of Jupyter Server, and of ours.
        ws_port: A second port for the same routes; some clients look for the WebSocket at a port of its own.

    Raises:
        OSError: The second port cannot be had.
    """
    # Defaults, which configuration and options override. There is no person to confirm that it shall stop.
    server = ServerApp.instance(port=PORT, open_browser=False, answer_yes=True)
    only_ours = "--ServerApp.jpserver_extensions=pctx_jupyter=True"
    server.initialize(argv=[only_ours, *argv], find_extensions=False)
    second = _listen(server, ws_port) if ws_port is not None else None
    server.io_loop.add_callback(_greet, server, ws_port)
    try:
        server.start()
    finally:
        if second is not None:
            second.stop()


def _listen(server: ServerApp, port: int) -> HTTPServer:
    """Open a second port for the server's application, with its certificate."""
    first = server.http_server
    second = HTTPServer(
        server.web_app,
        ssl_options=first.ssl_options,
        xheaders=first.xheaders,
        max_body_size=server.max_body_size,
        max_buffer_size=server.max_buffer_size,
    )
    second.listen(port, server.ip)
    return second


def _greet(server: ServerApp, ws_port: int | None) -> None:
    """Print the address and the next steps; the server listens by now."""
    base = server.connection_url
    settings = server.web_app.settings[RUNNING].settings
    socket = base.replace("http", "ws", 1)
    if ws_port is not None:
        socket = socket.replace(f":{server.port}/", f":{ws_port}/", 1)
    sys.stdout.write(
        f"pctx {__version__}\n"
        f"  MCP        {base}{settings.mcp_path or 'pctx/mcp'}\n"
        f"  WebSocket  {socket}local-tools\n"
        f"  REST       {base}pctx/\n"
        f"Configure a client:  jupyter pctx client-config claude-code --port {server.port}\n"
        "Its token:           jupyter server list\n"
        "Stop it:             Ctrl-C\n"
    )
    sys.stdout.flush()
