"""Records each execution that has ended in the file of past runs, on a thread of its own.

The engine's loop never waits for the file. Where it cannot be written, or not fast enough, runs are lost and counted.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from .. import processes
from ..rpc.jsonrpc import Json
from ..session.execution import CallMade
from ..session.trace import REFUSALS, CallRecord, Trace
from ..threads import OneThread
from .file import HistoryFile, HistoryUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_WAITING = 256
"""Runs that may wait to be written; one has 3 kB at the median and 100 kB at most."""
MOST_BATCH = 64
"""Runs that are written in one transaction."""
MOST_CALLS = 100
"""Calls of one run that are kept one by one; all of them are counted."""
PAUSE_S = 0.1
"""Seconds between two transactions: one takes half a millisecond of processor time, however few runs it writes. The
first run after a while is written at once."""
READ_S = 10.0
"""Seconds that reading past runs may take, with the wait for others that read; it takes some milliseconds."""
CLOSE_S = 3.0
"""Seconds that the end of an engine waits for runs that are not written yet."""


class HistoryWriter:
    """Writes past runs; an observer (`session.observers.Observer`).

    Args:
        file: Where they are kept.
        clean: Takes secrets out of a text.
        has_code: Whether the code of programs is kept.
        has_values: Whether the beginnings of arguments, results and console output are kept.

    Attributes:
        lost: The runs that could not be written.
        trouble: Why the last ones could not; None: they could.
    """

    def __init__(
        self, file: HistoryFile, clean: Callable[[str], str], *, has_code: bool = True, has_values: bool = False
    ) -> None:
        self.file, self.lost = file, 0
        self.trouble: str | None = None
        self._clean, self._has_code, self._has_values = clean, has_code, has_values
        self._waiting: queue.Queue[Trace | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._said: str | None = None
        self._is_closing = threading.Event()
        self._reading = OneThread()

    def execution_ended(self, trace: Trace) -> None:
        """Let the thread write a run."""
        try:
            self._waiting.put_nowait(self._kept(trace))
        except queue.Full:
            self.lost += 1
            return
        self._is_writing()

    def call_ended(self, trace: Trace, call: CallMade) -> None:
        """Do nothing: the trace counts calls."""

    def wait(self) -> None:
        """Block until all runs are written, or lost; not if there can be no thread that writes."""
        if self._thread is not None or (not self._waiting.empty() and self._is_writing()):
            self._waiting.join()

    async def read(self, query: Callable[[HistoryFile], T]) -> T:
        """Read the file once all runs are written, or lost, on a thread.

        Args:
            query: Reads it; blocks.

        Raises:
            HistoryUnavailable: It cannot be read, or not within `READ_S`.
        """

        def read() -> T:
            self.wait()
            return query(self.file)

        try:
            return await self._reading.run(read, READ_S)
        except TimeoutError:
            raise HistoryUnavailable(
                f"Cannot read the history: the disk of {self.file.path} has not answered within {READ_S:g} s; try later"
            ) from None

    def status(self) -> dict[str, Json]:
        """Return how many runs were lost, and why, for people and health checks."""
        return {"lost": self.lost, "trouble": self.trouble}

    def close(self) -> None:
        """Write what waits, and end the thread; it blocks for `CLOSE_S` at most."""
        if self._thread is None:
            return
        self._is_closing.set()
        try:
            self._waiting.put(None, timeout=CLOSE_S)
        except queue.Full:
            return  # the thread is stuck; it ends with its process
        self._thread.join(CLOSE_S)

    def _is_writing(self) -> bool:
        """Whether there is a thread that writes; start it if need be."""
        if self._thread is None:
            thread = threading.Thread(target=self._write, daemon=True, name="pctx history")
            try:
                thread.start()
            except RuntimeError as error:  # there can be no more threads: the next run tries again
                self._fail(0, f"Cannot write the history: {processes.lack(error) or error}")
                return False
            self._thread = thread
        return True

    def _write(self) -> None:
        is_open, again_at = True, 0.0
        while is_open:
            batch = [self._waiting.get()]
            if (pause_s := again_at - time.monotonic()) > 0:
                self._is_closing.wait(pause_s)
            while len(batch) < MOST_BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            is_open = None not in batch
            self._add([one for one in batch if one is not None])
            for _ in batch:
                self._waiting.task_done()
            again_at = time.monotonic() + PAUSE_S
        self.file.close()

    def _add(self, runs: list[Trace]) -> None:
        if not runs:
            return
        try:
            self.file.add(runs)
        except HistoryUnavailable as error:
            self._fail(len(runs), error.message)
        except Exception as error:  # the thread must live on
            log.exception("history = failed")
            self._fail(len(runs), f"Cannot use the history in {self.file.path}: {type(error).__name__}")
        else:
            self.trouble = None

    def _fail(self, runs: int, why: str) -> None:
        self.lost += runs
        self.trouble = why
        if self._said != why:
            self._said = why
            log.warning("%s. Programs run as before", why)

    def _kept(self, trace: Trace) -> Trace:
        """A trace without what is not to be kept."""
        error, check = trace.error, trace.check
        if error is not None:
            frame = self._text(error.frame) if error.frame and self._has_code else None
            error = msgspec.structs.replace(error, message=self._text(error.message), frame=frame)
        if check is not None and check.message is not None:
            message = self._text(check.message) if self._has_code else None
            check = msgspec.structs.replace(check, message=message)
        console = trace.console if self._has_values else []
        return msgspec.structs.replace(
            trace,
            code=self._text(trace.code) if self._has_code else "",
            agent=self._text(trace.agent),
            notebook=trace.notebook and self._text(trace.notebook),
            error=error,
            check=check,
            console=[msgspec.structs.replace(line, text=self._text(line.text)) for line in console],
            console_cut=trace.console_cut or (bool(trace.console) and not self._has_values),
            calls=[self._call(call) for call in trace.calls[:MOST_CALLS]],
            result=self._text(trace.result) if self._has_values else "",
        )

    def _call(self, call: CallRecord) -> CallRecord:
        if self._has_values:
            error = None if call.error is None else self._text(call.error)
            arguments, result = self._text(call.arguments), self._text(call.result)
            return msgspec.structs.replace(call, arguments=arguments, result=result, error=error)
        error = None if call.error is None else REFUSALS.get(call.decision or "", "failed")
        return msgspec.structs.replace(call, arguments="", result="", error=error, note=None)

    def _text(self, text: str) -> str:
        # Halves of characters cannot be written.
        return self._clean(text).encode(errors="replace").decode()
