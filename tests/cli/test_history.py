"""``jupyter pctx history``: what other commands have run. Real processes and real sandboxes."""

from __future__ import annotations

import json
from pathlib import Path

from pctx_jupyter.cli.history import _line
from pctx_jupyter.history.file import PastRun
from pctx_jupyter.session.meter import Meter

from .conftest import Pctx


def test_what_a_command_has_run_is_listed_printed_and_deleted(pctx: Pctx, tmp_path: Path) -> None:
    assert pctx("history").stderr == "No program has run yet, or none was kept\n"
    assert pctx("run", "-", "--no-check", stdin="const answer = 42;\nanswer").returncode == 0
    assert pctx("run", "-", "--no-check", stdin="throw new Error('\x1b[31mred')").returncode == 1
    failed, fine = json.loads(pctx("history", "--json").stdout)["runs"]
    assert (fine["title"], fine["state"], fine["number"], failed["number"]) == ("const answer = 42;", "ok", 1, 2)
    listed = pctx("history", "--failed").stdout
    assert " jupyter pctx run: throw new Error(" in listed
    assert "red" in listed and "answer" not in listed and "\x1b" not in listed
    assert pctx("history", "1").stdout == "const answer = 42;\nanswer\n"
    missing = pctx("history", "7")
    assert missing.returncode == 2 and "the history has none of that number" in missing.stderr
    assert pctx("history", "--clear").stderr == "Deleted 2 runs\n" and pctx("history").stdout == ""
    (tmp_path / "data" / "pctx" / "history.sqlite3").write_bytes(b"no database" * 100)
    for aside in (tmp_path / "data" / "pctx").glob("*-*"):
        aside.unlink()
    broken = pctx("history")
    assert broken.returncode == 3 and "delete the file" in broken.stderr
    ran = pctx("run", "-", "--no-check", stdin="42")
    assert (ran.stdout, ran.returncode) == ("42\n", 0)


def test_a_run_of_one_token_is_listed_as_such() -> None:
    run = PastRun(1, "e", "1+1", "cell", "", "a.ipynb", "ok", False, 0.0, 0.1, 0, 0, {}, None, Meter(plain=0, here=1))
    assert _line(run).endswith("a.ipynb: 1+1 (1 token; plain calls 0)")
