"""The history of executions: what is kept, found and deleted, and what happens where the file cannot be used.

Real: SQLite, files, threads, a second process, and one engine with its sandbox.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pctx_jupyter import errors
from pctx_jupyter.client.raw import RawClient
from pctx_jupyter.engine import open_engine
from pctx_jupyter.history.file import STEPS, HistoryFile, HistoryUnavailable
from pctx_jupyter.history.writer import MOST_CALLS, MOST_WAITING, HistoryWriter
from pctx_jupyter.rpc import wire
from pctx_jupyter.session.trace import CallRecord, ConsoleLine, ErrorRecord, ToolTally, Trace
from pctx_jupyter.settings import Places, Settings

SECRET = "hunter2-hunter2"


def run(code: str = "1 + 1", **known: Any) -> Trace:
    """A run that has ended."""
    return Trace(**{"id": "s.1", "code": code, "asked_by": "cell", "state": "ok", "started_at": 1.0} | known)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[HistoryFile]:
    file = HistoryFile(str(tmp_path / "data" / "history.sqlite3"))
    yield file
    file.close()


def written(file: HistoryFile, *traces: Trace, **options: Any) -> HistoryWriter:
    """Let a writer write runs, and wait for its end."""
    writer = HistoryWriter(file, lambda text: text.replace(SECRET, "***"), **options)
    for trace in traces:
        writer.execution_ended(trace)
    writer.close()
    return writer


def test_without_a_thread_nothing_waits_and_the_next_run_is_written_with_those_before(
    file: HistoryFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = HistoryWriter(file, str)
    with monkeypatch.context() as short:

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        short.setattr(threading.Thread, "start", refuse)
        writer.execution_ended(run("1"))
        writer.wait()
        writer.close()
        assert "ulimit -u" in str(writer.status()["trouble"])
    writer.execution_ended(run("2", id="s.2"))
    writer.wait()
    assert sorted(codes(file)) == ["1", "2"] and writer.status() == {"lost": 0, "trouble": None}
    writer.close()


def codes(file: HistoryFile, *words: str, **options: Any) -> list[str]:
    """The first lines of the runs that are found."""
    return [one.title for one in file.search(*words, **options)]


def test_each_word_is_looked_for_in_code_errors_tools_notebooks_and_agents(file: HistoryFile) -> None:
    failure = ErrorRecord("ValueError", "No such Größe")
    file.add(
        [
            run("const a = 1", notebook="Report"),
            run("const b = 2", agent="Claude Code", asked_by="agent", tools=[ToolTally("Sales.load", 3)]),
            run("const c = '100%_'", state="failed", error=failure),
            run("const d = 4", state="stopped", stopped_by="limit"),
            run("const e = 5", state="stopped", stopped_by="person"),
            run("const f = 6", state="stopped", stopped_by="sandbox"),
        ]
    )
    assert codes(file) == [f"const {one}" for one in ("f = 6", "e = 5", "d = 4", "c = '100%_'", "b = 2", "a = 1")]
    assert codes(file, "CONST report") == codes(file, "  report\n") == ["const a = 1"]
    assert codes(file, "sales.LOAD claude") == codes(file, agent="code") == ["const b = 2"]
    assert codes(file, "grösse") == codes(file, "100%_") == codes(file, "valueerror") == ["const c = '100%_'"]
    assert codes(file, "%") == ["const c = '100%_'"] and codes(file, "' OR 1=1 --") == codes(file, "const x") == []
    assert codes(file, failed=True) == ["const f = 6", "const d = 4", "const c = '100%_'"]
    assert codes(file, before=3) == ["const b = 2", "const a = 1"] and codes(file, most=1) == ["const f = 6"]
    assert file.search("sales")[0].tools == {"Sales.load": 3}


def test_a_run_is_found_by_its_number_and_by_its_id(file: HistoryFile) -> None:
    file.add([run("a", id="s.a"), run("b", id="s.b")])
    assert [found and found.code for found in map(file.get, (1, 2, "s.a", "s.b"))] == ["a", "b", "a", "b"]
    assert [file.get(key) for key in (0, -1, 3, 1 << 70, "s.c", "1", "\ud800")] == [None] * 7


def test_values_are_not_kept_and_secrets_are_hidden(file: HistoryFile, tmp_path: Path) -> None:
    call = CallRecord(
        1, "Sales.load", 0.1, ended_s=0.2, arguments='"my-argument"', result='"my-result"', error="my-why"
    )
    trace = run(
        f"const key = '{SECRET}'",
        calls=[call] * (MOST_CALLS + 5),
        calls_in_all=MOST_CALLS + 5,
        console=[ConsoleLine(0.1, "stdout", "my-line")],
        result='"my-value"',
        error=ErrorRecord("Error", f"wrong {SECRET}", frame=f"> 1 | {SECRET}"),
        state="failed",
    )
    written(file, trace)
    kept = file.get(1)
    assert kept is not None and kept.code == "const key = '***'" and kept.calls_in_all == MOST_CALLS + 5
    assert kept.error is not None and (kept.error.message, kept.error.frame) == ("wrong ***", "> 1 | ***")
    assert [(one.tool, one.error, one.ended_s) for one in kept.calls] == [("Sales.load", "failed", 0.2)] * MOST_CALLS
    everything = b"".join(one.read_bytes() for one in (tmp_path / "data").iterdir())
    assert not [one for one in (b"my-", SECRET.encode()) if one in everything] and b"Sales.load" in everything


def test_values_and_code_have_switches(file: HistoryFile) -> None:
    call = CallRecord(1, "Sales.load", 0.1, arguments=f'"{SECRET}"', result='"my-result"')
    written(file, run("const a = 1", calls=[call], result='"my-value"', error=ErrorRecord("E", "m", frame="a")))
    written(file, run("b", calls=[call], result=f'"{SECRET}"'), has_code=False, has_values=True)
    first, second = file.get(1), file.get(2)
    assert first is not None and (first.calls[0].arguments, first.result) == ("", "")
    assert second is not None and second.code == ""
    assert (second.calls[0].arguments, second.calls[0].result, second.result) == ('"***"', '"my-result"', '"***"')


def test_halves_of_characters_are_written_as_question_marks(file: HistoryFile) -> None:
    assert written(file, run("'\ud800'", agent="\udfff")).lost == 0
    assert codes(file) == ["'?'"]


def test_the_oldest_runs_make_room_and_their_numbers_are_not_used_again(tmp_path: Path) -> None:
    path = str(tmp_path / "history.sqlite3")
    file = HistoryFile(path, most_runs=3)
    for number in range(5):
        file.add([run(f"{number}")])
    assert codes(file) == ["4", "3", "2"]
    file.close()
    small = HistoryFile(path, most_bytes=10_000)
    small.add([run("x" * 4_000, id="big")])
    assert [len(one.title) for one in small.search()] == [120, 1, 1, 1]
    small.add([run("y" * 4_000)])
    assert [one.title[0] for one in small.search()] == ["y"] and small.search()[0].number == 7
    small.close()
    assert HistoryFile(path).clear() == 1 and HistoryFile(path).count() == 0
    assert b"yyyy" not in Path(path).read_bytes()


def test_the_oldest_runs_make_room_for_a_hundredth_of_the_limit_at_once(file: HistoryFile) -> None:
    small = HistoryFile(file.path, most_runs=200)
    small.add([run()] * 200)
    assert small.count() == 200
    small.add([run()])
    assert small.count() == 198
    small.add([run()])
    small.add([run()])
    assert small.count() == 200
    small.close()


def test_what_others_write_and_delete_counts_towards_the_limit(file: HistoryFile) -> None:
    one, other = HistoryFile(file.path, most_runs=3), HistoryFile(file.path, most_runs=30)
    one.add([run()])
    other.add([run("other")] * 4)
    one.add([run("one")])
    assert codes(file) == ["one", "other", "other"]
    assert other.clear() == 3
    one.add([run()] * 3)
    assert one.count() == 3
    one.close()
    other.close()


def test_only_the_owner_may_read_the_files(file: HistoryFile, tmp_path: Path) -> None:
    path = tmp_path / "data" / "history.sqlite3"
    file.add([run()])
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700 and len(list(path.parent.iterdir())) == 3
    file.close()
    path.chmod(0o644)
    file.add([run()])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_several_processes_and_threads_write_at_once(file: HistoryFile) -> None:
    script = (
        "import sys\nfrom pctx_jupyter.history.file import HistoryFile\nfrom pctx_jupyter.session.trace import Trace\n"
        "file = HistoryFile(sys.argv[1])\nfor n in range(40):\n"
        "    file.add([Trace(id='p', code='p', asked_by='cell', state='ok', started_at=1.0)])"
    )
    others = [subprocess.Popen([sys.executable, "-c", script, file.path]) for _ in range(2)]

    def write() -> None:
        own = HistoryFile(file.path)
        for _ in range(40):
            own.add([run("t")])
        own.close()

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait(timeout=60) for other in others] == [0, 0]
    assert file.count() == 200
    assert {one.number for one in file.search(most=1000)} == set(range(1, 201))


def test_an_older_schema_is_brought_up_to_date_and_a_newer_one_left_alone(file: HistoryFile) -> None:
    file.add([run("old")])
    file.close()
    newer = HistoryFile(file.path, steps=(*STEPS, ("ALTER TABLE runs ADD COLUMN more TEXT",)))
    assert codes(newer) == ["old"]
    with closing(sqlite3.connect(file.path)) as there:
        assert there.execute("SELECT more FROM runs").fetchone() == (None,)
    for use in (lambda: file.add([run()]), file.search, file.count, lambda: file.get(1)):
        with pytest.raises(HistoryUnavailable, match="a newer version of pctx"):
            use()
    assert newer.count() == 1


def test_without_a_file_nothing_is_found_and_none_is_made(tmp_path: Path) -> None:
    file = HistoryFile(str(tmp_path / "not there" / "history.sqlite3"))
    assert (file.search("a"), file.get(1), file.count(), file.clear()) == ([], None, 0, 0)
    assert not list(tmp_path.iterdir())


def damage(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 100)


def block(path: Path) -> None:
    path.parent.write_text("a file where a folder should be")


def fill(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to("/dev/full")


@pytest.mark.parametrize(
    ("spoil", "cure"),
    [(damage, "delete the file, and a new one is made"), (block, "Pctx.history = False"), (fill, "Cannot use")],
)
def test_a_file_that_cannot_be_written_costs_the_runs_and_is_reported_once(
    file: HistoryFile, spoil: Any, cure: str, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(Path(file.path))
    for _ in range(2):
        writer = HistoryWriter(file, str)
        for _ in range(3):
            writer.execution_ended(run())
            while not writer.lost and writer.trouble is None:
                threading.Event().wait(0.01)
        writer.close()
    assert writer.lost == 3 and writer.trouble is not None and cure in writer.trouble
    assert len(caplog.records) == 2, "once for each engine"
    assert writer.status() == {"lost": 3, "trouble": writer.trouble}


def test_a_full_disk_is_named_and_writing_goes_on_when_there_is_room(file: HistoryFile) -> None:
    file.add([run("before")])
    assert file._held is not None
    pages = file._held[0].execute("PRAGMA page_count").fetchone()[0]
    file._held[0].execute(f"PRAGMA max_page_count = {pages}").fetchall()  # as a full disk: SQLITE_FULL
    with pytest.raises(HistoryUnavailable, match="free some space on its disk"):
        file.add([run("x" * 10_000)])
    file.add([run("after")])
    assert codes(file) == ["after", "before"]


@pytest.mark.parametrize("refused", ["INSERT", "DELETE", "COMMIT"])
def test_a_transaction_that_fails_at_any_point_changes_neither_the_file_nor_what_is_counted(
    file: HistoryFile, refused: str
) -> None:
    def deny(action: int, what: str | None, *_: object) -> int:
        named = {sqlite3.SQLITE_INSERT: "INSERT", sqlite3.SQLITE_DELETE: "DELETE"}.get(action, what)
        return sqlite3.SQLITE_DENY if named == refused else sqlite3.SQLITE_OK

    small = HistoryFile(file.path, most_runs=3)
    small.add([run("before")] * 3)
    for _ in range(2):
        assert small._held is not None
        small._held[0].set_authorizer(deny)
        with pytest.raises(HistoryUnavailable):
            small.add([run("lost")])
        assert codes(file) == ["before"] * 3
        small.add([run("before")])
        assert small._sums is not None and small._sums[1] == small.count() == 3
    small.close()


def test_a_file_that_was_deleted_is_made_again(file: HistoryFile) -> None:
    file.add([run("before")])
    for one in Path(file.path).parent.iterdir():
        one.unlink()
    file.add([run("after")])
    assert codes(file) == ["after"]


def test_a_file_that_does_not_answer_delays_nobody_and_the_lost_runs_are_counted(file: HistoryFile) -> None:
    file.add([run()])
    blocker = threading.Event()

    class Stuck(HistoryFile):
        def add(self, traces: Any) -> None:
            blocker.wait()
            raise HistoryUnavailable("Cannot use the history: it is stuck")

    writer = HistoryWriter(Stuck(file.path), str)
    for _ in range(MOST_WAITING + 200):
        writer.execution_ended(run())
    assert writer.lost >= 100
    blocker.set()
    writer.close()
    assert writer.lost == MOST_WAITING + 200


async def execute(places: Places, *programs: str, **settings: Any) -> dict[str, Any]:
    """Run programs on an engine, and return its status."""
    async with open_engine(Settings(typecheck=False, warm_sandboxes=0, **settings), places) as engine:

        async def connect(serve: Any, on_notification: Any) -> Any:
            return engine.connect(serve=serve, on_notification=on_notification)

        async with RawClient(connect=connect, reconnect=False) as client:
            for code in programs:
                try:
                    await client.execute(wire.Execute(code))
                except errors.ExecutionFailed:
                    continue
        return engine.status()


async def test_an_engine_writes_what_has_run_there_and_its_end_waits_for_the_last_one(tmp_path: Path) -> None:
    places = Places(data=str(tmp_path))
    status = await execute(places, "6 * 7", "throw new Error('no luck')")
    assert status["history"] == {"lost": 0, "trouble": None}
    failed, fine = HistoryFile(str(tmp_path / "history.sqlite3")).search()
    assert (fine.title, fine.state, fine.asked_by, fine.error) == ("6 * 7", "ok", "client", None)
    assert (failed.state, failed.has_failed, failed.error) == ("failed", True, "Error: no luck")
    assert failed.started_at > fine.started_at > 1e9 and failed.duration_s > 0


async def test_no_history_is_kept_where_it_is_switched_off_or_has_no_place(tmp_path: Path) -> None:
    status = await execute(Places(data=str(tmp_path)), "1", history=False)
    assert status["history"] == {} and not (tmp_path / "history.sqlite3").exists()
    assert (await execute(Places(), "1"))["history"] == {}


def test_an_error_of_the_system_is_reported_with_a_cure(file: HistoryFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(HistoryUnavailable, match="Read-only file system; make the file and its folder writable"):
        file.add([run()])
