"""What an administrator demands: it only ever makes settings stricter, and a file that cannot be read opens nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from pctx_jupyter import restrictions
from pctx_jupyter.embedded import open_client
from pctx_jupyter.errors import ExecutionFailed, InvalidParams
from pctx_jupyter.settings import Limits, Settings
from pctx_jupyter.traits import Pctx


@pytest.fixture
def demand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes the files of the system's folders, one for each argument."""

    def write(*files: Any) -> None:
        folders = []
        for number, content in enumerate(files):
            folder = tmp_path / str(number)
            folder.mkdir()
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / restrictions.FILE).write_text(text)
            folders.append(str(folder))
        monkeypatch.setattr(restrictions, "folders", lambda: [*folders, str(tmp_path / "not there")])

    return write


def settings(**configured: Any) -> Settings:
    """The settings of an engine whose user has configured that."""
    return Pctx(config=Config({"Pctx": configured})).settings()


@pytest.mark.parametrize(
    ("name", "demanded", "user", "effective"),
    [
        ("agents", "ask", "on", "ask"),
        ("agents", "ask", "off", "off"),
        ("max_running", 4, 100, 4),
        ("max_running", 4, 2, 2),
        ("max_running_per_session", 3, 0, 3),
        ("max_running_per_session", 12, 0, 8),  # 0 is half of max_running
        ("max_running_per_session", 0, 3, 3),
        ("max_running_per_session", 0, 12, 8),
        ("layers", 2, 1, 2),
        ("trust_folder", False, True, False),
        ("trust_folder", True, False, False),
        ("kernels_may_add_servers", False, True, False),
        ("history", False, True, False),
        ("history_values", False, True, False),
        ("observe_types", False, True, False),
        ("max_history_runs", 10, 100, 10),
        ("typecheck", True, False, True),
        ("max_check_s", 10.0, 1e-9, 10.0),
        ("max_check_s", 10.0, 30.0, 30.0),
        ("jitless", True, False, True),
        ("may_skip_check", False, True, False),
        ("audit", "on", "off", "on"),
        ("audit_file", "/var/log/pctx.jsonl", "/dev/null", "/var/log/pctx.jsonl"),
        ("upstream_hosts", ["*.example.org"], ["*"], ("*.example.org",)),
        ("upstream_commands", [], ["*"], ()),
        ("consent_by", ["jupyterlab", "terminal"], ["client", "terminal"], ("terminal",)),
        ("policy", ["deny agent *.delete*"], ["allow agent *"], ("deny agent *.delete*", "allow agent *")),
    ],
)
def test_a_user_can_make_what_is_demanded_stricter_and_nothing_looser(
    demand: Any, name: str, demanded: object, user: object, effective: object
) -> None:
    demand({name: demanded})
    assert getattr(settings(**{name: user}), name) == effective


def test_a_demanded_limit_bounds_the_time_of_a_program_that_does_not_ask_for_one(demand: Any) -> None:
    demand({"max_timeout_s": 20, "max_memory_mb": 256})
    found = settings(timeout_s=300, max_memory_mb=4096)
    assert (found.max_timeout_s, found.limits.timeout_s, found.limits.max_memory_mb) == (20, 20, 256)


async def test_neither_a_program_nor_a_script_does_without_a_check_that_is_demanded(demand: Any) -> None:
    demand({"typecheck": True, "max_calls": 5})
    # A check that may take no time would be none.
    assert settings(max_check_s=1e-9).max_check_s == Settings().max_check_s
    loose = Settings(typecheck=False, warm_sandboxes=0, max_check_s=30.0, limits=Limits(max_calls=100))
    async with open_client(loose) as client:
        with pytest.raises(ExecutionFailed, match="is not assignable"):
            await client.execute_code("const n: number = 'text'", typecheck=False)
        await client.register_tool("Math", "one", lambda arguments: 1)
        with pytest.raises(ExecutionFailed, match="calls"):
            await client.execute_code("for (let n = 0; n < 9; n++) await Math.one({})", typecheck=False)


def test_a_program_may_do_without_a_check_that_is_only_configured(demand: Any) -> None:
    demand({"max_running": 4})
    assert settings(typecheck=True).may_skip_check and not settings(may_skip_check=False).may_skip_check


def test_a_log_that_is_demanded_goes_to_no_file_of_the_users_choice(demand: Any) -> None:
    demand({"audit": "on"})
    assert settings(audit_file="/dev/null").audit_file == ""


@pytest.mark.parametrize("order", [1, -1])
def test_the_log_and_its_file_may_be_demanded_in_different_folders(demand: Any, order: int) -> None:
    demand(*[{"audit": "on"}, {"audit_file": "/var/log/pctx.jsonl"}][::order])
    assert settings(audit_file="/dev/null").audit_file == "/var/log/pctx.jsonl"


def test_the_files_of_all_folders_count(demand: Any) -> None:
    demand({"max_running": 8, "agents": "ask"}, {"max_running": 4})
    found = settings()
    assert (found.max_running, found.agents) == (4, "ask")


def test_without_a_file_the_user_decides(demand: Any) -> None:
    demand()
    assert settings(agents="on", max_running=100).max_running == 100


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "Cannot read the restrictions"),
        ([], "must be a JSON object"),
        ({"maxrunning": 4}, "maxrunning is no setting that can be restricted"),
        ({"deno": "/tmp/deno"}, "deno is no setting that can be restricted"),
        ({"agents": "sometimes"}, "agents"),
        ({"sandboxes": 4}, "sandboxes is now called max_running"),
        ({"max_running": -1}, "max_running"),
        ({"policy": ["perhaps agent *"]}, "Cannot read the rule"),
        ({"upstream_commands": ["npx 'unclosed"]}, "No closing quotation"),
        ('{"agents": "off", "agents": "on"}', "agents is in it twice"),
        ("[" * 100_000, "maximum recursion depth"),
    ],
)
def test_a_file_that_cannot_be_read_opens_no_engine(demand: Any, content: Any, said: str) -> None:
    demand(content)
    with pytest.raises(InvalidParams, match="Cannot read") as caught:
        settings()
    assert said in caught.value.message and restrictions.FILE in caught.value.message


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda file: file.symlink_to("/nowhere/file.json"),
            "is a link to /nowhere/file.json, which cannot be reached",
        ),
        (lambda file: _put_link_for_folder(file.parent), "is a link to /nowhere/etc, which cannot be reached"),
        (lambda file: _put_link_for_folder(file.parent.parent), "is a link to /nowhere/etc, which cannot be reached"),
        (lambda file: file.mkdir(), "no regular file"),
        (lambda file: os.mkfifo(file), "no regular file"),
    ],
)
def test_only_where_there_is_surely_no_file_the_user_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], said: str
) -> None:
    folder = tmp_path / "etc" / "jupyter"
    folder.mkdir(parents=True)
    monkeypatch.setattr(restrictions, "folders", lambda: [str(folder)])
    assert settings(agents="on").agents == "on"
    make(folder / restrictions.FILE)
    with pytest.raises(InvalidParams, match="an administrator must mend it") as caught:
        settings()
    assert said in caught.value.message


def _put_link_for_folder(folder: Path) -> None:
    """Put a link that leads nowhere in place of a folder, as one to a disk that is not mounted."""
    folder.rename(folder.with_name("before"))
    folder.symlink_to("/nowhere/etc")


@pytest.mark.skipif(os.name == "nt", reason="Jupyter has no folder of the system there unless a variable says so")
def test_no_variable_makes_the_folders_of_the_system_others(tmp_path: Path) -> None:
    variables = {"JUPYTER_PLATFORM_DIRS": "1", "XDG_CONFIG_DIRS": str(tmp_path), "JUPYTER_CONFIG_PATH": str(tmp_path)}
    looked = subprocess.run(
        [sys.executable, "-c", "from pctx_jupyter import restrictions; print(*restrictions.folders(), sep='\\n')"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert {"/etc/jupyter", "/usr/local/etc/jupyter", f"{sys.prefix}/etc/jupyter"} <= set(looked)


def test_every_name_that_can_be_restricted_is_a_setting() -> None:
    names = {field.name for kind in (Limits, Settings) for field in fields(kind)}
    assert set(restrictions.known()) <= names
    assert {"agents", "policy", "layers", "max_running", "max_memory_mb"} <= set(restrictions.known())


def test_the_file_that_the_documentation_shows_is_one(demand: Any) -> None:
    page = Path(__file__).parent.parent / "docs/howto/restrict.md"
    demand(page.read_text().split("```json\n")[1].split("```")[0])
    found = settings(audit="off", agents="on")
    assert (found.agents, found.audit, found.max_running, found.layers) == ("ask", "on", 4, 2)
    assert found.upstream_hosts == ("*.example.org",) and found.policy[0] == "deny agent *.delete*"
