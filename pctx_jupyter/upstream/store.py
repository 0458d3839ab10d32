"""What one user's processes have to remember together: JSON values by key, in one file that all of them may change.

A change reads the file, changes one key and replaces the file, under a file lock. So no process undoes the change of
another one. A change that cannot be written holds in this process until it can. Nobody who only reads waits for the
file lock. It knows nothing of what the values mean.
"""

from __future__ import annotations

import enum
import errno
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Generic, Protocol, TypeAlias, TypeVar

import filelock
import msgspec
from msgspec import Raw

from .. import files, processes

log = logging.getLogger(__name__)

LOCK_S = 2.0
"""Seconds to wait for another process that changes the same file; it needs some milliseconds, unless it is stopped."""

IN_LOOP_S = 0.1
"""Those seconds for a store that is changed in an event loop: others wait meanwhile, and the change is retried."""

STUCK_S = LOCK_S
"""Seconds after which a change that waits for another process is said to be in trouble: before, it is written soon."""

LOCK_POLL_S = 0.01
"""Seconds between two attempts to get the lock."""

MOST_UNSAVED = 1000
"""Changes that are kept while the file cannot be written; of more, the latest."""

CURES = {
    errno.ENOSPC: "free some space on its disk",
    errno.EDQUOT: "free some space in your quota",
    errno.EROFS: "make its folder writable",
    errno.EACCES: "make its folder writable for you",
    errno.EPERM: "make its folder writable for you",
    errno.ETIMEDOUT: "end the process that is stuck",
}
"""What a person can do about an error of the system, by its number."""

HOLDS = "it holds until this process ends"
"""What follows when a change cannot be written."""

T = TypeVar("T")

_Change: TypeAlias = tuple[str, Callable[[T | None], T | None]]
"""A key, and the function that changes its value."""


class StorePlace(Protocol):
    """Where the text of a store is kept."""

    shown: str
    """Its name for people."""

    def read(self) -> bytes | None:
        """The text; None: there is none. Raises OSError."""

    def write(self, text: bytes) -> None:
        """Replace the text. Raises OSError."""

    def mark(self) -> object:
        """Changes when the text does; None where that is unknown without reading it."""

    def set_aside(self) -> None:
        """Keep a text that cannot be read out of the way of the next one. Raises OSError."""


class FilePlace:
    """A file that only its owner can read."""

    def __init__(self, path: str) -> None:
        self.shown = self._path = path

    def read(self) -> bytes | None:
        return files.read(self._path, most=None)

    def write(self, text: bytes) -> None:
        files.write(self._path, text)

    def mark(self) -> object:
        return files.mark(self._path) or "none"

    def set_aside(self) -> None:
        Path(self._path).replace(f"{self._path}.broken")


class _Condition(enum.Enum):
    """How the text of a store is found."""

    GOOD = "good"
    UNREADABLE = "unreadable"
    """The system refuses to read it: nothing may be put in its place."""
    BROKEN = "broken"
    """It is no JSON object: it is set aside before another one is written."""


class Store(Generic[T]):
    """Values of one type, by key. Several processes and threads may use it.

    Args:
        place: Where they are kept; None: they last as long as this object.
        lock: The file whose lock guards changes; "": there is none.
        kind: Their type, as msgspec reads and writes it.
        what: What they are, to begin a sentence with: ``the trusted servers``.
        unread: What follows when they cannot be read, to end that sentence with.
        lock_s: Seconds that a change waits for that lock.
    """

    def __init__(
        self,
        place: StorePlace | None,
        lock: str,
        kind: type[T],
        *,
        what: str,
        unread: str,
        lock_s: float = LOCK_S,
    ) -> None:
        self._place, self._lock_path, self._kind = place, lock, kind
        self._what, self._unread, self._lock_s = what, unread, lock_s
        self._guard = threading.RLock()  # never held while the file lock is waited for: an event loop may need it
        self._mark: object = object()
        self._changes_of_others = 0
        self._raw: dict[str, Raw] = {}
        self._decoded: dict[str, T] = {}
        self._unsaved: list[_Change[T]] = []
        self._unsaved_since: float | None = None  # since when somebody tries to write them
        self._condition = _Condition.GOOD
        self._read_trouble: str | None = None
        self._write_trouble: str | None = None
        self._set_aside: str | None = None

    @property
    def trouble(self) -> str | None:
        """Why the place cannot be read or written, for people; None when it can."""
        with self._guard:
            self._refresh()
            return self._write_trouble or self._read_trouble or self._set_aside

    @property
    def mark(self) -> object:
        """Changes when anybody has changed something, and when it can be read again."""
        with self._guard:
            self._refresh()
            return self._mark, len(self._unsaved), self._condition is _Condition.UNREADABLE

    @property
    def changes_of_others(self) -> int:
        """Grows when another object or process has changed something, never by a change through this one."""
        with self._guard:
            self._refresh()
            return self._changes_of_others

    def get(self, key: str) -> T | None:
        """The value of a key as it is now; only `change` may alter it."""
        with self._guard:
            self._refresh()
            if key not in self._decoded:
                value = self._decode(self._raw.get(key))
                for changed, change in self._unsaved:
                    if changed == key:
                        value = change(value)
                if value is None:
                    return None
                self._decoded[key] = value
            return self._decoded[key]

    def change(self, key: str, change: Callable[[T | None], T | None]) -> None:
        """Change the value of one key; if it cannot be written, it holds in this process and `trouble` says so.

        Args:
            change: Returns the new value; None: none. It may alter what it is given. It is called again when the
                change has to be repeated on what another process has written meanwhile.
        """
        self._add(key, change)
        with suppress(OSError):
            self._save(self._lock_s)

    def change_or_raise(self, key: str, change: Callable[[T | None], T | None]) -> None:
        """Change the value of one key. Raises OSError when it cannot be written: then nothing has changed."""
        added = self._add(key, change)
        try:
            self._save(self._lock_s)
        except OSError:
            with self._guard:
                if added not in self._unsaved:  # another thread has written it meanwhile
                    return
                self._unsaved = [one for one in self._unsaved if one is not added]
                self._decoded.pop(key, None)
                if not self._unsaved:
                    self._write_trouble = self._unsaved_since = None
            raise

    def retry(self, lock_s: float = 0.0) -> None:
        """Write what could not be written before, if there is anything.

        Args:
            lock_s: Seconds to wait for a process that changes the same file.
        """
        if self._unsaved:
            with suppress(OSError):
                self._save(lock_s)

    def _add(self, key: str, change: Callable[[T | None], T | None]) -> _Change[T]:
        added = (key, change)
        with self._guard:
            self._unsaved = [*self._unsaved, added][-MOST_UNSAVED:]
            self._decoded.pop(key, None)
        return added

    def _save(self, lock_s: float) -> None:
        """Apply what is unsaved to what is kept now, and keep the outcome. Raises OSError."""
        if self._unsaved_since is None:
            self._unsaved_since = time.monotonic()
        try:
            with locked(self._lock_path, lock_s), self._guard:
                self._write()
        except OSError as error:
            is_late = time.monotonic() - (self._unsaved_since or 0) >= STUCK_S
            if error.errno == errno.ETIMEDOUT and not is_late:
                raise
            with self._guard:
                before, self._write_trouble = self._write_trouble, self._trouble("written", error, HOLDS)
            if self._write_trouble != before:
                log.warning("store = %s", self._write_trouble)
            raise

    def _write(self) -> None:
        self._decoded.clear()
        self._refresh(always=True)
        raw = dict(self._raw)
        for key, change in self._unsaved:
            value = change(self._decode(raw.get(key)))
            if value is None:
                raw.pop(key, None)
            else:
                raw[key] = Raw(msgspec.json.encode(value))
        if self._place is not None and raw != self._raw:
            self._replace(self._place, raw)
        self._raw, self._unsaved, self._unsaved_since = raw, [], None
        self._write_trouble = None
        if self._place is None:
            self._mark = object()

    def _replace(self, place: StorePlace, raw: dict[str, Raw]) -> None:
        if self._condition is _Condition.UNREADABLE:
            raise OSError(errno.EACCES, "what is there cannot be read")
        if self._condition is _Condition.BROKEN:
            place.set_aside()
            self._set_aside = f"{self._read_trouble}; what was there is kept beside it"
        place.write(msgspec.json.encode(raw))
        self._mark, self._condition, self._read_trouble = place.mark(), _Condition.GOOD, None

    def _refresh(self, *, always: bool = False) -> None:
        """Read what others have written; what cannot be read counts as nothing."""
        if self._place is None:
            return
        mark = self._place.mark()
        if mark != self._mark:
            self._changes_of_others += 1
        is_known = mark is not None and mark == self._mark and self._condition is not _Condition.UNREADABLE
        if is_known and not always:
            return
        self._mark = mark
        self._decoded.clear()
        try:
            text = self._place.read()
            self._raw = {} if not text else msgspec.json.decode(text, type=dict[str, Raw])
            self._condition, self._read_trouble = _Condition.GOOD, None
        except OSError as error:
            self._note_unread(_Condition.UNREADABLE, error)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._note_unread(_Condition.BROKEN, OSError(errno.EINVAL, "it is no JSON object"))

    def _note_unread(self, condition: _Condition, error: OSError) -> None:
        trouble = self._trouble("read", error, self._unread)
        if trouble != self._read_trouble:
            log.warning("store = %s", trouble)
        self._raw, self._condition, self._read_trouble = {}, condition, trouble

    def _decode(self, raw: Raw | None) -> T | None:
        """A value that is kept; what is of another type counts as nothing."""
        if raw is None:
            return None
        try:
            return msgspec.json.decode(raw, type=self._kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            why = OSError(errno.EINVAL, "a part of it has another form")
            self._read_trouble = self._trouble("read", why, self._unread)
            return None

    def _trouble(self, verb: str, error: OSError, outcome: str) -> str:
        """A sentence about a failure: what, where, why, what follows, and what a person can do."""
        assert self._place is not None  # what is kept nowhere can always be kept
        cure = CURES.get(error.errno or 0, "")
        why = error.strerror if cure else processes.shortage(error, otherwise="")
        return f"{self._what} cannot be {verb} ({self._place.shown}: {why}); {outcome}{f'; {cure}' if cure else ''}"


@contextmanager
def locked(path: str, lock_s: float = LOCK_S) -> Iterator[None]:
    """Hold the lock of a file for a block, against other processes; "": there is no lock.

    Raises:
        OSError: Another process has not released it within `lock_s` seconds, or there can be none.
    """
    if not path:
        yield
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = filelock.FileLock(path, mode=0o600)
    try:
        lock.acquire(timeout=lock_s, poll_interval=LOCK_POLL_S)
    except filelock.Timeout:
        raise OSError(errno.ETIMEDOUT, f"another process holds {path}") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked_edit(path: str, data: str) -> Iterator[None]:
    """Hold a lock for a block that reads and writes a file which people keep among their own.

    The lock lies in the folder for what has to be remembered, not beside the file. Where there can be no lock, the
    block runs without one: what a person asks for counts more.

    Args:
        path: The file.
        data: That folder; "": there is none.
    """
    name = hashlib.sha256(os.path.realpath(path).encode(errors="surrogateescape")).hexdigest()[:32]
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(os.path.join(data, "locks", f"{name}.lock") if data else ""))  # noqa: PTH118
        except OSError as error:
            log.warning("store = %s is edited without a lock: %s", path, error.strerror)
        yield


class InStore(Generic[T]):
    """What is kept in one store, as the base of what says what it means.

    Args:
        store: Where it is kept.
    """

    def __init__(self, store: Store[T]) -> None:
        self._store = store

    @property
    def trouble(self) -> str | None:
        """Why the file cannot be read or written; None when it can."""
        return self._store.trouble

    @property
    def mark(self) -> object:
        """Changes when any process has changed something."""
        return self._store.mark

    def retry(self, lock_s: float = 0.0) -> None:
        """Write what could not be written before; the argument is that of `Store.retry`."""
        self._store.retry(lock_s)


def open_store(path: str, kind: type[T], *, what: str, unread: str, lock_s: float = LOCK_S) -> Store[T]:
    """A store in a file; the arguments are those of `Store`.

    Args:
        path: The file; "": the values last as long as the store.
    """
    place = FilePlace(path) if path else None
    return Store(place, f"{path}.lock" if path else "", kind, what=what, unread=unread, lock_s=lock_s)
