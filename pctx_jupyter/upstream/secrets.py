"""What a configuration refers to, such as ``${env:NAME}``: read late, and kept out of texts that leave.

A `SecretText` is what a person wrote; its value is read as late as possible, when a connection is made, and
only that connection keeps it. A `Redactor` takes known values out of texts that leave. Nothing here is ever logged.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from .. import errors, processes, threads, visible
from . import references, spellings
from .references import Reference

COMMAND_S = 30.0
"""Seconds a ``${command:…}`` may take: some ask for a finger on a key."""

KEYCHAIN_S = 25.0
"""Seconds a ``${keychain:…}`` may take: some ask for a password. An attempt to connect takes 30."""

KEYCHAIN_SERVICE = "pctx"
"""The name under which keychain entries are looked up; the entry's own is the user name."""

SHORTEST = 6
"""Characters a value must have to be taken out of texts: a shorter one would be found by accident."""

HIDDEN = "***"

LONGEST_RECORD = 4_000
"""Characters of a library's log record: some hold a whole message."""

PUBLIC = ("HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TEMP", "TMP", "TMPDIR", "TZ", "USER", "USERPROFILE")
"""Variables that hold no secret. Every other one may, so its value is taken out of texts."""

_keychain: WeakKeyDictionary[asyncio.AbstractEventLoop, threads.OneThread] = WeakKeyDictionary()

_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSW", "AUTH", "CREDENTIAL", "COOKIE")


@dataclass(frozen=True, slots=True)
class SecretText:
    """A text that may refer to secrets, or be one; it shows nothing of itself.

    Args:
        written: As the configuration has it.
    """

    written: str

    def __repr__(self) -> str:
        return f"SecretText({HIDDEN})"

    __str__ = __repr__

    @property
    def parts(self) -> list[str | Reference]:
        """What is written, and what it refers to, in order."""
        return references.parts(self.written)

    @property
    def has_reference(self) -> bool:
        """Whether it refers to something, and need not be secret itself."""
        return any(isinstance(part, Reference) for part in self.parts)

    @property
    def references(self) -> list[str]:
        """What it refers to, as it is written: ``${env:NAME}``."""
        return [part.written for part in self.parts if isinstance(part, Reference)]

    async def resolve(self, folder: str = "") -> tuple[str, list[str]]:
        """Read what it refers to.

        Args:
            folder: What ``${workspaceFolder}`` is; "": the current folder.

        Returns:
            The whole text, and those values in it that may be secret.

        Raises:
            SecretUnavailable: One of them cannot be read; names the reference, and nothing of a value.
        """
        text, secret = "", []
        for value, hidden in await self.read(folder):
            text += value
            secret += hidden
        return text, secret

    async def read(self, folder: str = "") -> list[tuple[str, list[str]]]:
        """Read each part; as `resolve`, with what may be secret in each."""
        if (why := references.trouble(self.written)) is not None:
            raise SecretUnavailable(f"Cannot use a value: {why}")
        return [(part, []) if isinstance(part, str) else await _read(part, folder) for part in self.parts]


def without_references(written: str) -> str:
    """What is written between references."""
    return "".join(part for part in references.parts(written) if isinstance(part, str))


def has_secret_name(name: str) -> bool:
    """Whether a header or variable of this name is likely to hold a secret."""
    return any(word in name.upper() for word in _SECRET_WORDS)


def is_secret(name: str, text: SecretText) -> bool:
    """Whether the value of a header or variable that refers to nothing is likely to be secret itself."""
    # The URL has no name: what is secret in it refers to something, or cannot be told from the rest.
    return bool(name) and not text.has_reference and has_secret_name(name)


class SecretUnavailable(errors.PctxError):
    """A secret cannot be read."""


async def _read(reference: Reference, folder: str) -> tuple[str, list[str]]:
    """The value of a reference, and what may be secret in it."""
    folder = folder or os.getcwd()  # noqa: PTH109
    match reference.kind:
        case "env":
            return await _from_environment(reference, folder)
        case "folder":
            return folder, []
        case "folder name":
            return os.path.basename(folder), []  # noqa: PTH119
        case "home":
            return str(Path.home()), []
        case "separator":
            return os.sep, []
        case "keychain":
            value = await _from_keychain(reference.name)
            return value, [value]
    value = await _from_command(reference.name)
    return value, [value]


async def _from_environment(reference: Reference, folder: str) -> tuple[str, list[str]]:
    name, default = reference.name, reference.default
    value = os.environ.get(name)
    if value is None and name == "CLAUDE_PROJECT_DIR":  # Claude Code sets it for what it starts
        return folder, []
    if value is None or (not value and default is not None):
        if default is None:
            raise SecretUnavailable(
                f"Cannot read {reference.written}: this environment variable is not set; set it where Jupyter is "
                f"started, or give a default: ${{{name}:-…}}"
            )
        value, secret = await SecretText(default).resolve(folder)
        # A default is in the file for all to read. Where its name says that it is secret, it is taken for one.
        return value, [value] if has_secret_name(name) else secret
    return value, [] if name in PUBLIC else [value]


async def _from_keychain(name: str) -> str:
    # Locked, it does not answer until its user has typed a password, and neither does any other entry.
    turn = _keychain.setdefault(asyncio.get_running_loop(), threads.OneThread())
    try:
        return await turn.run(lambda: _read_keychain(name), KEYCHAIN_S)
    except TimeoutError:
        raise SecretUnavailable(
            f"Cannot read ${{keychain:{name}}}: the keychain has not answered within {KEYCHAIN_S:g} s; unlock it"
        ) from None


def _read_keychain(name: str) -> str:
    try:
        import keyring
    except ImportError:
        raise SecretUnavailable(
            f"Cannot read ${{keychain:{name}}}: the package keyring is missing; pip install keyring"
        ) from None
    try:
        value = keyring.get_password(KEYCHAIN_SERVICE, name)
    except Exception as error:  # every backend has its own
        raise SecretUnavailable(f"Cannot read ${{keychain:{name}}}: {type(error).__name__}") from None
    if value is None:
        raise SecretUnavailable(
            f"Cannot read ${{keychain:{name}}}: there is no such entry; keyring set {KEYCHAIN_SERVICE} {name}"
        )
    return value


async def _from_command(command: str) -> str:
    shown = f"${{command:{command[:60]}}}"
    try:
        # Its stderr is not read: it may hold secrets.
        done = await processes.run("/bin/sh", "-c", command, within_s=COMMAND_S)
    except TimeoutError:
        raise SecretUnavailable(f"Cannot read {shown}: it did not end within {COMMAND_S:g} s") from None
    except (OSError, ValueError) as error:  # too long, or it holds NUL
        raise SecretUnavailable(f"Cannot read {shown}: it cannot be started ({type(error).__name__})") from None
    if done.status:
        raise SecretUnavailable(f"Cannot read {shown}: it ended with status {done.status}")
    value = done.stdout.decode(errors="replace").strip()
    if not value:
        raise SecretUnavailable(f"Cannot read {shown}: it wrote nothing")
    return value


class Redactor:
    """Takes secret values out of texts, in each form in which they commonly appear."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._bytes: re.Pattern[bytes] | None = None

    def learn(self, values: Iterable[str]) -> None:
        """Know these values from now on, and no others."""
        self._values = set()
        self.learn_more(values)

    def learn_more(self, values: Iterable[str]) -> None:
        """Know these values, too."""
        self._values |= set(values)
        hidden = sorted((value for value in self._values if len(value) >= SHORTEST), key=len, reverse=True)
        source = "|".join(map(spellings.pattern, hidden))
        self._pattern = re.compile(source) if hidden else None
        self._bytes = re.compile(source.encode(errors=spellings.BYTES)) if hidden else None

    def clean(self, text: str) -> str:
        """The text without them."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)

    def clean_json(self, payload: bytes) -> bytes:
        """JSON without them; it stays JSON."""
        if self._bytes is None or self._bytes.search(payload) is None:
            return payload
        return msgspec.json.encode(self._clean_value(msgspec.json.decode(payload)))

    def _clean_value(self, value: Any) -> Any:
        match value:
            case str():
                return self.clean(value)
            case dict():
                return {self.clean(key): self._clean_value(inner) for key, inner in value.items()}
            case list():
                return [self._clean_value(inner) for inner in value]
            case int() | float() if HIDDEN in self.clean(str(value)):
                return HIDDEN
        return value


class RedactingFilter(logging.Filter):
    """Takes the secrets that any of these redactors know out of a library's log records, and what would forge lines.

    Such a library writes down what servers say, as they say it.
    """

    def __init__(self, redactors: Iterable[Redactor]) -> None:
        super().__init__()
        self._redactors = redactors

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            lines = self._clean(logging.Formatter().formatException(record.exc_info)).splitlines()
            record.exc_text = "\n".join("  " + visible.spelled(line) for line in lines)
            record.exc_info = None
        record.msg, record.args = visible.line(self._clean(record.getMessage()), LONGEST_RECORD), ()
        return True

    def _clean(self, text: str) -> str:
        for redactor in self._redactors:
            text = redactor.clean(text)
        return text
