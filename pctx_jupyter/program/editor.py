"""What an editor asks about a program while it is written, and what it is answered. Positions are UTF-16 offsets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from .check import CheckJob


class Completion(msgspec.Struct):
    """A name that fits.

    `kind` is TypeScript's word: ``function``, ``property``, ``keyword``, … `detail` is its type, as in
    ``(args: { id: number }) → Order`` or ``string, optional``; `docs` is its description. Both may be empty.
    """

    name: str
    kind: str
    detail: str = ""
    docs: str = ""


class Completions(msgspec.Struct):
    """Names that may replace the text from `start` on, `length` long: best first, 200 at most."""

    start: int
    length: int
    items: list[Completion]


class Hover(msgspec.Struct):
    """What is known of the text from `start` on, `length` long: its type, and its description."""

    start: int
    length: int
    text: str
    docs: str


class Parameter(msgspec.Struct):
    """A parameter: its text within the signature, and its description."""

    text: str
    docs: str


class Signature(msgspec.Struct):
    """One way to call a function."""

    text: str
    docs: str
    parameters: list[Parameter]


class Signatures(msgspec.Struct):
    """The ways to call a function; `signature` and `parameter` are the indices of the current ones."""

    signatures: list[Signature]
    signature: int
    parameter: int


class Unformattable(msgspec.Struct):
    """A program that cannot be formatted, mostly because it does not parse; `reason` is a sentence."""

    reason: str


Format = Callable[[str], Awaitable[str | Unformattable]]
"""Formats a program without running it. Raises `errors.Busy`, `errors.SandboxUnavailable`: it cannot now."""


class Editor(Protocol):
    """Knows a program while it is written. Offsets are those of `CheckJob.code`.

    Each raises `errors.Cancelled` when the session has asked the same about another place since, `errors.Busy` when it
    cannot be served; the message says why.
    """

    async def complete(self, job: CheckJob, offset: int) -> Completions:
        """Complete the name before an offset."""

    async def hover(self, job: CheckJob, offset: int) -> Hover | None:
        """Explain what is at an offset; None: nothing is known of it."""

    async def signature(self, job: CheckJob, offset: int) -> Signatures | None:
        """Explain the call around an offset; None: there is none."""
