"""Names for those who offer tools to others: notebooks, other kernels, and services. Pure: no I/O, no clock.

A name stays with its owner for as long as the owner is known, whether it is connected or not. So a program that names
a notebook never reaches another one, and a number behind a name never moves.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal, TypeAlias

from .. import errors
from ..tools import names

MOST_ABSENT = 1_000
"""NameOwners without a kernel or a connection whose names are kept; beyond that, the name of the one that is absent the
longest is free again."""
MOST_OF_SERVICE = 10_000
"""Names of namespaces that are kept for one service, those it has no longer among them; the oldest is freed first."""
MOST_EARLIER = 500
"""Tools of an earlier connection of an owner that are remembered by name."""

NameKey: TypeAlias = tuple[str, ...]
"""``("notebook", path)``, ``("kernel", id)``, or ``("service", id, namespace)``."""

Cause = Literal["", "restarted", "died", "shut down", "changed"]
"""What has happened to a kernel since its notebook last offered tools; ``changed``: the notebook has another kernel."""


@dataclass(slots=True, eq=False)
class NameOwner:
    """One that has, or had, a name.

    Args:
        key: Identifies it.
        base: The name without a number.
        name: Its name: a namespace.
        title: What people read: the path of a notebook; empty: it has none.
        kernel_id: The kernel that is its own now; None: it has none.
        had_kernel: Whether a kernel was its own at some time.
        cause: What has happened to its kernel.
        successor: The key of the notebook that this one has become, when it was renamed.
        earlier: The names of the tools that it offered before its connection ended.
    """

    key: NameKey
    base: str
    name: str
    title: str = ""
    kernel_id: str | None = None
    had_kernel: bool = False
    cause: Cause = ""
    successor: NameKey | None = None
    earlier: frozenset[str] = frozenset()


class NameOwners:
    """The names of all owners of one engine."""

    def __init__(self) -> None:
        self._by_key: dict[NameKey, NameOwner] = {}
        self._by_name: dict[str, NameOwner] = {}
        self._by_kernel: dict[str, NameOwner] = {}
        self._of_service: dict[str, deque[NameKey]] = {}

    @property
    def kernels(self) -> list[str]:
        """The kernels that have a name."""
        return list(self._by_kernel)

    def of_kernel(self, kernel_id: str) -> NameOwner | None:
        """The owner that a kernel belongs to; None: it has no name."""
        return self._by_kernel.get(kernel_id)

    def named(self, name: str) -> NameOwner | None:
        """The owner of a name, whether it is connected or not."""
        return self._by_name.get(name)

    def get(self, key: NameKey) -> NameOwner | None:
        """The owner of a key."""
        return self._by_key.get(key)

    def places(self) -> dict[str, str]:
        """The paths of notebooks whose file names other notebooks have too, by kernel."""
        notebooks = Counter(owner.base for owner in self._by_key.values() if owner.key[0] == "notebook")
        return {
            kernel_id: owner.title
            for kernel_id, owner in self._by_kernel.items()
            if owner.key[0] == "notebook" and notebooks[owner.base] > 1
        }

    def name_kernel(self, kernel_id: str, wanted: str, path: str, reserved: Collection[str]) -> NameOwner:
        """Name a kernel's owner, and take note that the kernel is its own.

        Args:
            kernel_id: The kernel.
            wanted: What the name is made of.
            path: The path of its notebook; empty: it has none.
            reserved: Names that no owner may have.
        """
        key = ("notebook", path) if path else ("kernel", kernel_id)
        before = self._by_kernel.get(kernel_id)
        base = _base(wanted)
        if before is not None and before.key != key:
            if before.base == base and path and key not in self._by_key:  # it was moved into another folder
                self._rekey(before, key)
            else:
                self._leave(before, successor=key if path else None)
        owner = self._claim(key, base, reserved)
        owner.title, owner.successor = path, None
        if owner.kernel_id != kernel_id:
            if owner.kernel_id is not None:
                self._by_kernel.pop(owner.kernel_id, None)
            if owner.had_kernel and owner.cause != "shut down":
                owner.cause = "changed"
            owner.kernel_id, owner.had_kernel = kernel_id, True
        self._by_kernel[kernel_id] = owner
        self._tidy()
        return owner

    def name_service(self, id: str, namespace: str, title: str, reserved: Collection[str]) -> str:
        """Return the name of one namespace of a service, with a number behind it where it is taken."""
        key = ("service", id, namespace)
        if key not in self._by_key:
            mine = self._of_service.setdefault(id, deque())
            mine.append(key)
            if len(mine) > MOST_OF_SERVICE and (oldest := self._by_key.get(mine.popleft())) is not None:
                self._drop(oldest)
        owner = self._claim(key, namespace, reserved)
        owner.title = title
        return owner.name

    def make_way(self, reserved: Collection[str]) -> list[NameOwner]:
        """Give other names to owners whose names are reserved by now; returns those."""
        met = [owner for owner in self._by_name.values() if owner.name in reserved]
        for owner in met:
            self._claim(owner.key, owner.base, reserved)
        return met

    def forget_kernel(self, kernel_id: str) -> bool:
        """Take note that a kernel is no more; whether it had a name.

        A notebook keeps its name. That of a kernel without a notebook is free again.
        """
        owner = self._by_kernel.get(kernel_id)
        if owner is None:
            return False
        if owner.cause != "died":
            owner.cause = "shut down"
        self._leave(owner, successor=None)
        self._tidy()
        return True

    def note(self, kernel_id: str, cause: Cause) -> None:
        """Take note of what happens to a kernel."""
        if (owner := self._by_kernel.get(kernel_id)) is not None:
            owner.cause = cause

    def note_earlier(self, kernel_id: str, tools: Iterator[str]) -> None:
        """Remember which tools a kernel offered until its connection ended."""
        if (owner := self._by_kernel.get(kernel_id)) is not None:
            owner.earlier = frozenset(tool for tool, _ in zip(tools, range(MOST_EARLIER), strict=False))

    def _claim(self, key: NameKey, base: str, reserved: Collection[str]) -> NameOwner:
        owner = self._by_key.get(key)
        if owner is not None and owner.base == base and owner.name not in reserved:
            return owner
        if owner is not None:
            self._by_name.pop(owner.name, None)
        name = next(name for name in _numbered(base) if name not in reserved and name not in self._by_name)
        if owner is None:
            owner = self._by_key[key] = NameOwner(key, base, name)
        owner.base, owner.name = base, name
        self._by_name[name] = owner
        return owner

    def _rekey(self, owner: NameOwner, key: NameKey) -> None:
        del self._by_key[owner.key]
        owner.key = key
        self._by_key[key] = owner

    def _leave(self, owner: NameOwner, successor: NameKey | None) -> None:
        if owner.kernel_id is not None:
            self._by_kernel.pop(owner.kernel_id, None)
        if owner.key[0] == "kernel":
            self._drop(owner)
            return
        owner.kernel_id, owner.successor = None, successor
        # The one that is absent the longest comes first.
        self._by_key[owner.key] = self._by_key.pop(owner.key)

    def _drop(self, owner: NameOwner) -> None:
        self._by_key.pop(owner.key, None)
        if self._by_name.get(owner.name) is owner:
            del self._by_name[owner.name]

    def _tidy(self) -> None:
        if len(self._by_key) <= MOST_ABSENT:
            return
        absent = [one for one in self._by_key.values() if one.kernel_id is None and one.key[0] == "notebook"]
        for owner in absent[: max(0, len(absent) - MOST_ABSENT)]:
            self._drop(owner)


def _base(wanted: str) -> str:
    try:
        return names.namespace_name(wanted)
    except errors.InvalidParams:
        return "Untitled"


def _numbered(base: str) -> Iterator[str]:
    yield base
    yield from (f"{base}{number}" for number in count(2))
