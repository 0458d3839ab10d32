"""What an editor asks about a program while it is written, and what it is answered. Positions are UTF-16 offsets."""

from __future__ import annotations

import msgspec


class Completion(msgspec.Struct):
    """A name that fits; `kind` is TypeScript's word: ``function``, ``property``, ``keyword``, …"""

    name: str
    kind: str


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
