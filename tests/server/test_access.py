"""Who may do what: every cell of the table in `access`, tried on a real server.

Requests are bytes on a socket, so that each header is just what a line here says. All is real but `Watched`, which
passes on what reaches the MCP servers, and notes it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tornado.web import RequestHandler
from websockets.asyncio.client import connect

from pctx_jupyter import errors
from pctx_jupyter.hosts.messages import TOKEN_HEADER as HOST_TOKEN_HEADER
from pctx_jupyter.rpc import wire
from pctx_jupyter.rpc.environment import TOKEN_HEADER
from pctx_jupyter.server.app import HANDLERS
from pctx_jupyter.server.base import NAMES
from pctx_jupyter.server.kernels import KernelTokens
from pctx_jupyter.server.pipes import KernelPipes
from pctx_jupyter.server.running import RunningEngine
from pctx_jupyter.session import access, local_tools, serve_upstreams
from pctx_jupyter.session.access import Caller, Code, Route
from tests.fakes import SOON

from .authorizer import Whim
from .conftest import Headers
from .test_kernel_pipe import bare
from .wires import eventually, open_wire

KERNEL, TOKEN, HOST_TOKEN = "a-kernel", "its-own-token", "the-token-of-sandbox-hosts"
ACTIONS = ("read", "write", "execute")
FOREIGN = "https://evil.example"


@pytest.fixture
def jp_server_config(jp_server_config: Any, request: pytest.FixtureRequest) -> Any:
    Whim.denied = set()
    is_open = "is_open_by_default" in request.fixturenames and request.getfixturevalue("is_open_by_default")
    jp_server_config["ServerApp"] |= {"authorizer_class": Whim, "allow_unauthenticated_access": is_open}
    return jp_server_config


class Watched:
    """The MCP servers of an engine; `acts` are the names of what was asked of them that changes something."""

    def __init__(self, upstreams: Any) -> None:
        self._upstreams = upstreams
        self.acts: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name in ("add", "remove", "reconnect", "approve", "trust", "ask_again", "sign_in", "finish_sign_in"):
            self.acts.append(name)
        return getattr(self._upstreams, name)


@dataclass
class World:
    """One server with something that each route could change, and how to ask it."""

    port: int
    base: str
    token: str
    running: RunningEngine
    kernels: KernelTokens
    servers: Watched
    files: list[Path]
    cookie: str = ""
    xsrf: str = ""
    question: str = ""
    execution: str = ""

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    async def ask(self, method: str, path: str, headers: Headers, body: str = "", *, is_socket: bool = False) -> int:
        """Send one request, and nothing that is not said; returns the status, and leaves."""
        sent = {"Host": self.host, "Content-Length": str(len(body.encode())), **headers}
        if is_socket:
            sent |= {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
            sent["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
        lines = [
            f"{method} {self.base}{path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in sent.items()),
            "",
            body,
        ]
        async with asyncio.timeout(SOON):
            reader, writer = await asyncio.open_connection("localhost", self.port)
            try:
                writer.write("\r\n".join(lines).encode())
                return int((await reader.readline()).split()[1])
            finally:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()

    def state(self) -> tuple[object, ...]:
        """What a request could have changed."""
        engine = self.running.engine
        assert engine is not None
        registry = engine.registry
        return (
            list(self.servers.acts),
            [(one.name, one.state == "untrusted") for one in self.servers.listed().upstreams],
            [file.read_text() if file.exists() else None for file in self.files],
            registry.sharing_of(KERNEL),
            [question.id for question in registry.approvals.questions()],
            [execution.key for execution in registry.executions()],
            len(registry),
        )


OpenWorld = Callable[[], AbstractAsyncContextManager[World]]


@pytest.fixture
def open_world(
    jp_serverapp: Any,
    http_server: Any,
    jp_http_port: int,
    jp_base_url: str,
    jp_root_dir: Path,
    jp_config_dir: Path,
    jp_data_dir: Path,
    running: RunningEngine,
    kernels: KernelTokens,
    jp_fetch: Any,
    url: str,
) -> OpenWorld:
    """A server with a kernel, an MCP server, one that nobody trusts, and a program that waits for consent."""

    @asynccontextmanager
    async def world() -> AsyncIterator[World]:
        untrusted = {"name": "untrusted", "command": "/bin/sh", "args": ["-c", f"touch {jp_root_dir}/started"]}
        (jp_root_dir / "pctx.json").write_text(json.dumps({"servers": [untrusted]}))
        (jp_config_dir / "pctx.json").write_text('{"servers": [{"name": "known", "url": "http://127.0.0.1:9/mcp"}]}')
        (jp_data_dir / "pctx").mkdir(parents=True, exist_ok=True)
        (jp_data_dir / "pctx" / "sandbox-token").write_text(HOST_TOKEN)
        kernels._tokens[KERNEL] = TOKEN
        kernels._starting.add(KERNEL)
        engine = await running.get()
        real = engine.upstreams
        assert real is not None
        await real.settle("Known")
        servers: Any = Watched(real)
        engine.upstreams = engine.registry.servers = servers
        files = [
            jp_config_dir / "pctx.json",
            *(jp_data_dir / "pctx" / name for name in ("trust.json", "approved.json")),
        ]
        it = World(jp_http_port, jp_base_url, jp_serverapp.identity_provider.token, running, kernels, servers, files)
        signed_in = await jp_fetch("pctx", "health", headers={"Host": it.host})
        it.cookie = signed_in.headers["Set-Cookie"].split(";")[0]
        page = await jp_fetch("login", headers={"Host": it.host, "Authorization": ""})
        it.xsrf = next(one for one in page.headers.get_list("Set-Cookie") if one.startswith("_xsrf")).split(";")[0]
        front_end = connect(url + "pctx/api/changes", additional_headers=_token()(it), proxy=None, max_queue=None)
        async with front_end, open_wire(url + "local-tools", {TOKEN_HEADER: TOKEN}) as kernel:
            await kernel.offer("notebook.remove_all", effects=True)
            name = engine.registry.name_of(KERNEL)  # which its later connections give it again
            async with open_wire(url + "pctx/agents", _token()(it)) as agent:
                for id in (1, 2):
                    await agent.say(id=id, method="execute", params={"code": f"await {name}.removeAll({{}})"})
                await eventually(lambda: len(engine.registry.approvals.questions()) == 2)
                questions = engine.registry.approvals.questions()
                it.question, it.execution = questions[0].id, questions[1].execution
                yield it
                Whim.denied = set()
        engine.upstreams = engine.registry.servers = real

    return world


# routes

BODIES: dict[tuple[str, str], Any] = {
    ("mcp", "POST"): {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
    ("pctx/mcp", "POST"): {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
    ("pctx/api/format", "POST"): {"source": "1"},
    ("pctx/api/kernels/{kernel_id}/sharing", "PUT"): {"to": "everyone"},
    ("pctx/api/approvals/{id}", "POST"): {"decision": "deny"},
    ("pctx/api/approvals/{id}/check", "POST"): {"arguments": {}},
    ("pctx/api/upstream-test", "POST"): {"server": {"name": "new", "url": "http://127.0.0.1:9/mcp"}},
    ("pctx/api/upstreams", "POST"): {"server": {"name": "new", "url": "http://127.0.0.1:9/mcp"}},
}
"""What is sent along, where something is; else an empty object."""

OF_A_SESSION = (
    *(f"code-mode/{path}" for path in ("session/close", "functions/list", "functions/details", "execute-bash")),
    *("register/tools", "register/servers"),
)
"""Routes below ``pctx/`` that take the id of a session, which no request of this table has."""

DONE = {
    ("pctx/api/upstreams", "POST"): 201,
    ("pctx/oauth/callback", "GET"): 400,  # no sign-in is under way
    ("pctx/api/permissions/{id}", "DELETE"): 404,  # nobody has allowed anything for good
    ("pctx/api/kernels/{kernel_id}/handles/{id}", "DELETE"): 404,  # the kernel holds nothing
    **{(path, method): 400 for path in ("mcp", "pctx/mcp") for method in ("GET", "DELETE")},  # no such session
    **{(f"pctx/{path}", "POST"): 404 for path in OF_A_SESSION},  # no session is named
    ("pctx/ws", "GET"): 404,
    # That is enough: the type checker takes long to start.
    **{(f"pctx/api/{asked}", "POST"): 400 for asked in ("complete", "hover", "signature", "diagnostics")},
}
"""The status of what a user asks for, where it is not 200."""

FAILS = ("pctx/api/upstreams/{name}/sign-in", "POST")
"""What fails all the same, because nothing listens there."""


@dataclass(frozen=True)
class Cell:
    """One way to ask, and whether a row of the table lets it in."""

    name: str
    headers: Callable[[World], Headers]
    lets_in: Callable[[Route], bool]
    denied: Callable[[Route], set[tuple[str, str]]] = lambda route: set()
    query: Callable[[World], str] = lambda world: ""


def _changes(route: Route) -> bool:
    return route.method != "GET"


def _token(**more: str) -> Callable[[World], Headers]:
    return lambda world: {"Authorization": f"token {world.token}", **more}


def _kernel(**more: str) -> Callable[[World], Headers]:
    return lambda world: {TOKEN_HEADER: TOKEN, **more}


def _page(origin: str | None = "own", *, xsrf: bool = True, **more: str) -> Callable[[World], Headers]:
    """A page of a browser that has the cookie of this server."""

    def headers(world: World) -> Headers:
        sent = {"Cookie": f"{world.cookie}; {world.xsrf}", **more}
        if origin is not None:
            sent["Origin"] = f"http://{world.host}" if origin == "own" else origin
        if xsrf:
            sent["X-XSRFToken"] = world.xsrf.partition("=")[2]
        return sent

    return headers


def _never(route: Route) -> bool:
    return False


def _always(route: Route) -> bool:
    return True


def _host(**more: str) -> Callable[[World], Headers]:
    return lambda world: {HOST_TOKEN_HEADER: HOST_TOKEN, **more}


def _host_route(route: Route) -> bool:
    return route.host


def _callback(route: Route) -> bool:
    return route.is_for_any_origin


def _without(action: str) -> Cell:
    return Cell(
        f"a user who may not {action}", _token(), lambda route: route.action != action, lambda _: {(action, "pctx")}
    )


EVERYTHING = {(action, resource) for action in ACTIONS for resource in ("pctx", "kernels")}

USER = Cell("a user", _token(), _always)
HOST = Cell("a sandbox host", _host(), _host_route, lambda _: EVERYTHING)

CELLS = [
    USER,
    HOST,
    Cell("a sandbox host, with an origin", _host(Origin="null"), _never),
    Cell("a sandbox host, by a foreign host", _host(Host="rebound.example"), _never),
    Cell("the token of sandbox hosts as the server's", lambda world: {"Authorization": f"token {HOST_TOKEN}"}, _never),
    Cell("the token of sandbox hosts as a kernel's", lambda world: {TOKEN_HEADER: HOST_TOKEN}, _never),
    Cell("the server's token as that of sandbox hosts", lambda world: {HOST_TOKEN_HEADER: world.token}, _never),
    Cell("nobody", lambda world: {}, _never),
    Cell("a wrong token", lambda world: {"Authorization": "token wrong"}, _never),
    Cell("a wrong token in the query", lambda world: {}, _never, query=lambda world: "?token=wrong"),
    Cell("a wrong kernel's token", lambda world: {TOKEN_HEADER: "wrong"}, _never),
    Cell("the server's token as a kernel's", lambda world: {TOKEN_HEADER: world.token}, _never),
    Cell("a kernel's token as the server's", lambda world: {"Authorization": f"token {TOKEN}"}, _never),
    Cell("a page of elsewhere with the cookie", _page(FOREIGN), _callback),
    Cell("a page of no origin with the cookie", _page("null"), _callback),
    Cell("a page with an empty origin and the cookie", _page(""), _callback),
    Cell("a cookie without an origin", _page(None), _callback),
    Cell("a link of elsewhere with the cookie", _page(None, **{"Sec-Fetch-Site": "cross-site"}), _callback),
    Cell(
        "a page of this server, as browsers send its own requests",
        _page(None, **{"Sec-Fetch-Site": "same-origin"}),
        lambda route: not route.is_socket,
    ),
    Cell("a page without XSRF", _page(xsrf=False), lambda route: not _changes(route)),
    Cell("a page with a wrong XSRF", _page(xsrf=False, **{"X-XSRFToken": "x"}), lambda route: not _changes(route)),
    Cell("a page with a wrong cookie", _page(Cookie="username-localhost=2|1:0|10:1|5:x|4:eA==|00"), _never),
    *(
        Cell(f"the token, with the origin {origin!r}", _token(Origin=origin), _callback)
        for origin in (FOREIGN, "", "null", "http://[", "localhost", "//{host}", "http://localhost:1", "file://")
    ),
    Cell("the token, of an old WebSocket from elsewhere", _token(**{"Sec-WebSocket-Origin": FOREIGN}), _callback),
    *(
        Cell(f"the token, by the host {host!r}", _token(Host=host), _never)
        for host in ("rebound.example", "localhost.rebound.example", "10.0.0.1:80", "localhost.:80")
    ),
    *(_without(action) for action in ACTIONS),
    Cell(
        "a user who may not run code",
        _token(),
        lambda route: route.code is not Code.ALWAYS,
        lambda _: {("execute", "kernels")},
    ),
    Cell("a kernel, by a foreign host", _kernel(Host="rebound.example"), _never),
    *(
        Cell(f"a kernel, with the origin {origin!r}", _kernel(Origin=origin), _never)
        for origin in (FOREIGN, "", "null")
    ),
    Cell("a kernel", _kernel(), lambda route: route.kernel),
    Cell("a kernel, whom the authorizer does not know", _kernel(), lambda route: route.kernel, lambda _: EVERYTHING),
    Cell(
        "a kernel with the server's token", lambda world: _token()(world) | _kernel()(world), lambda route: route.kernel
    ),
    Cell("a user with their own origin", lambda world: _token(Origin=f"http://{world.host}")(world), _always),
    Cell("a user with the token in the query", lambda world: {}, _always, query=lambda world: f"?token={world.token}"),
    Cell("a page", _page(), _always),
]


def lets_in(cell: Cell, route: Route) -> bool:
    """Whether a cell is let in; the route of sandbox hosts is for them alone."""
    return cell.lets_in(route) and route.host == (cell is HOST)


async def ask(world: World, route: Route, cell: Cell) -> int:
    """Ask for one route as a cell says; returns the status."""
    Whim.denied = cell.denied(route)
    names = {
        "kernel_id": KERNEL,
        "name": "untrusted" if route.path.endswith("/trust") else "known",
        "id": world.execution if "executions" in route.path else world.question,
    }
    path = re.sub(r"\{(\w+)\}", lambda found: names[found[1]], route.path)
    body = "" if route.method in ("GET", "DELETE") else json.dumps(BODIES.get((route.path, route.method), {}))
    headers = cell.headers(world)
    if route.path in ("mcp", "pctx/mcp"):
        headers |= {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    query = cell.query(world) or ("?kernel_id=a-kernel" if route.path.endswith("declarations") else "")
    return await world.ask(route.method, path + query, headers, body, is_socket=route.is_socket)


async def test_whom_a_row_does_not_let_in_is_refused_and_nothing_changes(
    open_world: OpenWorld, is_open_by_default: bool
) -> None:
    async with open_world() as world:
        before = world.state()
        for route in access.ROUTES.values():
            for cell in CELLS:
                if not lets_in(cell, route):
                    assert await ask(world, route, cell) == 403, (route, cell.name)
                    assert world.state() == before, (route, cell.name)


async def test_whom_a_row_lets_in_is_served(open_world: OpenWorld, is_open_by_default: bool) -> None:
    async with open_world() as world:
        # Routes that remove the MCP server or end the program come late. Sockets come last: a new connection of the
        # kernel ends all questions.
        routes = sorted(
            access.ROUTES.values(),
            key=lambda route: (route.is_socket, _changes(route), route.method == "DELETE", -len(route.path)),
        )
        for route in routes:
            key = (route.path, route.method)
            status = await ask(world, route, HOST if route.host else USER)
            assert key == FAILS or status == DONE.get(key, 101 if route.is_socket else 200), route
            for cell in CELLS:
                if lets_in(cell, route):
                    status = await ask(world, route, cell)
                    is_served = status not in (401, 403, 405) and (status < 500 or key == FAILS)
                    assert is_served, (route, cell.name, status)


@pytest.mark.parametrize("path", access.PATHS)
def test_every_method_of_a_handler_has_a_row(path: str) -> None:
    unserved = RequestHandler._unimplemented_method
    served = {
        name for name in RequestHandler.SUPPORTED_METHODS if getattr(HANDLERS[path], name.lower()) is not unserved
    }
    assert served == {method for known, method in access.ROUTES if known == path}


def test_every_handler_has_a_row() -> None:
    assert HANDLERS.keys() == set(access.PATHS)


async def test_a_method_without_a_row_is_refused(open_world: OpenWorld) -> None:
    async with open_world() as world:
        before = world.state()
        for method in ("HEAD", "OPTIONS", "PATCH", "PUT"):
            for headers, status in ((_token()(world), 405), (_kernel()(world), 405), ({}, 403)):
                assert await world.ask(method, "pctx/api/upstreams", headers) == status, method
        assert world.state() == before


async def test_code_outside_of_a_sandbox_takes_the_right_to_run_kernels(
    open_world: OpenWorld, url: str, tmp_path: Path
) -> None:
    async with open_world() as world:
        shell = f"touch {tmp_path}/started"
        secret = {"type": "bearer", "token": f"${{command:{shell}}}"}
        entries: list[dict[str, Any]] = [
            {"name": "a", "command": "/bin/sh", "args": ["-c", shell]},
            {"name": "b", "command": f"/bin/sh -c '{shell}'"},
            {"name": "c", "command": shell, "url": "http://127.0.0.1:9/mcp"},
            {"name": "d", "url": "http://127.0.0.1:9/mcp?key=${env:HOME}"},
            {"name": "e", "serverUrl": "http://127.0.0.1:9/mcp", "headers": [{"name": "A", "value": "${keychain:a}"}]},
            {"name": "f", "url": "http://127.0.0.1:9/mcp", "auth": secret},
        ]
        Whim.denied = {("execute", "kernels")}
        before = world.state()
        for entry in entries:
            body = json.dumps({"server": entry})
            assert await world.ask("POST", "pctx/api/upstreams", _token()(world), body) == 403, entry
        async with open_wire(url + "local-tools", _token()(world)) as it:
            for entry in entries:
                refused = await it.ask("add_upstream", {"server": entry, "persist": False})
                assert refused["error"]["code"] == errors.Forbidden.code, entry
            refused = await it.ask("register_mcp", {"name": "f", "url": "http://127.0.0.1:9/mcp", "auth": secret})
            assert refused["error"]["code"] == errors.Forbidden.code
            refused = await it.ask("trust_upstream", {"name": "untrusted"})
            assert refused["error"]["code"] == errors.Forbidden.code
            assert world.state()[:-1] == before[:-1] and not (tmp_path / "started").exists()
            added = await it.ask("register_mcp", {"name": "f", "url": "http://127.0.0.1:9/mcp"})
            assert added["result"] == {"success": True}


# methods

OF_USERS = (Caller.USER, Caller.AGENT)

PARAMS: dict[str, Any] = {
    "register_tool": {"namespace": "a", "name": "b"},
    "unregister_tool": {"namespace": "a", "name": "b"},
    "execute": {"code": "1"},
    "forget": {"names": []},
    "forget_types": {"functions": []},
    "get_function_details": {"functions": []},
    "share": {"to": "everyone"},
    "revoke_permission": {"id": "none"},
    "list_agent_functions": {},
    "call_agent_function": {"name": "list_functions"},
    "add_upstream": {"server": {"name": "new", "url": "http://127.0.0.1:9/mcp"}},
    "register_mcp": {"name": "newer", "url": "http://127.0.0.1:9/mcp"},
    "remove_upstream": {"name": "new"},
    "reconnect_upstream": {"name": "known"},
    "approve_upstream": {"name": "known"},
    "trust_upstream": {"name": "known"},
    "ask_again": {"name": "known"},
    "sign_in_upstream": {"name": "known"},
}
"""What succeeds; a method that is not here takes nothing."""

NOTIFICATIONS = {wire.CALL_NOTE, wire.HANDLES_CHANGED}
"""What is no request: it has no answer."""

Ask = Callable[[str, Any], Any]


@asynccontextmanager
async def connected(caller: Caller, world: World, url: str, pipes: KernelPipes) -> AsyncIterator[Ask]:
    """Connect as this caller would; gives a function that returns the code of an error, or 0."""
    if caller is Caller.EMBEDDED:
        engine = world.running.engine
        assert engine is not None
        channel = engine.connect()

        async def ask(method: str, params: Any) -> int:
            try:
                async with asyncio.timeout(SOON):
                    await channel.call(method, params)
            except errors.PctxError as error:
                return error.code
            return 0

        yield ask
        channel.close()
        return
    if caller is Caller.PIPE:
        await pipes.open()
        opened: Any = bare(world.kernels.pipe)
    else:
        path = "pctx/agents" if caller is Caller.AGENT else "local-tools"
        opened = open_wire(url + path, (_token() if caller in OF_USERS else _kernel())(world))
    async with opened as it:

        async def ask_over_it(method: str, params: Any) -> int:
            answer = await it.ask(method, params)
            while "id" not in answer:
                answer = await it.receive()
            return int(answer.get("error", {}).get("code", 0))

        yield ask_over_it
    await pipes.close()


@pytest.fixture
def limits(request: pytest.FixtureRequest) -> dict[str, Any]:
    may_add = "may_add" in request.fixturenames and request.getfixturevalue("may_add")
    return {"kernels_may_add_servers": may_add, "max_approval_s": 600.0, "typecheck": False}


@pytest.mark.parametrize(
    ("caller", "may_add"), [*((caller, False) for caller in Caller), (Caller.KERNEL, True), (Caller.AGENT, True)]
)
async def test_a_caller_may_use_what_its_rows_say(
    open_world: OpenWorld, url: str, jp_serverapp: Any, caller: Caller, may_add: bool
) -> None:
    async with open_world() as world:
        pipes = KernelPipes(world.running, world.kernels, jp_serverapp.web_app.settings[NAMES])
        async with connected(caller, world, url, pipes) as ask:
            before = world.state()
            allowed = []
            for method in access.METHODS.values():
                if access.may_use(method, caller, kernels_may_add_servers=may_add):
                    allowed.append(method.name)
                else:
                    assert await ask(method.name, PARAMS.get(method.name)) == errors.Forbidden.code, method.name
                    assert world.state() == before, method.name
            for name in allowed:
                code = await ask(name, PARAMS.get(name))
                if name == wire.SIGN_IN_UPSTREAM:
                    assert code not in (0, errors.Forbidden.code), "nothing listens there"
                elif name == wire.REVOKE_PERMISSION:
                    assert code == errors.InvalidParams.code, "nobody has allowed anything for good"
                elif name in (wire.COMPLETE, wire.HOVER, wire.SIGNATURE, wire.DIAGNOSTICS):
                    assert code == errors.InvalidParams.code, "that is enough: the type checker takes long to start"
                elif name not in NOTIFICATIONS:
                    assert code == 0, name
            assert await ask("no_such_method", None) == errors.MethodNotFound.code


def test_every_method_that_is_served_has_a_row() -> None:
    source = inspect.getsource(local_tools) + inspect.getsource(serve_upstreams)
    served = {getattr(wire, name) for name in re.findall(r"case wire\.([A-Z_]+)", source)}
    assert served | serve_upstreams.METHODS | NOTIFICATIONS == access.METHODS.keys()


def test_a_kernels_token_changes_no_server_by_itself_and_an_agent_never() -> None:
    changing = serve_upstreams.METHODS - {wire.LIST_UPSTREAMS}
    for name in changing:
        assert Caller.KERNEL not in access.METHODS[name].callers
        assert Caller.AGENT not in access.METHODS[name].callers | access.METHODS[name].by_setting
