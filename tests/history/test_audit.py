"""The audit log of engines outside of a Jupyter server: in kernels, scripts and commands.

Real: files, Jupyter's event system, one engine with its sandbox. The log of a server is tested with the server.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from pctx_jupyter import errors, restrictions
from pctx_jupyter.embedded import open_client
from pctx_jupyter.engine import open_engine
from pctx_jupyter.history.audit import open_audit_file, path_of
from pctx_jupyter.kernel.home import open_home
from pctx_jupyter.session.trace import Trace
from pctx_jupyter.settings import Settings
from pctx_jupyter.traits import Pctx


@pytest.fixture
def demand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes the file of an administrator's restrictions."""

    def write(**demanded: Any) -> None:
        (tmp_path / restrictions.FILE).write_text(json.dumps(demanded))
        monkeypatch.setattr(restrictions, "folders", lambda: [str(tmp_path)])

    return write


def ended(code: str = "1 + 1") -> Trace:
    return Trace(id="k.1", code=code, asked_by="cell", state="ok", started_at=0.0, duration_s=0.1)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_kernel_without_a_server_runs_nothing_where_an_audit_log_is_demanded_and_has_no_file(
    demand: Any,
) -> None:
    demand(audit="on")
    settings = Pctx(config=Config({"Pctx": {"audit": "off"}})).settings()
    with pytest.raises(errors.SandboxUnavailable, match=r"an audit log is required.*Pctx\.audit_file"):
        async with open_home({}, settings):
            raise AssertionError("it is open")


async def test_a_script_cannot_do_without_an_audit_log_that_is_demanded(demand: Any) -> None:
    demand(audit="on")
    with pytest.raises(errors.SandboxUnavailable, match="an audit log is required"):
        async with open_client(Settings(audit="off")):
            raise AssertionError("it is open")


async def test_a_script_writes_the_events_that_are_demanded_to_the_file_that_is_demanded(
    demand: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "ana")
    demand(audit="on", audit_file=str(tmp_path / "logs" / "{user}.jsonl"))
    settings = Settings(audit="off", audit_file=os.devnull, warm_sandboxes=0, typecheck=False, history=False)
    async with open_client(settings) as client:
        await client.register_tool("Shop", "price", lambda arguments: 42)
        await client.execute_code('await Shop.price({ sku: "hidden-sku" })')
    call, execution = lines(tmp_path / "logs" / "ana.jsonl")
    assert (call["tool"], call["outcome"], call["asked_by"]) == ("Shop.price", "ok", "client")
    assert (execution["outcome"], execution["calls"], execution["execution"]) == ("ok", 1, call["execution"])
    assert "hidden-sku" not in json.dumps([call, execution])


@pytest.mark.skipif(os.name != "posix", reason="a folder has no owner to compare with")
@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"JUPYTERHUB_USER": "../elsewhere/ana"}, "__elsewhere_ana"),
        ({"JUPYTERHUB_USER": ".."}, "_"),
        ({"JUPYTERHUB_USER": "", "LOGNAME": "other", "USER": "other"}, None),
    ],
)
def test_no_variable_leads_the_log_to_another_folder_or_account(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], name: str | None
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    name = tmp_path.owner() if name is None else name
    assert path_of(Settings(audit_file=f"{tmp_path}/{{user}}.jsonl")) == str(tmp_path / f"{name}.jsonl")
    assert path_of(Settings(audit_file=f"{tmp_path}/{{user}}/log")) == str(tmp_path / name / "log")


async def test_a_server_writes_to_the_file_as_well_and_needs_none(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for settings in (Settings(audit="on", warm_sandboxes=0), Settings(audit="on", audit_file=str(path))):
        async with open_engine(settings, is_served=True) as engine:
            engine.registry.observers.execution_ended(ended())
    assert [line["outcome"] for line in lines(path)] == ["ok"]


def test_logs_of_several_engines_append_to_a_file_that_its_owner_alone_reads(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "events.jsonl"
    settings = Settings(audit="payloads", audit_file=str(path))
    opened = [open_audit_file(settings) for _ in range(2)]
    for number, (audit_log, _) in enumerate(opened):
        audit_log.execution_ended(ended(f"{number} + 1"))
    for _, close in opened:
        close()
    opened[0][0].execution_ended(ended("3 + 1"))
    assert [line["code"] for line in lines(path)] == ["0 + 1", "1 + 1"]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


OTHER = """
import sys
from pathlib import Path
from tests.history import test_audit

test_audit.write_many(Path(sys.argv[1]), "b", lambda: print(sys.stdin.readline(), flush=True))
"""


def write_many(path: Path, letter: str, begin: Callable[[], None]) -> None:
    """Write events to a file; every other one is larger than a pipe or a buffer takes at once."""
    audit_log, close = open_audit_file(Settings(audit="payloads", audit_file=str(path)))
    begin()
    for number in range(100):
        audit_log.execution_ended(ended(letter * (50 if number % 2 else 100_000)))
    close()


def test_processes_that_write_to_one_file_at_once_tear_no_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        other.stdin.write("begin\n")
        other.stdin.flush()
        write_many(path, "a", other.stdout.readline)
    assert other.returncode == 0
    written = [line["code"] for line in lines(path)]
    for letter in "ab":
        assert [len(code) for code in written if set(code) == {letter}] == [100_000, 50] * 50
    assert len(written) == 200


@pytest.mark.skipif(os.name == "nt", reason="a pipe has no place in a folder there")
def test_a_reader_of_a_pipe_that_takes_nothing_stops_nobody_and_gets_whole_lines_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    audit_log, close = open_audit_file(Settings(audit="payloads", audit_file=str(path)))
    for _ in range(3):
        audit_log.execution_ended(ended("a" * 100_000))
    first = os.read(reader, 1 << 20)
    assert first.startswith(b'{"') and b"\n" not in first
    audit_log.execution_ended(ended("b"))
    close()
    torn, line, end = os.read(reader, 1 << 20).split(b"\n")
    os.close(reader)
    assert (torn, json.loads(line)["code"], end) == (b"", "b", b"")


def below_a_file(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file" / "events.jsonl"


def read_only(folder: Path) -> Path:
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this account may write to every folder")
    return folder / "events.jsonl"


def pipe_that_nobody_reads(folder: Path) -> Path:
    if os.name == "nt":
        pytest.skip("a pipe has no place in a folder there")
    os.mkfifo(folder / "events.jsonl")
    return folder / "events.jsonl"


@pytest.mark.parametrize("place", [below_a_file, read_only, pipe_that_nobody_reads])
def test_a_file_that_cannot_be_written_is_named_with_the_reason(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    settings = Settings(audit="on", audit_file=str(place(tmp_path)))
    with pytest.raises(errors.SandboxUnavailable, match=r"cannot be written to .*events\.jsonl \("):
        open_audit_file(settings)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_disk_that_is_full_is_one_line_of_the_log_and_stops_no_program(caplog: pytest.LogCaptureFixture) -> None:
    audit_log, close = open_audit_file(Settings(audit="on", audit_file="/dev/full"))
    with caplog.at_level(logging.ERROR):
        audit_log.execution_ended(ended())
        audit_log.execution_ended(ended())
    (record,) = caplog.records
    assert record.message.startswith("audit = cannot write to /dev/full") and "No space left" in record.message
    close()


def test_a_file_that_is_moved_away_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    audit_log, close = open_audit_file(Settings(audit="payloads", audit_file=str(path)))
    for number in range(3):
        audit_log.execution_ended(ended(f"{number}"))
        if number < 2:
            path.replace(tmp_path / f"{number}.old")
    close()
    files = [tmp_path / "0.old", tmp_path / "1.old", path]
    assert [[line["code"] for line in lines(file)] for file in files] == [["0"], ["1"], ["2"]]


@pytest.mark.parametrize("in_the_way", ["file", "folder"])
def test_a_file_that_cannot_be_made_again_is_one_error_and_is_made_once_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, in_the_way: str
) -> None:
    path = tmp_path / "logs" / "events.jsonl"
    audit_log, close = open_audit_file(Settings(audit="payloads", audit_file=str(path)))
    for number in (0, 2):
        path.parent.rename(tmp_path / f"{number}.old")
        if in_the_way == "file":
            path.parent.write_text("")
        else:
            path.mkdir(parents=True)
        for code in ("lost", "lost too"):
            audit_log.execution_ended(ended(code))
        if in_the_way == "file":
            path.parent.unlink()
        else:
            path.rmdir()
        for code in (f"{number + 1}", f"{number + 2}"):
            audit_log.execution_ended(ended(code))
    close()
    assert [line["code"] for line in lines(path)] == ["3", "4"]
    assert [line["code"] for line in lines(tmp_path / "2.old" / path.name)] == ["1", "2"]
    # One for each time that it could not be made, however many events came meanwhile.
    assert [record.message.partition(" (")[0] for record in caplog.records] == [f"audit = cannot write to {path}"] * 2
