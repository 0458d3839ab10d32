"""How much memory the control group of this process may have, and whether all sandboxes fit into it at once.

A pod or a container is a control group. Its limit counts the server, its kernels and all sandboxes together. When it
is reached, the system ends one of these processes, not the program that used the most.
"""

from __future__ import annotations

from pathlib import Path

from .settings import MIB, Settings

SANDBOX_MB = 35
"""Megabytes of one sandbox at its start, which ``max_memory_mb`` does not count."""

OWN_MB = 256
"""Megabytes of a server (113), one kernel (48), the launcher (5) and the type checker (80), measured on Linux."""

_CGROUPS = Path("/sys/fs/cgroup")
_PROCESS = Path("/proc/self/cgroup")


def cgroup_limit(cgroups: Path = _CGROUPS, process: Path = _PROCESS) -> int | None:
    """Return the bytes of memory that this process's control group may have; None: it has no limit.

    Args:
        cgroups: Where the system shows control groups.
        process: The file that names those of this process.
    """
    try:
        lines = process.read_text().splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, file = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            root, file = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be the host's, while the mounted root is the container's own group.
        group = root / path.lstrip("/")
        limits += [_limit(folder / file) for folder in (group, *group.parents) if folder.is_relative_to(root)]
    known = [limit for limit in limits if limit is not None]
    return min(known, default=None)


def _limit(file: Path) -> int | None:
    """Return the number in a file; None: it has none, or one that is larger than any machine."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() and int(text) < 1 << 60 else None


def needed(settings: Settings) -> int:
    """Return the bytes that a server needs when each sandbox that may run uses all that it may."""
    return (OWN_MB + settings.max_running * (settings.limits.max_memory_mb + SANDBOX_MB)) * MIB


def shortage(settings: Settings, limit: int | None) -> tuple[str, str] | None:
    """Say that the sandboxes do not fit, and which settings would fit.

    Args:
        settings: Say how many sandboxes may run, and how much memory each may use.
        limit: The bytes that there are; None: any number.

    Returns:
        What is the case, and what to do; None: they fit.
    """
    if limit is None or needed(settings) <= limit:
        return None
    each = settings.limits.max_memory_mb
    state = (
        f"{settings.max_running} programs of up to {each:,} MiB each may need {needed(settings) // MIB:,} MiB with the "
        f"server, and the control group of this process has {limit // MIB:,} MiB"
    )
    free = limit // MIB - OWN_MB
    if fitting := max(0, free // (each + SANDBOX_MB)):
        return state, f"set c.Pctx.max_running = {fitting}, or a smaller c.Pctx.max_memory_mb"
    if (smaller := free - SANDBOX_MB) > 0:
        return state, f"set c.Pctx.max_running = 1 and c.Pctx.max_memory_mb = {smaller}"
    return state, "give it more memory"
