"""Which known name was probably meant, and how a message says so."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

MAX_NAMES = 2000
"""Known names that are compared: each takes some microseconds."""

MAX_CHARACTERS = 100
"""Characters of the wanted name that are compared; longer names have been made up."""


def nearest(wanted: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """Return the known name that is most like the wanted one; None: none is like it.

    Args:
        wanted: The name that was written.
        known: The names there are.
        likeness: From 0 to 1: how much alike two names have to be.
    """
    found = get_close_matches(wanted[:MAX_CHARACTERS], list(islice(known, MAX_NAMES)), n=1, cutoff=likeness)
    return found[0] if found else None


def did_you_mean(wanted: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean …?)"`` for the end of a message; empty: no known name is like the wanted one."""
    found = nearest(wanted, known)
    return f" (did you mean {found}?)" if found is not None else ""
