"""Describes the objects that a kernel holds for programs, for a list that people read.

It reads shapes and sizes alone, and runs no code of the objects but what their shape takes, so the bridge's thread may
do it while a cell runs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice
from typing import Any

from ..handles.table import Handle, Handles, KernelHandles
from ..rpc import wire

log = logging.getLogger(__name__)


def shape_of(handle: Handle[Any]) -> list[int]:
    """Return the rows and columns of a frame, or the lengths of an array; [] if an object has none."""
    try:
        if handle.kind == "frame":
            return [len(handle.value), len(handle.value.columns)]
        return [int(length) for length in handle.value.shape] if handle.kind == "array" else []
    except Exception:  # the notebook may be changing the object at this moment
        log.debug("held = an object without a shape", exc_info=True)
        return []


def size_of(handle: Handle[Any]) -> int:
    """Return the bytes of a frame or an array, roughly; 0: the size of an object of this kind is not known."""
    return handle.size if handle.kind in ("frame", "array") else 0


def listed(handles: KernelHandles, running: Iterable[Handles]) -> wire.HeldHandles:
    """List the objects of a kernel, those of programs that run first.

    Args:
        handles: The kernel's.
        running: The tables of the programs that run now.
    """
    now, found = handles.now(), handles.held(running)
    rows = [
        wire.HeldHandle(
            (one := held.handle).id,
            one.label[: wire.LONGEST_HANDLE_TEXT],
            one.kind,
            held.by,
            shape_of(one),
            size_of(one),
            [name[: wire.LONGEST_HANDLE_TEXT] for name in held.names],
            one.whose[: wire.LONGEST_HANDLE_TEXT],
            round(now - one.since, 3),
            None if held.left_s is None else round(held.left_s, 3),
        )
        for held in islice(found, wire.MOST_HANDLES)
    ]
    return wire.HeldHandles(rows, more=sum(1 for _ in found))
