"""Ways to the network that lead through Deno's own modules. Real: Deno without the second layer, and who listens.

Deno links some modules by their raw name, before it asks the import map: a static import in a module made of text gets
them. So Deno's permissions alone have to hold here, and the second layer does not know of all of these ways.
"""

from __future__ import annotations

import re
import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.sandbox.driver import COMMAND, converse

LOAD = 'const load = (name) => import("data:text/javascript,export * from " + JSON.stringify(name));\n'
BINDING = LOAD + 'const { getBinding } = await load("ext:deno_node/internal_binding/mod.ts");\n'
SOCKET = "const done = (make) => new Promise((ok, no) => { const it = make(); it.onopen = ok; it.onerror = no });\n"

WAYS = {
    "TCP": BINDING
    + "const { TCP, TCPConnectWrap } = getBinding('tcp_wrap');\n"
    + "await new Promise((ok) => { const asked = new TCPConnectWrap(); asked.oncomplete = ok;\n"
    + "  new TCP(0).connect(asked, '127.0.0.1', PORT) })",
    "TCP, listening": BINDING + "new (getBinding('tcp_wrap').TCP)(1).bind('127.0.0.1', 0)",
    "Unix socket": BINDING
    + "const { Pipe, PipeConnectWrap } = getBinding('pipe_wrap');\n"
    + "await new Promise((ok) => { const asked = new PipeConnectWrap(); asked.oncomplete = ok;\n"
    + "  new Pipe(0).connect(asked, 'PATH') })",
    "Unix socket, listening": BINDING + "new (getBinding('pipe_wrap').Pipe)(1).bind('PATH.new')",
    "names": BINDING
    + "const { GetAddrInfoReqWrap, getnameinfo } = getBinding('cares_wrap');\n"
    + "throw (await new Promise((ok) => { const asked = new GetAddrInfoReqWrap();\n"
    + "  asked.oncomplete = (error) => ok(error); getnameinfo(asked, '127.0.0.1', 80) })).name",
    "WebSocket": LOAD
    + SOCKET
    + "const { WebSocket } = await load('ext:deno_websocket/01_websocket.js');\n"
    + "await done(() => new WebSocket('ws://127.0.0.1:PORT/'))",
    "WebSocketStream": LOAD
    + "const { WebSocketStream } = await load('ext:deno_websocket/02_websocketstream.js');\n"
    + "await new WebSocketStream('ws://127.0.0.1:PORT/').opened",
    "QUIC": LOAD
    + "const { connectQuic } = await load('ext:deno_net/03_quic.js');\n"
    + "await connectQuic({ hostname: '127.0.0.1', port: PORT, alpnProtocols: ['h3'] })",
    "QUIC, listening": LOAD
    + "const { QuicEndpoint } = await load('ext:deno_net/03_quic.js');\n"
    + "new QuicEndpoint({ hostname: '127.0.0.1', port: 0 })",
    "WebTransport": LOAD
    + "const { WebTransport } = await load('ext:deno_web/webtransport.js');\n"
    + "await new WebTransport('https://127.0.0.1:PORT/').ready",
}
"""Programs, by what they try; PORT and PATH are where somebody listens."""


class Ears:
    """Listens for TCP and UDP on one port, and on a Unix socket."""

    def __init__(self, path: Path) -> None:
        self._open = ExitStack()
        self.path = path
        self._selector = self._open.enter_context(selectors.DefaultSelector())
        tcp = self._open.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port: int = tcp.getsockname()[1]
        udp = self._open.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", self.port))
        unix = self._open.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(path))
        unix.listen()
        for ear, name in ((tcp, "TCP"), (udp, "UDP"), (unix, "Unix socket")):
            self._selector.register(ear, selectors.EVENT_READ, name)

    def heard(self) -> list[str]:
        """On which of them somebody has knocked."""
        return [key.data for key, _ in self._selector.select(0)]

    def close(self) -> None:
        self._open.close()


@pytest.fixture
def ears(tmp_path: Path) -> Iterator[Ears]:
    ears = Ears(tmp_path / "socket")
    yield ears
    ears.close()


def aimed(code: str, ears: Ears) -> str:
    """A program with its targets filled in."""
    return code.replace("PORT", str(ears.port)).replace("PATH", str(ears.path))


@pytest.mark.parametrize("way", WAYS)
def test_a_module_of_denos_own_reaches_nobody(way: str, ears: Ears) -> None:
    said = converse(aimed(WAYS[way], ears)).said
    assert re.search(r"Requires (net|read) access|NotCapable", str(said[-1])), said
    assert ears.heard() == []
    assert not ears.path.with_name("socket.new").exists()


@pytest.mark.parametrize("way", ["TCP", "Unix socket"])
def test_the_same_program_with_permissions_is_heard(way: str, ears: Ears) -> None:
    # Known to be bad: were it not heard, silence above would prove nothing.
    command = [*COMMAND[:2], "--allow-all", *COMMAND[2:]]
    converse(aimed(WAYS[way], ears), command=command)
    assert ears.heard() == [way]
