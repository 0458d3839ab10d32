"""The methods and notifications between a sandbox and its host, typed.

Those of its output, ``output`` and ``display``, are spelled in `wire`: clients have them as well.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

# host → sandbox
REHEARSE = "rehearse"
RUN = "run"
LATER = "later"

# sandbox → host
READY = "ready"
CALL = "call"
UNHANDLED = "unhandled"
KEPT = "kept"


class Ready(msgspec.Struct):
    """A sandbox is up; `left` names globals it could not remove, and must be empty."""

    left: list[str]


class RunPrelude(msgspec.Struct):
    """What was kept of one earlier program: the names its module exports, its text and its constants."""

    name: str
    names: list[str]
    code: str
    values: dict[str, Raw]


class KeptNotice(msgspec.Struct):
    """A program ended, with these constants; `refused` says of others why they cannot be kept."""

    values: dict[str, Raw]
    refused: dict[str, str]


class ProgramFunction(msgspec.Struct):
    """One function, as ``list_functions()`` shows it to a program; `namespace` is empty for what is built in."""

    name: str
    namespace: str
    description: str
    input_schema: Any
    output_schema: Any


class RunProgram(msgspec.Struct, omit_defaults=True):
    """One program for a sandbox. `namespaces`: global → property → tool path; `places`: calls say where they are.

    `inputs`, which may be large, are written after it (`jsonrpc.raw_with`): the values of its constants by name.
    `functions` is what ``list_functions()`` returns; it is empty for a program that does not name that function.
    `timeout_s` is what the program may take in all: near its end, calls that are not awaited are not waited for.
    """

    code: str
    entry: dict[str, str | None]
    namespaces: dict[str, dict[str, str]]
    output_bytes: int
    display_bytes: int
    timeout_s: float
    prelude: list[RunPrelude] = []
    places: bool = False
    functions: list[ProgramFunction] = []


class CallTool(msgspec.Struct):
    """A program calls a tool by its path; `stack` says where, if it was asked to."""

    name: str
    arguments: Raw | UnsetType = UNSET
    stack: str = ""


class Printed(msgspec.Struct):
    """A program printed something; `level` marks debugging output on ``stdout`` and warnings on ``stderr``."""

    stream: Literal["stdout", "stderr"]
    text: str
    level: Literal["debug", "warn"] | None = None


class Displayed(msgspec.Struct):
    """A program displayed something: content by MIME type.

    `update`: it replaces what was displayed under `display_id`; `is_value`: it displays the program's value.
    """

    data: Raw
    metadata: Raw | UnsetType = UNSET
    display_id: str | None = None
    update: bool = False
    is_value: bool = False


class Thrown(msgspec.Struct):
    """What a sandbox says of an exception; every field is untrusted text."""

    name: str = "Error"
    message: str = ""
    stack: str = ""
    token: str | None = None
    phase: Literal["import", "run", "result"] = "run"
