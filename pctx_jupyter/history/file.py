"""The file of past runs: an SQLite database that all processes of one user read and write at once.

It knows nothing of sessions, and it neither logs nor waits for anything but the file. `writer` decides what is kept.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from ..errors import CannotWrite
from ..session.meter import Meter
from ..session.trace import Trace, TraceState
from ..tools.calls import AskedBy

FILE = "history.sqlite3"
"""The file, in the folder for what has to be remembered."""

BUSY_S = 2.0
"""Seconds to wait for another process that writes; it needs some milliseconds, unless it is stopped."""
ATTEMPTS = 5
"""Times that an access is tried while the file is locked: for some locks SQLite does not wait at all."""

SPARE = 100
"""Once runs or bytes are beyond their limit, the oldest runs make room for this part of the limit. So that happens once
in a hundred runs: to find them takes 4 ms with 10,000 runs, and a run is written in 0.1 ms."""

MOST_LISTED = 1_000
"""Runs in one answer."""
MOST_TITLE = 120
"""Characters of the first line of a program in a list, and of its error."""

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE runs (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, has_failed INTEGER NOT NULL,
            agent TEXT NOT NULL, words TEXT NOT NULL, trace BLOB NOT NULL, size INTEGER NOT NULL)""",
        "CREATE INDEX runs_by_id ON runs (id)",
        "CREATE INDEX runs_by_size ON runs (number, size)",
    ),
)
"""The statements that lead from each version of the schema to the next one. The version is their number."""

T = TypeVar("T")


class HistoryUnavailable(CannotWrite):
    """The file of past runs cannot be read or written."""


class PastRun(msgspec.Struct):
    """One run that has ended, in few words.

    `number` names it for people, `id` for the other routes. `title` is its first line of code, and `error` the
    beginning of what went wrong. `tools` counts the calls by tool. `has_failed`: it failed, or was stopped at a limit.
    `meter` is what it cost a model; null where that was not counted yet.
    """

    number: int
    id: str
    title: str
    asked_by: AskedBy
    agent: str
    notebook: str | None
    state: TraceState
    has_failed: bool
    started_at: float
    duration_s: float
    calls: int
    failed_calls: int
    tools: dict[str, int]
    error: str | None
    meter: Meter | None = None


class HistoryFile:
    """The past runs in one file.

    Args:
        path: The file. It need not exist.
        most_runs: Runs that are kept; the oldest make room.
        most_bytes: Bytes that they may have together.
        steps: See `STEPS`.
    """

    def __init__(
        self,
        path: str,
        most_runs: int = 10_000,
        most_bytes: int = 64 << 20,
        steps: Sequence[Sequence[str]] = STEPS,
    ) -> None:
        self.path, self._most_runs, self._most_bytes, self._steps = path, most_runs, most_bytes, steps
        self._held: tuple[sqlite3.Connection, int] | None = None  # with the file's number: it may be deleted
        self._sums: tuple[int, int, float] | None = None  # as of which version of the file; runs, bytes

    def add(self, traces: Sequence[Trace]) -> None:
        """Append runs, and delete the oldest ones beyond the limits. It blocks: call it on a thread.

        Raises:
            HistoryUnavailable: Says why, and what to do.
        """
        rows = [_row(trace) for trace in traces]

        def write(there: sqlite3.Connection) -> tuple[int, int, float]:
            there.executemany(
                "INSERT INTO runs (id, has_failed, agent, words, trace, size) VALUES (?, ?, ?, ?, ?, ?)", rows
            )
            return self._make_room(there, len(rows), sum(size for *_, size in rows))

        # Set after the commit. A failure closes the connection and forgets the former sums.
        self._sums = self._use(write, makes=True)

    def search(
        self, text: str = "", *, failed: bool = False, agent: str = "", before: int | None = None, most: int = 20
    ) -> list[PastRun]:
        """Find runs, the latest first. It blocks: call it on a thread.

        Args:
            text: Words, each of which must occur in the code, the error, or a name of a tool, notebook or agent.
            failed: Whether to find only those that failed or were stopped at a limit.
            agent: Words of the agent's name; empty: any asker.
            before: The number that those of the runs are below; None: from the latest on.
            most: Runs to find, up to `MOST_LISTED`.

        Raises:
            HistoryUnavailable: Says why, and what to do.
        """
        where, given = ["number < ?"], [before if before is not None else 1 << 62]
        if failed:
            where.append("has_failed")
        words, agent_words = text.casefold().split(), agent.casefold().split()
        if words:
            where.append("has_words(words)")
        if agent_words:
            where.append("is_agent(agent)")
        query = f"SELECT number, trace FROM runs WHERE {' AND '.join(where)} ORDER BY number DESC LIMIT ?"

        def read(there: sqlite3.Connection) -> list[PastRun]:
            there.create_function("has_words", 1, _finder(words), deterministic=True)
            there.create_function("is_agent", 1, _finder(agent_words), deterministic=True)
            found = there.execute(query, (*given, max(1, min(most, MOST_LISTED))))
            return [_past(number, _trace(trace)) for number, trace in found]

        return self._use(read, makes=False) or []

    def get(self, key: int | str) -> Trace | None:
        """Return a run by its number, or by its id; None: it is not there. It blocks: call it on a thread.

        Raises:
            HistoryUnavailable: Says why, and what to do.
        """
        column = "id" if isinstance(key, str) else "number"
        query = f"SELECT trace FROM runs WHERE {column} = ? ORDER BY number DESC LIMIT 1"
        if isinstance(key, int) and key.bit_length() > 62:
            return None

        def read(there: sqlite3.Connection) -> Trace | None:
            found = there.execute(query, (_encodable(key) if isinstance(key, str) else key,)).fetchone()
            return None if found is None else _trace(found[0])

        return self._use(read, makes=False)

    def count(self) -> int:
        """Return the number of runs. Raises HistoryUnavailable."""
        return self._use(lambda there: int(there.execute("SELECT COUNT(*) FROM runs").fetchone()[0]), makes=False) or 0

    def clear(self) -> int:
        """Delete all runs; returns how many there were. Raises HistoryUnavailable."""
        gone = self._use(lambda there: there.execute("DELETE FROM runs").rowcount, makes=False)

        def shrink(there: sqlite3.Connection) -> None:
            there.execute("PRAGMA incremental_vacuum").fetchall()
            there.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

        self._use(shrink, makes=False, plain=True)
        return gone or 0

    def close(self) -> None:
        """Close the connection that `add` keeps open."""
        if self._held is not None:
            self._held[0].close()
            self._held = self._sums = None

    def _make_room(self, there: sqlite3.Connection, added: int, added_bytes: int) -> tuple[int, int, float]:
        """Delete the oldest runs if there are too many; returns the sums as of now.

        All runs are counted only where another connection has written since the last time.
        """
        (version,) = there.execute("PRAGMA data_version").fetchone()
        if self._sums is not None and self._sums[0] == version:
            runs, size = self._sums[1] + added, self._sums[2] + added_bytes
        else:
            runs, size = there.execute("SELECT COUNT(*), TOTAL(size) FROM runs").fetchone()
        if runs > self._most_runs or size > self._most_bytes:
            runs, size = self._delete_oldest(there)
        return version, runs, size

    def _delete_oldest(self, there: sqlite3.Connection) -> tuple[int, int]:
        """Delete the oldest runs beyond the limits, and some more; returns how many are left, and their bytes."""
        most_runs = self._most_runs - self._most_runs // SPARE
        most_bytes = self._most_bytes - self._most_bytes // SPARE
        runs, size, last = 0, 0, 0
        for number, its in there.execute("SELECT number, size FROM runs ORDER BY number DESC"):
            if runs == most_runs or size + its > most_bytes:
                last = number
                break
            runs, size = runs + 1, size + its
        there.execute("DELETE FROM runs WHERE number <= ?", (last,))
        there.execute("PRAGMA incremental_vacuum").fetchall()
        return runs, size

    def _use(self, act: Callable[[sqlite3.Connection], T], *, makes: bool, plain: bool = False) -> T | None:
        """Do something in one transaction; None: there is no file.

        Args:
            act: What is done.
            makes: Whether a file is made that does not exist.
            plain: Whether there is no transaction.
        """
        if not makes and not Path(self.path).exists():
            return None
        for attempt in range(ATTEMPTS):
            try:
                with self._opened(makes=makes) as there:
                    if plain:
                        return act(there)
                    there.execute("BEGIN IMMEDIATE" if makes else "BEGIN")
                    done = act(there)
                    there.execute("COMMIT")
                    return done
            except (sqlite3.Error, OSError) as error:
                if attempt + 1 < ATTEMPTS and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                    time.sleep(0.02 * (attempt + 1))
                    continue
                raise HistoryUnavailable(f"Cannot use the history in {self.path}: {error}; {_cure(error)}") from None
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _opened(self, *, makes: bool) -> Iterator[sqlite3.Connection]:
        if not makes:
            with closing(self._connect()) as there:
                yield there
            return
        path = Path(self.path)
        if self._held is None or not path.exists() or path.stat().st_ino != self._held[1]:
            self.close()
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # SQLite gives its own mode to a file, and the file's mode to those beside it.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            if os.name == "posix" and path.stat().st_mode & 0o077:
                path.chmod(0o600)
            self._held = self._connect(), path.stat().st_ino
        try:
            yield self._held[0]
        except BaseException:
            self.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        url = f"{Path(self.path).absolute().as_uri()}?mode=rw"
        there = sqlite3.connect(url, timeout=BUSY_S, isolation_level=None, uri=True, check_same_thread=False)
        try:
            version = there.execute("PRAGMA user_version").fetchone()[0]
            if version < len(self._steps):
                self._migrate(there)
            elif version > len(self._steps):
                raise HistoryUnavailable(
                    f"Cannot use the history in {self.path}: a newer version of pctx has written it; update this one"
                )
            there.execute("PRAGMA synchronous = NORMAL")
            there.execute("PRAGMA secure_delete = ON").fetchall()
        except BaseException:
            there.close()
            raise
        return there

    def _migrate(self, there: sqlite3.Connection) -> None:
        there.execute("PRAGMA auto_vacuum = INCREMENTAL")
        there.execute("PRAGMA journal_mode = WAL").fetchall()
        there.execute("BEGIN IMMEDIATE")  # another process may have done so meanwhile
        version = there.execute("PRAGMA user_version").fetchone()[0]
        for step in self._steps[version:]:
            for statement in step:
                there.execute(statement)
        there.execute(f"PRAGMA user_version = {max(version, len(self._steps))}")
        there.execute("COMMIT")


def usual_path() -> str:
    """Return the path of the file in Jupyter's data folder."""
    from jupyter_core.paths import jupyter_data_dir

    return os.path.join(jupyter_data_dir(), "pctx", FILE)  # noqa: PTH118


def _row(trace: Trace) -> tuple[str, bool, str, str, bytes, int]:
    error = f"{trace.error.name}: {trace.error.message}" if trace.error is not None else ""
    parts = (trace.code, error, trace.notebook or "", trace.agent, *(one.tool for one in trace.tools))
    words = _encodable("\n".join(parts)).casefold()
    written = msgspec.json.encode(trace)
    return (
        _encodable(trace.id),
        trace.has_failed,
        _encodable(trace.agent),
        words,
        written,
        len(written) + len(words.encode()),
    )


def _past(number: int, trace: Trace) -> PastRun:
    title = next((line.strip() for line in trace.code.splitlines() if line.strip()), "")
    error = f"{trace.error.name}: {trace.error.message}" if trace.error is not None else None
    return PastRun(
        number,
        trace.id,
        title[:MOST_TITLE],
        trace.asked_by,
        trace.agent,
        trace.notebook,
        trace.state,
        trace.has_failed,
        trace.started_at,
        trace.duration_s or 0.0,
        trace.calls_in_all,
        trace.failed_calls,
        {one.tool: one.calls for one in trace.tools},
        error and error.partition("\n")[0][:MOST_TITLE],
        trace.meter,
    )


def none_found(*filters: object) -> str:
    """Say that no run was found, for people.

    Args:
        filters: What the runs were chosen by; empty where by nothing.
    """
    return "The history has no such run" if any(filters) else "No program has run yet, or none was kept"


def _trace(written: bytes) -> Trace:
    try:
        return msgspec.json.decode(written, type=Trace)
    except msgspec.MsgspecError as error:
        raise sqlite3.DatabaseError(f"a run in it cannot be read ({error})") from None


def _finder(words: list[str]) -> Callable[[str], bool]:
    def find(text: str) -> bool:
        folded = text.casefold()
        return all(word in folded for word in words)

    return find


def _encodable(text: str) -> str:
    """Text without halves of characters, which cannot be written."""
    return text.encode(errors="replace").decode()


def _cure(error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        code &= 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or type(error) is sqlite3.DatabaseError:
        return "delete the file, and a new one is made"
    if code == sqlite3.SQLITE_FULL:
        return "free some space on its disk"
    if code == sqlite3.SQLITE_BUSY:
        return "end the process that is stuck"
    return "make the file and its folder writable for you, or set Pctx.history = False"
