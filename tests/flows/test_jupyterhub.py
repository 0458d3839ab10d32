"""On a JupyterHub: a real hub with its real proxy, and a user's server that it starts."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from websockets.asyncio.client import connect

from pctx_jupyter.client import McpClient, PctxClient
from pctx_jupyter.errors import ExecutionError
from tests import node

pytest.importorskip("jupyterhub")

START_S = 90
"""Seconds that a hub, or a user's server, may take to start on a busy machine."""
STOP_S = 20
"""Seconds it may take to stop."""
POLL_S = 0.1
"""Seconds between two looks at whether one has started."""

CONFIG = """
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.bind_url = "http://127.0.0.1:{port}/hubs/"
c.JupyterHub.hub_port = {hub_port}
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.pid_file = "{folder}/proxy.pid"
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/{{username}}"
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root", *{alone!r}]
c.JupyterHub.services = [{{"name": "tests", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [
    {{"name": "tests", "services": ["tests"], "scopes": ["admin:users", "admin:servers", "tokens", "access:servers"]}}
]
"""

CULLING = """
c.JupyterHub.last_activity_interval = 1
c.JupyterHub.activity_resolution = 1
c.Spawner.environment = {{"JUPYTERHUB_ACTIVITY_INTERVAL": "1"}}
c.Spawner.args.append("--Pctx.ping_s=0.5")
c.JupyterHub.services.append({{"name": "culler", "api_token": "{token}"}})
c.JupyterHub.load_roles.append(
    {{
        "name": "culler",
        "services": ["culler"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    }}
)
"""

IDLE_S = 6
"""Seconds without activity after which the culler ends a server; the hub knows of activity after about two."""

ALONE = [f"--ServerApp.jpserver_extensions={name}=False" for name in ("jupyterlab", "jupyter_lsp", "notebook_shim")]


@dataclass(frozen=True, slots=True)
class Hub:
    """A running hub: the address that users know, its folder, and a token that may do anything."""

    url: str
    folder: Path
    token: str

    def ask(self, method: str, path: str, body: object = None, *, token: str | None = None) -> Any:
        """Ask it, or a user's server behind it, something; returns the JSON of the answer, None where there is none."""
        said = self.read(path, method, body, token=token)
        return json.loads(said) if said else None

    def read(self, path: str, method: str = "GET", body: object = None, *, token: str | None = None) -> str:
        """Ask it, or a user's server behind it, something; returns the text of the answer."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {token or self.token}", "Content-Type": "application/json"},
            method=method,
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=START_S) as answer:
            return str(answer.read(), "utf-8")

    def user(self, name: str) -> str:
        """Make a user; returns a token that opens their server and is good for nothing else."""
        self.ask("POST", f"hub/api/users/{name}")
        (self.folder / name).mkdir()
        scope = f"access:servers!user={name}"
        token: str = self.ask("POST", f"hub/api/users/{name}/tokens", {"scopes": [scope]})["token"]
        return token

    def start_server(self, name: str) -> None:
        """Start a user's server, and wait until it is up."""
        self.ask("POST", f"hub/api/users/{name}/server", {})
        self.wait_until(lambda: self.ask("GET", f"hub/api/users/{name}")["servers"].get("", {}).get("ready"))

    def wait_until(self, is_so: Callable[[], object]) -> None:
        """Ask something again and again until it is so; an address that does not answer yet is none."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with suppress(OSError):
                if is_so():
                    return
            time.sleep(POLL_S)
        raise AssertionError(f"It did not start in time:\n{(self.folder / 'hub.log').read_text()[-4000:]}")


@contextmanager
def culler(hub: Hub, token: str) -> Iterator[None]:
    """The culler that hubs run; started when kernels and clients are connected, which takes longer than `IDLE_S`."""
    with subprocess.Popen(
        [sys.executable, "-m", "jupyterhub_idle_culler", f"--timeout={IDLE_S}", "--cull-every=1"],
        env=os.environ | {"JUPYTERHUB_API_TOKEN": token, "JUPYTERHUB_API_URL": f"{hub.url}hub/api", "NO_PROXY": "*"},
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            process.kill()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def environment(prefix: Path) -> str:
    """Make an environment with a configuration of its own and the packages of this one; returns its Python."""
    venv.create(prefix, symlinks=True)
    (packages,) = prefix.glob("lib/python*/site-packages")
    (packages / "parent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    for shared in ("share", "bin/deno"):
        (prefix / shared).symlink_to(Path(sys.prefix) / shared)
    (prefix / "etc/jupyter").mkdir(parents=True)
    enabled = {"ServerApp": {"jpserver_extensions": {"pctx_jupyter": True}}}
    (prefix / "etc/jupyter/jupyter_server_config.json").write_text(json.dumps(enabled))
    return str(prefix / "bin/python")


@contextmanager
def running_hub(folder: Path, more: str = "", python: str = sys.executable) -> Iterator[Hub]:
    """A hub on free ports, below a prefix, and its proxy; all that it started ends with it.

    Args:
        folder: Where its files are.
        more: Added to its configuration.
        python: Runs the users' servers.
    """
    port, hub_port, proxy_port = _free_ports(3)
    token = secrets.token_hex(16)
    proxy = [node.node(), node.script("configurable-http-proxy", "bin/configurable-http-proxy")]
    config = folder / "jupyterhub_config.py"
    config.write_text(
        CONFIG.format(
            port=port,
            hub_port=hub_port,
            proxy_port=proxy_port,
            proxy=proxy,
            folder=folder,
            python=python,
            alone=ALONE,
            token=token,
        )
        + more
    )
    with (folder / "hub.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(config)],
            cwd=folder,
            env={key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    hub = Hub(f"http://127.0.0.1:{port}/hubs/", folder, token)
    try:
        hub.wait_until(lambda: hub.ask("GET", "hub/api/"))
        yield hub
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def open_notebook(hub: Hub, user: str, token: str, path: str) -> Iterator[BlockingKernelClient]:
    """A notebook on a user's server, as JupyterLab opens it through the proxy; and its kernel."""
    asked = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
    kernel = hub.ask("POST", f"user/{user}/api/sessions", asked, token=token)["kernel"]["id"]
    with kernel_client(hub.folder / user, kernel) as client:
        yield client


@contextmanager
def kernel_client(folder: Path, kernel_id: str) -> Iterator[BlockingKernelClient]:
    """A client of a kernel whose connection file is somewhere below a folder, once the kernel is ready."""
    (left,) = folder.rglob(f"kernel-{kernel_id}.json")
    client = BlockingKernelClient(connection_file=str(left))
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=START_S)
        yield client
    finally:
        client.stop_channels()


def run(kernel: BlockingKernelClient, cell: str) -> str:
    """Run a cell; returns the text of what it printed and showed."""
    said: list[str] = []

    def on_message(message: dict[str, Any]) -> None:
        content = message["content"]
        said.append(content.get("text", "") or content.get("data", {}).get("text/plain", ""))

    reply = kernel.execute_interactive(cell, timeout=START_S, output_hook=on_message)
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(said)


STRICT = """
def with_bounds(spawner):
    if spawner.user.name == "bo":
        spawner.args = [*spawner.args, "--Pctx.agents=off"]

def scopes(spawner):
    return ["users:activity!user", *(["access:servers!server"] if spawner.user.name == "ana" else [])]

c.Spawner.server_token_scopes = scopes
c.Spawner.pre_spawn_hook = with_bounds
"""

PAGE = Path(__file__).parents[2] / "docs/howto/jupyterhub.md"


def limit_all_users(folder: Path, hub: Hub) -> None:
    """Configure the environment of all users as the pages say, and restrict it."""
    (limits,) = re.findall(r"```python\n(c\.Pctx\.max_running.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    origin = hub.url.removesuffix("/hubs/")
    more = f'c.Pctx.max_calls = 5\nc.Pctx.kernel_url = "{origin}{{base_url}}"\n'
    (folder / "jupyter_server_config.py").write_text(limits + more)
    (folder / "pctx_restrictions.json").write_text('{"max_timeout_s": 20}')


def run_recipe(hub: Hub, user: str, token: str) -> str:
    """Run the agent of the page about hubs, which starts the user's server; returns what it printed, or its error."""
    (recipe,) = re.findall(r"```python\n(# start_and_run\.py\n.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    variables = {"HUB_URL": hub.url, "HUB_USER": user, "HUB_TOKEN": token, "NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, "-c", recipe],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=2 * START_S,
    )
    return done.stdout.strip() or done.stderr


def status_of_agent(hub: Hub, user: str, token: str) -> int:
    """The HTTP status of an agent's request to a user's server."""
    asked = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    try:
        hub.ask("POST", f"user/{user}/pctx/mcp", asked, token=token)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    return 200


TOOL = """
%load_ext pctx_jupyter
from pctx_jupyter import tool

@tool
def double(n: int) -> int:
    return 2 * n
"""

PATIENT = """
try:
    get_ipython().run_cell_magic("pctx", "--timeout 30", "1")
except Exception as error:
    print(error)
"""


@pytest.mark.timeout(6 * START_S)
async def test_a_users_notebooks_and_agents_share_one_server_and_nobody_elses_gets_in(tmp_path: Path) -> None:
    prefix = tmp_path / "environment"
    with running_hub(tmp_path, STRICT, environment(prefix)) as hub:
        limit_all_users(prefix / "etc/jupyter", hub)
        ana, bo = hub.user("ana"), hub.user("bo")
        (tmp_path / "ana" / ".jupyter").mkdir()
        (tmp_path / "ana" / ".jupyter/jupyter_server_config.py").write_text("c.Pctx.max_timeout_s = 600")
        (tmp_path / "ana" / "pctx.json").write_text('{"mcpServers": {"shop": {"command": "false"}}}')
        may_start = {"scopes": ["access:servers!user=ana", "servers!user=ana"]}
        starter = hub.ask("POST", "hub/api/users/ana/tokens", may_start)["token"]
        assert "needs the scope servers!user=ana" in run_recipe(hub, "ana", ana)
        assert "HTTP Error 40" in run_recipe(hub, "ana", bo)
        assert run_recipe(hub, "ana", starter) == "42"
        with open_notebook(hub, "ana", ana, "sales report.ipynb") as kernel:
            # A kernel elsewhere has no pipe; it goes through the hub's proxy, as the configuration says.
            run(kernel, "import os; del os.environ['PCTX_JUPYTER_PIPE']")
            assert f"{hub.url}user/ana/" in run(kernel, "os.environ['PCTX_JUPYTER_URL']")
            run(kernel, TOOL)
            assert "42" in run(kernel, "%%pctx\nawait Notebook.double({ n: 21 })")
            assert "it started this kernel" in run(kernel, "%pctx status")  # with a token of the kernel's own

            # A service of the hub that asks for metrics of all servers.
            assert "pctx_executions_total" in hub.read("user/ana/metrics")

            # An agent elsewhere: the address that the hub shows, and a token that the hub gave.
            async with McpClient(f"{hub.url}user/ana/pctx/mcp", token=ana) as agent:
                assert (await agent.execute("await SalesReport.double({ n: 4 })"))["output"] == 8
                calls = "for (let n = 0; n < 9; n++) await SalesReport.double({ n })"
                with pytest.raises(ExecutionError, match="more than 5 tool calls"):
                    await agent.execute(calls)
            assert hub.ask("GET", "user/ana/pctx/api/upstreams", token=ana)["upstreams"] == []
            assert "at most 20 here" in run(kernel, PATIENT)  # whatever the user's own file says
            with pytest.raises(urllib.error.HTTPError) as refusal:
                hub.ask("POST", "user/ana/pctx/mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"}, token=bo)
            with refusal.value as answer:
                assert answer.code == 403 and "Authentication required" in json.load(answer)["error"]["message"]

            # The token of the hub that a notebook inherits: its user's server, unless the hub gives it less.
            inherited = run(kernel, "import os; os.environ['JUPYTERHUB_API_TOKEN']").strip("'")
            async with McpClient(f"{hub.url}user/ana/pctx/mcp", token=inherited) as agent:
                assert (await agent.execute("6 * 7"))["output"] == 42
            own_configuration = tmp_path / "bo" / ".jupyter"
            own_configuration.mkdir()
            (own_configuration / "jupyter_server_config.py").write_text("c.Pctx.agents = 'on'")
            hub.start_server("bo")
            (server,) = (
                one for one in psutil.process_iter(["cmdline"]) if "--Pctx.agents=off" in (one.info["cmdline"] or [])
            )
            given = server.environ()["JUPYTERHUB_API_TOKEN"]
            with pytest.raises(urllib.error.HTTPError, match="403"):  # the hub gave that scope to ana's alone
                hub.ask("GET", "user/bo/pctx/health", token=given)
            assert hub.ask("GET", "user/bo/pctx/health", token=bo)["status"] == "ok"
            refused = [status_of_agent(hub, "bo", token) for token in (bo, inherited)]
            assert refused == [403, 403]  # a user's own file does not let agents in again

            # What the panel copies leads there, too; behind a proxy no port of this machine does.
            clients = hub.ask("GET", "user/ana/pctx/api/client-config", token=ana)["clients"]
            said = {one["client"]: json.loads(one["text"]) for one in clients if one["client"] in ("cursor", "claude")}
            cursor, claude = said["cursor"]["mcpServers"]["pctx"], said["claude"]["mcpServers"]["pctx"]
            assert cursor["url"] == f"{hub.url}user/ana/pctx/mcp"
            assert claude["args"][-2:] == ["--url", f"{hub.url}user/ana/"]
            for token in (claude["env"]["JUPYTER_TOKEN"], cursor["headers"]["Authorization"].removeprefix("Bearer ")):
                assert hub.ask("GET", "user/ana/pctx/health", token=token)["status"] == "ok"


@pytest.mark.timeout(8 * START_S)
async def test_the_culler_ends_a_server_whose_kernel_panel_and_client_only_wait_and_none_with_a_program_that_runs(
    tmp_path: Path,
) -> None:
    pytest.importorskip("jupyterhub_idle_culler")
    token = secrets.token_hex(16)
    with running_hub(tmp_path, CULLING.format(token=token)) as hub:
        ana = hub.user("ana")
        hub.start_server("ana")
        address = f"{hub.url.replace('http', 'ws', 1)}user/ana/"
        headers = {"Authorization": f"token {ana}"}

        def server() -> Any:
            return hub.ask("GET", "hub/api/users/ana")["servers"].get("")

        with open_notebook(hub, "ana", ana, "report.ipynb") as kernel:
            run(kernel, TOOL)
            panel = connect(f"{address}pctx/api/changes", additional_headers=headers, proxy=None, ping_interval=None)
            async with panel as changes, PctxClient(f"{address}local-tools", headers=headers) as client:
                program = f"await new Promise((done) => setTimeout(done, {1000 * (IDLE_S + 3)})); 42"
                with culler(hub, token):
                    assert (await client.execute_code(program))["value"] == 42
                    assert server()["ready"]
                    assert client.ws is not None and not client.ws.is_closed
                    await asyncio.to_thread(hub.wait_until, lambda: server() is None)
                    async with asyncio.timeout(STOP_S):
                        await changes.wait_closed()
