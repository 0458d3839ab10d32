"""The token of sandbox hosts: it lets a host connect and opens nothing else. The server's account has it in a file."""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

from .. import files
from ..errors import CannotWrite
from ..processes import shortage
from ..settings import Settings

FILE = "sandbox-token"
"""Its name in the folder of pctx in Jupyter's data folder."""

TOKEN_VARIABLE = "PCTX_HOST_TOKEN"
"""The environment variable in which a host may find the token."""

SHORTEST = 16
"""Characters that a token must have at least: a shorter one could be guessed, and an empty file is none."""

CURE = "move away what is there, or name another file in c.Pctx.host_token_file"
"""What to do when the token cannot be written though nothing is short."""


def token_file(settings: Settings) -> Path:
    """Return the path of the file with the token."""
    if settings.host_token_file:
        return Path(settings.host_token_file).expanduser()
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir(), "pctx", FILE)


def read_token(file: Path) -> str | None:
    """Read the token; None: there is none, or it is too short."""
    try:
        token = (files.read(str(file)) or b"").decode().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return token if len(token) >= SHORTEST else None


def mint_token(file: Path) -> str:
    """Write a new token to a file that only its owner can read, in place of the one that is there.

    Raises:
        CannotWrite: The file cannot be written.
    """
    token = secrets.token_urlsafe(32)
    try:
        files.write(str(file), f"{token}\n".encode())
    except OSError as error:
        raise CannotWrite(f"Cannot write {file}: {shortage(error, otherwise=CURE)}") from None
    return token


def is_token(given: str, file: Path) -> bool:
    """Whether this is the token of sandbox hosts, now."""
    token = read_token(file)
    return token is not None and hmac.compare_digest(given.encode(), token.encode())
