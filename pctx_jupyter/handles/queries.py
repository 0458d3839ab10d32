"""Runs queries on frames in a process of its own, which is ended when nobody waits for its query any more.

DuckDB does not look whether it is interrupted while one function works on one row, and the memory of such a function
does not count towards its limit: ``repeat('x', 1000000000)``, ``levenshtein``, ``list_sort``. So a query can neither be
ended from within nor bounded. A process can be both. It gets the tables of a query as copies, and ends itself when it
has had no query for a while, or when the kernel ends. One query runs at a time.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from .. import errors, visible
from . import sql

IDLE_S = 120.0
"""Seconds without a query after which the process ends; it takes 0.3 s to start another."""
TURN_S = 0.02
"""Seconds between two looks whether another query is over."""
SPARE_BYTES = 500_000_000
"""Bytes that the process may use for single rows, beside tables and results."""
END_S = 1.0
"""Seconds that the process may take to end once its answer has broken off; then it is killed."""
LONGEST_REASON = 300
"""Characters that are shown of the last line that the process wrote."""
OUT_OF_MEMORY = ("memory", "bad_alloc")
"""What is in that line, in lower case, where memory was short."""

_COMMAND = "import sys; sys.path[:] = {path!r}; from pctx_jupyter.handles.queries import serve; serve()"
"""What the process runs, with the modules that the kernel finds."""


class _Process:
    """The process of queries, while it lives."""

    def __init__(self) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _COMMAND.format(path=[one for one in sys.path if isinstance(one, str)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,  # an interrupt of the kernel is not one of its own
        )
        self.is_used = False
        self.said = ""
        """The last line that it wrote; there once it is closed."""

    @property
    def was_idle(self) -> bool:
        """Whether it has ended itself, after a while without a query."""
        return self.is_used and self._process.returncode == 0

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, asked: object) -> Any:
        """Run a query; raises OSError, EOFError or UnpicklingError if the process ends meanwhile."""
        assert self._process.stdin is not None and self._process.stdout is not None
        pickle.dump(asked, self._process.stdin, 5)
        self._process.stdin.flush()
        found = pickle.load(self._process.stdout)  # its own code wrote it
        self.is_used = True
        return found

    def end(self) -> None:
        """End it at once, whatever it does; any thread may."""
        with suppress(OSError):
            self._process.kill()

    def settle(self) -> None:
        """Let it end by itself after its answer has broken off, so that its status says why."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)

    def close(self) -> None:
        """Drop what is left of it."""
        self.end()
        self._process.wait()
        self.said = _last_line(self._said)
        for pipe in (self._process.stdin, self._process.stdout, self._said):
            if pipe is not None:
                with suppress(OSError):  # what was not written yet
                    pipe.close()

    def why_ended(self, limit: int) -> errors.InvalidParams:
        """Make the error for a query during which it ended; it is closed."""
        status = self._process.returncode
        if status == -signal.SIGKILL or any(one in self.said.lower() for one in OUT_OF_MEMORY):
            return sql.too_large(limit)  # it is the system that kills for want of memory
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        said = f" ({self.said})" if self.said else ""
        return errors.InvalidParams(f"Cannot run a query: its process {how}{said}; run it again, or another one")


def _last_line(file: BinaryIO) -> str:
    """Return the last line of a file, as far as it can be shown."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - LONGEST_REASON))
    return visible.line(file.read().decode(errors="replace").rstrip().rpartition("\n")[2], LONGEST_REASON)


class _Running:
    """The lock that one query holds while it runs, and the process that runs it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: _Process | None = None

    def reset(self) -> None:
        """Forget both after a fork: the parent's query does not run here."""
        self.lock, self.process = threading.Lock(), None

    def ready(self) -> _Process:
        """Return the process; start one if there is none."""
        if self.process is not None and not self.process.is_alive:
            self.close()
        if self.process is None:
            self.process = _Process()
        return self.process

    def close(self) -> None:
        """End the process."""
        process, self.process = self.process, None
        if process is not None:
            process.close()


_running = _Running()
atexit.register(_running.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_running.reset)


class _OneQuery:
    """One query. It runs once, on a thread of its own, and any thread may stop it."""

    def __init__(self, text: object, tables: Mapping[str, Any]) -> None:
        self._asked = (text, dict(tables), sql.memory_limit())
        self._is_stopped = False
        self._process: _Process | None = None  # while it runs there
        self._lock = threading.Lock()  # of `_process`: the next query has the same one

    def stop(self) -> None:
        """End the query, and its process with it; does nothing once it has run."""
        with self._lock:
            self._is_stopped = True
            if self._process is not None:
                self._process.end()

    def run(self) -> Any:
        """Run it; returns its result, or raises its error."""
        sql.demand_query(self._asked[0])
        try:
            return self._run()
        finally:
            with self._lock:
                self._process = None

    def _run(self) -> Any:
        while True:
            process = self._process = _running.ready()
            if self._is_stopped:
                raise errors.Cancelled("Cannot run a query: its call was cancelled")
            try:
                return process.ask(self._asked)
            except (OSError, EOFError, pickle.UnpicklingError):
                process.settle()
                _running.close()
                if not process.was_idle:
                    raise self._ended(process) from None
            except Exception as error:  # of objects that have no copy
                _running.close()
                raise errors.InvalidParams(
                    f"Cannot run a query: a table has values that cannot be copied ({type(error).__name__}: {error}); "
                    "select other columns before"
                ) from None

    def _ended(self, process: _Process) -> errors.PctxError:
        if self._is_stopped:
            return errors.Cancelled("Cannot run a query: its call was cancelled")
        return process.why_ended(self._asked[2])


async def ask(text: object, tables: Mapping[str, Any]) -> Any:
    """Run a query, after those that run already; returns what `sql.query` returns.

    A caller that is cancelled does not wait for the query's end: its process is ended.

    Raises:
        InvalidParams: As `sql.query`, or a table cannot be copied, or the process has ended.
    """
    lock = _running.lock
    while not lock.acquire(blocking=False):  # noqa: ASYNC110  # the other query may be of another loop
        await asyncio.sleep(TURN_S)
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()
    asked = _OneQuery(text, tables)

    def settle(outcome: Any) -> None:
        if not answer.done():
            answer.set_result(outcome)

    def run() -> None:
        outcome: Any
        try:
            outcome = asked.run()
        except BaseException as error:
            outcome = error
        finally:
            lock.release()
        with suppress(RuntimeError):  # the loop is closed: there is no caller any more
            loop.call_soon_threadsafe(settle, outcome)

    try:
        threading.Thread(target=run, name="pctx-query", daemon=True).start()
    except RuntimeError:
        lock.release()
        raise
    try:
        outcome = await answer
    except BaseException:
        asked.stop()
        raise
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


# In the process


def serve() -> None:
    """Run the queries that come by stdin, one after the other. Never returns."""
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    asked: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_read, args=(source, asked), daemon=True).start()
    while True:
        try:
            one = asked.get(timeout=IDLE_S)
        except queue.Empty:
            os._exit(0)
        pickle.dump(_answer(one), sink, 5)
        sink.flush()


def _read(source: BinaryIO, asked: queue.Queue[Any]) -> None:
    """Read queries. The kernel's end is seen at once, also while one runs."""
    while True:
        try:
            asked.put(pickle.load(source))  # the kernel's own code wrote it
        except (EOFError, OSError):
            os._exit(0)
        except MemoryError:  # the rest of the query is still in the pipe
            os.write(2, b"MemoryError")
            os._exit(1)
        except Exception as error:  # a class of the notebook
            asked.put(errors.InvalidParams(f"Cannot run a query: a table has values of the notebook's own: {error}"))


def _answer(asked: Any) -> Any:
    if isinstance(asked, Exception):
        return asked
    text, tables, limit = asked
    try:
        _bound(2 * limit + SPARE_BYTES)
        return sql.query(text, tables, limit)
    except errors.PctxError as error:
        return errors.InvalidParams(error.message)
    except MemoryError:
        return sql.too_large(limit)
    except Exception as error:
        return errors.InvalidParams(f"Cannot run a query: {type(error).__name__}: {str(error)[:1_000]}")


def _bound(more: int) -> None:
    """Let this process use only so many bytes more than it uses now."""
    with suppress(ImportError, OSError, ValueError, StopIteration):  # other systems have no such bound
        import resource

        lines = Path("/proc/self/status").read_text().splitlines()
        now = next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmData"))
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        bound = now + more if most == resource.RLIM_INFINITY else min(now + more, most)
        resource.setrlimit(resource.RLIMIT_DATA, (bound, most))
