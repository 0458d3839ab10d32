"""What a text of a configuration refers to: the grammar of ``${…}``, ``$NAME`` and ``~``. Text in, parts out.

The same rule holds for every file, whichever client it was written for. It reads no variable and no secret; `secrets`
does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

ReferenceKind = Literal["env", "keychain", "command", "folder", "folder name", "home", "separator", "input", "unknown"]

KNOWN = (
    "${NAME}, ${NAME:-default}, ${env:NAME}, ${keychain:NAME}, ${command:…}, ${workspaceFolder}, "
    "${workspaceFolderBasename}, ${userHome} and ${pathSeparator}"
)
"""What a text may refer to, for messages."""

_PLACES: dict[str, ReferenceKind] = {
    "workspaceFolder": "folder",
    "workspaceFolderBasename": "folder name",
    "userHome": "home",
    "pathSeparator": "separator",
    "/": "separator",
}
"""Variables of editors, which are no variables of the environment."""

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_BRACES = re.compile(r"\$(\$?)\{((?:[^{}]|\{[^{}]*\})*)\}")
"""A reference in braces, which may hold one more pair: a command with braces, or a default that is a reference."""
_BARE = re.compile(r"((?:[Bb]earer|[Bb]asic|[Tt]oken) )?\$([A-Z_][A-Z0-9_]*)(?=/|\Z)")
"""A variable without braces: in capitals, at the beginning of a value. Elsewhere a ``$`` is likely to be meant."""
_PLAIN = re.compile(rf"(env:)?({_NAME})(?::-(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """A part of a text that stands for something else.

    Args:
        kind: What it stands for.
        name: The variable, entry, command or input.
        default: What stands for a variable that is not set or empty; None: there must be one.
        written: As the configuration has it.
    """

    kind: ReferenceKind
    name: str
    default: str | None
    written: str

    @property
    def is_secret(self) -> bool:
        """Whether it never stands for anything but a secret."""
        return self.kind in ("keychain", "command")


def parts(text: str) -> list[str | Reference]:
    """The parts of a text, in order: what is meant as it is written, and what refers to something."""
    found: list[str | Reference] = []
    at = 0
    if bare := _BARE.match(text):
        scheme, name = bare[1] or "", bare[2]
        found += [scheme] * bool(scheme)
        found.append(Reference("env", name, None, f"${name}"))
        at = bare.end()
    for braces in _BRACES.finditer(text, at):
        if braces.start() > at:
            found.append(text[at : braces.start()])
        found.append(braces[0][1:] if braces[1] else _reference(braces[2], braces[0]))
        at = braces.end()
    if "${" in (rest := text[at:]):
        plain, _, broken = rest.partition("${")
        found += [*[plain] * bool(plain), Reference("unknown", broken, None, "${" + broken)]
    elif rest:
        found.append(rest)
    return found


def _reference(content: str, written: str) -> Reference:
    kind, colon, name = content.partition(":")
    if content in _PLACES:
        return Reference(_PLACES[content], content, None, written)
    if plain := _PLAIN.fullmatch(content):
        return Reference("env", plain[2], plain[3], written)
    if colon and name:
        match kind:
            case "env":
                return Reference("env", name, None, written)
            case "keychain" | "command" | "input":
                return Reference(kind, name, None, written)
    return Reference("unknown", content, None, written)


def trouble(text: str) -> str | None:
    """Why a text cannot be used whatever its variables hold, with the way out; None when it can."""
    for part in parts(text):
        match part:
            case Reference(kind="input"):
                return (
                    f"{part.written} is asked for in an editor, and nobody is asked here; write ${{env:NAME}} or "
                    f"${{keychain:NAME}} in its place"
                )
            case Reference(kind="unknown"):
                return (
                    f"{part.written} stands for nothing known here, and is not sent as it is; there are {KNOWN}; "
                    "$${ is a plain ${"
                )
            case Reference(default=str(default)) if (why := trouble(default)) is not None:
                return why
    return None
