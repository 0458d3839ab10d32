"""``jupyter pctx client-config``, and which server is meant: real servers and the files they leave."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pctx_jupyter.agents.clients import CLIENTS
from pctx_jupyter.cli import servers
from pctx_jupyter.cli.command import Exit, Stop
from pctx_jupyter.cli.servers import Server

from ..server.process import ServerProcess, server_process
from .conftest import Pctx, command, folders


@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_printed_leads_a_client_to_the_server(client: str, with_server: Pctx, server: ServerProcess) -> None:
    done = with_server("client-config", client)
    assert done.returncode == 0, done.stderr
    assert server.token not in done.stderr
    bearer = f"Bearer {server.token}"
    url = f"{server.url}pctx/mcp"
    match client:
        case "claude-code":
            bare = ["claude", "mcp", "add", "--transport", "http", "pctx", url]
            assert shlex.split(done.stdout) == [*bare, "--header", f"Authorization: {bearer}"]
        case "claude":
            said = json.loads(done.stdout)["mcpServers"]["pctx"]
            assert said["command"] == sys.executable and said["args"][-2:] == ["--port", str(server.port)]
            assert server.token not in done.stdout
        case "cursor":
            assert json.loads(done.stdout)["mcpServers"]["pctx"] == {"url": url, "headers": {"Authorization": bearer}}
        case "vscode":
            said = json.loads(done.stdout)["servers"]["pctx"]
            assert said == {"type": "http", "url": url, "headers": {"Authorization": bearer}}
        case "jupyter-ai":
            (said,) = json.loads(done.stdout)["mcp_servers"]
            assert said["headers"] == [{"name": "Authorization", "value": bearer}] and said["url"] == url


def test_a_client_elsewhere_is_told_the_address_and_the_token_for_it_finds_neither(pctx: Pctx) -> None:
    url = "https://hub.example.org/user/ana/"
    done = pctx("client-config", "claude", "--url", url, "--token", "secret")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)["mcpServers"]["pctx"]
    assert said["command"] == "jupyter" and said["args"] == ["pctx", "mcp", "serve", "--stdio", "--url", url]
    assert said["env"] == {"JUPYTER_TOKEN": "secret"} and "No token" not in done.stderr
    done = pctx("client-config", "cursor", "--url", url)
    assert f"No token is known for {url}; if it needs one, pass --token" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX system")
def test_a_file_that_gets_the_token_is_its_owners_alone(server: ServerProcess, tmp_path: Path) -> None:
    modes = {}
    for client in ("cursor", "claude"):
        with (tmp_path / client).open("w") as file:
            (tmp_path / client).chmod(0o644)
            environment = os.environ | folders(server.folder)
            subprocess.run(command("client-config", client), stdout=file, env=environment, check=True)
        modes[client] = (tmp_path / client).stat().st_mode & 0o777
        assert (server.token in (tmp_path / client).read_text()) == (client == "cursor")
    assert modes == {"cursor": 0o600, "claude": 0o644}


def test_the_readme_names_the_clients_that_are_known() -> None:
    readme = (Path(__file__).parent.parent.parent / "README.md").read_text()
    (line,) = (line for line in readme.splitlines() if line.startswith("jupyter pctx client-config "))
    named = line.removeprefix("jupyter pctx client-config ").replace("# or ", "").replace(",", " ").split()
    assert set(named) == set(CLIENTS)


def test_a_client_that_is_not_known_is_refused_with_those_that_are(pctx: Pctx) -> None:
    done = pctx("client-config", "claud")
    assert done.returncode == 2 and "(did you mean claude?)" in done.stderr and "jupyter-ai" in done.stderr
    assert pctx("client-config").returncode == 2


def test_of_several_servers_one_has_to_be_named(with_server: Pctx, server: ServerProcess, tmp_path: Path) -> None:
    with server_process() as other:
        (left,) = (other.folder / "runtime").glob("jpserver-*.json")
        copied = server.folder / "runtime" / left.name
        copied.write_text(left.read_text())
        try:
            done = with_server("client-config", "cursor")
            assert (
                done.returncode == 2
                and f"--port {server.port}" in done.stderr
                and f"--port {other.port}" in done.stderr
            )
            assert other.token in with_server("client-config", "cursor", "--port", str(other.port)).stdout
            assert server.token in with_server("client-config", "cursor", "--url", server.url).stdout
        finally:
            copied.unlink()


def leave(folder: Path, **said: object) -> None:
    """Leave a file as a server does."""
    entry = {"pid": os.getpid(), "url": "http://localhost:1/", "token": "t", "password": False, "root_dir": "/"} | said
    (folder / f"jpserver-{entry['pid']}.json").write_text(json.dumps(entry))


def test_files_of_servers_that_are_gone_or_are_none_are_passed_over(tmp_path: Path) -> None:
    leave(tmp_path, pid=2**22 + 1)
    (tmp_path / "jpserver-1.json").write_text("{")
    (tmp_path / "jpserver-2.json").write_text('{"url": 3}')
    assert servers.running(str(tmp_path)) == []
    leave(tmp_path, url="http://localhost:1/base")
    (found,) = servers.running(str(tmp_path))
    assert (found.url, found.port, found.token) == ("http://localhost:1/base/", 1, "t")
    assert "token" not in repr(found)


def test_a_servers_own_token_comes_before_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(servers.TOKEN, "another")
    here = Server("http://localhost:1/", "own")
    assert servers.choose([here], url="http://localhost:1").token == "own"
    assert servers.choose([here], url="http://localhost:1/?token=given").token == "given"
    assert servers.choose([here], url="http://localhost:2/").token == "another"
    assert servers.choose([here], url="http://localhost:1/", token="said").token == "said"
    monkeypatch.setenv(servers.TOKEN, "another\n")  # as of a file
    assert servers.choose([here], url="http://localhost:2/").token == "another"


@pytest.mark.parametrize("token", ["s3cr\u00e9t", "s3c\nret"])
@pytest.mark.parametrize("is_option", [True, False])
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, token: str, is_option: bool
) -> None:
    monkeypatch.setenv(servers.TOKEN, "" if is_option else token)
    command = servers.ServerCommand(url="http://localhost:2/", token=token if is_option else "")
    with pytest.raises(Stop, match=r"Cannot use the token: it holds .*jupyter server list") as refused:
        command.chosen()
    assert "s3c" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://127.0.0.1:1/base/pctx/mcp", "http://localhost:1/base/"),
        ("http://localhost:1/base/lab/tree/a.ipynb?token=given", "http://localhost:1/base/"),
        ("http://localhost:1/other/mcp", "http://localhost:1/other/"),
        ("http://localhost/base/", "http://localhost/base/"),
        ("https://hub.example.org/user/lab/", "https://hub.example.org/user/lab/"),
        ("https://hub.example.org/user/ana/lab?token=given", "https://hub.example.org/user/ana/"),
        ("https://hub.example.org/user/ana/pctx/mcp", "https://hub.example.org/user/ana/"),
    ],
)
def test_an_address_that_was_copied_leads_to_its_server(url: str, found: str) -> None:
    assert servers.choose([Server("http://localhost:1/base/", "own")], url=url).url == found


def test_an_address_that_is_none_is_refused() -> None:
    for url in ("localhost:8888", "http://localhost:port/", "http://[", "ftp://localhost/"):
        with pytest.raises(Stop, match="a server's URL looks like"):
            servers.choose([], url=url)


def test_a_server_that_does_not_answer_is_no_choice() -> None:
    with pytest.raises(Stop, match="it cannot be reached") as stopped:
        servers.choose([Server("http://127.0.0.1:9/")])
    assert stopped.value.code == Exit.UNREACHABLE
    with pytest.raises(Stop, match=r"jupyter pctx start"):
        servers.choose([])


def test_no_client_can_log_in_with_a_password(pctx: Pctx) -> None:
    from pctx_jupyter.cli.clients import endpoint

    with pytest.raises(Stop, match=r"IdentityProvider\.token"):
        endpoint(Server("http://localhost:1/", has_password=True), "pctx")
    assert endpoint(Server("http://localhost:1/"), "pctx").headers == {}
