"""Which MCP servers an administrator permits: commands that may be started, and hosts that may be reached.

A pattern of a command is compared word by word, as a shell would split it; ``*`` as its last word stands for any
further words. A pattern of a host is compared with the host of a URL, or with ``host:port``.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from fnmatch import fnmatchcase

import httpx2

from .. import visible
from .config import Unusable

ANY = "*"
"""The pattern of everything; as the last word of a command's pattern, of any further words."""


def check_command(words: Sequence[str], patterns: Sequence[str], server: str) -> None:
    """Refuse to start a command that is not permitted.

    Args:
        words: The command and its arguments, once references are replaced.
        patterns: What is permitted (``c.Pctx.upstream_commands``).
        server: The name of the server, for the message.

    Raises:
        Unusable: No pattern fits.
    """
    if any(fits(words, pattern) for pattern in patterns):
        return
    raise Unusable(
        f"the command of {server} is not permitted here: {visible.line(shlex.quote(words[0]), 200)}; permitted are "
        f"{_listed(patterns)} (Pctx.upstream_commands)"
    )


def check_host(url: str, patterns: Sequence[str], server: str) -> None:
    """Refuse to connect to a host that is not permitted; raises `Unusable`.

    Args:
        url: The address of the server, once references are replaced.
        patterns: What is permitted (``c.Pctx.upstream_hosts``).
        server: The name of the server, for the message.
    """
    parsed = httpx2.URL(url)
    host = parsed.host.lower().rstrip(".")
    port = parsed.port or {"http": 80, "https": 443}.get(parsed.scheme, 0)
    spelled = (host, f"{host}:{port}")
    if any(fnmatchcase(one, pattern.lower()) for pattern in patterns for one in spelled):
        return
    raise Unusable(
        f"the host of {server} is not permitted here: {visible.line(host, 200)}; permitted are {_listed(patterns)} "
        "(Pctx.upstream_hosts)"
    )


def fits(words: Sequence[str], pattern: str) -> bool:
    """Return whether a pattern of a command fits a command line."""
    wanted = shlex.split(pattern)
    if wanted[-1:] == [ANY]:
        wanted.pop()
        words = words[: len(wanted)]
    return len(words) == len(wanted) and all(map(fnmatchcase, words, wanted))


def _listed(patterns: Sequence[str]) -> str:
    return visible.line(", ".join(patterns), 500) or "none"
