"""What the value of an HTTP header may hold. No message here has a character of a value, since it may be a token."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .. import errors

_SENDABLE = re.compile(r"[\t\x20-\x7e]*")
"""What the value of a header may have: HTTP sends bytes, and every server reads only these as the same characters."""


def unsendable(value: str) -> str | None:
    """Why a header's value cannot be sent, without a character of it."""
    sendable = _SENDABLE.match(value)
    at = 0 if sendable is None else sendable.end()
    if at == len(value):
        return None
    kind = "a line break or control character" if value[at].isascii() else "a character that is not ASCII"
    return f"holds {kind} (character {at + 1})"


def check(headers: Mapping[str, str], where: str) -> None:
    """Refuse headers that cannot be sent, before a library puts them into a message or a log.

    Args:
        headers: Of a request.
        where: Its URL, as it may be shown.

    Raises:
        CannotConnect: Names the header.
    """
    for name, value in headers.items():
        if (why := unsendable(value)) is not None:
            raise errors.CannotConnect(
                f"Cannot connect to {where}: the value of the header {name} {why}; correct it. "
                "A token that is read from a file may end with a line break: token.strip()"
            )
